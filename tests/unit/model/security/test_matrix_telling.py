# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of many cells the most telling one is told, in words; and what the catalogue states of a single request."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import (
    ANONYMOUS,
    ANY_PEER,
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
    Token,
)

HOME, OLD = "cluster.local", "old.example.com"
WEB = f"{HOME}/ns/shop/sa/web"
STRANGER = f"{HOME}/ns/elsewhere/sa/elsewhere"
HALF = f"{HOME}/ns/shop/sa/elsewhere"


class Held:
    """Policies that answer as they are told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def decide(self, request: Request) -> Decision:
        found = self.answer(request) if callable(self.answer) else self.answer
        return found if isinstance(found, Decision) else Decision(found, "AuthorizationPolicy shop/p", 0, "")


def first(answer: str, edges: list[Edge], *requests: Request) -> list[Request]:
    """The first example, whatever the order in which the requests are tried."""
    told = set()
    for order in itertools.permutations(requests):
        (found,) = matrix.compare(Held(answer), edges, order, [HOME]).differences  # type: ignore[arg-type]
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
    (found,) = matrix.compare(Held(ALLOW), [], requests, [HOME]).differences  # type: ignore[arg-type]
    assert (len(found.requests), found.cells) == (50, 51)


def test_differences_are_apart_by_what_they_do_and_who_decides() -> None:
    def decide(request: Request) -> Decision:
        policy, rule = request.path.strip("/").split("/")
        verdict = {"GET": ALLOW, "PUT": UNKNOWN}.get(request.method, DENY)
        return Decision(verdict, policy, int(rule), policy)

    paths = ["/a/0", "/a/1", "/b/0", "/a/0"]
    requests = [Request(WEB, 80, method, path) for method in ("GET", "PUT", "POST") for path in paths]
    found = matrix.compare(Held(decide), [], requests, [HOME])  # type: ignore[arg-type]
    assert found.cells == 12
    told = [(one.kind, one.decision.policy, one.decision.rule, one.cells) for one in found.differences]
    assert told == [
        (kind, policy, rule, cells)
        for kind in ("opens", "unsure")
        for policy, rule, cells in (("a", 0, 2), ("a", 1, 1), ("b", 0, 1))
    ]


def test_a_flip_is_blamed_on_the_one_who_decides_now_or_did() -> None:
    """What closes because an allowing policy went is told by that policy: none decides the new answer."""
    old, new, none = (Decision(DENY, name, 0, "") for name in ("old", "new", ""))
    allow = Decision(ALLOW, "old", 0, "")
    unsure = Decision(UNKNOWN, "new", 0, "")

    def flipped(before: Decision, after: Decision) -> list[tuple[str, str]]:
        found = matrix.flips(Held(before), Held(after), [NAMED])  # type: ignore[arg-type]
        return [(one.kind, one.decision.policy) for one in found]

    assert flipped(allow, new) == [("closes", "new")]
    assert flipped(allow, none) == [("closes", "old")]
    assert flipped(old, Decision(ALLOW, "new", 0, "")) == [("opens", "new")]
    assert flipped(old, Decision(ALLOW, "", None, "")) == [("opens", "")]
    assert flipped(allow, unsure) == [("unsure", "new")]
    assert flipped(old, new) == []


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(WEB, 80), "shop/web GET / on port 80"),
        (Request(WEB, 80, "POST", "/x"), "shop/web POST /x on port 80"),
        (Request("", 80, path="/elsewhere1/x"), "a caller without identity GET any other path on port 80"),
        (Request(WEB, ANY_OTHER_PORT), "shop/web GET / on any other port"),
        (Request(WEB, 80, http=False), "shop/web on port 80"),
        (Request(WEB, 80, source_ip="192.0.2.1"), "shop/web GET / on port 80 from 192.0.2.1"),
        (Request(WEB, 80, remote_ip="192.0.2.2"), "shop/web GET / on port 80 from 192.0.2.2"),
        (
            Request(WEB, 80, source_ip="192.0.2.1", remote_ip="192.0.2.2"),
            "shop/web GET / on port 80 from 192.0.2.2",
        ),
        (Request(WEB, 80, headers={"a": "1", "b": "2"}), "shop/web GET / on port 80 with a: 1, b: 2"),
        (Request(WEB, 80, token=Token()), "shop/web GET / on port 80 with a token"),
        (Request(WEB, 80, sni="x.org"), "shop/web GET / on port 80 to x.org"),
        (Request(STRANGER, 80), "any account of any namespace GET / on port 80"),
        (Request(HALF, 80), "any account of namespace shop GET / on port 80"),
        (Request(f"{HOME}/ns/elsewhere2/sa/web", 80), "account web of any namespace GET / on port 80"),
        (Request("odd", 80), "odd GET / on port 80"),
    ],
)
def test_a_cell_in_words(request_: Request, words: str) -> None:
    assert matrix.describe(request_) == words
    assert f"{matrix.caller_of(request_)} {matrix.request_of(request_)}" == words


def edge(principal: str = WEB, **more: Any) -> Edge:
    fields = {"methods": (), "paths": (), "ports": (80,), "kind": "caller", "caller": "shop/web", **more}
    return Edge(principal, **fields)


@pytest.mark.parametrize(
    ("rule", "asked", "stated"),
    [
        (edge(), Request(WEB, 80), True),
        (edge(), Request(WEB, 90), False),
        (edge(), Request(STRANGER, 80), False),
        (edge(), Request("", 80), False),
        (edge(), Request(f"{OLD}/ns/shop/sa/web", 80), True),
        (edge(), Request("else.example.com/ns/shop/sa/web", 80), False),
        (edge(f"{OLD}/ns/shop/sa/web"), Request(WEB, 80), True),
        (edge(ANY_PEER), Request(STRANGER, 80), True),
        (edge(ANY_PEER), Request("", 80), False),
        (edge(ANONYMOUS), Request("", 80), True),
        (edge(ANONYMOUS), Request(STRANGER, 80), True),
        (edge(methods=("GET",)), Request(WEB, 80, "GET"), True),
        (edge(methods=("GET",)), Request(WEB, 80, "POST"), False),
        (edge(methods=("GET",)), Request(WEB, 80, http=False), False),
        (edge(paths=("/x",)), Request(WEB, 80, http=False), False),
        (edge(), Request(WEB, 80, http=False), True),
        (edge(paths=("/x",)), Request(WEB, 80, path="/x"), True),
        (edge(paths=("/x",)), Request(WEB, 80, path="/x/y"), False),
        (edge(paths=("/x/*",)), Request(WEB, 80, path="/x/y"), True),
        (edge(paths=("/x/*",)), Request(WEB, 80, path="/x"), False),
        (edge(paths=("/x", "/y")), Request(WEB, 80, path="/y"), True),
        (edge(ip_blocks=("192.0.2.0/24",)), Request(WEB, 80, source_ip="192.0.2.9"), True),
        (edge(ip_blocks=("192.0.2.0/24",)), Request(WEB, 80, source_ip="198.51.100.1"), False),
        (edge(ip_blocks=("192.0.2.0/24",)), Request(WEB, 80), False),
        (edge(ip_blocks=("2001:db8::/32", "192.0.2.0/24")), Request(WEB, 80, source_ip="192.0.2.9"), True),
    ],
)
def test_what_the_catalogue_states_of_a_request(rule: Edge, asked: Request, stated: bool) -> None:
    assert matrix.is_stated([rule], asked, [HOME, OLD]) is stated
    never = edge(f"{HOME}/ns/none/sa/none", ports=(1,))
    assert matrix.is_stated([never, rule, never], asked, [HOME, OLD]) is stated
    assert matrix.is_stated([], asked, [HOME, OLD]) is False
