# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one certificates run works on."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, InputError, MeshError, RefusedError
from ...model.certificates.credentials import Credential, renewal_due
from ...model.certificates.pem import UnreadablePemError
from ...model.certificates.secret import Assessment, judged_pair
from ...model.certificates.x509 import read_chain
from .authority import AuthorityState
from .clients import ClientPlan
from .issue import KeyPair, fingerprint
from .options import CertificateOptions
from .previous import Previous
from .proof import ServingProof
from .request import Waiting

if TYPE_CHECKING:
    from cryptography import x509

    from ...context import Context
    from ...kube.client import KubeClient


@dataclasses.dataclass(slots=True, repr=False)
class ManagedCredential:
    """One credential on its way through a run.

    :param roots: what its leaf must lead to; ``roots_pem`` is the same for a TLS client.
    :param previous: what an unfinished rotation left. :param pair: what is written, None when nothing is.
    :param revoked: its key has leaked: the pair that serves now never comes back.
    :param current: the Secret as it is after the last write. :param restored: the previous pair is back.
    :param unrestored: it could not be put back, and waits for the next run.
    :param began_with: fingerprint of the leaf that the Secret held when the run began.
    :param answer: the certificate that was asked for, with its key. :param ask: the request to write.
    :param waiting: the request that waits. :param spent: it has its answer, and its Secret goes.
    :param manager: the Certificate of cert-manager. :param told: it was told to renew.
    :param renewed: cert-manager has written a new pair.
    :param clients_version: resourceVersion of the Secret with them after the last write.
    :param clients: what becomes of the CAs of its clients. :param clients_restored: those before are back.
    :param asks_clients: whether a Gateway asks for a certificate of clients.
    :param failure: why the run has left it to a person.
    """

    credential: Credential
    live: Mapping[str, Any] | None
    assessment: Assessment
    roots: Sequence[x509.Certificate]
    roots_pem: str
    previous: Previous | None = None
    revoked: bool = False
    pair: KeyPair | None = None
    current: Mapping[str, Any] | None = None
    restored: bool = False
    unrestored: bool = False
    proof: ServingProof | None = None
    began_with: str = ""
    answer: KeyPair | None = None
    ask: Waiting | None = None
    waiting: Waiting | None = None
    spent: bool = False
    manager: Mapping[str, Any] | None = None
    told: bool = False
    renewed: bool = False
    clients: ClientPlan | None = None
    clients_proof: ServingProof | None = None
    clients_version: str = ""
    clients_restored: bool = False
    asks_clients: bool = False
    failure: MeshError | None = None

    @property
    def waits(self) -> bool:
        """Whether somebody else has to act: a request waits for its certificate, or is made now."""
        return self.assessment.action in ("ask", "wait")

    @property
    def has_work(self) -> bool:
        """Whether the run has to do anything for it but look."""
        return bool(
            self.assessment.writes
            or self.previous
            or self.ask
            or self.spent
            or self.assessment.action in ("trigger", "await")
            or (self.clients is not None and self.clients.writes)
        )

    @property
    def replaced(self) -> bool:
        """Whether this run brought another pair."""
        return self.pair is not None or self.renewed

    @property
    def served_now(self) -> str:
        """Fingerprint of the leaf that the Secret held when it was read; ``""`` when there was none."""
        return self.assessment.facts.fingerprint if self.assessment.facts else ""

    @property
    def ends(self) -> datetime.datetime | None:
        """When what the Secret held is over: its leaf, or a CA of its chain; None: it cannot be read."""
        try:
            chain = read_chain(judged_pair(self.credential, self.live or {})[0])
        except UnreadablePemError:
            return None
        return min(link.not_valid_after_utc for link in chain)

    def is_due(self, now: datetime.datetime, renew_at: float) -> bool:
        """Whether at most the share ``renew_at`` of its life is left, by its own end or one of its chain."""
        facts, ends = self.assessment.facts, self.ends
        if facts is None or ends is None:
            return False
        return renewal_due(facts.not_before, facts.not_after, now, renew_at, ends)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the leaf that must be served, or ``""`` while there is none."""
        if self.pair is not None and not self.restored:
            return fingerprint(self.pair)
        return self.served_now


NO_ANSWER = (0, 401, 429, 503, 504)
"""What the API server says, or does not, when it would say the same of every other request."""


@dataclasses.dataclass(slots=True, repr=False)
class Renewal:
    """A run: the cluster, what is wanted, what was found.

    A certificate that ends is worse than a run that fails: no credential keeps another from its renewal.

    :param absent: the namespaces among those concerned that do not exist.
    :param authority: the CA, None when nothing is issued.
    :ivar items: what the run works on. :ivar left: what it has left to a person.
    """

    client: KubeClient
    options: CertificateOptions
    context: Context
    now: datetime.datetime
    authority: AuthorityState | None
    absent: frozenset[str]
    items: list[ManagedCredential] = dataclasses.field(default_factory=list)
    left: list[ManagedCredential] = dataclasses.field(default_factory=list)

    def for_each(self, step: Callable[[ManagedCredential], object]) -> None:
        """Takes a step with every item; one that is refused or fails is left, and the others go on.

        :raises ApiError: the server would refuse or fail the others as well.
        """
        for item in tuple(self.items):
            if not any(one is item for one in self.items):
                continue  # it was left meanwhile
            try:
                step(item)
            except (InputError, RefusedError) as error:
                self.leave(item, error)
            except ApiError as error:
                if error.status in NO_ANSWER:
                    raise
                self.leave(item, error)

    def leave(self, item: ManagedCredential, error: MeshError) -> None:
        """Works no more on an item; what was written of it stays told."""
        self.items = [one for one in self.items if one is not item]
        self.left.append(item)
        item.failure = error
        if item.current is None:
            item.pair = None
            item.assessment = dataclasses.replace(item.assessment, action="refuse", reasons=(error.message,))
        if not item.clients_version:
            item.clients = None

    def failure(self) -> MeshError | None:
        """Why something was left, as one error. :returns: None when nothing was."""
        errors = list({item.failure.message: item.failure for item in self.left if item.failure}.values())
        if len(errors) < 2:
            return errors[0] if errors else None
        if all(isinstance(error, InputError) for error in errors):
            inputs = [error for error in errors if isinstance(error, InputError)]
            return InputError([problem for error in inputs for problem in error.problems])
        text = "; ".join(error.message for error in errors)
        rules = [error.rule for error in errors if isinstance(error, RefusedError)]
        return RefusedError(text, rule=rules[0]) if len(rules) == len(errors) else MeshError(text)
