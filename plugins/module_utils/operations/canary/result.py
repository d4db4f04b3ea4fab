# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout returns: small results, exact diffs per phase, evidence files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...kube.clock import seconds_of
from ...model.rollout.evidence import evidence_of, sha256_of, totals
from ...model.rollout.evidence_page import evidence_page
from .assembly import Kit
from .run import Run

WELL = ("promoted", "split", "awaiting_approval", "paused")


def summary(kit: Kit, *, outcome: str, reason: str) -> dict[str, Any]:
    """A result of a call that changed nothing."""
    return {
        "changed": False,
        "status": "pass",
        "service": kit.service.key,
        "outcome": outcome,
        "reason": reason,
        "run": str(kit.journal.state.get("run") or ""),
        "warnings": [],
    }


def report(kit: Kit, run: Run, *, well: tuple[str, ...] = WELL) -> dict[str, Any]:
    """The result of a run that has ended, with its evidence written where the user asked."""
    state = run.journal.state
    outcome = str(state.get("outcome") or state.get("state"))
    cost = totals(evidence_of(state))
    proofs = state.get("proofs", [])
    result: dict[str, Any] = {
        "changed": run.changed,
        "status": "pass" if outcome in well else "fail",
        "service": kit.service.key,
        "outcome": outcome,
        "reason": str(state.get("reason") or ""),
        "run": str(state.get("run") or ""),
        "stable": state.get("stable"),
        "canary": state.get("canary"),
        "counts": cost,
        "propagation_seconds": [proof["seconds"] for proof in proofs],
        "proxies": max((proof["proxies"] for proof in proofs), default=0),
        "api_calls": state.get("api_calls", {}),
        "seconds": _seconds(state),
        "evidence_sha256": state.get("evidence_sha256", ""),
        "warnings": run.warnings,
    }
    if outcome == "rolled_back" and proofs:
        result.update(_seconds_to_stable(state, str(proofs[-1]["at"])))
    if kit.params.get("evidence"):
        result["evidence"] = write_evidence(Path(str(kit.params["evidence"])), state)
    hurt = f"{cost['canary_failed']} of {cost['requests']} requests failed ({cost['hurt_share']:.3%})"
    slow = f", {cost['canary_slow']} were slow" if cost["canary_slow"] else ""
    share = f"hurt by the canary: {hurt}{slow}"
    run.say(f"{outcome}: {result['reason']}; {share}{_told_times(result)}")
    return result


def _told_times(result: Mapping[str, Any]) -> str:
    decided, seen = result.get("seconds_to_weight_0"), result.get("seconds_from_first_bad_window")
    if decided is None:
        return ""
    since = "" if seen is None else f", {seen} s after the begin of the first window with a failure"
    return f"; weight 0 at the last proxy {decided} s after the decision{since}"


def _seconds_to_stable(state: Mapping[str, Any], proved: str) -> dict[str, float | None]:
    """How long a withdrawn version kept requests: since the decision, and since the begin of the first window
    in which a gate saw one of its requests fail."""
    bad = [
        window["begin"]
        for window in state.get("windows", [])
        if any(counts[1] for counts in window["counts"].values())
    ]
    began = {"seconds_to_weight_0": str(state.get("rollback_began"))}
    if bad:
        began["seconds_from_first_bad_window"] = str(bad[0])
    end = seconds_of(proved)
    found: dict[str, float | None] = {}
    for name, text in began.items():
        start = seconds_of(text)
        found[name] = None if end is None or start is None else round(end - start, 2)
    return found


def _seconds(state: Mapping[str, Any]) -> float:
    timeline = state.get("timeline") or []
    times = [seconds_of(str(line["at"])) for line in timeline]
    known = [time for time in times if time is not None]
    return round(max(known) - min(known), 1) if known else 0.0


def write_evidence(directory: Path, state: Mapping[str, Any]) -> list[str]:
    """Writes ``<service>-<run>.json`` and ``.html``. :returns: their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    evidence = evidence_of(state)
    whole = {
        "evidence": evidence,
        "sha256": sha256_of(evidence),
        "outcome": state.get("outcome") or state.get("state"),
        "reason": state.get("reason"),
        "timeline": state.get("timeline", []),
        "api_calls": state.get("api_calls", {}),
        "totals": totals(evidence),
    }
    stem = f"{state.get('service')}-{state.get('run')}"
    paths = []
    for suffix, text in (
        (".json", json.dumps(whole, indent=1, sort_keys=True)),
        (".html", evidence_page(whole)),
    ):
        path = directory / f"{stem}{suffix}"
        path.write_text(text + "\n", encoding="utf-8")
        paths.append(str(path))
    return paths


def diffs_of(run: Run) -> list[dict[str, Any]]:
    """The exact change of the routes in each phase, and of the way back."""
    routes = run.routes
    before = routes.desired(run.stable_shape())["spec"]
    steps = [(f"phase {phase.label()}", run.shape(phase)) for phase in run.plan.phases]
    diffs = []
    for label, shape in [*steps, ("rollback", run.stable_shape())]:
        after = routes.desired(shape)["spec"]
        diffs.append(
            {
                "before_header": f"VirtualService {routes.namespace}/{routes.name}",
                "after_header": f"{routes.name}: {label}",
                "before": json.dumps(before, indent=1, sort_keys=True) + "\n",
                "after": json.dumps(after, indent=1, sort_keys=True) + "\n",
            }
        )
        before = after
    return diffs
