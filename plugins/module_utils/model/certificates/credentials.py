# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateway credentials: which ones the mesh's gateways name, for which hosts, and when one is due."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError, Problem

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SECRET_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
ISSUE, PROVIDED, EXISTING = "issue", "provided", "existing"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Credential:
    """One TLS credential: the Secret ``name`` in the namespace of the gateway's pods, serving ``hosts``.

    :param source: ``issue`` (by our CA), ``provided`` (certificate and key are given) or ``existing``
        (somebody else's Secret: it is checked and never written).
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
    not_before: datetime.datetime, not_after: datetime.datetime, now: datetime.datetime, renew_at: float
) -> bool:
    """Whether at most the share ``renew_at`` of a certificate's life is left at ``now`` (aware times)."""
    return (not_after - now) <= (not_after - not_before) * renew_at


def host_problem(host: object) -> str:
    """Why ``host`` cannot be a certificate's name, or ``""``. A wildcard is exactly one label (RFC 6125)."""
    if not isinstance(host, str) or not host:
        return f"{host!r} is not a host name"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return f"{host!r} is an IP address: a gateway serves certificates by server name"
    if host == "*":
        return "no certificate can be made for the host '*': name the hosts"
    labels = host.removeprefix("*.").split(".")
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        return f"{host!r} is not a lower-case DNS name or *.NAME"
    if len(labels) < 2:
        return (
            f"{host!r} needs a domain"
            if not host.startswith("*.")
            else f"{host!r} covers a whole top-level domain"
        )
    return ""


def covers(pattern: str, host: str) -> bool:
    """Whether the certificate name ``pattern`` is good for ``host``; a wildcard covers exactly one label."""
    pattern, host = pattern.lower(), host.lower()
    if pattern == host:
        return True
    return pattern.startswith("*.") and host.partition(".")[2] == pattern[2:]


def credentials_of(
    gateways: Sequence[Mapping[str, Any]],
    installed: Sequence[Mapping[str, Any]] = (),
    where: str = "mesh_gateways",
) -> tuple[Credential, ...]:
    """The credentials that ``mesh_gateways`` names, hosts merged, sorted.

    :param gateways: entries with ``servers: [{host, certificate}]``, and either ``workload_namespace`` and
        ``service_account`` or ``workload``, the name of an installed gateway. A server without
        ``certificate`` needs none. Other keys belong to the reader of the catalogue and are not looked at.
    :param installed: ``istio_gateways``: supply the defaults, the only one also where nothing names it.
    :returns: one per Secret.
    :raises InputError: with every problem.
    """
    problems: list[Problem] = []
    hosts: dict[tuple[str, str], list[str]] = {}
    accounts: dict[tuple[str, str], set[str]] = {}
    by_name = {str(entry.get("name")): entry for entry in installed}
    for index, gateway in enumerate(gateways):
        place = f"{where}[{index}]"
        namespace, account = _home(gateway, by_name)
        for number, server in enumerate(gateway.get("servers") or ()):
            if not server.get("certificate"):
                continue
            found = _server_problems(server, namespace, f"{place}.servers[{number}]", place)
            problems += found
            if found:
                continue
            key = (namespace, server["certificate"])
            hosts.setdefault(key, [])
            if server["host"] not in hosts[key]:
                hosts[key].append(server["host"])
            accounts.setdefault(key, set()).update({account} if account else ())
    if problems:
        raise InputError(problems)
    return tuple(
        Credential(*key, hosts=tuple(hosts[key]), service_accounts=tuple(sorted(accounts[key])))
        for key in sorted(hosts)
    )


def _home(gateway: Mapping[str, Any], installed: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Namespace and ServiceAccount of the gateway's pods, defaulted as the catalogue's reader does it."""
    only = next(iter(installed)) if len(installed) == 1 else ""
    workload = str(gateway.get("workload") or only)
    defaults: Mapping[str, Any] = {}
    if workload in installed:
        defaults = {"namespace": "istio-system", "service_account": f"{workload}-service-account"}
        defaults = {**defaults, **{key: value for key, value in installed[workload].items() if value}}
    return (
        str(gateway.get("workload_namespace") or defaults.get("namespace") or ""),
        str(gateway.get("service_account") or defaults.get("service_account") or ""),
    )


def _server_problems(server: Mapping[str, Any], namespace: str, spot: str, place: str) -> list[Problem]:
    problems = []
    name = server["certificate"]
    if not isinstance(name, str) or not SECRET_NAME.fullmatch(name):
        problems.append(Problem(f"{spot}.certificate", f"{name!r} is not the name of a Secret", "dns-name"))
    if not namespace:
        message = "unknown: set it, or name a gateway of istio_gateways in workload"
        problems.append(Problem(f"{place}.workload_namespace", message, "required"))
    bad_host = host_problem(server.get("host"))
    if bad_host:
        problems.append(Problem(f"{spot}.host", bad_host, "host"))
    return problems
