"""Finding the installers, fetching charts and rendering, with tiny programs in their place."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.commands import (
    Runner,
    Tool,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.helm_releases import (
    ChartReference,
    Release,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    Installation,
    read_installation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.installer import (
    chart_references,
    chart_version,
    find_installer,
    render_helm,
    render_istioctl,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.options import (
    ToolOptions,
)

from ...support.programs import calls, program
from .scripted import Command, ScriptedRunner

RUNNER = Runner({"PATH": "/usr/bin:/bin"})
URL = "https://charts.example.com/istio"


def installation(method: str = "istioctl", **options: Any) -> Installation:
    return read_installation({"method": method, "version": "1.31.1", "hub": "h", "gateways": [], **options})


def tools(directory: Path, **changes: Any) -> ToolOptions:
    given: dict[str, Any] = {
        "istioctl_path": str(directory / "istioctl"),
        "helm_binary": str(directory / "helm"),
        "chart_source": URL,
        "chart_cache": str(directory / "cache"),
    }
    return ToolOptions(**{**given, **changes})


def istioctl(directory: Path, version: str = "1.31.1", script: str = "") -> Path:
    answer = json.dumps({"clientVersion": {"version": version}})
    return program(directory, "istioctl", script or f"echo '{answer}'")


class TestFinding:
    def test_istioctl_of_the_version_that_is_installed(self, tmp_path: Path) -> None:
        path, helm = istioctl(tmp_path), program(tmp_path, "helm", "exit 1")
        assert find_installer(installation(), RUNNER, tools(tmp_path)) == Tool(str(path), "1.31.1")
        assert calls(helm) == []

    @pytest.mark.parametrize("version", ["1.31.0", "1.31.10", "1.31.1-rc.0", "1.32.1"])
    def test_istioctl_of_another_version(self, tmp_path: Path, version: str) -> None:
        path = istioctl(tmp_path, version)
        with pytest.raises(InputError) as caught:
            find_installer(installation(), RUNNER, tools(tmp_path))
        assert [str(problem) for problem in caught.value.problems] == [
            f"istio_istioctl_path: {path} is istioctl {version}, istio_version is 1.31.1 (tool-version)"
        ]

    @pytest.mark.parametrize(
        "version", ["3.14.0", "3.14.0-rc.1", "3.17.3+g1", "3.99", "4.0.0", "4.99.9", "3.20rc1"]
    )
    def test_helm_of_a_version_that_will_do(self, tmp_path: Path, version: str) -> None:
        path, other = program(tmp_path, "helm", f"echo v{version}"), istioctl(tmp_path, script="exit 1")
        found = find_installer(installation("helm"), RUNNER, tools(tmp_path))
        assert found == Tool(str(path), version)
        assert calls(other) == []

    @pytest.mark.parametrize("version", ["3.13.9", "3.1.4", "2.99.0", "5.0.0", "10.0.0", "3.1x"])
    def test_helm_of_another_version(self, tmp_path: Path, version: str) -> None:
        """``3.1x`` was a ValueError."""
        path = program(tmp_path, "helm", f"echo v{version}")
        with pytest.raises(InputError) as caught:
            find_installer(installation("helm"), RUNNER, tools(tmp_path))
        assert [str(problem) for problem in caught.value.problems] == [
            f"istio_helm_binary: {path} is Helm {version}; 3.14 or newer, below 5, is needed (tool-version)"
        ]

    @pytest.mark.parametrize(
        ("method", "variable"), [("istioctl", "istio_istioctl_path"), ("helm", "istio_helm_binary")]
    )
    def test_a_tool_that_is_missing(self, tmp_path: Path, method: str, variable: str) -> None:
        with pytest.raises(InputError) as caught:
            find_installer(installation(method), RUNNER, tools(tmp_path))
        assert [(found.where, found.rule) for found in caught.value.problems] == [(variable, "tool-missing")]

    def test_a_name_is_looked_for_on_the_path_of_the_task(self, tmp_path: Path) -> None:
        path = istioctl(tmp_path)
        runner = Runner({"PATH": f"{tmp_path}:/usr/bin:/bin"})
        found = find_installer(installation(), runner, tools(tmp_path, istioctl_path="istioctl"))
        assert found.path == str(path)


class TestIstioctl:
    def render(self, script: str, directory: Path) -> list[dict[str, Any]]:
        path = program(directory, "istioctl", script)
        return render_istioctl(installation(revision="r1"), RUNNER, Tool(str(path), "1.31.1"))

    def test_objects_are_rendered_from_the_operator_document(self, tmp_path: Path) -> None:
        script = """cat > "$0.given"
