# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diagnosis says, word for word: names, hosts outside, gateways, istiod, sidecars, limits."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.workloads import parse_pod
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.causes import words
from ansible_collections.servicemesh.istio.plugins.module_utils.words import few

from .healthy_mesh import API, HOST, Healthy, Obj, host, istio, line, pod, service, to
from .planted import AT_GATEWAY, CALL, NOTHING, OUTSIDE
from .test_sentences import Plant, found, routes

# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symptom", "said"),
    [
        ({"source": "web", "destination": "apo"}, "Service shop/apo: does not exist, did you mean api: {}"),
        ({"source": "web", "destination": "zzz"}, "Service shop/zzz: does not exist: {}"),
        (
            {"source": "shop/web", "destination": "istio-system/api"},
            "Service istio-system/api: does not exist; Service shop/api does: a name without its "
            "namespace means "
            "the caller's own",
        ),
        (
            {"source": "shop/web", "destination": "shap/nothing"},
            "Service shap/nothing: does not exist: there is no namespace shap, did you mean shop",
        ),
        (CALL, ""),
    ],
)
def test_a_service_that_does_not_exist(symptom: Any, said: str) -> None:
    told = [one for one in found(lambda _cluster: None, symptom) if "does not exist" in one]
    assert told == ([said.format("its name is not found (NXDOMAIN)")] if said else [])


def alias(target: str) -> Plant:
    return lambda cluster: cluster.put(service("old", type="ExternalName", externalName=target))


ALIAS = {"source": "web", "destination": "old"}


@pytest.mark.parametrize(
    ("target", "symptom", "said"),
    [
        ("gone.shop.svc.cluster.local", ALIAS, "stands for {}, a Service that does not exist"),
        ("gone.shop.svc.cluster.local", NOTHING, "stands for {}, a Service that does not exist"),
        ("x.example.net", ALIAS, "of type ExternalName only stands for {}, which no ServiceEntry describes"),
        ("x.example.net.", ALIAS, "of type ExternalName only stands for {}, which no ServiceEntry describes"),
        ("x.example.net", NOTHING, ""),
        ("pay.example.org", ALIAS, ""),
        (API, ALIAS, ""),
    ],
)
def test_a_service_that_only_stands_for_another_host(target: str, symptom: Any, said: str) -> None:
    told = [one for one in found(alias(target), symptom, "Service shop/old") if "stands for" in one]
    assert told == ([f"Service shop/old: {said.format(target.rstrip('.'))}"] if said else [])


@pytest.mark.parametrize(("resolution", "told"), [("DNS", 1), ("DNS_ROUND_ROBIN", 1), ("STATIC", 0)])
def test_only_an_entry_that_asks_dns_lacks_an_address_there_and_is_told_once(
    resolution: str, told: int
) -> None:
    def plant(cluster: Healthy) -> None:
        entry(resolution=resolution, endpoints=[{"address": "192.0.2.1"}])(cluster)
        cluster.clusters["shop/web-1"] = {f"outbound|{port}||pay.example.org": [] for port in (80, 443)}

    assert str(found(plant, OUTSIDE)).count("which DNS does not know") == told


def policy(value: str, **more: Any) -> Plant:
    return lambda cluster: cluster.edit("Pod", "web-1")["spec"].update(dnsPolicy=value, **more)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (policy("None"), "asks nobody for names (dnsPolicy: None)"),
        (
            policy("None", dnsConfig={"nameservers": ["1.1.1.1", "8.8.8.8"]}),
            "asks 1.1.1.1, 8.8.8.8 for names (dnsPolicy: None)",
        ),
        (policy("Default"), "asks its node's DNS server (dnsPolicy: Default)"),
        (
            policy("ClusterFirst", hostNetwork=True),
            "asks its node's DNS server (dnsPolicy: ClusterFirst, hostNetwork)",
        ),
        (policy("", hostNetwork=True), "asks its node's DNS server (dnsPolicy: ClusterFirst, hostNetwork)"),
        (policy("ClusterFirstWithHostNet", hostNetwork=True), ""),
        (policy("ClusterFirst"), ""),
    ],
)
def test_callers_that_ask_another_dns_server(plant: Plant, said: str) -> None:
    words = ", which does not know the names of Services | kubectl rollout restart deployment/web -n shop"
    told = [one for one in found(plant) if "dnsPolicy" in one]
    assert told == ([f"Pod shop/web-1: {said}{words}"] if said else [])


