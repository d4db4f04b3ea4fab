"""Which namespace label is set, which one goes, and when nothing may be done."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.inventory import Inventory
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.labels import (
    FIELD_MANAGER,
    decide_labels,
    held_by_another,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.injection import (
    NamespaceRequest,
)

DEFAULT = NamespaceRequest("shop", "injection")
CANARY = NamespaceRequest("shop", "revision", "canary")


def namespace(labels, manager="kubectl-label", operation="Update"):
    fields = {"f:metadata": {"f:labels": {f"f:{key}": {} for key in labels}}}
    return {
        "metadata": {
            "name": "shop",
            "labels": {"team": "a", **labels},
            "managedFields": [{"manager": manager, "operation": operation, "fieldsV1": fields}],
        }
    }


@pytest.mark.parametrize(
    ("request_", "labels", "action", "after"),
    [
        (DEFAULT, {"istio-injection": "enabled"}, "unchanged", {"istio-injection": "enabled"}),
        (DEFAULT, {}, "label", {"istio-injection": "enabled"}),
        (DEFAULT, {"istio-injection": "disabled"}, "label", {"istio-injection": "enabled"}),
        (DEFAULT, {"istio.io/rev": "canary"}, "relabel", {"istio-injection": "enabled"}),
        (
            DEFAULT,
            {"istio.io/rev": "x", "istio-injection": "enabled"},
            "relabel",
            {"istio-injection": "enabled"},
        ),
        (CANARY, {"istio.io/rev": "canary"}, "unchanged", {"istio.io/rev": "canary"}),
        (CANARY, {"istio.io/rev": "old"}, "label", {"istio.io/rev": "canary"}),
        (CANARY, {"istio-injection": "enabled"}, "relabel", {"istio.io/rev": "canary"}),
        (NamespaceRequest("shop", "keep"), {"istio.io/rev": "x"}, "unchanged", {"istio.io/rev": "x"}),
    ],
)
def test_one_label_and_never_both(request_, labels, action, after):
    decision = decide_labels(request_, namespace(labels))
    assert (decision.action, dict(decision.after), decision.refusal) == (action, after, "")


@pytest.mark.parametrize(
    ("manager", "operation", "refused"),
    [
        ("argocd-controller", "Apply", True),
        ("argocd-application-controller", "Update", True),
        ("kustomize-controller", "Apply", True),
        ("helm", "Update", True),
        ("platform-team", "Apply", True),
        ("kubectl-label", "Update", False),
        ("kubectl", "Apply", False),
        ("OpenAPI-Generator", "Update", False),
        (FIELD_MANAGER, "Apply", False),
    ],
)
@pytest.mark.parametrize("labels", [{"istio.io/rev": "old"}, {"istio-injection": "disabled"}])
def test_a_label_that_would_come_back_is_not_fought_over(labels, manager, operation, refused):
    live = namespace(labels, manager, operation)
    decision = decide_labels(DEFAULT, live)
    assert bool(decision.refusal) is refused
    assert decision.changed is not refused
    if refused:
        assert decision.action == "unchanged"
        assert decision.after == decision.before == labels
        assert manager in decision.refusal
        assert decide_labels(DEFAULT, live, replace_foreign=True).changed


def test_what_is_removed_is_reported_with_its_writer():
    decision = decide_labels(DEFAULT, namespace({"istio.io/rev": "old"}))
    assert decision.notes == ("namespace shop: removes istio.io/rev=old, set by kubectl-label",)


def test_what_stays_is_not_reported():
    """Both labels are there and one of them is right: only the other goes."""
    decision = decide_labels(DEFAULT, namespace({"istio.io/rev": "old", "istio-injection": "enabled"}))
    assert decision.action == "relabel"
    assert decision.notes == ("namespace shop: removes istio.io/rev=old, set by kubectl-label",)
    replaced = decide_labels(CANARY, namespace({"istio.io/rev": "old"}))
    assert replaced.notes == ("namespace shop: replaces istio.io/rev=old, set by kubectl-label",)
    nobody = {"metadata": {"name": "shop", "labels": {"istio.io/rev": "old"}}}
    assert decide_labels(DEFAULT, nobody).notes == (
        "namespace shop: removes istio.io/rev=old, set by an unknown writer",
    )


def test_a_refusal_says_what_would_happen_and_what_to_do():
    both = namespace({"istio.io/rev": "old"}, "argocd-controller", "Apply")
    assert decide_labels(DEFAULT, both).refusal == (
        "namespace shop carries istio.io/rev=old from argocd-controller: both labels would end up present;"
        " change it there, or set injection_replace_foreign_labels"
    )
    back = namespace({"istio.io/rev": "old"}, "argocd-controller", "Apply")
    assert "it would put its value back" in decide_labels(CANARY, back).refusal


def test_a_foreign_owner_of_the_right_value_is_fine():
    decision = decide_labels(DEFAULT, namespace({"istio-injection": "enabled"}, "argocd-controller", "Apply"))
    assert (decision.action, decision.refusal) == ("unchanged", "")


def test_an_ambient_namespace_is_refused_even_on_request():
    live = namespace({"istio.io/dataplane-mode": "ambient"})
    assert "ambient" in decide_labels(DEFAULT, live, replace_foreign=True).refusal


def test_a_missing_namespace_is_created_on_request_only():
    missing = decide_labels(DEFAULT, None)
    assert (missing.action, missing.changed, missing.labels_change) == ("missing", False, False)
    created = decide_labels(NamespaceRequest("shop", "injection", create=True), None)
    assert (created.action, created.changed, created.labels_change) == ("create", True, True)
    assert (dict(created.before), dict(created.after)) == ({}, {"istio-injection": "enabled"})


# -- two inventories -----------------------------------------------------------------------------------------

OURS, THEIRS = Inventory("shop@prod"), Inventory("books@prod")
MARK = "servicemesh.istio/injected-by"


def held(labels, holder="shop@prod"):
    live = namespace(labels)
    live["metadata"]["annotations"] = {MARK: holder} if holder else {}
    return live


@pytest.mark.parametrize(
    ("request_", "labels"),
    [
        (CANARY, {"istio-injection": "enabled"}),
        (CANARY, {"istio.io/rev": "stable"}),
        (DEFAULT, {"istio.io/rev": "stable"}),
        (DEFAULT, {"istio-injection": "disabled"}),
        (DEFAULT, {"istio-injection": "enabled", "istio.io/rev": "stable"}),
        (DEFAULT, {}),
        (NamespaceRequest("shop", "revision", "x", create=True), {"istio.io/rev": "y"}),
    ],
)
@pytest.mark.parametrize("asker", [THEIRS, Inventory()])
def test_a_namespace_of_another_inventory_keeps_its_label(request_, labels, asker):
    """Each night one of two schedules would relabel it and restart everything in it."""
    for replace in (False, True):
        decision = decide_labels(request_, held(labels), inventory=asker, replace_foreign=replace)
        assert (decision.changed, decision.after) == (False, labels)
        assert "namespace shop is labelled by the inventory of 'shop@prod'" in decision.refusal
        assert "ask for the same label" in decision.refusal
        assert "-e injection_take_over=true" in decision.refusal
    wanted = f"{next(iter(request_.wanted))}={next(iter(request_.wanted.values()))}"
    assert f"to {wanted}" in decision.refusal


@pytest.mark.parametrize("asker", [THEIRS, Inventory(), OURS])
def test_who_asks_for_the_same_label_changes_nothing(asker):
    decision = decide_labels(CANARY, held({"istio.io/rev": "canary"}), inventory=asker)
    assert (decision.action, decision.refusal, decision.holder) == ("unchanged", "", "shop@prod")
    kept = decide_labels(NamespaceRequest("shop", "keep"), held({"istio.io/rev": "x"}), inventory=asker)
    assert (kept.action, kept.refusal) == ("unchanged", "")
    keeping = NamespaceRequest("shop", "keep")
    assert held_by_another(keeping, held({"istio.io/rev": "x"}), asker) == ""


def test_a_namespace_is_claimed_where_nobody_stands_and_taken_over_on_request():
    free = held({"istio-injection": "enabled"}, holder="")
    claimed = decide_labels(DEFAULT, free, inventory=OURS)
    assert (claimed.action, claimed.changed, claimed.labels_change) == ("claim", True, False)
    assert (claimed.held_by, claimed.holder) == ("", "shop@prod")
    assert decide_labels(DEFAULT, free).action == "unchanged", "nobody claims nothing"
    over = Inventory("books@prod", take_over=True)
    taken = decide_labels(CANARY, held({"istio-injection": "enabled"}), inventory=over)
    assert (taken.action, taken.held_by, taken.holder) == ("relabel", "shop@prod", "books@prod")
    same = decide_labels(DEFAULT, held({"istio-injection": "enabled"}), inventory=over)
    assert (same.action, same.holder) == ("claim", "books@prod")
    created = decide_labels(NamespaceRequest("new", "injection", create=True), None, inventory=OURS)
    assert created.holder == "shop@prod"


def test_our_own_namespace_follows_its_inventory():
    decision = decide_labels(CANARY, held({"istio.io/rev": "old"}), inventory=OURS)
    assert (decision.action, decision.holder, decision.refusal) == ("label", "shop@prod", "")


def test_a_controller_stays_a_controller_whoever_holds_the_namespace():
    live = held({"istio.io/rev": "old"}, holder="books@prod")
    live["metadata"]["managedFields"] = namespace({"istio.io/rev": "old"}, "argocd", "Apply")["metadata"][
        "managedFields"
    ]
    assert "argocd" in decide_labels(CANARY, live, inventory=Inventory("shop@prod", take_over=True)).refusal
