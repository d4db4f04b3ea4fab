"""The dated support table and what it says about combinations."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.versions import (
    SUPPORT_TABLE,
    TABLE_DATE,
    Support,
    check_istio_version,
    check_kubernetes_version,
    parse_istio_version,
    parse_kubernetes_minor,
    support_table,
)

TODAY = datetime.date(2026, 11, 23)


@pytest.mark.parametrize("text", ["latest", "1.31", "v1.31.0", "1.31.0-rc.0", "01.31.0", "1.31.0 ", ""])
def test_only_stable_releases_are_versions(text: str) -> None:
    assert parse_istio_version(text) is None
    verdict = check_istio_version(text, table=SUPPORT_TABLE, today=TODAY)
    assert [problem.rule for problem in verdict.problems] == ["istio-version"]


def test_an_unknown_minor_is_refused_with_the_known_ones() -> None:
    verdict = check_istio_version("9.9.9", table=SUPPORT_TABLE, today=TODAY)
    assert "1.28, 1.29, 1.30, 1.31" in verdict.problems[0].message


def test_a_maintained_minor_passes_silently() -> None:
    verdict = check_istio_version("1.31.0", table=SUPPORT_TABLE, today=TODAY)
    assert verdict.problems == () and verdict.warnings == ()


def test_the_last_day_of_maintenance_still_counts() -> None:
    last = datetime.date(2026, 7, 1)
    assert check_istio_version("1.28.10", table=SUPPORT_TABLE, today=last).warnings == ()
    after = check_istio_version("1.28.10", table=SUPPORT_TABLE, today=last + datetime.timedelta(days=1))
    assert after.warnings == ("Istio 1.28 has been out of support since 2026-07-01",)


@pytest.mark.parametrize(
    ("kubernetes", "problems"),
    [("v1.31.9", 1), ("v1.32.0", 0), ("v1.33.4-eks-1234", 0), ("v1.36.3", 0), ("v1.37.0", 1)],
)
def test_the_kubernetes_range_includes_both_ends(kubernetes: str, problems: int) -> None:
    verdict = check_kubernetes_version("1.31.0", kubernetes, table=SUPPORT_TABLE, allow_untested=False)
    assert len(verdict.problems) == problems
    allowed = check_kubernetes_version("1.31.0", kubernetes, table=SUPPORT_TABLE, allow_untested=True)
    assert not allowed.problems and len(allowed.warnings) == problems


def test_a_version_that_cannot_be_read_is_a_warning() -> None:
    assert parse_kubernetes_minor("devel") is None
    verdict = check_kubernetes_version("1.31.0", "devel", table=SUPPORT_TABLE, allow_untested=False)
    assert not verdict.problems and "devel" in verdict.warnings[0]


def test_rows_can_be_added_and_replaced() -> None:
    table = support_table(
        {"1.32": {"kubernetes": ["1.33", "1.37"]}, "1.31": {"kubernetes": ["1.35", "1.35"]}}
    )
    assert not check_istio_version("1.32.1", table=table, today=TODAY).problems
    assert check_kubernetes_version("1.31.0", "v1.36.0", table=table, allow_untested=False).problems
    assert SUPPORT_TABLE[1, 31].kubernetes == ((1, 32), (1, 36))


def test_a_row_says_when_maintenance_ends() -> None:
    day = datetime.date(2027, 5, 1)
    bounds = ["1.33", "1.33"]
    for end in ("2027-05-01", day):
        table = support_table({"1.32": {"kubernetes": bounds, "end_of_life": end}})
        assert table[1, 32].end_of_life == day
        assert check_istio_version("1.32.0", table=table, today=day).warnings == ()
        assert check_istio_version("1.32.0", table=table, today=day + datetime.timedelta(days=1)).warnings
    assert support_table({"1.32": {"kubernetes": bounds}})[1, 32].end_of_life is None
    assert support_table({})[1, 31] is SUPPORT_TABLE[1, 31]


def test_an_estimated_end_is_told_as_one() -> None:
    late = datetime.date(2027, 1, 1)
    verdict = check_istio_version("1.29.0", table=SUPPORT_TABLE, today=late)
    assert verdict.warnings == ("Istio 1.29 has been out of support since about 2026-10-12",)


def test_an_unknown_minor_has_no_range() -> None:
    for version in ("9.9.9", "latest"):
        verdict = check_kubernetes_version(version, "v1.33.0", table=SUPPORT_TABLE, allow_untested=False)
        assert verdict.problems == () and verdict.warnings == ()


@pytest.mark.parametrize(
    ("name", "row", "where"),
    [
        ("1.32.0", {"kubernetes": ["1.33", "1.37"]}, ""),
        # Without quotes YAML reads 1.30 as 1.3.
        (1.3, {"kubernetes": ["1.33", "1.37"]}, ""),
        ("1.32", {"kubernetes": ["1.33"]}, ".kubernetes"),
        ("1.32", {"kubernetes": ["1.37", "1.33"]}, ".kubernetes"),
        ("1.32", {"kubernetes": ["1.33", "next"]}, ".kubernetes[1]"),
        ("1.32", {"kubernetes": ["1.33", 1.4]}, ".kubernetes[1]"),
        ("1.32", {"kubernetes": "1.33"}, ".kubernetes"),
        ("1.32", {"kubernetes": ["1.33", "1.37"], "end_of_life": "soon"}, ".end_of_life"),
        (
            "1.32",
            {"kubernetes": ["1.33", "1.37"], "end_of_life": datetime.datetime(2027, 1, 1)},
            ".end_of_life",
        ),
        ("1.32", {"kubernetes": ["1.33", "1.37"], "end_of_life": 2027}, ".end_of_life"),
        ("1.32", {"kubernetes": ["1.33", "1.37"], "eol": "2027-01-01"}, ".eol"),
        ("1.32", "1.33", ""),
    ],
)
def test_a_row_of_another_shape_is_refused_by_its_place(name: Any, row: Any, where: str) -> None:
    with pytest.raises(InputError) as caught:
        support_table({name: row})
    assert caught.value.problems[0].where == f"preflight_istio_versions['{name}']{where}"


def test_the_table_is_what_istio_announced() -> None:
    """istio.io, supportStatus.yml and supported-releases, as of the table's date."""
    day = datetime.date
    assert day(2026, 9, 21) == TABLE_DATE
    rows = {
        minor: (row.released, row.end_of_life, row.kubernetes, row.estimated)
        for minor, row in SUPPORT_TABLE.items()
    }
    assert rows == {
        (1, 28): (day(2025, 11, 5), day(2026, 7, 1), ((1, 30), (1, 34)), False),
        (1, 29): (day(2026, 2, 16), day(2026, 10, 12), ((1, 31), (1, 35)), True),
        (1, 30): (day(2026, 5, 18), None, ((1, 32), (1, 36)), False),
        (1, 31): (day(2026, 8, 27), None, ((1, 32), (1, 36)), False),
    }
    assert all(minor == row.minor for minor, row in SUPPORT_TABLE.items())


