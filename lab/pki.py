"""Certificates, keys and kubeconfigs of a cluster, made anew at each start from nothing."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .cluster import Cluster

DAYS = 365
OPERATOR = ("servicemesh-operator", "servicemesh:operators")


class Authority:
    """A certificate authority that writes what it issues to one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("lab-ca")
        public = self.key.public_key()
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = (
            _builder(self.name, self.name, public)
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(usage, True)
        )
        certificate = builder.sign(self.key, hashes.SHA256())
        self.write("ca.crt", certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: str, common_name: str, organization: str = "", sans: Sequence[str] = ()) -> None:
        """FILE.crt and FILE.key for client and server use."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = _builder(_name(common_name, organization), self.name, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), False)
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName([_san(name) for name in sans]), False)
        certificate = builder.sign(self.key, hashes.SHA256())
        self.write(f"{file}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        self.write(f"{file}.key", _pem(key))

    def write(self, file: str, content: bytes) -> None:
        path = self.directory / file
        path.touch(mode=0o600)
        path.write_bytes(content)

    def kubeconfig(self, target: Path, file: str, cluster: Cluster) -> None:
        """A kubeconfig at `target` with the credentials FILE.crt and FILE.key (JSON is YAML too)."""

        def encoded(name: str) -> str:
            return base64.b64encode((self.directory / name).read_bytes()).decode()

        user, context = file, cluster.node
        body = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": context,
                    "cluster": {"server": cluster.server, "certificate-authority-data": encoded("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": encoded(f"{file}.crt"),
                        "client-key-data": encoded(f"{file}.key"),
                    },
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
            "current-context": context,
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode=0o600)
        target.write_text(json.dumps(body, indent=2) + "\n")


def write_credentials(cluster: Cluster) -> None:
    """Everything below `pki` and `kubeconfig` of the cluster's state directory."""
    directory = cluster.state / "pki"
    authority = Authority(directory)
    service = "kubernetes.default.svc"
    names = [
        "127.0.0.1",
        cluster.node_ip,
        cluster.api_service_ip,
        "localhost",
        "kubernetes",
        "kubernetes.default",
    ]
    authority.issue("apiserver", "kube-apiserver", sans=[*names, service, f"{service}.cluster.local"])
    authority.issue("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
    authority.issue(
        "node", f"system:node:{cluster.node}", "system:nodes", sans=[cluster.node, cluster.node_ip]
    )
    authority.issue("admin", "admin", "system:masters")
    authority.issue("operator", *OPERATOR)
    authority.issue("kcm", "system:kube-controller-manager")
    authority.issue("scheduler", "system:kube-scheduler")
    authority.issue("proxy", "system:kube-proxy")
    for component in ("kcm", "scheduler", "proxy", "node"):
        authority.kubeconfig(directory / f"{component}.kubeconfig", component, cluster)
    for user in ("admin", "operator"):
        authority.kubeconfig(cluster.kubeconfig(user), user, cluster)
    _service_account_key(authority)


def _service_account_key(authority: Authority) -> None:
    key = rsa.generate_private_key(65537, 2048)
    authority.write("sa.key", _pem(key))
    public = key.public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    authority.write("sa.pub", public.public_bytes(serialization.Encoding.PEM, spki))


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )


def _name(common_name: str, organization: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
