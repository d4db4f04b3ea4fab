"""Role injection's backend on a real cluster with Istio."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import RefusedError

from ..waiting import until

NO_SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}


def injected(cluster, name):
    pods = cluster.pods(name)
    return bool(pods) and all(
        "sidecar.istio.io/status" in pod["metadata"].get("annotations", {}) for pod in pods
    )


def uids(cluster, name):
    return {pod["metadata"]["uid"] for pod in cluster.pods(name)}


def test_check_mode_shows_the_plan_that_is_then_carried_out_once(cluster, inject):
    cluster.workload("Deployment", "web", replicas=2)
    cluster.workload("StatefulSet", "db", replicas=2)
    before = cluster.versions()
    foreseen = inject(check_mode=True, diff_mode=True)
    assert cluster.versions() == before
    assert foreseen["changed"]
    done = inject(diff_mode=True)
    assert (done["changed"], done["status"], done["objects"]) == (True, "pass", foreseen["objects"])
    assert [step["action"] for step in foreseen["plan"]] == ["rollout", "rollout"]
    assert injected(cluster, "web")
    assert injected(cluster, "db")
    assert done["counts"]["native_sidecars"] == 4
    settled = cluster.versions()
    again = inject()
    assert (again["changed"], again["status"], again["objects"]) == (False, "pass", [])
    assert cluster.versions() == settled


def test_labels_changed_by_hand_are_repaired_without_a_restart(cluster, inject):
    cluster.workload("Deployment", "web")
    inject()
    pods = uids(cluster, "web")
    for key, value in (
        ("istio-injection", "disabled"),
        ("istio-injection", None),
        ("istio.io/rev", "elsewhere"),
    ):
        cluster.set_label(key, value)
        result = inject()
        assert [entry["action"] for entry in result["objects"]] == ["updated"]
        assert cluster.labels()["istio-injection"] == "enabled"
        assert "istio.io/rev" not in cluster.labels()
        assert uids(cluster, "web") == pods
        assert not inject()["changed"]


def test_a_revision_label_replaces_the_other_in_one_request(cluster, inject, namespace):
    cluster.workload("Deployment", "web")
    inject()
    request = [{"name": namespace, "revision": "default"}]
    result = inject(namespaces=request)
    assert result["changed"]
    assert cluster.labels().get("istio.io/rev") == "default"
    assert "istio-injection" not in cluster.labels()
    assert result["counts"]["restarts"] == 0
    assert not inject(namespaces=request)["changed"]


def test_an_old_proxy_is_restarted_and_the_others_are_not(cluster, inject):
    """The injector is told, by an annotation on one live pod, to want another image for it."""
    cluster.workload("Deployment", "web")
    cluster.workload("Deployment", "other")
    inject()
    other = uids(cluster, "other")
    (pod,) = cluster.pods("web")
    patch = {"metadata": {"annotations": {"sidecar.istio.io/proxyImageType": "debug"}}}
    cluster.client.patch("v1", "Pod", pod["metadata"]["name"], cluster.namespace, patch)
    result = inject()
    assert [entry["id"] for entry in result["objects"]] == [f"Deployment {cluster.namespace}/web"]
    assert "the injector gives" in result["plan"][0]["why"]
    assert result["status"] == "pass"
    assert uids(cluster, "other") == other


def test_pods_are_evicted_one_by_one_where_a_rollout_would_break_the_budget(cluster, inject):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 3, "maxSurge": 0}}
    cluster.workload("Deployment", "web", replicas=3, strategy=strategy)
    cluster.budget("web", minAvailable=2)
    generation = cluster.client.get("apps/v1", "Deployment", "web", cluster.namespace)["metadata"][
        "generation"
    ]
    lowest, over = [3], threading.Event()

    def watch():
        while not over.is_set():
            status = cluster.client.get("apps/v1", "Deployment", "web", cluster.namespace)["status"]
            lowest[0] = min(lowest[0], status.get("availableReplicas", 0))
            over.wait(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = inject()
    finally:
        over.set()
        watcher.join()
    assert [step["action"] for step in result["plan"]] == ["evict"]
    assert result["status"] == "pass"
    assert injected(cluster, "web")
    assert lowest[0] >= 2
    after = cluster.client.get("apps/v1", "Deployment", "web", cluster.namespace)["metadata"]["generation"]
    assert after == generation


CAUTIOUS: dict[str, tuple[str, dict[str, Any], dict[str, Any] | None, str]] = {
    "recreated": ("Deployment", {"strategy": {"type": "Recreate"}}, None, "Recreate"),
    "single": ("Deployment", {"strategy": NO_SURGE}, None, "single replica"),
    "single-set": ("StatefulSet", {}, None, "single replica"),
    "set-by-hand": (
        "StatefulSet",
        {"replicas": 2, "updateStrategy": {"type": "OnDelete"}},
        None,
        "OnDelete",
    ),
    "daemon-by-hand": ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, None, "OnDelete"),
    "never": ("Deployment", {"replicas": 2, "strategy": NO_SURGE}, {"minAvailable": 2}, "never allows"),
}


def test_what_would_be_an_outage_is_listed_and_done_on_request(cluster, inject):
    def brought(name):
        kind, spec, budget, _reason = CAUTIOUS[name]
        cluster.workload(kind, name, **spec)
        if budget:
            cluster.budget(name, **budget)

    with ThreadPoolExecutor(len(CAUTIOUS)) as pool:
        list(pool.map(brought, CAUTIOUS))
    ids = {name: f"{kind} {cluster.namespace}/{name}" for name, (kind, *_rest) in CAUTIOUS.items()}
    pods = {name: uids(cluster, name) for name in CAUTIOUS}
    result = inject()
    assert result["status"] == "fail"
    reasons = {entry["id"]: entry["reason"] for entry in result["left_alone"]}
    assert reasons.keys() == set(ids.values())
    for name, (_kind, _spec, _budget, reason) in CAUTIOUS.items():
        assert reason in reasons[ids[name]]
    assert {name: uids(cluster, name) for name in CAUTIOUS} == pods
    forced = inject(restart_anyway=[*ids.values()], timeout=180)
    assert (forced["changed"], forced["status"], forced["left_alone"]) == (True, "pass", [])
    assert [name for name in CAUTIOUS if not injected(cluster, name)] == []


def test_a_paused_deployment_is_evicted_on_request(cluster, inject):
    cluster.workload("Deployment", "web", replicas=2)
    patch = {"spec": {"paused": True}}
    cluster.client.patch("apps/v1", "Deployment", "web", cluster.namespace, patch)
    assert "paused" in inject()["left_alone"][0]["reason"]
    assert inject(restart_anyway=["*"])["status"] == "pass"
    assert injected(cluster, "web")


def test_bare_pods_jobs_and_opted_out_pods_are_named(cluster, inject):
    container = {"name": "app", "image": "lab.local/pause:1", "imagePullPolicy": "IfNotPresent"}
    cluster.create("v1", "Pod", "bare", spec={"containers": [container]})
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    cluster.create("batch/v1", "Job", "work", spec={"template": template})
    opted_out = {
        "name": "opted-out",
        "labels": {"sidecar.istio.io/inject": "false"},
        "namespace": cluster.namespace,
    }
    cluster.client.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": opted_out, "spec": {"containers": [container]}}
    )
    cluster.create("v1", "Pod", "host", spec={"hostNetwork": True, "containers": [container]})
    until(lambda: len(cluster.client.list("v1", "Pod", cluster.namespace).items) == 4, "the pods", 60)
    result = inject()
    listed = {entry["id"].split("/")[-1]: entry["reason"] for entry in result["left_alone"]}
    assert listed == {
        "bare": "bare pod: nothing would create it again",
        "work": "Job: its work would start over",
    }
    skipped = {entry["id"].split("/")[-1]: entry["reason"] for entry in result["skipped_pods"]}
    assert set(skipped) == {"opted-out", "host"}
    assert "label sidecar.istio.io/inject=false" in skipped["opted-out"]
    assert "hostNetwork" in skipped["host"]


def test_a_killed_run_is_completed_by_the_next(cluster, inject):
    """Killed right after the label and after the first of two restarts."""
    cluster.workload("Deployment", "web")
    cluster.workload("Deployment", "other")
    cluster.set_label("istio-injection", "enabled")
    template = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}
    cluster.client.patch("apps/v1", "Deployment", "web", cluster.namespace, {"spec": {"template": template}})
    assert inject()["status"] == "pass"
    assert injected(cluster, "web")
    assert injected(cluster, "other")
    assert not inject()["changed"]


def test_nothing_is_written_when_no_injector_would_answer(cluster, inject, namespace):
    before = cluster.versions()
    with pytest.raises(RefusedError, match=r"no injector answers to istio\.io/rev=nobody"):
        inject(namespaces=[{"name": namespace, "revision": "nobody"}])
    assert cluster.versions() == before


def test_a_missing_namespace_is_refused_created_on_request_and_foreseen_in_check_mode(
    cluster, inject, namespace
):
    name = f"{namespace}-new"
    with pytest.raises(RefusedError, match="do not exist"):
        inject(namespaces=[name])
    foreseen = inject(check_mode=True, namespaces=[{"name": name, "create": True}])
    assert cluster.client.get("v1", "Namespace", name) is None
    try:
        done = inject(namespaces=[{"name": name, "create": True}])
        assert done["objects"] == foreseen["objects"] == [{"id": f"Namespace {name}", "action": "created"}]
        assert not inject(namespaces=[{"name": name, "create": True}])["changed"]
    finally:
        cluster.client.delete("v1", "Namespace", name)
