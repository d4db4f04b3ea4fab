# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation as a sequence of stages, each written down, brought in and proved before the next.

Both roots everywhere -> the new signer -> every certificate from it -> the old root goes. A root is taken
away only when no proxy holds a certificate below it, and a signer is changed only when every proxy trusts it,
so that all proxies trust each other at every moment, forward and back. The journal says which stage istiod is
given; whoever is killed is followed by a run that finds it there.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MeshError, RefusedError
from ...fields import mapping_at, text_at
from ...kube.clock import seconds_of
from ...labels import COLLECTION, MANAGED_BY_LABEL, PART_OF_LABEL
from ...model.certificates.mesh_ca import PLUGGED, SELF_SIGNED, Stage
from ...model.certificates.secret import TLS_TYPE
from ...model.certificates.x509 import rfc3339
from .arrival import arrive
from .istiods import Change, take_over
from .journal import JOURNAL, RotationJournal
from .options import MeshCaOptions
from .proxies import DROP, HOLD, LEAF, Survey

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ...kube.lease import Lease

DONE, WAITING = "done", "waiting"


class Sequence:
    """One run's part of a rotation.

    :param lease: held; its fence is in the journal. :param context: its ``stop`` renews the Lease.
    :ivar last: what the last look at the proxies showed; None before one.
    """

    def __init__(
        self,
        client: KubeClient,
        context: Context,
        lease: Lease,
        options: MeshCaOptions,
        journal: RotationJournal,
    ) -> None:
        self._client = client
        self._context = context
        self._lease = lease
        self._options = options
        self._journal = journal
        self.last: Survey | None = None

    def run(self) -> str:
        """Goes on until the end of the way, in the journal's direction.

        :returns: DONE, or WAITING where proxies need more time than a run has.
        :raises MeshError: proxies cannot be asked, or must be restarted by a person. The journal stays.
        """
        journal = self._journal
        while True:
            if self._context.stop():
                raise MeshError("interrupted between two steps of the rotation; the next run goes on")
            self._bring_in()
            if not self._proved():
                return WAITING
            if journal.stage == (0 if journal.back else len(journal.stages) - 1):
                return DONE
            self.note(stage=journal.stage + (-1 if journal.back else 1))

    def note(self, **changes: Any) -> None:
        """Writes the journal down before what it announces.

        :raises FencedError: another run has taken over. :raises ApiError: it was changed meanwhile.
        """
        self._lease.renew_if_due()
        for name, value in changes.items():
            setattr(self._journal, name, value)
        self._journal.fence = self._lease.fence
        self._journal.write(self._client)

    def _bring_in(self) -> None:
        """Gives istiod the stage's CA, and waits until it works with it."""
        journal = self._journal
        data = journal.data_of(journal.stage)
        live = self._client.get("v1", "Secret", PLUGGED, journal.namespace)
        if dict(mapping_at(live, "data")) != data:
            self._refuse_a_stranger(live)
            self._say(f"istiod gets the CA of stage {journal.current.name}")
            self.note(mark=self._next_mark())
            self._write(live, data)
        previous = journal.stage + (1 if journal.back else -1)
        known = 0 <= previous < len(journal.stages) and bool(journal.data_of(previous))
        before = journal.stages[previous] if known else None
        change = Change(journal.current, before, bool(data), journal.mark)
        take_over(self._client, self._context, journal.namespace, change, self._options)

    def _next_mark(self) -> str:
        """The time, and never that of an earlier mark: an istiod of before would pass for a new one."""
        now = datetime.datetime.fromtimestamp(self._context.clock.now(), datetime.UTC)
        last = seconds_of(self._journal.mark)
        if last is not None:
            now = max(now, datetime.datetime.fromtimestamp(last + 1, datetime.UTC))
        return rfc3339(now)

    def _refuse_a_stranger(self, live: Any) -> None:
        """:raises RefusedError: ``cacerts`` holds none of the CAs of this rotation."""
        journal = self._journal
        known = [journal.data_of(stage) for stage in range(len(journal.stages))]
        # One that is gone is written again: without it istiod would make itself another root.
        if live is not None and dict(mapping_at(live, "data")) not in known:
            raise RefusedError(
                f"Secret {journal.namespace}/{PLUGGED} was changed by somebody else in mid-rotation: put it "
                f"back, or delete Secret {journal.namespace}/{JOURNAL} when its CA is the one that is wanted",
                rule="foreign-change",
            )

    def _write(self, live: Any, data: dict[str, str]) -> None:
        """One conditional write: whoever changed the Secret since it was read makes it fail."""
        self._lease.renew_if_due()
        if not data:
            uid = text_at(live, "metadata", "uid")
            self._client.delete("v1", "Secret", PLUGGED, self._journal.namespace, uid=uid or None)
            return
        write_plugged(self._client, self._journal.namespace, live, data, self._journal.mesh)

    def _asked(self) -> frozenset[str]:
        """What has to be proved before the stage is left."""
        journal = self._journal
        end = len(journal.stages) - 1
        if journal.back:
            # Back from the new signer both roots are everywhere: nothing is to be waited for.
            if journal.stage == 0:
                return frozenset({HOLD, DROP, LEAF})
            return frozenset({LEAF}) if journal.stage == 1 else frozenset()
        if journal.stage == end:
            return frozenset({HOLD, DROP, LEAF})
        signs_new = journal.current.bundle.certificate == journal.new.certificate
        return frozenset({HOLD, LEAF}) if signs_new else frozenset({HOLD})

    def _proved(self) -> bool:
        """Whether every proxy has arrived.

        :raises MeshError: some have not, and nothing here may bring them on.
        """
        asked, journal = self._asked(), self._journal
        if not asked:
            return True
        found = self.last = arrive(self._client, self._context, self._options, self._stage_to_prove(), asked)
        self._say(f"stage {journal.current.name}: {found.told()}")
        if found.done:
            return True
        if not self._options.restart:
            return False
        names = "; ".join(f"{state} {state.late}" for state in found.late[:5])
        raise MeshError(
            f"stage {journal.current.name}: {len(found.late)} of {len(found.states)} proxies are not there: "
            f"{names}. Their workloads cannot be restarted without an outage: restart them when it suits, or "
            "name them in istio_ca_restart_anyway, and run again",
            late=[str(state) for state in found.late],
        )

    def _stage_to_prove(self) -> Stage:
        return self._journal.current

    def _say(self, text: str) -> None:
        self._context.progress(text)


