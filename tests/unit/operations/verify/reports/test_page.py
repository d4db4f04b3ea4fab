# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads on the page of a verification, table by table."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import findings as told
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.reports.page import page
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.reports.sarif import sarif

from ..builders import catalogue, service

MESH = catalogue(
    service("web", open_paths=["/health"]),
    service(
        "pay",
        callers=[
            {"service": "web", "methods": ["POST", "PUT"], "paths": ["/pay/*", "/x"]},
            {"service": "web", "methods": ["GET"]},
        ],
        mtls={"mode": "PERMISSIVE", "reason": "old clients"},
    ),
    service("idle"),
)


def shown(*findings: told.Finding, mesh: Any = MESH, ledger: Any = None, **facts: str) -> str:
    return page(told.Findings(findings, ledger), mesh, facts)


def cells(text: str, name: str) -> list[list[tuple[str, str]]]:
    """The rows of a table: class and text of each cell; the head's have none."""
    body = re.search(rf'<table id="{name}">(.*?)</table>', text, re.DOTALL)
    assert body is not None, name
    return [
        [
            (css, html.unescape(content.replace("<br>", " | ")))
            for css, content in re.findall(r'<t[dh](?: class="(.*?)")?>(.*?)</t[dh]>', row)
        ]
        for row in re.findall(r"<tr.*?>(.*?)</tr>", body[1])
        if row
    ]


def texts(text: str, name: str) -> list[list[str]]:
    return [[content for _css, content in row] for row in cells(text, name)]


GOOD = told.passed("policies", "shop/web", "12 cells")
BAD = told.failed("policies", "AuthorizationPolicy shop/hole", "opens shop/pay to everybody")
DIM = told.unknown("sync", "Pod shop/pay-1", "no right to exec")
OPEN = told.stated("authorization", "shop/web", "everybody: a page")
FOREIGN = told.beside("objects", "Sidecar shop/x", "is nobody's")
SKIPPED = told.not_tested("authorization", "shop/pay", "POST changes something")


@pytest.mark.parametrize(
    ("findings", "title", "css"),
    [
        ((GOOD,), "Mesh shop: pass", "pass"),
        ((GOOD, BAD), "Mesh shop: fail", "fail"),
        ((GOOD, DIM), "Mesh shop: cannot tell", "cannot"),
        ((OPEN,), "Mesh shop: stated opening", "note"),
        ((FOREIGN,), "Mesh shop: beside the catalogue", "note"),
        ((SKIPPED,), "Mesh shop: not tested", "note"),
    ],
)
def test_the_verdict_stands_at_the_top(findings: tuple[told.Finding, ...], title: str, css: str) -> None:
    text = shown(*findings)
    assert f"<title>{title}</title>" in text
    assert f"<h1>{title}</h1>" in text
    assert f'<p id="headline" class="{css}">{html.escape(told.Findings(findings).headline())}</p>' in text


def test_facts_are_listed_as_they_are_given() -> None:
    text = shown(GOOD, time="now", cluster="<uid>")
    assert texts(text, "facts") == [["time", "now"], ["cluster", "<uid>"]]
    assert '<tr data-text="cluster &lt;uid&gt;">' in text


def test_the_ledger_is_shown_where_there_is_one() -> None:
    ledger = {
        "callers": {"stated": 4, "called": 3},
        "rules": {"stated": 9, "called": 7},
        "cells": {"all": 120, "called": 40, "at_the_proxies": 60, "by_the_objects": 15, "not_proved": 5},
        "not_called": {"because": 75},
        "uncalled": ["shop/a: b", "shop/c: d"],
    }
    assert texts(shown(GOOD, ledger=ledger), "ledger") == [
        ["callers that were called", "3 of 4"],
        ["rules that were called", "7 of 9"],
        ["cells (who may send what to which workload)", "120"],
        ["of them called, or of the same kind as one that was called", "40"],
        ["else decided by the filters of every proxy", "60"],
        ["else decided by the live objects alone", "15"],
        ["not as the catalogue states, or cannot tell", "5"],
        ["cells not called: because", "75"],
        ["rule that was not called", "shop/a: b"],
        ["rule that was not called", "shop/c: d"],
    ]
    assert 'id="ledger"' not in shown(GOOD)


