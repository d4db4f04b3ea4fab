"""What module resources takes: files, definitions, catalogues, and what it refuses before any request."""

from __future__ import annotations

import datetime
import re

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.objects import key_of
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.input import checked
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.live import Live
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.owned import (
    Pruning,
    to_prune,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import (
    backend as resources,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources.definitions import (
    inline,
    stripped,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources.files import read_sources


def obj(name="a", kind="ConfigMap", **metadata):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "n", **metadata}}


def problems(call, *arguments, **named):
    with pytest.raises(InputError) as caught:
        call(*arguments, **named)
    return [(problem.where, problem.rule) for problem in caught.value.problems]


class TestFiles:
    def test_files_directories_and_globs_in_a_stable_order(self, tmp_path):
        for name in ("b.yml", "a.yaml", "c.json", "ignored.txt", "sub/d.yml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("{}")
        names = [
            source["path"].removeprefix(f"{tmp_path}/") for source in read_sources([str(tmp_path)], "src")
        ]
        assert names == ["a.yaml", "b.yml", "c.json", "sub/d.yml"]
        found = read_sources([str(tmp_path / "*.y*ml"), str(tmp_path / "c.json")], "src")
        assert [source["path"][-6:] for source in found] == ["a.yaml", "/b.yml", "c.json"]

    def test_every_path_that_leads_nowhere_is_named(self, tmp_path):
        (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
        (tmp_path / "empty").mkdir()
        paths = ["/nowhere", f"{tmp_path}/*.none", f"{tmp_path}/binary.yml", f"{tmp_path}/empty"]
        assert problems(read_sources, paths, "src") == [(f"src[{n}]", "file") for n in range(4)]

    def test_a_file_that_is_too_large_is_not_read(self, tmp_path):
        (tmp_path / "large.yml").touch()
        with (tmp_path / "large.yml").open("r+b") as file:
            file.truncate(100 * 1024 * 1024)
        assert problems(read_sources, [f"{tmp_path}/large.yml"], "src") == [("src[0]", "file")]

    def test_a_byte_order_mark_is_no_content(self, tmp_path):
        (tmp_path / "a.yml").write_bytes(b"\xef\xbb\xbfa: 1")
        assert read_sources([str(tmp_path / "a.yml")], "src")[0]["text"] == "a: 1"

    def test_a_kustomization_is_built(self, tmp_path, monkeypatch):
        tool = tmp_path / "bin" / "kustomize"
        tool.parent.mkdir()
        tool.write_text('#!/bin/sh\n[ "$1" = build ] && echo "built: $2"\n')
        tool.chmod(0o700)
        base = tmp_path / "base"
        base.mkdir()
        (base / "kustomization.yaml").write_text("resources: []")
        monkeypatch.setenv("PATH", f"{tool.parent}:/bin:/usr/bin")
        assert read_sources([str(base)], "src")[0]["text"] == f"built: {base}\n"
        tool.write_text("#!/bin/sh\necho 'no such resource' >&2; exit 1\n")
        with pytest.raises(InputError, match="no such resource"):
            read_sources([str(base)], "src")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(InputError, match="neither kustomize nor kubectl"):
            read_sources([str(base)], "src")


class TestObjects:
    def test_two_versions_of_a_kind_are_one_object(self):
        """Applied both, each run would take the object from the other version."""
        both = [
            {**obj("a", "Gateway"), "apiVersion": version}
            for version in ("networking.istio.io/v1", "networking.istio.io/v1beta1")
        ]
        assert problems(checked, both) == [("[1]", "duplicate-object")]
        both[1]["apiVersion"] = "gateway.networking.k8s.io/v1"
        assert len(checked(both)) == 2

    def test_every_problem_at_once(self):
        bad = [
            "text",
            {"apiVersion": "v1", "kind": "X"},
            obj(name="../../secrets/x"),
            obj(name=".."),
            {"apiVersion": "v1", "kind": "X", "metadata": {"generateName": "a-"}},
            {"kind": "X", "metadata": {"name": "a"}},
            obj(namespace="a/b"),
            obj(labels={"a": True}),
            obj("twice"),
            obj("twice"),
        ]
        assert problems(checked, bad) == [
            ("[0]", "object"),
            ("[1]", "object"),
            ("[2]", "object-name"),
            ("[3]", "object-name"),
            ("[4]", "object-name"),
            ("[5]", "object"),
            ("[6]", "object-namespace"),
            ("[7]", "object"),
            ("[9]", "duplicate-object"),
        ]

    def test_string_data_becomes_data_and_wins(self):
        secret = {**obj(kind="Secret"), "data": {"a": "b2xk", "b": "eA=="}, "stringData": {"a": "new"}}
        assert checked([secret])[0]["data"] == {"a": "bmV3", "b": "eA=="}
        assert "stringData" in secret, "the caller's object stays as it is"

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"stringData": {"a": None}}, "stringData[a] is null, not text: put it in quotes"),
            ({"stringData": {"a": True}}, "stringData[a] is bool, not text: put it in quotes"),
            ({"data": {"pin": 123456}}, "data[pin] is int, not text: put it in quotes"),
            ({"data": {"a": "not base64!"}}, "data[a] is not base64: stringData takes plain text"),
            ({"data": {"a": "YQ="}}, "data[a] is not base64: stringData takes plain text"),
            ({"data": ["a"]}, "data is not a mapping"),
            ({"stringData": "a"}, "stringData is not a mapping"),
        ],
    )
    def test_values_of_a_secret_are_text(self, fields, message):
        """They became the password "None", or a server error that quoted the value and was retried."""
        with pytest.raises(InputError) as caught:
            checked([{**obj(kind="Secret"), **fields}])
        assert [(found.message, found.rule) for found in caught.value.problems] == [(message, "secret")]

    def test_data_as_kubectl_and_base64_write_it(self):
        for text in ("", "YQ==", "YWJj\nYWJj\r\n"):
            secret = {**obj(kind="Secret"), "data": {"a": text}, "stringData": None}
            assert checked([secret])[0]["data"] == {"a": text}
        assert checked([{**obj(kind="Secret"), "data": None, "stringData": {}}])[0]["data"] is None
        assert "data" not in checked([{**obj(), "kind": "Other", "stringData": {"a": None}}])[0]

    @pytest.mark.parametrize("name", ["a\n", "", " ", "a b", "a/b", "a?b", "x" * 254])
    def test_names_that_are_no_part_of_a_path(self, name):
        assert problems(checked, [obj(name=name)]) == [("[0]", "object-name")]
        assert problems(checked, [obj(namespace=f"a{name}b/" if name.strip() else "A")]) == [
            ("[0]", "object-namespace")
        ]

    @pytest.mark.parametrize("version", ["", "v1\n", "1", "a/b/v1", None, "apps/V1"])
    def test_versions_that_are_none(self, version):
        assert problems(checked, [{**obj(), "apiVersion": version}]) == [("[0]", "object")]

    def test_labels_and_annotations_are_text(self):
        bad = obj(labels={"a": 1, "b": "x"}, annotations=["a"])
        with pytest.raises(InputError) as caught:
            checked([bad], ["f.yml:3"])
        assert [str(found) for found in caught.value.problems] == [
            "f.yml:3: metadata.labels[a] is int, not text: put it in quotes (object)",
            "f.yml:3: metadata.annotations is not a mapping (object)",
        ]
        assert checked([obj(labels=None, annotations={})])

    def test_empty_labels_and_annotations_say_nothing(self):
        """The server recorded an owner for `annotations: {}` and forgot the map: a dry run in each run."""
        found = checked([obj(annotations={}, labels=None), obj("b", labels={"a": "b"}, annotations={})])
        assert found[0]["metadata"] == {"name": "a", "namespace": "n"}
        assert found[1]["metadata"] == {"name": "b", "namespace": "n", "labels": {"a": "b"}}

    def test_a_namespace_keeps_the_label_that_the_server_sets(self):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
        assert checked([namespace])[0]["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}


def run(**params):
    defaults = {name: spec.get("default") for name, spec in resources.ARGUMENT_SPEC.items()}
    return resources.run({**defaults, "host": "http://127.0.0.1:1", "api_key": "x", **params}, Context())


class TestRefusedBeforeAnyRequest:
    """The host does not exist: reaching for it would be another error."""

    def test_nothing_given(self):
        assert problems(run) == [("definition", "no-input")]

    def test_pruning_without_a_name(self):
        assert problems(run, definition=obj(), prune=True) == [("mesh_name", "prune")]

    def test_broken_definitions(self):
        assert problems(run, definition="a: 1\na: 2") == [("definition:2", "duplicate-key")]
        assert problems(run, definition=[obj(), "a: [\n"]) == [("definition[1]:2", "yaml")]
        assert problems(run, definition=7) == [("definition", "object")]

    def test_a_key_of_the_catalogue_in_two_files(self, tmp_path):
        for name in ("a.yml", "b.yml"):
            (tmp_path / name).write_text("mesh_name: shop\n")
        found = problems(run, catalogue_src=[f"{tmp_path}/a.yml", f"{tmp_path}/b.yml"])
        assert found == [(f"{tmp_path}/b.yml:1", "catalogue")]

    def test_every_problem_of_a_catalogue(self):
        found = problems(run, catalogue={"mesh_name": "shop", "mesh_servces": [], "mesh_mtls_mode": "strict"})
        assert len(found) == 2

    def test_left_overs_of_kubectl_get_are_dropped(self):
        left_over = {**obj(uid="1", resourceVersion="2", creationTimestamp=None), "status": {}}
        assert stripped(left_over) == obj()


LABELS = {"app.kubernetes.io/managed-by": "servicemesh.istio", "app.kubernetes.io/part-of": "shop"}
OWN = {"servicemesh.istio/own-object": "true"}
OURS = [{"manager": "servicemesh.istio", "operation": "Apply"}]


def of_shop(name, kind="ConfigMap", version="v1", **metadata):
    """An object of the mesh that we have written."""
    return {**obj(name, kind, labels=LABELS, managedFields=OURS, **metadata), "apiVersion": version}


class TestPruning:
    def live(self, *objects):
        return Live({key_of(found): found for found in objects})

    def prune(self, live, desired, **options):
        warnings = []
        found = to_prune(live, desired, Pruning("shop", **options), Context(warn=warnings.append))
        return sorted(item["metadata"]["name"] for item in found), warnings

    def test_only_our_own_and_only_what_is_not_described(self):
        live = self.live(
            of_shop("kept"),
            of_shop("superfluous"),
            obj("foreign"),
            {
                **of_shop("other-mesh"),
                "metadata": {
                    **of_shop("other-mesh")["metadata"],
                    "labels": {**LABELS, "app.kubernetes.io/part-of": "b"},
                },
            },
            of_shop("servicemesh-release-a"),
            of_shop("servicemesh-canary-a"),
            of_shop("owned", ownerReferences=[{}]),
            of_shop("held"),
        )
        keep = frozenset({"ConfigMap n/held"})
        assert self.prune(live, [obj("kept")], keep=keep) == (["superfluous"], [])

    def test_kinds_of_one_name_are_told_apart_by_their_group_and_not_by_their_version(self):
        istio, beta, other = (
            "networking.istio.io/v1",
            "networking.istio.io/v1beta1",
            "gateway.networking.k8s.io/v1",
        )
        gateways = [of_shop("public", "Gateway", version) for version in (istio, beta)]
        of_another_api = of_shop("public", "Gateway", other, annotations=OWN)
        live = self.live(gateways[0], of_another_api, gateways[1])
        assert self.prune(live, [of_shop("public", "Gateway", istio)])[0] == ["public"]
        desired = [of_shop("public", "Gateway", other)]
        assert self.prune(live, desired)[0] == ["public"], "once, not in each version"
        assert self.prune(live, [gateways[1], *desired])[0] == []

    def test_everything_is_refused_unless_meant(self):
        live = self.live(of_shop("one"), of_shop("two"))
        with pytest.raises(RefusedError, match="would remove all 2 objects of mesh 'shop'"):
            self.prune(live, [obj("new")])
        assert self.prune(live, [obj("new")], everything=True)[0] == ["one", "two"]

    def test_a_copy_is_not_ours_and_is_told(self):
        """``kubectl get -o yaml | kubectl apply`` takes labels and annotations along."""
        by_hand = [{"manager": "kubectl-client-side-apply", "operation": "Update"}]
        copy = obj("copy", labels=LABELS, annotations=OWN, managedFields=by_hand)
        found, warnings = self.prune(self.live(of_shop("kept"), copy), [obj("kept")])
        assert found == []
        assert len(warnings) == 1
        assert warnings[0].startswith("ConfigMap n/copy: labelled as of mesh 'shop', but never written by it")
        described = self.prune(self.live(of_shop("kept"), copy), [obj("kept"), obj("copy")])
        assert described == ([], []), "this run makes it ours"

    def test_another_field_manager_of_the_run_counts_as_well(self):
        theirs = of_shop("old")
        theirs["metadata"]["managedFields"] = [{"manager": "team", "operation": "Apply"}]
        live = self.live(of_shop("older"), theirs, of_shop("kept"))
        assert self.prune(live, [obj("kept")])[0] == ["older"]
        assert self.prune(live, [obj("kept")], field_manager="team")[0] == ["old", "older"]

    def test_of_kinds_that_no_catalogue_computes_a_team_s_own_objects_go(self):
        """Credentials, CAs, Jobs and Leases have the labels, too, and other parts keep them."""
        live = self.live(
            of_shop("kept"),
            of_shop("shop-tls", "Secret"),
            of_shop("deadman", "Job", "batch/v1"),
            of_shop("rollout", "Lease", "coordination.k8s.io/v1"),
            of_shop("settings", "Secret", annotations=OWN),
        )
        assert self.prune(live, [obj("kept")]) == (["settings"], [])

    @pytest.mark.parametrize(
        "kind", ["Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"]
    )
    def test_what_holds_more_than_itself_stays_and_is_told(self, kind):
        """A namespace that left the files would take everybody's workloads along."""
        live = self.live(of_shop("kept"), of_shop("other", kind, annotations=OWN))
        found, warnings = self.prune(live, [obj("kept")], everything=True)
        assert found == []
        assert [text.partition(", because")[0] for text in warnings] == [
            f"{kind} n/other: no longer described, and stays"
        ]
        assert self.prune(live, [obj("kept"), of_shop("other", kind)]) == ([], [])

    def test_without_a_catalogue_what_one_computes_stays(self):
        live = self.live(
            of_shop("kept", annotations=OWN), of_shop("computed"), of_shop("own", annotations=OWN)
        )
        assert self.prune(live, [obj("kept")], computed=False)[0] == ["own"]
        assert self.prune(live, [obj("kept")])[0] == ["computed", "own"]


class TestWhatAnsibleMakes:
    """Variables arrive as Python values, and not all of them are JSON."""

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (datetime.date(2026, 1, 1), "spec.a[0].b is a date, which JSON cannot hold: put it in quotes"),
            (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "spec.a[0].b is a datetime"),
            (float("nan"), "spec.a[0].b is nan"),
            (float("-inf"), "spec.a[0].b is -inf"),
            (b"x", "spec.a[0].b is a bytes"),
            ({1}, "spec.a[0].b is a set"),
            ("\udc80", "spec.a[0].b is not UTF-8 text"),
        ],
    )
    def test_what_is_no_json_is_refused_with_its_place(self, value, said):
        """It was a defect in the middle of the run."""
        for definition in ({**obj(), "spec": {"a": [{"b": value}]}}, {**obj(kind="List"), "items": [value]}):
            with pytest.raises(InputError) as caught:
                inline([definition], "definition")
            assert caught.value.problems[0].where == "definition[0]"
        with pytest.raises(InputError, match=re.escape(said)):
            inline({**obj(), "spec": {"a": ({"b": value},)}}, "definition")

    def test_everything_else_goes_through(self):
        values = {"a": [1, 1.5, True, None, "😀", "é", {}, [], {1: "x"}]}
        assert inline({**obj(), "spec": values}, "definition") == [({**obj(), "spec": values}, "definition")]


@pytest.mark.parametrize(("path", "said"), [("", "is empty"), (" \n", "is empty"), ("a\0b", "is no path")])
def test_an_empty_path_is_not_the_directory_of_the_run(path, said, tmp_path, monkeypatch):
    """``{{ path | default('') }}`` would apply every file of a project."""
    (tmp_path / "a.yml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"src\[1\]: {said}"):
        read_sources([".", path], "src")