# -- hosts outside ---------------------------------------------------------------------------------


def entry(**spec: Any) -> Plant:
    return lambda cluster: cluster.edit("ServiceEntry", "pay")["spec"].update(spec)


def rule(mode: str) -> Obj:
    spec = {"host": "pay.example.org", "trafficPolicy": {"tls": {"mode": mode}}}
    return istio("DestinationRule", "pay", spec)


def both(*plants: Any) -> Plant:
    def plant(cluster: Healthy) -> None:
        for one in plants:
            one(cluster) if callable(one) else cluster.put(one)

    return plant


def port(number: int, protocol: str, **more: int) -> list[Obj]:
    return [{"number": number, "name": "p", "protocol": protocol, **more}]


PLAIN = "sends plain HTTP of port {} to port 443 of pay.example.org: nobody begins TLS (400)"
TWICE = "begins TLS on port 443 of pay.example.org, where callers have begun it already: TLS inside TLS"
NO_HOSTS = "has resolution STATIC and no endpoints: its hosts have none, requests get 503 UH"


@pytest.mark.parametrize(
    ("plant", "symptom", "said"),
    [
        (entry(), OUTSIDE, []),
        (
            entry(),
            {**OUTSIDE, "port": "80"},
            ["ServiceEntry shop/pay: declares no port 80 of pay.example.org (but 443): calls there get 502"],
        ),
        (entry(), {**OUTSIDE, "port": "443"}, []),
        (entry(resolution="STATIC"), OUTSIDE, [f"ServiceEntry shop/pay: {NO_HOSTS}"]),
        (entry(resolution="STATIC", endpoints=[{"address": "192.0.2.1"}]), OUTSIDE, []),
        (entry(resolution="STATIC", workloadSelector={"labels": {"a": "b"}}), OUTSIDE, []),
        (
            entry(location="MESH_INTERNAL"),
            OUTSIDE,
            [
                "ServiceEntry shop/pay: says that pay.example.org is inside the mesh (MESH_INTERNAL): "
                "callers insist on mutual TLS"
            ],
        ),
        (entry(ports=port(443, "HTTP")), OUTSIDE, [f"ServiceEntry shop/pay: {PLAIN.format(443)}"]),
        (
            entry(ports=port(80, "HTTP", targetPort=443)),
            OUTSIDE,
            [f"ServiceEntry shop/pay: {PLAIN.format(80)}"],
        ),
        (
            entry(ports=port(80, "GRPC", targetPort=443)),
            OUTSIDE,
            [f"ServiceEntry shop/pay: {PLAIN.format(80)}"],
        ),
        (entry(ports=port(80, "HTTP")), OUTSIDE, []),
        (entry(ports=port(443, "TCP")), OUTSIDE, []),
        (both(entry(ports=port(443, "HTTP")), rule("SIMPLE")), OUTSIDE, []),
        (both(rule("SIMPLE")), OUTSIDE, [f"DestinationRule shop/pay: {TWICE}"]),
        (both(rule("MUTUAL")), OUTSIDE, [f"DestinationRule shop/pay: {TWICE}"]),
        (
            both(entry(ports=port(443, "HTTPS")), rule("SIMPLE")),
            OUTSIDE,
            [f"DestinationRule shop/pay: {TWICE}"],
        ),
        (both(rule("DISABLE")), OUTSIDE, []),
    ],
)
def test_what_is_said_of_a_host_outside(plant: Plant, symptom: Any, said: list[str]) -> None:
    assert found(plant, symptom) == said


