# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rate limits. Istio has no API of its own for them, so they are EnvoyFilters.

Local limits count in each proxy, so the real limit is theirs times the number of replicas. Filters stand
right before the router, behind authorization: refused requests use up nobody's share.

At a gateway the buckets of a service belong to the filter, and its routes only say whose they are
(``rate_limits`` of a RouteAction). A bucket in a route's own configuration would be one for each of the many
routes that an entry of ``exposed`` becomes.
"""

from __future__ import annotations

import json
from typing import Any

from ...labels import ownership_labels
from ..catalogue.exposures import exposed_port, leads_to_delegate, server_for
from ..catalogue.mesh import Catalogue, Gateway
from ..catalogue.readers.service import GLOBAL_UNITS
from ..catalogue.services import Exposure, RateLimit, Service
from ..reading.durations import seconds
from .base import API_VERSIONS, Obj, build, compact
from .names import (
    exposed_port_route_name,
    exposed_route_name,
    gateway_limit_name,
    limits_name,
    service_limit_name,
)
from .rate_limit_filters import (
    GLOBAL_FILTER,
    GLOBAL_ROUTE_TYPE,
    LOCAL_FILTER,
    LOCAL_STAGE,
    VALUE_KEY,
    global_actions,
    global_config,
    local_config,
    shared_config,
)
from .virtual_service_delegates import http_routes

PRIORITY = 10  # relative operations without a priority are reported by the analyzers (IST0151)


def rate_limit_objects(catalogue: Catalogue) -> list[Obj]:
    """One EnvoyFilter per service or gateway that limits, and the rate limit service's configuration.

    :returns: EnvoyFilters, and one ConfigMap when a limit is global.
    """
    objects = [
        build(
            "EnvoyFilter",
            service_limit_name(service.name),
            service.namespace,
            catalogue.name,
            _filter_spec(dict(service.labels), [_service_patch(catalogue, service, service.rate_limit)]),
        )
        for service in catalogue.services
        if service.rate_limit and service.rate_limit.at == "service"
    ]
    for gateway in catalogue.gateways:
        patches = _gateway_patches(catalogue, gateway)
        if patches:
            name = gateway_limit_name(catalogue.name, gateway.name)
            spec = _filter_spec(dict(gateway.selector), patches)
            objects.append(build("EnvoyFilter", name, gateway.workload_namespace, catalogue.name, spec))
    return objects + _service_configuration(catalogue)


def _filter_spec(labels: dict[str, str], patches: list[dict[str, Any]]) -> dict[str, Any]:
    return {"priority": PRIORITY, "workloadSelector": {"labels": labels}, "configPatches": patches}


def _http_filter(
    context: str, port: int | None, name: str, config: dict[str, Any], namespace: str | None = None
) -> dict[str, Any]:
    chain: dict[str, Any] = {
        "filter": {
            "name": "envoy.filters.network.http_connection_manager",
            "subFilter": {"name": "envoy.filters.http.router"},
        }
    }
    if port is not None:
        chain["destinationPort"] = port
    return {
        "applyTo": "HTTP_FILTER",
        "match": compact(
            {"context": context, "proxy": _only_in(namespace), "listener": {"filterChain": chain}}
        ),
        "patch": {"operation": "INSERT_BEFORE", "value": {"name": name, "typed_config": config}},
    }


def _only_in(namespace: str | None) -> dict[str, Any] | None:
    """The proxies of one namespace: out of the root namespace an EnvoyFilter reaches all others
    (pilot/pkg/model/push_context.go, getMatchedEnvoyFilters)."""
    return None if namespace is None else {"metadata": {"NAMESPACE": namespace}}


def _service_patch(catalogue: Catalogue, service: Service, limit: RateLimit) -> dict[str, Any]:
    port = service.http_port.target_port if service.http_port else None
    if limit.scope == "local":
        return _http_filter("SIDECAR_INBOUND", port, LOCAL_FILTER, local_config(limit))
    config = global_config(catalogue.name, catalogue.rate_limit_service, global_actions(service, limit))
    return _http_filter("SIDECAR_INBOUND", port, GLOBAL_FILTER, config)


def _gateway_patches(catalogue: Catalogue, gateway: Gateway) -> list[dict[str, Any]]:
    """The filters of a gateway, each inserted once, and the routes of the services that they limit."""
    limited = [
        (service, service.rate_limit, exposures)
        for service in catalogue.services
        if service.rate_limit and service.rate_limit.at == "gateway"
        if (exposures := [item for item in service.exposed if item.gateway == gateway.name])
    ]
    home = gateway.workload_namespace
    namespace = home if home == catalogue.root_namespace else None
    local = [(service, limit) for service, limit, _exposures in limited if limit.scope == "local"]
    filters = []
    if local:
        name = f"{LOCAL_FILTER}.{catalogue.name}"
        filters.append(_http_filter("GATEWAY", None, name, shared_config(local), namespace))
    if len(local) < len(limited):
        config = global_config(catalogue.name, catalogue.rate_limit_service, [])
        name = f"{GLOBAL_FILTER}.{catalogue.name}"
        filters.append(_http_filter("GATEWAY", None, name, config, namespace))
    routes = [
        patch
        for service, limit, exposures in limited
        for host in dict.fromkeys(item.host for item in exposures)
        for patch in _route_patches(catalogue, gateway, host, service, limit, namespace)
    ]
    return filters + routes


def _route_patches(
    catalogue: Catalogue,
    gateway: Gateway,
    host: str,
    service: Service,
    limit: RateLimit,
    namespace: str | None,
) -> list[dict[str, Any]]:
    """One patch for each name that routes of the service have at a host; Envoy's routes share them."""
    server = server_for(gateway, host)
    vhost = f"{host}:{server.port if server else 443}"
    actions = global_actions(service, limit)
    if limit.scope == "local":
        value: dict[str, Any] = {
            "route": {"rate_limits": [{"stage": LOCAL_STAGE, **item} for item in actions]}
        }
    else:
        per_route = {"@type": GLOBAL_ROUTE_TYPE, "rate_limits": actions}
        value = {"typed_per_filter_config": {f"{GLOBAL_FILTER}.{catalogue.name}": per_route}}
    exposures = [item for item in service.exposed if (item.gateway, item.host) == (gateway.name, host)]
    names = dict.fromkeys(
        name for exposure in exposures for name in _route_names(catalogue, service, exposure)
    )
    return [
        {
            "applyTo": "HTTP_ROUTE",
            "match": compact(
                {
                    "context": "GATEWAY",
                    "proxy": _only_in(namespace),
                    "routeConfiguration": {"vhost": {"name": vhost, "route": {"name": name}}},
                }
            ),
            "patch": {"operation": "MERGE", "value": value},
        }
        for name in names
    ]


