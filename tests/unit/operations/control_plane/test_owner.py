"""One control plane, one inventory: whoever would undo the work of another is told before the first write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import RefusedError

from ...support.cluster import FakeCluster
from . import test_helm as helm_case
from .test_backend import (
    BY_HELM,
    BY_ISTIOCTL,
    LABELS,
    PLACE,
    Istioctl,
    config_map,
    drifted,
    namespace,
    running,
    with_helm,
    with_istioctl,
)

MARK = "servicemesh.istio/installed-by"
IMAGE = "docker.io/istio/pilot:1.31.1"
Obj = dict[str, Any]


def owned(owner: str, image: str = IMAGE, *, name: str = "istiod-r1", **metadata: Any) -> Obj:
    live = running(image, name=name, **metadata)
    live["metadata"]["annotations"] = {**live["metadata"].get("annotations", {}), MARK: owner}
    return live


def holder(cluster: FakeCluster, name: str = "istiod-r1") -> str:
    live = cluster.find("Deployment", name, PLACE)
    assert live is not None
    return str(live["metadata"].get("annotations", {}).get(MARK, ""))


def installed(*objects: Obj) -> FakeCluster:
    """A control plane that is as istioctl would leave it."""
    cluster = FakeCluster(namespace(), *objects)
    Istioctl(cluster).install(None)
    cluster.writes.clear()
    return cluster


class TestClaim:
    def test_an_installation_gets_its_owner_once(self, tmp_path: Path) -> None:
        cluster = installed(running(IMAGE))
        planned = with_istioctl(tmp_path, cluster, Context(check_mode=True, diff_mode=True), owner="shop")
        assert (planned["changed"], cluster.writes) == (True, [])
        assert planned["objects"] == [{"id": "Deployment istio-system/istiod-r1", "action": "update"}]
        assert MARK in planned["diff"][0]["after"] and MARK not in planned["diff"][0]["before"]
        done = with_istioctl(tmp_path, cluster, owner="shop")
        assert (done["changed"], done["objects"], holder(cluster)) == (True, planned["objects"], "shop")
        for check in (True, False):
            again = with_istioctl(tmp_path, cluster, Context(check_mode=check), owner="shop")
            assert (again["changed"], again["objects"]) == (False, [])

    def test_so_it_does_with_helm(self, tmp_path: Path) -> None:
        cluster = helm_case.everything()
        cluster.put(running(IMAGE, name="istiod", **BY_HELM))
        assert with_helm(tmp_path, cluster, Context(check_mode=True), owner="shop")["changed"] is True
        assert holder(cluster, "istiod") == ""
        assert with_helm(tmp_path, cluster, owner="shop")["changed"] is True
        assert holder(cluster, "istiod") == "shop"
        assert with_helm(tmp_path, cluster, owner="shop")["changed"] is False

    def test_who_has_no_name_claims_nothing(self, tmp_path: Path) -> None:
        cluster = installed(running(IMAGE))
        assert with_istioctl(tmp_path, cluster)["changed"] is False
        assert holder(cluster) == ""


def removed() -> Obj:
    """A gateway that another inventory has."""
    gateway = config_map("edge")
    gateway["metadata"]["labels"] = LABELS
    return gateway


class TestAnotherInventory:
    @pytest.mark.parametrize("asker", ["books", ""])
    @pytest.mark.parametrize("check", [True, False])
    def test_what_it_would_change_is_refused(self, tmp_path: Path, check: bool, asker: str) -> None:
        cluster = installed(owned("shop"), removed())
        tool = Istioctl(cluster, config_map(mesh="b"), config_map("new"))
        with pytest.raises(RefusedError) as caught:
            with_istioctl(tmp_path, cluster, Context(check_mode=check), tool=tool, owner=asker)
        assert caught.value.rule == "one-inventory"
        said = str(caught.value)
        assert "istiod-r1 in istio-system is installed by the inventory of 'shop'" in said
        assert "update ConfigMap istio-system/istio, create ConfigMap istio-system/new" in said
        assert "delete ConfigMap istio-system/edge" in said
        assert "istio_take_over=true" in said and ("'books'" in said or "names no istio_owner" in said)
        assert (cluster.writes, tool.runner.asked("install"), holder(cluster)) == ([], [], "shop")

    def test_one_that_would_change_nothing_goes_on(self, tmp_path: Path) -> None:
        cluster = installed(owned("shop"))
        for check in (True, False):
            result = with_istioctl(tmp_path, cluster, Context(check_mode=check), owner="books")
            assert (result["changed"], cluster.writes, holder(cluster)) == (False, [], "shop")

    def test_it_takes_over_when_told_to(self, tmp_path: Path) -> None:
        cluster = installed(owned("shop"))
        tool = Istioctl(cluster, config_map(mesh="b"))
        assert with_istioctl(tmp_path, cluster, tool=tool, owner="books", take_over=True)["changed"] is True
        assert holder(cluster) == "books"
        with pytest.raises(RefusedError, match="installed by the inventory of 'books'"):
            with_istioctl(tmp_path, cluster, owner="shop")

    @pytest.mark.parametrize("version", ["1.29.0", "1.32.4"])
    def test_of_another_version_it_hears_whose_it_is(self, tmp_path: Path, version: str) -> None:
        """It was told of version skew only, as if the version had been its own."""
        cluster = FakeCluster(namespace(), owned("shop", f"pilot:{version}"))
        with pytest.raises(RefusedError, match=rf"'shop'.*version {version} to 1\.31\.1"):
            with_istioctl(tmp_path, cluster, owner="books")
        with pytest.raises(RefusedError, match="is not supported"):
            with_istioctl(tmp_path, cluster, owner="shop")

    def test_of_another_method_too(self, tmp_path: Path) -> None:
        cluster = helm_case.everything()
        cluster.put(owned("shop", name="istiod", **BY_ISTIOCTL))
        with pytest.raises(RefusedError, match=r"'shop'.*istio_method istioctl to helm"):
            with_helm(tmp_path, cluster, owner="books")

    def test_releases_and_drift_of_helm(self, tmp_path: Path) -> None:
        cluster = helm_case.everything()
        cluster.put(owned("shop", name="istiod", **BY_HELM))
        drifted(cluster)
        with pytest.raises(RefusedError, match="update ConfigMap istio-system/istio"):
            with_helm(tmp_path, cluster, owner="books")
        cluster = helm_case.cluster(helm_case.BASE, helm_case.istiod(values={}), *helm_case.LIVE)
        cluster.put(owned("shop", name="istiod", **BY_HELM))
        with pytest.raises(RefusedError, match="upgrade Helm release istio-system/istiod"):
            with_helm(tmp_path, cluster, owner="books")
        assert cluster.writes == []


def injector(place: str, revision: str = "r1", **labels: str) -> Obj:
    webhook = {
        "name": "rev.namespace.sidecar-injector.istio.io",
        "clientConfig": {"service": {"namespace": place, "name": f"istiod-{revision}", "path": "/inject"}},
        "rules": [{"operations": ["CREATE"], "resources": ["pods"]}],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"injector-{place}", "labels": {"istio.io/rev": revision, **labels}},
        "webhooks": [webhook],
    }


class TestAnotherNamespace:
    def test_a_second_control_plane_of_a_revision_is_refused(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace(), injector("mesh-system"))
        for check in (True, False):
            with pytest.raises(RefusedError) as caught:
                with_istioctl(tmp_path, cluster, Context(check_mode=check))
            assert caught.value.rule == "one-control-plane"
            assert "'r1' already runs in namespace mesh-system" in str(caught.value)
            assert "state istio_namespace: mesh-system, or another istio_revision" in str(caught.value)
        assert cluster.writes == []

    @pytest.mark.parametrize(
        "other",
        [
            injector(PLACE),
            injector("mesh-system", "r2"),
            injector("mesh-system", **{"istio.io/tag": "prod"}),
        ],
        ids=["ours", "another revision", "a tag"],
    )
    def test_what_is_no_second_one(self, tmp_path: Path, other: Obj) -> None:
        cluster = FakeCluster(namespace(), other)
        assert with_istioctl(tmp_path, cluster, Context(check_mode=True))["changed"] is True
