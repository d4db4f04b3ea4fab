# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Optional: a Job in the cluster that gives the routes back when the runner dies.

Without it a split stays until somebody runs ``canary_resume``. With it the cluster itself ends the split
when the runner's Lease has stood still for its duration. The Job holds what it will write; its program
is ``script``.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

from ....errors import ApiError
from ....fields import integer_at, mappings_at
from ....labels import FIELD_MANAGER, ownership_labels
from ....model.rollout.milestones import Milestone, notice, told
from ....model.rollout.record import journal_name
from ....model.rollout.settings import DeadmanOptions
from ....model.rollout.split import Split, destination_hosts
from ..kube_events import event, regarding
from ..objects.routes import FOREIGN_MANAGER, ISTIO_API
from ..protocols import Objects
from ..rollout import Rollout
from . import script as deadman_script

LABEL = "servicemesh.istio/deadman"
KEPT = 600  # seconds in which the log of a Job that has ended can still be read
LATE = 5.0  # seconds between two looks of the Job, and its writes


class DeadmanJob:
    """The Job that watches one runner of one rollout.

    :param options: what the Job is made of. :param own: whether the routes are computed from the catalogue.
    """

    def __init__(self, rollout: Rollout, client: Objects, options: DeadmanOptions, *, own: bool) -> None:
        self._rollout = rollout
        self._client = client
        self._options = options
        self._own = own

    @property
    def name(self) -> str:
        """One Job per run and fence: a successor has one of its own."""
        return f"servicemesh-deadman-{self._rollout.journal.run}-{self._rollout.fence}"

    def arm(self) -> None:
        """Start the Job and wait until it is ready: until then no share of the traffic may move.

        :raises RollbackNeeded: it does not get ready in time.
        """
        rollout, namespace = self._rollout, self._rollout.options.service.namespace
        if self._client.get("batch/v1", "Job", self.name, namespace) is None:
            self._client.create(self.job())

        def check() -> tuple[bool, str]:
            live = self._client.get("batch/v1", "Job", self.name, namespace)
            return integer_at(live, "status", "ready") > 0, (
                f"Job {namespace}/{self.name} is not ready: look at its pod"
                f" (image {self._options.image}, account {self._options.service_account})"
            )

        rollout.await_ready(check, f"Job {self.name}")
        rollout.progress(f"deadman: Job {self.name} watches this runner")

    def disarm(self) -> None:
        """The run has ended: nobody has to watch it. The Job would end by itself, too."""
        self._client.delete("batch/v1", "Job", self.name, self._rollout.options.service.namespace)

    def job(self) -> dict[str, Any]:
        """The Job as it is created. :returns: a Job (batch/v1)."""
        options, job = self._rollout.options, self._options
        labels = {**ownership_labels(options.catalogue.name), LABEL: self._rollout.journal.run}
        pod: dict[str, Any] = {
            "serviceAccountName": job.service_account,
            "restartPolicy": "OnFailure",
            "containers": [self._container()],
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 1,
        }
        if job.image_pull_secrets:
            pod["imagePullSecrets"] = [{"name": name} for name in job.image_pull_secrets]
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "namespace": options.service.namespace, "labels": labels},
            "spec": {
                "backoffLimit": 20,
                "ttlSecondsAfterFinished": KEPT,
                "template": {
                    # it talks to the API server only, and must not wait for a proxy
                    "metadata": {"labels": {**labels, "sidecar.istio.io/inject": "false"}},
                    "spec": pod,
                },
            },
        }

    def _container(self) -> dict[str, Any]:
        armed = f"import os, sys; sys.exit(not os.path.exists({deadman_script.ARMED!r}))"
        return {
            "name": "deadman",
            "image": self._options.image,
            "command": ["python3", "-u", "-c", inspect.getsource(deadman_script)],
            "env": [
                {"name": "DEADMAN", "value": json.dumps(self.task(), sort_keys=True)},
                *self._secret_environment(),
            ],
            "readinessProbe": {"exec": {"command": ["python3", "-c", armed]}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's
        }

    def _secret_environment(self) -> list[dict[str, Any]]:
        """Whom the Job tells, out of a Secret: whoever may read Jobs must not read that."""
        name = self._options.notify_secret
        return [
            {
                "name": variable,
                "valueFrom": {"secretKeyRef": {"name": name, "key": key, "optional": True}},
            }
            for variable, key in (("DEADMAN_NOTIFY_URL", "url"), ("DEADMAN_NOTIFY_HEADERS", "headers"))
            if name
        ]

    def _event(self) -> dict[str, Any] | None:
        """The Event that the Job leaves, but for its time; None where there is no Deployment for it."""
        rollout = self._rollout
        canary = rollout.plan.canary
        workload = rollout.options.service.versions[canary].workload
        try:
            about = regarding(self._client, rollout.options.service.namespace, workload)
        except ApiError:
            return None
        if about is None:
            return None
        note = told(Milestone.DEADMAN, rollout.journal)
        name = f"{workload[:190]}.{rollout.journal.run[:32]}-{rollout.fence}-deadman"
        return event(about, Milestone.DEADMAN, note, name=name, instance=self.name)

    def task(self) -> dict[str, Any]:
        """What the Job is told; see ``script``.

        :returns: paths of the objects, ``holder``, ``fence``, ``seconds``, ``write``, ``event``, ``notice``,
            as plain data.
        """
        rollout, options = self._rollout, self._rollout.options
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{options.service.namespace}/leases"
        routes = (
            f"/apis/{ISTIO_API}/namespaces/{rollout.routes.namespace}/virtualservices/{rollout.routes.name}"
        )
        restored = rollout.routes.desired(rollout.stable_traffic())
        if self._own:
            write: dict[str, Any] = {
                # forced: a safety net that argues about ownership is none
                "query": f"fieldManager={FIELD_MANAGER}&force=true",
                "content_type": "application/apply-patch+yaml",
                "object": restored,
            }
        else:
            service, plan, domain = options.service, rollout.plan, options.catalogue.cluster_domain
            split = Split(service.name, service.namespace, plan.stable, plan.canary, domain=domain)
            write = {
                "query": f"fieldManager={FOREIGN_MANAGER}",
                "content_type": "application/json-patch+json",
                "routes": [
                    {key: route[key] for key in ("name", "match", "route") if key in route}
                    for route, concerned in zip(
                        mappings_at(restored, "spec", "http"), split.concerned(restored), strict=True
                    )
                    if concerned
                ],
                "hosts": destination_hosts(service.name, service.namespace, rollout.routes.namespace, domain),
                "subsets": [plan.stable, plan.canary],
            }
        return {
            "lease": f"{leases}/{journal_name(options.service.name)}",
            "routes": routes,
            "holder": rollout.lease.identity,
            "identity": f"deadman:{self.name}",
            "fence": rollout.fence,
            "seconds": rollout.lease.duration,
            "annotation": rollout.routes.annotation,
            "write": write,
            "event": self._event(),
            "notice": notice(Milestone.DEADMAN, rollout.journal, options.catalogue.name),
        }
