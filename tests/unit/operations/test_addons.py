"""Add-ons: what is read from their files, what is written, what is removed, and what is refused before."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    RefusedError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import addons

from ..support.access import Restricted, granted_by
from ..support.arguments import validated
from ..support.clock import FakeClock
from ..support.cluster import FakeCluster, reaching

Obj = dict[str, Any]
OURS = {"app.kubernetes.io/part-of": "servicemesh-addons"}
OWNED = {**OURS, "app.kubernetes.io/managed-by": "servicemesh.istio"}


WRITTEN = [{"manager": "servicemesh.istio", "operation": "Apply"}]


def obj(kind: str = "ConfigMap", name: str = "a", api: str = "v1", **metadata: Any) -> Obj:
    if metadata.get("labels") == OURS:
        metadata.setdefault("managedFields", WRITTEN)
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **metadata}}


def deployment(image: str = "docker.io/grafana/grafana:12", name: str = "grafana", **metadata: Any) -> Obj:
    pod = {"containers": [{"name": "main", "image": image}]}
    found = obj("Deployment", name, "apps/v1", **metadata)
    return {**found, "spec": {"replicas": 1, "template": {"spec": pod}}}


def rolled_out(live: Obj) -> Obj:
    counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    return {**live, "status": {"observedGeneration": live["metadata"].get("generation", 0), **counts}}


def namespace(name: str) -> Obj:
    return {**obj("Namespace", name), "status": {"phase": "Active"}}


def cluster_with(*objects: Obj) -> FakeCluster:
    return FakeCluster(namespace("istio-system"), namespace("other"), *objects)


def source(directory: Path, name: str, *objects: Any, text: str | None = None) -> dict[str, str]:
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump_all(objects) if text is None else text, encoding="utf-8")
    return {"name": name, "path": str(path)}


def run(cluster: Any, *sources: Mapping[str, str], check: bool = False, **params: Any) -> Obj:
    surroundings = {
        name: params.pop(name) for name in ("clock", "stop", "diff_mode", "progress") if name in params
    }
    parameters = {"host": "https://api", "addons": list(sources), **params}
    checked = validated(addons.ARGUMENT_SPEC, parameters)
    context = Context(check_mode=check, connect=reaching(cluster), **{"clock": FakeClock(), **surroundings})
    return addons.run(checked, context)


def problems(*sources: Mapping[str, str], **params: Any) -> list[str]:
    """What is refused; before any request, so that nothing of a broken add-on is taken for gone."""
    cluster = cluster_with(obj(namespace="istio-system", labels=OURS))
    with pytest.raises(InputError) as caught:
        run(cluster, *sources, **params)
    assert cluster.calls == []
    return [str(problem) for problem in caught.value.problems]


def done(result: Obj) -> dict[str, str]:
    return {entry["id"]: entry["action"] for entry in result["objects"]}


class TestSources:
    def test_a_file_and_a_directory_of_files(self, tmp_path: Path) -> None:
        folder = tmp_path / "many"
        (folder / "deep.yaml").mkdir(parents=True)
        (folder / "deep.yaml" / "x.yaml").write_text("not: [read", encoding="utf-8")
        for suffix in (".yaml", ".yml"):
            (folder / f"b{suffix}").write_text(yaml.safe_dump(obj(name=f"b{suffix}")), encoding="utf-8")
        (folder / "a.json").write_text(json.dumps(obj(name="a.json")), encoding="utf-8")
        (folder / "README.md").write_text("not: [read", encoding="utf-8")
        single = source(tmp_path, "single", obj(name="one"), obj("Service", name="two"))
        result = run(cluster_with(), single, {"name": "many", "path": str(folder)})
        assert sorted(done(result)) == [
            "ConfigMap istio-system/a.json",
            "ConfigMap istio-system/b.yaml",
            "ConfigMap istio-system/b.yml",
            "ConfigMap istio-system/one",
            "Service istio-system/two",
        ]
        assert result["addons"] == ["single", "many"]

    def test_objects_are_labelled_with_their_addon(self, tmp_path: Path) -> None:
        cluster = cluster_with()
        one = source(tmp_path, "one", obj(labels={"app": "x"}))
        run(cluster, one, source(tmp_path, "two", obj(name="b")))
        for name, wanted in (
            ("a", {"app": "x", "servicemesh.istio/addon": "one"}),
            ("b", {"servicemesh.istio/addon": "two"}),
        ):
            live = cluster.find("ConfigMap", name, "istio-system")
            assert live is not None and live["metadata"]["labels"] == {**OWNED, **wanted}

    @pytest.mark.parametrize("kind", ["missing", "empty directory", "no manifests", "a pipe"])
    def test_a_source_that_leads_nowhere(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "x"
        if kind == "a pipe":
            os.mkfifo(path)
        elif kind != "missing":
            path.mkdir()
        if kind == "no manifests":
            (path / "values.txt").write_text("a: 1", encoding="utf-8")
        assert problems({"name": "x", "path": str(path)}) == [
            f"addons[x].path: {path} holds no manifest (addon-source)"
        ]

    @pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n---\n", "null"])
    def test_a_source_without_objects_is_refused(self, tmp_path: Path, text: str) -> None:
        """An empty file, as a fetch that went wrong leaves it, removed everything that the add-on had."""
        given = source(tmp_path, "x", text=text)
        assert problems(given) == [f"addons[x].path: {given['path']} holds no manifest (addon-source)"]

    def test_every_problem_of_every_source(self, tmp_path: Path) -> None:
        """Only the first file was told."""
        folder = tmp_path / "many"
        folder.mkdir()
        (folder / "1.yaml").write_text("kind: ConfigMap\nmetadata: [", encoding="utf-8")
        (folder / "2.yaml").write_text("a: 1\nb: 2\na: 3\n", encoding="utf-8")
        (folder / "3.yaml").write_bytes(b"\xff\xfe\x00")
        (folder / "4.yaml").write_text("---\nkind: ConfigMap\n---\nkind: Service\n", encoding="utf-8")
        (folder / "5.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n", encoding="utf-8")
        sources = {"name": "many", "path": str(folder)}, {"name": "gone", "path": str(tmp_path / "gone")}
        first, *rest = problems(*sources)
        assert first.startswith(f"{folder}/1.yaml:") and first.endswith("(yaml)")
        assert rest == [
            f"{folder}/2.yaml:3: key 'a' occurs twice in one mapping (duplicate-key)",
            f"addons[many].path: {folder}/3.yaml is not text in UTF-8 (addon-source)",
            f"addons[many].path: {folder}/4.yaml:2: a document is not a Kubernetes object "
            "(apiVersion and kind are missing) (addon-source)",
            f"addons[many].path: {folder}/5.yaml: an object of kind ConfigMap has no name (addon-source)",
            f"addons[gone].path: {tmp_path}/gone holds no manifest (addon-source)",
        ]

    def test_a_file_that_cannot_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It was a traceback."""
        given, other = source(tmp_path, "x", obj()), source(tmp_path, "y", text="a: [")

        def refused(path: Path, **_options: Any) -> str:
            if path == Path(given["path"]):
                raise PermissionError(13, "Permission denied", str(path))
            return "a: ["

        monkeypatch.setattr(Path, "read_text", refused)
        first, second = problems(given, other)
        assert first == f"addons[x].path: {given['path']} cannot be read: Permission denied (addon-source)"
        assert second.startswith(f"{other['path']}:")

    def test_a_directory_that_cannot_be_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(path: Path) -> Iterator[Path]:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "iterdir", refused)
        assert problems({"name": "x", "path": str(tmp_path)}) == [
            f"addons[x].path: {tmp_path} cannot be read: Permission denied (addon-source)"
        ]

    def test_an_object_that_two_addons_contain(self, tmp_path: Path) -> None:
        one = source(tmp_path, "one", obj(), obj("ClusterRole", "r", "rbac.authorization.k8s.io/v1"))
        two = source(
            tmp_path,
            "two",
            obj(namespace="istio-system"),
            obj(namespace="other"),
            obj("Service"),
            obj("ClusterRole", "r", "rbac.authorization.k8s.io/v1"),
        )
        assert problems(one, two) == [
            "addons[two]: ConfigMap a is also part of one (unique)",
            "addons[two]: ClusterRole r is also part of one (unique)",
        ]
        assert problems(source(tmp_path, "three", obj(), obj())) == [
            "addons[three]: ConfigMap a is also part of three (unique)"
        ]

    @pytest.mark.parametrize("image", [1, None, "", ["a"]])
    def test_an_image_that_is_none(self, tmp_path: Path, image: Any) -> None:
        """It was written into the workload."""
        given = source(tmp_path, "x", deployment())
        assert problems(given, images={"docker.io": image, "quay.io": "m"}) == [
            "images[docker.io]: is no image: give it as text (image)"
        ]
        assert problems(given, images={7: "m"}) == ["images[7]: is no image: give it as text (image)"]

    def test_labels_of_another_shape(self, tmp_path: Path) -> None:
        given = source(tmp_path, "x", obj(labels=["a"]))
        assert problems(given) == [
            f"addons[x].path: {given['path']}: ConfigMap a: metadata.labels is list, not a mapping "
            "(addon-source)"
        ]

    @pytest.mark.parametrize(
        ("containers", "fault"),
        [
            ([{"image": 1}], "Deployment istio-system/grafana: an image is int, not a string"),
            ("x", "Deployment istio-system/grafana: spec.template.spec.containers is str, not a list"),
        ],
    )
    def test_containers_of_another_shape(self, tmp_path: Path, containers: Any, fault: str) -> None:
        """An image that is no text was told after everything had been written."""
        workload = deployment()
        workload["spec"]["template"]["spec"]["containers"] = containers
        given = source(tmp_path, "x", workload), source(tmp_path, "y", text="")
        assert problems(*given) == [
            f"addons[x].path: {fault} (addon-source)",
            f"addons[y].path: {tmp_path}/y.yaml holds no manifest (addon-source)",
        ]

    def test_a_container_without_an_image_stays_without(self, tmp_path: Path) -> None:
        workload = deployment()
        workload["spec"]["template"]["spec"]["containers"] = [{"name": "a"}, {"name": "b", "image": "m/b"}]
        given = source(tmp_path, "x", workload)
        result = run(cluster_with(), given, check=True, images={"m": "n"}, diff_mode=True)
        assert result["images"] == ["n/b"]


