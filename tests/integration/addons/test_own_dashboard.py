# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard of playbook observe: every query asked of the lab's Prometheus, and its numbers compared."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.grafana.annotations import (
    RolloutMark,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.grafana.dashboard import (
    dashboard,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.queries import QueryScope

from ..observe.load import send
from ..observe.test_golden_signals import HOST, SCRAPE, SHOP, plan, traffic
from ..site.runs import playbook
from .applying import HOME
from .test_samples import run

pytestmark = pytest.mark.long
WINDOW = 60
EMPTY = {
    "servicemesh_": "nobody serves the textfile of playbook trust on the lab",
    r"vector\(time\(\)\) >=": "asks about the time of a rollout, which is over",
    " unless ": "no version began within five minutes that had no request for an hour",
}
"""Why a query has no data on the lab: part of it -> reason."""
HOSTILE = 'v2"} or vector(1) #\\$service[[service]]${datasource}\n$1 {{x}}'


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of one run."""
    return made(tmp_path_factory.mktemp("dashboard") / "mesh.json")


def made(path: Path, *arguments: str) -> Path:
    """The dashboard as the lab's operator gets it."""
    given = {"observe_show": "rollouts", "observe_dashboard_path": str(path)}
    done = playbook("playbooks/observe.yml", *arguments, extra=given, timeout=240)
    assert done.code == 0, done.output[-3000:]
    assert done.recap["changed"] == 0
    return path


@pytest.fixture(scope="module")
def board(written: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def requests(client: KubeClient) -> None:
    """Some of the last seconds, a tenth of which failed; each series was there before."""
    gateway = client.get("v1", "Service", "istio-ingressgateway", HOME)
    assert gateway is not None
    for number in (20, 400):
        send(str(gateway["spec"]["clusterIP"]), HOST, plan(number), 0.1)
        time.sleep(2 * SCRAPE + 1)


def expressions(value: Any, title: str = "") -> Iterator[tuple[str, str]]:
    """Each query with the title of its panel, or the name of its annotation."""
    if isinstance(value, dict):
        title = str(value.get("title") or value.get("name") or title)
        if isinstance(value.get("expr"), str):
            yield title, value["expr"]
        for item in value.values():
            yield from expressions(item, title)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item, title)


def filled(query: str, board: dict[str, Any]) -> str:
    """A query as Grafana sends it, with all services chosen."""
    (chosen,) = [one for one in board["templating"]["list"] if one["name"] == "service"]
    hosts = [one["value"].replace(".", r"\\.") for one in chosen["options"] if one["value"] != "$__all"]
    query = query.replace("$__rate_interval", f"{WINDOW}s").replace("$__interval_ms", "60000")
    return query.replace("$service", f"({'|'.join(hosts)})")


def ask(client: KubeClient, query: str, at: float | None = None) -> list[dict[str, Any]]:
    """What Prometheus answers. :raises AssertionError: it refuses the query."""
    moment = {} if at is None else {"time": f"{at:.0f}"}
    answer = client.service_proxy_get(
        HOME, "prometheus", 9090, "/api/v1/query", query={"query": query, **moment}
    )
    assert answer["status"] == "success", (query, answer)
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


@pytest.mark.usefixtures("requests")
def test_every_query_has_data_or_a_reason(client: KubeClient, board: dict[str, Any]) -> None:
    wanted = sorted({filled(query, board) for _title, query in expressions(board)})
    assert len(wanted) > 25
    answers = dict(zip(wanted, client.in_parallel(lambda query: ask(client, query), wanted), strict=True))
    empty = [query for query, found in answers.items() if not found]
    unexplained = [query for query in empty if not any(re.search(part, query) for part in EMPTY)]
    assert unexplained == []
    assert len(wanted) - len(empty) > 15


@pytest.mark.usefixtures("requests")
def test_its_numbers_are_those_of_the_playbook(
    client: KubeClient, board: dict[str, Any], kubeconfig: str, raw: dict[str, Any]
) -> None:
    """``rate()`` guesses at the ends of its window, so the numbers are near each other and not the same."""
    (table,) = [panel for panel in board["panels"] if panel["title"] == "Services"]
    told = {item["service"]: item for item in traffic(kubeconfig, raw, WINDOW)["services"]}
    rates, shares = (
        {
            item["metric"]["destination_service"].split(".")[0]: float(item["value"][1])
            for item in ask(client, filled(target["expr"], board))
        }
        for target in table["targets"][:2]
    )
    for name in ("api-gateway", "product-service", "user-service"):
        item = told[f"{SHOP}/{name}"]
        assert rates[name] == pytest.approx(item["rate"], rel=0.25), name
        assert shares[name] == pytest.approx(item["error_share"], abs=0.05), name
    assert shares["user-service"] > 0.3, "what fails is seen"


def test_two_runs_and_check_mode_write_the_same(written: Path, tmp_path: Path) -> None:
    for name, arguments in (("again.json", ()), ("check.json", ("--check",))):
        assert made(tmp_path / name, *arguments).read_text() == written.read_text()


def test_a_rollout_is_found_at_its_time_with_its_words(client: KubeClient, raw: dict[str, Any]) -> None:
    """Whatever they are: Prometheus gives back what was written."""
    now = time.time()
    mark = RolloutMark(f"{SHOP}/frontend", HOSTILE, now - 600, now - 300)
    found = dashboard(parse_catalogue(raw), QueryScope((SHOP,), {}), [mark])
    (query,) = [filled(query, found) for title, query in expressions(found) if title == "Rollouts"]
    (item,) = ask(client, query, now - 450)
    assert item["metric"] == {"service": mark.service, "said": HOSTILE}
    assert ask(client, query, now - 660) == []
    assert ask(client, query, now - 180) == []


def test_a_matcher_is_text_and_no_query(client: KubeClient, raw: dict[str, Any]) -> None:
    """Nothing has this label, so nothing is found; only what counts plain text says 0 of it."""
    found = dashboard(parse_catalogue(raw), QueryScope((SHOP,), {"cluster": HOSTILE}))
    for title, query in expressions(found):
        values = [float(item["value"][1]) for item in ask(client, filled(query, found))]
        assert values == ([0.0] if title == "Requests without mutual TLS" else []), (title, values)


def test_playbook_addons_takes_it(kubeconfig: str, samples: Path, written: Path) -> None:
    """By a dry run: what Grafana would show goes through validation and admission."""
    assert run(kubeconfig, samples, ("grafana",), dashboards=[str(written)])["changed"]
