# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds values from PyYAML's parser events: one pass, its depth and every repetition counted exactly.

libyaml's composer has no guard of its own: nesting overflows its C stack. Its parser keeps a list instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..errors import InputError, MeshError, Problem
from .scalars import UnreadableScalarError, has_half_pairs, key_text, resolved

MAX_DEPTH = 200
# What aliases may repeat in one text, in characters; every node counts for _NODE_SIZE of them. A "billion
# laughs" exceeds it within milliseconds.
MAX_REPEATED = 16 * 1024 * 1024
_NODE_SIZE = 16
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset(("!", f"{_TAG}str", f"{_TAG}timestamp"))
_VALUE_TAGS: dict[str, tuple[type, ...]] = {
    f"{_TAG}null": (type(None),),
    f"{_TAG}bool": (bool,),
    f"{_TAG}int": (int,),
    f"{_TAG}float": (float, int),
}
_KNOWN_TAGS = frozenset(
    ("!vault", "!unsafe", *(f"!!{name}" for name in ("binary", "omap", "pairs", "set", "map", "seq")))
)
_MERGE_TAG = f"{_TAG}merge"
_COLLECTION_TAGS = frozenset((None, "!", f"{_TAG}map", f"{_TAG}seq"))
# Both parsers refuse a tab as indentation, in words that help nobody.
_TAB_INDENT = re.compile(r" *\t")
_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ABSENT: Any = object()


