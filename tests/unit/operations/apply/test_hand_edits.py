"""What an apply takes back without being asked: a person's edit of an object of ours, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, ConflictError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.hand_edits import changed_by_hand
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import Item, apply_item

from ...support.cluster import FakeCluster

OURS = {"manager": "servicemesh.istio", "operation": "Apply"}


def conflict(manager: str) -> ConflictError:
    return ConflictError("taken", manager=manager, fields=[".spec.http"])


def live(*entries: dict[str, str]) -> dict[str, Any]:
    return {"kind": "VirtualService", "metadata": {"name": "a", "managedFields": list(entries)}}


@pytest.mark.parametrize(
    ("before", "managers", "expected"),
    [
        (live(OURS), "kubectl-patch", True),
        (live(OURS), "kubectl-edit, kubectl-client-side-apply", True),
        (live(OURS), "kubectl-patch, flagger", False),
        (live(OURS), "argocd-controller", False),
        (live(OURS), "helm", False),
        (live({"manager": "kubectl", "operation": "Apply"}), "kubectl", False),
        (live({"manager": "servicemesh.istio", "operation": "Update"}), "kubectl", False),
        (None, "kubectl-patch", False),
    ],
)
def test_only_a_persons_edit_of_our_object_is_drift(
    before: dict[str, Any] | None, managers: str, expected: bool
) -> None:
    assert changed_by_hand(before, conflict(managers), "servicemesh.istio") is expected


WANTED = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "a", "namespace": "shop", "labels": {"app": "a"}},
    "spec": {"http": ["ours"]},
}


def edited_by(manager: str) -> FakeCluster:
    """Our object, whose routes another manager has changed since."""
    cluster = FakeCluster({"kind": "Namespace", "metadata": {"name": "shop"}})
    cluster.apply(WANTED)
    cluster.patch("", "VirtualService", "a", "shop", {"spec": {"http": ["theirs"]}}, field_manager=manager)
    return cluster


def item_of(cluster: FakeCluster) -> Item:
    return Item(WANTED, cluster.get("", "VirtualService", "a", "shop"))


def test_an_edit_by_hand_is_taken_back_and_told() -> None:
    cluster = edited_by("kubectl-edit")
    item = item_of(cluster)
    after, created = apply_item(
        cluster, item, item.desired, field_manager="servicemesh.istio", force=False, dry_run=True
    )
    assert (after["spec"], created) == ({"http": ["ours"]}, False)
    assert cluster.dry_runs == [("apply", "VirtualService shop/a")]
    assert item.taken_back_from == "kubectl-edit"


def test_a_controllers_field_stays_a_conflict() -> None:
    cluster = edited_by("flagger")
    item = item_of(cluster)
    with pytest.raises(ConflictError, match=r"'flagger' \(\.spec\.http\)"):
        apply_item(cluster, item, item.desired, field_manager="servicemesh.istio", force=False)
    assert cluster.find("VirtualService", "a", "shop")["spec"] == {"http": ["theirs"]}
    assert item.taken_back_from == ""


class Refusing(FakeCluster):
    """An API server that quotes what it refuses."""

    def apply_told(self, obj: Any, **_options: Any) -> Any:
        message = f"denied: {obj['spec']['plain']} of {obj['metadata']['name']}"
        raise ApiError(message, status=422, causes=[{"field": "spec.plain", "message": message}])


@pytest.mark.parametrize("hidden", [True, False])
def test_of_an_object_out_of_a_vault_no_value_is_quoted(hidden: bool) -> None:
    item = Item({**WANTED, "spec": {"plain": "vaulted-value", "port": 80}}, hidden=hidden)
    with pytest.raises(ApiError) as caught:
        apply_item(Refusing(), item, item.desired, field_manager="m", force=False)
    told = [caught.value.message, caught.value.details["causes"][0]["message"]]
    assert told == (["denied: <hidden> of a"] * 2 if hidden else ["denied: vaulted-value of a"] * 2)
    assert caught.value.details["causes"][0]["field"] == "spec.plain"
