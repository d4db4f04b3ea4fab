# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variants of problems, and what is close to one: all that a diagnosis tells of each (`told.txt`)."""

from __future__ import annotations

from typing import Any

import pytest

from .healthy_mesh import (
    API,
    HOST,
    Healthy,
    Obj,
    allow,
    diagnose,
    host,
    istio,
    line,
    network_policy,
    obj,
    pod,
    route,
    secret,
    service,
    to,
)
from .planted import AT_GATEWAY, CALL, NOTHING, OUTSIDE, YOUNG
from .problems.injection import bare, refused_with
from .told import HELD, check

DESTINATION = {"destination": "api"}
WEB = {"pod": "web-1"}


def into(kind: str, name: str, *path: Any, place: str = "shop", **fields: Any) -> Any:
    """Puts fields into a part of a stored object."""

    def plant(cluster: Healthy) -> None:
        part = cluster.edit(kind, name, place)
        for step in path:
            part = part[step] if isinstance(step, int) else part.setdefault(step, {})
        part.update(fields)

    return plant


def all_of(*plants: Any) -> Any:
    """Plants one after the other; an object is put as it is."""

    def plant(cluster: Healthy) -> None:
        for one in plants:
            one(cluster) if callable(one) else cluster.put(one)

    return plant


def born(made: Obj, when: str) -> Obj:
    made["metadata"]["creationTimestamp"] = when
    return made


def labelled(**labels: str) -> Any:
    def plant(cluster: Healthy) -> None:
        cluster.edit("Namespace", "shop", "")["metadata"]["labels"] = {
            key.replace("__", ".").replace("_", "-").replace("+", "/"): text for key, text in labels.items()
        }

    return plant


def namespace(**labels: str) -> Any:
    return obj("Namespace", "shop", "", labels=labels)


def naked(**metadata: Any) -> Any:
    return lambda cluster: bare(cluster, **metadata)


def logged(name: str, *lines: str, place: str = "shop") -> Any:
    return lambda cluster: cluster.log(name, *lines, place=place)


def shows(name: str, **clusters: list[Obj]) -> Any:
    return lambda cluster: cluster.clusters.update({name: clusters})


def seen(name: str, cluster_name: str, *hosts: Obj) -> Any:
    return lambda cluster: cluster.clusters.setdefault(name, {}).update({cluster_name: list(hosts)})


def policy(name: str, **spec: Any) -> Obj:
    return istio("AuthorizationPolicy", name, spec)


def http(*routes: Obj) -> Any:
    return into("VirtualService", "api", "spec", http=list(routes))


def refusal(message: str, name: str = "web") -> Any:
    def plant(cluster: Healthy) -> None:
        status = {"type": "ReplicaFailure", "status": "True", "message": message}
        cluster.edit("Deployment", name)["status"] = {"conditions": [status]}

    return plant


def hooks(kind: str, name: str, webhook: str, **config: Any) -> Obj:
    made = obj(kind, name, "", version="admissionregistration.k8s.io/v1")
    return {**made, "webhooks": [{"name": webhook, "clientConfig": config}]}


def proxy(**state: Any) -> Any:
    """The sidecar of web-1, with a state of its container."""
    status = [{"name": "other", "state": {}}, {"name": "istio-proxy", "ready": False, **state}]
    return into("Pod", "web-1", "status", initContainerStatuses=status)


REVISION = {"istio.io/rev": "old"}
BOUND = f"outbound|80||{API}"
PAY = "outbound|443||pay.example.org"
ALL_WEB = {"matchLabels": {"app": "web"}}
DENIED = "rbac_access_denied_matched_policy[none]"
WAITS = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}


def known_peer(cluster: Healthy, name: str = "web-1") -> str:
    return str(cluster.edit("Pod", name)["status"]["podIP"])


def refuses_in_log(
    *accounts: str, cluster_name: str = "inbound|3000||", path: str = "/", times: int = 1
) -> Any:
    def plant(cluster: Healthy) -> None:
        cluster.put(allow("api", *accounts))
        peer = known_peer(cluster)
        one = line(403, cluster=cluster_name, details=DENIED, peer=peer, path=path)
        cluster.log("api-1", *[one] * times)

    return plant


def rule(name: str = "api", place: str = "shop", host: str = API, **spec: Any) -> Obj:
    return istio("DestinationRule", name, {"host": host, **spec}, place)


def entry(
    name: str, host: str = "pay.example.org", port: int = 443, protocol: str = "TLS", **spec: Any
) -> Obj:
    ports = [{"number": port, "name": "p", "protocol": protocol}]
    return istio("ServiceEntry", name, {"hosts": [host], "ports": ports, "resolution": "DNS", **spec})


def server(port: int, *hosts: str, **more: Any) -> Obj:
    return {"port": {"number": port, "name": f"p{port}", "protocol": "HTTPS"}, "hosts": list(hosts), **more}


def gate(name: str, *servers: Obj, place: str = "shop", **labels: str) -> Obj:
    return istio(
        "Gateway", name, {"selector": labels or {"istio": "ingressgateway"}, "servers": list(servers)}, place
    )


