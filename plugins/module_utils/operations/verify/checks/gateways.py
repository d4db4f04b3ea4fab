# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check gateways from the outside: the certificate in a handshake, the redirect, every exposed path.

What to ask, and what the answers come to. How a gateway is reached is `channels`' business.
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from ....istio.probe.pods import Answer
from ....istio.proxy.handshake import Presented, UnreachableError
from ....kube.clock import Clock
from ....model.catalogue.exposures import server_for
from ....model.catalogue.mesh import Catalogue, Gateway, Server
from ....model.catalogue.services import Exposure, Service
from ....model.certificates.served import ASKING_MODES
from ....verdicts import CANNOT_TELL, PASS
from ..findings import Finding, failed, not_tested, passed, unknown
from ..planned_calls import SAFE_METHODS
from .authorization import UPSTREAM_HEADER, describe, from_service, is_denial

REDIRECTS = (301, 302, 307, 308)
ATTEMPTS, PAUSE = 3, 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayCall:
    """A request to a gateway host.

    :param kind: ``redirect`` or ``exposure``. :param exposure: with the service behind it, for
        ``exposure``.
    """

    gateway: Gateway
    server: Server
    kind: str
    method: str
    path: str
    exposure: tuple[Service, Exposure] | None = None

    @property
    def tls(self) -> bool:
        """Whether it goes to the HTTPS port."""
        return self.kind == "exposure" and self.server.certificate is not None

    @property
    def port(self) -> int:
        """The gateway's port: only a redirect stands on the second one."""
        return self.server.http_port if self.kind == "redirect" else self.server.port

    @property
    def url(self) -> str:
        """The request's URL as a client writes it."""
        scheme, standard = ("https", 443) if self.tls else ("http", 80)
        port = "" if self.port == standard else f":{self.port}"
        return f"{scheme}://{self.server.host}{port}{self.path}"


