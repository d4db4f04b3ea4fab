"""Who imports whom, read from the sources of the working tree: plugins, tests, lab and tools."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

_COLLECTION = ("ansible_collections", "servicemesh", "istio")
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


class Imports:
    """The Python files of a tree and what they import of each other. Paths are relative to the root."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.files = {name for name in names if name.endswith(".py")}
        self._root = root
        self._closures: dict[str, frozenset[str]] = {}
        # Read now: the tree will hold mutants later. File -> the files that it names in an import.
        self.direct = {name: frozenset(self._imports(name)) for name in self.files}

    @cached_property
    def importers(self) -> Mapping[str, frozenset[str]]:
        """File -> the files that name it in an import."""
        found: dict[str, set[str]] = {name: set() for name in self.files}
        for name, targets in self.direct.items():
            for target in targets:
                found[target].add(name)
        return {name: frozenset(names) for name, names in found.items()}

    def needed_by(self, name: str) -> frozenset[str]:
        """The file and all that it imports, however far away."""
        if name not in self._closures:
            self._closures[name] = _reached(self.direct, {name})
        return self._closures[name]

    def entries(self) -> tuple[str, ...]:
        """The files that load all others: those that no other loads, and whatever these leave out.

        :returns: paths, sorted.
        """
        loads = {name: frozenset(self._imports(name, _at_load)) - {name} for name in self.files}
        found = self.files - frozenset().union(*loads.values())
        return tuple(sorted(found | (self.files - _reached(loads, found))))

    def _imports(
        self, name: str, statements: Callable[[ast.Module], Iterable[ast.AST]] | None = None
    ) -> Iterator[str]:
        package = PurePosixPath(name).parent.parts
        for node in (statements or _statements)(ast.parse((self._root / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._file(tuple(alias.name.split(".")))
            elif isinstance(node, ast.ImportFrom):
                head = package[: len(package) - node.level + 1] if node.level else ()
                base = (*head, *(node.module.split(".") if node.module else ()))
                yield from self._file(base)
                for alias in node.names:
                    yield from self._file((*base, alias.name))

    def _file(self, parts: tuple[str, ...]) -> Iterator[str]:
        if parts[:3] == _COLLECTION:
            parts = parts[3:]
        if parts:
            path = "/".join(parts)
            yield from (name for name in (f"{path}.py", f"{path}/__init__.py") if name in self.files)


def _reached(edges: Mapping[str, frozenset[str]], names: Iterable[str]) -> frozenset[str]:
    """These files and all that the edges lead to, however far away."""
    seen = set(names)
    open_names = list(seen)
    while open_names:
        for target in edges[open_names.pop()] - seen:
            seen.add(target)
            open_names.append(target)
    return frozenset(seen)


def _at_load(tree: ast.Module) -> Iterable[ast.AST]:
    """Statements that run whenever a file is loaded: none below a condition, a try or a function."""
    return tree.body


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """All statements, however deep, and what holds them; no expression: those are most of a tree."""
    open_nodes: list[ast.AST] = [tree]
    while open_nodes:
        node = open_nodes.pop()
        yield node
        for name in _BODIES:
            open_nodes += getattr(node, name, ())
