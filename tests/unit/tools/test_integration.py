"""The order of the suites on the finished mesh."""

from __future__ import annotations

from tests.integration import drains
from tools import integration


def test_what_replaces_nothing_runs_just_before_what_waits_for_drains() -> None:
    order = integration.directories()
    at = order.index(integration.OBSERVE)
    assert tuple(order[at - 2 : at]) == integration.BEFORE_OBSERVE
    assert tuple(f"{suite}/" for suite in integration.BEFORE_OBSERVE) == drains.LOOK_ONLY
    assert len(order) == len({*order}) > 10
