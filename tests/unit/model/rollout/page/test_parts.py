# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each piece of the evidence page by itself: words, the time axis, figures, charts, and why it ended so."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

import html
import itertools
import re
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.page import parts
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.page.charts import (
    Chart,
    Level,
    Line,
    drawn,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.page.figures import (
    charts_of,
    window_rows,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.page.time_axis import (
    AxisMark,
    Span,
    TimeAxis,
    time_axis,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.page.why import (
    answer_table,
    phase_table,
    times_of,
    why_box,
)

Obj = dict[str, Any]
NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


def at(second: float) -> str:
    return f"2026-01-01T12:{int(second) // 60:02}:{second % 60:06.3f}Z"


# -- words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (0, "0 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (120, "2 min"),
        (121, "2 min 1 s"),
        (7199, "119 min 59 s"),
        (7200, "2 h 0 min"),
        (7325, "2 h 2 min"),
        (90061, "25 h 1 min"),
    ],
)
def test_durations(span: float, text: str) -> None:
    assert parts.duration(span) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.1, "10 %"),
        (0.005, "0.5 %"),
        (0.00001, "0.001 %"),
        (0.123456, "12.346 %"),
        (-0.1, "-10 %"),
    ],
)
def test_percents(share: float, text: str) -> None:
    assert parts.percent(share) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1\u202f000"),
        (1234567, "1\u202f234\u202f567"),
        ("<a>", "&lt;a&gt;"),
        (None, ""),
        (1.5, "1.5"),
    ],
)
def test_counts(number: Any, text: str) -> None:
    assert parts.count(number) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "12:00:05"),
        ({"whole": True}, "12:00"),
        ({"date": True}, "2026-01-01 12:00:05"),
        ({"date": True, "whole": True}, "2026-01-01 12:00"),
    ],
)
def test_clock_times(options: dict[str, bool], text: str) -> None:
    assert parts.clock(NOON + 5, **options) == text


def test_times_that_are_read() -> None:
    assert parts.seconds("2026-01-01T12:00:00Z") == parts.seconds("2026-01-01T13:00:00+01:00") == NOON
    assert parts.seconds("soon") is parts.seconds(None) is parts.seconds("") is None
    exact = "2026-01-01T12:00:05.123Z"
    assert parts.time_cell(exact) == f'<time datetime="{exact}" title="{exact}">12:00:05</time>'
    assert parts.time_cell("<soon>") == "&lt;soon&gt;"
    assert parts.time_cell(None) == ""


@pytest.mark.parametrize(
    ("verdict", "kind", "sign"),
    [
        ("pass", "good", "\u2713"),
        ("fail", "bad", "\u2717"),
        ("not enough <data>", "open", "?"),
        (None, "open", "?"),
    ],
)
def test_verdicts_have_a_colour_and_a_sign(verdict: Any, kind: str, sign: str) -> None:
    said = html.escape(str(verdict)) if verdict else ""
    assert parts.verdict_mark(verdict) == (
        f'<span class="mark {kind}"><span aria-hidden="true">{sign}</span> {said}</span>'
    )


def test_tables_and_folds() -> None:
    assert parts.table("c", ("a",), []) == ""
    assert parts.table("<c>", ("a", "<b>"), [["1", "<i>2</i>"], ["3", "4"]], right=(1,)) == (
        '<div class="wide"><table><caption>&lt;c&gt;</caption><thead><tr><th scope="col">a</th>'
        '<th scope="col" class="n">&lt;b&gt;</th></tr></thead><tbody><tr><td>1</td><td class="n"><i>2</i></td></tr>'
        '<tr><td>3</td><td class="n">4</td></tr></tbody></table></div>'
    )
    assert parts.folded("x", "") == ""
    assert parts.folded("<x>", "<p>") == "<details><summary>&lt;x&gt;</summary><p></details>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1, "b": [2, None, {"c": True}]}, "a: 1, b: 2, , c: True"),
        ((1, 2), "1, 2"),
        (None, ""),
        ("x", "x"),
        (0, "0"),
    ],
)
def test_plain_data_on_one_line(value: Any, text: str) -> None:
    assert parts.shown(value) == text


