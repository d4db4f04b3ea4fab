# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of many cells the most telling one is told, and differences are kept apart."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import (
    ANONYMOUS,
    Edge,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security import matrix
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.classes import ANY_OTHER_PORT
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import (
    ALLOW,
    DENY,
    UNKNOWN,
    Decision,
    Request,
)

from .test_cells import STRANGER, WEB, held

HOME = "cluster.local"
HALF = f"{HOME}/ns/shop/sa/elsewhere"


def first(answer: str, edges: list[Edge], *requests: Request) -> list[Request]:
    """The first example, whatever the order in which the requests are tried."""
    told = set()
    for order in itertools.permutations(requests):
        (found,) = matrix.compare(held(answer), edges, order, [HOME]).differences
        assert found.cells == len(requests)
        told.add(str(found.requests[0]))
    return [one for one in requests if str(one) in told]


EVERYONE = [Edge(ANONYMOUS, (), (), (80, 90, ANY_OTHER_PORT), "anyone", "anyone")]
NAMED = Request(WEB, 80, "POST")


def test_an_opening_is_told_by_the_one_who_is_nobody_in_particular() -> None:
    nobody, stranger, half = Request("", 80, "POST"), Request(STRANGER, 80, "POST"), Request(HALF, 80, "POST")
    assert first(ALLOW, [], NAMED, stranger, half, nobody) == [stranger]
    assert first(ALLOW, [], NAMED, nobody) == [nobody]
    assert first(ALLOW, [], NAMED, half) == [half]


def test_an_outage_is_told_by_the_one_who_has_a_name() -> None:
    stranger, half = Request(STRANGER, 80, "POST"), Request(HALF, 80, "POST")
    assert first(DENY, EVERYONE, stranger, half, NAMED) == [NAMED]
    assert first(DENY, EVERYONE, stranger, half) == [half]


@pytest.mark.parametrize(("answer", "edges"), [(ALLOW, []), (DENY, EVERYONE), (UNKNOWN, [])])
def test_then_by_the_port_the_write_the_path_and_the_fewest_headers(answer: str, edges: list[Edge]) -> None:
    """In this order: each is worse than the next in one point, and better in all that follow."""
    filler = "/elsewhere/elsewhere"
    by_port = Request(WEB, ANY_OTHER_PORT, "POST", "/pay")
    by_method = Request(WEB, 80, "GET", "/pay")
    by_path = Request(WEB, 80, "POST", filler)
    by_headers = Request(WEB, 80, "POST", "/pay", headers={"a": "b"})
    best = Request(WEB, 80, "POST", "/pay")
    assert first(answer, edges, by_port, by_method, by_path, by_headers, best) == [best]
    assert first(answer, edges, by_port, by_method, by_path, by_headers) == [by_headers]
    assert first(answer, edges, by_port, by_method, by_path) == [by_path]
    assert first(answer, edges, by_port, by_method) == [by_method]


def test_no_more_than_fifty_examples_of_the_cells_that_are_counted() -> None:
    requests = [Request(WEB, 80, path=f"/{number}") for number in range(51)]
    (found,) = matrix.compare(held(ALLOW), [], requests, [HOME]).differences
    assert (len(found.requests), found.cells) == (50, 51)


def test_differences_are_apart_by_what_they_do_and_who_decides() -> None:
    def decide(request: Request) -> Decision:
        policy, rule = request.path.strip("/").split("/")
        verdict = {"GET": ALLOW, "PUT": UNKNOWN}.get(request.method, DENY)
        return Decision(verdict, policy, int(rule), policy)

    paths = ["/a/0", "/a/1", "/b/0", "/a/0"]
    requests = [Request(WEB, 80, method, path) for method in ("GET", "PUT", "POST") for path in paths]
    policies: Any = SimpleNamespace(decide=decide)
    found = matrix.compare(policies, [], requests, [HOME])
    assert len(found.cells) == 12
    told = [(one.kind, one.decision.policy, one.decision.rule, one.cells) for one in found.differences]
    assert told == [
        (kind, policy, rule, cells)
        for kind in ("opens", "unsure")
        for policy, rule, cells in (("a", 0, 2), ("a", 1, 1), ("b", 0, 1))
    ]
