"""What each kind looks like, and the decisions behind it."""

# ruff: noqa: E501 - a rule or a route is read best on one line
from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.services import Mirror
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.virtual_service_delegates import (
    cookie_regex,
    delegate_object,
)

from ...support.catalogues import by_kind, minimal, service


def rendered(releases: dict[str, Any] | None = None, **api: Any) -> list[dict[str, Any]]:
    raw = minimal()
    raw["mesh_services"][1] |= api
    return mesh_resources(raw, releases)


def delegate(releases: dict[str, Any] | None = None, **api: Any) -> list[dict[str, Any]]:
    return by_kind(rendered(releases, **api), "VirtualService")["shop/api-routes"]["spec"]["http"]


def route(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


API = "api.shop.svc.cluster.local"
PORT = {"number": 3000}


def test_objects_carry_ownership_and_current_versions() -> None:
    for obj in rendered(rate_limit={"requests": 5, "per": "1s"}):
        assert obj["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "servicemesh.istio",
            "app.kubernetes.io/part-of": "shop",
        }
        group, version = obj["apiVersion"].split("/")
        assert version == ("v1alpha3" if obj["kind"] == "EnvoyFilter" else "v1")
        assert group in ("networking.istio.io", "security.istio.io", "telemetry.istio.io")


# -- routes ------------------------------------------------------------------------------------------------


def test_first_split_is_the_initial_version_and_the_record_wins_later() -> None:
    assert route(delegate(), "split")["route"] == [
        {"destination": {"host": API, "subset": "v1", "port": PORT}}
    ]
    split = route(delegate({"shop/api": {"weights": {"v1": 90, "v2": 10}}}), "split")["route"]
    assert [(item["destination"]["subset"], item["weight"]) for item in split] == [("v1", 90), ("v2", 10)]
    stable = route(delegate({"shop/api": {"stable": "v2", "weights": {}}}), "split")["route"]
    assert [item["destination"]["subset"] for item in stable] == ["v2"]
    done = route(delegate({"shop/api": {"weights": {"v1": 0, "v2": 100}}}), "split")["route"]
    assert done == [{"destination": {"host": API, "subset": "v2", "port": PORT}}]


def test_the_fence_of_the_record_stands_on_the_delegate_only() -> None:
    objects = rendered({"shop/api": {"weights": {"v1": 100}, "fence": 7}})
    fenced = [obj["metadata"]["name"] for obj in objects if "annotations" in obj["metadata"]]
    assert fenced == ["api-routes"]
    routes = by_kind(objects, "VirtualService")["shop/api-routes"]
    assert routes["metadata"]["annotations"] == {"servicemesh.istio/fence": "7"}


def test_methods_that_change_something_are_never_retried_by_default() -> None:
    entries = delegate(retries={"attempts": 3, "on": ["gateway-error", "connect-failure"]})
    assert [entry["name"] for entry in entries] == ["split.idempotent", "split"]
    repeatable, rest = entries
    assert repeatable["match"] == [{"method": {"regex": "GET|HEAD|OPTIONS|TRACE|PUT|DELETE"}}]
    assert repeatable["retries"] == {"attempts": 3, "retryOn": "gateway-error,connect-failure"}
    assert "match" not in rest
    assert rest["retries"] == {"attempts": 3, "retryOn": "connect-failure"}


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        (None, {"attempts": 2, "retryOn": "connect-failure,refused-stream"}),
        ({"attempts": 0}, {"attempts": 0}),
        ({"attempts": 1, "on": ["5xx"], "non_idempotent": True}, {"attempts": 1, "retryOn": "5xx"}),
        ({"attempts": 1, "per_try_timeout": "2s"}, {"attempts": 1, "perTryTimeout": "2s", "retryOn": "connect-failure,refused-stream"}),
    ],
)  # fmt: skip
def test_one_route_is_enough_when_all_methods_behave_alike(retries: Any, expected: dict[str, Any]) -> None:
    entries = delegate(retries=retries)
    assert [entry["name"] for entry in entries] == ["split"]
    assert entries[0]["retries"] == expected


def test_conditions_that_need_repetition_leave_other_methods_without_retries() -> None:
    assert route(delegate(retries={"attempts": 1, "on": ["5xx"]}), "split")["retries"] == {"attempts": 0}


def test_reads_are_mirrored_and_writes_only_on_request() -> None:
    entries = delegate(mirror={"to": "v2", "percent": 10})
    assert [entry["name"] for entry in entries] == ["split.safe", "split"]
    assert entries[0]["match"] == [{"method": {"regex": "GET|HEAD|OPTIONS|TRACE"}}]
    assert entries[0]["mirror"] == {"host": API, "subset": "v2", "port": PORT}
    assert entries[0]["mirrorPercentage"] == {"value": 10}
    assert "mirror" not in entries[1]
    both = delegate(mirror={"to": "v2", "percent": 0.5, "writes": True})
    assert [entry["name"] for entry in both] == ["split"]
    assert both[0]["mirrorPercentage"] == {"value": 0.5}