def test_a_host_that_nobody_declares() -> None:
    asked = {"source": "web", "hostname": "other.example.org"}
    end = "lets Pod shop/web-1 call declared hosts only: 502"
    told = found(lambda _cluster: None, asked)
    assert told == [
        "host other.example.org: is declared by no ServiceEntry, and the mesh (outboundTrafficPolicy) " + end
    ]

    def in_the_other_spelling(cluster: Healthy) -> None:
        mesh = "outbound_traffic_policy: {mode: REGISTRY_ONLY}"
        cluster.edit("ConfigMap", "istio", "istio-system")["data"]["mesh"] = mesh

    assert found(in_the_other_spelling, asked) == told
    sidecar = istio("Sidecar", "default", {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})
    log = line(502, cluster="BlackHoleCluster")
    told = found(both(sidecar, lambda cluster: cluster.log("web-1", log)), asked)
    assert told == [
        f"host other.example.org: is declared by no ServiceEntry, and Sidecar shop/default {end} | "
        "the access log of Pod shop/web-1 shows BlackHoleCluster"
    ]
    free = istio("Sidecar", "default", {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}})
    assert found(both(free), asked) == []


def test_two_entries_that_speak_of_one_port_in_two_ways() -> None:
    spec = {"hosts": ["pay.example.org"], "resolution": "DNS", "location": "MESH_EXTERNAL"}
    young = istio("ServiceEntry", "twin", {**spec, "ports": port(443, "TCP")})
    young["metadata"]["creationTimestamp"] = "2026-05-01T00:00:00Z"
    said = "says TCP of pay.example.org:443, and ServiceEntry shop/pay, older, says TLS"
    assert f"ServiceEntry shop/twin: {said}" in found(both(young), OUTSIDE)
    young["spec"]["ports"] = port(443, "tls")
    assert not any("older, says" in one for one in found(both(young), OUTSIDE))


@pytest.mark.parametrize(
    ("failed", "total", "flag", "told"),
    [(5, 10, "UF", True), (4, 10, "UF", False), (0, 0, "UF", False), (9, 10, "UT", False)],
)
def test_a_host_that_takes_no_connections(failed: int, total: int, flag: str, told: bool) -> None:
    cluster_name = "outbound|443||pay.example.org"

    def plant(cluster: Healthy) -> None:
        shown = host("192.0.2.7", 443, cx_connect_fail=failed, cx_total=total)
        cluster.clusters["shop/web-1"] = {cluster_name: [shown]}
        cluster.log("web-1", line(503, flag, cluster=cluster_name))

    said = (
        f"ServiceEntry shop/pay: names pay.example.org:443, to which {failed} of {total} connections "
        "failed | "
        "as Pod shop/web-1 shows; its addresses: 192.0.2.7:443"
    )
    assert (said in found(plant, OUTSIDE)) is told


# -- gateways --------------------------------------------------------------------------------------


def gateway(**spec: Any) -> Plant:
    return lambda cluster: cluster.edit("Gateway", "public")["spec"].update(spec)


def selects(labels: Obj) -> Plant:
    return lambda cluster: cluster.edit("Service", "istio-ingressgateway", "istio-system")["spec"].update(
        selector=labels
    )


def not_ready(cluster: Healthy) -> None:
    name = "istio-ingressgateway-1"
    cluster.edit("Pod", name, "istio-system")["status"]["conditions"] = [{"type": "Ready", "status": "False"}]


def balanced(cluster: Healthy) -> None:
    cluster.edit("Service", "istio-ingressgateway", "istio-system")["spec"]["type"] = "LoadBalancer"


@pytest.mark.parametrize(
    ("plant", "symptom", "said"),
    [
        (
            gateway(selector={"istio": "other"}),
            AT_GATEWAY,
            "Gateway shop/public: selects no pod (istio=other; pods of gateways have istio=ingressgateway): "
            "nobody serves its hosts",
        ),
        (
            both(
                gateway(selector={}),
                lambda cluster: cluster.remove("Pod", "istio-ingressgateway-1", "istio-system"),
            ),
            AT_GATEWAY,
            "Gateway shop/public: selects no pod (those of all gateways): nobody serves its hosts",
        ),
        (
            not_ready,
            AT_GATEWAY,
            "Gateway shop/public: has no ready pod, of 1 that it selects (istio=ingressgateway)",
        ),
        (
            selects({"istio": "else"}),
            AT_GATEWAY,
            "Gateway shop/public: is served by istio-ingressgateway-1, to which no Service leads",
        ),
        (
            gateway(servers=[{"port": {"number": 8443, "protocol": "HTTP"}, "hosts": [HOST]}]),
            AT_GATEWAY,
            "Gateway shop/public: listens on port 8443, which Service istio-system/istio-ingressgateway "
            "does not "
            "have: nobody gets there",
        ),
        (
            balanced,
            AT_GATEWAY,
            "Service istio-system/istio-ingressgateway: waits for an address: nothing gives one to a "
            "Service of "
            "type LoadBalancer here",
        ),
    ],
)
def test_what_is_said_of_a_gateway(plant: Plant, symptom: Any, said: str) -> None:
    assert said in found(plant, symptom)


