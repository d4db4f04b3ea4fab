# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every finding of the comparison in full: its place, its words, its weight, and what is right beside it."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import (
    COMPONENT,
    COMPONENT_LABEL,
    RUN_LABEL,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.protocols import (
    are_alike,
    declared_protocol,
    needs_http2,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.compare import (
    compare,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.findings import (
    Comparison,
    Difference,
    labels_text,
    listed,
)

from ...support.catalogues import minimal
from ...support.cluster import FakeCluster
from ...support.deployed import kube_service, namespace, pod, shop
from .test_compare import Change, Obj, catalogue, compared, gateway_object, headless

Told = tuple[str, str, str, str, str]


def told(change: Change | None = None, raw: Obj | None = None, **options: Any) -> list[Told]:
    """What a change adds to what is said of the shop as it is: place, words, rule, weight, entry."""
    before = set(compared().differences)
    return [
        (item.where, item.message, item.rule, item.weight, item.resource)
        for item in compared(change, raw, **options).differences
        if item not in before
    ]


# -- gateways ------------------------------------------------------------------------------------------------


def egress(**more: Any) -> Obj:
    gateway = {"workload_namespace": "edge", "service_account": "out", "selector": {"istio": "out"}}
    return minimal(mesh_egress_gateway={**gateway, "service": "out", **more})


def outward(cluster: FakeCluster, *, account: str = "out", **spec: Any) -> None:
    ports = [{"name": "https", "port": 443}]
    cluster.put(kube_service("out", "edge", selector={"istio": "out"}, ports=ports))
    cluster.put(pod("out", "edge", labels={"istio": "out"}, account=account, **spec))


@pytest.mark.parametrize(
    ("change", "raw", "expected"),
    [
        (outward, egress(), []),
        (
            None,
            egress(),
            [
                (
                    "mesh_egress_gateway",
                    "edge holds no pod of it yet: it cannot be compared",
                    "cluster-gateway",
                    "unknown",
                    "",
                )
            ],
        ),
        (
            lambda cluster: cluster.put(namespace("edge")),
            egress(),
            [
                (
                    "mesh_egress_gateway.selector",
                    "istio=out selects no pod in edge: nobody would serve its hosts",
                    "cluster-gateway",
                    "cuts",
                    "",
                )
            ],
        ),
        (
            lambda cluster: outward(cluster, account="other"),
            egress(),
            [
                (
                    "mesh_egress_gateway.service_account",
                    "'out', but its pods run as other: services would refuse its calls as a stranger's",
                    "cluster-account",
                    "cuts",
                    "",
                )
            ],
        ),
        (
            outward,
            egress(port=8443),
            [
                (
                    "mesh_egress_gateway.port",
                    "8443 is no port of Service edge/out (443): nobody gets there",
                    "cluster-gateway-port",
                    "cuts",
                    "",
                )
            ],
        ),
        (lambda cluster: outward(cluster, hostNetwork=True), egress(port=8443), []),
        (
            lambda cluster: outward(cluster, ports=[{"containerPort": 8443, "hostPort": 8443}]),
            egress(port=8443),
            [],
        ),
    ],
)
def test_the_egress_gateway_is_compared_as_well(
    change: Change | None, raw: Obj, expected: list[Told]
) -> None:
    assert told(change, raw) == expected


INGRESS = {"istio": "ingressgateway"}
ACCOUNT = "istio-ingressgateway-service-account"


def test_pods_of_two_accounts_are_told_and_of_the_right_one_nothing() -> None:
    def second(account: str) -> list[Told]:
        return told(lambda cluster: cluster.put(pod("b", "istio-system", labels=INGRESS, account=account)))

    assert second(ACCOUNT) == []
    assert second("stranger") == [
        (
            "mesh_gateways[0].service_account",
            f"{ACCOUNT!r}, but its pods run as stranger: services would refuse its calls as a stranger's",
            "cluster-account",
            "note",
            "public",
        )
    ]


@pytest.mark.parametrize(
    ("labels", "near"),
    [
        ({"istio": "ingresgateway"}, ", did you mean ingresgateway"),
        ({"istio": "zzz"}, " (pods there have istio=zzz)"),
        ({"app": "x"}, ""),
    ],
)
def test_what_the_pods_carry_instead_is_named(labels: dict[str, str], near: str) -> None:
    ((where, message, *_rest),) = told(
        lambda cluster: cluster.put(
            pod("istio-ingressgateway", "istio-system", labels=labels, account=ACCOUNT)
        )
    )
    assert where == "mesh_gateways[0].selector"
    assert (
        message == f"istio=ingressgateway selects no pod in istio-system{near}: nobody would serve its hosts"
    )


def test_of_several_labels_the_one_that_nobody_carries_is_named() -> None:
    raw = minimal()
    raw["mesh_gateways"][0]["selector"] = {"app": "istio-ingressgateway", "istio": "edge", "team": "a"}

    def change(cluster: FakeCluster) -> None:
        for name in "abcd":
            cluster.put(pod(name, "istio-system", labels={"istio": name * 3}))

    ((_where, message, *_rest),) = told(change, raw)
    assert "selects no pod in istio-system (pods there have istio=aaa|bbb|ccc)" in message


def test_labels_that_no_single_pod_carries_together_have_no_near_one() -> None:
    raw = minimal()
    raw["mesh_gateways"][0]["selector"] = {"app": "edge", "istio": "edge"}

    def change(cluster: FakeCluster) -> None:
        cluster.put(pod("a", "istio-system", labels={"app": "edge"}))
        cluster.put(pod("b", "istio-system", labels={"istio": "edge"}))

    ((_where, message, *_rest),) = told(change, raw)
    assert message.startswith("app=edge,istio=edge selects no pod in istio-system: nobody would serve")


def test_ports_of_services_of_other_pods_do_not_count() -> None:
    def change(cluster: FakeCluster) -> None:
        cluster.put(
            kube_service(
                "istio-ingressgateway", "istio-system", selector=INGRESS, ports=[{"port": 8443}, {"port": 80}]
            )
        )
        cluster.put(kube_service("other", "istio-system", selector={"app": "other"}, ports=[{"port": 443}]))
        cluster.put(kube_service("nobody", "istio-system", selector={}, ports=[{"port": 443}]))

    assert told(change) == [
        (
            "mesh_gateways[0].servers[0].port",
            "443 is no port of Service istio-system/istio-ingressgateway (80, 8443): nobody gets there",
            "cluster-gateway-port",
            "cuts",
            "public",
        )
    ]


@pytest.mark.parametrize("target", [80, "80", "https", None])
def test_a_target_port_that_leads_elsewhere_does_not_make_the_port_known(target: Any) -> None:
    entry = {"name": "https", "port": 8443, **({"targetPort": target} if target else {})}

    def change(cluster: FakeCluster) -> None:
        ports = [{"name": "http", "port": 80}, entry]
        cluster.put(kube_service("istio-ingressgateway", "istio-system", selector=INGRESS, ports=ports))

    assert [item[0] for item in told(change)] == ["mesh_gateways[0].servers[0].port"]


def test_a_gateway_without_a_service_is_told_by_one_of_its_pods() -> None:
    assert told(lambda cluster: cluster.remove("Service", "istio-ingressgateway", "istio-system")) == [
        (
            "mesh_gateways[0]",
            "no Service in istio-system leads to its pods, such as istio-ingressgateway-1",
            "cluster-gateway",
            "note",
            "public",
        )
    ]


def test_a_gateway_that_may_still_come_is_compared_once_somebody_runs_as_it() -> None:
    def account_only(cluster: FakeCluster) -> None:
        cluster.put(pod("istio-ingressgateway", "istio-system", labels={"istio": "x"}, account=ACCOUNT))

    def gone(cluster: FakeCluster) -> None:
        cluster.remove("Pod", "istio-ingressgateway-1", "istio-system")

    assert [item[3] for item in told(account_only, gateways_may_come=True)] == ["cuts"]
    assert told(gone, gateways_may_come=True) == [
        (
            "mesh_gateways[0]",
            "istio-system holds no pod of it yet: it cannot be compared",
            "cluster-gateway",
            "unknown",
            "public",
        )
    ]
    for stranger in (("istio-system", "other"), ("other", ACCOUNT)):
        assert [item[3] for item in told(gone, gateways_to_come=[stranger])] == ["cuts"]


def test_what_may_not_be_read_says_why() -> None:
    def change(cluster: FakeCluster) -> None:
        cluster.forbidden = {"Pod"}

    reason = "cannot be compared: "
    found = told(change)
    assert [(item[0], item[3], item[4]) for item in found] == [
        ("mesh_services[0]", "unknown", "web"),
        ("mesh_services[1]", "unknown", "api"),
        ("mesh_gateways[0]", "unknown", "public"),
    ]
    assert all(item[1].startswith(reason) and "Pod is forbidden" in item[1] for item in found)
    assert [item[2] for item in found] == ["cluster-service", "cluster-service", "cluster-gateway"]


@pytest.mark.parametrize("kind", ["Service", "Pod", "ConfigMap", "Gateway"])
def test_other_trouble_ends_the_comparison(kind: str) -> None:
    cluster = FakeCluster(*shop())
    cluster.fail("list", kind, 500, times=99)
    with pytest.raises(ApiError):
        compare(cluster, parse_catalogue(minimal()))


# -- Gateways of others --------------------------------------------------------------------------------------

IDLE = "its selector istio=nobody matches no pod: nobody serves its hosts"


def test_gateways_of_others_are_told_once_wherever_they_are_read() -> None:
    stale, planned = gateway_object("own", istio="old"), gateway_object("own", istio="nobody")
    expected = [("Gateway shop/own", IDLE, "gateway-selector", "note", "")]
    assert told(lambda cluster: cluster.put(stale), extra=[planned]) == expected
    assert told(lambda cluster: cluster.put(planned)) == expected
    elsewhere = gateway_object("own", "istio-system", istio="nobody")
    assert [item[0] for item in told(lambda cluster: cluster.put(elsewhere), extra=[planned])] == [
        "Gateway shop/own",
        "Gateway istio-system/own",
    ]


def test_what_is_no_gateway_of_istio_s_or_the_catalogue_s_own_is_not_judged() -> None:
    other_api = {**gateway_object("x", istio="nobody"), "apiVersion": "gateway.networking.k8s.io/v1"}
    service = {**gateway_object("x", istio="nobody"), "kind": "Sidecar"}
    everybody = gateway_object("x")
    own = parse_catalogue(minimal()).gateways[0]
    ours = gateway_object(own.name, own.namespace, istio="nobody")
    assert told(extra=[other_api, service, everybody, ours]) == []


@pytest.mark.parametrize("phase", ["Running", "Succeeded"])
def test_pods_far_away_serve_a_gateway_unless_they_have_ended(phase: str) -> None:
    far = pod("edge", "far", labels={"istio": "edge"})
    far["status"]["phase"] = phase

    def change(cluster: FakeCluster) -> None:
        cluster.put(gateway_object("x", istio="edge"))
        cluster.put(far)

    assert len(told(change)) == (phase == "Succeeded")


def test_pods_far_away_that_may_not_be_listed_leave_it_open() -> None:
    cluster = FakeCluster(*shop(), gateway_object("x", istio="edge"))
    cluster.fail("list", "Pod", 403, when=lambda call: call.namespace is None)
    found = compare(cluster, parse_catalogue(minimal()))
    assert found.status == "cannot tell"
    assert [item.weight for item in found.differences if item.rule == "gateway-selector"] == ["unknown"]
    cluster.fail("list", "Pod", 500, when=lambda call: call.namespace is None)
    with pytest.raises(ApiError):
        compare(cluster, parse_catalogue(minimal()))


@pytest.mark.parametrize("status", [403, 404])
def test_gateways_that_may_not_be_listed_are_not_missed(status: int) -> None:
    cluster = FakeCluster(*shop(), gateway_object("x", istio="nobody"))
    cluster.fail("list", "Gateway", status, times=9)
    found = compare(cluster, parse_catalogue(minimal()))
    assert [item for item in found.differences if item.rule == "gateway-selector"] == []


# -- external names ------------------------------------------------------------------------------------------


def test_only_names_for_hosts_of_the_catalogue_are_told() -> None:
    bank = {
        "name": "bank",
        "hosts": ["pay.example.com", "api.example.net"],
        "ports": [{"number": 443, "protocol": "HTTPS"}],
        "callers": [{"service": "web"}],
    }

    def change(cluster: FakeCluster) -> None:
        for name, host in (("a", "api.example.net."), ("b", "other.example.com")):
            cluster.put(kube_service(name, selector={}, type="ExternalName", externalName=host))
        cluster.put(kube_service("c", type="ClusterIP", externalName="pay.example.com"))

    assert told(change, minimal(mesh_external_services=[bank])) == [
        (
            "mesh_external_services[0].hosts",
            "Service shop/a of type ExternalName stands for api.example.net: calls through that name fail "
            "with 502; call api.example.net itself",
            "external-name",
            "note",
            "bank",
        )
    ]


# -- services ------------------------------------------------------------------------------------------------

API = ("mesh_services[1]", "api")
V1 = {"app": "api", "version": "v1"}


@pytest.mark.parametrize(
    ("change", "raw", "expected"),
    [
        (
            lambda cluster: cluster.remove("Service", "api", "shop"),
            None,
            [
                (
                    "name",
                    "there is no Service shop/api: its callers would get no answer; deploy it first, describe "
                    "it in mesh_resource_paths, or name it in mesh_not_deployed",
                    "service-missing",
                    "cuts",
                )
            ],
        ),
        (
            lambda cluster: cluster.put(
                kube_service("api", type="ExternalName", externalName="db.example.com")
            ),
            None,
            [
                (
                    "name",
                    "Service shop/api only stands for db.example.com, outside the mesh (type ExternalName): "
                    "describe that host in mesh_external_services",
                    "external-name",
                    "cuts",
                )
            ],
        ),
        (
            None,
            catalogue(labels={"app": "apis"}, versions={}),
            [
                (
                    "labels",
                    "app=apis selects none of the 1 pods behind Service shop/api (app=api): no rule of this "
                    "entry would reach them, and every call would be denied",
                    "cluster-labels",
                    "cuts",
                )
            ],
        ),
        (
            lambda cluster: cluster.put(
                pod("api-b", labels={"app": "api", "version": "v2"}, account="api")
            ),
            catalogue(labels=V1, versions={}),
            [
                (
                    "labels",
                    "app=api,version=v1 leaves out 1 of the 2 pods behind Service shop/api (app=api), such as "
                    "api-b-1: calls to those would be denied",
                    "cluster-labels",
                    "cuts",
                )
            ],
        ),
        (
            lambda cluster: cluster.remove("Pod", "api-1", "shop"),
            catalogue(labels={"app": "apis"}, versions={}),
            [
                (
                    "labels",
                    "app=apis and the selector of Service shop/api (app=api) exclude each other",
                    "cluster-labels",
                    "cuts",
                )
            ],
        ),
        (
            lambda cluster: cluster.remove("Pod", "api-1", "shop"),
            catalogue(labels={"app": "api", "tier": "x"}, versions={}),
            [("labels", "no pod is behind Service shop/api (app=api)", "cluster-labels", "note")],
        ),
        (
            lambda cluster: cluster.put(pod("web", labels={"app": "web", "team": "a"})),
            catalogue(labels={"team": "a"}, versions={}),
            [
                (
                    "labels",
                    "team=a selects none of the 1 pods behind Service shop/api (app=api): no rule of this "
                    "entry would reach them, and every call would be denied",
                    "cluster-labels",
                    "cuts",
                ),
                (
                    "labels",
                    "team=a also selects pods that Service shop/api (app=api) does not lead to: web-1",
                    "cluster-labels",
                    "note",
                ),
            ],
        ),
        (
            lambda cluster: cluster.put(pod("api", labels=V1, account="a")) and cluster.put(
                pod("api-b", labels=V1, account="b")
            ),
            catalogue(versions={}),
            [
                (
                    "service_account",
                    "'api', but its pods run as a, b: it calls nobody so far",
                    "cluster-account",
                    "note",
                )
            ],
        ),
        (
            lambda cluster: cluster.put(pod("api", labels={"app": "api", "version": "v2"})),
            None,
            [
                (
                    "versions.v1",
                    "no pod behind Service shop/api carries version=v1: nothing would answer for it",
                    "cluster-version",
                    "note",
                )
            ],
        ),
        (
            lambda cluster: cluster.put(pod("api", labels={"app": "api", "version": "one"})),
            None,
            [
                (
                    "versions",
                    "no pod behind Service shop/api carries the labels of a version (they have version=one)",
                    "cluster-version",
                    "cuts",
                )
            ],
        ),
    ],
)  # fmt: skip
def test_a_service_beside_its_own(
    change: Change | None, raw: Obj | None, expected: list[tuple[str, str, str, str]]
) -> None:
    where, name = API
    assert told(change, raw) == [
        (f"{where}.{part}", message, rule, weight, name) for part, message, rule, weight in expected
    ]


def test_of_a_caller_some_of_whose_pods_are_strangers_how_many_is_told() -> None:
    def change(cluster: FakeCluster) -> None:
        for name in ("b", "c"):
            cluster.put(pod(name, labels={"app": "web"}, account=name))

    assert told(change) == [
        (
            "mesh_services[0].service_account",
            "'web', but 2 of its pods run as b, c: calls of this service would be refused as a stranger's",
            "cluster-account",
            "note",
            "web",
        )
    ]


def test_who_calls_external_hosts_alone_is_a_caller_too() -> None:
    bank = {
        "name": "bank",
        "hosts": ["pay.example.com"],
        "ports": [{"number": 443, "protocol": "HTTPS"}],
        "callers": [{"service": "api"}],
    }
    found = told(
        lambda cluster: cluster.put(pod("api", labels=V1, account="x")),
        minimal(mesh_external_services=[bank]),
    )
    assert [(item[0], item[3]) for item in found] == [("mesh_services[1].service_account", "cuts")]


def test_pods_that_carry_a_part_of_the_labels_of_versions_show_it() -> None:
    raw = catalogue(versions={"v1": {"labels": {"version": "v1", "ring": "a"}}}, initial_version="v1")
    found = told(lambda cluster: cluster.put(pod("api", labels={"app": "api", "ring": "b"})), raw)
    assert [item[1] for item in found] == [
        "no pod behind Service shop/api carries the labels of a version (they have ring=b)"
    ]
    naked = told(lambda cluster: cluster.put(pod("api", labels={"app": "api"})), raw)
    assert [item[1] for item in naked] == [
        "no pod behind Service shop/api carries the labels of a version (they have none of ring, version)"
    ]


def test_named_ports_of_several_pods_that_lead_to_different_numbers_are_all_named() -> None:
    def change(cluster: FakeCluster) -> None:
        cluster.put(kube_service("api", ports=[{"name": "http", "port": 3000, "targetPort": "web"}]))
        for name, number in (("api", 3000), ("api-b", 3001)):
            cluster.put(pod(name, labels=V1, account="api", ports=[{"name": "web", "containerPort": number}]))

    assert told(change) == [
        (
            "mesh_services[1].ports[0].target_port",
            "3000 is not where Service shop/api sends port 3000: that is 3000, 3001 (named 'web'); policies of "
            "this entry would name a port that gets no request",
            "cluster-target-port",
            "cuts",
            "api",
        )
    ]


def test_without_pods_a_named_target_port_is_not_judged_and_text_that_is_a_number_is() -> None:
    def change(target: Any) -> Change:
        def put(cluster: FakeCluster) -> None:
            cluster.put(kube_service("api", ports=[{"name": "http", "port": 3000, "targetPort": target}]))
            cluster.remove("Pod", "api-1", "shop")

        return put

    assert [item[0] for item in told(change("web"))] == ["mesh_services[1].labels"]
    assert [item[0] for item in told(change("8080"))] == [
        "mesh_services[1].labels",
        "mesh_services[1].ports[0].target_port",
    ]


@pytest.mark.parametrize("protocol", ["TCP", ""])
def test_ports_are_tcp_unless_they_say_otherwise(protocol: str) -> None:
    more = {"protocol": protocol} if protocol else {}

    def change(cluster: FakeCluster) -> None:
        ports = [
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "http", "port": 3000, "targetPort": "web", **more},
        ]
        cluster.put(kube_service("api", ports=ports))
        sctp = {"name": "web", "containerPort": 1, "protocol": "SCTP"}
        cluster.put(pod("api", labels=V1, ports=[sctp, {"name": "web", "containerPort": 3000, **more}]))

    assert told(change) == []


def test_the_headless_companion_in_full() -> None:
    where = "mesh_services[1].headless"
    near = kube_service("api-pod", selector={"app": "api"}, clusterIP="None")
    assert told(lambda cluster: cluster.put(near), headless()) == [
        (
            f"{where}.name",
            "there is no Service shop/api-pods, did you mean api-pod",
            "service-missing",
            "cuts",
            "api",
        )
    ]
    clustered = kube_service("api-pods", selector={"app": "web"}, clusterIP="10.0.0.1")
    assert told(lambda cluster: cluster.put(clustered), headless()) == [
        (
            f"{where}.name",
            "Service shop/api-pods is not headless: its clusterIP is not None",
            "cluster-service",
            "note",
            "api",
        ),
        (
            f"{where}.name",
            "Service shop/api-pods leads to pods of another service: web-1",
            "cluster-labels",
            "note",
            "api",
        ),
    ]


# -- the configuration of istiod ------------------------------------------------------------------------------


def istio_config(name: str, revision: str, mesh: str, place: str = "istio-system") -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": place, "labels": {"istio.io/rev": revision}},
        "data": {"mesh": mesh},
    }


