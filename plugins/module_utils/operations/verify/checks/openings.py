# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``policies``: what the catalogue opens on purpose. Told with its reason, it is no pass."""

from __future__ import annotations

from ....model.catalogue.edges import caller_name
from ....model.catalogue.mesh import Catalogue, all_callers
from ....model.catalogue.services import Caller, Service
from ..findings import Finding, stated


def stated_openings(catalogue: Catalogue) -> list[Finding]:
    """One finding per opening: the mesh as a whole, services, and callers without an identity.

    :returns: in catalogue order; ``[]`` for a mesh in which everybody has to be named.
    """
    if catalogue.open_reason is not None:
        message = f"nothing is authorized, every service is open: {catalogue.open_reason}"
        return [stated("policies", catalogue.name, message)]
    found = []
    for service in catalogue.services:
        reason = catalogue.open_reason_of(service)
        if reason is not None:
            found.append(stated("policies", service.key, f"open to everybody: {reason}"))
        for caller in all_callers(service):
            if not caller.has_identity:
                whom = f"{_who(caller)}{_what(service, caller)}"
                found.append(stated("policies", service.key, f"lets in {whom}: {caller.reason}"))
    return found


def _who(caller: Caller) -> str:
    name = caller_name(caller)
    return f"{name}, whoever it is," if caller.anonymous else f"whoever comes from {name}"


def _what(service: Service, caller: Caller) -> str:
    if service.scrape and caller in service.scrape.callers:
        return f" to its metrics ({service.scrape.port}{service.scrape.path})"
    limits = [" ".join(item) for item in (caller.methods, caller.paths) if item]
    ports = f"port {', '.join(caller.ports)}" if caller.ports else ""
    told = ", ".join(filter(None, (*limits, ports)))
    return f" to {told}" if told else ""
