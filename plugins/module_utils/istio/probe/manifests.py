# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of one run's probes: a pod for each identity, and the Sidecars that open the mesh to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ...fields import Object, name_of, text_at
from ...labels import COLLECTION, MANAGED_BY_LABEL
from .pods import COMPONENT, COMPONENT_LABEL, CONTAINER, RUN_LABEL, RUNNER_ANNOTATION, Identity

_LABELS = {COMPONENT_LABEL: COMPONENT, MANAGED_BY_LABEL: COLLECTION}
_RESOURCES = {
    "requests": {"cpu": "5m", "memory": "16Mi"},
    "limits": {"cpu": "500m", "memory": "64Mi"},
}
_NOBODY = 65532
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": _NOBODY,
    "runAsGroup": _NOBODY,
}
# The probe's own calls wait for the proxy; nothing must reach the probe itself.
_INJECTION = {
    "proxy.istio.io/config": "holdApplicationUntilProxyStarts: true",
    "traffic.sidecar.istio.io/includeInboundPorts": "",
}
_TMP = "/tmp"  # noqa: S108  # inside the pod


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeRun:
    """What all probes of a run have in common.

    :param run: its id.
    :param runner: who made them (``runner_id``), so that a later run can tell the dead from the living.
    :param lifetime: seconds after which the kubelet ends a probe, whatever happens to us.
    :param pull_secrets: names of Secrets for the image's registry.
    """

    run: str
    runner: str
    image: str
    lifetime: int
    pull_secrets: Sequence[str] = ()

    def pod(self, identity: Identity, name: str) -> dict[str, Any]:
        """A probe pod.

        :returns: the whole manifest.
        """
        inject = {"sidecar.istio.io/inject": "true" if identity.meshed else "false"}
        metadata = self._metadata(identity.namespace, name)
        metadata["labels"] |= inject
        metadata["annotations"] |= _INJECTION
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "serviceAccountName": identity.service_account if identity.meshed else "default",
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "restartPolicy": "Never",
                "activeDeadlineSeconds": self.lifetime,
                "terminationGracePeriodSeconds": 0,
                "imagePullSecrets": [{"name": secret} for secret in self.pull_secrets],
                "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [self._container()],
                "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "8Mi"}}],
            },
        }

    def sidecar(self, namespace: str, name: str, owners: Sequence[Object]) -> dict[str, Any]:
        """The Sidecar that lets the probes of this run see every host.

        :param owners: the probe pods (as created, with uid); the Sidecar goes when the last of them is gone.
        :returns: the whole manifest.
        """
        metadata = self._metadata(namespace, name)
        metadata["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": name_of(owner),
                "uid": text_at(owner, "metadata", "uid"),
            }
            for owner in owners
        ]
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Sidecar",
            "metadata": metadata,
            "spec": {
                "workloadSelector": {"labels": {RUN_LABEL: self.run}},
                "egress": [{"hosts": ["*/*"]}],
            },
        }

    def _metadata(self, namespace: str, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "namespace": namespace,
            "labels": {**_LABELS, RUN_LABEL: self.run},
            "annotations": {RUNNER_ANNOTATION: self.runner},
        }

    def _container(self) -> dict[str, Any]:
        return {
            "name": CONTAINER,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", str(self.lifetime)],
            "resources": _RESOURCES,
            "securityContext": _RESTRICTED,
            "volumeMounts": [{"name": "tmp", "mountPath": _TMP}],
        }
