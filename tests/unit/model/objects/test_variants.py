"""What the catalogue with every setting leaves out: the other answers to each question."""

# ruff: noqa: E501 - one row per case

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import (
    ANY_PEER,
    Edge,
    caller_name,
    decide,
    service_edges,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.exposures import server_for
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.services import Caller
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.proxy_annotations import (
    proxy_patches,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources

from ...support.catalogues import by_kind, full, minimal, service


def rendered(kind: str, releases: dict[str, Any] | None = None, **changes: Any) -> dict[str, dict[str, Any]]:
    """Objects of a kind of the small catalogue, with changes to ``api``."""
    raw = minimal()
    raw["mesh_services"][1] |= changes
    return by_kind(mesh_resources(raw, releases), kind)


@pytest.mark.parametrize(
    ("telemetry", "spec"),
    [
        ({"access_log": "none"}, {"accessLogging": [{"disabled": True}]}),
        (
            {"access_log": "errors"},
            {
                "accessLogging": [
                    {
                        "providers": [{"name": "envoy"}],
                        "filter": {
                            "expression": "has(response.code) ? response.code >= 400 : response.flags != 0"
                        },
                    }
                ]
            },
        ),
        ({"access_log": "all"}, {"accessLogging": [{"providers": [{"name": "envoy"}]}]}),
        ({"tracing_provider": "jaeger"}, {"tracing": [{"providers": [{"name": "jaeger"}]}]}),
        ({"trace_sampling_percent": 0}, {"tracing": [{"randomSamplingPercentage": 0}]}),
        ({"trace_sampling_percent": 0.5}, {"tracing": [{"randomSamplingPercentage": 0.5}]}),
        (
            {"metrics": {"disabled": ["REQUEST_SIZE", "RESPONSE_SIZE"]}},
            {
                "metrics": [
                    {
                        "providers": [{"name": "prometheus"}],
                        "overrides": [
                            {"match": {"metric": "REQUEST_SIZE"}, "disabled": True},
                            {"match": {"metric": "RESPONSE_SIZE"}, "disabled": True},
                        ],
                    }
                ]
            },
        ),
        ({"access_log_provider": "logs"}, None),
    ],
)
def test_telemetry(telemetry: dict[str, Any], spec: dict[str, Any] | None) -> None:
    found = by_kind(mesh_resources(minimal(mesh_telemetry=telemetry)), "Telemetry")
    assert {name: obj["spec"] for name, obj in found.items()} == (
        {"shop/mesh-telemetry": spec} if spec else {}
    )


def test_without_default_deny_only_the_allow_lists_are_there() -> None:
    raw = minimal(mesh_default_deny=False)
    raw["istio_gateways"][0]["namespace"] = "shop"
    assert set(by_kind(mesh_resources(raw), "AuthorizationPolicy")) == {"shop/web", "shop/api"}
    raw["mesh_default_deny"] = True
    assert set(by_kind(mesh_resources(raw), "AuthorizationPolicy")) == {
        "shop/web",
        "shop/api",
        "shop/mesh-default-deny",
        "shop/gateway.public",
    }


def test_sidecars_are_sized_by_annotations_of_each_workload() -> None:
    raw = full()
    api = next(item for item in raw["mesh_services"] if item["name"] == "api")
    api["proxy"] = {"memory": "64Mi"}
    assert proxy_patches(parse_catalogue(raw)) == [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"template": {"metadata": {"annotations": annotations}}},
        }
        for name, annotations in (
            (
                "web",
                {
                    "sidecar.istio.io/proxyCPU": "100m",
                    "sidecar.istio.io/proxyMemory": "128Mi",
                    "sidecar.istio.io/proxyCPULimit": "1",
                    "sidecar.istio.io/proxyMemoryLimit": "1Gi",
                    "proxy.istio.io/config": "concurrency: 2\n",
                },
            ),
            *(
                (
                    workload,
                    {
                        "sidecar.istio.io/proxyCPU": None,
                        "sidecar.istio.io/proxyMemory": "64Mi",
                        "sidecar.istio.io/proxyCPULimit": None,
                        "sidecar.istio.io/proxyMemoryLimit": None,
                    },
                )
                for workload in ("api-v1", "api-canary")
            ),
        )
    ]


def test_a_sidecar_of_all_cores_is_a_setting() -> None:
    raw = minimal()
    raw["mesh_services"][0]["proxy"] = {"concurrency": 0}
    (patch,) = proxy_patches(parse_catalogue(raw))
    annotations = patch["spec"]["template"]["metadata"]["annotations"]
    assert annotations["proxy.istio.io/config"] == "concurrency: 0\n"


