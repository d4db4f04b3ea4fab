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

from ...errors import ApiError, MeshError, RefusedError
from ...kube.lease import Lease
from ...model.certificates.credentials import CERT_MANAGER, EXISTING
from ...model.certificates.served import CERTIFICATE_KEY, PRIVATE_KEY, decode
from ...model.certificates.x509 import check_pair
from ...verdicts import FAIL, PASS
from .cert_manager import renew
from .clients import put_clients, settle_clients
from .issue import KeyPair
from .previous import Previous, drop, keep, name_of_previous
from .proof import ServingProof
from .renewal import NO_ANSWER
from .request import drop_request
from .serving import read_endpoints
from .write import write_credential

if TYPE_CHECKING:
    from .renewal import ManagedCredential, Renewal

GOOD_IN_A_ROW = 3
Prove = Callable[["Renewal", "ManagedCredential", str, int, Callable[[], bool]], ServingProof]
"""Run, credential, fingerprint that must be served, how many good looks in a row are wanted, and whether to
stop, which is asked several times a second."""


class Rotation:
    """The writes of one run.

    :param leases: held in every namespace that is written to. :param prove: looks at the gateways.
    :ivar resumed: whether a credential was written that has to be read again.
    """

    def __init__(self, renewal: Renewal, leases: Sequence[Lease], prove: Prove) -> None:
        self._renewal = renewal
        self._leases = list(leases)
        self._prove = prove
        self.resumed = False

    def alive(self, item: ManagedCredential) -> None:
        """Renews the Leases when due. Where the server lets us have one no longer, nothing more is done.

        :param item: what is worked on: its own Lease it cannot do without.
        :raises FencedError: another run has taken over.
        """
        for lease in tuple(self._leases):
            try:
                lease.renew_if_due()
            except ApiError as error:
                if error.status in NO_ANSWER or lease.namespace == item.credential.namespace:
                    raise
                self._leases.remove(lease)
                for other in tuple(self._renewal.items):
                    if other.credential.namespace == lease.namespace:
                        self._renewal.leave(other, error)

    def resume(self, item: ManagedCredential) -> None:
        """Ends what a killed run began.

        :raises RefusedError: what serves is no good, and the pair before may not be put back: nothing is
            rotated over it, and it is kept.
        """
        previous = item.previous
        if previous is None:
            return
        if item.credential.source in (EXISTING, CERT_MANAGER):
            pass  # it has become somebody else's meanwhile, and is not ours to write
        elif item.revoked:
            pass  # its key has leaked: it never comes back, and the run makes another one
        elif self._unreadable(_pair_of(item)):
            if not self._faults(item, previous.pair):
                self._say(item, "its pair was lost in mid-rotation: the previous one is put back")
                if refused := self._put_back(item, previous):
                    item.proof = ServingProof(FAIL, "none", refused)
        elif item.served_now != previous.fingerprint and item.assessment.action != "refuse":
            # Else nothing had been written, or what is there now is somebody else's: nothing is to be undone.
            self._say(item, "a rotation was not finished: its pair is proved now")
            seen = self._proof(item, item.served_now)
            if seen.status == FAIL:
                back = self._restore(item, previous)
                item.proof = dataclasses.replace(seen, evidence=f"{seen.evidence}; {back.evidence}")
        self.resumed |= item.restored
        if item.unrestored and item.proof is not None:
            raise RefusedError(f"{item.credential}: {item.proof.evidence}", rule="unrestored")
        self.alive(item)
        self._drop(item, previous)

    def rotate(self, item: ManagedCredential) -> None:
        """Writes the item's pair. The proof says whether it is served, or the previous one is back."""
        context, options = self._renewal.context, self._renewal.options
        if item.pair is None and item.manager is None:
            return
        if context.stop():
            raise MeshError("interrupted between two credentials; the next run completes them")
        if item.has_work:
            self._say(item, f"{item.assessment.action}, {'; '.join(item.assessment.reasons)}")
        if item.manager is not None:
            self._renewed_elsewhere(item)
        if item.pair is None:
            return
        previous = self._keep(item)
        self.alive(item)
        fault = write_credential(self._renewal, item, item.pair)
        if options.prove or fault:
            item.proof = ServingProof(FAIL, "none", fault) if fault else self._proof(item, item.fingerprint)
            if item.proof.status == FAIL:
                item.proof = self._taken_back(item, previous, item.proof)
            elif previous is not None:
                self._wait(item, options.overlap)
        self.alive(item)
        if previous is not None and not item.unrestored:
            self._drop(item, previous)
        if item.answer is not None and item.waiting is not None and not item.restored:
            drop_request(self._renewal.client, item.credential)

    def put_clients(self, item: ManagedCredential) -> None:
        """Writes the CAs of the item's clients."""
        self.alive(item)
        put_clients(self._renewal, item)

    def settle_clients(self, item: ManagedCredential) -> None:
        """Proves the CAs of the item's clients, or puts those before back."""
        client = self._renewal.client
        settle_clients(
            self._renewal, item, lambda: read_endpoints(client, item.credential), lambda: self._stop(item)
        )

    def _renewed_elsewhere(self, item: ManagedCredential) -> None:
        """cert-manager writes: nothing is kept and nothing can be put back, but to wait and to prove."""
        if item.assessment.action not in ("trigger", "await"):
            return
        renew(self._renewal, item, lambda: self._stop(item))
        if item.renewed and item.proof is None and self._renewal.options.prove:
            item.proof = self._proof(item, item.served_now)

    def _taken_back(
        self, item: ManagedCredential, previous: Previous | None, proof: ServingProof
    ) -> ServingProof:
        """The proof of a pair that is not served, with what became of the one before."""
        if previous is None:
            return proof
        back = self._restore(item, previous)
        if not item.restored:
            end = back.evidence
        elif back.status == PASS:
            end = "the previous certificate is back and served"
        else:
            end = f"the previous certificate is back, but {back.evidence}"
        return dataclasses.replace(proof, evidence=f"{proof.evidence}; {end}")

    def _keep(self, item: ManagedCredential) -> Previous | None:
        """Nothing to keep: a first pair, the same pair with fewer keys beside it, or a leaked one."""
        if item.live is None or item.assessment.action != "renew" or item.revoked:
            return None
        old = _pair_of(item)
        if self._unreadable(old):
            return None
        self._say(item, "the previous pair is kept until the new one is proved")
        self.alive(item)
        return keep(self._renewal.client, item.credential, old, self._renewal.options.mesh)

    def _drop(self, item: ManagedCredential, previous: Previous) -> None:
        if stays := drop(self._renewal.client, item.credential, previous):
            self._renewal.context.warn(stays)

    def _unreadable(self, pair: KeyPair) -> bool:
        """Whether no gateway could serve it: it is not there, damaged, or of two halves."""
        rules = {
            fault.rule
            for fault in check_pair(pair.chain, pair.key, hosts=(), roots=(), now=self._renewal.now)
        }
        return bool(rules & {"certificate", "key", "key-mismatch", "size"})

    def _faults(self, item: ManagedCredential, pair: KeyPair) -> list[str]:
        """What keeps a pair from serving again: a gateway must not get back what clients refuse.

        :returns: sentences; empty when it may.
        """
        faults = check_pair(
            pair.chain, pair.key, hosts=item.credential.hosts, roots=item.roots, now=self._renewal.now
        )
        return [fault.message for fault in faults]

    def _restore(self, item: ManagedCredential, previous: Previous) -> ServingProof:
        """Puts the previous pair back and proves it; one that clients would refuse stays away."""
        if faults := self._faults(item, previous.pair):
            return ServingProof(FAIL, "none", f"the previous certificate cannot come back: {faults[0]}")
        self._say(item, "the new certificate is not served everywhere: the previous one is put back")
        if refused := self._put_back(item, previous):
            return ServingProof(FAIL, "none", refused)
        return self._proof(item, previous.fingerprint)

    def _put_back(self, item: ManagedCredential, previous: Previous) -> str:
        """Writes the previous pair. :returns: why it was refused; ``""`` when it is back."""
        self.alive(item)
        try:
            fault = write_credential(self._renewal, item, previous.pair)
        except ApiError as error:
            fault = error.message
        if fault:
            item.unrestored = True
            where = f"Secret {item.credential.namespace}/{name_of_previous(item.credential)}"
            text = f"the previous certificate cannot be put back, {where} keeps it for the next run"
            return f"{text}: {fault}"
        item.restored = True
        return ""

    def _proof(self, item: ManagedCredential, fingerprint: str) -> ServingProof:
        return self._prove(self._renewal, item, fingerprint, GOOD_IN_A_ROW, lambda: self._stop(item))

    def _stop(self, item: ManagedCredential) -> bool:
        """Whether to stop. What waits may take longer than a Lease lasts: it is renewed meanwhile."""
        self.alive(item)
        return self._renewal.context.stop()

    def _wait(self, item: ManagedCredential, seconds: float) -> None:
        """The overlap: clients that are slow to come still find the pair that can be put back."""
        clock = self._renewal.context.clock
        end = clock.monotonic() + seconds
        while clock.monotonic() < end and not self._renewal.context.stop():
            self.alive(item)
            clock.sleep(min(1.0, max(0.0, end - clock.monotonic())))

    def _say(self, item: ManagedCredential, text: str) -> None:
        self._renewal.context.progress(f"{item.credential}: {text}")


def _pair_of(item: ManagedCredential) -> KeyPair:
    """What the Secret held when it was read."""
    live = item.live or {}
    return KeyPair(decode(live, CERTIFICATE_KEY), decode(live, PRIVATE_KEY))
