"""One row per rule: what is changed in a valid catalogue, and all that is said about it, word for word."""

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


EXTERNAL: dict[str, Any] = {
    "name": "pay",
    "hosts": ["pay.example.org"],
    "ports": [{"number": 443, "protocol": "TLS"}],
    "callers": ["web"],
}
RATE_LIMITS = {"host": "rl.limits.svc.cluster.local", "namespace": "limits"}


def external(**fields: Any) -> Change:
    return put("mesh_external_services", [EXTERNAL | fields])


def both(*changes: Change) -> Change:
    return lambda catalogue: [change(catalogue) for change in changes]


EGRESS = put(
    "istio_gateways", [{"name": "istio-ingressgateway"}, {"name": "istio-egressgateway", "egress": True}]
)


def server(**fields: Any) -> Change:
    return lambda catalogue: catalogue["mesh_gateways"][0]["servers"][0].update(fields)


TCP = [{"name": "tcp", "number": 5432, "protocol": "tcp"}]
WHEN = {"header": {"x-beta": "1"}}

CASES: list[tuple[str, Change, str]] = [
    ("no name", lambda c: c.pop("mesh_name"), "mesh_name: is required (required)"),
    ("name is a number", put("mesh_name", 7), "mesh_name: is a number, not a string (type)"),
    (
        "upper case",
        put("mesh_name", "Shop"),
        "mesh_name: 'Shop' is not a DNS label (lower case letters, digits and '-', at "
        "most 63 characters) (dns-label)",
    ),
    (
        "underscore",
        put("mesh_namespace", "my_shop"),
        "mesh_namespace: 'my_shop' is not a DNS label (lower case letters, digits and "
        "'-', at most 63 characters) (dns-label)",
    ),
    (
        "label too long",
        put("mesh_name", "a" * 64),
        "mesh_name: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' "
        "is not a DNS label (lower case letters, digits and '-', at most 63 "
        "characters) (dns-label)",
    ),
    (
        "newline",
        put("mesh_name", "shop\n"),
        "mesh_name: 'shop\\n' is not a DNS label (lower case letters, digits and '-', "
        "at most 63 characters) (dns-label)",
    ),
    (
        "look-alike letter",
        put("mesh_name", "shоp"),
        "mesh_name: 'shоp' is not a DNS label (lower case letters, digits and '-', at "
        "most 63 characters) (dns-label)",
    ),
    ("services is a mapping", put("mesh_services", {}), "mesh_services: is a mapping, not a list (type)"),
    (
        "service is a string",
        put("mesh_services.0", "web"),
        "mesh_services[0]: is a string, not a mapping (type)",
    ),
    (
        "unknown top key",
        put("mesh_servces", []),
        "mesh_servces: is not a known key, did you mean mesh_services (unknown-key)",
    ),
    (
        "unknown service key",
        api(retry={}),
        "mesh_services[1].retry of api: is not a known key, did you mean retries (unknown-key)",
    ),
    (
        "unknown nested key",
        api(timeout="5s", mirror={"to": "v2", "percnt": 1}),
        "mesh_services[1].mirror.percent of api: is required "
        "(required)\nmesh_services[1].mirror.percnt of api: is not a known key, did "
        "you mean percent (unknown-key)",
    ),
    (
        "unknown mode",
        put("mesh_mtls_mode", "strict"),
        "mesh_mtls_mode: is 'strict', not one of STRICT, PERMISSIVE, DISABLE (choice)",
    ),
    (
        "boolean as text",
        put("mesh_default_deny", "yes"),
        "mesh_default_deny: is a string, not true or false (type)",
    ),
    (
        "sidecar host",
        put("mesh_sidecar_hosts", ["istio-system"]),
        "mesh_sidecar_hosts[0]: 'istio-system' is not NAMESPACE/HOST (sidecar-host)",
    ),
    (
        "sidecar host for all",
        put("mesh_sidecar_hosts", ["*/*"]),
        "mesh_sidecar_hosts[0]: '*/*' would undo the scoping (sidecar-host)",
    ),
    (
        "port 0",
        put("mesh_services.1.ports.0.number", 0),
        "mesh_services[1].ports[0].number of api: is 0, not within 1 to 65535 (range)",
    ),
    (
        "port 65536",
        put("mesh_services.1.ports.0.number", 65536),
        "mesh_services[1].ports[0].number of api: is 65536, not within 1 to 65535 (range)",
    ),
    (
        "port by name",
        put("mesh_services.1.ports.0.number", "http"),
        "mesh_services[1].ports[0].number of api: is 'http', not a whole number (type)",
    ),
    (
        "port true",
        put("mesh_services.1.ports.0.number", True),
        "mesh_services[1].ports[0].number of api: is True, not a whole number (type)",
    ),
    (
        "target port by name",
        put("mesh_services.1.ports.0.target_port", "web"),
        "mesh_services[1].ports[0].target_port of api: is 'web', not a whole number (type)",
    ),
    (
        "protocol",
        put("mesh_services.1.ports.0.protocol", "udp"),
        "mesh_services[1].ports[0].protocol of api: is 'udp', not one of http, http2, "
        "grpc, grpc-web, tcp, tls, mongo, mysql, redis (choice)",
    ),
    ("no ports", api(ports=[]), "mesh_services[1].ports of api: needs at least one port (required)"),
    (
        "port number twice",
        api(ports=[*TCP, TCP[0] | {"name": "b"}]),
        "mesh_services[1].ports of api: two ports have the number 5432 (duplicate)",
    ),
    (
        "service twice",
        add(service("api")),
        "mesh_services[2].name of api: shop/api is already defined by mesh_services[1] (duplicate)",
    ),
    (
        "same pods twice",
        add(service("copy", labels={"app": "api"})),
        "mesh_services[2].labels of copy: the selector of these pods is already used "
        "by mesh_services[1].labels: one entry describes them; a headless Service over them is its headless, "
        "ports of another one are further ports (selector-clash)",
    ),
    (
        "empty selector",
        api(labels={}),
        "mesh_services[1].labels of api: is empty, which would select every workload (label)",
    ),
    (
        "wildcard label",
        api(labels={"app": "*"}),
        "mesh_services[1].labels.app of api: '*' is not a label value (label)",
    ),
    (
        "no initial version",
        lambda c: c["mesh_services"][1].pop("initial_version"),
        "mesh_services[1].initial_version of api: is required when there are several versions (required)",
    ),
    (
        "unknown initial version",
        api(initial_version="v9"),
        "mesh_services[1].initial_version of api: 'v9' is not one of the versions (unknown-version)",
    ),
    (
        "versions with equal labels",
        api(versions={"v1": {"labels": {"version": "x"}}, "v2": {"labels": {"version": "x"}}}),
        "mesh_services[1].versions.v2 of api: has the labels of version v1 (duplicate)",
    ),
    (
        "versions with one workload",
        api(versions={"v1": {"workload": "a"}, "v2": {"workload": "a"}}),
        "mesh_services[1].versions.v2 of api: has the workload of version v1 (duplicate)",
    ),
    (
        "subset without pods",
        api(versions={"v1": {"labels": {"app": "other"}}}),
        "mesh_services[1].versions.v1.labels of api: the label app=other contradicts "
        "the service's own app=api (empty-subset)",
    ),
    (
        "version name",
        api(versions={"v1": {}, "V2": {}}),
        "mesh_services[1].versions.V2 of api: 'V2' is not a DNS label (lower case "
        "letters, digits and '-', at most 63 characters) (dns-label)",
    ),
    (
        "timeout that is true",
        api(timeout=True),
        "mesh_services[1].timeout of api: is a boolean, not a string (type)",
    ),
    (
        "timeout in days",
        api(timeout="10d"),
        "mesh_services[1].timeout of api: '10d' is not a duration such as 500ms, 10s or 1m30s; none stands for no timeout (duration)",
    ),
    (
        "timeout of less than a millisecond",
        api(timeout="0.5ms"),
        "mesh_services[1].timeout of api: '0.5ms' is shorter than 1ms; none stands for no timeout (duration)",
    ),
    (
        "timeout that is no text",
        api(timeout=False),
        "mesh_services[1].timeout of api: is a boolean, not a string (type)",
    ),
    (
        "0 where something else has to end",
        api(retries={"attempts": 1, "per_try_timeout": "0s"}),
        "mesh_services[1].retries.per_try_timeout of api: '0s' is shorter than 1ms (duration)",
    ),
    (
        "timeout of weeks",
        api(timeout="1000h"),
        "mesh_services[1].timeout of api: '1000h' is longer than 24h; none stands for no timeout (duration)",
    ),
    (
        "tries exceed the timeout",
        api(timeout="5s", retries={"attempts": 2, "per_try_timeout": "2s"}),
        "mesh_services[1].retries of api: 3 tries of 2s take 6s, more than the timeout 5s (timeout-budget)",
    ),
    (
        "route inherits too little",
        api(
            timeout="9s",
            retries={"attempts": 2, "per_try_timeout": "3s"},
            routes=[{"name": "r", "when": WHEN, "timeout": "5s"}],
        ),
        "mesh_services[1].routes[0] of api: 3 tries of 3s take 9s, more than the timeout 5s (timeout-budget)",
    ),
    (
        "attempts negative",
        api(retries={"attempts": -1}),
        "mesh_services[1].retries.attempts of api: is -1, not within 0 to 10 (range)",
    ),
    (
        "attempts 33.3",
        api(retries={"attempts": 33.3}),
        "mesh_services[1].retries.attempts of api: is 33.3, not a whole number (type)",
    ),
    (
        "on without attempts",
        api(retries={"attempts": 0, "on": ["5xx"]}),
        "mesh_services[1].retries.attempts of api: is 0, so 'on' and per_try_timeout "
        "have no effect (retry-attempts)",
    ),
    (
        "unknown condition",
        api(retries={"attempts": 1, "on": ["5xxx"]}),
        "mesh_services[1].retries.on[0] of api: '5xxx' is neither a status code nor "
        "one of connect-failure, refused-stream, reset-before-request, 5xx, "
        "gateway-error, reset, retriable-4xx, envoy-ratelimited, cancelled, "
        "deadline-exceeded, internal, resource-exhausted, unavailable "
        "(retry-conditions)",
    ),
    (
        "grpc retries",
        api(
            ports=[{"name": "grpc", "number": 1, "protocol": "grpc"}],
            retries={"attempts": 1, "on": ["unavailable"]},
        ),
        "mesh_services[1].retries of api: every gRPC call is a POST, so unavailable "
        "would never be retried; set non_idempotent: true if the calls may run twice "
        "(retry-idempotence)",
    ),
    (
        "grpc mirror",
        api(ports=[{"name": "grpc", "number": 1, "protocol": "grpc"}], mirror={"to": "v2", "percent": 5}),
        "mesh_services[1].mirror of api: every gRPC call is a POST, so nothing would "
        "be mirrored; set writes: true if it may run twice (mirror-writes)",
    ),
    (
        "mirror 101 %",
        api(mirror={"to": "v2", "percent": 101}),
        "mesh_services[1].mirror.percent of api: is 101, not within 0 to 100 (range)",
    ),
    (
        "mirror '10%'",
        api(mirror={"to": "v2", "percent": "10%"}),
        "mesh_services[1].mirror.percent of api: is '10%', not a number (type)",
    ),
    (
        "mirror NaN",
        api(mirror={"to": "v2", "percent": float("nan")}),
        "mesh_services[1].mirror.percent of api: is nan, not within 0 to 100 (range)",
    ),
    (
        "mirror infinite",
        api(mirror={"to": "v2", "percent": float("inf")}),
        "mesh_services[1].mirror.percent of api: is inf, not within 0 to 100 (range)",
    ),
    (
        "mirror to nowhere",
        api(mirror={"to": "v3", "percent": 5}),
        "mesh_services[1].mirror.to of api: no version 'v3'; there is v1, v2 (unknown-version)",
    ),
    (
        "variant to nowhere",
        api(variants=[{"name": "b", "to": "v3", "when": WHEN}]),
        "mesh_services[1].variants[0].to of api: no version 'v3'; there is v1, v2 (unknown-version)",
    ),
    (
        "variant without condition",
        api(variants=[{"name": "b", "to": "v2"}]),
        "mesh_services[1].variants[0].when of api: is required (required)",
    ),
    (
        "variant with empty condition",
        api(variants=[{"name": "b", "to": "v2", "when": {}}]),
        "mesh_services[1].variants[0].when of api: needs one of header, cookie, query: "
        "it would match every request (empty)",
    ),
    (
        "variant twice",
        api(
            variants=[
                {"name": "b", "to": "v2", "when": WHEN},
                {"name": "b", "to": "v1", "when": {"header": {"x": "1"}}},
            ]
        ),
        "mesh_services[1].variants of api: two entries have the name 'b' (duplicate)",
    ),
    (
        "variant never reached",
        api(variants=[{"name": "b", "to": "v2", "when": WHEN}, {"name": "c", "to": "v1", "when": WHEN}]),
        "mesh_services[1].variants[1].when of api: is the condition of variants[0], which wins (unreachable)",
    ),
    (
        "cookie as header",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"Cookie": "a=b"}}}]),
        "mesh_services[1].variants[0].when.header of api: a cookie is matched by "
        "'cookie', not as a header (cookie)",
    ),
    (
        "two cookies",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"a": "1", "b": "2"}}}]),
        "mesh_services[1].variants[0].when.cookie of api: takes one cookie: a "
        "request's cookies share one header, matched once (cookie)",
    ),
    (
        "cookie with a semicolon",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"a": "1;b"}}}]),
        "mesh_services[1].variants[0].when.cookie of api: '1;b' is not a cookie value (cookie-name)",
    ),
    (
        "bad header name",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x y": "1"}}}]),
        "mesh_services[1].variants[0].when.header of api: 'x y' is not an HTTP header name (header-name)",
    ),
    (
        "host header",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"Host": "1"}}}]),
        "mesh_services[1].variants[0].when.header of api: the Host header is matched "
        "by 'host', not as a header (header-name)",
    ),
    (
        "look-ahead",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": {"regex": "a(?=b)"}}}}]),
        "mesh_services[1].variants[0].when.header.x.regex of api: 'a(?=b)' uses a "
        "group '(?...' other than '(?:' (re2)",
    ),
    (
        "two kinds of match",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": {"exact": "a", "prefix": "b"}}}}]),
        "mesh_services[1].variants[0].when.header.x of api: needs exactly one of "
        "exact, prefix, regex (string-match)",
    ),
    (
        "route that changes nothing",
        api(routes=[{"name": "r", "when": WHEN}]),
        "mesh_services[1].routes[0] of api: changes nothing: give to, timeout or retries (empty)",
    ),
    (
        "path route behind a rewrite",
        web(
            exposed=[{"gateway": "public", "host": "api.example.com", "path": "/w", "rewrite": "/"}],
            routes=[{"name": "r", "when": {"path": "/slow"}, "timeout": "9s"}],
        ),
        "mesh_services[0].routes[0].when.path of web: cannot match behind mesh_services[0].exposed[0], which rewrites the path (route-rewrite)",
    ),
    (
        "path route wider than its exposure",
        web(
            exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a/b"}],
            routes=[{"name": "r", "when": {"path": "/a"}, "timeout": "9s"}],
        ),
        "mesh_services[0].routes[0].when.path of web: '/a' is wider than mesh_services[0].exposed[0], which exposes '/a/b' only (route-nesting)",
    ),
    (
        "fault without effect",
        api(fault={"only_header": "x-test"}),
        "mesh_services[1].fault of api: needs delay or abort (empty)",
    ),
    (
        "fault status 99",
        api(fault={"abort": {"percent": 1, "status": 99}}),
        "mesh_services[1].fault.abort.status of api: is 99, not within 200 to 599 (range)",
    ),
    (
        "credentials for every origin",
        api(cors={"origins": [{"regex": ".*"}], "credentials": True}),
        "mesh_services[1].cors.origins of api: every origin together with credentials "
        "gives any site the user's session (cors)",
    ),
    (
        "fractions of a second",
        api(cors={"origins": ["https://a.example.com"], "max_age": "1500ms"}),
        "mesh_services[1].cors.max_age of api: '1500ms' is not a whole number of seconds (duration)",
    ),
    (
        "breaker without trigger",
        api(circuit_breaker={"interval": "10s"}),
        "mesh_services[1].circuit_breaker of api: needs one of consecutive_5xx, "
        "consecutive_gateway_errors, consecutive_local_origin_failures "
        "(circuit-breaker-trigger)",
    ),
    (
        "breaker, old field",
        api(circuit_breaker={"consecutive_errors": 5}),
        "mesh_services[1].circuit_breaker.consecutive_errors of api: is not a known "
        "key, did you mean consecutive_gateway_errors (unknown-key)",
    ),
    (
        "breaker shadowed trigger",
        api(circuit_breaker={"consecutive_5xx": 5, "consecutive_gateway_errors": 6}),
        "mesh_services[1].circuit_breaker.consecutive_gateway_errors of api: 6 has no "
        "effect beside consecutive_5xx 5, which counts gateway errors as well "
        "(circuit-breaker-trigger)",
    ),
    (
        "ejects 101 %",
        api(circuit_breaker={"consecutive_5xx": 5, "max_ejection_percent": 101}),
        "mesh_services[1].circuit_breaker.max_ejection_percent of api: is 101, not within 1 to 100 (range)",
    ),
    (
        "ejects 0 %, which istiod takes for Envoy's 10 %",
        api(circuit_breaker={"consecutive_5xx": 5, "max_ejection_percent": 0}),
        "mesh_services[1].circuit_breaker.max_ejection_percent of api: is 0, not within 1 to 100 (range)",
    ),
    ("empty pool", api(connection_pool={}), "mesh_services[1].connection_pool of api: is empty (empty)"),
    (
        "no endpoint is chosen for a split",
        api(load_balancing={"policy": "PASSTHROUGH"}),
        "mesh_services[1].load_balancing.policy of api: PASSTHROUGH keeps the address that the caller chose, "
        "so no split reaches a version (passthrough)",
    ),
    (
        "no endpoint is chosen at a gateway",
        web(load_balancing={"policy": "PASSTHROUGH"}),
        "mesh_services[0].load_balancing.policy of web: PASSTHROUGH keeps the address that the caller chose, "
        "and through a gateway nobody does (passthrough)",
    ),
    (
        "hash and policy",
        api(load_balancing={"policy": "RANDOM", "hash": {"source_ip": True}}),
        "mesh_services[1].load_balancing.hash of api: cannot be combined with policy (load-balancing)",
    ),
    (
        "two hashes",
        api(load_balancing={"hash": {"source_ip": True, "header": "x"}}),
        "mesh_services[1].load_balancing.hash of api: needs exactly one of header, "
        "cookie, query, source_ip (load-balancing)",
    ),
    (
        "failover without breaker",
        api(load_balancing={"locality": {"failover": [{"from": "a", "to": "b"}]}}),
        "mesh_services[1].load_balancing.locality of api: locality failover works only "
        "with a circuit_breaker, which finds the sick endpoints (locality)",
    ),
    (
        "distribution of 90 %",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"distribute": [{"from": "a/*", "to": {"a/*": 60, "b/*": 30}}]}},
        ),
        "mesh_services[1].load_balancing.locality.distribute[0].to of api: the weights add up to 90, not 100 (weights)",
    ),
    (
        "http settings on tcp",
        api(ports=TCP, timeout="5s"),
        "mesh_services[1].timeout of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "methods on tcp",
        api(ports=TCP, callers=[{"service": "web", "methods": ["GET"]}]),
        "mesh_services[1].callers[0] of api: methods and paths exist on HTTP ports "
        "only; on TCP the rule would never match (http-only)",
    ),
    (
        "unknown service",
        api(callers=[{"service": "wep"}]),
        "mesh_services[1].callers[0].service of api: no service 'wep' in namespace "
        "shop, did you mean web (unknown-service)",
    ),
    (
        "service of another namespace",
        api(namespace="back"),
        "mesh_services[1].callers[0].service of api: no service 'web' in namespace "
        "back; there is one in shop (unknown-service)",
    ),
    (
        "caller of two kinds",
        api(callers=[{"service": "web", "gateway": "public"}]),
        "mesh_services[1].callers[0] of api: needs exactly one of service, principal, gateway, anonymous, ip_blocks (caller-kind)",
    ),
    (
        "caller of no kind",
        api(callers=[{"methods": ["GET"]}]),
        "mesh_services[1].callers[0] of api: needs exactly one of service, principal, gateway, anonymous, ip_blocks (caller-kind)",
    ),
    (
        "unknown gateway",
        api(callers=[{"gateway": "privat"}]),
        "mesh_services[1].callers[0].gateway of api: no gateway 'privat' (unknown-gateway)",
    ),
    (
        "spiffe scheme",
        api(callers=[{"principal": "spiffe://cluster.local/ns/a/sa/b"}]),
        "mesh_services[1].callers[0].principal of api: "
        "'spiffe://cluster.local/ns/a/sa/b' must be written without spiffe:// "
        "(principal)",
    ),
    (
        "principal wildcard",
        api(callers=[{"principal": "cluster.local/ns/a/sa/*"}]),
        "mesh_services[1].callers[0].principal of api: 'cluster.local/ns/a/sa/*' is "
        "not TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT without wildcards (principal)",
    ),
    (
        "anyone",
        api(callers=[{"principal": "*"}]),
        "mesh_services[1].callers[0].principal of api: '*' is not "
        "TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT without wildcards (principal)",
    ),
    (
        "trust domain",
        api(callers=[{"principal": "td2/ns/a/sa/b"}]),
        "mesh_services[1].callers[0].principal of api: the trust domain 'td2' is not "
        "cluster.local (trust-domain)",
    ),
    (
        "edge twice",
        api(callers=[{"service": "web"}, {"service": "web"}]),
        "mesh_services[1].callers[1] of api: the same edge is already used by "
        "mesh_services[1].callers[0] (duplicate)",
    ),
    (
        "unknown method",
        api(callers=[{"service": "web", "methods": ["get"]}]),
        "mesh_services[1].callers[0].methods[0] of api: 'get' is not one of GET, HEAD, "
        "POST, PUT, PATCH, DELETE, OPTIONS, TRACE (choice)",
    ),
    (
        "path prefix without boundary",
        api(callers=[{"service": "web", "paths": ["/x*"]}]),
        "mesh_services[1].callers[0].paths[0] of api: '/x*' has a '*' that does not "
        "follow a final '/'; '/x*' would also match '/xy' (path-boundary)",
    ),
    (
        "relative path",
        api(callers=[{"service": "web", "paths": ["x"]}]),
        "mesh_services[1].callers[0].paths[0] of api: 'x' is not a path (it starts "
        "with '/', holds no query, no fragment and no '*') (path-boundary)",
    ),
    (
        "path with dots",
        api(callers=[{"service": "web", "paths": ["/a/../b"]}]),
        "mesh_services[1].callers[0].paths[0] of api: '/a/../b' is not a normalised path (path-boundary)",
    ),
    (
        "unknown port",
        api(callers=[{"service": "web", "ports": ["htp"]}]),
        "mesh_services[1].callers[0].ports of api: api has no port 'htp', did you mean http (unknown-port)",
    ),
    (
        "weaker without reason",
        api(mtls={"mode": "PERMISSIVE"}),
        "mesh_services[1].mtls of api: is weaker than the mesh's STRICT and needs a reason (mtls-reason)",
    ),
    (
        "port not of the workload",
        api(mtls={"ports": {"9999": "PERMISSIVE"}, "reason": "x"}),
        "mesh_services[1].mtls.ports of api: 9999 is not a target port of api (3000) (unknown-port)",
    ),
    (
        "port by name",
        api(mtls={"ports": {"http": "PERMISSIVE"}, "reason": "x"}),
        "mesh_services[1].mtls.ports of api: 'http' is not a target port (1 to 65535) (range)",
    ),
    (
        "callers without identity",
        api(mtls={"mode": "DISABLE", "reason": "x"}),
        "mesh_services[1].mtls of api: port 3000 without mTLS shows no caller "
        "identity, so callers cannot be told apart (identity-needs-mtls)",
    ),
    (
        "exposed without identity",
        web(mtls={"mode": "DISABLE", "reason": "x"}),
        "mesh_services[0].mtls of web: port 3000 without mTLS shows no caller "
        "identity, so callers cannot be told apart (identity-needs-mtls)",
    ),
    (
        "open paths without identity",
        api(
            mtls={"mode": "DISABLE", "reason": "x"},
            callers=[{"anonymous": True, "reason": "y"}],
            open_paths=["/health"],
        ),
        "mesh_services[1].mtls of api: port 3000 without mTLS shows no caller "
        "identity, so callers cannot be told apart (identity-needs-mtls)",
    ),
    (
        "scraped on a TCP port",
        api(
            ports=[{"number": 80, "protocol": "http"}, {"number": 9121, "protocol": "tcp"}],
            scrape={"port": 9121, "callers": ["web"]},
        ),
        "mesh_services[1].scrape.port of api: 9121 is the port tcp (tcp): a rule for GET /metrics never "
        "matches there (http-only)",
    ),
    (
        "methods on http and tcp",
        api(
            ports=[{"number": 80, "protocol": "http"}, {"number": 5432, "protocol": "tcp"}],
            callers=[{"service": "web", "methods": ["GET"]}],
        ),
        "mesh_services[1].callers[0] of api: methods and paths exist on HTTP ports only, so tcp would stay "
        "closed: name the HTTP ports in ports, and give the others an entry of their own (http-only)",
    ),
    (
        "methods on a named tcp port",
        api(
            ports=[{"number": 80, "protocol": "http"}, {"number": 5432, "protocol": "tcp"}],
            callers=[{"service": "web", "paths": ["/x"], "ports": ["tcp"]}],
        ),
        "mesh_services[1].callers[0] of api: methods and paths exist on HTTP ports only; on TCP the rule "
        "would never match (http-only)",
    ),
    (
        "an unknown port is one problem",
        api(
            ports=[{"number": 80, "protocol": "http"}, {"number": 5432, "protocol": "tcp"}],
            callers=[{"service": "web", "methods": ["GET"], "ports": ["htp"]}],
        ),
        "mesh_services[1].callers[0].ports of api: api has no port 'htp', did you mean http (unknown-port)",
    ),
    (
        "one target as http and tcp",
        api(
            ports=[
                {"number": 80, "target_port": 8080, "protocol": "http"},
                {"number": 81, "target_port": 8080, "protocol": "tcp"},
            ]
        ),
        "mesh_services[1].ports of api: http (http) and tcp (tcp) have the target port 8080, which a proxy "
        "reads in one way only (one-protocol)",
    ),
    (
        "one target as http and grpc",
        api(
            ports=[
                {"number": 80, "target_port": 8080, "protocol": "http"},
                {"number": 81, "target_port": 8080, "protocol": "grpc"},
            ]
        ),
        "mesh_services[1].ports of api: http (http) and grpc (grpc) have the target port 8080, which a proxy "
        "reads in one way only (one-protocol)",
    ),
    (
        "a gateway as caller of what it exposes",
        web(callers=[{"gateway": "public", "paths": ["/other"]}]),
        "mesh_services[0].callers[0] of web: mesh_services[0].exposed[0] lets public in already, for what it "
        "exposes: give methods there, or leave it out and write the routes under mesh_resource_paths "
        "(two-ways-in)",
    ),
    (
        "a host two labels below a wildcard certificate",
        both(
            server(host="*.example.com"),
            web(exposed=[{"gateway": "public", "host": "a.b.example.com"}]),
        ),
        "mesh_services[0].exposed[0].host of web: a.b.example.com is not covered by the certificate of "
        "*.example.com, whose '*' is one label: give it a server of its own, or *.b.example.com one "
        "(certificate-host)",
    ),
    (
        "a host that leaves by the egress gateway twice",
        both(
            EGRESS,
            put(
                "mesh_external_services",
                [
                    EXTERNAL | {"via": "egress_gateway"},
                    EXTERNAL
                    | {
                        "via": "egress_gateway",
                        "namespace": "back",
                        "callers": [{"service": "web", "namespace": "shop"}],
                    },
                ],
            ),
        ),
        "mesh_external_services[1].hosts of pay: at the egress gateway the host is already used by "
        "mesh_external_services[0].hosts (duplicate)",
    ),
    (
        "a name with a line break stays on its line",
        web(name="web\n"),
        "mesh_services[0].name: 'web\\n' is not a DNS label (lower case letters, digits and '-', at most 63 "
        "characters) (dns-label)",
    ),
    (
        "clients would send plaintext",
        lambda c: (
            put("mesh_mtls_mode", "DISABLE")(c),
            web(exposed=[])(c),
            api(mtls={"mode": "STRICT"})(c),
        ),
        "mesh_services[1].mtls of api: STRICT under mesh_mtls_mode DISABLE fails every "
        "call: clients send plaintext (mtls-clients)",
    ),
    (
        "scrape without callers",
        api(scrape={"port": 9100}),
        "mesh_services[1].scrape.callers of api: needs at least one scraper (required)",
    ),
    (
        "limit 0",
        api(rate_limit={"requests": 0, "per": "60s"}),
        "mesh_services[1].rate_limit.requests of api: is 0, not within 1 to 1000000 (range)",
    ),
    (
        "no period",
        api(rate_limit={"requests": 1}),
        "mesh_services[1].rate_limit.per of api: is required (required)",
    ),
    (
        "global without service",
        api(rate_limit={"requests": 1, "per": "60s", "scope": "global"}),
        "mesh_services[1].rate_limit.scope of api: global needs mesh_rate_limit_service (rate-limit-service)",
    ),
    (
        "odd global period",
        api(rate_limit={"requests": 1, "per": "30s", "scope": "global"}),
        "mesh_services[1].rate_limit.per of api: is '30s'; the rate limit service "
        "counts per 1s, 60s, 1h or 24h "
        "(rate-limit-unit)\nmesh_services[1].rate_limit.scope of api: global needs "
        "mesh_rate_limit_service (rate-limit-service)",
    ),
    (
        "too fast",
        api(rate_limit={"requests": 1, "per": "10ms"}),
        "mesh_services[1].rate_limit.per of api: is '10ms'; Envoy refills no faster "
        "than every 50ms (rate-limit-unit)",
    ),
    (
        "gateway limit, not exposed",
        api(rate_limit={"requests": 1, "per": "60s", "at": "gateway"}),
        "mesh_services[1].rate_limit.at of api: gateway needs an entry in exposed (rate-limit-gateway)",
    ),
    (
        "keys without header",
        api(rate_limit={"requests": 1, "per": "60s", "max_keys": 5}),
        "mesh_services[1].rate_limit.max_keys of api: needs by.header (rate-limit-key)",
    ),
    (
        "keys of a global limit",
        both(
            put("mesh_rate_limit_service", {"host": "limits.shop.svc.cluster.local", "namespace": "shop"}),
            api(
                rate_limit={
                    "scope": "global",
                    "requests": 1,
                    "per": "60s",
                    "by": {"header": "x"},
                    "max_keys": 5,
                }
            ),
        ),
        "mesh_services[1].rate_limit.max_keys of api: has no effect with scope global: every value counts "
        "(rate-limit-key)",
    ),
    (
        "unknown host",
        web(exposed=[{"gateway": "public", "host": "www.example.com"}]),
        "mesh_services[0].exposed[0].host of web: gateway public serves "
        "api.example.com, not www.example.com (unknown-host)",
    ),
    (
        "exposed at unknown gateway",
        web(exposed=[{"gateway": "pubic", "host": "api.example.com"}]),
        "mesh_services[0].exposed[0].gateway of web: no gateway 'pubic', did you mean "
        "public (unknown-gateway)",
    ),
    (
        "path exposed twice",
        api(exposed=[{"gateway": "public", "host": "api.example.com", "path": "/"}]),
        "mesh_services[1].exposed[0] of api: this path of the host is already used by "
        "mesh_services[0].exposed[0] (duplicate)",
    ),
    (
        "trailing slash",
        web(exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a/"}]),
        "mesh_services[0].exposed[0].path of web: '/a/' ends in '/'; '/a' covers it "
        "and everything below (path-boundary)",
    ),
    (
        "query in path",
        web(exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a?b=c"}]),
        "mesh_services[0].exposed[0].path of web: '/a?b=c' is not a path (it starts "
        "with '/', holds no query, no fragment and no '*') (path)",
    ),
    (
        "any host",
        server(host="*"),
        "mesh_gateways[0].servers[0].host of public: '*' is not a DNS name (dns-name)",
    ),
    (
        "double wildcard",
        server(host="*.*.example.com"),
        "mesh_gateways[0].servers[0].host of public: '*.example.com' is not a DNS name (dns-name)",
    ),
    (
        "wildcard of a top-level domain",
        server(host="*.com"),
        "mesh_gateways[0].servers[0].host of public: '*.com' covers a whole top-level domain (dns-name)",
    ),
    (
        "address as host",
        server(host="10.0.0.1"),
        "mesh_gateways[0].servers[0].host of public: '10.0.0.1' is an address, not a DNS name (dns-name)",
    ),
    (
        "trailing dot",
        server(host="api.example.com."),
        "mesh_gateways[0].servers[0].host of public: 'api.example.com.' is not a DNS name (dns-name)",
    ),
    (
        "TLS 1.0",
        server(min_tls="1.0"),
        "mesh_gateways[0].servers[0].min_tls of public: is '1.0', not 1.2 or 1.3 (tls-floor)",
    ),
    (
        "TLS range upside down",
        server(min_tls="1.3", max_tls="1.2"),
        "mesh_gateways[0].servers[0].max_tls of public: 1.2 is below min_tls 1.3 (tls-range)",
    ),
    (
        "ciphers that TLS 1.3 does not know",
        server(min_tls="1.3", cipher_suites=["ECDHE-RSA-AES256-GCM-SHA384"]),
        "mesh_gateways[0].servers[0].cipher_suites of public: have no effect with min_tls 1.3 (tls-range)",
    ),
    (
        "one port for HTTPS and its redirect",
        server(port=8443, http_port=8443),
        "mesh_gateways[0].servers[0].http_port of public: 8443 is also the HTTPS port (port-clash)",
    ),
    (
        "port of a redirect that is switched off",
        server(https_redirect=False, http_port=8080),
        "mesh_gateways[0].servers[0].http_port of public: is the port of a redirect to HTTPS, and there is none "
        "(http-only)",
    ),
    (
        "port of a redirect instead of the port of a plain host",
        lambda c: c["mesh_gateways"][0]["servers"].append({"host": "plain.example.com", "http_port": 8080}),
        "mesh_gateways[0].servers[1].http_port of public: is the port of a redirect to HTTPS, and there is none "
        "(http-only)",
    ),
    (
        "redirect of something else than HTTPS",
        server(protocol="TLS", https_redirect=True),
        "mesh_gateways[0].servers[0].https_redirect of public: needs protocol HTTPS, not TLS (http-only)",
    ),
    (
        "passthrough with a certificate",
        server(mode="PASSTHROUGH"),
        "mesh_gateways[0].servers[0].certificate of public: has no use with mode PASSTHROUGH: TLS ends at the "
        "service (tls-passthrough)",
    ),
    (
        "plain HTTP with a certificate",
        server(protocol="HTTP"),
        "mesh_gateways[0].servers[0].protocol of public: is HTTP; with a certificate it is HTTPS "
        "(tls-certificate)",
    ),
    (
        "bytes with a certificate",
        server(protocol="TCP"),
        "mesh_gateways[0].servers[0].protocol of public: is TCP; with a certificate it is TLS (tls-certificate)",
    ),
    (
        "passthrough of HTTP",
        put(
            "mesh_gateways.0.servers.0",
            {"host": "api.example.com", "mode": "PASSTHROUGH", "protocol": "HTTP"},
        ),
        "mesh_gateways[0].servers[0].protocol of public: is HTTP; mode PASSTHROUGH goes with TLS "
        "(tls-passthrough)",
    ),
    (
        "TLS without a certificate",
        put("mesh_gateways.0.servers.0", {"host": "api.example.com", "protocol": "TLS"}),
        "mesh_gateways[0].servers[0].protocol of public: TLS needs a certificate or mode PASSTHROUGH "
        "(tls-without-certificate)",
    ),
    (
        "HTTPS without a certificate",
        put("mesh_gateways.0.servers.0", {"host": "api.example.com", "protocol": "HTTPS"}),
        "mesh_gateways[0].servers[0].protocol of public: HTTPS needs a certificate (tls-without-certificate)",
    ),
    (
        "old cipher",
        server(cipher_suites=["AES128-SHA"]),
        "mesh_gateways[0].servers[0].cipher_suites[0] of public: 'AES128-SHA' is not "
        "one of ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-ECDSA-AES256-GCM-SHA384, "
        "ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-RSA-AES128-GCM-SHA256, "
        "ECDHE-RSA-AES256-GCM-SHA384, ECDHE-RSA-CHACHA20-POLY1305 (choice)",
    ),
    (
        "redirect without certificate",
        put("mesh_gateways.0.servers.0", {"host": "api.example.com", "https_redirect": True}),
        "mesh_gateways[0].servers[0].https_redirect of public: needs a certificate (tls-without-certificate)",
    ),
    (
        "host twice",
        lambda c: c["mesh_gateways"].append({"name": "second", "servers": [{"host": "api.example.com"}]}),
        "mesh_gateways[1].servers[0].host of second: the host is already used by "
        "mesh_gateways[0].servers[0].host (duplicate)",
    ),
    (
        "one port for HTTP and HTTPS",
        lambda c: c["mesh_gateways"][0]["servers"].append({"host": "b.example.com", "port": 443}),
        "mesh_gateways[0].servers[1] of public: port 443 serves HTTPS for "
        "mesh_gateways[0].servers[0] as well (port-clash)",
    ),
    (
        "gateway without workload",
        put("istio_gateways", []),
        "mesh_gateways[0].workload_namespace of public: is required "
        "(required)\nmesh_gateways[0].service_account of public: is required "
        "(required)\nmesh_gateways[0].selector of public: is required; it has no "
        "default without istio_gateways (required)",
    ),
    (
        "unknown workload",
        put("mesh_gateways.0.workload", "nope"),
        "mesh_gateways[0].workload of public: istio_gateways has no gateway 'nope' (unknown-gateway)",
    ),
    (
        "servers as text",
        put("mesh_gateways.0.servers", "api.example.com"),
        "mesh_gateways[0].servers of public: is a string, not a list (type)",
    ),
    (
        "no servers",
        put("mesh_gateways.0.servers", []),
        "mesh_gateways[0].servers of public: needs at least one host (required)",
    ),
    (
        "external wildcard with DNS",
        external(hosts=["*.example.org"], resolution="DNS"),
        "mesh_external_services[0].resolution of pay: DNS cannot resolve a wildcard "
        "host without endpoints; use NONE (resolution)",
    ),
    (
        "names with STATIC",
        external(resolution="STATIC", endpoints=["a.example.org"]),
        "mesh_external_services[0].endpoints of pay: must be addresses with resolution "
        "STATIC; use DNS for names (resolution)",
    ),
    (
        "endpoints with NONE",
        external(resolution="NONE", endpoints=["10.0.0.1"]),
        "mesh_external_services[0].endpoints of pay: cannot be given with resolution NONE (resolution)",
    ),
    (
        "two hosts on plain TCP",
        external(hosts=["a.example.org", "b.example.org"], ports=[{"number": 9, "protocol": "TCP"}]),
        "mesh_external_services[0].hosts of pay: a plain TCP port carries no host "
        "name, so only one host can be told apart (tcp-host)",
    ),
    (
        "nobody calls it",
        external(callers=[]),
        "mesh_external_services[0].callers of pay: needs at least one entry (required)",
    ),
    (
        "unknown external caller",
        external(callers=["wep"]),
        "mesh_external_services[0].callers[0].service of pay: no service 'wep' in "
        "namespace shop, did you mean web (unknown-service)",
    ),
    (
        "cluster host as external",
        external(hosts=["api.shop.svc.cluster.local"]),
        "mesh_external_services[0].hosts of pay: api.shop.svc.cluster.local is a "
        "service of the cluster (external-host)",
    ),
    (
        "no egress gateway",
        external(via="egress_gateway"),
        "mesh_external_services[0].via of pay: needs mesh_egress_gateway (egress-gateway)",
    ),
    (
        "plain TCP at the egress gateway",
        external(via="egress_gateway", ports=[{"number": 9, "protocol": "TCP"}]),
        "mesh_external_services[0].via of pay: plain TCP ports cannot be told apart at "
        "an egress gateway; use TLS (egress-tcp)\nmesh_external_services[0].via of "
        "pay: needs mesh_egress_gateway (egress-gateway)",
    ),
    (
        "TLS on top of TLS",
        external(originate_tls={}),
        "mesh_external_services[0].originate_tls of pay: needs a port of protocol "
        "HTTP, HTTP2 or GRPC (http-only)",
    ),
    (
        "sampling 200 %",
        put("mesh_telemetry", {"trace_sampling_percent": 200}),
        "mesh_telemetry.trace_sampling_percent: is 200, not within 0 to 100 (range)",
    ),
    (
        "unbounded metric tag",
        put("mesh_telemetry", {"metrics": {"add_tags": {"path": "request.path"}}}),
        "mesh_telemetry.metrics.add_tags: path takes its value from 'request.path', "
        "whose values may be unbounded; allowed are connection.mtls, destination.port, "
        "request.method, request.protocol, request.scheme, response.code, "
        "response.grpc_status, xds.cluster_name, xds.route_name (metric-cardinality)",
    ),
    (
        "metrics that change nothing",
        put("mesh_telemetry", {"metrics": {}}),
        "mesh_telemetry.metrics: changes nothing: give remove_tags, add_tags or disabled (empty)",
    ),
    (
        "R20i: bad path of a route",
        web(routes=[{"name": "r", "when": {"path": "events"}, "timeout": "9s"}]),
        "mesh_services[0].routes[0].when.path of web: 'events' is not a path (it "
        "starts with '/', holds no query, no fragment and no '*') (path)",
    ),
    (
        "two bad paths of routes",
        web(
            routes=[
                {"name": "r", "when": {"path": "a?b"}, "timeout": "9s"},
                {"name": "s", "when": {"path": 7, "header": {"x y": "1"}}, "timeout": "8s"},
            ]
        ),
        "mesh_services[0].routes[0].when.path of web: 'a?b' is not a path (it starts "
        "with '/', holds no query, no fragment and no '*') "
        "(path)\nmesh_services[0].routes[1].when.header of web: 'x y' is not an HTTP "
        "header name (header-name)\nmesh_services[0].routes[1].when.path of web: is a "
        "number, not a string (type)",
    ),
    (
        "bad timeout of a route",
        web(routes=[{"name": "r", "when": WHEN, "timeout": "0.1ms"}]),
        "mesh_services[0].routes[0].timeout of web: '0.1ms' is shorter than 1ms; none stands for no timeout (duration)",
    ),
    (
        "bad version of a route",
        api(routes=[{"name": "r", "when": WHEN, "to": 1}]),
        "mesh_services[1].routes[0].to of api: is a number, not a string (type)",
    ),
    (
        "bad retries of a route",
        web(routes=[{"name": "r", "when": WHEN, "retries": 3}]),
        "mesh_services[0].routes[0].retries of web: is a number, not a mapping (type)",
    ),
    (
        "route to nowhere",
        api(routes=[{"name": "r", "when": WHEN, "to": "v3"}]),
        "mesh_services[1].routes[0].to of api: no version 'v3'; there is v1, v2 (unknown-version)",
    ),
    (
        "route without name",
        web(routes=[{"when": WHEN, "timeout": "9s"}]),
        "mesh_services[0].routes[0].name of web: is required (required)",
    ),
    (
        "route and variant of one name",
        api(
            routes=[{"name": "b", "when": WHEN, "timeout": "9s"}],
            variants=[{"name": "b", "to": "v2", "when": {"header": {"x": "1"}}}],
        ),
        "mesh_services[1].variants[0].name of api: is also the name of a route (duplicate)",
    ),
    (
        "variant within an earlier one",
        api(
            variants=[
                {"name": "b", "to": "v2", "when": WHEN},
                {"name": "c", "to": "v1", "when": {**WHEN, "query": {"q": "1"}}},
            ]
        ),
        "mesh_services[1].variants[1].when of api: is never reached: variants[0] takes all of its requests "
        "before (unreachable)",
    ),
    (
        "route within an earlier one of its path",
        api(
            routes=[
                {"name": "r", "when": {"path": "/r"}, "timeout": "9s"},
                {"name": "s", "when": {"path": "/r", "header": {"x": "1"}}, "timeout": "8s"},
            ]
        ),
        "mesh_services[1].routes[1].when of api: is never reached: routes[0] takes all of its requests before "
        "(unreachable)",
    ),
    (
        "variant within a route",
        api(
            routes=[{"name": "r", "when": WHEN, "timeout": "9s"}],
            variants=[{"name": "b", "to": "v2", "when": {**WHEN, "cookie": {"c": "1"}}}],
        ),
        "mesh_services[1].variants[0].when of api: is never reached: routes[0] takes all of its requests "
        "before (unreachable)",
    ),
    (
        "variant behind a route",
        api(
            routes=[{"name": "r", "when": WHEN, "timeout": "9s"}],
            variants=[{"name": "b", "to": "v2", "when": WHEN}],
        ),
        "mesh_services[1].variants[0].when of api: is the condition of routes[0], which wins (unreachable)",
    ),
    (
        "route twice",
        web(
            routes=[
                {"name": "r", "when": {"path": "/a"}, "timeout": "9s"},
                {"name": "r", "when": {"path": "/b"}, "timeout": "9s"},
            ]
        ),
        "mesh_services[0].routes of web: two entries have the name 'r' (duplicate)",
    ),
    (
        "route with empty condition",
        web(routes=[{"name": "r", "when": {}, "timeout": "9s"}]),
        "mesh_services[0].routes[0].when of web: needs one of header, cookie, query, "
        "path: it would match every request (empty)",
    ),
    (
        "route with an empty header table",
        web(routes=[{"name": "r", "when": {"header": {}}, "timeout": "9s"}]),
        "mesh_services[0].routes[0].when of web: needs one of header, cookie, query, "
        "path: it would match every request (empty)",
    ),
    (
        "variant by path",
        api(variants=[{"name": "b", "to": "v2", "when": {"path": "/x"}}]),
        "mesh_services[1].variants[0].when.path of api: is not a known key (unknown-key)",
    ),
    (
        "variant by header and path",
        api(variants=[{"name": "b", "to": "v2", "when": {**WHEN, "path": "/x"}}]),
        "mesh_services[1].variants[0].when.path of api: is not a known key (unknown-key)",
    ),
    (
        "variant by match alone",
        api(variants=[{"name": "b", "to": "v2", "when": {**WHEN, "match": "exact"}}]),
        "mesh_services[1].variants[0].when.match of api: is not a known key (unknown-key)",
    ),
    (
        "unknown key of a condition",
        web(routes=[{"name": "r", "when": {"headers": {"x": "1"}}, "timeout": "9s"}]),
        "mesh_services[0].routes[0].when.headers of web: is not a known key, did you "
        "mean header (unknown-key)",
    ),
    (
        "unknown match",
        web(routes=[{"name": "r", "when": {"path": "/x", "match": "regex"}, "timeout": "9s"}]),
        "mesh_services[0].routes[0].when.match of web: is 'regex', not one of prefix, exact (choice)",
    ),
    (
        "header value is a number",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": 1}}}]),
        "mesh_services[1].variants[0].when.header.x of api: is a number, not a string or a mapping (type)",
    ),
    (
        "header value is a list",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": ["a"]}}}]),
        "mesh_services[1].variants[0].when.header.x of api: is a list, not a string or a mapping (type)",
    ),
    (
        "no kind of match",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": {}}}}]),
        "mesh_services[1].variants[0].when.header.x of api: needs exactly one of "
        "exact, prefix, regex (string-match)",
    ),
    (
        "unknown kind of match",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": {"suffix": "a"}}}}]),
        "mesh_services[1].variants[0].when.header.x.suffix of api: is not a known key (unknown-key)",
    ),
    (
        "empty text to match",
        api(variants=[{"name": "b", "to": "v2", "when": {"header": {"x": ""}}}]),
        "mesh_services[1].variants[0].when.header.x.exact of api: must be 1 to 1024 characters long (text)",
    ),
    (
        "control character to match",
        api(variants=[{"name": "b", "to": "v2", "when": {"query": {"x": "a\x7f"}}}]),
        "mesh_services[1].variants[0].when.query.x.exact of api: holds a control character (text)",
    ),
    (
        "empty query name",
        api(variants=[{"name": "b", "to": "v2", "when": {"query": {"": "a"}}}]),
        "mesh_services[1].variants[0].when.query of api: must be 1 to 1024 characters long (text)",
    ),
    (
        "cookie without value",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"a": ""}}}]),
        "mesh_services[1].variants[0].when.cookie of api: '' is not a cookie value (cookie-name)",
    ),
    (
        "cookie with a blank",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"a": "x y"}}}]),
        "mesh_services[1].variants[0].when.cookie of api: 'x y' is not a cookie value (cookie-name)",
    ),
    (
        "cookie with a quote",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"a": "x\\y"}}}]),
        "mesh_services[1].variants[0].when.cookie of api: 'x\\\\y' is not a cookie value (cookie-name)",
    ),
    (
        "cookie value of a number",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"a": 1}}}]),
        "mesh_services[1].variants[0].when.cookie of api: the value is a number, not a string (cookie-name)",
    ),
    (
        "cookie name",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {"a=b": "1"}}}]),
        "mesh_services[1].variants[0].when.cookie of api: 'a=b' is not a cookie name (cookie-name)",
    ),
    (
        "no cookie",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": {}}}]),
        "mesh_services[1].variants[0].when.cookie of api: takes one cookie: a "
        "request's cookies share one header, matched once (cookie)",
    ),
    (
        "cookie as text",
        api(variants=[{"name": "b", "to": "v2", "when": {"cookie": "a=b"}}]),
        "mesh_services[1].variants[0].when.cookie of api: is a string, not a mapping (type)",
    ),
    (
        "variants is a mapping",
        api(variants={"b": {}}),
        "mesh_services[1].variants of api: is a mapping, not a list (type)",
    ),
    (
        "variant is text",
        api(variants=["b"]),
        "mesh_services[1].variants[0] of api: is a string, not a mapping (type)",
    ),
    (
        "bad versions hide what refers to them",
        api(versions=["v1", "v2"], mirror={"to": "v2", "percent": 1}),
        "mesh_services[1].versions of api: is a list, not a mapping (type)",
    ),
    (
        "bad version hides what refers to it",
        api(versions={"v1": {}, "v2": 7}, mirror={"to": "v3", "percent": 1}),
        "mesh_services[1].versions.v2 of api: is a number, not a mapping (type)",
    ),
    (
        "version is false",
        api(versions={"v1": {}, "v2": False}),
        "mesh_services[1].versions.v2 of api: is a boolean, not a mapping (type)",
    ),
    (
        "two versions with bad labels",
        api(versions={"v1": {"labels": {"a": 1}}, "v2": {"labels": {"a": 2}}}),
        "mesh_services[1].versions.v1.labels.a of api: is a number, not a string "
        "(label)\nmesh_services[1].versions.v2.labels.a of api: is a number, not a "
        "string (label)",
    ),
    (
        "initial version of another type",
        api(initial_version=1),
        "mesh_services[1].initial_version of api: is a number, not a string (type)",
    ),
    (
        "versions of a service without any",
        web(initial_version="v1"),
        "mesh_services[0].initial_version of web: 'v1' is not one of the versions (unknown-version)",
    ),
    (
        "port name twice",
        api(ports=[*TCP, TCP[0] | {"number": 1}]),
        "mesh_services[1].ports of api: two ports have the name tcp (duplicate)",
    ),
    (
        "two bad numbers are not equal",
        api(ports=[TCP[0] | {"number": 0}, {"name": "b", "number": -1, "protocol": "tcp"}]),
        "mesh_services[1].ports[0].number of api: is 0, not within 1 to 65535 "
        "(range)\nmesh_services[1].ports[1].number of api: is -1, not within 1 to "
        "65535 (range)",
    ),
    ("ports is text", api(ports="80"), "mesh_services[1].ports of api: is a string, not a list (type)"),
    (
        "port is a number",
        api(ports=[80]),
        "mesh_services[1].ports[0] of api: is a number, not a mapping (type)",
    ),
    (
        "unknown key of a port",
        api(ports=[{"name": "http", "number": 3000, "protocol": "http", "port": 1}]),
        "mesh_services[1].ports[0].port of api: is not a known key (unknown-key)",
    ),
    (
        "port without protocol",
        api(ports=[{"name": "http", "number": 3000}]),
        "mesh_services[1].ports[0].protocol of api: is required (required)",
    ),
    (
        "label key",
        api(labels={"-a": "b"}),
        "mesh_services[1].labels.-a of api: '-a' is not a label key (label)",
    ),
    (
        "label of a number",
        api(labels={"app": 1}),
        "mesh_services[1].labels.app of api: is a number, not a string (label)",
    ),
    (
        "label too long",
        api(labels={"app": "a" * 64}),
        "mesh_services[1].labels.app of api: "
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' is not a "
        "label value (label)",
    ),
    (
        "two services without names",
        lambda c: [entry.pop("name") for entry in c["mesh_services"]],
        "mesh_services[0].name: is required (required)\nmesh_services[1].name: is required (required)",
    ),
    (
        "caller of a service whose name is bad",
        web(name="Web"),
        "mesh_services[0].name of Web: 'Web' is not a DNS label (lower case letters, "
        "digits and '-', at most 63 characters) (dns-label)",
    ),
    (
        "caller of a service that is no mapping",
        put("mesh_services.0", ["web"]),
        "mesh_services[0]: is a list, not a mapping (type)",
    ),
    (
        "service without namespace of its own type",
        api(namespace=7),
        "mesh_services[1].namespace of api: is a number, not a string (type)",
    ),
    (
        "service account",
        api(service_account="a_b"),
        "mesh_services[1].service_account of api: 'a_b' is not a ServiceAccount name (service-account)",
    ),
    (
        "retries is a number",
        api(retries=3),
        "mesh_services[1].retries of api: is a number, not a mapping (type)",
    ),
    (
        "attempts text",
        api(retries={"attempts": "many", "on": ["5xx"]}),
        "mesh_services[1].retries.attempts of api: is 'many', not a whole number (type)",
    ),
    (
        "attempts 11",
        api(retries={"attempts": 11}),
        "mesh_services[1].retries.attempts of api: is 11, not within 0 to 10 (range)",
    ),
    (
        "attempts missing",
        api(retries={"on": ["5xx"]}),
        "mesh_services[1].retries.attempts of api: is required (required)",
    ),
    (
        "budget without attempts",
        api(retries={"attempts": 0, "per_try_timeout": "1s"}),
        "mesh_services[1].retries.attempts of api: is 0, so 'on' and per_try_timeout "
        "have no effect (retry-attempts)",
    ),
    (
        "nothing to retry on",
        api(retries={"attempts": 1, "on": []}),
        "mesh_services[1].retries.on of api: is empty, so nothing would be retried (retry-conditions)",
    ),
    (
        "status 399",
        api(retries={"attempts": 1, "on": ["399"]}),
        "mesh_services[1].retries.on[0] of api: '399' is neither a status code nor one "
        "of connect-failure, refused-stream, reset-before-request, 5xx, gateway-error, "
        "reset, retriable-4xx, envoy-ratelimited, cancelled, deadline-exceeded, "
        "internal, resource-exhausted, unavailable (retry-conditions)",
    ),
    (
        "status 600",
        api(retries={"attempts": 1, "on": ["600"]}),
        "mesh_services[1].retries.on[0] of api: '600' is neither a status code nor one "
        "of connect-failure, refused-stream, reset-before-request, 5xx, gateway-error, "
        "reset, retriable-4xx, envoy-ratelimited, cancelled, deadline-exceeded, "
        "internal, resource-exhausted, unavailable (retry-conditions)",
    ),
    (
        "condition twice",
        api(retries={"attempts": 1, "on": ["503", "503"]}),
        "mesh_services[1].retries.on[1] of api: '503' is listed twice (duplicate)",
    ),
    (
        "conditions as text",
        api(retries={"attempts": 1, "on": "5xx"}),
        "mesh_services[1].retries.on of api: is a string, not a list (type)",
    ),
    (
        "unknown key of retries",
        api(retries={"attempts": 1, "perTryTimeout": "1s"}),
        "mesh_services[1].retries.perTryTimeout of api: is not a known key, did you "
        "mean per_try_timeout (unknown-key)",
    ),
    (
        "route's own tries exceed its timeout",
        api(
            routes=[
                {
                    "name": "r",
                    "when": WHEN,
                    "timeout": "1s",
                    "retries": {"attempts": 1, "per_try_timeout": "600ms"},
                }
            ]
        ),
        "mesh_services[1].routes[0].retries of api: 2 tries of 600ms take 1.2s, more "
        "than the timeout 1s (timeout-budget)",
    ),
    (
        "route's own tries exceed the timeout it inherits",
        api(
            timeout="1s",
            routes=[{"name": "r", "when": WHEN, "retries": {"attempts": 1, "per_try_timeout": "501ms"}}],
        ),
        "mesh_services[1].routes[0].retries of api: 2 tries of 501ms take 1.002s, more "
        "than the timeout 1s (timeout-budget)",
    ),
    (
        "grpc retries of a route",
        api(
            ports=[{"name": "grpc", "number": 1, "protocol": "grpc-web"}],
            routes=[
                {
                    "name": "r",
                    "when": WHEN,
                    "retries": {"attempts": 1, "on": ["5xx", "connect-failure", "503"]},
                }
            ],
        ),
        "mesh_services[1].routes[0].retries of api: every gRPC call is a POST, so 5xx, "
        "503 would never be retried; set non_idempotent: true if the calls may run "
        "twice (retry-idempotence)",
    ),
    ("mirror is text", api(mirror="v2"), "mesh_services[1].mirror of api: is a string, not a mapping (type)"),
    (
        "mirror without percent",
        api(mirror={"to": "v2"}),
        "mesh_services[1].mirror.percent of api: is required (required)",
    ),
    (
        "mirror percent -0.1",
        api(mirror={"to": "v2", "percent": -0.1}),
        "mesh_services[1].mirror.percent of api: is -0.1, not within 0 to 100 (range)",
    ),
    (
        "mirror percent true",
        api(mirror={"to": "v2", "percent": True}),
        "mesh_services[1].mirror.percent of api: is True, not a number (type)",
    ),
    (
        "writes as text",
        api(mirror={"to": "v2", "percent": 1, "writes": "no"}),
        "mesh_services[1].mirror.writes of api: is a string, not true or false (type)",
    ),
    (
        "fault delay without length",
        api(fault={"delay": {"percent": 1}}),
        "mesh_services[1].fault.delay.fixed of api: is required (required)",
    ),
    (
        "fault delay of 0",
        api(fault={"delay": {"percent": 1, "fixed": "0s"}}),
        "mesh_services[1].fault.delay.fixed of api: '0s' is shorter than 1ms (duration)",
    ),
    (
        "fault percent 100.1",
        api(fault={"delay": {"percent": 100.1, "fixed": "1s"}}),
        "mesh_services[1].fault.delay.percent of api: is 100.1, not within 0 to 100 (range)",
    ),
    (
        "fault status 600",
        api(fault={"abort": {"percent": 1, "status": 600}}),
        "mesh_services[1].fault.abort.status of api: is 600, not within 200 to 599 (range)",
    ),
    (
        "fault key",
        api(fault={"abort": {"percent": 1, "status": 500, "code": 1}}),
        "mesh_services[1].fault.abort.code of api: is not a known key (unknown-key)",
    ),
    (
        "fault for the host header",
        api(fault={"abort": {"percent": 1, "status": 500}, "only_header": "HOST"}),
        "mesh_services[1].fault.only_header of api: the Host header is matched by "
        "'host', not as a header (header-name)",
    ),
    (
        "cors without origin",
        api(cors={"origins": []}),
        "mesh_services[1].cors.origins of api: needs at least one origin (required)",
    ),
    (
        "cors with a bad origin",
        api(cors={"origins": [7]}),
        "mesh_services[1].cors.origins[0] of api: is a number, not a string or a mapping (type)",
    ),
    (
        "cors origins as text",
        api(cors={"origins": "https://a.example.com"}),
        "mesh_services[1].cors.origins of api: is a string, not a list (type)",
    ),
    (
        "cors, any origin and others",
        api(cors={"origins": ["*", "https://a.example.com"]}),
        "mesh_services[1].cors.origins of api: '*' makes the other origins pointless (cors)",
    ),
    (
        "cors, any origin with credentials",
        api(cors={"origins": ["*"], "credentials": True}),
        "mesh_services[1].cors.origins of api: every origin together with credentials "
        "gives any site the user's session (cors)",
    ),
    (
        "cors, every https origin with credentials",
        api(cors={"origins": [{"prefix": "https://"}], "credentials": True}),
        "mesh_services[1].cors.origins of api: every origin together with credentials "
        "gives any site the user's session (cors)",
    ),
    (
        "cors, every http origin with credentials",
        api(cors={"origins": [{"prefix": "http://"}], "credentials": True}),
        "mesh_services[1].cors.origins of api: every origin together with credentials "
        "gives any site the user's session (cors)",
    ),
    *(
        (
            f"cors, {text} with credentials",
            api(cors={"origins": [{"regex": text}], "credentials": True}),
            "mesh_services[1].cors.origins of api: every origin together with credentials "
            "gives any site the user's session (cors)",
        )
        for text in ("https?://.*", "https://.+", r"[a-z]+://[^/]+(:\d+)?", "http.*")
    ),
    *(
        (
            f"cors, {text} is no origin",
            api(cors={"origins": [text]}),
            f"mesh_services[1].cors.origins[0] of api: {text!r} is no origin such as https://shop.example.com: "
            "browsers send scheme, host, port (cors)",
        )
        for text in (
            "shop.example.com",
            "https://shop.example.com/",
            "https://shop.example.com/a",
            "https://Shop.example.com",
            "https://*.example.com",
            "https://me@shop.example.com",
        )
    ),
    *(
        (
            f"cors, {text} with the usual port",
            api(cors={"origins": [text]}),
            f"mesh_services[1].cors.origins[0] of api: {text!r} names the usual port, which browsers leave out "
            "(cors)",
        )
        for text in ("https://shop.example.com:443", "http://shop.example.com:80")
    ),
    *(
        (
            f"caller with empty {key}",
            api(callers=[{"service": "web", key: []}]),
            f"mesh_services[1].callers[0].{key} of api: is empty, which would allow all of them: leave it out if "
            "that is meant (empty)",
        )
        for key in ("methods", "paths", "ports")
    ),
    (
        "exposed with empty methods",
        web(exposed=[{"gateway": "public", "host": "api.example.com", "methods": []}]),
        "mesh_services[0].exposed[0].methods of web: is empty, which would allow all of them: leave it out if "
        "that is meant (empty)",
    ),
    (
        "a header in two spellings",
        api(routes=[{"name": "r", "when": {"header": {"X-T": "a", "x-t": "b"}}, "timeout": "1s"}]),
        "mesh_services[1].routes[0].when.header of api: 'x-t' is there twice (duplicate)",
    ),
    (
        "cors, a prefix within a host with credentials",
        api(cors={"origins": [{"prefix": "https://shop.example"}], "credentials": True}),
        "mesh_services[1].cors.origins of api: prefix 'https://shop.example' together with credentials gives "
        "https://shop.example.attacker.example the user's session: give it as exact, or end its host with ':' "
        "for any port (cors)",
    ),
    (
        "cors, the origin of a frame with credentials",
        api(cors={"origins": ["null"], "credentials": True}),
        "mesh_services[1].cors.origins of api: 'null' together with credentials gives any site the user's "
        "session: frames choose it (cors)",
    ),
    (
        "fault delay without a duration",
        api(fault={"delay": {"percent": 1}}),
        "mesh_services[1].fault.delay.fixed of api: is required (required)",
    ),
    (
        "timeout that is nearly nothing",
        api(timeout=1e-9),
        "mesh_services[1].timeout of api: '0.000001s' is shorter than 1ms; none stands for no timeout (duration)",
    ),
    (
        "mode of a port with a zero before it",
        api(mtls={"ports": {"3000": "DISABLE", "03000": "STRICT"}, "reason": "a"}),
        "mesh_services[1].mtls.ports of api: '03000' is not a target port (1 to 65535) (range)",
    ),
    (
        "mode of a port as number and as text",
        api(mtls={"ports": {3000: "DISABLE", "3000": "STRICT"}, "reason": "a"}),
        "mesh_services[1].mtls.ports of api: has one key twice, as text and as something else (duplicate-key)",
    ),
    (
        "retries on, with and without quotes",
        api(retries={"attempts": 1, True: ["5xx"], "on": ["reset"]}),
        "mesh_services[1].retries of api: has the key 'on' twice (duplicate-key)",
    ),
    (
        "cors method",
        api(cors={"origins": ["https://a.example.com"], "methods": ["ANY"]}),
        "mesh_services[1].cors.methods[0] of api: 'ANY' is not one of GET, HEAD, POST, "
        "PUT, PATCH, DELETE, OPTIONS, TRACE (choice)",
    ),
    (
        "cors header",
        api(cors={"origins": ["https://a.example.com"], "headers": ["x y"]}),
        "mesh_services[1].cors.headers[0] of api: 'x y' is not an HTTP header name (header-name)",
    ),
    (
        "cors exposed header",
        api(cors={"origins": ["https://a.example.com"], "expose_headers": ["x y"]}),
        "mesh_services[1].cors.expose_headers[0] of api: 'x y' is not an HTTP header name (header-name)",
    ),
    (
        "breaker 0",
        api(circuit_breaker={"consecutive_5xx": 0}),
        "mesh_services[1].circuit_breaker.consecutive_5xx of api: is 0, not within 1 to 10000 (range)",
    ),
    (
        "breaker 10001",
        api(circuit_breaker={"consecutive_gateway_errors": 10_001}),
        "mesh_services[1].circuit_breaker.consecutive_gateway_errors of api: is 10001, "
        "not within 1 to 10000 (range)",
    ),
    (
        "breaker local 0",
        api(circuit_breaker={"consecutive_local_origin_failures": 0}),
        "mesh_services[1].circuit_breaker.consecutive_local_origin_failures of api: is "
        "0, not within 1 to 10000 (range)",
    ),
    (
        "breaker is true",
        api(circuit_breaker=True),
        "mesh_services[1].circuit_breaker of api: is a boolean, not a mapping (type)",
    ),
    (
        "health 101 %",
        api(circuit_breaker={"consecutive_5xx": 5, "min_health_percent": 101}),
        "mesh_services[1].circuit_breaker.min_health_percent of api: is 101, not within 0 to 100 (range)",
    ),
    (
        "ejection time",
        api(circuit_breaker={"consecutive_5xx": 5, "base_ejection_time": "30 s"}),
        "mesh_services[1].circuit_breaker.base_ejection_time of api: '30 s' is not a "
        "duration such as 500ms, 10s or 1m30s (duration)",
    ),
    (
        "pool, unknown key",
        api(connection_pool={"max_connection": 5}),
        "mesh_services[1].connection_pool.max_connection of api: is not a known key, "
        "did you mean max_connections (unknown-key)",
    ),
    (
        "pool of nulls",
        api(connection_pool={"max_connections": None}),
        "mesh_services[1].connection_pool of api: is empty (empty)",
    ),
    (
        "pool 0",
        api(connection_pool={"max_connections": 0}),
        "mesh_services[1].connection_pool.max_connections of api: is 0, not within 1 to 2147483647 (range)",
    ),
    (
        "pool too large",
        api(connection_pool={"max_requests": 2**31}),
        "mesh_services[1].connection_pool.max_requests of api: is 2147483648, not "
        "within 1 to 2147483647 (range)",
    ),
    (
        "pool too many per connection",
        api(connection_pool={"max_requests_per_connection": 2**29}),
        "mesh_services[1].connection_pool.max_requests_per_connection of api: is "
        "536870912, not within 1 to 536870911 (range)",
    ),
    (
        "empty keepalive",
        api(connection_pool={"keepalive": {}}),
        "mesh_services[1].connection_pool.keepalive of api: is empty (empty)",
    ),
    (
        "keepalive 101 probes",
        api(connection_pool={"keepalive": {"probes": 101}}),
        "mesh_services[1].connection_pool.keepalive.probes of api: is 101, not within 1 to 100 (range)",
    ),
    (
        "keepalive key",
        api(connection_pool={"keepalive": {"probe": 1}}),
        "mesh_services[1].connection_pool.keepalive.probe of api: is not a known key, "
        "did you mean probes (unknown-key)",
    ),
    (
        "balancing is empty",
        api(load_balancing={}),
        "mesh_services[1].load_balancing of api: is empty (empty)",
    ),
    (
        "balancing of nulls",
        api(load_balancing={"policy": None}),
        "mesh_services[1].load_balancing of api: is empty (empty)",
    ),
    (
        "balancing, unknown key",
        api(load_balancing={"simple": "RANDOM"}),
        "mesh_services[1].load_balancing.simple of api: is not a known key (unknown-key)",
    ),
    (
        "balancing policy",
        api(load_balancing={"policy": "random"}),
        "mesh_services[1].load_balancing.policy of api: is 'random', not one of "
        "LEAST_REQUEST, ROUND_ROBIN, RANDOM, PASSTHROUGH (choice)",
    ),
    (
        "warm-up at random",
        api(load_balancing={"policy": "RANDOM", "warmup": "10s"}),
        "mesh_services[1].load_balancing.warmup of api: works with LEAST_REQUEST and "
        "ROUND_ROBIN only (load-balancing)",
    ),
    (
        "warm-up with a hash",
        api(load_balancing={"hash": {"source_ip": True}, "warmup": "10s"}),
        "mesh_services[1].load_balancing.warmup of api: has no effect with a "
        "consistent hash (load-balancing)",
    ),
    (
        "hash of nothing",
        api(load_balancing={"hash": {}}),
        "mesh_services[1].load_balancing.hash of api: needs exactly one of header, "
        "cookie, query, source_ip (load-balancing)",
    ),
    (
        "hash without source ip",
        api(load_balancing={"hash": {"source_ip": False}}),
        "mesh_services[1].load_balancing.hash.source_ip of api: is false, so there is "
        "nothing to hash on (load-balancing)",
    ),
    (
        "hash, cookie settings without cookie",
        api(load_balancing={"hash": {"header": "x", "cookie_ttl": "1h"}}),
        "mesh_services[1].load_balancing.hash of api: cookie_ttl and cookie_path need "
        "cookie (load-balancing)",
    ),
    (
        "hash, cookie path without cookie",
        api(load_balancing={"hash": {"header": "x", "cookie_path": "/a"}}),
        "mesh_services[1].load_balancing.hash of api: cookie_ttl and cookie_path need "
        "cookie (load-balancing)",
    ),
    (
        "hash on a bad header",
        api(load_balancing={"hash": {"header": "x y"}}),
        "mesh_services[1].load_balancing.hash.header of api: 'x y' is not an HTTP header name (header-name)",
    ),
    (
        "hash on a header of a TCP service",
        api(ports=TCP, load_balancing={"hash": {"header": "x"}}),
        "mesh_services[1].load_balancing.hash of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "locality of two kinds",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"failover": [{"from": "a", "to": "b"}], "failover_priority": ["x"]}},
        ),
        "mesh_services[1].load_balancing.locality of api: takes one of failover, "
        "distribute, failover_priority (locality)",
    ),
    (
        "failover to itself",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"failover": [{"from": "a", "to": "a"}]}},
        ),
        "mesh_services[1].load_balancing.locality.failover[0].to of api: is the region "
        "it comes from (locality)",
    ),
    (
        "failover between zones",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"failover": [{"from": "a/1", "to": "b"}]}},
        ),
        "mesh_services[1].load_balancing.locality.failover[0] of api: failover is "
        "between regions, without zones and wildcards (locality)",
    ),
    (
        "failover to a wildcard",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"failover": [{"from": "a", "to": "*"}]}},
        ),
        "mesh_services[1].load_balancing.locality.failover[0] of api: failover is "
        "between regions, without zones and wildcards (locality)",
    ),
    (
        "failover from one region twice",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"failover": [{"from": "a", "to": "b"}, {"from": "a", "to": "c"}]}},
        ),
        "mesh_services[1].load_balancing.locality.failover of api: has two entries from 'a' (duplicate)",
    ),
    (
        "failover without target",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"failover": [{"from": "a"}, {"from": "b"}]}},
        ),
        "mesh_services[1].load_balancing.locality.failover[0].to of api: is required "
        "(required)\nmesh_services[1].load_balancing.locality.failover[1].to of api: "
        "is required (required)",
    ),
    (
        "distribution from one place twice",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={
                "locality": {"distribute": [{"from": "a", "to": {"b": 100}}, {"from": "a", "to": {"c": 100}}]}
            },
        ),
        "mesh_services[1].load_balancing.locality.distribute of api: has two entries from 'a' (duplicate)",
    ),
    (
        "distribution without targets",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"distribute": [{"from": "a"}]}},
        ),
        "mesh_services[1].load_balancing.locality.distribute[0].to of api: is required (required)",
    ),
    (
        "distribution of text",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"distribute": [{"from": "a", "to": {"b": "half", "c": 50}}]}},
        ),
        "mesh_services[1].load_balancing.locality.distribute[0].to.b of api: is "
        "'half', not a whole number (type)",
    ),
    (
        "distribution of 0 %",
        api(
            circuit_breaker={"consecutive_5xx": 5},
            load_balancing={"locality": {"distribute": [{"from": "a", "to": {"b": 0, "c": 100}}]}},
        ),
        "mesh_services[1].load_balancing.locality.distribute[0].to.b of api: is 0, not "
        "within 1 to 100 (range)",
    ),
    (
        "priority without breaker",
        api(load_balancing={"locality": {"failover_priority": ["a"]}}),
        "mesh_services[1].load_balancing.locality of api: locality failover works only "
        "with a circuit_breaker, which finds the sick endpoints (locality)",
    ),
    (
        "retries on tcp",
        api(ports=TCP, retries={"attempts": 1}),
        "mesh_services[1].retries of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "exposed tcp",
        api(ports=TCP, exposed=[{"gateway": "public", "host": "api.example.com", "path": "/t"}]),
        "mesh_services[1].exposed[0] of api: needs a port that speaks HTTP: the gateway serves HTTPS (http-only)",
    ),
    (
        "open paths on tcp",
        api(ports=TCP, open_paths=["/health"]),
        "mesh_services[1].open_paths of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "rate limit on tcp",
        api(ports=TCP, rate_limit={"requests": 1, "per": "1s"}),
        "mesh_services[1].rate_limit of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "routes on tcp",
        api(ports=TCP, routes=[{"name": "r", "when": WHEN, "to": "v1"}]),
        "mesh_services[1].routes of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "variants on tcp",
        api(ports=TCP, variants=[{"name": "b", "to": "v2", "when": WHEN}]),
        "mesh_services[1].variants of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "mirror on tcp",
        api(ports=TCP, mirror={"to": "v2", "percent": 1}),
        "mesh_services[1].mirror of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "fault on tcp",
        api(ports=TCP, fault={"abort": {"percent": 1, "status": 500}}),
        "mesh_services[1].fault of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "cors on tcp",
        api(ports=TCP, cors={"origins": ["https://a.example.com"]}),
        "mesh_services[1].cors of api: needs a port that speaks HTTP (http-only)",
    ),
    (
        "paths on tcp",
        api(ports=TCP, callers=[{"service": "web", "paths": ["/a"]}]),
        "mesh_services[1].callers[0] of api: methods and paths exist on HTTP ports "
        "only; on TCP the rule would never match (http-only)",
    ),
    (
        "paths on the TCP port of two",
        api(
            ports=[*TCP, {"name": "http", "number": 3000, "protocol": "http"}],
            callers=[{"service": "web", "paths": ["/a"], "ports": ["tcp"]}],
        ),
        "mesh_services[1].callers[0] of api: methods and paths exist on HTTP ports "
        "only; on TCP the rule would never match (http-only)",
    ),
    (
        "caller is a number",
        api(callers=[7]),
        "mesh_services[1].callers[0] of api: is a number, not a mapping (type)",
    ),
    (
        "callers is text",
        api(callers="web"),
        "mesh_services[1].callers of api: is a string, not a list (type)",
    ),
    (
        "namespace of a principal",
        api(callers=[{"principal": "cluster.local/ns/a/sa/b", "namespace": "a"}]),
        "mesh_services[1].callers[0].namespace of api: goes with service only (caller-kind)",
    ),
    (
        "unknown key of a caller",
        api(callers=[{"service": "web", "method": ["GET"]}]),
        "mesh_services[1].callers[0].method of api: is not a known key, did you mean methods (unknown-key)",
    ),
    (
        "methods of a caller of an external service",
        external(callers=[{"service": "web", "methods": ["GET"]}]),
        "mesh_external_services[0].callers[0].methods of pay: is not a known key (unknown-key)",
    ),
    (
        "path twice",
        api(callers=[{"service": "web", "paths": ["/a", "/a"]}]),
        "mesh_services[1].callers[0].paths[1] of api: '/a' is listed twice (duplicate)",
    ),
    (
        "path is a number",
        api(callers=[{"service": "web", "paths": [1]}]),
        "mesh_services[1].callers[0].paths[0] of api: is a number, not a string (type)",
    ),
    (
        "path in the middle",
        api(callers=[{"service": "web", "paths": ["/a/*/b"]}]),
        "mesh_services[1].callers[0].paths[0] of api: '/a/*/b' has a '*' that does not "
        "follow a final '/'; '/x*' would also match '/xy' (path-boundary)",
    ),
    (
        "path with a double slash",
        api(callers=[{"service": "web", "paths": ["/a//b/*"]}]),
        "mesh_services[1].callers[0].paths[0] of api: '/a//b' is not a normalised path (path-boundary)",
    ),
    (
        "path of a directory",
        api(callers=[{"service": "web", "paths": ["/a/."]}]),
        "mesh_services[1].callers[0].paths[0] of api: '/a/.' is not a normalised path (path-boundary)",
    ),
    (
        "path of 1025 characters",
        api(callers=[{"service": "web", "paths": ["/" + "a" * 1024]}]),
        "mesh_services[1].callers[0].paths[0] of api: the path is longer than 1024 "
        "characters (path-boundary)",
    ),
    (
        "principal in a bad namespace",
        api(callers=[{"principal": "cluster.local/ns/A/sa/b"}]),
        "mesh_services[1].callers[0].principal of api: 'cluster.local/ns/A/sa/b' is "
        "not TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT without wildcards (principal)",
    ),
    (
        "principal in a bad domain",
        api(callers=[{"principal": "Cluster/ns/a/sa/b"}]),
        "mesh_services[1].callers[0].principal of api: 'Cluster/ns/a/sa/b' is not "
        "TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT without wildcards (principal)",
    ),
    (
        "principal without ns",
        api(callers=[{"principal": "cluster.local/namespace/a/sa/b"}]),
        "mesh_services[1].callers[0].principal of api: "
        "'cluster.local/namespace/a/sa/b' is not "
        "TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT without wildcards (principal)",
    ),
    (
        "principal without sa",
        api(callers=[{"principal": "cluster.local/ns/a/account/b"}]),
        "mesh_services[1].callers[0].principal of api: 'cluster.local/ns/a/account/b' "
        "is not TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT without wildcards "
        "(principal)",
    ),
    (
        "principal too long",
        api(callers=[{"principal": "cluster.local/ns/a/sa/b/c"}]),
        "mesh_services[1].callers[0].principal of api: 'cluster.local/ns/a/sa/b/c' is "
        "not TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT without wildcards (principal)",
    ),
    (
        "trust domain and its alias",
        both(put("mesh_trust_domain_aliases", ["old"]), api(callers=[{"principal": "td2/ns/a/sa/b"}])),
        "mesh_services[1].callers[0].principal of api: the trust domain 'td2' is not "
        "cluster.local or old (trust-domain)",
    ),
    (
        "trust domain that is bad itself",
        both(put("mesh_trust_domain", "A"), api(callers=[{"principal": "td2/ns/a/sa/b"}])),
        "mesh_trust_domain: 'A' is not a DNS name (dns-name)",
    ),
    (
        "bad edges are not equal",
        api(callers=[{"service": "web", "methods": ["a"]}, {"service": "web", "methods": ["b"]}]),
        "mesh_services[1].callers[0].methods[0] of api: 'a' is not one of GET, HEAD, "
        "POST, PUT, PATCH, DELETE, OPTIONS, TRACE "
        "(choice)\nmesh_services[1].callers[1].methods[0] of api: 'b' is not one of "
        "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE (choice)",
    ),
    (
        "scraper without a name",
        api(scrape={"port": 9100, "callers": ["prom"]}),
        "mesh_services[1].scrape.callers[0].service of api: no service 'prom' in "
        "namespace shop (unknown-service)",
    ),
    (
        "scraper by gateway",
        api(scrape={"port": 9100, "callers": [{"gateway": "public"}]}),
        "mesh_services[1].scrape.callers[0].gateway of api: is not a known key (unknown-key)",
    ),
    (
        "scrape port",
        api(scrape={"port": 0, "callers": ["web"]}),
        "mesh_services[1].scrape.port of api: is 0, not within 1 to 65535 (range)",
    ),
    (
        "scrape path",
        api(scrape={"port": 9100, "path": "metrics", "callers": ["web"]}),
        "mesh_services[1].scrape.path of api: 'metrics' is not a path (it starts with "
        "'/', holds no query, no fragment and no '*') (path)",
    ),
    (
        "scrape callers as text",
        api(scrape={"port": 9100, "callers": "web"}),
        "mesh_services[1].scrape.callers of api: is a string, not a list (type)",
    ),
    (
        "caller by a bad gateway name",
        api(callers=[{"gateway": "Public"}]),
        "mesh_services[1].callers[0].gateway of api: 'Public' is not a DNS label "
        "(lower case letters, digits and '-', at most 63 characters) (dns-label)",
    ),
    (
        "gateway whose name is bad",
        both(put("mesh_gateways.0.name", "Public"), api(callers=[{"gateway": "public"}])),
        "mesh_gateways[0].name of Public: 'Public' is not a DNS label (lower case "
        "letters, digits and '-', at most 63 characters) (dns-label)",
    ),
    (
        "gateways of another type",
        put("mesh_gateways", {"name": "public"}),
        "mesh_gateways: is a mapping, not a list (type)",
    ),
    (
        "mode",
        api(mtls={"mode": "strict"}),
        "mesh_services[1].mtls.mode of api: is 'strict', not one of STRICT, PERMISSIVE, DISABLE (choice)",
    ),
    (
        "mode of a port",
        api(mtls={"ports": {"3000": "OFF"}, "reason": "x"}),
        "mesh_services[1].mtls.ports[3000] of api: is 'OFF', not one of STRICT, PERMISSIVE, DISABLE (choice)",
    ),
    (
        "port 65536 of mtls",
        api(mtls={"ports": {"65536": "DISABLE"}, "reason": "x"}),
        "mesh_services[1].mtls.ports of api: '65536' is not a target port (1 to 65535) (range)",
    ),
    (
        "port 0 of mtls",
        api(mtls={"ports": {"0": "DISABLE"}, "reason": "x"}),
        "mesh_services[1].mtls.ports of api: '0' is not a target port (1 to 65535) (range)",
    ),
    (
        "weaker port without reason",
        api(mtls={"ports": {"3000": "PERMISSIVE"}}),
        "mesh_services[1].mtls of api: is weaker than the mesh's STRICT and needs a reason (mtls-reason)",
    ),
    (
        "weaker than PERMISSIVE without reason",
        both(put("mesh_mtls_mode", "PERMISSIVE"), api(callers=[], mtls={"mode": "DISABLE"})),
        "mesh_services[1].mtls of api: is weaker than the mesh's PERMISSIVE and needs a reason (mtls-reason)",
    ),
    (
        "one port without identity",
        api(
            ports=[
                {"name": "http", "number": 3000, "protocol": "http"},
                {"name": "b", "number": 81, "target_port": 8081, "protocol": "http"},
            ],
            mtls={"ports": {"8081": "DISABLE"}, "reason": "x"},
        ),
        "mesh_services[1].mtls of api: port 8081 without mTLS shows no caller "
        "identity, so callers cannot be told apart (identity-needs-mtls)",
    ),
    (
        "a mode that is bad is not weaker",
        put("mesh_mtls_mode", "permissive"),
        "mesh_mtls_mode: is 'permissive', not one of STRICT, PERMISSIVE, DISABLE (choice)",
    ),
    (
        "bad ports are no unknown ports",
        api(
            ports=[{"name": "http", "number": "x", "protocol": "http"}],
            mtls={"ports": {"3000": "PERMISSIVE"}, "reason": "x"},
        ),
        "mesh_services[1].ports[0].number of api: is 'x', not a whole number (type)",
    ),
    (
        "reason of two lines",
        api(mtls={"mode": "PERMISSIVE", "reason": "a\nb"}),
        "mesh_services[1].mtls.reason of api: holds a control character (text)",
    ),
    (
        "empty reason",
        api(mtls={"mode": "PERMISSIVE", "reason": ""}),
        "mesh_services[1].mtls.reason of api: is blank, which is no reason (text)",
    ),
    (
        "a million and one",
        api(rate_limit={"requests": 1_000_001, "per": "60s"}),
        "mesh_services[1].rate_limit.requests of api: is 1000001, not within 1 to 1000000 (range)",
    ),
    (
        "max keys 0",
        api(rate_limit={"requests": 1, "per": "60s", "by": {"header": "x"}, "max_keys": 0}),
        "mesh_services[1].rate_limit.max_keys of api: is 0, not within 1 to 1000000 (range)",
    ),
    (
        "anonymous 0",
        api(rate_limit={"requests": 1, "per": "60s", "by": {"header": "x"}, "anonymous_requests": 0}),
        "mesh_services[1].rate_limit.anonymous_requests of api: is 0, not within 1 to 1000000 (range)",
    ),
    (
        "anonymous without header",
        api(rate_limit={"requests": 1, "per": "60s", "anonymous_requests": 5}),
        "mesh_services[1].rate_limit.anonymous_requests of api: needs by.header (rate-limit-key)",
    ),
    (
        "by nothing",
        api(rate_limit={"requests": 1, "per": "60s", "by": {}}),
        "mesh_services[1].rate_limit.by.header of api: is required (required)",
    ),
    (
        "by a cookie",
        api(rate_limit={"requests": 1, "per": "60s", "by": {"header": "x", "cookie": "y"}}),
        "mesh_services[1].rate_limit.by.cookie of api: is not a known key (unknown-key)",
    ),
    (
        "bad period",
        api(rate_limit={"requests": 1, "per": "often"}),
        "mesh_services[1].rate_limit.per of api: 'often' is not a duration such as "
        "500ms, 10s or 1m30s (duration)",
    ),
    (
        "49 ms",
        api(rate_limit={"requests": 1, "per": "49ms"}),
        "mesh_services[1].rate_limit.per of api: is '49ms'; Envoy refills no faster "
        "than every 50ms (rate-limit-unit)",
    ),
    (
        "scope",
        api(rate_limit={"requests": 1, "per": "60s", "scope": "mesh"}),
        "mesh_services[1].rate_limit.scope of api: is 'mesh', not one of local, global (choice)",
    ),
    (
        "at",
        api(rate_limit={"requests": 1, "per": "60s", "at": "client"}),
        "mesh_services[1].rate_limit.at of api: is 'client', not one of service, gateway (choice)",
    ),
    (
        "odd global period with service",
        both(
            put("mesh_rate_limit_service", RATE_LIMITS),
            api(rate_limit={"requests": 1, "per": "30s", "scope": "global"}),
        ),
        "mesh_services[1].rate_limit.per of api: is '30s'; the rate limit service "
        "counts per 1s, 60s, 1h or 24h (rate-limit-unit)",
    ),
    (
        "quantity",
        api(proxy={"cpu": "lots"}),
        "mesh_services[1].proxy.cpu of api: 'lots' is not a quantity such as 100m or 128Mi (quantity)",
    ),
    (
        "quantity of a number",
        api(proxy={"memory": 128}),
        "mesh_services[1].proxy.memory of api: is 128, which is 128 bytes (quantity)",
    ),
    (
        "memory in thousandths",
        api(proxy={"memory_limit": "64m"}),
        "mesh_services[1].proxy.memory_limit of api: is 64m, which is 0.064 bytes (quantity)",
    ),
    (
        "more than the limit",
        api(proxy={"cpu": "1500m", "cpu_limit": 1}),
        "mesh_services[1].proxy.cpu of api: is 1500m, more than cpu_limit 1: the API server refuses such "
        "pods (quantity)",
    ),
    (
        "digits of another script",
        api(mtls={"ports": {"\N{SUPERSCRIPT TWO}": "PERMISSIVE"}, "reason": "x"}),
        "mesh_services[1].mtls.ports of api: '\N{SUPERSCRIPT TWO}' is not a target port (1 to 65535) (range)",
    ),
    (
        "a status of another script",
        api(retries={"attempts": 1, "on": ["\N{ARABIC-INDIC DIGIT FIVE}03"]}),
        "mesh_services[1].retries.on[0] of api: '\N{ARABIC-INDIC DIGIT FIVE}03' is neither a status code nor "
        "one of connect-failure, refused-stream, reset-before-request, 5xx, gateway-error, reset, "
        "retriable-4xx, envoy-ratelimited, cancelled, deadline-exceeded, internal, resource-exhausted, "
        "unavailable (retry-conditions)",
    ),
    (
        "a percentage that Istio does not take",
        api(mirror={"to": "v2", "percent": 0.00001}),
        "mesh_services[1].mirror.percent of api: is 1e-05, and the smallest that Istio takes is 0.0001 (range)",
    ),
    (
        "a keepalive that would become 0",
        api(connection_pool={"keepalive": {"time": "500ms"}}),
        "mesh_services[1].connection_pool.keepalive.time of api: '500ms' is not a whole number of seconds "
        "(duration)",
    ),
    (
        "a credential for the CA of clients",
        server(certificate="api-cacert"),
        "mesh_gateways[0].servers[0].certificate of public: 'api-cacert' ends in -cacert, by which istiod "
        "knows the CA of clients (dns-name)",
    ),
    (
        "an encoded tilde",
        web(open_paths=["/%7Ejoe"]),
        "mesh_services[0].open_paths[0] of web: '/%7Ejoe' writes '~' as %7E, which proxies decode before they "
        "compare (path)",
    ),
    (
        "a route with a bad path is one problem",
        api(routes=[{"name": "r", "when": {"path": "events", "match": "exact"}, "timeout": "1s"}]),
        "mesh_services[1].routes[0].when.path of api: 'events' is not a path (it starts with '/', holds no "
        "query, no fragment and no '*') (path)",
    ),
    (
        "a route with a bad path and nothing else is one problem",
        api(routes=[{"name": "r", "when": {"path": "events"}}]),
        "mesh_services[1].routes[0].when.path of api: 'events' is not a path (it starts with '/', holds no "
        "query, no fragment and no '*') (path)",
    ),
    (
        "two routes with bad paths are two problems",
        api(routes=[{"name": name, "when": {"path": name}, "timeout": "1s"} for name in ("r", "s")]),
        "\n".join(
            f"mesh_services[1].routes[{index}].when.path of api: {name!r} is not a path (it starts with '/', "
            "holds no query, no fragment and no '*') (path)"
            for index, name in enumerate(("r", "s"))
        ),
    ),
    (
        "two bad headers are two problems",
        api(
            variants=[
                {"name": "a", "to": "v2", "when": {"header": {"x y": "1"}}},
                {"name": "b", "to": "v2", "when": {"header": {"x z": "1"}}},
            ]
        ),
        "mesh_services[1].variants[0].when.header of api: 'x y' is not an HTTP header name (header-name)\n"
        "mesh_services[1].variants[1].when.header of api: 'x z' is not an HTTP header name (header-name)",
    ),
    (
        "concurrency 65",
        api(proxy={"concurrency": 65}),
        "mesh_services[1].proxy.concurrency of api: is 65, not within 0 to 64 (range)",
    ),
    (
        "sidecar key",
        api(proxy={"cpus": "1"}),
        "mesh_services[1].proxy.cpus of api: is not a known key, did you mean cpu (unknown-key)",
    ),
    (
        "sidecar host of a service",
        api(sidecar_hosts=["x/*.com"]),
        "mesh_services[1].sidecar_hosts[0] of api: '*.com' covers a whole top-level domain (sidecar-host)",
    ),
    (
        "sidecar host in a bad namespace",
        api(sidecar_hosts=["A/b.example.com"]),
        "mesh_services[1].sidecar_hosts[0] of api: 'A/b.example.com' is not NAMESPACE/HOST (sidecar-host)",
    ),
    (
        "exposed without host",
        web(exposed=[{"gateway": "public"}]),
        "mesh_services[0].exposed[0].host of web: is required (required)",
    ),
    (
        "exposed without gateway",
        web(exposed=[{"host": "api.example.com"}]),
        "mesh_services[0].exposed[0].gateway of web: is required (required)",
    ),
    (
        "exposed at a wildcard",
        web(exposed=[{"gateway": "public", "host": "*.example.com"}]),
        "mesh_services[0].exposed[0].host of web: '*.example.com' is not a DNS name (dns-name)",
    ),
    (
        "exposed method",
        web(exposed=[{"gateway": "public", "host": "api.example.com", "methods": ["ALL"]}]),
        "mesh_services[0].exposed[0].methods[0] of web: 'ALL' is not one of GET, HEAD, "
        "POST, PUT, PATCH, DELETE, OPTIONS, TRACE (choice)",
    ),
    (
        "rewrite with a slash",
        web(exposed=[{"gateway": "public", "host": "api.example.com", "rewrite": "/a/"}]),
        "mesh_services[0].exposed[0].rewrite of web: '/a/' ends in '/'; '/a' covers it "
        "and everything below (path-boundary)",
    ),
    (
        "bad paths are not equal",
        web(
            exposed=[
                {"gateway": "public", "host": "api.example.com", "path": "a"},
                {"gateway": "public", "host": "api.example.com", "path": "b"},
            ]
        ),
        "mesh_services[0].exposed[0].path of web: 'a' is not a path (it starts with "
        "'/', holds no query, no fragment and no '*') "
        "(path)\nmesh_services[0].exposed[1].path of web: 'b' is not a path (it starts "
        "with '/', holds no query, no fragment and no '*') (path)",
    ),
    (
        "path with a query and a slash",
        web(exposed=[{"gateway": "public", "host": "api.example.com", "path": "/a?/"}]),
        "mesh_services[0].exposed[0].path of web: '/a?/' is not a path (it starts with "
        "'/', holds no query, no fragment and no '*') (path)",
    ),
    (
        "open path with a star",
        api(open_paths=["/health/*"]),
        "mesh_services[1].open_paths[0] of api: '/health/*' is not a path (it starts "
        "with '/', holds no query, no fragment and no '*') (path)",
    ),
    (
        "host of 254 characters",
        web(exposed=[{"gateway": "public", "host": ".".join(["a" * 60] * 5)}]),
        "mesh_services[0].exposed[0].host of web: "
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'... is longer than 253 characters "
        "(dns-name)",
    ),
    (
        "host with a number at the end",
        web(exposed=[{"gateway": "public", "host": "api.example.1"}]),
        "mesh_services[0].exposed[0].host of web: 'api.example.1' ends in a number, "
        "which no top-level domain is (dns-name)",
    ),
    (
        "host of one label",
        web(exposed=[{"gateway": "public", "host": "localhost"}]),
        "mesh_services[0].exposed[0].host of web: 'localhost' is not fully qualified (dns-name)",
    ),
    (
        "host with a port",
        web(exposed=[{"gateway": "public", "host": "api.example.com:443"}]),
        "mesh_services[0].exposed[0].host of web: 'api.example.com:443' is an address, "
        "not a DNS name (dns-name)",
    ),
    (
        "external without hosts",
        external(hosts=[]),
        "mesh_external_services[0].hosts of pay: needs at least one entry (required)",
    ),
    (
        "external hosts as text",
        external(hosts="pay.example.org"),
        "mesh_external_services[0].hosts of pay: is a string, not a list (type)",
    ),
    (
        "external without ports",
        external(ports=[]),
        "mesh_external_services[0].ports of pay: needs at least one entry (required)",
    ),
    (
        "external port twice",
        external(ports=[{"number": 443, "protocol": "TLS"}, {"number": 443, "protocol": "TLS", "name": "b"}]),
        "mesh_external_services[0].ports of pay: two ports have the number 443 (duplicate)",
    ),
    (
        "external port name twice",
        external(
            ports=[
                {"number": 443, "protocol": "TLS", "name": "b"},
                {"number": 444, "protocol": "TLS", "name": "b"},
            ]
        ),
        "mesh_external_services[0].ports of pay: two ports have the name b (duplicate)",
    ),
    (
        "external port",
        external(ports=[{"number": 65536, "protocol": "TLS"}]),
        "mesh_external_services[0].ports[0].number of pay: is 65536, not within 1 to 65535 (range)",
    ),
    (
        "external protocol",
        external(ports=[{"number": 443, "protocol": "tls"}]),
        "mesh_external_services[0].ports[0].protocol of pay: is 'tls', not one of "
        "HTTP, HTTP2, GRPC, HTTPS, TLS, TCP, MONGO, MYSQL, REDIS (choice)",
    ),
    (
        "external target port",
        external(ports=[{"number": 443, "protocol": "TLS", "target_port": 0}]),
        "mesh_external_services[0].ports[0].target_port of pay: is 0, not within 1 to 65535 (range)",
    ),
    (
        "external resolution",
        external(resolution="dns"),
        "mesh_external_services[0].resolution of pay: is 'dns', not one of DNS, STATIC, NONE (choice)",
    ),
    (
        "static without endpoints",
        external(resolution="STATIC"),
        "mesh_external_services[0].endpoints of pay: are required with resolution STATIC (resolution)",
    ),
    (
        "endpoint",
        external(endpoints=["a b"]),
        "mesh_external_services[0].endpoints[0] of pay: 'a b' is neither a DNS name "
        "nor an IPv4 or IPv6 address (address)",
    ),
    (
        "endpoint of an IPv4 address that is none",
        external(endpoints=["256.1.1.1"]),
        "mesh_external_services[0].endpoints[0] of pay: '256.1.1.1' is neither a DNS "
        "name nor an IPv4 or IPv6 address (address)",
    ),
    (
        "external by gateway",
        external(callers=[{"gateway": "public"}]),
        "mesh_external_services[0].callers[0].gateway of pay: is not a known key (unknown-key)",
    ),
    (
        "external via",
        external(via="gateway"),
        "mesh_external_services[0].via of pay: is 'gateway', not one of sidecar, egress_gateway (choice)",
    ),
    (
        "external twice",
        put("mesh_external_services", [EXTERNAL, EXTERNAL | {"hosts": ["b.example.org"]}]),
        "mesh_external_services[1].name of pay: the name is already used by "
        "mesh_external_services[0].name (duplicate)",
    ),
    (
        "external host twice",
        put("mesh_external_services", [EXTERNAL, EXTERNAL | {"name": "b"}]),
        "mesh_external_services[1].hosts of b: the host is already used by "
        "mesh_external_services[0].hosts (duplicate)",
    ),
    (
        "externals without names",
        put(
            "mesh_external_services",
            [
                {k: v for k, v in EXTERNAL.items() if k != "name"},
                {k: v for k, v in EXTERNAL.items() if k != "name"} | {"hosts": ["b.example.org"]},
            ],
        ),
        "mesh_external_services[0].name: is required "
        "(required)\nmesh_external_services[1].name: is required (required)",
    ),
    (
        "timeout of TLS",
        external(timeout="5s"),
        "mesh_external_services[0].timeout of pay: needs a port of protocol HTTP, HTTP2 or GRPC (http-only)",
    ),
    (
        "timeout of a wildcard",
        external(hosts=["*.example.org"], ports=[{"number": 80, "protocol": "HTTP"}], timeout="5s"),
        "mesh_external_services[0].hosts of pay: a wildcard host cannot be routed or "
        "given its own TLS settings (wildcard)",
    ),
    (
        "TLS of a wildcard",
        external(hosts=["*.example.org"], ports=[{"number": 80, "protocol": "HTTP"}], originate_tls={}),
        "mesh_external_services[0].hosts of pay: a wildcard host cannot be routed or "
        "given its own TLS settings (wildcard)",
    ),
    (
        "sni",
        external(ports=[{"number": 80, "protocol": "HTTP"}], originate_tls={"sni": "a"}),
        "mesh_external_services[0].originate_tls.sni of pay: 'a' is not fully qualified (dns-name)",
    ),
    (
        "subject",
        external(
            ports=[{"number": 80, "protocol": "HTTP"}], originate_tls={"subject_alt_names": ["*.example.org"]}
        ),
        "mesh_external_services[0].originate_tls.subject_alt_names[0] of pay: "
        "'*.example.org' is not a DNS name (dns-name)",
    ),
    (
        "TLS key",
        external(ports=[{"number": 80, "protocol": "HTTP"}], originate_tls={"ca": "x"}),
        "mesh_external_services[0].originate_tls.ca of pay: is not a known key (unknown-key)",
    ),
    (
        "egress of two ports",
        both(
            EGRESS,
            external(
                via="egress_gateway",
                ports=[{"number": 443, "protocol": "TLS"}, {"number": 444, "protocol": "TLS"}],
            ),
        ),
        "mesh_external_services[0].ports of pay: an egress gateway tells hosts apart "
        "by name, so one port each (egress-port)",
    ),
    (
        "egress of a wildcard",
        both(EGRESS, external(via="egress_gateway", hosts=["*.example.org"])),
        "mesh_external_services[0].via of pay: an egress gateway needs named hosts (wildcard)",
    ),
    (
        "egress of TCP",
        both(EGRESS, external(via="egress_gateway", ports=[{"number": 9, "protocol": "MYSQL"}])),
        "mesh_external_services[0].via of pay: plain TCP ports cannot be told apart at "
        "an egress gateway; use TLS (egress-tcp)",
    ),
    (
        "egress gateway of another name",
        both(EGRESS, put("mesh_egress_gateway", {"workload": "nope"}), external(via="egress_gateway")),
        "mesh_egress_gateway.workload: istio_gateways has no gateway 'nope' (unknown-gateway)",
    ),
    (
        "egress gateway without workload",
        put("mesh_egress_gateway", {"port": 443}),
        "mesh_egress_gateway.workload_namespace: is required "
        "(required)\nmesh_egress_gateway.service_account: is required "
        "(required)\nmesh_egress_gateway.service: is required "
        "(required)\nmesh_egress_gateway.selector: is required (required)",
    ),
    (
        "egress port",
        both(EGRESS, put("mesh_egress_gateway", {"workload": "istio-egressgateway", "port": 0})),
        "mesh_egress_gateway.port: is 0, not within 1 to 65535 (range)",
    ),
    (
        "egress key",
        both(EGRESS, put("mesh_egress_gateway", {"workload": "istio-egressgateway", "host": "x"})),
        "mesh_egress_gateway.host: is not a known key (unknown-key)",
    ),
    (
        "egress is text",
        put("mesh_egress_gateway", "istio-egressgateway"),
        "mesh_egress_gateway: is a string, not a mapping (type)",
    ),
    (
        "external entry of another type",
        put("mesh_external_services", ["pay"]),
        "mesh_external_services[0]: is a string, not a mapping (type)",
    ),
    (
        "outbound",
        put("mesh_outbound", "DENY"),
        "mesh_outbound: is 'DENY', not one of REGISTRY_ONLY, ALLOW_ANY (choice)",
    ),
    (
        "trust domain upper case",
        put("mesh_trust_domain", "Cluster.local"),
        "mesh_trust_domain: 'Cluster.local' is not a DNS name (dns-name)",
    ),
    (
        "alias",
        put("mesh_trust_domain_aliases", ["a", "b_c"]),
        "mesh_trust_domain_aliases[1]: 'b_c' is not a DNS name (dns-name)",
    ),
    (
        "cluster domain",
        put("mesh_cluster_domain", "a..b"),
        "mesh_cluster_domain: 'a..b' is not a DNS name (dns-name)",
    ),
    (
        "root namespace",
        put("mesh_root_namespace", "a.b"),
        "mesh_root_namespace: 'a.b' is not a DNS label (lower case letters, digits and "
        "'-', at most 63 characters) (dns-label)",
    ),
    (
        "access log",
        put("mesh_telemetry", {"access_log": "some"}),
        "mesh_telemetry.access_log: is 'some', not one of errors, all, none (choice)",
    ),
    (
        "telemetry key",
        put("mesh_telemetry", {"tracing": 1}),
        "mesh_telemetry.tracing: is not a known key, did you mean tracing_provider (unknown-key)",
    ),
    ("telemetry is text", put("mesh_telemetry", "all"), "mesh_telemetry: is a string, not a mapping (type)"),
    (
        "sampling -1 %",
        put("mesh_telemetry", {"trace_sampling_percent": -1}),
        "mesh_telemetry.trace_sampling_percent: is -1, not within 0 to 100 (range)",
    ),
    (
        "sampling as text",
        put("mesh_telemetry", {"trace_sampling_percent": "1 %"}),
        "mesh_telemetry.trace_sampling_percent: is '1 %', not a number (type)",
    ),
    (
        "metric tag of a list",
        put("mesh_telemetry", {"metrics": {"add_tags": {"a": ["x"]}}}),
        "mesh_telemetry.metrics.add_tags: a takes its value from ['x'], whose values "
        "may be unbounded; allowed are connection.mtls, destination.port, "
        "request.method, request.protocol, request.scheme, response.code, "
        "response.grpc_status, xds.cluster_name, xds.route_name (metric-cardinality)",
    ),
    (
        "metric that is none",
        put("mesh_telemetry", {"metrics": {"disabled": ["REQUESTS"]}}),
        "mesh_telemetry.metrics.disabled[0]: 'REQUESTS' is not one of ALL_METRICS, "
        "REQUEST_COUNT, REQUEST_DURATION, REQUEST_SIZE, RESPONSE_SIZE, "
        "TCP_OPENED_CONNECTIONS, TCP_CLOSED_CONNECTIONS, TCP_SENT_BYTES, "
        "TCP_RECEIVED_BYTES, GRPC_REQUEST_MESSAGES, GRPC_RESPONSE_MESSAGES (choice)",
    ),
    (
        "metrics key",
        put("mesh_telemetry", {"metrics": {"tags": ["x"]}}),
        "mesh_telemetry.metrics.tags: is not a known key, did you mean add_tags (unknown-key)",
    ),
    (
        "limits host",
        put("mesh_rate_limit_service", RATE_LIMITS | {"host": "ratelimit"}),
        "mesh_rate_limit_service.host: 'ratelimit' is not fully qualified (dns-name)",
    ),
    (
        "limits without namespace",
        put("mesh_rate_limit_service", {"host": "rl.limits.svc.cluster.local"}),
        "mesh_rate_limit_service.namespace: is required (required)",
    ),
    (
        "limits port",
        put("mesh_rate_limit_service", RATE_LIMITS | {"port": 0}),
        "mesh_rate_limit_service.port: is 0, not within 1 to 65535 (range)",
    ),
    (
        "limits timeout",
        put("mesh_rate_limit_service", RATE_LIMITS | {"timeout": "soon"}),
        "mesh_rate_limit_service.timeout: 'soon' is not a duration such as 500ms, 10s or 1m30s (duration)",
    ),
    (
        "limits deny as text",
        put("mesh_rate_limit_service", RATE_LIMITS | {"deny_on_failure": "yes"}),
        "mesh_rate_limit_service.deny_on_failure: is a string, not true or false (type)",
    ),
    (
        "limits key",
        put("mesh_rate_limit_service", RATE_LIMITS | {"fail": 1}),
        "mesh_rate_limit_service.fail: is not a known key (unknown-key)",
    ),
]


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_rule(change: Change, said: str) -> None:
    """One fault is one problem: what follows from it is not said as well."""
    raw = minimal()
    parse_catalogue(raw)
    change(raw)
    with pytest.raises(InputError) as caught:
        parse_catalogue(raw)
    assert [str(problem) for problem in caught.value.problems] == said.splitlines()


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
