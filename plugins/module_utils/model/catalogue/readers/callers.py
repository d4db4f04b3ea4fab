# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads allow-lists: ``callers`` of services, scrapers and external services."""

from __future__ import annotations

from collections.abc import Sequence

from ...reading.reader import Reader
from ...reading.values import LABEL, NETWORK, POLICY_PATH, PRINCIPAL, REASON, covers_all
from ..services import Caller

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


IDENTITIES = ("service", "principal")
UNKNOWN = ("anonymous", "ip_blocks")
"""Callers that show no identity: they are let in with a stated reason."""


def read_callers(
    reader: Reader,
    namespace: str,
    *,
    with_requests: bool = True,
    kinds: Sequence[str] = (*IDENTITIES, "gateway", *UNKNOWN),
) -> tuple[Caller, ...]:
    """The list ``callers``. A bare string is a service of the same namespace.

    :param namespace: where a caller lives that names no namespace.
    :param with_requests: whether methods, paths and ports make sense here.
    :param kinds: of callers that make sense here.
    :returns: those that could be read, in their order.
    """
    found: list[Caller] = []
    for index, item in enumerate(reader.items("callers")):
        raw = {"service": item} if isinstance(item, str) else item
        section = Reader(raw, f"{reader.path('callers')}[{index}]", reader.problems)
        caller = _caller(section, namespace, kinds, with_requests=with_requests)
        if caller is not None:
            found.append(caller)
    return tuple(found)


def _caller(reader: Reader, namespace: str, kinds: Sequence[str], *, with_requests: bool) -> Caller | None:
    given = [kind for kind in kinds if reader.has(kind)]
    if reader.has("namespace") and "service" not in given:
        reader.fault("namespace", "goes with service only", "caller-kind")
    caller = Caller(
        where=reader.where,
        service=reader.maybe_text("service", LABEL),
        namespace=reader.text("namespace", LABEL, default=namespace) if "service" in given else None,
        principal=reader.maybe_text("principal", PRINCIPAL),
        gateway=reader.maybe_text("gateway", LABEL) if "gateway" in kinds else None,
        methods=reader.choices("methods", METHODS) if with_requests else (),
        paths=reader.texts("paths", POLICY_PATH) if with_requests else (),
        ports=reader.texts("ports", LABEL) if with_requests else (),
        anonymous="anonymous" in kinds and reader.boolean("anonymous", default=False),
        ip_blocks=reader.texts("ip_blocks", NETWORK) if "ip_blocks" in kinds else (),
        reason=reader.maybe_text("reason", REASON) if "anonymous" in kinds else None,
    )
    _check_unknown(reader, caller, given)
    if with_requests:
        reader.not_empty("methods", "paths", "ports")
    reader.finish()
    if len(given) != 1 and reader.sound():
        reader.fault("", f"needs exactly one of {', '.join(kinds)}", "caller-kind")
    named = caller.service or caller.principal or caller.gateway or not caller.has_identity
    return caller if len(given) == 1 and named else None


def _check_unknown(reader: Reader, caller: Caller, given: Sequence[str]) -> None:
    """Whoever is let in without an identity is let in for a reason, and no other reason is asked for."""
    unknown = [kind for kind in given if kind in UNKNOWN]
    if "anonymous" in given and not caller.anonymous and reader.sound("anonymous"):
        reader.fault("anonymous", "is false, which lets nobody in: leave the entry out", "caller-kind")
    if "ip_blocks" in given and not caller.ip_blocks and reader.sound("ip_blocks"):
        reader.fault("ip_blocks", "is empty, so nobody would be let in", "caller-kind")
    if "ip_blocks" in given and reader.sound("ip_blocks") and covers_all(caller.ip_blocks):
        reader.fault("ip_blocks", "are every address there is, together", "address")
    if unknown and caller.reason is None and reader.sound("reason"):
        reader.fault("reason", f"is required: {unknown[0]} lets in whoever it is", "required")
    if caller.reason and given and not unknown:
        reader.fault("reason", "goes with anonymous and ip_blocks only", "caller-kind")
