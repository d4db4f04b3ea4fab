# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How missing rights are told. Apart from the table of all rights: who writes objects never reads that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...kube.access import AccessNeed


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
