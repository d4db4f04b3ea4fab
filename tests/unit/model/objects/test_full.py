"""A catalogue with every setting, and each object that it renders to, word for word.

``full_objects.yml`` was written and read by people; when a change is meant, the new text is read again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources
from ansible_collections.servicemesh.istio.plugins.module_utils.object_id import object_id

from ...support.catalogues import full

RELEASES = {
    "shop/api": {"weights": {"v1": 75, "v2": 25, "v0": 0}, "fence": 7},
    "back/queue": {"stable": "v2"},
    "shop/gone": {"weights": {"v1": 100}},
}
# As Istio's definitions serve them (kubernetes/customresourcedefinitions.gen.yaml).
SERVED = {
    "AuthorizationPolicy": "security.istio.io/v1",
    "ConfigMap": "v1",
    "DestinationRule": "networking.istio.io/v1",
    "EnvoyFilter": "networking.istio.io/v1alpha3",
    "Gateway": "networking.istio.io/v1",
    "PeerAuthentication": "security.istio.io/v1",
    "ServiceEntry": "networking.istio.io/v1",
    "Sidecar": "networking.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "VirtualService": "networking.istio.io/v1",
}


def test_each_kind_is_written_in_the_version_that_is_served() -> None:
    rendered = mesh_resources(full(), RELEASES)
    assert {obj["kind"]: obj["apiVersion"] for obj in rendered} == SERVED


def test_every_setting_renders_to_exactly_this() -> None:
    rendered = mesh_resources(full(), RELEASES)
    text = (Path(__file__).parent / "full_objects.yml").read_text(encoding="utf-8")
    expected: dict[str, Any] = yaml.safe_load(text)
    assert [object_id(obj) for obj in rendered] == list(expected)
    for obj in rendered:
        spec = {key: obj[key] for key in ("spec", "data") if key in obj}
        notes = obj["metadata"].get("annotations")
        assert spec | ({"annotations": notes} if notes else {}) == expected[object_id(obj)], object_id(obj)
        assert set(obj) == {"apiVersion", "kind", "metadata", *spec}
        assert set(obj["metadata"]) - {"annotations"} == {"name", "namespace", "labels"}
        assert obj["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "servicemesh.istio",
            "app.kubernetes.io/part-of": "shop",
        }
