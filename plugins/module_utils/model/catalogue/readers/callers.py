# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads allow-lists: ``callers`` of services, scrapers and external services."""

from __future__ import annotations

from ...reading.reader import Reader
from ...reading.values import LABEL, POLICY_PATH, PRINCIPAL
from ..services import Caller

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def read_callers(reader: Reader, namespace: str, *, with_requests: bool = True) -> tuple[Caller, ...]:
    """The list ``callers``. A bare string is a service of the same namespace.

    :param namespace: where a caller lives that names no namespace.
    :param with_requests: whether methods, paths, ports and gateways make sense here.
    :returns: those that could be read, in their order.
    """
    found: list[Caller] = []
    for index, item in enumerate(reader.items("callers")):
        raw = {"service": item} if isinstance(item, str) else item
        caller = _caller(
            Reader(raw, f"{reader.path('callers')}[{index}]", reader.problems), namespace, with_requests
        )
        if caller is not None:
            found.append(caller)
    return tuple(found)


def _caller(reader: Reader, namespace: str, with_requests: bool) -> Caller | None:
    kinds = ("service", "principal", "gateway") if with_requests else ("service", "principal")
    given = [kind for kind in kinds if reader.has(kind)]
    if reader.has("namespace") and "service" not in given:
        reader.fault("namespace", "goes with service only", "caller-kind")
    caller = Caller(
        where=reader.where,
        service=reader.maybe_text("service", LABEL),
        namespace=reader.text("namespace", LABEL, default=namespace) if "service" in given else None,
        principal=reader.maybe_text("principal", PRINCIPAL),
        gateway=reader.maybe_text("gateway", LABEL) if with_requests else None,
        methods=reader.choices("methods", METHODS) if with_requests else (),
        paths=reader.texts("paths", POLICY_PATH) if with_requests else (),
        ports=reader.texts("ports", LABEL) if with_requests else (),
    )
    reader.finish()
    if len(given) != 1 and reader.sound():
        reader.fault("", f"needs exactly one of {', '.join(kinds)}", "caller-kind")
    usable = len(given) == 1 and (caller.service or caller.principal or caller.gateway)
    return caller if usable else None
