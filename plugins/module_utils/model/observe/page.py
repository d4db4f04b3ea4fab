# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that people look at: the mesh's graph, and every number in tables. One file, readable in print."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ...documents.page import FILTER, document, escaped
from ...verdicts import CANNOT_TELL
from ..response_flags import explained
from .graph_svg import STYLE, picture
from .numbers import UNKNOWN, percent
from .report import Report, busiest, by_rate
from .signals import flagged, slowest
from .text import EDGE_HEAD, SERVICE_HEAD, commands, edge_row, inside, outside, ports, service_row

_CLASSES = {"pass": "pass", "fail": "fail", CANNOT_TELL: "cannot", "due": "due"}
_STYLE = (
    STYLE
    + """
table.wide{width:100%}td.number,th.number{text-align:right;white-space:nowrap}td{overflow-wrap:anywhere}
#dashboards td:nth-child(-n+2){white-space:nowrap}
pre{margin:.2rem 0 .5rem;padding:.4rem .6rem;background:#f4f6f8;white-space:pre-wrap;overflow-wrap:anywhere}
"""
).strip()
_SLOWEST = 20


def as_html(report: Report) -> str:
    """The whole page, without a request to anywhere."""
    moment = report.at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    body = "\n".join(
        [
            f"<h1>Mesh {escaped(report.mesh)}</h1>",
            f'<p id="headline" class="{_CLASSES[report.status]}">{escaped(report.headline)}</p>',
            f"<p>As of {moment}, by the API server's clock.</p>",
            *_traffic(report),
            *_untold(report),
            *_addresses(report.addresses),
            *_dashboards(report.dashboards),
            *_versions(report),
            *_certificates(report.certificates),
            *_rollouts(report.rollouts),
            f"<footer>Made by servicemesh.istio, module mesh_info. {UNKNOWN} is &quot;cannot tell&quot;:"
            " what could not be read is never a zero.</footer>",
        ]
    )
    return document(f"Mesh {report.mesh}", body, _STYLE)


def _traffic(report: Report) -> list[str]:
    traffic = report.traffic
    if traffic is None:
        return [f"<p>{FILTER}</p>"]
    seconds = traffic.seconds
    services = [service_row(key, signals, seconds, report.saturation) for key, signals in busiest(traffic)]
    calls = [edge_row(edge, seconds) for edge in by_rate(traffic.edges)]
    late = [edge_row(edge, seconds) for edge in slowest(traffic.edges, _SLOWEST)]
    flags = [
        [
            flag,
            f"{count:.0f}",
            explained((flag,)),
            ", ".join(f"{e.source} → {e.destination}" for e in edges[:5]),
        ]
        for flag, count, edges in flagged(traffic.edges)
    ]
    quiet = [
        f"<p>Without requests, though scraped: {escaped(', '.join(report.idle))}.</p>" if report.idle else ""
    ]
    return [
        f"<h2>Calls in the last {seconds:.0f} seconds</h2>",
        picture(report),
        f"<h2>Services</h2><p>{FILTER}</p>",
        _table("services", SERVICE_HEAD, services),
        *quiet,
        "<p class=\"note\">Requests are those that a service's own proxies saw, and those that its callers'"
        " proxies ended because they found no way to it. cpu and memory: the fullest pod, as a share of its"
        " limit.</p>",
        "<h2>Calls</h2>",
        _table("calls", EDGE_HEAD, calls),
        '<p class="note">As the caller\'s proxy saw them: with the time on the way, and retries as one.</p>',
        *(["<h2>Slowest calls</h2>", _table("slowest", EDGE_HEAD, late)] if late else []),
        *(
            [
                "<h2>Answers by response flag</h2>",
                _table("flags", ("flag", "requests>", "meaning", "calls"), flags),
            ]
            if flags
            else []
        ),
        *_overhead(report.overhead),
    ]


def _untold(report: Report) -> list[str]:
    if not report.untold:
        return []
    rows = [[item["part"], item["reason"]] for item in report.untold]
    return ["<h2>Cannot tell</h2>", _table("untold", ("about", "why"), rows)]


def _overhead(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    return [
        f'<h2>Sidecars</h2><p id="overhead">{found["proxies"]} proxies use {found["cpu"]:.2f} cores'
        f" ({percent(found['cpu_share'])} of what the mesh's pods use) and {found['memory'] / 2**20:.0f} MiB"
        f" ({percent(found['memory_share'])}). The largest is {escaped(found['largest']['pod'])}.</p>"
    ]


def _addresses(entries: Sequence[Mapping[str, Any]] | None) -> list[str]:
    if not entries:
        return []
    rows = [
        [
            entry["gateway"],
            entry["type"],
            outside(entry) or "none",
            inside(entry),
            ports(entry),
        ]
        for entry in entries
    ]
    calls = [
        f"<p>{escaped(call['url'])}</p><pre>" + escaped("\n".join(commands(call))) + "</pre>"
        for entry in entries
        for call in entry["calls"]
    ]
    head = ("gateway", "type", "outside", "in the cluster", "ports")
    return ["<h2>Addresses</h2>", _table("addresses", head, rows), *calls]


def _dashboards(entries: Sequence[Mapping[str, Any]] | None) -> list[str]:
    rows = [[entry["name"], entry["url"], entry["command"]] for entry in entries or () if entry["url"]]
    return (
        ["<h2>Dashboards</h2>", _table("dashboards", ("name", "URL", "while this runs"), rows)]
        if rows
        else []
    )


def _versions(report: Report) -> list[str]:
    if report.versions is None:
        return []
    behind = {True: "yes", False: "no", None: UNKNOWN}
    rows = [
        ["istiod", entry["version"] or UNKNOWN, entry["revision"], str(entry["pods"]), ""]
        for entry in report.versions["control_plane"]
    ]
    rows += [
        [
            "proxies",
            entry["version"] or UNKNOWN,
            entry["revision"],
            str(entry["count"]),
            behind[entry["behind"]],
        ]
        for entry in report.versions["proxies"]
    ]
    head = ("what", "version", "revision", "pods>", "another than its istiod")
    return ["<h2>Versions</h2>", _table("versions", head, rows)]


def _certificates(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    rows = [
        [entry["kind"], entry["where"], entry["part"], f"{entry['days_left']:.1f}", entry["not_after"]]
        for entry in found["soonest"]
    ]
    head = ("kind", "where", "part", "days left>", "ends")
    verdict = _CLASSES.get(found["status"], "note")
    return [
        f'<h2>Certificates</h2><p class="{verdict}">{escaped(found["headline"])}</p>',
        _table("certificates", head, rows),
    ]


def _rollouts(found: Mapping[str, Any] | None) -> list[str]:
    if found is None or not found["lines"]:
        return []
    return ["<h2>Rollouts</h2><ul>", *(f"<li>{escaped(line)}</li>" for line in found["lines"]), "</ul>"]


def _table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose rows the filter finds; a head that ends in ``>`` is a column of numbers."""
    numbers = [title.endswith(">") for title in head]

    def cell(tag: str, text: str, index: int) -> str:
        kind = ' class="number"' if numbers[index] else ""
        wrong = text == "NO" and tag == "td"
        return f"<{tag}{kind}{' style=color:#cf222e' if wrong else ''}>{escaped(text)}</{tag}>"

    top = "".join(cell("th", title.removesuffix(">"), index) for index, title in enumerate(head))
    body = "\n".join(
        f'<tr data-text="{escaped(" ".join(row).lower())}">'
        + "".join(cell("td", text, index) for index, text in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table id="{name}" class="wide"><thead><tr>{top}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )
