"""Which changes cut a stream that is open: what model/objects/drains.py says, against real proxies.

Servers stream a word every half second; their proxies drain for five seconds, one of them for five minutes.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.pods import is_ready

SERVER = """
import http.server, socketserver, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for _ in range(600):
            self.wfile.write(b"4\\r\\ntick\\r\\n")
            time.sleep(0.5)
    def log_message(self, *_):
        pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
Server(("", 3000), Handler).serve_forever()
"""
CLIENT = """
import http.client, json, sys, threading, time
held = {}
def read(name):
    begin = time.time()
    try:
        connection = http.client.HTTPConnection(name, 3000, timeout=20)
        connection.request("GET", "/")
        answer = connection.getresponse()
        while time.time() - begin < float(sys.argv[1]):
            if not answer.read(4):
                raise EOFError
        held[name] = answer.status == 200
    except Exception:
        held[name] = False
threads = [threading.Thread(target=read, args=(name,)) for name in sys.argv[2:]]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(held))
"""
NAMES = ("policy", "patient", "mode", "route", "cluster")
HELD = 30.0


def istio(kind: str, name: str, space: str, **spec: Any) -> dict[str, Any]:
    group = "security" if kind in ("AuthorizationPolicy", "PeerAuthentication") else "networking"
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def selected(name: str) -> dict[str, Any]:
    return {"selector": {"matchLabels": {"app": name}}}


def policy(name: str, space: str, *principals: str) -> dict[str, Any]:
    rules = [{"from": [{"source": {"principals": [principal]}}]} for principal in ("*", *principals)]
    return istio("AuthorizationPolicy", name, space, **selected(name), rules=rules)


@pytest.fixture
def space(client: KubeClient) -> Iterator[str]:
    name = f"streams-{uuid.uuid4().hex[:6]}"
    labels = {"istio-injection": "enabled"}
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield name
    client.delete("v1", "Namespace", name)


@pytest.fixture
def streams(client: KubeClient, space: str) -> Callable[[], dict[str, bool]]:
    """Servers and a client that reads from all of them; call it for who held out, once the time is over."""
    shop = client.get("apps/v1", "Deployment", "frontend-v1", "ecommerce")
    assert shop is not None, "the demo shop has the image"
    image = shop["spec"]["template"]["spec"]["containers"][0]["image"]

    def pod(name: str, *command: str, drain: str = "5s") -> dict[str, Any]:
        annotations = {"proxy.istio.io/config": f"drainDuration: {drain}"}
        metadata = {"name": name, "namespace": space, "labels": {"app": name}, "annotations": annotations}
        container = {"name": "service", "image": image, "command": list(command)}
        spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    for name in NAMES:
        client.apply(pod(name, "python3", "-c", SERVER, drain="300s" if name == "patient" else "5s"))
        spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 3000}]}
        metadata = {"name": name, "namespace": space}
        client.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        client.apply(policy(name, space))
    client.apply(pod("client", "sleep", "3600"))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        pods = client.list("v1", "Pod", space).items
        if sum(map(is_ready, pods)) == len(NAMES) + 1:
            break
        time.sleep(1)
    time.sleep(3)
    command = ["sh", "-c", "cat > /tmp/client.py"]
    client.exec(space, "client", "service", command, stdin=CLIENT)
    begin = f"nohup python3 /tmp/client.py {HELD} {' '.join(NAMES)} > /tmp/held.json 2>&1 &"
    client.exec(space, "client", "service", ["sh", "-c", begin])
    time.sleep(4)
    end = time.monotonic() + HELD + 30

    def held() -> dict[str, bool]:
        while time.monotonic() < end:
            said = client.exec(space, "client", "service", ["cat", "/tmp/held.json"]).stdout.strip()
            if said:
                found: dict[str, bool] = json.loads(said)
                return found
            time.sleep(1)
        raise AssertionError("the client has not ended")

    return held


def test_policies_and_modes_cut_streams_and_routes_do_not(
    client: KubeClient, space: str, streams: Callable[[], dict[str, bool]]
) -> None:
    for name in ("policy", "patient"):
        client.apply(policy(name, space, "cluster.local/ns/x/sa/y"))
    client.apply(istio("PeerAuthentication", "mode", space, **selected("mode"), mtls={"mode": "STRICT"}))
    route = {"route": [{"destination": {"host": "route"}}], "retries": {"attempts": 1}}
    client.apply(istio("VirtualService", "route", space, hosts=["route"], http=[route]))
    pool = {"connectionPool": {"tcp": {"maxConnections": 7}}}
    client.apply(istio("DestinationRule", "cluster", space, host="cluster", trafficPolicy=pool))
    held = streams()
    assert held == {"policy": False, "patient": True, "mode": False, "route": True, "cluster": True}
