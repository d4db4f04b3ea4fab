# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Lease that one runner holds at a time, and the fence that stops a runner that lost it.

A Lease alone cannot stop a process that wakes up late (client-go's leader election says so itself), so every
write of a run carries the fence, which is the number of the Lease's transitions, and a resourceVersion that
was read together with a fence no newer than the writer's own.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..errors import ApiError, FencedError, RefusedError
from ..fields import annotations_of, integer_at, mapping_at, text_at
from ..labels import ownership_labels
from .clock import Clock, seconds_of, timestamp
from .lease_watch import Watch, sign_of

API = "coordination.k8s.io/v1"
SKEWED = 10.0  # seconds: two servers of one control plane differ by less


def new_identity() -> str:
    """Names this runner: host, process, and a nonce, so that a later process is never mistaken for it."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class LeaseClient(Protocol):
    """The part of the client that a Lease needs."""

    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        """One object. :returns: the object, ``None`` when absent."""

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Create; status 409 when it exists. :returns: the object as it was stored."""

    def replace(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Replace at its resourceVersion; status 409 when it moved on. :returns: the object after it."""


class Lease:
    """One runner's hold on one thing.

    :param what: what is held, for messages: ``a rollout of this service``.
    :param identity: unique per runner, such as ``controller-7:4711:9f3a``.
    :param duration: seconds after which a silent holder counts as dead.
    :ivar namespace: where it is. :ivar floor: the highest fence that the objects behind the Lease bear.
    :ivar known_dead: holder and renewal of one who was watched for long enough, see :func:`watch_all`.
    """

    def __init__(
        self,
        client: LeaseClient,
        clock: Clock,
        *,
        name: str,
        namespace: str,
        mesh: str,
        what: str,
        identity: str,
        duration: int,
    ) -> None:
        self._client = client
        self._clock = clock
        self._name = name
        self._what = what
        self.namespace = namespace
        self._mesh = mesh
        self.identity = identity
        self.duration = duration
        self.fence = 0
        self.floor: Callable[[], int] = lambda: 0
        self._object: dict[str, Any] | None = None
        self._renewed = 0.0
        self.known_dead: tuple[object, object] | None = None

    def read(self) -> dict[str, Any] | None:
        """The Lease object. :returns: the object, None when it does not exist."""
        return self._client.get(API, "Lease", self._name, self.namespace)

    def holder(self, lease: dict[str, Any] | None) -> str:
        """Who holds the Lease and is not known to be dead, by the wall clock; empty for nobody.

        A renewal far in the future comes from a clock that is wrong and says nothing: who takes the Lease
        watches its holder first.
        """
        spec = mapping_at(lease, "spec")
        identity = str(spec.get("holderIdentity") or "")
        renewed = seconds_of(str(spec.get("renewTime") or ""))
        if not identity or renewed is None:
            return identity
        age = self._clock.now() - renewed
        return identity if -SKEWED < age < float(spec.get("leaseDurationSeconds") or 0) else ""

    def acquire(self, *, steal: bool = False, observe: bool = False) -> int:
        """Takes the Lease and returns the fence.

        A holder that looks dead by the wall clock is taken over only after its renewTime stood still for the
        whole duration on this machine's monotonic clock.

        :param observe: watch even a holder that looks alive by the wall clock, instead of refusing at once.
        :param steal: take it now. Only for a rollback whose request the holder did not answer.
        :raises RefusedError: rule ``held``: somebody else holds it; the message says who.
        """
        lease = self.read()
        if lease is None:
            return self._create()
        spec = mapping_at(lease, "spec")
        if spec.get("holderIdentity") and not steal:
            if self.holder(lease) and not observe:
                raise self.held(lease)
            if sign_of(lease) != self.known_dead:
                lease = self._watch_until_dead(lease)
        return self._take(lease) if lease is not None else self._create()

    def renew_if_due(self) -> None:
        """Renews when a third of the duration has passed. Cheap: call it often.

        :raises FencedError: the Lease has gone to another runner.
        """
        if self._clock.monotonic() - self._renewed >= self.duration / 3:
            self.renew()

    def renew(self) -> None:
        """Renews now. A Lease that somebody deleted is made again: nobody else has it.

        :raises FencedError: the Lease has gone to another runner.
        """
        for _turn in range(5):
            lease = self._object or self.read()
            started = self._clock.monotonic()
            if lease is None:
                self._restore(started)
                return
            if not self._is_ours(lease):
                raise self._lost(lease)
            body = {**lease, "spec": {**lease["spec"], "renewTime": timestamp(self._clock.now())}}
            try:
                self._object = self._client.replace(body)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
                self._object = None
                continue
            self._renewed = started
            return
        raise self._lost(self.read())

    def note(self, notes: Mapping[str, str]) -> None:
        """Writes annotations of the Lease, such as what has to be taken back if this run dies.

        :raises FencedError: the Lease has gone to another runner.
        """
        for _turn in range(5):
            lease = self.read()
            if lease is None or not self._is_ours(lease):
                raise self._lost(lease)
            metadata = {**lease["metadata"], "annotations": {**annotations_of(lease), **notes}}
            try:
                self._object = self._client.replace({**lease, "metadata": metadata})
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
                continue
            return
        raise self._lost(self.read())

    def release(self, notes: Mapping[str, str] | None = None) -> None:
        """Gives the Lease back. A Lease that is no longer ours is left alone.

        :param notes: annotations that it keeps, such as when something last went well.
        """
        for _turn in range(5):
            lease = self._object or self.read()
            if lease is None or not self._is_ours(lease):
                return
            try:
                metadata = mapping_at(lease, "metadata")
                kept = {**annotations_of(lease), **(notes or {})}
                body = {**lease, "spec": {**lease["spec"], "holderIdentity": ""}}
                self._client.replace(
                    {**body, "metadata": {**metadata, "annotations": kept}} if kept else body
                )
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
                self._object = None
                continue
            return

    def give_back(self, warn: Callable[[str], None], notes: Mapping[str, str] | None = None) -> None:
        """As :meth:`release`, at the end of a run: what goes wrong hides no reason for which it failed.

        :param warn: is told of it in one sentence. :param notes: annotations that say how the run went.
        """
        try:
            self.release(notes)
        except ApiError as error:
            lost = ", and that this run went well is not written down" if notes else ""
            warn(f"the Lease {self._name} was not given back, and ends by itself{lost}: {error.message}")

    def _restore(self, started: float) -> None:
        """Makes our own Lease again, with our fence.

        :raises FencedError: another runner was faster.
        """
        try:
            self._hold(self._client.create(self._body(self.fence)), started)
        except ApiError as error:
            if error.status != 409:
                raise
            lease = self.read()
            if lease is None or not self._is_ours(lease):
                raise self._lost(lease) from error
            self._hold(lease, started)

    def _body(self, transitions: int) -> dict[str, Any]:
        return {
            "apiVersion": API,
            "kind": "Lease",
            "metadata": {
                "name": self._name,
                "namespace": self.namespace,
                "labels": ownership_labels(self._mesh),
            },
            "spec": self._spec(transitions),
        }

    def _create(self) -> int:
        body = self._body(self.floor() + 1)
        started = self._clock.monotonic()
        try:
            self._hold(self._client.create(body), started)
        except ApiError as error:
            if error.status != 409:
                raise
            lease = self.read()
            if lease is None or not self._is_identity(lease):
                raise self.held(lease) from error
            self._hold(lease, started)  # our own create, whose answer was lost
        return self.fence

    def _take(self, lease: dict[str, Any]) -> int:
        transitions = max(integer_at(lease, "spec", "leaseTransitions"), self.floor()) + 1
        started = self._clock.monotonic()
        try:
            self._hold(self._client.replace({**lease, "spec": self._spec(transitions)}), started)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            current = self.read()
            if current is None or not self._is_identity(current):
                raise self.held(current) from error
            self._hold(current, started)
        return self.fence

    def _watch_until_dead(self, lease: dict[str, Any]) -> dict[str, Any] | None:
        """:returns: the Lease of a dead holder, or None when it was deleted and nobody made it again."""
        watch = Watch(self, lease)
        while not watch.over(self._clock):
            self._clock.sleep(min(1.0, watch.duration))
            watch.look()
        return watch.found

    def _spec(self, transitions: int) -> dict[str, Any]:
        now = timestamp(self._clock.now())
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.duration,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    def _hold(self, lease: dict[str, Any], started: float) -> None:
        self._object = lease
        self._renewed = started
        self.fence = int(lease["spec"]["leaseTransitions"])

    def _is_identity(self, lease: dict[str, Any]) -> bool:
        return text_at(lease, "spec", "holderIdentity") == self.identity

    def _is_ours(self, lease: dict[str, Any]) -> bool:
        return self._is_identity(lease) and int(lease["spec"].get("leaseTransitions") or 0) == self.fence

    def held(self, lease: dict[str, Any] | None) -> RefusedError:
        """The error of somebody who comes second. :param lease: as it was seen last."""
        spec = mapping_at(lease, "spec")
        holder, renewed = spec.get("holderIdentity") or "another runner", spec.get("renewTime") or "just now"
        return RefusedError(
            f"{self._what} is held by {holder}, last renewed {renewed}",
            rule="held",
            holder=holder,
        )

    def _lost(self, lease: dict[str, Any] | None) -> FencedError:
        holder = (mapping_at(lease, "spec")).get("holderIdentity") or "nobody"
        return FencedError(
            f"this run lost its lease to {holder} and stops without another write", holder=holder
        )
