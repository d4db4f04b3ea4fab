# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the proxies that a verification looks at: what each holds, and what it refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ...errors import MalformedError, MeshError
from ...istio.proxy.admin import LISTENERS, ROUTES, admin_get, cluster_statuses, config_dump
from ...istio.proxy.certificates import without_repetition
from ...istio.proxy.endpoints import endpoints
from ...istio.proxy.listeners import (
    PASSTHROUGH,
    VIRTUAL_LISTENERS,
    InboundPort,
    Stream,
    inbound_ports,
    rejected_updates,
    rest_of_outbound,
    streams,
)
from ...istio.proxy.routes import VirtualHost, virtual_hosts
from ...istio.proxy.running import RunningProxy, sample
from ...istio.proxy.secrets import SECRETS, parse_secrets
from ...kube.client import KubeClient


@dataclasses.dataclass(frozen=True, slots=True)
class ProxyDump:
    """What one proxy holds.

    :param ports: inbound ports; empty for gateways. :param hosts: virtual hosts, with ``clusters``;
        ``None`` for the second and further proxies of a workload, which hold the same.
    :param refused: resources whose latest version it refused. :param certificates: Envoy's ``/certs``, as
        it stands; ``""`` for gateways. :param endpoints: by cluster, address and port (0 where none is
        said) of its hosts; with ``hosts``. :param streams: of a gateway: where it sends connections that it
        does not read. :param passes_through: whether it sends on what leads to no host that it knows.
    :param roots: every certificate (DER) that it trusts in mutual TLS; empty for gateways, and where it shows
        none.
    """

    ports: Mapping[int, InboundPort]
    hosts: tuple[VirtualHost, ...] | None
    clusters: frozenset[str]
    refused: tuple[str, ...]
    certificates: str = ""
    endpoints: Mapping[str, frozenset[tuple[str, int]]] = dataclasses.field(default_factory=dict)
    streams: frozenset[Stream] = frozenset()
    passes_through: bool = False
    roots: frozenset[bytes] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class ProxyDumps:
    """By ``namespace/pod``: what was read, and why the rest was not."""

    held: Mapping[str, ProxyDump]
    unread: Mapping[str, str]


def read_proxies(client: KubeClient, proxies: Sequence[RunningProxy], limit: int) -> ProxyDumps:
    """Reads at most ``limit`` of ``proxies``, in parallel; one that is silent does not stop the rest."""
    chosen = sample(proxies, limit)
    first_of: dict[tuple[str, str], str] = {}
    for proxy in chosen:
        first_of.setdefault((proxy.namespace, proxy.workload), proxy.pod)
    results = client.in_parallel(
        lambda proxy: _read(client, proxy, routes=first_of[(proxy.namespace, proxy.workload)] == proxy.pod),
        chosen,
    )
    answers = dict(zip(map(str, chosen), results, strict=True))
    held = {name: answer for name, answer in answers.items() if isinstance(answer, ProxyDump)}
    unread = {name: answer for name, answer in answers.items() if isinstance(answer, str)}
    return ProxyDumps(held, unread)


def _read(client: KubeClient, proxy: RunningProxy, *, routes: bool) -> ProxyDump | str:
    try:
        listeners = config_dump(client, proxy, LISTENERS, "" if proxy.gateway else VIRTUAL_LISTENERS)
        hosts: tuple[VirtualHost, ...] | None = None
        addresses: dict[str, frozenset[tuple[str, int]]] = {}
        if routes:
            hosts = tuple(virtual_hosts(config_dump(client, proxy, ROUTES)))
            known = endpoints(cluster_statuses(client, proxy))
            addresses = {
                name: frozenset((item.host, item.port) for item in found) for name, found in known.items()
            }
            if not addresses:  # every proxy has some clusters; against none, each route would lead nowhere
                return "its answer has no clusters in it"
        certificates = "" if proxy.gateway else without_repetition(admin_get(client, proxy, "certs"))
        roots = frozenset() if proxy.gateway else _trusted(client, proxy)
    except MeshError as error:
        return error.message
    ports = inbound_ports(listeners)
    if not proxy.gateway and not ports:
        return "its answer has no inbound listener in it"
    return ProxyDump(
        ports,
        hosts,
        frozenset(addresses),
        tuple(rejected_updates(listeners)),
        certificates,
        addresses,
        streams(listeners) if proxy.gateway else frozenset(),
        rest_of_outbound(listeners) == PASSTHROUGH,
        roots,
    )


def _trusted(client: KubeClient, proxy: RunningProxy) -> frozenset[bytes]:
    secrets = config_dump(client, proxy, SECRETS)
    try:
        return frozenset(parse_secrets(secrets).roots)
    except MalformedError:
        return frozenset()
