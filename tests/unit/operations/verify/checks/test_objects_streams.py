"""Which services the catalogue leads to by bytes: by its own reader of gateway hosts."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import (
    objects_proxies,
)

from ..builders import catalogue, service

PORTS = [{"name": "tls", "number": 8443, "protocol": "tls"}]
SERVERS = [
    {"host": "mq.example.com", "mode": "PASSTHROUGH", "port": 8443},
    {"host": "*.wild.example.com", "mode": "PASSTHROUGH", "port": 8443},
    {"host": "www.example.com", "certificate": "www"},
]


@pytest.mark.parametrize(
    ("host", "is_stream"),
    [("mq.example.com", True), ("b.wild.example.com", True), ("www.example.com", False)],
)
def test_a_host_below_a_wildcard_is_the_wildcards(host: str, is_stream: bool) -> None:
    mesh = catalogue(
        service(
            "mq",
            ports=[*PORTS, {"name": "http", "number": 80, "protocol": "http"}],
            exposed=[{"gateway": "public", "host": host}],
        ),
        mesh_gateways=[{"name": "public", "servers": SERVERS}],
    )
    assert objects_proxies._streams(mesh) == ({"shop/mq"} if is_stream else set())
