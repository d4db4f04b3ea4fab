# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that a plan needs, asked of the API server before the first write.

A right that is missing for the seventh of ten objects would leave six of them written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...errors import ApiError
from ...fields import name_of, namespace_of
from ...kube.access import EVERYTHING, AccessNeed, missing_rights
from ..rights.needs import describe_missing, shorten
from .plan import DELETED, Item

if TYPE_CHECKING:
    from ...kube.client import KubeClient


def refuse_without_rights(client: KubeClient, items: Iterable[Item], *, validated: bool) -> None:
    """To be called before the first write.

    :param validated: whether the server has dry-run what is applied: then only deletions are asked about.
    :raises ApiError: with status 403, naming every right that is missing.
    """
    wanted = list(_wanted(client, items, validated=validated))
    missing = _missing(client, wanted) if wanted else []
    if missing:
        raise forbidden(missing)


def forbidden(missing: Sequence[AccessNeed], purpose: str = "") -> ApiError:
    """The error of rights that are missing before the first write.

    :param purpose: what they are needed for, as half a sentence.
    """
    phrases = describe_missing(missing)
    message = f"nothing was written: rights are missing{f' {purpose}' if purpose else ''}: {shorten(phrases)}"
    return ApiError(message, status=403, reason="Forbidden", missing_rights=phrases)


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


def _missing(client: KubeClient, wanted: Sequence[AccessNeed]) -> list[AccessNeed]:
    """An administrator is one question; who may write all objects of a kind is one per kind and namespace."""
    try:
        if not missing_rights(client, [EVERYTHING]):
            return []
        unsure = set(missing_rights(client, [_nameless(need) for need in wanted]))
        by_name = [need for need in wanted if _nameless(need) in unsure]
        return list(dict.fromkeys(_nameless(need) for need in missing_rights(client, by_name)))
    except ApiError as error:
        if error.status != 403:
            raise
        return []  # who may not even ask learns it from the writes


def _nameless(need: AccessNeed) -> AccessNeed:
    return AccessNeed(need.verb, need.group, need.resource, need.namespace, subresource=need.subresource)
