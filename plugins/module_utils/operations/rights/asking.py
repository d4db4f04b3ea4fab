# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server is asked for the rights of a plan before its first write.

A right that is missing for the seventh of ten writes would leave six of them done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import ApiError
from ...kube.access import EVERYTHING, AccessNeed, missing_rights
from .telling import describe_missing, shorten

if TYPE_CHECKING:
    from ...kube.client import KubeClient


def refuse_missing(
    client: KubeClient, wanted: Sequence[AccessNeed], purpose: str = "", *, each: bool = False
) -> None:
    """To be called before the first write. :param wanted: what it and those after it need, by name.

    :param purpose: see ``forbidden``. :param each: they are few: each is asked about, and told, by its name.
    :raises ApiError: with status 403, naming every right that is missing.
    """
    missing = find_missing(client, wanted, each=each)
    if missing:
        raise forbidden(missing, purpose)


def forbidden(missing: Sequence[AccessNeed], purpose: str = "", *, of: str = "") -> ApiError:
    """The error of rights that are missing before the first write.

    :param purpose: what they are needed for, as half a sentence. :param of: what alone is not written.
    """
    phrases = describe_missing(missing)
    what = f"nothing was written of {of}" if of else "nothing was written"
    message = f"{what}: rights are missing{f' {purpose}' if purpose else ''}: {shorten(phrases)}"
    return ApiError(message, status=403, reason="Forbidden", missing_rights=phrases)


def find_missing(client: KubeClient, wanted: Sequence[AccessNeed], *, each: bool) -> list[AccessNeed]:
    """Which rights are missing. :param each: see :func:`refuse_missing`.

    An administrator is one question; who may write all objects of a kind is one per kind and namespace.

    :returns: each once, in the order of ``wanted``.
    """
    if not wanted:
        return []
    try:
        if not missing_rights(client, [EVERYTHING]):
            return []
        if each:
            return missing_rights(client, wanted)
        unsure = set(missing_rights(client, [_nameless(need) for need in wanted]))
        by_name = [need for need in wanted if _nameless(need) in unsure]
        return list(dict.fromkeys(_nameless(need) for need in missing_rights(client, by_name)))
    except ApiError as error:
        if not error.not_allowed:
            raise
        return []  # who may not even ask learns it from the writes


def _nameless(need: AccessNeed) -> AccessNeed:
    return AccessNeed(need.verb, need.group, need.resource, need.namespace, subresource=need.subresource)
