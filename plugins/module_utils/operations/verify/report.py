# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict as a file: JSON for programs, JUnit XML for CI systems."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from ...errors import InputError, MeshError, Problem
from ...verdicts import CANNOT_TELL, FAIL
from .findings import NOT_TESTED, STATED, Findings, count

FORMATS = {".json": "json", ".xml": "junit"}


def check_path(path: str) -> None:
    """:raises InputError: a name from which the format cannot be told, or a directory that does not
    exist."""
    if Path(path).suffix not in FORMATS:
        problem = f"{path!r} ends neither in .json nor in .xml (JUnit)"
    elif not Path(path).expanduser().parent.is_dir():
        problem = f"the directory of {path!r} does not exist"
    else:
        return
    raise InputError([Problem("report_path", problem, "report-path")])


def write_report(path: str, findings: Findings, name: str) -> None:
    """Writes the report whole or not at all.

    :param name: the mesh, as title. :raises MeshError: the file cannot be written.
    """
    target = Path(path).expanduser()
    text = as_json(findings, name) if FORMATS[target.suffix] == "json" else as_junit(findings, name)
    try:
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(partial).chmod(0o644)
        Path(partial).replace(target)
    except OSError as error:
        raise MeshError(f"the report {path} could not be written: {error.strerror}") from error


def as_json(findings: Findings, name: str) -> str:
    """``{mesh, status, checks, findings}``."""
    record = {
        "mesh": name,
        "status": findings.status,
        "checks": findings.checks(),
        "findings": [finding.as_dict() for finding in findings.findings],
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def as_junit(findings: Findings, name: str) -> str:
    """One test case per finding: a fail is a ``failure``, "cannot tell" an ``error``, no pass and no skip;
    skipped is what the catalogue leaves nobody to test."""
    numbers = count(findings.findings)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuite name={quoteattr(f'mesh {name}')} tests={quoteattr(str(len(findings.findings)))}"
        f' failures="{numbers[FAIL]}" errors="{numbers[CANNOT_TELL]}" skipped="{numbers[NOT_TESTED]}">',
    ]
    for finding in findings.findings:
        case = f"  <testcase classname={quoteattr(finding.check)} name={quoteattr(_clean(finding.subject))}"
        message = _clean(finding.message)
        if finding.verdict == FAIL:
            lines.append(f"{case}><failure message={quoteattr(message)}/></testcase>")
        elif finding.verdict == CANNOT_TELL:
            lines.append(f"{case}><error message={quoteattr(message)}/></testcase>")
        elif finding.verdict == NOT_TESTED:
            lines.append(f"{case}><skipped message={quoteattr(message)}/></testcase>")
        elif finding.verdict == STATED:
            lines.append(f"{case}><system-out>{escape(f'{STATED}: {message}')}</system-out></testcase>")
        else:
            lines.append(f"{case}><system-out>{escape(message)}</system-out></testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def _clean(text: str) -> str:
    """XML 1.0 has no way to write most control characters, and answers of services may hold them."""
    return "".join(char if char >= " " or char in "\t\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
