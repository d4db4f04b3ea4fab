"""The release record in the cluster: written once, never over a newer run's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, FencedError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.record import (
    RecordError,
    ReleaseRecord,
    read_record,
    release_object,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.records import (
    Records,
)

from ..fakes import NAMESPACE, SERVICE, Shop

RECORD = ReleaseRecord("v2", "v1", {"v2": 100}, "run-1", 3, "2026-01-01T00:00:00Z", "abc")


def records(shop: Shop) -> Records:
    return Records(shop.cluster, service=SERVICE, namespace=NAMESPACE, mesh="shop")


def test_a_record_is_written_once() -> None:
    shop = Shop()
    assert records(shop).read() is None
    assert records(shop).write(RECORD) is True
    assert records(shop).read() == RECORD
    writes = len(shop.cluster.writes)
    assert records(shop).write(RECORD) is False
    assert len(shop.cluster.writes) == writes
    assert records(shop).write(replace(RECORD, stable="v3", weights={"v3": 100})) is True


@pytest.mark.parametrize(("fence", "written"), [(2, False), (3, True), (4, True)])
def test_a_newer_run_s_record_is_not_written_over(fence: int, written: bool) -> None:
    shop = Shop()
    records(shop).write(RECORD)
    mine = replace(RECORD, stable="v3", weights={"v3": 100}, fence=fence)
    if written:
        assert records(shop).write(mine)
        assert records(shop).read() == mine
    else:
        with pytest.raises(FencedError, match="run run-1 has written a newer release record"):
            records(shop).write(mine)
        assert records(shop).read() == RECORD


@pytest.mark.parametrize(("status", "tries"), [(409, 8), (404, 8), (403, 1), (500, 1)])
def test_a_race_is_run_again_and_a_refusal_is_told(status: int, tries: int) -> None:
    shop = Shop()
    calls: list[int] = []

    def refuse(*_rest: Any, **_more: Any) -> Any:
        calls.append(1)
        raise ApiError("no", status=status)

    shop.cluster.create = refuse
    with pytest.raises(MeshError, match="changes faster" if tries > 1 else "no"):
        records(shop).write(RECORD)
    assert len(calls) == tries


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[]", "schema None is not 1"),
        ('{"stable":"v1"}', "schema None is not 1"),
        ('{"schema":2,"stable":"v1"}', "schema 2 is not 1"),
        ('{"schema":true,"stable":"v1"}', "schema True is not 1"),
        ('{"schema":1}', "no stable version"),
        ('{"schema":1,"stable":""}', "no stable version"),
        ('{"schema":1,"stable":7}', "stable is int, not a string"),
        ('{"schema":1,"stable":"v1","weights":[]}', "weights is list, not a mapping"),
        ('{"schema":1,"stable":"v1","weights":{"v1":99}}', "weights sum to 99, not 100"),
        ('{"schema":1,"stable":"v1","weights":{"v1":101}}', "not integers from 0 to 100"),
        ('{"schema":1,"stable":"v1","weights":{"v1":110,"v2":-10}}', "not integers from 0 to 100"),
        ('{"schema":1,"stable":"v1","weights":{"v1":"100"}}', "not integers from 0 to 100"),
        ('{"schema":1,"stable":"v1","weights":{"v1":true,"v2":99}}', "not integers from 0 to 100"),
        ('{"schema":1,"stable":"v1","fence":"3"}', "fence is str, not a whole number"),
    ],
)
def test_a_record_that_cannot_be_read_is_never_an_absent_one(text: str, message: str) -> None:
    obj = release_object(RECORD, service=SERVICE, namespace=NAMESPACE, mesh_name="shop")
    obj["data"] = {"record": text}
    with pytest.raises(RecordError, match=f"ConfigMap servicemesh-release-product .*{message}"):
        read_record(obj)


def test_a_record_without_weights_gives_everything_to_stable() -> None:
    obj = release_object(RECORD, service=SERVICE, namespace=NAMESPACE, mesh_name="shop")
    obj["data"] = {"record": '{"schema":1,"stable":"v1"}'}
    assert read_record(obj) == ReleaseRecord("v1", weights={"v1": 100})
