"""Which tests can notice a change: those that run its line, or that use what its file defines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ..imports import Imports
from .operators import Mutant

_IMPORT_COST = 0.3  # seconds for collecting one more test file, about


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one test file runs. `tests`: test, or file for what its tests share, or "" -> {file: lines};
    `costs`: test -> CPU seconds; `failed`: tests that fail without any change.
    """

    tests: Mapping[str, Mapping[str, Sequence[int]]]
    costs: Mapping[str, float]
    failed: Sequence[str]


@dataclass(slots=True)
class CoverageMap:
    """The records of all test files, turned round: from a line to its tests."""

    imports: Imports
    costs: dict[str, float] = field(default_factory=dict)
    _runs: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    _imported: dict[str, set[int]] = field(default_factory=dict)

    def add(self, file: str, recorded: Recorded) -> None:
        """Take a test file's record in. Tests that fail without a change tell nothing, and are left out."""
        good = {test: cost for test, cost in recorded.costs.items() if test not in recorded.failed}
        self.costs.update(good)
        for context, files in recorded.tests.items():
            if context == "":
                for name, lines in files.items():
                    self._imported.setdefault(name, set()).update(lines)
                continue
            tests = set(good) if context == file else {context} & set(good)
            for name, lines in files.items():
                by_line = self._runs.setdefault(name, {})
                for line in lines:
                    by_line.setdefault(line, set()).update(tests)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that may notice it, those that tell soonest first."""
        by_line = self._runs.get(mutant.path, {})
        own = _tests(by_line, mutant.line, mutant.end_line) or _tests(by_line, *mutant.lines)
        if self._is_imported(mutant):
            # A test that imports the module by itself runs the line too, but the others use it as much.
            own = own | self._users(mutant.path)
        return self._in_order(own, mutant.path)

    def _is_imported(self, mutant: Mutant) -> bool:
        first, last = min(mutant.line, mutant.lines[0]), max(mutant.end_line, mutant.lines[1])
        return any(line in self._imported.get(mutant.path, ()) for line in range(first, last + 1))

    def _users(self, path: str) -> set[str]:
        """What runs at import is noticed where its names are used: here, and in the files that import it."""
        importers = self.imports.importers[path]
        found = {
            test
            for name in {path, *importers}
            for tests in self._runs.get(name, {}).values()
            for test in tests
        }
        return found | {test for test in self.costs if test.partition("::")[0] in importers}

    def _in_order(self, tests: set[str], path: str) -> list[str]:
        """File by file; the files in the room of the changed one first, then those that cost least."""
        files: dict[str, list[str]] = {}
        for test in sorted(tests, key=lambda test: (self.costs[test], test)):
            files.setdefault(test.partition("::")[0], []).append(test)
        room = str(PurePosixPath(path).parent).replace("plugins/module_utils", "tests/unit")

        def costs(file: str) -> tuple[float, str]:
            near = str(PurePosixPath(file).parent) == room
            return (_IMPORT_COST + self.cost(files[file])) * (0.25 if near else 1.0), file

        return [test for file in sorted(files, key=costs) for test in files[file]]

    def cost(self, tests: Sequence[str]) -> float:
        """CPU seconds of these tests without a change."""
        return sum(self.costs[test] for test in tests)

    def batches(self, tests: Sequence[str]) -> list[list[str]]:
        """A quick first part, which most changes do not get past, and the rest."""
        found: list[list[str]] = [[]]
        spent = 0.0
        last = ""
        for test in tests:
            file = test.partition("::")[0]
            if file != last:
                if found[-1] and len(found) < 3 and spent > len(found) ** 2:
                    found.append([])
                spent += _IMPORT_COST
                last = file
            spent += self.costs[test]
            found[-1].append(test)
        return [batch for batch in found if batch]


def _tests(by_line: Mapping[int, set[str]], first: int, last: int) -> set[str]:
    return {test for line in range(first, last + 1) for test in by_line.get(line, ())}
