# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ``gates``: what decides (for the journal), and how it is asked (for this call only)."""

from __future__ import annotations

import re
import ssl
import zoneinfo
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ....errors import InputError
from ....kube.headers import refuse_header
from ....model.rollout.outside_gates import OF_A_PHASE, GateKind, Moment, OnFail, OutsideGate
from ....model.rollout.phases_input import PlanReader
from ....model.rollout.time_windows_input import read_windows
from ..outside.asking import Asking
from ..outside.listeners import Listener
from ..outside.web_call import Web

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
TAKEN = frozenset({"errors", "latency", "share", "metrics", "dark", "gates"})
# Headers that are set by the request itself.
OWN_HEADERS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "idempotency-key"})
CONFIRMS = frozenset({Moment.TRAFFIC_INCREASE, Moment.PROMOTION})
_CALENDAR_MOMENTS = (Moment.PRE_ROLLOUT, Moment.TRAFFIC_INCREASE, Moment.PROMOTION)
_TIMEOUTS = {GateKind.URL: 10.0, GateKind.COMMAND: 60.0, GateKind.TIME: 10.0}


def read_outside(
    reader: PlanReader, items: list[Mapping[str, Any]], phases: int | None
) -> tuple[tuple[OutsideGate, ...], dict[str, Asking]]:
    """All of ``gates``.

    :param phases: of the plan; ``None`` where the call has none of its own.
    :returns: the gates in order, and gate -> how it is asked.
    """
    gates: list[OutsideGate] = []
    askings: dict[str, Asking] = {}
    for index, item in enumerate(items):
        where = f"gates[{index}]"
        gate = _read_gate(reader, where, item, phases)
        if gate.name in {known.name for known in gates}:
            reader.problem(f"{where}.name", f"{gate.name} is the name of two gates", "gate")
        gates.append(gate)
        askings[gate.name] = _asking(reader, where, item)
    return tuple(gates), askings


def _read_gate(reader: PlanReader, where: str, item: Mapping[str, Any], phases: int | None) -> OutsideGate:
    name = str(item.get("name") or "")
    if not _NAME.fullmatch(name) or name in TAKEN:
        taken = " (it is another gate's)" if name in TAKEN else ""
        reader.problem(f"{where}.name", f"is {reader.shown(name)}, not a name of a gate{taken}", "gate")
    kind = _kind(reader, where, item)
    when = _when(reader, where, item, kind)
    on_fail = OnFail(item["on_fail"]) if item.get("on_fail") else _usual(kind, when)
    if item.get("deadline") is not None and on_fail is not OnFail.WAIT:
        reader.problem(f"{where}.deadline", "is for on_fail: wait", "gate")
    if item.get("repeat") and Moment.ROLLOUT not in when:
        reader.problem(f"{where}.repeat", "is for a gate that is asked during a phase (rollout)", "gate")
    passes, fails = (_answers(reader, where, item, field, kind) for field in ("passes_on", "fails_on"))
    if both := sorted({*passes} & {*fails}):
        reader.problem(f"{where}.fails_on", f"has {both[0]}, as passes_on has", "gate")
    return OutsideGate(
        name=name,
        kind=kind,
        when=when,
        on_fail=on_fail,
        phases=_phases(reader, where, item, when, phases),
        timeout=_seconds(reader, where, item, "timeout", _TIMEOUTS[kind]),
        interval=_seconds(reader, where, item, "interval", 10.0),
        retries=reader.whole(f"{where}.retries", item.get("retries") or 0, 0, 1000),
        deadline=_seconds(reader, where, item, "deadline", 1800.0),
        repeat=bool(item.get("repeat")),
        passes_on=passes,
        fails_on=fails,
        freeze=read_windows(reader, f"{where}.freeze", item.get("freeze") or []),
        only=read_windows(reader, f"{where}.only", item.get("only") or []),
        zone=_zone(reader, where, item),
    )


def _kind(reader: PlanReader, where: str, item: Mapping[str, Any]) -> GateKind:
    kinds = [
        kind
        for kind, given in (
            (GateKind.URL, item.get("url")),
            (GateKind.COMMAND, item.get("command")),
            (GateKind.TIME, item.get("freeze") or item.get("only")),
        )
        if given
    ]
    if len(kinds) != 1:
        message = "needs exactly one of url, command, and freeze or only"
        reader.problem(where, message, "gate")
        return GateKind.URL
    foreign = {
        GateKind.URL: ("environment", "timezone"),
        GateKind.COMMAND: ("headers", "ca_cert", "timezone"),
        GateKind.TIME: ("headers", "metadata", "ca_cert", "environment", "passes_on", "fails_on"),
    }[kinds[0]]
    for field in foreign:
        if item.get(field):
            reader.problem(f"{where}.{field}", f"is not for a gate by {kinds[0]}", "gate")
    return kinds[0]


def _when(reader: PlanReader, where: str, item: Mapping[str, Any], kind: GateKind) -> tuple[Moment, ...]:
    words = item.get("when") or []
    if not words:
        if kind is GateKind.TIME:
            return _CALENDAR_MOMENTS
        reader.problem(f"{where}.when", f"is missing ({', '.join(Moment)})", "gate")
        return ()
    when = tuple(dict.fromkeys(Moment(word) for word in words))
    if kind is GateKind.TIME and {Moment.ROLLOUT, Moment.POST_ROLLOUT} & {*when}:
        message = f"windows are for {', '.join(_CALENDAR_MOMENTS)}: during a phase and after the end"
        reader.problem(f"{where}.when", f"{message} nothing could wait for them", "gate")
    return when


