"""What AuthorizationPolicies decide: against Envoy's own configuration, and case by case."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.authorization import (
    HeldAuthorization,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.authorization import (
    PolicyIndex,
    WorkloadPolicies,
    selects,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import (
    ALLOW,
    DENY,
    UNKNOWN,
    Request,
    Token,
)

from ...support.envoy_rbac import rbac_filters
from . import policies as random_policies

PAIRS = int(os.environ.get("SECURITY_PAIRS", "3000"))
WEB = "cluster.local/ns/shop/sa/web"
STRANGER = "cluster.local/ns/other/sa/x"


def ap(*rules: dict[str, Any], namespace: str = "shop", name: str = "p", **spec: Any) -> dict[str, Any]:
    annotations = spec.pop("annotations", {})
    body = {**spec, **({"rules": list(rules)} if rules else {})}
    return {
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": body,
    }


def source(**fields: Any) -> dict[str, Any]:
    return {"from": [{"source": fields}]}


def operation(**fields: Any) -> dict[str, Any]:
    return {"to": [{"operation": fields}]}


def decide(*policies: dict[str, Any], domains: tuple[str, ...] = ("cluster.local",), **request: Any) -> str:
    asked = Request(request.pop("principal", STRANGER), request.pop("port", 3000), **request)
    return WorkloadPolicies(policies, domains).decide(asked).verdict


def decide_request(policy: dict[str, Any], request: Request) -> str:
    return WorkloadPolicies([policy], ("cluster.local",)).decide(request).verdict


def test_decides_as_the_filters_that_istiod_makes_of_the_same_policies() -> None:
    """An oracle in two parts that shares no code: policies to Envoy's filters, filters to an answer."""
    dice = random.Random(20260731)
    seen = {True: 0, False: 0}
    for number in range(PAIRS // 5):
        policies = [random_policies.policy(dice, index) for index in range(dice.choice([1, 1, 2, 3]))]
        domains = random_policies.DOMAINS[: dice.choice([1, 2, 3])]
        held = {
            http: HeldAuthorization(
                [item["typed_config"] for item in rbac_filters(policies, domains, http=http)]
            )
            for http in (True, False)
        }
        workload = WorkloadPolicies(policies, domains)
        for _turn in range(5):
            request = random_policies.request(dice)
            expected = held[request.http].decide(request).verdict
            assert workload.decide(request).verdict == expected, (number, policies, domains, request)
            seen[expected == ALLOW] += 1
    assert min(seen.values()) > PAIRS // 10


OPEN_TO_A_STRANGER = [
    [source(principals=["cluster.local/*"])],
    [source(principals=["*/sa/x"])],
    [source(principals=[STRANGER])],
    [source(serviceAccounts=["other/x"])],
    [source(namespaces=["other"])],
    [source(namespaces=["o*"])],
    [source(principals=["*"], namespaces=["*"])],
    [source(notPrincipals=[WEB], notNamespaces=["nowhere"])],
    [source(ipBlocks=["0.0.0.0/0"])],
    [source(remoteIpBlocks=["0.0.0.0/0"])],
    [{"when": [{"key": "source.principal", "notValues": [WEB]}]}],
    [{"when": [{"key": "source.namespace", "values": ["*"]}]}],
    [{}],
    [source(trustDomains=["cluster.local"])],
    [{"from": [{"source": {}}]}],
]


@pytest.mark.parametrize("rules", OPEN_TO_A_STRANGER, ids=str)
def test_a_stranger_is_let_in(rules: list[dict[str, Any]]) -> None:
    deny_all = ap(name="mesh-default-deny")
    address = {"source_ip": "10.0.0.1", "remote_ip": "10.0.0.1"}
    assert decide(deny_all, ap(*rules), method="POST", **address) == ALLOW
    assert decide(deny_all, method="POST", **address) == DENY


def test_plaintext_peers_have_no_identity_and_so_fit_every_negation() -> None:
    assert decide(ap(source(notPrincipals=[WEB])), principal="") == ALLOW
    assert decide(ap(source(principals=["*"])), principal="") == DENY
    assert decide(ap(source(notNamespaces=["shop"]), action="DENY"), principal="") == DENY


def test_http_fields_on_tcp_ports() -> None:
    tcp = {"http": False, "method": "", "path": ""}
    assert decide(ap(operation(methods=["GET"])), **tcp) == DENY  # the rule is dropped
    assert decide(ap(operation(methods=["GET"]), action="DENY"), **tcp) == DENY  # the field is left out
    assert decide(ap(operation(methods=["GET"], ports=["1"]), action="DENY"), **tcp) == ALLOW


def test_hosts_are_compared_with_the_port_and_without_regard_to_case() -> None:
    deny = ap(operation(hosts=["pay.shop"]), action="DENY")
    assert decide(deny, host="PAY.shop") == DENY
    assert decide(deny, host="pay.shop:80") == ALLOW


@pytest.mark.parametrize(
    ("template", "path", "fits"),
    [
        ("/{*}", "/*", True),  # a star of a request is a character like others, to a variable too
        ("/admin/{*}/b", "/admin/*/b", True),
        ("/admin/{**}", "/admin/*/b", True),
        ("/{*}", "/", False),
        ("/{*}", "/a/b", False),
        ("/{*}", "/a%20b", True),
        ("/{*}", '/a"b', False),
        ("/{**}", "/{x}", False),
        ("/{*}", "/\N{LATIN SMALL LETTER E WITH ACUTE}", False),
    ],
)
def test_what_a_variable_of_a_path_stands_for(template: str, path: str, fits: bool) -> None:
    policy = ap(operation(paths=[template]))
    held = HeldAuthorization(
        [item["typed_config"] for item in rbac_filters([policy], ["cluster.local"], http=True)]
    )
    expected = ALLOW if fits else DENY
    assert decide(policy, path=path) == expected
    assert held.decide(Request(STRANGER, 3000, path=path)).verdict == expected


@pytest.mark.parametrize(
    ("principal", "domains", "caller", "verdict"),
    [
        ("cluster.local/ns/shop/sa/web", ("corp",), "corp/ns/shop/sa/web", ALLOW),
        ("cluster.local/ns/shop/sa/web", ("corp",), "cluster.local/ns/shop/sa/web", DENY),
        ("corp/ns/shop/sa/web", ("corp", "old"), "old/ns/shop/sa/web", ALLOW),
        ("cluster.local/*", ("corp",), "corp/ns/shop/sa/web", DENY),
        ("*/ns/shop/sa/web", ("corp",), "corp/ns/shop/sa/web", ALLOW),
        ("*-td/ns/shop/sa/web", ("new-td", "old-td"), "old-td/ns/shop/sa/web", ALLOW),
        ("foreign/ns/shop/sa/web", ("corp",), "foreign/ns/shop/sa/web", ALLOW),
    ],
)
def test_trust_domains(principal: str, domains: tuple[str, ...], caller: str, verdict: str) -> None:
    assert decide(ap(source(principals=[principal])), domains=domains, principal=caller) == verdict


def test_audit_and_dry_run_decide_nothing() -> None:
    assert decide(ap({}, action="AUDIT")) == ALLOW
    for spelled in ("true", "True", "1", "T"):
        assert decide(ap({}, action="DENY", annotations={"istio.io/dry-run": spelled})) == ALLOW
    assert decide(ap({}, action="DENY", annotations={"istio.io/dry-run": "yes"})) == DENY


def test_what_a_custom_policy_matches_is_unknown_unless_another_refuses_it() -> None:
    custom = ap(operation(paths=["/api"]), action="CUSTOM", provider={"name": "opa"})
    assert decide(custom, path="/api") == UNKNOWN
    assert decide(custom, path="/x") == ALLOW
    assert decide(custom, ap(name="deny-all"), path="/api") == DENY


def test_a_custom_policy_in_dry_run_is_as_unknown_as_another() -> None:
    """The istiods since 1.30 give proxies its rules as ones that refuse (builder.go, providerShadowRules)."""
    dry = {"istio.io/dry-run": "true"}
    assert decide(ap({}, action="CUSTOM", annotations=dry)) == UNKNOWN
    assert decide(ap(operation(paths=["/a"]), action="CUSTOM", annotations=dry), path="/b") == ALLOW


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [
        (ap({}, action="THROTTLE"), UNKNOWN),
        (ap({}, action="DENY", unless={"x": 1}), UNKNOWN),
        (ap({}, action="DENY", unless=None), DENY),
        (ap({}, action="DENY", unless=[]), DENY),
        (ap({"unless": [{"x": 1}]}), UNKNOWN),
        (ap({"unless": [{"x": 1}], **source(namespaces=["nobody"])}), DENY),
        (ap({"from": [{"source": {}, "unless": {"x": 1}}]}), UNKNOWN),
        (ap(source(spiffeIds=["x"])), UNKNOWN),
        (ap(source(spiffeIds=["x"], namespaces=["nobody"])), DENY),
        (ap(source(spiffeIds=["x"]), action="DENY"), UNKNOWN),
        (ap(source(spiffeIds=["x"]), source(namespaces=["other"])), ALLOW),
        (ap({"to": [{"operation": {}, "unless": {"x": 1}}]}), UNKNOWN),
        (ap(operation(queries=["x"])), UNKNOWN),
        (ap({"when": [{"key": "source.namespace", "values": ["other"], "regexes": ["x"]}]}), UNKNOWN),
        (ap({"when": [{"key": "source.namespace", "values": ["nobody"], "regexes": ["x"]}]}), DENY),
    ],
    ids=str,
)
def test_what_a_newer_istio_may_say_is_unknown(policy: dict[str, Any], verdict: str) -> None:
    assert decide(policy, principal=STRANGER) == verdict


