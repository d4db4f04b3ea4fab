# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diagnosis says of a problem, word for word, and of what only looks like one: nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.symptom import Symptom

from ...support.certificates import OTHER_ROOT, ROOT, pem
from .healthy_mesh import API, HOST, Healthy, Obj, diagnose, istio, line, obj, route, to
from .planted import CALL, NOTHING, YOUNG

Plant = Callable[[Healthy], Any]


def found(plant: Plant, symptom: dict[str, str] = CALL, kind: str = "") -> list[str]:
    """Object, words and evidence of each cause; of those about one kind of object."""
    cluster = Healthy()
    plant(cluster)
    return [
        " | ".join([f"{one['object']}: {one['cause']}", *one["evidence"]])
        for one in diagnose(cluster, **symptom)["causes"]
        if one["object"].startswith(kind)
    ]


# -- faults that somebody injects ------------------------------------------------------------------


def fault(**fields: Any) -> Plant:
    return lambda cluster: cluster.edit("VirtualService", "api")["spec"]["http"][0].update(fault=fields)


ABORTS = "VirtualService shop/api: answers {} % of the requests itself, with status {} (fault.abort, flag FI)"
DELAYS = "VirtualService shop/api: delays {} % of the requests by {} (fault.delay, flag DI)"


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (fault(abort={"percentage": {"value": 60}, "httpStatus": 503}), [ABORTS.format(60, 503)]),
        (
            fault(abort={"percentage": {"value": 0.5}, "grpcStatus": "UNAVAILABLE"}),
            [ABORTS.format(0.5, "UNAVAILABLE")],
        ),
        (fault(abort={"http2Error": "X"}), [ABORTS.format(100, "X")]),
        (fault(abort={"percentage": {}, "httpStatus": 500}), []),  # of no request
        (
            fault(abort={"percentage": {}, "httpStatus": 500}, delay={"percent": 1, "fixedDelay": "3s"}),
            [DELAYS.format(1, "3s")],
        ),
        (fault(abort={"percent": 7, "httpStatus": 500}), [ABORTS.format(7, 500)]),
        (fault(delay={"percentage": {"value": 50}, "fixedDelay": "3s"}), [DELAYS.format(50, "3s")]),
        (
            fault(abort={"httpStatus": 500}, delay={"percent": 1, "fixedDelay": "3s"}),
            [ABORTS.format(100, 500), DELAYS.format(1, "3s")],
        ),
    ],
)
def test_injected_faults(plant: Plant, said: list[str]) -> None:
    assert [one.partition(" | ")[0] for one in found(plant, kind="VirtualService")] == said


@pytest.mark.parametrize(("share", "likelihood"), [(100, "sure"), (50, "sure"), (49.9, "likely")])
@pytest.mark.parametrize(
    ("kind", "fields"), [("abort", {"httpStatus": 500}), ("delay", {"fixedDelay": "3s"})]
)
def test_a_fault_of_half_of_the_requests_is_sure(
    kind: str, fields: Obj, share: float, likelihood: str
) -> None:
    cluster = Healthy()
    fault(**{kind: {**fields, "percentage": {"value": share}}})(cluster)
    (cause,) = [one for one in diagnose(cluster, **CALL)["causes"] if f"(fault.{kind}" in one["cause"]]
    assert cause["likelihood"] == likelihood


def test_a_direct_response_is_a_cause_where_a_call_is_asked_about() -> None:
    def plant(cluster: Healthy) -> None:
        cluster.edit("VirtualService", "api")["spec"]["http"] = [{"directResponse": {"status": 410}}]

    said = "VirtualService shop/api: answers requests itself with status 410 (directResponse)"
    assert said in [one.partition(" | ")[0] for one in found(plant)]
    assert said not in [one.partition(" | ")[0] for one in found(plant, NOTHING)]


# -- pods that the API server refuses --------------------------------------------------------------


def refused(message: str, *, name: str = "api", kind: str = "ReplicaFailure", status: str = "True") -> Plant:
    def plant(cluster: Healthy) -> None:
        condition = {"type": kind, "status": status, "message": message}
        cluster.edit("Deployment", name)["status"] = {"conditions": [condition]}

    return plant


