"""Verdicts add up honestly, and reports say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import findings as told
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.reports.write import (
    check_path,
)

GOOD = told.passed("mtls", "shop/web:80", "strict")
BAD = told.failed("routes", "VirtualService shop/web", "leads <nowhere> & \x1b[0m")
DIM = told.unknown("sync", "istiod", "no right to exec")
OPEN = told.stated("policies", "shop/page", "open to everybody: a public page")
SKIPPED = told.not_tested("gateways", "public sql.example.com", "TCP")


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ((), "cannot tell"),
        ((GOOD,), "pass"),
        ((GOOD, DIM), "cannot tell"),
        ((GOOD, DIM, BAD), "fail"),
        ((GOOD, BAD), "fail"),
        ((GOOD, OPEN, SKIPPED), "pass"),
        ((OPEN, SKIPPED), "stated opening"),
        ((SKIPPED,), "not tested"),
        ((OPEN, DIM), "cannot tell"),
        ((OPEN, BAD), "fail"),
    ],
)
def test_status(findings: tuple[told.Finding, ...], status: str) -> None:
    assert told.Findings(findings).status == status


def test_the_headline_begins_with_the_verdict() -> None:
    assert told.Findings((GOOD,)).headline() == "pass: 1 findings in 1 checks"
    assert told.Findings((GOOD, DIM)).headline() == "cannot tell: istiod: no right to exec"
    assert told.Findings((DIM, BAD)).headline().startswith("fail: VirtualService shop/web: leads")
    assert told.Findings((DIM, BAD)).headline().endswith("(and 1 more)")
    assert (
        told.Findings((told.unknown("injection", "", "not installed"),)).headline()
        == "cannot tell: not installed"
    )


def test_notes_are_told_and_counted_apart_from_what_passed() -> None:
    findings = told.Findings((GOOD, OPEN, SKIPPED))
    assert findings.problems() == []
    assert findings.headline() == "pass: 1 findings in 3 checks (stated opening: 1, not tested: 1)"
    assert [record["status"] for record in findings.checks()] == ["stated opening", "pass", "not tested"]
    assert "stated opening: shop/page: open to everybody: a public page" in findings.lines()[1]
    assert told.Findings((OPEN,)).headline() == "stated opening: 0 findings in 1 checks (stated opening: 1)"


def test_checks_are_told_in_order_with_their_own_status() -> None:
    records = told.Findings((DIM, BAD, GOOD)).checks()
    assert [(record["check"], record["status"]) for record in records] == [
        ("mtls", "pass"),
        ("routes", "fail"),
        ("sync", "cannot tell"),
    ]
    assert [record["title"] for record in records] == [told.TITLES[record["check"]] for record in records]


def test_lines_name_what_did_not_pass_and_count_the_rest() -> None:
    many = tuple(told.failed("mtls", f"shop/s{index}", f"bad {index}") for index in range(25))
    lines = told.Findings((GOOD, *many)).lines()
    assert lines[0].startswith("FAIL")
    assert "1 pass, 25 fail" in lines[0]
    assert len(lines) == 1 + told.MAX_LINES + 1
    assert lines[-1].strip() == "... and 5 more"
    whole = told.Findings((GOOD, *many[: told.MAX_LINES])).lines()
    assert whole[-1].strip() == f"FAIL: shop/s{told.MAX_LINES - 1}: bad {told.MAX_LINES - 1}"


def test_big_results_keep_what_did_not_pass() -> None:
    many = tuple(told.passed("mtls", str(index), "ok") for index in range(told.MAX_FINDINGS))
    assert told.Findings((*many, BAD)).for_result() == [BAD.as_dict()]
    assert len(told.Findings(many).for_result()) == told.MAX_FINDINGS


def test_every_check_has_a_title() -> None:
    assert {finding.check for finding in (GOOD, BAD, DIM)} <= set(told.TITLES)


@pytest.mark.parametrize("name", ["report.txt", "report", "missing/report.json"])
def test_a_bad_report_path_is_refused_before_anything_is_done(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="report"):
        check_path(str(tmp_path / name))


def test_what_is_said_of_many_things_is_one_problem() -> None:
    few = told.Findings(tuple(told.failed("mtls", f"shop/s{index}", "bad") for index in range(2)))
    assert few.problems() == ["FAIL: shop/s0, shop/s1: bad"]
    three = told.Findings(tuple(told.failed("mtls", f"shop/s{index}", "bad") for index in range(3)))
    assert three.problems() == ["FAIL: shop/s0, shop/s1, shop/s2: bad"]
    four = told.Findings(tuple(told.failed("mtls", f"shop/s{index}", "bad") for index in range(4)))
    assert four.problems() == ["FAIL: shop/s0, shop/s1, shop/s2 and 1 more: bad"]
    assert told.Findings((told.failed("mtls", "", "bad"), told.failed("mtls", "x", "bad"))).problems() == [
        "FAIL: x: bad"
    ]
    many = told.Findings(tuple(told.failed("mtls", f"shop/s{index}", "bad") for index in range(190)))
    assert many.problems() == ["FAIL: shop/s0, shop/s1, shop/s2 and 187 more: bad"]
    assert len(many.lines()) == 2
    assert len(many.for_result()) == 190
