# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each gateway can be reached, port by port, and a line that calls it."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Sequence
from typing import Any

from ...fields import mapping_at, text_at
from ...kube.pods import has_labels, is_active
from ...kube.services import ServiceAddresses, ServicePort, read_addresses
from ...labels import is_selected
from ...model.catalogue.mesh import Gateway, Server
from ...model.certificates.secret import leaf_facts
from ...model.certificates.served import ASKING_MODES, AUTHORITY_KEY, CERTIFICATE_KEY
from ...model.certificates.x509 import HAS_CRYPTOGRAPHY
from ...model.host_patterns import takes_in
from ...model.installation.gateways import InstalledGateway
from .look import ObserveLook, Pod

PART = "addresses"
_PLAIN, _SECURE = {"HTTP": ("http", 80)}, {"HTTPS": ("https", 443)}
_SCHEMES = {**_PLAIN, **_SECURE}
_LOCAL = 8000  # added to a port below 1024, which only root may open
_FIRST_UNPRIVILEGED = 1024


def gateway_addresses(look: ObserveLook) -> list[dict[str, Any]]:
    """One entry per Service that leads to a gateway's pods, in the order of ``istio_gateways``.

    :returns: ``gateway``, ``service``, ``type``, ``ips``, ``hostnames``, ``external_ips``, ``cluster_ips``,
        ``nodes``, ``ports`` (``{name, port, protocol, node_port}``) and ``calls``, see :func:`_calls`.
    """
    found = []
    for gateway in look.installed:
        entries = look.attempt(PART, functools.partial(_of, look, gateway), [])
        found += entries
    return found


def _of(look: ObserveLook, gateway: InstalledGateway) -> list[dict[str, Any]]:
    pods = [pod for pod in look.listed("v1", "Pod", gateway.namespace) if is_active(pod)]
    mine = [pod for pod in pods if has_labels(pod, gateway.labels)]
    services = [read_addresses(item) for item in look.listed("v1", "Service", gateway.namespace)]
    leading = [
        read
        for read in services
        if read.selector
        and (
            any(has_labels(pod, read.selector) for pod in mine)
            or (not mine and read.name == gateway.name)  # without pods its own Service is still there
        )
    ]
    name = f"{gateway.namespace}/{gateway.name}"
    if not mine:
        look.tell_not(PART, f"gateway {name} has no pod, so nobody answers: playbook istio puts it back")
    if not leading:
        look.tell_not(PART, f"no Service leads to the pods of gateway {name}: playbook istio puts it back")
    return [_entry(look, gateway, read, mine) for read in sorted(leading, key=lambda one: one.name)]


def _entry(
    look: ObserveLook, gateway: InstalledGateway, read: ServiceAddresses, pods: Sequence[Pod]
) -> dict[str, Any]:
    nodes = list(dict.fromkeys(address for pod in pods if (address := text_at(pod, "status", "hostIP"))))
    bound = [item for item in look.catalogue.gateways if _binds(item, gateway)]
    return {
        "gateway": f"{gateway.namespace}/{gateway.name}",
        "service": f"{read.namespace}/{read.name}",
        "type": read.type,
        "ips": list(read.ips),
        "hostnames": list(read.hostnames),
        "external_ips": list(read.external_ips),
        "cluster_ips": list(read.cluster_ips),
        "nodes": nodes if any(port.node_port for port in read.ports) else [],
        "ports": [
            {
                "name": port.name,
                "port": port.number,
                "protocol": port.protocol,
                **({"node_port": port.node_port} if port.node_port else {}),
            }
            for port in read.ports
        ],
        "calls": _calls(look, bound, read, nodes),
    }


def _binds(gateway: Gateway, installed: InstalledGateway) -> bool:
    same = gateway.workload_namespace == installed.namespace
    return same and is_selected(installed.labels, gateway.selector)


