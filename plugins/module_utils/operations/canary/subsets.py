# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subsets that a rollout's routes name, in the live DestinationRule."""

from __future__ import annotations

from ...fields import mapping_at, mappings_at, text_at
from .assembly import RolloutBuilder
from .objects.routes import ISTIO_API


def missing_subsets(builder: RolloutBuilder, *versions: str) -> list[str]:
    """What keeps routes from naming these versions: a proxy answers 503 for a subset that is not there.

    Computed routes name others beside the split, as the catalogue says, which may not have been applied yet.

    :returns: one line for each version whose subset is missing or selects other pods.
    """
    service = builder.service
    rule = builder.client.get(ISTIO_API, "DestinationRule", service.name, service.namespace)
    subsets = {
        text_at(item, "name"): mapping_at(item, "labels") for item in mappings_at(rule, "spec", "subsets")
    }
    found = []
    for version in dict.fromkeys([*versions, *_named(builder)]):
        wanted = dict(service.versions[version].labels)
        if subsets.get(version) != wanted:
            found.append(
                f"DestinationRule {service.namespace}/{service.name} has no subset {version} with labels"
                f" {wanted}: apply the mesh first"
            )
    return found


def _named(builder: RolloutBuilder) -> list[str]:
    """The versions that computed routes name beside the split."""
    service = builder.service
    if builder.options.routes:
        return []
    named = [*(variant.to for variant in service.variants), *(route.to for route in service.routes)]
    if service.mirror:
        named.append(service.mirror.to)
    return [name for name in named if name]
