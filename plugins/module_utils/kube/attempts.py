# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a request is tried, and when it is given up.

Source of the pattern: client-go ``rest/with_retry.go`` (Retry-After on 429 and 5xx).
"""

from __future__ import annotations

import random
from typing import Any, Protocol

from ..errors import ApiError
from .clock import Clock
from .failures import UNREACHABLE, is_untrusted, no_answer

CONNECT_TIMEOUT = 5.0
LEAST_TIMEOUT = 0.1
# Until the server answered once, it is more likely a wrong address than a restart: give up early.
FIRST_CONNECT_TIMEOUT = 4.0
FIRST_CONTACT_ATTEMPTS = {"connection refused": 3, "the connection broke": 3}
MANY = 1000
# A restarting API server is away for 5 to 60 seconds.
RETRY_BUDGET = 90.0
RETRY_AFTER_CAP = 60.0
BACKOFF_BASE, BACKOFF_CAP = 0.5, 10.0
# Who has been silent for that long is down: what else is asked of it before it answers again is asked once.
GIVEN_UP_TIMEOUT = 5.0
# An "internal error" that repeats is usually a webhook that is down: name it soon.
ATTEMPTS = {500: 5, 504: 5}
RETRIED = frozenset({429, 500, 502, 503, 504})


class Connection(Protocol):
    """What the attempts need to know of the connection that makes them; ``transport.Transport`` is one."""

    clock: Clock
    host: str
    given_up: bool
    """Whether a request got no answer within RETRY_BUDGET, and none has been answered since."""

    @property
    def answered(self) -> bool:
        """Whether the server answered at least once."""

    def remaining(self) -> float | None:
        """Seconds until the deadline, ``None`` without one."""

    def pause(self, seconds: float, subject: str = "") -> None:
        """Sleep. :raises ApiError: the run was stopped meanwhile."""


class Attempts:
    """Counts the attempts of one request and decides whether another one follows."""

    def __init__(self, transport: Connection, subject: str) -> None:
        self._transport = transport
        self._subject = subject
        self._start = transport.clock.monotonic()
        self._count = 0
        self.doubtful = False

    def timeout(self, read: float) -> Any:
        """The limits of the next attempt, for urllib3. :param read: seconds for the whole answer at most."""
        import urllib3

        connect = CONNECT_TIMEOUT if self._transport.answered else FIRST_CONNECT_TIMEOUT
        if self._transport.given_up:
            read = min(read, GIVEN_UP_TIMEOUT)
        rest = self._transport.remaining()
        if rest is not None:
            rest = max(LEAST_TIMEOUT, rest)
            connect, read = min(connect, rest), min(read, rest)
        return urllib3.Timeout(connect=connect, read=read)

    def refused(self, failure: ApiError, retry_after: str | None) -> None:
        """The server answered with a status that may pass: wait, or give up with ``failure``."""
        self.doubtful = self.doubtful or failure.status in (500, 502, 504)
        self._count += 1
        self._next(_delay(self._count, retry_after), failure, ATTEMPTS.get(failure.status, MANY))

    def unanswered(self, error: BaseException) -> None:
        """No answer: whether the request was carried out is unknown unless no connection came about."""
        failure = no_answer(error, self._transport.host, self._subject)
        cause = failure.details["cause"]
        self._count += 1
        limit = MANY if self._transport.answered else FIRST_CONTACT_ATTEMPTS.get(cause, 1)
        if is_untrusted(error) or self._transport.given_up:
            limit = 1
        self.doubtful = self.doubtful or not _never_connected(error)
        self._next(_delay(self._count, None), failure, limit)

    def broken(self, what: str) -> None:
        """An answer arrived that cannot be read: cut off on the way, or another program's page.

        :param what: it, in words.
        """
        self.doubtful = True
        self._count += 1
        failure = ApiError(
            f"{self._subject}: the answer of {self._transport.host} is no JSON, but {what} "
            "(is it the API server? a proxy may be in between)",
            reason="NotJSON",
            subject=self._subject,
        )
        self._next(_delay(self._count, None), failure, 5)

    def _next(self, delay: float, failure: ApiError, limit: int) -> None:
        elapsed = self._transport.clock.monotonic() - self._start
        rest = self._transport.remaining()
        too_late = elapsed + delay > RETRY_BUDGET or (rest is not None and delay >= rest)
        if self._count >= limit or too_late:
            self._transport.given_up = self._transport.given_up or failure.reason == UNREACHABLE
            raise noted(failure, self.doubtful)
        self._transport.pause(delay, self._subject)


def noted(failure: ApiError, doubtful: bool) -> ApiError:
    """The failure itself; its details say ``outcome: unknown`` when the request may have been carried out."""
    if doubtful:
        failure.details["outcome"] = "unknown"
    return failure


def _delay(count: int, retry_after: str | None) -> float:
    """Full jitter (AWS Architecture Blog, "Exponential Backoff and Jitter"), never earlier than asked for."""
    backoff = random.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2.0**count))  # noqa: S311 - jitter, no secret
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(RETRY_AFTER_CAP, float(text)) + random.uniform(0, 0.5)  # noqa: S311 - jitter
    return backoff


def _never_connected(error: BaseException) -> bool:
    import urllib3

    return isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
