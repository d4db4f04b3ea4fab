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
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from .gateways import DNS_LABEL, Gateway, read_gateways
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
# Providers that istiod knows without configuration: pkg/config/mesh/mesh.go DefaultMeshConfig.
BUILT_IN_PROVIDERS = ("prometheus", "stackdriver", "envoy")


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
        """Every namespace that must exist, the control plane's first. :returns: each once."""
        return tuple(dict.fromkeys((self.namespace, *(gateway.namespace for gateway in self.gateways))))


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``: mappings merge, everything else replaces. Neither argument is changed.

    :returns: a new mapping.
    """
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
        if name and not DNS_LABEL.fullmatch(name):
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
    """Names of the extension providers that istiod will know.

    :returns: each once: the configured ones, then those that Istio brings along.
    """
    configured = [
        str(provider.get("name")) for provider in installation.mesh_config.get("extensionProviders", ())
    ]
    if installation.profile == "demo":
        configured.append("jaeger")  # manifests/helm-profiles/demo.yaml
    return tuple(dict.fromkeys((*configured, *BUILT_IN_PROVIDERS)))
