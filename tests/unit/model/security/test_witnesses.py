"""No boundary that policies draw is missed: every answer that anything can get, one of the witnesses gets."""

from __future__ import annotations

import ipaddress
import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import ANONYMOUS, Edge
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security import (
    classes,
    truth,
    witnesses,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.classes import (
    WorkloadPort,
    trials,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.matching import (
    account_match,
    namespace_match,
    text_match,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import (
    ALLOW,
    DENY,
    Request,
    Token,
)

from .test_authorization import ap, decide, decide_request, operation, source

WORD = witnesses.FILLERS[0]
Answers = tuple[bool, ...]


def answers(tests: Sequence[Callable[[Any], bool]], things: Iterable[Any]) -> set[Answers]:
    return {tuple(test(thing) for test in tests) for thing in things}


def test_addresses_show_every_answer_of_blocks_in_and_beside_each_other() -> None:
    dice = random.Random(3)
    everything = [ipaddress.ip_address(f"10.0.0.{last}") for last in range(256)]
    everything += [ipaddress.ip_address(text) for text in ("0.0.0.0", "255.255.255.255", "::", "fd00::1")]  # noqa: S104 - asked about only
    for _turn in range(200):
        blocks = [
            f"10.0.0.{dice.randrange(0, 256, 2 ** (32 - size))}/{size}"
            for size in dice.choices(range(24, 33), k=dice.randint(1, 4))
        ]
        networks = [ipaddress.ip_network(block) for block in blocks]
        tests = [lambda address, network=network: address in network for network in networks]
        shown = [ipaddress.ip_address(str(text)) for text in witnesses.addresses(blocks)]
        assert answers(tests, everything) <= answers(tests, shown), blocks


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([], [None]),
        (["no address", "10.0.0.0/255.0.0.0"], [None]),
        (["10.0.0.1"], ["10.0.0.1", "10.0.0.0", "10.0.0.2", *witnesses.ANYWHERE]),
        (["10.0.0.9/30"], ["10.0.0.8", "10.0.0.7", "10.0.0.12", *witnesses.ANYWHERE]),
        (["x", "0.0.0.0/0"], ["0.0.0.0", *witnesses.ANYWHERE]),  # noqa: S104 - asked about only
        (["0.0.0.0/1"], ["0.0.0.0", "128.0.0.0", *witnesses.ANYWHERE]),  # noqa: S104 - asked about only
        (["255.255.255.255"], ["255.255.255.255", "255.255.255.254", *witnesses.ANYWHERE]),
        (["::/0"], ["::", *witnesses.ANYWHERE]),
        (["ffff::/16"], ["ffff::", f"fffe{':ffff' * 7}", *witnesses.ANYWHERE]),
        (["192.0.2.1", "192.0.2.2"], ["192.0.2.1", "192.0.2.0", "192.0.2.2", "192.0.2.3", "2001:db8::1"]),
    ],
)
def test_addresses_at_the_ends(blocks: list[str], expected: list[str | None]) -> None:
    assert witnesses.addresses(blocks) == expected


def fits(template: str, path: str) -> bool:
    """Envoy's path templates and Istio's texts, segment by segment: the oracle of the paths."""
    if "{" not in template:
        if template == "*":
            return bool(path)
        if template.startswith("*"):
            return path.endswith(template[1:])
        return path.startswith(template[:-1]) if template.endswith("*") else path == template
    wanted, given = template.split("/"), path.split("/")
    if wanted[-1] == "{**}":
        wanted, given = wanted[:-1], given[: len(wanted) - 1]
        if len(path.split("/")) <= len(wanted):
            return False
    return len(wanted) == len(given) and all(
        (part and item == "{*}") or item == part for item, part in zip(wanted, given, strict=True)
    )


def test_paths_show_every_answer_of_templates_prefixes_and_suffixes() -> None:
    dice = random.Random(5)
    segments = ["a", "b", "z"]
    everything = [
        "/",
        *("/" + "/".join(s) for n in (1, 2, 3, 4) for s in itertools.product(segments, repeat=n)),
    ]
    for _turn in range(80):
        parts = [
            dice.choices(["a", "b", "{*}"], k=dice.randint(1, 3)) for _number in range(dice.randint(1, 2))
        ]
        patterns = ["/" + "/".join([*part, *dice.choice([[], [], ["{**}"]])]) for part in parts]
        patterns += dice.sample(["/a", "/a*", "/b/*", "*/a", "*"], dice.randint(0, 2))
        tests = [lambda path, pattern=pattern: fits(pattern, path) for pattern in patterns]
        shown = witnesses.paths(patterns)
        for alone in tests:  # both answers of each pattern that has two
            assert answers([alone], everything) <= answers([alone], shown), patterns


@pytest.mark.parametrize(
    ("patterns", "word"),
    [
        ([], "elsewhere"),
        (["x"], "elsewhere"),
        (["/elsewhere/*"], "elsewhere1"),
        (["elsewhere1"], "elsewhere2"),
        (["elsewhere2", "elsewhere1"], "elsewhere3"),
        (["elsewhere3x", "elsewhere2", "elsewhere1"], "elsewhere4"),
        (["else", "where"], "elsewhere"),
    ],
)
def test_a_word_that_no_pattern_knows(patterns: list[str], word: str) -> None:
    assert witnesses.filler(patterns) == word


def test_there_is_always_such_a_word() -> None:
    for patterns in (list(witnesses.FILLERS), [*witnesses.FILLERS, "elsewhere" + "0" * 30]):
        word = witnesses.filler(patterns)
        assert not any(word in pattern for pattern in patterns)
        assert word.startswith(WORD)  # by which a report knows that it stands for all others


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([], ["GET"]),
        (["POST"], ["POST", "GET"]),
        (["GET"], ["GET", "POST"]),
        (["GET", "POST"], ["GET", "POST", "PUT"]),
        (
            ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"],
            ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "BREW"],
        ),
        (["P*"], ["Pelsewhere", "elsewhere", "GET"]),
        (["*"], ["elsewhere", "GET"]),
        (["GET", "*T"], ["GET", "elsewhere", "elsewhereT", "POST"]),
    ],
)
def test_methods(named: list[str], expected: list[str]) -> None:
    found = classes.methods(named)
    assert sorted(found) == sorted(expected)
    assert found[-1] == expected[-1]


