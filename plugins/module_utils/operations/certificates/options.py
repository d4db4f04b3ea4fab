# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a certificates run, as far as they can be checked without a cluster."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Problem
from ...model.certificates.credentials import EXISTING, PROVIDED, Credential, Lifetimes, credentials_of
from ...model.certificates.pem import UnreadableError, certificates_of, key_of
from ...model.certificates.x509 import check_pair, read_chain
from ...model.installation.gateways import gateways_of
from ...model.reading.values import LABEL
from .issue import Pair
from .previous import name_of_previous

if TYPE_CHECKING:
    from cryptography import x509


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Provided:
    """A pair that the user brings. ``roots`` are what its path must end in; empty when none were given."""

    where: str
    pair: Pair
    roots: tuple[x509.Certificate, ...] = ()
    roots_pem: str = ""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class CertificateOptions:
    """What a run shall achieve, and how.

    :param renew_at: share of a leaf's life that may be left before it is renewed, 0 < share <= 1; 1 renews
        now.
    :param authority_home: namespace and name of the CA's Secret.
    :param authority_beside_key: whether ``ca.crt`` is written beside each key.
    :param timeout: seconds that a written certificate may take until it is served.
    :param overlap: seconds that the previous pair is kept after the new one is proved.
    :param force: credentials that get a new pair now. :param revoke: those whose key has leaked.
    :param record: whether the time of a successful run is written down.
    :param fail_on: verdicts that make the run fail.
    """

    mesh: str
    credentials: tuple[Credential, ...]
    provided: Mapping[Credential, Provided]
    lifetimes: Lifetimes
    renew_at: float
    authority_home: tuple[str, str]
    replace_lost_authority: bool
    authority_beside_key: bool
    prove: bool
    timeout: float
    overlap: float
    force: frozenset[Credential]
    revoke: frozenset[Credential]
    record: bool
    fail_on: frozenset[str]

    def check(self, now: datetime.datetime) -> None:
        """Judges the provided pairs.

        :raises InputError: with everything that is wrong with any of them.
        """
        problems = [
            Problem(given.where, fault.message, fault.rule)
            for credential, given in self.provided.items()
            for fault in check_pair(
                given.pair.chain, given.pair.key, hosts=credential.hosts, roots=given.roots, now=now
            )
        ]
        if problems:
            raise InputError(problems)


def read_options(params: Mapping[str, Any]) -> CertificateOptions:
    """The options out of the module's parameters.

    :raises InputError: with every problem.
    """
    variables = {"istio_gateways": params["installed_gateways"], "istio_namespace": params["istio_namespace"]}
    credentials = list(credentials_of(params["gateways"], gateways_of(variables)))
    problems = [*_number_problems(params), *_home_problems(params, credentials)]
    provided = _provide(credentials, params["provided"], problems)
    _mark_existing(credentials, params["existing"], problems)
    force = _named(credentials, params["force"], "certificates_force", problems)
    revoke = _named(credentials, params["revoke"], "certificates_revoke", problems)
    problems += _previous_problems(credentials)
    if problems:
        raise InputError(problems)
    return CertificateOptions(
        mesh=params["mesh"],
        credentials=tuple(credentials),
        provided=provided,
        lifetimes=_lifetimes(params),
        renew_at=params["renew_at"],
        authority_home=(params["ca_namespace"], params["ca_secret"]),
        replace_lost_authority=params["replace_lost_ca"],
        authority_beside_key=params["authority_beside_key"],
        prove=params["prove"],
        timeout=float(params["timeout"]),
        overlap=float(params["overlap"]),
        force=force | revoke,
        revoke=revoke,
        record=params["record"],
        fail_on=frozenset(params["fail_on"]),
    )


