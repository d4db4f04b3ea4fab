# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sidecars know a host: the Sidecar objects that select them, read as istiod reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...fields import list_at, mapping_at, mappings_at, name_of, namespace_of, text_at
from ...labels import is_selected
from .running import RunningProxy


def imports_host(
    proxy: RunningProxy, sidecars: Sequence[Mapping[str, Any]], root_namespace: str, host: str, owner: str
) -> bool:
    """Whether a proxy is told about ``host``.

    :param sidecars: the live Sidecar objects. :param owner: namespace of the host's Service or ServiceEntry.
    """
    if proxy.gateway:  # gateways have no Sidecar; they know what is exported to them
        return True
    sidecar = sidecar_of(proxy, sidecars, root_namespace)
    if sidecar is None:
        return True
    listeners = mappings_at(sidecar, "spec", "egress")
    if not listeners:
        return True
    namespace = namespace_of(sidecar)
    if namespace == root_namespace:  # a mesh-wide Sidecar's "." is the namespace of the workload
        namespace = proxy.namespace
    return any(
        _names(str(entry), namespace, host, owner) for item in listeners for entry in list_at(item, "hosts")
    )


def sidecar_of(
    proxy: RunningProxy, sidecars: Iterable[Mapping[str, Any]], root_namespace: str
) -> Mapping[str, Any] | None:
    """The Sidecar in force: of the workload, else of the namespace, else of the mesh; in each the oldest.

    Source: istio pilot/pkg/model/push_context.go getSidecarScope, sidecar.go.

    :returns: the Sidecar object, None when none is in force.
    """
    ordered = sorted(
        sidecars, key=lambda item: (text_at(item, "metadata", "creationTimestamp"), name_of(item))
    )
    own = [item for item in ordered if namespace_of(item) == proxy.namespace]
    for item in own:
        selector = _selector(item)
        if selector and is_selected(proxy.labels, selector):
            return item
    for item in [*own, *(item for item in ordered if namespace_of(item) == root_namespace)]:
        if not _selector(item):
            return item
    return None


def _selector(sidecar: Mapping[str, Any]) -> Mapping[str, str]:
    return mapping_at(sidecar, "spec", "workloadSelector", "labels")


def _names(entry: str, namespace: str, host: str, owner: str) -> bool:
    """Whether ``NAMESPACE/HOST`` of an egress list takes ``host`` of namespace ``owner``."""
    where, _slash, pattern = entry.rpartition("/")
    if where == "~" or (where not in ("", "*") and (namespace if where == "." else where) != owner):
        return False
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