HTTP = WorkloadPort(3000, http=True, tcp=False, plaintext=True)
TCP = WorkloadPort(5432, http=False, tcp=True, plaintext=True)


def tried(
    *policies: dict[str, Any], ports: Sequence[WorkloadPort] = (HTTP,), **more: Any
) -> tuple[Request, ...]:
    given = {"namespace": "shop", "trust_domains": ["cluster.local"], **more}
    return trials(policies, [], ports, **given).requests


def when(key: str, *values: str) -> dict[str, Any]:
    return {"when": [{"key": key, "values": list(values)}]}


@pytest.mark.parametrize(
    ("rule", "read", "values"),
    [
        (when("connection.sni", "a.example", "*.b.example"), "sni",
         {"", "a.example", f"{WORD}.b.example", WORD}),
        (when("request.headers[X-Team]", "red"), "headers", {("red",), (WORD,), ()}),
        ({"when": [{"key": f"request.headers[{name}]", "values": [value]} for name, value in
                   (("X-Team", "red"), ("x-team", "blue"))]}, "headers", {("red",), ("blue",), (WORD,), ()}),
        (operation(hosts=["pay.shop"]), "host", {"pay.shop", WORD}),
        (operation(methods=["POST"]), "method", {"POST", "GET"}),
        (operation(paths=["/a"]), "path", {"/a", f"/{WORD}"}),
        (operation(paths=["/a?b=*", "/c#d", "/e"]), "path", {"/e", f"/{WORD}"}),
        (source(ipBlocks=["10.0.0.0/8"]), "source_ip",
         {"10.0.0.0", "9.255.255.255", "11.0.0.0", *witnesses.ANYWHERE}),
        (source(remoteIpBlocks=["::1"]), "remote_ip", {"::1", "::", "::2", *witnesses.ANYWHERE}),
        (source(notNamespaces=["ops"]), "principal",
         {"", *(f"cluster.local/ns/{place}/sa/{name}"
                for place in ("ops", "shop", WORD) for name in ("default", WORD))}),
        (when("request.auth.audiences", "shop"), "token", {None}),
    ],
)  # fmt: skip
def test_what_a_policy_names_is_tried_with_and_without(
    rule: dict[str, Any], read: str, values: set[Any]
) -> None:
    found = {
        getattr(request, read) if read != "headers" else tuple(request.headers.values())
        for request in tried(ap(rule))
    }
    assert found == values