@pytest.mark.parametrize(
    ("mtls", "mesh", "expected"),
    [
        ({"mode": "STRICT"}, "STRICT", None),
        ({"ports": {"3000": "STRICT"}}, "STRICT", None),
        ({"mode": "STRICT"}, "PERMISSIVE", {"mtls": {"mode": "STRICT"}}),
        (
            {"ports": {"3000": "STRICT"}},
            "PERMISSIVE",
            {"mtls": {"mode": "PERMISSIVE"}, "portLevelMtls": {"3000": {"mode": "STRICT"}}},
        ),
        (
            {"mode": "PERMISSIVE", "ports": {"3000": "STRICT"}, "reason": "x"},
            "STRICT",
            {"mtls": {"mode": "PERMISSIVE"}, "portLevelMtls": {"3000": {"mode": "STRICT"}}},
        ),
        ({"mode": "STRICT", "ports": {"3000": "STRICT"}}, "PERMISSIVE", {"mtls": {"mode": "STRICT"}}),
    ],
)
def test_only_what_differs_from_the_mesh_is_an_exception(
    mtls: dict[str, Any], mesh: str, expected: dict[str, Any] | None
) -> None:
    raw = minimal(mesh_mtls_mode=mesh)
    raw["mesh_services"][1]["mtls"] = mtls
    found = by_kind(mesh_resources(raw), "PeerAuthentication")
    assert found["shop/default"]["spec"] == {"mtls": {"mode": mesh}}
    own = found.get("shop/api")
    selector = {"selector": {"matchLabels": {"app": "api"}}}
    assert (own["spec"] if own else None) == (selector | expected if expected else None)
    if own:
        assert ("annotations" in own["metadata"]) is ("reason" in mtls)


def test_a_local_limit_without_a_header_has_one_bucket() -> None:
    patch = rendered("EnvoyFilter", rate_limit={"requests": 5, "per": "500ms"})["shop/api-rate-limit"]["spec"]
    config = patch["configPatches"][0]["patch"]["value"]["typed_config"]
    assert config["token_bucket"] == {"max_tokens": 5, "tokens_per_fill": 5, "fill_interval": "0.5s"}
    assert not {"descriptors", "rate_limits", "max_dynamic_descriptors"} & set(config)


def test_a_limit_service_that_nobody_asks_needs_no_configuration() -> None:
    limits = {"host": "rl.limits.svc.cluster.local", "namespace": "limits"}
    raw = minimal(mesh_rate_limit_service=limits)
    raw["mesh_services"][1]["rate_limit"] = {"requests": 5, "per": "1s"}
    objects = mesh_resources(raw)
    assert not by_kind(objects, "ConfigMap")
    hosts = by_kind(objects, "Sidecar")["shop/api"]["spec"]["egress"][0]["hosts"]
    assert hosts == ["istio-system/*"]


def test_a_limited_service_at_two_hosts_of_a_wildcard_server() -> None:
    raw = minimal()
    raw["mesh_gateways"][0]["servers"] = [{"host": "*.example.com", "port": 8080}]
    raw["mesh_services"][0] |= {
        "exposed": [
            {"gateway": "public", "host": host, "path": path}
            for host in ("a.example.com", "b.example.com")
            for path in ("/x", "/y")
        ],
        "rate_limit": {"requests": 5, "per": "1s", "at": "gateway"},
    }
    patches = by_kind(mesh_resources(raw), "EnvoyFilter")["istio-system/gateway.shop.public"]["spec"]
    hosts = [patch["match"]["routeConfiguration"]["vhost"]["name"] for patch in patches["configPatches"][1:]]
    assert hosts == ["a.example.com:8080", "b.example.com:8080"]


