"""Texts are read strictly, and as Kubernetes reads them."""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.documents import yaml_events
from ansible_collections.servicemesh.istio.plugins.module_utils.documents.json_text import (
    from_json,
    json_text,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.documents.read import (
    read_document,
    read_documents,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError


@pytest.fixture(params=["libyaml", "pure"])
def parser(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both of PyYAML's parsers; hosts without libyaml have the pure one only."""
    if request.param == "pure":
        monkeypatch.delattr(yaml, "CSafeLoader")
    return str(request.param)


def values(text: str) -> list[Any]:
    return [value for value, _line in read_documents(text, "f.yml")]


def problem(text: str) -> tuple[str, str, str]:
    """Place, message and rule of the refusal."""
    with pytest.raises(InputError) as caught:
        read_documents(text, "f.yml")
    (found,) = caught.value.problems
    return found.where, found.message, found.rule


def refused(text: str) -> tuple[str, str]:
    where, _message, rule = problem(text)
    return where, rule


# What kubectl 1.37 makes of `a: TEXT` (kubectl patch --local -p '{}' -o json).
READ_BY_KUBECTL = [
    ("y", True), ("n", False), ("Y", True), ("yes", True), ("On", True), ("TRUE", True), ("tRUE", "tRUE"),
    ("off", False), ("No", False), ("~", None), ("null", None), ("Null", None), ("nULL", "nULL"), ("", None),
    ("1e3", 1000), ("12e03", 12000), ("1e+3", 1000), ("1.0", 1), ("1.", 1), ("1.5", 1.5), (".5", 0.5),
    ("-.5", -0.5), ("1e-7", 1e-7), ("1e21", 1e21), ("-0.0", 0), ("0", 0), ("-7", -7), ("+5", 5), ("08", 8),
    ("09.5", 9.5), ("0644", 420), ("0o17", 15), ("0o8", "0o8"), ("0x1F", 31), ("+0x1", 1), ("0b11", 3),
    ("-0b11", -3), ("0b2", "0b2"), ("1_000", 1000), ("1__0", 10), ("0x_F", 15), ("0.1_5", 0.15),
    ("+1_0.", 10), ("._5", "._5"), ("12:30:45", "12:30:45"), ("2026-01-02", "2026-01-02"),
    ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"), ("1.5.2", "1.5.2"), ("=", "="), ("x", "x"),
    ("'1'", "1"), ('"yes"', "yes"), ("!!str 12", "12"), ("! 12", "12"), ("!!int '5'", 5), ("!!float 3", 3),
    ("!!bool 'yes'", True), ("!!null ''", None), ("!!timestamp 2026-01-02", "2026-01-02"),
    ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)), ("+", "+"), ("--", "--"),
    ("0x", "0x"), ("1e", "1e"), ("yeS", "yeS"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), READ_BY_KUBECTL)
def test_scalars_are_what_kubernetes_reads(text: str, value: Any, parser: str) -> None:
    (found,) = values(f"a: {text}\nb: {text}")
    assert json.dumps(found) == json.dumps({"a": value, "b": value})


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (".inf", "yaml-number"),
        ("-.INF", "yaml-number"),
        (".nan", "yaml-number"),
        ("1e999", "yaml-number"),
        ("9223372036854775808", "yaml-number"),
        ("-9223372036854775809", "yaml-number"),
        ("0xFFFFFFFFFFFFFFFFF", "yaml-number"),
        ("9" * 5000, "yaml-number"),
        ("!!int 1.5", "yaml-tag"),
        ("!!int true", "yaml-tag"),
        ("!!bool 1", "yaml-tag"),
        ("!!float true", "yaml-tag"),
        ("!!null x", "yaml-tag"),
        ("!!binary aGVsbG8=", "yaml-tag"),
        ("!!set {a, b}", "yaml-tag"),
        ("!!omap [a: 1]", "yaml-tag"),
        ("!vault x", "yaml-tag"),
        ("!!python/name:os.system x", "yaml-tag"),
        ("!!python/object/apply:os.system [x]", "yaml-tag"),
        ("!!map [a]", "yaml-tag"),
        ("!!seq {a: 1}", "yaml-tag"),
        ('"\\ud83d"', "yaml"),
        ('"\\ud83d\\ude00"', "yaml"),
        ("*x", "yaml"),
    ],
)
def test_what_no_object_can_hold_is_refused(text: str, rule: str, parser: str) -> None:
    where, message, found = problem(f"b: 1\na: {text}")
    assert found == rule
    assert where in ("f.yml:2", "f.yml")
    assert text.rsplit(maxsplit=1)[-1] not in message.replace("'x'", ""), "a value may be a secret"


