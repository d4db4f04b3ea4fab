# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence of a rollout as one HTML page that needs no network and no script."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping, Sequence
from typing import Any

from ...fields import mapping_at

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:62rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}
td,th{border-bottom:1px solid #d5d9de;padding:.3rem .6rem;text-align:left}
th{background:#f4f6f8}td.n{text-align:right;font-variant-numeric:tabular-nums}
pre{background:#f4f6f8;padding:.8rem;overflow:auto}
.pass{color:#1a7f37}.fail{color:#cf222e}
svg{width:100%;height:auto;background:#fafbfc;border:1px solid #d5d9de}
""".strip()
_WIDTH, _HEIGHT, _PAD = 900, 200, 34


def evidence_page(whole: Mapping[str, Any]) -> str:
    """The page. :param whole: the content of the evidence JSON file."""
    evidence = whole["evidence"]
    totals = whole["totals"]
    good = whole["outcome"] in ("promoted", "split")
    title = f"{evidence.get('service', '')}: {evidence.get('stable', '')} to {evidence.get('canary', '')}"
    parts = [
        f"<h1>{_e(title)}</h1>",
        f"<p class={'pass' if good else 'fail'}><b>{_e(whole['outcome'])}</b>: {_e(whole['reason'])}</p>",
        f"<p>Run {_e(evidence.get('run'))}, namespace {_e(evidence.get('namespace'))},"
        f" cluster {_e(evidence.get('cluster'))}."
        f" Hurt by the canary: {totals['canary_failed']} of {totals['requests']} requests"
        f" ({totals['hurt_share']:.3%}). Evidence SHA-256 <code>{_e(whole['sha256'])}</code>.</p>",
        "<h2>Weight of the canary</h2>",
        _chart(_weights(evidence), unit="%", top=100.0),
        "<h2>Failed requests per window</h2>",
        _chart(_curves(evidence, "errors"), unit="%"),
    ]
    if any("latency" in window["counts"] for window in evidence.get("windows", [])):
        parts += ["<h2>Slow requests per window</h2>", _chart(_curves(evidence, "latency"), unit="%")]
    parts += [
        "<h2>Verdicts</h2>",
        _verdicts(evidence),
        "<h2>Proof at the proxies</h2>",
        _table(
            ("time", "weights", "verdict", "proxies", "seconds", "detail"),
            [
                (p["at"], _pairs(p["weights"]), p["status"], p["proxies"], p["seconds"], p["detail"])
                for p in evidence.get("proofs", [])
            ],
        ),
        "<h2>Timeline</h2>",
        _table(("time", "event"), [(line["at"], line["event"]) for line in whole.get("timeline", [])]),
        "<h2>Queries</h2>",
        *[
            f"<pre>{_e(name)}: {_e(query)}</pre>"
            for name, query in sorted(mapping_at(evidence, "selectors").items())
        ],
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{_e(title)}</title><style>{_STYLE}</style>"
        + "\n".join(parts)
        + "</html>"
    )


def _e(value: Any) -> str:
    return html.escape("" if value is None else str(value))


def _pairs(weights: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in weights.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if isinstance(c, int | float) else ''}>{_e(c)}</td>" for c in row)
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{''.join(f'<th>{_e(name)}</th>' for name in head)}</tr>{body}</table>"


def _verdicts(evidence: Mapping[str, Any]) -> str:
    rows = []
    for verdict in evidence.get("verdicts", []):
        figures = verdict.get("figures", {})
        rows.append(
            (
                verdict["gate"],
                verdict["verdict"],
                verdict["reason"],
                f"{figures.get('canary_bad', '')}/{figures.get('canary_total', '')}",
                _bounds(figures.get("canary_interval")),
                f"{figures.get('stable_bad', '')}/{figures.get('stable_total', '')}",
                _bounds(figures.get("stable_interval")),
            )
        )
    return _table(("gate", "verdict", "reason", "canary", "interval", "stable", "interval"), rows)


def _bounds(pair: Any) -> str:
    return f"{pair[0]:.3%} to {pair[1]:.3%}" if pair else ""


def _time(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _weights(evidence: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
    points: list[tuple[float, float]] = []
    canary = evidence.get("canary")
    for proof in evidence.get("proofs", []):
        at, weight = _time(proof["at"]), float(proof["weights"].get(canary, 0))
        if points:
            points.append((at, points[-1][1]))  # a step, not a slope
        points.append((at, weight))
    return {"canary": points}


def _curves(evidence: Mapping[str, Any], gate: str) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {"canary": [], "stable": []}
    for window in evidence.get("windows", []):
        counts = window["counts"].get(gate)
        if not counts:
            continue
        at = _time(window["end"])
        for arm, total, bad in (("canary", counts[0], counts[1]), ("stable", counts[2], counts[3])):
            if total:
                curves[arm].append((at, 100 * bad / total))
    return curves


_COLOURS = {"canary": "#bf5af2", "stable": "#0a66c2"}


def _chart(
    curves: Mapping[str, Sequence[tuple[float, float]]], *, unit: str, top: float | None = None
) -> str:
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return "<p>Nothing was measured.</p>"
    first, last = min(at for at, _value in points), max(at for at, _value in points)
    high = top or max(1.0, max(value for _at, value in points) * 1.1)

    def place(at: float, value: float) -> str:
        x = _PAD + (at - first) / max(last - first, 1e-9) * (_WIDTH - 2 * _PAD)
        y = _HEIGHT - _PAD + (value / high) * (2 * _PAD - _HEIGHT)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for index, (name, curve) in enumerate(curves.items()):
        path = " ".join(place(at, value) for at, value in curve)
        colour = _COLOURS.get(name, "#57606a")
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        lines += [
            f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="2" fill="{colour}"/>'
            for p in path.split()
        ]
        lines.append(f'<text x="{_PAD + 90 * index}" y="16" fill="{colour}" font-size="13">{_e(name)}</text>')
    axis = (
        f'<text x="2" y="{_PAD + 4}" font-size="11">{high:.4g} {unit}</text>'
        f'<text x="2" y="{_HEIGHT - _PAD + 4}" font-size="11">0</text>'
        f'<text x="{_WIDTH - 3 * _PAD}" y="{_HEIGHT - 8}" font-size="11">{last - first:.0f} s</text>'
        f'<path d="M{_PAD} {_PAD}V{_HEIGHT - _PAD}H{_WIDTH - _PAD}" stroke="#8c959f" fill="none"/>'
    )
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{axis}{"".join(lines)}</svg>'
