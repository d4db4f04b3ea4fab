# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that istiod and the proxies agree: connected, nothing refused, and every policy held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ....fields import annotations_of, field, list_at, mapping_at, name_of, namespace_of, text_at
from ....istio.proxy.listeners import InboundPort
from ....istio.proxy.running import RunningProxy, is_selected
from ....istio.syncz import SyncState
from ..findings import Finding, failed, passed, unknown

DISCONNECTED = "its proxy is not connected to any istiod"


def check_sync(
    proxies: Iterable[RunningProxy], table: Mapping[str, SyncState], refused: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """One finding per proxy.

    :param table: every proxy connected to any istiod. :param refused: by proxy, what it says it refused.
    :returns: in the order of the proxies.
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
    """AuthorizationPolicies that select the proxy's pod and that its filters do not (or no longer) hold.

    :returns: one finding per policy; empty when the proxy holds exactly what it should.
    """
    held = {(rule.namespace, rule.name) for port in ports.values() for rule in port.policies}
    selecting = {
        (namespace_of(policy), name_of(policy))
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
    if namespace_of(policy) not in (namespace, root_namespace):
        return False
    if field(policy, "spec", "targetRef") or list_at(policy, "spec", "targetRefs"):
        return False
    if annotations_of(policy).get("istio.io/dry-run") == "true":
        return False
    action = text_at(policy, "spec", "action") or "ALLOW"
    if action not in ("ALLOW", "DENY") or (action == "DENY" and not list_at(policy, "spec", "rules")):
        return False
    return is_selected(labels, mapping_at(policy, "spec", "selector", "matchLabels"))
