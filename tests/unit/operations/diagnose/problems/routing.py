# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing: what is planted, and what has to be found."""

from __future__ import annotations

from typing import Any

from ..healthy_mesh import API, Healthy, host, istio, line, obj, pod, route, to
from ..planted import CALL, NOTHING, YOUNG, Planted


def api_route(cluster: Healthy) -> dict[str, Any]:
    return cluster.edit("VirtualService", "api")["spec"]["http"][0]


def second_route(cluster: Healthy) -> None:
    cluster.put(route("api-too", {"hosts": [API], "http": [to("api", subset="v2")]}))
    cluster.edit("VirtualService", "api-too")["metadata"]["creationTimestamp"] = YOUNG


def mover(cluster: Healthy) -> None:
    cluster.put(
        istio(
            "DestinationRule",
            "own",
            {"host": API, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}},
            "team",
        )
    )
    cluster.put(obj("Namespace", "team", "", labels={"istio-injection": "enabled"}))
    cluster.put(pod("job-1", "team"))


def sidecar(cluster: Healthy, *hosts: str, **spec: Any) -> None:
    egress = [{"hosts": list(hosts)}]
    cluster.put(
        istio("Sidecar", "narrow", {"workloadSelector": {"labels": {"app": "web"}}, "egress": egress, **spec})
    )


def ports(cluster: Healthy, **port: Any) -> None:
    cluster.edit("Service", "api")["spec"]["ports"][0].update(port)


def tight(cluster: Healthy) -> None:
    policy = {"connectionPool": {"http": {"http1MaxPendingRequests": 1}}}
    cluster.edit("DestinationRule", "api")["spec"]["trafficPolicy"] = policy
    cluster.log("web-1", *[line(503, "UO", details="overflow")] * 3)


def ejected(cluster: Healthy) -> None:
    cluster.edit("DestinationRule", "api")["spec"]["trafficPolicy"] = {"outlierDetection": {"interval": "1s"}}
    cluster.clusters["shop/web-1"] = {
        f"outbound|80|v1|{API}": [host(ejected=True), host("10.0.0.8", ejected=True)]
    }


def deaf(cluster: Healthy) -> None:
    cluster.clusters["shop/api-1"] = {"inbound|3000||": [host(cx_connect_fail=5, cx_total=5)]}
    cluster.log("api-1", line(503, "UF", cluster="inbound|3000||", details="upstream_reset"))


ROUTING = [
    Planted(
        "unknown host",
        "routing",
        "VirtualService shop/api",
        CALL,
        lambda one: api_route(one).update(to("apii", subset="v1")),
    ),
    Planted(
        "unknown subset",
        "routing",
        "VirtualService shop/api",
        CALL,
        lambda one: api_route(one).update(to("api", subset="v9")),
    ),
    Planted(
        "subset without pods",
        "routing",
        "DestinationRule shop/api",
        CALL,
        lambda one: one.edit("DestinationRule", "api")["spec"]["subsets"][0].update(
            labels={"version": "one"}
        ),
    ),
    Planted(
        "unknown delegate",
        "routing",
        "VirtualService shop/api",
        NOTHING,
        lambda one: one.edit("VirtualService", "api")["spec"].update(http=[{"delegate": {"name": "gone"}}]),
    ),
    Planted(
        "unknown port",
        "routing",
        "VirtualService shop/api",
        CALL,
        lambda one: api_route(one).update(to("api", subset="v1", port={"number": 8080})),
    ),
    Planted("two routes for one host", "routing", "VirtualService shop/api-too", NOTHING, second_route),
    Planted(
        "no route for the path",
        "routing",
        "VirtualService shop/api",
        {**CALL, "path": "/orders"},
        lambda one: api_route(one).update(match=[{"uri": {"prefix": "/items"}}]),
    ),
    Planted(
        "port is TCP by its name", "routing", "Service shop/api", CALL, lambda one: ports(one, name="tcp-web")
    ),
    Planted(
        "port is HTTP and speaks something else",
        "routing",
        "Service shop/api",
        CALL,
        lambda one: one.log("web-1", line(502, "UPE", details="upstream_reset")),
    ),
    Planted(
        "selector",
        "routing",
        "Service shop/api",
        CALL,
        lambda one: one.edit("Service", "api")["spec"].update(selector={"app": "apis"}),
    ),
    Planted(
        "target port's name", "routing", "Service shop/api", CALL, lambda one: ports(one, targetPort="web")
    ),
    Planted(
        "target port's number", "routing", "Service shop/api", CALL, lambda one: ports(one, targetPort=3001)
    ),
    Planted("nothing listens", "routing", "Pod shop/api-1", {"destination": "api"}, deaf),
    Planted(
        "callee not ready",
        "routing",
        "Service shop/api",
        CALL,
        lambda one: [
            one.put(pod(name, labels={"version": name[-1]}, ready=False)) for name in ("api-1", "api-2")
        ],
    ),
    Planted(
        "callee scaled to 0",
        "routing",
        "Deployment shop/api",
        CALL,
        lambda one: (
            one.remove("Pod", "api-1", "shop"),
            one.remove("Pod", "api-2", "shop"),
            one.edit("Deployment", "api")["spec"].update(replicas=0),
        ),
    ),
    Planted(
        "rule in the caller's namespace",
        "routing",
        "DestinationRule team/own",
        {"source": "team/job-1", "destination": "shop/api"},
        mover,
    ),
    Planted(
        "rule for no host",
        "routing",
        "DestinationRule shop/stray",
        NOTHING,
        lambda one: one.put(istio("DestinationRule", "stray", {"host": "apis"})),
    ),
    Planted(
        "Sidecar hides it",
        "routing",
        "Sidecar shop/narrow",
        CALL,
        lambda one: sidecar(one, "./web." + API[4:]),
    ),
    Planted(
        "Service not exported",
        "routing",
        "Service shop/api",
        {"source": "team/job-1", "destination": "shop/api"},
        lambda one: (
            mover(one),
            one.remove("DestinationRule", "own", "team"),
            one.edit("Service", "api")["metadata"].update(annotations={"networking.istio.io/exportTo": "."}),
        ),
    ),
    Planted("circuit breaker", "routing", "DestinationRule shop/api", CALL, tight),
    Planted("ejected", "routing", "DestinationRule shop/api", CALL, ejected),
    Planted(
        "abort",
        "routing",
        "VirtualService shop/api",
        NOTHING,
        lambda one: api_route(one).update(fault={"abort": {"httpStatus": 500, "percentage": {"value": 100}}}),
    ),
]
