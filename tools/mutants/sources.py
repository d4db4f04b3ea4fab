"""The files of the working tree, who imports whom, and whether they are still what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..imports import Imports


class Sources(Imports):
    """A tree as it stands now, not only its Python: what was learnt of it holds while it stays so."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        super().__init__(root, names)
        self.digests = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}

    def key(self, test_file: str) -> str:
        """Changes whenever something changes that decides what the tests of this file run."""
        beside = PurePosixPath(test_file).parent
        data = {
            name
            for name in self.digests
            if name.startswith(("requirements/", f"{beside}/")) and not name.endswith(".py")
        }
        shared = {name for name in self.files if name.endswith("conftest.py")}
        names = sorted({*self.needed_by(test_file), *data, *shared, "tools/mutants/worker.py"})
        text = "\n".join(f"{name} {self.digests[name]}" for name in names)
        return hashlib.sha256(text.encode()).hexdigest()[:24]
