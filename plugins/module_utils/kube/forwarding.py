# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests to a port of a pod's loopback, over the API server's port-forward.

Protocol: v4.channel.k8s.io of the kubelet's port-forward (k8s.io/kubelet/pkg/cri/streaming/portforward,
websocket.go): channel 0 carries data, channel 1 an error, and the first two bytes of each are the port. No
process is started in the container, which is most of what a command costs there.
"""

from __future__ import annotations

import dataclasses
import http.client
import io
from typing import TYPE_CHECKING, Any

from ..errors import ApiError
from .dialogue import Dialogue

if TYPE_CHECKING:
    from collections.abc import Buffer

    from .transport import Transport

_DATA, _ERROR = 0, 1
_PORT_BYTES = 2
_PROTOCOLS = ["v4.channel.k8s.io"]
_REASON = "Forward"


@dataclasses.dataclass(frozen=True, slots=True)
class PodAnswer:
    """What a pod answered: the status and the body."""

    status: int
    text: str


def ask_pod(
    transport: Transport, namespace: str, pod: str, port: int, path: str, *, method: str, timeout: float
) -> PodAnswer:
    """A request without a body to ``localhost:port`` in the pod. :param path: with its slash and its query.

    :param timeout: seconds, for all of it.
    :raises ApiError: the pod does not exist, no rights, nobody listens there, or no whole answer came.
    :raises WaitTimeout: it did not come in time.
    """
    where = f"port {port} of Pod {namespace}/{pod}"
    with Dialogue(
        transport,
        namespace,
        pod,
        "portforward",
        [("ports", str(port))],
        protocols=_PROTOCOLS,
        subject=where,
        awaited=f"the answer of {where}",
        timeout=timeout,
    ) as dialogue:
        request = f"{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 0\r\n\r\n"
        dialogue.send(_DATA, request.encode())
        response = http.client.HTTPResponse(_Received(dialogue), method=method)  # type: ignore[arg-type]  # it asks for makefile alone
        body = b""
        try:
            response.begin()
            # One that does not say where it ends was cut off in its head, and would pass for an empty one.
            whole = response.chunked or response.length is not None
            body = response.read() if whole else body
        except (http.client.HTTPException, ValueError):
            whole = False
        if not whole:
            message = f"{where}: what answers there is cut off, or no HTTP"
            raise ApiError(message, reason=_REASON, subject=where)
        return PodAnswer(response.status, body.decode("utf-8", "replace"))


class _Received(io.RawIOBase):
    """The data of a dialogue as the file that ``http.client`` reads an answer from."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._data = b""
        self._ended = False
        self._seen = {_DATA: 0, _ERROR: 0}

    def makefile(self, *_mode: Any) -> io.BufferedReader:
        """See ``socket.makefile``."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """The next bytes; none at the end.

        :raises ApiError: the node could not connect to the port.
        """
        view = memoryview(buffer)
        while not self._data and not self._ended:
            message = self._dialogue.receive()
            if message is None:
                self._ended = True
                break
            channel, data = message
            if channel not in self._seen:
                continue
            data = data[max(0, _PORT_BYTES - self._seen[channel]) :]
            self._seen[channel] += len(message[1])
            if channel == _ERROR and data:
                raise self._refused(data.decode("utf-8", "replace"))
            self._data = data
        part, self._data = self._data[: len(view)], self._data[len(view) :]
        view[: len(part)] = part
        return len(part)

    def _refused(self, said: str) -> ApiError:
        """The kubelet's words are long, and name a sandbox."""
        subject = self._dialogue.subject
        cause = "nothing listens there" if "connection refused" in said else said.strip()[-200:]
        return ApiError(f"{subject}: {cause}", reason=_REASON, subject=subject)