def test_what_hangs_on_unknown_facts_is_unknown() -> None:
    assert decide(ap({"when": [{"key": "connection.sni", "values": ["x"]}]})) == UNKNOWN
    assert decide(ap({"when": [{"key": "connection.sni", "values": ["x"]}]}), sni="x") == ALLOW
    assert decide(ap({"when": [{"key": "experimental.envoy.filters.a[b]", "values": ["x"]}]})) == UNKNOWN
    assert decide(ap({"when": [{"key": "no.such", "values": ["x"]}]}, action="DENY")) == ALLOW
    assert decide(ap(source(ipBlocks=["10.0.0.0/8"]))) == UNKNOWN


def test_tokens() -> None:
    token = Token("https://issuer/a", "me", ("shop", "bank"), "app", {("groups",): ("ops",)})
    for key, value, fits in (
        ("request.auth.principal", "https://issuer/a/me", True),
        ("request.auth.principal", "https://issuer/a/*", True),
        ("request.auth.principal", "*/me", True),
        ("request.auth.principal", "*issuer/a/m", False),
        ("request.auth.audiences", "bank", True),
        ("request.auth.presenter", "ap*", True),
        ("request.auth.claims[groups]", "ops", True),
        ("request.auth.claims[groups][x]", "ops", False),
    ):
        policy = ap({"when": [{"key": key, "values": [value]}]})
        assert decide(policy, token=token) == (ALLOW if fits else DENY), (key, value)
        assert decide(policy) == DENY


