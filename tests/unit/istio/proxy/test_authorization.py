# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proxy's RBAC filters decide: matcher by matcher as Envoy's documentation says, then filters."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.authorization import (
    HeldAuthorization,
    held_authorization,
    parses_requests,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import (
    ALLOW,
    DENY,
    UNKNOWN,
    Request,
    Token,
)

ANY = {"any": True}
NAME = "ns[shop]-policy[pay]-rule[3]"
WEB = "cluster.local/ns/shop/sa/web"
ASKED: dict[str, Any] = {
    "principal": WEB, "port": 3000, "method": "GET", "path": "/api/x", "host": "pay.shop",
    "source_ip": "10.1.2.3", "remote_ip": "192.0.2.7", "destination_ip": "10.9.9.9", "sni": "a.example.com",
    "headers": {"x-team": "Red"},
}  # fmt: skip


def rules(
    *permissions: Any, action: str = "ALLOW", name: str = NAME, principals: Any = None
) -> dict[str, Any]:
    policy = {"permissions": list(permissions), "principals": [ANY] if principals is None else principals}
    return {"rules": {"action": action, "policies": {name: policy}}}


def decide(*configs: dict[str, Any], **changed: Any) -> tuple[str, str, int | None]:
    found = HeldAuthorization(configs).decide(Request(**{**ASKED, **changed}))
    return found.verdict, found.policy, found.rule


def permits(matcher: dict[str, Any], **changed: Any) -> str:
    return decide(rules(matcher), **changed)[0]


def is_caller(matcher: dict[str, Any], **changed: Any) -> str:
    return decide(rules(ANY, principals=[matcher]), **changed)[0]


def header(name: str, **kind: Any) -> dict[str, Any]:
    return {"header": {"name": name, **kind}}


def text(**kind: Any) -> dict[str, Any]:
    return {"string_match": kind}


STREAM = {"http": False, "method": "", "path": "", "host": "", "headers": {}}


@pytest.mark.parametrize(
    ("matcher", "asked", "verdict"),
    [
        (ANY, {}, ALLOW),
        ({"any": False}, {}, DENY),
        (header(":method", **text(exact="GET")), {}, ALLOW),
        (header(":method", **text(exact="GE")), {}, DENY),
        (header(":METHOD", **text(exact="GET")), {}, ALLOW),
        (header(":authority", **text(exact="PAY.shop", ignore_case=True)), {"host": "pay.SHOP"}, ALLOW),
        (header(":authority", **text(exact="PAY.shop")), {"host": "pay.SHOP"}, DENY),
        (header(":path", **text(prefix="/api")), {}, ALLOW),
        (header(":path", **text(suffix="/x")), {}, ALLOW),
        (header(":path", **text(suffix="/api")), {}, DENY),
        (header(":path", **text(prefix="/x")), {}, DENY),
        (header("x-team", **text(contains="e")), {}, ALLOW),
        (header("x-team", **text(contains="z")), {}, DENY),
        (header("x-team", **text(safe_regex={"regex": "R.d"})), {}, ALLOW),
        (header("x-team", **text(safe_regex={"regex": "R."})), {}, DENY),
        (header("x-team", **text(prefix="red", ignore_case=True)), {}, ALLOW),
        (header("x-team", **text(exact="Red"), invert_match=True), {}, DENY),
        (header("x-team", **text(exact="Blue"), invert_match=True), {}, ALLOW),
        (header("x-none", **text(exact="Red")), {}, DENY),
        (header("x-none", **text(exact="Red"), invert_match=True), {}, ALLOW),
        (header("x-team", present_match=True), {}, ALLOW),
        (header("x-none", present_match=True), {}, DENY),
        (header("x-none", present_match=False), {}, ALLOW),
        (header("x-team", present_match=False), {}, DENY),
        (header("x-team", range_match={"start": 1, "end": 2}), {}, UNKNOWN),
        (header("x-team", present_match=True), STREAM, DENY),
        ({"url_path": {"path": {"exact": "/api/x"}}}, {}, ALLOW),
        ({"url_path": {"path": {"prefix": "/other"}}}, {}, DENY),
        ({"url_path": {"path": {"prefix": ""}}}, STREAM, DENY),
        ({"uri_template": {"typed_config": {"path_template": "/api/*"}}}, {}, ALLOW),
        ({"uri_template": {"typed_config": {"path_template": "/*"}}}, {}, DENY),
        ({"uri_template": {"typed_config": {"path_template": "/**"}}}, {}, ALLOW),
        ({"uri_template": {"typed_config": {"path_template": "/a.i/*"}}}, {}, DENY),
        ({"uri_template": {"typed_config": {"path_template": "**"}}}, STREAM, DENY),
        ({"destination_port": 3000}, {}, ALLOW),
        ({"destination_port": 3001}, {}, DENY),
        ({"destination_ip": {"address_prefix": "10.9.0.0", "prefix_len": 16}}, {}, ALLOW),
        ({"destination_ip": {"address_prefix": "10.8.0.0", "prefix_len": 16}}, {}, DENY),
        ({"destination_ip": {"address_prefix": "10.9.1.1", "prefix_len": 16}}, {}, ALLOW),
        ({"destination_ip": {"address_prefix": "10.0.0.0", "prefix_len": 0}}, {}, ALLOW),
        ({"destination_ip": {"address_prefix": "10.9.0.0"}}, {"destination_ip": None}, UNKNOWN),
        ({"requested_server_name": {"exact": "a.example.com"}}, {}, ALLOW),
        ({"requested_server_name": {"exact": "b.example.com"}}, {}, DENY),
        ({"requested_server_name": {"exact": "b.example.com"}}, {"sni": None}, UNKNOWN),
        ({"metadata": {"filter": "of a filter that nobody sees"}}, {}, UNKNOWN),
        ({"and_rules": {"rules": [ANY, {"destination_port": 3000}]}}, {}, ALLOW),
        ({"and_rules": {"rules": [ANY, {"destination_port": 1}]}}, {}, DENY),
        ({"or_rules": {"rules": [{"destination_port": 1}, ANY]}}, {}, ALLOW),
        ({"or_rules": {"rules": [{"destination_port": 1}]}}, {}, DENY),
        ({"not_rule": {"destination_port": 1}}, {}, ALLOW),
        ({"not_rule": ANY}, {}, DENY),
        ({"not_rule": {"matcher": {}}}, {}, UNKNOWN),
        ({"and_rules": {"rules": [{"matcher": {}}, {"destination_port": 1}]}}, {}, DENY),
        ({"or_rules": {"rules": [{"matcher": {}}, {"destination_port": 1}]}}, {}, UNKNOWN),
    ],
)  # fmt: skip
def test_what_a_rule_permits(matcher: dict[str, Any], asked: dict[str, Any], verdict: str) -> None:
    assert permits(matcher, **asked) == verdict


