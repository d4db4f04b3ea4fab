# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to one API server: one pool, any number of threads, bounded retries.

Source of the pattern: client-go ``rest/with_retry.go`` (Retry-After on 429 and 5xx). Every verb we send is
safe to send twice (server-side apply, PUT with resourceVersion, DELETE with uid, POST that is read back on
"already exists"), so writes are retried like reads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..documents.json_text import json_text
from ..errors import ApiError
from ..labels import COLLECTION
from .attempts import RETRIED, Attempts, noted
from .bodies import decoded, status_of, warnings_in, whole_body
from .clock import Clock, SystemClock
from .credentials import credential_of
from .failures import from_answer, is_status, what_came
from .headers import encoded
from .keydir import KeyDirectory
from .pool import open_pool, refuse_unusable, tls_of
from .redaction import redacted
from .secret_fields import header_secrets, secret_values
from .target import Target, target_of

if TYPE_CHECKING:
    from .options import ConnectionOptions
    from .secret_fields import Pattern

_SLOT_POLL = 0.25
_SECRETS = re.compile(r"/secrets(?:/|\Z)")


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """An answer below 400. ``data`` is the decoded JSON, or text when something else was asked for."""

    status: int
    headers: Mapping[str, str]
    data: Any
    warnings: list[str]
    doubtful: bool = False
    """An earlier attempt of this request may already have been carried out."""


