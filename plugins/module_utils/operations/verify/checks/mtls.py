# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that services take mutual TLS only: what the listeners hold, and which object decided it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ....fields import mapping_at, name_of, namespace_of, text_at
from ....istio.proxy.certificates import judge_certificates
from ....istio.proxy.listeners import PERMISSIVE, STRICT, InboundPort, serving_port
from ....istio.proxy.running import RunningProxy, is_selected
from ....model.catalogue.mesh import Catalogue
from ....model.catalogue.services import Service
from ....model.objects.peer_authentications import port_mode
from ....object_id import object_id
from ....verdicts import PASS, overall
from ..findings import Finding, failed, passed, unknown

MESH_DEFAULT = "the mesh default (no PeerAuthentication applies)"


def effective_mode(
    policies: Iterable[Mapping[str, Any]],
    *,
    root_namespace: str,
    namespace: str,
    labels: Mapping[str, str],
    port: int,
) -> tuple[str, str]:
    """The mode of a workload's port, and the object that decided it.

    Source: istio pilot/pkg/security/authn/policy_applier.go ComposePeerAuthentication. Mesh, then namespace,
    then workload; a mode that is not UNSET overrides; in each scope the oldest object counts and no other.

    :param port: the workload's port, not the Service's.
    :returns: (mode, what decided it: an object, or the mesh's default).
    """
    ordered = sorted(policies, key=_age)
    mesh = _first(ordered, root_namespace, None)
    of_namespace = _first(ordered, namespace, None) if namespace != root_namespace else None
    workload = _first(ordered, namespace, labels) if namespace != root_namespace else None
    mode, decided = PERMISSIVE, MESH_DEFAULT
    for policy in (mesh, of_namespace, workload):
        own = _mode(policy, "spec", "mtls")
        if policy and own:
            mode, decided = own, object_id(policy)
    of_port = _mode(workload, "spec", "portLevelMtls", str(port))
    return (of_port, object_id(workload)) if of_port and workload else (mode, decided)


@dataclasses.dataclass(frozen=True, slots=True)
class InboundState:
    """What the cluster shows about inbound traffic.

    :param proxies: the running proxies by ``namespace/pod``. :param ports: by ``namespace/pod``, what the
        proxy's listener holds; a proxy that was not read is absent.
    :param policies: the live PeerAuthentications.
    :param unread: by ``namespace/pod``, why a proxy could not be read.
    :param certificates: by ``namespace/pod``, Envoy's ``/certs``.
    :param roots: serial numbers of the mesh's roots. :param now: seconds since the epoch.
    """

    proxies: Mapping[str, RunningProxy]
    ports: Mapping[str, Mapping[int, InboundPort]]
    policies: Sequence[Mapping[str, Any]]
    unread: Mapping[str, str] = dataclasses.field(default_factory=dict)
    certificates: Mapping[str, str] = dataclasses.field(default_factory=dict)
    roots: frozenset[str] = frozenset()
    now: float = 0.0


def check_certificates(
    service: Service, pods: Sequence[Mapping[str, Any]], held: InboundState
) -> list[Finding]:
    """Judges the certificates of a service's proxies.

    :param pods: the pods behind the service.
    :returns: one finding; ``[]`` where no proxy was read.
    """
    names = [f"{namespace_of(pod)}/{name_of(pod)}" for pod in pods]
    read = [name for name in names if name in held.certificates]
    judged = [
        judge_certificates(
            held.certificates[name], identity=service.principal, roots=held.roots, now=held.now
        )
        for name in read
    ]
    verdict = overall(item.verdict for item in judged)
    if not judged:
        return []
    if verdict == PASS:
        what = f"certificates of {service.principal} alone, in time, under the mesh's root"
        return [passed("mtls", service.key, f"{what}, in {len(read)} of {len(names)} proxies")]
    name, reason = next(
        (name, item.reason) for name, item in zip(read, judged, strict=True) if item.verdict == verdict
    )
    return [Finding("mtls", service.key, verdict, f"the proxy of pod {name} {reason}", late=True)]


def check_listeners(
    catalogue: Catalogue, service: Service, pods: Sequence[Mapping[str, Any]], held: InboundState
) -> list[Finding]:
    """One finding per target port of a service. ``pods`` are the pods behind it.

    :returns: in the order of the ports.
    """
    return [_check_port(catalogue, service, port, pods, held) for port in service.target_ports()]


def _check_port(
    catalogue: Catalogue, service: Service, port: int, pods: Sequence[Mapping[str, Any]], held: InboundState
) -> Finding:
    subject, wanted = f"{service.key}:{port}", port_mode(catalogue, service, port)
    names = [f"{namespace_of(pod)}/{name_of(pod)}" for pod in pods]
    if not names:
        return unknown("mtls", subject, "no pod stands behind the service")
    for name in names:
        if name not in held.proxies:
            return failed("mtls", subject, f"pod {name} takes traffic without a running sidecar")
    read = [name for name in names if name in held.ports]
    for name in read:
        serving = serving_port(held.ports[name], port)
        if serving is None:
            reason = f"the proxy of pod {name} has no inbound listener for the port"
            return unknown("mtls", subject, reason, late=True)
        if serving.mode != wanted:
            mode, decided = effective_mode(
                held.policies,
                root_namespace=catalogue.root_namespace,
                namespace=held.proxies[name].namespace,
                labels=held.proxies[name].labels,
                port=port,
            )
            late = mode != serving.mode
            why = f"{decided} says {mode}, which it does not hold yet" if late else f"decided by {decided}"
            reason = f"the proxy of pod {name} is {serving.mode}, not {wanted}: {why}"
            return failed("mtls", subject, reason, late=late)
    if not read:
        return unknown("mtls", subject, "no proxy of the service could be read")
    for name in names:
        if name in held.unread:
            return unknown("mtls", subject, f"the proxy of pod {name} could not be read", late=True)
    number = f"{len(read)} of {len(names)} proxies"
    if wanted == STRICT:
        return passed("mtls", subject, f"only chains that demand a client certificate, in {number}")
    reason = service.mtls.reason or "the catalogue's mesh_mtls_mode"
    return passed("mtls", subject, f"{wanted}, as the catalogue wants it ({reason}), in {number}")


def _first(
    ordered: Iterable[Mapping[str, Any]], namespace: str, labels: Mapping[str, str] | None
) -> Mapping[str, Any] | None:
    """The oldest policy without selector, or with ``labels`` the oldest whose selector takes them."""
    for policy in ordered:
        if namespace_of(policy) != namespace:
            continue
        selector = mapping_at(policy, "spec", "selector", "matchLabels")
        if (labels is None and not selector) or (
            labels is not None and selector and is_selected(labels, selector)
        ):
            return policy
    return None


def _age(policy: Mapping[str, Any]) -> tuple[str, str, str]:
    return text_at(policy, "metadata", "creationTimestamp"), name_of(policy), namespace_of(policy)


def _mode(policy: Mapping[str, Any] | None, *path: str) -> str:
    """The mode at ``path``; ``""`` when it leaves the decision to somebody else."""
    mode = text_at(policy, *path, "mode")
    return "" if mode == "UNSET" else mode