WRONG = "trustDomain: a.example"


def test_the_only_istiod_counts_although_no_pod_says_whose_it_is_and_one_of_two_does_not() -> None:
    one = istio_config("istio", "default", WRONG)
    other = istio_config("istio-r2", "r2", WRONG)
    message = "is 'a.example', mesh_trust_domain is 'cluster.local'"
    alone = told(lambda cluster: cluster.put(other))
    assert alone == [
        (
            "mesh_trust_domain",
            f"trustDomain in ConfigMap istio-system/istio-r2 {message}",
            "mesh-config",
            "cuts",
            "",
        )
    ]
    both = told(lambda cluster: (cluster.put(one), cluster.put(other)))
    assert [(item[1].split()[3], item[3]) for item in both] == [
        ("istio-system/istio", "note"),
        ("istio-system/istio-r2", "note"),
    ]


def test_what_cannot_be_read_of_one_revision_stays_unknown_beside_another() -> None:
    broken = istio_config("istio-r2", "r2", "- a list")
    fine = istio_config("istio", "default", "{}")
    found = told(lambda cluster: (cluster.put(fine), cluster.put(broken)))
    assert [(item[0], item[2], item[3]) for item in found] == [("mesh_services", "mesh-config", "unknown")]
    assert "istio-r2" in found[0][1]


