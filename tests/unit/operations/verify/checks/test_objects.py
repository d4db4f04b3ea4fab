"""Check ``objects``: what others have on the cluster, told as nothing, as an inventory, or as a door."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import Stream
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.routes import (
    ProxyRoute,
    VirtualHost,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import running_proxies
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.findings import (
    Difference,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.objects import (
    check_objects,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.dumps import (
    ProxyDump,
    ProxyDumps,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.findings import Finding
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.picture import Picture
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.surroundings import (
    Surroundings,
)

from ..builders import GATEWAY, catalogue, item, live, pod, service

Obj = dict[str, Any]
FQDN = "{}.shop.svc.cluster.local"
DUMP = ProxyDump({}, (), frozenset(), ())
OUR_ROOT = "shop/gateway.public.api.example.com"


def shop(*gateways: Obj) -> Catalogue:
    return catalogue(
        service("web", exposed=[{"gateway": "public", "host": "api.example.com", "path": "/"}]),
        service("pay", callers=[{"service": "web"}]),
        mesh_gateways=[GATEWAY, *gateways],
        mesh_outbound="REGISTRY_ONLY",
        mesh_external_services=[
            {
                "name": "bank",
                "hosts": ["bank.example.com"],
                "ports": [{"number": 443, "protocol": "TLS"}],
                "callers": ["pay"],
            }
        ],
    )


def pods(mesh: Catalogue) -> list[Obj]:
    found = [
        pod(
            f"{one.name}-1",
            {**one.labels, "version": "v1"},
            spec={"serviceAccountName": one.service_account},
            metadata={"ownerReferences": [{"controller": True, "kind": "ReplicaSet", "name": one.name}]},
        )
        for one in mesh.services
    ]
    for number, one in enumerate(found):
        one["status"]["podIP"] = f"10.0.0.{number + 1}"
    gateway = pod("gateway-1", {"istio": "ingressgateway"}, metadata={"namespace": "istio-system"})
    gateway["metadata"]["labels"] = {"istio": "ingressgateway"}
    gateway["spec"]["containers"][1]["args"] = ["proxy", "router"]
    return [*found, gateway]


def look(
    *foreign: Obj,
    without: str = "",
    dumps: dict[str, ProxyDump] | None = None,
    accepted: dict[str, str] | None = None,
    around: list[Obj] | None = None,
    more_pods: tuple[Obj, ...] = (),
    change: Any = None,
    unread: dict[str, str] | None = None,
    slices: tuple[Obj, ...] = (),
    settings: tuple[Difference, ...] = (),
    change_services: Any = None,
    gateways: tuple[Obj, ...] = (),
) -> list[Finding]:
    """The findings of a mesh with ``foreign`` objects beside the catalogue's."""
    mesh = shop(*gateways)
    own = [one for one in render(mesh) if one["metadata"]["name"] != without]
    if change:
        change(own)
    services = [
        item(
            "Service",
            one.name,
            {
                "selector": dict(one.labels),
                "ports": [{"port": 80, "targetPort": 3000}],
                "clusterIP": f"10.96.0.{number}",
            },
        )
        for number, one in enumerate(mesh.services, start=1)
    ]
    if change_services:
        change_services({one["metadata"]["name"]: one for one in services})
    everything = [*own, *foreign]
    seen = live(*everything, *services, *pods(mesh), *more_pods)
    by_kind: dict[str, list[Obj]] = {}
    for one in everything:
        by_kind.setdefault(one["kind"], []).append(one)
    surroundings = Surroundings(
        by_kind, unread or {}, pods=around or [], slices=list(slices), settings=settings
    )
    proxies = running_proxies(seen.of("Pod"))
    held = {str(proxy): DUMP for proxy in proxies} | (dumps or {})
    picture = Picture(mesh, seen, ["shop"])
    return check_objects(picture, surroundings, proxies, ProxyDumps(held, {}), accepted or {})


def told(findings: list[Finding]) -> dict[str, str]:
    """Verdict and message by subject, of what is no pass."""
    return {one.subject: f"{one.verdict}: {one.message}" for one in findings if one.verdict != "pass"}


def test_the_catalogue_alone_passes() -> None:
    findings = look()
    assert told(findings) == {}
    assert [one.subject for one in findings] == ["the catalogue's own", "what callers know"]
    assert findings[0].message == "11 are as the catalogue computes them"


def virtual_service(name: str, namespace: str, hosts: list[str], to: str, **spec: Any) -> Obj:
    route = [{"route": [{"destination": {"host": to}}]}]
    return item("VirtualService", name, {"hosts": hosts, "http": route, **spec}, namespace)


def gateway(name: str, namespace: str, *hosts: str, port: int = 80, selector: Any = None) -> Obj:
    servers = [{"port": {"number": port, "protocol": "HTTP"}, "hosts": list(hosts)}]
    return item(
        "Gateway",
        name,
        {"selector": {"istio": "ingressgateway"} if selector is None else selector, "servers": servers},
        namespace,
    )


MUTUAL = {"tls": {"mode": "ISTIO_MUTUAL"}}
EVIL = gateway("evil", "other", "evil.example.com")
PAY, WEB = FQDN.format("pay"), FQDN.format("web")

