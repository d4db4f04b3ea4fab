"""Injection runs against a server in memory: what is written, in which order, and when nothing is."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.injection import (
    backend as injection,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights import table
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import access_needs

from ...support import injection as given
from ...support.access import Restricted, access_of
from ...support.arguments import validated
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching

NOW = "hub.example/proxyv2:1.31.0"
OLD = "hub.example/proxyv2:1.30.0"
VALUES = {"global": {"hub": "hub.example", "tag": "1.31.0", "proxy": {"image": "proxyv2"}}}
WARNINGS: list[str] = []
LINES: list[str] = []


def istio():
    configuration = given.webhook_configuration("istio-sidecar-injector", "default", ["default"], legacy=True)
    metadata = {"name": "istio-sidecar-injector", "namespace": "istio-system"}
    return [
        {"kind": "MutatingWebhookConfiguration", **configuration},
        {
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"config": "policy: enabled", "values": json.dumps(VALUES)},
        },
        {
            "kind": "EndpointSlice",
            "metadata": {
                "name": "istiod-x",
                "namespace": "istio-system",
                "labels": {"kubernetes.io/service-name": "istiod"},
            },
            "endpoints": [{"conditions": {"ready": True}}],
        },
    ]


def namespace(labels=None):
    return {"kind": "Namespace", "metadata": {"name": "shop", "labels": labels or {}}}


def web(image="", **spec):
    """A Deployment, its ReplicaSet and one pod."""
    deployment = given.workload("Deployment", "web", replicas=1, **spec)
    deployment["status"] = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1}
    owner = [{"kind": "Deployment", "name": "web", "controller": True}]
    replica_set = {
        "kind": "ReplicaSet",
        "metadata": {"name": "web-abc", "namespace": "shop", "ownerReferences": owner},
    }
    return [deployment, replica_set, {"kind": "Pod", **given.pod(image=image)}]


def inject_new_pods(image=NOW):
    """ReplicaSet controller, kubelet and injector in one: a restarted workload has pods with ``image``."""

    def react(cluster, obj):
        if obj["kind"] == "Deployment":
            cluster.remove("Pod", "web-1", "shop")
            cluster.put({"kind": "Pod", **given.pod(image=image)})

    return react


@pytest.fixture
def cluster():
    fake = FakeCluster(*istio(), namespace())
    fake.on_patch = inject_new_pods()
    WARNINGS.clear()
    LINES.clear()
    return fake


def run(cluster, check_mode=False, **params):
    checked = validated(injection.ARGUMENT_SPEC, {"namespaces": ["shop"], **params})
    context = Context(
        check_mode=check_mode,
        diff_mode=True,
        warn=WARNINGS.append,
        progress=LINES.append,
        clock=FakeClock(),
        connect=reaching(cluster),
    )
    return injection.run(checked, context)


def put(cluster, objects):
    for obj in objects:
        cluster.put(obj)


def test_label_then_restart_then_nothing(cluster):
    put(cluster, web())
    result = run(cluster)
    assert cluster.writes == [("apply", "Namespace shop"), ("patch", "Deployment shop/web")]
    assert (result["changed"], result["status"]) == (True, "pass")
    annotations = cluster.find("Deployment", "web", "shop")["spec"]["template"]["metadata"]["annotations"]
    assert list(annotations) == ["kubectl.kubernetes.io/restartedAt"]
    again = run(cluster)
    assert (again["changed"], again["diff"], len(cluster.writes)) == (False, [], 2)


def test_labels_are_owned_by_a_manager_of_their_own(cluster):
    """Whoever applies the Namespace as `servicemesh.istio` must not take the label away (see labels.py)."""
    run(cluster)
    managers = cluster.find("Namespace", "shop")["metadata"]["managedFields"]
    assert [entry["manager"] for entry in managers] == ["servicemesh.istio.injection"]


def test_check_mode_tells_the_same_and_writes_nothing(cluster):
    put(cluster, web())
    foreseen = run(cluster, check_mode=True)
    assert cluster.writes == []
    assert cluster.dry_runs == [("apply", "Namespace shop")]
    done = run(cluster)
    assert (foreseen["objects"], foreseen["plan"], foreseen["diff"]) == (
        done["objects"],
        done["plan"],
        done["diff"],
    )


def test_both_labels_change_in_one_write(cluster):
    put(cluster, [namespace({"istio.io/rev": "default"})])
    run(cluster)
    assert cluster.writes[0] == ("patch", "Namespace shop")
    assert cluster.find("Namespace", "shop")["metadata"]["labels"] == {"istio-injection": "enabled"}
    assert WARNINGS == ["namespace shop: removes istio.io/rev=default, set by an unknown writer"]


def test_without_restart_everything_is_only_listed(cluster):
    put(cluster, web())
    result = run(cluster, restart=False)
    assert cluster.writes == [("apply", "Namespace shop")]
    assert result["status"] == "fail"
    assert result["plan"][0]["action"] == "listed"
    assert run(cluster, restart=False)["changed"] is False


def test_an_injector_that_does_not_keep_its_word_stops_after_the_first_batch(cluster):
    """Otherwise a wrong prediction would restart the mesh with every run until somebody notices."""
    put(cluster, web(image=OLD))
    second = given.workload("StatefulSet", "z", replicas=2)
    cluster.put(second)
    cluster.put({"kind": "Pod", **given.pod("z-0", image=OLD, owner=("StatefulSet", "z"))})
    cluster.on_patch = inject_new_pods(OLD)
    with pytest.raises(MeshError, match="still not what the injector's settings say: Deployment shop/web"):
        run(cluster, batch=1)
    assert cluster.writes == [("apply", "Namespace shop"), ("patch", "Deployment shop/web")]


def test_an_interrupted_run_stops_between_two_restarts_and_the_next_completes_it(cluster):
    put(cluster, web())
    checked = validated(injection.ARGUMENT_SPEC, {"namespaces": ["shop"]})
    with pytest.raises(MeshError, match="interrupted between two restarts"):
        injection.run(checked, Context(stop=lambda: True, connect=reaching(cluster)))
    assert cluster.writes == [("apply", "Namespace shop")]
    assert run(cluster)["status"] == "pass"
    assert cluster.writes[1:] == [("patch", "Deployment shop/web")]


def test_no_pods_are_no_proof(cluster):
    result = run(cluster)
    assert (result["changed"], result["status"], result["reason"]) == (
        True,
        "cannot tell",
        "the namespaces hold no pods",
    )


def test_no_restart_while_istiod_is_away(cluster):
    put(cluster, web())
    cluster.find("EndpointSlice", "istiod-x", "istio-system")["endpoints"][0]["conditions"]["ready"] = False
    with pytest.raises(WaitTimeout, match="has no ready istiod"):
        run(cluster, timeout=0)
    assert not any(write[1].startswith("Deployment") for write in cluster.writes)


def test_a_webhook_that_somebody_deleted_is_not_an_istio_that_is_not_there(cluster):
    cluster.remove("MutatingWebhookConfiguration", "istio-sidecar-injector")
    put(cluster, web())
    with pytest.raises(
        RefusedError, match=r"the MutatingWebhookConfiguration of its injector is gone; istio\.yml"
    ):
        run(cluster)
    assert cluster.writes == []


def test_without_istio_nothing_is_labelled_but_check_mode_goes_on(cluster):
    cluster.remove("MutatingWebhookConfiguration", "istio-sidecar-injector")
    cluster.remove("ConfigMap", "istio-sidecar-injector", "istio-system")
    put(cluster, web())
    with pytest.raises(RefusedError, match="Istio is not installed"):
        run(cluster)
    assert cluster.writes == []
    result = run(cluster, check_mode=True)
    assert (result["status"], result["reason"]) == (
        "cannot tell",
        "not installed: no injector in this cluster",
    )
    assert result["changed"]
    assert any("Istio is not installed" in text for text in WARNINGS)


def test_check_mode_cannot_tell_of_a_revision_that_comes_with_the_run(cluster):
    put(cluster, web())
    result = run(cluster, check_mode=True, namespaces=[{"name": "shop", "revision": "blue"}])
    assert result["status"] == "cannot tell"
    assert result["reason"].startswith(
        "not installed: no injector answers to istio.io/rev=blue on namespace shop"
    )


def test_check_mode_on_a_bare_cluster_foresees_the_label(cluster):
    cluster.remove("MutatingWebhookConfiguration", "istio-sidecar-injector")
    cluster.remove("Namespace", "shop")
    result = run(cluster, check_mode=True)
    assert result["objects"] == [{"id": "Namespace shop", "action": "updated"}]
    assert "not validated" in result["diff"][0]["after_header"]
    with pytest.raises(RefusedError, match="do not exist: shop"):
        run(cluster)


def test_all_refusals_come_before_the_first_label(cluster):
    fields = {"f:metadata": {"f:labels": {"f:istio.io/rev": {}}}}
    taken = namespace({"istio.io/rev": "default"})
    taken["metadata"]["name"] = "taken"
    taken["metadata"]["managedFields"] = [
        {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": fields}
    ]
    cluster.put(taken)
    with pytest.raises(RefusedError, match="argocd-controller"):
        run(cluster, namespaces=["shop", "taken"])
    assert cluster.writes == []


NO_SURGE = {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}


def crowded(cluster):
    """Two replicas that a rollout would take one by one, and a budget that allows none right now."""
    deployment, replica_set, pod = web(strategy=NO_SURGE)
    deployment["spec"]["replicas"] = 2
    deployment["status"] = dict.fromkeys(
        ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), 2
    )
    put(cluster, [deployment, replica_set, pod, {"kind": "Pod", **given.pod("web-2")}])
    cluster.put({"kind": "PodDisruptionBudget", **given.budget(allowed=0, expected=2, floor=1)})


def budget_opens_after(cluster, looks):
    """The budget allows a disruption from this look on."""
    get, seen = cluster.get, []

    def count(api_version, kind, name, namespace=None):
        if kind == "PodDisruptionBudget":
            seen.append(name)
            if len(seen) >= looks:
                cluster.find(kind, name, namespace)["status"]["disruptionsAllowed"] = 1
        return get(api_version, kind, name, namespace)

    cluster.get = count


def crowded_for_a_moment(cluster):
    """The budget allows a disruption at once, and each evicted pod comes back with a proxy of now."""
    crowded(cluster)
    budget_opens_after(cluster, 1)

    def evict(_cluster, pod, _body):
        cluster.remove("Pod", pod["metadata"]["name"], "shop")
        cluster.put({"kind": "Pod", **given.pod(pod["metadata"]["name"] + "-new", image=NOW)})

    cluster.on_evict = evict


def test_evictions_wait_for_their_budget_and_name_the_pod_they_mean(cluster):
    crowded(cluster)
    budget_opens_after(cluster, 3)
    refusals = iter([True, False])
    bodies = []

    def evict(_cluster, pod, body):
        bodies.append(body)
        if next(refusals, False):
            raise ApiError("Cannot evict pod as it would violate the pod's disruption budget.", status=429)
        cluster.remove("Pod", pod["metadata"]["name"], "shop")
        cluster.put({"kind": "Pod", **given.pod(pod["metadata"]["name"] + "-new", image=NOW)})

    cluster.on_evict = evict
    result = run(cluster, timeout=20)
    assert result["status"] == "pass"
    assert [step["action"] for step in result["plan"]] == ["evict"]
    assert [body["deleteOptions"]["preconditions"]["uid"] for body in bodies] == ["uid-web-1"] * 2 + [
        "uid-web-2"
    ]
    assert not any(write == ("patch", "Deployment shop/web") for write in cluster.writes)
    assert any("PodDisruptionBudget web allows no disruption now" in line for line in LINES)


def test_a_budget_that_never_gives_way_ends_the_wait(cluster):
    crowded(cluster)
    with pytest.raises(WaitTimeout, match="PodDisruptionBudget web allows no disruption now"):
        run(cluster, timeout=0)
    assert cluster.writes == [("apply", "Namespace shop")]


def test_an_empty_batch_is_refused(cluster):
    with pytest.raises(InputError, match="injection_batch: is 0, not at least 1"):
        run(cluster, batch=0)
    assert cluster.calls == []


def operator_of(cluster):
    """The client of a user who has the rights of the table in these namespaces, and no others."""
    places = {table.CONTROL_PLANE: ["istio-system"], table.GATEWAYS: [], table.SERVICES: ["shop"]}
    return Restricted(cluster, {access_of(need) for need in access_needs(["injection"], places)})


def test_rollouts_need_no_right_that_the_table_does_not_name(cluster):
    put(cluster, web())
    operator = operator_of(cluster)
    assert run(operator)["status"] == "pass"
    assert operator.refused == set()


def test_evictions_need_no_right_that_the_table_does_not_name(cluster):
    crowded_for_a_moment(cluster)
    operator = operator_of(cluster)
    assert run(operator, timeout=20)["status"] == "pass"
    assert operator.refused == set()


def test_a_pod_that_is_gone_meanwhile_is_no_error(cluster):
    crowded(cluster)
    budget_opens_after(cluster, 1)

    def evict(_cluster, pod, _body):
        cluster.remove("Pod", pod["metadata"]["name"], "shop")
        cluster.put({"kind": "Pod", **given.pod(pod["metadata"]["name"] + "-new", image=NOW)})
        raise ApiError("not found", status=404, reason="NotFound")

    cluster.on_evict = evict
    assert run(cluster, timeout=20)["status"] == "pass"


def test_a_late_workload_is_named_with_what_its_pods_wait_for(cluster):
    put(cluster, web())

    def stuck(fake, obj):
        if obj["kind"] != "Deployment":
            return
        obj["status"]["updatedReplicas"] = 0
        sick = copy.deepcopy(given.pod("web-2", image=NOW))
        waiting = {"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
        sick["status"]["containerStatuses"] = [waiting]
        fake.put({"kind": "Pod", **sick})

    cluster.find("Deployment", "web", "shop")["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    cluster.on_patch = stuck
    with pytest.raises(WaitTimeout, match="pod web-2: app: ImagePullBackOff"):
        run(cluster, timeout=0)


def test_gateway_namespaces_keep_their_labels_and_get_new_proxies(cluster):
    put(cluster, [{"kind": "Namespace", "metadata": {"name": "edge", "labels": {}}}])
    template = {
        "metadata": {"labels": {"app": "web"}, "annotations": {"inject.istio.io/templates": "gateway"}}
    }
    gateway = given.workload("Deployment", "gw", replicas=1, template=template)
    gateway["metadata"]["namespace"] = "edge"
    gateway["status"] = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    optin = {"sidecar.istio.io/inject": "true"}

    def pod(image):
        return {
            "kind": "Pod",
            **given.pod(
                "gw-1",
                namespace="edge",
                image=image,
                native=False,
                labels=optin,
                owner=("ReplicaSet", "gw-a"),
            ),
        }

    owner = [{"kind": "Deployment", "name": "gw", "controller": True}]
    replica_set = {
        "kind": "ReplicaSet",
        "metadata": {"name": "gw-a", "namespace": "edge", "ownerReferences": owner},
    }
    put(cluster, [gateway, replica_set, pod(OLD)])
    cluster.on_patch = lambda fake, obj: fake.put(pod(NOW)) if obj["kind"] == "Deployment" else None
    result = run(cluster, gateway_namespaces=["edge"])
    assert ("patch", "Deployment edge/gw") in cluster.writes
    assert cluster.find("Namespace", "edge")["metadata"]["labels"] == {}
    assert result["status"] == "pass"


@pytest.mark.parametrize("mode", ["keep", "injection"])
def test_a_workload_that_has_nothing_to_do_with_injection_counts_only_where_it_was_asked_for(cluster, mode):
    """Of a namespace that keeps its labels, only what is injected already is looked at."""
    put(cluster, web())
    cluster.find("Pod", "web-1", "shop")["metadata"]["labels"]["sidecar.istio.io/inject"] = "false"
    result = run(cluster, namespaces=[{"name": "shop", "mode": mode}])
    assert "restart" not in str(cluster.writes)
    assert result["counts"]["skipped"] == (mode == "injection")
    assert result["counts"]["pods"] == (mode == "injection")


# -- two inventories that give one namespace two revisions ---------------------------------------------------

MARK = "servicemesh.istio/injected-by"
ENABLED, CANARY = ["shop"], [{"name": "shop", "revision": "canary"}]


def with_two_revisions():
    configuration = given.webhook_configuration("istio-revision-canary", "canary", ["canary"])
    fake = FakeCluster(*istio(), {"kind": "MutatingWebhookConfiguration", **configuration}, namespace())
    slices = {
        "kind": "EndpointSlice",
        "metadata": {
            "name": "istiod-canary-x",
            "namespace": "istio-system",
            "labels": {"kubernetes.io/service-name": "istiod-canary"},
        },
        "endpoints": [{"conditions": {"ready": True}}],
    }
    fake.put(slices)
    return fake


def test_two_schedules_do_not_relabel_in_turn():
    cluster = with_two_revisions()
    first = run(cluster, namespaces=ENABLED, owner="shop@prod")
    assert (first["changed"], cluster.find("Namespace", "shop")["metadata"]["annotations"]) == (
        True,
        {MARK: "shop@prod"},
    )
    put(cluster, web(image=NOW))
    cluster.writes.clear()
    for _night in range(2):
        for check in (True, False):
            with pytest.raises(RefusedError) as caught:
                run(cluster, check_mode=check, namespaces=CANARY, owner="books@prod")
            assert caught.value.rule == "injection-label"
            assert "labelled by the inventory of 'shop@prod'" in caught.value.message
        assert run(cluster, namespaces=ENABLED, owner="shop@prod")["changed"] is False
    assert cluster.writes == []
    assert cluster.find("Namespace", "shop")["metadata"]["labels"] == {"istio-injection": "enabled"}


def test_a_claim_is_told_and_restarts_nobody():
    cluster = with_two_revisions()
    cluster.put(namespace({"istio-injection": "enabled"}))
    put(cluster, web(image=NOW))
    planned = run(cluster, check_mode=True, owner="shop@prod")
    assert (planned["changed"], planned["counts"]["labelled"], cluster.writes) == (True, 0, [])
    done = run(cluster, owner="shop@prod")
    assert done["objects"] == planned["objects"] == [{"id": "Namespace shop", "action": "updated"}]
    assert done["counts"]["restarts"] == 0
    assert MARK not in str(done["diff"][0]["before"]) and MARK in str(done["diff"][0]["after"])
    assert cluster.writes == [("apply", "Namespace shop")]
    assert run(cluster, owner="shop@prod")["changed"] is False


def test_a_namespace_is_taken_over_once():
    cluster = with_two_revisions()
    run(cluster, namespaces=ENABLED, owner="shop@prod")
    taken = run(cluster, namespaces=CANARY, owner="books@prod", take_over=True)
    assert taken["changed"] is True
    found = cluster.find("Namespace", "shop")["metadata"]
    assert (found["labels"], found["annotations"]) == ({"istio.io/rev": "canary"}, {MARK: "books@prod"})
    with pytest.raises(RefusedError, match="labelled by the inventory of 'books@prod'"):
        run(cluster, namespaces=ENABLED, owner="shop@prod")


def test_a_run_without_a_name_takes_no_mark_away():
    cluster = with_two_revisions()
    run(cluster, namespaces=ENABLED, owner="shop@prod")
    assert run(cluster, namespaces=ENABLED)["changed"] is False
    assert cluster.find("Namespace", "shop")["metadata"]["annotations"] == {MARK: "shop@prod"}


# -- each right that is missing ------------------------------------------------------------------------------


def with_a_rollout():
    fake = FakeCluster(*istio(), namespace())
    fake.on_patch = inject_new_pods()
    put(fake, web())
    return fake


def with_evictions():
    fake = FakeCluster(*istio(), namespace())
    crowded_for_a_moment(fake)
    return fake


def without_a_namespace():
    return FakeCluster(*istio())


@pytest.mark.parametrize("made", [with_a_rollout, with_evictions, without_a_namespace])
def test_each_right_that_is_missing_is_known_before_the_namespace_is_labelled(made):
    """A labelled namespace whose workloads may not be restarted is half in the mesh: every single right is
    taken away once."""
    wanted = [{"name": "shop", "create": True}]
    told = 0
    for lost in sorted(operator_of(None).allowed):
        cluster = made()
        operator = operator_of(cluster)
        operator.allowed.discard(lost)
        try:
            run(operator, namespaces=wanted, timeout=20)
        except ApiError as error:
            told += 1
            assert error.status == 403, lost
            assert cluster.writes == [], lost
        else:
            assert not operator.refused, lost
    assert told >= 4


def test_what_is_missing_is_named_together(cluster):
    put(cluster, web())
    operator = operator_of(cluster)
    operator.allowed = {access for access in operator.allowed if access.verb != "patch"}
    with pytest.raises(ApiError) as caught:
        run(operator)
    assert caught.value.message == (
        "nothing was written: rights are missing to label and to restart: in the cluster: patch on"
        " namespaces; in shop: patch on deployments.apps"
    )
    assert cluster.writes == []
