# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateway credentials: which ones the mesh's gateways name, for which hosts, and when one is due."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ..installation.gateways import InstalledGateway, workload_of
from ..reading.problems import Problems
from ..reading.reader import Reader
from ..reading.values import CREDENTIAL, LABEL, SERVICE_ACCOUNT, WILDCARD_HOST

ISSUE, PROVIDED, EXISTING = "issue", "provided", "existing"
REQUESTED, CERT_MANAGER = "requested", "cert-manager"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Credential:
    """One TLS credential: the Secret ``name`` in the namespace of the gateway's pods, serving ``hosts``.

    :param source: ``issue`` (by our CA), ``provided`` (certificate and key are given), ``requested`` (a
        company's CA answers a request of ours), ``cert-manager`` (its Certificate is renewed, its Secret
        never written) or ``existing`` (somebody else's Secret: it is checked and never written).
    :param service_accounts: identities of the gateways that serve it.
    """

    namespace: str
    name: str
    hosts: tuple[str, ...]
    source: str = ISSUE
    service_accounts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"Secret {self.namespace}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long certificates live.

    :param leaf: validity of a new leaf. :param authority: validity of a new CA.
    :param backdate: how far a new certificate begins in the past, for clocks that run slow.
    """

    leaf: datetime.timedelta = datetime.timedelta(days=90)
    authority: datetime.timedelta = datetime.timedelta(days=3650)
    backdate: datetime.timedelta = datetime.timedelta(minutes=10)


def renewal_due(
    not_before: datetime.datetime,
    not_after: datetime.datetime,
    now: datetime.datetime,
    renew_at: float,
    ends: datetime.datetime | None = None,
) -> bool:
    """Whether at most the share ``renew_at`` of a certificate's life is left at ``now`` (aware times).

    :param ends: when nobody accepts it any more, where that is not its own end: a CA above it may end before.
    """
    return ((ends or not_after) - now) <= (not_after - not_before) * renew_at


def covers(pattern: str, host: str) -> bool:
    """Whether the certificate name ``pattern`` is good for ``host``.

    A wildcard covers exactly one label, and none below a top-level name: clients take no ``*.com``
    (OpenSSL's X509_check_host, BoringSSL).
    """
    pattern, host = pattern.lower(), host.lower()
    if pattern == host:
        return pattern != "*"
    return pattern.startswith("*.") and "." in pattern[2:] and host.partition(".")[2] == pattern[2:]


def credentials_of(
    gateways: Sequence[Mapping[str, Any]], installed: Sequence[InstalledGateway] = ()
) -> tuple[Credential, ...]:
    """The credentials that ``mesh_gateways`` names, hosts merged, sorted.

    :param gateways: entries with ``servers: [{host, certificate}]``, and either ``workload_namespace`` and
        ``service_account`` or ``workload``, the name of an installed gateway. A server without
        ``certificate`` needs none. Other keys belong to the reader of the catalogue and are not looked at.
    :param installed: supply the defaults, as they do in the catalogue.
    :returns: one per Secret.
    :raises InputError: with every problem.
    """
    problems = Problems()
    hosts: dict[tuple[str, str], dict[str, None]] = {}
    accounts: dict[tuple[str, str], set[str]] = {}
    variables = {"mesh_gateways": list(gateways)}
    for gateway in Reader(variables, "", problems).sections("mesh_gateways"):
        secure = [server for server in gateway.sections("servers") if server.has("certificate")]
        if not secure:
            continue
        workload = workload_of(gateway, installed)
        namespace = gateway.maybe_text("workload_namespace", LABEL) or (
            workload.namespace if workload else ""
        )
        account = gateway.maybe_text("service_account", SERVICE_ACCOUNT) or (
            workload.service_account if workload else ""
        )
        if not namespace and not gateway.has("workload_namespace") and not gateway.has("workload"):
            message = "unknown: set it, or name a gateway of istio_gateways in workload"
            gateway.fault("workload_namespace", message, "required")
        for server in secure:
            key = (namespace, server.text("certificate", CREDENTIAL))
            hosts.setdefault(key, {})[server.text("host", WILDCARD_HOST)] = None
            accounts.setdefault(key, set()).update({account} if account else ())
    problems.check(variables)
    return tuple(
        Credential(*key, hosts=tuple(hosts[key]), service_accounts=tuple(sorted(accounts[key])))
        for key in sorted(hosts)
    )
