# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that stand for all others: one for each way in which a set of patterns can answer.

Patterns are ``x``, ``x*``, ``*x`` and ``*``. How they answer about a text hangs on three things: the
longest
prefix and the longest suffix among them that it has, and whether it is one of the exact ones. So the exact
ones,
and each prefix joined with each suffix by a filler that no pattern knows, are enough to see every boundary.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterable, Sequence

from ..reading.principals import Principal, parse_principal
from .matching import address_match

FILLERS = ("elsewhere", "elsewhere1", "elsewhere2", "elsewhere3", "elsewhere4")
ANYWHERE = ("192.0.2.1", "2001:db8::1")
"""Addresses for documentation (RFC 5737, RFC 3849): of nobody, unless a block takes everybody."""


def filler(patterns: Iterable[str]) -> str:
    """A word that is in none of ``patterns``."""
    known = "\0".join(patterns)
    return next((word for word in FILLERS if word not in known), "elsewhere" + "0" * len(known))


def texts(patterns: Iterable[str], base: str = "") -> list[str]:
    """Texts that show every way in which ``patterns`` can answer.

    :param base: what every text begins with when no prefix says so, such as ``/`` of a path.
    :returns: each once, sorted.
    """
    known = set(patterns)
    word = filler(known)
    prefixes, suffixes, found = {base}, {""}, set()
    for pattern in known:
        if pattern == "*":
            continue
        if pattern.startswith("*"):
            suffixes.add(pattern[1:])
        elif pattern.endswith("*"):
            prefixes.add(pattern[:-1])
        else:
            found.add(pattern)
    joined = {f"{prefix}{word}{suffix}" for prefix in prefixes for suffix in suffixes}
    return sorted(found | {text for text in joined if text.startswith(base)})


def paths(patterns: Iterable[str]) -> list[str]:
    """Paths that show every way in which ``patterns`` can answer; templates once with each rest. What stands
    behind ``?`` or ``#`` is no part of a path.

    :returns: each once, sorted.
    """
    known = set(patterns)
    word = filler(known)
    templates = {pattern for pattern in known if "{*}" in pattern or "{**}" in pattern}
    found = set(texts(known - templates, "/"))
    for template in templates:
        for rest in ("", word, f"{word}/{word}"):
            found.add(re.sub(r"\{\*\}", word, template.replace("{**}", rest)))
        found.add(re.sub(r"/?\{\*+\}.*", "", template) or "/")
    return sorted(path for path in found if path.startswith("/") and not {"?", "#"} & {*path})


def addresses(blocks: Iterable[str]) -> list[str | None]:
    """The first address of each block, those on both sides of it, and of nobody; ``None`` alone when there is
    no block. Where several blocks lie in each other, answers change at these places and nowhere else.

    :returns: each once.
    """
    found: list[str | None] = []
    for block in blocks:
        try:
            address_match(block)
        except ValueError:
            continue
        network = ipaddress.ip_network(block, strict=False)
        first = network.network_address
        found.append(str(first))
        for beside in (int(first) - 1, int(network.broadcast_address) + 1):
            if 0 <= beside < 2**network.max_prefixlen:
                found.append(str(type(first)(beside)))
    return list(dict.fromkeys([*found, *ANYWHERE])) if found else [None]


def principals(
    wanted: Iterable[str],
    namespaces: Iterable[str],
    accounts: Iterable[str],
    domains: Sequence[str],
    home: str,
) -> list[str]:
    """Identities that show every way in which the sources of policies can answer; ``""`` is nobody.

    :param wanted: patterns of principals. :param namespaces: patterns of namespaces, with stars anywhere.
    :param accounts: ``namespace/account`` and ``account``. :param domains: the mesh's trust domain, then
        its aliases. :param home: the workload's namespace.
    :returns: each once; exact ones first.
    """
    wanted, namespaces, accounts = list(wanted), list(namespaces), list(accounts)
    word = filler([*wanted, *namespaces, *accounts])
    exact = [item for item in map(parse_principal, wanted) if item and "*" not in str(item)]
    found = [str(item) for item in exact]
    patterns = [item for item in wanted if item != "*" and str(parse_principal(item)) not in found]
    if not patterns and not namespaces and not accounts:
        strangers = [Principal(domain, place, word) for domain in domains for place in (home, word)]
        return list(dict.fromkeys(["", *found, *map(str, strangers)]))
    places, names = {home, word}, {"default", word}
    for item in exact:
        places.add(item.namespace)
        names.add(item.service_account)
    for pattern in patterns:
        place, name = _parts(pattern)
        places.update(_fitting(place, word))
        names.update(_fitting(name, word))
    for pattern in namespaces:
        places.update({pattern.replace("*", ""), pattern.replace("*", word)})
    for account in accounts:
        place, _slash, name = account.rpartition("/")
        places.update({place} - {""})
        names.add(name)
    crossed = itertools.product(domains, sorted(places - {""}), sorted(names - {""}))
    return list(dict.fromkeys(["", *found, *(str(Principal(*parts)) for parts in crossed)]))


def _parts(pattern: str) -> tuple[str, str]:
    """The namespace's and the account's part of a pattern of principals, as patterns; ``""`` for none."""
    parts = pattern.split("/")
    if pattern.startswith("*"):
        return parts[-3] if len(parts) > 2 else "", parts[-1]
    place = parts[2] if len(parts) > 2 else ""
    return place, parts[4] if len(parts) > 4 else ""


def _fitting(pattern: str, word: str) -> set[str]:
    """Names that fit a pattern of one part: without and with something in the place of the star."""
    return {pattern.replace("*", ""), pattern.replace("*", word)} - {""}
