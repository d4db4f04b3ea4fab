# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalogue beside a cluster: what cuts calls off, what is only told, what counts as there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.compare import (
    compare,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.findings import (
    Comparison,
)

from ...support.catalogues import minimal, service
from ...support.cluster import FakeCluster
from ...support.deployed import kube_service, namespace, pod, shop

Obj = dict[str, Any]
Change = Callable[[FakeCluster], Any]


def compared(change: Change | None = None, raw: Obj | None = None, **options: Any) -> Comparison:
    cluster = FakeCluster(*shop())
    if change is not None:
        change(cluster)
    return compare(cluster, parse_catalogue(raw or minimal()), **options)


def cuts(change: Change | None = None, raw: Obj | None = None, **options: Any) -> list[str]:
    return [str(problem) for problem in compared(change, raw, **options).cuts]


def catalogue(**of_api: Any) -> Obj:
    """The shop with other fields of ``api``."""
    raw = minimal()
    entry = raw["mesh_services"][1]
    entry.update(of_api)
    if not entry["versions"]:
        del entry["versions"], entry["initial_version"]
    return raw


def test_a_cluster_that_has_everything_is_no_difference() -> None:
    found = compared()
    assert found.cuts == []
    assert found.notes == [
        "mesh_services[1].versions.v2 of api: no pod behind Service shop/api carries version=v2: "
        "nothing would answer for it (cluster-version)"
    ]
    assert found.status == "pass"
    assert found.missing == frozenset()


