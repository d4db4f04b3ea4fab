"""How many pods bear the load, what a budget wants available, and the notes of a rollout that holds both."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.capacity import (
    Autoscaler,
    Size,
    held_text,
    least_available,
    read_held,
    size_of_load,
)

SCALER = Autoscaler("api-v1", 2, 10)


@pytest.mark.parametrize(
    ("size", "largest", "told"),
    [
        (Size("api-v1", 1, 1), 1, "1 pod"),
        (Size("api-v1", 3, 3), 3, "3 pods"),
        (Size("api-v1", 0, 0), 0, "0 pods"),
        (Size("api-v1", 3, 1), 3, "1 of 3 pods ready"),
        (Size("api-v1", 3, 3, SCALER), 10, "3 pods, HorizontalPodAutoscaler api-v1 from 2 to 10"),
        (Size("api-v1", 3, 2, SCALER), 10, "2 of 3 pods ready, HorizontalPodAutoscaler api-v1 from 2 to 10"),
    ],
)
def test_a_size_in_words(size: Size, largest: int, told: str) -> None:
    assert (size.largest, size.describe()) == (largest, told)


@pytest.mark.parametrize(
    ("ready", "growth", "scaler", "wanted"),
    [
        (4, 1.0, None, 4),
        (4, 0.5, None, 4),
        (10, 1.1, None, 10),  # what no autoscaler answers
        (10, 1.11, None, 12),
        (4, 2.0, None, 8),
        (4, 2.0, SCALER, 8),
        (4, 5.0, SCALER, 10),
        (12, 1.0, SCALER, 10),
    ],
)
def test_pods_that_bear_the_load(ready: int, growth: float, scaler: Autoscaler | None, wanted: int) -> None:
    assert size_of_load(Size("api-v1", ready, ready, scaler), growth) == wanted
    assert growth != 1.0 or size_of_load(Size("api-v1", 99, ready, scaler)) == wanted


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2>5", (2, 5)),
        ("10>0", (10, 0)),
        ("", None),
        ("2", None),
        ("2>", None),
        ("x2>5", None),
        ("2>5 ", None),
    ],
)
def test_what_is_held_is_read_as_it_was_written(text: str, found: tuple[int, int] | None) -> None:
    assert read_held(text) == found
    assert found is None or held_text(*found) == text


@pytest.mark.parametrize(
    ("spec", "pods", "least"),
    [
        ({}, 4, 0),
        ({"minAvailable": 2}, 4, 2),
        ({"minAvailable": 9}, 4, 9),
        ({"minAvailable": 0, "maxUnavailable": 1}, 4, 0),
        ({"minAvailable": "50%"}, 3, 2),
        ({"minAvailable": "100%"}, 3, 3),
        ({"maxUnavailable": 1}, 4, 3),
        ({"maxUnavailable": 9}, 4, 0),
        ({"maxUnavailable": "50%"}, 3, 1),
        ({"minAvailable": "x"}, 4, 0),
        ({"minAvailable": True}, 4, 0),
        ({"minAvailable": 1.5}, 4, 0),
    ],
)
def test_what_a_budget_wants_available(spec: dict[str, Any], pods: int, least: int) -> None:
    assert least_available(spec, pods) == least
