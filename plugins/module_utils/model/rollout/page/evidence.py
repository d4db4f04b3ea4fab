# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence of a rollout as one HTML page that needs no network and no script."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ....fields import mapping_at
from .charts import drawn
from .figures import charts_of, window_rows
from .parts import (
    clock,
    count,
    duration,
    escaped,
    folded,
    percent,
    shown,
    table,
    time_cell,
    verdict_mark,
)
from .style import STYLE
from .time_axis import time_axis
from .why import answer_table, phase_table, times_of, why_box

_GOOD = ("promoted", "split")
_NOTE = (
    "All times in UTC, on one axis; phases are shaded. The band is where the canary's true share lies, at"
    " every look at once."
)
_OPEN = ("awaiting_approval", "paused", "running")


def evidence_page(whole: Mapping[str, Any]) -> str:
    """The page. :param whole: the content of the evidence JSON file."""
    evidence = whole["evidence"]
    timeline = whole.get("timeline", [])
    title = f"{evidence.get('service', '')}: {evidence.get('stable', '')} to {evidence.get('canary', '')}"
    axis = time_axis(evidence, timeline)
    charts = "".join(drawn(chart, axis) for chart in charts_of(evidence))
    parts = [
        _head(whole, title),
        _cards(whole),
        _section("why", "Why", why_box(whole)),
        _section("course", "Course", f'<p class="note">{_NOTE}</p>{charts}'),
        _section("phases", "Phases", phase_table(evidence, axis) + answer_table(evidence)),
        _section("proof", "Proof at the proxies", _proofs(evidence)),
        _section("more", "Everything else", _folded(whole)),
        f"<footer><p>Evidence SHA-256 <code>{escaped(whole['sha256'])}</code>; the verdicts can be computed"
        " again from the JSON file beside this page.</p></footer>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head><body><main>"
        + "\n".join(part for part in parts if part)
        + "</main></body></html>"
    )


def _section(key: str, title: str, content: str) -> str:
    return f'<section aria-labelledby="{key}"><h2 id="{key}">{title}</h2>{content}</section>'


def _head(whole: Mapping[str, Any], title: str) -> str:
    evidence, outcome = whole["evidence"], str(whole["outcome"])
    kind = "good" if outcome in _GOOD else "open" if outcome in _OPEN else "bad"
    sign = {"good": "\u2713", "bad": "\u2717", "open": "\u2026"}[kind]
    times = times_of(whole)
    when = ""
    if times:
        when = f"{clock(times[0], date=True)} to {clock(times[1])} UTC, {duration(times[1] - times[0])}"
    facts = [
        ("Namespace", evidence.get("namespace")),
        ("Cluster", evidence.get("cluster") or "not known"),
        ("Run", evidence.get("run")),
        ("Asked for by", evidence.get("by") or "not said"),
        ("Runner", evidence.get("runner")),
        ("Time", when),
    ]
    items = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in facts if value
    )
    word = outcome.replace("_", " ")
    return (
        f'<header><p class="kicker">Rollout</p><h1>{escaped(title)}</h1><p class="outcome {kind}">'
        f'<span aria-hidden="true">{sign}</span> <b>{escaped(word)}</b></p>'
        f'<p class="reason">{escaped(whole["reason"])}</p><dl class="facts">{items}</dl></header>'
    )


def _cards(whole: Mapping[str, Any]) -> str:
    totals, evidence = whole["totals"], whole["evidence"]
    proofs = evidence.get("proofs", [])
    cards = [
        (count(totals.get("requests", 0)), "requests of both versions"),
        (count(totals.get("canary_requests", 0)), "of them went to the canary"),
        (count(totals.get("canary_failed", 0)), "canary requests failed"),
        (count(totals.get("canary_slow", 0)), "canary requests were slow"),
        (percent(totals.get("hurt_share", 0.0)), "of all requests hurt by the canary"),
    ]
    if proofs:
        slowest = max(float(proof.get("seconds") or 0.0) for proof in proofs)
        most = max(int(proof.get("proxies") or 0) for proof in proofs)
        cards.append((f"{slowest:.1f} s", f"at most until {most} proxies held a change"))
    items = "".join(f"<li><b>{value}</b><span>{escaped(name)}</span></li>" for value, name in cards)
    return f'<ul class="cards" aria-label="Key figures">{items}</ul>'


def _proofs(evidence: Mapping[str, Any]) -> str:
    rows = [
        [
            time_cell(proof.get("at")),
            escaped(", ".join(f"{name} {weight} %" for name, weight in proof["weights"].items())),
            verdict_mark(proof.get("status")),
            count(proof.get("proxies")),
            f"{float(proof.get('seconds') or 0.0):.2f}",
            escaped(proof.get("detail")),
        ]
        for proof in evidence.get("proofs", [])
    ]
    head = ("time", "weights", "verdict", "proxies", "seconds", "detail")
    found = table("Each change of the routes, and how long the last proxy took", head, rows, right=(3, 4))
    return found or '<p class="none">Nothing was written.</p>'


def _folded(whole: Mapping[str, Any]) -> str:
    """What is there on demand."""
    evidence = whole["evidence"]
    gates = ("failed canary", "failed stable", "slow canary", "slow stable")
    head = ("phase", "from", "to", "weight", *gates)
    events = [[time_cell(line.get("at")), escaped(line.get("event"))] for line in whole.get("timeline", [])]
    numbers = range(3, len(head))
    windows = window_rows(evidence.get("windows", []))
    discarded = window_rows(evidence.get("discarded", []))
    calls = mapping_at(whole, "api_calls")
    selectors = [*sorted(mapping_at(evidence, "selectors").items())]
    selectors += [(gate["name"], gate["query"]) for gate in evidence.get("queries") or []]
    queries = [f"<pre>{escaped(name)}: {escaped(query)}</pre>" for name, query in selectors]
    return "".join(
        [
            folded("Timeline", table("What happened", ("time", "event"), events)),
            folded(
                "Figures of the charts",
                table("One row for each look", head, windows, right=numbers),
            ),
            folded(
                "Windows that do not count (an earlier revision)",
                table("They cost users and prove nothing", head, discarded, right=numbers),
            ),
            folded("Inputs", _pairs("As they were given", mapping_at(evidence, "inputs"))),
            folded(
                "The service before the rollout",
                _pairs("Measured before anything was written", mapping_at(evidence, "baseline")),
            ),
            folded("Queries", "".join(queries)),
            folded("Changes of the routes", "".join(_diff(diff) for diff in evidence.get("diffs", []))),
            folded("API calls", _pairs("To the API server, by phase", calls)),
        ]
    )


def _pairs(caption: str, given: Mapping[str, Any]) -> str:
    rows = [[escaped(name), escaped(shown(value))] for name, value in sorted(given.items())]
    return table(caption, ("name", "value"), rows)


def _diff(diff: Mapping[str, Any]) -> str:
    """One change, line by line."""
    before, after = (str(diff.get(side, "")).splitlines() for side in ("before", "after"))
    lines = []
    for line in difflib.unified_diff(before, after, lineterm="", n=3):
        if line.startswith(("---", "+++", "@@")):
            continue
        kind = {"+": "ins", "-": "del"}.get(line[:1])
        lines.append(f"<{kind}>{escaped(line)}</{kind}>" if kind else escaped(line))
    text = "\n".join(lines) or "no change"
    return f"<h3>{escaped(diff.get('after_header'))}</h3><pre>{text}</pre>"
