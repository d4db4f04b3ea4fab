# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns a catalogue and its release records into Istio objects, for the filter and the module alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...object_id import object_id
from ..catalogue.mesh import Catalogue
from ..catalogue.parse import parse_catalogue
from ..reading.problems import Problems
from .authorization_policies import authorization_objects
from .base import API_VERSIONS, Obj
from .destination_rules import destination_rule_objects
from .egress import egress_objects
from .gateways import gateway_objects
from .peer_authentications import peer_authentication_objects
from .rate_limits import rate_limit_objects
from .service_entries import external_objects
from .sidecars import sidecar_objects
from .telemetries import telemetry_objects
from .virtual_service_delegates import delegate_object
from .virtual_service_roots import root_objects
from .weights import fences_by_service, weights_by_service


def mesh_resources(
    catalogue: Mapping[str, Any], releases: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Obj]:
    """The Istio objects of a mesh, in a stable order: by kind, namespace and name.

    :param catalogue: the ``mesh_*`` variables. :param releases: release records by ``namespace/service``.
    :returns: one mapping per object.
    :raises InputError: with every problem of the catalogue, or every problem of the records.
    """
    return render(parse_catalogue(catalogue), releases)


def render(catalogue: Catalogue, releases: Mapping[str, Mapping[str, Any]] | None = None) -> list[Obj]:
    """The Istio objects of a catalogue that is parsed already, ordered as in :func:`mesh_resources`.

    :returns: one mapping per object. :raises InputError: two objects would have one name, and the like."""
    problems = Problems()
    weights = weights_by_service(catalogue, releases, problems)
    fences = fences_by_service(catalogue, releases, problems)
    delegates = [
        delegate_object(catalogue, service, weights[service.key], fence=fences[service.key])
        for service in catalogue.services
    ]
    objects = [
        *external_objects(catalogue),
        *gateway_objects(catalogue),
        *destination_rule_objects(catalogue),
        *(delegate for delegate in delegates if delegate),
        *root_objects(catalogue, weights),
        *peer_authentication_objects(catalogue),
        *authorization_objects(catalogue),
        *sidecar_objects(catalogue),
        *egress_objects(catalogue),
        *telemetry_objects(catalogue),
        *rate_limit_objects(catalogue),
    ]
    _check_names(objects, problems)
    problems.check()
    return sorted(objects, key=_order)


_KINDS = list(API_VERSIONS)


def _order(obj: Obj) -> tuple[int, str, str]:
    return _KINDS.index(obj["kind"]), obj["metadata"]["namespace"], obj["metadata"]["name"]


def _check_names(objects: list[Obj], problems: Problems) -> None:
    """What :mod:`.names` makes cannot meet; if it did, one object would silently replace another."""
    seen: set[str] = set()
    for obj in objects:
        name = object_id(obj)
        if name in seen:
            message = f"two computed objects would be {name}; rename a service or gateway"
            problems.add("mesh_services", message, "name-clash")
        seen.add(name)
