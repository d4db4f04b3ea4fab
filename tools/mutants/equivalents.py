"""Changes that alter nothing: listed by hand, each with its reason, found by content and not by line number.

Blocks of tests/mutants-equivalent.txt, with an empty line between them::

    plugins/module_utils/kube/wait.py
    while True:
    True -> 1
    the loop is left by return only

that is: the file, the line of code, the change as ``make mutants`` prints it, and the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..screen import SetupError
from .operators import Mutant


@dataclass(frozen=True, slots=True)
class Equivalent:
    """One block of the list."""

    path: str
    source: str
    change: str
    reason: str

    def describes(self, mutant: Mutant) -> bool:
        """Whether this block is about that mutant."""
        return (self.path, self.source, self.change) == (mutant.path, mutant.source, mutant.change)


def read(path: Path) -> list[Equivalent]:
    """Read the list; lines that begin with ``#`` are left out.

    :raises SetupError: for a block of another form.
    """
    if not path.exists():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found = []
    for block in "\n".join(lines).strip().split("\n\n"):
        parts = [line.strip() for line in block.strip().splitlines()]
        if not parts:
            continue
        if len(parts) != 4 or not all(parts):
            raise SetupError(f"{path.name}: not a file, a line, a change and a reason: {' / '.join(parts)}")
        found.append(Equivalent(*parts))
    return found


def left_over(equivalents: Sequence[Equivalent], mutants: Sequence[Mutant]) -> list[Equivalent]:
    """Blocks that no mutant of their file fits any more: the code has changed, and the reason with it."""
    files = {mutant.path for mutant in mutants}
    return [
        block
        for block in equivalents
        if block.path in files and not any(block.describes(mutant) for mutant in mutants)
    ]
