"""Text means the same as the typed value, for every option of every module and every variable of every role.

``-e``, AWX's surveys and INI inventories hand over text. The cases are made from the argument specifications
themselves, so a new option is tried without being listed here.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, Problem
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import CONNECTION_SPEC
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import CATALOGUE_KEYS
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.variables import (
    CATALOGUE_TYPES,
    typed_catalogue,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.typed import (
    KINDS,
    typed_options,
    typed_value,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.run_module import typed_arguments

from ..support.repository import yaml_file

ROOT = Path(__file__).resolve().parents[3]
OPERATIONS = "ansible_collections.servicemesh.istio.plugins.module_utils.operations"

# type or kind -> typed value -> the texts that mean it
FORMS: dict[str, list[tuple[Any, list[str]]]] = {
    "int": [(7, ["7", " 7 ", "+7"]), (0, ["0"])],
    "float": [(0.5, ["0.5", ".5", "5e-1"]), (2, ["2", "2.0"])],
    "bool": [(True, ["true", "True", "yes", "on", "1"]), (False, ["false", "FALSE", "no", "off", "0"])],
    "duration": [
        (90, ["90", "90s", "1m30s", "90.0"]),
        (5400, ["1h30m", "90m", "5400"]),
        (0.5, ["500ms", "0.5", "0.5s"]),
    ],
    "durations": [(120, ["120", "2m"]), ([60, 120], ["60,120", "1m,2m", "[60, 120]", '["1m", "120s"]'])],
    "whole": [(9090, ["9090"])],
    "wholes": [(100, ["100"]), ([100, 200], ["100,200", "[100, 200]", "- 100\n- 200"])],
    "dict": [
        ({"a": "b"}, ['{"a": "b"}', "{a: b}", "a: b", "a=b"]),
        ({"a": 1, "b": 0.5}, ['{"a": 1, "b": 0.5}', "a=1,b=0.5"]),
        ({}, ["{}"]),
    ],
    "list/str": [
        (["a", "b"], ["a,b", "a, b", '["a", "b"]', "[a, b]", "- a\n- b"]),
        (["a"], ["a", '["a"]']),
        ([], ["[]"]),
    ],
    "list/path": [(["a.yml", "b/*.yml"], ["a.yml,b/*.yml", '["a.yml", "b/*.yml"]'])],
    "list/int": [([1, 2], ["1,2", "[1, 2]", '["1", "2"]']), ([3], ["3"])],
    "list/raw": [(["a", 10], ["a,10", '["a", 10]']), ([10, 50, 100], ["10,50,100", "[10, 50, 100]"])],
    "list/dict": [([{"name": "a"}], ['[{"name": "a"}]', "[{name: a}]", "- name: a"]), ([], ["[]"])],
}
BAD: dict[str, tuple[str, str]] = {
    "int": ("many", "a whole number such as 3"),
    "float": ("half", "a number such as 0.5"),
    "bool": ("maybe", "true or false"),
    "duration": ("soon", "a duration such as 90, 90s, 2m, 1h30m or 500ms"),
    "durations": ("1m,soon", "a duration such as 90"),
    "whole": ("http", "a whole number such as 3"),
    "wholes": ("few", "a whole number such as 3"),
    "dict": ("nothing", 'a mapping such as {"key": "value"}'),
    "list/dict": ("a,b", 'a list such as [{"name": "a"}, {"name": "b"}]'),
    "list/str": ("[a", "YAML or JSON"),
    "list/path": ("[a", "YAML or JSON"),
    "list/int": ("one", "a whole number such as 3"),
    "list/raw": ("[a", "YAML or JSON"),
}
TEXTS = {"str", "path", "raw"}


def backends() -> Iterator[Any]:
    folder = ROOT / "plugins" / "module_utils" / "operations"
    for path in sorted(folder.rglob("*.py")):
        if "\nARGUMENT_SPEC" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(folder).with_suffix("").parts)
            yield importlib.import_module(f"{OPERATIONS}.{name}")


def kind_of(spec: Mapping[str, Any], where: str) -> str:
    kind = KINDS.get(where, str(spec.get("type", "str")))
    return f"list/{spec.get('elements', 'raw')}" if kind == "list" else kind


def options() -> Iterator[Any]:
    """Every option of every module that is no text, with the variable behind it."""
    for backend in backends():
        for option, spec in backend.ARGUMENT_SPEC.items():
            where = getattr(backend, "VARIABLES", {}).get(option, option)
            if kind_of(spec, where) not in TEXTS:
                yield pytest.param(
                    backend, option, spec, where, id=f"{backend.__name__[len(OPERATIONS) + 1 :]}-{option}"
                )


def variables() -> Iterator[Any]:
    """Every variable of every role that is no text."""
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        for entry in yaml_file(path)["argument_specs"].values():
            for name, spec in entry.get("options", {}).items():
                if kind_of(spec, name) not in TEXTS:
                    yield pytest.param(name, spec, id=f"{path.parents[1].name}-{name}")


def required(backend: Any) -> dict[str, Any]:
    """Something for each option that has to be there."""
    values: dict[str, Any] = {"list": [], "dict": {}, "str": "x", "path": "x"}
    return {
        option: values[spec.get("type", "str")]
        for option, spec in backend.ARGUMENT_SPEC.items()
        if spec.get("required")
    }


def is_free(spec: Mapping[str, Any]) -> bool:
    """Any value of the type will do: no choices, no fields of its own."""
    return not spec.get("choices") and not spec.get("options")


def test_there_are_modules_and_roles() -> None:
    assert len(list(backends())) >= 11
    assert len(list(options())) > 90 and len(list(variables())) > 90


@pytest.mark.parametrize(("backend", "option", "spec", "where"), [*options()])
def test_text_of_an_option_is_its_typed_value(backend: Any, option: str, spec: Any, where: str) -> None:
    cases = FORMS[kind_of(spec, where)] if is_free(spec) else _special(spec)
    for typed, texts in cases:
        plain = typed_arguments(backend, {**required(backend), option: typed})
        for text in texts:
            found = typed_arguments(backend, {**required(backend), option: text})
            assert found == plain, text
            assert type(found[option]) is type(plain[option]), text


@pytest.mark.parametrize(("backend", "option", "spec", "where"), [*options()])
def test_bad_text_is_one_sentence_with_name_and_example(
    backend: Any, option: str, spec: Any, where: str
) -> None:
    text, example = BAD[kind_of(spec, where)]
    with pytest.raises(InputError) as caught:
        typed_arguments(backend, {**required(backend), option: text})
    assert [problem.where.partition("[")[0] for problem in caught.value.problems] == [where]
    sentence = str(caught.value)
    assert sentence.startswith(where) and example in sentence and "\n" not in sentence
    secret = spec.get("no_log") or any(field.get("no_log") for field in spec.get("options", {}).values())
    assert bool(secret) != (": is '" in sentence)


@pytest.mark.parametrize(("name", "spec"), [*variables()])
def test_text_of_a_variable_is_its_typed_value(name: str, spec: Any) -> None:
    for typed, texts in FORMS[kind_of(spec, name)] if is_free(spec) else _special(spec):
        problems: list[Problem] = []
        plain = typed_value(typed, spec, name, problems)
        assert not problems
        for text in texts:
            assert typed_value(text, spec, name, problems) == plain, text
            assert not problems, text


@pytest.mark.parametrize(("name", "spec"), [*variables()])
def test_bad_text_of_a_variable_names_it(name: str, spec: Any) -> None:
    text, example = BAD[kind_of(spec, name)]
    problems: list[Problem] = []
    assert not typed_value(text, spec, name, problems)
    assert len(problems) == 1 and problems[0].where.startswith(name) and example in problems[0].message


def _special(spec: Mapping[str, Any]) -> list[tuple[Any, list[str]]]:
    """Values of an option with choices or with fields of its own, and their texts."""
    if spec.get("choices"):
        words = [str(choice) for choice in spec["choices"]][:2]
        assert spec["type"] == "list"
        return [(words, [",".join(words), json.dumps(words)])]
    fields = {name: _field(entry) for name, entry in spec["options"].items()}
    value: Any = [fields] if spec["type"] == "list" else fields
    return [(value, [json.dumps(value), yaml.safe_dump(value)])]


def _field(spec: Mapping[str, Any]) -> Any:
    if spec.get("choices"):
        return spec["choices"][0]
    listed = {"int": [3], "dict": [{}]}.get(spec.get("elements", "str"), ["x"])
    return {"bool": True, "int": 3, "list": listed, "dict": {}, "raw": 9}.get(spec.get("type", "str"), "x")


@pytest.mark.parametrize("option", sorted(CONNECTION_SPEC))
def test_options_of_the_connection_take_text(option: str) -> None:
    if CONNECTION_SPEC[option]["type"] == "bool":
        for alias in (option, *CONNECTION_SPEC[option].get("aliases", ())):
            assert typed_options({alias: "no"}, CONNECTION_SPEC, str) == ({alias: False}, [])
    if CONNECTION_SPEC[option]["type"] == "list":
        assert typed_options({option: "a,b"}, CONNECTION_SPEC, str) == ({option: ["a", "b"]}, [])


def test_the_catalogues_variables_take_text() -> None:
    """Each that is no text; a text stays a text, whatever it looks like."""
    problems: list[Problem] = []
    given = {
        "mesh_name": "1",
        "mesh_default_deny": "no",
        "mesh_sidecar_hosts": "istio-system/*,shop/*",
        "mesh_services": '[{"name": "a"}]',
        "mesh_telemetry": "access_log=all,trace_sampling_percent=1",
    }
    assert typed_catalogue(given, problems) == {
        "mesh_name": "1",
        "mesh_default_deny": False,
        "mesh_sidecar_hosts": ["istio-system/*", "shop/*"],
        "mesh_services": [{"name": "a"}],
        "mesh_telemetry": {"access_log": "all", "trace_sampling_percent": 1},
    }
    assert not problems
    assert typed_catalogue({"istio_gateways": "", "mesh_default_deny": " "}, problems) == {
        "istio_gateways": None,
        "mesh_default_deny": None,
    }
    assert not problems
    typed_catalogue({"mesh_default_deny": "maybe", "mesh_services": "frontend"}, problems)
    assert [str(problem) for problem in problems] == [
        "mesh_default_deny: is 'maybe', not true or false (type)",
        'mesh_services: is \'frontend\', not a list such as [{"name": "a"}, {"name": "b"}] (type)',
    ]


def test_the_catalogues_types_are_those_of_the_role() -> None:
    spec = yaml_file(ROOT / "roles/mesh/meta/argument_specs.yml")["argument_specs"]["main"]
    typed = {name: entry["type"] for name, entry in spec["options"].items() if name in CATALOGUE_KEYS}
    assert {name: entry["type"] for name, entry in CATALOGUE_TYPES.items()} == {
        name: kind for name, kind in typed.items() if kind != "str"
    }


def test_an_empty_text_is_not_given() -> None:
    """A survey sends one for every question that nobody answered."""
    spec = {"a": {"type": "int", "default": 3}, "b": {"type": "bool"}, "c": {"type": "str"}}
    assert typed_options({"a": "", "b": " ", "c": ""}, spec, str) == ({"a": 3, "c": ""}, [])


def test_what_is_secret_is_not_shown() -> None:
    problems: list[Problem] = []
    typed_value({"a": "s3cret"}, {"type": "str", "no_log": True}, "certificates_key", problems)
    typed_value("s3cret", {"type": "dict", "no_log": True}, "certificates_provided", problems)
    token = {
        "type": "dict",
        "options": {"url": {"type": "str"}, "bearer_token": {"type": "str", "no_log": True}},
    }
    typed_value("bearer_token=s3cret,x", token, "canary_prometheus", problems)
    pair = {"type": "list", "elements": "dict", "options": {"private_key": {"type": "str", "no_log": True}}}
    typed_value("[{private_key: s3cret", pair, "certificates_provided", problems)
    typed_value([{"private_key": ["s3cret"]}], pair, "certificates_provided", problems)
    assert len(problems) == 5 and "s3cret" not in str(problems)


def test_what_is_missing_or_unknown_is_named() -> None:
    diagnose = importlib.import_module(f"{OPERATIONS}.diagnose.backend")
    with pytest.raises(InputError) as caught:
        typed_arguments(diagnose, {"source": "a"})
    assert str(caught.value) == ("diagnose_catalogue: is missing, and there is no default for it (required)")
    problems: list[Problem] = []
    spec = {"type": "dict", "options": {"name": {"type": "str", "required": True}}}
    typed_value({"nam": "a"}, spec, "x", problems)
    assert [problem.where for problem in problems] == ["x.name", "x.nam"]
    assert "did you mean name" in problems[1].message


def handed_over() -> Iterator[Any]:
    """What the tasks of the roles give to our modules: module, option, the variables in its expression."""
    for path in sorted(ROOT.glob("roles/*/tasks/*.yml")):
        for task in _tasks(yaml_file(path)):
            for module, arguments in task.items():
                if module.startswith("servicemesh.istio.") and isinstance(arguments, dict):
                    for option, value in arguments.items():
                        if isinstance(value, str):
                            yield module.rpartition(".")[2], option, value


def _tasks(tasks: Any) -> Iterator[dict[str, Any]]:
    for task in tasks or []:
        yield from _tasks(task.get("block")) if "block" in task else iter([task])


def test_problems_carry_the_names_that_the_roles_use() -> None:
    """An option that a role sets from one variable is named after that variable."""
    actions = {
        path.stem: re.search(r"operations(?:\.([\w.]+))? import (\w+)", path.read_text())
        for path in (ROOT / "plugins" / "action").glob("[a-z]*.py")
    }
    checked = 0
    for module, option, value in handed_over():
        found = actions[module]
        assert found
        backend = importlib.import_module(".".join(part for part in (OPERATIONS, found[1], found[2]) if part))
        names = set(re.findall(r"(?<![.\w'])((?:mesh|istio|[a-z]+)_[a-z0-9_]+)", value))
        # What is downloaded, and for whom, differs from task to task.
        if len(names) != 1 or "__" in value or module == "download":
            continue
        checked += 1
        assert getattr(backend, "VARIABLES", {}).get(option, option) in names, (module, option)
    assert checked > 80


def test_numbers_inside_of_a_mapping_may_be_text() -> None:
    """A template such as ``{acceptable: "{{ rate }}"}`` makes text of what ``-e rate=0.01`` gave."""
    from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases_input import (
        PlanReader,
    )

    reader = PlanReader()
    assert (reader.share("a", "0.01"), reader.weight("b", "10"), reader.requests("c", "30")) == (0.01, 10, 30)
    assert (reader.boolean("d", "False"), reader.whole("e", "2", 1, 3), reader.seconds("f", "2m")) == (
        False,
        2,
        120,
    )
    assert not reader.problems


def test_null_as_text_is_not_given() -> None:
    """``-e canary_latency=null`` turns the gate off, as null in YAML does; a list has no such word."""
    spec = {
        "a": {"type": "dict"},
        "b": {"type": "int", "default": 3},
        "c": {"type": "list", "elements": "str"},
    }
    assert typed_options({"a": "null", "b": "~", "c": "null"}, spec, str) == ({"c": ["null"]}, [])
