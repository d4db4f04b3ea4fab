# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an HTTP answer holds: its whole body, as JSON or text, its real status, and the server's warnings."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from .failures import is_status

# A list of 500 objects of the largest size has this many bytes; what has more is no answer.
MAX_ANSWER = 1024 * 1024 * 1024
_CHUNK = 256 * 1024
_WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')


def whole_body(answer: Any) -> bytes:
    """The body. It ends in time, see ``pool``.

    :raises OSError: it does not, or has no end.
    """
    read = getattr(answer, "read1", answer.read)  # urllib3 before 2.1 has no read1
    parts: list[bytes] = []
    size = 0
    try:
        while part := read(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                raise OSError(f"the answer has more than {MAX_ANSWER} bytes")
    except BaseException:
        answer.close()
        raise
    answer.release_conn()
    return b"".join(parts)


def decoded(answer: Any, raw: bytes, accept: str) -> Any:
    """The body of an answer. :raises ValueError: it should be JSON and is not; an empty one counts."""
    wants_json = "json" in accept
    if not raw and (answer.status in (204, 304) or answer.status >= 400 or not wants_json):
        return None
    kind = answer.headers.get("Content-Type", "")
    if answer.status < 400 and (wants_json or "json" in kind):
        return _json(raw)  # raises: a proxy's page with status 200
    if "json" in kind:
        with contextlib.suppress(ValueError, RecursionError):
            return _json(raw)
    return raw.decode("utf-8", "replace")


def _json(raw: bytes) -> Any:
    """JSON of UTF-8 text. Numbers that are none (NaN) and halves of characters are no answer."""
    return json.loads(raw.decode(), parse_constant=_no_number)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def status_of(status: int, data: Any, accept: str) -> int:
    """The status of an answer; a failure that came with 200 has its own."""
    if status >= 300 or "json" not in accept or not is_status(data) or data.get("status") != "Failure":
        return status
    code = data.get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600 else 500


def warnings_in(headers: Any) -> list[str]:
    """Warnings of an API server (``Warning`` headers with the code 299). :returns: their texts, in order."""
    values = headers.getlist("Warning") if hasattr(headers, "getlist") else [headers.get("Warning", "")]
    return [found.replace('\\"', '"') for value in values for found in _WARNING.findall(value)]