def test_other_configmaps_of_a_revision_are_not_its_configuration() -> None:
    strange = [
        istio_config("istio", "r2", WRONG),  # not the name of that revision
        istio_config("istio-r3", "default", WRONG),
        istio_config("values", "default", WRONG),
        istio_config("istio", "default", WRONG, "elsewhere"),
    ]
    for obj in strange:
        assert told(lambda cluster, obj=obj: cluster.put(obj)) == []


def test_configuration_that_may_not_be_read_says_so() -> None:
    def change(cluster: FakeCluster) -> None:
        cluster.forbidden = {"ConfigMap"}

    ((where, message, rule, weight, entry),) = told(change)
    assert (where, rule, weight, entry) == ("mesh_services", "mesh-config", "unknown", "")
    assert message.startswith("Istio's configuration: ")
    assert "ConfigMap is forbidden" in message


SELECTORS = "discoverySelectors: [{matchLabels: {mesh: 'on'}}]"


def test_namespaces_are_read_only_where_somebody_selects_them_and_those_unknown_are_not_judged() -> None:
    def asked(mesh: str, *, forbidden: bool = False) -> tuple[set[str], Comparison]:
        cluster = FakeCluster(*shop(), istio_config("istio", "default", mesh))
        if forbidden:
            cluster.forbidden = {"Namespace"}
        found = compare(cluster, parse_catalogue(minimal()))
        return {call.name for call in cluster.calls if call.kind == "Namespace" and call.name}, found

    assert asked("{}")[0] == set()
    names, found = asked(SELECTORS)
    assert names == {"shop", "istio-system"}
    assert [problem.where for problem in found.cuts] == ["mesh_services"]
    assert "leaves out istio-system, shop" in str(found.cuts[0])
    assert asked(SELECTORS, forbidden=True)[1].cuts == []
    cluster = FakeCluster(*shop(), istio_config("istio", "default", SELECTORS))
    cluster.fail("get", "Namespace", 500)
    with pytest.raises(ApiError):
        compare(cluster, parse_catalogue(minimal()))


