# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decides over a Service's calls beside its own fields: pods whose proxy does not stand before a port,
Services that read the same port of the same pods in another way, a Service without an address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...fields import annotations_of, field, labels_of, mappings_at, name_of, text_at
from ...istio.injection.webhooks import INJECT_KEY, opted_out_by
from ...kube.pods import has_labels
from ...model.catalogue.services import Port, Service
from ...model.security.pods import read_pod, target_of
from ...model.security.protocols import are_alike, declared_protocol
from ...object_id import object_id
from .findings import listed
from .read import Obj, Place, selector_of

Told = Iterator[tuple[str, str, str]]
"""Part of the entry, sentence, rule."""


def beside(service: Service, live: Obj, place: Place, behind: Sequence[Obj]) -> Told:
    """Everything that is probably not meant."""
    yield from _without_address(service, live)
    yield from _without_proxy(service, behind)
    yield from _read_otherwise(service, place, behind)


def _without_address(service: Service, live: Obj) -> Told:
    if text_at(live, "spec", "clusterIP") == "None" and len(service.versions) > 1:
        message = (
            f"Service {service.key} is headless: its clients choose a pod themselves, and no split or variant"
            " moves them; give the versions a Service with an address, and state this one as headless"
        )
        yield "versions", message, "cluster-service"


def _without_proxy(service: Service, behind: Sequence[Obj]) -> Told:
    """Pods that never get a sidecar, and ports that a sidecar leaves alone: no rule of the entry holds there.

    A pod that has no sidecar yet is the business of injection.
    """
    never = {name_of(pod): why for pod in behind if (why := _never_injected(pod))}
    if never:
        name, why = list(never.items())[0]  # noqa: RUF015 - a next() in a generator may end it unseen
        more = f" and {len(never) - 1} more" if len(never) > 1 else ""
        message = (
            f"pod {name} behind Service {service.key} never gets a sidecar ({why}){more}: no policy and"
            " no mTLS of this entry holds there"
        )
        yield "", message, "cluster-sidecar"
    for index, port in enumerate(service.ports):
        past = [pod for pod in map(read_pod, behind) if pod.meshed and not pod.captures(port.target_port)]
        if past:
            message = (
                f"the sidecar of {listed(pod.name for pod in past)} leaves port {port.target_port} alone"
                " (traffic.sidecar.istio.io/*InboundPorts): no policy holds there, and callers' mTLS"
                " meets the application"
            )
            yield f"ports[{index}]", message, "cluster-sidecar"


def _never_injected(pod: Obj) -> str:
    if field(pod, "spec", "hostNetwork") is True:
        return "hostNetwork"
    return f"{INJECT_KEY}=false" if opted_out_by(labels_of(pod), annotations_of(pod)) else ""


def _read_otherwise(service: Service, place: Place, behind: Sequence[Obj]) -> Told:
    """A sidecar reads a port in one way; with two Services of two opinions it is that of the older one."""
    own = {service.name, service.headless.name if service.headless else service.name}
    for other in place.selecting(behind):
        if name_of(other) in own:
            continue
        pods = [pod for pod in behind if has_labels(pod, selector_of(other))]
        for index, port, entry in _meeting(service, other, pods):
            declared = declared_protocol(entry)
            if not are_alike(port.protocol, declared):
                message = (
                    f"{port.protocol}, but {object_id(other)} calls the same port {port.target_port} of the"
                    f" same pods {declared}: their sidecars read it in one way only"
                )
                yield f"ports[{index}].protocol", message, "cluster-protocol"


def _meeting(
    service: Service, other: Obj, pods: Sequence[Obj]
) -> Iterator[tuple[int, Port, Mapping[str, Any]]]:
    for entry in mappings_at(other, "spec", "ports"):
        targets = {target_of(entry, pod) for pod in pods}
        for index, port in enumerate(service.ports):
            if port.target_port in targets:
                yield index, port, entry
