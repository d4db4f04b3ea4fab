"""What module resources does with its short form, its selectors, its waits and its deletions."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    ConflictError,
    InputError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import (
    backend as resources,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources.definitions import (
    with_hash,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources.selectors import (
    read_selectors,
)

from ...support.arguments import validated
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


def config_map(name: str = "a", /, labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "shop", **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(NAMESPACE)


def run(
    cluster: FakeCluster,
    files: dict[str, Any] | None = None,
    clock: FakeClock | None = None,
    check_mode: bool = False,
    warnings: list[str] | None = None,
    **params: Any,
) -> dict[str, Any]:
    checked = validated(resources.ARGUMENT_SPEC, params)
    context = Context(
        connect=reaching(cluster),
        files=files or {},
        clock=clock or FakeClock(),
        check_mode=check_mode,
        diff_mode=True,
        warn=([] if warnings is None else warnings).append,
    )
    return resources.run(checked, context)


def refused(**params: Any) -> list[tuple[str, str]]:
    cluster = FakeCluster()
    with pytest.raises(InputError) as caught:
        run(cluster, **params)
    assert cluster.calls == []
    return [(problem.where, problem.rule) for problem in caught.value.problems]


class TestShortForm:
    def test_a_name_and_a_kind_are_an_object(self, cluster: FakeCluster) -> None:
        cluster.put(config_map())
        found = run(cluster, state="absent", kind="ConfigMap", name="a", namespace="shop")
        assert found["objects"] == [{"id": "ConfigMap shop/a", "action": "deleted"}]
        assert not run(cluster, state="absent", kind="ConfigMap", name="a", namespace="shop")["changed"]
        made = run(cluster, kind="ConfigMap", name="a", namespace="shop")
        assert made["objects"] == [{"id": "ConfigMap shop/a", "action": "created"}]
        made = run(cluster, kind="Namespace", name="other")
        assert made["objects"] == [{"id": "Namespace other", "action": "created"}]

    def test_what_has_no_namespace_is_not_looked_for_in_one(self, cluster: FakeCluster) -> None:
        with pytest.raises(InputError, match="Namespace"):
            run(cluster, kind="Namespace", name="other", namespace="shop")
        assert cluster.writes == []

    def test_another_api_version(self, cluster: FakeCluster) -> None:
        deployment = {**config_map("d"), "apiVersion": "apps/v1", "kind": "Deployment"}
        cluster.put(deployment)
        given = {"api_version": "apps/v1", "kind": "Deployment", "name": "d", "namespace": "shop"}
        assert run(cluster, state="absent", **given)["changed"]

    @pytest.mark.parametrize(
        ("params", "where"),
        [
            ({"name": "a"}, ["definition", "kind"]),
            ({"kind": "Pod"}, ["name"]),
            ({"kind": "Pod", "state": "absent"}, ["kind"]),
            ({"kind": "Pod", "name": "a", "label_selectors": ["a"]}, ["label_selectors"]),
            ({"kind": "Pod", "state": "absent", "label_selectors": ["a"], "definition": config_map()},
             ["kind"]),
            ({"definition": config_map(), "label_selectors": ["a b"]}, ["label_selectors[0]"]),
            ({"definition": config_map(), "label_selectors": ["a"], "prune": True, "mesh_name": "m"},
             ["label_selectors"]),
            ({"definition": config_map(), "delete_options": {"gracePeriodSeconds": -1}},
             ["delete_options.gracePeriodSeconds"]),
            ({"definition": config_map(), "prune": True, "mesh_name": "m", "state": "absent"}, ["prune"]),
            ({"template": "a.j2"}, ["template"]),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_together(self, params: dict[str, Any], where: list[str]) -> None:
        assert [place for place, _rule in refused(**params)] == where


class TestSelectors:
    @pytest.mark.parametrize(
        ("text", "labels", "holds"),
        [
            ("a=b", {"a": "b"}, True),
            ("a==b", {"a": "c"}, False),
            ("a!=b", {}, True),
            ("a!=b", {"a": "b"}, False),
            ("a in (b, c)", {"a": "c"}, True),
            ("a in (b,c)", {}, False),
            ("a notin (b,c)", {}, True),
            ("a notin (b,c)", {"a": "b"}, False),
            ("a", {"a": ""}, True),
            ("!a", {"a": ""}, False),
            ("!a", {}, True),
            ("a=", {"a": ""}, True),
            ("example.com/a=b,c in (d,e),!f", {"example.com/a": "b", "c": "e"}, True),
            ("example.com/a=b,c in (d,e),!f", {"example.com/a": "b", "c": "e", "f": "g"}, False),
        ],
    )
    def test_a_selector(self, text: str, labels: dict[str, str], holds: bool) -> None:
        assert all(one.holds(labels) for one in read_selectors([text], "x")) is holds

    @pytest.mark.parametrize("text", ["", ",", "a b", "a in b", "a in ()x", "=a", "a=b c", "-a", "a=b\n"])
    def test_what_is_none(self, text: str) -> None:
        if text == "a=b\n":
            assert read_selectors([text], "x"), "white space around it is nothing"
            return
        with pytest.raises(InputError):
            read_selectors([text], "x")

    def test_they_choose_among_definitions(self, cluster: FakeCluster) -> None:
        both = [config_map("a", {"app": "web"}), config_map("b", {"app": "db"})]
        found = run(cluster, definition=both, label_selectors=["app=web"])
        assert [entry["id"] for entry in found["objects"]] == ["ConfigMap shop/a"]

    def test_they_choose_what_is_deleted(self, cluster: FakeCluster) -> None:
        for name, app in (("a", "web"), ("b", "web"), ("c", "db")):
            cluster.put(config_map(name, {"app": app}))
        given = {"state": "absent", "kind": "ConfigMap", "label_selectors": ["app=web", "app"]}
        shown = run(cluster, check_mode=True, namespace="shop", **given)
        assert shown["counts"]["deleted"] == 2 and len(cluster.of_kind("ConfigMap")) == 3
        assert run(cluster, namespace="shop", **given)["counts"]["deleted"] == 2
        assert [obj["metadata"]["name"] for obj in cluster.of_kind("ConfigMap")] == ["c"]
        assert not run(cluster, namespace="shop", **given)["changed"]
        with pytest.raises(InputError, match="none is guessed"):
            run(cluster, **given)

    def test_a_kind_that_nobody_serves_has_no_objects(self, cluster: FakeCluster) -> None:
        cluster.missing.add("Widget")
        given = {"state": "absent", "kind": "Widget", "label_selectors": ["a"], "namespace": "shop"}
        assert not run(cluster, **given)["changed"]


class TestDeleteOptions:
    def test_they_reach_the_server_also_in_check_mode(self, cluster: FakeCluster) -> None:
        cluster.put(config_map())
        options = {"propagationPolicy": "Orphan", "gracePeriodSeconds": 0}
        for check_mode in (True, False):
            run(
                cluster,
                check_mode=check_mode,
                state="absent",
                definition=config_map(),
                delete_options=options,
            )
        assert cluster.delete_options == [options, options]

    def test_without_any_the_plain_way(self, cluster: FakeCluster) -> None:
        cluster.put(config_map())
        run(cluster, state="absent", definition=config_map())
        assert cluster.delete_options == [{"propagationPolicy": "Background"}]

    def test_another_object_is_left_alone(self, cluster: FakeCluster) -> None:
        cluster.put(config_map())
        options = {"preconditions": {"resourceVersion": "7"}}
        with pytest.raises(ApiError, match="Precondition failed"):
            run(cluster, state="absent", definition=config_map(), delete_options=options)
        assert cluster.find("ConfigMap", "a", "shop")

    def test_a_precondition_is_about_one_object(self, cluster: FakeCluster) -> None:
        both = [config_map("a"), config_map("b")]
        for obj in both:
            cluster.put(obj)
        with pytest.raises(InputError, match="about one object, but 2 would be deleted"):
            run(cluster, state="absent", definition=both, delete_options={"preconditions": {"uid": "u"}})
        assert cluster.writes == []


class TestWaitCondition:
    def put(self, cluster: FakeCluster, **condition: str) -> None:
        cluster.put({**config_map(), "status": {"conditions": [{"type": "Other"}, condition]}})

    def wait(self, cluster: FakeCluster, clock: FakeClock | None = None, **wanted: str) -> dict[str, Any]:
        return run(
            cluster, clock=clock, definition=config_map(), wait=True, wait_timeout=3, wait_condition=wanted
        )

    def test_without_wait_it_is_told_that_nothing_waits(self, cluster: FakeCluster) -> None:
        warnings: list[str] = []
        run(cluster, warnings=warnings, definition=config_map(), wait_condition={"type": "Ready"})
        assert warnings == ["wait_condition has no effect without wait: true"]

    def test_it_holds(self, cluster: FakeCluster) -> None:
        self.put(cluster, type="Ready", status="True", reason="Fine")
        self.wait(cluster, type="Ready")
        self.wait(cluster, type="Ready", reason="Fine")

    @pytest.mark.parametrize(
        ("wanted", "seen"),
        [
            ({"type": "Ready", "status": "False"}, "condition Ready is True (Fine)"),
            ({"type": "Ready", "reason": "Done"}, "condition Ready is True (Fine)"),
            ({"type": "Missing"}, "condition Missing is not reported yet"),
        ],
    )
    def test_it_does_not(self, cluster: FakeCluster, wanted: dict[str, str], seen: str) -> None:
        self.put(cluster, type="Ready", status="True", reason="Fine")
        with pytest.raises(WaitTimeout) as caught:
            self.wait(cluster, **wanted)
        assert seen in caught.value.last_seen

    def test_it_comes_later(self, cluster: FakeCluster) -> None:
        self.put(cluster, type="Ready", status="False")
        clock = FakeClock()
        clock.at(2.0, lambda: self.put(cluster, type="Ready", status="True"))
        self.wait(cluster, clock, type="Ready")


class TestHash:
    def test_the_name_follows_the_content_and_nothing_else(self) -> None:
        one = with_hash(config_map(a="1"))["metadata"]["name"]
        assert one.startswith("a-") and len(one) == 12
        assert with_hash(config_map("a", {"x": "y"}, a="1"))["metadata"]["name"] == one
        assert with_hash(config_map(a="2"))["metadata"]["name"] != one
        secret = {**config_map(a="1"), "kind": "Secret"}
        assert with_hash(secret)["metadata"]["name"] not in ("a", one)
        for other in ({**secret, "kind": "Service"}, {**secret, "apiVersion": "x.dev/v1"}):
            assert with_hash(other) is other

    def test_it_is_applied_and_taken_away(self, cluster: FakeCluster) -> None:
        assert run(cluster, definition=config_map(a="1"), append_hash=True)["changed"]
        assert not run(cluster, definition=config_map(a="1"), append_hash=True)["changed"]
        name = cluster.of_kind("ConfigMap")[0]["metadata"]["name"]
        assert name == with_hash(config_map(a="1"))["metadata"]["name"]
        assert run(cluster, definition=config_map(a="1"), append_hash=True, state="absent")["changed"]
        assert cluster.of_kind("ConfigMap") == []


class TestPlaces:
    FILE = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a, namespace: shop}\n---\n" + (
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: b, namespace: shop}\ndata: {a: wanted}\n"
    )

    def files(self, **more: str) -> dict[str, Any]:
        return {"src": [{"path": "team/objects.yml", "text": self.FILE, **more}]}

    @pytest.mark.parametrize("check_mode", [False, True])
    def test_a_refusal_of_the_server_names_file_and_line(
        self, cluster: FakeCluster, check_mode: bool
    ) -> None:
        cluster.fail("apply", "ConfigMap", 422, when=lambda call: call.name == "b", times=9)
        with pytest.raises(ApiError) as caught:
            run(cluster, self.files(), src=["x"], check_mode=check_mode)
        assert caught.value.message.startswith("team/objects.yml:5: ")
        assert caught.value.details["where"] == "team/objects.yml:5"

    def test_a_conflict_does_too_and_names_the_way_out(self, cluster: FakeCluster) -> None:
        cluster.apply(config_map("b", a="theirs"), field_manager="flux")
        with pytest.raises(ConflictError) as caught:
            run(cluster, self.files(), src=["x"])
        assert caught.value.message.startswith(
            "team/objects.yml:5: ConfigMap shop/b: another field manager owns"
        )
        assert caught.value.message.endswith("or take them over with force: true")
        assert run(cluster, self.files(), src=["x"], force=True)["changed"]

    def test_an_outage_is_not_the_fault_of_a_file(self, cluster: FakeCluster) -> None:
        cluster.fail("apply", "ConfigMap", "lost request", times=99)
        with pytest.raises(ApiError) as caught:
            run(cluster, self.files(), src=["x"])
        assert "team/objects.yml" not in caught.value.message

    def test_a_missing_namespace_is_found_where_it_is_missing(self, cluster: FakeCluster) -> None:
        text = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"
        with pytest.raises(InputError) as caught:
            run(cluster, {"src": [{"path": "a.yml", "text": text}]}, src=["a.yml"])
        assert str(caught.value.problems[0]).startswith("a.yml:1 of ConfigMap a: needs a namespace")

    def test_a_rendered_template_is_a_source(self, cluster: FakeCluster) -> None:
        found = run(cluster, {"template": [{"path": "t.j2 (rendered)", "text": self.FILE}]}, template="t.j2")
        assert found["counts"]["created"] == 2

    def test_what_a_vault_holds_is_not_shown(self, cluster: FakeCluster) -> None:
        shown = run(cluster, self.files(hidden="yes"), src=["x"], definition=config_map("c", a="plain"))
        assert "wanted" not in str(shown)
        assert "plain" in str(shown["diff"])
        assert [diff["before_header"] for diff in shown["diff"]] == [
            "ConfigMap shop/c",
            "ConfigMap shop/a",
            "ConfigMap shop/b",
        ]
