# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which proxies an expectation concerns: those whose Sidecar imports the host, those selected, gateways."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...istio.probe.pods import is_probe
from ...istio.proxy.running import RunningProxy, running_proxies
from ...istio.proxy.sidecar_scope import imports_host
from ...kube.client import KubeClient
from ...model.objects.expectations import Expectation, Scope


@dataclasses.dataclass(frozen=True, slots=True)
class Population:
    """The running proxies and the Sidecar objects that scope them."""

    proxies: Sequence[RunningProxy]
    sidecars: Sequence[Mapping[str, Any]]
    root_namespace: str


def read_population(client: KubeClient, namespaces: Sequence[str] | None, root_namespace: str) -> Population:
    """Lists pods and Sidecars.

    :param namespaces: where to look, for Sidecars in the root namespace besides; ``None``: in all.
    :raises ApiError: they cannot be listed.
    """
    pods: Sequence[str | None] = [None] if namespaces is None else list(dict.fromkeys(namespaces))
    sidecars = pods if namespaces is None else list(dict.fromkeys((*namespaces, root_namespace)))
    keys = [("v1", "Pod", place) for place in pods]
    keys += [("networking.istio.io/v1", "Sidecar", place) for place in sidecars]
    lists = client.in_parallel(lambda key: client.list(*key).items, keys)
    found: dict[str, list[dict[str, Any]]] = {"Pod": [], "Sidecar": []}
    for (_version, kind, _place), items in zip(keys, lists, strict=True):
        found[kind] += items
    return Population(running_proxies(found["Pod"]), found["Sidecar"], root_namespace)


def assign(
    expectations: Sequence[Expectation], population: Population
) -> list[tuple[RunningProxy, tuple[Expectation, ...]]]:
    """The proxies that matter, each with what it ought to hold.

    :returns: (proxy, its expectations), each proxy once.
    """
    known: dict[tuple[str, str], bool] = {}
    assigned = []
    for proxy in population.proxies:
        if is_probe(proxy.labels):
            continue
        facts = tuple(fact for fact in expectations if _concerns(proxy, fact.scope, population, known))
        if facts:
            assigned.append((proxy, facts))
    return assigned


def _concerns(
    proxy: RunningProxy, scope: Scope, population: Population, known: dict[tuple[str, str], bool]
) -> bool:
    if scope.clients_of:
        return not proxy.gateway and _imports(proxy, scope.clients_of, population, known)
    return (
        proxy.gateway == scope.gateways
        and proxy.namespace == scope.namespace
        and proxy.selected_by(scope.selector)
    )


def _imports(
    proxy: RunningProxy, host: str, population: Population, known: dict[tuple[str, str], bool]
) -> bool:
    key = (str(proxy), host)
    if key not in known:
        owner = host.split(".")[1] if ".svc." in host else proxy.namespace
        known[key] = imports_host(proxy, population.sidecars, population.root_namespace, host, owner)
    return known[key]
