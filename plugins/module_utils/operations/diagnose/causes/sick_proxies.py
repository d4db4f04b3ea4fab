# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection: pods whose sidecar is there and does not work: image, memory, probe, order of the containers."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import mapping_at, mappings_at, name_of, namespace_of, text_at
from ....istio.workloads import PROXY_CONTAINER, Pod, parse_pod
from ....kube.pods import containers, is_active
from ..case import Case, Obj
from ..cause import INJECTION, LIKELY, SURE, Cause
from .words import restart

OWN_INIT = ("istio-init", "istio-validation", PROXY_CONTAINER)
BAD_IMAGE = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")
RESOURCES = (
    "proxy: {cpu: ..., memory: ...} of the service in mesh_services, or sidecar.istio.io/proxyMemoryLimit"
)


def find(case: Case) -> Iterator[Cause]:
    """Pods that the symptom is about. :returns: one cause per pod."""
    for raw in case.subjects:
        if not is_active(raw):
            continue
        pod = parse_pod(raw)
        if pod.proxy is None:
            continue
        cause = _cause(case, raw, pod)
        if cause is not None:
            yield cause


def _cause(case: Case, raw: Obj, pod: Pod) -> Cause | None:
    subject = f"Pod {namespace_of(raw)}/{name_of(raw)}"
    waiting = {item.name: item for item in containers(raw) if item.waiting}
    proxy = waiting.get(PROXY_CONTAINER)
    unpulled = next(
        (waiting[name] for name in OWN_INIT if name in waiting and waiting[name].waiting in BAD_IMAGE), None
    )
    if unpulled is not None:
        said = f"cannot pull its sidecar's image {unpulled.image} ({unpulled.waiting})"
        remedy = "correct sidecar.istio.io/proxyImage of its template, or istio_hub and the pull secret"
        return Cause(INJECTION, subject, said, remedy, SURE)
    killed = _killed(raw)
    if killed:
        said = f"has a sidecar that {killed}"
        return Cause(INJECTION, subject, said, RESOURCES, SURE)
    if "not scheduled" in pod.trouble and "Insufficient" in pod.trouble:
        said = f"finds no node with its sidecar: {pod.trouble}"
        return Cause(INJECTION, subject, said, RESOURCES, SURE, late=case.age(raw) < 30)
    early = _too_early(raw)
    if early:
        return Cause(INJECTION, subject, early[0], early[1], SURE, late=case.begins(raw))
    if proxy is not None and proxy.waiting == "CrashLoopBackOff":
        said = "has a sidecar that ends again and again (CrashLoopBackOff)"
        remedy = f"kubectl logs {pod.name} -n {pod.namespace} -c istio-proxy --previous"
        return Cause(INJECTION, subject, said, remedy, SURE)
    if not pod.proxy or pod.proxy.ready or pod.phase != "Running" or case.begins(raw):
        return None
    said = f"has a sidecar that is not ready ({pod.trouble or 'its probe fails'})"
    return Cause(INJECTION, subject, said, restart(pod), LIKELY, late=True)


def _killed(raw: Obj) -> str:
    """How often the kernel has ended the sidecar for its memory, as half a sentence."""
    for section in ("containerStatuses", "initContainerStatuses"):
        for status in mappings_at(raw, "status", section):
            if text_at(status, "name") != PROXY_CONTAINER:
                continue
            for state in ("lastState", "state"):
                if text_at(status, state, "terminated", "reason") == "OOMKilled":
                    return f"ran out of memory (OOMKilled, restarted {status.get('restartCount', 0)} times)"
    return ""


def _too_early(raw: Obj) -> tuple[str, str] | None:
    """An init container of the application that needs the network before the sidecar runs.

    istio-init has redirected its traffic already; a native sidecar that stands before it would carry it.
    """
    names = [text_at(item, "name") for item in mappings_at(raw, "spec", "initContainers")]
    native = PROXY_CONTAINER in names
    redirected = "istio-init" in names or "istio-validation" in names
    for index, item in enumerate(mappings_at(raw, "spec", "initContainers")):
        name = text_at(item, "name")
        if name in OWN_INIT or (native and index > names.index(PROXY_CONTAINER)):
            continue
        status = next(
            (one for one in mappings_at(raw, "status", "initContainerStatuses") if one.get("name") == name),
            {},
        )
        failed = mapping_at(status, "lastState", "terminated") or mapping_at(status, "state", "terminated")
        fails = status.get("ready") is not True and (
            text_at(status, "state", "waiting", "reason") == "CrashLoopBackOff"
            or failed.get("exitCode", 0) != 0
        )
        if fails and (redirected or native):
            said = f"has an init container {name} that fails before the sidecar runs, so it has no network"
            remedy = (
                "let the sidecar start first (native sidecars: the order of initContainers), or run "
                f"{name} as user 1337, or take its ports out by traffic.sidecar.istio.io/excludeOutboundPorts"
            )
            return said, remedy
    return None
