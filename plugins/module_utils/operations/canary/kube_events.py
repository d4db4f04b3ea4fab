# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes Events of a rollout, on the Deployment of its version: what ``kubectl describe`` shows.

They say what the journal says already, so nothing depends on them: without the right to write them a run has
none, and says so once.
"""

from __future__ import annotations

from typing import Any

from ...errors import ApiError
from ...fields import text_at
from ...kube.clock import timestamp
from ...model.rollout.journal import Journal
from ...model.rollout.milestones import Milestone, told
from .protocols import Objects
from .rollout import Rollout

API = "events.k8s.io/v1"
REPORTER = "servicemesh.istio/canary"
MOST_EVENTS = 60  # of one runner; then only ends
LONGEST_NOTE = 1024  # API: Event.note
LONGEST_INSTANCE = 128
REASONS = {
    Milestone.STARTED: "RolloutStarted",
    Milestone.RESUMED: "RolloutResumed",
    Milestone.PHASE_PASSED: "RolloutPhasePassed",
    Milestone.WAITING: "RolloutWaiting",
    Milestone.PAUSED: "RolloutPaused",
    Milestone.ROLLING_BACK: "RolloutRollingBack",
    Milestone.PROMOTED: "RolloutPromoted",
    Milestone.SPLIT: "RolloutSplit",
    Milestone.ROLLED_BACK: "RolloutRolledBack",
    Milestone.HELD: "RolloutHeld",
    Milestone.DEADMAN: "RolloutDeadman",
}


def regarding(client: Objects, namespace: str, workload: str) -> dict[str, str] | None:
    """The Deployment that Events are about.

    :returns: an ObjectReference (v1); ``None`` when there is none. :raises ApiError: the server does not say.
    """
    live = client.get("apps/v1", "Deployment", workload, namespace)
    if live is None:
        return None
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": workload,
        "namespace": namespace,
        "uid": text_at(live, "metadata", "uid"),
    }


def event(
    about: dict[str, str], milestone: Milestone, note: str, *, name: str, instance: str
) -> dict[str, Any]:
    """An Event without its time. :returns: an object of ``API``."""
    return {
        "apiVersion": API,
        "kind": "Event",
        "metadata": {"name": name, "namespace": about["namespace"]},
        "regarding": about,
        "reportingController": REPORTER,
        "reportingInstance": instance[:LONGEST_INSTANCE],
        "action": "Rollout",
        "reason": REASONS[milestone],
        "type": "Warning" if milestone.bad else "Normal",
        "note": note[:LONGEST_NOTE],
    }


class DeploymentEvents:
    """Writes the Events of one runner. :param workload: name of the version's Deployment."""

    def __init__(self, rollout: Rollout, client: Objects, workload: str) -> None:
        self._rollout = rollout
        self._client = client
        self._workload = workload
        self._about: dict[str, str] | None = None
        self._off = False
        self._written = 0

    def tell(self, milestone: Milestone, journal: Journal) -> None:
        """Writes one Event. Whatever is wrong with that is a warning, once."""
        if self._off or (self._written >= MOST_EVENTS and not milestone.last):
            return
        try:
            self._write(milestone, journal)
        except ApiError as error:
            self._off = True
            self._rollout.warnings.append(f"no Events on Deployment {self._workload}: {error}")

    def close(self) -> None:
        """Nothing is left to do."""

    def _write(self, milestone: Milestone, journal: Journal) -> None:
        if self._about is None:
            self._about = regarding(self._client, journal.namespace, self._workload)
        if self._about is None:  # some other workload runs the version
            self._off = True
            return
        self._written += 1
        made = event(
            self._about,
            milestone,
            told(milestone, journal),
            name=f"{self._workload[:190]}.{journal.run[:32]}-{journal.fence}-{self._written}",
            instance=self._rollout.lease.identity,
        )
        self._client.create({**made, "eventTime": timestamp(self._rollout.clock.now())})
