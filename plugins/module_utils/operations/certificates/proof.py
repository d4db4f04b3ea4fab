# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves which certificate the gateways serve, by handshakes from here, or by what their proxies hold.

An updated Secret proves nothing: istiod may not be allowed to read it, the proxy may refuse it, a Gateway may
not name it. A TLS handshake with the right server name against every pod does.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...documents.json_text import from_json
from ...errors import ApiError, MalformedError, WaitTimeout
from ...fields import mappings_at, text_at
from ...istio.proxy.admin import ADMIN_PORT, ask
from ...istio.proxy.handshake import trusting
from ...kube.clock import Clock, SystemClock
from ...kube.wait import wait_until
from ...model.certificates.credentials import Credential
from ...model.certificates.x509 import facts_of, read_chain
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .endpoints import ServingEndpoint

if TYPE_CHECKING:
    from ...kube.client import KubeClient

CONNECT_SECONDS = 3.0
# A new certificate is served within seconds; only then is a failing handshake worth a second opinion.
GRACE_SECONDS = 15.0
HANDSHAKE, PROXY_SECRET = "handshake", "proxy secret"
NOT_ASKED = "no proof was asked for"
NOBODY = "no running gateway pod is told by a Gateway to serve it"


@dataclasses.dataclass(frozen=True, slots=True)
class ServingProof:
    """``pass``, ``fail`` or ``cannot tell`` about one credential.

    :param method: ``handshake``, or ``proxy secret``: read in the pod, which is not reachable from here.
    :param evidence: what was seen, as a sentence. :param pods: number of pods that were looked at.
    """

    status: str
    method: str
    evidence: str
    pods: int = 0

    def as_result(self) -> dict[str, Any]:
        """The proof as a module returns it. :returns: ``status``, ``method``, ``evidence``, ``pods``."""
        return dataclasses.asdict(self)


def served_fingerprint(endpoint: ServingEndpoint, roots_pem: str) -> str:
    """SHA-256 of the leaf that ``endpoint`` presents to a client that trusts only ``roots_pem``.

    Without roots the client looks and trusts nothing: the fingerprint alone tells, and it tells more.

    :raises OSError: when no connection comes about. :raises ssl.SSLError: when the handshake fails, which
        includes a certificate that a client would refuse.
    """
    context = trusting(roots_pem)
    if not roots_pem:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((endpoint.address, endpoint.port), timeout=CONNECT_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=endpoint.server_name) as secure,
    ):
        presented = secure.getpeercert(binary_form=True)
    return hashlib.sha256(presented or b"").hexdigest()


def look(
    client: KubeClient,
    credential: Credential,
    endpoints: Sequence[ServingEndpoint],
    *,
    fingerprint: str,
    roots_pem: str,
) -> ServingProof:
    """One look at all ``endpoints``. Pods that cannot be reached from here are asked from inside."""
    seen = client.in_parallel(lambda endpoint: _handshake(endpoint, fingerprint, roots_pem), endpoints)
    pods = {endpoint.pod for endpoint in endpoints}
    wrong = [text for state, text in seen if state == "wrong"]
    if wrong:
        return ServingProof("fail", HANDSHAKE, wrong[0], len(pods))
    far = sorted(
        {endpoint.pod for endpoint, (state, _text) in zip(endpoints, seen, strict=True) if state == "far"}
    )
    if not far:
        evidence = f"{len(endpoints)} handshakes present {fingerprint[:16]}"
        return ServingProof("pass", HANDSHAKE, evidence, len(pods))
    return _ask_proxies(client, credential, far, fingerprint, len(pods))


def _handshake(endpoint: ServingEndpoint, fingerprint: str, roots_pem: str) -> tuple[str, str]:
    where = f"pod {endpoint.pod}:{endpoint.port} for {endpoint.server_name}"
    # Of several credentials the client's ciphers choose one: only the proxy knows that it holds the others.
    other = "far" if endpoint.one_of_several else "wrong"
    try:
        served = served_fingerprint(endpoint, roots_pem)
    except ssl.SSLCertVerificationError as error:
        return other, f"{where} presents a certificate that clients refuse: {error.verify_message}"
    except (ConnectionRefusedError, ConnectionResetError, ssl.SSLError) as error:
        return "wrong", f"{where} completes no handshake: {error.strerror or type(error).__name__}"
    except OSError as error:
        return "far", f"{where} is not reachable from here: {error}"
    if served != fingerprint:
        return other, f"{where} presents {served[:16]}, expected {fingerprint[:16]}"
    return "right", ""


def _ask_proxies(
    client: KubeClient, credential: Credential, pods: Sequence[str], fingerprint: str, total: int
) -> ServingProof:
    for pod in pods:
        try:
            held = _held_fingerprint(client, credential, pod)
        except (ApiError, WaitTimeout) as error:
            evidence = f"pod {pod} is not reachable from here, and its proxy cannot be asked: {error.message}"
            return ServingProof(CANNOT_TELL, PROXY_SECRET, evidence, total)
        if held != fingerprint:
            text = f"holds {held[:16]}, expected {fingerprint[:16]}" if held else "does not hold it"
            text += _why_not(client, credential, pod)
            return ServingProof("fail", PROXY_SECRET, f"the proxy of pod {pod} {text}", total)
    evidence = f"the proxies of {len(pods)} pods hold {fingerprint[:16]}"
    return ServingProof("pass", PROXY_SECRET, evidence, total)