def test_mirror_ends_when_its_version_takes_everything_and_at_0_percent() -> None:
    mirror = {"to": "v2", "percent": 10}
    assert not any(
        "mirror" in entry for entry in delegate({"shop/api": {"weights": {"v2": 100}}}, mirror=mirror)
    )
    assert not any("mirror" in entry for entry in delegate(mirror=mirror | {"percent": 0}))


def test_variants_come_before_the_split_and_ignore_it() -> None:
    variants = [
        {"name": "cookie", "to": "v2", "when": {"cookie": {"experiment": "version-b"}}},
        {
            "name": "header",
            "to": "v2",
            "when": {"header": {"X-Beta": "1"}, "query": {"beta": {"prefix": "y"}}},
        },
    ]
    entries = delegate(variants=variants, timeout="4s")
    assert [entry["name"] for entry in entries] == ["cookie", "header", "split"]
    assert entries[0]["match"] == [
        {"headers": {"cookie": {"regex": cookie_regex("experiment", "version-b")}}}
    ]
    assert entries[1]["match"] == [
        {"headers": {"x-beta": {"exact": "1"}}, "queryParams": {"beta": {"prefix": "y"}}}
    ]
    assert all(entry["route"][0]["destination"]["subset"] == "v2" for entry in entries[:2])
    assert all(entry["timeout"] == "4s" for entry in entries)


@pytest.mark.parametrize(
    ("header", "hit"),
    [
        ("experiment=version-b", True),
        ("a=1; experiment=version-b; c=2", True),
        ("a=1;experiment=version-b", True),
        ("experiment=version-bb", False),
        ("myexperiment=version-b", False),
        ("experiment=version-a", False),
    ],
)
def test_cookies_are_matched_whole(header: str, hit: bool) -> None:
    assert bool(re.fullmatch(cookie_regex("experiment", "version-b"), header)) is hit


def test_cookie_values_are_taken_literally() -> None:
    assert re.fullmatch(cookie_regex("a", "x.y+z"), "a=x.y+z")
    assert not re.fullmatch(cookie_regex("a", "x.y+z"), "a=xay+z")


def test_paths_become_two_routes_and_the_longest_comes_first() -> None:
    routes = [
        {"name": "slow", "when": {"path": "/slow"}, "timeout": "30s"},
        {"name": "one", "when": {"path": "/slow/one", "match": "exact"}, "timeout": "60s"},
    ]
    entries = delegate(routes=routes)
    assert [(entry["name"], entry.get("match")) for entry in entries] == [
        ("one", [{"uri": {"exact": "/slow/one"}}]),
        ("slow", [{"uri": {"exact": "/slow"}}]),
        ("slow.below", [{"uri": {"prefix": "/slow/"}}]),
        ("split", None),
    ]
    assert [entry.get("timeout") for entry in entries] == ["60s", "30s", "30s", None]


def test_fault_for_the_test_header_leaves_everyone_else_alone() -> None:
    fault = {"delay": {"percent": 50, "fixed": "5s"}, "abort": {"percent": 100, "status": 503}}
    entries = delegate(fault=fault | {"only_header": "X-Fault-Test"}, retries={"attempts": 1, "on": ["5xx"]})
    names = ["split.fault.idempotent", "split.fault", "split.idempotent", "split"]
    assert [entry["name"] for entry in entries] == names
    assert entries[1]["match"] == [{"headers": {"x-fault-test": {}}}]
    for entry in entries[:2]:
        assert entry["fault"] == {
            "delay": {"percentage": {"value": 50}, "fixedDelay": "5s"},
            "abort": {"percentage": {"value": 100}, "httpStatus": 503},
        }
    assert not any("fault" in entry for entry in entries[2:])
    assert all("fault" in entry for entry in delegate(fault=fault))


def test_a_request_that_asks_for_a_fault_keeps_version_timeout_and_retries() -> None:
    """Each route comes twice, with the header and without, and is otherwise the same."""
    when = {"header": {"x-fault-test": {"prefix": "s"}, "x-beta": "1"}}
    entries = delegate(
        fault={"abort": {"percent": 1, "status": 503}, "only_header": "x-fault-test"},
        timeout="3s",
        retries={"attempts": 1, "on": ["5xx"]},
        routes=[{"name": "slow", "when": {"path": "/slow"}, "timeout": "60s"}],
        variants=[{"name": "beta", "to": "v2", "when": when}],
    )
    half = len(entries) // 2
    for asked, plain in zip(entries[:half], entries[half:], strict=True):
        fault, match = asked.pop("fault"), asked["match"][0]
        assert fault["abort"]["httpStatus"] == 503
        headers = plain.get("match", [{}])[0].get("headers", {})
        assert match["headers"] == {"x-fault-test": {}} | headers
        ignored = {"name", "match"}
        assert {k: v for k, v in asked.items() if k not in ignored} == {
            k: v for k, v in plain.items() if k not in ignored
        }
    assert {entry["timeout"] for entry in entries} == {"3s", "60s"}


