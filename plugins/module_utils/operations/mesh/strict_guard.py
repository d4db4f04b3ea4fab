# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before mutual TLS becomes obligatory: who would be cut off?

Two kinds of clients come without a certificate: callers outside the mesh, which the metrics of the last hour
show, and scrapers of application ports, which pod annotations show. Both are listed with what to do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import MeshError, RefusedError
from ...fields import Object, annotations_of, labels_of, mapping_at, name_of, namespace_of, text_at
from ...istio.metrics import Prometheus
from ...verdicts import CANNOT_TELL, FAIL, PASS

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ..apply.plan import Item, Plan
    from .options import MeshOptions

# Agent, readiness and Envoy metrics are never captured (istio-discovery/files/injection-template.yaml).
UNCAPTURED = frozenset({15020, 15021, 15090})
_METRICS = ("istio_requests_total", "istio_tcp_connections_opened_total")
_PLAINTEXT = 'reporter="destination",connection_security_policy="none",destination_workload_namespace='
_TAKES_PLAINTEXT = ("PERMISSIVE", "DISABLE")
_WHOLE = "*"
_BEFORE_WINDOW = 300.0
"""Seconds in which a series that is older than the window has left a sample: it would be stale otherwise."""


class StrictGuard:
    """Called with the plan of a run that would change something; then ``status`` and ``findings`` tell.

    :param options: ``strict_guard``, ``strict_guard_window``, ``prometheus``. Without a Prometheus to ask the
        verdict is "cannot tell" as soon as something becomes stricter.
    """

    def __init__(self, client: KubeClient, context: Context, options: MeshOptions) -> None:
        self._client, self._context, self._mode = client, context, options.strict_guard
        self._window = options.strict_guard_window
        self._prometheus = Prometheus(options.prometheus, client) if options.prometheus else None
        self.findings: list[str] = []
        self.status = PASS
        self.reason = ""

    def as_result(self) -> dict[str, Any]:
        """The part of the module's result. :returns: ``check``, ``status``, ``reason``, ``findings``."""
        return {
            "check": "strict_guard",
            "status": self.status,
            "reason": self.reason,
            "findings": list(self.findings),
        }

    def __call__(self, plan: Plan) -> None:
        """:raises RefusedError: in mode refuse, when somebody would be cut off."""
        for namespace in tightened_namespaces(plan.items):
            self.findings += self._plaintext_callers(namespace)
            self.findings += captured_scrapes(self._client.list("v1", "Pod", namespace).items, plan.items)
        for finding in self.findings:
            self._context.warn(f"before STRICT: {finding}")
        if not self.findings:
            return
        self.status = FAIL
        if self._mode == "refuse":
            message = f"STRICT would cut off: {'; '.join(self.findings)} (mesh_strict_guard: warn goes on)"
            raise RefusedError(message, rule="strict-guard")

    def _plaintext_callers(self, namespace: str) -> list[str]:
        if self._prometheus is None:
            return self._cannot_tell(namespace, "no Prometheus is named (mesh_prometheus)")
        since = self._context.clock.now() - self._window
        found: set[str] = set()
        for metric in _METRICS:
            selector = f'{metric}{{{_PLAINTEXT}"{namespace}"}}'
            try:
                series = self._prometheus.raw_series(selector, self._window + _BEFORE_WINDOW)
            except MeshError as error:
                return self._cannot_tell(namespace, error.message)
            found |= {_caller(labels, namespace) for labels, points in series if grew(points, since)}
        return sorted(found)

    def _cannot_tell(self, namespace: str, reason: str) -> list[str]:
        self.status, self.reason = CANNOT_TELL, reason
        self._context.warn(f"before STRICT: cannot tell who calls {namespace} without mTLS: {reason}")
        return []


def grew(points: Sequence[tuple[float, float]], since: float) -> bool:
    """Whether a counter counted something after ``since``.

    A series whose first sample is later began at 0; a counter that fell was reset and began at 0 again.

    :param points: (time, value) in time order, at least one, from well before ``since`` on.
    """
    at, value = points[0]
    if at > since and value > 0:
        return True
    return any(
        after_at > since and after > 0 and after != before
        for (_unused, before), (after_at, after) in itertools.pairwise(points)
    )