CASES: dict[str, tuple[Change | None, Obj | None, str]] = {
    "no Service": (
        lambda cluster: cluster.remove("Service", "api", "shop"),
        None,
        "mesh_services[1].name of api: there is no Service shop/api: its callers would get no answer",
    ),
    "another name": (
        lambda cluster: (cluster.remove("Service", "api", "shop"), cluster.put(kube_service("apis"))),
        None,
        "there is no Service shop/api, did you mean apis",
    ),
    "an ExternalName Service": (
        lambda cluster: cluster.put(kube_service("api", type="ExternalName", externalName="db.example.com")),
        None,
        "Service shop/api only stands for db.example.com, outside the mesh (type ExternalName)",
    ),
    "labels of nobody": (
        None,
        catalogue(labels={"app": "apis"}),
        "of api: app=apis selects none of the 1 pods behind Service shop/api (app=api)",
    ),
    "labels of some": (
        lambda cluster: cluster.put(pod("api-b", labels={"app": "api", "version": "v2"})),
        catalogue(labels={"app": "api", "version": "v1"}, versions={}),
        "app=api,version=v1 leaves out 1 of the 2 pods behind Service shop/api (app=api), such as api-b-1",
    ),
    "labels against the selector of a Service without pods": (
        lambda cluster: cluster.remove("Pod", "api-1", "shop"),
        catalogue(labels={"app": "apis"}),
        "app=apis and the selector of Service shop/api (app=api) exclude each other",
    ),
    "a port that the Service lacks": (
        None,
        catalogue(ports=[{"name": "http", "number": 8080, "protocol": "http"}]),
        "mesh_services[1].ports[0].number of api: 8080 is no TCP port of Service shop/api (it has 3000)",
    ),
    "a port of another transport": (
        lambda cluster: cluster.put(
            kube_service("api", ports=[{"name": "http", "port": 3000, "protocol": "UDP"}])
        ),
        None,
        "3000 is no TCP port of Service shop/api (it has none)",
    ),
    "another target port": (
        lambda cluster: cluster.put(
            kube_service("api", ports=[{"name": "http", "port": 3000, "targetPort": 8080}])
        ),
        None,
        "3000 is not where Service shop/api sends port 3000: that is 8080",
    ),
    "a target port that the Service leaves out": (
        lambda cluster: cluster.put(kube_service("api", ports=[{"name": "http", "port": 3000}])),
        catalogue(ports=[{"name": "http", "number": 3000, "target_port": 8080, "protocol": "http"}]),
        "8080 is not where Service shop/api sends port 3000: that is 3000",
    ),
    "another named target port": (
        lambda cluster: (
            cluster.put(kube_service("api", ports=[{"name": "http", "port": 3000, "targetPort": "web"}])),
            cluster.put(
                pod(
                    "api",
                    labels={"app": "api", "version": "v1"},
                    ports=[
                        {"name": "web", "containerPort": 9, "protocol": "UDP"},
                        {"name": "web", "containerPort": 8081},
                    ],
                )
            ),
        ),
        None,
        "3000 is not where Service shop/api sends port 3000: that is 8081 (named 'web')",
    ),
    "a named target port that no pod has": (
        lambda cluster: cluster.put(
            kube_service("api", ports=[{"name": "http", "port": 3000, "targetPort": "web"}])
        ),
        None,
        "sends port 3000 to the port named 'web', which no pod behind it has, such as api-1",
    ),
    "a stream where requests are stated": (
        lambda cluster: cluster.put(kube_service("api", ports=[{"name": "tcp-api", "port": 3000}])),
        None,
        "http, but istiod takes port 3000 of Service shop/api for tcp (by its name 'tcp-api')",
    ),
    "appProtocol goes first": (
        lambda cluster: cluster.put(
            kube_service("api", ports=[{"name": "http", "port": 3000, "appProtocol": "tcp"}])
        ),
        None,
        "http, but istiod takes port 3000 of Service shop/api for tcp (by its appProtocol 'tcp')",
    ),
    "requests where a stream is stated": (
        None,
        catalogue(ports=[{"name": "db", "number": 3000, "protocol": "tcp"}], versions={}),
        "tcp, but istiod takes port 3000 of Service shop/api for http (by its name 'http')",
    ),
    "the account of a caller": (
        lambda cluster: cluster.put(pod("web", account="default")),
        None,
        "mesh_services[0].service_account of web: 'web', but its pods run as default: "
        "calls of this service would be refused as a stranger's",
    ),
    "labels of no version": (
        lambda cluster: cluster.put(pod("api", labels={"app": "api", "version": "one"})),
        None,
        "no pod behind Service shop/api carries the labels of a version (they have version=one)",
    ),
    "no labels of versions": (
        lambda cluster: cluster.put(pod("api", labels={"app": "api"})),
        None,
        "no pod behind Service shop/api carries the labels of a version (they have none of version)",
    ),
    "a gateway's selector": (
        lambda cluster: cluster.put(
            pod("istio-ingressgateway", "istio-system", labels={"istio": "ingress"}, account="x")
        ),
        None,
        "istio=ingressgateway selects no pod in istio-system, did you mean ingress",
    ),
    "a gateway's account": (
        lambda cluster: cluster.put(
            pod(
                "istio-ingressgateway",
                "istio-system",
                labels={"app": "istio-ingressgateway", "istio": "ingressgateway"},
            )
        ),
        None,
        "'istio-ingressgateway-service-account', but its pods run as istio-ingressgateway",
    ),
    "a gateway's port": (
        lambda cluster: cluster.put(
            kube_service(
                "istio-ingressgateway",
                "istio-system",
                selector={"istio": "ingressgateway"},
                ports=[{"name": "http2", "port": 80}],
            )
        ),
        None,
        "mesh_gateways[0].servers[0].port of public: 443 is no port of Service "
        "istio-system/istio-ingressgateway (80): nobody gets there",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_would_cut_calls_off_is_one_sentence_per_cause(name: str) -> None:
    change, raw, sentence = CASES[name]
    found = cuts(change, raw)
    assert len(found) == 1, found
    assert sentence in found[0]


NOTES: dict[str, tuple[Change | None, Obj | None, str]] = {
    "no pods yet": (
        lambda cluster: cluster.remove("Pod", "api-1", "shop"),
        None,
        "no pod is behind Service shop/api (app=api)",
    ),
    "pods beyond the Service": (
        lambda cluster: (
            cluster.put(
                kube_service("api", selector={"app": "api", "version": "v1"}),
            )
            and cluster.put(pod("api-b", labels={"app": "api", "version": "v2"}))
        ),
        None,
        "app=api also selects pods that Service shop/api (app=api,version=v1) does not lead to: api-b-1",
    ),
    "gRPC over HTTP/1.1": (
        None,
        catalogue(ports=[{"name": "grpc", "number": 3000, "protocol": "grpc"}]),
        "grpc, but istiod sends HTTP/1.1 to port 3000 of Service shop/api (by its name 'http')",
    ),
    "the account of one that calls nobody": (
        lambda cluster: cluster.put(pod("api", labels={"app": "api", "version": "v1"}, account="default")),
        None,
        "'api', but its pods run as default: it calls nobody so far",
    ),
    "the account of a part of a caller": (
        lambda cluster: cluster.put(pod("web-b", labels={"app": "web"}, account="default")),
        None,
        "'web', but 1 of its pods run as default",
    ),
    "a pod of no version": (
        lambda cluster: cluster.put(pod("api-b", labels={"app": "api"})),
        None,
        "pods behind Service shop/api belong to no version and get no request: api-b-1",
    ),
    "a gateway without a Service": (
        lambda cluster: cluster.remove("Service", "istio-ingressgateway", "istio-system"),
        None,
        "no Service in istio-system leads to its pods, such as istio-ingressgateway-1",
    ),
    "a name for an external host": (
        lambda cluster: cluster.put(
            kube_service("bank", selector={}, type="ExternalName", externalName="pay.example.com.")
        ),
        minimal(
            mesh_external_services=[
                {
                    "name": "bank-out",
                    "hosts": ["pay.example.com"],
                    "ports": [{"number": 443, "protocol": "HTTPS"}],
                    "callers": [{"service": "web"}],
                }
            ]
        ),
        "shop/bank of type ExternalName stands for pay.example.com: calls through that name fail with 502",
    ),
    "a stranger's Gateway": (
        lambda cluster: cluster.put(gateway_object("typo", istio="ingresgateway")),
        None,
        "Gateway shop/typo: its selector istio=ingresgateway matches no pod",
    ),
}


def gateway_object(name: str, place: str = "shop", **selector: str) -> Obj:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": place},
        "spec": {"selector": selector, "servers": []},
    }


@pytest.mark.parametrize("name", NOTES)
def test_what_is_probably_not_meant_is_only_told(name: str) -> None:
    change, raw, sentence = NOTES[name]
    found = compared(change, raw)
    assert found.cuts == []
    assert found.status == "pass"
    assert [text for text in found.notes if sentence in text], found.notes


def test_versions_are_not_told_as_wrong_once_more_where_the_labels_are() -> None:
    def versions(raw: Obj) -> int:
        found = compared(raw=raw)
        return sum("cluster-version" in str(one) for one in (*found.cuts, *found.notes))

    assert versions(catalogue(labels={"app": "apis"})) == 0
    assert versions(catalogue()) == 1
    beyond = pod("apis-b", labels={"app": "api", "version": "v3"})
    narrow = kube_service("api", selector={"app": "api", "version": "v1"})
    found = compared(lambda cluster: (cluster.put(narrow), cluster.put(beyond)))
    assert ["also selects pods" in note or "cluster-version" in note for note in found.notes] == [True, True]


def test_a_named_target_port_is_resolved_in_the_pods() -> None:
    def change(cluster: FakeCluster) -> None:
        cluster.put(kube_service("api", ports=[{"name": "http", "port": 3000, "targetPort": "web"}]))
        cluster.put(
            pod(
                "api",
                labels={"app": "api", "version": "v1"},
                initContainers=[
                    {"name": "once", "ports": [{"name": "web", "containerPort": 1}]},
                    {
                        "name": "front",
                        "restartPolicy": "Always",
                        "ports": [{"name": "web", "containerPort": 3000}],
                    },
                ],
            )
        )

    assert cuts(change) == []


@pytest.mark.parametrize("name", ["http", "http-api", "HTTP-api", "grpc-web-x", "api", "http2"])
def test_a_port_whose_name_says_requests_or_nothing_may_be_stated_as_requests(name: str) -> None:
    assert cuts(lambda cluster: cluster.put(kube_service("api", ports=[{"name": name, "port": 3000}]))) == []


def test_a_port_that_speaks_first_is_a_stream_by_its_number() -> None:
    """istiod does not sniff MySQL, whose server speaks first (Istio, kube/conversion.go)."""
    raw = catalogue(ports=[{"name": "db", "number": 3306, "protocol": "http"}])

    def change(cluster: FakeCluster) -> None:
        cluster.put(kube_service("api", ports=[{"name": "db", "port": 3306}]))

    assert "takes port 3306 of Service shop/api for tcp" in cuts(change, raw)[0]


def test_a_service_without_a_selector_has_endpoints_of_its_own() -> None:
    def change(cluster: FakeCluster) -> None:
        ports = [{"name": "http", "port": 3000, "targetPort": 1}]
        cluster.put(kube_service("api", selector={}, ports=ports))

    assert compared(change).cuts == []


def test_ended_pods_and_pods_that_go_say_nothing() -> None:
    def change(cluster: FakeCluster) -> None:
        ended = pod("web-old", labels={"app": "web"}, account="old")
        ended["status"]["phase"] = "Succeeded"
        going = pod("web-going", labels={"app": "web"}, account="old")
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        cluster.put(ended)
        cluster.put(going)

    assert compared(change).differences == compared().differences


def test_a_split_that_leads_to_no_pod_is_a_cut() -> None:
    assert cuts(weights={"shop/api": {"v1": 100}}) == []
    assert cuts(weights={"shop/api": {"v1": 90, "v2": 10}}) == [
        "mesh_services[1].versions.v2 of api: no pod behind Service shop/api carries version=v2: "
        "it gets 10 % of the requests (cluster-version)"
    ]


def test_services_that_the_same_run_makes_count_as_there() -> None:
    def gone(cluster: FakeCluster) -> None:
        cluster.remove("Service", "api", "shop")

    assert cuts(gone, extra=[kube_service("api")]) == []
    assert "8080" in cuts(gone, extra=[kube_service("api", ports=[{"name": "http", "port": 8080}])])[0]
    assert cuts(gone, extra=[kube_service("api", "elsewhere")]) != []


@pytest.mark.parametrize("name", ["api", "shop/api", "shop/a*", "*/api"])
def test_a_service_may_be_named_as_not_deployed(name: str) -> None:
    found = compared(lambda cluster: cluster.remove("Service", "api", "shop"), not_deployed=[name])
    assert found.cuts == []
    assert found.missing == {"shop/api"}


def test_what_is_named_as_not_deployed_is_compared_once_it_is_there() -> None:
    assert cuts(raw=catalogue(labels={"app": "apis"}), not_deployed=["api"]) != []


def test_a_name_that_allows_nothing_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"mesh_not_deployed\[1\]: 'apis' names no service .* did you mean shop/api"
    ):
        compared(not_deployed=["api", "apis"])