DOORS: dict[str, tuple[list[Obj], str, str]] = {
    "a foreign route at the gateway to a service": (
        [EVIL, virtual_service("door", "other", ["evil.example.com"], PAY, gateways=["evil"])],
        "VirtualService other/door",
        "fail: leads from evil.example.com at gateway public to shop/pay, past the catalogue",
    ),
    **{
        f"the same by {name}": (
            [EVIL, virtual_service("door", "other", ["evil.example.com"], PAY, gateways=[name])],
            "VirtualService other/door",
            "fail: leads from evil.example.com at gateway public to shop/pay, past the catalogue",
        )
        for name in ("./evil", "evil.other", "evil.other.svc.cluster.local")
    },
    "the same by a mirror": (
        [
            EVIL,
            item(
                "VirtualService",
                "door",
                {
                    "hosts": ["*"],
                    "gateways": ["other/evil"],
                    "http": [{"route": [{"destination": {"host": "x"}}], "mirror": {"host": PAY}}],
                },
                "other",
            ),
        ],
        "VirtualService other/door",
        "fail: leads from evil.example.com at gateway public to shop/pay, past the catalogue",
    ),
    "the same by a delegate": (
        [
            EVIL,
            item(
                "VirtualService",
                "door",
                {
                    "hosts": ["evil.example.com"],
                    "gateways": ["evil"],
                    "http": [{"delegate": {"name": "pay-routes", "namespace": "shop"}}],
                },
                "other",
            ),
        ],
        "VirtualService other/door",
        "fail: leads from evil.example.com at gateway public to shop/pay, past the catalogue",
    ),
    "the same by bytes": (
        [
            EVIL,
            item(
                "VirtualService",
                "door",
                {
                    "hosts": ["evil.example.com"],
                    "gateways": ["evil"],
                    "tcp": [{"route": [{"destination": {"host": PAY}}]}],
                },
                "other",
            ),
        ],
        "VirtualService other/door",
        "fail: leads from evil.example.com at gateway public to shop/pay, past the catalogue",
    ),
    "a route of our namespace for our host": (
        [virtual_service("steal", "shop", ["api.example.com"], "x.other", gateways=["public"])],
        "VirtualService shop/steal",
        "fail: takes requests for api.example.com at gateway public",
    ),
    "a foreign Gateway for our host": (
        [gateway("twin", "other", "api.example.com", port=8080)],
        "Gateway other/twin",
        "fail: serves api.example.com:8080 at gateway public: a host of the catalogue",
    ),
    "a Gateway without a selector for our host": (
        [gateway("twin", "other", "*/api.example.com", selector={})],
        "Gateway other/twin",
        "fail: serves api.example.com:80 at gateway public: a host of the catalogue",
    ),
    "routes of the mesh that callers follow": (
        [virtual_service("detour", "shop", ["pay"], "x.other.svc.cluster.local")],
        "VirtualService shop/detour",
        "fail: has routes for calls to shop/pay, which shop/web may follow",
    ),
    "routes of the mesh in the control plane's namespace, which everybody knows": (
        [virtual_service("detour", "istio-system", [PAY], "x.other.svc.cluster.local")],
        "VirtualService istio-system/detour",
        "fail: has routes for calls to shop/pay, which shop/web, shop/pay may follow",
    ),
    "routes for the end of a service's name": (
        [
            virtual_service(
                "detour", "istio-system", ["*ay.shop.svc.cluster.local"], "x.other.svc.cluster.local"
            )
        ],
        "VirtualService istio-system/detour",
        "fail: has routes for calls to shop/pay, which shop/web, shop/pay may follow",
    ),
    "routes for a shorter name of a service": (
        [virtual_service("detour", "istio-system", ["pay.shop"], "x.other.svc.cluster.local")],
        "VirtualService istio-system/detour",
        "fail: has routes for calls to shop/pay, which shop/web, shop/pay may follow",
    ),
    "routes for one pod of a service": (
        [virtual_service("detour", "istio-system", [f"pay-0.{PAY}"], "x.other.svc.cluster.local")],
        "VirtualService istio-system/detour",
        "fail: has routes for calls to shop/pay, which shop/web, shop/pay may follow",
    ),
    "a route of the Gateway API for a Service": (
        [item("HTTPRoute", "detour", {"parentRefs": [{"kind": "Service", "name": "pay"}]})],
        "HTTPRoute shop/detour",
        "fail: has routes for calls to shop/pay",
    ),
    "a TCPRoute of the Gateway API for a Service": (
        [item("TCPRoute", "detour", {"parentRefs": [{"kind": "Service", "name": "pay"}]})],
        "TCPRoute shop/detour",
        "cannot tell: has routes for calls to shop/pay; whether istiod reads it, nobody here can tell",
    ),
    "a TLSRoute of the Gateway API for a Service": (
        [
            item(
                "TLSRoute",
                "detour",
                {"parentRefs": [{"kind": "Service", "name": "pay", "namespace": "shop"}]},
                "other",
            )
        ],
        "TLSRoute other/detour",
        "cannot tell: has routes for calls to shop/pay; whether istiod reads it, nobody here can tell",
    ),
    "a BackendTLSPolicy for a Service": (
        [item("BackendTLSPolicy", "tls", {"targetRefs": [{"group": "", "kind": "Service", "name": "pay"}]})],
        "BackendTLSPolicy shop/tls",
        "cannot tell: says that calls to shop/pay use TLS of another kind; what comes of that, nobody here"
        " can tell",
    ),
    "a DestinationRule that changes calls": (
        [item("DestinationRule", "hole", {"host": "pay", "trafficPolicy": {"loadBalancer": {}}})],
        "DestinationRule shop/hole",
        "cannot tell: changes the calls shop/web -> shop/pay; of that only their encryption is judged, by"
        " mtls",
    ),
    "a DestinationRule for an external host": (
        [
            item(
                "DestinationRule",
                "hole",
                {"host": "bank.example.com", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}},
            )
        ],
        "DestinationRule shop/hole",
        "cannot tell: changes the calls shop/pay -> bank.example.com; nobody here judges that",
    ),
    "an Ingress of the mesh's gateway": (
        [
            item(
                "Ingress",
                "door",
                {
                    "ingressClassName": "istio",
                    "rules": [
                        {
                            "host": "x.example.com",
                            "http": {"paths": [{"backend": {"service": {"name": "pay"}}}]},
                        }
                    ],
                },
            )
        ],
        "Ingress shop/door",
        "fail: leads from x.example.com (class istio) to shop/pay, past the catalogue",
    ),
    "an Ingress by annotation with nothing but a default": (
        [
            item(
                "Ingress",
                "door",
                {"defaultBackend": {"service": {"name": "pay"}}},
                annotations={"kubernetes.io/ingress.class": "istio"},
            )
        ],
        "Ingress shop/door",
        "fail: leads from * (class istio) to shop/pay, past the catalogue",
    ),
    "a Sidecar that keeps the mode": (
        [
            item(
                "Sidecar",
                "a",
                {
                    "workloadSelector": {"labels": {"app": "pay"}},
                    "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
                },
            )
        ],
        "Sidecar shop/a",
        "fail: decides for shop/pay instead of the catalogue's Sidecar",
    ),
    "a Sidecar that lets a workload call anybody": (
        [
            item(
                "Sidecar",
                "a",
                {
                    "workloadSelector": {"labels": {"app": "pay"}},
                    "outboundTrafficPolicy": {"mode": "ALLOW_ANY"},
                    "ingress": [{}],
                },
            )
        ],
        "Sidecar shop/a",
        "fail: decides for shop/pay instead of the catalogue's Sidecar: it lets them call any host"
        " (ALLOW_ANY),"
        " and redefines what they listen on",
    ),
    "a ServiceEntry that says where a service is": (
        [item("ServiceEntry", "twin", {"hosts": [PAY], "endpoints": [{"address": "192.0.2.9"}]})],
        "ServiceEntry shop/twin",
        "fail: says where shop/pay is, too, and shop/web may follow",
    ),
    "a ServiceEntry by a shorter name of a service": (
        [item("ServiceEntry", "twin", {"hosts": ["pay.shop.svc"]}, "istio-system")],
        "ServiceEntry istio-system/twin",
        "fail: says where shop/pay is, too, and shop/web, shop/pay may follow",
    ),
    "a ServiceEntry of the control plane's namespace to somewhere else": (
        [item("ServiceEntry", "out", {"hosts": ["evil.example.com"]}, "istio-system")],
        "ServiceEntry istio-system/out",
        "fail: opens the way to evil.example.com for shop/web, shop/pay, which the catalogue does not"
        " declare",
    ),
    "a WorkloadEntry among the pods": (
        [item("WorkloadEntry", "vm", {"address": "192.0.2.9", "labels": {"app": "pay"}})],
        "WorkloadEntry shop/vm",
        "fail: gets calls for shop/pay at 192.0.2.9, in plaintext: it is not labelled"
        " security.istio.io/tlsMode:"
        " istio",
    ),
    "a WorkloadEntry with a proxy": (
        [
            item(
                "WorkloadEntry",
                "vm",
                {"address": "192.0.2.9", "labels": {"app": "pay", "security.istio.io/tlsMode": "istio"}},
            )
        ],
        "WorkloadEntry shop/vm",
        "cannot tell: gets calls for shop/pay at 192.0.2.9, and nobody can look at a proxy there",
    ),
    "a WorkloadEntry whose own labels count": (
        [
            item(
                "WorkloadEntry",
                "vm",
                {"address": "192.0.2.9", "serviceAccount": "pay", "labels": {"app": "else"}},
                labels={"app": "pay"},
            )
        ],
        "WorkloadEntry shop/vm",
        "cannot tell: gets calls for shop/pay at 192.0.2.9, and nobody can look at a proxy there",
    ),
    "tokens that somebody asks for": (
        [
            item(
                "RequestAuthentication",
                "jwt",
                {
                    "selector": {"matchLabels": {"app": "pay"}},
                    "jwtRules": [{"issuer": "https://id.example.com"}],
                },
            )
        ],
        "RequestAuthentication shop/jwt",
        "cannot tell: judges the tokens of requests to shop/pay (issuers: https://id.example.com); which"
        " tokens callers send, nobody here can tell",
    ),
    "metrics that somebody takes away": (
        [item("Telemetry", "quiet", {"metrics": [{"overrides": [{"disabled": True}]}]}, "istio-system")],
        "Telemetry istio-system/quiet",
        "cannot tell: changes the metrics of shop/web, shop/pay, gateway public, which gates and the strict"
        " guard read",
    ),
    "an EnvoyFilter for every proxy": (
        [item("EnvoyFilter", "lua", {"configPatches": []}, "istio-system")],
        "EnvoyFilter istio-system/lua",
        "cannot tell: changes the proxies of shop/web, shop/pay, gateway public; what it makes of requests,"
        " nobody here can tell",
    ),
    "an EnvoyFilter for one workload": (
        [item("EnvoyFilter", "lua", {"workloadSelector": {"labels": {"app": "pay"}}})],
        "EnvoyFilter shop/lua",
        "cannot tell: changes the proxies of shop/pay; what it makes of requests, nobody here can tell",
    ),
    "a WasmPlugin at the gateway": (
        [
            item(
                "WasmPlugin",
                "wasm",
                {"selector": {"matchLabels": {"istio": "ingressgateway"}}},
                "istio-system",
            )
        ],
        "WasmPlugin istio-system/wasm",
        "cannot tell: changes the proxies of gateway public; what it makes of requests, nobody here can tell",
    ),
    "a ProxyConfig with variables": (
        [item("ProxyConfig", "env", {"environmentVariables": {"A": "b"}})],
        "ProxyConfig shop/env",
        "cannot tell: changes the proxies of shop/web, shop/pay; what it makes of requests, nobody here"
        " can tell",
    ),
}


