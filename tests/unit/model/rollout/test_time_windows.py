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


def test_a_freeze_closes_and_only_opens() -> None:
    office, christmas = window("{days: mon-fri, from: '09:00', to: '16:00'}"), window("{from: 2026-12-21}")
    assert closed_by(at("2026-12-18T10:00"), [], []) == ""
    assert closed_by(at("2026-12-18T10:00"), [christmas], [office]) == ""
    assert closed_by(at("2026-12-22T10:00"), [christmas], [office]) == "frozen by 2026-12-21T00:00 to ..."
    closed = closed_by(at("2026-12-19T10:00"), [christmas], [office])
    assert closed == "outside of mon,tue,wed,thu,fri 09:00-16:00"