printf '2026-09-21T10:00:00.1Z\\tinfo\\tnoise: {}\\n'
echo 'apiVersion: v1
kind: ConfigMap
metadata: {name: istio, labels: {operator.istio.io/component: Pilot}}
---
apiVersion: v1
kind: Service
metadata: {name: istiod, labels: {helm.sh/chart: istiod-1.31.1}}'"""
        first, second = self.render(script, tmp_path)
        assert calls(tmp_path / "istioctl") == ["manifest generate -f -"]
        given = json.loads((tmp_path / "istioctl.given").read_text())
        assert (given["kind"], given["spec"]["revision"]) == ("IstioOperator", "r1")
        assert (first["kind"], second["kind"]) == ("ConfigMap", "Service")
        for obj in (first, second):
            assert obj["metadata"]["labels"]["operator.istio.io/version"] == "1.31.1"

    def test_a_failure_says_what_was_tried(self, tmp_path: Path) -> None:
        with pytest.raises(MeshError) as caught:
            self.render("echo 'Error: unknown field' >&2; exit 1", tmp_path)
        assert str(caught.value) == "could not render the control plane with istioctl: unknown field"

    @pytest.mark.parametrize("answer", ["kind: ConfigMap", "nonsense"])
    def test_an_answer_that_is_no_manifest_is_told(self, tmp_path: Path, answer: str) -> None:
        with pytest.raises(MeshError, match="the output of istioctl manifest generate:1: a document is not"):
            self.render(f"echo '{answer}'", tmp_path)

    def test_half_an_answer_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="the output of istioctl manifest generate"):
            self.render("echo 'kind: {ConfigMap'", tmp_path)


# What ``helm pull CHART --repo URL --version V --destination D`` does.
PULL = 'echo package > "$8/$2-$6.tgz"'


def releases(*charts: str) -> list[Release]:
    return [Release(f"r-{number}", "n", chart, {}) for number, chart in enumerate(charts)]


