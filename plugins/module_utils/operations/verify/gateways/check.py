# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the ways to each gateway and what its Secrets say, and runs the checks over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ....errors import ApiError
from ....istio.probe.pods import Answer, HttpCall, Identity
from ....istio.proxy.handshake import UnreachableError
from ....kube.client import KubeClient
from ....kube.clock import Clock
from ....model.catalogue.mesh import Gateway, Server
from ....model.certificates.pem import first_fingerprint
from ....model.certificates.served import (
    ASKING_MODES,
    AUTHORITY_KEY,
    CERTIFICATE_KEY,
    decode,
    served_authority,
    served_pair,
)
from ....model.reading.values import CA_SUFFIX
from ..channels import DirectChannel, ProbeChannel
from ..checks.gateways import (
    Channel,
    GatewayFacts,
    GatewayResult,
    check_gateway,
    named_servers,
    planned_calls,
)
from ..live_objects import LiveObjects
from ..options import VerifyOptions
from ..probes import Probes
from .addresses import addresses, no_address


class GatewayCheck:
    """The gateways of one catalogue.

    :param probes: with a probe for ``outside``, for gateways that the controller does not reach, or
        ``None``.
    """

    def __init__(
        self,
        client: KubeClient,
        options: VerifyOptions,
        live: LiveObjects,
        probes: Probes | None,
        outside: Identity,
        clock: Clock,
    ) -> None:
        self._client = client
        self._catalogue = options.catalogue
        self._options = options
        self._live = live
        self._clock = clock
        self._probes = probes
        self._outside = outside

    def run(self) -> GatewayResult:
        """All gateways: the findings, and the services that answered through them or could not be asked."""
        results = self._client.in_parallel(self._gateway, self._catalogue.gateways)
        parts = [part for found in results for part in found]
        return GatewayResult(
            tuple(finding for part in parts for finding in part.findings),
            frozenset(key for part in parts for key in part.reached),
            frozenset(key for part in parts for key in part.untested),
            tuple(item for part in parts for item in part.answered),
        )

    def _gateway(self, gateway: Gateway) -> list[GatewayResult]:
        facts, ca_pem = self._certificates(gateway)
        named, notes = named_servers(self._catalogue, gateway)
        found = [GatewayResult(tuple(notes))]
        for places, part in self._by_address(named):
            calls = planned_calls(self._catalogue, part, unsafe_methods=self._options.unsafe_methods)
            channels = self._channels(places, ca_pem)
            why = "" if channels else self._unreachable(part)
            found.append(
                check_gateway(self._catalogue, part, calls, channels, facts, self._clock, no_channel=why)
            )
        return found

    def _unreachable(self, gateway: Gateway) -> str:
        space = gateway.workload_namespace
        return no_address(gateway, self._live.of("Pod", space), self._live.of("Service", space))

    def _by_address(self, gateway: Gateway) -> list[tuple[tuple[str, ...], Gateway]]:
        """The gateway in parts that have the same addresses: its ports may be those of several Services.

        :returns: addresses, and the gateway with the servers that listen there.
        """
        given = self._options.gateways.addresses.get(gateway.name)
        if given:
            return [(tuple(given), gateway)]
        namespace = gateway.workload_namespace
        pods, services = self._live.of("Pod", namespace), self._live.of("Service", namespace)
        parts: dict[tuple[str, ...], list[Server]] = {}
        for server in gateway.servers:
            parts.setdefault(tuple(addresses(gateway, server, pods, services)), []).append(server)
        return [
            (places, dataclasses.replace(gateway, servers=tuple(servers)))
            for places, servers in parts.items()
        ]

    def _channels(self, found: Sequence[str], ca_pem: str) -> list[Channel]:
        timeout, client = float(self._options.probes.call_timeout), self._options.gateways.client
        channels: list[Channel] = [DirectChannel(address, ca_pem, timeout, client) for address in found]
        if self._probes is not None:
            channels += [ProbeChannel(address, ca_pem, self._send) for address in found]
        return channels

    def _send(self, calls: Sequence[HttpCall], ca_pem: str) -> Sequence[Answer]:
        if self._probes is None:
            raise UnreachableError("there is no probe")
        try:
            return self._probes.send(self._outside, calls, self._options.probes.call_timeout, ca_pem)
        except ApiError as error:
            raise UnreachableError(error.message) from error

    def _certificates(self, gateway: Gateway) -> tuple[GatewayFacts, str]:
        """What the Secrets say: leaf fingerprints, faults, and the issuer's certificates."""
        leaves: dict[str, str | None] = {}
        faults: dict[str, str] = {}
        given = self._options.gateways
        issuers = given.ca
        for name in dict.fromkeys(server.certificate for server in gateway.servers if server.certificate):
            secret = self._secret(gateway.workload_namespace, name)
            if secret is None:
                leaves[name] = None
                continue
            chain, key = served_pair(secret)
            chain = chain or decode(secret, CERTIFICATE_KEY)
            leaves[name] = first_fingerprint(chain)
            if secret and (fault := pair_fault(chain, key)):
                faults[name] = fault
            issuers = issuers or _text(secret, AUTHORITY_KEY)
        mutual = dict.fromkeys(
            server.certificate for server in gateway.servers if server.mode in ASKING_MODES
        )
        without = {
            name: missing
            for name in mutual
            if name and leaves.get(name) and (missing := self._no_client_ca(gateway.workload_namespace, name))
        }
        if given.ca_secret and not given.ca:
            issuers = _text(self._secret(*given.ca_secret), CERTIFICATE_KEY) or issuers
        return GatewayFacts(leaves, trusted=bool(issuers), faults=faults, without_ca=without), issuers

    def _no_client_ca(self, namespace: str, name: str) -> str:
        """Why istiod has no CA for the clients of a server: with the certificate, or in a Secret beside.

        Source: pilot/pkg/credentials/kube/secrets.go, ``GetCaCert``.

        :returns: half a sentence; empty when there is one, or nobody may look.
        """
        beside = self._secret(namespace, f"{name}{CA_SUFFIX}")
        holder = self._secret(namespace, name) if beside is None else beside
        if holder == {} or served_authority(holder):
            return ""
        if beside is None:
            where = f"neither Secret {namespace}/{name}{CA_SUFFIX} nor {name} has"
        else:
            where = f"Secret {namespace}/{name}{CA_SUFFIX}, which counts instead of {name}, does not have"
        return f"{where} a CA for their certificates ({AUTHORITY_KEY})"

    def _secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A Secret, whose key goes nowhere: empty when it may not be read, ``None`` when there is none."""
        try:
            return self._client.get("v1", "Secret", name, namespace)
        except ApiError as error:
            if error.not_allowed:
                return {}
            raise


def _text(secret: Mapping[str, Any] | None, key: str) -> str:
    return decode(secret, key).decode("utf-8", "replace")


def pair_fault(chain: bytes, key: bytes) -> str:
    """What is wrong with a certificate and its key, as half a sentence; ``""`` when nothing is, or when the
    library that reads keys is not installed here and the certificate at least is one."""
    if not first_fingerprint(chain):
        return f"holds no certificate in {CERTIFICATE_KEY} or cert"
    try:
        from ....model.certificates.pem import UnreadablePemError
        from ....model.certificates.x509 import read_chain, read_key, same_key
    except ImportError:
        return ""
    try:
        if same_key(read_chain(chain)[0], read_key(key)):
            return ""
    except UnreadablePemError as error:
        return f"cannot be used: its certificate or key {error}"
    return "holds a key that does not belong to its certificate"