# -- time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "step", "first", "number"),
    [
        (9, 1, "12:00:00", 10),
        (10, 2, "12:00:00", 6),
        (540, 60, "12:00", 10),
        (541, 120, "12:00", 5),
        (86400, 14400, "12:00", 7),
        (9 * 86400, 86400, "2026-01-02 00:00", 9),
        (12 * 86400, 259200, "", 4),
    ],
)
def test_few_ticks_at_round_times(length: float, step: int, first: str, number: int) -> None:
    ticks = TimeAxis(NOON, NOON + length, (), ()).ticks
    assert len(ticks) <= 10
    assert all(ats % 1 == 0 for ats, _text in ticks)
    gaps = {after - before for (before, _a), (after, _b) in itertools.pairwise(ticks)}
    assert len(gaps) == 1
    if first:
        assert gaps == {float(step)}
        assert ticks[0][1] == first
        assert len(ticks) == number


def test_the_first_tick_is_the_next_round_time() -> None:
    ticks = TimeAxis(NOON + 0.5, NOON + 5.5, (), ()).ticks
    assert [round(ats - NOON, 3) for ats, _text in ticks] == [1, 2, 3, 4, 5]
    assert [text for _ats, text in ticks][:2] == ["12:00:01", "12:00:02"]
    assert TimeAxis(NOON, NOON, (), ()).ticks == [(NOON, "12:00:00")]


def line(second: float, event: str, phase: int = 0) -> Obj:
    return {"at": at(second), "event": event, "phase": phase}


PLAN = {"phases": [
    {"number": 1, "kind": "mirror", "canary": 20},
    {"number": 2, "kind": "weight", "canary": 25},
    {"number": 3, "kind": "synthetic", "canary": 0},
]}  # fmt: skip


def spans(*timeline: Obj, **evidence: Any) -> list[tuple[int, str, float, float]]:
    found = time_axis({"plan": PLAN, **evidence}, timeline).spans
    return [(span.number, span.label, span.begin - NOON, span.end - NOON) for span in found]


@pytest.mark.parametrize(
    "ending",
    ["rollback: errors", "promotion: intent", "held: x", "start over: x", "paused by ann", "end: promoted",
     "phase 1/mirror 20 %: awaits approval"],
)  # fmt: skip
def test_a_phase_ends_with_what_comes_after_it(ending: str) -> None:
    told = [
        line(0, "run begins"),
        line(5, "phase 1/mirror 20 %: intent", 1),
        line(9, "phase 1/mirror 20 %: pass", 1),
        line(20, ending),
        line(30, "end: x"),
    ]
    assert spans(*told) == [(1, "1 \u00b7 mirror 20 %", 5, 20)]


def test_phases_follow_each_other_and_the_last_one_lasts_to_the_end() -> None:
    told = [
        line(0, "phase 1/mirror 20 %: intent", 1),
        {"at": "soon", "event": "rollback: x"},
        line(10, "phase 2/weight 25 %: intent", 2),
        line(20, "phase 3/synthetic: intent", 3),
        line(30, "phase 3/synthetic: pass", 3),
        line(40, "phase 9/x: intent", 9),
        line(50, "something else"),
    ]
    assert spans(*told) == [
        (1, "1 \u00b7 mirror 20 %", 0, 10),
        (2, "2 \u00b7 25 %", 10, 20),
        (3, "3 \u00b7 synthetic", 20, 40),
        (9, "9", 40, 50),
    ]
    assert spans(line(0, "x"), windows=[{"begin": at(1), "end": at(70)}]) == []


def test_the_axis_holds_everything_that_has_a_time() -> None:
    axis = time_axis(
        {"proofs": [{"at": at(5)}], "windows": [{"begin": at(-0 + 2), "end": at(90)}, {"begin": None}]},
        [line(10, "x")],
    )
    assert (axis.begin - NOON, axis.end - NOON) == (2, 90)
    assert time_axis({}, [line(4, "x")]).end == NOON + 5
    assert time_axis({}, []) == TimeAxis(0.0, 1.0, (), ())


