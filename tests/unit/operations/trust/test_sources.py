# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each place where trust is looked for: what it says in full, and what it does when it may not look."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

import contextlib
import dataclasses
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.target import Target
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Credential,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.trust import TrustJudge
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.proof import (
    ServingProof,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.trust.look import TrustLook, seen
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.trust.sources import (
    authorities,
    clocks,
    clusters,
    gateways,
    mesh_ca,
    rotations,
    webhooks,
    workloads,
)

from ...support.access import Restricted, granted_by
from ...support.certificates import DAY, NOW, certificate, ec_key, key_pem, pem
from .test_planted import istiod, orphan, rotating
from .trusted_mesh import HOME, SHOP, TrustedMesh, b64, secret

Told = tuple[str, str, str, str, str]
Source = Callable[[TrustLook], Iterator[Any]]
OLD_ROOT = certificate("old", ec_key(), ca=True, begin=NOW - 9 * DAY, end=NOW - DAY)


@pytest.fixture
def mesh() -> TrustedMesh:
    return TrustedMesh()


def look_at(mesh: TrustedMesh, **changes: Any) -> TrustLook:
    given: dict[str, Any] = {
        "client": mesh.cluster,
        "judge": TrustJudge(NOW),
        "clock": mesh.clock,
        "target": Target("kubeconfig k", {}, {}),
        "mesh": "shop",
        "istio_namespace": HOME,
        "credentials": (),
        "authority_home": ("servicemesh-system", "servicemesh-ca"),
        "max_proxies": 9,
        **changes,
    }
    return TrustLook(**given)


def told(source: Source, mesh: TrustedMesh, **changes: Any) -> list[Told]:
    """Verdict, place, part, rule and words of every reason; of a pass without words."""
    return [
        (
            entry.verdict,
            entry.where,
            entry.part,
            reason.rule if reason else "",
            reason.message if reason else "",
        )
        for entry in source(look_at(mesh, **changes))
        for reason in entry.reasons or (None,)
    ]


# -- looking -------------------------------------------------------------------------------------------------


def test_what_may_not_be_looked_at_is_said_after_what_was_found() -> None:
    def half(look: TrustLook) -> Iterator[Any]:
        yield look.judge.wrong("clock", "Node a", "clock", "r", "m")
        raise ApiError("no right", status=403)

    def broken(_look: TrustLook) -> Iterator[Any]:
        yield from ()
        raise MalformedError("spec is a list")

    def wrong(_look: TrustLook) -> Iterator[Any]:
        yield from ()
        raise KeyError("x")

    look = look_at(TrustedMesh())
    assert [
        (one.verdict, one.where, one.reasons[0].message) for one in seen("clock", "the clocks", half, look)
    ] == [
        ("fail", "Node a", "m"),
        ("cannot tell", "the clocks", "no right"),
    ]
    assert [
        (one.verdict, one.where, one.reasons[0].message) for one in seen("clock", "here", broken, look)
    ] == [("cannot tell", "here", "spec is a list")]
    with pytest.raises(KeyError):
        seen("clock", "here", wrong, look)


def test_lists_are_read_once_for_each_place_and_selector(mesh: TrustedMesh) -> None:
    look = look_at(mesh)
    assert look.listed("v1", "Secret", HOME) is look.listed("v1", "Secret", HOME)
    assert len(look.listed("v1", "Secret", SHOP)) < len(look.listed("v1", "Secret", HOME))
    assert look.listed("v1", "Secret", HOME, label_selector="a=b") == []
    assert len([call for call in mesh.cluster.calls if call.verb == "list"]) == 3
    mesh.cluster.missing.add("Gateway")
    assert look_at(mesh).gateways == []


def test_proxies_and_gateways_are_in_their_order(mesh: TrustedMesh) -> None:
    mesh.proxy("a", "z", "z")
    mesh.cluster.put({**mesh.cluster.of_kind("Gateway")[0], "metadata": {"namespace": "a", "name": "z"}})
    assert [str(proxy) for proxy in look_at(mesh).proxies] == [
        "a/z",
        f"{HOME}/ingress-1",
        "shop/web-1",
        "shop/web-2",
    ]
    assert [one["metadata"]["namespace"] for one in look_at(mesh).gateways] == ["a", SHOP]


# -- clocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (60, ""),
        (61.4, "is 61 s ahead of the API server's"),
        (-60, ""),
        (-90, "is 90 s behind the API server's"),
    ],
)
def test_this_machine_s_clock(mesh: TrustedMesh, seconds: float, message: str) -> None:
    mesh.clock.time += seconds
    expected = [("fail", "this machine", "clock", "clock-skew", message)] if message else []
    assert told(clocks.clocks, mesh) == expected