@pytest.mark.parametrize("name", DOORS)
def test_what_acts_on_the_catalogue_is_told_with_its_name(name: str) -> None:
    objects, subject, message = DOORS[name]
    found = told(look(*objects))
    assert found.pop(subject) == message
    assert all(line.startswith("beside") for line in found.values()), found


NEIGHBOURS: dict[str, tuple[list[Obj], dict[str, str]]] = {
    "another team's host at the same gateway": (
        [EVIL, virtual_service("own", "other", ["evil.example.com"], "x", gateways=["evil"])],
        {
            "Gateway other/evil": "serves evil.example.com:80 at the pods of gateway public",
            "VirtualService other/own": "leads from evil.example.com at gateway public to"
            " x.other.svc.cluster.local",
        },
    ),
    "a Gateway for every other host": (
        [gateway("rest", "other", "*")],
        {"Gateway other/rest": "serves *:80 at the pods of gateway public"},
    ),
    "a Gateway of other pods": (
        [gateway("own", "other", "api.example.com", selector={"istio": "other"})],
        {},
    ),
    "routes bound to our Gateway from a namespace that it does not take": (
        [virtual_service("try", "other", ["api.example.com"], PAY, gateways=["shop/public"])],
        {},
    ),
    "routes of the mesh that no caller knows": (
        [virtual_service("own", "other", [PAY], "x")],
        {"VirtualService other/own": "has routes for calls to shop/pay, which no proxy of ours is told"},
    ),
    "routes of others for others": ([virtual_service("own", "other", ["x"], "x")], {}),
    "routes that are exported to nobody": (
        [virtual_service("own", "istio-system", [PAY], "x", exportTo=["."])],
        {
            "VirtualService istio-system/own": "has routes for calls to shop/pay, which no proxy of ours"
            " is told"
        },
    ),
    "the DestinationRule of a mesh, which every service's own hides": (
        [item("DestinationRule", "all", {"host": "*.local", "trafficPolicy": {}}, "istio-system")],
        {},
    ),
    "a DestinationRule that asks for mutual TLS": (
        [item("DestinationRule", "all", {"host": "web", "trafficPolicy": MUTUAL})],
        {
            "DestinationRule shop/all": "asks for mutual TLS from gateway public -> shop/web,"
            " which they use anyway",
        },
    ),
    "a Sidecar that is too young to decide": (
        [
            item(
                "Sidecar",
                "young",
                {"workloadSelector": {"labels": {"app": "pay"}}},
                creationTimestamp="2026-01-01T00:00:00Z",
            )
        ],
        {"Sidecar shop/young": "selects shop/pay, for which an older Sidecar decides"},
    ),
    "an Ingress of another class": (
        [
            item(
                "Ingress",
                "door",
                {"ingressClassName": "nginx", "defaultBackend": {"service": {"name": "pay"}}},
            )
        ],
        {
            "Ingress shop/door": "leads from * (class nginx) to shop/pay, whose proxies judge what its"
            " controller sends",
        },
    ),
    "an Ingress to somebody else": (
        [item("Ingress", "own", {"defaultBackend": {"service": {"name": "pay"}}}, "other")],
        {},
    ),
    "a ServiceEntry of others": ([item("ServiceEntry", "out", {"hosts": ["x.example.com"]}, "other")], {}),
    "a ServiceEntry of others with our host": (
        [item("ServiceEntry", "out", {"hosts": ["bank.example.com"]}, "other")],
        {
            "ServiceEntry other/out": "names a host of external service bank, which no proxy of ours is told",
        },
    ),
    "a WorkloadEntry of others": ([item("WorkloadEntry", "vm", {"labels": {"app": "pay"}}, "other")], {}),
    "an EnvoyFilter of others": ([item("EnvoyFilter", "lua", {}, "other")], {}),
    "an EnvoyFilter for a gateway of the Gateway API": (
        [
            item(
                "EnvoyFilter",
                "lua",
                {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "x"}]},
            )
        ],
        {},
    ),
    "a ProxyConfig about threads": (
        [item("ProxyConfig", "threads", {"concurrency": 2})],
        {"ProxyConfig shop/threads": "sets the concurrency of shop/web, shop/pay"},
    ),
    "a Gateway API route to a service": (
        [
            item(
                "HTTPRoute",
                "way",
                {
                    "parentRefs": [{"name": "edge"}],
                    "rules": [{"backendRefs": [{"name": "pay", "namespace": "shop"}]}],
                },
                "other",
            )
        ],
        {
            "HTTPRoute other/way": "leads from Gateway edge to shop/pay, whose policies judge that gateway",
        },
    ),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_what_touches_nothing_is_an_inventory_or_nothing(name: str) -> None:
    objects, expected = NEIGHBOURS[name]
    lines = {subject: f"beside the catalogue: {message}" for subject, message in expected.items()}
    assert told(look(*objects)) == lines


