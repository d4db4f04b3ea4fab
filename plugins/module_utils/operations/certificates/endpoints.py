# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a gateway credential must be served: pods, ports and server names, as the Gateways say it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...fields import integer_at, mapping_at, mappings_at, name_of, text_at
from ...kube.pods import has_labels, is_active, is_ended, is_ready, phase_of
from ...model.certificates.credentials import Credential, covers
from ...model.certificates.served import ASKING_MODES, authority_names, presented, server_hosts
from ...model.host_patterns import takes_in
from ...model.reading.values import CA_SUFFIX
from ...model.security.pods import is_for, listened

GATEWAY_API = "networking.istio.io/v1"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class ServingEndpoint:
    """One place where a certificate must be served: a gateway pod, its port, a server name.

    :param mode: ``tls.mode`` of the Gateway's server; SIMPLE where it knows its clients by a CA that is not
        this credential's.
    :param one_of_several: whether the server has other credentials beside this one (``credentialNames``).
    :param ready: whether the pod gets requests.
    """

    pod: str
    address: str
    port: int
    server_name: str
    mode: str = "SIMPLE"
    one_of_several: bool = False
    ready: bool = False


def endpoints_of(
    credential: Credential,
    gateways: Iterable[Mapping[str, Any]],
    pods: Sequence[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]],
) -> list[ServingEndpoint]:
    """Where ``credential`` must be served.

    :param gateways: Istio Gateway objects of the cluster.
    :param pods: the pods of the credential's namespace. :param services: its Services.
    :returns: one per pod, port and server name, sorted.
    """
    found = set()
    running = [pod for pod in pods if _serves(pod)]
    for gateway in gateways:
        selected = [pod for pod in running if is_for(gateway, pod)]
        for server in mappings_at(gateway, "spec", "servers"):
            mode, secrets = presented(server)
            if credential.name not in secrets:
                continue
            if mode in ASKING_MODES and f"{credential.name}{CA_SUFFIX}" not in authority_names(server):
                mode = "SIMPLE"
            wanted = _server_names(credential, server)
            for pod in selected:
                address, several = text_at(pod, "status", "podIP"), len(secrets) > 1
                port = listened(integer_at(server, "port", "number"), pod, _leading_to(pod, services))
                found |= {
                    ServingEndpoint(name_of(pod), address, port, name, mode, several, is_ready(pod))
                    for name in wanted
                }
    return sorted(found)


def is_awaited(
    credential: Credential, gateways: Iterable[Mapping[str, Any]], pods: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether a pod that is starting, or going to be replaced, is told by a Gateway to serve it."""
    others = [pod for pod in pods if not _serves(pod) and not is_ended(pod)]
    return any(
        credential.name in presented(server)[1]
        for gateway in gateways
        if any(is_for(gateway, pod) for pod in others)
        for server in mappings_at(gateway, "spec", "servers")
    )


def _server_names(credential: Credential, server: Mapping[str, Any]) -> list[str]:
    """The names by which a client gets to the credential at a Gateway's server.

    :returns: those of the server that the credential is for, and those of the credential that a wildcard of
        the server takes in; empty where both are about other hosts.
    """
    names = server_hosts(server)
    found = [name for name in names if any(covers(host, name) for host in credential.hosts)]
    found += [host for host in credential.hosts if any(takes_in(name, host) for name in names)]
    return [name.replace("*.", "any.", 1) for name in found]


def unserved_hosts(credential: Credential, endpoints: Sequence[ServingEndpoint]) -> list[str]:
    """The hosts of the credential that no Gateway serves with it: nobody has looked at them.

    :returns: in their order.
    """
    names = {endpoint.server_name for endpoint in endpoints}
    return [
        host
        for host in credential.hosts
        # A wildcard is not seen by a name that the credential has for itself.
        if host not in names and not any(covers(host, name) for name in names - set(credential.hosts))
    ]


def _serves(pod: Mapping[str, Any]) -> bool:
    return is_active(pod) and phase_of(pod) == "Running" and bool(text_at(pod, "status", "podIP"))


def _leading_to(pod: Mapping[str, Any], services: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    selected = ((one, mapping_at(one, "spec", "selector")) for one in services)
    return [one for one, selector in selected if selector and has_labels(pod, selector)]
