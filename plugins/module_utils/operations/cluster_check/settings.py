# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a mesh that have to agree with a catalogue: one row for each.

Where they differ everything is applied without a complaint, and calls get 403 or no answer (istio 47027). A
row says where the setting stands in Istio's configuration, what Istio takes when nobody sets it, and when it
fits. What is stated, what an installation gets by default, and what runs are compared by the same rows.

Source of names and defaults: istio/api mesh/v1alpha1/config.proto, istio pkg/config/mesh/mesh.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...fields import mapping_at
from ...istio.injection.webhooks import NAMESPACE_NAME_KEY, matches
from ...model.catalogue.mesh import Catalogue, all_callers
from ...model.catalogue.services import Service
from ...model.installation.mesh_config import json_name, spelled
from ...model.installation.settings import BUILT_IN_PROVIDERS
from .findings import CUTS, NOTE, listed
from .read import places_of

MESH_CONFIG = "meshConfig"
UNSET = None
NAMESPACE_OF_ISTIO = object()
"""As a default: the namespace of the control plane."""


@dataclasses.dataclass(frozen=True, slots=True)
class SettingFacts:
    """What a row may need besides the two values.

    :param namespaces: labels by the name of a namespace, of those that were read.
    :param unread: the names of those that may not be read.
    """

    namespaces: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    unread: tuple[str, ...] = ()


