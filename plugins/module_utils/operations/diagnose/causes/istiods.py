# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control plane: istiod that does not run, ends for its memory, or is of no revision that a pod asks for."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import field, integer_at, labels_of, mappings_at, name_of, namespace_of, text_at
from ....istio.istiod import DEFAULT_REVISION, DISCOVERY_CONTAINER
from ....istio.workloads import parse_pod
from ....kube.pods import is_active, is_ready, trouble
from ....kube.rollouts import refusals
from ....model.reading.values import amount
from ....object_id import object_id
from ....words import few
from ..case import Case, Obj
from ..cause import CONTROL_PLANE, LIKELY, SURE, Cause

FULL = 0.9
"""Share of its memory limit above which istiod will soon be ended."""
MEMORY = "istio_values: pilot: resources: limits: memory"


def find(case: Case) -> Iterator[Cause]:
    """istiod itself. :returns: one cause per Deployment at fault, one per pod."""
    yield from _absent(case)
    for pod in case.material.istiods:
        cause = _sick(case, pod)
        if cause is not None:
            yield cause
    yield from _revisions(case)


def deployment(case: Case) -> Obj | None:
    """The Deployment of istiod."""
    for item in case.of("Deployment"):
        if namespace_of(item) == case.catalogue.istio_namespace and labels_of(item).get("app") == "istiod":
            return item
    return None


def _absent(case: Case) -> Iterator[Cause]:
    place = case.catalogue.istio_namespace
    if case.live.istiods or not case.was_read(place) or "Deployment" in case.material.unread:
        return
    found = deployment(case)
    if found is None:
        said = "does not exist: no proxy gets a configuration, no pod a sidecar"
        remedy = "ansible-playbook servicemesh.istio.istio -i INVENTORY"
        yield Cause(CONTROL_PLANE, f"Deployment {place}/istiod", said, remedy, SURE)
        return
    name = object_id(found)
    if field(found, "spec", "replicas") == 0:
        said = "is scaled to 0: no proxy gets a configuration, no pod a sidecar"
        remedy = f"kubectl scale deployment/{name_of(found)} -n {place} --replicas=1"
        yield Cause(CONTROL_PLANE, name, said, remedy, SURE)
        return
    told = few(f"{name_of(pod)}: {trouble(pod)}" for pod in case.material.istiods if trouble(pod))
    said = f"has no ready pod ({told or 'it has none'}): proxies keep what they have, new pods get no sidecar"
    remedy = f"kubectl describe pod -n {place} -l app=istiod"
    refused = tuple(" ".join(message.split())[:300] for message in refusals(found))
    yield Cause(CONTROL_PLANE, name, said, remedy, SURE, refused, late=True)


def _sick(case: Case, pod: Obj) -> Cause | None:
    name = f"Pod {namespace_of(pod)}/{name_of(pod)}"
    for status in mappings_at(pod, "status", "containerStatuses"):
        if text_at(status, "name") != DISCOVERY_CONTAINER:
            continue
        ended = text_at(status, "lastState", "terminated", "reason")
        if ended == "OOMKilled" or text_at(status, "state", "terminated", "reason") == "OOMKilled":
            said = f"ran out of memory (OOMKilled, restarted {integer_at(status, 'restartCount')} times)"
            return Cause(CONTROL_PLANE, name, said, MEMORY, SURE)
        if text_at(status, "state", "waiting", "reason") in ("CrashLoopBackOff", "ImagePullBackOff"):
            said = f"does not run: {trouble(pod)}"
            remedy = f"kubectl logs {name_of(pod)} -n {namespace_of(pod)} --previous"
            return Cause(CONTROL_PLANE, name, said, remedy, SURE)
    limit = _memory_limit(pod)
    used = case.material.figures.get("process_resident_memory_bytes", 0.0)
    if limit and used > FULL * limit and is_ready(pod):
        said = f"uses {used / limit:.0%} of its memory limit and will be ended soon"
        return Cause(CONTROL_PLANE, name, said, MEMORY, LIKELY)
    return None


def _memory_limit(pod: Obj) -> float:
    for item in mappings_at(pod, "spec", "containers"):
        if text_at(item, "name") == DISCOVERY_CONTAINER:
            return float(amount(str(field(item, "resources", "limits", "memory") or "0")))
    return 0.0


def _revisions(case: Case) -> Iterator[Cause]:
    """Pods whose proxy is of a revision that no istiod serves any more."""
    running = {item.revision for item in case.live.istiods}
    if not running:
        return
    lost: dict[str, list[str]] = {}
    for raw in case.subjects:
        pod = parse_pod(raw)
        if pod.proxy is None or not is_active(raw) or not pod.proxy.injected:
            continue
        revision = pod.proxy.revision or DEFAULT_REVISION
        if revision not in running:
            lost.setdefault(revision, []).append(f"{pod.namespace}/{pod.name}")
    for revision, pods in sorted(lost.items()):
        said = (
            f"has the proxy of revision {revision!r}, whose istiod does not run ({few(sorted(running))} does)"
        )
        remedy = "ansible-playbook servicemesh.istio.injection -i INVENTORY (it restarts what is behind)"
        yield Cause(CONTROL_PLANE, f"Pod {pods[0]}", said, remedy, SURE, (f"so have {len(pods) - 1} more",))
