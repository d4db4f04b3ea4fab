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


def host_names(service: str, namespace: str, domain: str = "cluster.local") -> frozenset[str]:
    """Fully qualified names of a Service's host. Short names depend on the object's namespace: `is_host`."""
    return frozenset(
        {f"{service}.{namespace}.svc.{domain}", f"{service}.{namespace}.svc", f"{service}.{namespace}"}
    )


def is_host(
    host: str, service: str, namespace: str, *, object_namespace: str, domain: str = "cluster.local"
) -> bool:
    """Whether a host name in an object of ``object_namespace`` means the Service."""
    if host == service:
        return object_namespace == namespace
    return host in host_names(service, namespace, domain)


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

    def subset_of(self, destination: Mapping[str, Any], object_namespace: str) -> str | None:
        """The subset that a route destination names, if it is one of this service's."""
        target = destination.get("destination") or {}
        host = str(target.get("host", ""))
        if not is_host(
            host, self.service, self.namespace, object_namespace=object_namespace, domain=self.domain
        ):
            return None
        return str(target.get("subset", ""))

    def splits(self, virtual_service: Mapping[str, Any]) -> list[dict[str, int]]:
        """Subset -> percent of every HTTP route of the object that sends requests to the service."""
        namespace = virtual_service["metadata"]["namespace"]
        found: list[dict[str, int]] = []
        for route in _http(virtual_service):
            weights = self._route_weights(route, namespace)
            if weights:
                found.append(weights)
        return found

    def canary_share(self, virtual_service: Mapping[str, Any]) -> int:
        """Largest share of the canary in any split route (a route that also names stable, or takes all)."""
        shares = [
            split.get(self.canary, 0)
            for split in self.splits(virtual_service)
            if set(split) <= {self.stable, self.canary}
            and (self.stable in split or not self._pinned(virtual_service))
        ]
        return max(shares, default=0)

    def with_share(self, virtual_service: Mapping[str, Any], share: int) -> dict[str, Any]:
        """A copy of the object in which every split route gives the canary ``share`` percent.

        A split route names the stable subset, or both. Routes pinned to the canary alone by a match (A/B
        variants) stay. Weights of destinations that are not ours keep their part; the rest is divided.

        :raises RefusedError: no route of the object sends requests to the stable subset.
        """
        if not 0 <= share <= 100:
            raise ValueError(f"a share of {share} percent")
        result = copy.deepcopy(dict(virtual_service))
        namespace = result["metadata"]["namespace"]
        changed = 0
        for route in _http(result):
            weights = self._route_weights(route, namespace)
            if self.stable not in weights and not (self.canary in weights and not route.get("match")):
                continue
            route["route"] = self._divided(route["route"], namespace, share)
            changed += 1
        if not changed:
            raise RefusedError(
                f"no route of VirtualService {namespace}/{result['metadata']['name']} sends requests to"
                f" subset {self.stable} of {self.service}",
                rule="no-split-route",
            )
        return result

    def _divided(self, routes: Sequence[dict[str, Any]], namespace: str, share: int) -> list[dict[str, Any]]:
        ours = [item for item in routes if self.subset_of(item, namespace) in (self.stable, self.canary)]
        others = [item for item in routes if item not in ours]
        free = 100 - sum(_weight(item, len(routes)) for item in others)
        canary_weight = round(free * share / 100)
        parts = {self.stable: free - canary_weight, self.canary: canary_weight}
        templates = {self.subset_of(item, namespace): item for item in ours}
        divided = []
        for subset, weight in parts.items():
            if weight == 0 and others == [] and free:
                continue  # Istio leaves destinations of weight 0 out of the route anyway
            item = copy.deepcopy(templates.get(subset) or next(iter(templates.values())))
            item["destination"]["subset"] = subset
            item["weight"] = weight
            divided.append(item)
        result = divided + [copy.deepcopy(item) for item in others]
        total = sum(_weight(item, len(result)) for item in result)
        if total != 100:
            raise RefusedError(f"the weights would sum to {total}, not 100", rule="weights-sum")
        return result

    def _route_weights(self, route: Mapping[str, Any], namespace: str) -> dict[str, int]:
        destinations = route.get("route") or []
        weights: dict[str, int] = {}
        for item in destinations:
            subset = self.subset_of(item, namespace)
            if subset is not None:
                weights[subset] = weights.get(subset, 0) + _weight(item, len(destinations))
        return weights

    def _pinned(self, virtual_service: Mapping[str, Any]) -> bool:
        namespace = virtual_service["metadata"]["namespace"]
        return any(self.stable in self._route_weights(route, namespace) for route in _http(virtual_service))


def _http(virtual_service: Mapping[str, Any]) -> list[dict[str, Any]]:
    routes = (virtual_service.get("spec") or {}).get("http") or []
    return [route for route in routes if isinstance(route, dict)]


def _weight(item: Mapping[str, Any], count: int) -> int:
    # Istio: a single destination without a weight takes everything; among several, no weight means 0.
    if "weight" in item:
        return int(item["weight"])
    return 100 if count == 1 else 0


def split_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """JSON Patch from one version of a foreign object to the next, guarded by its resourceVersion.

    Only ``route`` lists change, so every other byte of the object stays as its owner wrote it.
    """
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": before["metadata"]["resourceVersion"]}
    ]
    old, new = before["spec"].get("http") or [], after["spec"].get("http") or []
    for index, (left, right) in enumerate(zip(old, new, strict=True)):
        if left != right:
            path = f"/spec/http/{index}/route"
            patch.append({"op": "test", "path": path, "value": left.get("route")})
            patch.append({"op": "replace", "path": path, "value": right.get("route")})
    return patch if len(patch) > 1 else []


def gitops_owner(obj: Mapping[str, Any]) -> str:
    """Which GitOps controller would put the object back, or an empty string."""
    metadata = obj.get("metadata") or {}
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    for key in _GITOPS_KEYS:
        if marks.get(key):
            return f"{key}={marks[key]}"
    for entry in metadata.get("managedFields") or []:
        if entry.get("manager") in _GITOPS_MANAGERS:
            return str(entry["manager"])
    return ""


def with_sticky_cookie(
    virtual_service: Mapping[str, Any], split: Split, *, cookie: str, max_age: int
) -> dict[str, Any]:
    """A copy in which the canary's answers set a cookie, by which a route may keep their readers with it."""
    result = copy.deepcopy(dict(virtual_service))
    namespace = result["metadata"]["namespace"]
    for route in _http(result):
        for item in route.get("route") or []:
            if split.subset_of(item, namespace) == split.canary:
                add = item.setdefault("headers", {}).setdefault("response", {}).setdefault("add", {})
                add["set-cookie"] = (
                    f"{cookie}={split.canary}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax"
                )
    return result
