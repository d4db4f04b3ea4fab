"""One mapping of the input: each kind of value at its bounds, and what stands in for a bad one."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.problems import Problems
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.reader import Reader, kind_of
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.values import LABEL

Read = Callable[[Reader], Any]


def tried(read: Read, raw: Any) -> tuple[Any, list[tuple[str, str]]]:
    problems = Problems()
    found = read(Reader(raw, "x", problems))
    return found, [(problem.where, problem.rule) for problem in problems.found]


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "nothing"), (True, "a boolean"), (1, "a number"), (0.5, "a number"), ("a", "a string"),
     ({}, "a mapping"), ([], "a list"), ((), "a list"), ({1}, "set")],
)  # fmt: skip
def test_words_for_kinds(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


TYPE, RANGE, MISSING = [("x.k", "type")], [("x.k", "range")], [("x.k", "required")]


@pytest.mark.parametrize(
    ("read", "raw", "found", "told"),
    [
        (lambda r: r.maybe_text("k"), {}, None, []),
        (lambda r: r.maybe_text("k"), {"k": "a"}, "a", []),
        (lambda r: r.maybe_text("k"), {"k": 7}, None, TYPE),
        (lambda r: r.maybe_text("k", LABEL), {"k": "A"}, None, [("x.k", "dns-label")]),
        (lambda r: r.text("k"), {}, "", MISSING),
        (lambda r: r.text("k"), {"k": None}, "", MISSING),
        (lambda r: r.text("k", default="d"), {}, "d", []),
        (lambda r: r.text("k", default=""), {}, "", []),
        (lambda r: r.text("k", LABEL, default="d"), {"k": "A"}, "", [("x.k", "dns-label")]),
        (lambda r: r.choice("k", ["a", "b"]), {"k": "b"}, "b", []),
        (lambda r: r.choice("k", ["a", "b"]), {"k": "B"}, "a", [("x.k", "choice")]),
        (lambda r: r.choice("k", ["a", "b"]), {}, "a", MISSING),
        (lambda r: r.choice("k", ["a", "b"], default="b"), {}, "b", []),
        (lambda r: r.choice("k", ["a", "b"], default="b"), {"k": 7}, "a", TYPE),
        (lambda r: r.boolean("k", default=True), {}, True, []),
        (lambda r: r.boolean("k", default=True), {"k": False}, False, []),
        (lambda r: r.boolean("k", default=False), {"k": "true"}, True, []),
        (lambda r: r.boolean("k", default=True), {"k": "no"}, True, TYPE),
        (lambda r: r.boolean("k", default=False), {"k": 1}, False, TYPE),
        (lambda r: r.maybe_integer("k", 1, 9), {}, None, []),
        *((lambda r: r.maybe_integer("k", 1, 9), {"k": value}, int(value), []) for value in (1, 9, "1", "9")),
        *((lambda r: r.maybe_integer("k", 1, 9), {"k": value}, None, RANGE) for value in (0, 10, "0", "-1", "10")),
        *((lambda r: r.maybe_integer("k", 1, 9), {"k": value}, None, TYPE) for value in (True, 1.0, "01", "x", [], "٣")),
        (lambda r: r.integer("k", 1, 9), {}, 1, MISSING),
        (lambda r: r.integer("k", 1, 9, default=5), {}, 5, []),
        (lambda r: r.integer("k", 1, 9, default=0), {}, 0, []),
        (lambda r: r.integer("k", 1, 9, default=5), {"k": 7}, 7, []),
        (lambda r: r.integer("k", 1, 9, default=5), {"k": 10}, 1, RANGE),
        (lambda r: r.integer("k", 0, 9), {"k": 0}, 0, []),
        *((lambda r: r.maybe_number("k", 0, 1), {"k": value}, float(value), []) for value in (0, 1, 0.5, "0.5", "1")),
        *((lambda r: r.maybe_number("k", 0, 1), {"k": value}, None, RANGE) for value in (-0.1, 1.1, float("nan"), float("inf"))),
        *((lambda r: r.maybe_number("k", 0, 1), {"k": value}, None, TYPE) for value in (True, "x", [])),
        (lambda r: r.maybe_number("k", 0, 1), {}, None, []),
        (lambda r: r.number("k", 2, 9), {}, 2, MISSING),
        (lambda r: r.number("k", 0, 9), {"k": 0}, 0.0, []),
        (lambda r: r.number("k", 2, 9), {"k": 1}, 2, RANGE),
        *((lambda r: r.percent("k"), {"k": value}, float(value), []) for value in (0, 0.0001, 100)),
        (lambda r: r.percent("k"), {"k": 0.00009}, 0.00009, RANGE),
        (lambda r: r.percent("k"), {"k": 101}, 0, RANGE),
        (lambda r: r.duration("k"), {}, None, []),
        (lambda r: r.duration("k"), {"k": 7}, "7s", []),
        (lambda r: r.duration("k"), {"k": "x"}, None, [("x.k", "duration")]),
        *((lambda r: r.timeout("k"), {"k": value}, "none", []) for value in (0, "0", "0s", "none", "0ms")),
        (lambda r: r.timeout("k"), {"k": 7}, "7s", []),
        (lambda r: r.timeout("k"), {}, None, []),
        (lambda r: r.timeout("k"), {"k": "never"}, None, [("x.k", "duration")]),
        (lambda r: r.items("k"), {}, [], []),
        (lambda r: r.items("k"), {"k": (1, "a")}, [1, "a"], []),
        *((lambda r: r.items("k"), {"k": value}, [], TYPE) for value in ("a", b"a", {}, 7)),
        (lambda r: r.texts("k"), {}, (), []),
        (lambda r: r.texts("k", default=["d"]), {}, ("d",), []),
        (lambda r: r.texts("k", default=["d"]), {"k": []}, (), []),
        (lambda r: r.texts("k"), {"k": ["a", 7, "a", "b"]}, ("a", "b"), [("x.k[1]", "type"), ("x.k[2]", "duplicate")]),
        (lambda r: r.texts("k", distinct=False), {"k": ["a", "a"]}, ("a", "a"), []),
        (lambda r: r.texts("k", LABEL), {"k": ["a", "B"]}, ("a",), [("x.k[1]", "dns-label")]),
        (lambda r: r.choices("k", ["a", "b"]), {"k": ["b", "c"]}, ("b",), [("x.k[1]", "choice")]),
        (lambda r: r.choices("k", ["a", "b"], default=["a"]), {}, ("a",), []),
    ],
)  # fmt: skip
def test_each_kind_of_value(read: Read, raw: Any, found: Any, told: list[tuple[str, str]]) -> None:
    read_value, problems = tried(read, raw)
    assert (read_value, problems) == (found, told)
    assert type(read_value) is type(found)


@pytest.mark.parametrize(
    ("where", "key", "path"), [("", "k", "k"), ("x", "k", "x.k"), ("x", "7", "x[7]"), ("", "7", "7")]
)
def test_paths(where: str, key: str, path: str) -> None:
    assert Reader({}, where, Problems()).path(key) == path


def test_what_is_no_mapping_is_told_once_and_nothing_that_it_lacks() -> None:
    problems = Problems()
    reader = Reader([], "x", problems)
    assert reader.text("k") == ""
    assert not reader.sound()
    assert [(problem.where, problem.rule, problem.message) for problem in problems.found] == [
        ("x", "type", "is a list, not a mapping")
    ]


def test_sections_and_what_is_sound_in_them() -> None:
    problems = Problems()
    reader = Reader({"a": {"b": 7}, "list": [{"c": 1}, 7], "z": 1}, "x", problems)
    inner = reader.section("a")
    assert inner is not None
    assert reader.section("none") is None
    assert inner.maybe_text("b") is None
    first, second = reader.sections("list")
    assert first.integer("c", 0, 9) == 1
    assert not second.has("c")
    assert not reader.sound("a")
    assert not reader.sound("list")
    assert not reader.sound()
    assert reader.sound("z")
    assert not reader.sound("z", "a")
    assert not inner.sound("b")
    assert first.sound()
    assert Reader({}, "xy", problems).sound()
    assert [problem.where for problem in problems.found] == ["x.a.b", "x.list[1]"]


def test_problems_are_told_once_and_by_place() -> None:
    problems = Problems()
    for _turn in range(2):
        problems.add("a.b[0]", "is bad", "rule")
    problems.add("a.b[0]", "is worse", "rule")
    assert len(problems.found) == 2
    assert problems.within("a")
    assert problems.within("c", "a.b")
    assert problems.within("a.b[0]")
    assert not problems.within("a.b[", "a.b[0].c", "b")
    assert problems.at("a.b[0]")
    assert not problems.at("a.b", "a")
    Problems().check()


@pytest.mark.parametrize(
    ("raw", "where", "name"),
    [
        ({"s": [{"name": "a"}]}, "s[0].x", "a"),
        ({"s": [{"name": "a"}, {"name": "b"}]}, "s[1]", "b"),
        ({"s": [{"name": "a"}]}, "s[1].x", ""),
        ({"s": [{"name": 7}]}, "s[0]", ""),
        ({"s": [{"name": "a\n"}]}, "s[0]", ""),
        ({"s": [7]}, "s[0]", ""),
        ({"s": "text"}, "s[0]", ""),
        ({"s": [{"name": "a"}]}, "s", ""),
        (None, "s[0]", ""),
    ],
)
def test_an_entry_is_named(raw: Any, where: str, name: str) -> None:
    problems = Problems()
    problems.add(where, "is bad", "rule")
    with pytest.raises(InputError, match=re.escape("is bad")) as caught:
        problems.check(raw)
    assert [problem.resource for problem in caught.value.problems] == [name]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({}, []),
        ({"k": None}, []),
        ({"k": ["a"]}, []),
        ({"k": []}, [("x.k", "empty")]),
        ({"k": "a"}, [("x.k", "type")]),
        ({"k": [], "l": []}, [("x.k", "empty"), ("x.l", "empty")]),
    ],
)
def test_a_list_that_narrows_is_not_empty(raw: Any, told: list[tuple[str, str]]) -> None:
    def read(reader: Reader) -> None:
        reader.items("k")
        reader.not_empty("k", "l")

    assert tried(read, raw) == (None, told)