VARIANTS: dict[str, tuple[dict[str, str], Any]] = {
    # pods without a proxy
    "bare: host network": (WEB, all_of(naked(), into("Pod", "web-1", "spec", hostNetwork=True))),
    "bare: host network is not asked about": (
        NOTHING,
        all_of(naked(), into("Pod", "web-1", "spec", hostNetwork=True)),
    ),
    "bare: opts out by its annotation": (WEB, naked(annotations={"sidecar.istio.io/inject": "false"})),
    "bare: opts out, not asked about": (NOTHING, naked(annotations={"sidecar.istio.io/inject": "false"})),
    "bare: of a job": (
        NOTHING,
        all_of(
            naked(),
            into(
                "Pod",
                "web-1",
                "metadata",
                ownerReferences=[{"kind": "Job", "name": "web", "controller": True}],
            ),
        ),
    ),
    "bare: of nobody": (NOTHING, all_of(naked(), into("Pod", "web-1", "metadata", ownerReferences=[]))),
    "bare: opts in, not asked about": (
        NOTHING,
        naked(labels={"app": "web", "sidecar.istio.io/inject": "true"}),
    ),
    "bare: in ambient mode": (WEB, all_of(naked(), namespace(**{"istio.io/dataplane-mode": "ambient"}))),
    "bare: another data plane": (WEB, all_of(naked(), namespace(**{"istio.io/dataplane-mode": "none"}))),
    "bare: revision of the namespace": (WEB, all_of(naked(), namespace(**REVISION))),
    "bare: revision of the pod": (WEB, all_of(naked(labels={"app": "web", **REVISION}), namespace())),
    "bare: revisions of both": (
        WEB,
        all_of(naked(labels={"app": "web", "istio.io/rev": "mine"}), namespace(**REVISION)),
    ),
    "bare: revision and label": (
        WEB,
        all_of(naked(labels={"app": "web", **REVISION}), namespace(**{"istio-injection": "no"})),
    ),
    "bare: two of one workload": (
        {"destination": "web"},
        all_of(naked(), naked(), pod("web-2", meshed=False), namespace()),
    ),
    "bare: kube-system": ({"pod": "kube-system/coredns-1"}, lambda _one: None),
    "bare: istiod": ({"pod": "istio-system/istiod-1"}, lambda _one: None),
    # Services and subsets
    "service: selects none, two near": (
        CALL,
        all_of(
            into("Service", "api", "spec", selector={"app": "api", "tier": "b"}),
            pod("api-3"),
            pod("apis-1", app="x"),
        ),
    ),
    "service: near by name": (DESTINATION, into("Service", "api", "spec", selector={"app": "apo", "x": "y"})),
    "service: scaled": (
        CALL,
        all_of(
            lambda one: [one.remove("Pod", name, "shop") for name in ("api-1", "api-2")],
            into("Deployment", "api", "spec", replicas=0),
        ),
    ),
    "service: pods are gone, and not scaled": (
        CALL,
        all_of(
            lambda one: [one.remove("Pod", name, "shop") for name in ("api-1", "api-2")],
            obj("Deployment", "other", "team", version="apps/v1", spec={"replicas": 0}),
        ),
    ),
    "service: no target port": (CALL, into("Service", "api", "spec", ports=[{"name": "http", "port": 80}])),
    "service: nothing listens there": (
        CALL,
        all_of(
            into("Service", "api", "spec", ports=[{"name": "http", "port": 80, "targetPort": 81}]),
            seen("shop/api-1", "inbound|81||", host(port=81, cx_connect_fail=2, cx_total=4)),
            logged("api-1", line(503, "UF", cluster="inbound|81||")),
        ),
    ),
    "service: nothing listens there, nobody asks": (
        NOTHING,
        all_of(
            into("Service", "api", "spec", ports=[{"name": "http", "port": 80, "targetPort": 81}]),
            seen("shop/api-1", "inbound|81||", host(port=81, cx_connect_fail=3, cx_total=4)),
            logged("api-1", line(503, "UF", cluster="inbound|81||")),
        ),
    ),
    "service: few connections fail": (
        CALL,
        all_of(
            seen("shop/api-1", "inbound|3000||", host(port=3000, cx_connect_fail=2, cx_total=5)),
            logged("api-1", line(503, "UF", cluster="inbound|3000||")),
        ),
    ),
    "service: half of the connections fail": (
        CALL,
        all_of(
            seen("shop/api-1", "inbound|3000||", host(port=3000, cx_connect_fail=2, cx_total=4)),
            logged("api-1", line(503, "UF", cluster="inbound|3000||")),
        ),
    ),
    "rule: shadows a subset": (
        CALL,
        all_of(rule("own", subsets=[{"name": "v2"}]), born(rule("late", host="api"), YOUNG)),
    ),
    "rule: takes the place of another": (
        {"source": "team/job", "destination": "shop/api"},
        all_of(
            obj("Namespace", "team", "", labels={"istio-injection": "enabled"}),
            pod("job-1", "team"),
            pod("job-2", "team"),
            allow("api", "team/job"),
            rule("own", "team", subsets=[{"name": "v3", "labels": {"version": "v3"}}]),
            rule("wide", host="*.shop.svc.cluster.local"),
        ),
    ),
    "rule: a name that is near": ({"destination": "api"}, rule("near", host="api2.shop.svc.cluster.local")),
    "rule: a name that is not near": ({"destination": "api"}, rule("far", host="zzz.shop.svc.cluster.local")),
    "rule: names of another namespace": (
        NOTHING,
        all_of(service("apoo", "outside"), rule("near", host="apo.shop.svc.cluster.local")),
    ),
    # circuit breakers
    "circuit: a tight pool that nobody felt": (
        CALL,
        into(
            "DestinationRule", "api", "spec", trafficPolicy={"connectionPool": {"tcp": {"maxConnections": 5}}}
        ),
    ),
    "circuit: a pool of six": (
        CALL,
        into(
            "DestinationRule", "api", "spec", trafficPolicy={"connectionPool": {"tcp": {"maxConnections": 6}}}
        ),
    ),
    "circuit: of one port": (
        CALL,
        into(
            "DestinationRule",
            "api",
            "spec",
            trafficPolicy={"portLevelSettings": [{"connectionPool": {"http": {"http2MaxRequests": 1}}}]},
        ),
    ),
    "circuit: a wide pool that is felt": (
        CALL,
        all_of(
            into(
                "DestinationRule",
                "api",
                "spec",
                trafficPolicy={"connectionPool": {"tcp": {"maxConnections": 50}}},
            ),
            logged("web-1", line(503, "UO"), line(503, "UO")),
            logged("api-1", line(503, "UO")),
        ),
    ),
    "circuit: no pool, and felt": (CALL, logged("web-1", line(503, "UO"))),
    "circuit: one of two is out, no rule": (
        CALL,
        all_of(
            seen("shop/web-1", BOUND, host(ejected=True), host("10.0.0.8")),
            seen("shop/web-1", f"outbound|80|v1|{API}", host(ejected=True)),
            seen("shop/web-1", "inbound|3000||", host(ejected=True)),
        ),
    ),
    "circuit: outside is out": (OUTSIDE, seen("shop/web-1", PAY, host(ejected=True))),
    # gateways
    "gateway: a Secret of another server": (
        AT_GATEWAY,
        all_of(
            into(
                "Gateway",
                "public",
                "spec",
                servers=[
                    server(443, HOST, tls={"mode": "SIMPLE", "credentialName": "api-cert"}),
                    server(8443, "other.example.com", tls={"mode": "SIMPLE", "credentialName": "gone"}),
                ],
            ),
        ),
    ),
    "gateway: three faults of a pair": (
        AT_GATEWAY,
        lambda one: one.put(secret("api-cert", ("other.example.com",))),
    ),
    "gateway: a wild host": (
        AT_GATEWAY,
        all_of(
            into(
                "Gateway",
                "public",
                "spec",
                servers=[
                    server(443, "*.example.com", "*", tls={"mode": "SIMPLE", "credentialName": "api-cert"})
                ],
            ),
            lambda one: one.put(secret("api-cert", ("x.other.org",))),
        ),
    ),
    "gateway: two hosts of which one is lost": (
        AT_GATEWAY,
        into("VirtualService", "public", "spec", hosts=[HOST, "else.example.org"]),
    ),
    "gateway: a route for other hosts": (
        AT_GATEWAY,
        all_of(
            into("VirtualService", "public", "spec", hosts=["else.example.org"], exportTo=["nobody"]),
            into("VirtualService", "api", "spec", gateways=["public", "mesh"], hosts=["api", HOST]),
        ),
    ),
    "gateway: passthrough": (
        AT_GATEWAY,
        into("Gateway", "public", "spec", servers=[server(443, HOST, tls={"mode": "PASSTHROUGH"})]),
    ),
    "gateway: passthrough of another host": (
        AT_GATEWAY,
        into(
            "Gateway",
            "public",
            "spec",
            servers=[
                server(443, HOST, tls={"mode": "SIMPLE", "credentialName": "api-cert"}),
                server(9443, "raw.example.com", tls={"mode": "PASSTHROUGH"}),
            ],
        ),
    ),
    "gateway: passthrough with tls routes": (
        AT_GATEWAY,
        all_of(
            into("Gateway", "public", "spec", servers=[server(443, HOST, tls={"mode": "PASSTHROUGH"})]),
            into(
                "VirtualService",
                "public",
                "spec",
                tls=[{"match": [{"port": 443, "sniHosts": [HOST]}], **to("api", port={"number": 80})}],
            ),
        ),
    ),
    "gateway: selects none": (
        AT_GATEWAY,
        into("Gateway", "public", "spec", selector={"istio": "x", "zone": "1"}),
    ),
    "gateway: two without TLS": (
        NOTHING,
        all_of(
            gate("one", server(80, "a.example.com", "b.example.com")),
            born(gate("two", server(81, "a.example.com"), server(80, "a.example.com")), YOUNG),
        ),
    ),
    "gateway: two with TLS": (
        NOTHING,
        all_of(
            gate(
                "one", server(80, "a.example.com"), server(81, "a.example.com", tls={"mode": "PASSTHROUGH"})
            ),
            born(gate("two", server(81, "a.example.com"), server(80, "z.example.com")), YOUNG),
        ),
    ),
    "gateway: one with TLS is younger": (
        NOTHING,
        all_of(
            gate("one", server(81, "a.example.com")),
            born(gate("two", server(81, "a.example.com", tls={"mode": "PASSTHROUGH"})), YOUNG),
        ),
    ),
    "gateway: of another host that is taken twice": (
        AT_GATEWAY,
        all_of(
            gate("one", server(81, "a.example.com", tls={"mode": "PASSTHROUGH"})),
            born(gate("two", server(81, "a.example.com")), YOUNG),
        ),
    ),
    # what is not shown
    "hidden: to some, the caller's among them": (
        CALL,
        into("Service", "api", "metadata", "annotations", **{"networking.istio.io/exportTo": "team, shop,x"}),
    ),
    "hidden: to its own, and to another": (
        CALL,
        into("Service", "api", "metadata", "annotations", **{"networking.istio.io/exportTo": "team,."}),
    ),
    "hidden: to others": (
        CALL,
        into("Service", "api", "metadata", "annotations", **{"networking.istio.io/exportTo": "team,other,x"}),
    ),
    "hidden: an entry, twice": (
        OUTSIDE,
        all_of(
            into("ServiceEntry", "pay", "spec", exportTo=["team"]),
            pod("web-2", app="web"),
        ),
    ),
    "hidden: a delegate": (
        CALL,
        all_of(
            route("part", {"exportTo": ["team"], "http": [to("api", subset="v1")]}),
            http({"delegate": {"name": "part", "namespace": "shop"}}),
        ),
    ),
    "hidden: a delegate that only others see, at a gateway": (
        AT_GATEWAY,
        all_of(
            route("part", {"http": [to("api", subset="v1")]}),
            into(
                "VirtualService", "public", "spec", http=[{"delegate": {"name": "part", "namespace": "shop"}}]
            ),
            into("Service", "api", "spec", selector={"app": "apo"}),
        ),
    ),
    "hidden: another host's entry": (
        OUTSIDE,
        all_of(entry("second", "x.example.org", exportTo=["team"]), entry("third", exportTo=["team"])),
    ),
    "hidden: a namespace, and one that takes part": (
        NOTHING,
        into(
            "ConfigMap",
            "istio",
            "data",
            place="istio-system",
            mesh="discovery_selectors: [{matchLabels: {kubernetes.io/metadata.name: istio-system}}, 3]",
        ),
    ),
    "hidden: of a namespace that is named": (
        {"namespace": "outside"},
        into(
            "ConfigMap",
            "istio",
            "data",
            place="istio-system",
            mesh="discoverySelectors: [{matchLabels: {kubernetes.io/metadata.name: shop}}]",
        ),
    ),
    "hidden: none": (
        CALL,
        into(
            "ConfigMap",
            "istio",
            "data",
            place="istio-system",
            mesh="discoverySelectors: [{matchLabels: {kubernetes.io/metadata.name: shop}}]",
        ),
    ),
    # istiod and its webhooks
    "istiod: has no pod, and is refused": (
        NOTHING,
        all_of(
            lambda one: one.remove("Pod", "istiod-1", "istio-system"),
            into(
                "Deployment",
                "istiod",
                "status",
                place="istio-system",
                conditions=[{"type": "ReplicaFailure", "status": "True", "message": "quota " + "x " * 200}],
            ),
        ),
    ),
    "istiod: does not start": (
        NOTHING,
        into(
            "Pod",
            "istiod-1",
            "status",
            place="istio-system",
            containerStatuses=[
                {"name": "helper", "lastState": {"terminated": {"reason": "OOMKilled"}}},
                {"name": "discovery", "ready": False, **WAITS},
            ],
        ),
    ),
    "istiod: crashes": (
        NOTHING,
        into(
            "Pod",
            "istiod-1",
            "status",
            place="istio-system",
            containerStatuses=[
                {"name": "discovery", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3}
            ],
        ),
    ),
    "istiod: a helper with a limit": (
        NOTHING,
        all_of(
            into(
                "Pod",
                "istiod-1",
                "spec",
                place="istio-system",
                containers=[
                    {"name": "helper", "resources": {"limits": {"memory": "1Mi"}}},
                    {"name": "discovery", "image": "hub/pilot:1.31.0"},
                ],
            ),
        ),
    ),
    "istiod: only others are of another name": (
        NOTHING,
        all_of(
            lambda one: one.remove("Pod", "istiod-1", "istio-system"),
            lambda one: one.remove("Deployment", "istiod", "istio-system"),
            obj(
                "Deployment",
                "other",
                "istio-system",
                version="apps/v1",
                labels={"app": "x"},
                spec={"replicas": 0},
            ),
            obj(
                "Deployment",
                "istiod",
                "team",
                version="apps/v1",
                labels={"app": "istiod"},
                spec={"replicas": 0},
            ),
        ),
    ),
    "istiod: another one stands behind the webhook": (
        NOTHING,
        into("Service", "istiod", "spec", place="istio-system", selector={"app": "istiod", "x": "y"}),
    ),
    "istiod: the webhook's Service is gone": (
        NOTHING,
        lambda one: one.remove("Service", "istiod", "istio-system"),
    ),
    "istiod: a bundle that is no text": (
        NOTHING,
        hooks(
            "ValidatingWebhookConfiguration",
            "v",
            "rev.validation.istio.io",
            service={"name": "istiod", "namespace": "istio-system"},
            caBundle="//79/A==",
        ),
    ),
    # names
    "names: a twin elsewhere": (
        {"source": "web", "destination": "twin"},
        all_of(obj("Namespace", "a", ""), service("twin", "a"), service("twin", "b")),
    ),
    "names: near, elsewhere": ({"source": "web", "destination": "pai"}, service("pay", "outside")),
    "names: no dns server": (NOTHING, lambda one: one.remove("Pod", "coredns-1", "kube-system")),
    "names: another name of the dns server": (
        NOTHING,
        all_of(
            lambda one: one.remove("Service", "kube-dns", "kube-system"),
            service("coredns", "kube-system", selector={"k8s-app": "kube-dns"}),
            service("coredns", "shop"),
            pod("other-1", "kube-system", meshed=False),
            into("Pod", "coredns-1", "status", place="kube-system", conditions=[]),
        ),
    ),
    "names: an address that DNS does not know": (
        OUTSIDE,
        all_of(seen("shop/web-1", PAY), logged("web-1", line(503, "DF", cluster=PAY))),
    ),
    "names: an address that DNS does not know, by UH": (
        OUTSIDE,
        all_of(
            seen("shop/web-1", PAY),
            seen("shop/web-1", "inbound|443||pay.example.org"),
            logged("web-1", line(503, "UH", cluster=PAY)),
        ),
    ),
    "names: an address that DNS does not know, unseen": (
        OUTSIDE,
        all_of(seen("shop/web-1", PAY), logged("web-1", line(503, "UF", cluster=PAY))),
    ),
    "names: a short host": (NOTHING, route("short", {"hosts": ["api.shop"], "http": [to("api")]})),
    "names: a short host that is asked": (
        {"source": "web", "destination": "api"},
        route("short", {"hosts": ["api.shop"], "http": [to("api", subset="v1")]}),
    ),
    # NetworkPolicies
    "network: from the callee, with failures": (
        CALL,
        all_of(
            network_policy("closed", {"app": "api"}, ingress=[]),
            network_policy(
                "shut", {"app": "api"}, ingress=[{"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}]
            ),
            logged("web-1", line(503, "UF")),
        ),
    ),
    "network: from the callee, with retries": (
        CALL,
        all_of(network_policy("closed", {"app": "api"}, ingress=[]), logged("web-1", line(503, "URX"))),
    ),
    "network: from the callee": (CALL, network_policy("closed", {"app": "api"}, ingress=[])),
    "network: nobody asks": (NOTHING, network_policy("closed", {"app": "api"}, ingress=[])),
    "network: from istiod and DNS": (
        WEB,
        network_policy("closed", {"app": "web"}, egress=[]),
    ),
    "network: from istiod, and lost": (
        WEB,
        all_of(network_policy("closed", {"app": "web"}, egress=[]), lambda one: one.lost.add("web-1")),
    ),
    "network: of a pod without a proxy": (
        {"pod": "outside/client-1"},
        network_policy(
            "closed", {"app": "client"}, "outside", egress=[{"ports": [{"port": 53, "protocol": "UDP"}]}]
        ),
    ),
    "network: no dns server is known": (
        WEB,
        all_of(
            network_policy("closed", {"app": "web"}, egress=[{"ports": [{"port": 15012}]}]),
            lambda one: one.remove("Service", "kube-dns", "kube-system"),
            into("Pod", "coredns-1", "metadata", place="kube-system", labels={"a": "b"}),
        ),
    ),
    "network: egress without its type": (
        CALL,
        istio("NetworkPolicy", "old", {"podSelector": ALL_WEB, "egress": [{"ports": [{"port": 1}]}]})
        | {"apiVersion": "networking.k8s.io/v1"},
    ),
    "network: blocks of addresses": (
        CALL,
        network_policy(
            "blocks",
            {"app": "api"},
            ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.7/8", "except": ["10.0.0.1/8"]}}]}],
        ),
    ),
    # hosts outside
    "outside: not declared, by its Sidecar": (
        {"source": "web", "hostname": "x.example.net"},
        all_of(
            istio(
                "Sidecar",
                "default",
                {"egress": [{"hosts": ["*/*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
            ),
            logged(
                "web-1",
                line(200),
                line(502, cluster="BlackHoleCluster"),
                line(502, cluster="BlackHoleCluster"),
            ),
        ),
    ),
    "outside: not declared, beside a Sidecar": (
        {"source": "web", "hostname": "x.example.net"},
        istio("Sidecar", "default", {"egress": [{"hosts": ["*/*"]}]}),
    ),
    "outside: not declared, by a gateway": (
        {"source": "istio-system/istio-ingressgateway", "hostname": "x.example.net"},
        lambda _one: None,
    ),
    "outside: inside and outside": (
        OUTSIDE,
        entry("pay", location="MESH_INTERNAL", hosts=["pay.example.org", API]),
    ),
    "outside: inside, nobody asks": (NOTHING, entry("pay", location="MESH_INTERNAL")),
    "outside: inside alone": (CALL, entry("pay", API, location="MESH_INTERNAL", port=80, protocol="HTTP")),
    "outside: another namespace's": (
        NOTHING,
        all_of(
            obj("Namespace", "team", ""),
            born(
                istio("ServiceEntry", "e", {"hosts": ["q.example.org"], "resolution": "STATIC"}, "team"),
                YOUNG,
            ),
        ),
    ),
    "outside: http2 to 443": (OUTSIDE, entry("pay", protocol="HTTP2")),
    "outside: http to 443, TLS off": (
        OUTSIDE,
        all_of(
            entry("pay", protocol="HTTP"),
            rule("pay", host="pay.example.org", trafficPolicy={"tls": {"mode": "DISABLE"}}),
        ),
    ),
    "outside: http to 443, TLS on": (
        OUTSIDE,
        all_of(
            entry("pay", protocol="HTTP"),
            rule("pay", host="pay.example.org", trafficPolicy={"tls": {"mode": "SIMPLE"}}),
        ),
    ),
    "outside: TLS in TLS by the second rule": (
        OUTSIDE,
        all_of(
            rule("a", host="pay.example.org", trafficPolicy={"connectionPool": {}}),
            rule("b", host="pay.example.org", trafficPolicy={"tls": {"mode": "SIMPLE"}}),
        ),
    ),
    "outside: TLS in TLS, no caller is known": (
        {"hostname": "pay.example.org"},
        rule("b", host="pay.example.org", trafficPolicy={"tls": {"mode": "SIMPLE"}}),
    ),
    "outside: cannot be reached": (
        OUTSIDE,
        all_of(
            seen("shop/web-1", PAY, host(cx_connect_fail=1, cx_total=1), host(cx_total=1)),
            seen("shop/web-1", "outbound|443||x.example.org", host(cx_connect_fail=9, cx_total=9)),
            seen("shop/web-1", "inbound|443||pay.example.org", host(cx_connect_fail=7, cx_total=9)),
            logged("web-1", line(503, "UF", cluster=PAY)),
        ),
    ),
    "outside: can mostly be reached": (
        OUTSIDE,
        all_of(
            seen("shop/web-1", PAY, host(cx_connect_fail=1, cx_total=3), host()),
            logged("web-1", line(503, "UF", cluster=PAY)),
        ),
    ),
    "outside: two entries, the younger is at fault": (
        OUTSIDE,
        all_of(
            born(entry("a", protocol="TCP"), "2026-02-02T00:00:00Z"),
            born(entry("b"), "2025-02-02T00:00:00Z"),
        ),
    ),
    # policies
    "policy: custom and deny": (
        CALL,
        all_of(
            policy("ask", action="CUSTOM", provider={"name": "x"}, rules=[{}]),
            into(
                "ConfigMap",
                "istio",
                "data",
                place="istio-system",
                mesh="extensionProviders: [{name: x, envoyExtAuthzGrpc: {}}]",
            ),
        ),
    ),
    "policy: no rule beside a deny and an audit": (
        CALL,
        all_of(
            policy("a-deny", action="DENY", rules=[{"to": [{"operation": {"methods": ["PUT"]}}]}]),
            policy("b-audit", action="AUDIT", rules=[{}]),
            policy("api", action="ALLOW"),
        ),
    ),
    "policy: three refusals are seen": (CALL, refuses_in_log("shop/shop", times=3)),
    "policy: refused in the log of a destination": (
        DESTINATION,
        refuses_in_log("shop/shop", times=2, path="/a?b"),
    ),
    "policy: refused in the log, nobody asks": (NOTHING, refuses_in_log("shop/shop")),
    "policy: refused on another cluster": (
        DESTINATION,
        refuses_in_log("shop/shop", cluster_name="inbound|http||"),
    ),
    "policy: refused nowhere": (DESTINATION, refuses_in_log("shop/shop", cluster_name="-")),
    "policy: refused with a subset": (
        DESTINATION,
        refuses_in_log("shop/shop", cluster_name="inbound|3000|a|b|c"),
    ),
    "policy: refused beside others": (
        DESTINATION,
        all_of(
            policy("zz-deny", action="DENY", rules=[{"to": [{"operation": {"methods": ["PUT"]}}]}]),
            refuses_in_log("shop/shop"),
        ),
    ),
    "policy: the selector is another namespace's": (
        CALL,
        all_of(
            policy("api"),
            allow("else", "shop/web", place="outside", app="zzz"),
            policy("deny", action="DENY", selector={"matchLabels": {"app": "z"}}, rules=[{}]),
            allow("taken", "shop/web", app="web"),
            allow("wrong", "shop/other", app="yyy"),
        ),
    ),
    "policy: paths of TCP": (
        CALL,
        all_of(
            allow("api", "shop/web", to=[{"operation": {"paths": ["/a"]}}]),
            lambda one: one.remove("VirtualService", "api", "shop"),
            into("Service", "api", "spec", ports=[{"name": "tcp", "port": 80, "targetPort": 3000}]),
        ),
    ),
    "policy: ports of TCP": (
        CALL,
        all_of(
            allow("api", "shop/web", to=[{"operation": {"ports": ["1"]}}]),
            lambda one: one.remove("VirtualService", "api", "shop"),
            into("Service", "api", "spec", ports=[{"name": "tcp", "port": 80, "targetPort": 3000}]),
        ),
    ),
    "policy: a token that would not help": (
        CALL,
        all_of(
            istio(
                "RequestAuthentication",
                "jwt",
                {"jwtRules": [{"issuer": "https://id", "jwksUri": "https://id/keys", "audiences": ["a"]}]},
            ),
            allow("api", "shop/shop"),
        ),
    ),
    "policy: a token for an audience": (
        CALL,
        all_of(
            istio(
                "RequestAuthentication",
                "jwt",
                {"jwtRules": [{"issuer": "https://id", "jwksUri": "https://id/keys", "audiences": ["a"]}]},
            ),
            allow("api", "shop/web", when=[{"key": "request.auth.audiences", "values": ["a"]}]),
        ),
    ),
    "policy: another port is asked about": (
        {**CALL, "port": "81"},
        all_of(
            into(
                "Service",
                "api",
                "spec",
                ports=[
                    {"name": "http", "port": 80, "targetPort": 3000},
                    {"name": "http-b", "port": 81, "targetPort": 3001},
                ],
            ),
            allow("api", "shop/web", to=[{"operation": {"ports": ["3000"]}}]),
        ),
    ),
    "tokens: another callee's": (
        CALL,
        all_of(
            istio(
                "RequestAuthentication",
                "web",
                {
                    "selector": {"matchLabels": {"app": "web"}},
                    "jwtRules": [{"issuer": "i", "jwksUri": "http://gone.shop.svc.cluster.local:80/k"}],
                },
            ),
            istio(
                "RequestAuthentication",
                "api",
                {
                    "selector": {"matchLabels": {"app": "api"}},
                    "jwtRules": [
                        {"issuer": "i", "jwksUri": "http://lost.shop.svc.cluster.local/k/l?a=http://b/c"}
                    ],
                },
            ),
            logged(
                "api-1", line(200), line(401, cluster="inbound|3000||", details="jwt_authn_access_denied{x}")
            ),
        ),
    ),
    # what makes a call slow
    "slow: a callee": (
        CALL,
        logged(
            "api-1",
            *[
                line(200, cluster="inbound|3000||", duration=ms, path=f"/{ms}")
                for ms in (1500, *[900] * 18, 1200, 1300)
            ],
            line(0, "DC", cluster="inbound|3000||", duration=90000),
            line(403, cluster="inbound|3000||", duration=90000, details=DENIED, peer="10.9.9.9"),
        ),
    ),
    "slow: a few": (CALL, logged("api-1", *[line(200, cluster="inbound|3000||", duration=5000)] * 4)),
    "slow: nobody asks": (
        NOTHING,
        logged("api-1", *[line(200, cluster="inbound|3000||", duration=5000)] * 9),
    ),
    "slow: another pod": (CALL, logged("web-1", *[line(200, cluster="inbound|3000||", duration=5000)] * 9)),
    "slow: timeouts of the host, and of another": (
        CALL,
        logged("web-1", line(504, "UT", duration=5000), line(504, "UT", cluster=PAY, duration=5000)),
    ),
    "slow: retries that are seen": (
        CALL,
        all_of(
            into("VirtualService", "api", "spec", "http", 0, retries={"attempts": 9}),
            logged("web-1", line(503, "URX")),
        ),
    ),
    "slow: a limit by annotation": (
        CALL,
        pod("web-1", limits={"cpu": "20m"}, annotations={"sidecar.istio.io/proxyCPULimit": "20m"}),
    ),
    "slow: a limit, nobody asks": (NOTHING, pod("web-1", limits={"cpu": "20m"})),
    "slow: connections, nobody asks": (
        NOTHING,
        into(
            "DestinationRule",
            "api",
            "spec",
            trafficPolicy={"connectionPool": {"http": {"maxRequestsPerConnection": 1}}},
        ),
    ),
    # proxies
    "proxy: refuses, for two filters": (
        CALL,
        all_of(
            born(
                istio("EnvoyFilter", "a", {"configPatches": [{"patch": {"value": {"name": "nothing"}}}]}),
                YOUNG,
            ),
            istio("EnvoyFilter", "b", {"configPatches": [{"patch": {"value": {"name": "broken"}}}]}),
            istio("EnvoyFilter", "c", {"workloadSelector": {"labels": {"app": "x"}}}),
            lambda one: one.refused.update({"web-1": "broken filter " + "y" * 400}),
        ),
    ),
    "proxy: refuses, for a plugin": (
        CALL,
        all_of(
            istio("WasmPlugin", "w", {"url": "oci://x"}) | {"apiVersion": "extensions.istio.io/v1alpha1"},
            lambda one: one.refused.update({"web-1": "broken"}),
        ),
    ),
    "proxy: no room": (
        WEB,
        into(
            "Pod",
            "web-1",
            "status",
            phase="Pending",
            conditions=[
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes: 1 Insufficient cpu",
                }
            ],
        ),
    ),
    "proxy: not scheduled for another reason": (
        WEB,
        into(
            "Pod",
            "web-1",
            "status",
            phase="Pending",
            conditions=[
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "a taint"}
            ],
        ),
    ),
    "proxy: ended as a container": (
        WEB,
        into(
            "Pod",
            "web-1",
            "status",
            initContainerStatuses=[{"name": "other", "lastState": {"terminated": {"reason": "OOMKilled"}}}],
            containerStatuses=[
                {
                    "name": "istio-proxy",
                    "restartCount": 2,
                    "ready": True,
                    "lastState": {"terminated": {"reason": "OOMKilled"}},
                }
            ],
        ),
    ),
    # workloads whose pods are refused
    "refused: by the labels of its Service": (
        DESTINATION,
        all_of(
            obj(
                "Deployment",
                "backend",
                version="apps/v1",
                spec={"template": {"metadata": {"labels": {"app": "api"}}}},
            ),
            refusal("exceeded quota: small", "backend"),
        ),
    ),
    "refused: of another namespace": (
        DESTINATION,
        all_of(
            obj(
                "Deployment",
                "backend",
                "team",
                version="apps/v1",
                spec={"template": {"metadata": {"labels": {"app": "api"}}}},
                status={
                    "conditions": [
                        {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: s"}
                    ]
                },
            ),
        ),
    ),
    "refused: by the end of its name": (
        DESTINATION,
        all_of(
            obj("Deployment", "my-api", version="apps/v1", spec={}),
            refusal("exceeded quota: small", "my-api"),
        ),
    ),
    "refused: by a webhook that nothing holds": (
        {"source": "web"},
        lambda one: refused_with(one, 'failed calling webhook "x.example.com": timeout'),
    ),
    "refused: by a webhook outside": (
        {"source": "web"},
        all_of(
            hooks("MutatingWebhookConfiguration", "out", "x.example.com", url="https://x"),
            lambda one: refused_with(one, 'failed calling webhook "x.example.com": timeout'),
        ),
    ),
    "refused: by one of two webhooks": (
        {"source": "web"},
        all_of(
            hooks(
                "MutatingWebhookConfiguration",
                "a",
                "x.example.com",
                service={"name": "one", "namespace": "p"},
            ),
            hooks(
                "ValidatingWebhookConfiguration",
                "b",
                "x.example.com",
                service={"name": "two", "namespace": "p"},
            ),
            lambda one: refused_with(
                one, 'failed calling webhook "x.example.com": Post "https://two.p.svc:443/v": timeout'
            ),
        ),
    ),
    "refused: for another reason": ({"source": "web"}, lambda one: refused_with(one, "nobody knows  why")),
    # routes
    "route: no route at the gateway and inside": (
        AT_GATEWAY,
        all_of(
            into(
                "VirtualService",
                "public",
                "spec",
                http=[{"match": [{"uri": {"prefix": "/a"}}], **to("api", subset="v1")}],
            ),
            route(
                "more",
                {
                    "hosts": [HOST],
                    "gateways": ["public"],
                    "http": [{"match": [{"uri": {"prefix": "/b"}}], **to("api", subset="v1")}],
                },
            ),
            route(
                "inside",
                {"hosts": [HOST], "http": [{"match": [{"uri": {"prefix": "/c"}}], **to("api", subset="v1")}]},
            ),
            born(route("later", {"hosts": [HOST], "http": [to("api", subset="v1")]}), YOUNG),
            logged("istio-ingressgateway-1", line(404, "NR"), place="istio-system"),
        ),
    ),
    "route: no route inside": (
        CALL,
        all_of(
            http({"match": [{"uri": {"prefix": "/c"}}], **to("api", subset="v1")}),
            logged("web-1", line(404, "NR")),
        ),
    ),
    "route: delegates in a circle": (
        CALL,
        all_of(
            route("part", {"http": [{"delegate": {"name": "api", "namespace": "shop"}}]}),
            http({"delegate": {"name": "part", "namespace": "shop"}}),
        ),
    ),
    "route: headers, nobody asks": (
        NOTHING,
        http({"match": [{"headers": {"a": {"exact": "b"}}}], **to("api", subset="v1")}),
    ),
    "route: other hosts of two": (
        CALL,
        all_of(
            route("a", {"hosts": ["zed.example.org", "web"], "http": [to("api", subset="v1")]}),
            born(route("b", {"hosts": ["zed.example.org", "web"], "http": [to("api", subset="v1")]}), YOUNG),
        ),
    ),
    "route: a part of the requests goes nowhere": (
        CALL,
        http(
            {
                "route": [
                    {"destination": {"host": "api", "subset": "v1"}, "weight": 99},
                    {"destination": {"host": "gone"}, "weight": 1},
                ]
            }
        ),
    ),
    "route: an unknown subset, seen": (
        CALL,
        all_of(http(to("api", subset="v9")), logged("web-1", line(503, "NC"))),
    ),
    "route: an unknown subset, without rules": (
        CALL,
        all_of(lambda one: one.remove("DestinationRule", "api", "shop"), http(to("api", subset="v9"))),
    ),
    "route: a subset of another host": (
        CALL,
        all_of(
            rule("web", host="web", subsets=[{"name": "v9", "labels": {"a": "b"}}]),
            http(to("api", subset="v9")),
        ),
    ),
    "route: port 0": (CALL, into("Service", "api", "spec", ports=[{"name": "http", "targetPort": 3000}])),
    "route: a subset of an entry": (
        OUTSIDE,
        all_of(
            route("pay", {"hosts": ["pay.example.org"], "http": [to("pay.example.org", subset="a")]}),
            rule("pay", host="pay.example.org", subsets=[{"name": "a", "labels": {"x": "y"}}]),
        ),
    ),
    # mutual TLS
    "tls: seen in the log": (
        CALL,
        all_of(
            into("DestinationRule", "api", "spec", trafficPolicy={"tls": {"mode": "DISABLE"}}),
            logged(
                "web-1",
                line(503, "UC", failure="TLS_error:wrong"),
                line(503, "UC", failure="TLS_error:wrong"),
                line(503, "UF", failure="refused"),
            ),
        ),
    ),
    "tls: seen as UF": (
        CALL,
        all_of(
            into("DestinationRule", "api", "spec", trafficPolicy={"tls": {"mode": "DISABLE"}}),
            logged("web-1", line(503, "UF", failure="refused"), line(503, "UF", failure="tls alert")),
        ),
    ),
    "tls: a rule and a policy": (
        DESTINATION,
        all_of(
            istio("PeerAuthentication", "a", {"mtls": {"mode": "STRICT"}}),
            into("DestinationRule", "api", "spec", trafficPolicy={"tls": {"mode": "DISABLE"}}),
        ),
    ),
    "tls: a caller outside, and nobody decided": (
        {"source": "outside/client-1", "destination": "shop/api"},
        lambda one: one.remove("PeerAuthentication", "default", "istio-system"),
    ),
    "tls: past the sidecar by its addresses": (
        CALL,
        all_of(
            into("Service", "api", "spec", clusterIP="10.96.0.9", clusterIPs=["10.96.0.9", "10.97.0.9"]),
            pod("web-1", annotations={"traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.97.0.0/16"}),
        ),
    ),
    "tls: past the sidecar to the pod itself": (
        CALL,
        all_of(
            into("Service", "api", "spec", clusterIP="None", clusterIPs=["None"]),
            pod("web-1", annotations={"traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.0/8"}),
        ),
    ),
    # names of the symptom
    "symptom: the app of pods": (
        {"source": "shop/runner", "destination": "shop/api"},
        all_of(pod("x-1", app="other", labels={"app": "runner"}), allow("api", "shop/web")),
    ),
    "symptom: a workload": ({"source": "shop/a-b-c", "destination": "shop/api"}, pod("a-b-c-1")),
    "symptom: a StatefulSet": (
        {"source": "shop/my-set", "destination": "shop/api"},
        lambda one: (
            one.put(pod("my-set-0", app="zz")),
            one.edit("Pod", "my-set-0")["metadata"].update(
                ownerReferences=[{"kind": "StatefulSet", "name": "my-set", "controller": True}]
            ),
        ),
    ),
    "symptom: a Service without a selector": (
        {"source": "shop/runner", "destination": "shop/api"},
        all_of(service("runner", selector={}), pod("runner-1")),
    ),
    "symptom: a Service of another name than its pods": (
        {"source": "shop/front", "destination": "shop/api"},
        all_of(service("front", selector={"app": "web"}), allow("api", "shop/shop")),
    ),
    "symptom: a finished pod": (
        {"source": "shop/web", "destination": "shop/api"},
        all_of(
            lambda one: one.edit("Pod", "web-1")["status"].update(phase="Succeeded"),
            pod("web-2", app="web"),
            allow("api", "shop/shop"),
        ),
    ),
    "symptom: a host with a port and a dot": (
        {"source": "web", "hostname": "api.shop.svc.cluster.local.:80"},
        http(to("gone")),
    ),
    "symptom: a host of three parts": ({"source": "web", "hostname": "api.shop.svc"}, http(to("gone"))),
    "symptom: another host of three parts": ({"source": "web", "hostname": "api.shop.org"}, http(to("gone"))),
    "symptom: a namespace by its revision": (
        NOTHING,
        all_of(
            obj("Namespace", "team", "", labels={"istio.io/rev": "default"}),
            pod("lone-1", "team", meshed=False),
            obj("Namespace", "kube-public", "", labels={"istio-injection": "enabled"}),
            obj("Namespace", "kube-node-lease", "", labels={"istio-injection": "enabled"}),
            into("Namespace", "kube-system", "metadata", place="", labels={"istio-injection": "enabled"}),
            pod("bare-1", "kube-public", meshed=False),
            pod("bare-1", "kube-node-lease", meshed=False),
        ),
    ),
    "symptom: wild entries": (
        {"source": "web", "hostname": "a.wild.example.net"},
        all_of(
            entry("wild", "*.wild.example.net", resolution="STATIC"),
            entry("none", "*.other.example.net", resolution="STATIC"),
        ),
    ),
    "symptom: wild rules": (
        {"source": "web", "hostname": "a.wild.example.net"},
        all_of(
            entry("wild", "*.wild.example.net", resolution="NONE"),
            rule("wild", host="*.wild.example.net", trafficPolicy={"tls": {"mode": "SIMPLE"}}),
            rule("other", host="*.xwild.example.net", trafficPolicy={"tls": {"mode": "SIMPLE"}}),
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_all_that_is_told_of_a_variant(name: str) -> None:
    symptom, plant = VARIANTS[name]
    check(name, plant if callable(plant) else all_of(plant), symptom)


def test_nothing_is_held_that_nobody_plants() -> None:
    from .test_planted import PROBLEMS

    assert set(HELD) == {f"{one.family}: {one.name}" for one in PROBLEMS} | set(VARIANTS)


def test_what_is_said_on_the_way_is_what_the_result_holds() -> None:
    """Causes with what shows them and what mends them, and what cannot be told: a line each."""
    lines: list[str] = []
    cluster = Healthy()
    VARIANTS["tls: seen in the log"][1](cluster)
    cluster.fail("list", "Gateway", 403)
    result = diagnose(cluster, lines, **CALL)
    (cause,) = result["causes"]
    assert lines == [
        f" 1. {cause['family']:<13} {cause['object']}: {cause['cause']}",
        f"    seen          {cause['evidence'][0]}",
        f"    mend          {cause['remedy']}",
        *(f"cannot tell    {one['what']}: {one['why']}" for one in result["unknown"]),
    ]
    assert result["unknown"]
