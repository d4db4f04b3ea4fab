# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Istio's MeshConfig as the user gives it. istiod drops unknown keys in silence, so they are found here."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import Problem, nearest

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


def read_mesh_config(config: Any, providers: Any, problems: list[Problem]) -> dict[str, Any]:
    """``istio_mesh_config`` with the extension providers merged in; faults are added to ``problems``.

    :param providers: ``mesh_extension_providers``, a list like MeshConfig's own.
    :returns: a MeshConfig with its own field names.
    """
    if not isinstance(config, Mapping):
        problems.append(Problem("istio_mesh_config", "is not a mapping", "type"))
        return {}
    merged = copy.deepcopy(dict(config))
    _unknown_keys("istio_mesh_config", merged, MESH_CONFIG_KEYS, problems)
    defaults = merged.get("defaultConfig") or {}
    if isinstance(defaults, Mapping):
        _unknown_keys("istio_mesh_config.defaultConfig", defaults, PROXY_CONFIG_KEYS, problems)
    else:
        problems.append(Problem("istio_mesh_config.defaultConfig", "is not a mapping", "type"))
    listed: list[Any] = []
    for where, source in (
        ("istio_mesh_config.extensionProviders", merged.get("extensionProviders") or ()),
        ("mesh_extension_providers", providers),
    ):
        if isinstance(source, Sequence) and not isinstance(source, str):
            _add_providers(source, where, listed, problems)
        else:
            problems.append(Problem(where, "is not a list", "type"))
    if listed:
        merged["extensionProviders"] = listed
    return merged


def _unknown_keys(
    where: str, given: Mapping[Any, Any], known: frozenset[str], problems: list[Problem]
) -> None:
    folded = {name.lower() for name in known}
    for key in given:
        name = str(key)
        # istiod reads the names of the .proto files, too: access_log_file
        if name in known or ("_" in name and name.replace("_", "").lower() in folded):
            continue
        message = (
            f"Istio does not know this key{nearest(name, sorted(known))};"
            " what is newer than this collection goes into istio_values.meshConfig"
        )
        problems.append(Problem(f"{where}.{name}", message, "unknown-key"))


def _add_providers(source: Sequence[Any], where: str, listed: list[Any], problems: list[Problem]) -> None:
    for index, provider in enumerate(source):
        name = provider.get("name") if isinstance(provider, Mapping) else None
        if not isinstance(name, str) or not name:
            problems.append(Problem(f"{where}[{index}]", "has no name", "extension-provider"))
        elif name in {other["name"] for other in listed}:
            message = f"{name!r} is given twice"
            problems.append(Problem(f"{where}[{index}].name", message, "extension-provider"))
        else:
            listed.append(copy.deepcopy(dict(provider)))
