"""Catalogues for tests: a small valid one to alter, and a generator of all that the schema accepts."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

GATEWAYS = [{"name": "istio-ingressgateway"}]


def service(name: str, **more: Any) -> dict[str, Any]:
    """A service with one HTTP port."""
    return {"name": name, "ports": [{"name": "http", "number": 3000, "protocol": "http"}], **more}


def minimal(**more: Any) -> dict[str, Any]:
    """Two services behind a gateway; ``web`` calls ``api``."""
    catalogue = {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "istio_gateways": copy.deepcopy(GATEWAYS),
        "mesh_gateways": [
            {"name": "public", "servers": [{"host": "api.example.com", "certificate": "api-example-com"}]}
        ],
        "mesh_services": [
            service("web", exposed=[{"gateway": "public", "host": "api.example.com", "path": "/"}]),
            service("api", callers=[{"service": "web"}], versions={"v1": {}, "v2": {}}, initial_version="v1"),
        ],
    }
    return catalogue | more


@functools.cache
def _full() -> dict[str, Any]:
    text = (Path(__file__).parent / "full_catalogue.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def full() -> dict[str, Any]:
    """A catalogue with every setting that there is."""
    return copy.deepcopy(_full())


def by_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind by ``namespace/name``."""
    return {f"{o['metadata']['namespace']}/{o['metadata']['name']}": o for o in objects if o["kind"] == kind}


# -- generator ---------------------------------------------------------------------------------------------

