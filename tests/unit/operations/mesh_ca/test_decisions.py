# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which CA is wanted and why, where its root is kept, and what a run says that finds another one's rotation."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

import base64
import dataclasses
import datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.mesh_ca import Bundle
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.make import (
    Root,
    new_bundle,
    new_root,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.options import read_options
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.source import (
    WantedCa,
    is_same,
    keep_root,
    settle_root,
    wanted_ca,
)

from ...support.certificates import DAY, NOW, certificate, ec_key, key_pem, pem
from ...support.cluster import FakeCluster
from .rotating_mesh import HOME, SAFE, RotatingMesh, b64
from .test_backend import GIVEN, data_of
from .test_edges import options

Obj = dict[str, Any]
KEPT = new_root("shop", NOW - DAY, 3650 * DAY)
OURS = new_bundle(KEPT, "shop", NOW - DAY, 730 * DAY)
NAME = "servicemesh-mesh-root"


def kept(root: Root, title: str = NAME, **labels: str) -> Obj:
    data = {"tls.crt": b64(root.certificate), "tls.key": b64(root.key)}
    ours = {
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "app.kubernetes.io/part-of": "shop",
        **labels,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": title, "namespace": SAFE, "labels": ours},
        "data": data,
    }


def wanted(live: Bundle | None, *objects: Obj, now: datetime.datetime = NOW, **params: Any) -> WantedCa:
    return wanted_ca(FakeCluster(*objects), read_options(options(**params)), now, live)


FOREIGN_ROOT = new_root("other", NOW - DAY, 3650 * DAY)
FOREIGN = new_bundle(FOREIGN_ROOT, "other", NOW - DAY, 730 * DAY)
OLD_AGE = OURS.signer.not_valid_after_utc


@pytest.mark.parametrize(
    ("live", "objects", "params", "now", "why", "due"),
    [
        (None, [], {}, NOW, "there is none yet", False),
        (None, [kept(KEPT)], {}, NOW, "there is none yet", False),
        (OURS, [], {}, NOW, "its root is not one of ours", False),
        (OURS, [kept(KEPT)], {}, NOW, "", False),
        (FOREIGN, [kept(KEPT)], {}, NOW, "its root is not the one that is kept", False),
        (dataclasses.replace(OURS, roots=OURS.roots + FOREIGN.roots), [kept(KEPT)], {}, NOW,
         "its root is not the one that is kept", False),
        (dataclasses.replace(OURS, certificate=b"x"), [kept(KEPT)], {}, NOW, "the one of now cannot be read", False),
        (OURS, [kept(KEPT)], {"renew": "intermediate"}, NOW, "a new intermediate is asked for", True),
        (OURS, [kept(KEPT)], {"renew": "root"}, NOW, "a new root is asked for", True),
        (OURS, [kept(KEPT)], {}, OLD_AGE - 200 * DAY, f"it ends on {OLD_AGE:%Y-%m-%d}", True),
        (OURS, [kept(KEPT)], {}, OLD_AGE - 300 * DAY, "", False),
        (OURS, [kept(KEPT)], {"days": 3649, "root_days": 9999}, NOW, "", False),
        (OURS, [kept(KEPT)], {"days": 3650, "root_days": 9999}, NOW, "its root would not outlive a new intermediate", True),
        # a new root that waits for the end of a rotation is the one that counts
        (OURS, [kept(KEPT), kept(FOREIGN_ROOT, f"{NAME}-next")], {}, NOW, "its root is not the one that is kept", False),
        (FOREIGN, [kept(KEPT), kept(FOREIGN_ROOT, f"{NAME}-next")], {}, NOW, "", False),
    ],
)  # fmt: skip
def test_why_a_new_one_is_wanted(
    live: Bundle | None, objects: list[Obj], params: Obj, now: datetime.datetime, why: str, *, due: bool
) -> None:
    found = wanted(live, *objects, now=now, **params)
    assert (found.why, found.due) == (why, due)
    assert (found.bundle is live) is (why == "")


@pytest.mark.parametrize(
    ("objects", "params", "made"),
    [
        ([], {}, True),
        ([kept(KEPT)], {}, False),
        ([kept(KEPT)], {"renew": "intermediate"}, False),
        ([kept(KEPT)], {"renew": "root"}, True),
        ([kept(KEPT), kept(FOREIGN_ROOT, f"{NAME}-next")], {"renew": "root"}, False),  # it was made already
        ([kept(KEPT)], {"days": 3650, "root_days": 9999}, True),
    ],
)
def test_when_a_root_is_made(objects: list[Obj], params: Obj, *, made: bool) -> None:
    found = wanted(None, *objects, **params)
    assert (found.root is not None) is made
    trusted = found.root or (FOREIGN_ROOT if len(objects) > 1 else KEPT)
    assert found.bundle.trusted == (trusted.x509,)
    assert found.bundle.signer.issuer == trusted.x509.subject
    assert found.bundle.signer.not_valid_after_utc == NOW + datetime.timedelta(days=params.get("days", 730))
    if found.root is not None:
        assert found.root.x509.not_valid_after_utc == NOW + datetime.timedelta(
            days=params.get("root_days", 3650)
        )


@pytest.mark.parametrize("title", [NAME, f"{NAME}-next"])
def test_a_root_of_somebody_else_is_not_used(title: str) -> None:
    foreign = kept(KEPT, title, **{"app.kubernetes.io/part-of": "other"})
    with pytest.raises(RefusedError, match=f"Secret {SAFE}/{title} is to hold the mesh's root: ") as caught:
        wanted(None, foreign)
    assert caught.value.rule == "root"


def test_a_root_that_has_ended_is_refused() -> None:
    old = new_root("shop", NOW - 100 * DAY, 10 * DAY)
    with pytest.raises(RefusedError, match=f"the mesh's root in {SAFE}/{NAME}: .* is not valid now"):
        wanted(None, kept(old))


def test_a_provided_ca_is_judged_and_compared() -> None:
    given = {"source": "provided", **{key: GIVEN[key] for key in ("certificate", "private_key", "roots")}}
    first = wanted(None, **given)
    assert (first.why, first.due, first.root) == ("it is provided", False, None)
    assert wanted(first.bundle, **given).why == ""
    assert wanted(OURS, **given).why == "it is provided"
    key = ec_key()
    ended = certificate("x", key, ca=True, begin=NOW - 9 * DAY, end=NOW)
    bad = {
        "certificate": pem(ended).decode(),
        "private_key": key_pem(key).decode(),
        "roots": pem(ended).decode(),
    }
    with pytest.raises(InputError) as caught:
        wanted(None, source="provided", **bad)
    assert {problem.where for problem in caught.value.problems} == {"istio_ca_certificate"}
    assert "expired" in {problem.rule for problem in caught.value.problems}


def test_the_same_ca_is_the_same_signer_and_the_same_roots_in_any_order() -> None:
    both = dataclasses.replace(OURS, roots=OURS.roots + FOREIGN.roots)
    turned = dataclasses.replace(OURS, roots=FOREIGN.roots + OURS.roots)
    assert is_same(both, turned)
    assert not is_same(OURS, both)
    assert not is_same(None, OURS)
    assert not is_same(dataclasses.replace(OURS, certificate=FOREIGN.certificate), OURS)
    assert not is_same(dataclasses.replace(OURS, roots=b"x"), OURS)


# -- where the root is kept ------------------------------------------------------------------------------------


def roots_in(cluster: FakeCluster) -> dict[str, bytes]:
    return {
        secret["metadata"]["name"]: base64.b64decode(secret["data"]["tls.crt"])
        for secret in cluster.of_kind("Secret")
    }


@pytest.mark.parametrize(
    ("objects", "rotation", "title"),
    [([], False, NAME), ([], True, NAME), ([kept(FOREIGN_ROOT)], True, f"{NAME}-next")],
)
def test_a_new_root_lies_beside_the_one_in_use(objects: list[Obj], rotation: bool, title: str) -> None:
    cluster = FakeCluster(*objects)
    keep_root(cluster, read_options(options()), KEPT, rotation=rotation)
    assert roots_in(cluster)[title] == KEPT.certificate
    made = cluster.find("Secret", title, SAFE)
    assert made is not None
    assert made["type"] == "kubernetes.io/tls"
    assert base64.b64decode(made["data"]["tls.key"]) == KEPT.key
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "app.kubernetes.io/part-of": "shop",
    }
    assert cluster.find("Namespace", SAFE) is not None


