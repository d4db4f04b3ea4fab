# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans an installation with Helm: which releases to install, upgrade or remove, which objects to repair.

``helm_release`` runs helm for the releases. Objects that differ while the values are
equal are repaired here by a server-side apply as ``helm``: an upgrade would leave drifted CRDs and custom
resources as they are (helm pkg/kube/client.go patches those without looking at the live object), ``--force``
would replace whole objects and reset what autoscalers own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ...context import Context
from ...equality import same
from ...errors import RefusedError, WaitTimeout
from ...fields import annotations_of, mapping_at, text_at
from ...istio.installation.commands import Runner, Tool
from ...istio.installation.helm_releases import GATEWAY_MARK, ChartReference, Release, desired_releases
from ...istio.installation.helm_storage import OWNER_SELECTOR, StoredRelease, stored_releases
from ...istio.installation.platforms import Kept
from ...kube.client import KubeClient
from ...kube.wait import wait_until
from ...model.installation.settings import Installation
from ...object_id import object_id
from .drift import HELM_MANAGER, DriftedObject, compare, missing_namespaces, removals
from .helm_records import Stored, as_written, current, old_manifest, read_stored
from .installer import chart_references, chart_version, render_helm
from .options import ToolOptions

_KEEP_ANNOTATION = "helm.sh/resource-policy"


@dataclasses.dataclass(frozen=True, slots=True)
class ReleasePlan:
    """One release and what has to happen to it.

    :param action: ``install``, ``upgrade``, ``keep`` or ``remove``.
    :param locked: the record of a helm run that never ended, which makes helm refuse everything.
    """

    name: str
    namespace: str
    chart: str
    action: str
    values: Mapping[str, Any]
    reference: ChartReference
    differences: tuple[DriftedObject, ...]
    locked: StoredRelease | None = None

    def as_result(self) -> dict[str, Any]:
        """What the role hands to ``helm_release``, which computes the values itself: they may hold secrets.

        :returns: ``id``, ``name``, ``namespace``, ``chart``, ``action``, ``chart_ref`` and ``wait``.
        """
        return {
            "id": f"{self.namespace}/{self.name}",
            "name": self.name,
            "namespace": self.namespace,
            "chart": self.chart,
            "action": self.action,
            "chart_ref": self.reference.reference,
            # With --wait helm waits for a load balancer's address, which a gateway may never get.
            "wait": self.chart != "gateway",
        }


@dataclasses.dataclass(frozen=True, slots=True)
class HelmPlan:
    """All releases in the order in which they are to be handled, removals last.

    :param kept: what platforms changed and what is left as it is, by object id.
    """

    namespaces: tuple[DriftedObject, ...]
    releases: tuple[ReleasePlan, ...]
    kept: Mapping[str, tuple[Kept, ...]] = dataclasses.field(default_factory=dict)

    @property
    def differences(self) -> list[DriftedObject]:
        """Every object that would change, in order.

        :returns: the namespaces', then those of the releases in their order.
        """
        return [*self.namespaces, *(item for release in self.releases for item in release.differences)]

    @property
    def drift(self) -> list[DriftedObject]:
        """The objects that differ although their release is as it should be.

        :returns: in the order of the releases.
        """
        return [item for release in self.releases if release.action == "keep" for item in release.differences]

    @property
    def locked(self) -> list[StoredRelease]:
        """Release records to be unlocked. :returns: one per locked release."""
        return [release.locked for release in self.releases if release.locked is not None]

    @property
    def pending(self) -> bool:
        """Whether helm has something to do."""
        return any(release.action != "keep" for release in self.releases)


def plan(
    client: KubeClient, installation: Installation, runner: Runner, tool: Tool, options: ToolOptions
) -> HelmPlan:
    """Compares releases with Helm's records, and rendered objects with live ones."""
    releases = desired_releases(installation)
    references = chart_references(releases, runner, tool, options, version=installation.version)
    stored = read_stored(client, installation)
    actions = {
        release.key: _action(release, chart_version(references[release.chart]), current(stored, release))
        for release in releases
    }
    rendered = render_helm(
        releases,
        references,
        runner,
        tool,
        kubernetes=text_at(client.server_version(), "gitVersion"),
        served=client.served_kinds(),
        installs=[key for key, action in actions.items() if action == "install"],
    )
    kept: dict[str, tuple[Kept, ...]] = {}
    planned = []
    for release in releases:
        objects = as_written(client, rendered[release.key], release.name, release.namespace)
        reference = references[release.chart]
        action = actions[release.key]
        planned.append(_plan_release(client, release, reference, objects, stored, action, kept))
    planned += _removals(client, releases, stored)
    return HelmPlan(tuple(missing_namespaces(client, installation.namespaces)), tuple(planned), kept)


