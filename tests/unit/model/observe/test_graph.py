# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places in the picture: callers left of what they call, nothing on top of anything."""

from __future__ import annotations

import re

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.graph import (
    MOST_COLUMNS,
    MOST_ROWS,
    places,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.graph_svg import picture
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.report import Report

from .telemetry import NOW, both, shop, traffic

CHAIN = [("gw", "web"), ("web", "api"), ("api", "pay"), ("api", "mail"), ("web", "mail")]


def test_columns_are_the_fewest_calls_from_outside() -> None:
    found = places(["gw", "web", "api", "pay", "mail"], CHAIN)
    assert {node: place.column for node, place in found.items()} == {
        "gw": 0, "web": 1, "api": 2, "mail": 2, "pay": 3,
    }  # fmt: skip
    assert {(found[node].row, found[node].rows) for node in ("api", "mail")} == {(0, 2), (1, 2)}


@pytest.mark.parametrize(
    "edges",
    [
        [("a", "b"), ("b", "c"), ("c", "a")],
        [("a", "a")],
        [("a", "b"), ("b", "a"), ("b", "c")],
        [],
        [(f"n{index}", f"n{index + 1}") for index in range(40)],
    ],
)
def test_every_node_has_a_place_of_its_own(edges: list[tuple[str, str]]) -> None:
    nodes = sorted({*"abc", *(end for edge in edges for end in edge)})
    found = places(nodes, edges)
    assert set(found) == set(nodes)
    assert len({(place.column, place.row) for place in found.values()}) == len(nodes)
    assert all(place.column < MOST_COLUMNS and place.row < place.rows for place in found.values())


def test_a_long_column_stands_in_several() -> None:
    nodes = ["gw", *(f"n{index}" for index in range(2 * MOST_ROWS + 2))]
    found = places(nodes, [("gw", node) for node in nodes[1:]])
    assert {place.column for place in found.values()} == {0, 1, 2, 3}
    assert max(place.rows for place in found.values()) <= MOST_ROWS
    assert len({(place.column, place.row) for place in found.values()}) == len(nodes)


def test_lines_do_not_cross_where_they_need_not() -> None:
    found = places(["a", "b", "x", "y"], [("a", "y"), ("b", "x")])
    assert (found["a"].row < found["b"].row) == (found["y"].row < found["x"].row)


@pytest.mark.parametrize("number", [1, 8, 200])
def test_boxes_stand_inside_and_apart(number: int) -> None:
    drawn = picture(shop(number))
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', drawn)[0])
    boxes = [
        tuple(map(float, found))
        for found in re.findall(
            r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="(2\d|3\d)" rx="4"', drawn
        )
    ]
    assert len(boxes) == number
    for x, y, wide, tall in boxes:
        assert (x >= 0, y >= 0, x + wide <= width, y + tall <= height + 1) == (True,) * 4
    for index, (x, y, wide, tall) in enumerate(boxes):
        for other_x, other_y, *_size in boxes[:index]:
            assert abs(x - other_x) >= wide or abs(y - other_y) >= tall


def test_a_line_says_rate_failures_and_lock() -> None:
    found = traffic(both("web", "api", 90), both("web", "api", 10, "503"), both("web", "pay", 50))
    drawn = picture(Report("shop", NOW, traffic=found))
    assert "shop/web → shop/api: 10.0/s, 10.0 % failed, mutual TLS" in drawn
    assert "shop/web → shop/pay: 5.00/s, 0.0 % failed, mutual TLS" in drawn
    assert ">10.0/s 10.0 %</text>" in drawn
    assert ">5.00/s</text>" in drawn
    assert drawn.count('class="edge"') == 2


def test_names_are_escaped() -> None:
    found = traffic(both("web", "api", 1, destination_service_name="<script>alert(1)</script>"))
    assert "<script" not in picture(Report("shop", NOW, traffic=found))


def test_without_anything_there_is_a_sentence() -> None:
    assert picture(Report("shop", NOW)) == "<p>No service is known.</p>"
    assert "not scraped" in picture(Report("shop", NOW, stated=("shop/a",), dark=("shop/a",)))
    idle = Report("shop", NOW, traffic=traffic(both("web", "api", 1)), stated=("shop/a",))
    assert "shop/a: no requests" in picture(idle)
