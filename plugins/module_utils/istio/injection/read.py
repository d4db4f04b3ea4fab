# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the injection planner needs: injectors, their settings, the workloads of a namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...fields import mapping_at, mappings_at
from ...kube.wait import rollout_status
from ..workloads import Workload, controller_of, parse_budget, parse_pod, parse_workload
from .judge import NamespaceState
from .webhooks import Injector, InjectorSettings, parse_injectors, parse_settings, stored_yaml

if TYPE_CHECKING:
    from ...kube.client import KubeClient

READ_KINDS = (
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("policy/v1", "PodDisruptionBudget"),
)


def read_injectors(client: KubeClient) -> tuple[Injector, ...]:
    """All injectors of the cluster. :returns: one per webhook, sorted by configuration and webhook."""
    return parse_injectors(
        client.list("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration").items
    )


def read_settings(
    client: KubeClient, injectors: Iterable[Injector], istio_namespace: str
) -> dict[str, InjectorSettings]:
    """Settings of every injector, by revision. A revision that runs outside the cluster has none.

    :returns: revision -> settings, for those whose ConfigMap was found.
    """
    homes: dict[str, str] = {}
    for injector in injectors:
        homes.setdefault(injector.revision, injector.service[0] if injector.service else istio_namespace)
    names = sorted(homes)
    wanted = [
        (f"{stem}{_suffix(name)}", homes[name])
        for name in names
        for stem in ("istio-sidecar-injector", "istio")
    ]
    found = client.in_parallel(lambda key: client.get("v1", "ConfigMap", key[0], key[1]), wanted)
    settings = {}
    for index, revision in enumerate(names):
        injector_map, mesh_map = found[2 * index], found[2 * index + 1]
        if injector_map is not None:
            settings[revision] = parse_settings(
                injector_map, stored_yaml(mesh_map, "mesh") if mesh_map else {}
            )
    return settings


def _suffix(revision: str) -> str:
    return "" if revision == "default" else f"-{revision}"


def read_namespace(
    client: KubeClient, namespace: str, labels: Mapping[str, str], *, keep: bool
) -> NamespaceState:
    """One namespace; ``labels`` are those it will have when pods are created."""
    lists = client.in_parallel(lambda kind: client.list(*kind, namespace).items, READ_KINDS)
    pods, deployments, stateful_sets, daemon_sets, replica_sets, jobs, budgets = lists
    parents = {}
    for child in [*replica_sets, *jobs]:
        controller = controller_of(child["metadata"])
        if controller:
            parents[child["kind"], child["metadata"]["name"]] = controller
    return NamespaceState(
        namespace=namespace,
        labels=labels,
        pods=[parse_pod(pod) for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))],
        workloads=_workloads([*deployments, *stateful_sets, *daemon_sets]),
        parents=parents,
        budgets=[parse_budget(budget) for budget in budgets],
        keep=keep,
    )


def _workloads(objects: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Workload]:
    found = {}
    for obj in objects:
        key = (str(obj["kind"]), str(obj["metadata"]["name"]))
        done, seen = rollout_status(dict(obj))
        found[key] = parse_workload(obj, "" if done else seen)
    return found


def unready_injectors(client: KubeClient, injectors: Iterable[Injector]) -> list[str]:
    """What keeps injectors from answering now; a pod created meanwhile would be refused or left bare.

    :returns: a sentence per trouble, sorted; empty when all answer.
    """
    asked = list(injectors)
    troubles = {f"{entry.configuration} has no CA bundle yet" for entry in asked if not entry.trusted}
    for namespace, service in sorted({entry.service for entry in asked if entry.service}):
        if not _has_ready_endpoint(client, namespace, service):
            troubles.add(f"Service {namespace}/{service} has no ready istiod")
    return sorted(troubles)


def _has_ready_endpoint(client: KubeClient, namespace: str, service: str) -> bool:
    slices = client.list(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        namespace,
        label_selector=f"kubernetes.io/service-name={service}",
    )
    return any(
        mapping_at(endpoint, "conditions").get("ready", True)
        for entry in slices.items
        for endpoint in mappings_at(entry, "endpoints")
    )
