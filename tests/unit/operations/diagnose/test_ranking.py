# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes in their order, which of them last and are told, and from which weight on they are a fail."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.cause import (
    DNS,
    FAMILIES,
    LATENCY,
    LIKELY,
    POSSIBLE,
    ROUTING,
    SURE,
    Cause,
    likelihood,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.ranking import (
    Unknown,
    lasting,
    ranked,
    status_of,
    told,
)

UNKNOWN = Unknown("dns", "names", "no right")


def cause(name: str = "a", weight: int = SURE, family: str = ROUTING, **more: Any) -> Cause:
    return Cause(family, f"Service shop/{name}", more.pop("said", "is wrong"), "mend it", weight, **more)


@pytest.mark.parametrize(
    ("weight", "word"),
    [(91, "sure"), (90, "sure"), (89, "likely"), (60, "likely"), (59, "possible"), (0, "possible")],
)
def test_a_weight_in_words(weight: int, word: str) -> None:
    assert likelihood(weight) == word == cause(weight=weight).as_dict(1)["likelihood"]


def test_the_heaviest_comes_first_and_of_equals_what_stands_behind_others() -> None:
    found = [cause("a", 50), cause("b", 70, LATENCY), cause("c", 70, DNS), cause("d", 90, LATENCY)]
    assert [one.object[-1] for one in ranked(found)] == ["d", "c", "b", "a"]
    families = [cause(str(at), 70, family) for at, family in enumerate(reversed(FAMILIES))]
    assert [one.family for one in ranked(families)] == list(FAMILIES)


def test_the_same_cause_is_told_once_with_its_largest_weight() -> None:
    light, heavy = cause(weight=60), cause(weight=90, evidence=("seen",))
    for found in ([light, heavy], [heavy, light]):
        assert ranked(found) == [heavy]
    first, second = cause(evidence=("first",)), cause(evidence=("second",))
    assert ranked([first, second]) == [first]
    assert len(ranked([cause("a"), cause("b"), cause(said="is worse"), cause(family=DNS)])) == 4


def test_of_what_may_pass_only_what_stood_in_every_look_lasts() -> None:
    late, other, sure = cause("late", late=True), cause("other", late=True), cause("sure")
    assert lasting([[late, sure]]) == [late, sure]
    assert lasting([[late], [late, other, sure]]) == [late, sure]
    assert lasting([[other], [late], [late, sure]]) == [sure]
    assert lasting([[late, sure], []]) == []
    # In other words of the same thing it is the same: a pod that fails in one way, then in another.
    assert lasting([[cause("late", said="waits", late=True)], [late]]) == [late]
    assert lasting([[cause("late", family=DNS, late=True)], [late]]) == []


@pytest.mark.parametrize(
    ("weight", "shown"), [(POSSIBLE, 0), (POSSIBLE + 5, 0), (POSSIBLE + 6, 1), (SURE, 1)]
)
def test_where_nobody_observes_something_a_possibility_is_no_cause(weight: int, shown: int) -> None:
    assert len(told([cause(weight=weight)], anything=True)) == shown
    assert len(told([cause(weight=weight)], anything=False)) == 1


@pytest.mark.parametrize(
    ("weights", "unknown", "status"),
    [
        ([], [], "pass"),
        ([], [UNKNOWN], "cannot tell"),
        ([LIKELY - 11], [], "cannot tell"),
        ([LIKELY - 10], [], "fail"),
        ([LIKELY - 10], [UNKNOWN], "fail"),
        ([POSSIBLE, SURE], [], "fail"),
    ],
)
def test_what_the_causes_make_of_the_whole(weights: list[int], unknown: list[Unknown], status: str) -> None:
    assert status_of([cause(weight=weight) for weight in weights], unknown) == status


def test_a_cause_as_a_result() -> None:
    found = cause(evidence=("seen",))
    assert found.as_dict(3) == {
        "rank": 3,
        "family": "routing",
        "object": "Service shop/a",
        "cause": "is wrong",
        "likelihood": "sure",
        "evidence": ["seen"],
        "remedy": "mend it",
    }
    assert str(found) == "Service shop/a: is wrong"
    assert UNKNOWN.as_dict() == {"family": "dns", "what": "names", "why": "no right"}
