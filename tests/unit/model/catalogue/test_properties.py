"""Every catalogue that the schema accepts renders to a well-formed, stable and safe set of objects."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import (
    ANONYMOUS,
    ANY_PEER,
    decide,
    service_edges,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import expectations
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import (
    mesh_resources,
    render,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.object_id import object_id
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...support.catalogues import by_kind, catalogues

relaxed = settings(
    max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "30")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    derandomize=True,
)


def _walk(value: Any) -> Any:
    yield value
    if isinstance(value, dict):
        for item in value.values():
            yield from _walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)


@relaxed
@given(catalogues())
def test_rendering_is_pure_stable_and_plain(raw: dict[str, Any]) -> None:
    before = copy.deepcopy(raw)
    first, second = mesh_resources(raw), mesh_resources(copy.deepcopy(raw))
    assert raw == before
    assert json.dumps(first) == json.dumps(second)
    assert first == json.loads(json.dumps(first)), "only JSON values"
    ids = [object_id(obj) for obj in first]
    assert len(ids) == len(set(ids))
    assert not any(value is None for obj in first for value in _walk(obj))


@relaxed
@given(catalogues())
def test_order_of_the_input_lists_moves_no_object(raw: dict[str, Any]) -> None:
    turned = copy.deepcopy(raw)
    turned["mesh_services"].reverse()
    turned["mesh_external_services"].reverse()
    assert [object_id(obj) for obj in mesh_resources(raw)] == [
        object_id(obj) for obj in mesh_resources(turned)
    ]


@relaxed
@given(catalogues())
def test_weights_add_up_and_subsets_exist(raw: dict[str, Any]) -> None:
    objects = mesh_resources(raw)
    subsets = {
        (rule["spec"]["host"], subset["name"])
        for rule in by_kind(objects, "DestinationRule").values()
        for subset in rule["spec"].get("subsets", ())
    }
    for route in by_kind(objects, "VirtualService").values():
        for entry in [
            *route["spec"].get("http", []),
            *route["spec"].get("tcp", []),
            *route["spec"].get("tls", []),
        ]:
            targets = [
                *entry.get("route", []),
                *([{"destination": entry["mirror"]}] if "mirror" in entry else []),
            ]
            for target in targets:
                destination = target["destination"]
                if "subset" in destination:
                    assert (destination["host"], destination["subset"]) in subsets
            if len(entry.get("route", [])) > 1:
                assert sum(target["weight"] for target in entry["route"]) == 100


@relaxed
@given(catalogues())
def test_every_root_finds_its_delegate(raw: dict[str, Any]) -> None:
    routes = by_kind(mesh_resources(raw), "VirtualService")
    for name, route in routes.items():
        for entry in route["spec"].get("http", ()):
            if "delegate" in entry:
                delegate = routes[f"{entry['delegate']['namespace']}/{entry['delegate']['name']}"]
                assert "hosts" not in delegate["spec"], name
                # istiod drops a delegate route as soon as a regex meets any other match on the same field.
                fields = [set(match) for item in delegate["spec"]["http"] for match in item.get("match", ())]
                root_fields = {field for match in entry.get("match", ()) for field in match}
                assert not any({"method", "headers"} & field & root_fields for field in fields)


@relaxed
@given(catalogues())
def test_policies_and_sidecars_follow_the_call_graph(raw: dict[str, Any]) -> None:
    catalogue = parse_catalogue(raw)
    objects = render(catalogue)
    policies, sidecars = by_kind(objects, "AuthorizationPolicy"), by_kind(objects, "Sidecar")
    for service in catalogue.services:
        hosts = sidecars[service.key]["spec"]["egress"][0]["hosts"]
        for callee in (*catalogue.callees(service), *catalogue.open_services):
            for host in (callee.fqdn, callee.headless.fqdn if callee.headless else callee.fqdn):
                assert {f"{callee.namespace}/{host}", f"{callee.namespace}/*"} & set(hosts)
        assert "istio-system/*" in hosts
        if service.key not in policies:
            assert service in catalogue.open_services
            continue
        policy = policies[service.key]
        assert len(policy["spec"].get("rules", ())) == len(service_edges(catalogue, service))
        assert policy["spec"]["selector"]["matchLabels"], "an empty selector would select everything"
        for rule in policy["spec"].get("rules", ()):
            stated = "servicemesh.istio/reason" in policy["metadata"].get("annotations", {})
            sources = [value for entry in rule.get("from", ()) for value in entry["source"].items()]
            assert sources or stated, "a rule without a source lets everyone in"
            assert all(values and all(values) for _kind, values in sources)
            assert rule["to"][0]["operation"]["ports"]
    if catalogue.open_reason is not None:
        assert not policies
    elif catalogue.default_deny:
        assert all(policies[f"{name}/mesh-default-deny"]["spec"] == {} for name in catalogue.namespaces)


@relaxed
@given(catalogues())
def test_every_edge_lets_its_own_request_in_and_nobody_else_is_let_in(raw: dict[str, Any]) -> None:
    catalogue = parse_catalogue(raw)
    stranger = f"{catalogue.trust_domain}/ns/nowhere/sa/stranger"
    for service in catalogue.services:
        edges = service_edges(catalogue, service)
        for edge in edges:
            method = edge.methods[0] if edge.methods else "GET"
            path = edge.paths[0].replace("*", "x") if edge.paths else "/"
            for port in edge.ports:
                assert edge.ip_blocks or decide(edges, edge.principal, method, path, port) is not None
                allowed = decide(edges, stranger, method, path, port)
                assert allowed is None or edges[allowed].principal in (ANY_PEER, ANONYMOUS)
        assert decide(edges, stranger, "DELETE", "/", 0) is None


@relaxed
@given(catalogues())
def test_nothing_is_expected_gone_when_nothing_changed(raw: dict[str, Any]) -> None:
    catalogue = parse_catalogue(raw)
    objects = render(catalogue)
    assert expectations(catalogue, objects) == expectations(catalogue, objects, objects)
    gone = expectations(catalogue, [], objects)
    assert gone or catalogue.open_reason is not None
    assert {item.check for item in gone} <= {"no_subset", "no_rbac", "no_virtual_service"}


STRANGER: dict[str, Any] = {
    "name": "stranger",
    "labels": {"stranger": "yes"},
    "service_account": "stranger",
    "ports": [
        {"number": 81, "target_port": 9999, "protocol": "http"},
        {"name": "stream", "number": 82, "protocol": "tcp"},
    ],
    "versions": {"x1": {}, "x2": {}},
    "initial_version": "x1",
    "open_paths": ["/stranger"],
    "mtls": {"mode": "PERMISSIVE", "reason": "a test"},
    "rate_limit": {"requests": 3, "per": "1s"},
    "timeout": "7s",
    "retries": {"attempts": 1},
    "circuit_breaker": {"consecutive_5xx": 3},
    "mirror": {"to": "x2", "percent": 5},
    "fault": {"abort": {"percent": 1, "status": 500}},
    "routes": [{"name": "split", "when": {"path": "/split"}, "timeout": "9s"}],
}


@relaxed
@given(catalogues(), st.booleans())
def test_an_entry_that_nobody_names_changes_no_other_object(raw: dict[str, Any], beside: bool) -> None:
    """Whatever it says of itself, beside the others or in a namespace of its own."""
    more = copy.deepcopy(raw)
    places = [service.get("namespace", "shop") for service in raw["mesh_services"]]
    more["mesh_services"].append({**STRANGER, "namespace": places[0] if beside and places else "far"})
    before = {object_id(obj): obj for obj in mesh_resources(raw)}
    after = {object_id(obj): obj for obj in mesh_resources(more)}
    changed = {name for name, obj in before.items() if after.get(name) != obj}
    # Where nobody is authorized, everybody sees every namespace of the mesh.
    assert changed == set() or "mesh_open" in raw, changed
    assert all("stranger" in name or " far/" in name for name in after.keys() - before.keys())
