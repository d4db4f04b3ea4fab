# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that labels and restarts need, known before the first of them.

A namespace that is labelled without a right to restart its workloads would be half in the mesh: each new pod
gets a sidecar, and those beside it have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ...istio.injection.labels import LabelDecision
from ...istio.injection.plan import EVICT, ROLLOUT, Restart
from ...istio.injection.webhooks import Injector
from ...kube.access import AccessNeed
from ..rights.asking import refuse_missing
from .restart import API_OF

if TYPE_CHECKING:
    from ...kube.client import KubeClient


def refuse_without_rights(
    client: KubeClient,
    decisions: Iterable[LabelDecision],
    acting: Sequence[Restart],
    injectors: Iterable[Injector],
) -> None:
    """To be called before the first write.

    :param acting: the restarts that are going to be made or waited for. :param injectors: those that have to
        answer before.
    :raises ApiError: with status 403, naming every right that is missing.
    """
    wanted = [*_labels(decisions), *(need for step in acting for need in _restart(client, step))]
    if acting:
        places = {injector.service[0] for injector in injectors if injector.service}
        wanted += [AccessNeed("list", "discovery.k8s.io", "endpointslices", name) for name in sorted(places)]
    refuse_missing(client, wanted, "to label and to restart")


def _labels(decisions: Iterable[LabelDecision]) -> Iterator[AccessNeed]:
    for decision in decisions:
        if decision.changed:
            for verb in ("patch", "create") if decision.action == "create" else ("patch",):
                yield AccessNeed(verb, "", "namespaces", name=decision.request.name)


def _restart(client: KubeClient, step: Restart) -> Iterator[AccessNeed]:
    place, name = step.owner.namespace, step.owner.name
    if step.owner.kind in API_OF:
        api_version = API_OF[step.owner.kind]
        group, plural = api_version.rpartition("/")[0], client.resource(api_version, step.owner.kind).plural
        verbs = ("patch", "get") if step.action == ROLLOUT else ("get",)
        for verb in verbs:
            yield AccessNeed(verb, group, plural, place, name)
    if step.action != EVICT:
        return
    for pod in step.pods:
        yield AccessNeed("create", "", "pods", place, pod.name, "eviction")
    yield AccessNeed("get", "", "pods", place)
    for budget in step.budgets:
        yield AccessNeed("get", "policy", "poddisruptionbudgets", place, budget)
