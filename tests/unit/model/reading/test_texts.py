"""What a text stands for, type by type, and each refusal with the form that was wanted."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import Problem
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading import texts
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.texts import (
    FORMS,
    LONGEST,
    TextError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.typed import (
    KINDS,
    missing_options,
    typed_options,
    typed_value,
    variables_of,
)

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("kind", "given", "found"),
    [
        ("str", "a", "a"), ("str", 7, 7), ("str", True, True), ("path", "/a", "/a"), ("raw", [1], [1]), ("json", {}, {}),
        ("bool", True, True), ("bool", False, False), ("bool", 1, True), ("bool", 0, False), ("bool", " Yes ", True),
        *(("bool", word, True) for word in ("y", "1", "yes", "true", "on", "t")),
        *(("bool", word, False) for word in ("n", "0", "no", "false", "off", "f")),
        ("int", 3, 3), ("int", "3", 3), ("int", " -3 ", -3), ("int", "+3", 3), ("int", 3.0, 3), ("int", "9" * 18, 10**18 - 1),
        ("float", 3, 3.0), ("float", "3", 3.0), ("float", ".5", 0.5), ("float", "1.", 1.0), ("float", "1e-3", 0.001),
        ("float", "-2E2", -200.0), ("float", 1e300, 1e300),
        ("dict", {"a": 1}, {"a": 1}), ("dict", '{"a": 1}', {"a": 1}), ("dict", "a: 1", {"a": 1}), ("dict", "a=1", {"a": 1}),
        ("dict", "a=1, b.c=x=y,d=", {"a": 1, "b.c": "x=y", "d": ""}), ("dict", "a=[1]", {"a": "[1]"}), ("dict", "a=null", {"a": "null"}),
        ("dict", "a='", {"a": "'"}), ("dict", "a=true", {"a": True}),
        ("list", [1], [1]), ("list", (1, 2), [1, 2]), ("list", 7, [7]), ("list", 0.5, [0.5]), ("list", "a", ["a"]),
        ("list", " a , b,,", ["a", "b"]), ("list", "[1, a]", [1, "a"]), ("list", "- a\n- b", ["a", "b"]), ("list", "- a", ["a"]),
        ("list", "1,true", [1, True]),
        ("duration", 90, 90), ("duration", " 2m ", 120), ("duration", "0.5", 0.5), ("duration", 0, 0), ("duration", LONGEST, int(LONGEST)),
        ("durations", "60,2m", [60, 120]), ("durations", "2m", 120), ("durations", [1, "2s"], [1, 2]), ("durations", "[1, 2]", [1, 2]),
        ("durations", "- 1", [1]), ("durations", 7, 7),
        ("whole", "7", 7), ("wholes", "7", 7), ("wholes", "7,8", [7, 8]), ("wholes", [7], [7]),
    ],
)  # fmt: skip
def test_what_is_understood(kind: str, given: Any, found: Any) -> None:
    read = FORMS[kind](given, {})
    assert read == found
    assert (
        [type(item) for item in read] == [type(item) for item in found]
        if isinstance(found, list)
        else type(read) is type(found)
    )


def test_words_of_a_list_of_texts_stay_texts() -> None:
    assert FORMS["list"]("1,true", {"elements": "str"}) == ["1", "true"]


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        *(("str", value, "a text") for value in ([], {}, ["a"])),
        *(("str", value, "a text: put it in quotes") for value in (1.1, 2.0, NAN)),
        *(("bool", value, "true or false") for value in ("maybe", "", 2, -1, 1.0, None, [])),
        *(("int", value, "a whole number such as 3") for value in ("3.0", "x", "", "9" * 19, 3.5, True, None, NAN, INFINITY, "٣")),
        *(("float", value, "a number such as 0.5") for value in ("x", "", True, None, NAN, INFINITY, 2e300, 10**301, ".", "1e")),
        *(("dict", value, 'a mapping such as {"key": "value"}') for value in ("x", "[1]", 7, None, [])),
        ("dict", "a=1,b", 'a mapping such as {"key": "value"} or key=value,key=value'),
        ("dict", "{a", "YAML or JSON"),
        ("list", "[a", "YAML or JSON"),
        ("list", {}, 'a list such as a,b or ["a", "b"]'), ("list", None, 'a list such as a,b or ["a", "b"]'),
        ("list", True, 'a list such as a,b or ["a", "b"]'), ("list", '{"a": 1}', 'a list such as a,b or ["a", "b"]'),
        ("list", "a: 1\nb: 2", 'a list such as a,b or ["a", "b"]'),
        *(("duration", value, "a duration such as 90, 90s, 2m, 1h30m or 500ms (at most 30 days)")
          for value in ("x", "", -1, LONGEST + 1, True, None)),
        ("durations", "1,x", "a duration such as 90, 90s, 2m, 1h30m or 500ms (at most 30 days), or one per step, such as 60,2m,5m"),
        ("wholes", [1, "x"], "a whole number such as 3, or one per step, such as 100,200"),
        ("wholes", "x", "a whole number such as 3"),
    ],
)  # fmt: skip
def test_what_is_refused(kind: str, given: Any, wanted: str) -> None:
    with pytest.raises(TextError) as caught:
        FORMS[kind](given, {})
    assert str(caught.value) == wanted


@pytest.mark.parametrize(
    ("elements", "example"),
    [("dict", 'a list such as [{"name": "a"}, {"name": "b"}]'), ("int", "a list such as 1,2 or [1, 2]"),
     ("float", "a list such as 1,2 or [1, 2]"), ("str", 'a list such as a,b or ["a", "b"]')],
)  # fmt: skip
def test_a_refused_list_shows_one_of_its_kind(elements: str, example: str) -> None:
    with pytest.raises(TextError) as caught:
        FORMS["list"]({}, {"elements": elements})
    assert str(caught.value) == example
    if elements == "dict":
        with pytest.raises(TextError):
            FORMS["list"]("a,b", {"elements": elements})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("x", "x"),
        ("", ""),
        (3, 3),
        (None, None),
        ("true", "true"),
    ],
)
def test_a_text_that_is_nothing_but_a_number(given: Any, found: Any) -> None:
    assert texts.plain_number(given) == found
    assert type(texts.plain_number(given)) is type(found)


@pytest.mark.parametrize(
    ("given", "found"), [("true", True), ("FALSE", False), ("yes", "yes"), (1, 1), (None, None)]
)
def test_a_text_that_is_nothing_but_a_truth(given: Any, found: Any) -> None:
    assert texts.plain_boolean(given) is found or texts.plain_boolean(given) == found


# Options


def typed(value: Any, spec: dict[str, Any], where: str = "x") -> tuple[Any, list[Problem]]:
    problems: list[Problem] = []
    return typed_value(value, spec, where, problems), problems


def faults(value: Any, spec: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(problem.where, problem.message, problem.rule) for problem in typed(value, spec)[1]]


@pytest.mark.parametrize(
    ("value", "spec", "found"),
    [
        (None, {"type": "int"}, None),
        ("", {"type": "int"}, None),
        (" ", {"type": "int", "default": 7}, 7),
        ("", {"type": "list"}, []),
        ("", {"type": "dict"}, {}),
        ("", {"type": "list", "default": ["a"]}, ["a"]),
        ("", {"type": "str"}, ""),
        ("", {}, ""),
        ("null", {"type": "int"}, None),
        ("~", {"type": "dict"}, None),
        ("null", {"type": "str"}, "null"),
        ("null", {"type": "list"}, ["null"]),
        ("5", {"type": "int"}, 5),
    ],
)
def test_what_is_not_given(value: Any, spec: dict[str, Any], found: Any) -> None:
    assert typed(value, spec) == (found, [])


def test_what_raw_stands_for_is_said_by_the_variable() -> None:
    assert typed("2m", {"type": "raw"}, "istio_timeout") == (120, [])
    assert typed("2m", {"type": "raw"}, "other") == ("2m", [])
    assert typed("10s,20s", {"type": "raw"}, "canary_duration") == ([10, 20], [])


FIELDS = {
    "type": "dict",
    "options": {"name": {"required": True}, "size": {"type": "int", "aliases": ["length"]}},
}


@pytest.mark.parametrize(
    ("value", "found", "told"),
    [
        ({"name": "a", "size": "3"}, {"name": "a", "size": 3}, []),
        ({"name": "a", "length": "3"}, {"name": "a", "length": 3}, []),
        ({"size": 3}, {"size": 3}, [("x.name", "required")]),
        ({"name": "a", "sise": 3}, {"name": "a", "sise": 3}, [("x.sise", "unknown-key")]),
        ({"name": "a", "size": "big"}, {"name": "a"}, [("x.size", "type")]),
        ({"name": "a", "size": None}, {"name": "a"}, []),
        ("name=a", {"name": "a"}, []),
    ],
)
def test_a_mapping_with_fields(value: Any, found: Any, told: list[tuple[str, str]]) -> None:
    read, problems = typed(value, FIELDS)
    assert read == found
    assert [(problem.where, problem.rule) for problem in problems] == told


def test_a_misspelt_field_is_told_what_was_meant() -> None:
    assert faults({"name": "a", "sise": 3}, FIELDS) == [
        ("x.sise", "is not a known key, did you mean size", "unknown-key")
    ]


LIST = {"type": "list", "elements": "dict", "options": FIELDS["options"]}


def test_elements_are_read_one_by_one_and_a_list_with_a_fault_is_none() -> None:
    assert typed([{"name": "a", "size": "3"}], LIST) == ([{"name": "a", "size": 3}], [])
    read, problems = typed([{"name": "a"}, {"size": "x"}], LIST)
    assert read == []
    assert [problem.where for problem in problems] == ["x[1].size", "x[1].name"]
    assert typed("1,2", {"type": "list", "elements": "int"}) == ([1, 2], [])
    assert typed([1, "a"], {"type": "list"}) == ([1, "a"], [])


@pytest.mark.parametrize(
    ("value", "choices", "told"),
    [
        ("a", ["a", "b"], []),
        ("c", ["a", "b"], [("x", "is 'c', not one of a, b", "choice")]),
        (False, ["off", "on"], []),  # YAML reads `off` so
        (True, ["on", "off"], []),
        (False, ["a", "on"], [("x", "is False, not one of a, on", "choice")]),
        (True, ["a", "off"], [("x", "is True, not one of a, off", "choice")]),
    ],
)
def test_choices(value: Any, choices: list[str], told: list[tuple[str, str, str]]) -> None:
    assert faults(value, {"choices": choices}) == told
    below = [("x[0]", message, rule) for _where, message, rule in told]
    assert faults([value], {"type": "list", "elements": "str", "choices": choices}) == below


def test_a_list_that_stands_for_one_value_is_one_value() -> None:
    """Only options that are lists are read element by element."""
    spec = {"type": "raw", "choices": ["a"]}
    assert faults(["a"], spec) == [("x", "is ['a'], not one of a", "choice")]
    assert typed(["null", ""], {"type": "raw"}) == (["null", ""], [])


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "int", "no_log": True},
        {"type": "dict", "options": {"a": {"no_log": True}}},
        {"type": "dict", "options": {"a": {"type": "dict", "options": {"b": {"no_log": True}}}}},
        {"type": "list", "elements": "dict", "options": {"a": {"no_log": True}}},
    ],
)
def test_what_may_be_secret_is_not_shown(spec: dict[str, Any]) -> None:
    (problem,) = typed("s3cret", spec)[1]
    assert "s3cret" not in problem.message
    assert problem.message.startswith("not ")
    assert "s3cret" in typed("s3cret", {"type": "int", "options": {"a": {}}})[1][0].message
    assert typed("s3cret", {"choices": ["a"], "no_log": True})[1][0].message == "not one of a"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("dict", '{"token": "s3cret"'),
        ("dict", "token=s3cret,x"),
        ("list", '[{"token": "s3cret"}'),
        ("list", "token: s3cret\nb: 2"),
        ("str", {"token": "s3cret"}),
        ("int", [{"token": "s3cret"}]),
    ],
)
def test_what_has_names_and_values_in_it_is_not_shown(kind: str, value: Any) -> None:
    """Helm values, manifests and headers come as text from ``-e``, where a quote is soon lost."""
    (problem,) = typed(value, {"type": kind})[1]
    assert problem.message.startswith("not ")
    assert "s3cret" not in problem.message


@pytest.mark.parametrize(("length", "shown"), [(38, "'" + "x" * 38 + "'"), (39, "'" + "x" * 36 + "...")])
def test_a_long_value_is_cut(length: int, shown: str) -> None:
    assert faults("x" * length, {"type": "int"}) == [
        ("x", f"is {shown}, not a whole number such as 3", "type")
    ]


def test_options_of_a_task() -> None:
    spec = {"size": {"type": "int", "aliases": ["length"]}, "name": {"required": True}}
    given = {"length": "3", "other": "kept", "name": None}
    read, problems = typed_options(given, spec, lambda name: f"my_{name}")
    assert (read, problems) == ({"length": 3, "other": "kept"}, [])
    wrong = typed_options({"length": "x"}, spec, lambda name: f"my_{name}")
    assert wrong[0] == {}
    assert [problem.where for problem in wrong[1]] == ["my_size"]
    assert [problem.where for problem in missing_options({}, spec, lambda name: f"my_{name}")] == ["my_name"]
    assert missing_options({"name": None}, spec, str) == []
    assert missing_options({"n": 1}, {"name": {"required": True, "aliases": ["n"]}}, str) == []
    assert variables_of(["a", "b"], "my_", b="theirs") == {"a": "my_a", "b": "theirs"}


def test_what_a_raw_variable_means() -> None:
    durations = (
        "addons_timeout canary_baseline canary_dark canary_deadline canary_lease canary_phase_deadline"
        " canary_propagation_timeout canary_ready_timeout canary_resume_period canary_scrape_interval"
        " canary_unmeasurable certificates_client_ca_overlap certificates_overlap certificates_timeout"
        " injection_timeout istio_helm_unlock_after istio_timeout mesh_strict_guard_window mesh_wait_timeout"
        " observe_log_time observe_window preflight_timeout trust_rotation_period verify_call_timeout"
        " verify_probe_lifetime verify_probe_start_timeout canary_prometheus.timeout"
        " observe_prometheus.timeout"
    )
    assert {name for name, kind in KINDS.items() if kind == "duration"} == set(durations.split())
    assert {name: kind for name, kind in KINDS.items() if kind != "duration"} == {
        "canary_duration": "durations",
        "canary_step_weight": "whole",
        "canary_min_requests": "wholes",
        "canary_prometheus.port": "whole",
        "observe_prometheus.port": "whole",
    }


@pytest.mark.parametrize(
    ("kind", "given", "found"),
    [
        ("durations", "1m,90", [60, 90]),
        ("durations", [60, "2m"], [60, 120]),
        ("durations", "1m", 60),
        ("durations", 5, 5),
        ("durations", "[1m, 2m]", [60, 120]),
        ("durations", "- 1m\n- 2m", [60, 120]),
        ("wholes", "1,2", [1, 2]),
        ("wholes", [1, "2"], [1, 2]),
        ("wholes", "7", 7),
    ],
)
def test_one_for_all_steps_or_one_for_each(kind: str, given: Any, found: Any) -> None:
    assert FORMS[kind](given, {}) == found
