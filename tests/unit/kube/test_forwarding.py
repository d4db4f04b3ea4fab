"""Requests to a port of a pod, against a websocket server that answers by a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, WaitTimeout
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient, connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

from ..support.websocket_server import END, WebsocketServer, channel, refusal

PORT = (15000).to_bytes(2, "little")
BEGUN = channel(0, PORT) + channel(1, PORT)
WHERE = "port 15000 of Pod shop/web-1"
REFUSED = (
    "error forwarding port 15000 to pod 0ab1, uid : failed to execute portforward in network namespace "
    '"/run/netns/x": failed to connect to localhost:15000 inside namespace "0ab1", IPv4: dial tcp4 '
    "127.0.0.1:15000: connect: connection refused"
)
Started = Callable[..., tuple[KubeClient, WebsocketServer]]


def whole(body: str, status: str = "200 OK") -> str:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"


def chunked(*parts: str) -> str:
    chunks = "".join(f"{len(part.encode()):x}\r\n{part}\r\n" for part in (*parts, ""))
    return f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"


@pytest.fixture
def started() -> Iterator[Started]:
    opened: list[Any] = []

    def start(*script: bytes, linger: bool = False, **more: Any) -> tuple[KubeClient, WebsocketServer]:
        server = WebsocketServer(*script, protocol="v4.channel.k8s.io", linger=linger)
        client = connect(ConnectionOptions(host=server.url, api_key="t"), **more)
        opened.extend((client, server))
        return client, server

    yield start
    for one in opened:
        one.__exit__(None, None, None)


def ask(client: KubeClient, path: str = "/certs", **more: Any) -> PodAnswer:
    return client.ask_pod("shop", "web-1", 15000, path, **more)


def test_what_is_sent(started: Started) -> None:
    client, server = started(BEGUN + channel(0, whole("ok")))
    assert ask(client, "/logging?level=debug", method="POST") == PodAnswer(200, "ok")
    line = "GET /api/v1/namespaces/shop/pods/web-1/portforward?ports=15000 HTTP/1.1"
    assert server.heads[0].splitlines()[0] == line
    assert "Sec-WebSocket-Protocol: v4.channel.k8s.io" in server.heads[0].splitlines()
    request = b"POST /logging?level=debug HTTP/1.1\r\nHost: localhost:15000\r\nContent-Length: 0\r\n\r\n"
    assert server.messages == [[b"\x00" + request]]


@pytest.mark.parametrize("end", [END, b""], ids=["closed", "broken off"])
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (whole("früh"), PodAnswer(200, "früh")),
        (whole(""), PodAnswer(200, "")),
        (whole("no", "503 Service Unavailable"), PodAnswer(503, "no")),
        (chunked("a", "0\r\n\r\n", "b"), PodAnswer(200, "a0\r\n\r\nb")),
        (chunked(), PodAnswer(200, "")),
    ],
)
def test_an_answer_says_itself_where_it_ends(
    started: Started, answer: str, found: PodAnswer, end: bytes
) -> None:
    client, _server = started(BEGUN + channel(0, answer) + end)
    assert ask(client) == found


def test_who_leaves_the_connection_open_is_not_waited_for(started: Started) -> None:
    client, _server = started(BEGUN + channel(0, chunked("a")), linger=True)
    assert ask(client, timeout=60) == PodAnswer(200, "a")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_messages_end_where_they_like(started: Started, size: int) -> None:
    """The port itself may come in two, or with the first bytes of the answer."""
    text = PORT + chunked("x" * 300, "y").encode()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    client, _server = started(channel(0, b"") + b"".join(channel(0, piece) for piece in pieces))
    assert ask(client).text == "x" * 300 + "y"


def test_other_channels_are_not_read(started: Started) -> None:
    client, _server = started(BEGUN + channel(7, "?") + channel(0, whole("ok")))
    assert ask(client).text == "ok"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (BEGUN + channel(1, REFUSED) + END, f"{WHERE}: nothing listens there"),
        (BEGUN + channel(1, "x" * 300) + END, f"{WHERE}: {'x' * 200}"),
        (channel(0, PORT) + channel(1, PORT + b"no such sandbox") + END, f"{WHERE}: no such sandbox"),
        *(
            (BEGUN + cut + END, f"{WHERE}: what answers there is cut off, or no HTTP")
            for cut in (
                b"",
                channel(0, "HTTP/1.1 200 OK\r\nContent-Le"),
                channel(0, whole("abc")[:-1]),
                channel(0, chunked("abc")[:-7]),
                channel(0, "SSH-2.0-OpenSSH_9.6\r\n"),
                channel(0, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            )
        ),
    ],
)
def test_no_whole_answer_is_an_error(started: Started, frames: bytes, message: str) -> None:
    client, _server = started(frames)
    with pytest.raises(ApiError) as caught:
        ask(client)
    assert (caught.value.message, caught.value.subject) == (message, WHERE)


def test_a_connection_that_breaks_before_the_end_is_an_error(started: Started) -> None:
    client, _server = started(BEGUN + channel(0, whole("abc")[:-1]))
    with pytest.raises(ApiError, match="cannot be reached: the connection broke"):
        ask(client)


def test_a_request_that_cannot_be_sent_is_an_error(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """It left as the library's own, and nobody of those who catch ours did."""
    import websocket

    def broken(*_args: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(websocket.WebSocket, "send_binary", broken)
    client, _server = started(BEGUN)
    with pytest.raises(ApiError, match="cannot be reached"):
        ask(client)


def test_what_does_not_come_is_given_up(started: Started) -> None:
    client, _server = started(BEGUN, linger=True)
    with pytest.raises(WaitTimeout) as caught:
        ask(client, timeout=0.3)
    assert caught.value.message == f"the answer of {WHERE} did not come in time"


def test_a_right_that_is_missing_is_told(started: Started) -> None:
    body = '{"kind": "Status", "message": "pods/portforward is forbidden", "reason": "Forbidden"}'
    client, server = started(refusal(403, body))
    with pytest.raises(ApiError) as caught:
        ask(client)
    assert (caught.value.status, caught.value.message) == (403, f"{WHERE}: pods/portforward is forbidden")
    assert len(server.heads) == 1
