# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a diagnosis tells of a problem, word for word, as `told.txt` holds it.

When a text changes on purpose: `DIAGNOSE_TOLD=write` in the environment writes the file anew, to be read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import backend

from .healthy_mesh import Healthy, diagnose

FILE = Path(__file__).with_name("told.txt")


def lines_of(result: dict[str, Any], weights: list[int]) -> list[str]:
    """A result in lines. :returns: status, each cause with its evidence and remedy, and what is unknown."""
    lines = [f"{result['status']}: {result['cause']}"]
    for one, weight in zip(result["causes"], weights, strict=True):
        lines.append(
            f"{one['rank']}. {one['likelihood']} ({weight}), {one['family']}: {one['object']}: {one['cause']}"
        )
        lines += [f"   seen: {text}" for text in one["evidence"]]
        lines.append(f"   mend: {one['remedy']}")
    lines += [f"unknown, {one['family']}: {one['what']}: {one['why']}" for one in result["unknown"]]
    return lines


def _held() -> dict[str, list[str]]:
    held: dict[str, list[str]] = {}
    for block in FILE.read_text(encoding="utf-8").split("\n\n") if FILE.exists() else ():
        name, *lines = block.strip("\n").split("\n")
        held[name.removeprefix("# ")] = lines
    return held


HELD = _held()


def check(name: str, plant: Any, symptom: dict[str, str]) -> dict[str, Any]:
    """Diagnoses, and compares all that is told with what the file holds. :returns: the result."""
    cluster = Healthy()
    plant(cluster)
    with mock.patch.object(backend, "told", wraps=backend.told) as told:
        result = diagnose(cluster, **symptom)
    causes = backend.told(*told.call_args.args, **told.call_args.kwargs) if told.called else []
    lines = lines_of(result, [cause.weight for cause in causes])
    if os.environ.get("DIAGNOSE_TOLD") == "write":
        HELD[name] = lines
        FILE.write_text(
            "\n\n".join("\n".join([f"# {one}", *text]) for one, text in HELD.items()) + "\n", encoding="utf-8"
        )
    assert lines == HELD[name]
    return result
