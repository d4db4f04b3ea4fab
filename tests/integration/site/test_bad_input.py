"""Bad input ends before the first write, with one line that names what is wrong and where.

Each input stands in the variables of a host of its own; all hosts are the lab's cluster, and run at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from .runs import Run, catalogue, on_hosts
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
    # The role of verify comes at the end; the preflight knows its variables.
    "bad variable of a later role": (
        lambda _: {"verify_checks": ["mtlss"]},
        ("verify_checks[0]: is 'mtlss', not one of injection, policies, mtls",),
    ),
}


@dataclass(frozen=True)
class Refused:
    """A run that was to refuse all of its hosts, and what it wrote."""

    run: Run
    written: set[str]

    def why(self, host: str) -> str:
        """The one line that a host failed with."""
        (line,) = self.run.errors[host]
        return line


def host(name: str) -> str:
    """A bad input as the name of a host."""
    return name.replace(" ", "-")


@pytest.fixture(scope="module")
def site(client, admin, tmp_path_factory) -> Refused:
    hosts = {host(name): make(admin) for name, (make, _said) in BAD.items()}
    before = fingerprint(client)
    run = on_hosts("playbooks/site.yml", hosts, tmp_path_factory.mktemp("site"))
    return Refused(run, difference(before, fingerprint(client)))


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, site: Refused) -> None:
    line = site.why(host(name))
    for part in BAD[name][1]:
        assert part in line
    assert len(line) < 800


def test_bad_input_ends_before_the_first_write(site: Refused) -> None:
    assert site.run.code == 2, site.run.output
    assert site.run.errors.keys() == set(map(host, BAD)), site.run.output
    assert site.written == set()
    assert "Traceback" not in site.run.output
    assert "s3cret-token" not in site.run.output


def second_mesh(name: str, host: str) -> dict[str, Any]:
    """Another mesh, in a namespace of its own, on the same gateway."""
    return {
        "mesh_name": name,
        "mesh_namespace": "default",
        "mesh_gateways": [
            {
                "name": name,
                "workload": "istio-ingressgateway",
                "servers": [{"host": host, "certificate": name}],
            }
        ],
        "mesh_services": [],
        "mesh_external_services": [],
    }


@pytest.fixture(scope="module")
def bound_in_default(client) -> Iterator[None]:
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


def nowhere(directory: Any, **more: Any) -> dict[str, Any]:
    """The lab's mesh with something to write, from a controller without the network."""
    return {
        "istio_istioctl_path": "",
        "istio_istioctl_url": "file:///nowhere",
        "istio_istioctl_directory": str(directory),
        "istio_owner": "shop@lab",
        "mesh_telemetry": {"access_log": "none"},
        **more,
    }


# Each of another name: Ansible shows a line once, however many hosts fail with it.
OF_TWO_MESHES: dict[str, tuple[Callable[[str], dict[str, Any]], str]] = {
    "host": (
        lambda name: second_mesh(name, "api.example.com"),
        "mesh_gateways[0].servers[0].host of {}: host 'api.example.com' is already in mesh 'shop'",
    ),
    "objects": (lambda name: {"mesh_name": name}, "of mesh '{}' would be taken from mesh 'shop'"),
}
CHECKS = ("warn", "off")


@pytest.fixture(scope="module")
def mesh(client, bound_in_default, tmp_path_factory) -> Refused:
    """Role mesh, asked for what it must not do."""
    directory = tmp_path_factory.mktemp("mesh")
    hosts = {
        f"{shared}-{check}": {**make(f"books-{check}"), "mesh_check": check}
        for shared, (make, _said) in OF_TWO_MESHES.items()
        for check in CHECKS
    }
    hosts["two-faults"] = edited(
        lambda raw: (
            service(raw, "user-service").update(timout="5s"),
            service(raw, "order-service")["ports"][0].update(number=0),
        )
    )
    hosts["no-verdict"] = nowhere(directory, mesh_check="strict")
    before = fingerprint(client)
    run = on_hosts("playbooks/mesh.yml", hosts, directory, "-e", f"mesh_serial={len(hosts)}")
    assert run.code == 2, run.output
    assert run.errors.keys() == hosts.keys(), run.output
    return Refused(run, difference(before, fingerprint(client)))


def test_all_faults_are_told_at_once(mesh: Refused) -> None:
    line = mesh.why("two-faults")
    assert "timout of user-service" in line
    assert "number of order-service" in line


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("shared", OF_TWO_MESHES)
def test_two_meshes_share_no_host_and_no_object(mesh: Refused, shared: str, check: str) -> None:
    assert OF_TWO_MESHES[shared][1].format(f"books-{check}") in mesh.why(f"{shared}-{check}")


def test_without_an_analysis_strict_writes_nothing(mesh: Refused) -> None:
    assert "no verdict of istioctl analyze" in mesh.why("no-verdict")


def test_what_role_mesh_refuses_it_does_not_write(mesh: Refused) -> None:
    assert mesh.written == set()


@pytest.mark.usefixtures("bound_in_default")
def test_what_it_does_not_refuse(tmp_path) -> None:
    """A second mesh on a host of its own, and a controller without the network that asks for no verdict."""
    hosts = {"second": second_mesh("books", "books.example.com"), "nowhere": nowhere(tmp_path)}
    run = on_hosts("playbooks/mesh.yml", hosts, tmp_path, "--check", "-e", "mesh_serial=2")
    assert run.code == 0, run.output
    assert run.recaps["nowhere"]["changed"] == 1, run.output
    assert "cannot be fetched" in run.output and "istioctl analyze: cannot tell" in run.output, run.output
