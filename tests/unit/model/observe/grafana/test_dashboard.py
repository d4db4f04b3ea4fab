# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard: all of the catalogue once, the matchers everywhere, and nothing that breaks a query."""

from __future__ import annotations

import dataclasses
import html
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.documents.report_json import report_json
from ansible_collections.servicemesh.istio.plugins.module_utils.model.addons.dashboards import (
    check_dashboards,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.services import Caller
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.grafana.annotations import (
    RolloutMark,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.grafana.dashboard import (
    dashboard,
    stated_calls,
    uid_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.queries import (
    QueryScope,
    error_share,
    selectors,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.promql import matching, one_of, quoted
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.requests import (
    BAD_MATCHERS,
    LabelError,
    is_bad,
)

from ....support.catalogues import full, minimal, service

SCOPE = QueryScope(("shop", "istio-system"), {"cluster": "one"}, ("prometheus_replica",))
MARKS = [RolloutMark("shop/api", "v2 promoted", 1000.0, 1600.0)]
HOSTILE = 'x"} or vector(1) #\\$service[[service]]${datasource}\n$1'


def mesh(**more: Any) -> Catalogue:
    return parse_catalogue(minimal(**more))


def within(value: Any, key: str) -> Iterator[Any]:
    """Every value under a key, however deep."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for item in value.values():
            yield from within(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from within(item, key)


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels, those inside closed rows, too."""
    return [one for panel in board["panels"] for one in (panel, *panel.get("panels", ()))]


def queries(board: dict[str, Any]) -> list[str]:
    return list(within(board, "expr"))


def strings(query: str) -> tuple[list[str], str]:
    """The texts of a query as PromQL reads them, and what is left outside of them."""
    escapes = {"n": "\n", '"': '"', "\\": "\\"}

    def read(match: re.Match[str]) -> str:
        code, letter = match.groups()
        return chr(int(code, 16)) if code else escapes[letter]

    pattern = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
    found = [re.sub(r'\\(?:x([0-9a-f]{2})|([n"\\]))', read, text) for text in pattern.findall(query)]
    return found, pattern.sub('""', query)


# -- one definition of a failed request ----------------------------------------------------------------------


def selected(labels: dict[str, str], matchers: str) -> bool:
    """Whether Prometheus selects a series: a label that is missing is empty, patterns match the whole."""
    kinds = {
        "=": lambda text, value: text == value,
        "=~": lambda text, value: bool(re.fullmatch(value, text)),
        "!~": lambda text, value: not re.fullmatch(value, text),
    }
    parts = re.findall(r'(\w+)(=~|!~|=)"([^"]*)"(?:,|$)', matchers)
    assert ",".join(f'{name}{kind}"{value}"' for name, kind, value in parts) == matchers
    return all(kinds[kind](labels.get(name, ""), value) for name, kind, value in parts)


def test_prometheus_counts_the_failures_that_observe_counts() -> None:
    told = 0
    for code, status, protocol, flags in itertools.product(
        ("200", "0", "404", "429", "499", "500", "503", "504", "599"),
        ("", *map(str, range(17))),
        ("http", "grpc"),
        ("", "-", "DC", "DR", "DPE", "DC,DPE", "-,DC", "UF", "UF,URX", "DC,UF", "UT", "DCX", "UDC"),
    ):
        labels = {
            "response_code": code,
            "grpc_response_status": status,
            "request_protocol": protocol,
            "response_flags": flags,
        }
        try:
            expected = is_bad(frozenset(labels.items()))
        except LabelError:
            continue
        told += 1
        assert any(selected(labels, matchers) for matchers in BAD_MATCHERS) is expected, labels
    assert told > 3000


@pytest.mark.parametrize(
    ("flags", "unreached"), [("UF,URX", True), ("UH", True), ("URX,NR", True), ("UT", False), ("-", False)]
)
def test_what_never_reached_the_server_counts_beside_it(flags: str, unreached: bool) -> None:
    (pattern,) = set(re.findall(r'response_flags=~"([^"]*)"', SCOPE.requests()))
    assert bool(re.fullmatch(pattern, flags)) is unreached


# -- what is on it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [minimal(), full()], ids=["minimal", "full"])
def test_each_service_and_each_call_of_the_catalogue_is_there_once(raw: dict[str, Any]) -> None:
    catalogue = parse_catalogue(raw)
    board = dashboard(catalogue, SCOPE)
    (variable,) = [one for one in board["templating"]["list"] if one["name"] == "service"]
    chosen = [(one["text"], one["value"]) for one in variable["options"]]
    assert chosen == [("All", "$__all"), *((one.key, one.fqdn) for one in catalogue.services)]
    assert variable["query"] == ",".join(f"{text} : {value}" for text, value in chosen[1:])
    (words,) = [panel["options"]["content"] for panel in panels(board) if panel["type"] == "text"]
    calls = stated_calls(catalogue)
    assert len(words.splitlines()) == 2 + len(calls) == 2 + len(set(calls))
    expected = {
        (f"{caller.namespace}/{caller.service}", service.key)
        for service in catalogue.services
        for caller in service.callers
        if caller.service
    }
    assert expected and expected <= set(calls)
    assert {called for _caller, called in calls} >= {one.key for one in catalogue.services if one.exposed}


def test_the_calls_of_a_small_mesh() -> None:
    assert stated_calls(mesh()) == [("gateway public", "shop/web"), ("shop/web", "shop/api")]


def test_a_row_for_each_service_that_is_chosen() -> None:
    board = dashboard(mesh(), SCOPE)
    (repeated,) = [panel for panel in board["panels"] if panel.get("repeat")]
    assert (repeated["type"], repeated["repeat"], repeated["collapsed"]) == ("row", "service", True)
    found = [query for panel in repeated["panels"] for query in within(panel, "expr")]
    assert len(found) >= 8
    assert all('destination_service=~"$service"' in query for query in found)
    outside = [query for panel in board["panels"] if panel is not repeated for query in within(panel, "expr")]
    assert outside and not any("$service" in query for query in outside)


def test_an_empty_catalogue_is_a_dashboard_without_services() -> None:
    raw = {"mesh_name": "shop", "mesh_namespace": "shop", "mesh_services": []}
    board = dashboard(parse_catalogue(raw), QueryScope(("istio-system",), {}))
    assert [one["name"] for one in board["templating"]["list"]] == ["datasource"]
    assert board["annotations"]["list"] == []
    assert not any(panel.get("repeat") for panel in board["panels"])
    assert not any("$service" in query for query in queries(board))
    assert "It states no call." in report_json(board)


def test_hundreds_of_services_are_no_larger_dashboard_than_grafana_takes() -> None:
    many = [service(f"service-{at}", callers=[f"service-{at - 1}"] if at else []) for at in range(300)]
    text = report_json(dashboard(parse_catalogue(minimal(mesh_services=many)), SCOPE, MARKS))
    assert len(text.encode()) < 300_000
    assert check_dashboards({"mesh.json": text}) == []


# -- queries -------------------------------------------------------------------------------------------------


def test_every_query_asks_for_this_mesh_alone() -> None:
    found = queries(dashboard(mesh(), SCOPE, MARKS))
    assert len(found) > 25
    for query in found:
        braces = re.findall(r"\{([^}]*)\}", query)
        assert braces or "vector(time())" in query, query
        for inside in braces:
            assert 'cluster="one"' in inside, query
            assert 'mesh="shop"' in inside or '=~"istio-system|shop"' in inside, query


def test_copies_of_the_same_samples_count_once() -> None:
    found = [query for query in queries(dashboard(mesh(), SCOPE)) if "rate(" in query]
    assert all(
        query.count("rate(") == query.count("max without (prometheus_replica) (rate(") for query in found
    )
    single = QueryScope(("shop",), {}, ("no label) or vector(1",))
    assert not any("without" in query for query in queries(dashboard(mesh(), single)))


def test_what_a_matcher_or_a_rollout_says_stays_text() -> None:
    scope = QueryScope(("shop",), {"cluster": HOSTILE})
    board = json.loads(report_json(dashboard(mesh(), scope, [RolloutMark("shop/api", HOSTILE, 0, 0)])))
    for query in queries(board):
        texts, outside = strings(query)
        assert "vector(1)" not in outside and "#" not in outside, query
        assert not re.search(r"\$(?!__)|\[\[", outside.replace("$__", "")), query
        if "vector(time())" in query:
            assert HOSTILE.replace("$", "$$") in texts, "label_replace reads $$ as $"
        else:
            assert HOSTILE in texts, query
        # Grafana looks for its variables before Prometheus reads the text
        ours = query.replace("$__rate_interval", "").replace("$__interval_ms", "").replace('=~"$service"', "")
        assert "$" not in ours and "[[" not in ours, query


def test_names_are_no_patterns() -> None:
    text = one_of(["a.b", "c+d(e)", "x$y", "back\\slash"])
    (pattern,), _outside = strings(text)
    for name in ("a.b", "c+d(e)", "x$y", "back\\slash"):
        assert re.fullmatch(pattern, name), name
    assert not re.fullmatch(pattern, "aXb")
    assert quoted('a"b\\c\n') == r'"a\"b\\c\n"'
    assert matching({"b": "2", "a": "1"}) == ',a="1",b="2"'
    server, client = selectors({"shop", "back"}, {"cluster": "one"})
    assert server == (
        'reporter=~"destination|waypoint",destination_workload_namespace=~"back|shop",cluster="one"'
    )
    assert client == 'reporter="source",source_workload_namespace=~"back|shop",cluster="one"'


def test_words_of_a_caller_are_no_markdown() -> None:
    web, api = mesh().services
    called = dataclasses.replace(api, callers=(Caller("", principal="a_b/*|[x](y)$service<i>"),))
    board = dashboard(dataclasses.replace(mesh(), services=(web, called)), SCOPE)
    (words,) = [panel["options"]["content"] for panel in panels(board) if panel["type"] == "text"]
    (line,) = [line for line in words.splitlines() if line.endswith("| shop/api |")]
    assert html.unescape(line) == "| a_b/*|[x](y)$service<i> | shop/api |"
    assert not set(line.removesuffix(" | shop/api |").removeprefix("| ")) & set("_*|[]()$<>`")


def test_no_failure_is_a_zero_and_no_request_is_none() -> None:
    assert error_share("f", "r") == "(f or r * 0) / (r > 0)"


# -- rollouts ------------------------------------------------------------------------------------------------


def annotations(board: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["target"]["expr"] for one in board["annotations"]["list"]}


def test_rollouts_stand_on_the_line_of_time() -> None:
    found = annotations(dashboard(mesh(), SCOPE, [*MARKS, RolloutMark("shop/web", "v1 stable", 50.0, 50.0)]))
    first, second = found["Rollouts"].split(" or ")
    assert "vector(time()) >= 1000 < 1600 + $__interval_ms / 1000" in first
    assert '"service", "shop/api"' in first and '"said", "v2 promoted"' in first
    assert ">= 50 < 50 + $__interval_ms / 1000" in second, "a moment is at one point of the graph at least"
    assert "Rollouts" not in annotations(dashboard(mesh(), SCOPE))


def test_only_the_newest_rollouts_of_very_many() -> None:
    marks = [RolloutMark(f"shop/s{at}", "v2 promoted", float(at), float(at)) for at in range(150)]
    found = annotations(dashboard(mesh(), SCOPE, marks))["Rollouts"]
    assert found.count("vector(time())") == 100
    assert '"shop/s149"' in found and '"shop/s49"' not in found


def test_only_services_with_versions_have_versions_that_begin() -> None:
    found = annotations(dashboard(mesh(), SCOPE))["Versions that begin"]
    assert r'destination_service=~"api\\.shop\\.svc\\.cluster\\.local"' in found
    assert "[5m]" in found and "[1h] offset 5m" in found
    plain = [service("web"), service("api", callers=["web"])]
    assert annotations(dashboard(mesh(mesh_services=plain, mesh_gateways=[]), SCOPE)) == {}


# -- what Grafana needs --------------------------------------------------------------------------------------


def test_two_runs_give_the_same_text() -> None:
    texts = {report_json(dashboard(mesh(), SCOPE, marks)) for marks in (MARKS, list(reversed(MARKS)))}
    assert len(texts) == 1


def test_it_is_a_dashboard_that_can_be_put_into_any_grafana() -> None:
    board = dashboard(mesh(), SCOPE, MARKS)
    assert check_dashboards({"mesh.json": report_json(board)}) == []
    assert "id" not in board and "__inputs" not in board and "version" not in board
    assert board["title"] == "Mesh shop (cluster=one)"
    every = panels(board)
    ids = [panel["id"] for panel in every]
    assert ids == list(range(1, len(every) + 1))
    for source in within(board, "datasource"):
        assert source == {"type": "prometheus", "uid": "${datasource}"}
    for panel in every:
        refs = [target["refId"] for target in panel.get("targets", ())]
        assert len(refs) == len(set(refs))
        if panel["type"] not in ("row", "text"):
            assert refs and panel["title"], panel
            units = {*within(panel["fieldConfig"]["defaults"], "unit")}
            units |= {
                one["value"]
                for override in panel["fieldConfig"]["overrides"]
                for one in override["properties"]
                if one["id"] == "unit"
            }
            assert units, panel["title"]


def test_panels_lie_beside_each_other() -> None:
    board = dashboard(parse_catalogue(full()), SCOPE, MARKS)
    taken: set[tuple[int, int]] = set()
    for panel in panels(board):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_columns_of_a_table_have_heads_and_an_order() -> None:
    for panel in panels(dashboard(mesh(), SCOPE)):
        if panel["type"] != "table":
            continue
        heads = {
            override["matcher"]["options"]: one["value"]
            for override in panel["fieldConfig"]["overrides"]
            for one in override["properties"]
            if one["id"] == "displayName"
        }
        values = {f"Value #{target['refId']}" for target in panel["targets"]}
        assert values < set(heads)
        assert panel["options"]["sortBy"][0]["displayName"] in heads.values()
        assert set(panel["transformations"][1]["options"]["indexByName"]) == set(heads)
        assert all(target["instant"] and target["format"] == "table" for target in panel["targets"])


@pytest.mark.parametrize("name", ["shop", "a" * 63, "s p/ü"])
def test_the_uid_is_the_mesh_s(name: str) -> None:
    found = [uid_of(name, {}), uid_of(name, {"cluster": "one"}), uid_of(name, {"cluster": "two"})]
    assert len(set(found)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid) for uid in found)
    assert uid_of("shop", {}) == "mesh-shop"
