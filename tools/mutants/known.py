"""Verdicts of earlier runs, as long as nothing has changed that they rest on."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path

from .operators import Mutant
from .report import Verdict
from .sources import Sources


class Known:
    """One file of verdicts.

    A mutant stays noticed while the test file that noticed it has the same key, which covers the changed file
    (see `Sources.key`), and survives while the keys of all test files that run it are the same.
    """

    def __init__(self, path: Path, imports: Sources) -> None:
        self._path = path
        self._imports = imports
        self._lock = threading.Lock()
        self._keys: dict[str, str] = {}
        try:
            content = json.loads(path.read_text())
            self._verdicts: dict[str, list[str]] = content["verdicts"]
            self._types: dict[str, tuple[str, str]] = content["types"]
        except (OSError, ValueError, KeyError):
            self._verdicts, self._types = {}, {}

    def find(self, mutant: Mutant, tests: Sequence[str]) -> Verdict | None:
        """The verdict of an earlier run with the same code and tests."""
        noticed_by, why, key = self._verdicts.get(self._name(mutant), ("", "", ""))
        wanted = self._key([noticed_by] if "::" in noticed_by else tests)
        return Verdict(mutant, noticed_by, why) if key == wanted else None

    def keep(self, verdict: Verdict, tests: Sequence[str]) -> None:
        """Remember a verdict; written by `save`."""
        by = verdict.noticed_by
        with self._lock:
            key = self._key([by] if "::" in by else tests)
            self._verdicts[self._name(verdict.mutant)] = [by, verdict.why, key]

    def save(self) -> None:
        """Write the file, whole or not at all."""
        with self._lock:
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps({"verdicts": self._verdicts, "types": self._types}))
            draft.replace(self._path)

    def types(self, mutant: Mutant) -> bool | None:
        """Whether the type check finds this mutant, if an earlier run has asked."""
        text, digest = self._types.get(self._name(mutant), ("", ""))
        return text == "refused" if digest == self._imports.digests[mutant.path] else None

    def keep_types(self, mutant: Mutant, refused: bool) -> None:
        """Remember what the type check said; it is asked again when the file changes."""
        answer = "refused" if refused else "admitted"
        self._types[self._name(mutant)] = (answer, self._imports.digests[mutant.path])

    @staticmethod
    def _name(mutant: Mutant) -> str:
        return f"{mutant.path}:{mutant.line}:{mutant.column}: {mutant.change}"

    def _key(self, tests: Sequence[str]) -> str:
        files = sorted({test.partition("::")[0] for test in tests})
        for file in files:
            if file not in self._keys:
                gone = file not in self._imports.files  # the test that noticed it has moved
                self._keys[file] = "gone" if gone else self._imports.key(file)
        return hashlib.sha256(" ".join(self._keys[file] for file in files).encode()).hexdigest()[:16]
