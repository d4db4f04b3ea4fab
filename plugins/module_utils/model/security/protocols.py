# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which protocol istiod reads from a port of a Kubernetes Service.

Source: Istio pkg/config/kube/conversion.go (ConvertProtocol) and pkg/config/protocol/instance.go (Parse).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...fields import integer_at, text_at
from ..catalogue.services import HTTP_PROTOCOLS

_KUBERNETES = {"kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http", "kubernetes.io/wss": "https"}
_STREAMS = frozenset({"https", "mongo", "mysql", "redis", "tcp", "tls", "udp"})
_WELL_KNOWN_STREAMS = frozenset({25, 53, 3306, 27017})
HTTP = frozenset({*HTTP_PROTOCOLS, "http_proxy"})
_KNOWN = HTTP | _STREAMS


def declared_protocol(port: Mapping[str, Any]) -> str:
    """The protocol of one entry of ``spec.ports``; ``""`` where istiod looks at the first bytes instead."""
    name = text_at(port, "appProtocol") or text_at(port, "name")
    name = _KUBERNETES.get(name, name).lower()
    word = "grpc-web" if name.startswith("grpc-web") else name.partition("-")[0]
    if word in _KNOWN:
        return word
    return "tcp" if integer_at(port, "port") in _WELL_KNOWN_STREAMS else ""


def are_alike(stated: str, declared: str) -> bool:
    """Whether proxies treat both alike: as requests that they parse, or as bytes.

    A port that nothing declares is looked at by istiod's sniffing, which finds HTTP and leaves the rest.
    """
    return not declared or (stated in HTTP) == (declared in HTTP)


def needs_http2(stated: str, declared: str) -> bool:
    """Whether the catalogue says gRPC of a port that istiod takes for HTTP/1.1, which cannot carry it."""
    return stated in ("grpc", "http2") and declared in ("http", "http_proxy")
