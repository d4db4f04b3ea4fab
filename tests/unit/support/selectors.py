"""Label and field selectors, as ``k8s.io/apimachinery/pkg/labels`` and ``pkg/fields`` read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<word>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^=!\s]+)\s*(?P<sign>==|!=|=)\s*(?P<value>\S*)$")


def labels_match(labels: Mapping[str, str], selector: str | None) -> bool:
    """Whether all terms hold. :raises ValueError: for what the API server answers with 400."""
    return all(_term(labels, term.strip()) for term in re.split(r",(?![^(]*\))", selector or "") if term)


def _term(labels: Mapping[str, str], term: str) -> bool:
    if found := _SET.match(term):
        inside = labels.get(found["key"]) in [value.strip() for value in found["values"].split(",")]
        return inside if found["word"] == "in" else not inside
    if found := _EQUAL.match(term):
        equal = labels.get(found["key"]) == found["value"]
        return not equal if found["sign"] == "!=" else equal
    if re.fullmatch(r"!?[\w./-]+", term):
        return (term.lstrip("!") in labels) != term.startswith("!")
    raise ValueError(f"unable to parse requirement: {term}")


def fields_match(obj: Mapping[str, Any], selector: str | None) -> bool:
    """Whether all terms such as ``metadata.name=web`` or ``status.phase!=Running`` hold."""
    for term in (selector or "").split(","):
        if not term:
            continue
        found = _EQUAL.match(term.strip())
        if found is None:
            raise ValueError(f"invalid selector: {term}")
        value: Any = obj
        for part in found["key"].split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if ((value or "") == found["value"]) == (found["sign"] == "!="):
            return False
    return True
