# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CA of a mesh that is to come, what stops a rotation before its first write, and where keys are."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)

from ...support.access import Access, Restricted, granted_by
from ...support.certificates import DAY, NOW, certificate, ec_key, key_pem, pem
from .rotating_mesh import HOME, SAFE, SHOP, RotatingMesh

KEY = ec_key()
ROOT = certificate("company", KEY, ca=True, end=NOW + 2000 * DAY)
GIVEN = {
    "source": "provided",
    "certificate": pem(ROOT).decode(),
    "private_key": key_pem(KEY).decode(),
    "roots": pem(ROOT).decode(),
}


@pytest.fixture
def mesh() -> RotatingMesh:
    return RotatingMesh()


@pytest.fixture
def empty() -> RotatingMesh:
    """A cluster without Istio."""
    made = RotatingMesh()
    for kind, namespace, name in list(made.cluster.objects):
        if kind != "Namespace":
            made.cluster.remove(kind, name, namespace)
    made.held.clear()
    made.cluster.each = lambda: None
    return made


def data_of(mesh: RotatingMesh, name: str = "cacerts", namespace: str = HOME) -> dict[str, bytes]:
    found = mesh.cluster.find("Secret", name, namespace)
    assert found is not None
    return {key: base64.b64decode(value) for key, value in found["data"].items()}


def keys_of(mesh: RotatingMesh) -> list[str]:
    """Every private key that is in a Secret, as it would show in a text."""
    found = []
    for secret in mesh.cluster.of_kind("Secret"):
        for value in secret["data"].values():
            plain = base64.b64decode(value)
            if b"PRIVATE KEY" in plain:
                found += [value, plain.decode().split("\n")[1]]
    return found


# At install.
@pytest.mark.parametrize("namespace", [True, False])
def test_an_own_ca_is_plugged_in_once(empty: RotatingMesh, namespace: bool) -> None:
    if not namespace:
        empty.cluster.remove("Namespace", HOME)
        empty.cluster.remove("Namespace", SAFE)
    result = empty.run()
    assert (result["outcome"], result["changed"]) == ("plugged in", True)
    held = data_of(empty)
    assert set(held) == {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}
    assert data_of(empty, "servicemesh-mesh-root", SAFE)["tls.crt"] == held["root-cert.pem"]
    assert held["ca-key.pem"] != data_of(empty, "servicemesh-mesh-root", SAFE)["tls.key"]
    empty.cluster.writes.clear()
    assert empty.run()["changed"] is False
    assert empty.cluster.writes == []


def test_a_provided_ca_is_plugged_in_once(empty: RotatingMesh) -> None:
    assert empty.run(**GIVEN)["outcome"] == "plugged in"
    assert data_of(empty)["ca-cert.pem"] == pem(ROOT)
    assert empty.run(**GIVEN)["changed"] is False
    assert empty.cluster.find("Secret", "servicemesh-mesh-root", SAFE) is None


@pytest.mark.parametrize("source", ["own", "provided"])
def test_check_mode_says_it_and_writes_nothing(empty: RotatingMesh, source: str) -> None:
    given = GIVEN if source == "provided" else {}
    assert empty.run(check=True, **given)["changed"] is True
    assert empty.cluster.writes == []
    assert empty.cluster.of_kind("Secret") == []


def test_istiod_s_own_ca_is_left_to_it(mesh: RotatingMesh) -> None:
    mesh.cluster.calls.clear()
    assert mesh.run(source="istiod")["changed"] is False
    assert mesh.cluster.calls == []


@pytest.mark.parametrize("given", [{}, GIVEN])
@pytest.mark.parametrize("plugged", [False, True])
def test_a_mesh_that_runs_is_not_given_another_root(plugged: bool, given: dict[str, str]) -> None:
    mesh = RotatingMesh(plugged=plugged)
    with pytest.raises(RefusedError, match=r"has another CA already, .*rotate_mesh_ca\.yml"):
        mesh.run(**given)
    assert mesh.cluster.writes == []