def test_what_decided_is_marked_once() -> None:
    told = [
        line(1, "held: a"),
        line(2, "held: b"),
        line(3, "start over: c"),
        line(4, "taken over by x"),
        line(5, "promotion: intent"),
        line(6, "promotion: pass"),
        line(7, "rollback: y"),
        {"at": "soon", "event": "rollback: z"},
    ]
    assert [(mark.at - NOON, mark.label, mark.kind) for mark in time_axis({}, told).marks] == [
        (1, "held", "bad"),
        (3, "start over", "bad"),
        (4, "taken over", "bad"),
        (5, "promotion", "good"),
        (7, "rollback", "bad"),
    ]


# -- charts --------------------------------------------------------------------------------------------------

AXIS = TimeAxis(NOON, NOON + 100, (Span(1, "1 \u00b7 10 %", NOON, NOON + 50), Span(2, "2", NOON + 50, NOON + 51)),
                (AxisMark(NOON + 50, "held", "bad"),))  # fmt: skip


def chart(*lines: Line, levels: tuple[Level, ...] = (), **more: Any) -> str:
    given: Obj = {"top": 10.0, "height": 126, **more}
    return drawn(Chart("k", "T <t>", "S", "u", lines, levels, **given), AXIS)


def points(text: str, tag: str, *names: str) -> list[tuple[str, ...]]:
    return [
        tuple(re.search(rf'{name}="(.*?)"', found)[1] for name in names)
        for found in re.findall(rf"<{tag} .*?>", text)
    ]


def test_a_chart_without_anything_says_so() -> None:
    assert chart(Line("a", "#1")) == '<p class="none">T &lt;t&gt;: nothing was measured.</p>'
    assert "nothing was measured" not in chart(Line("a", "#1", bars=[(NOON, NOON + 1, 1.0, "x")]))


def test_values_and_times_have_their_places() -> None:
    """900 units for 100 s from 62 on; 76 for a value of 10 from 102 up."""
    text = chart(Line("a", "#1", [(NOON, 0.0), (NOON + 50, 5.0), (NOON + 100, 10.0)], dots=True))
    assert points(text, "polyline", "points") == [("62.0,102.0 512.0,64.0 962.0,26.0",)]
    assert points(text, "circle", "cx", "cy") == [("62.0", "102.0"), ("512.0", "64.0"), ("962.0", "26.0")]
    assert "<title>a 12:00:50: 5 u</title>" in text
    outside = chart(Line("a", "#1", [(NOON - 50, -5.0), (NOON + 900, 50.0)]))
    assert points(outside, "polyline", "points") == [("62.0,102.0 962.0,26.0",)]


def test_gaps_steps_and_dashes() -> None:
    gap = chart(
        Line(
            "a", "#1", [(NOON, 0.0), (NOON + 10, 5.0), (NOON + 20, None), (NOON + 30, 5.0), (NOON + 40, 0.0)]
        )
    )
    assert len(points(gap, "polyline", "points")) == 2
    assert "stroke-dasharray" not in gap
    alone = chart(Line("a", "#1", [(NOON, 1.0), (NOON + 10, None), (NOON + 20, 2.0)], dashed=True))
    assert points(alone, "polyline", "points") == []
    assert [x for x, _y in points(alone, "circle", "cx", "cy")] == ["62.0", "242.0"]  # shown all the same
    assert "circle" not in gap
    step = chart(
        Line(
            "a",
            "#1",
            [(NOON, 0.0), (NOON + 50, 10.0), (NOON + 60, None), (NOON + 70, 10.0)],
            step=True,
            dashed=True,
        )
    )
    assert points(step, "polyline", "points") == [("62.0,102.0 512.0,102.0 512.0,26.0",)]
    assert 'stroke-dasharray="6 4"' in step
    assert points(step, "circle", "cx", "cy") == [("692.0", "26.0")], "a value without neighbours"


