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
from .assembly import RolloutBuilder
from .rollout import Rollout

WELL = ("promoted", "split", "awaiting_approval", "paused")


def summary(builder: RolloutBuilder, *, outcome: str, reason: str) -> dict[str, Any]:
    """A result of a call that changed nothing."""
    return {
        "changed": False,
        "status": "pass",
        "service": builder.service.key,
        "outcome": outcome,
        "reason": reason,
        "run": str(builder.journal.state.get("run") or ""),
        "warnings": [],
    }


def report(builder: RolloutBuilder, rollout: Rollout, *, well: tuple[str, ...] = WELL) -> dict[str, Any]:
    """The result of a run that has ended, with its evidence written where the user asked."""
    state = rollout.journal.state
    outcome = str(state.get("outcome") or state.get("state"))
    cost = totals(evidence_of(state))
    proofs = state.get("proofs", [])
    result: dict[str, Any] = {
        "changed": rollout.changed,
        "status": "pass" if outcome in well else "fail",
        "service": builder.service.key,
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
        "warnings": rollout.warnings,
    }
    if outcome == "rolled_back" and proofs:
        result.update(_seconds_to_stable(state, str(proofs[-1]["at"])))
    if builder.params.get("evidence"):
        result["evidence"] = write_evidence(Path(str(builder.params["evidence"])), state)
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


def diffs_of(rollout: Rollout) -> list[dict[str, Any]]:
    """The exact change of the routes in each phase, and of the way back."""
    routes = rollout.routes
    before = routes.desired(rollout.stable_state())["spec"]
    steps = [(f"phase {phase.label()}", rollout.traffic(phase)) for phase in rollout.plan.phases]
    diffs = []
    for label, traffic in [*steps, ("rollback", rollout.stable_state())]:
        after = routes.desired(traffic)["spec"]
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
