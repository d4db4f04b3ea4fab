# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ways to a gateway: from this machine, and from a probe pod outside the mesh.

The controller connects itself where it reaches the gateway's Service; otherwise a probe does. Both send the
same requests, and their answers are judged by the same functions (`checks.gateways`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...istio.probe.pods import Answer, HttpCall
from ...istio.proxy.handshake import (
    ClientCertificate,
    Presented,
    UnreachableError,
    handshake,
    leaf_fingerprint,
    request,
)
from ...model.catalogue.mesh import Server
from .checks.gateways import GatewayCall

BAD_CERTIFICATE = (35, 51, 60)
"""curl: the handshake failed, the certificate is of another host (before 7.62), it cannot be trusted."""
WRITE_CERTIFICATES = ("-w", "%{certs}")
"""curl 7.88 and later: the certificates that were served stand behind the answer."""
NO_CONNECTION = (5, 6, 7, 28)
"""curl: proxy or host not resolved, connection refused, timeout."""


TLS_ANSWERED = (1, 8, 51, 52, 56, 60)
"""curl: the other end spoke TLS, and then something that is no HTTP, or with a certificate for others."""
_REFUSALS = ("certificate required", "handshake failure", "bad certificate")


class DirectChannel:
    """From this machine to one address of the gateway.

    :param client: shown to hosts that ask clients for a certificate.
    """

    def __init__(
        self, address: str, ca_pem: str, timeout: float, client: ClientCertificate | None = None
    ) -> None:
        self.name = f"from the controller to {address}"
        self.has_client = client is not None
        self._address, self._ca_pem, self._timeout, self._client = address, ca_pem, timeout, client

    def handshake(self, server: Server) -> Presented:
        """What a TLS client here is shown. :raises UnreachableError: no connection."""
        return handshake(
            self._address,
            server.port,
            server.host,
            ca_pem=self._ca_pem,
            timeout=self._timeout,
            client=None if server.is_passthrough else self._client,
            demanding=server.is_passthrough or (server.mode == "MUTUAL" and not self.has_client),
        )

    def send(self, calls: Sequence[GatewayCall]) -> Sequence[Answer]:
        """One after the other. :returns: one answer per call, in their order."""
        return [
            request(
                self._address,
                call.port,
                call.server.host,
                call.method,
                call.path,
                tls=call.tls,
                ca_pem=self._ca_pem,
                timeout=self._timeout,
                client=self._client,
            )
            for call in calls
        ]


class ProbeChannel:
    """From a probe pod outside the mesh, which is told the gateway's address. A client's key stays here."""

    has_client = False

    def __init__(
        self, address: str, ca_pem: str, send: Callable[[Sequence[HttpCall], str], Sequence[Answer]]
    ) -> None:
        self.name = f"from a pod outside the mesh to {address}"
        self._address, self._ca_pem, self._send = address, ca_pem, send

    def handshake(self, server: Server) -> Presented:
        """What curl in the probe is shown. :raises UnreachableError: no connection."""
        host, port = server.host, server.port
        options = (*self._connect_to(host, port), *WRITE_CERTIFICATES)
        answer = self._run([HttpCall("HEAD", f"https://{host}:{port}/", curl_options=options)])[0]
        if answer.status:
            return Presented("", fingerprint=leaf_fingerprint(answer.body))
        if server.is_passthrough and answer.exit_code in TLS_ANSWERED:
            return Presented("")
        if server.mode == "MUTUAL" and any(mark in answer.error.lower() for mark in _REFUSALS):
            return Presented("", client_refused=answer.error)
        if answer.exit_code in BAD_CERTIFICATE:
            fault = answer.error or f"curl exit {answer.exit_code}"
            return Presented(fault, untrusted="issuer" in fault or "self" in fault)
        return Presented("", unanswered=answer.error or f"no HTTP answer (curl exit {answer.exit_code})")

    def send(self, calls: Sequence[GatewayCall]) -> Sequence[Answer]:
        """All at once. :returns: one answer per call, in their order."""
        return self._run(
            [
                HttpCall(
                    call.method,
                    call.url,
                    curl_options=self._connect_to(call.server.host, call.port),
                )
                for call in calls
            ]
        )

    def _connect_to(self, host: str, port: int) -> tuple[str, ...]:
        address = f"[{self._address}]" if ":" in self._address else self._address
        return ("--connect-to", f"{host}:{port}:{address}:{port}")

    def _run(self, calls: Sequence[HttpCall]) -> Sequence[Answer]:
        answers = self._send(calls, self._ca_pem)
        if all(answer.exit_code in NO_CONNECTION and not answer.status for answer in answers):
            raise UnreachableError(f"{self._address}: {answers[0].error or 'no connection'}")
        return answers
