# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh in memory in which nothing is wrong: what tests plant is all that there is to find.

`web` calls `api` (two versions, one in use), the gateway leads to `api`, and `web` may call pay.example.org.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import backend

from ...support.arguments import validated
from ...support.certificates import NOW, ROOT, ROOT_KEY, certificate, ec_key, key_pem, pem
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching
from ...support.injection import webhook_configuration

Obj = dict[str, Any]
GATEWAY = {"app": "istio-ingressgateway", "istio": "ingressgateway"}
NETWORKING, SECURITY = "networking.istio.io/v1", "security.istio.io/v1"
CATALOGUE: Obj = {"mesh_name": "shop", "mesh_namespace": "shop", "mesh_services": []}
KUBECONFIG = {
    "clusters": [{"name": "c", "cluster": {"server": "https://api.example"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "c",
}
OLD = "2026-01-01T00:00:00Z"
API = "api.shop.svc.cluster.local"
HOST = "api.example.com"


def obj(kind: str, name: str, place: str = "shop", *, version: str = "v1", **rest: Any) -> Obj:
    """An object that is old already; ``labels`` and ``annotations`` go into its metadata."""
    metadata: Obj = {"name": name, "creationTimestamp": OLD}
    metadata |= {key: rest.pop(key) for key in ("labels", "annotations", "ownerReferences") if key in rest}
    if place:
        metadata["namespace"] = place
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def istio(kind: str, name: str, spec: Obj, place: str = "shop", **rest: Any) -> Obj:
    group = SECURITY if kind.endswith(("Authentication", "Policy")) else NETWORKING
    version = "networking.istio.io/v1alpha3" if kind == "EnvoyFilter" else group
    return obj(kind, name, place, version=version, spec=spec, **rest)


def service(name: str, place: str = "shop", *, ports: Any = None, selector: Any = None, **spec: Any) -> Obj:
    wanted = ports or [{"name": "http", "port": 80, "targetPort": 3000}]
    chosen = {"app": name} if selector is None else selector
    return obj("Service", name, place, spec={"selector": chosen, "ports": wanted, **spec})


def pod(
    name: str,
    place: str = "shop",
    *,
    app: str = "",
    meshed: bool = True,
    ready: bool = True,
    args: Sequence[str] = ("proxy", "sidecar"),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    limits: Mapping[str, str] | None = None,
    **spec: Any,
) -> Obj:
    """A pod of Deployment APP, with a native sidecar."""
    app = app or name.rpartition("-")[0]
    proxy = {
        "name": "istio-proxy",
        "image": "hub/proxyv2:1.31.0",
        "restartPolicy": "Always",
        "args": list(args),
        "resources": {"limits": dict(limits or {"cpu": "2"})},
    }
    status = '{"revision": "default"}'
    return obj(
        "Pod",
        name,
        place,
        labels={
            "app": app,
            "pod-template-hash": "7d9f",
            **({"security.istio.io/tlsMode": "istio"} if meshed else {}),
            **(labels or {}),
        },
        annotations={**({"sidecar.istio.io/status": status} if meshed else {}), **(annotations or {})},
        ownerReferences=[{"kind": "ReplicaSet", "name": f"{app}-7d9f", "controller": True}],
        spec={
            "serviceAccountName": app,
            "initContainers": [proxy] if meshed else [],
            "containers": [{"name": "app", "image": "app:1", "ports": [{"containerPort": 3000}]}],
            **spec,
        },
        status={
            "phase": "Running",
            "podIP": f"10.0.0.{sum(map(ord, name)) % 250}",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "initContainerStatuses": [{"name": "istio-proxy", "ready": True}] if meshed else [],
            "containerStatuses": [{"name": "app", "ready": ready}],
        },
    )


def network_policy(name: str, chosen: Mapping[str, str], place: str = "shop", **rules: Any) -> Obj:
    """A NetworkPolicy for pods with some labels. :param rules: ``ingress`` and ``egress``."""
    types = [kind for kind in ("Ingress", "Egress") if kind.lower() in rules]
    spec = {"podSelector": {"matchLabels": dict(chosen)}, "policyTypes": types, **rules}
    return obj("NetworkPolicy", name, place, version="networking.k8s.io/v1", spec=spec)


def secret(name: str, hosts: Sequence[str] = (HOST,), **more: Any) -> Obj:
    key = ec_key()
    leaf = certificate(hosts[0], key, issuer=("root", ROOT_KEY), hosts=tuple(hosts), **more)
    data = {"tls.crt": pem(leaf), "tls.key": key_pem(key)}
    coded = {part: base64.b64encode(text).decode() for part, text in data.items()}
    return obj("Secret", name, "istio-system", type="kubernetes.io/tls", data=coded)


class Healthy(FakeCluster):
    """The cluster.

    :ivar clusters: by ``namespace/pod`` and cluster, the hosts that its proxy shows besides.
    :ivar refused: by pod, what its proxy refuses. :ivar lost: pods that no istiod knows.
    :ivar figures: istiod's metrics.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clusters: dict[str, dict[str, list[Obj]]] = {}
        self.refused: dict[str, str] = {}
        self.lost: set[str] = set()
        self.figures: dict[str, float] = {"process_resident_memory_bytes": 1e8}
        for one in (*_control_plane(), *_shop(), *_gateway(), *_outside()):
            self.put(one)
        self.on_ask = self._answer

    def edit(self, kind: str, name: str, place: str = "shop") -> Obj:
        """The stored object itself, to be changed."""
        return self.objects[kind, place, name]

    def log(self, pod: str, *lines: str, place: str = "shop") -> None:
        """Lines of the access log of a pod's proxy."""
        self.container_logs[place, pod, "istio-proxy"] = "\n".join(lines)

    def _answer(self, namespace: str, pod: str, port: int, path: str) -> str:
        if path == "/metrics":
            return "".join(f"{name} {value}\n" for name, value in self.figures.items())
        if port == 15014:
            running = [one["metadata"] for one in self.of_kind("Pod")]
            return json.dumps(
                [
                    {"proxy": f"{one['name']}.{one['namespace']}"}
                    for one in running
                    if one["name"] not in self.lost
                ]
            )
        if path.startswith("/clusters"):
            found = {
                "outbound|80||api.shop.svc.cluster.local": [host()],
                **self.clusters.get(f"{namespace}/{pod}", {}),
            }
            statuses = [{"name": name, "host_statuses": hosts} for name, hosts in found.items()]
            return json.dumps({"cluster_statuses": statuses})
        if path == "/certs":
            return json.dumps({"certificates": []})
        resource = urllib.parse.parse_qs(path.partition("?")[2])["resource"][0]
        if resource == "dynamic_listeners":
            return json.dumps({"configs": self._listeners(pod)})
        return json.dumps({"configs": []})

    def _listeners(self, pod: str) -> list[Obj]:
        chain = {"filter_chain_match": {"destination_port": 3000}, "filters": []}
        listener = {"name": "virtualInbound", "filter_chains": [chain]}
        entry: Obj = {"name": "virtualInbound", "active_state": {"listener": listener}}
        if pod in self.refused:
            entry["error_state"] = {"details": self.refused[pod]}
        return [entry]


def host(address: str = "10.0.0.9", port: int = 3000, *, ejected: bool = False, **stats: int) -> Obj:
    """A host of a cluster as Envoy shows it."""
    return {
        "address": {"socket_address": {"address": address, "port_value": port}},
        "health_status": {"eds_health_status": "HEALTHY", "failed_outlier_check": ejected},
        "stats": [{"name": name, "value": str(value)} for name, value in stats.items()],
    }


def line(
    code: int,
    flags: str = "-",
    *,
    authority: str = "api",
    cluster: str = f"outbound|80||{API}",
    details: str = "via_upstream",
    duration: int = 3,
    failure: str = "-",
    path: str = "/",
    peer: str = "10.0.0.3",
) -> str:
    """A line of an access log of just now."""
    return (
        f'[2026-11-23T11:59:59.000Z] "GET {path} HTTP/1.1" {code} {flags} {details} - "{failure}" 0 9 '
        f'{duration} - "-" "curl" "id" "{authority}" "10.0.0.9:3000" {cluster} - '
        f"10.1.0.1:80 {peer}:4000 - default"
    )


def _control_plane() -> list[Obj]:
    running = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    discovery = {"name": "discovery", "image": "hub/pilot:1.31.0", "resources": {"limits": {"memory": "2Gi"}}}
    configuration = webhook_configuration("istio-sidecar-injector", "default", ["default"], legacy=True)
    for webhook in configuration["webhooks"]:
        webhook["clientConfig"]["caBundle"] = base64.b64encode(pem(ROOT)).decode()
    return [
        obj("Namespace", "istio-system", ""),
        obj("Namespace", "kube-system", ""),
        obj(
            "Deployment",
            "istiod",
            "istio-system",
            version="apps/v1",
            labels={"app": "istiod"},
            spec={"replicas": 1},
        ),
        obj(
            "Pod",
            "istiod-1",
            "istio-system",
            labels={"app": "istiod"},
            spec={"containers": [discovery]},
            status={**running, "containerStatuses": [{"name": "discovery", "ready": True}]},
        ),
        service("istiod", "istio-system", ports=[{"name": "https-dns", "port": 15012}]),
        obj(
            "ConfigMap",
            "istio",
            "istio-system",
            data={"mesh": "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"},
        ),
        obj(
            "ConfigMap",
            "istio-sidecar-injector",
            "istio-system",
            data={"config": "policy: enabled", "values": '{"global": {"hub": "hub", "tag": "1.31.0"}}'},
        ),
        obj("ConfigMap", "istio-ca-root-cert", "istio-system", data={"root-cert.pem": pem(ROOT).decode()}),
        {
            **obj(
                "MutatingWebhookConfiguration",
                "istio-sidecar-injector",
                "",
                version="admissionregistration.k8s.io/v1",
            ),
            **{
                "metadata": {"name": "istio-sidecar-injector", "labels": configuration["metadata"]["labels"]},
                "webhooks": configuration["webhooks"],
            },
        },
        service(
            "kube-dns", "kube-system", selector={"k8s-app": "kube-dns"}, ports=[{"name": "dns", "port": 53}]
        ),
        obj(
            "Pod",
            "coredns-1",
            "kube-system",
            labels={"k8s-app": "kube-dns"},
            spec={"containers": []},
            status=running,
        ),
        istio("PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}}, "istio-system"),
    ]


def allow(name: str, *accounts: str, to: Any = (), place: str = "shop", app: str = "", **more: Any) -> Obj:
    """An ALLOW for accounts (``namespace/name``)."""
    principals = [f"cluster.local/ns/{one.split('/')[0]}/sa/{one.split('/')[1]}" for one in accounts]
    rule: Obj = {"from": [{"source": {"principals": principals}}], **({"to": to} if to else {}), **more}
    spec = {"selector": {"matchLabels": {"app": app or name}}, "action": "ALLOW", "rules": [rule]}
    return istio("AuthorizationPolicy", name, spec, place)


def route(name: str, spec: Obj, place: str = "shop") -> Obj:
    return istio("VirtualService", name, spec, place)


def to(target: str, **more: Any) -> Obj:
    return {"route": [{"destination": {"host": target, **more}}]}


def _shop() -> list[Obj]:
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    return [
        obj("Namespace", "shop", "", labels={"istio-injection": "enabled"}),
        service("web"),
        service("api"),
        pod("web-1"),
        pod("api-1", labels={"version": "v1"}),
        pod("api-2", labels={"version": "v2"}),
        *(
            obj(
                "Deployment",
                name,
                version="apps/v1",
                labels={"app": name},
                spec={"replicas": 1, "template": {"metadata": {"labels": {"app": name}}}},
            )
            for name in ("web", "api")
        ),
        istio("DestinationRule", "api", {"host": "api", "subsets": subsets}),
        route("api", {"hosts": ["api"], "http": [{**to("api", subset="v1"), "timeout": "5s"}]}),
        allow("api", "shop/web", "istio-system/istio-ingressgateway"),
    ]


def _gateway() -> list[Obj]:
    server = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": [HOST],
        "tls": {"mode": "SIMPLE", "credentialName": "api-cert"},
    }
    return [
        pod("istio-ingressgateway-1", "istio-system", labels=GATEWAY, args=("proxy", "router")),
        service(
            "istio-ingressgateway",
            "istio-system",
            selector=GATEWAY,
            ports=[{"name": "http2", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443}],
        ),
        istio("Gateway", "public", {"selector": {"istio": "ingressgateway"}, "servers": [server]}),
        route("public", {"hosts": [HOST], "gateways": ["public"], "http": [to("api", subset="v1")]}),
        secret("api-cert"),
    ]


def _outside() -> list[Obj]:
    ports = [{"number": 443, "name": "tls", "protocol": "TLS"}]
    spec = {"hosts": ["pay.example.org"], "location": "MESH_EXTERNAL", "resolution": "DNS", "ports": ports}
    return [
        obj("Namespace", "outside", ""),
        pod("client-1", "outside", meshed=False),
        istio("ServiceEntry", "pay", spec),
    ]


def diagnose(cluster: Any, lines: list[str] | None = None, **symptom: Any) -> Obj:
    """The result of the module for a symptom."""
    given = {"catalogue": CATALOGUE, "kubeconfig": KUBECONFIG, **symptom}
    checked = validated(backend.ARGUMENT_SPEC, given)
    progress = (lines if lines is not None else []).append
    clock = FakeClock()
    clock.time = NOW.timestamp()
    context = Context(progress=progress, connect=reaching(cluster), clock=clock)
    return backend.run(checked, context)
