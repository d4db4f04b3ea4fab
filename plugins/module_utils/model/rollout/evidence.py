# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of a rollout: what is kept, its hash, and what the rollout cost. Pure functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

EVIDENCE_KEYS = (
    "schema",
    "run",
    "runner",
    "by",
    "service",
    "namespace",
    "cluster",
    "stable",
    "canary",
    "inputs",
    "plan",
    "gates",
    "queries",
    "policy",
    "selectors",
    "baseline",
    "windows",
    "discarded",
    "after",
    "values",
    "verdicts",
    "by_phase",
    "answers",
    "judged",
    "ended",
    "proofs",
    "diffs",
    "restarts",
)


def evidence_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a journal that a verdict rests on.

    :returns: ``EVIDENCE_KEYS`` -> the journal's values; a key that it lacks is left out.
    """
    return {key: state[key] for key in EVIDENCE_KEYS if key in state}


def sha256_of(evidence: Mapping[str, Any]) -> str:
    """Hash of the canonical JSON of the evidence."""
    text = json.dumps(evidence, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def totals(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Requests and failures of the run: what the rollout cost its users.

    :returns: ``requests``, ``canary_requests``, ``canary_failed``, ``canary_slow``, ``stable_requests``,
        ``stable_failed``, and ``hurt_share`` (0 to 1).
    """
    windows = [*evidence.get("discarded", []), *evidence.get("windows", [])]
    if evidence.get("after"):
        windows.append(evidence["after"])
    counts = [window["counts"].get("errors", [0, 0, 0, 0]) for window in windows]
    canary, bad, stable, stable_bad = (sum(count[index] for count in counts) for index in range(4))
    slow = sum(window["counts"].get("latency", [0, 0, 0, 0])[1] for window in windows)
    everything = canary + stable
    return {
        "requests": everything,
        "canary_requests": canary,
        "canary_failed": bad,
        "canary_slow": slow,
        "stable_requests": stable,
        "stable_failed": stable_bad,
        "hurt_share": round(bad / everything, 6) if everything else 0.0,
    }