def test_a_node_ahead_is_told_and_one_that_is_silent_is_not(mesh: TrustedMesh) -> None:
    for name, time in (("n2", "2026-11-23T12:02:00.000000Z"), ("n3", None), ("n4", "2026-11-22T12:00:00Z")):
        lease = {
            **mesh.cluster.of_kind("Lease")[0],
            "metadata": {"namespace": "kube-node-lease", "name": name},
        }
        mesh.cluster.put({**lease, "spec": {"renewTime": time} if time else {}})
    far = {**mesh.cluster.of_kind("Lease")[1], "metadata": {"namespace": "other", "name": "n9"}}
    mesh.cluster.put({**far, "spec": {"renewTime": "2026-11-23T13:00:00.000000Z"}})
    assert told(clocks.clocks, mesh) == [
        ("fail", "Node n2", "clock", "clock-skew", "is 120 s ahead of the API server's")
    ]


# -- rotations -----------------------------------------------------------------------------------------------


def test_each_namespace_with_a_credential_has_its_own_rotation(mesh: TrustedMesh) -> None:
    named = (Credential(SHOP, "a", ("h",)), Credential(HOME, "b", ("h",)), Credential(HOME, "c", ("h",)))
    never = "no rotation with certificates_record has gone well yet"
    assert told(rotations.rotations, mesh, credentials=named) == []
    assert told(rotations.rotations, mesh, credentials=named, rotation_period=60.0) == [
        ("fail", f"Lease {namespace}/servicemesh-certificates", "last run", "no-rotation", never)
        for namespace in (HOME, SHOP)
    ]
    assert told(rotations.rotations, mesh, rotation_period=60.0) == []


def test_a_rotation_of_the_mesh_s_ca_in_full(mesh: TrustedMesh) -> None:
    assert told(mesh_ca.mesh_ca_rotation, mesh) == []
    rotating(mesh, 3)
    where = f"Secret {HOME}/servicemesh-mesh-ca-rotation"
    begun = "a rotation of the mesh's CA is at stage both, begun 3.0 h ago: playbook rotate_mesh_ca.yml leads it on"
    assert told(mesh_ca.mesh_ca_rotation, mesh) == [("due", where, "mesh CA", "in-progress", begun)]
    limit = 3 * 3600.0
    assert [one[0] for one in told(mesh_ca.mesh_ca_rotation, mesh, mesh_ca_limit=limit)] == ["due"]
    assert told(mesh_ca.mesh_ca_rotation, mesh, mesh_ca_limit=limit / 2) == [
        ("fail", where, "mesh CA", "unfinished", f"{begun}; it should have ended after 1.5 h")
    ]


@pytest.mark.parametrize(("back", "way"), [(True, "back"), (False, "on")])
def test_which_way_a_rotation_goes_and_that_it_has_to_say_since_when(
    mesh: TrustedMesh, *, back: bool, way: str
) -> None:
    rotating(mesh, 1)
    journal = look_at(mesh).rotation
    assert journal is not None
    turned = dataclasses.replace(journal, back=back)
    mesh.cluster.put(turned.as_object())
    assert told(mesh_ca.mesh_ca_rotation, mesh)[0][4].endswith(f"leads it {way}")
    mesh.cluster.put(dataclasses.replace(turned, begun="soon").as_object())
    assert told(mesh_ca.mesh_ca_rotation, mesh) == [
        (
            "cannot tell",
            f"Secret {HOME}/servicemesh-mesh-ca-rotation",
            "",
            "not-seen",
            "does not say when the rotation began",
        )
    ]


# -- authorities ---------------------------------------------------------------------------------------------

ROOTS = f"ConfigMap {HOME}/istio-ca-root-cert"


def roots_of(mesh: TrustedMesh, namespace: str, text: bytes) -> None:
    mesh.change(
        "ConfigMap",
        "istio-ca-root-cert",
        namespace,
        lambda obj: obj["data"].update({"root-cert.pem": text.decode()}),
    )


