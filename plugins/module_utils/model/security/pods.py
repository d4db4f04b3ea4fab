# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod as its traffic meets it: its identity, whether it has a proxy, and which ports the proxy captures.

The capture is read from what the injector wrote into the pod (the arguments of istio-init or
istio-validation),
so that defaults of the mesh count too; else from the annotations. Sources: istio tools/istio-iptables,
manifests/charts/istio-control/istio-discovery/files/injection-template.yaml.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...fields import (
    age_order,
    annotations_of,
    field,
    integer_at,
    labels_of,
    list_at,
    mapping_at,
    mappings_at,
    name_of,
    namespace_of,
    text_at,
)
from ...labels import is_selected
from ..reading.values import is_number

PROXY = "istio-proxy"
CAPTURE = ("istio-init", "istio-validation")
"""The init containers that set up the capture, or see that the network plugin has done so."""
_LISTENS = frozenset((15000, 15001, 15006, 15021, 15090))
TUNNEL_PORT = 15008
"""For HBONE, and led to no proxy of any pod, whoever listens there (istio tools/istio-iptables/pkg/capture
run.go, InboundTunnelPort)."""
_STATUS_SETTING = re.compile(r'"statusPort"\s*:\s*(\d+)')
_STATUS = "status.sidecar.istio.io/port"
ANNOTATION = "traffic.sidecar.istio.io/"
INTERFACES = f"{ANNOTATION}excludeInterfaces"
_MODE, _MODE_VARIABLE = "sidecar.istio.io/interceptionMode", "ISTIO_META_INTERCEPTION_MODE"
TLS_MODE = "security.istio.io/tlsMode"
"""The label that the injector gives to every pod; by it clients choose between mutual TLS and plaintext
(istio pilot/pkg/model/network.go GetTLSModeFromEndpointLabels)."""
_UNTRANSLATED = "experimental.istio.io/disable-gateway-port-translation"
_AMBIENT = "ambient.istio.io/redirection"


@dataclasses.dataclass(frozen=True, slots=True)
class MeshPod:
    """One pod.

    :param meshed: whether it has an istio-proxy. :param included: ports that the proxy captures, ``None``
        for all. :param excluded: ports that it leaves alone. :param ports: container ports, named or not.
    :param taken: ports at which the proxy and its agent listen themselves, and so no application.
    :param accepts_mtls: whether clients see it as able to take mutual TLS (``security.istio.io/tlsMode``).
    :param ambient: whether a ztunnel takes its traffic; then nothing is known about it here.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    service_account: str
    address: str
    meshed: bool
    gateway: bool
    ambient: bool
    accepts_mtls: bool
    included: frozenset[int] | None
    excluded: frozenset[int]
    ports: tuple[int, ...]
    taken: frozenset[int]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def captures(self, port: int) -> bool:
        """Whether the proxy stands before a port; one that it does not capture has neither mTLS nor
        policies."""
        if not self.meshed or port in self.excluded:
            return False
        return self.included is None or port in self.included


def read_pod(pod: Mapping[str, Any]) -> MeshPod:
    """A ``MeshPod`` out of the API's object. :raises MalformedError: a field of another type."""
    labels, annotations = labels_of(pod), annotations_of(pod)
    own = containers_of(pod)
    proxy = proxy_among(own)
    meshed = proxy is not None and field(pod, "spec", "hostNetwork") is not True
    included, excluded = _captured(own, annotations)
    return MeshPod(
        namespace=namespace_of(pod),
        name=name_of(pod),
        labels=labels,
        service_account=text_at(pod, "spec", "serviceAccountName") or "default",
        address=text_at(pod, "status", "podIP"),
        meshed=meshed,
        gateway=is_gateway(pod),
        ambient=is_ambient(annotations),
        accepts_mtls=meshed and labels.get(TLS_MODE) == "istio",
        included=included,
        excluded=excluded,
        ports=_container_ports(pod),
        taken=_LISTENS | {status_port(pod)} if proxy is not None else frozenset(),
    )


def is_gateway(pod: Mapping[str, Any]) -> bool:
    """Whether a pod runs a proxy as a gateway (``proxy router``)."""
    return "router" in list_at(proxy_among(containers_of(pod)), "args")