def test_every_word_about_a_version() -> None:
    def istio(version: str, **more: str) -> list[str]:
        found = check_istio_version(version, table=SUPPORT_TABLE, today=TODAY, **more)
        return [*map(str, found.problems), *found.warnings]

    assert istio("1.31") == [
        "istio_version: '1.31' is not a stable Istio release such as 1.31.0 (istio-version)"
    ]
    assert istio("1.9.0", where="x") == [
        "x: Istio 1.9.0 is not known (known minors as of 2026-09-21: 1.28, 1.29, 1.30, 1.31) (istio-version)"
    ]
    assert istio("1.29.3") == ["Istio 1.29 has been out of support since about 2026-10-12"]
    assert istio("1.30.0") == []

    def kubernetes(version: str, *, allow: bool = False, istio: str = "1.31.0", **more: str) -> list[str]:
        found = check_kubernetes_version(istio, version, table=SUPPORT_TABLE, allow_untested=allow, **more)
        assert not (found.problems and found.warnings)
        return [*map(str, found.problems), *found.warnings]

    out = "Istio 1.31 supports Kubernetes 1.32 to 1.36, the cluster runs v1.31.9"
    assert kubernetes("v1.31.9") == [f"istio_version: {out} (kubernetes-version)"]
    assert kubernetes("v1.31.9", where="x") == [f"x: {out} (kubernetes-version)"]
    assert kubernetes("v1.31.9", allow=True) == [out]
    assert kubernetes("1.32") == []
    assert kubernetes("devel") == [
        "the API server reports the Kubernetes version 'devel', which cannot be read"
    ]
    assert kubernetes("v1.0.0", istio="latest") == []
    assert kubernetes("v1.0.0", istio="9.9.9") == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1.31.0", (1, 31, 0)), ("10.0.12", (10, 0, 12)), ("1.031.0", None), ("1.31.00", None)],
)
def test_the_numbers_of_a_release(text: str, numbers: tuple[int, int, int] | None) -> None:
    assert parse_istio_version(text) == numbers


def test_every_bad_row_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        support_table({"1.32": None, 7: {}, "1.33": {"kubernetes": ("1.33", "one")}}, where="rows")
    assert [str(problem) for problem in caught.value.problems] == [
        "rows['1.32']: is nothing, not a mapping (type)",
        "rows['7']: is not an Istio minor such as '1.32', in quotes (version-table)",
        "rows['1.33'].kubernetes[1]: 'one' is not a minor such as '1.33' (version-table)",
    ]


def test_a_row_of_one_s_own() -> None:
    row = support_table({"1.32": {"kubernetes": ["1.33", "1.37"], "end_of_life": datetime.date(2027, 5, 1)}})
    assert row[1, 32] == Support((1, 32), None, datetime.date(2027, 5, 1), ((1, 33), (1, 37)))
    assert support_table({}) == SUPPORT_TABLE
