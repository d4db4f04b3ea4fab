# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh as a picture: boxes for services, lines for calls with rate, failures and lock. SVG, no script."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from ...documents.page import escaped
from .graph import GridPlace, places
from .numbers import number, percent
from .report import Report, by_rate
from .signals import Signals, TrafficEdge

_WIDTH = 1200
_WIDEST, _TALL, _FLAT = 148, 36, 22
_WAY = 44  # pixels at least between two columns, for the lines
_GAP, _MARGIN, _LOOP = 12, 14, 30
_MANY_NODES, _MANY_EDGES = 60, 45
"""Above these, boxes are flat and only what is wrong is written at lines."""
_GOOD, _SOME, _BAD, _DARK, _INK = "#57606a", "#bf8700", "#cf222e", "#8250df", "#1b1f24"
_NOTICED, _SERIOUS = 0.0, 0.05
_CHARACTER = 6.2  # pixels of a letter of 11 px, on average
_NOT_SEEN = "not scraped: cannot tell"
STYLE = """
#graph{width:100%;height:auto;display:block;border:1px solid #d5d9de;border-radius:4px}
#graph text{font:11px system-ui,sans-serif;fill:#1b1f24}#graph .small{font-size:10px;fill:#57606a}
#graph .label{paint-order:stroke;stroke:#fff;stroke-width:3px;font-size:10px}
#graph .edge path{fill:none}#graph .edge:hover path{stroke:#0969da;stroke-opacity:1}
#graph .edge:hover .label{font-weight:700}
.legend span{display:inline-block;margin-right:1.2rem;white-space:nowrap}.legend i{display:inline-block;
width:1.6rem;height:0;border-top:3px solid;vertical-align:middle;margin-right:.35rem}
@media print{#graph{max-height:165mm}}
""".strip()
LEGEND = (
    '<p class="legend note">'
    f'<span><i style="color:{_GOOD}"></i>no failures</span>'
    f'<span><i style="color:{_SOME}"></i>up to 5 % failed</span>'
    f'<span><i style="color:{_BAD}"></i>more failed</span>'
    f'<span><i style="color:{_DARK};border-top-style:dotted"></i>failures: cannot tell</span>'
    '<span><svg width="12" height="13" viewBox="0 0 12 13"><g transform="translate(6 7)">{lock}</g></svg>'
    " mutual TLS</span>"
    '<span><svg width="12" height="13" viewBox="0 0 12 13"><g transform="translate(6 7)">{open}</g></svg>'
    " plain text</span><span>? cannot tell</span><span>wider: more requests</span>{more}</p>"
)


@dataclasses.dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float
    height: int

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def picture(report: Report) -> str:
    """The SVG and its legend; a sentence where nothing moved."""
    traffic = report.traffic
    edges = by_rate(traffic.edges) if traffic else []
    services = traffic.services if traffic else {}
    nodes = sorted(
        {*services, *report.stated, *(end for edge in edges for end in (edge.source, edge.destination))}
    )
    if not nodes:
        return "<p>No service is known.</p>"
    found = places(nodes, [(edge.source, edge.destination) for edge in edges])
    height_of_box = _FLAT if len(nodes) > _MANY_NODES else _TALL
    boxes, height = _boxes(found, height_of_box)
    seconds = traffic.seconds if traffic else 0.0
    few = len(edges) <= _MANY_EDGES
    drawn = [
        _edge(edge, boxes[edge.source], boxes[edge.destination], seconds, index, few=few)
        for index, edge in enumerate(edges)
    ]
    shown = [
        _node(node, boxes[node], services.get(node), seconds, _silent(node, report, edges)) for node in nodes
    ]
    more = "" if few else "<span>no lock drawn: mutual TLS</span>"
    legend = LEGEND.replace("{lock}", _lock(opened=False)).replace("{open}", _lock(opened=True))
    return (
        f'<svg id="graph" viewBox="0 0 {_WIDTH} {height:.0f}" role="img"'
        f' aria-label="Services and the calls between them">{_markers()}'
        f"{''.join(drawn)}{''.join(shown)}</svg>"
        f"{legend.replace('{more}', more)}"
    )


def _silent(node: str, report: Report, edges: Sequence[TrafficEdge]) -> str:
    """What is said of a service without requests."""
    if any(edge.source == node for edge in edges):
        return "calls only"
    return _NOT_SEEN if node in report.dark or report.traffic is None else "no requests"


def _boxes(found: dict[str, GridPlace], height: int) -> tuple[dict[str, _Box], float]:
    columns = max(place.column for place in found.values()) + 1
    rows = max(place.rows for place in found.values())
    pitch = height + _GAP
    whole = rows * pitch - _GAP
    room = _WIDTH - 2 * _MARGIN - _LOOP
    width = min(_WIDEST, (room + _WAY) / columns - _WAY)
    step = (room - width) / max(1, columns - 1)
    boxes = {}
    for node, place in found.items():
        spread = whole / place.rows if place.rows < rows else pitch
        top = (spread - height) / 2 if place.rows < rows else 0.0
        left = _MARGIN + (place.column * step if columns > 1 else (room - width) / 2)
        boxes[node] = _Box(left, _MARGIN + place.row * spread + top, width, height)
    return boxes, whole + 2 * _MARGIN


