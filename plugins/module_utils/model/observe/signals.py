# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden signals: requests and failures per service and per edge, out of Istio's standard metrics. Pure.

Each request is counted where it is seen best, and once. Of a service, the requests that its own proxies
report (``reporter=destination``), and beside them only those that its callers' proxies ended themselves
(``reporter=source`` with a flag that says that no server was reached): these the server never saw. Of an
edge, what the caller's proxy reports, which knows its retries as one request. A service whose callers have
proxies and which has none itself is counted by them. Retries therefore make a service's number larger than
the sum of its edges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from ..response_flags import UNREACHED, flags_in
from ..rollout.counters import Labels
from ..rollout.requests import LabelError, is_bad

OUTSIDE = "outside the mesh"
"""Callers without a proxy: nobody knows their names."""
NO_ROUTE = "no destination"
"""Where requests end that no route takes."""
_UNKNOWN = frozenset(("", "unknown", "-"))
_SERVER_SIDE = frozenset(("destination", "waypoint"))
_MUTUAL_TLS = "mutual_tls"
_IDENTITY = "spiffe://"


@dataclasses.dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds in which that share of the requests was answered; None where nobody can tell."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Signals:
    """What one service answered, or one edge carried.

    :param requests: in the window. :param failed: None where the metrics do not say which failed.
    :param flags: requests by Envoy's response flag. :param codes: requests by status.
    """

    requests: float = 0.0
    failed: float | None = 0.0
    flags: Mapping[str, float] = dataclasses.field(default_factory=dict)
    codes: Mapping[str, float] = dataclasses.field(default_factory=dict)
    latency: Latency = Latency()

    @property
    def error_share(self) -> float | None:
        """Share of the requests that failed, 0 to 1, and 0 of none; None where nobody can tell."""
        if self.failed is None:
            return None
        return self.failed / self.requests if self.requests else 0.0

    def rate(self, seconds: float) -> float:
        """Requests per second of a window of that length; 0 of none."""
        return self.requests / seconds if seconds else 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class TrafficEdge:
    """Who called whom.

    :param source: ``namespace/service`` of the caller, or ``OUTSIDE``.
    :param destination: ``namespace/service``, a host outside, or ``NO_ROUTE``.
    :param secured: whether all requests came through mutual TLS; None where nobody can tell.
    """

    source: str
    destination: str
    signals: Signals
    secured: bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """What moved in a window of ``seconds``. ``services`` by key, ``edges`` by source and destination."""

    seconds: float
    services: Mapping[str, Signals]
    edges: tuple[TrafficEdge, ...]


@dataclasses.dataclass(slots=True)
class _Tally:
    total: float = 0.0
    bad: float = 0.0
    unreached: float = 0.0
    unreached_failures: float = 0.0
    untold: bool = False
    flags: dict[str, float] = dataclasses.field(default_factory=dict)
    codes: dict[str, float] = dataclasses.field(default_factory=dict)
    secured: float = 0.0
    open: float = 0.0

    def add(self, labels: Mapping[str, str], pairs: Labels, value: float) -> None:
        flags = flags_in(labels.get("response_flags", ""))
        unreached = bool(UNREACHED & set(flags))
        self.total += value
        self.unreached += value if unreached else 0.0
        try:
            if is_bad(pairs):
                self.bad += value
                self.unreached_failures += value if unreached else 0.0
        except LabelError:
            self.untold = True
        for flag in flags:
            self.flags[flag] = self.flags.get(flag, 0.0) + value
        code = labels.get("response_code", "")
        self.codes[code] = self.codes.get(code, 0.0) + value
        policy = labels.get("connection_security_policy", "")
        if policy == _MUTUAL_TLS:
            self.secured += value
        elif policy == "none":
            self.open += value


def traffic_of(
    increments: Mapping[Labels, float],
    seconds: float,
    service_latency: Mapping[str, Latency],
    edge_latency: Mapping[tuple[str, str], Latency],
) -> Traffic:
    """All signals of a window.

    :param increments: growth of each series of ``istio_requests_total``. :param seconds: its length.
    :param service_latency: by service key. :param edge_latency: by source and destination.
    """
    aliases = _aliases(increments)
    server: dict[str, _Tally] = {}
    client: dict[str, _Tally] = {}
    edges: dict[tuple[str, str], _Tally] = {}
    principals: dict[tuple[str, str], tuple[str, str]] = {}
    seen: dict[tuple[str, str, str], _Tally] = {}
    for pairs, value in increments.items():
        labels = dict(pairs)
        key, source = service_key(labels), source_key(labels)
        source = aliases.get(source, source)
        if labels.get("reporter") in _SERVER_SIDE:
            server.setdefault(key, _Tally()).add(labels, pairs, value)
            caller = (source, _principal(labels), key)
            seen.setdefault(caller, _Tally()).add(labels, pairs, value)
        elif labels.get("reporter") == "source":
            client.setdefault(key, _Tally()).add(labels, pairs, value)
            edge = (source or OUTSIDE, key)
            edges.setdefault(edge, _Tally()).add(labels, pairs, value)
            if principal := _principal(labels):
                principals[principal, key] = edge
    found = {key: _service(server.get(key), client.get(key)) for key in {**server, **client}}
    late = {(aliases.get(source, source), key): value for (source, key), value in edge_latency.items()}
    carried = _with_unseen(edges, seen, principals)
    return Traffic(
        seconds,
        {
            key: dataclasses.replace(signals, latency=service_latency.get(key, Latency()))
            for key, signals in sorted(found.items())
            if signals.requests
        },
        tuple(
            TrafficEdge(
                source,
                destination,
                _signals(tally, latency=late.get((source, destination), Latency())),
                _secured(tally),
            )
            for (source, destination), tally in sorted(carried.items())
            if tally.total
        ),
    )


