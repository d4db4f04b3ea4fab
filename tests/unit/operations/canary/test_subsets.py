"""The subsets that a rollout's routes name, in the live DestinationRule."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.subsets import (
    missing_subsets,
)

from ...support.cluster import FakeCluster


def to(version: str | None) -> SimpleNamespace:
    return SimpleNamespace(to=version)


def missing(*held: str, own_routes: bool = False) -> list[str]:
    """Of a service with three versions, a route that changes no version, and a mirror to the third."""
    subsets = [{"name": name, "labels": {"version": name}} for name in held]
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {"host": "api", "subsets": subsets},
    }
    versions = {name: SimpleNamespace(labels={"version": name}) for name in ("v1", "v2", "v3")}
    service = SimpleNamespace(name="api", namespace="shop", versions=versions, variants=[], mirror=to("v3"))
    service.routes = [to(None), to("v2")]
    options = SimpleNamespace(routes="api-routes" if own_routes else "")
    builder: Any = SimpleNamespace(service=service, client=FakeCluster(rule), options=options)
    return missing_subsets(builder, "v1")


def test_computed_routes_name_what_the_catalogue_says_and_a_route_without_a_version_nothing() -> None:
    assert missing("v1", "v2", "v3") == []
    (told,) = missing("v1", "v2")
    assert told == (
        "DestinationRule shop/api has no subset v3 with labels {'version': 'v3'}: apply the mesh first"
    )
    assert len(missing()) == 3


def test_routes_of_somebody_else_name_the_split_alone() -> None:
    assert missing("v1", own_routes=True) == []
