# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of access logs as Istio writes them, in both forms."""

from __future__ import annotations

import json

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.access_log import access_lines

CLUSTER = "outbound|3000|v2|api.shop.svc.cluster.local"
TEXT = (
    '[2026-11-29T07:00:01.500Z] "GET /a b HTTP/1.1" 503 UF,URX upstream_reset_before_response_started '
    '- "TLS_error:|CERTIFICATE_VERIFY_FAILED" 0 95 12 - "-" "curl \\"8\\"" "id" "api:3000" "10.0.0.7:3000" '
    f"{CLUSTER} - 10.1.0.1:3000 10.0.0.3:40000 - default"
)
GOOD = (
    '[2026-11-29T07:00:02.000Z] "POST /x HTTP/2" 200 - via_upstream - "-" 0 95 3 2 "-" "c" "id" "api" '
    '"10.0.0.7:3000" inbound|3000|| 127.0.0.6:1 10.0.0.7:3000 10.0.0.3:40000 - default'
)
STREAM = (
    '[2026-11-29T07:00:03.000Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" "-" "-" "-" '
    "- - 10.0.0.9:443 10.0.0.3:1 db.example.com -"
)


def test_a_line_of_text() -> None:
    (line,) = access_lines(TEXT.replace("/a b", "/a"))
    assert (line.method, line.path, line.code, line.flags) == ("GET", "/a", 503, ("UF", "URX"))
    assert line.peer == "10.0.0.3"
    assert (line.upstream, line.details) == ("10.0.0.7:3000", "upstream_reset_before_response_started")
    assert (line.server_name, line.time) == ("", 1795935601.5)
    assert (line.cluster, line.authority, line.duration) == (CLUSTER, "api:3000", 12)
    assert line.failure == "TLS_error:|CERTIFICATE_VERIFY_FAILED"
    assert (line.bad, line.inbound, line.refused, line.route) == (True, False, False, "default")


def test_a_line_of_json() -> None:
    fields = {
        "start_time": "2026-11-29T07:00:01.500Z", "method": "GET", "path": "/a", "response_code": 403,
        "response_flags": None, "response_code_details": "rbac_access_denied_matched_policy[none]",
        "authority": "api", "upstream_cluster": "inbound|3000||;", "duration": 4, "route_name": "default",
    }  # fmt: skip
    (line,) = access_lines(json.dumps(fields))
    assert (line.code, line.flags, line.cluster, line.duration) == (403, (), "inbound|3000||", 4)
    assert line.refused
    assert line.bad
    assert line.inbound


def test_streams_and_good_requests() -> None:
    good, stream = access_lines("\n".join((GOOD, STREAM)))
    assert (good.bad, good.inbound, good.code) == (False, True, 200)
    assert (stream.method, stream.code, stream.flags, stream.server_name) == (
        "", 0, ("NR",), "db.example.com",
    )  # fmt: skip


@pytest.mark.parametrize(
    "line", ["", "2026 info Envoy starts", "{", "[]", "[x] y", "{}", '{"a": 1}', "[2026-11"]
)
def test_other_lines_are_skipped(line: str) -> None:
    assert list(access_lines(f"{line}\n{GOOD}")) == list(access_lines(GOOD))


def test_only_what_began_late_enough() -> None:
    first, second = access_lines(f"{GOOD}\n{STREAM}")
    assert list(access_lines(f"{GOOD}\n{STREAM}", since=second.time)) == [second]
    assert second.time - first.time == 1


def test_what_is_no_number_counts_nothing() -> None:
    (line,) = access_lines(
        TEXT.replace("/a b", "/a").replace(" 503 ", " - ").replace(" 0 95 12 ", " 0 95 - ")
    )
    assert (line.code, line.duration) == (0, 0)
