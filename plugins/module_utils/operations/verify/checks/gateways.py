# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check gateways from the outside: the certificate in a handshake, the redirect, every exposed path.

The controller connects itself where it reaches the gateway's Service; otherwise a probe pod outside the mesh
does. Both send the same requests, and their answers are judged by the same functions.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from ....istio.probe import Answer, HttpCall
from ....istio.proxy.handshake import Served, UnreachableError, handshake, request
from ....model.catalogue.mesh import Catalogue, Gateway, Server
from ....model.catalogue.services import Exposure, Service
from ....verdicts import CANNOT_TELL, PASS
from ..findings import Finding, failed, passed, unknown
from .authorization import SAFE_METHODS, UPSTREAM_HEADER, describe, from_service, is_denial

CURL_BAD_CERTIFICATE, CURL_TLS = 60, 35
REDIRECTS = (301, 302, 307, 308)
ATTEMPTS, PAUSE = 3, 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayCall:
    """A request to a gateway host.

    :param kind: ``redirect`` or ``exposure``. :param exposure: with the service behind it, for ``exposure``.
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
        """The gateway's port."""
        return self.server.port if self.tls else self.server.http_port

    @property
    def url(self) -> str:
        """The request's URL as a client writes it."""
        scheme, standard = ("https", 443) if self.tls else ("http", 80)
        port = "" if self.port == standard else f":{self.port}"
        return f"{scheme}://{concrete_host(self.server.host)}{port}{self.path}"


class Channel(Protocol):
    """A way to a gateway."""

    name: str

    def handshake(self, server: Server) -> Served:
        """What is served for the server's host. :raises UnreachableError: no connection."""

    def send(self, calls: Sequence[GatewayCall]) -> Sequence[Answer]:
        """The answers. :raises UnreachableError: no connection."""


class DirectChannel:
    """From this machine to one address of the gateway."""

    def __init__(self, address: str, ca_pem: str, timeout: float) -> None:
        self.name = f"from the controller to {address}"
        self._address, self._ca_pem, self._timeout = address, ca_pem, timeout

    def handshake(self, server: Server) -> Served:
        host = concrete_host(server.host)
        return handshake(self._address, server.port, host, ca_pem=self._ca_pem, timeout=self._timeout)

    def send(self, calls: Sequence[GatewayCall]) -> Sequence[Answer]:
        return [
            request(
                self._address,
                call.port,
                concrete_host(call.server.host),
                call.method,
                call.path,
                tls=call.tls,
                ca_pem=self._ca_pem,
                timeout=self._timeout,
            )
            for call in calls
        ]


class ProbeChannel:
    """From a probe pod outside the mesh, which is told the gateway's address."""

    def __init__(
        self, address: str, ca_pem: str, send: Callable[[Sequence[HttpCall], str], Sequence[Answer]]
    ) -> None:
        self.name = f"from a pod outside the mesh to {address}"
        self._address, self._ca_pem, self._send = address, ca_pem, send

    def handshake(self, server: Server) -> Served:
        host, port = concrete_host(server.host), server.port
        options = self._connect_to(host, port)
        answer = self._run([HttpCall("HEAD", f"https://{host}:{port}/", curl_options=options)])[0]
        if answer.exit_code in (CURL_BAD_CERTIFICATE, CURL_TLS):
            return Served(answer.error, untrusted="issuer" in answer.error or "self" in answer.error)
        return Served("")

    def send(self, calls: Sequence[GatewayCall]) -> Sequence[Answer]:
        return self._run(
            [
                HttpCall(
                    call.method,
                    call.url,
                    curl_options=self._connect_to(concrete_host(call.server.host), call.port),
                )
                for call in calls
            ]
        )

    def _connect_to(self, host: str, port: int) -> tuple[str, ...]:
        return ("--connect-to", f"{host}:{port}:{self._address}:{port}")

    def _run(self, calls: Sequence[HttpCall]) -> Sequence[Answer]:
        answers = self._send(calls, self._ca_pem)
        if any(answer.exit_code in (6, 7, 28) and not answer.status for answer in answers):
            raise UnreachableError(f"{self._address}: {answers[0].error or 'no connection'}")
        return answers


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayFacts:
    """What is known about a gateway's certificates before it is asked.

    :param credentials: SHA-256 of the leaf by Secret name, ``""`` when it may not be read, ``None`` when the
        Secret does not exist. :param trusted: whether the issuer's certificate was given or found.
    """

    credentials: Mapping[str, str | None]
    trusted: bool


