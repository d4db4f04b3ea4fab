# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mutual TLS modes before a run and after it, by `model.security`, which reads policies as istiod does.

All live PeerAuthentications count, whoever wrote them, with the run's own laid over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...fields import Object, annotations_of, mapping_at, namespace_of
from ...model.objects.base import REASON_ANNOTATION
from ...model.security.peer_authentication import STRICT, PeerPolicies
from ...model.security.pods import MeshPod, read_pod
from .live_policies import before_and_after

if TYPE_CHECKING:
    from ..apply.plan import Item

_KIND = "PeerAuthentication"


class PeerModes:
    """The modes before and after a run.

    :param items: of the run, of any kind. :param live: the live PeerAuthentications around it.
    """

    def __init__(self, items: Iterable[Item], live: Iterable[Object], root_namespace: str) -> None:
        own = [item for item in items if item.desired["kind"] == _KIND]
        before, after = before_and_after(live, own)
        self._objects, self._root = after, root_namespace
        self._before = PeerPolicies(before.values(), root_namespace)
        self._after = PeerPolicies(after.values(), root_namespace)
        touched = {namespace_of(item.desired) for item in own if item.changes}
        known = {namespace_of(item.desired) for item in items} - {""}
        self._namespaces = known | touched if root_namespace in touched else touched

    def tightened(self) -> list[str]:
        """The namespaces in which something becomes STRICT that was not: what no selector takes, or what one
        of the selectors does.

        :returns: sorted names.
        """
        return [name for name in sorted(self._namespaces) if self._is_tightened(name)]

    def is_mesh_tightened(self) -> bool:
        """Whether all of the mesh that no namespace's own policy is about becomes STRICT."""
        then, now = (policies.of_namespace(self._root) for policies in (self._before, self._after))
        return now == STRICT != then

    def _is_tightened(self, namespace: str) -> bool:
        selected: list[Mapping[str, str]] = [{}]
        for policies in (self._before, self._after):
            selected += policies.selectors(namespace)
        return any(
            self.becomes_strict(namespace, labels, port)
            for labels in selected
            for port in self._ports(namespace, labels)
        )

    def _ports(self, namespace: str, labels: Mapping[str, str]) -> set[int | None]:
        named = (policies.named_ports(namespace, labels) for policies in (self._before, self._after))
        return {None, *(number for numbers in named for number in numbers)}

    def becomes_strict(self, namespace: str, labels: Mapping[str, str], port: int | None) -> bool:
        """Whether a port of a pod with ``labels`` is STRICT after the run and was not before.

        :param port: the workload's; ``None`` for all that no policy names.
        """
        then, now = (policies.mode(namespace, labels, port)[0] for policies in (self._before, self._after))
        return now == STRICT != then

    def is_strict(self, pod: MeshPod, port: int) -> bool:
        """Whether a port of a pod takes mutual TLS only after the run."""
        return pod.captures(port) and self._after.mode(pod.namespace, pod.labels, port)[0] == STRICT

    def open_reason(self, raw: Mapping[str, Any]) -> str:
        """Why a pod goes on taking plaintext on all of its ports: the reason of the policy that is for its
        workload. ``""`` when one of them does not, or only its namespace's mode says so.

        :param raw: the pod, as the API has it.
        """
        pod = read_pod(raw)
        ports = self._ports(pod.namespace, pod.labels) | set(pod.ports)
        modes = {port: self._after.mode(pod.namespace, pod.labels, port) for port in ports}
        if any(mode == STRICT for mode, _decided in modes.values()):
            return ""
        policy = self._objects.get(modes[None][1])
        if not mapping_at(policy, "spec", "selector", "matchLabels"):
            return ""
        return annotations_of(policy or {}).get(REASON_ANNOTATION, "no reason is given")
