# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server says about an object, without the secrets that it quotes.

A server quotes what it refuses (``Invalid value: "..."``, ``expected string, got 123456``), and so does an
admission webhook. The field is worth knowing; the value is blanked: every secret of the object that was sent,
and of a Secret whatever is quoted and is no name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from .secret_fields import HIDDEN

# Words before a quoted text that is a name, in the sentences of API servers.
_NAMES_FOLLOW = frozenset(
    (
        "as", "binding", "conflict", "configmaps", "exist", "exists", "field", "for", "from", "group", "in",
        "key", "keys", "kind", "manager", "named", "namespace", "namespaces", "object", "of", "on", "policy",
        "quota", "resource", "role", "secret", "secrets", "serviceaccount", "type", "user", "version",
        "webhook", "with",
    )
)  # fmt: skip
_QUOTED = re.compile(r"(?P<before>[A-Za-z]+)?(?P<gap>[:=]?\s*)(?P<text>\"(?:[^\"\\]|\\.)*\"|'[^']*'|`[^`]*`)")
_ECHOED = re.compile(
    r"(?P<before>\b(?:[Ii]nvalid value:|[Gg]ot|Value:|Unsupported value:)\s*)"
    r"(?!<hidden>)(?P<text>[^\s,;)}\]]+)"
)
# Shorter secrets occur in words: they are blanked where they stand alone.
_SHORT = 4


def redacted(text: str, secrets: Collection[str]) -> str:
    """A text without these secrets, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        for spelled in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
            if len(spelled) > _SHORT:
                text = text.replace(spelled, HIDDEN)
            elif spelled:
                text = re.sub(rf"(?<!\w){re.escape(spelled)}(?!\w)", HIDDEN, text)
    return text


def redacted_answer(value: Any, secrets: Collection[str], *, is_secret: bool) -> Any:
    """What a server answered with (a ``Status``, any JSON), each text of it without secrets.

    :param secrets: of what was sent. :param is_secret: whether the request was about a Secret.
    """
    if not secrets and not is_secret:
        return value
    return _redacted(value, secrets, is_secret=is_secret)


def _redacted(value: Any, secrets: Collection[str], *, is_secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _redacted(item, secrets, is_secret=is_secret) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, secrets, is_secret=is_secret) for item in value]
    if not isinstance(value, str):
        return value
    text = redacted(value, secrets)
    return _without_quotes(text) if is_secret else text


def _without_quotes(text: str) -> str:
    def hole(found: re.Match[str]) -> str:
        before = found["before"] or ""
        if before.lower() in _NAMES_FOLLOW and ":" not in found["gap"] and "=" not in found["gap"]:
            return found[0]
        return f"{before}{found['gap']}{HIDDEN}"

    text = _QUOTED.sub(hole, text)
    return _ECHOED.sub(lambda found: f"{found['before']}{HIDDEN}", text)
