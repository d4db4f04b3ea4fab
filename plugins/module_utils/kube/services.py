# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Service as a client sees it: its addresses of all kinds, and its ports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..fields import integer_at, list_at, mapping_at, mappings_at, name_of, namespace_of, text_at

HEADLESS = "None"


@dataclasses.dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service. ``node_port`` is 0 where the nodes do not listen for it."""

    name: str
    number: int
    node_port: int
    protocol: str


@dataclasses.dataclass(frozen=True, slots=True)
class ServiceAddresses:
    """What leads to a Service.

    :param type: ``ClusterIP``, ``NodePort``, ``LoadBalancer`` or ``ExternalName``.
    :param ips, hostnames: of its load balancer. :param external_ips: those that its author gave it.
    :param cluster_ips: the cluster's own, of both families; empty for a headless one.
    """

    namespace: str
    name: str
    type: str
    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]
    ips: tuple[str, ...]
    hostnames: tuple[str, ...]
    external_ips: tuple[str, ...]
    cluster_ips: tuple[str, ...]
    outer: tuple[str, ...]

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of its ports."""
        return frozenset(port.number for port in self.ports)


def read_addresses(service: Mapping[str, Any]) -> ServiceAddresses:
    """The addresses out of a Service; one that is headless has none of the cluster's.

    Source: k8s.io/api core/v1 types.go (ServiceSpec, LoadBalancerIngress).
    """
    balancers = mappings_at(service, "status", "loadBalancer", "ingress")
    external = tuple(str(address) for address in list_at(service, "spec", "externalIPs"))
    told = [text_at(entry, "ip") or text_at(entry, "hostname") for entry in balancers]
    return ServiceAddresses(
        namespace=namespace_of(service),
        name=name_of(service),
        type=text_at(service, "spec", "type") or "ClusterIP",
        selector=mapping_at(service, "spec", "selector"),
        ports=tuple(_port(entry) for entry in mappings_at(service, "spec", "ports")),
        ips=_each(text_at(entry, "ip") for entry in balancers),
        hostnames=_each(text_at(entry, "hostname") for entry in balancers),
        external_ips=external,
        cluster_ips=_cluster_ips(service),
        outer=_each([*told, *external]),
    )


def _port(entry: Mapping[str, Any]) -> ServicePort:
    return ServicePort(
        name=text_at(entry, "name"),
        number=integer_at(entry, "port"),
        node_port=integer_at(entry, "nodePort"),
        protocol=text_at(entry, "protocol") or "TCP",
    )


def _cluster_ips(service: Mapping[str, Any]) -> tuple[str, ...]:
    first = text_at(service, "spec", "clusterIP")
    others = [str(address) for address in list_at(service, "spec", "clusterIPs")]
    return tuple(address for address in _each([first, *others]) if address != HEADLESS)


def _each(texts: Any) -> tuple[str, ...]:
    """Without empty ones, each once."""
    return tuple(dict.fromkeys(text for text in texts if text))
