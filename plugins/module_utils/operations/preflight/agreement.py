# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the installation and the catalogue both say: gateways, providers, trust domain, root namespace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...errors import Problem
from ...model.catalogue.mesh import Catalogue, EgressGateway, Gateway
from ...model.installation.gateways import InstalledGateway
from ...model.installation.settings import (
    BUILT_IN_PROVIDERS,
    Installation,
    provider_names,
    setting,
    statements,
)
from ..cluster_check.findings import CUTS
from ..cluster_check.settings import MESH_CONFIG, SETTINGS, SettingFacts, default_of, provider_faults

_RULE = "same-setting"
DISCOVERY = "discoverySelectors"


def disagreements(installation: Installation, catalogue: Catalogue, *, installs: bool) -> list[Problem]:
    """What the catalogue refers to and the installation does not have, or has otherwise.

    :param installs: whether this installation is going to be written: what it leaves out then gets Istio's
        own default. Otherwise somebody else's Istio is there, and only what is stated counts.
    :returns: every problem, ``[]`` when there is none.
    """
    return [
        *_settings(installation, catalogue, installs=installs),
        *_providers(installation, catalogue),
        *_gateways(installation, catalogue),
    ]


def _settings(installation: Installation, catalogue: Catalogue, *, installs: bool) -> Iterator[Problem]:
    """Each row of the table, with what the variables state; without a statement, with Istio's default."""
    for row in SETTINGS:
        if row.weight != CUTS:
            continue
        stated = statements(installation, *row.path)
        for place, value in stated:
            if message := row.judge(catalogue, value, SettingFacts()):
                yield Problem(place, message, _RULE)
        default = default_of(row, installation.namespace)
        if not stated and installs and (message := row.judge(catalogue, default, SettingFacts())):
            yield Problem(row.variable, f"unless it is set, {row.name} {message}", _RULE)


def doubtful_settings(installation: Installation, catalogue: Catalogue) -> list[str]:
    """What both sides state, and what is probably not meant. :returns: a sentence each."""
    return [
        f"{place}: {message}"
        for row in SETTINGS
        if row.weight != CUTS
        for place, value in statements(installation, *row.path)
        if (message := row.judge(catalogue, value, SettingFacts()))
    ]


def unseen_namespaces(
    installation: Installation, catalogue: Catalogue, labels: Mapping[str, Mapping[str, str]]
) -> list[Problem]:
    """Namespaces of the catalogue that stated ``discoverySelectors`` leave out.

    :param labels: of the namespaces that exist.
    :returns: one problem per statement that does.
    """
    return [
        Problem(place, message, _RULE)
        for row in SETTINGS
        if row.path[-1] == DISCOVERY
        for place, value in statements(installation, *row.path)
        if (message := row.judge(catalogue, value, SettingFacts(labels)))
    ]


def _providers(installation: Installation, catalogue: Catalogue) -> Iterator[Problem]:
    configured = setting(installation, MESH_CONFIG, "extensionProviders", default=())
    # Providers of profiles are not configured by anybody here.
    besides = [name for name in provider_names(installation) if name not in BUILT_IN_PROVIDERS]
    for variable, message in provider_faults(catalogue, configured, besides):
        yield Problem(variable, message, "extension-provider")


def _gateways(installation: Installation, catalogue: Catalogue) -> Iterator[Problem]:
    if not installation.gateways:
        return
    described: list[tuple[str, Gateway | EgressGateway]] = [
        (gateway.where, gateway) for gateway in catalogue.gateways
    ]
    if catalogue.egress_gateway is not None:
        described.append(("mesh_egress_gateway", catalogue.egress_gateway))
    for where, gateway in described:
        identity = f"{gateway.workload_namespace}/{gateway.service_account}"
        found = _installed_as(installation, gateway)
        if not found:
            names = ", ".join(f"{item.namespace}/{item.service_account}" for item in installation.gateways)
            message = f"no gateway of istio_gateways runs as {identity} (installed: {names})"
            yield Problem(where, message, "unknown-gateway")
        elif not any(_selects(gateway, item) for item in found):
            labels = "; ".join(f"{item.name} has {dict(item.labels)}" for item in found)
            message = f"selects no gateway that runs as {identity}: {labels}"
            yield Problem(f"{where}.selector", message, "unknown-gateway")


def _installed_as(installation: Installation, gateway: Gateway | EgressGateway) -> list[InstalledGateway]:
    """The installed gateways with the namespace and the ServiceAccount of the catalogue's one."""
    identity = (gateway.workload_namespace, gateway.service_account)
    return [item for item in installation.gateways if (item.namespace, item.service_account) == identity]


def _selects(gateway: Gateway | EgressGateway, installed: InstalledGateway) -> bool:
    return set(gateway.selector.items()) <= set(installed.labels.items())


def unreachable_ports(installation: Installation, catalogue: Catalogue) -> list[str]:
    """A warning for each server of a gateway on a port that the gateway's Service does not have.

    istiod binds such a listener (pilot/pkg/model/gateway.go), but nobody gets there through the Service.

    :returns: one sentence each.
    """
    warnings = []
    wanted: list[tuple[str, Gateway | EgressGateway, int]] = []
    for gateway in catalogue.gateways:
        for server in gateway.servers:
            wanted.append((f"{server.where}.port", gateway, server.port))
            if server.https_redirect:
                wanted.append((f"{server.where}.http_port", gateway, server.http_port))
    if catalogue.egress_gateway is not None:
        wanted.append(("mesh_egress_gateway.port", catalogue.egress_gateway, catalogue.egress_gateway.port))
    for where, described, port in wanted:
        for found in _installed_as(installation, described):
            # The user's own values may say anything of the Service.
            if "service" in found.values or not _selects(described, found):
                continue
            known = [item.port for item in found.ports]
            if port not in known:
                warnings.append(
                    f"{where}: {port} is no port of the gateway {found.name} "
                    f"({', '.join(map(str, known))}), see {found.where}.ports"
                )
    return warnings
