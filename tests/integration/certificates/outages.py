"""Rotations while something is down, on a mesh that nobody else uses: `make campaign` runs them.

What is asked of each: the documented end, and the pair from before served all the time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError

from .conftest import HOME
from .test_rotations import SUFFIX, Clients, first_served, gateway, wait_for_handshakes

__all__ = ["gateway"]


@contextlib.contextmanager
def without_istiod(client) -> Iterator[None]:
    """No istiod at all, and one that is ready again afterwards."""
    before = client.get("apps/v1", "Deployment", "istiod", HOME)["spec"]["replicas"]
    scale(client, 0)
    try:
        yield
    finally:
        scale(client, before)


def scale(client, replicas: int) -> None:
    client.patch("apps/v1", "Deployment", "istiod", HOME, {"spec": {"replicas": replicas}})
    for _second in range(180):
        pods = client.list("v1", "Pod", HOME, label_selector="app=istiod").items
        found = client.get("apps/v1", "Deployment", "istiod", HOME)["status"]
        if len(pods) == replicas == found.get("readyReplicas", 0):
            return
        time.sleep(1)
    raise AssertionError(f"istiod does not get {replicas} pods")


def test_a_gateway_without_a_connection_to_istiod_is_named_with_the_reason(edge, gateway, client) -> None:
    ca = first_served(edge)
    served = edge.secret()["data"]["tls.crt"]
    with Clients(gateway, edge.host, ca) as clients:
        with without_istiod(client), pytest.raises(MeshError) as caught:
            edge.run(force=[edge.name], timeout=20)
        assert "the proxy of pod istio-ingressgateway-" in caught.value.message
        assert "has no connection to istiod" in caught.value.message
        assert "the previous certificate is back and served" in caught.value.message
        assert edge.secret()["data"]["tls.crt"] == served
        assert edge.secret(f"{edge.name}{SUFFIX}") is None
        wait_for_handshakes(gateway, edge.host, ca)
        again = edge.run(force=[edge.name])
        assert again["status"] == "pass", again["reason"]
    assert clients.told["failed"] == []


def test_the_kept_pair_deleted_in_mid_run(edge, gateway, client) -> None:
    ca = first_served(edge)
    stop = threading.Event()

    def tidy() -> None:
        while not stop.wait(0.05):
            client.delete("v1", "Secret", f"{edge.name}{SUFFIX}", HOME)

    thread = threading.Thread(target=tidy)
    with Clients(gateway, edge.host, ca) as clients:
        thread.start()
        try:
            done = edge.run(force=[edge.name], overlap=2)
        finally:
            stop.set()
            thread.join()
        assert done["status"] == "pass", done["reason"]
        assert edge.run()["changed"] is False
    assert clients.told["failed"] == []
