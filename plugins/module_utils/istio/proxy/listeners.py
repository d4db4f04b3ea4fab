# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sidecar's inbound listener really accepts: plaintext or mutual TLS, and which policies judge it.

Source of the shapes: istio pilot/pkg/networking/core/filterchain_options.go. STRICT has only chains with a
required client certificate, PERMISSIVE has both kinds, DISABLE has none that ask for a certificate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...fields import field, integer_at, list_at, mapping_at, mappings_at, text_at
from ...model.security.peer_authentication import DISABLE, PERMISSIVE, STRICT
from .authorization import HeldAuthorization, held_authorization, parses_requests
from .rbac import RbacPolicy, policies_of_chain

VIRTUAL_INBOUND, VIRTUAL_OUTBOUND = "virtualInbound", "virtualOutbound"
VIRTUAL_LISTENERS = "virtual(In|Out)bound"
"""Regular expression for both of them."""
PASSTHROUGH = "PassthroughCluster"
"""Where connections to hosts that nobody declared go, unless they are refused."""
INBOUND_CAPTURE_PORT = 15006
CATCH_ALL = 0
"""Key of the chains that take every port without chains of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class InboundChain:
    """One filter chain: who comes in through it, and what judges them.

    :param mtls: whether it demands a client certificate. :param http: whether it parses requests.
    """

    mtls: bool
    http: bool
    authorization: HeldAuthorization


@dataclasses.dataclass(frozen=True, slots=True)
class InboundPort:
    """One port of a workload as its proxy serves it.

    :param mtls: a chain demands a client certificate.
    :param plaintext: a chain takes connections without one.
    """

    port: int
    mtls: bool
    plaintext: bool
    policies: frozenset[RbacPolicy]
    chains: tuple[InboundChain, ...] = ()

    @property
    def mode(self) -> str:
        """The PeerAuthentication mode that these chains amount to."""
        if self.mtls:
            return PERMISSIVE if self.plaintext else STRICT
        return DISABLE


def inbound_ports(listeners: Iterable[Mapping[str, Any]]) -> dict[int, InboundPort]:
    """The inbound ports out of a dump of ``dynamic_listeners``; ``CATCH_ALL`` for the rest of the ports.

    :returns: target port -> what its filter chains accept.
    """
    ports: dict[int, InboundPort] = {}
    for entry in listeners:
        listener = mapping_at(entry, "active_state", "listener")
        if listener.get("name") != VIRTUAL_INBOUND:
            continue
        for chain in mappings_at(listener, "filter_chains"):
            port = integer_at(chain, "filter_chain_match", "destination_port", default=CATCH_ALL)
            if port == INBOUND_CAPTURE_PORT:  # refuses connections that were not redirected
                continue
            authenticated = _asks_for_certificate(chain)
            known = ports.get(port, InboundPort(port, False, False, frozenset()))
            ports[port] = InboundPort(
                port=port,
                mtls=known.mtls or authenticated,
                plaintext=known.plaintext or not authenticated,
                policies=known.policies | policies_of_chain(chain),
                chains=(
                    *known.chains,
                    InboundChain(authenticated, parses_requests(chain), held_authorization(chain)),
                ),
            )
    return ports


def gateway_policies(listeners: Iterable[Mapping[str, Any]]) -> frozenset[RbacPolicy] | None:
    """The rules by which a gateway judges what comes in through its own listeners.

    :param listeners: a dump of ``dynamic_listeners``.
    :returns: None when it serves nothing yet.
    """
    chains = [
        chain
        for entry in listeners
        for chain in mappings_at(entry, "active_state", "listener", "filter_chains")
    ]
    if not chains:
        return None
    return frozenset(policy for chain in chains for policy in policies_of_chain(chain))


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """Where a listener sends connections whose bytes it does not read.

    :param port: of the listener; 0 where it has none. :param name: in the TLS handshake, ``""`` for
        connections without one.
    """

    port: int
    name: str
    cluster: str


def streams(listeners: Iterable[Mapping[str, Any]]) -> frozenset[Stream]:
    """Where a proxy's listeners send connections whose bytes they do not read.

    :param listeners: a dump of ``dynamic_listeners``.
    """
    return frozenset(
        Stream(port, str(name), cluster)
        for port, chain in _received_chains(listeners)
        for name in list_at(chain, "filter_chain_match", "server_names") or [""]
        for cluster in _tcp_clusters(chain)
    )


def stream_clusters(listeners: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """The same by name, whatever the port.

    :param listeners: a dump of ``dynamic_listeners``.
    :returns: name in the TLS handshake, ``""`` for connections without one -> names of clusters.
    """
    found: dict[str, frozenset[str]] = {}
    for stream in streams(listeners):
        found[stream.name] = found.get(stream.name, frozenset()) | {stream.cluster}
    return found


def rest_of_outbound(listeners: Iterable[Mapping[str, Any]]) -> str:
    """The cluster to which a sidecar sends connections that are for no host it knows: ``BlackHoleCluster``
    with REGISTRY_ONLY; ``""`` when its listener does not say (istio
    pilot/pkg/networking/core/listener_builder.go buildVirtualOutboundListener).
    """
    for entry in listeners:
        listener = mapping_at(entry, "active_state", "listener")
        if listener.get("name") != VIRTUAL_OUTBOUND:
            continue
        chains = [*mappings_at(listener, "filter_chains"), mapping_at(listener, "default_filter_chain")]
        for chain in chains:
            if not mapping_at(chain, "filter_chain_match"):
                for cluster in _tcp_clusters(chain):
                    return cluster
    return ""


def served_names(listeners: Iterable[Mapping[str, Any]]) -> frozenset[frozenset[str]]:
    """The names in the TLS handshake for which a proxy has filter chains: one set per chain, since a
    connection that begins with one of them serves all of its set, and no other.

    :param listeners: a dump of ``dynamic_listeners``.
    """
    return frozenset(
        frozenset(map(str, names))
        for _port, chain in _received_chains(listeners)
        if (names := list_at(chain, "filter_chain_match", "server_names"))
    )


def _received_chains(listeners: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Port of the listener and chain; also those that wait for a certificate: a Secret that is still to come
    is no lack of configuration."""
    for entry in listeners:
        for state in ("active_state", "warming_state"):
            listener = mapping_at(entry, state, "listener")
            port = integer_at(listener, "address", "socket_address", "port_value")
            for chain in mappings_at(listener, "filter_chains"):
                yield port, chain


