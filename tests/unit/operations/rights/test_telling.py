"""How missing rights are told."""

from __future__ import annotations

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.access import AccessNeed
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.telling import (
    describe_missing,
    losses,
    shorten,
)


def test_losses_name_what_is_lost_and_for_want_of_which_right() -> None:
    get, patch = AccessNeed("get", "", "pods", "a"), AccessNeed("get", "", "pods", "b")
    needs = {get: "no pods are shown", patch: "no pods are shown", AccessNeed("list", "", "nodes"): ""}
    assert losses(needs, needs) == [
        "no pods are shown: no right to get pods in namespace a, get pods in namespace b"
    ]
    assert losses([], needs) == []


def test_equal_missing_rights_are_one_phrase() -> None:
    missing = [
        AccessNeed(verb=verb, group=group, resource=resource, namespace=namespace)
        for namespace, group, resource in (
            ("shop", "apps", "deployments"),
            ("shop", "", "pods"),
            ("", "", "nodes"),
        )
        for verb in ("get", "list")
    ]
    assert describe_missing(missing) == [
        "in shop: get, list on deployments.apps, pods",
        "in the cluster: get, list on nodes",
    ]


def test_a_wall_of_missing_rights_is_shortened_and_says_so() -> None:
    assert (
        shorten(["in shop: get on pods", "in a: list on nodes"])
        == "in shop: get on pods; in a: list on nodes"
    )
    many = shorten([f"in shop: get on kind-{number}" for number in range(100)])
    assert many.startswith("in shop: get on kind-0; in shop: get on kind-1; ")
    assert many.endswith("; and 83 more such lines under missing_rights")
    assert shorten(["x" * 4, "y" * 6], limit=10) == "xxxx; yyyyyy"
    assert shorten(["x" * 4, "y" * 7], limit=10) == "xxxx; and 1 more such lines under missing_rights"
    assert shorten(["x" * 900, "y"]) == "x" * 900 + "; and 1 more such lines under missing_rights"
