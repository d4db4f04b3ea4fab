# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict as a file: JSON for programs, JUnit XML for CI systems, SARIF for dashboards, and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ...errors import InputError, MeshError, Problem
from ...files import write_whole
from ...model.catalogue.mesh import Catalogue
from ...verdicts import CANNOT_TELL, FAIL
from .findings import BESIDE, NOT_TESTED, STATED, Findings, count
from .report_page import page
from .report_record import Circumstances, digest, record_of
from .report_sarif import sarif

FORMATS = (".json", ".xml", ".sarif", ".html")


def check_path(path: str) -> None:
    """:raises InputError: a name from which the format cannot be told, or a directory that does not
    exist."""
    if Path(path).suffix not in FORMATS:
        problem = f"{path!r} ends in none of .json, .xml (JUnit), .sarif and .html"
    elif not Path(path).expanduser().parent.is_dir():
        problem = f"the directory of {path!r} does not exist"
    else:
        return
    raise InputError([Problem("report_path", problem, "report-path")])


def write_report(
    path: str,
    findings: Findings,
    catalogue: Catalogue,
    raw: Mapping[str, Any],
    circumstances: Circumstances,
    previous: Mapping[str, Any] | None = None,
) -> None:
    """Writes the report whole or not at all.

    :param raw: the catalogue as it was given; its digest says which one was verified.
    :param previous: the record of the last report. :raises MeshError: the file cannot be written.
    """
    target = Path(path).expanduser()
    facts = {
        "time": circumstances.time,
        "cluster": circumstances.cluster or "not known",
        "versions": f"Kubernetes {circumstances.server}, Istio {', '.join(circumstances.versions)}",
        "catalogue SHA-256": digest(raw),
    }
    match target.suffix:
        case ".json":
            record = record_of(findings, catalogue, raw, circumstances, previous)
            text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        case ".xml":
            text = as_junit(findings, catalogue.name)
        case ".sarif":
            text = json.dumps(sarif(findings, catalogue.name), indent=2, ensure_ascii=False) + "\n"
        case _:
            text = page(findings, catalogue, facts)
    try:
        write_whole(target, text)
    except OSError as error:
        raise MeshError(f"the report {path} could not be written: {error.strerror}") from error


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
        elif finding.verdict in (STATED, BESIDE):
            told = escape(f"{finding.verdict}: {message}")
            lines.append(f"{case}><system-out>{told}</system-out></testcase>")
        else:
            lines.append(f"{case}><system-out>{escape(message)}</system-out></testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def _clean(text: str) -> str:
    """XML 1.0 has no way to write most control characters, and answers of services may hold them."""
    return "".join(char if char >= " " or char in "\t\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