def test_a_root_that_another_run_made_is_not_replaced() -> None:
    cluster = FakeCluster(kept(FOREIGN_ROOT))
    with pytest.raises(RefusedError):
        keep_root(cluster, read_options(options()), KEPT, rotation=False)
    assert roots_in(cluster) == {NAME: FOREIGN_ROOT.certificate}


def test_a_root_for_no_mesh_in_particular_has_no_label_of_one() -> None:
    cluster = FakeCluster()
    keep_root(cluster, read_options(options(mesh="")), KEPT, rotation=False)
    made = cluster.find("Secret", NAME, SAFE)
    assert made is not None
    assert made["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "servicemesh.istio"}


def test_a_root_in_a_file_is_in_no_secret(tmp_path: Path) -> None:
    cluster, path = FakeCluster(), tmp_path / "r.pem"
    keep_root(cluster, read_options(options(root_file=str(path))), KEPT, rotation=True)
    assert path.read_bytes() == KEPT.certificate + KEPT.key
    assert cluster.calls == []


@pytest.mark.parametrize(
    ("objects", "back", "left"),
    [
        ([], False, {}),
        ([kept(KEPT)], False, {NAME: KEPT}),
        ([kept(KEPT), kept(FOREIGN_ROOT, f"{NAME}-next")], False, {NAME: FOREIGN_ROOT}),
        ([kept(KEPT), kept(FOREIGN_ROOT, f"{NAME}-next")], True, {NAME: KEPT}),
        ([kept(FOREIGN_ROOT, f"{NAME}-next")], False, {NAME: FOREIGN_ROOT}),
        ([kept(FOREIGN_ROOT, f"{NAME}-next")], True, {}),
    ],
)
def test_the_end_of_a_rotation_leaves_one_root(objects: list[Obj], back: bool, left: dict[str, Root]) -> None:
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SAFE}}
    cluster = FakeCluster(home, *objects)
    settle_root(cluster, read_options(options()), back=back)
    assert roots_in(cluster) == {title: root.certificate for title, root in left.items()}


