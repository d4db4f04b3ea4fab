"""What a run could write: a fingerprint that any write changes."""

from __future__ import annotations

from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

_KINDS = (
    ("v1", "Namespace"),
    ("v1", "ServiceAccount"),
    ("v1", "Service"),
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("networking.istio.io/v1", "DestinationRule"),
    ("networking.istio.io/v1", "Gateway"),
    ("networking.istio.io/v1", "ServiceEntry"),
    ("networking.istio.io/v1", "Sidecar"),
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"),
    ("security.istio.io/v1", "AuthorizationPolicy"),
    ("security.istio.io/v1", "PeerAuthentication"),
    ("telemetry.istio.io/v1", "Telemetry"),
)
_BY_CONTROLLERS = ("Deployment", "DaemonSet")
"""Their status is written all the time, so the generation and the metadata stand for them."""


def fingerprint(client: KubeClient) -> dict[str, str]:
    """``Kind namespace/name`` -> what every write to the object changes.

    A namespace that an earlier suite has deleted goes away meanwhile, with all that is in it: left out.
    """
    found: dict[str, str] = {}
    listed = {kind: [obj["metadata"] for obj in client.list(version, kind).items] for version, kind in _KINDS}
    going = {meta["name"] for meta in listed["Namespace"] if "deletionTimestamp" in meta}
    for kind, metas in listed.items():
        for meta in metas:
            if (meta["name"] if kind == "Namespace" else meta.get("namespace")) in going:
                continue
            # Leaders among istiod's controllers renew their locks every few seconds.
            if kind == "ConfigMap" and "control-plane.alpha.kubernetes.io/leader" in (
                meta.get("annotations") or {}
            ):
                continue
            key = f"{kind} {meta.get('namespace', '')}/{meta['name']}"
            found[key] = _written(meta) if kind in _BY_CONTROLLERS else meta["resourceVersion"]
    return found


def _written(meta: dict[str, Any]) -> str:
    return repr((meta["generation"], meta.get("labels"), meta["uid"]))


def difference(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The objects that were made, removed or written in between."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