def test_cors() -> None:
    cors = {"origins": ["https://a.example.com"], "methods": ["GET"], "max_age": "24h", "credentials": True}
    assert delegate(cors=cors)[0]["corsPolicy"] == {
        "allowOrigins": [{"exact": "https://a.example.com"}],
        "allowMethods": ["GET"],
        "maxAge": "24h",
        "allowCredentials": True,
    }


def test_a_rollout_can_render_an_altered_service() -> None:
    catalogue = parse_catalogue(minimal())
    api = catalogue.service("api")
    assert api is not None
    mirrored = dataclasses.replace(api, mirror=Mirror("v2", 25.0, writes=True))
    routes = delegate_object(catalogue, mirrored, {"v1": 100}, fence=3)
    assert routes is not None
    assert routes["spec"]["http"][0]["mirrorPercentage"] == {"value": 25}
    assert routes["metadata"]["annotations"] == {"servicemesh.istio/fence": "3"}


def test_services_without_versions_have_no_subset() -> None:
    raw = minimal()
    web = by_kind(mesh_resources(raw), "VirtualService")["shop/web-routes"]["spec"]["http"]
    assert web[0]["route"] == [{"destination": {"host": "web.shop.svc.cluster.local", "port": PORT}}]
    assert "shop/web" not in by_kind(mesh_resources(raw), "DestinationRule")


# -- roots -------------------------------------------------------------------------------------------------


def test_roots_only_match_rewrite_and_delegate() -> None:
    raw = minimal()
    raw["mesh_services"][1]["exposed"] = [
        {"gateway": "public", "host": "api.example.com", "path": "/api", "rewrite": "/"},
        {
            "gateway": "public",
            "host": "api.example.com",
            "path": "/api/v2",
            "rewrite": "/two",
            "match": "exact",
        },
        {"gateway": "public", "host": "api.example.com", "path": "/plain"},
    ]
    routes = by_kind(mesh_resources(raw), "VirtualService")
    assert routes["shop/api"]["spec"] == {
        "hosts": [API],
        "gateways": ["mesh"],
        "http": [{"name": "api", "delegate": {"name": "api-routes", "namespace": "shop"}}],
    }
    root = routes["shop/gateway.public.api.example.com"]["spec"]
    assert root["hosts"] == ["api.example.com"]
    assert root["gateways"] == ["shop/public"]
    seen = [(item["match"], item.get("rewrite"), item["delegate"]["name"]) for item in root["http"]]
    assert seen == [
        ([{"uri": {"exact": "/api/v2"}}], {"uri": "/two"}, "api-routes"),
        ([{"uri": {"exact": "/plain"}}, {"uri": {"prefix": "/plain/"}}], None, "api-routes"),
        ([{"uri": {"exact": "/api"}}], {"uri": "/"}, "api-routes"),
        ([{"uri": {"prefix": "/api/"}}], {"uri": "/"}, "api-routes"),
        ([{"uri": {"prefix": "/"}}], None, "web-routes"),
    ]


def test_side_ports_keep_their_own_port() -> None:
    ports = [
        {"name": "http", "number": 80, "target_port": 3000, "protocol": "http"},
        {"name": "admin", "number": 9000, "protocol": "http"},
        {"name": "db", "number": 5432, "protocol": "tcp"},
    ]
    root = by_kind(rendered(ports=ports), "VirtualService")["shop/api"]["spec"]["http"]
    assert [item["match"] for item in root] == [[{"port": 80}], [{"port": 9000}]]
    assert root[1]["route"] == [{"destination": {"host": API, "port": {"number": 9000}}}]


def test_tcp_service_end_to_end() -> None:
    raw = minimal()
    raw["mesh_services"].append(
        {
            "name": "db",
            "ports": [{"name": "tcp-sql", "number": 5432, "target_port": 15432, "protocol": "tcp"}],
            "versions": {"v1": {}, "v2": {}},
            "initial_version": "v1",
            "callers": [{"service": "api"}],
            "connection_pool": {"max_connections": 10},
        }
    )
    objects = mesh_resources(raw, {"shop/db": {"weights": {"v1": 75, "v2": 25}}})
    routes = by_kind(objects, "VirtualService")
    host = "db.shop.svc.cluster.local"
    assert "shop/db-routes" not in routes
    assert routes["shop/db"]["spec"] == {
        "hosts": [host],
        "gateways": ["mesh"],
        "tcp": [
            {
                "match": [{"port": 5432}],
                "route": [
                    {"destination": {"host": host, "subset": "v1", "port": {"number": 5432}}, "weight": 75},
                    {"destination": {"host": host, "subset": "v2", "port": {"number": 5432}}, "weight": 25},
                ],
            }
        ],
    }
    rules = by_kind(objects, "AuthorizationPolicy")["shop/db"]["spec"]["rules"]
    assert rules == [
        {
            "from": [{"source": {"principals": ["cluster.local/ns/shop/sa/api"]}}],
            "to": [{"operation": {"ports": ["15432"]}}],
        }
    ]
    assert f"shop/{host}" in by_kind(objects, "Sidecar")["shop/api"]["spec"]["egress"][0]["hosts"]


