# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Istio's samples, made safer; the objects here have the shape of those of the release."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.addons.safety import (
    CONFIG_DIGEST,
    RESOURCES,
    Safety,
    made_safe,
    wanted_secrets,
)

NAMESPACE = "istio-system"


def workload(
    name: str, container: dict[str, Any], volumes: Any = (), kind: str = "Deployment"
) -> dict[str, Any]:
    pod = {"containers": [{"name": name, "image": "x", **container}], "volumes": list(volumes)}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"template": {"metadata": {}, "spec": pod}},
    }


ENVIRONMENT = [
    {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    {"name": "GF_AUTH_ANONYMOUS_ENABLED", "value": "true"},
    {"name": "GF_AUTH_ANONYMOUS_ORG_ROLE", "value": "Admin"},
    {"name": "GF_AUTH_BASIC_ENABLED", "value": "false"},
    {"name": "GF_SECURITY_ADMIN_PASSWORD", "value": "admin"},
    {"name": "GF_SECURITY_ADMIN_USER", "value": "admin"},
]
GRAFANA = workload("grafana", {"env": ENVIRONMENT}, [{"name": "storage", "emptyDir": {}}])
KIALI_CONFIG = """
auth: {strategy: anonymous}
external_services: {prometheus: {enabled: true}, tracing: {enabled: false}}
login_token: {signing_key: CHANGEME00000000}
"""
KIALI = workload(
    "kiali", {"resources": {"requests": {"cpu": "10m"}}}, [{"name": "c", "configMap": {"name": "kiali"}}]
)
KIALI_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "kiali", "namespace": NAMESPACE},
    "data": {"config.yaml": KIALI_CONFIG},
}
PROMETHEUS = workload(
    "prometheus-server",
    {"args": ["--storage.tsdb.retention.time=15d", "--config.file=/etc/config/prometheus.yml"]},
    [{"name": "storage-volume", "emptyDir": {}}, {"name": "config", "configMap": {"name": "prometheus"}}],
)
ALL = ("prometheus", "grafana", "jaeger", "kiali")


def environment(obj: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in obj["spec"]["template"]["spec"]["containers"][0]["env"]}


def test_nobody_is_an_administrator_of_grafana_without_a_password() -> None:
    before = copy.deepcopy(GRAFANA)
    (grafana,) = made_safe([GRAFANA], "grafana", Safety(), ALL, NAMESPACE)
    held = environment(grafana)
    assert held["GF_AUTH_ANONYMOUS_ENABLED"]["value"] == "false"
    assert held["GF_AUTH_ANONYMOUS_ORG_ROLE"]["value"] == "Viewer"
    assert held["GF_AUTH_BASIC_ENABLED"]["value"] == "true"
    password = {"secretKeyRef": {"name": "grafana-admin", "key": "password"}}
    assert held["GF_SECURITY_ADMIN_PASSWORD"] == {"name": "GF_SECURITY_ADMIN_PASSWORD", "valueFrom": password}
    assert held["POD_IP"] == ENVIRONMENT[0]
    assert wanted_secrets([grafana]) == {(NAMESPACE, "grafana-admin"): ("password",)}
    assert before == GRAFANA, "the input is left alone"
    again = made_safe([grafana], "grafana", Safety(), ALL, NAMESPACE)
    assert again == [grafana]


def test_a_grafana_that_asks_already_stays_as_it_is() -> None:
    own = workload(
        "grafana", {"env": [{"name": "GF_SECURITY_ADMIN_PASSWORD", "value": "x"}], "resources": {"a": 1}}
    )
    assert made_safe([own], "grafana", Safety(), ALL, NAMESPACE) == [own]
    assert wanted_secrets([own]) == {}


