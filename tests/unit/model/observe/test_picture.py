# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawing: where lines begin and end, what colours and locks say, what a crowded mesh leaves out."""

from __future__ import annotations

import itertools
import math
import re

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.graph_svg import picture
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.report import Report
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.signals import (
    Signals,
    Traffic,
    TrafficEdge,
)

from .telemetry import NOW

GREY, YELLOW, RED, VIOLET = "#57606a", "#bf8700", "#cf222e", "#8250df"
Point = tuple[float, float]


def drawn(
    *edges: TrafficEdge, dark: tuple[str, ...] = (), stated: tuple[str, ...] = (), **services: Signals
) -> str:
    """The picture of these calls in a window of ten seconds."""
    traffic = Traffic(10.0, services, edges)
    return picture(Report("shop", NOW, traffic=traffic, dark=dark, stated=stated))


def call(
    source: str,
    target: str,
    requests: float = 100.0,
    failed: float | None = 0.0,
    *,
    secured: bool | None = True,
) -> TrafficEdge:
    return TrafficEdge(source, target, Signals(requests, failed), secured)


def boxes(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """Name -> x, y, width and height."""
    found = re.findall(
        r'<g class="node"><title>([^:]*):[^<]*</title><rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" '
        r'height="(\d+)"',
        svg,
    )
    return {name: (float(x), float(y), float(wide), float(tall)) for name, x, y, wide, tall in found}


def lines(svg: str) -> dict[tuple[str, str], list[Point]]:
    """Source and target -> the four points of the line."""
    found = {}
    for source, target, path in re.findall(
        r'<g class="edge"><title>(\S+) → (\S+): [^<]*</title><path d="M([^"]*)"', svg
    ):
        numbers = [float(text) for text in re.split("[ C]", path)]
        found[source, target] = list(zip(numbers[::2], numbers[1::2], strict=True))
    return found


def test_a_line_goes_from_the_right_side_of_the_caller_to_the_left_side_of_the_called() -> None:
    svg = drawn(call("a", "b"))
    (ax, ay, awide, atall), (bx, by, _bwide, btall) = boxes(svg)["a"], boxes(svg)["b"]
    first, leaves, comes, last = lines(svg)["a", "b"]
    assert first == pytest.approx((ax + awide, ay + atall / 2), abs=0.1)
    assert last == pytest.approx((bx - 3, by + btall / 2), abs=0.1), "the head's point touches the box"
    half = (bx - ax - awide) / 2
    assert leaves == pytest.approx((first[0] + half, first[1]), abs=0.1)
    assert comes == pytest.approx((last[0] - half, last[1]), abs=0.1)


def test_lines_that_bend_in_a_narrow_gap_bend_all_the_same() -> None:
    chain = [call(f"n{at}", f"n{at + 1}") for at in range(5)]
    svg = drawn(*chain)
    (first, leaves, comes, last) = lines(svg)["n0", "n1"]
    assert leaves[0] - first[0] == pytest.approx(30, abs=0.1)
    assert last[0] - comes[0] == pytest.approx(30, abs=0.1)


def test_who_calls_back_or_itself_goes_around_the_right_side() -> None:
    svg = drawn(call("a", "b"), call("b", "a"), call("b", "b"))
    found, shapes = lines(svg), boxes(svg)
    (bx, by, bwide, btall) = shapes["b"]
    for pair, (ex, ey, ewide, etall) in ((("b", "a"), shapes["a"]), (("b", "b"), shapes["b"])):
        first, leaves, comes, last = found[pair]
        assert first == pytest.approx((bx + bwide, by + btall / 2 + 4), abs=0.1)
        assert last == pytest.approx((ex + ewide + 3, ey + etall / 2 - 4), abs=0.1)
        out = 34 + abs(ey + etall / 2 - by - btall / 2) * 0.12
        assert leaves == pytest.approx((first[0] + out, first[1]), abs=0.1)
        assert comes == pytest.approx((last[0] + out, last[1]), abs=0.1)
        assert max(point[0] for point in (first, leaves, comes, last)) <= 1200, "it stays in the picture"


def test_a_line_far_around_goes_no_further_than_the_room_beside_it() -> None:
    """Two services of one column that are far apart: the line between them leaves by 90 at most."""
    edges = [call("gw", f"n{at:02}") for at in range(40)]
    first, leaves, _comes, _last = lines(drawn(*edges, call("n00", "n39")))["n00", "n39"]
    assert leaves[0] - first[0] == pytest.approx(90, abs=0.1)


def test_boxes_keep_their_distance_and_the_margin() -> None:
    edges = [call("gw", f"n{at}") for at in range(3)]
    svg = drawn(*edges)
    shapes = boxes(svg)
    column = sorted(shapes[f"n{at}"] for at in range(3))
    assert {wide for _x, _y, wide, _tall in shapes.values()} == {148.0}
    assert {tall for _x, _y, _wide, tall in shapes.values()} == {36.0}
    assert [y for _x, y, _wide, _tall in column] == [14.0, 62.0, 110.0]
    assert shapes["gw"][1] == 62.0, "a shorter column stands in the middle"
    assert shapes["gw"][0] == 14.0
    assert column[0][0] + 148 == 1200 - 14 - 30, "room for lines around the last column"
    assert 'viewBox="0 0 1200 160"' in svg


def test_one_column_stands_in_the_middle() -> None:
    (x, y, wide, _tall) = boxes(drawn(stated=("a",)))["a"]
    assert (x, y, wide) == (14 + (1200 - 2 * 14 - 30 - 148) / 2, 14.0, 148.0)


def test_six_columns_are_narrower_so_that_lines_find_their_way() -> None:
    shapes = boxes(drawn(*(call(f"n{at}", f"n{at + 1}") for at in range(5))))
    ordered = [shapes[f"n{at}"] for at in range(6)]
    for (x, _y, wide, _tall), (other, *_rest) in itertools.pairwise(ordered):
        assert other - x - wide >= 44 - 0.2


@pytest.mark.parametrize(
    ("failed", "colour"),
    [(0.0, GREY), (0.001, YELLOW), (5.0, YELLOW), (5.1, RED), (100.0, RED), (None, VIOLET)],
)
def test_the_colour_tells_how_much_failed(failed: float | None, colour: str) -> None:
    svg = drawn(call("a", "b", failed=failed), b=Signals(100.0, failed))
    assert f'stroke="{colour}"' in svg.partition('<g class="edge">')[2].partition("</g>")[0]
    assert f'marker-end="url(#to-{colour[1:]})"' in svg
    assert f'fill="{colour}"/>' in re.findall(r"<title>b: .*?</g>", svg)[0]
    assert f'<marker id="to-{colour[1:]}"' in svg
    assert ('stroke-dasharray="2 3"' in svg) is (failed is None)


@pytest.mark.parametrize(
    ("secured", "words", "marks"),
    [
        (True, "mutual TLS", "#1a7f37"),
        (False, "plain text", "#cf222e"),
        (None, "mutual TLS: cannot tell", ">?<"),
    ],
)
def test_the_lock_tells_how_it_was_secured(secured: bool | None, words: str, marks: str) -> None:
    svg = drawn(call("a", "b", secured=secured))
    assert f"0.0 % failed, {words}</title>" in svg
    mark = svg.partition("marker-end=")[2].partition(
        '<text class="label"' if secured is not None else "</g>"
    )[0]
    assert marks in mark
    assert ('d="M-2.5 -1V-3.5A' in mark) is (secured is False), "an open bow"


@pytest.mark.parametrize(("requests", "width"), [(0.0, "1.0"), (90.0, "2.0"), (990.0, "3.0"), (1e9, "6.0")])
def test_the_more_requests_the_wider_the_line(requests: float, width: str) -> None:
    """One for none, one more for each power of ten of the rate, and six at most."""
    assert f'stroke-width="{width}"' in drawn(call("a", "b", requests))


def test_what_a_box_says() -> None:
    svg = drawn(
        call("shop/a", "shop/b"),
        stated=("shop/idle", "shop/dark"),
        dark=("shop/dark",),
        **{"shop/b": Signals(100.0, 25.0)},
    )
    assert "<title>shop/a: calls only</title>" in svg
    assert "<title>shop/b: 10.0/s, 25.0 % failed</title>" in svg
    assert ">10.0/s, 25.0 % failed</text>" in svg
    assert "<title>shop/idle: no requests</title>" in svg
    assert "<title>shop/dark: not scraped: cannot tell</title>" in svg
    assert f'fill="{VIOLET}"/>' in re.findall(r"<title>shop/dark: .*?</g>", svg)[0]
    assert 'fill="#d5d9de"/>' in re.findall(r"<title>shop/idle: .*?</g>", svg)[0]
    assert svg.count("<desc>shop</desc>") == 4
    assert "<desc>" not in drawn(stated=("a.example",))


def test_a_service_without_metrics_at_all_is_told_so() -> None:
    assert "<title>a: not scraped: cannot tell</title>" in picture(Report("shop", NOW, stated=("a",)))


@pytest.mark.parametrize(("length", "shown"), [(21, "x" * 21), (22, "x" * 20 + "…")])
def test_a_name_fits_its_box(length: int, shown: str) -> None:
    assert f">{shown}</text>" in drawn(stated=("shop/" + "x" * length,))


@pytest.mark.parametrize("number", [60, 61])
def test_many_services_are_flat(number: int) -> None:
    svg = drawn(stated=tuple(f"n{at}" for at in range(number)))
    assert {tall for *_rest, tall in boxes(svg).values()} == {36.0 if number == 60 else 22.0}
    assert svg.count('<text class="small"') == (60 if number == 60 else 0)


@pytest.mark.parametrize("number", [45, 46])
def test_of_many_calls_only_what_is_wrong_is_marked(number: int) -> None:
    fine = [call("gw", f"n{at}") for at in range(number - 3)]
    wrong = [call("gw", "x", failed=50.0), call("gw", "y", secured=False), call("gw", "z", secured=None)]
    svg = drawn(*fine, *wrong)
    edges = dict(
        re.findall(
            r'<g class="edge"><title>gw → (\w+): .*?</title>(.*?)(?=<g class="edge"|<g class="node")', svg
        )
    )
    many = number == 46
    assert len(edges) == number
    assert ("no lock drawn: mutual TLS" in svg) is many
    faint = {name for name, text in edges.items() if 'stroke-opacity=".45"' in text}
    assert faint == ({f"n{at}" for at in range(number - 3)} if many else set())
    marked = {name for name, text in edges.items() if "#1a7f37" in text or ">?<" in text or "<rect" in text}
    assert marked == ({"y", "z"} if many else set(edges))
    assert (">10.0/s</text>" in svg) is not many
    assert f'stroke-width="{(1 + math.log10(11)) * (0.6 if many else 1):.1f}"' in edges["n0"]


def test_labels_of_lines_that_lie_beside_each_other_stand_at_different_places() -> None:
    svg = drawn(call("a", "b", 300), call("a", "c", 200), call("a", "d", 100), call("a", "e", 50))
    shares = []
    for (_source, _target), (first, *_bends, last) in lines(svg).items():
        x = float(re.findall(rf'→ {_target}: .*?<g transform="translate\(([\d.]+) ', svg)[0])
        shares.append(round((x - first[0]) / (last[0] - first[0]), 2))
    middle, early, late = shares[0], shares[1], shares[2]
    assert early < middle == 0.5 < late
    assert shares[3] == middle
    assert early == pytest.approx(1 - late, abs=0.02)
