# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sidecars know a host: the Sidecar objects that select them, read as istiod reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...fields import age_order, field, list_at, mapping_at, mappings_at, namespace_of
from ...labels import is_selected
from ...model.host_patterns import takes_in
from .running import RunningProxy

_ANY = "*"
_Selecting = tuple[int, Mapping[str, str], Mapping[str, Any]]
"""A Sidecar: its place among all, the oldest first; its selector; itself."""


class SidecarScopes:
    """The Sidecars of a mesh, asked for many proxies: each namespace is sorted once.

    :param sidecars: the live Sidecar objects.
    """

    def __init__(self, sidecars: Iterable[Mapping[str, Any]], root_namespace: str) -> None:
        self._root = root_namespace
        self._selecting: dict[tuple[str, str, str], list[_Selecting]] = {}
        self._selecting_all: dict[str, list[_Selecting]] = {}
        self._general: dict[str, Mapping[str, Any]] = {}
        for place, item in enumerate(sorted(sidecars, key=age_order)):
            selector = _selector(item)
            if selector:
                key, value = min(selector.items())
                found = self._selecting.setdefault((namespace_of(item), key, value), [])
                found.append((place, selector, item))
            elif selector is not None:
                self._selecting_all.setdefault(namespace_of(item), []).append((place, selector, item))
            else:
                self._general.setdefault(namespace_of(item), item)

    def of(self, proxy: RunningProxy) -> Mapping[str, Any] | None:
        """The Sidecar in force: of the workload, else of the namespace, else of the mesh; in each the oldest.

        Source: istio pilot/pkg/model/push_context.go getSidecarScope, sidecar.go.

        :returns: the Sidecar object, None when none is in force.
        """
        found = next(iter(self.selecting(proxy)), None)
        return found or self._general.get(proxy.namespace) or self._general.get(self._root)

    def selecting(self, proxy: RunningProxy) -> list[Mapping[str, Any]]:
        """The Sidecars whose selector takes a proxy. :returns: the oldest first."""
        found = [
            (place, item)
            for key, value in proxy.labels.items()
            for place, selector, item in self._selecting.get((proxy.namespace, key, value), ())
            if is_selected(proxy.labels, selector)
        ]
        found += [(place, item) for place, _all, item in self._selecting_all.get(proxy.namespace, ())]
        return [item for _place, item in sorted(found, key=lambda one: one[0])]

    def imports(self, proxy: RunningProxy, host: str, owner: str) -> bool:
        """Whether a proxy is told about ``host``.

        :param owner: namespace of the host's Service or ServiceEntry.
        """
        if proxy.gateway:  # gateways have no Sidecar; they know what is exported to them
            return True
        return imports(self.of(proxy), proxy.namespace, self._root, host, owner)


class Importers:
    """Which of many proxies know a host, without asking each of them.

    :param proxies: namespace of each, with the Sidecar in force for it. :param root_namespace: whose Sidecar
        is everybody's default.
    """

    def __init__(self, proxies: Iterable[tuple[str, Mapping[str, Any] | None]], root_namespace: str) -> None:
        self._namespaces: list[str] = []
        self._everything: set[int] = set()
        self._hosts: dict[tuple[str, str], set[int]] = {}
        self._patterns: dict[str, dict[str, set[int]]] = {}
        for number, (namespace, sidecar) in enumerate(proxies):
            self._namespaces.append(namespace)
            entries = _entries(sidecar, namespace, root_namespace)
            if entries is None:
                self._everything.add(number)
            for place, pattern in entries or ():
                if pattern.startswith("*"):
                    self._patterns.setdefault(place, {}).setdefault(pattern, set()).add(number)
                else:
                    self._hosts.setdefault((place, pattern), set()).add(number)

    def of(self, hosts: Iterable[str], owner: str, exported: Iterable[str]) -> list[int]:
        """Who knows one of ``hosts``.

        :param owner: namespace of the object that has them. :param exported: its ``exportTo``, as it stands.
        :returns: places in the list of proxies, ascending.
        """
        found = set(self._everything)
        for host in hosts:
            for place in (_ANY, owner):
                found |= self._hosts.get((place, host), set())
                for pattern, numbers in self._patterns.get(place, {}).items():
                    if takes_in(pattern, host):
                        found |= numbers
        places = {owner if place == "." else place for place in exported}
        return sorted(number for number in found if "*" in places or self._namespaces[number] in places)


def imports_host(
    proxy: RunningProxy, sidecars: Iterable[Mapping[str, Any]], root_namespace: str, host: str, owner: str
) -> bool:
    """Whether one proxy is told about ``host``; see `SidecarScopes`."""
    return SidecarScopes(sidecars, root_namespace).imports(proxy, host, owner)


def sidecar_of(
    proxy: RunningProxy, sidecars: Iterable[Mapping[str, Any]], root_namespace: str
) -> Mapping[str, Any] | None:
    """The Sidecar in force for one proxy; see `SidecarScopes`.

    :returns: the Sidecar object, None when none is in force.
    """
    return SidecarScopes(sidecars, root_namespace).of(proxy)


def imports(
    sidecar: Mapping[str, Any] | None, namespace: str, root_namespace: str, host: str, owner: str
) -> bool:
    """Whether a Sidecar lets a proxy know ``host``.

    :param sidecar: None when none is in force. :param namespace: of the proxy.
    """
    entries = _entries(sidecar, namespace, root_namespace)
    return entries is None or any(
        place in (_ANY, owner) and takes_in(pattern, host) for place, pattern in entries
    )


def _entries(
    sidecar: Mapping[str, Any] | None, namespace: str, root_namespace: str
) -> list[tuple[str, str]] | None:
    """What a Sidecar names: namespace (``*`` for all of them) and host or pattern; None when it hides
    nothing."""
    listeners = mappings_at(sidecar, "spec", "egress")
    if not listeners:
        return None
    home = namespace_of(sidecar or {})
    if home == root_namespace:  # a mesh-wide Sidecar's "." is the namespace of the workload
        home = namespace
    found = []
    for entry in (str(entry) for item in listeners for entry in list_at(item, "hosts")):
        place, _slash, pattern = entry.rpartition("/")
        if place != "~":
            found.append((home if place == "." else place or _ANY, pattern))
    return found


def _selector(sidecar: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Its labels. One without labels takes every workload and comes before Sidecars without a selector (istio
    pilot/pkg/model/push_context.go initSidecarScopes).

    :returns: None where there is no selector.
    """
    if field(sidecar, "spec", "workloadSelector") is None:
        return None
    return mapping_at(sidecar, "spec", "workloadSelector", "labels")
