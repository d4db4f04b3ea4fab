"""Each kind of number and text of a plan: what is taken, what is refused, by which rule, in which words."""

from __future__ import annotations

import math
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases_input import PlanReader
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.settings import LowTraffic

WEEK = 7 * 24 * 3600


@pytest.mark.parametrize(
    ("kind", "given", "found"),
    [
        ("name", "v2", "v2"),
        ("object_name", None, ""),
        ("object_name", "", ""),
        ("object_name", "a", "a"),
        ("object_name", "a.b-1", "a.b-1"),
        ("header", "X-Tester", "X-Tester"),
        ("text", "a b", "a b"),
        ("boolean", True, True),
        ("boolean", False, False),
        ("boolean", "true", True),
        ("weight", 1, 1),
        ("weight", 100, 100),
        ("weight", "25", 25),
        ("seconds", "1m", 60.0),
        ("seconds", 0.5, 0.5),
        ("seconds", WEEK, float(WEEK)),
        ("requests", 0, 0),
        ("requests", 10**9, 10**9),
        ("rate", 0, 0.0),
        ("rate", 2.5, 2.5),
        ("number", -1, -1.0),
        ("number", "1.5", 1.5),
        ("above_zero", 0.1, 0.1),
        ("share", 0.01, 0.01),
        ("share", 0.99, 0.99),
    ],
)
def test_what_is_taken(kind: str, given: Any, found: Any) -> None:
    read = PlanReader()
    got = getattr(read, kind)("x", given)
    assert (got, type(got), read.problems) == (found, type(found), [])


@pytest.mark.parametrize(
    ("kind", "given", "found", "rule", "said"),
    [
        ("name", "V2", "", "version-name", "is 'V2', not a version name"),
        ("name", None, "", "version-name", "is None, not a version name"),
        ("object_name", "a..b", "", "object-name", "is 'a..b', not a name of an object"),
        ("object_name", 5, "", "object-name", "is 5, not a name of an object"),
        ("object_name", "A", "", "object-name", "is 'A', not a name of an object"),
        ("header", "a b", "", "header-name", "is 'a b', not a header name"),
        ("header", None, "", "header-name", "is None, not a header name"),
        ("text", "", "", "text", "is '', not text on one line"),
        ("text", "a\nb", "", "text", "is 'a\\nb', not text on one line"),
        ("text", 5, "", "text", "is 5, not text on one line"),
        ("boolean", "perhaps", False, "boolean", "is 'perhaps', not true or false"),
        ("weight", 0, 0, "phases-weight", "is 0, not from 1 to 100"),
        ("weight", 101, 0, "phases-weight", "is 101, not from 1 to 100"),
        ("weight", 2.5, 0, "phases-weight", "is 2.5, not a whole number of percent"),
        ("weight", True, 0, "phases-weight", "is True, not a whole number of percent"),
        ("seconds", 0, 0.0, "duration", "is 0, not above 0 and at most one week"),
        ("seconds", WEEK + 1, 0.0, "duration", f"is {WEEK + 1}, not above 0 and at most one week"),
        ("requests", -1, 0, "requests", "is -1, not a whole number of requests"),
        ("requests", True, 0, "requests", "is True, not a whole number of requests"),
        ("requests", 1.0, 0, "requests", "is 1.0, not a whole number of requests"),
        ("requests", 10**9 + 1, 0, "requests", "is 1000000001, not a whole number of requests"),
        ("rate", -0.5, 0.0, "rate", "is -0.5, below 0"),
        ("number", math.inf, 0.0, "number", "is inf, not a finite number"),
        ("number", True, 0.0, "number", "is True, not a finite number"),
        ("number", "x", 0.0, "number", "is 'x', not a finite number"),
        ("above_zero", 0, 0.0, "number", "is 0, not above 0"),
        ("above_zero", -1, 0.0, "number", "is -1, not above 0"),
        ("above_zero", "x", 0.0, "number", "is 'x', not a finite number"),
        ("share", 0, 0.5, "share", "is 0, not a share between 0 and 1 (0.01 is 1 %)"),
        ("share", 1, 0.5, "share", "is 1, not a share between 0 and 1 (0.01 is 1 %)"),
    ],
)
def test_what_is_refused(kind: str, given: Any, found: Any, rule: str, said: str) -> None:
    read = PlanReader("canary_")
    got = getattr(read, kind)("x", given)
    assert (got, type(got)) == (found, type(found))
    assert [(one.where, one.rule, one.message) for one in read.problems] == [("canary_x", rule, said)]


def test_no_duration_at_all() -> None:
    read = PlanReader()
    assert read.seconds("x", "soon") == 0.0
    assert (read.problems[0].rule, read.problems[0].message[:31]) == (
        "duration",
        "is 'soon', not a duration such ",
    )


def test_a_number_too_large_for_a_float_is_none() -> None:
    read = PlanReader()
    assert read.number("x", 10**400) == 0.0
    assert read.problems[0].message == f"is 1{'0' * 36}..., not a finite number"


def test_a_whole_number_between_two_others() -> None:
    read = PlanReader()
    assert [read.whole("x", value, 2, 4) for value in (2, "3", 4)] == [2, 3, 4]
    assert read.problems == []
    assert [read.whole("x", value, 2, 4) for value in (1, 5, True, 2.5)] == [2, 2, 2, 2]
    assert {one.rule for one in read.problems} == {"number"}
    assert read.problems[1].message == "is 5, not a whole number from 2 to 4"


def test_a_cookie_is_named_by_its_own_rule() -> None:
    read = PlanReader()
    assert (read.header("x", "user", "cookie"), read.problems) == ("user", [])
    assert read.header("x", "a b", "cookie") == ""
    assert (read.problems[0].message, read.problems[0].rule) == (
        "is 'a b', not a cookie name",
        "cookie-name",
    )


def test_long_values_are_cut() -> None:
    assert PlanReader.shown("x" * 38) == f"'{'x' * 38}'"
    assert PlanReader.shown("x" * 39) == f"'{'x' * 36}..."
    assert PlanReader.shown("\u00fc") == "'\\xfc'"


def test_mappings_have_known_fields_only() -> None:
    read = PlanReader()
    assert read.mapping("x", {"a": 1, "c": 2, 5: 3}, {"a", "b"}) == {"a": 1, "c": 2, 5: 3}
    assert [(one.where, one.rule) for one in read.problems] == [
        ("x.5", "unknown-field"),
        ("x.c", "unknown-field"),
    ]
    read = PlanReader()
    assert read.mapping("x", [], set()) == {}
    assert (read.problems[0].rule, read.problems[0].message) == ("mapping", "is [], not a mapping")


@pytest.mark.parametrize(
    ("given", "count", "found", "problems"),
    [
        (5, 3, [5, 5, 5], []),
        ("5", 2, [5, 5], []),
        ([1, 2], 2, [1, 2], []),
        ([1, 0], 2, [1, 0], [("x[1]", "phases-weight")]),
        ([1], 3, [1, 1, 1], [("x", "phases-length")]),
        ([1, 2, 3], 2, [1, 2], [("x", "phases-length")]),
        ([1], 0, [], []),
    ],
)
def test_one_for_all_steps_or_one_for_each(given: Any, count: int, found: Any, problems: Any) -> None:
    read = PlanReader()
    assert read.per_step("x", given, count, read.weight) == found
    assert [(one.where, one.rule) for one in read.problems] == problems


def test_what_a_phase_with_too_few_requests_ends_in() -> None:
    assert [*LowTraffic] == ["rollback", "promote_with_warning", "synthetic"]