class Transport:
    """A pool of connections with the credential of ``options``. Safe for any number of threads."""

    def __init__(
        self,
        options: ConnectionOptions,
        *,
        threads: int,
        deadline: float | None,
        stop: Callable[[], bool] | None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.options = options
        self.threads = threads
        self._end: float | None = None
        self._stop = stop or (lambda: False)
        self._keys = KeyDirectory()
        # Held for moments only: while a credential is fetched, which may take a minute, `_fetching` says so.
        self._auth = threading.Condition()
        self._fetching = False
        self._generation = 0
        self._answered = self.given_up = False
        self._accepted = False  # since the credential was loaded
        # Calls in threads may make calls in threads: what counts is what is sent.
        self._slots = threading.BoundedSemaphore(threads)
        try:
            self._use(target_of(options))
            self.authorization()
        except BaseException:
            self._keys.remove()
            raise
        # A credential plugin may ask a person's identity provider: the server's time begins after it.
        if deadline is not None:
            self._end = self.clock.monotonic() + deadline

    def close(self) -> None:
        """Close the connections and remove the key files."""
        self._pool.clear()
        self._keys.remove()

    @property
    def stopped(self) -> bool:
        """Whether the run was asked to end."""
        return self._stop()

    @contextlib.contextmanager
    def although_stopped(self) -> Iterator[None]:
        """What is sent meanwhile is sent although the run was stopped."""
        stop, self._stop = self._stop, lambda: False
        try:
            yield
        finally:
            self._stop = stop

    def remaining(self) -> float | None:
        """Seconds until the deadline, ``None`` without one."""
        return None if self._end is None else self._end - self.clock.monotonic()

    def _use(self, target: Target) -> None:
        self.target = target
        self.host = target.host
        self._credential = credential_of(target, self._keys.path, self.clock)
        self._impersonation = target.impersonation()
        self._connect()

    def _connect(self) -> None:
        self._certificate = self._credential.certificate
        self.tls = tls_of(self.target, self._keys.path, self._certificate)
        plugin = " (its credential plugin's certificate)" if self._certificate else ""
        refuse_unusable(self.tls, self.target.where + plugin)
        self._pool = open_pool(self.tls, self.target.proxy, max(self.threads, 4))

    def authorization(self, subject: str = "") -> tuple[list[tuple[str, str]], int]:
        """Credential and impersonation headers, and the generation of the credential.

        :returns: (name, value) per header, and that number.
        :raises ApiError: there is none, or not in time, or the run was stopped meanwhile.
        """
        with self._only_one_fetches(subject):
            value = self._credential.header(self.remaining())
            if self._credential.certificate != self._certificate:
                self._connect()
            generation = self._generation
        credential = [("Authorization", value)] if value else []
        return credential + self._impersonation, generation

    @contextlib.contextmanager
    def _only_one_fetches(self, subject: str) -> Iterator[None]:
        """One thread at a time, and no lock: those who wait see a stop of the run and its deadline."""
        with self._auth:
            while self._fetching:
                self.check(subject)
                self._auth.wait(_SLOT_POLL)
            self._fetching = True
        try:
            yield
        finally:
            with self._auth:
                self._fetching = False
                self._auth.notify_all()

    def renew(self, generation: int) -> bool:
        """Load the credential again, from the start. ``False``: it is the same, or was renewed in vain."""
        with self._only_one_fetches(""):
            if self._generation != generation:
                return True
            if self._generation and not self._accepted:
                return False
            renewed = self._credential.renew()
            target = target_of(self.options)
            if target != self.target:
                self._use(target)
            elif not renewed:
                return False
            self._generation += 1
            self._accepted = False
            return True

    def secrets(self, headers: Sequence[tuple[str, str]]) -> set[str]:
        """What an answer may quote of what we sent with it. :returns: the credential in all its forms."""
        sent = header_secrets(value for name, value in headers if name == "Authorization")
        return sent | self.target.secrets()

    @contextlib.contextmanager
    def slot(self, subject: str) -> Iterator[None]:
        """One of the requests that may be in flight at once, commands in containers included."""
        while not self._slots.acquire(timeout=_SLOT_POLL):
            self.check(subject)
        try:
            self.check(subject)
            yield
        finally:
            self._slots.release()

    def check(self, subject: str) -> None:
        """:raises ApiError: the run was stopped, or its time is over: nothing more is sent."""
        if self._stop():
            raise ApiError("interrupted: no further request was sent", reason="Interrupted", subject=subject)
        rest = self.remaining()
        if rest is not None and rest <= 0:
            about = f"{subject}: " if subject else ""
            raise ApiError(
                f"{about}the time for all requests is over: this one was not sent",
                reason="Deadline",
                subject=subject,
            )

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Any,
        content_type: str,
        query: Mapping[str, Any] | Sequence[tuple[str, str]] | None,
        timeout: float,
        accept: str,
        subject: str,
        extra_headers: Mapping[str, str] | None = None,
        hidden: Sequence[Pattern] = (),
    ) -> Response:
        """One request with retries. See ``KubeClient.request``.

        :param hidden: fields of ``body`` whose values no error quotes.
        """
        url = self.host + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        payload = None if body is None else json_text(body, separators=(",", ":")).encode()
        headers = {"Accept": accept, "User-Agent": COLLECTION}
        if self.target.compresses:
            headers["Accept-Encoding"] = "gzip"
        if payload is not None:
            headers["Content-Type"] = content_type
        headers.update(extra_headers or {})
        attempt = Attempts(self, subject)
        while True:
            self.check(subject)
            credential, generation = self.authorization(subject)
            try:
                with self.slot(subject):
                    answer = self._pool.request(
                        method,
                        url,
                        body=payload,
                        headers=_merged(headers, credential),
                        retries=False,
                        redirect=False,
                        preload_content=False,
                        timeout=attempt.timeout(timeout),
                    )
                    raw = whole_body(answer)
            except _transport_errors() as error:
                attempt.unanswered(error)
                continue
            self._answered, self.given_up = True, False
            self._accepted = self._accepted or answer.status != 401
            try:
                data = decoded(answer, raw, accept)
            except (ValueError, RecursionError):
                attempt.broken(what_came(answer.status, answer.headers, raw))
                continue
            status = status_of(answer.status, data, accept)
            told = warnings_in(answer.headers)
            good = status < 300 or status == 304
            secrets = secret_values(body, hidden) | self.secrets(credential) if told or not good else set()
            if good:
                told = [redacted(text, secrets) for text in told]
                return Response(status, answer.headers, data, told, attempt.doubtful)
            failure = _refusal(status, data, subject, path, secrets)
            theirs = _is_behind(path) and not is_status(data)
            if status == 401 and not theirs and self.renew(generation):
                continue
            if status not in RETRIED or failure.reason == "Invalid":
                raise noted(failure, attempt.doubtful)
            attempt.refused(failure, answer.headers.get("Retry-After"))

    def pause(self, seconds: float, subject: str = "") -> None:
        """Sleep, but notice within a quarter of a second that the run was stopped."""
        end = self.clock.monotonic() + seconds
        while (rest := end - self.clock.monotonic()) > 0:
            self.check(subject)
            self.clock.sleep(min(0.25, rest))

    @property
    def answered(self) -> bool:
        """Whether the server answered at least once."""
        return self._answered


def _refusal(status: int, data: Any, subject: str, path: str, secrets: Collection[str]) -> ApiError:
    return from_answer(
        status,
        data,
        subject,
        secrets=secrets,
        is_secret=_SECRETS.search(path) is not None,
        behind=_is_behind(path),
    )


def _is_behind(path: str) -> bool:
    """Whether the API server hands a request on, to a Service or a node."""
    return "/proxy/" in path


def _transport_errors() -> tuple[type[BaseException], ...]:
    import urllib3

    return (urllib3.exceptions.HTTPError, OSError)


def _merged(headers: Mapping[str, str], credential: Sequence[tuple[str, str]]) -> Any:
    """One header collection; impersonated groups are repeated headers, which a dict cannot hold."""
    import urllib3

    merged = urllib3.HTTPHeaderDict(headers)
    for name, value in credential:
        merged.add(name, encoded(value))
    return merged
