"""Small facts about objects."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.discovery import Resource
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.objects import (
    covers,
    is_untouched,
    key_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.object_id import object_id


def test_identity():
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}
    assert key_of(obj) == ("v1", "ConfigMap", "b", "a")
    assert object_id(obj) == "ConfigMap b/a"
    assert object_id({"kind": "Namespace", "metadata": {"name": "a"}}) == "Namespace a"


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}]}, True),
        ({"resourceVersion": "2"}, {"resourceVersion": "1"}, True),
        ({}, {"a": None}, True),
        ("text", ["t"], False),
    ],
)
def test_covers(live, wanted, expected):
    assert covers(live, wanted) is expected


def test_an_object_that_nobody_wrote_to_since():
    metadata = {"creationTimestamp": "t1", "managedFields": [{"time": "t1"}]}
    assert is_untouched({"metadata": metadata})
    assert not is_untouched({"metadata": {**metadata, "managedFields": [{"time": "t1"}, {"time": "t2"}]}})
    assert not is_untouched({"metadata": {"creationTimestamp": "t1"}})


def test_paths():
    namespaced = Resource("networking.istio.io/v1", "VirtualService", "virtualservices", True)
    assert namespaced.path("b", "a") == "/apis/networking.istio.io/v1/namespaces/b/virtualservices/a"
    assert namespaced.path() == "/apis/networking.istio.io/v1/virtualservices"
    assert (
        Resource("v1", "Namespace", "namespaces", False).path("ignored", "a", "status")
        == "/api/v1/namespaces/a/status"
    )
    assert (namespaced.group, Resource("v1", "Pod", "pods", True).group) == ("networking.istio.io", "")
