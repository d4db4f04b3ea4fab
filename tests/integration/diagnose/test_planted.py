# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the lab: each planted problem is the first or second cause; a healthy mesh has none, restarts or not."""

from __future__ import annotations

import json
import os
import time

import pytest

from .planting import AT_GATEWAY, CALL, SICK_NAMESPACE, TO_OUTSIDE, Problem
from .problems.control_plane import CONTROL_PLANE
from .problems.dns import DNS
from .problems.egress import EGRESS
from .problems.gateway import GATEWAY
from .problems.injection import INJECTION
from .problems.latency import LATENCY
from .problems.routing import ROUTING
from .problems.security import SECURITY
from .sick import Obj, Sick

SAMPLE = ("unknown subset", "deny", "rule disables TLS", "foreign key", "not declared", "misspelt")
PROBLEMS = [*INJECTION, *ROUTING, *SECURITY, *GATEWAY, *EGRESS, *LATENCY, *DNS, *CONTROL_PLANE]
LOOKS = int(os.environ.get("LOOKS", "50"))


def ids(problem: Problem) -> str:
    return f"{problem.family}: {problem.name}"


def check(sick: Sick, problem: Problem) -> None:
    with problem.plant(sick):
        result = sick.diagnose(**_named(sick, problem.symptom))
    first = result["causes"][:2]
    found = [
        cause for cause in first if cause["family"] == problem.family and _is(cause["object"], problem.object)
    ]
    told = json.dumps({"causes": result["causes"][:4], "unknown": result["unknown"]}, indent=1)
    assert found, told
    assert result["status"] == "fail"


def _named(sick: Sick, symptom: dict[str, str]) -> dict[str, str]:
    """The symptom with the real name of the pod of a workload."""
    if "pod" not in symptom:
        return symptom
    place, _slash, app = symptom["pod"].partition("/")
    return {**symptom, "pod": f"{place}/{sick.pods(app)[-1]['metadata']['name']}"}


def _is(found: str, wanted: str) -> bool:
    """Pods have made-up names; of a kind without a name, any object will do."""
    return (
        found == wanted
        or (wanted.startswith("Pod ") and found.startswith(f"{wanted}-"))
        or (" " not in wanted and found.startswith(f"{wanted} "))
    )


@pytest.mark.sample
@pytest.mark.parametrize("problem", [one for one in PROBLEMS if one.name in SAMPLE], ids=ids)
def test_a_planted_problem_is_found(sick: Sick, problem: Problem) -> None:
    check(sick, problem)


@pytest.mark.long
@pytest.mark.parametrize("problem", [one for one in PROBLEMS if one.name not in SAMPLE], ids=ids)
def test_every_planted_problem_is_found(sick: Sick, problem: Problem) -> None:
    check(sick, problem)


@pytest.mark.sample
@pytest.mark.parametrize("symptom", [{}, SICK_NAMESPACE, CALL, AT_GATEWAY, TO_OUTSIDE], ids=str)
def test_a_healthy_mesh_has_no_cause(sick: Sick, symptom: dict[str, str]) -> None:
    assert _told(sick.diagnose(**symptom)) == []


@pytest.mark.long
def test_a_healthy_mesh_under_rolling_restarts_has_no_cause(sick: Sick) -> None:
    """While one workload after the other is restarted, fifty looks of all kinds find nothing."""
    names = ("caller", "callee-v1", "callee-v2")
    symptoms: list[dict[str, str]] = [{}, SICK_NAMESPACE, CALL, AT_GATEWAY]
    wrong: list[object] = []
    for number in range(LOOKS):
        if number % 2 == 0:
            stamp = {"annotations": {"restarted": str(time.time())}}
            patch = {"spec": {"template": {"metadata": stamp}}}
            sick.client.patch("apps/v1", "Deployment", names[number % 3], "sick", patch)
        told = _told(sick.diagnose(**symptoms[number % len(symptoms)]))
        if told:
            wrong.append((number, told))
    assert wrong == []


def _told(result: Obj) -> list[object]:
    """What is said, for the message of a failure."""
    found: list[object] = [(one["object"], one["cause"]) for one in result["causes"]]
    return found + ([result["unknown"]] if result["status"] != "pass" and not found else [])
