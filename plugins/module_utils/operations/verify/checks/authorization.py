# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans the calls that prove the allow-list, and judges their answers.

Per service one call that must get in and one that must not, with as few probe pods as possible. A call is
never of a kind that changes something unless that was asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from ....istio.probe import Answer, HttpCall, Identity
from ....istio.proxy.listeners import STRICT
from ....model.catalogue.edges import Edge, service_edges
from ....model.catalogue.mesh import Catalogue
from ....model.catalogue.services import Port, Service
from ....model.objects.peer_authentications import port_mode
from ....verdicts import CANNOT_TELL
from ..findings import Finding, failed, passed, stated, unknown

ALLOWED, DENIED, PLAINTEXT = "allowed", "denied", "plaintext"
OUTSIDE = "outside"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""RFC 9110 9.2.1: methods that ask for no change."""

NOWHERE = "servicemesh-verify-probe"
"""Last part of the paths that stand for a prefix: nothing the service knows."""

UPSTREAM_HEADER = "x-envoy-upstream-service-time"
ENVOY_ANSWERS = (
    "upstream connect error",
    "no healthy upstream",
    "upstream request timeout",
    "fault filter abort",
    "local_rate_limited",
    "RBAC: access denied",
)
"""Bodies that a proxy writes itself (Envoy source/common/http/codes and the filters' local replies)."""

CLOSED = (52, 56)
"""curl: empty reply, connection reset: the other end took the connection and closed it without an
answer."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call and what it must come to. ``why`` names the rule under test, for the evidence."""

    service: Service
    port: Port
    identity: Identity
    method: str
    path: str
    expect: str
    why: str

    @property
    def subject(self) -> str:
        """What the finding is about."""
        if self.expect == PLAINTEXT:
            return f"{self.service.key}:{self.port.number}"
        return f"{self.identity} -> {self.service.key}"

    def http(self) -> HttpCall:
        """The call as a probe sends it."""
        return HttpCall(self.method, f"http://{self.service.fqdn}:{self.port.number}{self.path}")


@dataclasses.dataclass(frozen=True, slots=True)
class CallPlan:
    """The calls, what could not be planned, and the services whose only callers are gateways."""

    calls: tuple[PlannedCall, ...]
    findings: tuple[Finding, ...]
    through_gateway: frozenset[str]

    @property
    def identities(self) -> tuple[Identity, ...]:
        """The probes that are needed. :returns: each once, sorted."""
        return tuple(sorted({call.identity for call in self.calls}))


def plan_calls(catalogue: Catalogue, accounts: frozenset[Identity], *, unsafe_methods: bool) -> CallPlan:
    """The calls for every service.

    :param accounts: the ServiceAccounts that exist; probes run as no others.
    :param unsafe_methods: whether a probe may send POST, PUT or the like where a rule allows nothing else.
    """
    findings: list[Finding] = []
    through_gateway: set[str] = set()
    allowed: list[list[PlannedCall]] = []
    denied: list[list[PlannedCall]] = []
    for service in catalogue.services:
        candidates = _allowed_calls(catalogue, service, accounts, unsafe_methods=unsafe_methods)
        if candidates:
            allowed.append(candidates)
        elif service.exposed:
            through_gateway.add(service.key)
        else:
            findings.append(unknown("authorization", service.key, _why_no_call(catalogue, service)))
        refusals = _denied_calls(catalogue, service, accounts)
        opening = catalogue.open_reason_of(service) or _open_to_anyone(service)
        if refusals:
            denied.append(refusals)
        elif opening:
            findings.append(stated("authorization", service.key, f"everybody is let in: {opening}"))
        else:
            findings.append(unknown("authorization", service.key, "its rules leave nobody to refuse"))
    chosen = _cover(allowed, set())
    used = {call.identity for call in chosen}
    chosen += _cover(denied, used)
    return CallPlan((*chosen, *_plaintext_calls(catalogue)), tuple(findings), frozenset(through_gateway))


def judge(call: PlannedCall, answer: Answer) -> Finding:
    """The finding that a call's answer amounts to."""
    if call.expect == PLAINTEXT:
        return _judge_plaintext(call, answer)
    if not call.port.is_http:
        return _judge_stream(call, answer)
    sent = f"{call.method} {call.path} ({call.why})"
    if call.expect == ALLOWED:
        if is_denial(answer):
            return failed("authorization", call.subject, f"{sent} was refused with 403 RBAC: access denied")
        if from_service(answer):
            return passed("authorization", call.subject, f"{sent} was let in, answer {answer.status}")
    elif is_denial(answer):
        return passed("authorization", call.subject, f"{sent} was refused with 403 RBAC: access denied")
    elif from_service(answer):
        return failed(
            "authorization", call.subject, f"{sent} was let in, answer {answer.status}: must be refused"
        )
    return unknown("authorization", call.subject, f"{sent} got no answer of the service: {describe(answer)}")


def is_denial(answer: Answer) -> bool:
    """Whether an AuthorizationPolicy refused: status and body of Envoy's RBAC filter, nothing else."""
    return answer.status == 403 and answer.body.startswith("RBAC: access denied")


def from_service(answer: Answer) -> bool:
    """Whether an answer came from beyond the calling proxy and is no message of a proxy on the way."""
    return UPSTREAM_HEADER in answer.headers and not answer.body.startswith(ENVOY_ANSWERS)


def describe(answer: Answer) -> str:
    """An answer in a few words."""
    if not answer.status:
        return answer.error or f"no HTTP answer (curl exit {answer.exit_code})"
    return f"{answer.status} by a proxy on the way" + (f": {answer.body[:120]}" if answer.body else "")


def is_conclusive(finding: Finding) -> bool:
    """Whether asking again could only repeat the answer."""
    return finding.verdict != CANNOT_TELL


def _judge_plaintext(call: PlannedCall, answer: Answer) -> Finding:
    if answer.status:
        return failed("plaintext", call.subject, f"a plaintext request was answered with {answer.status}")
    if answer.exit_code in CLOSED:
        return passed("plaintext", call.subject, "a plaintext request was cut off without an answer")
    if answer.exit_code in (0, 1):  # 1: bytes that are no HTTP, from a service that speaks something else
        return failed("plaintext", call.subject, "a plaintext connection was answered")
    return unknown("plaintext", call.subject, f"the plaintext request did not reach it: {describe(answer)}")


def _judge_stream(call: PlannedCall, answer: Answer) -> Finding:
    """TCP has no status: a refused connection is closed at the first byte, another is answered or held."""
    closed = answer.exit_code in CLOSED
    if call.expect == DENIED:
        if closed:
            return passed("authorization", call.subject, f"connection closed at the first byte ({call.why})")
        if answer.exit_code in (0, 1, 28):
            return failed(
                "authorization", call.subject, f"connection kept open ({call.why}): must be refused"
            )
    elif answer.exit_code in (0, 1, 28):
        return passed("authorization", call.subject, f"connection kept open ({call.why})")
    elif closed:
        return unknown(
            "authorization", call.subject, "connection closed, by a policy or by the service itself"
        )
    return unknown("authorization", call.subject, describe(answer))


def _allowed_calls(
    catalogue: Catalogue, service: Service, accounts: frozenset[Identity], *, unsafe_methods: bool
) -> list[PlannedCall]:
    """The best candidates: a caller's own edge with a harmless method, else an open path, else any
    method."""
    callers: list[PlannedCall] = []
    opens: list[PlannedCall] = []
    writes: list[PlannedCall] = []
    for edge in service_edges(catalogue, service):
        port = _http_or_stream_port(service, edge)
        if port is None:
            continue
        safe = next((method for method in SAFE_METHODS if not edge.methods or method in edge.methods), None)
        for identity in _holders(edge, catalogue, accounts):
            call = PlannedCall(
                service,
                port,
                identity,
                safe or edge.methods[0],
                concrete_path(edge.paths),
                ALLOWED,
                edge.caller,
            )
            (opens if edge.kind == "open" else callers if safe else writes).append(call)
    return callers or (writes if unsafe_methods else []) or opens


def _denied_calls(catalogue: Catalogue, service: Service, accounts: frozenset[Identity]) -> list[PlannedCall]:
    """Requests that a caller may make, sent by an identity that may not: only the identity is wrong."""
    edges = service_edges(catalogue, service)
    listed = {edge.principal for edge in edges if edge.kind != "open"}
    port = service.routed_port
    path = _closed_path(edges, port.target_port) if port else ""
    if port is None or not path:
        return []
    strangers = [
        identity
        for identity in sorted(accounts)
        if _principal(catalogue, identity) not in listed and identity.namespace in catalogue.namespaces
    ]
    return [
        PlannedCall(service, port, identity, "GET", path, DENIED, "not among its callers")
        for identity in strangers
        if identity.service_account != service.service_account or identity.namespace != service.namespace
    ]


def _closed_path(edges: Sequence[Edge], port: int) -> str:
    """A path of a caller's, or any other, that is not open to everybody; ``""`` when all of them may be.

    Where a probe's address is, nobody knows before: it may be in one of the networks that are let in.
    """
    opens = [edge for edge in edges if not edge.asks_who]
    models = [edge for edge in edges if edge.asks_who and edge.kind == "caller" and port in edge.ports]
    paths = [*(concrete_path(edge.paths) for edge in models[:1]), "/", f"/{NOWHERE}"]
    closed = (path for path in paths if not any(edge.takes("GET", path, port) for edge in opens))
    return next(closed, "")


def _open_to_anyone(service: Service) -> str:
    """The reasons of callers without an identity, who leave nobody to be refused; ``""`` without them."""
    reasons = (caller.reason for caller in service.callers if not caller.has_identity)
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def _plaintext_calls(catalogue: Catalogue) -> list[PlannedCall]:
    outside = Identity(catalogue.namespace, OUTSIDE, meshed=False)
    return [
        PlannedCall(service, port, outside, "GET", "/", PLAINTEXT, "plaintext")
        for service in catalogue.services
        for port in service.ports
        if port_mode(catalogue, service, port.target_port) == STRICT
    ]


def _cover(groups: Sequence[Sequence[PlannedCall]], used: set[Identity]) -> list[PlannedCall]:
    """One call of each group, with few identities: those in ``used`` first, then the one most groups
    know."""
    chosen: list[PlannedCall] = []
    known = set(used)
    left = list(groups)
    while left:
        served = [group for group in left if any(call.identity in known for call in group)]
        chosen += [next(call for call in group if call.identity in known) for group in served]
        left = [group for group in left if group not in served]
        if left:
            known.add(_most_common(left))
    return chosen


def _most_common(groups: Iterable[Sequence[PlannedCall]]) -> Identity:
    numbers: dict[Identity, int] = {}
    for group in groups:
        for identity in {call.identity for call in group}:
            numbers[identity] = numbers.get(identity, 0) + 1
    return min(numbers, key=lambda identity: (-numbers[identity], identity))


def _holders(edge: Edge, catalogue: Catalogue, accounts: frozenset[Identity]) -> list[Identity]:
    """The identities in the mesh's own namespaces for which an edge holds."""
    inside = [identity for identity in sorted(accounts) if identity.namespace in catalogue.namespaces]
    if edge.ip_blocks:
        return []
    if not edge.asks_who:
        return inside
    return [identity for identity in inside if _principal(catalogue, identity) == edge.principal]


def _principal(catalogue: Catalogue, identity: Identity) -> str:
    return f"{catalogue.trust_domain}/ns/{identity.namespace}/sa/{identity.service_account}"


def _http_or_stream_port(service: Service, edge: Edge) -> Port | None:
    """A Service port behind the edge; a scraped port that no Service has is left to the scraper."""
    ports = [port for port in service.ports if port.target_port in edge.ports]
    return next((port for port in ports if port.is_http), None) or next(iter(ports), None)


def concrete_path(paths: Sequence[str]) -> str:
    """A path that a rule with ``paths`` lets through."""
    if not paths:
        return "/"
    exact = next((path for path in paths if not path.endswith("*")), None)
    return exact or f"{paths[0][:-1]}{NOWHERE}"


def _why_no_call(catalogue: Catalogue, service: Service) -> str:
    edges = service_edges(catalogue, service)
    if not edges:
        return "the catalogue lets nobody in, so no allowed call can be shown"
    return (
        "no allowed call can be sent: its callers have no ServiceAccount in the mesh's namespaces, or may"
        " only use methods that change something (see verify_unsafe_methods)"
    )
