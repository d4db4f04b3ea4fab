# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of Envoy's rate limit filters, with real message types that istiod checks field by field
(a TypedStruct would pass unchecked), and with Envoy's field names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..catalogue.mesh import RateLimitService
from ..catalogue.services import RateLimit, Service
from ..reading.durations import proto_duration

LOCAL_FILTER = "envoy.filters.http.local_ratelimit"
GLOBAL_FILTER = "envoy.filters.http.ratelimit"
_LOCAL_TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_GLOBAL_TYPE = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit"
GLOBAL_ROUTE_TYPE = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute"
VALUE_KEY = "key"
_ALL = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_ALWAYS: Mapping[str, Any] = {
    "filter_enabled": {"runtime_key": "rate_limit_enabled", **_ALL},
    "filter_enforced": {"runtime_key": "rate_limit_enforced", **_ALL},
}
LOCAL_STAGE = 1
"""Of the actions that the local filter of a gateway reads; the global one reads those of stage 0."""


def shared_config(limited: Sequence[tuple[Service, RateLimit]]) -> dict[str, Any]:
    """An enforcing LocalRateLimit with buckets of its own for each service; what no service's route asks for
    is not limited.

    :returns: ``typed_config`` of the filter, with Envoy's field names.
    """
    descriptors = [entry for service, limit in limited for entry in _buckets_of(service, limit)]
    config: dict[str, Any] = {
        "@type": _LOCAL_TYPE,
        "stat_prefix": "rate_limit",
        "stage": LOCAL_STAGE,
        **_ALWAYS,
        "descriptors": descriptors,
        "always_consume_default_token_bucket": False,
    }
    keys = [limit.max_keys for _service, limit in limited if limit.header]
    return config | ({"max_dynamic_descriptors": max(keys)} if keys else {})


def _buckets_of(service: Service, limit: RateLimit) -> list[dict[str, Any]]:
    """The descriptors of :func:`global_actions` with their buckets."""
    mine = {"key": "service", "value": service.key}
    bucket = _bucket(limit.requests, limit.per)
    if limit.header is None:
        return [{"entries": [mine], "token_bucket": bucket}]
    return [
        # An entry without a value means one bucket per value that is seen.
        {"entries": [mine, {"key": VALUE_KEY}], "token_bucket": bucket},
        {
            "entries": [mine, {"key": "anonymous", "value": "true"}],
            "token_bucket": _bucket(limit.anonymous_requests, limit.per),
        },
    ]


def local_config(limit: RateLimit) -> dict[str, Any]:
    """An enforcing LocalRateLimit. With a header each of its values has a bucket of its own; requests without
    the header share the default bucket.

    :returns: ``typed_config`` of the filter, with Envoy's field names.
    """
    config: dict[str, Any] = {
        "@type": _LOCAL_TYPE,
        "stat_prefix": "rate_limit",
        "token_bucket": _bucket(limit.anonymous_requests if limit.header else limit.requests, limit.per),
        **_ALWAYS,
    }
    if limit.header:
        config |= {
            "rate_limits": [{"actions": [_header_action(limit.header)]}],
            # An entry without a value means one bucket per value that is seen.
            "descriptors": [
                {"entries": [{"key": VALUE_KEY}], "token_bucket": _bucket(limit.requests, limit.per)}
            ],
            "max_dynamic_descriptors": limit.max_keys,
            "always_consume_default_token_bucket": False,
        }
    return config


def _bucket(requests: int, per: str) -> dict[str, Any]:
    return {"max_tokens": requests, "tokens_per_fill": requests, "fill_interval": proto_duration(per)}


def _header_action(header: str) -> dict[str, Any]:
    return {"request_headers": {"header_name": header.lower(), "descriptor_key": VALUE_KEY}}


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
