# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of a control plane differ from their rendered manifest. Reads and dry-runs; writes nothing.

Every object is sent as a forced server-side apply in dry-run mode, as the manager that installs it, and the
answer is compared with the live object. So defaults, normalisation and list merging are the server's own, and
an object counts as different exactly when installing it again would change it. An ownership proof from
``managedFields`` cannot decide this: istiod takes fields over with plain updates, and Helm 3 never applies.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import ApiError
from ..istio.installed import settled
from ..istio.manifests import object_id, yaml_text
from ..kube.client import KubeClient

HELM_MANAGER = "helm"
_NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One object that an install would change.

    :param action: ``create``, ``update`` or ``delete``.
    :param before: the live object without server-side noise; empty for ``create``.
    :param after: what it would become; empty for ``delete``.
    :param desired: what to send to make it so; empty for ``delete``.
    :param validated: whether the server has seen ``after``; a missing namespace or kind prevents that.
    """

    id: str
    action: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    desired: Mapping[str, Any]
    validated: bool = True

    def summary(self) -> dict[str, Any]:
        """The object as it appears under ``objects`` in a result."""
        return {"id": self.id, "action": self.action}

    def diff(self) -> dict[str, Any]:
        """The object's part of ``diff`` in a result."""
        return {
            "before_header": self.id,
            "after_header": self.id,
            "before": yaml_text(self.before if self.action == "update" else _without_schemas(self.before)),
            "after": yaml_text(self.after if self.action == "update" else _without_schemas(self.after)),
        }


def compare(
    client: KubeClient, desired: Sequence[Mapping[str, Any]], *, field_manager: str
) -> list[Difference]:
    """The objects of ``desired`` that differ, in its order. Two requests per object, none that writes.

    :raises ApiError: when the server refuses an object (a changed immutable field, say).
    """
    found = client.in_parallel(lambda obj: _compare_one(client, obj, field_manager), desired)
    return [difference for difference in found if difference is not None]


def _compare_one(client: KubeClient, obj: Mapping[str, Any], field_manager: str) -> Difference | None:
    metadata = obj["metadata"]
    live = client.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))
    if live is None:
        return Difference(object_id(obj), "create", {}, quiet(obj), obj, validated=False)
    wanted = settled(obj, live)
    answer = client.apply(wanted, field_manager=field_manager, force=True, dry_run=True)
    before, after = quiet(live), quiet(answer)
    if before == after:
        return None
    return Difference(object_id(obj), "update", before, after, wanted)


def _without_schemas(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object for a diff that shows it whole: fifteen CRDs are 16,000 lines that nobody reads."""
    if obj.get("kind") != "CustomResourceDefinition":
        return obj
    short = copy.deepcopy(dict(obj))
    for version in short.get("spec", {}).get("versions") or ():
        if "schema" in version:
            version["schema"] = "(left out of the diff)"
    return short


def removal(live: Mapping[str, Any]) -> Difference:
    """The difference of an object that would be deleted."""
    return Difference(object_id(live), "delete", quiet(live), {}, {})


def missing_namespaces(client: KubeClient, names: Iterable[str]) -> list[Difference]:
    """The namespaces that do not exist yet."""
    wanted = list(names)
    found = client.in_parallel(lambda name: client.get("v1", "Namespace", name), wanted)
    return [
        Difference(f"Namespace {name}", "create", {}, namespace(name), namespace(name), validated=False)
        for name, live in zip(wanted, found, strict=True)
        if live is None
    ]


def namespace(name: str) -> dict[str, Any]:
    """A Namespace object."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def quiet(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object without status and the metadata that only the server writes."""
    plain = copy.deepcopy(dict(obj))
    plain.pop("status", None)
    plain["metadata"] = {
        key: value for key, value in (plain.get("metadata") or {}).items() if key not in _NOISE
    }
    return plain


def repair(client: KubeClient, differences: Iterable[Difference], *, field_manager: str) -> None:
    """Write exactly these objects. Deletions are left to the tool that owns them.

    :raises ApiError: when the server refuses one.
    """
    for difference in differences:
        if difference.action == "delete":
            raise ApiError(f"{difference.id} is to be deleted, not applied", subject=difference.id)
        client.apply(difference.desired, field_manager=field_manager, force=True)
