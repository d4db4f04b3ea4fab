# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a catalogue may say and probably does not mean. It is told before a run, and refuses nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ...errors import Problem
from .mesh import Catalogue, ExternalService
from .services import Service
from .streams import Network, meet

_DEFAULT_ACCOUNT = "/sa/default"


def catalogue_hints(catalogue: Catalogue) -> list[Problem]:
    """Settings that hold something else than a reader expects.

    :param catalogue: one that was accepted.
    :returns: one per cause, in catalogue order; ``[]`` when there is none.
    """
    paths = [hint for service in catalogue.services for hint in _exact_paths(service)]
    return [*shared_accounts(catalogue), *paths, *_wider_hosts(catalogue)]


def shared_accounts(catalogue: Catalogue) -> list[Problem]:
    """Services and gateways that run as one ServiceAccount. Policies know accounts, so they share all rights.

    :returns: one per account, with the names of all that share it.
    """
    holders: dict[str, list[tuple[str, str]]] = {}
    for service in catalogue.services:
        holders.setdefault(service.principal, []).append((service.where, service.key))
    workloads: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[str, str, str]] = {}
    for gateway in catalogue.gateways:
        pods = (gateway.workload_namespace, tuple(sorted(gateway.selector.items())))
        workloads.setdefault(pods, (gateway.principal, gateway.where, f"gateway {gateway.name}"))
    for principal, where, name in workloads.values():
        holders.setdefault(principal, []).append((where, name))
    egress = catalogue.egress_gateway
    if egress is not None:
        holders.setdefault(egress.principal, []).append(("mesh_egress_gateway", "the egress gateway"))
    return [
        Problem(entries[0][0], _shared(principal, entries), "shared-account")
        for principal, entries in holders.items()
        if len(entries) > 1 or principal.endswith(_DEFAULT_ACCOUNT)
    ]


def _shared(principal: str, entries: list[tuple[str, str]]) -> str:
    names = ", ".join(name for _where, name in entries)
    if principal.endswith(_DEFAULT_ACCOUNT):
        runs = "runs" if len(entries) == 1 else "run"
        return (
            f"{names} {runs} as {principal}, the ServiceAccount of every pod"
            " of the namespace that names none: whoever lets one of them in lets all of them in; give each"
            " its own (service_account)"
        )
    return (
        f"{names} run as one ServiceAccount, {principal}: whoever lets one of them in lets all of them in,"
        " and each may do what any may; give each its own (service_account)"
    )


def _exact_paths(service: Service) -> Iterator[Problem]:
    """A path without ``/*`` is itself only: neither what is below it, nor itself without its last ``/``."""
    for caller in service.callers:
        alone = [path for path in caller.paths if not _covered(path, caller.paths)]
        if alone:
            listed = ", ".join(map(repr, alone))
            below = f"{alone[0].rstrip('/')}/*"
            message = f"{listed}: each is this one path only; what lies below it is {below!r} and the like"
            yield Problem(f"{caller.where}.paths", message, "exact-path")
    for index, path in enumerate(service.open_paths):
        if path.endswith("/") and path != "/":
            message = f"{path!r} is not {path.rstrip('/')!r}, and not what lies below it"
            yield Problem(f"{service.where}.open_paths[{index}]", message, "exact-path")


def _covered(path: str, paths: tuple[str, ...]) -> bool:
    return path.endswith("*") or f"{path.rstrip('/')}/*" in paths or "/*" in paths


def _wider_hosts(catalogue: Catalogue) -> Iterator[Problem]:
    """Who may call a wildcard or a network may call whatever lies in it, also what another entry allows to
    others only: a proxy that does not know that entry takes the wider one."""
    for wide in catalogue.external_services:
        callers = {catalogue.principal_of(caller) for caller in wide.callers}
        for other in catalogue.external_services:
            more = callers - {catalogue.principal_of(caller) for caller in other.callers}
            within = _within(other, wide) if other is not wide and _one_port(wide, other) else ""
            if more and within:
                names = ", ".join(sorted(str(principal).partition("/ns/")[2] for principal in more))
                message = (
                    f"{names} may call {within} as well, which {other.where} allows to others only: give it"
                    " the same callers, or name the hosts here that are meant"
                )
                yield Problem(f"{wide.where}.callers", message, "wider-host", wide.name)


def _one_port(one: ExternalService, other: ExternalService) -> bool:
    return bool({port.number for port in one.ports} & {port.number for port in other.ports})


def _within(narrow: ExternalService, wide: ExternalService) -> str:
    """The first host or address of ``narrow`` that a wildcard or network of ``wide`` covers; "" for none."""
    suffixes = tuple(host.removeprefix("*") for host in wide.hosts if host.startswith("*."))
    for host in narrow.hosts:
        if suffixes and host.removeprefix("*").endswith(suffixes) and host not in wide.hosts:
            return host
    networks = [ipaddress.ip_network(text) for text in wide.addresses]
    for text in narrow.addresses:
        inner = ipaddress.ip_network(text)
        if any(_holds(outer, inner) for outer in networks):
            return text
    return ""


def _holds(outer: Network, inner: Network) -> bool:
    return outer.prefixlen < inner.prefixlen and meet(outer, inner)
