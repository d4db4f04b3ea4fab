"""The ownership proof, rule by rule. tests/integration/kube/test_proof.py holds it against a real server."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.ownership import proves_unchanged

OURS = "servicemesh.istio"


def live_object(fields, spec, **entry):
    return {
        "apiVersion": "x.example/v1",
        "kind": "X",
        "metadata": {
            "name": "a",
            "namespace": "b",
            "uid": "1",
            "managedFields": [
                {
                    "manager": OURS,
                    "operation": "Apply",
                    "apiVersion": "x.example/v1",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": fields,
                    **entry,
                }
            ],
        },
        "spec": spec,
    }


def desired_object(spec):
    return {
        "apiVersion": "x.example/v1",
        "kind": "X",
        "metadata": {"name": "a", "namespace": "b"},
        "spec": spec,
    }


def same(fields, live, desired):
    return proves_unchanged(live_object({"f:spec": fields}, live), desired_object(desired), OURS)


CASES = {
    "scalar": ({"f:a": {}}, {"a": 1}, {"a": 1}, True),
    "other scalar": ({"f:a": {}}, {"a": 2}, {"a": 1}, False),
    "true is not 1": ({"f:a": {}}, {"a": True}, {"a": 1}, False),
    "1.0 is 1": ({"f:a": {}}, {"a": 1.0}, {"a": 1}, True),
    "defaults beside ours": ({"f:a": {}}, {"a": 1, "default": 2}, {"a": 1}, True),
    "a key that we do not own yet": ({"f:a": {}}, {"a": 1, "b": 2}, {"a": 1, "b": 2}, False),
    "a key that we gave up": ({"f:a": {}, "f:b": {}}, {"a": 1, "b": 2}, {"a": 1}, False),
    "atomic list": ({"f:a": {}}, {"a": [1, 2]}, {"a": [1, 2]}, True),
    "atomic list in another order": ({"f:a": {}}, {"a": [2, 1]}, {"a": [1, 2]}, False),
    "a map that may have been empty": ({"f:a": {}}, {"a": {"x": 1}}, {"a": {"x": 1}}, False),
    "a map of a custom resource named like an atomic one": (
        {"f:selector": {}},
        {"selector": {"x": 1}},
        {"selector": {"x": 1}},
        False,
    ),
    "an empty map": ({"f:a": {".": {}}, "f:b": {}}, {"a": {}, "b": []}, {"a": {}, "b": []}, True),
    "an empty map that is gone": ({"f:a": {}}, {}, {"a": {}}, False),
    "no field set at all": ({"f:a": None}, {"a": 1}, {"a": 1}, False),
    "atomic map with more": ({"f:a": {}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, False),
    "granular map with more": ({"f:a": {"f:x": {}}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, True),
    "a map where a list is": ({"f:a": {"f:x": {}}}, {"a": [1]}, {"a": {"x": 1}}, False),
    "null": ({"f:a": {}}, {}, {"a": None}, False),
    "an unknown key form": ({"f:a": {"i:0": {}}}, {"a": [1]}, {"a": [1]}, False),
    "a set": ({"f:a": {'v:"x"': {}, 'v:"y"': {}}}, {"a": ["x", "z", "y"]}, {"a": ["x", "y"]}, True),
    "a set in another order": (
        {"f:a": {'v:"x"': {}, 'v:"y"': {}}},
        {"a": ["y", "x"]},
        {"a": ["x", "y"]},
        False,
    ),
    "a set with a member twice": ({"f:a": {'v:"x"': {}}}, {"a": ["x"]}, {"a": ["x", "x"]}, False),
    "a broken member": ({"f:a": {"v:x": {}}}, {"a": ["x"]}, {"a": ["x"]}, False),
}


@pytest.mark.parametrize("name", CASES)
def test_rules(name):
    fields, live, desired, expected = CASES[name]
    assert same(fields, live, desired) is expected


ITEMS = {
    'k:{"name":"a"}': {".": {}, "f:name": {}, "f:v": {}},
    'k:{"name":"b"}': {".": {}, "f:name": {}, "f:v": {}},
}
A, B, FOREIGN = {"name": "a", "v": 1}, {"name": "b", "v": 2}, {"name": "z", "v": 9}


class TestKeyedLists:
    def test_equal_with_foreign_items_between(self):
        assert same({"f:l": ITEMS}, {"l": [A, FOREIGN, B]}, {"l": [A, B]})

    def test_another_order_is_a_change(self):
        assert not same({"f:l": ITEMS}, {"l": [B, A]}, {"l": [A, B]})
        assert not same({"f:l": ITEMS}, {"l": [A, B]}, {"l": [B, A]})

    def test_an_item_less_and_an_item_more(self):
        assert not same({"f:l": ITEMS}, {"l": [A]}, {"l": [A, B]})
        assert not same({"f:l": ITEMS}, {"l": [A, B]}, {"l": [A]})
        assert not same({"f:l": ITEMS}, {"l": [A, B, FOREIGN]}, {"l": [A, B, FOREIGN]})

    def test_a_foreign_field_in_our_item_is_not_ours(self):
        assert same({"f:l": ITEMS}, {"l": [{**A, "w": 1}, B]}, {"l": [A, B]})

    def test_the_same_key_twice_is_doubt(self):
        assert not same({"f:l": ITEMS}, {"l": [A, A, B]}, {"l": [A, B]})

    def test_a_key_field_that_is_defaulted_is_doubt(self):
        fields = {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}
        assert not same({"f:l": fields}, {"l": [{"port": 80, "protocol": "TCP"}]}, {"l": [{"port": 80}]})


class TestManagers:
    GOOD = live_object({"f:spec": {"f:a": {}}}, {"a": 1})
    WANTED = desired_object({"a": 1})

    def changed(self, **entry):
        live = copy.deepcopy(self.GOOD)
        live["metadata"]["managedFields"][0].update(entry)
        return live

    def test_the_plain_case(self):
        assert proves_unchanged(self.GOOD, self.WANTED, OURS)

    @pytest.mark.parametrize(
        "entry",
        [
            {"manager": "other"},
            {"operation": "Update"},
            {"subresource": "status"},
            {"apiVersion": "x/v1beta1"},
            {"fieldsType": "FieldsV2"},
            {"fieldsV1": None},
        ],
    )
    def test_another_entry_is_doubt(self, entry):
        assert not proves_unchanged(self.changed(**entry), self.WANTED, OURS)

    def test_two_entries_of_ours_are_doubt(self):
        live = copy.deepcopy(self.GOOD)
        live["metadata"]["managedFields"].append(
            {**live["metadata"]["managedFields"][0], "apiVersion": "x/v2"}
        )
        assert not proves_unchanged(live, self.WANTED, OURS)

    def test_an_object_on_its_way_out_is_never_unchanged(self):
        live = copy.deepcopy(self.GOOD)
        live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        assert not proves_unchanged(live, self.WANTED, OURS)

    def test_labels_count_but_not_the_name(self):
        fields = {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:a": {}}}
        live = live_object(fields, {"a": 1})
        live["metadata"]["labels"] = {"a": "1", "foreign": "2"}
        wanted = desired_object({"a": 1})
        assert not proves_unchanged(live, wanted, OURS)
        wanted["metadata"]["labels"] = {"a": "1"}
        assert proves_unchanged(live, wanted, OURS)
        assert proves_unchanged(
            live, {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": "7"}}, OURS
        )


def with_other(fields, live, desired, *, other, api_version="x.example/v1"):
    found = live_object(fields, live)
    found["apiVersion"] = api_version
    entries = found["metadata"]["managedFields"]
    entries[0]["apiVersion"] = api_version
    entries.append({"manager": "other", "operation": "Update", "fieldsV1": other})
    del found["spec"]
    return proves_unchanged(
        {**found, **live}, {**desired_object({}), "apiVersion": api_version, "spec": {}, **desired}, OURS
    )


class TestWhatWasEmptyWhenWeAppliedIt:
    """A field without children in our set is owned as a whole, or was empty then and was filled by others."""

    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            ({}, True),
            ({"f:spec": {"f:b": {}}}, True),
            ({"f:spec": {"f:a": {}}}, True),
            ({"f:spec": {"f:a": {".": {}}}}, True),
            ({"f:spec": {"f:a": {'k:{"name":"x"}': {".": {}, "f:name": {}}}}}, False),
            ({"f:spec": {"f:a": {'v:"x"': {}}}}, False),
            (None, True),
        ],
    )
    def test_a_list(self, other, expected):
        spec = {"spec": {"a": [{"name": "x"}]}}
        assert with_other({"f:spec": {"f:a": {}}}, spec, spec, other=other) is expected

    def test_an_atomic_map_of_a_built_in_kind(self):
        spec = {"spec": {"selector": {"app": "x"}}}
        fields = {"f:spec": {"f:selector": {}}}
        for api_version in ("v1", "apps/v1", "networking.k8s.io/v1"):
            assert with_other(fields, spec, spec, other={}, api_version=api_version)
        assert not with_other(fields, spec, spec, other={}, api_version="gateway.networking.k8s.io/v1")
        taken = {"f:spec": {"f:selector": {"f:app": {}}}}
        assert not with_other(fields, spec, spec, other=taken, api_version="v1")

    def test_a_map_that_the_server_defaults(self):
        spec = {"spec": {"strategy": {"type": "RollingUpdate"}}}
        assert not with_other({"f:spec": {"f:strategy": {}}}, spec, spec, other={}, api_version="apps/v1")

    def test_items_that_consist_of_their_key(self):
        live = {"spec": {"a": [{"name": "x"}, {"name": "y"}]}}
        fields = {"f:spec": {"f:a": {'k:{"name":"x"}': {}, 'k:{"name":"y"}': {}}}}
        assert with_other(fields, live, live, other={})
        more = {"spec": {"a": [{"name": "x", "v": 1}, {"name": "y"}]}}
        assert not with_other(fields, more, more, other={})


class TestEmptyMapsOfGoStructs:
    """The field set keeps their names, the stored object forgets them."""

    @pytest.mark.parametrize(
        ("api_version", "metadata", "data", "expected"),
        [
            ("v1", {"annotations": {}, "labels": {}, "finalizers": []}, {}, True),
            ("x.example.com/v1", {"annotations": {}}, {}, True),
            ("v1", {}, {"data": {}, "items": []}, True),
            ("x.example.com/v1", {}, {"data": {}}, False),
            ("v1", {"annotations": {"a": "b"}}, {}, False),
            ("v1", {"annotations": None}, {}, False),
        ],
    )
    def test_they_are_absent(self, api_version, metadata, data, expected):
        fields = {f"f:{key}": {} for key in data}
        if metadata:
            fields["f:metadata"] = {f"f:{key}": {} for key in metadata}
        live = live_object(fields, {}, apiVersion=api_version)
        del live["spec"]
        wanted = {"apiVersion": api_version, "metadata": {"name": "a", **metadata}, **data}
        assert proves_unchanged(live, wanted, OURS) is expected

    def test_not_when_our_set_has_children(self):
        live = live_object({"f:metadata": {"f:labels": {"f:a": {}}}}, {}, apiVersion="v1")
        assert not proves_unchanged(live, {"apiVersion": "v1", "metadata": {"labels": {}}}, OURS)
