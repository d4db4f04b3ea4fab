"""The reader against readers that share no code with it: PyYAML's own loaders, and its pure parser.

PyYAML resolves scalars as YAML 1.1 does, Kubernetes in other words (``READ_BY_KUBECTL`` beside). So values
are compared for texts that were written with quotes, and shapes for all others.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.documents.read import read_documents
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from hypothesis import given, settings
from hypothesis import strategies as st

ODD_TEXTS = ["y", "on", "08", "1e3", "0x1F", "null", "~", "", "<<", "=", "2026-01-02", "- a", "a: b", "#"]
TEXTS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\ufffe\uffff"), max_size=12
) | st.sampled_from(ODD_TEXTS)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(-(2.0**52), 2.0**52)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=25,
)


def canonical(value: Any) -> str:
    """JSON text with the numbers as Go writes them: whole ones without a fraction."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        inner = ",".join(f"{json.dumps(key)}:{canonical(item)}" for key, item in sorted(value.items()))
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value)


class QuotedDumper(yaml.SafeDumper):
    """Quotes every text, so that no reader can take it for something else."""


QuotedDumper.add_representer(
    str, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(VALUES, min_size=1, max_size=3), st.booleans(), st.booleans())
def test_what_pyyaml_writes_is_read_as_it_was(values: list[Any], flow: bool, shared: bool) -> None:
    wanted = [[value, value] if shared else value for value in values]  # written with an anchor and an alias
    text = yaml.dump_all(wanted, Dumper=QuotedDumper, default_flow_style=flow, allow_unicode=True)
    found = [value for value, _line in read_documents(text, "f")]
    assert list(map(canonical, found)) == [canonical(value) for value in wanted if value is not None]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(VALUES.filter(lambda value: isinstance(value, (dict, list))), min_size=1, max_size=3),
    st.booleans(),
)
def test_json_is_read_as_it_was(values: list[Any], escaped: bool) -> None:
    text = "\n".join(json.dumps(value, ensure_ascii=escaped) for value in values)
    found = [value for value, _line in read_documents(text, "f")]
    assert list(map(canonical, found)) == list(map(canonical, values))


SEEDS = [
    """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {app: x, "t": 'y'}}
data:
  text: |
    one
    two
  folded: >-
    one
    two
""",
    """\
- &x [1, 2]
- *x
- key: !!str 12
  ? complex
  : - nested
    - deeper:
      - a
# a comment
---
a: b
""",
    """\
{"json": [true, null, 1.5, "\\u00fc"], "b": {"c": "d"}}
---
{"c": [], "d": {}}
""",
    """\
base: &b {number: "7", list: [a, b, {c: d}]}
more: {<<: *b, number: "8"}
""",
]
PIECES = [
    "\n", "  ", "\t", "- ", ": ", "? ", "{", "}", "[", "]", ",", "&a ", "*a", "*l", "<<: ", "!!str ", "!x ",
    "'", '"', "#", "|", ">", "---\n", "...\n", "%YAML 1.1\n", "\\", "\\u00e9", "\ufeff", "\x07", "a", "1",
    "~", "@", "é", "😀",
]  # fmt: skip


def mutated(chance: random.Random) -> str:
    """A seed with a few characters taken out, doubled or put in."""
    text = chance.choice(SEEDS)
    for _unused in range(chance.choice((1, 1, 2, 4, 16))):
        at, to = chance.randrange(len(text) + 1), chance.randrange(1, 12)
        action = chance.randrange(3)
        if action == 0:
            text = text[:at] + text[at + to :]
        elif action == 1:
            text = text[:at] + text[at : at + to] + text[at:]
        else:
            text = text[:at] + chance.choice(PIECES) + text[at:]
    return text


NULLS = ("", "~", "null")


def shape(value: Any, *, is_base: bool) -> Any:
    """Keys, lengths and places of collections, without scalars and without merged keys."""
    if isinstance(value, dict):
        if "<<" in value and is_base:
            raise KeyError("<<")
        return {str(key): shape(item, is_base=is_base) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item, is_base=is_base) for item in value]
    return 0


def read(text: str) -> list[Any] | None:
    try:
        return [value for value, _line in read_documents(text, "f")]
    except InputError as error:
        (problem,) = error.problems
        assert problem.rule
        assert problem.message
        assert problem.where.startswith("f")
        return None


@pytest.mark.parametrize("seed", range(8))
def test_damaged_texts_are_refused_or_read_as_pyyaml_reads_them(seed: int) -> None:
    chance = random.Random(seed)
    compared = refused = 0
    for _unused in range(250):
        text = mutated(chance)
        found = read(text)
        if found is None:
            refused += 1
            continue
        try:
            wanted = [
                shape(value, is_base=True) for value in yaml.load_all(text, yaml.CBaseLoader) if value != ""
            ]
        except (yaml.composer.ComposerError, KeyError):  # an anchor that is set again, or a merge key
            continue
        except yaml.YAMLError:  # JSON documents one after the other, which kubectl reads, too
            assert text.lstrip()[0] in "{["
            continue
        except TypeError:  # a collection as a key
            pytest.fail(text)
        assert [shape(value, is_base=False) for value in found] == wanted, text
        compared += 1
    assert compared > 20
    assert refused > 20


@pytest.mark.parametrize("seed", range(100, 104))
def test_both_parsers_of_pyyaml_lead_to_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts without libyaml must not read another object. What one of the two refuses is no wrong object."""
    chance = random.Random(seed)
    texts = [mutated(chance) for _unused in range(150)]
    fast = [read(text) for text in texts]
    monkeypatch.delattr(yaml, "CSafeLoader")
    both = [(one, read(text), text) for one, text in zip(fast, texts, strict=True)]
    read_by_both = [entry for entry in both if entry[0] is not None and entry[1] is not None]
    assert len(read_by_both) > 20
    for one, other, text in read_by_both:
        assert json.dumps(one) == json.dumps(other), text
