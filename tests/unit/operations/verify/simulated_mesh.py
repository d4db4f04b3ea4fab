"""A mesh in memory: API objects, and proxies that hold what a good istiod would give them.

Tests break one thing and look at what verify says. The proxies' answers have the shape of Envoy's.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import (
    decide,
    service_edges,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.peer_authentication import (
    PeerPolicies,
)

from ...support.arguments import validated
from ...support.certificates import certificate, ec_key, pem
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching
from ...support.envoy_rbac import rbac_filters
from .builders import item, pod

ROOT = certificate("root", ec_key(), ca=True)
RAW: dict[str, Any] = {
    "mesh_name": "shop",
    "mesh_namespace": "shop",
    "mesh_services": [
        {
            "name": name,
            "service_account": name,
            "ports": [{"name": "http", "number": 80, "target_port": 3000, "protocol": "http"}],
            "versions": {"v1": {"labels": {"version": "v1"}, "workload": f"{name}-v1"}},
            "initial_version": "v1",
            "callers": callers,
            "open_paths": ["/health"],
        }
        for name, callers in (("web", []), ("cart", [{"service": "web"}]), ("pay", [{"service": "cart"}]))
    ],
}


def made(raw: dict[str, Any]) -> tuple[Catalogue, list[dict[str, Any]]]:
    """A catalogue, and its objects."""
    catalogue = parse_catalogue(raw)
    return catalogue, render(catalogue)


MADE = made(RAW)  # once: most tests look at this one


class Mesh(FakeCluster):
    """The client of a cluster with the mesh of ``RAW``, or of what else is ``made``.

    :ivar roots: what the proxies trust. :ivar exec_error: raised by every exec into a proxy.
    :ivar answers: by (account or ``outside``, service, path) a dishonest answer (status, headers, body).
    """

    def __init__(self, content: tuple[Catalogue, list[dict[str, Any]]] = MADE) -> None:
        super().__init__({"kind": "Namespace", "metadata": {"name": "shop"}})
        self.catalogue, objects = content
        for obj in objects:
            self.put(obj)
        for service in self.catalogue.services:
            labels = {**service.labels, "version": "v1"}
            made = pod(f"{service.name}-1", labels, spec={"serviceAccountName": service.service_account})
            self.put({**made, "status": {**made["status"], "podIP": "10.0.0.1"}})
            ports = [{"name": "http", "port": 80, "targetPort": 3000}]
            self.put(item("Service", service.name, {"selector": dict(service.labels), "ports": ports}))
        self.put(self._istiod())
        self.put(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "istio-ca-root-cert", "namespace": "istio-system"},
                "data": {"root-cert.pem": pem(ROOT).decode()},
            }
        )
        self.put(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": "istio",
                    "namespace": "istio-system",
                    "labels": {"istio.io/rev": "default"},
                },
                "data": {"mesh": "extensionProviders: [{name: opa}]"},
            }
        )
        self.roots = [ROOT]
        self.unread: ApiError | None = None
        self.looks_without_istiod = 0
        self.answers: dict[tuple[str, str, str], tuple[int, dict[str, str], str]] = {}
        self.on_exec = self._probe
        self.on_ask = self._told

    def named(self, kind: str, name: str) -> dict[str, Any]:
        return next(one for one in self.of_kind(kind) if one["metadata"]["name"] == name)

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Pods are ready at once."""
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        return super().create({**obj, "status": ready}, dry_run=dry_run)

    def _told(self, _namespace: str, pod: str, port: int, path: str) -> str:
        if self.unread:
            raise self.unread
        return json.dumps(self._ask(pod, port, path))

    def _ask(self, pod: str, port: int, path: str) -> Any:
        if port == 15014:
            self.looks_without_istiod -= 1
            connected = [] if self.looks_without_istiod >= 0 else self._running()
            return [{"proxy": f"{one['metadata']['name']}.shop"} for one in connected]
        if path.startswith("/clusters"):
            return self._endpoints()
        if path == "/certs":
            return {"certificates": [self.certificates(pod)]}
        resource = urllib.parse.parse_qs(path.partition("?")[2])["resource"][0]
        answer = {
            "dynamic_listeners": self._listeners,
            "dynamic_route_configs": self._routes,
            "dynamic_active_secrets": self.secrets,
        }.get(resource)
        return {
            "configs": answer(pod) if answer else [{"cluster": {"name": name}} for name in self._clusters()]
        }

    def certificates(self, pod: str) -> dict[str, Any]:
        """What the TLS contexts of a proxy hold."""
        times = {"valid_from": "1970-01-01T00:00:00Z", "expiration_time": "2099-01-01T00:00:00Z"}
        account = self.named("Pod", pod)["spec"]["serviceAccountName"]
        leaf = {"subject_alt_names": [{"uri": f"spiffe://cluster.local/ns/shop/sa/{account}"}], **times}
        return {"cert_chain": [leaf], "ca_cert": [{"serial_number": f"{ROOT.serial_number:x}", **times}]}

    def secrets(self, _pod: str) -> list[dict[str, Any]]:
        """What pilot-agent serves a proxy, all of its roots among it."""
        held = base64.b64encode(b"".join(pem(one) for one in self.roots)).decode()
        chain = {"tls_certificate": {"certificate_chain": {"inline_bytes": held}}}
        trusted = {"validation_context": {"trusted_ca": {"inline_bytes": held}}}
        return [{"name": "default", "secret": chain}, {"name": "ROOTCA", "secret": trusted}]

    def _running(self) -> list[dict[str, Any]]:
        return [one for one in self.of_kind("Pod") if one["metadata"]["namespace"] == "shop"]

    def _listeners(self, pod: str) -> list[dict[str, Any]]:
        labels = self.named("Pod", pod)["metadata"]["labels"]
        modes = PeerPolicies(self.of_kind("PeerAuthentication"), "istio-system")
        policies = [
            policy
            for policy in self.of_kind("AuthorizationPolicy")
            if policy["metadata"]["namespace"] in ("shop", "istio-system")
            and policy["spec"].get("selector", {"matchLabels": {}})["matchLabels"].items() <= labels.items()
        ]
        chains = []
        for port in (3000, *modes.named_ports("shop", labels), None):
            match = {"destination_port": port} if port else {}
            mode, _decided = modes.mode("shop", labels, port)
            for http in (True,) if port == 3000 else (True, False):
                chains += self._chains(match, mode, self.filters(policies, http=http))
        listener = {"name": "virtualInbound", "filter_chains": chains}
        return [{"name": "virtualInbound", "active_state": {"listener": listener}}]

    def filters(self, policies: list[dict[str, Any]], *, http: bool) -> list[dict[str, Any]]:
        """The filters of a chain whose proxy holds ``policies``."""
        rbac = rbac_filters(policies, ["cluster.local"], http=http)
        return [{"name": "hcm", "typed_config": {"http_filters": rbac}}] if http else rbac

    @staticmethod
    def _chains(match: dict[str, Any], mode: str, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        tls = {"typed_config": {"require_client_certificate": True}}
        secure = {"filter_chain_match": match, "transport_socket": tls, "filters": filters}
        plain = {"filter_chain_match": match, "filters": filters}
        return [*([secure] if mode != "DISABLE" else []), *([plain] if mode != "STRICT" else [])]

    def _routes(self, pod: str) -> list[dict[str, Any]]:
        hosts = []
        for service in self.catalogue.services:
            delegate = self.named("VirtualService", f"{service.name}-routes")
            config = f"/apis/networking.istio.io/v1/namespaces/shop/virtual-service/{service.name}"
            routes = [
                {
                    "name": f"{service.name}-split",
                    "metadata": {"filter_metadata": {"istio": {"config": config}}},
                    "route": {
                        "cluster": f"outbound|80|{entry['destination'].get('subset', '')}|{service.fqdn}"
                    },
                }
                for rule in delegate["spec"]["http"]
                for entry in rule["route"]
            ]
            hosts.append({"name": service.fqdn, "domains": [service.fqdn], "routes": routes})
        return [{"route_config": {"name": "80", "virtual_hosts": hosts}}]

    def _clusters(self) -> list[str]:
        return [
            f"outbound|80|{subset}|{service.fqdn}"
            for service in self.catalogue.services
            for subset in ("", "v1")
        ]

    def _endpoints(self) -> dict[str, Any]:
        address = {"socket_address": {"address": "10.0.0.1", "port_value": 3000}}
        host = {"address": address, "health_status": {"eds_health_status": "HEALTHY"}}
        return {"cluster_statuses": [{"name": name, "host_statuses": [host]} for name in self._clusters()]}

    def _probe(self, _namespace: str, pod: str, container: str, command: Sequence[str]) -> str:
        """What the services answer to the calls in ``command``, by the catalogue's own rules."""
        assert container == "probe"
        spec = self.named("Pod", pod)
        meshed = spec["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"
        account = spec["spec"]["serviceAccountName"] if meshed else "outside"
        mark, calls = command[4], list(command[7:])
        blocks = []
        for number in range(len(calls) // 4):
            method, url = calls[4 * number : 4 * number + 2]
            blocks.append(f"{mark} call {number}\n{self._answer(account, method, url, mark, meshed=meshed)}")
        return "".join(blocks)

    def _answer(self, account: str, method: str, url: str, mark: str, *, meshed: bool) -> str:
        target = urllib.parse.urlsplit(url)
        service = self.catalogue.service(self._called(str(target.hostname)))
        assert service is not None
        status, headers, body = self.answers.get((account, service.name, target.path), (0, {}, ""))
        if target.scheme == "https":
            asked = "* TLSv1.3 (IN), TLS handshake, Request CERT (13):"
            unnamed = "curl: (60) SSL: unable to obtain common name from peer certificate"
            return f"{asked}\n{unnamed}\n{mark} exit 60\n"
        if not status and not meshed:
            return f"curl: (56) Recv failure: Connection reset by peer\n{mark} exit 56\n"
        if not status:
            principal = f"cluster.local/ns/shop/sa/{account}"
            allowed = (
                decide(service_edges(self.catalogue, service), principal, method, target.path, 3000)
                is not None
            )
            status, body = (200, "hello") if allowed else (403, "RBAC: access denied")
            headers = {"x-envoy-upstream-service-time": "1"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {status} X\r\n{lines}\r\n{body}\n{mark} exit 0\n"

    def _called(self, host: str) -> str:
        """The service behind a host, or behind the address of a pod."""
        pods = [one for one in self.of_kind("Pod") if one["status"].get("podIP") == host]
        return pods[0]["metadata"]["labels"]["app"] if pods else host.partition(".")[0]

    @staticmethod
    def _istiod() -> dict[str, Any]:
        return {
            "kind": "Pod",
            "metadata": {"name": "istiod-1", "namespace": "istio-system", "labels": {"app": "istiod"}},
            "spec": {"containers": [{"name": "discovery", "image": "hub/pilot:1.31.0"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }


def checked_arguments(backend: Any, **params: Any) -> dict[str, Any]:
    """What ansible-core hands to a backend that looks at the mesh of ``RAW``."""
    return validated(backend.ARGUMENT_SPEC, {"catalogue": RAW, "kubeconfig": "x", **params})


def run(
    mesh: Mesh, backend: Any, *, check_mode: bool = False, lines: list[str] | None = None, **params: Any
) -> dict[str, Any]:
    """A run of module ``verify`` or ``diagnose`` on a mesh."""
    context = Context(
        check_mode=check_mode,
        progress=(lines if lines is not None else []).append,
        connect=reaching(mesh),
        clock=FakeClock(),
    )
    return backend.run(checked_arguments(backend, **params), context)
