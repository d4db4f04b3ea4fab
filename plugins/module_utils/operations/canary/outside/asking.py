# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a gate is asked: one question to a URL, a command or the calendar, and what its answer says.

Whatever is no clear answer is "cannot tell". What is told of an answer is short, on one line, and without the
secrets that the question was asked with.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import threading
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from ....kube.redaction import redacted
from ....kube.secret_fields import header_secrets
from ....model.rollout.outside_gates import GateKind, OutsideGate
from ....verdicts import CANNOT_TELL, FAIL, PASS
from .command import run_command
from .web_call import Web, call

MOST_TOLD = 200  # characters of an answer


@dataclasses.dataclass(frozen=True, slots=True)
class Asking:
    """How one gate is asked; nothing of it is kept in the cluster.

    :param metadata: of the body, as Flagger's webhooks have it. :param command: program and arguments.
    :param given: environment of the command, secret.
    """

    web: Web | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    command: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    given: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    def secrets(self) -> set[str]:
        """What must not be told."""
        return {secret for secret in self._secrets() if secret}

    def _secrets(self) -> Iterator[str]:
        values = [*self.given.values(), *self.metadata.values()]
        if self.web:
            parts = urlsplit(self.web.url)
            yield self.web.url
            yield from (value for _name, value in parse_qsl(parts.query))
            if len(parts.path) > 1:
                yield parts.path
            values += header_secrets(self.web.headers.values())
        for value in values:
            yield value
            yield quote(value)
            yield base64.b64encode(value.encode()).decode()


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """The answer to one question. :param reason: short, on one line, without secrets."""

    verdict: str
    reason: str


def ask(
    gate: OutsideGate,
    asking: Asking | None,
    facts: Mapping[str, Any],
    environment: Mapping[str, str],
    cancelled: threading.Event,
) -> Said:
    """Asks a gate once, within its timeout.

    :param asking: ``None`` when this call does not say how. :param facts: of the run, JSON data.
    :param environment: of the run. :param cancelled: nobody needs the answer any more.
    """
    if asking is None or (asking.web is None and not asking.command):
        return Said(CANNOT_TELL, "this call does not say how it is asked (canary_gates)")
    body = {**facts, "metadata": dict(asking.metadata)}
    if asking.web is not None:
        return _ask_url(gate, asking, asking.web, body, environment)
    return _ask_command(gate, asking, body, environment, cancelled)


def _ask_url(
    gate: OutsideGate, asking: Asking, web: Web, body: Mapping[str, Any], environment: Mapping[str, str]
) -> Said:
    sent = dataclasses.replace(web, headers={**web.headers, "Idempotency-Key": str(body["id"])})
    reply = call(sent, body, timeout=gate.timeout, environment=environment)
    if reply.trouble:
        return Said(CANNOT_TELL, one_line(reply.trouble, asking))
    verdict = gate.judge_status(reply.status)
    said = f"HTTP {reply.status}"
    if 300 <= reply.status < 400:
        said += ", a redirect, which is not followed"
    told = one_line(reply.text, asking) if verdict != PASS else ""
    return Said(verdict, f"{said}: {told}" if told else said)


def _ask_command(
    gate: OutsideGate,
    asking: Asking,
    body: Mapping[str, Any],
    environment: Mapping[str, str],
    cancelled: threading.Event,
) -> Said:
    facts = {f"CANARY_{name.upper()}": str(value) for name, value in body.items() if _is_plain(value)}
    ended = run_command(
        asking.command,
        environment=environment,
        given={**facts, **asking.given},
        stdin=json.dumps(body, sort_keys=True).encode(),
        timeout=gate.timeout,
        cancelled=cancelled,
    )
    if ended.code is None:
        verdict, said = CANNOT_TELL, f"the command {ended.trouble}"
    else:
        verdict = gate.judge_code(ended.code)
        said = f"exit code {ended.code}" if ended.code >= 0 else f"ended by signal {-ended.code}"
    told = one_line(ended.output, asking, last=True) if verdict != PASS else ""
    return Said(verdict, f"{said}: {told}" if told else said)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def ask_calendar(gate: OutsideGate, now: float) -> Said:
    """What the calendar says. :param now: seconds since the epoch."""
    try:
        zone = zoneinfo.ZoneInfo(gate.zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return Said(CANNOT_TELL, f"this machine does not know the time zone {gate.zone}")
    local = datetime.datetime.fromtimestamp(now, tz=zone).replace(tzinfo=None)
    closed = gate.closed(local)
    return Said(FAIL, f"{closed} ({gate.zone})") if closed else Said(PASS, "open")


def opens_at(gate: OutsideGate, now: float, within: float) -> float | None:
    """When a gate of the calendar opens: seconds since the epoch, in steps of a minute.

    :returns: now when it is open; ``None`` when it stays closed for ``within`` seconds, or nobody can tell.
    """
    at = now
    while at <= now + within:
        if ask_calendar(gate, at).verdict == PASS:
            return at
        at = (at // 60 + 1) * 60
    return None


def one_line(text: str, asking: Asking, *, last: bool = False) -> str:
    """A text as it may be told: without secrets, short, printable, on one line. :param last: its end."""
    clean = redacted(text, asking.secrets())
    words = " ".join("".join(char if char.isprintable() else " " for char in clean).split())
    if len(words) <= MOST_TOLD:
        return words
    return f"...{words[-MOST_TOLD:]}" if last else f"{words[:MOST_TOLD]}..."


def is_calendar(gate: OutsideGate) -> bool:
    """Whether nobody has to be asked."""
    return gate.kind is GateKind.TIME
