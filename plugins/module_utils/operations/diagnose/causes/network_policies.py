# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security: NetworkPolicies that keep callers from callees, proxies from istiod, and pods from DNS.

Whether a cluster enforces them is its network plugin's business and shows nowhere in the API: until requests
are seen to fail, such a policy is a likely cause and no sure one.
"""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import labels_of, mappings_at, name_of, namespace_of, text_at
from ....istio.workloads import PROXY_CONTAINER
from ....kube.pods import is_active
from ....model.security.pods import target_ports
from ....object_id import object_id
from ....words import few
from ..case import Case, Obj, full_name
from ..cause import CONTROL_PLANE, DNS, LIKELY, SECURITY, SURE, Cause
from ..gateway_pods import pods_of
from ..network_rules import CalledPort, NetworkRules
from .words import edit

XDS = CalledPort(15012)
DNS_PORT = CalledPort(53, "UDP")
SERVER = {"k8s-app": "kube-dns"}
MAX_PAIRS = 200
"""So many pairs of pods are tried at most; pods of one workload have the same labels anyway."""


def find(case: Case) -> Iterator[Cause]:
    """Policies about the symptom's pods. :returns: one cause per policy and purpose."""
    if not case.of("NetworkPolicy"):
        return
    rules = NetworkRules(case.of("NetworkPolicy"), case.namespaces)
    told: set[tuple[str, str]] = set()
    for cause in (*_calls(case, rules), *_istiod(case, rules), *_names(case, rules)):
        if (cause.family, cause.object) not in told:
            told.add((cause.family, cause.object))
            yield cause


def _calls(case: Case, rules: NetworkRules) -> Iterator[Cause]:
    if case.symptom.anything:
        return
    pairs = 0
    failing = bool(case.flagged("UF") or case.flagged("URX"))
    for service in case.services:
        ports = {"spec": {"ports": case.port_entries(service)}}
        for callee in case.pods_behind(service):
            for caller in _callers(case):
                pairs += 1
                if pairs > MAX_PAIRS:
                    return
                for number in target_ports(ports, callee):
                    denying = rules.denying(caller, callee, CalledPort(number))
                    if denying:
                        what = f"Pod {full_name(caller)} from port {number} of Pod {full_name(callee)}"
                        yield _cause(SECURITY, denying, what, SURE if failing else LIKELY + 10)


def _callers(case: Case) -> list[Obj]:
    """The pods that call: those of the symptom, or the gateway's where it is about a host."""
    if case.callers or not case.symptom.host:
        return case.callers
    gateways = [pod for item in case.of("Gateway") for pod in pods_of(item, case.live.of("Pod"))]
    return list({full_name(pod): pod for pod in gateways}.values())


def _istiod(case: Case, rules: NetworkRules) -> Iterator[Cause]:
    """Proxies that get no configuration and no certificate any more."""
    pairs = 0
    for pod in case.subjects:
        if not is_active(pod) or not _has_proxy(pod):
            continue
        for istiod in case.material.istiods[:1]:
            pairs += 1
            if pairs > MAX_PAIRS:
                return
            denying = rules.denying(pod, istiod, XDS)
            if denying:
                lost = case.material.sync is not None and _sync_id(pod) not in case.material.sync
                what = f"Pod {full_name(pod)} from istiod (port {XDS.number})"
                yield _cause(CONTROL_PLANE, denying, what, SURE if lost else LIKELY + 10)


def _names(case: Case, rules: NetworkRules) -> Iterator[Cause]:
    servers = [pod for pod in case.live.of("Pod", "kube-system") if labels_of(pod).items() >= SERVER.items()]
    for pod in case.subjects[:MAX_PAIRS] if servers else ():
        denying = rules.denying(pod, servers[0], DNS_PORT)
        if denying:
            yield _cause(DNS, denying, f"Pod {full_name(pod)} from the DNS servers (port 53)", LIKELY + 10)


def _has_proxy(pod: Obj) -> bool:
    sections = ("containers", "initContainers")
    return any(
        text_at(item, "name") == PROXY_CONTAINER
        for section in sections
        for item in mappings_at(pod, "spec", section)
    )


def _sync_id(pod: Obj) -> str:
    """As istiod names a proxy."""
    return f"{name_of(pod)}.{namespace_of(pod)}"


def _cause(family: str, denying: list[Obj], what: str, weight: int) -> Cause:
    name = object_id(denying[0])
    others = few(object_id(item) for item in denying[1:])
    evidence = (f"neither does {others} allow it",) if others else ()
    said = f"keeps {what}, where the cluster's network enforces it"
    return Cause(family, name, said, f"add a rule that allows it: {edit(name)}", weight, evidence)
