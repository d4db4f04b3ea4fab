"""What is shown of a change, and what is never shown."""

from __future__ import annotations

import json

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.comparison import (
    HIDDEN,
    HIDDEN_CHANGED,
    content,
    for_display,
    ownership,
)


def secret(**data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}


def test_server_fields_and_status_do_not_count():
    obj = {
        "metadata": {
            "name": "a",
            "uid": "1",
            "resourceVersion": "2",
            "generation": 3,
            "creationTimestamp": "t",
        },
        "spec": {},
        "status": {"x": 1},
    }
    assert content(obj) == {"metadata": {"name": "a"}, "spec": {}}
    assert content(None) == {}


def test_ownership_ignores_times_and_the_order_of_entries():
    def entry(manager, time):
        return {
            "manager": manager,
            "operation": "Apply",
            "apiVersion": "v1",
            "time": time,
            "fieldsV1": {"f:a": {}},
        }

    one = {"metadata": {"managedFields": [entry("a", "1"), entry("b", "1")]}}
    other = {"metadata": {"managedFields": [entry("b", "2"), entry("a", "2")]}}
    assert ownership(one) == ownership(other)
    other["metadata"]["managedFields"][0]["fieldsV1"] = {"f:b": {}}
    assert ownership(one) != ownership(other)


def test_secret_values_are_blank_and_changes_show():
    before, after = for_display(secret(a="b25l", b="c2FtZQ=="), secret(a="dHdv", b="c2FtZQ==", c="bmV3"))
    assert before["data"] == {"a": HIDDEN, "b": HIDDEN}
    assert after["data"] == {"a": HIDDEN_CHANGED, "b": HIDDEN, "c": HIDDEN}


def test_a_secret_that_comes_or_goes_is_blank():
    for pair in (for_display(None, secret(a="eA==")), for_display(secret(a="eA=="), None)):
        assert "eA==" not in json.dumps(pair)


def test_key_material_and_credential_fields_are_blank_anywhere():
    pem = "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n"
    obj = {
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"file": f"text\n{pem}", "plain": "visible"},
        "spec": {"tls": [{"privateKey": "abc", "inline_bytes": "def", "host": "h"}]},
    }
    _unused, shown = for_display(None, obj)
    assert shown["data"] == {"file": HIDDEN, "plain": "visible"}
    assert shown["spec"] == {"tls": [{"privateKey": HIDDEN, "inline_bytes": HIDDEN, "host": "h"}]}
    _unused, changed = for_display({**obj, "data": {"file": pem}}, obj)
    assert changed["data"]["file"] == HIDDEN_CHANGED


def test_the_copy_that_kubectl_keeps_is_not_shown():
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"a":"c2VjcmV0"}}', "b": "1"}
    obj = {"kind": "Secret", "metadata": {"name": "s", "annotations": annotations}, "data": {}}
    before, after = for_display(obj, obj)
    assert before["metadata"]["annotations"] == after["metadata"]["annotations"] == {"b": "1"}


def test_the_objects_themselves_stay_as_they_are():
    obj = secret(a="eA==")
    for_display(obj, obj)
    assert obj["data"] == {"a": "eA=="}


def test_every_part_of_an_entry_is_ownership():
    entry = {
        "manager": "a",
        "operation": "Apply",
        "subresource": "",
        "apiVersion": "v1",
        "fieldsV1": {"f:a": {}},
    }

    def owned(**changed):
        return ownership({"metadata": {"managedFields": [{**entry, **changed}]}})

    assert owned() == owned(time="2") == owned(subresource=None)
    others = [
        owned(manager="b"),
        owned(operation="Update"),
        owned(subresource="status"),
        owned(apiVersion="v2"),
        owned(fieldsV1={"f:a": {"f:b": {}}}),
        owned(fieldsV1={"f:a,f:b": {}}),
    ]
    assert owned() not in others
    assert ownership({"metadata": {}}) == []
    two = {"f:a": {}, "f:b": {}}
    assert owned(fieldsV1=two) == owned(fieldsV1=dict(reversed(two.items())))


def test_credentials_in_lists_that_grow_shrink_or_change_their_shape():
    def spec(value):
        return {"kind": "EnvoyFilter", "metadata": {}, "spec": value}

    before, after = for_display(
        spec([{"password": "a"}, {"password": "b"}]),
        spec([{"password": "a"}, {"password": "c"}, {"password": "d"}]),
    )
    assert before["spec"] == [{"password": HIDDEN}] * 2
    assert after["spec"] == [{"password": HIDDEN}, {"password": HIDDEN_CHANGED}, {"password": HIDDEN}]
    before, after = for_display(spec({"password": "a"}), spec([{"password": "a"}]))
    assert (before["spec"], after["spec"]) == ({"password": HIDDEN}, [{"password": HIDDEN}])
    before, after = for_display(spec({"password": ["a"]}), spec({"password": "a"}))
    assert after["spec"] == {"password": HIDDEN}


def test_empty_credentials_and_ordinary_texts_are_shown():
    obj = {
        "kind": "X",
        "metadata": {"name": "n"},
        "spec": {"password": "", "host": "h", "port": 1, "on": True},
    }
    assert for_display(obj, obj) == (obj, obj)


def test_data_of_a_secret_that_is_no_mapping_or_changes_its_type():
    before, after = for_display({**secret(), "data": None}, secret(a="eA=="))
    assert (before["data"], after["data"]) == (None, {"a": HIDDEN})
    before, after = for_display({**secret(), "stringData": {"a": "1"}}, {**secret(), "stringData": {"a": 1}})
    assert (before["stringData"], after["stringData"]) == ({"a": HIDDEN}, {"a": HIDDEN_CHANGED})
    shown, _unused = for_display({**secret(a="eA=="), "kind": "ConfigMap"}, None)
    assert shown["data"] == {"a": "eA=="}
