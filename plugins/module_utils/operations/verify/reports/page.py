# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verification as one HTML page: needs no network, can be filtered, and prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ....documents.page import FILTER, document, escaped
from ....model.catalogue.edges import Edge, service_edges
from ....model.catalogue.mesh import Catalogue
from ....model.catalogue.services import Service
from ....model.objects.peer_authentications import port_mode
from ....verdicts import CANNOT_TELL, FAIL, PASS
from ..findings import BESIDE, LABELS, NOT_TESTED, NOTES, STATED, Finding, Findings, folded

COLUMNS = 20
"""With more callers than this the matrix becomes a list."""
_CLASS = {
    PASS: "pass",
    FAIL: "fail",
    CANNOT_TELL: "cannot",
    STATED: "note",
    BESIDE: "note",
    NOT_TESTED: "note",
}
_STYLE = ".cell{min-width:7rem}.empty{background:#f6f8fa}@media print{.cell{min-width:0}}"


def page(findings: Findings, catalogue: Catalogue, facts: Mapping[str, str]) -> str:
    """The page.

    :param facts: what else is to stand at its top, by name: time, hashes.
    """
    title = f"Mesh {catalogue.name}: {LABELS[findings.status].lower()}"
    parts = [
        f"<h1>{escaped(title)}</h1>",
        f'<p id="headline" class="{_CLASS[findings.status]}">{escaped(findings.headline())}</p>',
        _table("facts", ("", ""), list(facts.items())),
        FILTER,
        "<h2>What is proved and what is not</h2>",
        _ledger(findings),
        _checks(findings),
        "<h2>Causes</h2>",
        _causes(findings, (FAIL, CANNOT_TELL), "causes", "Nothing failed, and nothing was left unclear."),
        "<h2>Opened on purpose, beside the catalogue, and not tested</h2>",
        _causes(findings, NOTES, "notes", "Nothing."),
        "<h2>Who may call whom</h2>",
        _matrix(findings, catalogue),
        "<h2>Mutual TLS by port</h2>",
        _ports(findings, catalogue),
        "<h2>All findings</h2>",
        _findings(findings.findings),
    ]
    return document(title, "\n".join(parts), _STYLE)


def _row(cells: Iterable[str], text: str) -> str:
    return f'<tr data-text="{escaped(text.lower())}">{"".join(cells)}</tr>'