def test_bands_and_bars() -> None:
    band = Line("a", "#1", [(NOON, 1.0)], band=[(NOON, 0.0, 10.0), (NOON + 100, 5.0, 5.0)])
    assert points(chart(band), "polygon", "points") == [("62.0,26.0 962.0,64.0 962.0,64.0 62.0,102.0",)]
    assert "<polygon" not in chart(Line("a", "#1", [(NOON, 1.0)], band=[(NOON, 0.0, 1.0)]))
    beam = Line(
        "a",
        "#1",
        bars=[(NOON, NOON + 10, 5.0, "said <x>"), (NOON + 20, NOON + 20, 10.0, "thin")],
        strength=0.5,
    )
    found = re.findall(
        r'<rect x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)" fill="#1" fill-opacity="0.5"><title>(.*?)</title>',
        chart(beam),
    )
    assert found == [
        ("62.0", "64.0", "89.4", "38.0", "said &lt;x&gt;"),
        ("242.0", "26.0", "0.6", "76.0", "thin"),
    ]


def test_the_ground_shows_phases_scale_and_what_decided() -> None:
    text = chart(Line("a", "#1", [(NOON, 1.0)]))
    assert re.findall(
        r'<rect class="(p\d)" x="(.*?)" y="26" width="(.*?)" height="76"><title>(.*?)</title>', text
    ) == [
        ("p0", "62.0", "450.0", "phase 1 \u00b7 10 %: 12:00:00 to 12:00:50"),
        ("p1", "512.0", "9.0", "phase 2: 12:00:50 to 12:00:51"),
    ]
    assert re.findall(r'<text class="ph" x="(.*?)" y="20">(.*?)</text>', text) == [
        ("287.0", "1 \u00b7 10 %"),
        ("516.5", "2"),
    ]
    assert re.findall(r'<text class="scale" x="56" y="(.*?)">(.*?)</text>', text) == [
        ("106.0", "0 u"),
        ("68.0", "5 u"),
        ("30.0", "10 u"),
    ]
    assert re.findall(r'<path class="m bad" d="M512.0 22V102"><title>(.*?)</title>', text) == [
        "held: 12:00:50"
    ]
    ticks = re.findall(r'<text class="tick" x="(.*?)" y="118"(.*?)>(.*?)</text>', text)
    assert [(x, said) for x, _side, said in ticks][:2] == [("62.0", "12:00:00"), ("197.0", "12:00:15")]
    assert [bool(side) for _x, side, _said in ticks][:3] == [True, False, False]
    assert '<title id="k-title">T &lt;t&gt;</title><desc id="k-desc">S</desc>' in text
    assert 'aria-labelledby="k-title k-desc"' in text
    assert 'viewBox="0 0 1080 126"' in text


@pytest.mark.parametrize(
    ("highest", "top"),
    [
        (0.0, "1.5"),
        (1.0, "1.5"),
        (1.4, "2"),
        (2.0, "2.5"),
        (2.5, "3"),
        (3.0, "4"),
        (4.0, "5"),
        (5.0, "6"),
        (6.0, "8"),
        (8.0, "10"),
        (8.92, "10"),
        (9.0, "15"),
        (-1.0, "1.5"),
        (0.05, "0.06"),
        (890.0, "1000"),
    ],
)
def test_the_scale_ends_at_a_round_number(highest: float, top: str) -> None:
    text = chart(Line("a", "#1", [(NOON, highest), (NOON + 1, None)]), top=None)
    assert re.findall(r'<text class="scale".*?>(.*?) u</text>', text)[-1] == top


def test_the_scale_holds_levels_bars_and_what_is_asked_for() -> None:
    def top(*lines: Line, **more: Any) -> str:
        return str(re.findall(r'<text class="scale".*?>(.*?) u</text>', chart(*lines, top=None, **more))[-1])

    low = Line("a", "#1", [(NOON, 1.0)])
    assert top(low, levels=(Level("l", 4.0),)) == "5"
    assert top(low, least_top=5.0) == "6"
    assert top(low, Line("b", "#2", bars=[(NOON, NOON + 1, 6.0, "")])) == "8"