def test_roots_that_nobody_publishes_are_not_seen(mesh: TrustedMesh) -> None:
    roots_of(mesh, HOME, b"")
    expected = [("cannot tell", ROOTS, "", "not-seen", "does not exist, or holds no root")]
    assert told(authorities.mesh_roots, mesh) == expected
    mesh.cluster.remove("ConfigMap", "istio-ca-root-cert", HOME)
    assert told(authorities.mesh_roots, mesh) == expected


def test_other_roots_of_a_namespace_in_full(mesh: TrustedMesh) -> None:
    roots_of(mesh, SHOP, pem(mesh.root, mesh.middle))
    other = {**mesh.cluster.of_kind("ConfigMap")[0], "metadata": {"namespace": SHOP, "name": "mine"}}
    mesh.cluster.put(other)  # of another name: anybody's
    assert told(authorities.mesh_roots, mesh) == [
        ("pass", ROOTS, "root", "", ""),
        (
            "fail",
            "ConfigMap shop/istio-ca-root-cert",
            "root",
            "other-roots",
            f"holds other roots than {ROOTS}: proxies that start there trust nobody else",
        ),
    ]
    roots_of(mesh, SHOP, b"")
    assert [one[3] for one in told(authorities.mesh_roots, mesh)] == ["", "other-roots"]
    roots_of(mesh, SHOP, b"\n" + pem(mesh.root))
    assert [one[3] for one in told(authorities.mesh_roots, mesh)] == [""]


def test_while_the_ca_is_rotated_the_roots_of_both_stages_are_right_and_none_is_not(
    mesh: TrustedMesh,
) -> None:
    new_root = rotating(mesh, 1)
    for held, fine in (
        (pem(mesh.root), True),
        (pem(new_root), True),
        (pem(new_root, mesh.root), True),
        (pem(mesh.root, mesh.client), False),
        (b"", False),
    ):
        roots_of(mesh, SHOP, held)
        assert ([one for one in told(authorities.mesh_roots, mesh) if one[0] == "fail"] == []) is fine


CACERTS = f"Secret {HOME}/cacerts"


def test_what_istiod_signs_with_in_full(mesh: TrustedMesh) -> None:
    assert told(authorities.mesh_authority, mesh) == [
        ("pass", CACERTS, "signer", "", ""),
        ("pass", CACERTS, "root", "", ""),
    ]
    mesh.cluster.remove("Secret", "cacerts", HOME)
    assert told(authorities.mesh_authority, mesh) == [
        (
            "cannot tell",
            f"namespace {HOME}",
            "",
            "not-seen",
            "holds neither Secret cacerts nor istio-ca-secret: another CA signs, which is not looked at",
        )
    ]


def test_a_chain_that_begins_above_the_signer_is_put_together_with_it(mesh: TrustedMesh) -> None:
    mesh.data("cacerts", **{"cert-chain_pem": pem(mesh.root)})
    assert [one[:3] for one in told(authorities.mesh_authority, mesh)] == [
        ("pass", CACERTS, "signer"),
        ("pass", CACERTS, "issuer 1"),
        ("pass", CACERTS, "root"),
    ]
    mesh.data("cacerts", **{"cert-chain_pem": b""})
    assert [one[2] for one in told(authorities.mesh_authority, mesh)] == ["signer", "root"]


def test_faults_of_the_signer_stand_with_the_signer_alone(mesh: TrustedMesh) -> None:
    mesh.data("cacerts", **{"ca-key_pem": key_pem(ec_key()), "cert-chain_pem": pem(mesh.middle, mesh.root)})
    found = told(authorities.mesh_authority, mesh)
    assert [(one[0], one[2], one[3]) for one in found] == [
        ("fail", "signer", "key-mismatch"),
        ("pass", "issuer 1", ""),
        ("pass", "root", ""),
    ]


def test_a_root_that_istiod_has_not_taken_over_in_full(mesh: TrustedMesh) -> None:
    second = certificate("second", ec_key(), ca=True, end=NOW + 999 * DAY)
    mesh.data("cacerts", **{"root-cert_pem": pem(mesh.root, second)})
    assert told(authorities.mesh_authority, mesh)[-1] == (
        "fail",
        CACERTS,
        "root",
        "not-published",
        f"holds a root that {ROOTS} does not: istiod did not take it over (ISTIO_MULTIROOT_MESH), or has not started again",
    )
    roots_of(mesh, HOME, pem(mesh.root, second, mesh.client))
    assert [one[0] for one in told(authorities.mesh_authority, mesh)] == ["pass", "pass", "pass"]
    mesh.cluster.remove("ConfigMap", "istio-ca-root-cert", HOME)
    assert [one[0] for one in told(authorities.mesh_authority, mesh)] == ["pass", "pass", "pass"]


