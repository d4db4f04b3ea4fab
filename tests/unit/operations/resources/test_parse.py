"""Manifests are read strictly, and as Kubernetes reads them."""

from __future__ import annotations

import json

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import (
    parse as resources_parse,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources.parse import (
    parse_documents,
)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def values(text):
    return [obj for obj, _where in parse_documents(text, "f.yml")]


def problem(text):
    with pytest.raises(InputError) as caught:
        parse_documents(text, "f.yml")
    return str(caught.value)


def test_documents_know_their_line():
    assert parse_documents("a: 1\n---\n---\nb: 2\n", "f.yml") == [
        ({"a": 1}, "f.yml:1"),
        ({"b": 2}, "f.yml:4"),
    ]


def test_lists_are_unfolded():
    assert values("kind: List\nitems: [{a: 1}, {b: 2}]") == [{"a": 1}, {"b": 2}]
    assert values('[{"a": 1}]') == [{"a": 1}]
    assert values("- a: 1\n- b: 2") == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("off", False),
        ("~", None),
        ("0x1F", 31),
        ("0644", 420),
        ("0", 0),
        ("-7", -7),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", "1e3"),
        ("12:30:45", "12:30:45"),
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ('"yes"', "yes"),
        ("'1'", "1"),
        ("=", "="),
        (".inf", ".inf"),
    ],
)
def test_scalars(text, value):
    assert values(f"a: {text}") == [{"a": value}]
    assert type(values(f"a: {text}")[0]["a"]) is type(value)


def test_keys_are_text():
    assert values("1: a\ntrue: b") == [{"1": "a", "true": "b"}]


def test_aliases_and_merge_keys():
    assert values("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x") == [
        {"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}, "c": {"p": 1, "q": 2}}
    ]


def test_duplicate_keys_name_the_line():
    assert problem("a: 1\nb:\n  c: 1\n  c: 2\n").startswith("f.yml:4: key 'c' occurs twice")
    assert "key 'a' occurs twice" in problem('{"a": 1, "a": 2}')


def test_broken_yaml_names_the_line():
    assert problem("a: 1\nb: [\n").startswith("f.yml:3: is not valid YAML")
    assert "f.yml:2" in problem("a: 1\n\tb: 2\n")


def test_an_alias_bomb_is_refused_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "aliases of aliases" in problem("\n".join(lines))


def test_an_alias_inside_itself_is_refused():
    assert "an alias contains itself" in problem("a: &a [*a]")


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, "- " * 50_000, '{"a":' * 100_000])
def test_depth_is_bounded(text):
    assert "f.yml" in problem(text)


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [x]", "a: !!python/name:os.system x"])
def test_python_tags_create_nothing(text):
    for value in values(text):
        assert json.loads(json.dumps(value)) == value


def test_large_texts_are_parsed_once(monkeypatch):
    text = "\n---\n".join(f"a: {n}\nb: {'x' * 100}" for n in range(1000))
    first = parse_documents(text, "one.yml")
    monkeypatch.setattr(resources_parse, "_parse_yaml", None)
    again = parse_documents(text, "two.yml")
    assert [obj for obj, _where in first] == [obj for obj, _where in again]
    assert (first[1][1], again[1][1]) == ("one.yml:4", "two.yml:4")


def test_texts_that_may_hold_secrets_are_kept_nowhere(tmp_path):
    text = "\n---\n".join(f"kind: Secret\na: {n}\nb: {'x' * 100}" for n in range(1000))
    parse_documents(text, "f.yml")
    assert not (tmp_path / "cache").exists()


def test_a_broken_cache_is_parsed_again(tmp_path):
    text = "\n---\n".join(f"a: {n}\nb: {'x' * 100}" for n in range(1000))
    parse_documents(text, "f.yml")
    for file in (tmp_path / "cache" / "servicemesh.istio").iterdir():
        file.write_text("{")
    assert len(parse_documents(text, "f.yml")) == 1000
