"""Part of check mtls: the certificates that the proxies of a service serve."""

from __future__ import annotations

import json

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.mtls.certificates import (
    HeldCertificates,
    MeshRoots,
    check_certificates,
)

from ..builders import catalogue, service

MESH = catalogue(service("web"), service("pay", callers=[{"service": "web"}]))


def test_no_certificates_were_read() -> None:
    assert check_certificates(MESH.services[0], ["shop/web-1"], {}, roots=frozenset(), now=0) == []


def served(identity: str) -> HeldCertificates:
    times = {"valid_from": "2026-01-01T00:00:00Z", "expiration_time": "2027-01-01T00:00:00Z"}
    leaf = {"subject_alt_names": [{"uri": f"spiffe://{identity}"}], **times}
    held = {"cert_chain": [leaf], "ca_cert": [{"serial_number": "1", **times}]}
    return HeldCertificates(json.dumps({"certificates": [held]}), frozenset({b"root"}))


GOOD = "certificates of cluster.local/ns/shop/sa/web alone, in time, under the mesh's root"


@pytest.mark.parametrize(
    ("pods", "told"),
    [
        ({"web-1": True}, f"pass: {GOOD}, in 1 proxies"),
        ({"web-1": True, "web-2": True}, f"pass: {GOOD}, in 2 proxies"),
        ({"web-1": True, "web-2": None}, "cannot tell: the certificates of pod shop/web-2 were not read"),
        ({"web-1": None, "web-2": True, "web-3": None, "web-4": None},
         "cannot tell: the certificates of pod shop/web-1 and 2 more were not read"),
        ({"web-1": None, "web-2": True, "web-3": False},
         "fail: the proxy of pod shop/web-3 serves spiffe://cluster.local/ns/shop/sa/evil"),
    ],
)  # fmt: skip
def test_certificates_pass_where_all_of_them_were_read(pods: dict[str, bool | None], told: str) -> None:
    account = {True: "web", False: "evil"}
    held = {
        f"shop/{name}": served(f"cluster.local/ns/shop/sa/{account[good]}")
        for name, good in pods.items()
        if good is not None
    }
    (found,) = check_certificates(
        MESH.services[0],
        [f"shop/{name}" for name in pods],
        held,
        roots=MeshRoots(frozenset({"1"}), frozenset({b"root"})),
        now=1_780_000_000,
    )
    assert f"{found.verdict}: {found.message}".startswith(told)
