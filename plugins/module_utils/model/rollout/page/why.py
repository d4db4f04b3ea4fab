# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The box of the evidence page that says why: each gate's criterion, and evidence against threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .parts import count, duration, escaped, percent, seconds, table, time_cell, verdict_mark
from .time_axis import TimeAxis

_FIRST = {"fail": 0, "pass": 2}
_WHAT = {"errors": "fail", "latency": "be slow"}


def why_box(whole: Mapping[str, Any]) -> str:
    """Why the run ended as it did, gate by gate."""
    evidence = whole["evidence"]
    gates = {gate["name"]: gate for gate in evidence.get("gates", [])}
    queries = {gate["name"]: gate for gate in evidence.get("queries") or []}
    policy = evidence.get("policy") or {}
    parts = []
    for verdict in sorted(evidence.get("verdicts", []), key=lambda item: _FIRST.get(item["verdict"], 1)):
        name = verdict["gate"]
        criterion = _criterion(name, gates.get(name), queries.get(name), policy)
        parts.append(
            f'<div class="gate"><h3>{escaped(name)} {verdict_mark(verdict["verdict"])}</h3>'
            f"<p>{escaped(criterion)}</p><p><b>{escaped(verdict['reason'])}</b></p>"
            f"{_evidence_bars(verdict.get('figures', {}))}{_intervals(verdict.get('figures', {}))}</div>"
        )
    for answer in evidence.get("answers", []):
        if answer.get("verdict") != "pass":
            parts.append(
                f'<div class="gate"><h3>{escaped(answer["gate"])} {verdict_mark(answer["verdict"])}</h3>'
                f"<p>A gate outside of the mesh ({escaped(answer['when'])}).</p>"
                f"<p><b>{escaped(answer['reason'])}</b></p></div>"
            )
    gates_told = "".join(parts) or '<p class="none">No gate was judged.</p>'
    decided = f"What decided: <b>{escaped(whole['reason'])}</b>. The gates at their last look:"
    return f'<p class="decided">{decided}</p><div class="gates">{gates_told}</div>'


def _criterion(
    name: str, gate: Mapping[str, Any] | None, query: Mapping[str, Any] | None, policy: Mapping[str, Any]
) -> str:
    """What the gate asks for, in a sentence."""
    if query:
        low, high = query.get("minimum"), query.get("maximum")
        bounds = [
            text
            for text, value in ((f"at least {low:g}" if low is not None else "", low),
                                (f"at most {high:g}" if high is not None else "", high))
            if value is not None
        ]  # fmt: skip
        return f"The query must be {' and '.join(bounds)}; {query.get('failures')} violations in a row fail."
    if not gate:
        return "The measured share of requests must follow the weight." if name == "share" else ""
    what = _WHAT.get(name, "be bad")
    parts = []
    if gate.get("absolute", True):
        acceptable, limit = percent(gate["acceptable"]), percent(gate["limit"])
        parts.append(f"At most {acceptable} of the canary's requests may {what}; from {limit} on it is sick")
    if gate.get("compare"):
        parts.append(f"its odds must not be {gate['odds_ratio']:g} times those of the stable version")
    told = "; ".join(parts)
    told = told[:1].upper() + told[1:]
    if policy.get("mode") == "fixed":
        return f"{told}. Fixed thresholds, judged at the end of each phase."
    alpha, power = policy.get("alpha"), policy.get("power")
    if alpha is None or power is None:
        return f"{told}."
    rates = (
        f"A healthy version is stopped with a probability of {percent(alpha)} at most, one at the limit"
        f" promoted with {percent(1 - power)}"
    )
    return f"{told}. {rates}."


def _evidence_bars(figures: Mapping[str, Any]) -> str:
    """Evidence as bars, against the thresholds at which it decides."""
    stop, promote = figures.get("stop_at"), figures.get("promote_at")
    rows = [
        ("evidence of harm", figures.get("harm_evidence"), stop, "stops the run", "bad"),
        ("worse than stable", figures.get("worse_than_stable_evidence"), stop, "stops the run", "bad"),
        ("evidence of health", figures.get("health_evidence"), promote, "lets it be promoted", "good"),
    ]
    bars = [
        _bar(name, value, threshold, effect, kind)
        for name, value, threshold, effect, kind in rows
        if isinstance(value, int | float) and isinstance(threshold, int | float)
    ]
    return f'<div class="bars">{"".join(bars)}</div>' if bars else ""


