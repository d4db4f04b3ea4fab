# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that have to be tried to know all that a set of policies says about one workload.

Everything is taken from the policies' own strings and from what the catalogue states, so that no boundary
that one of them draws is missed.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...fields import list_at, mapping_at, mappings_at, namespace_of, text_at
from ..catalogue.edges import ANONYMOUS, Edge
from ..reading.values import is_number
from . import witnesses
from .authorization import Policy, decides
from .pods import TUNNEL_PORT
from .requests import Request, Token
from .tokens import claim_path

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE")
"""Of those that nobody names, one stands for all; the first that is left (RFC 9110, RFC 5789)."""

ANY_OTHER_PORT = 65535
"""Stands for the ports that nothing names; its chains are the listener's catch-all. No listener stands before
TUNNEL_PORT, so what is said of the others is not said of that one."""
MAX_TRIALS = 20_000
"""Requests per workload and port; above it conditions are no longer tried each with each other."""
INCOMPLETE = "too many conditions to try each with each other"
"""Why what such `Trials` show may not be all."""

_FIELDS = {
    "source": {
        "principals": "source.principal",
        "requestPrincipals": "request.auth.principal",
        "serviceAccounts": "source.serviceAccount",
        "trustDomains": "source.trustDomain",
        "namespaces": "source.namespace",
        "remoteIpBlocks": "remote.ip",
        "ipBlocks": "source.ip",
    },
    "operation": {"hosts": ":authority", "methods": ":method", "paths": ":path", "ports": "destination.port"},
}


def port_label(number: int) -> str:
    """A workload's port in messages."""
    return f"any other port but {TUNNEL_PORT}" if number == ANY_OTHER_PORT else str(number)


@dataclasses.dataclass(frozen=True, slots=True)
class WorkloadPort:
    """A port as its proxy serves it.

    :param http: whether its chain parses requests; with ``tcp`` both for a port whose protocol is sniffed.
    :param plaintext: whether peers without a certificate come through. :param mtls: whether peers with one
        do.
    """

    number: int
    http: bool
    tcp: bool
    plaintext: bool
    mtls: bool = True


def values_of(policies: Iterable[Policy]) -> dict[str, set[str]]:
    """By attribute, every value that a policy compares it with.

    :returns: attribute (``source.principal``, ``:path``, ``request.headers[x]``) -> values.
    """
    found: dict[str, set[str]] = {}
    for policy in policies:
        for rule in mappings_at(policy, "spec", "rules"):
            for key, value in _values(rule):
                found.setdefault(key, set()).add(_with_namespace(key, value, namespace_of(policy)))
    return found


def _with_namespace(key: str, value: str, namespace: str) -> str:
    plain_account = key == "source.serviceAccount" and "/" not in value
    return f"{namespace}/{value}" if plain_account else value


