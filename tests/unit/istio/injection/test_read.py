"""What is asked of the API server for a plan, and what half an answer means."""

from __future__ import annotations

import json

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.read import (
    read_injectors,
    read_namespace,
    read_settings,
    unready_injectors,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.webhooks import (
    parse_injectors,
    parse_settings,
    stored_yaml,
)

from ...support import injection as given
from ...support.cluster import FakeCluster

WEBHOOKS = "admissionregistration.k8s.io/v1"


def injector_map(name="istio-sidecar-injector", namespace="istio-system", **data):
    values = {"global": {"hub": "h", "tag": "1", "proxy": {"image": "p"}}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"config": "policy: enabled", "values": json.dumps(values), **data},
    }


def configuration(name="istio-sidecar-injector", revision="default", **more):
    kind = {"apiVersion": WEBHOOKS, "kind": "MutatingWebhookConfiguration"}
    return {**kind, **given.webhook_configuration(name, revision, [revision], **more)}


def test_settings_are_read_where_the_webhook_points_to():
    """The default revision has no suffix; a webhook with a URL falls back to the named namespace."""
    canary = configuration("istio-sidecar-injector-canary", "canary")
    for webhook in canary["webhooks"]:
        webhook["clientConfig"] = {"url": "https://istiod.example/inject"}
    mesh = injector_map("istio-canary", "home", mesh="defaultConfig: {image: {imageType: distroless}}")
    cluster = FakeCluster(
        configuration(), canary, injector_map(), injector_map("istio-sidecar-injector-canary", "home"), mesh
    )
    settings = read_settings(cluster, read_injectors(cluster), "home")
    assert set(settings) == {"default", "canary"}
    assert (settings["default"].variant, settings["canary"].variant) == ("", "distroless")
    asked = {(call.namespace, call.name) for call in cluster.calls if call.verb == "get"}
    assert asked == {
        ("istio-system", "istio-sidecar-injector"),
        ("istio-system", "istio"),
        ("home", "istio-sidecar-injector-canary"),
        ("home", "istio-canary"),
    }


def test_a_revision_without_its_map_has_no_settings():
    cluster = FakeCluster(configuration(), injector_map("istio"))
    assert read_settings(cluster, read_injectors(cluster), "istio-system") == {}


def test_a_namespace_is_read_with_its_parents_budgets_and_rollouts():
    owner = [{"kind": "Deployment", "name": "web", "controller": True}]
    web = given.workload()
    web["metadata"]["generation"] = 2
    web["status"] = {"observedGeneration": 1}
    daemons = given.workload("DaemonSet", "d", replicas=0)
    child = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web-abc", "namespace": "shop", "ownerReferences": owner},
    }
    orphan = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "x", "namespace": "shop"}}
    cluster = FakeCluster(
        {**web, "apiVersion": "apps/v1"},
        {**daemons, "apiVersion": "apps/v1"},
        child,
        orphan,
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", **given.budget()},
        {"apiVersion": "v1", "kind": "Pod", **given.pod("b")},
        {"apiVersion": "v1", "kind": "Pod", **given.pod("a")},
    )
    found = read_namespace(cluster, "shop", {"x": "y"}, keep=True)
    assert [pod.name for pod in found.pods] == ["a", "b"]
    assert (found.namespace, found.labels, found.keep) == ("shop", {"x": "y"}, True)
    assert found.parents == {("ReplicaSet", "web-abc"): ("Deployment", "web")}
    assert [budget.name for budget in found.budgets] == ["web"]
    rolling = {key: workload.rolling for key, workload in found.workloads.items()}
    assert rolling == {
        ("Deployment", "web"): "the controller has not seen the change yet",
        ("DaemonSet", "d"): "",
    }


def slices(*ready):
    conditions = [{} if one is None else {"conditions": {"ready": one}} for one in ready]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "istiod-1",
            "namespace": "istio-system",
            "labels": {"kubernetes.io/service-name": "istiod"},
        },
        "endpoints": conditions,
    }


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        ([], False),
        ([slices()], False),
        ([slices(False)], False),
        ([slices(False, True)], True),
        ([slices(None)], True),  # unknown counts as ready (discovery/v1, EndpointConditions)
    ],
)
def test_an_injector_answers_when_one_istiod_is_ready(found, ready):
    cluster = FakeCluster(configuration(), *found)
    trouble = unready_injectors(cluster, read_injectors(cluster))
    assert trouble == ([] if ready else ["Service istio-system/istiod has no ready istiod"])