def read_yaml(text: str, about: str) -> list[tuple[Any, int]]:
    """All documents of a YAML text.

    :returns: pairs of value and line (from 1). :raises InputError: see ``documents.read``.
    :raises MeshError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MeshError(
            "the Python package 'PyYAML' is needed where this task runs", missing="yaml"
        ) from error

    try:
        parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            found = _Builder(yaml, parser.get_event, about).documents()
        finally:
            parser.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError([_syntax_problem(error, mark.line if mark else 0, text, about)]) from None
    except (yaml.YAMLError, UnicodeEncodeError):
        raise InputError([_character_problem(text, about)]) from None
    if has_half_pairs(text, found):  # PyYAML without libyaml lets them pass
        message = "is not valid YAML: an escape of a surrogate, which is no character"
        raise InputError([Problem(about, message, "yaml")])
    return found


def _character_problem(text: str, about: str) -> Problem:
    """The first character that no YAML text may hold."""
    found = _UNPRINTABLE.search(text)
    if found is None:
        return Problem(about, "is not valid YAML: cannot be decoded", "yaml")
    line = text.count("\n", 0, found.start()) + 1
    message = f"holds the character U+{ord(found.group()):04X}, which YAML does not allow"
    return Problem(f"{about}:{line}", message, "yaml")


def _syntax_problem(error: Any, line: int, text: str, about: str) -> Problem:
    lines = text.split("\n", line + 1)
    if line < len(lines) and _TAB_INDENT.match(lines[line]):
        message = "a tab indents this line: YAML wants spaces"
    else:
        message = str(error.problem or error.context or "cannot be parsed")
    return Problem(f"{about}:{line + 1}", f"is not valid YAML: {message}", "yaml")


class _Anchor:
    """A value that aliases can repeat. ``size`` and ``height`` are measured at the first alias."""

    __slots__ = ("height", "size", "value")

    def __init__(self) -> None:
        self.value: Any = _ABSENT
        self.size = 0
        self.height = 0


class _Builder:
    """Builds the documents of one parser. ``depth`` counts the collections around a node."""

    def __init__(self, yaml: Any, next_event: Callable[[], Any], about: str) -> None:
        self._next = next_event
        self._about = about
        self._scalar, self._alias = yaml.ScalarEvent, yaml.AliasEvent
        self._mapping_start, self._mapping_end = yaml.MappingStartEvent, yaml.MappingEndEvent
        self._sequence_end = yaml.SequenceEndEvent
        self._document_start, self._stream_end = yaml.DocumentStartEvent, yaml.StreamEndEvent
        self._anchors: dict[str, _Anchor] = {}
        self._repeated = 0
        self._plain: dict[str, Any] = {}  # most scalars of a text occur more than once
        self._keys: dict[str, str] = {}

    def documents(self) -> list[tuple[Any, int]]:
        found: list[tuple[Any, int]] = []
        while True:
            event = self._next()
            if event.__class__ is self._stream_end:
                return found
            if event.__class__ is self._document_start:
                self._anchors.clear()
                event = self._next()
                line = event.start_mark.line + 1
                found.append((self._value(event, 0), line))

    def _value(self, event: Any, depth: int) -> Any:
        kind = event.__class__
        if kind is self._scalar:
            if event.tag is None:
                value = event.value
                if event.implicit[0]:
                    known = self._plain.get(value, _ABSENT)
                    value = self._resolved(event) if known is _ABSENT else known
            else:
                value = self._tagged(event)
            if event.anchor is not None:
                self._anchors[event.anchor] = anchor = _Anchor()
                anchor.value, anchor.size = value, _size_of(value)
            return value
        if kind is self._alias:
            return self._aliased(event, depth)
        return self._collection(event, depth + 1)

    def _collection(self, event: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self._error(event, f"is nested more than {MAX_DEPTH} levels deep", "yaml-depth")
        if event.tag not in _COLLECTION_TAGS:
            raise self._unknown_tag(event)
        anchor = None
        if event.anchor is not None:
            self._anchors[event.anchor] = anchor = _Anchor()
        is_mapping = event.__class__ is self._mapping_start
        value: Any = self._mapping(depth) if is_mapping else self._sequence(depth)
        if event.tag == f"{_TAG}{'seq' if is_mapping else 'map'}":
            raise self._error(event, f"is no {event.tag.removeprefix(_TAG)}", "yaml-tag")
        if anchor is not None:
            anchor.value = value
        return value

    def _sequence(self, depth: int) -> list[Any]:
        result: list[Any] = []
        while True:
            event = self._next()
            if event.__class__ is self._sequence_end:
                return result
            result.append(self._value(event, depth))

    def _mapping(self, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: Any = _ABSENT
        while True:
            event = self._next()
            if event.__class__ is self._mapping_end:
                break
            if event.__class__ is not self._scalar:
                raise self._error(event, "a key is not text", "yaml-key")
            if event.value == "<<" and (event.tag == _MERGE_TAG or (event.tag is None and event.implicit[0])):
                if merged is not _ABSENT:
                    raise self._error(event, "key '<<' occurs twice in one mapping", "duplicate-key")
                merged = self._merged(depth)
                continue
            key = self._key(event)
            if key in result:
                raise self._error(event, f"key '{key}' occurs twice in one mapping", "duplicate-key")
            result[key] = self._value(self._next(), depth)
        if merged is not _ABSENT:
            for source in merged:
                for key, value in source.items():
                    result.setdefault(key, value)
        return result

    def _merged(self, depth: int) -> list[dict[str, Any]]:
        """The mappings behind ``<<``: own keys win over them, and earlier ones over later ones."""
        event = self._next()
        value = self._value(event, depth)
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            raise self._error(event, "'<<' needs a mapping", "yaml-key")
        return sources

    def _key(self, event: Any) -> str:
        if event.anchor is not None:
            self._anchors[event.anchor] = anchor = _Anchor()
            anchor.value, anchor.size = event.value, _size_of(event.value)
        if event.tag is not None:
            value = self._tagged(event)
            if not isinstance(value, str):
                raise self._error(event, "a key is not text", "yaml-key")
            return value
        text = str(event.value)
        if not event.implicit[0]:
            return text
        known = self._keys.get(text)
        if known is None:
            try:
                known = self._keys[text] = key_text(text)
            except UnreadableScalarError as error:
                raise self._error(event, f"key '{text}' {error}", "yaml-key") from None
        return known

    def _resolved(self, event: Any) -> Any:
        try:
            value = self._plain[event.value] = resolved(event.value)
        except UnreadableScalarError as error:
            raise self._error(event, str(error), "yaml-number") from None
        return value

    def _tagged(self, event: Any) -> Any:
        if event.tag in _TEXT_TAGS:
            return event.value
        wanted = _VALUE_TAGS.get(event.tag)
        if wanted is None:
            raise self._unknown_tag(event)
        value = self._resolved(event)
        if type(value) not in wanted:
            raise self._error(event, f"is no {event.tag.removeprefix(_TAG)}", "yaml-tag")
        return value

    def _aliased(self, event: Any, depth: int) -> Any:
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            # Its name is not shown: a password that begins with * and has no quotes looks like an alias.
            raise self._error(event, "is not valid YAML: an alias (*) without an anchor before it", "yaml")
        if anchor.value is _ABSENT:
            raise self._error(event, "an alias (*) contains itself", "yaml")
        if not anchor.size:
            anchor.size, anchor.height = _measured(anchor.value)
        self._repeated += anchor.size
        if self._repeated > MAX_REPEATED:
            raise self._error(event, "repeats too much by aliases (aliases of aliases?)", "yaml-size")
        if depth + anchor.height > MAX_DEPTH:
            raise self._error(event, f"is nested more than {MAX_DEPTH} levels deep", "yaml-depth")
        return anchor.value

    def _unknown_tag(self, event: Any) -> InputError:
        tag = event.tag.replace(_TAG, "!!")
        # A password that begins with ! and has no quotes looks like a tag.
        known = tag if tag in _KNOWN_TAGS else "a tag (!)"
        about = f"has the tag {known}" if known == tag else f"has {known}"
        return self._error(event, f"{about}, which no Kubernetes object can hold", "yaml-tag")

    def _error(self, event: Any, message: str, rule: str) -> InputError:
        return InputError([Problem(f"{self._about}:{event.start_mark.line + 1}", message, rule)])


def _size_of(value: Any) -> int:
    return _NODE_SIZE + (len(value) if isinstance(value, str) else 0)


def _measured(value: Any) -> tuple[int, int]:
    """Size (no more of it than matters) and levels of collections of a value."""
    size, height = 0, 0
    level = [value]
    while level and size <= MAX_REPEATED:
        below: list[Any] = []
        for node in level:
            size += _size_of(node)
            if isinstance(node, dict):
                size += sum(map(len, node))
                below += node.values()
            elif isinstance(node, list):
                below += node
        height += any(isinstance(node, (dict, list)) for node in level)
        level = below
    return size, height
