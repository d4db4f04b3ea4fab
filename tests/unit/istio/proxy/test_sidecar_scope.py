"""Which sidecars are told about a host."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.sidecar_scope import (
    Importers,
    imports,
    imports_host,
    sidecar_of,
)

PROXY = RunningProxy("shop", "web-1", {"app": "web"}, "web", False, "1.31.0", "", "ReplicaSet/web")
HOST = "pay.bank.svc.cluster.local"


def sidecar(
    name: str, namespace: str, hosts: list[str] | None, app: str = "", born: str = "2026-01-01"
) -> dict:
    spec: dict = {"workloadSelector": {"labels": {"app": app}}} if app else {}
    if hosts is not None:
        spec["egress"] = [{"hosts": hosts}]
    return {"metadata": {"name": name, "namespace": namespace, "creationTimestamp": born}, "spec": spec}


@pytest.mark.parametrize(
    ("hosts", "known"),
    [
        (["./*"], False),
        (["bank/*"], True),
        (["*/*"], True),
        ([f"bank/{HOST}"], True),
        ([f"*/{HOST}"], True),
        ([f"shop/{HOST}"], False),
        (["bank/other.bank.svc.cluster.local"], False),
        (["bank/*.svc.cluster.local"], True),
        (["~/*"], False),
    ],
)
def test_egress_hosts(hosts: list[str], known: bool) -> None:
    assert imports_host(PROXY, [sidecar("s", "shop", hosts)], "istio-system", HOST, "bank") is known


def test_without_a_sidecar_everything_is_known() -> None:
    assert imports_host(PROXY, [sidecar("s", "other", ["./*"])], "istio-system", HOST, "bank")


def test_dot_is_the_namespace_of_the_sidecar() -> None:
    own = "cart.shop.svc.cluster.local"
    assert imports_host(PROXY, [sidecar("s", "shop", ["./*"])], "istio-system", own, "shop")
    assert imports_host(PROXY, [sidecar("s", "istio-system", ["./*"])], "istio-system", own, "shop")


def test_gateways_have_no_sidecar() -> None:
    gateway = dataclasses.replace(PROXY, gateway=True)
    assert imports_host(gateway, [sidecar("s", "shop", ["./*"])], "istio-system", HOST, "bank")


def test_workload_beats_namespace_beats_mesh_and_the_oldest_wins() -> None:
    mesh = sidecar("mesh", "istio-system", [])
    namespace = sidecar("namespace", "shop", [])
    young = sidecar("a-young", "shop", [], app="web", born="2026-02-02")
    old = sidecar("b-old", "shop", [], app="web", born="2026-01-01")
    other = sidecar("other", "shop", [], app="api")
    for given, name in (
        ([mesh], "mesh"),
        ([mesh, namespace], "namespace"),
        ([mesh, namespace, other], "namespace"),
        ([mesh, namespace, young, old], "b-old"),
    ):
        found = sidecar_of(PROXY, given, "istio-system")
        assert found is not None
        assert found["metadata"]["name"] == name


def test_a_selector_without_labels_takes_every_workload_and_is_no_default() -> None:
    """It comes before Sidecars without a selector, and before a younger one of the workload."""
    every = sidecar("every", "shop", [], born="2025-01-01")
    every["spec"]["workloadSelector"] = {}
    young = sidecar("young", "shop", [], app="web", born="2026-02-02")
    namespace = sidecar("namespace", "shop", [], born="2024-01-01")
    for given in ([every, young], [every, namespace], [young, namespace, every]):
        assert (sidecar_of(PROXY, given, "istio-system") or {})["metadata"]["name"] == "every"
    every["metadata"]["creationTimestamp"] = "2027-01-01"
    assert (sidecar_of(PROXY, [every, young], "istio-system") or {})["metadata"]["name"] == "young"
    every["metadata"]["namespace"] = "istio-system"
    assert sidecar_of(PROXY, [every], "istio-system") is None


def test_a_sidecar_without_egress_hides_nothing() -> None:
    assert imports_host(PROXY, [sidecar("s", "shop", None)], "istio-system", HOST, "bank")
    assert not imports_host(PROXY, [sidecar("s", "shop", [])], "istio-system", HOST, "bank")
    several = sidecar("s", "shop", ["./*"])
    several["spec"]["egress"].append({"port": {"number": 80}, "hosts": ["bank/*"]})
    assert imports_host(PROXY, [several], "istio-system", HOST, "bank")


@pytest.mark.parametrize(
    ("hosts", "known"),
    [
        (["bank/*.example"], False),
        (["bank/*bank.svc.cluster.local"], True),  # pkg/config/host/name.go SubsetOf
        (["bank/*shop.svc.cluster.local"], False),
        (["*.bank.svc.cluster.local"], True),  # without a namespace: in every one
        ([HOST], True),
        (["bank/"], False),
    ],
)
def test_forms_of_hosts(hosts: list[str], known: bool) -> None:
    assert imports_host(PROXY, [sidecar("s", "shop", hosts)], "istio-system", HOST, "bank") is known


FORMS = (
    None, [], ["./*"], ["bank/*"], ["*/*"], [f"bank/{HOST}"], [f"*/{HOST}"], [HOST], ["~/*"],
    ["bank/*.svc.cluster.local"], ["shop/*", "bank/*.example"], ["istio-system/*"],
)  # fmt: skip


@pytest.mark.parametrize("owner", ["bank", "shop", "other"])
@pytest.mark.parametrize("host", [HOST, "cart.shop.svc.cluster.local", "api.example", "*.example"])
@pytest.mark.parametrize("exported", [["*"], ["."], ["shop"], ["istio-system", "."], []])
def test_who_of_many_knows_a_host_is_who_is_told_one_by_one(
    owner: str, host: str, exported: list[str]
) -> None:
    proxies = [
        (namespace, None if hosts is None else sidecar("s", home, hosts))
        for hosts in FORMS
        for namespace, home in (("shop", "shop"), ("bank", "bank"), ("shop", "istio-system"))
    ]
    places = {owner if place == "." else place for place in exported}
    expected = [
        number
        for number, (namespace, item) in enumerate(proxies)
        if imports(item, namespace, "istio-system", host, owner) and places & {"*", namespace}
    ]
    assert Importers(proxies, "istio-system").of([host], owner, exported) == expected


def test_one_host_of_several_is_enough() -> None:
    proxies = [("shop", sidecar("s", "shop", [f"bank/{name}"])) for name in ("a", "b", "c", "*.d")]
    assert Importers(proxies, "istio-system").of(["c", "a"], "bank", ["*"]) == [0, 2]
    assert Importers(proxies, "istio-system").of(["x.d"], "bank", ["*"]) == [3]
    assert Importers(proxies, "istio-system").of([], "bank", ["*"]) == []
