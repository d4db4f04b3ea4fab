# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of a control plane differ from their rendered manifest. Reads and dry-runs; writes nothing.

Every object is sent as a forced server-side apply in dry-run mode, as the manager that installs it, and the
answer is compared with the live object. So defaults, normalisation and list merging are the server's own, and
an object counts as different exactly when installing it again would change it, or when a person added to it
what no install would take out again. An ownership proof from
``managedFields`` cannot decide this: istiod takes fields over with plain updates, and Helm 3 never applies.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...context import Context
from ...equality import same
from ...errors import ApiError
from ...fields import mapping_at, mappings_at
from ...istio.installation.installed import settled
from ...istio.installation.manifests import yaml_text
from ...istio.installation.platforms import Kept, with_platforms
from ...kube.additions import Additions, hand_additions
from ...kube.client import KubeClient
from ...kube.comparison import for_display
from ...kube.objects import is_leaving, kept_by
from ...kube.three_way import merge_patch
from ...kube.three_way import replaced as replaced_by
from ...kube.wait import wait_until
from ...object_id import object_id

HELM_MANAGER = "helm"
_REREADS = 5
_NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


@dataclasses.dataclass(frozen=True, slots=True)
class DriftedObject:
    """One object that an install would change.

    :param action: ``create``, ``update`` or ``delete``.
    :param before: the live object without server-side noise; empty for ``create``.
    :param after: what it would become; empty for ``delete``.
    :param desired: what to send to make it so; empty for ``delete``.
    :param validated: whether the server has seen ``after``; a missing namespace or kind prevents that.
    :param additions: what a person added by hand, which goes before anything else is written.
    :param leaving: whether what is there is being deleted, and has to be gone before it is created.
    """

    id: str
    action: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    desired: Mapping[str, Any]
    validated: bool = True
    additions: Additions | None = None
    leaving: bool = False

    def summary(self) -> dict[str, Any]:
        """The object as it appears under ``objects`` in a result.

        :returns: ``id`` and ``action``; ``taken_back_from`` when a person's additions go.
        """
        taken = {"taken_back_from": ", ".join(self.additions.tools)} if self.additions else {}
        return {"id": self.id, "action": self.action, **taken}

    def diff(self) -> dict[str, Any]:
        """The object's part of ``diff`` in a result.

        :returns: Ansible's form: headers, and both states as text, without their secrets.
        """
        before, after = self.before, self.after
        if self.action != "update":
            before, after = _without_schemas(before), _without_schemas(after)
        shown = [yaml_text(state) if state else "" for state in for_display(before or None, after or None)]
        return {"before_header": self.id, "after_header": self.id, "before": shown[0], "after": shown[1]}


def compare(
    client: KubeClient,
    desired: Sequence[Mapping[str, Any]],
    *,
    field_manager: str,
    replaced: Mapping[str, Mapping[str, Any]] | None = None,
    kept: dict[str, tuple[Kept, ...]] | None = None,
) -> list[DriftedObject]:
    """The objects of ``desired`` that differ, in its order. Two requests per object, none that writes.

    :param replaced: manifests that the tool is going to replace, by object id: what they have and ``desired``
        lacks goes, whoever owns it.
    :param kept: gets what platforms changed and what is left as it is, by object id.
    :returns: one per object that differs.
    :raises ApiError: when the server refuses an object (a changed immutable field, say).
    """
    old = replaced or {}
    found = client.in_parallel(
        lambda obj: _compare_one(
            client, obj, field_manager, old.get(object_id(obj)), {} if kept is None else kept
        ),
        desired,
    )
    return [difference for difference in found if difference is not None]


def _compare_one(
    client: KubeClient,
    obj: Mapping[str, Any],
    field_manager: str,
    old: Mapping[str, Any] | None,
    kept: dict[str, tuple[Kept, ...]],
) -> DriftedObject | None:
    metadata = obj["metadata"]
    for _unused in range(_REREADS + 1):
        live = client.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))
        if live is None or is_leaving(live):
            return _creation(obj, quiet(obj), leaving=live is not None)
        wanted, of_platforms = with_platforms(settled(obj, live), live)
        if of_platforms:
            kept[object_id(obj)] = of_platforms
        answer = _predicted(client, live, wanted, old, field_manager)
        added = hand_additions(answer, wanted, field_manager)
        before, after = quiet(live), quiet(added.taken_out(answer) if added else answer)
        if same(before, after):
            return None
        # Another version: a controller wrote between the two requests, and the difference may be its doing.
        if answer["metadata"].get("resourceVersion") == live["metadata"].get("resourceVersion"):
            break
    return DriftedObject(object_id(obj), "update", before, after, wanted, additions=added)


