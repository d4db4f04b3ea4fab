# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DestinationRules: one per service, with its subsets and traffic policy."""

from __future__ import annotations

from typing import Any

from ..catalogue.mesh import Catalogue
from ..catalogue.services import CircuitBreaker, ConnectionPool, LoadBalancing, Service
from .base import Obj, build, compact


def destination_rule_objects(catalogue: Catalogue) -> list[Obj]:
    """A DestinationRule for each service that has versions or a traffic policy.

    No ``tls`` is set: sidecars choose mutual TLS per endpoint; a copied mode is the classic way to break it.

    :returns: DestinationRules, in catalogue order.
    """
    rules = [destination_rule(catalogue, service) for service in catalogue.services]
    return [rule for rule in rules if rule]


def destination_rule(catalogue: Catalogue, service: Service) -> Obj | None:
    """The DestinationRule of one service, ``None`` when there is nothing to say."""
    spec = _spec(service)
    if len(spec) == 1:
        return None
    return build("DestinationRule", service.name, service.namespace, catalogue.name, spec)


def _spec(service: Service) -> dict[str, Any]:
    policy = traffic_policy(service.connection_pool, service.circuit_breaker, service.load_balancing)
    subsets = [{"name": name, "labels": dict(version.labels)} for name, version in service.versions.items()]
    spec: dict[str, Any] = {"host": service.fqdn}
    if policy:
        spec["trafficPolicy"] = policy
    if subsets:
        spec["subsets"] = subsets
    return spec


def traffic_policy(
    pool: ConnectionPool | None, breaker: CircuitBreaker | None, balancing: LoadBalancing | None = None
) -> dict[str, Any]:
    """A traffic policy; empty when nothing is set (istiod refuses an empty one in an object).

    :returns: a ``trafficPolicy`` with Istio's field names.
    """
    policy: dict[str, Any] = {
        "connectionPool": _connection_pool(pool) if pool else None,
        "loadBalancer": _load_balancer(balancing) if balancing else None,
        "outlierDetection": _outlier_detection(breaker) if breaker else None,
    }
    return {key: value for key, value in compact(policy).items() if value}


def _connection_pool(pool: ConnectionPool) -> dict[str, Any]:
    keepalive = pool.keepalive
    tcp = {
        "maxConnections": pool.max_connections,
        "connectTimeout": pool.connect_timeout,
        "maxConnectionDuration": pool.max_connection_duration,
        "tcpKeepalive": dict(keepalive) if keepalive else None,
    }
    http = {
        "http1MaxPendingRequests": pool.max_pending,
        "http2MaxRequests": pool.max_requests,
        "maxRequestsPerConnection": pool.max_requests_per_connection,
        "maxRetries": pool.max_retries,
        "idleTimeout": pool.idle_timeout,
    }
    return {key: value for key, value in (("tcp", compact(tcp)), ("http", compact(http))) if value}


def _outlier_detection(breaker: CircuitBreaker) -> dict[str, Any]:
    """istiod still accepts ``consecutiveErrors`` and ignores it; only fields that it reads are written
    (pilot/pkg/networking/core/cluster_traffic_policy.go). Without a count of 5xx Envoy's own, 5, would throw
    endpoints out: 0 switches it off."""
    local = breaker.consecutive_local_origin_failures
    return {
        "consecutive5xxErrors": breaker.consecutive_5xx or 0,
        "consecutiveGatewayErrors": breaker.consecutive_gateway_errors,
        "consecutiveLocalOriginFailures": local,
        "splitExternalLocalOriginErrors": True if local is not None else None,
        "interval": breaker.interval,
        "baseEjectionTime": breaker.base_ejection_time,
        "maxEjectionPercent": breaker.max_ejection_percent,
        "minHealthPercent": breaker.min_health_percent,
    }


def _load_balancer(balancing: LoadBalancing) -> dict[str, Any]:
    return {
        "simple": balancing.policy or ("LEAST_REQUEST" if balancing.warmup else None),
        "consistentHash": _consistent_hash(balancing.hash_on) if balancing.hash_on else None,
        "localityLbSetting": dict(balancing.locality) if balancing.locality else None,
        "warmup": {"duration": balancing.warmup} if balancing.warmup else None,
    }


def _consistent_hash(hash_on: Any) -> dict[str, Any]:
    if "header" in hash_on:
        return {"httpHeaderName": hash_on["header"]}
    if "query" in hash_on:
        return {"httpQueryParameterName": hash_on["query"]}
    if "source_ip" in hash_on:
        return {"useSourceIp": True}
    cookie = {
        "name": hash_on["cookie"],
        "ttl": hash_on.get("cookie_ttl", "0s"),
        "path": hash_on.get("cookie_path"),
    }
    return {"httpCookie": cookie}
