"""The Helm releases of an installation, and where their charts come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.helm_releases import (
    Release,
    chart_reference,
    desired_releases,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    read_installation,
)


def releases(**changes: Any) -> tuple[Release, ...]:
    options = {"method": "helm", "version": "1.31.0", "hub": "docker.io/istio", "gateways": [], **changes}
    return desired_releases(read_installation(options))


def gateway(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    (*_others, release) = releases(gateways=[{"name": "istio-edge", **entry}], **changes)
    assert (release.name, release.chart) == ("istio-edge", "gateway")
    return dict(release.values)


def test_releases_come_in_the_order_of_their_dependencies() -> None:
    found = releases(
        revision="r1", namespace="mesh", gateways=[{"name": "a"}, {"name": "b", "namespace": "e"}]
    )
    assert [(item.namespace, item.name, item.chart) for item in found] == [
        ("mesh", "istio-base", "base"),
        ("mesh", "istiod-r1", "istiod"),
        ("mesh", "a", "gateway"),
        ("e", "b", "gateway"),
    ]
    assert [item.values.get("revision") for item in found] == [None, "r1", "r1", "r1"]


def test_the_values_of_a_plain_installation() -> None:
    base, istiod = releases(tag="1.31.0-debug")
    assert base.values == {"defaultRevision": "default", "global": {"istioNamespace": "istio-system"}}
    assert istiod.values == {
        "global": {"hub": "docker.io/istio", "tag": "1.31.0-debug", "istioNamespace": "istio-system"}
    }


def test_what_is_set_reaches_the_charts_and_the_users_values_win() -> None:
    base, istiod = releases(
        profile="demo",
        revision="r1",
        default_revision="old",
        mesh_config={"enableTracing": True},
        values={"global": {"hub": "mine"}, "defaultRevision": "x"},
    )
    assert base.values["profile"] == istiod.values["profile"] == "demo"
    assert releases(revision="r1", default_revision="old")[0].values["defaultRevision"] == "old"
    assert releases(revision="r1")[0].values["defaultRevision"] == "r1"
    assert base.values["defaultRevision"] == "x"
    assert istiod.values["global"]["hub"] == "mine"
    assert istiod.values["meshConfig"] == {"enableTracing": True}


@pytest.mark.parametrize("profile", ["default", "minimal"])
def test_profiles_that_the_charts_do_not_know_mean_nothing(profile: str) -> None:
    assert all("profile" not in release.values for release in releases(profile=profile))


def test_the_values_of_a_gateway() -> None:
    assert gateway({}) == {
        "serviceAccount": {"create": True, "name": "istio-edge-service-account"},
        "labels": {"app": "istio-edge", "istio": "edge", "servicemesh.istio/gateway": "true"},
        "service": {
            "type": "LoadBalancer",
            "ports": [
                {"name": "status-port", "port": 15021, "targetPort": 15021, "protocol": "TCP"},
                {"name": "http2", "port": 80, "targetPort": 80, "protocol": "TCP"},
                {"name": "https", "port": 443, "targetPort": 443, "protocol": "TCP"},
            ],
        },
        "autoscaling": {"enabled": True, "minReplicas": 1, "maxReplicas": 5},
    }


def test_what_is_set_reaches_the_gateway() -> None:
    port = {"name": "dns", "port": 53, "target_port": 5353, "protocol": "UDP", "node_port": 30053}
    found = gateway(
        {
            "service_account": "own",
            "replicas": 2,
            "ports": [port],
            "service_annotations": {"a": "b"},
            "resources": {"limits": {"cpu": 1}},
            "values": {"service": {"type": "NodePort"}, "kind": "DaemonSet"},
        },
        revision="r1",
        values={"global": {"imagePullPolicy": "Never"}},
    )
    assert found["serviceAccount"]["name"] == "own"
    assert found["autoscaling"] == {"enabled": False} and found["replicaCount"] == 2
    assert found["service"] == {
        "type": "NodePort",
        "annotations": {"a": "b"},
        "ports": [{"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP", "nodePort": 30053}],
    }
    assert found["resources"] == {"limits": {"cpu": 1}}
    assert (found["revision"], found["kind"], found["imagePullPolicy"]) == ("r1", "DaemonSet", "Never")


@pytest.mark.parametrize(
    ("chart", "place"),
    [
        ("base", "base-1.31.0.tgz"),
        ("base", "base/Chart.yaml"),
        ("base", "manifests/charts/base/Chart.yaml"),
        ("istiod", "istiod-1.31.0.tgz"),
        ("istiod", "istiod/Chart.yaml"),
        ("istiod", "istio-control/istio-discovery/Chart.yaml"),
        ("istiod", "manifests/charts/istio-control/istio-discovery/Chart.yaml"),
        ("gateway", "gateway-1.31.0.tgz"),
        ("gateway", "gateway/Chart.yaml"),
        ("gateway", "manifests/charts/gateway/Chart.yaml"),
    ],
)
def test_a_chart_is_found_in_a_directory(tmp_path: Path, chart: str, place: str) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"name: {chart}")
    found = file if file.suffix == ".tgz" else file.parent
    assert chart_reference(str(tmp_path), chart, "1.31.0").arguments == (str(found),)


def test_a_package_goes_before_a_directory(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "Chart.yaml").write_text("name: base")
    (tmp_path / "base-1.31.0.tgz").write_text("")
    assert chart_reference(str(tmp_path), "base", "1.31.0").reference == str(tmp_path / "base-1.31.0.tgz")


def test_a_directory_without_the_chart_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()  # without Chart.yaml it is no chart
    (tmp_path / "base-1.30.0.tgz").write_text("")
    with pytest.raises(InputError, match=r"holds no chart base of version 1\.31\.0") as caught:
        chart_reference(str(tmp_path), "base", "1.31.0")
    assert problems(caught.value) == [("istio_chart_source", "chart-source")]
    with pytest.raises(InputError, match="is no directory") as caught:
        chart_reference(str(tmp_path / "none"), "base", "1.31.0")
    assert problems(caught.value) == [("istio_chart_source", "chart-source")]


def problems(error: InputError) -> list[tuple[str, str]]:
    return [(problem.where, problem.rule) for problem in error.problems]


@pytest.mark.parametrize("source", ["ftp://example.com/charts", "https://", "https://example.com/a b"])
def test_what_is_no_url_is_looked_for_on_disk(source: str) -> None:
    with pytest.raises(InputError, match="is no directory"):
        chart_reference(source, "base", "1.31.0")


def test_a_directory_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "base-1.31.0.tgz").write_text("")
    assert chart_reference("~/charts", "base", "1.31.0").reference == f"{tmp_path}/charts/base-1.31.0.tgz"


def test_charts_of_a_repository_and_of_a_registry() -> None:
    repository = chart_reference("https://example.com/charts", "base", "1.31.0")
    assert repository.arguments == ("base", "--repo", "https://example.com/charts", "--version", "1.31.0")
    assert chart_reference("http://in.house/charts", "base", "1").repository == "http://in.house/charts"
    oci = chart_reference("oci://ghcr.io/istio/release/charts/", "istiod", "1.31.0")
    assert oci.arguments == ("oci://ghcr.io/istio/release/charts/istiod", "--version", "1.31.0")


@pytest.mark.parametrize(
    "source", ["https://me:s3cret@charts.example.com", "oci://me:s3cret@r.example.com/c"]
)
def test_a_login_would_be_seen_in_helms_command_line(source: str) -> None:
    with pytest.raises(InputError, match="holds a login") as caught:
        chart_reference(source, "base", "1.31.0")
    assert "s3cret" not in str(caught.value)
