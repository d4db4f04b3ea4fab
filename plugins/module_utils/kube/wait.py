# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounded waits that say what they wait for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ApiError, WaitTimeout
from ..fields import integer_at, mapping_at, mappings_at, text_at
from .clock import Clock, SystemClock

PROGRESS_EVERY = 10.0
"""Seconds after which a line is repeated although nothing new is seen."""
STOP_POLL = 0.25
"""Seconds within which a stop is noticed."""


def wait_until(
    check: Callable[[], tuple[bool, str]],
    *,
    awaited: str,
    timeout: float,
    interval: float = 0.5,
    max_interval: float = 2.0,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[str], None] | None = None,
    clock: Clock | None = None,
) -> str:
    """Call ``check`` until it is done; returns what was seen last.

    :param check: returns whether it is done, and what was seen, for people.
    :param timeout: seconds. ``check`` runs at least once, and once more at the very end.
    :param interval: seconds between the first two looks; each pause is half as long again as the one before,
        up to ``max_interval``.
    :param stop: true ends the wait within a quarter of a second.
    :param progress: gets a line when what is seen changes, and every ten seconds.
    :param clock: the machine's by default.
    :raises WaitTimeout: with ``awaited`` and what was seen last.
    :raises ApiError: ``reason="Interrupted"`` after ``stop``.
    """
    clock = clock or SystemClock()
    begin = clock.monotonic()
    end, told, told_at, pause = begin + timeout, "", begin, interval
    while True:
        done, seen = check()
        if done:
            return seen
        now = clock.monotonic()
        if now >= end:
            raise WaitTimeout(
                f"{awaited}: not there after {timeout:g} s; last seen: {seen}",
                awaited=awaited,
                last_seen=seen,
            )
        if progress and (seen != told or now - told_at >= PROGRESS_EVERY):
            progress(f"waiting for {awaited}: {seen}")
            told, told_at = seen, now
        _sleep(min(pause, end - now), stop, awaited, clock)
        pause = min(max_interval, pause * 1.5)


def _sleep(seconds: float, stop: Callable[[], bool] | None, awaited: str, clock: Clock) -> None:
    end = clock.monotonic() + seconds
    while True:
        if stop and stop():
            raise ApiError(f"interrupted while waiting for {awaited}", reason="Interrupted", subject=awaited)
        rest = end - clock.monotonic()
        if rest <= 0:
            return
        clock.sleep(min(STOP_POLL, rest))


def rollout_status(obj: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a Deployment, StatefulSet or DaemonSet runs its current specification, and what is seen.

    Source: kubectl ``pkg/polymorphichelpers/rollout_status.go``.

    :returns: whether it is done, and a phrase for people.
    """
    if integer_at(obj, "status", "observedGeneration") < integer_at(obj, "metadata", "generation"):
        return False, "the controller has not seen the change yet"
    return _ROLLOUTS[text_at(obj, "kind")](mapping_at(obj, "spec"), mapping_at(obj, "status"))


def _deployment(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[bool, str]:
    wanted = integer_at(spec, "replicas", default=1)
    for condition in mappings_at(status, "conditions"):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return False, f"progress deadline exceeded: {condition.get('message', '')}"
    updated, total, available = _counts(status, "updatedReplicas", "replicas", "availableReplicas")
    if updated < wanted:
        return False, f"{updated} of {wanted} replicas updated"
    if total > updated:
        return False, f"{total - updated} old replicas are still there"
    if available < updated:
        return False, f"{available} of {updated} updated replicas available"
    return True, f"{available} replicas available"


def _stateful_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[bool, str]:
    wanted = integer_at(spec, "replicas", default=1)
    ready, updated = _counts(status, "readyReplicas", "updatedReplicas")
    if text_at(spec, "updateStrategy", "type") == "OnDelete":
        return ready >= wanted, f"{ready} of {wanted} replicas ready"
    partition = integer_at(spec, "updateStrategy", "rollingUpdate", "partition")
    if updated < wanted - partition:
        return False, f"{updated} of {wanted - partition} replicas updated"
    if ready < wanted:
        return False, f"{ready} of {wanted} replicas ready"
    if not partition and status.get("updateRevision") != status.get("currentRevision"):
        return False, "the last replica is being updated"
    return True, f"{ready} replicas ready"


def _daemon_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[bool, str]:
    wanted, updated, available = _counts(
        status, "desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"
    )
    if text_at(spec, "updateStrategy", "type") != "OnDelete" and updated < wanted:
        return False, f"{updated} of {wanted} nodes updated"
    if available < wanted:
        return False, f"available on {available} of {wanted} nodes"
    return True, f"available on {available} nodes"


def _counts(status: Mapping[str, Any], *names: str) -> tuple[int, ...]:
    return tuple(integer_at(status, name) for name in names)


_ROLLOUTS = {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set}
