"""Stages side by side: what is counted, what ends what, and that nobody is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import lanes
from tools.lanes import Lanes
from tools.screen import SetupError
from tools.stages import Stage, StageError, report

ROOT = Path(__file__).resolve().parents[3]


def passes(count: int = 1, seconds: float = 0.0):
    def run() -> int:
        time.sleep(seconds)
        return count

    return run


def fails(error: Exception):
    def run() -> int:
        raise error

    return run


def test_lanes_run_side_by_side_and_counts_add_up(tmp_path: Path) -> None:
    def meets(own: str, other: str):
        """Ends only when the other lane's stage has begun."""

        def run() -> int:
            (tmp_path / own).touch()
            wait_until((tmp_path / other).exists)
            return 3

        return run

    outcome = Lanes(
        {
            "one": [Stage("a", meets("a", "c")), Stage("b", passes(2))],
            "two": [Stage("c", meets("c", "a")), Stage("d", passes(3))],
        },
        tmp_path / "logs",
    ).run()
    assert (outcome.passed, outcome.failed, outcome.failure) == (11, 0, "")
    assert set(outcome.times) == set(outcome.cpu) == {"a", "b", "c", "d"}
    assert report(outcome) == 0


def test_output_is_shown_whole_when_a_stage_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def talk(word: str):
        def run() -> int:
            for _unused in range(5):
                subprocess.run(["echo", word], check=True)
                time.sleep(0.05)
            return 1

        return run

    Lanes({"one": [Stage("a", talk("ping"))], "two": [Stage("b", talk("pong"))]}, tmp_path / "logs").run()
    text = capsys.readouterr().out
    assert "ping\n" * 5 in text
    assert "pong\n" * 5 in text


@pytest.mark.parametrize(
    ("error", "passed", "failed"),
    [
        (StageError("3 failed, 0 skipped of 10", 7, 3), 7, 3),
        (StageError("it ended", 0, 0), 0, 1),  # a failure that names no failed check is one all the same
        (SetupError("there is no git"), 0, 1),
        (ZeroDivisionError("a fault of the stage itself"), 0, 1),
        (SystemExit(0), 0, 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_is_counted_named_first_and_ends_the_other_lane(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    passed: int,
    failed: int,
) -> None:
    monkeypatch.setattr(lanes, "_GRACE", 0.1)
    start = time.monotonic()
    outcome = Lanes(
        {
            "lab": [Stage("long", passes(1, 60)), Stage("never", passes())],
            "beside": [Stage("lint", fails(error)), Stage("never too", passes())],
        },
        tmp_path / "logs",
    ).run()
    assert time.monotonic() - start < 15
    assert (outcome.passed, outcome.failed) == (passed, failed)
    assert outcome.failure.startswith("beside: lint: ")
    capsys.readouterr()
    assert report(outcome) == 1
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("FAILED beside: lint: ")
    assert lines[-1] == f"{passed} passed, {failed} failed"


def test_a_stage_whose_process_is_killed_has_failed(tmp_path: Path) -> None:
    outcome = Lanes(
        {"one": [Stage("a", lambda: os.kill(os.getpid(), signal.SIGKILL) or 1)]}, tmp_path / "logs"
    ).run()
    assert outcome.failed == 1
    assert "ended with -9" in outcome.failure


def test_a_stage_waits_for_one_of_the_other_lane(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def write() -> int:
        time.sleep(0.5)
        mark.touch()
        return 1

    def read() -> int:
        assert mark.exists()
        return 1

    both = {"one": [Stage("reads", read, after=("writes",))], "two": [Stage("writes", write)]}
    assert Lanes(both, tmp_path / "logs").run().passed == 2


def test_stages_that_wait_for_ever_are_an_error(tmp_path: Path) -> None:
    waiting = Lanes({"one": [Stage("reads", passes(), after=("nobody",))]}, tmp_path / "logs")
    with pytest.raises(SetupError, match="reads"):
        waiting.run()


# A stage with a program of its own, in a process that is interrupted.
_INTERRUPTED = """
import signal, subprocess, sys
from pathlib import Path
from tools.lanes import Lanes
from tools.stages import Stage

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits "ignored"

def work():
    child = subprocess.Popen(["sleep", "300"])
    Path(sys.argv[1], "pid").write_text(str(child.pid))
    return child.wait()

Lanes({"one": [Stage("long", work)]}, Path(sys.argv[1], "logs")).run()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interruption_leaves_no_process_and_the_next_run_works(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    file = tmp_path / "pid"
    wait_until(lambda: file.exists() and file.read_text() != "")
    pid = int(file.read_text())
    process.send_signal(number)
    process.wait(timeout=30)
    wait_until(lambda: not alive(pid))
    assert Lanes({"one": [Stage("a", passes())]}, tmp_path / "logs").run().passed == 1
    assert [json.loads(path.read_text()) for path in (tmp_path / "logs").glob("*.json")] == [[1, 0, ""]]


def wait_until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
