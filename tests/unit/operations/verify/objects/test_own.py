"""The catalogue's own objects against themselves: nothing that it can say is told as an edit."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.objects.own import (
    _lists,
)

from ..builders import GATEWAY, catalogue, service


class _Ours:
    def __init__(self, mesh: Any) -> None:
        self.picture = type("Picture", (), {"catalogue": mesh})


def routes(mesh: Any) -> dict[str, Any]:
    """The VirtualService of the gateway."""
    (found,) = (
        item
        for item in render(mesh)
        if item["kind"] == "VirtualService" and item["metadata"]["name"].startswith("gateway.")
    )
    return found


def faults(mesh: Any, held: dict[str, Any]) -> list[str]:
    wanted = routes(mesh)["spec"]["http"]
    ours: Any = _Ours(mesh)
    return list(_lists(ours, "http", wanted, held["spec"]["http"], held))


def rewriting() -> Any:
    exposed = [{"gateway": "public", "host": "api.example.com", "path": "/people", "rewrite": "/api/users"}]
    return catalogue(service("users", exposed=exposed), mesh_gateways=[GATEWAY])


def test_a_rewritten_path_is_two_routes_of_one_name() -> None:
    mesh = rewriting()
    held = routes(mesh)
    names = [route["name"] for route in held["spec"]["http"]]
    assert len(names) > len(set(names)), (
        "the catalogue gives them different names: this test is about nothing"
    )
    assert faults(mesh, held) == []


def test_each_route_of_a_name_counts() -> None:
    mesh = rewriting()
    for index in range(len(routes(mesh)["spec"]["http"])):
        edited = copy.deepcopy(routes(mesh))
        edited["spec"]["http"][index]["timeout"] = "77s"
        assert faults(mesh, edited) != [], index
        less = copy.deepcopy(routes(mesh))
        del less["spec"]["http"][index]
        assert faults(mesh, less) != [], index
        more = copy.deepcopy(routes(mesh))
        more["spec"]["http"].append(copy.deepcopy(more["spec"]["http"][index]))
        assert faults(mesh, more) != [], index