def _number_problems(params: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if not 1 <= params["days"] <= 398:
        # CA/Browser Forum baseline 6.3.2: clients refuse longer-lived server certificates.
        problems.append(Problem("certificates_days", f"is {params['days']}, not 1 to 398", "range"))
    if not params["days"] < params["ca_days"] <= 7300:
        problems.append(
            Problem("certificates_ca_days", "must be more than certificates_days and at most 7300", "range")
        )
    if not 0 < params["renew_at"] <= 1:
        message = f"is {params['renew_at']}, not above 0 and at most 1, which renews now"
        problems.append(Problem("certificates_renew_at", message, "range"))
    return problems


def _home_problems(params: Mapping[str, Any], credentials: Sequence[Credential]) -> list[Problem]:
    home, where = params["ca_namespace"], "certificates_ca_namespace"
    problems = []
    if fault := LABEL.fault(home):
        problems.append(Problem(where, fault, LABEL.rule))
    crowded = [str(credential) for credential in credentials if credential.namespace == home]
    if crowded:
        message = f"is also home of {', '.join(crowded)}: a gateway may list all Secrets of its namespace"
        problems.append(Problem(where, message, "ca-exposed"))
    return problems


def _provide(
    credentials: list[Credential], entries: Sequence[Mapping[str, Any]], problems: list[Problem]
) -> dict[Credential, Provided]:
    """Marks the credentials whose pair is given. :returns: those with their pairs."""
    provided: dict[Credential, Provided] = {}
    for index, entry in enumerate(entries):
        place = f"certificates_provided[{index}]"
        position = _position(credentials, entry["name"], entry.get("namespace") or "")
        if position is None:
            message = f"no gateway names the credential {entry['name']}"
            problems.append(Problem(place, message, "unknown-credential"))
            continue
        credential = credentials[position] = dataclasses.replace(credentials[position], source=PROVIDED)
        given = _provided(entry, place, problems)
        if given is not None:
            provided[credential] = given
    return provided


def _mark_existing(credentials: list[Credential], names: Sequence[str], problems: list[Problem]) -> None:
    """Marks the credentials that somebody else writes."""
    for place, text, position in _positions(credentials, names, "certificates_existing", problems):
        if credentials[position].source == PROVIDED:
            problems.append(Problem(place, f"{text} is also provided", "one-source"))
        else:
            credentials[position] = dataclasses.replace(credentials[position], source=EXISTING)


def _named(
    credentials: Sequence[Credential], names: Sequence[str], variable: str, problems: list[Problem]
) -> frozenset[Credential]:
    """The credentials that are named; only those that we issue can be."""
    elsewhere = {
        PROVIDED: "is provided: give another pair in certificates_provided",
        EXISTING: "is written by somebody else (certificates_existing): renew it there",
    }
    found = set()
    for place, text, position in _positions(credentials, names, variable, problems):
        if why := elsewhere.get(credentials[position].source):
            problems.append(Problem(place, f"{text} {why}", "one-source"))
        else:
            found.add(credentials[position])
    return frozenset(found)


def _positions(
    credentials: Sequence[Credential], names: Sequence[str], variable: str, problems: list[Problem]
) -> Iterator[tuple[str, str, int]]:
    """Where a variable's entries, ``name`` or ``namespace/name``, stand among the credentials."""
    for index, text in enumerate(names):
        namespace, _slash, name = text.rpartition("/")
        position = _position(credentials, name, namespace)
        place = f"{variable}[{index}]"
        if position is None:
            problems.append(Problem(place, f"no gateway names the credential {text}", "unknown-credential"))
        else:
            yield place, text, position


def _previous_problems(credentials: Sequence[Credential]) -> list[Problem]:
    """A credential must not have the name under which another one's previous pair is kept."""
    names = {(credential.namespace, credential.name) for credential in credentials}
    taken = [
        credential
        for credential in credentials
        if (credential.namespace, name_of_previous(credential)) in names
    ]
    return [
        Problem(
            "mesh_gateways",
            f"the credential {name_of_previous(credential)} has the name under which the previous pair of"
            f" {credential.name} is kept: rename it",
            "previous-taken",
        )
        for credential in taken
    ]


def _position(credentials: Sequence[Credential], name: str, namespace: str) -> int | None:
    for position, credential in enumerate(credentials):
        if credential.name == name and namespace in ("", credential.namespace):
            return position
    return None


def _provided(entry: Mapping[str, Any], place: str, problems: list[Problem]) -> Provided | None:
    """A pair as it is going to be written: PEM that everybody reads. :returns: ``None`` with a problem."""
    before = len(problems)
    chain = _pem(entry["certificate"], certificates_of, f"{place}.certificate", problems)
    key = _pem(entry["private_key"], key_of, f"{place}.private_key", problems)
    authority = _pem(entry["ca"], _roots_of, f"{place}.ca", problems) if entry.get("ca") else b""
    if len(problems) > before:
        return None
    roots = tuple(read_chain(authority)) if authority else ()
    return Provided(place, Pair(chain, key), roots, authority.decode())


def _roots_of(text: str) -> bytes:
    pem = certificates_of(text)
    read_chain(pem)
    return pem


def _pem(text: str, read: Callable[[str], bytes], place: str, problems: list[Problem]) -> bytes:
    try:
        return read(text)
    except UnreadableError as error:
        problems.append(Problem(place, str(error), "pem"))
        return b""


def _lifetimes(params: Mapping[str, Any]) -> Lifetimes:
    day = datetime.timedelta(days=1)
    return Lifetimes(leaf=params["days"] * day, authority=params["ca_days"] * day)
