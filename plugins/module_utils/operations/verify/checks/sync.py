# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that istiod and the proxies agree: connected, nothing refused, and every policy held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ....istio.proxy.listeners import InboundPort, serving_port
from ....istio.proxy.running import RunningProxy
from ....istio.syncz import SyncState
from ....model.security.authorization import Policy, action_of, decides, is_strange, leaves_rules
from ....model.security.matrix import describe
from ....model.security.requests import ALLOW, UNKNOWN, Request
from ....object_id import object_id
from ..findings import Finding, failed, passed, unknown
from ..picture import SeenPod

DISCONNECTED = "its proxy is not connected to any istiod"


def check_sync(
    proxies: Iterable[RunningProxy], table: Mapping[str, SyncState], refused: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """One finding per proxy, but none for one that istiod calls well and that has not been read itself.

    :param table: every proxy connected to any istiod. :param refused: by proxy that was read, what it says it
        refused.
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
        elif str(proxy) in refused:
            found.append(passed("sync", subject, "connected, nothing outstanding, nothing refused"))
    return found


def check_policies_held(
    proxy: RunningProxy, ports: Mapping[int, InboundPort], policies: Iterable[Policy]
) -> list[Finding]:
    """AuthorizationPolicies that select the proxy's pod and that its filters do not (or no longer) hold.

    :param policies: those that select the pod. Whether one without rules to be held is held does not
        matter.
    :returns: one finding per policy; empty when the proxy holds exactly what it should.
    """
    held = {
        f"AuthorizationPolicy {rule.namespace}/{rule.name}"
        for port in ports.values()
        for rule in port.policies
        if rule.action in ("ALLOW", "DENY")
    }
    selecting = [policy for policy in policies if decides(policy)]
    allowed = {object_id(policy) for policy in selecting}
    expected = {
        object_id(policy)
        for policy in selecting
        if action_of(policy) in ("ALLOW", "DENY") and not is_strange(policy) and leaves_rules(policy)
    }
    problems = [f"does not hold {name}" for name in expected - held]
    problems += [f"still holds {name}, which is gone" for name in held - allowed]
    return [failed("sync", f"Pod {proxy}", f"its proxy {why}", late=True) for why in sorted(problems)]


def check_decisions(
    proxy: RunningProxy, ports: Mapping[int, InboundPort], seen: SeenPod, requests: Sequence[Request]
) -> tuple[Finding | None, frozenset[int]]:
    """What a proxy's own filters decide about ``requests``, against what the policies say.

    :returns: one finding for the first request on which they differ, ``None`` when they agree; and the ``id``
        of those requests that a filter chain of the proxy decided as the policies do.
    """
    asked = set()
    for request in requests:
        serving = serving_port(ports, request.port)
        wanted = seen.held.decide(request).verdict
        for chain in serving.chains if serving else ():
            if chain.mtls is not bool(request.principal) or chain.http is not request.http:
                continue
            got = chain.authorization.decide(request)
            if UNKNOWN in (got.verdict, wanted):
                continue
            if got.verdict == wanted:
                asked.add(id(request))
                continue
            does = "lets in" if got.verdict == ALLOW else "refuses"
            by = f" by {got.policy}" if got.policy else ""
            reason = f"its proxy {does} {describe(request)}{by}, and the policies say otherwise"
            return failed("sync", f"Pod {proxy}", reason, late=True), frozenset()
    return None, frozenset(asked)
