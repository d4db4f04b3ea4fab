# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The istiod pods of a cluster and what their debug interface tells."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..documents.json_text import from_json
from ..errors import ApiError
from ..fields import labels_of, mapping_at, name_of, namespace_of, text_at
from ..kube.pods import containers, takes_requests
from .proxy.admin import NO_GOOD_ANSWER, PodClient, ask, not_ok
from .proxy.running import image_version
from .syncz import SyncState, parse_syncz, union

ISTIOD_SELECTOR = "app=istiod"
DISCOVERY_CONTAINER = "discovery"
DEFAULT_REVISION = "default"
READINESS_PORT = 8080
"""Where istiod says whether it is ready (``--httpAddr``), which the kubelet asks, too."""
MONITORING_PORT = 15014
"""Where it tells of itself (``--monitoringAddr``). It answers the loopback without a token."""
_NUMBER = r"[-+]?[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?"
_SAMPLE = re.compile(rf"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{.*\}})? ({_NUMBER})(?: -?[0-9]+)?$", re.MULTILINE)


class ParallelPodClient(PodClient, Protocol):
    """A client that also works on several pods at once."""

    def in_parallel(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Results in the order of ``items``. :returns: one result per item."""


@dataclasses.dataclass(frozen=True, slots=True)
class Istiod:
    """One ready istiod pod."""

    namespace: str
    pod: str
    revision: str
    version: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"


def calls_istiod(webhook: Mapping[str, Any], namespace: str) -> bool:
    """Whether the API server calls an istiod of this namespace by a webhook, of whatever revision.

    :param webhook: an entry of ``webhooks``, whoever wrote it.
    """
    service = mapping_at(webhook, "clientConfig", "service")
    name = text_at(service, "name")
    return text_at(service, "namespace") == namespace and (name == "istiod" or name.startswith("istiod-"))


def ready_istiods(pods: Iterable[Mapping[str, Any]]) -> list[Istiod]:
    """The istiod pods (selected by ``ISTIOD_SELECTOR``) that answer.

    :returns: one per pod that is ready and not on its way out.
    """
    found = []
    for pod in pods:
        if not takes_requests(pod):
            continue
        images = [item.image for item in containers(pod) if item.name == DISCOVERY_CONTAINER]
        found.append(
            Istiod(
                namespace=namespace_of(pod),
                pod=name_of(pod),
                revision=labels_of(pod).get("istio.io/rev", DEFAULT_REVISION),
                version=image_version(images[0] if images else ""),
            )
        )
    return found


def istiod_unready(client: PodClient, namespace: str, pod: str, timeout: float = 10.0) -> str:
    """Why an istiod does not say that it is ready; ``""`` when it says so.

    :raises ApiError: no right to forward ports, the pod is gone, or nobody listens.
    """
    answer = client.ask_pod(namespace, pod, READINESS_PORT, "/ready", timeout=timeout)
    return not_ok(answer)


def istiod_metrics(client: PodClient, namespace: str, pod: str) -> list[tuple[str, float]]:
    """What one istiod counts of itself (text format of Prometheus, whose lines may end with a timestamp).

    :returns: (metric, value) of each line, whatever its labels.
    :raises ApiError: no right to forward ports, the pod is gone, or it does not answer with 200.
    """
    said = f"istiod {namespace}/{pod} did not tell its metrics"
    text = ask(client, namespace, pod, MONITORING_PORT, "/metrics", said, timeout=15.0)
    return [(name, float(value)) for name, value in _SAMPLE.findall(text)]


def sync_table(
    client: ParallelPodClient, istiods: Sequence[Istiod], timeout: float = 15.0
) -> dict[str, SyncState]:
    """Every proxy that is connected to any istiod, by ``pod.namespace``.

    :returns: ``pod.namespace`` -> its state, merged over all istiods.
    :raises ApiError: no right to forward ports, or an istiod does not answer.
    """
    return union(client.in_parallel(lambda istiod: _syncz(client, istiod, timeout), istiods))


def _syncz(client: PodClient, istiod: Istiod, timeout: float) -> list[SyncState]:
    said = f"istiod {istiod} did not tell who is connected"
    where = (istiod.namespace, istiod.pod, MONITORING_PORT)
    text = ask(client, *where, "/debug/syncz", said, timeout=timeout)
    try:
        entries = from_json(text)
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        raise ApiError(f"{said}, but something else", reason=NO_GOOD_ANSWER, subject=f"Pod {istiod}")
    return parse_syncz(entries)
