"""A namespace of its own on a cluster with Istio: `KUBECONFIG=... pytest tests/integration/injection`."""

from __future__ import annotations

import uuid

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.pods import is_ready
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.injection import (
    backend as injection,
)

from ...unit.support.arguments import validated
from ..finished_mesh import client, kubeconfig
from ..waiting import until

__all__ = ["client", "kubeconfig"]


@pytest.fixture
def namespace(client):
    name = f"injection-test-{uuid.uuid4().hex[:8]}"
    client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    client.delete("v1", "Namespace", name)


@pytest.fixture
def inject(kubeconfig, namespace):
    """Runs the backend with module defaults on the test's namespace, without the gateways."""

    def run(check_mode=False, diff_mode=False, progress=lambda line: None, **params):
        defaults = {"kubeconfig": kubeconfig, "namespaces": [namespace], "gateways": [], "timeout": 90}
        arguments = {**defaults, **params}
        checked = validated(injection.ARGUMENT_SPEC, arguments)
        context = Context(check_mode=check_mode, diff_mode=diff_mode, progress=progress, environment={})
        return injection.run(checked, context)

    return run


@pytest.fixture
def cluster(client, namespace):
    return Cluster(client, namespace)


class Cluster:
    """Puts workloads into the test's namespace and looks at them."""

    def __init__(self, client, namespace):
        self.client, self.namespace = client, namespace

    def workload(self, kind, name, *, replicas=1, annotations=None, **spec):
        if kind == "StatefulSet":
            spec.setdefault("serviceName", name)
        if kind != "DaemonSet":
            spec["replicas"] = replicas
        template = {
            "metadata": {"labels": {"app": name}, "annotations": annotations or {}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {"name": "app", "image": "lab.local/pause:1", "imagePullPolicy": "IfNotPresent"}
                ],
            },
        }
        self.create(
            "apps/v1",
            kind,
            name,
            spec={"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
        )
        count = replicas if kind != "DaemonSet" else len(self.client.list("v1", "Node").items)
        until(lambda: sum(map(is_ready, self.pods(name))) >= count, f"{kind} {name}", 60)

    def create(self, api_version, kind, name, **body):
        metadata = {"name": name, "namespace": self.namespace}
        return self.client.create({"apiVersion": api_version, "kind": kind, "metadata": metadata, **body})

    def budget(self, name, **spec):
        self.create(
            "policy/v1",
            "PodDisruptionBudget",
            name,
            spec={"selector": {"matchLabels": {"app": name}}, **spec},
        )
        until(
            lambda: (
                self.client.get("policy/v1", "PodDisruptionBudget", name, self.namespace)
                .get("status", {})
                .get("expectedPods")
            ),
            f"budget {name}",
            60,
        )

    def pods(self, name):
        found = self.client.list("v1", "Pod", self.namespace, label_selector=f"app={name}").items
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def labels(self):
        return self.client.get("v1", "Namespace", self.namespace)["metadata"]["labels"]

    def set_label(self, key, value):
        patch = {"metadata": {"labels": {key: value}}}
        self.client.patch("v1", "Namespace", self.namespace, None, patch, field_manager="kubectl-label")

    def versions(self):
        """resourceVersion of everything that a run could write."""
        kinds = [
            ("apps/v1", "Deployment"),
            ("apps/v1", "StatefulSet"),
            ("apps/v1", "DaemonSet"),
            ("v1", "Pod"),
        ]
        objects = [obj for kind in kinds for obj in self.client.list(*kind, self.namespace).items]
        objects.append(self.client.get("v1", "Namespace", self.namespace))
        return {(o["kind"], o["metadata"]["name"]): o["metadata"]["resourceVersion"] for o in objects}