def test_an_address_that_has_come_is_no_cause() -> None:
    def plant(cluster: Healthy) -> None:
        balanced(cluster)
        given = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        cluster.edit("Service", "istio-ingressgateway", "istio-system")["status"] = given

    assert found(plant, AT_GATEWAY) == []


@pytest.mark.parametrize(
    ("asked", "plant", "said"),
    [
        (
            "apo.example.com",
            lambda _cluster: None,
            "host apo.example.com: is served by no Gateway, did you mean api.example.com: it gets 404, "
            "or no TLS "
            "connection at all",
        ),
        (
            HOST,
            lambda cluster: cluster.remove("VirtualService", "public", "shop"),
            f"Gateway shop/public: serves {HOST}, for which no VirtualService has a route there: it gets 404",
        ),
        (
            HOST,
            lambda cluster: cluster.edit("VirtualService", "public")["spec"].pop("gateways"),
            "VirtualService shop/public: names no gateway, so Gateway shop/public has no route for "
            f"{HOST}: it gets 404",
        ),
    ],
)
def test_a_host_that_nobody_serves(asked: str, plant: Plant, said: str) -> None:
    assert said in found(plant, {"hostname": asked})


def test_two_gateways_for_one_host_and_port() -> None:
    def twin(**changes: Any) -> Plant:
        def plant(cluster: Healthy) -> None:
            first = cluster.edit("Gateway", "public")
            server = {**first["spec"]["servers"][0], **changes.get("server", {})}
            made = istio("Gateway", "twin", {"selector": first["spec"]["selector"], "servers": [server]})
            made["metadata"]["creationTimestamp"] = "2026-05-01T00:00:00Z"
            cluster.put({**made, "spec": {**made["spec"], **changes.get("spec", {})}})

        return plant

    said = (
        f"Gateway shop/twin: serves {HOST} on port 443 on the same pods as Gateway shop/public, which is "
        "older "
        "and counts"
    )
    assert said in found(twin(), AT_GATEWAY)
    assert said in found(twin(), NOTHING)
    assert said not in found(twin(spec={"selector": {"istio": "else"}}), AT_GATEWAY)
    assert said not in found(twin(server={"hosts": ["x.example.com"]}), AT_GATEWAY)
    assert said not in found(twin(server={"port": {"number": 80, "protocol": "HTTP"}}), AT_GATEWAY)


# -- who is shown what -----------------------------------------------------------------------------


def exported(kind: str, name: str, *places: str) -> Plant:
    return lambda cluster: cluster.edit(kind, name)["spec"].update(exportTo=list(places))


@pytest.mark.parametrize(
    ("plant", "symptom", "said"),
    [
        (
            exported("ServiceEntry", "pay", "third"),
            OUTSIDE,
            "ServiceEntry shop/pay: is not shown to namespace shop (exportTo): its proxy does not know "
            "pay.example.org",
        ),
        (
            exported("VirtualService", "api", "third"),
            CALL,
            "VirtualService shop/api: is not shown to namespace shop (exportTo), so it does nothing for Pod "
            "shop/web-1",
        ),
        (
            exported("DestinationRule", "api", "third"),
            CALL,
            "DestinationRule shop/api: is not shown to namespace shop (exportTo), so it does nothing for Pod "
            "shop/web-1",
        ),
        (
            lambda cluster: cluster.edit("Service", "api")["metadata"].update(
                annotations={"networking.istio.io/exportTo": "third, fourth"}
            ),
            CALL,
            "Service shop/api: is not shown to namespace shop by its annotation "
            "networking.istio.io/exportTo: "
            "third,fourth",
        ),
        (
            both(istio("Sidecar", "narrow", {"egress": [{"hosts": ["istio-system/*", "./x"]}]})),
            CALL,
            "Sidecar shop/narrow: decides for Pod shop/web-1 and does not import "
            "shop/api.shop.svc.cluster.local: "
            "its proxy has no route there | it imports istio-system/*, ./x",
        ),
    ],
)
def test_what_a_caller_is_not_shown(plant: Plant, symptom: Any, said: str) -> None:
    assert said in found(plant, symptom)


