# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency: timeouts, retries and connection limits that routes and rules give a call."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import integer_at, mapping_at, text_at
from ....model.reading.durations import parse_duration
from ....object_id import object_id
from ..case import Case, LiveVirtualService, Obj, SeenLine
from ..cause import LATENCY, LIKELY, POSSIBLE, SEEN, SURE, Cause
from .circuits import policies_of, rules_in_force
from .route_conflicts import rules_of
from .words import edit

SHORT = 0.1
"""Seconds; a timeout below that ends ordinary requests."""
MANY = 5
"""From so many attempts on a sick service gets a multiple of its load."""


def find(case: Case) -> Iterator[Cause]:
    """Routes of the symptom's hosts. :returns: one cause per object and limit."""
    for item in case.concerned_routes():
        lines = _lines(case, item, "UT")
        for rule in rules_of(item):
            yield from _timeout(case, item, rule, lines)
            yield from _retries(case, item, rule)
    yield from _connections(case)


def _lines(case: Case, item: LiveVirtualService, flag: str) -> list[SeenLine]:
    """Lines with a flag about requests that a route decides: to its hosts, or where they name no host (those
    of a delegate, a star), to what it leads to. Another host's timeout says nothing about this one's.
    """
    names = {host for host in item.read.hosts if "*" not in host}
    if len(names) < max(1, len(item.read.hosts)):
        names |= {target.host for route in item.read.routes for target in route.destinations}
    return case.flagged(flag, *names) if names else []


def _timeout(case: Case, item: LiveVirtualService, rule: Obj, lines: list[SeenLine]) -> Iterator[Cause]:
    timeout = _seconds(rule, "timeout")
    if not timeout:
        return
    # with the timeout of before, a request took another time
    near = [seen for seen in lines if 0.7 * timeout <= seen.line.duration / 1000 <= 1.5 * timeout + 0.1]
    late = len(near)
    shown = (f"{late} requests ended with 504 UT in the access logs",) if late else ()
    said = f"gives its requests {text_at(rule, 'timeout')}, and they take longer: 504 UT"
    if late:
        yield Cause(
            LATENCY, item.id, said, f"timeout: of the service, or {edit(item.id)}", SURE + SEEN, shown
        )
    elif timeout < SHORT and not case.symptom.anything:
        yield Cause(LATENCY, item.id, said.replace("they take", "most take"), edit(item.id), LIKELY)


def _retries(case: Case, item: LiveVirtualService, rule: Obj) -> Iterator[Cause]:
    retries = mapping_at(rule, "retries")
    attempts, each = integer_at(retries, "attempts"), _seconds(retries, "perTryTimeout")
    timeout = _seconds(rule, "timeout")
    if case.symptom.anything or not attempts:
        return
    if each and timeout and each >= timeout:
        said = f"gives each try {text_at(retries, 'perTryTimeout')} of {text_at(rule, 'timeout')} in all"
        yield Cause(LATENCY, item.id, f"{said}: a second try never comes", edit(item.id), LIKELY)
    elif each and timeout and each * (attempts + 1) > timeout:
        said = f"has {attempts} retries of {text_at(retries, 'perTryTimeout')}, more than its timeout takes"
        yield Cause(LATENCY, item.id, said, edit(item.id), POSSIBLE)
    if attempts >= MANY:
        lines = _lines(case, item, "URX")
        said = (
            f"tries each request up to {attempts + 1} times: slow, and a multiple of the load where it fails"
        )
        yield Cause(
            LATENCY, item.id, said, f"retries: of the service, or {edit(item.id)}", SURE if lines else LIKELY
        )


def _connections(case: Case) -> Iterator[Cause]:
    """Limits of DestinationRules that make connections slow, or fail."""
    for service in case.services if not case.symptom.anything else ():
        for rule in rules_in_force(case, service):
            name = object_id(rule)
            for policy in policies_of(rule):
                connect = _seconds(mapping_at(policy, "connectionPool", "tcp"), "connectTimeout")
                if connect and connect < 0.02:
                    said = f"gives connections {connect * 1000:g} ms to come about: 503 UF under load"
                    yield Cause(
                        LATENCY, name, said, f"connect_timeout: of the service, or {edit(name)}", LIKELY
                    )
                if integer_at(policy, "connectionPool", "http", "maxRequestsPerConnection") == 1:
                    said = "makes a new connection, with a new handshake, for each request"
                    yield Cause(LATENCY, name, said, edit(name), LIKELY - 10)


def _seconds(rule: Obj, name: str) -> float:
    """A duration of Istio in seconds; 0 for none, or for one that cannot be read."""
    return parse_duration(text_at(rule, name)) or 0.0
