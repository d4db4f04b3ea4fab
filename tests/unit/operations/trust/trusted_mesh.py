# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh in memory whose certificates are all well, and from which single things can be made wrong."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.trust import backend
from cryptography.x509.oid import ExtendedKeyUsageOID

from ...support.arguments import validated
from ...support.certificates import DAY, NOW, certificate, ec_key, key_pem, pem
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching

HOME, SHOP = "istio-system", "shop"
HOST = "api.example.com"


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def secret(namespace: str, name: str, kind: str = "Opaque", /, **data: bytes) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"namespace": namespace, "name": name},
        "data": {key.replace("__", "-").replace("_", "."): b64(value) for key, value in data.items()},
    }


def pod(
    namespace: str, name: str, account: str, labels: dict[str, str], ip: str = "", **more: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {
            "serviceAccountName": account,
            "containers": [
                {"name": "istio-proxy", "image": "proxyv2:1.31.1", "args": ["proxy", "router"], **more}
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "istio-proxy", "ready": True, "state": {"running": {}}}],
        },
    }


class TrustedMesh:
    """Everything has half of its life before it; ``run`` looks at it at noon of NOW."""

    def __init__(self) -> None:
        self.root_key, self.middle_key, self.leaf_key = ec_key(), ec_key(), ec_key()
        ends = NOW + 3650 * DAY
        self.root = certificate("root", self.root_key, ca=True, end=ends)
        self.middle = certificate(
            "middle", self.middle_key, issuer=("root", self.root_key), ca=True, end=NOW + 365 * DAY
        )
        self.leaf = self.leaf_of(HOST)
        self.client = certificate(
            "client", ec_key(), issuer=("root", self.root_key), usage=ExtendedKeyUsageOID.CLIENT_AUTH
        )
        self.cluster = FakeCluster()
        self.cluster.clock = NOW
        self.cluster.on_ask = lambda namespace, pod, _port, _path: self.certs[f"{namespace}/{pod}"]
        self.clock = FakeClock()
        self.clock.time = NOW.timestamp()
        self.certs: dict[str, str] = {}
        self._put_secrets()
        self._put_objects()
        for name in ("web-1", "web-2"):
            self.proxy(SHOP, name, "web")

    def leaf_of(self, *hosts: str, **more: Any) -> Any:
        options = {"issuer": ("middle", self.middle_key), "hosts": hosts, **more}
        return certificate("leaf", self.leaf_key, **options)

    def pair(self, *chain: Any, key: Any = None) -> dict[str, bytes]:
        return {"tls_crt": pem(*chain), "tls_key": key_pem(key or self.leaf_key)}

    def _put_secrets(self) -> None:
        put = self.cluster.put
        put(
            secret(
                HOME, "api", "kubernetes.io/tls", **self.pair(self.leaf, self.middle), ca_crt=pem(self.root)
            )
        )
        put(
            secret(
                "servicemesh-system",
                "servicemesh-ca",
                "kubernetes.io/tls",
                **self.pair(self.root, key=self.root_key),
            )
        )
        put(
            secret(
                HOME,
                "cacerts",
                **{
                    "ca-cert_pem": pem(self.middle),
                    "ca-key_pem": key_pem(self.middle_key),
                    "cert-chain_pem": pem(self.middle),
                    "root-cert_pem": pem(self.root),
                },
            )
        )
        remote = {
            "clusters": [{"name": "b", "cluster": {"certificate-authority-data": b64(pem(self.root))}}],
            "users": [{"name": "b", "user": {"client-certificate-data": b64(pem(self.client))}}],
        }
        made = put(secret(HOME, "remote-b", b=json.dumps(remote).encode()))
        made["metadata"]["labels"] = {"istio/multiCluster": "true"}
        put(secret(SHOP, "partner", **{"ca_crt": pem(self.root)}))

    def _put_objects(self) -> None:
        put = self.cluster.put
        put(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "Gateway",
                "metadata": {"namespace": SHOP, "name": "public"},
                "spec": {
                    "selector": {"istio": "ingressgateway"},
                    "servers": [
                        {
                            "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                            "hosts": [f"shop/{HOST}"],
                            "tls": {"mode": "MUTUAL", "credentialName": "api"},
                        }
                    ],
                },
            }
        )
        put(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "DestinationRule",
                "metadata": {"namespace": SHOP, "name": "partner"},
                "spec": {
                    "host": "p.example.org",
                    "trafficPolicy": {"tls": {"mode": "SIMPLE", "credentialName": "partner"}},
                },
            }
        )
        for namespace in (HOME, SHOP):
            put(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"namespace": namespace, "name": "istio-ca-root-cert"},
                    "data": {"root-cert.pem": pem(self.root).decode()},
                }
            )
        self.webhook("MutatingWebhookConfiguration", pem(self.root))
        self.webhook("ValidatingWebhookConfiguration", pem(self.root))
        put(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"namespace": "kube-node-lease", "name": "n1"},
                "spec": {"renewTime": "2026-11-23T11:59:55.000000Z"},
            }
        )
        self.proxy(HOME, "ingress-1", "ingress", labels={"istio": "ingressgateway"})

    def webhook(self, kind: str, bundle: bytes) -> None:
        self.cluster.put(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": kind,
                "metadata": {"name": "istio"},
                "webhooks": [
                    {
                        "name": "a.istio.io",
                        "clientConfig": {
                            "service": {"namespace": HOME, "name": "istiod"},
                            "caBundle": b64(bundle),
                        },
                    }
                ],
            }
        )

    def proxy(
        self, namespace: str, name: str, account: str, *, labels: dict[str, str] | None = None, **more: Any
    ) -> None:
        self.cluster.put(pod(namespace, name, account, labels or {"app": account}))
        self.certs[f"{namespace}/{name}"] = self.certs_of(namespace, account, **more)

    def certs_of(
        self,
        namespace: str,
        account: str,
        *,
        begin: datetime.datetime = NOW - DAY / 2,
        end: datetime.datetime = NOW + DAY / 2,
        root: Any = None,
    ) -> str:
        """The answer of ``/certs``."""
        told = "%Y-%m-%dT%H:%M:%SZ"
        dates = {"valid_from": begin.strftime(told), "expiration_time": end.strftime(told)}
        trusted = root or self.root
        return json.dumps(
            {
                "certificates": [
                    {
                        "cert_chain": [
                            {
                                "subject_alt_names": [
                                    {"uri": f"spiffe://cluster.local/ns/{namespace}/sa/{account}"}
                                ],
                                **dates,
                            }
                        ],
                        "ca_cert": [
                            {
                                "serial_number": f"{trusted.serial_number:x}",
                                "valid_from": "2026-01-01T00:00:00Z",
                                "expiration_time": "2036-01-01T00:00:00Z",
                            }
                        ],
                    }
                ]
            }
        )

    def change(self, kind: str, name: str, namespace: str, change: Callable[[dict[str, Any]], Any]) -> None:
        found = self.cluster.find(kind, name, namespace)
        assert found is not None
        change(found)

    def data(self, name: str, namespace: str = HOME, /, **values: bytes) -> None:
        """Give a Secret other data under some keys; empty takes one away."""
        for key, value in values.items():
            plain = key.replace("__", "-").replace("_", ".")
            self.change(
                "Secret", name, namespace, lambda found, k=plain, v=value: found["data"].update({k: b64(v)})
            )

    def run(self, **params: Any) -> dict[str, Any]:
        given = {"mesh": "shop", "host": "https://api.example", "fail_on": [], **params}
        checked = validated(backend.ARGUMENT_SPEC, given)
        context = Context(connect=reaching(self.cluster), clock=self.clock)
        return backend.run(checked, context)
