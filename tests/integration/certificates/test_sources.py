"""Certificates of a company's CA, of cert-manager and of clients, on a real gateway.

The company is openssl. cert-manager is not installed on the lab: instead there is a definition of its
Certificate as documented, as small as it can be, and a stand-in for its controller that does what
cert-manager documents of one issuance.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.issue import (
    new_request,
)

from .company import Company, openssl
from .conftest import HOME

PORT = 8443


@pytest.fixture
def gateway(client) -> str:
    """Address of a gateway pod."""
    pods = client.list("v1", "Pod", HOME, label_selector="istio=ingressgateway").items
    return str(pods[0]["status"]["podIP"])


def shown(address: str, host: str, ca: str, certificate: str = "") -> str:
    """What openssl's client says of a handshake and one request."""
    context = ssl.create_default_context(cadata=ca)
    if certificate:
        context.load_cert_chain(certificate)
    with (
        socket.create_connection((address, PORT), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=host) as secure,
    ):
        secure.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return secure.recv(100).decode().split("\r\n")[0]


def test_a_company_s_ca_answers_a_request(edge, gateway, tmp_path: Path) -> None:
    edge.expose()
    company = Company(tmp_path, "company")
    entry: dict[str, Any] = {"name": edge.name, "subject": f"CN={edge.host},O=Example"}
    foreseen = edge.run(check_mode=True, requested=[entry])
    done = edge.run(requested=[entry])
    assert (done["outcome"], done["status"], done["objects"]) == ("due", "cannot tell", foreseen["objects"])
    request = done["certificates"][0]["request"]
    path = tmp_path / "seen.csr"
    path.write_text(request)
    text = openssl("req", "-in", path, "-verify", "-noout", "-text")
    assert f"DNS:{edge.host}" in text
    assert edge.run(requested=[entry])["certificates"][0]["request"] == request
    leaf = company.answer(request)
    entry |= {"ca": company.root, "certificate": company.root + company.issuing + leaf}
    answered = edge.run(requested=[entry], overlap=0)
    assert (answered["status"], answered["outcome"]) == ("pass", "renewed"), answered["reason"]
    assert answered["certificates"][0]["proof"]["method"] == "handshake"
    assert shown(gateway, edge.host, company.root).startswith("HTTP/1.1")
    assert edge.secret(f"{edge.name}-request") is None
    assert edge.run(requested=[entry])["changed"] is False
    with pytest.raises(InputError, match="answers no request: none waits"):
        foreign = new_request([edge.host], "", "ecdsa").chain.decode()
        edge.run(requested=[{**entry, "certificate": company.answer(foreign, "foreign")}])
    told = json.dumps([foreseen, done, answered]) + "".join(edge.lines)
    key = base64.b64decode(edge.secret()["data"]["tls.key"]).decode()
    assert all(line not in told for line in key.splitlines()[1:-1])


def test_clients_of_a_mutual_gateway_while_their_ca_is_replaced(edge, gateway, tmp_path: Path) -> None:
    """Good clients get through at every moment, strangers never."""
    old, new, wrong = (Company(tmp_path, name) for name in ("old", "new", "wrong"))
    people = {company.name: company.client(f"client-{company.name}") for company in (old, new, wrong)}
    edge.expose(mode="MUTUAL")
    params: dict[str, Any] = {"client_cas": [{"name": edge.name, "ca": old.root}], "overlap": 0}
    done = edge.run(**params)
    assert done["status"] == "pass", done["reason"]
    ca = done["ca"]["certificate"]

    def let_in() -> set[str]:
        found = set()
        for name, certificate in {**people, "": ""}.items():
            with contextlib.suppress(OSError):
                if shown(gateway, edge.host, ca, certificate):
                    found.add(name)
        return found

    assert let_in() == {"old"}
    params["client_cas"] = [{"name": edge.name, "ca": new.root}]
    both = edge.run(**params, client_ca_overlap=3600)
    assert both["status"] == "pass", both["reason"]
    assert let_in() == {"old", "new"}
    assert edge.run(**params, client_ca_overlap=3600, force=[edge.name])["status"] == "pass"
    assert let_in() == {"old", "new"}, "the pair is rotated and its clients stay known"
    assert edge.run(**params, client_ca_overlap=3600)["changed"] is False
    edge.client.patch(
        "v1",
        "Secret",
        f"{edge.name}-cacert",
        HOME,
        {"metadata": {"annotations": {"servicemesh.istio/retire-at": "2020-01-01T00:00:00Z"}}},
    )
    after = edge.run(**params, client_ca_overlap=3600)
    assert (after["status"], after["changed"]) == ("pass", True), after["reason"]
    assert let_in() == {"new"}
    assert edge.run(**params)["changed"] is False


