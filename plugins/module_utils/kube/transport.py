# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to one API server: one pool, any number of threads, bounded retries.

Source of the pattern: client-go ``rest/with_retry.go`` (Retry-After on 429 and 5xx). Every verb we send is
safe to send twice (server-side apply, PUT with resourceVersion, DELETE with uid, POST that is read back on
"already exists"), so writes are retried like reads.
"""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..documents.json_text import json_text
from ..errors import ApiError
from ..labels import COLLECTION
from .attempts import RETRIED, Attempts, noted
from .clock import Clock, SystemClock
from .credentials import credential_of
from .failures import from_answer
from .headers import encoded
from .keydir import KeyDirectory
from .pool import open_pool, tls_of
from .target import Target, target_of

if TYPE_CHECKING:
    from .options import ConnectionOptions

# However busily it drips: no answer takes longer altogether.
ANSWER_SECONDS = 120.0
_CHUNK = 64 * 1024
_WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')


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
        self._end = self.clock.monotonic() + deadline if deadline is not None else None
        self._stop = stop or (lambda: False)
        self._keys = KeyDirectory()
        self._auth = threading.Lock()
        self._generation = 0
        self._answered = False
        self._accepted = False  # since the credential was loaded
        # Calls in threads may make calls in threads: what counts is what is sent.
        self._slots = threading.BoundedSemaphore(threads)
        try:
            self._use(target_of(options))
            self.authorization()
        except BaseException:
            self._keys.remove()
            raise

    def close(self) -> None:
        """Close the connections and remove the key files."""
        self._pool.clear()
        self._keys.remove()

    @property
    def stopped(self) -> bool:
        """Whether the run was asked to end."""
        return self._stop()

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
        self._pool = open_pool(self.tls, self.target.proxy, max(self.threads, 4))

    def authorization(self) -> tuple[list[tuple[str, str]], int]:
        """Credential and impersonation headers, and the generation of the credential.

        :returns: (name, value) per header, and that number.
        """
        with self._auth:  # otherwise every thread runs the credential plugin at the same time
            value = self._credential.header()
            if self._credential.certificate != self._certificate:
                self._connect()
            generation = self._generation
        credential = [("Authorization", value)] if value else []
        return credential + self._impersonation, generation

    def renew(self, generation: int) -> bool:
        """Load the credential again, from the start. ``False``: it is the same, or was renewed in vain."""
        with self._auth:
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
    ) -> Response:
        """One request with retries. See ``KubeClient.request``."""
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
            self._check_stop(subject)
            credential, generation = self.authorization()
            try:
                with self._slots:
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
                    raw = self._read(answer)
            except _transport_errors() as error:
                attempt.unanswered(error)
                continue
            self._answered = True
            self._accepted = self._accepted or answer.status != 401
            try:
                data = _decode(answer, raw, accept)
            except (ValueError, RecursionError):
                attempt.broken()
                continue
            if answer.status < 300 or answer.status == 304:
                return Response(
                    answer.status, answer.headers, data, _warnings(answer.headers), attempt.doubtful
                )
            failure = from_answer(answer.status, data, subject)
            if answer.status == 401 and self.renew(generation):
                continue
            if answer.status not in RETRIED or failure.reason == "Invalid":
                raise noted(failure, attempt.doubtful)
            attempt.refused(failure, answer.headers.get("Retry-After"))

    def _read(self, answer: Any) -> bytes:
        """The whole body. :raises TimeoutError: it does not end in time, whatever arrives meanwhile."""
        rest = self.remaining()
        end = self.clock.monotonic() + (
            ANSWER_SECONDS if rest is None else min(ANSWER_SECONDS, max(1.0, rest))
        )
        read = getattr(answer, "read1", answer.read)  # urllib3 before 2.1 has no read1
        parts = []
        try:
            while part := read(_CHUNK):
                parts.append(part)
                if self.clock.monotonic() > end:
                    raise TimeoutError("Read timed out: the answer does not end")
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        return b"".join(parts)

    def _check_stop(self, subject: str) -> None:
        if self._stop():
            raise ApiError("interrupted: no further request was sent", reason="Interrupted", subject=subject)

    def pause(self, seconds: float, subject: str = "") -> None:
        """Sleep, but notice within a quarter of a second that the run was stopped."""
        end = self.clock.monotonic() + seconds
        while (rest := end - self.clock.monotonic()) > 0:
            self._check_stop(subject)
            self.clock.sleep(min(0.25, rest))

    @property
    def answered(self) -> bool:
        """Whether the server answered at least once."""
        return self._answered


def _decode(answer: Any, raw: bytes, accept: str) -> Any:
    """The body of an answer. :raises ValueError: it should be JSON and is not; an empty one counts."""
    wants_json = "json" in accept
    if not raw and (answer.status in (204, 304) or answer.status >= 400 or not wants_json):
        return None
    kind = answer.headers.get("Content-Type", "")
    if "json" in kind:
        return json.loads(raw)
    if wants_json and answer.status < 400:
        return json.loads(raw)  # raises: a proxy's page with status 200
    return raw.decode("utf-8", "replace")


def _warnings(headers: Any) -> list[str]:
    values = headers.getlist("Warning") if hasattr(headers, "getlist") else [headers.get("Warning", "")]
    return [found.replace('\\"', '"') for value in values for found in _WARNING.findall(value)]


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
