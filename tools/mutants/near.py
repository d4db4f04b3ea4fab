"""Without learning first which test runs which line: the test files nearest to a change, and nobody else.

Quick on a busy machine, and a lower bound: what these do not notice, others still may.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from ..imports import Imports
from . import sample
from .operators import Mutant
from .pool import Answer, Task, Worker
from .report import NOT_RUN, STALLED, Verdict

FARTHEST = 2
"""Tests that import the file, or what imports it."""
MOST = 6
USUAL = 2.0
"""CPU seconds of a test of which nothing is known: five times as many are too many."""
LIMIT = 120


class Near:
    """Chooses the test files by imports, and tries mutants with them."""

    def __init__(self, imports: Imports, rooms: Sequence[str] | None, without: Sequence[str] | None) -> None:
        self._imports = imports
        self._rooms, self._without = rooms, without
        self._lock = threading.Lock()
        self._green: set[str] = set()
        self.red: set[str] = set()
        """Tests that fail without a change."""

    def files(self, path: str) -> list[str]:
        """The test files that import a file: directly first, of those the ones of its own room first.

        :returns: a few; of a file that no test is near to all that are the least far away.
        """
        distance = {path: 0}
        waiting = [path]
        for name in waiting:
            for importer in self._imports.importers[name]:
                if importer not in distance:
                    distance[importer] = distance[name] + 1
                    waiting.append(importer)
        room = str(PurePosixPath(path).parent).replace("plugins/module_utils", "tests/unit")
        found = [name for name in distance if sample.is_asked(name, self._rooms, self._without)]
        found.sort(key=lambda name: (distance[name], str(PurePosixPath(name).parent) != room, name))
        near = [name for name in found if distance[name] <= FARTHEST]
        return near[:MOST] or [name for name in found if distance[name] == distance[found[0]]]

    def verdict(
        self,
        mutant: Mutant,
        code: str,
        worker: Worker,
        settled: Callable[[Callable[[Task], Answer], Task, str], Answer],
    ) -> Verdict:
        """What becomes of a mutant. :param code: the file without the change."""
        files = self.files(mutant.path)
        if not files:
            return Verdict(mutant, "", NOT_RUN)
        task: dict[str, object] = {"path": mutant.path, "code": mutant.apply(code), "limit": LIMIT}
        task |= {"files": files, "tests": {}, "usual": USUAL}
        while True:
            answer = settled(worker.ask, {**task, "without": sorted(self.red)}, code)
            if "stalled" in answer:
                return Verdict(mutant, "", STALLED, untold=True)
            if "ended" in answer:
                unchanged = worker.ask({**task, "code": code, "without": sorted(self.red)})
                told = "noticed_by" in unchanged
                return Verdict(mutant, answer["ended"] if told else "", STALLED, untold=not told)
            noticed = answer["noticed_by"]
            if not noticed:
                return Verdict(mutant, "", f"{len(files)} files of tests are near it")
            if "::" not in noticed and not self._is_green("", mutant.path, code, worker, files):
                return Verdict(mutant, "", "these tests cannot be imported", untold=True)
            if "::" not in noticed or self._is_green(noticed, mutant.path, code, worker):
                return Verdict(mutant, noticed)

    def _is_green(self, test: str, path: str, code: str, worker: Worker, files: Sequence[str] = ()) -> bool:
        """Whether a test passes, or these files can be imported, without a change; it is asked once."""
        tests = {test: USUAL} if test else {}
        test = test or f"the import of {' and '.join(files)}"
        if test not in self._green and test not in self.red:
            task = {"path": path, "code": code, "tests": tests, "files": list(files), "limit": LIMIT}
            answer = worker.ask(task)
            with self._lock:
                (self._green if answer == {"noticed_by": ""} else self.red).add(test)
        return test in self._green