def test_a_lost_ca_comes_back_below_the_same_root_only(mesh: RotatingMesh) -> None:
    mesh.run(action="rotate")
    mesh.cluster.each = lambda: None
    mesh.cluster.remove("Secret", "cacerts", HOME)
    with pytest.raises(RefusedError, match="has another CA already"):
        mesh.run(**GIVEN)
    assert mesh.run()["outcome"] == "plugged in"
    assert data_of(mesh)["root-cert.pem"] == mesh.signing.roots


def test_one_that_is_due_is_told_at_install(empty: RotatingMesh) -> None:
    empty.run(days=100, renew_at=0.34)
    empty.clock.time += 90 * 86_400
    assert empty.run(days=100)["changed"] is False
    assert "run playbook rotate_mesh_ca.yml" in empty.warnings[-1]


# The root's file.
def test_the_root_is_handed_over_in_a_file(empty: RotatingMesh, tmp_path: Path) -> None:
    path = tmp_path / "root.pem"
    assert empty.run(root_file=str(path))["outcome"] == "plugged in"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["root.pem"]
    assert empty.cluster.find("Secret", "servicemesh-mesh-root", SAFE) is None
    before = path.read_bytes()
    assert empty.run(root_file=str(path))["changed"] is False
    # Another cluster shares it.
    other = RotatingMesh()
    assert other.run(action="rotate", root_file=str(path))["outcome"] == "rotated"
    assert data_of(other)["root-cert.pem"] == data_of(empty)["root-cert.pem"]
    assert path.read_bytes() == before
    with pytest.raises(RefusedError, match="name another file"):
        other.run(action="rotate", root_file=str(path), renew="root")


def test_check_mode_makes_no_file(empty: RotatingMesh, tmp_path: Path) -> None:
    empty.run(check=True, root_file=str(tmp_path / "root.pem"))
    assert list(tmp_path.iterdir()) == []


def test_a_root_s_file_that_others_may_read_is_refused(empty: RotatingMesh, tmp_path: Path) -> None:
    path = tmp_path / "root.pem"
    empty.run(root_file=str(path))
    path.chmod(0o640)
    with pytest.raises(RefusedError, match="set mode 0600"):
        empty.run(root_file=str(path))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no PEM block"),
        (pem(ROOT), "holds no PEM block"),
        (pem(certificate("leaf", KEY, hosts=("a.example",))) + key_pem(KEY), "may not sign"),
        (pem(ROOT) + key_pem(ec_key()), "does not belong"),
        (b"\xff\xfe", "holds no PEM block"),
    ],
)
def test_a_root_s_file_without_a_root_is_refused(
    empty: RotatingMesh, tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "root.pem"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(RefusedError, match=told):
        empty.run(root_file=str(path))
    assert empty.cluster.writes == []


@pytest.mark.parametrize("kind", ["directory", "fifo", "missing directory"])
def test_a_root_s_file_that_is_none(empty: RotatingMesh, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "root.pem"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path = tmp_path / "none" / "root.pem"
    with pytest.raises(MeshError, match=f"istio_ca_root_file {path}"):
        empty.run(root_file=str(path))
    assert not [write for write in empty.cluster.writes if "cacerts" in write[1]]


# What stops it.
@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"source": "provided"}, "istio_ca_certificate: is needed"),
        ({**GIVEN, "private_key": "x"}, "istio_ca_private_key: holds no PEM block (pem)"),
        ({**GIVEN, "private_key": key_pem(ec_key()).decode()}, "does not belong to its certificate"),
        ({**GIVEN, "roots": pem(certificate("x", ec_key(), ca=True)).decode()}, "does not lead to its root"),
        (
            {**GIVEN, "source": "own"},
            "is own, and istio_ca_certificate, istio_ca_private_key, istio_ca_roots is set",
        ),
        ({**GIVEN, "renew": "root"}, "istio_ca_renew: is for istio_ca_source: own"),
        ({"ca_namespace": HOME}, "certificates_ca_namespace: is istiod's namespace"),
        ({"days": 7}, "istio_ca_days: is 7"),
        ({"days": 3650}, "istio_ca_days: is 3650"),
        ({"renew_at": 1}, "istio_ca_renew_at: is 1.0"),
        ({"batch": 0}, "istio_ca_batch: is 0"),
        ({"timeout": -1}, "istio_ca_timeout: is not between"),
        ({"action": "rotate", "source": "istiod"}, "istio_ca_source: is istiod"),
    ],
)
def test_bad_wishes_are_refused(empty: RotatingMesh, params: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        empty.run(**params)
    assert told in str(caught.value)
    assert "PRIVATE" not in str(caught.value)
    assert empty.cluster.writes == []


def change_istiod(mesh: RotatingMesh, name: str, value: str) -> None:
    deployment = mesh.cluster.find("Deployment", "istiod", HOME)
    assert deployment is not None
    deployment["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": name, "value": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXTERNAL_CA", "ISTIOD_RA_KUBERNETES_API"),
        ("PILOT_CERT_PROVIDER", "k8s.io/x"),
        ("ENABLE_CA_SERVER", "false"),
    ],
)
def test_another_authority_is_none_of_ours(mesh: RotatingMesh, name: str, value: str) -> None:
    change_istiod(mesh, name, value)
    with pytest.raises(RefusedError, match=f"does not sign with a CA of its own .{name}={value}"):
        mesh.run(action="rotate")
    assert mesh.cluster.writes == []


