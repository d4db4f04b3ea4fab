# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who calls a service by the catalogue, from which pods, and by which names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...fields import labels_of
from ...kube.pods import has_labels, is_active
from ...model.catalogue.mesh import all_callers
from ...model.catalogue.services import Port, Service
from .picture import Picture


def callers_of(picture: Picture, service: Service) -> Iterable[tuple[str, Mapping[str, str], str]]:
    """Namespace, labels and name of each caller that runs in the mesh, gateways of the catalogue too.

    Once for each kind of its pods, because an object may be for one of them.

    :returns: in catalogue order, the gateways last.
    """
    for known in services_calling(picture, service):
        for labels in _labels(picture, known):
            yield known.namespace, labels, known.key
    for name in {item.gateway for item in service.exposed}:
        gateway = picture.catalogue.gateway(name)
        if gateway is not None:
            mine = [
                labels_of(pod)
                for pod in picture.live.of("Pod", gateway.workload_namespace)
                if is_active(pod) and has_labels(pod, gateway.selector)
            ]
            for labels in _each_once(mine) or [gateway.selector]:
                yield gateway.workload_namespace, labels, f"gateway {name}"


def services_calling(picture: Picture, service: Service) -> Iterator[Service]:
    """The services of the catalogue that may call it. :returns: in its order."""
    for caller in all_callers(service):
        known = picture.catalogue.service(caller.service, caller.namespace) if caller.service else None
        if known is not None:
            yield known


def _labels(picture: Picture, service: Service) -> list[Mapping[str, str]]:
    """Those of each kind of pods; before there is one, what the catalogue says."""
    kinds = {seen.key: seen.pod.labels for seen in picture.pods_of(service)}
    return list(kinds.values()) or [service.labels]


def _each_once(found: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    return list({tuple(sorted(labels.items())): labels for labels in found}.values())


def hosts_of(service: Service) -> list[tuple[str, tuple[Port, ...]]]:
    """The names by which a service is called, each with its ports: that of the Service, and that of its
    headless companion.

    :returns: full names.
    """
    more = [(service.headless.fqdn, service.headless.ports)] if service.headless else []
    return [(service.fqdn, service.ports), *more]
