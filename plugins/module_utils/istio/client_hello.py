# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first message of a TLS handshake as a mesh's proxy begins it, for a client that cannot say it itself.

By the names in it (ALPN) a PERMISSIVE port tells a proxy of the mesh, whose connection it decrypts, from
everybody else, whose bytes it hands on as they are (istio pilot/pkg/networking/core/listener_inbound.go and
pilot/pkg/networking/util: mtlsTCPWithMxcALPNs). The answer to TLS 1.2 is not encrypted: the server's
certificate can be read in it (RFC 5246, section 7.4).
"""

from __future__ import annotations

import re

MESH_PROTOCOLS = ("istio-peer-exchange", "istio")
_RANDOM = bytes(range(32, 64))
_CIPHERS = (0xC02B, 0xC02F, 0xC02C, 0xC030)
"""ECDHE with AES-GCM, for both kinds of keys (RFC 5289)."""
_GROUPS = (0x001D, 0x0017, 0x0018)
_SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
_TLS = re.compile(r"\x15\x03|\x16\x03[\x00-\x04].{1,2}\x02", re.DOTALL)
"""How an alert begins, and a handshake whose first message is a ServerHello (RFC 5246, sections 6.2.1 and
7.4); a server that only repeats what it hears answers with a ClientHello."""
_SPIFFE = "spiffe://"


def client_hello(protocols: tuple[str, ...] = MESH_PROTOCOLS) -> bytes:
    """A ClientHello of TLS 1.2 that offers ``protocols``.

    It is the same each time, for nothing is kept secret with it, and without the byte 255, which telnet
    clients double.
    """
    names = b"".join(_sized(name.encode(), 1) for name in protocols)
    extensions = (
        (0x000A, _sized(_numbers(_GROUPS), 2)),
        (0x000B, _sized(b"\0", 1)),
        (0x000D, _sized(_numbers(_SIGNATURES), 2)),
        (0x0010, _sized(names, 2)),
    )
    body = b"\x03\x03" + _RANDOM + _sized(b"", 1) + _sized(_numbers(_CIPHERS), 2) + _sized(b"\0", 1)
    body += _sized(b"".join(_numbers((kind,)) + _sized(value, 2) for kind, value in extensions), 2)
    return b"\x16\x03\x01" + _sized(b"\x01" + _sized(body, 3), 2)


def speaks_tls(answer: str) -> bool:
    """Whether the answer to a ClientHello is one of TLS, be it a refusal."""
    return _TLS.match(answer) is not None


def shows_identity(answer: str) -> bool:
    """Whether the answer to a ClientHello shows a certificate of a workload."""
    return speaks_tls(answer) and _SPIFFE in answer


def _sized(value: bytes, width: int) -> bytes:
    return len(value).to_bytes(width, "big") + value


def _numbers(values: tuple[int, ...]) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)
