# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Splits of traffic inside VirtualServices: reading them, computing new ones, patching foreign ones.

Pure functions on plain objects. Everything that is not the split (matches, rewrites, mirrors, faults,
delegates, headers, extra destinations) is carried over unchanged.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import RefusedError
from ...fields import annotations_of, field, integer_at, labels_of, list_at, mappings_at
from ..virtual_services import Destination, full_host, read_virtual_service

# Labels and annotations by which a GitOps controller marks what it keeps in sync.
_GITOPS_KEYS = (
    "argocd.argoproj.io/instance",
    "argocd.argoproj.io/tracking-id",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
)
_GITOPS_MANAGERS = (
    "argocd-controller",
    "argocd-application-controller",
    "kustomize-controller",
    "helm-controller",
)


def is_request_host(
    host: str, service: str, namespace: str, *, object_namespace: str, domain: str = "cluster.local"
) -> bool:
    """Whether requests to ``host`` of a VirtualService's ``hosts`` would else reach the Service.

    Any of the Service's DNS names, short ones included: clients use them all.
    """
    return full_host(host, object_namespace, domain) in _names_with_namespace(service, namespace, domain)


def destination_hosts(service: str, namespace: str, object_namespace: str, domain: str) -> list[str]:
    """What a Service may be called as a destination in a VirtualService of this namespace.

    :returns: names, the short one only where it means this Service.
    """
    names = _names_with_namespace(service, namespace, domain)
    return [service, *names] if object_namespace == namespace else names


def _names_with_namespace(service: str, namespace: str, domain: str) -> list[str]:
    """The Service's DNS names that mean it in any namespace."""
    parts = [service, namespace, "svc", domain]
    return [".".join(parts[:count]) for count in (2, 3, 4)]


