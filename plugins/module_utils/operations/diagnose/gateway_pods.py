# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods of a Gateway, and the credentials that it wants beside them."""

from __future__ import annotations

from collections.abc import Iterable

from ...fields import mappings_at, namespace_of
from ...kube.pods import is_active
from ...model.certificates.served import authority_names, presented
from ...model.security.pods import is_for
from .case import Obj


def pods_of(gateway: Obj, pods: Iterable[Obj]) -> list[Obj]:
    """The active pods that a Gateway is for. :returns: of any namespace."""
    return [pod for pod in pods if is_active(pod) and is_for(gateway, pod)]


def credentials_of(gateway: Obj, pods: Iterable[Obj]) -> list[str]:
    """The Secrets that the servers of a Gateway name, ``namespace/name`` where its pods are.

    :returns: sorted, each once.
    """
    servers = mappings_at(gateway, "spec", "servers")
    return _placed(gateway, pods, {name for server in servers for name in presented(server)[1]})


def authorities_of(gateway: Obj, pods: Iterable[Obj]) -> list[str]:
    """The Secrets that may hold the CAs of clients, of servers that ask for certificates.

    :returns: ``namespace/name``, sorted, each once.
    """
    servers = mappings_at(gateway, "spec", "servers")
    return _placed(gateway, pods, {name for server in servers for name in authority_names(server)})


def _placed(gateway: Obj, pods: Iterable[Obj], names: Iterable[str]) -> list[str]:
    places = {namespace_of(pod) for pod in pods_of(gateway, pods)}
    return sorted(f"{place}/{name}" for place in places for name in names)
