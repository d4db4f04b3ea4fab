"""One notation of durations for catalogues, options and variables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.durations import (
    limit_of,
    read_seconds,
    with_unit,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.problems import Problems
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.reader import Reader


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90.0), (0, 0.0), (0.5, 0.5), ("90", 90.0), ("90s", 90.0), ("2m", 120.0), ("1h30m", 5400.0),
        ("500ms", 0.5), ("1.5", 1.5), (-1, -1.0), ("-1", None), ("1d", None), ("", None), (" 1", None),
        (True, None), (None, None), ([1], None), (float("nan"), None), (float("inf"), None), (10**400, None),
        ("30m1h", None), ("٣s", None), ("90\n", None),
    ],
)  # fmt: skip
def test_seconds(given: Any, seconds: float | None) -> None:
    assert read_seconds(given) == seconds


@pytest.mark.parametrize(
    ("given", "written"), [(90, "90s"), ("90", "90s"), (0.25, "0.25s"), ("1h30m", "1h30m"), (90.0, "90s")]
)
def test_a_catalogue_takes_bare_seconds_too(given: Any, written: str) -> None:
    problems = Problems()
    assert Reader({"timeout": given}, "x", problems).duration("timeout") == written
    problems.check({})


@pytest.mark.parametrize("given", [-5, True, "soon", None, [90], float("nan")])
def test_what_is_no_duration_stays_for_the_check(given: Any) -> None:
    assert with_unit(given) is given


def test_the_limit_of_a_timeout() -> None:
    assert limit_of("5s") == "5s"
    assert limit_of("none") is None
    assert limit_of(None) is None
