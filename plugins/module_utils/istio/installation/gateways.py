# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway workloads of an installation, read and checked from a list such as ``istio_gateways``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import Problem, nearest

SERVICE_TYPES = ("ClusterIP", "LoadBalancer", "NodePort")
DEFAULT_PORTS = (
    {"name": "status-port", "port": 15021},
    {"name": "http2", "port": 80},
    {"name": "https", "port": 443},
)

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
# apimachinery/pkg/api/resource/quantity.go
_QUANTITY = re.compile(r"\+?(\d+\.?\d*|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?\d+)?", re.ASCII)
_GATEWAY_KEYS = (
    "name", "namespace", "service_account", "labels", "egress", "service_type", "ports", "replicas",
    "min_replicas", "max_replicas", "resources", "service_annotations", "values",
)  # fmt: skip
_PORT_KEYS = ("name", "port", "target_port", "protocol", "node_port")
_PROTOCOLS = ("TCP", "UDP", "SCTP")


@dataclasses.dataclass(frozen=True, slots=True)
class Port:
    """One port of a gateway's Service. ``target_port`` 0 means: the method's own default."""

    name: str
    port: int
    target_port: int = 0
    protocol: str = "TCP"
    node_port: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway workload: Deployment, Service and ServiceAccount.

    :param replicas: fixed number of pods; 0 leaves it to the autoscaler between ``min_replicas`` and
        ``max_replicas``.
    :param values: values of the ``gateway`` chart, or the ``k8s`` section of the istioctl component.
    """

    name: str
    namespace: str
    service_account: str
    labels: Mapping[str, str]
    egress: bool
    service_type: str
    ports: tuple[Port, ...]
    replicas: int
    min_replicas: int
    max_replicas: int
    resources: Mapping[str, Any]
    service_annotations: Mapping[str, str]
    values: Mapping[str, Any]


def read_gateways(
    raw: Any, *, namespace: str, method: str, problems: list[Problem], where: str = "istio_gateways"
) -> tuple[Gateway, ...]:
    """The gateways of a list such as ``istio_gateways``; faults are added to ``problems``.

    :returns: the entries that could be read, in their order.
    """
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        problems.append(Problem(where, "is not a list", "type"))
        return ()
    gateways: list[Gateway] = []
    for index, item in enumerate(raw):
        gateway = _gateway(item, f"{where}[{index}]", namespace, method, problems)
        if gateway is None:
            continue
        if (gateway.namespace, gateway.name) in {(other.namespace, other.name) for other in gateways}:
            problems.append(
                Problem(
                    f"{where}[{index}].name",
                    f"{gateway.name!r} is given twice in {gateway.namespace}",
                    "gateway",
                )
            )
        gateways.append(gateway)
    ingress = [gateway for gateway in gateways if not gateway.egress]
    if method == "istioctl" and len({bool(gateway.replicas) for gateway in ingress}) > 1:
        problems.append(
            Problem(
                where,
                "istioctl gives all gateways one autoscaling switch: set replicas for all or none",
                "gateway",
            )
        )
    return tuple(gateways)


def _gateway(item: Any, where: str, namespace: str, method: str, problems: list[Problem]) -> Gateway | None:
    if not isinstance(item, Mapping):
        problems.append(Problem(where, "is not a mapping", "type"))
        return None
    known = ", ".join(sorted(_GATEWAY_KEYS))
    problems.extend(
        Problem(
            f"{where}.{key}", f"unknown key{nearest(str(key), _GATEWAY_KEYS)} (known: {known})", "unknown-key"
        )
        for key in item
        if key not in _GATEWAY_KEYS
    )
    name = str(item.get("name") or "")
    if not DNS_LABEL.fullmatch(name):
        problems.append(Problem(f"{where}.name", f"{name!r} is not a DNS label", "dns-label"))
        return None
    namespace = str(item.get("namespace") or namespace)
    if not DNS_LABEL.fullmatch(namespace):
        problems.append(Problem(f"{where}.namespace", f"{namespace!r} is not a DNS label", "dns-label"))
    egress = item.get("egress") or False
    if not isinstance(egress, bool):
        problems.append(Problem(f"{where}.egress", f"{egress!r} is neither true nor false", "type"))
    service_type = str(item.get("service_type") or ("ClusterIP" if egress else "LoadBalancer"))
    if service_type not in SERVICE_TYPES:
        problems.append(
            Problem(
                f"{where}.service_type",
                f"{service_type!r} is not one of {', '.join(SERVICE_TYPES)}",
                "service-type",
            )
        )
    account = str(item.get("service_account") or f"{name}-service-account")
    if method == "istioctl" and account != f"{name}-service-account":
        # manifests/charts/gateways/istio-ingress/templates/serviceaccount.yaml has no other name.
        problems.append(
            Problem(
                f"{where}.service_account",
                f"istioctl always names it {name}-service-account; use Helm",
                "service-account",
            )
        )
    least = _whole(item, "min_replicas", 1, where, problems)
    most = _whole(item, "max_replicas", 5, where, problems)
    if least > most:
        problems.append(
            Problem(
                f"{where}.min_replicas", f"{least} is more than max_replicas, which is {most}", "replicas"
            )
        )
    resources = _mapping(item, "resources", where, problems)
    _check_resources(resources, f"{where}.resources", problems)
    return Gateway(
        name=name,
        namespace=namespace,
        service_account=account,
        labels={
            "app": name,
            "istio": name.removeprefix("istio-"),
            **{str(key): str(value) for key, value in _mapping(item, "labels", where, problems).items()},
        },
        egress=bool(egress),
        service_type=service_type,
        ports=_ports(item.get("ports") or DEFAULT_PORTS, f"{where}.ports", problems),
        replicas=_whole(item, "replicas", 0, where, problems),
        min_replicas=least,
        max_replicas=most,
        resources=resources,
        service_annotations=_mapping(item, "service_annotations", where, problems),
        values=_mapping(item, "values", where, problems),
    )


def _mapping(item: Mapping[str, Any], key: str, where: str, problems: list[Problem]) -> dict[str, Any]:
    """A copy of the mapping under ``key``; empty when there is none or something else."""
    value = item.get(key)
    if value is None or isinstance(value, Mapping):
        return dict(value or {})
    problems.append(Problem(f"{where}.{key}", "is not a mapping", "type"))
    return {}


def _check_resources(resources: Mapping[str, Any], where: str, problems: list[Problem]) -> None:
    """The shape of a container's ResourceRequirements: the tools pass on anything, the API refuses late."""
    for part, amounts in resources.items():
        if part not in {"requests", "limits", "claims"}:
            problems.append(
                Problem(f"{where}.{part}", "unknown key (known: limits, requests)", "unknown-key")
            )
        elif part != "claims" and not isinstance(amounts, Mapping):
            problems.append(Problem(f"{where}.{part}", "is not a mapping", "type"))
        elif part != "claims":
            problems.extend(
                Problem(
                    f"{where}.{part}.{name}",
                    f"{amount!r} is not a quantity such as 100m or 128Mi",
                    "quantity",
                )
                for name, amount in amounts.items()
                if isinstance(amount, bool) or not _QUANTITY.fullmatch(str(amount))
            )


