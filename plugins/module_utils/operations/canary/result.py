# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout returns: small results, exact diffs per phase, evidence files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...files import write_whole
from ...kube.clock import seconds_of
from ...kube.comparison import for_display
from ...model.rollout.evidence import evidence_of, sha256_of, totals
from ...model.rollout.journal import Journal, Outcome, State
from ...model.rollout.page.evidence import evidence_page
from ...verdicts import FAIL, PASS
from .assembly import RolloutBuilder
from .rollout import Rollout

WELL: tuple[Outcome | State, ...] = (
    Outcome.PROMOTED,
    Outcome.SPLIT,
    State.AWAITING_APPROVAL,
    State.PAUSED,
)


def summary(builder: RolloutBuilder, *, outcome: str, reason: str) -> dict[str, Any]:
    """A result of a call that changed nothing. :returns: the keys that every result of the module has."""
    return {
        "changed": False,
        "status": PASS,
        "service": builder.service.key,
        "outcome": outcome,
        "reason": reason,
        "run": builder.store.known.run if builder.store.known else "",
        "warnings": [],
    }


def report(
    builder: RolloutBuilder, rollout: Rollout, *, well: tuple[Outcome | State, ...] = WELL
) -> dict[str, Any]:
    """The result of a run that has ended, with its evidence written where the user asked.

    :returns: the module's result.
    """
    journal = rollout.journal
    outcome = journal.outcome or journal.state
    evidence = evidence_of(journal.as_dict())
    cost = totals(evidence)
    result: dict[str, Any] = {
        "changed": rollout.changed,
        "status": PASS if outcome in well else FAIL,
        "service": builder.service.key,
        "outcome": outcome.value,
        "reason": journal.reason,
        "run": journal.run,
        "stable": journal.stable,
        "canary": journal.canary,
        "counts": cost,
        "propagation_seconds": [proof.seconds for proof in journal.proofs],
        "proxies": max((proof.proxies for proof in journal.proofs), default=0),
        "api_calls": dict(journal.api_calls),
        "seconds": _seconds(journal),
        "evidence_sha256": journal.evidence_sha256,
        "warnings": rollout.warnings,
    }
    if outcome is Outcome.ROLLED_BACK and journal.proofs:
        result.update(_seconds_to_stable(journal, journal.proofs[-1].at))
    if builder.options.evidence:
        try:
            result["evidence"] = write_evidence(builder.options.evidence, builder.service.name, journal)
        except OSError as error:  # what was decided stands, and the journal keeps the evidence
            where = builder.options.evidence
            rollout.warnings.append(f"the evidence is not written to {where}: {error.strerror or error}")
    hurt = f"{cost['canary_failed']} of {cost['requests']} requests failed ({cost['hurt_share']:.3%})"
    slow = f", {cost['canary_slow']} were slow" if cost["canary_slow"] else ""
    share = f"hurt by the canary: {hurt}{slow}"
    rollout.progress(f"{outcome}: {result['reason']}; {share}{_reported_times(result)}")
    return result


def _reported_times(result: Mapping[str, Any]) -> str:
    decided, seen = result.get("seconds_to_weight_0"), result.get("seconds_from_first_bad_window")
    if decided is None:
        return ""
    since = "" if seen is None else f", {seen} s after the begin of the first window with a failure"
    return f"; weight 0 at the last proxy {decided} s after the decision{since}"


def _seconds_to_stable(journal: Journal, proved: str) -> dict[str, float | None]:
    """How long a withdrawn version kept requests: since the decision, and since the begin of the first window
    in which a gate saw one of its requests fail.

    :returns: name of the result -> seconds, None where a time cannot be read.
    """
    began = {"seconds_to_weight_0": journal.rollback_began}
    bad = [window.begin for window in journal.windows if any(counts[1] for counts in window.counts.values())]
    if bad:
        began["seconds_from_first_bad_window"] = bad[0]
    end = seconds_of(proved)
    found: dict[str, float | None] = {}
    for name, text in began.items():
        start = seconds_of(text)
        found[name] = None if end is None or start is None else round(end - start, 2)
    return found


def _seconds(journal: Journal) -> float:
    times = [seconds_of(line.at) for line in journal.timeline]
    known = [time for time in times if time is not None]
    return round(max(known) - min(known), 1) if known else 0.0


def write_evidence(directory: Path, service: str, journal: Journal) -> list[str]:
    """Writes ``<service>-<run>.json`` and ``.html``, each whole or not at all.

    :param service: as the catalogue names it; the run's id is what ``parse_journal`` lets through.
    :returns: their paths.
    """
    directory.mkdir(parents=True, exist_ok=True)
    state = journal.as_dict()
    evidence = evidence_of(state)
    whole = {
        "evidence": evidence,
        "sha256": sha256_of(evidence),
        "outcome": (journal.outcome or journal.state).value,
        "reason": journal.reason,
        "timeline": state["timeline"],
        "api_calls": state["api_calls"],
        "totals": totals(evidence),
    }
    stem = f"{service}-{journal.run}"
    paths = []
    for suffix, text in (
        (".json", json.dumps(whole, indent=1, sort_keys=True)),
        (".html", evidence_page(whole)),
    ):
        path = directory / f"{stem}{suffix}"
        write_whole(path, text + "\n")
        paths.append(str(path))
    return paths


def diffs_of(rollout: Rollout) -> list[dict[str, Any]]:
    """The exact change of the routes in each phase, and of the way back.

    :returns: one mapping per phase, in Ansible's form.
    """
    routes = rollout.routes
    before = routes.desired(rollout.stable_traffic())["spec"]
    plan = rollout.plan
    steps = [(f"phase {phase.label()}", plan.traffic(phase, "run")) for phase in plan.phases]
    diffs = []
    for label, traffic in [*steps, ("rollback", rollout.stable_traffic())]:
        after = routes.desired(traffic)["spec"]
        shown = [
            json.dumps(state["spec"], indent=1, sort_keys=True) + "\n"
            for state in for_display({"spec": before}, {"spec": after})  # a route may match by a token
        ]
        diffs.append(
            {
                "before_header": f"VirtualService {routes.namespace}/{routes.name}",
                "after_header": f"{routes.name}: {label}",
                "before": shown[0],
                "after": shown[1],
            }
        )
        before = after
    return diffs
