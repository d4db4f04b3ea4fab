# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one reader of VirtualServices, rule by rule. What its users make of it is compared with a brute-force
evaluation in ``tests/unit/operations/propagation/test_splits.py``."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.virtual_services import (
    Destination,
    ExpectedShares,
    VirtualService,
    bound_gateways,
    describe,
    expected_shares,
    full_host,
    held_form,
    read_virtual_service,
)

WEB = "web.shop.svc.cluster.local"
EVERYTHING: dict[str, Any] = {"uri": {"prefix": "/"}}


def to(subset: str = "", weight: int | None = None, host: str = "web", port: int = 0) -> dict[str, Any]:
    destination: dict[str, Any] = {"host": host}
    if subset:
        destination["subset"] = subset
    if port:
        destination["port"] = {"number": port}
    return {"destination": destination, **({} if weight is None else {"weight": weight})}


def read(*http: dict[str, Any], hosts: tuple[str, ...] = ("web",), **spec: Any) -> VirtualService:
    return read_virtual_service(
        {
            "kind": "VirtualService",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"hosts": list(hosts), "http": list(http), **spec},
        },
        "cluster.local",
    )


@pytest.mark.parametrize(
    ("spec", "gateways"),
    [
        ({"hosts": ["web"]}, ("mesh",)),
        ({"hosts": ["web"], "gateways": []}, ("mesh",)),
        ({"gateways": ["door"]}, ()),
        ({"hosts": ["web"], "gateways": ["mesh", "door", "./door"]}, ("mesh", "shop/door", "shop/door")),
        ({"hosts": ["web"], "gateways": ["edge/door", "door.edge"]}, ("edge/door", "edge/door")),
        ({"hosts": ["web"], "gateways": ["door.edge.svc.cluster.local"]}, ("edge/door",)),
    ],
)
def test_a_gateway_is_named_in_any_of_istios_ways(spec: dict[str, Any], gateways: tuple[str, ...]) -> None:
    obj = {"kind": "VirtualService", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec}
    assert bound_gateways(obj) == gateways


