# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request to somebody outside of the mesh, which ends in time whatever the other side does.

Nothing is followed: a redirect would carry headers, which are secret, to somebody else. A server that answers
byte by byte is cut off at the deadline, and of a long answer only the begin is read. Nothing that is said of
a request shows its path, query or headers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ....kube.headers import encoded
from ....kube.proxies import environment_proxy, login_secrets, proxy_headers
from ....kube.redaction import redacted
from ....tls import as_go

MOST_READ = 65_536  # bytes of an answer
_PORTS = {"http": 80, "https": 443}


@dataclasses.dataclass(frozen=True, slots=True)
class Web:
    """Where something is asked or told. :param ca_cert: PEM file; empty = the system's."""

    url: str = dataclasses.field(repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    ca_cert: str = ""
    validate_certs: bool = True

    @property
    def host(self) -> str:
        """Host and port, which may be shown."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """What came back. :param status: 0 = no answer, then ``trouble`` says why. :param text: its begin."""

    status: int
    text: str = ""
    trouble: str = ""


class _Cut:
    """Ends a connection from another thread, when it has had its time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.over = False

    def connect(self, address: Any, *rest: Any, **more: Any) -> socket.socket:
        """Opens a connection, in the place of `socket.create_connection`."""
        made = socket.create_connection(address, *rest, **more)
        with self._lock:
            # TLS takes the descriptor of the socket away; a copy reaches the same connection
            self._socket = socket.socket(fileno=os.dup(made.fileno()))
            if self.over:
                self._shut()
        return made

    def cut(self) -> None:
        """The time is over."""
        with self._lock:
            self.over = True
            self._shut()

    def close(self) -> None:
        """Nobody needs the connection any more."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def call(web: Web, body: Any, *, timeout: float, environment: Mapping[str, str]) -> Reply:
    """Sends one request and reads its answer.

    :param body: JSON data; not sent with GET. :param timeout: seconds for everything.
    :param environment: names the proxies (``HTTPS_PROXY``, ``NO_PROXY``); no reply quotes their login.
    """
    reply = _answered(web, body, timeout, environment)
    secrets = login_secrets(environment_proxy(web.url, environment))
    return Reply(reply.status, redacted(reply.text, secrets), redacted(reply.trouble, secrets))


def _answered(web: Web, body: Any, timeout: float, environment: Mapping[str, str]) -> Reply:
    cut = _Cut()
    timer = threading.Timer(timeout, cut.cut)
    timer.daemon = True
    timer.start()
    try:
        return _called(web, body, timeout, environment, cut)
    except ssl.SSLCertVerificationError as error:
        return Reply(0, trouble=f"the certificate of {web.host} is not trusted: {error.verify_message}")
    except OSError as error:
        late = cut.over or isinstance(error, TimeoutError)
        cause = f"did not answer in {timeout:g} s" if late else f"did not answer: {error.strerror or error}"
        return Reply(0, trouble=f"{web.host} {cause}")
    except (http.client.HTTPException, ValueError) as error:  # their texts quote what was sent or came
        if cut.over:
            return Reply(0, trouble=f"{web.host} did not answer in {timeout:g} s")
        return Reply(0, trouble=f"the answer of {web.host} is no HTTP: {type(error).__name__}")
    finally:
        timer.cancel()
        cut.close()


def _called(web: Web, body: Any, timeout: float, environment: Mapping[str, str], cut: _Cut) -> Reply:
    parts = urlsplit(web.url)
    connection, target, extra = _connection(web, parts, timeout, environment)
    setattr(connection, "_create_connection", cut.connect)  # noqa: B010  # http.client's own seam, untyped
    payload = None if web.method == "GET" else json.dumps(body, sort_keys=True).encode()
    headers = {
        "Accept": "application/json, text/plain, */*",
        "User-Agent": "servicemesh.istio",
        **({} if payload is None else {"Content-Type": "application/json"}),
        **extra,
        **{name: encoded(value) for name, value in web.headers.items()},
    }
    try:
        connection.request(web.method, target, payload, headers)
        with connection.getresponse() as response:
            if cut.over:  # a head that was cut off looks like a whole one
                raise TimeoutError
            return Reply(response.status, _begin_of(response, cut))
    finally:
        connection.close()


def _begin_of(response: http.client.HTTPResponse, cut: _Cut) -> str:
    """The begin of the body. The status stands by itself: a body that does not end changes no verdict."""
    parts: list[bytes] = []
    size = 0
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        while size < MOST_READ and not cut.over and (part := response.read1(MOST_READ - size)):
            parts.append(part)
            size += len(part)
    return b"".join(parts).decode("utf-8", errors="replace")


def _connection(
    web: Web, parts: SplitResult, timeout: float, environment: Mapping[str, str]
) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """:returns: a connection that is not open yet, the target of the request, and headers for a proxy."""
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    proxy = environment_proxy(web.url, environment)
    login = proxy_headers(proxy)
    via = urlsplit(proxy)
    to, at = (via.hostname or "", via.port or _PORTS.get(via.scheme, 80)) if proxy else (host, port)
    if parts.scheme == "http":
        if proxy:
            target = f"http://{parts.netloc.rpartition('@')[2]}{target}"
        return http.client.HTTPConnection(to, at, timeout=timeout), target, login
    connection = http.client.HTTPSConnection(to, at, timeout=timeout, context=_trust(web))
    if proxy:
        connection.set_tunnel(host, port, headers=login)
    return connection, target, {}


def _trust(web: Web) -> ssl.SSLContext:
    context = as_go(ssl.create_default_context(cafile=web.ca_cert or None))
    if not web.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
