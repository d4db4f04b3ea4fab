# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stable version that seems the worse one is looked at again: which of the two it was, and what follows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Window
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import watch
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.evidence import worse_share
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import (
    HoldNeeded,
    RollbackNeeded,
)


def window(canary: tuple[int, int], stable: tuple[int, int]) -> Window:
    return Window(1, "2026-11-23T12:00:00Z", "2026-11-23T12:00:10Z", 10, {"errors": (*canary, *stable)})


@pytest.mark.parametrize(
    ("canary", "stable", "worse"),
    [
        ((0, 0), (100, 5), ""),
        ((100, 5), (0, 0), ""),
        ((100, 5), (100, 6), "stable"),
        ((100, 6), (100, 5), "canary"),
        ((100, 5), (100, 5), "canary"),
        ((10, 1), (100, 5), "canary"),
    ],
)
def test_the_larger_share_is_the_worse_one(canary: Any, stable: Any, worse: str) -> None:
    assert worse_share([window(canary, stable)]) == worse


SICK_STABLE, SICK_CANARY, SILENT = (
    window((100, 0), (100, 9)),
    window((100, 9), (100, 0)),
    window((0, 0), (0, 0)),
)


def failed(
    monkeypatch: pytest.MonkeyPatch,
    *fresh: Window,
    suspected: int | None = 0,
    stable_worse: bool = True,
    down_since: float | None = None,
) -> SimpleNamespace:
    """What a failed gate leads to, with these windows since the suspicion."""
    monkeypatch.setattr(watch, "stable_is_worse", lambda *_arguments: stable_worse)
    rollout = SimpleNamespace(journal=SimpleNamespace(windows=fresh), progress=lambda _line: None)
    looking = SimpleNamespace(rollout=rollout, stable_down_since=down_since, suspected=suspected)
    watch._Watch._failed(looking, SimpleNamespace(reason="9 of 100", __str__=lambda: "9 of 100"))
    return looking


def test_at_the_first_time_nothing_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failed(monkeypatch, SICK_STABLE, SICK_STABLE, suspected=None).suspected == 2


@pytest.mark.parametrize("how", [{"stable_worse": False}, {"down_since": 5.0}])
def test_a_canary_that_fails_by_itself_goes(monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]) -> None:
    with pytest.raises(RollbackNeeded):
        failed(monkeypatch, SICK_STABLE, **how)


def test_stable_is_worse_at_the_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HoldNeeded):
        failed(monkeypatch, SICK_STABLE)


def test_the_canary_is_worse_at_the_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RollbackNeeded):
        failed(monkeypatch, SICK_CANARY)


def test_silence_decides_nothing_before_the_third_look(monkeypatch: pytest.MonkeyPatch) -> None:
    failed(monkeypatch, SILENT, SILENT)
    with pytest.raises(HoldNeeded):
        failed(monkeypatch, SILENT, SILENT, SILENT)
