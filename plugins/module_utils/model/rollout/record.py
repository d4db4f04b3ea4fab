# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release record: which version of a service is stable once no rollout is running.

It lives in the ConfigMap ``servicemesh-release-<service>`` of the service's namespace, under the key
``record``, as JSON. Rollouts write it when they end; role ``mesh`` reads it and renders the routes from it,
so that applying the catalogue never moves traffic.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from ...documents.json_text import from_json
from ...errors import MalformedError, MeshError
from ...fields import integer_at, mapping_at, name_of, text_at
from ...labels import ownership_labels

SCHEMA = 1
RECORD_KEY = "record"


class RecordError(MeshError):
    """A release record that cannot be read: never treated as an absent one."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """What the last rollout left behind.

    :param stable: version that takes the traffic, a key of the service's ``versions``.
    :param previous: version that was stable before, empty when there was none.
    :param weights: version -> percent; sums to 100.
    :param run: id of the run that wrote the record. :param fence: fence of that run's lease.
    :param finished_at: RFC 3339 time. :param evidence_sha256: hash of that run's evidence file content.
    """

    stable: str
    previous: str = ""
    weights: Mapping[str, int] = dataclasses.field(default_factory=dict)
    run: str = ""
    fence: int = 0
    finished_at: str = ""
    evidence_sha256: str = ""

    def as_json(self) -> str:
        """The value of the key ``record``: stable key order, so that equal records are equal text."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "stable": self.stable,
                "previous": self.previous,
                "weights": dict(sorted(self.weights.items())),
                "run": self.run,
                "fence": self.fence,
                "finishedAt": self.finished_at,
                "evidenceSha256": self.evidence_sha256,
            },
            separators=(",", ":"),
        )


def release_name(service: str) -> str:
    """Name of the ConfigMap that holds the record of a service."""
    return f"servicemesh-release-{service}"


def journal_name(service: str) -> str:
    """Name of both the journal ConfigMap and the Lease of a service's rollouts."""
    return f"servicemesh-canary-{service}"


def release_object(record: ReleaseRecord, *, service: str, namespace: str, mesh_name: str) -> dict[str, Any]:
    """The ConfigMap of a record. :returns: a ConfigMap with the mesh's labels."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": release_name(service),
            "namespace": namespace,
            "labels": ownership_labels(mesh_name),
        },
        "data": {RECORD_KEY: record.as_json()},
    }


def read_record(config_map: Mapping[str, Any] | None) -> ReleaseRecord | None:
    """The record of a ConfigMap object; ``None`` when there is no such object.

    :raises RecordError: the object is there but holds no valid record. Guessing would move traffic.
    """
    if config_map is None:
        return None
    try:
        return parse_record(from_json(text_at(config_map, "data", RECORD_KEY)))
    except (MalformedError, ValueError) as error:
        name = name_of(config_map)
        raise RecordError(f"ConfigMap {name} holds no valid release record: {error}") from error


def parse_record(data: Any) -> ReleaseRecord:
    """A record from its parsed JSON.

    :raises ValueError: unknown schema, no stable version, or weights that are not integers summing to 100.
    :raises MalformedError: a field is of another type.
    """
    schema = data.get("schema") if isinstance(data, Mapping) else None
    if schema != SCHEMA or isinstance(schema, bool):
        raise ValueError(f"schema {schema!r} is not {SCHEMA}")
    stable = text_at(data, "stable")
    if not stable:
        raise ValueError("no stable version")
    weights = dict(mapping_at(data, "weights")) or {stable: 100}
    if any(
        isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= 100
        for weight in weights.values()
    ):
        raise ValueError("weights are not integers from 0 to 100")
    if sum(weights.values()) != 100:
        raise ValueError(f"weights sum to {sum(weights.values())}, not 100")
    return ReleaseRecord(
        stable=stable,
        previous=text_at(data, "previous"),
        weights=weights,
        run=text_at(data, "run"),
        fence=integer_at(data, "fence"),
        finished_at=text_at(data, "finishedAt"),
        evidence_sha256=text_at(data, "evidenceSha256"),
    )
