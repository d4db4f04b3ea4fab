# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How results and messages name an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def object_id(obj: Mapping[str, Any]) -> str:
    """``Kind namespace/name``, or ``Kind name`` for cluster-scoped objects."""
    given = obj.get("metadata")
    metadata = given if isinstance(given, Mapping) else {}  # messages about a bad object name it, too
    kind, namespace, name = obj.get("kind") or "", metadata.get("namespace"), metadata.get("name") or ""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def object_key(obj: Mapping[str, Any]) -> tuple[str, str]:
    """What tells an object from every other one: ``Gateway`` is a kind of Istio's and of the Gateway API's,
    and the versions of a kind show one object.

    :returns: its API group and its id.
    """
    return str(obj.get("apiVersion") or "").rpartition("/")[0], object_id(obj)
