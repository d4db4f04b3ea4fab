# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a CA into istiod, and shows that every istiod works with it.

A plugged-in CA whose file of roots stays the same is read again by a running istiod; a changed one only with
ISTIO_MULTIROOT_MESH, and an istiod with a CA of its own never looks (pilot/pkg/bootstrap/istio_ca.go). What
istiod would ignore without a word is therefore followed by a restart, and so is what it did not take.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, WaitTimeout
from ...fields import annotations_of, mapping_at, mappings_at, name_of, namespace_of, text_at
from ...istio.istiod import ISTIOD_SELECTOR, calls_istiod, istiod_metrics
from ...istio.proxy.certificates import ROOT_CONFIG_MAP, ROOT_KEY
from ...kube.pods import is_active, is_ready
from ...kube.rollouts import pod_trouble
from ...kube.wait import rollout_status, wait_until
from ...labels import FIELD_MANAGER
from ...model.certificates.mesh_ca import Stage
from ...model.certificates.served import decode
from ...model.certificates.trust import fingerprints
from ..injection.restart import RESTARTED_AT
from .live import MULTIROOT, is_on, istiod_environment

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

ROOT_ENDS, CHAIN_ENDS = (
    "citadel_server_root_cert_expiry_timestamp",
    "citadel_server_cert_chain_expiry_timestamp",
)
WEBHOOKS = "admissionregistration.k8s.io/v1"
CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What istiod is to take over.

    :param stage: what it is given now. :param before: what it worked with; None when that was no ``cacerts``,
        or nobody knows. :param plugged: whether there is a ``cacerts`` now. :param mark: of the journal.
    """

    stage: Stage
    before: Stage | None
    plugged: bool
    mark: str

    def reloads(self, deployment: Mapping[str, Any]) -> bool:
        """Whether istiod takes it over without a restart, and shows it."""
        if self.before is None or not self.plugged:
            return False
        roots_stay = self.before.bundle.roots == self.stage.bundle.roots
        shows = ends_of(self.before) != ends_of(self.stage)
        return shows and (roots_stay or is_on(istiod_environment(deployment), MULTIROOT))


def ends_of(stage: Stage) -> tuple[float, float]:
    """What istiod's metrics tell of a CA: when its first root and its signer end, in seconds.

    :returns: (root, signer).
    """
    roots, signer = stage.bundle.trusted, stage.bundle.signer
    return roots[0].not_valid_after_utc.timestamp(), signer.not_valid_after_utc.timestamp()


def take_over(client: KubeClient, context: Context, namespace: str, change: Change, options: Any) -> None:
    """Until every istiod works with the CA, publishes its roots, and the API server still believes it.

    :param options: ``patience`` and ``timeout``, in seconds.
    :raises WaitTimeout: naming what is late. :raises ApiError: no right to look.
    """
    deployments = _deployments(client, namespace)
    late = [one for one in deployments if not change.reloads(one)]
    waiting = [one for one in deployments if change.reloads(one)]
    if waiting:
        late += _not_reloaded(client, context, change, waiting, options.patience)
    for deployment in late:
        _restart(client, context, deployment, change.mark)
    _wait(context, "the restart of istiod", options.timeout, lambda: _rolled_out(client, namespace))
    _wait(
        context,
        f"istiod to work with the CA of stage {change.stage.name}",
        options.timeout,
        lambda: _first([*_pods_late(client, namespace, change), *published_late(client, namespace, change)]),
    )
    _wait(
        context,
        "the webhooks of istiod to answer",
        options.timeout,
        lambda: _first([*bundles_late(client, namespace, change.stage), *call_fault(client, namespace)]),
    )


def _wait(context: Context, awaited: str, timeout: float, look: Any) -> None:
    wait_until(
        lambda: (not (seen := look()), seen),
        awaited=awaited,
        timeout=timeout,
        stop=context.stop,
        progress=context.progress,
        clock=context.clock,
    )


def _first(faults: Sequence[str]) -> str:
    return faults[0] if faults else ""


def _deployments(client: KubeClient, namespace: str) -> list[dict[str, Any]]:
    found = client.list("apps/v1", "Deployment", namespace, label_selector=ISTIOD_SELECTOR).items
    return sorted(found, key=name_of)


def _not_reloaded(
    client: KubeClient,
    context: Context,
    change: Change,
    deployments: Sequence[dict[str, Any]],
    patience: float,
) -> list[dict[str, Any]]:
    """Waits as long as a kubelet takes to hand the Secret over. :returns: those that did not take it."""
    namespace = namespace_of(deployments[0])
    names = {name_of(one) for one in deployments}

    def late() -> dict[str, str]:
        found = {}
        for pod in _pods(client, namespace):
            owner = _owner(pod)
            fault = _pod_fault(client, pod, change) if owner in names else ""
            if fault:
                found[owner] = fault
        return found

    try:
        _wait(context, "istiod to read the CA again", patience, lambda: _first(list(late().values())))
    except WaitTimeout:
        return [one for one in deployments if name_of(one) in late()]
    return []


def _owner(pod: Mapping[str, Any]) -> str:
    """The Deployment of a pod: its ReplicaSet's name without the hash."""
    owner = text_at(next(iter(mappings_at(pod, "metadata", "ownerReferences")), {}), "name")
    return owner.rpartition("-")[0]


