# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole tables: what becomes of every connection, and what every form of a value compares with."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security import (
    matching,
    tokens,
    transport,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.attachment import selects
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.destination_rules import (
    ClientMode,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.peer_authentication import (
    is_looser,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.pods import (
    read_pod,
    target_ports,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import (
    ALLOW,
    DENY,
    UNKNOWN,
    Request,
    Token,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.trust_domains import (
    domains_with_aliases,
    with_aliases,
)

from .test_authorization import ap, decide, operation, source
from .test_transport import pod

# -- connections ---------------------------------------------------------------------------------------------

INSISTS, DISABLES = (
    "the caller's DestinationRule says ISTIO_MUTUAL",
    "the caller's DestinationRule says DISABLE",
)
ONLY_MTLS = "and the server takes nothing but mutual TLS"
SAYS = "what the caller's DestinationRule says,"


def told(
    client: str | None, per_endpoint: str, server: str, service: str, *, able: bool, http: bool | None
) -> tuple[str, str]:
    """istio's rules as the comments of cluster_tls.go, mtls_checker.go and filterchain_options.go give them,
    written down anew: the caller's wish first, then what the endpoint can do, then what the port takes."""

    def plaintext(why: str) -> tuple[str, str]:
        return ("WILL_FAIL", f"{why}, {ONLY_MTLS}") if server == "STRICT" else ("PLAINTEXT", why)

    if client is None:
        return plaintext("the caller has no proxy")
    unknown = {
        "MUTUAL": "the caller brings certificates of its own",
        "TUNNEL": f"{SAYS} TUNNEL, is not known here",
    }
    if client in unknown:
        return "UNKNOWN", unknown[client]
    if client == "SIMPLE":
        if server == "STRICT":
            return "WILL_FAIL", "the caller's DestinationRule says SIMPLE, which shows no certificate"
        refused = server == "DISABLE" or (server == "PERMISSIVE" and http is True)
        if refused:
            return (
                "WILL_FAIL",
                "the caller's DestinationRule says SIMPLE, and no chain of the port takes that",
            )
        return "SIMPLE_TLS", "the caller's DestinationRule says SIMPLE"
    if client == "DISABLE":
        return plaintext(DISABLES)
    insists = client == "ISTIO_MUTUAL" or (per_endpoint == "ISTIO_MUTUAL" and service != "DISABLE")
    if insists:
        if server in ("STRICT", "PERMISSIVE"):
            return "MTLS", INSISTS
        return "WILL_FAIL", "the caller insists on mutual TLS, and no proxy takes it"
    if service == "DISABLE":
        return plaintext("the namespace's mode is DISABLE")
    if per_endpoint != "AUTO":
        return plaintext(f"a port entry without tls undoes {per_endpoint}")
    if not able or server == "DISABLE":
        return plaintext("the pod is not announced as able to take mutual TLS")
    if server == "":
        return "WILL_FAIL", "the caller uses mutual TLS, and the pod's proxy does not capture the port"
    return "MTLS", "mutual TLS by default"


CLIENTS = [
    None,
    *(
        ClientMode(mode, mode, f"DestinationRule a/{mode}")
        for mode in ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL", "TUNNEL")
    ),
    ClientMode("AUTO", "AUTO", ""),
    ClientMode("AUTO", "ISTIO_MUTUAL", "DestinationRule a/b"),
    ClientMode("AUTO", "DISABLE", "DestinationRule a/b"),
]


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_every_connection(client: ClientMode | None) -> None:
    for server, service, able, http in itertools.product(
        ("STRICT", "PERMISSIVE", "DISABLE", ""),
        ("STRICT", "PERMISSIVE", "DISABLE"),
        (True, False),
        (True, False, None),
    ):
        meshed = dataclasses.replace(read_pod(pod()), accepts_mtls=able, ambient=False)
        port = transport.ServerPort(meshed, 3000, server, "PeerAuthentication x" if server else "", http)
        found = transport.connect(client, port, service)
        mode, per_endpoint = (client.mode, client.per_endpoint) if client else (None, "")
        assert (found.verdict, found.reason) == told(
            mode, per_endpoint, server, service, able=able, http=http
        )
        assert found.accepts_plaintext is (server != "STRICT")
        decided = [client.decided] if client and client.decided else []
        assert list(found.decided) == decided + (["PeerAuthentication x"] if server else [])


def test_which_mode_asks_less_of_callers() -> None:
    order = ("STRICT", "PERMISSIVE", "DISABLE")
    for one, other in itertools.product(order, order):
        assert is_looser(one, other) is (order.index(one) > order.index(other))
        assert is_looser("NEW", one)
        assert not is_looser(one, "NEW")


def test_of_a_pod_in_ambient_mode_nothing_is_known() -> None:
    meshed = dataclasses.replace(read_pod(pod()), ambient=True)
    found = transport.connect(None, transport.ServerPort(meshed, 3000, "", "x"), "STRICT")
    assert (found.verdict, found.accepts_plaintext, found.decided) == ("UNKNOWN", False, ("x",))
    assert found.reason == "the pod is in ambient mode, which is not looked at"


# -- tokens --------------------------------------------------------------------------------------------------

ISSUER = "https://issuer/a"
WHO = Token(ISSUER, "me")


@pytest.mark.parametrize(
    ("pattern", "fits", "differs"),
    [
        ("*", [WHO, Token("i", "s")], [Token("i"), Token("", "s"), Token()]),
        ("*me", [WHO, Token("i", "xme"), Token("i", "me")], [Token("", "me"), Token("i", "mex")]),
        ("*/me", [WHO, Token("i", "me")], [Token("", "me"), Token("i", "xme"), Token("i", "m")]),
        ("*a/me", [WHO, Token("xa", "me")], [Token("b", "me"), Token("xa", "you")]),
        ("https*", [Token("https://x", "y"), Token("https", "y")], [Token("https://x"), Token("http", "y")]),
        (f"{ISSUER}/*", [WHO, Token(ISSUER, "x")], [Token(ISSUER), Token("i", "me")]),
        (f"{ISSUER}/m*", [WHO, Token(ISSUER, "m")], [Token(ISSUER, "x"), Token("i", "me")]),
        (f"{ISSUER}/me", [WHO], [Token(ISSUER, "m"), Token("i", "me"), Token(f"{ISSUER}/me")]),
        ("alone", [Token("alone")], [Token("alone", "x"), Token("", "alone")]),
    ],
)
def test_issuer_and_subject(pattern: str, fits: list[Token], differs: list[Token]) -> None:
    found = tokens.principal_match(pattern)
    assert [found(token) for token in (*fits, *differs)] == [True] * len(fits) + [False] * len(differs)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("request.auth.claims[a]", ("a",)),
        ("request.auth.claims[a][b]", ("a", "b")),
        ("request.auth.claims[]", ("",)),
        ("request.auth.claims[a.b-c]", ("a.b-c",)),
        ("request.auth.claims[a]b]", ("a]b",)),
        ("request.auth.claims[a[b]", ("a[b",)),
        ("request.auth.claims", ()),
        ("request.auth.claims[a", ()),
        ("request.auth.claimsa]", ()),
    ],
)
def test_names_of_claims(key: str, path: tuple[str, ...]) -> None:
    assert tokens.claim_path(key) == path


@pytest.mark.parametrize(
    ("key", "value", "token", "fits"),
    [
        ("request.auth.audiences", "a*", Token(audiences=("b", "ab")), True),
        ("request.auth.audiences", "a", Token(audiences=("b",)), False),
        ("request.auth.audiences", "*", Token(), False),
        ("request.auth.presenter", "a", Token(presenter="a"), True),
        ("request.auth.presenter", "*", Token(presenter=""), False),
        ("request.auth.presenter", "*a", Token(presenter="b"), False),
        ("request.auth.claims[x]", "a", Token(claims={("x",): ("b", "a")}), True),
        ("request.auth.claims[x]", "a", Token(claims={("y",): ("a",)}), False),
        ("request.auth.principal", "i/s", Token("i", "s"), True),
    ],
)
def test_a_condition_on_a_token(key: str, value: str, token: Token, fits: bool) -> None:
    test = tokens.token_test(key, value)
    assert test is not None
    assert test(Request("", 1, token=token)) is fits
    assert test(Request("", 1)) is False
    assert tokens.token_test("request.auth.claims[", "x") is None


# -- texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "fits", "differs"),
    [
        ("*", ["a", "*"], [""]),
        ("ab", ["ab"], ["a", "abc", "xab", "AB"]),
        ("ab*", ["ab", "abc"], ["a", "xab"]),
        ("*ab", ["ab", "xab"], ["abx", "b"]),
        ("a*b", ["a*b"], ["axb", "ab"]),
        ("*a*", ["a*", "xa*"], ["a", "xay"]),
    ],
)
def test_texts(pattern: str, fits: list[str], differs: list[str]) -> None:
    found = matching.text_match(pattern)
    assert [bool(found(text)) for text in (*fits, *differs)] == [True] * len(fits) + [False] * len(differs)
    folded = matching.text_match(pattern.upper(), ignore_case=True)
    assert all(folded(text) for text in fits)
    assert not any(folded(text) for text in differs if text != "AB")


@pytest.mark.parametrize(
    ("namespace", "identity", "fits"),
    [
        ("shop", "td/ns/shop/sa/a", True),
        ("shop", "td/ns/shopx/sa/a", False),
        ("sh*", "td/ns/shop/sa/a", True),
        ("*op", "td/ns/shop/sa/a", True),
        ("s*p", "td/ns/shop/sa/a", True),
        ("s.op", "td/ns/shop/sa/a", False),
        ("*", "td/ns/shop/sa/a", True),
        ("shop", "td/x/shop/sa/a", False),
        ("shop", "td/ns/shop", False),
    ],
)
def test_namespaces(namespace: str, identity: str, *, fits: bool) -> None:
    assert matching.namespace_match(namespace)(identity) is fits


@pytest.mark.parametrize(
    ("account", "identity", "fits"),
    [
        ("web", "td/ns/home/sa/web", True),
        ("web", "td/ns/shop/sa/web", False),
        ("shop/web", "td/ns/shop/sa/web", True),
        ("shop/web", "td/ns/home/sa/web", False),
        ("shop/web", "td/ns/shop/sa/webx", False),
        ("shop/web", "td/ns/shop/sa/web/x", True),
        ("shop/web", "td/ns/shop/x/sa/web", True),
        ("shop/w.b", "td/ns/shop/sa/web", False),
        ("s.op/web", "td/ns/shop/sa/web", False),
        ("shop/web", "/ns/shop/sa/web", False),
    ],
)
def test_accounts(account: str, identity: str, *, fits: bool) -> None:
    assert matching.account_match(account, "home")(identity) is fits


@pytest.mark.parametrize(
    ("pattern", "identity", "fits"),
    [
        ("*", "td/ns/a/sa/b", True),
        ("*", "", False),
        ("td", "td/ns/a/sa/b", True),
        ("td", "tdx/ns/a/sa/b", False),
        ("t*", "td/ns/a/sa/b", True),
        ("*d", "td/ns/a/sa/b", True),
        ("t*x", "td/ns/a/sa/x", False),
        ("t.", "td/ns/a/sa/b", False),
        ("*.example", "a.example/ns/a/sa/b", True),
        ("*.example", "axexample/ns/a/sa/b", False),
    ],
)
def test_trust_domains_as_a_field(pattern: str, identity: str, *, fits: bool) -> None:
    assert bool(matching.trust_domain_match(pattern)(identity)) is fits


@pytest.mark.parametrize(
    ("block", "inside", "outside"),
    [
        ("10.0.0.1", ["10.0.0.1"], ["10.0.0.2"]),
        ("10.0.0.9/30", ["10.0.0.8", "10.0.0.11"], ["10.0.0.12", "10.0.0.7"]),
        ("0.0.0.0/0", ["1.2.3.4"], []),
        ("::1", ["::1"], ["::2"]),
        ("2001:db8::/32", ["2001:db8::5"], ["2001:db9::1"]),
    ],
)
def test_addresses(block: str, inside: list[str], outside: list[str]) -> None:
    found = matching.address_match(block)
    assert [found(text) for text in (*inside, *outside)] == [True] * len(inside) + [False] * len(outside)


@pytest.mark.parametrize(
    "block", ["", "x", "10.0.0.0/255.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/", "/8"]
)
def test_what_go_takes_for_no_address(block: str) -> None:
    with pytest.raises(ValueError):
        matching.address_match(block)


# -- rules ---------------------------------------------------------------------------------------------------

HERE = {"source_ip": "10.0.0.1", "remote_ip": "10.0.0.1", "destination_ip": "10.0.0.1", "sni": "a"}


def when(key: str, *values: str, **more: Any) -> dict[str, Any]:
    return {"when": [{"key": key, "values": list(values), **more}]}


@pytest.mark.parametrize(
    ("key", "good", "other", "bad"),
    [
        ("source.ip", "10.0.0.0/8", "10.0.0.2", "x"),
        ("remote.ip", "10.0.0.1", "11.0.0.0/8", "10.0.0.0/99"),
        ("destination.ip", "10.0.0.1", "::1", ""),
        ("destination.port", "3000", "3001", "65536"),
        ("destination.port", "3000", "0", "http"),
        ("destination.port", "3000", "65535", "-1"),
    ],
)
def test_values_that_cannot_be_read_make_an_allow_vanish_and_leave_a_deny(
    key: str, good: str, other: str, bad: str
) -> None:
    for values, fits in (((good,), True), ((other,), False), ((other, good), True)):
        assert decide(ap(when(key, *values)), **HERE) == (ALLOW if fits else DENY)
        assert decide(ap(when(key, *values), action="DENY"), **HERE) == (DENY if fits else ALLOW)
    assert decide(ap(when(key, good, bad)), **HERE) == DENY  # the rule is dropped
    assert decide(ap(when(key, good, bad), action="DENY"), **HERE) == DENY  # without that value
    assert decide(ap(when(key, other, bad), action="DENY"), **HERE) == ALLOW
    assert decide(ap(when(key, bad), action="DENY"), **HERE) == DENY  # nothing is left that could differ
    assert decide(ap({"when": [{"key": key, "notValues": [good]}]}), **HERE) == DENY
    assert decide(ap({"when": [{"key": key, "notValues": [other]}]}), **HERE) == ALLOW


@pytest.mark.parametrize(
    ("key", "action", "verdict"),
    [
        # istiod reads the values of these as one list: one that cannot be read takes the others with it
        ("experimental.envoy.filters.a", "DENY", DENY),
        ("experimental.envoy.filters.a", "ALLOW", DENY),
        ("experimental.envoy.filters.a[b]", "DENY", UNKNOWN),
        ("experimental.envoy.filters.a[b]", "ALLOW", UNKNOWN),
        ("request.auth.claims[", "DENY", DENY),
        ("request.auth.claims[", "ALLOW", DENY),
        ("no.such", "DENY", ALLOW),
        ("no.such", "ALLOW", DENY),
        ("source.nothing", "DENY", ALLOW),
    ],
)
def test_keys_of_other_kinds(key: str, action: str, verdict: str) -> None:
    assert decide(ap(when(key, "x"), action=action), token=Token("i", "s")) == verdict


def test_a_deny_that_hangs_on_what_is_not_known_is_unknown_and_another_that_matches_decides() -> None:
    maybe = ap(when("connection.sni", "x"), action="DENY", name="maybe")
    assert decide(maybe) == UNKNOWN
    assert decide(maybe, ap({}, name="open")) == UNKNOWN
    assert decide(maybe, ap({}, action="DENY", name="sure")) == DENY
    assert decide(maybe, ap(name="nobody")) == DENY  # nothing lets it in anyway
    assert decide(maybe, sni="y") == ALLOW


def test_one_of_several_principals_is_enough_exact_or_not() -> None:
    exact = ["td/ns/a/sa/a", "td/ns/b/sa/b"]
    for named, who, fits in (
        (exact, "td/ns/b/sa/b", True),
        (exact, "td/ns/c/sa/c", False),
        ([*exact, "*/c"], "td/ns/c/sa/c", True),
        ([*exact, "*/c"], "td/ns/a/sa/a", True),
        (exact[:1], "td/ns/a/sa/a", True),
        (exact[:1], "td/ns/b/sa/b", False),
    ):
        assert decide(ap(source(principals=named)), domains=("td",), principal=who) == (
            ALLOW if fits else DENY
        )
        assert decide(ap(source(notPrincipals=named)), domains=("td",), principal=who) == (
            DENY if fits else ALLOW
        )


def test_every_part_of_a_rule_has_to_hold_and_one_of_its_entries_is_enough() -> None:
    both = {"from": [{"source": {"namespaces": ["a"]}}, {"source": {"namespaces": ["b"]}}],
            "to": [{"operation": {"methods": ["GET"]}}, {"operation": {"paths": ["/p"]}}],
            **when("request.headers[x]", "1")}  # fmt: skip
    good: dict[str, Any] = {
        "principal": "td/ns/b/sa/s",
        "method": "POST",
        "path": "/p",
        "headers": {"x": "1"},
    }
    assert decide(ap(both), **good) == ALLOW
    for change in ({"principal": "td/ns/c/sa/s"}, {"path": "/q"}, {"headers": {"x": "2"}}, {"headers": {}}):
        assert decide(ap(both), **{**good, **change}) == DENY
    assert decide(ap(both), **{**good, "method": "GET", "path": "/q"}) == ALLOW
    assert decide(ap(operation(hosts=["A.example"], notPorts=["1"])), host="a.EXAMPLE") == ALLOW
    assert decide(ap(operation(hosts=["A.example"], notPorts=["3000"])), host="a.EXAMPLE") == DENY


@pytest.mark.parametrize(
    ("value", "headers", "fits"),
    [
        ("*", {"x": ""}, True),
        ("*", {}, False),
        ("a*", {"x": "ab"}, True),
        ("a", {"x": "b"}, False),
        ("a", {"y": "a"}, False),
    ],
)
def test_headers(value: str, headers: dict[str, str], *, fits: bool) -> None:
    assert decide(ap(when("request.headers[X]", value)), headers=headers) == (ALLOW if fits else DENY)


def test_who_refuses_is_told_by_two_names_and_a_number() -> None:
    from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.authorization import (
        WorkloadPolicies,
    )

    def reason(number: int) -> str:
        policies = [ap(name=f"p{index}") for index in range(number)]
        return WorkloadPolicies(policies, ("td",)).decide(Request("td/ns/a/sa/b", 1)).reason

    assert reason(1) == "no rule of AuthorizationPolicy shop/p0 matches"
    assert reason(2) == "no rule of AuthorizationPolicy shop/p0, AuthorizationPolicy shop/p1 matches"
    assert (
        reason(4) == "no rule of AuthorizationPolicy shop/p0, AuthorizationPolicy shop/p1 and 2 more matches"
    )


# -- trust domains -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "domains", "found"),
    [
        ("cluster.local/ns/a/sa/b", ("td",), ["td/ns/a/sa/b"]),
        ("cluster.local/ns/a/sa/b", ("td", "old"), ["td/ns/a/sa/b", "old/ns/a/sa/b"]),
        ("td/ns/a/sa/b", ("td", "td"), ["td/ns/a/sa/b"]),
        ("*/ns/a/sa/b", ("td", "old"), ["*/ns/a/sa/b"]),
        ("x/ns/a/sa/b", ("td",), ["x/ns/a/sa/b"]),
        ("x/ns/a/sa/b", ("*",), ["*/ns/a/sa/b"]),
        ("td/*", ("td", "old"), ["td/*"]),
        ("td/ns/a/sa/b/c", ("td", "old"), ["td/ns/a/sa/b/c"]),
        ("t*/ns/a/sa/b", ("td", "old"), ["td/ns/a/sa/b", "old/ns/a/sa/b"]),
        ("*d/ns/a/sa/b", ("td", "old"), ["*d/ns/a/sa/b"]),
        ("*e/ns/a/sa/b", ("td", "old"), ["*e/ns/a/sa/b"]),
        ("*d/ns/a/sa/b", ("td", "new"), ["*d/ns/a/sa/b", "new/ns/a/sa/b"]),
        ("tx/ns/a/sa/b", ("t*",), ["t*/ns/a/sa/b"]),
        ("xt/ns/a/sa/b", ("*t",), ["*t/ns/a/sa/b"]),
    ],
)
def test_principals_of_a_mesh_with_several_domains(
    principal: str, domains: tuple[str, ...], found: list[str]
) -> None:
    """istio pilot/pkg/security/trustdomain/bundle.go, ReplaceTrustDomainAliases."""
    assert with_aliases([principal], domains) == found


