# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer as data, on the screen and as a page: cannot tell stays that, nothing is rounded to zero."""

from __future__ import annotations

import re

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.numbers import number, percent
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.page import as_html
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.report import Report
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.text import table, text_lines

from .telemetry import NOW, both, series, shop, traffic


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.0 %"),
        (0.0001, "<0.1 %"),
        (0.02, "2.0 %"),
        (0.99999, ">99.9 %"),
        (1.0, "100.0 %"),
        (None, "?"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00"), (0.0012, "0.0012"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234"),
                        (None, "?")],
)  # fmt: skip
def test_numbers_keep_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_what_nobody_can_tell_is_said_so_in_the_result() -> None:
    grpc = {series("source", "web", "api", request_protocol="grpc"): 5.0}
    report = Report("shop", NOW, traffic=traffic(grpc), stated=("shop/api",))
    (service,) = report.parts(10)["traffic"]["services"]
    assert service["error_share"] == "cannot tell"
    assert service["p99_ms"] == "cannot tell"
    assert service["saturation"] == {"cpu": "cannot tell", "memory": "cannot tell"}
    (edge,) = report.parts(10)["traffic"]["edges"]
    assert (edge["mtls"], edge["rate"]) == ("cannot tell", 0.5)
    assert "errors: cannot tell" in report.headline


def test_parts_that_were_not_asked_for_are_not_there() -> None:
    assert Report("shop", NOW).parts(10) == {}
    assert Report("shop", NOW).headline == "nothing was asked for"


def test_long_lists_are_cut_and_say_how_long_they_are() -> None:
    found = shop(200).parts(10)["traffic"]
    assert {name: len(found[name]) for name in ("services", "edges", "slowest")} == {
        "services": 10, "edges": 10, "slowest": 10,
    }  # fmt: skip
    assert found["counts"]["services"] == 199
    assert found["counts"]["edges"] > 300
    assert len(shop(200).parts(None)["traffic"]["edges"]) == found["counts"]["edges"]


def test_failures_come_first() -> None:
    report = Report("shop", NOW, traffic=traffic(both("web", "big", 900), both("web", "sick", 2, "500")))
    found = report.parts(10)["traffic"]
    assert [item["service"] for item in found["services"]] == ["shop/sick", "shop/big"]
    assert [item["destination"] for item in found["edges"]] == ["shop/sick", "shop/big"]
    assert found["services"][0]["error_share"] == 1


def test_the_screen() -> None:
    lines = text_lines(shop(8), 3)
    text = "\n".join(lines)
    assert lines[0].startswith("mesh shop: ")
    assert "requests/s into 7 services" in lines[0]
    assert "cannot tell: Prometheus scrapes no proxy of shop/dark" in lines[0]
    for title in ("addresses", "dashboards", "versions", "rollouts", "certificates", "sidecars"):
        assert f"-- {title}" in text
    assert (
        "istio-system/gw: no address outside, cluster IP 10.0.0.1; NodePort; https 443 (node port 31443)"
        in text
    )
    assert "  kubectl port-forward service/gw 8443:443" in lines
    assert "grafana" not in text
    assert "proxies 1.30.0: revision default, 2 pods, not its istiod's version, such as shop/a-1" in lines
    assert "-- services, last 60 s, 3 of 7" in text
    assert "UF (UpstreamConnectionFailure)" in text
    assert "0.21 cores (12.5 % of the mesh's pods)" in text
    (row,) = [line for line in lines if line.split()[:1] == ["shop/service-5"]]
    assert row.split()[-3:] == ["40.0", "%", "?"]  # memory has no limit


def test_columns_of_numbers_stand_right() -> None:
    assert table(("name", "n>"), [["a", "1"], ["long", "100"]]) == ["name    n", "a       1", "long  100"]


@pytest.mark.parametrize("number", [1, 8, 200])
def test_the_page_holds_every_row(number: int) -> None:
    report = shop(number)
    page = as_html(report)
    rows = page.count("<tr data-text=")
    assert report.traffic is not None
    assert rows >= len(report.traffic.services) + len(report.traffic.edges)
    for name in ("services", "calls", "addresses", "dashboards", "versions", "certificates", "untold"):
        assert f'id="{name}"' in page
    assert page.count('id="filter"') == 1
    assert not re.search(r"""\s(src|href)=""", page)


def test_the_page_sets_numbers_right_and_texts_left() -> None:
    page = as_html(shop(8))
    (head,) = re.findall('id="versions"[^>]*><thead><tr>(.*?)</tr>', page)
    assert re.findall('<th( class="number")?>([^<]*)</th>', head) == [
        ("", "what"),
        ("", "version"),
        ("", "revision"),
        (' class="number"', "pods"),
        ("", "another than its istiod"),
    ]
    rows = re.findall('<tr data-text="proxies[^"]*">(.*?)</tr>', page)
    assert rows[0].count('class="number"') == 1


def test_a_page_without_traffic_is_still_one() -> None:
    page = as_html(Report("shop", NOW))
    assert 'id="graph"' not in page
    assert page.count('id="filter"') == 1


def test_names_cannot_leave_the_page_s_text() -> None:
    evil = '"><img src=x onerror=alert(1)>'
    found = traffic(both("web", "api", 1, destination_service_name=evil, response_flags="UF"))
    page = as_html(Report(evil, NOW, traffic=found, untold=[{"part": evil, "reason": evil}]))
    assert "<img" not in page
