"""The module's backend: what it asks, how long it waits, and what it says of the namespaces."""

from __future__ import annotations

import contextlib
import http.server
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight import backend
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight.backend import (
    check_namespaces,
)

from ...support.clock import FakeClock
from ...support.cluster import FakeCluster
from ...support.http_server import at_work
from .test_inputs import CATALOGUE, params, read

ISTIOCTL = """#!/bin/sh
echo '{"clientVersion": {"version": "1.31.0"}}'
"""


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(namespace("istio-system"))


class Run:
    """One run; ``deadlines`` are those of its clients, in seconds, ``warnings`` what the person sees."""

    def __init__(self, cluster: FakeCluster, tmp_path: Path) -> None:
        self.deadlines: list[float | None] = []
        self.warnings: list[str] = []
        self.lines: list[str] = []
        self.cluster = cluster
        self.istioctl = tmp_path / "istioctl"
        self.istioctl.write_text(ISTIOCTL)
        self.istioctl.chmod(0o755)

    def connect(self, _options: Any, *, deadline: float | None, **_more: Any) -> Any:
        self.deadlines.append(deadline)
        return contextlib.nullcontext(self.cluster)

    def __call__(self, *, check_mode: bool = False, **changes: Any) -> dict[str, Any]:
        changes["istio"] = {"istioctl_path": str(self.istioctl), **changes.get("istio", {})}
        context = Context(
            check_mode=check_mode,
            environment={"PATH": "/bin"},
            warn=self.warnings.append,
            progress=self.lines.append,
            connect=self.connect,
        )
        return backend.run(params(kubeconfig={}, **changes), context)


@pytest.fixture
def run(cluster: FakeCluster, tmp_path: Path) -> Run:
    return Run(cluster, tmp_path)


def test_versions_and_tools_are_told(run: Run) -> None:
    result = run()
    assert result["changed"] is False
    assert result["versions"] == {"istio": "1.31.0", "kubernetes": "v1.36.0"}
    assert result["tools"] == {"istioctl": "1.31.0"}
    assert result["findings"] == run.warnings == []
    assert run.cluster.writes == run.cluster.dry_runs == []


def test_the_cluster_is_named(run: Run) -> None:
    run.cluster.put({**namespace("kube-system"), "metadata": {"name": "kube-system", "uid": "u-1"}})
    assert run()["cluster"] == {"server": "https://api.example", "uid": "u-1"}
    assert run.lines == ["reaches https://api.example, cluster u-1"]


def test_without_the_right_to_read_it_the_cluster_has_no_uid(run: Run) -> None:
    run.cluster.fail("get", "Namespace", 403)
    assert run(parts=["mesh"])["cluster"] == {"server": "https://api.example", "uid": ""}
    assert run.lines == ["reaches https://api.example, cluster of an unknown UID"]
    run.cluster.fail("get", "Namespace", 500)
    with pytest.raises(ApiError):
        run(parts=["mesh"])


def test_a_tool_that_nothing_needs_is_not_looked_for(run: Run) -> None:
    run.istioctl.unlink()
    assert run(parts=["mesh"])["tools"] == {}
    with pytest.raises(InputError, match="is not a program that can be run here"):
        run()


def test_another_version_of_the_tool_is_refused(run: Run) -> None:
    with pytest.raises(InputError, match=r"is istioctl 1\.31\.0, istio_version is 1\.31\.1"):
        run(istio={"version": "1.31.1"})


def test_the_server_is_given_four_seconds_to_answer_and_the_questions_their_own_time(run: Run) -> None:
    run(timeout=7)
    assert run.deadlines == [4.0, 7.0]