def test_what_no_policy_names_is_left_open() -> None:
    (nobody, *strangers) = tried(ap({}))
    assert (nobody.principal, nobody.sni, nobody.source_ip, nobody.token, nobody.headers) == (
        "",
        None,
        None,
        None,
        {},
    )
    assert {request.principal for request in strangers} == {
        f"cluster.local/ns/{place}/sa/{WORD}" for place in ("shop", WORD)
    }


def test_tokens_are_tried_where_something_validates_them() -> None:
    rules = [
        when("request.auth.principal", "https://issuer/a/me"),
        when("request.auth.principal", "alone"),
        when("request.auth.principal", "*/you"),
        when("request.auth.audiences", "bank"),
        when("request.auth.presenter", "app"),
        when("request.auth.claims[groups][x]", "ops"),
    ]
    found = [request.token for request in tried(ap(*rules), issuers=None) if not request.principal]
    assert None in found
    told = [token for token in found if token is not None]
    assert {(token.issuer, token.subject) for token in told} == {
        ("https://elsewhere.example", WORD), ("https://issuer/a", "me"), ("alone", WORD), (WORD, "you"),
    }  # fmt: skip
    assert {token.audiences for token in told} == {(), ("bank",), (WORD,), ("bank", WORD)}
    assert {token.presenter for token in told} == {"", "app", WORD}
    claims = [dict(token.claims) for token in told]
    assert all(item in claims for item in ({}, *({("groups", "x"): (text,)} for text in (WORD, "ops"))))
    assert Token("https://issuer/a", "me") in told
    assert Token("https://issuer/a", "me", ("bank",), "app", {("groups", "x"): ("ops",)}) in told


def test_what_is_asked_of_several_parts_of_a_token_is_tried_together() -> None:
    rule = {
        **source(requestPrincipals=["https://issuer/*"]),
        "when": [
            {"key": "request.auth.claims[groups]", "values": ["ops"]},
            {"key": "request.auth.claims[level]", "values": ["9"]},
        ],
    }
    assert any(decide_request(ap(rule), request) == ALLOW for request in tried(ap(rule), issuers=None))


@pytest.mark.parametrize(
    "rule",
    [
        source(requestPrincipals=["*@example.com"]),
        source(requestPrincipals=["https:*"]),
        {"when": [{"key": "request.auth.claims[groups]", "values": [name]} for name in ("ops", "leads")]},
    ],
)
def test_a_suffix_is_one_of_the_subject_and_a_claim_may_have_several_values(rule: dict[str, Any]) -> None:
    """Of a principal without a slash the end of the issuer was tried, of a list one entry at a time."""
    assert any(decide_request(ap(rule), request) == ALLOW for request in tried(ap(rule), issuers=None))


def test_tokens_are_those_of_issuers_that_something_trusts() -> None:
    rule = source(requestPrincipals=["https://old.example/*"])
    for known, lets_in in ((["https://old.example"], True), (["https://new.example"], False), ([], False)):
        requests = tried(ap(rule), issuers=known)
        assert any(decide_request(ap(rule), request) == ALLOW for request in requests) is lets_in
    plain = tried(ap(source(namespaces=["shop"])), issuers=None)
    assert {request.token for request in plain} == {None}


def test_no_more_tokens_are_tried_than_the_limit_allows() -> None:
    rules = [when(f"request.auth.claims[c{number}]", "a", "b") for number in range(6)]
    given = {"namespace": "shop", "trust_domains": ["cluster.local"], "issuers": None, "limit": 100}
    found = trials([ap(*rules)], [], [HTTP], **given)
    assert not found.complete
    assert len(found.requests) <= 100


def test_ports_that_rules_name() -> None:
    rules = [
        operation(ports=["9090", "70000", "x"]),
        operation(notPorts=["81"]),
        when("destination.port", "7"),
    ]
    assert classes.named_ports([ap(*rules), ap(operation(ports=["5"]), action="AUDIT")]) == [7, 81, 9090]
    assert classes.named_ports([ap(operation(ports=["0", "65535"]))]) == []


def test_streams_are_tried_by_the_addresses_and_names_that_policies_know() -> None:
    named = ap(source(ipBlocks=["10.0.0.1"]), when("connection.sni", "a.example"))
    found = tried(named, ports=[TCP])
    assert {request.source_ip for request in found} == {
        "10.0.0.1",
        "10.0.0.0",
        "10.0.0.2",
        *witnesses.ANYWHERE,
    }
    assert {request.sni for request in found} == {"", "a.example", WORD}
    assert {(request.http, request.method, request.path) for request in found} == {(False, "", "")}
    assert all(request.remote_ip == request.source_ip for request in found)
    assert {request.source_ip for request in tried(ap({}), ports=[TCP])} == {None}


