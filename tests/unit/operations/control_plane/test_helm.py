"""Which releases are installed, upgraded, kept or removed, which objects differ, which runs are dead."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    MeshError,
    RefusedError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.commands import Tool
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.helm_storage import (
    StoredRelease,
    read_release,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    read_installation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import helm
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.options import (
    ToolOptions,
)

from ...support.clock import FakeClock
from ...support.cluster import FakeCluster
from .scripted import Failing, ScriptedRunner, stream

TOOL = Tool("/opt/helm", "3.18.0")
BASE_VALUES = {"defaultRevision": "default", "global": {"istioNamespace": "istio-system"}}
ISTIOD_VALUES = {
    "global": {"hub": "docker.io/istio", "tag": "1.31.1", "istioNamespace": "istio-system"},
}
MARKED = {"labels": {"servicemesh.istio/gateway": "true"}}


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(name: str, place: str = "istio-system", **metadata: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": place, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}


def written(obj: dict[str, Any], release: str, place: str = "istio-system") -> dict[str, Any]:
    """As helm writes it (pkg/action/validate.go)."""
    obj = copy.deepcopy(obj)
    obj["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    obj["metadata"]["annotations"] = {
        "meta.helm.sh/release-name": release,
        "meta.helm.sh/release-namespace": place,
    }
    return obj


def record(
    name: str,
    chart: str,
    values: Any,
    *,
    status: str = "deployed",
    version: int = 1,
    place: str = "istio-system",
    manifest: str = "",
    chart_version: str = "1.31.1",
    modified: int = 0,
) -> dict[str, Any]:
    content = {
        "name": name,
        "namespace": place,
        "version": version,
        "info": {"status": status},
        "chart": {"metadata": {"name": chart, "version": chart_version}},
        "config": values,
        "manifest": manifest,
    }
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    labels = {"owner": "helm", "name": name, "modifiedAt": str(modified)}
    secret = f"sh.helm.release.v1.{name}.v{version}"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {"name": secret, "namespace": place, "uid": f"uid-{secret}", "labels": labels},
        "data": {"release": base64.b64encode(packed).decode()},
    }


def cluster(*objects: dict[str, Any]) -> FakeCluster:
    """A server with these objects, of which helm wrote all but the Secrets."""
    server = FakeCluster(namespace("istio-system"))
    for obj in objects:
        if obj["kind"] in ("Secret", "Deployment", "Namespace"):
            server.put(obj)
        else:
            server.apply(obj, field_manager="helm")
    server.writes.clear()
    return server


BASE = record("istio-base", "base", BASE_VALUES)
LIVE = (written(config_map("crds"), "istio-base"), written(config_map("istio"), "istiod"))


def istiod(**changes: Any) -> dict[str, Any]:
    return record("istiod", "istiod", changes.pop("values", ISTIOD_VALUES), **changes)


def everything(*more: dict[str, Any]) -> FakeCluster:
    return cluster(BASE, istiod(), *LIVE, *more)


def runner(**answers: Any) -> ScriptedRunner:
    return ScriptedRunner(
        {
            **{words.replace("_", " "): answer for words, answer in answers.items()},
            "template istio-base": stream(config_map("crds")),
            "template istiod": stream(config_map("istio")),
            "template istio-edge": stream(config_map("edge", "edge")),
        }
    )


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    for chart in ("base", "istiod", "gateway"):
        (tmp_path / chart).mkdir()
        (tmp_path / chart / "Chart.yaml").write_text(f"name: {chart}\nversion: 1.31.1\n")
    return tmp_path


def plan(
    server: FakeCluster, charts: Path, run: ScriptedRunner | None = None, **changes: Any
) -> helm.HelmPlan:
    options = {"method": "helm", "version": "1.31.1", "hub": "docker.io/istio", "gateways": [], **changes}
    tools = ToolOptions("istioctl", "helm", str(charts), str(charts / "cache"))
    return helm.plan(server, read_installation(options), run or runner(), TOOL, tools)


def actions(found: helm.HelmPlan) -> list[tuple[str, str]]:
    return [(release.name, release.action) for release in found.releases]


def changed(found: helm.HelmPlan) -> list[tuple[str, str]]:
    return [(item.id, item.action) for item in found.differences]


# What has to happen to a release.


def test_gateways_of_one_name_in_two_namespaces_are_two_releases(charts: Path) -> None:
    """The second one decided about both: a change of the first was never applied."""
    old = record("istio-edge", "gateway", {"replicaCount": 7}, manifest=stream(config_map("edge", "edge")))
    here, there = {"name": "istio-edge"}, {"name": "istio-edge", "namespace": "edge"}
    server = everything(namespace("edge"), old)
    found = plan(server, charts, gateways=[here, there])
    assert actions(found)[2:] == [("istio-edge", "upgrade"), ("istio-edge", "install")]
    found = plan(server, charts, gateways=[there, here])
    assert actions(found)[2:] == [("istio-edge", "install"), ("istio-edge", "upgrade")]


def test_releases_that_are_as_they_should_be_are_kept(charts: Path) -> None:
    server = everything()
    found = plan(server, charts)
    assert actions(found) == [("istio-base", "keep"), ("istiod", "keep")]
    assert changed(found) == [] and found.drift == [] and found.locked == []
    assert not found.pending and server.writes == []


def test_a_fresh_cluster_gets_its_namespaces_and_every_release(charts: Path) -> None:
    gateways = [{"name": "istio-edge", "namespace": "edge"}]
    found = plan(FakeCluster(), charts, gateways=gateways)
    assert actions(found) == [("istio-base", "install"), ("istiod", "install"), ("istio-edge", "install")]
    assert changed(found) == [
        ("Namespace istio-system", "create"),
        ("Namespace edge", "create"),
        ("ConfigMap istio-system/crds", "create"),
        ("ConfigMap istio-system/istio", "create"),
        ("ConfigMap edge/edge", "create"),
    ]
    assert found.pending and found.drift == []


def test_what_the_role_hands_to_helm(charts: Path) -> None:
    gateways = [{"name": "istio-edge", "namespace": "edge"}]
    base, pilot, edge = plan(cluster(BASE, *LIVE), charts, gateways=gateways).releases
    assert base.as_result() == {
        "id": "istio-system/istio-base",
        "name": "istio-base",
        "namespace": "istio-system",
        "chart": "base",
        "action": "keep",
        "chart_ref": str(charts / "base"),
        "wait": True,
    }
    assert pilot.values == ISTIOD_VALUES and pilot.as_result()["wait"] is True
    assert edge.as_result()["id"] == "edge/istio-edge" and edge.as_result()["wait"] is False
    assert edge.values["labels"]["servicemesh.istio/gateway"] == "true"
    other = plan(cluster(BASE, istiod(chart_version="1.30.0"), *LIVE), charts).releases[1]
    assert other.as_result()["action"] == "upgrade" and other.values == ISTIOD_VALUES


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({}, "keep"),
        ({"status": "failed"}, "upgrade"),
        ({"status": "superseded"}, "upgrade"),
        ({"status": "uninstalled"}, "install"),
        ({"chart_version": "1.31.0"}, "upgrade"),
        ({"values": {}}, "upgrade"),
        ({"values": {**ISTIOD_VALUES, "revision": "x"}}, "upgrade"),
        ({"status": "uninstalled", "chart_version": "1.31.0"}, "install"),
    ],
)
def test_the_record_decides_what_happens_to_a_release(charts: Path, changes: Any, action: str) -> None:
    found = plan(cluster(BASE, istiod(**changes), *LIVE), charts)
    assert actions(found)[1] == ("istiod", action)
    assert found.pending is (action != "keep")


def test_a_release_of_another_chart_is_refused(charts: Path) -> None:
    foreign = record("istiod", "wordpress", {})
    with pytest.raises(RefusedError, match="istio-system/istiod is of chart wordpress, not istiod") as caught:
        plan(cluster(BASE, foreign), charts)
    assert caught.value.details["rule"] == "foreign-release"
    gone = record("istiod", "wordpress", {}, status="uninstalled")
    assert actions(plan(cluster(BASE, gone), charts))[1] == ("istiod", "install")


def test_the_newest_record_counts(charts: Path) -> None:
    records = [istiod(version=9, status="superseded", values={}), istiod(version=10)]
    assert actions(plan(cluster(BASE, *records, *LIVE), charts))[1] == ("istiod", "keep")


def test_a_release_of_the_same_name_elsewhere_is_another_one(charts: Path) -> None:
    server = cluster(BASE, namespace("edge"), istiod(place="edge"))
    assert actions(plan(server, charts))[1] == ("istiod", "install")


def test_a_record_that_cannot_be_read_stops_the_plan(charts: Path) -> None:
    broken = istiod()
    broken["data"]["release"] = "AAAA"
    with pytest.raises(
        MeshError, match=r"Secret istio-system/sh\.helm\.release\.v1\.istiod\.v1 is not a Helm"
    ):
        plan(cluster(BASE, broken), charts)


def test_other_secrets_are_not_read(charts: Path) -> None:
    other = {**istiod(), "type": "Opaque"}
    assert actions(plan(cluster(BASE, other, *LIVE), charts))[1] == ("istiod", "install")


def test_records_that_may_not_be_read_are_not_taken_for_missing(charts: Path) -> None:
    server = everything()
    server.forbidden.add("Secret")
    with pytest.raises(ApiError, match="forbidden"):
        plan(server, charts)


# Runs that never ended.


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback"])
def test_an_unfinished_run_locks_its_release_and_the_record_before_counts(charts: Path, status: str) -> None:
    server = cluster(BASE, istiod(), istiod(version=2, status=status, values={}), *LIVE)
    found = plan(server, charts)
    assert actions(found)[1] == ("istiod", "keep")
    assert [(item.name, item.revision) for item in found.locked] == [("istiod", 2)]


def test_an_unfinished_first_install_is_installed_again(charts: Path) -> None:
    found = plan(cluster(BASE, istiod(status="pending-install")), charts)
    assert actions(found)[1] == ("istiod", "install")
    assert [item.revision for item in found.locked] == [1]


def test_an_old_unfinished_record_locks_nothing(charts: Path) -> None:
    found = plan(cluster(BASE, istiod(status="pending-upgrade"), istiod(version=2), *LIVE), charts)
    assert actions(found)[1] == ("istiod", "keep") and found.locked == []


# Objects.


def test_an_object_that_differs_in_a_kept_release_is_drift(charts: Path) -> None:
    server = everything()
    patch = {"data": {"a": "theirs"}}
    server.patch("v1", "ConfigMap", "istio", "istio-system", patch, field_manager="argocd")
    found = plan(server, charts)
    assert actions(found)[1] == ("istiod", "keep") and not found.pending
    assert [(item.id, item.action) for item in found.drift] == [("ConfigMap istio-system/istio", "update")]


def test_objects_of_an_upgraded_release_are_helms_to_write(charts: Path) -> None:
    server = cluster(BASE, istiod(values={}), *LIVE)
    server.patch("v1", "ConfigMap", "istio", "istio-system", {"data": {"a": "x"}}, field_manager="argocd")
    found = plan(server, charts)
    assert changed(found) == [("ConfigMap istio-system/istio", "update")] and found.drift == []


def test_what_helm_applied_and_no_longer_renders_is_a_difference(charts: Path) -> None:
    """Only an apply as the manager that wrote a field takes it out again."""
    server = everything()
    more = written(config_map("istio"), "istiod")
    server.apply({**more, "data": {"a": "b", "gone": "x"}}, field_manager="helm")
    (found,) = plan(server, charts).drift
    assert found.before["data"] == {"a": "b", "gone": "x"} and found.after["data"] == {"a": "b"}


MANIFEST = stream(config_map("istio"), config_map("old"))


def upgraded(*live: dict[str, Any], **changes: Any) -> FakeCluster:
    return cluster(BASE, istiod(**{"values": {}, "manifest": MANIFEST, **changes}), *LIVE, *live)


def service(ports: list[dict[str, Any]], **annotations: str) -> dict[str, Any]:
    metadata = {"name": "edge", "namespace": "istio-system", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}


HTTP, HTTPS = {"name": "http2", "port": 80}, {"name": "https", "port": 443}


def test_what_an_upgrade_takes_out_of_an_object_is_predicted(charts: Path) -> None:
    """Helm wrote it with plain updates, so no server-side apply would ever take it out."""
    old = service([HTTP, HTTPS], note="old", kept="yes")
    live = written(old, "istiod")
    live["metadata"]["annotations"] |= {"note": "old", "kept": "yes", "cloud": "theirs"}
    live["spec"]["ports"] = [{**HTTP, "nodePort": 30080}, {**HTTPS, "nodePort": 30443}]
    server = cluster(BASE, istiod(values={}, manifest=stream(old)), *LIVE)
    server.put(live)
    run = runner()
    run.answers["template istiod"] = stream(service([HTTP], kept="yes"))
    (difference,) = plan(server, charts, run).differences
    assert difference.action == "update"
    assert difference.after["spec"]["ports"] == [{**HTTP, "nodePort": 30080}]
    assert difference.after["metadata"]["annotations"] == {
        "kept": "yes",
        "cloud": "theirs",
        "meta.helm.sh/release-name": "istiod",
        "meta.helm.sh/release-namespace": "istio-system",
    }
    assert server.writes == []


def test_what_an_upgrade_drops_is_deleted(charts: Path) -> None:
    found = plan(upgraded(config_map("old")), charts)
    assert changed(found) == [("ConfigMap istio-system/old", "delete")]


def test_an_upgrade_after_a_failed_one_replaces_what_was_deployed_last(charts: Path) -> None:
    """helm pkg/action/upgrade.go: a failed record is not what the objects came from."""
    old, tried = service([HTTP, HTTPS]), service([HTTP])
    failed = istiod(values={}, version=2, status="failed", manifest=stream(tried))
    server = cluster(BASE, istiod(values={}, manifest=stream(old)), failed, *LIVE)
    server.put(written(old, "istiod"))
    run = runner()
    run.answers["template istiod"] = stream(service([HTTP]))
    (difference,) = plan(server, charts, run).differences
    assert difference.after["spec"]["ports"] == [HTTP]


def test_a_live_object_that_is_to_be_kept_is_not_deleted(charts: Path) -> None:
    kept = config_map("old")
    kept["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
    assert changed(plan(upgraded(kept), charts)) == []


@pytest.mark.parametrize(
    ("stored", "wanted"), [(1, True), (True, 1), (0, False), ({"a": [True]}, {"a": [1]}), ("1", 1)]
)
def test_values_are_compared_with_their_types(charts: Path, stored: Any, wanted: Any) -> None:
    server = cluster(BASE, istiod(values={**ISTIOD_VALUES, "x": stored}), *LIVE)
    assert plan(server, charts, values={"x": wanted}).releases[1].action == "upgrade"


def test_a_number_is_a_number_whether_whole_or_not(charts: Path) -> None:
    server = cluster(BASE, istiod(values={**ISTIOD_VALUES, "x": 1}), *LIVE)
    assert plan(server, charts, values={"x": 1.0}).releases[1].action == "keep"


def test_an_upgrade_that_failed_is_made_again_although_nothing_differs(charts: Path) -> None:
    found = plan(cluster(BASE, istiod(status="failed"), *LIVE), charts).releases[1]
    assert found.action == "upgrade"


def test_every_object_gets_what_helm_adds_and_cluster_wide_ones_no_namespace(charts: Path) -> None:
    wide = {"apiVersion": "example.io/v1", "kind": "Wide", "metadata": {"name": "w"}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "wides.example.io"},
        "spec": {
            "group": "example.io",
            "scope": "Cluster",
            "names": {"kind": "Wide"},
            "versions": [{"name": "v1"}],
        },
    }
    server = cluster()
    server.missing.add("Wide")
    run = runner()
    plain = config_map("plain")
    del plain["metadata"]["namespace"]
    plain["metadata"]["labels"] = {"app": "x"}
    run.answers["template istiod"] = stream(definition, wide, plain)
    found = {item.id: item.desired["metadata"] for item in plan(server, charts, run).releases[1].differences}
    assert list(found) == [
        "CustomResourceDefinition wides.example.io",
        "Wide w",
        "ConfigMap istio-system/plain",
    ]
    assert found["ConfigMap istio-system/plain"]["labels"] == {
        "app": "x",
        "app.kubernetes.io/managed-by": "Helm",
    }
    assert found["Wide w"]["annotations"]["meta.helm.sh/release-name"] == "istiod"


def test_what_is_gone_already_is_not_deleted(charts: Path) -> None:
    assert changed(plan(upgraded(), charts)) == []


def test_a_release_that_is_kept_or_installed_drops_nothing(charts: Path) -> None:
    assert changed(plan(upgraded(config_map("old"), values=ISTIOD_VALUES), charts)) == []
    assert changed(plan(upgraded(config_map("old"), status="uninstalled"), charts)) == []


@pytest.mark.parametrize(
    ("annotations", "deleted"),
    [
        ({"helm.sh/resource-policy": "keep"}, False),
        ({"helm.sh/resource-policy": "delete"}, True),
        ({"other": "keep"}, True),
        ({}, True),
    ],
)
def test_what_is_to_be_kept_is_not_deleted(charts: Path, annotations: Any, deleted: bool) -> None:
    manifest = stream(config_map("old", annotations=annotations))
    found = plan(upgraded(config_map("old"), manifest=manifest), charts)
    assert changed(found) == ([("ConfigMap istio-system/old", "delete")] if deleted else [])


def test_what_follows_a_kept_object_is_still_looked_at(charts: Path) -> None:
    kept = config_map("kept", annotations={"helm.sh/resource-policy": "keep"})
    manifest = stream(kept, config_map("istio"), config_map("missing"), config_map("old"))
    found = plan(upgraded(config_map("old"), config_map("kept"), manifest=manifest), charts)
    assert changed(found) == [("ConfigMap istio-system/old", "delete")]


def placeless(name: str, kind: str = "ConfigMap") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def test_an_object_without_namespace_lies_in_that_of_its_release(charts: Path) -> None:
    """Helm stores what the chart says, and a chart need not say it."""
    role = {**placeless("role", "ClusterRole"), "apiVersion": "rbac.authorization.k8s.io/v1"}
    kept = {**role, "metadata": {"name": "kept"}}
    manifest = stream(placeless("istio"), placeless("old"), kept, role)
    run = runner()
    run.answers["template istiod"] = stream(config_map("istio"), kept)
    server = upgraded(config_map("old"), role, written(kept, "istiod"), manifest=manifest)
    assert changed(plan(server, charts, run)) == [
        ("ConfigMap istio-system/old", "delete"),
        ("ClusterRole role", "delete"),
    ]


def test_a_stored_manifest_that_cannot_be_read_is_named(charts: Path) -> None:
    with pytest.raises(MeshError, match=r"the manifest of release istiod.*annotations is list"):
        plan(upgraded(manifest=stream(config_map("old", annotations=["x"]))), charts)


# Gateways that left the list.


def gateway(place: str = "edge", **changes: Any) -> dict[str, Any]:
    more = {"values": MARKED, "place": place, "manifest": stream(config_map("old", place)), **changes}
    return record(more.pop("name", "old-edge"), more.pop("chart", "gateway"), more.pop("values"), **more)


def workload(place: str = "edge", mark: str = "true") -> dict[str, Any]:
    metadata = {"name": "old-edge", "namespace": place, "labels": {"servicemesh.istio/gateway": mark}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}


def with_gateway(*secrets: dict[str, Any], mark: str = "true") -> FakeCluster:
    return everything(namespace("edge"), workload(mark=mark), config_map("old", "edge"), *secrets)


def test_a_gateway_that_left_the_list_is_removed_last_although_its_namespace_left_too(charts: Path) -> None:
    found = plan(with_gateway(gateway()), charts)
    assert actions(found) == [("istio-base", "keep"), ("istiod", "keep"), ("old-edge", "remove")]
    assert changed(found) == [("ConfigMap edge/old", "delete")]
    assert found.pending and found.drift == []
    removed = found.releases[-1].as_result()
    assert (removed["id"], removed["chart_ref"]) == ("edge/old-edge", "")
    assert removed["wait"] is False


def test_a_gateway_on_the_list_is_not_removed(charts: Path) -> None:
    server = with_gateway(gateway(name="istio-edge"))
    found = plan(server, charts, gateways=[{"name": "istio-edge", "namespace": "edge"}])
    assert [action for name, action in actions(found) if name == "istio-edge"] == ["upgrade"]


def test_a_gateway_of_the_same_name_elsewhere_is_removed(charts: Path) -> None:
    server = with_gateway(gateway(name="istio-edge"))
    found = plan(server, charts, gateways=[{"name": "istio-edge", "namespace": "istio-system"}])
    assert [(item.namespace, item.action) for item in found.releases[2:]] == [
        ("istio-system", "install"),
        ("edge", "remove"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"values": {}},
        {"values": None},
        {"values": {"labels": {"servicemesh.istio/gateway": "false"}}},
        {"values": {"labels": {"servicemesh.istio/gateway": True}}},
        {"values": {"labels": None}},
        {"chart": "wordpress"},
        {"status": "uninstalled"},
    ],
)
def test_what_is_not_ours_or_gone_is_not_removed(charts: Path, changes: Any) -> None:
    assert actions(plan(with_gateway(gateway(**changes)), charts))[2:] == []


def test_the_newest_record_of_a_gateway_counts(charts: Path) -> None:
    server = with_gateway(gateway(), gateway(version=2, status="uninstalled"))
    assert actions(plan(server, charts))[2:] == []
    server = with_gateway(gateway(values={}), gateway(version=2))
    assert actions(plan(server, charts))[2:] == [("old-edge", "remove")]


def test_only_marked_deployments_open_a_namespace(charts: Path) -> None:
    server = with_gateway(gateway(), mark="false")
    assert actions(plan(server, charts))[2:] == []
    read = [call.namespace for call in server.calls if (call.verb, call.kind) == ("list", "Secret")]
    assert read == ["istio-system"]


def test_each_namespace_is_read_once(charts: Path) -> None:
    server = everything(namespace("edge"), workload(), workload("istio-system"))
    plan(server, charts)
    read = [call.namespace for call in server.calls if (call.verb, call.kind) == ("list", "Secret")]
    assert read == ["istio-system", "edge"]


def test_without_the_right_to_find_gateways_the_list_is_what_is_looked_at(charts: Path) -> None:
    server = with_gateway(gateway(), gateway("istio-system"))
    server.fail("list", "Deployment", 403)
    assert [(item.namespace, item.name) for item in plan(server, charts).releases[2:]] == [
        ("istio-system", "old-edge")
    ]


def test_another_failure_to_find_gateways_is_an_error(charts: Path) -> None:
    server = with_gateway(gateway())
    server.fail("list", "Deployment", 500)
    with pytest.raises(ApiError) as caught:
        plan(server, charts)
    assert caught.value.status == 500


# What helm prints.


def test_charts_are_rendered_for_the_clusters_version(charts: Path) -> None:
    run = runner()
    plan(everything(), charts, run)
    (command,) = run.asked("template istiod")
    assert command.argv[command.argv.index("--kube-version") + 1] == "v1.36.0"
    assert json.loads(command.stdin) == ISTIOD_VALUES


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (Failing("values don't meet the schema"), "could not render chart istiod .*meet the schema"),
        ("kind: [", "the rendered chart istiod.*not valid YAML"),
        ("kind: ConfigMap", "the rendered chart istiod.*not a Kubernetes object"),
        (stream(config_map("x", labels=["a"])), "the rendered chart istiod.*labels is list"),
    ],
)
def test_what_helm_cannot_render_is_an_error(charts: Path, text: Any, word: str) -> None:
    run = runner()
    run.answers["template istiod"] = text
    with pytest.raises(MeshError, match=word):
        plan(everything(), charts, run)


# Unlocking.


class Surroundings:
    """A server with one unfinished run that helm wrote ``age`` seconds ago, and a clock."""

    def __init__(self, age: float, **changes: Any) -> None:
        self.clock = FakeClock()
        self.modified = int(self.clock.time - age)
        changes = {"status": "pending-upgrade", "version": 2, "modified": self.modified, **changes}
        self.secret = istiod(**changes)
        self.server = cluster(istiod(), self.secret)
        self.lines: list[str] = []

    @property
    def found(self) -> StoredRelease:
        return read_release(self.secret)

    def unlock(self, grace: int = 60) -> None:
        context = Context(clock=self.clock, progress=self.lines.append)
        helm.unlock(self.server, [self.found], grace=grace, context=context)

    @property
    def records(self) -> list[str]:
        return [secret["metadata"]["name"].rpartition(".")[2] for secret in self.server.of_kind("Secret")]


def test_the_record_of_a_dead_run_is_removed_at_once() -> None:
    around = Surroundings(60)
    around.unlock()
    assert around.records == ["v1"] and around.clock.time == 1_000_000.0
    assert around.lines == ["removed the record of an unfinished helm run: release istiod"]


def test_other_releases_are_not_looked_at_while_one_is_unlocked() -> None:
    around = Surroundings(60)
    broken = record("other", "other", {})
    around.server.put({**broken, "data": {"release": "AAAA"}})
    around.unlock()
    assert around.records == ["v1", "v1"]


def test_a_run_that_may_be_at_work_gets_its_time() -> None:
    around = Surroundings(59)
    around.unlock()
    assert around.records == ["v1"]
    assert 1_000_001 <= around.clock.time <= 1_000_002
    awaited = "waiting for the helm run that holds release istio-system/istiod"
    assert around.lines[0] == f"{awaited}: pending-upgrade for 59 s"


def test_a_run_that_ends_meanwhile_keeps_its_record() -> None:
    around = Surroundings(10)
    around.clock.at(5, lambda: around.server.put(istiod(version=2, status="deployed")) and None)
    around.unlock()
    assert around.records == ["v1", "v2"]
    assert around.clock.time < 1_000_010 and around.server.writes == []


def test_a_record_that_goes_meanwhile_is_not_removed() -> None:
    around = Surroundings(10)
    around.server.remove("Secret", "sh.helm.release.v1.istiod.v1", "istio-system")
    around.server.remove("Secret", "sh.helm.release.v1.istiod.v2", "istio-system")
    around.unlock()
    assert around.records == [] and around.server.writes == [] and around.lines == []


def test_the_record_of_a_run_that_began_later_is_what_is_removed() -> None:
    around = Surroundings(600)
    later = istiod(version=3, status="pending-rollback", modified=around.modified + 590)
    around.server.put(later)
    around.unlock()
    assert around.records == ["v1", "v2"]
    assert around.clock.time >= 1_000_050


def test_helm_that_keeps_writing_is_at_work() -> None:
    around = Surroundings(0)
    for second in range(1, 200):
        fresh = istiod(version=2, status="pending-upgrade", modified=around.modified + second)
        around.clock.at(second, lambda fresh=fresh: around.server.put(fresh) and None)
    with pytest.raises(
        WaitTimeout, match=r"^another helm run is at work on release istio-system/istiod$"
    ) as caught:
        around.unlock()
    assert around.records == ["v1", "v2"] and around.server.writes == []
    assert 1_000_120 <= around.clock.time < 1_000_125
    assert caught.value.details["awaited"] == "the helm run that holds release istio-system/istiod"
    assert "pending-upgrade for" in caught.value.details["last_seen"]


def test_exactly_the_record_that_was_seen_is_removed() -> None:
    """Its uid is part of the request: helm may begin anew under the same name."""
    around = Surroundings(60)
    around.server.objects["Secret", "istio-system", around.found.secret]["metadata"]["uid"] = "other"
    seen: list[Any] = []
    original = around.server.delete

    def delete(*args: Any, **options: Any) -> bool:
        seen.append(options.get("uid"))
        return original(*args, **options)

    around.server.delete = delete
    around.unlock()
    assert seen == ["other"]


def test_a_refused_removal_is_an_error() -> None:
    around = Surroundings(60)
    around.server.fail("delete", "Secret", 403)
    with pytest.raises(ApiError) as caught:
        around.unlock()
    assert caught.value.status == 403 and around.records == ["v1", "v2"]


def test_a_stopped_play_ends_the_wait() -> None:
    around = Surroundings(0)
    context = Context(clock=around.clock, stop=lambda: True)
    with pytest.raises(ApiError, match="interrupted"):
        helm.unlock(around.server, [around.found], grace=60, context=context)
    assert around.records == ["v1", "v2"]
