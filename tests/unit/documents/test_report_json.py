# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a report looks as a JSON file."""

from __future__ import annotations

from ansible_collections.servicemesh.istio.plugins.module_utils.documents.report_json import report_json


def test_a_report_is_read_by_people_too() -> None:
    assert report_json({"b": ["é", 1], "a": {}}) == '{\n  "b": [\n    "é",\n    1\n  ],\n  "a": {}\n}\n'