def test_references_of_the_gateway_api_stand_for_entries_and_names_too() -> None:
    entry = item("ServiceEntry", "entry", {"hosts": ["bank.example.com"], "exportTo": ["."]}, "other")
    parent = {"group": "networking.istio.io", "kind": "ServiceEntry", "name": "entry"}
    backend = {"group": "networking.istio.io", "kind": "Hostname", "name": PAY}
    found = told(
        look(
            entry,
            item("HTTPRoute", "detour", {"parentRefs": [parent]}, "other"),
            item("HTTPRoute", "way", {"rules": [{"backendRefs": [backend]}]}, "other"),
            item("BackendTLSPolicy", "tls", {"targetRefs": [parent]}, "other"),
            item("ServiceEntry", "aside", {"hosts": ["x.example.org"]}, "other"),
            item("HTTPRoute", "aside", {"parentRefs": [{**parent, "name": "aside"}]}, "other"),
        )
    )
    assert "HTTPRoute other/aside" not in found
    assert found["HTTPRoute other/detour"] == "fail: has routes for calls to external service bank"
    assert found["HTTPRoute other/way"].startswith("beside the catalogue: leads from Gateway  to shop/pay")
    assert found["BackendTLSPolicy other/tls"].startswith("cannot tell: says that calls to external service")


def test_each_gateway_has_its_own_hosts() -> None:
    servers = [{"host": "inner.example.com", "certificate": "inner"}]
    inner = {**GATEWAY, "name": "inner", "selector": {"istio": "inner"}, "servers": servers}
    assert told(look(gateway("own", "other", "inner.example.com"), gateways=(inner,))) == {
        "Gateway other/own": "beside the catalogue: serves inner.example.com:80 at the pods of gateway public"
    }


def test_what_is_known_is_accepted_with_its_reason() -> None:
    objects = DOORS["an EnvoyFilter for every proxy"][0]
    found = told(look(*objects, accepted={"EnvoyFilter istio-system/*": "tracing"}))
    (line,) = found.values()
    assert line.startswith("stated opening: changes the proxies of shop/web")
    assert line.endswith("(accepted: tracing)")
    assert told(look(*objects, accepted={"EnvoyFilter other/*": "x"})) == told(look(*objects))


