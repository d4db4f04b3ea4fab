# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that people look at: what ends when, on one line of time. Self-contained, readable in print."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ...model.certificates.trust import DUE, ORDER, TrustEntry
from ...verdicts import CANNOT_TELL, FAIL, PASS

_CLASSES = {FAIL: "fail", CANNOT_TELL: "unknown", DUE: "due", PASS: "pass"}
_STYLE = """
:root{--fail:#b3261e;--unknown:#5f6368;--due:#a15c00;--pass:#1e6b34;color-scheme:light}
*{box-sizing:border-box}
body{font:15px/1.45 system-ui,sans-serif;color:#1d1d1f;background:#fff}
body{margin:2rem auto;max-width:1200px;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.headline{font-size:1.05rem;border-left:6px solid;padding:.5rem .8rem;background:#f6f6f7}
.fail{color:var(--fail)}.unknown{color:var(--unknown)}.due{color:var(--due)}.pass{color:var(--pass)}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #e2e2e4;vertical-align:top}
th{background:#f6f6f7;position:sticky;top:0}td.number{text-align:right;white-space:nowrap}
td.where{overflow-wrap:anywhere;min-width:16rem}.reason{color:#1d1d1f}
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:#3c3c43}
input{font:inherit;padding:.4rem .6rem;width:100%;max-width:28rem;border:1px solid #b5b5ba;border-radius:6px}
footer{margin-top:2rem;color:#5f6368;font-size:.85rem}
@media print{input,label{display:none}body{margin:0;max-width:none}tr{break-inside:avoid}th{position:static}}
"""
_SCRIPT = """
const field=document.getElementById('filter');
field.addEventListener('input',()=>{const words=field.value.toLowerCase().split(/\\s+/).filter(Boolean);
for(const row of document.querySelectorAll('#entries tbody tr')){
const text=row.textContent.toLowerCase();row.hidden=!words.every(word=>text.includes(word));}});
"""
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
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Trust of mesh {escape(mesh)}: {escape(result["status"])}</title><style>{_STYLE}</style></head><body>
<h1>Trust of mesh {escape(mesh)}</h1>
<p class="headline {_CLASSES[result["status"]]}">{escape(result["headline"])}</p>
<p>{len(entries)} looked at: {escape(counts)}. As of {moment}, by the API server's clock.</p>
<h2>What ends when</h2>
{_timeline(ordered, now)}
<h2>Every certificate</h2>
<p><label for="filter">Filter by any text </label>
<input id="filter" type="search" placeholder="gateway fail"></p>
<table id="entries"><thead><tr><th>Verdict</th><th>Kind</th><th>Where</th><th>Part</th><th>Days left</th>
<th>Ends (UTC)</th></tr></thead><tbody>
{rows}
</tbody></table>
<footer>Made by servicemesh.istio, module trust_info. Dates are those of the certificates; what could not be
read is "cannot tell", never a pass.</footer>
<script>{_SCRIPT}</script></body></html>
"""


def _end(entry: TrustEntry) -> datetime.datetime:
    return entry.life.not_after if entry.life else datetime.datetime.max.replace(tzinfo=datetime.UTC)


def _days(entry: TrustEntry, now: datetime.datetime) -> float:
    return (_end(entry) - now).total_seconds() / 86_400


def _row(entry: TrustEntry, now: datetime.datetime) -> str:
    reasons = "".join(f'<div class="reason">{escape(reason.message)}</div>' for reason in entry.reasons)
    days = f"{_days(entry, now):,.1f}" if entry.life else ""
    end = entry.life.not_after.strftime("%Y-%m-%d %H:%M") if entry.life else ""
    return (
        f'<tr><td class="{_CLASSES[entry.verdict]}"><strong>{entry.verdict}</strong></td>'
        f"<td>{escape(entry.kind)}</td>"
        f'<td class="where">{escape(entry.where)}{reasons}</td><td>{escape(entry.part)}</td>'
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
        colour = f"var(--{_CLASSES[entry.verdict]})"
        bars.append(
            f"<g><title>{escape(label)}: {days:.1f} days</title>"
            f'<text x="{_LEFT - 8}" y="{top + 11}" text-anchor="end">{escape(shown)}</text>'
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
