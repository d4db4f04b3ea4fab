# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every proxy of a mesh, asked which roots it trusts and who signed its certificate.

Whoever is not asked, or does not answer, may hold anything: that is "cannot tell", and no step is taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MalformedError, MeshError, WaitTimeout
from ...fields import field, labels_of, mappings_at, name_of, namespace_of, text_at
from ...istio.istiod import ISTIOD_SELECTOR, ready_istiods, sync_table
from ...istio.proxy.admin import config_dump
from ...istio.proxy.running import RunningProxy
from ...istio.proxy.secrets import SECRETS, HeldSecrets, parse_secrets
from ...istio.workloads import PROXY_CONTAINER
from ...kube.pods import is_ended, is_terminating
from ...labels import is_selected
from ...model.certificates.mesh_ca import Stage
from ...model.certificates.x509 import issued_by
from ...verdicts import CANNOT_TELL
from ...words import some_of
from .live import LIVE, environment_of, is_on

if TYPE_CHECKING:
    from ...kube.client import KubeClient

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
except ImportError:
    pass

HOLD, DROP, LEAF = "hold", "drop", "leaf"
"""What is asked of a proxy: trusts the roots, no longer trusts the others, has the signer's certificate."""
AMBIENT = {"app": "ztunnel"}


@dataclasses.dataclass(frozen=True, slots=True)
class ProxyState:
    """One proxy and what it lacks.

    :param late: what it does not hold yet; ``""`` when it is where it should be. :param unread: why nobody
        knows. :param live: whether it takes over other roots while it runs.
    :param connected: whether an istiod knows it. Who is not learns nothing of pods that come and go.
    """

    namespace: str
    pod: str
    late: str = ""
    unread: str = ""
    live: bool = False
    leaving: bool = False
    connected: bool = True

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"


@dataclasses.dataclass(frozen=True, slots=True)
class Survey:
    """One look at all of them."""

    states: tuple[ProxyState, ...]

    @property
    def late(self) -> list[ProxyState]:
        """Those that lack something. :returns: by namespace and name."""
        return [state for state in self.states if state.late]

    @property
    def unread(self) -> list[ProxyState]:
        """Those that nobody knows anything about. :returns: by namespace and name."""
        return [state for state in self.states if state.unread]

    @property
    def apart(self) -> list[ProxyState]:
        """Those that are not connected to any istiod. :returns: by namespace and name."""
        return [state for state in self.states if not state.connected and not state.leaving]

    @property
    def done(self) -> bool:
        """Whether every single one is where it should be."""
        return not self.late and not self.unread

    def told(self) -> str:
        """For people: how many are there, and the first that is not."""
        missing = [*self.unread, *self.late]
        text = f"{len(self.states) - len(missing)} of {len(self.states)} proxies"
        if not missing:
            return text
        first = missing[0]
        return f"{text}; {first} {first.unread or first.late}"


def survey(client: KubeClient, namespace: str, stage: Stage, asked: frozenset[str]) -> Survey:
    """Asks every proxy that istiods of ``namespace`` give certificates to.

    :param asked: some of HOLD, DROP, LEAF.
    :raises ApiError: no right to list pods, or to ask istiod who is connected.
    """
    pods = client.list("v1", "Pod").items
    with_proxy = [pod for pod in pods if _has_proxy(pod) and _is_ours(pod, namespace)]
    states = client.in_parallel(lambda pod: _state(client, pod, stage, asked), with_proxy)
    connected = _connected(client, pods, namespace)
    told = [
        dataclasses.replace(state, connected=f"{state.pod}.{state.namespace}" in connected)
        for state in states
    ]
    return Survey(tuple(sorted([*told, *_strangers(pods, connected)], key=str)))


def _has_proxy(pod: Mapping[str, Any]) -> bool:
    """Whether a proxy runs in it. One that does not run yet will ask an istiod that works with the stage."""
    if is_ended(pod):
        return False
    if is_selected(labels_of(pod), AMBIENT):
        return True
    statuses = [
        status
        for section in ("containerStatuses", "initContainerStatuses")
        for status in mappings_at(pod, "status", section)
        if text_at(status, "name") == PROXY_CONTAINER
    ]
    return any(field(status, "state", "running") is not None for status in statuses)


