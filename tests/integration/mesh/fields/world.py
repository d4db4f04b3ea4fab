"""Makes and removes the pods of ``test_fields.py``, and speaks to them and through the gateway."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from ...waiting import until_gone

HERE = Path(__file__).parent
NAMESPACES = {"fields": {"istio-injection": "enabled"}, "fields-outside": {}}
SYSTEM = "istio-system"
CREDENTIALS = ("fields-wildcard", "fields-other", "fields-mutual")
"""Secrets with one certificate."""
CLIENTS = "fields-mutual-cacert"
WORKLOADS: Mapping[str, Any] = yaml.safe_load((HERE / "workloads.yml").read_text())
TLS_NAMES = (
    "*.fields.example.org", "mq.pass.example.org", "b.wild.example.org", "ends.fields.example.org",
)  # fmt: skip
IMAGE = "lab.local/service:1"


def certificate(directory: Path) -> tuple[str, str]:
    """A certificate for all hosts that is its own issuer. :returns: certificate and key, PEM."""
    names = ",".join(f"DNS:{name}" for name in TLS_NAMES)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-days", "3", "-subj", "/CN=fields", "-addext", f"subjectAltName={names}"]
    files = ["-keyout", str(directory / "key"), "-out", str(directory / "crt")]
    command = ["openssl", "req", "-x509", *curve, *named, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return (directory / "crt").read_text(), (directory / "key").read_text()


def tls_secret(name: str, namespace: str, pair: tuple[str, str]) -> dict[str, Any]:
    data = dict(zip(("tls.crt", "tls.key"), pair, strict=True))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def objects(pair: tuple[str, str]) -> Iterator[dict[str, Any]]:
    for name, labels in NAMESPACES.items():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        script = {"server.py": (HERE / "server.py").read_text()}
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "server", "namespace": name},
            "data": script,
        }
        yield tls_secret("server", name, pair)
    for name in CREDENTIALS:
        yield tls_secret(name, SYSTEM, pair)
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CLIENTS, "namespace": SYSTEM},
        "data": {"ca.crt": base64.b64encode(pair[0].encode()).decode()},
    }
    ports = [("tls", 8443, 18443), ("tcp", 5432, 15432)]
    yield _service("fields-gateway", SYSTEM, {"istio": "ingressgateway"}, ports)
    for name, workload in WORKLOADS.items():
        yield from _workload(name, **workload)


def _service(
    name: str, namespace: str, selector: Mapping[str, str], ports: Sequence[Sequence[Any]], **spec: Any
) -> dict[str, Any]:
    listed = [{"name": port[0], "port": port[1], "targetPort": port[2]} for port in ports]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": dict(selector), "ports": listed, **spec},
    }


def _workload(
    name: str, namespace: str, ports: Sequence[Sequence[Any]], headless: str = ""
) -> Iterator[dict[str, Any]]:
    labels = {"app": name}
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
    }
    yield _service(name, namespace, labels, ports)
    if headless:
        yield _service(headless, namespace, labels, ports, clusterIP="None")
    container = {
        "name": "server",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "/app/server.py"],
        "env": [{"name": "NAME", "value": name}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "app", "mountPath": "/app"}, {"name": "tls", "mountPath": "/tls"}],
        "resources": {"requests": {"cpu": "5m", "memory": "24Mi"}},
    }
    pod = {
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [
            {"name": "app", "configMap": {"name": "server"}},
            {"name": "tls", "secret": {"secretName": "server"}},
        ],
    }
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels | {"version": "v1"}}, "spec": pod},
        "replicas": 2 if headless else 1,
    }
    if headless:
        spec |= {"serviceName": headless, "podManagementPolicy": "Parallel"}
    kind = "StatefulSet" if headless else "Deployment"
    yield {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


class World:
    """The pods, once they are ready."""

    def __init__(self, client: KubeClient, directory: Path) -> None:
        self.client = client
        self.pair = certificate(directory)
        self.ca, self.key = directory / "crt", directory / "key"

    def make(self) -> None:
        self._leftovers_go()
        for obj in objects(self.pair):
            self.client.create(obj)
        deadline = time.monotonic() + 180
        while waiting := [name for name in WORKLOADS if not self._ready(name)]:
            assert time.monotonic() < deadline, f"not ready: {waiting}"
            time.sleep(1)
        self.gateway, self.streams = (
            (self.client.get("v1", "Service", name, SYSTEM) or {})["spec"]["clusterIP"]
            for name in ("istio-ingressgateway", "fields-gateway")
        )

    def _leftovers_go(self) -> None:
        """Of a run that was killed, or whose namespaces are still going."""
        self.remove()
        until_gone(self.client, *NAMESPACES)

    def remove(self) -> None:
        for name in NAMESPACES:
            self.client.delete("v1", "Namespace", name)
        for name in (*CREDENTIALS, CLIENTS):
            self.client.delete("v1", "Secret", name, SYSTEM)
        self.client.delete("v1", "Service", "fields-gateway", SYSTEM)

    def pods(self, app: str, namespace: str) -> list[dict[str, Any]]:
        found = self.client.list("v1", "Pod", namespace, label_selector=f"app={app}").items
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def _ready(self, app: str) -> bool:
        pods = self.pods(app, WORKLOADS[app]["namespace"])
        wanted = 2 if "headless" in WORKLOADS[app] else 1
        states = [
            all(status.get("ready") for status in pod["status"].get("containerStatuses", [{}]))
            for pod in pods
        ]
        return len(states) >= wanted and all(states)

    def pod(self, app: str, namespace: str = "") -> dict[str, Any]:
        return self.pods(app, namespace or WORKLOADS[app]["namespace"])[0]

    def run(self, app: str, command: str, timeout: float = 60) -> str:
        """What a shell in a pod of ``app`` prints."""
        pod = self.pod(app)
        meta = pod["metadata"]
        found = self.client.exec(
            meta["namespace"], meta["name"], "server", ["sh", "-c", command], timeout=timeout
        )
        return found.stdout.strip()

    def code(self, app: str, url: str, *options: str) -> str:
        """The status that a pod gets; 000 for none."""
        curl = "curl -s -o /dev/null -m 8 -w '%{http_code}'"
        return self.run(app, f"{curl} {' '.join(options)} {url} || true")

    def said(self, app: str, url: str) -> dict[str, Any]:
        return dict(json.loads(self.run(app, f"curl -s -m 8 {url}")))

    def line(self, app: str, host: str, port: int) -> str:
        """What comes back for a line; nothing when the connection is closed."""
        return self.run(app, f"echo hello | curl -s -m 3 telnet://{host}:{port} 2>/dev/null || true")

    def tls_line(self, app: str, host: str, port: int) -> str:
        """The same over TLS of the client's own, with ``host`` as server name."""
        script = (
            "import socket, ssl; context = ssl._create_unverified_context();"
            f"plain = socket.create_connection(('{host}', {port}), 5);"
            f"channel = context.wrap_socket(plain, server_hostname='{host}');"
            "channel.sendall(b'hello\\n'); print(channel.recv(100).decode().strip())"
        )
        return self.run(app, f'python3 -c "{script}" 2>&1 | tail -1')

    def through_gateway(self, urls: Sequence[str], *options: str) -> list[tuple[int, int, str]]:
        """One curl for all ``urls``. :returns: status, new connections and body of each."""
        mark = "|%{http_code} %{num_connects}\n"
        hosts = {url.split("/")[2] for url in urls}
        resolve = [word for host in hosts for word in ("--resolve", f"{host}:443:{self.gateway}")]
        command = [
            "curl", "-s", "-m", "20", "--cacert", str(self.ca), "-w", mark, *resolve, *options, *urls,
        ]  # fmt: skip
        return _answers(command)

    def on_one_connection(self, url: str, host: str) -> list[tuple[int, int, str]]:
        """A request to ``url``, and over the same HTTP/2 connection one to ``host``, as browsers send it."""
        name = url.split("/")[2]
        common = [
            "-s", "-m", "20", "--http2", "--cacert", str(self.ca), "-w", "|%{http_code} %{num_connects}\n",
            "--resolve", f"{name}:443:{self.gateway}",
        ]  # fmt: skip
        command = ["curl", *common, url, "--next", *common, "-H", f"Host: {host}", url]
        return _answers(command)

    def tls(self, name: str, port: int) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.ca))
        address = self.gateway if port == 443 else self.streams
        raw = socket.create_connection((address, port), timeout=5)
        return context.wrap_socket(raw, server_hostname=name)

    def https(self, name: str) -> http.client.HTTPConnection:
        """A connection to the gateway for several requests. It waits longer than the server pauses."""
        channel = self.tls(name, 443)
        channel.settimeout(20)
        connection = http.client.HTTPConnection(name)
        connection.sock = channel
        return connection


def _answers(curl: Sequence[str]) -> list[tuple[int, int, str]]:
    text = subprocess.run(curl, capture_output=True, text=True, timeout=60, check=False).stdout
    found = []
    for part in text.strip().split("\n"):
        body, _mark, numbers = part.rpartition("|")
        status, connects = numbers.split()
        found.append((int(status), int(connects), body))
    return found


def answer(channel: socket.socket) -> str:
    """What a line server says."""
    channel.settimeout(5)
    channel.sendall(b"hello\n")
    return channel.recv(100).decode().strip()


def eventually(look: Any, wanted: Any, seconds: float = 20) -> None:
    """Proxies get a change within a second or two."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = look()
        except (OSError, ValueError, ApiError) as error:
            found = error
        if found == wanted:
            return
        assert time.monotonic() < deadline, f"{found!r}, not {wanted!r}"
        time.sleep(0.5)