def test_a_limited_service_whose_further_port_is_exposed() -> None:
    """The gateway's root leads there by itself, by a route of the port's name; a stream has none."""
    raw = minimal()
    raw["mesh_gateways"][0]["servers"] = [
        {"host": "a.example.com", "port": 8080},
        {"host": "b.example.com", "protocol": "TCP", "port": 9000},
    ]
    raw["mesh_services"][0] |= {
        "ports": [
            {"name": "http", "number": 80, "protocol": "http"},
            {"name": "admin", "number": 81, "protocol": "http"},
            {"name": "sql", "number": 82, "protocol": "tcp"},
        ],
        "exposed": [
            {"gateway": "public", "host": "a.example.com", "path": "/admin", "port": "admin"},
            {"gateway": "public", "host": "b.example.com", "port": "sql"},
        ],
        "rate_limit": {"requests": 5, "per": "1s", "at": "gateway"},
    }
    spec = by_kind(mesh_resources(raw), "EnvoyFilter")["istio-system/gateway.shop.public"]["spec"]
    _filter, *routes = spec["configPatches"]
    assert [patch["match"]["routeConfiguration"]["vhost"] for patch in routes] == [
        {"name": "a.example.com:8080", "route": {"name": "shop/web:admin"}}
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.example.com", "api.example.com"),
        ("web.example.com", "*.example.com"),
        ("x.api.example.com", "*.api.example.com"),
        ("example.com", None),
        ("badexample.com", None),
    ],
)
def test_a_host_is_served_by_the_nearest_server(host: str, expected: str | None) -> None:
    raw = minimal()
    servers = ("*.example.com", "*.api.example.com", "api.example.com")
    raw["mesh_gateways"][0]["servers"] = [{"host": name} for name in servers]
    found = server_for(parse_catalogue(raw).gateways[0], host)
    assert (found.host if found else None) == expected


@pytest.mark.parametrize(
    ("record", "weights"),
    [
        (None, {"v1": None}),
        ({"weights": {"v1": 50, "v2": 50}}, {"v1": 50, "v2": 50}),
        ({"weights": {"v2": 1, "v1": 99}}, {"v1": 99, "v2": 1}),
        ({"weights": {"v1": 100, "v2": 0, "v9": 0}}, {"v1": None}),
        ({"weights": {"v2": 100}}, {"v2": None}),
        ({"stable": "v2"}, {"v2": None}),
    ],
)
def test_records_decide_the_split(record: dict[str, Any] | None, weights: dict[str, int | None]) -> None:
    releases = {"shop/api": record} if record else None
    (route,) = rendered("VirtualService", releases)["shop/api-routes"]["spec"]["http"]
    assert {item["destination"]["subset"]: item.get("weight") for item in route["route"]} == weights


@pytest.mark.parametrize(("fence", "annotation"), [(0, None), (1, "1"), (None, None), (-1, None)])
def test_a_fence_stands_on_the_delegate_from_one_on(fence: int | None, annotation: str | None) -> None:
    releases = {"shop/api": {"weights": {"v1": 100}, "fence": fence}}
    metadata = rendered("VirtualService", releases)["shop/api-routes"]["metadata"]
    notes = {"servicemesh.istio/fence": annotation} if annotation else None
    assert metadata.get("annotations") == notes


def test_all_broken_records_are_told_at_once() -> None:
    raw = minimal()
    raw["mesh_services"].append(service("c", versions={"v1": {}}))
    with pytest.raises(InputError) as caught:
        mesh_resources(raw, {"shop/api": {"weights": {"v1": 60}}, "shop/c": {}, "shop/web": {}})
    assert [str(problem) for problem in caught.value.problems] == [
        "releases[shop/api].weights: add up to 60, not 100 (weights)",
        "releases[shop/c]: names neither weights nor a stable version (release-record)",
    ]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"v1": 101}, "releases[shop/api].weights.v1: is 101, not a whole number from 0 to 100 (weights)"),
        ({"v1": -1}, "releases[shop/api].weights.v1: is -1, not a whole number from 0 to 100 (weights)"),
        (
            {"v1": 99, "v3": 1},
            "releases[shop/api].weights: traffic goes to version 'v3', which mesh_services[1].versions lacks (it has v1,"
            " v2) (unknown-version)",
        ),
        ({"v1": 0}, "releases[shop/api].weights: add up to 0, not 100 (weights)"),
    ],
)  # fmt: skip
def test_words_about_a_broken_record(weights: dict[str, int], said: str) -> None:
    with pytest.raises(InputError) as caught:
        mesh_resources(minimal(), {"shop/api": {"weights": weights}})
    assert [str(problem) for problem in caught.value.problems] == [said]


EDGES = (
    Edge("p/a", ("GET",), ("/x", "/y/*"), (80,), "caller", ""),
    Edge("p/b", (), (), (80, 81), "caller", ""),
    Edge(ANY_PEER, ("GET",), ("/health",), (80,), "open", ""),
)