@pytest.mark.parametrize(
    "text", ["a", "1", "-5", "true", "false", "1.5", "'yes'", '"08"', "!!str on", "2026-01-02"]
)
def test_keys_that_stay_as_they_are_written(text: str, parser: str) -> None:
    assert list(values(f"{text}: x")[0]) == [text.removeprefix("!!str ").strip("'\"")]


@pytest.mark.parametrize(
    "text",
    ["on", "y", "No", "True", "08", "0x10", "1_0", "1.50", "1.0", "1e3", "+1", "~", "null", "", ".nan",
     "9" * 30, "[a]", "{a: b}", "!!int '1'", "!!binary YQ=="],
)  # fmt: skip
def test_keys_that_kubernetes_would_rewrite_are_refused(text: str, parser: str) -> None:
    where, rule = refused(f"a: 1\nb:\n  ? {text}\n  : x")
    assert where in ("f.yml:3", "f.yml:4")
    assert rule in ("yaml-key", "yaml-tag")


def test_the_rewritten_key_is_named() -> None:
    assert problem("on: x")[1] == "key 'on' is read as 'true' by Kubernetes: put it in quotes"


class TestDocuments:
    def test_each_knows_its_line(self, parser: str) -> None:
        assert read_documents("a: 1\n---\n---\n# text\n\nb: 2\n...\n", "f.yml") == [
            ({"a": 1}, 1),
            ({"b": 2}, 6),
        ]

    def test_one_document(self) -> None:
        assert read_document("---\na: 1\n---\n", "f") == {"a": 1}
        assert read_document("# nothing", "f") is None
        with pytest.raises(InputError, match=r"f:3: begins a second document"):
            read_document("a: 1\n---\nb: 2\n", "f")

    def test_a_byte_order_mark_is_no_content(self, parser: str) -> None:
        assert values("\ufeffa: 1") == values('\ufeff{"a": 1}') == [{"a": 1}]

    def test_texts_of_several_lines(self, parser: str) -> None:
        assert values("a: |\n  x\n  y\nb: >-\n  x\n  y\nc: x\n  y\nd: 'x\n\n  y'\n") == [
            {"a": "x\ny\n", "b": "x y", "c": "x y", "d": "x\ny"}
        ]

    @pytest.mark.parametrize("text", ["a: 1\n\tb: 2\n", "a:\n  b: 1\n\tc: 2\n"])
    def test_a_tab_is_called_a_tab(self, text: str, parser: str) -> None:
        where, message, rule = problem(text)
        assert (where, rule) == (f"f.yml:{text.count(chr(10))}", "yaml")
        assert message == "is not valid YAML: a tab indents this line: YAML wants spaces"

    @pytest.mark.parametrize(
        ("text", "line"),
        [("a: 1\nb: [\n", 3), ("a: 1\nb: c: d", 2), ("a: 'x", 1), ("@a", 1), ("- a\nb: 1", 2)],
    )
    def test_broken_yaml_names_the_line(self, text: str, line: int, parser: str) -> None:
        where, message, rule = problem(text)
        assert (where, rule) == (f"f.yml:{line}", "yaml")
        assert message.startswith("is not valid YAML: ")

    @pytest.mark.parametrize("character", ["\x00", "\x07", "\x7f", "\x9f", "\ud800", "\ufffe"])
    def test_characters_that_yaml_does_not_allow(self, character: str, parser: str) -> None:
        where, message, _rule = problem(f"a: 1\nb: {character}")
        assert where == "f.yml:2"
        assert f"U+{ord(character):04X}" in message

    def test_without_pyyaml(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "yaml", None)
        assert values('{"a": 1}') == [{"a": 1}], "JSON needs no package"
        with pytest.raises(MeshError, match="'PyYAML' is needed"):
            values("a: 1")


class TestDuplicates:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("a: 1\nb:\n  c: 1\n  c: 2\n", 4),
            ("{a: 1,\n a: 2}", 2),
            ("'1': a\n1: b", 2),
            ('{"a": 1,\n"b": {"a": 1},\n"a": 2}', 3),
            ("x: &x {p: 1}\nb:\n  <<: *x\n  <<: *x\n", 4),
        ],
    )
    def test_a_key_occurs_once(self, text: str, line: int, parser: str) -> None:
        assert refused(text) == (f"f.yml:{line}", "duplicate-key")

    def test_the_same_key_in_two_mappings(self, parser: str) -> None:
        assert values("a: {c: 1}\nb: {c: 1}") == values('{"a": {"c": 1}, "b": {"c": 1}}')


