"""A service by `name` or `namespace/name`, for every playbook that takes one."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.lookup import look_up
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue

SERVICE = {"ports": [{"number": 80, "protocol": "http"}]}
MESH = parse_catalogue(
    {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "mesh_services": [
            {"name": "web", **SERVICE},
            {"name": "reviews", "namespace": "books", **SERVICE},
            {"name": "web", "namespace": "books", **SERVICE},
        ],
    }
)


@pytest.mark.parametrize(
    ("text", "namespace", "key"),
    [
        ("web", "", "shop/web"),
        ("web", "books", "books/web"),
        ("books/web", "", "books/web"),
        ("books/web", "books", "books/web"),
        ("books/reviews", "", "books/reviews"),
    ],
)
def test_found(text: str, namespace: str, key: str) -> None:
    service, fault = look_up(MESH, text, namespace)
    assert service is not None and (service.key, fault) == (key, "")


@pytest.mark.parametrize(
    ("text", "namespace", "fault"),
    [
        ("reviews", "", "'reviews' is not in namespace shop: write books/reviews"),
        ("shop/reviews", "", "'shop/reviews' is not in namespace shop: write books/reviews"),
        ("web", "other", "'web' is not in namespace other: write shop/web or books/web"),
        ("shop/web", "books", "'shop/web' is in namespace shop, and the namespace that is given is books"),
        ("wep", "", "'wep' is not in mesh_services (books/reviews, books/web, shop/web), did you mean web"),
        ("", "", "'' is not in mesh_services (books/reviews, books/web, shop/web)"),
    ],
)
def test_not_found(text: str, namespace: str, fault: str) -> None:
    assert look_up(MESH, text, namespace) == (None, fault)
