# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ports take once a PeerAuthentication is gone: what the policies say that are left, whoever wrote them.

The catalogue cannot tell: its service, or its whole namespace, may have left it together with the policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...fields import Object, mapping_at, namespace_of
from ...model.objects.expectations import Expectation, Scope
from ...model.security.peer_authentication import MESH_DEFAULT, PeerPolicies
from ...object_id import object_id
from ...words import few
from .live_policies import policies_seen

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ..apply.engine import Held

_KIND = "PeerAuthentication"


def lifted_modes(client: KubeClient, held: Held, root_namespace: str, context: Context) -> list[Expectation]:
    """What the proxies have to show after a step that took PeerAuthentications away.

    Of one for the whole mesh it is only said that nothing waits for it, and so where the policies that are
    left may not be seen.

    :returns: one per object that is gone. :raises ApiError: the API server does not answer.
    """
    kept = {object_id(obj) for obj in held.objects}
    gone = [obj for obj in held.before if obj["kind"] == _KIND and object_id(obj) not in kept]
    mesh_wide = [obj for obj in gone if namespace_of(obj) == root_namespace and not _selector(obj)]
    gone = [obj for obj in gone if namespace_of(obj) != root_namespace]
    if mesh_wide:
        _not_awaited(mesh_wide, "it was for the whole mesh", context)
    if not gone:
        return []
    seen = policies_seen(client, _KIND, {root_namespace, *map(namespace_of, gone)})
    left: dict[str, Object] = {object_id(obj): obj for found in seen.values() for obj in found or ()}
    then = left | {object_id(obj): obj for obj in held.before if obj["kind"] == _KIND}
    before, after = (PeerPolicies(policies.values(), root_namespace) for policies in (then, left))
    unseen = {place for place, found in seen.items() if found is None}

    def is_known(policy: Object) -> bool:
        """Whether no policy that may not be seen can decide."""
        namespace = namespace_of(policy)
        decided = all(policies.mode(namespace, {}, None)[1] != MESH_DEFAULT for policies in (before, after))
        return namespace not in unseen and (root_namespace not in unseen or decided)

    unknown = [policy for policy in gone if not is_known(policy)]
    if unknown:
        _not_awaited(unknown, f"no right to list {_KIND} in {', '.join(sorted(unseen))}", context)
    data = {"before": before, "after": after}
    return [
        Expectation(
            object_id(policy),
            Scope(namespace=namespace_of(policy), selector=_selector(policy)),
            "lifted",
            data,
        )
        for policy in gone
        if policy not in unknown
    ]


def _selector(policy: Object) -> dict[str, str]:
    return {key: str(value) for key, value in mapping_at(policy, "spec", "selector", "matchLabels").items()}


def _not_awaited(policies: Sequence[Object], reason: str, context: Context) -> None:
    names = few(map(object_id, policies))
    context.warn(f"{names} is gone, and that the proxies follow was not awaited: {reason}")