def peer(**kind: Any) -> dict[str, Any]:
    return {"authenticated": {"principal_name": kind}}


def state(key: str = "io.istio.peer_principal", **kind: Any) -> dict[str, Any]:
    return {"filter_state": {"key": key, "string_match": kind}}


@pytest.mark.parametrize(
    ("matcher", "asked", "verdict"),
    [
        (peer(exact=f"spiffe://{WEB}"), {}, ALLOW),
        (peer(exact=WEB), {}, DENY),
        (peer(suffix="/sa/web"), {}, ALLOW),
        (peer(safe_regex={"regex": ".*/ns/shop/.*"}), {}, ALLOW),
        (peer(safe_regex={"regex": ".+"}), {"principal": ""}, DENY),
        ({"not_id": peer(exact=f"spiffe://{WEB}")}, {"principal": ""}, ALLOW),
        (state(exact=f"spiffe://{WEB}"), {}, ALLOW),
        (state(exact="spiffe://other"), {}, DENY),
        (state("another.key", exact=f"spiffe://{WEB}"), {}, UNKNOWN),
        (header("x-team", **text(exact="Red")), {}, ALLOW),
        ({"direct_remote_ip": {"address_prefix": "10.1.0.0", "prefix_len": 16}}, {}, ALLOW),
        ({"direct_remote_ip": {"address_prefix": "192.0.2.0", "prefix_len": 24}}, {}, DENY),
        ({"remote_ip": {"address_prefix": "192.0.2.0", "prefix_len": 24}}, {}, ALLOW),
        ({"remote_ip": {"address_prefix": "10.1.0.0", "prefix_len": 16}}, {}, DENY),
        ({"remote_ip": {"address_prefix": "10.1.0.0", "prefix_len": 16}}, {"remote_ip": None}, UNKNOWN),
        ({"metadata": {"filter": "envoy.filters.http.jwt_authn"}}, {}, DENY),  # it came without a token
        ({"metadata": {"filter": "envoy.filters.http.jwt_authn"}}, {"token": Token("i", "s")}, UNKNOWN),
        ({"source_ip": {"address_prefix": "10.1.0.0", "prefix_len": 16}}, {}, UNKNOWN),
        ({"and_ids": {"ids": [ANY, peer(suffix="web")]}}, {}, ALLOW),
        ({"or_ids": {"ids": [peer(suffix="x"), peer(suffix="y")]}}, {}, DENY),
    ],
)  # fmt: skip
def test_whom_a_rule_is_about(matcher: dict[str, Any], asked: dict[str, Any], verdict: str) -> None:
    assert is_caller(matcher, **asked) == verdict


