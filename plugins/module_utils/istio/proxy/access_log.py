# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy's access log, line by line: Istio's default text and its JSON.

Source: istio pilot/pkg/model/telemetry_logging.go (EnvoyTextLogFormat, EnvoyJSONLogFormatIstio). What the
flags mean: ``model/response_flags.py``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...documents.json_text import from_json
from ...kube.clock import seconds_of
from ...model.response_flags import flags_in

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\[([^\]]*)\]|(\S+)')
_TEXT_FIELDS = (
    "start_time", "request", "response_code", "response_flags", "response_code_details",
    "connection_termination_details", "upstream_transport_failure_reason", "bytes_received", "bytes_sent",
    "duration", "upstream_service_time", "x_forwarded_for", "user_agent", "request_id", "authority",
    "upstream_host", "upstream_cluster", "upstream_local_address", "downstream_local_address",
    "downstream_remote_address", "requested_server_name", "route_name",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class AccessLine:
    """One request, or one connection of a stream (then ``method`` is empty).

    :param time: of its start, in seconds since the epoch. :param code: HTTP status, 0 for none.
    :param flags: Envoy's short flags. :param details: ``response_code_details``.
    :param failure: why no TLS connection to the upstream came about. :param duration: milliseconds.
    :param authority: host of the request. :param cluster: the upstream cluster, such as
        ``outbound|80||web.shop.svc.cluster.local``. :param server_name: of the TLS handshake.
    :param peer: address of whoever called.
    """

    time: float
    method: str
    path: str
    code: int
    flags: tuple[str, ...]
    details: str
    failure: str
    duration: int
    authority: str
    upstream: str
    cluster: str
    server_name: str
    route: str
    peer: str = ""

    @property
    def inbound(self) -> bool:
        """Whether the proxy stood before the callee, and not beside the caller."""
        return self.cluster.startswith("inbound|")

    @property
    def bad(self) -> bool:
        """Whether it went wrong: a flag, or a status from 500 on, or a refusal by a policy."""
        return bool(self.flags) or self.code >= 500 or self.refused

    @property
    def refused(self) -> bool:
        """Whether an AuthorizationPolicy refused it (source/extensions/filters/http/rbac/rbac_filter.cc)."""
        return self.details.startswith("rbac_access_denied")


def access_lines(text: str, since: float = 0.0) -> Iterator[AccessLine]:
    """The lines of a log that are access log lines, in their order; others are skipped.

    :param since: those that began earlier are left out, in seconds since the epoch.
    """
    for line in text.splitlines():
        fields = _fields_of(line.strip())
        found = _line(fields) if fields else None
        if found is not None and found.time >= since:
            yield found


def _fields_of(line: str) -> Mapping[str, Any]:
    if line.startswith("{"):
        try:
            found = from_json(line)
        except ValueError:
            return {}
        return found if isinstance(found, Mapping) else {}
    if not line.startswith("["):
        return {}
    words = [
        next((part for part in match.groups() if part is not None), "") for match in _WORD.finditer(line)
    ]
    return dict(zip(_TEXT_FIELDS, words, strict=False)) if len(words) > len(_TEXT_FIELDS) // 2 else {}


def _line(fields: Mapping[str, Any]) -> AccessLine | None:
    time = seconds_of(_text(fields, "start_time"))
    if time is None:
        return None
    request = _text(fields, "request").split(" ")
    method, path = (word if word != "-" else "" for word in request[:2]) if len(request) == 3 else ("", "")
    flags = _text(fields, "response_flags")
    return AccessLine(
        time=time,
        method=method or _text(fields, "method"),
        path=path or _text(fields, "path"),
        code=_number(fields, "response_code"),
        flags=flags_in(flags),
        details=_text(fields, "response_code_details"),
        failure=_text(fields, "upstream_transport_failure_reason"),
        duration=_number(fields, "duration"),
        authority=_text(fields, "authority"),
        upstream=_text(fields, "upstream_host"),
        cluster=_text(fields, "upstream_cluster").rstrip(";"),
        server_name=_text(fields, "requested_server_name"),
        route=_text(fields, "route_name"),
        peer=_text(fields, "downstream_remote_address").rpartition(":")[0].strip("[]"),
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return "" if value in (None, "-") else str(value)


def _number(fields: Mapping[str, Any], name: str) -> int:
    text = _text(fields, name)
    return int(text) if text.isdigit() else 0
