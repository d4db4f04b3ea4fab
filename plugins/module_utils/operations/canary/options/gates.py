# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the gates of a rollout: what may fail or be slow, and the user's own queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....model.rollout.gates import QueryGate, ShareGate
from ....model.rollout.phases_input import PlanReader


def read_gates(reader: PlanReader, params: Mapping[str, Any]) -> tuple[tuple[ShareGate, ...], float | None]:
    """The share gates of ``errors`` and ``latency``.

    :returns: the gates, and the latency limit in milliseconds (``None`` = from the stable version).
    """
    gates = []
    fields = {"acceptable", "limit", "odds_ratio", "compare", "burst"}
    errors = reader.mapping("errors", params["errors"], fields)
    gates.append(_share_gate(reader, "errors", errors, acceptable=0.005, limit=0.02))
    max_ms = None
    if params.get("latency") is not None:
        latency = reader.mapping("latency", params["latency"], {*fields, "max_ms"})
        gates.append(_share_gate(reader, "latency", latency, acceptable=0.05, limit=0.2, burst=5.0))
        if latency.get("max_ms") is not None:
            max_ms = reader.above_zero("latency.max_ms", latency["max_ms"])
        elif not gates[-1].compare:
            reader.problem("latency", "has neither max_ms nor compare, so it would judge nothing", "gate")
    return tuple(gates), max_ms


def _share_gate(
    reader: PlanReader,
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
        compare=reader.boolean(f"{name}.compare", given.get("compare", True)),
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


def read_query(reader: PlanReader, index: int, item: Mapping[str, Any]) -> QueryGate:
    """One entry of ``queries``."""
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
    failures = reader.whole(f"{where}.failures", given.get("failures", 2), 1, 1000)
    return QueryGate(str(given.get("name", "")), str(given.get("query", "")), low, high, failures)
