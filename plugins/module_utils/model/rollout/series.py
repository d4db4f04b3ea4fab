# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw series as Prometheus gives them: which belong together, which are there twice, when they were scraped.

What a scrape adds to a series (``job``, the port of ``instance``, the replica of Prometheus) says nothing of
the requests that it counts. Two series that differ in nothing else count the same requests, and their sum
would double the evidence.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics as plain
from collections.abc import Collection, Iterable, Mapping, Sequence

from .counters import Labels, label_of
from .requests import LabelError

Points = Sequence[tuple[float, float]]
Raw = tuple[Labels, Points]

SCRAPE_LABELS = frozenset(
    {"job", "endpoint", "container", "service", "prometheus", "prometheus_replica", "replica", "monitor"}
    | {"receive_replica", "tenant", "tenant_id", "__replica__"}
)
"""Labels that a scrape or a central Prometheus adds, in the names that their projects use."""
CLUSTER_LABELS = ("cluster", "cluster_name", "cluster_id", "k8s_cluster", "k8s_cluster_name")
POD_LABELS = ("pod", "pod_name", "kubernetes_pod_name")


@dataclasses.dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """What was scraped: a pod, by its name, its address, or both."""

    pod: str
    host: str


def target_of(labels: Labels) -> ScrapeTarget:
    """The target of a series; empty for one that was added up from many."""
    pod = next((found for name in POD_LABELS if (found := label_of(labels, name))), "")
    return ScrapeTarget(pod, _host(label_of(labels, "instance")))


def _host(instance: str) -> str:
    """Address without its port: one proxy has two ports with the same metrics."""
    host, colon, port = instance.rpartition(":")
    return host if colon and port.isdigit() else instance


def plain_labels(labels: Labels) -> Labels:
    """Without what a scrape adds: the same request counter has the same ones, however it is scraped."""
    kept = {(name, value) for name, value in labels if name not in SCRAPE_LABELS and name != "instance"}
    host = _host(label_of(labels, "instance"))
    return frozenset(kept | ({("instance", host)} if host else set()))


def unique(series: Iterable[Raw], replica_labels: Collection[str] = ()) -> list[Raw]:
    """One series for each counter.

    :param replica_labels: labels that tell copies of the same samples apart, such as ``prometheus_replica``;
        of such copies the freshest counts.
    :returns: (plain labels, points) of each, in time order.
    :raises LabelError: a target is scraped twice, or clusters are mixed; the message names the labels.
    """
    found = [(labels - _named(labels, replica_labels), points) for labels, points in series]
    _refuse_clusters(labels for labels, _points in found)
    groups: dict[Labels, list[Raw]] = {}
    for labels, points in found:
        groups.setdefault(plain_labels(labels), []).append((labels, points))
    _refuse_twice_scraped([item for group in groups.values() for item in group])
    return [(labels, _joined(group)) for labels, group in groups.items()]


def _named(labels: Labels, names: Collection[str]) -> Labels:
    return frozenset((name, value) for name, value in labels if name in names)


def _joined(group: Sequence[Raw]) -> Points:
    """Copies, or the parts of one series whose labels changed in between: the freshest, with what came before
    it."""
    ordered = sorted((points for _labels, points in group), key=lambda points: points[-1][0])
    joined = list(ordered[-1])
    for points in reversed(ordered[:-1]):
        joined = [point for point in points if point[0] < joined[0][0]] + joined
    return joined


def _refuse_clusters(series: Iterable[Labels]) -> None:
    """Clusters that share a store differ in a label, which that of the store itself may lack."""
    servers: dict[str, dict[str, set[ScrapeTarget]]] = {name: {} for name in CLUSTER_LABELS}
    for labels in series:
        server = {target_of(labels)} if label_of(labels, "reporter") == "destination" else set()
        for name, found in servers.items():
            found.setdefault(label_of(labels, name), set()).update(server)
    for name, found in servers.items():
        without = found.pop("", set())
        labelled = set().union(*found.values())
        if len(found) > 1:
            raise LabelError(
                f"the metrics are of several clusters ({name}: {', '.join(sorted(found))}): choose one with"
                f" canary_prometheus.matchers, such as {{{name}: {min(found)}}}"
            )
        # one target with and without it has got the label just now
        if labelled - without and without - labelled:
            raise LabelError(
                f"the metrics are of several clusters (label {name} is {min(found)}, or missing): choose one"
                f" with canary_prometheus.matchers, {{{name}: {min(found)}}} or {{{name}: ''}}"
            )


