# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a certificates run, as far as they can be checked without a cluster."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError, Problem
from ...inventory import Inventory
from ...model.certificates.credentials import (
    CERT_MANAGER,
    EXISTING,
    PROVIDED,
    Credential,
    Lifetimes,
    credentials_of,
)
from ...model.certificates.x509 import check_pair, lifetime_faults
from ...model.installation.gateways import gateways_of
from ...model.reading.values import LABEL
from .clients import authority_faults, name_of_clients
from .previous import name_of_previous
from .request import name_of_request
from .sources import ClientAuthorities, Provided, Requested, Sources, positions


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class CertificateOptions:
    """What a run shall achieve, and how.

    :param requested: what a company's CA issues. :param clients: the CAs of clients.
    :param client_overlap: seconds for which a client CA that is replaced is accepted.
    :param key_type: of new keys: ``ecdsa`` or ``rsa``.
    :param renew_at: share of a leaf's life that may be left before it is renewed, 0 < share <= 1; 1 renews
        now.
    :param authority_home: namespace and name of the CA's Secret.
    :param authority_beside_key: whether ``ca.crt`` is written beside each key.
    :param timeout: seconds that a written certificate may take until it is served.
    :param overlap: seconds that the previous pair is kept after the new one is proved.
    :param force: credentials that get a new pair now. :param revoke: those whose key has leaked.
    :param record: whether the time of a successful run is written down.
    :param fail_on: verdicts that make the run fail. :param inventory: who asks.
    """

    mesh: str
    credentials: tuple[Credential, ...]
    provided: Mapping[Credential, Provided]
    requested: Mapping[Credential, Requested]
    clients: Mapping[Credential, ClientAuthorities]
    client_overlap: float
    key_type: str
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
    inventory: Inventory

    def check(self, credential: Credential, now: datetime.datetime) -> None:
        """Judges what is given for a credential: its pair, and the CAs of its clients.

        :raises InputError: with everything that is wrong with it.
        """
        problems = []
        if given := self.provided.get(credential):
            chain, key = given.pair.chain, given.pair.key
            faults = check_pair(chain, key, hosts=credential.hosts, roots=given.roots, now=now)
            faults += lifetime_faults(chain)
            problems += [Problem(given.where, fault.message, fault.rule) for fault in faults]
        if clients := self.clients.get(credential):
            found = authority_faults(clients.authorities, now)
            problems += [Problem(clients.where, text, "client-ca") for text in found]
        if problems:
            raise InputError(problems)


def read_options(params: Mapping[str, Any]) -> CertificateOptions:
    """The options out of the module's parameters.

    :raises InputError: with every problem.
    """
    variables = {"istio_gateways": params["installed_gateways"], "istio_namespace": params["istio_namespace"]}
    named = credentials_of(params["gateways"], gateways_of(variables))
    problems = [*_number_problems(params), *_home_problems(params, named)]
    sources = Sources(named, problems)
    sources.provide(params["provided"])
    sources.request(params["requested"])
    sources.accept(params["client_cas"])
    sources.mark(params["existing"], EXISTING, "certificates_existing")
    sources.mark(params["cert_manager"], CERT_MANAGER, "certificates_cert_manager")
    credentials = sources.credentials
    force = _named(credentials, params["force"], "certificates_force", problems)
    revoke = _named(credentials, params["revoke"], "certificates_revoke", problems)
    problems += _name_problems(credentials)
    if problems:
        raise InputError(problems)
    return CertificateOptions(
        mesh=params["mesh"],
        credentials=tuple(credentials),
        provided=sources.provided,
        requested=sources.requested,
        clients=sources.clients,
        client_overlap=float(params["client_ca_overlap"]),
        key_type=params["key_type"],
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
        inventory=Inventory.from_params(params),
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


def _named(
    credentials: Sequence[Credential], names: Sequence[str], variable: str, problems: list[Problem]
) -> frozenset[Credential]:
    """The credentials that are named; only those whose pairs come about on demand can be."""
    elsewhere = {
        PROVIDED: "is provided: give another pair in certificates_provided",
        EXISTING: "is written by somebody else (certificates_existing): renew it there",
    }
    found = set()
    for place, text, position in positions(credentials, names, variable, problems):
        if why := elsewhere.get(credentials[position].source):
            problems.append(Problem(place, f"{text} {why}", "one-source"))
        else:
            found.add(credentials[position])
    return frozenset(found)


def _name_problems(credentials: Sequence[Credential]) -> list[Problem]:
    """A credential must not have the name of a Secret that a run keeps beside another one."""
    names = {(credential.namespace, credential.name) for credential in credentials}
    return [
        Problem(
            "mesh_gateways",
            f"the credential {other} has the name under which {what} of {credential.name} is kept: rename it",
            "name-taken",
        )
        for credential in credentials
        for other, what in (
            (name_of_previous(credential), "the previous pair"),
            (name_of_request(credential), "the request"),
            (name_of_clients(credential), "the clients' CA"),
        )
        if (credential.namespace, other) in names
    ]


def _lifetimes(params: Mapping[str, Any]) -> Lifetimes:
    day = datetime.timedelta(days=1)
    return Lifetimes(leaf=params["days"] * day, authority=params["ca_days"] * day)
