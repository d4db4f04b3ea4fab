# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says before a write who will be let in, and who no longer: only the cells of the access matrix that flip.

The live policies, with the run's changes laid over them, are evaluated for every service of the namespaces
that a changed policy is about.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, RefusedError
from ...fields import labels_of, namespace_of
from ...kube.pods import is_active
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Service
from ...model.objects.egress import egress_objects
from ...model.security.authorization import PolicyIndex
from ...model.security.classes import ANY_OTHER_PORT, INCOMPLETE, WorkloadPort, named_ports, trials
from ...model.security.matrix import CLOSES, OPENS, CellDifference, caller_of, flips, request_of
from ...model.security.pods import read_pod
from ...words import some_of
from .live_policies import before_and_after, live_policies
from .workload_names import workload_name

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ..apply.plan import Item, Plan

TOLD = 10
"""So many changes of a run are told line by line; the result has all of them."""
_KIND = "AuthorizationPolicy"


@dataclasses.dataclass(frozen=True, slots=True)
class AccessChange:
    """Requests to one service whose answer a change flips.

    :param kind: ``opens``, ``closes`` or ``unsure``. :param service: ``namespace/name``. :param caller:
        with ``request``, one of them. :param policy: what decides. :param cells: how many there are.
    """

    kind: str
    service: str
    caller: str
    request: str
    policy: str
    cells: int

    def __str__(self) -> str:
        more = f" ({self.cells} cells)" if self.cells > 1 else ""
        by = f", by {self.policy}" if self.policy else ""
        return f"{self.kind}: {self.caller} -> {self.service} {self.request}{more}{by}"


def access_changes(
    client: KubeClient, catalogue: Catalogue, plan: Plan, context: Context, guard: str
) -> list[AccessChange]:
    """What of the plan changes who may call whom, told to whoever watches.

    :param guard: ``refuse`` stops a run that opens something, ``tell`` only says it.
    :returns: one per service and object that decides; what opens comes first.
    :raises RefusedError: in mode ``refuse``, when something opens.
    """
    changed = [item for item in plan.items if item.changes and item.desired.get("kind") == _KIND]
    if not changed:
        return []
    flipped = _changes(client, catalogue, changed, context)
    found = sorted(flipped, key=lambda one: (one.kind != OPENS, one.service))
    for one in found[:TOLD]:
        context.progress(str(one))
    if len(found) > TOLD:
        context.progress(f"... and {len(found) - TOLD} more changes of who may call whom")
    opened = [str(one) for one in found if one.kind == OPENS]
    if guard == "refuse" and opened:
        message = f"the run {some_of(opened, between='; ')} (mesh_access_guard: tell goes on)"
        raise RefusedError(message, rule="access-guard")
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Workload:
    """Whom a change may be about. :param labels: of each kind of its pods."""

    namespace: str
    name: str
    labels: Sequence[Mapping[str, str]]
    ports: Sequence[WorkloadPort]


def _changes(
    client: KubeClient, catalogue: Catalogue, changed: Sequence[Item], context: Context
) -> Iterable[AccessChange]:
    root, domains = catalogue.root_namespace, (catalogue.trust_domain, *catalogue.trust_domain_aliases)
    about = {namespace_of(item.desired) for item in changed}
    namespaces = set(catalogue.namespaces) if root in about else about & set(catalogue.namespaces)
    left = about - {*catalogue.namespaces, *catalogue.gateway_namespaces, root}
    ways = [one for one in _ways_out(catalogue) if one.namespace in about]
    places = {*namespaces, *left, root, *(one.namespace for one in ways)}
    before, after = before_and_after(live_policies(client, _KIND, places), changed)
    old = PolicyIndex(before.values(), root_namespace=root, trust_domains=domains)
    new = PolicyIndex(after.values(), root_namespace=root, trust_domains=domains)
    workloads = [
        _Workload(service.namespace, service.name, _labels(service), _ports(service))
        for service in catalogue.services
        if service.namespace in namespaces
    ]
    workloads += ways
    workloads += [one for namespace in sorted(left) for one in _left_behind(client, namespace)]
    for workload in workloads:
        told: dict[tuple[str, str], CellDifference] = {}
        for labels in workload.labels:
            then, now = (index.workload(workload.namespace, labels) for index in (old, new))
            policies = [*then.policies, *now.policies]
            known = {port.number for port in workload.ports}
            more = [_open_port(number) for number in named_ports(policies) if number not in known]
            # Whether somebody validates tokens is not asked: where nobody does, no policy asks for one.
            tried = trials(
                policies,
                (),
                [*workload.ports, *more],
                namespace=workload.namespace,
                trust_domains=domains,
                issuers=None,
            )
            if not tried.complete:
                what = f"{workload.namespace}/{workload.name} has {INCOMPLETE}"
                context.warn(f"cannot tell all that the run opens: {what}")
            for flip in flips(then, now, tried.requests):
                told.setdefault((flip.kind, flip.decision.policy), flip)
        key = f"{workload.namespace}/{workload.name}"
        for (kind, policy), flip in told.items():
            first = flip.requests[0]
            yield AccessChange(kind, key, caller_of(first), request_of(first), policy, flip.cells)


def _ways_out(catalogue: Catalogue) -> list[_Workload]:
    gateway = catalogue.egress_gateway
    if gateway is None or not any(item["kind"] == _KIND for item in egress_objects(catalogue)):
        return []
    port = WorkloadPort(gateway.port, http=True, tcp=True, plaintext=False)
    name = gateway.host.partition(".")[0]
    return [_Workload(gateway.workload_namespace, name, [gateway.selector], [port])]


def _left_behind(client: KubeClient, namespace: str) -> list[_Workload]:
    """The workloads of a namespace that the catalogue has no more, and whose policies go with it."""
    try:
        pods = client.list("v1", "Pod", namespace).items
    except ApiError as error:
        if not error.not_allowed:
            raise
        return [_Workload(namespace, "any workload", [{}], [_open_port(ANY_OTHER_PORT)])]
    found: dict[str, list[Mapping[str, str]]] = {}
    for pod in pods:
        if is_active(pod) and read_pod(pod).meshed:
            found.setdefault(workload_name(pod), []).append(labels_of(pod))
    return [
        _Workload(namespace, name, labels[:1], [_open_port(ANY_OTHER_PORT)]) for name, labels in found.items()
    ]


def _labels(service: Service) -> list[Mapping[str, str]]:
    return [service.labels, *({**service.labels, **one.labels} for one in service.versions.values())]


def _ports(service: Service) -> list[WorkloadPort]:
    known = {port.target_port: port.is_http for port in service.all_ports}
    named = [WorkloadPort(number, http=http, tcp=not http, plaintext=True) for number, http in known.items()]
    return [*named, _open_port(ANY_OTHER_PORT)]


def _open_port(number: int) -> WorkloadPort:
    return WorkloadPort(number, http=True, tcp=True, plaintext=True)


def as_results(changes: Sequence[AccessChange]) -> list[dict[str, Any]]:
    """The changes as they stand in results. :returns: the fields of `AccessChange`, in the order given."""
    return [dataclasses.asdict(one) for one in changes if one.kind in (OPENS, CLOSES) or one.policy]
