"""The write path through module resources: requests, exactness of check mode, pruning, waiting, steps."""

from __future__ import annotations

import random
import threading
import time

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    ConflictError,
    InputError,
    MeshError,
    RefusedError,
    WaitTimeout,
)

from ...unit.support.write_path import apply
from . import objects


def rule(space, name="one", subsets=("v1",), **metadata):
    spec = {"host": "x", "subsets": [{"name": subset, "labels": {"version": subset}} for subset in subsets]}
    return objects.istio("DestinationRule", name, space, spec, **metadata)


def routes(space, name="one", subset="v1"):
    spec = {"hosts": ["x"], "http": [{"route": [{"destination": {"host": "x", "subset": subset}}]}]}
    return objects.istio("VirtualService", name, space, spec)


def many(space, count):
    """``count`` objects of five kinds."""
    made = []
    for number in range(count):
        made.append(objects.templates(space, f"n{number}")[number % 5])
    return made


class TestRequests:
    """K kinds, N objects, M changed, C contracted; before a write one question about rights (POST)."""

    def test_first_no_change_check_and_change(self, run, proxy, space):
        wanted = many(space, 20)
        run(host=proxy.url, definition=wanted)
        assert proxy.methods == {"DISCOVERY": 1, "LIST": 5, "POST": 1, "APPLY": 20}
        proxy.reset()
        assert run(host=proxy.url, definition=wanted)["changed"] is False
        assert proxy.methods == {"DISCOVERY": 1, "LIST": 5}
        for obj in wanted[:3]:
            obj["metadata"].setdefault("labels", {})["changed"] = "yes"
        proxy.reset()
        assert run(host=proxy.url, check_mode=True, definition=wanted)["counts"]["updated"] == 3
        assert proxy.methods == {"DISCOVERY": 1, "LIST": 5, "DRY-RUN": 3}
        proxy.reset()
        assert run(host=proxy.url, definition=wanted)["counts"]["updated"] == 3
        assert proxy.methods == {"DISCOVERY": 1, "LIST": 5, "POST": 1, "APPLY": 3}

    def test_only_what_is_narrowed_is_written_twice(self, run, proxy, space):
        run(definition=[rule(space, "one"), rule(space, "two"), routes(space)])
        wanted = [rule(space, "one", ["v2"]), rule(space, "two", ["v1", "v2"]), routes(space, subset="v2")]
        proxy.reset()
        run(host=proxy.url, definition=wanted)
        # One object of a kind is read by its name: the same number of requests, and fewer rights.
        assert proxy.methods == {"DISCOVERY": 1, "LIST": 1, "GET": 1, "POST": 1, "APPLY": 4}

    def test_the_server_counts_the_same(self, kube, run, space):
        wanted = many(space, 15)

        def served():
            text = kube.request("GET", "/metrics", accept="*/*").data
            lines = [line for line in text.splitlines() if line.startswith("apiserver_request_total{")]
            ours = [line for line in lines if ".istio.io" in line]
            return {
                verb: sum(int(float(line.rpartition(" ")[2])) for line in ours if f'verb="{verb}"' in line)
                for verb in ("LIST", "APPLY", "GET", "PATCH", "POST", "PUT")
            }

        def counted():
            """What one run asks for. Controllers list, too: what a namespace holds that goes, new kinds."""
            before = served()
            run(definition=wanted)
            after = served()
            return {verb: after[verb] - before[verb] for verb in before if after[verb] != before[verb]}

        first = counted()
        assert first.pop("LIST") >= 5
        assert first == {"APPLY": 15}
        again = [counted()]
        while {"LIST": 5} not in again and len(again) < 30:  # until no controller has anything to do
            again.append(counted())
        assert {"LIST": 5} in again, again
        assert all(set(found) == {"LIST"} for found in again)

    def test_one_namespace_of_a_builtin_kind_is_listed_alone(self, run, proxy, space):
        wanted = [objects.core("v1", "ConfigMap", f"c{number}", space, data={}) for number in range(3)]
        run(host=proxy.url, definition=wanted)
        assert [seen.path.partition("?")[0] for seen in proxy.requests if seen.method == "GET"] == [
            f"/api/v1/namespaces/{space}/configmaps"
        ]