QUOTA = 'pods "api-1" is forbidden: exceeded quota: small.one, requested: limits.cpu=2'
HOOK = 'Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": x509'
POLICY = 'pods "api-1" is forbidden: violates PodSecurity "restricted:latest"'
LIMITS = "maximum cpu usage per Container is 1"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            QUOTA,
            "ResourceQuota shop/small.one: leaves no room for the pods of Deployment shop/api with their "
            f"sidecars | {QUOTA}",
        ),
        (
            HOOK,
            "MutatingWebhookConfiguration istio-sidecar-injector: cannot be reached by the API "
            f"server, which refuses all pods that it would inject | Deployment shop/api: {HOOK}",
        ),
        (POLICY, f"Namespace shop: refuses pods with istio-init, which needs NET_ADMIN | {POLICY}"),
        *(
            (
                text,
                "Deployment shop/api: cannot create pods: a LimitRange of its namespace does not take its "
                f"containers | {text}",
            )
            for text in (LIMITS, "minimum memory is 1Gi", "LimitRange says no")
        ),
    ],
)
def test_pods_that_are_refused(message: str, said: str) -> None:
    for symptom in (CALL, NOTHING, {"namespace": "shop"}, {"pod": "api-1"}, {"destination": "api"}):
        assert said in found(refused(message), symptom), symptom
    assert said not in found(refused(message), {"namespace": "outside"})


def test_a_long_refusal_is_told_in_one_line_of_at_most_300_characters() -> None:
    (told,) = [one for one in found(refused("LimitRange\n  " + "x" * 400)) if "LimitRange" in one]
    assert told.endswith(" | LimitRange " + "x" * 289)


@pytest.mark.parametrize(
    "plant",
    [
        refused(QUOTA, status="False"),
        refused(QUOTA, kind="Progressing"),
        lambda cluster: cluster.put(
            obj(
                "Deployment",
                "other",
                version="apps/v1",
                spec={"template": {"metadata": {"labels": {"app": "other"}}}},
                status={"conditions": [{"type": "ReplicaFailure", "status": "True", "message": QUOTA}]},
            )
        ),
    ],
)
def test_what_is_not_refused_or_not_of_the_call(plant: Plant) -> None:
    assert found(plant, CALL, "ResourceQuota") == []


# -- ports -----------------------------------------------------------------------------------------


def ports(*given: Obj, routes: bool = False, log: str = "") -> Plant:
    def plant(cluster: Healthy) -> None:
        cluster.edit("Service", "api")["spec"]["ports"] = [{"targetPort": 3000, **one} for one in given]
        if not routes:
            cluster.remove("VirtualService", "api", "shop")
        if log:
            cluster.log("web-1", log)

    return plant


GUESS = "proxies guess, and servers that speak first wait"
IDLE = (
    "so the HTTP routes of VirtualService shop/api do nothing | "
    "VirtualService shop/api has http routes for it"
)
SPOKEN = "and what is spoken there is something else"


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (
            ports({"name": "tcp", "port": 80}, routes=True),
            f"port 80 is TCP by its name tcp, {IDLE}",
        ),
        (
            ports({"name": "web", "appProtocol": "TCP", "port": 80}, routes=True),
            f"port 80 is TCP by its appProtocol web, {IDLE}",
        ),
        (
            ports({"name": "x", "appProtocol": "kubernetes.io/wss", "port": 80}, routes=True),
            f"port 80 is TCP by its appProtocol x, {IDLE}",
        ),
        (
            ports({"name": "web", "port": 3306}, routes=True),
            f"port 3306 is TCP by its number, {IDLE}",
        ),
        (
            ports({"name": "ws", "port": 80}),
            f"port 80 says no protocol (name ws): {GUESS}",
        ),
        (
            ports({"name": "http", "port": 80}, log=line(502, "UPE")),
            f"port 80 is HTTP by its name http, {SPOKEN} | the access log of Pod shop/web-1 shows UPE",
        ),
        (
            ports({"name": "http", "port": 80}, log=line(400, "DPE")),
            f"port 80 is HTTP by its name http, {SPOKEN} | the access log of Pod shop/web-1 shows DPE",
        ),
        (
            ports({"name": "http", "port": 3306}),
            "port 3306 is HTTP by its name http, and that is the port of mysql",
        ),
        (
            ports({"name": "grpc-web", "port": 3306}),
            "port 3306 is HTTP by its name grpc-web, and that is the port of mysql",
        ),
        (
            ports({"name": "odd", "port": 80}),
            f"port 80 says no protocol (name odd): {GUESS}",
        ),
        (
            ports({"port": 80}),
            f"port 80 says no protocol (name (without a name)): {GUESS}",
        ),
        (ports({"name": "http", "port": 80}), ""),
        (ports({"name": "http2-a", "port": 80}), ""),
        (ports({"name": "x", "appProtocol": "kubernetes.io/h2c", "port": 80}), ""),
        (ports({"name": "mysql", "port": 3306}), ""),
        (ports({"name": "tcp", "port": 80}), ""),
    ],
)
def test_ports_that_speak_something_else(plant: Plant, said: str) -> None:
    told = [one for one in found(plant, CALL, "Service shop/api") if ": port " in one]
    assert told == ([f"Service shop/api: {said}"] if said else [])


