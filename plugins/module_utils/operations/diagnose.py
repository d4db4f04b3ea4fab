# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a call gets what it gets: follows one request through the proxies, step by step, and only reads."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError, MeshError, Problem
from ..istio.proxy.admin import admin_get
from ..istio.proxy.endpoints import Endpoint, endpoints
from ..istio.proxy.routes import VirtualHost, parse_cluster_name
from ..istio.proxy.running import RunningProxy
from ..istio.proxy.sidecar_scope import sidecar_of
from ..kube.client import KubeClient
from ..kube.options import CONNECTION_SPEC, ConnectionOptions
from ..model.catalogue.edges import ANY_PEER, Edge, decide, service_edges
from ..model.catalogue.mesh import Catalogue
from ..model.catalogue.parse import parse_catalogue
from ..model.catalogue.services import Port, Service
from ..model.reading.typed import variables_of
from ..object_id import object_id
from ..verdicts import FAIL
from .verify.checks.injection import check_pods
from .verify.checks.mtls import InboundState, check_listeners
from .verify.checks.policies import check_policies
from .verify.checks.sync import check_policies_held
from .verify.dumps import ProxyDump, read_proxies
from .verify.findings import Finding, failed, passed, unknown, worst
from .verify.live_objects import LiveObjects, read_live_objects

