# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a catalogue opens on purpose is told with its reason, and leaves nobody to be refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import Identity
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import (
    call_plan,
    planned_calls,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import openings

from ..builders import catalogue, service

ALLOWED, DENIED, NOWHERE = planned_calls.ALLOWED, planned_calls.DENIED, planned_calls.NOWHERE

PERMISSIVE = {"mode": "PERMISSIVE", "reason": "old clients"}
ANYONE = {"anonymous": True, "reason": "price list"}
NETWORK = {"ip_blocks": ["10.0.0.0/8"], "reason": "old data centre"}
METRICS = {"ports": {"9100": "PERMISSIVE"}, "reason": "scraped without a certificate"}


def mesh(**web: Any) -> Catalogue:
    return catalogue(service("web", **web), service("api", callers=[{"service": "web"}]))


def plan(found: Catalogue) -> planned_calls.CallPlan:
    accounts = frozenset(Identity("shop", name) for name in ("web", "api", "default"))
    return call_plan.plan_calls(found, accounts, unsafe_methods=False)


@pytest.mark.parametrize(
    ("web", "told"),
    [
        ({"callers": [{"service": "api"}]}, []),
        ({"open": {"reason": "a page"}}, ["open to everybody: a page"]),
        (
            {"callers": [ANYONE | {"methods": ["GET"], "paths": ["/p/*"]}], "mtls": PERMISSIVE},
            ["lets in anyone, whoever it is, to GET, /p/*: price list"],
        ),
        (
            {"callers": [NETWORK | {"ports": ["http"]}]},
            ["lets in whoever comes from 10.0.0.0/8 to port http: old data centre"],
        ),
        (
            {"scrape": {"port": 9100, "callers": [ANYONE]}, "mtls": METRICS},
            ["lets in anyone, whoever it is, to its metrics (9100/metrics): price list"],
        ),
    ],
)
def test_openings_are_told(web: dict[str, Any], told: list[str]) -> None:
    findings = openings.stated_openings(mesh(**web))
    assert [(item.subject, item.message) for item in findings] == [("shop/web", text) for text in told]
    assert {item.verdict for item in findings} <= {"stated opening"}


def test_an_open_mesh_is_one_opening() -> None:
    found = openings.stated_openings(catalogue(service("web"), mesh_open={"reason": "not adopted yet"}))
    assert [str(item) for item in found] == [
        "stated opening: shop: nothing is authorized, every service is open: not adopted yet"
    ]


@pytest.mark.parametrize(
    "web",
    [{"open": {"reason": "a page"}}, {"callers": [ANYONE], "mtls": PERMISSIVE}, {"callers": [NETWORK]}],
)
def test_nobody_is_refused_by_what_is_open(web: dict[str, Any]) -> None:
    planned = plan(mesh(**web))
    assert "web" not in {call.service.name for call in planned.calls if call.expect == DENIED}
    found = {item.subject: item.verdict for item in planned.findings if "everybody" in item.message}
    assert found == {"shop/web": "stated opening"}


def denied_path(**web: Any) -> str:
    """The one path that strangers of every class are tried with."""
    calls = [call for call in plan(mesh(**web)).calls if call.expect == DENIED and call.service.name == "web"]
    (path,) = {call.path for call in calls}
    return path


def test_beside_an_open_path_somebody_is_refused() -> None:
    callers = [ANYONE | {"paths": ["/p/*"]}, {"service": "api", "paths": ["/p/*"]}]
    assert denied_path(callers=callers, mtls=PERMISSIVE) == "/"
    assert denied_path(callers=[ANYONE | {"paths": ["/"]}], mtls=PERMISSIVE) == f"/{NOWHERE}"
    assert denied_path(callers=[ANYONE | {"methods": ["POST"]}], mtls=PERMISSIVE) == "/"


def test_an_open_mesh_refuses_nobody() -> None:
    planned = plan(catalogue(service("web"), service("api"), mesh_open={"reason": "not adopted yet"}))
    expected = {call.expect for call in planned.calls}
    assert ALLOWED in expected
    assert DENIED not in expected
    assert {item.verdict for item in planned.findings} == {"stated opening"}
