"""Who may scrape a port, or call what lies outside of the mesh: nobody is told apart by requests there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue

from ...support.catalogues import minimal


def with_scrape(caller: dict[str, Any]) -> dict[str, Any]:
    raw = minimal()
    raw["mesh_services"][1]["scrape"] = {"port": 9102, "callers": [caller]}
    return raw


def with_external(caller: dict[str, Any]) -> dict[str, Any]:
    external = {"name": "pay", "hosts": ["pay.example.com"], "ports": [{"number": 443, "protocol": "TLS"}]}
    return minimal(mesh_external_services=[{**external, "callers": [caller]}])


@pytest.mark.parametrize("build", [with_scrape, with_external])
@pytest.mark.parametrize(("key", "value"), [("methods", ["GET"]), ("paths", ["/x"]), ("ports", ["http"])])
def test_a_request_is_a_key_that_nobody_knows(build: Any, key: str, value: list[str]) -> None:
    parse_catalogue(build({"service": "web"}))
    with pytest.raises(InputError) as caught:
        parse_catalogue(build({"service": "web", key: value}))
    (problem,) = caught.value.problems
    assert problem.rule == "unknown-key"
    assert f".callers[0].{key}" in problem.where