def test_of_a_namespace_that_is_not_there_nothing_can_be_told() -> None:
    raw = minimal()
    raw["mesh_services"].append(service("stock", namespace="back"))
    found = compared(raw=raw)
    assert found.cuts == []
    assert found.status == "cannot tell"
    assert "mesh_services[2].namespace of stock: namespace back does not exist yet" in "".join(found.notes)
    there = compared(lambda cluster: cluster.put(namespace("back")), raw)
    assert "there is no Service back/stock" in str(there.cuts[0])


def test_what_may_not_be_read_is_no_pass() -> None:
    def change(cluster: FakeCluster) -> None:
        cluster.forbidden = {"Service"}

    found = compared(change)
    assert (found.status, found.cuts) == ("cannot tell", [])
    assert len(found.notes) == 3  # two services and a gateway


def test_files_that_were_not_read_may_bring_a_service() -> None:
    def gone(cluster: FakeCluster) -> None:
        cluster.remove("Service", "api", "shop")

    found = compared(gone, unread_files=True)
    assert found.cuts == []
    assert "there is no Service shop/api: mesh_resource_paths would have to make it" in found.notes[0]


def test_a_gateway_that_an_earlier_part_installs_is_not_looked_for() -> None:
    def gone(cluster: FakeCluster) -> None:
        cluster.remove("Pod", "istio-ingressgateway-1", "istio-system")

    assert cuts(gone) != []
    identity = ("istio-system", "istio-ingressgateway-service-account")
    assert cuts(gone, gateways_to_come=[identity]) == []
    assert compared(gone, gateways_may_come=True).status == "cannot tell"


