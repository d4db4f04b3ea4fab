# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: pass, fail and cannot tell, with their evidence. "Cannot tell" never counts as a pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...verdicts import CANNOT_TELL, FAIL, PASS, overall
from ...words import some_of

STATED, BESIDE, NOT_TESTED = "stated opening", "beside the catalogue", "not tested"
NOTES = (STATED, BESIDE, NOT_TESTED)
"""No verdicts: what the catalogue itself opens, what is there besides and touches nothing of it, and what
cannot be tested from here, each with its reason. None counts as a pass, and none is a fault."""

LABELS = {
    PASS: "pass",
    FAIL: "FAIL",
    CANNOT_TELL: "cannot tell",
    STATED: "stated opening",
    BESIDE: "beside the catalogue",
    NOT_TESTED: "not tested",
}

TITLES = {
    "injection": "every pod has its sidecar",
    "policies": "no policy undoes the catalogue",
    "mtls": "the proxies' listeners demand mutual TLS",
    "objects": "nothing but the catalogue's objects acts on its workloads",
    "plaintext": "plaintext from outside the mesh is refused",
    "routes": "every route leads to endpoints",
    "gateways": "gateways serve HTTPS with the right certificate",
    "authorization": "callers are let in, everybody else gets 403",
    "sync": "every proxy is connected and holds the current configuration",
}
"""The checks, causes before their consequences: the first fail of a run is the one to look at. A ``source``
comes before them all."""