@pytest.mark.long
def test_a_mutual_gateway_without_a_ca_is_a_fail_and_one_beside_the_key_counts(edge, gateway) -> None:
    edge.expose(mode="MUTUAL")
    done = edge.run(authority_beside_key=True)
    assert done["status"] == "pass", done["reason"]
    assert done["certificates"][0]["clients"]["proof"]["status"] == "pass"


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "certificates.cert-manager.io"},
    "spec": {
        "group": "cert-manager.io",
        "names": {"kind": "Certificate", "listKind": "CertificateList", "plural": "certificates"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            part: {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                            for part in ("spec", "status")
                        },
                    }
                },
            }
        ],
    },
}


class CertManager:
    """One issuance as documented: key, Secret by one write, revision, and the condition Issuing goes."""

    def __init__(self, client, edge, company: Company) -> None:
        self.client, self.edge, self.company = client, edge, company
        self.refuses = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> CertManager:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def certificate(self) -> dict[str, Any]:
        found = self.client.get("cert-manager.io/v1", "Certificate", self.edge.name, HOME)
        assert found is not None
        return found

    def set_status(self, **status: Any) -> None:
        self.client.patch(
            "cert-manager.io/v1",
            "Certificate",
            self.edge.name,
            HOME,
            {"status": status},
            subresource="status",
            field_manager="cert-manager",
        )

    def _work(self) -> None:
        while not self._stop.wait(0.2):
            certificate = self.certificate()
            conditions = certificate.get("status", {}).get("conditions", [])
            issuing = [one for one in conditions if one["type"] == "Issuing" and one["status"] == "True"]
            if issuing and self.refuses:
                refused = {"type": "Issuing", "status": "False", "reason": "Failed", "message": "no"}
                self.set_status(conditions=[refused])
            elif issuing:
                self._issue(certificate)

    def _issue(self, certificate: dict[str, Any]) -> None:
        pair = new_request([self.edge.host], "", "ecdsa")
        leaf = self.company.answer(pair.chain.decode())
        data = {
            "tls.crt": leaf + self.company.issuing,
            "tls.key": pair.key.decode(),
            "ca.crt": self.company.root,
        }
        metadata = {
            "name": self.edge.name,
            "namespace": HOME,
            "annotations": {"cert-manager.io/certificate-name": self.edge.name},
            "labels": {"controller.cert-manager.io/fao": "true"},
        }
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": metadata,
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        }
        self.client.apply(secret, force=True)
        now = datetime.datetime.now(datetime.UTC)
        ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "up to date"}
        revision = certificate.get("status", {}).get("revision", 0) + 1
        renewal = (now + datetime.timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.set_status(conditions=[ready], revision=revision, renewalTime=renewal)


@pytest.fixture
def cert_manager(edge, kubeconfig, tmp_path: Path) -> Iterator[CertManager]:
    with connect(ConnectionOptions.from_params({"kubeconfig": kubeconfig}, {})) as client:
        client.apply(DEFINITION)
        spec = {
            "secretName": edge.name,
            "dnsNames": [edge.host],
            "issuerRef": {"name": "company"},
            "privateKey": {"rotationPolicy": "Always"},
        }
        certificate = {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {"name": edge.name, "namespace": HOME},
            "spec": spec,
        }
        for _try in range(40):
            client.refresh_discovery()
            with contextlib.suppress(Exception):
                client.apply(certificate)
                break
            time.sleep(0.5)
        with CertManager(client, edge, Company(tmp_path, "company")) as controller:
            yield controller
        client.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "certificates.cert-manager.io")