def _route_names(catalogue: Catalogue, service: Service, exposure: Exposure) -> list[str]:
    """The names that the routes of an exposure have in the gateway's proxy; none for streams."""
    if leads_to_delegate(catalogue, service, exposure):
        root = exposed_route_name(service.namespace, service.name)
        routes = http_routes(service, dict.fromkeys(service.versions, 0))
        return [f"{root}-{route['name']}" for route in routes]
    port = exposed_port(catalogue, service, exposure)
    if port is None or not port.is_http:
        return []
    return [exposed_port_route_name(service.namespace, service.name, port.name)]


def _service_configuration(catalogue: Catalogue) -> list[Obj]:
    """The limits in the form of envoyproxy/ratelimit, as a ConfigMap to mount there. JSON is YAML as well."""
    backend = catalogue.rate_limit_service
    limited = [item for item in catalogue.services if item.rate_limit and item.rate_limit.scope == "global"]
    if backend is None or not limited:
        return []
    descriptors = [_limits(service, service.rate_limit) for service in limited if service.rate_limit]
    text = json.dumps({"domain": catalogue.name, "descriptors": descriptors}, indent=2)
    metadata = {
        "name": limits_name(catalogue.name),
        "namespace": backend.namespace,
        "labels": ownership_labels(catalogue.name),
    }
    data = {f"{catalogue.name}.yaml": text + "\n"}
    kind = "ConfigMap"
    return [{"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata, "data": data}]


def _limits(service: Service, limit: RateLimit) -> dict[str, Any]:
    entry: dict[str, Any] = {"key": "service", "value": service.key}
    unit = GLOBAL_UNITS[seconds(limit.per)]
    if limit.header is None:
        return entry | {"rate_limit": {"unit": unit, "requests_per_unit": limit.requests}}
    per_value = {"key": VALUE_KEY, "rate_limit": {"unit": unit, "requests_per_unit": limit.requests}}
    anonymous = {
        "key": "anonymous",
        "value": "true",
        "rate_limit": {"unit": unit, "requests_per_unit": limit.anonymous_requests},
    }
    return entry | {"descriptors": [per_value, anonymous]}
