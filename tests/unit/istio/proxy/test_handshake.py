# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A handshake that fails says why, also where the exception has no words of its own."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.handshake import handshake


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionResetError(), "the handshake failed: ConnectionResetError"),
        (TimeoutError("timed out"), "the handshake failed: timed out"),
        (ssl.SSLError(1, "[SSL: X] x"), "the handshake failed: [SSL: X] x"),
    ],
)
def test_a_failed_handshake_says_why(error: OSError, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        served = handshake("127.0.0.1", server.getsockname()[1], "api.example.com")
    assert served.fault == told
    assert not served.fingerprint
