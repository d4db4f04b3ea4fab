# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thirty planted problems, each found at its place and for its reason; a healthy mesh says nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.handshake import Presented
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.mesh_ca import Bundle
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.journal import (
    RotationJournal,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.trust.sources import webhooks
from cryptography.x509.oid import ExtendedKeyUsageOID

from ...support.certificates import DAY, NOW, certificate, ec_key, key_pem, pem
from .trusted_mesh import HOME, HOST, SHOP, TrustedMesh, b64, pod, secret

Plant = Callable[[TrustedMesh], Any]


@pytest.fixture
def mesh() -> TrustedMesh:
    return TrustedMesh()


def found(result: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return [
        (entry["verdict"], entry["kind"], entry["where"], entry["reasons"][0]["rule"])
        for entry in result["findings"]
    ]


def test_a_healthy_mesh_says_nothing(mesh: TrustedMesh) -> None:
    result = mesh.run()
    assert found(result) == []
    assert (result["status"], result["changed"]) == ("pass", False)
    kinds = {"gateway", "gateway CA", "client CA", "mesh CA", "mesh root", "workload", "webhook"}
    kinds |= {"remote cluster", "origination"}
    soonest = {entry["kind"] for entry in result["soonest"]}
    assert soonest <= kinds
    assert result["headline"].startswith("pass: ")
    assert "the first to end is istio-system/Pod/ingress-1 in 0.5 days" in result["headline"]
    assert mesh.cluster.writes == mesh.cluster.dry_runs == []


def gateway_chain(*chain: Any, key: Any = None) -> Plant:
    return lambda mesh: mesh.data("api", **mesh.pair(*[make(mesh) for make in chain], key=key))


def middle(mesh: TrustedMesh) -> Any:
    return mesh.middle


def leaf(**options: Any) -> Callable[[TrustedMesh], Any]:
    hosts = options.pop("hosts", (HOST,))
    return lambda mesh: mesh.leaf_of(*hosts, **options)


def old_middle(mesh: TrustedMesh) -> Any:
    return certificate(
        "middle", mesh.middle_key, issuer=("root", mesh.root_key), ca=True, begin=NOW - 9 * DAY, end=NOW - DAY
    )


def roots(mesh: TrustedMesh, *certificates: Any) -> None:
    for namespace in (HOME, SHOP):
        mesh.change(
            "ConfigMap",
            "istio-ca-root-cert",
            namespace,
            lambda obj: obj["data"].update({"root-cert.pem": pem(*certificates).decode()}),
        )


def ending_root(mesh: TrustedMesh) -> None:
    second = certificate("old", ec_key(), ca=True, begin=NOW - 3640 * DAY, end=NOW + 10 * DAY)
    roots(mesh, mesh.root, second)


def other_roots(mesh: TrustedMesh) -> None:
    mesh.change(
        "ConfigMap",
        "istio-ca-root-cert",
        SHOP,
        lambda obj: obj["data"].update({"root-cert.pem": pem(mesh.client).decode()}),
    )


def orphan(mesh: TrustedMesh) -> None:
    left = secret(HOME, "old", "kubernetes.io/tls", **mesh.pair(mesh.leaf, mesh.middle))
    left["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "app.kubernetes.io/part-of": "shop",
    }
    mesh.cluster.put(left)


def other_authority(mesh: TrustedMesh) -> None:
    mesh.webhook("MutatingWebhookConfiguration", pem(certificate("b", ec_key(), ca=True)))


def remote(mesh: TrustedMesh, content: bytes) -> None:
    mesh.data("remote-b", b=content)


def ended_client(mesh: TrustedMesh) -> None:
    old = certificate(
        "client",
        ec_key(),
        issuer=("root", mesh.root_key),
        usage=ExtendedKeyUsageOID.CLIENT_AUTH,
        begin=NOW - 9 * DAY,
        end=NOW - DAY,
    )
    text = f'{{"users": [{{"name": "b", "user": {{"client-certificate-data": "{b64(pem(old))}"}}}}]}}'
    remote(mesh, text.encode())


def node_ahead(mesh: TrustedMesh) -> None:
    mesh.change(
        "Lease", "n1", "kube-node-lease", lambda obj: obj["spec"].update(renewTime="2026-11-23T12:01:01.0Z")
    )


def without_client_ca(mesh: TrustedMesh) -> None:
    mesh.change("Secret", "api", HOME, lambda obj: obj["data"].pop("ca.crt"))


API, ROOTS = "Secret istio-system/api", "ConfigMap istio-system/istio-ca-root-cert"
CACERTS = "Secret istio-system/cacerts"
PLANTED: list[tuple[str, Plant, tuple[str, str, str, str]]] = [
    (
        "leaf ended",
        gateway_chain(leaf(begin=NOW - 9 * DAY, end=NOW), middle),
        ("fail", "gateway", API, "expired"),
    ),
    (
        "leaf not yet valid",
        gateway_chain(leaf(begin=NOW + DAY), middle),
        ("fail", "gateway", API, "future"),
    ),
    (
        "leaf due",
        gateway_chain(leaf(begin=NOW - 68 * DAY, end=NOW + 32 * DAY), middle),
        ("due", "gateway", API, "due"),
    ),
    (
        "leaf ends soon",
        gateway_chain(leaf(begin=NOW - 90 * DAY, end=NOW + 10 * DAY), middle),
        ("fail", "gateway", API, "ending"),
    ),
    (
        "leaf outlives its issuer",
        gateway_chain(leaf(end=NOW + 400 * DAY), middle),
        ("fail", "gateway", API, "outlives"),
    ),
    (
        "intermediate ended",
        gateway_chain(leaf(end=NOW + DAY), old_middle),
        ("fail", "gateway", API, "expired"),
    ),
    ("other host", gateway_chain(leaf(hosts=("www.example.com",)), middle), ("fail", "gateway", API, "san")),
    ("order of the chain", gateway_chain(middle, leaf()), ("fail", "gateway", API, "key-mismatch")),
    ("foreign key", gateway_chain(leaf(), middle, key=ec_key()), ("fail", "gateway", API, "key-mismatch")),
    ("garbage", lambda mesh: mesh.data("api", tls_crt=b"x"), ("fail", "gateway", API, "no-certificate")),
    (
        "a key beside the certificate",
        lambda mesh: mesh.data("api", tls_crt=pem(mesh.leaf, mesh.middle) + key_pem(mesh.leaf_key)),
        ("fail", "gateway", API, "foreign-block"),
    ),
    (
        "a certificate that cannot be parsed",
        lambda mesh: mesh.data(
            "api",
            tls_crt=pem(mesh.leaf) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
        ("fail", "gateway", API, "unreadable"),
    ),
    (
        "blocks that are joined",
        lambda mesh: mesh.data("api", tls_crt=pem(mesh.leaf).rstrip() + pem(mesh.middle)),
        ("fail", "gateway", API, "skipped"),
    ),
    (
        "shadowed by keys that istiod prefers",
        lambda mesh: mesh.data("api", cert=pem(certificate("x", mesh.leaf_key)), key=key_pem(mesh.leaf_key)),
        ("fail", "gateway", API, "san"),
    ),
    (
        "no Secret",
        lambda mesh: mesh.cluster.remove("Secret", "api", HOME),
        ("fail", "gateway", API, "missing"),
    ),
    ("orphan", orphan, ("due", "gateway", "Secret istio-system/old", "orphan")),
    ("no client CA", without_client_ca, ("fail", "client CA", API, "missing")),
    (
        "client CA ended",
        lambda mesh: mesh.data("api", ca_crt=pem(old_middle(mesh))),
        ("fail", "client CA", API, "expired"),
    ),
    ("second root ends", ending_root, ("fail", "mesh root", ROOTS, "ending")),
    (
        "other roots in a namespace",
        other_roots,
        ("fail", "mesh root", "ConfigMap shop/istio-ca-root-cert", "other-roots"),
    ),
    (
        "root not taken over",
        lambda mesh: mesh.data(
            "cacerts",
            **{"root-cert_pem": pem(mesh.root, certificate("n", ec_key(), ca=True, end=NOW + 999 * DAY))},
        ),
        ("fail", "mesh root", CACERTS, "not-published"),
    ),
    (
        "signer ended",
        lambda mesh: mesh.data("cacerts", **{"ca-cert_pem": pem(old_middle(mesh)), "cert-chain_pem": b""}),
        ("fail", "mesh CA", CACERTS, "expired"),
    ),
    (
        "signer's key is another's",
        lambda mesh: mesh.data("cacerts", **{"ca-key_pem": key_pem(ec_key())}),
        ("fail", "mesh CA", CACERTS, "key-mismatch"),
    ),
    (
        "signer is no CA",
        lambda mesh: mesh.data(
            "cacerts",
            **{
                "ca-cert_pem": pem(mesh.leaf),
                "ca-key_pem": key_pem(mesh.leaf_key),
                "cert-chain_pem": pem(mesh.leaf, mesh.middle),
            },
        ),
        ("fail", "mesh CA", CACERTS, "not-a-ca"),
    ),
    (
        "no CA is seen",
        lambda mesh: mesh.cluster.remove("Secret", "cacerts", HOME),
        ("cannot tell", "mesh CA", "namespace istio-system", "not-seen"),
    ),
    (
        "webhook trusts another CA",
        other_authority,
        ("fail", "webhook", "MutatingWebhookConfiguration istio", "bundle-mismatch"),
    ),
    (
        "webhook trusts nobody",
        lambda mesh: mesh.webhook("ValidatingWebhookConfiguration", b""),
        ("fail", "webhook", "ValidatingWebhookConfiguration istio", "no-certificate"),
    ),
    (
        "proxy with an ended certificate",
        lambda mesh: mesh.proxy(SHOP, "web-1", "web", end=NOW - DAY / 4),
        ("fail", "workload", "proxy shop/web-1", "identity"),
    ),
    (
        "proxy whose certificate ends soon",
        lambda mesh: mesh.proxy(SHOP, "web-1", "web", end=NOW + DAY / 24),
        ("fail", "workload", "proxy shop/web-1", "ending"),
    ),
    (
        "proxy with another root",
        lambda mesh: mesh.proxy(SHOP, "web-1", "web", root=mesh.client),
        ("fail", "workload", "proxy shop/web-1", "identity"),
    ),
    (
        "proxy that says nothing",
        lambda mesh: mesh.certs.update({"shop/web-1": "no JSON"}),
        ("cannot tell", "workload", "proxy shop/web-1", "not-seen"),
    ),
    (
        "remote kubeconfig is none",
        lambda mesh: remote(mesh, b"- a"),
        ("fail", "remote cluster", "Secret istio-system/remote-b, cluster b", "unreadable"),
    ),
    (
        "remote client ended",
        ended_client,
        ("fail", "remote cluster", "Secret istio-system/remote-b, cluster b", "expired"),
    ),
    (
        "origination without its Secret",
        lambda mesh: mesh.cluster.remove("Secret", "partner", SHOP),
        ("fail", "origination", "Secret partner", "missing"),
    ),
    (
        "origination's CA ended",
        lambda mesh: mesh.change(
            "Secret", "partner", SHOP, lambda obj: obj["data"].update({"ca.crt": b64(pem(old_middle(mesh)))})
        ),
        ("fail", "origination", "Secret shop/partner", "expired"),
    ),
    ("node's clock", node_ahead, ("fail", "clock", "Node n1", "clock-skew")),
]


@pytest.mark.parametrize(
    ("plant", "expected"), [entry[1:] for entry in PLANTED], ids=[entry[0] for entry in PLANTED]
)
def test_a_planted_problem_is_found(
    mesh: TrustedMesh, plant: Plant, expected: tuple[str, str, str, str]
) -> None:
    plant(mesh)
    result = mesh.run()
    assert expected in found(result)
    assert result["status"] != "pass"
    assert not result["headline"].startswith("pass")


# Which causes have consequences elsewhere, too: a CA that signs nothing any more breaks what it signed.
ALONE = [
    entry
    for entry in PLANTED
    if entry[0] not in ("order of the chain", "signer ended", "signer is no CA", "intermediate ended")
]


@pytest.mark.parametrize(
    ("plant", "expected"), [entry[1:] for entry in ALONE], ids=[entry[0] for entry in ALONE]
)
def test_a_planted_problem_is_the_only_one_that_is_told(
    mesh: TrustedMesh, plant: Plant, expected: tuple[str, str, str, str]
) -> None:
    plant(mesh)
    assert {entry[:3] for entry in found(mesh.run())} == {expected[:3]}


@pytest.mark.parametrize("kind", ["Secret", "Pod", "ConfigMap", "Gateway", "DestinationRule", "Lease"])
def test_what_may_not_be_read_is_never_a_pass(mesh: TrustedMesh, kind: str) -> None:
    mesh.cluster.forbidden.add(kind)
    result = mesh.run()
    assert result["status"] == "cannot tell"
    assert result["counts"]["cannot tell"] > 0


def test_nothing_is_asked_for_twice(mesh: TrustedMesh) -> None:
    mesh.run()
    asked = [(call.verb, call.kind, call.namespace, call.name, call.selector) for call in mesh.cluster.calls]
    asked = [call for call in asked if call[0] in ("get", "list")]
    assert len(asked) == len(set(asked)), sorted(map(str, asked))


def test_proxies_beyond_the_limit_are_never_a_pass(mesh: TrustedMesh) -> None:
    result = mesh.run(max_proxies=2)
    assert found(result) == [("cannot tell", "workload", "proxies", "not-seen")]
    assert "1 of 3 proxies were not asked" in result["headline"]


@pytest.mark.parametrize(("seconds", "told"), [(61, "is 61 s ahead of"), (-61, "is 61 s behind")])
def test_the_machine_s_own_clock(mesh: TrustedMesh, seconds: int, told: str) -> None:
    mesh.clock.time += seconds
    result = mesh.run()
    assert found(result) == [("fail", "clock", "this machine", "clock-skew")]
    assert result["findings"][0]["reasons"][0]["message"] == f"{told} the API server's"


@pytest.mark.parametrize("seconds", [60, -60])
def test_a_minute_is_no_skew(mesh: TrustedMesh, seconds: int) -> None:
    mesh.clock.time += seconds
    assert found(mesh.run()) == []


def istiod(mesh: TrustedMesh) -> None:
    made = pod(HOME, "istiod-1", "istiod", {"app": "istiod"}, "10.0.0.9")
    for container in (made["spec"]["containers"][0], made["status"]["containerStatuses"][0]):
        container["name"] = "discovery"
    mesh.cluster.put(made)


@pytest.mark.parametrize(
    ("end", "refusal", "rules"),
    [
        (NOW + 60 * DAY, "", []),
        (NOW + 60 * DAY, "unable to get local issuer certificate", ["bundle-mismatch", "bundle-mismatch"]),
        (NOW, "", ["expired"]),
    ],
)
def test_what_istiod_serves(
    mesh: TrustedMesh, monkeypatch: pytest.MonkeyPatch, end: Any, refusal: str, rules: list[str]
) -> None:
    istiod(mesh)
    served = mesh.leaf_of("istiod.istio-system.svc", begin=NOW - 60 * DAY, end=end)
    asked: list[tuple[str, int, str]] = []

    def presented(address: str, port: int, host: str) -> bytes:
        asked.append((address, port, host))
        return pem(served)

    monkeypatch.setattr(webhooks, "_presented", presented)
    monkeypatch.setattr(webhooks, "handshake", lambda *_rest, **_more: Presented(refusal))
    result = mesh.run()
    told = [reason["rule"] for entry in result["findings"] for reason in entry["reasons"]]
    assert (asked, told) == ([("10.0.0.9", 15017, "istiod.istio-system.svc")], rules)


def test_an_istiod_out_of_reach_is_never_a_pass(mesh: TrustedMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    istiod(mesh)

    def refuse(*_rest: Any) -> bytes:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(webhooks, "_presented", refuse)
    (entry,) = mesh.run()["findings"]
    assert (entry["verdict"], entry["where"]) == ("cannot tell", "Pod istio-system/istiod-1:15017")
    assert entry["reasons"][0]["message"] == "is not reachable from here: Connection refused"


def test_limits_by_kind(mesh: TrustedMesh) -> None:
    limits = {"workload": {"due": 0.6, "fail": 0.1}, "mesh root": {"fail": 0}}
    assert {entry[:2] for entry in found(mesh.run(limits=limits))} == {("due", "workload")}


def test_the_catalogue_s_credentials_are_expected(mesh: TrustedMesh) -> None:
    gateways = [
        {
            "workload_namespace": HOME,
            "service_account": "a",
            "servers": [{"host": HOST, "certificate": "new"}],
        }
    ]
    (only,) = mesh.run(gateways=gateways)["findings"]
    assert only["where"] == "Secret istio-system/new"
    assert only["reasons"][0]["message"] == "does not exist; the catalogue names it"


@pytest.mark.parametrize("plant", [entry[1] for entry in PLANTED], ids=[entry[0] for entry in PLANTED])
def test_no_key_is_in_any_output(mesh: TrustedMesh, plant: Plant, tmp_path: Path) -> None:
    plant(mesh)
    files = [tmp_path / f"trust{suffix}" for suffix in (".json", ".xml", ".prom", ".html")]
    text = str(mesh.run(report_path=[str(file) for file in files]))
    text += "".join(file.read_text(encoding="utf-8") for file in files)
    for key in (mesh.leaf_key, mesh.root_key, mesh.middle_key):
        assert key_pem(key).splitlines()[1].decode() not in text
        assert base64.b64encode(key_pem(key)).decode()[40:100] not in text


CATALOGUE = [
    {"workload_namespace": HOME, "service_account": "a", "servers": [{"host": HOST, "certificate": "api"}]}
]


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (None, "no rotation with certificates_record has gone well yet"),
        ("2026-11-23T09:59:59.000000Z", "the last rotation went well 2.0 h ago, more than two periods"),
        ("2026-11-23T10:00:00.000000Z", ""),
        ("never", "no rotation with certificates_record has gone well yet"),
    ],
)
def test_a_schedule_that_died_is_found(mesh: TrustedMesh, last: str | None, told: str) -> None:
    if last:
        annotations = {"servicemesh.istio/last-success": last}
        mesh.cluster.put(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {
                    "namespace": HOME,
                    "name": "servicemesh-certificates",
                    "annotations": annotations,
                },
            }
        )
    assert mesh.run(gateways=CATALOGUE)["status"] == "pass", "none is scheduled"
    result = mesh.run(gateways=CATALOGUE, rotation_period=3600)
    assert [reason["message"] for entry in result["findings"] for reason in entry["reasons"]] == (
        [told] if told else []
    )


def test_a_rotation_that_was_not_finished_is_told(mesh: TrustedMesh) -> None:
    orphan(mesh)
    mesh.change(
        "Secret",
        "old",
        HOME,
        lambda obj: obj["metadata"].update(annotations={"servicemesh.istio/previous-of": "api"}),
    )
    assert found(mesh.run()) == [("due", "gateway", "Secret istio-system/old", "unfinished")]


def rotating(mesh: TrustedMesh, hours: float, **changes: Any) -> Any:
    """A rotation of the mesh's CA in mid-way: proxies of both roots, a ConfigMap that is late."""
    key = ec_key()
    new_root = certificate("new root", key, ca=True, end=NOW + 3000 * DAY)
    new = certificate("new CA", ec_key(), issuer=("new root", key), ca=True, end=NOW + 700 * DAY)
    old = Bundle(pem(mesh.middle), key_pem(mesh.middle_key), pem(mesh.middle), pem(mesh.root))
    journal = RotationJournal(
        namespace=HOME,
        mesh="shop",
        old=old,
        new=Bundle(pem(new), key_pem(key), pem(new), pem(new_root)),
        before={"ca-cert.pem": b64(pem(mesh.middle)), "root-cert.pem": b64(pem(mesh.root))},
        tls=False,
        live=False,
        begun=(NOW - DAY * hours / 24).strftime("%Y-%m-%dT%H:%M:%SZ"),
        mark="2026-11-23T11:00:00Z",
    )
    mesh.cluster.put({**journal.as_object(), **changes})
    roots(mesh, new_root, mesh.root)
    mesh.change(
        "ConfigMap",
        "istio-ca-root-cert",
        SHOP,
        lambda obj: obj["data"].update({"root-cert.pem": pem(mesh.root).decode()}),
    )
    mesh.proxy(SHOP, "web-1", "web", root=new_root)
    return new_root


JOURNAL_OF_A_ROTATION = "Secret istio-system/servicemesh-mesh-ca-rotation"


@pytest.mark.parametrize(
    ("hours", "told"),
    [(1, ("due", "in-progress")), (71.9, ("due", "in-progress")), (73, ("fail", "unfinished"))],
)
def test_a_rotation_of_the_mesh_s_ca_is_told_and_its_stages_are_no_alarm(
    mesh: TrustedMesh, hours: float, told: tuple[str, str]
) -> None:
    rotating(mesh, hours)
    (entry,) = mesh.run()["findings"]
    reason = entry["reasons"][0]
    assert (entry["verdict"], entry["kind"], entry["where"], reason["rule"]) == (
        told[0],
        "rotation",
        JOURNAL_OF_A_ROTATION,
        told[1],
    )
    assert f"at stage both, begun {hours:.1f} h ago" in reason["message"]


def test_a_root_that_is_of_no_stage_is_an_alarm(mesh: TrustedMesh) -> None:
    rotating(mesh, 1)
    other_roots(mesh)
    assert ("fail", "mesh root", "ConfigMap shop/istio-ca-root-cert", "other-roots") in found(mesh.run())


def test_a_journal_that_cannot_be_read_is_never_a_pass(mesh: TrustedMesh) -> None:
    rotating(mesh, 1, data={})
    assert mesh.run()["status"] in ("cannot tell", "fail")
