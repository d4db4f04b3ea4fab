# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a catalogue: names that clients may use, pods of gateways, who is told about an object."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import running_proxies
from ansible_collections.servicemesh.istio.plugins.module_utils.model.host_patterns import takes_in
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import ours
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.objects import calls
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.picture import Picture
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.surroundings import (
    Surroundings,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.words import few

from .builders import GATEWAY, catalogue, item, live, pod, service

Obj = dict[str, Any]
PAY = "pay.shop.svc.cluster.local"
BESIDE = "beside the catalogue"
BANK = {
    "name": "bank",
    "hosts": ["bank.example.com", "*.pay.example.com"],
    "ports": [{"number": 443, "protocol": "TLS"}],
    "callers": ["pay"],
}


def workload(name: str, number: int) -> Obj:
    owner = {"controller": True, "kind": "ReplicaSet", "name": name}
    return pod(f"{name}-{number}", {"app": name, "version": "v1"}, metadata={"ownerReferences": [owner]})


def world(
    *foreign: Obj, more: tuple[Obj, ...] = (), services: list[Obj] | None = None, **params: Any
) -> ours.Ours:
    mesh = catalogue(
        *(services or [service("web"), service("pay", callers=[{"service": "web"}])]),
        mesh_gateways=[GATEWAY],
        mesh_external_services=params.pop("external", [BANK]),
        **params,
    )
    selected = [
        item("Service", one.name, {"selector": dict(one.labels), "ports": [{"port": 80, "targetPort": 3000}]})
        for one in mesh.services
    ]
    pods = [workload(one.name, 1) for one in mesh.services]
    seen = live(*foreign, *selected, *pods, *more)
    kinds: dict[str, list[Obj]] = {}
    for one in foreign:
        kinds.setdefault(one["kind"], []).append(one)
    return ours.Ours(Picture(mesh, seen, ["shop"]), Surroundings(kinds, {}), running_proxies(seen.of("Pod")))


def test_the_names_that_two_patterns_share() -> None:
    """By the names themselves: whatever both take is taken by what is said to be shared, and nothing else."""
    patterns = ["*", "*.b", "*.a.b", "a.b", "x.a.b", "c"]
    names = ["a.b", "x.a.b", "y.x.a.b", "z.b", "c", "b"]
    for one, other in itertools.product(patterns, repeat=2):
        shared = ours.narrower(one, other)
        for name in names:
            both = takes_in(one, name) and takes_in(other, name)
            assert (bool(shared) and takes_in(shared, name)) == both, (one, other, name)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (["d", "a", "d", "b", "c", "e", "a"], "d, a, b and 2 more"),
    ],
)
def test_few(names: list[str], told: str) -> None:
    assert few(names) == told


@pytest.mark.parametrize(
    ("pattern", "touched"),
    [
        (PAY, {PAY: "shop/pay"}),
        ("pay.shop", {"pay.shop": "shop/pay"}),
        ("pay.shop.svc", {"pay.shop.svc": "shop/pay"}),
        ("pay", {}),
        (f"pay-0.{PAY}", {f"pay-0.{PAY}": "shop/pay"}),
        (f"x.pay-0.{PAY}", {}),
        ("pay-0.pay.shop.svc", {"pay-0.pay.shop.svc": "shop/pay"}),
        ("pay-0.pay.shop", {}),
        ("other.shop", {}),
        ("bank.example.com", {"bank.example.com": "external service bank"}),
        ("x.bank.example.com", {}),
        (
            "*.example.com",
            {"bank.example.com": "external service bank", "*.pay.example.com": "external service bank"},
        ),
        ("*.pay.example.com", {"*.pay.example.com": "external service bank"}),
        ("*.cluster.local", {"web.shop.svc.cluster.local": "shop/web", PAY: "shop/pay"}),
        ("*.shop", {}),
    ],
)
def test_the_hosts_of_the_catalogue_that_a_name_takes(pattern: str, touched: dict[str, str]) -> None:
    assert world().touched([pattern]) == touched
    assert world().touched(["else.example.org", pattern, pattern]) == touched


def test_a_pattern_of_the_catalogue_takes_the_narrower_names_beside_it() -> None:
    wide = {**BANK, "hosts": ["*.example.com", "bank.example.com"]}
    named = "external service bank"
    touched = world(external=[wide]).touched(["*.example.com"])
    assert touched == {"*.example.com": named, "bank.example.com": named}


@pytest.mark.parametrize(
    ("spec", "mode"),
    [
        ({}, None),
        ({"trafficPolicy": {"tls": {"mode": "SIMPLE"}}}, "SIMPLE"),
        ({"trafficPolicy": {"tls": {"mode": "SIMPLE"}}, "subsets": []}, "SIMPLE"),
        ({"trafficPolicy": {"tls": {"mode": "SIMPLE"}}, "subsets": [{"name": "v1"}]}, None),
        ({"trafficPolicy": {"tls": {"mode": "SIMPLE", "sni": "a"}}}, None),
        ({"trafficPolicy": {"tls": {"mode": "SIMPLE"}, "connectionPool": {}}}, None),
        ({"trafficPolicy": {"connectionPool": {}}}, None),
        ({"subsets": [{"name": "v1"}]}, None),
    ],
)
def test_a_rule_that_says_nothing_but_how_to_begin_tls(spec: Obj, mode: str | None) -> None:
    assert calls._tls_alone(item("DestinationRule", "r", spec)) == mode