def test_checks_are_counted_by_verdict() -> None:
    text = shown(GOOD, GOOD, BAD, DIM, OPEN, SKIPPED)
    assert cells(text, "checks") == [
        [
            ("fail", "FAIL"),
            ("", "policies"),
            ("", told.TITLES["policies"]),
            ("", "2 pass, 1 fail"),
        ],
        [
            ("note", "stated opening"),
            ("", "authorization"),
            ("", told.TITLES["authorization"]),
            ("", "1 stated opening, 1 not tested"),
        ],
        [("cannot", "cannot tell"), ("", "sync"), ("", told.TITLES["sync"]), ("", "1 cannot tell")],
    ]
    assert '<tr data-text="policies no policy undoes the catalogue fail">' in text


def test_causes_come_fails_first_and_notes_apart() -> None:
    text = shown(DIM, GOOD, SKIPPED, BAD, FOREIGN, OPEN)
    assert cells(text, "causes") == [
        [("fail", "FAIL"), ("", "policies"), ("", BAD.subject), ("", BAD.message)],
        [("cannot", "cannot tell"), ("", "sync"), ("", DIM.subject), ("", DIM.message)],
    ]
    assert [row[0] for row in texts(text, "notes")] == [
        "stated opening",
        "beside the catalogue",
        "not tested",
    ]
    assert len(texts(text, "findings")) == 6
    assert [row[0] for row in texts(text, "findings")][:2] == ["cannot tell", "pass"]
    quiet = shown(GOOD)
    assert '<p id="causes">Nothing failed, and nothing was left unclear.</p>' in quiet
    assert '<p id="notes">Nothing.</p>' in quiet


def test_the_same_of_several_things_is_one_cause() -> None:
    many = [told.failed("mtls", f"shop/s{index}", "bad") for index in range(5)]
    assert texts(shown(*many), "causes") == [["FAIL", "mtls", "shop/s0, shop/s1, shop/s2 and 2 more", "bad"]]
    assert len(texts(shown(*many), "findings")) == 5


def test_who_may_call_whom() -> None:
    sent = told.passed("authorization", "shop/web -> shop/pay", "let in")
    head, web, pay, idle = cells(shown(GOOD, BAD, sent), "matrix")
    assert [content for _css, content in head] == ["service", "live policies", "any peer", "shop/web"]
    assert web == [("", "shop/web"), ("pass", "pass"), ("cell", "GET /health :3000"), ("empty", "")]
    assert pay == [
        ("", "shop/pay"),
        ("fail", "FAIL"),  # a finding about an object names it
        ("empty", ""),
        ("cell", "GET any path :3000 | POST PUT /pay/* /x :3000 (called)"),
    ]
    assert idle == [("", "shop/idle"), ("cannot", "cannot tell"), ("empty", ""), ("empty", "")]


@pytest.mark.parametrize(
    ("finding", "mark"),
    [
        (told.failed("authorization", "shop/web -> shop/pay", "x"), " (failed when called)"),
        (told.unknown("authorization", "shop/web -> shop/pay", "x"), ""),
        (told.passed("authorization", "shop/idle -> shop/pay", "x"), ""),
        (told.passed("policies", "shop/web -> shop/pay", "x"), ""),
    ],
)
def test_what_a_call_came_to(finding: told.Finding, mark: str) -> None:
    assert cells(shown(finding), "matrix")[2][3][1].endswith(f"| POST PUT /pay/* /x :3000{mark}")


def test_a_finding_that_names_a_service_and_did_not_fail_is_no_verdict_on_it() -> None:
    for finding in (told.unknown("policies", "x", "about shop/idle"), told.failed("mtls", "x", "shop/idle")):
        assert cells(shown(finding), "matrix")[3][1] == ("cannot", "cannot tell")


@pytest.mark.parametrize(("number", "wide"), [(20, False), (21, True)])
def test_a_wide_matrix_becomes_a_list(number: int, *, wide: bool) -> None:
    names = [f"c{index:02}" for index in range(number)]
    mesh = catalogue(
        *(service(name) for name in names), service("pay", callers=[{"service": name} for name in names])
    )
    head, first, *_rest, last = cells(shown(GOOD, mesh=mesh), "matrix")
    assert len(head) == (3 if wide else number + 2)
    if wide:
        assert [content for _css, content in head] == ["service", "live policies", "callers"]
        assert first[2] == ("", "nobody")
        assert last[2][1].startswith(
            "<b>shop/c00</b> any method any path :3000 | <b>shop/c01</b> any method any path :3000 | "
        )
    else:
        assert last[2] == ("cell", "any method any path :3000")