def _predicted(
    client: KubeClient,
    live: Mapping[str, Any],
    wanted: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    field_manager: str,
) -> dict[str, Any]:
    """What the server would make of the object, with its own defaults. :returns: its answer to a dry-run."""
    after = replaced_by(live, old, wanted) if old is not None else None
    if after is None:
        return client.apply(wanted, field_manager=field_manager, force=True, dry_run=True)
    metadata = wanted["metadata"]
    return client.patch(
        wanted["apiVersion"],
        wanted["kind"],
        metadata["name"],
        metadata.get("namespace"),
        merge_patch(live, after),
        field_manager=field_manager,
        dry_run=True,
    )


def _without_schemas(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object for a diff that shows it whole: fifteen CRDs are 16,000 lines that nobody reads."""
    if obj.get("kind") != "CustomResourceDefinition":
        return obj
    versions = [
        {**version, "schema": "(left out of the diff)"} if "schema" in version else version
        for version in mappings_at(obj, "spec", "versions")
    ]
    return {**obj, "spec": {**mapping_at(obj, "spec"), "versions": versions}}


def _creation(obj: Mapping[str, Any], after: Mapping[str, Any], *, leaving: bool) -> DriftedObject:
    return DriftedObject(object_id(obj), "create", {}, after, obj, validated=False, leaving=leaving)


def removals(live: Iterable[Mapping[str, Any]]) -> list[DriftedObject]:
    """The differences of objects that would be deleted; those that somebody has deleted already are none.

    :returns: in the order of ``live``.
    """
    return [
        DriftedObject(object_id(obj), "delete", quiet(obj), {}, {}) for obj in live if not is_leaving(obj)
    ]


def missing_namespaces(client: KubeClient, names: Iterable[str]) -> list[DriftedObject]:
    """The namespaces that do not exist yet. :returns: one per namespace."""
    wanted = list(names)
    found = client.in_parallel(lambda name: client.get("v1", "Namespace", name), wanted)
    return [
        _creation(namespace(name), namespace(name), leaving=live is not None)
        for name, live in zip(wanted, found, strict=True)
        if live is None or is_leaving(live)
    ]


def await_leaving(
    client: KubeClient, differences: Iterable[DriftedObject], *, timeout: float, context: Context
) -> None:
    """Wait until what is being deleted and has to be there is gone: what is written to it goes with it.

    :param timeout: seconds. :raises WaitTimeout: with the finalizers that keep an object.
    """
    waiting = [difference.desired for difference in differences if difference.leaving]

    def look() -> tuple[bool, str]:
        for obj in waiting:
            metadata = obj["metadata"]
            live = client.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))
            if live is not None and is_leaving(live):
                return False, f"{object_id(obj)} is still there ({kept_by(live)})"
        return True, "gone"

    if waiting:
        wait_until(
            look,
            awaited="what is being deleted to be gone",
            timeout=timeout,
            stop=context.stop,
            progress=context.progress,
            clock=context.clock,
        )


def namespace(name: str) -> dict[str, Any]:
    """A Namespace object. :returns: as it is applied."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def quiet(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object without status and the metadata that only the server writes.

    :returns: a copy; the object is not changed.
    """
    plain = copy.deepcopy(dict(obj))
    plain.pop("status", None)
    plain["metadata"] = {
        key: value for key, value in mapping_at(plain, "metadata").items() if key not in _NOISE
    }
    return plain


def take_out_additions(
    client: KubeClient, differences: Iterable[DriftedObject], *, field_manager: str
) -> None:
    """Take out what people added by hand, and nothing else. Other managers' later additions stay.

    :raises ApiError: when the server refuses a removal, or others never stop writing the object (409).
    """
    for difference in differences:
        if difference.additions is not None:
            _take_out(client, difference.desired, field_manager)


def _take_out(client: KubeClient, obj: Mapping[str, Any], field_manager: str) -> None:
    metadata = obj["metadata"]
    identity = (obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))
    for attempt in range(_REREADS + 1):
        live = client.get(*identity)
        added = hand_additions(live, obj, field_manager) if live else None
        if live is None or added is None:
            return
        patch = added.patch(live["metadata"]["resourceVersion"])
        try:
            client.patch(*identity, patch, patch_type="json", field_manager=field_manager)
            return
        except ApiError as error:  # 409: controllers write a Deployment's status at any time
            if error.status != 409 or attempt == _REREADS:
                raise


def repair(client: KubeClient, differences: Iterable[DriftedObject], *, field_manager: str) -> None:
    """Write exactly these objects. Deletions are left to the tool that owns them.

    :raises ApiError: when the server refuses one.
    """
    wanted = list(differences)
    take_out_additions(client, wanted, field_manager=field_manager)
    for difference in wanted:
        if difference.action == "delete":
            raise ApiError(f"{difference.id} is to be deleted, not applied", subject=difference.id)
        client.apply(difference.desired, field_manager=field_manager, force=True)
