# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the log says: requests by flag and status, and the lines that went wrong first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ...istio.proxy.access_log import AccessLine, access_lines
from ...model.response_flags import explained
from .switched import Logs

_SHOWN = 300


def summary(logs: Logs, workload: str, most: int) -> dict[str, Any]:
    """What module ``proxy_log`` returns as ``log``. :param most: lines of each kind.

    :returns: ``workload``, ``pods``, ``seconds``, ``requests``, ``bad``, ``codes``, ``flags``
        (``{flag, requests, means}``), ``lines`` (of requests, bad ones first), ``proxy_lines`` (the last of
        the proxies' own), ``unread`` (pod -> why).
    """
    requests: list[tuple[str, AccessLine]] = []
    own: list[str] = []
    for pod, text in logs.texts.items():
        requests += [(pod, line) for line in access_lines(text, since=logs.began)]
        own += [f"{pod}: {line[:_SHOWN]}" for line in text.splitlines() if line and not _is_access(line)]
    flags = Counter(flag for _pod, line in requests for flag in line.flags)
    ordered = sorted(requests, key=lambda item: (not item[1].bad, item[1].time))
    return {
        "workload": workload,
        "pods": sorted(logs.texts),
        "seconds": round(logs.seconds, 1),
        "requests": len(requests),
        "bad": sum(line.bad for _pod, line in requests),
        "codes": dict(sorted(Counter(str(line.code) for _pod, line in requests).items())),
        "flags": [
            {"flag": flag, "requests": count, "means": explained((flag,))}
            for flag, count in sorted(flags.items(), key=lambda item: (-item[1], item[0]))
        ],
        "lines": [_told(pod, line) for pod, line in ordered[:most]],
        "proxy_lines": own[-most:] if most else [],
        "unread": dict(sorted(logs.unread.items())),
    }


def _is_access(line: str) -> bool:
    return next(access_lines(line), None) is not None


def _told(pod: str, line: AccessLine) -> str:
    side = "in" if line.inbound else "out"
    what = (
        f"{line.method} {line.authority}{line.path.partition('?')[0]}"
        if line.method
        else f"connection {line.server_name}"
    )
    told = f"{pod}: {side} {line.code} {what.strip()} {line.duration} ms"
    why = "; ".join(part for part in (explained(line.flags), _details(line), line.failure) if part)
    return f"{told}: {why}"[:_SHOWN] if why else told[:_SHOWN]


def _details(line: AccessLine) -> str:
    return line.details if line.bad and line.details not in ("", "via_upstream") else ""


def text_lines(found: Mapping[str, Any]) -> list[str]:
    """The same for people. :returns: lines."""
    lines = [
        f"{found['workload']}: {found['requests']} requests in {found['seconds']:g} s at"
        f" {len(found['pods'])} pods, {found['bad']} went wrong"
    ]
    lines += [f"  {item['requests']} requests: {item['means']}" for item in found["flags"]]
    lines += [f"  {line}" for line in found["lines"]]
    lines += [f"  {line}" for line in found["proxy_lines"]]
    return lines + [f"  cannot tell: Pod {pod}: {why}" for pod, why in found["unread"].items()]
