"""Rules about paths are as good as the path that proxies compare."""

from __future__ import annotations

from typing import Any

import pytest

from .test_inputs import CATALOGUE, faults, read


def below(**fields: Any) -> dict[str, Any]:
    web = {"name": "web", "ports": [{"number": 80, "protocol": "http"}]}
    return {**CATALOGUE, "mesh_services": [{**web, **fields}]}


PUBLIC = {"callers": [{"principal": "cluster.local/ns/a/sa/b", "paths": ["/public/*"]}]}
PLACE = "istio_mesh_config.pathNormalization.normalization"


def told(mode: str | None, catalogue: dict[str, Any], **more: Any) -> list[str]:
    istio = {"mesh_config": {"pathNormalization": {"normalization": mode}}} if mode else {}
    warnings = read(istio=istio, catalogue=catalogue, **more).warnings
    return [text for text in warnings if "pathNormalization" in text]


@pytest.mark.parametrize("mode", [None, "DEFAULT", "BASE", "MERGE_SLASHES"])
def test_an_encoded_slash_passes_what_does_not_decode_it(mode: str | None) -> None:
    assert told(mode, below(**PUBLIC)) == [
        f"{PLACE}: is {mode or 'BASE'}, so /public/..%2Fx passes the rule for /public/*, which many "
        "applications decode; use DECODE_AND_MERGE_SLASHES"
    ]


def test_what_decodes_it_is_enough() -> None:
    assert told("DECODE_AND_MERGE_SLASHES", below(**PUBLIC)) == []


def test_nothing_is_needed_where_no_rule_stops_at_a_path() -> None:
    everything = {"callers": [{"principal": "cluster.local/ns/a/sa/b", "paths": ["/*", "/exact"]}]}
    assert told("BASE", below(**everything)) == []


def test_without_any_normalisation_dots_pass_and_that_is_refused() -> None:
    exposed = {"exposed": [{"gateway": "public", "host": "shop.example.com", "path": "/shop"}]}
    istio = {"mesh_config": {"pathNormalization": {"normalization": "NONE"}}}
    for catalogue in (below(**PUBLIC), below(**exposed)):
        assert faults(istio=istio, catalogue=catalogue) == [(PLACE, "same-setting")]
    assert told("NONE", CATALOGUE) == []


def test_of_somebody_else_s_istio_nothing_is_known() -> None:
    assert told(None, below(**PUBLIC), parts=["mesh"]) == []


def caller(*paths: str) -> dict[str, Any]:
    return {"principal": "cluster.local/ns/a/sa/b", "paths": list(paths)}


def exposed(path: str, **more: Any) -> dict[str, Any]:
    return {"gateway": "public", "host": "shop.example.com", "path": path, **more}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"callers": [caller("/exact", "/*", "/a/*")]}, "/a"),
        ({"callers": [caller("/*"), caller("/b/*")]}, "/b"),
        ({"exposed": [exposed("/shop")]}, "/shop"),
        ({"exposed": [exposed("/exact", match="exact"), exposed("/shop")]}, "/shop"),
        ({"callers": [caller("/*")], "exposed": [exposed("/shop")]}, "/shop"),
        ({"exposed": [exposed("/exact", match="exact")]}, ""),
        ({"exposed": [exposed("/")]}, ""),
    ],
)
def test_the_first_rule_that_stops_at_a_path_is_the_example(fields: dict[str, Any], path: str) -> None:
    warnings = told("BASE", below(**fields))
    assert len(warnings) == bool(path)
    assert all(f"so {path}/..%2Fx passes the rule for {path}/*" in text for text in warnings)
