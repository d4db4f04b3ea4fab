# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves that a control plane works: rolled out, CRDs established, webhooks armed, istiod answering."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...context import Context
from ...errors import ApiError, MeshError, WaitTimeout
from ...fields import name_of, text_at
from ...istio.installation.installed import (
    MUTATING,
    VALIDATING,
    WEBHOOK_API,
    belongs_to_revision,
    crd_trouble,
    webhook_trouble,
)
from ...istio.istiod import istiod_unready
from ...kube.client import KubeClient
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.rollouts import pod_trouble
from ...kube.wait import rollout_status, wait_until
from ...model.installation.settings import Installation
from ...model.reading.typed import variables_of
from ...verdicts import CANNOT_TELL, PASS
from .options import INSTALLATION_SPEC, installation_of

_CRD_API = "apiextensions.k8s.io/v1"
_CRD_SELECTOR = "app.kubernetes.io/part-of=istio"

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    **{name: INSTALLATION_SPEC[name] for name in ("method", "hub", "revision", "namespace", "gateways")},
    "timeout": {"type": "raw", "default": 300},
}
VARIABLES = variables_of(ARGUMENT_SPEC, "istio_")


@dataclasses.dataclass(frozen=True, slots=True)
class ReadyOptions:
    """What is to be proved.

    :param timeout: seconds that the whole proof may take.
    """

    installation: Installation
    timeout: float

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ReadyOptions:
        """The options of module ``control_plane_ready``.

        :param params: as its argument spec leaves them: every option is there.
        :raises InputError: with every problem, each named by its role variable.
        """
        return cls(installation_of(params), timeout=float(params["timeout"]))


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Waits until everything is proved; in check mode looks once and only reports.

    :returns: ``status`` (``pass`` or ``cannot tell``), ``checks`` with an entry per thing that was looked at.
    :raises WaitTimeout: naming what is late. :raises MeshError: when nothing is installed.
    """
    options = ReadyOptions.from_params(params)
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection) as client:
        return prove(client, options, context)


def prove(client: KubeClient, options: ReadyOptions, context: Context) -> dict[str, Any]:
    """Proves a control plane through ``client``. :returns: and raises as ``run``."""
    installation = options.installation
    if client.get("apps/v1", "Deployment", installation.istiod, installation.namespace) is None:
        if context.check_mode:
            return _result(CANNOT_TELL, [], reason="not installed")
        raise MeshError(f"Deployment {installation.namespace}/{installation.istiod} does not exist")
    if context.check_mode:
        late = trouble(client, installation)
        return _result(CANNOT_TELL, late, reason="; ".join(late)) if late else _proved(installation)

    def look() -> tuple[bool, str]:
        late = trouble(client, installation)
        return not late, "; ".join(late)

    wait_until(
        look,
        awaited=f"the control plane {installation.istiod}",
        timeout=options.timeout,
        stop=context.stop,
        progress=context.progress,
        clock=context.clock,
    )
    return _proved(installation)


def _proved(installation: Installation) -> dict[str, Any]:
    checks = [
        f"istiod and {len(installation.gateways)} gateways rolled out",
        "CRDs established",
        "webhooks fail closed",
        "istiod answers",
    ]
    return _result(PASS, checks)


def _result(status: str, checks: list[str], *, reason: str = "") -> dict[str, Any]:
    return {"changed": False, "status": status, "reason": reason, "checks": checks}


def trouble(client: KubeClient, installation: Installation) -> list[str]:
    """Everything that is not ready yet, as sentences. istiod is asked only when the rest is well.

    :returns: one sentence each; empty when the control plane works.
    """
    late = _rollouts(client, installation) + _crds(client) + _webhooks(client, installation)
    return late or _silent_istiods(client, installation)


def _rollouts(client: KubeClient, installation: Installation) -> list[str]:
    wanted = [
        (installation.istiod, installation.namespace),
        *((gateway.name, gateway.namespace) for gateway in installation.gateways),
    ]
    found = client.in_parallel(lambda item: client.get("apps/v1", "Deployment", item[0], item[1]), wanted)
    late = []
    for (name, namespace), deployment in zip(wanted, found, strict=True):
        if deployment is None:
            late.append(f"Deployment {namespace}/{name} does not exist")
            continue
        done, seen = rollout_status(deployment)
        if not done:
            why = pod_trouble(client, deployment)
            late.append(f"Deployment {namespace}/{name}: {seen}{f'; {why}' if why else ''}")
    return late


def _crds(client: KubeClient) -> list[str]:
    crds = client.list(_CRD_API, "CustomResourceDefinition", label_selector=_CRD_SELECTOR).items
    if not crds:
        return ["no CustomResourceDefinition of Istio exists"]
    return [text for crd in crds if (text := crd_trouble(crd))]


def _webhooks(client: KubeClient, installation: Installation) -> list[str]:
    late = []
    for kind in (VALIDATING, MUTATING):
        items = [
            item
            for item in client.list(WEBHOOK_API, kind, label_selector="istio.io/rev").items
            if belongs_to_revision(item, installation.revision)
        ]
        if not items:
            late.append(f"no {kind} of revision {installation.revision or 'default'} exists")
        late += [text for item in items if (text := webhook_trouble(item))]
    return late


def _silent_istiods(client: KubeClient, installation: Installation) -> list[str]:
    """The istiod pods that do not answer ``/ready`` on their own port.

    Over a port-forward, because a managed API server often reaches the kubelet only, no port of a pod.
    """
    pods = [pod for pod in _istiod_pods(client, installation) if text_at(pod, "status", "phase") == "Running"]
    if not pods:
        return [f"no pod of {installation.istiod} runs"]
    answers = client.in_parallel(lambda pod: _ask(client, installation, name_of(pod)), pods)
    return [text for text in answers if text]


def _istiod_pods(client: KubeClient, installation: Installation) -> Sequence[dict[str, Any]]:
    selector = f"app=istiod,istio.io/rev={installation.revision or 'default'}"
    return client.list("v1", "Pod", installation.namespace, label_selector=selector).items


def _ask(client: KubeClient, installation: Installation, pod: str) -> str:
    try:
        cause = istiod_unready(client, installation.namespace, pod)
    except ApiError as error:
        if error.lasting or error.reason == "Interrupted":
            raise
        return f"{pod} cannot be asked: {error.message}"
    except WaitTimeout as error:  # it hangs: it may answer when it is asked again
        cause = error.message
    return f"{pod} does not answer /ready: {cause}" if cause else ""
