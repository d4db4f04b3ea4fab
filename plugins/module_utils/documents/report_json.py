# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as a JSON file: programs read it, and so do people and ``diff``."""

from __future__ import annotations

import json
from typing import Any


def report_json(record: Any) -> str:
    """The record line by line, indented by two, letters as they are, and a line break at its end."""
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
