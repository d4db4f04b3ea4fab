# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations that break nothing: whoever has them is not accused, whatever is asked."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from typing import Any

import pytest

from .healthy_mesh import API, HOST, Healthy, Obj, diagnose, istio, network_policy, obj, pod
from .planted import AT_GATEWAY, CALL, NOTHING, OUTSIDE

Plant = Callable[[Healthy], Any]
ANOTHER_REVISION = {"istio.io/rev": "gone"}
CREDENTIAL = {"credentialName": "api-cert"}


def put(*objects: Obj) -> Plant:
    def plant(cluster: Healthy) -> None:
        for one in objects:
            cluster.put(copy.deepcopy(one))

    return plant


def changed(kind: str, name: str, **spec: Any) -> Plant:
    return lambda cluster: cluster.edit(kind, name)["spec"].update(copy.deepcopy(spec))


def server(mode: str, port: int = 443, protocol: str = "HTTPS", hosts: Any = (HOST,), **tls: Any) -> Obj:
    given = {"mode": mode, **tls} if mode else tls
    return {
        "port": {"number": port, "name": f"p{port}", "protocol": protocol},
        "hosts": list(hosts),
        **({"tls": given} if given else {}),
    }


def serving(*servers: Obj) -> Plant:
    return changed("Gateway", "public", servers=list(servers))


def first_route(**fields: Any) -> Plant:
    return lambda cluster: cluster.edit("VirtualService", "api")["spec"]["http"][0].update(fields)


def split(*weights: tuple[str, int]) -> Plant:
    targets = [{"destination": {"host": "api", "subset": name}, "weight": weight} for name, weight in weights]
    return changed("VirtualService", "api", http=[{"route": targets}])


def sidecar(name: str, *hosts: str, app: str = "") -> Plant:
    chosen = {"workloadSelector": {"labels": {"app": app}}} if app else {}
    return put(istio("Sidecar", name, {"egress": [{"hosts": list(hosts)}], **chosen}))


def policy(**spec: Any) -> Plant:
    return put(istio("AuthorizationPolicy", "further", spec))


def named_target(cluster: Healthy) -> None:
    cluster.edit("Service", "api")["spec"]["ports"][0]["targetPort"] = "http"
    for name in ("api-1", "api-2"):
        ports = [{"name": "http", "containerPort": 3000}]
        cluster.edit("Pod", name)["spec"]["containers"][0]["ports"] = ports


def left_out(cluster: Healthy) -> None:
    labels = {"istio-injection": "disabled", "istio.io/rev": "default"}
    cluster.edit("Namespace", "outside", "")["metadata"]["labels"] = labels


def clients_may_show_one(cluster: Healthy) -> None:
    serving(server("OPTIONAL_MUTUAL", **CREDENTIAL))(cluster)
    authority = base64.b64encode(b"ca").decode()
    cluster.edit("Secret", "api-cert", "istio-system")["data"]["ca.crt"] = authority


def finished_job(cluster: Healthy) -> None:
    job = pod("job-1", app="job", meshed=False, ready=False)
    cluster.put({**job, "status": {"phase": "Succeeded"}})