# -- policies ----------------------------------------------------------------------------------------------


def test_one_policy_per_service_with_one_rule_per_edge() -> None:
    raw = minimal()
    raw["mesh_services"][1] |= {
        "callers": [{"service": "web", "methods": ["POST"], "paths": ["/pay", "/pay/*"]}],
        "exposed": [{"gateway": "public", "host": "api.example.com", "path": "/api/pay", "rewrite": "/pay"}],
        "open_paths": ["/health"],
        "scrape": {"port": 9100, "callers": [{"principal": "cluster.local/ns/monitoring/sa/prometheus"}]},
    }
    policies = by_kind(mesh_resources(raw), "AuthorizationPolicy")
    assert set(policies) == {"shop/web", "shop/api", "shop/mesh-default-deny"}
    assert policies["shop/mesh-default-deny"]["spec"] == {}
    spec = policies["shop/api"]["spec"]
    assert spec["action"] == "ALLOW"
    assert spec["selector"] == {"matchLabels": {"app": "api"}}
    edges = [(rule["from"][0]["source"]["principals"], rule["to"][0]["operation"]) for rule in spec["rules"]]
    assert edges == [
        (
            ["cluster.local/ns/shop/sa/web"],
            {"ports": ["3000"], "methods": ["POST"], "paths": ["/pay", "/pay/*"]},
        ),
        (
            ["cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"],
            {"ports": ["3000"], "paths": ["/pay", "/pay/*"]},
        ),
        (["*"], {"ports": ["3000"], "methods": ["GET"], "paths": ["/health"]}),
        (
            ["cluster.local/ns/monitoring/sa/prometheus"],
            {"ports": ["9100"], "methods": ["GET"], "paths": ["/metrics"]},
        ),
    ]


def test_a_service_without_callers_lets_nobody_in() -> None:
    spec = by_kind(rendered(callers=[]), "AuthorizationPolicy")["shop/api"]["spec"]
    assert spec == {"selector": {"matchLabels": {"app": "api"}}, "action": "ALLOW"}


def test_a_gateway_may_be_a_caller_of_a_service_that_it_does_not_expose() -> None:
    rules = by_kind(rendered(callers=[{"gateway": "public", "methods": ["GET"]}]), "AuthorizationPolicy")
    (rule,) = rules["shop/api"]["spec"]["rules"]
    assert rule["to"][0]["operation"] == {"ports": ["3000"], "methods": ["GET"]}


SCRAPE = {"port": 9100, "callers": [{"principal": "cluster.local/ns/monitoring/sa/prometheus"}]}


@pytest.mark.parametrize(
    ("more", "unmeshed"),
    [
        ({"mtls": {"ports": {"9100": "PERMISSIVE"}, "reason": "un-meshed"}}, True),
        ({"mtls": {"ports": {"9100": "DISABLE"}, "reason": "un-meshed"}}, True),
        ({"mtls": {"mode": "PERMISSIVE", "reason": "un-meshed"}}, True),
        ({}, False),
        ({"mtls": {"ports": {"3000": "PERMISSIVE"}, "reason": "un-meshed"}}, False),
    ],
    ids=["port", "port without", "service", "strict", "another port"],
)
def test_a_scraper_without_a_sidecar_gets_in_where_mtls_is_waived_for_it(
    more: dict[str, Any], unmeshed: bool
) -> None:
    """Public report: PERMISSIVE let the connection through, and the policy answered 403."""
    policy = by_kind(rendered(scrape=SCRAPE, **more), "AuthorizationPolicy")["shop/api"]
    open_rules = [rule for rule in policy["spec"]["rules"] if "from" not in rule]
    operation = {"ports": ["9100"], "methods": ["GET"], "paths": ["/metrics"]}
    assert open_rules == ([{"to": [{"operation": operation}]}] if unmeshed else [])
    notes = {"servicemesh.istio/reason": "un-meshed"} if unmeshed else None
    assert policy["metadata"].get("annotations") == notes


def test_a_scraper_of_a_stated_network_is_the_only_one_without_a_sidecar() -> None:
    network = {"ip_blocks": ["10.9.0.0/16"], "reason": "the monitoring nodes"}
    more = {"mtls": {"ports": {"9100": "PERMISSIVE"}, "reason": "un-meshed"}}
    objects = rendered(scrape=SCRAPE | {"callers": [network]}, **more)
    (rule,) = [
        rule
        for rule in by_kind(objects, "AuthorizationPolicy")["shop/api"]["spec"]["rules"]
        if rule["to"][0]["operation"]["ports"] == ["9100"]
    ]
    assert rule["from"] == [{"source": {"ipBlocks": ["10.9.0.0/16"]}}]