class TestAliases:
    def test_an_anchor_can_be_set_again(self, parser: str) -> None:
        assert values("a: &x 1\nb: *x\nc: &x [2]\nd: *x") == [{"a": 1, "b": 1, "c": [2], "d": [2]}]

    def test_an_anchor_ends_with_its_document(self, parser: str) -> None:
        assert refused("a: &x 1\n---\nb: *x") == ("f.yml:3", "yaml")

    def test_a_key_can_be_an_anchor(self, parser: str) -> None:
        assert values("&k a: 1\nb: *k") == [{"a": 1, "b": "a"}]

    @pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: {c: *a}}", "a: &x 1\nb: &x [*x]"])
    def test_an_alias_inside_itself_is_refused(self, text: str, parser: str) -> None:
        assert "contains itself" in problem(text)[1]

    def test_merge_keys(self, parser: str) -> None:
        assert values("a: &x {p: 1, q: 2}\nb: {q: 3, <<: *x}\nc: {<<: *x, q: 3}") == [
            {"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}, "c": {"q": 3, "p": 1}}
        ]
        assert values("a: &x {p: 1}\nb: &y {p: 2, r: 3}\nc: {<<: [*x, *y]}\nd: {!!merge <<: *x}") == [
            {"a": {"p": 1}, "b": {"p": 2, "r": 3}, "c": {"p": 1, "r": 3}, "d": {"p": 1}}
        ]

    def test_a_quoted_merge_key_is_a_key(self, parser: str) -> None:
        assert values("'<<': 1\na: '<<'\nb: <<") == [{"<<": 1, "a": "<<", "b": "<<"}]

    @pytest.mark.parametrize("text", ["<<: 1", "<<: [a]", "a: &x [1]\nb: {<<: *x}", "<<: [{a: 1}, b]"])
    def test_only_mappings_can_be_merged(self, text: str, parser: str) -> None:
        assert refused(text)[1] == "yaml-key"

    def test_merging_leaves_the_source_alone(self) -> None:
        assert values("a: &x {p: 1}\nb: {<<: *x, r: 2}\nc: *x")[0]["c"] == {"p": 1}

    @pytest.mark.parametrize("leaf", ["x", "y" * 1000, "{k: v}", "[]"])
    def test_an_alias_bomb_is_refused_at_once(self, leaf: str, parser: str) -> None:
        lines = [f"a0: &a0 [{', '.join([leaf] * 10)}]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
        assert refused("\n".join(lines))[1] == "yaml-size"

    @pytest.mark.parametrize("anchor", ["&a {0}", "&a [{0}]", "&a {{? {0} : x}}", "&a {{x: {0}}}"])
    def test_a_long_text_repeated_often_is_refused(self, anchor: str) -> None:
        long = "y" * 100_000
        assert len(values(f"- {anchor.format(long)}\n" + "- *a\n" * 100)[0]) == 101
        assert refused(f"- {anchor.format(long)}\n" + "- *a\n" * 200)[1] == "yaml-size"

    def test_each_document_shares_one_limit(self) -> None:
        document = f"---\n- &a {'y' * 100_000}\n" + "- *a\n" * 100
        assert refused(document * 2)[1] == "yaml-size"


def nested(depth: int, style: str) -> str:
    if style == "block":
        return "\n".join(f"{' ' * level}a:" for level in range(depth)) + " x"
    if style == "dashes":
        return "- " * depth + "x"
    if style == "json":
        return '{"a":' * depth + "1" + "}" * depth
    return "[" * depth + "x" + "]" * depth


class TestDepth:
    @pytest.mark.parametrize("style", ["flow", "block", "dashes", "json"])
    def test_the_limit_is_exact(self, style: str, parser: str) -> None:
        assert len(values(nested(200, style))) == 1
        assert refused(nested(201, style))[1] == "yaml-depth"

    def test_an_alias_counts_with_what_it_repeats(self, parser: str) -> None:
        text = "a: &a {}\nb: {}"
        assert values(text.format(nested(100, "flow"), "[" * 99 + "*a" + "]" * 99))
        assert refused(text.format(nested(100, "flow"), "[" * 100 + "*a" + "]" * 100)) == (
            "f.yml:2",
            "yaml-depth",
        )
        assert refused("a: &a {}\nb: {{<<: {}*a]}}".format(nested(100, "json"), "[" * 99))[1] == "yaml-depth"

    @pytest.mark.parametrize(
        "text", ["[" * 100_000, "{" * 100_000, "- " * 50_000, '{"a":' * 100_000, "? " * 50_000]
    )
    def test_no_text_overflows_the_stack(self, text: str, parser: str) -> None:
        assert refused(text)[1] in ("yaml-depth", "yaml-key", "yaml")

    def test_a_comment_hides_no_depth(self) -> None:
        """Closing brackets in comments tricked a guard that counted them; libyaml's composer then crashed."""
        text = "a: # " + "]" * 150_000 + "\n  " + "[" * 150_000
        program = (
            f"import sys; from {read_documents.__module__} import read_documents\n"
            "try: read_documents(sys.stdin.read(), 'f')\nexcept Exception as error: print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], input=text, env={"PYTHONPATH": "collections"},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-500:]
        assert done.stdout == "f:2: is nested more than 200 levels deep (yaml-depth)\n"


class TestJson:
    def test_documents_one_after_the_other(self) -> None:
        text = '{"a": 1}\n{"b": 2}\n---\n[3]\n--- \n\n"x"\n---\n'
        assert read_documents(text, "f") == [({"a": 1}, 1), ({"b": 2}, 2), ([3], 4), ("x", 7)]

    def test_a_character_above_the_basic_plane(self) -> None:
        assert values('{"a": "\\ud83d\\ude00 \\u00fc", "b": "😀"}') == [{"a": "😀 ü", "b": "😀"}]
        assert values('{"a": "\\ud83d\\ude00"}\n---\n{"b": 1}') == [{"a": "😀"}, {"b": 1}]
        assert values('{"a": "\\\\ud83d"}') == [{"a": "\\ud83d"}]

    def test_numbers(self) -> None:
        text = '{"a": 1.0, "b": 1e3, "c": 9223372036854775807, "d": 0.5, "e": -0}'
        assert (
            json.dumps(values(text)[0]) == '{"a": 1, "b": 1000, "c": 9223372036854775807, "d": 0.5, "e": 0}'
        )

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ('{"b": "NaN \\" {",\n"a": NaN}', "yaml-number"),
            ('{"b": 1,\n"a": -Infinity}', "yaml-number"),
            ('{"b": 1.5,\n"a": 1e999}', "yaml-number"),
            ('{"b": 1,\n"a": 9223372036854775808}', "yaml-number"),
            ('{"b": 1,\n"a": ' + "9" * 5000 + "}", "yaml-number"),
            ('{"b": "\\ud83d\\ude00",\n"a": "\\ud83d"}', "yaml"),
            ('{"b": "\\\\",\n"a": {"\\ude00": 1}}', "yaml"),
            ('[{"a": 1},\n{"a": 1, "a": 2}]', "duplicate-key"),
            ('{"a": 1}\n{"\\u0061": 1, "a": 2}', "duplicate-key"),
        ],
    )
    def test_what_json_must_not_say(self, text: str, rule: str) -> None:
        assert refused(text) == ("f.yml:2", rule)

    def test_what_only_looks_like_json_is_yaml(self) -> None:
        assert values("{a: 1, b: [x,],}") == [{"a": 1, "b": ["x"]}]
        assert values('{"a": 1} # text') == [{"a": 1}]
        assert values('{"a": 1}\n---\nb: 2\n') == [{"a": 1}, {"b": 2}]


class TestJsonText:
    @pytest.mark.parametrize("text", ["😀", "\\ud83d\\ude00", "\\😀\\\\", "ü\u0085\u2028\x7f\ufeff", "plain"])
    def test_yaml_and_json_parsers_read_the_same(self, text: str) -> None:
        written = json_text({"a": text, "😀": [text]})
        assert json.loads(written) == yaml.load(written, yaml.CSafeLoader) == {"a": text, "😀": [text]}

    def test_options_are_those_of_json(self) -> None:
        assert json_text({"a": [1]}, separators=(",", ":")) == '{"a":[1]}'


def test_the_cycle_collector_is_as_it_was(parser: str) -> None:
    for text in ("a: 1", "a: ["):
        for enabled in (True, False):
            (gc.enable if enabled else gc.disable)()
            with contextlib.suppress(InputError):
                read_documents(text, "f")
            assert gc.isenabled() is enabled
    gc.enable()


def test_the_limit_of_repetition_is_what_the_tests_above_assume() -> None:
    assert (yaml_events.MAX_DEPTH, yaml_events.MAX_REPEATED) == (200, 16 * 1024 * 1024)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "{", "", b"\xff"],
    ids=["lists", "mappings", "cut off", "nothing", "no text"],
)
def test_json_of_others_is_read_or_is_none(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        from_json(text)
    assert from_json('{"a": [1]}') == {"a": [1]} == from_json(b'{"a": [1]}')
