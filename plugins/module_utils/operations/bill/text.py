# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bill as a person reads it: what to fetch, from where, and which variable then names the mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def text_of(bill: Mapping[str, Any]) -> list[str]:
    """The lines of a bill.

    :param bill: the result of the backend: ``images``, ``charts``, ``programs`` and ``manifests``.
    :returns: a section for each, with its count; what has no sha256 says so.
    """
    lines = [f"Istio {bill['istio']} by {bill['method']}"]
    lines += _section(
        "images", [(one["image"], ", ".join(one["used_by"]), _by(one)) for one in bill["images"]]
    )
    for name in ("charts", "programs", "manifests"):
        lines += _section(
            name,
            [
                (f"{one['name']} {one['version']}".strip(), one["source"], _sum(one), _by(one))
                for one in bill[name]
            ],
        )
    return lines


def _by(one: Mapping[str, Any]) -> str:
    return f"mirror: {', '.join(one['variables'])}" if one.get("variables") else ""


def _sum(one: Mapping[str, Any]) -> str:
    return f"sha256:{one['sha256']}" if one["sha256"] else "no sha256"


def _section(name: str, rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [
        max((len(row[column]) for row in rows), default=0) for column in range(len(rows[0]) if rows else 0)
    ]
    lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)) for row in rows]
    return [f"{name} ({len(rows)})", *(f"  {line}".rstrip() for line in lines)]
