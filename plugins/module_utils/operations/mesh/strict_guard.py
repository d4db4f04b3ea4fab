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
from ...fields import Object, annotations_of, labels_of, mapping_at, name_of, namespace_of, text_at
from ...istio.metrics import Prometheus
from ...kube.wait import wait_until
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .callers import Caller, Surroundings, read_callers
from .exceptions import TAKES_PLAINTEXT, stated_exceptions
from .plaintext import UNSETTLED

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ..apply.plan import Item, Plan
    from .options import MeshOptions

# Agent, readiness and Envoy metrics are never captured (istio-discovery/files/injection-template.yaml).
UNCAPTURED = frozenset({15020, 15021, 15090})
_WHOLE = "*"
_SETTLING = 180.0
"""Seconds that the samples after a restart may take to come in."""


class StrictGuard:
    """Called with the plan of a run that would change something; then ``status`` and ``findings`` tell.

    :param options: ``strict_guard``, ``strict_guard_window``, ``prometheus``. Without a Prometheus to ask
        the verdict is "cannot tell" as soon as something becomes stricter.
    """

    def __init__(self, client: KubeClient, context: Context, options: MeshOptions) -> None:
        self._client, self._context, self._mode = client, context, options.strict_guard
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
        stricter = tightened_namespaces(plan.items)
        for namespace in stricter:
            self.findings += self._plaintext_callers(namespace, plan)
            self.findings += captured_scrapes(self._client.list("v1", "Pod", namespace).items, plan.items)
        for finding in self.findings:
            self._context.warn(f"before STRICT: {finding}")
        if not self.findings:
            return
        self.status = FAIL
        if self._mode == "refuse":
            message = f"STRICT would cut off: {'; '.join(self.findings)} (mesh_strict_guard: warn goes on)"
            raise RefusedError(message, rule="strict-guard")

    def _plaintext_callers(self, namespace: str, plan: Plan) -> list[str]:
        if self._prometheus is None:
            return self._cannot_tell(namespace, "no Prometheus is named (mesh_prometheus)")
        try:
            callers = self._settled(namespace, plan, self._prometheus)
        except MeshError as error:
            return self._cannot_tell(namespace, error.message)
        unsettled = sorted(caller.who for caller in callers if caller.verdict == UNSETTLED)
        if unsettled and self._context.check_mode:
            self._cannot_tell(
                namespace, f"whether {', '.join(unsettled)} stopped to call without mTLS shows in a minute"
            )
            callers = [caller for caller in callers if caller.verdict != UNSETTLED]
        return sorted(caller.sentence(namespace) for caller in self._cut_off(namespace, plan, callers))

    def _cut_off(self, namespace: str, plan: Plan, callers: list[Caller]) -> list[Caller]:
        """The callers without those of workloads that stay open on purpose, who are told apart."""
        policies = [
            item.desired
            for item in plan.items
            if item.desired["kind"] == "PeerAuthentication" and item.action != "deleted"
        ]
        if not callers:
            return callers
        pods = self._client.list("v1", "Pod", namespace).items
        stated = stated_exceptions(namespace, policies, pods)
        for caller in callers:
            if caller.whom in stated:
                line = (
                    f"stated opening: {caller.sentence(namespace)}, which stays open: {stated[caller.whom]}"
                )
                self.stated.append(line)
                self._context.progress(f"before STRICT: {line}")
        return [caller for caller in callers if caller.whom not in stated]

    def _settled(self, namespace: str, plan: Plan, prometheus: Prometheus) -> list[Caller]:
        """The callers that count. Those that seem to have joined the mesh just now are looked at again.

        :raises MeshError: the metrics cannot be read.
        """
        surroundings = Surroundings(self._client, sorted({*_namespaces(plan), namespace}))

        def read() -> list[Caller]:
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
            modes.get(port, modes.get(_WHOLE)) in TAKES_PLAINTEXT
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
