"""Stages side by side: each lane runs its own in order, each stage in a process of its own.

What a stage prints is kept and shown when it ends, so that lanes do not talk into each other; a line now and
then tells what runs. The first failure ends all lanes. Lanes that give way get the processor time that the
others leave: whoever waits for pods and proxies does not wait for those who compute as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from .paths import BUILD
from .processes import end_with_parent
from .screen import SetupError, duration, say
from .stages import Outcome, Stage, StageError

_LOOK_EVERY = 0.2
_TELL_EVERY = 60.0
_PATIENCE = 20.0  # seconds between the wish to end and the end
_NICE = 10
_GRACE = 2.0  # seconds that what a stage has started may clean up


@dataclass(slots=True)
class _Running:
    """A stage at work. `pid` leads a process group; `log`: what it prints; `answer`: what it found."""

    lane: str
    stage: Stage
    pid: int
    log: Path
    answer: Path
    start: float = field(default_factory=time.monotonic)


class Lanes:
    """Runs stages side by side. `lanes`: name -> its stages, in order; `logs`: a directory, emptied first;
    `give_way`: names of lanes.
    """

    def __init__(
        self,
        lanes: Mapping[str, Sequence[Stage]],
        logs: Path = BUILD / "stages",
        give_way: Collection[str] = (),
    ) -> None:
        self._waiting = {name: list(stages) for name, stages in lanes.items()}
        self._total = sum(map(len, lanes.values()))
        self._logs = logs
        self._give_way = give_way
        self._running: dict[int, _Running] = {}
        self._done: set[str] = set()
        self._outcome = Outcome(0, 0, {})
        self._started = 0
        self._told = time.monotonic()

    def run(self) -> Outcome:
        """Run everything; stop at the first failure. Whatever ends this ends the stages' processes too."""
        shutil.rmtree(self._logs, ignore_errors=True)
        self._logs.mkdir(parents=True)
        start = time.monotonic()
        try:
            while not self._outcome.failure and (self._begin() or self._running):
                self._look()
                self._tell()
                time.sleep(_LOOK_EVERY)
        finally:
            self._end_all()
        if not self._outcome.failure and any(self._waiting.values()):
            stuck = [stage.name for stages in self._waiting.values() for stage in stages[:1]]
            raise SetupError(f"these stages wait for each other: {', '.join(stuck)}")
        self._outcome.wall = time.monotonic() - start
        return self._outcome

    def _begin(self) -> bool:
        """Start what can start. :returns: whether anything was."""
        begun = False
        busy = {running.lane for running in self._running.values()}
        for lane, stages in self._waiting.items():
            if lane not in busy and stages and set(stages[0].after) <= self._done:
                self._start(lane, stages.pop(0))
                begun = True
        return begun

    def _start(self, lane: str, stage: Stage) -> None:
        self._started += 1
        name = f"{self._started:02}-{re.sub(r'[^a-z0-9.]+', '-', stage.name.lower()).strip('-')}"
        log, answer = self._logs / f"{name}.log", self._logs / f"{name}.json"
        say(f"==> [{self._started}/{self._total}] {lane}: {stage.name}")
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _work(stage, log, answer, gives_way=lane in self._give_way)
        self._running[pid] = _Running(lane, stage, pid, log, answer)

    def _look(self) -> None:
        """Take the results of stages that have ended."""
        for pid in list(self._running):
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                running = self._running.pop(pid)
                self._take(running, status, usage.ru_utime + usage.ru_stime)

    def _take(self, running: _Running, status: int, cpu: float) -> None:
        name = running.stage.name
        seconds = time.monotonic() - running.start
        self._outcome.times[name] = seconds
        self._outcome.cpu[name] = cpu
        output = running.log.read_text(errors="replace").rstrip() if running.log.exists() else ""
        if output:
            say(f"--- {running.lane}: {name}\n{output}")
        try:
            passed, failed, reason = json.loads(running.answer.read_text())
        except (OSError, ValueError):
            passed, failed = 0, 1
            reason = f"its process ended with {os.waitstatus_to_exitcode(status)}"
        self._outcome.passed += passed
        self._outcome.failed += failed
        if failed or reason:
            self._outcome.failure = f"{running.lane}: {name}: {reason}"
            say(f"FAILED {self._outcome.failure}")
        else:
            self._done.add(name)
            say(f"    {running.lane}: {name}: {duration(seconds)} ({duration(cpu)} of processor)")

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told > _TELL_EVERY and self._running:
            self._told = now
            busy = [
                f"{one.lane}: {one.stage.name} ({duration(now - one.start)})"
                for one in self._running.values()
            ]
            say(f"    ... {'; '.join(busy)}")

    def _end_all(self) -> None:
        """End what still runs: a wish first, so that programs can clean up, then by force."""
        for running in self._running.values():
            say(f"    {running.lane}: {running.stage.name}: ended early; its output: {running.log}")
            _signal(running.pid, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while self._running and time.monotonic() < deadline:
            for pid in [pid for pid in self._running if os.waitpid(pid, os.WNOHANG)[0]]:
                _signal(pid, signal.SIGKILL)
                del self._running[pid]
            time.sleep(_LOOK_EVERY)
        for pid in self._running:
            _signal(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._running.clear()


def _signal(pid: int, number: int) -> None:
    """Signal a stage's group; some of it may outlive the stage."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _work(stage: Stage, log: Path, answer: Path, *, gives_way: bool) -> NoReturn:
    """In the stage's process: run it, its output into the log, its result into the answer."""
    code = 1
    try:
        os.setsid()
        if gives_way:
            _behind_the_others()
        signal.signal(signal.SIGTERM, _end_group)
        end_with_parent()()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        result: tuple[int, int, str]
        try:
            result = (stage.run(), 0, "")
        except StageError as failure:
            result = (failure.passed, max(failure.failed, 1), str(failure))
        except SetupError as problem:
            result = (0, 1, str(problem))
        answer.write_text(json.dumps(result))
        sys.stdout.flush()
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _behind_the_others() -> None:
    """Where the kernel deals the processor out to sessions (sched(7), autogroup), the session is nice too."""
    os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE))


def _end_group(*_: object) -> NoReturn:
    """The stage is told to end, or make has died: nobody of its group may work on."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    time.sleep(_GRACE)
    os.killpg(0, signal.SIGKILL)
    os._exit(1)