def test_mutual_tls_port_by_port() -> None:
    text = shown(
        told.passed("mtls", "shop/web:3000", "only chains that demand one"),
        told.failed("plaintext", "shop/web:80", "was answered"),
        told.unknown("mtls", "shop/pay:3000", "no right"),
        told.passed("mtls", "shop/pay:80", "not about the port of the workload"),
    )
    assert texts(text, "ports") == [
        ["port", "wanted", "reason", "in the proxies", "plaintext from outside"],
        ["shop/web:3000", "STRICT", "", "pass: only chains that demand one", "FAIL: was answered"],
        ["shop/pay:3000", "PERMISSIVE", "old clients", "cannot tell: no right", "not sent"],
        ["shop/idle:3000", "STRICT", "", "see causes", "not sent"],
    ]


def test_sarif_in_full() -> None:
    log = sarif(told.Findings((BAD, told.unknown("injection", "", "not installed"), FOREIGN)), "shop")
    assert log["$schema"] == "https://json.schemastore.org/sarif-2.1.0.json"
    (run,) = log["runs"]
    assert run["automationDetails"] == {"id": "verify/shop"}
    assert run["tool"]["driver"]["name"] == "servicemesh.istio"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(told.TITLES)
    assert {rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"]} == set(
        told.TITLES.values()
    )
    assert run["results"][0] == {
        "ruleId": "policies",
        "kind": "fail",
        "level": "error",
        "message": {"text": "AuthorizationPolicy shop/hole: opens shop/pay to everybody"},
        "locations": [
            {
                "logicalLocations": [
                    {"fullyQualifiedName": "AuthorizationPolicy shop/hole", "kind": "resource"}
                ]
            }
        ],
    }
    assert run["results"][1]["message"] == {"text": "everything: not installed"}
    assert [(one["kind"], one["level"]) for one in run["results"]] == [
        ("fail", "error"),
        ("review", "none"),
        ("informational", "none"),
    ]


@pytest.mark.parametrize(("number", "subject"), [(3, "a0, a1, a2"), (4, "a0, a1, a2 and 1 more")])
def test_from_four_subjects_on_the_rest_is_counted(number: int, subject: str) -> None:
    found = told.folded([told.failed("mtls", f"a{index}", "x") for index in range(number)])
    assert [one.subject for one in found] == [subject]


def test_only_findings_of_one_check_verdict_and_message_are_one() -> None:
    mixed = [
        told.failed("mtls", "a", "x"),
        told.failed("sync", "b", "x"),
        told.unknown("mtls", "c", "x"),
        told.failed("mtls", "d", "y"),
        told.failed("mtls", "", "x"),
    ]
    assert [(one.check, one.subject) for one in told.folded(mixed)] == [
        ("mtls", "a"),
        ("sync", "b"),
        ("mtls", "c"),
        ("mtls", "d"),
    ]


def test_the_summary_for_people_line_by_line() -> None:
    lines = told.Findings((GOOD, BAD, DIM, OPEN)).lines()
    assert lines == [
        "FAIL        policies      no policy undoes the catalogue (1 pass, 1 fail)",
        "              FAIL: AuthorizationPolicy shop/hole: opens shop/pay to everybody",
        "stated opening authorization callers are let in, everybody else gets 403 (1 stated opening)",
        "              stated opening: shop/web: everybody: a page",
        "cannot tell sync          every proxy is connected and holds the current configuration "
        "(1 cannot tell)",
        "              cannot tell: Pod shop/pay-1: no right to exec",
    ]
    twenty = told.Findings(tuple(told.failed("mtls", "a", f"bad {index}") for index in range(20))).lines()
    assert len(twenty) == 21
    assert not [line for line in twenty if "more" in line]


@pytest.mark.parametrize(("number", "left"), [(500, 500), (501, 1)])
def test_results_of_more_than_five_hundred_findings_leave_out_what_passed(number: int, left: int) -> None:
    many = tuple(told.passed("mtls", str(index), "ok") for index in range(number - 1))
    found = told.Findings((*many, BAD)).for_result()
    assert len(found) == left
    assert found[-1] == BAD.as_dict()