if TYPE_CHECKING:
    from ..context import Context

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "dict", "required": True},
    "source": {"type": "str", "required": True},
    "destination": {"type": "str", "required": True},
    "method": {"type": "str", "default": "GET"},
    "path": {"type": "str", "default": "/"},
}
VARIABLES = variables_of(ARGUMENT_SPEC, "diagnose_")


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """The call that is followed."""

    catalogue: Catalogue
    source: Service
    destination: Service
    method: str
    path: str

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Call:
        """Reads the module's parameters. :raises InputError: no catalogue, or no service of it."""
        catalogue = parse_catalogue(params["catalogue"])
        return cls(
            catalogue=catalogue,
            source=_service(catalogue, params["source"], "source"),
            destination=_service(catalogue, params["destination"], "destination"),
            method=params["method"],
            path=params["path"],
        )


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``diagnose``: follows one call and names the first thing that stops it.

    :returns: ``{changed, status, cause, steps}``, see module ``diagnose``.
    """
    call = Call.from_params(params)
    with context.client(ConnectionOptions.from_params(params, context.environment)) as client:
        steps = _follow(client, call)
    first = next((step for step in steps if step.verdict == FAIL), None)
    cause = f"{first.subject}: {first.message}" if first else ""
    for step in steps:
        context.progress(f"{step.check:<14} {step}")
    return {
        "changed": False,
        "status": worst(steps),
        "cause": cause,
        "steps": [{"step": step.check, **step.as_dict()} for step in steps],
    }


def _service(catalogue: Catalogue, name: str, option: str) -> Service:
    namespace, _slash, short = name.rpartition("/")
    found = catalogue.service(short, namespace or None)
    if found is None:
        known = ", ".join(item.key for item in catalogue.services)
        raise InputError(
            [Problem(option, f"{name!r} is no service of the catalogue ({known})", "unknown-service")]
        )
    return found


def _follow(client: KubeClient, call: Call) -> list[Finding]:
    catalogue, source, destination = call.catalogue, call.source, call.destination
    live = read_live_objects(
        client,
        namespaces=tuple(dict.fromkeys((source.namespace, destination.namespace))),
        root_namespace=catalogue.root_namespace,
        istio_namespace=catalogue.istio_namespace,
    )
    if not live.installed:
        return [unknown("istio", "", "not installed")]
    callers = _proxies_of(live, source)
    callees = _proxies_of(live, destination)
    steps = [*_pods(live, source), *_pods(live, destination)]
    if not callers:
        return [*steps, failed("caller", source.key, "no proxy of it runs, so its calls are not the mesh's")]
    port = destination.routed_port
    if port is None:
        return [*steps, failed("port", destination.key, "the catalogue gives it no port")]
    dumps = read_proxies(client, [*callers, *callees], len(callers) + len(callees))
    steps += [unknown("proxy", f"Pod {name}", reason) for name, reason in dumps.unread.items()]
    caller = next((proxy for proxy in callers if _routes(dumps.held.get(str(proxy)))), None)
    if caller is not None:
        steps += _outbound(client, catalogue, caller, dumps.held[str(caller)], destination, port)
    held = InboundState(
        {str(proxy): proxy for proxy in callees},
        {str(proxy): dumps.held[str(proxy)].ports for proxy in callees if str(proxy) in dumps.held},
        live.of("PeerAuthentication"),
    )
    steps += check_listeners(
        catalogue, destination, live.pods_of(destination.namespace, destination.name), held
    )
    policies = live.of("AuthorizationPolicy")
    for proxy in callees:
        if str(proxy) in dumps.held:
            ports = dumps.held[str(proxy)].ports
            steps += check_policies_held(proxy, ports, policies, catalogue.root_namespace)
    steps += [finding for finding in check_policies(catalogue, policies) if finding.verdict == FAIL]
    return [*steps, _allowed(call, port)]


def _pods(live: LiveObjects, service: Service) -> list[Finding]:
    pods = live.pods_of(service.namespace, service.name)
    if not pods:
        return [failed("pods", service.key, "no pod stands behind the service")]
    return check_pods(pods, expected_version="", istiods=live.istiods, unmeshed=())


def _proxies_of(live: LiveObjects, service: Service) -> list[RunningProxy]:
    names = {pod["metadata"]["name"] for pod in live.pods_of(service.namespace, service.name)}
    return [proxy for proxy in live.proxies() if proxy.namespace == service.namespace and proxy.pod in names]


def _routes(dump: ProxyDump | None) -> bool:
    return dump is not None and dump.hosts is not None


def _outbound(
    client: KubeClient,
    catalogue: Catalogue,
    caller: RunningProxy,
    dump: ProxyDump,
    destination: Service,
    port: Port,
) -> list[Finding]:
    """From the caller's proxy to an endpoint: is the host known, where does its route lead, who is there."""
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
    try:
        known = endpoints(json.loads(admin_get(client, caller, "clusters?format=json")))
    except (MeshError, ValueError) as error:
        return [*steps, unknown("endpoints", subject, str(error))]
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
    namespaces = dict.fromkeys((caller.namespace, catalogue.root_namespace))
    sidecars = [
        item
        for namespace in namespaces
        for item in client.list("networking.istio.io/v1", "Sidecar", namespace).items
    ]
    sidecar = sidecar_of(caller, sidecars, catalogue.root_namespace)
    if sidecar is None:
        return f"its proxy has no route for {destination.fqdn}, and no Sidecar hides it: is there a Service?"
    return f"its proxy has no route for {destination.fqdn}: {object_id(sidecar)} does not import it"


def _allowed(call: Call, port: Port) -> Finding:
    edges = service_edges(call.catalogue, call.destination)
    principal = call.source.principal
    index = decide(edges, principal, call.method, call.path, port.target_port)
    sent = f"{call.method} {call.path} by {principal}"
    if index is None:
        allowed = "; ".join(_describe(edges, principal)) or "nothing"
        return failed(
            "authorization",
            call.destination.key,
            f"the catalogue refuses {sent} with 403; it allows {allowed}",
        )
    return passed("authorization", call.destination.key, f"the catalogue allows {sent} (rule {index})")


def _describe(edges: Iterable[Edge], principal: str) -> list[str]:
    return [
        f"{'/'.join(edge.methods) or 'any method'} {', '.join(edge.paths) or 'any path'}"
        for edge in edges
        if edge.principal in (principal, ANY_PEER)
    ]


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
