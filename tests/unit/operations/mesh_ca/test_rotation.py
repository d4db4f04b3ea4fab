# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation of the mesh's CA, killed at every call: all proxies trust each other, the next run ends it."""

from __future__ import annotations

import contextlib
import itertools
import os

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    FencedError,
    MeshError,
    RefusedError,
)

from ...support.mortal import KilledError
from .rotating_mesh import HOME, SAFE, RotatingMesh

EVERY = os.environ.get("MESH_CA") == "long"
"""Kill it at every call, or at a sample of them, which is spread over all steps."""
CASES = {
    "self-signed": {},
    "plugged": {"plugged": True},
    "multiroot": {"plugged": True, "multiroot": True},
    "live": {"plugged": True, "multiroot": True, "live": True},
}


@pytest.fixture(params=sorted(CASES))
def mesh(request: pytest.FixtureRequest) -> RotatingMesh:
    return RotatingMesh(**CASES[request.param])


def test_a_rotation_goes_through_every_stage(mesh: RotatingMesh) -> None:
    result = mesh.run(action="rotate")
    assert (result["outcome"], result["changed"], result["proxies"]["total"]) == ("rotated", True, 2)
    assert mesh.broken == []
    assert mesh.root not in mesh.roots_held()
    assert len(mesh.roots_held()) == 1
    assert mesh.journal is None
    assert mesh.cluster.find("Secret", "istio-ca-secret", HOME) is None
    assert mesh.cluster.find("Secret", "servicemesh-mesh-root", SAFE) is not None
    mesh.cluster.writes.clear()
    again = mesh.run(action="rotate")
    assert (again["outcome"], again["changed"]) == ("fresh", False)
    assert mesh.cluster.writes == []


def test_live_proxies_are_not_restarted() -> None:
    mesh = RotatingMesh(plugged=True, multiroot=True, live=True)
    before = {pod["metadata"]["name"] for pod in mesh.cluster.of_kind("Pod")}
    assert mesh.run(action="rotate")["outcome"] == "rotated"
    assert {pod["metadata"]["name"] for pod in mesh.cluster.of_kind("Pod")} == before
    assert mesh.broken == []


def test_without_restarts_it_waits_for_renewals(mesh: RotatingMesh) -> None:
    for _run in range(6):
        result = mesh.run(action="rotate", restart=False)
        assert mesh.broken == []
        if result["outcome"] == "rotated":
            break
        assert result["outcome"] == "waiting"
        assert result["stage"] in ("both", "switched", "new")
        assert mesh.journal is not None
        mesh.renew_all()
    assert mesh.root not in mesh.roots_held()
    assert mesh.journal is None


def test_an_intermediate_is_renewed_below_the_same_root(mesh: RotatingMesh) -> None:
    mesh.run(action="rotate")
    root = mesh.cluster.find("Secret", "servicemesh-mesh-root", SAFE)
    held, signer = mesh.roots_held(), mesh.signing.signer
    result = mesh.run(action="rotate", renew="intermediate")
    assert result["outcome"] == "rotated"
    assert mesh.broken == []
    assert mesh.roots_held() == held
    assert mesh.signing.signer != signer
    assert mesh.cluster.find("Secret", "servicemesh-mesh-root", SAFE) == root


def test_a_new_root_replaces_the_old_one_where_it_is_kept(mesh: RotatingMesh) -> None:
    mesh.run(action="rotate")
    held = mesh.roots_held()
    result = mesh.run(action="rotate", renew="root")
    assert result["outcome"] == "rotated"
    assert not mesh.roots_held() & held
    assert mesh.broken == []
    assert mesh.cluster.find("Secret", "servicemesh-mesh-root-next", SAFE) is None
    assert mesh.run(action="rotate")["outcome"] == "fresh"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("case", sorted(CASES))
def test_killed_at_every_call_the_next_run_ends_it(case: str, after: bool) -> None:
    whole = RotatingMesh(**CASES[case])
    whole.cluster.count = 0
    whole.run(action="rotate")
    calls = whole.cluster.count
    assert calls > 40
    for call in range(1 + after, calls + 1, 1 if EVERY else 7 if case == "self-signed" else 29):
        mesh = RotatingMesh(**CASES[case])
        cluster = mesh.cluster
        cluster.count, cluster.kill_at, cluster.after = 0, call, after
        with contextlib.suppress(KilledError):
            mesh.run(action="rotate")
        cluster.dead, cluster.kill_at = False, 0
        result = mesh.run(action="rotate")
        assert result["outcome"] in ("rotated", "fresh"), call
        assert mesh.broken == [], call
        assert mesh.root not in mesh.roots_held(), call
        assert mesh.journal is None, call
        cluster.writes.clear()
        assert mesh.run(action="rotate")["outcome"] == "fresh", call
        assert cluster.writes == [], call


