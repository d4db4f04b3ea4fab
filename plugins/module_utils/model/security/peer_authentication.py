# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mutual TLS mode that a workload's port is in, and the PeerAuthentication that decided it.

Source: istio pilot/pkg/security/authn/policy_applier.go ComposePeerAuthentication. Mesh, then namespace,
then workload; a mode that is not UNSET overrides; in each scope the oldest object counts and no other; one
with a selector in the root namespace counts nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...fields import age_order, mapping_at, namespace_of, text_at
from ...object_id import object_id
from ..reading.values import is_number

STRICT, PERMISSIVE, DISABLE = "STRICT", "PERMISSIVE", "DISABLE"
MESH_DEFAULT = "the mesh default (no PeerAuthentication applies)"

Policy = Mapping[str, Any]


def stated_modes(spec: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """What the ``spec`` of a PeerAuthentication says by itself.

    :returns: the mode of the workload, and by port that of each that has one of its own; ``""`` for the mode
        of the workload where that is left to a wider policy (UNSET).
    """
    ports = mapping_at(spec, "portLevelMtls")
    of_ports = {port: _mode(spec, "portLevelMtls", port) for port in ports}
    return _mode(spec, "mtls"), {port: mode for port, mode in of_ports.items() if mode}


def is_looser(mode: str, wanted: str) -> bool:
    """Whether a mode asks less of callers than another; nobody knows what one does that is not known here, so
    it may."""
    known = (STRICT, PERMISSIVE, DISABLE)
    return mode not in known or (wanted in known and known.index(mode) > known.index(wanted))


def mode_for_both(one: str, other: str) -> str:
    """The mode that serves the callers of two: who uses mutual TLS, and who does not. What a wider policy
    says is not known here (``""``), so it may be either."""
    return one if one == other else PERMISSIVE


class PeerPolicies:
    """The PeerAuthentications of a mesh, by namespace.

    :param policies: those that were read. Equal ages are settled by name and then namespace, as istiod's
        sorted lists do.
    """

    def __init__(self, policies: Iterable[Policy], root_namespace: str) -> None:
        self._root = root_namespace
        self._by_namespace: dict[str, list[Policy]] = {}
        for policy in sorted(policies, key=age_order):
            self._by_namespace.setdefault(namespace_of(policy), []).append(policy)

    def mode(self, namespace: str, labels: Mapping[str, str], port: int | None) -> tuple[str, str]:
        """The mode of a pod's port.

        :param port: the workload's port, not the Service's; ``None`` for those that no object names.
        :returns: (mode, what decided it: an object, or the mesh's default).
        """
        mode, decided, workload = self._chain(namespace, labels)
        if workload is not None and port is not None:
            of_port = _mode(workload, "spec", "portLevelMtls", str(port))
            if of_port:
                return of_port, object_id(workload)
        return mode, decided

    def of_namespace(self, namespace: str) -> str:
        """The mode of a namespace without regard to selectors: all that clients look at for a whole Service
        (istio pilot/pkg/model/push_context.go BestEffortInferServiceMTLSMode)."""
        return self._chain(namespace, None)[0]

    def deciding_namespace(self, namespace: str) -> str:
        """What decided that mode: an object, or the mesh's default."""
        return self._chain(namespace, None)[1]

    def named_ports(self, namespace: str, labels: Mapping[str, str]) -> list[int]:
        """The ports that get a mode of their own, whether or not a Service has them.

        :returns: sorted.
        """
        workload = self._chain(namespace, labels)[2]
        ports = mapping_at(workload, "spec", "portLevelMtls")
        return sorted(int(port) for port in ports if is_number(str(port)))

    def selectors(self, namespace: str) -> list[Mapping[str, str]]:
        """Whom the policies of a namespace select that are for workloads. :returns: the oldest first."""
        found = (
            mapping_at(policy, "spec", "selector", "matchLabels")
            for policy in self._by_namespace.get(namespace, ())
        )
        return [labels for labels in found if labels and namespace != self._root]

    def _chain(self, namespace: str, labels: Mapping[str, str] | None) -> tuple[str, str, Policy | None]:
        mode, decided = PERMISSIVE, MESH_DEFAULT
        scopes: list[Policy | None] = [self._first(self._root, None)]
        workload = None
        if namespace != self._root:
            scopes.append(self._first(namespace, None))
            workload = self._first(namespace, labels) if labels is not None else None
            scopes.append(workload)
        for policy in scopes:
            own = _mode(policy, "spec", "mtls")
            if policy is not None and own:
                mode, decided = own, object_id(policy)
        return mode, decided, workload

    def _first(self, namespace: str, labels: Mapping[str, str] | None) -> Policy | None:
        """The oldest policy without selector, or with ``labels`` the oldest whose selector takes them."""
        for policy in self._by_namespace.get(namespace, ()):
            selector = mapping_at(policy, "spec", "selector", "matchLabels")
            if labels is None and not selector:
                return policy
            if labels is not None and selector and selector.items() <= labels.items():
                return policy
        return None


def _mode(policy: Policy | None, *path: str) -> str:
    """The mode at ``path``; ``""`` when it leaves the decision to somebody else."""
    mode = text_at(policy, *path, "mode")
    return "" if mode == "UNSET" else mode
