# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NetworkPolicies let through; the expected answers are those of the Kubernetes documentation."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.network_rules import (
    CalledPort,
    NetworkRules,
)

from .healthy_mesh import CATALOGUE, Healthy, diagnose, network_policy, obj, pod
from .planted import AT_GATEWAY, CALL, NOTHING

NAMESPACES = {
    "shop": obj("Namespace", "shop", "", labels={"team": "a"}),
    "other": obj("Namespace", "other", "", labels={"team": "b"}),
}
WEB, API, STRANGER = pod("web-1"), pod("api-1"), pod("web-9", "other")
WEB["status"]["podIP"], API["status"]["podIP"], STRANGER["status"]["podIP"] = (
    "10.1.0.1",
    "10.1.0.2",
    "10.2.0.1",
)


def selector(**labels: str) -> dict[str, Any]:
    return {"matchLabels": labels}


def block(cidr: str, *left_out: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, **({"except": list(left_out)} if left_out else {})}}


@pytest.mark.parametrize(
    ("rules", "web", "stranger"),
    [
        ([], False, False),
        ([{}], True, True),
        ([{"from": [{"podSelector": {}}]}], True, False),
        ([{"from": [{"podSelector": selector(app="web")}]}], True, False),
        ([{"from": [{"podSelector": selector(app="admin")}]}], False, False),
        ([{"from": [{"namespaceSelector": {}}]}], True, True),
        ([{"from": [{"namespaceSelector": selector(team="b")}]}], False, True),
        (
            [{"from": [{"namespaceSelector": selector(**{"kubernetes.io/metadata.name": "other"})}]}],
            False,
            True,
        ),
        ([{"from": [{"namespaceSelector": {}, "podSelector": selector(app="admin")}]}], False, False),
        ([{"from": [{"namespaceSelector": {}}, {"podSelector": selector(app="admin")}]}], True, True),
        ([{"from": [block("10.0.0.0/8")]}], True, True),
        ([{"from": [block("10.0.0.0/8", "10.1.0.0/16")]}], False, True),
        ([{"from": [block("fd00::/8")]}], False, False),
        ([{"ports": [{"port": 3000}]}], True, True),
        ([{"ports": [{"port": 3001}]}], False, False),
        ([{"ports": [{"port": 2000, "endPort": 4000}]}], True, True),
        ([{"ports": [{"port": "http"}]}], True, True),
        ([{"ports": [{"port": "grpc"}]}], False, False),
        ([{"ports": [{"port": 3000, "protocol": "UDP"}]}], False, False),
        ([{"ports": [{"protocol": "TCP"}]}], True, True),
        (
            [{"from": [{"podSelector": {}}], "ports": [{"port": 9}]}, {"from": [block("10.2.0.0/16")]}],
            False,
            True,
        ),
    ],
)
def test_what_comes_in(rules: list[dict[str, Any]], web: bool, stranger: bool) -> None:
    api = pod("api-1")
    api["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 3000}]
    found = NetworkRules([network_policy("some", {"app": "api"}, ingress=rules)], NAMESPACES)
    let_in = [not found.denying(caller, api, CalledPort(3000)) for caller in (WEB, STRANGER)]
    assert let_in == [web, stranger]


def test_several_policies_allow_together_and_the_strictest_is_named_first() -> None:
    some = network_policy(
        "some", {"app": "api"}, ingress=[{"from": [{"podSelector": selector(app="admin")}]}]
    )
    none = network_policy("none", {}, ingress=[])
    web = network_policy("web", {"app": "api"}, ingress=[{"from": [{"podSelector": selector(app="web")}]}])
    names = [
        item["metadata"]["name"]
        for item in NetworkRules([some, none], NAMESPACES).denying(WEB, API, CalledPort(1))
    ]
    assert names == ["none", "some"]
    assert NetworkRules([some, none, web], NAMESPACES).denying(WEB, API, CalledPort(1)) == []


@pytest.mark.parametrize(
    ("policy", "denied"),
    [
        (network_policy("out", {"app": "web"}, egress=[]), True),
        (
            network_policy("out", {"app": "web"}, egress=[{"to": [{"podSelector": selector(app="api")}]}]),
            False,
        ),
        (network_policy("out", {"app": "api"}, egress=[]), False),
        (network_policy("out", {"app": "web"}, place="other", egress=[]), False),
    ],
)
def test_what_goes_out(policy: dict[str, Any], denied: bool) -> None:
    assert bool(NetworkRules([policy], NAMESPACES).denying(WEB, API, CalledPort(3000))) is denied


def test_without_types_a_policy_is_for_what_comes_in() -> None:
    policy = network_policy("old", {"app": "web"})
    del policy["spec"]["policyTypes"]
    rules = NetworkRules([policy], NAMESPACES)
    assert rules.denying(WEB, API, CalledPort(3000)) == []
    assert rules.denying(API, WEB, CalledPort(3000)) == [policy]


@pytest.mark.parametrize("symptom", [NOTHING, CALL, AT_GATEWAY, {"pod": "web-1"}], ids=str)
def test_policies_that_let_the_mesh_work_are_no_cause(symptom: dict[str, str]) -> None:
    cluster = Healthy()
    everywhere = [{"namespaceSelector": {}}]
    callers = [
        {"podSelector": selector(app="web")},
        {"namespaceSelector": selector(**{"kubernetes.io/metadata.name": "istio-system"})},
    ]
    cluster.put(network_policy("api", {"app": "api"}, ingress=[{"from": callers, "ports": [{"port": 3000}]}]))
    out = [{"to": everywhere, "ports": [{"port": 15012}, {"port": 53, "protocol": "UDP"}, {"port": 3000}]}]
    cluster.put(network_policy("web", {"app": "web"}, egress=out))
    result = diagnose(cluster, **symptom)
    assert (result["causes"], result["status"]) == ([], "pass")


def test_that_requests_fail_makes_it_sure() -> None:
    cluster = Healthy()
    cluster.put(network_policy("none", {"app": "api"}, ingress=[]))
    assert [one["likelihood"] for one in diagnose(cluster, **CALL)["causes"]] == ["likely"]
    assert CATALOGUE["mesh_services"] == []