@pytest.mark.parametrize("places", [(".",), ("*",), ("shop",), ("third", "shop")])
def test_what_a_caller_is_shown(places: tuple[str, ...]) -> None:
    assert found(exported("ServiceEntry", "pay", *places), OUTSIDE) == []
    for kind in ("VirtualService", "DestinationRule"):
        assert found(exported(kind, "api", *places), CALL) == []


# -- istiod ----------------------------------------------------------------------------------------


def istiod(**status: Any) -> Plant:
    def plant(cluster: Healthy) -> None:
        held = cluster.edit("Pod", "istiod-1", "istio-system")["status"]
        held["containerStatuses"] = [{"name": "discovery", "ready": True, **status}]

    return plant


def uses(share: float) -> Plant:
    return lambda cluster: cluster.figures.update(process_resident_memory_bytes=share * 2 * 2**30)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (
            istiod(lastState={"terminated": {"reason": "OOMKilled"}}, restartCount=3),
            "Pod istio-system/istiod-1: ran out of memory (OOMKilled, restarted 3 times)",
        ),
        (
            istiod(state={"terminated": {"reason": "OOMKilled"}}),
            "Pod istio-system/istiod-1: ran out of memory (OOMKilled, restarted 0 times)",
        ),
        (uses(0.95), "Pod istio-system/istiod-1: uses 95% of its memory limit and will be ended soon"),
        (uses(0.9), ""),
        (istiod(lastState={"terminated": {"reason": "Error"}}), ""),
        (
            lambda cluster: cluster.remove("Pod", "istiod-1", "istio-system"),
            "Deployment istio-system/istiod: has no ready pod (it has none): proxies keep what they "
            "have, new "
            "pods get no sidecar",
        ),
        (
            both(
                lambda cluster: cluster.remove("Pod", "istiod-1", "istio-system"),
                lambda cluster: cluster.edit("Deployment", "istiod", "istio-system")["spec"].update(
                    replicas=0
                ),
            ),
            "Deployment istio-system/istiod: is scaled to 0: no proxy gets a configuration, no pod a sidecar",
        ),
        (
            both(
                lambda cluster: cluster.remove("Pod", "istiod-1", "istio-system"),
                lambda cluster: cluster.remove("Deployment", "istiod", "istio-system"),
            ),
            "Deployment istio-system/istiod: does not exist: no proxy gets a configuration, no pod a sidecar",
        ),
    ],
)
def test_what_is_said_of_istiod(plant: Plant, said: str) -> None:
    told = [
        one for one in found(plant, NOTHING) if "istiod" in one.partition(":")[0] and "Service" not in one
    ]
    assert told == ([said] if said else [])


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("pilot_total_xds_internal_errors", "failed to make configurations 2 times"),
        ("pilot_xds_push_context_errors", "failed to read its objects 2 times"),
        ("pilot_xds_write_timeout", "gave up sending configurations 2 times: proxies are slow to take them"),
        ("pilot_conflict_inbound_listener", "sees 2 conflicts of inbound listeners"),
        ("pilot_duplicate_envoy_clusters", "sees 2 clusters of the same name"),
        ("pilot_vservice_dup_domain", "sees 2 hosts that stand in several VirtualServices"),
    ],
)
def test_what_istiod_has_counted(figure: str, said: str) -> None:
    def plant(cluster: Healthy) -> None:
        cluster.figures.update({figure: 2.0})

    assert any(one.partition(": ")[2].startswith(said) for one in found(plant, CALL))
    assert found(plant, NOTHING) == []


# -- sidecars --------------------------------------------------------------------------------------


