# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a gateway, dealt out by Istio's documented rules, reach the service that the catalogue states.

One side knows Gateways and VirtualServices only, the other the variables only. Rules of the first side, in
istio's pilot/pkg: model/gateway.go (which servers share a port), networking/core/gateway.go (filter chains by
SNI, streams), networking/core/route/route.go (the first match), model/virtualservice.go (delegates).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources
from hypothesis import given

from ...support.catalogues import by_kind, catalogues
from ..catalogue.test_properties import relaxed

HTTP = ("http", "http2", "grpc", "grpc-web")
NOTHING = ""
"""What answers is the gateway itself, with 404 or a closed connection."""
REDIRECT = "redirect"


@dataclasses.dataclass(frozen=True)
class Request:
    """:param sni: empty without TLS. :param host: empty where no HTTP is spoken."""

    port: int
    sni: str
    host: str
    path: str


# -- Istio ---------------------------------------------------------------------------------------------------


def takes(pattern: str, host: str) -> bool:
    pattern = pattern.rpartition("/")[2]
    return pattern == host or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def most_exact(patterns: list[str], host: str) -> str:
    fitting = [pattern for pattern in patterns if takes(pattern, host)]
    return max(
        fitting,
        key=lambda pattern: (not pattern.rpartition("/")[2].startswith("*"), len(pattern)),
        default="",
    )


