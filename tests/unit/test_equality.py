"""Equality is that of JSON, judged by the text that both would be written as."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.equality import same
from hypothesis import given, settings
from hypothesis import strategies as st

SCALARS = (
    st.sampled_from([None, True, False, 0, 1, -1, 1.0, 0.0, 1.5, "", "1", "true", "null", 2**53, 2.0**53])
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=2)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def canonical(value: Any) -> str:
    """JSON with sorted keys; numbers of one value look alike."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(VALUES, VALUES)
def test_two_values_are_the_same_when_their_json_is(one: Any, other: Any) -> None:
    assert same(one, other) is (canonical(one) == canonical(other))
    assert same(one, copy.deepcopy(one))
    assert same([one], [other]) is same({"a": one}, {"a": other}) is same(*reversed((one, other)))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (True, 1, False),
        (False, 0, False),
        (False, None, False),
        (0, None, False),
        (True, True, True),
        (1, 1.0, True),
        (1.5, 1.5, True),
        (1, "1", False),
        ("", None, False),
        ("", [], False),
        ([], {}, False),
        ({}, None, False),
        ([], None, False),
        ((1,), [1], True),
        ({"a": None}, {}, False),
        ({}, {"a": None}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"b": 1}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({"a": [{"b": False}]}, {"a": [{"b": 0}]}, False),
        (None, None, True),
        (1, [1], False),
        (1, 2, False),
    ],
)
def test_examples(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is expected
    assert same(*reversed((one, other))) is expected


class Text(str):
    """As Ansible marks the values that it reads."""

    __slots__ = ()


class Items(list):
    """As above."""


class Fields(dict):
    """As above."""


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Text("a"), "a", True),
        (Text("a"), "b", False),
        (Text("1"), 1, False),
        (Items([1]), [1], True),
        (Items([1]), (True,), False),
        (Items(), {}, False),
        (Fields(a=1), {"a": 1.0}, True),
        (Fields(a=1), {"a": True}, False),
        (Fields(a=1), {}, False),
        (Fields(), [], False),
    ],
)
def test_derived_types_are_what_they_hold(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is same(*reversed((one, other))) is same([one], [other]) is expected
