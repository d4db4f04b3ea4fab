# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads rendered manifests (``istioctl manifest generate``, ``helm template``, add-on files) into objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...documents.read import read_documents
from ...errors import MalformedError, MeshError
from ...fields import annotations_of, labels_of, name_of, namespace_of, text_at
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
        try:
            _check_identity(obj)
        except MalformedError as error:
            raise MeshError(f"{about}: {error}") from error
    return objects


def _check_identity(obj: Mapping[str, Any]) -> None:
    """What every reader of a manifest takes for granted. :raises MalformedError: it is not so."""
    kind = text_at(obj, "kind")
    text_at(obj, "apiVersion")
    if not name_of(obj):
        raise MalformedError(f"an object of kind {kind} has no name")
    namespace_of(obj)
    labels_of(obj)
    annotations_of(obj)


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
    plain = "\n".join(line.rstrip() for line in value.split("\n"))
    if "\n" not in plain:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", plain, style="|")
