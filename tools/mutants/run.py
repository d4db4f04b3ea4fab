"""One run: what is drawn, what the tests are known to run, and what became of every mutant."""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..paths import ROOT
from ..screen import SetupError, say
from . import equivalents, report, sample
from .coverage_map import CoverageMap, Recorded
from .known import Known
from .near import Near
from .operators import Mutant, is_change, mutants_of
from .pool import Answer, Pool, Task, Worker
from .report import Verdict
from .sources import Sources
from .trees import make
from .types_check import refused as refused_by_types

CACHE = ROOT / ".cache" / "mutants"
LIST = Path("tests") / "mutants-equivalent.txt"


class Run:
    """One run of the mutation tests."""

    def __init__(self, options: argparse.Namespace, trees: Sequence[Path]) -> None:
        self.options = options
        self._tree = trees[0]
        self.imports = Sources(self._tree, make(trees))
        self.map = CoverageMap(self.imports)
        self._near = Near(self.imports, options.tests, options.without) if options.near else None
        self.code: dict[str, str] = {}
        self.failing: list[str] = []
        self._packages: dict[str, list[Mutant]] = {}
        self._known_verdicts = Known(CACHE / "verdicts.json", self.imports)
        self._lock = threading.Lock()
        self._told = 0.0

    def mutants(self) -> list[Mutant]:
        """What is tried: the sample of the chosen packages. :raises SetupError: when there is none."""
        found: list[Mutant] = []
        for name in sorted(self.imports.files):
            if name.startswith(sample.MODULE_UTILS) and (
                not self.options.package or sample.lies_in(name, self.options.package)
            ):
                self.code[name] = (self._tree / name).read_text(encoding="utf-8")
                found += self._known(name)
        if not found:
            raise SetupError(f"no package is called {', '.join(self.options.package)}")
        harmless = equivalents.read(self._tree / LIST)
        for block in equivalents.left_over(harmless, found):
            raise SetupError(
                f"{LIST.name}: nothing fits any more: {block.path}: {block.source}: {block.change}"
            )
        found = [mutant for mutant in found if not any(block.describes(mutant) for block in harmless)]
        packages = self._packages = sample.by_package(found)
        sizes = {name: len(mutants) for name, mutants in packages.items()}
        quotas = sample.quotas(sizes, len(found) if self.options.all else self.options.sample)
        return [
            mutant for name, mutants in packages.items() for mutant in self._some(name, mutants, quotas[name])
        ]

    def further(self, verdicts: Sequence[Verdict], required: Sequence[str]) -> list[Mutant]:
        """More of each package that is below the threshold in so small a sample that chance may have done it.

        :returns: the next ones of the same draw.
        """
        found = report.counts(verdicts)
        tried = {verdict.mutant for verdict in verdicts}
        few = report.too_few(found, required, self.options.threshold, sample.ENOUGH)
        more: list[Mutant] = []
        for name in few:
            known = sum(sample.package_of(mutant.path) == name for mutant in tried)
            wanted = known + sample.ENOUGH - found[name].total
            more += [one for one in self._some(name, self._packages[name], wanted) if one not in tried]
        return more

    def _known(self, name: str) -> list[Mutant]:
        """The mutants of one file, read from the cache while file and operators are the same."""
        own = ("tools/mutants/operators.py", "requirements/mutants.txt", name)
        key = " ".join(self.imports.digests[part] for part in own)
        stored = CACHE / "found" / f"{name.replace('/', '.')}.json"
        try:
            known = json.loads(stored.read_text())
        except (OSError, ValueError):
            known = {}
        if known.get("key") == key:
            return [Mutant(**{**entry, "lines": tuple(entry["lines"])}) for entry in known["mutants"]]
        found = mutants_of(name, self.code[name])
        _write(stored, {"key": key, "mutants": [asdict(mutant) for mutant in found]})
        return found

    def _some(self, package: str, mutants: Sequence[Mutant], wanted: int) -> list[Mutant]:
        taken: list[Mutant] = []
        for mutant in sample.drawn(mutants, f"{self.options.seed} {package}"):
            if len(taken) == wanted:
                break
            if is_change(mutant, self.code[mutant.path]):
                taken.append(mutant)
        return taken

    def record(self, pool: Pool, paths: set[str]) -> None:
        """Learn what each test file that imports these paths runs; what is known is read from the cache."""
        if self._near:
            return
        missing: list[tuple[str, Path]] = []
        done = 0
        records = CACHE / "records"
        for file in sorted(self.imports.files):
            if not sample.is_asked(file, self.options.tests, self.options.without):
                continue
            if self.imports.needed_by(file) & paths:
                stored = records / f"{file.replace('/', '.')}.{self.imports.key(file)}.json"
                if stored.exists():
                    self._learn(file, json.loads(stored.read_text()))
                else:
                    missing.append((file, stored))
        if missing:
            say(f"==> which lines the tests of {len(missing)} files run")

        def one(file: str, stored: Path, worker: Worker) -> None:
            nonlocal done
            answer = worker.ask({"file": file, "limit": 600})
            if "ended" in answer or "stalled" in answer:
                answer = {"tests": {}, "costs": {}, "failed": [file]}
            with self._lock:
                done += 1
                self._learn(file, answer)
                self._progress(f"{done}/{len(missing)} files")
            if not answer["failed"]:
                for old in records.glob(f"{file.replace('/', '.')}.*.json"):
                    old.unlink(missing_ok=True)
                _write(stored, answer)

        pool.run(partial(one, file, stored) for file, stored in missing)

    def _learn(self, file: str, answer: dict[str, Any]) -> None:
        self.map.add(file, Recorded(answer["tests"], answer["costs"], answer["failed"]))
        self.failing += answer["failed"]

    def judge(self, pool: Pool, mutants: Sequence[Mutant]) -> list[Verdict]:
        """Try every mutant."""
        verdicts: list[Verdict] = []

        def one(mutant: Mutant, worker: Worker) -> None:
            verdict = self._verdict(mutant, worker)
            if not verdict.untold:
                self._known_verdicts.keep(verdict, self._asked(mutant))
            with self._lock:
                verdicts.append(verdict)
                noticed = sum(bool(found.noticed_by) for found in verdicts)
                self._progress(f"{len(verdicts)}/{len(mutants)} tried, {noticed} noticed")

        open_mutants = []
        for mutant in mutants:
            known = self._known_verdicts.find(mutant, self._asked(mutant))
            if known:
                verdicts.append(known)
            else:
                open_mutants.append(mutant)
        if verdicts:
            say(f"    {len(verdicts)} known from earlier runs with the same code and tests")
        try:
            pool.run(partial(one, mutant) for mutant in open_mutants)
        finally:
            self._known_verdicts.save()
            self.failing += sorted(self._near.red) if self._near else []
        return verdicts

    def _asked(self, mutant: Mutant) -> list[str]:
        """The tests that decide about it, or their files."""
        return self._near.files(mutant.path) if self._near else self.map.tests_of(mutant)

    def _verdict(self, mutant: Mutant, worker: Worker) -> Verdict:
        if self._near:
            return self._near.verdict(mutant, self.code[mutant.path], worker, settled)
        tests = self.map.tests_of(mutant)
        if not tests:
            return Verdict(mutant, "", report.NOT_RUN)
        code = mutant.apply(self.code[mutant.path])
        for batch in self.map.batches(tests):
            usual = self.map.cost(batch) + 0.5 * len({test.partition("::")[0] for test in batch})
            task = {
                "path": mutant.path,
                "code": code,
                "tests": {test: self.map.costs[test] for test in batch},
                "limit": 5 + 4 * usual,
            }
            answer = settled(worker.ask, task, self.code[mutant.path])
            if "stalled" in answer:
                return Verdict(mutant, "", report.STALLED, untold=True)
            noticed = answer.get("noticed_by") or answer.get("ended", "")
            if noticed:
                return Verdict(mutant, noticed)
        return Verdict(mutant, "", f"{len(tests)} tests run it")

    def check_types(self, verdicts: Sequence[Verdict], trees: Sequence[Path]) -> list[Verdict]:
        """Mark the survivors that the type check finds."""
        survivors = [verdict.mutant for verdict in verdicts if verdict.survived]
        unknown = [mutant for mutant in survivors if self._known_verdicts.types(mutant) is None]
        if unknown:
            say(f"==> types of {len(unknown)} survivors")
            refused = refused_by_types(unknown, self.code, trees, CACHE)
            for mutant in unknown:
                self._known_verdicts.keep_types(mutant, mutant in refused)
            self._known_verdicts.save()
        return [
            replace(verdict, untyped=verdict.survived and bool(self._known_verdicts.types(verdict.mutant)))
            for verdict in verdicts
        ]

    def _progress(self, text: str) -> None:
        if time.monotonic() - self._told > 10:
            self._told = time.monotonic()
            say(f"    {text}")


def settled(ask: Callable[[Task], Answer], task: Task, unchanged: str) -> Answer:
    """The answer to a task; of one that the clock has ended, only after the same tests have ended in time
    without the change: a busy machine stops tests too, and that must not count as noticed.

    :param unchanged: the file without the change.
    :returns: the answer; still ``stalled`` when the machine was too busy each time.
    """
    answer = ask(task)
    for _ in range(2):
        if "stalled" not in answer:
            break
        without = ask({**task, "code": unchanged})
        answer = ask(task)
        if "stalled" in answer and without == {"noticed_by": ""}:
            return {"ended": answer["stalled"]}
    return answer


def _write(path: Path, content: object) -> None:
    """Whole or not at all: whoever is killed leaves no half of it."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(path)
