# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that everything here needs, as data: who asks the API server, and docs/rbac, read this table.

Verbs are those that the code calls; istioctl's and Helm's own are in ``istio`` (operator/pkg/install, helm
pkg/action and pkg/kube/wait.go).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

READ = ("get", "list")
WRITE = ("get", "list", "create", "patch", "delete")
# The parts of `site.yml`, in its order. The table has more: a rollout, and the Job that watches it.
PARTS = ("istio", "injection", "addons", "certificates", "mesh", "verify")

# Where a right is needed. Whoever asks says which namespaces these are.
CLUSTER = "cluster"
CONTROL_PLANE = "control plane"
GATEWAYS = "gateways"
SERVICES = "services"
ADDONS = "addons"
RATE_LIMITS = "the shared rate limit service"
CA = "certificate authority"
SERVICE = "the service of a rollout"
ROUTES = "its VirtualService"
CALLERS = "its callers, and all gateways"
SYNTHETIC = "the pod that sends synthetic requests"
METRICS = "Prometheus"

# Which option makes a right necessary.
ISTIOCTL, HELM = "istioctl", "helm"
SIDECAR_SIZES = "proxy of a service"
SCALE, DEADMAN, SYNTHETIC_LOAD, METRICS_BY_SERVICE = "scale", "deadman", "synthetic", "prometheus service"


@dataclasses.dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one resource in some kinds of places.

    :param resource: plural, with its subresource: ``pods/exec``. :param places: CLUSTER, GATEWAYS, ...
    :param when: options, one of which makes it necessary; empty = always.
    :param optional: what is lost without it, as a sentence; empty = nothing works without it.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    places: tuple[str, ...] = (CLUSTER,)
    when: tuple[str, ...] = ()
    optional: str = ""


_INSTALLED = (CONTROL_PLANE, GATEWAYS)
_WORKLOADS = (SERVICES, GATEWAYS)
_RBAC = "rbac.authorization.k8s.io"
_WEBHOOKS = "admissionregistration.k8s.io"

