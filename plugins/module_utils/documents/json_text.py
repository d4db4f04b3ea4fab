# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON, ten times as fast to read as YAML, under the same rules; and JSON that YAML parsers read, too."""

from __future__ import annotations

import json
import re
from typing import Any

from ..errors import InputError, Problem
from .scalars import UnreadableScalarError, has_half_pairs, real, whole
from .yaml_events import MAX_DEPTH

# Between two documents: white space, and the line that separates YAML documents.
_BETWEEN = re.compile(r"\s*(?:---[ \t]*(?:\r?\n|\Z)\s*)*")
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|([{\[])|([}\]])|(-?(?:NaN|Infinity))|(-?[0-9][0-9.eE+-]*)')
_PAIR = re.compile(r"\\\\|\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})")


class _RefusedError(Exception):
    """Valid for Python's parser, refused by ours: the exact place is looked for afterwards."""


def read_json(text: str, about: str) -> list[tuple[Any, int]] | None:
    """All documents of a JSON text, one after the other or with ``---`` between.

    :returns: pairs of value and line (from 1); ``None`` when it is not JSON (it may be YAML).
    :raises InputError: duplicate keys, NaN, numbers beyond 64 bits, depth, half surrogate pairs.
    """
    found: list[tuple[Any, int]] = []
    try:
        position = _BETWEEN.match(text).end()  # type: ignore[union-attr]  # it matches everywhere
        line = 1 + text.count("\n", 0, position)
        while position < len(text):
            value, end = _DECODER.raw_decode(text, position)
            found.append((value, line))
            position, before = _BETWEEN.match(text, end).end(), position  # type: ignore[union-attr]  # as above
            line += text.count("\n", before, position)
        if _is_too_deep([value for value, _unused in found]) or has_half_pairs(text, found):
            raise _RefusedError
    except (_RefusedError, UnreadableScalarError, RecursionError):
        raise InputError([_problem(text, about)]) from None
    except ValueError:
        return None
    return found


def from_json(text: str | bytes) -> Any:
    """What a program, a file or an annotation says in JSON, by Python's own rules.

    Whoever may annotate a pod, or answers out of one, can nest as many brackets as he likes: that is no JSON
    for anybody here, and not the end of a run that looks at all pods.

    :raises ValueError: it is no JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def json_text(value: Any, **options: Any) -> str:
    """JSON for readers that take it for YAML: the API server does with an apply, as do istioctl and Helm.

    YAML does not know surrogate pairs, so characters above U+FFFF stand for themselves. All others beyond
    ASCII are escaped, because YAML would take some of them for line breaks.

    :param options: for ``json.dumps``.
    """
    text = json.dumps(value, **options)
    if "\\ud" not in text:
        return text

    def whole_character(match: re.Match[str]) -> str:
        high, low = match.groups()
        if high is None:
            return match.group()
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)

    return _PAIR.sub(whole_character, text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RefusedError
    return result


def _constant(_name: str) -> Any:
    raise _RefusedError


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_constant, parse_int=whole, parse_float=real
)


def _is_too_deep(values: list[Any]) -> bool:
    level, depth = [value for value in values if isinstance(value, (dict, list))], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return True
        level = [
            inner
            for node in level
            for inner in (node.values() if node.__class__ is dict else node)
            if inner.__class__ is dict or inner.__class__ is list
        ]
    return False


def _problem(text: str, about: str) -> Problem:
    """What is wrong with JSON that Python's parser would take: the first place of it."""
    stack: list[set[str]] = []
    for match in _TOKEN.finditer(text):
        string, colon, opening, closing, constant, number = match.groups()
        message, rule = "", ""
        if opening:
            stack.append(set())
            if len(stack) > MAX_DEPTH:
                message, rule = f"is nested more than {MAX_DEPTH} levels deep", "yaml-depth"
        elif closing:
            stack.pop()
        elif constant:
            message, rule = "is no number that JSON knows: put it in quotes", "yaml-number"
        elif number:
            message, rule = _number_problem(number), "yaml-number"
        elif string:
            value = json.loads(string)
            if any("\ud800" <= character <= "\udfff" for character in value):
                message, rule = "holds half of a surrogate pair, which is no character", "yaml"
            elif colon and value in stack[-1]:
                message, rule = f"key '{value}' occurs twice in one mapping", "duplicate-key"
            elif colon:
                stack[-1].add(value)
        if message:
            return Problem(f"{about}:{text.count(chr(10), 0, match.start()) + 1}", message, rule)
    return Problem(about, "is not JSON that Kubernetes could hold", "yaml")


def _number_problem(text: str) -> str:
    try:
        real(text) if set(text) & set(".eE") else whole(text)
    except UnreadableScalarError as error:
        return str(error)
    return ""
