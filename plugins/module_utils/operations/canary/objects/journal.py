# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a rollout in the cluster: intent before each write, result after it, requests from outside.

ConfigMap ``servicemesh-canary-<service>``: key ``journal`` is written by the run that holds the Lease, key
``request`` by anybody who wants a rollback, a promotion or a pause. Both are JSON; see
`model.rollout.journal`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from ....errors import ApiError, FencedError, RefusedError
from ....fields import mapping_at, text_at
from ....kube.clock import Clock, timestamp
from ....labels import ownership_labels
from ....model.rollout.journal import (
    JOURNAL_KEY,
    Action,
    Journal,
    JournalError,
    PersonRequest,
    parse_journal,
    parse_request,
)
from ....model.rollout.record import journal_name
from ..protocols import Objects, too_fast
from .fences import fence_in

ATTEMPTS = 8
REQUEST_KEY = "request"


class JournalStore:
    """Journal of the newest rollout of one service.

    ``known`` is the journal as last read or written; None when there is none.
    """

    def __init__(self, client: Objects, clock: Clock, *, service: str, namespace: str, mesh: str) -> None:
        self._client = client
        self._clock = clock
        self._service = service
        self._name = journal_name(service)
        self._namespace = namespace
        self._mesh = mesh
        self._object: dict[str, Any] | None = None
        self._parsed: tuple[str, Journal] | None = None
        self._taken = ""  # text of the request that this runner obeys
        self.known: Journal | None = None

    def read(self) -> Journal | None:
        """Reads the journal again. :returns: it, or None when there is none.

        :raises JournalError: it is there but not readable.
        """
        self._object = self._client.get("v1", "ConfigMap", self._name, self._namespace)
        self.known = self._in_cluster()
        return self.known

    def refresh(self) -> Journal:
        """Reads the journal of a run that has begun.

        One that somebody deleted or spoiled is still what its runner knows, and whole again with the next
        write.
        :raises JournalError: it is not readable, and never was.
        """
        last = self.known
        try:
            self.known = self.read() or last
        except JournalError:
            if last is None:
                raise
        return self.current

    @property
    def current(self) -> Journal:
        """The journal of a run that has begun.

        :raises JournalError: there is none.
        """
        if self.known is None:
            raise JournalError(f"ConfigMap {self._name} holds no journal")
        return self.known

    @property
    def active(self) -> bool:
        """Whether a run has begun and not ended (its runner may be dead)."""
        return self.known is not None and self.known.state.active

    @property
    def waiting(self) -> bool:
        """Whether the run ended well in a state that another call continues."""
        return self.known is not None and self.known.state.waiting

    def save(self, fence: int, journal: Journal) -> None:
        """Writes a journal, with the writer's fence and the time.

        :param fence: of the writer. :raises FencedError: the journal in the cluster bears a newer one.
        """
        journal = dataclasses.replace(journal, fence=fence, at=timestamp(self._clock.now()))
        text = journal.as_json()
        for _turn in range(ATTEMPTS):
            self._refuse_newer_fence(fence)
            body = self._body(text)
            try:
                written = self._client.replace(body) if self._object else self._client.create(body)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
                with contextlib.suppress(JournalError):  # then it is what this run knows
                    self.read()  # a request arrived, or another runner took over: the fence tells which
                continue
            self._object = written
            self._parsed = (text, journal)
            self.known = journal
            return
        raise too_fast(f"ConfigMap {self._namespace}/{self._name}")

    def request(self) -> PersonRequest | None:
        """The request that waits for this run in the journal as last read or written."""
        text = text_at(self._object, "data", REQUEST_KEY)
        waits = text and text != self._taken
        return parse_request(text, self.known.run) if waits and self.known else None

    def ask(self, action: Action, by: str) -> None:
        """Leaves a request for the runner. Needs no Lease.

        :raises RefusedError: a rollback was asked for and is not done yet: nothing takes its place.
        """
        for _turn in range(ATTEMPTS):
            waits = self.request()
            if waits and waits.action is Action.ROLLBACK is not action:
                raise RefusedError(
                    f"{waits.by or 'somebody'} has asked for a rollback of run {waits.run}: {action} has to"
                    " wait until it is done",
                    rule="rollback-asked",
                )
            request = PersonRequest(action, by, timestamp(self._clock.now()), self.current.run)
            version = text_at(self._object, "metadata", "resourceVersion")
            patch = {"metadata": {"resourceVersion": version}, "data": {REQUEST_KEY: request.as_json()}}
            try:
                self._client.patch("v1", "ConfigMap", self._name, self._namespace, patch)
            except ApiError as error:
                if error.status != 409:
                    raise
                self.refresh()
                continue
            return
        raise too_fast(f"ConfigMap {self._namespace}/{self._name}")

    def take_request(self) -> None:
        """The runner obeys the request: its next write is without it."""
        self._taken = text_at(self._object, "data", REQUEST_KEY)

    def _in_cluster(self) -> Journal | None:
        text = text_at(self._object, "data", JOURNAL_KEY)
        if not text:
            return None
        if self._parsed is None or self._parsed[0] != text:
            self._parsed = (text, parse_journal(text, self._service, self._namespace))
        return self._parsed[1]

    def _refuse_newer_fence(self, fence: int) -> None:
        try:
            there = self._in_cluster()
        except JournalError:
            if self.known is None:
                raise
            if fence_in(self._object, JOURNAL_KEY) > fence:  # of a later version of this collection
                raise FencedError(
                    "another run has taken over; this run stops without another write"
                ) from None
            return
        if there is not None and there.fence > fence:
            raise taken_over(there)

    def _body(self, text: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "name": self._name,
            "namespace": self._namespace,
            "labels": ownership_labels(self._mesh),
        }
        if self._object:
            metadata["resourceVersion"] = self._object["metadata"]["resourceVersion"]
        data = {**mapping_at(self._object, "data"), JOURNAL_KEY: text}
        if self._taken and data.get(REQUEST_KEY) == self._taken:
            del data[REQUEST_KEY]
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def taken_over(journal: Journal) -> FencedError:
    """The error of a runner that sees another one's journal."""
    return FencedError(f"run {journal.run} has taken over; this run stops without another write")
