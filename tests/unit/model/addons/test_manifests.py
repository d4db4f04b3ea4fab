"""Add-ons as data: labels, namespaces, images."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.addons.manifests import (
    all_images,
    check_addons,
    prepared,
    remapped,
)

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "grafana", "labels": {"app": "grafana"}},
    "spec": {
        "template": {
            "spec": {
                "initContainers": [{"name": "init", "image": "busybox"}],
                "containers": [{"name": "grafana", "image": "docker.io/grafana/grafana:12.0.1"}],
            }
        }
    },
}


@pytest.mark.parametrize(
    ("image", "images", "wanted"),
    [
        ("docker.io/grafana/grafana:12", {}, "docker.io/grafana/grafana:12"),
        ("docker.io/grafana/grafana:12", {"docker.io": "mirror.local"}, "mirror.local/grafana/grafana:12"),
        ("docker.io/grafana/grafana:12", {"docker.io/grafana/grafana": "m/g"}, "m/g:12"),
        ("docker.io/grafana/grafana:12", {"docker.io/grafana/grafana:12": "m/g:1"}, "m/g:1"),
        ("docker.io/a/b@sha256:0", {"docker.io/a/b": "m/b"}, "m/b@sha256:0"),
        ("docker.io/grafana/grafana:12", {"docker.io": "x", "docker.io/grafana": "y"}, "y/grafana:12"),
        ("docker.io/grafanalabs/x:1", {"docker.io/grafana": "y"}, "docker.io/grafanalabs/x:1"),
    ],
)
def test_images_are_remapped_at_boundaries_only(image: str, images: dict[str, str], wanted: str) -> None:
    assert remapped(image, images) == wanted


def test_objects_are_labelled_and_placed_and_the_input_is_left_alone() -> None:
    before = copy.deepcopy(DEPLOYMENT)
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "g"}}
    elsewhere = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "g", "namespace": "own"}}
    first, second, third = prepared(
        [DEPLOYMENT, role, elsewhere], addon="grafana", namespace="istio-system", images={"docker.io": "m"}
    )
    assert first["metadata"]["namespace"] == "istio-system"
    assert first["metadata"]["labels"] == {
        "app": "grafana",
        "app.kubernetes.io/part-of": "servicemesh-addons",
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "servicemesh.istio/addon": "grafana",
    }
    assert "namespace" not in second["metadata"] and third["metadata"]["namespace"] == "own"
    assert all_images([first]) == ["busybox", "m/grafana/grafana:12.0.1"]
    assert before == DEPLOYMENT


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment", "StatefulSet", "ConfigMap"])
def test_images_of_every_workload_are_remapped_and_of_nothing_else(kind: str) -> None:
    api = "v1" if kind == "ConfigMap" else "apps/v1"
    (found,) = prepared(
        [{**DEPLOYMENT, "apiVersion": api, "kind": kind}],
        addon="a",
        namespace="n",
        images={"busybox": "m/busybox", "docker.io": "m"},
    )
    pod = found["spec"]["template"]["spec"]
    images = [container["image"] for section in pod.values() for container in section]
    wanted = ["m/busybox", "m/grafana/grafana:12.0.1"]
    assert (images == wanted) is (kind != "ConfigMap")
    assert all_images([found, found]) == ([] if kind == "ConfigMap" else sorted(wanted))


def test_only_kinds_that_are_known_to_lie_in_a_namespace_get_one() -> None:
    kinds = [
        ("v1", "Service", "n"),
        ("telemetry.istio.io/v1", "Telemetry", "n"),
        ("example.com/v1", "Service", None),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", None),
        ("v1", "Namespace", None),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", None),
    ]
    objects = [{"apiVersion": api, "kind": kind, "metadata": {"name": "x"}} for api, kind, _place in kinds]
    found = prepared(objects, addon="a", namespace="n", images={})
    assert [obj["metadata"].get("namespace") for obj in found] == [place for _api, _kind, place in kinds]


@pytest.mark.parametrize(
    "obj",
    [
        {"kind": "ConfigMap", "spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}},
        {"kind": "Deployment"},
        {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "no image"}]}}}},
    ],
)
def test_what_has_no_images_has_none(obj: dict[str, Any]) -> None:
    assert all_images([obj]) == []


def test_a_workload_of_another_shape_is_told() -> None:
    with pytest.raises(MalformedError, match="containers is str, not a list"):
        all_images([{"kind": "DaemonSet", "spec": {"template": {"spec": {"containers": "x"}}}}])


@pytest.mark.parametrize("image", [5, ["a"], True])
def test_an_image_of_another_type_is_told(image: Any) -> None:
    spec = {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}
    with pytest.raises(MalformedError, match=rf"Deployment .*x: an image is {type(image).__name__}, not a"):
        prepared([obj], addon="a", namespace="n", images={})


@pytest.mark.parametrize(
    ("enabled", "sources", "release_path", "expected"),
    [
        (None, None, None, []),
        (["prometheus", "own"], {"own": {"path": "x"}}, "", []),
        (["anything"], {}, "/istio", []),
        ("prometheus", {}, "", ["addons_enabled: is a string, not a list"]),
        ([7], {}, "", ["addons_enabled[0]: is a number, not a string"]),
        (["loki", "loki"], {}, "", ["addons_enabled[1]: 'loki' is listed twice"]),
        ([], ["a"], "", ["addons_sources: is a list, not a mapping"]),
        (
            ["loki", "kialli"],
            {},
            "",
            [
                "addons_enabled[1]: no add-on is called 'kialli', did you mean kiali "
                "(known: grafana, jaeger, kiali, loki, prometheus)"
            ],
        ),
        ([], {"a": {}}, "", ["addons_sources.a: needs a path or a url"]),
        ([], {"a": None}, "", ["addons_sources.a: needs a path or a url"]),
        ([], {"a": {"path": "x", "url": "y"}}, "", ["addons_sources.a: needs a path or a url"]),
        ([], {"a": {"url": "y", "checksum": "sha256:1"}}, "", []),
        (
            [],
            {"a": {"path": "x", "urll": "y"}},
            "",
            ["addons_sources.a.urll: is not a known key, did you mean url"],
        ),
        (
            [],
            {"a": {"url": "https://example.com/main/a.yaml"}},
            "",
            ["addons_sources.a.checksum: a url needs its checksum (sha256:...): what it holds may change"],
        ),
    ],
)
def test_the_choice_of_addons_is_checked(
    enabled: Any, sources: Any, release_path: Any, expected: list[str]
) -> None:
    found = check_addons(
        {"addons_enabled": enabled, "addons_sources": sources, "addons_release_path": release_path}
    )
    assert [f"{problem.where}: {problem.message}" for problem in found] == expected
