"""Which namespace label is set, which one goes, and when nothing may be done."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.labels import (
    FIELD_MANAGER,
    decide_labels,
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
    assert decide_labels(DEFAULT, None).action == "missing"
    assert decide_labels(NamespaceRequest("shop", "injection", create=True), None).action == "create"
