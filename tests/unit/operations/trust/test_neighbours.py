# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks nearly like a problem, or nearly like what is harmless: each beside its neighbour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ...support.certificates import DAY, NOW, certificate, ec_key, pem
from .test_planted import found
from .trusted_mesh import HOME, HOST, SHOP, TrustedMesh, b64, secret

Change = Callable[[TrustedMesh], Any]


@pytest.fixture
def mesh() -> TrustedMesh:
    return TrustedMesh()


def places(mesh: TrustedMesh, **params: Any) -> set[tuple[str, str, str]]:
    return {(kind, where, rule) for _verdict, kind, where, rule in found(mesh.run(**params))}


def gateway(mesh: TrustedMesh, *servers: dict[str, Any], name: str = "more", **spec: Any) -> None:
    mesh.cluster.put(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"namespace": SHOP, "name": name},
            "spec": {"selector": {"istio": "ingressgateway"}, "servers": list(servers), **spec},
        }
    )


def server(mode: str | None, *hosts: str, **tls: Any) -> dict[str, Any]:
    return {"hosts": list(hosts) or [HOST], "tls": {**({"mode": mode} if mode else {}), **tls}}


GONE = {("gateway", "Secret istio-system/gone", "missing")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda mesh: gateway(mesh, server("SIMPLE", credentialName="gone")), GONE),
        (lambda mesh: gateway(mesh, server("MUTUAL", credentialName="gone")), GONE),
        (lambda mesh: gateway(mesh, server("OPTIONAL_MUTUAL", credentialName="gone")), GONE),
        (lambda mesh: gateway(mesh, server(None, credentialName="gone")), GONE),
        (lambda mesh: gateway(mesh, server("SIMPLE", credentialNames=["api", "gone"])), GONE),
        (lambda mesh: gateway(mesh, server("PASSTHROUGH", credentialName="gone")), set()),
        (lambda mesh: gateway(mesh, server("ISTIO_MUTUAL", credentialName="gone")), set()),
        (lambda mesh: gateway(mesh, server("SIMPLE")), set()),
        (lambda mesh: gateway(mesh, {"hosts": [HOST]}), set()),
        # a Gateway that no pod serves names a Secret that nobody reads
        (lambda mesh: gateway(mesh, server("SIMPLE", credentialName="gone"), selector={"istio": "x"}), set()),
        # hosts: with and without a namespace, for all
        (lambda mesh: gateway(mesh, server("SIMPLE", "*", credentialName="api")), set()),
        (lambda mesh: gateway(mesh, server("SIMPLE", f"*/{HOST}", credentialName="api")), set()),
        (
            lambda mesh: gateway(mesh, server("SIMPLE", "other.example", credentialName="api")),
            {("gateway", "Secret istio-system/api", "san")},
        ),
    ],
)
def test_credentials_of_gateways(
    mesh: TrustedMesh, change: Change, expected: set[tuple[str, str, str]]
) -> None:
    change(mesh)
    assert places(mesh) == expected


def test_who_names_a_secret_is_told(mesh: TrustedMesh) -> None:
    gateway(mesh, server("SIMPLE", credentialName="gone"))
    gateway(mesh, server("SIMPLE", credentialName="gone"), name="again")
    (only,) = mesh.run()["findings"]
    assert only["reasons"][0]["message"] == "does not exist; Gateway shop/again, Gateway shop/more names it"


def without(mesh: TrustedMesh, key: str) -> None:
    mesh.change("Secret", "api", HOME, lambda obj: obj["data"].pop(key))


@pytest.mark.parametrize("key", ["cacert", "ca.crt"])
def test_the_ca_of_clients_may_lie_beside_the_pair(mesh: TrustedMesh, key: str) -> None:
    without(mesh, "ca.crt")
    mesh.cluster.put(secret(HOME, "api-cacert", **{key.replace(".", "_"): pem(mesh.root)}))
    assert places(mesh) == set()


def test_the_ca_of_clients_beside_the_pair_comes_first(mesh: TrustedMesh) -> None:
    old = certificate("old", ec_key(), ca=True, begin=NOW - 9 * DAY, end=NOW - DAY)
    mesh.cluster.put(secret(HOME, "api-cacert", ca_crt=pem(old)))
    assert places(mesh) == {("client CA", "Secret istio-system/api-cacert", "expired")}


