# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security: caller and callee that do not agree on mutual TLS, and the object that decided it."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import list_at, mapping_at, text_at
from ....model.security.outbound import uncaptured_outbound, way_past
from ....model.security.peer_authentication import STRICT
from ....model.security.pods import read_pod
from ....model.security.transport import WILL_FAIL, ServerPort, connect
from ....object_id import object_id
from ..case import Case
from ..cause import LIKELY, SECURITY, SEEN, SURE, Cause
from .calls import Call, calls
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """Connections of the symptom that cannot come about. :returns: one cause per object."""
    told: set[str] = set()
    if {"DestinationRule", "PeerAuthentication"} & set(case.material.unread):  # one of them may say otherwise
        return
    for call in (*calls(case), *_others(case)):
        cause = _connection(case, call)
        if cause is not None and cause.object not in told:
            told.add(cause.object)
            yield cause


def _others(case: Case) -> Iterator[Call]:
    """Without a caller: any sidecar of the callee's own namespace, since mesh-wide rules show there."""
    if case.callers:
        return
    for call in calls(case):
        near = next(
            (
                pod
                for raw in case.live.of("Pod", call.callee.namespace)
                if (pod := read_pod(raw)).meshed and not pod.gateway
            ),
            None,
        )
        yield Call(near, call.callee, call.service, call.number, call.target, call.http)


def _connection(case: Case, call: Call) -> Cause | None:
    if call.caller is None:
        return None
    pod, host = call.callee, case.fqdn(call.service)
    subsets = {"", *(target.subset for _item, target in case.leading_to(host))}
    mode, decided = case.modes.mode(pod.namespace, pod.labels, call.target)
    captured = pod.captures(call.target)
    if captured and mode == STRICT and (past := _past(case, call)):
        return past
    server = ServerPort(pod, call.target, mode if captured else "", decided, call.http)
    for subset in sorted(subsets):
        client = (
            case.rules.mode(
                call.caller.namespace, call.caller.labels, host, pod.namespace, call.number, subset
            )
            if call.caller.meshed
            else None
        )
        connection = connect(client, server, case.modes.of_namespace(pod.namespace))
        if connection.verdict == WILL_FAIL:
            return _cause(case, call, connection.reason, connection.decided, captured=captured)
    return None


def _past(case: Case, call: Call) -> Cause | None:
    """A caller whose own sidecar does not get the call: it comes in plaintext."""
    caller, spec = call.caller, mapping_at(call.service, "spec")
    raw = case.live.find("Pod", caller.namespace, caller.name) if caller and case.callers else None
    if caller is None or raw is None or not caller.meshed or caller.gateway:
        return None
    own = [text_at(spec, "clusterIP"), *map(str, list_at(spec, "clusterIPs"))]
    addresses = [call.callee.address] if own[0] == "None" else own
    way = way_past(uncaptured_outbound(raw), call.number, addresses)
    if not way:
        return None
    said = (
        f"calls {way} past its sidecar; port {call.target} of Pod {call.callee} takes nothing but mutual TLS"
    )
    remedy = "take it out of traffic.sidecar.istio.io/... in the template of its workload"
    return Cause(SECURITY, f"Pod {caller}", said, remedy, SURE)


def _cause(case: Case, call: Call, reason: str, decided: tuple[str, ...], *, captured: bool) -> Cause:
    caller, pod = call.caller, call.callee
    lines = [seen for seen in case.flagged("UF") + case.flagged("UC") if "TLS" in seen.line.failure.upper()]
    evidence = tuple(f"Pod {seen.proxy}: {seen.line.failure}" for seen in lines[:1])
    weight = (SURE if case.callers else LIKELY + 20) + (SEEN if evidence else 0)
    if caller is not None and not caller.meshed and case.callers:
        named = next((name for name in decided if name.startswith("PeerAuthentication")), f"Pod {caller}")
        said = f"takes nothing but mutual TLS on port {call.target} of Pod {pod}; Pod {caller} has no sidecar"
        remedy = f"inject the caller (injection_namespaces: [{caller.namespace}]), or mtls: of the service"
        return Cause(SECURITY, named, said, remedy, weight, (*evidence, reason))
    if not captured and pod.meshed:
        said = f"does not let its sidecar take port {call.target} (excludeInboundPorts): {reason}"
        remedy = "take traffic.sidecar.istio.io/excludeInboundPorts out of the template of its workload"
        return Cause(SECURITY, f"Pod {pod}", said, remedy, weight, evidence)
    if decided:
        rules = [name for name in decided if name.startswith("DestinationRule")]
        name = (rules or list(decided))[0]
        other = f" ({', '.join(item for item in decided if item != name)})" if len(decided) > 1 else ""
        said = f"makes calls to {object_id(call.service)} fail: {reason}{other}"
        return Cause(SECURITY, name, said, edit(name), weight, evidence)
    said = f"cannot be called with mutual TLS: {reason}"
    return Cause(SECURITY, f"Pod {pod}", said, "see docs/guides/mesh.md, mtls", weight, evidence)