def test_an_injector_without_ca_bundle_is_not_asked_yet():
    bare = configuration()
    for webhook in bare["webhooks"]:
        webhook["clientConfig"] = {"service": {"name": "istiod", "namespace": "istio-system"}}
    cluster = FakeCluster(bare, slices(True))
    assert unready_injectors(cluster, read_injectors(cluster)) == [
        "istio-sidecar-injector has no CA bundle yet"
    ]
    assert unready_injectors(cluster, []) == []


def test_a_url_needs_neither_a_ca_bundle_nor_endpoints():
    outside = configuration()
    for webhook in outside["webhooks"]:
        webhook["clientConfig"] = {"url": "https://istiod.example"}
    injectors = parse_injectors([outside])
    assert {(entry.service, entry.trusted) for entry in injectors} == {(None, True)}
    assert unready_injectors(FakeCluster(), injectors) == []


@pytest.mark.parametrize("text", ["- a list", "{", "text"])
def test_a_config_map_that_is_no_mapping_is_told_with_its_name(text):
    with pytest.raises(MalformedError, match=r"ConfigMap istio-system/istio-sidecar-injector data\.values"):
        parse_settings(injector_map(values=text))


def test_an_empty_config_map_has_the_defaults_of_istio():
    settings = parse_settings({"kind": "ConfigMap", "metadata": {"name": "x"}})
    assert (settings.enabled, settings.image, settings.hub, settings.tag) == (True, "proxyv2", "", "")
    assert (settings.never, settings.always, settings.variant) == ((), (), "")
    assert stored_yaml({"kind": "ConfigMap", "metadata": {"name": "x"}}, "config") == {}


def test_settings_that_are_set_are_taken():
    values = {"global": {"hub": "h", "tag": 1.31, "variant": "debug", "proxy": {"image": "i"}}}
    selector = {"matchLabels": {"a": "b"}}
    config = {
        "policy": "disabled",
        "neverInjectSelector": [selector, {}],
        "alwaysInjectSelector": [{}, selector],
    }
    settings = parse_settings(injector_map(config=json.dumps(config), values=json.dumps(values)))
    assert (settings.enabled, settings.never, settings.always) == (False, (selector,), (selector,))
    assert (settings.hub, settings.tag, settings.image, settings.variant) == ("h", "1.31", "i", "debug")
    mesh = {"defaultConfig": {"image": {"imageType": "distroless"}}}
    assert parse_settings(injector_map(values=json.dumps(values)), mesh).variant == "distroless"


def test_only_webhooks_that_are_asked_for_new_pods_inject():
    for rule in (
        {"operations": ["UPDATE"], "resources": ["pods"]},
        {"operations": ["CREATE"], "resources": ["services"]},
        {},
    ):
        other = configuration()
        for webhook in other["webhooks"]:
            webhook["rules"] = [rule]
        assert parse_injectors([other]) == ()
    for rule in (
        {"operations": ["*"], "resources": ["pods"]},
        {"operations": ["CREATE"], "resources": ["*"]},
    ):
        wide = configuration()
        for webhook in wide["webhooks"]:
            webhook["rules"] = [{}, rule]
        assert len(parse_injectors([wide])) == 2


def test_injectors_are_sorted_and_say_where_they_come_from():
    tagged = configuration("istio-revision-tag-prod", "1-31-0", tag="prod")
    found = parse_injectors([configuration("z"), tagged])
    assert [(entry.configuration, entry.webhook, entry.revision, entry.tag) for entry in found] == [
        ("istio-revision-tag-prod", "rev.namespace.sidecar-injector.istio.io", "1-31-0", "prod"),
        ("istio-revision-tag-prod", "rev.object.sidecar-injector.istio.io", "1-31-0", "prod"),
        ("z", "rev.namespace.sidecar-injector.istio.io", "default", ""),
        ("z", "rev.object.sidecar-injector.istio.io", "default", ""),
    ]
    unlabelled = configuration()
    unlabelled["metadata"]["labels"] = {"istio.io/rev": ""}
    assert {entry.revision for entry in parse_injectors([unlabelled])} == {"default"}
    del unlabelled["metadata"]["labels"]
    assert {entry.revision for entry in parse_injectors([unlabelled])} == {"default"}
