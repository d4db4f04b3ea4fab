# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One credential from its old pair to its new one, and back when the gateways do not take it.

Keep the old pair -> write the new one -> prove it at every pod, several times in a row -> let the overlap
pass -> drop the old pair. What fails after the write puts the old pair back and proves that. Killed
anywhere, the next run finds the old pair kept and completes or restores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...kube.lease import Lease
from ...model.certificates.secret import CERTIFICATE_KEY, PRIVATE_KEY, decode
from ...model.certificates.x509 import check_pair
from ...verdicts import FAIL, PASS
from .issue import Pair
from .previous import Previous, drop, keep
from .proof import ServingProof
from .write import write_credential

if TYPE_CHECKING:
    from .renewal import ManagedCredential, Renewal

GOOD_IN_A_ROW = 3
Prove = Callable[["Renewal", "ManagedCredential", str, int], ServingProof]
"""Run, credential, fingerprint that must be served, and how many good looks in a row are wanted."""


class Rotation:
    """The writes of one run.

    :param leases: held in every namespace that is written to. :param prove: looks at the gateways.
    """

    def __init__(self, renewal: Renewal, leases: Sequence[Lease], prove: Prove) -> None:
        self._renewal = renewal
        self._leases = leases
        self._prove = prove

    def alive(self) -> None:
        """Renews the Leases when due. :raises FencedError: another run has taken over."""
        for lease in self._leases:
            lease.renew_if_due()

    def resume(self, item: ManagedCredential) -> bool:
        """Ends what a killed run began.

        :returns: whether the credential was written, so that it has to be read again.
        """
        previous = item.previous
        if previous is None:
            return False
        client, credential = self._renewal.client, item.credential
        if item.served_now in ("", previous.fingerprint) or item.assessment.action == "refuse":
            # Nothing had been written, or what is there now is somebody else's: there is nothing to undo.
            if not item.served_now and not self._faults(item, previous.pair):
                self._say(item, "its Secret was lost in mid-rotation: the previous pair is put back")
                write_credential(self._renewal, item, previous.pair)
                drop(client, credential)
                return True
            drop(client, credential)
            return False
        self._say(item, "a rotation was not finished: its pair is proved now")
        proof = self._prove(self._renewal, item, item.served_now, GOOD_IN_A_ROW)
        if proof.status == FAIL and self._restore(item, previous).status != FAIL:
            drop(client, credential)
            return True
        drop(client, credential)
        return False

    def rotate(self, item: ManagedCredential) -> None:
        """Writes the item's pair. The proof says whether it is served, or the previous one is back."""
        pair, renewal = item.pair, self._renewal
        if pair is None:
            return None
        previous = self._keep(item)
        self.alive()
        write_credential(renewal, item, pair)
        if not renewal.options.prove:
            return self._end(item, previous)
        item.proof = self._prove(renewal, item, item.fingerprint, GOOD_IN_A_ROW)
        if item.proof.status != FAIL:
            self._wait(renewal.options.overlap if previous else 0.0)
            return self._end(item, previous)
        if previous is None:
            return None
        if faults := self._faults(item, previous.pair):
            text = f"{item.proof.evidence}; the previous certificate cannot come back: {faults[0]}"
            item.proof = dataclasses.replace(item.proof, evidence=text)
            return self._end(item, previous)
        back = self._restore(item, previous)
        served = "is back and served" if back.status == PASS else f"is back, but {back.evidence}"
        item.proof = dataclasses.replace(
            item.proof, evidence=f"{item.proof.evidence}; the previous certificate {served}"
        )
        item.restored = True
        return self._end(item, previous)

    def _keep(self, item: ManagedCredential) -> Previous | None:
        """Nothing to keep: a first pair, the same pair with fewer keys beside it, or a leaked one."""
        if item.live is None or item.assessment.action != "renew" or item.revoked:
            return None
        old = Pair(decode(item.live, CERTIFICATE_KEY), decode(item.live, PRIVATE_KEY))
        if not old.chain or not old.key or self._unreadable(old):
            return None
        self._say(item, "the previous pair is kept until the new one is proved")
        return keep(self._renewal.client, item.credential, old, item.fingerprint, self._renewal.options.mesh)

    def _unreadable(self, pair: Pair) -> bool:
        rules = {
            fault.rule
            for fault in check_pair(pair.chain, pair.key, hosts=(), roots=(), now=self._renewal.now)
        }
        return bool(rules & {"certificate", "key", "key-mismatch", "size"})

    def _faults(self, item: ManagedCredential, pair: Pair) -> list[str]:
        """What keeps a pair from serving again: a gateway must not get back what clients refuse.

        :returns: sentences; empty when it may.
        """
        faults = check_pair(
            pair.chain, pair.key, hosts=item.credential.hosts, roots=item.roots, now=self._renewal.now
        )
        return [fault.message for fault in faults]

    def _restore(self, item: ManagedCredential, previous: Previous) -> ServingProof:
        if faults := self._faults(item, previous.pair):
            return ServingProof(FAIL, "none", f"the previous certificate cannot come back: {faults[0]}")
        self._say(item, "the new certificate is not served everywhere: the previous one is put back")
        self.alive()
        write_credential(self._renewal, item, previous.pair)
        return self._prove(self._renewal, item, previous.fingerprint, GOOD_IN_A_ROW)

    def _end(self, item: ManagedCredential, previous: Previous | None) -> None:
        if previous is not None:
            drop(self._renewal.client, item.credential)

    def _wait(self, seconds: float) -> None:
        """The overlap: clients that are slow to come still find the pair that can be put back."""
        clock = self._renewal.context.clock
        end = clock.monotonic() + seconds
        while clock.monotonic() < end and not self._renewal.context.stop():
            self.alive()
            clock.sleep(min(1.0, max(0.0, end - clock.monotonic())))

    def _say(self, item: ManagedCredential, text: str) -> None:
        self._renewal.context.progress(f"{item.credential}: {text}")
