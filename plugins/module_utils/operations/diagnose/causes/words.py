# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands and half sentences that several causes share."""

from __future__ import annotations

from ....istio.workloads import Pod, workload_of


def restart(pod: Pod) -> str:
    """The command that makes a pod anew."""
    kind, name = workload_of(pod.controller, pod.labels)
    if kind in ("", "Job", "ReplicaSet"):
        return f"delete and create pod {pod.namespace}/{pod.name} again"
    return f"kubectl rollout restart {kind.lower()}/{name} -n {pod.namespace}"


def edit(object_id: str) -> str:
    """The command that opens an object, out of ``Kind namespace/name``."""
    kind, _space, rest = object_id.partition(" ")
    namespace, slash, name = rest.rpartition("/")
    return f"kubectl edit {kind.lower()} {name}" + (f" -n {namespace}" if slash else "")
