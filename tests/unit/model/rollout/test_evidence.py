"""What is kept of a rollout: its hash, the verdicts recomputed from it, and its cost."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.evidence import (
    EVIDENCE_KEYS,
    evidence_of,
    recompute,
    sha256_of,
    totals,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import GateVerdict

PHASES = [
    {"kind": "mirror", "minimum_requests": 0},
    {"kind": "weight", "minimum_requests": 0},
    {"kind": "weight", "minimum_requests": 50},
]
ERRORS = {"name": "errors", "acceptable": 0.005, "limit": 0.02}
LATENCY = {"name": "latency", "acceptable": 0.05, "limit": 0.2, "compare": False}


def window(phase: int, **counts: list[int]) -> dict[str, Any]:
    return {"phase": phase, "counts": counts}


def evidence(judged: int, *windows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "policy": {"alpha": 0.01, "power": 0.95, "mode": "sequential"},
        "gates": [ERRORS, LATENCY],
        "plan": {"phases": PHASES, "evidence_phase": 3},
        "judged": judged,
        "ended": True,
        "windows": list(windows),
        **more,
    }


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


def verdicts(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(item.gate, str(item.verdict), item.reason) for item in recompute(found)]


def test_a_phase_of_copied_requests_needs_none_and_no_promotion() -> None:
    assert verdicts(evidence(1)) == [
        ("errors", "pass", "0 of 0 requests failed in this phase"),
        ("latency", "pass", "0 of 0 requests too slow in this phase"),
    ]


def test_a_phase_with_weight_needs_at_least_one_request() -> None:
    assert verdicts(evidence(2, window(1, errors=[9, 0, 9, 0]))) == [
        ("errors", "not enough data", "0 of 1 requests in this phase"),
        ("latency", "not enough data", "0 of 1 requests in this phase"),
    ]
    assert verdicts(evidence(2, window(2, errors=[1, 0, 9, 0], latency=[2, 1, 9, 0]))) == [
        ("errors", "pass", "0 of 1 requests failed in this phase"),
        ("latency", "pass", "1 of 2 requests too slow in this phase"),
    ]


def test_the_evidence_phase_needs_the_evidence_of_the_run() -> None:
    """Phase 2 lets the same windows through; phase 3 asks whether they refute a sick version."""
    few = evidence(3, window(3, errors=[60, 0, 60, 0], latency=[60, 0, 60, 0]))
    assert verdicts(few) == [
        ("errors", "not enough data", "evidence below the limit of 2.00% is 0.91 of 3.00"),
        ("latency", "pass", "0 of 60 requests too slow in this phase"),
    ]
    many = evidence(3, *[window(3, errors=[100, 0, 100, 0], latency=[100, 0, 100, 0])] * 10)
    assert [verdict for _gate, verdict, _reason in verdicts(many)] == ["pass", "pass"]
    assert recompute(many)[0].verdict is GateVerdict.PASS


def test_evidence_that_lacks_a_part_is_no_verdict() -> None:
    for key in ("policy", "gates", "plan", "judged", "windows"):
        with pytest.raises(KeyError, match=key):
            recompute({name: value for name, value in evidence(1).items() if name != key})


def test_what_the_rollout_cost() -> None:
    found = evidence(
        1,
        window(1, errors=[100, 2, 300, 4], latency=[100, 30, 300, 5]),
        window(2, latency=[1, 1, 0, 0]),
        discarded=[window(1, errors=[10, 1, 0, 0])],
        after=window(2, errors=[5, 5, 7, 1], latency=[5, 2, 0, 0]),
    )
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