class TestCharts:
    def references(
        self, directory: Path, *charts: str, script: str = PULL, **changes: Any
    ) -> dict[str, ChartReference]:
        path = program(directory, "helm", script)
        tool, options = Tool(str(path), "3.17.3"), tools(directory, **changes)
        return chart_references(releases(*charts), RUNNER, tool, options, version="1.31.1")

    def cache(self, directory: Path, source: str = URL) -> Path:
        return directory / "cache" / hashlib.sha256(source.encode()).hexdigest()[:16]

    def test_charts_of_a_repository_are_fetched_once(self, tmp_path: Path) -> None:
        cache = self.cache(tmp_path)
        wanted = {chart: ChartReference(str(cache / f"{chart}-1.31.1.tgz")) for chart in ("base", "gateway")}
        for _unused in range(2):
            assert self.references(tmp_path, "gateway", "base", "gateway") == wanted
        asked = [call.split(" --destination ") for call in calls(tmp_path / "helm")]
        assert [call for call, _unused in asked] == [
            f"pull {chart} --repo {URL} --version 1.31.1" for chart in ("base", "gateway")
        ]
        assert sorted(item.name for item in cache.iterdir()) == ["base-1.31.1.tgz", "gateway-1.31.1.tgz"]

    def test_a_chart_is_compared_with_its_checksum_at_every_use(self, tmp_path: Path) -> None:
        """A cached package was taken by its name, whoever had written it."""
        digest = hashlib.sha256(b"package\n").hexdigest()
        pinned = {"base": digest, "unused": "0" * 64}
        for _fetched_then_cached in range(2):
            self.references(tmp_path, "base", chart_checksums=pinned)
        package = self.cache(tmp_path) / "base-1.31.1.tgz"
        package.write_text("another")
        with pytest.raises(InputError, match=r"istio_chart_checksums\.base: .*1\.tgz has the sha256"):
            self.references(tmp_path, "base", chart_checksums=pinned)
        package.unlink()
        self.references(tmp_path, "base", chart_checksums=pinned)
        (tmp_path / "charts" / "base").mkdir(parents=True)
        (tmp_path / "charts" / "base" / "Chart.yaml").write_text("version: 1.31.1\n")
        with pytest.raises(InputError, match="is no packaged chart, which alone has a checksum"):
            self.references(tmp_path, "base", chart_source=str(tmp_path / "charts"), chart_checksums=pinned)

    def test_a_fetch_has_two_minutes(self, tmp_path: Path) -> None:
        def pull(command: Command) -> str:
            (Path(command.argv[-1]) / "base-1.31.1.tgz").touch()
            return ""

        runner = ScriptedRunner({"pull": pull})
        chart_references(
            releases("base"),
            runner,
            Tool("helm", "3.17.3"),
            tools(tmp_path),
            version="1.31.1",
        )
        assert [command.timeout for command in runner.commands] == [120]

    def test_another_source_is_another_place(self, tmp_path: Path) -> None:
        self.references(tmp_path, "base")
        script = 'echo package > "$6/base-$4.tgz"'
        source = "oci://registry.example.com/charts"
        found = self.references(tmp_path, "base", script=script, chart_source=source)
        place = self.cache(tmp_path, source)
        assert found == {"base": ChartReference(str(place / "base-1.31.1.tgz"))}
        assert calls(tmp_path / "helm")[1].startswith(f"pull {source}/base --version 1.31.1 --destination ")

    def test_the_cache_may_lie_in_the_home_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        found = self.references(tmp_path, "base", chart_cache="~/cache")
        assert found["base"].reference.startswith(str(tmp_path / "cache"))

    def test_charts_on_disk_are_used_where_they_lie(self, tmp_path: Path) -> None:
        (tmp_path / "charts" / "base").mkdir(parents=True)
        (tmp_path / "charts" / "base" / "Chart.yaml").write_text("version: 1.0.0", encoding="utf-8")
        source = str(tmp_path / "charts")
        found = self.references(tmp_path, "base", chart_source=source)
        assert found == {"base": ChartReference(f"{source}/base")}
        assert calls(tmp_path / "helm") == []
        assert not (tmp_path / "cache").exists()

    @pytest.mark.parametrize(
        ("cache", "problem"),
        [
            ("file/below", "{} cannot hold charts: Not a directory (chart-cache)"),
            ("~nobody-of-this-name/x", "{}: there is no such home directory (path)"),
        ],
    )
    def test_a_cache_that_cannot_be(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str, problem: str
    ) -> None:
        """It was a traceback, and then a directory of this name in the current one."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").touch()
        place = cache if cache.startswith("~") else str(tmp_path / cache)
        with pytest.raises(InputError) as caught:
            self.references(tmp_path, "base", chart_cache=place)
        assert [str(found) for found in caught.value.problems] == [
            f"istio_chart_cache: {problem.format(place)}"
        ]
        assert not (tmp_path / "~nobody-of-this-name").exists()
        assert calls(tmp_path / "helm") == []

    def test_a_cache_that_may_only_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What lies in it is good, and nothing else can be had."""

        def refused(**options: Any) -> None:
            raise PermissionError(13, "Permission denied", str(options["dir"]))

        self.references(tmp_path, "base")
        monkeypatch.setattr(tempfile, "TemporaryDirectory", refused)
        assert list(self.references(tmp_path, "base")) == ["base"]
        with pytest.raises(InputError, match=r"istio_chart_cache: .* cannot hold charts: Permission denied"):
            self.references(tmp_path, "base", "gateway")
        assert len(calls(tmp_path / "helm")) == 1

    def test_charts_in_the_home_of_nobody(self, tmp_path: Path) -> None:
        """It was a traceback."""
        with pytest.raises(InputError, match="'~nobody-of-this-name/x' is no directory"):
            self.references(tmp_path, "base", chart_source="~nobody-of-this-name/x")

    def test_a_refused_download(self, tmp_path: Path) -> None:
        with pytest.raises(MeshError) as caught:
            self.references(tmp_path, "base", script="echo 'Error: 403 Forbidden' >&2; exit 1")
        assert str(caught.value) == "could not fetch chart base 1.31.1: 403 Forbidden"
        assert list(self.cache(tmp_path).iterdir()) == []

    def test_a_download_that_ends_early_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """Half a package stayed in the cache, and every later run took it."""
        with pytest.raises(MeshError):
            self.references(tmp_path, "base", script=f"{PULL}; kill -9 $$")
        assert list(self.cache(tmp_path).iterdir()) == []

    def test_a_download_of_something_else(self, tmp_path: Path) -> None:
        with pytest.raises(MeshError) as caught:
            self.references(tmp_path, "base", script='echo package > "$8/base-9.tgz"')
        assert str(caught.value) == "helm fetched chart base 1.31.1, but wrote no base-1.31.1.tgz"
        assert list(self.cache(tmp_path).iterdir()) == []


