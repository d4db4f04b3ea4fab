"""Every scenario with every fault at calls of a run: it ends at a proved version, or the next look ends it.

A fair sample, always the same one. The whole matrix, every call of every scenario, takes minutes:
``ROLLOUT_MATRIX=all``, as ``make campaign`` runs it.
"""

from __future__ import annotations

import functools
import os
import random
from pathlib import Path

import pytest

from .scenarios import SCENARIOS, Scenario
from .trials import FAULTS, Trial

SAMPLE, OF_KILLS = 1, 3  # calls of each scenario with each fault
WHOLE = os.environ.get("ROLLOUT_MATRIX") == "all"
SETTLED_BY = ("rollback", "continue", "run")


@functools.cache
def calls_of(name: str, directory: Path) -> int:
    """How many calls a run without a fault makes; it ends as it should."""
    scenario = next(item for item in SCENARIOS if item.name == name)
    with pytest.MonkeyPatch.context() as patch:
        trial = Trial(scenario, patch, directory)
        assert trial.begin() in scenario.ends, scenario.name
        total = trial.switch.calls
        trial.judge("no fault")
        assert total > 10
        return total


def trials(numbers: list[int], fault: str) -> list[tuple[int, str]]:
    """Each call with one way to settle what is left; where the runner died, the whole matrix takes them all.

    :returns: (call, way) of each trial.
    """
    if WHOLE and fault == "kill":
        return [(number, how) for number in numbers for how in SETTLED_BY]
    return [(number, SETTLED_BY[(number + FAULTS.index(fault)) % 3]) for number in numbers]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deadman")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_fault_leaves_requests_at_an_unproved_version(
    scenario: Scenario, fault: str, directory: Path
) -> None:
    numbers = list(range(1, calls_of(scenario.name, directory) + 1))
    if not WHOLE:
        few = OF_KILLS if fault == "kill" else SAMPLE
        numbers = random.Random(f"{scenario.name} {fault}").sample(numbers, few)
    for number, how in trials(numbers, fault):
        moment = f"{scenario.name}: {fault} at call {number}, then {how}"
        with pytest.MonkeyPatch.context() as patch:
            trial = Trial(scenario, patch, directory)
            trial.begin(fault, number)
            trial.settle(how)
            trial.judge(moment)
            trial.recover()
            trial.judge(f"{moment}, and stable got well")
