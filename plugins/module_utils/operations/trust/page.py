# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that people look at: what ends when, on one line of time. Self-contained, readable in print."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...documents.page import FILTER, document, escaped
from ...model.certificates.trust import DUE, ORDER, TrustEntry
from ...verdicts import CANNOT_TELL, FAIL, PASS

_CLASSES = {FAIL: "fail", CANNOT_TELL: "cannot", DUE: "due", PASS: "pass"}
_COLOURS = {FAIL: "#cf222e", CANNOT_TELL: "#9a6700", DUE: "#a15c00", PASS: "#1a7f37"}
_STYLE = """
#entries{width:100%}td.number{text-align:right;white-space:nowrap}td.where{min-width:16rem}
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:#3c3c43}
""".strip()
_WIDTH, _LEFT, _ROW = 1160, 360, 20
_SHOWN = 60
_TICKS = ((1, "1 day"), (7, "1 week"), (30, "1 month"), (365, "1 year"), (3650, "10 years"))


def as_html(
    mesh: str, entries: Sequence[TrustEntry], result: Mapping[str, Any], now: datetime.datetime
) -> str:
    """The whole page, without a request to anywhere."""
    ordered = sorted(entries, key=lambda entry: (ORDER.index(entry.verdict), _end(entry), entry.where))
    rows = "\n".join(_row(entry, now) for entry in ordered)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in result["counts"].items() if count)
    moment = now.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    body = f"""<h1>Trust of mesh {escaped(mesh)}</h1>
<p id="headline" class="{_CLASSES[result["status"]]}">{escaped(result["headline"])}</p>
<p>{len(entries)} looked at: {escaped(counts)}. As of {moment}, by the API server's clock.</p>
<h2>What ends when</h2>
{_timeline(ordered, now)}
<h2>Every certificate</h2>
<p>{FILTER}</p>
<table id="entries"><thead><tr><th>Verdict</th><th>Kind</th><th>Where</th><th>Part</th><th>Days left</th>
<th>Ends (UTC)</th></tr></thead><tbody>
{rows}
</tbody></table>
<footer>Made by servicemesh.istio, module trust_info. Dates are those of the certificates; what could not be
read is "cannot tell", never a pass.</footer>"""
    return document(f"Trust of mesh {mesh}: {result['status']}", body, _STYLE)


def _end(entry: TrustEntry) -> datetime.datetime:
    return entry.life.not_after if entry.life else datetime.datetime.max.replace(tzinfo=datetime.UTC)


def _days(entry: TrustEntry, now: datetime.datetime) -> float:
    return (_end(entry) - now).total_seconds() / 86_400


def _row(entry: TrustEntry, now: datetime.datetime) -> str:
    reasons = "".join(f"<div>{escaped(reason.message)}</div>" for reason in entry.reasons)
    told = " ".join(reason.message for reason in entry.reasons)
    days = f"{_days(entry, now):,.1f}" if entry.life else ""
    end = entry.life.not_after.strftime("%Y-%m-%d %H:%M") if entry.life else ""
    text = f"{entry.verdict} {entry.kind} {entry.where} {entry.part} {told} {end}"
    return (
        f'<tr data-text="{escaped(text.lower())}">'
        f'<td class="{_CLASSES[entry.verdict]}"><strong>{entry.verdict}</strong></td>'
        f"<td>{escaped(entry.kind)}</td>"
        f'<td class="where">{escaped(entry.where)}{reasons}</td><td>{escaped(entry.part)}</td>'
        f'<td class="number">{days}</td><td class="number">{end}</td></tr>'
    )


def _timeline(ordered: Sequence[TrustEntry], now: datetime.datetime) -> str:
    """A bar from now to each end. The scale is logarithmic: a day and ten years are on one line."""
    dated = sorted((entry for entry in ordered if entry.life), key=_end)[:_SHOWN]
    if not dated:
        return "<p>No certificate with dates was found.</p>"
    height = 40 + _ROW * len(dated)
    bars = []
    for index, entry in enumerate(dated):
        top = 30 + index * _ROW
        days = _days(entry, now)
        width = max(2.0, _position(days) - _LEFT)
        label = f"{entry.where} {entry.part}"
        shown = label if len(label) <= 50 else f"{label[:49]}…"
        colour = _COLOURS[entry.verdict]
        bars.append(
            f"<g><title>{escaped(label)}: {days:.1f} days</title>"
            f'<text x="{_LEFT - 8}" y="{top + 11}" text-anchor="end">{escaped(shown)}</text>'
            f'<rect x="{_LEFT}" y="{top + 1}" width="{width:.1f}" height="13" rx="2" fill="{colour}"/></g>'
        )
    ticks = "".join(
        f'<path d="M{_position(days):.1f} 24V{height}" stroke="#d2d2d7"/>'
        f'<text x="{_position(days):.1f}" y="16" text-anchor="middle">{text}</text>'
        for days, text in _TICKS
    )
    more = len([entry for entry in ordered if entry.life]) - len(dated)
    note = f"<p>{more} further certificates end later.</p>" if more else ""
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Days until each certificate ends">'
        f"{ticks}{''.join(bars)}</svg>{note}"
    )


def _position(days: float) -> float:
    """From now (0 days) to 20 years."""
    span = math.log10(1 + 24 * 7300)
    share = math.log10(1 + 24 * min(max(days, 0.0), 7300)) / span
    return _LEFT + share * (_WIDTH - _LEFT - 20)
