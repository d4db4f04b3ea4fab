"""Check policies: what all live policies decide, against the catalogue, told once per object."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.cells import Cells
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.policies import (
    check_policies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.findings import Finding
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.picture import Picture

from ....model.security.test_authorization import OPEN_TO_A_STRANGER, source
from ..builders import catalogue, item, live, pod, service

MESH = catalogue(
    service("web", open_paths=["/health"]),
    service("pay", callers=[{"service": "web", "methods": ["POST"], "paths": ["/pay/*"]}]),
)
OURS = [obj for obj in render(MESH) if obj["kind"] in ("AuthorizationPolicy", "PeerAuthentication")]
PODS = [pod("web-1", {"app": "web"}), pod("pay-1", {"app": "pay", "version": "v1"})]


def check(*extra: dict[str, Any], ours: Any = None, pods: Any = None) -> list[Finding]:
    ours, pods = OURS if ours is None else ours, PODS if pods is None else pods
    return check_policies(Picture(MESH, live(*pods, *ours, *extra), ["shop"]), Cells(["cluster.local"]))


def told(*extra: dict[str, Any], **more: Any) -> list[str]:
    return [str(finding) for finding in check(*extra, **more) if finding.verdict != "pass"]


def ap(name: str, *rules: dict[str, Any], namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return item("AuthorizationPolicy", name, {**spec, "rules": list(rules)}, namespace=namespace)


def test_our_own_policies_pass_open_paths_included() -> None:
    found = check()
    assert {finding.subject: finding.verdict for finding in found} == {"shop/web": "pass", "shop/pay": "pass"}
    assert all("cells as the catalogue states" in finding.message for finding in found)


@pytest.mark.parametrize("rules", OPEN_TO_A_STRANGER, ids=str)
@pytest.mark.parametrize("where", [{}, {"namespace": "istio-system"}])
def test_whatever_opens_is_named_once(rules: list[dict[str, Any]], where: dict[str, Any]) -> None:
    found = told(ap("hole", *rules, **where))
    namespace = where.get("namespace", "shop")
    assert len(found) == 1
    assert found[0].startswith(f"FAIL: AuthorizationPolicy {namespace}/hole: opens ")
    assert "shop/web" in found[0]
    assert "shop/pay" in found[0]


def test_addresses_open_to_everyone_as_well() -> None:
    (found,) = told(ap("net", source(ipBlocks=["0.0.0.0/0"])))
    assert found.startswith("FAIL: AuthorizationPolicy shop/net: opens shop/web, shop/pay to ")


@pytest.mark.parametrize(
    ("more", "opens"),
    [
        ({"jwtRules": [{"issuer": "https://id.example.com"}]}, True),
        ({"jwtRules": [{"issuer": "https://new.example.com"}]}, False),
        ({"jwtRules": [{"issuer": "https://id.example.com"}], "targetRefs": [{"kind": "Gateway"}]}, False),
        ({}, False),
    ],
)
def test_a_token_counts_where_a_policy_for_the_pod_validates_those_of_its_issuer(
    more: dict[str, Any], *, opens: bool
) -> None:
    tokens = item("RequestAuthentication", "jwt", more)
    found = told(ap("who", source(requestPrincipals=["https://id.example.com/*"])), tokens)
    assert [line.split(":")[0] for line in found] == (["FAIL"] if opens else [])


def test_pods_of_a_version_without_weight_count() -> None:
    pods = [*PODS, pod("pay-2", {"app": "pay", "version": "v9"})]
    (found,) = told(ap("v9", {}, selector={"matchLabels": {"version": "v9"}}), pods=pods)
    assert "AuthorizationPolicy shop/v9: opens shop/pay to" in found


def test_a_denied_write_is_named() -> None:
    (found,) = told(ap("stop", {"to": [{"operation": {"methods": ["POST"]}}]}, action="DENY"))
    assert found.startswith("FAIL: AuthorizationPolicy shop/stop: refuses shop/web POST any other path")


@pytest.mark.parametrize("paths", [["/pay/*"], ["/pay/1"], ["*/1"], ["/a", "/pay/x/*"], ["/pay/{*}/y"]])
def test_a_denied_part_of_what_callers_may_ask_for_is_named(paths: list[str]) -> None:
    """A refusal of some paths passed: one path of the service was tried."""
    (found,) = told(ap("stop", {"to": [{"operation": {"paths": paths}}]}, action="DENY"))
    assert found.startswith("FAIL: AuthorizationPolicy shop/stop: refuses shop/web POST ")
    assert told(ap("stop", {"to": [{"operation": {"paths": ["/admin/*"]}}]}, action="DENY")) == []


def test_a_port_that_only_a_policy_names_is_asked_for() -> None:
    """Anything may listen there: of such a port only its rule knows."""
    for named in (
        {"to": [{"operation": {"ports": ["9999"]}}]},
        {"when": [{"key": "destination.port", "values": ["9999"]}]},
    ):
        (found,) = told(ap("hole", named))
        assert found.startswith("FAIL: AuthorizationPolicy shop/hole: opens shop/web, shop/pay to ")
        assert "on port 9999" in found


def test_a_policy_of_a_newer_istio_is_cannot_tell() -> None:
    (found,) = told(ap("new", {"from": [{"source": {"spiffeIds": ["x"]}}]}))
    assert found.startswith("cannot tell: AuthorizationPolicy shop/new: ")
    (found,) = told(ap("new", {}, action="THROTTLE"))
    assert found.startswith("cannot tell: AuthorizationPolicy shop/new: ")


def test_a_custom_policy_is_cannot_tell() -> None:
    (found,) = told(ap("opa", {}, action="CUSTOM", provider={"name": "opa"}))
    assert found.startswith("cannot tell: AuthorizationPolicy shop/opa: ")


def test_audit_and_dry_run_change_nothing() -> None:
    dry = item("AuthorizationPolicy", "dry", {"rules": [{}]}, annotations={"istio.io/dry-run": "True"})
    assert told(ap("audit", {}, action="AUDIT"), dry) == []
    custom = {"action": "CUSTOM", "rules": [{}]}
    (found,) = told(item("AuthorizationPolicy", "dry", custom, annotations={"istio.io/dry-run": "True"}))
    assert found.startswith("cannot tell: AuthorizationPolicy shop/dry: ")


def edited(name: str, change: Any) -> list[dict[str, Any]]:
    return [
        {**obj, "spec": change(obj["spec"])}
        if (obj["kind"], obj["metadata"]["name"]) == ("AuthorizationPolicy", name)
        else obj
        for obj in OURS
    ]


def test_an_own_policy_without_its_methods_and_paths_is_named_as_ours() -> None:
    ours = edited("pay", lambda spec: {**spec, "rules": [{"from": spec["rules"][0]["from"]}]})
    (found,) = told(ours=ours)
    assert found.startswith("FAIL: AuthorizationPolicy shop/pay: is not as the catalogue computes it: opens")


def test_an_own_policy_that_lost_a_rule_is_named_though_no_rule_decides() -> None:
    (found,) = told(ours=edited("pay", lambda spec: {key: spec[key] for key in ("selector", "action")}))
    assert found.startswith(
        "FAIL: AuthorizationPolicy shop/pay: is not as the catalogue computes it: refuses"
    )


@pytest.mark.parametrize("name", ["pay", "mesh-default-deny"])
def test_a_deleted_policy_is_named(name: str) -> None:
    ours = [obj for obj in OURS if obj["metadata"]["name"] != name]
    (found,) = told(ours=ours, pods=[*PODS, pod("tool-1", {"app": "tool"})])
    assert found.startswith(f"FAIL: AuthorizationPolicy shop/{name}: is missing: ")


def test_a_deleted_default_deny_is_told_without_any_pod_that_shows_it() -> None:
    (found,) = told(ours=[obj for obj in OURS if obj["metadata"]["name"] != "mesh-default-deny"])
    assert found == (
        "FAIL: AuthorizationPolicy shop/mesh-default-deny: is missing:"
        " what is started in shop is open to everyone"
    )


def test_a_workload_beside_the_catalogue_may_name_its_callers_and_nobody_else() -> None:
    tool = [*PODS, pod("tool-1", {"app": "tool"})]
    selector = {"matchLabels": {"app": "tool"}}
    named = ap("tool", source(principals=["cluster.local/ns/shop/sa/web"]), selector=selector)
    assert told(named, pods=tool) == []
    (found,) = told(ap("tool", {}, selector=selector), pods=tool)
    assert found.startswith("FAIL: AuthorizationPolicy shop/tool: opens shop/tool (not in the catalogue) to")


def test_pods_that_lack_the_labels_of_their_service_are_refused_to_its_callers() -> None:
    kubernetes = item(
        "Service", "pay", {"selector": {"role": "pay"}, "ports": [{"port": 80, "targetPort": 3000}]}
    )
    pods = [PODS[0], pod("pay-1", {"role": "pay"})]
    (found,) = told(kubernetes, pods=pods)
    assert "refuses shop/web POST" in found


def test_a_policy_of_one_service_that_selects_another_is_named() -> None:
    wide = edited("web", lambda spec: {**spec, "selector": {"matchLabels": {}}})
    (found,) = told(ours=wide)
    assert found.startswith(
        "FAIL: AuthorizationPolicy shop/web: is not as the catalogue computes it: opens shop/pay"
    )


def test_gateways_and_pods_without_proxy_are_not_judged_here() -> None:
    gateway = pod("gw-1", {"istio": "ingressgateway"})
    gateway["spec"]["containers"][1]["args"] = ["proxy", "router"]
    assert (
        told(ap("gw", {}, selector={"matchLabels": {"istio": "ingressgateway"}}), pods=[*PODS, gateway]) == []
    )
    assert told(pods=[*PODS, pod("naked", {"app": "x"}, proxy=None)]) == []


@pytest.mark.parametrize(
    ("entry", "http", "tcp"),
    [
        ({"name": "http-x"}, True, False),
        ({"name": "grpc-web"}, True, False),
        ({"name": "tcp", "appProtocol": "kubernetes.io/ws"}, True, False),
        ({"name": "http", "appProtocol": "kubernetes.io/wss"}, False, True),
        ({"name": "mysql"}, False, True),
        ({"name": "db", "port": 3306}, False, True),
        # Neither is a word that istiod knows: it looks at the first bytes.
        ({"name": "h2c"}, True, True),
        ({"name": "ws"}, True, True),
        ({}, True, True),
    ],
)
def test_what_a_port_speaks_is_what_istiod_reads(entry: dict[str, Any], *, http: bool, tcp: bool) -> None:
    ports = [{"port": 80, "targetPort": 4000, **entry}]
    known = item("Service", "other", {"selector": {"app": "pay"}, "ports": ports})
    found = Picture(MESH, live(*PODS, known), ["shop"]).pods[1].port(4000)
    assert found is not None
    assert (found.http, found.tcp) == (http, tcp)
