# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TLS that a caller's proxy uses towards a Service: which DestinationRule decides, and what it says.

Sources: istio pilot/pkg/model/push_context.go (setDestinationRules, destinationRule), destination_rule.go
(mergeDestinationRule), sidecar.go (DestinationRule, for workloadSelector), pilot/pkg/networking/util/util.go
(MergeSubsetTrafficPolicy), pilot/pkg/xds/endpoints/mtls_checker.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...fields import age_order, field, integer_at, list_at, mapping_at, mappings_at, namespace_of, text_at
from ...object_id import object_id
from ..virtual_services import full_host
from .peer_authentication import DISABLE

Rule = Mapping[str, Any]
AUTO = "AUTO"
"""No mode at all: mutual TLS to every endpoint that is able to take it."""
EVERYONE, OWN_NAMESPACE = "*", "."
"""What ``exportTo`` says besides names of namespaces."""


@dataclasses.dataclass(frozen=True, slots=True)
class ClientMode:
    """How a caller's proxy connects.

    :param mode: AUTO, DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL. :param per_endpoint: what it does with single
        endpoints, where a port entry without ``tls`` makes that differ. :param decided: the object that says
        so, ``""`` for none.
    """

    mode: str
    per_endpoint: str
    decided: str


@dataclasses.dataclass(slots=True)
class _Merged:
    """DestinationRules of one host and namespace that istiod has joined."""

    rules: list[Rule]
    policy: Mapping[str, Any] | None
    decided: str
    subsets: dict[str, tuple[Mapping[str, Any], str]]
    selector: Mapping[str, str] | None
    exported: frozenset[str]


_Hosts = dict[str, list[_Merged]]
_Index = dict[str, _Hosts]  # by namespace


class DestinationRules:
    """The DestinationRules of a mesh, by namespace: those for selected workloads, then the others, the oldest
    first.

    :param domain: the cluster's DNS domain.
    """

    def __init__(self, rules: Iterable[Rule], *, root_namespace: str, domain: str) -> None:
        self._root = root_namespace
        self._local: _Index = {}
        self._exported: _Index = {}
        self._private_of_root: _Hosts = {}
        for rule in sorted(rules, key=_place):
            namespace, exported = namespace_of(rule), _exported(rule)
            host = full_host(text_at(rule, "spec", "host"), namespace, domain)
            if not exported or exported & {EVERYONE, OWN_NAMESPACE, namespace}:
                _merge(self._local.setdefault(namespace, {}).setdefault(host, []), rule, exported)
            if exported not in ({OWN_NAMESPACE}, {namespace}):
                _merge(self._exported.setdefault(namespace, {}).setdefault(host, []), rule, exported)
            elif namespace == root_namespace:
                _merge(self._private_of_root.setdefault(host, []), rule, exported)

    def mode(
        self,
        client_namespace: str,
        client_labels: Mapping[str, str],
        host: str,
        service_namespace: str,
        port: int,
        subset: str = "",
    ) -> ClientMode:
        """What a caller's proxy does for one port of a Service.

        :param host: its full name. :param port: of the Service. :param subset: ``""`` for none.
        """
        rule = self._selected(client_namespace, client_labels, host, service_namespace)
        if rule is None:
            return ClientMode(AUTO, AUTO, "")
        own, decided = rule.subsets.get(subset, ({}, "")) if subset else ({}, "")
        cluster = _cluster_mode(rule.policy, own, port)
        endpoint = _endpoint_mode(own, port) or _endpoint_mode(rule.policy, port)
        said_by = decided if own and (_endpoint_mode(own, port) or cluster[1]) else rule.decided
        return ClientMode(cluster[0] or AUTO, endpoint or AUTO, said_by if cluster[0] or endpoint else "")

    def deciding(
        self, client_namespace: str, labels: Mapping[str, str], host: str, service_namespace: str
    ) -> list[Rule]:
        """The objects that a caller's proxy goes by, whatever they say.

        :param labels: of the caller's pod. :returns: those that istiod joins to one rule, the oldest first.
        """
        rule = self._selected(client_namespace, labels, host, service_namespace)
        return list(rule.rules) if rule is not None else []

    def _selected(
        self, client_namespace: str, labels: Mapping[str, str], host: str, service_namespace: str
    ) -> _Merged | None:
        # Of the root namespace's rules a proxy there looks at the private ones first: the others are for all.
        in_root = client_namespace == self._root
        own = self._private_of_root if in_root else self._local.get(client_namespace, {})
        if found := _most_specific(own, host):
            return _for_client(found, labels)
        for namespace in (service_namespace, self._root):
            found = _most_specific(self._exported.get(namespace, {}), host)
            if visible := [one for one in found if _is_seen(one, client_namespace)]:
                return _for_client(visible, labels)
        return None


