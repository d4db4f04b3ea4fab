# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rate limits. Istio has no API of its own for them, so they are EnvoyFilters, with real message types that
istiod checks field by field (a TypedStruct would pass unchecked).

Local limits count in each proxy, so the real limit is theirs times the number of replicas. Filters stand
right before the router, behind authorization: refused requests use up nobody's share.
"""

from __future__ import annotations

import json
from typing import Any

from ...labels import ownership_labels
from ..catalogue.consistency import server_for
from ..catalogue.mesh import Catalogue, Gateway, RateLimitService
from ..catalogue.readers.service import GLOBAL_UNITS
from ..catalogue.services import Exposure, RateLimit, Service
from ..reading.durations import proto_duration, seconds
from .base import Obj, build
from .virtual_service_delegates import http_routes

PRIORITY = 10  # relative operations without a priority are reported by the analyzers (IST0151)
LOCAL_FILTER = "envoy.filters.http.local_ratelimit"
GLOBAL_FILTER = "envoy.filters.http.ratelimit"
_LOCAL_TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_GLOBAL_TYPE = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit"
_GLOBAL_ROUTE_TYPE = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute"
_KEY = "key"


def rate_limit_objects(catalogue: Catalogue) -> list[Obj]:
    """One EnvoyFilter per service or gateway that limits, and the rate limit service's configuration.

    :returns: EnvoyFilters, and one ConfigMap when a limit is global.
    """
    objects = [
        build(
            "EnvoyFilter",
            f"{service.name}-rate-limit",
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
            name = f"{catalogue.name}-{gateway.name}-rate-limit"
            spec = _filter_spec(dict(gateway.selector), patches)
            objects.append(build("EnvoyFilter", name, gateway.workload_namespace, catalogue.name, spec))
    return objects + _service_configuration(catalogue)


def _filter_spec(labels: dict[str, str], patches: list[dict[str, Any]]) -> dict[str, Any]:
    return {"priority": PRIORITY, "workloadSelector": {"labels": labels}, "configPatches": patches}


def _http_filter(context: str, port: int | None, name: str, config: dict[str, Any]) -> dict[str, Any]:
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
        "match": {"context": context, "listener": {"filterChain": chain}},
        "patch": {"operation": "INSERT_BEFORE", "value": {"name": name, "typed_config": config}},
    }


def _service_patch(catalogue: Catalogue, service: Service, limit: RateLimit) -> dict[str, Any]:
    port = service.http_port.target_port if service.http_port else None
    if limit.scope == "local":
        return _http_filter("SIDECAR_INBOUND", port, LOCAL_FILTER, local_config(limit))
    config = global_config(catalogue.name, catalogue.rate_limit_service, global_actions(service, limit))
    return _http_filter("SIDECAR_INBOUND", port, GLOBAL_FILTER, config)


def _gateway_patches(catalogue: Catalogue, gateway: Gateway) -> list[dict[str, Any]]:
    """At a gateway the filter is inserted once, idle, and configured on the routes of limited services."""
    routes: list[dict[str, Any]] = []
    scopes: set[str] = set()
    for service in catalogue.services:
        limit = service.rate_limit
        if limit is None or limit.at != "gateway":
            continue
        for exposure in service.exposed:
            if exposure.gateway == gateway.name:
                scopes.add(limit.scope)
                routes += _route_patches(gateway, exposure, service, limit)
    filters = []
    if "local" in scopes:
        idle = {"@type": _LOCAL_TYPE, "stat_prefix": "rate_limit"}
        filters.append(_http_filter("GATEWAY", None, LOCAL_FILTER, idle))
    if "global" in scopes:
        filters.append(
            _http_filter(
                "GATEWAY",
                None,
                GLOBAL_FILTER,
                global_config(catalogue.name, catalogue.rate_limit_service, []),
            )
        )
    unique = {json.dumps(patch, sort_keys=True): patch for patch in routes}
    return filters + list(unique.values())


def _route_patches(
    gateway: Gateway, exposure: Exposure, service: Service, limit: RateLimit
) -> list[dict[str, Any]]:
    server = server_for(gateway, exposure.host)
    port = server.port if server else 443
    if limit.scope == "local":
        per_route = {LOCAL_FILTER: local_config(limit)}
    else:
        per_route = {
            GLOBAL_FILTER: {"@type": _GLOBAL_ROUTE_TYPE, "rate_limits": global_actions(service, limit)}
        }
    weights = dict.fromkeys(service.versions, 0)
    # istiod joins the names of root and delegate: `<service>-<route>`.
    names = [f"{service.name}-{route['name']}" for route in http_routes(service, weights)]
    return [
        {
            "applyTo": "HTTP_ROUTE",
            "match": {
                "context": "GATEWAY",
                "routeConfiguration": {"vhost": {"name": f"{exposure.host}:{port}", "route": {"name": name}}},
            },
            "patch": {"operation": "MERGE", "value": {"typed_per_filter_config": per_route}},
        }
        for name in names
    ]


def local_config(limit: RateLimit) -> dict[str, Any]:
    """An enforcing LocalRateLimit. With a header each of its values has a bucket of its own; requests without
    the header share the default bucket.

    :returns: ``typed_config`` of the filter, with Envoy's field names.
    """
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    config: dict[str, Any] = {
        "@type": _LOCAL_TYPE,
        "stat_prefix": "rate_limit",
        "token_bucket": _bucket(limit.anonymous_requests if limit.header else limit.requests, limit.per),
        "filter_enabled": {"runtime_key": "rate_limit_enabled", **always},
        "filter_enforced": {"runtime_key": "rate_limit_enforced", **always},
    }
    if limit.header:
        config |= {
            "rate_limits": [{"actions": [_header_action(limit.header)]}],
            # An entry without a value means one bucket per value that is seen.
            "descriptors": [{"entries": [{"key": _KEY}], "token_bucket": _bucket(limit.requests, limit.per)}],
            "max_dynamic_descriptors": limit.max_keys,
            "always_consume_default_token_bucket": False,
        }
    return config


def _bucket(requests: int, per: str) -> dict[str, Any]:
    return {"max_tokens": requests, "tokens_per_fill": requests, "fill_interval": proto_duration(per)}


def _header_action(header: str) -> dict[str, Any]:
    return {"request_headers": {"header_name": header.lower(), "descriptor_key": _KEY}}


def global_actions(service: Service, limit: RateLimit) -> list[dict[str, Any]]:
    """The descriptors that a request sends to the rate limit service.

    :returns: ``rate_limits`` of a route, with Envoy's field names.
    """
    mine = {"generic_key": {"descriptor_key": "service", "descriptor_value": service.key}}
    if limit.header is None:
        return [{"actions": [mine]}]
    absent = {
        "header_value_match": {
            "descriptor_key": "anonymous",
            "descriptor_value": "true",
            "expect_match": False,
            "headers": [{"name": limit.header.lower(), "present_match": True}],
        }
    }
    return [{"actions": [mine, _header_action(limit.header)]}, {"actions": [mine, absent]}]


def global_config(
    domain: str, service: RateLimitService | None, actions: list[dict[str, Any]]
) -> dict[str, Any]:
    """The filter that asks the rate limit service.

    :returns: ``typed_config`` of the filter, with Envoy's field names; ``{}`` without a service.
    """
    if service is None:
        return {}
    cluster = f"outbound|{service.port}||{service.host}"
    config: dict[str, Any] = {
        "@type": _GLOBAL_TYPE,
        "domain": domain,
        "timeout": proto_duration(service.timeout),
        "failure_mode_deny": service.deny_on_failure,
        "rate_limit_service": {
            "grpc_service": {"envoy_grpc": {"cluster_name": cluster, "authority": service.host}},
            "transport_api_version": "V3",
        },
    }
    return config | ({"rate_limits": actions} if actions else {})


def _service_configuration(catalogue: Catalogue) -> list[Obj]:
    """The limits in the form of envoyproxy/ratelimit, as a ConfigMap to mount there. JSON is YAML as well."""
    backend = catalogue.rate_limit_service
    limited = [item for item in catalogue.services if item.rate_limit and item.rate_limit.scope == "global"]
    if backend is None or not limited:
        return []
    descriptors = [_limits(service, service.rate_limit) for service in limited if service.rate_limit]
    text = json.dumps({"domain": catalogue.name, "descriptors": descriptors}, indent=2)
    metadata = {
        "name": f"{catalogue.name}-rate-limits",
        "namespace": backend.namespace,
        "labels": ownership_labels(catalogue.name),
    }
    data = {f"{catalogue.name}.yaml": text + "\n"}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}]


def _limits(service: Service, limit: RateLimit) -> dict[str, Any]:
    entry: dict[str, Any] = {"key": "service", "value": service.key}
    unit = GLOBAL_UNITS[seconds(limit.per)]
    if limit.header is None:
        return entry | {"rate_limit": {"unit": unit, "requests_per_unit": limit.requests}}
    per_value = {"key": _KEY, "rate_limit": {"unit": unit, "requests_per_unit": limit.requests}}
    anonymous = {
        "key": "anonymous",
        "value": "true",
        "rate_limit": {"unit": unit, "requests_per_unit": limit.anonymous_requests},
    }
    return entry | {"descriptors": [per_value, anonymous]}