def test_domains_stand_for_each_other_once_one_is_named() -> None:
    assert domains_with_aliases(["x", "td"], ("td", "old")) == ["x", "td", "old"]
    assert domains_with_aliases(["td", "old"], ("td", "old")) == ["td", "old"]
    assert domains_with_aliases(["x"], ("td",)) == ["x"]


# -- pods ----------------------------------------------------------------------------------------------------


def target(**more: Any) -> dict[str, Any]:
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw", **more}


NAMED = {"gateway.networking.k8s.io/gateway-name": "gw"}


@pytest.mark.parametrize(
    ("namespace", "spec", "labels", "about"),
    [
        ("shop", {}, {}, True),
        ("root", {}, {}, True),
        ("other", {}, {}, False),
        ("shop", {"selector": {"matchLabels": {"a": "1"}}}, {"a": "1", "b": "2"}, True),
        ("shop", {"selector": {"matchLabels": {"a": "1"}}}, {"a": "2"}, False),
        ("root", {"selector": {"matchLabels": {"a": "1"}}}, {"a": "1"}, True),
        ("shop", {"workloadSelector": {"labels": {"a": "1"}}}, {"a": "1"}, True),
        ("shop", {"workloadSelector": {"labels": {"a": "1"}}}, {}, False),
        ("shop", {"targetRef": target()}, NAMED, True),
        ("shop", {"targetRefs": [target(name="x"), target()]}, NAMED, True),
        ("shop", {"targetRefs": [target(name="x")]}, NAMED, False),
        ("shop", {"targetRefs": [target(kind="Service")]}, NAMED, False),
        ("shop", {"targetRefs": [target(group="")]}, NAMED, False),
        ("shop", {"targetRefs": [target(namespace="shop")]}, NAMED, True),
        ("shop", {"targetRefs": [target(namespace="other")]}, NAMED, False),
        ("root", {"targetRefs": [target()]}, NAMED, False),
        ("shop", {"targetRefs": [target()], "selector": {"matchLabels": {"a": "1"}}}, {"a": "1"}, False),
    ],
)  # fmt: skip
def test_which_pods_an_object_is_about(
    namespace: str, spec: Any, labels: dict[str, str], *, about: bool
) -> None:
    obj = {"metadata": {"namespace": namespace}, "spec": spec}
    assert selects(obj, "shop", labels, "root") is about


