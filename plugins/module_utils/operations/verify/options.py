# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of module ``verify`` as checked values."""

from __future__ import annotations

import dataclasses
import math
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError, Problem
from ...istio.proxy.handshake import ClientCertificate
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.parse import parse_catalogue
from ...model.installation.injection import read_requests


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeOptions:
    """How probe pods run. All times are seconds.

    :param lifetime: after it a probe ends by itself. :param start_timeout: that it may take to become
        ready.
    :param call_timeout: that one call may take.
    """

    image: str
    pull_secrets: tuple[str, ...]
    start_timeout: float
    lifetime: int
    call_timeout: int


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayOptions:
    """How gateways are found and their certificates judged.

    :param ca: issuers to trust, PEM; ``""`` for those of ``ca_secret``, else those beside the certificate.
    :param ca_secret: ``(namespace, name)`` of a Secret whose ``tls.crt`` is the issuer.
    :param addresses: gateway name -> where to connect, for gateways whose Services do not say so.
    :param client: what the controller shows to hosts that ask clients for a certificate.
    """

    ca: str
    ca_secret: tuple[str, str] | None
    addresses: Mapping[str, tuple[str, ...]]
    client: ClientCertificate | None


@dataclasses.dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What is to be verified, and how.

    :param namespaces: to look at besides those of the catalogue. :param proxy_version: that every proxy
        must
        have; ``""`` for that of its istiod. :param unmeshed_pods: patterns ``namespace/name`` of pods that
        need no sidecar. :param unsafe_methods: whether probes may send methods that change something.
    :param accepted_objects: pattern of ``Kind namespace/name`` -> why it may act on the mesh.
    :param max_proxies: above it a sample is read. :param report_path: ``""`` for no report.
    :param last_report: JSON report to compare with, ``""`` for that of ``report_path``.
    """

    catalogue: Catalogue
    namespaces: tuple[str, ...]
    proxy_version: str
    checks: frozenset[str]
    unmeshed_pods: tuple[str, ...]
    accepted_objects: Mapping[str, str]
    unsafe_methods: bool
    max_proxies: int
    report_path: str
    last_report: str
    probes: ProbeOptions
    gateways: GatewayOptions

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> VerifyOptions:
        """Reads the module's parameters.

        :param params: as the argument spec of ``verify`` leaves them: every option is there.
        :raises InputError: the catalogue is not one, or namespaces or gateway addresses are something else.
        """
        secret = params["gateway_ca_secret"]
        return cls(
            catalogue=parse_catalogue(params["catalogue"]),
            namespaces=tuple(request.name for request in read_requests(params["namespaces"])),
            proxy_version=params["proxy_version"],
            checks=frozenset(params["checks"]),
            unmeshed_pods=tuple(params["unmeshed_pods"]),
            accepted_objects=_accepted(params["accepted_objects"]),
            unsafe_methods=params["unsafe_methods"],
            max_proxies=params["max_proxies"],
            report_path=params["report_path"] or "",
            last_report=params["last_report"] or "",
            probes=ProbeOptions(
                image=params["probe_image"],
                pull_secrets=tuple(params["probe_pull_secrets"]),
                start_timeout=float(params["probe_start_timeout"]),
                # `sleep` of POSIX and curl's older versions take whole seconds.
                lifetime=math.ceil(params["probe_lifetime"]),
                call_timeout=math.ceil(params["call_timeout"]),
            ),
            gateways=GatewayOptions(
                ca=params["gateway_ca"],
                ca_secret=(secret["namespace"], secret["name"]) if secret else None,
                addresses={
                    name: _addresses(name, value) for name, value in params["gateway_addresses"].items()
                },
                client=_client(params["gateway_client_cert"], params["gateway_client_key"]),
            ),
        )


def _accepted(objects: Mapping[str, Any]) -> dict[str, str]:
    """Reasons are what an auditor reads, so there is no entry without one."""
    problems = [
        Problem(
            f"accepted_objects.{name}", "a reason is required: text that says why it may be there", "reason"
        )
        for name, reason in objects.items()
        if not isinstance(reason, str) or not reason.strip()
    ]
    if problems:
        raise InputError(problems)
    return dict(objects)


def _client(certificate: str | None, key: str | None) -> ClientCertificate | None:
    """Files that are tried before anything else is: a gateway would only say that it refuses them."""
    if not certificate and not key:
        return None
    if not certificate or not key:
        missing = "gateway_client_key" if certificate else "gateway_client_cert"
        message = "is required: a client shows a certificate and has its key"
        raise InputError([Problem(missing, message, "required")])
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "the key is encrypted"
        message = f"{certificate} with key {key} cannot be used: {reason}"
        raise InputError([Problem("gateway_client_cert", message, "certificate")]) from error
    return ClientCertificate(certificate, key)


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    return ""


def _addresses(gateway: str, value: Any) -> tuple[str, ...]:
    """One address or a list of them."""
    values: Sequence[Any] = [value] if isinstance(value, str) else value
    if isinstance(values, list) and all(isinstance(item, str) and item for item in values):
        return tuple(values)
    problem = f"{value!r} is neither an address nor a list of addresses"
    raise InputError([Problem(f"gateway_addresses.{gateway}", problem, "gateway-addresses")])