class Channel(Protocol):
    """A way to a gateway.

    :param has_client: whether it shows a client's certificate to hosts that ask for one.
    """

    name: str
    has_client: bool

    def handshake(self, server: Server) -> Presented:
        """What is served for the server's host. :raises UnreachableError: no connection."""

    def send(self, calls: Sequence[GatewayCall]) -> Sequence[Answer]:
        """The answers. :raises UnreachableError: no connection.

        :returns: one answer per call, in their order.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayFacts:
    """What is known about a gateway's certificates before it is asked.

    :param credentials: SHA-256 of the leaf by Secret name, ``""`` when it may not be read, ``None`` when
        the Secret does not exist. :param trusted: whether the issuer's certificate was given or found.
    :param faults: by Secret name, why a gateway that starts now could not use it.
    :param without_ca: by Secret name, why no client's certificate can be checked; of servers with MUTUAL.
    """

    credentials: Mapping[str, str | None]
    trusted: bool
    faults: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without_ca: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayResult:
    """What came of a gateway.

    :param reached: ``namespace/name`` of the services that answered through it.
    :param untested: of services behind hosts to which nobody here could send a request.
    :param answered: service and exposure of each request that a service answered.
    """

    findings: tuple[Finding, ...]
    reached: frozenset[str] = frozenset()
    untested: frozenset[str] = frozenset()
    answered: tuple[tuple[Service, Exposure], ...] = ()


def named_servers(catalogue: Catalogue, gateway: Gateway) -> tuple[Gateway, list[Finding]]:
    """The gateway with a server for each name that clients really ask for: of a wildcard only the catalogue
    knows them, as hosts that services are exposed at. A name of our own would be answered with 404.

    :returns: the gateway, and a note for each wildcard of which no name is known.
    """
    hosts = dict.fromkeys(
        exposure.host
        for service in catalogue.services
        for exposure in service.exposed
        if exposure.gateway == gateway.name
    )
    servers: list[Server] = []
    notes: list[Finding] = []
    for server in gateway.servers:
        if not server.host.startswith("*."):
            servers.append(server)
            continue
        names = [host for host in hosts if server_for(gateway, host) is server]
        servers += [dataclasses.replace(server, host=name) for name in names]
        if not names:
            why = "no service is exposed under it, so no name is known that it serves"
            notes.append(not_tested("gateways", f"{gateway.name} {server.host}", why))
    return dataclasses.replace(gateway, servers=tuple(servers)), notes


def check_gateway(
    catalogue: Catalogue,
    gateway: Gateway,
    calls: Sequence[GatewayCall],
    channels: Iterable[Channel],
    facts: GatewayFacts,
    clock: Clock,
    *,
    no_channel: str = "",
) -> GatewayResult:
    """The findings about one gateway, through the first channel that connects, and who answered behind it.

    :param gateway: with named servers only, see :func:`named_servers`.
    :param no_channel: why there is none to try.
    """
    findings = [
        finding for server in gateway.servers if (finding := _check_credential(gateway, server, facts))
    ]
    reasons = []
    for channel in channels:
        try:
            found = _check_through(catalogue, gateway, calls, channel, facts, clock)
        except UnreachableError as error:
            reasons.append(f"{channel.name}: {error}")
        else:
            return dataclasses.replace(found, findings=(*findings, *found.findings))
    why = "; ".join(reasons) or no_channel
    for server in gateway.servers:
        findings.append(unknown("gateways", f"{gateway.name} {server.host}", f"could not be reached ({why})"))
    return GatewayResult(tuple(findings))


def planned_calls(catalogue: Catalogue, gateway: Gateway, *, unsafe_methods: bool) -> list[GatewayCall]:
    """One call per redirect and per exposed path whose method changes nothing.

    :returns: in the order of the gateway's servers.
    """
    calls = []
    for server in gateway.servers:
        if not server.is_http:
            continue
        if server.https_redirect and server.certificate:
            calls.append(GatewayCall(gateway, server, "redirect", "GET", "/"))
        for service, exposure in _exposures(catalogue, gateway, server):
            method = _method(exposure, unsafe_methods=unsafe_methods)
            if method:
                calls.append(
                    GatewayCall(gateway, server, "exposure", method, exposure.path, (service, exposure))
                )
    return calls


def judge_gateway_call(call: GatewayCall, answer: Answer, through: str) -> Finding:
    """The finding that an answer amounts to."""
    subject = f"{call.gateway.name} {call.method} {call.url}"
    if call.kind == "redirect":
        location = answer.headers.get("location", "")
        if answer.status in REDIRECTS and _is_https(location, call.server.host):
            return passed("gateways", subject, f"{answer.status} to {location}")
        if answer.status:
            return failed("gateways", subject, f"answered {answer.status}, not a redirect to HTTPS")
        return unknown("gateways", subject, f"no answer {through}: {describe(answer)}")
    target = call.exposure[0].key if call.exposure else ""
    if is_denial(answer) and UPSTREAM_HEADER not in answer.headers:
        whose = f"of a policy at the gateway (or of {target}, where Envoy's headers are hidden)"
        return failed("gateways", subject, f"403 RBAC: access denied, {whose}")
    if is_denial(answer):
        return failed("gateways", subject, f"{target} refuses the gateway with 403 RBAC: access denied")
    if from_service(answer):
        return passed("gateways", subject, f"{answer.status} from {target}, {through}")
    if answer.status == 404 and not answer.body:
        return failed("gateways", subject, f"404 by the gateway itself: it has no route to {target}")
    if answer.status and UPSTREAM_HEADER not in answer.headers and not answer.body:
        return failed("gateways", subject, f"{answer.status} by the gateway itself, nothing from {target}")
    return unknown("gateways", subject, f"no answer of {target} {through}: {describe(answer)}")


def _is_https(location: str, host: str) -> bool:
    """Whether a Location leads to the same host by HTTPS, and not to one whose name begins like it."""
    try:
        target = urllib.parse.urlsplit(location)
    except ValueError:
        return False
    return target.scheme == "https" and target.hostname == host


def _check_credential(gateway: Gateway, server: Server, facts: GatewayFacts) -> Finding | None:
    if server.certificate and facts.credentials.get(server.certificate, "") is None:
        secret = f"Secret {gateway.workload_namespace}/{server.certificate}"
        return failed(
            "gateways", f"{gateway.name} {server.host}", f"its certificate, {secret}, does not exist"
        )
    fault = facts.faults.get(server.certificate or "")
    if fault:
        secret = f"Secret {gateway.workload_namespace}/{server.certificate}"
        reason = f"{fault}: a gateway keeps the last good one until it restarts"
        return failed("gateways", f"{gateway.name} {server.host}", f"{secret} {reason}")
    missing = facts.without_ca.get(server.certificate or "")
    if missing and server.mode in ASKING_MODES:
        return failed("gateways", f"{gateway.name} {server.host}", f"no client gets in: {missing}")
    return None


def _check_through(
    catalogue: Catalogue,
    gateway: Gateway,
    calls: Sequence[GatewayCall],
    channel: Channel,
    facts: GatewayFacts,
    clock: Clock,
) -> GatewayResult:
    findings: list[Finding] = []
    reached: set[str] = set()
    untested: set[str] = set()
    for server in gateway.servers:
        if server.certificate:
            served = channel.handshake(server)
            findings += _judge_handshake(gateway, server, served, facts, channel)
        behind = {service.key for service, _exposure in _exposures(catalogue, gateway, server)}
        if server.is_passthrough and behind:
            finding = _judge_passthrough(gateway, server, channel.handshake(server), channel.name)
            findings.append(finding)
            if finding.verdict == PASS:
                reached |= behind
            continue
        why = _why_untested(server, channel)
        if why and behind:
            findings.append(not_tested("gateways", f"{gateway.name} {server.host}", why))
            untested |= behind
    possible = [call for call in calls if call.kind == "redirect" or not _why_untested(call.server, channel)]
    told, answered = _ask(possible, channel, clock)
    reached |= {service.key for service, _exposure in answered}
    return GatewayResult((*findings, *told), frozenset(reached), frozenset(untested), tuple(answered))


def _why_untested(server: Server, channel: Channel) -> str:
    """Why no request can be sent to a host, as half a sentence with the way out; ``""`` when one can."""
    if server.protocol == "TCP":
        return "TCP: the gateway takes every connection, and only a client of the protocol sees what answers"
    if server.protocol == "TLS":
        return "TLS ends at the gateway, and only a client of the protocol behind it sees what answers"
    if server.mode == "MUTUAL" and not channel.has_client:
        way_out = "give verify_gateway_client_cert and verify_gateway_client_key"
        return f"its clients need a certificate, and there is none {channel.name}: {way_out}"
    return ""


def _ask(
    calls: Sequence[GatewayCall], channel: Channel, clock: Clock
) -> tuple[list[Finding], list[tuple[Service, Exposure]]]:
    """Sends the calls, those without a verdict again.

    :returns: one finding per call, and what services answered.
    """
    judged: dict[int, Finding] = {}
    for attempt in range(ATTEMPTS):
        left = [
            index
            for index in range(len(calls))
            if index not in judged or judged[index].verdict == CANNOT_TELL
        ]
        if not left:
            break
        if attempt:
            clock.sleep(PAUSE)
        answers = channel.send([calls[index] for index in left])
        for index, answer in zip(left, answers, strict=True):
            judged[index] = judge_gateway_call(calls[index], answer, channel.name)
    answered = [
        call.exposure for index, call in enumerate(calls) if call.exposure and judged[index].verdict == PASS
    ]
    return [judged[index] for index in range(len(calls))], answered


def _judge_passthrough(gateway: Gateway, server: Server, served: Presented, through: str) -> Finding:
    """Whether a TLS server answers by that name; whose certificate it has is its clients' business."""
    subject = f"{gateway.name} {server.host}"
    if served.unanswered:
        return unknown("gateways", subject, f"no handshake {through}: {served.unanswered}")
    if served.fingerprint or served.untrusted or served.client_refused or not served.fault:
        return passed("gateways", subject, f"TLS passes through to a server that answers, {through}")
    return failed("gateways", subject, f"no TLS server answers behind it, {through}: {served.fault}")


