# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that services take mutual TLS only: what objects say, what listeners hold, and which object
decided it.

Every port of every pod is looked at: those of the catalogue, those of any Service, those that containers
name, and the catch-all for all others. One object that loosens many ports is one finding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ....istio.proxy.listeners import InboundPort, serving_port
from ....model.catalogue.services import Service
from ....model.security.classes import port_label
from ....model.security.peer_authentication import STRICT, is_looser
from ....model.security.pods import TUNNEL_PORT, MeshPod
from ....verdicts import FAIL
from ....words import some_of
from ..findings import Finding, failed, passed, stated, unknown
from ..picture import Picture, PodPort, SeenPod
from .injection import AMBIENT

KEPT_AWAY = "keeps its proxy away (traffic.sidecar.istio.io) from"
NO_PROXY = "has no proxy before (istio-init leaves the port of tunnels alone in every pod)"


@dataclasses.dataclass(frozen=True, slots=True)
class InboundState:
    """What the proxies show.

    :param ports: by ``namespace/pod``, what the proxy's listener holds; a proxy that was not read is
        absent.
    :param unread: by ``namespace/pod``, why a proxy could not be read.
    :param running: ``namespace/pod`` of every ready proxy. :param taking: of every pod that gets requests.
    """

    ports: Mapping[str, Mapping[int, InboundPort]]
    unread: Mapping[str, str] = dataclasses.field(default_factory=dict)
    running: frozenset[str] = frozenset()
    taking: frozenset[str] = frozenset()


def check_modes(picture: Picture) -> list[Finding]:
    """One finding per object that puts ports of the mesh into another mode than the catalogue wants.

    :returns: the objects in the order of the pods that show them, then the pods that were deleted and still
        answer where their proxy is kept away.
    """
    causes: dict[tuple[str, str], dict[str, None]] = {}
    for seen in picture.pods:
        for port in seen.ports if _is_judged(seen) else ():
            _note_port(picture, seen, port, causes)
    found = [
        failed("mtls", subject, f"{what} {_few(list(ports))}") for (subject, what), ports in causes.items()
    ]
    for seen in picture.leaving:
        ports = [port for port in seen.ports if _is_judged(seen) and seen.is_kept_away(port)]
        if ports:
            told = _few([f"{_name(seen)}:{port.label}" for port in ports])
            what = f"{KEPT_AWAY} {told}; it was deleted, and answers until it ends"
            found.append(failed("mtls", f"Pod {seen.pod}", what, late=True))
    return found


def _is_judged(seen: SeenPod) -> bool:
    return seen.pod.meshed and not seen.pod.gateway and not seen.pod.ambient


def _note_port(
    picture: Picture, seen: SeenPod, port: PodPort, causes: dict[tuple[str, str], dict[str, None]]
) -> None:
    where = f"{_name(seen)}:{port.label}"
    if seen.is_kept_away(port):
        what = NO_PROXY if port.number == TUNNEL_PORT else KEPT_AWAY
        causes.setdefault((f"Pod {seen.pod}", what), {})[where] = None
    if not port.captured or not _is_worse(picture, seen, port):
        return
    what = f"makes {port.mode}, not {port.wanted},"
    causes.setdefault((port.decided, what), {})[where] = None


def _is_worse(picture: Picture, seen: SeenPod, port: PodPort) -> bool:
    if seen.services:
        return port.mode != port.wanted
    explicit = port.decided.startswith("PeerAuthentication")
    ours = seen.pod.namespace in picture.catalogue.namespaces
    return (ours or explicit) and is_looser(port.mode, port.wanted)


def _name(seen: SeenPod) -> str:
    return seen.services[0].key if seen.services else str(seen.pod)


def _few(names: Sequence[str]) -> str:
    return some_of(names, kind="ports")


def check_listeners(picture: Picture, service: Service, held: InboundState) -> list[Finding]:
    """One finding per port of the pods of a service, from what their proxies hold.

    :returns: in the order of the ports; without those that are as an object wants them and not the
        catalogue, which `check_modes` tells.
    """
    pods = picture.pods_of(service)
    if not pods:
        return [unknown("mtls", service.key, "no pod stands behind the service")]
    numbers = dict.fromkeys(service.target_ports())
    numbers |= dict.fromkeys(port.number for seen in pods for port in seen.ports)
    found = (_check_port(service, number, pods, held) for number in numbers)
    return [finding for finding in found if finding is not None]


def _check_port(service: Service, number: int, pods: Sequence[SeenPod], held: InboundState) -> Finding | None:
    subject = f"{service.key}:{port_label(number)}"
    read, told = 0, False
    unsure: Finding | None = None
    wanted = STRICT
    for seen in pods:
        port = seen.port(number)
        name = str(seen.pod)
        if port is None or name not in held.taking:
            continue
        wanted = port.wanted
        if seen.pod.ambient:
            unsure = unsure or unknown("mtls", subject, f"pod {name} {AMBIENT}")
            continue
        if name not in held.running:
            return failed("mtls", subject, f"pod {name} takes traffic without a running sidecar", late=True)
        finding = _judge(subject, service, seen.pod, port, held)
        if finding is not None and finding.verdict == FAIL:
            return finding
        unsure = unsure or finding
        told = told or port.mode != port.wanted or not port.captured
        read += 1
    if told:
        return None
    if unsure is not None:
        return unsure
    if not read:
        return unknown("mtls", subject, "none of its pods is ready", late=True)
    if wanted == STRICT:
        return passed("mtls", subject, f"only chains that demand a client certificate, in {read} proxies")
    reason = service.mtls.reason or "the catalogue's mesh_mtls_mode"
    return stated("mtls", subject, f"{wanted}, in {read} proxies: {reason}")


def _judge(subject: str, service: Service, pod: MeshPod, port: PodPort, held: InboundState) -> Finding | None:
    """What speaks against a port of one pod; ``None`` when its proxy holds what the objects say."""
    name = str(pod)
    if not port.captured:
        return None
    if name not in held.ports:
        return unknown("mtls", subject, f"pod {name}: {_why_unread(name, held)}", late=name in held.unread)
    serving = serving_port(held.ports[name], port.number)
    if serving is None:
        reason = f"the proxy of pod {name} has no inbound listener for the port"
        return unknown("mtls", subject, reason, late=True)
    if serving.mode == port.mode:
        return _reads_otherwise(subject, service, pod, port.number, serving)
    why = f"{port.decided} says {port.mode}, which it does not hold yet"
    return failed("mtls", subject, f"the proxy of pod {name} is {serving.mode}: {why}", late=True)


def _reads_otherwise(
    subject: str, service: Service, pod: MeshPod, number: int, serving: InboundPort
) -> Finding | None:
    """A proxy that takes requests for bytes holds no rule about methods and paths, and one that parses bytes
    refuses them. Of several Services over one port the oldest decides."""
    stated = {port.is_http for port in service.all_ports if port.target_port == number}
    parsed = {chain.http for chain in serving.chains}
    if len(stated) != 1 or not parsed or stated & parsed:
        return None
    told = "as HTTP, not as bytes" if True in parsed else "as bytes, not as HTTP"
    why = "a Service over the port says so, by the name or appProtocol of its entry"
    return failed("mtls", subject, f"the proxy of pod {pod} reads it {told}: {why}", late=True)


def _why_unread(name: str, held: InboundState) -> str:
    return held.unread.get(name) or "its proxy was not read (verify_max_proxies)"
