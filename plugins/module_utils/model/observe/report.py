# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole answer of a look at a mesh, as data and as lines for a terminal. Pure."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ...verdicts import CANNOT_TELL, PASS
from ..response_flags import explained
from .numbers import number, percent
from .signals import Signals, Traffic, TrafficEdge, flagged, slowest


@dataclasses.dataclass(frozen=True, slots=True)
class Saturation:
    """How near the pods of a service are to their limits, 0 to 1, the fullest pod; None: cannot tell."""

    cpu: float | None = None
    memory: float | None = None


@dataclasses.dataclass(slots=True)
class Report:
    """What was found. A part that was not asked for, or could not be told at all, is None.

    :param idle: services without a request, which are scraped. :param dark: those of which nobody knows.
    :param saturation: by service.
    :param stated: services of the catalogue. :param untold: what could not be told, ``{part, reason}``.
    """

    mesh: str
    at: datetime.datetime
    status: str = PASS
    addresses: list[dict[str, Any]] | None = None
    dashboards: list[dict[str, Any]] | None = None
    versions: dict[str, Any] | None = None
    rollouts: dict[str, Any] | None = None
    certificates: dict[str, Any] | None = None
    overhead: dict[str, Any] | None = None
    traffic: Traffic | None = None
    idle: tuple[str, ...] = ()
    dark: tuple[str, ...] = ()
    saturation: Mapping[str, Saturation] = dataclasses.field(default_factory=dict)
    stated: tuple[str, ...] = ()
    untold: list[dict[str, str]] = dataclasses.field(default_factory=list)

    @property
    def headline(self) -> str:
        """One sentence: how much moves, how much of it fails, and what could not be told."""
        parts = []
        if self.traffic is not None:
            signals = total(self.traffic)
            share = signals.error_share
            failing = "errors: cannot tell" if share is None else f"{percent(share)} failed"
            count = len(self.traffic.services)
            into = "1 service" if count == 1 else f"{count} services"
            parts.append(f"{number(signals.rate(self.traffic.seconds))} requests/s into {into}, {failing}")
        if self.rollouts is not None and self.rollouts["active"]:
            parts.append(f"rollouts of {', '.join(self.rollouts['active'])} run")
        if self.certificates is not None:
            parts.append(f"certificates {self.certificates['status']}")
        if self.untold:
            parts.append(f"{CANNOT_TELL}: {self.untold[0]['reason']}")
            parts[-1] += f" (and {len(self.untold) - 1} more)" if len(self.untold) > 1 else ""
        told = ", ".join(self.parts(1))
        return "; ".join(parts) or (f"{told} told" if told else "nothing was asked for")

    def parts(self, top: int | None) -> dict[str, Any]:
        """The parts that were asked for, as a module returns them.

        :param top: how many entries of a long list; None for all. :returns: part -> what was found.
        """
        found: dict[str, Any] = {
            "addresses": self.addresses,
            "dashboards": self.dashboards,
            "versions": self.versions,
            "rollouts": _short(self.rollouts, top),
            "certificates": self.certificates,
            "overhead": self.overhead,
            "traffic": self._traffic(top),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _traffic(self, top: int | None) -> dict[str, Any] | None:
        if self.traffic is None:
            return None
        seconds = self.traffic.seconds
        services = busiest(self.traffic)
        return {
            "seconds": round(seconds, 1),
            "services": [
                {"service": key, **_numbers(signals, seconds), **self._saturation(key)}
                for key, signals in services[:top]
            ],
            "edges": [edge_entry(edge, seconds) for edge in by_rate(self.traffic.edges)[:top]],
            "slowest": [
                edge_entry(edge, seconds)
                for edge in slowest(self.traffic.edges, len(self.traffic.edges) if top is None else top)
            ],
            "flags": [
                {
                    "flag": flag,
                    "requests": round(count),
                    "means": explained((flag,)),
                    "edges": [f"{edge.source} -> {edge.destination}" for edge in edges[:top]],
                }
                for flag, count, edges in flagged(self.traffic.edges)[:top]
            ],
            "idle": list(self.idle[:top]),
            "dark": list(self.dark[:top]),
            "counts": {
                "services": len(services),
                "edges": len(self.traffic.edges),
                "idle": len(self.idle),
                "dark": len(self.dark),
            },
        }

    def _saturation(self, key: str) -> dict[str, Any]:
        told = dataclasses.asdict(self.saturation.get(key, Saturation()))
        return {
            "saturation": {
                name: CANNOT_TELL if value is None else round(value, 4) for name, value in told.items()
            }
        }


def _short(rollouts: dict[str, Any] | None, top: int | None) -> dict[str, Any] | None:
    """Plans of rollouts are long; playbook canary_status shows them."""
    if rollouts is None:
        return None
    return {"active": rollouts["active"], "lines": rollouts["lines"][:top]}


def total(traffic: Traffic) -> Signals:
    """All services together."""
    failed = [signals.failed for signals in traffic.services.values()]
    return Signals(
        requests=sum(signals.requests for signals in traffic.services.values()),
        failed=None if None in failed else sum(count or 0.0 for count in failed),
    )


def busiest(traffic: Traffic) -> list[tuple[str, Signals]]:
    """The services, those with most failures first, then those with most requests.

    :returns: key and signals.
    """
    return sorted(
        traffic.services.items(), key=lambda item: (-(item[1].failed or 0.0), -item[1].requests, item[0])
    )


def by_rate(edges: Sequence[TrafficEdge]) -> list[TrafficEdge]:
    """The edges in the order of :func:`busiest`. :returns: all of them."""
    return sorted(
        edges,
        key=lambda edge: (
            -(edge.signals.failed or 0.0),
            -edge.signals.requests,
            edge.source,
            edge.destination,
        ),
    )


def edge_entry(edge: TrafficEdge, seconds: float) -> dict[str, Any]:
    """An edge as a module returns it.

    :returns: ``source``, ``destination``, ``mtls``, and the numbers of :func:`_numbers`.
    """
    secured = {True: "yes", False: "no", None: CANNOT_TELL}[edge.secured]
    return {
        "source": edge.source,
        "destination": edge.destination,
        "mtls": secured,
        **_numbers(edge.signals, seconds),
    }


def _numbers(signals: Signals, seconds: float) -> dict[str, Any]:
    """``requests``, ``rate`` (per second), ``error_share`` (0 to 1), ``p50_ms``, ``p95_ms``, ``p99_ms``."""
    share = signals.error_share
    return {
        "requests": round(signals.requests),
        "rate": round(signals.rate(seconds), 3),
        "error_share": CANNOT_TELL if share is None else round(share, 6),
        **{
            f"{name}_ms": CANNOT_TELL if value is None else round(value, 2)
            for name, value in dataclasses.asdict(signals.latency).items()
        },
    }
