"""Names that are computed from names: no two of a kind meet, and each is one that its reader takes."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects import names
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources
from ansible_collections.servicemesh.istio.plugins.module_utils.object_id import object_id
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...support.catalogues import by_kind, minimal, service

# What a name may be: apimachinery's DNS-1123 label and subdomain, written down here once more.
LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"(?=.{{1,253}}\Z){_PART}(?:\.{_PART})*"

LABELS = [
    *("a", "b", "c", "a-b", "b-c", "a-b-c", "default", "mesh", "gateway", "external", "egress", "wildcard"),
    *("a-routes", "a-routes-routes", "mesh-default-deny", "split", "fault", "a-split", "below", "safe"),
    *("a-below", "mesh-telemetry", "rate-limit", "a-rate-limit", "servicemesh-release-a", "1", "00000000"),
    *("a" * 63, "a" * 62 + "b", "a" * 54 + "-deadbeef", "a-deadbeef", "service", "routes"),
]  # fmt: skip
HOSTS = [
    *("a.b.c", "a-b.c", "a.b-c", "b.c", "api.eu.example.com", "api-eu.example.com", "api.eu-example.com"),
    *("*.example.com", "wildcard.example.com", "wildcard-example.com", "example.com", "*.b.c"),
    *("wildcard.b.c", "x.deadbeef", "x-y.deadbeef", "*.deadbeef.example"),
    *(".".join(["a" * 63] * 3) + end for end in (".example", ".example-x")),
    *(start + ".".join(["a" * 60] * 4) for start in ("", "*.")),
]  # fmt: skip


def distinct(found: dict[tuple[str, ...], str]) -> None:
    for (first, one), (second, other) in itertools.combinations(found.items(), 2):
        assert one != other, (first, second, one)


# The kinds of objects, and who names them within one namespace.
VIRTUAL_SERVICES: list[tuple[str, Callable[..., str], int]] = [
    ("service", names.mesh_root_name, 1),
    ("delegate", names.delegate_name, 1),
    ("gateway", names.gateway_root_name, 2),
    ("external", names.external_name, 2),
    ("egress", names.egress_routes_name, 2),
    ("headless", names.headless_root_name, 1),
]
TELEMETRIES: list[tuple[str, Callable[..., str], int]] = [
    ("service", names.service_telemetry_name, 1),
    ("all", lambda _label: names.NAMESPACE_TELEMETRY, 0),
]
POLICIES: list[tuple[str, Callable[..., str], int]] = [
    ("service", names.service_policy_name, 1),
    ("deny", lambda _label: names.DEFAULT_DENY, 0),
    ("gateway", names.gateway_policy_name, 1),
    ("egress", names.egress_name, 1),
]
MTLS: list[tuple[str, Callable[..., str], int]] = [
    ("service", names.service_mtls_name, 1),
    ("all", lambda _label: names.NAMESPACE_WIDE, 0),
]
FILTERS: list[tuple[str, Callable[..., str], int]] = [
    ("service", names.service_limit_name, 1),
    ("gateway", names.gateway_limit_name, 3),
]
MAPS: list[tuple[str, Callable[..., str], int]] = [
    ("limits", names.limits_name, 1),
    ("release", lambda label: f"servicemesh-release-{label}", 1),
]


def made(kinds: list[tuple[str, Callable[..., str], int]]) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    for kind, make, parts in kinds:
        if parts == 0:
            found[(kind,)] = make("")
        elif parts == 1:
            found |= {(kind, label): make(label) for label in LABELS}
        else:
            others = HOSTS if parts == 2 else LABELS
            found |= {(kind, label, other): make(label, other) for label in LABELS for other in others}
    return found


KINDS = [VIRTUAL_SERVICES, POLICIES, MTLS, FILTERS, MAPS, TELEMETRIES]


@pytest.mark.parametrize("kinds", KINDS, ids=["vs", "ap", "pa", "ef", "cm", "te"])
def test_no_two_names_of_a_kind_meet(kinds: list[tuple[str, Callable[..., str], int]]) -> None:
    found = made(kinds)
    (name, times), *_rest = Counter(found.values()).most_common()
    assert times == 1, [parts for parts, value in found.items() if value == name]
    for parts, value in found.items():
        assert re.fullmatch(SUBDOMAIN, value), (parts, value)


def test_names_without_a_dot() -> None:
    """Of Gateways, their ports, and subsets: istiod takes DNS labels only."""
    labels = {("port", "http", host): names.host_label("http", host) for host in HOSTS}
    distinct(labels)
    subsets = {
        (mesh, external, host): names.egress_subset_name(mesh, external, host)
        for mesh in ("a", "a-b", "a" * 63)
        for external in ("b", "b-c", "c", "a" * 63)
        for host in HOSTS
    }
    distinct(subsets)
    gateways = {("egress", label): names.egress_gateway_name(label) for label in LABELS}
    distinct(gateways | {("own", label): label for label in LABELS})
    for value in [*labels.values(), *subsets.values(), *gateways.values()]:
        assert re.fullmatch(LABEL, value), value


def test_names_that_people_read_stay_readable() -> None:
    assert names.mesh_root_name("api") == "api"
    assert names.gateway_root_name("public", "api-eu.example.com") == "gateway.public.api-eu.example.com"
    assert names.gateway_root_name("public", "*.example.com") == "gateway.public.wildcard.example.com"
    assert names.host_label("https", "*.example.com") == "https-wildcard-example-com"
    assert names.host_label("https", "api.example.com") == "https-api-example-com"


def joined(root: str, delegate: str) -> str:
    """As istiod names the merged route (pilot/pkg/model/virtualservice.go, mergeHTTPRoute)."""
    return f"{root}-{delegate}"


def route_names(objects: list[dict[str, Any]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Of each root at a gateway: the names that Envoy's routes get, and the service behind each."""
    routes = by_kind(objects, "VirtualService")
    for key, root in routes.items():
        if root["spec"].get("gateways", ["mesh"]) == ["mesh"]:
            continue
        found = []
        for entry in root["spec"].get("http", ()):
            if "delegate" not in entry:
                continue
            target = f"{entry['delegate']['namespace']}/{entry['delegate']['name']}"
            for item in routes[target]["spec"]["http"]:
                found.append((joined(entry["name"], item["name"]), target))
        yield key, found


