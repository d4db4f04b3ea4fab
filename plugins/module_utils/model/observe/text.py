# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer for a terminal: lines and tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..response_flags import explained
from .numbers import UNKNOWN, number, percent
from .report import Report, Saturation, busiest, by_rate
from .signals import Signals, TrafficEdge, flagged, slowest


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Text columns, numbers to the right. :param head: a name that ends in ``>`` is a column of numbers.

    :returns: the head and one line per row.
    """
    names = [name.removesuffix(">") for name in head]
    widths = [max(len(row[index]) for row in [names, *rows]) for index in range(len(names))]
    lines = []
    for row in [names, *rows]:
        cells = [
            text.rjust(width) if name.endswith(">") else text.ljust(width)
            for text, width, name in zip(row, widths, head, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


SERVICE_HEAD = ("service", "req/s>", "errors>", "p50 ms>", "p95 ms>", "p99 ms>", "cpu>", "memory>")
EDGE_HEAD = ("caller", "called", "mTLS", "req/s>", "errors>", "p50 ms>", "p95 ms>", "p99 ms>")


def service_row(
    key: str, signals: Signals, seconds: float, saturation: Mapping[str, Saturation]
) -> list[str]:
    """A service's cells. :returns: in the order of the table's head."""
    full = saturation.get(key, Saturation())
    return [key, *_cells(signals, seconds), percent(full.cpu), percent(full.memory)]


def edge_row(edge: TrafficEdge, seconds: float) -> list[str]:
    """An edge's cells. :returns: in the order of the table's head."""
    secured = {True: "yes", False: "NO", None: UNKNOWN}[edge.secured]
    return [edge.source, edge.destination, secured, *_cells(edge.signals, seconds)]


def _cells(signals: Signals, seconds: float) -> list[str]:
    latency = (number(value) for value in dataclasses.astuple(signals.latency))
    return [number(signals.rate(seconds)), percent(signals.error_share), *latency]


def text_lines(report: Report, top: int) -> list[str]:
    """The answer for a terminal. :param top: how many rows a table has. :returns: lines."""
    lines = [f"mesh {report.mesh}: {report.headline}"]
    lines += _section("addresses", _address_lines(report.addresses or []))
    lines += _section("dashboards", _dashboard_lines(report.dashboards or []))
    lines += _section("versions", _version_lines(report.versions))
    lines += _section("rollouts", list(report.rollouts["lines"][:top]) if report.rollouts else [])
    if report.certificates:
        lines += _section("certificates", [str(report.certificates["headline"])])
    lines += _section("sidecars", _overhead_lines(report.overhead))
    lines += _traffic_lines(report, top)
    told = [f"{item['part']}: {item['reason']}" for item in report.untold]
    lines += _section(f"cannot tell ({UNKNOWN} in the tables)", told)
    return lines


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"-- {title}", *lines] if lines else []


def _traffic_lines(report: Report, top: int) -> list[str]:
    traffic = report.traffic
    if traffic is None:
        return []
    seconds = traffic.seconds
    services = busiest(traffic)
    rows = [service_row(key, signals, seconds, report.saturation) for key, signals in services[:top]]
    lines = _section(_title("services", len(services), top, seconds), table(SERVICE_HEAD, rows))
    if report.idle:
        shown = ", ".join(report.idle[:top]) + (", ..." if len(report.idle) > top else "")
        lines.append(f"without requests: {shown}")
    edges = by_rate(traffic.edges)
    if edges:
        rows = [edge_row(edge, seconds) for edge in edges[:top]]
        lines += _section(_title("calls", len(edges), top, seconds), table(EDGE_HEAD, rows))
    late = slowest(traffic.edges, top)
    if late:
        rows = [edge_row(edge, seconds) for edge in late]
        lines += _section("slowest calls, by p99", table(EDGE_HEAD, rows))
    flags = flagged(traffic.edges)
    told = [
        f"{count:.0f} requests: {explained((flag,))} ({edges[0].source} -> {edges[0].destination}"
        f"{f' and {len(edges) - 1} more' if len(edges) > 1 else ''})"
        for flag, count, edges in flags[:top]
    ]
    return lines + _section("answers by response flag", told)


def _title(what: str, count: int, top: int, seconds: float) -> str:
    shown = f", {top} of {count}" if count > top else ""
    return f"{what}, last {seconds:.0f} s{shown}"


def _overhead_lines(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    return [
        f"{found['proxies']} sidecars and gateways use {found['cpu']:.2f} cores"
        f" ({percent(found['cpu_share'])} of the mesh's pods) and {found['memory'] / 2**20:.0f} MiB"
        f" ({percent(found['memory_share'])}); the largest is {found['largest']['pod']}"
        f" with {found['largest']['memory'] / 2**20:.0f} MiB"
    ]


def _address_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for entry in entries:
        where = outside(entry) or f"no address outside, cluster IP {inside(entry)}"
        lines.append(f"{entry['gateway']}: {where}; {entry['type']}; {ports(entry)}")
        lines += [f"  {command}" for call in entry["calls"] for command in commands(call)]
    return lines


def outside(entry: Mapping[str, Any]) -> str:
    """A gateway's addresses for callers outside; empty where it has none."""
    return ", ".join([*entry["ips"], *entry["hostnames"], *entry["external_ips"]])


def inside(entry: Mapping[str, Any]) -> str:
    """A gateway's addresses in the cluster, or ``none``."""
    return ", ".join(entry["cluster_ips"]) or "none"


def ports(entry: Mapping[str, Any]) -> str:
    """A gateway's ports, with those of the nodes that lead to them."""
    return ", ".join(
        f"{port['name'] or port['protocol']} {port['port']}"
        + (f" (node port {port['node_port']})" if "node_port" in port else "")
        for port in entry["ports"]
    )


def commands(call: Mapping[str, Any]) -> list[str]:
    """What to run for a call. :returns: in the order in which it is run."""
    return [call[key] for key in ("ca", "forward", "curl") if call[key]]


def _dashboard_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{entry['name']}: {entry['url']} while this runs: {entry['command']}"
        for entry in entries
        if entry["url"]
    ]


def _version_lines(found: Mapping[str, Sequence[Mapping[str, Any]]] | None) -> list[str]:
    lines = []
    for entry in found["control_plane"] if found else ():
        version = entry["version"] or "of unknown version"
        lines.append(f"istiod {version}: revision {entry['revision']}, {entry['pods']} pods")
    for entry in found["proxies"] if found else ():
        behind = f", not its istiod's version, such as {entry['example']}" if entry["behind"] else ""
        version = entry["version"] or "of unknown version"
        lines.append(f"proxies {version}: revision {entry['revision']}, {entry['count']} pods{behind}")
    return lines
