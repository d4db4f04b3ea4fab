# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an apply tells: counts, ids with actions, and diffs of what changed. Never whole objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...kube.comparison import for_display
from ...kube.secret_fields import Pattern
from .plan import ADOPTED, CREATED, DELETED, UNCHANGED, UNVALIDATED, UPDATED, Item

# Ansible prints every diff; beyond this nobody reads them, and the result costs seconds in Ansible itself.
MAX_DIFFS = 200
MAX_DIFF_TEXT = 100_000


def result_of(items: Sequence[Item], *, diff_mode: bool, hidden: Sequence[Pattern] = ()) -> dict[str, Any]:
    """What an apply tells.

    :param hidden: fields whose values a person calls secret.
    :returns: ``changed``; ``counts`` by action; ``objects``: id and action of all but the unchanged; ``diff``
        with ``diff_mode``.
    """
    told = [item for item in items if item.action != UNCHANGED]
    result: dict[str, Any] = {
        "changed": any(item.changes for item in items),
        "counts": counts_of(items),
        "objects": [_told(item) for item in told],
    }
    if diff_mode:
        changed = [item for item in told if item.changes]
        result["diff"] = [diff_of(item, hidden) for item in changed[:MAX_DIFFS]]
        if len(changed) > MAX_DIFFS:
            result["diff"].append({"prepared": f"... and {len(changed) - MAX_DIFFS} more objects\n"})
    return result


def _told(item: Item) -> dict[str, str]:
    taken = {"taken_back_from": item.taken_back_from} if item.taken_back_from else {}
    return {"id": item.id, "action": item.action, **taken}


def counts_of(items: Sequence[Item]) -> dict[str, int]:
    """Number of items by action; what a run may hold back counts as ``held``. :returns: action -> number."""
    counts = dict.fromkeys((CREATED, UPDATED, ADOPTED, DELETED, UNCHANGED, "held"), 0)
    for item in items:
        if item.action.startswith("held by "):
            counts["held"] += 1
        elif item.action == UNVALIDATED:
            counts[CREATED] += 1
        else:
            counts[item.action] += 1
    return counts


def diff_of(item: Item, hidden: Sequence[Pattern] = ()) -> dict[str, str]:
    """One object's diff in Ansible's form, without secrets and without what only the server writes.

    :returns: ``before_header``, ``after_header``, ``before`` and ``after``, all text.
    """
    after = None if item.action == DELETED else item.after or item.desired
    headers = {"before_header": item.id, "after_header": f"{item.id} ({item.action})"}
    if item.hidden:
        return {**headers, "before": "", "after": "(not shown: it comes from a file of Ansible Vault)\n"}
    before, shown = for_display(item.before, after, hidden)
    return {**headers, "before": _text(before), "after": _text(shown)}


def _text(obj: Any) -> str:
    if not obj:
        return ""
    import yaml

    text: str = yaml.dump(
        obj,
        Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper),
        sort_keys=True,
        width=10_000,
        allow_unicode=True,
    )
    if len(text) > MAX_DIFF_TEXT:
        return text[:MAX_DIFF_TEXT] + f"\n... {len(text) - MAX_DIFF_TEXT} more characters\n"
    return text
