# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard of the mesh as a file, with the rollouts of which the cluster still knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...documents.report_json import report_json
from ...files import write_report
from ...istio.metrics import PrometheusOptions
from ...kube.clock import seconds_of
from ...model.observe.grafana.annotations import RolloutMark
from ...model.observe.grafana.dashboard import dashboard
from ...model.observe.queries import QueryScope
from .look import ObserveLook
from .options import ROLLOUTS


def write_dashboard(path: str, look: ObserveLook, found: Mapping[str, Any] | None) -> None:
    """Writes it whole or not at all. :param found: the mesh's rollouts; None where they could not be read.

    :raises MeshError: the file cannot be written.
    """
    options = look.options.prometheus or PrometheusOptions()
    scope = QueryScope(look.namespaces, options.matchers, options.replica_labels)
    marks = [mark for entry in (found or {}).get("services", ()) for mark in _marks(look, entry)]
    write_report(path, report_json(dashboard(look.catalogue, scope, marks)))


def _marks(look: ObserveLook, entry: Mapping[str, Any]) -> list[RolloutMark]:
    """What is known of a service: its newest rollout, and when an earlier one left its record."""
    service = str(entry["service"])
    if entry["state"] == "unreadable":
        look.tell_not(ROLLOUTS, f"{service}: {entry['reason']}")
        return []
    marks = []
    end = seconds_of(entry["at"])
    if entry["run"] and end is not None:
        begin = seconds_of(entry["began_at"])
        said = f"{entry['canary']} {entry['outcome'] or entry['state']}"
        marks.append(RolloutMark(service, said, end if begin is None else begin, end))
    written = seconds_of(entry["finished_at"])
    if written is not None and entry["recorded_run"] != entry["run"]:
        marks.append(RolloutMark(service, f"{entry['stable']} stable", written, written))
    return marks
