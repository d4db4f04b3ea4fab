"""A mesh of two services on the lab, ``caller`` and ``calls``, whose rollouts the backend itself runs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import backend

from ..unit.support.arguments import validated
from .canary_lab import Lab

HERE = Path(__file__).parent
SERVER, CLIENTS = (HERE / "own_server.py").read_text(), (HERE / "own_clients.py").read_text()
SERVICE = "calls"
DEFAULTS: dict[str, Any] = {
    "duration": 10,
    "min_requests": 20,
    "scrape_interval": 2,
    "baseline": 15,
    "phase_deadline": 120,
    "ready_timeout": 60,
    "errors": {"limit": 0.1, "acceptable": 0.02},
    "prometheus": {"namespace": "istio-system", "service": "prometheus", "port": 9090},
}


class OwnMesh:
    """Namespace, objects and pods. :param protocol: ``http`` or ``grpc``: of the port that is split."""

    def __init__(
        self, lab: Lab, protocol: str = "http", pods: dict[str, int] | None = None, limit: int = 0
    ) -> None:
        self.lab, self.limit = lab, limit
        self.space = f"own-{uuid.uuid4().hex[:6]}"
        number = 9000 if protocol == "grpc" else 3000
        self.catalogue = {
            "mesh_name": self.space,
            "mesh_namespace": self.space,
            "mesh_services": [
                {"name": "caller", "ports": [{"name": "http", "number": 3000, "protocol": "http"}]},
                {
                    "name": SERVICE,
                    "ports": [{"name": protocol, "number": number, "protocol": protocol}],
                    "versions": {"v1": {}, "v2": {}},
                    "initial_version": "v1",
                    "callers": ["caller"],
                    "timeout": "none",
                },
            ],
        }
        image = lab.get("deployment", "frontend-v1")["spec"]["template"]["spec"]["containers"][0]["image"]
        labels = {"istio-injection": "enabled"}
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.space, "labels": labels}}
        )
        for name in ("caller", SERVICE):
            self.apply(self._object("v1", "ServiceAccount", name))
        port = {"name": protocol, "port": number, "targetPort": number}
        self.apply(
            self._object("v1", "Service", SERVICE, spec={"selector": {"app": SERVICE}, "ports": [port]})
        )
        self.apply(self._deployment("caller", "caller", "v1", image, "import time; time.sleep(1e6)", 1))
        for version, count in (pods or {"v1": 1, "v2": 1}).items():
            self.apply(self._deployment(f"{SERVICE}-{version}", SERVICE, version, image, SERVER, count))
        for item in render(parse_catalogue(self.catalogue)):
            self.apply(item)
        for name in ("caller", f"{SERVICE}-v1", f"{SERVICE}-v2"):
            lab.kubectl("rollout", "status", f"deployment/{name}", "-n", self.space, "--timeout=170s")

    def _object(self, version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.space}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}

    def _deployment(
        self, name: str, app: str, version: str, image: str, program: str, count: int
    ) -> dict[str, Any]:
        labels = {"app": app, "version": version}
        environment = [{"name": "VERSION", "value": version}, {"name": "LIMIT", "value": str(self.limit)}]
        container = {
            "name": "service",
            "image": image,
            "command": ["python3", "-c", program],
            "env": environment,
        }
        if app != "caller":
            container["readinessProbe"] = {"tcpSocket": {"port": 3000}, "periodSeconds": 2}
        spec = {"serviceAccountName": app, "terminationGracePeriodSeconds": 5, "containers": [container]}
        template = {"metadata": {"labels": labels}, "spec": spec}
        fields = {"replicas": count, "selector": {"matchLabels": labels}, "template": template}
        return self._object("apps/v1", "Deployment", name, spec=fields)

    def apply(self, item: dict[str, Any]) -> None:
        """Creates or changes an object."""
        self.lab.kubectl("apply", "-f", "-", stdin=json.dumps(item))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object, empty when absent."""
        return self.lab.get(kind, name, self.space)

    def remove(self) -> None:
        """Everything goes with the namespace."""
        self.lab.kubectl("delete", "namespace", self.space, "--wait=false")

    def replicas(self, version: str) -> int:
        return int(self.get("deployment", f"{SERVICE}-{version}")["spec"]["replicas"])

    def share(self) -> int:
        """The canary's percent in the live routes."""
        route = self.get("virtualservice", f"{SERVICE}-routes")["spec"]["http"][-1]["route"]
        parts = {part["destination"]["subset"]: part.get("weight", 100) for part in route}
        return int(parts.get("v2", 0))

    def tell(self, version: str, file: str, text: str) -> None:
        """Tells all pods of a version what to answer."""
        selector = f"app={SERVICE},version={version}"
        pods = self.lab.kubectl("get", "pod", "-n", self.space, "-l", selector, "-o", "name").split()
        for pod in pods:
            command = ["exec", "-n", self.space, pod, "-c", "service", "--", "sh", "-c"]
            self.lab.kubectl(*command, f"echo {text} > /tmp/{file}")

    def canary(self, action: str = "run", **changes: Any) -> tuple[dict[str, Any], list[str]]:
        """Runs the backend. :returns: its result, or the error's details, and what it said."""
        lines: list[str] = []
        params: dict[str, Any] = {
            "kubeconfig": self.lab.environment["KUBECONFIG"],
            "catalogue": self.catalogue,
            "service": SERVICE,
            "action": action,
            **({"version": "v2", "steps": [10, 50, 100]} if action == "run" else {}),
            **DEFAULTS,
            **changes,
        }
        checked = validated(backend.ARGUMENT_SPEC, params)
        try:
            context = Context(progress=lines.append, warn=lines.append, environment=dict(os.environ))
            return backend.run(checked, context), lines
        except MeshError as error:
            return {"outcome": "error", "reason": str(error), **error.details}, lines

    @contextlib.contextmanager
    def callers(
        self, mode: str, number: float = 0, seconds: float = 600, warmup: float = 20
    ) -> Iterator[dict]:
        """A caller of own_clients.py; what it has seen is filled in at the end."""
        found: dict[str, Any] = {}
        arguments = [mode, SERVICE, str(seconds), *([str(number)] if number else [])]
        command = [self.lab.environment["LAB_KUBECTL"], "--kubeconfig", self.lab.environment["KUBECONFIG"]]
        inside = ["exec", "-i", "-n", self.space, "deployment/caller", "-c", "service", "--"]
        stop = f"/tmp/stop-{mode}"
        program = CLIENTS.replace('"/tmp/stop"', repr(stop))
        process = subprocess.Popen(
            [*command, *inside, "python3", "-", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        process.stdin.write(program)
        process.stdin.close()
        process.stdin = None
        time.sleep(warmup)
        try:
            yield found
        finally:
            self.lab.kubectl(*inside[:1], *inside[2:], "touch", stop)
            output = process.communicate(timeout=90)[0]
            self.lab.kubectl(*inside[:1], *inside[2:], "rm", "-f", stop)
            found.update(json.loads(output.strip().splitlines()[-1]))

    @contextlib.contextmanager
    def in_background(self, act: Any) -> Iterator[None]:
        """Calls ``act`` with every new share of the canary while the block runs."""
        end, seen = threading.Event(), []

        def watch() -> None:
            while not end.is_set():
                share = self.share()
                if seen[-1:] != [share]:
                    seen.append(share)
                    act(share)
                end.wait(0.3)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join(30)


@contextlib.contextmanager
def own_mesh(lab: Lab, **options: Any) -> Iterator[OwnMesh]:
    """One for a test."""
    mesh = OwnMesh(lab, **options)
    try:
        yield mesh
    finally:
        mesh.remove()
