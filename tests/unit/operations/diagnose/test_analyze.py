# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istioctl says stands beside the causes; that it fails is told, and no failure of a diagnosis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import analyze

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


# Codes by what they are about (Istio, pkg/config/analysis/msg/messages.yaml).
FAMILIES = {
    "injection": "0102 0103 0107 0108 0123 0125 0139 0144 0146 0147 0158",
    "gateway": "0101 0132 0138 0140 0145 0161 0162 0164 0165",
    "security": "0128 0129 0149 0166 0167 0175",
    "egress": "0134 0177",
    "control plane": "0001 0106 0110 0111 0133 0141 0142 0151 0152 0153 0154 0155 0156 0159 0160 0171",
    "routing": "0104 0105 0109 0112 0113 0116 0118 0127 0130 0131 0135 0136 0143 0157 0163 0176 0999",
}


@pytest.mark.parametrize(
    ("code", "family"), [(code, family) for family, codes in FAMILIES.items() for code in codes.split()]
)
def test_each_message_belongs_to_a_family(code: str, family: str) -> None:
    assert analyze._family(f"IST{code}") == family
    assert analyze._family("IST") == analyze._family("other") == "routing"


@pytest.mark.parametrize(
    ("namespaces", "chosen"),
    [((), [["--all-namespaces"]]), (("a", "b"), [["-n", "a"], ["-n", "b"]])],
)
def test_how_istioctl_is_asked_and_what_of_its_answer_counts(
    namespaces: tuple[str, ...], chosen: list[list[str]]
) -> None:
    asked: list[list[str]] = []

    class Runner:
        def run(self, command: list[str], *, timeout: float, about: str) -> str:
            asked.append(command)
            assert timeout > 0
            assert "analyze" in about
            return 'a log\n[{"code": "IST1", "level": "Error", "origin": "A b/c", "message": "m [x]"}, 3]'

    runner: Any = Runner()
    (found,) = analyze.messages(runner, "/bin/istioctl", "system", namespaces)
    assert (found.code, found.level, found.origin, found.text) == ("IST1", "Error", "A b/c", "m [x]")
    common = ["/bin/istioctl", "analyze", "-o", "json", "--istioNamespace", "system"]
    assert asked == [[*common, *one] for one in chosen]


def test_an_answer_without_a_list_says_nothing() -> None:
    class Runner:
        def run(self, _command: list[str], **_more: Any) -> str:
            return "No validation issues found."

    runner: Any = Runner()
    assert analyze.messages(runner, "istioctl", "istio-system", ()) == []
