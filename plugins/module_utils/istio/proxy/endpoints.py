# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints as a proxy sees them: which it would send to, and which it has thrown out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...fields import integer_at, mapping_at, mappings_at, text_at

HEALTHY = ("HEALTHY", "DEGRADED", "")
_FAILED = ("failed_active_health_check", "failed_outlier_check", "failed_active_degraded_check")


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One host of a cluster.

    :param address: ``host:port``. :param trouble: why the proxy does not send to it; empty when it does.
    :param stats: its own counters and gauges, such as ``cx_connect_fail`` and ``rq_timeout``.
    """

    address: str
    trouble: str
    stats: Mapping[str, int] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def host(self) -> str:
        """The address without its port; ``?`` where Envoy does not say one."""
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port of the address; 0 where Envoy does not say one."""
        number = self.address.rpartition(":")[2]
        return int(number) if number.isdigit() else 0


def endpoints(statuses: Mapping[str, Any]) -> dict[str, list[Endpoint]]:
    """The hosts by cluster name, out of Envoy's ``clusters?format=json`` (envoy/admin/v3/clusters.proto).

    :returns: cluster name -> its hosts.
    """
    return {
        text_at(cluster, "name"): [_endpoint(host) for host in mappings_at(cluster, "host_statuses")]
        for cluster in mappings_at(statuses, "cluster_statuses")
    }


def inbound_requests(statuses: Mapping[str, Any]) -> int:
    """Requests that a sidecar has handed to its program and that have not ended, out of the same answer."""
    return sum(
        int(text_at(stat, "value") or 0)
        for cluster in mappings_at(statuses, "cluster_statuses")
        if text_at(cluster, "name").startswith("inbound|")
        for host in mappings_at(cluster, "host_statuses")
        for stat in mappings_at(host, "stats")
        if text_at(stat, "name") == "rq_active"
    )


def _endpoint(host: Mapping[str, Any]) -> Endpoint:
    socket = mapping_at(host, "address", "socket_address")
    address = f"{text_at(socket, 'address') or '?'}:{integer_at(socket, 'port_value') or '?'}"
    health = mapping_at(host, "health_status")
    eds = text_at(health, "eds_health_status")
    reasons = [] if eds in HEALTHY else [eds.lower()]
    reasons += [name.replace("_", " ") for name in _FAILED if health.get(name) is True]
    stats = {
        text_at(stat, "name"): int(text_at(stat, "value") or 0)
        for stat in mappings_at(host, "stats")
        if text_at(stat, "value").isdigit() or not text_at(stat, "value")
    }
    return Endpoint(address, ", ".join(reasons), stats)