def test_an_own_object_that_is_gone_is_told() -> None:
    findings = look(without="public")
    assert told(findings) == {"Gateway shop/public": "fail: is missing"}
    assert "the catalogue's own" not in {one.subject for one in findings}, (
        "the others pass with it or not at all"
    )


def _edit(kind: str, name: str, change: Any) -> Any:
    def apply(own: list[Obj]) -> None:
        for one in own:
            if (one["kind"], one["metadata"]["name"]) == (kind, name):
                change(one["spec"])

    return apply


EDITS: dict[str, tuple[str, str, Any, str]] = {
    "the Gateway's TLS": (
        "Gateway",
        "public",
        lambda spec: spec["servers"][0]["tls"].update(minProtocolVersion="TLSV1_0"),
        "spec.servers[0].tls.minProtocolVersion differs",
    ),
    "the Sidecar": (
        "Sidecar",
        "pay",
        lambda spec: spec["outboundTrafficPolicy"].update(mode="ALLOW_ANY"),
        "spec.outboundTrafficPolicy.mode differs",
    ),
    "an external host more": (
        "ServiceEntry",
        "bank",
        lambda spec: spec["hosts"].append("evil.example.com"),
        "spec.hosts differs",
    ),
    "another target of the split": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"][0]["route"].append({"destination": {"host": "x.other"}, "weight": 5}),
        "split leads to x.other",
    ),
    "a mirror to somebody else": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"][0].update(mirror={"host": "x.other"}),
        "split leads to x.other",
    ),
    "one of several mirrors": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"][0].update(mirrors=[{"destination": {"host": "x.other"}}]),
        "split leads to x.other",
    ),
    "headers of a route": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"][0].update(headers={"request": {"set": {"x-user": "root"}}}),
        "headers of spec.http split differs",
    ),
    "headers of a destination": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"][0]["route"][0].update(headers={"request": {"remove": ["authorization"]}}),
        "split changes headers",
    ),
    "headers beside a rollout's cookie": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"][0]["route"][0].update(
            headers={"response": {"add": {"set-cookie": "v=1", "x-user": "root"}}}
        ),
        "split changes headers",
    ),
    "a route more that changes headers": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"].insert(
            0, {"name": "x", "route": [{"destination": {"host": PAY}}], "headers": {"request": {}}}
        ),
        "it has a route x",
    ),
    "a timeout": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"][0].update(timeout="99s"),
        "timeout of spec.http split differs",
    ),
    "a fault": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"].insert(0, {"name": "x", "fault": {"abort": {}}}),
        "it has a route x",
    ),
    "a route of a root": (
        "VirtualService",
        "gateway.public.api.example.com",
        lambda spec: spec["http"].insert(
            0, {"name": "back", "delegate": {"name": "pay-routes", "namespace": "shop"}}
        ),
        "it has a route back",
    ),
    "a route that is gone": (
        "VirtualService",
        "pay-routes",
        lambda spec: spec["http"].pop(0),
        "spec.http split is missing",
    ),
    "the hosts of a root": (
        "VirtualService",
        "pay",
        lambda spec: spec["hosts"].append("x"),
        "spec.hosts differs",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_own_object_that_was_edited_is_told(name: str) -> None:
    kind, named, change, what = EDITS[name]
    found = told(look(change=_edit(kind, named, change)))
    message = found[f"{kind} shop/{named}"]
    assert message == f"fail: is not as the catalogue computes it: {what}"


def test_a_rollout_may_move_weights() -> None:
    def split(spec: Obj) -> None:
        for route in spec["http"]:
            (only,) = route["route"]
            route["route"] = [
                {**only, "weight": 90, "headers": {"response": {"add": {"set-cookie": "v=1"}}}},
                {"destination": {"host": PAY, "subset": "v2"}, "weight": 10},
            ]
            route["mirror"] = {"host": PAY, "subset": "v2"}

    assert told(look(change=_edit("VirtualService", "pay-routes", split))) == {}


def foreign_pod(name: str, namespace: str, **more: Any) -> Obj:
    made = pod(name, {"app": "x"}, **more)
    made["metadata"]["namespace"] = namespace
    made["spec"]["containers"][0]["ports"] = [{"containerPort": 8080}, {"containerPort": 9090}]
    return made


def test_other_namespaces_are_an_inventory() -> None:
    found = told(look(around=[foreign_pod("a", "other"), foreign_pod("b", "other", proxy=None)]))
    assert found == {
        "Namespace other": "beside the catalogue: 2 pods in the mesh and not in the catalogue, 1 that let"
        " everybody in, 1 that take plaintext, 1 without a sidecar"
    }


def test_a_mesh_that_claims_mutual_tls_everywhere_has_it_everywhere() -> None:
    strict = item("PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}}, "istio-system")
    loose = item("PeerAuthentication", "loose", {"mtls": {"mode": "PERMISSIVE"}}, "other")
    around = [foreign_pod("a", "other"), foreign_pod("b", "third")]
    found = told(look(strict, loose, around=around))
    assert found["PeerAuthentication other/loose"] == (
        "fail: takes mutual TLS, which the mesh claims for every namespace, from other/a"
    )
    assert "third" not in " ".join(key for key, line in found.items() if line.startswith("fail"))


def test_a_borrowed_account_is_told_but_for_jobs() -> None:
    thief = pod("tool", {"app": "tool"}, spec={"serviceAccountName": "web"})
    job = pod(
        "job",
        {"app": "job"},
        spec={"serviceAccountName": "web"},
        metadata={"ownerReferences": [{"controller": True, "kind": "Job", "name": "x"}]},
    )
    found = told(look(more_pods=(thief, job)))
    assert found == {
        "Pod shop/tool": "fail: runs as shop/web and so may call shop/pay, and is no workload of the"
        " catalogue",
        "Pod shop/job": "beside the catalogue: runs as shop/web and so may call shop/pay, as a Job that is"
        " not in"
        " the catalogue",
    }


def test_calls_past_the_proxy_are_told() -> None:
    around = pod(
        "pay-2",
        {"app": "pay", "version": "v1"},
        spec={"serviceAccountName": "pay"},
        metadata={"annotations": {"traffic.sidecar.istio.io/excludeOutboundPorts": "443,5432"}},
    )
    assert told(look(more_pods=(around,))) == {
        "Pod shop/pay-2": "fail: calls port 443, port 5432 past its proxy (traffic.sidecar.istio.io), so"
        " nothing is refused there"
    }


@pytest.mark.parametrize(
    ("addresses", "place", "taken"),
    [
        (["10.96.0.1"], "istio-system", "shop/web"),
        (["192.0.2.1", "10.96.0.2"], "istio-system", "shop/pay"),
        (["10.96.0.0/16"], "istio-system", "shop/web, shop/pay"),
        (["10.97.0.0/16", "fd00::/8", "nonsense"], "istio-system", ""),
        (["10.96.0.1"], "other", ""),  # nobody of ours is told of it
        ([], "istio-system", ""),
    ],
)
def test_a_service_entry_with_the_address_of_a_service(addresses: list[str], place: str, taken: str) -> None:
    entry = item("ServiceEntry", "vip", {"hosts": ["x.internal"], "addresses": addresses}, place)
    found = [one for one in look(entry) if "has the addresses of" in one.message]
    assert [one.subject for one in found] == [f"ServiceEntry {place}/vip"] * bool(taken)
    assert all(one.message.startswith(f"has the addresses of {taken}, and") for one in found)


def endpoints(*addresses: str, service: str = "pay") -> Obj:
    made = item("EndpointSlice", "hand", labels={"kubernetes.io/service-name": service})
    return {**made, "endpoints": [{"addresses": list(addresses)}], "ports": [{"port": 9090}]}


@pytest.mark.parametrize(
    ("held", "told_of"),
    [
        (
            endpoints("10.0.0.2", "192.0.2.9"),
            "fail: sends calls for shop/pay to 192.0.2.9, which no pod of it has",
        ),
        (endpoints("10.0.0.1"), "fail: sends calls for shop/pay to 10.0.0.1, which no pod of it has"),
        (
            endpoints("10.0.0.2"),
            "cannot tell: says by hand where shop/pay is: its own pods, at 9090",
        ),
        (endpoints(), None),
        (endpoints("192.0.2.9", service="other"), None),
    ],
)
def test_endpoints_that_somebody_keeps_by_hand(held: Obj, told_of: str | None) -> None:
    assert told(look(slices=(held,))) == ({"EndpointSlice shop/hand": told_of} if told_of else {})


@pytest.mark.parametrize(
    ("where", "weight", "verdict"),
    [
        ("mesh_trust_domain", "cuts", "fail"),
        ("mesh_trust_domain_aliases", "note", "fail"),
        ("mesh_outbound", "note", "beside the catalogue"),
        ("mesh_services", "unknown", "cannot tell"),
    ],
)
def test_settings_of_istio_that_say_something_else(where: str, weight: str, verdict: str) -> None:
    found = told(look(settings=(Difference(where, "x in ConfigMap y is z", "mesh-config", weight),)))
    assert found == {"Istio's configuration": f"{verdict}: x in ConfigMap y is z"}


def test_an_own_object_of_another_revision_is_none() -> None:
    def change(own: list[Obj]) -> None:
        for one in own:
            if one["metadata"]["name"] == "pay" or one["kind"] == "AuthorizationPolicy":
                one["metadata"].setdefault("labels", {})["istio.io/rev"] = "old"

    found = told(look(change=change))
    what = "fail: is read by revision old of istiod alone (label istio.io/rev)"
    assert found["Sidecar shop/pay"] == found["VirtualService shop/pay"] == what
    assert [line for name, line in found.items() if name.startswith("AuthorizationPolicy")] == [what] * 3


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (
            {"metadata": {"annotations": {"traffic.sidecar.istio.io/excludeInterfaces": "eth0"}}},
            "fail: calls everything past its proxy",
        ),
        (
            {"spec": {"serviceAccountName": "pay", "securityContext": {"runAsUser": 1337}}},
            "fail: calls everything, as user or group 1337, past its proxy",
        ),
        (
            {"metadata": {"annotations": {"sidecar.istio.io/bootstrapOverride": "own"}}},
            "cannot tell: starts its proxy with the configuration of ConfigMap own"
            " (sidecar.istio.io/bootstrapOverride)",
        ),
    ],
)
def test_a_pod_that_gets_around_its_proxy(more: dict[str, Any], what: str) -> None:
    other = pod("pay-2", {"app": "pay", "version": "v1"}, **{"spec": {"serviceAccountName": "pay"}, **more})
    assert told(look(more_pods=(other,)))["Pod shop/pay-2"].startswith(what)


