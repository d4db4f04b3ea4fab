# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known to go wrong before the first write of a rollout."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import ApiError, MeshError
from ...istio.metrics import MetricsError
from ...kube.access import AccessNeed, missing_rights, missing_rights_of
from ...model.rollout import statistics
from ...model.rollout.gates import Policy, ShareGate
from ...model.rollout.measurement import Baseline
from ...model.rollout.phases import Plan, plan_phases
from ...model.rollout.requests import LabelError
from ...model.rollout.split import Split, is_request_host
from ..rights import table
from ..rights.needs import Places, access_needs, losses
from .assembly import RolloutBuilder
from .endpoints import EndpointReader
from .metrics import PrometheusSource
from .routes import ISTIO_API


@dataclasses.dataclass(slots=True)
class Preflight:
    """What was found. ``problems`` stop the rollout, ``warnings`` do not."""

    plan: Plan
    baseline: Baseline | None
    problems: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


def check(builder: RolloutBuilder, *, stable: str, canary: str, metrics: PrometheusSource) -> Preflight:
    """Runs all checks; each finding names its object. Writes nothing.

    :raises InputError: the phases are not a plan.
    """
    wishes = builder.wishes
    found = Preflight(plan=_plan(builder, stable, canary, None, 0), baseline=None)
    _rights(builder, found)
    found.problems += _objects(builder, stable, canary)
    found.problems += _endpoints(builder, stable, canary)
    _deadman(builder, found)
    try:
        found.baseline = metrics.baseline(builder.params["baseline"])
    except (MetricsError, LabelError) as error:
        found.problems.append(f"metrics: {error}")
        return found
    need, problems = _gates_on_stable(wishes.gates, wishes.policy, found.baseline)
    found.problems += problems
    found.plan = _plan(builder, stable, canary, found.baseline.rate, need)
    _traffic(builder, found)
    return found


def _plan(builder: RolloutBuilder, stable: str, canary: str, rate: float | None, evidence: int) -> Plan:
    params = builder.params
    return plan_phases(
        stable=stable,
        canary=canary,
        steps=params.get("steps"),
        step_weight=params.get("step_weight"),
        duration=params["duration"],
        min_requests=params["min_requests"],
        requests_per_second=rate,
        evidence_requests=evidence if params["mode"] == "sequential" else 0,
        promote=params["promote"],
        dark=params.get("dark"),
        mirror=params.get("mirror"),
        testers=params.get("testers"),
        prefix="canary_",
    )


def rights_needed(builder: RolloutBuilder) -> dict[AccessNeed, str]:
    """What a rollout with these parameters calls.

    :returns: right -> what is lost without it; empty = it is necessary.
    """
    params, prometheus = builder.params, builder.wishes.prometheus
    synthetic = params["low_traffic"] == "synthetic"
    by_service = bool(prometheus and prometheus.service)
    chosen = {
        table.SCALE: params.get("scale"),
        table.DEADMAN: params["deadman"] == "job",
        table.SYNTHETIC_LOAD: synthetic,
        table.METRICS_BY_SERVICE: by_service,
    }
    places = {
        **_own_places(builder),
        table.CALLERS: builder.calling_namespaces(),
        table.CONTROL_PLANE: [builder.wishes.catalogue.root_namespace],
        table.SYNTHETIC: [(params.get("synthetic") or {}).get("namespace") or builder.service.namespace],
        table.METRICS: [prometheus.namespace] if prometheus and by_service else [],
    }
    return access_needs(["canary"], places, [option for option, wanted in chosen.items() if wanted])


def _own_places(builder: RolloutBuilder) -> Places:
    foreign = builder.params.get("routes") or {}
    return {
        table.SERVICE: [builder.service.namespace],
        table.ROUTES: [foreign.get("namespace") or builder.service.namespace],
    }


def _rights(builder: RolloutBuilder, found: Preflight) -> None:
    needs = rights_needed(builder)
    try:
        missing = missing_rights(builder.client, list(needs))
    except ApiError as error:
        found.problems.append(f"rights: {error}")
        return
    found.problems += [f"missing right: {need}" for need in missing if not needs[need]]
    found.warnings += losses(missing, needs)


def _objects(builder: RolloutBuilder, stable: str, canary: str) -> list[str]:
    problems: list[str] = []
    service, domain = builder.service, builder.wishes.catalogue.cluster_domain
    routes = builder.routes(stable, canary)
    live = routes.read()
    if live is None:
        problems.append(
            f"VirtualService {routes.namespace}/{routes.name} does not exist: apply the mesh first"
        )
    else:
        share = Split(service.name, service.namespace, stable, canary, domain=domain).canary_share(live)
        if share:
            problems.append(
                f"VirtualService {routes.name} already gives {canary} {share:g} percent, while {stable} is on"
                " record as stable: repair the split or record it first"
            )
    rule = builder.client.get(ISTIO_API, "DestinationRule", service.name, service.namespace)
    subsets = {
        item["name"]: item.get("labels") or {}
        for item in ((rule or {}).get("spec") or {}).get("subsets") or []
    }
    for version in (stable, canary):
        wanted = dict(service.versions[version].labels)
        if subsets.get(version) != wanted:
            problems.append(
                f"DestinationRule {service.namespace}/{service.name} has no subset {version} with labels"
                f" {wanted}: apply the mesh first"
            )
    problems += _other_routes(builder, routes.name)
    return problems


