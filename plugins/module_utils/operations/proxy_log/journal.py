# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be taken back if a run dies: intent, in an annotation of the Lease, before each write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...documents.json_text import from_json
from ...errors import ApiError, MalformedError
from ...fields import annotations_of, labels_of
from ...istio.proxy.log_levels import LogLevels, levels_of, set_levels
from ...istio.proxy.running import running_proxies
from ...kube.clock import Clock
from ...kube.lease import Lease, new_identity
from ...labels import COLLECTION, MANAGED_BY_LABEL, PART_OF_LABEL

if TYPE_CHECKING:
    from ...kube.client import KubeClient

LEASE = "servicemesh-proxy-log"
JOURNAL = "servicemesh.istio/proxy-log"
TELEMETRY_API = "telemetry.istio.io/v1"
PART_OF = "servicemesh-proxy-log"
"""Neither the mesh nor the add-ons: nobody else prunes our Telemetry."""
DURATION = 15


@dataclasses.dataclass(frozen=True, slots=True)
class SwitchedOn:
    """What a run has switched on, or is about to.

    :param workload: for people. :param telemetry: name of the Telemetry, ``""`` for none.
    :param levels: pod -> the levels that it had.
    """

    workload: str
    telemetry: str
    levels: Mapping[str, LogLevels]

    def as_text(self) -> str:
        """For the annotation."""
        levels = {pod: found.as_dict() for pod, found in self.levels.items()}
        return json.dumps({"workload": self.workload, "telemetry": self.telemetry, "levels": levels})


def lease_of(client: KubeClient, clock: Clock, namespace: str, mesh: str) -> Lease:
    """The hold on the logs of a namespace: one run at a time."""
    return Lease(
        client,
        clock,
        name=LEASE,
        namespace=namespace,
        mesh=mesh,
        what=f"the log of a workload in {namespace}",
        identity=new_identity(),
        duration=DURATION,
    )


def read_journal(lease: Mapping[str, Any] | None) -> SwitchedOn | None:
    """What the last run has left; None for nothing. :raises MalformedError: it cannot be read."""
    text = annotations_of(lease).get(JOURNAL, "")
    if not text:
        return None
    try:
        found = from_json(text)
        levels = {str(pod): levels_of(kept) for pod, kept in found["levels"].items()}
        return SwitchedOn(str(found["workload"]), str(found["telemetry"]), levels)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedError(
            f"annotation {JOURNAL} of Lease {LEASE} cannot be read: delete the Lease"
        ) from error


def take_back(client: KubeClient, namespace: str, journal: SwitchedOn) -> list[str]:
    """Switches off what a journal names. Doing it twice does no harm. :returns: what was done, for people.

    :raises ApiError: something could not be taken back.
    """
    done = []
    if journal.telemetry and _remove_telemetry(client, namespace, journal.telemetry):
        done.append(f"Telemetry {namespace}/{journal.telemetry} removed")
    if journal.levels:
        pods = client.list("v1", "Pod", namespace).items
        proxies = {proxy.pod: proxy for proxy in running_proxies(pods)}
        # A pod that is gone took its levels with it; one that is not ready may still have them.
        for pod, levels in journal.levels.items():
            if pod in proxies:
                set_levels(client, proxies[pod], levels)
                done.append(f"log levels of Pod {namespace}/{pod} set back")
    return done


def _remove_telemetry(client: KubeClient, namespace: str, name: str) -> bool:
    live = client.get(TELEMETRY_API, "Telemetry", name, namespace)
    labels = labels_of(live)
    ours = labels.get(MANAGED_BY_LABEL) == COLLECTION and labels.get(PART_OF_LABEL) == PART_OF
    if live is None or not ours:
        return False
    try:
        client.delete(TELEMETRY_API, "Telemetry", name, namespace)
    except ApiError as error:
        if error.status != 404:
            raise
    return True
