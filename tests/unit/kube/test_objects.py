"""Small facts about objects."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.discovery import _CORE, Resource
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.objects import (
    covers,
    is_built_in,
    is_leaving,
    is_untouched,
    kept_by,
    key_of,
    unfolded,
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
        (["t"], "text", False),
        ({"a": 1}, {"a": True}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": 1.0}, {"a": 1}, True),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
        ([1], (1,), True),
        ([1], {}, False),
    ],
)
def test_covers(live, wanted, expected):
    assert covers(live, wanted) is expected


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        ([1, 2], [1, 2]),
        ({"kind": "List", "items": [1]}, [1]),
        ({"kind": "PodList", "items": []}, []),
        ({"kind": "List", "items": {}}, [{"kind": "List", "items": {}}]),
        ({"kind": "Listing", "items": [1]}, [{"kind": "Listing", "items": [1]}]),
        ({"items": [1]}, [{"items": [1]}]),
        ("text", ["text"]),
    ],
)
def test_lists_are_unfolded(document, parts):
    assert unfolded(document) == parts


@pytest.mark.parametrize(
    ("api_version", "expected"),
    [
        ("v1", True),
        ("apps/v1", True),
        ("rbac.authorization.k8s.io/v1", True),
        ("gateway.networking.k8s.io/v1", False),
        ("networking.istio.io/v1", False),
        ("cert-manager.io/v1", False),
    ],
)
def test_the_servers_own_kinds(api_version, expected):
    assert is_built_in(api_version) is expected


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


def test_what_is_known_of_the_core_group_without_a_request():
    """Kubernetes: three kinds of the core group belong to no namespace; plurals end in s."""
    assert {kind for kind, (_plural, namespaced) in _CORE.items() if not namespaced} == {
        "Namespace",
        "Node",
        "PersistentVolume",
    }
    for kind, (plural, _namespaced) in _CORE.items():
        assert plural == kind.lower() + ("" if kind == "Endpoints" else "s")


def test_why_what_was_deleted_is_still_there():
    finalizers = {"kind": "X", "metadata": {"finalizers": ["a/b", "c"]}}
    assert kept_by(finalizers) == "finalizers: a/b, c"
    assert kept_by({"kind": "X", "metadata": {}}) == "finalizers: none"
    conditions = [
        {"status": "True", "message": "some are left"},
        {"status": "False", "message": "all well"},
        {"status": "True", "message": "a webhook fails"},
    ]
    namespace = {"kind": "Namespace", "metadata": {"finalizers": ["x"]}, "status": {"conditions": conditions}}
    assert kept_by(namespace) == "some are left; a webhook fails"
    assert kept_by({"kind": "Namespace"}) == "its content is being deleted"


def test_what_somebody_has_deleted():
    assert is_leaving({"metadata": {"deletionTimestamp": "t"}})
    assert not is_leaving({"metadata": {}})


@pytest.mark.parametrize(
    "group",
    [
        "admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization",
        "certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "networking", "node",
        "rbac.authorization", "resource", "scheduling", "storage", "storagemigration",
    ],
)  # fmt: skip
def test_every_group_of_the_server_itself(group):
    assert is_built_in(f"{group}.k8s.io/v1")
    assert not is_built_in(f"{group}.x-k8s.io/v1")