def _table(name: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = "".join(
        _row((f"<td>{escaped(cell)}</td>" for cell in row), " ".join(map(str, row))) for row in rows
    )
    head = "".join(f"<th>{escaped(text)}</th>" for text in heads) if any(heads) else ""
    return f'<table id="{name}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _ledger(findings: Findings) -> str:
    """How much was looked at, and which rules nobody called."""
    ledger = findings.ledger
    if not ledger:
        return ""
    callers, rules, cells = ledger["callers"], ledger["rules"], ledger["cells"]
    rows: list[tuple[str, object]] = [
        ("callers that were called", f"{callers['called']} of {callers['stated']}"),
        ("rules that were called", f"{rules['called']} of {rules['stated']}"),
        ("cells (who may send what to which workload)", cells["all"]),
        ("of them called, or of the same kind as one that was called", cells["called"]),
        ("else decided by the filters of every proxy", cells["at_the_proxies"]),
        ("else decided by the live objects alone", cells["by_the_objects"]),
        ("not as the catalogue states, or cannot tell", cells["not_proved"]),
        *((f"cells not called: {why}", number) for why, number in ledger["not_called"].items()),
        *(("rule that was not called", rule) for rule in ledger["uncalled"]),
    ]
    return _table("ledger", ("", ""), rows)


def _checks(findings: Findings) -> str:
    rows = []
    for record in findings.checks():
        numbers = ", ".join(f"{record[kind]} {LABELS[kind].lower()}" for kind in LABELS if record[kind])
        cells = (
            f'<td class="{_CLASS[record["status"]]}">{escaped(LABELS[record["status"]])}</td>',
            f"<td>{escaped(record['check'])}</td><td>{escaped(record['title'])}</td><td>{escaped(numbers)}</td>",
        )
        rows.append(_row(cells, f"{record['check']} {record['title']} {record['status']}"))
    return f'<table id="checks"><tbody>{"".join(rows)}</tbody></table>'


def _causes(findings: Findings, verdicts: Sequence[str], name: str, nothing: str) -> str:
    found = [
        item
        for verdict in verdicts
        for item in folded([one for one in findings.findings if one.verdict == verdict])
    ]
    if not found:
        return f'<p id="{name}">{escaped(nothing)}</p>'
    return f'<table id="{name}"><tbody>{"".join(map(_finding, found))}</tbody></table>'


def _finding(item: Finding) -> str:
    cells = (
        f'<td class="{_CLASS[item.verdict]}">{escaped(LABELS[item.verdict])}</td>',
        f"<td>{escaped(item.check)}</td><td>{escaped(item.subject)}</td><td>{escaped(item.message)}</td>",
    )
    return _row(cells, f"{item.verdict} {item.check} {item.subject} {item.message}")


def _findings(items: Iterable[Finding]) -> str:
    rows = "".join(map(_finding, items))
    return f'<div class="scroll"><table id="findings"><tbody>{rows}</tbody></table></div>'


def _matrix(findings: Findings, catalogue: Catalogue) -> str:
    """Rows are services, columns those who may call any; an empty cell is a refusal.

    The row's verdict is that of check ``policies``, which compares every cell with the live policies;
    ``called`` is what was also sent.
    """
    edges = {service.key: service_edges(catalogue, service) for service in catalogue.services}
    callers = sorted({edge.caller for some in edges.values() for edge in some})
    wide = len(callers) > COLUMNS
    judged = {item.subject: item for item in findings.of_check("policies")}
    called = {item.subject: item.verdict for item in findings.of_check("authorization")}
    rows = []
    for service in catalogue.services:
        if service.key in judged:
            verdict = judged[service.key].verdict
        else:
            verdict = FAIL if _is_named(service, judged.values()) else CANNOT_TELL
        cells = [
            f"<th>{escaped(service.key)}</th>",
            f'<td class="{_CLASS[verdict]}">{escaped(LABELS[verdict])}</td>',
        ]
        if wide:
            cells.append(_list(edges[service.key], service, called))
        for caller in callers if not wide else ():
            own = [edge for edge in edges[service.key] if edge.caller == caller]
            cells.append(_cell(own, service, called))
        rows.append(_row(cells, f"{service.key} {' '.join(edge.caller for edge in edges[service.key])}"))
    heads = ("service", "live policies", *(("callers",) if wide else callers))
    head = "".join(f"<th>{escaped(text)}</th>" for text in heads)
    return (
        f'<div class="scroll"><table id="matrix"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _is_named(service: Service, items: Iterable[Finding]) -> bool:
    return any(item.verdict == FAIL and service.key in item.message for item in items)


def _list(edges: Sequence[Edge], service: Service, called: Mapping[str, str]) -> str:
    """All callers of a service below each other: a matrix of hundreds of columns is mostly empty."""
    lines = []
    for caller in dict.fromkeys(edge.caller for edge in edges):
        own = [edge for edge in edges if edge.caller == caller]
        lines.append(f"<b>{escaped(caller)}</b> {_told(own, service, called)}")
    return f"<td>{'<br>'.join(lines) or 'nobody'}</td>"


def _cell(edges: Sequence[Edge], service: Service, called: Mapping[str, str]) -> str:
    if not edges:
        return '<td class="empty"></td>'
    return f'<td class="cell">{_told(edges, service, called)}</td>'


def _told(edges: Sequence[Edge], service: Service, called: Mapping[str, str]) -> str:
    told = [
        f"{' '.join(edge.methods) or 'any method'} {' '.join(edge.paths) or 'any path'}"
        f" :{' :'.join(map(str, edge.ports))}"
        for edge in edges
    ]
    sent = called.get(f"{edges[0].caller} -> {service.key}")
    mark = {PASS: " (called)", FAIL: " (failed when called)"}.get(sent or "", "")
    return f"{'<br>'.join(map(escaped, told))}{escaped(mark)}"


def _ports(findings: Findings, catalogue: Catalogue) -> str:
    held = {item.subject: item for item in findings.of_check("mtls")}
    sent = {item.subject: item for item in findings.of_check("plaintext")}
    rows = []
    for service in catalogue.services:
        for port in service.all_ports:
            read = held.get(f"{service.key}:{port.target_port}")
            plain = sent.get(f"{service.key}:{port.number}")
            mode = port_mode(catalogue, service, port.target_port)
            rows.append(
                (
                    f"{service.key}:{port.target_port}",
                    mode,
                    service.mtls.reason or "",
                    f"{LABELS[read.verdict]}: {read.message}" if read else "see causes",
                    f"{LABELS[plain.verdict]}: {plain.message}" if plain else "not sent",
                )
            )
    heads = ("port", "wanted", "reason", "in the proxies", "plaintext from outside")
    return f'<div class="scroll">{_table("ports", heads, rows)}</div>'
