"""No entry reaches beyond its own pods: what is refused, and what the objects of accepted catalogues select.

The second half computes by itself what an object selects, from Istio's documentation: it shares no code with the
rules that refuse.
"""

# ruff: noqa: E501 - one row per rule
from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources
from ansible_collections.servicemesh.istio.plugins.module_utils.object_id import object_id

from ...support.catalogues import by_kind, minimal, service


def mesh(*services: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"mesh_name": "shop", "mesh_namespace": "shop", "mesh_services": list(services), **more}


def edge(name: str = "out", namespace: str = "edge", **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, **more}


ROOT = (
    "{} is the root namespace: there a policy holds in every namespace, also one with a selector; run {} in another"
    " namespace, or leave them out and write their objects under mesh_resource_paths (root-namespace)"
)
BESIDES = "what lets callers in to one would let them in to the other; give both a label with different values (selector-clash)"
EVERY = "a Gateway selects in every namespace; give one of the two a label of its own, such as"
SERVERS = [{"host": "a.example.com"}]

REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "the mesh lives in the root namespace",
        mesh(service("kiali"), service("grafana")) | {"mesh_namespace": "istio-system"},
        [f"mesh_namespace: {ROOT.format('istio-system', 'kiali, grafana')}"],
    ),
    (
        "one service lives in the root namespace",
        mesh(service("web"), service("kiali", namespace="istio-system")),
        [f"mesh_services[1].namespace of kiali: {ROOT.format('istio-system', 'kiali')}"],
    ),
    (
        "another root namespace",
        mesh(service("web"), mesh_root_namespace="shop"),
        [f"mesh_namespace: {ROOT.format('shop', 'web')}"],
    ),
    (
        "a selector within another one",
        mesh(
            service("redis"),
            service("redis-master", labels={"app": "redis", "component": "master"}),
        ),
        [
            "mesh_services[0].labels of redis: also selects the pods of shop/redis-master (mesh_services[1]), which only"
            f" has component: master besides: {BESIDES}"
        ],
    ),
    (
        "the same, the other way round, with a third",
        mesh(
            service("s", labels={"app": "shop", "tier": "back"}),
            service("a", labels={"app": "shop"}),
            service("other"),
        ),
        [
            "mesh_services[1].labels of a: also selects the pods of shop/s (mesh_services[0]), which only has tier: back"
            f" besides: {BESIDES}"
        ],
    ),
    (
        "a selector that takes a version of a neighbour",
        mesh(
            service("web", versions={"v1": {}, "v2": {}}, initial_version="v1"),
            service("second", labels={"version": "v2"}),
        ),
        [
            "mesh_services[1].labels of second: also selects the pods of shop/web (mesh_services[0]), which only has app:"
            f" web besides: {BESIDES}"
        ],
    ),
    (
        "a version that is the neighbour",
        mesh(
            service("web", versions={"v1": {"labels": {"app.kubernetes.io/name": "web-one"}}}),
            service("web-one", labels={"app": "web", "app.kubernetes.io/name": "web-one"}),
        ),
        [
            "mesh_services[0].labels of web: also selects the pods of shop/web-one (mesh_services[1]), which only has"
            f" app.kubernetes.io/name: web-one besides: {BESIDES}"
        ],
    ),
    (
        "equal selectors",
        mesh(service("a", labels={"app": "x"}), service("b", labels={"app": "x"})),
        [
            "mesh_services[1].labels of b: the selector of these pods is already used by mesh_services[0].labels:"
            " one entry describes them; a headless Service over them is its headless, ports of another one are"
            " further ports (selector-clash)"
        ],
    ),
    (
        "a version's subset within another's",
        mesh(
            service(
                "web",
                versions={"v1": {"labels": {"track": "all"}}, "v2": {"labels": {"track": "all", "new": "yes"}}},
                initial_version="v1",
            )
        ),
        ["mesh_services[0].versions.v1 of web: its labels are those of version v2 as well, so its share would go there, too (duplicate)"],
    ),
    (
        "a version's subset that is the whole service",
        mesh(service("web", versions={"v1": {"labels": {"app": "web"}}, "v2": {}}, initial_version="v1")),
        ["mesh_services[0].versions.v1 of web: its labels are those of version v2 as well, so its share would go there, too (duplicate)"],
    ),
    (
        "one Deployment for two services",
        mesh(
            service("a", versions={"b-c": {}}),
            service("a-b", versions={"c": {}}),
        ),
        ["mesh_services[1].versions.c of a-b: the Deployment a-b-c is already that of mesh_services[0].versions.b-c: give workload (duplicate)"],
    ),
    (
        "one Deployment, sized twice",
        mesh(service("a", versions={"b": {}}), service("a-b", proxy={"cpu": "50m"})),
        ["mesh_services[1] of a-b: the Deployment a-b is already that of mesh_services[0].versions.b: give workload (duplicate)"],
    ),
    (
        "a gateway that selects a service",
        mesh(
            service("web", namespace="edge", labels={"app": "web", "istio": "out"}),
            istio_gateways=[edge()],
            mesh_gateways=[{"name": "g", "workload": "out", "servers": SERVERS}],
        ),
        ["mesh_gateways[0].selector of g: also selects the pods of edge/web: what holds for a gateway would hold there (selector-clash)"],
    ),
    (
        "a service that selects a gateway",
        mesh(
            service("out", namespace="edge"),
            istio_gateways=[edge()],
            mesh_gateways=[{"name": "g", "workload": "out", "servers": SERVERS}],
        ),
        ["mesh_services[0].labels of out: also selects the pods of the gateway mesh_gateways[0] (selector-clash)"],
    ),
    (
        "an egress gateway in the root namespace that selects a service elsewhere",
        mesh(
            service("web", labels={"app": "web", "istio": "out"}),
            istio_gateways=[edge(namespace="istio-system", egress=True)],
        ),
        ["mesh_egress_gateway.selector: also selects the pods of shop/web: what holds for a gateway would hold there (selector-clash)"],
    ),
    (
        "two installed gateways of one name",
        mesh(
            service("web"),
            istio_gateways=[edge(namespace="one"), edge(namespace="two")],
            mesh_gateways=[
                {"name": "g", "workload": "out", "workload_namespace": "one", "servers": SERVERS}
            ],
        ),
        [
            f"mesh_gateways[0].selector of g: also selects the pods of istio_gateways[1] in two: {EVERY}"
            " istio_gateways[1].labels: {istio: out-two} (gateway-reach)"
        ],
    ),
    (
        "two installed gateways whose names become one label",
        mesh(
            service("web"),
            istio_gateways=[{"name": "out"}, {"name": "istio-out"}],
            mesh_gateways=[{"name": "g", "workload": "out", "servers": SERVERS}],
        ),
        [
            "mesh_gateways[0].selector of g: also selects the pods of istio_gateways[1], which run as"
            " istio-out-service-account: they would serve the same hosts, and no policy knows them; give one of the"
            " two a label of its own, such as istio_gateways[1].labels: {istio: istio-out-gateway} (gateway-reach)"
        ],
    ),
    (
        "two gateways described by hand",
        mesh(
            service("web"),
            istio_gateways=[],
            mesh_gateways=[
                {"name": name, "workload_namespace": name, "service_account": "g", "selector": {"istio": "g"}, "servers": SERVERS}
                for name in ("one", "two")
            ],
        ),
        ["mesh_gateways[1].selector of two: selects pods of mesh_gateways[0].selector in another namespace as well: a Gateway selects in all (gateway-reach)"],
    ),
    (
        "one gateway for both directions",
        mesh(
            service("web"),
            istio_gateways=[edge()],
            mesh_gateways=[{"name": "g", "workload": "out", "servers": SERVERS}],
            mesh_egress_gateway={"workload": "out"},
        ),
        [
            "mesh_egress_gateway.selector: selects pods of mesh_gateways[0].selector as well, and its policy keeps everybody"
            " else out there (gateway-reach)"
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_reaches_beyond_itself_is_refused(raw: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        mesh_resources(raw)
    assert [str(problem) for problem in caught.value.problems] == said


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("the same labels in two namespaces", mesh(service("web"), service("web", namespace="back"))),
    (
        "a gateway that somebody else installed under another account, with istio_gateways as it is by default",
        mesh(
            service("web"),
            mesh_gateways=[
                {
                    "name": "g",
                    "selector": {"istio": "ingressgateway"},
                    "workload_namespace": "istio-system",
                    "service_account": "istio-ingress",
                    "servers": SERVERS,
                }
            ],
        ),
    ),
    (
        "two workloads that are one gateway: they run as one account",
        mesh(
            service("web"),
            istio_gateways=[
                {"name": name, "labels": {"istio": "x"}, "service_account": "gateways"} for name in ("out", "out-2")
            ],
            mesh_gateways=[{"name": "g", "workload": "out", "servers": SERVERS}],
        ),
    ),
    (
        "labels that differ in a value",
        mesh(
            service("a", labels={"app": "shop", "tier": "front"}),
            service("b", labels={"app": "shop", "tier": "back"}),
        ),
    ),
    (
        "Deployments of one name in two namespaces",
        mesh(service("a", versions={"b": {}}), service("a-b", namespace="back", proxy={"cpu": "50m"})),
    ),
    ("another service is no patched Deployment", mesh(service("a", versions={"b": {}}), service("a-b"))),
    (
        "two gateways of one name, told apart",
        mesh(
            service("web"),
            istio_gateways=[edge(namespace="one"), edge(namespace="two", labels={"istio": "out-two"})],
            mesh_gateways=[
                {"name": name, "workload": "out", "workload_namespace": name, "servers": SERVERS}
                for name in ("one", "two")
            ],
        ),
    ),
    (
        "two entries for one gateway workload",
        mesh(
            service("web"),
            istio_gateways=[edge()],
            mesh_gateways=[
                {"name": name, "workload": "out", "servers": [{"host": f"{name}.example.com"}]}
                for name in ("one", "two")
            ],
        ),
    ),
    ("the installation's own gateways lie in the root namespace", minimal()),
]  # fmt: skip


@pytest.mark.parametrize("raw", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_what_keeps_to_itself_is_accepted(raw: dict[str, Any]) -> None:
    assert mesh_resources(raw)


def test_a_thousand_services_are_compared_at_once() -> None:
    services = [service(f"s{index}", labels={"app": "shop", "name": f"s{index}"}) for index in range(1000)]
    assert mesh_resources(mesh(*services))


# -- what objects select -----------------------------------------------------------------------------------

ROOT_NAMESPACE = "istio-system"
Pod = tuple[str, str, dict[str, str]]
"""Its kind (``sidecar`` or ``gateway``), namespace, labels."""


def takes(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _within(obj: dict[str, Any], pod: Pod, *, root_reaches: bool = True) -> bool:
    home = obj["metadata"]["namespace"]
    return home == pod[1] or (root_reaches and home == ROOT_NAMESPACE)


def _policy(obj: dict[str, Any], pod: Pod) -> bool:
    """Security policies: the namespace, or from the root namespace all; then the selector."""
    return _within(obj, pod) and takes(obj["spec"].get("selector", {}).get("matchLabels", {}), pod[2])


def _sidecar(obj: dict[str, Any], pod: Pod) -> bool:
    selector = obj["spec"].get("workloadSelector", {}).get("labels", {})
    return pod[0] == "sidecar" and _within(obj, pod, root_reaches=not selector) and takes(selector, pod[2])


def _gateway(obj: dict[str, Any], pod: Pod) -> bool:
    return pod[0] == "gateway" and takes(obj["spec"]["selector"], pod[2])


def _envoy_filter(obj: dict[str, Any], pod: Pod) -> bool:
    if not _within(obj, pod) or not takes(obj["spec"]["workloadSelector"]["labels"], pod[2]):
        return False
    contexts = {"sidecar": ("SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "ANY"), "gateway": ("GATEWAY", "ANY")}
    for patch in obj["spec"]["configPatches"]:
        wanted = patch["match"].get("proxy", {}).get("metadata", {})
        if patch["match"]["context"] in contexts[pod[0]] and wanted.get("NAMESPACE", pod[1]) == pod[1]:
            return True
    return False


SELECTS: dict[str, Callable[[dict[str, Any], Pod], bool]] = {
    "AuthorizationPolicy": _policy,
    "PeerAuthentication": _policy,
    "Telemetry": _policy,
    "Sidecar": _sidecar,
    "Gateway": _gateway,
    "EnvoyFilter": _envoy_filter,
}


def identity_of(item: dict[str, Any]) -> str:
    return f"cluster.local/ns/{item['namespace']}/sa/{item['name']}"


def owned_by(obj: dict[str, Any], item: dict[str, Any]) -> bool:
    """Whether an object is about a service, by its name: ``api``, ``api-rate-limit``."""
    place = (obj["metadata"]["namespace"], obj["metadata"]["name"])
    return place in {(item["namespace"], item["name"] + end) for end in ("", "-rate-limit")}


def whole_namespace(obj: dict[str, Any]) -> bool:
    spec = obj["spec"]
    return not spec.get("selector") and not spec.get("workloadSelector")


_KEYS = {
    "app": ["shop", "web", "api"],
    "tier": ["front", "back"],
    "version": ["v1", "v2"],
    "istio": ["a", "b"],
}
_PLACES = ["shop", "back", "edge", ROOT_NAMESPACE]


def _labels(chance: random.Random, most: int) -> dict[str, str]:
    keys = chance.sample(sorted(_KEYS), chance.randint(1, most))
    return {key: chance.choice(_KEYS[key]) for key in keys}


def _service(chance: random.Random, name: str) -> dict[str, Any]:
    item = service(name, namespace=chance.choice(_PLACES[:3]), labels=_labels(chance, 3))
    if chance.random() < 0.5:
        item["versions"] = {version: {} for version in chance.choice((["v1"], ["v1", "v2"]))}
        item["initial_version"] = "v1"
    if chance.random() < 0.3:
        item["mtls"] = {"mode": "PERMISSIVE", "reason": "a test"}
    if chance.random() < 0.5:
        item["open_paths"] = ["/health"]
    item["exposed"] = [{"gateway": "one", "host": "a.example.com", "path": f"/{name}"}]
    if chance.random() < 0.6:
        item["rate_limit"] = {"requests": 1, "per": "1s", "at": chance.choice(("service", "gateway"))}
    return item


def generated(chance: random.Random) -> dict[str, Any]:
    gateways = [
        {
            "name": f"g{index}",
            "namespace": chance.choice(_PLACES),
            "labels": {"istio": chance.choice(["a", "b", "c", "e", "f"])},
        }
        for index in range(2)
    ]
    return mesh(
        *(_service(chance, name) for name in ("a", "a-b", "c")),
        istio_gateways=[*gateways, edge("egress", chance.choice(_PLACES), egress=True, labels={"istio": chance.choice("ad")})],
        mesh_gateways=[
            {"name": name, "workload": f"g{index}", "servers": [{"host": f"{letter}.example.com"}]}
            for index, (name, letter) in enumerate((("one", "a"), ("two", "b")))
        ],
        mesh_external_services=[
            {
                "name": "pay",
                "hosts": ["pay.example.org"],
                "ports": [{"number": 443, "protocol": "TLS"}],
                "callers": [{"principal": "cluster.local/ns/shop/sa/a"}],
                "via": "egress_gateway",
            }
        ],
        mesh_telemetry={"access_log": "all"},
    )  # fmt: skip


def accepted(count: int, seed: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    chance = random.Random(seed)
    for _index in range(count):
        raw = generated(chance)
        try:
            yield raw, mesh_resources(raw)
        except InputError as error:
            assert {problem.rule for problem in error.problems} <= {
                *("selector-clash", "gateway-reach", "root-namespace", "duplicate", "empty-subset"),
            }


def _pods(raw: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Pod]]:
    for item in raw["mesh_services"]:
        for version in [{}, *({"version": name} for name in item.get("versions", {}))]:
            yield (
                item,
                ("sidecar", item["namespace"], {**item["labels"], **version, "pod-template-hash": "x"}),
            )


def _check_pods_of_services(raw: dict[str, Any], objects: list[dict[str, Any]]) -> None:
    for item, pod in _pods(raw):
        found = [obj for obj in objects if obj["kind"] in SELECTS and SELECTS[obj["kind"]](obj, pod)]
        for obj in found:
            home = whole_namespace(obj) and obj["metadata"]["namespace"] == item["namespace"]
            assert owned_by(obj, item) or home, (object_id(obj), item["name"], pod)
        kinds = [obj["kind"] for obj in found if not whole_namespace(obj)]
        assert kinds.count("AuthorizationPolicy") == 1
        assert kinds.count("Sidecar") == 1


def _check_strangers(raw: dict[str, Any], objects: list[dict[str, Any]]) -> None:
    """Pods that no entry is about: nothing but what holds for a whole namespace of the mesh."""
    homes = {item["namespace"] for item in raw["mesh_services"]}
    for place in ("elsewhere", "kube-system", *_PLACES):
        pod: Pod = ("sidecar", place, {"app": "stranger", "role": "none"})
        for obj in objects:
            if obj["kind"] in SELECTS and SELECTS[obj["kind"]](obj, pod):
                assert whole_namespace(obj), object_id(obj)
                assert place in homes


def _check_gateways(raw: dict[str, Any], objects: list[dict[str, Any]]) -> None:
    about = {"g0": ("one",), "g1": ("two",), "egress": ("egress-pay", "egress.shop")}
    for installed in raw["istio_gateways"]:
        pod: Pod = ("gateway", installed["namespace"], {"app": installed["name"], **installed["labels"]})
        twin: Pod = ("gateway", "elsewhere", pod[2])
        assert not any(obj["kind"] == "EnvoyFilter" and _envoy_filter(obj, twin) for obj in objects)
        for obj in objects:
            if obj["kind"] not in SELECTS or not SELECTS[obj["kind"]](obj, pod) or whole_namespace(obj):
                continue
            name = obj["metadata"]["name"]
            mine = about[installed["name"]]
            assert any(name == word or name.startswith(f"{word}-") or f".{word}" in name for word in mine), (
                name,
                pod,
            )


def test_no_object_selects_what_is_not_its_own() -> None:
    """A long run: REACH_COUNT=20000 REACH_SEED=7."""
    count, seed = int(os.environ.get("REACH_COUNT", "250")), int(os.environ.get("REACH_SEED", "1"))
    seen = 0
    for raw, objects in accepted(count, seed):
        seen += 1
        _check_pods_of_services(raw, objects)
        _check_strangers(raw, objects)
        _check_gateways(raw, objects)
    assert seen > count / 12, "too few were accepted to show anything"


def test_a_limit_at_a_gateway_touches_no_neighbour() -> None:
    """Two services of one name, and one whose route is called like the other's: names of routes are joined."""
    exposed = {"gateway": "public", "host": "api.example.com"}
    limit = {"requests": 5, "per": "1s", "at": "gateway"}
    split = {"name": "b-split", "when": {"path": "/x"}, "timeout": "1s"}
    raw = minimal()
    raw["mesh_services"] = [
        service("a", exposed=[exposed | {"path": "/a"}], rate_limit=limit, routes=[split]),
        service("a", namespace="back", exposed=[exposed | {"path": "/back"}]),
        service("a-b", exposed=[exposed | {"path": "/b"}]),
        service("a", namespace="shop-a", exposed=[exposed | {"path": "/c"}]),
    ]
    raw["mesh_services"][0]["exposed"].append(exposed | {"path": "/d"})
    objects = mesh_resources(raw)
    routes = by_kind(objects, "VirtualService")
    patches = by_kind(objects, "EnvoyFilter")["istio-system/gateway.shop.public"]["spec"]["configPatches"]
    patched = {
        patch["match"]["routeConfiguration"]["vhost"]["route"]["name"]
        for patch in patches
        if patch["applyTo"] == "HTTP_ROUTE"
    }
    owners = {
        f"{entry['name']}-{item['name']}": entry["delegate"]["namespace"] + "/" + entry["delegate"]["name"]
        for entry in routes["shop/gateway.public.api.example.com"]["spec"]["http"]
        for item in routes[f"{entry['delegate']['namespace']}/{entry['delegate']['name']}"]["spec"]["http"]
    }
    assert {owners[name] for name in patched} == {"shop/a-routes"}
    assert patched == {name for name, owner in owners.items() if owner == "shop/a-routes"}
    filters = [patch for patch in patches if patch["applyTo"] == "HTTP_FILTER"]
    assert [len(patch["patch"]["value"]["typed_config"]["descriptors"]) for patch in filters] == [1]


@pytest.mark.parametrize("via", ["sidecar", "egress_gateway"])
def test_routes_and_limits_of_an_external_host_are_its_callers_alone(via: str) -> None:
    """A VirtualService or DestinationRule without exportTo holds for every proxy that knows the host."""
    pay = {
        "name": "pay",
        "hosts": ["pay.example.org"],
        "ports": [{"number": 80, "protocol": "HTTP"}],
        "callers": ["web", {"principal": "cluster.local/ns/jobs/sa/batch"}],
        "timeout": "3s",
        "connection_pool": {"max_requests": 9},
        "via": via,
    }
    gateways = [edge(), edge("egress", egress=True)]
    objects = mesh_resources(mesh(service("web"), istio_gateways=gateways, mesh_external_services=[pay]))
    about = [
        obj
        for obj in objects
        if "pay.example.org" in (obj["spec"].get("host"), *obj["spec"].get("hosts", ()))
    ]
    seen = ["edge", "jobs", "shop"] if via == "egress_gateway" else ["jobs", "shop"]
    assert {obj["kind"] for obj in about} == {"ServiceEntry", "DestinationRule", "VirtualService"}
    assert all(obj["spec"]["exportTo"] == seen for obj in about)