def _values(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section, inner in (("from", "source"), ("to", "operation")):
        for entry in mappings_at(rule, section):
            content = mapping_at(entry, inner)
            for name, key in _FIELDS[inner].items():
                for field in (name, f"not{name[0].upper()}{name[1:]}"):
                    yield from ((key, str(value)) for value in list_at(content, field))
    for condition in mappings_at(rule, "when"):
        key = text_at(condition, "key")
        for field in ("values", "notValues"):
            yield from ((key, str(value)) for value in list_at(condition, field))


@dataclasses.dataclass(frozen=True, slots=True)
class Trials:
    """Requests to try.

    :param complete: whether they show every way to answer; otherwise there were too many conditions to try
        each with each other.
    """

    requests: tuple[Request, ...]
    complete: bool


def trials(
    policies: Iterable[Policy],
    edges: Sequence[Edge],
    ports: Sequence[WorkloadPort],
    *,
    namespace: str,
    trust_domains: Sequence[str],
    issuers: Collection[str] | None = (),
    limit: int = MAX_TRIALS,
) -> Trials:
    """One request for each way in which the policies, or the catalogue, can answer about a workload.

    :param policies: those that select the workload. :param edges: what the catalogue states about it.
    :param namespace: the workload's. :param issuers: whose tokens something validates there; ``None`` where
        that is not known.
    """
    values = values_of(policy for policy in policies if decides(policy))
    for edge in edges:
        if edge.principal != ANONYMOUS:
            values.setdefault("source.principal", set()).add(edge.principal)
        values.setdefault("source.ip", set()).update(edge.ip_blocks)
        values.setdefault(":method", set()).update(edge.methods)
        values.setdefault(":path", set()).update(edge.paths)
    callers = witnesses.principals(
        values.get("source.principal", ()),
        values.get("source.namespace", ()),
        values.get("source.serviceAccount", ()),
        _domains(values, trust_domains),
        namespace,
    )
    sources = witnesses.addresses(values.get("source.ip", ()))
    remotes = witnesses.addresses(values.get("remote.ip", ()))
    # Of a stream both are the peer's address; where a policy asks for one, there is no request without.
    known: list[str | None] = [address for address in dict.fromkeys((*sources, *remotes)) if address]
    peers = known or [None]
    parsed: list[Sequence[Any]] = [
        methods(values.get(":method", ())),
        witnesses.paths(values.get(":path", ())),
        witnesses.texts(values.get(":authority", ())),
        sources,
        remotes,
        _headers(values, limit),
        [None] if issuers is not None and not issuers else _tokens(values, issuers, limit),
        # a client need not say which server it wants
        ["", *witnesses.texts(values["connection.sni"])] if "connection.sni" in values else [None],
    ]
    shapes = list(itertools.islice(itertools.product(*parsed), limit + 1))
    complete = len(shapes) * len(callers) <= limit
    if not complete:
        shapes = _one_by_one(parsed, limit // len(callers))
    found = [
        Request(caller, port.number, method, path, True, host, source, remote, headers, token, sni=sni)
        for port in ports
        if port.http
        for caller in callers
        if (port.mtls if caller else port.plaintext)
        for method, path, host, source, remote, headers, token, sni in shapes
    ]
    found += [
        Request(caller, port.number, "", "", False, "", address, address, sni=sni)
        for port in ports
        if port.tcp
        for caller in callers
        if (port.mtls if caller else port.plaintext)
        for address in peers
        for sni in parsed[-1]
    ]
    return Trials(tuple(found), complete)


def _one_by_one(parts: Sequence[Sequence[Any]], limit: int) -> list[tuple[Any, ...]]:
    """Methods with paths, and every other part changed alone, as far as ``limit`` reaches."""
    base = [part[0] for part in parts]
    found = [(method, path, *base[2:]) for method in parts[0] for path in parts[1]]
    for place in range(2, len(parts)):
        found += [(*base[:place], value, *base[place + 1 :]) for value in parts[place][1:]]
    return found[: max(limit, 1)]


def methods(named: Iterable[str]) -> list[str]:
    """Methods that show every way in which ``named`` can answer: those, and one that nobody names.

    :returns: each once.
    """
    known = set(named)
    plain = {method for method in known if "*" not in method}
    other = next((method for method in METHODS if method not in known), "BREW")
    patterns = [text for text in witnesses.texts(known - plain) if text] if known - plain else []
    return [*sorted(plain), *patterns, other]


def _domains(values: Mapping[str, set[str]], own: Sequence[str]) -> list[str]:
    """The mesh's trust domains, and those that ``trustDomains`` names: a federation's peers come with
    them."""
    named = {value for value in values.get("source.trustDomain", ()) if "*" not in value}
    return list(dict.fromkeys((*own, *sorted(named))))


def named_ports(policies: Iterable[Policy]) -> list[int]:
    """The ports of workloads that rules name, whatever leads there.

    :returns: sorted.
    """
    named = values_of(policy for policy in policies if decides(policy)).get("destination.port", ())
    return sorted({int(text) for text in named if is_number(text) and 0 < int(text) < ANY_OTHER_PORT})


def _headers(values: Mapping[str, set[str]], limit: int) -> list[dict[str, str]]:
    """Header sets: none at all, and each way in which one of the headers can answer, with each of the
    others.

    :param limit: of what is tried; one more shows that there are more.
    """
    patterns: dict[str, set[str]] = {}
    for key, found in values.items():
        if key.startswith("request.headers["):
            name = key.removeprefix("request.headers[").removesuffix("]").lower()
            patterns.setdefault(name, set()).update(found)
    choices = [[None, *witnesses.texts(found)] for found in patterns.values()]
    return [
        {name: text for name, text in zip(patterns, chosen, strict=True) if text is not None}
        for chosen in itertools.islice(itertools.product(*choices), limit + 1)
    ]


def _people(values: Iterable[str], issuers: Collection[str] | None) -> list[tuple[str, str]]:
    """Issuers and subjects that show each way in which ``values`` can answer about them.

    :param values: as ``request.auth.principal`` takes them.
    """
    people = [("https://elsewhere.example", "elsewhere")]
    for value in sorted(values):
        issuer, slash, subject = value.rpartition("/")
        if not slash:  # a suffix is one of the subject, anything else one of the issuer
            issuer, subject = ("*", value) if value.startswith("*") else (value, "")
        people.append((issuer.replace("*", "") or "elsewhere", subject.replace("*", "") or "elsewhere"))
    if issuers is not None:
        subjects = dict.fromkeys(subject for _issuer, subject in people)
        people = list(itertools.product(sorted(issuers), subjects))
    return list(dict.fromkeys(people))


def _tokens(
    values: Mapping[str, set[str]], issuers: Collection[str] | None, limit: int
) -> list[Token | None]:
    """No token, and each way in which one part of a token can answer, with each of the others.

    :param limit: of what is tried; what is beyond it is left out.
    """
    if not any(name.startswith("request.auth.") for name in values):
        return [None]
    claims = {claim_path(key): patterns for key, patterns in sorted(values.items()) if claim_path(key)}
    presenters = values.get("request.auth.presenter", ())
    listed = [_listed(values.get("request.auth.audiences", ())), *map(_listed, claims.values())]
    every = (
        Token(
            *who,
            audiences,
            presenter,
            {path: texts for path, texts in zip(claims, of_claims, strict=True) if texts},
        )
        for who in _people(values.get("request.auth.principal", ()), issuers)
        for presenter in ["", *(witnesses.texts(presenters) if presenters else ())]
        for audiences, *of_claims in itertools.product(*listed)
    )
    return [None, *itertools.islice(every, limit)]


def _listed(patterns: Collection[str]) -> list[tuple[str, ...]]:
    """What stands in a list of which one has to fit: nothing, each text alone, and all of them."""
    found = witnesses.texts(patterns) if patterns else []
    return [(), *((text,) for text in found), *([tuple(found)] if len(found) > 1 else [])]