def test_the_ca_of_the_gateways(mesh: TrustedMesh) -> None:
    assert told(authorities.gateway_authority, mesh) == [
        ("pass", "Secret servicemesh-system/servicemesh-ca", "signer", "", "")
    ]
    assert told(authorities.gateway_authority, mesh, authority_home=("servicemesh-system", "other")) == []
    mesh.data("servicemesh-ca", "servicemesh-system", tls_crt=b"")
    assert [one[3] for one in told(authorities.gateway_authority, mesh)] == ["no-certificate"]


# -- clusters ------------------------------------------------------------------------------------------------


def test_the_run_s_own_certificate_and_ca(mesh: TrustedMesh, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(pem(mesh.root))

    def connected(cluster: dict[str, str], user: dict[str, str]) -> list[Told]:
        return told(clusters.connection, mesh, target=Target("kubeconfig k", cluster, user))

    assert connected({}, {}) == []
    inline = connected(
        {"certificate-authority-data": b64(pem(mesh.root))}, {"client-certificate-data": b64(pem(OLD_ROOT))}
    )
    assert [one[:4] for one in inline] == [
        ("fail", "kubeconfig k", "client certificate", "expired"),
        ("pass", "kubeconfig k", "CA of the API server", ""),
    ]
    # data comes before a file, and a file that is not there hides nothing else
    gone = str(tmp_path / "gone.pem")
    both = {"certificate-authority-data": b64(pem(mesh.root)), "certificate-authority": gone}
    assert [one[0] for one in connected(both, {})] == ["pass"]
    assert connected({"certificate-authority": str(file)}, {"client-certificate": gone}) == [
        (
            "cannot tell",
            "kubeconfig k",
            "",
            "not-seen",
            f"client certificate {gone} cannot be read: No such file or directory",
        ),
        ("pass", "kubeconfig k", "CA of the API server", "", ""),
    ]
    assert connected({"certificate-authority-data": "?"}, {}) == [
        (
            "fail",
            "kubeconfig k",
            "CA of the API server",
            "unreadable",
            "certificate-authority-data is not base64",
        )
    ]


def test_remote_clusters_in_full(mesh: TrustedMesh) -> None:
    where = f"Secret {HOME}/remote-b, cluster b"
    assert told(clusters.remote_clusters, mesh) == [
        ("pass", where, "CA", "", ""),
        ("pass", where, "client", "", ""),
    ]
    mesh.data("remote-b", b=b"- a", c=b"\xff")
    assert told(clusters.remote_clusters, mesh) == [
        ("fail", f"Secret {HOME}/remote-b, cluster {key}", "kubeconfig", "unreadable", "holds no kubeconfig")
        for key in ("b", "c")
    ]


def test_originations_in_full(mesh: TrustedMesh) -> None:
    where = "Secret shop/partner"
    assert told(clusters.originations, mesh) == [("pass", where, "CA", "", "")]
    mesh.change(
        "Secret",
        "partner",
        SHOP,
        lambda obj: obj.update(
            data={
                "cacert": b64(pem(OLD_ROOT)),
                "ca.crt": b64(pem(mesh.root)),
                "cert": b64(pem(mesh.client)),
                "key": b64(b"key"),
                "tls.crt": b64(b"x"),
            }
        ),
    )
    assert [one[:4] for one in told(clusters.originations, mesh)] == [
        ("fail", where, "CA", "expired"),
        ("pass", where, "leaf", ""),
    ]
    mesh.cluster.put(secret(SHOP, "partner-cacert", ca_crt=pem(mesh.root)))
    assert [one[:4] for one in told(clusters.originations, mesh)] == [
        ("pass", "Secret shop/partner-cacert", "CA", ""),
        ("pass", where, "leaf", ""),
    ]
    mesh.cluster.remove("Secret", "partner", SHOP)
    assert [one[:2] for one in told(clusters.originations, mesh)] == [("pass", "Secret shop/partner-cacert")]


def test_a_secret_of_an_origination_that_may_not_be_read_is_not_looked_for_elsewhere(
    mesh: TrustedMesh,
) -> None:
    mesh.cluster.put(secret(HOME, "partner", ca_crt=pem(mesh.root)))
    mesh.cluster.fail("get", "Secret", 403, when=lambda call: call.namespace == SHOP)
    ((verdict, where, _part, rule, _message),) = told(clusters.originations, mesh)
    assert (verdict, where, rule) == ("cannot tell", "Secret shop/partner", "not-seen")


# -- webhooks ------------------------------------------------------------------------------------------------


def put_webhooks(mesh: TrustedMesh, *entries: tuple[str, str, str, bytes | str]) -> None:
    """Name, namespace and name of the Service, bundle (text as it stands there)."""
    mesh.cluster.remove("ValidatingWebhookConfiguration", "istio")
    found = mesh.cluster.find("MutatingWebhookConfiguration", "istio")
    assert found is not None
    found["webhooks"] = [
        {
            "name": name,
            "clientConfig": {
                "service": {"namespace": namespace, "name": service},
                "caBundle": b64(bundle) if isinstance(bundle, bytes) else bundle,
            },
        }
        for name, namespace, service, bundle in entries
    ]


def test_webhooks_that_say_the_same_are_one_entry(mesh: TrustedMesh) -> None:
    root, second = pem(mesh.root), pem(mesh.root, mesh.middle)
    put_webhooks(
        mesh,
        ("a", HOME, "istiod", root),
        ("b", HOME, "istiod", second),
        ("c", HOME, "istiod", root),
        ("d", HOME, "istiod-r2", root),
        ("e", "other", "istiod", b"x"),
        ("f", HOME, "istiod", "?"),
        ("g", HOME, "another-injector", b"y"),  # somebody else's, beside istiod
    )
    where = "MutatingWebhookConfiguration istio"
    assert told(webhooks.webhooks, mesh) == [
        ("pass", where, "caBundle of a, c", "", ""),
        ("pass", where, "caBundle of b 1", "", ""),
        ("pass", where, "caBundle of b 2", "", ""),
        ("pass", where, "caBundle of d", "", ""),
        ("fail", where, "caBundle of f", "no-certificate", "holds no PEM certificate"),
    ]


def test_a_bundle_of_another_ca_is_told_at_its_first_block(mesh: TrustedMesh) -> None:
    others = [certificate(name, ec_key(), ca=True) for name in "xy"]
    put_webhooks(mesh, ("a", HOME, "istiod", pem(*others)))
    where = "MutatingWebhookConfiguration istio"
    said = "holds none of the mesh's roots: the API server refuses istiod"
    assert told(webhooks.webhooks, mesh) == [
        ("fail", where, "caBundle of a 1", "bundle-mismatch", said),
        ("pass", where, "caBundle of a 2", "", ""),
    ]
    roots_of(mesh, HOME, b"")  # of roots that are not known nothing can differ
    assert [one[0] for one in told(webhooks.webhooks, mesh)] == ["pass", "pass"]


@contextlib.contextmanager
def serving(tmp_path: Path, *chain: Any, key: Any) -> Iterator[int]:
    """A server with this pair. :returns: its port; whoever connects gets the certificate and nothing else."""
    file = tmp_path / "pair.pem"
    file.write_bytes(pem(*chain) + key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _address = server.accept()
                except OSError:
                    return
                with (
                    contextlib.suppress(OSError),
                    context.wrap_socket(connection, server_side=True) as secure,
                ):
                    secure.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def put_istiod(mesh: TrustedMesh, revision: str = "", ip: str = "127.0.0.1") -> None:
    istiod(mesh)

    def change(obj: dict[str, Any]) -> None:
        obj["status"]["podIP"] = ip
        if revision:
            obj["metadata"]["labels"]["istio.io/rev"] = revision

    mesh.change("Pod", "istiod-1", HOME, change)


@pytest.mark.parametrize(("revision", "host"), [("", "istiod"), ("default", "istiod"), ("r2", "istiod-r2")])
def test_what_istiod_presents_is_held_against_the_bundles_of_its_own_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str, host: str
) -> None:
    mesh, today = TrustedMesh(), datetime.datetime.now(datetime.UTC)
    key, times = ec_key(), {"begin": today - DAY, "end": today + DAY}
    root = certificate("root", mesh.root_key, ca=True, **times)
    own = certificate("istiod", key, issuer=("root", mesh.root_key), hosts=(f"{host}.{HOME}.svc",), **times)
    stranger = certificate("stranger", ec_key(), ca=True, **times)
    put_istiod(mesh, revision)
    where = f"Pod {HOME}/istiod-1"
    with serving(tmp_path, own, key=key) as port:
        monkeypatch.setattr(webhooks, "WEBHOOK_PORT", port)
        judge = TrustJudge(today)
        put_webhooks(
            mesh, ("a", HOME, host, pem(root)), ("b", HOME, "another", pem(stranger)), ("c", HOME, host, b"x")
        )
        assert told(webhooks.istiods, mesh, judge=judge) == [("pass", f"{where}:{port}", "leaf", "", "")]
        put_webhooks_again = pem(stranger)
        found = mesh.cluster.find("MutatingWebhookConfiguration", "istio")
        assert found is not None
        found["webhooks"][0]["clientConfig"]["caBundle"] = b64(put_webhooks_again)
        ((verdict, place, _part, rule, message),) = told(webhooks.istiods, mesh, judge=judge)
    assert (verdict, place, rule) == ("fail", f"{where}:{port}", "bundle-mismatch")
    assert message.startswith("is refused by MutatingWebhookConfiguration istio: ")
    assert "certificate" in message


def test_an_istiod_of_another_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mesh: TrustedMesh
) -> None:
    put_istiod(mesh)
    key = ec_key()
    with serving(tmp_path, certificate("x", key, hosts=("other.example",)), key=key) as port:
        monkeypatch.setattr(webhooks, "WEBHOOK_PORT", port)
        put_webhooks(mesh)
        ((verdict, _where, part, rule, message),) = told(webhooks.istiods, mesh)
    assert (verdict, part, rule) == ("fail", "leaf", "san")
    assert message == "does not cover istiod.istio-system.svc (its names: other.example)"


