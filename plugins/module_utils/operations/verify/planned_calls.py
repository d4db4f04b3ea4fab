# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that is planned, and what it must come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ...istio.client_hello import client_hello
from ...istio.probe.pods import HttpCall, Identity, ProbeCall, StreamCall
from ...model.catalogue.edges import Edge
from ...model.catalogue.services import Port, Service
from .findings import Finding

ALLOWED, DENIED, PLAINTEXT = "allowed", "denied", "plaintext"
OUTSIDE = "outside"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""RFC 9110 9.2.1: methods that ask for no change."""
NOWHERE = "servicemesh-verify-probe"
"""Last part of the paths that stand for a prefix: nothing the service knows."""
DEFAULT_ACCOUNT = "the account default, which no policy names"
OTHER_ACCOUNT = "another account of its namespace"
OTHER_NAMESPACE = "an account of another namespace"
OUTSIDER = "plaintext, without any identity"
STRANGERS = (DEFAULT_ACCOUNT, OTHER_ACCOUNT, OTHER_NAMESPACE, OUTSIDER)
"""The classes of callers that a service has to refuse."""
_TOLD = ("-v",)


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call and what it must come to. ``why`` names the rule under test, for the evidence.

    :param pod: ``name address`` of the one pod that is called, ``""`` for whichever the Service chooses.
    :param edge: the rule that is called, of a call that must be let in.
    """

    service: Service
    port: Port
    identity: Identity
    method: str
    path: str
    expect: str
    why: str
    pod: str = ""
    edge: Edge | None = None

    @property
    def subject(self) -> str:
        """What the finding is about."""
        if self.expect == PLAINTEXT:
            return f"{self.service.key}:{self.port.number}"
        return f"{self.identity} -> {self.service.key}"

    @property
    def pod_key(self) -> str:
        """The one pod that is called, as ``namespace/name``; ``""`` without one."""
        return f"{self.service.namespace}/{self.pod.partition(' ')[0]}" if self.pod else ""

    def requests(self, look: int = 0) -> tuple[ProbeCall, ...]:
        """The call as a probe sends it. Plaintext goes together with a TLS handshake without a certificate:
        what it is answered shows who takes the connection, and what the port demands.

        Where that has not shown it, a port of another protocol than HTTP is asked in two more ways. The probe
        keeps silent, because a server may speak first, and what it says must not race against a policy that
        closes the connection at the first byte. And it begins as a proxy of the mesh does: an answer to that,
        and to no other client, is the mark of a port that takes both.

        :param look: number of the attempt.
        :returns: one call; of plaintext two, and four from the second look on.
        """
        name, _space, address = self.pod.partition(" ")
        host = f"[{address}]" if ":" in address else address or self.service.fqdn
        number = self.port.target_port if name else self.port.number
        plain = HttpCall(self.method, f"http://{host}:{number}{self.path}")
        if self.expect != PLAINTEXT:
            return (plain,)
        both = plain, HttpCall("GET", f"https://{host}:{number}/", curl_options=_TOLD)
        if not look or self.port.is_http:
            return both
        address = f"{host}:{number}"
        return *both, StreamCall(address), StreamCall(address, client_hello())


@dataclasses.dataclass(frozen=True, slots=True)
class CallPlan:
    """The calls, what could not be planned, and the services whose only callers are gateways."""

    calls: tuple[PlannedCall, ...]
    findings: tuple[Finding, ...]
    through_gateway: frozenset[str]


def stranger_class(service: Service, identity: Identity) -> str:
    """Which of ``STRANGERS`` an identity is to a service that does not let it in."""
    if not identity.meshed:
        return OUTSIDER
    if identity.namespace != service.namespace:
        return OTHER_NAMESPACE
    return DEFAULT_ACCOUNT if identity.service_account == "default" else OTHER_ACCOUNT


def concrete_path(paths: Sequence[str]) -> str:
    """A path that a rule with ``paths`` lets through."""
    if not paths:
        return "/"
    exact = next((path for path in paths if not path.endswith("*")), None)
    return exact or f"{paths[0][:-1]}{NOWHERE}"
