# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istioctl says stands beside the causes; that it fails is told, and no failure of a diagnosis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError

from ...support.programs import program
from .healthy_mesh import Healthy, diagnose

MESSAGES = [
    {
        "code": "IST0101",
        "level": "Error",
        "origin": "VirtualService shop/api (x.yaml:1)",
        "message": "not found",
    },
    {"code": "IST0162", "level": "Error", "origin": "Gateway shop/public", "message": "no such port"},
    {"code": "IST0133", "level": "Warning", "origin": "EnvoyFilter shop/x", "message": "careful"},
    {"code": "IST0102", "level": "Info", "origin": "Namespace outside", "message": "not enabled"},
]


def istioctl(place: Path, messages: object, code: int = 0) -> str:
    script = f"echo some log; cat <<'EOF'\n{json.dumps(messages)}\nEOF\nexit {code}"
    return str(program(place / "bin", "istioctl", script))


def test_its_errors_are_causes_and_its_warnings_none(tmp_path: Path) -> None:
    result = diagnose(Healthy(), istioctl_path=istioctl(tmp_path, MESSAGES[1:]))
    (cause,) = result["causes"]
    assert (cause["object"], cause["family"], cause["likelihood"]) == (
        "Gateway shop/public",
        "gateway",
        "likely",
    )
    assert cause["cause"] == "no such port (IST0162, says istioctl analyze)"
    assert diagnose(Healthy(), istioctl_path=istioctl(tmp_path, MESSAGES[2:]))["status"] == "pass"
    assert diagnose(Healthy(), istioctl_path=istioctl(tmp_path, []))["status"] == "pass"


def test_what_it_says_of_an_object_that_we_name_is_evidence(tmp_path: Path) -> None:
    cluster = Healthy()
    cluster.edit("VirtualService", "api")["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v9"
    result = diagnose(
        cluster, istioctl_path=istioctl(tmp_path, MESSAGES[:1]), source="web", destination="api"
    )
    (cause,) = result["causes"]
    assert cause["evidence"] == ["istioctl analyze, IST0101: not found"]


def test_an_error_elsewhere_is_no_cause_of_a_symptom(tmp_path: Path) -> None:
    elsewhere = [{**MESSAGES[1], "origin": "Gateway other/public"}]
    result = diagnose(Healthy(), istioctl_path=istioctl(tmp_path, elsewhere), source="web", destination="api")
    assert result["causes"] == []


@pytest.mark.parametrize(("output", "code"), [("[", 0), ([], 1)])
def test_that_it_fails_is_told(tmp_path: Path, output: object, code: int) -> None:
    path = istioctl(tmp_path, output, code)
    if output == "[":
        Path(path).write_text("#!/bin/sh\necho '[{'\n")
    result = diagnose(Healthy(), istioctl_path=path)
    assert result["status"] == "cannot tell"
    ((what, why),) = [(one["what"], one["why"]) for one in result["unknown"]]
    assert what == "istioctl analyze"
    assert ("something else than JSON" if output == "[" else "could not run istioctl analyze") in why


def test_one_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="diagnose_istioctl_path"):
        diagnose(Healthy(), istioctl_path="/nowhere/istioctl")
