# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what becomes a DestinationRule's traffic policy: circuit breaker, connection pool, load balancing."""

from __future__ import annotations

from ...reading.durations import seconds
from ...reading.reader import Reader
from ...reading.values import COOKIE, HEADER, PATH, TEXT
from ..services import CircuitBreaker, ConnectionPool, LoadBalancing

_MANY = 2**31 - 1
_NO_LIMITS = ConnectionPool(None, None, None, None, None, None, None, None, None)


def read_circuit_breaker(reader: Reader | None) -> CircuitBreaker | None:
    """``circuit_breaker``. At least one trigger is required, else it would never open."""
    if reader is None:
        return None
    breaker = CircuitBreaker(
        consecutive_5xx=reader.maybe_integer("consecutive_5xx", 1, 10_000),
        consecutive_gateway_errors=reader.maybe_integer("consecutive_gateway_errors", 1, 10_000),
        consecutive_local_origin_failures=reader.maybe_integer(
            "consecutive_local_origin_failures", 1, 10_000
        ),
        interval=reader.duration("interval"),
        base_ejection_time=reader.duration("base_ejection_time"),
        # istiod takes 0 for "not given", and Envoy's own is 10.
        max_ejection_percent=reader.maybe_integer("max_ejection_percent", 1, 100),
        min_health_percent=reader.maybe_integer("min_health_percent", 0, 100),
    )
    triggers = ("consecutive_5xx", "consecutive_gateway_errors", "consecutive_local_origin_failures")
    reader.finish()
    if not any(reader.has(key) for key in triggers) and reader.sound():
        reader.fault("", f"needs one of {', '.join(triggers)}", "circuit-breaker-trigger")
    both = breaker.consecutive_5xx, breaker.consecutive_gateway_errors
    if both[0] is not None and both[1] is not None and both[1] >= both[0]:
        reader.fault(
            "consecutive_gateway_errors",
            f"{both[1]} has no effect beside consecutive_5xx {both[0]}, which counts gateway errors as well",
            "circuit-breaker-trigger",
        )
    return breaker


def read_connection_pool(reader: Reader | None) -> ConnectionPool | None:
    """``connection_pool``."""
    if reader is None:
        return None
    pool = ConnectionPool(
        max_connections=reader.maybe_integer("max_connections", 1, _MANY),
        connect_timeout=reader.duration("connect_timeout"),
        max_connection_duration=reader.duration("max_connection_duration"),
        keepalive=_keepalive(reader.section("keepalive")),
        max_pending=reader.maybe_integer("max_pending", 1, _MANY),
        max_requests=reader.maybe_integer("max_requests", 1, _MANY),
        max_requests_per_connection=reader.maybe_integer("max_requests_per_connection", 1, 2**29 - 1),
        max_retries=reader.maybe_integer("max_retries", 1, _MANY),
        idle_timeout=reader.duration("idle_timeout"),
    )
    reader.finish()
    if pool == _NO_LIMITS and reader.sound():
        reader.fault("", "is empty", "empty")
    return pool


def _whole_seconds(reader: Reader, key: str) -> str | None:
    """istiod hands on the whole seconds of a keepalive, and 0 is the kernel's own value."""
    found = reader.duration(key)
    if found and seconds(found) % 1:
        reader.fault(key, f"{found!r} is not a whole number of seconds", "duration")
    return found


def _keepalive(reader: Reader | None) -> dict[str, str | int] | None:
    if reader is None:
        return None
    values = {
        "time": _whole_seconds(reader, "time"),
        "interval": _whole_seconds(reader, "interval"),
        "probes": reader.maybe_integer("probes", 1, 100),
    }
    reader.finish()
    found = {key: value for key, value in values.items() if value is not None}
    if not found and reader.sound():
        reader.fault("", "is empty", "empty")
    return found


