# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Helm has written so far: the records of a control plane's releases, and their manifests as objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ApiError
from ...fields import namespace_of
from ...istio.installation.helm_releases import GATEWAY_MARK, Release
from ...istio.installation.helm_storage import OWNER_SELECTOR, SECRET_TYPE, StoredRelease, stored_releases
from ...istio.installation.manifests import parse_manifests
from ...kube.client import KubeClient
from ...kube.scopes import is_namespaced
from ...model.installation.settings import Installation
from ...object_id import object_id
from .installer import as_helm_writes

Stored = Mapping[tuple[str, str], Sequence[StoredRelease]]
"""(namespace, release) -> its records, the newest first."""


def read_stored(client: KubeClient, installation: Installation) -> dict[tuple[str, str], list[StoredRelease]]:
    """The records of all releases in the namespaces of the installation, and of gateways that left it.

    :returns: (namespace, release) -> its records, the newest first.
    """
    lists = client.in_parallel(
        lambda namespace: (
            client.list(
                "v1",
                "Secret",
                namespace,
                label_selector=OWNER_SELECTOR,
                field_selector=f"type={SECRET_TYPE}",
            ).items
        ),
        tuple(dict.fromkeys((*installation.namespaces, *_gateway_namespaces(client)))),
    )
    return stored_releases(secret for items in lists for secret in items)


def _gateway_namespaces(client: KubeClient) -> list[str]:
    """Where gateways of this collection run, also those whose namespace left the list.

    Reading deployments everywhere is a smaller right than reading every namespace's Secrets. Without it only
    the namespaces of the list are looked at.
    """
    try:
        gateways = client.list("apps/v1", "Deployment", label_selector=f"{GATEWAY_MARK}=true").items
    except ApiError as error:
        if not error.not_allowed:
            raise
        return []
    return sorted({namespace_of(gateway) for gateway in gateways})


def current(stored: Stored, release: Release) -> StoredRelease | None:
    """The record that counts: a run that never ended changed nothing, helm itself goes back before it."""
    records = stored.get((release.namespace, release.name), ())
    return next((item for item in records if not item.pending), None)


def old_manifest(client: KubeClient, records: Sequence[StoredRelease]) -> dict[str, dict[str, Any]]:
    """What an upgrade takes for the old manifest: of the last record that was deployed, else of the last one.

    Source: helm pkg/action/upgrade.go, prepareUpgrade.

    :returns: object id -> the object as helm wrote it.
    """
    ended = [item for item in records if not item.pending]
    base = next((item for item in ended if item.status == "deployed"), next(iter(ended), None))
    if base is None:
        return {}
    objects = parse_manifests(base.manifest, about=f"the manifest of release {base.name}")
    return {object_id(obj): obj for obj in as_written(client, objects, base.name, base.namespace)}


def as_written(
    client: KubeClient, objects: Sequence[dict[str, Any]], name: str, namespace: str
) -> list[dict[str, Any]]:
    """Rendered objects as helm writes them for a release.

    :returns: the objects themselves, completed.
    """
    kinds = {(str(obj["apiVersion"]), str(obj["kind"])) for obj in objects}
    # A kind that nobody knows yet is a custom resource, and those of Istio live in namespaces.
    scopes = {kind: is_namespaced(client, kind, objects) is not False for kind in sorted(kinds)}
    for obj in objects:
        scope = scopes[str(obj["apiVersion"]), str(obj["kind"])]
        as_helm_writes(obj, name, namespace, namespaced=scope)
    return list(objects)