@pytest.mark.parametrize(
    ("port", "nobody", "somebody"),
    [
        (WorkloadPort(1, http=True, tcp=False, plaintext=True, mtls=True), True, True),
        (WorkloadPort(1, http=True, tcp=False, plaintext=False, mtls=True), False, True),
        (WorkloadPort(1, http=False, tcp=True, plaintext=True, mtls=False), True, False),
        (WorkloadPort(1, http=False, tcp=True, plaintext=False, mtls=True), False, True),
    ],
)
def test_who_can_connect_is_tried(port: WorkloadPort, *, nobody: bool, somebody: bool) -> None:
    callers = [request.principal for request in tried(ap({}), ports=[port])]
    assert ("" in callers, any(callers)) == (nobody, somebody)


def headers(number: int) -> list[dict[str, Any]]:
    return [when(f"request.headers[h{index}]", "a") for index in range(number)]


def test_as_many_conditions_as_the_limit_allows_are_tried_each_with_each_other() -> None:
    rules = [*headers(3), operation(methods=["POST"], paths=["/a"])]
    callers = len({request.principal for request in tried(ap({}))})
    every = 3**3 * 2 * 2  # each header absent, a, or another; two methods, two paths
    given = {"namespace": "shop", "trust_domains": ["cluster.local"]}
    exact = trials([ap(*rules)], [], [HTTP], limit=every * callers, **given)
    assert (exact.complete, len(exact.requests)) == (True, every * callers)
    fewer = trials([ap(*rules)], [], [HTTP], limit=every * callers - 1, **given)
    assert not fewer.complete
    alone = {tuple(sorted(request.headers.items())) for request in fewer.requests}
    assert {(("h0", "a"),), (("h1", "a"),), (("h2", "a"),), ()} <= alone
    assert {(r.method, r.path) for r in fewer.requests} == {
        (m, p) for m in ("POST", "GET") for p in ("/a", f"/{WORD}")
    }
    assert trials([ap(*rules)], [], [HTTP], limit=callers, **given).requests
    few = trials([ap(*rules)], [], [HTTP], limit=10 * callers, **given)
    assert len(few.requests) == 10 * callers


IDENTITY = "cluster.local/ns/shop/sa/web"


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        (operation(hosts=[IDENTITY]), {"host": "{}"}),
        (operation(paths=[f"/{IDENTITY}", IDENTITY]), {"path": "{}"}),
        (operation(methods=[IDENTITY]), {"method": "{}"}),
        (when("request.headers[x]", IDENTITY), {"headers": {"x": "{}"}}),
        (when("connection.sni", IDENTITY), {"sni": "{}"}),
        (when("request.auth.presenter", IDENTITY), {"token": "{}"}),
    ],
)
def test_only_principals_have_aliases(rule: dict[str, Any], asked: dict[str, Any]) -> None:
    """A host or a header that is spelled like an identity is only itself."""

    def filled(domain: str) -> dict[str, Any]:
        text = IDENTITY.replace("cluster.local", domain)
        value = next(iter(asked.values()))
        name = next(iter(asked))
        if name == "token":
            return {name: Token("i", "s", presenter=text)}
        return {name: {"x": text} if isinstance(value, dict) else text}

    domains = ("cluster.local", "old")
    assert decide(ap(rule), domains=domains, **filled("cluster.local")) == ALLOW
    assert decide(ap(rule), domains=domains, **filled("old")) == DENY
    principal = ap(source(principals=[IDENTITY]))
    assert decide(principal, domains=domains, principal=IDENTITY.replace("cluster.local", "old")) == ALLOW


