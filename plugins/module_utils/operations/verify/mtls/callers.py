# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``mtls``: what the callers' proxies send, by the DestinationRules that they see, and which
calls their pods do not give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ....fields import list_at, text_at
from ....kube.pods import addresses
from ....model.catalogue.services import Service
from ....model.security.outbound import uncaptured_outbound, way_past
from ....model.security.peer_authentication import DISABLE, STRICT
from ....model.security.pods import TLS_MODE
from ....model.security.transport import MTLS, ServerPort, connect
from ....words import few, some_of
from ..callers import callers_of, hosts_of, services_calling
from ..findings import Finding, failed, passed
from ..picture import Picture, SeenPod


def check_callers(picture: Picture) -> list[Finding]:
    """One finding per DestinationRule, or PeerAuthentication of a whole namespace, that keeps a caller of the
    catalogue from mutual TLS, and per pod that calls past its proxy.

    :returns: these objects first, then one pass for all callers that use it.
    """
    causes: dict[str, dict[str, str]] = {}
    edges: set[str] = set()
    bare = {service.key for service in picture.catalogue.services if _is_bare(picture.pods_of(service))}
    for service in picture.catalogue.services:
        pods = [seen for seen in picture.pods_of(service) if seen.pod.meshed]
        for namespace, labels, name in callers_of(picture, service):
            for problem in _problems(picture, service, pods, namespace, labels):
                decided, verdict = problem
                causes.setdefault(decided, {}).setdefault(f"{name} -> {service.key}", verdict)
            edges |= {f"{name} -> {service.key}"} if name not in bare else set()
    found = []
    for subject, hit in causes.items():
        told = some_of([f"{edge} ({verdict})" for edge, verdict in hit.items()])
        found.append(failed("mtls", subject, f"takes mutual TLS from {told}"))
    found += _past_proxies(picture)
    if edges and not found:
        what = f"{len(edges)} callers use mutual TLS, by the rules that they see"
        found.append(passed("mtls", "callers", what))
    return [*found, *_announced(picture)]


def _is_bare(pods: Sequence[SeenPod]) -> bool:
    return bool(pods) and not any(seen.pod.meshed for seen in pods)


def _past_proxies(picture: Picture) -> Iterator[Finding]:
    """Pods whose own proxy does not get what they send to a service: it arrives in plaintext, of nobody. One
    without a proxy may call what takes that by the catalogue's own word."""
    left_of: dict[str, list[tuple[SeenPod, tuple[str, ...]]]] = {}
    for seen in picture.pods:
        pod = seen.pod
        if not seen.services or pod.gateway or pod.ambient:
            continue
        left = uncaptured_outbound(seen.raw) if pod.meshed else ("everything",)
        for service in seen.services if left else ():
            left_of.setdefault(service.key, []).append((seen, left))
    hit: dict[tuple[str, str], dict[str, None]] = {}
    for service in picture.catalogue.services if left_of else ():
        ways = _ways_to(picture, service)
        for caller in dict.fromkeys(one.key for one in services_calling(picture, service)):
            for seen, left in left_of.get(caller, ()):
                past = (way_past(left, port, places) for port, mode, places in ways if _counts(seen, mode))
                if way := next(filter(None, past), ""):
                    past_it = f"calls {way} past its proxy (traffic.sidecar.istio.io), and so"
                    how = past_it if seen.pod.meshed else "has no proxy, and so calls"
                    hit.setdefault((f"Pod {seen.pod}", how), {})[service.key] = None
    for (subject, how), keys in hit.items():
        yield failed("mtls", subject, f"{how} {few(keys)} without mutual TLS")


def _counts(seen: SeenPod, mode: str) -> bool:
    return mode == STRICT or (seen.pod.meshed and mode != DISABLE)


def _ways_to(picture: Picture, service: Service) -> list[tuple[int, str, list[str]]]:
    """Ports of a service, their modes, and the addresses that clients of each connect to."""
    live, mesh = picture.live.find("Service", service.namespace, service.name), picture.catalogue.mtls_mode
    own = [text_at(live, "spec", "clusterIP"), *map(str, list_at(live, "spec", "clusterIPs"))]
    of_pods = sorted({one for seen in picture.pods_of(service) for one in addresses(seen.raw)})
    return [
        (
            port.number,
            service.mtls.mode_of(port.target_port, mesh),
            own if host == service.fqdn and own[0] != "None" else of_pods,
        )
        for host, ports in hosts_of(service)
        for port in ports
    ]


def _announced(picture: Picture) -> Iterable[Finding]:
    """Pods that every caller without a rule of its own takes for unable to speak mutual TLS."""
    for seen in picture.pods:
        pod = seen.pod
        if not seen.services or not pod.meshed or pod.gateway or pod.ambient or pod.accepts_mtls:
            continue
        if any(port.mode != DISABLE and port.captured and port.served for port in seen.ports):
            told = f"is labelled {TLS_MODE}={pod.labels[TLS_MODE]}" if TLS_MODE in pod.labels else ""
            what = told or f"has lost the label {TLS_MODE}=istio"
            yield failed("mtls", f"Pod {pod}", f"{what}: callers send it plaintext instead of mutual TLS")


def _problems(
    picture: Picture,
    service: Service,
    pods: Iterable[SeenPod],
    namespace: str,
    labels: Mapping[str, str],
) -> Iterable[tuple[str, str]]:
    service_mode = picture.modes.of_namespace(service.namespace)
    places = ((host, port) for host, ports in hosts_of(service) for port in ports)
    for host, port in places:
        for subset in ("", *service.versions):
            client = picture.rules.mode(namespace, labels, host, service.namespace, port.number, subset)
            if not client.decided and service_mode != DISABLE:
                continue
            decided = client.decided or picture.modes.deciding_namespace(service.namespace)
            for seen in pods:
                found = seen.port(port.target_port)
                if found is None or found.mode == DISABLE:
                    continue
                mode = found.mode if found.captured else ""
                server = ServerPort(seen.pod, found.number, mode, found.decided, found.http and not found.tcp)
                verdict = connect(client, server, service_mode).verdict
                if verdict != MTLS:
                    yield decided, verdict
