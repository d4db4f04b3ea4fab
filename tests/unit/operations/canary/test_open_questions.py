# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a gate may stay shut or blind, and what waiting for gates does to the rollout's own deadline."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.outside_gates import OnFail
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    outside_gates as outside,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import (
    RollbackNeeded,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.verdicts import CANNOT_TELL, FAIL, PASS

from ...support.clock import FakeClock


def asked(began: float | None = 10.0) -> tuple[Any, Any]:
    rollout: Any = SimpleNamespace(clock=FakeClock(), began=began, options=SimpleNamespace(unmeasurable=30.0))
    return outside.OutsideGates(rollout, {}), rollout


def gate(on_fail: OnFail = OnFail.WAIT, **more: Any) -> Any:
    given = {"name": "g", "kind": "web", "deadline": 60.0, "retries": 1, **more}
    return SimpleNamespace(on_fail=on_fail, **given)


def said(verdict: str) -> Any:
    return SimpleNamespace(verdict=verdict, reason="why")


@pytest.mark.parametrize(("began", "after"), [(None, None), (10.0, 15.0)])
def test_to_wait_for_a_gate_is_no_time_of_the_rollout(began: float | None, after: float | None) -> None:
    gates, rollout = asked(began)
    before = rollout.clock.monotonic()
    gates.pause(5.0)
    assert (rollout.began, rollout.clock.monotonic() - before) == (after, 5.0)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "gate g is asked"),
        (said(PASS), "gate g is asked"),
        (said(FAIL), f"gate g is asked, {FAIL} before: why"),
    ],
)
def test_a_gate_that_has_not_answered_is_blocked_since_it_was_first_seen_so(answer: Any, told: str) -> None:
    gates, _rollout = asked()
    question = outside._Open()
    assert gates._still_asked(gate(), question, answer, 100.0) == told
    assert gates._still_asked(gate(), question, answer, 159.9) == told
    assert question.blocked_since == 100.0
    with pytest.raises(RollbackNeeded, match="gate g did not open in 60 s: no answer yet"):
        gates._still_asked(gate(), question, answer, 160.0)
    assert gates._still_asked(gate(OnFail.ROLLBACK), question, answer, 999.0) == told


def test_a_gate_that_opens_is_neither_blocked_nor_blind() -> None:
    gates, _rollout = asked()
    question = outside._Open(blocked_since=1.0, blind_since=2.0)
    assert gates._decided(gate(), question, said(PASS), 0, 50.0) == ""
    assert (question.blocked_since, question.blind_since) == (None, None)


@pytest.mark.parametrize(("fails", "ends"), [(1, False), (2, True)])
def test_a_gate_that_fails_is_tried_again_so_often(fails: int, ends: bool) -> None:
    gates, _rollout = asked()
    question = outside._Open(blind_since=1.0)
    if ends:
        with pytest.raises(RollbackNeeded, match="gate g: why"):
            gates._decided(gate(OnFail.ROLLBACK), question, said(FAIL), fails, 50.0)
    else:
        assert (
            gates._decided(gate(OnFail.ROLLBACK), question, said(FAIL), fails, 50.0) == f"gate g: {FAIL}: why"
        )
    assert question.blind_since is None
    assert gates._decided(gate(OnFail.WAIT), question, said(FAIL), 9, 50.0) == f"gate g: {FAIL}: why"


def test_a_gate_that_cannot_tell_ends_the_rollout_after_a_while() -> None:
    gates, _rollout = asked()
    question, shut = outside._Open(), gate(OnFail.ROLLBACK)
    told = f"gate g: {CANNOT_TELL}: why"
    assert gates._decided(shut, question, said(CANNOT_TELL), 0, 50.0) == told
    assert gates._decided(shut, question, said(CANNOT_TELL), 0, 79.9) == told
    with pytest.raises(RollbackNeeded, match="gate g could not tell for 30 s: why"):
        gates._decided(shut, question, said(CANNOT_TELL), 0, 80.0)