_PRUNED = (
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("", "services"),
    ("", "configmaps"),
    ("", "pods"),
    ("", "secrets"),
    ("", "serviceaccounts"),
    (_RBAC, "rolebindings"),
    (_RBAC, "roles"),
    ("policy", "poddisruptionbudgets"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("networking.istio.io", "envoyfilters"),
)

# What a catalogue is rendered to (model/objects/base.py, API_VERSIONS), but for ConfigMaps.
_MESH = (CONTROL_PLANE, GATEWAYS, SERVICES)
_KEPT = ("get", "create", "patch", "delete")
_CATALOGUE = (
    ("networking.istio.io", "destinationrules"),
    ("networking.istio.io", "envoyfilters"),
    ("networking.istio.io", "gateways"),
    ("networking.istio.io", "serviceentries"),
    ("networking.istio.io", "sidecars"),
    ("networking.istio.io", "virtualservices"),
    ("security.istio.io", "authorizationpolicies"),
    ("security.istio.io", "peerauthentications"),
    ("telemetry.istio.io", "telemetries"),
)

RIGHTS: Mapping[str, tuple[Right, ...]] = {
    "istio": (
        Right("", "namespaces", ("get", "list", "create", "patch")),
        Right("apiextensions.k8s.io", "customresourcedefinitions", WRITE),
        # Istio's own roles hand out rights that the installer need not hold itself.
        Right(_RBAC, "clusterroles", (*WRITE, "escalate", "bind")),
        Right(_RBAC, "clusterrolebindings", WRITE),
        # The default tag switches the plain injector off with an update (istioctl/pkg/tag/generate.go).
        Right(_WEBHOOKS, "mutatingwebhookconfigurations", (*WRITE, "update", "watch")),
        Right(_WEBHOOKS, "validatingwebhookconfigurations", WRITE),
        Right("", "serviceaccounts", WRITE, _INSTALLED),
        Right("", "services", (*WRITE, "watch"), _INSTALLED),
        Right("", "configmaps", WRITE, _INSTALLED),
        Right("apps", "deployments", WRITE, _INSTALLED),
        Right("apps", "replicasets", READ, _INSTALLED),
        Right("", "pods", READ, _INSTALLED),
        Right("", "pods/exec", ("create", "get"), (CONTROL_PLANE,)),
        Right(_RBAC, "roles", (*WRITE, "escalate", "bind"), _INSTALLED),
        Right(_RBAC, "rolebindings", WRITE, _INSTALLED),
        Right("policy", "poddisruptionbudgets", WRITE, _INSTALLED),
        Right("autoscaling", "horizontalpodautoscalers", WRITE, _INSTALLED),
        Right("networking.istio.io", "envoyfilters", WRITE, (CONTROL_PLANE,)),
        # istioctl lists what it prunes in all namespaces, Secrets included (operator/pkg/uninstall/prune.go).
        *(Right(group, resource, ("list",), (CLUSTER,), (ISTIOCTL,)) for group, resource in _PRUNED),
        Right("", "secrets", (*WRITE, "update", "watch"), _INSTALLED, (HELM,)),
        # Finds gateways whose namespace left the list.
        Right("apps", "deployments", ("list",), (CLUSTER,), (HELM,)),
        Right("apps", "deployments", ("update", "watch"), _INSTALLED, (HELM,)),
        Right("apps", "replicasets", ("watch",), _INSTALLED, (HELM,)),
    ),
    "injection": (
        Right("", "namespaces", ("get", "create", "patch")),
        Right(_WEBHOOKS, "mutatingwebhookconfigurations", ("list",)),
        Right("", "configmaps", ("get",), (CONTROL_PLANE,)),
        Right("discovery.k8s.io", "endpointslices", ("list",), (CONTROL_PLANE,)),
        Right("", "pods", READ, _WORKLOADS),
        Right("", "pods/eviction", ("create",), _WORKLOADS),
        Right("apps", "deployments", ("get", "list", "patch"), _WORKLOADS),
        Right("apps", "replicasets", ("list",), _WORKLOADS),
        Right("apps", "statefulsets", ("get", "list", "patch"), _WORKLOADS),
        Right("apps", "daemonsets", ("get", "list", "patch"), _WORKLOADS),
        Right("batch", "jobs", ("list",), _WORKLOADS),
        Right("policy", "poddisruptionbudgets", ("get", "list"), _WORKLOADS),
    ),
    "addons": (
        Right("", "configmaps", WRITE, (ADDONS,)),
        Right("", "services", WRITE, (ADDONS,)),
        Right("", "serviceaccounts", WRITE, (ADDONS,)),
        Right("apps", "daemonsets", WRITE, (ADDONS,)),
        Right("apps", "deployments", WRITE, (ADDONS,)),
        Right("apps", "statefulsets", WRITE, (ADDONS,)),
        Right(_RBAC, "clusterroles", (*WRITE, "escalate", "bind")),
        Right(_RBAC, "clusterrolebindings", WRITE),
        Right(_RBAC, "roles", (*WRITE, "escalate", "bind"), (ADDONS,)),
        Right(_RBAC, "rolebindings", WRITE, (ADDONS,)),
        Right("networking.istio.io", "envoyfilters", WRITE, (ADDONS,)),
        Right("telemetry.istio.io", "telemetries", WRITE, (ADDONS,)),
    ),
    "certificates": (
        Right("", "namespaces", ("get", "create", "patch")),
        Right("networking.istio.io", "gateways", ("list",)),
        # To see that nobody else's gateway may read the CA.
        Right(
            "authorization.k8s.io",
            "localsubjectaccessreviews",
            ("create",),
            (CA,),
            optional="nobody knows which gateways can read the key of the CA",
        ),
        Right("", "secrets", ("get", "create", "patch"), (GATEWAYS,)),
        Right("", "secrets", ("get", "create"), (CA,)),
        Right("", "pods", ("list",), (GATEWAYS,)),
        Right("", "services", ("list",), (GATEWAYS,)),
    ),
    "mesh": (
        # What left the catalogue is found by its label, wherever it lies; every proxy has to hold a change.
        *(Right(group, resource, ("list",)) for group, resource in _CATALOGUE),
        Right("", "configmaps", ("list",)),
        Right("", "pods", ("list",)),
        Right("", "pods/exec", ("create", "get")),
        *(Right(group, resource, _KEPT, _MESH) for group, resource in _CATALOGUE),
        *(
            Right(group, resource, WRITE, _MESH, optional=f"files of a team cannot hold {resource}")
            for group, resource in (("security.istio.io", "requestauthentications"),)
        ),
        # Release records, and the journals and Leases of rollouts.
        Right("", "configmaps", ("get",), (SERVICES,)),
        Right("coordination.k8s.io", "leases", ("get",), (SERVICES,)),
        Right("", "configmaps", _KEPT, (RATE_LIMITS,)),
        Right("apps", "deployments", ("get", "patch"), (SERVICES,), (SIDECAR_SIZES,)),
        *(
            Right("", resource, ("list",), optional="istioctl analyze does not see other namespaces")
            for resource in ("namespaces", "services")
        ),
        Right("", "services", ("list",), _WORKLOADS, optional="the catalogue is not compared with Services"),
        Right("", "namespaces", ("get",), optional="a namespace that is not there counts as empty"),
    ),
    "verify": (
        Right("", "pods", ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES)),
        Right("", "pods", ("create", "delete"), (SERVICES,)),
        Right("", "pods/exec", ("create", "get"), (CONTROL_PLANE, GATEWAYS, SERVICES)),
        Right("", "services", ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES)),
        *(
            Right("networking.istio.io", resource, ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES))
            for resource in ("destinationrules", "virtualservices")
        ),
        *(
            Right("security.istio.io", resource, ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES))
            for resource in ("authorizationpolicies", "peerauthentications")
        ),
        # A probe gets a Sidecar of its own that hides nothing, so that it is the server that refuses.
        Right("networking.istio.io", "sidecars", ("list", "create", "delete"), (SERVICES,)),
        Right("", "secrets", ("get",), (GATEWAYS,)),
        # The mesh's roots, to compare what proxies trust with them.
        Right("", "configmaps", ("get",), (CONTROL_PLANE,)),
    ),
    # A rollout reads and writes what belongs to one service, and looks into the proxies that call it.
    "canary": (
        Right("networking.istio.io", "virtualservices", READ, (SERVICE,)),
        Right("networking.istio.io", "virtualservices", ("get", "patch"), (ROUTES,)),
        Right("networking.istio.io", "destinationrules", ("get",), (SERVICE,)),
        # The journal and the release record.
        Right("", "configmaps", ("get", "create", "update", "patch"), (SERVICE,)),
        Right("coordination.k8s.io", "leases", ("get", "create", "update"), (SERVICE,)),
        Right("discovery.k8s.io", "endpointslices", ("list",), (SERVICE,)),
        Right("", "pods", ("list",), (SERVICE, CALLERS)),
        # Exec is a GET that becomes a websocket: authorized as get, since Kubernetes 1.35 as create as well.
        Right("", "pods/exec", ("create", "get"), (SERVICE, CALLERS)),
        # Of a proxy that is late, istiod knows whether it is connected at all.
        *(
            Right(
                "",
                resource,
                verbs,
                (CONTROL_PLANE,),
                optional="nobody says whether a late proxy has lost istiod",
            )
            for resource, verbs in (("pods", ("list",)), ("pods/exec", ("create", "get")))
        ),
        Right("apps", "deployments", ("get",), (SERVICE,), (SCALE,)),
        Right("apps", "deployments/scale", ("patch",), (SERVICE,), (SCALE,)),
        Right("", "pods", ("list",), (SYNTHETIC,), (SYNTHETIC_LOAD,)),
        Right("", "pods/exec", ("create", "get"), (SYNTHETIC,), (SYNTHETIC_LOAD,)),
        Right("", "services/proxy", ("get",), (METRICS,), (METRICS_BY_SERVICE,)),
        Right("batch", "jobs", ("get", "create", "delete"), (SERVICE,), (DEADMAN,)),
        Right("", "serviceaccounts", ("get",), (SERVICE,), (DEADMAN,)),
        Right(
            "authorization.k8s.io",
            "localsubjectaccessreviews",
            ("create",),
            (SERVICE, ROUTES),
            (DEADMAN,),
            optional="nobody knows whether the account of the deadman's Job may give the routes back",
        ),
        # The UID of kube-system stands for the cluster.
        Right("", "namespaces", ("get",), optional="the evidence does not name the cluster"),
    ),
    # The Job of `canary_deadman: job`, under an account of its own.
    "deadman": (
        Right("coordination.k8s.io", "leases", ("get", "update"), (SERVICE,)),
        Right("networking.istio.io", "virtualservices", ("get", "patch"), (ROUTES,)),
    ),
}
