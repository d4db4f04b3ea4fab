# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the live objects that matter, with as few requests as the caller's rights allow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError
from ...kube.objects import Key, key_of

if TYPE_CHECKING:
    from ...kube.client import KubeClient

Kind = tuple[str, str]
# The objects of a few namespaces cost less than the whole cluster's, of which most may be none of ours.
_FEW_OBJECTS = 4
_FEW_NAMESPACES = 4


@dataclasses.dataclass(slots=True)
class Live:
    """What is there. ``missing`` are kinds that the server does not serve.

    What was listed by label only may exist without the label: the server's answer to an apply tells.
    """

    objects: dict[Key, dict[str, Any]] = dataclasses.field(default_factory=dict)
    missing: set[Kind] = dataclasses.field(default_factory=set)

    def get(self, obj: Mapping[str, Any]) -> dict[str, Any] | None:
        """The live object with the identity of ``obj``. :returns: the object, None when it does not exist."""
        return self.objects.get(key_of(obj))

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """All live objects of a kind. :returns: in no particular order."""
        return [obj for obj in self.objects.values() if obj["kind"] == kind]


def read_live(
    client: KubeClient,
    wanted: Sequence[Mapping[str, Any]],
    *,
    owned_kinds: Iterable[Kind] = (),
    selector: str | None = None,
) -> Live:
    """Read the live counterparts of ``wanted``, and of ``owned_kinds`` everything that ``selector`` finds.

    One LIST per kind: by label for owned kinds, else per namespace for a few of them (the others may hold a
    lot that is none of ours), else cluster-wide. Without the right to list cluster-wide: per namespace;
    without the right to list: object by object.
    """
    by_kind: dict[Kind, list[Mapping[str, Any]]] = {kind: [] for kind in owned_kinds}
    owned = set(by_kind)
    for obj in wanted:
        by_kind.setdefault((str(obj["apiVersion"]), str(obj["kind"])), []).append(obj)
    live = Live()

    def read(entry: tuple[Kind, list[Mapping[str, Any]]]) -> list[dict[str, Any]] | None:
        kind, objects = entry
        by_label = selector if kind in owned else None
        return _Reader(client, kind, objects, by_label).read()

    for kind, found in zip(by_kind, client.in_parallel(read, by_kind.items()), strict=True):
        if found is None:
            live.missing.add(kind)
            continue
        for obj in found:
            live.objects[key_of(obj)] = obj
    return live


class _Reader:
    """Reads one kind."""

    def __init__(
        self, client: KubeClient, kind: Kind, objects: Sequence[Mapping[str, Any]], selector: str | None
    ) -> None:
        self._client, self._kind, self._objects, self._selector = client, kind, objects, selector

    def read(self) -> list[dict[str, Any]] | None:
        """The live objects; ``None`` when the server does not serve the kind."""
        try:
            resource = self._client.resource(*self._kind)
        except ApiError as error:
            if error.reason == "NoKind":
                return None
            raise
        namespaces = sorted({str(obj["metadata"].get("namespace") or "") for obj in self._objects} - {""})
        if self._selector is None:
            if len(self._objects) <= (1 if resource.namespaced else _FEW_OBJECTS):
                return self._each()
            if resource.namespaced and len(namespaces) <= _FEW_NAMESPACES:
                return self._per_namespace(namespaces)
        try:
            return self._listed(None)
        except ApiError as error:
            if error.status != 403 or not (namespaces or self._objects):
                raise
        return self._per_namespace(namespaces) if resource.namespaced else self._each()

    def _listed(self, namespace: str | None) -> list[dict[str, Any]] | None:
        found = self._client.list(*self._kind, namespace, label_selector=self._selector)
        return None if found.missing else found.items

    def _per_namespace(self, namespaces: Sequence[str]) -> list[dict[str, Any]] | None:
        try:
            lists = self._client.in_parallel(self._listed, namespaces)
        except ApiError as error:
            if error.status != 403:
                raise
            return self._each()
        if any(found is None for found in lists):
            return None
        return [obj for found in lists for obj in found or ()]

    def _each(self) -> list[dict[str, Any]]:
        def get(obj: Mapping[str, Any]) -> dict[str, Any] | None:
            metadata = obj["metadata"]
            return self._client.get(*self._kind, str(metadata["name"]), metadata.get("namespace"))

        return [found for found in self._client.in_parallel(get, self._objects) if found is not None]