@pytest.mark.parametrize("how", ["closed", "no TLS"])
def test_an_istiod_that_cannot_be_asked_is_not_seen(
    monkeypatch: pytest.MonkeyPatch, mesh: TrustedMesh, how: str
) -> None:
    put_istiod(mesh)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(webhooks, "WEBHOOK_PORT", port)
        if how == "closed":
            server.close()
        else:

            def answer() -> None:
                connection, _address = server.accept()
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

            threading.Thread(target=answer, daemon=True).start()
        ((verdict, where, _part, rule, message),) = told(webhooks.istiods, mesh)
    assert (verdict, where, rule) == ("cannot tell", f"Pod {HOME}/istiod-1:{port}", "not-seen")
    assert message.startswith("is not reachable from here: ")
    assert len(message) > len("is not reachable from here: ")


def test_an_istiod_that_takes_no_requests_is_not_asked(mesh: TrustedMesh) -> None:
    put_istiod(mesh, ip="192.0.2.1")
    mesh.change("Pod", "istiod-1", HOME, lambda obj: obj["status"].update(conditions=[]))
    assert told(webhooks.istiods, mesh) == []


# -- workloads -----------------------------------------------------------------------------------------------


def test_a_proxy_that_may_not_be_asked_is_not_seen_and_hides_no_other(mesh: TrustedMesh) -> None:
    def refuse(namespace: str, pod: str, _port: int, _path: str) -> str:
        if pod == "web-1":
            raise ApiError("no right to forward ports", status=403)
        return mesh.certs[f"{namespace}/{pod}"]

    mesh.cluster.on_ask = refuse
    assert told(workloads.workloads, mesh) == [
        ("cannot tell", "proxy shop/web-1", "", "not-seen", "no right to forward ports"),
        ("pass", f"{HOME}/Pod/ingress-1", "1 proxy, the first to end", "", ""),
        ("pass", "shop/Pod/web-2", "1 proxy, the first to end", "", ""),
    ]


