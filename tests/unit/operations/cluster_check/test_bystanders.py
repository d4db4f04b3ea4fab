"""What decides over a Service's calls beside its own fields is told, word for word; what does not is no note."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.compare import (
    compare,
)

from ...support.catalogues import minimal
from ...support.cluster import FakeCluster
from ...support.deployed import kube_service, pod, shop

Obj = dict[str, Any]
Change = Callable[[FakeCluster], Any]
V1 = {"app": "api", "version": "v1"}
PROXY = {"name": "istio-proxy", "image": "proxyv2", "args": ["proxy", "sidecar"]}


def api(
    *,
    labels: Obj | None = None,
    annotations: Obj | None = None,
    proxy: bool = True,
    ports: Any = (),
    **spec: Any,
) -> Change:
    """The pod behind Service api, with a sidecar unless told otherwise."""
    found = pod("api", labels={**V1, **(labels or {})}, ports=ports, **spec)
    found["metadata"]["annotations"] = annotations or {}
    if proxy:
        found["spec"]["containers"].append(PROXY)
    return lambda cluster: cluster.put(found)


def beside(*ports: Obj, **spec: Any) -> Change:
    """Another Service over the same pods."""
    return lambda cluster: cluster.put(
        kube_service("other", selector={"app": "api"}, ports=list(ports), **spec)
    )


def both(*changes: Change) -> Change:
    return lambda cluster: [change(cluster) for change in changes]


def notes(change: Change) -> list[str]:
    cluster = FakeCluster(*shop())
    api()(cluster)
    change(cluster)
    found = compare(cluster, parse_catalogue(minimal()))
    assert found.cuts == []
    return [text for text in found.notes if "carries version=v2" not in text]


API = "mesh_services[1]"
NEVER = "no policy and no mTLS of this entry holds there (cluster-sidecar)"
PAST = "leaves port 3000 alone (traffic.sidecar.istio.io/*InboundPorts): no policy holds there, and callers' mTLS meets the application (cluster-sidecar)"
ONE_WAY = "their sidecars read it in one way only (cluster-protocol)"
EXCLUDE, INCLUDE = (
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/includeInboundPorts",
)

TOLD: dict[str, tuple[Change, str]] = {
    "a pod in the node's network": (
        api(proxy=False, hostNetwork=True),
        f"{API} of api: pod api-1 behind Service shop/api never gets a sidecar (hostNetwork): {NEVER}",
    ),
    "a pod that opted out by label": (
        api(proxy=False, labels={"sidecar.istio.io/inject": "false"}),
        f"{API} of api: pod api-1 behind Service shop/api never gets a sidecar (sidecar.istio.io/inject=false): {NEVER}",
    ),
    "one that opted out by annotation": (
        api(proxy=False, annotations={"sidecar.istio.io/inject": "false"}),
        f"{API} of api: pod api-1 behind Service shop/api never gets a sidecar (sidecar.istio.io/inject=false): {NEVER}",
    ),
    "a port that the sidecar leaves alone": (
        api(annotations={EXCLUDE: "9,3000"}),
        f"{API}.ports[0] of api: the sidecar of api-1 {PAST}",
    ),
    "a port that is not among those it takes": (
        api(annotations={INCLUDE: "9000"}),
        f"{API}.ports[0] of api: the sidecar of api-1 {PAST}",
    ),
    "no port that it takes": (
        api(annotations={INCLUDE: ""}),
        f"{API}.ports[0] of api: the sidecar of api-1 {PAST}",
    ),
    "another Service that calls the port a stream": (
        beside({"name": "tcp-admin", "port": 9, "targetPort": 3000}),
        f"{API}.ports[0].protocol of api: http, but Service shop/other calls the same port 3000 of the same pods tcp: {ONE_WAY}",
    ),
    "the same by appProtocol": (
        beside({"name": "x", "port": 9, "targetPort": 3000, "appProtocol": "redis"}),
        f"{API}.ports[0].protocol of api: http, but Service shop/other calls the same port 3000 of the same pods redis: {ONE_WAY}",
    ),
    "the same by the name of a container's port": (
        both(
            api(ports=[{"name": "web", "containerPort": 3000}]),
            beside({"name": "https-x", "port": 9, "targetPort": "web"}),
        ),
        f"{API}.ports[0].protocol of api: http, but Service shop/other calls the same port 3000 of the same pods https: {ONE_WAY}",
    ),
    "the same by its own number": (
        beside({"name": "mongo", "port": 3000}),
        f"{API}.ports[0].protocol of api: http, but Service shop/other calls the same port 3000 of the same pods mongo: {ONE_WAY}",
    ),
    "versions without an address": (
        lambda cluster: cluster.put(kube_service("api", clusterIP="None")),
        f"{API}.versions of api: Service shop/api is headless: its clients choose a pod themselves, and no split or variant moves them;"
        " give the versions a Service with an address, and state this one as headless (cluster-service)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), TOLD.values(), ids=TOLD)
def test_what_decides_over_calls_is_told(change: Change, said: str) -> None:
    assert notes(change) == [said]


def test_its_own_service_and_companion_are_compared_elsewhere() -> None:
    raw = minimal()
    companion = {
        "name": "api-pods",
        "ports": [{"name": "peers", "number": 9, "target_port": 3000, "protocol": "http"}],
    }
    raw["mesh_services"][1]["headless"] = companion
    cluster = FakeCluster(*shop())
    api()(cluster)
    ports = [{"name": "tcp-db", "port": 9, "targetPort": 3000}]
    cluster.put(kube_service("api-pods", selector={"app": "api"}, ports=ports, clusterIP="None"))
    found = compare(cluster, parse_catalogue(raw))
    assert [text for text in (*found.notes, *map(str, found.cuts)) if ONE_WAY in text] == []
    assert ["ports[0].protocol" in str(cut) for cut in found.cuts] == [True]


QUIET: dict[str, Change] = {
    "nothing": lambda _cluster: None,
    "a pod without a sidecar yet": api(proxy=False),
    "a port that is left alone and no port of the entry": api(annotations={EXCLUDE: "9000"}),
    "a port that is taken by name": api(annotations={INCLUDE: "3000"}),
    "all ports, in Istio's word": api(annotations={INCLUDE: "*"}),
    "another Service that says the same": beside({"name": "http-x", "port": 9, "targetPort": 3000}),
    "one that says nothing": beside({"name": "x", "port": 9, "targetPort": 3000}),
    "one of another port": beside({"name": "tcp", "port": 9, "targetPort": 9000}),
    "one of another transport": beside({"name": "tcp", "port": 9, "targetPort": 3000, "protocol": "UDP"}),
    "one of the same pods that asks for more of them": lambda cluster: cluster.put(
        kube_service(
            "other",
            selector={"app": "api", "version": "v9"},
            ports=[{"name": "tcp", "port": 9, "targetPort": 3000}],
        )
    ),
    "one of other pods": lambda cluster: cluster.put(
        kube_service("other", selector={"app": "web"}, ports=[{"name": "http", "port": 9, "targetPort": 9}])
    ),
    "one without a selector": lambda cluster: cluster.put(
        kube_service("other", selector={}, ports=[{"name": "tcp", "port": 9, "targetPort": 3000}])
    ),
}


@pytest.mark.parametrize("change", QUIET.values(), ids=QUIET)
def test_what_decides_over_nothing_is_no_note(change: Change) -> None:
    assert notes(change) == []