def test_a_wrong_selector_is_a_cut_also_where_gateways_may_come() -> None:
    raw = minimal()
    raw["mesh_gateways"][0]["selector"] = {"istio": "ingresgateway"}
    assert (
        "istio=ingresgateway selects no pod in istio-system, did you mean ingressgateway"
        in (cuts(raw=raw, gateways_may_come=True)[0])
    )


@pytest.mark.parametrize("target", [443, "https"])
def test_a_server_may_name_the_port_of_the_gateways_pods(target: Any) -> None:
    def change(cluster: FakeCluster) -> None:
        ports = [{"name": "http2", "port": 80}, {"name": "https", "port": 8443, "targetPort": target}]
        selector = {"istio": "ingressgateway"}
        cluster.put(kube_service("istio-ingressgateway", "istio-system", selector=selector, ports=ports))
        found = cluster.find("Pod", "istio-ingressgateway-1", "istio-system")
        assert found is not None
        found["spec"]["containers"][0]["ports"] = [{"name": "https", "containerPort": 443}]

    assert cuts(change) == []


def test_a_port_that_only_redirects_is_told() -> None:
    def change(cluster: FakeCluster) -> None:
        selector, ports = {"istio": "ingressgateway"}, [{"name": "https", "port": 443}]
        cluster.put(kube_service("istio-ingressgateway", "istio-system", selector=selector, ports=ports))

    found = compared(change)
    assert found.cuts == []
    assert [
        note for note in found.notes if "servers[0].http_port of public: 80 is no port of Service" in note
    ]


