"""What proxies must hold after a step, and which requests the allow-list lets in."""

from __future__ import annotations

from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import (
    decide,
    service_edges,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import (
    Scope,
    expectations,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.virtual_services import ExpectedShares

from ...support.catalogues import minimal

API = "api.shop.svc.cluster.local"


def mesh(**api: Any) -> Catalogue:
    raw = minimal()
    raw["mesh_services"][1] |= api
    return parse_catalogue(raw)


def facts(catalogue: Catalogue, check: str, **releases: Any) -> list[tuple[Scope, dict[str, Any]]]:
    objects = render(catalogue, releases.get("releases"))
    return [(item.scope, dict(item.data)) for item in expectations(catalogue, objects) if item.check == check]


def test_the_split_is_expected_at_callers_and_at_the_gateway() -> None:
    exposed = [{"gateway": "public", "host": "api.example.com", "path": "/api"}]
    found = facts(mesh(exposed=exposed), "route", releases={"shop/api": {"weights": {"v1": 90, "v2": 10}}})
    split = frozenset({frozenset({("v1", 90), ("v2", 10)})})
    data = {"host": API, "port": 3000, "shares": ExpectedShares(split, split)}
    gateway = Scope(namespace="istio-system", selector={"istio": "ingressgateway"}, gateways=True)
    mine = [item for item in found if item[1]["host"] == API]
    assert mine == [
        (Scope(clients_of=API), data | {"virtual_service": "shop/api"}),
        (gateway, data | {"virtual_service": "shop/gateway.public.api.example.com"}),
    ]


def test_subsets_policies_and_modes_are_expected() -> None:
    catalogue = mesh()
    assert [data["subset"] for _unused, data in facts(catalogue, "subset")] == ["v1", "v2"]
    rbac = {data["policy"]: (data["rules"], data["words"]) for _unused, data in facts(catalogue, "rbac")}
    assert rbac["ns[shop]-policy[api]"] == (1, [["cluster.local/ns/shop/sa/web"]])
    assert rbac["ns[shop]-policy[mesh-default-deny]"] == (0, [])
    assert [data for _unused, data in facts(catalogue, "mtls")] == [{"3000": "STRICT"}, {"3000": "STRICT"}]


def test_what_a_step_takes_away_is_expected_gone() -> None:
    before = render(mesh())
    after = mesh(versions={"v1": {}})
    gone = [item for item in expectations(after, render(after), before) if item.check.startswith("no_")]
    assert [(item.check, dict(item.data)) for item in gone] == [
        ("no_subset", {"host": API, "port": 3000, "subset": "v2"})
    ]
    everything = {item.check for item in expectations(after, [], before)}
    assert everything == {"no_subset", "no_rbac", "no_virtual_service"}


def test_decisions_follow_method_path_and_port() -> None:
    catalogue = mesh(callers=[{"service": "web", "methods": ["GET"], "paths": ["/a", "/a/*"]}])
    api = catalogue.service("api")
    assert api is not None
    edges = service_edges(catalogue, api)
    web = "cluster.local/ns/shop/sa/web"
    assert decide(edges, web, "GET", "/a", 3000) == 0
    assert decide(edges, web, "GET", "/a/b", 3000) == 0
    for method, path, port in (("GET", "/ab", 3000), ("POST", "/a", 3000), ("GET", "/a", 9100)):
        assert decide(edges, web, method, path, port) is None
    assert decide(edges, "cluster.local/ns/shop/sa/other", "GET", "/a", 3000) is None


def test_the_policy_at_the_egress_gateway_is_expected_there() -> None:
    raw = minimal()
    raw["istio_gateways"].append({"name": "istio-egressgateway", "egress": True})
    raw["mesh_egress_gateway"] = {"workload": "istio-egressgateway"}
    raw["mesh_external_services"] = [
        {
            "name": "bank",
            "hosts": ["pay.example.com"],
            "ports": [{"number": 443, "protocol": "TLS"}],
            "callers": [{"service": "web"}],
            "via": "egress_gateway",
        }
    ]
    catalogue = parse_catalogue(raw)
    at_gateway = [item for item in facts(catalogue, "rbac") if item[0].gateways]
    scope = Scope(namespace="istio-system", selector={"istio": "egressgateway"}, gateways=True)
    assert [item[0] for item in at_gateway] == [scope]
    assert at_gateway[0][1]["words"] == [["cluster.local/ns/shop/sa/web", "pay.example.com"]]
    gone = expectations(catalogue, [], render(catalogue))
    assert scope in [item.scope for item in gone if item.check == "no_rbac"]


def test_further_ports_and_streams_of_a_gateway_are_expected_there() -> None:
    raw = minimal()
    raw["mesh_gateways"][0]["servers"] += [
        {"host": "sql.example.com", "protocol": "TCP", "port": 5432},
        {"host": "mq.example.com", "mode": "PASSTHROUGH", "port": 8443},
        {"host": "ends.example.com", "protocol": "TLS", "certificate": "ends", "port": 8443},
    ]
    raw["mesh_services"][1] |= {
        "ports": [
            {"name": "http", "number": 80, "protocol": "http"},
            {"name": "grpc", "number": 81, "protocol": "grpc"},
            {"name": "sql", "number": 82, "protocol": "tcp"},
            {"name": "tls", "number": 83, "protocol": "tls"},
        ],
        "exposed": [
            {"gateway": "public", "host": "api.example.com", "path": "/g", "port": "grpc"},
            {"gateway": "public", "host": "sql.example.com", "port": "sql"},
            {"gateway": "public", "host": "mq.example.com", "port": "tls"},
            {"gateway": "public", "host": "ends.example.com", "port": "sql"},
        ],
    }
    catalogue = parse_catalogue(raw)
    gateway = Scope(namespace="istio-system", selector={"istio": "ingressgateway"}, gateways=True)
    assert sorted(facts(catalogue, "stream"), key=lambda item: item[1]["sni"]) == [
        (gateway, {"sni": "", "clusters": [f"outbound|82||{API}"]}),
        (gateway, {"sni": "ends.example.com", "clusters": [f"outbound|82||{API}"]}),
        (gateway, {"sni": "mq.example.com", "clusters": [f"outbound|83||{API}"]}),
    ]
    at_gateway = [data for scope, data in facts(catalogue, "route") if scope == gateway]
    whole = frozenset({frozenset({("", 100)})})
    assert {"host": API, "port": 81, "shares": ExpectedShares(whole, whole)} | {
        "virtual_service": "shop/gateway.public.api.example.com"
    } in at_gateway
    assert 80 not in {data["port"] for data in at_gateway if data["host"] == API}, "it is not exposed"


def test_a_stream_is_expected_where_its_service_has_it() -> None:
    raw = minimal()
    raw["mesh_gateways"][0]["servers"].append({"host": "mq.example.com", "mode": "PASSTHROUGH", "port": 8443})
    raw["mesh_services"][1] |= {
        "ports": [{"name": "tls", "number": 83, "protocol": "tls"}],
        "exposed": [{"gateway": "public", "host": "mq.example.com"}],
    }
    found = facts(parse_catalogue(raw), "stream", releases={"shop/api": {"weights": {"v1": 90, "v2": 10}}})
    assert [data["clusters"] for _scope, data in found] == [
        [f"outbound|83|v1|{API}", f"outbound|83|v2|{API}"]
    ]


def test_principals_are_expected_for_every_trust_domain_of_the_mesh() -> None:
    """istiod writes one matcher for each; the wait took the further ones for another policy."""
    raw = {**minimal(), "mesh_trust_domain": "new", "mesh_trust_domain_aliases": ["old"]}
    rbac = {data["policy"]: data["words"] for _unused, data in facts(parse_catalogue(raw), "rbac")}
    assert rbac["ns[shop]-policy[api]"] == [["new/ns/shop/sa/web", "old/ns/shop/sa/web"]]


def test_hosts_that_share_a_certificate_are_expected_together() -> None:
    raw = minimal()
    raw["mesh_gateways"][0]["servers"] += [
        {"host": "b.example.com", "certificate": "api-example-com"},
        {"host": "c.example.com", "certificate": "own", "mode": "MUTUAL"},
        {"host": "plain.example.com", "port": 8080},
        {"host": "mq.example.com", "mode": "PASSTHROUGH", "port": 8443},
        {"host": "ends.example.com", "protocol": "TLS", "certificate": "ends", "port": 8443},
    ]
    gateway = Scope(namespace="istio-system", selector={"istio": "ingressgateway"}, gateways=True)
    assert facts(parse_catalogue(raw), "server") == [
        (gateway, {"hosts": ["api.example.com", "b.example.com"]}),
        (gateway, {"hosts": ["c.example.com"]}),
    ]
