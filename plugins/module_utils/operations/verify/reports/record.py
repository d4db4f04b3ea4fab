# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record that a JSON report is: who was verified, by what, with which result, after which report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ....fields import text_at
from ....model.catalogue.edges import Edge, service_edges
from ....model.catalogue.mesh import Catalogue
from ....object_id import object_id
from ..findings import Findings

SHA256 = "sha256"


@dataclasses.dataclass(frozen=True, slots=True)
class Circumstances:
    """What a report says beside the findings.

    :param time: when, as RFC 3339. :param cluster: UID of its namespace kube-system; ``""`` where that may
        not be read. :param server: of the API. :param versions: of the istiods that run.
    :param objects: by id, the resourceVersion of each object that decided.
    """

    time: str = ""
    cluster: str = ""
    server: str = ""
    versions: tuple[str, ...] = ()
    objects: Mapping[str, str] = dataclasses.field(default_factory=dict)


def digest(value: Any) -> str:
    """SHA-256 of a value in its canonical JSON form, hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def versions_of_objects(objects: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The resourceVersions of objects. :returns: id -> resourceVersion, sorted by id."""
    found = {object_id(item): text_at(item, "metadata", "resourceVersion") for item in objects}
    return dict(sorted(found.items()))


def stated_rules(catalogue: Catalogue) -> list[str]:
    """What the catalogue states, rule by rule, as text that two reports can be compared by.

    :returns: sorted, each once.
    """
    return sorted(
        {
            f"{service.key}: {_rule(edge)}"
            for service in catalogue.services
            for edge in service_edges(catalogue, service)
        }
    )


def _rule(edge: Edge) -> str:
    limits = [" ".join(part) for part in (edge.methods, edge.paths, edge.ip_blocks) if part]
    ports = ", ".join(map(str, edge.ports))
    return " ".join((edge.caller, *limits, f"on {ports}" if ports else "on no port"))


def record_of(
    findings: Findings,
    catalogue: Catalogue,
    raw: Mapping[str, Any],
    circumstances: Circumstances,
    previous: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The record of one run, sealed by its own digest, with that of the report before it: a chain in which
    no link can be changed or left out unseen.

    :param raw: the catalogue as it was given. :param previous: the last record, if there is one.
    :returns: JSON; the keys are listed in docs/guides/verify.md.
    """
    record = {
        "mesh": catalogue.name,
        "time": circumstances.time,
        "cluster": circumstances.cluster,
        "kubernetes": circumstances.server,
        "istio": list(circumstances.versions),
        "catalogue_sha256": digest(raw),
        "status": findings.status,
        "headline": findings.headline(),
        "checks": findings.checks(),
        "ledger": findings.ledger,
        "cells": [dict(item) for item in findings.cells],
        "rules": stated_rules(catalogue),
        "objects": dict(circumstances.objects),
        "findings": [{**item.as_dict(), "cells": item.cells} for item in findings.findings],
        "previous_sha256": str(previous.get(SHA256, "")) if previous else "",
    }
    return {**record, SHA256: digest(record)}


def is_whole(record: Mapping[str, Any]) -> bool:
    """Whether a record is as it was written."""
    rest = {key: value for key, value in record.items() if key != SHA256}
    return record.get(SHA256) == digest(rest)
