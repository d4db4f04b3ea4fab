"""What holds for all unit tests."""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, settings

from .support.part import runs_here

# No test has a limit by the wall clock: a busy machine is no fault of what is tested.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")
gc.disable()  # until all is collected, which stays


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to the other environments what is theirs."""
    others = [item for item in items if not runs_here(item.nodeid)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if runs_here(item.nodeid)]


def pytest_collection_finish() -> None:
    """Twenty thousand tests stay to the end: the garbage collector need not look at them again and again."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()
