# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proxy is asked for each expectation, and what its answer is made of: sidecars and gateways."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import InboundPort
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.rbac import RbacPolicy
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.routes import (
    ProxyRoute,
    VirtualHost,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import (
    Expectation,
    Scope,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.peer_authentication import (
    PeerPolicies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.facts import (
    ProxyFacts,
    is_concerned,
    missing,
    read_facts,
)

HOST = "web.shop.svc.cluster.local"
WEB = "ns[shop]-policy[web]"
POLICY = RbacPolicy("shop", "web", 0, "ALLOW", frozenset({"a"}))


def rbac_chain(**match: Any) -> dict[str, Any]:
    principal = {"authenticated": {"principal_name": {"exact": "spiffe://a"}}}
    rules = {"policies": {"ns[shop]-policy[web]-rule[0]": {"principals": [principal], "permissions": []}}}
    filters = [
        {"name": "envoy.filters.network.rbac", "typed_config": {"rules": rules}},
        {"name": "envoy.filters.network.tcp_proxy", "typed_config": {"cluster": "one"}},
    ]
    return {"filters": filters, **({"filter_chain_match": match} if match else {})}


def listener(name: str, *chains: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "active_state": {"listener": {"name": name, "filter_chains": list(chains)}}}


DUMPS = {
    "dynamic_listeners": [
        listener("virtualInbound", rbac_chain(destination_port=80)),
        listener("0.0.0.0_8443", rbac_chain(server_names=["a.example"])),
    ],
    "dynamic_active_clusters": [{"cluster": {"name": f"outbound|80|v1|{HOST}"}}],
    "dynamic_route_configs": [],
}


class Proxy:
    """Answers with the dumps; ``asked`` are (resource, expression of names)."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def ask_pod(self, _namespace: str, _pod: str, _port: int, path: str, **_more: Any) -> PodAnswer:
        query = urllib.parse.parse_qs(path.partition("?")[2])
        resource, names = query["resource"][0], query.get("name_regex", [""])[0]
        self.asked.append((resource, names))
        entries = [
            entry
            for entry in DUMPS[resource]
            if not names or names == entry.get("name") or "outbound" in names
        ]
        return PodAnswer(200, json.dumps({"configs": entries}))


def read(
    *checks: str, gateway: bool = False, hosts: Sequence[str] = (HOST,)
) -> tuple[ProxyFacts, list[tuple[str, str]]]:
    running = RunningProxy("shop", "a", {}, "a", gateway, "1.31.0", "", "ReplicaSet/a")
    proxy = Proxy()
    wanted = [Expectation("x", Scope(), check, {"host": host}) for check in checks for host in hosts]
    return read_facts(proxy, running, wanted), proxy.asked


@pytest.mark.parametrize("check", ["rbac", "no_rbac"])
def test_the_rules_of_a_sidecar_are_those_of_its_inbound_ports_and_of_a_gateway_those_it_serves(
    check: str,
) -> None:
    held, asked = read(check)
    assert asked == [("dynamic_listeners", "virtualInbound")]
    assert held.served is None
    assert {number: port.policies for number, port in held.ports.items()} == {80: {POLICY}}
    held, asked = read(check, gateway=True)
    assert asked == [("dynamic_listeners", "")]
    assert held.served == {POLICY}
    assert held.ports == {}


@pytest.mark.parametrize("check", ["mtls", "lifted"])
def test_mtls_of_a_gateway_is_that_of_its_inbound_ports(check: str) -> None:
    for gateway in (False, True):
        held, asked = read(check, gateway=gateway)
        assert asked == [("dynamic_listeners", "virtualInbound")]
        assert (list(held.ports), held.served) == ([80], None)


@pytest.mark.parametrize("check", ["subset", "no_subset"])
def test_clusters_of_all_hosts_are_asked_for_at_once_and_of_no_others(check: str) -> None:
    held, asked = read(check, "rbac", hosts=[HOST, "b.example", HOST])
    names = "b\\.example|web\\.shop\\.svc\\.cluster\\.local"
    assert ("dynamic_active_clusters", rf"outbound\|.*\|({names})") in asked
    assert held.clusters == {f"outbound|80|v1|{HOST}"}


@pytest.mark.parametrize("check", ["stream", "server"])
def test_streams_and_names_are_read_from_all_listeners(check: str) -> None:
    held, asked = read(check, gateway=True)
    assert asked == [("dynamic_listeners", "")]
    assert held.streams["a.example"] == {"one"}
    assert held.together == {frozenset({"a.example"})}


@pytest.mark.parametrize("checks", [[], ["mtls"], ["subset"], ["route"]])
def test_what_was_not_asked_for_is_empty(checks: list[str]) -> None:
    held, _asked = read(*checks)
    assert (held.streams, held.together, held.served) == ({}, frozenset(), None)
    assert bool(held.clusters) is ("subset" in checks)
    assert bool(held.ports) is ("mtls" in checks)


@pytest.mark.parametrize(
    ("served", "gateways", "check", "concerned"),
    [
        (None, True, "rbac", False),
        (None, True, "no_rbac", False),
        (frozenset(), True, "rbac", True),
        (frozenset(), True, "no_rbac", True),
        (None, False, "rbac", True),
        (None, True, "subset", True),
    ],
)
def test_a_gateway_without_listeners_judges_nobody(
    served: frozenset[RbacPolicy] | None, *, gateways: bool, check: str, concerned: bool
) -> None:
    expected = Expectation("x", Scope(gateways=gateways), check, {"policy": "ns[shop]-policy[web]"})
    assert is_concerned(ProxyFacts(served=served), expected) is concerned


@pytest.mark.parametrize(
    ("policy", "rules", "words", "lack"),
    [
        (WEB, 1, [["a"]], ""),
        (WEB, 0, [["a"]], ""),  # a policy without rules is one that matches nothing
        (WEB, 2, [["a"], ["b"]], "AuthorizationPolicy {} has 1 rules there, not 2"),
        (WEB, 1, [["b", "c", "d", "e"]], "rule 0 of AuthorizationPolicy {} differs in a, b, c"),
        ("ns[other]-policy[web]", 1, [["a"]], "AuthorizationPolicy {} has 0 rules there, not 1"),
        ("ns[shop]-policy[w]", 1, [["a"]], "AuthorizationPolicy {} has 0 rules there, not 1"),
        ("no policy", 1, [["a"]], "AuthorizationPolicy {} has 0 rules there, not 1"),
    ],
)
def test_the_words_of_rules(policy: str, rules: int, words: list[list[str]], lack: str) -> None:
    expected = Expectation("x", Scope(), "rbac", {"policy": policy, "rules": rules, "words": words})
    assert missing(ProxyFacts(served=frozenset({POLICY})), expected) == lack.format(policy)
    gone = Expectation("x", Scope(), "no_rbac", {"policy": policy})
    held = not lack or "has 0" not in lack
    assert bool(missing(ProxyFacts(served=frozenset({POLICY})), gone)) is held


def rule(number: int, *words: str, name: str = "web", namespace: str = "shop") -> RbacPolicy:
    return RbacPolicy(namespace, name, number, "ALLOW", frozenset(words))


def port(number: int, *rules: RbacPolicy, mtls: bool = True, plaintext: bool = False) -> InboundPort:
    return InboundPort(number, mtls, plaintext, frozenset(rules))


def lifting(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]] = ()) -> Expectation:
    data = {"before": PeerPolicies(before, "istio-system"), "after": PeerPolicies(after, "istio-system")}
    return Expectation("x", Scope(namespace="shop"), "lifted", data)


def peers(
    mode: str, ports: dict[str, str] | None = None, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    levels = {number: {"mode": own} for number, own in (ports or {}).items()}
    spec = {"selector": {"matchLabels": labels or {}}, "mtls": {"mode": mode}, "portLevelMtls": levels}
    return {"kind": "PeerAuthentication", "metadata": {"name": mode, "namespace": "shop"}, "spec": spec}


def web_with(*ports: InboundPort) -> ProxyFacts:
    return ProxyFacts(ports={one.port: one for one in ports}, namespace="shop", labels={"app": "web"})


STRICT_CATCH_ALL, OPEN_CATCH_ALL = port(0), port(0, plaintext=True)


@pytest.mark.parametrize(
    ("ports", "lack"),
    [
        ((STRICT_CATCH_ALL,), "the rest of its ports is still STRICT, not PERMISSIVE"),
        ((OPEN_CATCH_ALL, port(8080)), "port 8080 is still STRICT, not PERMISSIVE"),
        ((OPEN_CATCH_ALL, port(8080, plaintext=True)), ""),
        ((port(0, mtls=False, plaintext=True),), ""),  # something else decides: no business of this policy
        ((), ""),  # nothing is captured
    ],
)
def test_without_the_policy_of_a_namespace_no_port_goes_on_as_before(
    ports: tuple[InboundPort, ...], lack: str
) -> None:
    expected = lifting([peers("STRICT")])
    assert is_concerned(web_with(*ports), expected)
    assert missing(web_with(*ports), expected) == lack


def test_a_port_that_only_the_policy_named_falls_back_to_the_rest() -> None:
    expected = lifting([peers("STRICT"), peers("UNSET", {"9": "DISABLE"}, {"app": "web"})], [peers("STRICT")])
    open_port = port(9, mtls=False, plaintext=True)
    assert missing(web_with(STRICT_CATCH_ALL, open_port), expected) == "port 9 is still DISABLE, not STRICT"
    assert missing(web_with(STRICT_CATCH_ALL), expected) == ""
    assert is_concerned(web_with(STRICT_CATCH_ALL), expected)


def test_where_another_policy_says_the_same_nobody_is_concerned() -> None:
    expected = lifting([peers("STRICT"), peers("STRICT", labels={"app": "web"})], [peers("STRICT")])
    assert not is_concerned(web_with(STRICT_CATCH_ALL, port(80)), expected)


def of_ports(*ports: InboundPort) -> ProxyFacts:
    return ProxyFacts(ports={one.port: one for one in ports})


ROUTED = VirtualHost(
    "80", "web", frozenset({HOST}), (ProxyRoute("r", "shop/web", {f"outbound|80||{HOST}": 100.0}),)
)
CLUSTERS_HELD = ProxyFacts(clusters=frozenset({f"outbound|80|v1|{HOST}"}))
V1, V2 = ({"port": 80, "subset": subset, "host": HOST} for subset in ("v1", "v2"))
BOTH = {"policy": WEB, "rules": 2, "words": [["a"], ["b", "c"]]}
TWO = (rule(0, "a"), rule(1, "b", "c"))
OTHERS = (rule(0, "x", name="api"), rule(0, "y", namespace="back"))
LACKS: list[tuple[str, dict[str, Any], ProxyFacts, str]] = [
    ("stream", {"sni": "a", "clusters": ["one"]}, ProxyFacts(streams={"a": frozenset({"one", "two"})}), ""),
    (
        "stream",
        {"sni": "a", "clusters": ["two", "one"]},
        ProxyFacts(streams={"b": frozenset({"one", "two"})}),
        "no listener that sends a connections to one",
    ),
    ("stream", {"sni": "", "clusters": ["one"]}, ProxyFacts(), "no listener that sends connections to one"),
    ("server", {"hosts": ["b", "a"]}, ProxyFacts(together=frozenset({frozenset("ab")})), ""),
    (
        "server",
        {"hosts": ["b", "a"]},
        ProxyFacts(together=frozenset({frozenset("a")})),
        "no filter chain for a, b together",
    ),
    ("server", {"hosts": ["a"]}, ProxyFacts(together=frozenset({frozenset("ab")})), "no filter chain for a"),
    ("subset", V1, CLUSTERS_HELD, ""),
    ("subset", V2, CLUSTERS_HELD, f"no cluster outbound|80|v2|{HOST}"),
    ("no_subset", V2, CLUSTERS_HELD, ""),
    ("no_subset", V1, CLUSTERS_HELD, f"still has cluster outbound|80|v1|{HOST}"),
    ("no_virtual_service", {"virtual_service": "shop/api"}, ProxyFacts(hosts=[ROUTED]), ""),
    (
        "no_virtual_service",
        {"virtual_service": "shop/web"},
        ProxyFacts(hosts=[ROUTED]),
        "still routes by VirtualService shop/web",
    ),
    ("rbac", BOTH, of_ports(port(80, *TWO, *OTHERS)), ""),
    ("rbac", BOTH, of_ports(port(80, rule(0, "a"), rule(1, "b")), port(81, rule(1, "c"))), ""),
    ("rbac", BOTH, ProxyFacts(served=frozenset(TWO)), ""),
    ("rbac", BOTH, of_ports(port(80, TWO[0])), f"AuthorizationPolicy {WEB} has 1 rules there, not 2"),
    ("rbac", BOTH, of_ports(port(80, *TWO, rule(2))), f"AuthorizationPolicy {WEB} has 3 rules there, not 2"),
    ("rbac", BOTH, of_ports(port(80, *OTHERS)), f"AuthorizationPolicy {WEB} has 0 rules there, not 2"),
    (
        "rbac",
        BOTH,
        of_ports(port(80, TWO[0], rule(1, "b", "d", "e"))),
        f"rule 1 of AuthorizationPolicy {WEB} differs in c, d, e",
    ),
    ("rbac", {"policy": WEB, "rules": 0, "words": []}, of_ports(port(80, rule(0))), ""),
    ("no_rbac", {"policy": WEB, "rules": 2}, of_ports(port(80, *OTHERS)), ""),
    (
        "no_rbac",
        {"policy": WEB, "rules": 2},
        of_ports(port(80, TWO[1])),
        f"still judges by AuthorizationPolicy {WEB}",
    ),
    ("mtls", {"80": "STRICT", "81": "STRICT"}, of_ports(port(80), port(81)), ""),
    (
        "mtls",
        {"80": "STRICT", "81": "STRICT"},
        of_ports(port(80), port(81, plaintext=True)),
        "port 81 is PERMISSIVE, not STRICT",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("check", "data", "held", "lack"), LACKS)
def test_what_a_proxy_lacks_is_said_and_what_it_has_is_not(
    check: str, data: dict[str, Any], held: ProxyFacts, lack: str
) -> None:
    assert missing(held, Expectation("x", Scope(), check, data)) == lack