def test_of_more_proxies_than_are_asked_how_many_are_missing_is_told(mesh: TrustedMesh) -> None:
    assert told(workloads.workloads, mesh, max_proxies=1)[-1] == (
        "cannot tell",
        "proxies",
        "",
        "not-seen",
        "2 of 3 proxies were not asked",
    )
    assert len(told(workloads.workloads, mesh, max_proxies=3)) == 3


def test_a_proxy_without_a_certificate_is_a_fail(mesh: TrustedMesh) -> None:
    mesh.certs["shop/web-1"] = '{"certificates": []}'
    found = [one for one in told(workloads.workloads, mesh) if one[0] != "pass"]
    assert [one[:2] for one in found] == [("fail", "proxy shop/web-1")]


def test_a_proxy_of_another_identity_keeps_its_dates(mesh: TrustedMesh) -> None:
    mesh.certs["shop/web-1"] = mesh.certs_of(SHOP, "other")
    entries = [one for one in workloads.workloads(look_at(mesh)) if one.verdict != "pass"]
    (entry,) = entries
    assert (entry.verdict, entry.where, entry.part) == ("fail", "proxy shop/web-1", "leaf")
    assert [reason.rule for reason in entry.reasons] == ["identity"]
    assert entry.life is not None
    assert entry.life.not_after == NOW + DAY / 2
    assert entry.life.not_before == NOW - DAY / 2
    assert entry.life.subject == "spiffe://cluster.local/ns/shop/sa/other"


