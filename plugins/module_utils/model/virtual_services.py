# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads VirtualServices, anybody's: which requests go where, in the shares that Istio really gives them.

The weight that stands in an object is not the share that a destination gets. Istio's rules (source:
pilot/pkg/networking/core/route/route.go applyHTTPRouteDestination, networkfilter.go
buildOutboundNetworkFilters, pkg/config/validation/validation.go validateHTTPRouteDestinations):

- A route's only destination takes everything, whatever its weight says, 0 included.
- Among several, each takes its weight's part of the sum of weights; the sum need not be 100. One without a
  weight, or with 0, takes nothing and is left out of the proxies.
- Several that all have no weight are refused by Istio's webhook. Where that is off they take nothing.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..fields import field, integer_at, list_at, mapping_at, mappings_at, name_of, namespace_of, text_at

HTTP, TCP, TLS = "http", "tcp", "tls"
MESH = "mesh"
"""As a gateway: the proxies of workloads."""
_LABELS_OF_A_MATCH = frozenset({"name", "statPrefix", "ignoreUriCase"})
_OF_THE_PROXY = frozenset({"gateways", "sourceLabels", "sourceNamespace", "port"})
"""Fields of a match that istiod itself judges, per proxy: the route is sent to some and not to others."""

Shares = frozenset[tuple[str, float]]
"""What one route gives to the subsets of one host: (subset, percent), none of 0; ``""`` for no subset."""


@dataclasses.dataclass(frozen=True, slots=True)
class Destination:
    """Where a part of a route's requests goes.

    :param host: fully qualified. :param subset: ``""`` for none. :param port: ``None`` for the Service's.
    :param share: percent of the route's requests, a whole number where it is one; of a mirror, of copies.
    """

    host: str
    subset: str
    port: int | None
    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class VirtualServiceRoute:
    """One entry of ``http``, ``tcp`` or ``tls``.

    :param protocol: the list that it stands in. :param match: alternatives; empty for every request.
    :param destinations: in the order of the object, those without a share included.
    :param delegate: ``(namespace, name)`` of the VirtualService that takes over, where one does.
    :param reachable: whether no route before it takes every request (istiod sends no route behind such one).
    :param certain: whether every proxy that knows the host is sent it: no match, before or in it, asks for
        the port, the gateway or the labels of the proxy.
    """

    protocol: str
    name: str
    match: tuple[Mapping[str, Any], ...]
    destinations: tuple[Destination, ...]
    mirrors: tuple[Destination, ...]
    delegate: tuple[str, str] | None
    reachable: bool
    certain: bool

    def shares(self, host: str, port: int | None = None) -> dict[str, float]:
        """What the subsets of ``host`` get.

        :param port: count destinations with this port, or without one; ``None`` for all.
        :returns: subset -> percent of the route's requests, also 0; ``{}`` when nothing names the host.
        """
        found: dict[str, float] = {}
        for item in self.destinations:
            if item.host == host and (port is None or item.port in (None, port)):
                found[item.subset] = found.get(item.subset, 0) + item.share
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class VirtualService:
    """A VirtualService as Istio reads it.

    :param hosts: fully qualified; none for a delegate.
    """

    namespace: str
    name: str
    hosts: tuple[str, ...]
    routes: tuple[VirtualServiceRoute, ...]

    @property
    def http(self) -> tuple[VirtualServiceRoute, ...]:
        """The HTTP routes in their order. :returns: those of protocol HTTP."""
        return tuple(route for route in self.routes if route.protocol == HTTP)


@dataclasses.dataclass(frozen=True, slots=True)
class ExpectedShares:
    """What proxies hold that were sent a VirtualService.

    :param certain: shares that each proxy must show. :param possible: those that it may show besides.
    """

    certain: frozenset[Shares]
    possible: frozenset[Shares]

    def fault(self, held: frozenset[Shares]) -> str:
        """What is wrong with what a proxy holds, as half a sentence; ``""`` when it holds this object."""
        for shares in sorted(held - self.possible - self.certain, key=sorted):
            wanted = " or ".join(map(describe, sorted(self.certain or self.possible, key=sorted)))
            return f"is split {describe(shares)}, not {wanted or 'at all'}"
        for shares in sorted(self.certain - held, key=sorted):
            return f"has no route with {describe(shares)}"
        return ""


def full_host(host: str, namespace: str, domain: str) -> str:
    """A host without a dot is a Service of the object's namespace; every other one is taken as it stands,
    ``reviews.shop`` too, which is then no Service (istio pilot/pkg/model ResolveShortnameToFQDN).
    """
    if not host or host == "*" or "." in host or _is_address(host):
        return host
    return f"{host}.{namespace}.svc.{domain}"


