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
import dataclasses
import gzip
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ...documents.json_text import from_json
from ...errors import MalformedError, MeshError
from ...fields import integer_at, labels_of, mapping_at, name_of, namespace_of, text_at

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
    try:
        packed = base64.b64decode(base64.b64decode(text_at(secret, "data", "release")))
        return _release(secret, from_json(gzip.decompress(packed)))
    # zlib.error: gzip passes on what is wrong inside an undamaged frame.
    except (MalformedError, ValueError, OSError, EOFError, zlib.error) as error:
        name = f"{namespace_of(secret)}/{name_of(secret)}"
        raise MeshError(f"Secret {name} is not a Helm release record that can be read") from error


def _release(secret: Mapping[str, Any], record: Any) -> StoredRelease:
    labels = labels_of(secret)
    revision = integer_at(record, "version")
    if revision < 1:
        raise MalformedError("the record has no version")
    return StoredRelease(
        name=_needed(record, "name"),
        namespace=text_at(record, "namespace") or namespace_of(secret),
        revision=revision,
        status=_needed(record, "info", "status"),
        chart=_needed(record, "chart", "metadata", "name"),
        chart_version=_needed(record, "chart", "metadata", "version"),
        values=mapping_at(record, "config"),
        manifest=text_at(record, "manifest"),
        secret=name_of(secret),
        uid=text_at(secret, "metadata", "uid"),
        modified=int(labels.get("modifiedAt") or labels.get("createdAt") or 0),
    )


def _needed(record: Any, *path: str) -> str:
    text = text_at(record, *path)
    if not text:
        raise MalformedError(f"the record has no {'.'.join(path)}")
    return text
