"""Entries that would hold beyond themselves, or that no proxy could serve: names, labels, ports, networks."""

# ruff: noqa: E501 - one row per rule
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.hints import catalogue_hints
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.values import (
    covers_all,
)
from hypothesis import given
from hypothesis import strategies as st

Raw = dict[str, Any]
SQL = {"name": "sql", "number": 5432, "protocol": "tcp"}


def entry(name: str, *ports: Raw, **more: Any) -> Raw:
    return {
        "name": name,
        "ports": list(ports) or [{"number": 80, "target_port": 8080, "protocol": "http"}],
        **more,
    }


def mesh(*services: Raw, **more: Any) -> Raw:
    gateways = [{"name": "in"}, {"name": "out", "egress": True}]
    return {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "mesh_services": list(services),
        "istio_gateways": gateways,
        **more,
    }


def outside(*externals: Raw, services: tuple[str, ...] = ("web", "api"), **more: Any) -> Raw:
    return mesh(*(entry(name, **more) for name in services), mesh_external_services=list(externals))


def pay(
    *hosts: str,
    name: str = "pay",
    callers: tuple[str, ...] = ("web",),
    port: int = 443,
    protocol: str = "TLS",
    **more: Any,
) -> Raw:
    return {
        "name": name,
        "hosts": list(hosts),
        "ports": [{"number": port, "protocol": protocol}],
        "callers": list(callers),
        **more,
    }


def gateway(*servers: Raw) -> Raw:
    return {"mesh_gateways": [{"name": "g", "workload": "in", "servers": list(servers)}]}


def problems(raw: Raw) -> list[str]:
    try:
        render(parse_catalogue(raw))
    except InputError as error:
        return [f"{problem.where}: {problem.message} ({problem.rule})" for problem in error.problems]
    return []


def hints(raw: Raw) -> list[str]:
    return [str(hint) for hint in catalogue_hints(parse_catalogue(raw))]


HOSTS = "mesh_external_services[0].hosts"
GIVEN = "select by labels of the workload's template (given-label)"
INSIDE = "is a service of the cluster (external-host)"
COVERS = "covers the services of the cluster: name the hosts that are meant (external-host)"
SIDECAR = "is a port of the sidecar itself: no application can listen there (proxy-port)"