def is_for(gateway: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Whether a Gateway is for a pod: by its labels in any namespace, and without a selector for every
    gateway (istio pilot/pkg/model/push_context.go mergeGateways)."""
    selector = mapping_at(gateway, "spec", "selector")
    return is_selected(labels_of(pod), selector) if selector else is_gateway(pod)


def is_ambient(annotations: Mapping[str, str]) -> bool:
    """Whether a ztunnel takes the traffic of a pod with these annotations."""
    return annotations.get(_AMBIENT) == "enabled"


def status_port(pod: Mapping[str, Any]) -> int:
    """Where pilot-agent listens: the pod's annotation counts before the mesh's setting, which the injector
    tells the proxy (istio pilot/cmd/pilot-agent/config ConstructProxyConfig)."""
    told = annotations_of(pod).get(_STATUS, "")
    if is_number(told):
        return int(told)
    proxy = proxy_among(containers_of(pod))
    found = _STATUS_SETTING.search(environment(proxy).get("PROXY_CONFIG", ""))
    return int(found[1]) if found else 15020


def containers_of(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The containers that a pod is made of. :returns: init containers first; none that were added later."""
    return [*mappings_at(pod, "spec", "initContainers"), *mappings_at(pod, "spec", "containers")]


def proxy_among(containers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The proxy of a sidecar or gateway. :returns: its container; ``None`` where a pod has none."""
    return next((item for item in containers if item.get("name") == PROXY), None)


def environment(container: Mapping[str, Any] | None) -> dict[str, str]:
    """The variables of a container, of no container none.

    :returns: by name; ``""`` for one whose value comes from elsewhere.
    """
    return {text_at(entry, "name"): text_at(entry, "value") for entry in mappings_at(container, "env")}


def interception(containers: Sequence[Mapping[str, Any]], annotations: Mapping[str, str]) -> str:
    """How traffic is led to the proxy where no container says so: what the injector told the proxy, which
    counts ``proxy.istio.io/config`` and the mesh's defaults, else the annotation."""
    told = environment(proxy_among(containers)).get(_MODE_VARIABLE, "")
    return told or annotations.get(_MODE, "")


def leaves_interfaces(options: Mapping[str, str]) -> bool:
    """Whether what comes and goes by some network interface is left alone: by which, nobody can tell here."""
    return bool(options.get("-c") or options.get("--istio-exclude-interfaces"))


def lacks_capture(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has a sidecar that is to take its traffic, and no container that leads any there."""
    own = containers_of(pod)
    names = {text_at(item, "name") for item in own}
    return PROXY in names and names.isdisjoint(CAPTURE) and interception(own, annotations_of(pod)) != "NONE"


def lasting(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The containers that run as long as the pod does: a named port of any of them is found (istio
    pilot/pkg/serviceregistry/kube/controller/util.go FindPort).

    :returns: those of ``containers`` first, then the init containers that keep running.
    """
    beside = [
        one for one in mappings_at(pod, "spec", "initContainers") if text_at(one, "restartPolicy") == "Always"
    ]
    return [*mappings_at(pod, "spec", "containers"), *beside]


def _container_ports(pod: Mapping[str, Any]) -> tuple[int, ...]:
    ports = {
        integer_at(port, "containerPort")
        for container in lasting(pod)
        if container.get("name") != PROXY
        for port in mappings_at(container, "ports")
        if text_at(port, "protocol") in ("", "TCP")
    }
    return tuple(sorted(ports - {0}))


def _captured(
    containers: Sequence[Mapping[str, Any]], annotations: Mapping[str, str]
) -> tuple[frozenset[int] | None, frozenset[int]]:
    """Ports that are captured (``None`` for all), and ports that are not."""
    for container in containers:
        if container.get("name") in CAPTURE:
            words = [str(word) for word in list_at(container, "args")]
            options = dict(itertools.pairwise(words))
            if options.get("-m") == "NONE" or leaves_interfaces(options):
                return frozenset(), frozenset()
            tunnel = numbers_of(options.get("-e", str(TUNNEL_PORT)))
            return _led(options.get("-b", "*"), options.get("-d", ""), tunnel)
    if interception(containers, annotations) == "NONE" or annotations.get(INTERFACES):
        return frozenset(), frozenset()
    included = annotations.get(f"{ANNOTATION}includeInboundPorts", "*")
    left = annotations.get(f"{ANNOTATION}excludeInboundPorts", "")
    return _led(included, left, frozenset((TUNNEL_PORT,)))


def _led(included: str, left: str, tunnel: frozenset[int]) -> tuple[frozenset[int] | None, frozenset[int]]:
    """Where ports are named that are captured, those that are left alone are not looked at (istio
    tools/istio-iptables/pkg/capture/run.go, handleInboundPortsInclude)."""
    if included.strip() == "*":
        return None, numbers_of(left) | tunnel
    return numbers_of(included), tunnel


def numbers_of(text: str) -> frozenset[int]:
    """The numbers in a list of ports or of users; what is none is left out."""
    return frozenset(int(word) for word in text.replace(",", " ").split() if is_number(word))


def named_port(pod: Mapping[str, Any], name: str) -> int:
    """The number of a TCP port by its name, as endpoints resolve it (k8s.io/kubernetes pkg/api/v1/service
    FindPort). 0 when no container that lasts has it."""
    for container in lasting(pod):
        for port in mappings_at(container, "ports"):
            if text_at(port, "name") == name and text_at(port, "protocol") in ("", "TCP"):
                return integer_at(port, "containerPort")
    return 0


def target_of(entry: Mapping[str, Any], pod: Mapping[str, Any]) -> int:
    """The TCP port of a pod behind an entry of a Service's ports; 0 for a name that it does not have, and for
    other protocols."""
    if text_at(entry, "protocol") not in ("", "TCP"):
        return 0
    target = entry.get("targetPort") or entry.get("port")
    return target if isinstance(target, int) else named_port(pod, str(target))


def target_ports(service: Mapping[str, Any], pod: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """The workload's TCP ports behind a Service's, by number.

    :returns: target port -> the Service's port entry, the first where several lead there.
    """
    found: dict[int, Mapping[str, Any]] = {}
    for entry in mappings_at(service, "spec", "ports"):
        if number := target_of(entry, pod):
            found.setdefault(number, entry)
    return found


def listened(number: int, pod: Mapping[str, Any], services: Iterable[Mapping[str, Any]]) -> int:
    """Where a gateway's pod serves a port of its Gateway: behind that port of the oldest Service that has it,
    else at the same (istio pilot/pkg/model/gateway.go resolvePorts).

    :param services: those that select the pod.
    """
    for service in sorted(services, key=age_order):
        for entry in mappings_at(service, "spec", "ports") if _UNTRANSLATED not in labels_of(service) else ():
            if integer_at(entry, "port") == number and (found := target_of(entry, pod)):
                return found
    return number
