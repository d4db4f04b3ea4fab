# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards of one's own in Grafana."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.addons.dashboards import (
    DIGEST,
    LARGEST,
    check_dashboards,
    with_dashboards,
)

from .test_safety import NAMESPACE, workload

CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "grafana", "namespace": NAMESPACE},
    "data": {
        "grafana.ini": "[log]",
        "dashboardproviders.yaml": "apiVersion: 1\nproviders: [{name: istio, options: {path: /d/istio}}]",
    },
}
PROVISIONING = "/etc/grafana/provisioning/dashboards/dashboardproviders.yaml"
GRAFANA = workload(
    "grafana",
    {"volumeMounts": [{"name": "config", "mountPath": PROVISIONING, "subPath": "dashboardproviders.yaml"}]},
    [{"name": "config", "configMap": {"name": "grafana"}}],
)
BOARD = json.dumps({"title": "Orders", "uid": "orders"})
OTHER = json.dumps({"title": "Payments", "uid": "payments"})
FILES = {"boards/orders.json": BOARD, "boards/payments.json": OTHER}


def test_grafana_is_told_where_they_are_and_mounts_them() -> None:
    before = copy.deepcopy([CONFIG, GRAFANA])
    config, grafana, made = with_dashboards([CONFIG, GRAFANA], FILES, NAMESPACE)
    assert before == [CONFIG, GRAFANA]
    assert made["data"] == {"orders.json": BOARD, "payments.json": OTHER}
    assert made["metadata"] == {"name": "grafana-own-dashboards", "namespace": NAMESPACE}
    first, own = json.loads(config["data"]["dashboardproviders.yaml"])["providers"]
    assert first["name"] == "istio"
    pod = grafana["spec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "dashboards-own"]
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "dashboards-own"]
    assert volume["configMap"]["name"] == made["metadata"]["name"]
    assert mount["mountPath"] == own["options"]["path"]


def test_a_dashboard_that_changes_starts_grafana_anew_and_the_same_one_does_not() -> None:
    def digest(files: dict[str, str]) -> str:
        grafana = with_dashboards([CONFIG, GRAFANA], files, NAMESPACE)[1]
        return str(grafana["spec"]["template"]["metadata"]["annotations"][DIGEST])

    assert digest(FILES) == digest(dict(reversed(list(FILES.items()))))
    assert digest(FILES) != digest({**FILES, "boards/orders.json": OTHER})


@pytest.mark.parametrize("providers", ["mine", "[mine]", "{name: mine}"])
def test_providers_of_another_shape_are_refused(providers: str) -> None:
    config = {**CONFIG, "data": {"dashboardproviders.yaml": f"providers: {providers}"}}
    with pytest.raises(MalformedError, match="providers"):
        with_dashboards([config, GRAFANA], FILES, NAMESPACE)


@pytest.mark.parametrize(("place", "home"), [({}, NAMESPACE), ({"namespace": "monitoring"}, "monitoring")])
def test_they_lie_where_grafana_s_own_configuration_does(place: dict[str, str], home: str) -> None:
    config = {**CONFIG, "metadata": {"name": CONFIG["metadata"]["name"], **place}}
    made = with_dashboards([config, GRAFANA], FILES, NAMESPACE)[-1]
    assert made["metadata"]["namespace"] == home


@pytest.mark.parametrize("text", ["[]", "mine", "null", ""])
def test_a_list_of_providers_that_is_no_mapping_is_refused(text: str) -> None:
    config = {**CONFIG, "data": {"dashboardproviders.yaml": text}}
    with pytest.raises(InputError, match=r"data\.dashboardproviders\.yaml: is no mapping"):
        with_dashboards([config, GRAFANA], FILES, NAMESPACE)


def test_a_workload_with_nothing_but_what_is_needed_mounts_them() -> None:
    grafana = copy.deepcopy(GRAFANA)
    grafana["spec"]["template"]["metadata"] = None
    grafana["spec"]["template"]["spec"]["containers"].append({"name": "beside", "volumeMounts": None})
    config = {**CONFIG, "data": {"dashboardproviders.yaml": "providers: null"}}
    config, made, _boards = with_dashboards([config, grafana], FILES, NAMESPACE)
    (own,) = json.loads(config["data"]["dashboardproviders.yaml"])["providers"]
    assert own["name"] == "own"
    first, beside = made["spec"]["template"]["spec"]["containers"]
    assert (len(first["volumeMounts"]), beside["volumeMounts"]) == (2, None)


@pytest.mark.parametrize("objects", [[], [CONFIG], [GRAFANA], [GRAFANA, {**CONFIG, "data": {}}]])
def test_a_grafana_that_reads_none_is_refused(objects: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="have nowhere to go"):
        with_dashboards(objects, FILES, NAMESPACE)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.json": "{"}, "is no JSON"),
        ({"a.json": "[]"}, "it has no title"),
        ({"a.json": '{"title": ""}'}, "it has no title"),
        ({"a.json": '{"title": 1}'}, "it has no title"),
        ({"a.json": '{"dashboard": {"title": "x"}, "meta": {}}'}, "is an answer of Grafana's API"),
        ({"a.json": '{"title": "x", "__inputs": [{"name": "DS_PROM"}]}'}, "waits for DS_PROM"),
        ({"a.yaml": BOARD}, "is no name of a dashboard"),
        ({"übersicht.json": BOARD}, "is no name of a dashboard"),
        ({"a/x.json": BOARD, "b/x.json": OTHER}, "has the same name as a/x.json"),
        ({"a.json": BOARD, "b.json": BOARD}, "has the uid of a.json"),
        ({"a.json": json.dumps({"title": "x" * LARGEST})}, "more than"),
    ],
)
def test_what_grafana_would_tell_in_its_log_alone(files: dict[str, str], said: str) -> None:
    assert any(said in str(problem) for problem in check_dashboards(files)), check_dashboards(files)


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_a_configmap_holds_so_much(more: int, *, fits: bool) -> None:
    frame = len(json.dumps({"title": ""}))
    files = {"a.json": json.dumps({"title": "x" * (LARGEST - frame + more)})}
    told = [] if fits else [f"addons_dashboards: are more than {LARGEST} bytes together (size)"]
    assert [str(problem) for problem in check_dashboards(files)] == told


def test_good_ones_and_none() -> None:
    assert check_dashboards(FILES) == check_dashboards({}) == []
    assert check_dashboards({"a.json": '{"title": "x"}', "b.json": '{"title": "x"}'}) == []


def test_only_a_workload_that_reads_them_is_changed() -> None:
    others = [{**GRAFANA, "kind": "Job"}, workload("other", {}, [{"name": "c", "configMap": {"name": "x"}}])]
    found = with_dashboards([CONFIG, *others, GRAFANA], FILES, NAMESPACE)
    assert found[1:3] == others
    with pytest.raises(InputError, match="have nowhere to go"):
        with_dashboards([CONFIG, *others], FILES, NAMESPACE)
