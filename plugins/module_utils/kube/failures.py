# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns what an API server (or a proxy in front of it) answered into one of our errors."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..errors import ApiError, ConflictError
from .redaction import redacted_answer

UNREACHABLE = "Unreachable"
"""Reason of the error for a request that got no answer."""
_MANAGER = re.compile(r'conflict with "(?P<manager>[^"]*)"')
_WEBHOOK = re.compile(r'(?:failed calling|admission) webhook "(?P<webhook>[^"]+)"')
_LOGIN = re.compile(r"(?<=://)[^/\s@]*@")
_MAX_MESSAGE = 2000
_MAX_PAGE = 64 * 1024
_TITLE = re.compile(r"<title[^>]*>([^<]+)</title>", re.IGNORECASE)
_HTTP_NAMES = {
    400: "the request is malformed",
    401: "the credential was not accepted",
    403: "forbidden",
    404: "not found",
    408: "the API server gave up waiting for the request",
    413: "the object is too large for the API server",
    429: "the API server asks to slow down",
    500: "internal error of the API server",
    502: "bad gateway: something in front of the API server cannot reach it",
    503: "the API server is not available",
    504: "the API server did not answer in time",
}


def from_answer(
    status: int,
    data: Any,
    subject: str,
    *,
    secrets: Collection[str] = (),
    is_secret: bool = False,
    behind: bool = False,
) -> ApiError:
    """The error for an answer with a status of 400 or more. No secret of what was sent is quoted.

    :param data: the decoded body: a Kubernetes ``Status``, any other JSON, or text (a proxy's HTML page).
    :param subject: what the request was about, such as ``VirtualService shop/frontend``.
    :param secrets: those of what was sent. :param is_secret: whether the request was about a Secret.
    :param behind: whether the API server only handed the request on, to a Service or a node.
    """
    data = redacted_answer(data, secrets, is_secret=is_secret)
    body = data if is_status(data) else {}
    message = str(body.get("message") or "")[:_MAX_MESSAGE] or _HTTP_NAMES.get(status, f"HTTP {status}")
    reason = str(body.get("reason") or "")
    if status == 500 and message.startswith("failed to create typed"):
        reason = "Invalid"  # a field that the schema does not know: the server calls that its own error
    causes = causes_of(body)
    if status == 409 and any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
        return _conflict(causes, subject)
    if status == 401 and behind and not body:
        message = "what the API server leads to wants a credential of its own (HTTP 401)"
    elif status == 401:
        message = "the API server does not accept the credential (expired or unknown)"
    elif status == 413:
        message = "the object is larger than the API server accepts (about 1.5 MiB for one object)"
    elif data is not None and not isinstance(data, Mapping):
        message = f"{message} (the answer, HTTP {status}, is not JSON: a proxy may be in between)"
    extra: dict[str, Any] = {}
    if causes:
        extra["causes"] = [{k: str(v)[:500] for k, v in cause.items()} for cause in causes[:20]]
    webhook = _WEBHOOK.search(message)
    if webhook:
        extra["webhook"] = webhook["webhook"]
    return ApiError(
        f"{subject}: {message}" if subject else message,
        status=status,
        reason=reason,
        subject=subject,
        **extra,
    )


def is_status(data: Any) -> bool:
    """Whether an answer is a Kubernetes ``Status``: only an API server writes them."""
    return isinstance(data, Mapping) and data.get("kind") == "Status"


def what_came(status: int, headers: Mapping[str, str], raw: bytes) -> str:
    """What an answer is that cannot be used, in words. Of its text only a page's title is shown."""
    if not raw:
        return f"HTTP {status} without a body"
    kind = str(headers.get("Content-Type") or "").partition(";")[0].strip()
    title = _TITLE.search(raw[:_MAX_PAGE].decode("utf-8", "replace"))
    if title:
        return f"HTTP {status} with a web page, '{' '.join(title[1].split())[:80]}'"
    if raw.lstrip()[:1] == b"<":
        return f"HTTP {status} with a web page"
    if raw.lstrip()[:1] in (b"{", b"["):
        return f"HTTP {status} with JSON that cannot be read ({len(raw)} bytes): it may be cut off"
    return f"HTTP {status} with {len(raw)} bytes of {kind[:60] or 'an unknown kind'}"


def causes_of(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """``details.causes`` of a ``Status``.

    :returns: those that have their shape; an error must not hide behind another one.
    """
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, Mapping) else None
    return [cause for cause in causes if isinstance(cause, Mapping)] if isinstance(causes, list) else []


def _conflict(causes: Sequence[Mapping[str, Any]], subject: str) -> ConflictError:
    managers: dict[str, list[str]] = {}
    for cause in causes:
        match = _MANAGER.search(str(cause.get("message", "")))
        managers.setdefault(match["manager"] if match else "unknown", []).append(str(cause.get("field", "")))
    owner = ", ".join(f"'{manager}' ({', '.join(fields)})" for manager, fields in managers.items())
    return ConflictError(
        f"{subject}: another field manager owns what we want to set: {owner}; "
        "change the fields there, or let it give them up",
        manager=", ".join(managers),
        fields=[field for fields in managers.values() for field in fields],
        subject=subject,
    )


def no_answer(cause: BaseException, host: str, subject: str) -> ApiError:
    """The error for a request that got no answer."""
    text = _transport_cause(cause)
    return ApiError(
        f"the API server at {host} cannot be reached: {text}",
        reason=UNREACHABLE,
        subject=subject,
        cause=text,
    )


def _transport_cause(cause: BaseException) -> str:
    """The shortest true sentence in urllib3's nested exceptions. A proxy that is down is not the server."""
    text = str(cause)
    if match := re.search(r"Tunnel connection failed: (\d{3})", text):
        return f"the proxy does not let the connection through (HTTP {match[1]})"
    if "Unable to connect to proxy" in text:
        inner = _transport_cause(OSError(text.partition("Unable to connect to proxy")[2]))
        return f"the proxy cannot be used: {inner}"
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        match = re.search(r"certificate verify failed:? ?([^(\"']*)", text)
        detail = match[1].strip() if match else ""
        detail = detail or "verification failed"
        return f"its certificate is not trusted ({detail}); see the options ca_cert and validate_certs"
    for pattern, sentence in (
        (
            r"Name or service not known|nodename nor servname|Failed to resolve|Temporary failure in name",
            "the name does not resolve",
        ),
        (r"Connection refused", "connection refused"),
        (r"No route to host", "no route to host"),
        (r"Network is unreachable", "network is unreachable"),
        (r"ConnectTimeout|connect timeout|Connection to .* timed out", "no connection in time"),
        (r"Read timed out|ReadTimeout", "no answer in time"),
        (r"WRONG_VERSION_NUMBER|record layer failure", "it does not speak TLS on this port"),
        (
            r"Connection reset|RemoteDisconnected|Connection aborted|IncompleteRead|Connection broken"
            r"|remote host was lost",
            "the connection broke",
        ),
        (
            r"Tunnel connection failed|ProxyError|Unable to connect to proxy",
            "the proxy does not let the connection through",
        ),
    ):
        if re.search(pattern, text):
            return sentence
    return f"{type(cause).__name__}: {_LOGIN.sub('', text)[:200]}"


def is_untrusted(cause: BaseException) -> bool:
    """Whether TLS failed for a reason that another try cannot cure."""
    text = str(cause)
    return (
        "CERTIFICATE_VERIFY_FAILED" in text
        or "WRONG_VERSION_NUMBER" in text
        or ("alert" in text.lower() and "SSL" in text)
    )
