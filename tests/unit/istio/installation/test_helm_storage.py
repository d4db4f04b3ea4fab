"""Helm's release records: what is read from a Secret, and which Secrets cannot be read."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.helm_storage import (
    StoredRelease,
    read_release,
    stored_releases,
)

RECORD: dict[str, Any] = {
    "name": "istiod",
    "namespace": "mesh",
    "version": 3,
    "info": {"status": "deployed"},
    "chart": {"metadata": {"name": "istiod", "version": "1.31.0"}},
    "config": {"a": 1},
    "manifest": "kind: X",
}


def holding(packed: bytes, **labels: Any) -> dict[str, Any]:
    twice = base64.b64encode(base64.b64encode(packed)).decode()
    metadata = {"name": "sh.helm.release.v1.istiod.v3", "namespace": "place", "uid": "u", "labels": labels}
    return {"type": "helm.sh/release.v1", "metadata": metadata, "data": {"release": twice}}


def secret(record: Any, **labels: Any) -> dict[str, Any]:
    return holding(gzip.compress(json.dumps(record).encode()), **labels)


def test_everything_that_is_needed_is_read() -> None:
    assert read_release(secret(RECORD, modifiedAt="12", createdAt="7")) == StoredRelease(
        name="istiod",
        namespace="mesh",
        revision=3,
        status="deployed",
        chart="istiod",
        chart_version="1.31.0",
        values={"a": 1},
        manifest="kind: X",
        secret="sh.helm.release.v1.istiod.v3",
        uid="u",
        modified=12,
    )


def test_what_a_record_may_lack() -> None:
    bare = {key: RECORD[key] for key in ("name", "version", "info", "chart")}
    found = read_release({**secret(bare), "type": None})
    assert (found.namespace, found.values, found.manifest, found.modified) == ("place", {}, "", 0)
    assert read_release(secret(bare, createdAt="7")).modified == 7


@pytest.mark.parametrize(
    ("status", "pending"),
    [
        ("pending-install", True),
        ("pending-upgrade", True),
        ("pending-rollback", True),
        ("deployed", False),
        ("failed", False),
        ("superseded", False),
        ("uninstalled", False),
        ("uninstalling", False),
    ],
)
def test_a_run_that_has_not_ended_is_pending(status: str, pending: bool) -> None:
    assert read_release(secret({**RECORD, "info": {"status": status}})).pending is pending


@pytest.mark.parametrize(
    "record",
    [
        [],
        "text",
        None,
        {**RECORD, "name": ""},
        {**RECORD, "name": 5},
        {**RECORD, "version": None},
        {**RECORD, "version": 0},
        {**RECORD, "version": "3"},
        {**RECORD, "version": True},
        {**RECORD, "info": {}},
        {**RECORD, "info": "deployed"},
        {**RECORD, "chart": None},
        {**RECORD, "chart": {"metadata": {"name": "istiod"}}},
        {**RECORD, "chart": {"metadata": {"version": "1"}}},
        {**RECORD, "config": ["a"]},
        {**RECORD, "manifest": {}},
        {**RECORD, "namespace": ["mesh"]},
    ],
)
def test_a_record_of_another_shape_is_named_by_its_secret(record: Any) -> None:
    with pytest.raises(MeshError, match=r"^Secret place/sh\.helm\.release\.v1\.istiod\.v3 is not a Helm rel"):
        read_release(secret(record))


def _broken_inside() -> bytes:
    """An undamaged frame whose compressed content is damaged: zlib's error, not gzip's."""
    whole = gzip.compress(json.dumps(RECORD).encode())
    return whole[:10] + b"\xff" * 20 + whole[30:]


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no gzip",
        _broken_inside(),
        gzip.compress(json.dumps(RECORD).encode())[:-12],
        gzip.compress(b"no json"),
        gzip.compress(b"\xff\xfe{}"),
    ],
)
def test_damaged_content_is_named_by_its_secret(packed: bytes) -> None:
    with pytest.raises(MeshError, match="is not a Helm release record that can be read"):
        read_release(holding(packed))


@pytest.mark.parametrize(
    "changes",
    [
        {"data": None},
        {"data": {}},
        {"data": {"release": 5}},
        {"data": {"release": "a"}},
    ],
)
def test_a_secret_without_content_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(MeshError, match="is not a Helm release record that can be read"):
        read_release({**secret(RECORD), **changes})


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(MeshError, match="is not a Helm release record that can be read"):
        read_release(secret(RECORD, modifiedAt="yesterday"))


def test_releases_of_one_name_in_two_namespaces_are_two() -> None:
    other = {**RECORD, "namespace": "edge"}
    untyped = {key: value for key, value in secret(other).items() if key != "type"}
    found = stored_releases([secret(RECORD), untyped, {**secret(RECORD), "type": "Opaque"}])
    assert {key: len(records) for key, records in found.items()} == {
        ("mesh", "istiod"): 1,
        ("edge", "istiod"): 1,
    }
