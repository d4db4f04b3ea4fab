# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everybody who reads the split of a VirtualService gives the same answer, and it is Istio's.

The oracle shares no code with the collection: it deals out single requests by the rules of Istio's
pilot/pkg/networking/core/route/route.go, and builds what istiod would send to one proxy.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.routes import (
    held_shares,
    virtual_hosts,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import expectations
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.split import Split
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.split_plan import live_split
from ansible_collections.servicemesh.istio.plugins.module_utils.model.virtual_services import (
    expected_shares,
    read_virtual_service,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.facts import (
    ProxyFacts,
    missing,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.routes import (
    check_virtual_services,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.live_objects import (
    LiveObjects,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ...support.catalogues import minimal

API = "api.shop.svc.cluster.local"
SPELLINGS = {"api": API, API: API, "web": "web.shop.svc.cluster.local", "api.shop": "api.shop"}

destinations = st.fixed_dictionaries(
    {
        "destination": st.fixed_dictionaries(
            {"host": st.sampled_from(sorted(SPELLINGS)), "port": st.just({"number": 3000})},
            optional={"subset": st.sampled_from(["v1", "v2"])},
        )
    },
    optional={"weight": st.sampled_from([0, 0, 1, 2, 5, 10, 50, 90, 100])},
)
matches = st.fixed_dictionaries(
    {},
    optional={
        "uri": st.sampled_from([{"prefix": "/"}, {"prefix": "/a"}, {"exact": "/b"}, {"regex": ".*"}]),
        "headers": st.sampled_from([{"x": {"exact": "1"}}]),
        "port": st.sampled_from([3000, 9999]),
        "gateways": st.sampled_from([["mesh"], ["shop/gw"]]),
        "sourceLabels": st.sampled_from([{"app": "web"}, {"app": "other"}]),
    },
)
routes = st.fixed_dictionaries(
    {"route": st.lists(destinations, min_size=1, max_size=3)},
    optional={"match": st.lists(matches, min_size=1, max_size=2), "name": st.sampled_from(["split", "b"])},
)
services = st.lists(routes, min_size=1, max_size=4)


def virtual_service(http: list[dict[str, Any]], *, delegate: bool = False) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "api-routes", "namespace": "shop"},
        "spec": {"http": http, **({} if delegate else {"hosts": ["api"]})},
    }


# The oracle.


def deal(route: dict[str, Any]) -> list[tuple[str, str]]:
    """One (host, subset) per request of a round: an only destination gets all, others what they weigh."""
    targets = [
        (SPELLINGS[item["destination"]["host"]], item["destination"].get("subset", ""))
        for item in route["route"]
    ]
    if len(targets) == 1:
        return targets
    return [
        target
        for target, item in zip(targets, route["route"], strict=True)
        for _unused in range(item.get("weight", 0))
    ]


def counted(route: dict[str, Any], host: str = API) -> dict[str, Fraction]:
    """Percent by subset of the requests of a round."""
    requests = deal(route)
    return {
        subset: Fraction(100 * requests.count((host, subset)), len(requests))
        for subset in ("", "v1", "v2")
        if (host, subset) in requests
    }


def sent(
    http: list[dict[str, Any]], *, labels: dict[str, str], gateway: str = "mesh"
) -> list[dict[str, Any]]:
    """The routes that istiod sends to one proxy on port 3000, in Envoy's form."""
    found: list[dict[str, Any]] = []
    for route in http:
        closed = False
        for match in route.get("match") or [None]:
            if match is not None:
                if match.get("port") not in (None, 3000):
                    continue
                if match.get("gateways"):
                    if gateway not in match["gateways"]:
                        continue
                elif any(labels.get(key) != value for key, value in match.get("sourceLabels", {}).items()):
                    continue
            weights = [
                {"name": f"outbound|3000|{subset}|{host}", "weight": deal(route).count((host, subset))}
                for host, subset in dict.fromkeys(deal(route))
            ]
            action: dict[str, Any] = {"weighted_clusters": {"clusters": weights}}
            if len(route["route"]) == 1:
                action = {"cluster": weights[0]["name"]}
            config = "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/api"
            found.append({"route": action, "metadata": {"filter_metadata": {"istio": {"config": config}}}})
            path = (match or {}).get("uri", {"prefix": "/"})
            if path in ({"prefix": "/"}, {"regex": ".*"}) and not (match or {}).get("headers"):
                closed = True
                break
        if closed:
            break
    return found


def dump(envoy_routes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"route_config": {"name": "3000", "virtual_hosts": [{"name": API, "routes": envoy_routes}]}}]


# The comparison.


def exact(shares: dict[str, float]) -> dict[str, Fraction]:
    return {name: Fraction(share).limit_denominator(1000) for name, share in shares.items() if share}


@settings(deadline=None, derandomize=True, max_examples=200)
@given(services)
def test_all_readers_agree_with_the_requests_that_istio_deals_out(http: list[dict[str, Any]]) -> None:
    obj = virtual_service(http)
    per_route = [counted(route) for route in http]
    read = read_virtual_service(obj, "cluster.local")
    assert [exact(route.shares(API)) for route in read.http] == per_route
    splits = Split("api", "shop", "v1", "v2").splits(obj)
    assert [exact(split) for split in splits if exact(split)] == [shares for shares in per_route if shares]

    named = [shares for route, shares in zip(http, per_route, strict=True) if route.get("name") == "split"]
    decisive = (named or per_route[-1:])[0]
    service = parse_catalogue(minimal()).service("api")
    assert service
    unnamed = any(
        SPELLINGS[item["destination"]["host"]] == API and "subset" not in item["destination"]
        for route in [next((item for item in http if item.get("name") == "split"), http[-1])]
        for item in route["route"]
    )
    assert exact(live_split(obj, service, "cluster.local")) == ({} if unnamed else decisive)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(services, st.sampled_from(["web", "other", "third"]), st.sampled_from(["mesh", "shop/gw"]))
def test_what_istiod_sends_is_held_and_an_older_split_is_not(
    http: list[dict[str, Any]], app: str, gateway: str
) -> None:
    obj = virtual_service(http)
    wanted = expected_shares(read_virtual_service(obj, "cluster.local"), API)
    envoy = sent(http, labels={"app": app}, gateway=gateway)
    held = held_shares((route for host in virtual_hosts(dump(envoy)) for route in host.routes), API)
    assert wanted.fault(held) == ""
    stray = {"route": {"weighted_clusters": {"clusters": [
        {"name": f"outbound|3000|v1|{API}", "weight": 37}, {"name": f"outbound|3000|v2|{API}", "weight": 63}
    ]}}}  # fmt: skip
    late = held_shares((route for host in virtual_hosts(dump([*envoy, stray])) for route in host.routes), API)
    assert "is split 37 % v1 / 63 % v2" in wanted.fault(late)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(services)
def test_the_barrier_and_the_check_of_routes_follow_the_same_rule(http: list[dict[str, Any]]) -> None:
    obj = virtual_service(http, delegate=True)
    envoy = sent(http, labels={"app": "web"})
    facts = ProxyFacts(hosts=virtual_hosts(dump(envoy)))
    for fact in expectations(parse_catalogue(minimal()), [obj]):
        lack = missing(facts, fact)
        leads_there = any(counted(route) for route, _unused in zip(http, envoy, strict=False)) and any(
            API in str(item["route"]) for item in envoy
        )
        assert lack == "" or (not leads_there and "no route of VirtualService" in lack)

    selector = {"selector": {"app": "api"}}
    pods = [
        {
            "metadata": {
                "name": f"api-{version}",
                "namespace": "shop",
                "labels": {"app": "api", "version": version},
            },
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        }
        for version, ready in (("v1", "True"), ("v2", "False"))
    ]
    rule = {
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {
            "host": "api",
            "subsets": [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")],
        },
    }
    live = LiveObjects(
        {
            "VirtualService": [obj],
            "DestinationRule": [rule],
            "Pod": pods,
            "Service": [{"metadata": {"name": "api", "namespace": "shop"}, "spec": selector}],
        },
        [],
        {},
        frozenset(),
    )
    findings = check_virtual_services(live, ["shop"], "cluster.local")
    unserved = any("subset v2 of" in item.message and "503 UH" in item.message for item in findings)
    assert unserved == any("v2" in counted(route) for route in http)
