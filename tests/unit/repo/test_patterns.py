"""Patterns match to the very end: `$` bears a newline behind it, and `isdigit` takes more than 0 to 9."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = sorted((ROOT / "plugins").rglob("*.py"))
_FUNCTIONS = {"compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
# What cannot be an end: escaped, or in a class.
_HARMLESS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)


def patterns(source: str) -> Iterator[tuple[int, str]]:
    """The constant patterns that are handed to ``re``, with their lines."""
    if not re.search(r"\bre\.", source):
        return  # it has none, and is not parsed for that
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if "MULTILINE" in "".join(ast.unparse(other) for other in (*node.args[1:], *node.keywords)):
            continue  # there it is the end of a line, which is meant
        of_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
        if of_re and node.func.attr in _FUNCTIONS:
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str | bytes):
                    text = part.value if isinstance(part.value, str) else part.value.decode("latin-1")
                    yield node.lineno, text


def ends_loosely(pattern: str) -> bool:
    return "$" in _HARMLESS.sub("", pattern)


def loose_digits(source: str) -> list[int]:
    """The lines that ask ``isdigit`` of a text that may hold any character."""
    names = ("isdigit", "isdecimal", "isnumeric")
    if not any(name in source for name in names):
        return []
    lines = source.splitlines()
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in names and "isascii" not in lines[node.lineno - 1]
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pattern_ends_in_a_dollar(path: Path) -> None:
    found = [(line, text) for line, text in patterns(path.read_text(encoding="utf-8")) if ends_loosely(text)]
    assert found == [], "use fullmatch or \\Z"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "plugins/module_utils/model").rglob("*.py")), ids=lambda path: path.name
)
def test_the_model_knows_digits_by_one_function(path: Path) -> None:
    # Of what was matched against ASCII before, and of dictionary keys that only choose how a path is written.
    known = {"values.py": 1, "reader.py": 1, "series.py": 1}
    assert len(loose_digits(path.read_text(encoding="utf-8"))) <= known.get(path.name, 0)


@pytest.mark.parametrize(
    ("text", "loose"),
    [("a$", True), (r"a\$", False), ("[$]", False), ("[^]$]", False), ("(?:a$|b)", True), (r"[\]$]x$", True)],
)
def test_the_scan_sees_what_it_looks_for(text: str, loose: bool) -> None:
    source = f"import re\nX = re.compile({text!r})\n"
    assert [ends_loosely(pattern) for _line, pattern in patterns(source)] == [loose]
    assert loose_digits("a.isdigit()\na.isascii() and a.isdigit()\n") == [1]