def _colour(signals: Signals) -> str:
    share = signals.error_share
    if share is None:
        return _DARK
    return _BAD if share > _SERIOUS else _SOME if share > _NOTICED else _GOOD


def _node(node: str, box: _Box, signals: Signals | None, seconds: float, silent: str) -> str:
    space, _slash, name = node.rpartition("/")
    room = int((box.width - 14) / _CHARACTER)
    short = name if len(name) <= room else f"{name[: room - 1]}…"
    if signals is not None:
        said = f"{number(signals.rate(seconds))}/s, {percent(signals.error_share)} failed"
        colour = _colour(signals)
    else:
        said, colour = silent, _DARK if silent == _NOT_SEEN else "#d5d9de"
    flat = box.height == _FLAT
    second = (
        ""
        if flat
        else f'<text class="small" x="{box.x + 10:.1f}" y="{box.y + 29:.1f}">{escaped(said)}</text>'
    )
    return (
        f'<g class="node"><title>{escaped(f"{node}: {said}")}</title>'
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height}" rx="4"'
        f' fill="#fff" stroke="#8c959f"/>'
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="5" height="{box.height}" rx="2"'
        f' fill="{colour}"/><text x="{box.x + 10:.1f}" y="{box.y + 15:.1f}">{escaped(short)}</text>{second}'
        f"{f'<desc>{escaped(space)}</desc>' if space else ''}</g>"
    )


def _edge(edge: TrafficEdge, start: _Box, end: _Box, seconds: float, index: int, *, few: bool) -> str:
    signals = edge.signals
    rate, share = signals.rate(seconds), percent(signals.error_share)
    colour, wide = _colour(signals), min(6.0, 1.0 + math.log10(1 + rate))
    wide *= 1.0 if few else 0.6
    points = _curve(start, end)
    path = "M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}".format(
        *(n for point in points for n in point)
    )
    dotted = ' stroke-dasharray="2 3"' if signals.failed is None else ""
    at = _on_curve(points, (0.5, 0.38, 0.62)[index % 3])
    lock = {True: "mutual TLS", False: "plain text", None: "mutual TLS: cannot tell"}[edge.secured]
    told = f"{edge.source} → {edge.destination}: {number(rate)}/s, {share} failed, {lock}"
    wrong = edge.secured is not True or colour != _GOOD
    mark = _mark(edge.secured, at) if few or edge.secured is not True else ""
    label = f"{number(rate)}/s" + ("" if colour == _GOOD else f" {share}")
    text = f'<text class="label" x="{at[0] + 8:.1f}" y="{at[1] - 3:.1f}">{escaped(label)}</text>'
    faint = "" if few or wrong else ' stroke-opacity=".45"'
    return (
        f'<g class="edge"><title>{escaped(told)}</title><path d="{path}" stroke="{colour}"'
        f' stroke-width="{wide:.1f}"{dotted}{faint} marker-end="url(#to-{colour[1:]})"/>'
        f"{mark}{text if few else ''}</g>"
    )


def _curve(start: _Box, end: _Box) -> list[tuple[float, float]]:
    """Four points: from the right side of the caller to the left side of the called, or around."""
    if end.x > start.x:
        bend = max(30.0, (end.x - start.x - start.width) / 2)
        first, last = (start.x + start.width, start.middle), (end.x - 3, end.middle)
        return [first, (first[0] + bend, first[1]), (last[0] - bend, last[1]), last]
    first, last = (start.x + start.width, start.middle + 4), (end.x + end.width + 3, end.middle - 4)
    out = min(_LOOP + 4.0 + abs(end.middle - start.middle) * 0.12, 90.0)
    return [first, (first[0] + out, first[1]), (last[0] + out, last[1]), last]


def _on_curve(points: Sequence[tuple[float, float]], t: float) -> tuple[float, float]:
    parts = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    x, y = (sum(part * point[axis] for part, point in zip(parts, points, strict=True)) for axis in (0, 1))
    return x, y


def _mark(secured: bool | None, at: tuple[float, float]) -> str:
    if secured is None:
        return f'<text class="label" x="{at[0] - 3:.1f}" y="{at[1] + 4:.1f}">?</text>'
    return f'<g transform="translate({at[0]:.1f} {at[1]:.1f})">{_lock(opened=not secured)}</g>'


def _lock(*, opened: bool) -> str:
    """A padlock around the origin; fonts need not have one."""
    colour = _BAD if opened else "#1a7f37"
    bow = "M-2.5 -1V-3.5A2.5 2.5 0 0 1 2.5 -4.5" if opened else "M-2.5 -1V-3A2.5 2.5 0 0 1 2.5 -3V-1"
    return (
        f'<rect x="-4" y="-1" width="8" height="6" rx="1" fill="{colour}" stroke="#fff" stroke-width=".6"/>'
        f'<path d="{bow}" style="fill:none;stroke:{colour};stroke-width:1.4"/>'
    )


def _markers() -> str:
    heads = "".join(
        f'<marker id="to-{colour[1:]}" viewBox="0 0 6 6" refX="4" refY="3" markerWidth="7" markerHeight="7"'
        f' markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0L6 3L0 6z" style="fill:{colour}"/></marker>'
        for colour in (_GOOD, _SOME, _BAD, _DARK)
    )
    return f"<defs>{heads}</defs>"