# -- gateways ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        (ServingProof("pass", "handshake", "1 handshakes"), []),
        (
            ServingProof("fail", "handshake", "presents another"),
            [("fail", f"Secret {HOME}/api", "served", "not-served", "presents another")],
        ),
        (
            ServingProof("cannot tell", "proxy secret", "no right"),
            [("cannot tell", f"Secret {HOME}/api", "", "not-seen", "no right")],
        ),
    ],
)
def test_what_the_pods_of_a_gateway_serve(
    mesh: TrustedMesh, monkeypatch: pytest.MonkeyPatch, proof: ServingProof, expected: list[Told]
) -> None:
    asked: list[Any] = []

    def look(
        _client: Any, credential: Credential, endpoints: Any, *, fingerprint: str, roots_pem: str
    ) -> ServingProof:
        asked.append((str(credential), [one.server_name for one in endpoints], len(fingerprint), roots_pem))
        return proof

    monkeypatch.setattr(gateways, "look_at_pods", look)
    assert told(gateways.gateway_credentials, mesh)[-1][1] == f"Secret {HOME}/api"
    assert asked == []  # no pod with an address
    mesh.change("Pod", "ingress-1", HOME, lambda obj: obj["status"].update(podIP="10.0.0.1"))
    assert [one for one in told(gateways.gateway_credentials, mesh) if one[0] != "pass"] == expected
    assert asked == [(asked[0][0], ["api.example.com"], 64, "")]
    mesh.data("api", tls_crt=b"x")
    told(gateways.gateway_credentials, mesh)
    assert len(asked) == 1  # of what is no certificate nothing can be served


def test_a_credential_that_may_not_be_read_is_not_seen_and_hides_no_other(mesh: TrustedMesh) -> None:
    named = (Credential(HOME, "a", ("a.example",)),)
    mesh.cluster.fail("get", "Secret", 403, when=lambda call: call.name == "a")
    found = told(gateways.gateway_credentials, mesh, credentials=named)
    assert [one[:4] for one in found][:2] == [
        ("cannot tell", f"Secret {HOME}/a", "", "not-seen"),
        ("pass", f"Secret {HOME}/api", "leaf", ""),
    ]


def test_a_key_that_cannot_be_read_is_told(mesh: TrustedMesh) -> None:
    mesh.data("api", tls_key=b"x")
    found = told(gateways.gateway_credentials, mesh)
    assert found[0][:4] == ("fail", f"Secret {HOME}/api", "leaf", "key")
    assert found[0][4].startswith("its private key ")
    assert [one[0] for one in found[1:]] == ["pass", "pass"]


def test_the_ca_of_the_clients_in_full(mesh: TrustedMesh) -> None:
    mesh.change("Secret", "api", HOME, lambda obj: obj["data"].pop("ca.crt"))
    assert told(gateways.gateway_credentials, mesh)[-1] == (
        "fail",
        f"Secret {HOME}/api",
        "client CA",
        "missing",
        "holds no CA for client certificates (cacert or ca.crt), and there is no api-cacert",
    )


