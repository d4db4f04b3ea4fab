# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The finds as files: JSON, JUnit XML, a textfile for Prometheus, and a page."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...documents.junit import ERROR, FAILURE, JunitCase, junit
from ...documents.report_json import report_json
from ...errors import InputError
from ...files import report_problems, write_report
from ...model.certificates.trust import (
    DUE,
    END_METRIC,
    LOOKED_METRIC,
    ORDER,
    SHARE_METRIC,
    VERDICTS_METRIC,
    TrustEntry,
    share_left,
)
from ...model.certificates.x509 import rfc3339
from ...verdicts import CANNOT_TELL, FAIL
from .page import as_html

Result = Mapping[str, Any]


def check_paths(paths: Sequence[str]) -> None:
    """:raises InputError: a name that tells no format, a directory that does not exist, or one name twice."""
    if problems := report_problems(paths, FORMATS, "trust_report_path"):
        raise InputError(problems)


def write_reports(
    paths: Sequence[str], mesh: str, entries: Sequence[TrustEntry], result: Result, now: datetime.datetime
) -> None:
    """Writes each report whole or not at all. :raises MeshError: a file cannot be written."""
    for path in paths:
        write_report(path, FORMATS[Path(path).suffix](mesh, entries, result, now))


def as_json(mesh: str, entries: Sequence[TrustEntry], result: Result, now: datetime.datetime) -> str:
    """``{mesh, time, status, headline, counts, entries}``."""
    record = {
        "mesh": mesh,
        "time": rfc3339(now),
        **{key: result[key] for key in ("status", "headline", "counts")},
        "entries": [entry.as_result(now) for entry in entries],
    }
    return report_json(record)


def as_junit(mesh: str, entries: Sequence[TrustEntry], _result: Result, _now: datetime.datetime) -> str:
    """One test case per entry: fail and due are failures, "cannot tell" an error, no pass and no skip."""
    return junit(f"trust of mesh {mesh}", [_case(entry) for entry in entries])


def _case(entry: TrustEntry) -> JunitCase:
    name = f"{entry.where} {entry.part}".strip()
    message = "; ".join(reason.message for reason in entry.reasons)
    if entry.verdict in (FAIL, DUE):
        return JunitCase(entry.kind, name, FAILURE, message, entry.verdict)
    if entry.verdict == CANNOT_TELL:
        return JunitCase(entry.kind, name, ERROR, message)
    end = entry.life.not_after.strftime("%Y-%m-%d %H:%M UTC") if entry.life else ""
    return JunitCase(entry.kind, name, "", f"valid until {end}")


def as_textfile(mesh: str, entries: Sequence[TrustEntry], _result: Result, now: datetime.datetime) -> str:
    """For node_exporter's textfile collector: ends as timestamps, so that an alert needs no fresh file."""
    end, share, verdicts, looked = END_METRIC, SHARE_METRIC, VERDICTS_METRIC, LOOKED_METRIC
    labelled = [(_labels(mesh, entry), entry.life) for entry in entries]
    lines = [f"# HELP {end} When the certificate ends.", f"# TYPE {end} gauge"]
    lines += [f"{end}{labels} {life.not_after.timestamp():.0f}" for labels, life in labelled if life]
    lines += [f"# HELP {share} Share of its life that is left, 1 to 0.", f"# TYPE {share} gauge"]
    lines += [f"{share}{labels} {share_left(life, now):.5f}" for labels, life in labelled if life]
    lines += [f"# HELP {verdicts} Entries by verdict.", f"# TYPE {verdicts} gauge"]
    for verdict in ORDER:
        count = sum(entry.verdict == verdict for entry in entries)
        lines.append(f'{verdicts}{{mesh="{_quoted(mesh)}",verdict="{verdict}"}} {count}')
    lines += [f"# HELP {looked} When this was written.", f"# TYPE {looked} gauge"]
    lines.append(f'{looked}{{mesh="{_quoted(mesh)}"}} {now.timestamp():.0f}')
    return "\n".join([*lines, ""])


def _labels(mesh: str, entry: TrustEntry) -> str:
    named = {"mesh": mesh, "kind": entry.kind, "where": entry.where, "part": entry.part}
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in named.items()) + "}"


def _quoted(text: str) -> str:
    """As the exposition format wants label values."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


FORMATS: Mapping[str, Callable[[str, Sequence[TrustEntry], Result, datetime.datetime], str]] = {
    ".json": as_json,
    ".xml": as_junit,
    ".prom": as_textfile,
    ".html": as_html,
}