def test_a_mesh_that_is_permissive_as_a_whole_waives_nothing_for_scrapers() -> None:
    raw = minimal(mesh_mtls_mode="PERMISSIVE")
    raw["mesh_services"][1]["scrape"] = SCRAPE
    rules = by_kind(mesh_resources(raw), "AuthorizationPolicy")["shop/api"]["spec"]["rules"]
    assert all("from" in rule for rule in rules)


def test_gateways_inside_a_mesh_namespace_stay_open() -> None:
    raw = minimal(istio_gateways=[{"name": "istio-ingressgateway", "namespace": "shop"}])
    policy = by_kind(mesh_resources(raw), "AuthorizationPolicy")["shop/gateway.public"]
    assert policy["spec"]["rules"] == [{}]
    assert policy["spec"]["selector"] == {"matchLabels": {"istio": "ingressgateway"}}


def test_mtls_exceptions_use_target_ports_and_keep_their_reason() -> None:
    ports = [{"name": "http", "number": 80, "target_port": 3000, "protocol": "http"}]
    objects = rendered(ports=ports, mtls={"ports": {3000: "PERMISSIVE"}, "reason": "legacy batch"})
    policies = by_kind(objects, "PeerAuthentication")
    assert policies["shop/default"]["spec"] == {"mtls": {"mode": "STRICT"}}
    assert policies["shop/api"]["spec"] == {
        "selector": {"matchLabels": {"app": "api"}},
        "mtls": {"mode": "STRICT"},
        "portLevelMtls": {"3000": {"mode": "PERMISSIVE"}},
    }
    assert policies["shop/api"]["metadata"]["annotations"] == {"servicemesh.istio/reason": "legacy batch"}
    assert set(by_kind(rendered(), "PeerAuthentication")) == {"shop/default"}


def test_sidecars_list_callees_and_what_must_not_be_hidden() -> None:
    raw = minimal(mesh_rate_limit_service={"host": "rl.limits.svc.cluster.local", "namespace": "limits"})
    raw["mesh_services"][0]["rate_limit"] = {"scope": "global", "requests": 5, "per": "60s"}
    raw["mesh_external_services"] = [
        {
            "name": "pay",
            "hosts": ["pay.example.org"],
            "ports": [{"number": 443, "protocol": "TLS"}],
            "callers": ["web"],
        }
    ]
    sidecars = by_kind(mesh_resources(raw), "Sidecar")
    assert sidecars["shop/web"]["spec"] == {
        "workloadSelector": {"labels": {"app": "web"}},
        "egress": [
            {
                "hosts": [
                    "istio-system/*",
                    "limits/rl.limits.svc.cluster.local",
                    f"shop/{API}",
                    "shop/pay.example.org",
                ]
            }
        ],
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
    }
    assert sidecars["shop/api"]["spec"]["egress"] == [{"hosts": ["istio-system/*"]}]


# -- gateways ----------------------------------------------------------------------------------------------


def test_gateway_serves_tls_from_its_floor_and_redirects() -> None:
    servers = by_kind(rendered(), "Gateway")["shop/public"]["spec"]["servers"]
    assert servers == [
        {
            "port": {"number": 443, "name": "https-api-example-com", "protocol": "HTTPS"},
            "hosts": ["./api.example.com"],
            "tls": {"mode": "SIMPLE", "credentialName": "api-example-com", "minProtocolVersion": "TLSV1_2"},
        },
        {
            "port": {"number": 80, "name": "http-api-example-com", "protocol": "HTTP"},
            "hosts": ["./api.example.com"],
            "tls": {"httpsRedirect": True},
        },
    ]


def test_several_hosts_and_an_internal_gateway() -> None:
    raw = minimal(
        istio_gateways=[{"name": "istio-ingressgateway"}, {"name": "istio-internal", "namespace": "edge"}]
    )
    raw["mesh_gateways"] = [
        {
            "name": "public",
            "workload": "istio-ingressgateway",
            "servers": [
                {"host": "api.example.com", "certificate": "api-example-com", "min_tls": 1.3},
                {"host": "*.example.org", "certificate": "wild", "https_redirect": False, "mode": "MUTUAL"},
            ],
        },
        {
            "name": "internal",
            "workload": "istio-internal",
            "servers": [{"host": "api.lan.example", "port": 8080}],
        },
    ]
    gateways = by_kind(mesh_resources(raw), "Gateway")
    public = gateways["shop/public"]["spec"]["servers"]
    assert [server["port"]["name"] for server in public] == [
        "https-api-example-com",
        "http-api-example-com",
        "https-wildcard-example-org",
    ]
    assert public[0]["tls"]["minProtocolVersion"] == "TLSV1_3"
    assert public[2]["tls"]["mode"] == "MUTUAL"
    assert gateways["shop/internal"]["spec"] == {
        "selector": {"istio": "internal"},
        "servers": [
            {
                "port": {"number": 8080, "name": "http-api-lan-example", "protocol": "HTTP"},
                "hosts": ["./api.lan.example"],
            }
        ],
    }


