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
# So many objects in more namespaces than that are read one by one where the cluster has more of their kind
# than fit into one small page: a foreign kind may have thousands.
_SCATTERED = 16
_PAGE = 64
_FORBIDDEN: list[dict[str, Any]] = []
"""Stands for the list of a namespace in which a kind may not be listed."""


@dataclasses.dataclass(slots=True)
class Live:
    """What is there. ``missing`` are kinds that the server does not serve.

    What was listed by label only may exist without the label: the server's answer to an apply tells.
    ``confined`` are owned kinds that were looked for in some namespaces only, for want of the right to look
    everywhere, each with these namespaces (none at all when it may be listed nowhere).
    """

    objects: dict[Key, dict[str, Any]] = dataclasses.field(default_factory=dict)
    missing: set[Kind] = dataclasses.field(default_factory=set)
    confined: dict[Kind, tuple[str, ...]] = dataclasses.field(default_factory=dict)

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
    namespaces: Sequence[str] = (),
) -> Live:
    """Read the live counterparts of ``wanted``, and of ``owned_kinds`` everything that ``selector`` finds.

    One LIST per kind: by label for owned kinds, else per namespace for a few of them (the others may hold a
    lot that is none of ours), else cluster-wide; a few objects in many namespaces one by one, unless the
    whole cluster has few of them. Without the right to list cluster-wide: per namespace; without the right to
    list: object by object.

    :param namespaces: where owned kinds are looked for besides those of ``wanted``, without the right to look
        everywhere. Where they may not be listed either is left out of ``Live.confined``.
    :raises ApiError: with status 403 when an owned kind may not be listed where an object of it is wanted.
    """
    by_kind: dict[Kind, list[Mapping[str, Any]]] = {kind: [] for kind in owned_kinds}
    owned = set(by_kind)
    for obj in wanted:
        by_kind.setdefault((str(obj["apiVersion"]), str(obj["kind"])), []).append(obj)
    live = Live()
    readers = [
        _Reader(client, kind, objects, selector, namespaces)
        if kind in owned
        else _Reader(client, kind, objects, None, ())
        for kind, objects in by_kind.items()
    ]
    for reader, found in zip(readers, client.in_parallel(lambda reader: reader.read(), readers), strict=True):
        kind = reader.kind
        if reader.confined is not None:
            live.confined[kind] = reader.confined
        if found is None:
            live.missing.add(kind)
            continue
        for obj in found:
            live.objects[key_of(obj)] = obj
    return live


class _Reader:
    """Reads one kind."""

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        objects: Sequence[Mapping[str, Any]],
        selector: str | None,
        namespaces: Sequence[str],
    ) -> None:
        self.kind = kind
        self.confined: tuple[str, ...] | None = None
        self._client, self._objects, self._selector = client, objects, selector
        own = {str(obj["metadata"].get("namespace") or "") for obj in objects} - {""}
        self._namespaces = sorted(own)
        self._everywhere = sorted({*own, *namespaces})

    def read(self) -> list[dict[str, Any]] | None:
        """The live objects; ``None`` when the server does not serve the kind."""
        try:
            resource = self._client.resource(*self.kind)
        except ApiError as error:
            if error.reason == "NoKind":
                return None
            raise
        if self._selector is None:
            if len(self._objects) <= (1 if resource.namespaced else _FEW_OBJECTS):
                return self._each(self._objects)
            if resource.namespaced and len(self._namespaces) <= _FEW_NAMESPACES:
                return self._per_namespace()
            if len(self._objects) <= _SCATTERED and resource.namespaced:
                return self._scattered()
        try:
            return self._listed(None)
        except ApiError as error:
            if not error.not_allowed or not (self._everywhere or self._objects):
                raise
        if resource.namespaced:
            return self._per_namespace()
        if self._selector is not None:
            self.confined = ()
        return self._each(self._objects)

    def _listed(self, namespace: str | None) -> list[dict[str, Any]] | None:
        found = self._client.list(*self.kind, namespace, label_selector=self._selector)
        return None if found.missing else found.items

    def _per_namespace(self) -> list[dict[str, Any]] | None:
        """Listed where that is allowed, object by object elsewhere."""
        lists = self._client.in_parallel(self._in_namespace, self._everywhere)
        if any(found is None for found in lists):
            return None
        allowed = [
            name for name, found in zip(self._everywhere, lists, strict=True) if found is not _FORBIDDEN
        ]
        if self._selector is not None:
            self.confined = tuple(allowed)
        rest = [obj for obj in self._objects if obj["metadata"].get("namespace") not in allowed]
        return [*(obj for found in lists for obj in found or ()), *self._each(rest)]

    def _scattered(self) -> list[dict[str, Any]]:
        try:
            found = self._client.all_if_few(*self.kind, _PAGE)
        except ApiError as error:
            if not error.not_allowed and error.status != 404:
                raise  # what a 404 means tells each object's own answer
            found = None
        return self._each(self._objects) if found is None else list(found)

    def _in_namespace(self, namespace: str) -> list[dict[str, Any]] | None:
        try:
            return self._listed(namespace)
        except ApiError as error:
            if not error.not_allowed or (self._selector is not None and namespace in self._namespaces):
                raise
        return _FORBIDDEN

    def _each(self, objects: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        def get(obj: Mapping[str, Any]) -> dict[str, Any] | None:
            metadata = obj["metadata"]
            return self._client.get(*self.kind, str(metadata["name"]), metadata.get("namespace"))

        return [found for found in self._client.in_parallel(get, objects) if found is not None]
