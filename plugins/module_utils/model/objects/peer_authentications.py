# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PeerAuthentications: the mesh's mode per namespace, exceptions per workload and target port."""

from __future__ import annotations

from typing import Any

from ..catalogue.mesh import Catalogue
from ..catalogue.services import Service
from .base import REASON_ANNOTATION, Obj, build
from .names import NAMESPACE_WIDE, service_mtls_name


def peer_authentication_objects(catalogue: Catalogue) -> list[Obj]:
    """``default`` for each namespace that holds services, then one object per exception.

    :returns: PeerAuthentications, by namespace.
    """
    mode = {"mtls": {"mode": catalogue.mtls_mode}}
    objects = [
        build("PeerAuthentication", NAMESPACE_WIDE, name, catalogue.name, mode)
        for name in catalogue.namespaces
    ]
    return objects + [
        _exception(catalogue, service) for service in catalogue.services if is_exception(catalogue, service)
    ]


def is_exception(catalogue: Catalogue, service: Service) -> bool:
    """Whether the service's mode, or that of a port, differs from the mesh's."""
    own = service.mtls.mode or catalogue.mtls_mode
    return own != catalogue.mtls_mode or any(mode != own for mode in service.mtls.ports.values())


def port_mode(catalogue: Catalogue, service: Service, target_port: int) -> str:
    """The mode that holds for a port of the workload: STRICT, PERMISSIVE or DISABLE."""
    return service.mtls.mode_of(target_port, catalogue.mtls_mode)


def _exception(catalogue: Catalogue, service: Service) -> Obj:
    own = service.mtls.mode or catalogue.mtls_mode
    ports = {str(port): {"mode": mode} for port, mode in sorted(service.mtls.ports.items()) if mode != own}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": dict(service.labels)},
        "mtls": {"mode": own},
        "portLevelMtls": ports or None,
    }
    exception = build(
        "PeerAuthentication", service_mtls_name(service.name), service.namespace, catalogue.name, spec
    )
    if service.mtls.reason:
        exception["metadata"]["annotations"] = {REASON_ANNOTATION: service.mtls.reason}
    return exception