# -- runs that find something ----------------------------------------------------------------------------------


@pytest.fixture
def mesh() -> RotatingMesh:
    return RotatingMesh()


def test_a_provided_ca_is_needed_only_to_begin(mesh: RotatingMesh) -> None:
    with pytest.raises(
        InputError, match="istio_ca_certificate: is needed for istio_ca_source: provided, as long as no"
    ):
        mesh.run(action="rotate", source="provided")
    assert mesh.run(action="rotate", restart=False, **GIVEN)["outcome"] == "waiting"
    mesh.renew_all()
    assert mesh.run(action="rotate", source="provided")["outcome"] == "rotated"
    assert data_of(mesh)["ca-cert.pem"].decode() == GIVEN["certificate"]


def test_a_rotation_to_another_ca_is_ended_first_and_that_is_said(mesh: RotatingMesh) -> None:
    mesh.run(action="rotate", restart=False)
    mesh.warnings.clear()
    assert mesh.run(action="rotate", **GIVEN)["outcome"] == "rotated"
    assert mesh.warnings == [
        "a rotation to another CA was under way and has ended; run again for the provided one"
    ]
    mesh.warnings.clear()
    assert mesh.run(action="rotate", **GIVEN)["outcome"] == "rotated"
    assert mesh.warnings == []
    assert data_of(mesh)["ca-cert.pem"].decode() == GIVEN["certificate"]


