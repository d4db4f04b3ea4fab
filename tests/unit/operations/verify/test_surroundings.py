"""What is read around a mesh, and what is said where it may not be."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import ObjectList
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.surroundings import (
    KINDS,
    is_injected,
    read_everywhere,
    read_surroundings,
)

from ...support.cluster import FakeCluster
from .builders import item, pod


def meshed(name: str, namespace: str) -> dict[str, object]:
    labels = {"security.istio.io/tlsMode": "istio"}
    return pod(name, labels, metadata={"namespace": namespace, "labels": labels})


def cluster() -> FakeCluster:
    return FakeCluster(
        {"kind": "Namespace", "metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}},
        {"kind": "Namespace", "metadata": {"name": "other", "labels": {"istio.io/rev": "canary"}}},
        {"kind": "Namespace", "metadata": {"name": "plain"}},
        meshed("own", "shop"),
        meshed("a", "other"),
        pod("bare", metadata={"namespace": "other"}, proxy=None),
        meshed("stray", "plain"),
        pod("beside", metadata={"namespace": "plain"}, proxy=None),
        item("Gateway", "far", {}, "plain"),
    )


def test_every_namespace_is_read_at_once() -> None:
    client = cluster()
    found = read_surroundings(client, ["shop"])
    assert [one["metadata"]["name"] for one in found.of("Gateway")] == ["far"]
    assert found.unread == {}
    assert found.injected == {"shop", "other"}
    assert sorted(one["metadata"]["name"] for one in found.pods) == ["a", "bare", "stray"]
    assert len(client.calls) == len(KINDS) + 4  # and EndpointSlices, namespaces, two kinds of pods


def test_without_the_right_the_own_namespaces_are_read_and_the_rest_is_told() -> None:
    client = cluster()
    client.put(item("Gateway", "near", {}))
    client.fail("list", "Gateway", 403, times=1, when=lambda call: call.namespace is None)
    client.fail("list", "Namespace", 403)
    found = read_surroundings(client, ["shop"])
    assert [one["metadata"]["name"] for one in found.of("Gateway")] == ["near"]
    assert set(found.unread) == {"Gateway", "Pod"}
    assert found.pods == []


@pytest.mark.parametrize(("kind", "found"), [("TLSRoute", ["old"]), ("TCPRoute", ["old"]), ("HTTPRoute", [])])
def test_what_an_older_gateway_api_has_is_read_by_its_older_version(kind: str, found: list[str]) -> None:
    class Client:
        def list(self, api_version: str, kind: str) -> ObjectList:
            old = api_version.endswith("/v1alpha2")
            return ObjectList([item(kind, "old")] if old else [], missing=not old)

    client: Any = Client()
    items, why = read_everywhere(client, KINDS[kind], kind, ["shop"])
    assert ([one["metadata"]["name"] for one in items], why) == (found, "")


def test_endpoints_that_may_not_be_read_are_told() -> None:
    client = cluster()
    client.fail("list", "EndpointSlice", 403)
    assert set(read_surroundings(client, ["shop"]).unread) == {"EndpointSlice"}


@pytest.mark.parametrize("kind", ["Gateway", "EndpointSlice"])
def test_an_api_server_that_does_not_answer_is_an_error(kind: str) -> None:
    client = cluster()
    client.fail("list", kind, 500)
    with pytest.raises(ApiError):
        read_surroundings(client, ["shop"])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, False),
        ({"istio-injection": "enabled"}, True),
        ({"istio-injection": "disabled", "istio.io/rev": "x"}, False),
        ({"istio.io/rev": "x"}, True),
    ],
)
def test_labels_say_whether_a_namespace_is_injected(labels: dict[str, str], expected: bool) -> None:
    assert is_injected({"kind": "Namespace", "metadata": {"name": "x", "labels": labels}}) is expected