class Split:
    """The two versions of one service, and how to find them in a VirtualService.

    :param stable: subset that serves now. :param canary: subset that shall serve.
    """

    def __init__(
        self, service: str, namespace: str, stable: str, canary: str, *, domain: str = "cluster.local"
    ) -> None:
        self.service = service
        self.namespace = namespace
        self.stable = stable
        self.canary = canary
        self.domain = domain
        self.host = full_host(service, namespace, domain)

    def splits(self, virtual_service: Mapping[str, Any]) -> list[dict[str, float]]:
        """The HTTP routes of the object that name the service.

        :returns: per route subset -> percent of its requests, 0 included; subset ``""`` for no subset.
        """
        return [shares for shares in self._shares(virtual_service) if shares]

    def canary_share(self, virtual_service: Mapping[str, Any]) -> float:
        """Largest share of the canary in any split route: percent of what both versions get there, whatever
        others get beside them."""
        shares = [0.0]
        for split in filter(None, self._split_routes(virtual_service)):
            canary = split.get(self.canary, 0)
            both = canary + split.get(self.stable, 0)
            if both:
                shares.append(100 * canary / both)
        return max(shares)

    def with_share(self, virtual_service: Mapping[str, Any], share: int) -> dict[str, Any]:
        """A copy of the object in which every split route gives the canary ``share`` percent.

        Destinations that are not ours keep their share; the rest is divided.

        :returns: the whole object.
        :raises RefusedError: no route of the object sends requests to the stable subset, or whole percentages
            cannot say what its other destinations get.
        """
        if not 0 <= share <= 100:
            raise ValueError(f"a share of {share} percent")
        result = copy.deepcopy(dict(virtual_service))
        read = read_virtual_service(virtual_service, self.domain)
        changed = 0
        routes = zip(_http(result), read.http, self._split_routes(virtual_service), strict=True)
        for raw, route, split in routes:
            if split is not None:
                raw["route"] = self._divided(raw["route"], route.destinations, share)
                changed += 1
        if not changed:
            raise RefusedError(
                f"no route of VirtualService {read.namespace}/{read.name} sends requests to"
                f" subset {self.stable} of {self.service}",
                rule="no-split-route",
            )
        return result

    def concerned(self, virtual_service: Mapping[str, Any]) -> list[bool]:
        """Which HTTP routes of the object send requests to the service.

        :returns: one truth value for each route.
        """
        return [bool(shares) for shares in self._shares(virtual_service)]

    def others(self, virtual_service: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
        """The destinations of each HTTP route that are neither of the two versions, as they stand there.

        :returns: one list of destinations for each route.
        """
        read = read_virtual_service(virtual_service, self.domain)
        return [
            [
                item
                for item, destination in zip(list_at(raw, "route"), route.destinations, strict=True)
                if not self.is_ours(destination)
            ]
            for raw, route in zip(_http(virtual_service), read.http, strict=True)
        ]

    def is_ours(self, destination: Destination) -> bool:
        """Whether a destination is one of the two versions."""
        return destination.host == self.host and destination.subset in (self.stable, self.canary)

    def _divided(
        self, raw: Sequence[dict[str, Any]], destinations: Sequence[Destination], share: int
    ) -> list[dict[str, Any]]:
        pairs = list(zip(raw, destinations, strict=True))
        templates = {read.subset: item for item, read in pairs if self.is_ours(read)}
        beside = [(item, read.share) for item, read in pairs if not self.is_ours(read)]
        if share in (0, 100) and not all(float(part).is_integer() for _item, part in beside):
            # one of both takes what both have: no percentage is needed, and no way back may end here
            others = [(item, integer_at(item, "weight")) for item, _part in beside]
            free = sum(integer_at(item, "weight") for item, read in pairs if self.is_ours(read))
        else:
            others = [(item, _whole(part)) for item, part in beside]
            free = 100 - sum(weight for _item, weight in others)
        canary_weight = round(free * share / 100)
        divided = []
        for subset, weight in ((self.stable, free - canary_weight), (self.canary, canary_weight)):
            if weight == 0 and not others:
                continue  # Istio leaves destinations of weight 0 out of the route anyway
            item = copy.deepcopy(templates.get(subset) or next(iter(templates.values())))
            item["destination"]["subset"] = subset
            item["weight"] = weight
            divided.append(item)
        return divided + [{**copy.deepcopy(item), "weight": weight} for item, weight in others]

    def _split_routes(self, virtual_service: Mapping[str, Any]) -> list[dict[str, float] | None]:
        """The routes that divide the requests of the service: those that name the stable subset, or send
        what nobody has matched to the canary. Routes that a match pins to the canary alone (A/B variants) are
        none, as long as there are others.

        :returns: what each route gives to the subsets, None for those that are no split.
        """
        read = read_virtual_service(virtual_service, self.domain)
        routes = [(route.shares(self.host), bool(route.match)) for route in read.http]
        others = any(self.stable in found or (self.canary in found and not match) for found, match in routes)
        return [
            found if self.stable in found or (self.canary in found and not (match and others)) else None
            for found, match in routes
        ]

    def _shares(self, virtual_service: Mapping[str, Any]) -> list[dict[str, float]]:
        return [route.shares(self.host) for route in read_virtual_service(virtual_service, self.domain).http]


def _http(virtual_service: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """The HTTP routes of an object that is ours to change."""
    return field(virtual_service, "spec", "http") or []


def _whole(share: float) -> int:
    if share != int(share):
        raise RefusedError(
            f"a destination beside the split gets {share:.2f} percent: weights that sum to 100 cannot say so",
            rule="weights-sum",
        )
    return int(share)


def split_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """JSON Patch from one version of a foreign object to the next, guarded by its resourceVersion.

    Only ``route`` lists change, so every other byte of the object stays as its owner wrote it.

    :returns: operations; ``[]`` when nothing changes.
    """
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": before["metadata"]["resourceVersion"]}
    ]
    for index, (left, right) in enumerate(zip(_http(before), _http(after), strict=True)):
        if left != right:
            path = f"/spec/http/{index}/route"
            patch.append({"op": "test", "path": path, "value": left.get("route")})
            patch.append({"op": "replace", "path": path, "value": right.get("route")})
    return patch if len(patch) > 1 else []


def gitops_owner(obj: Mapping[str, Any]) -> str:
    """Which GitOps controller would put the object back, or an empty string."""
    marks = {**labels_of(obj), **annotations_of(obj)}
    for key in _GITOPS_KEYS:
        if marks.get(key):
            return f"{key}={marks[key]}"
    for entry in mappings_at(obj, "metadata", "managedFields"):
        if entry.get("manager") in _GITOPS_MANAGERS:
            return str(entry["manager"])
    return ""