def _calls(
    look: ObserveLook, gateways: Sequence[Gateway], read: ServiceAddresses, nodes: Sequence[str]
) -> list[dict[str, Any]]:
    """How to call each host, with commands that work as they stand.

    :returns: ``host``, ``url``, ``address`` (``HOST:PORT`` that is really called), and what to run, in this
        order and each empty where it is not needed: ``ca`` (saves the CA), ``forward`` (leads a local port to
        the gateway, runs until it is ended), ``curl``.
    """
    found = []
    for gateway in gateways:
        for server in gateway.servers:
            port = next((port for port in read.ports if port.number == server.port), None)
            if port is None:
                where = f"Service {read.namespace}/{read.name}"
                look.tell_not(PART, f"{where} has no port {server.port}, so {server.host} is not reached")
            elif server.protocol in _SCHEMES:
                found.append(_call(look, gateway, server, read, port, nodes))
    return found


def _call(
    look: ObserveLook,
    gateway: Gateway,
    server: Server,
    read: ServiceAddresses,
    port: ServicePort,
    nodes: Sequence[str],
) -> dict[str, Any]:
    scheme, default = _SCHEMES[server.protocol]
    host, path = _host_and_path(look, gateway, server)
    forward, address, number = _way(look, read, port, nodes)
    url = f"{scheme}://{host}{'' if server.port == default else f':{server.port}'}{path}"
    authority = _authority(look, gateway, server) if server.protocol in _SECURE else []
    file = f"{server.certificate}-ca.crt"
    words = ["curl", "--connect-to", f"{host}:{server.port}:{_bracketed(address)}:{number}"]
    words += ["--cacert", file] if authority else []
    words += ["--cert", "CLIENT.crt", "--key", "CLIENT.key"] if server.mode in ASKING_MODES else []
    return {
        "host": server.host,
        "url": url,
        "address": f"{_bracketed(address)}:{number}",
        "ca": f"{shlex.join(authority)} | base64 -d > {shlex.quote(file)}" if authority else "",
        "forward": shlex.join(forward) if forward else "",
        "curl": shlex.join([*words, url]),
    }


def _way(
    look: ObserveLook, read: ServiceAddresses, port: ServicePort, nodes: Sequence[str]
) -> tuple[list[str], str, int]:
    """Command that has to run beside it, address and port: from outside if there is a way from there."""
    if read.outer:
        return [], read.outer[0], port.number
    if port.node_port and nodes:
        return [], nodes[0], port.node_port
    local = port.number + (_LOCAL if port.number < _FIRST_UNPRIVILEGED else 0)
    target = [f"service/{read.name}", f"{local}:{port.number}"]
    return [*look.kubectl, "-n", read.namespace, "port-forward", *target], "127.0.0.1", local


def _host_and_path(look: ObserveLook, gateway: Gateway, server: Server) -> tuple[str, str]:
    """A host under the server's, and a path of it that leads to a service."""
    exposures = [
        exposure
        for service in look.catalogue.services
        for exposure in service.exposed
        if exposure.gateway == gateway.name and takes_in(server.host, exposure.host)
    ]
    chosen = min(exposures, key=lambda item: (item.host.startswith("*"), len(item.path)), default=None)
    host = chosen.host if chosen else server.host
    if host.startswith("*"):
        host = f"any{host[1:]}" if host != "*" else "any.invalid"
    return host, chosen.path if chosen else "/"


def _authority(look: ObserveLook, gateway: Gateway, server: Server) -> list[str]:
    """The command that prints the CA of a server's certificate; empty for one of a public CA."""
    space, name = gateway.workload_namespace, server.certificate or ""
    secret = look.attempt(PART, lambda: look.secret(space, name), None) if name else None
    if secret is None:
        return []
    if mapping_at(secret, "data").get(AUTHORITY_KEY):
        return _printing(look, space, name, AUTHORITY_KEY)
    leaf = leaf_facts(secret)
    home, own = look.options.authority_home
    if not HAS_CRYPTOGRAPHY or leaf is None:
        return []
    authority = look.attempt(PART, lambda: look.secret(home, own), None)
    issuer = leaf_facts(authority) if authority is not None else None
    if issuer is not None and issuer.subject == leaf.issuer:
        return _printing(look, home, own, CERTIFICATE_KEY)
    return []


def _printing(look: ObserveLook, namespace: str, name: str, key: str) -> list[str]:
    path = f"jsonpath={{.data.{key.replace('.', chr(92) + '.')}}}"
    return [*look.kubectl, "-n", namespace, "get", "secret", name, "-o", path]


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
