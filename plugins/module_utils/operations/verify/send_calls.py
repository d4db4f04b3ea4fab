# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends the planned calls through the probes, each identity its own, all identities at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ...errors import MeshError
from ...istio.probe.pods import Answer, Identity
from ...kube.client import KubeClient
from ...kube.clock import Clock
from ...verdicts import CANNOT_TELL
from .checks import authorization, plaintext
from .findings import Finding, unknown
from .ledger import Outcome
from .planned_calls import PLAINTEXT, PlannedCall
from .probes import Probes

ROUNDS, PAUSE = 4, 1.0
"""A probe's proxy may not know a host in its first second, and a pod may be ending; a call without a verdict,
or with one that a lost answer could bring about, is made again."""


def send_calls(
    client: KubeClient,
    probes: Probes,
    calls: Iterable[PlannedCall],
    limit: int,
    stop: Callable[[], bool],
    clock: Clock,
    roots: str = "",
) -> tuple[list[Finding], list[Outcome]]:
    """The findings of all ``calls``.

    :param limit: seconds that one call may take. :param roots: certificates that the mesh's proxies are to
        be known by (PEM).
    :returns: one finding per call, in their order; and the calls that were made, with theirs.
    """
    by_identity: dict[Identity, list[PlannedCall]] = {}
    for call in calls:
        by_identity.setdefault(call.identity, []).append(call)
    results = client.in_parallel(
        lambda item: _send(probes, item[0], item[1], limit, stop, clock, roots), list(by_identity.items())
    )
    return (
        [finding for findings, _made in results for finding in findings],
        [outcome for _findings, made in results for outcome in made],
    )


def _send(
    probes: Probes,
    identity: Identity,
    calls: Sequence[PlannedCall],
    limit: int,
    stop: Callable[[], bool],
    clock: Clock,
    roots: str = "",
) -> tuple[list[Finding], list[Outcome]]:
    if identity in probes.trouble:
        return _not_made(identity, calls, probes.trouble[identity]), []
    findings: dict[int, Finding] = {}
    for look in range(ROUNDS):
        left = [i for i in range(len(calls)) if i not in findings or not is_conclusive(findings[i])]
        if not left or (look and stop()):
            break
        if look:
            clock.sleep(PAUSE)
        asked = _ask(probes, identity, [calls[i] for i in left], limit, roots, look)
        for index, answers in zip(left, asked, strict=True):
            findings[index] = judge(calls[index], answers)
    made = [(calls[index], findings[index]) for index in sorted(findings)]
    return [finding for _call, finding in made], made


def is_conclusive(finding: Finding) -> bool:
    """Whether asking again could only repeat the answer."""
    return finding.verdict != CANNOT_TELL and not finding.late


def judge(call: PlannedCall, answers: Sequence[Answer]) -> Finding:
    """The finding of the check that a call belongs to. :param answers: one for each of its requests."""
    if call.expect == PLAINTEXT:
        return plaintext.judge(call, answers)
    return authorization.judge(call, answers)


def _ask(
    probes: Probes, identity: Identity, calls: Sequence[PlannedCall], limit: int, roots: str, look: int
) -> list[list[Answer]]:
    requests = [call.requests(look) for call in calls]
    try:
        answers = iter(probes.send(identity, [one for some in requests for one in some], limit, roots))
    except MeshError as error:
        return [[Answer(0, {}, "", -1, error.message) for _one in some] for some in requests]
    return [[next(answers) for _one in some] for some in requests]


def _not_made(identity: Identity, calls: Sequence[PlannedCall], reason: str) -> list[Finding]:
    """One finding per check instead of one per call: they all have one cause."""
    numbers: dict[str, int] = {}
    for call in calls:
        check = "plaintext" if call.expect == PLAINTEXT else "authorization"
        numbers[check] = numbers.get(check, 0) + 1
    return [
        unknown(check, str(identity), f"its probe does not run, {number} calls were not made: {reason}")
        for check, number in numbers.items()
    ]