def _exported(rule: Rule) -> frozenset[str]:
    """Where a rule is seen; one for selected workloads is never seen outside of its namespace."""
    if field(rule, "spec", "workloadSelector") is not None:
        return frozenset({OWN_NAMESPACE})
    return frozenset(str(item) for item in list_at(rule, "spec", "exportTo"))


def _merge(known: list[_Merged], rule: Rule, exported: frozenset[str]) -> None:
    """As mergeDestinationRule: subsets are added, and the first traffic policy stays, be it empty. Whether
    the rule stands for itself as well, the last of those that are there says."""
    selector = field(rule, "spec", "workloadSelector")
    labels = mapping_at(rule, "spec", "workloadSelector", "matchLabels") if selector is not None else None
    stated = field(rule, "spec", "trafficPolicy")
    policy = None if stated is None else mapping_at(rule, "spec", "trafficPolicy")
    name = object_id(rule)
    subsets = {
        text_at(item, "name"): (mapping_at(item, "trafficPolicy"), name)
        for item in mappings_at(rule, "spec", "subsets")
    }
    apart = True
    for merged in known:
        apart = merged.exported != exported
        if apart and not (merged.exported and exported > merged.exported):
            continue
        if merged.selector is not None and labels is not None and merged.selector != labels:
            apart = True
            continue
        if (merged.selector is None) == (labels is None):
            apart = False
        for subset, content in subsets.items():
            merged.subsets.setdefault(subset, content)
        if merged.policy is None and policy is not None:
            merged.policy, merged.decided = policy, name
        merged.rules.append(rule)
    if apart:
        known.append(_Merged([rule], policy, name, dict(subsets), labels, exported))


def _is_seen(merged: _Merged, client_namespace: str) -> bool:
    return not merged.exported or bool(merged.exported & {EVERYONE, client_namespace})


def _for_client(found: Sequence[_Merged], labels: Mapping[str, str]) -> _Merged | None:
    general = None
    for merged in found:
        if merged.selector is None:
            general = merged
        elif merged.selector.items() <= labels.items():
            return merged
    return general


def _most_specific(hosts: Mapping[str, list[_Merged]], host: str) -> list[_Merged]:
    if host in hosts:
        return hosts[host]
    wild = [name for name in hosts if name.startswith("*") and host.endswith(name[1:])]
    return hosts[max(wild, key=len)] if wild else []


def _of_port(policy: Mapping[str, Any] | None, port: int) -> Mapping[str, Any] | None:
    return next(
        (
            item
            for item in mappings_at(policy, "portLevelSettings")
            if integer_at(item, "port", "number") == port
        ),
        None,
    )


def tls_mode(policy: Mapping[str, Any] | None) -> str:
    """The mode of a policy's ``tls``; ``""`` without one. A ``tls`` that names no mode is DISABLE, the first
    of them (istio.io/api networking/v1alpha3/destination_rule.proto, TLSmode)."""
    return "" if field(policy, "tls") is None else text_at(policy, "tls", "mode") or DISABLE


def _cluster_mode(policy: Mapping[str, Any] | None, subset: Mapping[str, Any], port: int) -> tuple[str, bool]:
    """The mode of the cluster, and whether the subset says so; port entries inherit nothing."""
    own, general = _of_port(subset, port), _of_port(policy, port)
    if own is not None:
        return tls_mode(own), True
    if from_subset := tls_mode(subset):
        return from_subset, True
    return tls_mode(policy if general is None else general), False


def _endpoint_mode(policy: Mapping[str, Any] | None, port: int) -> str:
    return tls_mode(_of_port(policy, port)) or tls_mode(policy)


def _place(rule: Rule) -> tuple[bool, str, str, str]:
    """Where istiod puts a rule (sortConfigBySelectorAndCreationTime)."""
    return (field(rule, "spec", "workloadSelector") is None, *age_order(rule))
