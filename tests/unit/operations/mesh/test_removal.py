"""A whole mesh goes away: all that carries its label, in order, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh import barrier
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.report import (
    PropagationReport,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import backend

from ...support.arguments import validated
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching
from ...support.journals import journal_object
from .operators import CATALOGUE, LIMITS, SHOP

MODES = {"strict_guard": "warn", "unproved": "refuse", "cluster_check": "off", "wait": True}


class Mesh:
    """A cluster with the mesh on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = FakeCluster(
            *(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                for name in (SHOP, LIMITS, "other")
            )
        )
        self.proved: list[set[str]] = []
        monkeypatch.setattr(barrier, "prove", self._prove)
        self(CATALOGUE)
        self.cluster.writes.clear()

    def _prove(self, _client: Any, facts: Any, **_options: Any) -> PropagationReport:
        self.proved.append({fact.check for fact in facts})
        return PropagationReport("pass", 1, 1, 0.1)

    def __call__(self, catalogue: dict[str, Any], check_mode: bool = False, **params: Any) -> dict[str, Any]:
        given = {"catalogue": copy.deepcopy(catalogue), **MODES, **params}
        checked = validated(backend.ARGUMENT_SPEC, given)
        context = Context(connect=reaching(self.cluster), clock=FakeClock(), check_mode=check_mode)
        return backend.run(checked, context)


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    return Mesh(monkeypatch)


def test_everything_of_the_mesh_goes_and_a_second_run_changes_nothing(mesh: Mesh) -> None:
    foreign = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "theirs", "namespace": SHOP},
    }
    mesh.cluster.put(foreign)
    shown = mesh(CATALOGUE, state="absent", check_mode=True)
    assert mesh.cluster.writes == []
    mesh.proved.clear()
    done = mesh(CATALOGUE, state="absent")
    assert done["counts"] == shown["counts"]
    assert done["counts"]["deleted"] == len(mesh.cluster.writes)
    assert {verb for verb, _what in mesh.cluster.writes} == {"delete"}
    left = {key for key in mesh.cluster.objects if key[0] != "Namespace"}
    assert left == {("DestinationRule", SHOP, "theirs")}
    assert mesh.proved[0] == {"no_rbac", "lifted"}, "nobody is refused any more before the routes go"
    again = mesh(CATALOGUE, state="absent")
    assert (again["changed"], again["summary"], again["streams"]) == (False, ["nothing to do"], [])


def test_what_the_catalogue_no_longer_describes_goes_too(mesh: Mesh) -> None:
    only_the_name = {"mesh_name": "shop", "mesh_namespace": SHOP}
    assert mesh(only_the_name, state="absent")["counts"]["deleted"]
    assert [key for key in mesh.cluster.objects if key[0] != "Namespace"] == []


def test_another_mesh_stays(mesh: Mesh) -> None:
    other = {**CATALOGUE, "mesh_name": "other", "mesh_namespace": "other"}
    other["mesh_services"] = [{**CATALOGUE["mesh_services"][0], "rate_limit": {"requests": 1, "per": "1s"}}]
    other.pop("mesh_rate_limit_service")
    mesh(other)
    before = {key for key in mesh.cluster.objects if key[1] == "other"}
    mesh(CATALOGUE, state="absent")
    assert {key for key in mesh.cluster.objects if key[1] == "other"} == before


def test_a_rollout_that_has_not_ended_is_in_the_way(mesh: Mesh) -> None:
    journal = journal_object("web", SHOP, state="awaiting_approval")
    journal["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "app.kubernetes.io/part-of": "shop",
    }
    mesh.cluster.put(journal)
    for check_mode in (True, False):
        with pytest.raises(RefusedError, match=r"rollouts have not ended: shop/web \(run run-7\); promote"):
            mesh(CATALOGUE, state="absent", check_mode=check_mode)
    assert mesh.cluster.writes == []
    mesh.cluster.remove("ConfigMap", "servicemesh-canary-web", SHOP)
    journal["data"] = journal_object("web", SHOP, state="finished", outcome="promoted")["data"]
    mesh.cluster.put(journal)
    assert mesh(CATALOGUE, state="absent")["changed"]
    assert mesh.cluster.find("ConfigMap", "servicemesh-canary-web", SHOP), "what is on record stays"


def test_the_name_has_to_be_the_catalogue_s(mesh: Mesh) -> None:
    with pytest.raises(InputError, match="mesh_name"):
        mesh(CATALOGUE, state="absent", mesh_name="shap")
    assert mesh.cluster.writes == []


def test_pruning_everything_says_what_was_probably_meant(mesh: Mesh) -> None:
    empty = {"mesh_name": "shop", "mesh_namespace": SHOP, "mesh_default_deny": False}
    with pytest.raises(RefusedError, match="allows that, and mesh_state: absent removes a mesh"):
        mesh(empty, prune=True)
    assert mesh(empty, prune=True, prune_all=True)["counts"]["deleted"]
