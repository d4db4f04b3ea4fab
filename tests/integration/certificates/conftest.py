"""A mesh, a CA and a gateway host of one's own on a cluster with Istio's ingress gateway in istio-system.

`KUBECONFIG=... pytest tests/integration/certificates`
"""

from __future__ import annotations

import uuid

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    backend as certificates,
)

from ...unit.support.arguments import validated
from ..finished_mesh import client, kubeconfig

__all__ = ["client", "kubeconfig"]

HOME = "istio-system"
ACCOUNT = "istio-ingressgateway-service-account"


@pytest.fixture
def edge(client, kubeconfig):
    own = Edge(client, kubeconfig)
    yield own
    own.remove()


class Edge:
    """One credential with its CA, and the module's runs on it."""

    def __init__(self, client, kubeconfig):
        self.client, self.kubeconfig = client, kubeconfig
        self.name = f"certificates-test-{uuid.uuid4().hex[:8]}"
        self.host = f"{self.name}.example.com"
        self.lines = []

    def params(self, hosts=None, **params):
        """The module's parameters, checked as Ansible checks them."""
        servers = [{"host": host, "certificate": self.name} for host in hosts or [self.host]]
        arguments = {
            "kubeconfig": self.kubeconfig,
            "mesh": self.name,
            "ca_namespace": self.name,
            "gateways": [{"workload_namespace": HOME, "service_account": ACCOUNT, "servers": servers}],
            "timeout": 30,
            **params,
        }
        return validated(certificates.ARGUMENT_SPEC, arguments)

    def run(self, check_mode=False, hosts=None, **params):
        context = Context(
            check_mode=check_mode,
            diff_mode=True,
            progress=self.lines.append,
            warn=self.lines.append,
            environment={},
        )
        return certificates.run(self.params(hosts, **params), context)

    def expose(self, *hosts, mode="SIMPLE"):
        """Lets the ingress gateway serve the credential."""
        server = {
            "port": {"number": 443, "name": f"https-{self.name}", "protocol": "HTTPS"},
            "tls": {"mode": mode, "credentialName": self.name},
            "hosts": list(hosts) or [self.host],
        }
        metadata = {"name": self.name, "namespace": HOME}
        spec = {"selector": {"istio": "ingressgateway"}, "servers": [server]}
        gateway = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": metadata,
            "spec": spec,
        }
        self.client.apply(gateway)

    def secret(self, name=None, namespace=HOME):
        return self.client.get("v1", "Secret", name or self.name, namespace)

    def authority(self):
        return self.secret("servicemesh-ca", self.name)

    def edit(self, data, manager="kubectl-edit"):
        self.client.patch("v1", "Secret", self.name, HOME, {"data": data}, field_manager=manager)

    def remove(self):
        self.client.delete("networking.istio.io/v1", "Gateway", self.name, HOME)
        for name in (self.name, *(f"{self.name}-{what}" for what in ("prev", "request", "cacert"))):
            self.client.delete("v1", "Secret", name, HOME)
        self.client.delete("v1", "Namespace", self.name)
