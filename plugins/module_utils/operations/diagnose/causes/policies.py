# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security: what the live AuthorizationPolicies decide about the symptom's calls, and whom they refused.

Decided by the evaluator (`model/security`); the access logs of callees name the policy that Envoy held.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ....fields import labels_of, list_at, mapping_at, mappings_at, name_of, namespace_of, text_at
from ....kube.pods import addresses
from ....model.security.attachment import selects
from ....model.security.authorization import action_of, decides
from ....model.security.pods import read_pod
from ....model.security.requests import DENY, UNKNOWN, Decision, Request, Token, path_alone
from ....object_id import object_id
from ..case import Case, Obj, SeenLine, full_name
from ..cause import LIKELY, POSSIBLE, SECURITY, SEEN, SURE, Cause
from .calls import Call, calls, principal_of
from .words import edit

ALLOWED = "callers: of the service in mesh_services"


def find(case: Case) -> Iterator[Cause]:
    """Policies that refuse the symptom's calls. :returns: one cause per object."""
    told: set[str] = set()
    if "AuthorizationPolicy" in case.material.unread:  # one that was not read may let it in
        return
    for call in calls(case):
        if call.caller is None or not call.callee.captures(call.target):
            continue
        cause = _decided(case, call)
        if cause is not None and cause.object not in told:
            told.add(cause.object)
            yield cause
    if not told:
        yield from _logged(case)


def _decided(case: Case, call: Call) -> Cause | None:
    pod = call.callee
    held = case.policies.workload(pod.namespace, pod.labels)
    request = call.request(case)
    decision = held.decide(request)
    caller = request.principal or "a caller without a certificate"
    asked = f"{request.method} {request.path}" if request.http else f"a connection to port {request.port}"
    if decision.verdict == UNKNOWN:
        if decision.policy and "CUSTOM" in decision.reason:
            said = f"lets a server decide about {asked} by {caller}: what it says is not known here"
            return Cause(SECURITY, decision.policy, said, "ask the log of that server", POSSIBLE)
        return None
    if decision.verdict != DENY:
        return None
    evidence = tuple(
        f"the proxy of Pod {seen.proxy} refused {seen.line.method} {seen.line.path} ({seen.line.details})"
        for seen in _refusals(case)[:2]
    )
    weight = SURE + SEEN if evidence else SURE
    name, why, remedy = _named(case, call, request, decision)
    said = f"refuses {asked} by {caller} at Pod {pod} with 403: {why}"
    return Cause(SECURITY, name, said, remedy, weight, evidence)


def _named(case: Case, call: Call, request: Request, decision: Decision) -> tuple[str, str, str]:
    """The policy at fault, why it refuses, and what mends it."""
    if decision.policy:
        rule = f"rule {decision.rule}" if decision.rule is not None else "its rule"
        return decision.policy, f"{rule} of its DENY matches", edit(decision.policy)
    pod = call.callee
    own = [
        item
        for item in case.policies.of(pod.namespace, pod.labels)
        if decides(item) and action_of(item) == "ALLOW"
    ]
    with_rules = [item for item in own if mappings_at(item, "spec", "rules")]
    missing = _misses_selector(case, call, request) if not with_rules else None
    if missing is not None:
        name = object_id(missing)
        selector = mapping_at(missing, "spec", "selector", "matchLabels")
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
        return name, f"it would allow it, and its selector ({wanted}) selects no pod", edit(name)
    chosen = (with_rules or own)[0]
    name = object_id(chosen)
    if not with_rules:
        return name, "it has no rule, so it refuses everything, and no other policy allows it", ALLOWED
    if not request.http and all(_asks_http(rule) for rule in mappings_at(chosen, "spec", "rules")):
        return name, "its rules ask for methods, paths or hosts, which a TCP port does not have", edit(name)
    if _needs_token(case, call, request):
        return (
            name,
            "it asks for a token (requestPrincipals, or request.auth), and the request has none",
            edit(name),
        )
    others = f" (and {len(with_rules) - 1} more)" if len(with_rules) > 1 else ""
    return name, f"no ALLOW rule{others} takes it", f"{ALLOWED}, or {edit(name)}"


