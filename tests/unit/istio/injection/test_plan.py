"""Which pods are stale, and how their workloads may be restarted."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.judge import NamespaceState
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.plan import plan_restarts
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.webhooks import (
    InjectorSettings,
    parse_injectors,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.workloads import (
    parse_budget,
    parse_pod,
    parse_workload,
    resolve,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import seconds_of

from ...support import injection as given

NOW = "hub.example/proxyv2:1.31.0"
OLD = "hub.example/proxyv2:1.30.0"
INJECTORS = parse_injectors(
    [given.webhook_configuration("istio-sidecar-injector", "default", ["default"], legacy=True)]
)
SETTINGS = {"default": InjectorSettings(True, (), (), "hub.example", "1.31.0", "proxyv2", "")}
ENABLED = {"istio-injection": "enabled"}


def planned(pods, workloads=(), budgets=(), *, labels=None, anyway=(), batch=5, keep=False, rolling=""):
    labels = ENABLED if labels is None else labels
    home = NamespaceState(
        namespace="shop",
        labels=labels,
        pods=[parse_pod(pod) for pod in pods],
        workloads={(w["kind"], w["metadata"]["name"]): parse_workload(w, rolling) for w in workloads},
        parents={
            ("ReplicaSet", "web-abc"): ("Deployment", "web"),
            ("Job", "nightly-1"): ("CronJob", "nightly"),
        },
        budgets=[parse_budget(budget) for budget in budgets],
        keep=keep,
    )
    return plan_restarts([home], INJECTORS, SETTINGS, batch=batch, anyway=anyway)


@pytest.mark.parametrize(
    ("pod", "state", "reason"),
    [
        (given.pod(image=NOW), "ok", ""),
        (given.pod(image=NOW, native=False), "ok", ""),
        (given.pod(), "stale", "not injected"),
        (given.pod(image=OLD), "stale", f"proxy {OLD}, the injector gives {NOW}"),
        (given.pod(image=NOW, revision="canary"), "stale", "revision canary, the injector gives default"),
        (given.pod(phase="Succeeded"), "skipped", "finished (Succeeded)"),
        (given.pod(terminating=True), "leaving", "terminating"),
        (
            given.pod(host_network=True),
            "skipped",
            "hostNetwork: the redirection would change the node's network",
        ),
        (
            given.pod(labels={"sidecar.istio.io/inject": "false"}),
            "skipped",
            "opted out by the label sidecar.istio.io/inject=false",
        ),
        (
            given.pod(image=NOW, labels={"sidecar.istio.io/inject": "false"}),
            "skipped",
            "carries a proxy although it would get none: "
            "opted out by the label sidecar.istio.io/inject=false",
        ),
    ],
)
def test_every_pod_gets_a_verdict(pod, state, reason):
    (verdict,) = planned([pod], [given.workload()]).verdicts
    assert (verdict.state, verdict.reason) == (state, reason)


SHA, OTHER_SHA = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.mark.parametrize(
    "image",
    [
        f"{NOW}@{SHA}",
        "mirror.corp/hub.example/proxyv2:1.31.0",
        f"mirror.corp/proxyv2:1.31.0@{SHA}",
        f"hub.example/proxyv2@{SHA}",
        f"mirror.corp/x/proxyv2@{SHA}",
    ],
)
def test_an_image_that_a_policy_rewrote_is_the_same_image(image):
    (verdict,) = planned([given.pod(image=image)], [given.workload()]).verdicts
    assert (verdict.state, verdict.reason) == ("ok", "")


@pytest.mark.parametrize(
    "image",
    [f"{OLD}@{SHA}", "mirror.corp/proxyv2:1.30.0", f"hub.example/envoy@{SHA}", "hub.example/envoy:1.31.0"],
)
def test_a_rewritten_image_of_another_version_or_name_is_another_one(image):
    (verdict,) = planned([given.pod(image=image)], [given.workload()]).verdicts
    assert verdict.state == "stale"
    assert verdict.reason == f"proxy {image}, the injector gives {NOW}"


def made(name, image, at):
    pod = given.pod(name, image=image)
    pod["metadata"]["creationTimestamp"] = at
    return pod


def verdicts_of(*pods, changed="2026-01-01T12:00:00Z", proxy_image=""):
    settings = dataclasses.replace(SETTINGS["default"], changed=seconds_of(changed))
    found = {}
    if proxy_image:
        containers = [{"name": "istio-proxy", "image": proxy_image}]
        template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
        found["ReplicaSet", "web-abc"] = parse_workload(given.workload("ReplicaSet", template=template))
    home = NamespaceState("shop", ENABLED, pods=[parse_pod(pod) for pod in pods], workloads=found)
    found = plan_restarts([home], INJECTORS, {"default": settings}, batch=5).verdicts
    return {verdict.pod.name: verdict.state for verdict in found}


def test_a_digest_tells_nothing_of_a_pod_that_is_older_than_the_settings():
    """The injector may give another version since: only a pod that was made later shows what it gives."""
    old, new = "2026-01-01T11:00:00Z", "2026-01-01T12:00:01Z"
    pinned, other = f"hub.example/proxyv2@{SHA}", f"hub.example/proxyv2@{OTHER_SHA}"
    assert verdicts_of(made("a", pinned, old)) == {"a": "stale"}
    assert verdicts_of(made("a", pinned, new)) == {"a": "ok"}
    assert verdicts_of(made("a", pinned, old), made("b", pinned, new)) == {"a": "ok", "b": "ok"}
    assert verdicts_of(made("a", pinned, old), made("b", other, new)) == {"a": "stale", "b": "ok"}


def test_only_what_an_injector_gave_since_tells_what_it_gives():
    old, new = "2026-01-01T11:00:00Z", "2026-01-01T12:00:01Z"
    pinned = f"hub.example/proxyv2@{SHA}"
    by_hand = made("h", pinned, new)
    del by_hand["metadata"]["annotations"]["sidecar.istio.io/status"]
    found = verdicts_of(made("a", pinned, old), by_hand, made("n", "", new))
    assert found == {"a": "stale", "h": "stale", "n": "stale"}


def test_the_image_that_a_workload_asks_for_is_the_one_that_is_pinned():
    old, new = "2026-01-01T11:00:00Z", "2026-01-01T12:00:01Z"
    pods = [made(name, f"own.example/proxyv2@{SHA}", at) for name, at in (("a", old), ("b", new))]
    assert verdicts_of(*pods, proxy_image="own.example/proxyv2:1.29.0") == {"a": "ok", "b": "ok"}
    # A tag may mean another image than it did.
    pods = [made(name, "mirror.corp/proxyv2:1.31.0", at) for name, at in (("a", old), ("b", new))]
    assert verdicts_of(*pods, proxy_image=f"own.example/proxyv2@{SHA}") == {"a": "stale", "b": "ok"}


def test_a_handwritten_proxy_is_not_an_injected_one():
    pod = given.pod(image=NOW)
    del pod["metadata"]["annotations"]["sidecar.istio.io/status"]
    (verdict,) = planned([pod], [given.workload()]).verdicts
    assert verdict.reason == "has an istio-proxy container that no injector wrote"


def test_an_image_in_the_template_beats_the_injector():
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "own.example/proxy:1"}]},
    }
    result = planned([given.pod(image="own.example/proxy:1")], [given.workload(template=template)])
    assert result.verdicts[0].state == "ok"
    template["spec"]["containers"][0]["image"] = "auto"
    result = planned([given.pod(image="own.example/proxy:1")], [given.workload(template=template)])
    assert result.verdicts[0].state == "stale"


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
STATEFUL = ("StatefulSet", "web")
DAEMON = ("DaemonSet", "web")
CASES = [
    # kind, spec, budgets, action, part of the reason
    ("Deployment", {}, [], "rollout", "adds 1 before"),
    ("Deployment", {"replicas": 1}, [], "rollout", "adds 1 before"),
    (
        "Deployment",
        {"replicas": 1},
        [given.budget(allowed=0, expected=1, floor=1)],
        "rollout",
        "adds 1 before",
    ),
    ("Deployment", {"strategy": ROLLING}, [], "rollout", "takes 1 at once"),
    (
        "Deployment",
        {"strategy": ROLLING},
        [given.budget(allowed=1)],
        "rollout",
        "within PodDisruptionBudget web",
    ),
    (
        "Deployment",
        {"strategy": ROLLING},
        [given.budget(allowed=0)],
        "evict",
        "PodDisruptionBudget web allows 0",
    ),
    (
        "Deployment",
        {"replicas": 8, "strategy": {"rollingUpdate": {"maxUnavailable": "50%", "maxSurge": 0}}},
        [given.budget(allowed=1, expected=8, floor=7)],
        "evict",
        "takes 4 at once",
    ),
    (
        "Deployment",
        {"strategy": ROLLING},
        [given.budget(allowed=0, expected=3, floor=3)],
        "listed",
        "never allows a disruption",
    ),
    (
        "Deployment",
        {"strategy": ROLLING},
        [given.budget(allowed=0), given.budget("second", allowed=0)],
        "listed",
        "several PodDisruptionBudgets (web, second)",
    ),
    ("Deployment", {"strategy": {"type": "Recreate"}}, [], "listed", "Recreate"),
    ("Deployment", {"paused": True}, [], "listed", "paused"),
    ("Deployment", {"replicas": 1, "strategy": ROLLING}, [], "listed", "single replica without surge"),
    ("StatefulSet", {}, [], "rollout", "takes 1 at once"),
    ("StatefulSet", {"replicas": 1}, [], "listed", "single replica without surge"),
    ("StatefulSet", {"updateStrategy": {"type": "OnDelete"}}, [], "listed", "OnDelete"),
    ("StatefulSet", {"updateStrategy": {"rollingUpdate": {"partition": 2}}}, [], "evict", "partition 2"),
    (
        "StatefulSet",
        {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
        [given.budget(allowed=0, expected=3, floor=3)],
        "listed",
        "never allows a disruption",
    ),
    ("DaemonSet", {"replicas": 1}, [], "rollout", "takes 1 at once"),
    ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, [], "listed", "OnDelete"),
    ("Job", {}, [], "listed", "Job"),
    ("Rollout", {}, [], "listed", "Rollout: not a kind"),
]


@pytest.mark.parametrize(("kind", "spec", "budgets", "action", "how"), CASES)
def test_the_way_of_restart_follows_the_strategy_and_the_budgets(kind, spec, budgets, action, how):
    owner = ("ReplicaSet", "web-abc") if kind == "Deployment" else (kind, "web")
    (step,) = planned([given.pod(owner=owner)], [given.workload(kind, **spec)], budgets).steps
    assert step.action == action
    assert how in step.how
    assert bool(step.batch) is (action != "listed")


FORCED = [
    ("Deployment", {"strategy": {"type": "Recreate"}}, [], "rollout"),
    ("Deployment", {"paused": True}, [], "evict"),
    ("Deployment", {"replicas": 1, "strategy": ROLLING}, [], "rollout"),
    ("Deployment", {"strategy": ROLLING}, [given.budget(allowed=0, expected=3, floor=3)], "rollout"),
    ("StatefulSet", {"updateStrategy": {"type": "OnDelete"}}, [], "evict"),
    (
        "StatefulSet",
        {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
        [given.budget(allowed=0, expected=3, floor=3)],
        "evict",
    ),
    ("Job", {}, [], "evict"),
]


@pytest.mark.parametrize(("kind", "spec", "budgets", "action"), FORCED)
def test_listed_workloads_are_touched_on_request_only(kind, spec, budgets, action):
    owner = ("ReplicaSet", "web-abc") if kind == "Deployment" else (kind, "web")
    inputs = ([given.pod(owner=owner)], [given.workload(kind, **spec)], budgets)
    assert planned(*inputs, anyway=["* other/*"]).steps[0].action == "listed"
    assert planned(*inputs, anyway=[f"{kind} shop/w*"]).steps[0].action == action


def test_a_bare_pod_is_never_touched():
    (step,) = planned([given.pod(owner=None)], anyway=["*"]).steps
    assert (step.action, str(step.owner)) == ("listed", "Pod shop/web-1")


def test_a_job_of_a_cron_job_is_named_after_it():
    (step,) = planned([given.pod(owner=("Job", "nightly-1"))]).steps
    assert (str(step.owner), step.action) == ("CronJob shop/nightly", "listed")


def test_a_rollout_under_way_is_waited_for_once_a_pod_is_right():
    old, new = given.pod("a"), given.pod("b", image=NOW)
    assert planned([old, new], [given.workload()], rolling="1 of 3 updated").steps[0].action == "wait"
    assert planned([old], [given.workload()], rolling="0 of 3 updated").steps[0].action == "rollout"


def test_nothing_stale_means_an_empty_plan():
    assert planned([given.pod(image=NOW)], [given.workload()]).steps == ()


def test_budgets_that_select_nothing_or_other_pods_do_not_count():
    none = given.budget(allowed=0)
    none["spec"]["selector"] = None
    other = given.budget(allowed=0)
    other["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    (step,) = planned([given.pod()], [given.workload(strategy=ROLLING)], [none, other]).steps
    assert (step.action, step.budgets) == ("rollout", ())


def test_a_budget_whose_status_is_old_allows_nothing():
    stale = given.budget(allowed=2)
    stale["metadata"]["generation"] = 2
    assert parse_budget(stale).allowed == 0


def workloads_and_pods(names, **spec):
    pods = [given.pod(f"{name}-0", owner=("StatefulSet", name)) for name in names]
    return pods, [given.workload("StatefulSet", name, **spec) for name in names]


def test_batches_have_the_size_asked_for():
    pods, workloads = workloads_and_pods(["a", "b", "c", "d", "e"])
    result = planned(pods, workloads, batch=2)
    assert [[step.owner.name for step in batch] for batch in result.batches] == [
        ["a", "b"],
        ["c", "d"],
        ["e"],
    ]


def test_workloads_that_share_a_budget_never_go_together():
    pods, workloads = workloads_and_pods(["a", "b", "c"])
    result = planned(pods, workloads, [given.budget(allowed=1)], batch=5)
    assert [[step.owner.name for step in batch] for batch in result.batches] == [["a"], ["b"], ["c"]]


def test_gateways_go_last_and_alone():
    template = {
        "metadata": {"labels": {"app": "web"}, "annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
    }
    pods, workloads = workloads_and_pods(["a-gateway", "b-gateway"], template=template)
    more_pods, more = workloads_and_pods(["z"])
    result = planned(pods + more_pods, workloads + more)
    assert [[step.owner.name for step in batch] for batch in result.batches] == [
        ["z"],
        ["a-gateway"],
        ["b-gateway"],
    ]


def test_kept_namespaces_show_only_what_concerns_injection():
    """istiod and other unmeshed pods beside a gateway are none of the planner's business."""
    gateway = given.pod(
        "gw", image=OLD, labels={"sidecar.istio.io/inject": "true"}, owner=("StatefulSet", "gw")
    )
    istiod = given.pod("istiod", labels={"sidecar.istio.io/inject": "false"}, owner=("StatefulSet", "istiod"))
    result = planned([gateway, istiod], [given.workload("StatefulSet", "gw")], labels={}, keep=True)
    assert [(v.pod.name, v.state) for v in result.verdicts] == [("gw", "stale")]
    assert [v.pod.name for v in planned([gateway, istiod], labels={}).verdicts] == ["gw", "istiod"]


@pytest.mark.parametrize(
    ("value", "total", "up", "result"),
    [(2, 10, False, 2), ("25%", 3, False, 0), ("25%", 3, True, 1), ("100%", 3, True, 3), ("0%", 3, True, 0)],
)
def test_percentages_round_as_kubernetes_does(value, total, up, result):
    assert resolve(value, total, round_up=up) == result


def test_a_strategy_that_allows_nothing_takes_one():
    strategy = {"rollingUpdate": {"maxUnavailable": "10%", "maxSurge": 0}}
    assert parse_workload(given.workload(strategy=strategy)).max_unavailable == 1
