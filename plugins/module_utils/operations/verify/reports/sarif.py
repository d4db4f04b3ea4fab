# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verification as SARIF 2.1.0, for code scanning and dashboards.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/. A pass is ``kind: pass``, "cannot tell" is
``review``.
"""

from __future__ import annotations

from typing import Any

from ....labels import COLLECTION
from ....verdicts import CANNOT_TELL, FAIL, PASS
from ..findings import BESIDE, NOT_TESTED, STATED, TITLES, Finding, Findings

_KIND = {
    PASS: "pass",
    FAIL: "fail",
    CANNOT_TELL: "review",
    STATED: "informational",
    BESIDE: "informational",
    NOT_TESTED: "notApplicable",
}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Findings, name: str) -> dict[str, Any]:
    """The log. :param name: the mesh. :returns: a SARIF log with one run and one result per finding."""
    rules = [{"id": check, "shortDescription": {"text": title}} for check, title in TITLES.items()]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": COLLECTION, "rules": rules}},
                "automationDetails": {"id": f"verify/{name}"},
                "results": [_result(finding) for finding in findings.findings],
            }
        ],
    }


def _result(finding: Finding) -> dict[str, Any]:
    subject = finding.subject or "everything"
    return {
        "ruleId": finding.check,
        "kind": _KIND[finding.verdict],
        "level": "error" if finding.verdict == FAIL else "none",
        "message": {"text": f"{subject}: {finding.message}"},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": subject, "kind": "resource"}]}],
    }