RELAXED = settings(
    max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "30")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    derandomize=True,
)
_SHORT = [label for label in LABELS if len(label) < 40]


@st.composite
def nasty(draw: st.DrawFn) -> dict[str, Any]:
    """Services, gateways and external services whose names are made to meet."""
    some = st.lists(st.sampled_from(_SHORT), unique=True, min_size=1, max_size=5)
    hosts = draw(st.lists(st.sampled_from(HOSTS), unique=True, min_size=1, max_size=4))
    plain = [host for host in hosts if not host.startswith("*")]
    gateways = draw(some)
    services = []
    for name in draw(some):
        entry = service(name, namespace=draw(st.sampled_from(["shop", "back"])), versions={"v1": {}})
        used = draw(st.lists(st.sampled_from(_SHORT), unique=True, max_size=3))
        entry["routes"] = [{"name": route, "when": {"path": f"/{route}"}, "timeout": "9s"} for route in used]
        entry["fault"] = {"abort": {"percent": 1, "status": 500}, "only_header": "x-fault"}
        entry["labels"] = {"nasty": name}
        if plain:
            entry["exposed"] = [
                {"gateway": gateway, "host": host, "path": f"/at-{name}-{entry['namespace']}"}
                for gateway in gateways
                for host in plain
            ]
            entry["rate_limit"] = {"requests": 5, "per": "1s", "at": "gateway"}
        services.append(entry)
    caller = {"service": services[0]["name"], "namespace": services[0]["namespace"]}
    externals = draw(some)
    return {
        "mesh_name": draw(st.sampled_from(["shop", "egress", "a-b"])),
        "mesh_namespace": "shop",
        "istio_gateways": [
            *({"name": f"x{index}", "namespace": "edge"} for index in range(len(gateways))),
            {"name": "out", "namespace": "edge", "egress": True},
        ],
        "mesh_gateways": [
            {"name": name, "workload": f"x{index}", "servers": [{"host": host} for host in hosts]}
            for index, name in enumerate(gateways)
        ],
        "mesh_services": services,
        "mesh_external_services": [
            {
                "name": name,
                "hosts": [
                    f"{name}.{host}"[-200:].lstrip("-.") for host in ("a.b-c.example", "a-b.c.example")
                ],
                "ports": [{"number": 80, "protocol": "HTTP"}],
                "callers": [caller],
                "timeout": "3s",
                "connection_pool": {"max_requests": 9},
                "via": draw(st.sampled_from(["sidecar", "egress_gateway"])),
            }
            for name in externals
        ],
    }