def test_an_istiod_without_the_mount_would_see_nothing(mesh: RotatingMesh) -> None:
    deployment = mesh.cluster.find("Deployment", "istiod", HOME)
    assert deployment is not None
    deployment["spec"]["template"]["spec"]["volumes"] = []
    with pytest.raises(RefusedError, match="Secret cacerts is not mounted"):
        mesh.run(action="rotate")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"immutable": True}, "it is immutable"),
        (
            {"annotations": {"cert-manager.io/certificate-name": "istio-ca"}},
            "cert-manager's Certificate istio-ca",
        ),
        ({"ownerReferences": [{"kind": "Certificate", "name": "x"}]}, "it belongs to Certificate x"),
        ({"deletionTimestamp": "2026-11-23T12:00:00Z"}, "it is being deleted"),
    ],
)
def test_a_secret_of_somebody_else_is_not_written(change: dict[str, Any], told: str) -> None:
    mesh = RotatingMesh(plugged=True)
    found = mesh.cluster.find("Secret", "cacerts", HOME)
    assert found is not None
    (found if "immutable" in change else found["metadata"]).update(change)
    with pytest.raises(RefusedError, match=told):
        mesh.run(action="rotate")
    assert mesh.cluster.writes == []


def test_a_revocation_list_is_in_the_way() -> None:
    mesh = RotatingMesh(plugged=True)
    found = mesh.cluster.find("Secret", "cacerts", HOME)
    assert found is not None
    found["data"]["ca-crl.pem"] = ""
    with pytest.raises(RefusedError, match=r"ca-crl\.pem"):
        mesh.run(action="rotate")


def test_a_ca_that_istiod_does_not_use_is_not_the_way_s_begin() -> None:
    mesh = RotatingMesh(plugged=True)
    found = mesh.cluster.find("Secret", "cacerts", HOME)
    assert found is not None
    own = {"ca-cert.pem": pem(ROOT), "ca-key.pem": key_pem(KEY), "root-cert.pem": pem(ROOT)}
    found["data"] = {key: base64.b64encode(value).decode() for key, value in own.items()}
    with pytest.raises(RefusedError, match="istiod works with another CA"):
        mesh.run(action="rotate")
    assert mesh.cluster.writes == []


def test_a_cluster_without_istio_has_nothing_to_rotate(empty: RotatingMesh) -> None:
    with pytest.raises(RefusedError, match="holds neither Secret cacerts nor istio-ca-secret"):
        empty.run(action="rotate")
    assert empty.run(action="rollback")["outcome"] == "fresh"


