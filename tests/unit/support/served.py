"""Which kinds an API server with Istio serves, and in which group: whoever names another one asks nobody."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

_KINDS: Mapping[str, str] = {
    "": (
        "ConfigMap Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod ResourceQuota"
        " Secret Service ServiceAccount"
    ),
    "admissionregistration.k8s.io": "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
    "apiextensions.k8s.io": "CustomResourceDefinition",
    "apps": "DaemonSet Deployment ReplicaSet StatefulSet",
    "autoscaling": "HorizontalPodAutoscaler",
    "batch": "CronJob Job",
    "coordination.k8s.io": "Lease",
    "discovery.k8s.io": "EndpointSlice",
    "extensions.istio.io": "WasmPlugin",
    "networking.istio.io": (
        "DestinationRule EnvoyFilter ProxyConfig ServiceEntry Sidecar VirtualService WorkloadEntry"
        " WorkloadGroup"
    ),
    "networking.k8s.io": "Ingress NetworkPolicy",
    "policy": "PodDisruptionBudget",
    "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "security.istio.io": "AuthorizationPolicy PeerAuthentication RequestAuthentication",
    "telemetry.istio.io": "Telemetry",
}
_GROUP_OF = {kind: group for group, kinds in _KINDS.items() for kind in kinds.split()}
_FORM = re.compile(r"([a-z0-9.-]+/)?v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?", re.ASCII)


@functools.cache
def check_served(api_version: str, kind: str) -> None:
    """What has no form of a version, or a kind in a group that has others. Other groups are free: tests bring
    their own.

    :raises AssertionError: no server serves that. A test must see it, and no code handle it.
    """
    group = api_version.rpartition("/")[0]
    known = group in _KINDS and _GROUP_OF.get(kind, group) != group
    if api_version and (known or not _FORM.fullmatch(api_version)):
        raise AssertionError(f"no API server serves {kind} as {api_version!r}")