def test_a_host_port_needs_no_service() -> None:
    def change(cluster: FakeCluster) -> None:
        selector, ports = {"istio": "ingressgateway"}, [{"name": "http2", "port": 80}]
        cluster.put(kube_service("istio-ingressgateway", "istio-system", selector=selector, ports=ports))
        found = cluster.find("Pod", "istio-ingressgateway-1", "istio-system")
        assert found is not None
        found["spec"]["containers"][0]["ports"] = [{"containerPort": 8443, "hostPort": 443}]

    assert cuts(change) == []


def test_a_gateway_object_may_select_pods_of_any_namespace() -> None:
    def change(cluster: FakeCluster) -> None:
        cluster.put(gateway_object("far", istio="edge"))
        cluster.put(pod("edge", "elsewhere", labels={"istio": "edge"}))

    assert not [text for text in compared(change).notes if "Gateway" in text]


def test_a_teams_gateway_is_told_before_it_is_written() -> None:
    notes = compared(extra=[gateway_object("own", istio="nobody")]).notes
    assert [text for text in notes if "Gateway shop/own: its selector istio=nobody matches no pod" in text]


def headless(**changes: Any) -> Obj:
    ports = [{"name": "http", "number": 3000, "protocol": "http"}]
    return catalogue(headless={"name": "api-pods", "ports": ports, **changes}, versions={})


def test_the_headless_companion_is_compared_like_the_service() -> None:
    companion = kube_service("api-pods", selector={"app": "api"}, clusterIP="None")
    assert compared(lambda cluster: cluster.put(companion), headless()).differences == ()
    (missing,) = cuts(raw=headless())
    assert "mesh_services[1].headless.name of api: there is no Service shop/api-pods" in missing
    assert cuts(raw=headless(), not_deployed=["api"]) == []
    other = kube_service("api-pods", selector={"app": "api"}, clusterIP="None", ports=[{"port": 80}])
    (port,) = cuts(lambda cluster: cluster.put(other), headless())
    assert "headless.ports[0].number of api: 3000 is no TCP port of Service shop/api-pods (it has 80)" in port
    notes = compared(
        lambda cluster: cluster.put(kube_service("api-pods", selector={"app": "web"})), headless()
    )
    assert [text for text in notes.notes if "is not headless" in text]
    assert [text for text in notes.notes if "leads to pods of another service: web-1" in text]
