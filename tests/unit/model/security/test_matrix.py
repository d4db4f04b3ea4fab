"""Cell by cell: which requests are tried, where policies and catalogue differ, and what a change flips."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import service_edges
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security import matrix, witnesses
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.authorization import (
    PolicyIndex,
    WorkloadPolicies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.classes import (
    WorkloadPort,
    trials,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.matching import text_match
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import Request

from . import policies as random_policies
from .test_authorization import OPEN_TO_A_STRANGER, ap, operation, source

DOMAINS = ["cluster.local"]
STRICT = [WorkloadPort(3000, http=True, tcp=False, plaintext=False)]
SHOP = parse_catalogue(
    {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "mesh_services": [
            {"name": "web", "ports": [{"name": "http", "number": 3000, "protocol": "http"}]},
            {
                "name": "pay",
                "ports": [{"name": "http", "number": 3000, "protocol": "http"}],
                "callers": [{"service": "web", "methods": ["POST"], "paths": ["/pay/*"]}],
                "open_paths": ["/health"],
            },
        ],
    }
)
PAY = SHOP.services[1]
OWN = [obj for obj in render(SHOP) if obj["kind"] == "AuthorizationPolicy"]


def compared(*extra: dict[str, Any], ports: Any = None, own: Any = None) -> matrix.CellComparison:
    ports, own = STRICT if ports is None else ports, OWN if own is None else own
    index = PolicyIndex([*own, *extra], root_namespace="istio-system", trust_domains=DOMAINS)
    labels = {**PAY.labels, "version": "v0"}
    held = index.workload("shop", labels)
    edges = service_edges(SHOP, PAY)
    tried = trials(index.of("shop", labels), edges, ports, namespace="shop", trust_domains=DOMAINS)
    assert tried.complete
    return matrix.compare(held, edges, tried.requests, DOMAINS)


def test_the_catalogues_own_policies_are_what_it_states() -> None:
    found = compared()
    assert len(found.cells) > 20
    assert found.differences == ()


@pytest.mark.parametrize("rules", OPEN_TO_A_STRANGER, ids=str)
def test_a_foreign_policy_that_opens_is_found_by_its_name(rules: list[dict[str, Any]]) -> None:
    for where in ({}, {"namespace": "istio-system"}, {"selector": {"matchLabels": {"version": "v0"}}}):
        opened = compared(ap(*rules, name="hole", **where)).differences
        namespace = where.get("namespace", "shop")
        assert {item.kind for item in opened} == {matrix.OPENS}
        assert {item.decision.policy for item in opened} == {f"AuthorizationPolicy {namespace}/hole"}


def test_a_denied_write_is_found_and_an_audit_is_not() -> None:
    (found,) = compared(ap(operation(methods=["POST"]), name="stop", action="DENY")).differences
    assert (found.kind, found.decision.policy) == (matrix.CLOSES, "AuthorizationPolicy shop/stop")
    assert matrix.describe(found.requests[0]) == "shop/web POST /pay/elsewhere on port 3000".replace(
        "/pay/elsewhere", "any other path"
    )
    assert compared(ap({}, action="AUDIT")).differences == ()


def test_own_policy_without_its_methods_and_paths() -> None:
    stripped = [
        {**obj, "spec": {**obj["spec"], "rules": [{"from": obj["spec"]["rules"][0]["from"]}]}}
        if obj["metadata"]["name"] == "pay"
        else obj
        for obj in OWN
    ]
    kinds = {item.kind for item in compared(own=stripped).differences}
    assert kinds == {matrix.OPENS, matrix.CLOSES}  # open paths have gone, everything else is open to web


def test_a_deleted_policy_opens_to_everyone_without_an_object() -> None:
    found = compared(own=[]).differences
    assert {(item.kind, item.decision.policy) for item in found} == {(matrix.OPENS, "")}
    assert "no AuthorizationPolicy" in found[0].decision.reason


def test_plaintext_peers_count_only_where_they_come_through() -> None:
    everyone = ap(source(ipBlocks=["0.0.0.0/0"]), name="hole")
    permissive = [WorkloadPort(3000, http=True, tcp=False, plaintext=True, mtls=False)]
    (found,) = compared(everyone, ports=permissive).differences
    assert all(not request.principal for request in found.requests)
    assert "a caller without identity" in matrix.describe(found.requests[0])


def test_a_sniffed_port_is_tried_as_a_stream_too() -> None:
    ports = [WorkloadPort(9999, http=True, tcp=True, plaintext=False)]
    (found,) = compared(ap(source(namespaces=["ops"]), name="hole"), ports=ports).differences
    assert {request.http for request in found.requests} == {True, False}


def test_what_a_change_flips_is_told_and_nothing_else() -> None:
    index = PolicyIndex(OWN, root_namespace="istio-system", trust_domains=DOMAINS)
    hole = ap(
        source(principals=["cluster.local/ns/shop/sa/order"]), operation(methods=["POST"]), name="refund"
    )
    hole["spec"]["rules"] = [
        {**source(principals=["cluster.local/ns/shop/sa/order"]), **operation(methods=["POST"])}
    ]
    after = PolicyIndex([*OWN, hole], root_namespace="istio-system", trust_domains=DOMAINS)
    labels = dict(PAY.labels)
    tried = trials(after.of("shop", labels), [], STRICT, namespace="shop", trust_domains=DOMAINS)
    old, new = index.workload("shop", labels), after.workload("shop", labels)
    (flip,) = matrix.flips(old, new, tried.requests)
    assert (flip.kind, flip.decision.policy) == (matrix.OPENS, "AuthorizationPolicy shop/refund")
    assert {request.principal for request in flip.requests} == {"cluster.local/ns/shop/sa/order"}
    (back,) = matrix.flips(new, old, tried.requests)
    assert (back.kind, back.cells) == (matrix.CLOSES, flip.cells)
    assert matrix.flips(old, old, tried.requests) == ()


def test_too_many_conditions_are_not_called_complete() -> None:
    names = [
        ap({"when": [{"key": f"request.headers[h{i}]", "values": ["a", "b*"]}]}, name=f"p{i}")
        for i in range(9)
    ]
    tried = trials(names, [], STRICT, namespace="shop", trust_domains=DOMAINS)
    assert not tried.complete
    assert tried.requests


def test_texts_show_every_answer_of_a_set_of_patterns() -> None:
    """Every way in which patterns can answer about any text of a small alphabet is answered by a
    witness."""
    dice = random.Random(7)
    parts = ["a", "b", "/"]
    everything = ["".join(text) for size in range(1, 7) for text in itertools.product(parts, repeat=size)]
    for _turn in range(60):
        patterns = {
            dice.choice(["{}", "{}*", "*{}"]).format("".join(dice.choices(parts, k=dice.randint(1, 3))))
            for _number in range(dice.randint(1, 5))
        }
        tests = [text_match(pattern) for pattern in sorted(patterns)]
        shown = {tuple(test(text) for test in tests) for text in witnesses.texts(patterns)}
        assert {tuple(test(text) for test in tests) for text in everything} <= shown, patterns


def test_no_boundary_of_a_random_policy_is_missed() -> None:
    """Whatever a random request meets, some request that is tried meets the same rule of the same
    policy."""
    dice = random.Random(11)
    missed = 0
    for _turn in range(60):
        made = [random_policies.policy(dice, index) for index in range(2)]
        ports = [WorkloadPort(port, http=True, tcp=True, plaintext=True) for port in (3000, 9090, 5432)]
        tried = trials(made, [], ports, namespace="shop", trust_domains=random_policies.DOMAINS[:2])
        held = WorkloadPolicies(made, random_policies.DOMAINS[:2])
        known = {(d.verdict, d.policy, d.rule) for d in map(held.decide, tried.requests)}
        for _number in range(20):
            request = random_policies.request(dice)
            domain = request.principal.partition("/")[0]
            if request.headers or (domain and domain not in random_policies.DOMAINS[:2]):
                continue
            decision = held.decide(request)
            missed += (decision.verdict, decision.policy, decision.rule) not in known
    assert missed == 0


def test_an_unknown_answer_is_a_difference_of_its_own() -> None:
    custom = ap({}, name="opa", action="CUSTOM", provider={"name": "opa"})
    (found,) = compared(custom).differences
    assert (found.kind, found.decision.policy) == (matrix.UNSURE, "AuthorizationPolicy shop/opa")


def test_identities_of_an_alias_are_the_same() -> None:
    edges = service_edges(SHOP, PAY)
    asked = Request("old/ns/shop/sa/web", 3000, "POST", "/pay/x")
    assert matrix.is_stated(edges, asked, ["cluster.local", "old"])
    assert not matrix.is_stated(edges, asked, ["cluster.local"])
    assert not matrix.is_stated(edges, Request("", 3000, "GET", "/health"), DOMAINS)