def _plan_release(
    client: KubeClient,
    release: Release,
    reference: ChartReference,
    rendered: Sequence[Mapping[str, Any]],
    stored: Stored,
    action: str,
    kept: dict[str, tuple[Kept, ...]],
) -> ReleasePlan:
    records = stored.get((release.namespace, release.name), ())
    locked = records[0] if records and records[0].pending else None
    old = old_manifest(client, records) if action == "upgrade" else {}
    differences = compare(client, rendered, field_manager=HELM_MANAGER, replaced=old, kept=kept)
    differences += _dropped(client, old, {object_id(obj) for obj in rendered})
    return ReleasePlan(
        release.name,
        release.namespace,
        release.chart,
        action,
        release.values,
        reference,
        tuple(differences),
        locked,
    )


def _action(release: Release, version: str, record: StoredRelease | None) -> str:
    if record is None or record.status == "uninstalled":
        return "install"
    if record.chart != release.chart:
        raise RefusedError(
            f"Helm release {release.namespace}/{release.name} is of chart {record.chart}, "
            f"not {release.chart}; remove it or choose another name",
            rule="foreign-release",
        )
    equal = record.chart_version == version and same(record.values, release.values)
    return "keep" if equal and record.status == "deployed" else "upgrade"


def _dropped(
    client: KubeClient, old: Mapping[str, Mapping[str, Any]], kept: Collection[str]
) -> list[DriftedObject]:
    """Objects of the old manifest that the new one no longer has; helm deletes them."""
    gone = []
    for name, obj in old.items():
        if name in kept or annotations_of(obj).get(_KEEP_ANNOTATION) == "keep":
            continue
        metadata = obj["metadata"]
        live = client.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))
        # helm looks at what lives, too (helm pkg/kube/client.go, Update).
        if live is not None and annotations_of(live).get(_KEEP_ANNOTATION) != "keep":
            gone.append(live)
    return removals(gone)


def _removals(
    client: KubeClient,
    releases: Iterable[Release],
    stored: Mapping[tuple[str, str], Sequence[StoredRelease]],
) -> list[ReleasePlan]:
    """Gateways that this collection installed and that are no longer on the list."""
    wanted = {(release.namespace, release.name) for release in releases}
    return [
        ReleasePlan(
            record.name,
            record.namespace,
            record.chart,
            "remove",
            {},
            ChartReference(""),
            tuple(_dropped(client, old_manifest(client, records), ())),
        )
        for key, records in stored.items()
        for record in records[:1]
        if key not in wanted
        and record.chart == "gateway"
        and record.status != "uninstalled"
        and mapping_at(record.values, "labels").get(GATEWAY_MARK) == "true"
    ]


def unlock(client: KubeClient, records: Sequence[StoredRelease], *, grace: int, context: Context) -> None:
    """Remove the records of helm runs that were killed, after making sure that none of them is still at work.

    :param grace: seconds since helm's last write after which a run counts as dead.
    :raises WaitTimeout: when helm keeps writing.
    """
    for record in records:
        current = _wait_for_end(client, record, grace=grace, context=context)
        if current is not None and current.pending:
            client.delete("v1", "Secret", current.secret, current.namespace, uid=current.uid)
            context.progress(f"removed the record of an unfinished helm run: release {record.name}")


def _wait_for_end(
    client: KubeClient, record: StoredRelease, *, grace: int, context: Context
) -> StoredRelease | None:
    latest: StoredRelease | None = record

    def ended() -> tuple[bool, str]:
        nonlocal latest
        items = client.list(
            "v1", "Secret", record.namespace, label_selector=f"{OWNER_SELECTOR},name={record.name}"
        ).items
        latest = next(iter(stored_releases(items).get((record.namespace, record.name), ())), None)
        if latest is None or not latest.pending:
            return True, "it has ended"
        age = context.clock.now() - latest.modified
        return age >= grace, f"{latest.status} for {age:.0f} s"

    try:
        wait_until(
            ended,
            awaited=f"the helm run that holds release {record.namespace}/{record.name}",
            timeout=grace * 2,
            stop=context.stop,
            progress=context.progress,
            clock=context.clock,
        )
    except WaitTimeout as error:
        raise WaitTimeout(
            f"another helm run is at work on release {record.namespace}/{record.name}",
            awaited=error.details["awaited"],
            last_seen=error.details["last_seen"],
        ) from error
    return latest
