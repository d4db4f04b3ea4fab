# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user hands in: definitions in files and options, and parts of a catalogue, each with its place."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...documents.read import read_documents
from ...errors import InputError, Problem
from ...kube.objects import unfolded
from .files import Source

Definition = tuple[Any, str]
"""Something that should be an object, and where it stands (``file:line``, or an option)."""

# Written by the server; in a manifest they are left-overs of `kubectl get -o yaml`.
_SERVER_METADATA = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")


def from_sources(sources: Sequence[Source]) -> list[Definition]:
    """All definitions of the files; lists are unfolded. :raises InputError: neither YAML nor JSON.

    :returns: in the order of the files.
    """
    return [found for source in sources for found in _from_text(source["text"], source["path"])]


def _from_text(text: str, about: str) -> list[Definition]:
    return [
        (part, f"{about}:{line}")
        for document, line in read_documents(text, about)
        for part in unfolded(document)
    ]


def inline(definition: Any, option: str) -> list[Definition]:
    """The definitions of an option: a mapping, a list of them, or text with YAML documents.

    :returns: in their order.
    :raises InputError: something else, or a text that is neither YAML nor JSON.
    """
    if definition is None:
        return []
    if isinstance(definition, str):
        return _from_text(definition, option)
    if isinstance(definition, list):
        return [
            found for index, item in enumerate(definition) for found in inline(item, f"{option}[{index}]")
        ]
    if not isinstance(definition, Mapping):
        message = f"is {type(definition).__name__}, not an object, a list or text"
        raise InputError([Problem(option, message, "object")])
    if faults := list(_unsendable(definition, option)):
        raise InputError(faults)
    parts = unfolded(definition)
    if len(parts) == 1 and parts[0] is definition:
        return [(definition, option)]
    return [(part, f"{option}.items[{index}]") for index, part in enumerate(parts)]


def _unsendable(definition: Mapping[str, Any], option: str) -> Iterator[Problem]:
    """What Ansible's YAML and filters make, and no JSON can hold: a date in a playbook is no text."""
    rest: list[tuple[Any, str]] = [(definition, "")]
    while rest:
        value, path = rest.pop()
        if isinstance(value, Mapping):
            rest += [(inner, f"{path}.{key}" if path else str(key)) for key, inner in value.items()]
        elif isinstance(value, list | tuple):
            rest += [(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            yield Problem(option, f"{path} is {value}, which JSON cannot hold: put it in quotes", "object")
        elif isinstance(value, str):
            if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
                yield Problem(option, f"{path} is not UTF-8 text", "object")
        elif value is not None and not isinstance(value, bool | int | float):
            kind = type(value).__name__
            yield Problem(option, f"{path} is a {kind}, which JSON cannot hold: put it in quotes", "object")


def stripped(obj: Any) -> Any:
    """An object without what only the server writes; anything else as it is."""
    if not isinstance(obj, Mapping):
        return obj
    metadata = obj.get("metadata")
    kept = {key: value for key, value in obj.items() if key != "status"}
    if isinstance(metadata, Mapping):
        kept["metadata"] = {
            key: value for key, value in metadata.items() if key not in _SERVER_METADATA and value is not None
        }
    return kept


def with_hash(obj: dict[str, Any]) -> dict[str, Any]:
    """A ConfigMap or Secret whose name ends in a hash of its content; any other object as it is.

    Pods that name it are rolled when it changes, and a rollback finds the old content.

    :returns: a copy with the new name.
    """
    if obj["apiVersion"] != "v1" or obj["kind"] not in ("ConfigMap", "Secret"):
        return obj
    content = {key: obj.get(key) for key in ("kind", "type", "data", "binaryData", "stringData")}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return {**obj, "metadata": {**obj["metadata"], "name": f"{obj['metadata']['name']}-{digest}"}}


def in_one_catalogue(sources: Sequence[Source], extra: Any) -> dict[str, Any] | None:
    """The catalogue of files, in their order, and of an option; ``None`` when there is none.

    :returns: its ``mesh_*`` keys. :raises InputError: a key in two places, or a part that is no mapping.
    """
    parts = [
        (document, f"{source['path']}:{line}")
        for source in sources
        for document, line in read_documents(source["text"], source["path"])
    ]
    parts += [(extra, "catalogue")] if extra else []
    if not parts:
        return None
    catalogue: dict[str, Any] = {}
    origin: dict[str, str] = {}
    problems = []
    for part, where in parts:
        if not isinstance(part, Mapping):
            problems.append(Problem(where, "is not a mapping with mesh_* keys", "catalogue"))
            continue
        for key, value in part.items():
            if key in origin:
                problems.append(Problem(where, f"{key} is also in {origin[key]}", "catalogue"))
            origin[key], catalogue[key] = where, value
    if problems:
        raise InputError(problems)
    return catalogue
