"""Objects as the API server returns them, as small as the planner allows."""

from __future__ import annotations

import json
from typing import Any

RULES = [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]
NOT_OPTED_OUT = {
    "matchExpressions": [{"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}]
}


def webhook_configuration(
    name: str, revision: str, values: list[str], *, tag: str = "", legacy: bool = False
) -> dict[str, Any]:
    """A configuration as the istiod chart writes it, with the unrevisioned part on request."""
    service = "istiod" if revision == "default" else f"istiod-{revision}"
    client = {"service": {"name": service, "namespace": "istio-system"}, "caBundle": "Q0E="}

    def webhook(prefix: str, namespaces: list[dict[str, Any]], pods: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "name": f"{prefix}sidecar-injector.istio.io",
            "clientConfig": client,
            "rules": RULES,
            "failurePolicy": "Fail",
            "namespaceSelector": {"matchExpressions": namespaces},
            "objectSelector": {"matchExpressions": pods},
        }

    def key(name: str, operator: str, *values: str) -> dict[str, Any]:
        return {"key": name, "operator": operator, **({"values": list(values)} if values else {})}

    no_opt_out = key("sidecar.istio.io/inject", "NotIn", "false")
    unlabelled = [key("istio.io/rev", "DoesNotExist"), key("istio-injection", "DoesNotExist")]
    webhooks = [
        webhook(
            "rev.namespace.",
            [key("istio.io/rev", "In", *values), key("istio-injection", "DoesNotExist")],
            [no_opt_out],
        ),
        webhook("rev.object.", unlabelled, [no_opt_out, key("istio.io/rev", "In", *values)]),
    ]
    if legacy:
        webhooks += [
            webhook("namespace.", [key("istio-injection", "In", "enabled")], [no_opt_out]),
            webhook(
                "object.",
                unlabelled,
                [key("sidecar.istio.io/inject", "In", "true"), key("istio.io/rev", "DoesNotExist")],
            ),
        ]
    labels = {"app": "sidecar-injector", "istio.io/rev": revision, **({"istio.io/tag": tag} if tag else {})}
    return {"metadata": {"name": name, "labels": labels}, "webhooks": webhooks}


def pod(
    name: str = "web-1",
    *,
    namespace: str = "shop",
    image: str = "",
    revision: str = "default",
    native: bool = True,
    owner: tuple[str, str] | None = ("ReplicaSet", "web-abc"),
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    phase: str = "Running",
    terminating: bool = False,
    host_network: bool = False,
) -> dict[str, Any]:
    """A pod; with ``image`` it carries an injected proxy of that image."""
    containers = [{"name": "app", "image": "app:1"}]
    spec: dict[str, Any] = {"containers": containers, "hostNetwork": host_network}
    notes = dict(annotations or {})
    status: dict[str, Any] = {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]}
    if image:
        proxy = {"name": "istio-proxy", "image": image}
        ready = [{"name": "istio-proxy", "ready": True}]
        if native:
            spec["initContainers"] = [{**proxy, "restartPolicy": "Always"}]
            status["initContainerStatuses"] = ready
        else:
            containers.append(proxy)
            status["containerStatuses"] = ready
        notes["sidecar.istio.io/status"] = json.dumps({"revision": revision, "containers": ["istio-proxy"]})
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "labels": {"app": "web", **(labels or {})},
        "annotations": notes,
    }
    if owner:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True}]
    if terminating:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": spec, "status": status}


def workload(
    kind: str = "Deployment", name: str = "web", *, replicas: int = 3, **spec: Any
) -> dict[str, Any]:
    """A controller whose template carries the label ``app: web``."""
    template = spec.pop("template", {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}})
    status = {"desiredNumberScheduled": replicas} if kind == "DaemonSet" else {}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            **spec,
        },
        "status": status,
    }


def budget(
    name: str = "web", *, allowed: int = 1, expected: int = 3, floor: int = 2, **extra: Any
) -> dict[str, Any]:
    """A PodDisruptionBudget over ``app: web``."""
    return {
        "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **extra},
        "status": {
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "desiredHealthy": floor,
        },
    }
