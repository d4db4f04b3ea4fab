"""The release record as it is written, and every way in which what is there is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.record import (
    RecordError,
    ReleaseRecord,
    journal_name,
    parse_record,
    read_record,
    release_name,
    release_object,
)

RECORD = ReleaseRecord("v2", "v1", {"v2": 75, "v1": 25}, "run-1", 3, "2026-01-01T00:00:00Z", "abc")
TEXT = (
    '{"schema":1,"stable":"v2","previous":"v1","weights":{"v1":25,"v2":75},"run":"run-1","fence":3,'
    '"finishedAt":"2026-01-01T00:00:00Z","evidenceSha256":"abc"}'
)


def test_a_record_is_the_same_text_whoever_writes_it() -> None:
    found = release_object(RECORD, service="api", namespace="shop", mesh_name="m")
    assert found == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "servicemesh-release-api",
            "namespace": "shop",
            "labels": {"app.kubernetes.io/managed-by": "servicemesh.istio", "app.kubernetes.io/part-of": "m"},
        },
        "data": {"record": TEXT},
    }
    assert read_record(found) == RECORD
    assert (release_name("a"), journal_name("a")) == ("servicemesh-release-a", "servicemesh-canary-a")


def test_what_may_be_left_out() -> None:
    assert parse_record({"schema": 1, "stable": "v1"}) == ReleaseRecord("v1", weights={"v1": 100})
    assert parse_record({"schema": 1, "stable": "v1", "weights": {}}).weights == {"v1": 100}
    assert parse_record({"schema": 1, "stable": "v1", "weights": {"v1": 0, "v2": 100}}).weights == {
        "v1": 0,
        "v2": 100,
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema 2 is not 1"),
        ({"schema": None}, "schema None is not 1"),
        ({"schema": True}, "schema True is not 1"),
        ({"stable": ""}, "no stable version"),
        ({"weights": {"v1": 60, "v2": 50}}, "weights sum to 110, not 100"),
        ({"weights": {"v1": 99}}, "weights sum to 99, not 100"),
        ({"weights": {"v1": -1, "v2": 101}}, "weights are not integers from 0 to 100"),
        ({"weights": {"v1": 50.0, "v2": 50.0}}, "weights are not integers from 0 to 100"),
        ({"weights": {"v1": True, "v2": 99}}, "weights are not integers from 0 to 100"),
    ],
)
def test_what_is_no_record(change: dict[str, Any], said: str) -> None:
    data = {**json.loads(TEXT), **change}
    with pytest.raises(ValueError) as caught:
        parse_record(data)
    assert str(caught.value) == said
    with pytest.raises(RecordError, match=f"ConfigMap x holds no valid release record: {said}"):
        read_record({"metadata": {"name": "x"}, "data": {"record": json.dumps(data)}})


@pytest.mark.parametrize(
    "change",
    [
        {"stable": 5},
        {"previous": 5},
        {"weights": []},
        {"run": 5},
        {"fence": "x"},
        {"finishedAt": 5},
        {"evidenceSha256": 5},
    ],
)
def test_a_field_of_another_type_is_told(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        parse_record({**json.loads(TEXT), **change})


def test_no_object_is_no_record_and_a_broken_one_is_an_error() -> None:
    assert read_record(None) is None
    for data in ({}, {"record": ""}, {"record": "x"}, {"record": "[]"}, {"record": "[" * 100_000}):
        with pytest.raises(RecordError):
            read_record({"metadata": {"name": "x"}, "data": data})
