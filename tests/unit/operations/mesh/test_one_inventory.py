"""Two inventories with one mesh_name: the second is told before its first write, and nothing flips."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.inventory import Inventory
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.engine import ApplyOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh import apply
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.options import MeshOptions

from ...support.catalogues import minimal
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster

MARK = "servicemesh.istio/applied-by"
OURS, THEIRS = "shop@production", "shop@copy"
Raw = dict[str, Any]


def other() -> Raw:
    """What a copied inventory makes of the same mesh: one service less, one setting changed."""
    raw = minimal()
    raw["mesh_services"] = raw["mesh_services"][:1]
    raw["mesh_services"][0].pop("callers", None)
    raw["mesh_gateways"] = []
    for service in raw["mesh_services"]:
        service.pop("exposed", None)
    return raw


class Schedules:
    """One cluster on which two inventories work in turn."""

    def __init__(self) -> None:
        self.cluster = FakeCluster({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})

    def run(self, raw: Raw, owner: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
        take_over = options.pop("take_over", False)
        chosen = MeshOptions(
            ApplyOptions(),
            prune=True,
            unproved="warn",
            strict_guard="warn",
            cluster_check="off",
            inventory=Inventory(owner, take_over),
            **options,
        )
        context = Context(clock=FakeClock(), check_mode=check)
        return apply.apply_mesh(self.cluster, raw, [], chosen, context)

    def holders(self) -> dict[str, set[str]]:
        """Who stands on the objects of the mesh, by their kind; "" for nobody."""
        found: dict[str, set[str]] = {}
        for obj in self.cluster.objects.values():
            if obj["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "shop":
                holder = obj["metadata"].get("annotations", {}).get(MARK, "")
                found.setdefault(obj["kind"], set()).add(holder)
        return found

    def writes(self) -> list[Any]:
        found = list(self.cluster.writes)
        self.cluster.writes.clear()
        return found


@pytest.fixture
def mesh() -> Schedules:
    """A mesh that one inventory has applied."""
    schedules = Schedules()
    schedules.run(minimal(), OURS)
    schedules.writes()
    return schedules


def test_its_objects_say_who_applied_them_and_routes_do_not(mesh: Schedules) -> None:
    """Rollouts write routes as a whole: the mark would go with each and come back with the next run."""
    holders = mesh.holders()
    assert holders.pop("VirtualService") == {""}
    assert set().union(*holders.values()) == {OURS} and len(holders) >= 4
    for check in (True, False):
        assert mesh.run(minimal(), OURS, check=check)["changed"] is False


def test_two_schedules_do_not_undo_each_other(mesh: Schedules) -> None:
    for _night in range(3):
        for check in (True, False):
            with pytest.raises(RefusedError) as caught:
                mesh.run(other(), THEIRS, check=check)
            assert caught.value.rule == "one-inventory"
        assert mesh.run(minimal(), OURS)["changed"] is False
    assert mesh.writes() == []
    said = str(caught.value)
    assert "mesh 'shop' is applied by the inventory of 'shop@production'" in said
    assert f"annotation {MARK}" in said and "'shop@copy' would change it" in said
    assert "give one of the two meshes another mesh_name" in said and "-e mesh_take_over=true" in said
    assert "delete " in said or "update " in said


def test_a_change_that_only_adds_is_refused_too(mesh: Schedules) -> None:
    """What the other does not know it would prune at its next run."""
    raw = minimal()
    raw["mesh_services"].append({**raw["mesh_services"][0], "name": "more", "labels": {"app": "more"}})
    raw["mesh_services"][-1].pop("exposed", None)
    with pytest.raises(RefusedError, match="create "):
        mesh.run(raw, THEIRS)
    assert mesh.writes() == []


def test_an_equal_catalogue_from_elsewhere_goes_on_and_changes_nothing(mesh: Schedules) -> None:
    assert mesh.run(minimal(), THEIRS)["changed"] is False
    assert mesh.run(minimal(), "")["changed"] is False
    assert set().union(*(who for kind, who in mesh.holders().items() if kind != "VirtualService")) == {OURS}


def test_who_has_no_name_is_refused_as_well(mesh: Schedules) -> None:
    with pytest.raises(RefusedError, match="names no istio_owner"):
        mesh.run(other(), "")
    assert mesh.writes() == []


def test_it_is_taken_over_once(mesh: Schedules) -> None:
    assert mesh.run(other(), THEIRS, take_over=True)["changed"] is True
    assert OURS not in set().union(*mesh.holders().values())
    assert mesh.run(other(), THEIRS)["changed"] is False
    mesh.writes()
    with pytest.raises(RefusedError, match="applied by the inventory of 'shop@copy'"):
        mesh.run(minimal(), OURS)
    assert mesh.writes() == []


def test_a_mesh_is_removed_by_its_own_inventory(mesh: Schedules) -> None:
    for check in (True, False):
        with pytest.raises(RefusedError, match=r"applied by .*delete .* and \d+ more"):
            mesh.run(minimal(), THEIRS, check=check, absent=True)
    assert mesh.writes() == []
    assert mesh.run(minimal(), OURS, absent=True)["changed"] is True
    assert mesh.run(minimal(), THEIRS, absent=True)["changed"] is False
    assert mesh.run(other(), THEIRS)["changed"] is True, "what nobody has any more is free"


def test_a_mesh_of_before_is_claimed_by_the_first_who_names_itself() -> None:
    schedules = Schedules()
    schedules.run(minimal(), "")
    assert schedules.run(minimal(), OURS)["changed"] is True
    assert schedules.run(minimal(), OURS)["changed"] is False
    with pytest.raises(RefusedError):
        schedules.run(other(), THEIRS)


def test_an_interrupted_take_over_is_finished_by_the_one_that_began_it(mesh: Schedules) -> None:
    mesh.cluster.fail("apply", how=500, times=1, when=lambda call: call.kind == "Sidecar")
    with pytest.raises(ApiError, match="internal error"):
        mesh.run(minimal(), THEIRS, take_over=True)
    assert {OURS, THEIRS} <= set().union(*mesh.holders().values())
    for owner in (OURS, THEIRS):
        with pytest.raises(RefusedError):
            mesh.run(other(), owner)
    mesh.run(minimal(), THEIRS, take_over=True)
    assert mesh.run(other(), THEIRS)["changed"] is True