def test_levels_and_names_at_the_edge() -> None:
    text = chart(
        Line("curve", "#1", [(NOON, 1.0), (NOON + 1, 10.0), (NOON + 2, None)]),
        Line("bars", "#2", bars=[(NOON, NOON + 1, 9.9, "")]),
        Line("empty", "#3", [(NOON, None)]),
        levels=(Level("limit", 5.0, "#4"),),
    )
    assert re.findall(r'<path d="M62 (.*?)H962" stroke="(.*?)" class="level"/>', text) == [("64.0", "#4")]
    names = re.findall(r'<text class="name" x="968" y="(.*?)" style="fill:(.*?)">(.*?)</text>', text)
    assert names == [("30.0", "#1", "curve"), ("43.0", "#2", "bars"), ("68.0", "#4", "limit")]
    low = chart(
        Line("a", "#1", [(NOON, 0.0)]), Line("b", "#2", [(NOON, 0.0)]), Line("c", "#3", [(NOON, 0.1)])
    )
    assert [
        y
        for y, _fill, _name in re.findall(
            r'<text class="name" x="968" y="(.*?)" style="fill:(.*?)">(.*?)</text>', low
        )
    ] == ["80.0", "93.0", "106.0"]


# -- figures -------------------------------------------------------------------------------------------------


def window(begin: float | None, end: float | None, errors: list[int] | None = None, **more: Any) -> Obj:
    counts = {"errors": errors} if errors else {}
    return {
        "phase": 1,
        "weight": 10,
        "begin": None if begin is None else at(begin),
        "end": None if end is None else at(end),
        "counts": {**counts, **more.pop("counts", {})},
        **more,
    }


def charts(**evidence: Any) -> dict[str, Chart]:
    return {one.key: one for one in charts_of({"canary": "v2", **evidence})}


def curve(one: Chart, name: str) -> list[tuple[float, Any]]:
    found = next(item for item in one.lines if item.name == name)
    return [(ats - NOON, value) for ats, value in found.points]


def test_the_weight_is_what_the_proxies_held_until_the_end() -> None:
    proofs = [
        {"at": at(1), "weights": {"v1": 90, "v2": 10}},
        {"at": "soon", "weights": {}},
        {"at": at(9), "weights": {"v1": 100}},
    ]
    whole = charts(proofs=proofs, windows=[window(2, 5, [1, 0, 1, 0])])["weight"]
    assert curve(whole, "canary") == [(1, 10.0), (9, 0.0)]
    assert whole.summary == "Steps: 10 % at 12:00:01, 0 % at 12:00:09."
    assert (whole.unit, whole.top, whole.height, whole.lines[0].step, whole.lines[0].dots) == (
        "%",
        100.0,
        130,
        True,
        True,
    )
    later = charts(proofs=proofs, windows=[window(2, 30)], after={"end": at(20)})["weight"]
    assert curve(later, "canary") == [(1, 10.0), (9, 0.0), (30, 0.0)]
    assert curve(charts(proofs=proofs, after={"end": at(20)})["weight"], "canary")[-1] == (20, 0.0)
    empty = charts()["weight"]
    assert (curve(empty, "canary"), empty.summary) == ([], "")


def test_shares_of_failed_requests_window_by_window() -> None:
    windows = [
        window(0, 10, [100, 1, 400, 0]),
        window(10, 20),  # nothing counted
        window(20, None, [7, 7, 7, 7]),  # without an end
        window(20, 30, [0, 0, 100, 4]),
    ]
    gate = {"name": "errors", "acceptable": 0.005, "limit": 0.05, "absolute": True}
    errors = charts(windows=windows, gates=[gate], policy={"alpha": 0.05})["errors"]
    assert curve(errors, "canary") == [(10, 1.0), (30, None)]
    assert curve(errors, "stable") == [(10, 0.0), (30, 4.0)]
    assert errors.summary == (
        "Failed requests in the run: canary 1 of 100; stable 4 of 500. The band is the interval of the canary's true share."
    )
    assert [(level.name, level.value, level.colour) for level in errors.levels] == [
        ("acceptable 0.5 %", 0.5, "#1a7f37"), ("limit 5 %", 5.0, "#b42318"),
    ]  # fmt: skip
    assert errors.least_top == 5.0
    band = next(item for item in errors.lines if item.name == "canary").band
    assert [ats - NOON for ats, _low, _high in band] == [10, 30]
    assert all(0 <= low < 1.0 < high < 15 for _ats, low, high in band)
    assert band[0][1:] == band[1][1:]  # nothing of the canary came since
    narrow = charts(windows=windows, gates=[{**gate, "absolute": False}])["errors"]
    assert (narrow.levels, narrow.least_top) == ([], 4.0)
    assert charts(windows=windows)["errors"].levels == []
    assert charts(windows=[window(0, 10, [9, 0, 9, 0])])["errors"].least_top == 0.5


