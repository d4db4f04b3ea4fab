# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer as files: JSON with everything, and a page for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...documents.report_json import report_json
from ...files import write_report
from ...model.observe.page import as_html
from ...model.observe.report import Report


def write_reports(paths: Sequence[str], report: Report) -> None:
    """Writes each report whole or not at all. :raises MeshError: a file cannot be written."""
    for path in paths:
        write_report(path, _FORMATS[Path(path).suffix](report))


def as_json(report: Report) -> str:
    """The whole answer: what module ``mesh_info`` returns, without cuts."""
    record = {
        "mesh": report.mesh,
        "time": report.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "status": report.status,
        "headline": report.headline,
        "untold": report.untold,
        **report.parts(None),
    }
    return report_json(record)


_FORMATS: Mapping[str, Callable[[Report], str]] = {".json": as_json, ".html": as_html}
