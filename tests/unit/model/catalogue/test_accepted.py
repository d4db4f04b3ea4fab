"""The last value on the good side of each bound, and what an absent setting stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import (
    Catalogue,
    EgressGateway,
    ExternalPort,
    ExternalService,
    Gateway,
    RateLimitService,
    Server,
    Telemetry,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.services import (
    Caller,
    Exposure,
    Mtls,
    Port,
    RateLimit,
    Retries,
    Scrape,
    Service,
    Version,
)

from ...support.catalogues import full, minimal, service
from .test_rules import (
    EGRESS,
    EXTERNAL,
    RATE_LIMITS,
    TCP,
    WHEN,
    Change,
    api,
    both,
    external,
    put,
    server,
    web,
)

HTTP = {"name": "http", "number": 3000, "protocol": "http"}
GRPC = {"name": "grpc", "number": 1, "protocol": "grpc"}
BREAKER = {"consecutive_5xx": 5}

ACCEPTED: list[tuple[str, Change]] = [
    ("name of 63 characters", put("mesh_name", "a" * 63)),
    (
        "ports 1 and 65535",
        api(ports=[HTTP | {"number": 1, "target_port": 65535}, HTTP | {"name": "b", "number": 65535}]),
    ),
    ("port as text", api(ports=[HTTP | {"number": "3000"}])),
    ("timeout of a day", api(timeout="24h")),
    ("timeout of 1ms", api(timeout="1ms")),
    (
        "as many tries as the timeout allows",
        api(timeout="6s", retries={"attempts": 2, "per_try_timeout": "2s"}),
    ),
    ("tries of tenths", api(timeout="300ms", retries={"attempts": 2, "per_try_timeout": "0.1s"})),
    ("no tries", api(timeout="1s", retries={"attempts": 0})),
    ("tries without a timeout", api(retries={"attempts": 10, "per_try_timeout": "2s"})),
    ("statuses 400 and 599", api(retries={"attempts": 1, "on": ["400", "599", "reset-before-request"]})),
    (
        "gRPC retries that are safe",
        api(
            ports=[GRPC],
            retries={"attempts": 1, "on": ["connect-failure", "refused-stream", "reset-before-request"]},
        ),
    ),
    (
        "gRPC retries that may repeat",
        api(ports=[GRPC], retries={"attempts": 1, "on": ["unavailable"], "non_idempotent": True}),
    ),
    ("gRPC without retries", api(ports=[GRPC], retries={"attempts": 0})),
    ("gRPC mirror that may repeat", api(ports=[GRPC], mirror={"to": "v2", "percent": 1, "writes": True})),
    (
        "gRPC beside HTTP",
        api(
            ports=[HTTP, GRPC],
            retries={"attempts": 1, "on": ["unavailable"]},
            mirror={"to": "v2", "percent": 1},
        ),
    ),
    (
        "mirror of 0 and 100 %",
        both(api(mirror={"to": "v2", "percent": 0}), api(mirror={"to": "v2", "percent": 100.0})),
    ),
    (
        "fault statuses",
        both(
            api(fault={"abort": {"percent": 0, "status": 200}}),
            web(fault={"abort": {"percent": 100, "status": 599}}),
        ),
    ),
    ("fault delay in seconds", api(fault={"delay": {"percent": 1, "fixed": 5}})),
    ("fault delay in seconds as text", api(fault={"delay": {"percent": 1, "fixed": "5"}})),
    (
        "a host with any port and credentials",
        api(cors={"origins": [{"prefix": "https://a.example:"}], "credentials": True}),
    ),
    *(
        (f"origin {text}", api(cors={"origins": [text]}))
        for text in (
            "null",
            "https://a.example:8443",
            "http://a.example:443",
            "capacitor://localhost",
            "http://[::1]:8080",
        )
    ),
    ("a prefix without credentials", api(cors={"origins": [{"prefix": "https://a.example"}]})),
    ("fault delay alone", api(fault={"delay": {"percent": 0.01, "fixed": "1ms"}})),
    (
        "breaker bounds",
        api(
            circuit_breaker={
                "consecutive_5xx": 10_000,
                "consecutive_gateway_errors": 9_999,
                "max_ejection_percent": 100,
                "min_health_percent": 0,
            }
        ),
    ),
    (
        "conditions that leave each other something",
        api(
            routes=[
                {"name": "all", "when": {"path": "/"}, "timeout": "9s"},
                {"name": "below", "when": {"path": "/r"}, "timeout": "8s"},
                {"name": "beside", "when": {"path": "/rs"}, "timeout": "8s"},
                {"name": "one", "when": {"path": "/r", "match": "exact"}, "timeout": "7s"},
                {"name": "of-some", "when": {"path": "/r/s/t", "header": {"x": "1"}}, "timeout": "6s"},
                {"name": "of-all", "when": {"path": "/r/s/t"}, "timeout": "5s"},
            ]
        ),
    ),
    ("breaker by gateway errors", api(circuit_breaker={"consecutive_gateway_errors": 1})),
    (
        "an endpoint that the caller chose",
        api(load_balancing={"policy": "PASSTHROUGH"}, versions={"v1": {}}),
    ),
    ("breaker by local failures", api(circuit_breaker={"consecutive_local_origin_failures": 1})),
    (
        "pool bounds",
        api(
            connection_pool={
                "max_connections": 2**31 - 1,
                "max_pending": 1,
                "max_requests_per_connection": 2**29 - 1,
                "keepalive": {"probes": 100},
            }
        ),
    ),
    (
        "one connection",
        api(
            connection_pool={
                "max_requests_per_connection": 1,
                "keepalive": {"probes": 1},
                "max_retries": 1,
                "max_requests": 1,
            }
        ),
    ),
    (
        "warm-up",
        both(
            api(load_balancing={"warmup": "1s"}),
            web(load_balancing={"policy": "LEAST_REQUEST", "warmup": "1s"}),
        ),
    ),
    ("locality without failover", api(load_balancing={"locality": {"enabled": True}})),
    (
        "failover that is off",
        api(load_balancing={"locality": {"enabled": False, "failover": [{"from": "a", "to": "b"}]}}),
    ),
    (
        "failover from two regions",
        api(
            circuit_breaker=BREAKER,
            load_balancing={"locality": {"failover": [{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]}},
        ),
    ),
    (
        "distribution without breaker",
        api(load_balancing={"locality": {"distribute": [{"from": "a/*", "to": {"a/*": 99, "b/*": 1}}]}}),
    ),
    ("hash of a TCP service", api(ports=TCP, load_balancing={"hash": {"source_ip": True}})),
    (
        "settings of a TCP service",
        api(
            ports=TCP, callers=[{"service": "web", "ports": ["tcp"]}], connection_pool={"max_connections": 1}
        ),
    ),
    (
        "paths on the HTTP port of two",
        api(
            ports=[*TCP, HTTP],
            callers=[
                {"service": "web", "paths": ["/a"], "ports": ["http"]},
                {"service": "web", "ports": ["http", "tcp"]},
            ],
        ),
    ),
    ("paths", api(callers=[{"service": "web", "paths": ["/*", "/", "/a/*", "/a.b/..c", "/" + "a" * 1023]}])),
    ("longest host", external(hosts=[".".join(["a" * 61] * 3) + "." + "b" * 63 + ".abc"])),
    (
        "principal of an alias",
        both(put("mesh_trust_domain_aliases", ["old"]), api(callers=[{"principal": "old/ns/a/sa/b.c"}])),
    ),
    ("principal of a host", api(callers=[{"principal": "cluster.local/ns/a/sa/b"}])),
    ("same mode", api(mtls={"mode": "STRICT"})),
    (
        "stricter than the mesh",
        both(put("mesh_mtls_mode", "PERMISSIVE"), api(mtls={"mode": "STRICT", "ports": {"3000": "STRICT"}})),
    ),
    ("weaker with a reason", api(mtls={"mode": "PERMISSIVE", "reason": "x"})),
    ("plaintext without callers", api(callers=[], mtls={"mode": "DISABLE", "reason": "x"})),
    (
        "plaintext on a port nobody calls",
        api(
            ports=[HTTP],
            mtls={"ports": {"9100": "DISABLE"}, "reason": "x"},
            scrape={"port": 9100, "callers": ["web"]},
        ),
    ),
    (
        "no mutual TLS anywhere",
        both(put("mesh_mtls_mode", "DISABLE"), api(callers=[], mtls={"mode": "PERMISSIVE"}), web(exposed=[])),
    ),
    (
        "limits",
        api(
            rate_limit={
                "requests": 1_000_000,
                "per": "50ms",
                "by": {"header": "x"},
                "max_keys": 1_000_000,
                "anonymous_requests": 1_000_000,
            }
        ),
    ),
    (
        "limit of one",
        api(
            rate_limit={
                "requests": 1,
                "per": "24h",
                "by": {"header": "x"},
                "max_keys": 1,
                "anonymous_requests": 1,
            }
        ),
    ),
    *(
        (
            f"global limit per {per}",
            both(
                put("mesh_rate_limit_service", RATE_LIMITS),
                api(rate_limit={"scope": "global", "requests": 1, "per": per}),
            ),
        )
        for per in ("1s", "1000ms", "60s", "1m", "1h", "24h")
    ),
    ("limit at the gateway", web(rate_limit={"at": "gateway", "requests": 1, "per": "1s"})),
    (
        "sidecar",
        api(
            proxy={
                "concurrency": 0,
                "cpu": "0.5",
                "memory": "1Gi",
                "cpu_limit": "1500m",
                "memory_limit": "2G",
            }
        ),
    ),
    ("sidecar of 64 threads", api(proxy={"concurrency": 64})),
    (
        "sidecar hosts",
        api(
            sidecar_hosts=["./*", "*/a.example.com", "x/*.example.com", "x/a.example.com", "./b.example.com"]
        ),
    ),
    (
        "path route inside its exposure",
        web(
            exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a"}],
            routes=[
                {"name": "r", "when": {"path": "/a"}, "timeout": "9s"},
                {"name": "s", "when": {"path": "/a/b"}, "timeout": "9s"},
            ],
        ),
    ),
    (
        "path route beside its exposure",
        web(
            exposed=[{"gateway": "public", "host": "api.example.com", "path": "/ab"}],
            routes=[{"name": "r", "when": {"path": "/a"}, "timeout": "9s"}],
        ),
    ),
    (
        "exact route above its exposure",
        web(
            exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a/b"}],
            routes=[{"name": "r", "when": {"path": "/a", "match": "exact"}, "timeout": "9s"}],
        ),
    ),
    (
        "path route behind a rewrite to itself",
        web(
            exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a", "rewrite": "/a"}],
            routes=[{"name": "r", "when": {"path": "/a/b"}, "timeout": "9s"}],
        ),
    ),
    ("route by retries alone", api(routes=[{"name": "r", "when": WHEN, "retries": {"attempts": 0}}])),
    (
        "condition of a query alone",
        api(variants=[{"name": "b", "to": "v2", "when": {"query": {"q": {"prefix": "a"}}}}]),
    ),
    (
        "condition of a cookie alone",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"c": "!~"}}}]),
    ),
    (
        "text of 1024 characters",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": "a" * 1024}}}]),
    ),
    ("any origin", api(cors={"origins": ["*"]})),
    ("any origin, no credentials", api(cors={"origins": ["*"], "credentials": False})),
    (
        "one path at two hosts",
        web(
            exposed=[
                {"gateway": "public", "host": "api.example.com", "path": "/a"},
                {"gateway": "public", "host": "api.example.com", "path": "/a", "match": "exact"},
                {"gateway": "public", "host": "api.example.com", "path": "/a/b"},
            ]
        ),
    ),
    (
        "host of a wildcard",
        both(server(host="*.example.com"), web(exposed=[{"gateway": "public", "host": "b.example.com"}])),
    ),
    (
        "host two labels below a wildcard that has no certificate",
        both(
            put("mesh_gateways.0.servers", [{"host": "*.example.com"}]),
            web(exposed=[{"gateway": "public", "host": "a.b.example.com"}]),
        ),
    ),
    ("one name in two namespaces", lambda c: c["mesh_services"].append(service("api", namespace="back"))),
    (
        "labels that contain each other's",
        lambda c: c["mesh_services"].append(service("c", labels={"app": "c", "tier": "x"})),
    ),
    (
        "version labels that repeat the service's",
        api(versions={"v1": {"labels": {"app": "api", "version": "1"}}}),
    ),
    ("null version", api(versions={"v1": None})),
    ("wildcard outside", external(hosts=["*.example.org"])),
    (
        "wildcard with endpoints",
        external(hosts=["*.example.org"], resolution="DNS", endpoints=["a.example.org"]),
    ),
    ("addresses", external(resolution="STATIC", endpoints=["10.0.0.1", "255.255.255.255"])),
    ("two hosts on TLS", external(hosts=["a.example.org", "b.example.org"])),
    (
        "two hosts on TCP without resolution",
        external(
            hosts=["a.example.org", "b.example.org"],
            ports=[{"number": 9, "protocol": "TCP"}],
            resolution="NONE",
        ),
    ),
    ("TCP host", external(ports=[{"number": 9, "protocol": "REDIS"}])),
    ("timeout and TLS", external(ports=[{"number": 80, "protocol": "GRPC"}], originate_tls={}, timeout="1s")),
    ("egress", both(EGRESS, external(via="egress_gateway"))),
    (
        "two externals of one name",
        put(
            "mesh_external_services",
            [
                EXTERNAL,
                EXTERNAL | {"namespace": "back", "callers": [{"service": "web", "namespace": "shop"}]},
            ],
        ),
    ),
    (
        "empty role defaults",
        lambda c: c.update(mesh_egress_gateway={}, mesh_telemetry={}, mesh_rate_limit_service={}),
    ),
    ("sampling", put("mesh_telemetry", {"trace_sampling_percent": 0})),
    ("all sampled", put("mesh_telemetry", {"trace_sampling_percent": 100.0})),
    (
        "metrics by one of three",
        both(
            put("mesh_telemetry", {"metrics": {"disabled": ["ALL_METRICS"]}}),
            put("mesh_telemetry", {"metrics": {"remove_tags": ["x"]}}),
        ),
    ),
]


@pytest.mark.parametrize("change", [case[1] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_the_good_side_of_each_bound(change: Callable[[dict[str, Any]], Any]) -> None:
    raw = minimal()
    change(raw)
    try:
        parse_catalogue(raw)
    except InputError as error:
        pytest.fail(str(error))


API = Service(
    where="mesh_services[1]",
    name="api",
    namespace="shop",
    fqdn="api.shop.svc.cluster.local",
    service_account="api",
    principal="cluster.local/ns/shop/sa/api",
    labels={"app": "api"},
    ports=(Port("http", 3000, 3000, "http"),),
    versions={
        "v1": Version("v1", {"version": "v1"}, "api-v1"),
        "v2": Version("v2", {"version": "v2"}, "api-v2"),
    },
    initial_version="v1",
    timeout=None,
    retries=None,
    circuit_breaker=None,
    connection_pool=None,
    load_balancing=None,
    callers=(Caller("mesh_services[1].callers[0]", "web", "shop"),),
    exposed=(),
    mtls=Mtls(None, {}, None),
    open_paths=(),
    scrape=None,
    rate_limit=None,
    routes=(),
    variants=(),
    mirror=None,
    fault=None,
    cors=None,
    proxy=None,
    sidecar_hosts=(),
)


def test_what_is_not_said_has_these_values() -> None:
    raw = minimal()
    raw.pop("mesh_namespace")
    catalogue = parse_catalogue(raw)
    assert catalogue == Catalogue(
        name="shop",
        namespace="default",
        istio_namespace="istio-system",
        root_namespace="istio-system",
        mtls_mode="STRICT",
        outbound="REGISTRY_ONLY",
        trust_domain="cluster.local",
        trust_domain_aliases=(),
        cluster_domain="cluster.local",
        default_deny=True,
        sidecar_hosts=("istio-system/*",),
        services=catalogue.services,
        gateways=(
            Gateway(
                where="mesh_gateways[0]",
                name="public",
                namespace="default",
                workload_namespace="istio-system",
                service_account="istio-ingressgateway-service-account",
                principal="cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
                selector={"istio": "ingressgateway"},
                servers=(
                    Server(
                        where="mesh_gateways[0].servers[0]",
                        host="api.example.com",
                        protocol="HTTPS",
                        certificate="api-example-com",
                        mode="SIMPLE",
                        https_redirect=True,
                        min_tls="1.2",
                        max_tls=None,
                        cipher_suites=(),
                        port=443,
                        http_port=80,
                    ),
                ),
            ),
        ),
        external_services=(),
        egress_gateway=None,
        telemetry=None,
        rate_limit_service=None,
    )
    assert parse_catalogue(minimal()).services[1] == API
    assert parse_catalogue(minimal()).services[0].exposed == (
        Exposure("mesh_services[0].exposed[0]", "public", "api.example.com", "/", False, None, ()),
    )


def test_what_is_not_said_of_settings_has_these_values() -> None:
    raw = minimal(
        mesh_rate_limit_service=RATE_LIMITS,
        mesh_external_services=[EXTERNAL, EXTERNAL | {"name": "w", "hosts": ["*.example.com"]}],
        mesh_telemetry={"tracing_provider": "t"},
        istio_gateways=[{"name": "istio-ingressgateway"}, {"name": "out", "egress": True}],
    )
    raw["mesh_gateways"][0]["servers"].append({"host": "plain.example.com"})
    raw["mesh_services"][0] |= {
        "retries": {"attempts": 3},
        "rate_limit": {"requests": 7, "per": "2s", "by": {"header": "x"}},
        "scrape": {"port": 9100, "callers": ["api"]},
        "ports": [{"number": 80, "protocol": "http2"}],
    }
    catalogue = parse_catalogue(raw)
    assert catalogue.rate_limit_service == RateLimitService(
        host="rl.limits.svc.cluster.local",
        port=8081,
        namespace="limits",
        timeout="100ms",
        deny_on_failure=False,
    )
    assert catalogue.external_services[0] == ExternalService(
        where="mesh_external_services[0]",
        name="pay",
        namespace="shop",
        hosts=("pay.example.org",),
        ports=(ExternalPort("tls-443", 443, "TLS", None),),
        resolution="DNS",
        endpoints=(),
        callers=(Caller("mesh_external_services[0].callers[0]", "web", "shop"),),
        via_egress_gateway=False,
        originate_tls=None,
        timeout=None,
        circuit_breaker=None,
        connection_pool=None,
    )
    assert catalogue.external_services[1].resolution == "NONE"
    assert catalogue.telemetry == Telemetry(None, "envoy", None, "t", None)
    assert catalogue.egress_gateway == EgressGateway(
        host="out.istio-system.svc.cluster.local",
        port=443,
        workload_namespace="istio-system",
        service_account="out-service-account",
        principal="cluster.local/ns/istio-system/sa/out-service-account",
        selector={"istio": "out"},
    )
    plain = catalogue.gateways[0].servers[1]
    assert (plain.port, plain.http_port, plain.https_redirect, plain.certificate) == (80, 80, False, None)
    web_service = catalogue.services[0]
    assert web_service.retries == Retries(3, None, ("connect-failure", "refused-stream"), False)
    assert web_service.rate_limit == RateLimit("local", "service", 7, "2s", "x", 10_000, 7)
    assert web_service.scrape == Scrape(
        9100, "/metrics", (Caller("mesh_services[0].scrape.callers[0]", "api", "shop"),)
    )
    assert web_service.ports == (Port("http2", 80, 80, "http2"),)


def test_look_ups_of_the_full_catalogue() -> None:
    catalogue = parse_catalogue(full())
    names = {item.name: item for item in catalogue.services}
    assert catalogue.namespaces == ("back", "shop")
    assert catalogue.service("web") is names["web"]
    assert catalogue.service("ledger") is None
    assert catalogue.service("ledger", "back") is names["ledger"]
    assert catalogue.gateway("inside") is catalogue.gateways[1]
    assert catalogue.gateway("outside") is None
    assert [item.name for item in catalogue.callees(names["web"])] == ["api", "ledger"]
    assert [item.name for item in catalogue.callees(names["queue"])] == []
    assert [item.name for item in catalogue.external_callees(names["ledger"])] == ["pay", "stock"]
    assert [item.name for item in catalogue.external_callees(names["queue"])] == []
    assert [catalogue.principal_of(caller) for caller in names["web"].callers] == [
        "td.example/ns/shop/sa/api-sa",
        "td.example/ns/back/sa/ledger",
        "td.example/ns/shop/sa/api-sa",
    ]
    assert catalogue.principal_of(Caller("", gateway="none")) == ""
    assert catalogue.principal_of(Caller("", service="none", namespace="shop")) == ""
    assert names["web"].http_port == names["web"].routed_port == Port("http", 80, 8080, "http")
    assert names["queue"].http_port is None
    assert names["queue"].routed_port == Port("amqp", 5672, 5672, "tcp")
    assert names["web"].target_ports() == (5432, 7946, 8080, 9000)
    assert [port.name for port in names["web"].all_ports] == ["http", "admin", "db", "gossip"]
    assert names["queue"].all_ports == names["queue"].ports
    assert [item.name for item in catalogue.open_services] == ["counted"]
    assert names["web"].target_ports(("db", "http")) == (5432, 8080)
    assert names["web"].key == "shop/web"
