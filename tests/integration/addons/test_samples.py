# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release's add-ons: accepted by the API server as they are made, and every query of every dashboard."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import addons

from ...unit.support.arguments import validated

ALL = ("grafana", "jaeger", "kiali", "loki")
"""Prometheus runs here already, from a directory of the lab, and would be changed."""
EMPTY = {
    r"ztunnel": "the lab has no ambient mode",
    r"container_": "nobody scrapes the kubelet's cAdvisor",
    r"envoy_(wasm|cluster)": "Envoy's own statistics of Wasm and xDS are not scraped",
    r"istio_tcp_": "the lab counts requests, no streams (lab/addons/request-metrics)",
    r"istio_(request|response)_bytes": "the lab counts requests and their time, no bytes",
    r'app="istiod"': "the lab's Prometheus gives istiod's series no label app",
    r"sidecar_injection_|galley_validation_|pilot_total_xds_internal_errors|pilot_xds_write_timeout": (
        "counted with the first such event"
    ),
    r"pilot_total_xds_rejects|pilot_conflict|pilot_xds_push_context_errors|pilot_proxy_convergence": (
        "counted with the first such event"
    ),
    r'connection_security_policy!="mutual_tls"': "a mesh with STRICT has no such calls",
    r'reporter="source", connection_security_policy="mutual_tls"': "callers do not know it, as in Istio",
    r'response_code=~"5': "counted with the first such answer",
}
"""Why a query has no data on the lab: part of it -> reason."""


def run(kubeconfig: str, samples: Path, names: tuple[str, ...], **more: Any) -> dict[str, Any]:
    given = {
        "kubeconfig": kubeconfig,
        "addons": [{"name": name, "path": str(samples / f"{name}.yaml")} for name in names],
        **more,
    }
    checked = validated(addons.ARGUMENT_SPEC, given)
    return addons.run(checked, Context(check_mode=True, environment={}))


@pytest.mark.parametrize(
    "more", [{}, {"storage": {"grafana": "1Gi", "loki": "1Gi"}, "as_released": ["jaeger"]}], ids=str
)
def test_the_api_server_takes_every_object(kubeconfig: str, samples: Path, more: dict[str, Any]) -> None:
    """By a dry run: every object goes through validation and admission, and nothing is written."""
    result = run(kubeconfig, samples, ALL, **more)
    assert result["changed"]
    assert result["secrets"] == ["istio-system/grafana-admin", "istio-system/kiali-signing-key"]
    assert any("grafana/grafana" in image for image in result["images"])


def queries(samples: Path) -> Iterator[str]:
    def within(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("expr"), str) and value["expr"].strip():
                yield value["expr"]
            for item in value.values():
                yield from within(item)
        elif isinstance(value, list):
            for item in value:
                yield from within(item)

    for document in yaml.safe_load_all((samples / "grafana.yaml").read_text(encoding="utf-8")):
        for name, text in ((document or {}).get("data") or {}).items():
            if name.endswith(".json"):
                yield from within(json.loads(text))


def filled(query: str) -> str:
    """A query of Grafana with every variable at "all"."""
    query = query.replace("$__rate_interval", "5m")
    query = re.sub(r'=~?\s*"\$[a-z]+"', '=~".*"', query)
    return re.sub(r"\$[a-z]+", ".*", query)


def traffic(client: KubeClient) -> None:
    """Requests of the last seconds, so that rates have something to count."""
    code = (
        "import time, urllib.request\n"
        "for _ in range(60):\n"
        "    urllib.request.urlopen('http://api-gateway:3000/api/products', timeout=9).read()\n"
        "    time.sleep(0.1)\n"
    )
    pods = client.list("v1", "Pod", "ecommerce", label_selector="app=frontend").items
    name = pods[0]["metadata"]["name"]
    result = client.exec("ecommerce", name, "service", ["python3", "-c", code], timeout=60)
    assert result.returncode == 0, result.stderr
    time.sleep(5)


def test_every_query_has_data_or_a_reason(client: KubeClient, samples: Path) -> None:
    traffic(client)
    wanted = sorted({filled(query) for query in queries(samples)})
    assert len(wanted) > 150

    def ask(query: str) -> Any:
        path = "/api/v1/query"
        return client.service_proxy_get("istio-system", "prometheus", 9090, path, query={"query": query})

    answers = dict(zip(wanted, client.in_parallel(ask, wanted), strict=True))
    refused = [query for query, answer in answers.items() if answer["status"] != "success"]
    assert refused == []
    empty = [query for query, answer in answers.items() if not answer["data"]["result"]]
    unexplained = [query for query in empty if not any(re.search(part, query) for part in EMPTY)]
    assert unexplained == []
    # the lab has traffic: what an operator looks at first is there
    assert len(wanted) - len(empty) > 30
