# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where listeners send what they do not read."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import (
    InboundPort,
    gateway_policies,
    inbound_ports,
    mode_fault,
    rejected_updates,
    rest_of_outbound,
    served_names,
    stream_clusters,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import (
    Expectation,
    Scope,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.facts import (
    ProxyFacts,
    missing,
)


def chain(*names: str, **config: Any) -> dict[str, Any]:
    proxy = {"name": "envoy.filters.network.tcp_proxy", "typed_config": config}
    match = {"filter_chain_match": {"server_names": list(names)}} if names else {}
    return {"filters": [{"name": "istio.stats"}, proxy], **match}


def listener(*chains: dict[str, Any]) -> dict[str, Any]:
    return {"active_state": {"listener": {"filter_chains": list(chains)}}}


HELD = stream_clusters(
    [
        listener(
            chain("a.example.com", "b.example.com", cluster="one"),
            chain("c.example.com", weighted_clusters={"clusters": [{"name": "two"}, {"name": "three"}]}),
        ),
        listener(chain(cluster="four")),
        listener({"filters": [{"name": "envoy.filters.network.http_connection_manager"}]}),
        {"error_state": {}},
    ]
)


@pytest.mark.parametrize(
    ("hosts", "lack"),
    [
        (["b.example.com", "a.example.com"], ""),
        (["c.example.com"], ""),
        (["a.example.com"], "no filter chain for a.example.com"),
        (["a.example.com", "c.example.com"], "no filter chain for a.example.com, c.example.com together"),
    ],
)
def test_a_connection_serves_exactly_the_names_of_its_chain(hosts: list[str], lack: str) -> None:
    waiting = {"warming_state": listener(chain("c.example.com"))["active_state"]}
    names = served_names([listener(chain("a.example.com", "b.example.com"), chain()), waiting])
    assert names == {frozenset({"a.example.com", "b.example.com"}), frozenset({"c.example.com"})}
    assert (
        missing(ProxyFacts(together=names), Expectation("subject", Scope(), "server", {"hosts": hosts}))
        == lack
    )


def test_streams_by_the_name_in_the_handshake() -> None:
    assert {
        "a.example.com": {"one"},
        "b.example.com": {"one"},
        "c.example.com": {"two", "three"},
        "": {"four"},
    } == HELD


@pytest.mark.parametrize(
    ("sni", "clusters", "lack"),
    [
        ("a.example.com", ["one"], ""),
        ("", ["four"], ""),
        ("c.example.com", ["three", "two"], ""),
        ("c.example.com", ["three", "one"], "no listener that sends c.example.com connections to one"),
        ("", ["one"], "no listener that sends connections to one"),
        ("d.example.com", ["one"], "no listener that sends d.example.com connections to one"),
    ],
)
def test_what_a_gateway_lacks(sni: str, clusters: list[str], lack: str) -> None:
    wanted = Expectation("subject", Scope(), "stream", {"sni": sni, "clusters": clusters})
    assert missing(ProxyFacts(streams=HELD), wanted) == lack


def named(name: str, *chains: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"active_state": {"listener": {"name": name, "filter_chains": list(chains), **more}}}


@pytest.mark.parametrize(
    ("listeners", "cluster"),
    [
        ([], ""),
        ([named("virtualOutbound", chain(cluster="PassthroughCluster"))], "PassthroughCluster"),
        (
            [named("virtualOutbound", default_filter_chain=chain(cluster="BlackHoleCluster"))],
            "BlackHoleCluster",
        ),
        (
            [
                named(
                    "virtualOutbound",
                    {"filter_chain_match": {"destination_port": 15001}, **chain(cluster="loop")},
                    default_filter_chain=chain(cluster="rest"),
                )
            ],
            "rest",
        ),
        ([named("virtualInbound", chain(cluster="x")), named("0.0.0.0_80", chain(cluster="y"))], ""),
        ([named("virtualOutbound", {"filters": []})], ""),
        (
            [
                {"error_state": {}},
                named("virtualOutbound", chain(weighted_clusters={"clusters": [{"name": "w"}]})),
            ],
            "w",
        ),
    ],
)
def test_where_a_sidecar_sends_what_is_for_nobody(listeners: list[dict[str, Any]], cluster: str) -> None:
    assert rest_of_outbound(listeners) == cluster


def test_what_a_gateway_judges_by_and_that_it_serves_nothing_yet() -> None:
    rules = {"rules": {"policies": {"ns[a]-policy[b]-rule[0]": {}}}}
    judged = {"filters": [{"name": "envoy.filters.network.rbac", "typed_config": rules}]}
    assert gateway_policies([]) is None
    assert gateway_policies([named("x")]) is None
    assert gateway_policies([{"warming_state": named("x", judged)["active_state"]}]) is None
    assert gateway_policies([named("x", chain(cluster="c"))]) == frozenset()
    found = gateway_policies([named("x", chain(cluster="c")), named("y", judged)])
    assert found is not None
    assert [(rule.namespace, rule.name) for rule in found] == [("a", "b")]


def inbound(port: int | None = None, *, mtls: bool = True, http: bool = False) -> dict[str, Any]:
    tls = {"transport_socket": {"typed_config": {"require_client_certificate": True}}} if mtls else {}
    config: dict[str, Any] = {"http_filters": []} if http else {"cluster": "inbound|80||"}
    match = {"filter_chain_match": {"destination_port": port}} if port else {}
    return {"filters": [{"name": "x", "typed_config": config}], **tls, **match}


def test_inbound_chains_port_by_port() -> None:
    found = inbound_ports(
        [
            named(
                "virtualInbound",
                inbound(80),
                inbound(80, mtls=False, http=True),
                inbound(),
                inbound(15006, mtls=False),
            ),
            named("virtualOutbound", inbound(81)),
        ]
    )
    assert {port: held.mode for port, held in found.items()} == {80: "PERMISSIVE", 0: "STRICT"}
    assert [(held.mtls, held.http) for held in found[80].chains] == [(True, False), (False, True)]
    assert (found[80].port, found[80].mtls, found[80].plaintext) == (80, True, True)


@pytest.mark.parametrize(
    ("mtls", "plaintext", "mode"),
    [
        (True, False, "STRICT"),
        (True, True, "PERMISSIVE"),
        (False, True, "DISABLE"),
        (False, False, "DISABLE"),
    ],
)
def test_the_mode_of_a_port_and_what_is_said_of_another(mtls: bool, plaintext: bool, mode: str) -> None:
    held = InboundPort(80, mtls, plaintext, frozenset())
    assert held.mode == mode
    for wanted in ("STRICT", "PERMISSIVE", "DISABLE"):
        expected = "" if mode == wanted else f"port 80 is {mode}, not {wanted}"
        assert mode_fault({80: held}, 80, wanted) == expected
        assert mode_fault({0: held}, 80, wanted) == expected
        assert mode_fault({81: held}, 80, wanted) == "no inbound listener for port 80"


def test_what_a_proxy_refused_is_short_and_has_a_name() -> None:
    entries = [
        {"name": "a", "error_state": {"details": "x" * 400}},
        {"error_state": {"version_info": "1"}},
        {"name": "c", "error_state": {}},
        {"name": "d"},
    ]
    assert rejected_updates(entries) == [f"a: {'x' * 300}", "resource: no details"]