REFUSED: list[tuple[str, Raw, list[str]]] = [
    ("a host outside with a Service's short name", outside(pay("api.shop")), [f"{HOSTS}: api.shop {INSIDE}"]),
    ("the same with .svc", outside(pay("api.shop.svc")), [f"{HOSTS}: api.shop.svc {INSIDE}"]),
    ("a Service's short name that is not in the catalogue", outside(pay("db.back.svc")), [f"{HOSTS}: db.back.svc {INSIDE}"]),
    (
        "the short name of a headless companion",
        mesh(entry("web", headless="web-pods"), mesh_external_services=[pay("web-pods.shop")]),
        [f"{HOSTS}: web-pods.shop {INSIDE}"],
    ),
    ("a wildcard over the cluster's domain", outside(pay("*.cluster.local")), [f"{HOSTS}: *.cluster.local {COVERS}"]),
    ("one over all Services", outside(pay("*.svc.cluster.local")), [f"{HOSTS}: *.svc.cluster.local {COVERS}"]),
    ("one over a namespace", outside(pay("*.shop.svc.cluster.local")), [f"{HOSTS}: *.shop.svc.cluster.local {INSIDE}"]),
    (
        "one over a cluster's domain of one's own",
        outside(pay("*.example.com")) | {"mesh_cluster_domain": "k8s.example.com"},
        [f"{HOSTS}: *.example.com {COVERS}"],
    ),
    *(
        (f"selected by {key}", mesh(entry("web", labels={"app": "web", key: "x"})), [f"mesh_services[0].labels: {key} is given by {who}: {GIVEN}"])
        for key, who in (
            ("security.istio.io/tlsMode", "the injector, to every pod with a sidecar"),
            ("istio.io/rev", "the injector, to every pod of a revision"),
            ("pod-template-hash", "Kubernetes, anew with each rollout"),
            ("controller-revision-hash", "Kubernetes, anew with each rollout"),
            ("pod-template-generation", "Kubernetes, anew with each rollout"),
            ("statefulset.kubernetes.io/pod-name", "Kubernetes, for each pod another one"),
            ("apps.kubernetes.io/pod-index", "Kubernetes, for each pod another one"),
            ("batch.kubernetes.io/job-completion-index", "Kubernetes, for each pod another one"),
            ("controller-uid", "Kubernetes, for each Job another one"),
            ("batch.kubernetes.io/controller-uid", "Kubernetes, for each Job another one"),
        )
    ),
    (
        "a version by the hash of its template",
        mesh(entry("web", versions={"v1": {"labels": {"pod-template-hash": "5d4f"}}})),
        [f"mesh_services[0].versions.v1.labels: pod-template-hash is given by Kubernetes, anew with each rollout: {GIVEN}"],
    ),
    (
        "the revision that the injector gives to every pod without one",
        mesh(entry("web"), entry("api", labels={"service.istio.io/canonical-revision": "latest"})),
        [
            "mesh_services[1].labels: also selects the pods of shop/web (mesh_services[0]), which only has app: web besides:"
            " what lets callers in to one would let them in to the other; give both a label with different values (selector-clash)"
        ],
    ),
    (
        "the name that the injector gives to a neighbour's pods",
        mesh(entry("web"), entry("api", labels={"service.istio.io/canonical-name": "web"})),
        [
            "mesh_services[1].labels: also selects the pods of shop/web (mesh_services[0]), which only has app: web besides:"
            " what lets callers in to one would let them in to the other; give both a label with different values (selector-clash)"
        ],
    ),
    (
        "a port that the headless Service reads otherwise",
        mesh(entry("web", headless={"name": "web-pods", "ports": [{"name": "g", "number": 8080, "protocol": "tcp"}]})),
        ["mesh_services[0].ports: http (http) and g (tcp) have the target port 8080, which a proxy reads in one way only (one-protocol)"],
    ),
    *(
        (
            f"an application on {port}",
            mesh(entry("web", {"number": 80, "target_port": port, "protocol": "tcp"})),
            [f"mesh_services[0].ports[0].target_port: {port} {SIDECAR}"],
        )
        for port in (15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090)
    ),
    ("the same by its number", mesh(entry("web", {"number": 15006, "protocol": "tcp"})), [f"mesh_services[0].ports[0].number: 15006 {SIDECAR}"]),
    (
        "a headless port of the sidecar",
        mesh(entry("web", headless={"name": "pods", "ports": [{"number": 15020, "protocol": "http"}]})),
        [f"mesh_services[0].headless.ports[0].number: 15020 {SIDECAR}"],
    ),
    *(
        (
            f"requests to {port}",
            mesh(entry("web", {"number": port, "target_port": 8080, "protocol": "http"})),
            [f"mesh_services[0].ports[0].number: {port} is a port of every caller's sidecar, which would serve no calls to it (proxy-port)"],
        )
        for port in (15001, 15006, 15021, 15090)
    ),
    (
        "a scrape that no policy can limit",
        mesh(entry("web", scrape={"port": 15020, "callers": [{"principal": "cluster.local/ns/m/sa/p"}]})),
        [
            "mesh_services[0].scrape.port: 15020 is a port of the sidecar itself, which no policy keeps anybody out of: leave scrape out,"
            " or name the application's own port (proxy-port)"
        ],
    ),
    (
        "a gateway's own port",
        mesh(entry("web"), **gateway({"host": "a.example.com", "port": 15021})),
        ["mesh_gateways[0].servers[0].port: 15021 is a port of the proxy itself (proxy-port)"],
    ),
    (
        "the same for a redirect",
        mesh(entry("web"), **gateway({"host": "a.example.com", "certificate": "a", "http_port": 15090})),
        ["mesh_gateways[0].servers[0].http_port: 15090 is a port of the proxy itself (proxy-port)"],
    ),
    (
        "everybody, in two halves",
        mesh(entry("web", callers=[{"ip_blocks": ["0.0.0.0/1", "128.0.0.0/1"], "reason": "x"}])),
        ["mesh_services[0].callers[0].ip_blocks: are every address there is, together (address)"],
    ),
    (
        "everybody, in quarters of IPv6",
        mesh(entry("web", callers=[{"ip_blocks": ["::/2", "4000::/2", "8000::/1"], "reason": "x"}])),
        ["mesh_services[0].callers[0].ip_blocks: are every address there is, together (address)"],
    ),
    (
        "a host outside that is everywhere",
        outside(pay("db.example.com", port=5432, protocol="TCP", addresses=["0.0.0.0/1", "128.0.0.0/1"])),
        ["mesh_external_services[0].addresses: are every address there is, together (address)"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_holds_beyond_its_entry_is_refused(raw: Raw, said: list[str]) -> None:
    assert problems(raw) == said


ACCEPTED: list[tuple[str, Raw]] = [
    ("a host outside that begins like a Service", outside(pay("api.shop.example.com"))),
    ("a host of the cluster's company", outside(pay("pay.example.com")) | {"mesh_cluster_domain": "k8s.example.com"}),
    ("a wildcard beside the cluster's domain", outside(pay("*.local.example"))),
    ("a Service that is called like its namespace outside", outside(pay("shop.api"))),
    ("requests to a port that only streams could not have", mesh(entry("web", {"number": 15020, "target_port": 8080, "protocol": "http"}))),
    ("a stream to a number that proxies have on all addresses", mesh(entry("web", {"number": 15001, "target_port": 8080, "protocol": "tcp"}))),
    ("versions of one name for two services", mesh(*(entry(n, versions={"v1": {}}) for n in ("web", "api")))),
    ("one companion over the pods of two services", mesh(entry("web", headless="pods"), entry("api", headless="pods"))),
    ("companions of one name in two namespaces", mesh(entry("web", headless="pods"), entry("api", headless="pods", namespace="back"))),
    ("the service's own ports at its companion", mesh(entry("web", SQL, headless={"name": "p", "ports": [SQL]}))),
    ("half of all networks", mesh(entry("web", callers=[{"ip_blocks": ["0.0.0.0/1", "8000::/1"], "reason": "x"}]))),
    ("its own canonical name", mesh(entry("web", labels={"service.istio.io/canonical-name": "web"}), entry("api"))),
]  # fmt: skip


@pytest.mark.parametrize("raw", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_what_keeps_to_itself_is_accepted(raw: Raw) -> None:
    assert problems(raw) == []


WIDER = "give it the same callers, or name the hosts here that are meant (wider-host)"
TOLD: list[tuple[str, Raw, list[str]]] = [
    (
        "a wildcard over a host that others may call",
        outside(pay("*.example.com"), pay("pay.example.com", name="other", callers=("api",))),
        [
            "mesh_external_services[0].callers of pay: shop/sa/web may call pay.example.com as well, which"
            f" mesh_external_services[1] allows to others only: {WIDER}"
        ],
    ),
    (
        "a wildcard over a wildcard",
        outside(pay("*.eu.example.com", callers=("api",)), pay("*.example.com", name="other", callers=("web", "api"))),
        [
            "mesh_external_services[1].callers of other: shop/sa/web may call *.eu.example.com as well, which"
            f" mesh_external_services[0] allows to others only: {WIDER}"
        ],
    ),
    (
        "a network over an address",
        outside(
            pay("a.example.com", port=5432, protocol="TCP", addresses=["10.9.0.0/16"]),
            pay("b.example.com", name="other", callers=("api",), port=5432, protocol="TCP", addresses=["10.9.1.7"]),
        ),
        [f"mesh_external_services[0].callers of pay: shop/sa/web may call 10.9.1.7 as well, which mesh_external_services[1] allows to others only: {WIDER}"],
    ),
    ("the same callers", outside(pay("*.example.com"), pay("pay.example.com", name="other")), []),
    ("more callers of the narrow one", outside(pay("*.example.com"), pay("a.example.com", name="other", callers=("web", "api"))), []),
    ("another port", outside(pay("*.example.com"), pay("a.example.com", name="other", callers=("api",), port=80, protocol="HTTP")), []),
    ("a name that only looks covered", outside(pay("*.example.com"), pay("example.com", name="other", callers=("api",))), []),
    (
        "one service under the account of everybody",
        mesh(entry("web", service_account="default")),
        [
            "mesh_services[0]: shop/web runs as cluster.local/ns/shop/sa/default, the ServiceAccount of every pod of the namespace that names"
            " none: whoever lets one of them in lets all of them in; give each its own (service_account) (shared-account)"
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "said"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_what_reaches_further_than_a_reader_expects_is_told(raw: Raw, said: list[str]) -> None:
    assert hints(raw) == said


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 7)), max_size=8))
def test_networks_that_are_everything_together(parts: list[tuple[int, int]]) -> None:
    """Counted address by address, in eighths of all of them."""
    networks = {f"{(number >> (3 - length) << (3 - length)) * 32}.0.0.0/{length}" for length, number in parts}
    eighths = {
        number
        for text in networks
        for number in range(8)
        if number >> (3 - int(text[-1])) == int(text.partition(".")[0]) // 32 >> (3 - int(text[-1]))
    }
    assert covers_all(networks) == (len(eighths) == 8)
