"""The filters are thin: they drop Ansible's tags, call the model, and turn its errors into Ansible's."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.servicemesh.istio.plugins.filter.mesh_resources import FilterModule

FILTERS = FilterModule().filters()
CATALOGUE = """
mesh_name: shop
mesh_namespace: shop
mesh_services:
  - name: api
    ports: [{name: http, number: 3000, protocol: http}]
    versions: {v1: {}, v2: {}}
    initial_version: v1
    retries: {attempts: 1, on: [gateway-error]}
    proxy: {cpu: 50m, memory_limit: 256Mi, concurrency: 2}
"""


def catalogue(text: str = CATALOGUE) -> object:
    """As Ansible hands it to a filter: tagged, and with the YAML 1.1 key `on`."""
    return DataLoader().load(text)


def test_objects_are_plain_values() -> None:
    objects = FILTERS["mesh_resources"](catalogue(), releases={"shop/api": {"weights": {"v1": 90, "v2": 10}}})
    routes = next(item for item in objects if item["metadata"]["name"] == "api-routes")
    assert routes["metadata"]["name"].__class__ is str
    assert routes["spec"]["http"][0]["name"] == "split.idempotent"
    assert [share["weight"] for share in routes["spec"]["http"][0]["route"]] == [90, 10]


def test_problems_are_sentences_or_an_error() -> None:
    bad = catalogue(CATALOGUE.replace("3000", "0").replace("mesh_namespace", "mesh_namespce"))
    problems = FILTERS["mesh_problems"](bad)
    assert [problem.split(":")[0] for problem in problems] == [
        "mesh_services[0].ports[0].number of api",
        "mesh_namespce",
    ]
    assert FILTERS["mesh_problems"](catalogue()) == []
    with pytest.raises(AnsibleFilterError, match="did you mean mesh_namespace"):
        FILTERS["mesh_resources"](bad)
    with pytest.raises(AnsibleFilterError, match="must be a mapping"):
        FILTERS["mesh_resources"](["mesh_name"])


def test_sidecar_sizes_go_to_the_pod_templates_of_every_version() -> None:
    patches = FILTERS["mesh_proxy_patches"](catalogue())
    assert [patch["metadata"] for patch in patches] == [
        {"name": "api-v1", "namespace": "shop"},
        {"name": "api-v2", "namespace": "shop"},
    ]
    assert patches[0]["spec"]["template"]["metadata"]["annotations"] == {
        "sidecar.istio.io/proxyCPU": "50m",
        "sidecar.istio.io/proxyMemory": None,
        "sidecar.istio.io/proxyCPULimit": None,
        "sidecar.istio.io/proxyMemoryLimit": "256Mi",
        "proxy.istio.io/config": "concurrency: 2\n",
    }
