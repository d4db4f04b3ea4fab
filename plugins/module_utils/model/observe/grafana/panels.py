# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Panels of Grafana, each as its dashboard model has it. Pure.

Source: Grafana's documentation (Dashboard JSON model; panels and visualizations). What is left out has
Grafana's own default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

Panel = dict[str, Any]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
"""The width of a dashboard."""
_REQUESTS, _SHARE, _TIME = "reqps", "percentunit", "ms"
UNITS = {"requests": _REQUESTS, "share": _SHARE, "time": _TIME, "days": "d", "seconds": "s", "count": "none"}
Steps = Sequence[tuple[str, Optional[float]]]  # noqa: UP045 - pylint of ansible-test takes no | here
CALM: Steps = (("green", None),)
FAILING: Steps = (("green", None), ("orange", 0.000_001), ("red", 0.05))
"""Of an error share, as the colours of the mesh's graph: none, up to 5 %, more."""


def stat(title: str, query: str, unit: str, steps: Steps = CALM, about: str = "") -> Panel:
    """One number. :param unit: a key of UNITS. :param steps: colour, and the value from which it holds."""
    return {
        **_panel("stat", title, [target("A", query)], about),
        "fieldConfig": {"defaults": _field(unit, steps), "overrides": []},
        "options": {
            "colorMode": "value",
            "graphMode": "area",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    }


def counts(title: str, query: str, legend: str, colours: Mapping[str, str], about: str = "") -> Panel:
    """One number for each series, in the colour of its name where there are any."""
    found = stat(title, "", "count", (("text", None),), about)
    found["targets"] = [target("A", query, legend)]
    found["options"]["graphMode"] = "none"
    found["fieldConfig"]["overrides"] = [
        _override(
            name,
            {
                "thresholds": {
                    "mode": "absolute",
                    "steps": [{"color": "text", "value": None}, {"color": colour, "value": 1}],
                }
            },
        )
        for name, colour in colours.items()
    ]
    return found


def graph(
    title: str, queries: Mapping[str, str], unit: str, about: str = "", *, stacked: bool = False
) -> Panel:
    """Lines over time. :param queries: legend -> query."""
    custom = {"fillOpacity": 10, "showPoints": "never", "lineWidth": 1}
    if stacked:
        custom |= {"stacking": {"mode": "percent", "group": "A"}, "fillOpacity": 40}
    targets = [
        target(chr(ord("A") + at), query, legend) for at, (legend, query) in enumerate(queries.items())
    ]
    return {
        **_panel("timeseries", title, targets, about),
        "fieldConfig": {
            "defaults": {
                "unit": UNITS[unit],
                "min": 0,
                "color": {"mode": "palette-classic"},
                "custom": custom,
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def table(
    title: str,
    labels: Mapping[str, str],
    values: Mapping[str, tuple[str, str, Steps]],
    sort: tuple[str, bool],
    about: str = "",
) -> Panel:
    """Numbers of now, a row for each set of labels.

    :param labels: label -> head of its column. :param values: head -> query, unit, steps.
    :param sort: head, and whether the largest comes first.
    """
    targets, overrides = [], [_override(name, {"displayName": head}) for name, head in labels.items()]
    order = {name: at for at, name in enumerate(labels)}
    for at, (head, (query, unit, steps)) in enumerate(values.items()):
        ref = chr(ord("A") + at)
        targets.append({**target(ref, query), "instant": True, "range": False, "format": "table"})
        name = f"Value #{ref}" if len(values) > 1 else "Value"
        order[name] = len(order)
        looks = {"displayName": head, **_field(unit, steps)}
        if steps is not CALM:
            looks["custom.cellOptions"] = {"type": "color-text"}
        overrides.append(_override(name, looks))
    return {
        **_panel("table", title, targets, about),
        "fieldConfig": {"defaults": {"custom": {"filterable": True}}, "overrides": overrides},
        "options": {"showHeader": True, "sortBy": [{"displayName": sort[0], "desc": sort[1]}]},
        "transformations": [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}, "indexByName": order}},
        ],
    }


def link(panel: Panel, column: str, title: str, url: str) -> Panel:
    """The table with a link in each cell of a column. :param url: with Grafana's variables of a cell."""
    overrides = panel["fieldConfig"]["overrides"]
    (found,) = [one for one in overrides if one["matcher"]["options"] == column]
    found["properties"].append({"id": "links", "value": [{"title": title, "url": url}]})
    return panel


def text(title: str, markdown: str) -> Panel:
    """Words."""
    return {"type": "text", "title": title, "options": {"mode": "markdown", "content": markdown}}


def row(title: str, panels: Sequence[Panel], *, repeat: str = "") -> Panel:
    """A line under which the panels after it stand. :param repeat: variable, one row for each value.

    :returns: with ``panels`` inside, and closed, where it is repeated; else they stand after it.
    """
    found: Panel = {"type": "row", "title": title, "collapsed": bool(repeat)}
    return {**found, "repeat": repeat, "panels": list(panels)} if repeat else {**found, "panels": []}


def target(ref: str, query: str, legend: str = "") -> dict[str, Any]:
    """A query of a panel. :returns: as Grafana has it in ``targets``."""
    named = {"legendFormat": legend} if legend else {}
    return {
        "refId": ref,
        "datasource": DATASOURCE,
        "expr": query,
        "editorMode": "code",
        "range": True,
        **named,
    }


def placed(lines: Sequence[tuple[int, Sequence[Panel]]], top: int) -> list[Panel]:
    """Panels beside each other, line by line, each as wide as the others of its line.

    :param lines: height, and panels. :param top: where the first line begins. :returns: with ``gridPos``.
    """
    found = []
    for height, panels in lines:
        width = COLUMNS // len(panels)
        found += [
            {**panel, "gridPos": {"h": height, "w": width, "x": at * width, "y": top}}
            for at, panel in enumerate(panels)
        ]
        top += height
    return found


def _panel(kind: str, title: str, targets: Sequence[Mapping[str, Any]], about: str) -> Panel:
    said = {"description": about} if about else {}
    return {"type": kind, "title": title, **said, "datasource": DATASOURCE, "targets": list(targets)}


def _field(unit: str, steps: Steps) -> dict[str, Any]:
    levels = [{"color": colour, "value": value} for colour, value in steps]
    return {
        "unit": UNITS[unit],
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": levels},
    }


def _override(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    found = [{"id": key, "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": found}