UNSURE = {"matcher": {}}
NO = {"any": False}
PAY = "AuthorizationPolicy shop/pay"


def external(*permissions: Any) -> dict[str, Any]:
    name = f"istio-ext-authz-{NAME}"
    shadow = rules(*permissions, action="DENY", name=name)["rules"]
    return {"shadow_rules_stat_prefix": "istio_ext_authz_x_", "shadow_rules": shadow}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], (ALLOW, "", None)),
        ([{}], (ALLOW, "", None)),
        ([rules(ANY)], (ALLOW, PAY, 3)),
        ([rules(NO)], (DENY, "", None)),
        ([rules(UNSURE)], (UNKNOWN, PAY, 3)),
        ([rules(ANY, action="DENY")], (DENY, PAY, 3)),
        ([rules(NO, action="DENY")], (ALLOW, "", None)),
        ([rules(UNSURE, action="DENY")], (UNKNOWN, PAY, 3)),
        ([rules(ANY, action="LOG")], (ALLOW, "", None)),
        ([rules(NO, action="LOG")], (ALLOW, "", None)),
        ([rules(UNSURE, action="LOG")], (ALLOW, "", None)),
        # what one filter cannot tell, another one may refuse
        ([rules(UNSURE, action="DENY"), rules(NO)], (DENY, "", None)),
        ([rules(UNSURE, action="DENY"), rules(ANY)], (UNKNOWN, PAY, 3)),
        ([external(ANY), rules(ANY)], (UNKNOWN, PAY, 3)),
        ([external(ANY), rules(NO)], (DENY, "", None)),
        ([external(NO), rules(ANY)], (ALLOW, PAY, 3)),
        ([external(UNSURE)], (UNKNOWN, PAY, 3)),
        # other shadow rules are a dry run
        ([{"shadow_rules": rules(ANY, action="DENY")["rules"]}], (ALLOW, "", None)),
        # the first that leaves it open is named
        ([rules(UNSURE, action="DENY", name="ns[a]-policy[b]-rule[0]"), rules(UNSURE)],
         (UNKNOWN, "AuthorizationPolicy a/b", 0)),
        ([external(ANY), rules(UNSURE, action="DENY", name="x")], (UNKNOWN, PAY, 3)),
        # a name that istiod did not give is told as it is
        ([rules(ANY, action="DENY", name="by-hand")], (DENY, "by-hand", None)),
        # an action that is not written is Envoy's default
        ([{"rules": {"policies": {NAME: {"permissions": [ANY], "principals": [ANY]}}}}], (ALLOW, PAY, 3)),
        ([{"rules": {}}], (DENY, "", None)),
    ],
)  # fmt: skip
def test_filters_one_after_the_other(filters: list[dict[str, Any]], expected: tuple[str, str, int]) -> None:
    assert decide(*filters) == expected


def test_within_a_filter_a_sure_answer_comes_before_an_unsure_one() -> None:
    policies = {
        "a": {"permissions": [UNSURE], "principals": [ANY]},
        "b": {"permissions": [UNSURE], "principals": [ANY]},
        NAME: {"permissions": [ANY], "principals": [ANY]},
    }
    assert decide({"rules": {"action": "DENY", "policies": policies}}) == (DENY, PAY, 3)
    del policies[NAME]
    assert decide({"rules": {"action": "DENY", "policies": policies}}) == (UNKNOWN, "a", None)
    one_of = {"permissions": [NO, ANY], "principals": [NO, ANY]}
    assert decide({"rules": {"action": "DENY", "policies": {NAME: one_of}}}) == (DENY, PAY, 3)
    both = {"permissions": [ANY], "principals": [NO]}
    assert decide({"rules": {"action": "DENY", "policies": {NAME: both}}}) == (ALLOW, "", None)


@pytest.mark.parametrize("name", ["envoy.filters.http.rbac", "envoy.filters.network.rbac"])
def test_filters_of_a_chain(name: str) -> None:
    config = rules(NO)
    manager = {"name": "envoy.filters.network.http_connection_manager"}
    own = {"filters": [{"name": name, "typed_config": config}, {"name": "x", "typed_config": rules(ANY)}]}
    below = {
        "filters": [
            {
                **manager,
                "typed_config": {"http_filters": [{"name": name, "typed_config": config}, {"name": "x"}]},
            }
        ]
    }
    for chain in (own, below):
        held = held_authorization(chain)
        assert held.decide(Request(**ASKED)).verdict == DENY
        assert held.key == HeldAuthorization([config]).key
    assert held_authorization({}).key != held.key
    assert parses_requests(below)
    assert not parses_requests(own)
    assert not parses_requests({"filters": []})
