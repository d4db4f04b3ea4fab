"""Which changes end connections: as measured with Istio 1.31 on the lab (in the parameters' ids)."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.drains import (
    Drain,
    drains,
    told,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.object_id import object_id

from ...support.catalogues import full, minimal

MESH = parse_catalogue(full())


def obj(kind: str, namespace: str = "shop", name: str = "x", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def of(before: Any, after: Any) -> list[str]:
    return [name for drain in drains(MESH, [(before, after)]) for name in drain.of]


WEB = {"selector": {"matchLabels": {"app": "web"}}}
HTTP = {"port": {"number": 80, "name": "a", "protocol": "HTTP"}, "hosts": ["a.example.org"]}
TLS = {
    "port": {"number": 443, "name": "b", "protocol": "HTTPS"},
    "hosts": ["b.example.org"],
    "tls": {"mode": "SIMPLE", "credentialName": "b"},
}


@pytest.mark.parametrize(
    ("before", "after", "whose"),
    [
        pytest.param(
            obj("AuthorizationPolicy", **WEB, rules=[{}]),
            obj("AuthorizationPolicy", **WEB, rules=[{}, {}]),
            ["shop/web"],
            id="a caller: cut after 51 s",
        ),
        pytest.param(None, obj("AuthorizationPolicy", **WEB), ["shop/web"], id="a new policy"),
        pytest.param(obj("AuthorizationPolicy", **WEB), None, ["shop/web"], id="a policy that goes"),
        pytest.param(
            obj("PeerAuthentication", **WEB, mtls={"mode": "STRICT"}),
            obj("PeerAuthentication", **WEB, mtls={"mode": "PERMISSIVE"}),
            ["shop/web"],
            id="mutual TLS: cut after 51 s",
        ),
        pytest.param(
            obj("VirtualService", hosts=["web"], http=[{"timeout": "1s"}]),
            obj("VirtualService", hosts=["web"], http=[{"timeout": "2s"}]),
            [],
            id="a route: held",
        ),
        pytest.param(
            obj("VirtualService", hosts=["web"], gateways=["shop/public"], tcp=[{"a": 1}]),
            obj("VirtualService", hosts=["web"], gateways=["shop/public"], tcp=[{"a": 2}]),
            ["gateway public"],
            id="a TCP route",
        ),
        pytest.param(
            obj("DestinationRule", host="web"),
            obj("DestinationRule", host="web", subsets=[{"name": "v"}]),
            [],
            id="a cluster: held",
        ),
        pytest.param(
            obj("Sidecar", **{"workloadSelector": {"labels": {"app": "web"}}}), None, [], id="a scope"
        ),
        pytest.param(
            obj("Gateway", selector={"istio": "ingressgateway"}, servers=[HTTP]),
            obj("Gateway", selector={"istio": "ingressgateway"}, servers=[{**HTTP, "hosts": ["c"]}, TLS]),
            [],
            id="a host on a plain port, a new TLS server: nothing drains",
        ),
        pytest.param(
            obj("Gateway", selector={"istio": "ingressgateway"}, servers=[TLS]),
            obj(
                "Gateway",
                selector={"istio": "ingressgateway"},
                servers=[{**TLS, "tls": {**TLS["tls"], "minProtocolVersion": "TLSV1_3"}}],
            ),
            ["gateway public"],
            id="the TLS of a server: one chain drains",
        ),
        pytest.param(
            obj("Gateway", selector={"istio": "ingressgateway"}, servers=[HTTP, TLS]),
            obj("Gateway", selector={"istio": "ingressgateway"}, servers=[TLS]),
            ["gateway public"],
            id="a port that goes",
        ),
        pytest.param(
            None, obj("Gateway", selector={"istio": "ingressgateway"}, servers=[TLS]), [], id="a new gateway"
        ),
        pytest.param(
            obj(
                "EnvoyFilter",
                workloadSelector={"labels": {"app": "web"}},
                configPatches=[{"applyTo": "HTTP_ROUTE", "patch": 1}],
            ),
            obj(
                "EnvoyFilter",
                workloadSelector={"labels": {"app": "web"}},
                configPatches=[{"applyTo": "HTTP_ROUTE", "patch": 2}],
            ),
            [],
            id="a limit on a route",
        ),
        pytest.param(
            None,
            obj(
                "EnvoyFilter",
                workloadSelector={"labels": {"app": "web"}},
                configPatches=[{"applyTo": "HTTP_FILTER", "patch": 2}],
            ),
            ["shop/web"],
            id="a filter",
        ),
        pytest.param(None, obj("ConfigMap"), [], id="no object of Istio"),
    ],
)
def test_what_ends_connections(before: Any, after: Any, whose: list[str]) -> None:
    assert of(before, after) == whose
    assert of(copy.deepcopy(before), copy.deepcopy(before)) == of(after, copy.deepcopy(after)) == []


def test_a_policy_of_a_namespace_or_of_the_mesh_is_about_all_in_it() -> None:
    everybody = {service.key for service in MESH.services}
    shop = {service.key for service in MESH.services if service.namespace == "shop"}
    assert shop < everybody
    named = set(of(None, obj("AuthorizationPolicy")))
    assert {name for name in named if not name.startswith("gateway")} == shop
    assert everybody <= set(of(None, obj("Telemetry", MESH.root_namespace)))
    assert of(None, obj("AuthorizationPolicy", "elsewhere")) == []


def test_labels_and_annotations_end_nothing() -> None:
    before = obj("AuthorizationPolicy", **WEB)
    after = {**before, "metadata": {**before["metadata"], "annotations": {"a": "b"}}}
    assert of(before, after) == []


def test_a_catalogue_in_another_order_is_the_same_mesh() -> None:
    """Two callers that swap places cut every stream to a service."""
    raw = full()
    wanted = {object_id(obj): obj for obj in render(parse_catalogue(raw))}
    for service in raw["mesh_services"]:
        for key in ("callers", "open_paths", "exposed"):
            service.get(key, []).reverse()
        for caller in service.get("callers", []):
            if not isinstance(caller, dict):
                continue
            for key in ("methods", "paths", "ip_blocks"):
                caller.get(key, []).reverse()
    raw["mesh_services"].reverse()
    found = {object_id(obj): obj for obj in render(parse_catalogue(raw))}
    for name in (name for name in wanted if name.startswith("AuthorizationPolicy")):
        assert found[name]["spec"] == wanted[name]["spec"], name


def test_the_sentence_is_short_and_names_the_first_object() -> None:
    assert told([]) == ""
    many = [Drain(f"AuthorizationPolicy n/{n}", (f"n/{n}",)) for n in range(9)]
    assert told(many) == (
        "cuts long streams of n/0, n/1, n/2, n/3, n/4, n/5 and 3 more when their proxies have drained "
        "(AuthorizationPolicy n/0 and 8 more change; 45 s unless drainDuration says otherwise)"
    )
    assert many[0].as_dict() == {"object": "AuthorizationPolicy n/0", "of": ["n/0"]}


def test_every_kind_that_is_rendered_is_judged() -> None:
    """A new caller is a cut of the called service and of nobody else."""
    raw = minimal()
    before = {object_id(item): item for item in render(parse_catalogue(raw))}
    raw["mesh_services"][1]["callers"].append({"principal": "cluster.local/ns/x/sa/y"})
    after = {object_id(item): item for item in render(parse_catalogue(raw))}
    names = dict.fromkeys(itertools.chain(before, after))
    found = drains(parse_catalogue(raw), [(before.get(name), after.get(name)) for name in names])
    assert [(drain.subject, drain.of) for drain in found] == [("AuthorizationPolicy shop/api", ("shop/api",))]


# -- what callers opened -------------------------------------------------------------------------------------

CALLER: dict[str, Any] = {
    "name": "web",
    "ports": [{"number": 80, "protocol": "http"}],
}
DATABASE = {"name": "db", "ports": [{"name": "sql", "number": 5432, "protocol": "tcp"}]}
Raw = dict[str, Any]


def shop(**more: Any) -> Raw:
    """web calls api by requests, db by streams, and a database outside."""
    outside = {
        "name": "ledger",
        "hosts": ["ledger.example.org"],
        "ports": [{"number": 5432, "protocol": "TCP"}],
        "addresses": ["10.9.0.1"],
        "callers": ["web"],
    }
    return {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "mesh_services": [
            dict(CALLER),
            {**CALLER, "name": "api", "callers": ["web"]},
            {**DATABASE, "callers": ["web"], "versions": {"v1": {}, "v2": {}}, "initial_version": "v1"},
            {**CALLER, "name": "bystander"},
        ],
        "mesh_external_services": [outside],
        **more,
    }  # fmt: skip


def told_of(before: Raw, after: Raw, releases: Any = None) -> dict[str, set[str]]:
    """Kind of the object -> whose streams end, of a change of the catalogue."""
    old = {object_id(item): item for item in render(parse_catalogue(before))}
    new = {object_id(item): item for item in render(parse_catalogue(after), releases or {})}
    names = dict.fromkeys(itertools.chain(old, new))
    found: dict[str, set[str]] = {}
    for drain in drains(parse_catalogue(after), [(old.get(name), new.get(name)) for name in names]):
        found.setdefault(drain.subject.partition(" ")[0], set()).update(drain.of)
    return found


def edited(*path: str | int, value: Any = None) -> Raw:
    """The shop with another value at a path; None takes it away."""
    raw = shop()
    target: Any = raw
    for part in path[:-1]:
        target = target[part]
    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return raw


OUT = ("mesh_external_services", 0)
DB = ("mesh_services", 2)
HOUR = {"max_connection_duration": "1h"}
HASH = {"hash": {"source_ip": True}}


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (shop(mesh_external_services=[]), {"ServiceEntry": {"shop/web"}, "Sidecar": {"shop/web"}}),
        (edited(*OUT, "addresses", value=["10.9.0.2"]), {"ServiceEntry": {"shop/web"}}),
        (edited(*OUT, "ports", value=[{"number": 5433, "protocol": "TCP"}]), {"ServiceEntry": {"shop/web"}}),
        (edited(*OUT, "callers", value=["api"]), {"Sidecar": {"shop/web"}}),
        (edited(*OUT, "callers", value=["api", "web"]), {}),
        (edited(*OUT, "connection_pool", value={"max_connections": 7}), {}),
        (edited(*OUT, "connection_pool", value=HOUR), {"DestinationRule": {"shop/web"}}),
        (edited(*DB, "connection_pool", value=HOUR), {"DestinationRule": {"shop/web"}}),
        (edited(*DB, "connection_pool", value={"max_connections": 7}), {}),
        (edited(*DB, "load_balancing", value=HASH), {"DestinationRule": {"shop/web"}}),
        (edited("mesh_services", 1, "load_balancing", value=HASH), {}),
        (edited("mesh_services", 1, "timeout", value="3s"), {}),
        (
            shop(mesh_outbound="ALLOW_ANY"),
            {"Sidecar": {"shop/web", "shop/api", "shop/db", "shop/bystander"}},
        ),
        (edited(*DB, "callers"), {"AuthorizationPolicy": {"shop/db"}, "Sidecar": {"shop/web"}}),
        (edited("mesh_services", 1, "callers"), {"AuthorizationPolicy": {"shop/api"}}),
    ],
    ids=[
        "a host outside that goes", "its address", "its port", "its caller", "one more caller", "its limit",
        "its longest connection", "a stream's longest connection", "a stream's limit", "a stream's hash",
        "a request's hash", "a timeout", "unknown hosts", "a stream's caller that goes", "a request's caller",
    ],
)  # fmt: skip
def test_what_callers_opened_ends_with_its_chain(after: Raw, said: dict[str, set[str]]) -> None:
    assert told_of(shop(), after) == said
    assert told_of(after, copy.deepcopy(after)) == {}


def test_a_split_of_streams_cuts_its_callers() -> None:
    """Its weights stand in the listener: each step of a rollout replaces the chain."""
    found = told_of(shop(), shop(), {"shop/db": {"weights": {"v1": 50, "v2": 50}}})
    assert found == {"VirtualService": {"shop/web"}}
