# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be installed: one Istio control plane and its gateways, read and checked from plain data.

Both installation methods start from an ``Installation``; ``istioctl_operator`` and ``helm_releases`` turn it
into the input of their tool. Order of precedence, weakest first: profile, the fields of this file,
``values`` (Helm values), and for istioctl ``operator_spec``.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError, Problem
from .mesh_config import read_mesh_config

METHODS = ("istioctl", "helm")
ISTIOCTL_PROFILES = (
    "ambient",
    "default",
    "demo",
    "empty",
    "minimal",
    "openshift",
    "openshift-ambient",
    "preview",
    "remote",
    "stable",
)
# manifests/helm-profiles: the charts know fewer names, and `default` and `minimal` mean "no profile" there.
HELM_PROFILES = ("ambient", "default", "demo", "minimal", "preview", "remote", "stable")
SERVICE_TYPES = ("ClusterIP", "LoadBalancer", "NodePort")
# Providers that istiod knows without configuration: pkg/config/mesh/mesh.go DefaultMeshConfig.
BUILT_IN_PROVIDERS = ("prometheus", "stackdriver", "envoy")
DEFAULT_PORTS = (
    {"name": "status-port", "port": 15021},
    {"name": "http2", "port": 80},
    {"name": "https", "port": 443},
)

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_GATEWAY_KEYS = frozenset(
    (
        "name", "namespace", "service_account", "labels", "egress", "service_type", "ports", "replicas",
        "min_replicas", "max_replicas", "resources", "service_annotations", "values",
    )
)  # fmt: skip
_PORT_KEYS = frozenset(("name", "port", "target_port", "protocol", "node_port"))


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