def test_which_policies_are_about_a_pod() -> None:
    labels = {"app": "pay"}
    assert selects(ap({}), "shop", labels, "istio-system")
    assert selects(ap({}, namespace="istio-system"), "shop", labels, "istio-system")
    assert not selects(ap({}, namespace="other"), "shop", labels, "istio-system")
    assert not selects(ap({}, selector={"matchLabels": {"app": "x"}}), "shop", labels, "istio-system")
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "pay"}
    assert not selects(ap({}, targetRefs=[target]), "shop", labels, "istio-system")
    gateway = {"gateway.networking.k8s.io/gateway-name": "pay"}
    assert selects(ap({}, targetRefs=[target]), "shop", gateway, "istio-system")


def test_the_decision_names_its_object() -> None:
    index = PolicyIndex(
        [ap(name="mesh-default-deny"), ap({}, name="open", selector={"matchLabels": {"app": "pay"}})],
        root_namespace="istio-system",
        trust_domains=["cluster.local"],
    )
    decision = index.workload("shop", {"app": "pay"}).decide(Request(STRANGER, 3000))
    assert (decision.policy, decision.rule) == ("AuthorizationPolicy shop/open", 0)
    refused = index.workload("shop", {"app": "x"}).decide(Request(STRANGER, 3000))
    assert "AuthorizationPolicy shop/mesh-default-deny" in refused.reason


@pytest.mark.parametrize("rule", [None, "x", 7, []])
def test_a_rule_that_is_none_matches_nothing(rule: Any) -> None:
    """The API server lets none through; of one that is read all the same, the policy stays."""
    assert decide(ap(rule)) == DENY
    assert decide(ap(rule, {})) == ALLOW
    assert decide(ap(rule, action="DENY")) == ALLOW
