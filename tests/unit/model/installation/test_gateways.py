"""The one reader of istio_gateways: defaults, and every fault by its place."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.gateways import (
    GatewayPort,
    InstalledGateway,
    gateways_of,
    read_gateways,
    workload_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.problems import Problems
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.reader import Reader


def read(*entries: Any, **more: Any) -> tuple[InstalledGateway, ...]:
    return gateways_of({"istio_gateways": list(entries), **more})


def test_a_name_is_enough() -> None:
    (gateway,) = read({"name": "istio-edge"})
    assert gateway == InstalledGateway(
        where="istio_gateways[0]",
        name="istio-edge",
        namespace="istio-system",
        service_account="istio-edge-service-account",
        labels={"app": "istio-edge", "istio": "edge"},
        egress=False,
        revision="",
        service_type="LoadBalancer",
        ports=(GatewayPort("status-port", 15021), GatewayPort("http2", 80), GatewayPort("https", 443)),
        replicas=0,
        min_replicas=1,
        max_replicas=5,
        resources={},
        service_annotations={},
        values={},
    )
    assert gateway.selector == {"istio": "edge"}


def test_everything_can_be_said() -> None:
    (gateway,) = read(
        {
            "name": "out",
            "namespace": "edge",
            "service_account": "out.sa",
            "labels": {"istio": "other", "team": "a"},
            "egress": True,
            "service_type": "NodePort",
            "ports": [
                {"name": "tls", "port": "443", "target_port": 8443, "protocol": "UDP", "node_port": 30443},
                {"name": "tls-tcp", "port": 443},
            ],
            "replicas": 2,
            "resources": {"requests": {"cpu": 1}, "claims": [{"name": "x"}]},
            "service_annotations": {"example.com/a": "true"},
            "values": {"affinity": {}},
        },
        istio_namespace="mesh-system",
        istio_revision="r2",
    )
    assert gateway == InstalledGateway(
        where="istio_gateways[0]",
        name="out",
        namespace="edge",
        service_account="out.sa",
        labels={"app": "out", "istio": "other", "team": "a"},
        egress=True,
        revision="r2",
        service_type="NodePort",
        ports=(GatewayPort("tls", 443, 8443, "UDP", 30443), GatewayPort("tls-tcp", 443)),
        replicas=2,
        min_replicas=1,
        max_replicas=5,
        resources={"requests": {"cpu": 1}, "claims": [{"name": "x"}]},
        service_annotations={"example.com/a": "true"},
        values={"affinity": {}},
    )
    assert gateway.selector == {"istio": "other"}
    (scaled,) = read({"name": "out", "min_replicas": 3, "max_replicas": 3})
    assert (scaled.replicas, scaled.min_replicas, scaled.max_replicas) == (0, 3, 3)


def test_a_name_of_istio_is_free_in_other_namespaces() -> None:
    (gateway,) = read({"name": "istiod", "namespace": "edge"})
    assert gateway.name == "istiod"
    assert [gateway.name for gateway in read({"name": "istio-edge"}, {"name": "my-istiod"})] == [
        "istio-edge",
        "my-istiod",
    ]


def test_an_egress_gateway_needs_no_load_balancer() -> None:
    assert read({"name": "out", "egress": True})[0].service_type == "ClusterIP"


@pytest.mark.parametrize("variables", [{}, {"istio_gateways": None}])
def test_without_a_list_there_is_the_one_default_gateway(variables: dict[str, Any]) -> None:
    (gateway,) = gateways_of({**variables, "istio_namespace": "mesh-system"})
    assert (gateway.namespace, gateway.name) == ("mesh-system", "istio-ingressgateway")
    assert gateways_of({"istio_gateways": []}) == ()


@pytest.mark.parametrize(("given", "revision"), [("", ""), (None, ""), ("default", ""), ("r1", "r1")])
def test_the_default_revision_has_no_name(given: str | None, revision: str) -> None:
    assert read({"name": "a"}, istio_revision=given)[0].revision == revision


PORTS = [{"name": "x", "port": 80}, {"name": "y", "port": 81}]
FAULTS: list[tuple[Any, str, str]] = [
    ("a", "istio_gateways[0]", "type"),
    ({}, "istio_gateways[0].name", "required"),
    ({"name": "A"}, "istio_gateways[0].name", "dns-label"),
    ({"name": "a", "servicetype": "x"}, "istio_gateways[0].servicetype", "unknown-key"),
    ({"name": "a", "namespace": "A"}, "istio_gateways[0].namespace", "dns-label"),
    ({"name": "a", "service_account": "A"}, "istio_gateways[0].service_account", "service-account"),
    ({"name": "a", "labels": "x"}, "istio_gateways[0].labels", "type"),
    ({"name": "a", "labels": {"x": 1}}, "istio_gateways[0].labels.x", "label"),
    ({"name": "a", "egress": "no"}, "istio_gateways[0].egress", "type"),
    ({"name": "a", "service_type": "None"}, "istio_gateways[0].service_type", "choice"),
    ({"name": "a", "service_annotations": {"x": True}}, "istio_gateways[0].service_annotations.x", "type"),
    (
        {"name": "a", "service_annotations": {"x y": "z"}},
        "istio_gateways[0].service_annotations.x y",
        "annotation",
    ),
    ({"name": "a", "values": [1]}, "istio_gateways[0].values", "type"),
    ({"name": "a", "replicas": -1}, "istio_gateways[0].replicas", "range"),
    ({"name": "a", "replicas": 0}, "istio_gateways[0].replicas", "range"),
    *(
        ({"name": name}, "istio_gateways[0].name", "reserved-name")
        for name in ("istiod", "istiod-1-31", "istio-base", "ztunnel")
    ),
    ({"name": "a", "min_replicas": 0}, "istio_gateways[0].min_replicas", "range"),
    ({"name": "a", "max_replicas": 0}, "istio_gateways[0].max_replicas", "range"),
    ({"name": "a", "min_replicas": 6}, "istio_gateways[0].min_replicas", "replicas"),
    ({"name": "a", "replicas": 2, "min_replicas": 2}, "istio_gateways[0].min_replicas", "replicas"),
    ({"name": "a", "replicas": 2, "max_replicas": 9}, "istio_gateways[0].max_replicas", "replicas"),
    ({"name": "a", "ports": 80}, "istio_gateways[0].ports", "type"),
    ({"name": "a", "ports": [80]}, "istio_gateways[0].ports[0]", "type"),
    ({"name": "a", "ports": [{"port": 80}]}, "istio_gateways[0].ports[0].name", "required"),
    ({"name": "a", "ports": [{"name": "X", "port": 80}]}, "istio_gateways[0].ports[0].name", "dns-label"),
    ({"name": "a", "ports": [{"name": "x"}]}, "istio_gateways[0].ports[0].port", "required"),
    ({"name": "a", "ports": [{"name": "x", "port": 0}]}, "istio_gateways[0].ports[0].port", "range"),
    ({"name": "a", "ports": [{"name": "x", "port": 65536}]}, "istio_gateways[0].ports[0].port", "range"),
    (
        {"name": "a", "ports": [PORTS[0] | {"target_port": 65536}]},
        "istio_gateways[0].ports[0].target_port",
        "range",
    ),
    (
        {"name": "a", "ports": [PORTS[0] | {"node_port": 65536}]},
        "istio_gateways[0].ports[0].node_port",
        "range",
    ),
    (
        {"name": "a", "ports": [PORTS[0] | {"protocol": "HTTP"}]},
        "istio_gateways[0].ports[0].protocol",
        "choice",
    ),
    (
        {"name": "a", "ports": [PORTS[0] | {"nodeport": 1}]},
        "istio_gateways[0].ports[0].nodeport",
        "unknown-key",
    ),
    (
        {"name": "a", "ports": [PORTS[0], PORTS[1] | {"port": 80}]},
        "istio_gateways[0].ports[1].port",
        "duplicate",
    ),
    (
        {"name": "a", "ports": [PORTS[0], PORTS[1] | {"name": "x"}]},
        "istio_gateways[0].ports[1].name",
        "duplicate",
    ),
    ({"name": "a", "resources": 5}, "istio_gateways[0].resources", "type"),
    ({"name": "a", "resources": {"request": {}}}, "istio_gateways[0].resources.request", "unknown-key"),
    ({"name": "a", "resources": {"limits": 5}}, "istio_gateways[0].resources.limits", "type"),
    (
        {"name": "a", "resources": {"requests": {"cpu": None}}},
        "istio_gateways[0].resources.requests.cpu",
        "quantity",
    ),
    (
        {"name": "a", "resources": {"limits": {"memory": "128MB"}}},
        "istio_gateways[0].resources.limits.memory",
        "quantity",
    ),
    (
        {"name": "a", "resources": {"requests": {"cpu": True}}},
        "istio_gateways[0].resources.requests.cpu",
        "type",
    ),
]


@pytest.mark.parametrize(("entry", "where", "rule"), FAULTS)
def test_a_fault_is_named_by_its_place_alone(entry: Any, where: str, rule: str) -> None:
    with pytest.raises(InputError) as caught:
        read(entry)
    assert [(problem.where, problem.rule) for problem in caught.value.problems] == [(where, rule)]


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({"istio_gateways": {"name": "a"}}, "istio_gateways"),
        ({"istio_namespace": "A"}, "istio_namespace"),
        ({"istio_namespace": 7}, "istio_namespace"),
        ({"istio_revision": "1.31"}, "istio_revision"),
    ],
)
def test_what_stands_beside_the_entries_is_checked_too(variables: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as caught:
        gateways_of(variables)
    assert [problem.where for problem in caught.value.problems] == [where]


def test_a_name_may_be_used_once_in_a_namespace() -> None:
    with pytest.raises(
        InputError, match=r"istio_gateways\[2\].name of a: 'a' is given twice in istio-system"
    ):
        read({"name": "a", "namespace": "edge"}, {"name": "a"}, {"name": "a", "namespace": "istio-system"})
    assert len(read({"name": "a", "namespace": "edge"}, {"name": "a"})) == 2


@pytest.mark.parametrize("amount", [1, 0.5, "100m", "128Mi", "1.5Gi", "1e3", ".5", "+1", "10E2"])
def test_every_kubernetes_quantity_is_a_quantity(amount: Any) -> None:
    resources = {"requests": {"cpu": amount}, "limits": {}}
    assert read({"name": "a", "resources": resources})[0].resources == resources


INSTALLED = read(
    {"name": "in"},
    {"name": "out", "egress": True},
    {"name": "twice", "namespace": "a", "egress": True},
    {"name": "twice", "namespace": "b", "egress": True},
)


@pytest.mark.parametrize(
    ("entry", "egress", "found"),
    [
        # An egress gateway on the list does not make the choice of the only ingress one unclear.
        ({}, False, "istio-system/in"),
        ({"workload": "in"}, False, "istio-system/in"),
        ({"workload": "out"}, False, "istio-system/out"),
        ({"workload": "in"}, True, "istio-system/in"),
        ({}, True, None),
        ({"workload_namespace": "a"}, True, "a/twice"),
        ({"workload": "twice", "workload_namespace": "b"}, True, "b/twice"),
        # What lives elsewhere is not the installed gateway, so it does not get its ServiceAccount.
        ({"workload_namespace": "edge"}, False, None),
    ],
)
def test_the_workload_of_a_gateway(entry: dict[str, Any], egress: bool, found: str | None) -> None:
    problems = Problems()
    workload = workload_of(Reader(entry, "mesh_gateways[0]", problems), INSTALLED, egress=egress)
    assert (workload and f"{workload.namespace}/{workload.name}") == found
    assert problems.found == ()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"workload": "other"}, "istio_gateways has no gateway 'other'"),
        ({"workload": "in", "workload_namespace": "edge"}, "istio_gateways has no gateway 'in' in edge"),
        ({"workload": "twice"}, "'twice' is in a, b: give workload_namespace"),
    ],
)
def test_a_workload_that_is_not_clear_is_refused(entry: dict[str, Any], message: str) -> None:
    problems = Problems()
    assert workload_of(Reader(entry, "mesh_gateways[0]", problems), INSTALLED) is None
    (problem,) = problems.found
    assert (problem.where, problem.message) == ("mesh_gateways[0].workload", message)
    assert problem.rule == "unknown-gateway"


def test_only_ingress_gateways_are_the_default_of_an_entry() -> None:
    problems = Problems()
    outward = read({"name": "out", "egress": True})
    assert workload_of(Reader({}, "mesh_gateways[0]", problems), outward) is None
    assert problems.found == ()


def test_of_a_gateway_without_a_name_nothing_else_is_said() -> None:
    problems = Problems()
    variables = {"istio_gateways": [{"name": "a"}, {"egress": True}, {"name": "b", "replicas": "x"}]}
    found = read_gateways(Reader(variables, "", problems))
    assert [gateway.name for gateway in found] == ["a", "b"]
    assert {(one.where, one.rule) for one in problems.found} >= {("istio_gateways[1].name", "required")}


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_ports_of_every_protocol(protocol: str) -> None:
    (gateway,) = read({"name": "a", "ports": [{"name": "x", "port": 53, "protocol": protocol}]})
    assert gateway.ports == (GatewayPort("x", 53, 0, protocol, 0),)
