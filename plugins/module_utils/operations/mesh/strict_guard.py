# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before mutual TLS becomes obligatory: who would be cut off?

Two kinds of clients come without a certificate: callers outside the mesh, which the metrics of the last hour
show, and scrapers of application ports, which pod annotations show. Both are listed with what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MeshError, Problem, RefusedError
from ...istio.metrics import Prometheus, PrometheusOptions
from ...model.reading.values import seconds
from ...verdicts import CANNOT_TELL

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ..apply.plan import Item, Plan

# Agent, readiness and Envoy metrics are never captured (istio-discovery/files/injection-template.yaml).
UNCAPTURED = frozenset({15020, 15021, 15090})
_METRICS = ("istio_requests_total", "istio_tcp_connections_opened_total")
_PLAINTEXT = 'reporter="destination",connection_security_policy="none",destination_workload_namespace='


def prometheus_at(text: str, client: KubeClient) -> Prometheus | None:
    """The Prometheus that an URL or ``NAMESPACE/SERVICE:PORT`` names; ``None`` for an empty text.

    :raises InputError: neither of the two.
    """
    if not text:
        return None
    if "://" in text:
        return Prometheus(PrometheusOptions.from_params({"url": text}), client)
    namespace, _unused, address = text.partition("/")
    service, _unused, port = address.partition(":")
    if not (namespace and service):
        message = f"{text!r} is neither a URL nor NAMESPACE/SERVICE:PORT"
        raise InputError([Problem("mesh_prometheus", message, "prometheus")])
    where = {"namespace": namespace, "service": service, "port": port or 9090}
    return Prometheus(PrometheusOptions.from_params(where), client)


class StrictGuard:
    """Called with the plan of a run that would change something.

    :param mode: ``refuse`` or ``warn``. :param window: how far back callers count, such as ``1h``.
    :param prometheus: ``None`` when there is none to ask; then the verdict is CANNOT_TELL and says so.
    """

    def __init__(
        self, client: KubeClient, context: Context, *, mode: str, window: str, prometheus: Prometheus | None
    ) -> None:
        self._client, self._context, self._mode = client, context, mode
        self._window, self._prometheus = window, prometheus
        self.findings: list[str] = []
        self.status = "pass"
        self.reason = ""

    def as_result(self) -> dict[str, Any]:
        """The part of the module's result."""
        return {
            "check": "strict_guard",
            "status": self.status,
            "reason": self.reason,
            "findings": list(self.findings),
        }

    def __call__(self, plan: Plan) -> None:
        """:raises RefusedError: in mode refuse, when somebody would be cut off."""
        namespaces = tightened_namespaces(plan.items)
        for namespace in namespaces:
            self.findings += self._plaintext_callers(namespace)
            self.findings += captured_scrapes(self._client.list("v1", "Pod", namespace).items, plan.items)
        for finding in self.findings:
            self._context.warn(f"before STRICT: {finding}")
        if not self.findings:
            return
        self.status = "fail"
        if self._mode == "refuse":
            message = f"STRICT would cut off: {'; '.join(self.findings)} (mesh_strict_guard: warn goes on)"
            raise RefusedError(message, rule="strict-guard")

    def _plaintext_callers(self, namespace: str) -> list[str]:
        if self._prometheus is None:
            self._cannot_tell(namespace, "no Prometheus is named (mesh_prometheus)")
            return []
        found: list[str] = []
        for metric in _METRICS:
            selector = f'{metric}{{{_PLAINTEXT}"{namespace}"}}'
            try:
                series = self._prometheus.raw_series(selector, seconds(self._window))
            except MeshError as error:
                self._cannot_tell(namespace, error.message)
                return []
            found += _grown(series, namespace)
        return sorted(set(found))

    def _cannot_tell(self, namespace: str, reason: str) -> None:
        self.status, self.reason = CANNOT_TELL, reason
        self._context.warn(f"before STRICT: cannot tell who calls {namespace} without mTLS: {reason}")


def tightened_namespaces(items: Iterable[Item]) -> list[str]:
    """Namespaces in which a PeerAuthentication becomes stricter than it is."""
    found: set[str] = set()
    for item in items:
        if item.desired["kind"] != "PeerAuthentication" or not item.changes or item.action == "deleted":
            continue
        if _strict_parts(item.desired) - _strict_parts(item.before or {}):
            found.add(str(item.desired["metadata"]["namespace"]))
    return sorted(found)


def _strict_parts(obj: Mapping[str, Any]) -> set[str]:
    """``*`` for the whole selection, and the ports, for which the mode is STRICT."""
    spec = obj.get("spec") or {}
    parts = {"*": spec.get("mtls") or {}, **(spec.get("portLevelMtls") or {})}
    return {str(part) for part, entry in parts.items() if (entry or {}).get("mode") == "STRICT"}


def _grown(series: Iterable[Any], namespace: str) -> list[str]:
    """Callers without a certificate whose counters grew within the window."""
    found: list[str] = []
    for labels, points in series:
        if points[-1][1] <= points[0][1] and len(points) > 1:
            continue
        named = dict(labels)
        source = named.get("source_workload") or named.get("source_principal") or "somebody outside the mesh"
        if source == "unknown":
            source = "somebody outside the mesh"
        found.append(f"{source} calls {namespace}/{named.get('destination_workload', '?')} without mTLS")
    return found


def captured_scrapes(pods: Iterable[Mapping[str, Any]], items: Iterable[Item]) -> list[str]:
    """Pods whose metrics annotation names a port that the sidecar captures and that will be STRICT."""
    open_ports = _open_ports(items)
    found: set[str] = set()
    for pod in pods:
        metadata = pod.get("metadata") or {}
        annotations = metadata.get("annotations") or {}
        port = str(annotations.get("prometheus.io/port") or "")
        if annotations.get("prometheus.io/scrape") != "true" or not port.isdigit() or int(port) in UNCAPTURED:
            continue
        excluded = str(annotations.get("traffic.sidecar.istio.io/excludeInboundPorts") or "").split(",")
        labels = metadata.get("labels") or {}
        exempt = any(port in ports and selector.items() <= labels.items() for selector, ports in open_ports)
        if port not in excluded and not exempt and "sidecar.istio.io/status" in annotations:
            owner = labels.get("app") or metadata.get("name", "?")
            found.add(
                f"{metadata.get('namespace')}/{owner} is scraped on port {port}: merge its metrics into the "
                f"sidecar's or give it mtls.ports {{{port}: PERMISSIVE}}"
            )
    return sorted(found)


def _open_ports(items: Iterable[Item]) -> list[tuple[dict[str, str], set[str]]]:
    found: list[tuple[dict[str, str], set[str]]] = []
    for item in items:
        if item.desired["kind"] == "PeerAuthentication" and item.action != "deleted":
            spec = item.desired.get("spec") or {}
            ports = {
                port
                for port, entry in (spec.get("portLevelMtls") or {}).items()
                if entry.get("mode") != "STRICT"
            }
            found.append((dict((spec.get("selector") or {}).get("matchLabels") or {}), ports))
    return found
