# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout says before it writes anything, and how long the one of a journal took."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import backend, result


def announced(**changed: Any) -> list[str]:
    """The lines of a plan with one phase. :returns: as they were said."""
    lines: list[str] = []
    phase = SimpleNamespace(
        label=lambda: "1 (5 %)", expected_seconds=30.4, expected_requests=changed.pop("count", None)
    )
    plan = SimpleNamespace(
        canary="v2",
        phases=[phase],
        requests_per_second=changed.pop("rate", None),
        expected_seconds=90.4,
        evidence_requests=50,
    )
    options = SimpleNamespace(
        outside=changed.pop("outside", ()),
        lease=20.0,
        resume_period=30.0,
        deadman=changed.pop("deadman", False),
    )
    builder: Any = SimpleNamespace(
        context=SimpleNamespace(progress=lines.append), service=SimpleNamespace(name="api"), options=options
    )
    found: Any = SimpleNamespace(
        plan=plan, sizes=changed.pop("sizes", {}), warnings=changed.pop("warnings", [])
    )
    assert not changed
    backend.announce(builder, found, "v1", "the routes")
    return lines


HEAD = "api: v1 (the routes) -> v2, 1 phases"
PHASE = "plan: phase 1 (5 %): 30 s"
ORPHANED = "plan: if this runner dies, the split stays for at most {} s ({})"
ALONE = ORPHANED.format(50, "lease + resume period")
GATES = [
    SimpleNamespace(name="load", kind="web", when=["before", "during"], phases=[1, 2]),
    SimpleNamespace(name="night", kind="calendar", when=["after"], phases=[]),
]


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({}, [HEAD, PHASE, ALONE]),
        ({"count": 0}, [HEAD, f"{PHASE}, about 0 canary requests", ALONE]),
        (
            {"rate": 2.04},
            [
                HEAD,
                PHASE,
                "plan: 90 s at 2.0 requests/s; promotion needs about 50 canary requests as evidence",
                ALONE,
            ],
        ),
        (
            {"sizes": {"v1": SimpleNamespace(describe=lambda: "2 pods")}},
            [HEAD, PHASE, "plan: v1: 2 pods", ALONE],
        ),
        (
            {"outside": GATES},
            [
                HEAD,
                PHASE,
                "plan: gate load by web, before, during (phases 1, 2)",
                "plan: gate night by calendar, after",
                ALONE,
            ],
        ),
        (
            {"deadman": True},
            [HEAD, PHASE, ORPHANED.format(25, "lease, then a Job in the cluster gives the routes back")],
        ),
        ({"warnings": ["a", "b"]}, [HEAD, PHASE, ALONE, "warning: a", "warning: b"]),
    ],
)
def test_what_is_said_before_anything_is_written(changed: dict[str, Any], lines: list[str]) -> None:
    assert announced(**changed) == lines


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([], 0.0),
        (["nonsense"], 0.0),
        (["2026-11-23T12:00:00Z"], 0.0),
        (["2026-11-23T12:00:07Z", "", "2026-11-23T12:00:00Z", "2026-11-23T12:00:05Z"], 7.0),
    ],
)
def test_how_long_a_rollout_took(times: list[str], seconds: float) -> None:
    journal: Any = SimpleNamespace(timeline=[SimpleNamespace(at=text) for text in times])
    assert result._seconds(journal) == seconds


@pytest.mark.parametrize(
    ("began", "windows", "proved", "seconds"),
    [
        ("2026-11-23T12:00:00Z", [], "2026-11-23T12:00:02Z", {"seconds_to_weight_0": 2.0}),
        ("", [], "2026-11-23T12:00:02Z", {"seconds_to_weight_0": None}),
        ("2026-11-23T12:00:00Z", [], "", {"seconds_to_weight_0": None}),
        (
            "2026-11-23T12:00:00Z",
            [
                ("2026-11-23T11:59:00Z", {"v1": (9, 0)}),
                ("2026-11-23T11:59:30Z", {"v1": (9, 0), "v2": (9, 1)}),
                ("2026-11-23T11:59:50Z", {"v2": (9, 9)}),
            ],
            "2026-11-23T12:00:02Z",
            {"seconds_to_weight_0": 2.0, "seconds_from_first_bad_window": 32.0},
        ),
    ],
)
def test_how_long_a_withdrawn_version_kept_requests(
    began: str, windows: list[Any], proved: str, seconds: dict[str, float | None]
) -> None:
    seen = [SimpleNamespace(begin=begin, counts=counts) for begin, counts in windows]
    journal: Any = SimpleNamespace(rollback_began=began, windows=seen)
    assert result._seconds_to_stable(journal, proved) == seconds