def test_a_narrower_promise_makes_a_wider_band() -> None:
    def width(alpha: float | None) -> float:
        policy = {"alpha": alpha} if alpha else {}
        one = charts(windows=[window(0, 10, [100, 5, 100, 0])], policy=policy)["errors"]
        ((_ats, low, high),) = next(item for item in one.lines if item.name == "canary").band
        return high - low

    assert width(0.2) < width(0.05) < width(0.01) == width(None)


def test_requests_per_second_one_upon_the_other() -> None:
    windows = [
        window(0, 10, [20, 0, 80, 0]),
        window(10, 10, [1, 0, 1, 0]),
        window(None, 10, [1, 0, 1, 0]),
        window(20, 25, [10, 0, 0, 0]),
    ]
    requests = charts(windows=windows)["requests"]
    both, canary = requests.lines
    assert (both.name, canary.name) == ("stable", "canary")
    said = [
        "12:00:00 to 12:00:10: canary 20, stable 80 requests",
        "12:00:20 to 12:00:25: canary 10, stable 0 requests",
    ]
    assert [(begin - NOON, end - NOON, value, text) for begin, end, value, text in both.bars] == [
        (0, 10, 10.0, said[0]), (20, 25, 2.0, said[1]),
    ]  # fmt: skip
    assert [value for _begin, _end, value, _text in canary.bars] == [2.0, 2.0]
    assert requests.summary == "In the run: canary 30, stable 80 requests."


def test_charts_are_there_for_what_was_measured() -> None:
    assert list(charts(windows=[window(0, 1, [1, 0, 1, 0])])) == ["weight", "errors", "requests"]
    slow = window(0, 1, counts={"latency": [10, 1, 10, 0]})
    assert list(charts(windows=[slow])) == ["weight", "errors", "latency", "requests"]
    assert charts(windows=[slow])["latency"].title == "Slow requests"


def test_latency_of_both_versions() -> None:
    windows = [
        window(0, 10, latency={"canary": {"p50": 5.0, "p99": 50.4}, "stable": {"p50": 4.0}}),
        window(10, 20, latency={"canary": None}),
        window(20, 30, latency={"stable": {"p50": 6.6}}),
    ]
    one = charts(windows=windows)["latency-ms"]
    assert [(item.name, item.dashed) for item in one.lines] == [
        ("canary p99", False),
        ("canary p50", True),
        ("stable p50", True),
    ]
    assert curve(one, "stable p50") == [(10, 4.0), (20, None), (30, 6.6)]
    assert one.summary == "At the end: canary p99 50 ms, canary p50 5 ms, stable p50 7 ms."
    assert charts(windows=[window(0, 1, latency={"canary": {}})])["latency-ms"].summary == ""


def test_own_queries_with_their_bounds() -> None:
    gates = [
        {"name": "a", "minimum": 1, "maximum": 2.5},
        {"name": "b", "minimum": None, "maximum": -1},
        {"name": "c"}, {"name": "d"}, {"name": "e"},
    ]  # fmt: skip
    windows = [window(0, 10, values={"a": 1.5}), window(10, 20, values={"a": 3, "b": None}), window(20, 30)]
    found = charts(windows=windows, queries=gates)
    one = found["query-0"]
    assert one.title == "Own query: a"
    assert one.summary == "From 1.5 to 3."
    assert [(level.name, level.value, level.colour) for level in one.levels] == [
        ("min 1", 1, "#57606a"),
        ("max 2.5", 2.5, "#b42318"),
    ]
    assert curve(one, "a") == [(10, 1.5), (20, 3), (30, None)]
    assert (found["query-1"].summary, list(found["query-1"].levels), curve(found["query-1"], "b")) == (
        "",
        [],
        [],
    )
    colours = [found[f"query-{index}"].lines[0].colour for index in range(5)]
    assert len(set(colours[:4])) == 4
    assert colours[4] == colours[0]


