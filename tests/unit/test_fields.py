"""Reading optional fields: absent is empty, another type is an error that names object and field."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils import fields
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError

OBJECT = {
    "kind": "Pod",
    "metadata": {"namespace": "shop", "name": "web", "labels": {"app": "web"}, "annotations": None},
    "spec": {"containers": [{"name": "web"}], "replicas": 0, "on": True},
}


def test_what_is_there() -> None:
    assert fields.field(OBJECT, "spec", "on") is True
    assert fields.mapping_at(OBJECT, "metadata", "labels") == {"app": "web"} == fields.labels_of(OBJECT)
    assert fields.mappings_at(OBJECT, "spec", "containers") == [{"name": "web"}]
    assert fields.list_at(OBJECT, "spec", "containers") == [{"name": "web"}]
    assert fields.text_at(OBJECT, "metadata", "name") == "web" == fields.name_of(OBJECT)
    assert fields.namespace_of(OBJECT) == "shop"
    assert fields.integer_at(OBJECT, "spec", "replicas", default=1) == 0


@pytest.mark.parametrize("obj", [None, {}, {"spec": None}, {"spec": {}}, {"spec": {"x": None}}])
def test_absent_and_null_are_empty(obj: dict | None) -> None:
    assert fields.field(obj, "spec", "x") is None
    assert fields.mapping_at(obj, "spec", "x") == {}
    assert fields.list_at(obj, "spec", "x") == () == fields.mappings_at(obj, "spec", "x")
    assert fields.text_at(obj, "spec", "x") == ""
    assert fields.integer_at(obj, "spec", "x", default=7) == 7
    assert fields.annotations_of(OBJECT) == {} == fields.labels_of(None)


@pytest.mark.parametrize(
    ("read", "path", "words"),
    [
        (fields.field, ("spec", "on", "x"), "spec.on is bool, not a mapping"),
        (fields.mapping_at, ("spec", "containers"), "spec.containers is list, not a mapping"),
        (fields.list_at, ("metadata", "name"), "metadata.name is str, not a list"),
        (fields.list_at, ("metadata", "labels"), "metadata.labels is dict, not a list"),
        (fields.text_at, ("spec", "replicas"), "spec.replicas is int, not a string"),
        (fields.integer_at, ("spec", "on"), "spec.on is bool, not a whole number"),
        (fields.integer_at, ("metadata", "name"), "metadata.name is str, not a whole number"),
    ],
)
def test_another_type_is_an_error(read: object, path: tuple[str, ...], words: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read(OBJECT, *path)
    assert str(caught.value) == f"Pod shop/web: {words}"


def test_a_list_of_something_else() -> None:
    with pytest.raises(MalformedError, match=r"^an object: items\.1 is str, not a mapping$"):
        fields.mappings_at({"items": [{}, "a"]}, "items")
    with pytest.raises(MalformedError, match=r"^an object: it is list, not a mapping$"):
        fields.field([], "a")
