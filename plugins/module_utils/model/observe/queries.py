# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The golden signals of :mod:`.signals` as PromQL, for what asks Prometheus by itself. Pure.

The same counting: a request counts once, of a service at its own proxies and beside them what its callers'
proxies ended, of a call at the caller's proxy. Only that ``rate()`` knows nothing of a series' first sample.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence

from ..promql import matching, one_of
from ..response_flags import UNREACHED
from ..rollout.requests import BAD_MATCHERS

SERVICE = "destination_service"
EDGE = (
    "source_workload_namespace, source_canonical_service, destination_service_namespace,"
    " destination_service_name"
)
"""Labels by which services, and calls, are told apart."""
INTERVAL = "$__rate_interval"
"""Grafana's own: at least four scrapes, and as much as a point of the graph stands for."""
_BAD = tuple(f",{matchers}" for matchers in BAD_MATCHERS)
_ALL = ("",)
_UNREACHED = f',response_flags=~"(.*,)?({"|".join(sorted(UNREACHED))})(,.*)?"'
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def selectors(namespaces: Collection[str], matchers: Mapping[str, str]) -> tuple[str, str]:
    """What the servers' and what the callers' proxies of these namespaces report, as label matchers.

    :returns: of the server's side and of the caller's; without the braces.
    """
    spaces = one_of(namespaces)
    only = matching(matchers)
    return (
        f'reporter=~"destination|waypoint",destination_workload_namespace=~{spaces}{only}',
        f'reporter="source",source_workload_namespace=~{spaces}{only}',
    )


@dataclasses.dataclass(frozen=True, slots=True)
class QueryScope:
    """Which series are meant.

    :param namespaces: of the mesh. :param matchers: label -> value that all series have.
    :param replica_labels: labels by which copies of the same samples differ: of these the largest counts.
    :param service: of these services alone, as label matchers with a comma before each.
    """

    namespaces: tuple[str, ...]
    matchers: Mapping[str, str]
    replica_labels: tuple[str, ...] = ()
    service: str = ""

    @property
    def only(self) -> str:
        """The matchers that every series has to have, with a comma before each."""
        return plain(matching(self.matchers))

    @property
    def server(self) -> str:
        """What the servers' proxies report."""
        return plain(selectors(self.namespaces, self.matchers)[0]) + self.service

    @property
    def client(self) -> str:
        """What the callers' proxies report."""
        return plain(selectors(self.namespaces, self.matchers)[1]) + self.service

    def requests(self) -> str:
        """Requests per second of each service."""
        return self._once(_ALL)

    def failed(self) -> str:
        """Failed requests per second of each service; nothing of one without."""
        return self._once(_BAD)

    def edge_requests(self) -> str:
        """Requests per second of each call."""
        return self._sum(EDGE, [self.client])

    def edge_failed(self) -> str:
        """Failed requests per second of each call; nothing of one without."""
        return self._sum(EDGE, [f"{self.client}{bad}" for bad in _BAD])

    def quantile(self, share: float, *, edges: bool = False) -> str:
        """Milliseconds in which that share of the requests of each service, or call, was answered."""
        side, labels = (self.client, EDGE) if edges else (self.server, SERVICE)
        buckets = self.rate(side, "istio_request_duration_milliseconds_bucket")
        return f"histogram_quantile({share}, sum by (le, {labels}) ({buckets}))"

    def by_version(self, window: str = INTERVAL) -> str:
        """Requests per second of each version of each service."""
        return f"sum by ({SERVICE}, destination_version) ({self.rate(self.server, window=window)})"

    def without_mtls(self) -> str:
        """Requests per second of each service that came in plain text: from callers without a proxy."""
        return self._sum(SERVICE, [f'{self.server},connection_security_policy="none"'])

    def rate(self, selector: str, name: str = "istio_requests_total", window: str = INTERVAL) -> str:
        """What counters grow by per second, those of two copies once. :param window: range, and offset."""
        span, _space, offset = window.partition(" ")
        found = f"rate({name}{{{selector}}}[{span}]{f' {offset}' if offset else ''})"
        copies = [label for label in self.replica_labels if _LABEL.fullmatch(label)]  # no other label exists
        return f"max without ({', '.join(copies)}) ({found})" if copies else found

    def _once(self, kinds: Sequence[str]) -> str:
        """Each request of a service once: what both sides saw is the larger of both counts.

        A request for which its first proxy had no route is nobody's.
        """
        called = f'{self.client},{SERVICE}!=""'
        own = [f"{self.server}{kind}" for kind in kinds]
        own += [f"{called}{_UNREACHED}{kind}" for kind in kinds]
        sides = {"server": own, "caller": [f"{called}{kind}" for kind in kinds]}
        found = " or ".join(
            f'label_replace({self._sum(SERVICE, side)}, "side", "{name}", "", "")'
            for name, side in sides.items()
        )
        return f"max by ({SERVICE}) ({found})"

    def _sum(self, labels: str, selected: Sequence[str]) -> str:
        """A series that several of them select counts once, as ``or`` has it."""
        return f"sum by ({labels}) ({' or '.join(self.rate(selector) for selector in selected)})"


def error_share(failed: str, requests: str) -> str:
    """Failed requests by all, 0 to 1: 0 where none failed, nothing where there was no request."""
    return f"({failed} or {requests} * 0) / ({requests} > 0)"


def plain(text: str) -> str:
    """PromQL in whose strings Grafana finds no variable of its own: ``$`` and ``[[`` stand as codes."""
    return text.replace("$", r"\x24").replace("[[", r"\x5b\x5b")
