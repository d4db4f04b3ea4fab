"""Fields that a person added to objects declared as a whole: named by check mode, taken out by a run."""

from __future__ import annotations

import copy
import dataclasses
import random

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, ConflictError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.comparison import content
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.wait import wait_until
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.engine import (
    ApplyOptions,
    apply_plan,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.live import read_live
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.drift import (
    compare,
    repair,
)

from . import objects

ADDED = {
    "PeerAuthentication": {"portLevelMtls": {"8080": {"mode": "DISABLE"}}},
    "DestinationRule": {"exportTo": ["*"], "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
    "VirtualService": {"exportTo": ["."]},
}


def declared(space, name="one"):
    strict = {"selector": {"matchLabels": {"app": "a"}}, "mtls": {"mode": "STRICT"}}
    rule = {"host": "x", "trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 5}}}
    routes = {"hosts": ["x"], "http": [{"route": [{"destination": {"host": "x"}}]}]}
    specs = {"PeerAuthentication": strict, "DestinationRule": rule, "VirtualService": routes}
    return [objects.istio(kind, name, space, spec) for kind, spec in specs.items()]


def identity(obj):
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace")


def apply(kube, wanted, *, check_mode=False, **options):
    live = read_live(kube, wanted)
    context = Context(check_mode=check_mode, diff_mode=True)
    return apply_plan(kube, wanted, live, (), context=context, options=ApplyOptions(whole=True, **options))


def add(kube, obj, manager="kubectl-patch"):
    kube.patch(*identity(obj), {"spec": ADDED[obj["kind"]]}, field_manager=manager)


@pytest.mark.parametrize("seed", range(12))
def test_additions_are_predicted_and_taken_out_exactly(kube, space, seed):
    chance = random.Random(seed)
    wanted = declared(space)
    apply(kube, wanted)
    good = [content(kube.get(*identity(obj))) for obj in wanted]
    touched = chance.sample(wanted, chance.randrange(1, len(wanted) + 1))
    for obj in touched:
        add(kube, obj, chance.choice(["kubectl-patch", "kubectl-edit", "k9s"]))
        if chance.random() < 0.4:  # and a field of ours on top
            kube.patch(*identity(obj), {"metadata": {"labels": {"team": "x"}}}, field_manager="kubectl-label")
            obj["metadata"]["labels"] = {"team": "mine"}
            good[wanted.index(obj)]["metadata"]["labels"] = {"team": "mine"}
    expected = {f"{obj['kind']} {space}/one" for obj in touched}
    predicted = apply(kube, wanted, check_mode=True)
    assert {entry["id"] for entry in predicted["objects"]} == expected
    assert all(entry["taken_back_from"] for entry in predicted["objects"])
    real = apply(kube, wanted)
    assert real == predicted
    assert [content(kube.get(*identity(obj))) for obj in wanted] == good
    assert apply(kube, wanted)["changed"] is False


def test_without_a_persons_addition_there_is_no_further_request(through, proxy, space):
    wanted = declared(space)
    apply(through, wanted)
    proxy.reset()
    assert apply(through, wanted)["changed"] is False
    assert proxy.methods == {"GET": 3}
    add(through, wanted[0])
    proxy.reset()
    assert apply(through, wanted)["counts"]["updated"] == 1
    assert proxy.methods == {"GET": 3, "POST": 1, "APPLY": 2}


def test_a_controllers_addition_stays(kube, space):
    wanted = declared(space)
    apply(kube, wanted)
    add(kube, wanted[0], "flagger")
    assert apply(kube, wanted)["changed"] is False
    assert kube.get(*identity(wanted[0]))["spec"]["portLevelMtls"]


def test_nothing_is_taken_out_of_an_object_that_a_controller_contests(kube, space):
    wanted = declared(space)
    apply(kube, wanted)
    kube.patch(*identity(wanted[0]), {"spec": {"mtls": {"mode": "DISABLE"}}}, field_manager="flagger")
    add(kube, wanted[0])
    with pytest.raises(ConflictError):
        apply(kube, wanted)
    assert kube.get(*identity(wanted[0]))["spec"]["portLevelMtls"]


def test_objects_of_other_kinds_and_other_calls_keep_additions(kube, run, space):
    config = objects.core("v1", "ConfigMap", "c", space, data={"a": "1"})
    wanted = [*declared(space), config]
    apply(kube, wanted)
    kube.patch(*identity(config), {"data": {"b": "2"}}, field_manager="kubectl-edit")
    assert apply(kube, wanted)["changed"] is False
    add(kube, wanted[0])
    assert run(definition=wanted)["changed"] is False
    assert kube.get(*identity(wanted[0]))["spec"]["portLevelMtls"]


def test_a_write_in_between_is_looked_at_again(kube, space, monkeypatch):
    """Somebody changes the object between our apply and the removal: 409, then both are done again."""
    wanted = declared(space)[:1]
    apply(kube, wanted)
    add(kube, wanted[0])
    real = kube.patch
    rounds = []

    def late(*arguments, **options):
        if options.get("patch_type") == "json" and not rounds:
            rounds.append(1)
            real(
                *identity(wanted[0]),
                {"metadata": {"annotations": {"x": "y"}}},
                field_manager="kubectl-annotate",
            )
        return real(*arguments, **options)

    monkeypatch.setattr(kube, "patch", late)
    assert apply(kube, wanted)["counts"]["updated"] == 1
    assert rounds
    live = kube.get(*identity(wanted[0]))
    assert live["spec"] == wanted[0]["spec"]
    assert live["metadata"]["annotations"] == {"x": "y"}


def test_a_removal_that_the_server_refuses_is_named(kube, space):
    """The definition requires ``host``; a removal that breaks an object is an error, not a loop."""
    wanted = declared(space)[1:2]
    apply(kube, wanted)
    broken = copy.deepcopy(wanted)
    del broken[0]["spec"]["host"]
    kube.patch(*identity(wanted[0]), {"spec": {"host": "y"}}, field_manager="kubectl-edit")
    with pytest.raises(ApiError, match="host"):
        apply(kube, broken)


class TestControlPlane:
    """The same for the objects of an installation, which another tool writes."""

    def deployment(self, space):
        containers = [{"name": "discovery", "image": "x", "env": [{"name": "A", "value": "1"}]}]
        template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": template}
        return objects.core("apps/v1", "Deployment", "istiod", space, spec=spec)

    def settle(self, kube, obj):
        """The controller has seen the object and written its annotation."""

        def seen():
            live = kube.get(*identity(obj))
            observed = (live.get("status") or {}).get("observedGeneration")
            return observed == live["metadata"]["generation"], "not yet"

        wait_until(seen, awaited="the Deployment controller", timeout=30)

    @pytest.mark.parametrize("manager", ["istio-operator", "helm"])
    def test_an_added_variable_is_drift_and_a_restart_is_not(self, kube, space, manager):
        wanted = [self.deployment(space)]
        if manager == "helm":
            kube.create(wanted[0])
        else:
            kube.apply(wanted[0], field_manager=manager, force=True)
        self.settle(kube, wanted[0])
        restart = {
            "spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "n"}}}}
        }
        kube.patch(*identity(wanted[0]), restart, patch_type="strategic", field_manager="kubectl-rollout")
        self.settle(kube, wanted[0])
        assert compare(kube, wanted, field_manager=manager) == []
        containers = [{"name": "discovery", "env": [{"name": "B", "value": "2"}]}]
        change = {"spec": {"template": {"spec": {"containers": containers, "hostNetwork": True}}}}
        kube.patch(*identity(wanted[0]), change, patch_type="strategic", field_manager="kubectl-set")
        (found,) = compare(kube, wanted, field_manager=manager)
        assert found.summary() == {
            "id": f"Deployment {space}/istiod",
            "action": "update",
            "taken_back_from": "kubectl-set",
        }
        repair(kube, [found], field_manager=manager)
        assert compare(kube, wanted, field_manager=manager) == []
        pod = kube.get(*identity(wanted[0]))["spec"]["template"]["spec"]
        assert pod["containers"][0]["env"] == [{"name": "A", "value": "1"}]
        assert "hostNetwork" not in pod

    def test_an_object_that_is_gone_meanwhile_is_made_again(self, kube, space):
        wanted = [self.deployment(space)]
        kube.apply(wanted[0], field_manager="helm", force=True)
        change = {"spec": {"paused": True}}
        kube.patch(*identity(wanted[0]), change, field_manager="kubectl-rollout")
        (found,) = compare(kube, wanted, field_manager="helm")
        kube.delete(*identity(wanted[0]))
        repair(kube, [dataclasses.replace(found)], field_manager="helm")
        assert "paused" not in kube.get(*identity(wanted[0]))["spec"]
