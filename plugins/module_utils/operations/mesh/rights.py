# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a change can be proved with the caller's rights, known before the first write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import ApiError
from ...kube.access import EVERYTHING, AccessNeed, missing_rights
from ..rights.asking import forbidden

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ...model.catalogue.mesh import Catalogue


def proof_namespaces(client: KubeClient, catalogue: Catalogue, context: Context) -> tuple[str, ...] | None:
    """Where proxies are asked.

    Without the right to look everywhere it is where the mesh has services and gateways, and where callers
    are, as far as that is allowed. A proxy elsewhere may know the hosts of the mesh as well, so that is said.

    :returns: namespaces; ``None`` for the whole cluster.
    :raises ApiError: with status 403 when services and gateways cannot be looked at: after the first write it
        would be too late to notice.
    """
    try:
        if not missing_rights(client, [EVERYTHING]) or not missing_rights(client, _needs("")):
            return None
        own = list(dict.fromkeys([*catalogue.namespaces, *catalogue.gateway_namespaces]))
        needed = [*(need for name in own for need in _needs(name)), _sidecars(catalogue.root_namespace)]
        missing = missing_rights(client, needed)
        callers = [name for name in catalogue.caller_namespaces if name not in own]
        barred = {
            need.namespace
            for need in missing_rights(client, [need for name in callers for need in _needs(name)])
        }
    except ApiError as error:
        if not error.not_allowed:
            raise
        return None  # who may not even ask learns it from the lists
    if missing:
        raise forbidden(missing, "to see whether proxies hold the change")
    namespaces = (*own, *(name for name in callers if name not in barred))
    context.progress(f"proxies are asked in {', '.join(namespaces)}: no right to look in the whole cluster")
    return namespaces


def _needs(namespace: str) -> Sequence[AccessNeed]:
    pods = AccessNeed("list", "", "pods", namespace)
    # It is a GET that becomes a websocket: authorized as get, since Kubernetes 1.35 as create as well.
    ports = [AccessNeed(verb, "", "pods", namespace, subresource="portforward") for verb in ("create", "get")]
    return [pods, _sidecars(namespace), *ports]


def _sidecars(namespace: str) -> AccessNeed:
    return AccessNeed("list", "networking.istio.io", "sidecars", namespace)
