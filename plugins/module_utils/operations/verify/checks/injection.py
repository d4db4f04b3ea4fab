# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that every pod has its sidecar, in the right version, and that istiod and proxies agree."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ....fields import text_at
from ....istio.injection.webhooks import INJECT_KEY, opted_out_by
from ....istio.istiod import Istiod
from ....istio.proxy.running import image_version
from ....istio.workloads import Pod, parse_pod
from ....kube.clock import seconds_of
from ....kube.pods import faults, is_active
from ....model.security.pods import is_ambient
from ..findings import Finding, failed, passed, unknown

AMBIENT = "is in ambient mode, which is not looked at"
BEGINNING = 180.0
"""Seconds after its creation in which a pod that is not ready yet is no fault."""


def check_pods(
    pods: Iterable[Mapping[str, Any]],
    *,
    expected_version: str,
    istiods: Sequence[Istiod],
    unmeshed: Sequence[str],
    now: float,
) -> list[Finding]:
    """One finding per pod of the meshed namespaces. One that has only begun is not judged: it takes no
    traffic yet, and a rollout always has some of them.

    :param expected_version: image tag that every proxy must have; empty: that of the istiod of its
        revision.
    :param unmeshed: ``namespace/name`` patterns of pods that need no sidecar. :param now: seconds since the
        epoch.
    :returns: in the order of the pods.
    """
    versions = {istiod.revision: istiod.version for istiod in istiods}
    found = []
    for raw in filter(is_active, pods):
        pod = parse_pod(raw)
        subject = f"Pod {pod.namespace}/{pod.name}"
        if any(fnmatch.fnmatchcase(f"{pod.namespace}/{pod.name}", pattern) for pattern in unmeshed):
            continue
        if _has_only_begun(raw, pod, now):
            continue
        found.append(_check_pod(pod, subject, expected_version, versions))
    return found


def _has_only_begun(raw: Mapping[str, Any], pod: Pod, now: float) -> bool:
    """Whether a pod with a proxy may still become ready by itself: it is young and nothing is wrong with
    it."""
    if pod.proxy is None or pod.ready or faults(raw):
        return False
    born = seconds_of(text_at(raw, "metadata", "creationTimestamp"))
    return born is not None and now - born < BEGINNING


def _check_pod(pod: Pod, subject: str, expected: str, versions: Mapping[str, str]) -> Finding:
    if pod.proxy is None and is_ambient(pod.annotations):
        return unknown("injection", subject, AMBIENT)
    if pod.proxy is None:
        return failed("injection", subject, f"has no sidecar: {_why_bare(pod)}")
    runs_to_its_end = pod.controller is not None and pod.controller[0] == "Job"
    if not pod.proxy.ready and not runs_to_its_end:
        reason = f"its sidecar is not ready ({pod.trouble or 'no reason given'})"
        return failed("injection", subject, reason, late=True)
    if not pod.ready and not runs_to_its_end:
        return failed("injection", subject, f"is not ready ({pod.trouble})", late=True)
    version = image_version(pod.proxy.image)
    revision = pod.proxy.revision or "default"
    wanted = expected or versions.get(revision, "")
    if not expected and revision in versions and not (version and wanted):
        return passed(
            "injection", subject, f"proxy {pod.proxy.image}, by digest: its version was not compared"
        )
    if not wanted:
        return unknown(
            "injection",
            subject,
            f"no istiod of its revision {pod.proxy.revision!r} runs to compare {version} with",
        )
    if not version:
        reason = f"its image {pod.proxy.image} does not tell whether it is {wanted}"
        return unknown("injection", subject, reason)
    if version != wanted:
        return failed(
            "injection", subject, f"its proxy is {version or pod.proxy.image}, not {wanted}: restart it"
        )
    return passed("injection", subject, f"proxy {version}, revision {pod.proxy.revision or 'default'}, ready")


def _why_bare(pod: Pod) -> str:
    if opted_out_by(pod.labels, pod.annotations):
        return f"it opts out by {INJECT_KEY}=false (list it in verify_unmeshed_pods when that is intended)"
    if pod.host_network:
        return "it uses the host's network (list it in verify_unmeshed_pods when that is intended)"
    return (
        "it was made before injection was on, or its namespace has lost the label (istio-injection, "
        "istio.io/rev): injection.yml puts it back and restarts the pod"
    )
