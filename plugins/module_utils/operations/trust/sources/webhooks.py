# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istiod's serving certificate, and the CA bundles by which the API server trusts its webhooks.

A bundle that does not fit stops every new pod (injection), or every change of Istio's objects (validation).
"""

from __future__ import annotations

import base64
import dataclasses
import socket
import ssl
from collections.abc import Iterator

from ....fields import labels_of, mapping_at, mappings_at, name_of, text_at
from ....istio.istiod import DEFAULT_REVISION, ISTIOD_SELECTOR, calls_istiod
from ....istio.proxy.handshake import UnreachableError, handshake
from ....kube.pods import takes_requests
from ....model.certificates.trust import ISTIOD, WEBHOOK, TrustEntry, fingerprints
from ....model.certificates.x509 import CertificateFault
from ....verdicts import FAIL
from ..look import TrustLook

ADMISSION = "admissionregistration.k8s.io/v1"
CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
WEBHOOK_PORT = 15017
_SECONDS = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class WebhookTrust:
    """What a webhook configuration trusts.

    :param where: the configuration. :param names: its webhooks that say the same. :param service: the
        Service that is called.
    """

    where: str
    names: tuple[str, ...]
    service: str
    pem: bytes


def istiods(look: TrustLook) -> Iterator[TrustEntry]:
    """What each istiod pod serves, and whether the webhooks' bundles accept it."""
    pods = look.listed("v1", "Pod", look.istio_namespace, label_selector=ISTIOD_SELECTOR)
    bundles = bundles_of(look)
    for pod in sorted(filter(takes_requests, pods), key=name_of):
        where = f"Pod {look.istio_namespace}/{name_of(pod)}:{WEBHOOK_PORT}"
        address = text_at(pod, "status", "podIP")
        revision = labels_of(pod).get("istio.io/rev", DEFAULT_REVISION)
        suffix = "" if revision == DEFAULT_REVISION else f"-{revision}"
        host = f"istiod{suffix}.{look.istio_namespace}.svc"
        try:
            leaf = _presented(address, WEBHOOK_PORT, host)
        except OSError as error:
            message = f"is not reachable from here: {error.strerror or type(error).__name__}"
            yield look.judge.unknown(ISTIOD, where, message)
            continue
        entries = look.judge.chain(ISTIOD, where, leaf, hosts=[host])
        faults = _refused(address, host, [one for one in bundles if one.service == f"istiod{suffix}"])
        for entry in entries:
            yield dataclasses.replace(
                entry, verdict=FAIL if faults else entry.verdict, reasons=(*faults, *entry.reasons)
            )


def _presented(address: str, port: int, host: str) -> bytes:
    """The leaf that a server presents, PEM. Nothing is sent over this connection.

    :raises OSError: no connection, or no handshake.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((address, port), timeout=_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as secure,
    ):
        der = secure.getpeercert(binary_form=True) or b""
    return ssl.DER_cert_to_PEM_cert(der).encode()


def _refused(address: str, host: str, bundles: list[WebhookTrust]) -> list[CertificateFault]:
    """The bundles with which a client refuses what istiod serves."""
    faults = []
    for bundle in bundles:
        if not fingerprints(bundle.pem):
            continue  # the webhook's own entry says so
        try:
            served = handshake(address, WEBHOOK_PORT, host, ca_pem=bundle.pem.decode("ascii", "replace"))
        except UnreachableError:
            continue
        if served.fault:
            faults.append(
                CertificateFault("bundle-mismatch", f"is refused by {bundle.where}: {served.fault}")
            )
    return faults


def bundles_of(look: TrustLook) -> list[WebhookTrust]:
    """The bundles of istiod's webhooks. :returns: each once per configuration, in order."""
    found = []
    for kind in CONFIGURATIONS:
        for obj in sorted(look.listed(ADMISSION, kind), key=name_of):
            same: dict[tuple[str, str], list[str]] = {}
            for webhook in mappings_at(obj, "webhooks"):
                if not calls_istiod(webhook, look.istio_namespace):
                    continue
                client = mapping_at(webhook, "clientConfig")
                key = (text_at(client, "service", "name"), text_at(client, "caBundle"))
                same.setdefault(key, []).append(text_at(webhook, "name"))
            for (service_name, text), names in same.items():
                where = f"{kind} {name_of(obj)}"
                found.append(WebhookTrust(where, tuple(names), service_name, _decoded(text)))
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def webhooks(look: TrustLook) -> Iterator[TrustEntry]:
    """Every block of every bundle; one that holds none of the mesh's roots is another CA's."""
    roots = fingerprints(look.roots)
    for bundle in bundles_of(look):
        part = f"caBundle of {', '.join(bundle.names)}"
        entries = look.judge.bundle(WEBHOOK, bundle.where, bundle.pem, part)
        held = fingerprints(bundle.pem)
        fault = CertificateFault(
            "bundle-mismatch", "holds none of the mesh's roots: the API server refuses istiod"
        )
        for position, entry in enumerate(entries):
            if position == 0 and held and roots and not held & roots:
                yield dataclasses.replace(entry, verdict=FAIL, reasons=(fault, *entry.reasons))
            else:
                yield entry