def test_cert_manager_is_told_to_renew_waited_for_and_proved(
    edge, gateway, cert_manager: CertManager
) -> None:
    edge.expose()
    cert_manager.set_status(conditions=[{"type": "Issuing", "status": "True", "reason": "DoesNotExist"}])
    first = edge.run(cert_manager=[edge.name])
    assert first["status"] == "pass", first["reason"]
    versions = []
    for _run in range(2):
        versions.append(edge.secret()["metadata"]["resourceVersion"])
        assert edge.run(cert_manager=[edge.name])["changed"] is False
    assert versions[0] == versions[1]
    renewed = edge.run(cert_manager=[edge.name], force=[edge.name])
    assert (renewed["status"], renewed["outcome"]) == ("pass", "renewed")
    assert cert_manager.certificate()["status"]["revision"] == 2
    assert shown(gateway, edge.host, cert_manager.company.root).startswith("HTTP/1.1")
    served = renewed["certificates"][0]["fingerprint_sha256"]
    cert_manager.refuses = True
    with pytest.raises(MeshError, match="was not issued: Issuing is False: no") as caught:
        edge.run(cert_manager=[edge.name], force=[edge.name])
    assert caught.value.details["certificates"][0]["fingerprint_sha256"] == served
    cert_manager.refuses = False
    revoked = edge.run(cert_manager=[edge.name], revoke=[edge.name])
    assert "no Secret of istio-system holds the old one" in revoked["certificates"][0]["proof"]["evidence"]


@pytest.mark.long
def test_a_hundred_hosts_on_one_credential_of_an_rsa_intermediate(edge, gateway, tmp_path: Path) -> None:
    """A CA of one's own, RSA, that is an intermediate: put into its Secret before the first run."""
    company = Company(tmp_path, "company")
    edge.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": edge.name}})
    data = {"tls.crt": company.issuing + company.root, "tls.key": company.key("issuing")}
    edge.client.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {
                "name": "servicemesh-ca",
                "namespace": edge.name,
                "labels": {"app.kubernetes.io/managed-by": "servicemesh.istio"},
            },
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        }
    )
    hosts = [f"h{number}.{edge.host}" for number in range(100)]
    edge.expose(*hosts)
    for key_type in ("ecdsa", "rsa"):
        done = edge.run(hosts=hosts, key_type=key_type, overlap=0)
        assert (done["status"], done["changed"]) == ("pass", True), done["reason"]
        assert "100 handshakes" in done["certificates"][0]["proof"]["evidence"]
        assert shown(gateway, hosts[99], company.root).startswith("HTTP/1.1")
        assert edge.run(hosts=hosts, key_type=key_type)["changed"] is False


@pytest.mark.long
@pytest.mark.parametrize(
    "kind",
    [
        ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
        ("-algorithm", "ED25519"),
    ],
    ids=["rsa", "p-384", "ed25519"],
)
def test_a_gateway_serves_every_kind_of_key_that_is_taken(
    edge, gateway, tmp_path: Path, kind: tuple[str, ...]
) -> None:
    edge.expose()
    company = Company(tmp_path, "company")
    key = company.make_key("leaf", *kind)
    request = tmp_path / "leaf.csr"
    names = f"subjectAltName=DNS:{edge.host}"
    told = ("-subj", "/CN=x", "-addext", names, "-out", request)
    openssl("req", "-new", "-key", company.path("leaf.key"), *told)
    chain = company.answer(request.read_text()) + company.issuing
    provided = [{"name": edge.name, "certificate": chain, "private_key": key, "ca": company.root}]
    done = edge.run(provided=provided)
    assert done["status"] == "pass", done["reason"]
    assert done["certificates"][0]["proof"]["method"] == "handshake"
    assert shown(gateway, edge.host, company.root).startswith("HTTP/1.1")
