# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespace `sick` on the lab: a caller, a callee in two versions, a host at the gateway and one outside.

All of it is well when it has been built; a test plants one problem and takes it back.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import datetime
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.pods import is_ready
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import backend
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ...unit.support.arguments import validated
from ..waiting import until, until_gone

Obj = dict[str, Any]
Key = tuple[str, str, str, str]
PLACE, ISTIO = "sick", "istio-system"
HOST, OUTSIDE = "sick.example.com", "outside.example.org"
CALLEE = f"callee.{PLACE}.svc.cluster.local"
IMAGE = "lab.local/service:1"
NETWORKING, SECURITY = "networking.istio.io/v1", "security.istio.io/v1"
VERSIONS = {
    "EnvoyFilter": "networking.istio.io/v1alpha3",
    "AuthorizationPolicy": SECURITY,
    "PeerAuthentication": SECURITY,
    "RequestAuthentication": SECURITY,
    "Deployment": "apps/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    **dict.fromkeys(
        (
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ),
        "admissionregistration.k8s.io/v1",
    ),
    **dict.fromkeys(("DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "VirtualService"), NETWORKING),
}


def obj(kind: str, name: str, spec: Obj | None = None, place: str = PLACE, **rest: Any) -> Obj:
    metadata: Obj = {"name": name, **({"namespace": place} if place else {}), **rest.pop("metadata", {})}
    made: Obj = {"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata, **rest}
    return {**made, **({"spec": spec} if spec is not None else {})}


def deployment(name: str, app: str = "", version: str = "v1", *, env: Obj | None = None, **pod: Any) -> Obj:
    app = app or name
    labels = {"app": app, "version": version, **pod.pop("labels", {})}
    container = {
        "name": "service",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 3000}],
        "env": [{"name": key, "value": text} for key, text in {"SERVICE": app, **(env or {})}.items()],
        "readinessProbe": {"httpGet": {"path": "/health/readiness", "port": 3000}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "5m", "memory": "24Mi"}},
    }
    template = {
        "metadata": {"labels": labels, "annotations": pod.pop("annotations", {})},
        "spec": {
            "serviceAccountName": app,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            **pod,
        },
    }
    chosen = {"app": app, "version": version}
    spec = {"replicas": 1, "selector": {"matchLabels": chosen}, "template": template}
    return obj("Deployment", name, spec)


def service(name: str, **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "targetPort": 3000}]
    return obj("Service", name, {"selector": {"app": name}, "ports": ports, **spec})


def route(target: str = "callee", **destination: Any) -> Obj:
    return {"route": [{"destination": {"host": target, **destination}}]}


def allow(*accounts: str, **rule: Any) -> Obj:
    principals = [f"cluster.local/ns/{one.replace('/', '/sa/')}" for one in accounts]
    spec = {
        "selector": {"matchLabels": {"app": "callee"}},
        "action": "ALLOW",
        "rules": [{"from": [{"source": {"principals": principals}}], **rule}],
    }
    return obj("AuthorizationPolicy", "callee", spec)


