# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""External streams that a caller's proxy could not tell apart."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

from ..reading.problems import Problems
from .mesh import Catalogue, ExternalService

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
STREAMS = ("TCP", "MONGO", "MYSQL", "REDIS")
"""Protocols whose connections carry no name of a host."""


def meet(one: Network, other: Network) -> bool:
    """Whether two networks have an address in common; those of two IP versions never do."""
    return one.version == other.version and one.overlaps(other)


def check_streams(catalogue: Catalogue, problems: Problems) -> None:
    """Two external services of one caller with the same port need addresses that differ: streams in any case,
    HTTP where both are called by address.

    A proxy takes such a connection by port and address only; of two services that claim both, istiod drops
    one, and its connections reach the other (istio pilot/pkg/networking/core/listener.go, TCPOverTCP).
    """
    callers = [
        {catalogue.principal_of(caller) for caller in external.callers}
        for external in catalogue.external_services
    ]
    for index, external in enumerate(catalogue.external_services):
        where = (f"{external.where}.ports", f"{external.where}.addresses", f"{external.where}.callers")
        if problems.within(*where):
            continue
        for earlier in range(index):
            other = catalogue.external_services[earlier]
            ports = sorted(_ports(external, beside=other) & _ports(other, beside=external))
            if ports and callers[index] & callers[earlier] and _may_share(external, other):
                message = (
                    f"port {ports[0]} is also that of {other.where}, for the same caller: nothing tells the"
                    " connections apart, so give both addresses (networks) that differ"
                )
                problems.add(f"{external.where}.addresses", message, "stream-clash")
                break


def _ports(external: ExternalService, *, beside: ExternalService) -> set[int]:
    """The ports whose connections only addresses tell apart from those of ``beside``."""
    by_address = external.addresses and beside.addresses
    return {
        port.number for port in external.ports if port.protocol in STREAMS or (port.is_http and by_address)
    }


def _may_share(one: ExternalService, other: ExternalService) -> bool:
    """Whether one address may belong to both. Without addresses a service takes what no other one has."""
    if not one.addresses or not other.addresses:
        return not one.addresses and not other.addresses
    networks: list[list[Network]] = [
        [ipaddress.ip_network(text) for text in item.addresses] for item in (one, other)
    ]
    return any(meet(left, right) for left in networks[0] for right in networks[1])
