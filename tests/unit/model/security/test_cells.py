"""A cell of the matrix in words, and what the catalogue says of it: who, what, from where, on which port."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

from types import SimpleNamespace
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

WEB = "cluster.local/ns/shop/sa/web"
STRANGER = "cluster.local/ns/elsewhere/sa/elsewhere"
STREAM = {"http": False, "method": "", "path": ""}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(WEB, 80, "POST", "/x"), "shop/web POST /x on port 80"),
        (Request(WEB, 80), "shop/web GET / on port 80"),
        (Request("", 80, "GET", "/"), "a caller without identity GET / on port 80"),
        (Request("", 80, path="/elsewhere1/x"), "a caller without identity GET any other path on port 80"),
        (Request("odd", 80, "GET", "/"), "odd GET / on port 80"),
        (Request("td/ns/elsewhere/sa/elsewhere", 80, "GET", "/"), "any account of any namespace GET / on port 80"),
        (Request("td/ns/shop/sa/elsewhere1", 80, "GET", "/"), "any account of namespace shop GET / on port 80"),
        (Request("td/ns/shop/sa/elsewhere", 80, "GET", "/"), "any account of namespace shop GET / on port 80"),
        (Request("td/ns/elsewhere/sa/web", 80, "GET", "/"), "account web of any namespace GET / on port 80"),
        (Request("td/ns/elsewhere2/sa/web", 80, "GET", "/"), "account web of any namespace GET / on port 80"),
        (Request(WEB, 80, "GET", "/a/elsewhere/b"), "shop/web GET any other path on port 80"),
        (Request(WEB, ANY_OTHER_PORT, "GET", "/"), "shop/web GET / on any other port but 15008"),
        (Request(WEB, 5432, **STREAM), "shop/web on port 5432"),
        (Request(WEB, 80, http=False), "shop/web on port 80"),
        (Request(WEB, 80, source_ip="192.0.2.1"), "shop/web GET / on port 80 from 192.0.2.1"),
        (Request(WEB, 80, remote_ip="192.0.2.2"), "shop/web GET / on port 80 from 192.0.2.2"),
        (Request(WEB, 80, source_ip="192.0.2.1", remote_ip="192.0.2.2"), "shop/web GET / on port 80 from 192.0.2.2"),
        (Request(WEB, 5432, source_ip="10.0.0.1", **STREAM), "shop/web on port 5432 from 10.0.0.1"),
        (Request(WEB, 5432, source_ip="10.0.0.1", remote_ip="192.0.2.1", **STREAM), "shop/web on port 5432 from 192.0.2.1"),
        (Request(WEB, 80, "GET", "/", headers={"a": "1", "b": "2"}), "shop/web GET / on port 80 with a: 1, b: 2"),
        (Request(WEB, 80, "GET", "/", token=Token("i", "s")), "shop/web GET / on port 80 with a token"),
        (Request(WEB, 80, token=Token()), "shop/web GET / on port 80 with a token"),
        (Request(WEB, 80, sni="x.org"), "shop/web GET / on port 80 to x.org"),
        (Request(WEB, 443, sni="a.example", **STREAM), "shop/web on port 443 to a.example"),
    ],
)  # fmt: skip
def test_a_cell_in_words(request_: Request, words: str) -> None:
    assert matrix.describe(request_) == words
    assert matrix.describe(request_) == f"{matrix.caller_of(request_)} {matrix.request_of(request_)}"


def edge(**changes: Any) -> Edge:
    given: dict[str, Any] = {
        "principal": WEB,
        "ports": (80,),
        "methods": (),
        "paths": (),
        "ip_blocks": (),
        "kind": "caller",
        "caller": "web",
        **changes,
    }
    return Edge(**given)


@pytest.mark.parametrize(
    ("changes", "asked", "stated"),
    [
        ({}, {}, True),
        ({}, {"principal": "cluster.local/ns/shop/sa/other"}, False),
        ({}, {"principal": ""}, False),
        ({}, {"port": 81}, False),
        ({}, STREAM, True),
        ({"methods": ("GET",)}, {}, True),
        ({"methods": ("POST",)}, {}, False),
        ({"methods": ("GET",)}, STREAM, False),
        ({"methods": ("GET",)}, {"http": False}, False),
        ({"paths": ("/x",)}, {}, True),
        ({"paths": ("/x/*",)}, {}, False),
        ({"paths": ("/x/*",)}, {"path": "/x/y"}, True),
        ({"paths": ("/y", "/x")}, {}, True),
        ({"paths": ("/x",)}, {"path": "/xy"}, False),
        ({"paths": ("/x",)}, {"path": "/x/y"}, False),
        ({"paths": ("/x",)}, STREAM, False),
        ({"paths": ("/x",)}, {"http": False}, False),
        ({"ip_blocks": ("10.0.0.0/8",)}, {"source_ip": "10.1.1.1"}, True),
        ({"ip_blocks": ("10.0.0.0/8",)}, {"source_ip": "11.1.1.1"}, False),
        ({"ip_blocks": ("10.0.0.0/8",)}, {}, False),  # from nowhere that is known
        ({"ip_blocks": ("10.0.0.1", "11.0.0.0/8")}, {"source_ip": "11.1.1.1"}, True),
        ({"ip_blocks": ("2001:db8::/32", "11.0.0.0/8")}, {"source_ip": "11.1.1.1"}, True),
        ({}, {"principal": STRANGER}, False),
        ({"principal": ANONYMOUS}, {"principal": ""}, True),
        ({"principal": ANONYMOUS}, {}, True),
        ({"principal": ANONYMOUS}, {"principal": STRANGER}, True),
        ({"principal": ANY_PEER}, {}, True),
        ({"principal": ANY_PEER}, {"principal": STRANGER}, True),
        ({"principal": ANY_PEER}, {"principal": ""}, False),
        ({"principal": "old/ns/shop/sa/web"}, {}, True),  # an alias of the mesh's domain
        ({"principal": "foreign/ns/shop/sa/web"}, {}, False),
        ({}, {"principal": "old/ns/shop/sa/web"}, True),
        ({}, {"principal": "foreign/ns/shop/sa/web"}, False),
    ],
)
def test_what_an_edge_states(changes: dict[str, Any], asked: dict[str, Any], *, stated: bool) -> None:
    request = Request(**{"principal": WEB, "port": 80, "method": "GET", "path": "/x", **asked})
    domains = ["cluster.local", "old"]
    assert matrix.is_stated([edge(**changes)], request, domains) is stated
    other = edge(principal="cluster.local/ns/x/sa/y", ports=(1,))
    assert matrix.is_stated([other, edge(**changes), other], request, domains) is stated
    assert not matrix.is_stated([], request, domains)


def held(verdict: str, policy: str = "", rule: int | None = None) -> Any:
    return SimpleNamespace(decide=lambda _request: Decision(verdict, policy, rule, "because"))


@pytest.mark.parametrize(
    ("verdict", "edges", "kind"),
    [
        (ALLOW, [], matrix.OPENS),
        (DENY, [], None),
        (UNKNOWN, [], matrix.UNSURE),
        (ALLOW, [edge()], None),
        (DENY, [edge()], matrix.CLOSES),
        (UNKNOWN, [edge()], matrix.UNSURE),
    ],
)
def test_where_policies_and_catalogue_differ(verdict: str, edges: list[Edge], kind: str | None) -> None:
    requests = [Request(WEB, 80, "GET", f"/{number}") for number in range(60)]
    found = matrix.compare(held(verdict, "p", 1), edges, requests, ["cluster.local"])
    assert len(found.cells) == 60
    assert [(item.kind, item.cells, len(item.requests)) for item in found.differences] == (
        [] if kind is None else [(kind, 60, matrix.MAX_EXAMPLES)]
    )


@pytest.mark.parametrize(
    ("before", "after", "kind", "told"),
    [
        ((DENY, "a"), (ALLOW, "b"), matrix.OPENS, "b"),
        ((ALLOW, "a"), (DENY, "b"), matrix.CLOSES, "b"),
        ((ALLOW, "a"), (DENY, ""), matrix.CLOSES, "a"),  # what let them in is gone
        ((DENY, "a"), (ALLOW, ""), matrix.OPENS, ""),
        ((ALLOW, "a"), (UNKNOWN, "b"), matrix.UNSURE, "b"),
        ((ALLOW, "a"), (ALLOW, "b"), None, ""),
        ((DENY, "a"), (DENY, "b"), None, ""),
    ],
)
def test_what_a_change_flips_and_by_whom(before: Any, after: Any, kind: str | None, told: str) -> None:
    found = matrix.flips(held(*before), held(*after), [Request(WEB, 80)])
    assert [(item.kind, item.decision.policy) for item in found] == ([] if kind is None else [(kind, told)])


def test_examples_of_an_opening_begin_with_strangers_and_those_of_an_outage_with_names() -> None:
    stranger, half = "td/ns/elsewhere/sa/elsewhere", "td/ns/shop/sa/elsewhere"
    cells = [Request(principal, 80, "POST", "/x") for principal in (WEB, half, stranger, "")]
    cells += [
        Request(WEB, ANY_OTHER_PORT, "POST", "/x"),
        Request(WEB, 80, "GET", "/x"),
        Request(WEB, 80, "POST", "/elsewhere"),
    ]
    cells += [Request(WEB, 80, "POST", "/x", headers={"a": "b"})]
    opened = matrix.compare(held(ALLOW), [], cells, ["td"]).differences[0].requests
    assert [request.principal for request in opened[:4]] == [stranger, half, "", WEB]
    assert [matrix.request_of(request) for request in opened[3:]] == [
        "POST /x on port 80",
        "POST /x on port 80 with a: b",
        "POST any other path on port 80",
        "GET /x on port 80",
        "POST /x on any other port but 15008",
    ]
    closed = matrix.flips(held(ALLOW), held(DENY), cells)[0].requests
    assert matrix.describe(closed[0]) == "shop/web POST /x on port 80"
    assert closed[-1].principal == stranger
