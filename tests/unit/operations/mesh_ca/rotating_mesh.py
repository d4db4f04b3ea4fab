# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh in memory that behaves as istiod, kubelet and proxies do when its CA changes.

istiod takes a change of ``cacerts`` over by the rules of pilot/pkg/bootstrap/istio_ca.go, or when it is
started again; proxies hold what they got when they were started, or when they renewed. After every request it
is asked whether all proxies accept each other (`trusting`), with another verifier than the code under test.
"""

from __future__ import annotations

import base64
import datetime
import itertools
import json
from collections.abc import Callable
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca import backend
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ...support.arguments import validated
from ...support.certificates import DAY, LEAF_KEY, NOW, certificate, ec_key, key_pem, name, pem
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching
from ...support.mortal import Mortal

HOME, SHOP, SAFE = "istio-system", "shop", "servicemesh-system"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
ROOT_ENDS, CHAIN_ENDS = (
    "citadel_server_root_cert_expiry_timestamp",
    "citadel_server_cert_chain_expiry_timestamp",
)
Obj = dict[str, Any]


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def plain(secret: Obj, key: str) -> bytes:
    return base64.b64decode(secret["data"].get(key, ""))


class Signing:
    """What an istiod works with: signer, chain, roots; PEM but for the key."""

    def __init__(self, secret: Obj) -> None:
        self.tls = "tls.crt" in secret["data"]
        names = (
            ("tls.crt", "tls.key", "tls.crt", "ca.crt")
            if self.tls
            else ("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem")
        )
        self.certificate, self.key, self.chain, self.roots = (plain(secret, name) for name in names)
        self.roots = self.roots or self.certificate

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signing) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.certificate + self.roots)

    @property
    def signer(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate)

    @property
    def trusted(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.roots)


class RotatingMesh:
    """``run`` is one run of the module. :param multiroot: ISTIO_MULTIROOT_MESH. :param live: PCDS, too."""

    def __init__(self, *, plugged: bool = False, multiroot: bool = False, live: bool = False) -> None:
        self.cluster = Mortal(
            *({"kind": "Namespace", "metadata": {"name": one}} for one in (HOME, SHOP, SAFE))
        )
        self.cluster.clock = NOW
        self.clock = FakeClock()
        self.clock.time = NOW.timestamp()
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.multiroot, self.live = multiroot, live
        self.broken: list[str] = []
        self.restarts: list[str] = []
        self.on_restart: Callable[[], None] = lambda: None
        self.silent: set[str] = set()
        self.numbers = itertools.count(1)
        self.held: dict[tuple[str, str], tuple[list[x509.Certificate], list[x509.Certificate]]] = {}
        self.root_key = ec_key()
        self.root = certificate("O=cluster.local", self.root_key, ca=True, end=NOW + 3000 * DAY)
        old = {"ca-cert.pem": pem(self.root), "ca-key.pem": key_pem(self.root_key)}
        if plugged:
            old |= {"cert-chain.pem": pem(self.root), "root-cert.pem": pem(self.root)}
        name = "cacerts" if plugged else "istio-ca-secret"
        self.secret(name, **old)
        self.cluster.on_ask = self._asked
        self.cluster.create = self._created  # a webhook that answers
        self._istiod()
        self.signing = self.mounted()
        self._publish()
        for workload in ("web", "api"):
            self.workload(workload)
        self.cluster.writes.clear()
        self.cluster.each = self._tick

    # The world.
    def secret(self, title: str, **data: bytes) -> Obj:
        return self.cluster.put(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "Opaque",
                "metadata": {"name": title, "namespace": HOME, "uid": f"uid-{title}"},
                "data": {key: b64(value) for key, value in data.items()},
            }
        )

    def mounted(self) -> Signing:
        found = self.cluster.find("Secret", "cacerts", HOME)
        if found is None:
            found = self.cluster.find("Secret", "istio-ca-secret", HOME)
        assert found is not None, "istiod makes itself a new root: every proxy is lost"
        return Signing(found)

    def _istiod(self) -> None:
        environment = [{"name": "ISTIO_MULTIROOT_MESH", "value": str(self.multiroot).lower()}]
        spec = {
            "containers": [{"name": "discovery", "image": "pilot:1.31.0", "env": environment}],
            "volumes": [{"name": "cacerts", "secret": {"secretName": "cacerts", "optional": True}}],
        }
        self._deployment(HOME, "istiod", {"app": "istiod", "istio.io/rev": "default"}, spec)
        self._pod(HOME, "istiod", {"app": "istiod", "istio.io/rev": "default"}, spec, {})
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
            service = {"name": "istiod", "namespace": HOME}
            self.cluster.put(
                {
                    "apiVersion": "admissionregistration.k8s.io/v1",
                    "kind": kind,
                    "metadata": {"name": "istio"},
                    "webhooks": [
                        {"name": "a.istio.io", "clientConfig": {"service": service, "caBundle": ""}}
                    ],
                }
            )

    def workload(self, name: str) -> None:
        environment = [
            {"name": "CA_ADDR", "value": f"istiod.{HOME}.svc:15012"},
            {"name": "PROXY_CONFIG_XDS_AGENT", "value": str(self.live).lower()},
        ]
        spec = {"containers": [{"name": "istio-proxy", "image": "proxyv2:1.31.0", "env": environment}]}
        self._deployment(SHOP, name, {"app": name}, spec)
        self._pod(SHOP, name, {"app": name}, spec, {})

    def _deployment(self, namespace: str, name: str, labels: dict[str, str], spec: Obj) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        self.cluster.put(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": namespace, "labels": labels, "generation": 1},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": labels},
                    "strategy": strategy,
                    "template": {"metadata": {"labels": labels, "annotations": {}}, "spec": spec},
                },
                "status": {
                    "observedGeneration": 10**9,
                    "replicas": 1,
                    "updatedReplicas": 1,
                    "readyReplicas": 1,
                    "availableReplicas": 1,
                },
            }
        )
        self.cluster.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{name}-7f",
                    "namespace": namespace,
                    "ownerReferences": [{"kind": "Deployment", "name": name, "controller": True}],
                },
            }
        )

    def _pod(
        self, namespace: str, name: str, labels: dict[str, str], spec: Obj, annotations: dict[str, str]
    ) -> None:
        full = f"{name}-7f-{next(self.numbers)}"
        owner = {"kind": "ReplicaSet", "name": f"{name}-7f", "controller": True}
        container = spec["containers"][0]["name"]
        self.cluster.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": full,
                    "namespace": namespace,
                    "uid": full,
                    "labels": labels,
                    "annotations": annotations,
                    "ownerReferences": [owner],
                },
                "spec": spec,
                "status": {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [{"name": container, "ready": True, "state": {"running": {}}}],
                },
            }
        )
        if namespace == SHOP:
            self.renew(full)

    def pods(self, namespace: str) -> list[Obj]:
        return [pod for pod in self.cluster.of_kind("Pod") if pod["metadata"]["namespace"] == namespace]

    def renew(self, pod: str) -> None:
        """The proxy asks istiod for a certificate, and gets the roots with it."""
        signing = self.signing
        leaf = _leaf(pod, signing.signer, _load(signing.key))
        links = x509.load_pem_x509_certificates(signing.chain) if signing.chain else []
        self.held[SHOP, pod] = ([leaf, *links, *signing.trusted], signing.trusted)

    def renew_all(self) -> None:
        """Half of a certificate's life has passed."""
        for pod in self.pods(SHOP):
            self.renew(pod["metadata"]["name"])

    # istiod and its webhooks.
    def _tick(self) -> None:
        """What goes on by itself after each request: rollouts, istiod reads again. Nobody may be cut off."""
        for workload in self.cluster.of_kind("Deployment"):
            self._roll_out(workload)
        now = self.mounted() if self._has_ca() else self.signing
        plugged = self.cluster.find("Secret", "cacerts", HOME) is not None
        if plugged and self.started_plugged and now != self.signing and self._takes(now):
            nudged = self.signing.roots != now.roots
            self.signing = now
            self._publish()
            if nudged and self.live and self.multiroot:
                self.renew_all()
        # Judged once for each state: certificates are objects of their own.
        state = tuple((key, id(chain), id(roots)) for key, (chain, roots) in sorted(self.held.items()))
        if state != self.judged and not self.trusting():
            self.broken.append(f"after call {self.cluster.count}")
        self.judged = state

    def _has_ca(self) -> bool:
        return any(self.cluster.find("Secret", name, HOME) for name in ("cacerts", "istio-ca-secret"))

    client: Any = None  # a user with fewer rights
    started_plugged = False
    judged: tuple[Any, ...] = ()

    def _takes(self, now: Signing) -> bool:
        """handleEvent: other bytes only with the switch, and only where one list holds the other."""
        if now.roots == self.signing.roots:
            return True
        old, new = set(self.signing.trusted), set(now.trusted)
        return self.multiroot and (old <= new or new <= old)

    def _publish(self) -> None:
        self.started_plugged = self.cluster.find("Secret", "cacerts", HOME) is not None
        for namespace in (HOME, SHOP):
            self.cluster.put(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "istio-ca-root-cert", "namespace": namespace},
                    "data": {"root-cert.pem": self.signing.roots.decode()},
                }
            )
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
            found = self.cluster.find(kind, "istio")
            assert found is not None
            for webhook in found["webhooks"]:
                webhook["clientConfig"]["caBundle"] = b64(self.signing.roots)

    def _roll_out(self, workload: Obj) -> None:
        """The pods of an older template go, a new one comes; also where the answer to a patch was lost."""
        metadata, template = workload["metadata"], workload["spec"]["template"]
        annotations = dict(template["metadata"].get("annotations") or {})
        owned = [
            pod
            for pod in self.pods(metadata["namespace"])
            if pod["metadata"]["ownerReferences"][0]["name"] == f"{metadata['name']}-7f"
        ]
        if all(pod["metadata"].get("annotations") == annotations for pod in owned):
            return
        self.restarts.append(metadata["name"])
        self.clock.time += 2  # a rollout takes a while
        for pod in owned:
            self.cluster.remove("Pod", pod["metadata"]["name"], metadata["namespace"])
            self.held.pop((SHOP, pod["metadata"]["name"]), None)
        if metadata["name"] == "istiod":
            self.signing = self.mounted()
            self._publish()
        self._pod(
            metadata["namespace"],
            metadata["name"],
            template["metadata"]["labels"],
            template["spec"],
            annotations,
        )
        self.on_restart()

    def _created(self, obj: Any, *, dry_run: bool = False) -> Any:
        if obj["kind"] == "VirtualService":
            with self.cluster._call("create", "VirtualService", HOME, name="call", dry_run=True):
                raise backend_error("admission webhook denied the request: no destination")
        return FakeCluster.create(self.cluster, obj, dry_run=dry_run)

    def _asked(self, namespace: str, pod: str, port: int, path: str) -> str:
        if port == 15014:
            if path == "/metrics":
                return self._metrics()
            return json.dumps([{"proxy": f"{name}.{home}"} for home, name in self.held])
        if pod in self.silent:
            return "not json"
        chain, roots = self.held[namespace, pod]
        return json.dumps({"configs": [_dump("default", chain), _dump("ROOTCA", roots)]})

    def _metrics(self) -> str:
        lines = [f"{ROOT_ENDS} {self.signing.trusted[0].not_valid_after_utc.timestamp()!r}"]
        if self.started_plugged:
            lines.append(f"{CHAIN_ENDS} {self.signing.signer.not_valid_after_utc.timestamp()!r}")
        return "\n".join(lines)

    # What must always hold.
    def trusting(self) -> bool:
        """Whether every proxy accepts every other one: a path of signatures to a root that it trusts."""
        return all(
            _accepted(chain, roots)
            for (chain, _own), (_other, roots) in itertools.product(self.held.values(), repeat=2)
        )

    def run(self, *, check: bool = False, **params: Any) -> Obj:
        """A run after which nothing else happens for longer than a Lease lasts."""
        given = {"mesh": "shop", "source": "own", "host": "https://api.example", "patience": 5, "timeout": 20}
        checked = validated(backend.ARGUMENT_SPEC, given | params)
        context = Context(
            check_mode=check,
            diff_mode=True,
            warn=self.warnings.append,
            progress=self.lines.append,
            connect=reaching(self.client or self.cluster),
            clock=self.clock,
        )
        self.cluster.clock = datetime.datetime.fromtimestamp(self.clock.time, datetime.UTC)
        try:
            return backend.run(checked, context)
        finally:
            self.clock.time += 120
            self.cluster.clock = datetime.datetime.fromtimestamp(self.clock.time, datetime.UTC)

    def roots_held(self) -> set[x509.Certificate]:
        return {root for _chain, roots in self.held.values() for root in roots}

    @property
    def journal(self) -> Obj | None:
        return self.cluster.find("Secret", "servicemesh-mesh-ca-rotation", HOME)


def backend_error(message: str) -> Exception:
    from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError

    return ApiError(message, status=400)


def _load(key: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(key, None)


def _leaf(subject: str, issuer: x509.Certificate, issuer_key: Any) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(issuer.subject)
        .public_key(LEAF_KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def _dump(name: str, certificates: list[x509.Certificate]) -> Obj:
    coded = {"inline_bytes": b64(pem(*certificates))}
    secret = (
        {"tls_certificate": {"certificate_chain": coded}}
        if name == "default"
        else {"validation_context": {"trusted_ca": coded}}
    )
    return {"name": name, "secret": secret}


def _accepted(chain: list[x509.Certificate], roots: list[x509.Certificate]) -> bool:
    """From the leaf up, through what was sent, to a trusted root; signatures are checked by key."""
    current, rest = chain[0], list(chain[1:])
    for _step in range(len(chain) + 1):
        if any(_signed(current, root) for root in roots):
            return True
        found = next((link for link in rest if _signed(current, link)), None)
        if found is None:
            return False
        rest.remove(found)
        current = found
    return False


def _signed(certificate_: x509.Certificate, by: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec

    key = by.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(certificate_.signature, certificate_.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return certificate_.issuer == by.subject