def _caller(labels: Iterable[tuple[str, str]], namespace: str) -> str:
    named = dict(labels)
    source = named.get("source_workload") or named.get("source_principal") or "unknown"
    who = "somebody outside the mesh" if source == "unknown" else source
    return f"{who} calls {namespace}/{named.get('destination_workload', '?')} without mTLS"


def tightened_namespaces(items: Iterable[Item]) -> list[str]:
    """Namespaces in which a PeerAuthentication becomes stricter than it is, or an exception to STRICT goes.

    :param items: all PeerAuthentications of the mesh are among them, changed or not.
    :returns: sorted names.
    """
    policies = [item for item in items if item.desired["kind"] == "PeerAuthentication"]
    strict_before = _strict_namespaces(item.before for item in policies)
    strict_after = _strict_namespaces(item.desired for item in policies if item.action != "deleted")
    found: set[str] = set()
    for item in policies:
        namespace = namespace_of(item.desired)
        before, after = _modes(item.before), {} if item.action == "deleted" else _modes(item.desired)
        if item.changes and any(
            _is_strict(after, part, namespace in strict_after)
            and not _is_strict(before, part, namespace in strict_before)
            for part in {*before, *after}
        ):
            found.add(namespace)
    return sorted(found)


def _strict_namespaces(policies: Iterable[Object | None]) -> set[str]:
    """Namespaces whose own policy, the one without a selector, is STRICT."""
    return {
        namespace_of(policy)
        for policy in policies
        if policy and not mapping_at(policy, "spec", "selector") and _modes(policy).get(_WHOLE) == "STRICT"
    }


def _is_strict(modes: Mapping[str, str], part: str, namespace_is_strict: bool) -> bool:
    mode = modes.get(part) or modes.get(_WHOLE)
    return mode == "STRICT" if mode else namespace_is_strict


def _modes(obj: Object | None) -> dict[str, str]:
    """The modes that a PeerAuthentication sets: by port, and ``*`` for all other ports of its selection.

    UNSET and an absent mode inherit, so they are left out.
    """
    ports = mapping_at(obj, "spec", "portLevelMtls")
    modes = {_WHOLE: text_at(obj, "spec", "mtls", "mode")}
    modes |= {str(port): text_at(ports, port, "mode") for port in ports}
    return {part: mode for part, mode in modes.items() if mode not in ("", "UNSET")}


def captured_scrapes(pods: Iterable[Mapping[str, Any]], items: Iterable[Item]) -> list[str]:
    """Pods whose metrics annotation names a port that the sidecar captures and that will be STRICT.

    :returns: one line per workload, with the way out.
    """
    exceptions = [
        (labels, _modes(item.desired))
        for item in items
        if item.desired["kind"] == "PeerAuthentication" and item.action != "deleted"
        if (labels := mapping_at(item.desired, "spec", "selector", "matchLabels"))
    ]
    found: set[str] = set()
    for pod in pods:
        port, labels = _captured_scrape_port(pod), labels_of(pod)
        if not port or any(
            modes.get(port, modes.get(_WHOLE)) in _TAKES_PLAINTEXT
            for selector, modes in exceptions
            if selector.items() <= labels.items()
        ):
            continue
        owner = labels.get("app") or name_of(pod)
        found.add(
            f"{namespace_of(pod)}/{owner} is scraped on port {port}: merge its metrics into the "
            f"sidecar's or give it mtls.ports {{{port}: PERMISSIVE}}"
        )
    return sorted(found)


def _captured_scrape_port(pod: Mapping[str, Any]) -> str:
    """The port that Prometheus' annotations name; ``""`` for none, or when the sidecar leaves it alone."""
    annotations = annotations_of(pod)
    port = str(annotations.get("prometheus.io/port", ""))
    excluded = str(annotations.get("traffic.sidecar.istio.io/excludeInboundPorts", "")).split(",")
    if annotations.get("prometheus.io/scrape") != "true" or "sidecar.istio.io/status" not in annotations:
        return ""
    return port if port.isdigit() and int(port) not in UNCAPTURED and port not in excluded else ""
