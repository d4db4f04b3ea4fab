"""Dataclasses to JSON and back: what fits comes back equal, what does not is named with its place."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.typed_json import (
    SchemaError,
    decode,
    encode,
)


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True, slots=True)
class Inner:
    name: str
    share: float = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    number: int
    flag: bool
    colour: Colour
    inner: Inner
    pair: tuple[int, int]
    missing: int | None
    items: tuple[Inner, ...] = ()
    weights: Mapping[str, int] = dataclasses.field(default_factory=dict)
    anything: Any = None
    maybe: float | None = None


FULL = Outer(
    number=3,
    flag=True,
    colour=Colour.BLUE,
    inner=Inner("a", 0.25),
    pair=(1, 2),
    missing=None,
    items=(Inner("b"), Inner("c", 1)),
    weights={"v1": 90, "v2": 10},
    anything={"free": ["form", 1]},
    maybe=1.5,
)
DATA = {
    "number": 3,
    "flag": True,
    "colour": "blue",
    "inner": {"name": "a", "share": 0.25},
    "pair": [1, 2],
    "missing": None,
    "items": [{"name": "b", "share": 0.5}, {"name": "c", "share": 1}],
    "weights": {"v1": 90, "v2": 10},
    "anything": {"free": ["form", 1]},
    "maybe": 1.5,
}


def test_what_is_written_is_plain_and_comes_back_equal() -> None:
    assert encode(FULL) == DATA
    assert encode(FULL)["colour"].__class__ is str  # not an enum, which is equal to its text
    assert decode(Outer, json.loads(json.dumps(encode(FULL)))) == FULL


def test_a_field_is_left_out_only_while_it_is_none_by_default() -> None:
    data = encode(dataclasses.replace(FULL, maybe=None, items=()))
    assert "maybe" not in data
    assert "anything" in data
    assert (data["missing"], data["items"]) == (None, [])
    assert encode(dataclasses.replace(FULL, maybe=0.0))["maybe"] == 0.0


def test_what_has_a_form_of_its_own_is_written_so() -> None:
    class Own:
        def as_dict(self) -> dict[str, Any]:
            return {"mine": 1}

    assert encode([Own()]) == [{"mine": 1}]


def test_fields_with_a_default_may_be_absent_and_others_are_ignored() -> None:
    short = {key: DATA[key] for key in ("number", "flag", "colour", "inner", "pair", "missing")}
    found = decode(Outer, {**short, "unknown": 1})
    assert found == Outer(
        number=3, flag=True, colour=Colour.BLUE, inner=Inner("a", 0.25), pair=(1, 2), missing=None
    )


@pytest.mark.parametrize("field", ["number", "flag", "colour", "inner", "pair", "missing"])
def test_a_field_without_a_default_must_be_there(field: str) -> None:
    with pytest.raises(SchemaError, match=f"^{field} is missing$"):
        decode(Outer, {key: value for key, value in DATA.items() if key != field})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"number": "3"}, "number is '3', not a whole number"),
        ({"number": 3.0}, "number is 3.0, not a whole number"),
        ({"number": True}, "number is True, not a whole number"),
        ({"number": None}, "number is None, not a whole number"),
        ({"flag": 1}, "flag is 1, not true or false"),
        ({"flag": "true"}, "flag is 'true', not true or false"),
        ({"maybe": True}, "maybe is True, not a number"),
        ({"maybe": "1"}, "maybe is '1', not a number"),
        ({"colour": "green"}, "colour is 'green', not one of 'red', 'blue'"),
        ({"colour": ["red"]}, r"colour is \['red'\], not one of 'red', 'blue'"),
        ({"inner": "a"}, "inner is 'a', not a mapping"),
        ({"inner": {}}, "inner.name is missing"),
        ({"inner": {"name": 1}}, "inner.name is 1, not a string"),
        ({"inner": {"name": "a", "share": None}}, "inner.share is None, not a number"),
        ({"pair": [1]}, "pair has 1 items, not 2"),
        ({"pair": [1, 2, 3]}, "pair has 3 items, not 2"),
        ({"pair": [1, "2"]}, r"pair\[1\] is '2', not a whole number"),
        ({"pair": "12"}, "pair is '12', not a list"),
        ({"items": {"name": "a"}}, "items is {'name': 'a'}, not a list"),
        ({"items": [{"name": "a"}, {}]}, r"items\[1\].name is missing"),
        ({"weights": [1]}, r"weights is \[1\], not a mapping"),
        ({"weights": {"v1": "90"}}, "weights.v1 is '90', not a whole number"),
        ({"number": "x" * 50}, r"number is 'x{36}\.\.\., not a whole number"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=f"^{message}$"):
        decode(Outer, {**DATA, **changes})


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_only_a_mapping_can_be_a_dataclass(data: Any) -> None:
    with pytest.raises(SchemaError, match=r"^it is .*, not a mapping$"):
        decode(Outer, data)


def test_the_place_of_the_whole_begins_the_place_of_a_field() -> None:
    with pytest.raises(SchemaError, match=r"^journal.inner.name is missing$"):
        decode(Outer, {**DATA, "inner": {}}, "journal")


@pytest.mark.parametrize("text", ["x" * 38, "x" * 39])
def test_long_values_are_cut(text: str) -> None:
    with pytest.raises(SchemaError) as raised:
        decode(Outer, {**DATA, "number": text})
    assert ("..." in str(raised.value)) is (len(text) > 38)