class TestRuns:
    def test_images_are_rewritten_and_named(self, tmp_path: Path) -> None:
        cluster = cluster_with(rolled_out(deployment(name="b", namespace="istio-system")))
        given = source(tmp_path, "x", deployment(), deployment("quay.io/b:1", "b"))
        result = run(cluster, given, images={"docker.io": "m.local"}, check=True)
        assert result["images"] == ["m.local/grafana/grafana:12", "quay.io/b:1"]
        assert run(cluster, given, check=True)["images"] == [
            "docker.io/grafana/grafana:12",
            "quay.io/b:1",
        ]

    def test_a_rewritten_image_is_what_is_written(self, tmp_path: Path) -> None:
        cluster, clock = cluster_with(), FakeClock()

        def roll_out() -> None:
            live = cluster.find("Deployment", "grafana", "istio-system")
            assert live is not None
            cluster.put(rolled_out(live))

        clock.at(20, roll_out)
        given = source(tmp_path, "x", deployment())
        run(cluster, given, images={"docker.io": "m.local"}, clock=clock, timeout=30)
        live = cluster.find("Deployment", "grafana", "istio-system")
        assert live is not None
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "m.local/grafana/grafana:12"
        assert 1_000_020 <= clock.time <= 1_000_023

    def test_a_second_run_changes_nothing(self, tmp_path: Path) -> None:
        cluster = cluster_with()
        given = source(tmp_path, "x", obj(), obj("ClusterRole", "r", "rbac.authorization.k8s.io/v1"))
        assert run(cluster, given)["changed"] is True
        cluster.writes.clear()
        again = run(cluster, given)
        assert (again["changed"], again["objects"], cluster.writes) == (False, [], [])

    def test_check_mode_writes_nothing_and_says_the_same(self, tmp_path: Path) -> None:
        cluster = cluster_with(obj(name="old", namespace="istio-system", labels=OURS))
        given = source(tmp_path, "x", obj(), deployment())
        planned = run(cluster, given, check=True, diff_mode=True)
        assert cluster.writes == []
        assert done(planned) == {
            "ConfigMap istio-system/a": "created",
            "Deployment istio-system/grafana": "created",
            "ConfigMap istio-system/old": "deleted",
        }
        assert len(planned["diff"]) == 3
        with pytest.raises(WaitTimeout):
            run(cluster, given)
        assert {subject for _verb, subject in cluster.writes} == set(done(planned))

    def test_a_copy_of_what_an_addon_has_is_told_and_stays(self, tmp_path: Path) -> None:
        """``kubectl get -o yaml | kubectl apply`` takes the labels along."""
        by_hand = [{"manager": "kubectl-client-side-apply", "operation": "Update"}]
        copy = obj(name="copy", namespace="istio-system", labels=OURS, managedFields=by_hand)
        cluster, warnings = cluster_with(copy), []
        checked = validated(addons.ARGUMENT_SPEC, {"host": "https://api", "addons": []})
        context = Context(connect=reaching(cluster), clock=FakeClock(), warn=warnings.append)
        assert addons.run(checked, context)["changed"] is False
        assert cluster.find("ConfigMap", "copy", "istio-system") is not None
        assert len(warnings) == 1
        assert warnings[0].startswith("ConfigMap istio-system/copy: labelled as of the add-ons, but never")

    def test_a_workload_that_does_not_roll_out(self, tmp_path: Path) -> None:
        clock = FakeClock()
        with pytest.raises(WaitTimeout) as caught:
            run(cluster_with(), source(tmp_path, "x", deployment()), timeout=30, clock=clock)
        assert "Deployment istio-system/grafana" in caught.value.last_seen
        assert 1_000_030 <= clock.time <= 1_000_032

    def test_a_namespace_that_is_missing_is_told(self, tmp_path: Path) -> None:
        cluster = cluster_with()
        with pytest.raises(ApiError) as caught:
            run(cluster, source(tmp_path, "x", obj()), namespace="gone")
        assert 'namespaces "gone" not found' in str(caught.value)
        assert cluster.writes == []

    def test_an_addon_that_brings_its_namespace(self, tmp_path: Path) -> None:
        cluster = cluster_with()
        clock = FakeClock()
        clock.at(2, lambda: cluster.put(namespace("own")) and None)
        run(cluster, source(tmp_path, "x", obj(namespace="own"), obj("Namespace", "own")), clock=clock)
        assert cluster.find("ConfigMap", "a", "own") is not None
        live = cluster.find("Namespace", "own")
        assert live is not None and "namespace" not in live["metadata"]

    def test_other_kinds_get_a_namespace_only_when_they_have_one(self, tmp_path: Path) -> None:
        """Definitions of an add-on were refused: "is cluster-wide but names a namespace"."""
        cluster, clock = cluster_with(), FakeClock()
        definition = obj("CustomResourceDefinition", "kialis.kiali.io", "apiextensions.k8s.io/v1")
        claim = obj("PersistentVolumeClaim", "data")
        established = {"conditions": [{"type": "Established", "status": "True"}]}
        clock.at(2, lambda: cluster.put({**definition, "status": established}) and None)
        run(cluster, source(tmp_path, "x", definition, claim), namespace="other", clock=clock)
        assert cluster.find("CustomResourceDefinition", "kialis.kiali.io") is not None
        assert cluster.find("PersistentVolumeClaim", "data", "other") is not None

    def test_a_kind_that_the_server_does_not_serve(self, tmp_path: Path) -> None:
        cluster = cluster_with(obj(name="old", namespace="istio-system", labels=OURS))
        cluster.missing = {"EnvoyFilter", "Telemetry"}
        filters = obj("EnvoyFilter", "f", "networking.istio.io/v1alpha3")
        with pytest.raises(ApiError, match="does not serve"):
            run(cluster, source(tmp_path, "x", filters))
        assert cluster.writes == []
        assert done(run(cluster)) == {"ConfigMap istio-system/old": "deleted"}

    def test_the_rights_of_the_table_are_enough(self, tmp_path: Path) -> None:
        cluster = cluster_with(obj(name="old", namespace="istio-system", labels=OURS))
        client = Restricted(cluster, granted_by("parts/addons.yaml"))
        run(client, source(tmp_path, "x", obj(), obj("Service")))
        assert not client.refused