def drifted(kube, chance, wanted, space):
    """Something somebody did to the cluster."""
    for obj in chance.sample(wanted, chance.choice((1, 1, 2, 3))):
        name = obj["apiVersion"], obj["kind"], obj["metadata"]["name"], space
        action = chance.randrange(6)
        try:
            if action == 0:
                kube.delete(*name)
            elif action == 1:
                part = objects.part_of(objects.edited(obj, chance), chance)
                kube.patch(*name, part, field_manager="kubectl-edit")
            elif action == 2:
                kube.apply(
                    objects.part_of(objects.edited(obj, chance), chance), field_manager="other", force=True
                )
            elif action == 3:
                kube.apply(objects.part_of(obj, chance), field_manager="other")
            elif action == 4:
                kube.patch(*name, {"metadata": {"labels": {"extra": "1"}}}, field_manager="kubectl-label")
            else:
                kube.apply(objects.edited(obj, chance), force=True)
        except ApiError:
            continue


def outcome(call):
    try:
        return call()
    except MeshError as error:
        return type(error).__name__, error.details.get("manager"), error.details.get("fields")


@pytest.mark.parametrize("seed", range(50))
def test_check_mode_predicts_exactly_what_the_run_does(kube, run, space, seed):
    chance = random.Random(seed)
    wanted = [obj for obj in objects.templates(space, "d") if obj["kind"] not in ("Pod", "Deployment")]
    run(definition=wanted)
    drifted(kube, chance, wanted, space)
    if chance.random() < 0.5:
        place = chance.randrange(len(wanted))
        wanted[place] = objects.edited(wanted[place], chance)
    force = chance.random() < 0.6
    predicted = outcome(lambda: run(check_mode=True, diff_mode=True, definition=wanted, force=force))
    real = outcome(lambda: run(diff_mode=True, definition=wanted, force=force))
    if isinstance(predicted, tuple):
        assert predicted == real
        return
    for diff in predicted["diff"] + real["diff"]:
        if diff["before"] == "":  # a Service's addresses are given out when it is really created
            diff["after"] = "".join(
                line
                for line in diff["after"].splitlines(True)
                if "clusterIP" not in line and "- 10." not in line
            )
    assert predicted == real
    assert run(check_mode=True, definition=wanted, force=force)["changed"] is False


class TestSteps:
    """What is written between the steps, seen from the barrier."""

    def steps(self, kube, wanted, absent=()):
        seen = []

        def barrier(held):
            seen.append((held.step, {obj["metadata"]["name"]: obj.get("spec") for obj in held.objects}))

        apply(kube, wanted, barrier=barrier, absent=absent)
        return seen

    def test_a_subset_is_dropped_only_after_its_routes(self, kube, space):
        self.steps(kube, [rule(space, subsets=["v1"]), routes(space, "r")])
        steps = self.steps(kube, [rule(space, subsets=["v2"]), routes(space, "r", "v2")])
        assert [name for name, _unused in steps] == ["expand", "switch", "contract"]
        subsets = [[s["name"] for s in specs["one"]["subsets"]] for _unused, specs in steps if "one" in specs]
        assert subsets == [["v2", "v1"], ["v2"]]

    def test_nothing_changed_calls_no_barrier(self, kube, space):
        self.steps(kube, [rule(space)])
        assert self.steps(kube, [rule(space)]) == []

    def test_the_default_deny_comes_last_and_goes_first(self, kube, space):
        deny = objects.istio("AuthorizationPolicy", "deny", space, {})
        allow = objects.istio("AuthorizationPolicy", "allow", space, {"rules": [{}]})
        order = []
        real = kube.apply_told

        def told(obj, **options):
            order.append(obj["metadata"]["name"])
            return real(obj, **options)

        kube.apply_told = told
        try:
            self.steps(kube, [deny, allow])
        finally:
            del kube.apply_told
        assert order == ["allow", "deny"]
        removal = self.steps(kube, [], absent=[allow, deny])
        assert [name for name, _unused in removal] == ["expand", "contract"]

    def test_an_interrupted_run_says_what_it_wrote(self, kube, space):
        def stop_after_expand(held):
            raise WaitTimeout("no proof", awaited="x", last_seen="y")

        with pytest.raises(WaitTimeout) as caught:
            apply(kube, [rule(space), routes(space)], barrier=stop_after_expand)
        assert caught.value.details["objects"] == [
            {"id": f"DestinationRule {space}/one", "action": "created"}
        ]
        assert caught.value.details["not_written"] == 1
        assert "1 of 2 objects were written" in caught.value.message