def service_key(labels: Mapping[str, str]) -> str:
    """Who was called: ``namespace/service``; a mere host outside the mesh; ``NO_ROUTE``."""
    name, space = labels.get("destination_service_name", ""), labels.get("destination_service_namespace", "")
    if name in _UNKNOWN:
        host = labels.get("destination_service", "")
        if host not in _UNKNOWN:
            return host
        name, space = labels.get("destination_workload", ""), labels.get("destination_workload_namespace", "")
    if name in _UNKNOWN:
        return NO_ROUTE
    return name if space in _UNKNOWN else f"{space}/{name}"


def source_key(labels: Mapping[str, str]) -> str:
    """Who called: ``namespace/canonical service``, else its workload; ``""`` where nobody knows."""
    space = labels.get("source_workload_namespace", "")
    for name in (labels.get("source_canonical_service", ""), labels.get("source_workload", "")):
        if name not in _UNKNOWN:
            return f"{space}/{name}"
    return ""


def _aliases(increments: Iterable[Labels]) -> dict[str, str]:
    """Canonical services whose Service has another name: one box in the graph, and one name in the tables."""
    found: dict[str, set[str]] = {}
    for pairs in increments:
        labels = dict(pairs)
        name = labels.get("destination_canonical_service", "")
        space, service = labels.get("destination_workload_namespace", ""), service_key(labels)
        if name not in _UNKNOWN and "/" in service:
            found.setdefault(f"{space}/{name}", set()).add(service)
    return {name: min(services) for name, services in found.items() if name not in services}


def _principal(labels: Mapping[str, str]) -> str:
    found = labels.get("source_principal", "")
    return found if found.startswith(_IDENTITY) else ""


def _service(server: _Tally | None, client: _Tally | None) -> Signals:
    """One service's requests, each once."""
    mine, theirs = server or _Tally(), client or _Tally()
    flags = {
        flag: max(mine.flags.get(flag, 0.0), theirs.flags.get(flag, 0.0))
        for flag in sorted({*mine.flags, *theirs.flags})
    }
    codes = mine.codes if server else theirs.codes
    untold = mine.untold or theirs.untold
    return Signals(
        requests=max(mine.total + theirs.unreached, theirs.total),
        failed=None if untold else max(mine.bad + theirs.unreached_failures, theirs.bad),
        flags=flags,
        codes=dict(sorted(codes.items())),
    )


def _with_unseen(
    edges: Mapping[tuple[str, str], _Tally],
    seen: Mapping[tuple[str, str, str], _Tally],
    principals: Mapping[tuple[str, str], tuple[str, str]],
) -> dict[tuple[str, str], _Tally]:
    """The callers' own reports, with what only the server knows: how the connection was secured, and callers
    that have no proxy, or one whose metrics nobody reads."""
    carried = dict(edges)
    for (source, principal, destination), tally in seen.items():
        known = (source, destination) if (source, destination) in edges else None
        known = known or principals.get((principal, destination))
        if known is not None:
            edge = carried[known]
            edge.secured += tally.secured
            edge.open += tally.open
            continue
        name = source or (f"account {_account(principal)}" if principal else OUTSIDE)
        into = carried.setdefault((name, destination), _Tally())
        _merge(into, tally)
    return carried


def _merge(into: _Tally, tally: _Tally) -> None:
    into.total += tally.total
    into.bad += tally.bad
    into.untold = into.untold or tally.untold
    into.secured += tally.secured
    into.open += tally.open
    for mine, theirs in ((into.flags, tally.flags), (into.codes, tally.codes)):
        for key, value in theirs.items():
            mine[key] = mine.get(key, 0.0) + value


def _account(principal: str) -> str:
    """``namespace/account`` of ``spiffe://domain/ns/namespace/sa/account``."""
    parts = principal.split("/")
    return f"{parts[4]}/{parts[6]}" if len(parts) == 7 else principal


def _signals(tally: _Tally, latency: Latency) -> Signals:
    return Signals(
        requests=tally.total,
        failed=None if tally.untold else tally.bad,
        flags=dict(sorted(tally.flags.items())),
        codes=dict(sorted(tally.codes.items())),
        latency=latency,
    )


def _secured(tally: _Tally) -> bool | None:
    if tally.open:
        return False
    return True if tally.secured else None


def slowest(edges: Iterable[TrafficEdge], most: int) -> list[TrafficEdge]:
    """The edges whose slowest requests take longest. :returns: by p99, the slowest first; only known ones."""
    known = [edge for edge in edges if edge.signals.latency.p99 is not None]
    return sorted(known, key=lambda edge: -(edge.signals.latency.p99 or 0.0))[:most]


def flagged(edges: Sequence[TrafficEdge]) -> list[tuple[str, float, list[TrafficEdge]]]:
    """Requests by response flag.

    :returns: flag, how many, and the edges that had it, the most frequent first.
    """
    counts: dict[str, float] = {}
    having: dict[str, list[TrafficEdge]] = {}
    for edge in edges:
        for flag, count in edge.signals.flags.items():
            if count:
                counts[flag] = counts.get(flag, 0.0) + count
                having.setdefault(flag, []).append(edge)
    return [
        (flag, count, sorted(having[flag], key=lambda edge: -edge.signals.flags[flag]))
        for flag, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
