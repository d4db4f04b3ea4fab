# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust domains and their aliases in principals, as istiod replaces them.

Source: istio pilot/pkg/security/trustdomain (bundle.go, util.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

LOCAL_POINTER = "cluster.local"
"""As a trust domain in a policy: the mesh's own one, whatever it is called."""


def with_aliases(principals: Iterable[str], trust_domains: Sequence[str]) -> list[str]:
    """``principals`` with those of the mesh repeated for each of its trust domains.

    :param trust_domains: the mesh's own one first, then its aliases.
    :returns: values to compare identities with. One that has not exactly five parts stays as it is, so
        ``cluster.local/*`` matches nothing once the trust domain has another name.
    """
    found: list[str] = []
    for principal in principals:
        parts = principal.split("/")
        if len(parts) != 5 or parts[0] == "*" or not _is_ours(parts[0], trust_domains):
            found.append(principal)
            continue
        replaced = [
            principal if _suffix(domain, parts[0]) else "/".join((domain, *parts[1:]))
            for domain in trust_domains
        ]
        found += dict.fromkeys(replaced)
    return found


def domains_with_aliases(values: Iterable[str], trust_domains: Sequence[str]) -> list[str]:
    """``values`` of ``trustDomains`` with the mesh's own ones, once one of them is named.

    :returns: values to compare identities with, each once.
    """
    found: list[str] = []
    for value in values:
        found += trust_domains if value in trust_domains else [value]
    return list(dict.fromkeys(found))


def _is_ours(domain: str, trust_domains: Iterable[str]) -> bool:
    return domain == LOCAL_POINTER or any(
        own in (domain, "*")
        or _prefix(domain, own)
        or _prefix(own, domain)
        or _suffix(domain, own)
        or _suffix(own, domain)
        for own in trust_domains
    )


def _prefix(text: str, pattern: str) -> bool:
    return pattern.endswith("*") and text.startswith(pattern[:-1])


def _suffix(text: str, pattern: str) -> bool:
    return pattern.startswith("*") and text.endswith(pattern[1:])