def sidecar(*, ready: bool = False, created: str = "", **status: Any) -> Plant:
    def plant(cluster: Healthy) -> None:
        held = cluster.edit("Pod", "web-1")
        held["status"]["initContainerStatuses"] = [{"name": "istio-proxy", "ready": ready, **status}]

    return plant


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (
            sidecar(state={"waiting": {"reason": "ErrImagePull"}}),
            "cannot pull its sidecar's image hub/proxyv2:1.31.0 (ErrImagePull)",
        ),
        (
            sidecar(lastState={"terminated": {"reason": "OOMKilled"}}, restartCount=4),
            "has a sidecar that ran out of memory (OOMKilled, restarted 4 times)",
        ),
        (
            sidecar(state={"terminated": {"reason": "OOMKilled"}}),
            "has a sidecar that ran out of memory (OOMKilled, restarted 0 times)",
        ),
        (
            sidecar(state={"waiting": {"reason": "CrashLoopBackOff"}}),
            "has a sidecar that ends again and again (CrashLoopBackOff)",
        ),
        (sidecar(ready=True, lastState={"terminated": {"reason": "Error"}}), ""),
    ],
)
def test_what_is_said_of_a_sidecar(plant: Plant, said: str) -> None:
    told = [one for one in found(plant, CALL, "Pod shop/web-1") if "sidecar" in one]
    assert told == ([f"Pod shop/web-1: {said}"] if said else [])


# -- limits of time --------------------------------------------------------------------------------


def limits(timeout: str = "", **retries: Any) -> Plant:
    more: Obj = {"timeout": timeout} if timeout else {}
    return routes({**to("api", subset="v1"), **more, **({"retries": retries} if retries else {})})


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (limits("0.05s"), ["gives its requests 0.05s, and most take longer: 504 UT"]),
        (limits("0.1s"), []),
        (
            limits("2s", attempts=2, perTryTimeout="2s"),
            ["gives each try 2s of 2s in all: a second try never comes"],
        ),
        (
            limits("5s", attempts=2, perTryTimeout="2s"),
            ["has 2 retries of 2s, more than its timeout takes"],
        ),
        (limits("6s", attempts=2, perTryTimeout="2s"), []),
        (limits("", attempts=2, perTryTimeout="2s"), []),
        (limits("", attempts=4), []),
        (
            limits("", attempts=5),
            ["tries each request up to 6 times: slow, and a multiple of the load where it fails"],
        ),
    ],
)
def test_limits_that_are_too_tight(plant: Plant, said: list[str]) -> None:
    assert found(plant, CALL, "VirtualService") == [f"VirtualService shop/api: {one}" for one in said]
    assert found(plant, NOTHING, "VirtualService") == []


@pytest.mark.parametrize(
    ("duration", "told"), [(1399, False), (1400, True), (3100, True), (3101, False), (2000, True)]
)
def test_requests_that_ended_at_the_timeout(duration: int, told: bool) -> None:
    """Those that took about as long: with the timeout of before, a request took another time."""
    plant = both(limits("2s"), lambda cluster: cluster.log("web-1", line(504, "UT", duration=duration)))
    said = (
        "VirtualService shop/api: gives its requests 2s, and they take longer: 504 UT | "
        "1 requests ended with 504 UT in the access logs"
    )
    assert (said in found(plant)) is told


WEB_LINE = {"cluster": "outbound|80||web.shop.svc.cluster.local", "authority": "web"}


@pytest.mark.parametrize(
    ("hosts", "where", "told"),
    [
        (["api"], WEB_LINE, False),
        (["api"], {}, True),
        (["*"], WEB_LINE, False),
        (["*"], {}, True),
        (["*", "web"], WEB_LINE, True),
    ],
)
def test_a_timeout_of_another_host_is_not_that_of_a_route(
    hosts: list[str], where: dict[str, str], *, told: bool
) -> None:
    """It was the fallback when no request to the route's own hosts had ended so, and made it SURE."""
    plant = both(
        limits("2s", attempts=5),
        lambda cluster: cluster.edit("VirtualService", "api")["spec"].update(hosts=hosts),
        lambda cluster: cluster.log("web-1", line(504, "UT", duration=2000, **where)),
    )
    late = [one for one in found(plant, NOTHING, "VirtualService shop/api") if "504 UT in the" in one]
    assert bool(late) is told


