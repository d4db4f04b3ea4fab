# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until nobody uses a version any more: new requests go elsewhere, streams live on in its pods."""

from __future__ import annotations

from ..protocols import StoppedError
from ..rollout import PauseNeeded, PromoteNow, Rollout

LOOK_EVERY = 5.0  # seconds


def drained(
    rollout: Rollout, version: str, *, at_least: float, limit: float, stoppable: bool = False
) -> bool:
    """Waits until the proxies of a version serve no request any more.

    :param at_least: seconds that are waited in any case: so long a rollback finds it as it was.
    :param limit: seconds after which requests that are still open are cut off.
    :param stoppable: whether people are listened to: a promotion ends the wait, a pause does not matter.
    :returns: whether the version may be scaled down; False when the runner was told to stop.
    :raises RollbackNeeded: somebody asked for it.
    """
    began = rollout.clock.monotonic()
    said = False
    while True:
        waited = rollout.clock.monotonic() - began
        if waited >= at_least:
            still = rollout.prover.open_requests(version)
            if still == 0:
                return True
            told = "an unknown number of" if still is None else str(still)
            if waited >= max(limit, at_least):
                rollout.warnings.append(
                    f"{version} is scaled down with {told} open requests after {waited:.0f} s"
                )
                return True
            if not said:
                rollout.progress(f"{version} has {told} open requests: it stays for at most {limit:.0f} s")
                said = True
        try:
            rollout.renew_if_due()
            if stoppable:
                rollout.checkpoint()
        except PauseNeeded:
            rollout.save(rollout.journal, "a pause was asked for after the promotion")
            rollout.progress(f"the promotion is done, and cannot be paused: {version} is drained")
        except PromoteNow as now:
            rollout.save(rollout.journal, f"the wait for open requests ends: {now}")
            return True
        except StoppedError:
            rollout.warnings.append(f"{version} is not scaled down: the run was told to stop")
            return False
        rollout.clock.sleep(min(LOOK_EVERY, max(0.5, at_least - waited)))
