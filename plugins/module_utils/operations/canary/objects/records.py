# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release record of a service in the cluster: read, and written under the fence of its run."""

from __future__ import annotations

from typing import Any

from ....errors import ApiError, FencedError
from ....model.rollout.record import (
    RECORD_KEY,
    RecordError,
    ReleaseRecord,
    read_record,
    release_name,
    release_object,
)
from ..protocols import Objects, too_fast
from .fences import fence_in

ATTEMPTS = 8


class Records:
    """The release record of one service."""

    def __init__(self, client: Objects, *, service: str, namespace: str, mesh: str) -> None:
        self._client = client
        self._service = service
        self._namespace = namespace
        self._mesh = mesh
        self._live: dict[str, Any] | None = None

    def read(self) -> ReleaseRecord | None:
        """The record; ``None`` when there is none.

        :raises RecordError: there is one that cannot be read.
        """
        self._live = self._client.get("v1", "ConfigMap", release_name(self._service), self._namespace)
        return read_record(self._live)

    def known(self) -> ReleaseRecord | None:
        """The record as far as it can be read: a run that goes on knows what it has to say."""
        try:
            return self.read()
        except RecordError:
            return None

    def write(self, record: ReleaseRecord) -> bool:
        """Writes the record unless it says so already.

        One that was spoiled by hand is whole again with the next write of the run, which knows what it says.
        :raises FencedError: a newer run wrote it, or a later version of this collection.
        """
        for _turn in range(ATTEMPTS):
            current = self.known()
            if fence_in(self._live, RECORD_KEY) > record.fence:
                by = f"run {current.run}" if current else "a newer run"
                raise FencedError(f"{by} has written a newer release record")
            if current == record:
                return False
            body = release_object(
                record, service=self._service, namespace=self._namespace, mesh_name=self._mesh
            )
            try:
                if self._live is None:
                    self._client.create(body)
                else:
                    body["metadata"]["resourceVersion"] = self._live["metadata"]["resourceVersion"]
                    self._client.replace(body)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
                continue
            return True
        raise too_fast(f"the release record of {self._service}")
