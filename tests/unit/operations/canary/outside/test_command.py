"""A command as a gate: it ends in time, with everything that it has started."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside.command import (
    MOST_KEPT,
    Ended,
    run_command,
)


def run(
    script: str,
    timeout: float = 10.0,
    given: dict[str, str] | None = None,
    cancelled: threading.Event | None = None,
) -> Ended:
    return run_command(
        [sys.executable, "-c", script],
        environment={"PATH": os.environ["PATH"], "ANSIBLE_VAULT_PASSWORD": "hidden"},
        given=given or {},
        stdin=b'{"run": "run-1"}',
        timeout=timeout,
        cancelled=cancelled or threading.Event(),
    )


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_it_reads_the_facts_and_says_something() -> None:
    assert run("import sys; print(sys.stdin.read())") == Ended(0, '{"run": "run-1"}\n')


def test_the_exit_code_and_both_outputs_come_back() -> None:
    ended = run("import sys; print('out'); sys.stdout.flush(); sys.stderr.write('err'); sys.exit(3)")
    assert (ended.code, ended.output) == (3, "out\nerr")


def test_it_gets_a_small_environment() -> None:
    ended = run("import os; print(sorted(os.environ))", given={"CANARY_RUN": "run-1"})
    names = set(eval(ended.output))  # noqa: S307 - what the line above printed
    assert {"CANARY_RUN", "PATH"} <= names
    assert "ANSIBLE_VAULT_PASSWORD" not in names


def test_there_is_no_shell() -> None:
    words = [sys.executable, "-c", "import sys; print(sys.argv[1:])", "$HOME; echo x", "a b"]
    ended = run_command(words, environment={}, given={}, stdin=b"", timeout=10, cancelled=threading.Event())
    assert ended.output == "['$HOME; echo x', 'a b']\n"


@pytest.mark.parametrize("word", ["/no/such/program", "/etc/passwd", "a\0b", ""])
def test_what_cannot_be_run_is_told(word: str) -> None:
    ended = run_command([word], environment={}, given={}, stdin=b"", timeout=1, cancelled=threading.Event())
    assert ended.code is None
    assert ended.trouble.startswith("cannot be run: ")


def test_its_children_end_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"""
import os, time, pathlib
if os.fork() == 0:
    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))
    time.sleep(60)
time.sleep(60)
"""
    began = time.monotonic()
    ended = run(script, timeout=1.0)
    assert (ended.code, ended.trouble) == (None, "did not end in 1 s")
    assert time.monotonic() - began < 8
    assert not is_alive(int(note.read_text()))


def test_a_child_that_is_left_behind_ends_as_well(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"""
import os, time, pathlib
if os.fork() == 0:
    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))
    time.sleep(60)
while not pathlib.Path({str(note)!r}).exists() or not pathlib.Path({str(note)!r}).read_text():
    time.sleep(0.01)
"""
    began = time.monotonic()
    assert run(script).code == 0
    assert time.monotonic() - began < 8
    deadline = time.monotonic() + 5
    while is_alive(int(note.read_text())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(int(note.read_text()))


def test_one_that_ignores_the_signal_is_killed() -> None:
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    began = time.monotonic()
    assert run(script, timeout=0.8).code is None
    assert time.monotonic() - began < 8


def test_one_that_says_on_the_signal_that_all_is_well_has_still_not_ended_in_time() -> None:
    script = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(60)"
    assert run(script, timeout=0.8) == Ended(None, "", "did not end in 0.8 s")


def test_somebody_who_left_the_group_does_not_hold_the_answer(tmp_path: Path) -> None:
    """The pipe stays open in the hands of a process that nobody knows."""
    script = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(6)
else:
    print('done', flush=True)
"""
    began = time.monotonic()
    ended = run(script)
    assert (ended.code, ended.output) == (0, "done\n")
    assert time.monotonic() - began < 4


def test_nobody_needs_it_any_more() -> None:
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    began = time.monotonic()
    assert run("import time; time.sleep(60)", cancelled=cancelled).trouble == "was no longer needed"
    assert time.monotonic() - began < 5


def test_of_endless_output_the_end_is_kept() -> None:
    ended = run("import sys; sys.stdout.write('a' * 1_000_000 + 'end')")
    assert (ended.code, len(ended.output)) == (0, MOST_KEPT)
    assert ended.output.endswith("aend")


def test_it_need_not_read_what_it_is_told() -> None:
    assert run("pass").code == 0


def test_a_signal_is_no_exit_code() -> None:
    assert run("import os; os.kill(os.getpid(), 9)").code == -9
