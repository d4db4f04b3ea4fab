"""The stages of a check: what runs, how long it takes, where it stopped. Side by side: see lanes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .paths import ROOT
from .processes import run
from .screen import SetupError, duration, say


class StageError(Exception):
    """A check did not hold; its output is already on the screen. `passed`, `failed`: how many, so far."""

    def __init__(self, reason: str, passed: int = 0, failed: int = 1) -> None:
        super().__init__(reason)
        self.passed = passed
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Stage:
    """`run` returns how many checks passed, or raises StageError or SetupError. `after`: names of stages of
    other lanes that must have passed before.
    """

    name: str
    run: Callable[[], int]
    after: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """Counts of checks, and the seconds of each stage that ran: of the clock, and of the processor where that
    is known; `failure`: the stage that failed first, and why; `wall`: seconds of all, unless stages ran one
    after another.
    """

    passed: int
    failed: int
    times: dict[str, float]
    cpu: dict[str, float] = field(default_factory=dict)
    failure: str = ""
    wall: float = 0.0


def run_stages(stages: Sequence[Stage], *, keep_going: bool = False) -> Outcome:
    """Run the stages in order; stop at the first one that fails, unless told to `keep_going`."""
    passed = failed = 0
    times: dict[str, float] = {}
    for number, stage in enumerate(stages, 1):
        say(f"==> [{number}/{len(stages)}] {stage.name}")
        start = time.monotonic()
        try:
            passed += stage.run()
        except StageError as failure:
            passed += failure.passed
            failed += failure.failed
            say(f"FAILED {stage.name}: {failure}")
        except SetupError as problem:
            failed += 1
            say(f"FAILED {stage.name}: {problem}")
        times[stage.name] = time.monotonic() - start
        if failed and not keep_going:
            break
        say(f"    {stage.name}: {duration(times[stage.name])}")
    return Outcome(passed, failed, times)


def report(outcome: Outcome) -> int:
    """Print the time of each stage and the counts; returns the exit code."""
    say("")
    if outcome.failure:
        say(f"FAILED {outcome.failure}")
    for name, seconds in outcome.times.items():
        processor = f"{duration(outcome.cpu[name]):>14}" if outcome.cpu else ""
        say(f"  {duration(seconds):>14}{processor}  {name}")
    processor = f"{duration(sum(outcome.cpu.values())):>14}" if outcome.cpu else ""
    say(f"  {duration(outcome.wall or sum(outcome.times.values())):>14}{processor}  in all")
    say(f"{outcome.passed} passed, {outcome.failed} failed")
    return 1 if outcome.failed else 0


def command(
    *arguments: str | Path,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> None:
    """Run a program and raise StageError when it fails. `quiet`: show its output only then."""
    done = run(arguments, cwd=cwd, environment=environment, capture=quiet)
    if done.returncode == 0:
        return
    if quiet:
        say(done.stdout)
    raise StageError(f"{Path(arguments[0]).name} ended with {done.returncode}")
