# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live policies of some namespaces, whoever wrote them, and the same with a run's own laid over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...errors import ApiError
from ...fields import Object, mapping_at, text_at
from ...object_id import object_id
from ..apply.plan import DELETED

if TYPE_CHECKING:
    from ...kube.client import KubeClient
    from ..apply.plan import Item

_VERSION = "security.istio.io/v1"
_NEWEST = "9999"
"""Sorts behind all times: an object that is still to be created is younger than all that are there."""


def live_policies(client: KubeClient, kind: str, namespaces: Iterable[str]) -> list[Object]:
    """The policies of some namespaces; where they may not be seen, none.

    :param kind: of ``security.istio.io/v1``.
    :returns: the objects as they are stored, namespace by namespace.
    :raises ApiError: the API server does not answer.
    """
    return [item for found in policies_seen(client, kind, namespaces).values() for item in found or ()]


def policies_seen(
    client: KubeClient, kind: str, namespaces: Iterable[str]
) -> dict[str, Sequence[Object] | None]:
    """The policies of some namespaces, told apart from those that may not be seen.

    :param kind: of ``security.istio.io/v1``.
    :returns: namespace -> the objects as they are stored, sorted; ``None`` where they may not be listed.
    :raises ApiError: the API server does not answer.
    """

    def read(namespace: str) -> Sequence[Object] | None:
        try:
            return client.list(_VERSION, kind, namespace).items
        except ApiError as error:
            if not error.not_allowed:
                raise
            return None

    places = sorted(namespaces)
    return dict(zip(places, client.in_parallel(read, places), strict=True))


def before_and_after(
    live: Iterable[Object], items: Iterable[Item]
) -> tuple[dict[str, Object], dict[str, Object]]:
    """The objects before a run and after it. What the run itself knows counts more than ``live``.

    :param items: of the run, of the kind of ``live``.
    :returns: by id, first as they are, then as they will be.
    """
    own = list(items)
    before: dict[str, Object] = {object_id(item): item for item in live}
    for item in own:
        if item.before is None:
            before.pop(item.id, None)
        else:
            before[item.id] = item.before
    after = dict(before)
    for item in own:
        if item.action == DELETED:
            after.pop(item.id, None)
        elif item.changes or item.before is None:
            after[item.id] = _dated(item)
    return before, after


def _dated(item: Item) -> Object:
    """An object as it will stand, with the age that it has then."""
    obj = item.after or item.desired
    age = text_at(item.before, "metadata", "creationTimestamp") if item.before else _NEWEST
    return {**obj, "metadata": {**mapping_at(obj, "metadata"), "creationTimestamp": age}}
