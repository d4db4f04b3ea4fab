"""Every check of a single value: what it takes at its bounds, what it refuses, and under which rule."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading import values
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.names import unreadable
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.problems import Problems
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.reader import Reader
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.values import Check, amount

LONG_HOST = ".".join(["a" * 63] * 3 + ["b" * 61])  # 253
DNS, LABEL = "dns-name", "dns-label"

CHECKS: list[tuple[str, str, list[str], list[str]]] = [
    # (check, its rule, what it takes, what it refuses)
    ("DURATION", "duration", ["1ms", "24h", "1m30s"], ["0s", "0.5ms", "24h1ms", "90", ""]),
    ("TIMEOUT", "duration", ["none", "0s", "0ms", "1ms", "24h"], ["0.5ms", "25h", "never"]),
    ("LABEL", LABEL, ["a", "1", "a-b", "a" * 63], ["", "A", "-a", "a-", "a.b", "a" * 64]),
    ("HOST", DNS, ["a.b", "a.b1", LONG_HOST], ["a", f"{LONG_HOST}c", "a.1", "10.0.0.1", "fd00::1", "*.a.b", "a..b", "A.b", "a:80"]),
    ("WILDCARD_HOST", DNS, ["a.b", "*.a.b"], ["*", "*.a", "*.", "a", "x*.a.b", "*.10.0.0.1"]),
    ("EXTERNAL_HOST", DNS, ["a.b", "*.a.b"], ["a", "10.0.0.1"]),
    ("DOMAIN", DNS, ["a", "a.b", "cluster.local", LONG_HOST], ["", "A", "a..b", f"{LONG_HOST}c", "*"]),
    ("SERVICE_ACCOUNT", "service-account", ["a", "a.b"], ["", "A", "a/b"]),
    ("CREDENTIAL", DNS, ["a", "a.b", "cacert"], ["", "A", "a-cacert"]),
    ("WORKLOAD", DNS, ["a", "a.b"], ["", "A"]),
    ("PATH", "path", ["/", "/a", "/a.b", "/a%20b", "/" + "a" * 1023, "/.a", "/a./b", "/..a"],
     ["", "a", "/a?b", "/a#b", "/a*", "/a//b", "/a/./b", "/a/../b", "/.", "/..", "/a/..", "/" + "a" * 1024, "/%41", "/%zz"]),
    ("POLICY_PATH", "path-boundary", ["/*", "/a/*", "/a"], ["*", "/a*", "/*/a", "/a/*/b", "a/*", "//*", "/a//*", "/a//b/*", ""]),
    ("PRINCIPAL", "principal", ["td/ns/a/sa/b", "a.b/ns/a/sa/b.c"],
     ["spiffe://td/ns/a/sa/b", "td/ns/a/sa", "td/ns/a/sa/b/c", "TD/ns/a/sa/b", "td/ns/A/sa/b", "td/ns/a/sa/B", "td/ns/a.b/sa/c", "*/ns/a/sa/b", "td/n/a/sa/b"]),
    ("HEADER", "header-name", ["x-a", "X_a", "a" * 128], ["", "a b", "a:", "host", "Host", "a" * 129]),
    ("COOKIE", "cookie-name", ["a", "a" * 64], ["", "a=b", "a;b", "a" * 65]),
    ("TEXT", "text", ["a", " ", "a" * 1024, "\N{LATIN SMALL LETTER A WITH DIAERESIS}"], ["", "a" * 1025, "a\x1f", "a\x7f", "\n"]),
    ("REASON", "text", ["a", " a"], ["", " ", "\t", "a\n", "a" * 1025]),
    ("ADDRESS", "address", ["10.0.0.1", "fd00::1", "a.b"], ["a", "10.0.0.256", "fe80::1%eth0", "01.0.0.1", ""]),
    ("NETWORK", "address", ["10.0.0.1", "10.1.0.0/16", "fd00::/8", "10.0.0.1/32", "128.0.0.0/1"],
     ["10.0.0.0/0", "::/0", "10.1.2.0/16", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/255.0.0.0", "a.b", "fe80::%eth0/64", "", "10.0.0.0/"]),
    ("QUANTITY", "quantity", ["1", "100m", "1Gi"], ["", "-1", "x"]),
    ("EGRESS_HOST", "sidecar-host", ["a/b.c", "./*", "a/*", "*/b.c", "./*.b.c"], ["*/*", "a", "A/b.c", "a/b", "/b.c", "a/", "~/*"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "rule", "good", "bad"), CHECKS, ids=[row[0] for row in CHECKS])
def test_what_a_check_takes_and_refuses(name: str, rule: str, good: list[str], bad: list[str]) -> None:
    check = getattr(values, name)
    assert check.rule == rule
    assert {text: check.fault(text) for text in good if check.fault(text)} == {}
    assert [text for text in bad if not check.fault(text)] == []


def test_every_check_is_in_the_table() -> None:
    assert {name for name, value in vars(values).items() if isinstance(value, Check)} == {
        row[0] for row in CHECKS
    }


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("HOST", "a" * 254, f"{'a' * 40!r}... is longer than 253 characters"),
        ("HOST", "a:80", "'a:80' is an address, not a DNS name"),
        ("HOST", "A.b", "'A.b' is not a DNS name"),
        ("HOST", "a", "'a' is not fully qualified"),
        ("HOST", "a.1", "'a.1' ends in a number, which no top-level domain is"),
        ("WILDCARD_HOST", "*.a", "'*.a' covers a whole top-level domain"),
        ("EXTERNAL_HOST", "10.0.0.1", "'10.0.0.1' is an address, not a DNS name: it belongs into addresses, beside any name in hosts"),
        ("PATH", "a", "'a' is not a path (it starts with '/', holds no query, no fragment and no '*')"),
        ("PATH", "/a%", "'/a%' has a '%' that does not begin an encoded byte such as %20"),
        ("PATH", "/a//b", "'/a//b' is not a normalised path"),
        ("PATH", "/" + "a" * 1024, "the path is longer than 1024 characters"),
        ("POLICY_PATH", "/a*", "'/a*' has a '*' that does not follow a final '/'; '/x*' would also match '/xy'"),
        ("PRINCIPAL", "spiffe://a", "'spiffe://a' must be written without spiffe://"),
        ("HEADER", "host", "the Host header is matched by 'host', not as a header"),
        ("TEXT", "", "must be 1 to 1024 characters long"),
        ("TEXT", "a\x7f", "holds a control character"),
        ("REASON", " ", "is blank, which is no reason"),
        ("NETWORK", "::/0", "'::/0' is every address there is"),
        ("NETWORK", "10.1.2.0/16", "'10.1.2.0/16' has bits beyond its prefix; the network is 10.1.0.0/16"),
        ("NETWORK", "x/8", "'x/8' is neither an address nor a network such as 10.1.0.0/16 or fd00::/8"),
        ("EGRESS_HOST", "*/*", "'*/*' would undo the scoping"),
        ("EGRESS_HOST", "a", "'a' is not NAMESPACE/HOST"),
        ("TIMEOUT", "25h", "'25h' is longer than 24h; none stands for no timeout"),
    ],
)  # fmt: skip
def test_words_of_a_refusal(name: str, text: str, words: str) -> None:
    assert getattr(values, name).fault(text) == words


@pytest.mark.parametrize(
    ("networks", "everything"),
    [
        ([], False),
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["::/1", "8000::/1"], True),
        (["0.0.0.0/1", "8000::/1"], False),
        (["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/2", "fd00::/8"], True),
        (["10.0.0.0/8", "::/1", "8000::/2"], False),
    ],
)
def test_networks_that_are_every_address_together(networks: list[str], *, everything: bool) -> None:
    assert values.covers_all(networks) is everything


@pytest.mark.parametrize(
    ("text", "single"),
    [("10.0.0.1", True), ("10.0.0.1/32", True), ("10.0.0.0/31", False), ("fd00::1/128", True)],
)
def test_a_single_address(text: str, *, single: bool) -> None:
    assert values.is_single_address(text) is single


@pytest.mark.parametrize(
    ("unit", "exponent"),
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18), ("e2", 2), ("E-2", -2)],
)  # fmt: skip
def test_decimal_units(unit: str, exponent: int) -> None:
    assert amount(f"7{unit}") == Decimal(7).scaleb(exponent)
    assert amount("no quantity") == 0
    assert amount("1e999") == Decimal(1).scaleb(99)
    assert amount("1e-999") == Decimal(1).scaleb(-99)


@pytest.mark.parametrize(
    ("unit", "power"), [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)]
)
def test_binary_units(unit: str, power: int) -> None:
    assert amount(f"7{unit}") == 7 * Decimal(1024) ** power


# Mappings of names


def read(raw: Any, method: str, **options: Any) -> tuple[Any, list[tuple[str, str]]]:
    problems = Problems()
    found = getattr(Reader({"k": raw}, "x", problems), method)("k", **options)
    return found, [(problem.where, problem.rule) for problem in problems.found]


@pytest.mark.parametrize(
    ("raw", "options", "found", "told"),
    [
        ({"a": "b"}, {}, {"a": "b"}, []),
        ({"a": ""}, {}, {"a": ""}, []),
        ({"a": "b", "-c": "d", "e": "f/g", "h": 7}, {}, {"a": "b"}, [("x.k.-c", "label"), ("x.k.e", "label"), ("x.k.h", "label")]),
        ({}, {}, {}, [("x.k", "label")]),
        ({}, {"may_be_empty": True}, {}, []),
        (None, {}, {}, []),
        (None, {"default": {"d": "e"}}, {"d": "e"}, []),
        ({"a": "b"}, {"default": {"d": "e"}}, {"a": "b"}, []),
    ],
)  # fmt: skip
def test_labels(raw: Any, options: dict[str, Any], found: Any, told: list[tuple[str, str]]) -> None:
    assert read(raw, "labels", **options) == (found, told)


@pytest.mark.parametrize(
    ("raw", "found", "told"),
    [
        ({"a": "any /text", "b/c": ""}, {"a": "any /text", "b/c": ""}, []),
        ({"a": 7, "-b": "c"}, {}, [("x.k.a", "type"), ("x.k.-b", "annotation")]),
        (None, {}, []),
        ({}, {}, []),
    ],
)
def test_annotations(raw: Any, found: Any, told: list[tuple[str, str]]) -> None:
    assert read(raw, "annotations") == (found, told)


def test_mappings_as_they_are_and_tables() -> None:
    assert read({"a": [1], 7: 8}, "mapping") == ({"a": [1], "7": 8}, [])
    assert read(None, "mapping") == ({}, [])
    assert read([], "mapping") == ({}, [("x.k", "type")])
    table, told = read({"a": None, "b": {"c": 1}, "d": 7}, "table")
    assert list(table) == ["a", "b", "d"]
    assert (table["a"].where, table["b"].integer("c", 0, 9)) == ("x.k.a", 1)
    assert told == [("x.k.d", "type")]
    assert read(None, "table") == ({}, [])


def test_keys_that_nobody_reads_are_told_with_the_nearest_one() -> None:
    problems = Problems()
    reader = Reader({"name": "a", "prots": 1, "7": 2}, "x", problems)
    reader.text("name")
    reader.items("ports")
    reader.finish()
    assert [(problem.where, problem.message) for problem in problems.found] == [
        ("x.prots", "is not a known key, did you mean ports"), ("x[7]", "is not a known key")
    ]  # fmt: skip
    whole = Reader({"a": 1}, "x", problems)
    whole.raw()
    whole.finish()
    assert len(problems.found) == 2


def test_what_later_roles_would_refuse() -> None:
    specs = {"a": {"type": "int"}, "b": {"choices": ["x"]}}
    found = unreadable({"a": "one", "b": "y", "c": "anything"}, specs)
    assert [(problem.where, problem.rule) for problem in found] == [("a", "type"), ("b", "choice")]
    assert unreadable({"a": "1", "b": "x"}, specs) == []
