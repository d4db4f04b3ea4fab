"""Which mode a port is in, what a caller's proxy does, and what becomes of the connection."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security import transport
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.destination_rules import (
    ClientMode,
    DestinationRules,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.peer_authentication import (
    MESH_DEFAULT,
    PeerPolicies,
    is_looser,
    mode_for_both,
    stated_modes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.pods import (
    read_pod,
    target_ports,
)

ROOT = "istio-system"
PAY = {"app": "pay"}
HOST = "pay.shop.svc.cluster.local"


def obj(kind: str, name: str, namespace: str, age: int = 0, **spec: Any) -> dict[str, Any]:
    created = f"2026-01-01T00:00:{age:02}Z"
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
        "spec": spec,
    }


def pa(name: str, namespace: str, mode: str | None = None, age: int = 0, **spec: Any) -> dict[str, Any]:
    return obj(
        "PeerAuthentication", name, namespace, age, **({"mtls": {"mode": mode}} if mode else {}), **spec
    )


def mode(*policies: dict[str, Any], port: int | None = 3000) -> tuple[str, str]:
    return PeerPolicies(policies, ROOT).mode("shop", PAY, port)


SELECT = {"selector": {"matchLabels": PAY}}


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], ("PERMISSIVE", MESH_DEFAULT)),
        ([pa("mesh", ROOT, "STRICT")], ("STRICT", "PeerAuthentication istio-system/mesh")),
        (
            [pa("mesh", ROOT, "STRICT"), pa("ns", "shop", "DISABLE")],
            ("DISABLE", "PeerAuthentication shop/ns"),
        ),
        (
            [pa("mesh", ROOT, "STRICT"), pa("ns", "shop", "UNSET")],
            ("STRICT", "PeerAuthentication istio-system/mesh"),
        ),
        (
            [pa("new", "shop", "STRICT", 5), pa("old", "shop", "DISABLE", 1)],
            ("DISABLE", "PeerAuthentication shop/old"),
        ),
        ([pa("old", "shop", None, 1), pa("new", "shop", "STRICT", 5)], ("PERMISSIVE", MESH_DEFAULT)),
        ([pa("pay", "shop", "STRICT", **SELECT)], ("STRICT", "PeerAuthentication shop/pay")),
        ([pa("pay", ROOT, "STRICT", **SELECT)], ("PERMISSIVE", MESH_DEFAULT)),
        ([pa("b", "shop", "STRICT"), pa("a", "shop", "DISABLE")], ("DISABLE", "PeerAuthentication shop/a")),
        (
            [pa("pay", "shop", "STRICT", portLevelMtls={"3000": {"mode": "DISABLE"}}, **SELECT)],
            ("DISABLE", "PeerAuthentication shop/pay"),
        ),
        (
            [pa("pay", "shop", "STRICT", portLevelMtls={"3000": {"mode": "UNSET"}}, **SELECT)],
            ("STRICT", "PeerAuthentication shop/pay"),
        ),
        (
            [pa("ns", "shop", "STRICT", portLevelMtls={"3000": {"mode": "DISABLE"}})],
            ("STRICT", "PeerAuthentication shop/ns"),
        ),
    ],
)
def test_the_servers_mode(policies: list[dict[str, Any]], expected: tuple[str, str]) -> None:
    assert mode(*policies) == expected
    assert mode(*reversed(policies)) == expected


def test_a_port_of_its_own_is_named_and_other_ports_keep_the_workloads_mode() -> None:
    policies = [pa("pay", "shop", "STRICT", portLevelMtls={"9090": {"mode": "DISABLE"}}, **SELECT)]
    assert PeerPolicies(policies, ROOT).named_ports("shop", PAY) == [9090]
    assert mode(*policies, port=None) == ("STRICT", "PeerAuthentication shop/pay")
    assert mode(*policies, port=9090)[0] == "DISABLE"


def dr(name: str, namespace: str, host: str = HOST, age: int = 0, **spec: Any) -> dict[str, Any]:
    return obj("DestinationRule", name, namespace, age, host=host, **spec)


def tls(mode_: str | None, **more: Any) -> dict[str, Any]:
    return {"trafficPolicy": {**({"tls": {"mode": mode_}} if mode_ else {}), **more}}


def client(*rules: dict[str, Any], namespace: str = "web", subset: str = "", **labels: str) -> ClientMode:
    known = DestinationRules(rules, root_namespace=ROOT, domain="cluster.local")
    return known.mode(namespace, labels, HOST, "shop", 80, subset)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], ("AUTO", "")),
        ([dr("a", "shop", **tls("DISABLE"))], ("DISABLE", "DestinationRule shop/a")),
        ([dr("a", "shop", "pay", **tls("DISABLE"))], ("DISABLE", "DestinationRule shop/a")),
        ([dr("a", "web", "pay", **tls("DISABLE"))], ("AUTO", "")),
        ([dr("a", "other", **tls("DISABLE"))], ("AUTO", "")),
        ([dr("a", ROOT, "*.local", **tls("ISTIO_MUTUAL"))], ("ISTIO_MUTUAL", f"DestinationRule {ROOT}/a")),
        ([dr("a", "shop", exportTo=["."], **tls("DISABLE"))], ("AUTO", "")),
        ([dr("a", "shop", exportTo=["web"], **tls("DISABLE"))], ("DISABLE", "DestinationRule shop/a")),
        ([dr("a", "shop", **tls("DISABLE")), dr("b", "web", "*.local")], ("AUTO", "")),
        (
            [dr("b", "shop", age=5, **tls("SIMPLE")), dr("a", "shop", age=1, **tls("DISABLE"))],
            ("DISABLE", "DestinationRule shop/a"),
        ),
        (
            [dr("a", "shop", age=1), dr("b", "shop", age=5, **tls("SIMPLE"))],
            ("SIMPLE", "DestinationRule shop/b"),
        ),
        (
            [
                dr("a", "web", workloadSelector={"matchLabels": {"app": "x"}}, **tls("DISABLE")),
                dr("b", "shop", **tls("SIMPLE")),
            ],
            ("AUTO", ""),
        ),
        (
            [
                dr(
                    "a",
                    "shop",
                    **tls("DISABLE", portLevelSettings=[{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}]),
                )
            ],
            ("SIMPLE", "DestinationRule shop/a"),
        ),
    ],
)
def test_the_callers_mode(rules: list[dict[str, Any]], expected: tuple[str, str]) -> None:
    found = client(*rules)
    assert (found.mode, found.decided) == expected


def test_the_callers_workload_and_subset() -> None:
    own = dr("a", "web", workloadSelector={"matchLabels": {"app": "web"}}, **tls("DISABLE"))
    assert client(own, app="web").mode == "DISABLE"
    assert client(own, app="other").mode == "AUTO"
    rule = dr("a", "shop", subsets=[{"name": "v1", **tls("DISABLE")}, {"name": "v2"}], **tls("SIMPLE"))
    assert client(rule, subset="v1").mode == "DISABLE"
    assert client(rule, subset="v2").mode == "SIMPLE"


def test_a_port_entry_without_tls_is_plaintext_under_a_mode_of_the_whole() -> None:
    rule = dr("a", "shop", **tls("SIMPLE", portLevelSettings=[{"port": {"number": 80}}]))
    found = client(rule)
    assert (found.mode, found.per_endpoint) == ("AUTO", "SIMPLE")
    assert verdict(found, "PERMISSIVE") == "PLAINTEXT"


MESHED = {**PAY, "security.istio.io/tlsMode": "istio"}


def pod(*, proxy: bool = True, args: list[str] | None = None, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "app", "ports": [{"name": "http", "containerPort": 3000}]}]
    containers += [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}] if proxy else []
    init = [{"name": "istio-init", "args": args}] if args else []
    return {
        "kind": "Pod",
        "metadata": {"name": "pay-1", "namespace": "shop", "labels": MESHED, **spec.pop("metadata", {})},
        "spec": {"containers": containers, "initContainers": init, **spec},
    }


def verdict(found: ClientMode | None, server: str, service: str = "STRICT", http: bool | None = True) -> str:
    port = transport.ServerPort(read_pod(pod(proxy=bool(server))), 3000, server, "PeerAuthentication x", http)
    return transport.connect(found, port, service).verdict


def said(mode_: str) -> ClientMode:
    return ClientMode(mode_, mode_, f"DestinationRule shop/{mode_}")


@pytest.mark.parametrize(
    ("found", "server", "expected"),
    [
        (None, "STRICT", "WILL_FAIL"),
        (None, "PERMISSIVE", "PLAINTEXT"),
        (None, "", "PLAINTEXT"),
        (said("AUTO"), "STRICT", "MTLS"),
        (said("AUTO"), "PERMISSIVE", "MTLS"),
        (said("AUTO"), "DISABLE", "PLAINTEXT"),
        (said("AUTO"), "", "PLAINTEXT"),
        (said("DISABLE"), "STRICT", "WILL_FAIL"),
        (said("DISABLE"), "PERMISSIVE", "PLAINTEXT"),
        (said("SIMPLE"), "STRICT", "WILL_FAIL"),
        (said("SIMPLE"), "PERMISSIVE", "WILL_FAIL"),
        (said("SIMPLE"), "", "SIMPLE_TLS"),
        (said("ISTIO_MUTUAL"), "STRICT", "MTLS"),
        (said("ISTIO_MUTUAL"), "", "WILL_FAIL"),
        (said("ISTIO_MUTUAL"), "DISABLE", "WILL_FAIL"),
        (said("MUTUAL"), "STRICT", "UNKNOWN"),
    ],
)
def test_what_becomes_of_a_connection(found: ClientMode | None, server: str, expected: str) -> None:
    assert verdict(found, server) == expected


def test_a_namespace_with_disable_sends_plaintext_to_a_strict_workload() -> None:
    assert verdict(said("AUTO"), "STRICT", service="DISABLE") == "WILL_FAIL"


def test_simple_tls_passes_a_permissive_port_whose_protocol_is_sniffed() -> None:
    assert verdict(said("SIMPLE"), "PERMISSIVE", http=None) == "SIMPLE_TLS"


def test_what_the_server_would_take_is_a_column_of_its_own() -> None:
    meshed = transport.ServerPort(read_pod(pod()), 3000, "PERMISSIVE", "x")
    naked = transport.ServerPort(read_pod(pod(proxy=False)), 3000, "", "")
    for server, verdict_ in ((meshed, "MTLS"), (naked, "PLAINTEXT")):
        connection = transport.connect(said("AUTO"), server, "STRICT")
        assert (connection.verdict, connection.accepts_plaintext) == (verdict_, True)
    strict = transport.ServerPort(read_pod(pod()), 3000, "STRICT", "x")
    assert not transport.connect(said("AUTO"), strict, "STRICT").accepts_plaintext


@pytest.mark.parametrize(
    ("more", "captured"),
    [
        ({}, True),
        ({"args": ["istio-iptables", "-m", "REDIRECT", "-b", "*", "-d", "15090,3000"]}, False),
        ({"args": ["istio-iptables", "-m", "REDIRECT", "-b", "80,443", "-d", ""]}, False),
        ({"args": ["istio-iptables", "-m", "REDIRECT", "-b", "3000", "-d", "15090,3000"]}, True),
        ({"args": ["istio-iptables", "-m", "NONE", "-b", "*"]}, False),
        (
            {"metadata": {"annotations": {"traffic.sidecar.istio.io/excludeInboundPorts": "9090, 3000"}}},
            False,
        ),
        ({"metadata": {"annotations": {"traffic.sidecar.istio.io/includeInboundPorts": ""}}}, False),
        (
            {
                "metadata": {
                    "annotations": {
                        "traffic.sidecar.istio.io/includeInboundPorts": "80,3000",
                        "traffic.sidecar.istio.io/excludeInboundPorts": "3000",
                    }
                }
            },
            True,
        ),
        ({"metadata": {"annotations": {"sidecar.istio.io/interceptionMode": "NONE"}}}, False),
        ({"hostNetwork": True}, False),
        ({"proxy": False}, False),
    ],
)
def test_which_ports_a_proxy_stands_before(more: dict[str, Any], *, captured: bool) -> None:
    found = read_pod(pod(**more))
    assert found.captures(3000) is captured
    assert found.ports == (3000,)


def test_target_ports_of_a_service() -> None:
    service = {
        "spec": {
            "ports": [
                {"port": 80, "targetPort": "http"},
                {"port": 81, "targetPort": "no-such-name"},
                {"port": 9090},
                {"port": 53, "protocol": "UDP"},
            ]
        }
    }
    assert sorted(target_ports(service, pod())) == [3000, 9090]


def test_whom_the_policies_of_a_namespace_select() -> None:
    policies = PeerPolicies(
        [
            pa("b", "shop", "STRICT", 2, **SELECT),
            pa("ns", "shop"),
            pa("a", "shop", None, 1, selector={"matchLabels": {"x": "y"}}),
            pa("root", ROOT, "STRICT", **SELECT),
        ],
        ROOT,
    )
    assert policies.selectors("shop") == [{"x": "y"}, PAY]
    assert policies.selectors(ROOT) == policies.selectors("other") == []


@pytest.mark.parametrize(
    ("mode", "wanted", "looser"),
    [
        ("STRICT", "STRICT", False),
        ("PERMISSIVE", "STRICT", True),
        ("DISABLE", "STRICT", True),
        ("DISABLE", "PERMISSIVE", True),
        ("PERMISSIVE", "PERMISSIVE", False),
        ("STRICT", "DISABLE", False),
        ("new", "STRICT", True),
        ("new", "new", True),
        ("DISABLE", "new", False),
    ],
)
def test_a_mode_that_asks_less_of_callers(mode: str, wanted: str, *, looser: bool) -> None:
    assert is_looser(mode, wanted) is looser


def test_the_mode_that_serves_the_callers_of_two() -> None:
    assert mode_for_both("STRICT", "STRICT") == "STRICT"
    assert mode_for_both("STRICT", "DISABLE") == "PERMISSIVE"
    assert mode_for_both("", "STRICT") == "PERMISSIVE"
    assert mode_for_both("", "") == ""


def test_modes_that_a_spec_states() -> None:
    ports = {"1": {"mode": "DISABLE"}, "2": {"mode": "UNSET"}, "3": {}}
    spec = {"mtls": {"mode": "STRICT"}, "portLevelMtls": ports}
    assert stated_modes(spec) == ("STRICT", {"1": "DISABLE"})
    assert stated_modes({}) == ("", {})


def test_what_decides_for_a_whole_service() -> None:
    pay = pa("pay", "shop", "PERMISSIVE", **SELECT)
    policies = PeerPolicies([pa("mesh", ROOT, "STRICT"), pa("ns", "shop", "DISABLE"), pay], ROOT)
    assert (policies.of_namespace("shop"), policies.of_namespace("x")) == ("DISABLE", "STRICT")
    assert policies.deciding_namespace("shop") == "PeerAuthentication shop/ns"
    assert policies.deciding_namespace("x") == "PeerAuthentication istio-system/mesh"
