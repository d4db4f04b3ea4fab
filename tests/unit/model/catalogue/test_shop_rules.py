# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of exposed ports, streams, headless companions, addresses and openings: what is refused, word for
word, and what is not."""

# ruff: noqa: E501 - one row per rule
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue

from ...support.catalogues import minimal, service
from .test_rules import EGRESS, EXTERNAL, Change, add, api, both, external, put, web

PORTS = [
    {"name": "http", "number": 80, "protocol": "http"},
    {"name": "grpc", "number": 81, "protocol": "grpc"},
    {"name": "tls", "number": 82, "protocol": "tls"},
    {"name": "sql", "number": 83, "protocol": "tcp"},
]
TCP = {"host": "sql.example.com", "protocol": "TCP", "port": 5432}
PASS = {"host": "mq.example.com", "mode": "PASSTHROUGH", "port": 8443}
OPEN = {"anonymous": True, "reason": "a price list"}
LOOSE = {"mode": "PERMISSIVE", "reason": "old clients"}


def servers(*more: dict[str, Any]) -> Change:
    return lambda catalogue: catalogue["mesh_gateways"][0]["servers"].extend(more)


def exposed(host: str, *more: dict[str, Any], **fields: Any) -> Change:
    entry = {"gateway": "public", "host": host} | fields
    return both(servers(*more), api(ports=PORTS, exposed=[entry]))


def streams(*fields: dict[str, Any]) -> Change:
    port = [{"number": 5432, "protocol": "TCP"}]
    entries = [
        EXTERNAL | {"name": f"e{index}", "hosts": [f"e{index}.example.org"], "ports": port} | more
        for index, more in enumerate(fields)
    ]
    return put("mesh_external_services", entries)


SERVER = "mesh_gateways[0].servers[1]"
EXPOSED = "mesh_services[1].exposed[0]"
CASES: list[tuple[str, Change, str]] = [
    (
        "certificate where TLS passes through",
        servers(PASS | {"certificate": "x"}),
        f"{SERVER}.certificate of public: has no use with mode PASSTHROUGH: TLS ends at the service (tls-passthrough)",
    ),
    (
        "TCP that passes through",
        servers(PASS | {"protocol": "TCP"}),
        f"{SERVER}.protocol of public: is TCP; mode PASSTHROUGH goes with TLS (tls-passthrough)",
    ),
    (
        "HTTP with a certificate",
        servers({"host": "a.example.com", "protocol": "HTTP", "certificate": "x"}),
        f"{SERVER}.protocol of public: is HTTP; with a certificate it is HTTPS (tls-certificate)",
    ),
    (
        "TCP with a certificate",
        servers(TCP | {"certificate": "x"}),
        f"{SERVER}.protocol of public: is TCP; with a certificate it is TLS (tls-certificate)",
    ),
    (
        "HTTPS without a certificate",
        servers({"host": "a.example.com", "protocol": "HTTPS"}),
        f"{SERVER}.protocol of public: HTTPS needs a certificate (tls-without-certificate)",
    ),
    (
        "TLS without a certificate",
        servers({"host": "a.example.com", "protocol": "TLS"}),
        f"{SERVER}.protocol of public: TLS needs a certificate or mode PASSTHROUGH (tls-without-certificate)",
    ),
    (
        "TCP without a port",
        servers({"host": "a.example.com", "protocol": "TCP"}),
        f"{SERVER}.port of public: is required (required)",
    ),
    (
        "UDP",
        servers(TCP | {"protocol": "UDP"}),
        f"{SERVER}.protocol of public: is 'UDP', not one of HTTP, HTTPS, TLS, TCP (choice)",
    ),
    (
        "TLS settings where TLS passes through",
        servers(PASS | {"min_tls": "1.3"}),
        f"{SERVER}.min_tls of public: needs a certificate (tls-without-certificate)",
    ),
    (
        "redirect to TCP",
        servers({"host": "a.example.com", "protocol": "TLS", "certificate": "x", "https_redirect": True}),
        f"{SERVER}.https_redirect of public: needs protocol HTTPS, not TLS (http-only)",
    ),
    (
        "two TCP hosts on a port",
        servers(TCP, TCP | {"host": "other.example.com"}),
        "mesh_gateways[0].servers[2] of public: port 5432 serves TCP for mesh_gateways[0].servers[1] already, and TCP carries no name (port-clash)",
    ),
    (
        "TCP on the port of HTTPS",
        servers(TCP | {"port": 443}),
        f"{SERVER} of public: port 443 serves HTTPS for mesh_gateways[0].servers[0] as well (port-clash)",
    ),
    (
        "TCP on the port of a redirect",
        servers(TCP | {"port": 80}),
        "mesh_gateways[0].servers[0] of public: port 80 serves TCP for mesh_gateways[0].servers[1] as well (port-clash)",
    ),
    (
        "plain HTTP on the port of TLS",
        servers(PASS, {"host": "plain.example.com", "port": 8443}),
        "mesh_gateways[0].servers[2] of public: port 8443 serves TLS for mesh_gateways[0].servers[1] as well (port-clash)",
    ),
    (
        "one certificate, two TLS settings",
        servers({"host": "b.example.com", "certificate": "api-example-com", "min_tls": "1.3"}),
        f"{SERVER}.certificate of public: connections are shared with mesh_gateways[0].servers[0], which has the same "
        "certificate: give both the same TLS settings, or give it a certificate of its own (shared-certificate)",
    ),
    (
        "one certificate, two gateways",
        lambda c: c["mesh_gateways"].append(
            {"name": "second", "servers": [{"host": "b.example.com", "certificate": "api-example-com"}]}
        ),
        "mesh_gateways[1].servers[0].certificate of second: connections are shared with mesh_gateways[0].servers[0], "
        "which has the same certificate: put both under one gateway, or give it a certificate of its own (shared-certificate)",
    ),
    (
        "unknown port exposed",
        exposed("api.example.com", port="grcp"),
        f"{EXPOSED}.port of api: api has no port 'grcp', did you mean grpc (unknown-port)",
    ),
    (
        "stream exposed as HTTP",
        exposed("api.example.com", path="/api", port="sql"),
        f"{EXPOSED}.port of api: sql speaks tcp; a host served as HTTPS needs a port that speaks HTTP (http-only)",
    ),
    (
        "HTTP exposed as a stream",
        exposed("mq.example.com", PASS, port="http"),
        f"{EXPOSED}.port of api: http speaks http; a host served as TLS needs a port of protocol tcp, tls or the like (http-only)",
    ),
    (
        "HTTP service at TCP",
        both(servers(TCP), web(exposed=[{"gateway": "public", "host": "sql.example.com"}])),
        "mesh_services[0].exposed[0] of web: needs a port of protocol tcp, tls or the like: the gateway serves TCP (http-only)",
    ),
    (
        "path of a stream",
        exposed("sql.example.com", TCP, path="/x"),
        f"{EXPOSED} of api: TCP has no requests, so path, match, rewrite and methods say nothing (http-only)",
    ),
    (
        "methods of a stream",
        exposed("mq.example.com", PASS, methods=["GET"]),
        f"{EXPOSED} of api: TLS has no requests, so path, match, rewrite and methods say nothing (http-only)",
    ),
    (
        "two services on one TCP host",
        both(
            exposed("sql.example.com", TCP),
            web(ports=PORTS, exposed=[{"gateway": "public", "host": "sql.example.com"}]),
        ),
        "mesh_services[1].exposed[0] of api: this path of the host is already used by mesh_services[0].exposed[0] (duplicate)",
    ),
    (
        "limit of a stream at the gateway",
        both(exposed("sql.example.com", TCP), api(rate_limit={"requests": 1, "per": "1s", "at": "gateway"})),
        "mesh_services[1].rate_limit.at of api: gateway needs an entry in exposed that leads to HTTP (rate-limit-gateway)",
    ),
    (
        "headless companion that is another service",
        api(headless="web"),
        "mesh_services[1].headless of api: 'web' is mesh_services[0], a service of its own (headless)",
    ),
    (
        "headless companion of its own name",
        api(headless={"name": "api"}),
        "mesh_services[1].headless of api: 'api' is the service itself (headless)",
    ),
    (
        "headless port of other pods",
        api(headless={"name": "pods", "ports": [{"name": "http", "number": 9, "protocol": "http"}]}),
        "mesh_services[1].headless.ports of api: port http has target_port 3000 in the service, and both have the same pods (headless)",
    ),
    (
        "headless companion without ports",
        api(headless={"name": "pods", "ports": []}),
        "mesh_services[1].headless.ports of api: needs at least one port (required)",
    ),
    (
        "headless companion that is a list",
        api(headless=["pods"]),
        "mesh_services[1].headless of api: is a list, not a mapping (type)",
    ),
    (
        "anonymous without a reason",
        api(callers=[{"anonymous": True}], mtls=LOOSE),
        "mesh_services[1].callers[0].reason of api: is required: anonymous lets in whoever it is (required)",
    ),
    (
        "networks without a reason",
        api(callers=[{"ip_blocks": ["10.0.0.0/8"]}]),
        "mesh_services[1].callers[0].reason of api: is required: ip_blocks lets in whoever it is (required)",
    ),
    (
        "anonymous that is not",
        api(callers=[{"anonymous": False, "reason": "x"}]),
        "mesh_services[1].callers[0].anonymous of api: is false, which lets nobody in: leave the entry out (caller-kind)",
    ),
    (
        "no network",
        api(callers=[{"ip_blocks": [], "reason": "x"}]),
        "mesh_services[1].callers[0].ip_blocks of api: is empty, so nobody would be let in (caller-kind)",
    ),
    (
        "reason of a named caller",
        api(callers=[{"service": "web", "reason": "x"}]),
        "mesh_services[1].callers[0].reason of api: goes with anonymous and ip_blocks only (caller-kind)",
    ),
    (
        "anonymous on a STRICT port",
        api(callers=[OPEN]),
        "mesh_services[1].callers[0] of api: port 3000 is STRICT, so nobody without a certificate gets as far: give "
        'mtls.ports {"3000": PERMISSIVE}, or the service open, which lets everybody of the mesh in (anonymous-strict)',
    ),
    (
        "anonymous scraper of a STRICT port",
        api(scrape={"port": 9100, "callers": [OPEN]}),
        "mesh_services[1].scrape.callers[0] of api: port 9100 is STRICT, so nobody without a certificate gets as far: give "
        'mtls.ports {"9100": PERMISSIVE}, or the service open, which lets everybody of the mesh in (anonymous-strict)',
    ),
    (
        "anonymous caller of an external service",
        external(callers=[OPEN]),
        "mesh_external_services[0].callers[0].anonymous of pay: is not a known key (unknown-key); "
        "mesh_external_services[0].callers[0].reason of pay: is not a known key (unknown-key)",
    ),
    (
        "the same networks twice",
        api(callers=[{"ip_blocks": ["10.0.0.0/8"], "reason": reason} for reason in "ab"]),
        "mesh_services[1].callers[1] of api: the same edge is already used by mesh_services[1].callers[0] (duplicate)",
    ),
    (
        "host bits in a network",
        api(callers=[{"ip_blocks": ["10.0.0.1/8"], "reason": "x"}]),
        "mesh_services[1].callers[0].ip_blocks[0] of api: '10.0.0.1/8' has bits beyond its prefix; the network is 10.0.0.0/8 (address)",
    ),
    ("open without a reason", api(open={}), "mesh_services[1].open.reason of api: is required (required)"),
    (
        "blank reasons",
        both(
            put("mesh_open", {"reason": " "}),
            api(open={"reason": "\t"}, callers=[OPEN | {"reason": ""}], mtls=LOOSE | {"reason": "  "}),
        ),
        "mesh_open.reason: is blank, which is no reason (text); "
        "mesh_services[1].callers[0].reason of api: is blank, which is no reason (text); "
        "mesh_services[1].open.reason of api: is blank, which is no reason (text); "
        "mesh_services[1].mtls.reason of api: is blank, which is no reason (text)",
    ),
    ("open, just so", api(open=True), "mesh_services[1].open of api: is a boolean, not a mapping (type)"),
    ("mesh open without a reason", put("mesh_open", {"why": "x"}), "mesh_open.reason: is required (required); mesh_open.why: is not a known key (unknown-key)"),
    ("mesh open, just so", put("mesh_open", True), "mesh_open: is a boolean, not a mapping (type)"),
    (
        "address that is none",
        external(addresses=["169.254.169.256"]),
        "mesh_external_services[0].addresses[0] of pay: '169.254.169.256' is neither an address nor a network such as 10.1.0.0/16 or fd00::/8 (address)",
    ),
    (
        "address as a host",
        external(hosts=["169.254.169.254"]),
        "mesh_external_services[0].hosts[0] of pay: '169.254.169.254' is an address, not a DNS name: "
        "it belongs into addresses, beside any name in hosts (dns-name)",
    ),
    (
        "one address twice",
        external(addresses=["10.0.0.0/8", "fd00::1", "10.0.0.1/32"]),
        "mesh_external_services[0].addresses of pay: 10.0.0.1/32 is already in another entry (duplicate)",
    ),
    (
        "two HTTP services at one address",
        put("mesh_external_services", [
            EXTERNAL | {"name": name, "hosts": [f"{name}.example.org"], "addresses": ["10.0.0.1"], "ports": [{"number": 80, "protocol": "HTTP"}]}
            for name in "ab"
        ]),
        "mesh_external_services[1].addresses of b: port 80 is also that of mesh_external_services[0], for the same "
        "caller: nothing tells the connections apart, so give both addresses (networks) that differ (stream-clash)",
    ),
    (
        "every address",
        external(addresses=["::/0"]),
        "mesh_external_services[0].addresses[0] of pay: '::/0' is every address there is (address)",
    ),
    (
        "netmask",
        external(addresses=["10.0.0.0/255.0.0.0"]),
        "mesh_external_services[0].addresses[0] of pay: '10.0.0.0/255.0.0.0' is neither an address nor a network such as 10.1.0.0/16 or fd00::/8 (address)",
    ),
    (
        "zone",
        external(addresses=["fe80::1%eth0"]),
        "mesh_external_services[0].addresses[0] of pay: 'fe80::1%eth0' is neither an address nor a network such as 10.1.0.0/16 or fd00::/8 (address)",
    ),
    (
        "network that DNS resolves",
        external(addresses=["10.0.0.0/8"], resolution="DNS"),
        "mesh_external_services[0].addresses of pay: 10.0.0.0/8 is a network; use resolution NONE or STATIC (resolution)",
    ),
    (
        "HTTP to a network",
        external(addresses=["10.0.0.0/8"], ports=[{"number": 80, "protocol": "HTTP"}]),
        "mesh_external_services[0].addresses of pay: 10.0.0.0/8 is a network; HTTP is told apart by names and single addresses, so use TCP (address)",
    ),
    (
        "addresses via the egress gateway",
        both(EGRESS, external(addresses=["10.0.0.1"], via="egress_gateway")),
        "mesh_external_services[0].addresses of pay: an egress gateway tells hosts apart by name (egress-tcp)",
    ),
    (
        "two streams that nothing tells apart",
        streams({}, {}),
        "mesh_external_services[1].addresses of e1: port 5432 is also that of mesh_external_services[0], for the same "
        "caller: nothing tells the connections apart, so give both addresses (networks) that differ (stream-clash)",
    ),
    (
        "two streams with an address in common",
        streams({"addresses": ["10.0.0.0/8"]}, {"addresses": ["fd00::1", "10.1.0.1"]}),
        "mesh_external_services[1].addresses of e1: port 5432 is also that of mesh_external_services[0], for the same "
        "caller: nothing tells the connections apart, so give both addresses (networks) that differ (stream-clash)",
    ),
]  # fmt: skip


def problems(change: Change) -> str:
    raw = minimal()
    change(raw)
    try:
        parse_catalogue(raw)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("change", "told"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_rule(change: Change, told: str) -> None:
    assert problems(change) == told


GOSSIP = {"name": "pods", "ports": [{"name": "gossip", "number": 7946, "protocol": "tcp"}]}
ACCEPTED: list[tuple[str, Change]] = [
    ("HTTPS, TLS and names on one port", servers(PASS | {"port": 443}, {"host": "t.example.com", "protocol": "TLS", "certificate": "t"})),
    ("the same certificate on two ports", servers({"host": "b.example.com", "certificate": "api-example-com", "min_tls": "1.3", "port": 8443})),
    ("the same certificate and settings", servers({"host": "b.example.com", "certificate": "api-example-com", "https_redirect": False})),
    ("two names that pass through", servers(PASS, PASS | {"host": "*.mq.example.com"})),
    ("several ports exposed", both(exposed("api.example.com", path="/g", port="grpc"))),
    ("stream by default", exposed("sql.example.com", TCP)),
    ("one companion of two services", both(api(headless="pods"), web(headless="pods"))),
    ("port that only the companion has", api(headless=GOSSIP, callers=[{"service": "web", "ports": ["gossip"]}])),
    (
        "mode of a port that only the companion has",
        api(headless=GOSSIP, mtls={"ports": {"7946": "DISABLE"}, "reason": "x"}, callers=[]),
    ),
    ("anonymous where plaintext is taken", api(callers=[OPEN], mtls=LOOSE)),
    ("anonymous in a PERMISSIVE mesh", both(put("mesh_mtls_mode", "PERMISSIVE"), api(callers=[OPEN]))),
    ("anonymous on one of two ports", api(ports=PORTS, callers=[OPEN], mtls={"ports": {"80": "PERMISSIVE"}, "reason": "x"})),
    ("anonymous without mTLS", api(callers=[OPEN], mtls={"mode": "DISABLE", "reason": "x"})),
    ("networks on a STRICT port", api(callers=[{"ip_blocks": ["10.0.0.0/8", "2001:db8::1"], "reason": "x"}])),
    ("open and callers", api(open={"reason": "a page"})),
    ("open without mTLS", api(open={"reason": "a page"}, callers=[], mtls={"mode": "DISABLE", "reason": "x"})),
    ("open mesh of a role's defaults", put("mesh_open", {})),
    ("open mesh", put("mesh_open", {"reason": "not adopted"})),
    ("timeout that never ends", api(timeout="none", retries={"attempts": 2, "per_try_timeout": "20s"})),
    ("timeout of zero", api(timeout=0)),
    (
        "one stream in a short timeout",
        api(
            timeout="2s",
            retries={"attempts": 1, "per_try_timeout": "1s"},
            routes=[{"name": "s", "when": {"path": "/s"}, "timeout": "0s"}],
        ),
    ),
    ("timeout of an external service that never ends", external(ports=[{"number": 80, "protocol": "HTTP"}], timeout="none")),
    ("two streams of two callers", streams({}, {"callers": ["api"]})),
    ("two streams told apart", streams({"addresses": ["10.0.0.0/9"]}, {"addresses": ["10.128.0.0/9"]})),
    ("a stream by address, and the rest", streams({}, {"addresses": ["10.0.0.1"]})),
    ("streams of two families", streams({"addresses": ["10.0.0.0/8"]}, {"addresses": ["fd00::/8"]})),
    ("IPv6 endpoints", external(resolution="STATIC", endpoints=["2001:db8::1", "10.0.0.1"])),
    ("long form of a network", external(addresses=["2001:0db8::/32", "10.0.0.0/8"])),
    ("two HTTP services, one by address", put("mesh_external_services", [
        EXTERNAL | {"name": name, "hosts": [f"{name}.example.org"], "ports": [{"number": 80, "protocol": "HTTP"}]} | more
        for name, more in (("a", {}), ("b", {"addresses": ["10.0.0.1"]}))
    ])),
    ("a proxy of exactly one MiB", api(proxy={"memory": "1Mi", "memory_limit": "1Mi", "cpu": "1", "cpu_limit": 1})),
    ("two HTTP services by name", put("mesh_external_services", [
        EXTERNAL | {"name": name, "hosts": [f"{name}.example.org"], "ports": [{"number": 80, "protocol": "HTTP"}]}
        for name in "ab"
    ])),
    ("path route beside a further port behind a rewrite", both(
        exposed("api.example.com", path="/g", rewrite="/", port="grpc"),
        api(routes=[{"name": "r", "when": {"path": "/slow"}, "timeout": "9s"}]),
    )),
    ("path route as wide as its exposure, and an exact one above it", both(
        exposed("api.example.com", path="/a/b"),
        api(routes=[
            {"name": "r", "when": {"path": "/a/b"}, "timeout": "9s"},
            {"name": "s", "when": {"path": "/a", "match": "exact"}, "timeout": "9s"},
        ]),
    )),
    ("the metadata service", external(hosts=["metadata.internal"], addresses=["169.254.169.254/32"], ports=[{"number": 80, "protocol": "HTTP"}])),
]  # fmt: skip


@pytest.mark.parametrize("change", [case[1] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_the_good_side(change: Change) -> None:
    assert problems(change) == ""


def test_what_is_known_by_its_address_needs_no_dns() -> None:
    def resolution(**fields: Any) -> str:
        raw = minimal(mesh_external_services=[EXTERNAL | fields])
        return parse_catalogue(raw).external_services[0].resolution

    assert resolution() == "DNS"
    assert resolution(endpoints=["10.0.0.1"]) == "DNS"
    assert resolution(addresses=["10.0.0.1"]) == "NONE"
    assert resolution(addresses=["10.0.0.1"], endpoints=["10.0.0.2", "fd00::1"]) == "STATIC"
    assert resolution(addresses=["10.0.0.1"], endpoints=["a.example.org"]) == "DNS"
    assert resolution(hosts=["*.example.org"]) == "NONE"


def test_a_route_without_timeout_takes_over_no_timeout_of_a_try() -> None:
    raw = minimal()
    tries = {"attempts": 1, "per_try_timeout": "1s"}
    raw["mesh_services"][1] |= {"timeout": "2s", "retries": tries} | {
        "routes": [
            {"name": "a", "when": {"path": "/a"}, "timeout": "0s"},
            {"name": "b", "when": {"path": "/b"}, "timeout": "none", "retries": tries},
            {
                "name": "c",
                "when": {"path": "/c"},
                "retries": tries | {"attempts": 0, "per_try_timeout": None},
            },
        ]
    }
    api_service = parse_catalogue(raw).services[1]
    found = [
        (api_service.timeout_of(route), retries.per_try_timeout)
        for route in api_service.routes
        if (retries := api_service.retries_of(route))
    ]
    assert found == [("none", None), ("none", "1s"), ("2s", None)]


def test_an_open_service_is_everybodys_callee() -> None:
    raw = minimal()
    add(service("page", open={"reason": "a page"}))(raw)
    catalogue = parse_catalogue(raw)
    assert [item.name for item in catalogue.open_services] == ["page"]
    raw["mesh_default_deny"] = False
    raw["mesh_services"].append(service("forgotten"))
    reasons = {item.name: parse_catalogue(raw).open_reason_of(item) for item in parse_catalogue(raw).services}
    assert reasons == {
        "web": None,
        "api": None,
        "page": "a page",
        "forgotten": "mesh_default_deny is false, and it lists nobody",
    }
    raw["mesh_open"] = {"reason": "not adopted"}
    opened = parse_catalogue(raw)
    assert {opened.open_reason_of(item) for item in opened.services} == {"not adopted"}
