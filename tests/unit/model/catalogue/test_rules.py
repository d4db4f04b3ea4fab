"""One row per rule: what is changed in a valid catalogue, where the problem is reported, which rule it breaks."""

# ruff: noqa: E501, RUF001 - one row per rule
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources

from ...support.catalogues import minimal, service

Change = Callable[[dict[str, Any]], Any]


def put(path: str, value: Any) -> Change:
    """Sets ``mesh_services.1.ports.0.number`` and the like."""

    def change(catalogue: dict[str, Any]) -> None:
        target: Any = catalogue
        *parents, last = path.split(".")
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
        if isinstance(target, list):
            target[int(last)] = value
        else:
            target[last] = value

    return change


def web(**fields: Any) -> Change:
    return lambda catalogue: catalogue["mesh_services"][0].update(fields)


def api(**fields: Any) -> Change:
    return lambda catalogue: catalogue["mesh_services"][1].update(fields)


def add(*services: dict[str, Any]) -> Change:
    return lambda catalogue: catalogue["mesh_services"].extend(services)


def external(**fields: Any) -> Change:
    entry = {
        "name": "pay",
        "hosts": ["pay.example.org"],
        "ports": [{"number": 443, "protocol": "TLS"}],
        "callers": ["web"],
    }
    return put("mesh_external_services", [entry | fields])


def server(**fields: Any) -> Change:
    return lambda catalogue: catalogue["mesh_gateways"][0]["servers"][0].update(fields)


TCP = [{"name": "tcp", "number": 5432, "protocol": "tcp"}]
WHEN = {"header": {"x-beta": "1"}}

