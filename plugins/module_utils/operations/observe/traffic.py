# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks Prometheus for the golden signals of the mesh, and who of it is scraped at all."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...fields import name_of, namespace_of
from ...istio.metrics import MetricsError, Prometheus, RawSeries
from ...istio.workloads import PROXY_CONTAINER
from ...kube.pods import containers
from ...model.observe.queries import selectors
from ...model.observe.signals import Latency, Traffic, service_key, source_key, traffic_of
from ...model.promql import matching
from ...model.rollout.counters import Labels, label_of
from ...model.rollout.requests import LabelError
from ...model.rollout.series import POD_LABELS, Raw, moved, span, unique
from ...words import some_of
from .look import ObserveLook

PART = "traffic"
_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_SERVICE_LABELS = ("destination_service_name", "destination_service_namespace")
_CANONICAL, _WORKLOAD = "source_canonical_service", "source_workload"
_NAMESPACE_LABELS = ("namespace", "kubernetes_namespace")


@dataclasses.dataclass(frozen=True, slots=True)
class SeenTraffic:
    """What Prometheus knows.

    :param idle: services of the catalogue that had no request, and are scraped: theirs is a real zero.
    :param dark: those of which nobody knows whether they had any.
    """

    traffic: Traffic
    idle: tuple[str, ...]
    dark: tuple[str, ...]


def traffic(look: ObserveLook) -> SeenTraffic | None:
    """The golden signals of the window; None, with a note, where they cannot be told."""
    prometheus = look.prometheus
    if prometheus is None:
        why = "nobody says where Prometheus is: set observe_prometheus, or put prometheus into addons_enabled"
        look.tell_not(PART, why)
        return None
    try:
        found, scrapes = _traffic(look, prometheus)
    except (MetricsError, LabelError, ValueError) as error:
        look.tell_not(PART, str(error))
        return None
    idle, dark = _quiet_services(look, _scraped(scrapes), found)
    if dark:
        told = f"Prometheus scrapes no proxy of {some_of(dark, 5)}: whether they had requests is not known"
        look.tell_not(PART, told)
    return SeenTraffic(found, idle, dark)


def _up(prometheus: Prometheus) -> str:
    """The selector of what tells whether a target was scraped."""
    return f"up{{{matching(prometheus.options.matchers).removeprefix(',')}}}"


def _scrapes(look: ObserveLook, prometheus: Prometheus) -> list[RawSeries]:
    """When each target was scraped in the window. A counter that appears at one that was scraped before
    counts from 0; without this a service's first requests would be nobody's."""
    try:
        return prometheus.raw_series(_up(prometheus), look.options.window)
    except MetricsError as error:
        look.tell_not(PART, f"who is scraped: {error}")
        return []


def _traffic(look: ObserveLook, prometheus: Prometheus) -> tuple[Traffic, list[RawSeries]]:
    """The signals, and when each target was scraped."""
    server, client = selectors(look.namespaces, prometheus.options.matchers)
    replicas = prometheus.options.replica_labels
    answers = [
        unique(prometheus.raw_series(f"istio_requests_total{{{side}}}", look.options.window), replicas)
        for side in (server, client)
    ]
    # Last, so that its window begins no earlier than theirs: a counter whose samples begin later is new.
    scrapes = _scrapes(look, prometheus)
    series: list[Raw] = [item for answer in answers for item in answer]
    if not all(math.isfinite(value) and value >= 0 for _labels, points in series for _at, value in points):
        raise MetricsError("a counter of istio_requests_total is negative, or no number")
    grown: dict[Labels, float] = {}
    for answer in answers:
        every = moved([*answer, *_good(scrapes)])
        grown |= {labels: every[labels] for labels, _points in answer}
    if not series:
        known = prometheus.number("count(istio_requests_total)")
        why = "Prometheus has no istio_requests_total at all: does it scrape the proxies?"
        if known:
            why = f"Prometheus has no istio_requests_total of {', '.join(look.namespaces)} in this window"
        raise MetricsError(why)
    newest = max(points[-1][0] for _labels, points in series)
    found = traffic_of(
        grown,
        span(series) or look.options.window,
        {
            service_key(labels): found
            for labels, found in _latency(look, prometheus, server, _SERVICE_LABELS, newest)
        },
        {
            (source_key(labels), service_key(labels)): found
            for labels, found in _latency(look, prometheus, client, _edge_labels(grown), newest)
        },
    )
    return found, scrapes


