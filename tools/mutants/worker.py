"""A process that works in one copy of the tree: records what tests run, and judges mutants.

`python -m tools.mutants.worker` with the copy as its working directory reads one task a line as JSON from
standard input and answers each by one line. Every pytest runs in a fork, which the libraries need not be
imported into again, and which may hang, exit or eat memory without taking the worker with it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import coverage
import pytest

from ..processes import end_with_parent

_PRELOADED = (
    "ansible.module_utils.basic", "ansible.plugins.action", "ansible.template", "cryptography.x509",
    "hypothesis", "jinja2", "kubernetes.client", "kubernetes.config", "kubernetes.dynamic",
    "kubernetes.stream", "requests", "xml.etree.ElementTree", "yaml",
)  # fmt: skip
_PYTEST = ("-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", "--hypothesis-seed=0")
IMPORTED = ""  # what runs when a file is imported: no test's own
MEMORY = 4 << 30
"""Bytes that tests may have. A loop that a change makes endless may keep what it makes, and the machine would
have no memory left long before the processor's time is over."""


class Recorder:
    """A pytest plugin: which lines of plugins/ each test runs, and what it costs.

    Lines of a fixture that several tests share belong to the whole file, under the file's own name.
    """

    def __init__(self, root: Path) -> None:
        self.costs: dict[str, float] = {}
        self.failed: list[str] = []
        self._root = root
        # The tracer in C is the one that knows contexts.
        os.environ["COVERAGE_CORE"] = "ctrace"
        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, source=[str(root / "plugins")], messages=False
        )
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        start = time.process_time()
        result = yield
        self.costs[item.nodeid] = time.process_time() - start
        self._coverage.switch_context(IMPORTED)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        if fixturedef.scope == "function":
            return (yield)
        test = request.session.items and os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        self._coverage.switch_context(test.partition("::")[0] if test else IMPORTED)
        try:
            return (yield)
        finally:
            self._coverage.switch_context(test or IMPORTED)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self.failed.append(report.nodeid)

    def result(self) -> dict[str, Any]:
        """`tests`: id -> {file: its lines}; `costs`: id -> CPU seconds; `failed`: ids."""
        self._coverage.stop()
        data = self._coverage.get_data()
        tests: dict[str, dict[str, list[int]]] = {}
        for file in data.measured_files():
            name = os.path.relpath(file, self._root)
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in contexts:
                    tests.setdefault(context, {}).setdefault(name, []).append(line)
        return {"tests": tests, "costs": self.costs, "failed": sorted(set(self.failed))}


class Chosen:
    """A pytest plugin: only these tests, in this order; remembers the first that fails.

    `tests`: test -> the CPU seconds that it takes without a change. One that takes much longer is ended by
    the kernel, and the process with it: the processor's time counts, which does not depend on what else runs
    here, and the clock's only for a test that waits for ever. With `usual`, what each costs of which nothing
    is known, all tests that were collected are asked, but those `without`.
    """

    def __init__(
        self, tests: Mapping[str, float], usual: float | None = None, without: Collection[str] = ()
    ) -> None:
        self._order = {test: number for number, test in enumerate(tests)}
        self._costs = tests
        self._usual, self._without = usual, without
        self.noticed_by = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        cost = self._costs[item.nodeid] if self._usual is None else self._usual
        signal.setitimer(signal.ITIMER_PROF, 2 + 5 * cost)
        signal.setitimer(signal.ITIMER_REAL, 20 + 30 * cost)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._usual is not None:
            items[:] = [item for item in items if item.nodeid not in self._without]
            return
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.noticed_by = self.noticed_by or report.nodeid


def record(root: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    """Run one test file with the recorder, in this process."""
    sys.dont_write_bytecode = False  # nothing is changed now: pytest may keep its own form of the tests
    recorder = Recorder(root)
    code = int(pytest.main([*_PYTEST, task["file"]], plugins=[recorder]))
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return {"tests": {}, "costs": {}, "failed": [task["file"]]}
    return recorder.result()


def judge(_root: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    """Run the chosen tests until one fails, in this process. :returns: `noticed_by`: the test, or ""."""
    chosen = Chosen(task["tests"], task.get("usual"), task.get("without", ()))
    files = task.get("files") or list(dict.fromkeys(test.partition("::")[0] for test in task["tests"]))
    code = int(pytest.main([*_PYTEST, "-x", *files], plugins=[chosen]))
    if code in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR) and not chosen.noticed_by:
        return {"trouble": f"pytest ended with {code}"}
    if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return {"noticed_by": ""}
    return {"noticed_by": chosen.noticed_by or "the import of the tests"}


def in_fork(
    work: Callable[[Path, Mapping[str, Any]], dict[str, Any]], root: Path, task: Mapping[str, Any]
) -> dict[str, Any]:
    """Do the work in a fork, within `task["limit"]` CPU seconds and 20 times as many of the clock.

    :returns: what it returned; ``{"ended": why}`` when it came to no end of its own; ``{"stalled": why}``
        when the clock or the machine ended it, not the processor's time that it used, which says nothing
        before the same was tried without the change; ``{"trouble": why}`` when it could not be done at all.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(work, root, task, writer)
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as stream:
        text, late = _read(stream, time.monotonic() + 20 * float(task["limit"]))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if text.endswith(b"\n"):
        answer: dict[str, Any] = json.loads(text)
        return answer
    ended = os.waitstatus_to_exitcode(status)
    if late or ended in (-signal.SIGALRM, -signal.SIGKILL):  # killed: by us, or for the machine's memory
        return {"stalled": "waits for ever"}
    if ended in (-signal.SIGPROF, -signal.SIGXCPU):
        return {"ended": "time limit"}
    return {"ended": f"the tests' process ended ({ended})"}


def _read(stream: IO[bytes], deadline: float) -> tuple[bytes, bool]:
    """What the fork writes until its line is whole or nobody writes any more, and whether time ran out."""
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return text, True
        part = os.read(stream.fileno(), 1 << 16)
        if not part:
            break
        text += part
    return text, False


def _child(
    work: Callable[[Path, Mapping[str, Any]], dict[str, Any]],
    root: Path,
    task: Mapping[str, Any],
    writer: int,
) -> None:
    code = 1
    try:
        os.setpgid(0, 0)
        end_with_parent()()
        limit = int(float(task["limit"])) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silent, descriptor)
        text = json.dumps(work(root, task)).encode() + b"\n"
        while text:
            text = text[os.write(writer, text) :]
        code = 0
    except BaseException:  # whatever it is, the fork must not return
        os.write(writer, json.dumps({"trouble": traceback.format_exc()}).encode() + b"\n")
    finally:
        os._exit(code)


def answer(root: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    """One task. With `code`, `path` has this content while the tests run."""
    if "file" in task:
        return in_fork(record, root, task)
    path = root / task["path"]
    original = path.read_bytes()
    try:
        path.write_text(task["code"], encoding="utf-8")
        return in_fork(judge, root, task)
    finally:
        path.write_bytes(original)


def main() -> int:
    """Answer until standard input ends."""
    end_with_parent()()
    root = Path.cwd()
    # Which bytecode fits a source is told by its content (see trees): a mutant of the same size, written in
    # the same second, must not be taken for what it replaced.
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(root), str(root / "collections")]
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(root, json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
