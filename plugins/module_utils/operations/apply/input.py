# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the objects that are to be applied, all of them, before anything is asked or written."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Problem
from ...fields import labels_of, mapping_at
from ...kube.scopes import is_namespaced
from ...object_id import object_id, object_key

if TYPE_CHECKING:
    from ...kube.client import KubeClient

# Names become part of request paths. The server checks the rest (RFC 1123) itself.
_PATH_SAFE = re.compile(r"(?!\.{1,2}\Z)[^/%?#\s\x00-\x1f]{1,253}")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_OFTEN_EMPTY = ("labels", "annotations")
_API_VERSION = re.compile(r"([a-z0-9.-]+/)?v[a-z0-9]+")


def checked(objects: Sequence[Any], places: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The objects in the form in which they are applied, or every problem at once.

    ``stringData`` of a Secret becomes ``data``, as the server would do: else no proof could see it.

    :param places: where each object comes from, such as ``mesh.yml:12``; by default its index.
    :returns: copies, in their order.
    :raises InputError: not an object, no kind or name, unsafe names, or one object twice.
    """
    problems: list[Problem] = []
    result: list[dict[str, Any]] = []
    seen: dict[tuple[str, str], str] = {}  # the versions of a kind show one object
    for index, obj in enumerate(objects):
        where = places[index] if places else f"[{index}]"
        found = list(_problems(obj, where))
        problems += found
        if found:
            continue
        key = object_key(obj)
        if key in seen:
            problems.append(Problem(where, f"{object_id(obj)} is also in {seen[key]}", "duplicate-object"))
            continue
        seen[key] = where
        result.append(_normalised(obj))
    if problems:
        raise InputError(problems)
    return result


def _problems(obj: Any, where: str) -> Iterable[Problem]:
    if not isinstance(obj, Mapping):
        yield Problem(where, "is not a Kubernetes object", "object")
        return
    api_version, kind, metadata = obj.get("apiVersion"), obj.get("kind"), obj.get("metadata")
    if not isinstance(api_version, str) or not _API_VERSION.fullmatch(api_version):
        yield Problem(where, "has no valid apiVersion", "object")
    if not isinstance(kind, str) or not kind.isalnum():
        yield Problem(where, "has no valid kind", "object")
    if not isinstance(metadata, Mapping):
        yield Problem(where, "has no metadata", "object")
        return
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str) or not _PATH_SAFE.fullmatch(name):
        reason = (
            "generateName cannot be applied: give it a name"
            if "generateName" in metadata
            else "has no valid name"
        )
        yield Problem(where, reason, "object-name")
    if namespace is not None and (not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace)):
        yield Problem(where, "has no valid namespace", "object-namespace")
    for field in ("labels", "annotations"):
        values = metadata.get(field)
        if values is None:
            continue
        if not isinstance(values, Mapping):
            yield Problem(where, f"metadata.{field} is not a mapping", "object")
            continue
        for key, value in values.items():
            if not isinstance(value, str):
                yield Problem(where, _not_text(f"metadata.{field}[{key}]", value), "object")
    if kind == "Secret":
        yield from _secret_problems(obj, where)


def _secret_problems(obj: Mapping[str, Any], where: str) -> Iterable[Problem]:
    """Values of a Secret that are no text would be refused by the server, or become the text "None"."""
    for field in ("data", "stringData"):
        values = obj.get(field)
        if values is None:
            continue
        if not isinstance(values, Mapping):
            yield Problem(where, f"{field} is not a mapping", "secret")
            continue
        for key, value in values.items():
            if not isinstance(value, str):
                yield Problem(where, _not_text(f"{field}[{key}]", value), "secret")
            elif field == "data" and not _is_base64(value):
                yield Problem(where, f"data[{key}] is not base64: stringData takes plain text", "secret")


def _not_text(field: str, value: Any) -> str:
    """The value is not quoted: it may be a secret."""
    kind = "null" if value is None else type(value).__name__
    return f"{field} is {kind}, not text: put it in quotes"


def _is_base64(text: str) -> bool:
    try:
        # As Go's encoding/json reads []byte: padded standard base64; line breaks are ignored.
        base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except ValueError:
        return False
    return True


def _normalised(obj: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(obj)
    metadata = obj["metadata"]
    if any(not metadata.get(name) for name in _OFTEN_EMPTY if name in metadata):
        # An empty map says nothing, but the server records an owner for it and forgets the map itself.
        result["metadata"] = {
            key: value for key, value in metadata.items() if key not in _OFTEN_EMPTY or value
        }
    if obj["kind"] == "Secret" and "stringData" in obj:
        plain = mapping_at(obj, "stringData")
        result.pop("stringData")
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        if encoded:
            result["data"] = {**mapping_at(obj, "data"), **encoded}
    if obj["kind"] == "Namespace" and obj["apiVersion"] == "v1":
        # The server sets this label when it creates a namespace, in our name; an apply without it would give
        # it up again: a second run that changes something.
        labels = {**labels_of(obj), "kubernetes.io/metadata.name": metadata["name"]}
        result["metadata"] = {**result["metadata"], "labels": labels}
    return result


def with_scope(
    client: KubeClient,
    objects: Sequence[dict[str, Any]],
    namespace: str | None = None,
    places: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The objects with the namespace they go to. Kinds that the server does not serve (yet) stay as they are.

    :param namespace: for namespaced objects that name none. :param places: where each of them is written.
    :returns: copies, in their order.
    :raises InputError: a namespaced object without a namespace, or a cluster-wide one with one.
    """
    problems: list[Problem] = []
    result = []
    scopes = {(str(obj["apiVersion"]), str(obj["kind"])): None for obj in objects}
    namespaced = {kind: is_namespaced(client, kind, objects) for kind in scopes}
    for index, obj in enumerate(objects):
        where, what = (places[index], object_id(obj)) if places else (object_id(obj), "")
        scoped = namespaced[(str(obj["apiVersion"]), str(obj["kind"]))]
        own = obj["metadata"].get("namespace")
        if scoped and not own:
            if not namespace:
                problems.append(
                    Problem(
                        where,
                        "needs a namespace: none is given and none is guessed",
                        "object-namespace",
                        what,
                    )
                )
            result.append({**obj, "metadata": {**obj["metadata"], "namespace": namespace}})
        elif scoped is False and own:
            problems.append(Problem(where, "is cluster-wide but names a namespace", "object-namespace", what))
        else:
            result.append(obj)
    if problems:
        raise InputError(problems)
    return result