def _good(scrapes: Sequence[RawSeries]) -> list[RawSeries]:
    """The scrapes that went well, each as a series of its target: of one that failed there are no samples."""
    found = [
        (frozenset({*labels, ("__name__", "up")}), [point for point in points if point[1] == 1])
        for labels, points in scrapes
    ]
    return [(labels, points) for labels, points in found if points]


def _edge_labels(grown: Collection[Labels]) -> tuple[str, ...]:
    """By which labels callers are told apart: by workload where a Telemetry has removed the canonical one."""
    named = any(name == _CANONICAL and value != "unknown" for labels in grown for name, value in labels)
    return (*_SERVICE_LABELS, _CANONICAL if named else _WORKLOAD, "source_workload_namespace")


def _latency(
    look: ObserveLook, prometheus: Prometheus, side: str, names: Sequence[str], at: float
) -> list[tuple[dict[str, str], Latency]]:
    """Quantiles by label, added up in Prometheus: raw buckets of a large mesh would be too many to carry.

    ``increase`` sees nothing of a series that appears with all its requests in one scrape. As with the
    counters, one that is new at a target that was scraped before counts from 0.

    :param at: time of the newest counter: the window ends there, however long the questions take.
    """
    window = f"{max(1, math.ceil(look.options.window))}s"
    series = f"istio_request_duration_milliseconds_bucket{{{side}}}"
    scraped = f"{_up(prometheus)} offset {window} == 1"
    new = f"({series} unless {series} offset {window}) and on (job, instance) ({scraped})"
    buckets = f"({new}) or increase({series}[{window}])"
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for name, share in _QUANTILES:
        query = f"histogram_quantile({share}, sum by (le,{','.join(names)}) ({buckets}))"
        try:
            answer = prometheus.vector(query, at)
        except MetricsError as error:
            look.tell_not(PART, f"latency: {error}")
            return []
        for labels, value in answer:
            found.setdefault(tuple(labels.get(key, "") for key in names), {})[name] = value
    return [(dict(zip(names, key, strict=True)), Latency(**values)) for key, values in found.items()]


def _quiet_services(
    look: ObserveLook, scraped: frozenset[tuple[str, str]], found: Traffic
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Services of the catalogue without a request: (scraped, not scraped)."""
    streams = [service.key for service in look.catalogue.services if service.http_port is None]
    if streams:
        look.tell_not(
            PART, f"{some_of(streams, 5)}: connections of plain TCP are no requests, and are not counted"
        )
    quiet = [
        service
        for service in look.catalogue.services
        if service.key not in found.services and service.http_port is not None
    ]
    idle: list[str] = []
    dark: list[str] = []
    for service in quiet:
        names = {(namespace_of(pod), name_of(pod)) for pod in look.pods_of(service) if _has_proxy(pod)}
        (idle if names and names <= scraped else dark).append(service.key)
    return tuple(idle), tuple(dark)


def _has_proxy(pod: Mapping[str, Any]) -> bool:
    return any(item.name == PROXY_CONTAINER for item in containers(pod))


def _scraped(scrapes: Sequence[RawSeries]) -> frozenset[tuple[str, str]]:
    """Namespace and name of the pods whose last scrape went well."""
    return frozenset(
        (_first(labels, _NAMESPACE_LABELS), _first(labels, POD_LABELS))
        for labels, points in scrapes
        if points[-1][1] == 1
    )


def _first(labels: Labels, names: Sequence[str]) -> str:
    return next((value for name in names if (value := label_of(labels, name))), "")
