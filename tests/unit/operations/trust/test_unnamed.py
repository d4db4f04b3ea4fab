# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates in no Secret that anybody names: proxies show them; CAs in files are not passed over."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.certificates import (
    Shown,
    foreign_certificates,
)

from ...support.certificates import DAY, NOW
from .trusted_mesh import HOME, SHOP, TrustedMesh

INGRESS = f"{HOME}/ingress-1"
PLACE = f"{HOME}/Pod/ingress-1 (1 proxy), in no Secret looked at"


@pytest.fixture
def mesh() -> TrustedMesh:
    return TrustedMesh()


def link(serial: str, end: datetime.datetime, *names: str, path: str = "<inline>") -> dict[str, Any]:
    told = "%Y-%m-%dT%H:%M:%SZ"
    begin = NOW - 60 * DAY
    return {
        "path": path,
        "serial_number": serial,
        "subject_alt_names": [{"dns": name} for name in names],
        "valid_from": begin.strftime(told),
        "expiration_time": end.strftime(told),
    }


def shows(mesh: TrustedMesh, proxy: str, *chain: dict[str, Any]) -> None:
    told = json.loads(mesh.certs[proxy])
    told["certificates"].append({"cert_chain": list(chain), "ca_cert": []})
    mesh.certs[proxy] = json.dumps(told)


def findings(mesh: TrustedMesh) -> list[tuple[str, str, str, str]]:
    result = mesh.run()
    return [
        (one["kind"], one["verdict"], one["where"], f"{one['part']} {one['reasons'][0]['rule']}".strip())
        for one in result["findings"]
    ]


@pytest.mark.parametrize(
    ("chain", "told"),
    [
        ([link("af", NOW + 60 * DAY, "k8s.example.com")], []),
        (
            [link("af", NOW + 5 * DAY, "k8s.example.com")],
            [("gateway", "fail", PLACE, "k8s.example.com ending")],
        ),
        (
            [link("af", NOW + 25 * DAY, "a.example.com", "b.example.com")],
            [("gateway", "due", PLACE, "a.example.com, b.example.com due")],
        ),
        (
            [link("af", NOW - DAY, path="/etc/certs/tls.crt")],
            [("gateway", "fail", PLACE, "/etc/certs/tls.crt expired")],
        ),
        ([link("af", NOW - DAY)], [("gateway", "fail", PLACE, "af expired")]),
        (
            [link("1", NOW + 60 * DAY, "a.example.com"), link("02", NOW - DAY)],
            [("gateway", "fail", PLACE, "2 expired")],
        ),
    ],
)
def test_a_certificate_that_only_the_proxy_shows(
    mesh: TrustedMesh, chain: list[dict[str, Any]], told: list[Any]
) -> None:
    shows(mesh, INGRESS, *chain)
    assert findings(mesh) == told


def test_one_that_was_found_in_a_secret_is_told_once(mesh: TrustedMesh) -> None:
    """In /certs its number begins with the zeros that Envoy leaves or not."""
    shows(mesh, INGRESS, link(f"00{mesh.leaf.serial_number:X}", NOW - DAY, "api.example.com"))
    assert findings(mesh) == []


def test_one_that_many_proxies_of_a_workload_use_is_told_once(mesh: TrustedMesh) -> None:
    for name in ("web-1", "web-2"):
        found = mesh.cluster.find("Pod", name, SHOP)
        assert found is not None
        found["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "web", "controller": True}]
        found["spec"]["containers"][0]["args"] = ["proxy", "sidecar"]
        shows(mesh, f"{SHOP}/{name}", link("af", NOW - DAY, path="/etc/client.pem"))
    where = f"{SHOP}/StatefulSet/web (2 proxies), in no Secret looked at"
    assert findings(mesh) == [("origination", "fail", where, "/etc/client.pem expired")]


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ({"mode": "SIMPLE", "caCertificates": "/etc/ca.pem"}, True),
        ({"mode": "MUTUAL", "caCertificates": "/etc/ca.pem"}, True),
        ({"mode": "SIMPLE", "caCertificates": "system"}, False),
        ({"mode": "SIMPLE"}, False),
        ({"mode": "DISABLE", "caCertificates": "/etc/ca.pem"}, False),
        ({"mode": "SIMPLE", "credentialName": "partner", "caCertificates": "/etc/ca.pem"}, False),
    ],
)
def test_a_ca_in_a_file_of_the_pods_is_never_passed_over(
    mesh: TrustedMesh, tls: dict[str, str], told: bool
) -> None:
    mesh.change("DestinationRule", "partner", SHOP, lambda o: o["spec"].update(trafficPolicy={"tls": tls}))
    expected = [("origination", "cannot tell", f"DestinationRule {SHOP}/partner", "not-seen")]
    assert findings(mesh) == (expected if told else [])


def test_a_gateway_s_ca_for_clients_in_a_file_is_never_passed_over(mesh: TrustedMesh) -> None:
    tls = {
        "mode": "MUTUAL",
        "serverCertificate": "/etc/certs/tls.crt",
        "privateKey": "/etc/certs/tls.key",
        "caCertificates": "/etc/certs/clients.pem",
    }
    server = {"port": {"number": 444, "name": "files", "protocol": "HTTPS"}, "hosts": ["*"], "tls": tls}
    mesh.change("Gateway", "public", SHOP, lambda o: o["spec"]["servers"].append(server))
    assert findings(mesh) == [("client CA", "cannot tell", f"Gateway {SHOP}/public", "not-seen")]


def test_the_mesh_s_own_and_what_cannot_be_read_is_not_foreign() -> None:
    own = {**link("1", NOW), "subject_alt_names": [{"uri": "spiffe://cluster.local/ns/a/sa/b"}]}
    foreign = link("0aF", NOW, "a.example.com")
    undated = {**foreign, "valid_from": "soon"}
    contexts = [
        {"cert_chain": [own, link("2", NOW)]},
        {"cert_chain": [foreign, undated]},
        {"cert_chain": [foreign]},
        {"ca_cert": [foreign]},
    ]
    begin, end = (NOW - 60 * DAY).timestamp(), NOW.timestamp()
    assert foreign_certificates(json.dumps({"certificates": contexts})) == [
        Shown("af", begin, end, ("a.example.com",))
    ]
    assert [foreign_certificates(text) for text in ("", "[]", "{}", '{"certificates": [1]}')] == [[]] * 4
