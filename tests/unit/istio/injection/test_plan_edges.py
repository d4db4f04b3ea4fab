"""What a plan says besides its actions: takes, totals, reasons, order; and the kinds that it lists."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.judge import (
    NamespaceState,
    owner_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.plan import plan_restarts
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.workloads import (
    Owner,
    parse_budget,
    parse_pod,
    parse_workload,
)

from ...support import injection as given
from .test_plan import INJECTORS, NOW, OLD, SETTINGS, planned

ROLLING = {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}


def only(plan):
    (step,) = plan.steps
    return step


def test_a_step_counts_its_pods_and_tells_only_what_is_wrong():
    pods = [
        given.pod("web-1", image=NOW),
        given.pod("web-2", image=OLD),
        given.pod("web-3"),
        given.pod("web-4", phase="Succeeded"),
        given.pod("web-5", terminating=True),
    ]
    plan = planned(pods, [given.workload(**ROLLING)], [given.budget("b"), given.budget("a", selector={})])
    step = only(plan)
    assert [pod.name for pod in step.pods] == ["web-2", "web-3"]
    assert step.total == 3
    assert step.why == f"not injected; proxy {OLD}, the injector gives {NOW}"
    assert step.budgets == ("a", "b")
    assert [verdict.pod.name for verdict in plan.pods("ok")] == ["web-1"]


@pytest.mark.parametrize(
    ("kind", "spec", "budgets", "anyway", "takes"),
    [
        ("Deployment", {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}, [], (), 0),
        ("Deployment", ROLLING, [], (), 1),
        ("Deployment", {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}}}, [], (), 2),
        ("Deployment", {**ROLLING, "replicas": 1}, [], (), 0),
        ("Deployment", {**ROLLING, "replicas": 1}, [], ("*",), 1),
        ("Deployment", {"strategy": {"type": "Recreate"}}, [], (), 0),
        ("Deployment", {"strategy": {"type": "Recreate"}}, [], ("*",), 3),
        ("Deployment", ROLLING, [given.budget(allowed=0)], (), 1),
        ("Deployment", ROLLING, [given.budget(allowed=0, floor=3)], (), 0),
        ("Deployment", ROLLING, [given.budget(allowed=0, floor=3)], ("*",), 1),
        ("StatefulSet", {"updateStrategy": {"rollingUpdate": {"partition": 2}}}, [], (), 1),
    ],
)
def test_what_a_restart_takes_away_at_once(kind, spec, budgets, anyway, takes):
    pod = given.pod(owner=("ReplicaSet", "web-abc") if kind == "Deployment" else (kind, "web"))
    assert only(planned([pod], [given.workload(kind, **spec)], budgets, anyway=anyway)).takes == takes


def test_a_budget_that_allows_as_many_as_a_rollout_takes_is_enough():
    for allowed, action in ((2, "rollout"), (1, "evict")):
        spec = {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}}}
        step = only(planned([given.pod()], [given.workload(**spec)], [given.budget(allowed=allowed)]))
        assert step.action == action
    assert step.how == "a rollout takes 2 at once, PodDisruptionBudget web allows 1"


@pytest.mark.parametrize(
    ("owner", "how"),
    [
        (("Job", "import"), "Job: its work would start over"),
        (("Job", "nightly-1"), "Job: its work would start over"),
        (("Rollout", "web"), "Rollout: not a kind whose restart is known"),
        (("StatefulSet", "gone"), "StatefulSet: not a kind whose restart is known"),
    ],
)
def test_kinds_that_are_only_listed(owner, how):
    plan = planned([given.pod(owner=owner)])
    assert (only(plan).action, only(plan).how, only(plan).batch) == ("listed", how, 0)
    assert plan.listed == [only(plan)]
    assert plan.batches == []
    forced = only(planned([given.pod(owner=owner)], anyway=["*"]))
    assert (forced.action, forced.takes, forced.batch) == ("evict", 1, 1)


def test_listed_workloads_come_after_all_batches_and_are_no_batch():
    workloads, pods = [], []
    for name in ("c", "a", "b"):
        workloads.append(given.workload("StatefulSet", name))
        pods.append(given.pod(name, owner=("StatefulSet", name)))
    pods.append(given.pod("0-bare", owner=None))
    plan = planned(pods, workloads, batch=2)
    assert [(str(step.owner), step.batch) for step in plan.steps] == [
        ("StatefulSet shop/a", 1),
        ("StatefulSet shop/b", 1),
        ("StatefulSet shop/c", 2),
        ("Pod shop/0-bare", 0),
    ]
    assert [[step.owner.name for step in batch] for batch in plan.batches] == [["a", "b"], ["c"]]
    assert [step.owner.name for step in plan.listed] == ["0-bare"]


def test_only_those_that_take_pods_away_clash_over_a_budget():
    surge = {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}
    workloads = [given.workload("Deployment", name, **surge) for name in ("a", "b")]
    pods = [given.pod(name, owner=("Deployment", name)) for name in ("a", "b")]
    assert [step.batch for step in planned(pods, workloads, [given.budget()]).steps] == [1, 1]
    taking = [given.workload("Deployment", name, **ROLLING) for name in ("a", "b")]
    assert [step.batch for step in planned(pods, taking, [given.budget()]).steps] == [1, 2]


def test_workloads_with_budgets_of_their_own_go_together():
    own = {"metadata": {"labels": {"app": "other"}}, "spec": {"containers": []}}
    workloads = [
        given.workload("StatefulSet", "a"),
        given.workload("StatefulSet", "b", template=own),
    ]
    pods = [
        given.pod("a", owner=("StatefulSet", "a")),
        given.pod("b", owner=("StatefulSet", "b"), labels={"app": "other"}),
    ]
    budgets = [given.budget("a"), given.budget("b", selector={"matchLabels": {"app": "other"}})]
    plan = planned(pods, workloads, budgets)
    assert [(step.owner.name, step.budgets, step.batch) for step in plan.steps] == [
        ("a", ("a",), 1),
        ("b", ("b",), 1),
    ]


@pytest.mark.parametrize("name", ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"])
def test_istio_leaves_the_systems_namespaces_alone(name):
    home = NamespaceState(name, {"istio-injection": "enabled"}, [parse_pod(given.pod(namespace=name))])
    (verdict,) = plan_restarts([home], INJECTORS, SETTINGS, batch=1).verdicts
    assert (verdict.state, verdict.reason) == ("skipped", f"namespace {name} is never injected")


def test_budgets_of_one_name_in_two_namespaces_are_two():
    homes = []
    for namespace in ("a", "b"):
        pod = given.pod(namespace=namespace, owner=("StatefulSet", "web"))
        workload = given.workload("StatefulSet")
        workload["metadata"]["namespace"] = namespace
        budget = given.budget()
        budget["metadata"]["namespace"] = namespace
        homes.append(
            NamespaceState(
                namespace,
                {"istio-injection": "enabled"},
                [parse_pod(pod)],
                {("StatefulSet", "web"): parse_workload(workload)},
                budgets=[parse_budget(budget)],
            )
        )
    plan = plan_restarts(homes, INJECTORS, SETTINGS, batch=5)
    assert [step.batch for step in plan.steps] == [1, 1]


def test_the_owner_is_what_a_person_knows():
    home = NamespaceState("shop", {}, parents={("ReplicaSet", "web-abc"): ("Deployment", "web")})
    assert owner_of(parse_pod(given.pod()), home) == Owner("Deployment", "shop", "web")
    assert owner_of(parse_pod(given.pod(owner=None)), home) == Owner("Pod", "shop", "web-1")
    assert owner_of(parse_pod(given.pod(owner=("DaemonSet", "d"))), home) == Owner("DaemonSet", "shop", "d")


def test_a_failed_pod_counts_for_nothing():
    plan = planned([given.pod(phase="Failed")], [given.workload()])
    assert plan.steps == ()
    assert [(verdict.state, verdict.reason) for verdict in plan.verdicts] == [
        ("skipped", "finished (Failed)")
    ]


@pytest.mark.parametrize("partition", [0, 2])
def test_a_rollout_under_way_is_waited_for_unless_a_partition_holds_it(partition):
    spec = {"updateStrategy": {"rollingUpdate": {"partition": partition}}}
    pods = [
        given.pod("web-0", image=NOW, owner=("StatefulSet", "web")),
        given.pod("web-1", owner=("StatefulSet", "web")),
    ]
    step = only(planned(pods, [given.workload("StatefulSet", **spec)], rolling="1 of 3"))
    assert step.action == ("evict" if partition else "wait")
    if not partition:
        assert (step.how, step.takes) == ("a rollout is under way: 1 of 3", 0)
