"""A metric for a real HorizontalPodAutoscaler: an API of group external.metrics.k8s.io with one number.

The lab has no metrics server, and what an autoscaler does with a number is the autoscaler's business.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .own_mesh import OwnMesh

GROUP, NAME = "external.metrics.k8s.io", "metric"
SERVER = """
import datetime, http.server, json, pathlib, ssl
pathlib.Path("/tmp/pem").write_text(%(pem)r)
BASE = "/apis/external.metrics.k8s.io/v1beta1"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        at = datetime.datetime.now(datetime.UTC).strftime("%%Y-%%m-%%dT%%H:%%M:%%SZ")
        file = pathlib.Path("/tmp/load")
        value = file.read_text().strip() if file.exists() else "0"
        item = {"metricName": "load", "metricLabels": {}, "timestamp": at, "value": value}
        resource = {"name": "load", "singularName": "", "namespaced": True, "kind": "ExternalMetricValueList"}
        version = "external.metrics.k8s.io/v1beta1"
        answers = {
            BASE: {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version,
                   "resources": [{**resource, "verbs": ["get"]}]},
        }
        if path.startswith(BASE + "/namespaces/"):
            answers[path] = {"kind": resource["kind"], "apiVersion": version, "metadata": {}, "items": [item]}
        body = json.dumps(answers.get(path, {})).encode()
        self.send_response(200 if path in answers else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/pem")
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


class ExternalMetric:
    """The metric ``load``."""

    def __init__(self, mesh: OwnMesh) -> None:
        self.mesh = mesh

    def set(self, value: str) -> None:
        """What every autoscaler that asks gets from now on."""
        command = ["exec", "-n", self.mesh.space, NAME, "-c", "service", "--", "sh", "-c"]
        self.mesh.lab.kubectl(*command, f"echo {value} > /tmp/load")


def _pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode()


@contextlib.contextmanager
def external_metric(mesh: OwnMesh) -> Iterator[ExternalMetric]:
    """Serves the metric while the block runs."""
    deployment = mesh.get("deployment", "caller")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    metadata: dict[str, Any] = {"name": NAME, "namespace": mesh.space}
    program = SERVER % {"pem": _pem()}
    container = {"name": "service", "image": image, "command": ["python3", "-c", program]}
    container["readinessProbe"] = {"tcpSocket": {"port": 8443}, "periodSeconds": 1}
    labels = {"app": NAME, "sidecar.istio.io/inject": "false"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "labels": labels}}
    mesh.apply({**pod, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}})
    spec = {"selector": {"app": NAME}, "ports": [{"name": "https", "port": 443, "targetPort": 8443}]}
    mesh.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    mesh.lab.kubectl("wait", "--for=condition=Ready", f"pod/{NAME}", "-n", mesh.space, "--timeout=90s")
    service = {"name": NAME, "namespace": mesh.space, "port": 443}
    mesh.apply(
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1beta1.{GROUP}"},
            "spec": {
                "group": GROUP,
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": service,
            },
        }
    )
    found = ExternalMetric(mesh)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                raw = f"/apis/{GROUP}/v1beta1/namespaces/{mesh.space}/load"
                json.loads(mesh.lab.kubectl("get", "--raw", raw))
                break
            except subprocess.CalledProcessError:
                assert time.monotonic() < deadline, "the API server does not reach the metric"
                time.sleep(1)
        yield found
    finally:
        mesh.lab.kubectl("delete", "apiservice", f"v1beta1.{GROUP}", "--ignore-not-found")