NAMES = ["web", "api", "auth", "users", "orders", "stock"]
_NAMESPACES = ["shop", "back"]
_durations = st.sampled_from(["250ms", "1s", "3s", "10s", "1m30s"])
_tokens = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
_paths = st.lists(_tokens, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
_narrowed = st.fixed_dictionaries(
    {
        "methods": st.lists(st.sampled_from(["GET", "POST", "PUT", "DELETE"]), unique=True, max_size=3),
        "paths": st.lists(
            st.one_of(_paths, _paths.map(lambda path: f"{path}/*"), st.just("/*")), unique=True, max_size=3
        ),
    }
)
"""What narrows a caller; what is empty is left out, because an empty list is refused."""
_header = st.sampled_from(["x-user-id", "X-Tenant", "x-version", "accept-language"])
_regex = st.sampled_from(["v[0-9]+", "(a|b)c?", r"\d{1,3}", "^x.*$"])
_percent = st.one_of(st.integers(0, 100), st.floats(0, 100).map(lambda value: round(value, 2)))
_match = st.one_of(
    _tokens,
    st.fixed_dictionaries({"exact": _tokens}),
    st.fixed_dictionaries({"prefix": _tokens}),
    st.fixed_dictionaries({"regex": _regex}),
)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


_ports = st.one_of(st.integers(1, 14_990), st.integers(15_100, 65_535))  # none of a proxy itself
_whole = st.sampled_from(["1s", "10s", "1m30s"])
_keepalive = _some(time=_whole, interval=_whole, probes=st.integers(1, 10)).filter(bool)
_pool = _some(
    max_connections=st.integers(1, 5000),
    connect_timeout=_durations,
    max_connection_duration=_durations,
    keepalive=_keepalive,
    max_pending=st.integers(1, 5000),
    max_requests=st.integers(1, 5000),
    max_requests_per_connection=st.integers(1, 1000),
    max_retries=st.integers(1, 100),
    idle_timeout=_durations,
).filter(bool)
_breaker = st.fixed_dictionaries(
    {"consecutive_5xx": st.integers(10, 50)},
    optional={
        "consecutive_gateway_errors": st.integers(1, 9),
        "consecutive_local_origin_failures": st.integers(1, 9),
        "interval": _durations,
        "base_ejection_time": _durations,
        "max_ejection_percent": st.integers(1, 100),
        "min_health_percent": st.integers(0, 100),
    },
)
_cookie_hash = st.fixed_dictionaries(
    {"cookie": _tokens}, optional={"cookie_ttl": _durations, "cookie_path": _paths}
)
_http_hash = st.one_of(
    _header.map(lambda name: {"header": name}), _tokens.map(lambda name: {"query": name}), _cookie_hash
)
_locality = st.one_of(
    st.just({"enabled": True}),
    st.just({"enabled": True, "failover": [{"from": "eu", "to": "us"}]}),
    st.just({"distribute": [{"from": "eu/*", "to": {"eu/*": 80, "us/*": 20}}]}),
    st.just({"failover_priority": ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"]}),
)


@st.composite
def _balancing(draw: st.DrawFn, http: bool) -> dict[str, Any]:
    source_ip = st.just({"source_ip": True})
    found: dict[str, Any] = {}
    if draw(st.booleans()):
        found["hash"] = draw(st.one_of(source_ip, _http_hash) if http else source_ip)
    else:
        found["policy"] = draw(st.sampled_from(["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"]))
        if found["policy"] in ("LEAST_REQUEST", "ROUND_ROBIN") and draw(st.booleans()):
            found["warmup"] = draw(_durations)
    locality = draw(_maybe(_locality))
    return found | ({"locality": locality} if locality else {})


@st.composite
def _when(draw: st.DrawFn, path: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if path:
        found["path"] = path
        if draw(st.booleans()):
            found["match"] = "exact"
    if draw(st.booleans()):
        found["header"] = draw(st.dictionaries(_header, _match, min_size=1, max_size=2))
    if draw(st.booleans()):
        found["cookie"] = {draw(_tokens): draw(st.sampled_from(["b", "version-b", "a.b", "x+y", "1|2"]))}
    if draw(st.booleans()):
        found["query"] = draw(st.dictionaries(_tokens, _match, min_size=1, max_size=2))
    return found or {"header": {"x-default": "1"}}


@st.composite
def _retries(draw: st.DrawFn, grpc: bool) -> dict[str, Any]:
    attempts = draw(st.integers(0, 5))
    if not attempts:
        return {"attempts": 0}
    found: dict[str, Any] = {"attempts": attempts}
    risky = [
        "5xx",
        "gateway-error",
        "reset",
        "retriable-4xx",
        "unavailable",
        "503",
        "cancelled",
        "envoy-ratelimited",
    ]
    safe = ["connect-failure", "refused-stream", "reset-before-request"]
    if draw(st.booleans()):
        found["on"] = draw(st.lists(st.sampled_from(safe + risky), unique=True, min_size=1, max_size=4))
        if grpc and set(found["on"]) & set(risky):
            found["non_idempotent"] = True
    if draw(st.booleans()):
        found["non_idempotent"] = True
    if draw(st.booleans()):
        found["per_try_timeout"] = "100ms"
    return found


@st.composite
def _http_settings(  # noqa: PLR0912 - one branch per setting
    draw: st.DrawFn, versions: list[str], grpc: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if draw(st.booleans()):
        found["timeout"] = draw(st.sampled_from(["1s", "3s", "10s", "none"]))
    if draw(st.booleans()):
        found["retries"] = draw(_retries(grpc))
    if draw(st.booleans()):
        found["open_paths"] = draw(st.lists(_paths, unique=True, min_size=1, max_size=3))
    if draw(st.booleans()):
        fault: dict[str, Any] = {"delay": {"percent": draw(_percent), "fixed": draw(_durations)}}
        if draw(st.booleans()):
            fault["abort"] = {
                "percent": draw(_percent),
                "status": draw(st.sampled_from([400, 429, 500, 503])),
            }
        if draw(st.booleans()):
            fault["only_header"] = "X-Fault-Test"
        found["fault"] = fault
    if draw(st.booleans()):
        found["cors"] = draw(
            st.fixed_dictionaries(
                {
                    "origins": st.just(
                        [{"exact": "https://shop.example.com"}, {"regex": "https://[a-z]+.example.org"}]
                    )
                },
                optional={
                    "methods": st.just(["GET", "POST"]),
                    "headers": st.just(["authorization"]),
                    "expose_headers": st.just(["x-request-id"]),
                    "max_age": st.sampled_from(["1s", "24h", "1m30s"]),
                    "credentials": st.booleans(),
                },
            )
        )
    if versions:
        if draw(st.booleans()):
            names = draw(st.lists(st.sampled_from(["a", "b", "beta"]), unique=True, min_size=1, max_size=2))
            found["variants"] = [
                {
                    "name": name,
                    "to": draw(st.sampled_from(versions)),
                    "when": draw(_when()) | {"header": {f"x-{name}": draw(_match)}},
                }
                for name in names
            ]
        if draw(st.booleans()):
            found["mirror"] = {
                "to": draw(st.sampled_from(versions)),
                "percent": draw(_percent),
                "writes": grpc or draw(st.booleans()),
            }
    if draw(st.booleans()):
        found["routes"] = []
        for name in draw(
            st.lists(st.sampled_from(["special", "special/sub", "other"]), unique=True, min_size=1)
        ):
            route: dict[str, Any] = {
                "name": name.replace("/", "-"),
                "when": draw(_when(f"/{name}")),
                "timeout": draw(st.sampled_from(["10s", "none", "0s"])),
            }
            if versions and draw(st.booleans()):
                route["to"] = draw(st.sampled_from(versions))
            found["routes"].append(route)
    return found


@st.composite
def _rate_limit(draw: st.DrawFn, exposed: bool) -> dict[str, Any]:
    limit: dict[str, Any] = {
        "scope": draw(st.sampled_from(["local", "global"])),
        "at": draw(st.sampled_from(["service", "gateway"])) if exposed else "service",
        "requests": draw(st.integers(1, 10_000)),
        "per": draw(st.sampled_from(["1s", "60s", "1m", "1h"])),
    }
    if draw(st.booleans()):
        limit["by"] = {"header": draw(_header)}
        if limit["scope"] == "local":
            limit["max_keys"] = draw(st.integers(1, 10_000))
    return limit


@st.composite
def _service(  # noqa: PLR0912 - one branch per setting
    draw: st.DrawFn, name: str, namespace: str, callers: list[dict[str, Any]]
) -> dict[str, Any]:
    protocol = draw(st.sampled_from(["http", "http", "http", "http2", "grpc", "tcp", "tls", "mysql"]))
    http = protocol in ("http", "http2", "grpc")
    ports = [{"name": protocol, "number": draw(_ports), "protocol": protocol}]
    if draw(st.booleans()):
        ports[0]["target_port"] = draw(_ports)
    if draw(st.booleans()):
        number = next(  # a proxy reads a target port in one way only
            one
            for one in (ports[0]["number"] % 65535 + 1, (ports[0]["number"] + 1) % 65535 + 1)
            if one != ports[0].get("target_port")
        )
        ports.append({"name": "extra", "number": number, "protocol": draw(st.sampled_from(["http", "tcp"]))})
        http = http or ports[1]["protocol"] == "http"
    versions = draw(st.sampled_from([[], ["v1"], ["v1", "v2"]]))
    found: dict[str, Any] = {"name": name, "namespace": namespace, "ports": ports}
    if versions:
        found |= {"versions": {version: {} for version in versions}, "initial_version": versions[0]}
    edges = []
    for caller in callers:
        edge = dict(caller)
        if http and draw(st.booleans()):
            edge["ports"] = [port["name"] for port in ports if port["protocol"] in ("http", "http2", "grpc")]
            edge |= {key: found for key, found in draw(_narrowed).items() if found}
        edges.append(edge)
    if edges:
        found["callers"] = edges
    exposed = http and draw(st.booleans())
    if exposed:
        # The gateway is let in by what is exposed; as a caller besides it is refused.
        found["callers"] = [edge for edge in edges if "gateway" not in edge]
        found["exposed"] = [{"gateway": "public", "host": "api.example.com", "path": f"/{name}"}]
        if ports[-1]["protocol"] == "http" and draw(st.booleans()):
            side = {"gateway": "public", "host": "api.example.com", "path": f"/{name}/side"}
            found["exposed"].append(side | {"port": ports[-1]["name"]})
    found |= draw(_ways_in(name, ports, found))
    if http:
        first_http = next(port for port in ports if port["protocol"] in ("http", "http2", "grpc"))
        found |= draw(_http_settings(versions, first_http["protocol"] == "grpc"))
        if exposed and "routes" not in found and draw(st.booleans()):
            found["exposed"][0]["rewrite"] = draw(st.one_of(_paths, st.just("/")))
        if draw(st.booleans()):
            found["rate_limit"] = draw(_rate_limit(exposed))
    if draw(st.booleans()):
        found["connection_pool"] = draw(_pool)
    if draw(st.booleans()):
        found["load_balancing"] = draw(_balancing(http))
    if draw(st.booleans()) or "locality" in found.get("load_balancing", {}):
        found["circuit_breaker"] = draw(_breaker)
    if draw(st.booleans()) or any("anonymous" in caller for caller in found.get("callers", ())):
        found["mtls"] = {"mode": "PERMISSIVE", "reason": "un-meshed batch job until March"}
    if draw(st.booleans()):
        scraper = {"principal": "cluster.local/ns/monitoring/sa/prometheus"}
        found["scrape"] = {"port": 9100, "callers": [scraper]}
        if draw(st.booleans()):
            found.setdefault("mtls", {"reason": "scraped without a certificate"})["ports"] = {
                "9100": "PERMISSIVE"
            }
    return found


@st.composite
def _ways_in(
    draw: st.DrawFn, name: str, ports: list[dict[str, Any]], found: dict[str, Any]
) -> dict[str, Any]:
    """Streams at the gateway, callers without an identity, a headless companion, openness."""
    more: dict[str, Any] = {}
    stream = next((port for port in ports if port["protocol"] in ("tcp", "tls", "mysql")), None)
    if stream and draw(st.booleans()):
        host = f"{name}.{draw(st.sampled_from(['tcp', 'pass']))}.example.org"
        entry = {"gateway": "public", "host": host} | draw(_some(port=st.just(stream["name"])))
        more["exposed"] = [*found.get("exposed", ()), entry]
        found["callers"] = [caller for caller in found.get("callers", ()) if "gateway" not in caller]
    unknown = draw(
        st.lists(
            st.sampled_from(
                [
                    {"anonymous": True, "reason": "shown to everybody"},
                    {"ip_blocks": ["10.0.0.0/8", "fd00::/8"], "reason": "the old data centre"},
                ]
            ),
            unique_by=str,
            max_size=2,
        )
    )
    if unknown and draw(st.booleans()):
        more["callers"] = [*found.get("callers", ()), *unknown]
    if draw(st.booleans()):
        gossip = {"name": "gossip", "number": 7946, "protocol": "tcp"}
        companion = {"name": f"{name}-pods", "ports": [gossip]}
        more["headless"] = draw(st.sampled_from([f"{name}-pods", companion]))
    if draw(st.integers(0, 7)) == 0:
        more["open"] = {"reason": "a public page"}
    return more


@st.composite
def _external(draw: st.DrawFn, name: str, callers: list[dict[str, Any]]) -> dict[str, Any]:
    host = f"{name}.example.com"
    egress = draw(st.booleans())
    protocol = draw(st.sampled_from(["HTTP", "TLS"] if egress else ["HTTP", "TLS", "HTTPS", "TCP", "GRPC"]))
    found: dict[str, Any] = {
        "name": name,
        "hosts": [host],
        "ports": [{"number": draw(st.sampled_from([80, 443, 8443])), "protocol": protocol}],
        "callers": [dict(caller) for caller in callers],
    }
    if egress:
        found["via"] = "egress_gateway"
    elif protocol in ("TLS", "HTTPS") and draw(st.booleans()):
        found["hosts"] = [f"*.{host}"]
    if protocol in ("HTTP", "GRPC"):
        if draw(st.booleans()):
            found["originate_tls"] = draw(_some(sni=st.just(host), subject_alt_names=st.just([host])))
        if draw(st.booleans()):
            found["timeout"] = draw(_durations)
    if draw(st.booleans()) and not found["hosts"][0].startswith("*"):
        found["connection_pool"] = draw(_pool)
    if protocol == "TCP":
        found["addresses"] = [{"pay": "10.1.0.0/16", "mail": "fd00::/16"}[name]]
    elif draw(st.booleans()) and not found["hosts"][0].startswith("*"):
        found["endpoints"] = draw(st.sampled_from([["10.1.2.3"], ["echo.external.svc.cluster.local"]]))
    return found


@st.composite
def catalogues(draw: st.DrawFn) -> dict[str, Any]:
    """Any catalogue that the schema accepts, with every setting switched on in some of them."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=4))
    homes = {name: draw(st.sampled_from(_NAMESPACES)) for name in names}
    refs = [{"service": name, "namespace": homes[name]} for name in names]
    possible = [*refs, {"principal": "cluster.local/ns/legacy/sa/batch"}, {"gateway": "public"}]
    services = []
    for name in names:
        unique = st.lists(st.sampled_from(range(len(possible))), unique=True, max_size=3)
        callers = [possible[index] for index in sorted(draw(unique))]
        services.append(draw(_service(name, homes[name], callers)))
    externals = draw(st.lists(st.sampled_from(["pay", "mail"]), unique=True, max_size=2))
    mesh: dict[str, Any] = {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "mesh_mtls_mode": draw(st.sampled_from(["STRICT", "PERMISSIVE"])),
        "mesh_outbound": draw(st.sampled_from(["REGISTRY_ONLY", "ALLOW_ANY"])),
        "mesh_default_deny": draw(st.booleans()),
        "istio_gateways": [{"name": "istio-ingressgateway"}, {"name": "istio-egressgateway", "egress": True}],
        "mesh_gateways": [draw(_gateway())],
        "mesh_services": services,
        "mesh_external_services": [
            draw(_external(name, refs[: draw(st.integers(1, len(refs)))])) for name in externals
        ],
        "mesh_egress_gateway": {"workload": "istio-egressgateway"},
        "mesh_rate_limit_service": {"host": "ratelimit.limits.svc.cluster.local", "namespace": "limits"},
    }
    telemetry = draw(
        _some(
            access_log=st.sampled_from(["errors", "all", "none"]),
            trace_sampling_percent=_percent,
            tracing_provider=st.just("jaeger"),
            metrics=st.just({"remove_tags": ["source_principal"], "add_tags": {"method": "request.method"}}),
        )
    )
    if telemetry:
        mesh["mesh_telemetry"] = telemetry
    if draw(st.integers(0, 7)) == 0:
        mesh["mesh_open"] = {"reason": "not adopted yet"}
    return mesh


@st.composite
def _gateway(draw: st.DrawFn) -> dict[str, Any]:
    server: dict[str, Any] = {"host": draw(st.sampled_from(["api.example.com", "*.example.com"]))}
    if draw(st.booleans()):
        server |= {"certificate": "api-example-com", "https_redirect": draw(st.booleans())}
        server["mode"] = draw(st.sampled_from(["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"]))
        server["min_tls"] = draw(st.sampled_from(["1.2", "1.3", 1.2]))
        if server["min_tls"] != "1.3" and draw(st.booleans()):
            server["cipher_suites"] = ["ECDHE-ECDSA-AES256-GCM-SHA384"]
        if draw(st.booleans()):
            server["max_tls"] = "1.3"
    servers = [server]
    if "certificate" in server and draw(st.booleans()):
        servers.append(server | {"host": "www.example.org", "https_redirect": draw(st.booleans())})
    if draw(st.booleans()):
        servers.append({"host": "internal.shop.lan", "port": 8080})
    servers.append({"host": "*.pass.example.org", "mode": "PASSTHROUGH", "port": 9443})
    for index, name in enumerate(NAMES):
        servers.append({"host": f"{name}.tcp.example.org", "protocol": "TCP", "port": 7000 + index})
    return {"name": "public", "workload": "istio-ingressgateway", "servers": servers}