@pytest.mark.parametrize(
    ("number", "spoken"),
    [(5432, "tcp"), (5672, "tcp"), (6379, "redis"), (9092, "tcp"), (11211, "tcp"), (27017, "mongo")],
)
def test_ports_of_which_it_is_known_that_they_are_no_http(number: int, spoken: str) -> None:
    told = found(ports({"name": "http", "port": number}), CALL, "Service shop/api")
    assert any(
        f"port {number} is HTTP by its name http, and that is the port of {spoken}" in one for one in told
    )


# -- routes ----------------------------------------------------------------------------------------


def routes(*http: Obj) -> Plant:
    return lambda cluster: cluster.edit("VirtualService", "api")["spec"].update(http=list(http))


def when(*match: Obj) -> Obj:
    return {"match": list(match), **to("api", subset="v1")}


@pytest.mark.parametrize(
    ("matches", "method", "path", "taken"),
    [
        ([{"uri": {"exact": "/a"}}], "GET", "/a", True),
        ([{"uri": {"exact": "/a"}}], "GET", "/a/b", False),
        ([{"uri": {"exact": "/A"}}], "GET", "/a", False),
        ([{"uri": {"exact": "/A"}, "ignoreUriCase": True}], "GET", "/a", True),
        ([{"uri": {"prefix": "/a"}}], "GET", "/a/b", True),
        ([{"uri": {"prefix": "/a"}}], "GET", "/b/a", False),
        ([{"uri": {"prefix": "/A/"}, "ignoreUriCase": True}], "GET", "/a/B", True),
        ([{"uri": {"regex": "/a[0-9]+"}}], "GET", "/a12", True),
        ([{"uri": {"regex": "/a[0-9]+"}}], "GET", "/a12x", False),
        ([{"uri": {"regex": "/a[0-9]+"}}], "GET", "/x/a12", False),
        ([{"uri": {"regex": "["}}], "GET", "/a", False),
        ([{"method": {"exact": "GET"}}], "GET", "/a", True),
        ([{"method": {"exact": "POST"}}], "GET", "/a", False),
        ([{"method": {"exact": "get"}, "ignoreUriCase": True}], "GET", "/a", False),
        ([{"uri": {"exact": "/a"}, "method": {"exact": "PUT"}}], "GET", "/a", False),
        ([{"uri": {"exact": "/x"}}, {"method": {"exact": "GET"}}], "GET", "/a", True),
        ([{"headers": {"x": {"exact": "1"}}}], "GET", "/a", True),
    ],
)
def test_a_request_that_no_route_takes(matches: list[Obj], method: str, path: str, taken: bool) -> None:
    """Istio's StringMatch; what is not known of a request, its headers, may match."""
    said = f"VirtualService shop/api: has no route that takes {method} {path} to {API}: it gets 404 NR"
    told = found(routes(when(*matches)), {**CALL, "method": method, "path": path}, "VirtualService")
    assert (said not in told) is taken
    assert any("404 NR" in one for one in told) is not taken
    assert [
        one
        for one in found(
            routes(when(*matches), to("api", subset="v1")), {**CALL, "method": method, "path": path}
        )
        if "404 NR" in one
    ] == [], "a route without a match takes the rest"


def test_a_route_that_delegates_takes_what_the_other_takes() -> None:
    def plant(*http: Obj) -> Plant:
        def planted(cluster: Healthy) -> None:
            inner = {"delegate": {"name": "inner", "namespace": "shop"}}
            cluster.edit("VirtualService", "api")["spec"]["http"] = [inner]
            cluster.put(route("inner", {"http": list(http)}))

        return planted

    said = f"VirtualService shop/api: has no route that takes GET / to {API}: it gets 404 NR"
    assert said in found(plant(when({"uri": {"exact": "/x"}})))
    assert said not in found(plant(when({"uri": {"exact": "/"}})))


def second(created: str = YOUNG, place: str = "shop", **spec: Any) -> Plant:
    def plant(cluster: Healthy) -> None:
        made = route("twin", {"hosts": [API], "http": [to("api", subset="v1")], **spec}, place)
        made["metadata"]["creationTimestamp"] = created
        cluster.put(made)

    return plant