MAX_FINDINGS = 500
"""Above this number of findings the result leaves out those that passed."""
MAX_LINES = 20
"""So many failed findings of a check are told line by line; the result has the rest."""


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One verdict about one thing.

    :param check: a key of ``TITLES``.
    :param subject: what it is about, such as ``ecommerce/frontend``; empty for everything.
    :param message: the evidence of a pass, else the reason, as half a sentence.
    :param cells: how many decisions it stands for, 0 where it is none.
    :param late: whether a proxy may just not be there yet, so that a second look can differ.
    :param source: whether it makes innocent objects look guilty in every other check, and so is told first.
    """

    check: str
    subject: str
    verdict: str
    message: str
    late: bool = False
    cells: int = 0
    source: bool = False

    def as_dict(self) -> dict[str, str]:
        """The finding as it stands in results and reports.

        :returns: ``check``, ``subject``, ``verdict`` and ``message``.
        """
        return {
            "check": self.check,
            "subject": self.subject,
            "verdict": self.verdict,
            "message": self.message,
        }

    def __str__(self) -> str:
        subject = f"{self.subject}: " if self.subject else ""
        return f"{LABELS[self.verdict]}: {subject}{self.message}"


def passed(check: str, subject: str, message: str, *, cells: int = 0) -> Finding:
    """A finding that proves its point."""
    return Finding(check, subject, PASS, message, cells=cells)


def failed(
    check: str, subject: str, message: str, *, late: bool = False, cells: int = 0, source: bool = False
) -> Finding:
    """A finding that proves the contrary."""
    return Finding(check, subject, FAIL, message, late, cells, source)


def unknown(check: str, subject: str, message: str, *, late: bool = False) -> Finding:
    """A finding that proves nothing."""
    return Finding(check, subject, CANNOT_TELL, message, late)


def stated(check: str, subject: str, message: str) -> Finding:
    """Something that the catalogue opens on purpose; the message holds its reason."""
    return Finding(check, subject, STATED, message)


def beside(check: str, subject: str, message: str) -> Finding:
    """Something that the catalogue does not know, and that touches nothing of it."""
    return Finding(check, subject, BESIDE, message)


def not_tested(check: str, subject: str, message: str) -> Finding:
    """Something that nobody could test from here; the message says why, and what would help."""
    return Finding(check, subject, NOT_TESTED, message)


def worst(findings: Iterable[Finding]) -> str:
    """The verdict on all of them: one fail fails; nothing at all proves nothing. Of notes alone it is a
    note.

    :returns: a key of ``LABELS``.
    """
    verdicts = [finding.verdict for finding in findings]
    judged = [verdict for verdict in verdicts if verdict not in NOTES]
    if judged or not verdicts:
        return overall(judged)
    return next(note for note in NOTES if note in verdicts)


@dataclasses.dataclass(frozen=True, slots=True)
class Findings:
    """The findings of a whole run.

    :param ledger: how much was proved, at which level; ``None`` where nothing was.
    :param cells: who may send what to which workload, each as ``cells.ProvedCell.as_dict`` tells it.
    """

    findings: tuple[Finding, ...]
    ledger: Mapping[str, Any] | None = None
    cells: Sequence[Mapping[str, str]] = ()

    @property
    def status(self) -> str:
        """The verdict on everything."""
        return worst(self.findings)

    def of_check(self, check: str) -> list[Finding]:
        """The findings of one check. :returns: in the order in which they were found."""
        return [finding for finding in self.findings if finding.check == check]

    def checks(self) -> list[dict[str, Any]]:
        """One record per check that found anything, in the order of ``TITLES``.

        :returns: ``check``, ``title``, ``status`` and counts by verdict.
        """
        records = []
        for check, title in TITLES.items():
            findings = self.of_check(check)
            if findings:
                records.append({"check": check, "title": title, "status": worst(findings), **count(findings)})
        return records

    def problems(self) -> list[str]:
        """Everything that did not pass, the fails first. :returns: one sentence per cause."""
        return [
            str(item)
            for verdict in (FAIL, CANNOT_TELL)
            for item in folded([item for item in self.findings if item.verdict == verdict])
        ]

    def headline(self) -> str:
        """One sentence whose first words are the verdict."""
        problems = self.problems()
        if not problems:
            numbers = count(self.findings)
            noted = ", ".join(f"{LABELS[note]}: {numbers[note]}" for note in NOTES if numbers[note])
            told = f"{numbers[PASS]} findings in {len(self.checks())} checks"
            return f"{LABELS[self.status]}: {told}{f' ({noted})' if noted else ''}"
        first = problems[0].partition(": ")[2]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return f"{LABELS[self.status].lower()}: {first}{more}"

    def lines(self) -> list[str]:
        """The summary for people: one line per check, and below it what did not pass.

        :returns: ready to be shown.
        """
        lines = []
        for record in self.checks():
            numbers = ", ".join(
                f"{record[verdict]} {LABELS[verdict].lower()}" for verdict in LABELS if record[verdict]
            )
            lines.append(
                f"{LABELS[record['status']]:<11} {record['check']:<13} {record['title']} ({numbers})"
            )
            bad = folded([item for item in self.of_check(record["check"]) if item.verdict != PASS])
            lines += [f"              {item}" for item in bad[:MAX_LINES]]
            if len(bad) > MAX_LINES:
                lines.append(f"              ... and {len(bad) - MAX_LINES} more")
        return lines

    def for_result(self) -> list[dict[str, str]]:
        """The findings for the result: all, or above ``MAX_FINDINGS`` those that did not pass.

        :returns: one mapping per finding.
        """
        findings: Sequence[Finding] = self.findings
        if len(findings) > MAX_FINDINGS:
            findings = [item for item in findings if item.verdict != PASS]
        return [item.as_dict() for item in findings]


def folded(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of one check that say the same of several things, as one that names the first of them.

    :returns: in the order of the first of each.
    """
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for item in findings:
        groups.setdefault((item.check, item.verdict, item.message), []).append(item)
    return [_one(group) for group in groups.values()]


def _one(group: Sequence[Finding]) -> Finding:
    return dataclasses.replace(group[0], subject=some_of([item.subject for item in group if item.subject]))


def count(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings have each verdict. :returns: verdict -> number."""
    numbers = dict.fromkeys(LABELS, 0)
    for finding in findings:
        numbers[finding.verdict] += 1
    return numbers
