"""What is kept of a rollout: its hash, and what the rollout cost."""

from __future__ import annotations

import hashlib
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.evidence import (
    EVIDENCE_KEYS,
    evidence_of,
    sha256_of,
    totals,
)


def window(phase: int, **counts: list[int]) -> dict[str, Any]:
    return {"phase": phase, "counts": counts}


def test_only_what_a_verdict_rests_on_is_evidence() -> None:
    state = {"run": "7", "state": "running", "lease": 1, "windows": [], "judged": 1}
    assert evidence_of(state) == {"run": "7", "windows": [], "judged": 1}
    names = [
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
    ]
    assert set(names) == set(EVIDENCE_KEYS)
    assert evidence_of(dict.fromkeys([*names, "x"], 1)) == dict.fromkeys(names, 1)


def test_the_hash_is_of_the_canonical_json() -> None:
    text = '{"a":[1,2.5,null],"b":"\\u00e9"}'
    assert sha256_of({"b": "é", "a": [1, 2.5, None]}) == hashlib.sha256(text.encode()).hexdigest()


def test_what_the_rollout_cost() -> None:
    found = {
        "windows": [
            window(1, errors=[100, 2, 300, 4], latency=[100, 30, 300, 5]),
            window(2, latency=[1, 1, 0, 0]),
        ],
        "discarded": [window(1, errors=[10, 1, 0, 0])],
        "after": window(2, errors=[5, 5, 7, 1], latency=[5, 2, 0, 0]),
    }
    assert totals(found) == {
        "requests": 422,
        "canary_requests": 115,
        "canary_failed": 8,
        "canary_slow": 33,
        "stable_requests": 307,
        "stable_failed": 5,
        "hurt_share": 0.018957,
    }
    assert totals({}) == {
        "requests": 0,
        "canary_requests": 0,
        "canary_failed": 0,
        "canary_slow": 0,
        "stable_requests": 0,
        "stable_failed": 0,
        "hurt_share": 0.0,
    }
    assert totals({"after": None, "windows": [window(1)]})["requests"] == 0
