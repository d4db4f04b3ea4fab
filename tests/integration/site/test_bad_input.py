"""Bad input ends before the first write, with one line that names what is wrong and where."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest

from .runs import catalogue, playbook
from .written import difference, fingerprint


def edited(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The variables of the catalogue that a change makes wrong."""
    good = catalogue()
    bad = copy.deepcopy(good)
    change(bad)
    return {key: value for key, value in bad.items() if value != good.get(key)}


def service(raw: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in raw["mesh_services"] if entry["name"] == name)


BAD: dict[str, tuple[Callable[[str], dict[str, Any]], tuple[str, ...]]] = {
    "unknown Istio version": (
        lambda _: {"istio_version": "9.9.9"},
        ("istio_version: Istio 9.9.9 is not known",),
    ),
    "both injection labels": (
        lambda _: {
            "injection_namespaces": [{"name": "ecommerce", "mode": "injection", "revision": "canary"}]
        },
        ("injection_namespaces[0].revision", "istio-injection and istio.io/rev exclude each other"),
    ),
    "wrong kubeconfig": (
        lambda _: {"mesh_connection": {"kubeconfig": "/nonexistent/config"}},
        ("kubeconfig /nonexistent/config: no such file",),
    ),
    "a context that is not there": (
        lambda admin: {"mesh_connection": {"kubeconfig": admin, "context": "elsewhere"}},
        ("elsewhere",),
    ),
    "no rights": (
        lambda admin: {"mesh_connection": {"kubeconfig": admin, "impersonate_user": "nobody"}},
        ("needed rights are granted", "docs/rbac"),
    ),
    "unreachable API": (
        lambda _: {"mesh_connection": {"host": "https://127.0.0.1:1", "api_key": "s3cret-token"}},
        ("https://127.0.0.1:1 cannot be reached: connection refused",),
    ),
    "caller that does not exist": (
        lambda _: edited(lambda raw: service(raw, "user-service")["callers"].append({"service": "nobody"})),
        ("mesh_services[3].callers[2].service of user-service", "no service 'nobody'"),
    ),
    "weights that are not 100": (
        lambda _: edited(
            lambda raw: service(raw, "user-service").update(
                load_balancing={"locality": {"distribute": [{"from": "a/b", "to": {"a/b": 50, "a/c": 40}}]}}
            )
        ),
        ("mesh_services[3].load_balancing.locality.distribute[0].to", "add up to 90, not 100"),
    ),
    "port 0": (
        lambda _: edited(lambda raw: service(raw, "user-service")["ports"][0].update(number=0)),
        ("mesh_services[3].ports[0].number", "is 0, not within 1 to 65535"),
    ),
    "a host twice": (
        lambda _: edited(
            lambda raw: raw["mesh_gateways"][0]["servers"].append(
                {"host": "api.example.com", "certificate": "other"}
            )
        ),
        ("mesh_gateways[0].servers[1].host of public", "already used"),
    ),
    "unknown key of a service": (
        lambda _: edited(lambda raw: service(raw, "user-service").update(timout="5s")),
        ("mesh_services[3].timout of user-service", "did you mean timeout"),
    ),
    "unknown add-on": (
        lambda _: {"addons_enabled": ["promethius"]},
        ("addons_enabled[0]: no add-on is called 'promethius', did you mean prometheus",),
    ),
    "a namespace that is not there": (
        lambda _: {"injection_namespaces": ["nowhere"]},
        ("injection_namespaces[0]: namespace nowhere does not exist",),
    ),
    "unknown option of the connection": (
        lambda _: {"mesh_connection": {"kubeconfg": "/nonexistent"}},
        ("mesh_connection.kubeconfg: is not a known option, did you mean kubeconfig",),
    ),
    "values that are no mapping": (
        lambda _: {"istio_values": "x"},
        ("istio_values: is 'x', not a mapping such as",),
    ),
    "unknown key of MeshConfig": (
        lambda _: {"istio_mesh_config": {"accesLogFile": "/dev/stdout"}},
        ("istio_mesh_config.accesLogFile: Istio does not know this key, did you mean accessLogFile",),
    ),
    "unknown variable": (
        lambda _: {"mesh_servces": []},
        ("mesh_servces: is not a known key, did you mean mesh_services",),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_no_write(name, client, admin):
    make, expected = BAD[name]
    before = fingerprint(client)
    began = time.monotonic()
    run = playbook("playbooks/site.yml", extra=make(admin))
    print(f"{time.monotonic() - began:.1f} s")  # a figure for the reader, not a limit
    assert run.code == 2, run.output
    assert len(run.errors) == 1, run.output
    for part in expected:
        assert part in run.errors[0]
    assert len(run.errors[0]) < 800
    assert "Traceback" not in run.output
    assert "s3cret-token" not in run.output
    assert difference(before, fingerprint(client)) == set()


def test_bad_variable_of_a_later_role_is_found_before_the_first_write(client):
    """The role of verify comes at the end; the preflight knows its variables."""
    before = fingerprint(client)
    run = playbook("playbooks/site.yml", extra={"verify_checks": ["mtlss"]})
    assert run.code == 2
    assert "verify_checks[0]: is 'mtlss', not one of injection, policies, mtls" in run.output
    assert "Traceback" not in run.output
    assert difference(before, fingerprint(client)) == set()


def test_all_faults_are_told_at_once(client):
    bad = edited(
        lambda raw: (
            service(raw, "user-service").update(timout="5s"),
            service(raw, "order-service")["ports"][0].update(number=0),
        )
    )
    run = playbook("playbooks/mesh.yml", extra=bad)
    assert run.code == 2
    assert "timout of user-service" in run.errors[0]
    assert "number of order-service" in run.errors[0]


def second_mesh(host: str) -> dict[str, Any]:
    """Another mesh, in a namespace of its own, on the same gateway."""
    return {
        "mesh_name": "books",
        "mesh_namespace": "default",
        "mesh_gateways": [
            {
                "name": "books",
                "workload": "istio-ingressgateway",
                "servers": [{"host": host, "certificate": "books"}],
            }
        ],
        "mesh_services": [],
        "mesh_external_services": [],
    }


@pytest.fixture
def bound_in_default(client):
    """The operator's rights in the second mesh's namespace, as an administrator binds them there."""
    made = []
    for binding in client.list("rbac.authorization.k8s.io/v1", "RoleBinding", "ecommerce").items:
        name = binding["metadata"]["name"]
        if not name.startswith("servicemesh-site-"):
            continue
        body = {key: binding[key] for key in ("apiVersion", "kind", "roleRef", "subjects")}
        client.create({**body, "metadata": {"name": name, "namespace": "default"}})
        made.append(name)
    assert made
    yield
    for name in made:
        client.delete("rbac.authorization.k8s.io/v1", "RoleBinding", name, "default")


@pytest.mark.usefixtures("bound_in_default")
@pytest.mark.parametrize("check", ["warn", "off"])
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (
            second_mesh("api.example.com"),
            "mesh_gateways[0].servers[0].host of books: host 'api.example.com' is already in mesh 'shop'",
        ),
        ({"mesh_name": "books"}, "of mesh 'books' would be taken from mesh 'shop'"),
    ],
    ids=["host", "objects"],
)
def test_two_meshes_share_no_host_and_no_object(client, extra, said, check):
    before = fingerprint(client)
    run = playbook("playbooks/mesh.yml", extra={**extra, "mesh_check": check})
    assert run.code == 2, run.output
    assert len(run.errors) == 1, run.output
    assert said in run.errors[0]
    assert difference(before, fingerprint(client)) == set()
    run = playbook("playbooks/mesh.yml", "--check", extra={**second_mesh("books.example.com")})
    assert run.code == 0, run.output


def test_a_controller_without_the_network_goes_on_without_an_analysis(admin, tmp_path):
    nowhere = {
        "istio_istioctl_path": "",
        "istio_istioctl_url": "file:///nowhere",
        "istio_istioctl_directory": str(tmp_path),
        "mesh_telemetry": {"access_log": "none"},  # something to write
    }
    run = playbook("playbooks/mesh.yml", "--check", extra=nowhere)
    assert run.code == 0, run.output
    assert run.recap["changed"] == 1, run.output
    assert "cannot be fetched" in run.output and "istioctl analyze: cannot tell" in run.output, run.output
    run = playbook("playbooks/mesh.yml", "--check", extra={**nowhere, "mesh_check": "strict"})
    assert run.code != 0 and "no verdict of istioctl analyze" in run.output, run.output
