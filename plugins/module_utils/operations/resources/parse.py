# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses manifests strictly: what a person meant, or an error with file and line.

YAML as Kubernetes reads it: duplicate keys are errors, dates stay text, and aliases may not multiply.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError, MeshError, Problem
from ...labels import COLLECTION

# More nodes than any manifest has; a "billion laughs" of aliases exceeds it within milliseconds.
MAX_NODES = 5_000_000
MAX_DEPTH = 200
_BRACKETS = re.compile(r"[\[\]{}]")
_DEEP_INDENT = re.compile(r"^[ \-?:]{200}", re.MULTILINE)
_CACHE_FROM_BYTES = 64 * 1024
_CACHE_SECONDS = 7 * 24 * 3600.0
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}

Document = tuple[Any, str]
"""A parsed document and where it stands (``file:line``)."""


def parse_documents(text: str, path: str) -> list[Document]:
    """All documents of a text, empty ones left out, lists (``kind: List``) unfolded.

    :param path: for messages. :raises InputError: not YAML or JSON, duplicate keys, too many nodes.
    """
    cached = _cached(text)
    if cached is not None:
        return [(obj, f"{path}:{line}") for obj, line in cached]
    found = _parse_json(text, path)
    if found is None:
        found = _parse_yaml(text, path)
    documents = [item for entry in found for item in _unfolded(*entry)]
    _remember(text, documents)
    return [(obj, f"{path}:{line}") for obj, line in documents]


def _unfolded(obj: Any, line: int) -> list[tuple[Any, int]]:
    if obj is None:
        return []
    if isinstance(obj, list):
        return [(item, line) for item in obj]
    if (
        isinstance(obj, Mapping)
        and str(obj.get("kind", "")).endswith("List")
        and isinstance(obj.get("items"), list)
    ):
        return [(item, line) for item in obj["items"]]
    return [(obj, line)]


def _parse_json(text: str, path: str) -> list[tuple[Any, int]] | None:
    """JSON is faster by far than YAML; ``None`` when it is not JSON."""
    if text.lstrip()[:1] not in ("{", "["):
        return None

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            keys = [pair[0] for pair in pairs]
            double = next(key for key in keys if keys.count(key) > 1)
            raise InputError([Problem(path, f"key '{double}' occurs twice in one object", "duplicate-key")])
        return result

    try:
        return [(json.loads(text, object_pairs_hook=unique), 1)]
    except ValueError:
        return None
    except RecursionError:
        raise InputError([Problem(path, "is nested too deeply", "yaml")]) from None


def _parse_yaml(text: str, path: str) -> list[tuple[Any, int]]:
    try:
        import yaml
    except ImportError as error:
        raise MeshError(
            "the Python package 'PyYAML' is needed where this task runs", missing="yaml"
        ) from error

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    documents = []
    try:
        _check_depth(yaml, text, path)
        while loader.check_node():
            node: Any = loader.get_node()
            documents.append((_Converter(path).convert(node), node.start_mark.line + 1))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = error.problem or error.context or "cannot be parsed"
        raise InputError([Problem(f"{path}{line}", f"is not valid YAML: {problem}", "yaml")]) from error
    except yaml.YAMLError as error:
        raise InputError(
            [Problem(path, f"is not valid YAML: {str(error).splitlines()[0]}", "yaml")]
        ) from error
    except RecursionError:
        raise InputError([Problem(path, "is nested too deeply", "yaml")]) from None
    finally:
        loader.dispose()
    return documents


