# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that every pod has its sidecar, in the right version, and that istiod and proxies agree."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ....istio.istiod import Istiod
from ....istio.proxy.listeners import InboundPort
from ....istio.proxy.running import RunningProxy, image_version, is_selected
from ....istio.syncz import SyncState
from ....istio.workloads import Pod, parse_pod
from ..findings import Finding, failed, passed, unknown

OPT_OUT = "sidecar.istio.io/inject"
DISCONNECTED = "its proxy is not connected to any istiod"


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
    """
    versions = {istiod.revision: istiod.version for istiod in istiods}
    found = []
    for pod in map(parse_pod, pods):
        subject = f"Pod {pod.namespace}/{pod.name}"
        if pod.terminating or pod.phase in ("Succeeded", "Failed"):
            continue
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


def check_sync(
    proxies: Iterable[RunningProxy], table: Mapping[str, SyncState], refused: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """One finding per proxy.

    :param table: every proxy connected to any istiod. :param refused: by proxy, what it says it refused.
    """
    found = []
    for proxy in proxies:
        subject, state = f"Pod {proxy}", table.get(proxy.sync_id)
        if state is None:
            found.append(failed("sync", subject, DISCONNECTED, late=True))
        elif state.refused or refused.get(str(proxy)):
            reasons = [
                *(f"{kind}: {why}" for kind, why in state.refused.items()),
                *refused.get(str(proxy), ()),
            ]
            found.append(
                failed("sync", subject, f"its proxy refused a configuration: {reasons[0]}", late=True)
            )
        elif state.stale:
            found.append(
                unknown(
                    "sync", subject, f"has not yet confirmed its latest {', '.join(state.stale)}", late=True
                )
            )
        else:
            found.append(passed("sync", subject, "connected, nothing outstanding, nothing refused"))
    return found


def check_policies_held(
    proxy: RunningProxy,
    ports: Mapping[int, InboundPort],
    policies: Iterable[Mapping[str, Any]],
    root_namespace: str,
) -> list[Finding]:
    """AuthorizationPolicies that select the proxy's pod and that its filters do not (or no longer) hold."""
    held = {(rule.namespace, rule.name) for port in ports.values() for rule in port.policies}
    selecting = {
        (policy["metadata"]["namespace"], policy["metadata"]["name"])
        for policy in policies
        if selects(policy, proxy.namespace, proxy.labels, root_namespace)
    }
    problems = [
        f"does not hold AuthorizationPolicy {namespace}/{name}" for namespace, name in selecting - held
    ]
    problems += [
        f"still holds AuthorizationPolicy {namespace}/{name}, which is gone"
        for namespace, name in held - selecting
    ]
    return [failed("sync", f"Pod {proxy}", f"its proxy {why}", late=True) for why in sorted(problems)]


def selects(
    policy: Mapping[str, Any], namespace: str, labels: Mapping[str, str], root_namespace: str
) -> bool:
    """Whether a policy applies to the pod of a sidecar: by namespace, then by selector.

    Policies with targetRefs are for waypoints and Gateway API gateways; those in dry-run, with a CUSTOM
    provider or AUDIT leave no rule behind that decides (istio pilot/pkg/model/policyattachment.go).
    """
    metadata, spec = policy["metadata"], policy.get("spec") or {}
    if metadata.get("namespace") not in (namespace, root_namespace):
        return False
    if spec.get("targetRef") or spec.get("targetRefs"):
        return False
    if (metadata.get("annotations") or {}).get("istio.io/dry-run") == "true":
        return False
    if spec.get("action", "ALLOW") not in ("ALLOW", "DENY") or (
        spec.get("action") == "DENY" and not spec.get("rules")
    ):
        return False
    return is_selected(labels, (spec.get("selector") or {}).get("matchLabels") or {})
