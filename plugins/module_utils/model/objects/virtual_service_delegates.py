# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The delegate VirtualService ``<service>-routes``: the only place where a service's traffic is decided.

Roots (``virtual_service_roots``) match hosts and paths and hand over to it, so one write moves the split for
every caller, sidecar and gateway alike. Its routes are, in order: special routes, variants, the split; all of
them first for requests that ask for a fault, where there is one.

Retries and mirroring repeat a request. A method that changes something is repeated only when that is asked
for, so one route becomes up to three, told apart by method (RFC 9110, section 9.2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...labels import FENCE_ANNOTATION
from ..catalogue.mesh import Catalogue
from ..catalogue.readers.traffic import SAFE_CONDITIONS
from ..catalogue.services import Condition, Cors, Fault, Mirror, Retries, Service
from ..reading.durations import limit_of
from .base import Obj, build, compact, plain_number
from .names import delegate_name, route_name

SPLIT = "split"
FAULT = "fault"
"""Ends the names of the routes for requests that ask for a fault: ``split.fault``."""

DEFAULT_RETRIES = Retries(
    attempts=2, per_try_timeout=None, conditions=SAFE_CONDITIONS[:2], non_idempotent=False
)
"""Istio's default also retries `unavailable` and `cancelled`, which a service may answer after it acted."""
DEFAULT_RETRY_POLICY: Mapping[str, Any] = {
    "attempts": DEFAULT_RETRIES.attempts,
    "retryOn": ",".join(DEFAULT_RETRIES.conditions),
}
"""The same as an Istio HTTPRetry, for routes that no service has."""

_METHOD_CLASSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("safe", ("GET", "HEAD", "OPTIONS", "TRACE")),
    ("idempotent", ("PUT", "DELETE")),
    ("other", ()),
)


def delegate_object(
    catalogue: Catalogue, service: Service, weights: Mapping[str, int], *, fence: int = 0
) -> Obj | None:
    """The whole delegate for a split, or ``None`` for a service without an HTTP port.

    :param weights: percentages by version that add up to 100; empty for a service without versions.
        To add or change variants or the mirror during a rollout, pass ``dataclasses.replace(service, ...)``.
    :param fence: the fence of the release record, 0 for none. It stands on the object so that a runner that
        lost its lease cannot write again.
    """
    if service.http_port is None:
        return None
    spec = {"http": http_routes(service, weights)}
    delegate = build("VirtualService", delegate_name(service.name), service.namespace, catalogue.name, spec)
    if fence > 0:
        delegate["metadata"]["annotations"] = {FENCE_ANNOTATION: str(fence)}
    return delegate


def http_routes(service: Service, weights: Mapping[str, int]) -> list[dict[str, Any]]:
    """The ``http`` list of the delegate. :returns: one mapping per HTTPRoute, the first match first."""
    return [entry for draft in _drafts(service) for entry in _by_method(service, weights, draft)]


def destination(service: Service, version: str | None) -> dict[str, Any]:
    """The routed port of a service, in one version or in all.

    :returns: a Destination: ``host``, ``port`` and, for one version, ``subset``.
    """
    port = service.routed_port
    return compact(
        {"host": service.fqdn, "subset": version, "port": {"number": port.number} if port else None}
    )


def split_destinations(service: Service, weights: Mapping[str, int]) -> list[dict[str, Any]]:
    """Weighted destinations. Versions without a share are left out, as Envoy would not list them either.

    :returns: HTTPRouteDestinations whose weights add up to 100; one alone has none.
    """
    shares = [(version, weight) for version, weight in weights.items() if weight]
    if len(shares) < 2:
        return [{"destination": destination(service, shares[0][0] if shares else None)}]
    return [{"destination": destination(service, version), "weight": weight} for version, weight in shares]


@dataclasses.dataclass(frozen=True, slots=True)
class _Draft:
    """A route before it is divided by method."""

    name: str
    match: dict[str, Any]
    to: str | None = None
    timeout: str | None = None
    retries: Retries | None = None
    fault_test: bool = False


def _drafts(service: Service) -> list[_Draft]:
    """The routes in their order. Requests that ask for a fault take the same routes as all others, so that
    they keep version, timeout and retries."""
    drafts = _plain_drafts(service)
    if service.fault is None or not service.fault.only_header:
        return drafts
    header = service.fault.only_header.lower()
    return [*(_with_fault(draft, header) for draft in drafts), *drafts]


def _with_fault(draft: _Draft, header: str) -> _Draft:
    headers = {header: {}, **draft.match.get("headers", {})}
    match = {**draft.match, "headers": headers}
    return dataclasses.replace(draft, name=f"{draft.name}.{FAULT}", match=match, fault_test=True)


def _plain_drafts(service: Service) -> list[_Draft]:
    drafts: list[_Draft] = []
    for route in service.ordered_routes:
        timeout, retries = service.timeout_of(route), service.retries_of(route)
        drafts += [
            _Draft(name, match, route.to, timeout, retries)
            for name, match in _matches(route_name(route.name, SPLIT), route.when)
        ]
    for variant in service.variants:
        for name, match in _matches(route_name(variant.name, SPLIT), variant.when):
            drafts.append(_Draft(name, match, variant.to, service.timeout, service.retries))
    drafts.append(_Draft(SPLIT, {}, None, service.timeout, service.retries))
    return drafts


