"""The parameters of a rollout: typed once, and every bad one refused under the name of its variable."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    Policy,
    QueryGate,
    ShareGate,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import PhaseOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.assembly import mutual_ports
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.rollout import (
    DeadmanOptions,
    ForeignRoute,
    HeaderMatch,
    LowTraffic,
    RolloutOptions,
    Scale,
    Sticky,
    Synthetic,
    find_service,
    read_options,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.spec import (
    CANARY_SPEC,
)

from ....support.arguments import validated

CATALOGUE: dict[str, Any] = {
    "mesh_name": "shop",
    "mesh_namespace": "shop",
    "mesh_services": [
        {
            "name": "api",
            "ports": [{"name": "http", "number": 3000, "protocol": "http"}],
            "versions": {"v1": {}, "v2": {}},
            "initial_version": "v1",
        },
        {
            "name": "db",
            "ports": [{"name": "tcp", "number": 5432, "protocol": "tcp"}],
            "versions": {"v1": {}, "v2": {}},
            "initial_version": "v1",
        },
    ],
}
SYNTHETIC = {"selector": "app=caller", "container": "main", "command": ["curl", "api"]}


def options(*, catalogue: dict[str, Any] | None = None, **changes: Any) -> RolloutOptions:
    given: dict[str, Any] = {"catalogue": {}, "service": "api", "version": "v2", **changes}
    checked = validated(CANARY_SPEC, {key: value for key, value in given.items() if value is not None})
    mesh, params = (
        parse_catalogue(copy.deepcopy(CATALOGUE if catalogue is None else catalogue)),
        checked,
    )
    return read_options(params, mesh, find_service(params, mesh))


def refused(**changes: Any) -> list[str]:
    """The problems, each as ``variable: message``."""
    with pytest.raises(InputError) as raised:
        options(**changes)
    return [f"{problem.where}: {problem.message}" for problem in raised.value.problems]


def test_defaults() -> None:
    found = options()
    assert (found.service.name, found.version, found.catalogue.name) == ("api", "v2", "shop")
    assert found.gates == (ShareGate("errors", 0.005, 0.02),)
    assert (found.queries, found.max_ms, found.policy) == ((), None, Policy(0.01, 0.95, "sequential"))
    assert [phase.canary for phase in found.phases] == [10, 25, 50, 75, 100]
    assert (found.scrape_interval, found.baseline, found.poll) == (15.0, 60.0, 5.0)
    assert (found.deadline, found.phase_deadline, found.unmeasurable) == (7200.0, 1800.0, 300.0)
    assert (found.ready_timeout, found.resume_period, found.lease) == (120.0, 60.0, 30)
    assert (found.propagation, found.propagation_timeout, found.propagation_max_proxies) == (
        "require",
        60.0,
        200,
    )
    assert (found.low_traffic, found.promote, found.approvals) == (LowTraffic.ROLLBACK, True, ())
    assert (found.orphans, found.on_stop, found.gitops, found.by) == ("rollback", "rollback", "refuse", "")
    nothing = (found.testers, found.sticky, found.synthetic, found.scale, found.routes, found.deadman)
    assert (*nothing, found.prometheus, found.evidence) == (None,) * 8
    assert set(found.inputs) == {"duration", "min_requests", "deadline", "low_traffic", "approvals"}


def test_a_cookie_needs_routes_of_our_own() -> None:
    assert options(sticky={"cookie": "release", "max_age": 60}).sticky == Sticky("release", 60)
    with pytest.raises(InputError, match="canary_sticky: needs routes that are computed"):
        options(sticky={"cookie": "release"}, routes={"name": "own"})


def test_everything_that_can_be_asked_for() -> None:
    found = options(
        steps=[20, {"weight": 100, "duration": "2m", "min_requests": 7}],
        duration="30",
        min_requests=5,
        dark="1m",
        testers={"header": "X-Tester", "value": "yes", "duration": 9},
        approvals=[2, 3],
        errors={"acceptable": 0.01, "limit": 0.1, "odds_ratio": 2, "compare": False, "burst": 2},
        latency={"max_ms": 250, "compare": True},
        queries=[{"name": "q", "query": "up", "min": 1, "max": 2, "failures": 3}],
        alpha=0.02,
        power=0.9,
        mode="fixed",
        scrape_interval="2s",
        baseline="1m30s",
        deadline="2h",
        low_traffic="synthetic",
        synthetic={**SYNTHETIC, "namespace": "callers"},
        lease="1m",
        propagation="report",
        propagation_timeout="5",
        propagation_max_proxies=9,
        routes={"name": "own", "namespace": "team"},
        scale={"up": 2, "down": True},
        deadman="job",
        deadman_job={"image": "python", "image_pull_secrets": ["registry"]},
        evidence="/var/log/rollouts",
        by="ops",
        promote=True,
        orphans="continue",
        on_stop="leave",
        gitops="ignore",
        prometheus={"url": "http://p:9090"},
    )
    assert found.phases == (
        PhaseOptions("dark", 0, 60.0, 0),
        PhaseOptions("testers", 0, 9.0, 0),
        PhaseOptions("weight", 20, 30.0, 5),
        PhaseOptions("weight", 100, 120.0, 7),
    )
    assert found.testers == HeaderMatch("x-tester", "yes")
    assert found.gates == (
        ShareGate("errors", 0.01, 0.1, 2.0, compare=False, burst=2.0),
        ShareGate("latency", 0.05, 0.2, 3.0, burst=5.0),
    )
    assert found.max_ms == 250
    assert found.queries == (QueryGate("q", "up", 1.0, 2.0, 3),)
    assert found.policy == Policy(0.02, 0.9, "fixed")
    assert (found.scrape_interval, found.poll, found.baseline, found.deadline) == (2.0, 2.0, 90.0, 7200.0)
    assert found.synthetic == Synthetic("callers", "app=caller", "main", ("curl", "api"))
    assert (found.lease, found.propagation_timeout, found.propagation_max_proxies) == (60, 5.0, 9)
    assert (found.propagation, found.orphans, found.on_stop, found.gitops) == (
        "report",
        "continue",
        "leave",
        "ignore",
    )
    assert found.routes == ForeignRoute("own", "team")
    assert found.scale == Scale(2, down=True)
    assert found.deadman == DeadmanOptions("python", "servicemesh-deadman", ("registry",))
    assert (found.evidence, found.by, found.approvals) == (
        Path("/var/log/rollouts"),
        "ops",
        (2, 3),
    )
    assert found.prometheus is not None
    assert found.inputs["duration"] == "30"


def test_namespaces_default_to_that_of_the_service() -> None:
    found = options(
        low_traffic="synthetic", synthetic=SYNTHETIC, routes={"name": "own"}, scale={"down": True}
    )
    assert found.synthetic is not None
    assert found.synthetic.namespace == "shop"
    assert found.routes == ForeignRoute("own", "shop")
    assert found.scale == Scale(None, down=True)


def test_a_tester_s_value_has_a_default() -> None:
    assert options(testers={"header": "x-t"}).testers == HeaderMatch("x-t", "true")


@pytest.mark.parametrize(
    ("asked", "mode", "found"),
    [
        ("auto", "STRICT", "require"),
        ("auto", "PERMISSIVE", "report"),
        ("report", "STRICT", "report"),
        ("off", "STRICT", "off"),
        ("require", "PERMISSIVE", "require"),
    ],
)
def test_mutual_tls_is_required_where_it_is_strict(asked: str, mode: str, found: str) -> None:
    data = copy.deepcopy(CATALOGUE)
    data["mesh_services"][0]["mtls"] = {"mode": mode, "reason": "a test"}
    assert options(catalogue=data, mtls=asked).mtls == found


@pytest.mark.parametrize(
    ("mtls", "found", "ports"),
    [
        ({}, "require", [3000, 9090]),
        ({"ports": {3000: "PERMISSIVE"}}, "report", [3000, 9090]),
        ({"ports": {9090: "PERMISSIVE"}}, "require", [3000]),
        ({"mode": "PERMISSIVE", "ports": {3000: "STRICT"}}, "require", [3000]),
        ({"mode": "PERMISSIVE", "ports": {9090: "STRICT"}}, "report", [3000, 9090]),
    ],
)
def test_mutual_tls_is_asked_for_port_by_port(mtls: dict[str, Any], found: str, ports: list[int]) -> None:
    data = copy.deepcopy(CATALOGUE)
    data["mesh_services"][0]["ports"] = [
        {"name": "http", "number": 80, "target_port": 3000, "protocol": "http"},
        {"name": "tcp-x", "number": 9090, "protocol": "tcp"},
    ]
    data["mesh_services"][0]["mtls"] = {**mtls, "reason": "a test"} if mtls else {}
    read = options(catalogue=data, mtls="auto")
    assert read.mtls == found
    assert mutual_ports(read.catalogue, read.service) == ports


@pytest.mark.parametrize(
    "name", ["deadline", "phase_deadline", "unmeasurable", "ready_timeout", "resume_period"]
)
@pytest.mark.parametrize(("value", "seconds"), [(90, 90.0), ("90", 90.0), ("1m30s", 90.0), (90.5, 90.5)])
def test_times_are_seconds_or_text(name: str, value: Any, seconds: float) -> None:
    assert getattr(options(**{name: value}), name) == seconds


@pytest.mark.parametrize(
    "name",
    [
        "scrape_interval",
        "baseline",
        "deadline",
        "phase_deadline",
        "unmeasurable",
        "ready_timeout",
        "resume_period",
        "propagation_timeout",
        "lease",
    ],
)
@pytest.mark.parametrize(
    "value", [-1, 0, "soon", "-5", "1e3", True, float("nan"), float("inf"), 10**9, [5], ""]
)
def test_what_is_no_time_is_refused_under_its_name(name: str, value: Any) -> None:
    assert any(problem.startswith(f"canary_{name}: ") for problem in refused(**{name: value}))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"version": "v9"}, "canary_version: 'v9' is not a version of api (v1, v2)"),
        ({"version": None}, "canary_version: '' is not a version of api (v1, v2)"),
        ({"service": "db"}, "canary_service: db has no HTTP port, so its requests cannot be split"),
        (
            {"service": "ap"},
            "canary_service: 'ap' is not in mesh_services (shop/api, shop/db), did you mean api",
        ),
        ({"service": None}, "canary_service: is missing"),
        ({"scrape_interval": 0.5}, "canary_scrape_interval: is 0.5 s, less than 1 s"),
        ({"baseline": 59}, "canary_baseline: is 59 s, less than four scrapes of 15 s"),
        ({"lease": 9}, "canary_lease: is 9 s, not from 10 to 3600 seconds"),
        ({"lease": 3601}, "canary_lease: is 3601 s, not from 10 to 3600 seconds"),
        ({"lease": 30.5}, "canary_lease: is 30.5 s, not a whole number of seconds"),
        (
            {"propagation_max_proxies": 0},
            "canary_propagation_max_proxies: is 0, not a whole number from 1 to 100000",
        ),
        ({"alpha": 1.0}, "canary_alpha: is 1.0, not a share between 0 and 1 (0.01 is 1 %)"),
        ({"power": 0.0}, "canary_power: is 0.0, not a share between 0 and 1 (0.01 is 1 %)"),
        ({"sticky": {}}, "canary_sticky.cookie: is None, not a cookie name"),
        ({"sticky": {"cookie": "a\r\nb"}}, "canary_sticky.cookie: is 'a\\r\\nb', not a cookie name"),
        ({"sticky": {"cookie": "a", "age": 3}}, "canary_sticky.age: is not a known field"),
        (
            {"sticky": {"cookie": "a", "max_age": 0}},
            "canary_sticky.max_age: is 0, not a whole number from 1 to 31536000",
        ),
        (
            {"sticky": {"cookie": "a", "max_age": "1h"}},
            "canary_sticky.max_age: is '1h', not a whole number from 1 to 31536000",
        ),
        ({"testers": {}}, "canary_testers.header: is None, not a header name"),
        ({"testers": {"header": "x", "value": None}}, "canary_testers.value: is None, not text on one line"),
        ({"testers": {"header": "x", "value": 1}}, "canary_testers.value: is 1, not text on one line"),
        ({"testers": {"header": "x", "values": "1"}}, "canary_testers.values: is not a known field"),
        ({"mirror": {"percent": 0}}, "canary_mirror.percent: is 0, not from 1 to 100"),
        ({"scale": {"up": -3}}, "canary_scale.up: is -3, not a whole number from 1 to 10000"),
        ({"scale": {"up": 0}}, "canary_scale.up: is 0, not a whole number from 1 to 10000"),
        ({"errors": {"compare": "no way"}}, "canary_errors.compare: is 'no way', not true or false"),
        ({"errors": {"limit": 2}}, "canary_errors.limit: is 2, not a share between 0 and 1 (0.01 is 1 %)"),
        ({"errors": {"limit": 0.005}}, "canary_errors.limit: 0.005 is not above acceptable 0.005"),
        ({"errors": {"odds_ratio": 1}}, "canary_errors.odds_ratio: is 1, not above 1"),
        ({"errors": {"burst": 0.9}}, "canary_errors.burst: is 0.9, below 1"),
        ({"errors": {"max_ms": 3}}, "canary_errors.max_ms: is not a known field"),
        ({"latency": {"max_ms": -1}}, "canary_latency.max_ms: is -1, not above 0"),
        ({"latency": {"max_ms": 0}}, "canary_latency.max_ms: is 0, not above 0"),
        ({"latency": {"max_ms": "0"}}, "canary_latency.max_ms: is 0, not above 0"),
        ({"latency": {"max_ms": "3 s"}}, "canary_latency.max_ms: is '3 s', not a finite number"),
        (
            {"latency": {"compare": False}},
            "canary_latency: has neither max_ms nor compare, so it would judge nothing",
        ),
        ({"queries": [{"query": "up", "min": 1}]}, "canary_queries[0].name: is missing"),
        ({"queries": [{"name": "q", "min": 1}]}, "canary_queries[0].query: is missing"),
        (
            {"queries": [{"name": "q", "query": "up"}]},
            "canary_queries[0]: has neither min nor max, so it would always pass",
        ),
        (
            {"queries": [{"name": "q", "query": "up", "min": 2, "max": 1}]},
            "canary_queries[0]: min 2 is above max 1",
        ),
        (
            {"queries": [{"name": "q", "query": "up", "min": 1, "failures": 0}]},
            "canary_queries[0].failures: is 0, not a whole number from 1 to 1000",
        ),
        ({"low_traffic": "synthetic"}, "canary_synthetic: is None, not a mapping"),
        (
            {"low_traffic": "synthetic", "synthetic": {**SYNTHETIC, "selector": ""}},
            "canary_synthetic.selector: is '', not text on one line",
        ),
        (
            {"low_traffic": "synthetic", "synthetic": {**SYNTHETIC, "container": None}},
            "canary_synthetic.container: is None, not text on one line",
        ),
        (
            {"low_traffic": "synthetic", "synthetic": {**SYNTHETIC, "command": "curl api"}},
            "canary_synthetic.command: is not a list of words",
        ),
        (
            {"low_traffic": "synthetic", "synthetic": {**SYNTHETIC, "command": []}},
            "canary_synthetic.command: is not a list of words",
        ),
        ({"steps": [50, 10]}, "canary_steps[1]: 10 comes after 50: steps must rise"),
        ({"steps": [10, 50]}, "canary_steps[1]: the last step is 50, not 100, and promote is not false"),
        (
            {"steps": [10, 100], "step_weight": 5},
            "canary_step_weight: give either steps or step_weight, not both",
        ),
        (
            {"duration": "half an hour"},
            "canary_duration: is 'half an hour', not a duration such as 90, 90s, 2m, 1h30m or 500ms",
        ),
        ({"min_requests": "30 %"}, "canary_min_requests: is '30 %', not a whole number of requests"),
        ({"dark": "later"}, "canary_dark: is 'later', not a duration such as 90, 90s, 2m, 1h30m or 500ms"),
    ],
)
def test_what_is_wrong_is_said_under_the_variable_s_name(changes: dict[str, Any], problem: str) -> None:
    assert problem in refused(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"lease": 10},
        {"lease": 3600},
        {"scrape_interval": 1},
        {"baseline": 60},
        {"errors": {"burst": 1}},
        {"errors": {"odds_ratio": 1.01}},
        {"latency": {"max_ms": 1, "compare": False}},
        {"latency": {}},
        {"queries": [{"name": "q", "query": "up", "min": 1, "max": 1, "failures": 1}]},
        {"queries": [{"name": "q", "query": "up", "max": 1}]},
        {"scale": {"up": 1}},
        {"sticky": {"cookie": "a", "max_age": 1}},
        {"steps": [10, 50], "promote": False},
        {"propagation_max_proxies": 1},
        {"propagation_max_proxies": 100_000},
        {"synthetic": {"selector": 3}},  # nobody sends any
    ],
)
def test_the_edges_are_taken(changes: dict[str, Any]) -> None:
    assert options(**changes).version == "v2"


def test_every_problem_is_told_at_once() -> None:
    problems = refused(version="v9", lease=1, steps=[50, 10], sticky={}, errors={"limit": 2})
    assert len(problems) >= 5


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"steps": [50, 100], "approvals": [1, 3]},
            "canary_approvals[1]: 3 is no phase of the plan (1 to 2)",
        ),
        ({"approvals": [0]}, "canary_approvals[0]: 0 is no phase of the plan (1 to 5)"),
        ({"dark": 5, "approvals": [7]}, "canary_approvals[0]: 7 is no phase of the plan (1 to 6)"),
        ({"steps": [], "approvals": [9]}, "canary_steps: has 0 items; 1 to 100 are allowed"),
    ],
)
def test_an_approval_that_no_phase_waits_for_is_refused(changes: dict[str, Any], problem: str) -> None:
    assert refused(**changes) == [problem]
    assert options(action="promote", **{**changes, "steps": None}).approvals


def test_other_actions_need_no_version() -> None:
    assert options(action="rollback", version=None).version == ""
    assert options(action="rollback", service="db", version=None).service.name == "db"


def test_the_relative_latency_gate_is_no_absolute_one() -> None:
    assert [gate.absolute for gate in options(latency={}).gates] == [True, False]
    assert [gate.absolute for gate in options(latency={"max_ms": 5}).gates] == [True, True]
