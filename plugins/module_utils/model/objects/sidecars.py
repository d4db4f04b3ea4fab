# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidecars: each service's proxy learns the services that it calls, and nothing else."""

from __future__ import annotations

from ..catalogue.mesh import Catalogue
from ..catalogue.services import Service
from .base import Obj, build


def sidecar_objects(catalogue: Catalogue) -> list[Obj]:
    """One Sidecar per service. :returns: Sidecars, in catalogue order."""
    return [
        build(
            "Sidecar",
            service.name,
            service.namespace,
            catalogue.name,
            {
                "workloadSelector": {"labels": dict(service.labels)},
                "egress": [{"hosts": list(sidecar_hosts(catalogue, service))}],
                "outboundTrafficPolicy": {"mode": catalogue.outbound},
            },
        )
        for service in catalogue.services
    ]


def sidecar_hosts(catalogue: Catalogue, service: Service) -> tuple[str, ...]:
    """Sorted ``namespace/host``: callees, external services, and what must never be hidden: the namespace of
    the control plane with its telemetry, the rate limit service, the egress gateway.

    :returns: each once.
    """
    hosts: set[str] = set()
    if catalogue.open_reason is not None:
        hosts |= {f"{namespace}/*" for namespace in catalogue.namespaces}
    for callee in (*catalogue.callees(service), *catalogue.open_services):
        hosts.add(f"{callee.namespace}/{callee.fqdn}")
        if callee.headless:
            hosts.add(f"{callee.namespace}/{callee.headless.fqdn}")
    for external in catalogue.external_callees(service):
        hosts |= {f"{external.namespace}/{host}" for host in external.hosts}
        if external.via_egress_gateway and catalogue.egress_gateway:
            hosts.add(f"{catalogue.egress_gateway.workload_namespace}/{catalogue.egress_gateway.host}")
    limit = service.rate_limit
    if limit and limit.scope == "global" and limit.at == "service" and catalogue.rate_limit_service:
        hosts.add(f"{catalogue.rate_limit_service.namespace}/{catalogue.rate_limit_service.host}")
    hosts |= set(catalogue.sidecar_hosts) | set(service.sidecar_hosts)
    whole = {host.split("/")[0] for host in hosts if host.endswith("/*")}
    return tuple(sorted(host for host in hosts if host.endswith("/*") or host.split("/")[0] not in whole))
