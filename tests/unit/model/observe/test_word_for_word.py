# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole answers, word for word: on the screen, as data, as a page, and the dashboard of a whole catalogue.

What stands in ``pages`` was written and read by people; when a change is meant, the new text is read again.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.documents.report_json import report_json
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.grafana.annotations import (
    RolloutMark,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.grafana.dashboard import (
    dashboard,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.page import as_html
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.queries import QueryScope
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.report import Report, Saturation
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.text import text_lines

from ...support.catalogues import full
from ...support.pages import by_lines
from .telemetry import NOW, both, details, series, shop, traffic

PAGES = Path(__file__).parent / "pages"
IDLE = ("shop/idle-1", "shop/idle-2", "shop/idle-3", "shop/idle-4")


def sick() -> Report:
    """Ill services, a call that is not secured, and all kinds of what cannot be told."""
    found = dataclasses.replace(shop(14), idle=IDLE, dark=("shop/dark",))
    found.untold.append({"part": "versions", "reason": "istiod does not answer"})
    return found


def odd() -> Report:
    """One call with nothing wrong, and each other part as it is where little is known."""
    parts = details()
    (address,) = parts["addresses"]
    udp = {"name": "", "port": 53, "protocol": "UDP", "node_port": 30053}
    parts["addresses"] = [
        {**address, "ips": ["192.0.2.1"], "hostnames": ["lb.example.com"], "type": "LoadBalancer"},
        {**address, "cluster_ips": [], "nodes": [], "ports": [udp], "calls": []},
    ]
    parts["versions"] = {
        "control_plane": [{"revision": "", "version": "", "pods": 0}],
        "proxies": [{"version": "", "revision": "x", "count": 1, "behind": None, "example": "shop/a-1"}],
    }
    parts["rollouts"] = {"active": [], "lines": []}
    parts["certificates"] |= {"status": "pass", "headline": "all are well", "soonest": []}
    parts["status"], parts["untold"] = "pass", []
    grpc = {series("source", "web", "grpc", request_protocol="grpc"): 7.0}
    return Report(
        "odd", NOW, traffic=traffic(both("web", "api", 3), grpc), idle=IDLE[:1], stated=("shop/api",),
        saturation={"shop/api": Saturation(None, 0.5)}, **parts,
    )  # fmt: skip


@pytest.mark.parametrize("report", [sick, odd])
def test_an_answer_in_each_of_its_forms(report) -> None:
    whole, name = report(), report.__name__
    assert "\n".join(text_lines(whole, 3)) + "\n" == (PAGES / f"{name}.txt").read_text(encoding="utf-8")
    assert report_json(whole.parts(3)) == (PAGES / f"{name}.json").read_text(encoding="utf-8")
    assert by_lines(as_html(whole)) == (PAGES / f"{name}.html").read_text(encoding="utf-8")


def test_the_dashboard_of_a_whole_catalogue() -> None:
    scope = QueryScope(("shop", "istio-system"), {"cluster": "one"}, ("prometheus_replica",))
    marks = [RolloutMark("shop/api", "v2 promoted", 1000.0, 1600.0)]
    found = report_json(dashboard(parse_catalogue(full()), scope, marks))
    assert found == (PAGES / "dashboard.json").read_text(encoding="utf-8")
