"""JUnit XML: counts, and texts that XML cannot hold as they are."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ansible_collections.servicemesh.istio.plugins.module_utils.documents import junit


def test_cases_are_counted_by_outcome() -> None:
    cases = [
        junit.JunitCase("a", "one", "", "fine & <well>"),
        junit.JunitCase("a", "two", junit.FAILURE, "bad", "due"),
        junit.JunitCase("b", "three", junit.ERROR, "unclear"),
        junit.JunitCase("b", "four", junit.SKIPPED, "later"),
    ]
    suite = ET.fromstring(junit.junit("mesh", cases))  # noqa: S314  # our own text
    assert suite.attrib == {"name": "mesh", "tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    found = [(case.get("classname"), case.get("name"), case[0].tag, case[0].attrib) for case in suite]
    assert found == [
        ("a", "one", "system-out", {}),
        ("a", "two", "failure", {"type": "due", "message": "bad"}),
        ("b", "three", "error", {"message": "unclear"}),
        ("b", "four", "skipped", {"message": "later"}),
    ]
    assert suite[0][0].text == "fine & <well>"


def test_what_xml_cannot_hold_is_replaced_everywhere() -> None:
    for text in ("\x00", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"):
        cases = [junit.JunitCase(text, text, outcome, text, text) for outcome in ("", junit.FAILURE)]
        suite = ET.fromstring(junit.junit(text, cases))  # noqa: S314  # our own text
        assert suite.get("name") == suite[0].get("name") == suite[0][0].text == "\N{REPLACEMENT CHARACTER}"
    assert junit.clean("a\tb\nc\rd\u20ac\U0001f600") == "a\tb\nc\rd\u20ac\U0001f600"
