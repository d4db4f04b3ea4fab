# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From raw series of Istio's standard metrics to requests per version. Pure functions.

A version is a workload. Requests are counted at the server (``reporter=destination``) and at its clients
(``reporter=source``): connection failures, timeouts and refused handshakes never reach the server's proxy.
What both sides saw is counted once, so a version has the larger of both counts. Failures that reached no
known workload cannot be told apart by version: what exceeds their rate before the rollout is charged to the
canary.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ..reading.values import is_number
from ..response_flags import GONE, NONE, flags_in
from .counters import Labels, label_of

# gRPC codes that mean the server failed (google.rpc.Code): UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
# INTERNAL, UNAVAILABLE, DATA_LOSS.
GRPC_FAILURES = ("2", "4", "12", "13", "14", "15")
_BLAMELESS = "|".join(sorted(NONE | GONE))
BAD_MATCHERS = (
    f'grpc_response_status=~"{"|".join(GRPC_FAILURES)}"',
    'response_code=~"5.*"',
    f'response_code="0",response_flags!~"({_BLAMELESS})(,({_BLAMELESS}))*"',
)
"""What ``is_bad`` says, for Prometheus: the series that match one of these, which may overlap."""


class LabelError(ValueError):
    """The telemetry lacks a label that the gates need."""


@dataclasses.dataclass(frozen=True, slots=True)
class RequestCounts:
    """Requests and bad requests."""

    total: float = 0.0
    bad: float = 0.0

    def plus(self, total: float, bad: float) -> RequestCounts:
        """The sum."""
        return RequestCounts(self.total + total, self.bad + bad)


@dataclasses.dataclass(frozen=True, slots=True)
class VersionWorkloads:
    """The workloads of both versions, and their namespace."""

    namespace: str
    stable: str
    canary: str

    def of(self, labels: Labels) -> str:
        """``stable``, ``canary``, ``unknown`` or an empty string for other workloads."""
        workload = label_of(labels, "destination_workload")
        if workload in ("", "unknown"):
            return "unknown"
        if label_of(labels, "destination_workload_namespace") != self.namespace:
            return ""
        return {self.stable: "stable", self.canary: "canary"}.get(workload, "")


def is_bad(labels: Labels) -> bool:
    """Whether a request with these labels failed by the server's or the mesh's fault.

    :raises LabelError: no response code: nobody can tell.
    """
    code = label_of(labels, "response_code")
    if not is_number(code):
        raise LabelError(f"series without a usable response_code ({code!r})")
    status = label_of(labels, "grpc_response_status")
    if label_of(labels, "request_protocol") == "grpc" and code == "200" and not status:
        # every gRPC call that reached a server ends with HTTP 200; how it ended stands in the trailers
        raise LabelError(
            "gRPC requests without grpc_response_status: nobody can tell whether they failed (Istio's metrics"
            " have this label; a Telemetry or a relabelling has removed it)"
        )
    if status in GRPC_FAILURES:
        return True
    flags = label_of(labels, "response_flags")
    if code == "0":  # no answer was sent: bad unless the client went away
        return bool(set(flags_in(flags)) - GONE)
    return code.startswith("5")


def count_requests(
    increments: Mapping[Labels, float], versions: VersionWorkloads
) -> dict[str, RequestCounts]:
    """Requests by ``<reporter>/<version>``, such as ``destination/canary`` and ``source/unknown``.

    :returns: key -> how many, and how many of them bad.
    """
    counts: dict[str, RequestCounts] = {}
    for labels, value in increments.items():
        version = versions.of(labels)
        reporter = label_of(labels, "reporter")
        if not version or reporter not in ("source", "destination", "waypoint"):
            continue
        side = "source" if reporter == "source" else "destination"
        key = f"{side}/{version}"
        counts[key] = counts.get(key, RequestCounts()).plus(value, value if is_bad(labels) else 0.0)
    return counts


def count_slow(
    increments: Mapping[Labels, float], versions: VersionWorkloads, bound: str
) -> dict[str, RequestCounts]:
    """Requests by version at the server, bad = slower than the histogram bound (its ``le`` label as text).

    :returns: version -> how many, and how many of them slow.
    """
    total: dict[str, float] = {}
    fast: dict[str, float] = {}
    for labels, value in increments.items():
        version = versions.of(labels)
        if version not in ("stable", "canary"):
            continue
        le = label_of(labels, "le")
        if le == "+Inf":
            total[version] = total.get(version, 0.0) + value
        elif le == bound:
            fast[version] = fast.get(version, 0.0) + value
    return {
        version: RequestCounts(count, max(0.0, count - fast.get(version, 0.0)))
        for version, count in total.items()
    }


def merged(counts: Mapping[str, RequestCounts], version: str) -> RequestCounts:
    """Both reporters' view of one version: the larger of each count."""
    server, client = (
        counts.get(f"destination/{version}", RequestCounts()),
        counts.get(f"source/{version}", RequestCounts()),
    )
    return RequestCounts(max(server.total, client.total), max(server.bad, client.bad))


def bucket_bounds(series: Iterable[Labels]) -> list[tuple[float, str]]:
    """Finite histogram bounds in milliseconds with their label text, ascending.

    :returns: (milliseconds, label text) per bound.
    """
    bounds: dict[float, str] = {}
    for labels in series:
        text = label_of(labels, "le")
        try:
            value = float(text)
        except ValueError:
            continue
        if value != float("inf"):
            bounds[value] = text
    return sorted(bounds.items())


def quantile(buckets: Mapping[str, float], share: float) -> float | None:
    """The quantile of a histogram by linear interpolation, as ``histogram_quantile`` does it.

    :param buckets: cumulative counts by ``le`` text, ``+Inf`` included. :returns: ``None`` without requests.
    """
    ordered = sorted((float(text), count) for text, count in buckets.items())
    if not ordered or ordered[-1][1] <= 0:
        return None
    rank = share * ordered[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in ordered:
        if count >= rank:
            if bound == float("inf"):
                return lower
            inside = count - below
            return lower + (bound - lower) * ((rank - below) / inside if inside else 1.0)
        lower, below = bound, count
    return lower


def by_bound(increments: Mapping[Labels, float]) -> dict[str, float]:
    """Requests up to each bound. :returns: text of the bound -> how many."""
    buckets: dict[str, float] = {}
    for labels, value in increments.items():
        text = label_of(labels, "le")
        buckets[text] = buckets.get(text, 0.0) + value
    return buckets


def choose_bound(series: Iterable[Labels], p95: float | None, max_ms: float | None) -> str:
    """Text of the histogram bound above which a request is slow; empty where nothing says so yet.

    :param p95: milliseconds of the stable version. :param max_ms: the limit that was asked for.
    :raises LabelError: no bound is at or below the limit.
    """
    bounds = bucket_bounds(series)
    if not bounds:
        return ""
    if max_ms is not None:
        below = [text for value, text in bounds if value <= max_ms]
        if not below:
            raise LabelError(f"no histogram bound at or below {max_ms:g} ms: the smallest is {bounds[0][1]}")
        return below[-1]  # a bound below the limit: stricter than asked, never looser
    if p95 is None:
        return ""
    above = [text for value, text in bounds if value >= 2 * p95]
    return above[0] if above else bounds[-1][1]
