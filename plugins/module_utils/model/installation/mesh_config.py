# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Istio's MeshConfig as the user gives it. istiod drops unknown keys in silence, so they are found here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...errors import nearest
from ..reading.reader import Reader, kind_of
from ..reading.values import TEXT

# Fields of MeshConfig and ProxyConfig of all supported versions (istio/api, mesh/v1alpha1/config.proto and
# proxy.proto), in the JSON spelling.
MESH_CONFIG_KEYS = frozenset(
    (
        "accessLogEncoding", "accessLogFile", "accessLogFormat", "ca", "caCertificates", "certificates",
        "configSources", "connectTimeout", "defaultConfig", "defaultDestinationRuleExportTo",
        "defaultHttpRetryPolicy", "defaultProviders", "defaultServiceExportTo", "defaultTrafficPolicy",
        "defaultVirtualServiceExportTo", "disableEnvoyListenerLog", "discoverySelectors", "dnsRefreshRate",
        "enableAutoMtls", "enableEnvoyAccessLogService", "enablePrometheusMerge", "enableTracing",
        "extensionProviders", "h2UpgradePolicy", "hboneIdleTimeout", "inboundClusterStatName",
        "inboundTrafficPolicy", "ingressClass", "ingressControllerMode", "ingressSelector", "ingressService",
        "localityLbSetting", "meshMTLS", "outboundClusterStatName", "outboundTrafficPolicy",
        "pathNormalization", "protocolDetectionTimeout", "proxyHttpPort", "proxyInboundListenPort",
        "proxyListenPort", "rootNamespace", "serviceEntryVisibility", "serviceScopeConfigs",
        "serviceSettings", "tcpKeepalive", "tlsDefaults", "trustDomain", "trustDomainAliases",
        "verifyCertificateAtClient", "zoneAwareLbSetting",
    )
)  # fmt: skip
PROXY_CONFIG_KEYS = frozenset(
    (
        "availabilityZone", "binaryPath", "caCertificatesPem", "concurrency", "configPath",
        "connectionSettings", "controlPlaneAuthPolicy", "customConfigFile", "discoveryAddress",
        "discoveryRefreshDelay", "drainDuration", "envoyAccessLogService", "envoyMetricsService",
        "envoyMetricsServiceAddress", "extraStatTags", "fileFlushInterval", "fileFlushMinSizeKb",
        "gatewayTopology", "holdApplicationUntilProxyStarts", "image", "interceptionMode", "meshId",
        "privateKeyProvider", "proxyAdminPort", "proxyBootstrapTemplatePath", "proxyHeaders",
        "proxyMetadata", "proxyStatsMatcher", "readinessProbe", "runtimeValues", "sds", "serviceCluster",
        "statNameLength", "statsCompression", "statsdUdpAddress", "statusPort", "terminationDrainDuration",
        "tracing", "tracingServiceName", "zipkinAddress",
    )
)  # fmt: skip
# Protobuf's JSON takes no other spelling: of a MeshConfig with "false" istiod reads nothing at all.
_BOOLEANS = (
    "disableEnvoyListenerLog", "enableAutoMtls", "enableEnvoyAccessLogService", "enablePrometheusMerge",
    "enableTracing", "verifyCertificateAtClient",
)  # fmt: skip
_TEXTS = (
    "accessLogFile", "accessLogFormat", "inboundClusterStatName", "ingressClass", "ingressSelector",
    "ingressService", "outboundClusterStatName", "rootNamespace", "trustDomain",
)  # fmt: skip
_EXPORTED = ("Service", "VirtualService", "DestinationRule")


def json_name(name: str) -> str:
    """The JSON spelling of a field's name in Istio's .proto files: ``trustDomain`` for ``trust_domain``."""
    return re.sub("_(.)", lambda found: found[1].upper(), name)


def as_spelled(config: Mapping[str, Any], *path: str) -> tuple[str, ...]:
    """A path in MeshConfig as it is spelled there. :returns: the path to follow in ``config``."""
    return spelled(config, *path)[0]


def spelled(config: Mapping[str, Any], *path: str) -> tuple[tuple[str, ...], Any]:
    """A path in MeshConfig as it is spelled there: istiod reads the names of its .proto files, too.

    :param path: in the JSON spelling.
    :returns: the path to follow in ``config``, and the value at it; None when there is none.
    """
    names: list[str] = []
    value: Any = config
    for name in path:
        holder = value if isinstance(value, Mapping) else {}
        others = (key for key in holder if json_name(str(key)) == name)
        names.append(name if name in holder else next(others, name))
        value = holder.get(names[-1])
    return tuple(names), value


def read_mesh_config(reader: Reader) -> dict[str, Any]:
    """``istio_mesh_config`` with the providers of ``mesh_extension_providers`` added to its own.

    :returns: MeshConfig in its JSON form; ``{}`` when nothing is set.
    """
    config = reader.mapping("istio_mesh_config")
    inner = Reader(config, reader.path("istio_mesh_config"), reader.problems)
    _check_keys(inner, MESH_CONFIG_KEYS)
    for name in _spelled(inner, *_BOOLEANS):
        if not isinstance(value := inner.value(name), bool | None):
            inner.fault(name, f"is {kind_of(value)}, not true or false", "type")
    for name in _spelled(inner, *_TEXTS):
        inner.maybe_text(name)
    (default_config, extension_providers) = _spelled(inner, "defaultConfig", "extensionProviders")
    if (defaults := inner.section(default_config)) is not None:
        _check_keys(defaults, PROXY_CONFIG_KEYS)
    read_parts(inner)
    providers: dict[str, Any] = {}
    for place, key in ((inner, extension_providers), (reader, "mesh_extension_providers")):
        for provider in place.sections(key):
            name = provider.text("name", TEXT)
            if name in providers:
                provider.fault("name", f"{name!r} is given twice", "duplicate")
            elif name:  # one without a name is a problem already
                providers[name] = provider.raw()
    return {**config, extension_providers: list(providers.values())} if providers else config


def read_parts(config: Reader) -> None:
    """Refuses parts of MeshConfig of another shape, as far as they are compared with a catalogue."""
    for name in _spelled(config, "outboundTrafficPolicy", "pathNormalization"):
        config.section(name)
    for name in _spelled(
        config,
        "discoverySelectors",
        *(f"default{kind}ExportTo" for kind in _EXPORTED),
        "trustDomainAliases",
    ):
        config.items(name)


def _spelled(config: Reader, *names: str) -> list[str]:
    return [key for name in names for key in as_spelled(config.raw(), name)]


def _check_keys(reader: Reader, known: frozenset[str]) -> None:
    for name in reader.raw():
        if json_name(name) in known:
            continue
        message = (
            f"Istio does not know this key{nearest(name, sorted(known))};"
            " what is newer than this collection goes into istio_values.meshConfig"
        )
        reader.fault(name, message, "unknown-key")
