"""What a person altered by hand: check mode names exactly that, the next run repairs exactly that."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

from .runs import Run, playbook
from .written import difference, fingerprint

ROUTES = ("networking.istio.io/v1", "VirtualService", "frontend-routes", "ecommerce")
OTHER_ROUTES = ("networking.istio.io/v1", "VirtualService", "order-service-routes", "ecommerce")
GATEWAY = ("apps/v1", "Deployment", "istio-ingressgateway", "istio-system")
ISTIOD = ("apps/v1", "Deployment", "istiod", "istio-system")
SETTINGS = ("v1", "ConfigMap", "istio", "istio-system")
# Whenever istioctl runs or istiod starts, istiod writes its CA into them again.
BY_ISTIOD = ("MutatingWebhookConfiguration ", "ValidatingWebhookConfiguration ")
_HEADER = re.compile(r"^\+\+\+ after: (\S+ \S+)", re.MULTILINE)


@pytest.fixture(autouse=True)
def finished(request):
    """A mesh without drift afterwards; a test that passed has shown that its own edits are gone."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        assert playbook("playbooks/site.yml").code == 0


def named(run: Run) -> set[str]:
    """The objects whose diff a run shows."""
    return set(_HEADER.findall(run.output))


@contextlib.contextmanager
def nothing_written(client) -> Iterator[None]:
    before = fingerprint(client)
    yield
    assert difference(before, fingerprint(client)) == set()


def alter_environment(client) -> str:
    containers = client.get(*ISTIOD)["spec"]["template"]["spec"]["containers"]
    names = [entry["name"] for entry in containers[0]["env"]]
    place = f"/spec/template/spec/containers/0/env/{names.index('PILOT_TRACE_SAMPLING')}/value"
    change = [{"op": "replace", "path": place, "value": "50"}]
    client.patch(*ISTIOD, change, patch_type="json", field_manager="kubectl-set")
    return "Deployment istio-system/istiod"


def add_variable(client) -> str:
    containers = [{"name": "istio-proxy", "env": [{"name": "A_VARIABLE_OF_SOMEBODY", "value": "1"}]}]
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    client.patch(*GATEWAY, change, patch_type="strategic", field_manager="kubectl-set")
    return "Deployment istio-system/istio-ingressgateway"


def alter_mesh_config(client) -> str:
    text = client.get(*SETTINGS)["data"]["mesh"].replace("/dev/stdout", "/dev/null")
    client.patch(*SETTINGS, {"data": {"mesh": text}}, field_manager="kubectl-edit")
    return "ConfigMap istio-system/istio"


def alter_timeout(client) -> str:
    change = [{"op": "replace", "path": "/spec/http/0/timeout", "value": "99s"}]
    client.patch(*ROUTES, change, patch_type="json", field_manager="kubectl-patch")
    return "VirtualService ecommerce/frontend-routes"


def add_scope(client) -> str:
    change = [{"op": "add", "path": "/spec/exportTo", "value": ["*"]}]
    client.patch(*OTHER_ROUTES, change, patch_type="json", field_manager="kubectl-patch")
    return "VirtualService ecommerce/order-service-routes"


def take_label(client) -> str:
    unlabel = {"metadata": {"labels": {"istio-injection": None}}}
    client.patch("v1", "Namespace", "ecommerce", None, unlabel, field_manager="kubectl-label")
    return "Namespace ecommerce"


EDITS = (alter_environment, add_variable, alter_mesh_config, alter_timeout, add_scope, take_label)


def test_hand_edits_are_named_and_repaired(client):
    """Each edit is in an object of its own, so that each is seen alone to be named and taken back.

    That check mode names nothing on a finished mesh is in the job "Mesh: check" of tests/integration/runner.
    """
    good = fingerprint(client)
    expected = {edit(client) for edit in EDITS}
    assert len(expected) == len(EDITS)
    altered = fingerprint(client)
    assert {entry.replace(" /", " ") for entry in difference(good, altered)} == expected

    with nothing_written(client):
        check = playbook("playbooks/site.yml", "--check", "--diff")
    assert check.code == 0, check.output
    assert named(check) == expected
    assert check.recap["changed"] == 3, check.output

    repair = playbook("playbooks/site.yml", "--diff")
    assert repair.code == 0, repair.output
    assert named(repair) == expected
    assert repair.changed_tasks == check.changed_tasks
    written = {entry.replace(" /", " ") for entry in difference(altered, fingerprint(client))}
    assert {entry for entry in written if not entry.startswith(BY_ISTIOD)} == expected

    again = playbook("playbooks/site.yml", "--diff")
    assert again.code == 0, again.output
    assert again.recap["changed"] == 0, again.output
    assert named(again) == set()