def _other_routes(builder: RolloutBuilder, own: str) -> list[str]:
    """VirtualServices that send requests to the host past the split."""
    service, domain = builder.service, builder.wishes.catalogue.cluster_domain
    found = []
    for item in builder.client.list(ISTIO_API, "VirtualService", service.namespace).items:
        metadata = item["metadata"]
        hosts = (item.get("spec") or {}).get("hosts") or []
        names = any(
            is_request_host(
                host, service.name, service.namespace, object_namespace=metadata["namespace"], domain=domain
            )
            for host in hosts
        )
        delegates = any(route.get("delegate") for route in (item.get("spec") or {}).get("http") or [])
        if names and not delegates and metadata["name"] != own:
            found.append(
                f"VirtualService {metadata['namespace']}/{metadata['name']} also routes {service.fqdn}:"
                " only one of them counts"
            )
    return found


def _endpoints(builder: RolloutBuilder, stable: str, canary: str) -> list[str]:
    labels = {
        name: {**builder.service.labels, **builder.service.versions[name].labels} for name in (stable, canary)
    }
    endpoints = EndpointReader(
        builder.client, service=builder.service.name, namespace=builder.service.namespace, labels=labels
    ).read()
    scaled = (builder.params.get("scale") or {}).get("up")
    needed = [stable] if scaled else [stable, canary]
    return [
        f"no ready endpoint: {endpoints[name].describe()}" for name in needed if not endpoints[name].ready
    ]


def _deadman(builder: RolloutBuilder, found: Preflight) -> None:
    """The account of the Job, without which its pod is never made, and its rights to give the routes back."""
    namespace, name = builder.service.namespace, builder.params["deadman_job"]["service_account"]
    if builder.params["deadman"] != "job":
        return
    if builder.client.get("v1", "ServiceAccount", name, namespace) is None:
        found.problems.append(
            f"deadman: ServiceAccount {namespace}/{name} does not exist"
            " (docs/rbac/deadman.yaml says its rights)"
        )
        return
    needs = list(access_needs(["deadman"], _own_places(builder)))
    try:
        missing = [
            need
            for place in dict.fromkeys(need.namespace for need in needs)
            for need in missing_rights_of(
                builder.client, [need for need in needs if need.namespace == place], (namespace, name)
            )
        ]
    except ApiError as error:
        if error.status != 403:
            raise
        return  # the caller's own rights say so
    found.problems += [
        f"deadman: ServiceAccount {namespace}/{name} has no right to {need} (docs/rbac/deadman.yaml)"
        for need in missing
    ]


def _gates_on_stable(
    gates: tuple[ShareGate, ...], policy: Policy, baseline: Baseline
) -> tuple[int, list[str]]:
    """Requests that the evidence needs, and the gates that the stable version itself would not pass."""
    need, problems = 0, []
    for gate in gates:
        share = baseline.shares.get(gate.name, 0.0)
        wanted = evidence_needed(gate, policy, share)
        if wanted is None or (policy.mode == "fixed" and share > gate.limit):
            problems.append(
                f"gate {gate.name} does not pass on stable itself: {share:.2%} of its requests are bad,"
                f" the gate accepts {gate.acceptable:.2%} and stops at {gate.limit:.2%}"
            )
        else:
            need = max(need, wanted)
    return need, problems


def evidence_needed(gate: ShareGate, policy: Policy, share: float) -> int | None:
    """Canary requests that a version as good as stable is expected to need; ``None`` = it never passes."""
    requests = 10
    if gate.absolute:
        absolute = statistics.requests_for_health(
            share, acceptable=gate.acceptable, limit=gate.limit, error=policy.beta
        )
        if absolute is None:
            return None
        requests = max(requests, round(absolute * gate.burst))
    if not gate.compare:
        return requests
    effect, error = gate.limit - gate.acceptable, policy.beta / 4
    while requests < 10_000_000:
        counted = requests / gate.burst
        if statistics.interval(share * counted, counted, error)[1] - share < effect:
            return requests
        requests = round(requests * 1.1) + 1
    return None


def _traffic(builder: RolloutBuilder, found: Preflight) -> None:
    plan, params = found.plan, builder.params
    rate = plan.requests_per_second or 0.0
    if rate <= 0:
        message = f"no requests reached {builder.service.name} in the last {params['baseline']:.0f} s"
        _by_policy(builder, found, message)
        return
    if plan.expected_seconds > params["deadline"]:
        message = (
            f"at {rate:.1f} requests/s the rollout takes {plan.expected_seconds:.0f} s,"
            f" more than canary_deadline {params['deadline']:.0f} s"
        )
        _by_policy(builder, found, message)
    for phase in plan.phases:
        if phase.expected_seconds > params["phase_deadline"]:
            _by_policy(
                builder,
                found,
                f"phase {phase.label()} needs {phase.expected_seconds:.0f} s at {rate:.1f} requests/s,"
                f" more than canary_phase_deadline {params['phase_deadline']:.0f} s",
            )


def _by_policy(builder: RolloutBuilder, found: Preflight, message: str) -> None:
    target = found.problems if builder.params["low_traffic"] == "hold" else found.warnings
    target.append(message)


def current_stable(builder: RolloutBuilder, canary: str) -> tuple[str, str]:
    """The stable version and where that is known from.

    Record first; without one the live split is adopted; without a split the catalogue's initial version.

    :returns: (version, where it is known from).
    :raises MeshError: nothing says which version is stable.
    """
    record = builder.records.read()
    if record is not None:
        return record.stable, "release record"
    service = builder.service
    live: Mapping[str, Any] = builder.routes(service.initial_version or "", canary).read() or {}
    for version in service.versions:
        split = Split(
            service.name, service.namespace, version, canary, domain=builder.wishes.catalogue.cluster_domain
        )
        if version != canary and live:
            weights = split.splits(live)
            if weights and max(entry.get(version, 0) for entry in weights) > 50:
                return version, "live split (no release record yet)"
    if service.initial_version:
        return service.initial_version, "initial_version of the catalogue"
    raise MeshError(f"nothing says which version of {service.name} is stable")
