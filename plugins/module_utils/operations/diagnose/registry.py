# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The causes that are looked for, each with what has to be read for it.

A new one is a file in ``causes`` with a function ``find``, and a line here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from .case import Case
from .cause import (
    CONTROL_PLANE,
    DNS,
    EGRESS,
    GATEWAY,
    INJECTION,
    LATENCY,
    ROUTING,
    SECURITY,
    Cause,
)
from .causes import (
    bare_pods,
    circuits,
    destination_rules,
    empty_services,
    gateway_credentials,
    gateway_hosts,
    gateways,
    hidden_hosts,
    hidden_namespaces,
    injected_faults,
    injectors,
    istiods,
    names,
    network_policies,
    outside_hosts,
    policies,
    protocols,
    providers,
    proxy_sizes,
    refused_configurations,
    refused_pods,
    route_conflicts,
    routes_to_nothing,
    sick_proxies,
    slow_callees,
    time_limits,
    transport,
)

WEBHOOKS = "MutatingWebhookConfiguration"
VALIDATORS = "ValidatingWebhookConfiguration"


@dataclasses.dataclass(frozen=True, slots=True)
class Search:
    """One kind of cause.

    :param name: of its file, for what cannot be told. :param family: that it mostly belongs to.
    :param needs: kinds of objects, or other sources, without which its silence means nothing.
    """

    name: str
    family: str
    find: Callable[[Case], Iterable[Cause]]
    needs: tuple[str, ...] = ()


SEARCHES = (
    Search("istiods", CONTROL_PLANE, istiods.find, ("Pod", "Deployment", "istiod's metrics")),
    Search("foreign bundles", CONTROL_PLANE, injectors.foreign_bundles, (WEBHOOKS, VALIDATORS)),
    Search(
        "refused configurations", CONTROL_PLANE, refused_configurations.find, ("Pod", "istiod", "EnvoyFilter")
    ),
    Search("hidden namespaces", CONTROL_PLANE, hidden_namespaces.find, ("Namespace", "ConfigMap")),
    Search("injectors", INJECTION, injectors.find, (WEBHOOKS,)),
    Search("pods without a proxy", INJECTION, bare_pods.find, ("Pod", WEBHOOKS, "Namespace")),
    Search("refused pods", INJECTION, refused_pods.find, ("Deployment", WEBHOOKS, VALIDATORS)),
    Search("sick proxies", INJECTION, sick_proxies.find, ("Pod",)),
    Search("names", DNS, names.find, ("Service",)),
    Search("names of routes", DNS, names.searched, ("VirtualService",)),
    Search("gateways", GATEWAY, gateways.find, ("Pod", "Gateway", "Service")),
    Search("hosts of gateways", GATEWAY, gateway_hosts.find, ("Gateway", "VirtualService")),
    Search("credentials of gateways", GATEWAY, gateway_credentials.find, ("Gateway", "Secret")),
    Search("routes to nothing", ROUTING, routes_to_nothing.find, ("VirtualService", "DestinationRule")),
    Search("services without endpoints", ROUTING, empty_services.find, ("Pod", "Service")),
    Search("conflicts of routes", ROUTING, route_conflicts.find, ("VirtualService",)),
    Search("routes that nothing reaches", ROUTING, route_conflicts.shadowed, ("VirtualService",)),
    Search("protocols", ROUTING, protocols.find, ("Service",)),
    Search("hidden hosts", ROUTING, hidden_hosts.find, ("Sidecar",)),
    Search("destination rules", ROUTING, destination_rules.find, ("DestinationRule",)),
    Search("circuit breakers", ROUTING, circuits.find, ("Pod", "DestinationRule")),
    Search("injected faults", ROUTING, injected_faults.find, ("VirtualService",)),
    Search("transport", SECURITY, transport.find, ("Pod", "PeerAuthentication", "DestinationRule")),
    Search("policies", SECURITY, policies.find, ("Pod", "AuthorizationPolicy")),
    Search("network policies", SECURITY, network_policies.find, ("Pod", "NetworkPolicy")),
    Search(
        "providers", SECURITY, providers.find, ("AuthorizationPolicy", "RequestAuthentication", "ConfigMap")
    ),
    Search("hosts outside", EGRESS, outside_hosts.find, ("ServiceEntry", "ConfigMap")),
    Search("time limits", LATENCY, time_limits.find, ("VirtualService",)),
    Search("sizes of proxies", LATENCY, proxy_sizes.find, ("Pod",)),
    Search("slow callees", LATENCY, slow_callees.find, ("Pod", "access logs")),
)
