# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has changed since the last report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....documents.json_text import from_json
from ....errors import InputError, Problem
from ....files import at_home
from ....verdicts import CANNOT_TELL, FAIL
from ....words import some_of
from .record import is_whole

OPENS = ": opens "


def read_report(path: str, option: str) -> dict[str, Any] | None:
    """A JSON report. :returns: its record, ``None`` when there is no such file.

    :param option: that named the file.
    :raises InputError: it cannot be read, is no report, or was changed by hand.
    """
    try:
        text = at_home(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(option, path, "cannot be read") from error
    try:
        record = from_json(text)
    except ValueError as error:
        raise _refused(option, path, "is no JSON") from error
    if not isinstance(record, dict) or not isinstance(record.get("findings"), list):
        raise _refused(option, path, "is no report of verify")
    if not is_whole(record):
        raise _refused(option, path, "is not as verify wrote it (its sha256 is another one); move it away")
    return record


def _refused(option: str, path: str, why: str) -> InputError:
    return InputError([Problem(option, f"the report {path} {why}", "report")])


def compared(previous: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The changes from one record to the next.

    :returns: ``since`` (the time of the first), ``opened`` and ``closed`` (cells that live policies let in
        and the catalogue does not), ``new`` and ``gone`` (problems), ``rules_added`` and ``rules_removed``
        (of the catalogue), ``objects_changed`` (ids), ``other`` (what else is not the same: mesh, cluster).
    """
    before, after = _problems(previous), _problems(record)
    rules = {str(rule) for rule in previous.get("rules") or ()}, {str(rule) for rule in record["rules"]}
    objects: Mapping[str, Any] = previous.get("objects") or {}
    live: Mapping[str, Any] = record["objects"]
    return {
        "since": str(previous.get("time", "")),
        "opened": _opened(after) - _opened({name: after[name] for name in after if name in before}),
        "closed": _opened({name: before[name] for name in before if name not in after}),
        "new": [name for name in after if name not in before],
        "gone": [name for name in before if name not in after],
        "rules_added": sorted(rules[1] - rules[0]),
        "rules_removed": sorted(rules[0] - rules[1]),
        "objects_changed": sorted(name for name in {*objects, *live} if objects.get(name) != live.get(name)),
        "other": [key for key in ("mesh", "cluster") if previous.get(key) != record[key]],
    }


def told(changes: Mapping[str, Any]) -> str:
    """The changes as one line."""
    parts = [f"{changes['opened']} cells opened"] if changes["opened"] else []
    parts += [f"{changes['closed']} cells closed"] if changes["closed"] else []
    parts += [_listed(changes["new"], "new problem"), _listed(changes["gone"], "problem", end="gone")]
    parts += [_listed(changes["rules_added"], "rule", end="added")]
    parts += [_listed(changes["rules_removed"], "rule", end="removed")]
    number = len(changes["objects_changed"])
    parts += [f"{number} objects written"] if number else []
    parts += [f"another {key}" for key in changes["other"]]
    what = "; ".join(part for part in parts if part) or "nothing changed"
    return f"since {changes['since'][:10] or 'the last report'}: {what}"


def _listed(names: Sequence[str], what: str, end: str = "") -> str:
    if not names:
        return ""
    many = f"{len(names)} {what}{'s' if len(names) > 1 else ''}{f' {end}' if end else ''}"
    return f"{many} ({some_of(names)})"


def _problems(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Findings that did not pass, by what they are about; the words of one may differ from run to run."""
    found: dict[str, Mapping[str, Any]] = {}
    for item in record["findings"]:
        if isinstance(item, dict) and item.get("verdict") in (FAIL, CANNOT_TELL):
            found.setdefault(f"{item.get('check')} {item.get('subject')}: {item.get('verdict')}", item)
    return found


def _opened(problems: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(
        int(item.get("cells") or 0)
        for item in problems.values()
        if item.get("check") == "policies" and f": {item.get('message')}".find(OPENS) >= 0
    )
