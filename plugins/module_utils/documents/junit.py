# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML, as CI systems read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

FAILURE, ERROR, SKIPPED = "failure", "error", "skipped"


@dataclasses.dataclass(frozen=True, slots=True)
class JunitCase:
    """One test case.

    :param group: what CI systems call its class. :param outcome: FAILURE, ERROR, SKIPPED, or ``""`` for a
        pass, whose ``message`` is then its output. :param kind: the type of a failure.
    """

    group: str
    name: str
    outcome: str
    message: str
    kind: str = ""


def junit(suite: str, cases: Sequence[JunitCase]) -> str:
    """The document of one suite."""
    numbers = {
        outcome: sum(case.outcome == outcome for case in cases) for outcome in (FAILURE, ERROR, SKIPPED)
    }
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuite name={_attribute(suite)} tests={quoteattr(str(len(cases)))}"
        f' failures="{numbers[FAILURE]}" errors="{numbers[ERROR]}" skipped="{numbers[SKIPPED]}">',
        *(_case(case) for case in cases),
        "</testsuite>",
    ]
    return "\n".join([*lines, ""])


def _case(case: JunitCase) -> str:
    begin = f"  <testcase classname={_attribute(case.group)} name={_attribute(case.name)}>"
    if not case.outcome:
        return f"{begin}<system-out>{escape(clean(case.message))}</system-out></testcase>"
    kind = f" type={_attribute(case.kind)}" if case.kind else ""
    return f"{begin}<{case.outcome}{kind} message={_attribute(case.message)}/></testcase>"


def _attribute(text: str) -> str:
    return quoteattr(clean(text))


def clean(text: str) -> str:
    """Text that XML 1.0 can hold: it has no way to write most control characters, lone halves of characters
    or U+FFFE and U+FFFF, and answers of services may hold them."""
    return "".join(char if _is_allowed(ord(char)) else "\N{REPLACEMENT CHARACTER}" for char in text)


def _is_allowed(code: int) -> bool:
    """Source: XML 1.0, production Char."""
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
