# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``policies``: who may leave through the egress gateway, and to which host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....fields import labels_of
from ....kube.pods import has_labels, is_active
from ....model.catalogue.mesh import EgressGateway
from ....model.objects.egress import egress_objects
from ....model.security.authorization import Policy, WorkloadPolicies
from ....model.security.classes import INCOMPLETE, WorkloadPort, trials
from ....model.security.matrix import CLOSES, OPENS, describe, flips
from ....object_id import object_id
from ....verdicts import PASS
from ..findings import Finding, failed, passed, unknown
from ..picture import Picture
from .own import OwnPolicies


def check_egress(picture: Picture) -> list[Finding]:
    """The live policies of the egress gateway, against the one that the catalogue computes.

    :returns: one finding per object that makes them differ, or one pass; ``[]`` without an egress gateway.
    """
    catalogue = picture.catalogue
    gateway = catalogue.egress_gateway
    computed = [item for item in egress_objects(catalogue) if item["kind"] == "AuthorizationPolicy"]
    if gateway is None or not computed:
        return []
    found: dict[Finding, None] = {}
    for live in _of_its_pods(picture, gateway.workload_namespace, gateway.selector):
        found |= dict.fromkeys(_judge(picture, gateway, live, computed))
    faults = [finding for finding in found if finding.verdict != PASS]
    return faults or list(found)


def _of_its_pods(picture: Picture, namespace: str, selector: Mapping[str, str]) -> list[list[Policy]]:
    """The policies of each kind of pods of the gateway, by their own labels: others than ours may select them
    by other ones. Before there is a pod, those that the gateway's selector shows."""
    pods = [
        labels_of(pod)
        for pod in picture.live.of("Pod", namespace)
        if is_active(pod) and has_labels(pod, selector)
    ]
    found: dict[tuple[int, ...], list[Policy]] = {}
    for labels in pods or [selector]:
        policies = picture.policies.of(namespace, labels)
        found.setdefault(tuple(map(id, policies)), policies)
    return list(found.values())


def _judge(
    picture: Picture, gateway: EgressGateway, live: Sequence[Policy], computed: Sequence[Policy]
) -> list[Finding]:
    namespace = gateway.workload_namespace
    ports = [WorkloadPort(gateway.port, http=True, tcp=True, plaintext=False)]
    tried = trials([*live, *computed], (), ports, namespace=namespace, trust_domains=picture.trust_domains)
    wanted = WorkloadPolicies(computed, picture.trust_domains)
    held = WorkloadPolicies(live, picture.trust_domains)
    own = OwnPolicies(picture)
    found: list[Finding] = []
    for flip in flips(wanted, held, tried.requests):
        name = object_id(computed[0])
        fault = own.fault(name)
        subject = flip.decision.policy if flip.kind == OPENS and flip.decision.policy else name
        reason = f"{fault}: " if fault and subject == name else ""
        told = f"{describe(flip.requests[0])} at the egress gateway ({flip.cells} cells)"
        if flip.kind == OPENS:
            found.append(failed("policies", subject, f"{reason}lets out {told}"))
        elif flip.kind == CLOSES:
            blamed = flip.decision.policy if flip.decision.policy != name else subject
            found.append(failed("policies", blamed, f"{reason}refuses {told}"))
        else:
            found.append(unknown("policies", subject, f"{flip.decision.reason}: {told}"))
    if not tried.complete:
        found.append(unknown("policies", "egress gateway", INCOMPLETE))
    if found:
        return found
    cells = len(tried.requests)
    return [passed("policies", "egress gateway", f"{cells} cells as the catalogue states")]
