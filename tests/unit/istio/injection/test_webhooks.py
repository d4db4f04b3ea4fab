"""Which injector a pod meets, and what it gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.webhooks import (
    INJECT_KEY,
    InjectorSettings,
    expected_proxy,
    injectors_for,
    matches,
    opted_out_by,
    parse_injectors,
    parse_settings,
    proxy_image,
    refusal,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import seconds_of

from ...support import injection as given

SETTINGS = InjectorSettings(True, (), (), "hub.example", "1.31.0", "proxyv2", "")
DEFAULT = given.webhook_configuration("istio-sidecar-injector", "default", ["default"], legacy=True)
CANARY = given.webhook_configuration("istio-sidecar-injector-canary", "canary", ["canary"])
PROD_TAG = given.webhook_configuration("istio-revision-tag-prod", "canary", ["prod"], tag="prod")
INJECTORS = parse_injectors([DEFAULT, CANARY, PROD_TAG])


def expected(
    namespace_labels,
    pod_labels=None,
    annotations=None,
    *,
    namespace="shop",
    host_network=False,
    injectors=INJECTORS,
):
    return expected_proxy(
        injectors,
        {"default": SETTINGS, "canary": SETTINGS},
        namespace=namespace,
        namespace_labels=namespace_labels,
        labels=pod_labels or {},
        annotations=annotations or {},
        host_network=host_network,
    )


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        (None, {}, True),
        ({}, {"a": "1"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
        (
            {"matchLabels": {"b": "2"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]},
            {"a": "1"},
            False,
        ),
    ],
)
def test_selectors_select_as_in_kubernetes(selector, labels, selected):
    assert matches(selector, labels) is selected


def test_an_unknown_operator_is_an_error_and_not_a_guess():
    with pytest.raises(MeshError, match="Near"):
        matches({"matchExpressions": [{"key": "a", "operator": "Near"}]}, {"a": "1"})


@pytest.mark.parametrize(
    ("namespace_labels", "pod_labels", "revision"),
    [
        ({"istio-injection": "enabled"}, {}, "default"),
        ({"istio.io/rev": "default"}, {}, "default"),
        ({"istio.io/rev": "canary"}, {}, "canary"),
        ({"istio.io/rev": "prod"}, {}, "canary"),
        ({"istio-injection": "enabled", "istio.io/rev": "canary"}, {}, "default"),
        ({"istio-injection": "disabled", "istio.io/rev": "canary"}, {}, ""),
        ({}, {"sidecar.istio.io/inject": "true"}, "default"),
        ({}, {"istio.io/rev": "prod"}, "canary"),
        ({}, {"istio.io/rev": "canary", "sidecar.istio.io/inject": "true"}, "canary"),
        ({"istio-injection": "enabled"}, {"istio.io/rev": "canary"}, "default"),
        ({"istio.io/rev": "nobody"}, {}, ""),
        ({}, {}, ""),
    ],
)
def test_labels_choose_the_revision(namespace_labels, pod_labels, revision):
    found = expected(namespace_labels, pod_labels)
    assert found.inject is bool(revision)
    assert found.revision == revision


@pytest.mark.parametrize(
    ("pod_labels", "annotations", "namespace", "host_network", "reason"),
    [
        ({"sidecar.istio.io/inject": "false"}, {}, "shop", False, "label sidecar.istio.io/inject=false"),
        ({}, {"sidecar.istio.io/inject": "false"}, "shop", False, "annotation sidecar.istio.io/inject=false"),
        ({}, {}, "kube-system", False, "never injected"),
        ({}, {}, "shop", True, "hostNetwork"),
    ],
)
def test_a_pod_without_proxy_has_a_reason(pod_labels, annotations, namespace, host_network, reason):
    found = expected(
        {"istio-injection": "enabled"},
        pod_labels,
        annotations,
        namespace=namespace,
        host_network=host_network,
    )
    assert not found.inject
    assert reason in found.why


def test_a_deactivated_injector_gives_nothing():
    """istioctl takes the plain injector out of service when a revision tag `default` is set."""
    injectors = parse_injectors(
        [{**DEFAULT, "webhooks": [_deactivated(webhook) for webhook in DEFAULT["webhooks"]]}]
    )
    found = expected({"istio-injection": "enabled"}, injectors=injectors)
    assert (found.inject, found.why) == (False, "no injector selects it")


def _deactivated(webhook):
    return {**webhook, "namespaceSelector": {"matchLabels": {"istio.io/deactivated": "never-match"}}}


def test_a_pod_may_meet_the_injectors_of_two_revisions_and_the_first_one_counts():
    second = given.webhook_configuration("istio-sidecar-injector-b", "b", ["canary"])
    found = expected({"istio.io/rev": "canary"}, injectors=parse_injectors([CANARY, second]))
    assert [injector.configuration for injector in found.injectors] == [
        "istio-sidecar-injector-b",
        "istio-sidecar-injector-canary",
    ]
    assert found.revision == "b"
    assert len(expected({"istio-injection": "enabled"}).injectors) == 1


def test_foreign_webhooks_are_not_injectors():
    other = {"metadata": {"name": "vault"}, "webhooks": [{"name": "vault.example.com", "rules": given.RULES}]}
    configmaps = {
        "metadata": {"name": "x"},
        "webhooks": [
            {**DEFAULT["webhooks"][0], "rules": [{"operations": ["CREATE"], "resources": ["configmaps"]}]}
        ],
    }
    assert parse_injectors([other, configmaps]) == ()


@pytest.mark.parametrize(
    ("labels", "annotations", "why"),
    [
        ({}, {}, ""),
        ({"skip": "me"}, {}, "a neverInjectSelector of the injector matches it"),
        ({"skip": "me", "sidecar.istio.io/inject": "true"}, {}, ""),
        ({"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}, ""),
    ],
)
def test_never_inject_selectors_yield_to_an_explicit_wish(labels, annotations, why):
    settings = InjectorSettings(True, ({"matchLabels": {"skip": "me"}},), (), "h", "t", "proxyv2", "")
    assert refusal(settings, "shop", labels, annotations, False) == why


def test_a_disabled_policy_injects_only_on_request():
    settings = InjectorSettings(False, (), ({"matchLabels": {"always": "yes"}},), "h", "t", "proxyv2", "")
    assert "policy is disabled" in refusal(settings, "shop", {}, {}, False)
    assert refusal(settings, "shop", {"always": "yes"}, {}, False) == ""
    assert refusal(settings, "shop", {"sidecar.istio.io/inject": "true"}, {}, False) == ""


@pytest.mark.parametrize(
    ("image", "tag", "variant", "annotations", "result"),
    [
        ("proxyv2", "1.31.0", "", {}, "hub.example/proxyv2:1.31.0"),
        ("proxyv2", "1.31.0", "distroless", {}, "hub.example/proxyv2:1.31.0-distroless"),
        ("proxyv2", "1.31.0-distroless", "debug", {}, "hub.example/proxyv2:1.31.0-debug"),
        ("proxyv2", "1.31.0-debug", "default", {}, "hub.example/proxyv2:1.31.0"),
        (
            "proxyv2",
            "1.31.0",
            "",
            {"sidecar.istio.io/proxyImageType": "debug"},
            "hub.example/proxyv2:1.31.0-debug",
        ),
        ("own.example/proxy:7", "1.31.0", "debug", {}, "own.example/proxy:7"),
        ("proxyv2", "1.31.0", "", {"sidecar.istio.io/proxyImage": "own.example/p:8"}, "own.example/p:8"),
        ("proxyv2", "1.31.0", "", {"sidecar.istio.io/proxyImage": "noslash"}, "hub.example/proxyv2:1.31.0"),
    ],
)
def test_the_image_is_the_one_that_istiod_writes(image, tag, variant, annotations, result):
    settings = InjectorSettings(True, (), (), "hub.example", tag, image, variant)
    assert proxy_image(settings, annotations) == result


@pytest.mark.parametrize(
    ("labels", "annotations", "by"),
    [
        ({}, {}, ""),
        ({INJECT_KEY: "false"}, {INJECT_KEY: "true"}, "label"),
        ({INJECT_KEY: "true"}, {INJECT_KEY: "false"}, ""),
        ({INJECT_KEY: ""}, {INJECT_KEY: "false"}, ""),
        ({}, {INJECT_KEY: "false"}, "annotation"),
        ({}, {INJECT_KEY: "False"}, ""),
    ],
)
def test_a_label_says_before_an_annotation_whether_a_pod_opts_out(labels, annotations, by):
    assert opted_out_by(labels, annotations) == by


def test_settings_come_from_the_config_maps():
    config_map = {
        "data": {
            "config": "policy: disabled\nneverInjectSelector: [{matchLabels: {a: b}}]\n",
            "values": json.dumps(
                {"global": {"hub": "h", "tag": 1.31, "proxy": {"image": "p"}, "variant": "debug"}}
            ),
        }
    }
    never = ({"matchLabels": {"a": "b"}},)
    assert parse_settings(config_map) == InjectorSettings(False, never, (), "h", "1.31", "p", "debug")
    mesh = {"defaultConfig": {"image": {"imageType": "distroless"}}}
    assert parse_settings(config_map, mesh).variant == "distroless"
    mesh = {"default_config": {"image": {"image_type": "distroless"}}}
    assert parse_settings(config_map, mesh).variant == "distroless"


def test_settings_are_as_old_as_the_last_write_of_their_data() -> None:
    def config_map(*entries: tuple[str, dict[str, Any]], **metadata: Any) -> dict[str, Any]:
        fields = [{"time": time, "fieldsV1": fieldset} for time, fieldset in entries]
        return {"metadata": {"name": "istio-sidecar-injector", "managedFields": fields, **metadata}}

    data: dict[str, Any] = {"f:data": {"f:values": {}}}
    labels: dict[str, Any] = {"f:metadata": {"f:labels": {}}}
    changed = config_map(
        ("2026-01-01T10:00:00Z", data), ("2026-01-01T12:00:00Z", data), ("2026-01-02T00:00:00Z", labels)
    )
    assert parse_settings(changed).changed == seconds_of("2026-01-01T12:00:00Z")
    old = config_map(creationTimestamp="2026-01-01T08:00:00Z")
    assert parse_settings(old).changed == seconds_of("2026-01-01T08:00:00Z")
    assert parse_settings(config_map()).changed is None


@pytest.mark.parametrize(("namespace", "met"), [("shop", True), ("kube-system", False)])
def test_a_namespace_is_known_by_its_name_also_where_its_label_is_missing(namespace: str, met: bool) -> None:
    configuration = given.webhook_configuration("one", "default", ["default"], legacy=True)
    for webhook in configuration["webhooks"]:
        expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}
        webhook["namespaceSelector"]["matchExpressions"].append(expression)
    injectors = parse_injectors([configuration])
    assert bool(injectors_for(injectors, namespace, {"istio-injection": "enabled"}, {})) is met
