# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs with istioctl, when and only when ``istioctl install`` would change something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...context import Context
from ...documents.json_text import json_text
from ...errors import MeshError
from ...fields import field, labels_of, mapping_at, mappings_at
from ...istio.installation.commands import Runner, Tool, without_log_lines
from ...istio.installation.installed import MUTATING, WEBHOOK_API
from ...istio.installation.istioctl_operator import (
    DEFAULT_TAG,
    FIELD_MANAGER,
    NOT_PRUNED_LABEL,
    OWNER_LABEL,
    PRUNED_KINDS,
    default_tag_ids,
    is_stale,
    operator_document,
    owner_labels,
    prune_selector,
)
from ...istio.installation.manifests import parse_manifests
from ...istio.installation.platforms import Kept
from ...kube.client import KubeClient
from ...model.installation.settings import Installation
from ...object_id import object_id
from .drift import (
    DriftedObject,
    await_leaving,
    compare,
    missing_namespaces,
    removals,
    take_out_additions,
)
from .installer import render_istioctl

_BY_DEFAULT = ("sidecarInjectorWebhook", "enableNamespacesByDefault")


def plan(
    client: KubeClient,
    installation: Installation,
    runner: Runner,
    tool: Tool,
    *,
    kept: dict[str, tuple[Kept, ...]] | None = None,
) -> list[DriftedObject]:
    """Everything that ``istioctl install`` would create, change or prune, namespaces first.

    :param kept: see ``drift.compare``.
    :returns: one per object that differs; empty when nothing would change.
    """
    rendered = render_istioctl(installation, runner, tool)
    names = {object_id(obj) for obj in rendered}
    return [
        *missing_namespaces(client, installation.namespaces),
        *compare(client, rendered, field_manager=FIELD_MANAGER, kept=kept),
        *_default_tag(client, installation, runner, tool, kept),
        *removals(_stale(client, installation, tool, names)),
    ]


def install(
    client: KubeClient,
    installation: Installation,
    runner: Runner,
    tool: Tool,
    *,
    differences: list[DriftedObject],
    timeout: int,
    context: Context,
) -> None:
    """Run istioctl, then prove with the same plan that nothing is left to do.

    :param timeout: seconds that istioctl may wait for each component.
    :raises MeshError: when istioctl fails, or objects still differ.
    """
    await_leaving(client, differences, timeout=timeout, context=context)
    # istioctl makes the control plane's namespace, not those of gateways elsewhere.
    for difference in missing_namespaces(client, installation.namespaces[1:]):
        client.apply(difference.desired)
    context.progress(
        f"istioctl {tool.version} installs revision {installation.revision or 'default'}: "
        f"{len(differences)} objects differ"
    )
    take_out_additions(client, differences, field_manager=FIELD_MANAGER)
    runner.run(
        [tool.path, "install", "--skip-confirmation", "--readiness-timeout", f"{timeout}s", "-f", "-"],
        stdin=json_text(operator_document(installation)),
        # istioctl waits for up to three components one after the other.
        timeout=timeout * 3 + 60,
        about="install the control plane with istioctl",
    )
    client.refresh_discovery()
    left = plan(client, installation, runner, tool)
    if left:
        names = ", ".join(difference.id for difference in left[:5])
        raise MeshError(
            f"istioctl ended well, but {len(left)} objects still differ: {names}",
            objects=[difference.summary() for difference in left],
        )


def _stale(
    client: KubeClient, installation: Installation, tool: Tool, kept: set[str]
) -> list[dict[str, Any]]:
    selector = prune_selector(installation, tool.version)
    lists = client.in_parallel(
        lambda kind: client.list(kind[0], kind[1], label_selector=selector).items, PRUNED_KINDS
    )
    return [obj for items in lists for obj in items if is_stale(obj, kept, object_id(obj))]


def _default_tag(
    client: KubeClient,
    installation: Installation,
    runner: Runner,
    tool: Tool,
    kept: dict[str, tuple[Kept, ...]] | None,
) -> list[DriftedObject]:
    """The ``default`` tag of an install without revision; istioctl writes it beside the manifest."""
    wanted = default_tag_ids(installation)
    if not wanted:
        return []
    injector = "istio-sidecar-injector" + (
        "" if installation.namespace == "istio-system" else f"-{installation.namespace}"
    )
    if client.get(WEBHOOK_API, MUTATING, injector) is None:
        # Nothing to derive the tag from yet; the objects are named, their content is istioctl's.
        return [_unrendered(*identity) for identity in wanted]
    arguments = ["--revision", "default", "--overwrite", "--istioNamespace", installation.namespace]
    # From the merged document, where `operator_spec` counts as well (operator/pkg/webhook WebhooksToDeploy).
    if field(operator_document(installation), "spec", "values", *_BY_DEFAULT) is True:
        arguments.append("--auto-inject-namespaces")
    text = runner.run(
        [tool.path, "tag", "generate", DEFAULT_TAG, *arguments], about="render the default revision tag"
    )
    objects = parse_manifests(without_log_lines(text), about="the output of istioctl tag generate")
    if not any(obj["kind"] == MUTATING for obj in objects):
        # Compared as it is, it would look like a tag that is as it should be.
        raise MeshError(
            "the output of istioctl tag generate holds no tag: a webhook configuration is missing"
        )
    for obj in objects:
        _complete_tag(obj, installation, tool)
    return compare(client, objects, field_manager=FIELD_MANAGER, kept=kept)


def _complete_tag(obj: dict[str, Any], installation: Installation, tool: Tool) -> None:
    # `tag generate` strips the owner's labels from its template, `install` puts these in their place.
    obj["metadata"]["labels"] = {
        **labels_of(obj),
        **owner_labels(installation, tool.version, "Pilot"),
        NOT_PRUNED_LABEL: "true",
        OWNER_LABEL: "unknown",
    }
    if "webhooks" in obj:
        obj["webhooks"] = [_without_bundle(webhook) for webhook in mappings_at(obj, "webhooks")]


def _without_bundle(webhook: Mapping[str, Any]) -> dict[str, Any]:
    """istiod keeps the CA bundle; see ``installed.settled``."""
    configuration = dict(mapping_at(webhook, "clientConfig"))
    configuration.pop("caBundle", None)
    return {**webhook, "clientConfig": configuration}


def _unrendered(api_version: str, kind: str, place: str, name: str) -> DriftedObject:
    metadata: dict[str, Any] = {"name": name}
    if place:
        metadata["namespace"] = place
    obj: Mapping[str, Any] = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
    return DriftedObject(object_id(obj), "create", {}, obj, obj, validated=False)
