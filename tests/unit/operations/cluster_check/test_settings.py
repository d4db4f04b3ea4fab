# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of the table in both directions: what fits and what does not, stated, by default, and live."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    read_installation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.compare import (
    compare,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.findings import (
    Comparison,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.settings import (
    SETTINGS,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight.agreement import (
    disagreements,
    doubtful_settings,
    unseen_namespaces,
)

from ...support.catalogues import minimal, service
from ...support.cluster import FakeCluster
from ...support.deployed import kube_service, namespace, pod, shop

Obj = dict[str, Any]
PATHS = [{"service": "web", "paths": ["/orders"], "methods": ["GET"]}]
NAMED = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}


def catalogue(callers: list[Obj] | None = None, **changes: Any) -> Obj:
    raw = minimal(**changes)
    if callers is not None:
        raw["mesh_services"][1]["callers"] = callers
    return raw


def elsewhere() -> Obj:
    """A caller in another namespace."""
    raw = minimal()
    raw["mesh_services"].append(service("batch", namespace="back"))
    raw["mesh_services"][1]["callers"].append({"service": "batch", "namespace": "back"})
    return raw


# name of the row -> (catalogue, MeshConfig that does not fit, MeshConfig that fits)
ROWS: dict[str, tuple[Obj, Obj, Obj]] = {
    "trustDomain": (minimal(), {"trustDomain": "a.example"}, {"trustDomain": "cluster.local"}),
    "trustDomain, other way": (
        minimal(mesh_trust_domain="a.example"),
        {},
        {"trustDomain": "a.example"},
    ),
    "trustDomainAliases": (
        minimal(mesh_trust_domain_aliases=["old.example"]),
        {"trustDomainAliases": []},
        {"trustDomainAliases": ["old.example"]},
    ),
    "trustDomainAliases, none": (
        minimal(mesh_trust_domain_aliases=["old.example"]),
        {},
        {"trustDomainAliases": ["old.example"]},
    ),
    "rootNamespace": (minimal(), {"rootNamespace": "root"}, {"rootNamespace": "istio-system"}),
    "rootNamespace, other way": (minimal(mesh_root_namespace="root"), {}, {"rootNamespace": "root"}),
    "pathNormalization.normalization": (
        catalogue(PATHS),
        {"pathNormalization": {"normalization": "NONE"}},
        {"pathNormalization": {"normalization": "MERGE_SLASHES"}},
    ),
    "pathNormalization.normalization, without paths": (
        catalogue(PATHS),
        {"path_normalization": {"normalization": "NONE"}},
        {},
    ),
    "enableAutoMtls": (minimal(), {"enableAutoMtls": False}, {"enableAutoMtls": True}),
    "discoverySelectors": (
        minimal(),
        {"discoverySelectors": [{"matchLabels": {"mesh": "on"}}]},
        {
            "discoverySelectors": [
                {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}
            ]
        },
    ),
    "defaultServiceExportTo": (
        elsewhere(),
        {"defaultServiceExportTo": ["."]},
        {"defaultServiceExportTo": ["*"]},
    ),
    "defaultVirtualServiceExportTo": (
        minimal(),
        {"defaultVirtualServiceExportTo": ["."]},
        {"defaultVirtualServiceExportTo": [".", "istio-system"]},
    ),
    "defaultDestinationRuleExportTo": (
        elsewhere(),
        {"defaultDestinationRuleExportTo": [".", "istio-system"]},
        {"defaultDestinationRuleExportTo": [".", "istio-system", "back"]},
    ),
}
NOTES: dict[str, tuple[Obj, Obj, Obj]] = {
    "trustDomainAliases": (
        minimal(mesh_trust_domain_aliases=["old.example"]),
        {"trustDomainAliases": ["old.example", "more.example"]},
        {"trustDomainAliases": ["old.example"]},
    ),
    "outboundTrafficPolicy.mode": (
        minimal(),
        {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}},
        {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
    ),
    "outboundTrafficPolicy.mode, other way": (
        minimal(mesh_outbound="ALLOW_ANY"),
        {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
        {},
    ),
}


def config_maps(mesh: Obj, revision: str = "default", **values: Any) -> list[Obj]:
    suffix = "" if revision == "default" else f"-{revision}"

    def config_map(stem: str, data: Obj) -> Obj:
        metadata = {
            "name": f"{stem}{suffix}",
            "namespace": "istio-system",
            "labels": {"istio.io/rev": revision},
        }
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    return [
        config_map("istio", {"mesh": yaml.safe_dump(mesh)}),
        config_map("istio-sidecar-injector", {"config": "{}", "values": json.dumps(values)}),
    ]


def live(raw: Obj, *objects: Obj, **options: Any) -> Comparison:
    cluster = FakeCluster(*shop(), namespace("back"), kube_service("batch", "back"), *objects)
    return compare(cluster, parse_catalogue(raw), **options)  # type: ignore[arg-type]


def told(found: Comparison, row: str) -> list[str]:
    """What is said of a setting, cuts first."""
    name = row.partition(",")[0]
    return [text for text in [*map(str, found.cuts), *found.notes] if f"{name} in ConfigMap" in text]


@pytest.mark.parametrize("row", ROWS)
def test_what_runs_has_to_fit(row: str) -> None:
    raw, wrong, right = ROWS[row]
    found = live(raw, *config_maps(wrong))
    (sentence,) = told(found, row)
    assert [str(problem) for problem in found.cuts] == [sentence]
    assert told(live(raw, *config_maps(right)), row) == []


@pytest.mark.parametrize("row", NOTES)
def test_what_runs_is_told_where_it_is_probably_not_meant(row: str) -> None:
    raw, wrong, right = NOTES[row]
    found = live(raw, *config_maps(wrong))
    assert found.cuts == []
    assert len(told(found, row)) == 1
    assert told(live(raw, *config_maps(right)), row) == []


def stated(raw: Obj, mesh: Obj, *, installs: bool = False) -> tuple[list[str], list[str]]:
    installation = read_installation(
        {"method": "helm", "version": "1.31.1", "hub": "h", "gateways": [], "mesh_config": mesh}
    )
    chosen = parse_catalogue(raw)
    labels: Any = {"shop": {}, "istio-system": {}}
    problems = [
        *disagreements(installation, chosen, installs=installs),
        *unseen_namespaces(installation, chosen, labels),
    ]
    return [problem.where for problem in problems], doubtful_settings(installation, chosen)


@pytest.mark.parametrize("row", ROWS)
def test_what_is_stated_has_to_fit(row: str) -> None:
    raw, wrong, right = ROWS[row]
    problems, _notes = stated(raw, wrong)
    if not wrong:
        # Nothing is stated: what counts is the default, where this installation is written.
        problems, _notes = stated(raw, wrong, installs=True)
        assert len(problems) == 1
        assert problems[0].startswith("mesh_")
    else:
        place = f"istio_mesh_config.{next(iter(wrong))}"
        assert [where.startswith(place) for where in problems] == [True]
    assert stated(raw, right)[0] == []


@pytest.mark.parametrize("row", NOTES)
def test_what_is_stated_is_told_where_it_is_probably_not_meant(row: str) -> None:
    raw, wrong, right = NOTES[row]
    problems, notes = stated(raw, wrong)
    assert problems == []
    assert [note.startswith(f"istio_mesh_config.{next(iter(wrong))}") for note in notes] == [True]
    assert stated(raw, right)[1] == []


def test_every_row_of_the_table_has_a_case() -> None:
    cases = {name.partition(",")[0] for name in (*ROWS, *NOTES)}
    assert {row.name for row in SETTINGS} - {"global.proxy.clusterDomain"} == cases


def test_the_cluster_domain_stands_in_the_injectors_values() -> None:
    raw = minimal(mesh_cluster_domain="a.example")
    (problem,) = live(raw, *config_maps({}, **{"global": {"proxy": {"clusterDomain": "b.example"}}})).cuts
    assert "global.proxy.clusterDomain in ConfigMap istio-system/istio is 'b.example'" in problem.message
    fits = config_maps({}, **{"global": {"proxy": {"clusterDomain": "a.example"}}})
    assert live(raw, *fits).cuts == []
    assert len(live(raw, *config_maps({})).cuts) == 1, "the default is cluster.local"


PROVIDERS = [
    ({"mesh_telemetry": {"tracing_provider": "jaeger"}}, {"name": "jaeger", "zipkin": {}}, "traces"),
    (
        {"mesh_telemetry": {"access_log": "all", "access_log_provider": "als"}},
        {"name": "als", "envoyOtelAls": {}},
        "access logs",
    ),
    (
        {"mesh_telemetry": {"metrics": {"provider": "prom2", "remove_tags": ["x"]}}},
        {"name": "prom2", "prometheus": {}},
        "metrics",
    ),
]


@pytest.mark.parametrize(("wanted", "entry", "what"), PROVIDERS)
def test_a_provider_has_to_be_there_and_of_the_right_kind(wanted: Obj, entry: Obj, what: str) -> None:
    raw = minimal(**wanted)
    assert live(raw, *config_maps({"extensionProviders": [entry]})).cuts == []
    (missing,) = live(raw, *config_maps({})).cuts
    assert f"no extension provider is called {entry['name']!r}" in missing.message
    other = {"name": entry["name"], "envoyExtAuthzHttp": {}}
    (wrong,) = live(raw, *config_maps({"extensionProviders": [other]})).cuts
    assert f"which takes no {what}" in wrong.message


def proxied(revision: str) -> Obj:
    status = json.dumps({"revision": revision})
    found = pod("api", labels={"app": "api", "version": "v1"})
    found["metadata"]["annotations"] = {"sidecar.istio.io/status": status}
    found["spec"]["containers"].append({"name": "istio-proxy", "image": "proxyv2:1"})
    return found


def test_of_several_revisions_those_that_serve_the_catalogue_count() -> None:
    good, bad = config_maps({}), config_maps({"trustDomain": "a.example"}, "canary")
    both = live(minimal(), *good, *bad, proxied("default"))
    assert both.cuts == []
    assert told(both, "trustDomain") == [
        "mesh_trust_domain: trustDomain in ConfigMap istio-system/istio-canary is 'a.example', "
        "mesh_trust_domain is 'cluster.local' (mesh-config)"
    ]
    assert len(live(minimal(), *good, *bad, proxied("canary")).cuts) == 1


def test_what_this_run_installs_is_not_compared_as_it_was() -> None:
    wrong = config_maps({"trustDomain": "a.example"})
    assert live(minimal(), *wrong, to_be_installed=["default"]).cuts == []
    assert len(live(minimal(), *wrong, to_be_installed=["canary"]).cuts) == 1


def test_a_configuration_that_cannot_be_read_is_no_pass() -> None:
    broken = config_maps({})
    broken[0]["data"]["mesh"] = "- a list"
    found = live(minimal(), *broken)
    assert (found.cuts, found.status) == ([], "cannot tell")
    cluster = FakeCluster(*shop(), *config_maps({}))
    cluster.forbidden = {"ConfigMap"}
    assert compare(cluster, parse_catalogue(minimal())).status == "cannot tell"  # type: ignore[arg-type]
