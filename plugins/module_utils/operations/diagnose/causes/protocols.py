# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing: the protocol that a Service's port is said to speak, and what is expected or spoken there."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import integer_at, mappings_at, text_at
from ....model.security.protocols import HTTP, declared_protocol
from ....object_id import object_id
from ..case import Case, Obj
from ..cause import LIKELY, POSSIBLE, ROUTING, SEEN, SURE, Cause
from .words import edit

KNOWN = {3306: "mysql", 5432: "tcp", 6379: "redis", 27017: "mongo", 9092: "tcp", 5672: "tcp", 11211: "tcp"}
"""Ports of protocols that are no HTTP, and where the server speaks first or in another way."""


def speaks(port: Obj) -> str:
    """``http``, ``tcp``, or ``""`` when proxies find out by themselves."""
    told = declared_protocol(port)
    return "http" if told in HTTP else "tcp" if told else ""


def find(case: Case) -> Iterator[Cause]:
    """The ports of the symptom's Services. :returns: one cause per port at most."""
    for service in case.services:
        routed = _routed(case, case.fqdn(service))
        for port in case.port_entries(service):
            cause = _port(case, service, port, routed)
            if cause is not None:
                yield cause


def _port(case: Case, service: Obj, port: Obj, routed: list[str]) -> Cause | None:
    subject, number = object_id(service), integer_at(port, "port")
    name = text_at(port, "name") or "(without a name)"
    said_by = "appProtocol" if text_at(port, "appProtocol") else "name"
    host, spoken = case.fqdn(service), speaks(port)
    if spoken == "tcp" and routed and len(mappings_at(service, "spec", "ports")) == 1:
        # A few ports are TCP by their number, whatever they are called.
        by = f"{said_by} {name}" if declared_protocol({**port, "port": 0}) else "number"
        said = f"port {number} is TCP by its {by}, so the HTTP routes of {routed[0]} do nothing"
        remedy = f"name the port http or http-...: {edit(subject)}"
        return Cause(ROUTING, subject, said, remedy, SURE, (f"{routed[0]} has http routes for it",))
    broken = [seen for flag in ("UPE", "DPE") for seen in case.flagged(flag, host)]
    if spoken == "http" and broken:
        said = f"port {number} is HTTP by its {said_by} {name}, and what is spoken there is something else"
        remedy = f"name the port tcp-... (or http2, grpc): {edit(subject)}"
        shown = f"the access log of Pod {broken[0].proxy} shows {broken[0].line.flags[0]}"
        return Cause(ROUTING, subject, said, remedy, SURE + SEEN, (shown,))
    if spoken == "http" and number in KNOWN:
        said = f"port {number} is HTTP by its {said_by} {name}, and that is the port of {KNOWN[number]}"
        remedy = f"name the port {KNOWN[number]}-...: {edit(subject)}"
        return Cause(ROUTING, subject, said, remedy, LIKELY)
    if not spoken and not case.symptom.anything:
        said = (
            f"port {number} says no protocol (name {name}): proxies guess, and servers that speak first wait"
        )
        remedy = f"name the port http-..., grpc-... or tcp-...: {edit(subject)}"
        return Cause(ROUTING, subject, said, remedy, LIKELY if number in KNOWN else POSSIBLE)
    return None


def _routed(case: Case, host: str) -> list[str]:
    """The VirtualServices with HTTP routes for a host."""
    return [item.id for item in case.routes if host in item.read.hosts and item.read.http]
