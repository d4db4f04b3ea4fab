# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries a plan out: step by step, in parallel within a group, and honest about how far it came."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, ConflictError, MeshError, RefusedError
from ...fields import field, mappings_at, name_of, text_at
from ...kube.objects import is_leaving
from ...kube.ownership import proves_unchanged
from ...kube.wait import wait_until
from .deletion import Deletion
from .plan import (
    CREATED,
    DELETED,
    UNCHANGED,
    UPDATED,
    Item,
    additions_to,
    apply_item,
    get_live,
    is_refusal,
    located,
    outcome,
)
from .steps import CONTRACT, EXPAND, SWITCH, Step, Write, body_of

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

_REREADS = 5
_DEFINITION_TIMEOUT = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """What a barrier has to prove: that the proxies hold ``objects``.

    :param step: ``expand``, ``switch`` or ``contract``.
    :param objects: the objects of the step as they stand now.
    :param before: the same objects, and the deleted ones, as they stood before the step.
    :param last: whether no further step follows.
    """

    step: str
    objects: Sequence[dict[str, Any]]
    before: Sequence[dict[str, Any]]
    last: bool = False


Barrier = Callable[[Held], None]


class Execution:
    """Writes the steps of a plan. ``items`` get their ``after`` and final ``action`` on the way."""

    def __init__(
        self,
        client: KubeClient,
        *,
        context: Context,
        field_manager: str,
        force: bool,
        barrier: Barrier | None,
        deletion: Deletion | None = None,
    ) -> None:
        self._client = client
        self._deletion = deletion or Deletion()
        self._context = context
        self._manager = field_manager
        self._force = force
        self._barrier = barrier
        self._done: dict[int, Item] = {}

    @property
    def done(self) -> list[Item]:
        """Items of which at least one write has been carried out. :returns: in the order of their writes."""
        return list(self._done.values())

    def run(self, steps: Sequence[Step]) -> None:
        """Write all steps; on an error what was under way ends, and nothing new begins."""
        for step in steps:
            states = [write.item.after or write.item.before for group in step.groups for write in group]
            before = [dict(state) for state in states if state is not None]
            count = sum(len(group) for group in step.groups)
            self._context.progress(f"{step.name}: {count} {'object' if count == 1 else 'objects'}")
            for group in step.groups:
                self._client.in_parallel(self._write, group)
                self._after_definitions(group)
            self._prove(step, before, last=step is steps[-1])

    def _prove(self, step: Step, before: Sequence[dict[str, Any]], *, last: bool) -> None:
        writes = [write for group in step.groups for write in group]
        if self._barrier is None or step.name not in (EXPAND, SWITCH, CONTRACT):
            return
        if not any(write.item.changes or write.wide for write in writes):
            return  # the server found every one of them as it was
        objects = [write.item.after for write in writes if not write.deletes and write.item.after is not None]
        self._barrier(Held(step.name, objects, before, last))

    def _write(self, write: Write) -> None:
        if self._context.stop():
            raise ApiError("interrupted: the remaining objects were not written", reason="Interrupted")
        try:
            if write.deletes:
                self._delete(write.item)
            else:
                self._apply(write)
        except ApiError as error:
            raise located(error, write.item) if is_refusal(error) else error from error.__cause__

    def _delete(self, item: Item) -> None:
        obj = item.before or item.desired
        metadata = obj["metadata"]
        self._client.delete(
            str(obj["apiVersion"]),
            str(obj["kind"]),
            str(metadata["name"]),
            metadata.get("namespace"),
            uid=metadata.get("uid"),
            options=self._deletion.body(),
        )
        item.after = None
        self._done[id(item)] = item

    def _apply(self, write: Write) -> None:
        item = write.item
        current = item.after or item.before
        for attempt in range(_REREADS + 1):
            refuse_leaving(item, current)
            body = body_of(write)
            fenced = bool(body["metadata"].get("resourceVersion"))  # the caller's own, not to be replaced
            try:
                item.after, created = apply_item(
                    self._client,
                    item,
                    body if fenced else _at_version(body, current),
                    field_manager=self._manager,
                    force=self._force,
                )
                self._take_out_additions(write)
            except ConflictError:
                raise
            except ApiError as error:
                if error.status != 409 or fenced or attempt == _REREADS:
                    raise
                current = self._look_again(write)
                if current is None or not self._is_done(write, current):
                    continue
                item.after, created = current, False
            self._settle(item, created=created)
            return

    def _is_done(self, write: Write, current: Mapping[str, Any]) -> bool:
        """Whether ``current`` is what this write leads to."""
        open_ = not write.wide and additions_to(write.item, current, self._manager) is not None
        return proves_unchanged(current, body_of(write), self._manager) and not open_

    def _take_out_additions(self, write: Write) -> None:
        """What a person added goes right after the write of the final state, which may still be refused."""
        item = write.item
        added = None if item.after is None or write.wide else additions_to(item, item.after, self._manager)
        if item.after is None or added is None:
            return
        item.taken_back_from = item.taken_back_from or ", ".join(added.tools)
        metadata = item.after["metadata"]
        item.after = self._client.patch(
            str(item.desired["apiVersion"]),
            str(item.desired["kind"]),
            str(metadata["name"]),
            metadata.get("namespace"),
            added.patch(str(metadata["resourceVersion"])),
            patch_type="json",
            field_manager=self._manager,
        )

    def _look_again(self, write: Write) -> dict[str, Any] | None:
        """Somebody wrote in between: what is there now is what the next attempt starts from.

        If it holds what we sent, in our name, then it was our own request, whose answer was lost or which a
        proxy delivered twice: the state before it stays the one to compare with.
        """
        item = write.item
        current = get_live(self._client, item.desired)
        ours = current is not None and proves_unchanged(current, body_of(write), self._manager)
        if item.after is None and not ours and not item.taken_back_from:
            item.before = current
        return current

    def _settle(self, item: Item, *, created: bool) -> None:
        if item.before is not None and item.after is not None:
            # The server keeps the version of what a write leaves as it is. Its word counts more than a
            # comparison of two answers, one of which a proxy may have mutilated.
            kept = _version(item.before) and _version(item.before) == _version(item.after)
            item.action = UNCHANGED if kept else outcome(item.before, item.after)
        else:  # not created and no state before: it stood outside the label-selected list
            item.action = CREATED if created or item.action == CREATED else UPDATED
        self._done[id(item)] = item

    def _after_definitions(self, group: Sequence[Write]) -> None:
        """New kinds are usable once their definition is established and discovery names them."""
        definitions = [
            write.item.desired
            for write in group
            if write.item.desired["kind"] == "CustomResourceDefinition" and not write.deletes
        ]
        if not definitions:
            return
        self._client.in_parallel(self._await_definition, definitions)
        self._client.refresh_discovery()

    def _await_definition(self, definition: Mapping[str, Any]) -> None:
        name = name_of(definition)

        def established() -> tuple[bool, str]:
            live = get_live(self._client, definition)
            conditions = {
                text_at(entry, "type"): text_at(entry, "status")
                for entry in mappings_at(live, "status", "conditions")
            }
            return conditions.get("Established") == "True", f"conditions {conditions or 'none'}"

        wait_until(
            established,
            awaited=f"CustomResourceDefinition {name} to be established",
            timeout=_DEFINITION_TIMEOUT,
            interval=0.1,
            stop=self._context.stop,
            clock=self._context.clock,
        )


