# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads fields out of Kubernetes and Envoy objects, which are plain mappings with optional parts.

As apimachinery's ``unstructured.NestedMap`` and its like: an absent or null field is empty, a field of
another type is an error that names object and field. An object of an unexpected shape must never look like an
empty one: a judge would take it for "nothing there".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import MalformedError
from .object_id import object_id

Object = Mapping[str, Any]
# Asking an abstract class takes longer than the rest of a look, and nearly all are plain.
_MAPPING = (dict, Mapping)


def field(obj: Object | None, *path: str) -> Any:
    """The value at ``path``; None when it, or a mapping on the way, is absent or null.

    :param obj: None counts as an object without fields.
    :raises MalformedError: something on the way is no mapping.
    """
    value: Any = obj
    for depth, key in enumerate(path):
        if value is None:
            return None
        if not isinstance(value, _MAPPING):
            raise _malformed(obj, path[:depth], value, "a mapping")
        value = value.get(key)
    return value


def mapping_at(obj: Object | None, *path: str) -> Mapping[str, Any]:
    """The mapping at ``path``. :returns: ``{}`` when it is absent. :raises MalformedError: it is none."""
    value = field(obj, *path)
    if value is None:
        return {}
    if not isinstance(value, _MAPPING):
        raise _malformed(obj, path, value, "a mapping")
    return value


def list_at(obj: Object | None, *path: str) -> Sequence[Any]:
    """The list at ``path``. :returns: ``()`` when it is absent. :raises MalformedError: it is no list."""
    value = field(obj, *path)
    if value is None:
        return ()
    if isinstance(value, (str, bytes)) or not isinstance(value, (list, Sequence)):
        raise _malformed(obj, path, value, "a list")
    return value


def mappings_at(obj: Object | None, *path: str) -> Sequence[Mapping[str, Any]]:
    """The list of mappings at ``path``. :returns: ``()`` when it is absent.

    :raises MalformedError: it is no list, or holds something else.
    """
    values = list_at(obj, *path)
    for index, value in enumerate(values):
        if not isinstance(value, _MAPPING):
            raise _malformed(obj, (*path, str(index)), value, "a mapping")
    return values


def text_at(obj: Object | None, *path: str) -> str:
    """The string at ``path``. :returns: ``""`` when it is absent. :raises MalformedError: it is no string."""
    value = field(obj, *path)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _malformed(obj, path, value, "a string")
    return value


def integer_at(obj: Object | None, *path: str, default: int = 0) -> int:
    """The whole number at ``path``. :returns: ``default`` when it is absent.

    :raises MalformedError: it is no whole number.
    """
    value = field(obj, *path)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise _malformed(obj, path, value, "a whole number")
    return value


def name_of(obj: Object) -> str:
    """``metadata.name``."""
    return text_at(obj, "metadata", "name")


def namespace_of(obj: Object) -> str:
    """``metadata.namespace``; empty for a cluster-scoped object."""
    return text_at(obj, "metadata", "namespace")


def age_order(obj: Object) -> tuple[str, str, str]:
    """Sorts objects as istiod does before the first counts: by age, then by name, then by namespace (istio
    pilot/pkg/model/config.go configCompareByCreationTime).

    :returns: the key of one object.
    """
    return text_at(obj, "metadata", "creationTimestamp"), name_of(obj), namespace_of(obj)


def labels_of(obj: Object | None) -> Mapping[str, str]:
    """``metadata.labels``. :returns: label key -> value."""
    return mapping_at(obj, "metadata", "labels")


def annotations_of(obj: Object | None) -> Mapping[str, str]:
    """``metadata.annotations``. :returns: annotation key -> value."""
    return mapping_at(obj, "metadata", "annotations")


def _malformed(obj: Any, path: Sequence[str], value: Any, wanted: str) -> MalformedError:
    known = isinstance(obj, Mapping) and isinstance(obj.get("metadata"), Mapping)
    subject = object_id(obj) if known else "an object"
    return MalformedError(f"{subject}: {'.'.join(path) or 'it'} is {type(value).__name__}, not {wanted}")
