# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods of a Gateway, and the credentials that it wants beside them."""

from __future__ import annotations

from collections.abc import Iterable

from ...fields import list_at, mapping_at, mappings_at, namespace_of, text_at
from ...kube.pods import has_labels, is_active
from ...model.reading.values import CA_SUFFIX
from .case import Obj


def pods_of(gateway: Obj, pods: Iterable[Obj]) -> list[Obj]:
    """The active pods that a Gateway selects. :returns: of any namespace: istiod looks at labels alone."""
    selector = mapping_at(gateway, "spec", "selector")
    return [pod for pod in pods if selector and is_active(pod) and has_labels(pod, selector)]


def credentials_of(gateway: Obj, pods: Iterable[Obj]) -> list[str]:
    """The Secrets that the servers of a Gateway name, ``namespace/name`` where its pods are.

    :returns: sorted, each once.
    """
    places = {namespace_of(pod) for pod in pods_of(gateway, pods)}
    names: set[str] = set()
    for server in mappings_at(gateway, "spec", "servers"):
        tls = mapping_at(server, "tls")
        found = {text_at(tls, "credentialName"), *map(str, list_at(tls, "credentialNames"))}
        names |= {name for name in found if name and "://" not in name}
    return sorted(f"{place}/{name}" for place in places for name in names)


def authorities_of(gateway: Obj, pods: Iterable[Obj]) -> list[str]:
    """The Secrets beside those that may hold the CAs of clients, of servers that demand certificates.

    :returns: ``namespace/name``, sorted, each once.
    """
    asking = [
        item for item in mappings_at(gateway, "spec", "servers") if text_at(item, "tls", "mode") == "MUTUAL"
    ]
    demanding = {**gateway, "spec": {**mapping_at(gateway, "spec"), "servers": asking}}
    return [f"{key}{CA_SUFFIX}" for key in credentials_of(demanding, pods)]
