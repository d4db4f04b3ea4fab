"""The write path against an API server in memory: what is asked, what is written, what is told."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    ConflictError,
    InputError,
    MeshError,
    RefusedError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.deletion import Deletion
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.engine import (
    Held,
    Wait,
)

from ...support.cluster import FakeCluster
from .objects import OURS, actions, apply, cluster_with, config_map, forget, namespace, quiet, rule


class TestOutcomes:
    def test_created_updated_and_unchanged(self) -> None:
        cluster = cluster_with(config_map("same", a="1"), config_map("other", a="1"))
        result = apply(cluster, config_map("same", a="1"), config_map("other", a="2"), config_map("new"))
        assert actions(result) == {"ConfigMap shop/other": "updated", "ConfigMap shop/new": "created"}
        assert result["counts"] == {
            "created": 1, "updated": 1, "adopted": 0, "deleted": 0, "unchanged": 1, "held": 0,
        }  # fmt: skip
        assert result["changed"] is True
        assert cluster.writes == [("apply", "ConfigMap shop/other"), ("apply", "ConfigMap shop/new")]

    def test_nothing_to_do_costs_lists_only(self) -> None:
        objects = [config_map(name, a="1") for name in "abc"]
        cluster = cluster_with(*objects)
        result = apply(cluster, *objects)
        assert (result["changed"], result["objects"]) == (False, [])
        assert {call.verb for call in cluster.calls} == {"list"}

    @pytest.mark.parametrize(("old", "new"), [(False, 0), (1, True), (None, 0), ("1", 1)])
    def test_a_change_that_only_python_takes_for_none(self, old: Any, new: Any) -> None:
        """``0 == False`` told it as unchanged, and with a proof by fields it was never written."""
        for proof in ("fields", "dry_run"):
            cluster = cluster_with(rule(flag=old))
            result = apply(cluster, rule(flag=new), proof=proof)
            assert actions(result) == {"DestinationRule shop/x": "updated"}
            assert cluster.find("DestinationRule", "x", "shop")["spec"]["flag"] is new

    def test_numbers_of_one_value_are_no_change(self) -> None:
        for proof in ("fields", "dry_run"):
            cluster = cluster_with(rule(number=1))
            assert apply(cluster, rule(number=1.0), proof=proof)["changed"] is False

    def test_an_object_of_another_manager_is_adopted(self) -> None:
        cluster = cluster_with(config_map(a="1"), manager="helm")
        assert actions(apply(cluster, config_map(a="1"))) == {"ConfigMap shop/a": "adopted"}

    def test_absent_objects_are_deleted_once(self) -> None:
        cluster = cluster_with(config_map())
        assert actions(apply(cluster, absent=[config_map()])) == {"ConfigMap shop/a": "deleted"}
        assert apply(cluster, absent=[config_map()])["changed"] is False
        assert cluster.writes == [("delete", "ConfigMap shop/a")]

    def test_an_object_without_a_namespace_goes_into_the_given_one(self) -> None:
        result = apply(cluster_with(), config_map("new", None), namespace="shop")
        assert actions(result) == {"ConfigMap shop/new": "created"}

    def test_warnings_of_the_server_are_told(self) -> None:
        cluster, told = cluster_with(), []
        cluster.warnings = ["v1beta1 is deprecated"]
        apply(cluster, config_map(), context=quiet(warn=told.append))
        assert told == ["v1beta1 is deprecated"]

    @pytest.mark.parametrize("check_mode", [True, False])
    def test_an_istio_object_that_a_webhook_changes_on_its_way_is_told(
        self, monkeypatch: pytest.MonkeyPatch, check_mode: bool
    ) -> None:
        """Else the state that a policy wrote is proved, and each later run finds it unchanged."""
        cluster, told = cluster_with(config_map()), []
        real = cluster.apply_told

        def admitted(obj: dict[str, Any], **options: Any) -> tuple[dict[str, Any], bool]:
            after, created = real(obj, **options)
            after["spec" if "spec" in after else "data"] |= {"host": "everybody", "added": "1"}
            return after, created

        monkeypatch.setattr(cluster, "apply_told", admitted)
        apply(cluster, config_map(a="1"), rule(), context=quiet(check_mode=check_mode, warn=told.append))
        said = "spec.host is stored otherwise than sent (an admission webhook?)"
        assert told == [f"DestinationRule shop/x: {said}"]


class TestCheckMode:
    def test_nothing_is_written_and_everything_is_asked(self) -> None:
        cluster = cluster_with(config_map("same"), config_map("other", a="1"), config_map("old"))
        result = apply(
            cluster,
            config_map("same"),
            config_map("other", a="2"),
            config_map("new"),
            absent=[config_map("old")],
            context=quiet(check_mode=True),
        )
        assert result["changed"] is True
        assert actions(result) == {
            "ConfigMap shop/other": "updated",
            "ConfigMap shop/new": "created",
            "ConfigMap shop/old": "deleted",
        }
        assert cluster.writes == []
        assert [verb for verb, _subject in cluster.dry_runs] == ["apply", "apply", "delete"]

    def test_a_namespace_of_the_same_run_cannot_be_asked_about(self) -> None:
        result = apply(
            cluster := FakeCluster(),
            namespace(),
            config_map(),
            context=quiet(check_mode=True, diff_mode=True),
        )
        assert actions(result) == {
            "Namespace shop": "created",
            "ConfigMap shop/a": "would create (not validated by the server)",
        }
        assert result["counts"]["created"] == 2
        assert cluster.dry_runs == [("apply", "Namespace shop")]
        assert len(result["diff"]) == 2

    def test_an_existing_namespace_of_the_run_can_be_asked_about(self) -> None:
        cluster = cluster_with()
        apply(cluster, namespace(), config_map(), context=quiet(check_mode=True))
        assert ("apply", "ConfigMap shop/a") in cluster.dry_runs

    def test_a_namespace_that_is_missing_altogether(self) -> None:
        cluster = cluster_with()
        result = apply(cluster, config_map(namespace="other"), context=quiet(check_mode=True))
        assert actions(result)["ConfigMap other/a"].startswith("would create")

    def test_a_kind_that_is_missing(self) -> None:
        cluster = cluster_with()
        cluster.missing.add("DestinationRule")
        result = apply(cluster, rule(), context=quiet(check_mode=True))
        assert actions(result)["DestinationRule shop/x"].startswith("would create")
        with pytest.raises(ApiError, match="does not serve DestinationRule") as caught:
            apply(cluster, rule())
        assert caught.value.reason == "NoKind"

    def test_proof_by_dry_run_asks_about_every_object(self) -> None:
        cluster = cluster_with(config_map())
        assert apply(cluster, config_map(), proof="dry_run")["changed"] is False
        assert cluster.dry_runs == [("apply", "ConfigMap shop/a")]
        assert cluster.writes == []

    def test_validate_first_asks_before_the_first_write(self) -> None:
        cluster = cluster_with()
        cluster.fail("apply", "DestinationRule", 422)
        with pytest.raises(ApiError):
            apply(cluster, config_map(), rule(), validate_first=True)
        assert cluster.writes == []


class TestRefusals:
    def test_fields_of_another_manager_are_a_conflict_that_force_takes(self) -> None:
        cluster = cluster_with(config_map(a="1"), manager="flagger")
        with pytest.raises(ConflictError) as caught:
            apply(cluster, config_map(a="2"))
        assert caught.value.manager == "flagger"
        assert caught.value.details["not_written"] == 1
        assert actions(apply(cluster, config_map(a="2"), force=True)) == {"ConfigMap shop/a": "updated"}

    def test_all_conflicts_of_a_check_are_told_at_once(self) -> None:
        names = "abcdefg"
        cluster = cluster_with(*(config_map(name, a="1") for name in names), manager="flagger")
        with pytest.raises(ConflictError) as caught:
            apply(cluster, *(config_map(name, a="2") for name in names), context=quiet(check_mode=True))
        assert len(caught.value.details["others"]) == 6
        assert caught.value.message.count("another field manager owns") == 1, "one problem per cause"
        assert caught.value.message.endswith(
            "(the same for ConfigMap shop/b, ConfigMap shop/c, ConfigMap shop/d and 3 more)"
        )

    def test_causes_that_differ_are_told_one_by_one(self) -> None:
        names = "abcdefg"
        cluster = cluster_with(*(config_map(name, **{name: "1"}) for name in names), manager="flagger")
        with pytest.raises(ConflictError) as caught:
            apply(
                cluster, *(config_map(name, **{name: "2"}) for name in names), context=quiet(check_mode=True)
            )
        assert caught.value.message.count("ConfigMap shop/") == 5
        assert caught.value.message.endswith("; and 2 more")
        assert str(caught.value) == caught.value.message

    def test_a_person_s_edit_is_taken_back_and_told(self) -> None:
        cluster = cluster_with(config_map(a="1", b="1"))
        cluster.patch("v1", "ConfigMap", "a", "shop", {"data": {"a": "2"}}, field_manager="kubectl-edit")
        result = apply(cluster, config_map(a="1", b="1"))
        assert result["objects"] == [
            {"id": "ConfigMap shop/a", "action": "updated", "taken_back_from": "kubectl-edit"}
        ]
        assert cluster.find("ConfigMap", "a", "shop")["data"] == {"a": "1", "b": "1"}

    @pytest.mark.parametrize("check_mode", [False, True])
    def test_what_a_person_added_to_an_object_that_is_ours_as_a_whole(self, check_mode: bool) -> None:
        cluster = cluster_with(rule("v1"), config_map(c="1"))
        patch = {"spec": {"trafficPolicy": {"tls": {"mode": "DISABLE"}}}}
        cluster.patch(
            "networking.istio.io/v1", "DestinationRule", "x", "shop", patch, field_manager="kubectl-edit"
        )
        cluster.patch("v1", "ConfigMap", "a", "shop", {"data": {"b": "2"}}, field_manager="kubectl-edit")
        result = apply(
            cluster, rule("v1"), config_map(c="1"), whole=True, context=quiet(check_mode=check_mode)
        )
        assert result["objects"] == [
            {"id": "DestinationRule shop/x", "action": "updated", "taken_back_from": "kubectl-edit"}
        ]
        assert ("trafficPolicy" in cluster.find("DestinationRule", "x", "shop")["spec"]) is check_mode
        assert cluster.find("ConfigMap", "a", "shop")["data"] == {"b": "2", "c": "1"}, (
            "only Istio's kinds are ours alone"
        )
        assert apply(cluster, rule("v1"), whole=False)["changed"] is False

    @pytest.mark.parametrize(("status", "told"), [(400, True), (403, True), (422, True), (500, False)])
    def test_refusals_of_a_dry_run_are_collected_and_outages_are_not(self, status: int, told: bool) -> None:
        cluster = cluster_with()
        cluster.fail("apply", how=status, times=2)
        with pytest.raises(ApiError) as caught:
            apply(cluster, config_map("a"), config_map("b"), context=quiet(check_mode=True))
        assert ("others" in caught.value.details) is told

    def test_objects_that_need_a_namespace(self) -> None:
        cluster = cluster_with()
        with pytest.raises(InputError, match="needs a namespace"):
            apply(cluster, config_map(namespace=None))
        with pytest.raises(InputError, match="is cluster-wide but names a namespace"):
            apply(cluster, {**namespace("b"), "metadata": {"name": "b", "namespace": "shop"}})
        assert cluster.calls == []
        assert actions(apply(cluster, config_map(namespace=None), namespace="shop")) == {
            "ConfigMap shop/a": "created"
        }

    def test_an_object_that_is_being_deleted(self) -> None:
        gone = config_map()
        gone["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]}
        cluster = cluster_with()
        cluster.put(gone)
        with pytest.raises(RefusedError, match=r"is being deleted \(finalizers: \['x/y'\]\)"):
            apply(cluster, config_map(a="1"))
        assert cluster.writes == []

    @pytest.mark.parametrize("check_mode", [True, False])
    @pytest.mark.parametrize("proof", ["fields", "dry_run"])
    def test_one_that_looks_as_it_should_is_no_better(self, proof: str, check_mode: bool) -> None:
        """It was told as unchanged where a dry-run proves it, and others were written before it was seen."""
        cluster = cluster_with(config_map("b", a="1"))
        self.leaving(cluster, "b")
        with pytest.raises(RefusedError, match="ConfigMap shop/b is being deleted"):
            both = (config_map("a"), config_map("b", a="1"))
            apply(cluster, *both, proof=proof, context=quiet(check_mode=check_mode))
        assert cluster.writes == []

    def test_what_is_being_deleted_already_is_no_change_and_is_waited_for(self) -> None:
        cluster = cluster_with(config_map("a"), config_map("b"))
        self.leaving(cluster, "b")
        both = [config_map("a"), config_map("b")]
        assert actions(apply(cluster, absent=both, context=quiet(check_mode=True))) == {
            "ConfigMap shop/a": "deleted"
        }
        assert actions(apply(cluster, absent=both)) == {"ConfigMap shop/a": "deleted"}
        with pytest.raises(WaitTimeout, match="ConfigMap shop/b is still there"):
            apply(cluster, absent=both, wait=Wait(5.0))
        context = quiet()
        context.clock.at(2.0, lambda: cluster.remove("ConfigMap", "b", "shop"))
        assert apply(cluster, absent=both, wait=Wait(5.0), context=context)["changed"] is False

    def test_a_grace_period_is_sent_all_the_same(self) -> None:
        """Which ends a pod that cannot end by itself."""
        cluster = cluster_with(config_map("b"))
        self.leaving(cluster, "b")
        forced = apply(cluster, absent=[config_map("b")], deletion=Deletion(grace_seconds=0))
        assert (actions(forced), cluster.delete_options[-1]["gracePeriodSeconds"]) == (
            {"ConfigMap shop/b": "deleted"},
            0,
        )

    @staticmethod
    def leaving(cluster: FakeCluster, name: str) -> None:
        live = cluster.find("ConfigMap", name, "shop")
        live["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]}


class TestBeforeTheWrite:
    def test_it_sees_the_plan_and_can_take_items_out(self) -> None:
        cluster, seen = cluster_with(), []

        def hold(plan: Any) -> None:
            seen.append((plan.changed, [item.id for item in plan.items]))
            plan.items[0].action = "held by run 7"

        result = apply(cluster, config_map("a"), config_map("b"), before_write=hold)
        assert seen == [(True, ["ConfigMap shop/a", "ConfigMap shop/b"])]
        assert actions(result) == {"ConfigMap shop/a": "held by run 7", "ConfigMap shop/b": "created"}
        assert (result["counts"]["held"], cluster.writes) == (1, [("apply", "ConfigMap shop/b")])

    def test_it_can_refuse(self) -> None:
        cluster = cluster_with()

        def refuse(_plan: Any) -> None:
            raise RefusedError("no", rule="r")

        for check_mode in (True, False):
            with pytest.raises(RefusedError):
                apply(cluster, config_map(), before_write=refuse, context=quiet(check_mode=check_mode))
        assert cluster.writes == []

    def test_it_is_not_asked_when_nothing_would_change(self) -> None:
        cluster = cluster_with(config_map())
        apply(cluster, config_map(), before_write=lambda _plan: pytest.fail("nothing changes"))


class TestBarrier:
    def test_it_gets_each_step_that_changed_something(self) -> None:
        cluster, steps = cluster_with(rule("v1"), config_map()), []

        def barrier(held: Held) -> None:
            names = [[subset["name"] for subset in obj["spec"]["subsets"]] for obj in held.objects]
            before = [[subset["name"] for subset in obj["spec"]["subsets"]] for obj in held.before]
            steps.append((held.step, names, before, held.last))

        apply(cluster, rule("v2"), config_map(a="1"), barrier=barrier)
        assert steps == [
            ("expand", [["v2", "v1"]], [["v1"]], False),
            ("contract", [["v2"]], [["v2", "v1"]], True),
        ]

    def test_an_error_from_it_stops_the_next_step(self) -> None:
        cluster = cluster_with(rule("v1"))

        def barrier(_held: Held) -> None:
            raise MeshError("the proxies do not hold it")

        with pytest.raises(MeshError, match="do not hold it") as caught:
            apply(cluster, rule("v2"), barrier=barrier)
        assert caught.value.details["objects"] == [{"id": "DestinationRule shop/x", "action": "updated"}]
        subsets = cluster.find("DestinationRule", "x", "shop")["spec"]["subsets"]
        assert [subset["name"] for subset in subsets] == ["v2", "v1"]

    def test_a_step_that_the_server_found_as_it_was_needs_no_proof(self) -> None:
        cluster = cluster_with()
        cluster.put(rule("v1"))  # nobody owns it yet: there is no proof by fields
        cluster.find("DestinationRule", "x", "shop")["metadata"]["managedFields"] = [
            {"manager": OURS, "operation": "Apply", "apiVersion": "networking.istio.io/v1",
             "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:host": {}, "f:subsets": {}}}},
            {"manager": OURS, "operation": "Apply", "subresource": "status", "fieldsV1": {}},
        ]  # fmt: skip
        apply(cluster, rule("v1"), barrier=lambda held: pytest.fail(f"{held.step}: nothing changed"))

    def test_deletions_are_told_to_it_as_they_were(self) -> None:
        cluster, seen = cluster_with(rule("v1")), []
        apply(
            cluster,
            absent=[rule()],
            barrier=lambda held: seen.append((held.step, held.objects, len(held.before))),
        )
        assert seen == [("contract", [], 1)]


class TestInterruption:
    @pytest.mark.parametrize("after", [0, 1, 2])
    def test_nothing_is_written_after_a_stop_and_what_was_is_told(self, after: int) -> None:
        cluster = cluster_with()
        context = quiet(stop=lambda: len(cluster.writes) >= after)
        with pytest.raises(ApiError, match="interrupted: the remaining objects were not written") as caught:
            apply(cluster, *(config_map(name) for name in "abc"), context=context)
        assert caught.value.reason == "Interrupted"
        assert len(cluster.writes) == after
        written = [entry["id"] for entry in caught.value.details["objects"]]
        assert written == [f"ConfigMap shop/{name}" for name in "abc"[:after]]
        assert caught.value.details["not_written"] == 3 - after
        assert caught.value.details["changed"] is (after > 0)
        said = f"({after} of 3 objects were written; run again to do the rest)"
        assert (said in caught.value.message) is (after > 0)

    def test_an_outage_in_between_tells_how_far_it_came(self) -> None:
        cluster = cluster_with()
        cluster.fail("apply", how="lost request", when=lambda call: call.name == "b")
        with pytest.raises(ApiError, match=r"\(1 of 3 objects were written") as caught:
            apply(cluster, *(config_map(name) for name in "abc"))
        assert caught.value.details["objects"] == [{"id": "ConfigMap shop/a", "action": "created"}]
        result = apply(cluster, *(config_map(name) for name in "abc"))
        assert actions(result) == {"ConfigMap shop/b": "created", "ConfigMap shop/c": "created"}

    def test_a_stop_before_a_deletion(self) -> None:
        cluster = cluster_with(config_map())
        with pytest.raises(ApiError, match="interrupted"):
            apply(cluster, absent=[config_map()], context=quiet(stop=lambda: True))
        assert cluster.find("ConfigMap", "a", "shop")


class Contended(FakeCluster):
    """Somebody else writes right before, or our own request arrives twice."""

    def __init__(self, *, foreign: int = 0, twice: int = 0) -> None:
        super().__init__(namespace())
        self.foreign, self.twice = foreign, twice

    def apply_told(self, obj: Any, **options: Any) -> Any:
        if self.foreign and not options.get("dry_run"):
            self.foreign -= 1
            patch = {"metadata": {"labels": {"by": f"controller-{self.foreign}"}}}
            self.patch(obj["apiVersion"], obj["kind"], "x", "shop", patch, field_manager="controller")
        if self.twice and not options.get("dry_run"):
            self.twice -= 1
            super().apply_told(obj, **options)
        return super().apply_told(obj, **options)


class TestContention:
    @pytest.mark.parametrize("times", [1, 5])
    def test_a_write_in_between_is_read_and_the_apply_repeated(self, times: int) -> None:
        cluster = Contended()
        cluster.apply(rule("v1"))
        forget(cluster)
        cluster.foreign = times
        result = apply(cluster, rule("v1", "v2"))
        assert actions(result) == {"DestinationRule shop/x": "updated"}
        live = cluster.find("DestinationRule", "x", "shop")
        assert live["metadata"]["labels"] == {"by": "controller-0"}
        assert len(live["spec"]["subsets"]) == 2

    def test_somebody_who_never_stops_writing(self) -> None:
        cluster = Contended()
        cluster.apply(rule("v1"))
        cluster.foreign = 6
        with pytest.raises(ApiError) as caught:
            apply(cluster, rule("v1", "v2"))
        assert caught.value.status == 409

    def test_a_request_that_arrived_twice_is_told_once_and_as_what_it_changed(self) -> None:
        cluster = Contended()
        cluster.apply(rule("v1"))
        forget(cluster)
        cluster.twice = 1
        result = apply(cluster, rule("v1", "v2"), context=quiet(diff_mode=True))
        assert actions(result) == {"DestinationRule shop/x": "updated"}
        assert "v2" not in result["diff"][0]["before"]
        assert [verb for verb, _subject in cluster.writes] == ["apply"]

    def test_a_version_that_the_caller_asked_for_is_kept(self) -> None:
        cluster = cluster_with(rule("v1"))
        stale = rule("v2")
        stale["metadata"]["resourceVersion"] = "1"
        with pytest.raises(ApiError) as caught:
            apply(cluster, stale)
        assert caught.value.status == 409

    def test_an_object_that_vanished_is_created(self) -> None:
        cluster = cluster_with(config_map(a="1"))
        cluster.fail("apply", how=409)
        cluster.remove("ConfigMap", "a", "shop")
        assert actions(apply(cluster, config_map(a="2"))) == {"ConfigMap shop/a": "created"}


class Mutilated(FakeCluster):
    """What a proxy leaves of an answer: a value of another type, the version as it was."""

    def list(self, *arguments: Any, **options: Any) -> Any:
        found = super().list(*arguments, **options)
        for obj in found.items:
            obj["data"] = {"a": 5}
        return found

    def get(self, *arguments: Any, **options: Any) -> Any:
        found = super().get(*arguments, **options)
        return found and {**found, "data": {"a": 5}}


def test_what_the_server_left_as_it_was_is_not_told_as_written() -> None:
    cluster = Mutilated(namespace())
    cluster.apply(config_map(a="1"), field_manager=OURS)
    result = apply(cluster, config_map(a="1"), proof="dry_run")
    version = cluster.find("ConfigMap", "a", "shop")["metadata"]["resourceVersion"]
    assert (result["changed"], actions(result)) == (False, {})
    again = apply(cluster, config_map(a="1"), proof="dry_run")
    assert again["changed"] is False
    assert cluster.find("ConfigMap", "a", "shop")["metadata"]["resourceVersion"] == version


class TestDefinitions:
    DEFINITION = "apiextensions.k8s.io/v1"

    def definition(self) -> dict[str, Any]:
        return {
            "apiVersion": self.DEFINITION,
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"kind": "Thing"},
                "versions": [{"name": "v1"}],
            },
        }

    def thing(self) -> dict[str, Any]:
        return {
            "apiVersion": "example.com/v1",
            "kind": "Thing",
            "metadata": {"name": "t", "namespace": "shop"},
        }

    def establish(self, cluster: FakeCluster, status: str) -> None:
        live = cluster.find("CustomResourceDefinition", "things.example.com")
        if live is not None:
            live["status"] = {"conditions": [{"type": "Established", "status": status}]}
            if status == "True":
                cluster.missing.discard("Thing")

    def test_its_objects_wait_until_it_is_established(self) -> None:
        cluster, context = cluster_with(), quiet()
        cluster.missing.add("Thing")
        context.clock.at(1.0, lambda: self.establish(cluster, "False"))
        context.clock.at(5.0, lambda: self.establish(cluster, "True"))
        result = apply(cluster, self.thing(), self.definition(), context=context)
        assert [subject for _verb, subject in cluster.writes] == [
            "CustomResourceDefinition things.example.com",
            "Thing shop/t",
        ]
        assert result["counts"]["created"] == 2
        assert "refresh_discovery" in [call.verb for call in cluster.calls]

    def test_one_that_is_never_established(self) -> None:
        cluster = cluster_with()
        cluster.missing.add("Thing")
        with pytest.raises(WaitTimeout, match=r"things\.example\.com to be established") as caught:
            apply(cluster, self.thing(), self.definition())
        assert caught.value.details["not_written"] == 1

    def test_one_that_goes_needs_no_wait(self) -> None:
        cluster = cluster_with(self.definition())
        assert apply(cluster, absent=[self.definition()])["counts"]["deleted"] == 1

    @pytest.mark.parametrize(
        ("field", "value"),
        [("group", "other.com"), ("names", {"kind": "Other"}), ("versions", [{"name": "v2"}])],
    )
    def test_another_definition_does_not_help(self, field: str, value: Any) -> None:
        cluster = cluster_with()
        cluster.missing.add("Thing")
        definition = self.definition()
        definition["spec"][field] = value
        with pytest.raises(ApiError, match="does not serve Thing"):
            apply(cluster, self.thing(), definition)
        assert cluster.writes == []

    def test_its_scope_counts_before_it_exists(self) -> None:
        cluster = cluster_with()
        cluster.missing.add("Thing")
        lost = {**self.thing(), "metadata": {"name": "t"}}
        with pytest.raises(InputError, match="needs a namespace"):
            apply(cluster, lost, self.definition())
        wide = self.definition()
        wide["spec"]["scope"] = "Cluster"
        with pytest.raises(InputError, match="is cluster-wide"):
            apply(cluster, self.thing(), wide)


def test_waiting_is_part_of_the_run_and_tells_what_was_written() -> None:
    cluster = cluster_with()
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "shop"},
        "spec": {"replicas": 1},
    }
    with pytest.raises(
        WaitTimeout, match="Deployment shop/d: the controller has not seen the change yet"
    ) as caught:
        apply(cluster, deployment, wait=Wait(timeout=3))
    assert caught.value.details["objects"] == [{"id": "Deployment shop/d", "action": "created"}]
    assert caught.value.details["not_written"] == 0
