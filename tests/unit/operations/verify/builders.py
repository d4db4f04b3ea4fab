"""Small API objects and a small catalogue for the tests of verify."""

from __future__ import annotations

from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.live_objects import (
    LiveObjects,
)


def service(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "service_account": name,
        "ports": [{"name": "http", "number": 80, "target_port": 3000, "protocol": "http"}],
        "versions": {"v1": {"labels": {"version": "v1"}, "workload": f"{name}-v1"}},
        "initial_version": "v1",
        **more,
    }


def catalogue(*services: dict[str, Any], **more: Any) -> Catalogue:
    return parse_catalogue(
        {"mesh_name": "shop", "mesh_namespace": "shop", "mesh_services": list(services), **more}
    )


GATEWAY = {
    "name": "public",
    "workload_namespace": "istio-system",
    "service_account": "gateway",
    "selector": {"istio": "ingressgateway"},
    "servers": [{"host": "api.example.com", "certificate": "api", "https_redirect": True}],
}


def item(
    kind: str, name: str, spec: dict[str, Any] | None = None, namespace: str = "shop", **metadata: Any
) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, **metadata}, "spec": spec or {}}


def capture(annotations: dict[str, str]) -> list[str]:
    """The arguments that the injector gives istio-init (istio files/injection-template.yaml)."""
    told = {name.rpartition("/")[2]: value for name, value in annotations.items()}
    words = ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337"]
    words += ["-m", told.get("interceptionMode", "REDIRECT"), "-i", told.get("includeOutboundIPRanges", "*")]
    words += ["-x", told.get("excludeOutboundIPRanges", ""), "-b", told.get("includeInboundPorts", "*")]
    status = annotations.get("status.sidecar.istio.io/port", "15020")
    words += ["-d", ",".join(filter(None, ("15090,15021", told.get("excludeInboundPorts"), status)))]
    for flag, name in (("-o", "excludeOutboundPorts"), ("-c", "excludeInterfaces")):
        words += [flag, told[name]] if name in told else []
    return [*words, "--log_output_level=default:info"]


def pod(
    name: str, labels: dict[str, str] | None = None, *, proxy: str | None = "hub/proxyv2:1.31.0", **more: Any
) -> dict[str, Any]:
    """A ready pod as the injector makes it; ``proxy`` is its sidecar's image, ``None`` for a pod without."""
    containers = [{"name": "app", "image": "app:1"}]
    statuses = [{"name": "app", "ready": True}]
    annotations = {}
    if proxy:
        containers.append({"name": "istio-proxy", "image": proxy, "args": ["proxy", "sidecar"]})
        statuses.append({"name": "istio-proxy", "ready": more.pop("proxy_ready", True)})
        annotations["sidecar.istio.io/status"] = '{"revision": "default"}'
    ready = "True" if more.pop("ready", True) else "False"
    metadata = {**more.pop("metadata", {})}
    annotations |= metadata.pop("annotations", {})
    init = [{"name": "istio-init", "image": proxy, "args": capture(annotations)}] if proxy else []
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {**({"security.istio.io/tlsMode": "istio"} if proxy else {}), **(labels or {})},
            "annotations": annotations,
            **metadata,
        },
        "spec": {
            "initContainers": init,
            "containers": containers,
            "serviceAccountName": "web",
            **more.pop("spec", {}),
        },
        "status": {
            "phase": more.pop("phase", "Running"),
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": statuses,
        },
    }


def live(*items: dict[str, Any], istiods: list[Any] | None = None) -> LiveObjects:
    objects: dict[str, list[dict[str, Any]]] = {}
    for one in items:
        objects.setdefault(one["kind"], []).append(one)
    return LiveObjects(objects, istiods or [], {}, frozenset())
