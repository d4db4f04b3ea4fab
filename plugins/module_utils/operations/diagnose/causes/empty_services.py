# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing: Services that lead to no pod: selector, ports, or pods that are not ready."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import field, integer_at, labels_of, mapping_at, mappings_at, name_of, namespace_of, text_at
from ....kube.pods import takes_requests, trouble
from ....labels import is_selected
from ....model.security.pods import lasting
from ....object_id import object_id
from ....words import few
from ..case import Case, Obj
from ..cause import LIKELY, ROUTING, SEEN, SURE, Cause
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """Services of the symptom. :returns: one cause per Service at most, and one per port."""
    for service in case.services:
        selector = mapping_at(service, "spec", "selector")
        if not selector or text_at(service, "spec", "type") == "ExternalName":
            continue
        if not case.was_read(namespace_of(service)) or _is_used_without_pods(case, service):
            continue
        pods = case.pods_behind(service)
        if not pods:
            yield _no_pod(case, service)
        elif not any(takes_requests(pod) for pod in pods):
            yield _none_ready(service, pods)
        else:
            yield from _ports(case, service, pods)


def _is_used_without_pods(case: Case, service: Obj) -> bool:
    """A Service of nothing is no trouble unless somebody asks about it, or a route leads there."""
    if not case.symptom.anything or case.pods_behind(service):
        return False
    return not case.leading_to(case.fqdn(service))


def _no_pod(case: Case, service: Obj) -> Cause:
    subject, place = object_id(service), namespace_of(service)
    selector = mapping_at(service, "spec", "selector")
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    near = [
        pod
        for pod in case.live.of("Pod", place)
        if any(labels_of(pod).get(key) == value for key, value in selector.items())
        or name_of(pod).startswith(f"{name_of(service)}-")
    ]
    said = f"selects no pod ({wanted}): requests get 503 UH"
    scaled = [
        item
        for item in case.of("Deployment")
        if namespace_of(item) == place
        and is_selected(labels_of(mapping_at(item, "spec", "template")), selector)
    ]
    if scaled:
        name = object_id(scaled[0])
        if field(scaled[0], "spec", "replicas") == 0:
            said = f"is scaled to 0: {subject} has no endpoint, requests get 503 UH"
            remedy = f"kubectl scale deployment/{name_of(scaled[0])} -n {place} --replicas=1"
            return Cause(ROUTING, name, said, remedy, SURE)
    evidence = [f"Pod {place}/{name_of(pod)} carries {_labels(pod, selector)}" for pod in near[:2]]
    return Cause(ROUTING, subject, said, edit(subject), SURE, tuple(evidence))


def _labels(pod: Obj, selector: object) -> str:
    own = labels_of(pod)
    keys = list(selector) if isinstance(selector, dict) else []
    return ", ".join(f"{key}={own.get(key, '(none)')}" for key in keys)


def _none_ready(service: Obj, pods: list[Obj]) -> Cause:
    told = few(f"{name_of(pod)}: {trouble(pod) or 'not ready'}" for pod in pods)
    said = f"has no ready endpoint, none of its {len(pods)} pods is ready: requests get 503 UH"
    place = namespace_of(service)
    remedy = f"kubectl describe pod -n {place} {name_of(pods[0])}"
    return Cause(ROUTING, object_id(service), said, remedy, LIKELY + 10, (told,), late=True)


def _ports(case: Case, service: Obj, pods: list[Obj]) -> Iterator[Cause]:
    """Ports that lead to no port of the pods; a number that no container declares may still be served."""
    for port in case.port_entries(service):
        target = port.get("targetPort")
        declared = {
            text_at(entry, "name"): integer_at(entry, "containerPort")
            for pod in pods
            for container in lasting(pod)
            for entry in mappings_at(container, "ports")
        }
        number = target if isinstance(target, int) else integer_at(port, "port") if target is None else 0
        shown = f"port {integer_at(port, 'port')} ({text_at(port, 'name') or 'without a name'})"
        subject = object_id(service)
        if isinstance(target, str) and not target.isdigit() and target not in declared:
            said = f"{shown} leads to {target!r}, a port that no container of its pods names"
            yield Cause(ROUTING, subject, f"{said}: it has no endpoint", edit(subject), SURE)
        elif number and declared and number not in declared.values():
            refused = _refused(case, pods, number)
            said = f"{shown} leads to {number}, where its pods declare {few(map(str, declared.values()))}"
            if refused or not case.symptom.anything:
                weight = SURE + SEEN if refused else LIKELY
                yield Cause(ROUTING, subject, said, edit(subject), weight, tuple(refused))
        elif number and (refused := _refused(case, pods, number)):
            said = f"does not answer on port {number}: nothing listens there, or on 127.0.0.1 alone"
            name = f"Pod {namespace_of(pods[0])}/{name_of(pods[0])}"
            remedy = "let the application listen on 0.0.0.0 and on the port that the Service leads to"
            yield Cause(ROUTING, name, said, remedy, SURE, tuple(refused))


def _refused(case: Case, pods: list[Obj], number: int) -> list[str]:
    """What the callees' own proxies say of the application behind them."""
    found = []
    for view in case.proxies(pods):
        for host in view.endpoints.get(f"inbound|{number}||", ()):
            failed, total = host.stats.get("cx_connect_fail", 0), host.stats.get("cx_total", 0)
            if failed and failed * 2 >= total and "UF" in _inbound_flags(case, str(view.proxy)):
                found.append(
                    f"the proxy of Pod {view.proxy} failed {failed} of {total} times to reach port {number}"
                )
    return found


def _inbound_flags(case: Case, proxy: str) -> set[str]:
    return {flag for seen in case.inbound_lines() if seen.proxy == proxy for flag in seen.line.flags}
