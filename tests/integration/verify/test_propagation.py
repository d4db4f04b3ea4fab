"""The proof of propagation against real proxies: it sees what is there, and what is not."""

from __future__ import annotations

import copy
import time

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import expectations
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.prove import prove

NETWORKING = "networking.istio.io/v1"


@pytest.fixture
def routes(client):
    """The live routes of product-service; whatever a test makes of them is undone."""
    name, namespace = "product-service-routes", "ecommerce"
    live = client.get(NETWORKING, "VirtualService", name, namespace)
    assert live is not None
    yield live
    now = client.get(NETWORKING, "VirtualService", name, namespace)
    client.replace({**now, "spec": live["spec"]})


def split(live, weights):
    """The same routes with other weights, as rendered objects have them: no metadata of the server."""
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "labels")}
    changed = {
        "apiVersion": NETWORKING,
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": copy.deepcopy(live["spec"]),
    }
    host = "product-service.ecommerce.svc.cluster.local"
    for rule in changed["spec"]["http"]:
        if rule["name"].startswith("split"):
            rule["route"] = [
                {"destination": {"host": host, "subset": subset}, "weight": weight}
                for subset, weight in weights.items()
            ]
    return changed


def look(client, raw, obj, timeout, since=None):
    facts = expectations(parse_catalogue(raw), [obj])
    assert facts
    return prove(client, facts, timeout=timeout, progress=lambda line: None, since=since)


def test_a_new_split_is_seen_in_every_proxy_that_imports_the_host(client, raw, routes):
    changed = split(routes, {"v1": 60, "v2": 40})
    live = client.get(NETWORKING, "VirtualService", "product-service-routes", "ecommerce")
    client.replace({**live, "spec": changed["spec"]})
    report = look(client, raw, changed, 60, since=time.monotonic())
    assert report.status == "pass", report.headline()
    # api-gateway and order-service call product-service; the other services' Sidecars do not import it
    assert 2 <= report.concerned < 10
    assert report.seconds < 60


def test_a_split_that_was_not_written_is_not_seen(client, raw, routes):
    report = look(client, raw, split(routes, {"v1": 13, "v2": 87}), 3)
    assert report.status == "fail"
    assert report.proved == 0
    assert "is split" in report.headline()
