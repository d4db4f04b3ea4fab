"""Server pods behind real sidecars: one program that answers HTTP requests and echoes everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.pods import is_ready, is_terminating

from ..waiting import until

IMAGE = "lab.local/service:1"
SERVED = b"x-proof: served"
PROGRAM = r"""
import socket, sys, threading
def serve(port):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", port)); s.listen(200)
    while True:
        c, _ = s.accept(); threading.Thread(target=answer, args=(c,), daemon=True).start()
def answer(c):
    try:
        data = b""
        while True:
            got = c.recv(65536)
            if not got: break
            data += got
            head, end, _ = data.partition(b"\r\n\r\n")
            if end and b" HTTP/1." in head:
                c.sendall(b"HTTP/1.1 200 OK\r\nx-proof: served\r\nContent-Length: 0\r\n\r\n"); data = b""
            elif b" HTTP/1." not in data: c.sendall(got); data = b""
    except OSError: pass
    c.close()
for port in sys.argv[2:]: threading.Thread(target=serve, args=(int(port),), daemon=True).start()
serve(int(sys.argv[1]))
"""


def mesh_labels(client: KubeClient) -> dict[str, str]:
    """The labels by which the lab's namespaces get sidecars."""
    shop = client.get("v1", "Namespace", "ecommerce")
    assert shop is not None
    labels: Mapping[str, str] = shop["metadata"]["labels"]
    return {name: labels[name] for name in ("istio-injection", "istio.io/rev") if name in labels}


def namespace(client: KubeClient, name: str) -> None:
    """A namespace whose pods get sidecars."""
    client.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": mesh_labels(client)},
        }
    )


def pod(
    namespace: str,
    name: str,
    command: Sequence[str],
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    account: str = "default",
) -> dict[str, Any]:
    """A pod that is gone at once when it is deleted."""
    container = {"name": "app", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": [*command]}
    metadata = {"name": name, "namespace": namespace, "labels": {**labels}}
    ending = {"serviceAccountName": account, "terminationGracePeriodSeconds": 0}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "annotations": {**(annotations or {})}},
        "spec": {**ending, "containers": [container]},
    }


def addresses(client: KubeClient, namespace: str, count: int) -> dict[str, str]:
    """The pods of a namespace by name, once ``count`` of them are ready, with their addresses."""
    found: dict[str, str] = {}

    def ready() -> bool:
        found.clear()
        for item in client.list("v1", "Pod", namespace).items:
            if is_ready(item) and not is_terminating(item):
                found[item["metadata"]["name"]] = item["status"]["podIP"]
        return len(found) == count

    until(ready, f"{count} ready pods in {namespace}")
    return found
