# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields that a person added by hand to an object that somebody else wrote and declares in full.

A server-side apply never touches what it does not name: ``portLevelMtls`` added to a PeerAuthentication, or a
variable added to istiod's Deployment, would stay for ever, and no comparison of the declared fields sees it.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management (``fieldsV1``).
"""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..documents.json_text import from_json
from ..equality import same
from ..fields import mappings_at
from .owners import HAND_TOOLS

Path = tuple["str | int", ...]
# Labels and annotations are everybody's (also those of a pod template: `rollout restart` writes there), the
# status is the controllers'.
_NOT_DECLARED = frozenset({"f:metadata", "f:status"})
_ABSENT = object()


@dataclasses.dataclass(frozen=True, slots=True)
class Additions:
    """What was added to one object.

    :param paths: from the root, such as ``("spec", "portLevelMtls")``; an index for an item of a list.
    :param tools: the field managers that added them, such as ``kubectl-patch``.
    """

    paths: tuple[Path, ...]
    tools: tuple[str, ...]

    def patch(self, resource_version: str) -> list[dict[str, Any]]:
        """A JSON patch that takes them out, valid for exactly this version of the object (else 409).

        :returns: JSON Patch operations; the first one sets that version.
        """
        removals = [{"op": "remove", "path": _pointer(path)} for path in self._last_first()]
        return [{"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version}, *removals]

    def taken_out(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of the object without them. :returns: the copy; the live object is not changed."""
        result = copy.deepcopy(dict(obj))
        for path in self._last_first():
            parent: Any = result
            for step in path[:-1]:
                parent = parent[step]
            del parent[path[-1]]
        return result

    def _last_first(self) -> list[Path]:
        """Later items of a list first: their indexes must still hold."""
        return sorted(self.paths, reverse=True)


def hand_additions(live: Mapping[str, Any], desired: Mapping[str, Any], manager: str) -> Additions | None:
    """What a person's tool added to ``live`` beside ``desired``; None when there is nothing.

    Only fields that nobody but such tools owns count: what a controller wrote stays. What ``manager`` itself
    still owns and ``desired`` no longer has goes with the next apply, unless a person's tool owns it, too.

    :param desired: everything that ``manager`` declares.
    """
    entries = [
        entry
        for entry in mappings_at(live, "metadata", "managedFields")
        if isinstance(entry.get("fieldsV1"), Mapping)
    ]
    by_hand = [entry for entry in entries if _is_by_hand(entry, manager)]
    if not by_hand:
        return None
    others = [
        entry["fieldsV1"] for entry in entries if entry not in by_hand and entry.get("manager") != manager
    ]
    paths: set[Path] = set()
    tools: set[str] = set()
    for entry in by_hand:
        found = set(_added(entry["fieldsV1"], others, desired, live, ()))
        paths |= found
        tools |= {str(entry.get("manager"))} if found else set()
    outer = {path for path in paths if not any(path[:length] in paths for length in range(1, len(path)))}
    return Additions(tuple(sorted(outer)), tuple(sorted(tools))) if outer else None


def _is_by_hand(entry: Mapping[str, Any], manager: str) -> bool:
    """Whether a person wrote it. Not by a subresource: ``kubectl scale`` competes with an autoscaler."""
    name = str(entry.get("manager", ""))
    return (
        name != manager
        and not entry.get("subresource")
        and any(fnmatch.fnmatchcase(name.lower(), tool) for tool in HAND_TOOLS)
    )


def _added(
    fields: Mapping[str, Any], others: Sequence[Mapping[str, Any]], desired: Any, live: Any, path: Path
) -> Iterator[Path]:
    """The topmost paths below ``path`` that neither ``others`` own nor ``desired`` declares."""
    for key, below in fields.items():
        if key == "." or key in _NOT_DECLARED:
            continue
        step = _step(live, key)
        if step is None:
            continue
        owned = [other[key] for other in others if key in other]
        declared = _declared(desired, key)
        if not owned and declared is _ABSENT:
            yield (*path, step)
        elif isinstance(below, Mapping):
            yield from _added(below, owned, declared, live[step], (*path, step))


def _step(live: Any, key: str) -> str | int | None:
    """The field name or index that a key of ``fieldsV1`` means in ``live``; None when it is not there."""
    if key.startswith("f:"):
        return key[2:] if isinstance(live, Mapping) and key[2:] in live else None
    if not isinstance(live, list):
        return None
    wanted = _parsed(key[2:])
    for index, item in enumerate(live):
        if key.startswith("v:") and same(item, wanted):
            return index
        if (
            key.startswith("k:")
            and isinstance(item, Mapping)
            and isinstance(wanted, Mapping)
            and all(same(item.get(name, _ABSENT), value) for name, value in wanted.items())
        ):
            return index
    return None


def _declared(desired: Any, key: str) -> Any:
    """What ``desired`` says at a key of ``fieldsV1``, or ``_ABSENT``.

    An item of a list matches by those key fields that it writes out: the server fills in the others.
    """
    if key.startswith("f:"):
        return desired.get(key[2:], _ABSENT) if isinstance(desired, Mapping) else _ABSENT
    wanted = _parsed(key[2:])
    for item in desired if isinstance(desired, list) else ():
        if key.startswith("v:") and same(item, wanted):
            return item
        if key.startswith("k:") and isinstance(item, Mapping) and isinstance(wanted, Mapping):
            written = {name: value for name, value in wanted.items() if name in item}
            if written and all(same(item[name], value) for name, value in written.items()):
                return item
    return _ABSENT


def _parsed(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return None


def _pointer(path: Path) -> str:
    """RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
