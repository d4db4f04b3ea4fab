# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who set a field of an object (``metadata.managedFields``), and whether that writer would set it again."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..documents.json_text import from_json
from ..fields import mapping_at, mappings_at, text_at

# Writers that watch their source and put a field back within minutes: a change behind them starts a fight.
CONTROLLER_PATTERNS = (
    "argocd*",
    "*-controller",
    "helm",
    "flux*",
    "fleet*",
    "kapp*",
    "configsync*",
    "config-sync*",
    "cert-manager*",
    "external-secrets*",
    "terraform*",
    "pulumi*",
)
# A person's tool, also when it uses server-side apply.
HAND_TOOLS = ("kubectl*", "oc", "k9s*", "lens*", "mozilla*")


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class FieldOwner:
    """A field manager and the operation (``Apply`` or ``Update``) by which it owns a field."""

    manager: str
    operation: str

    def is_steady(self, ours: str) -> bool:
        """Whether this owner would put the field back after we changed it.

        Controllers and infrastructure code do. So does anything else that declares the field by server-side
        apply, except a person's own tool and ``ours``, the field manager of the caller.
        """
        name = self.manager.lower()
        if self.manager == ours:
            return False
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in CONTROLLER_PATTERNS):
            return True
        return self.operation == "Apply" and not any(fnmatch.fnmatchcase(name, tool) for tool in HAND_TOOLS)


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class ManagerEntry:
    """A field manager, how it wrote a field, and through which subresource (``""``: the object itself)."""

    manager: str
    operation: str
    subresource: str = ""


def owners_at(obj: Mapping[str, Any], path: Sequence[str | Mapping[str, Any]]) -> tuple[ManagerEntry, ...]:
    """The owners of a field inside lists, too.

    :param path: names of fields; a mapping stands for the item of a list with these key fields, such as
        ``("spec", "ports", {"port": 80}, "nodePort")``. Who owns a list or mapping as one value owns what is
        in it.
    :returns: each once, sorted.
    """
    owners = set()
    for entry in mappings_at(obj, "metadata", "managedFields"):
        node: Any = mapping_at(entry, "fieldsV1")
        for step in path:
            if not set(node) - {"."}:
                break  # owned as one value
            node = _below(node, step)
            if node is None:
                break
        if node is not None:
            owners.add(
                ManagerEntry(
                    str(entry.get("manager", "")),
                    str(entry.get("operation", "")),
                    str(entry.get("subresource") or ""),
                )
            )
    return tuple(sorted(owners))


def is_written_by(obj: Mapping[str, Any], managers: Collection[str]) -> bool:
    """Whether one of these field managers has written the object. A copy has its labels, not its writers."""
    entries = mappings_at(obj, "metadata", "managedFields")
    return any(text_at(entry, "manager") in managers for entry in entries)


def is_by_hand(owners: Iterable[ManagerEntry]) -> bool:
    """Whether a person's tool is among the owners, as ``kubectl edit``."""
    return any(fnmatch.fnmatchcase(owner.manager.lower(), tool) for owner in owners for tool in HAND_TOOLS)


def _below(node: Any, step: str | Mapping[str, Any]) -> Any:
    if not isinstance(node, Mapping):
        return None
    if isinstance(step, str):
        return node.get(f"f:{step}")
    for key, child in node.items():
        if key.startswith("k:"):
            try:
                fields = from_json(key[2:])
            except ValueError:
                continue
            if isinstance(fields, dict) and all(fields.get(name) == value for name, value in step.items()):
                return child
    return None


def owners_of(obj: Mapping[str, Any], path: Sequence[str]) -> tuple[FieldOwner, ...]:
    """The owners of the field at ``path``, such as ``("metadata", "labels", "istio-injection")``.

    Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management (``fieldsV1``).

    :returns: each once, sorted.
    """
    owners = set()
    for entry in mappings_at(obj, "metadata", "managedFields"):
        node: Any = mapping_at(entry, "fieldsV1")
        for key in path:
            node = node.get(f"f:{key}") if isinstance(node, Mapping) else None
        if node is not None:
            owners.add(FieldOwner(str(entry.get("manager", "")), str(entry.get("operation", ""))))
    return tuple(sorted(owners))


def steady_owners(owners: Iterable[FieldOwner], ours: str) -> list[str]:
    """Names of those ``owners`` that would put the field back.

    :returns: each once, sorted; empty when nobody would.
    """
    return sorted({owner.manager for owner in owners if owner.is_steady(ours)})
