# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before mutual TLS becomes obligatory: who would be cut off?

Two kinds of clients come without a certificate: callers outside the mesh, which the metrics of the last
hour show, and scrapers of application ports, which pod annotations show. Both are listed with what to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import MeshError, RefusedError, WaitTimeout
from ...fields import annotations_of, namespace_of
from ...istio.metrics import Prometheus
from ...kube.wait import wait_until
from ...model.reading.values import PROXY_PORTS, is_number
from ...model.security.pods import read_pod
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .callers import CallerSurroundings, PlaintextCaller, read_callers
from .live_policies import live_policies
from .peer_modes import PeerModes
from .plaintext import UNSETTLED
from .workload_names import workload_name

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ..apply.plan import Plan
    from .options import MeshOptions

_KNOWN = 'count({__name__=~"istio_requests_total|istio_tcp_connections_opened_total"})'
"""A Prometheus that does not scrape the proxies knows of no caller either."""
_SETTLING = 180.0
"""Seconds that the samples after a restart may take to come in."""


class StrictGuard:
    """Called with the plan of a run that would change something; then ``status`` and ``findings`` tell.

    :param options: ``strict_guard``, ``strict_guard_window``, ``prometheus``. Without a Prometheus to ask
        the verdict is "cannot tell" as soon as something becomes stricter.
    :param root_namespace: whose PeerAuthentications are for the whole mesh.
    """

    def __init__(
        self,
        client: KubeClient,
        context: Context,
        options: MeshOptions,
        root_namespace: str = "istio-system",
    ) -> None:
        self._client, self._context, self._mode = client, context, options.strict_guard
        self._root = root_namespace
        self._window = options.strict_guard_window
        self._prometheus = Prometheus(options.prometheus, client) if options.prometheus else None
        self.findings: list[str] = []
        self.stated: list[str] = []
        self.status = PASS
        self.reason = ""

    def as_result(self) -> dict[str, Any]:
        """The part of the module's result.

        :returns: ``check``, ``status``, ``reason``, ``findings``, and in ``stated`` who stays let in on
            purpose.
        """
        return {
            "check": "strict_guard",
            "status": self.status,
            "reason": self.reason,
            "findings": list(self.findings),
            "stated": list(self.stated),
        }

    def __call__(self, plan: Plan) -> None:
        """:raises RefusedError: in mode refuse, when somebody would be cut off."""
        root, kind = self._root, "PeerAuthentication"
        if not any(item.changes and item.desired["kind"] == kind for item in plan.items):
            return
        live = live_policies(self._client, kind, {*_namespaces(plan), root})
        modes = PeerModes(plan.items, live, root)
        for namespace in modes.tightened():
            self.findings += self._plaintext_callers(namespace, plan, modes)
            self.findings += captured_scrapes(self._client.list("v1", "Pod", namespace).items, modes)
        if modes.is_mesh_tightened():
            self._cannot_tell("other namespaces", f"the {kind} of {root} is for all of them, the run is not")
        for finding in self.findings:
            self._context.warn(f"before STRICT: {finding}")
        if not self.findings:
            return
        self.status = FAIL
        if self._mode == "refuse":
            message = f"STRICT would cut off: {'; '.join(self.findings)} (mesh_strict_guard: warn goes on)"
            raise RefusedError(message, rule="strict-guard")

    def _plaintext_callers(self, namespace: str, plan: Plan, modes: PeerModes) -> list[str]:
        if self._prometheus is None:
            return self._cannot_tell(namespace, "no Prometheus is named (mesh_prometheus)")
        try:
            callers = self._settled(namespace, plan, self._prometheus)
            if not callers and not self._prometheus.number(_KNOWN):
                why = "Prometheus has no metrics of proxies at all: does it scrape them? (mesh_prometheus)"
                return self._cannot_tell(namespace, why)
        except MeshError as error:
            return self._cannot_tell(namespace, error.message)
        unsettled = sorted(caller.who for caller in callers if caller.verdict == UNSETTLED)
        if unsettled and self._context.check_mode:
            self._cannot_tell(
                namespace, f"whether {', '.join(unsettled)} stopped to call without mTLS shows in a minute"
            )
            callers = [caller for caller in callers if caller.verdict != UNSETTLED]
        return sorted(caller.sentence(namespace) for caller in self._cut_off(namespace, modes, callers))

    def _cut_off(
        self, namespace: str, modes: PeerModes, callers: list[PlaintextCaller]
    ) -> list[PlaintextCaller]:
        """The callers without those of workloads that stay open on purpose, who are told apart.

        A workload with one port that does not stay open is not among them: metrics do not tell to which port
        a caller came.
        """
        if not callers:
            return callers
        pods = self._client.list("v1", "Pod", namespace).items
        stated = {workload_name(pod): reason for pod in pods if (reason := modes.open_reason(pod))}
        for caller in callers:
            if caller.whom in stated:
                line = (
                    f"stated opening: {caller.sentence(namespace)}, which stays open: {stated[caller.whom]}"
                )
                self.stated.append(line)
                self._context.progress(f"before STRICT: {line}")
        return [caller for caller in callers if caller.whom not in stated]

    def _settled(self, namespace: str, plan: Plan, prometheus: Prometheus) -> list[PlaintextCaller]:
        """The callers that count. Those that seem to have joined the mesh just now are looked at again.

        :raises MeshError: the metrics cannot be read.
        """
        surroundings = CallerSurroundings(self._client, sorted({*_namespaces(plan), namespace}))

        def read() -> list[PlaintextCaller]:
            now = self._context.clock.now()
            return read_callers(prometheus, namespace, surroundings, now=now, window=self._window)

        found = read()
        if self._context.check_mode or not any(caller.verdict == UNSETTLED for caller in found):
            return found

        def look() -> tuple[bool, str]:
            nonlocal found
            found = read()
            late = [caller.who for caller in found if caller.verdict == UNSETTLED]
            return not late, f"{len(late)} of them may still call"

        with contextlib.suppress(WaitTimeout):
            wait_until(
                look,
                awaited=f"a sample that shows who still calls {namespace} without mTLS",
                timeout=_SETTLING,
                stop=self._context.stop,
                progress=self._context.progress,
                clock=self._context.clock,
            )
        return found

    def _cannot_tell(self, namespace: str, reason: str) -> list[str]:
        self.status, self.reason = CANNOT_TELL, reason
        self._context.warn(f"before STRICT: cannot tell who calls {namespace} without mTLS: {reason}")
        return []


def _namespaces(plan: Plan) -> set[str]:
    return {namespace_of(item.desired) for item in plan.items} - {""}


def captured_scrapes(pods: Iterable[Mapping[str, Any]], modes: PeerModes) -> list[str]:
    """Pods whose metrics annotation names a port that the sidecar captures and that will be STRICT.

    :returns: one line per workload, with the way out.
    """
    found: set[str] = set()
    for raw in pods:
        port, pod = _scraped_port(raw), read_pod(raw)
        if port and modes.is_strict(pod, port):
            owner = pod.labels.get("app") or pod.name
            found.add(
                f"{pod.namespace}/{owner} is scraped on port {port}: merge its metrics into the "
                f"sidecar's or give it mtls.ports {{{port}: PERMISSIVE}}"
            )
    return sorted(found)


def _scraped_port(pod: Mapping[str, Any]) -> int:
    """The port that Prometheus' annotations name; 0 for none, and for those that no sidecar ever captures."""
    annotations = annotations_of(pod)
    port = str(annotations.get("prometheus.io/port", ""))
    scraped = annotations.get("prometheus.io/scrape") == "true" and is_number(port)
    return int(port) if scraped and int(port) not in PROXY_PORTS else 0
