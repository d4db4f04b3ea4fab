# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a rollout: intent before each write, result after it, requests from outside.

ConfigMap ``servicemesh-canary-<service>``: key ``journal`` is written by the run that holds the Lease, key
``request`` by anybody who wants a rollback, a promotion or a pause. Both are JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...errors import ApiError, MeshError
from ...kube.clock import Clock, timestamp
from ...labels import ownership_labels as owner_labels
from ...model.rollout.journal import (
    ACTIVE,
    SCHEMA,
    WAITING,
    parse_journal,
    shortened,
)
from ...model.rollout.record import journal_name
from .protocols import FencedError, Objects


class Journal:
    """State of the newest rollout of one service. ``state`` is the parsed JSON, empty when there is none."""

    def __init__(self, client: Objects, clock: Clock, *, service: str, namespace: str, mesh: str) -> None:
        self._client = client
        self._clock = clock
        self._name = journal_name(service)
        self._namespace = namespace
        self._mesh = mesh
        self._object: dict[str, Any] | None = None
        self.state: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Reads the journal again and returns its state.

        :raises JournalError: it is there but not readable.
        """
        self._object = self._client.get("v1", "ConfigMap", self._name, self._namespace)
        text = ((self._object or {}).get("data") or {}).get("journal")
        self.state = parse_journal(text, self._name) if text else {}
        return self.state

    @property
    def active(self) -> bool:
        """Whether a run has begun and not ended (its runner may be dead)."""
        return self.state.get("state") in ACTIVE

    @property
    def waiting(self) -> bool:
        """Whether the run ended well in a state that another call continues."""
        return self.state.get("state") in WAITING

    def save(self, fence: int, **changes: Any) -> None:
        """Merges changes into the state and writes it.

        :param fence: fence of the writer. :raises FencedError: the journal bears a newer fence.
        """
        state = {
            **self.state,
            **changes,
            "schema": SCHEMA,
            "fence": fence,
            "at": timestamp(self._clock.now()),
        }
        for _turn in range(8):
            self._check_fence(fence)
            body = self._body(state)
            try:
                written = self._client.replace(body) if self._object else self._client.create(body)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
                self.read()  # a request arrived, or another runner took over: the fence tells which
                continue
            self._object = written
            self.state = state
            return
        raise MeshError(f"ConfigMap {self._namespace}/{self._name} changes faster than it can be written")

    def request(self) -> dict[str, Any]:
        """The request that waits in the journal as last read or written; empty for none."""
        text = ((self._object or {}).get("data") or {}).get("request")
        if not text:
            return {}
        try:
            request = json.loads(text)
        except ValueError:
            return {}
        return request if isinstance(request, dict) and request.get("run") == self.state.get("run") else {}

    def ask(self, action: str, by: str) -> None:
        """Leaves a request for the runner. Needs no Lease.

        :param action: ``rollback``, ``promote`` or ``pause``.
        """
        request = {
            "action": action,
            "by": by,
            "at": timestamp(self._clock.now()),
            "run": self.state.get("run"),
        }
        self._client.patch(
            "v1",
            "ConfigMap",
            self._name,
            self._namespace,
            {"data": {"request": json.dumps(request, separators=(",", ":"))}},
        )

    def drop_request(self, fence: int) -> None:
        """Removes the request after it was taken into the state."""
        if self._object and "request" in (self._object.get("data") or {}):
            self._object = {
                **self._object,
                "data": {k: v for k, v in self._object["data"].items() if k != "request"},
            }
        self.save(fence)

    def _check_fence(self, fence: int) -> None:
        text = ((self._object or {}).get("data") or {}).get("journal")
        current = parse_journal(text, self._name) if text else {}
        if int(current.get("fence") or 0) > fence:
            raise FencedError(
                f"run {current.get('run')} has taken over; this run stops without another write"
            )

    def _body(self, state: Mapping[str, Any]) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "name": self._name,
            "namespace": self._namespace,
            "labels": owner_labels(self._mesh),
        }
        data = dict((self._object or {}).get("data") or {})
        if self._object:
            metadata["resourceVersion"] = self._object["metadata"]["resourceVersion"]
        data["journal"] = json.dumps(shortened(state), separators=(",", ":"))
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
