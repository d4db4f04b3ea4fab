# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the body of an answer is taken for, by its status, its kind and what was asked for."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import bodies
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.bodies import (
    decoded,
    status_of,
    warnings_in,
    whole_body,
)

JSON, TEXT = "application/json", "text/plain"


def answer(status: int, kind: str = "") -> Any:
    return SimpleNamespace(status=status, headers={"Content-Type": kind} if kind else {})


@pytest.mark.parametrize(
    ("status", "kind", "accept", "raw", "found"),
    [
        (204, "", JSON, b"", None),
        (304, "", JSON, b"", None),
        (400, "", JSON, b"", None),
        (503, JSON, JSON, b"", None),
        (200, "", TEXT, b"", None),
        (200, JSON, JSON, b'{"a": 1}', {"a": 1}),
        (200, TEXT, JSON, b'{"a": 1}', {"a": 1}),  # whoever asks for JSON gets JSON or an error
        (200, JSON, TEXT, b'{"a": 1}', {"a": 1}),
        (200, TEXT, TEXT, b'{"a": 1}', '{"a": 1}'),
        (399, TEXT, JSON, b"[]", []),
        (400, TEXT, JSON, b"[]", "[]"),
        (400, JSON, TEXT, b"[]", []),
        (400, JSON, JSON, b"<html>", "<html>"),
        (500, f"{JSON}; charset=utf-8", JSON, b"{}", {}),
        (500, JSON, JSON, b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (500, "", JSON, b"no upstream", "no upstream"),
        (204, JSON, JSON, b"{}", {}),
    ],
)
def test_what_a_body_is(status: int, kind: str, accept: str, raw: bytes, found: Any) -> None:
    assert decoded(answer(status, kind), raw, accept) == found


@pytest.mark.parametrize(
    ("status", "kind", "accept", "raw"),
    [
        (200, JSON, JSON, b""),
        (201, "", JSON, b""),
        (200, "text/html", JSON, b"<html>"),
        (399, "", JSON, b"x"),
        (200, JSON, TEXT, b"x"),
        (200, JSON, JSON, b'{"a": NaN}'),
        (200, JSON, JSON, b'{"a": Infinity}'),
        (200, JSON, JSON, b"\xff"),
    ],
)
def test_what_should_be_json_and_is_none(status: int, kind: str, accept: str, raw: bytes) -> None:
    with pytest.raises(ValueError):
        decoded(answer(status, kind), raw, accept)


FAILURE = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}


@pytest.mark.parametrize(
    ("status", "data", "accept", "found"),
    [
        (200, {**FAILURE, "code": 404}, JSON, 404),
        (299, {**FAILURE, "code": 404}, JSON, 404),
        (300, {**FAILURE, "code": 404}, JSON, 300),
        (200, {**FAILURE, "code": 404}, TEXT, 200),
        (200, {**FAILURE, "status": "Success", "code": 200}, JSON, 200),
        (200, {"kind": "Pod", "status": "Failure", "code": 404}, JSON, 200),
        (200, {**FAILURE, "code": 400}, JSON, 400),
        (200, {**FAILURE, "code": 599}, JSON, 599),
        (200, {**FAILURE, "code": 399}, JSON, 500),
        (200, {**FAILURE, "code": 600}, JSON, 500),
        (200, {**FAILURE, "code": "404"}, JSON, 500),
        (200, {**FAILURE, "code": True}, JSON, 500),
        (200, FAILURE, JSON, 500),
        (200, ["a"], JSON, 200),
        (200, None, JSON, 200),
    ],
)
def test_the_status_of_a_failure_that_came_as_a_success(
    status: int, data: Any, accept: str, found: int
) -> None:
    assert status_of(status, data, accept) == found


class Body(io.BytesIO):
    """An answer's body, and what became of its connection."""

    released = False

    def release_conn(self) -> None:
        self.released = True


def test_a_body_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_ANSWER", 10)
    for size in (0, 10):
        body = Body(b"x" * size)
        assert whole_body(body) == b"x" * size
        assert (body.released, body.closed) == (True, False)
    body = Body(b"x" * 11)
    with pytest.raises(OSError, match="the answer has more than 10 bytes"):
        whole_body(body)
    assert (body.released, body.closed) == (False, True)


def test_a_body_of_an_older_library_is_read_too() -> None:
    body = Body(b"abc")
    old = SimpleNamespace(read=body.read, close=body.close, release_conn=body.release_conn)
    assert whole_body(old) == b"abc"
    assert body.released


def test_warnings_of_the_server_and_of_others() -> None:
    assert warnings_in({"Warning": '299 - "is deprecated"'}) == ["is deprecated"]
    assert warnings_in({}) == []
    assert warnings_in({"Warning": '199 - "of a cache"'}) == []
