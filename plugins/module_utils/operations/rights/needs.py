# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rights a run needs in which namespaces."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

from ...kube.access import AccessNeed
from .table import CLUSTER, RIGHTS, names_of

Places = Mapping[str, Sequence[str]]


def access_needs(
    parts: Iterable[str],
    places: Places,
    options: Collection[str] = (),
    names: Mapping[str, Sequence[str]] | None = None,
) -> dict[AccessNeed, str]:
    """Everything that these parts need, each once, in the order of the table.

    :param places: kind of place -> its namespaces; none = nothing is needed there. CLUSTER is known.
    :param options: those of ``Right.when`` that are chosen.
    :param names: as ``names_of`` returns them; by default those of an Istio in istio-system.
    :returns: right -> what is lost without it; empty = it is necessary.
    """
    known = names_of() if names is None else names
    needs: dict[AccessNeed, str] = {}
    for part in parts:
        for right in RIGHTS[part]:
            if right.when and not set(right.when) & set(options):
                continue
            named = known[right.names] if right.names else ("",)
            where = [
                namespace
                for place in right.places
                for namespace in (("",) if place == CLUSTER else places[place])
            ]
            for namespace, verb, name in itertools.product(where, right.verbs, named):
                resource, _slash, subresource = right.resource.partition("/")
                need = AccessNeed(verb, right.group, resource, namespace, name, subresource)
                # Necessary for one purpose is necessary.
                needs[need] = right.optional and needs.get(need, right.optional)
    return needs


def needed_by_any(found: Iterable[Mapping[AccessNeed, str]]) -> dict[AccessNeed, str]:
    """What several parts need. :returns: as of ``access_needs``: necessary for one of them is necessary."""
    needs: dict[AccessNeed, str] = {}
    for part in found:
        for need, lost in part.items():
            needs[need] = lost and needs.get(need, lost)
    return needs


def lease_needs(namespace: str, name: str) -> list[AccessNeed]:
    """What it needs to hold a Lease.

    :returns: the rights; creating has no name in it, because a POST is not authorized by its name.
    """
    create = AccessNeed("create", "coordination.k8s.io", "leases", namespace)
    held = [AccessNeed(verb, "coordination.k8s.io", "leases", namespace, name) for verb in ("get", "update")]
    return [create, *held]