def bound_gateways(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """The gateways at which a VirtualService takes requests (istio pilot/pkg/model resolveGatewayName).

    :returns: ``namespace/name`` each, or ``mesh``; none for a delegate, which has no hosts.
    """
    if not list_at(obj, "spec", "hosts"):
        return ()
    names = map(str, list_at(obj, "spec", "gateways") or (MESH,))
    return tuple(name if name == MESH else _full_gateway(name, namespace_of(obj)) for name in names)


def _full_gateway(text: str, home: str) -> str:
    place, slash, name = text.partition("/")
    if not slash:  # NAME, or NAME.NAMESPACE with any domain behind it
        name, place = [*text.split("."), ""][:2]
    return f"{home if place in ('', '.') else place}/{name}"


def read_virtual_service(obj: Mapping[str, Any], domain: str) -> VirtualService:
    """A VirtualService out of the API's object.

    :param domain: the cluster's DNS domain. :raises MalformedError: a field has another type than Istio's.
    """
    namespace = namespace_of(obj)
    hosts = tuple(full_host(str(host), namespace, domain) for host in list_at(obj, "spec", "hosts"))
    routes: list[VirtualServiceRoute] = []
    for protocol in (HTTP, TCP, TLS):
        open_, certain = True, True
        for entry in mappings_at(obj, "spec", protocol):
            match = tuple(mappings_at(entry, "match"))
            route = VirtualServiceRoute(
                protocol=protocol,
                name=text_at(entry, "name"),
                match=match,
                destinations=_destinations(mappings_at(entry, "route"), namespace, domain),
                mirrors=tuple(_mirrors(entry, namespace, domain)),
                delegate=_delegate(entry, namespace),
                reachable=open_,
                certain=open_ and certain and (not match or any(map(_holds_everywhere, match))),
            )
            routes.append(route)
            catching = [item for item in match if _takes_every_request(item)]
            if protocol == HTTP and (not match or any(map(_holds_everywhere, catching))):
                open_ = False
            certain = certain and not (protocol == HTTP and catching)
    return VirtualService(namespace, name_of(obj), hosts, tuple(routes))


def expected_shares(
    virtual_service: VirtualService, host: str, *, port: int | None = None, unnamed: bool = True
) -> ExpectedShares:
    """What the HTTP routes to ``host`` look like in proxies.

    A delegate's routes take the match of their root and are dropped where the two exclude each other
    (pilot/pkg/model/virtualservice.go mergeHTTPMatchRequests). Roots match by path, so of a delegate only
    routes are certain that take any path.

    :param unnamed: whether shares of no subset count; istiod makes such routes by itself.
    """
    certain, possible = set(), set()
    for route in virtual_service.http:
        shares = held_form(route.shares(host, port), unnamed=unnamed)
        if not shares or not (route.reachable or not virtual_service.hosts):
            continue
        possible.add(shares)
        if route.certain and (virtual_service.hosts or _takes_any_path(route.match)):
            certain.add(shares)
    return ExpectedShares(frozenset(certain), frozenset(possible))


def held_form(shares: Mapping[str, float], *, unnamed: bool = True) -> Shares:
    """Shares as they are compared: what proxies do not hold is left out.

    :param shares: subset -> percent. :param unnamed: whether the share of no subset counts.
    """
    return frozenset(
        (subset, round(share, 2)) for subset, share in shares.items() if share > 0 and (subset or unnamed)
    )


def describe(shares: Iterable[tuple[str, float]]) -> str:
    """``90 % v1 / 10 % v2``."""
    return " / ".join(f"{share:g} % {subset or 'without subset'}" for subset, share in sorted(shares))


def _destinations(
    entries: Sequence[Mapping[str, Any]], namespace: str, domain: str
) -> tuple[Destination, ...]:
    weights = [integer_at(entry, "weight") for entry in entries]
    total = sum(weights)
    return tuple(
        _destination(
            mapping_at(entry, "destination"),
            namespace,
            domain,
            100 if len(entries) == 1 else _plain(weight * 100 / total) if total else 0,
        )
        for entry, weight in zip(entries, weights, strict=True)
    )


def _destination(target: Mapping[str, Any], namespace: str, domain: str, share: float) -> Destination:
    return Destination(
        host=full_host(text_at(target, "host"), namespace, domain),
        subset=text_at(target, "subset"),
        port=integer_at(target, "port", "number") or None,
        share=share,
    )


def _mirrors(route: Mapping[str, Any], namespace: str, domain: str) -> Iterator[Destination]:
    """Both spellings; without a percentage all requests are copied, at 0 none (route.go MirrorPercent)."""
    if mapping_at(route, "mirror"):
        percent = field(route, "mirrorPercentage", "value")
        if field(route, "mirrorPercentage") is None:
            percent = integer_at(route, "mirrorPercent", default=100)
        yield _destination(mapping_at(route, "mirror"), namespace, domain, _plain(float(percent or 0)))
    for entry in mappings_at(route, "mirrors"):
        percent = 100 if field(entry, "percentage") is None else field(entry, "percentage", "value")
        target = mapping_at(entry, "destination")
        if target:
            yield _destination(target, namespace, domain, _plain(float(percent or 0)))


def _delegate(route: Mapping[str, Any], namespace: str) -> tuple[str, str] | None:
    delegate = mapping_at(route, "delegate")
    if not delegate:
        return None
    return text_at(delegate, "namespace") or namespace, text_at(delegate, "name")


def _holds_everywhere(match: Mapping[str, Any]) -> bool:
    return not any(match.get(key) for key in _OF_THE_PROXY)


def _takes_any_path(match: Sequence[Mapping[str, Any]]) -> bool:
    return not match or any(_holds_everywhere(item) and not item.get("uri") for item in match)


def _takes_every_request(match: Mapping[str, Any]) -> bool:
    """Whether nothing of a request itself can keep it from the route (route.go IsCatchAllRoute)."""
    asked = {key for key, value in match.items() if value} - _LABELS_OF_A_MATCH - _OF_THE_PROXY
    uri = mapping_at(match, "uri")
    return not asked or (
        asked == {"uri"} and (text_at(uri, "prefix") == "/" or text_at(uri, "regex") == ".*")
    )


def _plain(share: float) -> float:
    return int(share) if share == int(share) else share


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
