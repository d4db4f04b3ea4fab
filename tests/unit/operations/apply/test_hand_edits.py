"""What an apply takes back without being asked: a person's edit of an object of ours, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ConflictError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.hand_edits import changed_by_hand
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import Item, apply_item

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


class Server:
    """Refuses the first apply without force."""

    def __init__(self, manager: str) -> None:
        self.manager = manager
        self.forced: list[bool] = []

    def apply_told(self, body: dict[str, Any], **options: Any) -> tuple[dict[str, Any], bool]:
        self.forced.append(options["force"])
        if not options["force"]:
            raise conflict(self.manager)
        return body, False


def test_an_edit_by_hand_is_taken_back_and_told() -> None:
    item, server = Item({"kind": "VirtualService"}, live(OURS)), Server("kubectl-edit")
    after, created = apply_item(
        server, item, item.desired, field_manager="servicemesh.istio", force=False, dry_run=True
    )
    assert (after, created) == (item.desired, False)
    assert server.forced == [False, True]
    assert item.taken_back_from == "kubectl-edit"


def test_a_controllers_field_stays_a_conflict() -> None:
    item, server = Item({"kind": "VirtualService"}, live(OURS)), Server("flagger")
    with pytest.raises(ConflictError):
        apply_item(server, item, item.desired, field_manager="servicemesh.istio", force=False)
    assert server.forced == [False]
    assert item.taken_back_from == ""