def _why_not(client: KubeClient, credential: Credential, pod: str) -> str:
    """What a proxy says of its connection to istiod, as the end of a sentence; ``""`` when it says nothing.

    Its agent hands one stream of istiod on to it (cluster ``xds-grpc``), and ends that when istiod is gone.
    """
    path = "/stats?filter=xds-grpc.*streams_active"
    try:
        text = ask(client, credential.namespace, pod, ADMIN_PORT, path, "no figures")
    except (ApiError, WaitTimeout):
        return ""
    lines = text.splitlines()
    streams = [line.rpartition(":")[2].strip() for line in lines if "streams_active" in line]
    if streams and not any(count != "0" for count in streams):
        return ", and has no connection to istiod"
    return ", and is connected to istiod: it did not take what it was sent" if streams else ""


def _held_fingerprint(client: KubeClient, credential: Credential, pod: str) -> str:
    path = "/config_dump?resource=dynamic_active_secrets"
    dump = ask(client, credential.namespace, pod, ADMIN_PORT, path, "no dump of its secrets")
    return fingerprint_in_dump(dump, credential.name)


def fingerprint_in_dump(dump: str, name: str) -> str:
    """Fingerprint of the leaf that an Envoy secrets dump holds for credential ``name``; ``""`` when none.

    Envoy redacts private keys in this dump, certificates are whole.
    """
    try:
        for entry in mappings_at(from_json(dump), "configs"):
            # kubernetes://NAME, for gateways that name another namespace kubernetes://NAMESPACE/NAME
            if text_at(entry, "name").removeprefix("kubernetes://").rpartition("/")[2] != name:
                continue
            chain = text_at(entry, "secret", "tls_certificate", "certificate_chain", "inline_bytes")
            return facts_of(read_chain(base64.b64decode(chain))[0]).fingerprint
    except (MalformedError, ValueError):  # no JSON, no base64, no certificate, or of another shape
        return ""
    return ""


def settle(
    client: KubeClient,
    credential: Credential,
    endpoints: Sequence[ServingEndpoint],
    seen: ServingProof,
    *,
    fingerprint: str,
) -> ServingProof:
    """A second opinion about failed handshakes: pod addresses may mean other machines where we are.

    A proxy fetches a credential only for a listener that names it. One that holds the right certificate while
    a handshake from here sees another leaves the question open; one that does not hold it settles it.
    """
    pods = sorted({endpoint.pod for endpoint in endpoints})
    inside = _ask_proxies(client, credential, pods, fingerprint, len(pods))
    if inside.status == CANNOT_TELL:
        return seen
    if inside.status == "fail":
        return inside
    return ServingProof(CANNOT_TELL, HANDSHAKE, f"{inside.evidence}, but {seen.evidence}", len(pods))


def among_the_ready(
    endpoints: Sequence[ServingEndpoint],
    seen: ServingProof,
    look_at: Callable[[Sequence[ServingEndpoint]], ServingProof],
) -> ServingProof:
    """What counts of a failure where some pods are not ready: no Service sends anybody to those.

    A pod that never starts would else keep all others from their certificate, until that has ended.

    :param seen: of all of them. :param look_at: looks at those that are ready.
    """
    ready = [endpoint for endpoint in endpoints if endpoint.ready]
    late = sorted({endpoint.pod for endpoint in endpoints if not endpoint.ready})
    if seen.status != FAIL or not ready or not late:
        return seen
    served = look_at(ready)
    if served.status != PASS:
        return seen
    text = f"{served.evidence}, but not ready: {', '.join(late)}; {seen.evidence}"
    return ServingProof(CANNOT_TELL, served.method, text, seen.pods)


def prove(
    client: KubeClient,
    credential: Credential,
    read_endpoints: Callable[[], Sequence[ServingEndpoint]],
    *,
    awaited: Callable[[], bool] = lambda: False,
    fingerprint: str,
    roots_pem: str,
    timeout: float,
    good: int = 1,
    stop: Callable[[], bool] | None = None,
    clock: Clock | None = None,
) -> ServingProof:
    """Waits until every gateway pod serves ``fingerprint``; the endpoints are read again for every look.

    :param awaited: whether pods are on their way, asked when there is none.
    :param good: how many good looks in a row are wanted. A pod that starts, or one that takes the old pair up
        again, is seen by the second one.
    """
    row = 0
    endpoints: Sequence[ServingEndpoint] = ()
    seen = ServingProof(CANNOT_TELL, HANDSHAKE, NOBODY)
    clock = clock or SystemClock()
    patience = clock.monotonic() + min(GRACE_SECONDS, timeout)

    def look_at(some: Sequence[ServingEndpoint]) -> ServingProof:
        return look(client, credential, some, fingerprint=fingerprint, roots_pem=roots_pem)

    def check() -> tuple[bool, str]:
        nonlocal seen, row, endpoints
        endpoints = read_endpoints()
        if not endpoints:
            # What was seen of pods that are gone says nothing of those that come.
            row, seen = 0, ServingProof(CANNOT_TELL, HANDSHAKE, NOBODY)
            return not awaited(), seen.evidence
        seen = look_at(endpoints)
        if seen.status == "fail" and clock.monotonic() >= patience:
            seen = settle(client, credential, endpoints, seen, fingerprint=fingerprint)
        row = row + 1 if seen.status == "pass" else 0
        return seen.status == CANNOT_TELL or row >= good, seen.evidence

    try:
        wait_until(check, awaited=f"{credential} to be served", timeout=timeout, stop=stop, clock=clock)
    except WaitTimeout:
        return among_the_ready(endpoints, seen, look_at)
    return seen
