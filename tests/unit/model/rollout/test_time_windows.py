"""Windows of time: on the wall clock, over midnight, between dates, and as YAML hands them over."""

from __future__ import annotations

import datetime

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases_input import PlanReader
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.time_windows import (
    TimeWindow,
    closed_by,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.time_windows_input import (
    read_windows,
)


def read(text: str) -> tuple[tuple[TimeWindow, ...], list[str]]:
    reader = PlanReader()
    return read_windows(reader, "freeze", yaml.safe_load(text)), [str(found) for found in reader.problems]


def window(text: str) -> TimeWindow:
    found, problems = read(f"[{text}]")
    assert not problems
    return found[0]


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "moment", "inside"),
    [
        # 2026-12-18 is a Friday
        ("{days: fri, from: '14:00'}", "2026-12-18T13:59:59", False),
        ("{days: fri, from: '14:00'}", "2026-12-18T14:00", True),
        ("{days: fri, from: '14:00'}", "2026-12-18T23:59:59", True),
        ("{days: fri, from: '14:00'}", "2026-12-19T00:00", False),
        ("{days: fri, from: 14:00, to: 18:00}", "2026-12-18T17:59", True),  # YAML: 840 and 1080
        ("{days: fri, from: 14:00, to: 18:00}", "2026-12-18T18:00", False),
        ("{days: [fri], from: '22:00', to: '06:00'}", "2026-12-19T05:59", True),
        ("{days: [fri], from: '22:00', to: '06:00'}", "2026-12-18T05:59", False),
        ("{days: sun, from: '22:00', to: '06:00'}", "2026-12-21T01:00", True),
        ("{days: sat-mon}", "2026-12-20T12:00", True),
        ("{days: sat-mon}", "2026-12-22T12:00", False),
        ("{days: 'Mon, Wednesday'}", "2026-12-23T12:00", True),
        ("{from: '00:00', to: '24:00'}", "2026-12-23T23:59", True),
        ("{from: '10:30', to: '11:15'}", "2026-12-23T10:29", False),
        ("{from: '10:30', to: '11:15'}", "2026-12-23T10:30", True),
        ("{from: '10:30', to: '11:15'}", "2026-12-23T11:14", True),
        ("{from: '10:30', to: '11:15'}", "2026-12-23T11:15", False),
        ("{from: 0, to: 1}", "2026-12-23T00:00", True),
        ("{from: 1439, to: 1440}", "2026-12-23T23:59", True),
        ("{from: '22:30', to: '22:30'}", "2026-12-23T22:29", True),  # all day long, from one to the other
        ("{days: [thu], from: '22:30', to: '22:30'}", "2026-12-23T22:30", False),
        ("{days: [wed], from: '22:30', to: '22:30'}", "2026-12-24T22:29", True),
        ("{from: 2026-12-20, to: 2027-01-06}", "2027-01-06T23:59", True),  # a date alone is all of the day
        ("{from: 2026-12-20, to: 2027-01-06}", "2027-01-07T00:00", False),
        ("{from: 2026-12-20, to: 2027-01-06}", "2026-12-19T23:59", False),
        ("{from: '2026-12-20T18:00', to: '2026-12-20T19:30'}", "2026-12-20T19:29", True),
        ("{from: '2026-12-20T18:00', to: '2026-12-20T19:30'}", "2026-12-20T19:30", False),
        ("{from: '2026-12-20T18:00'}", "2031-01-01T00:00", True),
        ("{to: '2026-12-20'}", "2020-01-01T00:00", True),
    ],
)
def test_what_lies_in_a_window(text: str, moment: str, inside: bool) -> None:
    assert window(text).holds(at(moment)) is inside


@pytest.mark.parametrize(
    "text",
    [
        "{}", "{from: noon}", "{from: '25:00'}", "{to: '9:5'}", "{days: funday}", "{days: []}",
        "{days: mon-}", "{days: 3}", "{from: true}", "{from: 1500}", "{from: -1}", "{hours: 3}", "x", "3",
        "{from: 2026-12-24, to: 2026-12-20}", "{from: '2026-13-40'}", "{from: 2026-12-20T00:00+02:00, to: x}",
        "{from: '2026-12-20T00:00Z'}", "{days: fri, from: 2026-12-20}", "{from: '10:00', to: 2026-12-20}",
        "{from: '9999-12-31', to: '9999-12-31'}",
    ],
)  # fmt: skip
def test_what_is_no_window_is_refused_under_its_name(text: str) -> None:
    found, problems = read(f"[{text}]")
    assert found == ()
    assert problems
    assert all(problem.startswith("freeze[0]") for problem in problems)


@pytest.mark.parametrize("text", ["fri", "{days: fri}", "3"])
def test_a_list_is_needed(text: str) -> None:
    assert read(text)[1][0].startswith("freeze: is ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{from: 1441}", "freeze[0].from: is 1441, not a time such as '18:00' or a date (time-window)"),
        ("{to: -1}", "freeze[0].to: is -1, not a time such as '18:00' or a date (time-window)"),
        ("{days: {a: b}}", "freeze[0].days: is {'a': 'b'}, not days such as mon-fri (time-window)"),
        (
            "{days: tues}",
            "freeze[0].days: 'tues' is no day (mon, tue, wed, thu, fri, sat, sun) (time-window)",
        ),
        ("{from: 2026-12-21, to: '2026-12-21T00:00'}", "freeze[0]: ends before it begins (time-window)"),
        (
            "{days: fri, from: 2026-12-20}",
            "freeze[0].days: does not go with dates in from and to (time-window)",
        ),
    ],
)
def test_what_is_wrong_with_a_window(text: str, problem: str) -> None:
    assert read(f"[{text}]")[1] == [problem]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("monday-tuesday", "mon,tue"),
        ("wednesday, thursday", "wed,thu"),
        ("friday saturday sunday", "fri,sat,sun"),
        ("sat-mon, sun", "sat,sun,mon"),
        ("mon-mon", "mon"),
        ("' TUE - ' ", None),
    ],
)
def test_days_by_all_their_names(text: str, days: str | None) -> None:
    found, problems = read(f"[{{days: {text if text[0] == chr(39) else repr(text)}}}]")
    assert (str(found[0]) if found else None, bool(problems)) == (days, days is None)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (TimeWindow(), "always"),
        (TimeWindow(begin=845), "14:05-24:00"),
        (TimeWindow(end=5), "00:00-00:05"),
        (TimeWindow(("mon", "sun"), 0, 1440), "mon,sun"),
        (TimeWindow(first="2026-12-20T00:00"), "2026-12-20T00:00 to ..."),
        (TimeWindow(last="2026-12-20T00:00"), "... to 2026-12-20T00:00"),
    ],
)
def test_a_window_in_words(found: TimeWindow, text: str) -> None:
    assert str(found) == text


def test_a_freeze_closes_and_only_opens() -> None:
    office, christmas = window("{days: mon-fri, from: '09:00', to: '16:00'}"), window("{from: 2026-12-21}")
    assert closed_by(at("2026-12-18T10:00"), [], []) == ""
    assert closed_by(at("2026-12-18T10:00"), [christmas], [office]) == ""
    assert closed_by(at("2026-12-22T10:00"), [christmas], [office]) == "frozen by 2026-12-21T00:00 to ..."
    closed = closed_by(at("2026-12-19T10:00"), [christmas], [office])
    assert closed == "outside of mon,tue,wed,thu,fri 09:00-16:00"
