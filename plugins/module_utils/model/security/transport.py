# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a connection between a caller and a port of a pod: mutual TLS, plaintext, or a failure.

Sources: istio pilot/pkg/networking/core/cluster_tls.go and filterchain_options.go; see
``peer_authentication`` for the server's side and ``destination_rules`` for the caller's.
"""

from __future__ import annotations

import dataclasses

from .destination_rules import AUTO, ClientMode
from .peer_authentication import DISABLE, PERMISSIVE, STRICT
from .pods import MeshPod

ISTIO_MUTUAL = "ISTIO_MUTUAL"
MTLS, PLAINTEXT, SIMPLE_TLS = "MTLS", "PLAINTEXT", "SIMPLE_TLS"
WILL_FAIL, UNKNOWN = "WILL_FAIL", "UNKNOWN"


@dataclasses.dataclass(frozen=True, slots=True)
class ServerPort:
    """A port of a pod as a caller meets it.

    :param mode: of the proxy; ``""`` where no proxy stands before the port. :param decided: what says so.
    :param http: whether its chains parse requests and nothing else; ``None`` when the protocol is sniffed.
    """

    pod: MeshPod
    port: int
    mode: str
    decided: str
    http: bool | None = None

    @property
    def accepts_plaintext(self) -> bool:
        """Whether somebody without a certificate gets through to the policies, or to the application."""
        return self.mode != STRICT


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionVerdict:
    """:param verdict: MTLS, PLAINTEXT, SIMPLE_TLS, WILL_FAIL or UNKNOWN.

    :param accepts_plaintext: whether the server would take plaintext as well, whatever this caller does.
    :param decided: the objects that decided, the caller's and the server's. :param reason: half a sentence.
    """

    verdict: str
    accepts_plaintext: bool
    decided: tuple[str, ...]
    reason: str


def connect(client: ClientMode | None, server: ServerPort, service_mode: str) -> ConnectionVerdict:
    """One caller, one port of one pod.

    :param client: ``None`` for a caller without a proxy. :param service_mode: the mode of the namespace,
        all that clients see of a whole Service (``PeerPolicies.of_namespace``).
    """
    decided = tuple(item for item in (client.decided if client else "", server.decided) if item)
    if server.pod.ambient:
        return ConnectionVerdict(
            UNKNOWN, False, decided, "the pod is in ambient mode, which is not looked at"
        )
    verdict, reason = _verdict(client, server, service_mode)
    return ConnectionVerdict(verdict, server.accepts_plaintext, decided, reason)


def _verdict(client: ClientMode | None, server: ServerPort, service_mode: str) -> tuple[str, str]:
    if client is None:
        return _plain(server, "the caller has no proxy")
    if client.mode == "MUTUAL":
        return UNKNOWN, "the caller brings certificates of its own"
    if client.mode == "SIMPLE":
        return _simple(server)
    if client.mode == DISABLE:
        return _plain(server, "the caller's DestinationRule says DISABLE")
    if client.mode == ISTIO_MUTUAL:
        return _insisting(server)
    if client.mode != AUTO:
        return UNKNOWN, f"what the caller's DestinationRule says, {client.mode}, is not known here"
    if service_mode == DISABLE:
        return _plain(server, "the namespace's mode is DISABLE")
    if client.per_endpoint == ISTIO_MUTUAL:
        return _insisting(server)
    if client.per_endpoint != AUTO:
        return _plain(server, f"a port entry without tls undoes {client.per_endpoint}")
    if not server.pod.accepts_mtls or server.mode == DISABLE:
        return _plain(server, "the pod is not announced as able to take mutual TLS")
    if not server.mode:
        return WILL_FAIL, "the caller uses mutual TLS, and the pod's proxy does not capture the port"
    return MTLS, "mutual TLS by default"


def _insisting(server: ServerPort) -> tuple[str, str]:
    if server.mode in (STRICT, PERMISSIVE):
        return MTLS, "the caller's DestinationRule says ISTIO_MUTUAL"
    return WILL_FAIL, "the caller insists on mutual TLS, and no proxy takes it"


def _plain(server: ServerPort, reason: str) -> tuple[str, str]:
    if server.mode == STRICT:
        return WILL_FAIL, f"{reason}, and the server takes nothing but mutual TLS"
    return PLAINTEXT, reason


def _simple(server: ServerPort) -> tuple[str, str]:
    if server.mode == STRICT:
        return WILL_FAIL, "the caller's DestinationRule says SIMPLE, which shows no certificate"
    if server.mode == DISABLE or (server.mode == PERMISSIVE and server.http):
        return WILL_FAIL, "the caller's DestinationRule says SIMPLE, and no chain of the port takes that"
    return SIMPLE_TLS, "the caller's DestinationRule says SIMPLE"
