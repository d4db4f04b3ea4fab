# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where services stand in the picture of a mesh: callers to the left, what they call to the right. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

MOST_COLUMNS = 6
MOST_ROWS = 48
_SWEEPS = 6


@dataclasses.dataclass(frozen=True, slots=True)
class GridPlace:
    """Column and row of a service, both from 0. ``rows``: how many its column has."""

    column: int
    row: int
    rows: int


def places(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, GridPlace]:
    """A place for each node: its column by the fewest calls from a service that nobody calls, its row such
    that lines cross little.

    :param edges: caller and called, both among ``nodes``. :returns: node -> place.
    """
    columns = _columns(nodes, edges)
    order: dict[int, list[str]] = {}
    for node in nodes:
        order.setdefault(columns[node], []).append(node)
    neighbours: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        if source != target:
            neighbours[source].append(target)
            neighbours[target].append(source)
    for sweep in range(_SWEEPS):
        ranks = {node: _middle(row, len(found)) for found in order.values() for row, node in enumerate(found)}
        for column in sorted(order, reverse=bool(sweep % 2)):
            order[column] = sorted(
                order[column], key=lambda node: (_mean(neighbours[node], ranks, ranks[node]), node)
            )
            size = len(order[column])
            ranks |= {node: _middle(row, size) for row, node in enumerate(order[column])}
    return {
        node: GridPlace(column, row, len(found))
        for column, found in enumerate(_wrapped([order[column] for column in sorted(order)]))
        for row, node in enumerate(found)
    }


def _wrapped(columns: Sequence[list[str]]) -> list[list[str]]:
    """Columns that are no longer than ``MOST_ROWS``: a longer one stands in several beside each other."""
    found = []
    for nodes in columns:
        parts = -(-len(nodes) // MOST_ROWS)
        size = -(-len(nodes) // parts)
        found += [nodes[start : start + size] for start in range(0, len(nodes), size)]
    return found


def _middle(row: int, rows: int) -> float:
    """The height of a row in its column, from 0 to 1: columns of different lengths stand centred."""
    return (row + 0.5) / rows


def _mean(nodes: Sequence[str], ranks: Mapping[str, float], own: float) -> float:
    return sum(ranks[node] for node in nodes) / len(nodes) if nodes else own


def _columns(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    called: dict[str, list[str]] = {node: [] for node in nodes}
    callers = dict.fromkeys(nodes, 0)
    for source, target in edges:
        if source != target:
            called[source].append(target)
            callers[target] += 1
    depth: dict[str, int] = {}
    # Who is called by nobody comes first; of a circle that nobody enters, the one that calls most.
    for start in sorted(nodes, key=lambda node: (callers[node] > 0, -len(called[node]), node)):
        if start not in depth:
            _spread(start, called, depth)
    deepest = max(depth.values(), default=0)
    if deepest < MOST_COLUMNS:
        return depth
    return {node: level * (MOST_COLUMNS - 1) // deepest for node, level in depth.items()}


def _spread(start: str, called: Mapping[str, Sequence[str]], depth: dict[str, int]) -> None:
    """The fewest calls from ``start``, where that is less than what is known."""
    depth[start] = 0
    level = [start]
    while level:
        following = []
        for node in level:
            for target in called[node]:
                if depth.get(target, depth[node] + 2) > depth[node] + 1:
                    depth[target] = depth[node] + 1
                    following.append(target)
        level = following