def _judge_handshake(
    gateway: Gateway, server: Server, served: Presented, facts: GatewayFacts, channel: Channel
) -> list[Finding]:
    """One finding about the certificate, and of a host that asks clients for theirs one about that."""
    subject = f"{gateway.name} {server.host}"
    if server.mode != "MUTUAL" or channel.has_client:
        return [_judge_certificate(gateway, server, served, facts, channel.name)]
    if served.client_refused:
        refused = passed("gateways", subject, f"refuses clients without a certificate, {channel.name}")
        if not served.fingerprint:
            return [refused]
        return [refused, _judge_certificate(gateway, server, served, facts, channel.name)]
    if served.fault or served.unanswered:
        return [_judge_certificate(gateway, server, served, facts, channel.name)]
    return [failed("gateways", subject, f"lets clients in that show no certificate, {channel.name}")]


def _judge_certificate(
    gateway: Gateway, server: Server, served: Presented, facts: GatewayFacts, through: str
) -> Finding:
    subject = f"{gateway.name} {server.host}"
    if served.untrusted and not facts.trusted:
        return unknown(
            "gateways", subject, f"its issuer is not known here ({served.fault}): give verify_gateway_ca"
        )
    if served.unanswered:
        return unknown("gateways", subject, f"no handshake {through}: {served.unanswered}")
    if served.fault:
        return failed("gateways", subject, f"its certificate is not good, {through}: {served.fault}")
    stored = facts.credentials.get(server.certificate or "", "")
    if not served.fingerprint or not stored:
        why = "which one it serves was not seen (curl before 7.88)" if stored else "its Secret was not read"
        accepted = "a certificate that clients accept was served"
        return unknown("gateways", subject, f"{accepted}, {through}, but {why}")
    if stored != served.fingerprint:
        other = (
            f"serves certificate {served.fingerprint[:16]}, Secret {server.certificate} holds {stored[:16]}"
        )
        return failed("gateways", subject, other)
    detail = f", valid until {served.not_after}" if served.not_after else ""
    return passed("gateways", subject, f"serves a certificate that clients accept{detail}, {through}")


def _exposures(catalogue: Catalogue, gateway: Gateway, server: Server) -> Iterator[tuple[Service, Exposure]]:
    for service in catalogue.services:
        for exposure in service.exposed:
            if exposure.gateway == gateway.name and exposure.host == server.host:
                yield service, exposure


def _method(exposure: Exposure, *, unsafe_methods: bool) -> str:
    if not exposure.methods:
        return "GET"
    safe = next((method for method in SAFE_METHODS if method in exposure.methods), "")
    return safe or (exposure.methods[0] if unsafe_methods else "")
