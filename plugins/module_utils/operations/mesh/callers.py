# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who called without mTLS, out of the metrics of the receiving proxies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError
from ...fields import text_at
from ...istio.metrics import Prometheus
from ...kube.clock import seconds_of
from .plaintext import CALLED, CALLS, OVER, UNSETTLED, Join, flow_of, joins_of, judge_flow

if TYPE_CHECKING:
    from ...kube.client import KubeClient

_METRICS = (
    "istio_requests_total",
    "istio_tcp_connections_opened_total",
    "istio_tcp_received_bytes_total",
    "istio_tcp_sent_bytes_total",
)
"""The bytes are those of connections that were opened before the window, and that STRICT ends, too."""
_PLAINTEXT = 'reporter="destination",connection_security_policy="none",destination_workload_namespace='
_MINUTES = 120.0
_BEFORE_WINDOW = 300.0
"""Seconds in which a series that is older than the window has left a sample: it would be stale otherwise."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlaintextCaller:
    """Somebody who called without mTLS. ``silent``: seconds since the last call that was counted."""

    who: str
    whom: str
    verdict: str
    silent: float

    @property
    def key(self) -> tuple[str, str]:
        """Who calls whom. :returns: the caller and the workload."""
        return self.who, self.whom

    @property
    def weight(self) -> tuple[int, float]:
        """The worst first, and of those the latest. :returns: two numbers to sort by."""
        return (CALLS, CALLED, UNSETTLED, OVER).index(self.verdict), self.silent

    def sentence(self, namespace: str) -> str:
        """What is told."""
        if self.verdict == CALLS:
            return f"{self.who} calls {namespace}/{self.whom} without mTLS"
        ago = f"{self.silent / 60:.0f} minutes" if self.silent >= _MINUTES else f"{self.silent:.0f} s"
        return f"{self.who} called {namespace}/{self.whom} without mTLS, last {ago} ago"


def _caller(labels: Iterable[tuple[str, str]], verdict: str, silent: float) -> PlaintextCaller:
    named = dict(labels)
    source = named.get("source_workload") or named.get("source_principal") or "unknown"
    who = "somebody outside the mesh" if source == "unknown" else source
    return PlaintextCaller(who, named.get("destination_workload", "?"), verdict, silent)


class CallerSurroundings:
    """Pods and namespaces around a decision, read when they are needed. What may not be read is left out."""

    def __init__(self, client: KubeClient, names: Sequence[str]) -> None:
        self._client, self._names = client, names
        self._joins: list[Join] | None = None
        self._live: dict[str, Mapping[str, Any]] = {}

    @property
    def joins(self) -> list[Join]:
        """When workloads of these namespaces got their sidecars. :returns: see ``joins_of``."""
        if self._joins is None:
            pods = [pod for found in self._client.in_parallel(self._pods, self._names) for pod in found]
            namespaces = self._client.in_parallel(self._namespace, self._names)
            self._live = {
                name: found for name, found in zip(self._names, namespaces, strict=True) if found is not None
            }
            self._joins = joins_of(pods, self._live.values())
        return self._joins

    def born(self, namespace: str) -> float:
        """When the namespace was made, 0 when nobody says."""
        _read = self.joins
        return seconds_of(text_at(self._live.get(namespace), "metadata", "creationTimestamp")) or 0.0

    def _pods(self, name: str) -> Sequence[Mapping[str, Any]]:
        try:
            return self._client.list("v1", "Pod", name).items
        except ApiError as error:
            if not error.not_allowed:
                raise
            return ()

    def _namespace(self, name: str) -> Mapping[str, Any] | None:
        try:
            return self._client.get("v1", "Namespace", name)
        except ApiError as error:
            if not error.not_allowed:
                raise
            return None


def read_callers(
    prometheus: Prometheus, namespace: str, surroundings: CallerSurroundings, *, now: float, window: float
) -> list[PlaintextCaller]:
    """Who called workloads of a namespace without mTLS and may do so again.

    :param now: seconds since the epoch. :param window: seconds before it that count.
    :returns: one for each pair of caller and workload.
    :raises MeshError: the metrics cannot be read.
    """
    worst: dict[tuple[str, str], PlaintextCaller] = {}
    for metric in _METRICS:
        selector = f'{metric}{{{_PLAINTEXT}"{namespace}"}}'
        for labels, points in prometheus.raw_series(selector, window + _BEFORE_WINDOW):
            flow = flow_of(points, now - window)
            if not flow.calls:
                continue
            verdict = judge_flow(flow, surroundings.joins, now=now, born=surroundings.born(namespace))
            caller = _caller(labels, verdict, now - flow.calls[-1])
            known = worst.get(caller.key)
            if verdict != OVER and (known is None or caller.weight < known.weight):
                worst[caller.key] = caller
    return list(worst.values())