def pool(**pool: Any) -> Plant:
    return lambda cluster: cluster.edit("DestinationRule", "api")["spec"].update(
        trafficPolicy={"connectionPool": pool}
    )


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (pool(tcp={"connectTimeout": "19ms"}), ["gives connections 19 ms to come about: 503 UF under load"]),
        (pool(tcp={"connectTimeout": "20ms"}), []),
        (
            pool(http={"maxRequestsPerConnection": 1}),
            ["makes a new connection, with a new handshake, for each request"],
        ),
        (pool(http={"maxRequestsPerConnection": 2}), []),
    ],
)
def test_connections_that_are_slow(plant: Plant, said: list[str]) -> None:
    assert found(plant, CALL, "DestinationRule") == [f"DestinationRule shop/api: {one}" for one in said]


# -- routes to nothing -----------------------------------------------------------------------------


NO_CLUSTER = "requests get 503 NC"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            {"host": "apo"},
            f"sends to apo.shop.svc.cluster.local, which is no Service and no "
            f"ServiceEntry, did you mean api: {NO_CLUSTER}",
        ),
        (
            {"host": "nothing.example.net"},
            f"sends to nothing.example.net, which is no Service and no ServiceEntry: {NO_CLUSTER}",
        ),
        (
            {"host": "istiod"},
            "sends to istiod, which means istiod.shop.svc.cluster.local: there is none in namespace shop",
        ),
        (
            {"host": "api", "subset": "v3"},
            f"sends to subset v3 of {API}, which no DestinationRule "
            f"defines (there are: v1, v2): {NO_CLUSTER}",
        ),
        (
            {"host": "api", "port": {"number": 81}},
            f"sends to port 81 of {API}, which Service shop/api does not have: {NO_CLUSTER}",
        ),
        ({"host": "api", "port": {"number": 80}}, ""),
        ({"host": "pay.example.org"}, ""),
    ],
)
def test_routes_that_lead_nowhere(target: Obj, said: str) -> None:
    told = found(routes({"route": [{"destination": target}]}), CALL, "VirtualService")
    assert told == ([f"VirtualService shop/api: {said}"] if said else [])
    idle = routes(
        {"route": [{"destination": target, "weight": 0}, {"destination": {"host": "api"}, "weight": 100}]}
    )
    assert found(idle, CALL, "VirtualService") == [], "what gets no request is no cause"


def test_a_subset_without_pods_or_without_a_ready_one() -> None:
    def gone(cluster: Healthy) -> None:
        cluster.edit("Pod", "api-1")["metadata"]["labels"]["version"] = "v9"

    said = "defines subset v1 as version=v1, which no pod of Service shop/api carries: requests get 503 UH"
    assert f"DestinationRule shop/api: {said} | VirtualService shop/api sends there" in found(gone)

    def sick(cluster: Healthy) -> None:
        cluster.edit("Pod", "api-1")["status"]["conditions"] = [{"type": "Ready", "status": "False"}]

    said = f"sends to subset v1 of {API}, none of whose 1 pods is ready"
    assert f"VirtualService shop/api: {said}" in found(sick)


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "command"),
    [
        (("ReplicaSet", "web-7d9f"), "kubectl rollout restart deployment/web -n shop"),
        (("ReplicaSet", "web-v1"), "delete and create pod shop/web-1 again"),  # one without a Deployment
        (("StatefulSet", "db"), "kubectl rollout restart statefulset/db -n shop"),
        (("Job", "once"), "delete and create pod shop/web-1 again"),
        (None, "delete and create pod shop/web-1 again"),
    ],
)
def test_the_command_that_makes_a_pod_anew(owner: Any, command: str) -> None:
    raw = pod("web-1")
    raw["metadata"].setdefault("labels", {})["pod-template-hash"] = "7d9f"
    raw["metadata"]["ownerReferences"] = (
        [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    )
    assert words.restart(parse_pod(raw)) == command


def test_commands_and_lists_in_words() -> None:
    assert words.edit("Service shop/api") == "kubectl edit service api -n shop"
    assert words.edit("MutatingWebhookConfiguration x") == "kubectl edit mutatingwebhookconfiguration x"
    assert few(["a", "b", "a", "c"]) == "a, b, c"
    assert few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert few([]) == ""