def _is_ours(pod: Mapping[str, Any], namespace: str) -> bool:
    """Whether its certificates come from an istiod of ``namespace``; who does not say so counts as ours."""
    address = environment_of(pod, PROXY_CONTAINER, "spec").get("CA_ADDR", "").partition(":")[0]
    parts = address.split(".")
    return len(parts) < 2 or not parts[0].startswith("istiod") or parts[1] == namespace


def _connected(client: KubeClient, pods: Sequence[Mapping[str, Any]], namespace: str) -> set[str]:
    """Who is connected to any istiod. :returns: ``pod.namespace`` of each."""
    istiods = ready_istiods(
        pod
        for pod in pods
        if namespace_of(pod) == namespace and is_selected(labels_of(pod), _labels(ISTIOD_SELECTOR))
    )
    return set(sync_table(client, istiods))


def _strangers(pods: Sequence[Mapping[str, Any]], connected: set[str]) -> list[ProxyState]:
    """Proxies that are connected and stand in no pod of this cluster: machines, other clusters."""
    here = {f"{name_of(pod)}.{namespace_of(pod)}" for pod in pods}
    found = []
    for proxy in sorted(connected - here):
        name, _dot, home = proxy.partition(".")
        text = "is connected to istiod, and is no pod of this cluster: nobody can look into it from here"
        found.append(ProxyState(home, name, unread=text))
    return found


def _labels(selector: str) -> dict[str, str]:
    return dict(item.split("=", 1) for item in selector.split(","))


def _state(client: KubeClient, pod: Mapping[str, Any], stage: Stage, asked: frozenset[str]) -> ProxyState:
    found = ProxyState(
        namespace_of(pod),
        name_of(pod),
        live=is_on(_proxy_environment(pod), LIVE),
        leaving=is_terminating(pod),
    )
    if is_selected(labels_of(pod), AMBIENT):
        return dataclasses.replace(found, unread="is ztunnel, whose certificates cannot be read from here")
    try:
        held = parse_secrets(config_dump(client, _proxy(pod), SECRETS))
        late = _late(held, stage, asked)
    except (ApiError, WaitTimeout, MalformedError, ValueError) as error:
        if isinstance(error, ApiError) and (error.lasting or error.reason == "Interrupted"):
            raise
        text = error.message if isinstance(error, MeshError) else "shows a certificate that cannot be read"
        return dataclasses.replace(found, unread=text)
    return dataclasses.replace(found, late=late)


def _proxy_environment(pod: Mapping[str, Any]) -> dict[str, str]:
    return environment_of(pod, PROXY_CONTAINER, "spec")


def _proxy(pod: Mapping[str, Any]) -> RunningProxy:
    return RunningProxy(
        namespace=namespace_of(pod),
        pod=name_of(pod),
        labels=labels_of(pod),
        service_account=text_at(pod, "spec", "serviceAccountName"),
        gateway=False,
        version="",
        revision="",
        workload="",
    )


def _late(held: HeldSecrets, stage: Stage, asked: frozenset[str]) -> str:
    """What a proxy lacks. :raises ValueError: a certificate that cannot be read."""
    trusted = {_print(x509.load_der_x509_certificate(der)) for der in held.roots}
    if HOLD in asked and not stage.hold <= trusted:
        return f"does not trust {len(stage.hold - trusted)} of the {len(stage.hold)} roots"
    if DROP in asked and stage.drop & trusted:
        return "still trusts the other root"
    if LEAF in asked:
        leaf, signer = x509.load_der_x509_certificate(held.chain[0]), stage.bundle.signer
        sent = {_print(x509.load_der_x509_certificate(der)) for der in held.chain[1:]}
        if not issued_by(leaf, signer) or _print(signer) not in sent:
            return "has a certificate of the other CA"
    return ""


def _print(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def refuse_unread(found: Survey, stage: Stage) -> None:
    """:raises MeshError: somebody could not be asked, so nobody knows whether the next step is safe."""
    unread = found.unread
    if not unread:
        return
    names = some_of([f"{state} {state.unread}" for state in unread], 5, between="; ", before="; ")
    raise MeshError(
        f"{CANNOT_TELL} whether every proxy is at stage {stage.name}: {names}. The rotation stays where"
        " it is; run again when they answer",
        status=CANNOT_TELL,
        unread=[str(state) for state in unread],
    )
