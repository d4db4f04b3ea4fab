# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plain scalar means, as Kubernetes reads it.

Source: ``resolve.go`` of go.yaml.in/yaml/v2, which sigs.k8s.io/yaml stands on; tried with kubectl 1.37.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NOT_FINITE = frozenset(
    f"{sign}{word}" for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
) | frozenset((".nan", ".NaN", ".NAN"))
# strconv.ParseInt with base 0, underscores taken out before.
_WHOLE = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_REAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BASES = (16, 2, 8, 10)
_LEAST, _MOST = -(2**63), 2**63 - 1
# More digits than 64 bits have in any base; Python refuses to convert thousands of them.
_MAX_DIGITS = 70


class UnreadableScalarError(ValueError):
    """A scalar that JSON or Kubernetes cannot hold as it is written. The text says why, without the value."""


def resolved(text: str) -> Any:
    """The value of a plain (not quoted, not tagged) scalar: ``None``, bool, int, float, or ``text`` itself.

    :raises UnreadableError: no JSON number (infinite, not a number, too large), or one that would be rounded.
    """
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first not in "0123456789+-.":
        return text
    if text in _NOT_FINITE:
        raise UnreadableScalarError("is no number that JSON knows: put it in quotes")
    digits = text if first == "." else text.replace("_", "")
    found = _WHOLE.fullmatch(digits)
    if found is not None:
        sign, *bodies = found.groups()
        body, base = next((body, base) for body, base in zip(bodies, _BASES, strict=True) if body is not None)
        return whole(sign + body, base)
    return real(digits) if _REAL.fullmatch(digits) is not None else text


def whole(digits: str, base: int = 10) -> int:
    """A whole number. :raises UnreadableError: it has more than 64 bits, so Kubernetes would round it."""
    value = int(digits, base) if len(digits) <= _MAX_DIGITS else _MOST + 1
    if not _LEAST <= value <= _MOST:
        raise UnreadableScalarError("is a whole number of more than 64 bits, which Kubernetes would round")
    return value


def real(digits: str) -> float | int:
    """A number with a fraction or an exponent; one without a fraction is whole, as it is after Go's JSON.

    :raises UnreadableError: too large for a double.
    """
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise UnreadableScalarError("is too large a number: put it in quotes")
    if not value.is_integer() or abs(value) >= _MOST:
        return value
    return int(Decimal(repr(value)))


def key_text(text: str) -> str:
    """The key that a plain scalar is. :raises UnreadableError: Kubernetes would read another key."""
    value = resolved(text)
    if isinstance(value, str):
        return value
    if value is None:
        raise UnreadableScalarError("is null: a key is text")
    spelled = str(value).lower() if isinstance(value, bool) else repr(value)
    if spelled != text:
        raise UnreadableScalarError(f"is read as '{spelled}' by Kubernetes: put it in quotes")
    return text


def has_half_pairs(text: str, values: Any) -> bool:
    """Whether escapes in ``text`` made ``values`` hold half of a surrogate pair: no encoding can write it."""
    if _SURROGATE.search(text) is None:
        return False
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
