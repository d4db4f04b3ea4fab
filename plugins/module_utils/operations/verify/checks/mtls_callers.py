# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``mtls``: what the callers' proxies send, by the DestinationRules that they see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ....fields import mapping_at
from ....kube.pods import has_labels
from ....model.catalogue.mesh import all_callers
from ....model.catalogue.services import Service
from ....model.security.peer_authentication import DISABLE
from ....model.security.pods import TLS_MODE
from ....model.security.transport import MTLS, ServerPort, connect
from ....words import some_of
from ..findings import Finding, failed, passed
from ..picture import Picture, SeenPod


def check_callers(picture: Picture) -> list[Finding]:
    """One finding per DestinationRule, or PeerAuthentication of a whole namespace, that keeps a caller of the
    catalogue from mutual TLS.

    :returns: these objects first, then one pass for all callers that use it.
    """
    causes: dict[str, dict[str, str]] = {}
    good = 0
    for service in picture.catalogue.services:
        pods = [seen for seen in picture.pods_of(service) if seen.pod.meshed]
        for namespace, labels, name in callers_of(picture, service):
            for problem in _problems(picture, service, pods, namespace, labels):
                decided, verdict = problem
                causes.setdefault(decided, {}).setdefault(f"{name} -> {service.key}", verdict)
            good += 1
    found = []
    for subject, edges in causes.items():
        told = some_of([f"{edge} ({verdict})" for edge, verdict in edges.items()])
        found.append(failed("mtls", subject, f"takes mutual TLS from {told}"))
    if good and not found:
        found.append(passed("mtls", "callers", f"{good} callers use mutual TLS, by the rules that they see"))
    return [*found, *_announced(picture)]


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


def callers_of(picture: Picture, service: Service) -> Iterable[tuple[str, Mapping[str, str], str]]:
    """Namespace, labels and name of each caller that runs in the mesh, gateways of the catalogue too.

    :returns: in catalogue order, the gateways last.
    """
    catalogue = picture.catalogue
    for caller in all_callers(service):
        known = catalogue.service(caller.service or "", caller.namespace) if caller.service else None
        if known is not None:
            yield known.namespace, _labels(picture, known), known.key
    for name in {item.gateway for item in service.exposed}:
        gateway = catalogue.gateway(name)
        if gateway is not None:
            pods = picture.live.of("Pod", gateway.workload_namespace)
            mine = next((pod for pod in pods if has_labels(pod, gateway.selector)), None)
            labels = {**mapping_at(mine, "metadata", "labels"), **gateway.selector}
            yield gateway.workload_namespace, labels, f"gateway {name}"


def _labels(picture: Picture, service: Service) -> Mapping[str, str]:
    return next((seen.pod.labels for seen in picture.pods_of(service)), service.labels)


def _problems(
    picture: Picture,
    service: Service,
    pods: Iterable[SeenPod],
    namespace: str,
    labels: Mapping[str, str],
) -> Iterable[tuple[str, str]]:
    service_mode = picture.modes.of_namespace(service.namespace)
    for port in service.ports:
        for subset in ("", *service.versions):
            client = picture.rules.mode(
                namespace, labels, service.fqdn, service.namespace, port.number, subset
            )
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
