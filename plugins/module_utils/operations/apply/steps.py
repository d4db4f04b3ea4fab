# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the writes: what must be there first, then expand, switch, contract.

Three rules. Callers lose nothing while a change is under way: the wider state comes first, then the routes,
then the narrow state. Loosening comes first, tightening last; the default deny is the last to come and the
first to go. Within one kind the order of our writes is the order in which istiod sees them, so only the steps
need a barrier between them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...equality import same
from ...fields import mapping_at, namespace_of
from ...model.security.peer_authentication import DISABLE, PERMISSIVE, STRICT, stated_modes
from .plan import DELETED, Item, is_istio
from .widen import action_of, is_default_deny, is_delegate, widened

PREPARE, EXPAND, SWITCH, CONTRACT = "prepare", "expand", "switch", "contract"
STEPS = (PREPARE, EXPAND, SWITCH, CONTRACT)
# Built-in kinds in the order in which they need each other; everything else of their sort comes in between.
_FIRST = ("Namespace", "CustomResourceDefinition")
_EARLY = (
    "PriorityClass", "StorageClass", "ResourceQuota", "LimitRange", "NetworkPolicy", "PodDisruptionBudget",
    "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ConfigMap", "Secret",
    "PersistentVolume", "PersistentVolumeClaim", "Service",
)  # fmt: skip
_LATE = ("APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# Istio kinds whose creation takes something away from running callers.
_TIGHTENING = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "Sidecar", "EnvoyFilter")


@dataclasses.dataclass(frozen=True, slots=True)
class Write:
    """One request. ``wide`` marks the wider state of an object whose final state follows in a later step."""

    item: Item
    rank: int
    wide: bool = False

    @property
    def deletes(self) -> bool:
        """Whether the object goes away."""
        return self.item.action == DELETED


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step; its groups are written one after the other, the writes of a group in parallel."""

    name: str
    groups: tuple[tuple[Write, ...], ...]


def steps_of(
    items: Sequence[Item], live: Sequence[Mapping[str, Any]] = (), *, removal: bool = False
) -> list[Step]:
    """The steps for items that are to be written or deleted (action ``deleted``); empty ones are left out.

    :param live: live AuthorizationPolicies: where a default deny stands, a new ALLOW policy loosens.
    :param removal: the mesh goes away as a whole: without a default deny, what allowed some refuses nobody.
    :returns: in the order in which they are carried out.
    """
    closed = {
        namespace_of(obj) for obj in live if is_default_deny(obj) and not mapping_at(obj, "spec", "selector")
    }
    writes: dict[str, list[Write]] = {name: [] for name in STEPS}
    for item in items:
        placed = [_removal(item)] if removal and item.action == DELETED else _placed(item, closed)
        for step, write in placed:
            writes[step].append(write)
    return [Step(name, _grouped(writes[name])) for name in STEPS if writes[name]]


def _grouped(writes: Sequence[Write]) -> tuple[tuple[Write, ...], ...]:
    ranks = sorted({write.rank for write in writes})
    return tuple(tuple(write for write in writes if write.rank == rank) for rank in ranks)


def _placed(item: Item, closed: set[str]) -> list[tuple[str, Write]]:
    obj = item.desired
    if not is_istio(obj):
        if item.action == DELETED:
            return [(CONTRACT, Write(item, 100 - _builtin_rank(obj)))]
        return [(PREPARE, Write(item, _builtin_rank(obj)))]
    if item.action == DELETED:
        return [_deletion(item)]
    if obj["kind"] == "VirtualService":
        return [(SWITCH, Write(item, 0 if is_delegate(obj) else 1))]
    if item.before is None:
        return [_creation(item, closed)]
    return _update(item)


def _builtin_rank(obj: Mapping[str, Any]) -> int:
    kind = str(obj["kind"])
    if kind in _FIRST:
        return _FIRST.index(kind)
    if kind in _EARLY:
        return 10 + _EARLY.index(kind)
    return 80 if kind in _LATE else 50


def _creation(item: Item, closed: set[str]) -> tuple[str, Write]:
    obj = item.desired
    kind = obj["kind"]
    if is_default_deny(obj):
        return CONTRACT, Write(item, 2)
    if kind == "AuthorizationPolicy" and action_of(obj) == "ALLOW":
        return (EXPAND if namespace_of(obj) in closed else CONTRACT), Write(item, 0)
    if kind == "PeerAuthentication" and not _is_strict(obj):
        return EXPAND, Write(item, 0)
    return (CONTRACT, Write(item, 1)) if kind in _TIGHTENING else (EXPAND, Write(item, 0))


def _is_strict(obj: Mapping[str, Any]) -> bool:
    return STRICT in _modes(obj)


def _modes(obj: Mapping[str, Any]) -> set[str]:
    """The modes of a PeerAuthentication: of the workload and of its ports."""
    workload, ports = stated_modes(mapping_at(obj, "spec"))
    return {workload, *ports.values()}


def _update(item: Item) -> list[tuple[str, Write]]:
    live, desired = item.before or {}, item.desired
    wide = widened(live, desired)["spec"] if "spec" in desired else None
    rank = 2 if is_default_deny(desired) else 1
    if same(wide, desired.get("spec")):
        has_no_wider_state = desired["kind"] in ("EnvoyFilter", "RequestAuthentication") or _is_deny(desired)
        return [(CONTRACT, Write(item, rank))] if has_no_wider_state else [(EXPAND, Write(item, 0))]
    if same(wide, live.get("spec")):
        return [(CONTRACT, Write(item, rank))]
    return [(EXPAND, Write(item, 0, wide=True)), (CONTRACT, Write(item, rank))]


def _is_deny(obj: Mapping[str, Any]) -> bool:
    return obj["kind"] == "AuthorizationPolicy" and action_of(obj) != "ALLOW"


def _deletion(item: Item) -> tuple[str, Write]:
    obj = item.before or item.desired
    if is_default_deny(obj):
        return EXPAND, Write(item, 0)
    if obj["kind"] == "VirtualService":
        return CONTRACT, Write(item, 4 if is_delegate(obj) else 3)
    return CONTRACT, Write(item, 5)


# What closes something, from the widest to the narrowest: in the other order the rest would close more.
_CLOSING = ("AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication", "Sidecar", "EnvoyFilter")


def _removal(item: Item) -> tuple[str, Write]:
    """Loosen, then the routes, then what they led to: callers keep working as long as something serves them.

    A policy of a workload goes after that of its namespace: a Sidecar without the wide one would see less, an
    exception from STRICT would end before STRICT does.
    """
    obj = item.before or item.desired
    if not is_istio(obj):
        return CONTRACT, Write(item, 100 - _builtin_rank(obj))
    if is_default_deny(obj):
        return EXPAND, Write(item, 0)
    kind = str(obj["kind"])
    if kind in _CLOSING:
        last = kind == "Sidecar" and bool(mapping_at(obj, "spec", "workloadSelector"))
        last = last or (kind == "PeerAuthentication" and bool(_modes(obj) & {PERMISSIVE, DISABLE}))
        return EXPAND, Write(item, 1 + 2 * _CLOSING.index(kind) + int(last))
    if kind == "VirtualService":
        return SWITCH, Write(item, 1 if is_delegate(obj) else 0)
    return CONTRACT, Write(item, 5)


def body_of(write: Write) -> dict[str, Any]:
    """What a write sends: the final object, or the state that is wide enough for old and new callers.

    :returns: an object for a server-side apply.
    """
    if write.wide and write.item.before is not None:
        return widened(write.item.before, write.item.desired)
    return write.item.desired
