"""A run as a whole: what it refuses, what check mode leaves alone, what it writes, and what it reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import backend

from ...support.arguments import validated
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching
from ...support.programs import calls, program
from . import test_helm as helm_case
from .scripted import Command, Failing, ScriptedRunner, stream

Obj = dict[str, Any]
PLACE = "istio-system"


def parameters(directory: Path, **options: Any) -> Obj:
    given = {
        "host": "https://api",
        "version": "1.31.1",
        "gateways": [],
        "istioctl_path": str(directory / "istioctl"),
        "helm_binary": str(directory / "helm"),
        "chart_source": str(directory),
        **options,
    }
    return validated(backend.ARGUMENT_SPEC, given)


def settle(
    directory: Path, cluster: Any, runner: ScriptedRunner, context: Context | None = None, **options: Any
) -> Obj:
    for name in ("istioctl", "helm"):
        program(directory, name, "exit 1")
    return backend.settle(
        cluster,
        backend.ControlPlaneOptions.from_params(parameters(directory, **options)),
        runner,
        context or Context(clock=FakeClock()),
    )


def namespace(name: str = PLACE) -> Obj:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(name: str = "istio", **data: str) -> Obj:
    metadata = {"name": name, "namespace": PLACE, "labels": {"helm.sh/chart": "istiod-1.31.1"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": "a", **data}}


def running(*images: str, name: str = "istiod-r1", **metadata: Any) -> Obj:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": PLACE, **metadata},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


BY_HELM = {"annotations": {"meta.helm.sh/release-name": "istiod-r1"}}
BY_ISTIOCTL = {"labels": {"operator.istio.io/managed": "Reconcile"}}
LABELS = {
    "operator.istio.io/component": "Pilot",
    "operator.istio.io/managed": "Reconcile",
    "operator.istio.io/version": "1.31.1",
    "install.operator.istio.io/owning-resource-namespace": PLACE,
    "istio.io/rev": "r1",
}


class Istioctl:
    """istioctl in front of an API server in memory: ``install`` applies what ``manifest generate`` prints."""

    def __init__(self, cluster: FakeCluster, *rendered: Obj, version: str = "1.31.1") -> None:
        self.cluster, self.rendered = cluster, rendered or (config_map(),)
        self.runner = ScriptedRunner(
            {
                "version": json.dumps({"clientVersion": {"version": version}}),
                "manifest generate": lambda _command: stream(*self.rendered),
                "install": self.install,
            }
        )

    def install(self, _command: Command) -> str:
        for obj in self.rendered:
            labels = {**obj["metadata"]["labels"], **LABELS}
            installed = {**obj, "metadata": {**obj["metadata"], "labels": labels}}
            self.cluster.apply(installed, field_manager="istio-operator", force=True)
        return ""


def with_istioctl(directory: Path, cluster: FakeCluster, context: Context | None = None, **more: Any) -> Obj:
    tool = more.pop("tool", None) or Istioctl(cluster)
    return settle(directory, cluster, tool.runner, context, revision="r1", **more)


class TestIstioctl:
    def test_check_mode_writes_nothing(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace(), {**config_map(), "data": {"mesh": "old"}})
        tool = Istioctl(cluster, config_map(), config_map("new"))
        result = with_istioctl(tmp_path, cluster, Context(check_mode=True), tool=tool)
        assert result == {
            "changed": True,
            "counts": {"create": 1, "update": 1, "delete": 0},
            "objects": [
                {"id": "ConfigMap istio-system/istio", "action": "update"},
                {"id": "ConfigMap istio-system/new", "action": "create"},
            ],
            "releases": [],
            "notes": [],
        }
        assert (cluster.writes, tool.runner.asked("install")) == ([], [])

    def test_a_run_installs_and_the_next_one_has_nothing_to_do(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace())
        tool = Istioctl(cluster)
        result = with_istioctl(tmp_path, cluster, tool=tool, timeout=70)
        assert (result["changed"], result["counts"]["create"], "diff" in result) == (True, 1, False)
        (install,) = tool.runner.asked("install")
        assert install.argv[1:] == (
            "install", "--skip-confirmation", "--readiness-timeout", "70s", "-f", "-",
        )  # fmt: skip
        for check in (True, False):
            again = with_istioctl(tmp_path, cluster, Context(check_mode=check), tool=tool)
            assert (again["changed"], again["objects"]) == (False, [])
        assert len(tool.runner.asked("install")) == 1

    def test_diff_mode_shows_every_object(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace())
        result = with_istioctl(tmp_path, cluster, Context(check_mode=True, diff_mode=True))
        (diff,) = result["diff"]
        assert (diff["after_header"], diff["before"]) == ("ConfigMap istio-system/istio", "")
        assert "mesh: a" in diff["after"]

    def test_what_would_be_pruned_is_counted(self, tmp_path: Path) -> None:
        old = config_map("old")
        old["metadata"]["labels"] = LABELS
        cluster = FakeCluster(namespace(), old)
        result = with_istioctl(tmp_path, cluster, Context(check_mode=True))
        assert result["counts"] == {"create": 1, "update": 0, "delete": 1}

    def test_a_failing_install_is_told(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace())
        tool = Istioctl(cluster)
        tool.runner.answers["install"] = Failing("timed out waiting for istiod")
        with pytest.raises(MeshError) as caught:
            with_istioctl(tmp_path, cluster, tool=tool)
        assert str(caught.value) == (
            "could not install the control plane with istioctl: timed out waiting for istiod"
        )

    def test_a_failing_rendering_is_told_before_any_write(self, tmp_path: Path) -> None:
        cluster = FakeCluster()
        tool = Istioctl(cluster)
        tool.runner.answers["manifest generate"] = Failing("unknown field")
        with pytest.raises(MeshError, match="unknown field"):
            with_istioctl(tmp_path, cluster, tool=tool)
        assert (cluster.writes, tool.runner.asked("install")) == ([], [])


class TestRefusals:
    def test_another_istioctl_is_refused_before_any_request(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace())
        with pytest.raises(InputError, match=r"is istioctl 1\.30\.0, istio_version is 1\.31\.1"):
            with_istioctl(tmp_path, cluster, tool=Istioctl(cluster, version="1.30.0"))
        assert cluster.calls == []

    @pytest.mark.parametrize(
        ("method", "mark", "installer"), [("istioctl", BY_HELM, "helm"), ("helm", BY_ISTIOCTL, "istioctl")]
    )
    def test_a_second_installer(self, tmp_path: Path, method: str, mark: Any, installer: str) -> None:
        cluster = FakeCluster(namespace(), running("docker.io/istio/pilot:1.31.1", **mark))
        runner = ScriptedRunner(
            {"version --remote=false": '{"clientVersion": {"version": "1.31.1"}}', "version": "v3.18.0"}
        )
        with pytest.raises(RefusedError) as caught:
            settle(tmp_path, cluster, runner, method=method, revision="r1", allow_version_skew=True)
        assert caught.value.rule == "one-installer"
        assert str(caught.value) == (
            f"istiod-r1 in istio-system was installed by {installer}, istio_method is {method}: "
            "two installers would undo each other's work"
        )
        assert cluster.writes == []

    @pytest.mark.parametrize("metadata", [BY_ISTIOCTL, {}])
    def test_the_same_installer_or_none_that_left_a_mark(self, tmp_path: Path, metadata: Any) -> None:
        cluster = FakeCluster(namespace(), running("docker.io/istio/pilot:1.31.1", **metadata))
        assert with_istioctl(tmp_path, cluster, Context(check_mode=True))["changed"] is True

    def test_another_revision_is_not_touched_by_it(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace(), running("pilot:1.20.0", name="istiod", **BY_HELM))
        assert with_istioctl(tmp_path, cluster, Context(check_mode=True))["changed"] is True

    @pytest.mark.parametrize(
        "image",
        [
            "docker.io/istio/pilot:1.31.1",
            "docker.io/istio/pilot:1.31.9",
            "registry:5000/pilot:1.30.0-distroless",
        ],
    )
    def test_a_change_in_place_that_istio_supports(self, tmp_path: Path, image: str) -> None:
        cluster, warned = FakeCluster(namespace(), running(image, "sidecar:0.1.0")), list[str]()
        context = Context(check_mode=True, warn=warned.append)
        assert with_istioctl(tmp_path, cluster, context)["changed"] is True
        assert warned == []

    @pytest.mark.parametrize("tag", ["1.29.5", "1.29.5-distroless", "1.32.0", "0.31.1", "2.31.1", "2.30.0"])
    def test_a_change_in_place_that_it_does_not(self, tmp_path: Path, tag: str) -> None:
        """Another major version was let through."""
        cluster = FakeCluster(namespace(), running(f"docker.io/istio/pilot:{tag}"))
        with pytest.raises(RefusedError) as caught:
            with_istioctl(tmp_path, cluster)
        assert caught.value.rule == "version-skew"
        assert str(caught.value) == (
            f"istiod-r1 runs {tag}; a change in place to 1.31.1 is not supported "
            "(one minor up at a time, never down): install a new revision instead"
        )
        assert cluster.writes == []
        allowed = with_istioctl(tmp_path, cluster, Context(check_mode=True), allow_version_skew=True)
        assert allowed["changed"] is True

    def test_a_pinned_image_has_its_version_on_the_label(self, tmp_path: Path) -> None:
        live = running("docker.io/istio/pilot@sha256:abc")
        live["metadata"].setdefault("labels", {})["app.kubernetes.io/version"] = "1.29.0"
        cluster = FakeCluster(namespace(), live)
        with pytest.raises(RefusedError, match=r"istiod-r1 runs 1\.29\.0"):
            with_istioctl(tmp_path, cluster, Context(check_mode=True))

    @pytest.mark.parametrize(
        ("images", "version", "seen"),
        [
            (("docker.io/istio/pilot@sha256:abc",), "1.31.1", "'docker.io/istio/pilot@sha256:abc'"),
            (("docker.io/istio/pilot:latest",), "1.31.1", "'latest'"),
            ((), "1.31.1", "''"),
            (("docker.io/istio/pilot:1.29.0",), "1.32-alpha.1", "'1.29.0'"),
        ],
    )
    def test_a_version_that_nobody_can_tell_is_said(
        self, tmp_path: Path, images: tuple[str, ...], version: str, seen: str
    ) -> None:
        """It was let through as if it had been judged."""
        cluster, warned = FakeCluster(namespace(), running(*images)), list[str]()
        tool = Istioctl(cluster, version=version)
        context = Context(check_mode=True, warn=warned.append)
        with_istioctl(tmp_path, cluster, context, tool=tool, version=version)
        assert warned == [
            f"cannot tell whether a change in place of istiod-r1 from {seen} to {version} is supported"
        ]
        with_istioctl(tmp_path, cluster, context, tool=tool, version=version, allow_version_skew=True)
        assert len(warned) == 1

    def test_a_tag_of_ones_own_that_runs_already_is_no_change(self, tmp_path: Path) -> None:
        cluster, warned = FakeCluster(namespace(), running("pilot:mine")), list[str]()
        with_istioctl(tmp_path, cluster, Context(check_mode=True, warn=warned.append), tag="mine")
        assert warned == []

    def test_what_may_not_be_read_is_not_taken_for_missing(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace())
        cluster.forbidden = {"Deployment"}
        with pytest.raises(ApiError) as caught:
            with_istioctl(tmp_path, cluster)
        assert (caught.value.status, cluster.writes) == (403, [])


def with_helm(directory: Path, cluster: FakeCluster, context: Context | None = None, **more: Any) -> Obj:
    for chart in ("base", "istiod", "gateway"):
        (directory / chart).mkdir(exist_ok=True)
        (directory / chart / "Chart.yaml").write_text("version: 1.31.1\n", encoding="utf-8")
    runner = helm_case.runner()
    runner.answers |= {"version --template": "v3.18.0", **more.pop("answers", {})}
    return settle(directory, cluster, runner, context, method="helm", **more)


def actions(result: Obj) -> dict[str, str]:
    return {release["name"]: release["action"] for release in result["releases"]}


def drifted(cluster: FakeCluster, name: str = "istio") -> None:
    live = cluster.find("ConfigMap", name, PLACE)
    assert live is not None
    cluster.put({**live, "data": {"a": "by hand"}})


class TestHelm:
    def test_what_is_as_it_should_be(self, tmp_path: Path) -> None:
        for check in (True, False):
            cluster = helm_case.everything()
            result = with_helm(tmp_path, cluster, Context(check_mode=check))
            assert (result["changed"], result["objects"], cluster.writes) == (False, [], [])
            assert actions(result) == {"istio-base": "keep", "istiod": "keep"}

    def test_releases_are_left_to_the_role(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace())
        planned = with_helm(tmp_path, cluster, Context(check_mode=True, diff_mode=True))
        assert (planned["changed"], planned["counts"]["create"], len(planned["diff"])) == (True, 2, 2)
        result = with_helm(tmp_path, cluster, Context(diff_mode=True))
        assert (result["changed"], result["objects"], result["diff"], cluster.writes) == (False, [], [], [])
        assert actions(planned) == actions(result) == {"istio-base": "install", "istiod": "install"}
        assert "values" not in result["releases"][0], "they may hold secrets, and results are printed"

    def test_a_release_without_different_objects_is_a_change_in_check_mode(self, tmp_path: Path) -> None:
        cluster = helm_case.cluster(helm_case.BASE, helm_case.istiod(values={}), *helm_case.LIVE)
        planned = with_helm(tmp_path, cluster, Context(check_mode=True))
        assert (planned["changed"], planned["objects"]) == (True, [])
        assert actions(planned) == {"istio-base": "keep", "istiod": "upgrade"}

    def test_drifted_objects_are_repaired(self, tmp_path: Path) -> None:
        cluster, told = helm_case.everything(), list[str]()
        drifted(cluster)
        planned = with_helm(tmp_path, cluster, Context(check_mode=True))
        assert (planned["changed"], planned["counts"]["update"], cluster.writes) == (True, 1, [])
        result = with_helm(tmp_path, cluster, Context(progress=told.append))
        assert (result["changed"], result["objects"]) == (True, planned["objects"])
        assert told == ["repairs 1 drifted objects: ConfigMap istio-system/istio"]
        live = cluster.find("ConfigMap", "istio", PLACE)
        assert live is not None and live["data"] == {"a": "b"}
        assert with_helm(tmp_path, cluster)["changed"] is False

    def test_the_first_five_repairs_are_named(self, tmp_path: Path) -> None:
        names, told = [f"part-{number}" for number in range(6)], list[str]()
        parts = [helm_case.config_map(name) for name in names]
        live = [helm_case.written(part, "istiod") for part in parts]
        cluster = helm_case.cluster(helm_case.BASE, helm_case.istiod(), helm_case.LIVE[0], *live)
        for name in names:
            drifted(cluster, name)
        with_helm(
            tmp_path, cluster, Context(progress=told.append), answers={"template istiod": stream(*parts)}
        )
        named = ", ".join(f"ConfigMap {PLACE}/{name}" for name in names[:5])
        assert told == [f"repairs 6 drifted objects: {named}"]

    def test_drift_of_a_release_that_helm_will_upgrade_is_left_to_helm(self, tmp_path: Path) -> None:
        cluster = helm_case.cluster(helm_case.BASE, helm_case.istiod(values={}), *helm_case.LIVE)
        drifted(cluster)
        result = with_helm(tmp_path, cluster)
        assert (result["changed"], result["objects"], cluster.writes) == (False, [], [])

    def test_what_a_person_added_goes_before_helm_runs(self, tmp_path: Path) -> None:
        """An upgrade would keep it."""
        cluster = helm_case.cluster(helm_case.BASE, helm_case.istiod(values={}), *helm_case.LIVE)
        patch = {"data": {"added": "x"}}
        cluster.patch("v1", "ConfigMap", "istio", PLACE, patch, field_manager="kubectl-edit")
        cluster.writes.clear()
        with_helm(tmp_path, cluster, Context(check_mode=True))
        assert cluster.writes == []
        with_helm(tmp_path, cluster)
        live = cluster.find("ConfigMap", "istio", PLACE)
        assert live is not None and live["data"] == {"a": "b"}

    def locked(self, clock: FakeClock, age: float = 0) -> FakeCluster:
        dead = helm_case.istiod(status="pending-upgrade", version=2, modified=int(clock.time - age))
        return helm_case.everything(dead)

    def test_the_lock_of_a_dead_run_is_removed_after_its_grace(self, tmp_path: Path) -> None:
        clock = FakeClock()
        cluster = self.locked(clock)
        planned = with_helm(tmp_path, cluster, Context(check_mode=True, clock=clock))
        assert (planned["changed"], planned["objects"], cluster.writes) == (True, [], [])
        assert clock.time == 1_000_000.0
        result = with_helm(tmp_path, cluster, Context(clock=clock), unlock_after=20)
        assert (result["changed"], result["objects"]) == (True, [])
        assert cluster.writes == [("delete", f"Secret {PLACE}/sh.helm.release.v1.istiod.v2")]
        assert 1_000_020 <= clock.time <= 1_000_023

    def test_the_plan_is_made_again_after_a_run_that_was_waited_for(self, tmp_path: Path) -> None:
        clock = FakeClock()
        cluster = self.locked(clock)
        clock.at(5, lambda: cluster.put(helm_case.istiod(values={"a": 1}, version=2)) and None)
        result = with_helm(tmp_path, cluster, Context(clock=clock))
        assert (result["changed"], cluster.writes) == (True, [])
        assert actions(result)["istiod"] == "upgrade"
        assert clock.time < 1_000_010

    def test_a_stop_ends_the_wait_for_another_run(self, tmp_path: Path) -> None:
        clock = FakeClock()
        cluster = self.locked(clock)
        with pytest.raises(ApiError) as caught:
            with_helm(tmp_path, cluster, Context(clock=clock, stop=lambda: clock.time > 1_000_003))
        assert (caught.value.reason, cluster.writes) == ("Interrupted", [])

    def test_a_failing_helm_is_told_before_any_write(self, tmp_path: Path) -> None:
        for broken in ("version --template", "template istiod"):
            cluster = helm_case.everything()
            drifted(cluster)
            with pytest.raises(MeshError, match="it broke"):
                with_helm(tmp_path, cluster, answers={broken: Failing("it broke")})
            assert cluster.writes == []

    def test_half_an_answer_of_helm_is_told_before_any_write(self, tmp_path: Path) -> None:
        cluster = helm_case.everything()
        drifted(cluster)
        half = stream(helm_case.config_map("istio"))[:-9]
        with pytest.raises(InputError, match="the rendered chart istiod"):
            with_helm(tmp_path, cluster, answers={"template istiod": half})
        assert cluster.writes == []


class TestRun:
    """With real programs, from the parameters on."""

    def run(self, directory: Path, cluster: Any, script: str, **surroundings: Any) -> Obj:
        answer = '{"clientVersion": {"version": "1.31.1"}}'
        program(directory, "istioctl", f"case $1 in version) echo '{answer}';; *) {script};; esac")
        environment: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "HELM_KUBECONTEXT": "other"}
        context = Context(
            connect=reaching(cluster), environment=environment, **{"clock": FakeClock(), **surroundings}
        )
        return backend.run(parameters(directory, revision="r1", api_key="key"), context)

    def test_the_tool_reaches_the_same_cluster_and_nothing_stays_behind(self, tmp_path: Path) -> None:
        script = 'echo "$KUBECONFIG" > "$0.where"; cat "$KUBECONFIG" > "$0.config"'
        rendered = f"{script}; echo '{json.dumps(config_map())}'"
        cluster = FakeCluster(namespace())
        result = self.run(tmp_path, cluster, rendered, check_mode=True)
        assert (result["changed"], cluster.writes) == (True, [])
        assert calls(tmp_path / "istioctl") == ["version --remote=false -o json", "manifest generate -f -"]
        config = json.loads((tmp_path / "istioctl.config").read_text())
        assert config["clusters"][0]["cluster"]["server"] == "https://api"
        assert not Path((tmp_path / "istioctl.where").read_text().strip()).exists()

    def test_an_interrupted_run_ends_its_tool_and_writes_nothing(self, tmp_path: Path) -> None:
        cluster = FakeCluster(namespace())
        hangs = 'touch "$0.begun"; exec sleep 600'
        with pytest.raises(MeshError) as caught:
            self.run(tmp_path, cluster, hangs, stop=(tmp_path / "istioctl.begun").exists)
        assert str(caught.value) == (
            "could not render the control plane with istioctl: the play was interrupted"
        )
        assert cluster.writes == []

    @pytest.mark.parametrize(
        "settings",
        [
            {"mesh_config": {"defaultConfig": {"proxyMetadata": {"VAULT_TOKEN": "orchard seven"}}}},
            {"operator_spec": {"values": {"global": {"password": "orchard seven"}}}},
            {"values": {"global": {"password": "orchard seven"}}},
        ],
        ids=", ".join,
    )
    def test_what_a_tool_quotes_of_secret_settings_is_hidden(self, tmp_path: Path, settings: Obj) -> None:
        """Words that look like no secret: only who gave them knows that they are one."""
        answer = '{"clientVersion": {"version": "1.31.1"}}'
        script = (
            f"case $1 in version) echo '{answer}';; *) echo 'cannot use: orchard seven' >&2; exit 1;; esac"
        )
        program(tmp_path, "istioctl", script)
        cluster = FakeCluster(namespace())
        context = Context(connect=reaching(cluster), clock=FakeClock(), environment={"PATH": "/usr/bin:/bin"})
        with pytest.raises(MeshError, match="cannot use: ") as caught:
            backend.run(parameters(tmp_path, revision="r1", api_key="key", **settings), context)
        assert "orchard" not in str(caught.value)

    def test_bad_settings_are_refused_before_the_tool_is_asked(self, tmp_path: Path) -> None:
        path = program(tmp_path, "istioctl", "")
        cluster = FakeCluster()
        with pytest.raises(InputError) as caught:
            backend.run(
                parameters(tmp_path, revision="Not A Label", hub=""), Context(connect=reaching(cluster))
            )
        assert {found.where for found in caught.value.problems} == {"istio_revision", "istio_hub"}
        assert (calls(path), cluster.calls) == ([], [])


def test_every_option_is_read_where_it_belongs(tmp_path: Path) -> None:
    options = backend.ControlPlaneOptions.from_params(
        parameters(
            tmp_path, timeout=7, unlock_after=8, allow_version_skew=True, chart_cache="/c", namespace="mesh"
        )
    )
    assert (options.timeout, options.unlock_after, options.allow_version_skew) == (7, 8, True)
    assert (options.tools.istioctl_path, options.tools.helm_binary) == (
        f"{tmp_path}/istioctl",
        f"{tmp_path}/helm",
    )
    assert (options.tools.chart_source, options.tools.chart_cache) == (str(tmp_path), "/c")
    assert (options.installation.namespace, options.installation.version) == ("mesh", "1.31.1")
    plain = validated(backend.ARGUMENT_SPEC, {"host": "h"})
    defaults = backend.ControlPlaneOptions.from_params(plain)
    assert (defaults.timeout, defaults.unlock_after, defaults.allow_version_skew) == (300, 30, False)
    assert defaults.tools.istioctl_path == "istioctl"
