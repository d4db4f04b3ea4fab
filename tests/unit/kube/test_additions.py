"""What counts as added by hand, and how it is taken out."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.additions import (
    Additions,
    hand_additions,
)

OURS = "servicemesh.istio"


def entry(manager: str, operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


def peer_authentication(*entries: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {
            "name": "a",
            "resourceVersion": "7",
            "managedFields": [
                entry(OURS, "Apply", {"f:spec": {"f:mtls": {"f:mode": {}}}}),
                *entries,
            ],
        },
        "spec": {"mtls": {"mode": "STRICT"}, **spec},
    }


DESIRED = {"metadata": {"name": "a"}, "spec": {"mtls": {"mode": "STRICT"}}}
PORTS = {"f:spec": {"f:portLevelMtls": {".": {}, "f:8080": {".": {}, "f:mode": {}}}}}


def paths(live: dict[str, Any], desired: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    found = hand_additions(live, desired or DESIRED, OURS)
    return list(found.paths) if found else []


def test_the_topmost_added_field_is_named() -> None:
    live = peer_authentication(
        entry("kubectl-patch", "Update", PORTS), portLevelMtls={"8080": {"mode": "DISABLE"}}
    )
    found = hand_additions(live, DESIRED, OURS)
    assert found == Additions((("spec", "portLevelMtls"),), ("kubectl-patch",))
    assert found.taken_out(live)["spec"] == DESIRED["spec"]
    assert "portLevelMtls" in live["spec"], "the live object itself is left alone"
    assert found.patch("7") == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/spec/portLevelMtls"},
    ]


def test_beside_declared_ports_only_the_added_port_goes() -> None:
    live = peer_authentication(
        entry("kubectl-edit", "Update", {"f:spec": {"f:portLevelMtls": {"f:8080": {".": {}, "f:mode": {}}}}}),
        portLevelMtls={"8080": {"mode": "DISABLE"}, "9090": {"mode": "PERMISSIVE"}},
    )
    desired = {"spec": {"mtls": {"mode": "STRICT"}, "portLevelMtls": {"9090": {"mode": "PERMISSIVE"}}}}
    assert paths(live, desired) == [("spec", "portLevelMtls", "8080")]


@pytest.mark.parametrize(
    "other",
    [
        entry("flagger", "Update", PORTS),
        entry("argocd-controller", "Apply", PORTS),
        entry("kubectl", "Update", PORTS, subresource="scale"),
        entry(OURS, "Update", PORTS),
    ],
)
def test_other_writers_fields_stay(other: dict[str, Any]) -> None:
    live = peer_authentication(other, portLevelMtls={"8080": {"mode": "DISABLE"}})
    assert paths(live) == []


def test_what_a_controller_owns_too_stays() -> None:
    live = peer_authentication(
        entry("kubectl-patch", "Update", PORTS),
        entry("flagger", "Update", {"f:spec": {"f:portLevelMtls": {"f:8080": {"f:mode": {}}}}}),
        portLevelMtls={"8080": {"mode": "DISABLE"}},
    )
    assert paths(live) == []


def test_what_we_gave_up_in_favour_of_a_person_goes() -> None:
    """Co-owned with a person, and no longer declared: the apply alone would leave it to the person."""
    live = peer_authentication(
        entry("kubectl-patch", "Update", PORTS), portLevelMtls={"8080": {"mode": "DISABLE"}}
    )
    live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].update(PORTS["f:spec"])
    assert paths(live) == [("spec", "portLevelMtls")]


@pytest.mark.parametrize("field", ["metadata", "status"])
def test_labels_annotations_and_status_are_not_ours_alone(field: str) -> None:
    live = peer_authentication(entry("kubectl-label", "Update", {f"f:{field}": {"f:labels": {"f:team": {}}}}))
    live.setdefault(field, {})["labels"] = {"team": "a"}
    assert paths(live) == []


def deployment(environment: list[dict[str, str]], *owned: str) -> dict[str, Any]:
    names = {f'k:{{"name":"{name}"}}': {".": {}, "f:name": {}, "f:value": {}} for name in owned}
    fields = {"f:containers": {'k:{"name":"discovery"}': {"f:env": names}}}
    restarted = {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}
    return {
        "metadata": {
            "resourceVersion": "9",
            "managedFields": [
                entry("kubectl-set", "Update", {"f:spec": {"f:template": {"f:spec": fields, **restarted}}})
            ],
        },
        "spec": {
            "template": {
                "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}},
                "spec": {"containers": [{"name": "discovery", "env": environment}]},
            }
        },
    }


def test_items_of_a_list_go_last_first_so_that_indexes_hold() -> None:
    live = deployment(
        [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}], "A", "C"
    )
    desired = {
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "discovery", "env": [{"name": "B", "value": "2"}]}]}
            }
        }
    }
    found = hand_additions(live, desired, OURS)
    assert found is not None
    place = "/spec/template/spec/containers/0/env"
    assert [step["path"] for step in found.patch("9")[1:]] == [f"{place}/2", f"{place}/0"]
    containers = found.taken_out(live)["spec"]["template"]["spec"]["containers"]
    assert containers == [{"name": "discovery", "env": [{"name": "B", "value": "2"}]}]
    assert found.taken_out(live)["spec"]["template"]["metadata"], "a restart is no addition"


def test_a_declared_item_without_its_defaulted_key_is_no_addition() -> None:
    live = {
        "metadata": {
            "managedFields": [
                entry(
                    "kubectl-edit",
                    "Update",
                    {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}}},
                )
            ]
        },
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}]},
    }
    assert paths(live, {"spec": {"ports": [{"port": 80}]}}) == []


@pytest.mark.parametrize("declared", [None, 5, "text"])
def test_items_of_what_is_declared_as_no_list_are_additions(declared: Any) -> None:
    fields = {"f:spec": {"f:finalizers": {'v:"mine"': {}}}}
    live = {
        "metadata": {"managedFields": [entry("kubectl-edit", "Update", fields)]},
        "spec": {"finalizers": ["mine"]},
    }
    assert paths(live, {"spec": {"finalizers": declared}}) == [("spec", "finalizers", 0)]


def test_members_of_a_set_and_names_with_slashes() -> None:
    live = {
        "metadata": {
            "managedFields": [
                entry(
                    "kubectl-edit",
                    "Update",
                    {"f:spec": {"f:finalizers": {'v:"mine"': {}}, "f:data": {"f:a/b~c": {}}}},
                )
            ]
        },
        "spec": {"finalizers": ["theirs", "mine"], "data": {"a/b~c": "x", "d": "y"}},
    }
    desired = {"spec": {"finalizers": ["theirs"], "data": {"d": "y"}}}
    found = hand_additions(live, desired, OURS)
    assert found is not None
    assert [step["path"] for step in found.patch("1")[1:]] == ["/spec/finalizers/1", "/spec/data/a~1b~0c"]
    assert found.taken_out(live)["spec"] == desired["spec"]


def test_what_is_gone_meanwhile_is_left_out() -> None:
    assert paths(peer_authentication(entry("kubectl-patch", "Update", PORTS))) == []


@pytest.mark.parametrize("below", [None, "x", [], {}])
def test_what_is_declared_and_has_no_readable_fields_below_is_no_addition(below: Any) -> None:
    live = peer_authentication(entry("kubectl-edit", "Update", {"f:spec": {"f:mtls": below}}))
    assert paths(live) == []
