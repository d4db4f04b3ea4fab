"""Who gets in: the rendered policies, read as Istio reads them, against the catalogue, read as a person does.

Neither side uses the collection's own edges: one looks at the objects only, the other at the variables only.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources
from hypothesis import given

from ...support.catalogues import by_kind, catalogues
from ..catalogue.test_properties import relaxed

HTTP = ("http", "http2", "grpc", "grpc-web")
GATEWAY = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"
STRANGER = "cluster.local/ns/nowhere/sa/stranger"
Request = tuple[str, str, str, int, str]
"""Identity (empty for none), method, path, port of the workload, address of the caller."""


def identity(caller: dict[str, Any]) -> str:
    if "anonymous" in caller or "ip_blocks" in caller:
        return ""
    if "gateway" in caller:
        return GATEWAY
    if "principal" in caller:
        return str(caller["principal"])
    return f"cluster.local/ns/{caller['namespace']}/sa/{caller['service']}"


def fits(path: str, wanted: list[str]) -> bool:
    return not wanted or any(path.startswith(p[:-1]) if p.endswith("/*") else path == p for p in wanted)


def is_within(address: str, networks: list[str]) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in networks)


def is_caller(caller: dict[str, Any], principal: str, address: str) -> bool:
    if "ip_blocks" in caller:
        return is_within(address, caller["ip_blocks"])
    return "anonymous" in caller or identity(caller) == principal


def states_a_way_in(service: dict[str, Any]) -> bool:
    return any(service.get(key) for key in ("callers", "exposed", "open_paths", "scrape", "open"))


def catalogue_lets_in(mesh: dict[str, Any], service: dict[str, Any], request: Request) -> bool:
    principal, method, path, port, address = request
    if "mesh_open" in mesh or not (mesh["mesh_default_deny"] or states_a_way_in(service)):
        return True
    companion = service.get("headless", "")
    more = companion["ports"] if isinstance(companion, dict) else []
    listed = [*service["ports"], *more]
    targets = [(p.get("target_port", p["number"]), p["protocol"] in HTTP) for p in listed]
    by_name = {p["name"]: p.get("target_port", p["number"]) for p in listed}
    first_http = next((target for target, http in targets if http), None)
    first_stream = next((target for target, http in targets if not http), None)
    if "open" in service and port in by_name.values():
        return True
    for caller in service.get("callers", ()):
        methods, paths = caller.get("methods", []), caller.get("paths", [])
        open_ports = [target for target, http in targets if http or not (methods or paths)]
        if "ports" in caller:
            open_ports = [by_name[name] for name in caller["ports"]]
        named = not methods or method in methods
        if is_caller(caller, principal, address) and port in open_ports and named and fits(path, paths):
            return True
    for exposed in service.get("exposed", ()):
        inner = exposed.get("rewrite") or exposed.get("path", "/")
        below = inner in ("/", path) or path.startswith(f"{inner}/")
        usual = first_http if exposed["host"] == "api.example.com" else first_stream
        target = by_name[exposed["port"]] if "port" in exposed else usual
        if (principal, port) == (GATEWAY, target) and below:
            return True
    if principal and (method, port) == ("GET", first_http) and path in service.get("open_paths", ()):
        return True
    scrape = service.get("scrape", {"port": None, "callers": []})
    scrapers = [identity(caller) for caller in scrape["callers"]]
    mtls = service.get("mtls", {})
    waived = mtls.get("ports", {}).get(str(scrape["port"]), mtls.get("mode", "STRICT")) != "STRICT"
    by_port = waived and all(scrapers)  # a scraper without a sidecar, and nobody else of the kind is named
    return (method, path, port) == ("GET", "/metrics", scrape["port"]) and (by_port or principal in scrapers)


def policies_let_in(policies: list[dict[str, Any]], request: Request) -> bool:
    """ALLOW policies that select a workload: a request passes when one rule of one of them matches, and when
    there is no policy at all."""
    principal, method, path, port, address = request

    def comes_from(source: dict[str, Any]) -> bool:
        assert set(source) in ({"principals"}, {"ipBlocks"})
        if "ipBlocks" in source:
            return is_within(address, source["ipBlocks"])
        return bool(principal) and bool({"*", principal} & set(source["principals"]))

    def matches(rule: dict[str, Any]) -> bool:
        operation = rule["to"][0]["operation"]
        return (
            ("from" not in rule or any(comes_from(entry["source"]) for entry in rule["from"]))
            and str(port) in operation["ports"]
            and method in operation.get("methods", [method])
            and fits(path, operation.get("paths", []))
        )

    assert all(policy["spec"].get("action", "ALLOW") == "ALLOW" for policy in policies)
    return not policies or any(
        matches(rule) for policy in policies for rule in policy["spec"].get("rules", ())
    )


def requests(service: dict[str, Any]) -> Iterator[Request]:
    callers = [*service.get("callers", ()), *service.get("scrape", {"callers": []})["callers"]]
    principals = sorted({"", STRANGER, GATEWAY, *map(identity, callers)})
    named = {path for caller in callers for path in caller.get("paths", ())}
    named |= set(service.get("open_paths", ())) | {"/metrics"}
    for exposed in service.get("exposed", ()):
        named |= {exposed.get("path", "/"), exposed.get("rewrite") or "/"}
    paths = {"/"}
    for path in named:
        plain = path.removesuffix("/*") or "/"
        paths |= {plain, f"{plain.rstrip('/')}/below", f"{plain.rstrip('/')}x"}
    ports = {port.get("target_port", port["number"]) for port in service["ports"]} | {1, 7946, 9100}
    addresses = ("192.0.2.9", "10.0.0.9")
    yield from itertools.product(
        principals, ("GET", "POST", "DELETE"), sorted(paths), sorted(ports), addresses
    )


@relaxed
@given(catalogues())
def test_policies_let_in_what_the_catalogue_says_and_nothing_else(raw: dict[str, Any]) -> None:
    policies = by_kind(mesh_resources(raw), "AuthorizationPolicy")
    for service in raw["mesh_services"]:
        labels = {"app": service["name"]}
        selecting = [
            policy
            for name, policy in policies.items()
            if name.startswith(f"{service['namespace']}/")
            and policy["spec"].get("selector", {"matchLabels": labels})["matchLabels"] == labels
        ]
        for request in requests(service):
            assert policies_let_in(selecting, request) is catalogue_lets_in(raw, service, request), request