def check_gateway(
    gateway: Gateway, calls: Sequence[GatewayCall], channels: Iterable[Channel], facts: GatewayFacts
) -> tuple[list[Finding], set[str]]:
    """The findings about one gateway, through the first channel that connects, and who answered behind it."""
    findings = [
        finding for server in gateway.servers if (finding := _check_credential(gateway, server, facts))
    ]
    reasons = []
    for channel in channels:
        try:
            served, reached = _check_through(gateway, calls, channel, facts)
        except UnreachableError as error:
            reasons.append(f"{channel.name}: {error}")
        else:
            return findings + served, reached
    why = "; ".join(reasons) or "no Service leads to it: give verify_gateway_addresses"
    for server in gateway.servers:
        findings.append(unknown("gateways", f"{gateway.name} {server.host}", f"could not be reached ({why})"))
    return findings, set()


def planned_calls(catalogue: Catalogue, gateway: Gateway, *, unsafe_methods: bool) -> list[GatewayCall]:
    """One call per redirect and per exposed path whose method changes nothing."""
    calls = []
    for server in gateway.servers:
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
        if answer.status in REDIRECTS and location.startswith(f"https://{concrete_host(call.server.host)}"):
            return passed("gateways", subject, f"{answer.status} to {location}")
        if answer.status:
            return failed("gateways", subject, f"answered {answer.status}, not a redirect to HTTPS")
        return unknown("gateways", subject, f"no answer {through}: {describe(answer)}")
    target = call.exposure[0].key if call.exposure else ""
    if is_denial(answer):
        return failed("gateways", subject, f"{target} refuses the gateway with 403 RBAC: access denied")
    if from_service(answer):
        return passed("gateways", subject, f"{answer.status} from {target}, {through}")
    if answer.status == 404 and not answer.body:
        return failed("gateways", subject, f"404 by the gateway itself: it has no route to {target}")
    if answer.status and UPSTREAM_HEADER not in answer.headers and not answer.body:
        return failed("gateways", subject, f"{answer.status} by the gateway itself, nothing from {target}")
    return unknown("gateways", subject, f"no answer of {target} {through}: {describe(answer)}")


def addresses(
    gateway: Gateway, pods: Sequence[Mapping[str, Any]], services: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Where the gateway's Services listen: load balancers, external addresses, then cluster addresses.

    :param pods: the pods of its workload namespace. :param services: the Services of that namespace.
    """
    labels = [
        pod["metadata"].get("labels") or {}
        for pod in pods
        if gateway.selector.items() <= (pod["metadata"].get("labels") or {}).items()
    ]
    ports = {server.port for server in gateway.servers if server.certificate} or {
        server.http_port for server in gateway.servers
    }
    outer: list[str] = []
    inner: list[str] = []
    for service in services:
        spec = service.get("spec") or {}
        selector = spec.get("selector") or {}
        if not selector or not any(selector.items() <= known.items() for known in labels):
            continue
        if not ports <= {int(port.get("port", 0)) for port in spec.get("ports") or ()}:
            continue
        balancer = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        outer += [str(entry.get("ip") or entry.get("hostname")) for entry in balancer]
        outer += [str(address) for address in spec.get("externalIPs") or ()]
        inner += [str(spec["clusterIP"])] if spec.get("clusterIP") not in (None, "", "None") else []
    return list(dict.fromkeys(outer + inner))


def concrete_host(host: str) -> str:
    """A host that a wildcard server serves."""
    return f"servicemesh-verify{host[1:]}" if host.startswith("*.") else host


def _check_credential(gateway: Gateway, server: Server, facts: GatewayFacts) -> Finding | None:
    if server.certificate and facts.credentials.get(server.certificate, "") is None:
        secret = f"Secret {gateway.workload_namespace}/{server.certificate}"
        return failed(
            "gateways", f"{gateway.name} {server.host}", f"its certificate, {secret}, does not exist"
        )
    return None


def _check_through(
    gateway: Gateway, calls: Sequence[GatewayCall], channel: Channel, facts: GatewayFacts
) -> tuple[list[Finding], set[str]]:
    findings = [
        _judge_handshake(gateway, server, channel.handshake(server), facts, channel.name)
        for server in gateway.servers
        if server.certificate
    ]
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
            time.sleep(PAUSE)
        answers = channel.send([calls[index] for index in left])
        for index, answer in zip(left, answers, strict=True):
            judged[index] = judge_gateway_call(calls[index], answer, channel.name)
    reached = {
        call.exposure[0].key
        for index, call in enumerate(calls)
        if call.exposure and judged[index].verdict == PASS
    }
    return findings + [judged[index] for index in range(len(calls))], reached


def _judge_handshake(
    gateway: Gateway, server: Server, served: Served, facts: GatewayFacts, through: str
) -> Finding:
    subject = f"{gateway.name} {server.host}"
    if served.untrusted and not facts.trusted:
        return unknown(
            "gateways", subject, f"its issuer is not known here ({served.fault}): give verify_gateway_ca"
        )
    if served.fault:
        return failed("gateways", subject, f"its certificate is not good, {through}: {served.fault}")
    stored = facts.credentials.get(server.certificate or "", "")
    if stored and served.fingerprint and stored != served.fingerprint:
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
