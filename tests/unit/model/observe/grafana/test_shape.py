# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard has the keys that Grafana reads, where it reads them, and no others (kinds/dashboard)."""

from __future__ import annotations

import collections
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.grafana.dashboard import (
    dashboard,
)

from .test_dashboard import MARKS, SCOPE, mesh, panels

# path -> keys: a list is "[]", and what lies in a closed row is a panel as any other
SHAPE = {
    "": "annotations description editable graphTooltip links panels refresh "
    "schemaVersion tags templating time timezone title uid",
    "time": "from to",
    "links[]": "asDropdown tags title type",
    "templating": "list",
    "templating.list[]": "current includeAll label multi name options query type",
    "templating.list[].current": "selected text value",
    "templating.list[].options[]": "selected text value",
    "annotations": "list",
    "annotations.list[]": "datasource enable iconColor name target textFormat titleFormat",
    "annotations.list[].datasource": "type uid",
    "annotations.list[].target": "datasource editorMode expr interval range refId",
    "annotations.list[].target.datasource": "type uid",
    "panels[]": "collapsed datasource description fieldConfig gridPos id "
    "options panels repeat targets title transformations type",
    "panels[].gridPos": "h w x y",
    "panels[].datasource": "type uid",
    "panels[].targets[]": "datasource editorMode expr format instant legendFormat range refId",
    "panels[].targets[].datasource": "type uid",
    "panels[].fieldConfig": "defaults overrides",
    "panels[].fieldConfig.defaults": "color custom min thresholds unit",
    "panels[].fieldConfig.defaults.color": "mode",
    "panels[].fieldConfig.defaults.thresholds": "mode steps",
    "panels[].fieldConfig.defaults.thresholds.steps[]": "color value",
    "panels[].options": "colorMode content graphMode legend "
    "mode reduceOptions showHeader sortBy tooltip",
    "panels[].options.reduceOptions": "calcs fields values",
    "panels[].fieldConfig.defaults.custom": "fillOpacity filterable lineWidth showPoints stacking",
    "panels[].options.legend": "calcs displayMode placement",
    "panels[].options.tooltip": "mode sort",
    "panels[].fieldConfig.overrides[]": "matcher properties",
    "panels[].fieldConfig.overrides[].matcher": "id options",
    "panels[].fieldConfig.overrides[].properties[]": "id value",
    "panels[].fieldConfig.overrides[].properties[].value[]": "title url",
    "panels[].fieldConfig.overrides[].properties[].value": "mode steps type",
    "panels[].fieldConfig.overrides[].properties[].value.steps[]": "color value",
    "panels[].options.sortBy[]": "desc displayName",
    "panels[].transformations[]": "id options",
    "panels[].transformations[].options": "excludeByName indexByName",
    "panels[].fieldConfig.defaults.custom.stacking": "group mode",
}  # fmt: skip
COLUMNS = (
    "panels[].transformations[].options.excludeByName",
    "panels[].transformations[].options.indexByName",
)
"""Tables by the names of their columns."""


def keys_of(board: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = collections.defaultdict(set)

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            found[path] |= set(value)
            for key, item in value.items():
                walk(item, f"{path}.{key}".lstrip("."))
        elif isinstance(value, list):
            for item in value:
                walk(item, f"{path}[]".replace("panels[].panels[]", "panels[]"))

    walk(board, "")
    return {path: keys for path, keys in found.items() if path not in COLUMNS}


def test_the_keys_are_grafana_s() -> None:
    found = keys_of(dashboard(mesh(), SCOPE, MARKS))
    assert found == {path: set(words.split()) for path, words in SHAPE.items()}


def test_every_kind_of_panel_has_what_grafana_draws_it_from() -> None:
    needs = {
        "row": {"collapsed", "panels", "title"},
        "text": {"options", "title"},
        "stat": {"datasource", "fieldConfig", "options", "targets", "title"},
        "timeseries": {"datasource", "fieldConfig", "options", "targets", "title"},
        "table": {"datasource", "fieldConfig", "options", "targets", "title", "transformations"},
    }
    seen = set()
    for panel in panels(dashboard(mesh(), SCOPE, MARKS)):
        seen.add(panel["type"])
        assert needs[panel["type"]] | {"gridPos", "id", "type"} <= set(panel), panel["title"]
        if panel["type"] == "row":
            assert isinstance(panel["panels"], list)
            assert bool(panel["panels"]) is panel["collapsed"] is bool(panel.get("repeat"))
    assert seen == set(needs)