def test_a_ca_of_clients_is_wanted_only_where_clients_show_certificates(mesh: TrustedMesh) -> None:
    without(mesh, "ca.crt")
    assert places(mesh) == {("client CA", "Secret istio-system/api", "missing")}
    mesh.change("Gateway", "public", SHOP, lambda obj: obj["spec"]["servers"][0]["tls"].update(mode="SIMPLE"))
    assert places(mesh) == set()


def left(mesh: TrustedMesh, **changes: Any) -> None:
    """A pair of ours that nobody names, or nearly."""
    made = secret(HOME, "old", changes.pop("type", "kubernetes.io/tls"), **mesh.pair(mesh.leaf, mesh.middle))
    labels = {"app.kubernetes.io/managed-by": "servicemesh.istio", "app.kubernetes.io/part-of": "shop"}
    made["metadata"]["labels"] = {**labels, **changes}
    mesh.cluster.put(made)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"app.kubernetes.io/managed-by": "Helm"}, False),
        ({"app.kubernetes.io/part-of": "other"}, False),
        ({"type": "Opaque"}, False),
    ],
)
def test_only_pairs_of_this_mesh_are_orphans(
    mesh: TrustedMesh, changes: dict[str, str], *, told: bool
) -> None:
    left(mesh, **changes)
    assert (places(mesh) == {("gateway", "Secret istio-system/old", "orphan")}) is told
    assert told or places(mesh) == set()


def rule(mesh: TrustedMesh, **spec: Any) -> None:
    mesh.change(
        "DestinationRule", "partner", SHOP, lambda obj: obj.update(spec={"host": "p.example.org", **spec})
    )


def names(mode: str, name: str = "gone") -> dict[str, Any]:
    return {"tls": {"mode": mode, "credentialName": name}}


@pytest.mark.parametrize(
    ("spec", "missing"),
    [
        ({"trafficPolicy": names("SIMPLE")}, True),
        ({"trafficPolicy": names("MUTUAL")}, True),
        ({"trafficPolicy": names("ISTIO_MUTUAL")}, False),
        ({"trafficPolicy": names("DISABLE")}, False),
        ({"trafficPolicy": {"tls": {"mode": "SIMPLE"}}}, False),
        ({"trafficPolicy": {"portLevelSettings": [{"port": {"number": 443}, **names("SIMPLE")}]}}, True),
        ({"subsets": [{"name": "a", "trafficPolicy": names("SIMPLE")}]}, True),
        ({"subsets": [{"name": "a", "trafficPolicy": {"portLevelSettings": [names("MUTUAL")]}}]}, True),
        ({}, False),
    ],
)
def test_where_a_destination_rule_names_a_secret(
    mesh: TrustedMesh, spec: dict[str, Any], *, missing: bool
) -> None:
    rule(mesh, **spec)
    assert places(mesh) == ({("origination", "Secret gone", "missing")} if missing else set())


def test_a_secret_of_an_origination_lies_beside_the_rule_or_with_a_gateway(mesh: TrustedMesh) -> None:
    rule(mesh, trafficPolicy=names("SIMPLE", "far"))
    (only,) = mesh.run()["findings"]
    assert only["reasons"][0]["message"] == (
        "DestinationRule shop/partner names it, and neither shop nor istio-system has it"
    )
    old = certificate("old", ec_key(), ca=True, begin=NOW - 9 * DAY, end=NOW - DAY)
    mesh.cluster.put(secret(HOME, "far", cacert=pem(old)))
    assert places(mesh) == {("origination", "Secret istio-system/far", "expired")}
    mesh.cluster.put(secret(SHOP, "far", cacert=pem(mesh.root)))
    assert places(mesh) == set()


@pytest.mark.parametrize(
    ("content", "rules"),
    [
        (b"\xff", {"unreadable"}),
        (b"[", {"unreadable"}),
        (b"text", {"unreadable"}),
        (b'{"clusters": [{"cluster": {"certificate-authority-data": "?"}}]}', {"unreadable"}),
        (b'{"users": [{"user": {"client-certificate-data": "?"}}]}', {"unreadable"}),
        (b"{}", set()),
        (b'{"users": [{"user": {"token": "t"}}], "clusters": [{"cluster": {"server": "https://x"}}]}', set()),
    ],
)
def test_kubeconfigs_of_remote_clusters(mesh: TrustedMesh, content: bytes, rules: set[str]) -> None:
    mesh.data("remote-b", b=content)
    assert {where[2] for where in places(mesh)} == rules
    assert {where[:2] for where in places(mesh)} <= {
        ("remote cluster", "Secret istio-system/remote-b, cluster b")
    }


