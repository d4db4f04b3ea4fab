"""Public code says what it does and what it returns: a dict without its keys is a riddle to a reader."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CODE = ROOT / "plugins" / "module_utils"
CONTAINERS = {"dict", "list", "tuple", "Mapping", "Sequence"}
# A sentence that sends the reader away, in place of one that tells.
EMPTY = re.compile(
    r"(the same( as (above|before))?|as above|see (the module's documentation|above))\s*([.,:;]|$)",
    re.IGNORECASE,
)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    """Classes, functions and methods that others may use, by their dotted names."""

    def below(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Definition]]:
        for child in node.body:
            if isinstance(child, Definition) and not child.name.startswith("_"):
                yield prefix + child.name, child
                if isinstance(child, ast.ClassDef):
                    yield from below(child, f"{prefix}{child.name}.")

    yield from below(tree, "")


def returns_a_container(node: Definition) -> bool:
    """Whether a part of the annotation, such as ``dict[str, Any] | None``, is a container."""
    if isinstance(node, ast.ClassDef) or node.returns is None:
        return False
    parts = re.split(r"\s\|\s", ast.unparse(node.returns))
    return any(part.strip("'\"").split("[")[0] in CONTAINERS for part in parts)


def told_by_protocols(tree: ast.Module) -> set[str]:
    """Methods that a Protocol of the file documents: its implementations need not say it again."""
    return {
        method.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and ast.get_docstring(method)
    }


def faults(source: str) -> list[str]:
    """What is wrong with the docstrings of a file, as ``name: fault``."""
    tree = ast.parse(source)
    told, found = told_by_protocols(tree), []
    for name, node in public(tree):
        text = ast.get_docstring(node) or ""
        if not text and "." in name and node.name in told:
            continue
        if not text:
            found.append(f"{name}: no docstring")
        elif EMPTY.match(text):
            found.append(f"{name}: says nothing of its own")
        elif returns_a_container(node) and ":returns:" not in text:
            found.append(f"{name}: does not say the shape of what it returns (:returns:)")
        elif EMPTY.match(text.partition(":returns:")[2].strip()):
            found.append(f"{name}: :returns: says nothing")
    return found


@pytest.mark.parametrize("path", sorted(CODE.rglob("*.py")), ids=lambda path: str(path.relative_to(CODE)))
def test_docstrings_tell_what_a_reader_needs(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def f() -> int: ...", "f: no docstring"),
        ('def f() -> int:\n    """Counts."""', ""),
        (
            'def f() -> dict[str, int]:\n    """Counts."""',
            "f: does not say the shape of what it returns (:returns:)",
        ),
        (
            'def f() -> "list[int] | None":\n    """Counts."""',
            "f: does not say the shape of what it returns (:returns:)",
        ),
        ('def f() -> list[int]:\n    """Counts. :returns: one per thing."""', ""),
        ('def f() -> list[int]:\n    """Counts. :returns: as above."""', "f: :returns: says nothing"),
        ('def f() -> int:\n    """The same."""', "f: says nothing of its own"),
        ('def f() -> int:\n    """The same, twice."""', "f: says nothing of its own"),
        ('def f() -> int:\n    """The same value for all."""', ""),
        ("def _f() -> list[int]: ...", ""),
        ('class A:\n    """A."""\n    def f(self): ...', "A.f: no docstring"),
        ("class _A:\n    def f(self): ...", ""),
        (
            'class P(Protocol):\n    """P."""\n    def f(self):\n        """F."""\n'
            'class A:\n    """A."""\n    def f(self): ...',
            "",
        ),
        ('class P(Protocol):\n    """P."""\n    def f(self): ...', "P.f: no docstring"),
    ],
)
def test_faults_are_found(source: str, fault: str) -> None:
    assert faults(source) == ([fault] if fault else [])