IGNORED = "VirtualService {}: is ignored by sidecars: VirtualService {} for {} is older, and counts alone"


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (second(), IGNORED.format("shop/twin", "shop/api", API)),
        (second("2020-01-01T00:00:00Z"), IGNORED.format("shop/api", "shop/twin", API)),
        (second(place="outside"), IGNORED.format("outside/twin", "shop/api", API)),
        (second(place="outside", exportTo=["."]), IGNORED.format("outside/twin", "shop/api", API)),
        (second(place="outside", exportTo=["third"]), ""),
        (second(place="outside", exportTo=["shop"]), IGNORED.format("outside/twin", "shop/api", API)),
        (second(gateways=["public"]), ""),
        (second(gateways=["public", "mesh"]), IGNORED.format("shop/twin", "shop/api", API)),
    ],
)
def test_two_objects_for_one_host(plant: Plant, said: str) -> None:
    for symptom in (CALL, NOTHING):
        told = [one for one in found(plant, symptom) if "is ignored by sidecars" in one]
        assert told == ([said] if said else []), symptom


# -- who injects, and who is asked about tokens ----------------------------------------------------


def bundle(text: bytes | str) -> Plant:
    def plant(cluster: Healthy) -> None:
        coded = base64.b64encode(text).decode() if isinstance(text, bytes) else text
        for webhook in cluster.edit("MutatingWebhookConfiguration", "istio-sidecar-injector", "")["webhooks"]:
            webhook["clientConfig"]["caBundle"] = coded

    return plant


FOREIGN = "calls istiod with a CA bundle that does not hold the mesh's root: its calls fail"
BARE = "has no CA bundle: the API server cannot call istiod, and no pod gets a sidecar"


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (bundle(pem(ROOT)), []),
        (bundle(pem(OTHER_ROOT, ROOT)), []),
        (bundle(pem(OTHER_ROOT)), [FOREIGN]),
        (bundle("no base64"), [FOREIGN]),
        (bundle(b"no certificate"), [FOREIGN]),
        (bundle(""), [BARE]),
    ],
)
def test_the_bundle_by_which_the_api_server_believes_istiod(plant: Plant, said: list[str]) -> None:
    told = [one.partition(" | ")[0] for one in found(plant, NOTHING, "MutatingWebhookConfiguration")]
    assert told == [f"MutatingWebhookConfiguration istio-sidecar-injector: {one}" for one in said]


def test_webhooks_of_another_mesh_believe_in_another_root() -> None:
    def plant(cluster: Healthy) -> None:
        first = cluster.edit("MutatingWebhookConfiguration", "istio-sidecar-injector", "")
        client = {
            "service": {"name": "istiod", "namespace": "mesh-b"},
            "caBundle": base64.b64encode(pem(OTHER_ROOT)).decode(),
        }
        webhooks = [
            {**one, "namespaceSelector": {"matchLabels": {"mesh": "b"}}, "clientConfig": client}
            for one in first["webhooks"]
        ]
        metadata = {**first["metadata"], "name": "istio-sidecar-injector-mesh-b"}
        cluster.put({**first, "metadata": metadata, "webhooks": webhooks})

    assert found(plant, NOTHING, "MutatingWebhookConfiguration") == []


def test_two_revisions_that_inject_one_namespace() -> None:
    def plant(cluster: Healthy) -> None:
        cluster.edit("Namespace", "shop", "")["metadata"]["labels"]["istio.io/rev"] = "canary"
        first = cluster.edit("MutatingWebhookConfiguration", "istio-sidecar-injector", "")
        webhooks = [
            {
                **first["webhooks"][0],
                "name": "rev.namespace.sidecar-injector.istio.io",
                "namespaceSelector": {"matchLabels": {"istio.io/rev": "canary"}},
                "objectSelector": {},
            }
        ]
        labels = {**first["metadata"]["labels"], "istio.io/rev": "canary"}
        cluster.put({**first, "metadata": {"name": "canary", "labels": labels}, "webhooks": webhooks})
        for webhook in first["webhooks"]:
            webhook["namespaceSelector"] = {"matchLabels": {"istio-injection": "enabled"}}
            webhook["objectSelector"] = {}

    said = "Namespace shop: is injected by several revisions at once: canary, istio-sidecar-injector"
    assert said in found(plant, NOTHING)
    assert said in found(plant, {"namespace": "shop"})
    assert said not in found(plant, {"pod": "outside/client-1"})


