"""Whatever the schema accepts, the cluster accepts: CRD schemas with their CEL rules, and istiod's webhook.

What it refuses because Istio would, Istio refuses. CATALOGUES sets how many are generated (default 60).
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources
from ansible_collections.servicemesh.istio.plugins.module_utils.object_id import object_id
from hypothesis import HealthCheck, Phase, given, settings

from ...unit.model.catalogue.test_reach import accepted
from ...unit.model.objects.test_names import nasty
from ...unit.support.catalogues import catalogues, full
from .refusals import ROWS, Refused

COUNT = int(os.environ.get("CATALOGUES", "60"))
NOTICE = "EnvoyFilter exposes internal implementation details"
SERVICE = {
    "name": "api",
    "ports": [{"name": "http", "number": 80, "protocol": "http"}],
    "versions": {"v1": {}},
}


def verdicts(client: KubeClient, objects: list[dict[str, Any]]) -> list[str]:
    """Refusals and warnings of a server-side dry-run of each object; the EnvoyFilter notice is expected."""

    def ask(obj: dict[str, Any]) -> list[str]:
        try:
            response = client.apply(obj, dry_run=True)
        except ApiError as error:
            return [f"{object_id(obj)}: {error.message}"]
        return [] if response else [f"{object_id(obj)}: no answer"]

    refused = [line for lines in client.in_parallel(ask, objects) for line in lines]
    warned = [text for text in client.warnings if NOTICE not in text]
    return refused + warned


def test_the_webhook_judges(client: KubeClient, namespaces: None) -> None:
    """Without this the property below would hold on a cluster whose webhook fails open."""
    configuration = client.list("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration").items
    policies = {
        hook["failurePolicy"]
        for item in configuration
        if item["metadata"]["name"].startswith("istio")
        for hook in item["webhooks"]
    }
    assert policies == {"Fail"}
    bad = mesh_resources({"mesh_name": "shop", "mesh_namespace": "shop", "mesh_services": [SERVICE]})
    routes = next(obj for obj in bad if obj["metadata"]["name"] == "api-routes")
    routes["spec"]["http"][0]["route"][0]["weight"] = -1
    with pytest.raises(ApiError, match="weight"):
        client.apply(routes, dry_run=True)


def test_warnings_are_heard(client: KubeClient, namespaces: None) -> None:
    limited = SERVICE | {"rate_limit": {"requests": 5, "per": "1s"}}
    client.warnings.clear()
    for obj in mesh_resources({"mesh_name": "shop", "mesh_namespace": "shop", "mesh_services": [limited]}):
        client.apply(obj, dry_run=True)
    assert any(NOTICE in text for text in client.warnings)


def generated(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )


@generated(COUNT)
@given(raw=catalogues())
def test_no_refusal_and_no_warning(client: KubeClient, namespaces: None, raw: dict[str, Any]) -> None:
    client.warnings.clear()
    assert verdicts(client, mesh_resources(raw)) == []


@generated(COUNT // 6)
@given(raw=nasty())
def test_none_where_names_nearly_meet(client: KubeClient, namespaces: None, raw: dict[str, Any]) -> None:
    client.warnings.clear()
    assert verdicts(client, mesh_resources(raw)) == []


def test_none_where_entries_nearly_reach_each_other(client: KubeClient, namespaces: None) -> None:
    client.warnings.clear()
    asked = 0
    for raw, objects in accepted(COUNT * 2, seed=5):
        assert verdicts(client, objects) == [], raw
        asked += 1
    assert asked >= COUNT // 6, "too few were accepted to show anything"


GOOD = {(obj["kind"], object_id(obj).partition(" ")[2]): obj for obj in mesh_resources(full())}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_is_refused_for_istios_sake_istio_refuses(
    client: KubeClient, namespaces: None, row: Refused
) -> None:
    good = GOOD[row.kind, row.obj]
    client.apply(good, dry_run=True)
    with pytest.raises(InputError):
        mesh_resources(row.catalogue(full()))
    client.warnings.clear()
    try:
        client.apply(row.object(good), dry_run=True)
    except ApiError as error:
        assert error.status not in (None, 401, 403, 404, 409), error
    else:
        assert client.warnings
