# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions on a validated token: its issuer and subject, audiences, presenter and claims.

Source: istio pilot/pkg/security/authz/model/generator.go (requestPrincipalGenerator and its neighbours). A
request without a token, or whose token nothing has validated, fits no value, and so every negation.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .matching import text_match
from .requests import Request, Token


def token_test(key: str, value: str) -> Callable[[Request], bool] | None:
    """The test of one value of ``request.auth.principal``, ``.audiences``, ``.presenter`` or
    ``.claims[x]``.

    :returns: ``None`` for a claim whose name cannot be read.
    """
    if key == "request.auth.principal":
        return _with_token(principal_match(value))
    fits = text_match(value)
    if key == "request.auth.audiences":
        return _with_token(lambda token: any(map(fits, token.audiences)))
    if key == "request.auth.presenter":
        return _with_token(lambda token: bool(token.presenter) and fits(token.presenter))
    path = claim_path(key)
    if not path:
        return None
    return _with_token(lambda token: any(map(fits, token.claims.get(path, ()))))


def claim_path(key: str) -> tuple[str, ...]:
    """``("a", "b")`` of ``request.auth.claims[a][b]``.

    :returns: the names in their order; empty for a key that names none.
    """
    names = key.removeprefix("request.auth.claims")
    if re.fullmatch(r"(?:\[[^\[\]]*\])+", names):
        return tuple(re.findall(r"\[([^\[\]]*)\]", names))
    return (names[1:-1],) if names.startswith("[") and names.endswith("]") else ()


def principal_match(value: str) -> Callable[[Token], bool]:
    """Compares issuer and subject with ``issuer/subject``; the last slash divides, for an issuer may be a
    URL."""
    issuer, slash, subject = value.rpartition("/")
    if value == "*":
        return lambda token: bool(token.issuer and token.subject)
    if value.startswith("*") and not slash:
        return lambda token: bool(token.issuer) and token.subject.endswith(value[1:])
    if value.startswith("*"):
        of_issuer = text_match(issuer)
        return lambda token: of_issuer(token.issuer) and token.subject == subject
    if value.endswith("*") and not slash:
        return lambda token: token.issuer.startswith(value[:-1]) and bool(token.subject)
    if value.endswith("*"):
        of_subject = text_match(subject)
        return lambda token: token.issuer == issuer and of_subject(token.subject)
    whole = (issuer, subject) if slash else (value, "")
    return lambda token: (token.issuer, token.subject) == whole


def _with_token(fits: Callable[[Token], bool]) -> Callable[[Request], bool]:
    return lambda request: request.token is not None and fits(request.token)
