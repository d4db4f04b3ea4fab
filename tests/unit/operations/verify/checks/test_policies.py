"""Policies that let everyone in."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.authorization_policies import (
    authorization_objects,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import (
    policies as verify_policies,
)

from ..builders import GATEWAY, catalogue, item, service

MESH = catalogue(service("web", open_paths=["/health"]), service("pay", callers=[{"service": "web"}]))
OURS = authorization_objects(MESH)
CALLER = "cluster.local/ns/shop/sa/web"


@pytest.mark.parametrize(
    ("rule", "opening"),
    [
        ({}, "an empty rule"),
        ({"from": [{"source": {"principals": ["*"]}}]}, "principals ['*']"),
        (
            {"from": [{"source": {"principals": [CALLER]}}, {"source": {"principals": ["*"]}}]},
            "principals ['*']",
        ),
        ({"from": [{"source": {"namespaces": ["*"]}}]}, "namespaces ['*']"),
        ({"from": [{"source": {"notNamespaces": ["evil"]}}]}, "notNamespaces ['evil']"),
        ({"from": [{"source": {}}]}, "an empty source"),
        ({"to": [{"operation": {"methods": ["GET"]}}]}, "without any source (limited to methods ['GET'])"),
        ({"when": [{"key": "request.headers[x]", "values": ["1"]}]}, "without any source"),
        ({"from": [{"source": {"principals": [CALLER]}}]}, ""),
        ({"from": [{"source": {"namespaces": ["shop"]}}]}, ""),
        ({"from": [{"source": {"principals": ["*"], "namespaces": ["shop"]}}]}, ""),
        ({"when": [{"key": "source.principal", "values": [CALLER]}]}, ""),
        ({"from": [{"source": {"requestPrincipals": ["issuer/subject"]}}]}, ""),
    ],
)
def test_how_a_rule_opens(rule: dict, opening: str) -> None:
    found = verify_policies.opens_to_everyone(rule)
    assert (opening in found) if opening else found == ""


def test_our_own_policies_pass_open_paths_included() -> None:
    (finding,) = verify_policies.check_policies(MESH, OURS)
    assert finding.verdict == "pass"


def test_a_foreign_policy_that_opens_the_namespace_is_named() -> None:
    foreign = item("AuthorizationPolicy", "everyone", {"rules": [{}]})
    (finding,) = verify_policies.check_policies(MESH, [*OURS, foreign])
    assert finding.verdict == "fail"
    assert finding.subject == "AuthorizationPolicy shop/everyone"
    assert finding.message == "lets everyone into shop/web, shop/pay: an empty rule"


def test_a_policy_of_the_root_namespace_reaches_everywhere() -> None:
    foreign = item("AuthorizationPolicy", "everyone", {"rules": [{}]}, namespace="istio-system")
    assert verify_policies.check_policies(MESH, [foreign])[0].verdict == "fail"


def test_our_own_policy_altered_by_hand_is_found() -> None:
    altered = [dict(policy) for policy in OURS]
    altered[1] = {**altered[1], "spec": {**altered[1]["spec"], "rules": [{}]}}
    (finding,) = verify_policies.check_policies(MESH, altered)
    assert (finding.verdict, finding.subject) == ("fail", "AuthorizationPolicy shop/pay")


@pytest.mark.parametrize(
    "harmless",
    [
        item("AuthorizationPolicy", "deny", {"action": "DENY", "rules": [{}]}),
        item("AuthorizationPolicy", "other", {"rules": [{}]}, namespace="elsewhere"),
        item("AuthorizationPolicy", "api", {"selector": {"matchLabels": {"app": "api"}}, "rules": [{}]}),
        item("AuthorizationPolicy", "dry", {"rules": [{}]}, annotations={"istio.io/dry-run": "true"}),
        item(
            "AuthorizationPolicy",
            "narrow",
            {"rules": [{"from": [{"source": {"namespaces": ["monitoring"]}}]}]},
        ),
    ],
)
def test_other_policies_open_nothing(harmless: dict) -> None:
    assert verify_policies.check_policies(MESH, [*OURS, harmless])[0].verdict == "pass"


def test_the_gateway_inside_a_mesh_namespace_takes_everyone_and_may() -> None:
    mesh = catalogue(
        service("web", open_paths=["/h"]), mesh_gateways=[{**GATEWAY, "workload_namespace": "shop"}]
    )
    assert verify_policies.check_policies(mesh, authorization_objects(mesh))[0].verdict == "pass"


def test_many_services_are_counted_rather_than_listed() -> None:
    mesh = catalogue(*(service(f"s{index}", open_paths=["/h"]) for index in range(9)))
    foreign = item("AuthorizationPolicy", "everyone", {"rules": [{}]})
    message = verify_policies.check_policies(mesh, [foreign])[0].message
    assert message == "lets everyone into shop/s0, shop/s1, shop/s2 and 6 more services: an empty rule"