def _tcp_clusters(chain: Mapping[str, Any]) -> Iterator[str]:
    for item in mappings_at(chain, "filters"):
        config = mapping_at(item, "typed_config")
        if text_at(item, "name") == "envoy.filters.network.tcp_proxy":
            yield from filter(None, [text_at(config, "cluster")])
            for weighted in mappings_at(config, "weighted_clusters", "clusters"):
                yield text_at(weighted, "name")


def serving_port(ports: Mapping[int, InboundPort], port: int) -> InboundPort | None:
    """What serves ``port``: its own chains, else the catch-all; ``None`` when the listener has neither."""
    return ports.get(port) or ports.get(CATCH_ALL)


def mode_fault(ports: Mapping[int, InboundPort], port: int, wanted: str) -> str:
    """How a port is served otherwise than in mode ``wanted``, as half a sentence; ``""`` when it is not."""
    serving = serving_port(ports, port)
    if serving is None:
        return f"no inbound listener for port {port}"
    return "" if serving.mode == wanted else f"port {port} is {serving.mode}, not {wanted}"


def rejected_updates(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names and causes of the resources whose latest version the proxy refused, from any dump.

    :returns: ``name: cause`` per resource.
    """
    refused = [entry for entry in entries if entry.get("error_state")]
    return [
        f"{text_at(entry, 'name') or 'resource'}:"
        f" {text_at(entry, 'error_state', 'details')[:300] or 'no details'}"
        for entry in refused
    ]


def _asks_for_certificate(chain: Mapping[str, Any]) -> bool:
    return field(chain, "transport_socket", "typed_config", "require_client_certificate") is True
