# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads rendered manifests (``istioctl manifest generate``, ``helm template``, add-on files) into objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...documents.read import read_documents
from ...errors import MeshError
from ...kube.objects import unfolded


def parse_manifests(text: str, *, about: str) -> list[dict[str, Any]]:
    """The Kubernetes objects of a YAML stream, in order; ``List`` kinds unpacked, null fields left out.

    :param about: where the text comes from, for the error.
    :returns: one mapping per object.
    :raises InputError: when it is not YAML. :raises MeshError: a document is not a Kubernetes object.
    """
    objects: list[dict[str, Any]] = []
    for document, line in read_documents(text, about):
        for obj in unfolded(document):
            if not isinstance(obj, Mapping) or not obj.get("kind") or not obj.get("apiVersion"):
                raise MeshError(
                    f"{about}:{line}: a document is not a Kubernetes object (apiVersion and kind are missing)"
                )
            objects.append(_without_nulls(obj))
    for obj in objects:
        if not (obj.get("metadata") or {}).get("name"):
            raise MeshError(f"{about}: an object of kind {obj.get('kind')} has no name")
    return objects


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
    import yaml

    dumper: Any = type("TextDumper", (yaml.SafeDumper,), {})
    dumper.add_representer(str, _text)
    return str(yaml.dump(dict(obj), Dumper=dumper, default_flow_style=False, width=1000))


def _text(dumper: Any, value: str) -> Any:
    # A line that ends in a space cannot be written as a block.
    plain = "\n".join(line.rstrip() for line in value.splitlines())
    if "\n" not in plain:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", plain, style="|")
