# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints as a proxy sees them: which it would send to, and which it has thrown out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

HEALTHY = ("HEALTHY", "DEGRADED", "")
_FAILED = ("failed_active_health_check", "failed_outlier_check", "failed_active_degraded_check")


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One host of a cluster.

    :param trouble: why the proxy does not send to it; empty when it does.
    """

    address: str
    trouble: str


def endpoints(statuses: Mapping[str, Any]) -> dict[str, list[Endpoint]]:
    """The hosts by cluster name, out of Envoy's ``clusters?format=json`` (envoy/admin/v3/clusters.proto).

    :returns: cluster name -> its hosts, in Envoy's order.
    """
    return {
        str(cluster.get("name", "")): [_endpoint(host) for host in cluster.get("host_statuses") or ()]
        for cluster in statuses.get("cluster_statuses") or ()
    }


def _endpoint(host: Mapping[str, Any]) -> Endpoint:
    socket = (host.get("address") or {}).get("socket_address") or {}
    address = f"{socket.get('address', '?')}:{socket.get('port_value', '?')}"
    health = host.get("health_status") or {}
    told = str(health.get("eds_health_status") or "")
    reasons = [] if told in HEALTHY else [told.lower()]
    reasons += [name.replace("_", " ") for name in _FAILED if health.get(name)]
    return Endpoint(address, ", ".join(reasons))
