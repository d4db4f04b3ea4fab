# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that writing objects needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...errors import ApiError
from ...fields import name_of, namespace_of
from ...kube.access import AccessNeed
from ..rights.asking import refuse_missing
from .plan import DELETED, Item

if TYPE_CHECKING:
    from ...kube.client import KubeClient


def refuse_without_rights(client: KubeClient, items: Iterable[Item], *, validated: bool) -> None:
    """To be called before the first write.

    :param validated: whether the server has dry-run what is applied: then only deletions are asked about.
    :raises ApiError: with status 403, naming every right that is missing.
    """
    refuse_missing(client, list(_wanted(client, items, validated=validated)))


def _wanted(client: KubeClient, items: Iterable[Item], *, validated: bool) -> Iterable[AccessNeed]:
    for item in items:
        if not item.changes:
            continue
        obj = item.desired
        try:
            resource = client.resource(str(obj["apiVersion"]), str(obj["kind"]))
        except ApiError as error:
            if error.reason != "NoKind":
                raise
            continue  # this run defines the kind
        if item.action == DELETED:
            verbs: Sequence[str] = ("delete",)
        elif validated:
            verbs = ()
        else:
            verbs = ("patch",) if item.before is not None else ("patch", "create")
        group = str(obj["apiVersion"]).rpartition("/")[0]
        for verb in verbs:
            yield AccessNeed(verb, group, resource.plural, namespace_of(obj), name_of(obj))