def _ports(raw: Any, where: str, problems: list[Problem]) -> tuple[Port, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        problems.append(Problem(where, "is not a list", "type"))
        return ()
    ports: list[Port] = []
    for index, item in enumerate(raw):
        spot = f"{where}[{index}]"
        if not isinstance(item, Mapping) or set(item) - set(_PORT_KEYS) or not item.get("name"):
            problems.append(
                Problem(spot, f"needs name and port; known keys: {', '.join(sorted(_PORT_KEYS))}", "port")
            )
            continue
        port = Port(
            name=str(item["name"]),
            port=_whole(item, "port", 0, spot, problems),
            target_port=_whole(item, "target_port", 0, spot, problems),
            protocol=str(item.get("protocol") or "TCP"),
            node_port=_whole(item, "node_port", 0, spot, problems),
        )
        if not 1 <= port.port <= 65535:
            problems.append(Problem(f"{spot}.port", f"{port.port} is not between 1 and 65535", "port"))
        for key, number in (("target_port", port.target_port), ("node_port", port.node_port)):
            if number > 65535:
                problems.append(Problem(f"{spot}.{key}", f"{number} is not between 1 and 65535", "port"))
        if not DNS_LABEL.fullmatch(port.name):
            problems.append(Problem(f"{spot}.name", f"{port.name!r} is not a DNS label", "dns-label"))
        if port.protocol not in _PROTOCOLS:
            problems.append(
                Problem(
                    f"{spot}.protocol", f"{port.protocol!r} is not one of {', '.join(_PROTOCOLS)}", "port"
                )
            )
        if port.name in {other.name for other in ports}:
            problems.append(Problem(f"{spot}.name", f"{port.name!r} is given twice", "port"))
        if (port.port, port.protocol) in {(other.port, other.protocol) for other in ports}:
            problems.append(Problem(f"{spot}.port", f"{port.port} is given twice", "port"))
        ports.append(port)
    return tuple(ports)


def _whole(item: Mapping[str, Any], key: str, default: int, where: str, problems: list[Problem]) -> int:
    value = item.get(key, default)
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
        problems.append(Problem(f"{where}.{key}", f"{value!r} is not a whole number", "type"))
        return default
    return int(value)
