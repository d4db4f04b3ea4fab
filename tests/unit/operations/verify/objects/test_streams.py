"""Which streams the catalogue leads from a gateway to a service: port, name, and port of the service."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import Stream, streams
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import running_proxies
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.dumps import (
    ProxyDump,
    ProxyDumps,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.objects.proxies import (
    check_proxies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.ours import Ours
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.picture import Picture
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.surroundings import (
    Surroundings,
)

from ..builders import catalogue, item, live, pod, service

PORTS = [
    {"name": "tls", "number": 8443, "protocol": "tls"},
    {"name": "http", "number": 80, "protocol": "http"},
    {"name": "tcp-admin", "number": 9000, "protocol": "tcp"},
]
SERVERS = [
    {"host": "mq.example.com", "mode": "PASSTHROUGH", "port": 443},
    {"host": "*.wild.example.com", "mode": "PASSTHROUGH", "port": 443},
    {"host": "www.example.com", "certificate": "www"},
    {"host": "db.example.com", "protocol": "TCP", "port": 5432},
]
EXPOSED = [
    {"gateway": "public", "host": "mq.example.com", "port": "tls"},
    {"gateway": "public", "host": "b.wild.example.com", "port": "tls"},
    {"gateway": "public", "host": "www.example.com"},
    {"gateway": "public", "host": "db.example.com", "port": "tcp-admin"},
]
SERVICE = {
    "selector": {"istio": "edge"},
    "ports": [
        {"port": 8443, "targetPort": 8443},  # a second one to the same port of the pods hides no other
        {"port": 443, "targetPort": 8443},
        {"port": 5432, "targetPort": "db"},
    ],
}


def gateway_pod() -> dict[str, Any]:
    found = pod("gateway-1", {"istio": "edge"})
    found["metadata"]["namespace"] = "edge"
    proxy = found["spec"]["containers"][1]
    proxy |= {"args": ["proxy", "router"], "ports": [{"name": "db", "containerPort": 15432}]}
    return found


def shown(*held: Stream) -> list[str]:
    """What is told of a gateway that holds these streams."""
    mesh = catalogue(
        service("mq", ports=PORTS, exposed=EXPOSED),
        service("pay"),
        mesh_gateways=[
            {
                "name": "public",
                "workload_namespace": "edge",
                "service_account": "gateway",
                "selector": {"istio": "edge"},
                "servers": SERVERS,
            }
        ],
    )
    seen = live(item("Service", "gateway", SERVICE, "edge"), gateway_pod())
    proxies = running_proxies(seen.of("Pod"))
    ours = Ours(Picture(mesh, seen, ["shop"]), Surroundings({}), proxies)
    dump = ProxyDump({}, (), frozenset(), (), streams=frozenset(held))
    return [one.message for one in check_proxies(ours, proxies, ProxyDumps({"edge/gateway-1": dump}, {}))]


MQ = "outbound|{}||mq.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("port", "name", "to"),
    [
        (8443, "mq.example.com", 8443),
        (8443, "b.wild.example.com", 8443),
        (15432, "", 9000),
    ],
)
def test_what_the_catalogue_exposes_by_bytes_is_its_own(port: int, name: str, to: int) -> None:
    assert shown(Stream(port, name, MQ.format(to))) == []


@pytest.mark.parametrize(
    ("port", "name", "cluster"),
    [
        (8443, "evil.example.com", MQ.format(8443)),
        (8443, "c.wild.example.com", MQ.format(8443)),
        (8443, "www.example.com", MQ.format(8443)),
        (8443, "", MQ.format(8443)),
        (443, "mq.example.com", MQ.format(8443)),
        (9443, "mq.example.com", MQ.format(8443)),
        (8443, "mq.example.com", MQ.format(9000)),
        (8443, "mq.example.com", MQ.format(80)),
        (15432, "", MQ.format(8443)),
        (5432, "", MQ.format(9000)),
        (15432, "db.example.com", MQ.format(9000)),
        (8443, "mq.example.com", "outbound|80||pay.shop.svc.cluster.local"),
    ],
)
def test_another_host_port_or_service_is_somebody_elses(port: int, name: str, cluster: str) -> None:
    (message,) = shown(Stream(port, name, cluster))
    assert message.endswith("past the catalogue")
    assert f"{name or 'any name'} at port {port} to shop/" in message


def test_other_places_are_nobodys_business() -> None:
    assert shown(Stream(9999, "", "outbound|80||x.other.svc.cluster.local"), Stream(9999, "", "Black")) == []


def test_streams_are_read_with_the_port_of_their_listener() -> None:
    chain = {
        "filter_chain_match": {"server_names": ["a", "b"]},
        "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": {"cluster": "one"}}],
    }
    listener = {"address": {"socket_address": {"port_value": 8443}}, "filter_chains": [chain]}
    found = streams([{"active_state": {"listener": listener}}])
    assert found == {Stream(8443, "a", "one"), Stream(8443, "b", "one")}
