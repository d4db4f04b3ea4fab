# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a rollout as data: what a run has done, is doing, and is asked to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...errors import MeshError

SCHEMA = 1

ACTIVE = ("running", "promoting", "rolling_back", "holding")

WAITING = ("awaiting_approval", "paused")

MAX_BYTES = 900_000  # etcd refuses 1.5 MiB, and a ConfigMap's data may have 1 MiB


class JournalError(MeshError):
    """A journal that cannot be read: nobody may guess what a dead run was doing."""


def parse_journal(text: str, name: str = "journal") -> dict[str, Any]:
    """The state of a journal's JSON.

    :raises JournalError: no JSON object, or of a schema that this version does not know.
    """
    try:
        state = json.loads(text)
    except ValueError as error:
        raise JournalError(f"ConfigMap {name} holds no readable journal: {error}") from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise JournalError(f"ConfigMap {name} holds a journal of an unknown schema")
    return state


def shortened(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state within a ConfigMap's size: neighbouring windows of one phase are added up, which keeps every
    count and only makes the strata of the tests coarser."""
    short = dict(state)
    while len(json.dumps(short)) > MAX_BYTES and len(short.get("windows") or []) > 20:
        merged: list[dict[str, Any]] = []
        for window in short["windows"]:
            last = merged[-1] if merged else None
            if last and last["phase"] == window["phase"] and not last.get("full"):
                merged[-1] = {**_added(last, window), "full": True}
            else:
                merged.append(window)
        if len(merged) == len(short["windows"]):
            break
        short["windows"] = [{k: v for k, v in window.items() if k != "full"} for window in merged]
    return short


def _added(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    counts = {
        gate: [
            a + b for a, b in zip(left["counts"][gate], right["counts"].get(gate, [0, 0, 0, 0]), strict=True)
        ]
        for gate in left["counts"]
    }
    return {**left, "end": right["end"], "counts": counts}
