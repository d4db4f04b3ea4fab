# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which AuthorizationPolicies the catalogue computes, and how those that live under their names differ."""

from __future__ import annotations

from ....equality import same
from ....fields import mapping_at
from ....model.catalogue.services import Service
from ....model.objects.authorization_policies import authorization_objects
from ....model.objects.egress import egress_objects
from ....model.objects.names import DEFAULT_DENY, service_policy_name
from ....object_id import object_id
from ..live_objects import REVISION
from ..picture import Picture


class OwnPolicies:
    """The policies that the catalogue computes, beside those that live under their names."""

    def __init__(self, picture: Picture) -> None:
        computed = [*authorization_objects(picture.catalogue), *egress_objects(picture.catalogue)]
        self._computed = {object_id(item): item for item in computed}
        self._live = {object_id(item): item for item in picture.live.of("AuthorizationPolicy")}
        self._read = {object_id(item) for item in picture.live.in_force("AuthorizationPolicy")}

    def fault(self, name: str) -> str:
        """How a computed policy is not there as computed, as half a sentence; ``""`` when it is, or is not
        ours."""
        computed = self._computed.get(name)
        if computed is None:
            return ""
        live = self._live.get(name)
        if live is None:
            return "is missing"
        if name not in self._read:
            return f"is read by no istiod (label {REVISION})"
        return (
            "" if same(computed["spec"], mapping_at(live, "spec")) else "is not as the catalogue computes it"
        )

    def guards(self, service: Service) -> bool:
        """Whether the catalogue computes anything that keeps somebody out of a service."""
        name = f"AuthorizationPolicy {service.namespace}/{service_policy_name(service.name)}"
        return name in self._computed or self.guards_rest_of(service.namespace)

    def guards_rest_of(self, namespace: str) -> bool:
        """Whether the catalogue computes a default deny for a namespace."""
        return f"AuthorizationPolicy {namespace}/{DEFAULT_DENY}" in self._computed

    def culprit(self, namespace: str, service: str) -> tuple[str, str]:
        """Which own policy of a workload is not as computed.

        :param service: its name, ``""`` for a workload beside the catalogue.
        :returns: the object and its fault; two empty texts when there is none.
        """
        names = [service_policy_name(service)] if service else []
        for name in (*names, DEFAULT_DENY):
            subject = f"AuthorizationPolicy {namespace}/{name}"
            fault = self.fault(subject)
            if fault:
                return subject, fault
        return "", ""