def test_a_rollback_that_was_broken_off_is_ended_by_a_rotation_and_that_is_said(mesh: RotatingMesh) -> None:
    mesh.run(action="rotate", restart=False)
    mesh.cluster.fail("delete", "Secret", 503, when=lambda call: call.name == "servicemesh-mesh-ca-rotation")
    with pytest.raises(ApiError):
        mesh.run(action="rollback")
    mesh.warnings.clear()
    assert mesh.run(action="rotate")["outcome"] == "rolled back"
    assert mesh.warnings == [
        "a rotation that was being rolled back is rolled back now; run again to begin anew"
    ]
    assert mesh.roots_held() == {mesh.root}
    mesh.warnings.clear()
    assert mesh.run(action="rollback")["outcome"] == "fresh"
    assert mesh.warnings == ["no rotation of the mesh's CA is under way: there is nothing to roll back"]


def test_a_rollback_says_nothing_of_what_it_was_asked_for(mesh: RotatingMesh) -> None:
    mesh.run(action="rotate", restart=False)
    mesh.warnings.clear()
    assert mesh.run(action="rollback")["outcome"] == "rolled back"
    assert mesh.warnings == []


def test_a_ca_whose_key_is_not_its_own_cannot_be_left() -> None:
    mesh = RotatingMesh(plugged=True)
    found = mesh.cluster.find("Secret", "cacerts", HOME)
    assert found is not None
    found["data"]["ca-key.pem"] = b64(key_pem(ec_key()))
    with pytest.raises(RefusedError, match="the CA cannot be left: ") as caught:
        mesh.run(action="rotate")
    assert caught.value.rule == "key-mismatch"
    assert mesh.cluster.writes == []


def test_check_mode_of_a_rotation_says_what_would_be_done_and_why(mesh: RotatingMesh) -> None:
    result = mesh.run(action="rotate", check=True)
    assert (result["outcome"], result["changed"]) == ("planned", True)
    assert result["summary"].startswith("the mesh's CA would be rotated (its root is not one of ours)")
    assert result["stages"] == ["old", "both", "switched", "new"]
    assert result["proxies"]["total"] == 2
    assert mesh.cluster.writes == []
    mesh.run(action="rotate", restart=False)
    mesh.cluster.writes.clear()
    again = mesh.run(action="rotate", check=True)
    assert again["summary"].startswith("the mesh's CA would be rotated: ")
    assert mesh.cluster.writes == []
    mesh.silent.add(next(name for _home, name in mesh.held))
    with pytest.raises(MeshError, match="cannot tell whether every proxy is at stage both"):
        mesh.run(action="rotate", check=True)


def test_marks_never_repeat_although_the_clock_stands_still(mesh: RotatingMesh) -> None:
    marks: list[str] = []
    tick = mesh._tick

    def each() -> None:
        tick()
        journal = mesh.journal
        if journal is not None:
            mark = journal["metadata"]["annotations"]["servicemesh.istio/mark"]
            if mark and mark not in marks:
                marks.append(mark)

    mesh.cluster.each = each
    mesh.clock.sleep = lambda _seconds: None  # nobody's clock moves
    mesh.clock.time = NOW.timestamp()
    assert mesh.run(action="rotate")["outcome"] == "rotated"
    assert len(marks) == 3
    assert marks == sorted(marks)


def test_the_last_rotation_is_kept_in_the_lease_of_what_was_done(mesh: RotatingMesh) -> None:
    def noted() -> str:
        lease = mesh.cluster.find("Lease", "servicemesh-mesh-ca", HOME)
        assert lease is not None
        return str(lease["metadata"].get("annotations", {}).get("servicemesh.istio/last-rotation", ""))

    mesh.run(action="rotate", restart=False)
    assert noted() == ""
    mesh.run(action="rotate")
    assert noted().startswith("2026-11-23T12:")
