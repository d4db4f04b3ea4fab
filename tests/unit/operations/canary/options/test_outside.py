"""Gates outside of the mesh as options: what is read, and what is refused under its name."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.outside_gates import (
    GateKind,
    Moment,
    OnFail,
    OutsideGate,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.time_windows import TimeWindow
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside.asking import (
    Asking,
    Said,
    ask,
    one_line,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside.web_call import Web

from .test_rollout import options, refused

URL = {"name": "smoke", "when": ["pre-rollout"], "url": "https://tests.example.com/hook/T0K3N?key=q1"}
COMMAND = {"name": "load", "when": ["rollout"], "command": ["/bin/hey", "-z", "1m"]}
FREEZE = {"name": "freeze", "freeze": [{"days": "fri"}]}


def one(**given: Any) -> tuple[OutsideGate, Asking]:
    found = options(gates=[given])
    return found.outside[0], found.askings[found.outside[0].name]


def test_a_url_with_all_that_belongs_to_it() -> None:
    gate, asking = one(
        **URL,
        method="GET",
        headers={"X-Key": "abc", "X-Number": 7},
        metadata={"cmd": "hey", "tries": 3},
        validate_certs=False,
        timeout="90s",
        interval=5,
        retries=2,
        passes_on=[200],
        fails_on=[403, 500],
    )
    assert gate == OutsideGate(
        "smoke",
        GateKind.URL,
        (Moment.PRE_ROLLOUT,),
        OnFail.ROLLBACK,
        timeout=90.0,
        interval=5.0,
        retries=2,
        passes_on=(200,),
        fails_on=(403, 500),
    )
    assert asking.web == Web(URL["url"], "GET", {"X-Key": "abc", "X-Number": "7"}, "", False)
    assert asking.metadata == {"cmd": "hey", "tries": "3"}


def test_a_command() -> None:
    gate, asking = one(**COMMAND, phases=[3, 2, 2], environment={"TOKEN": "abcdef"}, repeat=True)
    assert (gate.kind, gate.phases, gate.timeout, gate.repeat) == (GateKind.COMMAND, (2, 3), 60.0, True)
    assert (gate.interval, gate.deadline, gate.retries) == (10.0, 1800.0, 0)
    assert (asking.command, asking.given, asking.web) == (("/bin/hey", "-z", "1m"), {"TOKEN": "abcdef"}, None)


def test_a_freeze_waits_where_something_would_go_on() -> None:
    gate, _asking = one(**FREEZE, timezone="Europe/Berlin")
    assert gate.when == (Moment.PRE_ROLLOUT, Moment.TRAFFIC_INCREASE, Moment.PROMOTION)
    assert (gate.on_fail, gate.deadline, gate.zone) == (OnFail.WAIT, 1800.0, "Europe/Berlin")
    assert gate.freeze == (TimeWindow(days=("fri",)),)


def test_the_bounds_of_phases_and_answers_belong_to_them() -> None:
    assert one(**COMMAND, phases=[1, 5])[0].phases == (1, 5)
    gate = one(**COMMAND, passes_on=[0], fails_on=[255])[0]
    assert (gate.passes_on, gate.fails_on) == ((0,), (255,))
    gate = one(**URL, passes_on=[100], fails_on=[599])[0]
    assert (gate.passes_on, gate.fails_on) == ((100,), (599,))


@pytest.mark.parametrize(
    ("when", "usual"),
    [
        (["confirm-promotion"], OnFail.WAIT),
        (["confirm-traffic-increase", "confirm-promotion"], OnFail.WAIT),
        (["confirm-promotion", "pre-rollout"], OnFail.ROLLBACK),
        (["rollout"], OnFail.ROLLBACK),
    ],
)
def test_what_a_fail_does_where_nobody_says_it(when: list[str], usual: OnFail) -> None:
    assert one(**{**URL, "when": when})[0].on_fail is usual


@pytest.mark.parametrize(
    ("base", "change", "message"),
    [
        (URL, {"name": "Smoke"}, "gates[0].name: is 'Smoke', not a name of a gate"),
        (URL, {"name": "errors"}, "gates[0].name: is 'errors', not a name of a gate (it is another gate's)"),
        (URL, {"command": ["x"]}, "gates[0]: needs exactly one of url, command, and freeze or only"),
        (URL, {"url": ""}, "gates[0]: needs exactly one of url, command, and freeze or only"),
        (URL, {"when": []}, "gates[0].when: is missing (pre-rollout, confirm-traffic-increase, rollout"),
        (URL, {"phases": [1]}, "gates[0].phases: is for gates that are asked confirm-traffic-increase or"),
        (COMMAND, {"phases": [6]}, "gates[0].phases: 6 is no phase of the plan (1 to 5)"),
        (COMMAND, {"phases": [0]}, "gates[0].phases: 0 is no phase of the plan (1 to 5)"),
        (URL, {"deadline": 60}, "gates[0].deadline: is for on_fail: wait"),
        (URL, {"repeat": True}, "gates[0].repeat: is for a gate that is asked during a phase (rollout)"),
        (URL, {"timeout": "soon"}, "gates[0].timeout: is 'soon', not a duration such as"),
        (URL, {"retries": -1}, "gates[0].retries: is -1, not a whole number from 0 to 1000"),
        (URL, {"passes_on": [99]}, "gates[0].passes_on: 99 is no HTTP status (100 to 599)"),
        (URL, {"fails_on": [600]}, "gates[0].fails_on: 600 is no HTTP status (100 to 599)"),
        (COMMAND, {"passes_on": [-1]}, "gates[0].passes_on: -1 is no exit code (0 to 255)"),
        (COMMAND, {"fails_on": [256]}, "gates[0].fails_on: 256 is no exit code (0 to 255)"),
        (URL, {"passes_on": [42]}, "gates[0].passes_on: 42 is no HTTP status (100 to 599)"),
        (COMMAND, {"fails_on": [300]}, "gates[0].fails_on: 300 is no exit code (0 to 255)"),
        (URL, {"passes_on": [200], "fails_on": [200]}, "gates[0].fails_on: has 200, as passes_on has"),
        (URL, {"headers": {"X": "a\nb"}}, "gates[0].headers: the value of 'X' holds a line break"),
        (URL, {"headers": {"a b": "c"}}, "gates[0].headers: is 'a b', not a header name"),
        (URL, {"headers": {"X": ["a"]}}, "gates[0].headers: 'X' is not name: text"),
        (URL, {"headers": {"X": True}}, "gates[0].headers: 'X' is not name: text"),
        (URL, {"headers": {7: "a"}}, "gates[0].headers: 7 is not name: text"),
        (URL, {"headers": {"Host": "other"}}, "gates[0].headers.Host: is set by the request itself"),
        (URL, {"headers": {"Idempotency-Key": "x"}}, "gates[0].headers.Idempotency-Key: is set by"),
        (URL, {"ca_cert": "/no/such/file"}, "gates[0].ca_cert: '/no/such/file': No such file or directory"),
        (URL, {"ca_cert": "/etc/hostname"}, "gates[0].ca_cert: '/etc/hostname': holds no PEM certificate"),
        (URL, {"environment": {"A": "b"}}, "gates[0].environment: is not for a gate by url"),
        (COMMAND, {"headers": {"A": "b"}}, "gates[0].headers: is not for a gate by command"),
        (COMMAND, {"command": ["a\0b"]}, "gates[0].command: is no program with arguments"),
        (COMMAND, {"environment": {"A-B": "c"}}, "gates[0].environment: 'A-B' is no variable"),
        (FREEZE, {"when": ["rollout"]}, "gates[0].when: windows are for pre-rollout"),
        (FREEZE, {"passes_on": [1]}, "gates[0].passes_on: is not for a gate by time"),
        (FREEZE, {"timezone": "Mars/Base"}, "gates[0].timezone: 'Mars/Base' is no time zone"),
        (FREEZE, {"timezone": "../etc/passwd"}, "gates[0].timezone: '../etc/passwd' is no time zone"),
        (FREEZE, {"freeze": [{"days": "x"}]}, "gates[0].freeze[0].days: 'x' is no day"),
        (URL, {"timezone": "UTC"}, "gates[0].timezone: is not for a gate by url"),
    ],
)  # fmt: skip
def test_what_is_refused(base: dict[str, Any], change: dict[str, Any], message: str) -> None:
    found = refused(gates=[{**base, **change}])
    assert [text for text in found if text.startswith(f"canary_{message}")], found


@pytest.mark.parametrize(
    ("base", "foreign"),
    [
        (URL, {"environment", "timezone"}),
        (COMMAND, {"headers", "ca_cert", "timezone"}),
        (FREEZE, {"headers", "metadata", "ca_cert", "environment", "passes_on", "fails_on"}),
    ],
)
def test_what_another_kind_of_gate_takes_is_refused(base: dict[str, Any], foreign: set[str]) -> None:
    whole = {
        "headers": {"A": "b"},
        "metadata": {"a": "b"},
        "ca_cert": "/no/such/file",
        "environment": {"A": "b"},
        "timezone": "UTC",
        "passes_on": [1],
        "fails_on": [2],
    }
    found = refused(gates=[{**base, **whole}])
    refusals = {text.partition(": ")[0] for text in found if " is not for a gate by " in text}
    assert refusals == {f"canary_gates[0].{name}" for name in foreign}


@pytest.mark.parametrize(
    "url",
    ["ftp://x/y", "https://user:word@host/", "https://", "http://ho st/", "http://höst/", "http://h:0/", "http://h/\n"],
)  # fmt: skip
def test_a_bad_url_is_refused_and_not_shown(url: str) -> None:
    found = refused(gates=[{**URL, "url": url}])
    assert [text for text in found if text.startswith("canary_gates[0].url: is not an http or https URL")]
    assert not [text for text in found if url in text]


def test_two_gates_of_one_name_are_refused() -> None:
    assert "canary_gates[1].name: smoke is the name of two gates" in refused(gates=[{**URL}, {**URL}])
    query = {"name": "smoke", "query": "1", "max": 2}
    assert "canary_queries: smoke is the name of another gate" in refused(gates=[{**URL}], queries=[query])


def test_how_a_gate_is_asked_is_not_in_what_the_journal_keeps() -> None:
    found = options(gates=[{**URL, "headers": {"X": "s3cret"}}, {**COMMAND, "environment": {"T": "s3cret"}}])
    kept = repr(found.settings)
    assert "smoke" in kept
    for hidden in ("s3cret", "T0K3N", "q1", "hey"):
        assert hidden not in kept
        assert hidden not in repr(found)


SECRETS = Asking(
    web=Web(
        "https://h/services/T0K3N/x?key=quer1",
        headers={"Authorization": "Bearer tok-123", "X": "a&b=c/d"},
    ),
    given={"PASSWORD": 'pass"word'},
)


@pytest.mark.parametrize(
    "text",
    [
        "sent Bearer tok-123", "the token tok-123", "/services/T0K3N/x", "https://h/services/T0K3N/x?key=quer1",
        "key quer1", "a%26b%3Dc/d", "dG9rLTEyMw==", '{"p": "pass\\"word"}', 'pass"word',
    ],
)  # fmt: skip
def test_what_is_told_of_an_answer_holds_no_secret(text: str) -> None:
    told = one_line(f"it said {text}.", SECRETS)
    for hidden in ("tok-123", "T0K3N", "quer1", "a%26b", "dG9rL", "word"):
        assert hidden not in told
    assert told.startswith("it said")


def test_what_is_told_is_short_and_on_one_line() -> None:
    assert one_line("a\r\n\x1b[31mb\x00\u2028c\td", Asking()) == "a [31mb c d"
    assert len(one_line("x" * 10_000, Asking())) < 210
    assert one_line("x" * 300 + "end", Asking(), last=True).endswith("end")


def test_a_secret_that_the_command_prints_is_not_told() -> None:
    script = ["/bin/sh", "-c", "echo failed with $TOKEN; exit 1"]
    gate, asking = one(**{**COMMAND, "command": script}, environment={"TOKEN": "tok-123"})
    said = ask(gate, asking, {"id": "1"}, {}, threading.Event())
    assert (said.verdict, said.reason.startswith("exit code 1: failed with")) == ("fail", True)
    assert "tok-123" not in said.reason


def test_a_command_gets_the_facts() -> None:
    script = 'test "$CANARY_SERVICE" = shop/api && test "$CANARY_WEIGHT" = 10 && grep -q metadata'
    gate, asking = one(**{**COMMAND, "command": ["/bin/sh", "-c", script]})
    assert ask(gate, asking, {"id": "1", "service": "shop/api", "weight": 10}, {}, threading.Event()) == Said(
        "pass", "exit code 0"
    )