def _matches(name: str, when: Condition) -> list[tuple[str, dict[str, Any]]]:
    """Named matches of a condition. A path becomes two routes, ``/x`` and ``/x/``: istiod drops a whole
    delegate route as soon as one of its matches lies outside the root's."""
    headers = {key: match.as_istio() for key, match in when.headers.items()}
    if when.cookie:
        headers["cookie"] = {"regex": cookie_regex(*when.cookie)}
    match: dict[str, Any] = {}
    if headers:
        match["headers"] = headers
    if when.query:
        match["queryParams"] = {key: value.as_istio() for key, value in when.query.items()}
    if when.path is None:
        return [(name, match)]
    if when.path == "/" and not when.path_exact:
        return [(name, match | {"uri": {"prefix": "/"}})]
    exact = [(name, match | {"uri": {"exact": when.path}})]
    below = [(f"{name}.below", match | {"uri": {"prefix": when.path.rstrip("/") + "/"}})]
    return exact if when.path_exact else exact + below


def cookie_regex(name: str, value: str) -> str:
    """Matches a whole Cookie header that holds ``name=value`` among others."""
    return f"^(.*;[ ]*)?{_literal(name)}={_literal(value)}(;.*)?$"


def _literal(text: str) -> str:
    return "".join(char if char.isalnum() or char in "_-" else f"\\{char}" for char in text)


def _by_method(service: Service, weights: Mapping[str, int], draft: _Draft) -> list[dict[str, Any]]:
    routes: list[dict[str, Any]] = []
    for label, methods, behaviour in _method_groups(service, weights, draft):
        match = dict(draft.match)
        if methods:
            match["method"] = {"regex": "|".join(methods)}
        target = (
            [{"destination": destination(service, draft.to)}]
            if draft.to
            else split_destinations(service, weights)
        )
        route = {
            "name": f"{draft.name}.{label}" if label else draft.name,
            "match": [match] if match else None,
            "route": target,
            "timeout": limit_of(draft.timeout),
            **behaviour,
            "fault": _fault(service.fault, draft),
            "corsPolicy": _cors(service.cors),
        }
        routes.append(compact(route))
    return routes


def _method_groups(
    service: Service, weights: Mapping[str, int], draft: _Draft
) -> list[tuple[str, tuple[str, ...], dict[str, Any]]]:
    """(label, methods, behaviour): neighbouring classes that behave alike are one group; the last group takes
    every other method and has neither label nor methods."""
    if service.http_port and service.http_port.is_grpc:
        return [("", (), _behaviour(service, weights, draft, "other"))]
    groups: list[tuple[str, tuple[str, ...], dict[str, Any]]] = []
    for label, methods in _METHOD_CLASSES:
        behaviour = _behaviour(service, weights, draft, label)
        earlier = groups.pop()[1] if groups and groups[-1][2] == behaviour else ()
        groups.append((label, earlier + methods, behaviour))
    return [*groups[:-1], ("", (), groups[-1][2])]


def _behaviour(
    service: Service, weights: Mapping[str, int], draft: _Draft, method_class: str
) -> dict[str, Any]:
    behaviour: dict[str, Any] = {"retries": _retries(draft.retries or DEFAULT_RETRIES, method_class)}
    mirror = service.mirror
    # A version that takes all requests already would get its own copies: the mirror ends with the promotion.
    useful = mirror is not None and mirror.percent > 0 and weights.get(mirror.to) != 100
    if mirror and useful and draft.to is None and (mirror.writes or method_class == "safe"):
        behaviour |= _mirror(service, mirror)
    return behaviour


def _retries(retries: Retries, method_class: str) -> dict[str, Any]:
    conditions = retries.conditions
    if method_class == "other" and not retries.non_idempotent:
        conditions = tuple(item for item in conditions if item in SAFE_CONDITIONS)
    if not retries.attempts or not conditions:
        return {"attempts": 0}
    return {
        "attempts": retries.attempts,
        "perTryTimeout": retries.per_try_timeout,
        "retryOn": ",".join(conditions),
    }


def _mirror(service: Service, mirror: Mirror) -> dict[str, Any]:
    return {
        "mirror": destination(service, mirror.to),
        "mirrorPercentage": {"value": plain_number(mirror.percent)},
    }


def _fault(fault: Fault | None, draft: _Draft) -> dict[str, Any] | None:
    if fault is None or bool(fault.only_header) != draft.fault_test:
        return None
    delay = abort = None
    if fault.delay and fault.delay_percent is not None:
        delay = {"percentage": {"value": plain_number(fault.delay_percent)}, "fixedDelay": fault.delay}
    if fault.abort_status and fault.abort_percent is not None:
        abort = {"percentage": {"value": plain_number(fault.abort_percent)}, "httpStatus": fault.abort_status}
    return {"delay": delay, "abort": abort}


def _cors(cors: Cors | None) -> dict[str, Any] | None:
    if cors is None:
        return None
    return {
        "allowOrigins": [origin.as_istio() for origin in cors.origins],
        "allowMethods": list(cors.methods) or None,
        "allowHeaders": list(cors.headers) or None,
        "exposeHeaders": list(cors.expose_headers) or None,
        "maxAge": cors.max_age,
        "allowCredentials": cors.credentials,
    }
