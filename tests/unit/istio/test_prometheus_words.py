# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each answer of Prometheus that measures nothing has its own sentence, and bounds are where they say."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio import metrics
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.metrics import (
    MetricsError,
    Prometheus,
    PrometheusOptions,
    fill_query,
)

from .test_metrics import Proxy, prometheus, vector


def answer(kind: str, result: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (vector("1", "2"), "the query answers with 2 series, one is needed"),
        (vector("NaN"), "the query's answer is nan"),
        (vector("many"), "the query's answer is not a number"),
        (answer("vector", [{}]), "the query's answer is not a number"),
        (vector("1", warnings=["part"]), "Prometheus answered partially: ['part']"),
        ({"status": "error", "error": "parse error"}, "Prometheus refused the query: parse error"),
        ({"status": "error"}, "Prometheus refused the query: None"),
        ({"status": "error", "error": "x" * 300}, f"Prometheus refused the query: {'x' * 200}"),
        ([], "Prometheus refused the query: the answer is not JSON"),
        (answer("matrix", []), "Prometheus did not answer with vector or scalar"),
        ({"status": "success"}, "Prometheus did not answer with vector or scalar"),
        (answer("vector", None), "Prometheus answered without a result list"),
        ("<html>", "the answer is not JSON; is this really Prometheus?"),
        (ApiError("x", status=503, reason="Gone"), "Prometheus monitoring/prometheus:9090 did not answer through the API server: Gone"),
        (ApiError("x", status=503), "Prometheus monitoring/prometheus:9090 did not answer through the API server: 503"),
    ],
)  # fmt: skip
def test_words_for_what_measures_nothing(given: Any, words: str) -> None:
    with pytest.raises(MetricsError) as caught:
        prometheus(given).number("up")
    assert str(caught.value) == words


def test_without_a_connection_there_is_no_way_to_a_service() -> None:
    with pytest.raises(MetricsError, match="no API server connection"):
        Prometheus(PrometheusOptions(namespace="a", service="b")).number("up")


def test_as_many_series_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_SERIES", 2)
    found = [{"metric": {}, "values": [[1, "1"]]}]
    assert len(prometheus(answer("matrix", found * 2)).raw_series("x", 60)) == 2
    with pytest.raises(MetricsError, match="answered with 3 series, more than 2"):
        prometheus(answer("matrix", found * 3)).raw_series("x", 60)


def test_as_long_an_answer_as_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '{"status": "success", "data": {"resultType": "vector", "result": []}}'
    monkeypatch.setattr(metrics, "MAX_ANSWER", len(text))
    assert prometheus(text).number("up") is None
    with pytest.raises(MetricsError, match="more than 64 MiB"):
        prometheus(f"{text} ").number("up")


@pytest.mark.parametrize(
    ("lookback", "asked"), [(60, "x[60s]"), (59.2, "x[60s]"), (0.1, "x[1s]"), (0, "x[1s]")]
)
def test_the_window_of_raw_series(lookback: float, asked: str) -> None:
    proxy = Proxy(answer("matrix", [{"metric": {"a": 1}, "values": [[1, "2.5"], [2, 3]]}]))
    found = Prometheus(PrometheusOptions(namespace="a", service="b"), proxy).raw_series("x", lookback)
    assert proxy.asked == [asked]
    assert found == [(frozenset({("a", "1")}), [(1.0, 2.5), (2.0, 3.0)])]


@pytest.mark.parametrize(
    "item",
    [{}, {"metric": {}}, {"metric": {}, "values": []}, {"metric": [], "values": [[1, 2]]}, {"metric": {}, "values": [[1]]},
     {"metric": {}, "values": [[1, "x"]]}, {"metric": {}, "values": 7}, []],
)  # fmt: skip
def test_a_series_without_samples_measures_nothing(item: Any) -> None:
    with pytest.raises(MetricsError, match="a series that has no samples"):
        prometheus(answer("matrix", [item])).raw_series("x", 60)


URL = "https://p.example"


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ({}, ["prometheus"]),
        ({"url": URL, "service": "b", "namespace": "a"}, ["prometheus"]),
        ({"service": "b"}, ["prometheus.namespace"]),
        *(({"url": url}, ["prometheus.url"]) for url in ("ftp://x", "https://", "x", "http://a b", "http://a:0", "http://a:x", "http://a\n")),
        ({"url": URL, "matchers": {"a-b": "x", "c": 7, "d": "x"}}, ["prometheus.matchers.a-b", "prometheus.matchers.c"]),
        ({"service": "b", "namespace": "a", "headers": {"x": "y"}}, ["prometheus.headers"]),
        ({"url": URL, "headers": {"a b": "y", "c": 7}}, ["prometheus.headers.a b", "prometheus.headers.c"]),
        *(({"url": URL, "headers": {name: "y"}}, [f"prometheus.headers.{name}"])
          for name in ("Authorization", "host", "Content-Length", "transfer-encoding")),
        ({"url": URL, "username": "a"}, ["prometheus.username"]),
        ({"url": URL, "password": "a"}, ["prometheus.username"]),
        ({"url": URL, "username": "a:b", "password": "c"}, ["prometheus.username"]),
        ({"url": URL, "username": "a", "password": "c", "bearer_token": "t"}, ["prometheus.username"]),
        ({"service": "b", "namespace": "a", "username": "a", "password": "c"}, ["prometheus.username"]),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(given: dict[str, Any], places: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        PrometheusOptions.from_params(given)
    assert [problem.where for problem in caught.value.problems] == places


@pytest.mark.parametrize(
    "given",
    [
        {"url": URL}, {"url": "http://a:9090/x"}, {"service": "b", "namespace": "a"}, {"url": URL, "headers": {"X-Org": "1"}},
        {"url": URL, "username": "a", "password": "c"}, {"url": URL, "matchers": {"_a1": ""}},
        {"url": URL, "bearer_token": " t\n", "replica_labels": ["a"], "timeout": None},
    ],
)  # fmt: skip
def test_options_that_fit(given: dict[str, Any]) -> None:
    found = PrometheusOptions.from_params(given)
    assert found.bearer_token == given.get("bearer_token", "").strip()
    assert found.replica_labels == tuple(given.get("replica_labels", ()))
    assert (found.timeout, found.port, found.validate_certs) == (10.0, 9090, True)


def test_what_a_query_is_filled_with() -> None:
    assert fill_query("up{a='$service',b='$$x'}", {"service": "api.v-1_"}) == "up{a='api.v-1_',b='$x'}"
    assert fill_query("up", {"service": "a" * 253}) == "up"
    for values in ({"service": "a" * 254}, {"service": "a'b"}, {"service": "a b"}):
        with pytest.raises(InputError, match="not allowed in a query"):
            fill_query("up", values)
    for query in ("$other", "$"):
        with pytest.raises(InputError, match="unknown placeholder"):
            fill_query(query, {"service": "a"})
