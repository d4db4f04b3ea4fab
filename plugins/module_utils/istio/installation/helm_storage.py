# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Helm remembers: its release records, read straight from their Secrets.

One LIST replaces four runs of the program. Format: helm pkg/storage/driver/{secrets,util}.go, that is
base64(gzip(JSON)) inside the Secret's own base64. Values may hold credentials: they are compared, never
shown.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import gzip
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import MeshError

SECRET_TYPE = "helm.sh/release.v1"  # noqa: S105 - a type name
OWNER_SELECTOR = "owner=helm"
PENDING = ("pending-install", "pending-upgrade", "pending-rollback")


@dataclasses.dataclass(frozen=True, slots=True)
class StoredRelease:
    """The newest record of one release.

    :param secret: name of the Secret that holds it. :param uid: that Secret's uid.
    :param modified: when helm last wrote the record, seconds since the epoch.
    """

    name: str
    namespace: str
    revision: int
    status: str
    chart: str
    chart_version: str
    values: Mapping[str, Any]
    manifest: str
    secret: str
    uid: str
    modified: int

    @property
    def pending(self) -> bool:
        """Whether a helm run has begun and not ended: helm refuses every change until the record is gone."""
        return self.status in PENDING


def stored_releases(secrets: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[StoredRelease]]:
    """(namespace, release name) -> its records, newest first.

    :returns: those records; a release without any is not in it.
    """
    releases: dict[tuple[str, str], list[StoredRelease]] = {}
    for secret in secrets:
        if secret.get("type", SECRET_TYPE) == SECRET_TYPE:
            release = read_release(secret)
            releases.setdefault((release.namespace, release.name), []).append(release)
    for records in releases.values():
        records.sort(key=lambda record: record.revision, reverse=True)
    return releases


def read_release(secret: Mapping[str, Any]) -> StoredRelease:
    """One release Secret, decoded.

    :raises MeshError: when it is not what helm writes.
    """
    metadata = secret.get("metadata") or {}
    labels = metadata.get("labels") or {}
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        record = json.loads(gzip.decompress(packed))
        chart = record["chart"]["metadata"]
        return StoredRelease(
            name=str(record["name"]),
            namespace=str(record.get("namespace") or metadata.get("namespace", "")),
            revision=int(record["version"]),
            status=str(record["info"]["status"]),
            chart=str(chart["name"]),
            chart_version=str(chart["version"]),
            values=record.get("config") or {},
            manifest=str(record.get("manifest") or ""),
            secret=str(metadata.get("name", "")),
            uid=str(metadata.get("uid", "")),
            modified=int(labels.get("modifiedAt") or labels.get("createdAt") or 0),
        )
    except (KeyError, TypeError, ValueError, OSError, EOFError, binascii.Error) as error:
        name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        raise MeshError(f"Secret {name} is not a Helm release record that can be read") from error
