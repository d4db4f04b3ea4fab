# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often the kernel takes the processor away from containers that have a limit of it.

Read from their own control groups (kernel Documentation/admin-guide/cgroup-v2.rst, ``cpu.stat``; in version 1
the file lies below ``cpu``), because nothing in the API tells it. An image without ``cat`` does not say.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import MeshError
from ...fields import field, mappings_at, name_of, namespace_of, text_at
from ...kube.client import KubeClient

_FILES = ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat")
MAX_CONTAINERS = 20
"""So many containers are asked at most."""


@dataclasses.dataclass(frozen=True, slots=True)
class Throttled:
    """What one container's control group counted since it began.

    :param limit: of its processor, as its pod says it. :param periods: in which it wanted to run.
    :param throttled: those of them in which it was stopped.
    """

    limit: str
    periods: int
    throttled: int

    @property
    def share(self) -> float:
        """Of the periods in which it wanted to run, those in which it was stopped."""
        return self.throttled / self.periods if self.periods else 0.0


def read_throttling(
    client: KubeClient, pods: Iterable[Mapping[str, Any]]
) -> dict[tuple[str, str], Throttled]:
    """Asks the containers of some pods that have a limit.

    :returns: (``namespace/pod``, container) -> what it counted; of those that say it.
    """
    wanted = [
        (pod, text_at(item, "name"), str(field(item, "resources", "limits", "cpu")))
        for pod in pods
        for section in ("containers", "initContainers")
        for item in mappings_at(pod, "spec", section)
        if field(item, "resources", "limits", "cpu") is not None and _runs(pod, text_at(item, "name"))
    ][:MAX_CONTAINERS]

    def ask(entry: tuple[Mapping[str, Any], str, str]) -> Throttled | None:
        pod, container, limit = entry
        try:
            answer = client.exec(namespace_of(pod), name_of(pod), container, ["cat", *_FILES], timeout=10)
        except MeshError:
            return None
        return parse(answer.stdout, limit)

    found = zip(wanted, client.in_parallel(ask, wanted), strict=True)
    return {
        (f"{namespace_of(pod)}/{name_of(pod)}", container): seen
        for (pod, container, _limit), seen in found
        if seen is not None
    }


def parse(text: str, limit: str) -> Throttled | None:
    """Reads ``cpu.stat``. :returns: None where it counts no periods."""
    counts = dict(re.findall(r"^(nr_periods|nr_throttled) ([0-9]+)$", text, re.MULTILINE))
    if len(counts) != 2:
        return None
    return Throttled(limit, int(counts["nr_periods"]), int(counts["nr_throttled"]))


def _runs(pod: Mapping[str, Any], container: str) -> bool:
    return any(
        text_at(status, "name") == container and field(status, "state", "running") is not None
        for section in ("containerStatuses", "initContainerStatuses")
        for status in mappings_at(pod, "status", section)
    )