def test_pods_of_a_gateway_and_its_selector_where_none_runs() -> None:
    none = world().gateways[0]
    assert none.labels == ({"istio": "ingressgateway"},)

    def gateway_pod(name: str, phase: str = "Running", namespace: str = "istio-system", **labels: str) -> Obj:
        found = pod(name, metadata={"namespace": namespace}, phase=phase)
        found["metadata"]["labels"] = {"istio": "ingressgateway", **labels}
        return found

    found = world(
        more=(
            gateway_pod("a", zone="x"),
            gateway_pod("over", "Succeeded", zone="gone"),
            gateway_pod("elsewhere", namespace="shop", zone="no"),
            pod("other", {"istio": "egress"}, metadata={"namespace": "istio-system"}),
        )
    ).gateways[0]
    assert found.labels == ({"istio": "ingressgateway", "zone": "x"},)
    for selector, serves in (
        ({"zone": "x"}, True),
        ({"istio": "ingressgateway"}, True),
        ({}, True),
        (None, True),
        ({"zone": "gone"}, False),
        ({"zone": "x", "more": "y"}, False),
    ):
        assert found.serves({"spec": {"selector": selector}}) is serves, selector
    assert found.serves({}) is True, "a Gateway without a selector is for every proxy"
    assert none.serves({"spec": {"selector": {"zone": "x"}}}) is False


def test_one_proxy_of_each_workload_and_none_of_strangers() -> None:
    stranger = pod("job-1", {"app": "job"})
    found = world(more=(stranger, workload("pay", number=2)))
    names = [found.name_of(proxy) for proxy in found.workloads]
    assert sorted(names) == ["shop/pay", "shop/web"]


@pytest.mark.parametrize(
    ("spec", "namespace", "told"),
    [
        ({}, "else", ["shop/web", "shop/pay"]),
        ({"exportTo": ["*"]}, "else", ["shop/web", "shop/pay"]),
        ({"exportTo": ["shop"]}, "else", ["shop/web", "shop/pay"]),
        ({"exportTo": ["."]}, "else", []),
        ({"exportTo": ["."]}, "shop", ["shop/web", "shop/pay"]),
        ({"exportTo": ["third"]}, "else", []),
    ],
)
def test_who_is_told_about_an_object(spec: Obj, namespace: str, told: list[str]) -> None:
    """Without Sidecars everybody, as far as the object is exported."""
    entry = item("ServiceEntry", "e", {"hosts": ["x.org"], **spec}, namespace)
    assert world().seen_by(entry, ["x.org"]) == told


def test_who_is_told_where_sidecars_narrow_it() -> None:
    narrow = item("Sidecar", "default", {"egress": [{"hosts": ["./*", "else/y.org"]}]})
    entry = item("ServiceEntry", "e", {"hosts": ["x.org", "y.org"]}, "else")
    assert world(narrow).seen_by(entry, ["x.org"]) == []
    assert world(narrow).seen_by(entry, ["y.org"]) == ["shop/web", "shop/pay"]


@pytest.mark.parametrize(
    ("hosts", "home", "known"),
    [
        (["else/x.org"], "else", True),
        (["*/x.org"], "else", True),
        (["*/*.x.org"], "else", False),
        (["else/*"], "else", True),
        (["third/x.org"], "else", False),
        (["else/y.org"], "else", False),
        (["istio-system/*"], "istio-system", False),
        (["istio-system/x.org"], "istio-system", True),
        (["istio-system/*", "istio-system/x.org"], "istio-system", True),
    ],
)
def test_what_the_catalogue_itself_lets_be_known(hosts: list[str], home: str, known: bool) -> None:
    """That everything of the control plane's namespace is known is for telemetry, and declares no way out."""
    entry = item("ServiceEntry", "e", {"hosts": ["x.org"]}, home)
    assert world(mesh_sidecar_hosts=hosts).lets_know(entry, "x.org", "shop/web") is known
    own = [service("web", sidecar_hosts=hosts), service("pay", callers=[{"service": "web"}])]
    assert world(services=own).lets_know(entry, "x.org", "shop/web") is known
    assert world(services=own).lets_know(entry, "x.org", "shop/pay") is False


def test_external_services_of_a_caller() -> None:
    found = world()
    assert [one.name for one in found.externals_of("shop/pay")] == ["bank"]
    assert found.externals_of("shop/web") == ()
    assert found.externals_of("shop/nobody") == ()
    assert found.externals_of("else/pay") == ()


def told(*foreign: Obj, more: tuple[Obj, ...] = (), **params: Any) -> list[str]:
    found = world(*foreign, more=more, **params)
    return [f"{one.verdict}: {one.subject}: {one.message}" for one in calls.check_calls_beside(found)]