def read_load_balancing(reader: Reader | None) -> LoadBalancing | None:
    """``load_balancing``: a policy or a consistent hash, locality, warm-up."""
    if reader is None:
        return None
    policy = None
    if reader.has("policy"):
        policy = reader.choice("policy", ("LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "PASSTHROUGH"))
    balancing = LoadBalancing(
        policy=policy,
        hash_on=_hash(reader.section("hash")),
        locality=_locality(reader.section("locality")),
        warmup=reader.duration("warmup"),
    )
    if balancing.policy and balancing.hash_on:
        reader.fault("hash", "cannot be combined with policy", "load-balancing")
    if balancing.warmup and balancing.policy not in (None, "LEAST_REQUEST", "ROUND_ROBIN"):
        reader.fault("warmup", "works with LEAST_REQUEST and ROUND_ROBIN only", "load-balancing")
    if balancing.warmup and balancing.hash_on:
        reader.fault("warmup", "has no effect with a consistent hash", "load-balancing")
    reader.finish()
    if balancing == LoadBalancing(None, None, None, None) and reader.sound():
        reader.fault("", "is empty", "empty")
    return balancing


def _hash(reader: Reader | None) -> dict[str, str] | None:
    if reader is None:
        return None
    kinds = ("header", "cookie", "query", "source_ip")
    given = [kind for kind in kinds if reader.has(kind)]
    found: dict[str, str | None] = {
        "header": reader.maybe_text("header", HEADER),
        "cookie": reader.maybe_text("cookie", COOKIE),
        "query": reader.maybe_text("query", TEXT),
        "source_ip": "true" if reader.boolean("source_ip", default=True) and "source_ip" in given else None,
        "cookie_ttl": reader.duration("cookie_ttl"),
        "cookie_path": reader.maybe_text("cookie_path", PATH),
    }
    reader.finish()
    if len(given) != 1 and reader.sound():
        reader.fault("", f"needs exactly one of {', '.join(kinds)}", "load-balancing")
    if given == ["source_ip"] and not found["source_ip"]:
        reader.fault("source_ip", "is false, so there is nothing to hash on", "load-balancing")
    if "cookie" not in given and (found["cookie_ttl"] or found["cookie_path"]):
        reader.fault("", "cookie_ttl and cookie_path need cookie", "load-balancing")
    return {key: value for key, value in found.items() if value}


def _locality(reader: Reader | None) -> dict[str, object] | None:
    """Failover, distribution or a failover priority; Istio takes one of them."""
    if reader is None:
        return None
    kinds = ("failover", "distribute", "failover_priority")
    given = [kind for kind in kinds if reader.has(kind)]
    if len(given) > 1:
        reader.fault("", f"takes one of {', '.join(kinds)}", "locality")
    found: dict[str, object] = {"enabled": reader.boolean("enabled", default=True)}
    rows = {
        "failover": [_failover(item) for item in reader.sections("failover")],
        "distribute": [_distribute(item) for item in reader.sections("distribute")],
    }
    for name, entries in rows.items():
        origins = [str(entry["from"]) for entry in entries]
        for origin in sorted({item for item in origins if item and origins.count(item) > 1}):
            reader.fault(name, f"has two entries from {origin!r}", "duplicate")
    priority = list(reader.texts("failover_priority", TEXT))
    reader.finish()
    given_rows = {**rows, "failoverPriority": priority}
    return found | {name: entries for name, entries in given_rows.items() if entries}


def _failover(reader: Reader) -> dict[str, object]:
    origin, target = reader.text("from", TEXT), reader.text("to", TEXT)
    reader.finish()
    if origin == target and reader.sound("from", "to"):
        reader.fault("to", "is the region it comes from", "locality")
    if any(mark in region for mark in "/*" for region in (origin, target)):
        reader.fault("", "failover is between regions, without zones and wildcards", "locality")
    return {"from": origin, "to": target}


def _distribute(reader: Reader) -> dict[str, object]:
    origin = reader.text("from", TEXT)
    table = reader.section("to")
    weights: dict[str, int] = {}
    if table is None:
        reader.fault("to", "is required", "required")
    else:
        weights = {place: table.integer(place, 1, 100) for place in table.raw()}
        if sum(weights.values()) != 100 and table.sound():
            reader.fault("to", f"the weights add up to {sum(weights.values())}, not 100", "weights")
    reader.finish()
    return {"from": origin, "to": weights}