class Istio:
    """The proxy of one gateway."""

    def __init__(self, objects: list[dict[str, Any]]) -> None:
        self.gateways = list(by_kind(objects, "Gateway").items())
        self.routes = by_kind(objects, "VirtualService")
        self.servers = [
            (name, server)
            for name, gateway in self.gateways
            if gateway["spec"]["selector"] == {"istio": "ingressgateway"}
            for server in gateway["spec"]["servers"]
        ]

    def answer(self, request: Request) -> str:
        """``host:port`` of the service that gets a request."""
        here = [(name, server) for name, server in self.servers if server["port"]["number"] == request.port]
        if not here:
            return NOTHING
        self.check_port([server for _name, server in here])
        protocol = here[0][1]["port"]["protocol"]
        if protocol == "TCP":
            return self.stream(*here[0], request)
        if protocol == "HTTP":
            return NOTHING if request.sni else self.http(here, request)
        return self.by_name(here, request) if request.sni else NOTHING

    @staticmethod
    def check_port(servers: list[dict[str, Any]]) -> None:
        """What istiod would drop: servers that a port cannot have together."""
        kinds = {
            "TLS" if server["port"]["protocol"] in ("HTTPS", "TLS") else server["port"]["protocol"]
            for server in servers
        }
        assert len(kinds) == 1
        assert kinds != {"TCP"} or len(servers) == 1
        if kinds == {"TLS"}:
            hosts = [host for server in servers for host in server["hosts"]]
            assert len(hosts) == len(set(hosts)), "a second filter chain for a name"

    def by_name(self, here: list[tuple[str, dict[str, Any]]], request: Request) -> str:
        chains: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]] | None]] = {}
        for name, server in here:
            if server["tls"]["mode"] != "PASSTHROUGH":
                chains |= dict.fromkeys(server["hosts"], (name, server, None))
                continue
            for route in self.bound(name, server):
                for entry in route["spec"].get("tls", ()):
                    for match in entry["match"]:
                        if match.get("port", request.port) == request.port:
                            chains |= dict.fromkeys(match["sniHosts"], (name, server, entry["route"]))
        chosen = most_exact(list(chains), request.sni)
        if not chosen:
            return NOTHING
        name, server, targets = chains[chosen]
        if targets is not None:
            return self.target(targets)
        if server["port"]["protocol"] == "TLS":
            return self.stream(name, server, request)
        return self.http([(name, server)], request)

    def bound(self, gateway: str, server: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The VirtualServices of a server: by gateway, and by host."""
        for route in self.routes.values():
            if gateway in route["spec"].get("gateways", ()) and any(
                takes(pattern, host) for pattern in server["hosts"] for host in route["spec"]["hosts"]
            ):
                yield route

    def stream(self, gateway: str, server: dict[str, Any], request: Request) -> str:
        for route in self.bound(gateway, server):
            for entry in route["spec"].get("tcp", ()):
                if any(match.get("port", request.port) == request.port for match in entry["match"]):
                    return self.target(entry["route"])
        return NOTHING

    def http(self, servers: list[tuple[str, dict[str, Any]]], request: Request) -> str:
        """One route table for the servers; what is not among their hosts is not in it."""
        moved = [server for _name, server in servers if server.get("tls", {}).get("httpsRedirect")]
        redirects = [host for server in moved for host in server["hosts"]]
        table = {
            host: route
            for name, server in servers
            for route in self.bound(name, server)
            for host in route["spec"]["hosts"]
            if any(takes(pattern, host) for pattern in server["hosts"])
        }
        if most_exact([*redirects, *table], request.host) in redirects or any(
            takes(pattern, request.host) for pattern in redirects
        ):
            return REDIRECT
        chosen = most_exact(list(table), request.host)
        return self.first(table[chosen]["spec"]["http"], request) if chosen else NOTHING

    def first(self, entries: list[dict[str, Any]], request: Request) -> str:
        for entry in entries:
            matches = entry.get("match", [{}])
            if not any(self.matches(match, request) for match in matches):
                continue
            if "delegate" in entry:
                delegate = self.routes[f"{entry['delegate']['namespace']}/{entry['delegate']['name']}"]
                found = self.first(delegate["spec"]["http"], request)
                if found:
                    return found
                continue
            return self.target(entry["route"])
        return NOTHING

    @staticmethod
    def matches(match: dict[str, Any], request: Request) -> bool:
        """Of a GET without headers and query."""
        uri = match.get("uri", {"prefix": "/"})
        method = match.get("method", {"regex": "GET"})["regex"]
        ((kind, text),) = uri.items()
        fits = request.path == text if kind == "exact" else request.path.startswith(text)
        return (
            fits
            and bool(re.fullmatch(method, "GET"))
            and not match.get("headers")
            and not match.get("queryParams")
        )

    @staticmethod
    def target(route: list[dict[str, Any]]) -> str:
        targets = {(item["destination"]["host"], item["destination"]["port"]["number"]) for item in route}
        ((host, port),) = targets
        return f"{host}:{port}"


# -- the catalogue -------------------------------------------------------------------------------------------


def server_of(mesh: dict[str, Any], host: str) -> dict[str, Any]:
    servers = mesh["mesh_gateways"][0]["servers"]
    exact = [server for server in servers if server["host"] == host]
    return dict(exact[0] if exact else next(server for server in servers if takes(server["host"], host)))


def port_of(server: dict[str, Any]) -> int:
    return int(server.get("port", 443 if "certificate" in server else 80))


def stated(mesh: dict[str, Any], host: str, path: str) -> str:
    """The service whose exposed path is the longest that covers a request."""
    found: tuple[int, str] = (-1, NOTHING)
    http = (
        server_of(mesh, host).get("mode") != "PASSTHROUGH" and server_of(mesh, host).get("protocol") != "TCP"
    )
    for service in mesh["mesh_services"]:
        for exposed in service.get("exposed", ()):
            begin = exposed.get("path", "/")
            covers = begin in ("/", path) or path.startswith(f"{begin}/")
            if exposed["host"] == host and covers and len(begin) > found[0]:
                fitting = [port for port in service["ports"] if (port["protocol"] in HTTP) is http]
                named = [port for port in service["ports"] if port["name"] == exposed.get("port")]
                number = (named or fitting)[0]["number"]
                found = (len(begin), f"{service['name']}.{service['namespace']}.svc.cluster.local:{number}")
    return found[1]


def requests(mesh: dict[str, Any]) -> Iterator[tuple[Request, str]]:
    """Requests, and who should answer."""
    hosts = {e["host"] for service in mesh["mesh_services"] for e in service.get("exposed", ())}
    for host in sorted({*hosts, "api.example.com"}):
        server = server_of(mesh, host)
        port = port_of(server)
        if server.get("mode") == "PASSTHROUGH":
            yield Request(port, host, "", "/"), stated(mesh, host, "/")
            continue
        if server.get("protocol") == "TCP":
            yield Request(port, "", "", "/"), stated(mesh, host, "/")
            continue
        paths = {"/", "/other"}
        for service in mesh["mesh_services"]:
            for exposed in service.get("exposed", ()):
                begin = exposed.get("path", "/").rstrip("/")
                paths |= {begin or "/", f"{begin}/below", f"{begin}x"}
        secure = "certificate" in server
        for path in sorted(paths):
            yield Request(port, host if secure else "", host, path), stated(mesh, host, path)
        if secure and server.get("https_redirect", True):
            yield Request(80, "", host, "/"), REDIRECT


@relaxed
@given(catalogues())
def test_every_request_to_a_gateway_reaches_the_stated_service(
    raw: dict[str, Any],
) -> None:
    istio = Istio(mesh_resources(raw))
    for request, wanted in requests(raw):
        assert istio.answer(request) == wanted, request


@relaxed
@given(catalogues())
def test_a_connection_of_one_host_serves_all_hosts_of_its_certificate(raw: dict[str, Any]) -> None:
    """Browsers send requests for any host of a certificate over the connection that they have."""
    istio = Istio(mesh_resources(raw))
    asked = [(request, wanted) for request, wanted in requests(raw) if request.sni and request.host]
    for request, wanted in asked:
        own = server_of(raw, request.host)
        for other in raw["mesh_gateways"][0]["servers"]:
            if other.get("certificate") == own["certificate"] and port_of(other) == port_of(own):
                name = other["host"].replace("*", "any")
                assert istio.answer(dataclasses.replace(request, sni=name)) == wanted, (name, request)
