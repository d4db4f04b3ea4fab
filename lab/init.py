"""Process 1 of a cluster: carries out a plan, reaps children, restarts nothing, stops in order.

It runs as a copy beside the plan, with nothing but the standard library, so that the clone that started it
may change or vanish. usage: init.py PLAN.json

The plan: {"status": FILE, "logs": DIRECTORY, "stay": BOOL, "steps": [STEP, ...]} and, if wanted,
"environment": {NAME: VALUE, ...}, which its programs get beside this process's own; with steps
  {"run": ARGV}                                      must exit with 0
  {"start": NAME, "argv": ARGV}                      a program that stays; its output goes to LOGS/NAME.log
  {"wait": NAME, "exec": ARGV, "timeout": SECONDS}   until ARGV exits with 0; fails early if program NAME dies
  {"wait": NAME, "url": URL, "ca": FILE, "cert": FILE, "key": FILE, "contains": TEXT, "timeout": SECONDS}
                                                     until it answers 200 with TEXT in the body
The status file is rewritten at every change: {"phase": starting|ready|failed|stopping, "programs": {NAME:
{"pid", "exit"}}, "done": [[WHAT, SECONDS], ...], "error": TEXT, "failed": NAME}.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Any


class StepError(Exception):
    """A step did not succeed; carries the name of the program to blame."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Stopped(BaseException):
    """SIGTERM arrived: leave whatever is being done."""


class Init:
    """Carries out one plan. Single-threaded: waitpid(-1) never races with a wait for one subprocess."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.programs: dict[str, dict[str, Any]] = {}
        self.status: dict[str, Any] = {"phase": "starting", "programs": self.programs, "done": []}
        self.began = time.monotonic()

    def write_status(self, **changes: Any) -> None:
        self.status.update(changes)
        path = Path(self.plan["status"])
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(self.status))
        draft.replace(path)

    def carry_out(self) -> None:
        """All steps, then stay until a signal comes (or leave, if the plan does not want to stay)."""
        try:
            self.write_status()
            for step in self.plan["steps"]:
                self.step(step)
            self.write_status(phase="ready", seconds=round(time.monotonic() - self.began, 1))
            while self.plan["stay"]:
                self.reap()
                time.sleep(0.1)
        except StepError as error:
            self.write_status(phase="failed", error=str(error), failed=error.name)
        except Stopped:
            pass
        self.stop()

    def step(self, step: dict[str, Any]) -> None:
        if "run" in step:
            done = subprocess.run(
                step["run"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
            )
            if done.returncode:
                command = " ".join(step["run"])
                raise StepError(
                    "init", f"{command}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}"
                )
        elif "start" in step:
            self.start(step["start"], step["argv"])
        else:
            self.wait(step)
            self.status["done"].append([step["wait"], round(time.monotonic() - self.began, 1)])
            self.write_status()

    def start(self, name: str, argv: list[str]) -> None:
        """Start one program in a session of its own, so that a signal for it never reaches another."""
        with (Path(self.plan["logs"]) / f"{name}.log").open("ab") as log:
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **self.plan.get("environment", {})},
                    start_new_session=True,
                    cwd="/",
                )
            except OSError as error:
                raise StepError(name, f"{argv[0]} does not start: {error.strerror}") from error
        process.returncode = 0  # reaped by us; this keeps Popen's destructor from waiting for it
        self.programs[name] = {"pid": process.pid, "exit": None}
        self.write_status()

    def wait(self, step: dict[str, Any]) -> None:
        deadline = time.monotonic() + step["timeout"]
        name = step["wait"]
        while True:
            seen = probe(step)
            if not seen:
                return
            self.reap()
            program = self.programs.get(name)
            if program and program["exit"] is not None:
                raise StepError(name, f"{name} ended with exit code {program['exit']} while it was starting")
            if time.monotonic() > deadline:
                raise StepError(name, f"{name} was not ready after {step['timeout']} s; last seen: {seen}")
            time.sleep(0.05)

    def reap(self) -> None:
        """Collect every dead child; note the death of a program. Orphans of containers go unmentioned."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for program in self.programs.values():
                if program["pid"] == pid:
                    program["exit"] = os.waitstatus_to_exitcode(status)
                    self.write_status()

    def stop(self) -> None:
        """End the programs in the reverse order of their start, each with a second of grace."""
        if self.status["phase"] != "failed":
            self.write_status(phase="stopping")
        for program in reversed(list(self.programs.values())):
            self.end(program, signal.SIGTERM, 1.0)
            self.end(program, signal.SIGKILL, 1.0)

    def end(self, program: dict[str, Any], number: int, grace: float) -> None:
        self.reap()
        if program["exit"] is not None:
            return
        os.kill(program["pid"], number)
        deadline = time.monotonic() + grace
        while program["exit"] is None and time.monotonic() < deadline:
            time.sleep(0.02)
            self.reap()


def probe(step: dict[str, Any]) -> str:
    """Empty when the awaited thing is there, else what was seen instead."""
    if "exec" in step:
        try:
            done = subprocess.run(
                step["exec"],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return (
            ""
            if done.returncode == 0
            else (done.stderr or done.stdout).strip()[-300:] or f"exit {done.returncode}"
        )
    context = None
    if step.get("ca"):
        context = ssl.create_default_context(cafile=step["ca"])
        if step.get("cert"):
            context.load_cert_chain(step["cert"], step["key"])
    try:
        with urllib.request.urlopen(step["url"], timeout=5, context=context) as answer:  # noqa: S310 (the plan's own URL)
            body = answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}: {error.read().decode(errors='replace')[-300:]}"
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    return "" if step.get("contains", "") in body else f"an answer without {step['contains']!r}"


def on_signal(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def main() -> int:
    init = Init(json.loads(Path(sys.argv[1]).read_text()))
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        init.carry_out()
    except Stopped:  # a second signal while stopping: leaving ends the whole process tree anyway
        return 1
    return 1 if init.status["phase"] == "failed" else 0


if __name__ == "__main__":
    sys.exit(main())
