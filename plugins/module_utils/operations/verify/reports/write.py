# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict as a file: JSON for programs, JUnit XML for CI systems, SARIF for dashboards, and a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....documents.junit import ERROR, FAILURE, SKIPPED, JunitCase, junit
from ....documents.report_json import report_json
from ....errors import InputError, Problem
from ....files import missing_directory
from ....files import write_report as write_file
from ....model.catalogue.mesh import Catalogue
from ....verdicts import CANNOT_TELL, FAIL
from ..findings import BESIDE, NOT_TESTED, STATED, Finding, Findings
from .page import page
from .record import Circumstances, digest, record_of
from .sarif import sarif

_OUTCOMES = {FAIL: FAILURE, CANNOT_TELL: ERROR, NOT_TESTED: SKIPPED}
FORMATS = (".json", ".xml", ".sarif", ".html")


def check_path(path: str) -> None:
    """:raises InputError: a name from which the format cannot be told, or a directory that does not
    exist."""
    if Path(path).suffix not in FORMATS:
        problem = f"{path!r} ends in none of .json, .xml (JUnit), .sarif and .html"
    else:
        problem = missing_directory(path)
    if problem:
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
    facts = {
        "time": circumstances.time,
        "cluster": circumstances.cluster or "not known",
        "versions": f"Kubernetes {circumstances.server}, Istio {', '.join(circumstances.versions)}",
        "catalogue SHA-256": digest(raw),
    }
    match Path(path).suffix:
        case ".json":
            record = record_of(findings, catalogue, raw, circumstances, previous)
            text = report_json(record)
        case ".xml":
            text = as_junit(findings, catalogue.name)
        case ".sarif":
            text = report_json(sarif(findings, catalogue.name))
        case _:
            text = page(findings, catalogue, facts)
    write_file(path, text)


def as_junit(findings: Findings, name: str) -> str:
    """One test case per finding: a fail is a ``failure``, "cannot tell" an ``error``, no pass and no skip;
    skipped is what the catalogue leaves nobody to test."""
    return junit(f"mesh {name}", [_case(finding) for finding in findings.findings])


def _case(finding: Finding) -> JunitCase:
    noted = finding.verdict in (STATED, BESIDE)
    message = f"{finding.verdict}: {finding.message}" if noted else finding.message
    return JunitCase(finding.check, finding.subject, _OUTCOMES.get(finding.verdict, ""), message)
