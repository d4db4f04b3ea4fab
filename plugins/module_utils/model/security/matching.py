# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How AuthorizationPolicies compare values: exact, prefix, suffix, presence, CIDR, path template.

Sources: istio pilot/pkg/security/authz/matcher (string.go, header.go, template.go) and
pilot/pkg/security/authz/model/generator.go; Envoy source/extensions/path/uri_template_lib for templates.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

Match = Callable[[str], bool]
SCHEME = "spiffe://"

# Envoy uri_template_internal.cc: what one segment, and what the rest of a path may hold.
_SEGMENT = "[a-zA-Z0-9\\-._~%!$&'()+,;:@=*]+"
_REST = "[a-zA-Z0-9\\-._~%!$&'()+,;:@=*/]*"


def text_match(pattern: str, *, ignore_case: bool = False) -> Match:
    """Compares a value with ``*`` (any that is not empty), ``*x``, ``x*`` or ``x``; other stars are
    literal."""
    wanted = pattern.lower() if ignore_case else pattern
    read: Callable[[str], str] = str.lower if ignore_case else str
    if pattern == "*":
        return bool
    if wanted.startswith("*"):
        suffix = wanted[1:]
        return lambda value: read(value).endswith(suffix)
    if wanted.endswith("*"):
        prefix = wanted[:-1]
        return lambda value: read(value).startswith(prefix)
    return lambda value: read(value) == wanted


def namespace_match(pattern: str) -> Match:
    """Compares an identity with a namespace, in which a star stands for anything, slashes too."""
    namespace = ".*".join(re.escape(part) for part in pattern.split("*"))
    return _identity_regex(f".*/ns/{namespace}/.*")


def account_match(value: str, policy_namespace: str) -> Match:
    """Compares an identity with ``namespace/account``; without a namespace it is that of the policy."""
    namespace, slash, account = value.partition("/")
    if not slash:
        namespace, account = policy_namespace, value
    return _identity_regex(f"{SCHEME}.+/ns/{re.escape(namespace)}/(.+/|)sa/{re.escape(account)}(/.+)?")


def trust_domain_match(pattern: str) -> Match:
    """Compares an identity with a trust domain; the first star stands for anything but a slash."""
    if pattern == "*":
        return bool
    if "*" not in pattern:
        return lambda identity: identity.startswith(f"{pattern}/")
    before, _star, after = pattern.partition("*")
    return _identity_regex(f"{SCHEME}{re.escape(before)}[^/]*{re.escape(after)}/.*")


def path_match(pattern: str) -> Match:
    """Compares a path without its query: a template with ``{*}`` and ``{**}``, else a text."""
    if "{*}" not in pattern and "{**}" not in pattern:
        return text_match(pattern)
    parts = [
        {"{*}": _SEGMENT, "{**}": _REST}.get(part, re.escape(part))
        for part in re.split(r"(\{\*\*\}|\{\*\})", pattern)
    ]
    compiled = re.compile("".join(parts))
    return lambda path: compiled.fullmatch(path) is not None


def address_match(block: str) -> Match:
    """Compares an address with an address or a CIDR block. :raises ValueError: ``block`` is neither."""
    if not re.fullmatch(
        r"[^/]+(/(0|[1-9][0-9]*))?", block
    ):  # ipaddress takes 10.0.0.0/255.0.0.0, Go does not
        raise ValueError(block)
    network = ipaddress.ip_network(block, strict=False)
    return lambda address: ipaddress.ip_address(address) in network


def _identity_regex(pattern: str) -> Match:
    compiled = re.compile(pattern)
    return lambda identity: compiled.fullmatch(f"{SCHEME}{identity}") is not None
