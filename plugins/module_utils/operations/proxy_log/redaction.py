# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proxy's log may not hand on: at level debug it prints every header, and so passwords and tokens."""

from __future__ import annotations

import re

from ...kube.secret_fields import is_secret_name, masked

# How Envoy prints headers at level debug (source/common/http/header_map_impl.cc, dumpState).
# One header ends a line; a log that was cut may end inside of one. Values are not escaped.
_HEADER = re.compile(r"'([^'\n]*)', '(.*)$", re.MULTILINE)
_BEARERS = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie"))


def without_secrets(text: str) -> str:
    """A log without the values of headers that hold secrets: at level debug proxies print every header."""
    return _HEADER.sub(_shown_header, text)


def _shown_header(found: re.Match[str]) -> str:
    name = found[1].lower()
    if name in _BEARERS or is_secret_name(name):
        return f"'{found[1]}', '(secret)'"
    # The query of a path, or an address, may hold one.
    return f"'{found[1]}', '{masked(found[2])}" if "=" in found[2] or "://" in found[2] else found[0]