@pytest.mark.parametrize(
    ("request_", "edge"),
    [
        (("p/a", "GET", "/x", 80), 0),
        (("p/a", "GET", "/x/", 80), None),
        (("p/a", "GET", "/y/", 80), 0),
        (("p/a", "GET", "/y", 80), None),
        (("p/a", "GET", "/y/z/w", 80), 0),
        (("p/a", "POST", "/x", 80), None),
        (("p/a", "GET", "/x", 81), None),
        (("p/b", "DELETE", "/any", 81), 1),
        (("p/b", "GET", "/", 82), None),
        (("p/b", "GET", "/health", 80), 1),
        (("p/a", "GET", "/health", 80), 2),
        (("p/c", "GET", "/health", 80), 2),
        (("p/c", "GET", "/x", 80), None),
    ],
)
def test_the_first_edge_that_fits_lets_a_request_in(
    request_: tuple[str, str, str, int], edge: int | None
) -> None:
    assert decide(EDGES, *request_) == edge


def test_edges_of_the_full_catalogue_in_the_order_of_the_rules() -> None:
    catalogue = parse_catalogue(full())
    web = catalogue.service("web")
    api = catalogue.service("api")
    assert web is not None
    assert api is not None
    gateway = "td.example/ns/istio-system/sa/istio-ingressgateway-service-account"
    inside = "td.example/ns/shop/sa/inside"
    assert service_edges(catalogue, web) == (
        Edge("td.example/ns/back/sa/ledger", ("GET",), ("/read/*",), (8080,), "caller", "back/ledger"),
        Edge("td.example/ns/shop/sa/api-sa", (), (), (5432,), "caller", "shop/api"),
        Edge("td.example/ns/shop/sa/api-sa", (), (), (5432, 7946, 8080, 9000), "caller", "shop/api"),
        Edge(gateway, (), (), (5432,), "gateway", "gateway public"),
        Edge(gateway, (), (), (8080,), "gateway", "gateway public"),
        Edge(gateway, ("GET",), ("/e",), (8080,), "gateway", "gateway public"),
        Edge(gateway, ("GET",), (), (9000,), "gateway", "gateway public"),
        Edge(inside, (), ("/app", "/app/*"), (8080,), "gateway", "gateway inside"),
        Edge(inside, (), ("/same", "/same/*"), (8080,), "gateway", "gateway inside"),
        Edge(ANY_PEER, ("GET",), ("/healthz", "/it's"), (8080,), "open", "any peer"),
    )
    edges = service_edges(catalogue, api)
    assert [edge.kind for edge in edges] == ["caller", "caller", "scrape", "scrape", "scrape"]
    assert [edge.caller for edge in edges[2:]] == [
        "scraper without a sidecar",
        "td.example/ns/monitoring/sa/prometheus",
        "shop/web",
    ]
    assert caller_name(Caller("", gateway="g")) == "gateway g"
    assert caller_name(Caller("", service="s", namespace="n")) == "n/s"
    assert caller_name(Caller("", principal="p")) == "p"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("v1", "releases[shop/api]: is no mapping with weights, or stable (release-record)"),
        (["v1"], "releases[shop/api]: is no mapping with weights, or stable (release-record)"),
        (
            {"stable": ["v1"]},
            "releases[shop/api]: names neither weights nor a stable version (release-record)",
        ),
        (
            {"weights": ["v1"]},
            "releases[shop/api]: names neither weights nor a stable version (release-record)",
        ),
        (
            {"stable": "v1", "fence": "much"},
            "releases[shop/api].fence: is 'much', not a whole number (fence)",
        ),
        ({"stable": "v1", "fence": [1]}, "releases[shop/api].fence: is [1], not a whole number (fence)"),
        ({"stable": "v1", "fence": True}, "releases[shop/api].fence: is True, not a whole number (fence)"),
    ],
)
def test_a_record_that_is_none_is_told_and_no_defect(record: Any, said: str) -> None:
    """`mesh_releases` is written by people."""
    with pytest.raises(InputError) as caught:
        mesh_resources(minimal(), {"shop/api": record, "shop/gone": "v1"})
    assert [str(problem) for problem in caught.value.problems] == [said]


def test_a_fence_may_be_text_and_a_record_nothing() -> None:
    releases: dict[str, Any] = {"shop/api": {"stable": "v1", "fence": "7"}, "shop/web": None}
    metadata = rendered("VirtualService", releases)["shop/api-routes"]["metadata"]
    assert metadata["annotations"] == {"servicemesh.istio/fence": "7"}
