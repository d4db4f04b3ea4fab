# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody else does to the same service between a look at it and the first write."""

from __future__ import annotations

from ...errors import MeshError, RefusedError
from ...model.rollout.journal import Journal
from .assembly import RolloutBuilder
from .rollout import Rollout


def acquire(builder: RolloutBuilder, rollout: Rollout, before: Journal | None) -> None:
    """Takes the Lease of what was looked at without it.

    A run that waits for a person holds none, nor does one that has ended: the Lease alone does not say that
    nothing has happened.

    :param before: the journal when it was looked at.
    :raises RefusedError: somebody holds it, or was faster.
    """
    rollout.lease.acquire()
    try:
        refuse_beside(builder, before)
    except MeshError:
        rollout.lease.release()
        raise


def refuse_another(rollout: Rollout, before: Journal) -> None:
    """What was looked at is gone on with under the Lease, for which one may have waited.

    :raises RefusedError: another run has begun since its journal was read; the Lease is given back.
    """
    now = rollout.store.refresh()
    if now.run != before.run:
        rollout.lease.release()
        raise RefusedError(f"nothing was written: {_has_begun(now)}", rule="held")


def refuse_beside(builder: RolloutBuilder, before: Journal | None) -> None:
    """:raises RefusedError: another run has begun, or this one has gone on, since its journal was read."""
    now = builder.store.read()
    if now is None:
        return
    if before is None or now.run != before.run:
        what = _has_begun(now)
    elif (now.state, now.outcome) != (before.state, before.outcome):
        what = f"run {now.run} has gone on meanwhile ({now.outcome or now.state})"
    else:
        return
    raise RefusedError(f"nothing was written: {what}", rule="held")


def _has_begun(run: Journal) -> str:
    return f"another rollout of this service has begun meanwhile (run {run.run}, {run.outcome or run.state})"