@pytest.mark.parametrize("trigger", ["consecutive_gateway_errors", "consecutive_local_origin_failures"])
def test_a_circuit_breaker_counts_nothing_that_it_does_not_name(trigger: str) -> None:
    """Envoy counts five 5xx where nobody says a number, and throws the endpoint out."""
    rule = by_kind(rendered(circuit_breaker={trigger: 9}), "DestinationRule")["shop/api"]["spec"]
    assert rule["trafficPolicy"]["outlierDetection"]["consecutive5xxErrors"] == 0


# -- DestinationRules --------------------------------------------------------------------------------------


def test_traffic_policy_uses_only_fields_that_istiod_reads() -> None:
    rule = by_kind(
        rendered(
            circuit_breaker={
                "consecutive_5xx": 5,
                "consecutive_local_origin_failures": 3,
                "interval": "30s",
                "base_ejection_time": "30s",
                "max_ejection_percent": 50,
                "min_health_percent": 20,
            },
            connection_pool={
                "max_connections": 200,
                "max_pending": 100,
                "max_requests": 300,
                "idle_timeout": "1m",
                "keepalive": {"time": "60s", "probes": 3},
            },
            load_balancing={
                "hash": {"cookie": "session", "cookie_ttl": "1h"},
                "locality": {"failover": [{"from": "eu", "to": "us"}]},
            },
        ),
        "DestinationRule",
    )["shop/api"]["spec"]
    assert rule["host"] == API
    assert rule["subsets"] == [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    assert rule["trafficPolicy"] == {
        "connectionPool": {
            "tcp": {"maxConnections": 200, "tcpKeepalive": {"time": "60s", "probes": 3}},
            "http": {"http1MaxPendingRequests": 100, "http2MaxRequests": 300, "idleTimeout": "1m"},
        },
        "loadBalancer": {
            "consistentHash": {"httpCookie": {"name": "session", "ttl": "1h"}},
            "localityLbSetting": {"enabled": True, "failover": [{"from": "eu", "to": "us"}]},
        },
        "outlierDetection": {
            "consecutive5xxErrors": 5,
            "consecutiveLocalOriginFailures": 3,
            "splitExternalLocalOriginErrors": True,
            "interval": "30s",
            "baseEjectionTime": "30s",
            "maxEjectionPercent": 50,
            "minHealthPercent": 20,
        },
    }


# -- external services -------------------------------------------------------------------------------------


def external(**fields: Any) -> list[dict[str, Any]]:
    entry = {
        "name": "pay",
        "hosts": ["pay.example.org"],
        "ports": [{"number": 443, "protocol": "TLS"}],
        "callers": ["web"],
    }
    gateways = [{"name": "istio-ingressgateway"}, {"name": "istio-egressgateway", "egress": True}]
    return mesh_resources(
        minimal(
            mesh_external_services=[entry | fields],
            istio_gateways=gateways,
            mesh_egress_gateway={"workload": "istio-egressgateway"},
        )
    )


def test_service_entry_is_visible_to_its_callers_only() -> None:
    assert by_kind(external(), "ServiceEntry")["shop/pay"]["spec"] == {
        "hosts": ["pay.example.org"],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS",
        "ports": [{"number": 443, "name": "tls-443", "protocol": "TLS"}],
        "exportTo": ["."],
    }


def test_originated_tls_verifies_the_server() -> None:
    objects = external(
        ports=[{"number": 80, "protocol": "HTTP"}],
        originate_tls={},
        timeout="3s",
        connection_pool={"max_connections": 9},
    )
    assert by_kind(objects, "ServiceEntry")["shop/pay"]["spec"]["ports"][0]["targetPort"] == 443
    policy = by_kind(objects, "DestinationRule")["shop/external.pay.pay.example.org"]["spec"]["trafficPolicy"]
    limits = {"tcp": {"maxConnections": 9}}
    assert policy["connectionPool"] == limits
    assert policy["portLevelSettings"] == [
        {
            "port": {"number": 80},
            "connectionPool": limits,
            "tls": {
                "mode": "SIMPLE",
                "sni": "pay.example.org",
                "subjectAltNames": ["pay.example.org"],
                "caCertificates": "system",
            },
        }
    ]
    assert (
        by_kind(objects, "VirtualService")["shop/external.pay.pay.example.org"]["spec"]["http"][0]["timeout"]
        == "3s"
    )


def test_egress_gateway_enforces_the_callers() -> None:
    objects = external(via="egress_gateway")
    policy = by_kind(objects, "AuthorizationPolicy")["istio-system/egress.shop"]["spec"]
    assert policy == {
        "selector": {"matchLabels": {"istio": "egressgateway"}},
        "action": "ALLOW",
        "rules": [
            {
                "from": [{"source": {"principals": ["cluster.local/ns/shop/sa/web"]}}],
                "when": [{"key": "connection.sni", "values": ["pay.example.org"]}],
            }
        ],
    }
    gateway = by_kind(objects, "Gateway")["shop/egress-pay-6a282644"]["spec"]["servers"][0]
    assert gateway["tls"] == {"mode": "ISTIO_MUTUAL"}
    assert gateway["port"]["protocol"] == "TLS"
    host = "istio-egressgateway.istio-system.svc.cluster.local"
    rule = by_kind(objects, "DestinationRule")["istio-system/egress.shop"]["spec"]
    assert rule["host"] == host
    assert rule["subsets"][0]["trafficPolicy"]["portLevelSettings"][0]["tls"]["sni"] == "pay.example.org"
    routes = by_kind(objects, "VirtualService")["shop/egress.pay.pay.example.org"]["spec"]
    assert routes["tls"][0]["route"][0]["destination"]["host"] == host
    assert routes["tcp"][0]["route"][0]["destination"] == {"host": "pay.example.org", "port": {"number": 443}}
    assert by_kind(objects, "ServiceEntry")["shop/pay"]["spec"]["exportTo"] == ["istio-system", "shop"]


# -- telemetry and rate limits -----------------------------------------------------------------------------


def test_telemetry_stays_in_the_namespaces_of_the_mesh() -> None:
    raw = minimal(
        mesh_telemetry={"access_log": "all", "trace_sampling_percent": 1, "tracing_provider": "jaeger"}
    )
    raw["mesh_services"][1]["open_paths"] = ["/health"]
    telemetry = by_kind(mesh_resources(raw), "Telemetry")
    assert set(telemetry) == {"shop/mesh-telemetry", "shop/api"}
    spec = telemetry["shop/mesh-telemetry"]["spec"]
    assert spec["tracing"] == [{"providers": [{"name": "jaeger"}], "randomSamplingPercentage": 1}]
    assert spec["accessLogging"] == [{"providers": [{"name": "envoy"}]}], "what api opens says nothing of web"
    expression = "!has(request.url_path) || !(request.url_path in ['/health']) || response.code >= 400"
    assert telemetry["shop/api"]["spec"] == {
        "selector": {"matchLabels": {"app": "api"}},
        "accessLogging": [{"providers": [{"name": "envoy"}], "filter": {"expression": expression}}],
    }
    assert "metrics" not in spec
    assert not by_kind(rendered(), "Telemetry")


def test_metrics_only_on_demand() -> None:
    metrics = {
        "remove_tags": ["source_principal"],
        "add_tags": {"method": "request.method"},
        "disabled": ["REQUEST_SIZE"],
    }
    objects = mesh_resources(minimal(mesh_telemetry={"metrics": metrics}))
    assert by_kind(objects, "Telemetry")["shop/mesh-telemetry"]["spec"] == {
        "metrics": [
            {
                "providers": [{"name": "prometheus"}],
                "overrides": [
                    {
                        "match": {"metric": "ALL_METRICS"},
                        "tagOverrides": {
                            "source_principal": {"operation": "REMOVE"},
                            "method": {"operation": "UPSERT", "value": "request.method"},
                        },
                    },
                    {"match": {"metric": "REQUEST_SIZE"}, "disabled": True},
                ],
            }
        ]
    }


def test_local_rate_limit_gives_each_user_a_bucket() -> None:
    limit = {
        "requests": 100,
        "per": "1m",
        "by": {"header": "X-User-Id"},
        "max_keys": 500,
        "anonymous_requests": 9,
    }
    spec = by_kind(rendered(rate_limit=limit), "EnvoyFilter")["shop/api-rate-limit"]["spec"]
    assert spec["workloadSelector"] == {"labels": {"app": "api"}}
    (patch,) = spec["configPatches"]
    chain = patch["match"]["listener"]["filterChain"]
    assert chain["destinationPort"] == 3000
    assert chain["filter"]["subFilter"]["name"] == "envoy.filters.http.router"
    config = patch["patch"]["value"]["typed_config"]
    bucket = {"max_tokens": 100, "tokens_per_fill": 100, "fill_interval": "60s"}
    assert config["@type"].endswith("local_ratelimit.v3.LocalRateLimit")
    assert config["descriptors"] == [{"entries": [{"key": "key"}], "token_bucket": bucket}]
    assert config["token_bucket"]["max_tokens"] == 9
    assert config["max_dynamic_descriptors"] == 500
    assert config["always_consume_default_token_bucket"] is False
    assert config["rate_limits"] == [
        {"actions": [{"request_headers": {"header_name": "x-user-id", "descriptor_key": "key"}}]}
    ]
    assert config["filter_enforced"]["default_value"] == {"numerator": 100, "denominator": "HUNDRED"}


def test_gateway_rate_limit_sits_on_the_routes_of_the_service_only() -> None:
    raw = minimal()
    raw["mesh_services"][0]["rate_limit"] = {"requests": 5, "per": "1s", "at": "gateway"}
    spec = by_kind(mesh_resources(raw), "EnvoyFilter")["istio-system/gateway.shop.public"]["spec"]
    inserted, merged = spec["configPatches"]
    config = inserted["patch"]["value"]["typed_config"]
    assert "token_bucket" not in config, "requests of other services have no limit"
    bucket = {"max_tokens": 5, "tokens_per_fill": 5, "fill_interval": "1s"}
    mine = {"key": "service", "value": "shop/web"}
    assert config["descriptors"] == [{"entries": [mine], "token_bucket": bucket}]
    assert config["filter_enabled"]["default_value"] == {"numerator": 100, "denominator": "HUNDRED"}
    action = {"generic_key": {"descriptor_key": "service", "descriptor_value": "shop/web"}}
    limits = [{"stage": config["stage"], "actions": [action]}]
    assert merged["patch"] == {"operation": "MERGE", "value": {"route": {"rate_limits": limits}}}
    assert merged["match"]["routeConfiguration"]["vhost"] == {
        "name": "api.example.com:443",
        "route": {"name": "shop/web:-split"},
    }


def test_gateway_rate_limit_gives_each_user_of_the_service_a_bucket() -> None:
    raw = minimal()
    limit = {"requests": 5, "per": "1s", "by": {"header": "X-User"}, "max_keys": 7, "anonymous_requests": 2}
    raw["mesh_services"][0]["rate_limit"] = {**limit, "at": "gateway"}
    raw["mesh_services"][1] |= {
        "rate_limit": {"requests": 3, "per": "1s", "at": "gateway"},
        "exposed": [{"gateway": "public", "host": "api.example.com", "path": "/api"}],
    }
    spec = by_kind(mesh_resources(raw), "EnvoyFilter")["istio-system/gateway.shop.public"]["spec"]
    inserted, merged, _api = spec["configPatches"]
    config = inserted["patch"]["value"]["typed_config"]

    def bucket(count: int) -> dict[str, Any]:
        return {"max_tokens": count, "tokens_per_fill": count, "fill_interval": "1s"}

    web, api = ({"key": "service", "value": f"shop/{name}"} for name in ("web", "api"))
    anonymous = {"key": "anonymous", "value": "true"}
    assert config["descriptors"] == [
        {"entries": [web, {"key": "key"}], "token_bucket": bucket(5)},
        {"entries": [web, anonymous], "token_bucket": bucket(2)},
        {"entries": [api], "token_bucket": bucket(3)},
    ]
    assert (config["max_dynamic_descriptors"], config["always_consume_default_token_bucket"]) == (7, False)
    mine = {"generic_key": {"descriptor_key": "service", "descriptor_value": "shop/web"}}
    user = {"request_headers": {"header_name": "x-user", "descriptor_key": "key"}}
    absent = {
        "header_value_match": {
            "descriptor_key": "anonymous",
            "descriptor_value": "true",
            "expect_match": False,
            "headers": [{"name": "x-user", "present_match": True}],
        }
    }
    assert merged["patch"]["value"]["route"]["rate_limits"] == [
        {"stage": 1, "actions": [mine, user]},
        {"stage": 1, "actions": [mine, absent]},
    ]


def test_global_rate_limit_brings_its_service_configuration() -> None:
    raw = minimal(mesh_rate_limit_service={"host": "rl.limits.svc.cluster.local", "namespace": "limits"})
    raw["mesh_services"][1]["rate_limit"] = {
        "scope": "global",
        "requests": 100,
        "per": "60s",
        "by": {"header": "x-user-id"},
    }
    objects = mesh_resources(raw)
    patch = by_kind(objects, "EnvoyFilter")["shop/api-rate-limit"]["spec"]["configPatches"][0]
    config = patch["patch"]["value"]["typed_config"]
    cluster = config["rate_limit_service"]["grpc_service"]["envoy_grpc"]["cluster_name"]
    assert cluster == "outbound|8081||rl.limits.svc.cluster.local"
    assert config["domain"] == "shop"
    assert config["failure_mode_deny"] is False
    limits = by_kind(objects, "ConfigMap")["limits/shop-rate-limits"]["data"]["shop.yaml"]
    assert '"requests_per_unit": 100' in limits
    assert '"value": "shop/api"' in limits


def test_services_of_two_namespaces() -> None:
    raw = minimal()
    raw["mesh_services"].append(
        service("ledger", namespace="back", callers=[{"service": "api", "namespace": "shop"}])
    )
    objects = mesh_resources(raw)
    assert set(by_kind(objects, "PeerAuthentication")) == {"shop/default", "back/default"}
    assert "back/mesh-default-deny" in by_kind(objects, "AuthorizationPolicy")
    rules = by_kind(objects, "AuthorizationPolicy")["back/ledger"]["spec"]["rules"]
    assert rules[0]["from"][0]["source"]["principals"] == ["cluster.local/ns/shop/sa/api"]
    hosts = by_kind(objects, "Sidecar")["shop/api"]["spec"]["egress"][0]["hosts"]
    assert "back/ledger.back.svc.cluster.local" in hosts
