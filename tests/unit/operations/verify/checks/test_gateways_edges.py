# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways: every sentence about an answer, how often is asked, and what is behind a host."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import Answer
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.handshake import (
    Presented,
    UnreachableError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import channels
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.gateways import (
    GatewayFacts,
    check_gateway,
    judge_gateway_call,
    planned_calls,
)

from ....support.clock import FakeClock
from ..builders import service
from .test_gateways import (
    EXPOSURE,
    FACTS,
    GATE,
    GOOD,
    MESH,
    REDIRECT,
    STREAM,
    UPSTREAM,
    Channel,
    exposed,
    gateway_of,
    planned,
    results,
)

HOME = "https://api.example.com/"
NOT_MOVED = "not a redirect to HTTPS"
ACCEPTED = "a certificate that clients accept was served, from a test, but"
ENDS = "TLS ends at the gateway"
EVERY = "the gateway takes every connection"
ONLY = "only a client of the protocol"
LOST = Answer(0, {}, "", 56, "curl: (56) reset")


def moved(code: int) -> Answer:
    return Answer(code, {"location": HOME}, "", 0)


@pytest.mark.parametrize(
    ("call", "answer", "said"),
    [
        *((REDIRECT, moved(code), f"pass: {code} to {HOME}") for code in (301, 302, 307, 308)),
        *((REDIRECT, moved(code), f"fail: answered {code}, {NOT_MOVED}") for code in (200, 303, 304, 309)),
        (REDIRECT, LOST, "cannot tell: no answer from here: curl: (56) reset"),
        (
            EXPOSURE,
            Answer(403, UPSTREAM, "RBAC: access denied", 0),
            "fail: shop/web refuses the gateway with 403 RBAC: access denied",
        ),
        (
            EXPOSURE,
            Answer(403, {}, "RBAC: access denied", 0),
            "fail: 403 RBAC: access denied, of a policy at the gateway (or of shop/web, where Envoy's "
            "headers are hidden)",
        ),
        (EXPOSURE, Answer(200, UPSTREAM, "hello", 0), "pass: 200 from shop/web, from here"),
        (EXPOSURE, Answer(404, {}, "", 0), "fail: 404 by the gateway itself: it has no route to shop/web"),
        (EXPOSURE, Answer(503, {}, "", 0), "fail: 503 by the gateway itself, nothing from shop/web"),
        (EXPOSURE, Answer(426, {}, "", 0), "fail: 426 by the gateway itself, nothing from shop/web"),
        (EXPOSURE, LOST, "cannot tell: no answer of shop/web from here: curl: (56) reset"),
    ],
)  # fmt: skip
def test_what_is_said_of_an_answer(call: Any, answer: Answer, said: str) -> None:
    found = judge_gateway_call(call, answer, "from here")
    assert f"{found.verdict}: {found.message}" == said
    scheme = "http" if call is REDIRECT else "https"
    assert (found.check, found.subject) == ("gateways", f"public GET {scheme}://api.example.com/")


def test_a_body_of_somebody_else_is_no_proof_of_the_gateway() -> None:
    """A 404 with a body may be the service's own behind a filter that takes the header away."""
    found = judge_gateway_call(EXPOSURE, Answer(404, {}, "<html>", 0), "from here")
    assert found.verdict == "cannot tell"


@pytest.mark.parametrize("lost", range(5))
def test_what_is_lost_is_asked_three_times_with_a_pause(lost: int) -> None:
    channel = Channel(Presented("", fingerprint="aa"), [GOOD[0], *[LOST] * lost, GOOD[1]])
    clock = FakeClock()
    begun = clock.time
    found = check_gateway(MESH, GATE, planned(), [channel], FACTS, clock)
    verdicts = [one.verdict for one in found.findings]
    assert verdicts == ["pass", "pass", "pass" if lost < 3 else "cannot tell"]
    assert channel.sent == min(lost + 1, 3)
    assert clock.time - begun == pytest.approx(min(lost, 2))
    assert [one[0].key for one in found.answered] == (["shop/web"] if lost < 3 else [])


def test_what_has_failed_is_not_asked_again() -> None:
    channel = Channel(Presented("", fingerprint="aa"), [Answer(200, {}, "", 0), Answer(404, {}, "", 0)])
    found = check_gateway(MESH, GATE, planned(), [channel], FACTS, FakeClock())
    assert [one.verdict for one in found.findings] == ["pass", "fail", "fail"]
    assert (channel.sent, found.reached, found.answered) == (1, frozenset(), ())


def test_why_no_way_in_worked_is_told_for_every_host() -> None:
    mesh = gateway_of({"host": "a.example.org"}, {"host": "b.example.org"}, services=[service("web")])
    ways = [Channel(None), Channel(None)]
    ways[1].name = "from a probe"

    def told(*through: Channel, why: str = "") -> list[str]:
        gate = mesh.gateways[0]
        dead = [Channel(None) for _one in through]
        for one, given in zip(dead, through, strict=True):
            one.name = given.name
            one.send = one.handshake
        calls = [dataclasses.replace(EXPOSURE, gateway=gate, server=server) for server in gate.servers]
        found = check_gateway(mesh, gate, calls, dead, FACTS, FakeClock(), no_channel=why)
        return [f"{one.verdict}: {one.subject}: {one.message}" for one in found.findings]

    both = "could not be reached (from a test: no route to host; from a probe: no route to host)"
    assert told(*ways) == [f"cannot tell: public {one}.example.org: {both}" for one in "ab"]
    nowhere = "could not be reached (it has no Service)"
    assert told(why="it has no Service") == [
        f"cannot tell: public {one}.example.org: {nowhere}" for one in "ab"
    ]


def test_a_stream_that_nobody_is_behind_is_not_asked_about() -> None:
    mesh = gateway_of(
        {"host": "mq.example.org", "mode": "PASSTHROUGH", "port": 8443},
        {"host": "sql.example.org", "protocol": "TCP", "port": 5432},
        {"host": "in.example.org"},
        services=[exposed("web", "in.example.org")],
    )
    told, found = results(mesh, Channel(None, [Answer(200, UPSTREAM, "hi", 0)]))
    assert list(told) == ["public GET http://in.example.org/: 200 from shop/web, from a test"]
    assert (found.reached, found.untested) == ({"shop/web"}, frozenset())


def test_after_a_stream_the_other_hosts_are_looked_at_as_well() -> None:
    mesh = gateway_of(
        {"host": "mq.example.org", "mode": "PASSTHROUGH"},
        {"host": "sql.example.org", "protocol": "TLS", "certificate": "wild", "port": 5432},
        {"host": "db.example.org", "protocol": "TCP", "port": 5433},
        services=[
            exposed("mq", "mq.example.org") | STREAM,
            exposed("sql", "sql.example.org") | STREAM,
            exposed("db", "db.example.org") | STREAM,
        ],
    )
    told, found = results(mesh, Channel(Presented("", fingerprint="aa")))
    assert told == {
        "public mq.example.org: TLS passes through to a server that answers, from a test": "pass",
        "public sql.example.org: serves a certificate that clients accept, from a test": "pass",
        f"public sql.example.org: {ENDS}, and {ONLY} behind it sees what answers": "not tested",
        f"public db.example.org: TCP: {EVERY}, and {ONLY} sees what answers": "not tested",
    }
    assert (found.reached, found.untested) == ({"shop/mq"}, {"shop/sql", "shop/db"})


@pytest.mark.parametrize(
    ("served", "facts", "said"),
    [
        (
            Presented("self-signed", untrusted=True),
            GatewayFacts({"api": "aa"}, trusted=False),
            "cannot tell: its issuer is not known here (self-signed): give verify_gateway_ca",
        ),
        (Presented("expired"), FACTS, "fail: its certificate is not good, from a test: expired"),
        (Presented("", unanswered="late"), FACTS, "cannot tell: no handshake from a test: late"),
        (
            Presented("", fingerprint="a" * 64, not_after="2027-01-01"),
            GatewayFacts({"api": "a" * 64}, trusted=True),
            "pass: serves a certificate that clients accept, valid until 2027-01-01, from a test",
        ),
        (
            Presented("", fingerprint="b" * 64),
            GatewayFacts({"api": "a" * 64}, trusted=True),
            f"fail: serves certificate {'b' * 16}, Secret api holds {'a' * 16}",
        ),
        (
            Presented("", fingerprint="aa"),
            GatewayFacts({}, trusted=True),
            f"cannot tell: {ACCEPTED} its Secret was not read",
        ),
        (
            Presented(""),
            FACTS,
            f"cannot tell: {ACCEPTED} which one it serves was not seen (curl before 7.88)",
        ),
    ],
)
def test_what_is_said_of_a_certificate(served: Presented, facts: GatewayFacts, said: str) -> None:
    found = check_gateway(MESH, GATE, planned(), [Channel(served, GOOD)], facts, FakeClock())
    assert f"{found.findings[0].verdict}: {found.findings[0].message}" == said
    assert found.findings[0].subject == "public api.example.com"
    assert [one.verdict for one in found.findings[1:]] == ["pass", "pass"], "the requests count by themselves"


@pytest.mark.parametrize(
    ("methods", "unsafe", "asked"),
    [
        ([], False, ["GET"]),
        (["POST", "HEAD"], False, ["HEAD"]),
        (["HEAD", "GET"], False, ["GET"]),
        (["POST"], False, []),
        (["POST", "DELETE"], True, ["POST"]),
        (["POST", "GET"], True, ["GET"]),
    ],
)
def test_the_method_that_an_exposure_is_asked_with(
    methods: list[str], unsafe: bool, asked: list[str]
) -> None:
    named = {"methods": methods} if methods else {}
    mesh = gateway_of(
        {"host": "in.example.org"}, services=[exposed("web", "in.example.org", path="/x", **named)]
    )
    calls = planned_calls(mesh, mesh.gateways[0], unsafe_methods=unsafe)
    assert [call.method for call in calls] == asked
    assert {call.url for call in calls} <= {"http://in.example.org/x"}


@pytest.mark.parametrize(
    ("mode", "client", "shown", "demanding"),
    [
        ("SIMPLE", None, False, False),
        ("SIMPLE", "pair", True, False),
        ("MUTUAL", None, False, True),
        ("MUTUAL", "pair", True, False),
        ("OPTIONAL_MUTUAL", None, False, False),
        ("PASSTHROUGH", None, False, True),
        ("PASSTHROUGH", "pair", False, True),
    ],
)
def test_to_whom_the_direct_way_shows_a_certificate(
    monkeypatch: pytest.MonkeyPatch, mode: str, client: Any, shown: bool, demanding: bool
) -> None:
    """A key for one gateway's clients is never shown to a server behind it."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(channels, "handshake", lambda *where, **how: seen.update(where=where, **how))
    server = dataclasses.replace(
        GATE.servers[0], mode=mode, protocol="TLS" if mode == "PASSTHROUGH" else "HTTPS"
    )
    way = channels.DirectChannel("192.0.2.1", "CA", 4.0, client)
    assert way.has_client is (client is not None)
    way.handshake(server)
    assert seen == {
        "where": ("192.0.2.1", server.port, "api.example.com"),
        "ca_pem": "CA",
        "timeout": 4.0,
        "client": "pair" if shown else None,
        "demanding": demanding,
    }


def test_the_direct_way_sends_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def request(*where: Any, **how: Any) -> Answer:
        seen.append((where, how))
        return Answer(200, {}, str(len(seen)), 0)

    monkeypatch.setattr(channels, "request", request)
    answers = channels.DirectChannel("192.0.2.1", "CA", 4.0).send([REDIRECT, EXPOSURE])
    assert [one.body for one in answers] == ["1", "2"]
    how = {"ca_pem": "CA", "timeout": 4.0, "client": None}
    assert seen == [
        (("192.0.2.1", 80, "api.example.com", "GET", "/"), {"tls": False, **how}),
        (("192.0.2.1", 443, "api.example.com", "GET", "/"), {"tls": True, **how}),
    ]


@pytest.mark.parametrize(
    "alert", ["Certificate Required", "HANDSHAKE FAILURE", "tlsv1 alert bad certificate"]
)
@pytest.mark.parametrize("code", [35, 56])
def test_the_alerts_by_which_a_probe_sees_that_a_client_is_refused(alert: str, code: int) -> None:
    told = f"curl: ({code}) {alert}"
    mutual = dataclasses.replace(GATE.servers[0], mode="MUTUAL")
    way = channels.ProbeChannel("10.0.0.1", "", lambda _calls, _ca: [Answer(0, {}, "", code, told)])
    assert way.handshake(mutual) == Presented("", client_refused=told)
    for mode in ("SIMPLE", "OPTIONAL_MUTUAL"):
        other = way.handshake(dataclasses.replace(mutual, mode=mode))
        assert not other.client_refused
        assert (other.fault, other.unanswered) == ((told, "") if code == 35 else ("", told))


def test_all_lost_is_no_connection_but_one_answer_is_one() -> None:
    def way(*answers: Answer) -> channels.ProbeChannel:
        return channels.ProbeChannel("10.0.0.1", "", lambda _calls, _ca: list(answers))

    late = Answer(0, {}, "", 28, "curl: (28) late")
    with pytest.raises(UnreachableError):
        way(late, late).send([REDIRECT, EXPOSURE])
    kept = (late, Answer(0, {}, "", 52, "curl: (52) empty"))
    assert way(*kept).send([REDIRECT, EXPOSURE]) == list(kept)
    slow = Answer(200, {}, "", 28, "curl: (28) the body was late")
    assert way(slow, slow).send([REDIRECT, EXPOSURE]) == [slow, slow]