def test_clocks_that_disagree_stop_it(empty: RotatingMesh) -> None:
    request = empty.cluster.request

    def late(*arguments: Any, **more: Any) -> Any:
        empty.cluster.clock = NOW + DAY
        return request(*arguments, **more)

    empty.cluster.request = late  # the server's clock goes wrong
    with pytest.raises(RefusedError, match="the clock here says"):
        empty.run()


def test_somebody_s_change_in_mid_rotation_is_not_overwritten(mesh: RotatingMesh) -> None:
    mesh.run(action="rotate", restart=False)
    found = mesh.cluster.find("Secret", "cacerts", HOME)
    assert found is not None
    found["data"]["ca-cert.pem"] = base64.b64encode(pem(ROOT)).decode()
    with pytest.raises(RefusedError, match="was changed by somebody else in mid-rotation"):
        mesh.run(action="rotate")


def test_a_cacerts_that_is_lost_in_mid_rotation_is_written_again(mesh: RotatingMesh) -> None:
    mesh.run(action="rotate", restart=False)
    before = data_of(mesh)
    mesh.cluster.remove("Secret", "cacerts", HOME)
    mesh.run(action="rotate", restart=False)
    assert data_of(mesh) == before


@pytest.mark.parametrize("damage", [{"stage": "9"}, {"stage": "x"}, {"begun": None}, {"live-roots": None}])
def test_a_damaged_journal_is_told(mesh: RotatingMesh, damage: dict[str, str | None]) -> None:
    mesh.run(action="rotate", restart=False)
    assert mesh.journal is not None
    for key, value in damage.items():
        notes = mesh.journal["metadata"]["annotations"]
        notes.pop(f"servicemesh.istio/{key}")
        if value is not None:
            notes[f"servicemesh.istio/{key}"] = value
    with pytest.raises(MeshError, match=r"the journal of the rotation .* is damaged"):
        mesh.run(action="rotate")


def test_another_run_is_told_who_rotates(mesh: RotatingMesh) -> None:
    told: list[str] = []

    def second() -> None:
        """While the first one restarts istiod, another one begins; the first one's Lease moves on."""
        mesh.on_restart = lambda: None
        sleep = mesh.clock.sleep

        def alive(seconds: float) -> None:
            sleep(seconds)
            lease = mesh.cluster.find("Lease", "servicemesh-mesh-ca", HOME)
            assert lease is not None
            lease["spec"]["renewTime"] = f"{mesh.clock.time}"

        mesh.clock.sleep = alive  # the first one lives
        with pytest.raises(RefusedError, match="the rotation of the mesh's CA is held by") as caught:
            mesh.run(action="rotate")
        told.append(caught.value.rule)
        mesh.clock.sleep = sleep  # as it was

    mesh.on_restart = second
    assert mesh.run(action="rotate")["outcome"] == "rotated"
    assert told == ["held"]


def test_an_installer_leaves_a_rotation_alone(mesh: RotatingMesh) -> None:
    mesh.run(action="rotate", restart=False)
    mesh.cluster.writes.clear()
    assert mesh.run()["changed"] is False
    assert mesh.cluster.writes == []
    assert "a rotation of the mesh's CA is at stage both" in mesh.warnings[-1]


# Secrets and rights.
@pytest.mark.parametrize("params", [{}, GIVEN])
def test_no_key_is_in_any_output(params: dict[str, str], tmp_path: Path) -> None:
    mesh = RotatingMesh()
    told = [mesh.run(action="rotate", check=True, **params)]
    told += [mesh.run(action="rotate", restart=False, **params)]
    keys = keys_of(mesh)
    told += [mesh.run(action="rotate", **params), mesh.run(**params)]
    keys += keys_of(mesh)
    text = json.dumps([told, mesh.lines, mesh.warnings], default=str)
    for obj in mesh.cluster.objects.values():
        if obj["kind"] != "Secret":
            text += json.dumps(obj, default=str)
    assert len(keys) > 6
    assert not [key for key in keys if key in text]
    assert "PRIVATE KEY" not in text


