# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planned calls through probes: how often, what is asked again, and what a probe's trouble means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import (
    Answer,
    HttpCall,
    Identity,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import send_calls as sender
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.planned_calls import (
    ALLOWED,
    DENIED,
    PLAINTEXT,
    PlannedCall,
)

from ...support.clock import FakeClock
from ...support.cluster import FakeCluster
from .builders import catalogue, service

MESH = catalogue(service("pay", callers=[{"service": "web"}]), service("web"))
PAY = MESH.services[0]
WEB, API = Identity("shop", "web"), Identity("shop", "api")
OUTSIDE = Identity("shop", "outside", meshed=False)
SERVED = Answer(200, {"x-envoy-upstream-service-time": "1"}, "hello", 0)
REFUSED = Answer(403, {}, "RBAC: access denied", 0)
HERE = "http://pay.shop.svc.cluster.local:80"
SILENT = Answer(0, {}, "", 28, "curl: (28) timed out")


def call(identity: Identity = WEB, expect: str = ALLOWED, path: str = "/") -> PlannedCall:
    return PlannedCall(PAY, PAY.ports[0], identity, "GET", path, expect, "because")


class Probes:
    """Answers round by round; the last round is repeated."""

    def __init__(self, *rounds: dict[str, Answer] | MeshError) -> None:
        self.rounds, self.trouble = list(rounds), dict[Identity, str]()
        self.asked: list[tuple[str, list[str], int, str]] = []

    def send(self, identity: Identity, calls: Sequence[HttpCall], limit: int, roots: str) -> list[Answer]:
        self.asked.append((str(identity), [one.url for one in calls], limit, roots))
        answers = self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]
        if isinstance(answers, MeshError):
            raise answers
        return [answers.get(one.url.rpartition("/")[2], SILENT) for one in calls]


def sent(
    probes: Probes, *calls: PlannedCall, stop: Callable[[], bool] = lambda: False, clock: Any = None
) -> tuple[list[str], list[tuple[str, str]]]:
    """Verdicts, and what was made with its verdict."""
    found, made = sender.send_calls(
        FakeCluster(), probes, calls, 5, stop, clock or FakeClock(), "ROOTS"
    )  # fmt: skip
    return [one.verdict for one in found], [(one.path, finding.verdict) for one, finding in made]


def test_each_identity_sends_its_own_calls_at_once() -> None:
    probes = Probes({"": SERVED, "a": SERVED, "b": REFUSED})
    verdicts, made = sent(probes, call(WEB), call(API, DENIED, "/b"), call(WEB, ALLOWED, "/a"))
    assert probes.asked == [
        (str(WEB), [f"{HERE}/", f"{HERE}/a"], 5, "ROOTS"),
        (str(API), [f"{HERE}/b"], 5, "ROOTS"),
    ]
    assert verdicts == ["pass", "pass", "pass"]
    assert made == [("/", "pass"), ("/a", "pass"), ("/b", "pass")]


def test_only_what_got_no_answer_is_asked_again_after_a_second() -> None:
    clock = FakeClock()
    begin = clock.time
    probes = Probes({"": SERVED}, {}, {"a": SERVED})
    verdicts, _made = sent(probes, call(), call(path="/a"), clock=clock)
    assert [[url.rpartition("/")[2] for url in urls] for _who, urls, *_rest in probes.asked] == [
        ["", "a"],
        ["a"],
        ["a"],
    ]
    assert verdicts == ["pass", "pass"]
    assert clock.time - begin == 2.0


def test_after_four_rounds_it_is_left_unknown() -> None:
    clock = FakeClock()
    begin = clock.time
    probes = Probes({})
    assert sent(probes, call(), clock=clock) == (["cannot tell"], [("/", "cannot tell")])
    assert len(probes.asked) == 4
    assert clock.time - begin == 3.0


def test_a_run_that_is_stopped_asks_once_and_no_more() -> None:
    probes = Probes({})
    assert sent(probes, call(), stop=lambda: True)[0] == ["cannot tell"]
    assert len(probes.asked) == 1


def test_a_probe_that_cannot_be_entered_is_asked_again_and_its_words_are_told() -> None:
    probes = Probes(ApiError("exec failed"), {"": SERVED})
    assert sent(probes, call())[0] == ["pass"]
    lost = Probes(ApiError("exec failed"))
    (finding,), _made = sender.send_calls(FakeCluster(), lost, [call()], 5, lambda: False, FakeClock())
    assert finding.verdict == "cannot tell"
    assert "exec failed" in finding.message


def test_a_probe_that_does_not_run_is_one_finding_for_each_check() -> None:
    probes = Probes({"": SERVED})
    probes.trouble[OUTSIDE] = "its pod was refused"
    calls = [call(OUTSIDE, PLAINTEXT), call(OUTSIDE, DENIED), call(OUTSIDE, PLAINTEXT), call(WEB)]
    found, made = sender.send_calls(FakeCluster(), probes, calls, 5, lambda: False, FakeClock())
    assert [(one.check, one.subject, one.verdict, one.message) for one in found[:2]] == [
        (
            "plaintext",
            str(OUTSIDE),
            "cannot tell",
            "its probe does not run, 2 calls were not made: its pod was refused",
        ),
        (
            "authorization",
            str(OUTSIDE),
            "cannot tell",
            "its probe does not run, 1 calls were not made: its pod was refused",
        ),
    ]
    assert [one.identity for one, _finding in made] == [WEB]
    assert [who for who, *_rest in probes.asked] == [str(WEB)]


def test_plaintext_is_sent_together_with_a_handshake() -> None:
    probes = Probes({"": Answer(0, {}, "", 56, "curl: (56) Recv failure: Connection reset by peer")})
    sent(probes, call(OUTSIDE, PLAINTEXT))
    assert probes.asked[0][1] == [
        "http://pay.shop.svc.cluster.local:80/",
        "https://pay.shop.svc.cluster.local:80/",
    ]


@pytest.mark.parametrize(
    ("pod", "key", "url"),
    [
        ("", "", "http://pay.shop.svc.cluster.local:80/"),
        ("pay-1 10.0.0.1", "shop/pay-1", "http://10.0.0.1:3000/"),
        ("pay-1 2001:db8::1", "shop/pay-1", "http://[2001:db8::1]:3000/"),
    ],
)
def test_one_pod_is_called_at_its_own_port(pod: str, key: str, url: str) -> None:
    planned = PlannedCall(PAY, PAY.ports[0], WEB, "POST", "/", DENIED, "because", pod)
    assert planned.pod_key == key
    (request,) = planned.requests()
    assert isinstance(request, HttpCall)
    assert (request.method, request.url) == ("POST", url)
    assert planned.subject == f"{WEB} -> shop/pay"
    assert PlannedCall(PAY, PAY.ports[0], WEB, "GET", "/", PLAINTEXT, "x").subject == "shop/pay:80"
