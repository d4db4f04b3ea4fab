# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one write path: check, LIST, prove, dry-run what differs, apply in steps, wait, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, ConflictError, InputError, MeshError, Problem
from ...kube.objects import is_leaving
from ...kube.secret_fields import Pattern, pattern_of
from ...labels import FIELD_MANAGER
from .deletion import Deletion
from .execute import Barrier, Execution, Held, refuse_leaving, with_progress
from .live import Live
from .plan import DELETED, Item, Plan, judge, missing_kinds, predict
from .result import result_of
from .rights import refuse_without_rights
from .steps import steps_of
from .wait import Wait, wait_for_objects

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

__all__ = [
    "ApplyOptions",
    "Barrier",
    "Held",
    "Live",
    "Plan",
    "Wait",
    "apply_plan",
]

BeforeWrite = Callable[[Plan], None]


@dataclasses.dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How to apply.

    :param force: take over fields that other managers own. :param proof: ``fields`` or ``dry_run``.
    :param namespace: for namespaced objects that name none.
    :param barrier: called after the steps expand, switch and contract with what the proxies must hold.
    :param before_write: called once with the plan, only when something would change, also in check mode.
        An error from it ends the run before the first write; it may take items out by giving them the action
        ``held by ...``.
    :param validate_first: dry-run everything that differs before the first write, also in a real run.
    :param places: id of an object -> where a person wrote it, for what the server says of it.
    :param hidden_files: those of ``places`` whose content must not be shown.
    :param hidden: fields whose values a person calls secret.
    :param force_option: the option that takes over what another manager owns, for the error that names it.
    :param deletion: how objects are deleted.
    :param removal: the whole goes away, so what is deleted closed things rather than served them.
    :param whole: Istio objects are all that ``desired`` says; what a person added by hand is taken out again.
    """

    field_manager: str = FIELD_MANAGER
    force: bool = False
    proof: str = "fields"
    namespace: str | None = None
    barrier: Barrier | None = None
    before_write: BeforeWrite | None = None
    validate_first: bool = False
    whole: bool = False
    wait: Wait | None = None
    places: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hidden_files: frozenset[str] = frozenset()
    force_option: str = ""
    deletion: Deletion = dataclasses.field(default_factory=Deletion)
    removal: bool = False
    hidden: Sequence[Pattern] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ApplyOptions:
        """The options that module ``resources`` has with and without a catalogue.

        :param params: as its argument spec leaves them: every option is there.
        """
        wait = Wait.from_params(params) if params["wait"] else None
        return cls(
            field_manager=params["field_manager"],
            force=params["force"],
            proof=params["proof"],
            namespace=params["namespace"],
            wait=wait,
            force_option="force",
            deletion=Deletion.from_option(params["delete_options"]),
            hidden=hidden_fields(params["hidden_fields"]),
        )


def hidden_fields(paths: Sequence[str]) -> tuple[Pattern, ...]:
    """The option ``hidden_fields``, read.

    :returns: one per path. :raises InputError: one is no path of a field.
    """
    patterns: list[Pattern] = []
    problems = []
    for index, path in enumerate(paths):
        try:
            patterns.append(pattern_of(path))
        except ValueError as error:
            problems.append(Problem(f"hidden_fields[{index}]", str(error), "field-path"))
    if problems:
        raise InputError(problems)
    return tuple(patterns)


def apply_plan(
    client: KubeClient,
    objects: Sequence[dict[str, Any]],
    live: Live,
    deletions: Iterable[Mapping[str, Any]],
    *,
    context: Context,
    options: ApplyOptions,
    held: Sequence[Item] = (),
) -> dict[str, Any]:
    """Carry out an apply of objects that are checked, against a live state that was read.

    :param deletions: live objects that are to go. :param held: items that are reported and left alone.
    :returns: ``changed``, ``counts``, ``objects`` (id, action), and ``diff`` in diff mode.
    :raises ConflictError: fields of another manager.
    :raises MeshError: with what had been written before it in its details.
    """
    try:
        return _apply(client, objects, live, deletions, context=context, options=options, held=held)
    except ConflictError as error:
        if options.force_option:
            error.message += f", or take them over with {options.force_option}: true"
        raise


def _apply(
    client: KubeClient,
    objects: Sequence[dict[str, Any]],
    live: Live,
    deletions: Iterable[Mapping[str, Any]],
    *,
    context: Context,
    options: ApplyOptions,
    held: Sequence[Item],
) -> dict[str, Any]:
    items = judge(
        objects,
        live,
        field_manager=options.field_manager,
        proof=options.proof,
        whole=options.whole,
        places=options.places,
    )
    for item in items:
        item.hidden = item.where.rpartition(":")[0] in options.hidden_files
        refuse_leaving(item, item.before)
    removed, leaving = _split(deletions, options.deletion)
    if options.deletion.conditional and len(removed) > 1:
        message = f"are about one object, but {len(removed)} would be deleted"
        raise InputError([Problem("delete_options.preconditions", message, "delete-options")])
    items += removed
    _refuse_missing_kinds(items, live, context)
    validated = context.check_mode or options.proof == "dry_run" or options.validate_first
    if validated:
        predict(
            client,
            items,
            live,
            field_manager=options.field_manager,
            force=options.force,
        )
    if options.before_write and any(item.changes for item in items):
        options.before_write(Plan(items, live))
    refuse_without_rights(client, items, validated=validated)
    if context.check_mode:
        _dry_run_deletions(client, removed, options.deletion)
    else:
        _carry_out(client, items, leaving, live, context, options)
    for text in client.warnings:
        context.warn(text)
    for item in items:
        if item.altered:
            context.warn(f"{item.id}: {item.altered} is stored otherwise than sent (an admission webhook?)")
    return result_of([*items, *held], diff_mode=context.diff_mode, hidden=options.hidden)


def _split(
    deletions: Iterable[Mapping[str, Any]], deletion: Deletion
) -> tuple[list[Item], list[Mapping[str, Any]]]:
    """What is to be deleted, and what somebody has deleted already: that is only waited for.

    A grace period is sent all the same: that is how a pod that cannot end is ended.
    """
    due: list[Item] = []
    leaving: list[Mapping[str, Any]] = []
    for obj in deletions:
        if is_leaving(obj) and deletion.grace_seconds is None:
            leaving.append(obj)
        else:
            due.append(Item(dict(obj), dict(obj), action=DELETED))
    return due, leaving


def _refuse_missing_kinds(items: Sequence[Item], live: Live, context: Context) -> None:
    missing = missing_kinds(items, live)
    if missing and not context.check_mode:
        raise ApiError(
            f"the API server does not serve {', '.join(missing)}: install their definitions first",
            status=404,
            reason="NoKind",
            subject=missing[0],
        )


def _dry_run_deletions(client: KubeClient, removed: Sequence[Item], deletion: Deletion) -> None:
    def ask(item: Item) -> None:
        metadata = item.desired["metadata"]
        client.delete(
            str(item.desired["apiVersion"]),
            str(item.desired["kind"]),
            str(metadata["name"]),
            metadata.get("namespace"),
            uid=metadata.get("uid"),
            dry_run=True,
            options=deletion.body(),
        )

    client.in_parallel(ask, removed)


def _carry_out(
    client: KubeClient,
    items: Sequence[Item],
    leaving: Sequence[Mapping[str, Any]],
    live: Live,
    context: Context,
    options: ApplyOptions,
) -> None:
    open_items = [item for item in items if item.changes]
    for item in open_items:
        item.after = None  # what a dry-run predicted is not what is there
    execution = Execution(
        client,
        context=context,
        field_manager=options.field_manager,
        force=options.force,
        barrier=options.barrier,
        deletion=options.deletion,
    )
    policies = live.of_kind("AuthorizationPolicy")
    try:
        execution.run(steps_of(open_items, policies, removal=options.removal))
        if options.wait:
            kept = [item.desired for item in items if item.action != DELETED]
            gone = [*(item.desired for item in items if item.action == DELETED), *leaving]
            wait_for_objects(client, kept, gone, options.wait, context)
    except MeshError as error:
        raise with_progress(error, open_items, execution.done) from error