def test_only_labelled_secrets_are_remote_clusters(mesh: TrustedMesh) -> None:
    mesh.data("remote-b", b=b"text")
    mesh.change("Secret", "remote-b", HOME, lambda obj: obj["metadata"].pop("labels"))
    assert places(mesh) == set()


def test_a_self_signed_ca_is_looked_at_where_nothing_is_plugged_in(mesh: TrustedMesh) -> None:
    data = mesh.cluster.find("Secret", "cacerts", HOME)
    assert data is not None
    mesh.cluster.put({**data, "metadata": {"name": "istio-ca-secret", "namespace": HOME}})
    mesh.data("istio-ca-secret", **{"ca-key_pem": b"x"})
    assert places(mesh) == set()
    mesh.cluster.remove("Secret", "cacerts", HOME)
    assert {where[:2] for where in places(mesh)} == {("mesh CA", "Secret istio-system/istio-ca-secret")}


def test_webhooks_of_others_are_theirs(mesh: TrustedMesh) -> None:
    obj = mesh.cluster.find("MutatingWebhookConfiguration", "istio")
    assert obj is not None
    service = obj["webhooks"][0]["clientConfig"]
    service["caBundle"] = b64(b"x")
    assert {where[0] for where in places(mesh)} == {"webhook"}
    service["service"]["namespace"] = "elsewhere"
    assert places(mesh) == set()


def test_the_runs_own_files_are_looked_at(mesh: TrustedMesh, tmp_path: Path) -> None:
    good, old = tmp_path / "ca.pem", tmp_path / "old.pem"
    good.write_bytes(pem(mesh.root))
    old.write_bytes(pem(certificate("old", ec_key(), ca=True, begin=NOW - 9 * DAY, end=NOW - DAY)))
    assert places(mesh, ca_cert=str(good)) == set()
    assert {(kind, rule_) for kind, _where, rule_ in places(mesh, ca_cert=str(old))} == {
        ("connection", "expired")
    }


@pytest.mark.parametrize(
    ("renewed", "told"), [("12:01:00", False), ("12:01:01", True), ("11:00:00", False), (None, False)]
)
def test_a_node_is_a_minute_ahead_at_most(mesh: TrustedMesh, renewed: str | None, *, told: bool) -> None:
    time = f"2026-11-23T{renewed}.000000Z" if renewed else "never"
    mesh.change("Lease", "n1", "kube-node-lease", lambda obj: obj["spec"].update(renewTime=time))
    assert places(mesh) == ({("clock", "Node n1", "clock-skew")} if told else set())


def test_the_first_of_alike_proxies_stands_for_all(mesh: TrustedMesh) -> None:
    mesh.proxy(SHOP, "web-2", "web", end=NOW + DAY / 3)
    soonest = [one for one in mesh.run()["soonest"] if one["kind"] == "workload"]
    assert [(one["where"], one["part"]) for one in soonest] == [
        ("shop/Pod/web-2", "1 proxy, the first to end"),
        ("istio-system/Pod/ingress-1", "1 proxy, the first to end"),
        ("shop/Pod/web-1", "1 proxy, the first to end"),
    ]
    owner = {"kind": "ReplicaSet", "name": "web", "controller": True}
    for name in ("web-1", "web-2"):
        mesh.change("Pod", name, SHOP, lambda obj: obj["metadata"].update(ownerReferences=[owner]))
    soonest = [one for one in mesh.run()["soonest"] if one["where"].startswith("shop/ReplicaSet")]
    assert [(one["where"], one["part"], one["days_left"]) for one in soonest] == [
        ("shop/ReplicaSet/web", "2 proxies, the first to end", 0.333)
    ]


def test_the_page_counts_what_there_is_and_nothing_else(mesh: TrustedMesh, tmp_path: Path) -> None:
    page = tmp_path / "trust.html"
    result = mesh.run(report_path=[str(page)])
    counted = ", ".join(f"{count} {verdict}" for verdict, count in result["counts"].items() if count)
    assert f"looked at: {counted}. As of 2026-11-23 12:00 UTC" in page.read_text(encoding="utf-8")
    assert " 0 " not in counted
    assert not counted.startswith("0")