class TestRemoval:
    @pytest.mark.parametrize(
        ("api", "kind"),
        [
            ("v1", "ConfigMap"),
            ("v1", "Service"),
            ("v1", "ServiceAccount"),
            ("apps/v1", "DaemonSet"),
            ("apps/v1", "Deployment"),
            ("apps/v1", "StatefulSet"),
            ("networking.istio.io/v1", "Gateway"),
            ("networking.istio.io/v1", "VirtualService"),
            ("networking.istio.io/v1alpha3", "EnvoyFilter"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
            ("rbac.authorization.k8s.io/v1", "Role"),
            ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            ("telemetry.istio.io/v1", "Telemetry"),
        ],
    )
    def test_what_left_the_list_is_removed(self, api: str, kind: str) -> None:
        place = {} if kind.startswith("ClusterRole") else {"namespace": "istio-system"}
        cluster = cluster_with(obj(kind, "old", api, labels=OURS, **place), obj(kind, "mine", api, **place))
        result = run(cluster)
        name = f"{kind} istio-system/old" if place else f"{kind} old"
        assert (done(result), result["addons"]) == ({name: "deleted"}, [])
        assert cluster.writes == [("delete", name)]

    def test_what_stays_is_not_removed(self, tmp_path: Path) -> None:
        role = obj("ClusterRole", "r", "rbac.authorization.k8s.io/v1")
        given = source(tmp_path, "x", obj(), role)
        cluster = cluster_with()
        run(cluster, given)
        assert done(run(cluster, given)) == {}
        assert done(run(cluster, source(tmp_path, "y", obj("Service")))) == {
            "Service istio-system/a": "created",
            "ConfigMap istio-system/a": "deleted",
            "ClusterRole r": "deleted",
        }

    def test_an_object_of_the_same_name_elsewhere_or_of_another_kind_is_removed(self, tmp_path: Path) -> None:
        cluster = cluster_with(
            obj(namespace="other", labels=OURS), obj("Service", namespace="istio-system", labels=OURS)
        )
        given = source(tmp_path, "x", obj(), obj(name="b", namespace="other"))
        assert {name for name, action in done(run(cluster, given)).items() if action == "deleted"} == {
            "ConfigMap other/a",
            "Service istio-system/a",
        }

    def test_namespaces_without_addons_are_not_looked_at(self, tmp_path: Path) -> None:
        """Nobody has to be allowed to read them."""
        cluster = cluster_with(obj(namespace="other", labels=OURS))
        assert done(run(cluster)) == {}
        looked = {(call.kind, call.namespace) for call in cluster.calls if call.verb == "list"}
        assert ("ConfigMap", "istio-system") in looked
        assert {place for _kind, place in looked} == {None, "istio-system"}
        assert {kind for kind, place in looked if place is None} == {"ClusterRole", "ClusterRoleBinding"}
        assert {call.selector for call in cluster.calls if call.verb == "list"} == {
            "app.kubernetes.io/part-of=servicemesh-addons"
        }
        given = source(tmp_path, "x", obj(name="b", namespace="other"))
        assert done(run(cluster, given))["ConfigMap other/a"] == "deleted"

    def test_what_cannot_be_listed_is_not_taken_for_gone(self, tmp_path: Path) -> None:
        for how, status in ((403, 403), (500, 500), ("lost request", 0)):
            cluster = cluster_with(obj(name="old", namespace="istio-system", labels=OURS))
            cluster.fail("list", "Telemetry", how)
            with pytest.raises(ApiError) as caught:
                run(cluster, source(tmp_path, "x", obj()))
            assert caught.value.status == status
            assert cluster.writes == []

    def test_a_removal_that_the_server_never_ends(self) -> None:
        stuck = obj(name="old", namespace="istio-system", labels=OURS, finalizers=["x/y"])
        clock = FakeClock()
        with pytest.raises(WaitTimeout) as caught:
            run(cluster_with(stuck), timeout=9, clock=clock)
        assert caught.value.last_seen == "ConfigMap istio-system/old is still there (finalizers: x/y)"
        assert 1_000_009 <= clock.time <= 1_000_011


MARK = "servicemesh.istio/applied-by"


class TestTwoInventories:
    """Each would remove what only the other lists, night for night."""

    def test_each_keeps_its_own(self, tmp_path: Path) -> None:
        cluster = cluster_with()
        ours, theirs = source(tmp_path, "ours", obj(name="a")), source(tmp_path, "theirs", obj(name="b"))
        run(cluster, ours, owner="shop@prod")
        run(cluster, theirs, owner="books@prod")
        assert {live["metadata"]["annotations"][MARK] for live in cluster.of_kind("ConfigMap")} == {
            "shop@prod",
            "books@prod",
        }
        cluster.writes.clear()
        for _night in range(2):
            for check in (True, False):
                assert run(cluster, ours, owner="shop@prod", check=check)["changed"] is False
                assert run(cluster, theirs, owner="books@prod", check=check)["changed"] is False
        assert cluster.writes == []
        assert done(run(cluster, owner="books@prod")) == {"ConfigMap istio-system/b": "deleted"}
        assert [live["metadata"]["name"] for live in cluster.of_kind("ConfigMap")] == ["a"]

    def test_one_add_on_in_two_versions_is_refused(self, tmp_path: Path) -> None:
        cluster = cluster_with()
        first = source(tmp_path, "x", {**obj(), "data": {"version": "1"}})
        run(cluster, first, owner="shop@prod")
        cluster.writes.clear()
        assert run(cluster, first, owner="books@prod")["changed"] is False, "the same is fine"
        second = source(tmp_path, "x", {**obj(), "data": {"version": "2"}})
        for check in (True, False):
            for asker in ("books@prod", ""):
                with pytest.raises(RefusedError) as caught:
                    run(cluster, second, owner=asker, check=check)
        assert caught.value.rule == "one-inventory"
        said = caught.value.message
        assert "add-ons are applied by the inventory of 'shop@prod'" in said
        assert "update ConfigMap istio-system/a" in said and "-e addons_take_over=true" in said
        assert cluster.writes == []
        run(cluster, second, owner="books@prod", take_over=True)
        with pytest.raises(RefusedError):
            run(cluster, source(tmp_path, "x", {**obj(), "data": {"version": "1"}}), owner="shop@prod")

    def test_what_nobody_marked_is_claimed_and_removed_as_before(self, tmp_path: Path) -> None:
        cluster = cluster_with()
        run(cluster, source(tmp_path, "x", obj(), obj(name="old")))
        given = source(tmp_path, "x", obj())
        assert done(run(cluster, given, owner="shop@prod")) == {
            "ConfigMap istio-system/a": "updated",
            "ConfigMap istio-system/old": "deleted",
        }
        assert run(cluster, given, owner="shop@prod")["changed"] is False
        assert run(cluster, given)["changed"] is False


def anonymous() -> Obj:
    """Grafana as Istio's samples have it."""
    made = deployment()
    made["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "GF_AUTH_ANONYMOUS_ENABLED", "value": "true"},
        {"name": "GF_SECURITY_ADMIN_PASSWORD", "value": "admin"},
    ]
    return made


class TestPasswords:
    """What a sample needs to be safe is made once, and goes with it."""

    def settled(self, tmp_path: Path) -> tuple[FakeCluster, dict[str, str]]:
        cluster, clock = cluster_with(), FakeClock()
        given = source(tmp_path, "grafana", anonymous())
        clock.at(
            1,
            lambda: (
                cluster.put(rolled_out(cluster.objects["Deployment", "istio-system", "grafana"])) and None
            ),
        )
        result = run(cluster, given, clock=clock)
        assert result["secrets"] == ["istio-system/grafana-admin"]
        return cluster, given

    def test_they_are_made_once(self, tmp_path: Path) -> None:
        cluster, given = self.settled(tmp_path)
        live = cluster.find("Secret", "grafana-admin", "istio-system")
        assert live is not None
        assert live["metadata"]["labels"]["app.kubernetes.io/part-of"] == "servicemesh-addons"
        second = run(cluster, given)
        assert (second["changed"], second["secrets"]) == (False, [])
        assert cluster.find("Secret", "grafana-admin", "istio-system") == live

    def test_two_installations_have_different_ones_and_no_result_has_any(self, tmp_path: Path) -> None:
        values = []
        for _number in range(2):
            cluster, given = self.settled(tmp_path)
            secret = cluster.find("Secret", "grafana-admin", "istio-system")
            assert secret is not None
            (value,) = secret["data"].values()
            values.append(value)
            assert value not in json.dumps(run(cluster, given, diff_mode=True))
        assert values[0] != values[1]
        assert len(values[0]) > 32

    def test_one_that_was_deleted_is_made_again(self, tmp_path: Path) -> None:
        cluster, given = self.settled(tmp_path)
        cluster.remove("Secret", "grafana-admin", "istio-system")
        assert run(cluster, given, check=True)["secrets"] == ["istio-system/grafana-admin"]
        assert cluster.find("Secret", "grafana-admin", "istio-system") is None
        assert run(cluster, given)["changed"]
        assert cluster.find("Secret", "grafana-admin", "istio-system") is not None

    def test_it_goes_with_its_addon_and_a_foreign_one_of_that_name_stays(self, tmp_path: Path) -> None:
        cluster, _given = self.settled(tmp_path)
        assert done(run(cluster))["Secret istio-system/grafana-admin"] == "deleted"
        cluster.put(obj("Secret", "grafana-admin", namespace="istio-system"))
        assert done(run(cluster)) == {}

    def test_the_rights_of_the_table_are_enough(self, tmp_path: Path) -> None:
        cluster, given = self.settled(tmp_path)
        cluster.remove("Secret", "grafana-admin", "istio-system")
        client = Restricted(cluster, granted_by("parts/addons.yaml"))
        run(client, given)
        run(client)
        assert not client.refused


class TestAccess:
    """A URL, policies and dashboards: written, then unchanged, and gone when nobody wants them."""

    ACCESS: ClassVar[dict[str, Any]] = {
        "urls": {"grafana": {"host": "grafana.example.com", "certificate": "cert"}},
        "network_policies": {"grafana": []},
    }

    def grafana(self, directory: Path) -> dict[str, str]:
        config = obj(name="grafana", namespace="istio-system")
        config["data"] = {"dashboardproviders.yaml": "apiVersion: 1"}
        made = deployment(namespace="istio-system")
        pod = made["spec"]["template"]["spec"]
        pod["volumes"] = [{"name": "config", "configMap": {"name": "grafana"}}]
        pod["containers"][0]["volumeMounts"] = [
            {
                "name": "config",
                "mountPath": "/etc/dashboardproviders.yaml",
                "subPath": "dashboardproviders.yaml",
            }
        ]
        service = obj("Service", "grafana", namespace="istio-system")
        return source(directory, "grafana", config, made, service)

    def settle(self, cluster: FakeCluster) -> None:
        for item in cluster.of_kind("Deployment"):
            cluster.put(rolled_out(item))

    def test_written_unchanged_and_gone(self, tmp_path: Path) -> None:
        board = tmp_path / "orders.json"
        board.write_text('{"title": "Orders"}')
        given = {**self.ACCESS, "dashboards": [str(board)]}
        cluster = cluster_with(rolled_out(deployment(namespace="istio-system", labels=OURS)))
        client = Restricted(cluster, granted_by("parts/addons.yaml"))
        cluster.on_patch = lambda _cluster, _obj: self.settle(cluster)
        grafana = self.grafana(tmp_path)
        first = done(run(client, grafana, **given))
        new = {"Gateway", "VirtualService", "NetworkPolicy", "ConfigMap"}
        assert new <= {name.partition(" ")[0] for name, action in first.items() if action == "created"}
        assert not run(client, grafana, **given)["changed"]
        again = done(run(client, grafana))
        assert {name for name, action in again.items() if action == "deleted"} == {
            "ConfigMap istio-system/grafana-own-dashboards",
            "Gateway istio-system/addon-grafana",
            "NetworkPolicy istio-system/addon-grafana",
            "VirtualService istio-system/addon-grafana",
        }
        assert not client.refused

    def test_dashboards_need_grafana_and_can_be_read(self, tmp_path: Path) -> None:
        gone = str(tmp_path / "gone.json")
        found = problems(source(tmp_path, "x", obj()), dashboards=[gone])
        assert "addons_dashboards: need grafana in addons_enabled" in " ".join(found)
        assert f"addons_dashboards[{gone}]: cannot be read: No such file" in " ".join(found)

    def test_bad_json_is_refused_before_anything_is_written(self, tmp_path: Path) -> None:
        board = tmp_path / "orders.json"
        board.write_bytes(b"\xff")
        assert "is not text in UTF-8" in problems(self.grafana(tmp_path), dashboards=[str(board)])[0]
        board.write_text("{")
        assert "is no JSON" in problems(self.grafana(tmp_path), dashboards=[str(board)])[0]