HARMLESS: dict[str, Plant] = {
    "a policy that no istiod reads": put(
        istio("AuthorizationPolicy", "further", {"action": "DENY", "rules": [{}]}, labels=ANOTHER_REVISION)
    ),
    "a namespace that is left out": left_out,
    # gateways
    "clients may show a certificate": clients_may_show_one,
    "a credential of what passes through": serving(
        server("SIMPLE", **CREDENTIAL),
        server("PASSTHROUGH", protocol="TLS", hosts=["other.example.com"], credentialName="gone"),
    ),
    "a list of credentials": serving(server("SIMPLE", credentialNames=["api-cert"])),
    "certificates as files": serving(server("SIMPLE", serverCertificate="/etc/c", privateKey="/etc/k")),
    "HTTP beside HTTPS": serving(server("SIMPLE", **CREDENTIAL), server("", 80, "HTTP")),
    "a redirect beside HTTPS": serving(
        server("SIMPLE", **CREDENTIAL), server("", 80, "HTTP", httpsRedirect=True)
    ),
    "every host": serving(server("SIMPLE", hosts=["*"], **CREDENTIAL)),
    "a wildcard that takes the host": serving(server("SIMPLE", hosts=["*.example.com"], **CREDENTIAL)),
    "another host that is passed through": serving(
        server("SIMPLE", **CREDENTIAL), server("PASSTHROUGH", protocol="TLS", hosts=["other.example.com"])
    ),
    "a selector of two labels": changed(
        "Gateway", "public", selector={"istio": "ingressgateway", "app": "istio-ingressgateway"}
    ),
    "a Gateway of all gateways": changed("Gateway", "public", selector={}),
    "a gateway by its namespace": changed("VirtualService", "public", gateways=["shop/public"]),
    "a gateway of its own namespace": changed("VirtualService", "public", gateways=["./public"]),
    "a gateway by its old name": changed("VirtualService", "public", gateways=["public.shop.svc"]),
    "a gateway and the sidecars": changed("VirtualService", "public", gateways=["public", "mesh"]),
    # routes and rules
    "routes for the own namespace": changed("VirtualService", "api", exportTo=["."]),
    "routes of the whole name": changed("VirtualService", "api", hosts=[API]),
    "a rule of the whole name": changed("DestinationRule", "api", host=API),
    "mutual TLS that is said": changed(
        "DestinationRule", "api", trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}
    ),
    "a further rule of another namespace": put(
        istio("DestinationRule", "api", {"host": API, "subsets": [{"name": "v1"}, {"name": "v2"}]}, "outside")
    ),
    "a long time limit": first_route(timeout="10s"),
    "a fault of no request": first_route(fault={"abort": {"httpStatus": 500, "percentage": {"value": 0}}}),
    "a delay of no request": first_route(fault={"delay": {"fixedDelay": "9s", "percentage": {"value": 0}}}),
    "a mirror": first_route(mirror={"host": "api", "subset": "v2"}),
    "two halves": split(("v1", 50), ("v2", 50)),
    "a version without weight": split(("v1", 100), ("v2", 0)),
    # who sees what
    "a Sidecar of the own namespace": sidecar("default", "./*", "istio-system/*"),
    "a Sidecar of everything": sidecar("default", "*/*"),
    "a Sidecar of other pods": sidecar("other", "~/*", app="other"),
    # security
    "STRICT": put(istio("PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}})),
    "PERMISSIVE": put(istio("PeerAuthentication", "default", {"mtls": {"mode": "PERMISSIVE"}})),
    "everybody is let in": policy(rules=[{}]),
    "a refusal of other pods": policy(
        action="DENY", selector={"matchLabels": {"app": "other"}}, rules=[{}]
    ),
    "an audit": policy(action="AUDIT", rules=[{}]),
    "tokens that nobody demands": put(
        istio("RequestAuthentication", "x", {"jwtRules": [{"issuer": "a", "jwksUri": "https://x"}]})
    ),
    "a network policy that lets everybody in": put(network_policy("a", {"app": "api"}, ingress=[{}])),
    "a network policy that lets everything out": put(network_policy("a", {"app": "web"}, egress=[{}])),
    "a network policy of other pods": put(network_policy("a", {"app": "other"}, ingress=[])),
    # Services, pods, hosts outside
    "a protocol that is said": lambda cluster: cluster.edit("Service", "api")["spec"]["ports"][0].update(
        appProtocol="http", name="web"
    ),
    "a Service without an address": changed("Service", "api", clusterIP="None"),
    "a port by its name": named_target,
    "a job that has ended": finished_job,
    "a host outside beside it": put(
        istio(
            "ServiceEntry",
            "x",
            {
                "hosts": ["other.example.org"],
                "location": "MESH_EXTERNAL",
                "resolution": "DNS",
                "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
            },
        )
    ),
    "a host that the caller resolves": changed("ServiceEntry", "pay", resolution="NONE"),
    "an empty EnvoyFilter": put(istio("EnvoyFilter", "x", {"configPatches": []})),
    "access logs": put(istio("Telemetry", "x", {"accessLogging": [{"providers": [{"name": "envoy"}]}]})),
    "an autoscaler": put(obj("HorizontalPodAutoscaler", "api", version="autoscaling/v2", spec={})),
}  # fmt: skip


@pytest.mark.parametrize("symptom", [NOTHING, CALL, AT_GATEWAY, OUTSIDE], ids=str)
@pytest.mark.parametrize("name", HARMLESS)
def test_what_breaks_nothing_is_no_cause(name: str, symptom: dict[str, str]) -> None:
    cluster = Healthy()
    HARMLESS[name](cluster)
    result = diagnose(cluster, **symptom)
    assert (result["causes"], result["unknown"], result["status"]) == ([], [], "pass")