# -- reading -------------------------------------------------------------------------------------------------


def test_an_empty_namespace_that_may_not_be_asked_for_counts_as_there() -> None:
    raw = minimal()
    raw["mesh_services"].append(
        {**raw["mesh_services"][1], "name": "stock", "namespace": "back", "callers": []}
    )

    def with_status(status: int) -> Comparison:
        cluster = FakeCluster(*shop())
        cluster.fail("get", "Namespace", status, times=9)
        return compare(cluster, parse_catalogue(raw))

    assert "there is no Service back/stock" in str(with_status(403).cuts)
    with pytest.raises(ApiError):
        with_status(500)


@pytest.mark.parametrize("kind", ["Service", "Pod"])
def test_a_namespace_that_holds_anything_is_not_asked_for(kind: str) -> None:
    """Not everybody may ask for namespaces, and what is in one says that it is there."""
    cluster = FakeCluster(*(one for one in shop() if one["kind"] in ("Namespace", kind)))
    cluster.fail("get", "Namespace", 500, times=9)
    assert compare(cluster, parse_catalogue(minimal())) is not None


@pytest.mark.parametrize("field", ["kind", "apiVersion", "namespace"])
def test_only_services_of_the_same_place_come_with_the_run(field: str) -> None:
    obj = kube_service("api")
    if field == "namespace":
        obj["metadata"]["namespace"] = "istio-system"
    else:
        obj[field] = {"kind": "Sidecar", "apiVersion": "serving.knative.dev/v1"}[field]
    assert [
        item[2] for item in told(lambda cluster: cluster.remove("Service", "api", "shop"), extra=[obj])
    ] == ["service-missing"]


