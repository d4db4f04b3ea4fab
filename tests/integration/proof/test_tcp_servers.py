"""Verdicts on servers of other protocols: those that wait, those that greet, those that say nothing or close.

Each kind of server stands behind each kind of port: STRICT, PERMISSIVE, kept away from its proxy, without a
proxy. Only behind STRICT ports may plaintext pass.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render

from ...unit.support import certificates as made
from ...unit.support.write_path import apply
from ..waiting import until_gone
from . import runs, servers
from .conftest import sized

SPACE, PORT = "proof-tcp", 5432
KINDS = ("waiting", "greeting", "silent", "echo", "closing", "own-tls")
VARIANTS = ("strict", "permissive", "excluded", "naked")
# Each kind and each variant once; whether a greeting behind PERMISSIVE is heard before the policy closes the
# connection is a race between two proxies' threads, and must decide nothing.
SAMPLE = (
    "greeting-permissive",
    "silent-strict",
    "greeting-excluded",
    "own-tls-naked",
    "echo-permissive",
    "waiting-naked",
)
PROGRAM = r"""
import base64, socket, ssl, sys, threading
kind, port = sys.argv[1], int(sys.argv[2])
context = None
if kind == "own-tls":
    open("/tmp/pair", "wb").write(base64.b64decode(sys.argv[3]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain("/tmp/pair")
    context.load_verify_locations("/tmp/pair"); context.verify_mode = ssl.CERT_REQUIRED
def serve(c):
    try:
        if context: c = context.wrap_socket(c, server_side=True)
        if kind == "greeting": c.sendall(b"220 ready\r\n")
        if kind == "closing": c.close(); return
        data = c.recv(4096)  # waiting: a startup message that it cannot read, and it closes
        if kind == "echo": c.sendall(data)
        while kind in ("silent", "greeting") and c.recv(4096): pass
        c.close()
    except OSError: pass
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", port)); s.listen(50)
while True:
    c, _ = s.accept(); threading.Thread(target=serve, args=(c,), daemon=True).start()
"""


def names() -> list[str]:
    """The services: a kind of server behind a kind of port."""
    every = [f"{kind}-{variant}" for kind in KINDS for variant in VARIANTS]
    return every if sized(0, 1) else list(SAMPLE)


def catalogue() -> dict[str, Any]:
    """A mesh of these services; each may be called by the next one."""
    every = names()
    ports = [{"name": "tcp-db", "number": PORT, "protocol": "tcp"}]
    services = [
        {"name": name, "ports": ports, "callers": [{"service": every[number - 1]}]}
        for number, name in enumerate(every)
    ]
    return {"mesh_name": SPACE, "mesh_namespace": SPACE, "mesh_services": services}


def removed(client: KubeClient) -> None:
    """Take the namespace away."""
    client.delete("v1", "Namespace", SPACE)


@pytest.fixture(scope="module")
def deployed(client: KubeClient) -> Iterator[dict[str, Any]]:
    """The catalogue of what runs."""
    removed(client)
    until_gone(client, SPACE)
    servers.namespace(client, SPACE)
    raw = catalogue()
    rendered = [item for item in render(parse_catalogue(raw)) if item["kind"] != "Namespace"]
    apply(client, rendered)
    pair = base64.b64encode(made.key_pem(made.LEAF_KEY) + made.pem(made.LEAF, made.ROOT)).decode()
    for name in names():
        kind, _dash, variant = name.rpartition("-")
        metadata = {"name": name, "namespace": SPACE}
        client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        spec = {"selector": {"app": name}, "ports": [{"name": "tcp-db", "port": PORT}]}
        client.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        labels = {"app": name, "version": "v1"}
        if variant == "naked":
            labels["sidecar.istio.io/inject"] = "false"
        kept = {"traffic.sidecar.istio.io/excludeInboundPorts": str(PORT)} if variant == "excluded" else {}
        command = ["python3", "-c", PROGRAM, kind, str(PORT), pair]
        client.create(servers.pod(SPACE, name, command, labels=labels, annotations=kept, account=name))
        if variant == "permissive":
            client.create(loose(name))
    servers.addresses(client, SPACE, len(names()))
    yield raw
    removed(client)


def loose(name: str) -> dict[str, Any]:
    """A PeerAuthentication that nobody has catalogued."""
    spec = {"selector": {"matchLabels": {"app": name}}, "mtls": {"mode": "PERMISSIVE"}}
    metadata = {"name": f"loose-{name}", "namespace": SPACE}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": metadata,
        "spec": spec,
    }


def test_verdicts_on_servers_of_other_protocols(kubeconfig, deployed, capsys):
    checks = ["injection", "policies", "mtls", "plaintext", "authorization"]
    result = runs.verified(kubeconfig, deployed, checks=checks, call_timeout=3)
    plaintext, mtls = runs.verdicts(result, "plaintext"), runs.verdicts(result, "mtls")
    injection = runs.verdicts(result, "injection")
    wrong = []
    for name in names():
        kind, _dash, variant = name.rpartition("-")
        found = plaintext[f"{SPACE}/{name}:{PORT}"]
        if variant == "strict":
            right = found[0] == "pass" and mtls[f"{SPACE}/{name}:{PORT}"][0] == "pass"
        else:
            # A PERMISSIVE port gives itself away, whatever a policy makes of what it takes.
            shown = variant == "permissive" or kind in ("greeting", "echo")
            right = found[0] == ("fail" if shown else "cannot tell")
        if variant == "permissive":
            right &= mtls[f"PeerAuthentication {SPACE}/loose-{name}"][0] == "fail"
        if variant == "excluded":
            right &= mtls[f"Pod {SPACE}/{name}"][0] == "fail"
        if variant == "naked":
            right &= injection[f"Pod {SPACE}/{name}"][0] == "fail"
        with capsys.disabled():
            print(f"\n{'right' if right else 'WRONG'} {name}: {': '.join(found)}", end="")
        wrong += [] if right else [name]
    assert wrong == []
    assert result["status"] == "fail"
    assert {item["check"] for item in result["findings"]} >= {"plaintext", "mtls", "injection"}
