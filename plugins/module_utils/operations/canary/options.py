# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument spec of module ``canary``, and its parameters as checked values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ...istio.metrics import PrometheusOptions
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Service
from ...model.rollout.gates import Policy, QueryGate, ShareGate
from ...model.rollout.phases_input import Reader

ACTIONS = ("run", "rollback", "promote", "pause", "resume")

CANARY_SPEC: dict[str, Any] = {
    "service": {"type": "str"},
    "namespace": {"type": "str"},
    "version": {"type": "str"},
    "catalogue": {"type": "dict", "required": True},
    "action": {"type": "str", "choices": list(ACTIONS), "default": "run"},
    "orphans": {"type": "str", "choices": ["rollback", "continue"], "default": "rollback"},
    "steps": {"type": "list", "elements": "raw"},
    "step_weight": {"type": "raw"},
    "duration": {"type": "raw", "default": 60},
    "min_requests": {"type": "raw", "default": 100},
    "promote": {"type": "bool", "default": True},
    "approvals": {"type": "list", "elements": "int", "default": []},
    "dark": {"type": "raw"},
    "mirror": {"type": "dict"},
    "testers": {"type": "dict"},
    "sticky": {"type": "dict"},
    "errors": {"type": "dict", "default": {}},
    "latency": {"type": "dict"},
    "queries": {"type": "list", "elements": "dict", "default": []},
    "alpha": {"type": "float", "default": 0.01},
    "power": {"type": "float", "default": 0.95},
    "mode": {"type": "str", "choices": ["sequential", "fixed"], "default": "sequential"},
    "prometheus": {
        "type": "dict",
        "options": {
            "url": {"type": "str"},
            "bearer_token": {"type": "str", "no_log": True},
            "ca_cert": {"type": "path"},
            "validate_certs": {"type": "bool", "default": True},
            "namespace": {"type": "str"},
            "service": {"type": "str"},
            "port": {"type": "raw", "default": 9090},
            "timeout": {"type": "float", "default": 10.0},
        },
    },
    "scrape_interval": {"type": "float", "default": 15.0},
    "baseline": {"type": "float", "default": 60.0},
    "low_traffic": {
        "type": "str",
        "choices": ["hold", "promote_with_warning", "synthetic"],
        "default": "hold",
    },
    "synthetic": {"type": "dict"},
    "deadline": {"type": "float", "default": 7200.0},
    "phase_deadline": {"type": "float", "default": 1800.0},
    "unmeasurable": {"type": "float", "default": 300.0},
    "ready_timeout": {"type": "float", "default": 120.0},
    "proof": {"type": "str", "choices": ["require", "report"], "default": "require"},
    "proof_timeout": {"type": "float", "default": 60.0},
    "proof_max_proxies": {"type": "int", "default": 200},
    "mtls": {"type": "str", "choices": ["auto", "require", "report", "off"], "default": "auto"},
    "lease": {"type": "int", "default": 30},
    "resume_period": {"type": "float", "default": 60.0},
    "on_stop": {"type": "str", "choices": ["rollback", "leave"], "default": "rollback"},
    "gitops": {"type": "str", "choices": ["refuse", "ignore"], "default": "refuse"},
    "routes": {
        "type": "dict",
        "options": {"name": {"type": "str", "required": True}, "namespace": {"type": "str"}},
    },
    "scale": {"type": "dict", "options": {"up": {"type": "int"}, "down": {"type": "bool", "default": False}}},
    "deadman": {"type": "str", "choices": ["none", "job"], "default": "none"},
    "deadman_job": {
        "type": "dict",
        "apply_defaults": True,
        "options": {
            "image": {"type": "str", "default": "docker.io/library/python:3.13-slim"},
            "service_account": {"type": "str", "default": "servicemesh-deadman"},
            "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
    },
    "evidence": {"type": "path"},
    "by": {"type": "str"},
}


@dataclasses.dataclass(frozen=True, slots=True)
class Wishes:
    """The checked parameters that do not depend on the cluster."""

    catalogue: Catalogue
    service: Service
    canary: str
    gates: tuple[ShareGate, ...]
    queries: tuple[QueryGate, ...]
    policy: Policy
    max_ms: float | None
    prometheus: PrometheusOptions | None
    mtls: str


def read_wishes(params: Mapping[str, Any], service_name: str, catalogue: Catalogue) -> Wishes:
    """Checks gates, policy and names.

    :raises InputError: with every problem.
    """
    reader = Reader("canary_")
    service = catalogue.service(service_name, params.get("namespace") or None)
    if service is None:
        known = ", ".join(sorted(item.name for item in catalogue.services))
        raise InputError(
            [Problem("canary_service", f"{service_name!r} is not in mesh_services ({known})", "service")]
        )
    canary = params.get("version") or ""
    if params.get("action") == "run":
        if canary not in service.versions:
            known = ", ".join(service.versions) or "none"
            reader.problem("version", f"{canary!r} is not a version of {service.name} ({known})", "version")
        if service.http_port is None:
            reader.problem(
                "service", f"{service.name} has no HTTP port, so its requests cannot be split", "http"
            )
    gates, max_ms = read_gates(reader, params)
    queries = tuple(_query(reader, index, item) for index, item in enumerate(params.get("queries") or []))
    policy = Policy(
        alpha=reader.share("alpha", params["alpha"]),
        power=reader.share("power", params["power"]),
        mode=params["mode"],
    )
    for name in (
        "scrape_interval",
        "baseline",
        "deadline",
        "phase_deadline",
        "unmeasurable",
        "ready_timeout",
    ):
        reader.seconds(name, params[name])
    if params["baseline"] < 4 * params["scrape_interval"]:
        reader.problem(
            "baseline",
            f"is {params['baseline']:g} s, less than four scrapes of {params['scrape_interval']:g} s",
            "baseline",
        )
    if params["low_traffic"] == "synthetic":
        fields = {"namespace", "selector", "container", "command"}
        wish = reader.mapping("synthetic", params.get("synthetic"), fields)
        for field in ("selector", "container", "command"):
            if not wish.get(field):
                reader.problem(f"synthetic.{field}", "is missing", "synthetic")
    if params["lease"] < 10:
        reader.problem("lease", f"is {params['lease']}, less than 10 seconds", "lease")
    if reader.problems:
        raise InputError(reader.problems)
    prometheus = PrometheusOptions.from_params(params["prometheus"]) if params.get("prometheus") else None
    mode = service.mtls.mode or catalogue.mtls_mode
    return Wishes(
        catalogue=catalogue,
        service=service,
        canary=canary,
        gates=gates,
        queries=queries,
        policy=policy,
        max_ms=max_ms,
        prometheus=prometheus,
        mtls=params["mtls"] if params["mtls"] != "auto" else ("require" if mode == "STRICT" else "report"),
    )


def read_gates(reader: Reader, params: Mapping[str, Any]) -> tuple[tuple[ShareGate, ...], float | None]:
    """The share gates, and the latency limit in milliseconds (``None`` = from the stable version).

    :returns: the gates, and milliseconds.
    """
    gates = []
    fields = {"acceptable", "limit", "odds_ratio", "compare", "burst"}
    errors = reader.mapping("errors", params.get("errors") or {}, fields)
    gates.append(_share_gate(reader, "errors", errors, acceptable=0.005, limit=0.02))
    max_ms = None
    if params.get("latency") is not None:
        latency = reader.mapping("latency", params["latency"], {*fields, "max_ms"})
        gates.append(_share_gate(reader, "latency", latency, acceptable=0.05, limit=0.2, burst=5.0))
        if latency.get("max_ms") is not None:
            max_ms = reader.number("latency.max_ms", latency["max_ms"])
        elif not gates[-1].compare:
            reader.problem("latency", "has neither max_ms nor compare, so it would judge nothing", "gate")
    return tuple(gates), max_ms


def _share_gate(
    reader: Reader,
    name: str,
    given: Mapping[str, Any],
    *,
    acceptable: float,
    limit: float,
    burst: float = 1.0,
) -> ShareGate:
    gate = ShareGate(
        name=name,
        acceptable=reader.share(f"{name}.acceptable", given.get("acceptable", acceptable)),
        limit=reader.share(f"{name}.limit", given.get("limit", limit)),
        odds_ratio=reader.number(f"{name}.odds_ratio", given.get("odds_ratio", 3.0)),
        compare=bool(given.get("compare", True)),
        absolute=name != "latency" or given.get("max_ms") is not None,
        burst=reader.number(f"{name}.burst", given.get("burst", burst)),
    )
    if gate.burst < 1:
        reader.problem(f"{name}.burst", f"is {gate.burst:g}, below 1", "gate")
    if gate.acceptable >= gate.limit:
        reader.problem(f"{name}.limit", f"{gate.limit:g} is not above acceptable {gate.acceptable:g}", "gate")
    if gate.odds_ratio <= 1:
        reader.problem(f"{name}.odds_ratio", f"is {gate.odds_ratio:g}, not above 1", "gate")
    return gate


def _query(reader: Reader, index: int, item: Mapping[str, Any]) -> QueryGate:
    where = f"queries[{index}]"
    given = reader.mapping(where, item, {"name", "query", "min", "max", "failures"})
    for field in ("name", "query"):
        if not isinstance(given.get(field), str) or not given.get(field):
            reader.problem(f"{where}.{field}", "is missing", "query")
    low = None if given.get("min") is None else reader.number(f"{where}.min", given["min"])
    high = None if given.get("max") is None else reader.number(f"{where}.max", given["max"])
    if low is None and high is None:
        reader.problem(where, "has neither min nor max, so it would always pass", "query")
    if low is not None and high is not None and low > high:
        reader.problem(where, f"min {low:g} is above max {high:g}", "query")
    failures = given.get("failures", 2)
    if isinstance(failures, bool) or not isinstance(failures, int) or failures < 1:
        reader.problem(f"{where}.failures", "is not a whole number from 1", "query")
        failures = 1
    return QueryGate(str(given.get("name", "")), str(given.get("query", "")), low, high, failures)