def test_what_may_not_be_read_is_never_a_pass() -> None:
    found = told(look(unread={"Gateway": "forbidden", "Pod": "forbidden"}))
    assert found == {
        "the rest of the cluster": "cannot tell: Gateway, Pod of other namespaces were not looked at:"
        " forbidden"
    }


def dump(**fields: Any) -> ProxyDump:
    return dataclasses.replace(DUMP, **fields)


def routed(domain: str, by: str, cluster: str) -> tuple[VirtualHost, ...]:
    return (VirtualHost("80", domain, frozenset({domain}), (ProxyRoute("r", by, {cluster: 100.0}),)),)


SHOWN: dict[str, tuple[str, ProxyDump, str, str]] = {
    "a way in that no object tells": (
        "istio-system/gateway-1",
        dump(hosts=routed("evil.example.com", "other/door", f"outbound|80||{PAY}")),
        "VirtualService other/door",
        "fail: the proxy of pod istio-system/gateway-1 sends evil.example.com to shop/pay, past the"
        " catalogue",
    ),
    "a way in that is of no object": (
        "istio-system/gateway-1",
        dump(hosts=routed("evil.example.com", "", f"outbound|80||{PAY}")),
        "evil.example.com",
        "fail: the proxy of pod istio-system/gateway-1 sends evil.example.com to shop/pay, past the"
        " catalogue",
    ),
    "a way in by bytes": (
        "istio-system/gateway-1",
        dump(streams=frozenset({Stream(9000, "", f"outbound|80||{PAY}")})),
        "Pod istio-system/gateway-1",
        "fail: the proxy of pod istio-system/gateway-1 sends connections for any name at port 9000 to"
        " shop/pay:80, past the catalogue",
    ),
    "a route of ours to another service": (
        "istio-system/gateway-1",
        dump(hosts=routed("api.example.com", OUR_ROOT, f"outbound|80||{PAY}")),
        f"VirtualService {OUR_ROOT}",
        "fail: the proxy of pod istio-system/gateway-1 sends api.example.com to shop/pay, past the catalogue",
    ),
    "a route of ours of a caller to somewhere else": (
        "shop/web-1",
        dump(hosts=routed(PAY, "shop/pay", "outbound|80||x.other.svc.cluster.local")),
        "VirtualService shop/pay",
        "fail: decides where pod shop/web-1 sends calls to shop/pay",
    ),
    "a foreign route of a caller for a shorter name": (
        "shop/web-1",
        dump(hosts=routed("pay.shop.svc", "other/detour", "outbound|80||x")),
        "VirtualService other/detour",
        "fail: decides where pod shop/web-1 sends calls to shop/pay",
    ),
    "a foreign route of a caller": (
        "shop/web-1",
        dump(hosts=routed(PAY, "other/detour", "outbound|80||x")),
        "VirtualService other/detour",
        "fail: decides where pod shop/web-1 sends calls to shop/pay",
    ),
    "every host is sent on": (
        "shop/web-1",
        dump(passes_through=True),
        "shop/web",
        "fail: the proxy of pod shop/web-1 sends on calls to hosts that nobody declared (PassthroughCluster)",
    ),
    "every host of a port is sent on": (
        "shop/web-1",
        dump(hosts=(VirtualHost("80", "allow_any", frozenset({"*"}), ()),)),
        "shop/web",
        "fail: the proxy of pod shop/web-1 sends on calls to hosts that nobody declared (PassthroughCluster)",
    ),
    "a host that another service alone may call": (
        "shop/web-1",
        dump(clusters=frozenset({"outbound|443||bank.example.com"})),
        "ServiceEntry shop/bank",
        "fail: the proxy of pod shop/web-1 knows bank.example.com:443, which the catalogue does not declare"
        " for shop/web",
    ),
    "another port of an external host": (
        "shop/pay-1",
        dump(clusters=frozenset({"outbound|22||bank.example.com"})),
        "ServiceEntry shop/bank",
        "fail: the proxy of pod shop/pay-1 knows bank.example.com:22, which the catalogue does not declare"
        " for shop/pay",
    ),
    "an endpoint that is no pod": (
        "shop/web-1",
        dump(endpoints={f"outbound|80|v1|{PAY}": frozenset({("10.0.0.2", 3000), ("192.0.2.9", 3000)})}),
        "shop/pay",
        "fail: pod shop/web-1 sends calls to 192.0.2.9, which no pod of it has: see its EndpointSlices and"
        " WorkloadEntries",
    ),
    "an endpoint that a gateway alone has": (
        "istio-system/gateway-1",
        dump(endpoints={f"outbound|80||{WEB}": frozenset({("192.0.2.9", 3000)})}),
        "shop/web",
        "fail: pod istio-system/gateway-1 sends calls to 192.0.2.9, which no pod of it has: see its"
        " EndpointSlices and WorkloadEntries",
    ),
    "an endpoint that is a pod of another service": (
        "shop/web-1",
        dump(endpoints={f"outbound|80||{PAY}": frozenset({("10.0.0.1", 3000)})}),
        "shop/pay",
        "fail: pod shop/web-1 sends calls to 10.0.0.1, which no pod of it has: see its EndpointSlices and"
        " WorkloadEntries",
    ),
    "an endpoint at another port of the pod": (
        "shop/web-1",
        dump(endpoints={f"outbound|80||{PAY}": frozenset({("10.0.0.2", 9090)})}),
        "shop/pay",
        "fail: pod shop/web-1 sends calls to its port 80 to 9090 of its pods, not to 3000: see the Service"
        " and its EndpointSlices",
    ),
    "routes that were not read": (
        "shop/web-1",
        dump(hosts=None),
        "shop/web",
        "cannot tell: what the proxy of pod shop/web-1 knows of other hosts was not seen: its proxy was"
        " not read"
        " (verify_max_proxies)",
    ),
}


