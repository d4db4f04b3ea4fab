# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``policies``: who may leave through the egress gateway, and to which host."""

from __future__ import annotations

from ....model.objects.egress import egress_objects
from ....model.security.authorization import WorkloadPolicies
from ....model.security.classes import WorkloadPort, trials
from ....model.security.matrix import CLOSES, OPENS, describe, flips
from ....object_id import object_id
from ..findings import Finding, failed, passed, unknown
from ..picture import Picture
from .policies import OwnPolicies


def check_egress(picture: Picture) -> list[Finding]:
    """The live policies of the egress gateway, against the one that the catalogue computes.

    :returns: one finding per object that makes them differ, or one pass; ``[]`` without an egress gateway.
    """
    catalogue = picture.catalogue
    gateway = catalogue.egress_gateway
    computed = [item for item in egress_objects(catalogue) if item["kind"] == "AuthorizationPolicy"]
    if gateway is None or not computed:
        return []
    namespace, labels = gateway.workload_namespace, gateway.selector
    live = picture.policies.of(namespace, labels)
    ports = [WorkloadPort(gateway.port, http=True, tcp=True, plaintext=False)]
    tried = trials([*live, *computed], (), ports, namespace=namespace, trust_domains=picture.trust_domains)
    wanted = WorkloadPolicies(computed, picture.trust_domains)
    held = WorkloadPolicies(live, picture.trust_domains)
    own, found = OwnPolicies(picture), []
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
    if found:
        return found
    cells = len(tried.requests)
    return [passed("policies", "egress gateway", f"{cells} cells as the catalogue states")]
