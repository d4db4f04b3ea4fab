"""The page in a browser: 8 and 200 services, at 1280 pixels, with a filter, and in print."""

from __future__ import annotations

import re
import time

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import findings as told
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.reports.record import (
    Circumstances,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.reports.write import (
    write_report,
)

from ..browser import opened, printed

LEDGER = {
    "callers": {"stated": 9, "called": 9},
    "rules": {"stated": 19, "called": 18},
    "cells": {"all": 437, "called": 60, "at_the_proxies": 377, "by_the_objects": 0, "not_proved": 0},
    "not_called": {"nothing is known to listen there": 377},
    "uncalled": ["shop/s1: shop/s0 POST"],
}
MEASURE = """
const seen=()=>[...document.querySelectorAll('tr[data-text]')].filter(row=>!row.hidden).length;
const before=seen(),begun=performance.now();
const box=document.getElementById('filter');box.value='S1:3000 mtls';box.dispatchEvent(new Event('input'));
const took=performance.now()-begun;
document.title=[document.documentElement.scrollWidth,innerWidth,before,seen(),Math.round(took)].join(' ');
"""


def mesh(number: int):
    port = {"name": "http", "number": 80, "target_port": 3000, "protocol": "http"}
    return parse_catalogue(
        {
            "mesh_name": "shop",
            "mesh_namespace": "shop",
            "mesh_services": [
                {
                    "name": f"s{index}",
                    "service_account": f"s{index}",
                    "ports": [port],
                    "callers": [{"service": f"s{caller}"} for caller in range(max(0, index - 3), index)],
                }
                for index in range(number)
            ],
        }
    )


def findings(number: int) -> told.Findings:
    names = [f"shop/s{index}" for index in range(number)]
    long = "changes the proxies of " + ", ".join(names[:60])
    return told.Findings(
        (
            *(told.passed("policies", name, "40 cells as the catalogue states", cells=40) for name in names),
            *(told.passed("mtls", f"{name}:3000", "only chains that demand a certificate") for name in names),
            told.failed("policies", "AuthorizationPolicy shop/hole", "opens shop/s1 to any account"),
            told.unknown("objects", f"EnvoyFilter istio-system/{'x' * 200}", long),
            told.beside("objects", "Namespace other", "3 pods in the mesh and not in the catalogue"),
        ),
        LEDGER,
    )


@pytest.mark.parametrize("number", [8, 200])
def test_the_page_fits_filters_and_prints(tmp_path, number: int) -> None:
    file = tmp_path / "verify.html"
    circumstances = Circumstances("2026-11-24T10:00:00+00:00", "uid", "v1.36.0", ("1.31.0",))
    write_report(str(file), findings(number), mesh(number), {}, circumstances)
    begun = time.monotonic()
    page = opened(file, MEASURE)
    took = time.monotonic() - begun
    assert page.console == []
    width, window, before, after, filtered = map(int, page.title.split())
    assert width <= window == 1280, "the page is wider than the window"
    assert before > number * 4
    assert 0 < after < before
    assert filtered < 2000
    for table in ("facts", "ledger", "checks", "causes", "notes", "matrix", "ports", "findings"):
        assert f'id="{table}"' in page.dom
    assert "shop/s1: shop/s0 POST" in page.dom
    assert took < 60  # with the start of the browser, on a busy machine
    paper = printed(file)
    assert paper.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) >= 1
