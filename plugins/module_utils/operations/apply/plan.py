# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to each object: judged from the live state, proved or asked, never guessed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...equality import same
from ...errors import ApiError, ConflictError
from ...kube.additions import Additions, hand_additions
from ...kube.comparison import content, ownership
from ...kube.hand_edits import changed_by_hand
from ...kube.objects import first_lost
from ...kube.ownership import proves_unchanged
from ...kube.redaction import redacted, redacted_answer
from ...kube.scopes import definition_of
from ...kube.secret_fields import secret_values
from ...object_id import object_id
from ...words import some_of
from .live import Live

if TYPE_CHECKING:
    from ...kube.client import KubeClient

CREATED, UPDATED, ADOPTED, UNCHANGED, DELETED = "created", "updated", "adopted", "unchanged", "deleted"
UNVALIDATED = "would create (not validated by the server)"
_ISTIO_GROUPS = (
    "networking.istio.io/",
    "security.istio.io/",
    "telemetry.istio.io/",
    "extensions.istio.io/",
)


@dataclasses.dataclass(slots=True)
class Item:
    """One object on its way: ``before`` is the live object, ``after`` what the server makes of it.

    :param action: ``created``, ``updated``, ``adopted`` (only the ownership changes), ``unchanged``,
        ``deleted``, ``held by <run>``, or ``would create (not validated by the server)``. Empty: not known.
    :param taken_back_from: the person's tool that had changed our object by hand.
    :param whole: ``desired`` is all that the object is to be: what a person added to it is taken out again.
    :param where: where ``desired`` is written, such as ``mesh.yml:12``; empty for what was computed.
    :param hidden: whether its content must not be shown.
    :param altered: the field that an admission webhook changed on its way, of an Istio object.
    """

    desired: dict[str, Any]
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    action: str = ""
    taken_back_from: str = ""
    whole: bool = False
    where: str = ""
    hidden: bool = False
    altered: str = ""

    @property
    def id(self) -> str:
        """``Kind namespace/name``."""
        return object_id(self.desired)

    @property
    def changes(self) -> bool:
        """Whether something is, or would be, different afterwards."""
        return self.action != UNCHANGED and not self.action.startswith("held by ")


@dataclasses.dataclass(slots=True)
class Plan:
    """What an apply would do. ``live`` is the state it was judged from."""

    items: list[Item]
    live: Live

    @property
    def changed(self) -> bool:
        """Whether anything would change."""
        return any(item.changes for item in self.items)


def judge(
    objects: Sequence[dict[str, Any]],
    live: Live,
    *,
    field_manager: str,
    proof: str = "fields",
    whole: bool = False,
    places: Mapping[str, str] | None = None,
) -> list[Item]:
    """Items with action ``unchanged`` where that is proved, and no action where only the server can tell.

    :param whole: see ``Item.whole``, for Istio's own kinds.
    :param places: id of an object -> where it is written; see ``Item.where``.
    :returns: one per object, in their order.
    """
    items = []
    for obj in objects:
        before = live.get(obj)
        where = places.get(object_id(obj), "") if places else ""
        item = Item(obj, before, whole=whole and is_istio(obj), where=where)
        if (
            before is not None
            and proof == "fields"
            and proves_unchanged(before, obj, field_manager)
            and additions_to(item, before, field_manager) is None
        ):
            item.action, item.after = UNCHANGED, before
        items.append(item)
    return items


def verb_of(item: Item) -> str:
    """What would be done, for a sentence; also before a real run has learned whether an object is there."""
    if item.action == DELETED:
        return "delete"
    return "create" if item.before is None else "update"


def is_istio(obj: Mapping[str, Any]) -> bool:
    """Whether the object is of one of Istio's own kinds."""
    return str(obj["apiVersion"]).startswith(_ISTIO_GROUPS)


def additions_to(item: Item, state: Mapping[str, Any], field_manager: str) -> Additions | None:
    """What a person added to this state of an object that we declare as a whole."""
    return hand_additions(state, item.desired, field_manager) if item.whole else None


def predict(
    client: KubeClient,
    items: Sequence[Item],
    live: Live,
    *,
    field_manager: str,
    force: bool,
) -> None:
    """Dry-run every item without an action, and set it. All conflicts are reported at once."""
    new_namespaces = {
        str(item.desired["metadata"]["name"])
        for item in items
        if item.desired["kind"] == "Namespace" and item.before is None
    }
    open_items = [item for item in items if not item.action]

    def ask(item: Item) -> ApiError | None:
        if _cannot_be_asked(item, live, new_namespaces):
            item.action = UNVALIDATED
            return None
        try:
            item.after, created = apply_item(
                client, item, item.desired, field_manager=field_manager, force=force, dry_run=True
            )
        except ApiError as error:
            if item.before is None and error.status == 404 and "namespaces" in error.message:
                item.action = UNVALIDATED
                return None
            if is_refusal(error):
                return located(error, item)
            raise
        if item.before is None and not created:  # it exists, without the labels that were listed by
            item.before = get_live(client, item.desired)
        if added := additions_to(item, item.after, field_manager):
            item.after = added.taken_out(item.after)
            item.taken_back_from = item.taken_back_from or ", ".join(added.tools)
        item.action = outcome(item.before, item.after)
        return None

    raise_all([error for error in client.in_parallel(ask, open_items) if error])


