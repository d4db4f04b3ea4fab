# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known to go wrong before the first write of a rollout."""

from __future__ import annotations

import dataclasses

from ....errors import ApiError, MeshError
from ....istio.metrics import MetricsError
from ....kube.access import AccessNeed, missing_rights, missing_rights_of
from ....model.rollout import statistics
from ....model.rollout.gates import Policy, ShareGate
from ....model.rollout.measurement import Baseline
from ....model.rollout.phases import RolloutPlan, timed_plan
from ....model.rollout.requests import LabelError
from ....model.rollout.settings import LowTraffic
from ...rights import table
from ...rights.needs import Places, access_needs
from ...rights.telling import losses
from ..assembly import RolloutBuilder
from ..metrics import PrometheusSource
from ..objects.routes import fence_of
from ..options.rollout import RolloutOptions
from ..rendering import split_of
from ..scaling.sizes import budget_findings, findings
from .findings import Preflight
from .gates import gates_outside
from .objects import objects

LARGEST_SKEW = 5.0  # seconds between Prometheus and the API server


def check(builder: RolloutBuilder, *, stable: str, canary: str, metrics: PrometheusSource) -> Preflight:
    """Runs all checks; each finding names its object. Writes nothing."""
    options = builder.options
    found = Preflight(plan=_plan(builder, stable, canary, None, 0), baseline=None)
    _rights(builder, found)
    found.problems += objects(builder, stable, canary)
    found.problems += _endpoints(builder, stable, canary)
    _deadman(builder, found)
    _sizes(builder, found)
    gates_outside(builder, found)
    try:
        found.baseline = metrics.baseline(options.baseline)
    except (MetricsError, LabelError) as error:
        found.problems.append(f"metrics: {error}")
        return found
    _clocks(options, metrics, found)
    need, problems = _gates_on_stable(options.gates, options.policy, found.baseline)
    if options.sick_stable:
        found.warnings += problems
    else:
        found.problems += problems
    found.plan = _plan(builder, stable, canary, found.baseline.rate, need)
    _traffic(builder, found)
    return found


def _clocks(options: RolloutOptions, metrics: PrometheusSource, found: Preflight) -> None:
    """Whether the samples can be told apart by time, and as often as the options say."""
    try:
        skew = metrics.clock_skew()
    except MetricsError as error:
        found.problems.append(f"metrics: {error}")
        return
    if abs(skew) > LARGEST_SKEW:
        side = "ahead of" if skew > 0 else "behind"
        found.problems.append(
            f"metrics: Prometheus' clock is {abs(skew):.0f} s {side} the API server's: its samples would be"
            " taken for requests of another time"
        )
    if metrics.interval > options.scrape_interval:
        found.warnings.append(
            f"each proxy is scraped every {metrics.interval:.0f} s, not every"
            f" {options.scrape_interval:.0f} s (canary_scrape_interval): the measured interval counts"
        )


def _sizes(builder: RolloutBuilder, found: Preflight) -> None:
    """Whether each version has, and keeps, the pods for its requests."""
    stable, canary, options = found.plan.stable, found.plan.canary, builder.options
    found.sizes = builder.sizes(stable, canary)
    problems, warnings = findings(found.sizes, options, stable, canary)
    found.problems += problems
    found.warnings += warnings
    if options.scale and options.scale.down and canary in found.sizes:
        namespace, labels = builder.service.namespace, builder.labels(canary)
        left = max(found.sizes[canary].ready, options.scale.up or 0)
        found.warnings += budget_findings(builder.client, namespace, labels, canary, left)


def _plan(
    builder: RolloutBuilder, stable: str, canary: str, rate: float | None, evidence: int
) -> RolloutPlan:
    options = builder.options
    needed = evidence if options.policy.mode == "sequential" else 0
    return timed_plan(stable, canary, options.phases, rate, needed)


def rights_needed(builder: RolloutBuilder) -> dict[AccessNeed, str]:
    """What a rollout with these options calls.

    :returns: right -> what is lost without it; empty = it is necessary.
    """
    options, namespace = builder.options, builder.service.namespace
    prometheus, synthetic = options.prometheus, options.synthetic
    chosen = {
        table.SCALE: options.scale,
        table.HOLD: options.capacity == "hold",
        table.DEADMAN: options.deadman,
        table.SYNTHETIC_LOAD: synthetic,
        table.METRICS_BY_SERVICE: prometheus and prometheus.service,
    }
    places = {
        **_own_places(builder),
        table.CALLERS: builder.calling_namespaces(),
        table.CONTROL_PLANE: [options.catalogue.istio_namespace],
        table.SYNTHETIC: [synthetic.namespace if synthetic else namespace],
        table.METRICS: [prometheus.namespace] if prometheus else [],
    }
    return access_needs(["canary"], places, [option for option, wanted in chosen.items() if wanted])


def _own_places(builder: RolloutBuilder) -> Places:
    namespace, foreign = builder.service.namespace, builder.options.routes
    return {table.SERVICE: [namespace], table.ROUTES: [foreign.namespace if foreign else namespace]}


