# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a credential's certificate comes from, as the options say it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import Problem
from ...model.certificates.chain import ordered
from ...model.certificates.credentials import CERT_MANAGER, EXISTING, PROVIDED, REQUESTED, Credential
from ...model.certificates.pem import UnreadablePemError, certificates_of, key_of
from ...model.certificates.x509 import read_chain, read_key, same_key
from .issue import KeyPair, subject_of

if TYPE_CHECKING:
    from cryptography import x509


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Provided:
    """A pair that the user brings. ``roots`` are what its path must end in; empty when none were given."""

    where: str
    pair: KeyPair
    roots: tuple[x509.Certificate, ...] = ()
    roots_pem: str = ""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Requested:
    """A certificate that a company's CA issues on request.

    :param answer: what that CA sent back (PEM, in any order), empty while there is nothing.
    :param subject: distinguished name of the request (RFC 4514), empty for one of the first host.
    """

    where: str
    subject: str = ""
    answer: bytes = b""
    roots: tuple[x509.Certificate, ...] = ()
    roots_pem: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class ClientAuthorities:
    """The CAs by which clients are known."""

    where: str
    authorities: tuple[x509.Certificate, ...]


class Sources:
    """Marks the credentials that are not issued by our CA, each for one other source.

    :ivar credentials: with their sources. :ivar problems: what is wrong with what was given.
    """

    def __init__(self, credentials: Sequence[Credential], problems: list[Problem]) -> None:
        self.credentials = list(credentials)
        self.problems = problems
        self._marked: dict[int, str] = {}
        self._provided: dict[int, Provided] = {}
        self._requested: dict[int, Requested] = {}
        self._clients: dict[int, ClientAuthorities] = {}

    @property
    def provided(self) -> dict[Credential, Provided]:
        """The pairs that are given. :returns: by credential."""
        return {self.credentials[position]: given for position, given in self._provided.items()}

    @property
    def requested(self) -> dict[Credential, Requested]:
        """What a company's CA issues. :returns: by credential."""
        return {self.credentials[position]: given for position, given in self._requested.items()}

    @property
    def clients(self) -> dict[Credential, ClientAuthorities]:
        """The CAs of clients. :returns: by credential."""
        return {self.credentials[position]: given for position, given in self._clients.items()}

    def accept(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """``certificates_client_cas``."""
        for place, entry, position in self._entries(entries, "certificates_client_cas"):
            if position in self._clients:
                self.problems.append(Problem(place, f"{entry['name']} is named twice", "one-source"))
            pem = self._pem(entry["ca"], readable_certificates, f"{place}.ca")
            if pem:
                self._clients[position] = ClientAuthorities(f"{place}.ca", tuple(read_chain(pem)))

    def provide(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """``certificates_provided``."""
        for place, entry, position in self._entries(entries, "certificates_provided"):
            self._mark(position, PROVIDED, place, entry["name"])
            given = self._pair(entry, place)
            if given is not None:
                self._provided[position] = given

    def request(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """``certificates_requested``."""
        for place, entry, position in self._entries(entries, "certificates_requested"):
            self._mark(position, REQUESTED, place, entry["name"])
            answer = b""
            if (entry.get("certificate") or "").strip():
                answer = self._pem(entry["certificate"], certificates_of, f"{place}.certificate")
            roots, roots_pem = self._roots(entry, place)
            subject = entry.get("subject") or ""
            if fault := subject_fault(subject):
                self.problems.append(Problem(f"{place}.subject", fault, "subject"))
            self._requested[position] = Requested(place, subject, answer, roots, roots_pem)

    def mark(self, names: Sequence[str], source: str, variable: str) -> None:
        """The credentials that somebody else writes. :param source: EXISTING or CERT_MANAGER."""
        for place, text, position in positions(self.credentials, names, variable, self.problems):
            self._mark(position, source, place, text)

    def _mark(self, position: int, source: str, place: str, text: str) -> None:
        before = self._marked.get(position)
        if before is not None:
            words = {
                PROVIDED: "provided",
                REQUESTED: "requested",
                EXISTING: "in certificates_existing",
                CERT_MANAGER: "in certificates_cert_manager",
            }
            told = "named twice" if before == source else f"also {words[before]}"
            self.problems.append(Problem(place, f"{text} is {told}", "one-source"))
            return
        self._marked[position] = source
        self.credentials[position] = dataclasses.replace(self.credentials[position], source=source)

    def _entries(
        self, entries: Sequence[Mapping[str, Any]], variable: str
    ) -> Iterator[tuple[str, Mapping[str, Any], int]]:
        for index, entry in enumerate(entries):
            place = f"{variable}[{index}]"
            name, namespace = entry["name"], entry.get("namespace") or ""
            position = position_of(self.credentials, name, namespace, place, self.problems)
            if position is not None:
                yield place, entry, position

    def _pair(self, entry: Mapping[str, Any], place: str) -> Provided | None:
        """A pair as it is going to be written: PEM that everybody reads, the leaf first.

        :returns: ``None`` with a problem.
        """
        before = len(self.problems)
        chain = self._pem(entry["certificate"], certificates_of, f"{place}.certificate")
        key = self._pem(entry["private_key"], key_of, f"{place}.private_key")
        roots, roots_pem = self._roots(entry, place)
        if len(self.problems) > before:
            return None
        try:
            return Provided(place, KeyPair(in_order(chain, key), key), roots, roots_pem)
        except UnreadablePemError as error:
            self.problems.append(Problem(f"{place}.certificate", str(error), "chain"))
            return None

    def _roots(self, entry: Mapping[str, Any], place: str) -> tuple[tuple[x509.Certificate, ...], str]:
        given = entry.get("ca") or ""
        pem = self._pem(given, readable_certificates, f"{place}.ca") if given.strip() else b""
        return (tuple(read_chain(pem)), pem.decode()) if pem else ((), "")

    def _pem(self, text: str, read: Callable[[str], bytes], place: str) -> bytes:
        try:
            return read(text)
        except UnreadablePemError as error:
            self.problems.append(Problem(place, str(error), "pem"))
            return b""


def in_order(chain: bytes, key: bytes) -> bytes:
    """The chain in the order of TLS; as it is where the key or the leaf is at fault, for the judge of pairs.

    :raises UnreadableError: a certificate is no part of the chain.
    """
    try:
        held = read_key(key)
        if not any(same_key(link, held) for link in read_chain(chain)):
            return chain
    except UnreadablePemError:
        return chain
    return ordered(chain, held)


def readable_certificates(text: str) -> bytes:
    """Certificates that can be parsed, as PEM. :raises UnreadableError: otherwise."""
    pem = certificates_of(text)
    read_chain(pem)
    return pem


def subject_fault(text: str) -> str:
    """Why a distinguished name cannot be asked for; ``""`` when it can."""
    try:
        subject_of(text)
    except ValueError:
        return f"is {text!r}, not a distinguished name such as CN=api.example.com,O=Example,C=DE"
    return ""


def positions(
    credentials: Sequence[Credential], names: Sequence[str], variable: str, problems: list[Problem]
) -> Iterator[tuple[str, str, int]]:
    """Where a variable's entries, ``name`` or ``namespace/name``, stand among the credentials."""
    for index, text in enumerate(names):
        namespace, _slash, name = text.rpartition("/")
        place = f"{variable}[{index}]"
        position = position_of(credentials, name, namespace, place, problems)
        if position is not None:
            yield place, text, position


def position_of(
    credentials: Sequence[Credential], name: str, namespace: str, place: str, problems: list[Problem]
) -> int | None:
    """Where the credential of that name stands. Which one is meant is never guessed.

    :param place: where it was named. :returns: ``None`` with a problem.
    """
    found = [
        position
        for position, credential in enumerate(credentials)
        if credential.name == name and namespace in ("", credential.namespace)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        text = f"no gateway names the credential {f'{namespace}/' if namespace else ''}{name}"
        problems.append(Problem(place, text, "unknown-credential"))
        return None
    homes = ", ".join(credentials[position].namespace for position in found)
    text = f"several gateways have a credential {name} (namespaces {homes}): say which namespace is meant"
    problems.append(Problem(place, text, "ambiguous"))
    return None