def test_a_secret_beside_counts_also_where_it_holds_no_ca(mesh: TrustedMesh) -> None:
    """istiod looks for no other one (pilot/pkg/credentials/kube/secrets.go GetCaCert)."""
    mesh.cluster.put(secret(HOME, "api-cacert", other=b"x"))
    assert told(gateways.gateway_credentials, mesh)[-1][:4] == (
        "fail",
        f"Secret {HOME}/api-cacert",
        "client CA",
        "missing",
    )


def test_the_ca_of_the_clients_in_a_secret_of_its_own(mesh: TrustedMesh) -> None:
    """``caCertCredentialName`` (istio pilot/pkg/security/model/authentication.go)."""
    mesh.change("Secret", "api", HOME, lambda obj: obj["data"].pop("ca.crt"))

    def named(title: str) -> list[tuple[str, ...]]:
        def change(obj: dict[str, Any]) -> None:
            obj["spec"]["servers"][0]["tls"]["caCertCredentialName"] = title

        mesh.change("Gateway", "public", SHOP, change)
        return told(gateways.gateway_credentials, mesh)

    assert named("clients")[-1] == (
        "fail",
        f"Secret {HOME}/clients",
        "client CA",
        "missing",
        "does not exist: it is to hold the CA of client certificates",
    )
    mesh.cluster.put(secret(HOME, "clients", cacert=pem(mesh.root)))
    assert named("clients")[-1][:3] == ("pass", f"Secret {HOME}/clients", "client CA")
    assert "client CA" not in [one[2] for one in named("configmap://roots")]


def test_a_ca_that_two_credentials_name_is_told_once(mesh: TrustedMesh) -> None:
    found = mesh.cluster.find("Secret", "api", HOME)
    assert found is not None
    mesh.cluster.put({**found, "metadata": {"namespace": HOME, "name": "other"}})
    mesh.cluster.put(secret(HOME, "clients", cacert=pem(mesh.root)))

    def change(obj: dict[str, Any]) -> None:
        (server,) = obj["spec"]["servers"]
        server["tls"]["caCertCredentialName"] = "clients"
        second = {**server, "tls": {**server["tls"], "credentialName": "other"}}
        obj["spec"]["servers"] = [server, second]

    mesh.change("Gateway", "public", SHOP, change)
    where = [one[1] for one in told(gateways.gateway_credentials, mesh) if one[2] == "client CA"]
    assert where == [f"Secret {HOME}/clients"]


def test_what_a_gateway_names_and_is_no_secret_is_not_looked_for(mesh: TrustedMesh) -> None:
    before = told(gateways.gateway_credentials, mesh)

    def more(obj: dict[str, Any]) -> None:
        obj["spec"]["servers"][0]["tls"]["credentialNames"] = ["configmap://roots"]

    mesh.change("Gateway", "public", SHOP, more)
    assert told(gateways.gateway_credentials, mesh) == before


def test_pairs_of_ours_that_nobody_names_in_full(mesh: TrustedMesh) -> None:
    orphan(mesh)
    said = "no Gateway and no server of the catalogue names it: delete it"
    where = f"Secret {HOME}/old"
    assert [one for one in told(gateways.gateway_credentials, mesh) if one[1] == where] == [
        ("due", where, "leaf", "orphan", said)
    ]
    assert [
        one
        for one in told(gateways.gateway_credentials, mesh, authority_home=(HOME, "old"))
        if one[1] == where
    ] == []
    mesh.change(
        "Secret",
        "old",
        HOME,
        lambda obj: obj["metadata"].update(annotations={"servicemesh.istio/previous-of": "api"}),
    )
    assert [one[3:] for one in told(gateways.gateway_credentials, mesh) if one[1] == where] == [
        ("unfinished", "the rotation of api was not finished: run playbook certificates again")
    ]


def test_the_rights_of_the_documentation_are_enough_and_none_is_too_much(mesh: TrustedMesh) -> None:
    """What istiod presents is read over the network, which no right is needed for."""
    granted = granted_by("trust.yaml", {"ecommerce": SHOP})
    client = mesh.cluster = Restricted(mesh.cluster, granted)
    servers = [{"host": "api.example.com", "certificate": "api"}]
    gateways = [{"name": "public", "workload": "istio-ingressgateway", "servers": servers}]
    mesh.run(gateways=gateways, rotation_period=3600)
    assert client.refused == set()
    assert granted - client.used == set()
