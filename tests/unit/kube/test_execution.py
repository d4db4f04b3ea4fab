"""Commands in containers, against a websocket server that answers by a script."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError, WaitTimeout
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient, connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.execution import ExecResult
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

from ..support.clock import FakeClock
from ..support.websocket_server import END, PING, TEXT, WebsocketServer, channel, frame, refusal

SUCCESS = channel(3, '{"status": "Success"}')
SUBJECT = "exec in Pod shop/web-1 (app)"


def exit_code(number: Any) -> bytes:
    causes = [{"reason": "Other"}, {"reason": "ExitCode", "message": number}]
    body = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}
    return channel(3, json.dumps(body))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


Started = Callable[..., tuple[KubeClient, WebsocketServer]]


@pytest.fixture
def started(clock: FakeClock) -> Iterator[Started]:
    opened: list[Any] = []

    def start(
        *script: bytes, protocol: str = "v5.channel.k8s.io", linger: bool = False, **more: Any
    ) -> tuple[KubeClient, WebsocketServer]:
        server = WebsocketServer(*script, protocol=protocol, linger=linger)
        options = ConnectionOptions(
            host=server.url, api_key="t", impersonate_user="jürgen", impersonate_groups=("a", "b")
        )
        client = connect(options, **{"clock": clock, **more})
        opened.extend((client, server))
        return client, server

    yield start
    for one in opened:
        one.__exit__(None, None, None)


def run(client: KubeClient, **more: Any) -> ExecResult:
    return client.exec("shop", "web-1", "app", ["sh", "-c", "a b"], **more)


def failure(client: KubeClient, **more: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        run(client, **more)
    return caught.value


def test_output_and_success(started: Started) -> None:
    client, server = started(channel(1, "a") + channel(2, "x") + channel(1, "b") + SUCCESS + END)
    assert run(client) == ExecResult("ab", "x", 0)
    head = server.heads[0].splitlines()
    query = "container=app&stdout=true&stderr=true&command=sh&command=-c&command=a+b"
    assert head[0] == f"GET /api/v1/namespaces/shop/pods/web-1/exec?{query} HTTP/1.1"
    assert "Authorization: Bearer t" in head
    assert [line for line in head if line.startswith("Impersonate")] == [
        "Impersonate-User: jürgen",
        "Impersonate-Group: a",
        "Impersonate-Group: b",
    ]
    assert "Sec-WebSocket-Protocol: v5.channel.k8s.io,v4.channel.k8s.io" in head
    assert not any(line.startswith("Origin") for line in head)


def test_an_exit_code_is_a_result(started: Started) -> None:
    client, _server = started(exit_code("42") + END)
    assert run(client).returncode == 42


def test_pieces_of_one_message_pings_and_unknown_channels(started: Started) -> None:
    pieces = frame(b"\x01fr\xc3", last=False) + frame(b"\xbch", opcode=0)
    client, _server = started(
        channel(1, "") + frame(b"p", opcode=PING) + frame(b"") + channel(7, "?") + pieces + SUCCESS + END
    )
    assert run(client) == ExecResult("früh", "", 0)


def test_bytes_that_are_no_text_are_replaced(started: Started) -> None:
    client, _server = started(channel(1, b"\xff") + frame(b"\x02x", opcode=TEXT) + SUCCESS)
    assert run(client) == ExecResult("\ufffd", "x", 0)


@pytest.mark.parametrize("end", [END, b""])
def test_the_status_is_enough(started: Started, end: bytes) -> None:
    """Whether the connection is closed in order or breaks off afterwards."""
    client, _server = started(channel(1, "a") + SUCCESS + end)
    assert run(client) == ExecResult("a", "", 0)


def test_a_connection_that_breaks_before_is_an_error(started: Started) -> None:
    client, _server = started(channel(1, "a"))
    found = failure(client)
    assert (found.reason, found.details["cause"]) == ("Unreachable", "the connection broke")


@pytest.mark.parametrize(
    ("frames", "message", "reason"),
    [
        (END, "the connection ended without an exit status", "NoExitStatus"),
        (channel(3, "{") + END, "the connection ended without an exit status", "NoExitStatus"),
        (channel(3, "[]") + END, "the exit status cannot be read", "NoExitStatus"),
        (
            channel(3, '{"status": "Failure", "message": "no such file", "reason": "InternalError"}') + END,
            "no such file",
            "InternalError",
        ),
        (channel(3, '{"status": "Failure"}') + END, "the command could not be started", "ExecFailed"),
        (channel(3, '{"details": "x"}') + END, "the command could not be started", "ExecFailed"),
        (exit_code(None) + END, "the command could not be started", "NonZeroExitCode"),
        (exit_code("many") + END, "the command could not be started", "NonZeroExitCode"),
    ],
)
def test_half_answers(started: Started, frames: bytes, message: str, reason: str) -> None:
    client, _server = started(frames)
    found = failure(client)
    assert (found.message, found.reason, found.subject) == (f"{SUBJECT}: {message}", reason, SUBJECT)


@pytest.mark.parametrize(
    ("protocol", "closes"), [("v5.channel.k8s.io", [b"\xff\x00"]), ("v4.channel.k8s.io", [])]
)
def test_input_is_sent_in_pieces_and_closed_when_that_is_possible(
    started: Started, protocol: str, closes: list[bytes]
) -> None:
    client, server = started(SUCCESS + END, protocol=protocol)
    text = "ä" * 20_000
    assert run(client, stdin=text).returncode == 0
    (sent,) = server.messages
    assert b"".join(piece[1:] for piece in sent if piece[0] == 0) == text.encode()
    assert [len(piece) for piece in sent if piece[0] == 0] == [32 * 1024 + 1, 40_000 - 32 * 1024 + 1]
    assert [piece for piece in sent if piece[0] == 255] == closes
    assert "stdin=true" in server.heads[0]


def test_input_may_be_bytes_and_empty(started: Started) -> None:
    client, server = started(SUCCESS + END, SUCCESS + END)
    run(client, stdin=b"x")
    run(client, stdin="")
    assert server.messages == [[b"\x00x", b"\xff\x00"], [b"\xff\x00"]]


def test_a_command_that_does_not_end_is_given_up(started: Started) -> None:
    client, _server = started(channel(1, "a"), linger=True, clock=None)
    with pytest.raises(WaitTimeout) as caught:
        run(client, timeout=0.3)
    assert caught.value.message == "the end of 'sh' in Pod shop/web-1 (app) did not come in time"
    assert caught.value.last_seen == "still running"


def test_a_handshake_that_drips_ends_in_time() -> None:
    """Each byte comes in time, and the answer never."""
    listening = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = listening.accept()
                with contextlib.suppress(OSError):
                    for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 1000:
                        near.sendall(bytes([byte]))
                        time.sleep(0.02)

    threading.Thread(target=drip, daemon=True).start()
    begin = time.monotonic()
    with listening:
        options = ConnectionOptions(host=f"http://127.0.0.1:{listening.getsockname()[1]}", api_key="t")
        with connect(options) as client, pytest.raises(MeshError):
            run(client, timeout=0.5)
    assert time.monotonic() - begin < 5


def test_a_stop_ends_it(started: Started) -> None:
    asked: list[bool] = []

    def stop() -> bool:  # it is asked once before the command is sent
        asked.append(len(asked) > 1)
        return asked[-1]

    client, _server = started(channel(1, "a"), linger=True, stop=stop)
    found = failure(client)
    assert (found.reason, found.message) == ("Interrupted", f"{SUBJECT}: interrupted")
    client, _server = started(channel(1, "a"), linger=True, stop=lambda: True)
    assert failure(client).message == "interrupted: no further request was sent"


class TestHandshakes:
    def test_what_may_pass_is_tried_again(self, started: Started, clock: FakeClock) -> None:
        begin = clock.time
        client, server = started(refusal(500), refusal(503), SUCCESS + END)
        assert run(client).returncode == 0
        assert (len(server.heads), clock.time - begin) == (3, pytest.approx(0.3 + 0.6))

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_but_not_for_ever(self, started: Started, status: int) -> None:
        client, server = started(*[refusal(status)] * 4)
        assert failure(client).status == status
        assert len(server.heads) == 3

    @pytest.mark.parametrize("status", [400, 403, 404])
    def test_what_cannot_pass_is_told_at_once(self, started: Started, status: int) -> None:
        body = json.dumps({"kind": "Status", "message": "pods is forbidden", "reason": "Forbidden"})
        client, server = started(refusal(status, body))
        found = failure(client)
        assert (found.status, found.reason) == (status, "Forbidden")
        assert found.message == f"{SUBJECT}: pods is forbidden"
        assert len(server.heads) == 1

    def test_a_page_and_nothing_are_told(self, started: Started) -> None:
        client, _server = started(refusal(403, "login first", "text/html"), refusal(404))
        assert failure(client).message == f"{SUBJECT}: login first"
        assert failure(client).message == f"{SUBJECT}: not found"

    def test_a_refused_credential_is_told(self, started: Started) -> None:
        client, server = started(refusal(401))
        assert "does not accept the credential" in failure(client).message
        assert len(server.heads) == 1

    def test_no_connection(self, started: Started, clock: FakeClock) -> None:
        client, server = started()
        server.__exit__(None, None, None)
        begin = clock.time
        found = failure(client)
        assert (found.reason, found.details["cause"]) == ("Unreachable", "connection refused")
        assert clock.time - begin == pytest.approx(0.3 + 0.6)

    def test_no_connection_after_the_end_of_its_time(self, started: Started, clock: FakeClock) -> None:
        client, server = started()
        server.__exit__(None, None, None)
        begin = clock.time
        failure(client, timeout=0.2)
        assert clock.time - begin == pytest.approx(0.3)