class TestPrune:
    def test_only_the_mesh_and_only_what_is_not_described(self, kube, run, space):
        run(definition=[rule(space, "foreign")])
        run(definition=[rule(space, "other")], mesh_name=f"{space}-b")
        mesh = {"mesh_name": f"{space}-a", "prune": True}
        run(definition=[rule(space, "one"), rule(space, "two"), routes(space)], **mesh)
        preview = run(check_mode=True, definition=[rule(space, "one")], **mesh)
        real = run(definition=[rule(space, "one")], **mesh)
        assert preview == real
        assert real["counts"]["deleted"] == 2
        left = {
            item["metadata"]["name"]
            for item in kube.list("networking.istio.io/v1", "DestinationRule", space).items
        }
        assert left == {"foreign", "other", "one"}

    def test_everything_only_on_request(self, kube, run, space):
        mesh = {"mesh_name": space, "prune": True}
        run(definition=[rule(space)], **mesh)
        other = objects.core("v1", "ConfigMap", "c", space, data={})
        with pytest.raises(RefusedError, match="would remove all 1 objects"):
            run(definition=[other], **mesh)
        assert run(definition=[other], **mesh, prune_all=True)["counts"]["deleted"] == 1

    def test_release_records_stay(self, kube, run, space):
        record = objects.core("v1", "ConfigMap", "servicemesh-release-a", space, data={"record": "{}"})
        run(definition=[record, rule(space)], mesh_name=space)
        assert run(definition=[rule(space)], mesh_name=space, prune=True)["changed"] is False


class TestWait:
    def test_for_a_condition_that_somebody_else_brings(self, kube, run, space):
        wanted = objects.core("v1", "ConfigMap", "c", space, data={"a": "1"})

        def later():
            time.sleep(1.0)
            kube.patch("v1", "ConfigMap", "c", space, {"data": {"done": "yes"}})

        thread = threading.Thread(target=later)
        thread.start()
        run(
            definition=wanted,
            wait=True,
            wait_timeout=20,
            wait_for=[{"jmespath": "data.done", "equals": "yes"}],
        )
        thread.join()

    def test_in_vain_says_what_was_seen(self, run, space):
        wanted = objects.core("v1", "ConfigMap", "c", space, data={"a": "1"})
        with pytest.raises(WaitTimeout, match=f"ConfigMap {space}/c: data.done is None, not 'yes'"):
            run(
                definition=wanted,
                wait=True,
                wait_timeout=1,
                wait_for=[{"jmespath": "data.done", "equals": "yes"}],
            )

    def test_an_expression_that_is_none_is_an_input_error(self, run, space):
        with pytest.raises(InputError, match="wait_for"):
            run(definition=rule(space), wait_for=[{"jmespath": "a[", "equals": 1}])

    def test_until_deleted_objects_are_gone(self, kube, run, space):
        held = objects.core("v1", "ConfigMap", "c", space, data={})
        held["metadata"]["finalizers"] = ["test.example/held"]
        run(definition=held)
        with pytest.raises(WaitTimeout, match="is still there"):
            run(definition=held, state="absent", wait=True, wait_timeout=1)
        kube.patch("v1", "ConfigMap", "c", space, {"metadata": {"finalizers": None}})
        assert run(definition=held, state="absent", wait=True, wait_timeout=10)["changed"] is False