def test_each_virtual_service_that_decides_for_a_host_is_told_once() -> None:
    foreign = (("a", "other/detour"), ("b", "other/detour"), ("c", "other/second"))
    routes = tuple(ProxyRoute(name, owner, {"outbound|80||x": 100.0}) for name, owner in foreign)
    held = dump(hosts=(VirtualHost("80", PAY, frozenset({PAY}), routes),))
    found = [one.subject for one in look(dumps={"shop/web-1": held}) if one.verdict == "fail"]
    assert found == ["VirtualService other/detour", "VirtualService other/second"]


@pytest.mark.parametrize("name", SHOWN)
def test_what_proxies_show_is_told_whatever_brought_it(name: str) -> None:
    proxy, held, subject, message = SHOWN[name]
    findings = look(dumps={proxy: held})
    assert told(findings) == {subject: message}
    assert all(one.late for one in findings if one.verdict != "pass")


def test_an_ingress_is_told_by_its_routes_whatever_its_class_is_called() -> None:
    routes = "evil-example-com-door-istio-autogenerated-k8s-ingress"
    held = dump(hosts=routed("evil.example.com", f"other/{routes}", f"outbound|80||{PAY}"))
    rule = {"host": "evil.example.com", "http": {"paths": [{"backend": {"service": {"name": "x"}}}]}}
    doors = [
        item("Ingress", "door", {"ingressClassName": "web", "rules": [rule]}, place)
        for place in ("other", "x")
    ]
    what = "the proxy of pod istio-system/gateway-1 sends evil.example.com to shop/pay, past the catalogue"
    assert told(look(*doors, dumps={"istio-system/gateway-1": held})) == {
        "Ingress other/door": f"fail: {what}"
    }
    gone = told(look(doors[1], dumps={"istio-system/gateway-1": held}))
    assert gone == {f"VirtualService other/{routes}": f"fail: {what}"}


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("pay.shop", True),
        ("pay.shop.svc", True),
        ("pay-0.pay.shop.svc", True),
        (f"pay-0.{PAY}", True),
        ("www.pay.shop", False),
        ("pay", False),
        ("pay.shops", False),
        ("*.shop", False),
    ],
)
def test_names_of_a_service(host: str, *, known: bool) -> None:
    entry = item("ServiceEntry", "twin", {"hosts": [host]}, "istio-system")
    found = [one for one in look(entry) if one.message.startswith("says where shop/pay is")]
    assert bool(found) is known


