"""Fixtures of the tests of the request layer and the write path."""

from __future__ import annotations

import json

import pytest

from ...unit.support.arguments import validated

# The collection is imported inside the fixtures: pytest-ansible sets up its loader after this file is read.


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """No discovery cache of the person who runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def proxy(api, tmp_path):
    from ...faults.kube_proxy import FaultProxy

    with FaultProxy(api, tmp_path) as running:
        yield running


@pytest.fixture
def through(proxy):
    """A client behind the fault proxy."""
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

    with connect(ConnectionOptions(host=proxy.url, api_key="none"), deadline=60) as client:
        yield client


@pytest.fixture
def run(api):
    """The backend of module resources with its defaults; ``context`` options by name."""
    from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
    from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import (
        backend as resources,
    )

    def call(check_mode=False, diff_mode=False, host=None, **params):
        connection = {"host": host, "api_key": "none"} if host else {"kubeconfig": api}
        checked = validated(resources.ARGUMENT_SPEC, {**connection, **params})
        context = Context(check_mode=check_mode, diff_mode=diff_mode, environment={})
        return json.loads(json.dumps(resources.run(checked, context)))

    return call