def _refuse_twice_scraped(series: Sequence[Raw]) -> None:
    """A target whose series come from two scrapes at the same time."""
    scrapes: dict[ScrapeTarget, dict[Labels, tuple[float, float]]] = {}
    for labels, points in series:
        target = target_of(labels)
        if not (target.host or target.pod):
            continue
        scrape = frozenset(
            (name, value) for name, value in labels if name in SCRAPE_LABELS or name == "instance"
        )
        spans = scrapes.setdefault(_without_pod(target), {})
        first, last = spans.get(scrape, (points[0][0], points[-1][0]))
        spans[scrape] = (min(first, points[0][0]), max(last, points[-1][0]))
    for target, spans in scrapes.items():
        ordered = sorted(spans.items(), key=lambda item: item[1])
        for (one, (_begin, end)), (other, (begin, _end)) in itertools.pairwise(ordered):
            if begin < end:
                names = sorted({name for name, _value in one ^ other})
                raise LabelError(
                    f"{target.host or target.pod} is scraped twice, told apart by {', '.join(names)}: its"
                    " requests would count double; choose one scrape with canary_prometheus.matchers, or name"
                    " the label of the copies in canary_prometheus.replica_labels"
                )


def _without_pod(target: ScrapeTarget) -> ScrapeTarget:
    """Scrapes of one address are compared whether they know the pod or not."""
    return ScrapeTarget("", target.host) if target.host else target


def scrape_interval(series: Iterable[Raw]) -> float | None:
    """Seconds between two scrapes of a target as they really are; None where nothing was scraped twice."""
    gaps = [
        after[0] - before[0]
        for _labels, points in series
        for before, after in itertools.pairwise(points)
        if after[0] > before[0]
    ]
    return plain.median(gaps) if gaps else None


def span(series: Iterable[Raw]) -> float:
    """Seconds that samples really span: from the first to the last one of a series, the longest of all."""
    return max((points[-1][0] - points[0][0] for _labels, points in series), default=0.0)


def between_scrapes(series: Iterable[Raw], interval: float) -> dict[int, dict[Labels, float]]:
    """How much each series grew in spans of one scrape interval.

    :param interval: seconds. :returns: number of the span -> labels -> growth.
    """
    grown: dict[int, dict[Labels, float]] = {}
    for labels, points in series:
        for (_at, before), (at, after) in itertools.pairwise(points):
            here = grown.setdefault(int(at // interval), {})
            here[labels] = here.get(labels, 0.0) + (after - before if after >= before else after)
    return grown


def moved(series: Sequence[Raw]) -> dict[Labels, float]:
    """Increment of each series inside the window.

    One that began later than others of its target counts from 0. A target that began inside the window has
    counters of unknown age: they count from their first sample.

    :returns: labels of a series -> how much it has grown.
    """
    began: dict[ScrapeTarget, float] = {}
    for labels, points in series:
        target = target_of(labels)
        began[target] = min(began.get(target, points[0][0]), points[0][0])
    grown: dict[Labels, float] = {}
    for labels, points in series:
        new = points[0][0] > began[target_of(labels)]
        total, before = 0.0, 0.0 if new else points[0][1]
        for _at, value in points:
            total += value - before if value >= before else value
            before = value
        grown[labels] = total
    return grown


def by_target(newest: Mapping[Labels, float]) -> dict[ScrapeTarget, float]:
    """When each target was scraped last. :param newest: labels of a series -> time of its newest sample.

    :returns: target -> seconds since the epoch.
    """
    seen: dict[ScrapeTarget, float] = {}
    for labels, at in newest.items():
        target = target_of(labels)
        seen[target] = max(seen.get(target, 0.0), at)
    return seen
