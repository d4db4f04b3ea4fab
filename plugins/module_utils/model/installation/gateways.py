# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one reader of ``istio_gateways``: which gateway workloads are installed, where, and as whom.

The installation, the catalogue, the certificates and the injection all ask it, so a default is the same for
all of them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..reading.problems import Problems
from ..reading.reader import Reader
from ..reading.values import LABEL, SERVICE_ACCOUNT

SERVICE_TYPES = ("ClusterIP", "LoadBalancer", "NodePort")
PROTOCOLS = ("TCP", "UDP", "SCTP")
DEFAULT_NAMESPACE = "istio-system"
DEFAULT_GATEWAYS: tuple[Mapping[str, Any], ...] = ({"name": "istio-ingressgateway"},)
"""What is installed where nobody says anything. An empty list says: none."""
DEFAULT_PORTS: tuple[Mapping[str, Any], ...] = (
    {"name": "status-port", "port": 15021},
    {"name": "http2", "port": 80},
    {"name": "https", "port": 443},
)
# Releases and objects of these names are Istio's own, of whatever revision: a gateway would replace them.
_OF_ISTIO = re.compile(r"istiod(?:-.*)?|istio-base|istio-cni-node|ztunnel")
# The API server refuses replicas above int32; nobody means as many gateways as this.
_MOST_REPLICAS = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayPort:
    """One port of a gateway's Service. ``target_port`` 0 means: the method's own default."""

    name: str
    port: int
    target_port: int = 0
    protocol: str = "TCP"
    node_port: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class InstalledGateway:
    """One gateway workload: Deployment, Service and ServiceAccount.

    :param where: its place in the variables, such as ``istio_gateways[0]``.
    :param labels: those of its pods.
    :param revision: the control plane revision whose istiod serves it; "" is the default revision.
    :param replicas: fixed number of pods; 0 leaves it to the autoscaler between ``min_replicas`` and
        ``max_replicas``.
    :param values: values of the ``gateway`` chart, or the ``k8s`` section of the istioctl component.
    """

    where: str
    name: str
    namespace: str
    service_account: str
    labels: Mapping[str, str]
    egress: bool
    revision: str
    service_type: str
    ports: tuple[GatewayPort, ...]
    replicas: int
    min_replicas: int
    max_replicas: int
    resources: Mapping[str, Any]
    service_annotations: Mapping[str, str]
    values: Mapping[str, Any]

    @property
    def selector(self) -> dict[str, str]:
        """What an Istio Gateway object selects its pods by. :returns: ``{"istio": ...}``."""
        return {"istio": self.labels["istio"]}


def read_namespace(reader: Reader) -> str:
    """``istio_namespace``, where istiod runs and gateways that name no namespace."""
    return reader.text("istio_namespace", LABEL, default=DEFAULT_NAMESPACE) or DEFAULT_NAMESPACE


def read_revision(reader: Reader) -> str:
    """``istio_revision``; ``default`` is istiod's own word for the revision without a name, here ""."""
    if reader.value("istio_revision") in (None, "", "default"):
        return ""
    return reader.text("istio_revision", LABEL)


def read_gateways(reader: Reader) -> tuple[InstalledGateway, ...]:
    """The gateways that ``istio_gateways`` lists, in its order; without it, ``DEFAULT_GATEWAYS``.

    :param reader: of a mapping that holds ``istio_gateways``, ``istio_namespace`` and ``istio_revision``, as
        far as they are set. Faults go into its problems.
    :returns: every entry that has a name, also where something else about it is wrong.
    """
    namespace, revision = read_namespace(reader), read_revision(reader)
    entries = reader.sections("istio_gateways")
    if not reader.has("istio_gateways"):
        entries = Reader({"istio_gateways": DEFAULT_GATEWAYS}, reader.where, reader.problems).sections(
            "istio_gateways"
        )
    gateways: list[InstalledGateway] = []
    for entry in entries:
        gateway = _gateway(entry, namespace, revision)
        if gateway.name and any(
            (other.namespace, other.name) == (gateway.namespace, gateway.name) for other in gateways
        ):
            entry.fault("name", f"{gateway.name!r} is given twice in {gateway.namespace}", "duplicate")
        if gateway.namespace == namespace and _OF_ISTIO.fullmatch(gateway.name):
            message = f"{gateway.name!r} is how Istio calls a part of itself in {namespace}"
            entry.fault("name", message, "reserved-name")
        gateways.append(gateway)
    # One without a name has been reported, and nothing else can be said about it.
    return tuple(gateway for gateway in gateways if gateway.name)