def test_ports_behind_a_service_are_those_of_its_pods() -> None:
    containers = [{"ports": [{"name": "web", "containerPort": 8080}, {"name": "x", "containerPort": 1}]}]
    service = {
        "spec": {
            "ports": [
                {"port": 80, "targetPort": "web"},
                {"port": 81, "targetPort": 8080, "name": "second"},
                {"port": 82},
                {"port": 83, "targetPort": "gone"},
                {"port": 84, "protocol": "UDP"},
                {"port": 85, "protocol": "TCP"},
            ]
        }
    }
    found = target_ports(service, {"spec": {"containers": containers}})
    assert {number: entry["port"] for number, entry in found.items()} == {8080: 80, 82: 82, 85: 85}


@pytest.mark.parametrize(
    ("change", "meshed", "able"),
    [
        ({}, True, True),
        ({"spec": {"hostNetwork": True, "containers": [{"name": "istio-proxy"}]}}, False, False),
        ({"spec": {"hostNetwork": False, "containers": [{"name": "istio-proxy"}]}}, True, True),
        ({"spec": {"initContainers": [{"name": "istio-proxy"}]}}, True, True),
        ({"spec": {"containers": [{"name": "app"}]}}, False, False),
        ({"metadata": {"labels": {"security.istio.io/tlsMode": "disabled"}}}, True, False),
        ({"metadata": {"labels": {}}}, True, False),  # somebody took the injector's label away
    ],
)
def test_whether_a_pod_takes_mutual_tls(change: dict[str, Any], *, meshed: bool, able: bool) -> None:
    found = read_pod(
        {
            "metadata": {"name": "a", "labels": {"security.istio.io/tlsMode": "istio"}},
            "spec": {"containers": [{"name": "istio-proxy"}]},
            **change,
        }
    )
    assert (found.meshed, found.accepts_mtls) == (meshed, able)
