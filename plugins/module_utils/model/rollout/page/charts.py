# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts of the evidence page: SVG without scripts, on one time axis, with phases shaded.

Every chart has a title and a description, is reached by the keyboard, and tells its figures where it is
pointed at; the same figures stand in a table that unfolds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from .parts import clock, escaped
from .time_axis import TimeAxis

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1080, 62, 118, 26, 24
_APART = 13.0  # between two names
CANARY, STABLE, OTHER = "#c2410c", "#1d4ed8", "#57606a"


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A curve. :param points: (seconds, value); a value of None is a gap. :param step: holds until the next.

    :param band: (seconds, low, high). :param bars: (begin, end, value, what it says), filled by ``strength``.
    """

    name: str
    colour: str
    points: Sequence[tuple[float, float | None]] = ()
    step: bool = False
    dashed: bool = False
    dots: bool = False
    band: Sequence[tuple[float, float, float]] = ()
    bars: Sequence[tuple[float, float, float, str]] = ()
    strength: float = 0.35


@dataclasses.dataclass(frozen=True, slots=True)
class Level:
    """A line that something is compared with."""

    name: str
    value: float
    colour: str = "#b42318"


@dataclasses.dataclass(frozen=True, slots=True)
class Chart:
    """One chart. :param key: unique on the page. :param top: of the scale; None = by what is drawn."""

    key: str
    title: str
    summary: str
    unit: str
    lines: Sequence[Line]
    levels: Sequence[Level] = ()
    top: float | None = None
    least_top: float = 0.0
    height: int = 170


class _Drawing:
    """Places times and values of one chart."""

    def __init__(self, chart: Chart, axis: TimeAxis) -> None:
        self.chart, self.axis = chart, axis
        self.bottom = chart.height - BOTTOM
        self.top_value = _top(chart)

    def x(self, at: float) -> float:
        share = (at - self.axis.begin) / (self.axis.end - self.axis.begin)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = min(max(value / self.top_value, 0.0), 1.0)
        return self.bottom - share * (self.bottom - TOP)


def drawn(chart: Chart, axis: TimeAxis) -> str:
    """The chart as SVG; a sentence where there is nothing to draw."""
    if not any(line.points or line.bars for line in chart.lines):
        return f'<p class="none">{escaped(chart.title)}: nothing was measured.</p>'
    on = _Drawing(chart, axis)
    parts = [*_ground(on), *_levels(on)]
    for line in chart.lines:
        parts += [*_bars(on, line), *_band(on, line)]
    for line in chart.lines:
        parts += _curve(on, line)
    parts += _names(on)
    box = f"0 0 {WIDTH} {chart.height}"
    ids = f"{chart.key}-title {chart.key}-desc"
    return (
        f'<figure><figcaption>{escaped(chart.title)}</figcaption><svg viewBox="{box}" role="img" tabindex="0"'
        f' aria-labelledby="{ids}"><title id="{chart.key}-title">{escaped(chart.title)}</title>'
        f'<desc id="{chart.key}-desc">{escaped(chart.summary)}</desc>{"".join(parts)}</svg></figure>'
    )


def _top(chart: Chart) -> float:
    if chart.top is not None:
        return chart.top
    values = [value for line in chart.lines for _at, value in line.points if value is not None]
    values += [value for line in chart.lines for _begin, _end, value, _said in line.bars]
    highest = max([*values, *(level.value for level in chart.levels), chart.least_top])
    return _round_up((highest if highest > 0 else 1.0) * 1.12)  # of nothing but zeros no scale is too small


def _round_up(value: float) -> float:
    """The next number that people like to read on a scale."""
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * size >= value - 1e-12)


def _ground(on: _Drawing) -> list[str]:
    """Phases, times and the scale."""
    axis, bottom = on.axis, on.bottom
    parts = []
    for index, span in enumerate(axis.spans):
        left, right = on.x(span.begin), on.x(span.end)
        parts.append(
            f'<rect class="p{index % 2}" x="{left:.1f}" y="{TOP}" width="{max(right - left, 0.5):.1f}"'
            f' height="{bottom - TOP}"><title>phase {escaped(span.label)}: {clock(span.begin)} to'
            f" {clock(span.end)}</title></rect>"
        )
        if right - left > 6.2 * len(span.label):
            parts.append(
                f'<text class="ph" x="{(left + right) / 2:.1f}" y="{TOP - 6}">{escaped(span.label)}</text>'
            )
    for at, text in axis.ticks:
        parts.append(f'<path class="grid" d="M{on.x(at):.1f} {TOP}V{bottom}"/>')
        side = ' style="text-anchor:start"' if on.x(at) < LEFT + 26 else ""
        parts.append(f'<text class="tick" x="{on.x(at):.1f}" y="{bottom + 16}"{side}>{text}</text>')
    for share in (0.0, 0.5, 1.0):
        value = share * on.top_value
        parts.append(f'<path class="grid" d="M{LEFT} {on.y(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text class="scale" x="{LEFT - 6}" y="{on.y(value) + 4:.1f}">{value:.4g}'
            f" {escaped(on.chart.unit)}</text>"
        )
    for mark in axis.marks:
        parts.append(
            f'<path class="m {mark.kind}" d="M{on.x(mark.at):.1f} {TOP - 4}V{bottom}"><title>'
            f"{escaped(mark.label)}: {clock(mark.at)}</title></path>"
        )
    return parts


def _levels(on: _Drawing) -> list[str]:
    parts = []
    for level in on.chart.levels:
        y = on.y(level.value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{level.colour}" class="level"/>')
    return parts


def _bars(on: _Drawing, line: Line) -> list[str]:
    parts = []
    for begin, end, value, said in line.bars:
        left, right, y = on.x(begin), on.x(end), on.y(value)
        parts.append(
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{max(right - left - 0.6, 0.6):.1f}"'
            f' height="{on.bottom - y:.1f}" fill="{line.colour}" fill-opacity="{line.strength}"><title>'
            f"{escaped(said)}</title></rect>"
        )
    return parts


def _band(on: _Drawing, line: Line) -> list[str]:
    if len(line.band) < 2:
        return []
    upper = [f"{on.x(at):.1f},{on.y(high):.1f}" for at, _low, high in line.band]
    lower = [f"{on.x(at):.1f},{on.y(low):.1f}" for at, low, _high in reversed(line.band)]
    return [f'<polygon points="{" ".join([*upper, *lower])}" fill="{line.colour}" fill-opacity=".13"/>']


def _curve(on: _Drawing, line: Line) -> list[str]:
    parts: list[str] = []
    run: list[str] = []
    last: float | None = None
    last_at = 0.0
    dash = ' stroke-dasharray="6 4"' if line.dashed else ""

    def dot(at: float, value: float) -> None:
        parts.append(
            f'<circle cx="{on.x(at):.1f}" cy="{on.y(value):.1f}" r="2.6" fill="{line.colour}"><title>'
            f"{escaped(line.name)} {clock(at)}: {value:.4g} {escaped(on.chart.unit)}</title></circle>"
        )

    def end_run() -> None:
        if len(run) > 1:
            parts.append(f'<polyline class="line" stroke="{line.colour}"{dash} points="{" ".join(run)}"/>')
        elif run and last is not None and not line.dots:  # a value without neighbours is no line
            dot(last_at, last)
        run.clear()

    for at, value in line.points:
        if value is None:
            end_run()
            last = None
            continue
        if line.step and last is not None:
            run.append(f"{on.x(at):.1f},{on.y(last):.1f}")
        run.append(f"{on.x(at):.1f},{on.y(value):.1f}")
        last, last_at = value, at
        if line.dots:
            dot(at, value)
    end_run()
    return parts


def _names(on: _Drawing) -> list[str]:
    """Names of curves and levels at the right edge, apart from each other."""
    wanted: list[tuple[float, str, str]] = [
        (on.y(level.value), level.name, level.colour) for level in on.chart.levels
    ]
    for line in on.chart.lines:
        values = [value for _at, value in line.points if value is not None]
        values = values or [value for _begin, _end, value, _said in line.bars]
        if values:
            wanted.append((on.y(values[-1]), line.name, line.colour))
    places = [max(y, TOP + _APART * index) for index, (y, _name, _colour) in enumerate(sorted(wanted))]
    for index in range(1, len(places)):  # down, where they would stand upon each other
        places[index] = max(places[index], places[index - 1] + _APART)
    lowest = float(on.bottom)
    for index in reversed(range(len(places))):  # and up again from the times below
        places[index] = lowest = min(places[index], lowest)
        lowest -= _APART
    return [
        f'<text class="name" x="{WIDTH - RIGHT + 6}" y="{y + 4:.1f}" style="fill:{colour}">'
        f"{escaped(name)}</text>"
        for y, (_y, name, colour) in zip(places, sorted(wanted), strict=True)
    ]
