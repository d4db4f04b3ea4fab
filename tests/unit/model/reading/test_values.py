"""Single values, as strict as whoever reads them in the end, and no stricter."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

from decimal import Decimal

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.durations import duration_fault
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.problems import Problems
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.reader import Reader
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.values import (
    CREDENTIAL,
    DURATION,
    EGRESS_HOST,
    HEADER,
    HOST,
    LABEL,
    PATH,
    POLICY_PATH,
    PRINCIPAL,
    QUANTITY,
    SERVICE_ACCOUNT,
    WILDCARD_HOST,
    WORKLOAD,
    Check,
    amount,
    is_number,
    label_key_fault,
    label_value_fault,
)

# apimachinery resource.ParseQuantity and Quantity.Value, as its documentation states them.
QUANTITIES = {
    "0": "0",
    "1": "1",
    "100m": "0.1",
    "0.5": "0.5",
    ".5": "0.5",
    "1.": "1",
    "+1": "1",
    "1n": "0.000000001",
    "1u": "0.000001",
    "1k": "1000",
    "128Mi": "134217728",
    "1.5Gi": "1610612736",
    "1Ki": "1024",
    "1Pi": "1125899906842624",
    "1E": "1000000000000000000",
    "1Ei": "1152921504606846976",
    "1e3": "1000",
    "1E3": "1000",
    "1e-3": "0.001",
    "1e+3": "1000",
    "64m": "0.064",
}


@pytest.mark.parametrize("text", QUANTITIES)
def test_a_quantity_is_what_kubernetes_reads(text: str) -> None:
    assert QUANTITY.fault(text) == ""
    assert amount(text) == Decimal(QUANTITIES[text])


@pytest.mark.parametrize(
    "text",
    [
        "", "-1", "1 Mi", "1mi", "1KI", "1K", "1kb", "1MB", "1e", "1e1.5", "0x10", "1,5", "m", ".", "1Mi\n", "\n1",
        "1_000", "1Mii", "\N{ARABIC-INDIC DIGIT THREE}",
    ],
)  # fmt: skip
def test_what_is_no_quantity(text: str) -> None:
    assert QUANTITY.fault(text) == f"{text!r} is not a quantity such as 100m or 128Mi"


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (0.5, "0.5"), ("250m", "250m"), (None, None), (1e-07, "1e-07")]
)
def test_a_quantity_may_be_a_number_as_kubernetes_takes_it(value: object, text: str | None) -> None:
    problems = Problems()
    assert Reader({"cpu": value}, "proxy", problems).quantity("cpu") == text
    assert problems.found == ()


def test_true_is_no_quantity() -> None:
    problems = Problems()
    assert Reader({"cpu": True}, "proxy", problems).quantity("cpu") is None
    assert [problem.rule for problem in problems.found] == ["type"]


@pytest.mark.parametrize(("text", "fault"), [
    ("1.5ms", "'1.5ms' is finer than 1ms, which Istio refuses"),
    ("0.0015s", "'0.0015s' is finer than 1ms, which Istio refuses"),
    ("1.001s", ""),
    ("0.1s", ""),
    ("1h0.5ms", "'1h0.5ms' is finer than 1ms, which Istio refuses"),
    ("23h59m59s999ms", ""),
])  # fmt: skip
def test_durations_are_whole_milliseconds(text: str, fault: str) -> None:
    """istiod's ValidateDuration: only durations to ms precision are supported."""
    assert DURATION.fault(text) == duration_fault(text, longest=86400) == fault


@pytest.mark.parametrize(
    "text",
    [
        "a" * 253,
        f"{'a' * 60}." * 4 + "bb",
        f"{'a' * 60}." * 4 + "bbb",
        "api.example.com",
        "a",
        "1",
        "cert-api.example.com",
    ],
)
def test_credentials_are_names_of_secrets(text: str) -> None:
    assert bool(CREDENTIAL.fault(text)) is (len(text) > 246)
    assert (
        CREDENTIAL.fault("api-cacert")
        == "'api-cacert' ends in -cacert, by which istiod knows the CA of clients"
    )


@pytest.mark.parametrize(("text", "good"), [
    ("/a~b", True), ("/a%20b", True), ("/a%2Fb", True), ("/%C3%A4", True), ("/a%25", True),
    ("/%7Ejoe", False), ("/%7ejoe", False), ("/%41", False), ("/%2e%2e/x", False), ("/a%2D", False), ("/%5f", False), ("/%30", False),
    ("/a%", False), ("/a%2", False), ("/a%zz", False), ("/a%u1234", False),
])  # fmt: skip
def test_paths_are_written_as_proxies_compare_them(text: str, good: bool) -> None:
    assert (PATH.fault(text) == "") is good
    assert (POLICY_PATH.fault(text) == "") is good
    assert (POLICY_PATH.fault(f"{text}/*") == "") is good


def test_a_needless_encoding_says_how_to_write_it() -> None:
    assert PATH.fault("/%7Ejoe") == "'/%7Ejoe' writes '~' as %7E, which proxies decode before they compare"


@pytest.mark.parametrize(("text", "good"), [
    ("app", True), ("app.kubernetes.io/name", True), ("a.b/C_d.e-f", True), ("a" * 63, True), ("a" * 64, False),
    ("a..b/x", False), ("-a/x", False), ("a.-b/x", False), ("A/x", False), ("/x", False), ("a/", False), ("a/b/c", False),
    (f"{'a' * 63}.{'b' * 63}/x", True), (f"{'.'.join(['a' * 63] * 4)}/x", False), ("app\n", False), ("a\n/x", False),
])  # fmt: skip
def test_keys_of_labels(text: str, good: bool) -> None:
    """apimachinery IsQualifiedName: an optional DNS subdomain, a slash, a name."""
    assert (label_key_fault(text) == "") is good


NAMED: list[tuple[Check, str]] = [
    (LABEL, "a-b"), (HOST, "a.example.com"), (WILDCARD_HOST, "*.example.com"), (SERVICE_ACCOUNT, "a.b"), (CREDENTIAL, "a.b"),
    (WORKLOAD, "a.b"), (PATH, "/a"), (POLICY_PATH, "/a/*"), (PRINCIPAL, "td/ns/a/sa/b"), (HEADER, "x-a"), (QUANTITY, "1Mi"),
    (DURATION, "1s"), (EGRESS_HOST, "a/b.example.com"), (Check("label-value", label_value_fault), "a_B.c"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "good"), NAMED, ids=[f"{check.rule}-{good}" for check, good in NAMED])
def test_nothing_hides_at_the_ends_of_a_value(check: Check, good: str) -> None:
    assert check.fault(good) == ""
    for bad in (
        f"{good}\n",
        f"\n{good}",
        f"{good}\r\n",
        f"{good} ",
        f"{good}\x00",
        f"{good}\u200b",
        f"{good}\N{CYRILLIC SMALL LETTER A}",
    ):
        assert check.fault(bad), bad


@pytest.mark.parametrize(
    "text", ["\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT THREE}", "", "-1", "1\n", "1.0"]
)
def test_numbers_are_rows_of_ascii_digits(text: str) -> None:
    assert not is_number(text)
    assert is_number("0123456789")
