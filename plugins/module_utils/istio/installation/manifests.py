# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads rendered manifests (``istioctl manifest generate``, ``helm template``, add-on files) into objects."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import MeshError

YAML_IMPORT_ERROR: str | None = None
try:
    import yaml
except ImportError:
    YAML_IMPORT_ERROR = traceback.format_exc()


def parse_manifests(text: str, *, about: str) -> list[dict[str, Any]]:
    """The Kubernetes objects of a YAML stream, in order; ``List`` kinds unpacked, null fields left out.

    :param about: where the text comes from, for the error.
    :raises MeshError: when it is not YAML, or a document is not a Kubernetes object.
    """
    objects: list[dict[str, Any]] = []
    for document in load_yaml_documents(text, about=about):
        if document is None:
            continue
        if not isinstance(document, Mapping) or not document.get("kind") or not document.get("apiVersion"):
            raise MeshError(
                f"{about}: a document is not a Kubernetes object (apiVersion and kind are missing)"
            )
        if document["kind"] == "List":
            objects.extend(_without_nulls(item) for item in document.get("items") or ())
        else:
            objects.append(_without_nulls(document))
    for obj in objects:
        if not (obj.get("metadata") or {}).get("name"):
            raise MeshError(f"{about}: an object of kind {obj.get('kind')} has no name")
    return objects


def load_yaml_documents(text: str, *, about: str) -> list[Any]:
    """All documents of a YAML stream as JSON-like data; timestamps stay strings."""
    if YAML_IMPORT_ERROR is not None:
        raise MeshError("the Python package PyYAML is missing")
    loader = _loader()
    try:
        return list(loader(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        raise MeshError(
            f"{about} is not valid YAML{line}: {getattr(error, 'problem', None) or 'syntax error'}"
        ) from error


def _loader() -> Callable[[str], Any]:
    # libyaml reads a control plane's megabyte of CRDs in 0.2 s instead of 1.8 s.
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolvers = {
        first: [(tag, pattern) for tag, pattern in entries if tag != "tag:yaml.org,2002:timestamp"]
        for first, entries in base.yaml_implicit_resolvers.items()
    }
    plain = type("PlainLoader", (base,), {"yaml_implicit_resolvers": resolvers})
    return lambda text: yaml.load_all(text, Loader=plain)  # a SafeLoader without timestamps


def _without_nulls(value: Any) -> Any:
    # Charts write `annotations:` and `affinity: {x: null}`: for the API server a null field is an absent one.
    if isinstance(value, Mapping):
        return {str(key): _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def yaml_text(obj: Mapping[str, Any]) -> str:
    """The object as YAML for a diff. Texts of many lines stay lines, so that only the differing one shows."""
    if not obj:
        return ""
    dumper: Any = type("TextDumper", (yaml.SafeDumper,), {})
    dumper.add_representer(str, _text)
    return str(yaml.dump(dict(obj), Dumper=dumper, default_flow_style=False, width=1000))


def _text(dumper: Any, value: str) -> Any:
    # A line that ends in a space cannot be written as a block.
    plain = "\n".join(line.rstrip() for line in value.splitlines())
    if "\n" not in plain:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", plain, style="|")