class Overloaded(http.server.BaseHTTPRequestHandler):
    """An API server that is never ready."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def test_a_server_that_is_never_ready_is_given_up_after_four_seconds() -> None:
    """Handed over as a point in time, four seconds were as long as the machine was up (1,451 s)."""
    clock = FakeClock()
    begin = clock.monotonic()
    with at_work(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Overloaded)) as server:
        context = Context(environment={"PATH": "/bin"}, clock=clock)
        given = params(host=f"http://127.0.0.1:{server.server_port}", api_key="x", parts=["mesh"])
        with pytest.raises(ApiError, match="is not available"):
            backend.run(given, context)
    assert 0 < clock.monotonic() - begin <= 4.0


@pytest.mark.parametrize(("allowed", "warned"), [(True, True), (False, False)])
def test_a_kubernetes_that_istio_does_not_support(
    run: Run, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, allowed: bool, warned: bool
) -> None:
    monkeypatch.setattr(cluster, "server_version", lambda: {"gitVersion": "v1.20.0"})
    if allowed:
        assert run(allow_untested_kubernetes=True)["findings"] == run.warnings
        assert "the cluster runs v1.20.0" in run.warnings[0]
    else:
        with pytest.raises(InputError, match=r"the cluster runs v1\.20\.0"):
            run()
    # Whoever does not install Istio does not choose its Kubernetes either.
    assert run(parts=["mesh"])["findings"] == []


def test_a_server_that_does_not_say_its_version_is_told(
    run: Run, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "server_version", lambda: {})
    assert "cannot be read" in run()["findings"][0]
    monkeypatch.setattr(cluster, "server_version", lambda: {"gitVersion": 7})
    with pytest.raises(MeshError, match="gitVersion is int, not a string"):
        run()


def test_the_warnings_of_the_input_come_first(run: Run) -> None:
    run.cluster.put(namespace("shop", **{"istio-injection": "enabled", "istio.io/rev": "x"}))
    result = run(istio={"version": "1.28.0", "istioctl_path": "/none"}, parts=["injection"],
                 injection_namespaces=["shop"])  # fmt: skip
    assert len(result["findings"]) == 2
    assert "out of support" in result["findings"][0]
    assert "both istio-injection and istio.io/rev" in result["findings"][1]


def test_namespaces_are_looked_at_only_where_injection_runs(run: Run) -> None:
    assert run(parts=["mesh"], injection_namespaces=["gone"])["findings"] == []
    with pytest.raises(InputError, match="namespace gone does not exist"):
        run(injection_namespaces=["gone"])
    assert len(run(injection_namespaces=["gone"], check_mode=True)["findings"]) == 1


def test_a_missing_namespace_stops_a_real_run_and_warns_in_check_mode(cluster: FakeCluster) -> None:
    cluster.remove("Namespace", "istio-system")
    wanted = ["gone", {"name": "new", "create": True}, "istio-system", {"name": "kept", "mode": "keep"}]
    inputs = read(injection_namespaces=wanted)
    with pytest.raises(InputError) as caught:
        check_namespaces(cluster, inputs, check_mode=False)
    assert [(problem.where, problem.rule) for problem in caught.value.problems] == [
        ("injection_namespaces[0]", "namespace-missing")
    ]
    warnings = check_namespaces(cluster, inputs, check_mode=True)
    assert warnings == [
        "injection_namespaces[0]: namespace gone does not exist; create it, or set create for it"
    ]


@pytest.mark.parametrize(
    ("labels", "warned"),
    [
        ({}, False),
        ({"istio-injection": "enabled"}, False),
        ({"istio.io/rev": "r1"}, False),
        ({"istio-injection": "enabled", "istio.io/rev": "r1"}, True),
    ],
)
def test_two_labels_for_injection_are_a_warning_and_one_is_not(
    cluster: FakeCluster, labels: dict[str, str], warned: bool
) -> None:
    cluster.put(namespace("shop", **labels))
    warnings = check_namespaces(cluster, read(injection_namespaces=["shop"]), check_mode=False)
    assert len(warnings) == warned


def test_namespaces_that_may_not_be_read_are_told_by_the_check_of_the_rights(run: Run) -> None:
    run.cluster.forbidden.add("Namespace")
    assert run(parts=["injection"], injection_namespaces=["gone"])["findings"] == []


def test_namespaces_that_cannot_be_read_end_the_run(run: Run) -> None:
    run.cluster.fail("get", "Namespace", 500, when=lambda call: call.name == "gone")
    with pytest.raises(ApiError):
        run(parts=["injection"], injection_namespaces=["gone"])


SERVICE = {"name": "web", "ports": [{"name": "http", "number": 80, "protocol": "http"}]}


@pytest.mark.parametrize(
    ("labels", "listed", "values", "warned"),
    [
        ({}, [], {}, True),
        ({}, ["shop"], {}, False),
        ({"istio-injection": "enabled"}, [], {}, False),
        ({"istio.io/rev": "r1"}, [], {}, False),
        ({}, [], {"sidecarInjectorWebhook": {"enableNamespacesByDefault": True}}, False),
        ({}, [], {"sidecarInjectorWebhook": {"enableNamespacesByDefault": False}}, True),
    ],
)
def test_services_in_a_namespace_that_nobody_injects_are_a_warning(
    cluster: FakeCluster, labels: dict[str, str], listed: list[str], values: dict[str, Any], warned: bool
) -> None:
    cluster.put(namespace("shop", **labels))
    inputs = read(
        catalogue={**CATALOGUE, "mesh_services": [SERVICE]},
        injection_namespaces=listed,
        istio={"values": values},
    )
    warnings = check_namespaces(cluster, inputs, check_mode=False)
    message = "namespace shop holds services of the catalogue, but is not in injection_namespaces"
    assert [warning.startswith(message) for warning in warnings] == [True] * warned