def _misses_selector(case: Case, call: Call, request: Request) -> Obj | None:
    """A policy of the callee's namespace that would allow the request, if it selected the pod."""
    pod = call.callee
    for item in case.of("AuthorizationPolicy"):
        if namespace_of(item) != pod.namespace or action_of(item) != "ALLOW" or not decides(item):
            continue
        selector = mapping_at(item, "spec", "selector", "matchLabels")
        if not selector or selects(item, pod.namespace, pod.labels, case.root):
            continue
        pods = case.live.of("Pod", pod.namespace)
        taken = [one for one in pods if selector.items() <= mapping_at(one, "metadata", "labels").items()]
        if not taken and _allows(case, item, pod.namespace, dict(selector), request):
            return item
    return None


def _allows(case: Case, item: Obj, namespace: str, labels: dict[str, str], request: Request) -> bool:
    index = type(case.policies)([item], root_namespace=case.root, trust_domains=case.trust_domains)
    return index.workload(namespace, labels).decide(request).verdict not in (DENY, UNKNOWN)


def _asks_http(rule: Obj) -> bool:
    fields = ("methods", "notMethods", "paths", "notPaths", "hosts", "notHosts")
    return any(list_at(item, "operation", name) for item in mappings_at(rule, "to") for name in fields)


def _needs_token(case: Case, call: Call, request: Request) -> bool:
    """Whether a valid token alone would let the request in."""
    for item in case.of("RequestAuthentication"):
        if not selects(item, call.callee.namespace, call.callee.labels, case.root):
            continue
        for rule in mappings_at(item, "spec", "jwtRules"):
            audiences = tuple(map(str, list_at(rule, "audiences")))
            token = Token(text_at(rule, "issuer"), "somebody", audiences)
            bearing = dataclasses.replace(request, token=token)
            held = case.policies.workload(call.callee.namespace, call.callee.labels)
            if held.decide(bearing).verdict != DENY:
                return True
    return False


def _refusals(case: Case) -> list[SeenLine]:
    callees = set(map(full_name, case.callees or case.subjects))
    return [seen for seen in case.material.lines if seen.line.refused and seen.proxy in callees]


def _logged(case: Case) -> Iterator[Cause]:
    """Refusals in the access logs of callees, of pods that the policies still refuse.

    To refuse strangers is what policies are for: so only callers count that the symptom names, or that run
    beside the callee in a namespace of the mesh. What has been mended since is no cause any more.
    """
    callers = {
        address: pod
        for pod in case.callers or [pod for place in case.meshed for pod in case.live.of("Pod", place)]
        for address in addresses(pod)
    }
    by_object: dict[str, list[tuple[SeenLine, Obj]]] = {}
    for seen in _refusals(case):
        caller = callers.get(seen.line.peer)
        if caller is None:
            continue
        decision = _again(case, seen, caller)
        if decision is not None:
            name = decision.policy or _allowing(case, seen.proxy)
            by_object.setdefault(name, []).append((seen, caller))
    for name, found in by_object.items():
        (seen, caller), weight = found[-1], POSSIBLE if case.symptom.anything else LIKELY + 10
        asked = f"{seen.line.method} {seen.line.path}"
        said = f"refuses Pod {namespace_of(caller)}/{name_of(caller)} {asked} with 403"
        shown = f"the proxy of Pod {seen.proxy} refused {len(found)} requests just now ({seen.line.details})"
        yield Cause(SECURITY, name, said, f"{ALLOWED}, or {edit(name)}", weight, (shown,))


def _again(case: Case, seen: SeenLine, caller: Obj) -> Decision | None:
    """What the policies say now to a request that was refused; None when it would be let in."""
    raw = case.live.find("Pod", *seen.proxy.split("/", 1))
    port = seen.line.cluster.split("|")[1:2]
    if raw is None or not port or not port[0].isdigit():
        return None
    callee, peer = read_pod(raw), read_pod(caller)
    held = case.policies.workload(callee.namespace, callee.labels)
    request = Request(
        principal_of(case, peer),
        int(port[0]),
        seen.line.method or "GET",
        path_alone(seen.line.path) or "/",
    )
    decision = held.decide(request)
    return decision if decision.verdict == DENY else None


def _allowing(case: Case, pod: str) -> str:
    """The ALLOW policy that selects a pod; the pod when there is none."""
    raw = case.live.find("Pod", *pod.split("/", 1))
    own = case.policies.of(pod.partition("/")[0], labels_of(raw))
    names = [object_id(item) for item in own if action_of(item) == "ALLOW" and decides(item)]
    return names[-1] if names else f"Pod {pod}"