def test_the_figures_behind_the_charts() -> None:
    rows = window_rows([window(0, 10, [1000, 1, 90, 2], counts={"latency": [10, 3, 20, 4]}), {"counts": {}}])
    assert rows == [
        ["1", "12:00:00", "12:00:10", "10 %", "1 / 1\u202f000", "2 / 90", "3 / 10", "4 / 20"],
        ["", "", "", " %", "", "", "", ""],
    ]


# -- why -----------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", text)).replace("  ", " ")


def criterion(name: str = "errors", policy: Obj | None = None, **gate: Any) -> str:
    gates = [{"name": name, "acceptable": 0.005, "limit": 0.05, "odds_ratio": 3.0, **gate}] if gate else []
    whole = {
        "reason": "r",
        "evidence": {
            "gates": gates,
            "policy": policy or {},
            "verdicts": [{"gate": name, "verdict": "pass", "reason": "x"}],
        },
    }
    found = re.search(r"</h3><p>(.*?)</p>", why_box(whole))
    assert found is not None
    return html.unescape(found[1])


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("At most 0.5 % of the canary's requests may fail; from 5 % on it is sick.", {"absolute": True}),
        ("At most 0.5 % of the canary's requests may be slow; from 5 % on it is sick.", {"name": "latency", "absolute": True}),
        ("At most 0.5 % of the canary's requests may be bad; from 5 % on it is sick.", {"name": "x", "absolute": True}),
        ("Its odds must not be 3 times those of the stable version.", {"absolute": False, "compare": True}),
        ("At most 0.5 % of the canary's requests may fail; from 5 % on it is sick; its odds must not be 3 times those of "
         "the stable version. Fixed thresholds, judged at the end of each phase.", {"compare": True, "policy": {"mode": "fixed"}}),
        ("Its odds must not be 3 times those of the stable version. A healthy version is stopped with a probability of 1 % "
         "at most, one at the limit promoted with 5 %.", {"absolute": False, "compare": True, "policy": {"alpha": 0.01, "power": 0.95}}),
        ("Its odds must not be 3 times those of the stable version.", {"absolute": False, "compare": True, "policy": {"alpha": 0.01}}),
        ("The measured share of requests must follow the weight.", {"name": "share"}),
        ("", {"name": "other"}),
    ],
)  # fmt: skip
def test_what_a_gate_asks_for(text: str, given: Obj) -> None:
    assert criterion(**given) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(1, 2.5, "at least 1 and at most 2.5"), (0, None, "at least 0"), (None, 100.0, "at most 100")],
)
def test_what_a_query_asks_for(low: Any, high: Any, text: str) -> None:
    query = {"name": "q", "minimum": low, "maximum": high, "failures": 2}
    evidence = {"queries": [query], "verdicts": [{"gate": "q", "verdict": "pass", "reason": "x"}]}
    assert f"The query must be {text}; 2 violations in a row fail." in plain(
        why_box({"reason": "r", "evidence": evidence})
    )


def test_what_failed_comes_first_then_what_is_open_then_what_passed() -> None:
    verdicts = [
        {"gate": gate, "verdict": verdict, "reason": "x"}
        for gate, verdict in (("a", "pass"), ("b", "open"), ("c", "fail"))
    ]
    answers = [
        {"gate": "d", "verdict": "fail", "when": "pre <x>", "reason": "HTTP 500"},
        {"gate": "e", "verdict": "pass", "when": "pre", "reason": "HTTP 200"},
    ]
    text = why_box({"reason": "<why>", "evidence": {"verdicts": verdicts, "answers": answers}})
    assert re.findall(r"<h3>(\w)", text) == ["c", "b", "a", "d"]
    assert "A gate outside of the mesh (pre &lt;x&gt;)." in text
    assert "What decided: <b>&lt;why&gt;</b>." in text
    assert "No gate was judged." not in text
    assert '<p class="none">No gate was judged.</p>' in why_box({"reason": "r", "evidence": {}})


def box(**figures: Any) -> str:
    verdict = {"gate": "errors", "verdict": "fail", "reason": "x", "figures": figures}
    return why_box({"reason": "r", "evidence": {"verdicts": [verdict]}})


