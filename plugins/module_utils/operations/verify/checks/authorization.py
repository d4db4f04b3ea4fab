# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that callers are let in and everybody else is refused, by the answers of planned calls."""

from __future__ import annotations

from collections.abc import Sequence

from ....istio.probe.pods import Answer
from ..findings import Finding, failed, passed, unknown
from ..planned_calls import ALLOWED, PlannedCall

UPSTREAM_HEADER = "x-envoy-upstream-service-time"
ENVOY_ANSWERS = (
    "upstream connect error",
    "no healthy upstream",
    "upstream request timeout",
    "fault filter abort",
    "local_rate_limited",
    "RBAC: access denied",
)
"""Bodies that a proxy writes itself (Envoy source/common/http/codes and the filters' local replies)."""


def judge(call: PlannedCall, answers: Sequence[Answer]) -> Finding:
    """The finding that the answer of a call amounts to. :param answers: the one of its only request."""
    answer = answers[0]
    sent = f"{call.method} {call.path} ({call.why})"
    if call.expect == ALLOWED:
        if is_denial(answer):
            return failed("authorization", call.subject, f"{sent} was refused with 403 RBAC: access denied")
        if from_service(answer):
            return passed("authorization", call.subject, f"{sent} was let in, answer {answer.status}")
    elif is_denial(answer):
        return passed("authorization", call.subject, f"{sent} was refused with 403 RBAC: access denied")
    elif from_service(answer):
        return failed(
            "authorization", call.subject, f"{sent} was let in, answer {answer.status}: must be refused"
        )
    return unknown("authorization", call.subject, f"{sent} got no answer of the service: {describe(answer)}")


def is_denial(answer: Answer) -> bool:
    """Whether an AuthorizationPolicy refused: status and body of Envoy's RBAC filter, nothing else."""
    return answer.status == 403 and answer.body.startswith("RBAC: access denied")


def from_service(answer: Answer) -> bool:
    """Whether an answer came from beyond the calling proxy and is no message of a proxy on the way."""
    return UPSTREAM_HEADER in answer.headers and not answer.body.startswith(ENVOY_ANSWERS)


def describe(answer: Answer) -> str:
    """An answer in a few words."""
    if not answer.status:
        return answer.error or f"no HTTP answer (curl exit {answer.exit_code})"
    return f"{answer.status} by a proxy on the way" + (f": {answer.body[:120]}" if answer.body else "")
