# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a regular expression one that Envoy's RE2 takes? Decided without RE2, by a scanner of its syntax.

RE2 has no look-around, no back references and no atomic groups, and refuses repeat counts above 1000, nested
ones multiplied (https://github.com/google/re2/wiki/Syntax). We accept a subset of it that needs no guessing.
"""

from __future__ import annotations

import re
import warnings

from ..reading.values import Check

_LONGEST = 1024
_MOST_REPEATS = 1000
_CLASS_ESCAPES = "dDwWsSnrtfv"
_ESCAPES = _CLASS_ESCAPES + "bB"


def regex_fault(text: str) -> str:
    """``""`` for an expression that RE2 compiles, else what is wrong."""
    if not text or len(text) > _LONGEST:
        return f"a regular expression has 1 to {_LONGEST} characters"
    if any(not 32 <= ord(char) < 127 for char in text):
        return "a regular expression holds printable ASCII only"
    fault = _syntax_fault(text) or _compile_fault(text)
    return f"{text!r} {fault}" if fault else ""


def _compile_fault(text: str) -> str:
    try:
        with warnings.catch_warnings():  # Python announces set operations that RE2 does not have either
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return "is not a regular expression"
    return ""


_TOKEN = re.compile(
    r"""(?P<escape>\\.?)
      | (?P<class>\[\^?(?:[^\[\]\\]|\\.)+\])
      | (?P<odd_class>\[)
      | (?P<open>\((?:\?:)?(?!\?))
      | (?P<odd_group>\(\?)
      | (?P<close>\))
      | (?P<possessive>(?:[*+?]|\{\d+(?:,\d*)?\})\+)
      | (?P<repeat>\{\d+(?:,\d*)?\})
      | (?P<plain>.)""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_ODD = {
    "odd_class": "has a class that does not end, or one with an unescaped '[' or ']'",
    "odd_group": "uses a group '(?...' other than '(?:'",
    "possessive": "uses a possessive quantifier",
}


def _syntax_fault(text: str) -> str:
    groups = [1]  # the most repeats seen inside each group that is open
    last = 1  # repeats inside the item that just ended
    for token in _TOKEN.finditer(text):
        kind, found = str(token.lastgroup), token[0]
        known = _ESCAPES if kind == "escape" else _CLASS_ESCAPES
        fault = _ODD.get(kind) or _escape_fault(found if kind in ("escape", "class") else "", known)
        if fault:
            return fault
        if kind == "open":
            groups.append(1)
        elif kind == "close" and len(groups) > 1:
            last = groups.pop()
        elif kind == "repeat":
            last *= max(int(number) for number in re.findall(r"\d+", found)) or 1
            if last > _MOST_REPEATS:
                return f"repeats more than {_MOST_REPEATS} times"
        elif found not in ("*", "+", "?"):
            last = 1
        groups[-1] = max(groups[-1], last)
    return ""


def _escape_fault(text: str, known: str) -> str:
    for escape in re.findall(r"\\(.?)", text, re.ASCII):
        if not escape or (escape.isalnum() and escape not in known):
            return f"uses \\{escape}, which RE2 does not have"
    return ""


REGEX = Check("re2", regex_fault)
