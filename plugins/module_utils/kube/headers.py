# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of HTTP headers: what cannot be sent is refused, and never shown."""

from __future__ import annotations

import base64
import re

from ..errors import InputError, Problem

# RFC 9110, section 5.5; Go's ``httpguts.ValidHeaderFieldValue`` refuses the same.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def refuse_header(value: str, where: str, what: str) -> None:
    """:raises InputError: ``value`` holds a character that no HTTP header can hold; it is not quoted."""
    if _CONTROL.search(value):
        message = f"{what} holds a line break or another control character, which no HTTP header can hold"
        raise InputError([Problem(where, message, "credential")])
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise InputError([Problem(where, f"{what} is not UTF-8 text", "credential")])


def refuse_token(value: str, where: str, what: str) -> None:
    """:raises InputError: ``value`` is no token (RFC 6750): not ASCII, or with its scheme before it."""
    refuse_header(value, where, what)
    if not value.isascii():
        message = f"{what} holds a character beyond ASCII, which no token has"
        raise InputError([Problem(where, message, "credential")])
    if value.lower().startswith("bearer "):
        message = f"{what} begins with the word Bearer, which is no part of a token"
        raise InputError([Problem(where, message, "credential")])


def basic(user: str, password: str) -> str:
    """The value of ``Authorization`` or ``Proxy-Authorization`` for a user and a password (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def encoded(value: str) -> str:
    """A value as http.client takes it: it sends Latin-1, Kubernetes reads UTF-8."""
    return value.encode().decode("latin-1")
