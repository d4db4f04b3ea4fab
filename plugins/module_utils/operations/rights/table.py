# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that everything here needs, as data: who asks the API server, and docs/rbac, read this table.

Verbs are those that the code calls; istioctl's and Helm's own are in ``istio`` (operator/pkg/install, helm
pkg/action and pkg/kube/wait.go).
"""

from __future__ import annotations

from collections.abc import Mapping

from .places import (
    ADDON_ROLES,
    ADDON_SECRETS,
    ADDON_STORAGE,
    ADDONS,
    CA,
    CALLERS,
    CERT_MANAGER,
    CLUSTER,
    CONTROL_PLANE,
    DEADMAN,
    GATEWAYS,
    HELM,
    HOLD,
    ISTIO_MUTATING,
    ISTIO_ROLES,
    ISTIO_VALIDATING,
    ISTIOCTL,
    MESH_CA_SECRETS,
    MESH_CA_WRITTEN,
    MESH_ROOTS,
    METRICS,
    METRICS_BY_SERVICE,
    NEXT_ROOT,
    NODES,
    OBJECTS,
    PLACES,
    PLUGGED_CA,
    PROXY_LOG,
    RATE_LIMITS,
    ROOT_SECRET,
    ROOT_SECRETS,
    ROUTES,
    SCALE,
    SERVICE,
    SERVICES,
    SIDECAR_SIZES,
    SYNTHETIC,
    SYNTHETIC_LOAD,
    WHEN,
    Right,
    names_of,
)

__all__ = [
    "ADDONS",
    "ADDON_ROLES",
    "ADDON_SECRETS",
    "ADDON_STORAGE",
    "CA",
    "CALLERS",
    "CERT_MANAGER",
    "CLUSTER",
    "CONTROL_PLANE",
    "DEADMAN",
    "GATEWAYS",
    "HELM",
    "HOLD",
    "ISTIOCTL",
    "ISTIO_MUTATING",
    "ISTIO_ROLES",
    "ISTIO_VALIDATING",
    "MESH_CA_SECRETS",
    "MESH_CA_WRITTEN",
    "MESH_ROOTS",
    "METRICS",
    "METRICS_BY_SERVICE",
    "NEXT_ROOT",
    "NODES",
    "OBJECTS",
    "PARTS",
    "PLACES",
    "PLUGGED_CA",
    "PROXY_LOG",
    "RATE_LIMITS",
    "READ",
    "RIGHTS",
    "ROOT_SECRET",
    "ROOT_SECRETS",
    "ROUTES",
    "SCALE",
    "SERVICE",
    "SERVICES",
    "SIDECAR_SIZES",
    "SYNTHETIC",
    "SYNTHETIC_LOAD",
    "WHEN",
    "WRITE",
    "Right",
    "names_of",
]

READ = ("get", "list")
WRITE = ("get", "list", "create", "patch", "delete")
# The parts of `site.yml`, in its order. The table has more: a rollout, and the Job that watches it.
PARTS = ("istio", "injection", "addons", "certificates", "mesh", "verify")

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
# Beside a gateway's pods lie the policies that select them, the rule of the egress gateway, and limits.
_AT_GATEWAYS = (
    ("networking.istio.io", "destinationrules"),
    ("networking.istio.io", "envoyfilters"),
    ("security.istio.io", "authorizationpolicies"),
)
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

_NAMED = ("get", "create", "patch", "delete")
_NO_NAMESPACE = "its objects have no namespace"
_POSTED = "Helm 3 creates with POST, whose name the API server does not authorize"
_FOUND_BY_LABEL = (
    "what left the mesh is found by its label, wherever it lies, and so are hosts of other meshes"
)

_REST_OF_CLUSTER = 'check objects of verify is "cannot tell" about other namespaces'
_SETTINGS = 'check objects of verify is "cannot tell" about the settings of Istio'
_NOT_TOLD = 'diagnose is "cannot tell" about what hangs on it'
_ACTS_FROM_ANYWHERE = "objects of any namespace can act on the workloads of a mesh"
_ACTING = (
    ("telemetry.istio.io", "telemetries"),
    ("", "namespaces"),
    ("", "pods"),
    *(
        ("networking.istio.io", resource)
        for resource in (
            "destinationrules",
            "envoyfilters",
            "gateways",
            "proxyconfigs",
            "serviceentries",
            "sidecars",
            "virtualservices",
            "workloadentries",
        )
    ),
    ("extensions.istio.io", "trafficextensions"),
    ("extensions.istio.io", "wasmplugins"),
    ("security.istio.io", "authorizationpolicies"),
    ("security.istio.io", "peerauthentications"),
    ("gateway.networking.k8s.io", "backendtlspolicies"),
    ("gateway.networking.k8s.io", "grpcroutes"),
    ("gateway.networking.k8s.io", "httproutes"),
    ("gateway.networking.k8s.io", "tcproutes"),
    ("gateway.networking.k8s.io", "tlsroutes"),
    ("networking.k8s.io", "ingresses"),
)

# What whoever restarts workloads needs: `injection`, and a rotation of the mesh's CA.
_RESTARTS = (
    Right("", "pods", READ, _WORKLOADS),
    Right("", "pods/eviction", ("create",), _WORKLOADS),
    Right("apps", "deployments", ("get", "list", "patch"), _WORKLOADS),
    Right("apps", "replicasets", ("list",), _WORKLOADS),
    Right("apps", "statefulsets", ("get", "list", "patch"), _WORKLOADS),
    Right("apps", "daemonsets", ("get", "list", "patch"), _WORKLOADS),
    Right("batch", "jobs", ("list",), _WORKLOADS),
    Right("policy", "poddisruptionbudgets", ("get", "list"), _WORKLOADS),
)

RIGHTS: Mapping[str, tuple[Right, ...]] = {
    "istio": (
        Right("", "namespaces", ("get", "list", "create", "patch"), why=_NO_NAMESPACE),
        Right(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            WRITE,
            why="its objects have no namespace, and a later Istio brings further ones",
        ),
        Right(_RBAC, "clusterroles", ("list",), why=_NO_NAMESPACE),
        # Istio's own roles hand out rights that the installer need not hold itself.
        Right(_RBAC, "clusterroles", (*_NAMED, "escalate", "bind"), names=ISTIO_ROLES, why=_NO_NAMESPACE),
        Right(_RBAC, "clusterrolebindings", ("list",), why=_NO_NAMESPACE),
        Right(_RBAC, "clusterrolebindings", _NAMED, names=ISTIO_ROLES, why=_NO_NAMESPACE),
        Right(_WEBHOOKS, "mutatingwebhookconfigurations", ("list", "watch"), why=_NO_NAMESPACE),
        # The default tag switches the plain injector off with an update (istioctl/pkg/tag/generate.go).
        Right(
            _WEBHOOKS,
            "mutatingwebhookconfigurations",
            (*_NAMED, "update"),
            names=ISTIO_MUTATING,
            why=_NO_NAMESPACE,
        ),
        Right(_WEBHOOKS, "validatingwebhookconfigurations", ("list",), why=_NO_NAMESPACE),
        Right(
            _WEBHOOKS, "validatingwebhookconfigurations", _NAMED, names=ISTIO_VALIDATING, why=_NO_NAMESPACE
        ),
        Right("", "serviceaccounts", WRITE, _INSTALLED),
        Right("", "services", (*WRITE, "watch"), _INSTALLED),
        Right("", "configmaps", WRITE, _INSTALLED),
        Right("apps", "deployments", WRITE, _INSTALLED),
        Right("apps", "replicasets", READ, _INSTALLED),
        Right("", "pods", READ, _INSTALLED),
        Right("", "pods/portforward", ("create", "get"), (CONTROL_PLANE,)),
        Right(_RBAC, "roles", (*WRITE, "escalate", "bind"), _INSTALLED),
        Right(_RBAC, "rolebindings", WRITE, _INSTALLED),
        Right("policy", "poddisruptionbudgets", WRITE, _INSTALLED),
        Right("autoscaling", "horizontalpodautoscalers", WRITE, _INSTALLED),
        Right("networking.istio.io", "envoyfilters", WRITE, (CONTROL_PLANE,)),
        *(
            Right(
                group,
                resource,
                ("list",),
                (CLUSTER,),
                (ISTIOCTL,),
                why="istioctl lists what it prunes in all namespaces (operator/pkg/uninstall/prune.go)",
            )
            for group, resource in _PRUNED
        ),
        Right("", "secrets", (*WRITE, "update", "watch"), _INSTALLED, (HELM,)),
        # The CA that istiod is to start with, and the root above it. A POST is not authorized by its name.
        Right("", "secrets", ("get", "create"), (CONTROL_PLANE, CA), (PLUGGED_CA,)),
        Right(
            "apps",
            "deployments",
            ("list",),
            (CLUSTER,),
            (HELM,),
            why="a gateway whose namespace left the list is found by its label",
        ),
        Right("apps", "deployments", ("update", "watch"), _INSTALLED, (HELM,)),
        Right("apps", "replicasets", ("watch",), _INSTALLED, (HELM,)),
        Right(_RBAC, "clusterroles", ("create", "escalate"), (CLUSTER,), (HELM,), why=_POSTED),
        Right(_RBAC, "clusterrolebindings", ("create",), (CLUSTER,), (HELM,), why=_POSTED),
        Right(_WEBHOOKS, "mutatingwebhookconfigurations", ("create",), (CLUSTER,), (HELM,), why=_POSTED),
        Right(_WEBHOOKS, "validatingwebhookconfigurations", ("create",), (CLUSTER,), (HELM,), why=_POSTED),
    ),
    "injection": (
        Right("", "namespaces", ("get", "create", "patch"), why=_NO_NAMESPACE),
        Right(_WEBHOOKS, "mutatingwebhookconfigurations", ("list",), why=_NO_NAMESPACE),
        Right("", "configmaps", ("get",), (CONTROL_PLANE,)),
        Right("discovery.k8s.io", "endpointslices", ("list",), (CONTROL_PLANE,)),
        *_RESTARTS,
    ),
    "addons": (
        Right("", "configmaps", WRITE, (ADDONS,)),
        Right("", "services", WRITE, (ADDONS,)),
        Right("", "serviceaccounts", WRITE, (ADDONS,)),
        # The passwords that Grafana and Kiali get; a POST is not authorized by its name.
        Right("", "secrets", ("create",), (ADDONS,)),
        Right("", "secrets", ("get", "delete"), (ADDONS,), names=ADDON_SECRETS),
        Right("", "persistentvolumeclaims", ("get", "list", "create", "patch"), (ADDONS,), (ADDON_STORAGE,)),
        Right("apps", "daemonsets", WRITE, (ADDONS,)),
        Right("apps", "deployments", WRITE, (ADDONS,)),
        Right("apps", "statefulsets", WRITE, (ADDONS,)),
        Right(_RBAC, "clusterroles", ("list",), why=_NO_NAMESPACE),
        Right(_RBAC, "clusterroles", (*_NAMED, "escalate", "bind"), names=ADDON_ROLES, why=_NO_NAMESPACE),
        Right(_RBAC, "clusterrolebindings", ("list",), why=_NO_NAMESPACE),
        Right(_RBAC, "clusterrolebindings", _NAMED, names=ADDON_ROLES, why=_NO_NAMESPACE),
        Right(_RBAC, "roles", (*WRITE, "escalate", "bind"), (ADDONS,)),
        Right(_RBAC, "rolebindings", WRITE, (ADDONS,)),
        Right("networking.istio.io", "envoyfilters", WRITE, (ADDONS,)),
        Right("networking.istio.io", "gateways", WRITE, (ADDONS,)),
        Right("networking.istio.io", "virtualservices", WRITE, (ADDONS,)),
        Right("networking.k8s.io", "networkpolicies", WRITE, (ADDONS,)),
        Right("telemetry.istio.io", "telemetries", WRITE, (ADDONS,)),
    ),
    "certificates": (
        Right("", "namespaces", ("get", "create", "patch"), why=_NO_NAMESPACE),
        Right(
            "networking.istio.io",
            "gateways",
            ("list",),
            why="a Gateway of any namespace may bind to the pods that serve a certificate",
        ),
        # To see that nobody else's gateway may read the CA.
        Right(
            "authorization.k8s.io",
            "localsubjectaccessreviews",
            ("create",),
            (CA,),
            optional="nobody knows which gateways can read the key of the CA",
        ),
        # A rotation keeps the previous pair in a Secret of its own, and takes it away.
        Right("", "secrets", ("get", "create", "patch", "delete"), (GATEWAYS,)),
        # A CA that was lost or has ended is written over on request.
        Right("", "secrets", ("get", "create", "patch"), (CA,)),
        Right(
            "",
            "secrets",
            ("list",),
            (GATEWAYS,),
            optional="whether another Secret holds a leaked certificate is not known",
        ),
        # One rotation at a time; when the last one went well stands in the Lease.
        Right("coordination.k8s.io", "leases", ("get", "create", "update"), (GATEWAYS,)),
        Right("", "pods", ("list",), (GATEWAYS,)),
        Right("", "services", ("list",), (GATEWAYS,)),
        Right(
            "",
            "pods/portforward",
            ("create", "get"),
            (GATEWAYS,),
            optional="why a gateway does not take a certificate is not known",
        ),
        # cert-manager is told to renew by a condition in the status; its Secrets are not written.
        Right("cert-manager.io", "certificates", ("get", "list"), (GATEWAYS,), when=(CERT_MANAGER,)),
        Right("cert-manager.io", "certificates/status", ("patch",), (GATEWAYS,), when=(CERT_MANAGER,)),
    ),
    "mesh": (
        *(
            Right(
                group,
                resource,
                ("list",),
                optional=f"what left the mesh is not found outside its namespaces ({resource})",
                why=_FOUND_BY_LABEL,
            )
            for group, resource in _CATALOGUE
        ),
        *(Right(group, resource, WRITE, (OBJECTS,)) for group, resource in _CATALOGUE),
        *(Right(group, resource, WRITE, (GATEWAYS,)) for group, resource in _AT_GATEWAYS),
        *(
            Right(group, resource, WRITE, (OBJECTS,), optional=f"files of a team cannot hold {resource}")
            for group, resource in (("security.istio.io", "requestauthentications"),)
        ),
        # Every proxy has to hold a change.
        Right("", "pods", ("list",), _WORKLOADS),
        Right("", "pods/portforward", ("create", "get"), _WORKLOADS),
        Right("networking.istio.io", "sidecars", ("list",), (CONTROL_PLANE, *_WORKLOADS)),
        # Release records, and the journals and Leases of rollouts.
        Right("", "configmaps", READ, (SERVICES,)),
        Right("coordination.k8s.io", "leases", ("get",), (SERVICES,)),
        Right("", "configmaps", WRITE, (RATE_LIMITS,)),
        Right("apps", "deployments", ("get", "patch"), (SERVICES,), (SIDECAR_SIZES,)),
        *(
            Right(
                "",
                resource,
                ("list",),
                optional="istioctl analyze does not see other namespaces",
                why="istioctl analyze looks for what a route leads to in all namespaces",
            )
            for resource in ("namespaces", "services")
        ),
        Right("", "services", ("list",), _WORKLOADS, optional="the catalogue is not compared with Services"),
        Right(
            "",
            "configmaps",
            ("list",),
            (CONTROL_PLANE,),
            optional="the catalogue is not compared with Istio's configuration",
        ),
        Right(
            "",
            "namespaces",
            ("get",),
            optional="a namespace that is not there counts as empty",
            why=_NO_NAMESPACE,
        ),
    ),
    "verify": (
        Right("", "pods", ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES)),
        Right("", "pods/portforward", ("create", "get"), (CONTROL_PLANE, GATEWAYS, SERVICES)),
        # Probes: pods that send requests.
        Right("", "pods", ("create", "delete"), (SERVICES,)),
        Right("", "pods/exec", ("create", "get"), (SERVICES,)),
        Right("", "services", ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES)),
        *(
            Right("networking.istio.io", resource, ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES))
            for resource in ("destinationrules", "virtualservices")
        ),
        *(
            Right("security.istio.io", resource, ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES))
            for resource in ("authorizationpolicies", "peerauthentications")
        ),
        Right(
            "security.istio.io",
            "requestauthentications",
            ("list",),
            (CONTROL_PLANE, GATEWAYS, SERVICES),
            optional="a rule that asks for a token counts as one that somebody can meet",
        ),
        # Anybody's objects, in any namespace, can act on the workloads of a mesh.
        *(
            Right(group, resource, ("list",), optional=_REST_OF_CLUSTER, why=_ACTS_FROM_ANYWHERE)
            for group, resource in _ACTING
        ),
        # A probe gets a Sidecar of its own that hides nothing, so that it is the server that refuses.
        Right("networking.istio.io", "sidecars", ("list", "create", "delete"), (SERVICES,)),
        Right("", "secrets", ("get",), (GATEWAYS,)),
        # The mesh's roots, to compare what proxies trust with them.
        Right("", "configmaps", ("get",), (CONTROL_PLANE,)),
        Right("", "configmaps", ("list",), (CONTROL_PLANE,), optional=_SETTINGS),
        Right(
            "discovery.k8s.io",
            "endpointslices",
            ("list",),
            (CONTROL_PLANE, GATEWAYS, SERVICES),
            optional='check objects of verify is "cannot tell" about endpoints that somebody keeps by hand',
        ),
    ),
    # A rollout reads and writes what belongs to one service, and looks into the proxies that call it.
    "canary": (
        Right("networking.istio.io", "virtualservices", READ, (SERVICE,)),
        Right("networking.istio.io", "virtualservices", ("get", "patch"), (ROUTES,)),
        Right("networking.istio.io", "destinationrules", ("get",), (SERVICE,)),
        # The journal and the release record.
        Right("", "configmaps", ("get", "create", "update", "patch"), (SERVICE,)),
        Right(
            "",
            "configmaps",
            ("list",),
            (SERVICE,),
            optional="nobody is told of a rollout whose service left the catalogue",
        ),
        Right("coordination.k8s.io", "leases", ("get", "create", "update"), (SERVICE,)),
        Right("discovery.k8s.io", "endpointslices", ("list",), (SERVICE,)),
        Right("", "pods", ("list",), (SERVICE, CALLERS)),
        # It is a GET that becomes a websocket: authorized as get, since Kubernetes 1.35 as create as well.
        Right("", "pods/portforward", ("create", "get"), (SERVICE, CALLERS)),
        # Of a proxy that is late, istiod knows whether it is connected at all.
        *(
            Right(
                "",
                resource,
                verbs,
                (CONTROL_PLANE,),
                optional="nobody says whether a late proxy has lost istiod",
            )
            for resource, verbs in (("pods", ("list",)), ("pods/portforward", ("create", "get")))
        ),
        *(
            Right(
                group, resource, (verb,), (SERVICE,), optional="a rollout leaves no Events on its Deployment"
            )
            for group, resource, verb in (
                ("events.k8s.io", "events", "create"),
                ("apps", "deployments", "get"),
            )
        ),
        # The sizes of both versions: a scale-up is asked for, keeping stable's size is offered.
        *(
            Right(group, resource, verbs, (SERVICE,), when, optional=loss)
            for when, loss in (((SCALE,), ""), ((HOLD,), "stable does not keep the size of its load"))
            for group, resource, verbs in (
                ("apps", "deployments", ("get",)),
                ("apps", "deployments/scale", ("patch",)),
                ("autoscaling", "horizontalpodautoscalers", ("get", "list", "patch")),
            )
        ),
        Right(
            "policy",
            "poddisruptionbudgets",
            ("list",),
            (SERVICE,),
            (SCALE,),
            optional="nobody sees whether a scale-down leaves a PodDisruptionBudget no pod to spare",
        ),
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
        Right(
            "",
            "namespaces",
            ("get",),
            optional="the evidence does not name the cluster",
            why="the UID of kube-system stands for the cluster",
        ),
    ),
    # A diagnosis only reads. What it may not read is "cannot tell" about its part.
    "diagnose": (
        Right("", "pods", READ, (CONTROL_PLANE, GATEWAYS, SERVICES)),
        *(
            Right(group, resource, verbs, (CONTROL_PLANE, GATEWAYS, SERVICES), optional=_NOT_TOLD)
            for group, resource, verbs in (
                ("", "pods/portforward", ("create", "get")),
                # What the kernel took from a container stands in its control group.
                ("", "pods/exec", ("create", "get")),
                ("", "pods/log", ("get",)),
                ("", "services", ("list",)),
                ("apps", "deployments", ("list",)),
                ("security.istio.io", "requestauthentications", ("list",)),
            )
        ),
        Right("", "configmaps", ("get",), (CONTROL_PLANE,), optional=_NOT_TOLD),
        Right("", "secrets", ("get",), (GATEWAYS,), optional=_NOT_TOLD),
        *(
            Right(group, resource, ("list",), optional=_NOT_TOLD, why=_ACTS_FROM_ANYWHERE)
            for group, resource in (
                *_ACTING,
                ("", "services"),
                ("apps", "deployments"),
                ("networking.k8s.io", "networkpolicies"),
                ("security.istio.io", "requestauthentications"),
            )
        ),
        *(
            Right(_WEBHOOKS, resource, ("list",), optional=_NOT_TOLD, why=_NO_NAMESPACE)
            for resource in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
        ),
    ),
    # What goes on: read only. Certificates are read with the rights of `trust`. Whatever is missing is told.
    "observe": (
        Right("", "pods", ("list",), (CONTROL_PLANE, GATEWAYS, SERVICES)),
        Right("", "services", ("list",), (GATEWAYS, ADDONS)),
        Right("", "secrets", ("get",), (GATEWAYS, CA), optional="nobody says which CA a caller has to trust"),
        *(
            Right(group, resource, ("get",), (SERVICES,), optional="the rollouts are not told")
            for group, resource in (
                ("", "configmaps"),
                ("networking.istio.io", "virtualservices"),
            )
        ),
        Right(
            "",
            "configmaps",
            ("list",),
            (SERVICES,),
            optional="a rollout whose service left the catalogue is not told",
        ),
        Right(
            "metrics.k8s.io",
            "pods",
            ("list",),
            (CONTROL_PLANE, GATEWAYS, SERVICES),
            optional="what sidecars cost, and how full services are, is asked of Prometheus alone",
        ),
        # What a run that was killed has left logging stands in a Lease.
        Right(
            "coordination.k8s.io",
            "leases",
            ("get",),
            (GATEWAYS, SERVICES),
            optional="nobody sees whether a run that was killed has left a log switched on",
        ),
        Right("coordination.k8s.io", "leases", ("create", "update"), (GATEWAYS, SERVICES), (PROXY_LOG,)),
        Right(
            "telemetry.istio.io",
            "telemetries",
            ("get", "list", "create", "delete"),
            (GATEWAYS, SERVICES),
            (PROXY_LOG,),
        ),
        Right("", "pods/log", ("get",), (GATEWAYS, SERVICES), (PROXY_LOG,)),
        Right("", "pods/portforward", ("get", "create"), (GATEWAYS, SERVICES), (PROXY_LOG,)),
        Right("", "services/proxy", ("get",), (METRICS,), (METRICS_BY_SERVICE,)),
        # Of a proxy whose image has no tag, istiod knows the version.
        Right(
            "",
            "pods/portforward",
            ("get", "create"),
            (CONTROL_PLANE,),
            optional="the version of such proxies is not told",
        ),
    ),
    # Everything that can end: read only. What is missing is "cannot tell" about its part.
    "trust": (
        Right("", "pods", ("list",), why="proxies run in every namespace of the mesh"),
        Right("networking.istio.io", "gateways", ("list",), why="a credential is named by any Gateway"),
        Right("networking.istio.io", "destinationrules", ("list",), why="TLS is begun by any of them"),
        # A list of one name is authorized as that name (apiserver, fieldSelector metadata.name).
        Right(
            "", "configmaps", ("list",), names=MESH_ROOTS, why="each namespace has a copy of the mesh's roots"
        ),
        Right(_WEBHOOKS, "mutatingwebhookconfigurations", ("list",), why=_NO_NAMESPACE),
        Right(_WEBHOOKS, "validatingwebhookconfigurations", ("list",), why=_NO_NAMESPACE),
        Right("", "configmaps", ("get",), (CONTROL_PLANE,)),
        Right("", "pods", ("list",), (CONTROL_PLANE,)),
        Right("", "secrets", READ, (CONTROL_PLANE, GATEWAYS)),
        Right("", "secrets", ("get",), (CA, SERVICES)),
        Right("", "services", ("list",), (GATEWAYS,)),
        Right("", "pods/portforward", ("create", "get"), (GATEWAYS, SERVICES)),
        Right("coordination.k8s.io", "leases", ("list",), (NODES,)),
        Right("coordination.k8s.io", "leases", ("get",), (GATEWAYS,)),
    ),
    # Reports that are kept in the cluster (`mesh_reports_keep`), for runners that lose their files.
    "reports": (Right("", "configmaps", ("get", "create", "patch"), (CA,)),),
    # The rotation of the mesh's CA: every proxy is read, and restarted where it does not follow by itself.
    "mesh_ca": (
        Right("", "namespaces", ("get",), why=_NO_NAMESPACE),
        Right(
            "",
            "namespaces",
            ("create", "patch"),
            optional="a certificates_ca_namespace that is not there is not made",
            why=_NO_NAMESPACE,
        ),
        Right("", "pods", ("list",), why="every proxy that holds a certificate of the CA has to be asked"),
        Right(
            "", "configmaps", ("list",), names=MESH_ROOTS, why="each namespace has a copy of the mesh's roots"
        ),
        Right(_WEBHOOKS, "mutatingwebhookconfigurations", ("list",), why=_NO_NAMESPACE),
        Right(_WEBHOOKS, "validatingwebhookconfigurations", ("list",), why=_NO_NAMESPACE),
        Right("", "configmaps", ("get",), (CONTROL_PLANE,)),
        # A POST is not authorized by its name.
        Right("", "secrets", ("create",), (CONTROL_PLANE, CA)),
        Right("", "secrets", ("get", "delete"), (CONTROL_PLANE,), names=MESH_CA_SECRETS),
        Right("", "secrets", ("update",), (CONTROL_PLANE,), names=MESH_CA_WRITTEN),
        Right("", "secrets", ("get",), (CA,), names=ROOT_SECRETS),
        # A new root waits beside the one in use, then takes its place.
        Right("", "secrets", ("update",), (CA,), names=ROOT_SECRET),
        Right("", "secrets", ("delete",), (CA,), names=NEXT_ROOT),
        Right("coordination.k8s.io", "leases", ("get", "create", "update"), (CONTROL_PLANE,)),
        Right("", "pods", ("list",), (CONTROL_PLANE,)),
        Right("apps", "deployments", ("list", "patch"), (CONTROL_PLANE,)),
        # A dry run that istiod has to refuse: the API server believes it.
        Right("networking.istio.io", "virtualservices", ("create",), (CONTROL_PLANE,)),
        Right("", "pods/portforward", ("create", "get"), (CONTROL_PLANE, *_WORKLOADS)),
        *_RESTARTS,
    ),
    # The Job of `canary_deadman: job`, under an account of its own.
    "deadman": (
        Right("coordination.k8s.io", "leases", ("get", "update"), (SERVICE,)),
        Right("networking.istio.io", "virtualservices", ("get", "patch"), (ROUTES,)),
        Right(
            "events.k8s.io",
            "events",
            ("create",),
            (SERVICE,),
            optional="the deadman's Job leaves no Event on the Deployment",
        ),
    ),
}
