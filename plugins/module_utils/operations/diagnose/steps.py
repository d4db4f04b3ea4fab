# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call between two services of the catalogue, followed step by step; every step is told, good or bad."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError, Problem
from ...kube.client import KubeClient
from ...model.catalogue.lookup import look_up
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Port, Service
from ...model.security.requests import Request
from ...verdicts import FAIL
from ..verify.checks.injection import check_pods
from ..verify.dumps import ProxyDumps
from ..verify.findings import Finding, failed, unknown
from ..verify.live_objects import LENIENT, LiveObjects
from ..verify.picture import Picture
from .callee import policies, stated, transport
from .case import Case
from .cause import INJECTION, ROUTING, SECURITY, SURE, Cause
from .symptom import Symptom
from .way import faults, outbound

FAMILY = {
    "injection": INJECTION,
    "pods": INJECTION,
    "caller": INJECTION,
    "mtls": SECURITY,
    "policies": SECURITY,
    "authorization": SECURITY,
}
REMEDY = {
    "authorization": "callers: of the service in mesh_services, then ansible-playbook servicemesh.istio.mesh",
    "policies": "ansible-playbook servicemesh.istio.mesh -i INVENTORY (it puts our own policies back)",
    "mtls": "mtls: of the service in mesh_services, or the object that is named",
}

GUIDE = "see docs/guides/diagnose.md"


@dataclasses.dataclass(frozen=True, slots=True)
class FollowedCall:
    """The call that is followed."""

    catalogue: Catalogue
    source: Service
    destination: Service
    method: str
    path: str
    port: Port | None


def call_of(catalogue: Catalogue, symptom: Symptom) -> FollowedCall | None:
    """The call of a symptom, when both ends are services of the catalogue; None otherwise.

    :raises InputError: the destination has no such port.
    """
    if not symptom.source or not symptom.destination:
        return None
    source, _fault = look_up(catalogue, symptom.source)
    destination, _fault = look_up(catalogue, symptom.destination)
    if source is None or destination is None:
        return None
    port = _port(destination, symptom.port)
    return FollowedCall(catalogue, source, destination, symptom.method, symptom.path, port)


def _port(service: Service, name: str) -> Port | None:
    """The port of that name or number; the routed one when none is named."""
    if not name:
        return service.routed_port
    for port in service.ports:
        if name in (port.name, str(port.number)):
            return port
    known = ", ".join(f"{port.name} ({port.number})" for port in service.ports)
    problem = f"{service.key} has no port {name!r}, but {known or 'none'}"
    raise InputError([Problem("port", problem, "unknown-port")])


def follow(client: KubeClient, case: Case, call: FollowedCall) -> list[Finding]:
    """The steps of a call. :returns: in the order of the request's way."""
    catalogue, source, destination = call.catalogue, call.source, call.destination
    namespaces = tuple(dict.fromkeys((source.namespace, destination.namespace)))
    live = case.live
    unseen = [service for service in (source, destination) if not case.was_read(service.namespace)]
    if unseen:
        why = case.material.unread.get("Pod", "its namespace was not read")
        return [unknown("pods", service.key, why) for service in unseen]
    callers = case.running_of(live.pods_of(source.namespace, source.name))
    steps = [*_pods(live, source, case.now), *_pods(live, destination, case.now)]
    if not callers:
        return [*steps, failed("caller", source.key, "no proxy of it runs, so its calls are not the mesh's")]
    port = call.port
    if port is None:
        return [*steps, failed("port", destination.key, "the catalogue gives it no port")]
    dumps = _dumps(case)
    steps += [unknown("proxy", f"Pod {name}", reason) for name, reason in dumps.unread.items()]
    views = [case.material.views.get(str(proxy)) for proxy in callers]
    view = next((view for view in views if view is not None and view.dump.hosts is not None), None)
    if view is not None:
        steps += outbound(client, catalogue, view, destination, port)
    steps += faults(live, catalogue, destination)
    picture = Picture(catalogue, live, namespaces)
    request = Request(source.principal, port.target_port, call.method, call.path, http=port.is_http)
    said = stated(picture.edges(destination), request, destination)
    held = policies(picture, dumps, request, destination)
    if said.verdict == FAIL:  # then it is no fault of the policies that they refuse it
        held = [step for step in held if step.verdict != FAIL]
    seen = next((pod for pod in picture.pods_of(source) if str(pod.pod) == str(callers[0])), None)
    steps += transport(picture, seen, destination, port) if seen is not None else []
    return [*steps, *_unread(live), *held, said]


def with_steps(known: Sequence[Cause], steps: Sequence[Finding]) -> list[Cause]:
    """The causes, and the steps that fail: as evidence of a cause about the same object, else as its own.

    What the catalogue says of a call, or of its own policies, comes before everything.

    :returns: the causes first.
    """
    found: dict[str, Cause] = {}
    for cause in known:
        found.setdefault(cause.object, cause)
    others = [cause for cause in known if found[cause.object] is not cause]
    for step in steps:
        if step.verdict != FAIL:
            continue
        subject = step.subject if " " in step.subject else f"Service {step.subject}"
        weight = SURE + 8 if step.check in ("authorization", "policies") else SURE
        about = found.get(subject)
        if about is None:
            family, remedy = FAMILY.get(step.check, ROUTING), REMEDY.get(step.check, GUIDE)
            found[subject] = Cause(family, subject, step.message, remedy, weight, late=step.late)
        elif step.message not in (*about.evidence, about.said):
            found[subject] = dataclasses.replace(
                about,
                evidence=(*about.evidence, step.message),
                weight=max(weight, about.weight),
                late=about.late and step.late,
            )
    return [*found.values(), *others]


def _dumps(case: Case) -> ProxyDumps:
    held = {name: view.dump for name, view in case.material.views.items()}
    unread = {
        what.removeprefix("Pod "): why
        for what, why in case.material.unread.items()
        if what.startswith("Pod ")
    }
    return ProxyDumps(held, unread)


def _unread(live: LiveObjects) -> list[Finding]:
    kinds: Mapping[str, Any] = live.objects
    return [
        unknown("policies", kind, why)
        for kind, why in live.unread.items()
        if kind in kinds and kind not in LENIENT and kind not in ("Deployment", "Ingress")
    ]


def _pods(live: LiveObjects, service: Service, now: float) -> list[Finding]:
    pods = live.pods_of(service.namespace, service.name)
    if not pods:
        return [failed("pods", service.key, "no pod stands behind the service")]
    return check_pods(pods, expected_version="", istiods=live.istiods, unmeshed=(), now=now)
