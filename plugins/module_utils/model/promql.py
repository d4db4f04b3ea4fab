# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text and names as PromQL has them: none of them ends the string or the pattern that it stands in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")  # what regexp.QuoteMeta of Go escapes


def quoted(value: str) -> str:
    """A string of PromQL, with its quotes."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def matching(matchers: Mapping[str, str]) -> str:
    """Label matchers as PromQL has them, to stand behind others: a comma before each."""
    return "".join(f",{name}={quoted(value)}" for name, value in sorted(matchers.items()))


def one_of(values: Iterable[str]) -> str:
    """A string of PromQL, with its quotes, to stand behind ``=~``: it matches these values and no other."""
    return quoted("|".join(_SPECIAL.sub(r"\\\g<0>", value) for value in sorted(set(values))))