def test_a_telemetry_that_only_adds_is_an_inventory() -> None:
    found = told(look(item("Telemetry", "spans", {"tracing": [{}]}), item("Telemetry", "x", {}, "other")))
    assert found == {
        "Telemetry shop/spans": "beside the catalogue: changes what the proxies of shop/web, shop/pay report"
    }


def test_a_declared_host_and_own_endpoints_are_fine() -> None:
    pay = dump(
        clusters=frozenset({"outbound|443||bank.example.com", "BlackHoleCluster", f"outbound|80||{WEB}"}),
        endpoints={f"outbound|80||{PAY}": frozenset({("10.0.0.2", 3000)})},
        hosts=routed(PAY, "shop/pay", f"outbound|80|v1|{PAY}"),
    )
    front = dump(hosts=routed("api.example.com", OUR_ROOT, f"outbound|80|v1|{WEB}"))
    assert told(look(dumps={"shop/pay-1": pay, "istio-system/gateway-1": front})) == {}


# -- Kubernetes Services that lead elsewhere ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"spec": {"selector": {"app": "evil"}}},
            "selects none of the 1 pods behind Service shop/pay (app=evil)",
        ),
        (
            {"spec": {"type": "ExternalName", "externalName": "x.example.com"}},
            "only stands for x.example.com",
        ),
        ({"spec": {"ports": [{"port": 81, "targetPort": 3000}]}}, "80 is no TCP port of Service shop/pay"),
        (
            {"spec": {"ports": [{"port": 80, "targetPort": 3999}]}},
            "is not where Service shop/pay sends port 80",
        ),
        (
            {"spec": {"ports": [{"name": "tcp", "port": 80, "targetPort": 3000}]}},
            "istiod takes port 80 of Service shop/pay for tcp",
        ),
        (
            {"metadata": {"annotations": {"networking.istio.io/exportTo": "~"}}},
            "is hidden from its callers in shop (networking.istio.io/exportTo: ~)",
        ),
        (
            {"metadata": {"annotations": {"networking.istio.io/exportTo": "other,third"}}},
            "is hidden from its callers in shop",
        ),
    ],
)
def test_a_service_that_leads_elsewhere_is_named(change: Obj, words: str) -> None:
    def edit(services: dict[str, Obj]) -> None:
        for part, values in change.items():
            services["pay"][part] |= values

    evil = pod("evil-1", {"app": "evil"}, metadata={"ownerReferences": []}, spec={"serviceAccountName": "x"})
    findings = [
        one for one in look(change_services=edit, more_pods=(evil,)) if one.subject == "Service shop/pay"
    ]
    assert {one.verdict for one in findings} == {"fail"}
    assert any(words in one.message for one in findings)
    assert all(one.source for one in findings), "what follows from it in other checks comes first"


@pytest.mark.parametrize("exported", ["*", ".", "shop", "other, shop", ""])
def test_a_service_that_its_callers_see_is_no_finding(exported: str) -> None:
    def edit(services: dict[str, Obj]) -> None:
        services["pay"]["metadata"]["annotations"] = {"networking.istio.io/exportTo": exported}

    assert told(look(change_services=edit)) == {}


def test_datagrams_pass_the_proxies() -> None:
    ports = [{"port": 5353, "protocol": "UDP"}]
    extra = item("Service", "dns", {"selector": {"app": "pay"}, "ports": ports})
    elsewhere = item("Service", "other", {"selector": {"app": "nobody"}, "ports": ports})
    assert told(look(more_pods=(extra, elsewhere))) == {
        "Service shop/dns": "fail: leads UDP (port 5353) to shop/pay, past their proxies"
    }
    accepted = look(more_pods=(extra,), accepted={"Service shop/dns": "gossip, encrypted by itself"})
    assert told(accepted)["Service shop/dns"].startswith("stated opening: ")


def test_a_service_that_is_not_there_is_left_to_the_routes() -> None:
    def edit(services: dict[str, Obj]) -> None:
        services["pay"]["metadata"]["name"] = "renamed"

    assert not [name for name in told(look(change_services=edit)) if name.startswith("Service ")]


@pytest.mark.parametrize(
    ("annotation", "value", "where"),
    [
        ("excludeInboundPorts", "15090, 9102", "9102"),
        ("excludeInboundPorts", "15090,15021,15020", ""),
        ("excludeInboundPorts", "15004,15053", "15004, 15053"),  # of istiod, and of an agent at localhost
        ("excludeInboundPorts", "3000", ""),  # check mtls tells it
        ("includeInboundPorts", "3000", "any other port but 15008"),
    ],
)
def test_a_port_that_nothing_names_is_open_all_the_same(annotation: str, value: str, where: str) -> None:
    metadata = {"annotations": {f"traffic.sidecar.istio.io/{annotation}": value}}
    other = pod("pay-2", {"app": "pay"}, spec={"serviceAccountName": "pay"}, metadata=metadata)
    found = told(look(more_pods=(other,)))
    wanted = f"fail: leaves {where} to everybody, past its proxy (traffic.sidecar.istio.io)"
    assert found == ({"Pod shop/pay-2": wanted} if where else {})
    accepted = told(look(more_pods=(other,), accepted={"Pod shop/pay-*": "an agent reads it"}))
    assert all(text.startswith("stated opening: ") for text in accepted.values())