def _bar(name: str, value: float, threshold: float, effect: str, kind: str) -> str:
    share = min(max(value / threshold, 0.0), 1.25) if threshold > 0 else 0.0
    said = f"{name} {value:.2f} of {threshold:.2f}, which {effect}"
    return (
        f'<div class="bar"><span class="what">{escaped(name)}</span>'
        f'<span class="rail" role="img" aria-label="{escaped(said)}" title="{escaped(said)}">'
        f'<span class="fill {kind}" style="width:{80 * share:.1f}%"></span><span class="at"></span></span>'
        f'<span class="of">{max(value, 0.0):.2f} of {threshold:.2f}</span></div>'
    )


def _intervals(figures: Mapping[str, Any]) -> str:
    parts = []
    for version in ("canary", "stable"):
        pair, total = figures.get(f"{version}_interval"), figures.get(f"{version}_total")
        if pair and isinstance(total, int):
            bad = figures.get(f"{version}_bad", 0)
            share = percent(bad / total) if total else "no requests"
            bounds = f"{percent(pair[0])} to {percent(pair[1])}" if total else ""
            parts.append(
                f"<tr><th scope=row>{version}</th><td class=n>{count(bad)} of {count(total)}</td>"
                f"<td class=n>{share}</td><td class=n>{bounds}</td></tr>"
            )
    if not parts:
        return ""
    return (
        "<table class=small><thead><tr><th></th><th class=n>bad requests</th><th class=n>share</th>"
        f"<th class=n>interval</th></tr></thead><tbody>{''.join(parts)}</tbody></table>"
    )


def phase_table(evidence: Mapping[str, Any], axis: TimeAxis) -> str:
    """Each phase with its verdicts, requests and time.

    A look counts for the phase in whose time it lies. For the gates, requests before the first look of a
    phase count for the one before: they may have been on their way when the routes changed.
    """
    by_phase = evidence.get("by_phase") or {}
    rows = []
    for phase in (evidence.get("plan") or {}).get("phases", []):
        number = phase["number"]
        spans = [span for span in axis.spans if span.number == number]
        windows = [
            window
            for window in evidence.get("windows", [])
            if any(span.begin < _middle(window) <= span.end for span in spans)
        ]
        counts = [window["counts"].get("errors", [0, 0, 0, 0]) for window in windows]
        sums = [count(sum(item[index] for item in counts)) if counts else "" for index in range(4)]
        kind = f"{phase['canary']} %" if phase["kind"] == "weight" else phase["kind"]
        verdicts = " ".join(
            f'<span class="by" title="{escaped(item["reason"])}">{escaped(item["gate"])}'
            f" {verdict_mark(item['verdict'])}</span>"
            for item in by_phase.get(str(number), [])
        )
        spent = sum(span.end - span.begin for span in spans)
        reached = verdicts or ("no look" if spans else "not reached")
        rows.append([str(number), escaped(kind), duration(spent) if spans else "", *sums, reached])
    head = ("phase", "canary", "took", "canary", "failed", "stable", "failed", "gates at the last look")
    caption = "Requests and failures of both versions in the time of each phase, and what each gate said last"
    return table(caption, head, rows, right=(3, 4, 5, 6))


def _middle(window: Mapping[str, Any]) -> float:
    begin, end = seconds(window.get("begin")), seconds(window.get("end"))
    known = [at for at in (begin, end) if at is not None]
    return sum(known) / len(known) if known else 0.0


def answer_table(evidence: Mapping[str, Any]) -> str:
    """What the gates outside of the mesh said."""
    rows = [
        [
            escaped(answer["gate"]),
            escaped(answer["when"]),
            str(answer["phase"]),
            verdict_mark(answer["verdict"]),
            escaped(answer["reason"]),
            time_cell(answer["at"]),
            duration(answer.get("seconds") or 0.0),
        ]
        for answer in evidence.get("answers", [])
    ]
    head = ("gate", "when", "phase", "verdict", "said", "time", "took")
    return table("Gates outside of the mesh, with the last answer at each moment", head, rows)


def times_of(whole: Mapping[str, Any]) -> tuple[float, float] | None:
    """When the run was. :returns: (begin, end) in seconds since the epoch; ``None`` without any time."""
    known = [at for line in whole.get("timeline", []) if (at := seconds(line.get("at"))) is not None]
    return (min(known), max(known)) if known else None