def virtual_machine(spec: Obj | None = None, namespace: str = "shop", **labels: str) -> Obj:
    own = {"app": "pay", **labels}
    return item("WorkloadEntry", "vm", {"address": "192.0.2.7", **(spec or {})}, namespace, labels=own)


PLAIN = "in plaintext: it is not labelled security.istio.io/tlsMode: istio"


@pytest.mark.parametrize(
    ("entry", "verdict", "what"),
    [
        (virtual_machine(), "fail", f"gets calls for shop/pay at 192.0.2.7, {PLAIN}"),
        (virtual_machine({"address": ""}), "fail", "at an address of another network"),
        (
            virtual_machine(**{"security.istio.io/tlsMode": "istio"}),
            "cannot tell",
            "shop/pay at 192.0.2.7, and nobody can look at a proxy there",
        ),
        (virtual_machine(**{"security.istio.io/tlsMode": "disabled"}), "fail", PLAIN),
        (
            virtual_machine({"labels": {"security.istio.io/tlsMode": "istio"}}),
            "cannot tell",
            "nobody can look",
        ),
        (
            virtual_machine({"labels": {"app": "web"}}),  # those of the object itself count before these
            "fail",
            "gets calls for shop/pay at",
        ),
        (virtual_machine({"labels": {"app": "else"}}), "fail", "gets calls for shop/pay at"),
        (virtual_machine(namespace="else"), "", ""),
    ],
)
def test_a_machine_that_gets_calls_of_a_service(entry: Obj, verdict: str, what: str) -> None:
    found = told(entry)
    if not verdict:
        assert found == []
        return
    (one,) = found
    assert one.startswith(f"{verdict}: WorkloadEntry {entry['metadata']['namespace']}/vm: gets calls for ")
    assert what in one


def test_a_machine_is_no_endpoint_of_services_without_selector_or_beside_the_catalogue() -> None:
    """A Service without a selector takes no pods and no machines."""
    beside = item("Service", "beside", {"selector": {"app": "vm"}})
    bare = item("Service", "pay", {"ports": [{"port": 80}]}, "else")
    entry = item("WorkloadEntry", "vm", {"address": "192.0.2.7"}, labels={"app": "vm"})
    assert told(entry, more=(beside, bare)) == []


def entry_of(spec: Obj, namespace: str = "else") -> Obj:
    return item("ServiceEntry", "e", spec, namespace)


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        (
            entry_of({"hosts": [PAY]}),
            ["fail: ServiceEntry else/e: says where shop/pay is, too, and shop/web, shop/pay may follow"],
        ),
        (
            entry_of({"hosts": [PAY], "exportTo": ["."]}),
            [f"{BESIDE}: ServiceEntry else/e: names a host of shop/pay, which no proxy of ours is told"],
        ),
        (
            entry_of({"hosts": ["x.org"]}),
            [
                "fail: ServiceEntry else/e: opens the way to x.org for shop/web, shop/pay, "
                "which the catalogue does not declare"
            ],
        ),
        (entry_of({"hosts": ["x.org"], "exportTo": ["."]}), []),
        (entry_of({"hosts": ["x.svc.cluster.local"]}), []),
        (
            entry_of(
                {"hosts": ["x.org"], "exportTo": ["."], "workloadSelector": {"labels": {"version": "v1"}}},
                "shop",
            ),
            [
                f"{BESIDE}: ServiceEntry shop/e: is another name, x.org, for the pods of shop/web, shop/pay",
                "fail: ServiceEntry shop/e: opens the way to x.org for shop/web, shop/pay, "
                "which the catalogue does not declare",
            ],
        ),
        (
            entry_of(
                {"hosts": ["x.org"], "exportTo": ["."], "workloadSelector": {"labels": {"version": "v1"}}}
            ),
            [],
        ),
        (
            entry_of(
                {"hosts": ["x.svc.cluster.local"], "workloadSelector": {"labels": {"version": "v2"}}}, "shop"
            ),
            [],
        ),
    ],
)
def test_what_a_service_entry_of_somebody_does(entry: Obj, lines: list[str]) -> None:
    found = told(entry, mesh_outbound="REGISTRY_ONLY")
    assert found == lines
    free = told(entry, mesh_outbound="ALLOW_ANY")
    assert free == [line for line in lines if "opens the way" not in line], "every host is open there"


def test_a_way_out_that_the_catalogue_lets_be_known_is_an_inventory() -> None:
    (line,) = told(
        entry_of({"hosts": ["x.org"]}), mesh_outbound="REGISTRY_ONLY", mesh_sidecar_hosts=["else/x.org"]
    )
    assert line.endswith(
        "opens the way to x.org for shop/web, shop/pay: the catalogue's sidecar_hosts say so"
    )
    (line,) = told(
        entry_of({"hosts": ["x.org", "y.org"]}),
        mesh_outbound="REGISTRY_ONLY",
        mesh_sidecar_hosts=["else/x.org"],
    )
    assert line.startswith("fail: "), "one of the two is not declared"
