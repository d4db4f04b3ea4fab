# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a gateway can be reached: the addresses of the Services that lead to its pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....fields import mapping_at, name_of
from ....kube.pods import has_labels, trouble
from ....kube.services import read_addresses
from ....model.catalogue.mesh import Gateway, Server


def addresses(
    gateway: Gateway,
    server: Server,
    pods: Sequence[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Where the Services listen that lead to a server of a gateway: load balancers, external addresses,
    then cluster addresses.

    :param pods: the pods of its workload namespace. :param services: the Services of that namespace.
    :returns: IP addresses and host names, each once.
    """
    mine = [pod for pod in pods if has_labels(pod, gateway.selector)]
    found = [
        read
        for read in map(read_addresses, services)
        if read.selector
        and server.port in read.numbers
        and any(has_labels(pod, read.selector) for pod in mine)
    ]
    outer = [address for read in found for address in read.outer]
    return list(dict.fromkeys([*outer, *(address for read in found for address in read.cluster_ips[:1])]))


def no_address(
    gateway: Gateway, pods: Sequence[Mapping[str, Any]], services: Sequence[Mapping[str, Any]]
) -> str:
    """Why ``addresses`` found none: the object at fault and the way out, as half a sentence.

    :param pods, services: of its workload namespace.
    """
    space = gateway.workload_namespace
    labels = _labels(gateway.selector)
    mine = [pod for pod in pods if has_labels(pod, gateway.selector)]
    if not mine:
        gone = "its Deployment is gone or has no replicas, or its selector is wrong"
        return f"no pod in {space} has the labels {labels}: {gone}; istio.yml puts a Deployment back"
    selecting = [
        service
        for service in services
        if (wanted := mapping_at(service, "spec", "selector"))
        and any(has_labels(pod, wanted) for pod in mine)
    ]
    if not selecting:
        others = [
            f"{name_of(service)} selects {_labels(mapping_at(service, 'spec', 'selector'))}"
            for service in services
            if mapping_at(service, "spec", "selector")
        ]
        told = f" ({'; '.join(others[:3])})" if others else ""
        return f"no Service in {space} selects its pods, {labels}{told}: istio.yml puts it back"
    names = ", ".join(f"{space}/{name_of(service)}" for service in selecting)
    late = next((f"Pod {space}/{name_of(pod)}: {why}" for pod in mine if (why := trouble(pod))), "")
    wanted_ports = sorted({server.port for server in gateway.servers})
    reason = f"Service {names} has no address with port {', '.join(map(str, wanted_ports))}"
    way_out = "open the port in istio_gateways, or give verify_gateway_addresses"
    return f"{reason}{f' ({late})' if late else ''}: {way_out}"


def _labels(labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
