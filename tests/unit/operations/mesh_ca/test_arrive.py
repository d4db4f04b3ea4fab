# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a rotation waits for proxies, and whom it restarts: who follows is given time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError, WaitTimeout
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca import arrival
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.options import (
    read_options,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.proxies import (
    ProxyState,
    Survey,
)

from ...support.clock import FakeClock
from .test_edges import options, stage

FINE = ProxyState("shop", "fine")
STUCK = ProxyState("shop", "stuck", late="does not trust 1 of the 2 roots")
FOLLOWS = dataclasses.replace(STUCK, pod="follows", live=True)
LEAVES = dataclasses.replace(STUCK, pod="leaves", leaving=True)
SILENT = ProxyState("shop", "silent", unread="no answer")
APART = dataclasses.replace(STUCK, connected=False)
PATIENCE, TIMEOUT = 100, 300


class Proxies:
    """A mesh whose proxies are what ``at`` says from a second on; a restart makes what it restarts fine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **at: Sequence[ProxyState]) -> None:
        self.clock = FakeClock()
        self.begun = self.clock.time
        self.at = {int(second.removeprefix("s")): states for second, states in at.items()}
        self.restarted: list[str] = []
        self.helps = True
        self.movable = True
        self.asked: set[frozenset[str]] = set()
        monkeypatch.setattr(arrival, "survey", self.survey)
        monkeypatch.setattr(arrival, "plan_restarts", self.plan)
        monkeypatch.setattr(arrival, "Restarter", lambda *_who, timeout: self._take(timeout))

    def _take(self, timeout: float) -> Proxies:
        assert timeout == TIMEOUT
        return self

    @property
    def spent(self) -> float:
        return self.clock.time - self.begun

    def survey(self, _client: Any, namespace: str, _stage: Any, asked: frozenset[str]) -> Survey:
        assert namespace == "istio-system"
        self.asked.add(asked)
        now = max(second for second in self.at if second <= self.spent)
        gone = self.restarted if self.helps else []
        return Survey(tuple(FINE if one.pod in gone else one for one in self.at[now]))

    def plan(self, _client: Any, _options: Any, late: Sequence[ProxyState]) -> Any:
        batches = [[one.pod] for one in late] if self.movable else []
        return type("Plan", (), {"batches": batches})()

    def run_batch(self, batch: list[str]) -> None:
        self.restarted += batch

    def arrive(self, *, restart: bool = True) -> Survey:
        params = options(patience=PATIENCE, timeout=TIMEOUT, restart=restart)
        context = Context(clock=self.clock, stop=lambda: False)
        return arrival.arrive(None, context, read_options(params), stage(), frozenset({"hold"}))


@pytest.mark.parametrize(
    ("at", "restart", "waited", "restarted"),
    [
        ({"s0": [FINE]}, True, (0, 0), []),
        ({"s0": []}, True, (0, 0), []),
        ({"s0": [STUCK]}, True, (0, 5), ["stuck"]),
        ({"s0": [STUCK]}, False, (100, 101), []),
        ({"s0": [STUCK], "s50": [FINE]}, False, (50, 60), []),
        ({"s0": [FOLLOWS], "s50": [FINE]}, True, (50, 60), []),
        ({"s0": [FOLLOWS]}, True, (100, 105), ["follows"]),
        ({"s0": [STUCK, FOLLOWS], "s50": [STUCK, FINE]}, True, (50, 60), ["stuck"]),
        ({"s0": [SILENT], "s30": [FINE]}, True, (30, 40), []),
        ({"s0": [SILENT, STUCK], "s30": [FINE, STUCK]}, True, (30, 40), ["stuck"]),
        ({"s0": [LEAVES], "s40": []}, True, (40, 50), []),
        ({"s0": [LEAVES], "s200": []}, True, (200, 215), []),
        ({"s0": [LEAVES], "s200": []}, False, (200, 215), []),
        ({"s0": [LEAVES, STUCK], "s20": [STUCK]}, True, (20, 30), ["stuck"]),
        ({"s0": [APART], "s70": [STUCK]}, True, (70, 80), ["stuck"]),
    ],
)
def test_how_long_it_waits_and_whom_it_restarts(
    monkeypatch: pytest.MonkeyPatch, at: Any, restart: bool, waited: tuple[int, int], restarted: list[str]
) -> None:
    mesh = Proxies(monkeypatch, **at)
    found = mesh.arrive(restart=restart)
    assert waited[0] <= mesh.spent <= waited[1]
    assert mesh.restarted == restarted
    assert found.done is (restart or len(at) > 1)


def test_a_restart_that_brings_back_the_old_proxy_is_tried_three_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pod of before may have come in meanwhile; for ever would be too long."""
    mesh = Proxies(monkeypatch, s0=[STUCK])
    mesh.helps = False
    found = mesh.arrive()
    assert mesh.restarted == ["stuck"] * 3
    assert [one.pod for one in found.late] == ["stuck"], "it is told, and the stage is not over"


def test_whom_nothing_may_restart_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Proxies(monkeypatch, s0=[STUCK])
    mesh.movable = False
    assert not mesh.arrive().done
    assert (mesh.restarted, mesh.spent) == ([], 0)


def test_nothing_is_restarted_while_a_proxy_is_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would send requests to pods that the restart takes away."""
    mesh = Proxies(monkeypatch, s0=[STUCK, dataclasses.replace(FINE, connected=False)])
    with pytest.raises(WaitTimeout, match="all proxies to be connected to istiod") as caught:
        mesh.arrive()
    assert "shop/fine is not connected (1 in all)" in caught.value.message
    assert (mesh.restarted, mesh.spent) == ([], pytest.approx(TIMEOUT))
    assert mesh.asked == {frozenset({"hold"}), frozenset()}


def test_who_cannot_be_asked_ends_it_after_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Proxies(monkeypatch, s0=[SILENT])
    with pytest.raises(MeshError, match="cannot tell whether every proxy is at stage new: shop/silent"):
        mesh.arrive()
    assert mesh.spent == pytest.approx(PATIENCE, abs=1)


def test_a_run_that_is_stopped_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Proxies(monkeypatch, s0=[FOLLOWS])
    context = Context(clock=mesh.clock, stop=lambda: True)
    wishes = read_options(options(patience=PATIENCE, timeout=TIMEOUT))
    with pytest.raises(ApiError, match="interrupted while waiting for the proxies to be at stage new"):
        arrival.arrive(None, context, wishes, stage(), frozenset())
    assert mesh.restarted == []