def _rights(builder: RolloutBuilder, found: Preflight) -> None:
    needs = rights_needed(builder)
    try:
        missing = missing_rights(builder.client, list(needs))
    except ApiError as error:
        found.problems.append(f"rights: {error}")
        return
    found.problems += [f"missing right: {need}" for need in missing if not needs[need]]
    found.warnings += losses(missing, needs)


def _endpoints(builder: RolloutBuilder, stable: str, canary: str) -> list[str]:
    scale = builder.options.scale
    comes_up = scale is not None and scale.up is not None  # by the rollout itself
    endpoints = builder.endpoints(stable, canary).read()
    needed = [] if comes_up else [canary]
    if not builder.options.sick_stable:
        needed.insert(0, stable)
    return [
        f"no ready endpoint: {endpoints[name].describe()}" for name in needed if not endpoints[name].ready
    ]


def _deadman(builder: RolloutBuilder, found: Preflight) -> None:
    """The account of the Job, without which its pod is never made, and its rights to give the routes back."""
    deadman = builder.options.deadman
    if deadman is None:
        return
    namespace, name = builder.service.namespace, deadman.service_account
    if builder.client.get("v1", "ServiceAccount", name, namespace) is None:
        found.problems.append(
            f"deadman: ServiceAccount {namespace}/{name} does not exist"
            " (docs/rbac/deadman.yaml says its rights)"
        )
        return
    known = access_needs(["deadman"], _own_places(builder))
    needs = list(known)
    try:
        missing = [
            need
            for place in dict.fromkeys(need.namespace for need in needs)
            for need in missing_rights_of(
                builder.client, [need for need in needs if need.namespace == place], (namespace, name)
            )
        ]
    except ApiError as error:
        if not error.not_allowed:
            raise
        return  # the caller's own rights say so
    found.problems += [
        f"deadman: ServiceAccount {namespace}/{name} has no right to {need} (docs/rbac/deadman.yaml)"
        for need in missing
        if not known[need]
    ]
    found.warnings += losses(missing, known)


def _gates_on_stable(
    gates: tuple[ShareGate, ...], policy: Policy, baseline: Baseline
) -> tuple[int, list[str]]:
    """Requests that the evidence needs, and the gates that the stable version itself would not pass."""
    need, problems = 0, []
    for gate in gates:
        share = baseline.shares.get(gate.name, 0.0)
        burst = statistics.estimated_burst(baseline.spread.get(gate.name, ()))
        wanted = evidence_needed(dataclasses.replace(gate, burst=max(gate.burst, burst)), policy, share)
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
            share, acceptable=gate.acceptable, limit=gate.limit, error=policy.beta, burst=gate.burst
        )
        if absolute is None:
            return None
        requests = max(requests, absolute)
    if not gate.compare:
        return requests
    effect, error = gate.limit - gate.acceptable, policy.beta / 4
    while requests < 10_000_000:
        counted = requests / (2 * gate.burst - 1)
        if statistics.interval(share * counted, counted, error)[1] - share < effect:
            return requests
        requests = round(requests * 1.1) + 1
    return None


def _traffic(builder: RolloutBuilder, found: Preflight) -> None:
    plan, options = found.plan, builder.options
    rate = plan.requests_per_second or 0.0
    if rate <= 0:
        message = f"no requests reached {builder.service.name} in the last {options.baseline:.0f} s"
        _by_policy(builder, found, message)
        return
    if plan.expected_seconds > options.deadline:
        message = (
            f"at {rate:.1f} requests/s the rollout takes {plan.expected_seconds:.0f} s,"
            f" more than canary_deadline {options.deadline:.0f} s"
        )
        _by_policy(builder, found, message)
    for phase in plan.phases:
        if phase.expected_seconds > options.phase_deadline:
            _by_policy(
                builder,
                found,
                f"phase {phase.label()} needs {phase.expected_seconds:.0f} s at {rate:.1f} requests/s,"
                f" more than canary_phase_deadline {options.phase_deadline:.0f} s",
            )


def _by_policy(builder: RolloutBuilder, found: Preflight, message: str) -> None:
    refused = builder.options.low_traffic is LowTraffic.ROLLBACK
    target = found.problems if refused else found.warnings
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
    routes = builder.routes(service.initial_version or "", canary)
    live = routes.read()
    # before the first record, what a rollout wrote says nothing of a stable version: its journal is lost
    adopts = live is not None and not (fence_of(live, routes.annotation) and service.initial_version)
    for version in service.versions:
        if version != canary and live and adopts:
            weights = split_of(builder.options, version, canary).splits(live)
            if weights and max(entry.get(version, 0) for entry in weights) > 50:
                return version, "live split (no release record yet)"
    if service.initial_version:
        return service.initial_version, "initial_version of the catalogue"
    raise MeshError(f"nothing says which version of {service.name} is stable")