def apply_item(
    client: KubeClient,
    item: Item,
    body: Mapping[str, Any],
    *,
    field_manager: str,
    force: bool,
    dry_run: bool = False,
) -> tuple[dict[str, Any], bool]:
    """``client.apply_told``, which also repairs an object of ours that a person changed by hand.

    What ``kubectl edit`` or the like took from us is drift, and repairing drift is what an apply is for.
    Fields of any other manager, and objects that we never wrote, stay a conflict unless ``force`` is given.

    :returns: the object after the write, and whether it was created.
    :raises ConflictError: another manager owns the fields.
    """
    try:
        after, created = client.apply_told(body, field_manager=field_manager, force=force, dry_run=dry_run)
    except ConflictError as error:
        if not changed_by_hand(item.before, error, field_manager):
            raise
        item.taken_back_from = error.manager
        after, created = client.apply_told(body, field_manager=field_manager, force=True, dry_run=dry_run)
    except ApiError as error:
        if item.hidden:
            _hide(error, body)
        raise
    # Built-in kinds spell some values anew; of Istio's the server keeps what it is sent.
    item.altered = (first_lost(after, body) or "") if is_istio(body) else ""
    return after, created


def _hide(error: ApiError, body: Mapping[str, Any]) -> None:
    """Of an object whose content must not be shown, the server's refusal may quote any value."""
    everything = [(key,) for key in body if key not in ("apiVersion", "kind", "metadata")]
    secrets = secret_values(body, everything)
    error.message = redacted(error.message, secrets)
    error.details = redacted_answer(error.details, secrets, is_secret=False)


def _cannot_be_asked(item: Item, live: Live, new_namespaces: set[str]) -> bool:
    """Whether kind or namespace will only exist after the real run."""
    if item.desired["metadata"].get("namespace") in new_namespaces:
        return True
    kind = (str(item.desired["apiVersion"]), str(item.desired["kind"]))
    return kind in live.missing


def get_live(client: KubeClient, obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """The live object with the identity of ``obj``. :returns: the object, None when it does not exist."""
    metadata = obj["metadata"]
    return client.get(
        str(obj["apiVersion"]), str(obj["kind"]), str(metadata["name"]), metadata.get("namespace")
    )


def outcome(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """The action that leads from one state to the other."""
    if before is None:
        return CREATED
    if not same(content(before), content(after)):
        return UPDATED
    return ADOPTED if ownership(before) != ownership(after) else UNCHANGED


def is_refusal(error: ApiError) -> bool:
    """Whether the server refuses what the object says, rather than failing to answer."""
    return isinstance(error, ConflictError) or error.status in (400, 403, 422) or error.reason == "Invalid"


def located(error: ApiError, item: Item) -> ApiError:
    """The refusal of an object, with the place where a person wrote it."""
    if item.where and "where" not in error.details:
        error.message = f"{item.where}: {error.message}"
        error.details["where"] = item.where
    return error


def raise_all(errors: Sequence[ApiError]) -> None:
    """Raise the first error, with the others in its sentence: one run shows everything that is wrong.

    Objects that are refused for one cause (a webhook that does not answer, a right) are one problem.
    """
    if not errors:
        return
    causes: dict[str, list[ApiError]] = {}
    for error in errors:
        causes.setdefault(error.message.rpartition(f"{error.subject}: ")[2], []).append(error)
    sentences = [_sentence(group) for group in causes.values()]
    first = errors[0]
    others = [error.message for error in errors[1:]]
    first.message = some_of(sentences, 5, between="; ", before="; ")
    if others:
        first.details["others"] = others
    raise first


def _sentence(errors: Sequence[ApiError]) -> str:
    first, alike = errors[0], [error.subject for error in errors[1:]]
    if not alike:
        return first.message
    return f"{first.message} (the same for {some_of(alike)})"


def missing_kinds(items: Sequence[Item], live: Live) -> list[str]:
    """Kinds that neither the server serves nor a CustomResourceDefinition of this run defines.

    :returns: ``Kind (apiVersion)``, sorted.
    """
    wanted = [item.desired for item in items]
    kinds = {(str(item.desired["apiVersion"]), str(item.desired["kind"])) for item in items}
    return sorted(
        f"{kind} ({api_version})"
        for api_version, kind in kinds & live.missing
        if definition_of((api_version, kind), wanted) is None
    )
