# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the table of rights: where a right is needed, which option needs it, whose names."""

from __future__ import annotations

import dataclasses

# Where a right is needed. Whoever asks says which namespaces these are.
CLUSTER = "cluster"
CONTROL_PLANE = "control plane"
GATEWAYS = "gateways"
SERVICES = "services"
OBJECTS = "objects"
ADDONS = "addons"
RATE_LIMITS = "rate limits"
CA = "certificate authority"
SERVICE = "service"
ROUTES = "routes"
CALLERS = "callers"
SYNTHETIC = "synthetic"
METRICS = "prometheus"
NODES = "nodes"
PLACES = {
    CLUSTER: "the whole cluster, and what belongs to no namespace",
    CONTROL_PLANE: "`istio_namespace`, for `mesh` and `verify` `mesh_root_namespace` as well",
    GATEWAYS: "the namespaces of the gateways",
    SERVICES: "the namespaces of the services (`mesh_services`, `injection_namespaces`)",
    OBJECTS: "the namespaces of the mesh's objects: of services, `mesh_gateways` and external services",
    ADDONS: "`addons_namespace`",
    RATE_LIMITS: "the namespace of `mesh_rate_limit_service`",
    CA: "`certificates_ca_namespace`",
    SERVICE: "the namespace of the service of a rollout",
    ROUTES: "the namespace of its VirtualService",
    CALLERS: "the namespaces of its callers, and of all gateways",
    SYNTHETIC: "the namespace of the pod that sends synthetic requests",
    METRICS: "the namespace of Prometheus",
    NODES: "`kube-node-lease`, where the nodes say their time",
}

# Which option makes a right necessary.
ISTIOCTL, HELM = "istioctl", "helm"
SIDECAR_SIZES = "sidecar sizes"
CERT_MANAGER = "cert-manager"
PLUGGED_CA = "plugged ca"
PROXY_LOG = "proxy log"
SCALE, DEADMAN, SYNTHETIC_LOAD, METRICS_BY_SERVICE = "scale", "deadman", "synthetic", "metrics by service"
HOLD = "hold"
ADDON_STORAGE = "add-on storage"
WHEN = {
    ISTIOCTL: "`istio_method: istioctl`",
    HELM: "`istio_method: helm`",
    PLUGGED_CA: "`istio_ca_source: own` or `provided`",
    PROXY_LOG: "`observe_workload`",
    SIDECAR_SIZES: "a service with `proxy`",
    CERT_MANAGER: "`certificates_cert_manager`",
    SCALE: "`canary_scale`",
    HOLD: "`canary_capacity: hold`",
    ADDON_STORAGE: "`addons_storage`",
    DEADMAN: "`canary_deadman: job`",
    SYNTHETIC_LOAD: "`canary_synthetic`",
    METRICS_BY_SERVICE: "a Prometheus that is reached through its Service",
}

# Objects without a namespace that are written by their names. A server-side apply is authorized with the
# name, also when it creates (apiserver, handlers/patch.go); the POST of Helm 3 is not.
ISTIO_ROLES, ISTIO_MUTATING, ISTIO_VALIDATING = "istio roles", "istio mutating webhooks", "istio validation"
ADDON_ROLES, ADDON_SECRETS = "add-on roles", "add-on Secrets"
MESH_ROOTS = "mesh roots"
MESH_CA_SECRETS, MESH_CA_WRITTEN = "mesh CA", "mesh CA of ours"
ROOT_SECRETS, ROOT_SECRET, NEXT_ROOT = "mesh root Secrets", "mesh root", "next mesh root"
NEXT = "-next"
"""End of the name of the Secret that keeps a new root until its rotation has ended."""


def names_of(istio_namespace: str = "istio-system", revision: str = "") -> dict[str, tuple[str, ...]]:
    """The names of the objects without a namespace that are written by name.

    Source: manifests/charts of Istio (base, istio-control/istio-discovery) and samples/addons.

    :param revision: ``istio_revision``. :returns: kind of names (ISTIO_ROLES, ...) -> names.
    """
    suffix = f"-{revision}" if revision else ""
    home = "" if istio_namespace == "istio-system" else f"-{istio_namespace}"
    injectors = dict.fromkeys(f"istio-sidecar-injector{part}{home}" for part in ("", suffix))
    return {
        ISTIO_ROLES: tuple(
            f"{name}{suffix}-{istio_namespace}"
            for name in ("istio-reader-clusterrole", "istiod-clusterrole", "istiod-gateway-controller")
        ),
        ISTIO_MUTATING: ("istio-revision-tag-default", *injectors),
        ISTIO_VALIDATING: (f"istio-validator{suffix}-{istio_namespace}", "istiod-default-validator"),
        ADDON_ROLES: ("kiali", "loki-clusterrole", "loki-clusterrolebinding", "prometheus"),
        ADDON_SECRETS: ("grafana-admin", "kiali-signing-key"),
        MESH_ROOTS: ("istio-ca-root-cert",),
        MESH_CA_SECRETS: ("cacerts", "istio-ca-secret", "servicemesh-mesh-ca-rotation"),
        MESH_CA_WRITTEN: ("cacerts", "servicemesh-mesh-ca-rotation"),
        **root_names("servicemesh-mesh-root"),
    }


def root_names(secret: str) -> dict[str, tuple[str, ...]]:
    """The names of the Secrets that keep the mesh's own root.

    :param secret: ``istio_ca_root_secret``. :returns: kind of names (ROOT_SECRETS, ...) -> names.
    """
    following = f"{secret}{NEXT}"
    return {ROOT_SECRETS: (secret, following), ROOT_SECRET: (secret,), NEXT_ROOT: (following,)}


@dataclasses.dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one resource in some kinds of places.

    :param resource: plural, with its subresource: ``pods/portforward``. :param places: CLUSTER, GATEWAYS, ...
    :param when: options, one of which makes it necessary; empty = always.
    :param optional: what is lost without it, as a sentence; empty = nothing works without it.
    :param names: which names it is about (a key of ``names_of``); empty = all objects.
    :param why: for rights in the whole cluster: why they cannot be less.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    places: tuple[str, ...] = (CLUSTER,)
    when: tuple[str, ...] = ()
    optional: str = ""
    names: str = ""
    why: str = ""
