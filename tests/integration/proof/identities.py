"""Whoever one likes: client certificates signed by the key of the lab's istiod, and tokens by one of ours."""

from __future__ import annotations

import base64
import datetime
import functools
import json
import ssl
import threading
import time
from pathlib import Path
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

HTTP_ALPN, TCP_ALPN = "istio-http/1.1", "istio"
"""What a sidecar offers for requests and for streams (istio pkg/model/proxy_config and alpn filter)."""


class Identities:
    """TLS contexts by identity (``domain/ns/namespace/sa/account``) and what is offered as ALPN."""

    def __init__(self, client: KubeClient, directory: Path) -> None:
        secret = client.get("v1", "Secret", "istio-ca-secret", "istio-system")
        assert secret is not None, "the lab's istiod signs with a key of its own"
        data = {name: base64.b64decode(value) for name, value in secret["data"].items()}
        self._authority = x509.load_pem_x509_certificate(data["ca-cert.pem"])
        self._signer: Any = serialization.load_pem_private_key(data["ca-key.pem"], None)
        self._directory = directory
        self._lock = threading.Lock()
        self._known = functools.cache(self._context)

    def context(self, principal: str, alpn: str) -> ssl.SSLContext:
        """What a client with this identity connects with; made once, whoever asks first."""
        with self._lock:
            return self._known(principal, alpn)

    def _context(self, principal: str, alpn: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{principal}")])
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=2))
            .not_valid_after(now + datetime.timedelta(hours=2))
            .add_extension(names, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._signer, hashes.SHA256())
        )
        encoding = serialization.Encoding.PEM
        text = made.public_bytes(encoding) + key.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self._directory / f"{principal.replace('/', '+')}.{alpn.replace('/', '+')}.pem"
        file.write_bytes(text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(file)
        context.set_alpn_protocols([alpn])
        return context


class Tokens:
    """Signs tokens, and says by which key they are known."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)

    @property
    def key_set(self) -> str:
        """A JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "proof"}
        return json.dumps({"keys": [{**key, "n": _number(numbers.n), "e": _number(numbers.e)}]})

    def token(self, claims: dict[str, Any]) -> str:
        """A token with ``claims`` that is valid for an hour."""
        head = {"alg": "RS256", "kid": "proof", "typ": "JWT"}
        body = {**claims, "iat": int(time.time()) - 10, "exp": int(time.time()) + 3600}
        signed = ".".join(_text(json.dumps(part).encode()) for part in (head, body))
        return f"{signed}.{_text(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))
