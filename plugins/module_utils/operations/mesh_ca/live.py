# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CA that a mesh has now: the Secrets, what istiod publishes, and how istiod was started."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import RefusedError
from ...fields import mapping_at, mappings_at, name_of, text_at
from ...istio.istiod import DISCOVERY_CONTAINER, ISTIOD_SELECTOR
from ...istio.proxy.certificates import ROOT_CONFIG_MAP, ROOT_KEY
from ...model.certificates.mesh_ca import (
    CA_LIST,
    PLUGGED,
    SELF_SIGNED,
    Bundle,
    bundle_of,
    prints_of,
)
from ...model.certificates.pem import UnreadablePemError
from ...model.certificates.secret import TLS_TYPE
from ...model.certificates.served import CERTIFICATE_KEY
from ...model.certificates.x509 import read_chain
from ...model.security.pods import environment
from ...model.security.truth import GO_TRUE

if TYPE_CHECKING:
    from ...kube.client import KubeClient

MULTIROOT, LIVE = "ISTIO_MULTIROOT_MESH", "PROXY_CONFIG_XDS_AGENT"
"""Environment of istiod and of a proxy: with both, a proxy takes over other roots while it runs (PCDS)."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class LiveCa:
    """What was found. No ``repr``: Secrets are in it.

    :param plugged: Secret ``cacerts``. :param self_signed: Secret ``istio-ca-secret``.
    :param istiods: the Deployments that would sign. :param roots: PEM that istiod publishes.
    """

    namespace: str
    exists: bool
    plugged: Mapping[str, Any] | None
    self_signed: Mapping[str, Any] | None
    istiods: Sequence[Mapping[str, Any]]
    roots: str

    @property
    def tls(self) -> bool:
        """Whether ``cacerts`` has the form of ``kubernetes.io/tls``, which its type may not leave."""
        data = mapping_at(self.plugged, "data")
        return text_at(self.plugged, "type") == TLS_TYPE or CERTIFICATE_KEY in data

    @property
    def bundle(self) -> Bundle | None:
        """What istiod signs with after its next start; None for a mesh that has no CA yet."""
        return bundle_of(self.plugged) or bundle_of(self.self_signed)

    @property
    def installed(self) -> bool:
        """Whether proxies may hold certificates already."""
        return bool(self.self_signed or self.istiods or self.roots)


def read_live(client: KubeClient, namespace: str) -> LiveCa:
    """Reads it. :raises ApiError: no right to."""
    exists = client.get("v1", "Namespace", namespace) is not None
    plugged, self_signed = (client.get("v1", "Secret", name, namespace) for name in (PLUGGED, SELF_SIGNED))
    published = client.get("v1", "ConfigMap", ROOT_CONFIG_MAP, namespace)
    istiods = client.list("apps/v1", "Deployment", namespace, label_selector=ISTIOD_SELECTOR).items
    return LiveCa(
        namespace,
        exists,
        plugged,
        self_signed,
        sorted(istiods, key=name_of),
        text_at(published, "data", ROOT_KEY),
    )


def environment_of(workload: Mapping[str, Any], container: str, *path: str) -> dict[str, str]:
    """What a container is told. :param path: to its pod's spec. :returns: name -> value, of plain values."""
    spec = mapping_at(workload, *path)
    found: dict[str, str] = {}
    for one in (*mappings_at(spec, "containers"), *mappings_at(spec, "initContainers")):
        if text_at(one, "name") == container:
            found |= environment(one)
    return found


def is_on(environment: Mapping[str, str], name: str) -> bool:
    """Whether a switch is on, as Go reads it."""
    return environment.get(name, "") in GO_TRUE


def istiod_environment(deployment: Mapping[str, Any]) -> dict[str, str]:
    """What istiod is told. :returns: name -> value."""
    return environment_of(deployment, DISCOVERY_CONTAINER, "spec", "template", "spec")


def refuse_other_authorities(live: LiveCa) -> None:
    """A mesh whose certificates another CA signs is none of ours.

    :raises RefusedError: naming the setting that says so.
    """
    for deployment in live.istiods:
        told = istiod_environment(deployment)
        foreign = [
            f"{name}={told[name]}"
            for name, usual in (("PILOT_CERT_PROVIDER", ("", "istiod")), ("EXTERNAL_CA", ("",)))
            if told.get(name, "") not in usual
        ]
        if told.get("ENABLE_CA_SERVER", "") not in ("", *GO_TRUE):
            foreign.append(f"ENABLE_CA_SERVER={told['ENABLE_CA_SERVER']}")
        volumes = mappings_at(deployment, "spec", "template", "spec", "volumes")
        mounted = {text_at(volume, "secret", "secretName") for volume in volumes}
        if PLUGGED not in mounted:
            foreign.append(f"Secret {PLUGGED} is not mounted")
        if foreign:
            raise RefusedError(
                f"Deployment {live.namespace}/{name_of(deployment)} does not sign with a CA of its own "
                f"({', '.join(foreign)}): rotate the CA that signs for this mesh",
                rule="other-ca",
            )


def refuse_a_foreign_secret(live: LiveCa) -> None:
    """A ``cacerts`` that a controller keeps, or that nobody may change, is not written.

    :raises RefusedError: with the reason.
    """
    secret, where = live.plugged, f"Secret {live.namespace}/{PLUGGED}"
    if secret is None:
        return
    owners = [
        f"{text_at(one, 'kind')} {text_at(one, 'name')}"
        for one in mappings_at(secret, "metadata", "ownerReferences")
    ]
    annotations = mapping_at(secret, "metadata", "annotations")
    if "cert-manager.io/certificate-name" in annotations:
        owners.append(f"cert-manager's Certificate {annotations['cert-manager.io/certificate-name']}")
    reason = f"it belongs to {', '.join(owners)}: rotate it there" if owners else ""
    if secret.get("immutable"):
        reason = "it is immutable: replace it by one that is not"
    if text_at(secret, "metadata", "deletionTimestamp"):
        reason = "it is being deleted"
    if CA_LIST in mapping_at(secret, "data"):
        reason = f"it holds {CA_LIST}, which Envoy then wants for every CA of a chain: take it out first"
    if reason:
        raise RefusedError(f"{where}: {reason}", rule="foreign-owner")


def refuse_an_unused_ca(live: LiveCa) -> None:
    """The Secret must be what istiod works with: else the way from it leads from the wrong place.

    :raises RefusedError: istiod publishes other roots.
    """
    bundle = live.bundle
    if bundle is None:
        raise RefusedError(
            f"namespace {live.namespace} holds neither Secret {PLUGGED} nor {SELF_SIGNED}: no istiod has a CA"
            " there that could be rotated; playbook istio.yml plugs one in before istiod's first start",
            rule="no-ca",
        )
    if not live.istiods:
        raise RefusedError(
            f"no Deployment with {ISTIOD_SELECTOR} is in namespace {live.namespace}: nobody would take the"
            " new CA over; install Istio first",
            rule="no-istiod",
        )
    try:
        same = prints_of(read_chain(live.roots.encode())) == prints_of(bundle.trusted)
    except UnreadablePemError:
        same = False
    if not same:
        name = PLUGGED if live.plugged is not None else SELF_SIGNED
        raise RefusedError(
            f"ConfigMap {live.namespace}/{ROOT_CONFIG_MAP} does not hold the roots of Secret {name}: istiod "
            "works with another CA. It did not take a change over (a changed root needs "
            f"{MULTIROOT} or a restart): put the Secret back as it was, or restart istiod if no proxy holds a"
            " certificate yet",
            rule="not-in-use",
        )