@RELAXED
@given(nasty())
def test_nothing_meets_in_a_catalogue_of_such_names(raw: dict[str, Any]) -> None:
    objects = mesh_resources(raw)
    ids = [object_id(obj) for obj in objects]
    assert len(ids) == len(set(ids))
    for obj in objects:
        shape = LABEL if obj["kind"] == "Gateway" else SUBDOMAIN
        assert re.fullmatch(shape, obj["metadata"]["name"]), object_id(obj)
    for gateway in by_kind(objects, "Gateway").values():
        ports = [server["port"]["name"] for server in gateway["spec"]["servers"]]
        assert len(ports) == len(set(ports))
    for rule in by_kind(objects, "DestinationRule").values():
        subsets = [subset["name"] for subset in rule["spec"].get("subsets", ())]
        assert len(subsets) == len(set(subsets))
    for name, routes in by_kind(objects, "VirtualService").items():
        if name.endswith("-routes") and "hosts" not in routes["spec"]:
            used = [entry["name"] for entry in routes["spec"]["http"]]
            assert len(used) == len(set(used)), name
    for _root, merged in route_names(objects):
        owners: dict[str, str] = {}
        for name, owner in merged:
            assert owners.setdefault(name, owner) == owner, name


def elsewhere(raw: dict[str, Any], mesh: str) -> dict[str, Any]:
    """The same entries in other namespaces, as another mesh on the same cluster and the same gateways."""
    text = json.dumps(raw).replace('"shop"', '"books"').replace('"back"', '"rear"')
    found: dict[str, Any] = json.loads(text)
    return found | {"mesh_name": mesh}


def subset_names(objects: list[dict[str, Any]]) -> set[tuple[str, str]]:
    rules = by_kind(objects, "DestinationRule").values()
    return {
        (rule["spec"]["host"], item["name"]) for rule in rules for item in rule["spec"].get("subsets", ())
    }


def filter_names(objects: list[dict[str, Any]]) -> set[str]:
    """What an EnvoyFilter puts into a gateway's listeners under a name of its own."""
    return {
        patch["patch"]["value"]["name"]
        for obj in by_kind(objects, "EnvoyFilter").values()
        for patch in obj["spec"]["configPatches"]
        if patch["applyTo"] == "HTTP_FILTER" and patch["match"]["context"] == "GATEWAY"
    }


MESHES = [("shop", "egress"), ("a", "a-b"), ("a-b", "a"), ("shop", "shop-b"), ("egress", "egress-a")]


@RELAXED
@given(nasty(), st.sampled_from(MESHES))
def test_two_meshes_on_one_cluster_do_not_meet(raw: dict[str, Any], meshes: tuple[str, str]) -> None:
    """They share the namespaces and the pods of gateways."""
    one, other = mesh_resources(raw | {"mesh_name": meshes[0]}), mesh_resources(elsewhere(raw, meshes[1]))
    assert not set(map(object_id, one)) & set(map(object_id, other))
    assert not subset_names(one) & subset_names(other)
    assert not filter_names(one) & filter_names(other)
    names = [
        {name for _root, merged in route_names(objects) for name, _owner in merged}
        for objects in (one, other)
    ]
    assert not names[0] & names[1]


def test_hosts_that_differ_in_a_dot_only() -> None:
    """Public report: api-eu.example.com and api.eu.example.com at one gateway."""
    hosts = ["api-eu.example.com", "api.eu.example.com"]
    raw = minimal()
    raw["mesh_gateways"][0]["servers"] = [
        {"host": host, "certificate": host.replace(".", "-") + str(index)} for index, host in enumerate(hosts)
    ]
    raw["mesh_services"][0]["exposed"] = [{"gateway": "public", "host": host} for host in hosts]
    objects = mesh_resources(raw)
    roots = [
        obj["spec"]["hosts"]
        for obj in objects
        if obj["kind"] == "VirtualService" and obj["spec"].get("gateways") == ["shop/public"]
    ]
    assert sorted(roots) == [[host] for host in hosts]
    ports = [item["port"]["name"] for item in by_kind(objects, "Gateway")["shop/public"]["spec"]["servers"]]
    assert len(ports) == len(set(ports)) == 4


def test_what_would_replace_another_object_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The net below: should a renderer forget to ask for its names."""
    target = "ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.peer_authentications"
    monkeypatch.setattr(f"{target}.service_mtls_name", lambda _service: "default")
    raw = minimal()
    raw["mesh_services"][1]["mtls"] = {"mode": "PERMISSIVE", "reason": "a test"}
    with pytest.raises(InputError) as caught:
        mesh_resources(raw)
    said = "two computed objects would be PeerAuthentication shop/default; rename a service or gateway"
    assert [str(problem) for problem in caught.value.problems] == [f"mesh_services: {said} (name-clash)"]
