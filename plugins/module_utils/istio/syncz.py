# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istiod's own table of who is connected and what each proxy was sent and has taken.

A proxy that is up to date here may still lack your last write: istiod first waits (debounce) before it sends.
So this table finds absentees and refusals; that a change arrived is proved by content.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ..fields import mapping_at, text_at

_LEGACY = ("cluster", "listener", "route", "endpoint")


@dataclasses.dataclass(frozen=True, slots=True)
class SyncState:
    """One connected proxy.

    :param proxy: ``pod.namespace``. :param stale: types sent and not yet taken. :param refused: type and the
        proxy's own words, for the types whose latest version it refused.
    """

    proxy: str
    version: str
    stale: tuple[str, ...]
    refused: Mapping[str, str]


def parse_syncz(entries: Iterable[Mapping[str, Any]]) -> list[SyncState]:
    """The proxies of one istiod's ``/debug/syncz`` (istio pilot/pkg/xds/debug.go SyncStatus).

    :returns: one per proxy.
    """
    states = []
    for entry in entries:
        told = mapping_at(entry, "resources") or {
            name: {"sent": entry.get(f"{name}_sent"), "acked": entry.get(f"{name}_acked")} for name in _LEGACY
        }
        resources = {kind: mapping_at(told, kind) for kind in told}
        states.append(
            SyncState(
                proxy=text_at(entry, "proxy"),
                version=text_at(entry, "istio_version") or text_at(entry, "proxy_version"),
                stale=tuple(sorted(_short(kind) for kind, value in resources.items() if _is_stale(value))),
                refused={
                    _short(kind): str(value["lastError"])[:300]
                    for kind, value in sorted(resources.items())
                    if value.get("lastError")
                },
            )
        )
    return states


def union(tables: Iterable[Iterable[SyncState]]) -> dict[str, SyncState]:
    """One table out of those of all istiod pods: each knows only the proxies connected to it.

    A proxy that has just moved may stand in two; the one with less to complain about is the newer.

    :returns: ``pod.namespace`` -> its state.
    """
    merged: dict[str, SyncState] = {}
    for state in (state for table in tables for state in table):
        known = merged.get(state.proxy)
        if known is None or (len(state.stale), len(state.refused)) < (len(known.stale), len(known.refused)):
            merged[state.proxy] = state
    return merged


def _is_stale(value: Mapping[str, Any]) -> bool:
    return bool(value.get("sent")) and value.get("sent") != value.get("acked")


def _short(kind: str) -> str:
    """``Cluster`` of ``type.googleapis.com/envoy.config.cluster.v3.Cluster``."""
    return kind.rpartition(".")[2] or kind
