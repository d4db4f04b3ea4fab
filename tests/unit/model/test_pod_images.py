"""The images of whatever makes pods."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.pod_images import INJECTED, pod_images


def pod(*images: str, first: tuple[str, ...] = (), **annotations: str) -> dict[str, Any]:
    return {
        "metadata": {"annotations": annotations},
        "spec": {
            "containers": [{"name": "c", "image": image} for image in images],
            "initContainers": [{"name": "i", "image": image} for image in first],
        },
    }


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        (pod("a", "b", first=("i",), x="y"), [("i", {"x": "y"}), ("a", {"x": "y"}), ("b", {"x": "y"})]),
        ({"kind": "Deployment", "spec": {"replicas": 1, "template": pod("a")}}, [("a", {})]),
        (
            {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": pod("a", x="y")}}}},
            [("a", {"x": "y"})],
        ),
        ({"kind": "List", "items": [pod("a"), {"spec": {"template": pod("b")}}]}, [("a", {}), ("b", {})]),
        (pod("", INJECTED), [("auto", {})]),
        ({"spec": {"containers": "x"}}, []),
        ({"spec": None, "containers": [{"image": "a"}]}, []),
        ({}, []),
    ],
)
def test_every_container_of_every_template(obj: dict[str, Any], found: list[Any]) -> None:
    assert list(pod_images(obj)) == found


def test_containers_of_another_shape_are_told() -> None:
    with pytest.raises(MalformedError):
        list(pod_images({"spec": {"containers": ["x"]}}))
