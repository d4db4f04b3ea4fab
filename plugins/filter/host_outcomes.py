# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each cluster of a play fared, also those that failed: ``host_outcomes``, ``outcome_table`` and
``failing_outcomes``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.servicemesh.istio.plugins.filter.typed import typed
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import nearest

_SENTENCES = ("headline", "reason", "summary", "outcome")
_LONGEST = 160
_COLUMNS = ("cluster", "outcome", "what was said")
FAILING = ("failed", "unreachable")
"""Outcomes that may make a run end with an error."""


def host_outcomes(
    hosts: Sequence[str], variables: Mapping[str, Any], result: str, play: str
) -> dict[str, Any]:
    """How each host fared in a play. See the filter's documentation.

    :returns: host -> ``outcome`` (``ok``, ``changed``, ``failed``, ``unreachable``, ``not run``), ``said``.
    """
    return {host: _outcome(variables[host], result, play) for host in hosts}


def _outcome(variables: Any, result: str, play: str) -> dict[str, str]:
    found = _mapping(variables.get(result))
    failure = _mapping(_mapping(variables.get("__mesh_failures")).get(play))
    if found.get("unreachable") or failure.get("unreachable"):
        told = found if found.get("unreachable") else failure
        return {"outcome": "unreachable", "said": _sentence(told.get("msg"))}
    if failure:
        # No answer at all is one thing, an answer that refuses another: the first may pass by itself.
        silent = failure.get("reason") == "Unreachable"
        return {"outcome": "unreachable" if silent else "failed", "said": _sentence(failure.get("msg"))}
    if not found:
        return {"outcome": "not run", "said": ""}
    said = next((found[name] for name in _SENTENCES if found.get(name)), "")
    if not said:
        counts = _mapping(found.get("counts"))
        said = ", ".join(f"{number} {str(what).replace('_', ' ')}" for what, number in counts.items())
    return {"outcome": "changed" if found.get("changed") else "ok", "said": _sentence(said)}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sentence(value: Any) -> str:
    """One line of what a result says. :returns: "" where it says nothing."""
    if isinstance(value, (list, tuple)):
        value = value[0] if value else ""
    text = " ".join(str(value or "").split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def outcome_table(outcomes: Mapping[str, Any]) -> list[str]:
    """What ``host_outcomes`` returned, as lines of a table with a count below it.

    :returns: the lines.
    """
    rows = [_COLUMNS, *((host, one["outcome"], one["said"]) for host, one in outcomes.items())]
    widths = [max(len(str(row[column])) for row in rows) for column in (0, 1)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip() for row in rows]
    counts: dict[str, int] = {}
    for one in outcomes.values():
        counts[one["outcome"]] = counts.get(one["outcome"], 0) + 1
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())) or "none"
    noun = "cluster" if len(outcomes) == 1 else "clusters"
    return [*lines, f"{len(outcomes)} {noun}: {told}"]


def failing_outcomes(value: Any, name: str = "mesh_hosts_fail_on") -> list[str]:
    """The outcomes that make a run end with an error, from a list or its text.

    :returns: the names. :raises AnsibleFilterError: one of them is no outcome that fails.
    """
    found: list[str] = typed(value, "list", name, "str") or []
    for one in found:
        if one not in FAILING:
            raise AnsibleFilterError(
                f"{name}: {one!r} is no outcome that fails{nearest(one, FAILING)}; "
                f"known are {', '.join(FAILING)}"
            )
    return found


class FilterModule:
    """Registers the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """:returns: name of the filter -> function."""
        return {
            "host_outcomes": host_outcomes,
            "outcome_table": outcome_table,
            "failing_outcomes": failing_outcomes,
        }
