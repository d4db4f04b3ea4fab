# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that every pod has its sidecar, in the right version, and that istiod and proxies agree."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ....istio.istiod import Istiod
from ....istio.proxy.running import image_version
from ....istio.workloads import Pod, parse_pod
from ....kube.pods import is_active
from ..findings import Finding, failed, passed, unknown

OPT_OUT = "sidecar.istio.io/inject"


def check_pods(
    pods: Iterable[Mapping[str, Any]],
    *,
    expected_version: str,
    istiods: Sequence[Istiod],
    unmeshed: Sequence[str],
) -> list[Finding]:
    """One finding per pod of the meshed namespaces.

    :param expected_version: image tag that every proxy must have; empty: that of the istiod of its revision.
    :param unmeshed: ``namespace/name`` patterns of pods that need no sidecar.
    :returns: in the order of the pods.
    """
    versions = {istiod.revision: istiod.version for istiod in istiods}
    found = []
    for pod in map(parse_pod, filter(is_active, pods)):
        subject = f"Pod {pod.namespace}/{pod.name}"
        if any(fnmatch.fnmatchcase(f"{pod.namespace}/{pod.name}", pattern) for pattern in unmeshed):
            continue
        found.append(_check_pod(pod, subject, expected_version, versions))
    return found


def _check_pod(pod: Pod, subject: str, expected: str, versions: Mapping[str, str]) -> Finding:
    if pod.proxy is None:
        return failed("injection", subject, f"has no sidecar: {_why_bare(pod)}")
    if not pod.proxy.ready:
        return failed("injection", subject, f"its sidecar is not ready ({pod.trouble or 'no reason given'})")
    if not pod.ready:
        return failed("injection", subject, f"is not ready ({pod.trouble})")
    version = image_version(pod.proxy.image)
    wanted = expected or versions.get(pod.proxy.revision or "default", "")
    if not wanted:
        return unknown(
            "injection",
            subject,
            f"no istiod of its revision {pod.proxy.revision!r} runs to compare {version} with",
        )
    if version != wanted:
        return failed(
            "injection", subject, f"its proxy is {version or pod.proxy.image}, not {wanted}: restart it"
        )
    return passed("injection", subject, f"proxy {version}, revision {pod.proxy.revision or 'default'}, ready")


def _why_bare(pod: Pod) -> str:
    if (pod.labels.get(OPT_OUT) or pod.annotations.get(OPT_OUT)) == "false":
        return f"it opts out by {OPT_OUT}=false (list it in verify_unmeshed_pods when that is intended)"
    if pod.host_network:
        return "it uses the host's network (list it in verify_unmeshed_pods when that is intended)"
    return "it was made before injection was on, or the injector does not select it: restart it"
