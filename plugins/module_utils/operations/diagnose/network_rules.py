# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NetworkPolicies let through, evaluated as their API describes it.

Source: k8s.io/api networking/v1 types.go: a pod that no policy selects for a direction is open in it; one
that is selected takes what any of these policies allows, and nothing else.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from ...fields import (
    integer_at,
    labels_of,
    list_at,
    mapping_at,
    mappings_at,
    namespace_of,
    text_at,
)
from ...istio.injection.webhooks import NAMESPACE_NAME_KEY, matches

Obj = Mapping[str, Any]
INGRESS, EGRESS = "Ingress", "Egress"
_RULES = {INGRESS: ("ingress", "from"), EGRESS: ("egress", "to")}


@dataclasses.dataclass(frozen=True, slots=True)
class CalledPort:
    """A port of the pod that is called."""

    number: int
    protocol: str = "TCP"


class NetworkRules:
    """The NetworkPolicies of a cluster.

    :param namespaces: their labels, which rules may ask for.
    """

    def __init__(self, policies: Sequence[Obj], namespaces: Mapping[str, Obj]) -> None:
        self._namespaces = namespaces
        self._of: dict[str, list[Obj]] = {}
        for policy in policies:
            self._of.setdefault(namespace_of(policy), []).append(policy)

    def denying(self, caller: Obj, callee: Obj, port: CalledPort) -> list[Obj]:
        """The policies that keep a caller's pod from a port of another pod, because none of them allows it.

        :returns: those of the callee, else of the caller, the strictest first; none when it gets through.
        """
        for direction, own, other in ((INGRESS, callee, caller), (EGRESS, caller, callee)):
            selecting = self._selecting(own, direction)
            if selecting and not any(
                self._allows(policy, direction, other, callee, port) for policy in selecting
            ):
                return sorted(selecting, key=lambda policy: len(_rules(policy, direction)))
        return []

    def _selecting(self, pod: Obj, direction: str) -> list[Obj]:
        return [
            policy
            for policy in self._of.get(namespace_of(pod), ())
            if direction in _directions(policy)
            and matches(mapping_at(policy, "spec", "podSelector"), labels_of(pod))
        ]

    def _allows(self, policy: Obj, direction: str, other: Obj, callee: Obj, port: CalledPort) -> bool:
        _section, side = _RULES[direction]
        for rule in _rules(policy, direction):
            ports, peers = mappings_at(rule, "ports"), mappings_at(rule, side)
            if ports and not any(_has_port(entry, callee, port) for entry in ports):
                continue
            if not peers or any(self._is_peer(peer, other, namespace_of(policy)) for peer in peers):
                return True
        return False

    def _is_peer(self, peer: Obj, pod: Obj, home: str) -> bool:
        """:param home: namespace of the policy, in which a mere podSelector looks."""
        block = mapping_at(peer, "ipBlock")
        if block:
            return _in_block(text_at(pod, "status", "podIP"), block)
        place = namespace_of(pod)
        if "namespaceSelector" in peer:
            labels = {NAMESPACE_NAME_KEY: place, **labels_of(self._namespaces.get(place))}
            if not matches(mapping_at(peer, "namespaceSelector"), labels):
                return False
        elif place != home:
            return False
        return matches(mapping_at(peer, "podSelector"), labels_of(pod))


def _directions(policy: Obj) -> list[str]:
    """As defaulted: always Ingress, and Egress where there is a rule for it."""
    stated = [str(item) for item in list_at(policy, "spec", "policyTypes")]
    return stated or [INGRESS, *([EGRESS] if mappings_at(policy, "spec", "egress") else [])]


def _rules(policy: Obj, direction: str) -> list[Obj]:
    return list(mappings_at(policy, "spec", _RULES[direction][0]))


def _has_port(entry: Obj, callee: Obj, port: CalledPort) -> bool:
    if (text_at(entry, "protocol") or "TCP") != port.protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return any(
            text_at(item, "name") == wanted and integer_at(item, "containerPort") == port.number
            for container in mappings_at(callee, "spec", "containers")
            for item in mappings_at(container, "ports")
        )
    return int(wanted) <= port.number <= (integer_at(entry, "endPort") or int(wanted))


def _in_block(address: str, block: Obj) -> bool:
    try:
        found = ipaddress.ip_address(address)
        network = ipaddress.ip_network(text_at(block, "cidr"), strict=False)
        left_out = [ipaddress.ip_network(str(text), strict=False) for text in list_at(block, "except")]
    except ValueError:  # a pod without an address yet
        return False
    return found in network and not any(found in item for item in left_out)
