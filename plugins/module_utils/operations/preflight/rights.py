# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that each part of ``site.yml`` needs, as data: what preflight asks the API server about.

``docs/rbac`` grants the same set. Verbs are those that the code calls; istioctl's and Helm's own are in
``istio`` (operator/pkg/install, helm pkg/action and pkg/kube/wait.go).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from ...kube.access import AccessNeed

READ = ("get", "list")
WRITE = ("get", "list", "create", "patch", "delete")
PARTS = ("istio", "injection", "addons", "certificates", "mesh", "verify")

# Where a right is needed.
CLUSTER = "cluster"
CONTROL_PLANE = "control plane"
GATEWAYS = "gateways"
SERVICES = "services"
ADDONS = "addons"
CA = "certificate authority"


@dataclasses.dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one resource in one kind of place. ``resource`` may be ``pods/exec``."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    places: tuple[str, ...] = (CLUSTER,)
    methods: tuple[str, ...] = ("istioctl", "helm")


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
        *(Right(group, resource, ("list",), (CLUSTER,), ("istioctl",)) for group, resource in _PRUNED),
        Right("", "secrets", (*WRITE, "update", "watch"), _INSTALLED, ("helm",)),
        # Finds gateways whose namespace left the list.
        Right("apps", "deployments", ("list",), (CLUSTER,), ("helm",)),
        Right("apps", "deployments", ("update", "watch"), _INSTALLED, ("helm",)),
        Right("apps", "replicasets", ("watch",), _INSTALLED, ("helm",)),
    ),
    "injection": (
        Right("", "namespaces", ("get", "list", "create", "patch")),
        Right(_WEBHOOKS, "mutatingwebhookconfigurations", READ),
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
        Right("authorization.k8s.io", "subjectaccessreviews", ("create",)),
        Right("", "secrets", ("get", "create", "patch"), (GATEWAYS,)),
        Right("", "secrets", ("get", "create"), (CA,)),
        Right("", "pods", ("list",), (GATEWAYS,)),
        Right("", "services", ("list",), (GATEWAYS,)),
    ),
    "mesh": (
        *(
            Right("networking.istio.io", resource, WRITE, (CONTROL_PLANE, GATEWAYS, SERVICES))
            for resource in (
                "destinationrules",
                "envoyfilters",
                "gateways",
                "serviceentries",
                "sidecars",
                "virtualservices",
            )
        ),
        *(
            Right("security.istio.io", resource, WRITE, (CONTROL_PLANE, GATEWAYS, SERVICES))
            for resource in ("authorizationpolicies", "peerauthentications", "requestauthentications")
        ),
        Right("telemetry.istio.io", "telemetries", WRITE, (CONTROL_PLANE, GATEWAYS, SERVICES)),
        Right("", "configmaps", READ, (SERVICES,)),
        Right("coordination.k8s.io", "leases", READ, (SERVICES,)),
        Right("", "pods", READ, (SERVICES, GATEWAYS)),
        Right("", "pods/exec", ("create", "get"), (SERVICES, GATEWAYS)),
    ),
    "verify": (
        Right("", "namespaces", READ),
        Right("", "pods", ("get", "list"), (CONTROL_PLANE, GATEWAYS, SERVICES)),
        Right("", "pods", ("create", "delete"), (SERVICES,)),
        Right("", "pods/exec", ("create", "get"), (CONTROL_PLANE, GATEWAYS, SERVICES)),
        Right("", "services", READ, (CONTROL_PLANE, GATEWAYS, SERVICES)),
        *(
            Right("networking.istio.io", resource, ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES))
            for resource in ("destinationrules", "gateways", "sidecars", "virtualservices")
        ),
        # A probe gets a Sidecar of its own that hides nothing, so that it is the server that refuses.
        Right("networking.istio.io", "sidecars", ("create", "delete"), (SERVICES,)),
        *(
            Right("security.istio.io", resource, ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES))
            for resource in ("authorizationpolicies", "peerauthentications")
        ),
        Right("", "secrets", ("get",), (GATEWAYS,)),
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Places:
    """The namespaces behind the kinds of places. An empty list means that nothing is needed there."""

    control_plane: str
    gateways: Sequence[str] = ()
    services: Sequence[str] = ()
    addons: Sequence[str] = ()
    authority: Sequence[str] = ()

    def namespaces(self, place: str) -> Sequence[str]:
        """The namespaces of one kind of place; ``""`` is the whole cluster."""
        return {
            CLUSTER: ("",),
            CONTROL_PLANE: (self.control_plane,),
            GATEWAYS: self.gateways,
            SERVICES: self.services,
            ADDONS: self.addons,
            CA: self.authority,
        }[place]


def access_needs(parts: Iterable[str], method: str, places: Places) -> list[AccessNeed]:
    """Everything that these parts need, each once, in the order of the table."""
    needs: dict[AccessNeed, None] = {}
    for part in parts:
        for right in RIGHTS[part]:
            if method not in right.methods:
                continue
            resource, _slash, subresource = right.resource.partition("/")
            for place in right.places:
                for namespace in places.namespaces(place):
                    for verb in right.verbs:
                        need = AccessNeed(
                            verb=verb,
                            group=right.group,
                            resource=resource,
                            namespace=namespace,
                            subresource=subresource,
                        )
                        needs[need] = None
    return list(needs)


def describe_missing(missing: Iterable[AccessNeed]) -> list[str]:
    """All missing rights, a phrase for equal ones: ``in shop: get, list on pods, deployments.apps``."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for need in missing:
        resource = f"{need.resource}/{need.subresource}" if need.subresource else need.resource
        full = f"{resource}.{need.group}" if need.group else resource
        verbs.setdefault((need.namespace, full), []).append(need.verb)
    resources: dict[tuple[str, str], list[str]] = {}
    for (namespace, resource), names in verbs.items():
        resources.setdefault((namespace, ", ".join(names)), []).append(resource)
    return [
        f"in {namespace or 'the cluster'}: {names} on {', '.join(kinds)}"
        for (namespace, names), kinds in resources.items()
    ]


def shorten(phrases: Sequence[str], limit: int = 400) -> str:
    """The first phrases, as one of at most ``limit`` characters or one phrase, and how many were left out."""
    shown = list(phrases[:1])
    for phrase in phrases[1:]:
        if sum(map(len, shown)) + len(phrase) > limit:
            break
        shown.append(phrase)
    left = len(phrases) - len(shown)
    return "; ".join(shown) + (f"; and {left} more such lines under missing_rights" if left else "")