Judge = Callable[[Catalogue, Any, SettingFacts], str]


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One row.

    :param path: of the Helm value, ``meshConfig`` first for a field of MeshConfig.
    :param variable: what of the catalogue it has to agree with. :param default: Istio's own.
    :param judge: half a sentence about a value that does not fit, ``""`` for one that does.
    :param weight: what a difference means.
    """

    path: tuple[str, ...]
    variable: str
    default: Any
    judge: Judge
    weight: str = CUTS

    @property
    def name(self) -> str:
        """The path of the field without ``meshConfig``."""
        return ".".join(part for part in self.path if part != MESH_CONFIG)


def _equal(variable: str, wanted: Callable[[Catalogue], str]) -> Judge:
    def judge(catalogue: Catalogue, value: Any, _facts: SettingFacts) -> str:
        stated = wanted(catalogue)
        return "" if value == stated else f"is {value!r}, {variable} is {stated!r}"

    return judge


def _aliases_are_known(catalogue: Catalogue, value: Any, _facts: SettingFacts) -> str:
    unknown = [name for name in catalogue.trust_domain_aliases if name not in _list(value)]
    if not unknown:
        return ""
    return f"lacks {listed(unknown)} of mesh_trust_domain_aliases: proxies would refuse those certificates"


def _aliases_let_nobody_else_in(catalogue: Catalogue, value: Any, _facts: SettingFacts) -> str:
    more = [
        name for name in _list(value) if name not in (catalogue.trust_domain, *catalogue.trust_domain_aliases)
    ]
    if not more:
        return ""
    return f"has {listed(more)}, which mesh_trust_domain_aliases lacks: policies let those identities in, too"


def _outbound(catalogue: Catalogue, value: Any, _facts: SettingFacts) -> str:
    if value in (UNSET, catalogue.outbound):
        return ""
    return (
        f"is {value!r}, mesh_outbound is {catalogue.outbound!r}: "
        "that holds for services of the catalogue, this for all others"
    )


def _paths_are_normalized(catalogue: Catalogue, value: Any, _facts: SettingFacts) -> str:
    if value != "NONE" or not any(map(_has_paths, catalogue.services)):
        return ""
    return "is 'NONE', but mesh_services has rules about paths: requests to //path would pass by them"


def _has_paths(service: Service) -> bool:
    exposed = any(exposure.path != "/" for exposure in service.exposed)
    return bool(service.open_paths or exposed or any(caller.paths for caller in all_callers(service)))


def _auto_mtls(catalogue: Catalogue, value: Any, _facts: SettingFacts) -> str:
    if value is not False:
        return ""
    strict = [
        service.key
        for service in catalogue.services
        if any(service.mtls.mode_of(port, catalogue.mtls_mode) == "STRICT" for port in service.target_ports())
    ]
    return f"is false: callers would send plaintext, which {listed(strict)} refuse (STRICT)" if strict else ""


def unread_labels(facts: SettingFacts) -> str:
    """That nobody can tell whether istiod sees some namespaces, whose labels may not be read."""
    return f"cannot tell whether istiod sees {listed(facts.unread)}: no right to get these namespaces"


def _discovered(catalogue: Catalogue, value: Any, facts: SettingFacts) -> str:
    selectors = [item for item in _list(value) if isinstance(item, Mapping)]
    if not selectors:
        return ""
    hidden = [
        name
        for name in places_of(catalogue)
        if name in facts.namespaces
        and not any(
            matches(selector, {NAMESPACE_NAME_KEY: name, **facts.namespaces[name]}) for selector in selectors
        )
    ]
    return f"leaves out {listed(hidden)}: istiod would not see the services there" if hidden else ""


def _exported(catalogue: Catalogue, value: Any, _facts: SettingFacts) -> str:
    places = [str(item) for item in _list(value)]
    if not places or "*" in places:
        return ""
    hidden = sorted(
        {
            service.key
            for service in catalogue.services
            for place in _caller_namespaces(catalogue, service)
            if (place != service.namespace and place not in places)
            or (place == service.namespace and not {".", place} & set(places))
        }
    )
    if not hidden:
        return ""
    return f"is {', '.join(places)}: callers in other namespaces would not see {listed(hidden)}"


def _caller_namespaces(catalogue: Catalogue, service: Service) -> Iterator[str]:
    for caller in all_callers(service):
        if caller.service:
            yield caller.namespace or service.namespace
        elif caller.gateway and (gateway := catalogue.gateway(caller.gateway)):
            yield gateway.workload_namespace
    for exposure in service.exposed:
        if gateway := catalogue.gateway(exposure.gateway):
            yield gateway.workload_namespace


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


_TRACERS = ("zipkin", "lightstep", "datadog", "stackdriver", "opencensus", "skywalking", "opentelemetry")
_LOGGERS = ("envoyFileAccessLog", "envoyHttpAls", "envoyTcpAls", "envoyOtelAls", "stackdriver")
_METERS = ("prometheus", "stackdriver")
_PROVIDER_USES: tuple[tuple[str, str, Callable[[Catalogue], str | None], tuple[str, ...]], ...] = (
    (
        "mesh_telemetry.tracing_provider",
        "traces",
        lambda item: _telemetry(item, "tracing_provider"),
        _TRACERS,
    ),
    (
        "mesh_telemetry.access_log_provider",
        "access logs",
        lambda item: _telemetry(item, "access_log_provider") if _telemetry(item, "access_log") else None,
        _LOGGERS,
    ),
    (
        "mesh_telemetry.metrics.provider",
        "metrics",
        lambda item: item.telemetry.metrics.provider if item.telemetry and item.telemetry.metrics else None,
        _METERS,
    ),
)


def _telemetry(catalogue: Catalogue, field: str) -> str | None:
    return getattr(catalogue.telemetry, field) if catalogue.telemetry else None


def provider_faults(
    catalogue: Catalogue, providers: Iterable[Any], known_besides: Iterable[str] = ()
) -> Iterator[tuple[str, str]]:
    """What the catalogue says of extension providers and Istio cannot give.

    :param providers: entries of ``extensionProviders``. :param known_besides: names whose kind is not known.
    :returns: (variable, half a sentence) each.
    """
    kinds: dict[str, tuple[str, ...]] = {**BUILT_IN_PROVIDERS, **dict.fromkeys(known_besides, ())}
    for entry in providers:
        if isinstance(entry, Mapping) and entry.get("name"):
            kinds[str(entry["name"])] = tuple(json_name(key) for key in entry if key != "name")
    for variable, what, wanted, fitting in _PROVIDER_USES:
        name = wanted(catalogue)
        if not name:
            continue
        if name not in kinds:
            yield variable, f"no extension provider is called {name!r} (known: {', '.join(kinds)})"
        elif kinds[name] and not set(kinds[name]) & set(fitting):
            yield variable, f"extension provider {name!r} is {', '.join(kinds[name])}, which takes no {what}"


SETTINGS: tuple[Setting, ...] = (
    Setting(
        (MESH_CONFIG, "trustDomain"),
        "mesh_trust_domain",
        "cluster.local",
        _equal("mesh_trust_domain", lambda item: item.trust_domain),
    ),
    Setting((MESH_CONFIG, "trustDomainAliases"), "mesh_trust_domain_aliases", UNSET, _aliases_are_known),
    Setting(
        (MESH_CONFIG, "trustDomainAliases"),
        "mesh_trust_domain_aliases",
        UNSET,
        _aliases_let_nobody_else_in,
        NOTE,
    ),
    Setting(
        (MESH_CONFIG, "rootNamespace"),
        "mesh_root_namespace",
        NAMESPACE_OF_ISTIO,
        _equal("mesh_root_namespace", lambda item: item.root_namespace),
    ),
    Setting(
        ("global", "proxy", "clusterDomain"),
        "mesh_cluster_domain",
        "cluster.local",
        _equal("mesh_cluster_domain", lambda item: item.cluster_domain),
    ),
    Setting((MESH_CONFIG, "outboundTrafficPolicy", "mode"), "mesh_outbound", UNSET, _outbound, NOTE),
    Setting(
        (MESH_CONFIG, "pathNormalization", "normalization"),
        "mesh_services",
        "BASE",
        _paths_are_normalized,
    ),
    Setting((MESH_CONFIG, "enableAutoMtls"), "mesh_mtls_mode", True, _auto_mtls),
    Setting((MESH_CONFIG, "discoverySelectors"), "mesh_services", UNSET, _discovered),
    *(
        Setting((MESH_CONFIG, f"default{kind}ExportTo"), "mesh_services", UNSET, _exported)
        for kind in ("Service", "VirtualService", "DestinationRule")
    ),
)


def value_at(config: Mapping[str, Any], setting: Setting) -> Any:
    """What a configuration says of a setting; None when it is silent.

    :param config: by Helm value: MeshConfig lies under ``meshConfig``. Names may be spelled as in the .proto
        files, too, as istiod reads them.
    """
    return spelled(config, *setting.path)[1]


def default_of(setting: Setting, istio_namespace: str) -> Any:
    """What Istio takes when nobody sets it."""
    return istio_namespace if setting.default is NAMESPACE_OF_ISTIO else setting.default


def providers_of(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """``extensionProviders`` of a configuration. :returns: its entries."""
    mesh = mapping_at(config, MESH_CONFIG)
    return tuple(_list(spelled(mesh, "extensionProviders")[1]))