def test_kiali_asks_for_a_token_has_a_key_of_its_own_and_knows_its_neighbours() -> None:
    settings, kiali = made_safe([KIALI_MAP, KIALI], "kiali", Safety(), ALL, "mesh")
    config = json.loads(settings["data"]["config.yaml"])
    assert config["auth"]["strategy"] == "token"
    assert config["login_token"]["signing_key"] == ""
    services = config["external_services"]
    assert services["prometheus"]["url"] == "http://prometheus.mesh:9090"
    assert services["grafana"] == {"enabled": True, "internal_url": "http://grafana.mesh:3000"}
    assert services["tracing"]["enabled"] is True
    assert services["tracing"]["internal_url"] == "http://tracing.mesh:16685/jaeger"
    pod = kiali["spec"]["template"]["spec"]
    assert {"name": "login-token-signing-key", "secret": {"secretName": "kiali-signing-key"}} in pod[
        "volumes"
    ]
    mount = pod["containers"][0]["volumeMounts"][0]
    assert mount["mountPath"] == "/kiali-override-secrets/login-token-signing-key"
    assert wanted_secrets([settings, kiali]) == {(NAMESPACE, "kiali-signing-key"): ("value.txt",)}
    # another configuration makes other pods
    digest = kiali["spec"]["template"]["metadata"]["annotations"][CONFIG_DIGEST]
    _map, alone = made_safe([KIALI_MAP, KIALI], "kiali", Safety(), ["kiali"], "mesh")
    assert alone["spec"]["template"]["metadata"]["annotations"][CONFIG_DIGEST] != digest


def test_kiali_is_told_of_nothing_that_is_not_there() -> None:
    settings, _kiali = made_safe([KIALI_MAP, KIALI], "kiali", Safety(), ["kiali"], NAMESPACE)
    services = json.loads(settings["data"]["config.yaml"])["external_services"]
    assert services == {
        "prometheus": {"enabled": True}, "tracing": {"enabled": False}, "grafana": {"enabled": False},
    }  # fmt: skip


def test_kiali_is_told_to_look_for_no_grafana_that_is_not_there_and_of_nothing_else() -> None:
    bare = {**KIALI_MAP, "data": {"config.yaml": "external_services: {}\n# login_token\n"}}
    settings, _kiali = made_safe([bare, KIALI], "kiali", Safety(), ["kiali"], NAMESPACE)
    assert json.loads(settings["data"]["config.yaml"])["external_services"] == {"grafana": {"enabled": False}}


def test_a_configuration_of_kiali_that_is_none_is_refused() -> None:
    broken = {**KIALI_MAP, "data": {"config.yaml": "- login_token\n- external_services\n"}}
    with pytest.raises(InputError, match=r"ConfigMap istio-system/kiali data\.config\.yaml.*is no mapping"):
        made_safe([broken], "kiali", Safety(), ALL, NAMESPACE)


def with_config(text: str) -> dict[str, Any]:
    return {**KIALI_MAP, "data": {"config.yaml": f"# login_token, external_services\n{text}"}}


def test_sections_of_kiali_that_are_empty_are_filled() -> None:
    """``auth:`` and nothing behind it is null in YAML."""
    config = with_config("auth:\nlogin_token:\nexternal_services: {grafana: null, tracing: ~}\n")
    template = {"metadata": None, "spec": {**KIALI["spec"]["template"]["spec"]}}
    template["spec"]["containers"] = [{"name": "kiali", "volumeMounts": None, "args": None, "env": None}]
    bare = {**KIALI, "spec": {"template": template}}
    found, kiali = made_safe([config, bare], "kiali", Safety(), ALL, NAMESPACE)
    told = json.loads(found["data"]["config.yaml"])
    assert told["login_token"] == {"signing_key": ""}
    assert told["external_services"]["grafana"]["enabled"] is True
    assert told["external_services"]["tracing"]["enabled"] is True
    assert CONFIG_DIGEST in kiali["spec"]["template"]["metadata"]["annotations"]
    assert len(kiali["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]) == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("auth: token", "auth"),
        ("login_token: [a]", "login_token"),
        ("external_services: 1", "external_services"),
        ("external_services: {prometheus: http://p}", "prometheus"),
        ("external_services: {grafana: no}", "grafana"),
        ("external_services: {tracing: off}", "tracing"),
    ],
)
def test_a_section_of_kiali_that_is_none_is_refused(text: str, name: str) -> None:
    with pytest.raises(InputError, match=rf"kiali data\.config\.yaml.*: {name} is no mapping"):
        made_safe([with_config(text)], "kiali", Safety(), ALL, NAMESPACE)


