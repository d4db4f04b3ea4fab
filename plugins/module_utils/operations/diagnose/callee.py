# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callee's side makes of a call: the transport, and the policies of each of its pods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...istio.proxy.listeners import serving_port
from ...model.catalogue.edges import ANY_PEER, Edge, decide
from ...model.catalogue.services import Port, Service
from ...model.security import transport as wire
from ...model.security.matrix import describe
from ...model.security.requests import ALLOW, UNKNOWN, Request
from ...model.security.transport import MTLS, PLAINTEXT, ServerPort, connect
from ..verify.dumps import ProxyDump, ProxyDumps
from ..verify.findings import Finding, failed, passed, unknown
from ..verify.picture import Picture, SeenPod
from ..verify.policies.own import OwnPolicies


def transport(picture: Picture, caller: SeenPod, destination: Service, port: Port) -> list[Finding]:
    """Whether the caller's proxy and each of the callee's agree on how to talk.

    :returns: one step per pod of the callee.
    """
    service_mode = picture.modes.of_namespace(destination.namespace)
    found = []
    for seen in picture.pods_of(destination):
        server = seen.port(port.target_port)
        if server is None:
            continue
        worst = None
        for subset in ("", *destination.versions):
            client = picture.rules.mode(
                caller.pod.namespace,
                caller.pod.labels,
                destination.fqdn,
                destination.namespace,
                port.number,
                subset,
            )
            mode = server.mode if server.captured else ""
            held = ServerPort(seen.pod, server.number, mode, server.decided, server.http and not server.tcp)
            connection = connect(client, held, service_mode)
            if worst is None or connection.verdict != MTLS:
                worst = connection
        if worst is None:
            continue
        objects = ", ".join(worst.decided) or "defaults"
        told = f"{worst.verdict}: {worst.reason} ({objects})"
        subject = worst.decided[0] if worst.decided else f"Pod {seen.pod}"
        if worst.verdict == MTLS or (worst.verdict == PLAINTEXT and server.wanted != "STRICT"):
            found.append(passed("mtls", f"Pod {seen.pod}", told))
        elif worst.verdict == wire.UNKNOWN:
            found.append(unknown("mtls", subject, told))
        else:
            found.append(failed("mtls", subject, told))
    return found


def policies(picture: Picture, dumps: ProxyDumps, request: Request, destination: Service) -> list[Finding]:
    """What the live policies decide about the call at each pod, and what the proxy there really holds.

    :returns: one step per pod, two where objects and proxy differ.
    """
    own = OwnPolicies(picture)
    found = []
    for seen in picture.pods_of(destination):
        subject = f"Pod {seen.pod}"
        told = describe(request)
        decision = seen.held.decide(request)
        if decision.verdict == ALLOW:
            why = decision.policy or decision.reason
            found.append(passed("policies", subject, f"lets in {told}: {why}"))
        elif decision.verdict == UNKNOWN:
            found.append(unknown("policies", decision.policy or subject, f"{decision.reason}: {told}"))
        else:
            culprit, fault = own.culprit(destination.namespace, destination.name)
            named = decision.policy or culprit or subject
            why = decision.reason if decision.policy or not culprit else fault
            found.append(failed("policies", named, f"{why}: refuses {told} with 403"))
        found += _held(subject, dumps.held.get(str(seen.pod)), request, decision.verdict)
    return found


def _held(subject: str, dump: ProxyDump | None, request: Request, wanted: str) -> list[Finding]:
    serving = serving_port(dump.ports, request.port) if dump else None
    for chain in serving.chains if serving else ():
        if not chain.mtls or chain.http is not request.http:
            continue
        got = chain.authorization.decide(request)
        if UNKNOWN not in (got.verdict, wanted) and got.verdict != wanted:
            does = "lets it in" if got.verdict == ALLOW else "refuses it"
            return [failed("policies", subject, f"its proxy {does}: it does not hold the policies yet")]
    return []


def stated(edges: Sequence[Edge], request: Request, destination: Service) -> Finding:
    """What the catalogue says to the call."""
    index = decide(tuple(edges), request.principal, request.method, request.path, request.port)
    sent = f"{request.method} {request.path} by {request.principal}"
    if index is None:
        allowed = "; ".join(_describe(edges, request.principal)) or "nothing"
        return failed(
            "authorization",
            destination.key,
            f"the catalogue refuses {sent} with 403; it allows {allowed}",
        )
    return passed("authorization", destination.key, f"the catalogue allows {sent} (rule {index})")


def _describe(edges: Iterable[Edge], principal: str) -> list[str]:
    return [
        f"{'/'.join(edge.methods) or 'any method'} {', '.join(edge.paths) or 'any path'}"
        for edge in edges
        if edge.principal in (principal, ANY_PEER)
    ]
