# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration that every revision of istiod runs with, beside a catalogue."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MalformedError
from ...fields import labels_of, mapping_at, name_of
from ...istio.injection.webhooks import stored_yaml
from ...istio.workloads import parse_pod
from ...model.catalogue.mesh import Catalogue
from .findings import CUTS, NOTE, UNKNOWN, Difference
from .read import Place, places_of
from .settings import (
    MESH_CONFIG,
    SETTINGS,
    SettingFacts,
    default_of,
    provider_faults,
    providers_of,
    unread_labels,
    value_at,
)

if TYPE_CHECKING:
    from ...kube.client import KubeClient

DEFAULT = "default"
_RULE = "mesh-config"


@dataclasses.dataclass(frozen=True, slots=True)
class LiveConfig:
    """What one revision runs with.

    :param source: the ConfigMap, for messages. :param values: by Helm value, MeshConfig under ``meshConfig``.
    :param fault: why it cannot be read, ``""`` when it can.
    """

    revision: str
    source: str
    values: Mapping[str, Any]
    fault: str = ""


def compare_config(
    client: KubeClient,
    catalogue: Catalogue,
    places: Mapping[str, Place],
    *,
    to_be_installed: Collection[str] = (),
    installed: bool = False,
) -> list[Difference]:
    """The differences between the catalogue and what runs.

    :param to_be_installed: revisions whose configuration this very run is going to write.
    :param installed: whether Istio runs already: then a configuration that cannot be found is "unknown".
    :returns: one per setting and revision. Of a revision that serves no pod of the catalogue they are notes.
    """
    try:
        configs = read_configs(client, catalogue.istio_namespace)
    except ApiError as error:
        if not error.not_allowed:
            raise
        return [Difference("mesh_services", f"Istio's configuration: {error.message}", _RULE, UNKNOWN)]
    if installed and not configs:
        what = f"Istio's configuration: no ConfigMap istio in {catalogue.istio_namespace} bears istio.io/rev"
        return [Difference("mesh_services", what, _RULE, UNKNOWN)]
    judged = [config for config in configs if config.revision not in to_be_installed]
    facts = _facts(client, catalogue, judged)
    serving = _serving(places)
    found: list[Difference] = []
    for config in judged:
        counts = config.revision in serving or (not serving and len(configs) == 1)
        for item in _judged(config, catalogue, facts):
            weight = NOTE if item.weight == CUTS and not counts else item.weight
            found.append(dataclasses.replace(item, weight=weight))
    return found


def read_configs(client: KubeClient, namespace: str) -> list[LiveConfig]:
    """The ConfigMaps of all revisions: ``istio[-REVISION]``, and ``istio-sidecar-injector[-REVISION]``.

    :returns: one per revision, sorted by its name.
    :raises ApiError: they may not be listed.
    """
    items = client.list("v1", "ConfigMap", namespace, label_selector="istio.io/rev").items
    by_name = {name_of(item): item for item in items}
    configs = []
    for item in items:
        revision = labels_of(item)["istio.io/rev"]
        suffix = "" if revision == DEFAULT else f"-{revision}"
        if name_of(item) != f"istio{suffix}":
            continue
        source = f"ConfigMap {namespace}/{name_of(item)}"
        try:
            values: dict[str, Any] = {MESH_CONFIG: stored_yaml(item, "mesh")}
            injector = by_name.get(f"istio-sidecar-injector{suffix}")
            if injector is not None:
                values["global"] = mapping_at(stored_yaml(injector, "values"), "global")
            configs.append(LiveConfig(revision, source, values))
        except MalformedError as error:
            configs.append(LiveConfig(revision, source, {}, error.message))
    return sorted(configs, key=lambda config: config.revision)


def _judged(config: LiveConfig, catalogue: Catalogue, facts: SettingFacts) -> Iterator[Difference]:
    if config.fault:
        yield Difference("mesh_services", config.fault, _RULE, UNKNOWN)
        return
    for setting in SETTINGS:
        if setting.path[0] not in config.values:
            continue  # an injector that was not found says nothing
        value = value_at(config.values, setting)
        if value is None:
            value = default_of(setting, catalogue.istio_namespace)
        if message := setting.judge(catalogue, value, facts):
            yield Difference(
                setting.variable, f"{setting.name} in {config.source} {message}", _RULE, setting.weight
            )
    if facts.unread and mapping_at(config.values, MESH_CONFIG).get("discoverySelectors"):
        message = f"discoverySelectors in {config.source}: {unread_labels(facts)}"
        yield Difference("mesh_services", message, _RULE, UNKNOWN)
    for variable, message in provider_faults(catalogue, providers_of(config.values)):
        yield Difference(variable, f"in {config.source} {message}", "extension-provider", CUTS)


def _facts(client: KubeClient, catalogue: Catalogue, configs: Iterable[LiveConfig]) -> SettingFacts:
    """Labels of namespaces, asked for only where somebody selects by them."""
    if not any(mapping_at(config.values, MESH_CONFIG).get("discoverySelectors") for config in configs):
        return SettingFacts()
    return read_namespaces(client, places_of(catalogue))


def read_namespaces(client: KubeClient, names: Iterable[str]) -> SettingFacts:
    """Labels of the namespaces that exist; one that may not be read is named as such."""
    unread: list[str] = []

    def read(name: str) -> Mapping[str, str] | None:
        try:
            found = client.get("v1", "Namespace", name)
        except ApiError as error:
            if not error.not_allowed:
                raise
            unread.append(name)
            return None
        return None if found is None else labels_of(found)

    wanted = list(names)
    found = client.in_parallel(read, wanted)
    labels = {name: labels for name, labels in zip(wanted, found, strict=True) if labels is not None}
    return SettingFacts(labels, tuple(sorted(unread)))


def _serving(places: Mapping[str, Place]) -> set[str]:
    """The revisions whose istiod serves the proxies that are there."""
    return {
        proxy.revision or DEFAULT
        for place in places.values()
        for pod in place.pods
        if (proxy := parse_pod(pod).proxy) is not None
    }
