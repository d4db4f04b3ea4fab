# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller's side of a call, from what its proxy holds: requests by routes, streams by their clusters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.endpoints import endpoints
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.routes import (
    ProxyRoute,
    VirtualHost,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import way
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.case import View
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.dumps import ProxyDump

from ...support.cluster import FakeCluster

CATALOGUE = parse_catalogue(
    {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "mesh_services": [
            {
                "name": "api",
                "ports": [
                    {"name": "http", "number": 80, "protocol": "http"},
                    {"name": "db", "number": 5432, "protocol": "tcp"},
                ],
            }
        ],
    }
)
API = CATALOGUE.services[0]
HTTP, TCP = API.ports
HOST = "api.shop.svc.cluster.local"
CALLER = RunningProxy("shop", "web-1", {"app": "web"}, "web", False, "1.31.0", "", "ReplicaSet/web")


def cluster(port: int = 80, subset: str = "", host: str = HOST) -> str:
    return f"outbound|{port}|{subset}|{host}"


def host(*routes: ProxyRoute, listener: str = "80", domains: tuple[str, ...] = (HOST,)) -> VirtualHost:
    return VirtualHost(listener, HOST, frozenset(domains), routes)


def told(
    *hosts: VirtualHost, clusters: tuple[str, ...] = (), port: Any = HTTP, ends: dict[str, int] | None = None
) -> list[tuple[str, str, str]]:
    """:param ends: cluster -> how many endpoints."""
    statuses = [
        {
            "name": name,
            "host_statuses": [
                {
                    "address": {"socket_address": {"address": f"10.0.0.{index}", "port_value": 80}},
                    "health_status": {},
                }
                for index in range(count)
            ],
        }
        for name, count in (ends or {}).items()
    ]
    client: Any = FakeCluster()
    dump = ProxyDump({}, hosts or None, frozenset(clusters), ())
    view = View(CALLER, dump, endpoints({"cluster_statuses": statuses}))
    found = way.outbound(client, CATALOGUE, view, API, port)
    assert {step.subject for step in found} <= {"Pod shop/web-1"}
    return [(step.check, step.verdict, step.message) for step in found]


def test_requests_go_by_the_routes_of_their_host_and_port() -> None:
    mine = host(
        ProxyRoute("split", "shop/api", {cluster(subset="v2"): 10.0, cluster(subset="v1"): 90.0}),
        ProxyRoute("", "", {}),
    )
    others = [
        host(ProxyRoute("x", "", {cluster(81): 100.0}), listener="81"),
        host(ProxyRoute("y", "", {cluster(): 100.0}), domains=("other.example",)),
    ]
    names = (cluster(subset="v1"), cluster(subset="v2"))
    assert told(mine, *others, clusters=names, ends={names[0]: 2, names[1]: 0}) == [
        ("route", "pass", f"route split of shop/api: 90 % {names[0]} / 10 % {names[1]}"),
        ("route", "pass", "route  of istiod itself: no cluster"),
        ("endpoints", "pass", f"{names[0]}: it sends to 2 of 2"),
        ("endpoints", "fail", f"{names[1]} has no endpoint: requests get 503 UH"),
    ]


@pytest.mark.parametrize(
    ("listener", "target", "known"),
    [
        ("80", cluster(80), True),
        ("http.8080", cluster(80), True),  # by the port of the cluster
        ("80", cluster(8080, host="egress.example"), True),  # or by that of the listener
        ("http.8080", cluster(8080), False),
        ("http.8080", "BlackHoleCluster", False),
    ],
)
def test_which_virtual_host_is_meant(listener: str, target: str, *, known: bool) -> None:
    found = told(
        host(ProxyRoute("a", "", {target: 100.0}), listener=listener), clusters=(target,), ends={target: 1}
    )
    assert (found[0][1] == "pass") is known
    assert known or "its proxy has no route for" in found[0][2]


def test_a_stream_goes_by_the_clusters_of_its_host_and_port() -> None:
    mine = cluster(5432)
    others = (cluster(5433), cluster(5432, host="db.shop.svc.cluster.local"), "BlackHoleCluster")
    assert told(clusters=(mine, *others), port=TCP, ends={mine: 1, others[0]: 1, others[1]: 1}) == [
        ("endpoints", "pass", f"{mine}: it sends to 1 of 1")
    ]
    assert told(clusters=others, port=TCP) == []
    assert told(port=HTTP)[0][:2] == ("route", "fail")


def test_a_cluster_that_is_not_there_is_no_way_on() -> None:
    found = told(
        host(ProxyRoute("a", "", {cluster(): 50.0, cluster(subset="v9"): 50.0})),
        clusters=(cluster(),),
        ends={cluster(): 1},
    )
    assert [step[:2] for step in found] == [("route", "pass"), ("cluster", "fail"), ("endpoints", "pass")]
    assert cluster(subset="v9") in found[1][2]


def virtual_service(target: str = "api", namespace: str = "shop", **fault: Any) -> Any:
    rule = {"route": [{"destination": {"host": target}}], **({"fault": fault} if fault else {})}
    return {
        "kind": "VirtualService",
        "metadata": {"name": "x", "namespace": namespace},
        "spec": {"http": [rule]},
    }


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([virtual_service(abort={"httpStatus": 500})], "injects a fault (abort) into the calls"),
        ([virtual_service(delay={"fixedDelay": "1s"})], "injects a fault (delay) into the calls"),
        (
            [virtual_service(abort={"httpStatus": 500}, delay={"fixedDelay": "1s"})],
            "injects a fault (abort and delay) into the calls",
        ),
        ([virtual_service()], ""),
        ([virtual_service("other", abort={"httpStatus": 500})], ""),
        ([virtual_service(HOST, abort={"httpStatus": 500})], "injects a fault (abort) into the calls"),
    ],
)
def test_faults_that_the_catalogue_does_not_know(items: list[Any], words: str) -> None:
    live: Any = SimpleNamespace(
        of=lambda kind, namespace: items if (kind, namespace) == ("VirtualService", "shop") else []
    )
    assert [step.message for step in way.faults(live, CATALOGUE, API)] == ([words] if words else [])
    known: Any = SimpleNamespace(fault={"abort": 1}, fqdn=API.fqdn, namespace="shop")
    assert way.faults(live, CATALOGUE, known) == []
