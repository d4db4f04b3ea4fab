# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a call gets what it gets: follows one request through the proxies, step by step, and only reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Problem
from ...istio.proxy.running import RunningProxy
from ...kube.client import KubeClient
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...model.catalogue.lookup import look_up
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.parse import parse_catalogue
from ...model.catalogue.services import Port, Service
from ...model.reading.typed import variables_of
from ...model.security.requests import Request
from ...verdicts import FAIL
from ..verify.checks.injection import check_pods
from ..verify.dumps import ProxyDump, read_proxies
from ..verify.findings import Finding, failed, unknown, worst
from ..verify.live_objects import LENIENT, LiveObjects, read_live_objects
from ..verify.picture import Picture
from .callee import policies, stated, transport
from .external_name import stands_for
from .way import faults, outbound

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "dict", "required": True},
    "source": {"type": "str", "required": True},
    "destination": {"type": "str", "required": True},
    "method": {"type": "str", "default": "GET"},
    "path": {"type": "str", "default": "/"},
    "port": {"type": "str", "default": ""},
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
    port: Port | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Call:
        """Reads the module's parameters. :raises InputError: no catalogue, or no service of it."""
        catalogue = parse_catalogue(params["catalogue"])
        destination = _service(catalogue, params["destination"], "destination")
        return cls(
            catalogue=catalogue,
            source=_service(catalogue, params["source"], "source"),
            destination=destination,
            method=params["method"],
            path=params["path"],
            port=_port(destination, params["port"]),
        )


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``diagnose``: follows one call and names the first thing that stops it.

    :returns: ``{changed, status, cause, steps}``, see module ``diagnose``.
    """
    catalogue = parse_catalogue(params["catalogue"])
    with context.client(ConnectionOptions.from_params(params, context.environment)) as client:
        if look_up(catalogue, params["destination"])[0] is None:
            _refuse_other_names(client, catalogue, params["destination"])
        steps = _follow(client, Call.from_params(params), context.clock.now())
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


def _refuse_other_names(client: KubeClient, catalogue: Catalogue, name: str) -> None:
    """:raises InputError: the destination is a Service that only stands for another host."""
    if said := stands_for(client, catalogue, name):
        raise InputError([Problem("diagnose_destination", said, "external-name")])


def _service(catalogue: Catalogue, name: str, option: str) -> Service:
    found, fault = look_up(catalogue, name)
    if found is None:
        raise InputError([Problem(f"diagnose_{option}", fault, "unknown-service")])
    return found


def _port(service: Service, name: str) -> Port | None:
    """The port of that name or number; the routed one when none is named."""
    if not name:
        return service.routed_port
    for port in service.ports:
        if name in (port.name, str(port.number)):
            return port
    known = ", ".join(f"{port.name} ({port.number})" for port in service.ports)
    problem = f"{service.key} has no port {name!r}, but {known or 'none'}"
    raise InputError([Problem("port", problem, "unknown-port")])


def _follow(client: KubeClient, call: Call, now: float) -> list[Finding]:
    catalogue, source, destination = call.catalogue, call.source, call.destination
    namespaces = tuple(dict.fromkeys((source.namespace, destination.namespace)))
    live = read_live_objects(
        client,
        namespaces=namespaces,
        root_namespace=catalogue.root_namespace,
        istio_namespace=catalogue.istio_namespace,
    )
    if not live.installed:
        return [unknown("istio", "", "not installed")]
    callers = _proxies_of(live, source)
    callees = _proxies_of(live, destination)
    steps = [*_pods(live, source, now), *_pods(live, destination, now)]
    if not callers:
        return [*steps, failed("caller", source.key, "no proxy of it runs, so its calls are not the mesh's")]
    port = call.port
    if port is None:
        return [*steps, failed("port", destination.key, "the catalogue gives it no port")]
    dumps = read_proxies(client, [*callers, *callees], len(callers) + len(callees))
    steps += [unknown("proxy", f"Pod {name}", reason) for name, reason in dumps.unread.items()]
    caller = next((proxy for proxy in callers if _routes(dumps.held.get(str(proxy)))), None)
    if caller is not None:
        steps += outbound(client, catalogue, caller, dumps.held[str(caller)], destination, port)
    steps += faults(live, catalogue, destination)
    picture = Picture(catalogue, live, namespaces)
    request = Request(source.principal, port.target_port, call.method, call.path, http=port.is_http)
    said = stated(picture.edges(destination), request, destination)
    held = policies(picture, dumps, request, destination)
    if said.verdict == FAIL:  # then it is no fault of the policies that they refuse it
        held = [step for step in held if step.verdict != FAIL]
    seen = next((pod for pod in picture.pods_of(source) if str(pod.pod) == str(callers[0])), None)
    steps += transport(picture, seen, destination, port) if seen is not None else []
    return [*steps, *_unread(live), *held, said]


def _unread(live: LiveObjects) -> list[Finding]:
    return [unknown("policies", kind, why) for kind, why in live.unread.items() if kind not in LENIENT]


def _pods(live: LiveObjects, service: Service, now: float) -> list[Finding]:
    pods = live.pods_of(service.namespace, service.name)
    if not pods:
        return [failed("pods", service.key, "no pod stands behind the service")]
    return check_pods(pods, expected_version="", istiods=live.istiods, unmeshed=(), now=now)


def _proxies_of(live: LiveObjects, service: Service) -> list[RunningProxy]:
    names = {pod["metadata"]["name"] for pod in live.pods_of(service.namespace, service.name)}
    return [proxy for proxy in live.proxies() if proxy.namespace == service.namespace and proxy.pod in names]


def _routes(dump: ProxyDump | None) -> bool:
    return dump is not None and dump.hosts is not None