class TestRefusals:
    def test_an_object_that_is_being_deleted_is_not_written_to(self, kube, run, space):
        held = objects.core("v1", "ConfigMap", "c", space, data={})
        held["metadata"]["finalizers"] = ["test.example/held"]
        run(definition=held)
        kube.delete("v1", "ConfigMap", "c", space)
        with pytest.raises(RefusedError, match="is being deleted"):
            run(definition={**held, "data": {"a": "1"}})
        kube.patch("v1", "ConfigMap", "c", space, {"metadata": {"finalizers": None}})

    def test_a_terminating_namespace_is_named(self, kube, run, space):
        name = f"{space}-t"
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        held = objects.core("v1", "ConfigMap", "c", name, data={})
        held["metadata"]["finalizers"] = ["test.example/held"]
        run(definition=held)
        kube.delete("v1", "Namespace", name)
        with pytest.raises(ApiError, match="is being terminated"):
            run(definition=rule(name))
        kube.patch("v1", "ConfigMap", "c", name, {"metadata": {"finalizers": None}})

    def test_a_missing_namespace(self, run, space):
        nowhere = f"{space}-nowhere"
        predicted = run(check_mode=True, definition=rule(nowhere))
        assert predicted["objects"] == [
            {"id": f"DestinationRule {nowhere}/one", "action": "would create (not validated by the server)"}
        ]
        with pytest.raises(ApiError, match=f'namespaces "{nowhere}" not found'):
            run(definition=rule(nowhere))

    def test_a_missing_kind(self, run, space):
        unknown = {
            "apiVersion": "nowhere.example/v1",
            "kind": "Nothing",
            "metadata": {"name": "a", "namespace": space},
        }
        predicted = run(check_mode=True, definition=[unknown, rule(space)])
        assert [entry["action"] for entry in predicted["objects"]] == [
            "would create (not validated by the server)",
            "created",
        ]
        with pytest.raises(ApiError, match=r"does not serve Nothing \(nowhere.example/v1\)"):
            run(definition=[rule(space), unknown])
        assert run(check_mode=True, definition=rule(space))["counts"]["created"] == 1, "nothing was written"

    def test_all_conflicts_are_named_at_once(self, kube, run, space):
        for name in ("one", "two"):
            kube.apply(rule(space, name, ["v1"]), field_manager="gitops")
        wanted = [rule(space, name, ["v2"]) for name in ("one", "two")]
        with pytest.raises(ConflictError) as caught:
            run(check_mode=True, definition=wanted)
        assert caught.value.manager == "gitops"
        assert caught.value.fields == (".spec.subsets",)
        assert "/one" in caught.value.message and "/two" in caught.value.message

    def test_several_writers_at_once_lose_nothing(self, kube, run, space):
        """A foreign write between our LIST and our apply: looked at again, not overwritten blindly."""
        run(definition=rule(space, labels={"a": "1"}))
        real = kube.apply_told
        seen = []

        def interrupted(obj, **options):
            if not seen:
                kube.patch(
                    "networking.istio.io/v1",
                    "DestinationRule",
                    "one",
                    space,
                    {"metadata": {"labels": {"foreign": "yes"}}},
                    field_manager="another",
                )
            seen.append(obj["metadata"].get("resourceVersion"))
            return real(obj, **options)

        kube.apply_told = interrupted
        try:
            result = apply(kube, [rule(space, labels={"a": "2"})])
        finally:
            del kube.apply_told
        live = kube.get("networking.istio.io/v1", "DestinationRule", "one", space)
        assert live["metadata"]["labels"] == {"a": "2", "foreign": "yes"}
        assert len(seen) == 2 and seen[0] != seen[1]
        assert result["counts"]["updated"] == 1

    def test_quota_and_validation_are_not_retried(self, kube, run, proxy, space):
        quota = objects.core("v1", "ResourceQuota", "q", space, spec={"hard": {"count/configmaps": "1"}})
        run(definition=quota)
        wanted = [objects.core("v1", "ConfigMap", f"c{number}", space, data={}) for number in range(3)]
        deadline = time.monotonic() + 20
        while not kube.get("v1", "ResourceQuota", "q", space).get("status", {}).get("used"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        with pytest.raises(ApiError, match="exceeded quota"):
            run(host=proxy.url, definition=wanted)
        # Nothing new is begun after the first refusal, so it may be fewer than three; never one object twice.
        sent = [seen.path for seen in proxy.requests if seen.method == "PATCH" and "configmaps" in seen.path]
        assert sent and len(sent) == len(set(sent))

    def test_an_object_that_is_too_large_is_named(self, run, space):
        large = objects.core("v1", "ConfigMap", "c", space, data={"a": "x" * 4_000_000})
        with pytest.raises(ApiError, match=r"larger than the API server accepts|must have at most|Too long"):
            run(definition=large)

    def test_without_the_right_to_list_it_goes_object_by_object(self, kube, space, api):
        from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
        from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

        role = objects.core(
            "rbac.authorization.k8s.io/v1",
            "Role",
            "r",
            space,
            rules=[
                {
                    "apiGroups": ["networking.istio.io"],
                    "resources": ["*"],
                    "verbs": ["get", "create", "patch"],
                }
            ],
        )
        binding = objects.core(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "r",
            space,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            subjects=[{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}],
        )
        apply(kube, [role, binding])
        options = ConnectionOptions.from_params({"kubeconfig": api, "impersonate_user": "limited"}, {})
        wanted = [rule(space, "one"), rule(space, "two")]
        with connect(options) as client:
            assert apply(client, wanted)["counts"]["created"] == 2
            assert apply(client, wanted)["counts"]["unchanged"] == 2


def test_secrets_are_blank_in_diffs(run, space):
    for value in ("one-secret-value", "two-secret-value"):
        wanted = [
            objects.core("v1", "Secret", "s", space, stringData={"password": value}),
            objects.core(
                "v1", "ConfigMap", "c", space, data={"k": f"-----BEGIN PRIVATE KEY-----\n{value}\n"}
            ),
        ]
        result = run(diff_mode=True, definition=wanted)
        assert value not in str(result)
    assert "<hidden, changed>" in result["diff"][0]["after"]


def test_a_dry_run_proof_asks_about_every_object(run, proxy, space):
    wanted = many(space, 5)
    run(definition=wanted)
    proxy.reset()
    assert run(host=proxy.url, definition=wanted, proof="dry_run")["changed"] is False
    assert (
        proxy.methods == {"DISCOVERY": 1, "LIST": 0, "GET": 5, "DRY-RUN": 5} or proxy.methods["DRY-RUN"] == 5
    )
