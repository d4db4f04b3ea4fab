# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of the table in both directions: what fits and what does not, stated, by default, and live."""

# ruff: noqa: E501 - one row per case
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
    SettingFacts,
    default_of,
    provider_faults,
    providers_of,
    value_at,
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
    return compare(cluster, parse_catalogue(raw), **options)


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
    config, _injector = config_maps({})
    assert live(raw, config).cuts == [], "an injector that was not found says nothing"


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
    assert compare(cluster, parse_catalogue(minimal())).status == "cannot tell"


def judged(name: str, raw: Obj, value: Any, facts: SettingFacts | None = None) -> list[str]:
    """What the rows of one setting say of a value."""
    chosen = parse_catalogue(raw)
    rows = [row for row in SETTINGS if row.name == name]
    return [said for row in rows if (said := row.judge(chosen, value, facts or SettingFacts()))]


ALIASES = minimal(mesh_trust_domain_aliases=["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("name", "raw", "value", "said"),
    [
        ("trustDomain", minimal(), "a.example", ["is 'a.example', mesh_trust_domain is 'cluster.local'"]),
        ("rootNamespace", minimal(), "root", ["is 'root', mesh_root_namespace is 'istio-system'"]),
        (
            "global.proxy.clusterDomain",
            minimal(),
            "a.example",
            ["is 'a.example', mesh_cluster_domain is 'cluster.local'"],
        ),
        ("trustDomainAliases", ALIASES, ["a", "b", "c", "d"], []),
        ("trustDomainAliases", ALIASES, ("d", "c", "b", "a", "cluster.local"), []),
        (
            "trustDomainAliases",
            ALIASES,
            ["d"],
            ["lacks a, b, c of mesh_trust_domain_aliases: proxies would refuse those certificates"],
        ),
        (
            "trustDomainAliases",
            ALIASES,
            "abcd",  # no list
            [
                "lacks a, b, c and 1 more of mesh_trust_domain_aliases: proxies would refuse those certificates"
            ],
        ),
        (
            "trustDomainAliases",
            minimal(),
            ["x", "cluster.local", "y"],
            ["has x, y, which mesh_trust_domain_aliases lacks: policies let those identities in, too"],
        ),
        ("outboundTrafficPolicy.mode", minimal(), None, []),
        ("outboundTrafficPolicy.mode", minimal(), "REGISTRY_ONLY", []),
        (
            "outboundTrafficPolicy.mode",
            minimal(),
            "ALLOW_ANY",
            [
                "is 'ALLOW_ANY', mesh_outbound is 'REGISTRY_ONLY': that holds for services of the catalogue, "
                "this for all others"
            ],
        ),
        ("enableAutoMtls", minimal(), True, []),
        ("enableAutoMtls", minimal(), None, []),
        (
            "enableAutoMtls",
            minimal(),
            False,
            ["is false: callers would send plaintext, which shop/web, shop/api refuse (STRICT)"],
        ),
        ("enableAutoMtls", minimal(mesh_mtls_mode="PERMISSIVE"), False, []),
        ("discoverySelectors", minimal(), ["x", 7], []),
        ("discoverySelectors", minimal(), "x", []),
        ("defaultServiceExportTo", elsewhere(), [], []),
        ("defaultServiceExportTo", elsewhere(), None, []),
        ("defaultServiceExportTo", elsewhere(), [".", "istio-system", "back"], []),
        ("defaultServiceExportTo", elsewhere(), ["shop", "istio-system", "back"], []),
        ("defaultServiceExportTo", elsewhere(), [".", "*"], []),
        (
            "defaultServiceExportTo",
            elsewhere(),
            [".", "back"],
            ["is ., back: callers in other namespaces would not see shop/web"],
        ),
        (
            "defaultServiceExportTo",
            elsewhere(),
            [".", "istio-system"],
            ["is ., istio-system: callers in other namespaces would not see shop/api"],
        ),
        (
            "defaultServiceExportTo",
            elsewhere(),
            ["back", "istio-system"],
            ["is back, istio-system: callers in other namespaces would not see shop/api"],
        ),
    ],
)
def test_what_a_value_means_is_said_in_full(name: str, raw: Obj, value: Any, said: list[str]) -> None:
    assert judged(name, raw, value) == said


def test_services_that_take_plaintext_do_without_mutual_tls_by_themselves() -> None:
    raw = minimal()
    raw["mesh_services"][0]["mtls"] = {"mode": "PERMISSIVE", "reason": "a probe of the load balancer"}
    (said,) = judged("enableAutoMtls", raw, False)
    assert "which shop/api refuse" in said


def test_a_gateway_that_calls_by_name_counts_with_its_own_namespace() -> None:
    raw = minimal()
    raw["mesh_services"][1]["callers"] = [{"gateway": "public"}]
    (said,) = judged("defaultServiceExportTo", raw, ["."])
    assert said == "is .: callers in other namespaces would not see shop/api, shop/web"


@pytest.mark.parametrize(
    ("selectors", "labels", "hidden"),
    [
        ([{"matchLabels": {"mesh": "on"}}], {"shop": {"mesh": "on"}, "istio-system": {"mesh": "on"}}, ""),
        ([{"matchLabels": {"mesh": "on"}}], {"shop": {"mesh": "on"}}, ""),
        ([{"matchLabels": {"mesh": "on"}}], {"shop": {"mesh": "on"}, "istio-system": {}}, "istio-system"),
        ([{"matchLabels": {"mesh": "on"}}], {"shop": {"mesh": "off"}, "other": {}}, "shop"),
        (
            [{"matchLabels": {"mesh": "on"}}, {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}],
            {"shop": {}, "istio-system": {}},
            "istio-system",
        ),
        (["x", {"matchLabels": {"mesh": "on"}}], {"shop": {}, "istio-system": {}}, "istio-system, shop"),
    ],
)
def test_namespaces_that_discovery_leaves_out(selectors: list[Any], labels: Obj, hidden: str) -> None:
    said = judged("discoverySelectors", minimal(), selectors, SettingFacts(labels))
    assert said == ([f"leaves out {hidden}: istiod would not see the services there"] if hidden else [])


def test_discovery_has_to_see_the_egress_gateway_too() -> None:
    gateway = {"workload_namespace": "edge", "service_account": "out", "selector": {"istio": "out"}}
    raw = minimal(mesh_egress_gateway={**gateway, "service": "out"})
    mesh = config_maps({"discoverySelectors": [{"matchLabels": {"mesh": "on"}}]})
    seen = [namespace(name, mesh="on") for name in ("shop", "istio-system")]

    def left_out(edge: Obj) -> list[str]:
        found = live(raw, *mesh, *seen, edge).cuts
        return [
            problem.message.partition("leaves out ")[2] for problem in found if "leaves out" in str(problem)
        ]

    assert left_out(namespace("edge")) == ["edge: istiod would not see the services there"]
    assert left_out(namespace("edge", mesh="on")) == []


def exposed_at(path: str) -> Obj:
    raw = minimal()
    raw["mesh_services"][0]["exposed"][0]["path"] = path
    return raw


def open_at(*paths: str) -> Obj:
    raw = minimal()
    raw["mesh_services"][0]["open_paths"] = list(paths)
    return raw


@pytest.mark.parametrize(
    ("raw", "counts"),
    [
        (minimal(), False),
        (exposed_at("/"), False),
        (exposed_at("/shop"), True),
        (open_at("/health"), True),
        (catalogue(PATHS), True),
    ],
)
def test_paths_have_to_be_normalised_where_a_rule_is_about_one(raw: Obj, *, counts: bool) -> None:
    name = "pathNormalization.normalization"
    assert judged(name, raw, "NONE") == (
        ["is 'NONE', but mesh_services has rules about paths: requests to //path would pass by them"]
        if counts
        else []
    )
    for fine in ("BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES", "DEFAULT", None):
        assert judged(name, raw, fine) == []


KINDS = {
    "mesh_telemetry.tracing_provider": (
        ("zipkin", "lightstep", "datadog", "stackdriver", "opencensus", "skywalking", "opentelemetry"),
        {"tracing_provider": "mine"},
    ),
    "mesh_telemetry.access_log_provider": (
        ("envoyFileAccessLog", "envoyHttpAls", "envoyTcpAls", "envoyOtelAls", "stackdriver"),
        {"access_log": "all", "access_log_provider": "mine"},
    ),
    "mesh_telemetry.metrics.provider": (
        ("prometheus", "stackdriver"),
        {"metrics": {"provider": "mine", "remove_tags": ["x"]}},
    ),
}
EVERY_KIND = sorted({kind for fitting, _wanted in KINDS.values() for kind in fitting} | {"envoyExtAuthzGrpc"})


@pytest.mark.parametrize("variable", KINDS)
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_each_kind_of_provider_gives_what_istio_lets_it_give(variable: str, kind: str) -> None:
    """istio/api mesh/v1alpha1/config.proto, ExtensionProvider; pilot/pkg/model/telemetry.go."""
    fitting, wanted = KINDS[variable]
    chosen = parse_catalogue(minimal(mesh_telemetry=wanted))
    found = list(provider_faults(chosen, [{"name": "mine", kind: {}}]))
    assert [place for place, _words in found] == ([] if kind in fitting else [variable])


def test_providers_that_are_none_are_left_out_and_those_of_unknown_kind_may_do_anything() -> None:
    chosen = parse_catalogue(minimal(mesh_telemetry={"tracing_provider": "mine"}))
    (fault,) = provider_faults(
        chosen, ["mine", {"zipkin": {}}, {"name": ""}, {"name": "other", "zipkin": {}}]
    )
    assert fault == (
        "mesh_telemetry.tracing_provider",
        "no extension provider is called 'mine' (known: prometheus, stackdriver, envoy, other)",
    )
    assert list(provider_faults(chosen, [], ["mine"])) == []
    assert list(provider_faults(chosen, [{"name": "mine"}])) == []
    logs = parse_catalogue(minimal(mesh_telemetry={"access_log": "all", "access_log_provider": "mine"}))
    assert list(provider_faults(logs, [{"name": "mine", "envoy_otel_als": {}}])) == []
    silent = parse_catalogue(minimal())
    assert list(provider_faults(silent, [])) == []
    unused = parse_catalogue(minimal(mesh_telemetry={"tracing_provider": "stackdriver"}))
    assert list(provider_faults(unused, [])) == []


@pytest.mark.parametrize(
    ("config", "row", "value"),
    [
        ({"meshConfig": {"trustDomain": "a"}}, "trustDomain", "a"),
        ({"meshConfig": {"trust_domain": "a"}}, "trustDomain", "a"),
        ({"mesh_config": {"trust_domain": "a"}}, "trustDomain", "a"),
        ({"meshConfig": {"trustDomain": "a", "trust_domain": "b"}}, "trustDomain", "a"),
        ({"meshConfig": {}}, "trustDomain", None),
        ({"meshConfig": "x"}, "trustDomain", None),
        ({}, "trustDomain", None),
        ({"global": {"proxy": {"cluster_domain": "a"}}}, "global.proxy.clusterDomain", "a"),
        (
            {"meshConfig": {"path_normalization": {"normalization": "BASE"}}},
            "pathNormalization.normalization",
            "BASE",
        ),
    ],
)
def test_where_a_configuration_says_a_setting(config: Obj, row: str, value: Any) -> None:
    assert value_at(config, next(item for item in SETTINGS if item.name == row)) == value


def test_what_istio_takes_when_nobody_says_a_setting() -> None:
    """istio pkg/config/mesh/mesh.go, DefaultMeshConfig."""
    found = {row.name: default_of(row, "mesh-system") for row in SETTINGS}
    assert found == {
        "trustDomain": "cluster.local",
        "trustDomainAliases": None,
        "rootNamespace": "mesh-system",
        "global.proxy.clusterDomain": "cluster.local",
        "outboundTrafficPolicy.mode": None,
        "pathNormalization.normalization": "BASE",
        "enableAutoMtls": True,
        "discoverySelectors": None,
        "defaultServiceExportTo": None,
        "defaultVirtualServiceExportTo": None,
        "defaultDestinationRuleExportTo": None,
    }
    weights = {(row.name, row.weight) for row in SETTINGS if row.weight != "cuts"}
    assert weights == {("trustDomainAliases", "note"), ("outboundTrafficPolicy.mode", "note")}


def test_providers_of_either_spelling_are_read() -> None:
    entry = {"name": "a"}
    assert providers_of({"meshConfig": {"extensionProviders": [entry]}}) == (entry,)
    assert providers_of({"meshConfig": {"extension_providers": [entry]}}) == (entry,)
    assert providers_of({"meshConfig": {}}) == providers_of({}) == ()