def gateways_of(variables: Mapping[str, Any]) -> tuple[InstalledGateway, ...]:
    """The gateways of plain variables, for readers that need nothing else of an installation.

    :param variables: as for ``read_gateways``; null counts as not set.
    :returns: one per entry, in their order.
    :raises InputError: with every problem.
    """
    problems = Problems()
    gateways = read_gateways(Reader(variables, "", problems))
    problems.check(variables)
    return gateways


def workload_of(
    reader: Reader, installed: Sequence[InstalledGateway], *, egress: bool = False
) -> InstalledGateway | None:
    """The installed gateway behind an entry of ``mesh_gateways``, or behind ``mesh_egress_gateway``.

    It is the one that ``workload`` names, in ``workload_namespace`` if that is given; when nothing names any,
    the only one of its direction.

    :param egress: which direction that is.
    """
    name, place = reader.maybe_text("workload", LABEL), reader.value("workload_namespace")
    meant = [
        gateway
        for gateway in installed
        if (gateway.name == name if name else gateway.egress is egress) and place in (None, gateway.namespace)
    ]
    if len(meant) == 1:
        return meant[0]
    if name and meant:
        places = ", ".join(gateway.namespace for gateway in meant)
        reader.fault("workload", f"{name!r} is in {places}: give workload_namespace", "unknown-gateway")
    elif name:
        message = f"istio_gateways has no gateway {name!r}" + (f" in {place}" if place else "")
        reader.fault("workload", message, "unknown-gateway")
    return None


def _gateway(reader: Reader, namespace: str, revision: str) -> InstalledGateway:
    name = reader.text("name", LABEL)
    egress = reader.boolean("egress", default=False)
    resources = reader.mapping("resources")
    _check_resources(Reader(resources, reader.path("resources"), reader.problems))
    gateway = InstalledGateway(
        where=reader.where,
        name=name,
        namespace=reader.text("namespace", LABEL, default=namespace),
        service_account=reader.text("service_account", SERVICE_ACCOUNT, default=f"{name}-service-account"),
        labels={
            "app": name,
            "istio": name.removeprefix("istio-"),
            **reader.labels("labels", may_be_empty=True),
        },
        egress=egress,
        revision=revision,
        service_type=reader.choice(
            "service_type", SERVICE_TYPES, default="ClusterIP" if egress else "LoadBalancer"
        ),
        ports=_ports(reader),
        replicas=reader.integer("replicas", 1, _MOST_REPLICAS, default=0),
        min_replicas=reader.integer("min_replicas", 1, _MOST_REPLICAS, default=1),
        max_replicas=reader.integer("max_replicas", 1, _MOST_REPLICAS, default=5),
        resources=resources,
        service_annotations=reader.annotations("service_annotations"),
        values=reader.mapping("values"),
    )
    for key in ("min_replicas", "max_replicas"):
        if gateway.replicas and reader.has(key):
            reader.fault(key, f"has no effect: replicas {gateway.replicas} needs no autoscaler", "replicas")
    if gateway.min_replicas > gateway.max_replicas:
        reader.fault(
            "min_replicas",
            f"{gateway.min_replicas} is more than max_replicas, which is {gateway.max_replicas}",
            "replicas",
        )
    reader.finish()
    return gateway


def _ports(reader: Reader) -> tuple[GatewayPort, ...]:
    entries = reader.sections("ports")
    if not entries:
        entries = [Reader(port, reader.where, reader.problems) for port in DEFAULT_PORTS]
    ports: list[GatewayPort] = []
    for entry in entries:
        port = GatewayPort(
            name=entry.text("name", LABEL),
            port=entry.integer("port", 1, 65535),
            target_port=entry.integer("target_port", 0, 65535, default=0),
            protocol=entry.choice("protocol", PROTOCOLS, default="TCP"),
            node_port=entry.integer("node_port", 0, 65535, default=0),
        )
        entry.finish()
        if port.name in {other.name for other in ports}:
            entry.fault("name", f"{port.name!r} is given twice", "duplicate")
        if (port.port, port.protocol) in {(other.port, other.protocol) for other in ports}:
            entry.fault("port", f"{port.port} is given twice", "duplicate")
        ports.append(port)
    return tuple(ports)


def _check_resources(reader: Reader) -> None:
    """The shape of a container's ResourceRequirements: the tools pass on anything, the API refuses late."""
    reader.items("claims")
    for part in ("requests", "limits"):
        amounts = reader.section(part)
        for name in amounts.raw() if amounts else ():
            if amounts and amounts.value(name) is None:
                amounts.fault(name, "is nothing, not a quantity such as 100m or 128Mi", "quantity")
            elif amounts:
                amounts.quantity(name)
    reader.finish()