@pytest.mark.parametrize("case", sorted(CASES))
def test_killed_at_every_call_it_can_go_back_until_the_drop(case: str) -> None:
    whole = RotatingMesh(**CASES[case])
    whole.cluster.count = 0
    whole.run(action="rotate")
    seen = set()
    for call in range(1, whole.cluster.count + 1, 1 if EVERY else 11):
        mesh = RotatingMesh(**CASES[case])
        before = dict((mesh.cluster.find("Secret", "cacerts", HOME) or {}).get("data", {}))
        cluster = mesh.cluster
        cluster.count, cluster.kill_at, cluster.after = 0, call, True
        with contextlib.suppress(KilledError):
            mesh.run(action="rotate")
        cluster.dead, cluster.kill_at = False, 0
        try:
            outcome = mesh.run(action="rollback")["outcome"]
        except RefusedError as error:
            outcome = error.rule
        seen.add(outcome)
        assert mesh.broken == [], call
        if outcome == "too-late":
            assert mesh.run(action="rotate")["outcome"] == "rotated", call
            continue
        assert mesh.journal is None, call
        if outcome == "rolled back":
            assert mesh.roots_held() == {mesh.root}, call
            assert dict((cluster.find("Secret", "cacerts", HOME) or {}).get("data", {})) == before, call
            assert mesh.signing.signer == mesh.root, call
    assert {"rolled back", "too-late", "fresh"} <= seen


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_rollback_is_killed_at_every_call_too(case: str) -> None:
    def switched() -> RotatingMesh:
        mesh = RotatingMesh(**CASES[case])
        with pytest.raises(KilledError):
            kill_when(mesh, lambda: "stage switched:" in " ".join(mesh.lines))
            mesh.run(action="rotate")
        mesh.cluster.dead, mesh.cluster.each = False, mesh._tick
        return mesh

    whole = switched()
    whole.cluster.count = 0
    assert whole.run(action="rollback")["outcome"] == "rolled back"
    for call in range(1, whole.cluster.count + 1, 1 if EVERY else 29):
        mesh = switched()
        cluster = mesh.cluster
        cluster.count, cluster.kill_at, cluster.after = 0, call, True
        with contextlib.suppress(KilledError):
            mesh.run(action="rollback")
        cluster.dead, cluster.kill_at = False, 0
        mesh.run(action="rollback")
        assert mesh.broken == [], call
        assert mesh.roots_held() == {mesh.root}, call
        assert mesh.journal is None, call


def kill_when(mesh: RotatingMesh, seen) -> None:  # a test's own helper
    tick = mesh._tick

    def each() -> None:
        tick()
        if seen():
            mesh.cluster.dead = True
            raise KilledError

    mesh.cluster.each = each


@pytest.mark.parametrize("how", [503, "lost request", "lost answer"])
@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        ("create", "Secret"),
        ("replace", "Secret"),
        ("delete", "Secret"),
        ("patch", "Deployment"),
        ("list", "Pod"),
        ("ask", "Pod"),
        ("get", "Secret"),
        ("replace", "Lease"),
    ],
)
def test_a_failing_server_leaves_what_the_next_run_ends(verb: str, kind: str, how: int | str) -> None:
    for skip in range(0, 12, 3):
        mesh = RotatingMesh()
        calls = itertools.count()
        mesh.cluster.fail(verb, kind, how, when=lambda _call, calls=calls, skip=skip: next(calls) >= skip)
        with contextlib.suppress(ApiError, FencedError, MeshError):
            mesh.run(action="rotate")
        assert mesh.broken == []
        assert mesh.run(action="rotate")["outcome"] in ("rotated", "fresh")
        assert mesh.broken == []
        assert mesh.root not in mesh.roots_held()


def test_a_proxy_that_does_not_answer_stops_it(mesh: RotatingMesh) -> None:
    stranger = mesh.cluster.of_kind("Pod")[-1]["metadata"]["name"]
    mesh.silent.add(stranger)
    with pytest.raises(MeshError, match=f"cannot tell whether every proxy is at stage both: shop/{stranger}"):
        mesh.run(action="rotate", restart=False)
    assert mesh.root in mesh.roots_held()
    assert mesh.signing.signer == mesh.root
    assert mesh.journal is not None
    mesh.silent.clear()
    assert mesh.run(action="rotate")["outcome"] == "rotated"


def test_a_connected_proxy_outside_of_the_cluster_stops_it(mesh: RotatingMesh) -> None:
    mesh.held["vm", "machine"] = mesh.held[next(iter(mesh.held))]
    with pytest.raises(MeshError, match="vm/machine is connected to istiod, and is no pod of this cluster"):
        mesh.run(action="rotate")
    assert mesh.signing.signer == mesh.root
