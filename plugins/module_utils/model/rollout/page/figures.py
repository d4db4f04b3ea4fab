# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the charts of the evidence page show: weights, shares with bands, requests, latency, own queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import statistics
from .charts import CANARY, OTHER, STABLE, Chart, Level, Line
from .parts import clock, count, percent, seconds

_VERSIONS = (("canary", CANARY, 0), ("stable", STABLE, 2))
_QUERY_COLOURS = ("#6f42c1", "#0f766e", "#9a6700", "#57606a")
_GOOD = "#1a7f37"


def charts_of(evidence: Mapping[str, Any]) -> list[Chart]:
    """The charts of a run. :returns: every one that the evidence has something for, the weight first."""
    windows = [window for window in evidence.get("windows", []) if seconds(window.get("end")) is not None]
    found = [_weight(evidence), _share(evidence, windows, "errors", "Failed requests")]
    if any("latency" in window["counts"] for window in windows):
        found.append(_share(evidence, windows, "latency", "Slow requests"))
    found.append(_requests(windows))
    if any(window.get("latency") for window in windows):
        found.append(_latency(windows))
    return [*found, *_queries(evidence, windows)]


def _weight(evidence: Mapping[str, Any]) -> Chart:
    canary = evidence.get("canary")
    points: list[tuple[float, float | None]] = []
    for proof in evidence.get("proofs", []):
        at = seconds(proof.get("at"))
        if at is not None:
            points.append((at, float(proof["weights"].get(canary, 0))))
    after = evidence.get("after") or {}
    ends = [seconds(window.get("end")) for window in [*evidence.get("windows", []), after]]
    last = max([at for at in ends if at is not None], default=None)
    if points and last is not None and last > points[-1][0]:
        points.append((last, points[-1][1]))
    steps = ", ".join(f"{value:.0f} % at {clock(at)}" for at, value in points if value is not None)
    return Chart(
        "weight",
        "Weight of the canary, as the proxies held it",
        f"Steps: {steps}." if steps else "",
        "%",
        (Line("canary", CANARY, points, step=True, dots=True),),
        top=100.0,
        height=130,
    )


def _share(evidence: Mapping[str, Any], windows: Sequence[Mapping[str, Any]], gate: str, title: str) -> Chart:
    """Bad requests of both versions in percent, window by window; the canary's true share is in the band."""
    alpha = float((evidence.get("policy") or {}).get("alpha") or 0.01)
    curves: dict[str, list[tuple[float, float | None]]] = {"canary": [], "stable": []}
    band: list[tuple[float, float, float]] = []
    total = bad = 0
    sums = {"canary": [0, 0], "stable": [0, 0]}
    for window in windows:
        counts, at = window["counts"].get(gate), seconds(window["end"])
        if not counts or at is None:
            continue
        for version, _colour, index in _VERSIONS:
            share = 100 * counts[index + 1] / counts[index] if counts[index] else None
            curves[version].append((at, share))
            sums[version][0] += counts[index]
            sums[version][1] += counts[index + 1]
        total, bad = total + counts[0], bad + counts[1]
        if total:
            low, high = statistics.interval(bad, total, alpha)
            band.append((at, 100 * low, 100 * high))
    limits: Mapping[str, Any] = next(
        (item for item in evidence.get("gates", []) if item.get("name") == gate), {}
    )
    shown = [value for line in curves.values() for _at, value in line if value is not None]
    levels = []
    if limits.get("absolute", True) and limits:
        levels = [
            Level(f"acceptable {percent(limits['acceptable'])}", 100 * limits["acceptable"], _GOOD),
            Level(f"limit {percent(limits['limit'])}", 100 * limits["limit"]),
        ]
    least = max([*shown, *(level.value for level in levels), 0.5])
    spoken = "; ".join(f"{version} {pair[1]} of {pair[0]}" for version, pair in sums.items())
    return Chart(
        gate,
        title,
        f"{title} in the run: {spoken}. The band is the interval of the canary's true share.",
        "%",
        (
            Line("stable", STABLE, curves["stable"], dashed=True, dots=True),
            Line("canary", CANARY, curves["canary"], dots=True, band=band),
        ),
        levels,
        least_top=least,
        height=210,
    )


def _requests(windows: Sequence[Mapping[str, Any]]) -> Chart:
    bars: dict[str, list[tuple[float, float, float, str]]] = {"canary": [], "all": []}
    totals = [0, 0]
    for window in windows:
        counts = window["counts"].get("errors")
        begin, end = seconds(window.get("begin")), seconds(window.get("end"))
        if not counts or begin is None or end is None or end <= begin:
            continue
        totals[0] += counts[0]
        totals[1] += counts[2]
        rate = (counts[0] + counts[2]) / (end - begin)
        said = f"{clock(begin)} to {clock(end)}: canary {counts[0]}, stable {counts[2]} requests"
        bars["all"].append((begin, end, rate, said))
        bars["canary"].append((begin, end, counts[0] / (end - begin), said))
    return Chart(
        "requests",
        "Requests per second, one version upon the other",
        f"In the run: canary {totals[0]}, stable {totals[1]} requests.",
        "/s",
        (
            Line("stable", STABLE, bars=bars["all"]),
            Line("canary", CANARY, bars=bars["canary"], strength=0.85),
        ),
        height=140,
    )


def _latency(windows: Sequence[Mapping[str, Any]]) -> Chart:
    lines = []
    said = []
    for version, colour, _index in _VERSIONS:
        for quantile in ("p99", "p50"):
            points = [
                (at, (window.get("latency", {}).get(version) or {}).get(quantile))
                for window in windows
                if (at := seconds(window["end"])) is not None
            ]
            values = [value for _at, value in points if value is not None]
            if values:
                said.append(f"{version} {quantile} {values[-1]:.0f} ms")
                lines.append(Line(f"{version} {quantile}", colour, points, dashed=quantile == "p50"))
    return Chart(
        "latency-ms",
        "Latency since the begin of the run, p50 and p99",
        f"At the end: {', '.join(said)}." if said else "",
        "ms",
        lines,
        height=170,
    )


def _queries(evidence: Mapping[str, Any], windows: Sequence[Mapping[str, Any]]) -> list[Chart]:
    found = []
    for index, gate in enumerate(evidence.get("queries") or []):
        points = [
            (at, (window.get("values") or {}).get(gate["name"]))
            for window in windows
            if (at := seconds(window["end"])) is not None
        ]
        levels = [
            Level(f"{name} {value:g}", value, OTHER if name == "min" else "#b42318")
            for name, value in (("min", gate.get("minimum")), ("max", gate.get("maximum")))
            if value is not None and value >= 0
        ]
        values = [value for _at, value in points if value is not None]
        colour = _QUERY_COLOURS[index % len(_QUERY_COLOURS)]
        said = f"From {min(values):g} to {max(values):g}." if values else ""
        curve = Line(gate["name"], colour, points if values else (), dots=True)
        found.append(
            Chart(f"query-{index}", f"Own query: {gate['name']}", said, "", (curve,), levels, height=150)
        )
    return found


def window_rows(windows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The figures behind the charts. :returns: cells of one row per window."""
    rows = []
    for window in windows:
        begin, end = seconds(window.get("begin")), seconds(window.get("end"))
        row = [
            str(window.get("phase", "")),
            clock(begin) if begin is not None else "",
            clock(end) if end is not None else "",
            f"{window.get('weight', '')} %",
        ]
        for gate in ("errors", "latency"):
            counts = window["counts"].get(gate)
            for index in (0, 2):
                row.append(f"{count(counts[index + 1])} / {count(counts[index])}" if counts else "")
        rows.append(row)
    return rows
