# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where listeners send what they do not read."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import (
    served_names,
    stream_clusters,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import (
    Expectation,
    Scope,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.facts import (
    Facts,
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
    assert missing(Facts(together=names), Expectation("subject", Scope(), "server", {"hosts": hosts})) == lack


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
    assert missing(Facts(streams=HELD), wanted) == lack