@pytest.mark.parametrize("run", ["r1", None])
def test_probes_of_ours_are_nobody_s_pods(run: str | None) -> None:
    labels = {"app": "api", "version": "v1", COMPONENT_LABEL: COMPONENT, **({RUN_LABEL: run} if run else {})}
    found = told(lambda cluster: cluster.put(pod("probe", labels=labels, account="x")))
    assert (found == []) is bool(run)


# -- words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        ("a", "a"),
        ("abc", "a, b, c"),
        ("abcd", "a, b, c and 1 more"),
        ("abcdefg", "a, b, c and 4 more"),
    ],
)
def test_a_few_names_and_how_many_more(names: str, text: str) -> None:
    assert listed(names) == text


def test_labels_are_spelled_in_their_order() -> None:
    assert labels_text({"b": "2", "a": "1"}) == "a=1,b=2"
    assert labels_text({}) == ""


@pytest.mark.parametrize(
    ("weights", "status", "cuts", "notes"),
    [
        ([], "pass", 0, 0),
        (["note"], "pass", 0, 1),
        (["unknown", "note"], "cannot tell", 0, 2),
        (["unknown", "cuts"], "fail", 1, 1),
    ],
)
def test_what_all_differences_together_mean(weights: list[str], status: str, cuts: int, notes: int) -> None:
    found = Comparison(tuple(Difference("a", "b", "c", weight, "d") for weight in weights))
    assert (found.status, len(found.cuts), len(found.notes)) == (status, cuts, notes)