def _restart(client: KubeClient, context: Context, deployment: Mapping[str, Any], mark: str) -> None:
    """A rolling restart, once for each mark: who has it was started after the Secret was written."""
    template = mapping_at(deployment, "spec", "template")
    if annotations_of(template).get(RESTARTED_AT) == mark:
        return
    where = f"Deployment {namespace_of(deployment)}/{name_of(deployment)}"
    context.progress(f"{where}: restarting for the new CA")
    patch = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: mark}}}}}
    client.patch(
        "apps/v1",
        "Deployment",
        name_of(deployment),
        namespace_of(deployment),
        patch,
        field_manager=FIELD_MANAGER,
    )


def _rolled_out(client: KubeClient, namespace: str) -> str:
    for deployment in _deployments(client, namespace):
        done, seen = rollout_status(deployment)
        if not done:
            why = pod_trouble(client, deployment)
            return f"Deployment {namespace}/{name_of(deployment)}: {seen}{f'; {why}' if why else ''}"
    return ""


def _pods(client: KubeClient, namespace: str) -> list[dict[str, Any]]:
    return client.list("v1", "Pod", namespace, label_selector=ISTIOD_SELECTOR).items


def _pods_late(client: KubeClient, namespace: str, change: Change) -> list[str]:
    """What each istiod that runs, or still runs, says. One that signs with the other CA counts."""
    pods = [pod for pod in _pods(client, namespace) if text_at(pod, "status", "phase") == "Running"]
    if not any(is_ready(pod) and is_active(pod) for pod in pods):
        return [f"no istiod in namespace {namespace} is ready"]
    return [fault for pod in pods if (fault := _pod_fault(client, pod, change))]


def _pod_fault(client: KubeClient, pod: Mapping[str, Any], change: Change) -> str:
    """Why an istiod is not known to work with the CA: it was started before, and shows other dates."""
    if annotations_of(pod).get(RESTARTED_AT) == change.mark and is_ready(pod):
        return ""
    where = f"Pod {namespace_of(pod)}/{name_of(pod)}"
    if not change.plugged or change.before is None or ends_of(change.before) == ends_of(change.stage):
        return f"{where} was started before the CA was changed"
    ends = metrics_of(client, namespace_of(pod), name_of(pod))
    if ends == ends_of(change.stage):
        return ""
    return f"{where} has not taken the CA over"


def metrics_of(client: KubeClient, namespace: str, pod: str) -> tuple[float, float] | None:
    """When the CA of an istiod ends, by its own metrics. :returns: (root, signer), None without an answer.

    :raises ApiError: no right to ask.
    """
    try:
        samples = istiod_metrics(client, namespace, pod)
    except WaitTimeout:
        return None
    except ApiError as error:
        if error.lasting or error.reason == "Interrupted":
            raise
        return None
    values = {name: value for name, value in samples if name in (ROOT_ENDS, CHAIN_ENDS)}
    return (values[ROOT_ENDS], values[CHAIN_ENDS]) if len(values) == 2 else None


def published_late(client: KubeClient, namespace: str, change: Change) -> list[str]:
    """The namespaces whose proxies would start with other roots. Those on their way out do not count.

    :returns: sentences.
    """
    found = client.list("v1", "ConfigMap", field_selector=f"metadata.name={ROOT_CONFIG_MAP}").items
    faults = []
    for copy in found:
        held = fingerprints(text_at(copy, "data", ROOT_KEY).encode())
        if not change.stage.hold <= held or change.stage.drop & held:
            where = f"ConfigMap {namespace_of(copy)}/{ROOT_CONFIG_MAP}"
            faults.append(f"{where} does not hold the roots of stage {change.stage.name}")
    if not any(namespace_of(copy) == namespace for copy in found):
        faults.append(f"ConfigMap {namespace}/{ROOT_CONFIG_MAP} does not exist")
    return faults


def bundles_late(client: KubeClient, namespace: str, stage: Stage) -> list[str]:
    """The webhooks of istiod whose CA bundle does not fit: the API server would refuse istiod.

    :returns: sentences.
    """
    faults = []
    for kind in CONFIGURATIONS:
        for obj in client.list(WEBHOOKS, kind).items:
            for webhook in mappings_at(obj, "webhooks"):
                bundle = mapping_at(webhook, "clientConfig")
                held = fingerprints(decode({"data": bundle}, "caBundle"))
                if calls_istiod(webhook, namespace) and (not stage.hold <= held or stage.drop & held):
                    faults.append(f"{kind} {name_of(obj)}: its CA bundle is not that of stage {stage.name}")
                    break
    return faults


def call_fault(client: KubeClient, namespace: str) -> list[str]:
    """Lets the API server call istiod: an object that istiod's validation has to refuse, as a dry run.

    :returns: what came instead of the refusal; empty when it came.
    """
    if not any(
        calls_istiod(webhook, namespace)
        for obj in client.list(WEBHOOKS, CONFIGURATIONS[1]).items
        for webhook in mappings_at(obj, "webhooks")
    ):
        return []
    invalid = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "servicemesh-mesh-ca-call", "namespace": namespace},
        "spec": {"hosts": ["servicemesh-mesh-ca-call"], "http": [{"name": "no-destination"}]},
    }
    try:
        client.create(invalid, dry_run=True)
    except ApiError as error:
        if "denied the request" in error.message:
            return []
        if error.lasting or error.reason == "Interrupted":
            raise
        return [f"the API server cannot call istiod's validation: {error.message}"]
    return ["istiod's validation let an invalid object pass: its webhook is not called"]
