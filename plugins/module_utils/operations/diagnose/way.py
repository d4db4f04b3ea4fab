# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the caller's proxy to an endpoint: is the host known, where does its route lead, who is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import ApiError
from ...fields import Object, mapping_at, mappings_at, namespace_of, text_at
from ...istio.proxy.endpoints import Endpoint
from ...istio.proxy.routes import VirtualHost, parse_cluster_name
from ...istio.proxy.running import RunningProxy
from ...istio.proxy.sidecar_scope import sidecar_of
from ...kube.client import KubeClient
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Port, Service
from ...model.virtual_services import full_host
from ...object_id import object_id
from ..verify.findings import Finding, failed, passed
from ..verify.live_objects import LiveObjects
from .case import View


def outbound(
    client: KubeClient,
    catalogue: Catalogue,
    view: View,
    destination: Service,
    port: Port,
) -> list[Finding]:
    """The steps on the caller's side.

    :param view: what the caller's proxy shows. :returns: in the order of the request's way.
    """
    caller, dump, known = view.proxy, view.dump, view.endpoints
    subject = f"Pod {caller}"
    hosts = [host for host in dump.hosts or () if _is_for(host, destination.fqdn, port.number)]
    if not hosts and port.is_http:
        return [failed("route", subject, _hidden(client, catalogue, caller, destination))]
    clusters = sorted({name for host in hosts for route in host.routes for name in route.weights})
    if not port.is_http:
        clusters = [name for name in dump.clusters if _leads_to(name, destination.fqdn, port.number)]
    told = dict.fromkeys(
        f"route {route.name} of {route.virtual_service or 'istiod itself'}: {_split(route.weights)}"
        for host in hosts
        for route in host.routes
    )
    steps = [passed("route", subject, line) for line in told]
    missing = [name for name in clusters if name not in dump.clusters]
    steps += [failed("cluster", subject, f"has no cluster {name}: requests get 503 NC") for name in missing]
    return steps + [
        _endpoints(subject, name, known.get(name, [])) for name in clusters if name not in missing
    ]


def _endpoints(subject: str, cluster: str, found: Sequence[Endpoint]) -> Finding:
    bad = [f"{item.address} ({item.trouble})" for item in found if item.trouble]
    if not found:
        return failed("endpoints", subject, f"{cluster} has no endpoint: requests get 503 UH")
    if len(bad) == len(found):
        return failed("endpoints", subject, f"{cluster}: it sends to none of {', '.join(bad)}")
    told = f", not to {', '.join(bad)}" if bad else ""
    return passed(
        "endpoints", subject, f"{cluster}: it sends to {len(found) - len(bad)} of {len(found)}{told}"
    )


def _hidden(client: KubeClient, catalogue: Catalogue, caller: RunningProxy, destination: Service) -> str:
    missing = f"its proxy has no route for {destination.fqdn}"
    sidecars: list[Object] = []
    unread = ""
    for namespace in dict.fromkeys((caller.namespace, catalogue.root_namespace)):
        try:
            sidecars += client.list("networking.istio.io/v1", "Sidecar", namespace).items
        except ApiError as error:
            if not error.not_allowed:
                raise
            unread = f"Sidecars of namespace {namespace} may not be read: {error.message}"
            break  # one beside the caller decides, whatever the root namespace holds
    sidecar = sidecar_of(caller, sidecars, catalogue.root_namespace)
    if sidecar is not None:
        return f"{missing}: {object_id(sidecar)} does not import it"
    return f"{missing}; {unread}" if unread else f"{missing}, and no Sidecar hides it: is there a Service?"


def faults(live: LiveObjects, catalogue: Catalogue, destination: Service) -> list[Finding]:
    """VirtualServices that answer or delay a part of the requests themselves, and that the catalogue knows
    not of.

    :returns: one step per object.
    """
    if destination.fault is not None:
        return []
    found = []
    for item in live.of("VirtualService", destination.namespace):
        hosts = {
            full_host(text_at(entry, "destination", "host"), namespace_of(item), catalogue.cluster_domain)
            for rule in mappings_at(item, "spec", "http")
            for entry in mappings_at(rule, "route")
        }
        kinds = {
            kind
            for rule in mappings_at(item, "spec", "http")
            for kind in ("abort", "delay")
            if mapping_at(rule, "fault", kind)
        }
        if destination.fqdn in hosts and kinds:
            what = " and ".join(sorted(kinds))
            found.append(failed("route", object_id(item), f"injects a fault ({what}) into the calls"))
    return found


def _is_for(host: VirtualHost, fqdn: str, port: int) -> bool:
    return fqdn in host.domains and any(
        _leads_to(name, None, port) or host.listener == str(port)
        for route in host.routes
        for name in route.weights
    )


def _leads_to(cluster: str, fqdn: str | None, port: int) -> bool:
    name = parse_cluster_name(cluster)
    return name is not None and name.port == port and fqdn in (None, name.host)


def _split(weights: Mapping[str, float]) -> str:
    return " / ".join(f"{share:g} % {name}" for name, share in sorted(weights.items())) or "no cluster"