def credential(hosts: tuple[str, ...] = (HOST,), days: int = 30) -> Obj:
    """A Secret with a certificate that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    data = {"tls.crt": made.public_bytes(serialization.Encoding.PEM), "tls.key": private}
    coded = {part: base64.b64encode(text).decode() for part, text in data.items()}
    return obj("Secret", "sick-cert", place=ISTIO, type="kubernetes.io/tls", data=coded)


def healthy(address: str) -> list[Obj]:
    """Everything, in the order in which it is written. :param address: of the service outside."""
    server = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": [HOST],
        "tls": {"mode": "SIMPLE", "credentialName": "sick-cert"},
    }
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    outside = {
        "hosts": [OUTSIDE],
        "location": "MESH_EXTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
        "endpoints": [{"address": address}],
    }
    return [
        obj("Namespace", PLACE, place="", metadata={"labels": {"istio-injection": "enabled"}}),
        *(obj("ServiceAccount", name) for name in ("caller", "callee")),
        service("caller"),
        service("callee"),
        deployment("caller"),
        deployment("callee-v1", "callee"),
        deployment("callee-v2", "callee", "v2"),
        obj("DestinationRule", "callee", {"host": "callee", "subsets": subsets}),
        obj(
            "VirtualService",
            "callee",
            {"hosts": ["callee"], "http": [{**route(subset="v1"), "timeout": "5s"}]},
        ),
        allow(f"{PLACE}/caller", f"{ISTIO}/istio-ingressgateway"),
        credential(),
        obj("Gateway", "sick", {"selector": {"istio": "ingressgateway"}, "servers": [server]}),
        obj("VirtualService", "sick", {"hosts": [HOST], "gateways": ["sick"], "http": [route(subset="v1")]}),
        obj("ServiceEntry", "outside", outside),
    ]


class Sick:
    """The namespace, and what is planted in it."""

    def __init__(self, client: KubeClient, kubeconfig: str, raw: Obj) -> None:
        self.client, self.kubeconfig, self.raw = client, kubeconfig, raw
        self.base: dict[tuple[str, str], Obj] = {}

    def build(self) -> None:
        """Writes it, and waits until its pods are ready."""
        echo = self.client.get("v1", "Service", "echo", "external")
        assert echo is not None
        for one in healthy(echo["spec"]["clusterIP"]):
            self.base[one["kind"], one["metadata"]["name"]] = one
            self.apply(one)
        until(lambda: len(self.ready_pods()) == 3, "three ready pods")

    def remove(self) -> None:
        """Takes all of it away."""
        self.client.delete("v1", "Secret", "sick-cert", ISTIO)
        self.client.delete("v1", "Namespace", PLACE)
        until_gone(self.client, PLACE)

    def apply(self, one: Obj) -> None:
        self.client.apply(one, field_manager="planted", force=True)

    def get(self, kind: str, name: str) -> Obj:
        """A copy of an object as it was built, to be changed."""
        return copy.deepcopy(self.base[kind, name])

    def changed(self, kind: str, name: str, **spec: Any) -> Obj:
        """An object with other fields in its specification."""
        one = self.get(kind, name)
        one["spec"].update(spec)
        return one

    def pods(self, app: str = "") -> list[Obj]:
        selector = f"app={app}" if app else None
        found = self.client.list("v1", "Pod", PLACE, label_selector=selector).items
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self) -> list[Obj]:
        return [pod for pod in self.pods() if is_ready(pod)]

    @contextlib.contextmanager
    def planted(self, *objects: Obj, gone: tuple[tuple[str, str], ...] = ()) -> Iterator[None]:
        """Objects written, and others taken away, until the end of the block.

        :param gone: (kind, name) of objects of the base.
        """
        try:
            for kind, name in gone:
                place = self.base[kind, name]["metadata"].get("namespace")
                self.client.delete(VERSIONS.get(kind, "v1"), kind, name, place)
            for one in objects:
                self.apply(one)
            yield
        finally:
            self._restore(objects, gone)

    def _restore(self, objects: tuple[Obj, ...], gone: tuple[tuple[str, str], ...]) -> None:
        for one in objects:
            key = one["kind"], one["metadata"]["name"]
            if key not in self.base:
                self.client.delete(one["apiVersion"], *key, one["metadata"].get("namespace"))
                continue
            self._again(key)
        for key in gone:
            self._again(key)

    def _again(self, key: tuple[str, str]) -> None:
        """The object of the base, without anything that was added to it."""
        base = self.base[key]
        place = base["metadata"].get("namespace")
        live = self.client.get(base["apiVersion"], *key, place)
        if live is None or base["kind"] in ("Namespace", "Service", "Deployment"):
            self.apply(base)
            return
        metadata = {**base["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
        self.client.replace({**base, "metadata": metadata})

    def call(self, number: int = 1, url: str = "http://callee/", header: str = "") -> None:
        """Sends requests from the caller, one after the other, whatever comes of them.

        :param header: ``NAME: VALUE``.
        """
        code = (
            "import ssl, sys, urllib.request\n"
            "name, _, value = sys.argv[3].partition(': ')\n"
            "for _ in range(int(sys.argv[2])):\n"
            "    asked = urllib.request.Request(sys.argv[1], headers={name: value} if name else {})\n"
            "    try: urllib.request.urlopen(asked, timeout=9, context=None).read()\n"
            "    except OSError: pass\n"
        )
        if not number:
            return
        pod = self.pods("caller")[0]["metadata"]["name"]
        command = ["python3", "-c", code, url, str(number), header]
        result = self.client.exec(PLACE, pod, "service", command, timeout=90)
        assert result.returncode == 0, result.stderr

    def istiods(self) -> list[Obj]:
        """The pods of istiod that are ready."""
        found = self.client.list("v1", "Pod", ISTIO, label_selector="app=istiod").items
        return [pod for pod in found if is_ready(pod)]

    @staticmethod
    def settle() -> None:
        """Proxies get a change, and Envoy writes its log (once in a second), within this time."""
        time.sleep(3)

    def diagnose(self, **symptom: str) -> Obj:
        """The result of the module."""
        given = {"catalogue": self.raw, "kubeconfig": self.kubeconfig, **symptom}
        checked = validated(backend.ARGUMENT_SPEC, given)
        return backend.run(checked, Context(environment={}))