CASES: list[tuple[str, Change, str, str]] = [
    ("no name", lambda c: c.pop("mesh_name"), "mesh_name", "required"),
    ("name is a number", put("mesh_name", 7), "mesh_name", "type"),
    ("upper case", put("mesh_name", "Shop"), "mesh_name", "dns-label"),
    ("underscore", put("mesh_namespace", "my_shop"), "mesh_namespace", "dns-label"),
    ("label too long", put("mesh_name", "a" * 64), "mesh_name", "dns-label"),
    ("newline", put("mesh_name", "shop\n"), "mesh_name", "dns-label"),
    ("look-alike letter", put("mesh_name", "shоp"), "mesh_name", "dns-label"),
    ("services is a mapping", put("mesh_services", {}), "mesh_services", "type"),
    ("service is a string", put("mesh_services.0", "web"), "mesh_services[0]", "type"),
    ("unknown top key", put("mesh_servces", []), "mesh_servces", "unknown-key"),
    ("unknown service key", api(retry={}), "mesh_services[1].retry", "unknown-key"),
    (
        "unknown nested key",
        api(timeout="5s", mirror={"to": "v2", "percnt": 1}),
        "mesh_services[1].mirror.percnt",
        "unknown-key",
    ),
    ("unknown mode", put("mesh_mtls_mode", "strict"), "mesh_mtls_mode", "choice"),
    ("boolean as text", put("mesh_default_deny", "yes"), "mesh_default_deny", "type"),
    ("sidecar host", put("mesh_sidecar_hosts", ["istio-system"]), "mesh_sidecar_hosts[0]", "sidecar-host"),
    ("sidecar host for all", put("mesh_sidecar_hosts", ["*/*"]), "mesh_sidecar_hosts[0]", "sidecar-host"),
    # services
    ("port 0", put("mesh_services.1.ports.0.number", 0), "mesh_services[1].ports[0].number", "range"),
    ("port 65536", put("mesh_services.1.ports.0.number", 65536), "mesh_services[1].ports[0].number", "range"),
    (
        "port by name",
        put("mesh_services.1.ports.0.number", "http"),
        "mesh_services[1].ports[0].number",
        "type",
    ),
    ("port true", put("mesh_services.1.ports.0.number", True), "mesh_services[1].ports[0].number", "type"),
    (
        "target port by name",
        put("mesh_services.1.ports.0.target_port", "web"),
        "mesh_services[1].ports[0].target_port",
        "type",
    ),
    (
        "protocol",
        put("mesh_services.1.ports.0.protocol", "udp"),
        "mesh_services[1].ports[0].protocol",
        "choice",
    ),
    ("no ports", api(ports=[]), "mesh_services[1].ports", "required"),
    ("port number twice", api(ports=[*TCP, TCP[0] | {"name": "b"}]), "mesh_services[1].ports", "duplicate"),
    ("service twice", add(service("api")), "mesh_services[2].name", "duplicate"),
    (
        "same pods twice",
        add(service("copy", labels={"app": "api"})),
        "mesh_services[2].labels",
        "selector-clash",
    ),
    ("empty selector", api(labels={}), "mesh_services[1].labels", "label"),
    ("wildcard label", api(labels={"app": "*"}), "mesh_services[1].labels.app", "label"),
    (
        "no initial version",
        lambda c: c["mesh_services"][1].pop("initial_version"),
        "mesh_services[1].initial_version",
        "required",
    ),
    (
        "unknown initial version",
        api(initial_version="v9"),
        "mesh_services[1].initial_version",
        "unknown-version",
    ),
    (
        "versions with equal labels",
        api(versions={"v1": {"labels": {"version": "x"}}, "v2": {"labels": {"version": "x"}}}),
        "mesh_services[1].versions.v2",
        "duplicate",
    ),
    (
        "versions with one workload",
        api(versions={"v1": {"workload": "a"}, "v2": {"workload": "a"}}),
        "mesh_services[1].versions.v2",
        "duplicate",
    ),
    (
        "subset without pods",
        api(versions={"v1": {"labels": {"app": "other"}}}),
        "mesh_services[1].versions.v1.labels",
        "empty-subset",
    ),
    ("version name", api(versions={"v1": {}, "V2": {}}), "mesh_services[1].versions.V2", "dns-label"),
    # traffic
    ("timeout without unit", api(timeout=10), "mesh_services[1].timeout", "type"),
    ("timeout as text number", api(timeout="10"), "mesh_services[1].timeout", "duration"),
    ("timeout 0", api(timeout="0s"), "mesh_services[1].timeout", "duration"),
    ("timeout of weeks", api(timeout="1000h"), "mesh_services[1].timeout", "duration"),
    (
        "tries exceed the timeout",
        api(timeout="5s", retries={"attempts": 2, "per_try_timeout": "2s"}),
        "mesh_services[1].retries",
        "timeout-budget",
    ),
    (
        "route inherits too little",
        api(
            timeout="9s",
            retries={"attempts": 2, "per_try_timeout": "3s"},
            routes=[{"name": "r", "when": WHEN, "timeout": "5s"}],
        ),
        "mesh_services[1].routes[0]",
        "timeout-budget",
    ),
    ("attempts negative", api(retries={"attempts": -1}), "mesh_services[1].retries.attempts", "range"),
    ("attempts 33.3", api(retries={"attempts": 33.3}), "mesh_services[1].retries.attempts", "type"),
    (
        "on without attempts",
        api(retries={"attempts": 0, "on": ["5xx"]}),
        "mesh_services[1].retries.attempts",
        "retry-attempts",
    ),
    (
        "unknown condition",
        api(retries={"attempts": 1, "on": ["5xxx"]}),
        "mesh_services[1].retries.on[0]",
        "retry-conditions",
    ),
    (
        "grpc retries",
        api(
            ports=[{"name": "grpc", "number": 1, "protocol": "grpc"}],
            retries={"attempts": 1, "on": ["unavailable"]},
        ),
        "mesh_services[1].retries",
        "retry-idempotence",
    ),
    (
        "grpc mirror",
        api(ports=[{"name": "grpc", "number": 1, "protocol": "grpc"}], mirror={"to": "v2", "percent": 5}),
        "mesh_services[1].mirror",
        "mirror-writes",
    ),
    ("mirror 101 %", api(mirror={"to": "v2", "percent": 101}), "mesh_services[1].mirror.percent", "range"),
    ("mirror '10%'", api(mirror={"to": "v2", "percent": "10%"}), "mesh_services[1].mirror.percent", "type"),
    (
        "mirror NaN",
        api(mirror={"to": "v2", "percent": float("nan")}),
        "mesh_services[1].mirror.percent",
        "range",
    ),
    (
        "mirror infinite",
        api(mirror={"to": "v2", "percent": float("inf")}),
        "mesh_services[1].mirror.percent",
        "range",
    ),
    (
        "mirror to nowhere",
        api(mirror={"to": "v3", "percent": 5}),
        "mesh_services[1].mirror.to",
        "unknown-version",
    ),
    (
        "variant to nowhere",
        api(variants=[{"name": "b", "to": "v3", "when": WHEN}]),
        "mesh_services[1].variants[0].to",
        "unknown-version",
    ),
    (
        "variant without condition",
        api(variants=[{"name": "b", "to": "v2"}]),
        "mesh_services[1].variants[0].when",
        "required",
    ),
    (
        "variant with empty condition",
        api(variants=[{"name": "b", "to": "v2", "when": {}}]),
        "mesh_services[1].variants[0].when",
        "empty",
    ),
    (
        "variant twice",
        api(
            variants=[
                {"name": "b", "to": "v2", "when": WHEN},
                {"name": "b", "to": "v1", "when": {"header": {"x": "1"}}},
            ]
        ),
        "mesh_services[1].variants",
        "duplicate",
    ),
    (
        "variant never reached",
        api(variants=[{"name": "b", "to": "v2", "when": WHEN}, {"name": "c", "to": "v1", "when": WHEN}]),
        "mesh_services[1].variants[1].when",
        "unreachable",
    ),
    (
        "cookie as header",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"Cookie": "a=b"}}}]),
        "mesh_services[1].variants[0].when.header",
        "cookie",
    ),
    (
        "two cookies",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"a": "1", "b": "2"}}}]),
        "mesh_services[1].variants[0].when.cookie",
        "cookie",
    ),
    (
        "cookie with a semicolon",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"a": "1;b"}}}]),
        "mesh_services[1].variants[0].when.cookie",
        "cookie-name",
    ),
    (
        "bad header name",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x y": "1"}}}]),
        "mesh_services[1].variants[0].when.header",
        "header-name",
    ),
    (
        "host header",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"Host": "1"}}}]),
        "mesh_services[1].variants[0].when.header",
        "header-name",
    ),
    (
        "look-ahead",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": {"regex": "a(?=b)"}}}}]),
        "mesh_services[1].variants[0].when.header.x.regex",
        "re2",
    ),
    (
        "two kinds of match",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": {"exact": "a", "prefix": "b"}}}}]),
        "mesh_services[1].variants[0].when.header.x",
        "string-match",
    ),
    (
        "route that changes nothing",
        api(routes=[{"name": "r", "when": WHEN}]),
        "mesh_services[1].routes[0]",
        "empty",
    ),
    (
        "path route behind a rewrite",
        web(
            exposed=[{"gateway": "public", "host": "api.example.com", "path": "/w", "rewrite": "/"}],
            routes=[{"name": "r", "when": {"path": "/slow"}, "timeout": "9s"}],
        ),
        "mesh_services[0].routes[0].when.path",
        "route-rewrite",
    ),
    (
        "path route wider than its exposure",
        web(
            exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a/b"}],
            routes=[{"name": "r", "when": {"path": "/a"}, "timeout": "9s"}],
        ),
        "mesh_services[0].routes[0].when.path",
        "route-nesting",
    ),
    ("fault without effect", api(fault={"only_header": "x-test"}), "mesh_services[1].fault", "empty"),
    (
        "fault status 99",
        api(fault={"abort": {"percent": 1, "status": 99}}),
        "mesh_services[1].fault.abort.status",
        "range",
    ),
    (
        "credentials for every origin",
        api(cors={"origins": [{"regex": ".*"}], "credentials": True}),
        "mesh_services[1].cors.origins",
        "cors",
    ),
    (
        "fractions of a second",
        api(cors={"origins": ["https://a.example.com"], "max_age": "1500ms"}),
        "mesh_services[1].cors.max_age",
        "duration",
    ),
    (
        "breaker without trigger",
        api(circuit_breaker={"interval": "10s"}),
        "mesh_services[1].circuit_breaker",
        "circuit-breaker-trigger",
    ),
    (
        "breaker, old field",
        api(circuit_breaker={"consecutive_errors": 5}),
        "mesh_services[1].circuit_breaker.consecutive_errors",
        "unknown-key",
    ),
    (
        "breaker shadowed trigger",
        api(circuit_breaker={"consecutive_5xx": 5, "consecutive_gateway_errors": 5}),
        "mesh_services[1].circuit_breaker.consecutive_gateway_errors",
        "circuit-breaker-trigger",
    ),
    (
        "ejects 101 %",
        api(circuit_breaker={"consecutive_5xx": 5, "max_ejection_percent": 101}),
        "mesh_services[1].circuit_breaker.max_ejection_percent",
        "range",
    ),
    ("empty pool", api(connection_pool={}), "mesh_services[1].connection_pool", "empty"),
    (
        "hash and policy",
        api(load_balancing={"policy": "RANDOM", "hash": {"source_ip": True}}),
        "mesh_services[1].load_balancing.hash",
        "load-balancing",
    ),
    (
        "two hashes",
        api(load_balancing={"hash": {"source_ip": True, "header": "x"}}),
        "mesh_services[1].load_balancing.hash",
        "load-balancing",
    ),
    (
        "failover without breaker",
        api(load_balancing={"locality": {"failover": [{"from": "a", "to": "b"}]}}),
        "mesh_services[1].load_balancing.locality",
        "locality",
    ),
    (
        "distribution of 90 %",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"distribute": [{"from": "a/*", "to": {"a/*": 60, "b/*": 30}}]}},
        ),
        "mesh_services[1].load_balancing.locality.distribute[0].to",
        "weights",
    ),
    ("http settings on tcp", api(ports=TCP, timeout="5s"), "mesh_services[1].timeout", "http-only"),
    (
        "methods on tcp",
        api(ports=TCP, callers=[{"service": "web", "methods": ["GET"]}]),
        "mesh_services[1].callers[0]",
        "http-only",
    ),
    # callers
    (
        "unknown service",
        api(callers=[{"service": "wep"}]),
        "mesh_services[1].callers[0].service",
        "unknown-service",
    ),
    (
        "service of another namespace",
        api(namespace="back"),
        "mesh_services[1].callers[0].service",
        "unknown-service",
    ),
    (
        "caller of two kinds",
        api(callers=[{"service": "web", "gateway": "public"}]),
        "mesh_services[1].callers[0]",
        "caller-kind",
    ),
    ("caller of no kind", api(callers=[{"methods": ["GET"]}]), "mesh_services[1].callers[0]", "caller-kind"),
    (
        "unknown gateway",
        api(callers=[{"gateway": "privat"}]),
        "mesh_services[1].callers[0].gateway",
        "unknown-gateway",
    ),
    (
        "spiffe scheme",
        api(callers=[{"principal": "spiffe://cluster.local/ns/a/sa/b"}]),
        "mesh_services[1].callers[0].principal",
        "principal",
    ),
    (
        "principal wildcard",
        api(callers=[{"principal": "cluster.local/ns/a/sa/*"}]),
        "mesh_services[1].callers[0].principal",
        "principal",
    ),
    ("anyone", api(callers=[{"principal": "*"}]), "mesh_services[1].callers[0].principal", "principal"),
    (
        "trust domain",
        api(callers=[{"principal": "td2/ns/a/sa/b"}]),
        "mesh_services[1].callers[0].principal",
        "trust-domain",
    ),
    (
        "edge twice",
        api(callers=[{"service": "web"}, {"service": "web"}]),
        "mesh_services[1].callers[1]",
        "duplicate",
    ),
    (
        "unknown method",
        api(callers=[{"service": "web", "methods": ["get"]}]),
        "mesh_services[1].callers[0].methods[0]",
        "choice",
    ),
    (
        "path prefix without boundary",
        api(callers=[{"service": "web", "paths": ["/x*"]}]),
        "mesh_services[1].callers[0].paths[0]",
        "path-boundary",
    ),
    (
        "relative path",
        api(callers=[{"service": "web", "paths": ["x"]}]),
        "mesh_services[1].callers[0].paths[0]",
        "path-boundary",
    ),
    (
        "path with dots",
        api(callers=[{"service": "web", "paths": ["/a/../b"]}]),
        "mesh_services[1].callers[0].paths[0]",
        "path-boundary",
    ),
    (
        "unknown port",
        api(callers=[{"service": "web", "ports": ["htp"]}]),
        "mesh_services[1].callers[0].ports",
        "unknown-port",
    ),
    # mTLS
    ("weaker without reason", api(mtls={"mode": "PERMISSIVE"}), "mesh_services[1].mtls", "mtls-reason"),
    (
        "port not of the workload",
        api(mtls={"ports": {"9999": "PERMISSIVE"}, "reason": "x"}),
        "mesh_services[1].mtls.ports",
        "unknown-port",
    ),
    (
        "port by name",
        api(mtls={"ports": {"http": "PERMISSIVE"}, "reason": "x"}),
        "mesh_services[1].mtls.ports",
        "range",
    ),
    (
        "callers without identity",
        api(mtls={"mode": "DISABLE", "reason": "x"}),
        "mesh_services[1].mtls",
        "identity-needs-mtls",
    ),
    (
        "clients would send plaintext",
        lambda c: (put("mesh_mtls_mode", "DISABLE")(c), api(mtls={"mode": "STRICT"})(c)),
        "mesh_services[1].mtls",
        "mtls-clients",
    ),
    ("scrape without callers", api(scrape={"port": 9100}), "mesh_services[1].scrape.callers", "required"),
    # rate limits
    (
        "limit 0",
        api(rate_limit={"requests": 0, "per": "60s"}),
        "mesh_services[1].rate_limit.requests",
        "range",
    ),
    ("no period", api(rate_limit={"requests": 1}), "mesh_services[1].rate_limit.per", "required"),
    (
        "global without service",
        api(rate_limit={"requests": 1, "per": "60s", "scope": "global"}),
        "mesh_services[1].rate_limit.scope",
        "rate-limit-service",
    ),
    (
        "odd global period",
        api(rate_limit={"requests": 1, "per": "30s", "scope": "global"}),
        "mesh_services[1].rate_limit.per",
        "rate-limit-unit",
    ),
    (
        "too fast",
        api(rate_limit={"requests": 1, "per": "10ms"}),
        "mesh_services[1].rate_limit.per",
        "rate-limit-unit",
    ),
    (
        "gateway limit, not exposed",
        api(rate_limit={"requests": 1, "per": "60s", "at": "gateway"}),
        "mesh_services[1].rate_limit.at",
        "rate-limit-gateway",
    ),
    (
        "keys without header",
        api(rate_limit={"requests": 1, "per": "60s", "max_keys": 5}),
        "mesh_services[1].rate_limit.max_keys",
        "rate-limit-key",
    ),
    # gateways and exposures
    (
        "unknown host",
        web(exposed=[{"gateway": "public", "host": "www.example.com"}]),
        "mesh_services[0].exposed[0].host",
        "unknown-host",
    ),
    (
        "exposed at unknown gateway",
        web(exposed=[{"gateway": "pubic", "host": "api.example.com"}]),
        "mesh_services[0].exposed[0].gateway",
        "unknown-gateway",
    ),
    (
        "path exposed twice",
        api(exposed=[{"gateway": "public", "host": "api.example.com", "path": "/"}]),
        "mesh_services[1].exposed[0]",
        "duplicate",
    ),
    (
        "trailing slash",
        web(exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a/"}]),
        "mesh_services[0].exposed[0].path",
        "path-boundary",
    ),
    (
        "query in path",
        web(exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a?b=c"}]),
        "mesh_services[0].exposed[0].path",
        "path",
    ),
    ("any host", server(host="*"), "mesh_gateways[0].servers[0].host", "dns-name"),
    ("double wildcard", server(host="*.*.example.com"), "mesh_gateways[0].servers[0].host", "dns-name"),
    ("wildcard of a top-level domain", server(host="*.com"), "mesh_gateways[0].servers[0].host", "dns-name"),
    ("address as host", server(host="10.0.0.1"), "mesh_gateways[0].servers[0].host", "dns-name"),
    ("trailing dot", server(host="api.example.com."), "mesh_gateways[0].servers[0].host", "dns-name"),
    ("TLS 1.0", server(min_tls="1.0"), "mesh_gateways[0].servers[0].min_tls", "tls-floor"),
    (
        "TLS range upside down",
        server(min_tls="1.3", max_tls="1.2"),
        "mesh_gateways[0].servers[0].max_tls",
        "tls-range",
    ),
    (
        "old cipher",
        server(cipher_suites=["AES128-SHA"]),
        "mesh_gateways[0].servers[0].cipher_suites[0]",
        "choice",
    ),
    (
        "redirect without certificate",
        put("mesh_gateways.0.servers.0", {"host": "api.example.com", "https_redirect": True}),
        "mesh_gateways[0].servers[0].https_redirect",
        "tls-without-certificate",
    ),
    (
        "host twice",
        lambda c: c["mesh_gateways"].append({"name": "second", "servers": [{"host": "api.example.com"}]}),
        "mesh_gateways[1].servers[0].host",
        "duplicate",
    ),
    (
        "one port for HTTP and HTTPS",
        lambda c: c["mesh_gateways"][0]["servers"].append({"host": "b.example.com", "port": 443}),
        "mesh_gateways[0].servers[1]",
        "port-clash",
    ),
    ("gateway without workload", put("istio_gateways", []), "mesh_gateways[0].selector", "required"),
    (
        "unknown workload",
        put("mesh_gateways.0.workload", "nope"),
        "mesh_gateways[0].workload",
        "unknown-gateway",
    ),
    # external services
    (
        "external wildcard with DNS",
        external(hosts=["*.example.org"], resolution="DNS"),
        "mesh_external_services[0].resolution",
        "resolution",
    ),
    (
        "names with STATIC",
        external(resolution="STATIC", endpoints=["a.example.org"]),
        "mesh_external_services[0].endpoints",
        "resolution",
    ),
    (
        "endpoints with NONE",
        external(resolution="NONE", endpoints=["10.0.0.1"]),
        "mesh_external_services[0].endpoints",
        "resolution",
    ),
    (
        "two hosts on plain TCP",
        external(hosts=["a.example.org", "b.example.org"], ports=[{"number": 9, "protocol": "TCP"}]),
        "mesh_external_services[0].hosts",
        "tcp-host",
    ),
    ("nobody calls it", external(callers=[]), "mesh_external_services[0].callers", "required"),
    (
        "unknown external caller",
        external(callers=["wep"]),
        "mesh_external_services[0].callers[0].service",
        "unknown-service",
    ),
    (
        "cluster host as external",
        external(hosts=["api.shop.svc.cluster.local"]),
        "mesh_external_services[0].hosts",
        "external-host",
    ),
    ("no egress gateway", external(via="egress_gateway"), "mesh_external_services[0].via", "egress-gateway"),
    (
        "plain TCP at the egress gateway",
        external(via="egress_gateway", ports=[{"number": 9, "protocol": "TCP"}]),
        "mesh_external_services[0].via",
        "egress-tcp",
    ),
    ("TLS on top of TLS", external(originate_tls={}), "mesh_external_services[0].originate_tls", "http-only"),
    # telemetry
    (
        "sampling 200 %",
        put("mesh_telemetry", {"trace_sampling_percent": 200}),
        "mesh_telemetry.trace_sampling_percent",
        "range",
    ),
    (
        "unbounded metric tag",
        put("mesh_telemetry", {"metrics": {"add_tags": {"path": "request.path"}}}),
        "mesh_telemetry.metrics.add_tags",
        "metric-cardinality",
    ),
    (
        "metrics that change nothing",
        put("mesh_telemetry", {"metrics": {}}),
        "mesh_telemetry.metrics",
        "empty",
    ),
]


@pytest.mark.parametrize(
    ("change", "where", "rule"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_rule(change: Change, where: str, rule: str) -> None:
    raw = minimal()
    parse_catalogue(raw)
    change(raw)
    with pytest.raises(InputError) as caught:
        parse_catalogue(raw)
    assert (where, rule) in {(problem.where, problem.rule) for problem in caught.value.problems}, caught.value
    assert "\n" not in str(caught.value)


def test_all_problems_are_reported_at_once() -> None:
    raw = minimal()
    raw["mesh_services"][1]["callers"] = [{"service": "wep"}]
    raw["mesh_services"][1]["ports"][0]["number"] = 0
    raw["mesh_gateways"][0]["servers"].append({"host": "api.example.com", "certificate": "x"})
    raw["mesh_servces"] = []
    with pytest.raises(InputError) as caught:
        parse_catalogue(raw)
    assert {problem.rule for problem in caught.value.problems} == {
        "unknown-service",
        "range",
        "duplicate",
        "unknown-key",
    }


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        ({"mesh_servces": []}, "did you mean mesh_services"),
        ({"mesh_gateway": []}, "did you mean mesh_gateways"),
        ({"zzz": 1}, "is not a known key"),
    ],
)
def test_unknown_keys_name_the_nearest(raw: dict[str, Any], hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        parse_catalogue(minimal(**raw))


def test_unknown_service_names_the_nearest_and_other_namespaces() -> None:
    raw = minimal()
    raw["mesh_services"][1]["callers"] = [{"service": "wep"}]
    with pytest.raises(InputError, match="did you mean web"):
        parse_catalogue(raw)
    raw["mesh_services"][0]["namespace"] = "front"
    raw["mesh_services"][1]["callers"] = [{"service": "web"}]
    with pytest.raises(InputError, match="there is one in front"):
        parse_catalogue(raw)


@pytest.mark.parametrize("key", ["on", True, "true"])
def test_the_yaml_key_on_is_understood_in_every_form(key: Any) -> None:
    raw = minimal()
    raw["mesh_services"][1]["retries"] = {"attempts": 1, key: ["gateway-error"]}
    retries = parse_catalogue(raw).services[1].retries
    assert retries is not None
    assert retries.conditions == ("gateway-error",)


def test_settings_of_the_role_may_stand_in_the_same_file() -> None:
    parse_catalogue(
        minimal(mesh_connection={"context": "x"}, mesh_resource_paths=["extra/"], mesh_check="warn")
    )


def test_two_computed_objects_with_one_name_are_refused() -> None:
    raw = minimal()
    raw["mesh_services"].append(service("api-routes"))
    with pytest.raises(InputError, match="VirtualService shop/api-routes") as caught:
        mesh_resources(raw)
    assert caught.value.problems[0].rule == "name-clash"


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ({"weights": {"v1": 90, "v2": 20}}, "weights"),
        ({"weights": {"v1": 33.3, "v2": 66.7}}, "weights"),
        ({"weights": {"v1": True, "v2": 99}}, "weights"),
        ({"weights": {"v1": -10, "v2": 110}}, "weights"),
        ({"weights": {"v3": 100}}, "unknown-version"),
        ({"stable": "v3"}, "unknown-version"),
        ({}, "release-record"),
        ({"weights": "v1"}, "release-record"),
    ],
)
def test_broken_release_records_never_move_traffic(record: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError) as caught:
        mesh_resources(minimal(), {"shop/api": record})
    assert [problem.rule for problem in caught.value.problems] == [rule]
    assert caught.value.problems[0].where.startswith("releases[shop/api]")