def _usual(kind: GateKind, when: tuple[Moment, ...]) -> OnFail:
    """A gate that somebody has to open is waited for; a test that fails withdraws the version."""
    waits = kind is GateKind.TIME or (when and {*when} <= CONFIRMS)
    return OnFail.WAIT if waits else OnFail.ROLLBACK


def _phases(
    reader: PlanReader,
    where: str,
    item: Mapping[str, Any],
    when: tuple[Moment, ...],
    phases: int | None,
) -> tuple[int, ...]:
    numbers = item.get("phases") or []
    if numbers and not OF_A_PHASE & {*when}:
        message = f"is for gates that are asked {' or '.join(sorted(OF_A_PHASE))}"
        reader.problem(f"{where}.phases", message, "gate")
    for number in numbers:
        if number < 1 or (phases is not None and number > phases):
            reader.problem(f"{where}.phases", f"{number} is no phase of the plan (1 to {phases})", "gate")
    return tuple(sorted({*numbers}))


def _seconds(reader: PlanReader, where: str, item: Mapping[str, Any], field: str, default: float) -> float:
    return default if item.get(field) is None else reader.seconds(f"{where}.{field}", item[field])


def _answers(
    reader: PlanReader, where: str, item: Mapping[str, Any], field: str, kind: GateKind
) -> tuple[int, ...]:
    least, most, what = (0, 255, "exit code") if kind is GateKind.COMMAND else (100, 599, "HTTP status")
    found = tuple(sorted({*(item.get(field) or [])}))
    for number in found:
        if not least <= number <= most:
            reader.problem(f"{where}.{field}", f"{number} is no {what} ({least} to {most})", "gate")
    return found


def _zone(reader: PlanReader, where: str, item: Mapping[str, Any]) -> str:
    name = item.get("timezone") or "UTC"
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        message = f"{reader.shown(name)} is no time zone that this machine knows (such as Europe/Berlin)"
        reader.problem(f"{where}.timezone", message, "gate")
    return str(name)


def _asking(reader: PlanReader, where: str, item: Mapping[str, Any]) -> Asking:
    words = tuple(str(word) for word in item.get("command") or ())
    if words and (not words[0] or any("\0" in word for word in words)):
        reader.problem(f"{where}.command", "is no program with arguments", "gate")
    return Asking(
        web=read_web(reader, where, item) if item.get("url") else None,
        metadata=_texts(reader, f"{where}.metadata", item.get("metadata") or {}),
        command=words,
        given=_variables(reader, f"{where}.environment", item.get("environment") or {}),
    )


def read_web(reader: PlanReader, where: str, item: Mapping[str, Any]) -> Web:
    """``url`` with what belongs to it. The URL is never shown: its path may be a secret."""
    url = str(item.get("url") or "")
    if not _is_url(url):
        message = "is not an http or https URL in ASCII without user name and password (give headers)"
        reader.problem(f"{where}.url", message, "url")
        url = "http://invalid.invalid"
    headers = _texts(reader, f"{where}.headers", item.get("headers") or {})
    for name, value in headers.items():
        reader.header(f"{where}.headers", name)
        if name.lower() in OWN_HEADERS:
            reader.problem(f"{where}.headers.{name}", "is set by the request itself", "header")
        try:
            refuse_header(value, f"{where}.headers", f"the value of {reader.shown(name)}")
        except InputError as refused:
            for problem in refused.problems:
                reader.problem(problem.where, problem.message, problem.rule)
    ca_cert = str(item.get("ca_cert") or "")
    if ca_cert:
        try:
            ssl.create_default_context(cafile=ca_cert)
        except (OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) if not isinstance(error, ssl.SSLError) else None
            message = f"{reader.shown(ca_cert)}: {cause or 'holds no PEM certificate'}"
            reader.problem(f"{where}.ca_cert", message, "ca-cert")
    validate = item.get("validate_certs")
    return Web(url, item.get("method") or "POST", headers, ca_cert, validate is None or bool(validate))


def read_listeners(reader: PlanReader, items: list[Mapping[str, Any]]) -> tuple[Listener, ...]:
    """All of ``notify``. :returns: them in order."""
    listeners = []
    for index, item in enumerate(items):
        where = f"notify[{index}]"
        seconds = 5.0 if item.get("timeout") is None else reader.seconds(f"{where}.timeout", item["timeout"])
        web = read_web(reader, where, item)
        listeners.append(Listener(web, frozenset(item.get("events") or ()), seconds))
    return tuple(listeners)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and not any(char.isspace() for char in text)
    return usable and plain and "@" not in parts.netloc


def _texts(reader: PlanReader, where: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Names with texts; a number is the text that it is written as. Values are never shown."""
    found: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, str | int | float):
            reader.problem(where, f"{reader.shown(name)} is not name: text", "text")
        else:
            found[name] = str(value)
    return found


def _variables(reader: PlanReader, where: str, given: Mapping[str, Any]) -> dict[str, str]:
    found = _texts(reader, where, given)
    for name, value in found.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            reader.problem(where, f"{reader.shown(name)} is no variable of an environment", "environment")
    return found