def write_plugged(
    client: KubeClient, namespace: str, live: Any, data: dict[str, str], mesh: str, *, dry_run: bool = False
) -> None:
    """Writes ``cacerts`` as a whole: a key of before must not stay beside the new ones.

    :param live: what was read, the write is conditional on it; None: it must not exist yet.
    :raises ApiError: 409 when somebody else was faster.
    """
    labels = {MANAGED_BY_LABEL: COLLECTION, **({PART_OF_LABEL: mesh} if mesh else {})}
    if live is None:
        kind = TLS_TYPE if "tls.crt" in data else "Opaque"
        metadata = {"name": PLUGGED, "namespace": namespace, "labels": labels}
        obj = {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": data}
        client.create(obj, dry_run=dry_run)
        return
    client.replace({"apiVersion": "v1", "kind": "Secret", **live, "data": data}, dry_run=dry_run)


def finish(client: KubeClient, journal: RotationJournal) -> None:
    """After the last stage was proved: the CA that istiod would fall back to goes, then the journal.

    Were ``istio-ca-secret`` left there, an istiod that loses ``cacerts`` would go back to a root that nobody
    trusts any more, without a word.
    """
    if not journal.back and journal.self_signed:
        client.delete("v1", "Secret", SELF_SIGNED, journal.namespace)
    try:
        client.delete("v1", "Secret", JOURNAL, journal.namespace)
    except ApiError as error:
        if error.status != 404:
            raise