def _check_depth(yaml: Any, text: str, path: str) -> None:
    """Refuse nesting that would overflow the C stack of libyaml's composer, which has no guard of its own.

    The exact depth needs a pass over all events, as long as half a parse; a bound on it decides whether that
    is needed: indentation and dashes for blocks, the balance of brackets for flow style.
    """
    balance = deepest = 0
    for bracket in _BRACKETS.findall(text) if text.count("[") + text.count("{") > MAX_DEPTH else ():
        balance += 1 if bracket in "[{" else -1
        deepest = max(deepest, balance)
    if deepest < MAX_DEPTH and not _DEEP_INDENT.search(text):
        return
    depth = 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1
                raise InputError([Problem(f"{path}:{line}", "is nested too deeply", "yaml")])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Converter:
    """Builds plain values from YAML nodes. Aliased nodes are built once and counted every time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._nodes = 0
        self._built: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()

    def convert(self, node: Any) -> Any:
        """The value of a node."""
        if node.value.__class__ is str:
            return _scalar(node.tag, node.value)
        key = id(node)
        known = self._built.get(key)
        if known is not None:
            self._count(known[1], node)
            return known[0]
        if key in self._open:
            raise self._error(node, "an alias contains itself", "yaml")
        self._open.add(key)
        before = self._nodes
        self._count(len(node.value), node)
        value = self._mapping(node) if node.id == "mapping" else [self.convert(item) for item in node.value]
        self._open.discard(key)
        self._built[key] = (value, self._nodes - before)
        return value

    def _mapping(self, node: Any) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[Any] = []
        for key_node, value_node in node.value:
            if key_node.id != "scalar":
                raise self._error(key_node, "a key is not text", "yaml")
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged.append(value_node)
                continue
            key = key_node.value
            if key in result:
                raise self._error(key_node, f"key '{key}' occurs twice in one mapping", "duplicate-key")
            result[key] = self.convert(value_node)
        for value_node in merged:
            sources = value_node.value if value_node.id == "sequence" else [value_node]
            for source in sources:
                if source.id != "mapping":
                    raise self._error(source, "'<<' needs a mapping", "yaml")
                for key, value in self.convert(source).items():
                    result.setdefault(key, value)
        return result

    def _count(self, number: int, node: Any) -> None:
        self._nodes += number
        if self._nodes > MAX_NODES:
            raise self._error(node, f"has more than {MAX_NODES} nodes (aliases of aliases?)", "yaml-size")

    def _error(self, node: Any, message: str, rule: str) -> InputError:
        return InputError([Problem(f"{self._path}:{node.start_mark.line + 1}", message, rule)])


def _scalar(tag: str, text: str) -> Any:
    """A scalar by YAML 1.1's tags, as Kubernetes reads them: dates and base-60 numbers stay text."""
    kind = tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return _BOOLEANS.get(text.lower(), text)
    if kind == "int":
        return _integer(text)
    if kind == "float":
        return _float(text)
    return text


def _integer(text: str) -> Any:
    digits = text.replace("_", "").lower()
    if ":" in digits:
        return text
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    for prefix, base in (("0x", 16), ("0b", 2), ("0o", 8)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    if len(digits) > 1 and digits.startswith("0"):
        return sign * int(digits, 8)
    return sign * int(digits)


def _float(text: str) -> Any:
    if ":" in text:
        return text
    plain = text.replace("_", "").lower()
    if plain.lstrip("+-") in (".inf", ".nan"):
        return text  # JSON has neither
    return float(plain)


def _cache_file(text: str) -> Path | None:
    """Large files only, and none that may hold secrets: those are not written anywhere."""
    if len(text) < _CACHE_FROM_BYTES or "Secret" in text or "PRIVATE KEY" in text:
        return None
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    digest = hashlib.sha256(b"1:" + text.encode()).hexdigest()
    return base / COLLECTION / f"parsed-{digest}.json"


def _cached(text: str) -> list[tuple[Any, int]] | None:
    file = _cache_file(text)
    try:
        return [(entry[0], entry[1]) for entry in json.loads(file.read_bytes())] if file else None
    except (OSError, ValueError, TypeError):
        return None


def _remember(text: str, documents: list[tuple[Any, int]]) -> None:
    """Keep the parsed form, which loads ten times as fast; drop forms that were not written for a week."""
    file = _cache_file(text)
    if file is None:
        return
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in file.parent.glob("parsed-*.json"):
            if time.time() - old.stat().st_mtime > _CACHE_SECONDS:
                old.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".parsed-")
        with os.fdopen(handle, "w", encoding="utf-8") as target:
            json.dump(documents, target, separators=(",", ":"))
        Path(name).replace(file)
    except (OSError, ValueError, TypeError):
        return