def test_evidence_against_its_threshold() -> None:
    text = box(
        stop_at=4.0, promote_at=2.0, harm_evidence=2, worse_than_stable_evidence=-1.0, health_evidence=9.0
    )
    bars = re.findall(
        r'class="what">(.*?)</span>.*?aria-label="(.*?)".*?class="fill (\w+)" style="width:(.*?)%".*?class="of">(.*?)</span>',
        text,
    )
    assert bars == [
        (
            "evidence of harm",
            "evidence of harm 2.00 of 4.00, which stops the run",
            "bad",
            "40.0",
            "2.00 of 4.00",
        ),
        (
            "worse than stable",
            "worse than stable -1.00 of 4.00, which stops the run",
            "bad",
            "0.0",
            "0.00 of 4.00",
        ),
        (
            "evidence of health",
            "evidence of health 9.00 of 2.00, which lets it be promoted",
            "good",
            "100.0",
            "9.00 of 2.00",
        ),
    ]
    assert 'class="bars"' not in box(stop_at=4.0, health_evidence=1.0)
    assert 'class="bars"' not in box(harm_evidence=1.0)
    assert "width:0.0%" in box(stop_at=0, harm_evidence=1.0)


def test_intervals_of_both_versions() -> None:
    text = box(
        canary_interval=[0.01, 0.2], canary_total=1000, canary_bad=50, stable_interval=[0, 1], stable_total=0
    )
    rows = re.findall(
        r"<tr><th scope=row>(.*?)</th><td class=n>(.*?)</td><td class=n>(.*?)</td><td class=n>(.*?)</td></tr>",
        text,
    )
    assert rows == [
        ("canary", "50 of 1\u202f000", "5 %", "1 % to 20 %"),
        ("stable", "0 of 0", "no requests", ""),
    ]
    assert "class=small" not in box(canary_interval=[0.01, 0.2])
    assert "class=small" not in box(canary_total=3)


def phases(windows: list[Obj], by_phase: Obj | None = None) -> list[list[str]]:
    axis = TimeAxis(
        NOON,
        NOON + 300,
        (
            Span(1, "1", NOON, NOON + 60),
            Span(1, "1", NOON + 100, NOON + 160),
            Span(2, "2", NOON + 60, NOON + 100),
        ),
        (),
    )
    text = phase_table({"plan": PLAN, "windows": windows, "by_phase": by_phase}, axis)
    return [
        [plain(cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", text)[1:]
    ]


def test_each_phase_with_its_requests_and_time() -> None:
    windows = [
        window(0, 60, [10, 1, 20, 2]),
        window(50, 71, [100, 0, 0, 0]),  # its middle lies in phase 2
        window(110, 130, [5, 0, 6, 0]),
        window(None, 100, [7, 0, 0, 0]),  # ends with phase 2
        window(900, 960, [9, 9, 9, 9]),  # in none
    ]
    verdicts = {"1": [{"gate": "errors", "verdict": "pass", "reason": "fine"}]}
    assert phases(windows, verdicts) == [
        ["1", "mirror", "2 min", "15", "1", "26", "2", "errors  \u2713 pass"],
        ["2", "25 %", "40 s", "107", "0", "0", "0", "no look"],
        ["3", "synthetic", "", "", "", "", "", "not reached"],
    ]
    assert phases([], None)[0][2:] == ["2 min", "", "", "", "", "no look"]


def test_answers_of_gates_outside() -> None:
    answers = [{"gate": "g", "when": "pre", "phase": 2, "verdict": "fail", "reason": "<r>", "at": at(5), "seconds": 1.6},
               {"gate": "h", "when": "post", "phase": 0, "verdict": "pass", "reason": "", "at": at(6)}]  # fmt: skip
    rows = re.findall(r"<tr>(.*?)</tr>", answer_table({"answers": answers}))[1:]
    assert [[plain(cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", row)] for row in rows] == [
        ["g", "pre", "2", "\u2717 fail", "<r>", "12:00:05", "2 s"],
        ["h", "post", "0", "\u2713 pass", "", "12:00:06", "0 s"],
    ]
    assert answer_table({}) == ""


def test_when_a_run_was() -> None:
    assert times_of({"timeline": [line(5, "x"), {"at": "soon"}, line(2, "y")]}) == (NOON + 2, NOON + 5)
    assert times_of({}) is None