@pytest.mark.parametrize(
    ("host", "full"),
    [
        ("web", WEB),
        (WEB, WEB),
        ("web.shop", "web.shop"),
        ("example.com", "example.com"),
        ("*", "*"),
        ("*.example.com", "*.example.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_only_names_without_a_dot_belong_to_the_namespace(host: str, full: str) -> None:
    assert full_host(host, "shop", "cluster.local") == full


@pytest.mark.parametrize(
    ("destinations", "shares"),
    [
        ([to("v1")], {"v1": 100}),
        ([to("v1", 0)], {"v1": 100}),  # read as {}, 0, 100 and "used" by four readers before
        ([to("v1", 30)], {"v1": 100}),
        ([to("v1", 90), to("v2", 10)], {"v1": 90, "v2": 10}),
        ([to("v1", 0), to("v2", 100)], {"v1": 0, "v2": 100}),
        ([to("v1"), to("v2", 1)], {"v1": 0, "v2": 100}),
        ([to("v1", 3), to("v2", 1)], {"v1": 75, "v2": 25}),
        ([to("v1", 0), to("v2", 0)], {"v1": 0, "v2": 0}),
        ([to("v1", 1), to("v1", 1), to("v2", 2)], {"v1": 50, "v2": 50}),
        ([to("v1", 60), to("", 40)], {"v1": 60, "": 40}),
        ([to("v1", 60), to("v1", 40, host="other")], {"v1": 60}),
        ([], {}),
    ],
)
def test_shares_are_what_istio_gives(destinations: list[dict[str, Any]], shares: dict[str, float]) -> None:
    (route,) = read({"route": destinations}).http
    assert route.shares(WEB) == shares
    (stream,) = read(tcp=[{"route": destinations}]).routes
    assert (stream.protocol, stream.shares(WEB)) == ("tcp", shares)


def test_whole_percentages_are_whole_numbers() -> None:
    (route,) = read({"route": [to("v1", 2), to("v2", 1)]}).http
    assert route.shares(WEB)["v1"] == pytest.approx(66.6667, abs=1e-3)
    (route,) = read({"route": [to("v1", 29), to("v2", 71)]}).http
    assert [type(share) for share in route.shares(WEB).values()] == [int, int]


def test_ports_are_told_apart_where_they_are_named() -> None:
    (route,) = read({"route": [to("v1", 50, port=80), to("v2", 30, port=81), to("v3", 20)]}).http
    assert route.shares(WEB, 80) == {"v1": 50, "v3": 20}
    assert route.shares(WEB) == {"v1": 50, "v2": 30, "v3": 20}


def test_the_rest_of_a_route() -> None:
    found = read(
        {"name": "a", "match": [{"uri": {"exact": "/a"}}], "delegate": {"name": "d"}},
        {"delegate": {"name": "d", "namespace": "other"}},
        hosts=("web", "example.com"),
    )
    assert (found.namespace, found.name, found.hosts) == ("shop", "web", (WEB, "example.com"))
    assert [(route.name, route.delegate) for route in found.routes] == [
        ("a", ("shop", "d")),
        ("", ("other", "d")),
    ]
    assert found.routes[0].match == ({"uri": {"exact": "/a"}},)


@pytest.mark.parametrize(
    ("route", "mirrors"),
    [
        ({"mirror": {"host": "web"}}, [100]),
        ({"mirror": {"host": "web"}, "mirrorPercentage": {"value": 2.5}}, [2.5]),
        ({"mirror": {"host": "web"}, "mirrorPercentage": {"value": 0}}, [0]),
        ({"mirror": {"host": "web"}, "mirrorPercentage": {}}, [0]),
        ({"mirror": {"host": "web"}, "mirrorPercent": 7}, [7]),
        ({"mirror": {"host": "web"}, "mirrorPercent": 0}, [0]),
        ({"mirrors": [{"destination": {"host": "web"}, "percentage": {"value": 9}}]}, [9]),
        ({"mirrors": [{"destination": {"host": "web"}}, {"percentage": {"value": 9}}]}, [100]),
        ({}, []),
    ],
)
def test_mirrors_in_both_spellings(route: dict[str, Any], mirrors: list[float]) -> None:
    (found,) = read({"route": [to("v1")], **route}).http
    assert list(found.mirrors) == [Destination(WEB, "", None, percent) for percent in mirrors]


@pytest.mark.parametrize(
    ("first", "reachable", "certain"),
    [
        ({}, False, False),
        ({"match": [EVERYTHING]}, False, False),
        ({"match": [{"uri": {"regex": ".*"}}]}, False, False),
        ({"match": [{"name": "all", "ignoreUriCase": True}]}, False, False),
        ({"match": [{"uri": {"exact": "/x"}}, EVERYTHING]}, False, False),
        ({"match": [{**EVERYTHING, "headers": {}}]}, False, False),
        ({"match": [{"uri": {"prefix": "/x"}}]}, True, True),
        ({"match": [{"uri": {"regex": ".+"}}]}, True, True),
        ({"match": [{**EVERYTHING, "headers": {"a": {"exact": "1"}}}]}, True, True),
        ({"match": [{"method": {"exact": "GET"}}]}, True, True),
        ({"match": [{**EVERYTHING, "port": 80}]}, True, False),
        ({"match": [{"gateways": ["mesh"]}]}, True, False),
        ({"match": [{"sourceLabels": {"app": "a"}, "uri": {"exact": "/x"}}]}, True, True),
    ],
)
def test_nothing_is_sent_behind_a_route_that_takes_everything(
    first: dict[str, Any], reachable: bool, certain: bool
) -> None:
    _first, second = read({"route": [to("v1")], **first}, {"route": [to("v2")]}).http
    assert (second.reachable, second.certain) == (reachable, certain)


@pytest.mark.parametrize(
    ("match", "certain"),
    [
        ([], True),
        ([{"uri": {"exact": "/x"}}], True),
        ([{"gateways": ["gw"]}], False),
        ([{"sourceNamespace": "a"}], False),
        ([{"sourceLabels": {"a": "b"}}], False),
        ([{"port": 80}], False),
        ([{"port": 80}, {"uri": {"exact": "/x"}}], True),
        ([{"gateways": [], "sourceLabels": {}}], True),
    ],
)
def test_what_istiod_matches_itself_is_not_at_every_proxy(match: list[Any], certain: bool) -> None:
    (route,) = read({"match": match, "route": [to("v1")]}).http
    assert (route.reachable, route.certain) == (True, certain)


def test_streams_do_not_shadow_each_other() -> None:
    found = read(tcp=[{"route": [to("v1")]}, {"route": [to("v2")]}])
    assert [route.reachable for route in found.routes] == [True, True]


def one(*shares: tuple[str, float]) -> frozenset[tuple[str, float]]:
    return frozenset(shares)


def test_what_proxies_hold_of_an_object() -> None:
    routes = (
        {"match": [{"uri": {"exact": "/x"}}], "route": [to("v2")]},
        {"match": [{"port": 81, "uri": {"exact": "/y"}}], "route": [to("v3")]},
        {"match": [{"uri": {"exact": "/z"}}], "route": [to("v1", host="other")]},
        {"route": [to("v1", 90), to("v2", 10), to("v4", 0)]},
        {"route": [to("v5")]},
    )
    split = one(("v1", 90), ("v2", 10))
    whole = expected_shares(read(*routes), WEB)
    assert whole == ExpectedShares(
        frozenset({one(("v2", 100)), split}),
        frozenset({one(("v2", 100)), one(("v3", 100)), split}),
    )
    delegate = expected_shares(read(*routes, hosts=()), WEB)
    assert delegate == ExpectedShares(
        frozenset({split}), frozenset({one(("v2", 100)), one(("v3", 100)), split, one(("v5", 100))})
    )


@pytest.mark.parametrize(
    ("match", "certain"),
    [
        ([{"headers": {"x-tester": {"exact": "1"}}}], True),
        ([{"uri": {"exact": "/x"}, "headers": {"x-tester": {"exact": "1"}}}], False),
        ([{"uri": {"exact": "/x"}}, {"method": {"exact": "GET"}}], True),
        ([{"uri": {"exact": "/x"}}, {"port": 80}], False),
    ],
)
def test_a_delegates_route_for_any_path_is_in_every_root(match: list[Any], certain: bool) -> None:
    """Testers of a canary are matched by a header: their route has to be proved as well."""
    delegate = read({"match": match, "route": [to("v2")]}, {"route": [to("v1")]}, hosts=())
    assert (one(("v2", 100)) in expected_shares(delegate, WEB).certain) is certain


def test_shares_of_no_subset_count_on_request() -> None:
    found = read({"route": [to("v1", 60), to("", 40)]})
    assert expected_shares(found, WEB).certain == {one(("v1", 60), ("", 40))}
    assert expected_shares(found, WEB, unnamed=False).certain == {one(("v1", 60))}
    assert expected_shares(read({"route": [to()]}), WEB, unnamed=False).possible == frozenset()
    assert expected_shares(read({"route": [to("v1", port=80)]}), WEB, port=81).possible == frozenset()


V1, V2, SPLIT = one(("v1", 100)), one(("v2", 100)), one(("v1", 90), ("v2", 10))


@pytest.mark.parametrize(
    ("certain", "possible", "held", "fault"),
    [
        ({SPLIT}, {SPLIT}, {SPLIT}, ""),
        ({SPLIT}, {SPLIT, V2}, {SPLIT, V2}, ""),
        ({SPLIT}, {SPLIT, V2}, {SPLIT}, ""),
        ({SPLIT}, {SPLIT, V2}, {V2}, "has no route with 90 % v1 / 10 % v2"),
        ({SPLIT}, {SPLIT}, {SPLIT, V1}, "is split 100 % v1, not 90 % v1 / 10 % v2"),
        ({SPLIT}, {SPLIT}, {V1}, "is split 100 % v1, not 90 % v1 / 10 % v2"),
        (set(), {V2}, {V1}, "is split 100 % v1, not 100 % v2"),
        (set(), set(), {V1}, "is split 100 % v1, not at all"),
        (set(), {V2}, {V2}, ""),
    ],
)
def test_a_proxy_holds_all_that_is_certain_and_nothing_impossible(
    certain: Any, possible: Any, held: Any, fault: str
) -> None:
    assert ExpectedShares(frozenset(certain), frozenset(possible)).fault(frozenset(held)) == fault


def test_the_form_in_which_shares_are_compared() -> None:
    assert held_form({"v1": 66.6666, "v2": 33.3333, "v3": 0}) == one(("v1", 66.67), ("v2", 33.33))
    assert held_form({"": 40.0, "v1": 60.0}, unnamed=False) == one(("v1", 60))
    assert describe(held_form({"": 40.0, "v1": 60.0})) == "40 % without subset / 60 % v1"


@pytest.mark.parametrize("http", ["x", [1], [{"route": [{"weight": "90"}]}], [{"route": {}}], [{"match": 1}]])
def test_another_shape_is_an_error_and_no_empty_object(http: Any) -> None:
    with pytest.raises(MalformedError):
        read_virtual_service(
            {"kind": "VirtualService", "metadata": {"name": "w"}, "spec": {"http": http}}, "cluster.local"
        )