# -- protocols -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ({"name": "http"}, "http"),
        ({"name": "http2-x"}, "http2"),
        ({"name": "grpc"}, "grpc"),
        ({"name": "grpc-web"}, "grpc-web"),
        ({"name": "grpc-webby"}, "grpc-web"),
        ({"name": "grpc-x"}, "grpc"),
        ({"name": "HTTPS-x"}, "https"),
        ({"name": "mongo"}, "mongo"),
        ({"name": "mysql-x"}, "mysql"),
        ({"name": "redis"}, "redis"),
        ({"name": "tcp"}, "tcp"),
        ({"name": "tls-x"}, "tls"),
        ({"name": "udp"}, "udp"),
        ({"name": "http_proxy"}, "http_proxy"),
        ({"name": "web"}, ""),
        ({}, ""),
        ({"name": "web", "port": 25}, "tcp"),
        ({"name": "web", "port": 53}, "tcp"),
        ({"name": "web", "port": 3306}, "tcp"),
        ({"name": "web", "port": 27017}, "tcp"),
        ({"name": "web", "port": 27018}, ""),
        ({"name": "http", "port": 3306}, "http"),
        ({"name": "tcp", "appProtocol": "http"}, "http"),
        ({"name": "http", "appProtocol": "kubernetes.io/h2c"}, "http2"),
        ({"name": "tcp", "appProtocol": "kubernetes.io/ws"}, "http"),
        ({"name": "tcp", "appProtocol": "kubernetes.io/wss"}, "https"),
        ({"name": "http", "appProtocol": "example.com/mine"}, ""),
    ],
)
def test_which_protocol_istiod_reads_from_a_port(port: Obj, protocol: str) -> None:
    """Istio pkg/config/kube/conversion.go and pkg/config/protocol/instance.go."""
    assert declared_protocol(port) == protocol


def test_requests_and_streams_differ_and_what_is_sniffed_is_either() -> None:
    requests, streams = ("http", "http2", "grpc", "grpc-web", "http_proxy"), ("tcp", "tls", "https", "mongo")
    for one in requests:
        for other in requests:
            assert are_alike(one, other)
        for other in streams:
            assert not are_alike(one, other)
            assert not are_alike(other, one)
        assert are_alike(one, "")
    assert all(are_alike(one, other) for one in streams for other in streams)
    assert are_alike("tcp", "")


@pytest.mark.parametrize("stated", ["grpc", "http2", "http", "grpc-web", "tcp"])
@pytest.mark.parametrize("declared", ["http", "http_proxy", "http2", "grpc", "tcp", ""])
def test_which_requests_http_1_cannot_carry(stated: str, declared: str) -> None:
    expected = stated in {"grpc", "http2"} and declared in {"http", "http_proxy"}
    assert needs_http2(stated, declared) is expected
