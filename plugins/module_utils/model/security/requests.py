# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request as an AuthorizationPolicy sees it, and what the policies of a workload decide about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

ALLOW, DENY, UNKNOWN = "allow", "deny", "unknown"


def path_alone(target: str) -> str:
    """What proxies compare of the target of a request: its path (Envoy source/common/http/path_utility.cc,
    removeQueryAndFragment)."""
    return target.partition("#")[0].partition("?")[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A validated JWT: ``iss``, ``sub``, ``aud``, ``azp``, and its other claims by their dotted path."""

    issuer: str = ""
    subject: str = ""
    audiences: tuple[str, ...] = ()
    presenter: str = ""
    claims: Mapping[tuple[str, ...], tuple[str, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request, or with ``http`` false one connection, to a port of a workload.

    :param principal: SPIFFE identity without its scheme; ``""`` for a peer without a certificate.
    :param port: of the workload, not of the Service. :param path: normalised, without its query.
    :param http: whether the proxy parses it; on other chains the HTTP fields do not exist.
    :param source_ip: the peer's address. :param remote_ip: the first client's, out of X-Forwarded-For.
    :param headers: by lower-case name. :param token: ``None`` for a request without one.
    :param destination_ip: with ``sni``, ``None`` for "not known here".
    """

    principal: str
    port: int
    method: str = "GET"
    path: str = "/"
    http: bool = True
    host: str = ""
    source_ip: str | None = None
    remote_ip: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    token: Token | None = None
    destination_ip: str | None = None
    sni: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What comes of a request.

    :param verdict: ALLOW, DENY or UNKNOWN. :param policy: the object that decided, ``AuthorizationPolicy
        namespace/name``; ``""`` when none did. :param rule: its rule, ``None`` when no rule did.
    :param reason: half a sentence.
    """

    verdict: str
    policy: str
    rule: int | None
    reason: str
