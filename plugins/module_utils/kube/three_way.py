# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a live object when a tool replaces its old manifest by a new one, as Helm and kubectl do.

Their patch is made of three states: what the old manifest has and the new one lacks is taken out, what the
new one says is set, and everything else stays as it lives. Lists of built-in kinds are merged by key.

Sources: k8s.io/apimachinery pkg/util/strategicpatch (CreateThreeWayMergePatch), the ``patchStrategy`` and
``patchMergeKey`` tags of k8s.io/api, helm pkg/kube/client.go (createPatch).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..equality import same
from .objects import covers, is_built_in

_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "matchConditions": "name",
    "ownerReferences": "uid",
    "resourceClaims": "name",
    "secrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
    "webhooks": "name",
}
_PORT_KEYS = {"Service": "port"}
"""``ports`` of a Service; those of a container have ``containerPort``."""
_ATOMIC = {("ServiceAccount", "imagePullSecrets")}
_SETS = frozenset({"finalizers"})
_RETAIN = frozenset({"strategy", "volumes"})
"""Fields whose keys exclude each other: what the new manifest does not name goes (``retainKeys``)."""


def replaced(
    live: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> dict[str, Any] | None:
    """``live`` after ``old`` was replaced by ``new``.

    :param live: as the server returned it. :param old: the manifest that was written last.
    :returns: a new object; None when nothing has to be taken out of ``live``.
    """
    rules = _Rules(str(live.get("kind", "")), merges=is_built_in(str(new.get("apiVersion", ""))))
    kept = rules.without(live, old, new, "")
    if same(kept, live):
        return None
    merged: dict[str, Any] = rules.merged(kept, new, "")
    return merged


class _Rules:
    """How lists of one kind are merged.

    :param merges: whether by key at all; custom resources get a JSON merge patch, which replaces them.
    """

    def __init__(self, kind: str, *, merges: bool) -> None:
        self._kind, self._merges = kind, merges

    def _key(self, name: str) -> str:
        if not self._merges or (self._kind, name) in _ATOMIC:
            return ""
        if name == "ports":
            return _PORT_KEYS.get(self._kind, "containerPort")
        return _MERGE_KEYS.get(name, "")

    def without(self, live: Any, old: Any, new: Any, name: str) -> Any:
        """``live`` without what ``old`` has and ``new`` lacks."""
        if isinstance(live, Mapping) and isinstance(old, Mapping) and isinstance(new, Mapping):
            retains = self._merges and name in _RETAIN and not covers(live, new)
            return {
                key: self.without(value, old.get(key, type(value)()), new[key], key) if key in new else value
                for key, value in live.items()
                if key in new or not (key in old or retains)
            }
        if isinstance(live, list) and isinstance(old, list) and isinstance(new, list):
            return self._list_without(live, old, new, name)
        return live

    def _list_without(self, live: list[Any], old: list[Any], new: list[Any], name: str) -> list[Any]:
        if name in _SETS and self._merges:
            return [item for item in live if not _among(item, old) or _among(item, new)]
        key = self._key(name)  # without one, no item is found, and all stay
        kept = []
        for item in live:
            before, after = _found(old, key, item), _found(new, key, item)
            if before is not None and after is None:
                continue
            kept.append(self.without(item, before or {}, after, name) if after is not None else item)
        return kept

    def merged(self, live: Any, new: Any, name: str) -> Any:
        """``new`` laid over ``live``."""
        if isinstance(live, Mapping) and isinstance(new, Mapping):
            result = dict(live)
            for key, value in new.items():
                result[key] = self.merged(live[key], value, key) if key in live else copy.deepcopy(value)
            return result
        if isinstance(live, list) and isinstance(new, list):
            return self._list_merged(live, new, name)
        return copy.deepcopy(new)

    def _list_merged(self, live: list[Any], new: list[Any], name: str) -> list[Any]:
        if name in _SETS and self._merges:
            return [*live, *(item for item in new if not _among(item, live))]
        key = self._key(name)
        if not key:
            return copy.deepcopy(new)
        items = [
            self.merged(there, item, name) if (there := _found(live, key, item)) is not None else item
            for item in new
        ]
        extra = [item for item in live if _found(new, key, item) is None]
        order = [index for index in map(_position(live, key), items) if index is not None]
        if len(order) == len(items) and order == sorted(order):
            both = dict(zip(order, items, strict=True))
            return [both.get(index, item) for index, item in enumerate(live)]
        return [*items, *extra]


def _position(items: Sequence[Any], key: str) -> Any:
    def find(wanted: Any) -> int | None:
        for index, item in enumerate(items):
            if _has_same_key(item, key, wanted):
                return index
        return None

    return find


def _found(items: Sequence[Any], key: str, wanted: Any) -> Any | None:
    return next((item for item in items if _has_same_key(item, key, wanted)), None)


def _has_same_key(item: Any, key: str, wanted: Any) -> bool:
    return (
        isinstance(item, Mapping)
        and isinstance(wanted, Mapping)
        and key in item
        and key in wanted
        and same(item[key], wanted[key])
    )


def _among(item: Any, items: Sequence[Any]) -> bool:
    return any(same(item, other) for other in items)


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7386) that makes ``after`` of ``before``.

    :returns: the patch; ``{}`` when both are equal.
    """
    return dict(_changes(before, after))


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in before:
        if key not in after:
            yield key, None
    for key, value in after.items():
        if key not in before:
            yield key, value
        elif isinstance(value, Mapping) and isinstance(before[key], Mapping):
            if inner := merge_patch(before[key], value):
                yield key, inner
        elif not same(before[key], value):
            yield key, value