@dataclasses.dataclass(frozen=True, slots=True)
class Installation:
    """One control plane. ``revision`` "" is the default revision."""

    method: str
    version: str
    hub: str
    tag: str
    profile: str
    revision: str
    default_revision: str
    namespace: str
    mesh_config: Mapping[str, Any]
    values: Mapping[str, Any]
    operator_spec: Mapping[str, Any]
    gateways: tuple[Gateway, ...]

    @property
    def istiod(self) -> str:
        """Name of istiod's Deployment and Service."""
        return f"istiod-{self.revision}" if self.revision else "istiod"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Every namespace that must exist, the control plane's first."""
        return tuple(dict.fromkeys((self.namespace, *(gateway.namespace for gateway in self.gateways))))


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``: mappings merge, everything else replaces. Neither argument is changed."""
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        present = merged.get(key)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            merged[key] = deep_merge(present, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def read_installation(raw: Mapping[str, Any]) -> Installation:
    """The settings as a checked value.

    :param raw: keys as the options of module ``control_plane``: method, version, hub, tag, profile, revision,
        default_revision, namespace, mesh_config, extension_providers, values, operator_spec, gateways.
    :raises InputError: with every problem, each named by its role variable.
    """
    problems: list[Problem] = []
    method = str(raw.get("method") or "istioctl")
    profile = str(raw.get("profile") or "default")
    revision = str(raw.get("revision") or "")
    namespace = str(raw.get("namespace") or "istio-system")
    hub = str(raw.get("hub") or "").strip("/")
    if method not in METHODS:
        problems.append(Problem("istio_method", f"{method!r} is neither istioctl nor helm", "istio-method"))
    if not hub:
        # Istio 1.30 bakes in a registry that is being shut down, so an empty hub is never right.
        problems.append(
            Problem("istio_hub", "is empty; give the image hub, such as docker.io/istio", "istio-hub")
        )
    known = HELM_PROFILES if method == "helm" else ISTIOCTL_PROFILES
    if profile not in known:
        problems.append(
            Problem(
                "istio_profile",
                f"{profile!r} is not one of {', '.join(known)} (method {method})",
                "istio-profile",
            )
        )
    for where, name in (("istio_revision", revision), ("istio_namespace", namespace)):
        if name and not _DNS_LABEL.fullmatch(name):
            problems.append(
                Problem(where, f"{name!r} is not a DNS label (lower case, digits, dashes)", "dns-label")
            )
    version = str(raw.get("version") or "")
    values = _mapping(raw, "values", "istio_values", problems)
    operator_spec = _mapping(raw, "operator_spec", "istio_operator_spec", problems)
    if operator_spec and method == "helm":
        problems.append(
            Problem("istio_operator_spec", "has no meaning for Helm; use istio_values", "istio-operator-spec")
        )
    gateways = read_gateways(raw.get("gateways") or (), namespace=namespace, method=method, problems=problems)
    mesh_config = read_mesh_config(
        raw.get("mesh_config") or {}, raw.get("extension_providers") or (), problems
    )
    if problems:
        raise InputError(problems)
    return Installation(
        method=method,
        version=version,
        hub=hub,
        tag=str(raw.get("tag") or version),
        profile=profile,
        revision="" if revision == "default" else revision,
        default_revision=str(raw.get("default_revision") or revision or "default"),
        namespace=namespace,
        mesh_config=mesh_config,
        values=values,
        operator_spec=operator_spec,
        gateways=gateways,
    )


def _mapping(raw: Mapping[str, Any], key: str, where: str, problems: list[Problem]) -> dict[str, Any]:
    """A copy of the mapping under ``key``; empty when there is none or something else."""
    value = raw.get(key) or {}
    if isinstance(value, Mapping):
        return dict(value)
    problems.append(Problem(where, "is not a mapping", "type"))
    return {}


def provider_names(installation: Installation) -> tuple[str, ...]:
    """Names of the extension providers that istiod will know."""
    configured = [
        str(provider.get("name")) for provider in installation.mesh_config.get("extensionProviders", ())
    ]
    if installation.profile == "demo":
        configured.append("jaeger")  # manifests/helm-profiles/demo.yaml
    return tuple(dict.fromkeys((*configured, *BUILT_IN_PROVIDERS)))


def read_gateways(
    raw: Any, *, namespace: str, method: str, problems: list[Problem], where: str = "istio_gateways"
) -> tuple[Gateway, ...]:
    """The gateways of a list such as ``istio_gateways``; faults are added to ``problems``."""
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
    problems.extend(
        Problem(f"{where}.{key}", f"unknown key (known: {', '.join(sorted(_GATEWAY_KEYS))})", "unknown-key")
        for key in item
        if key not in _GATEWAY_KEYS
    )
    name = str(item.get("name") or "")
    if not _DNS_LABEL.fullmatch(name):
        problems.append(Problem(f"{where}.name", f"{name!r} is not a DNS label", "dns-label"))
        return None
    egress = bool(item.get("egress"))
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
    replicas = _whole(item, "replicas", 0, where, problems)
    fields = {
        key: _mapping(item, key, f"{where}.{key}", problems)
        for key in ("labels", "resources", "service_annotations", "values")
    }
    return Gateway(
        name=name,
        namespace=str(item.get("namespace") or namespace),
        service_account=account,
        labels={
            "app": name,
            "istio": name.removeprefix("istio-"),
            **{str(key): str(value) for key, value in fields["labels"].items()},
        },
        egress=egress,
        service_type=service_type,
        ports=_ports(item.get("ports") or DEFAULT_PORTS, f"{where}.ports", problems),
        replicas=replicas,
        min_replicas=_whole(item, "min_replicas", 1, where, problems),
        max_replicas=_whole(item, "max_replicas", 5, where, problems),
        resources=fields["resources"],
        service_annotations=fields["service_annotations"],
        values=fields["values"],
    )


def _ports(raw: Any, where: str, problems: list[Problem]) -> tuple[Port, ...]:
    ports: list[Port] = []
    for index, item in enumerate(raw if isinstance(raw, Sequence) else ()):
        spot = f"{where}[{index}]"
        if not isinstance(item, Mapping) or set(item) - _PORT_KEYS or not item.get("name"):
            problems.append(
                Problem(spot, f"needs name and port; known keys: {', '.join(sorted(_PORT_KEYS))}", "port")
            )
            continue
        number = _whole(item, "port", 0, spot, problems)
        if not 1 <= number <= 65535:
            problems.append(Problem(f"{spot}.port", f"{number} is not between 1 and 65535", "port"))
        ports.append(
            Port(
                name=str(item["name"]),
                port=number,
                target_port=_whole(item, "target_port", 0, spot, problems),
                protocol=str(item.get("protocol") or "TCP"),
                node_port=_whole(item, "node_port", 0, spot, problems),
            )
        )
    return tuple(ports)


def _whole(item: Mapping[str, Any], key: str, default: int, where: str, problems: list[Problem]) -> int:
    value = item.get(key, default)
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value)):
        problems.append(Problem(f"{where}.{key}", f"{value!r} is not a whole number", "type"))
        return default
    return int(value)