def custom(provider: str, app: str = "api", field: str = "extensionProviders") -> Plant:
    def plant(cluster: Healthy) -> None:
        cluster.edit("ConfigMap", "istio", "istio-system")["data"]["mesh"] += (
            f"\n{field}: [{{name: b}}, {{name: a}}]"
        )
        spec = {
            "action": "CUSTOM",
            "provider": {"name": provider},
            "selector": {"matchLabels": {"app": app}},
            "rules": [{}],
        }
        cluster.put(istio("AuthorizationPolicy", "ask", spec))

    return plant


def test_a_provider_that_the_mesh_does_not_know() -> None:
    said = (
        "AuthorizationPolicy shop/ask: asks provider 'c', which the mesh does not know (a, b): "
        "what it matches gets 403"
    )
    assert said in found(custom("c"))
    assert not any("asks provider" in one for one in found(custom("a")))
    assert not any("asks provider" in one for one in found(custom("a", field="extension_providers")))
    assert not any("asks provider" in one for one in found(custom("c", "other")))


def tokens(uri: str, *lines: str) -> Plant:
    def plant(cluster: Healthy) -> None:
        spec = {"selector": {"matchLabels": {"app": "api"}}, "jwtRules": [{"issuer": "i", "jwksUri": uri}]}
        cluster.put(istio("RequestAuthentication", "jwt", spec))
        cluster.log("api-1", *lines)

    return plant


DENIED = "jwt_authn_access_denied{Jwt_issuer_is_not_configured}"


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("http://idp.shop.svc.cluster.local:8080/keys", "idp.shop.svc.cluster.local"),
        ("https://idp.shop.svc.cluster.local", "idp.shop.svc.cluster.local"),
        (f"http://{API}/keys", ""),
        ("https://idp.example.com/keys", ""),
    ],
)
def test_keys_of_a_service_that_does_not_exist(uri: str, host: str) -> None:
    told = [one for one in found(tokens(uri)) if "fetches its keys" in one]
    said = f"fetches its keys from {host}, a Service that does not exist: every token gets 401"
    assert told == ([f"RequestAuthentication shop/jwt: {said}"] if host else [])


def test_tokens_that_the_callee_refused() -> None:
    inbound = "inbound|3000||"
    lines = [line(401, cluster=inbound, details=DENIED, path=f"/{name}") for name in "ab"]
    told = found(tokens("https://idp.example.com/keys", *lines), kind="RequestAuthentication")
    assert told == [f"RequestAuthentication shop/jwt: refused 2 requests with 401, the last GET /b: {DENIED}"]


# -- symptoms --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "faults"),
    [
        ({"source": "shop/web", "destination": " api ", "path": "/x"}, []),
        ({"source": "a/b/c"}, ["diagnose_source: 'a/b/c' is no name: give name or namespace/name"]),
        ({"pod": "a b"}, ["diagnose_pod: 'a b' is no name: give name or namespace/name"]),
        ({"destination": "a/b/c"}, ["diagnose_destination: 'a/b/c' is no name: give name or namespace/name"]),
        (
            {"destination": "api", "hostname": HOST},
            [
                "diagnose_hostname: says whom the call is for, and so does diagnose_destination: "
                "give one of them"
            ],
        ),
        ({"hostname": "https://x"}, ["diagnose_hostname: 'https://x' is no host: no scheme, no path"]),
        ({"hostname": "x y"}, ["diagnose_hostname: 'x y' is no host: no scheme, no path"]),
        ({"path": "x"}, ["diagnose_path: 'x' does not begin with /"]),
        (
            {"path": "x", "pod": "a b"},
            [
                "diagnose_pod: 'a b' is no name: give name or namespace/name",
                "diagnose_path: 'x' does not begin with /",
            ],
        ),
    ],
)
def test_symptoms_that_contradict_themselves(params: dict[str, Any], faults: list[str]) -> None:
    if not faults:
        read = Symptom.from_params(params)
        assert read == Symptom(source="shop/web", destination="api", path="/x")
        return
    with pytest.raises(InputError) as caught:
        Symptom.from_params(params)
    assert [f"{one.where}: {one.message}" for one in caught.value.problems] == faults


def test_the_namespaces_that_a_symptom_names() -> None:
    whole = Symptom(source="a/web", destination="b/api", pod="a/x", namespace="c")
    assert whole.namespaces == ("c", "a", "b")
    assert Symptom(source="web").namespaces == ()
    assert whole.place_of("web", "d") == ("c", "web")
    assert whole.place_of("z/web", "d") == ("z", "web")
    assert Symptom(source="web").place_of("web", "d") == ("d", "web")
    assert Symptom(namespace="c").anything
    assert not any(Symptom(**{name: "x"}).anything for name in ("source", "destination", "host", "pod"))
