# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rights a run needs in which namespaces, and how missing ones are told."""

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


def lease_needs(namespace: str, name: str) -> list[AccessNeed]:
    """What it needs to hold a Lease.

    :returns: the rights; creating has no name in it, because a POST is not authorized by its name.
    """
    create = AccessNeed("create", "coordination.k8s.io", "leases", namespace)
    held = [AccessNeed(verb, "coordination.k8s.io", "leases", namespace, name) for verb in ("get", "update")]
    return [create, *held]


def losses(missing: Iterable[AccessNeed], needs: Mapping[AccessNeed, str]) -> list[str]:
    """What the missing rights cost that are not necessary.

    :param needs: as ``access_needs`` returns them. :returns: a sentence for each loss, without full stop.
    """
    told: dict[str, list[str]] = {}
    for need in missing:
        if needs[need]:
            told.setdefault(needs[need], []).append(str(need))
    return [f"{loss}: no right to {', '.join(rights)}" for loss, rights in told.items()]


def describe_missing(missing: Iterable[AccessNeed]) -> list[str]:
    """All missing rights.

    :returns: a phrase for equal ones, such as ``in shop: get, list on pods, deployments.apps``.
    """
    verbs: dict[tuple[str, str], list[str]] = {}
    for need in missing:
        resource = f"{need.resource}/{need.subresource}" if need.subresource else need.resource
        full = f"{resource}.{need.group}" if need.group else resource
        full += f" '{need.name}'" if need.name else ""
        verbs.setdefault((need.namespace, full), []).append(need.verb)
    resources: dict[tuple[str, str], list[str]] = {}
    for (namespace, resource), names in verbs.items():
        resources.setdefault((namespace, ", ".join(names)), []).append(resource)
    return [
        f"in {namespace or 'the cluster'}: {names} on {', '.join(kinds)}"
        for (namespace, names), kinds in resources.items()
    ]


def shorten(phrases: Sequence[str], limit: int = 400) -> str:
    """The first phrases, as one of at most ``limit`` characters or one phrase, and how many were left out."""
    shown = list(phrases[:1])
    for phrase in phrases[1:]:
        if sum(map(len, shown)) + len(phrase) > limit:
            break
        shown.append(phrase)
    left = len(phrases) - len(shown)
    return "; ".join(shown) + (f"; and {left} more such lines under missing_rights" if left else "")