def package(path: Path, *members: tuple[str, bytes], pad: int = 0) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in (*members, *([("base/pad", bytes(pad))] if pad else [])):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path.write_bytes(gzip.compress(buffer.getvalue()))
    return path


class TestChartVersion:
    CHART = b"name: base\nversion: 1.31.1\n"

    def version(self, path: Path) -> str:
        return chart_version(ChartReference(str(path)))

    def failure(self, path: Path) -> str:
        with pytest.raises(MeshError) as caught:
            self.version(path)
        return str(caught.value)

    def test_of_a_directory(self, tmp_path: Path) -> None:
        (tmp_path / "Chart.yaml").write_bytes(self.CHART)
        assert self.version(tmp_path) == "1.31.1"

    def test_of_a_package(self, tmp_path: Path) -> None:
        """Charts in it are parts of it: theirs is another version."""
        path = package(
            tmp_path / "a.tgz",
            ("base/charts/x/Chart.yaml", b"version: 7.0.0"),
            ("Chart.yaml", b"version: 8.0.0"),
            ("base/MyChart.yaml", b"version: 9.0.0"),
            ("base/Chart.yaml", self.CHART),
        )
        assert self.version(path) == "1.31.1"

    @pytest.mark.parametrize("content", ["", "name: base", "version:", "version: ''", "- version: 1.0.0"])
    def test_a_chart_without_one(self, tmp_path: Path, content: str) -> None:
        """It was "", or the word None: no release was ever of that version, so each run upgraded it."""
        (tmp_path / "Chart.yaml").write_text(content, encoding="utf-8")
        assert self.failure(tmp_path) == f"{tmp_path}/Chart.yaml does not say the version of the chart"

    def test_a_package_without_a_chart(self, tmp_path: Path) -> None:
        path = package(tmp_path / "a.tgz", ("base/values.yaml", b""))
        assert self.failure(path) == f"{path} holds no Chart.yaml"
        folder = tarfile.TarInfo("base/Chart.yaml")
        folder.type = tarfile.DIRTYPE
        with tarfile.open(tmp_path / "b.tgz", "w:gz") as archive:
            archive.addfile(folder)
        assert "does not say the version" in self.failure(tmp_path / "b.tgz")

    def test_a_package_that_cannot_be_read(self, tmp_path: Path) -> None:
        """A truncated one was an EOFError, a Chart.yaml that is no text a UnicodeDecodeError."""
        whole = package(tmp_path / "whole.tgz", ("base/Chart.yaml", self.CHART)).read_bytes()
        hidden = package(tmp_path / "late.tgz", ("base/a", bytes(range(256)) * 400)).read_bytes()
        packer = zlib.compressobj(wbits=31)
        begun = packer.compress(gzip.decompress(hidden)[:50_000]) + packer.flush(zlib.Z_SYNC_FLUSH)
        for name, content in {
            "missing": None,
            "empty": b"",
            "nonsense": b"package",
            "truncated": hidden[: len(hidden) // 2],
            "damaged": begun + b"\xff" * 64,
            "half": whole[:40],
        }.items():
            path = tmp_path / name
            if content is not None:
                path.write_bytes(content)
            assert self.failure(path) == (
                f"{path} is not a packaged chart; remove it to have it fetched again"
            ), name
        path = package(tmp_path / "binary", ("base/Chart.yaml", b"\xff\xfe"))
        assert "is not a packaged chart" in self.failure(path)


RENDERED = """cat > "$0.$2.given"
cat <<'END'
apiVersion: v1
kind: ConfigMap
metadata: {name: plain, labels: }
---
apiVersion: v1
kind: Service
metadata: {name: placed, namespace: own, labels: {app: x}, annotations: {note: kept}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: wide}
END"""


class TestHelm:
    RELEASES = (Release("one", "n1", "base", {"a": "😀"}), Release("two", "n2", "gateway", {}))
    REFERENCES: Mapping[str, ChartReference] = {
        "base": ChartReference("/charts/base"),
        "gateway": ChartReference("gateway", repository=URL, version="1.31.1"),
    }

    def render(self, directory: Path, script: str = RENDERED) -> dict[tuple[str, str], list[dict[str, Any]]]:
        path = program(directory, "helm", script)
        tool = Tool(str(path), "3.17.3")
        return render_helm(self.RELEASES, self.REFERENCES, RUNNER, tool, kubernetes="v1.36.0")

    def test_every_release_is_rendered_as_an_upgrade_without_a_cluster(self, tmp_path: Path) -> None:
        assert list(self.render(tmp_path)) == [("n1", "one"), ("n2", "two")]
        rest = "--kube-version v1.36.0 --is-upgrade --include-crds --values -"
        assert sorted(calls(tmp_path / "helm")) == [
            f"template one /charts/base --namespace n1 {rest}",
            f"template two gateway --repo {URL} --version 1.31.1 --namespace n2 {rest}",
        ]
        given = (tmp_path / "helm.one.given").read_text(encoding="utf-8")
        assert json.loads(given) == {"a": "😀"}
        assert "😀" in given, "YAML knows no surrogate pairs"

    def test_a_release_that_is_new_is_rendered_as_an_install(self, tmp_path: Path) -> None:
        tool = Tool(str(program(tmp_path, "helm", RENDERED)), "3.17.3")
        served = ["v1", "v1/Pod", "monitoring.coreos.com/v1/ServiceMonitor"]
        render_helm(
            self.RELEASES,
            self.REFERENCES,
            RUNNER,
            tool,
            kubernetes="v1.36.0",
            served=served,
            installs=[("n2", "two")],
        )
        one, two = sorted(calls(tmp_path / "helm"))
        assert "--is-upgrade" in one and "--is-upgrade" not in two
        assert f"--api-versions {','.join(served)} " in two

    @pytest.mark.parametrize("script", ["true", "printf -- '---\\n# nothing\\n---\\n'"])
    def test_a_chart_that_renders_nothing_is_an_error(self, tmp_path: Path, script: str) -> None:
        with pytest.raises(MeshError) as caught:
            self.render(tmp_path, script)
        assert str(caught.value) == (
            "the rendered chart base holds no object: release one would install nothing"
        )

    def test_a_failure_names_chart_and_release(self, tmp_path: Path) -> None:
        one = """[ "$2" = one ] && echo '{apiVersion: v1, kind: Pod, metadata: {name: x}}' && exit 0"""
        script = f"{one}; echo 'Error: values do not meet the schema' >&2; exit 1"
        with pytest.raises(MeshError) as caught:
            self.render(tmp_path, script)
        assert str(caught.value) == (
            "could not render chart gateway for release two: values do not meet the schema"
        )

    def test_an_answer_that_is_no_manifest_names_the_chart(self, tmp_path: Path) -> None:
        with pytest.raises(MeshError, match="the rendered chart base:1: a document is not a Kubernetes"):
            self.render(tmp_path, "echo nonsense")
