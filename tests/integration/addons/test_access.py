# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana with a URL, a policy and a dashboard: on the lab, with an image that answers in Grafana's place.

The lab has no registry, so the demo's service stands behind Grafana's Deployment; everything else is the
release's own, and the way from the gateway to it is real.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from ..diagnose.sick import credential
from .applying import HOME, image_of, keep

HOST, CERTIFICATE = "grafana.example.com", "addon-grafana-test"
STAND_IN = "lab.local/service:1"


@pytest.fixture
def certificate(client: KubeClient) -> Iterator[None]:
    secret = credential((HOST,))
    secret["metadata"]["name"] = CERTIFICATE
    client.apply(secret, field_manager="planted", force=True)
    yield
    client.delete("v1", "Secret", CERTIFICATE, HOME)


def asked(client: KubeClient) -> str:
    """What the gateway answers for the host; the certificate signs itself."""
    gateway = client.get("v1", "Service", "istio-ingressgateway", HOME)
    assert gateway is not None
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(f"https://{gateway['spec']['clusterIP']}/login", headers={"Host": HOST})
    try:
        with opener(HOST, trusting).open(request, timeout=5) as answer:
            return f"{answer.status} {json.loads(answer.read())['path']}"
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def opener(host: str, context: ssl.SSLContext) -> urllib.request.OpenerDirector:
    """Opens URLs with an address, by a server that chooses its certificate by name."""
    return urllib.request.build_opener(_Named(host, context))


class _Named(urllib.request.HTTPSHandler):
    """Connects by address and asks for a host by SNI."""

    def __init__(self, host: str, context: ssl.SSLContext) -> None:
        super().__init__(context=_Sni(context, host))  # type: ignore[arg-type]


class _Sni:
    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._context, self._host = context, host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def wrap_socket(self, sock: Any, **_more: Any) -> Any:
        return self._context.wrap_socket(sock, server_hostname=self._host)


def until(client: KubeClient, wanted: str) -> None:
    """A gateway takes a change over within seconds."""
    told = ""
    for _try in range(60):
        told = asked(client)
        if told.startswith(wanted):
            return
        time.sleep(0.5)
    raise AssertionError(told)


def test_a_url_a_policy_and_a_dashboard_come_and_go(
    client: KubeClient, kubeconfig: str, samples: Path, certificate: None, tmp_path: Path
) -> None:
    board = tmp_path / "orders.json"
    board.write_text('{"title": "Orders", "uid": "orders", "panels": []}')
    wanted = {
        "images": {image_of(samples, "grafana"): STAND_IN},
        "urls": {"grafana": {"host": HOST, "certificate": CERTIFICATE}},
        "network_policies": {"grafana": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        "dashboards": [str(board)],
    }
    made = ("Gateway", "VirtualService", "NetworkPolicy")
    try:
        first = keep(kubeconfig, samples, "grafana", **wanted)
        created = {item["id"].partition(" ")[0] for item in first["objects"] if item["action"] == "created"}
        assert {*made, "ConfigMap", "Deployment"} <= created
        until(client, "200 /login")
        assert mounted(client) == {"orders.json": board.read_text()}
        assert keep(kubeconfig, samples, "grafana", **wanted)["changed"] is False
        without = keep(kubeconfig, samples, "grafana", images=wanted["images"])
        gone = {item["id"].partition(" ")[0] for item in without["objects"] if item["action"] == "deleted"}
        assert gone == {*made, "ConfigMap"}
    finally:
        keep(kubeconfig, samples)
    assert not asked(client).startswith("200")
    left = client.list("apps/v1", "Deployment", HOME, label_selector="servicemesh.istio/addon=grafana").items
    assert left == []
    assert keep(kubeconfig, samples)["changed"] is False


def mounted(client: KubeClient) -> dict[str, str]:
    """What lies in Grafana's container where its provider looks for dashboards of one's own."""
    config = client.get("v1", "ConfigMap", "grafana", HOME)
    assert config is not None
    providers = json.loads(config["data"]["dashboardproviders.yaml"])["providers"]
    (place,) = [one["options"]["path"] for one in providers if one["name"] == "own"]
    (pod, *_others) = [
        item
        for item in client.list("v1", "Pod", HOME, label_selector="app.kubernetes.io/name=grafana").items
        if "deletionTimestamp" not in item["metadata"]
    ]
    code = (
        "import json, pathlib, sys; "
        "print(json.dumps({p.name: p.read_text() for p in pathlib.Path(sys.argv[1]).glob('*.json')}))"
    )
    done = client.exec(HOME, pod["metadata"]["name"], "grafana", ["python3", "-c", code, place], timeout=30)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
