"""What is told of an accepted catalogue, word for word, and what is not."""

# ruff: noqa: E501 - one row per hint
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.hints import (
    catalogue_hints,
    shared_accounts,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue

from ...support.catalogues import full, minimal, service


def hints(change: Any) -> list[str]:
    raw = minimal()
    change(raw)
    return [str(hint) for hint in catalogue_hints(parse_catalogue(raw))]


def _default_account(raw: dict[str, Any]) -> None:
    for item in raw["mesh_services"]:
        item["service_account"] = "default"
    raw["mesh_services"].append(service("other", namespace="back", service_account="default"))


def _as_the_gateway(raw: dict[str, Any]) -> None:
    raw["istio_gateways"] = [{"name": "in", "namespace": "shop", "service_account": "web"}]


def _two_gateways(raw: dict[str, Any]) -> None:
    raw["istio_gateways"] = [{"name": name, "service_account": "gateways"} for name in ("one", "two")]
    raw["mesh_gateways"][0]["workload"] = "one"
    raw["mesh_gateways"] += [
        {"name": "second", "workload": "one", "servers": [{"host": "b.example.com"}]},
        {"name": "third", "workload": "two", "servers": [{"host": "c.example.com"}]},
    ]


RIGHTS = "whoever lets one of them in lets all of them in, and each may do what any may; give each its own (service_account) (shared-account)"

EVERYBODY = (
    "the ServiceAccount of every pod of the namespace that names none: whoever lets one of them in lets all of"
    " them in; give each its own (service_account) (shared-account)"
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _raw: None, []),
        (
            _default_account,
            [
                f"mesh_services[0]: shop/web, shop/api run as cluster.local/ns/shop/sa/default, {EVERYBODY}",
                f"mesh_services[2]: back/other runs as cluster.local/ns/back/sa/default, {EVERYBODY}",
            ],
        ),
        (
            _as_the_gateway,
            [
                f"mesh_services[0]: shop/web, gateway public run as one ServiceAccount, cluster.local/ns/shop/sa/web: {RIGHTS}"
            ],
        ),
        (
            _two_gateways,
            [
                f"mesh_gateways[0]: gateway public, gateway third run as one ServiceAccount, cluster.local/ns/istio-system/sa/gateways: {RIGHTS}"
            ],
        ),
    ],
    ids=["own accounts", "default", "gateway", "two gateways"],
)
def test_shared_accounts(change: Any, said: list[str]) -> None:
    """Public reports: all services under ServiceAccount `default` share every right, silently."""
    assert hints(change) == said
    raw = minimal()
    change(raw)
    assert [str(hint) for hint in shared_accounts(parse_catalogue(raw))] == said


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["/*"], ""),
        (["/x", "/x/*"], ""),
        (["/x/*"], ""),
        (["/", "/*"], ""),
        (["/x"], "'/x': each is this one path only; what lies below it is '/x/*' and the like"),
        (
            ["/api/", "/y"],
            "'/api/', '/y': each is this one path only; what lies below it is '/api/*' and the like",
        ),
        (["/"], "'/': each is this one path only; what lies below it is '/*' and the like"),
        (["/a", "/b", "/b/*"], "'/a': each is this one path only; what lies below it is '/a/*' and the like"),
    ],
)
def test_paths_that_are_themselves_only(paths: list[str], said: str) -> None:
    found = hints(lambda raw: raw["mesh_services"][1].update(callers=[{"service": "web", "paths": paths}]))
    assert found == ([f"mesh_services[1].callers[0].paths: {said} (exact-path)"] if said else [])


def test_open_paths_that_end_in_a_slash() -> None:
    found = hints(lambda raw: raw["mesh_services"][1].update(open_paths=["/", "/health", "/live/"]))
    assert found == [
        "mesh_services[1].open_paths[2]: '/live/' is not '/live', and not what lies below it (exact-path)"
    ]


def test_the_catalogue_with_every_setting_shares_no_account() -> None:
    assert shared_accounts(parse_catalogue(full())) == []
