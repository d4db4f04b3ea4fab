# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the proxies that a verification looks at: what each holds, and what it refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

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

# Each answer is a process in the proxy's container: nothing is asked that no check looks at.
NEED_ROUTES = frozenset({"routes", "objects"})
NEED_CERTIFICATES = frozenset({"mtls"})


@dataclasses.dataclass(frozen=True, slots=True)
class ProxyDump:
    """What one proxy holds.

    :param ports: inbound ports; empty for gateways. :param hosts: virtual hosts, with ``clusters``;
        ``None`` where no check needs them, and for the second and further proxies of a workload, which hold
        the same.
    :param refused: resources whose latest version it refused. :param certificates: Envoy's ``/certs``, as
        it stands; ``""`` for gateways, and where no check needs them.
    :param endpoints: by cluster, address and port (0 where none is said) of its hosts; with ``hosts``.
    :param streams: of a gateway: where it sends connections that it does not read.
    :param passes_through: whether it sends on what leads to no host that it knows.
    :param roots: every certificate (DER) that it trusts in mutual TLS; empty where ``certificates`` is, and
        where it shows none.
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


def read_proxies(
    client: KubeClient,
    proxies: Sequence[RunningProxy],
    limit: int,
    checks: Collection[str] = NEED_ROUTES | NEED_CERTIFICATES,
) -> ProxyDumps:
    """Reads at most ``limit`` of ``proxies``, in parallel; one that is silent does not stop the rest.

    :param checks: for which it is read.
    """
    chosen = sample(proxies, limit)
    routes, certificates = not NEED_ROUTES.isdisjoint(checks), not NEED_CERTIFICATES.isdisjoint(checks)
    first_of: dict[tuple[str, str], str] = {}
    for proxy in chosen:
        first_of.setdefault((proxy.namespace, proxy.workload), proxy.pod)
    results = client.in_parallel(
        lambda proxy: _read(
            client,
            proxy,
            routes=routes and first_of[(proxy.namespace, proxy.workload)] == proxy.pod,
            certificates=certificates and not proxy.gateway,
        ),
        chosen,
    )
    answers = dict(zip(map(str, chosen), results, strict=True))
    held = {name: answer for name, answer in answers.items() if isinstance(answer, ProxyDump)}
    unread = {name: answer for name, answer in answers.items() if isinstance(answer, str)}
    return ProxyDumps(held, unread)


def _read(client: KubeClient, proxy: RunningProxy, *, routes: bool, certificates: bool) -> ProxyDump | str:
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
        served = without_repetition(admin_get(client, proxy, "certs")) if certificates else ""
        roots = _trusted(client, proxy) if certificates else frozenset()
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
        served,
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
