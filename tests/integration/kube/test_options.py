"""What module resources promises about rights, deletions, places and selections, against an API server."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, WaitTimeout

from ...unit.support.arguments import validated

RBAC = "rbac.authorization.k8s.io"


def config_map(name, space, data=None, **metadata):
    metadata = {"name": name, "namespace": space, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"a": "1"}}


@pytest.fixture
def limited(api, kube, space):
    """The backend as a user with some rights: ``limited(rules, **params)``; rules hold in the namespace."""
    from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
    from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import backend

    def call(rules, check_mode=False, **params):
        meta = {"name": "limited", "namespace": space}
        kube.apply({"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": rules})
        subject = {"apiGroup": RBAC, "kind": "User", "name": f"user-{space}"}
        ref = {"apiGroup": RBAC, "kind": "Role", "name": "limited"}
        binding = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": meta}
        kube.apply({**binding, "subjects": [subject], "roleRef": ref})
        who = {"impersonate_user": f"user-{space}", "impersonate_groups": ["system:authenticated"]}
        checked = validated(backend.ARGUMENT_SPEC, {"kubeconfig": api, **who, **params})
        warnings = []
        context = Context(environment={}, check_mode=check_mode, warn=warnings.append)
        return {**backend.run(checked, context), "said": warnings}

    return call


def rule(*verbs, resources=("configmaps",), names=()):
    found = {"apiGroups": [""], "resources": list(resources), "verbs": list(verbs)}
    return {**found, "resourceNames": list(names)} if names else found


def test_create_by_name_is_enough_for_a_server_side_apply(limited, space):
    """What docs/rbac builds on: a patch that creates is authorized with the name."""
    rules = [rule("get", "patch", "create", names=["mine"])]
    assert limited(rules, definition=config_map("mine", space))["changed"]
    with pytest.raises(ApiError, match=r"nothing was written: rights are missing: in .*: patch, create on"):
        limited([*rules, rule("get", names=["other"])], definition=config_map("other", space))


def test_a_missing_right_is_known_before_the_first_write(limited, kube, space):
    objects = [config_map("a", space), {**config_map("b", space), "kind": "Secret", "data": {"a": "MQ=="}}]
    rules = [rule("get", "list", "patch", "create"), rule("get", "patch", resources=["secrets"])]
    with pytest.raises(ApiError, match="create on secrets") as caught:
        limited(rules, definition=objects)
    assert caught.value.status == 403
    assert kube.get("v1", "ConfigMap", "a", space) is None
    kube.apply(objects[0])
    with pytest.raises(ApiError, match="delete on configmaps"):
        limited(rules, definition=objects[0], state="absent")
    assert kube.get("v1", "ConfigMap", "a", space)


def test_pruning_with_rights_in_one_namespace(limited, kube, space):
    kinds = ["destinationrules", "envoyfilters", "gateways", "serviceentries", "sidecars", "virtualservices"]
    istio = [
        {"apiGroups": ["networking.istio.io"], "resources": kinds, "verbs": ["list"]},
        {
            "apiGroups": ["security.istio.io"],
            "resources": ["authorizationpolicies", "peerauthentications"],
            "verbs": ["list"],
        },
        {"apiGroups": ["telemetry.istio.io"], "resources": ["telemetries"], "verbs": ["list"]},
    ]
    rules = [rule("get", "list", "patch", "create", "delete"), *istio]
    both = [config_map("a", space), config_map("b", space)]
    given = {"mesh_name": f"mesh-{space}", "prune": True}
    limited(rules, definition=both, **given)
    done = limited(rules, definition=both[:1], **given)
    assert done["counts"]["deleted"] == 1
    assert f"is looked for in {space} only" in " ".join(done["said"])


def test_delete_options(run, kube, space):
    owner = kube.apply(config_map("owner", space))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    kube.apply(config_map("owned", space, ownerReferences=[reference]))
    wrong = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    given = {"state": "absent", "kind": "ConfigMap", "name": "owner", "namespace": space}
    for check_mode in (True, False):
        with pytest.raises(ApiError) as caught:
            run(check_mode=check_mode, delete_options=wrong, **given)
        assert caught.value.status == 409
    assert kube.get("v1", "ConfigMap", "owner", space)
    right = {
        "propagationPolicy": "Orphan",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": owner["metadata"]["uid"]},
    }
    # Orphans are let go by a controller before the object is gone, so it is waited for.
    assert run(wait=True, delete_options=right, **given)["changed"]
    assert not run(**given)["changed"]
    assert kube.get("v1", "ConfigMap", "owned", space)


def test_selected_objects_go_and_no_others(run, kube, space):
    for name, app in (("a", "web"), ("b", "web"), ("c", "db")):
        kube.apply(config_map(name, space, labels={"app": app}))
    given = {"state": "absent", "kind": "ConfigMap", "namespace": space, "label_selectors": ["app in (web)"]}
    assert run(check_mode=True, **given)["counts"]["deleted"] == 2
    assert run(wait=True, **given)["counts"]["deleted"] == 2
    assert [kube.get("v1", "ConfigMap", name, space) is not None for name in "abc"] == [False, False, True]
    assert not run(**given)["changed"]


def test_a_refusal_names_file_and_line_and_leaves_the_rest_unwritten(run, kube, space, tmp_path):
    good, bad = config_map("good", space), config_map("bad", space, data={"no/slash": "x"})
    file = tmp_path / "team.yml"
    file.write_text(f"{yaml.safe_dump(good)}---\n{yaml.safe_dump(bad)}")
    line = len(yaml.safe_dump(good).splitlines()) + 2
    for check_mode in (True, False):
        with pytest.raises(ApiError) as caught:
            run(check_mode=check_mode, src=[str(file)])
        assert caught.value.message.startswith(f"{file}:{line}: ConfigMap {space}/bad: ")


def test_a_condition_that_the_server_reports(run, kube, space):
    given = {"definition": {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}}
    given["definition"]["metadata"] = {"name": "sidecars.networking.istio.io"}
    live = kube.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "sidecars.networking.istio.io")
    given["definition"]["spec"] = live["spec"]
    wait = {"wait": True, "wait_timeout": 2, "force": True}
    run(**given, **wait, wait_condition={"type": "Established"})
    with pytest.raises(WaitTimeout, match="condition Established is True"):
        run(**given, **wait, wait_condition={"type": "Established", "status": "False"})


def test_empty_maps_are_proved_without_a_dry_run(run, space):
    """Templates leave `annotations: {}` behind; each of them cost a dry run for ever."""
    obj = config_map("a", space, annotations={}, labels={})
    assert run(definition=obj)["changed"]
    again = run(definition=obj)
    assert not again["changed"]
    assert not run(definition=config_map("a", space))["changed"]


def test_a_hash_in_the_name(run, kube, space):
    first = run(definition=config_map("a", space), append_hash=True)
    second = run(definition=config_map("a", space, data={"a": "2"}), append_hash=True)
    ids = {entry["id"] for result in (first, second) for entry in result["objects"]}
    assert len(ids) == 2 and all(one.startswith(f"ConfigMap {space}/a-") for one in ids)
