# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether objects of a kind live in namespaces: asked of the server, or of what will define the kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ApiError
from ..fields import mappings_at, text_at

if TYPE_CHECKING:
    from .client import KubeClient


def is_namespaced(
    client: KubeClient, kind: tuple[str, str], objects: Sequence[Mapping[str, Any]] = ()
) -> bool | None:
    """Whether a kind (apiVersion, kind) is namespaced.

    :param objects: may hold the CustomResourceDefinition of a kind that the server does not serve yet.
    :returns: None when nobody knows the kind.
    """
    try:
        return client.resource(*kind).namespaced
    except ApiError as error:
        if error.reason != "NoKind":
            raise
    definition = definition_of(kind, objects)
    return None if definition is None else text_at(definition, "spec", "scope") == "Namespaced"


def definition_of(kind: tuple[str, str], objects: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The CustomResourceDefinition among ``objects`` that will define a kind (apiVersion, kind).

    :returns: the CustomResourceDefinition, None when there is none.
    """
    group, _unused, version = kind[0].rpartition("/")
    for obj in objects:
        if obj.get("kind") != "CustomResourceDefinition" or text_at(obj, "spec", "group") != group:
            continue
        versions = [text_at(entry, "name") for entry in mappings_at(obj, "spec", "versions")]
        if text_at(obj, "spec", "names", "kind") == kind[1] and version in versions:
            return obj
    return None