def test_the_root_s_key_is_never_beside_istiod(mesh: RotatingMesh) -> None:
    seen: set[bytes] = set()
    tick = mesh._tick

    def each() -> None:
        tick()
        for secret in mesh.cluster.of_kind("Secret"):
            if secret["metadata"]["namespace"] == HOME:
                seen.update(base64.b64decode(value) for value in secret["data"].values())

    mesh.cluster.each = each
    mesh.run(action="rotate")
    assert data_of(mesh, "servicemesh-mesh-root", SAFE)["tls.key"] not in seen


GRANTED = granted_by("mesh_ca.yaml", {"ecommerce": SHOP})


@pytest.mark.parametrize("plugged", [False, True])
def test_the_rights_of_the_documentation_are_enough(plugged: bool) -> None:
    mesh = RotatingMesh(plugged=plugged)
    mesh.cluster.remove("Namespace", SAFE)
    mesh.client = Restricted(mesh.cluster, GRANTED)
    assert mesh.run(action="rotate", restart=False)["outcome"] == "waiting"
    assert mesh.run(action="rollback")["outcome"] == "rolled back"
    assert mesh.run(action="rotate")["outcome"] == "rotated"
    assert mesh.run(action="rotate", renew="root")["outcome"] == "rotated"
    assert mesh.client.refused == set()
    if not plugged:
        exact = {access for access in GRANTED if access.name or access.namespace in ("", SAFE)}
        assert exact - mesh.client.used == set(), "granted, and used by nobody"


def test_without_the_right_to_make_namespaces_only_a_missing_one_stops_it() -> None:
    granted = {access for access in GRANTED if (access.resource, access.verb) != ("namespaces", "create")}
    for there in (False, True):
        mesh = RotatingMesh()
        if not there:
            mesh.cluster.remove("Namespace", SAFE)
        mesh.client = Restricted(mesh.cluster, granted)
        if there:
            assert mesh.run(action="rotate")["outcome"] == "rotated"
            continue
        with pytest.raises(ApiError, match=r"namespaces.*forbidden"):
            mesh.run(action="rotate")
        assert mesh.cluster.of_kind("Secret") == [mesh.cluster.find("Secret", "istio-ca-secret", HOME)]


def test_the_rights_that_are_asked_for_are_about_the_root_s_own_secret(mesh: RotatingMesh) -> None:
    reading = {Access("", "secrets", "get", "vault", name) for name in ("ours", "ours-next")}
    mesh.client = Restricted(mesh.cluster, GRANTED | reading)
    with pytest.raises(ApiError) as caught:
        mesh.run(action="rotate", root_secret="ours", ca_namespace="vault")
    assert caught.value.details["missing_rights"] == [
        "in vault: create on secrets",
        "in vault: update on secrets 'ours'",
        "in vault: delete on secrets 'ours-next'",
    ]
    assert mesh.cluster.writes == []


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("params", [{"action": "rotate"}, {"action": "rollback"}])
def test_a_right_that_the_last_step_needs_is_noticed_before_the_first_write(
    params: dict[str, Any], check: bool
) -> None:
    """Each of those in istiod's namespace and the root's that writes, one after the other."""
    writing = {"create", "update", "delete", "patch"}
    needed = [
        access
        for access in sorted(GRANTED)
        if access.namespace in (HOME, SAFE)
        and access.verb in writing
        and access.resource in ("secrets", "leases", "deployments", "virtualservices", "pods/portforward")
    ]
    assert len(needed) > 12
    mesh = RotatingMesh(plugged=True)
    if params["action"] == "rollback":
        assert mesh.run(action="rotate", restart=False)["outcome"] == "waiting"
    mesh.cluster.writes.clear()
    for missing in needed:
        mesh.client = Restricted(mesh.cluster, GRANTED - {missing})
        lacking = f"nothing was written: rights are missing: in {missing.namespace}: "
        with pytest.raises(ApiError, match=lacking):
            mesh.run(check=check, **params)
        assert mesh.cluster.writes == [], missing
