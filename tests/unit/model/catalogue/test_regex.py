"""Expressions that RE2 takes, and those that it refuses or that we leave out to stay on the safe side."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.regex import regex_fault

GOOD = [
    "v[0-9]+",
    "(a|b)c?",
    r"\d{1,3}",
    "^x.*$",
    "(?:ab)+",
    r"a\.b\+c",
    "[^;]*",
    "a{2,}",
    "[-a-z_]",
    r"[\d\s]",
    "a{0}",
    "((a{30}){30})",
]
BAD = [
    "a(?=b)",
    "a(?!b)",
    "(?<=a)b",
    r"(a)\1",
    "(?P<n>a)(?P=n)",
    "a++",
    "a*+",
    "(?>a)",
    "a{1001}",
    "((a{40}){40})",
    "(a",
    "a)",
    "[a",
    "*a",
    "a\nb",
    "ä",
    "",
    "a" * 1025,
    r"\A",
    r"\p{L}",
    r"\Qa\E",
    "[]a]",
    r"[\b]",
    "[[:alpha:]]",
    "a{2}+",
]


@pytest.mark.parametrize("text", GOOD)
def test_accepted(text: str) -> None:
    assert regex_fault(text) == ""


@pytest.mark.parametrize("text", BAD)
def test_refused(text: str) -> None:
    assert regex_fault(text)