def _version(obj: Mapping[str, Any]) -> Any:
    return field(obj, "metadata", "resourceVersion")


def _at_version(body: dict[str, Any], current: Mapping[str, Any] | None) -> dict[str, Any]:
    """``body``, valid only for the state that it was judged against."""
    if current is None:
        return body
    version = current["metadata"].get("resourceVersion")
    return {**body, "metadata": {**body["metadata"], "resourceVersion": version}}


def refuse_leaving(item: Item, current: Mapping[str, Any] | None) -> None:
    """:raises RefusedError: the object is being deleted, and would vanish with what we write to it."""
    if current is not None and is_leaving(current):
        raise RefusedError(
            f"{item.id} is being deleted (finalizers: {current['metadata'].get('finalizers') or 'none'}); "
            "wait until it is gone",
            rule="terminating",
        )


def with_progress(error: MeshError, items: Sequence[Item], done: Sequence[Item]) -> MeshError:
    """The error with what had been written before it, so that nobody has to guess."""
    changed = [item for item in done if item.changes]
    error.details["changed"] = bool(changed)
    error.details["objects"] = [{"id": item.id, "action": item.action} for item in changed]
    missing = len(items) - len(done)
    error.details["not_written"] = missing
    if changed and missing:
        error.message += f" ({len(done)} of {len(items)} objects were written; run again to do the rest)"
    return error


__all__ = ["DELETED", "Barrier", "Execution", "Held", "with_progress"]