@pytest.mark.parametrize(
    ("parts", "every", "some"),
    [
        ((), True, False),
        ((True,), True, True),
        ((False,), False, False),
        ((None,), None, None),
        ((True, None), None, True),
        ((None, True), None, True),
        ((False, None), False, None),
        ((None, False), False, None),
        ((True, False), False, True),
        ((None, True, False), False, True),
    ],
)
def test_what_is_unknown_stays_unknown_unless_another_part_decides(
    parts: tuple[truth.Truth, ...], every: truth.Truth, some: truth.Truth
) -> None:
    assert truth.all_of(parts) is every
    assert truth.any_of(parts) is some
    opposite = tuple(truth.negated(part) for part in parts)
    assert truth.negated(truth.any_of(opposite)) is every  # De Morgan


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (operation(hosts=["cluster.local"]), "host"),
        (operation(methods=["cluster.local"]), "method"),
        (operation(paths=["cluster.local"]), "path"),
        (when("connection.sni", "cluster.local"), "sni"),
    ],
)
def test_only_trust_domains_stand_for_each_other(rule: dict[str, Any], name: str) -> None:
    domains = ("cluster.local", "old")
    assert decide(ap(rule), domains=domains, **{name: "cluster.local"}) == ALLOW
    assert decide(ap(rule), domains=domains, **{name: "old"}) == DENY
    named = ap(source(trustDomains=["cluster.local"]))
    assert decide(named, domains=domains, principal="old/ns/shop/sa/web") == ALLOW


@pytest.mark.parametrize(
    "key", ["request.headers", "request.headersx", "request.headers[x", "request.auth.claims"]
)
def test_a_key_that_names_nothing_makes_an_allow_vanish_and_is_left_out_of_a_deny(key: str) -> None:
    asked: dict[str, Any] = {"headers": {"x": "a"}, "token": Token("i", "s")}
    assert decide(ap(when(key, "a")), **asked) == DENY
    both = {**when(key, "a"), **source(namespaces=["other"])}
    assert decide(ap(both, action="DENY"), **asked) == DENY  # what is left of it matches


PRINCIPALS = [
    "*",
    "cluster.local/*",
    "cluster.local/ns/shop/sa/web",
    "cluster.local/ns/shop/sa/*",
    "*/sa/x",
    "*/ns/other/sa/x",
    "*web",
    "cluster.local/ns/o*",
    "cluster.local/ns/shop/sa/w*",
    "*/ops/sa/y",
    "*p/sa/z",
    "cluster.local/ns/*",
]


@pytest.mark.parametrize("pattern", PRINCIPALS)
def test_each_pattern_of_principals_has_callers_that_fit_and_callers_that_do_not(pattern: str) -> None:
    """As far as identities of the mesh can."""
    fit = text_match(pattern)
    places, names = ("shop", "other", "ops", "op", "o1", "any"), ("web", "x", "y", "z", "w1", "default")
    everything = [f"cluster.local/ns/{place}/sa/{name}" for place in places for name in names]
    shown = witnesses.principals([pattern], (), (), ["cluster.local"], "home")
    assert shown[0] == ""
    assert answers([fit], everything) <= answers([fit], shown)


@pytest.mark.parametrize(
    ("namespace", "account"), [("o*", ""), ("*p", ""), ("o.p", ""), ("", "web"), ("", "other/x")]
)
def test_namespaces_and_accounts_have_callers_that_fit_and_callers_that_do_not(
    namespace: str, account: str
) -> None:
    shown = witnesses.principals(
        (), [namespace] if namespace else (), [account] if account else (), ["td"], "home"
    )
    fit = namespace_match(namespace) if namespace else account_match(account, "home")
    assert answers([fit], filter(None, shown)) == {(True,), (False,)}


def test_what_the_catalogue_names_is_tried_too() -> None:
    given: dict[str, Any] = {"namespace": "shop", "trust_domains": ["cluster.local"]}

    def requests(*edges: Edge) -> tuple[Request, ...]:
        return trials([], edges, [HTTP], **given).requests

    far = "cluster.local/ns/far/sa/away"
    plain = {request.principal for request in requests()}
    edge = Edge(far, ("PUT",), ("/far",), (3000,), "caller", "far/away", ("10.9.0.0/16",))
    found = requests(edge)
    assert {request.principal for request in found} == plain | {far}
    assert {"PUT"} < {request.method for request in found}
    assert {"/far"} < {request.path for request in found}
    assert {str(request.source_ip).startswith("10.9.") for request in found} == {True, False}
    everybody = Edge(ANONYMOUS, (), (), (3000,), "anyone", "anyone")
    assert {request.principal for request in requests(everybody)} == plain


def test_an_account_without_a_namespace_is_one_of_the_policys() -> None:
    rule = source(serviceAccounts=["web", "other/x"], namespaces=["web"], notPrincipals=["web"])
    assert classes.values_of([ap(rule, when("source.serviceAccount", "late"))]) == {
        "source.serviceAccount": {"shop/web", "other/x", "shop/late"},
        "source.namespace": {"web"},
        "source.principal": {"web"},
    }
