"""A namespace with traffic joins the mesh while a Prometheus scrapes it: the strict guard sees who calls on.

Needs the lab's add-ons: real sidecars count, the lab's Prometheus scrapes, and mesh_prometheus reads it.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.injection import (
    backend as injection,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import (
    backend as resources,
)

from ...unit.support.arguments import validated
from ..waiting import until, until_gone

SPACE, OUTSIDE = "joining", "joining-outside"
IMAGE = "lab.local/service:1"
CALLS = f"while true; do curl -s -m 2 -o /dev/null http://server.{SPACE}:8080/; sleep 0.3; done"
SERVES = "mkdir -p /tmp/www && cd /tmp/www && touch index.html && exec python3 -m http.server 8080"
CATALOGUE: dict[str, Any] = {
    "mesh_name": SPACE,
    "mesh_namespace": SPACE,
    "istio_gateways": [{"name": "istio-ingressgateway"}],
    "mesh_services": [
        {
            "name": "server",
            "ports": [{"name": "http", "number": 8080, "protocol": "http"}],
            "callers": ["caller"],
        },
        {"name": "caller", "ports": [{"name": "http", "number": 8080, "protocol": "http"}]},
    ],
}


def workload(name: str, space: str, script: str) -> Iterator[dict[str, Any]]:
    labels, place = {"app": name}, {"name": name, "namespace": space}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place}
    spec = {"selector": labels, "ports": [{"name": "http", "port": 8080}]}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": spec}
    container = {
        "name": "app",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
    }
    pod = {"serviceAccountName": name, "terminationGracePeriodSeconds": 1, "containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": place,
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


@pytest.fixture
def spaces(client: KubeClient) -> Iterator[None]:
    """Two namespaces without sidecars; in one of them a caller calls a server."""
    for name in (SPACE, OUTSIDE):
        client.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, field_manager="test"
        )
    for name, script in (("server", SERVES), ("caller", CALLS)):
        for obj in workload(name, SPACE, script):
            client.apply(obj, field_manager="test")
    ready(client, SPACE, "server")
    ready(client, SPACE, "caller")
    yield
    for name in (SPACE, OUTSIDE):
        client.delete("v1", "Namespace", name)
    until_gone(client, SPACE, OUTSIDE)


def ready(client: KubeClient, space: str, name: str) -> None:
    def has_pods() -> bool:
        live = client.get("apps/v1", "Deployment", name, space) or {}
        return bool(live.get("status", {}).get("readyReplicas"))

    until(has_pods, f"ready pods of {space}/{name}")


def backend(module: Any, **given: Any) -> dict[str, Any]:
    params = {"kubeconfig": os.environ["KUBECONFIG"], **given}
    checked = validated(module.ARGUMENT_SPEC, params)
    found: dict[str, Any] = module.run(checked, Context(environment=dict(os.environ)))
    return found


def join(batch: int) -> None:
    """As role injection does it; with 1 one workload after the other, and callers go without for a while."""
    backend(injection, namespaces=[SPACE], gateways=[], restart_anyway=[f"Deployment {SPACE}/*"], batch=batch)


def write(**more: Any) -> dict[str, Any]:
    given = {"catalogue": CATALOGUE, "prometheus": "istio-system/prometheus:9090", "strict_guard": "refuse"}
    return backend(resources, **given, wait=True, **more)


def guard(result: dict[str, Any]) -> dict[str, Any]:
    (found,) = [item for item in result["findings"] if item["check"] == "strict_guard"]
    return dict(found)


@pytest.mark.usefixtures("spaces")
def test_a_namespace_joins_in_one_run(client: KubeClient) -> None:
    """The server gets its sidecar first: for a moment its proxy counts calls without mTLS."""
    client.patch("v1", "Namespace", SPACE, None, {"metadata": {"labels": {"istio-injection": "enabled"}}})
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    template = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": at}}}
    client.patch("apps/v1", "Deployment", "server", SPACE, {"spec": {"template": template}})
    ready(client, SPACE, "server")
    time.sleep(12)  # several scrapes of plaintext calls
    join(batch=1)
    result = write()
    assert (guard(result)["status"], result["changed"]) == ("pass", True), guard(result)
    assert not write()["changed"]


@pytest.mark.long
@pytest.mark.usefixtures("spaces")
def test_who_calls_on_without_a_sidecar_is_named(client: KubeClient) -> None:
    for obj in workload("caller", OUTSIDE, CALLS):
        client.apply(obj, field_manager="test")
    ready(client, OUTSIDE, "caller")
    join(batch=2)
    time.sleep(8)
    with pytest.raises(RefusedError) as caught:
        write()
    assert "STRICT would cut off" in str(caught.value)
    assert "without mTLS" in str(caught.value)
    assert client.list("security.istio.io/v1", "PeerAuthentication", SPACE).items == [], (
        "before the first write"
    )
