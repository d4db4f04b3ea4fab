# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words in sentences for people: a few names, the rest counted; a path, unless it is none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Longer than what people call their files and directories, shorter than any key, token or manifest.
_LONGEST_NAME, _LONGEST_PATH = 80, 300
_CONTENT = re.compile(r"-----BEGIN|[{}\"]")


def some_of(
    names: Sequence[str], most: int = 3, *, between: str = ", ", before: str = " ", kind: str = ""
) -> str:
    """The first names, and how many more there are: ``a, b, c and 2 more``.

    :param between: stands between two of them. :param before: what stands before the count's ``and``.
    :param kind: what the counted ones are.
    """
    rest = len(names) - most
    more = f"{before}and {rest} more{f' {kind}' if kind else ''}" if rest > 0 else ""
    return between.join(names[:most]) + more


def few(names: Iterable[str]) -> str:
    """The first three of several names, each told once, and how many more there are."""
    return some_of(list(dict.fromkeys(names)))


def told_path(path: str) -> str:
    """A path as it may stand in a message: what somebody gave instead of one may be the key, the token or the
    manifest itself, and is not shown.

    :param path: one, or several joined by colons.
    """
    for part in path.split(":"):
        is_long = len(part) > _LONGEST_PATH or any(len(name) > _LONGEST_NAME for name in part.split("/"))
        if is_long or not part.isprintable() or _CONTENT.search(part):
            return "(not shown: it looks like the content of a file, and a path is wanted)"
    return path