def test_retention_storage_and_resources_are_by_addon() -> None:
    limits = {"limits": {"memory": "4Gi"}}
    safety = Safety(
        retention={"prometheus": "30d"}, storage={"prometheus": "20Gi"}, resources={"prometheus": limits}
    )
    claim, prometheus = made_safe([PROMETHEUS], "prometheus", safety, ALL, NAMESPACE)
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert claim["metadata"] == {"name": "prometheus-server-storage-volume", "namespace": NAMESPACE}
    pod = prometheus["spec"]["template"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "prometheus-server-storage-volume"}
    assert "emptyDir" not in pod["volumes"][0]
    assert pod["containers"][0]["args"] == [
        "--config.file=/etc/config/prometheus.yml", "--storage.tsdb.retention.time=30d",
    ]  # fmt: skip
    assert pod["containers"][0]["resources"] == limits
    assert prometheus["spec"]["strategy"] == {"type": "Recreate"}
    (other,) = made_safe([PROMETHEUS], "mine", safety, ALL, NAMESPACE)
    assert other["spec"]["template"]["spec"]["volumes"] == PROMETHEUS["spec"]["template"]["spec"]["volumes"]
    assert other["spec"]["template"]["spec"]["containers"][0]["resources"] == RESOURCES


def test_an_addon_may_stay_as_its_source_has_it() -> None:
    safety = Safety(as_released=frozenset({"grafana"}))
    assert made_safe([GRAFANA], "grafana", safety, ALL, NAMESPACE) == [GRAFANA]


@pytest.mark.parametrize(
    "given",
    [
        {"storage": {"prometheus": "much"}},
        {"resources": {"prometheus": {"cpu": 1}}},
        {"resources": {"prometheus": {"requests": {}, "limits": {}, "claims": []}}},
        {"resources": {"prometheus": ["requests"]}},
        {"resources": {"prometheus": None}},
    ],
)
def test_sizes_that_are_none_are_refused(given: dict[str, Any]) -> None:
    nothing: dict[str, Any] = {"as_released": [], "retention": {}, "storage": {}, "resources": {}}
    with pytest.raises(InputError, match=r"addons_(storage|resources)\.prometheus"):
        Safety.from_params({**nothing, **given})


@pytest.mark.parametrize("parts", [(), ("requests",), ("limits",), ("requests", "limits")])
def test_resources_have_requests_or_limits_or_both(parts: tuple[str, ...]) -> None:
    given = {"prometheus": {part: {"cpu": "1"} for part in parts}}
    read = Safety.from_params({"as_released": [], "retention": {}, "storage": {}, "resources": given})
    assert read.resources == given


@pytest.mark.parametrize("kind", ["Job", "Deployment", "StatefulSet", "DaemonSet"])
def test_only_what_runs_for_ever_is_changed(kind: str) -> None:
    before = workload("prometheus-server", {}, kind=kind)
    (after,) = made_safe([before], "prometheus", Safety(), ALL, NAMESPACE)
    assert (after == before) is (kind == "Job")


def test_only_what_a_workload_uses_and_nobody_brings_is_made() -> None:
    grafana, other = made_safe([GRAFANA, {**GRAFANA, "kind": "Job"}], "grafana", Safety(), ALL, NAMESPACE)
    kiali = made_safe([KIALI_MAP, KIALI], "kiali", Safety(), ALL, NAMESPACE)[1]
    both = {(NAMESPACE, "grafana-admin"): ("password",), (NAMESPACE, "kiali-signing-key"): ("value.txt",)}
    assert wanted_secrets([grafana, kiali]) == both
    used_by_no_workload = {**grafana, "kind": "Job"}
    assert wanted_secrets([used_by_no_workload, other, KIALI_MAP]) == {}
    brought = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "grafana-admin"}}
    assert set(wanted_secrets([brought, grafana, kiali])) == {(NAMESPACE, "kiali-signing-key")}
    assert wanted_secrets([{**brought, "kind": "ConfigMap"}, grafana, kiali]) == both
