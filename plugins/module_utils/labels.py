# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels: how the collection marks what it writes, and whom an equality selector takes."""

from __future__ import annotations

from collections.abc import Mapping

COLLECTION = "servicemesh.istio"
"""The collection's name: in labels, in ``managedFields``, in the user agent."""
FIELD_MANAGER = COLLECTION
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
PART_OF_LABEL = "app.kubernetes.io/part-of"
COMPONENT_LABEL = "app.kubernetes.io/component"
FENCE_ANNOTATION = "servicemesh.istio/fence"
INSTALLED_BY_ANNOTATION = "servicemesh.istio/installed-by"
"""On istiod's Deployment: the inventory that installed it."""
INJECTED_BY_ANNOTATION = "servicemesh.istio/injected-by"
"""On a Namespace: the inventory that says whether and by which revision its pods are injected."""
SIZED_BY_ANNOTATION = "servicemesh.istio/sized-by"
"""On a Deployment: the inventory that says how large its sidecars are."""
APPLIED_BY_ANNOTATION = "servicemesh.istio/applied-by"
"""On an object of a catalogue, of an add-on, or a credential: the inventory that applied it."""
OWN_ANNOTATION = "servicemesh.istio/own-object"
"""On an object out of a team's own files or definitions: pruned with them. The labels of a mesh are also on
what a catalogue computes, and on credentials, CAs, Leases and Jobs that other parts keep."""


def ownership_labels(part_of: str) -> dict[str, str]:
    """The labels by which a mesh (or another whole, such as the add-ons) finds, lists and prunes its objects.

    :returns: label key -> value.
    """
    return {MANAGED_BY_LABEL: COLLECTION, PART_OF_LABEL: part_of}


def is_selected(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    """Whether ``labels`` hold every label of an equality selector; an empty selector selects all."""
    return all(labels.get(key) == value for key, value in selector.items())
