# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client makes of answers without an end, caches that it may not use, and owners inside lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import attempts, bodies
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient, connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.owners import (
    ManagerEntry,
    is_by_hand,
    owners_at,
)

from ..support.clock import FakeClock
from ..support.http_server import Answer, ScriptedServer
from .test_client import CORE, GROUPS, failure, groups_of


@pytest.fixture(autouse=True)
def quick_and_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(attempts.random, "uniform", lambda low, _high: low)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[KubeClient]:
    with connect(ConnectionOptions(host=server.url, api_key="t"), clock=FakeClock(), threads=4) as made:
        yield made


class Old:
    """An answer's body in parts, as urllib3 before 2.1 hands it out."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)
        self.ended: list[str] = []

    def read(self, size: int) -> bytes:
        assert size >= 65536, "small reads cost time"
        return self.parts.pop(0) if self.parts else b""

    def close(self) -> None:
        self.ended.append("closed")

    def release_conn(self) -> None:
        self.ended.append("released")


class Body(Old):
    """As urllib3 does now: ``read`` would wait until all of the size is there."""

    read1 = Old.read

    def read(self, size: int) -> bytes:
        raise AssertionError(size)


@pytest.mark.parametrize("kind", [Body, Old])
@pytest.mark.parametrize(("parts", "whole"), [((), b""), ((b"a",), b"a"), ((b"ab", b"c"), b"abc")])
def test_a_body_in_parts_is_whole_and_its_connection_free(
    kind: type[Old], parts: tuple[bytes, ...], whole: bytes
) -> None:
    answer = kind(*parts)
    assert bodies.whole_body(answer) == whole
    assert answer.ended == ["released"]


@pytest.mark.parametrize(("size", "taken"), [(8, True), (9, False)])
def test_a_body_without_end_is_no_answer(monkeypatch: pytest.MonkeyPatch, size: int, taken: bool) -> None:
    monkeypatch.setattr(bodies, "MAX_ANSWER", 8)
    answer = Old(*[b"x"] * size, *[b""] * 3)
    if taken:
        assert bodies.whole_body(answer) == b"x" * size
        assert answer.ended == ["released"]
        return
    with pytest.raises(OSError, match="the answer has more than 8 bytes"):
        bodies.whole_body(answer)
    assert answer.ended == ["closed"], "a connection with the rest in it is of no use"


@dataclasses.dataclass
class Head:
    status: int
    headers: dict[str, str]


@pytest.mark.parametrize(
    ("status", "kind", "raw", "accept", "told"),
    [
        (200, "application/json", b'{"a": 1}', "application/json", {"a": 1}),
        (200, "text/html", b'{"a": 1}', "application/json", {"a": 1}),
        (200, "text/html", b"<html>", "application/json", ValueError),
        (200, "application/json", b"NaN", "application/json", ValueError),
        (200, "application/json", b'{"a": -Infinity}', "application/json", ValueError),
        (200, "application/json", b'"\xff"', "application/json", ValueError),
        (200, "application/json", b"", "application/json", ValueError),
        (200, "", b"", "*/*", None),
        (200, "text/plain", b"one\xff", "*/*", "one\ufffd"),
        (200, "application/json", b"[1]", "*/*", [1]),
        (200, "application/json", b"<", "*/*", ValueError),
        (204, "", b"", "application/json", None),
        (304, "", b"", "application/json", None),
        (399, "", b"", "application/json", ValueError),
        (400, "", b"", "application/json", None),
        (503, "application/json", b'{"a": 1}', "application/json", {"a": 1}),
        (503, "application/json", b"<html>", "application/json", "<html>"),
        (400, "text/html", b'{"a": 1}', "application/json", '{"a": 1}'),
    ],
)
def test_what_a_body_says(status: int, kind: str, raw: bytes, accept: str, told: Any) -> None:
    head = Head(status, {"Content-Type": kind} if kind else {})
    if told is ValueError:
        with pytest.raises(ValueError, match=r".+"):
            bodies.decoded(head, raw, accept)
        return
    assert bodies.decoded(head, raw, accept) == told


FAILURE = {"kind": "Status", "status": "Failure"}


@pytest.mark.parametrize(
    ("status", "data", "accept", "told"),
    [
        (200, {**FAILURE, "code": 409}, "application/json", 409),
        (299, {**FAILURE, "code": 409}, "application/json", 409),
        (300, {**FAILURE, "code": 409}, "application/json", 300),
        (200, {**FAILURE, "code": 409}, "*/*", 200),
        (200, {**FAILURE, "code": 400}, "application/json", 400),
        (200, {**FAILURE, "code": 599}, "application/json", 599),
        (200, {**FAILURE, "code": 399}, "application/json", 500),
        (200, {**FAILURE, "code": 600}, "application/json", 500),
        (200, {**FAILURE, "code": True}, "application/json", 500),
        (200, {**FAILURE, "code": "409"}, "application/json", 500),
        (200, {**FAILURE, "status": "Success", "code": 409}, "application/json", 200),
        (200, {"kind": "Pod", "status": "Failure", "code": 409}, "application/json", 200),
        (201, None, "application/json", 201),
    ],
)
def test_the_status_that_counts(status: int, data: Any, accept: str, told: int) -> None:
    assert bodies.status_of(status, data, accept) == told


def test_everything_that_is_served_for_helm(server: ScriptedServer, client: KubeClient) -> None:
    core = {
        "kind": "APIResourceList",
        "resources": [
            {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
            {"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
            {"name": "nodes", "kind": "Node", "verbs": ["list", "get"]},
        ],
    }
    server.script = [CORE, Answer(body=core), Answer(body=GROUPS)]
    served = ["apps/v1", "apps/v1/Deployment", "apps/v1/Thing", "v1", "v1/Node", "v1/Pod"]
    assert client.served_kinds() == served
    assert client.served_kinds() == served
    assert [request.path for request in server.requests] == ["/api", "/api/v1", "/apis"]


def test_after_a_new_kind_what_is_served_is_read_again(server: ScriptedServer, client: KubeClient) -> None:
    fresh = {"version": "v1", "resources": []}
    widget = {"resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Cluster"}
    server.script = [
        Answer(body=groups_of(fresh)),
        Answer(body=groups_of({"version": "v1", "resources": [widget]})),
    ]
    assert failure(lambda: client.resource("apps/v1", "Widget")).reason == "NoKind"
    assert failure(lambda: client.resource("apps/v1", "Widget")).reason == "NoKind"
    client.refresh_discovery()
    assert client.resource("apps/v1", "Widget").path("shop", "a") == "/apis/apps/v1/widgets/a"


def test_a_patch_of_another_subresource_has_another_answer(
    server: ScriptedServer, client: KubeClient
) -> None:
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {}}
    server.script = [Answer(body=GROUPS), Answer(body=scale), Answer(body="text")]

    def patched() -> Any:
        return client.patch("apps/v1", "Deployment", "web", "shop", {"spec": {}}, subresource="scale")

    assert patched() == scale
    request = server.requests[1]
    assert (request.method, request.body) == ("PATCH", {"spec": {}})
    assert request.path.partition("?")[0] == "/apis/apps/v1/namespaces/shop/deployments/web/scale"
    found = failure(patched)
    assert (found.reason, found.details["outcome"]) == ("NotJSON", "unknown")
    assert "Deployment shop/web scale" in found.message


def test_a_log_that_is_no_text(server: ScriptedServer, client: KubeClient) -> None:
    server.script = [Answer(body={"a": 1}, headers={"Content-Type": "application/json"})]
    found = failure(lambda: client.logs("shop", "web"))
    assert "log of Pod shop/web" in found.message
    assert "is no text" in found.message


@pytest.mark.parametrize("blocked", ["a file where the directory belongs", "no home directory"])
def test_where_no_cache_can_be_kept_everything_works(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    if blocked == "no home directory":
        monkeypatch.delenv("XDG_CACHE_HOME")

        def homeless() -> Path:
            raise RuntimeError("no home")

        monkeypatch.setattr(Path, "home", homeless)
    else:
        (tmp_path / "servicemesh.istio").write_text("")
    fresh = {**GROUPS, "items": GROUPS["items"][:1]}
    server.script = [Answer(body=fresh, headers={"ETag": '"e"'})] * 2
    for _run in range(2):
        with connect(ConnectionOptions(host=server.url, api_key="t"), clock=FakeClock()) as made:
            assert made.resource("apps/v1", "Deployment").namespaced
    assert ["if-none-match" in request.headers for request in server.requests] == [False, False]


def test_what_one_caller_found_is_not_what_another_finds(server: ScriptedServer, tmp_path: Path) -> None:
    fresh = {**GROUPS, "items": GROUPS["items"][:1]}
    server.always = Answer(body=fresh, headers={"ETag": '"e"'})
    for user in (None, "jo", "jo", "al"):
        options = ConnectionOptions(host=server.url, api_key="t", impersonate_user=user)
        with connect(options, clock=FakeClock()) as made:
            made.resource("apps/v1", "Deployment")
    asked = ["if-none-match" in request.headers for request in server.requests]
    assert asked == [False, False, True, False]
    files = sorted((tmp_path / "servicemesh.istio").iterdir())
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def managed(fields: Any, **more: Any) -> dict[str, Any]:
    return {"manager": "helm", "operation": "Update", "fieldsV1": fields, **more}


PORTS = {
    "f:spec": {
        "f:ports": {"k:{": {}, 'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:nodePort": {}}, "k:[]": {}}
    }
}


@pytest.mark.parametrize(
    ("fields", "path", "owned"),
    [
        (PORTS, ("spec", "ports", {"port": 80}, "nodePort"), True),
        (PORTS, ("spec", "ports", {"port": 80, "protocol": "TCP"}), True),
        (PORTS, ("spec", "ports", {"port": 81}, "nodePort"), False),
        (PORTS, ("spec", "ports", {"port": 80}, "targetPort"), False),
        (PORTS, ("spec", "ports", {"name": "http"}), False),
        ({"f:spec": {"f:ports": {}}}, ("spec", "ports", {"port": 80}, "nodePort"), True),
        ({"f:spec": {".": {}}}, ("spec", "ports", {"port": 80}), True),
        ({"f:spec": {"f:type": {}}}, ("spec", "ports", {"port": 80}), False),
        ({"f:spec": {"f:ports": 5}}, ("spec", "ports"), True),
        ({}, ("spec",), True),
        (None, ("spec",), True),
    ],
)
def test_who_owns_a_field_inside_a_list(fields: Any, path: Any, owned: bool) -> None:
    """Who owns a list or mapping as one value owns what is in it."""
    obj = {"metadata": {"managedFields": [managed(fields, subresource="status")]}}
    assert owners_at(obj, path) == ((ManagerEntry("helm", "Update", "status"),) if owned else ())


def test_owners_come_once_and_sorted() -> None:
    fields = {"f:spec": {"f:type": {}}}
    entries = [
        managed(fields),
        managed(fields, manager="a"),
        managed(fields),
        managed(fields, manager="a", operation="Apply"),
        {"fieldsV1": fields},
    ]
    found = owners_at({"metadata": {"managedFields": entries}}, ("spec", "type"))
    assert found == (
        ManagerEntry("", ""),
        ManagerEntry("a", "Apply"),
        ManagerEntry("a", "Update"),
        ManagerEntry("helm", "Update"),
    )


@pytest.mark.parametrize(
    ("names", "by_hand"),
    [
        ((), False),
        (("kubectl-edit",), True),
        (("Kubectl-Client-Side-Apply",), True),
        (("helm", "kubectl-edit"), True),
        (("helm", "argocd-controller"), False),
    ],
)
def test_a_person_s_tool_among_the_owners(names: tuple[str, ...], by_hand: bool) -> None:
    assert is_by_hand(ManagerEntry(name, "Update") for name in names) is by_hand


def test_the_failure_of_one_piece_of_work_is_told(client: KubeClient) -> None:
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        if number in (1, 3):
            raise ApiError(f"no {number}")
        return number

    with pytest.raises(ApiError, match="no 1"):
        client.in_parallel(work, range(5), threads=1)
    assert 1 in done
