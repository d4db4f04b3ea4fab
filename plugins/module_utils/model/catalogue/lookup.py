# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service by the name that a person gives: ``name`` or ``namespace/name``, the same for every playbook."""

from __future__ import annotations

from ...errors import nearest
from .mesh import Catalogue
from .services import Service


def look_up(catalogue: Catalogue, text: str, namespace: str = "") -> tuple[Service | None, str]:
    """The service that is meant.

    :param text: ``name`` or ``namespace/name``. :param namespace: for a mere name; by default
        ``mesh_namespace``.
    :returns: the service and ``""``, or ``None`` and what is wrong, as the end of a sentence.
    """
    place, _slash, name = text.rpartition("/")
    if place and namespace and place != namespace:
        return None, f"{text!r} is in namespace {place}, and the namespace that is given is {namespace}"
    service = catalogue.service(name, place or namespace or None)
    if service is not None:
        return service, ""
    elsewhere = [item.key for item in catalogue.services if item.name == name]
    if elsewhere:
        here = place or namespace or catalogue.namespace
        return None, f"{text!r} is not in namespace {here}: write {' or '.join(elsewhere)}"
    known = sorted(item.key for item in catalogue.services)
    short = sorted({item.name for item in catalogue.services})
    listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "") or "it is empty"
    return None, f"{text!r} is not in mesh_services ({listed}){nearest(name, short)}"
