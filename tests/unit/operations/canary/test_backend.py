"""The module's backend end to end, on the fake cluster: every action, check mode, bad input."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.record import (
    ReleaseRecord,
    release_object,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import assembly
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import info as canary_info
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.background import inline
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.result import diffs_of

from ...support.access import Restricted, granted_by
from ...support.http_server import Answer, ScriptedServer
from ...support.mortal import KilledError
from .fakes import NAMESPACE, SERVICE, Switch
from .scenarios import through_reviews
from .sizes import Sizes
from .world import CATALOGUE, World


def test_run_promotes_and_the_next_run_changes_nothing(world: World, tmp_path: Path) -> None:
    began = world.shop.clock.now()
    result = world(evidence=str(tmp_path))
    assert result["changed"]
    assert result["outcome"] == "promoted"
    assert result["seconds"] == pytest.approx(world.shop.clock.now() - began, abs=0.1)
    assert {Path(path).suffix for path in result["evidence"]} == {".json", ".html"}
    page = next(tmp_path.glob("*.html")).read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http://", "")[:0] + "".join(
        part for part in page.split('"') if "src=" in part
    )
    assert json.loads(next(tmp_path.glob("*.json")).read_text())["outcome"] == "promoted"
    writes = len(world.shop.cluster.writes)
    again = world()
    assert not again["changed"]
    assert again["outcome"] == "unchanged"
    assert len(world.shop.cluster.writes) == writes


def test_evidence_that_cannot_be_written_is_a_warning(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = world(evidence=str(tmp_path / "file" / "below"))
    assert result["outcome"] == "promoted"
    assert any("the evidence is not written to " in warning for warning in result["warnings"])


def test_applying_the_mesh_afterwards_renders_exactly_what_is_live(world: World) -> None:
    world()
    releases = {f"{NAMESPACE}/{SERVICE}": world.shop.record()}
    rendered = next(
        obj
        for obj in render(parse_catalogue(copy.deepcopy(CATALOGUE)), releases)
        if obj["metadata"]["name"] == f"{SERVICE}-routes"
    )
    live = world.shop.routes
    assert live["spec"] == rendered["spec"]
    assert live["metadata"]["annotations"] == rendered["metadata"]["annotations"]
    assert live["metadata"]["labels"] == rendered["metadata"]["labels"]


def test_the_plan_is_told_before_the_first_write(world: World) -> None:
    world()
    assert any("requests/s; promotion needs about" in line for line in world.lines)
    assert any("at most 90 s (lease + resume period)" in line for line in world.lines)


def test_the_plan_tells_how_long_a_deadman_leaves_a_split(world: World) -> None:
    with_account(world)(check=True, deadman="job")
    told = "(lease, then a Job in the cluster gives the routes back)"
    assert any(f"at most 35 s {told}" in line for line in world.lines)


def test_check_mode_shows_the_diffs_and_writes_nothing(world: World) -> None:
    writes = len(world.shop.cluster.writes)
    result = world(check=True)
    assert result["changed"]
    assert [diff["after_header"].split(": ", 1)[1] for diff in result["diff"]] == [
        "phase 1/weight 10 %",
        "phase 2/weight 50 %",
        "phase 3/weight 100 %",
        "rollback",
    ]
    assert '"weight": 10' in result["diff"][0]["after"]
    assert len(world.shop.cluster.writes) == writes


def test_no_diff_shows_a_token_by_which_a_route_matches() -> None:
    http = [{"match": [{"headers": {"x-api-token": {"exact": "s3cret"}}}]}]
    routes = SimpleNamespace(
        namespace="shop", name="api-routes", desired=lambda _traffic: {"spec": {"http": http}}
    )
    rollout: Any = SimpleNamespace(routes=routes, plan=SimpleNamespace(phases=[]), stable_traffic=dict)
    (diff,) = diffs_of(rollout)
    assert "x-api-token" in diff["after"]
    assert "s3cret" not in str(diff)


def test_sick_version_fails_the_task_with_its_reason(world: World) -> None:
    world.shop.sick = 0.4
    with pytest.raises(MeshError, match="rolled_back: errors:") as raised:
        world()
    assert raised.value.details["status"] == "fail"
    assert raised.value.details["counts"]["canary_failed"] > 0
    assert raised.value.details["seconds_to_weight_0"] < 5
    since = raised.value.details["seconds_from_first_bad_window"]
    assert since >= raised.value.details["seconds_to_weight_0"]
    assert any(
        f"{since} s after the begin of the first window with a failure" in line for line in world.lines
    )


def test_promotion_is_rolled_back_to_the_version_before(world: World) -> None:
    world()
    result = world(action="rollback")
    assert result["outcome"] == "rolled_back"
    assert world.shop.share() == 0
    assert world.shop.record()["stable"] == "v1"
    assert not world(action="rollback")["changed"]


def test_approval_pause_and_promotion(world: World) -> None:
    waiting = world(approvals=[2])
    assert waiting["outcome"] == "awaiting_approval"
    assert waiting["status"] == "pass"
    assert world(approvals=[2])["outcome"] == "awaiting_approval"
    assert world(action="promote", approvals=[2])["outcome"] == "promoted"


def test_rollback_after_a_run_that_ended_with_a_split(world: World) -> None:
    assert world(steps=[10, 50], promote=False)["outcome"] == "split"
    assert world.shop.share() == 50
    assert world(action="rollback", check=True)["reason"] == "would go back from v2 to v1"
    assert world(action="rollback")["outcome"] == "rolled_back"
    assert world.shop.share() == 0
    assert world.shop.record()["weights"] == {"v1": 100}
    assert not world(action="rollback")["changed"]


def test_rollback_once_the_stable_version_is_back_after_a_run_that_held_on(world: World) -> None:
    def stable_dies() -> None:
        world.shop.pods["v1"] = 0
        world.shop.set_pods()

    world.shop.clock.at(17, stable_dies)
    with pytest.raises(MeshError, match="held_on_canary"):
        world()
    assert world.shop.share() > 0
    world.shop.pods["v1"] = 1
    world.shop.set_pods()
    assert world(action="rollback")["outcome"] == "rolled_back"
    assert world.shop.share() == 0


def test_rollback_of_a_waiting_run(world: World) -> None:
    world(approvals=[2])
    assert world(action="rollback")["outcome"] == "rolled_back"
    assert world.shop.share() == 0


def test_another_version_waits_until_the_run_has_ended(world: World) -> None:
    world(approvals=[2])
    other = copy.deepcopy(CATALOGUE)
    other["mesh_services"][0]["versions"]["v3"] = {}
    with pytest.raises(RefusedError, match="has not ended"):
        world(version="v3", catalogue=other)


@pytest.mark.parametrize(("orphans", "outcome"), [("rollback", "rolled_back"), ("continue", "promoted")])
def test_resume_cleans_up_after_a_dead_runner(world: World, orphans: str, outcome: str) -> None:
    world.client = Switch(world.shop.cluster, kill_at=80)
    with pytest.raises(KilledError):
        world()
    world.client = Switch(world.shop.cluster)
    alive = world(action="resume", service=None, version=None, orphans=orphans)
    assert not alive["changed"]
    assert alive["services"][f"{NAMESPACE}/{SERVICE}"]["outcome"] == "held"
    world.shop.clock.sleep(31)
    resumed = world(action="resume", service=None, version=None, orphans=orphans)
    assert resumed["services"][f"{NAMESPACE}/{SERVICE}"]["outcome"] == outcome
    again = world(action="resume", service=None, version=None, orphans=orphans)
    assert not again["changed"]
    assert again["services"] == {}


def test_rollback_with_a_dead_runner_takes_the_lease_after_two_polls(world: World) -> None:
    world.client = Switch(world.shop.cluster, kill_at=80)
    with pytest.raises(KilledError):
        world()
    world.client = Switch(world.shop.cluster)
    began = world.shop.clock.now()
    assert world(action="rollback")["outcome"] == "rolled_back"
    assert world.shop.clock.now() - began < 15
    assert world.shop.share() == 0


def test_nothing_to_do(world: World) -> None:
    for action in ("rollback", "promote", "pause"):
        assert world(action=action)["outcome"] == "unchanged"


def refuse(world: World, match: str, **changes: Any) -> None:
    writes = len(world.shop.cluster.writes)
    with pytest.raises(RefusedError, match=match) as raised:
        world(**changes)
    assert "nothing was written" in str(raised.value)
    assert len(world.shop.cluster.writes) == writes


def test_no_endpoint_is_refused_first(world: World) -> None:
    world.shop.pods["v2"] = 0
    world.shop.set_pods()
    refuse(world, "no ready endpoint: v2")


def test_no_subset_is_refused_first(world: World) -> None:
    rule = world.shop.cluster.peek("DestinationRule", SERVICE)
    assert rule
    rule["spec"]["subsets"] = rule["spec"]["subsets"][:1]
    refuse(world, "has no subset v2")


@pytest.mark.parametrize(
    "names",
    [
        {"variants": [{"name": "beta", "to": "v3", "when": {"header": {"x-beta": "1"}}}]},
        {"routes": [{"name": "new", "to": "v3", "when": {"path": "/new"}}]},
        {"mirror": {"to": "v3", "percent": 10}},
    ],
    ids=lambda names: str(*names),
)
def test_a_catalogue_that_is_ahead_of_the_mesh_is_refused_first(world: World, names: dict[str, Any]) -> None:
    """The first phase would write its routes, and proxies would answer 503 where they name the new subset."""
    ahead = copy.deepcopy(CATALOGUE)
    ahead["mesh_services"][0] |= {"versions": {"v1": {}, "v2": {}, "v3": {}}, **names}
    with pytest.raises(RefusedError, match=r"has no subset v3 with labels .*: apply the mesh first"):
        world(catalogue=ahead)
    through_reviews(world)
    assert world(catalogue=ahead, routes={"name": "reviews"})["outcome"] == "promoted"


def test_no_routes_are_refused_first(world: World) -> None:
    del world.shop.cluster.objects[("VirtualService", NAMESPACE, f"{SERVICE}-routes")]
    refuse(world, "apply the mesh first")


def test_a_competing_virtual_service_is_refused_first(world: World) -> None:
    world.shop.cluster.put(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "theirs", "namespace": NAMESPACE},
            "spec": {"hosts": [SERVICE], "http": [{"route": []}]},
        }
    )
    refuse(world, "theirs also routes")
    world.shop.cluster.objects["VirtualService", NAMESPACE, "theirs"]["spec"]["gateways"] = ["their-gateway"]
    assert world()["outcome"] == "promoted"  # no caller's proxy is sent it


def test_a_live_split_against_the_record_is_refused_first(world: World) -> None:
    world.shop.cluster.put(
        release_object(
            ReleaseRecord("v1", weights={"v1": 100}), service=SERVICE, namespace=NAMESPACE, mesh_name="shop"
        )
    )
    routes = world.shop.routes
    host = routes["spec"]["http"][-1]["route"][0]["destination"]
    routes["spec"]["http"][-1]["route"] = [
        {"destination": {**host, "subset": "v1"}, "weight": 70},
        {"destination": {**host, "subset": "v2"}, "weight": 30},
    ]
    refuse(world, "already gives v2 30 percent")


def test_a_route_without_a_subset_is_refused_first(world: World) -> None:
    """It sends requests to the pods of all versions, whatever the split says."""
    routes = world.shop.routes["spec"]["http"]
    host = routes[-1]["route"][0]["destination"]["host"]
    routes.insert(0, {"match": [{"uri": {"prefix": "/x"}}], "route": [{"destination": {"host": host}}]})
    refuse(world, "sends 100 percent of a route to all versions of product")


def test_gates_that_stable_itself_fails_are_refused_first(world: World) -> None:
    world.shop.stable_sick = 0.2
    refuse(world, "does not pass on stable itself")


def test_a_deadline_that_cannot_be_met_is_refused_first(world: World) -> None:
    world.shop.rate = 0.5
    refuse(world, "more than canary_deadline", deadline=600, phase_deadline=100000)


def test_missing_rights_are_named_first(world: World) -> None:
    world.shop.cluster.reviews.allowed = lambda _user, access: access.resource != "virtualservices"
    refuse(world, "missing right: get virtualservices.networking.istio.io")


EVERYTHING: dict[str, Any] = {
    "scale": {"up": 1},
    "deadman": "job",
    "low_traffic": "synthetic",
    "synthetic": {"selector": "app=web", "container": "web", "command": ["true"]},
    "prometheus": {"namespace": "istio-system", "service": "p"},
}
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:servicemesh-deadman"


def with_account(world: World) -> World:
    metadata = {"name": "servicemesh-deadman", "namespace": NAMESPACE}
    world.shop.cluster.put({"kind": "ServiceAccount", "metadata": metadata})
    world.shop.cluster.allowed_readers.add(ACCOUNT)
    return world


@pytest.mark.parametrize(("user", "name"), [("", "canary.yaml"), (ACCOUNT, "deadman.yaml")])
def test_what_is_asked_is_what_docs_rbac_grants(world: World, user: str, name: str) -> None:
    """Verb by verb and place by place, for the caller and for the account of the deadman's Job."""
    with_account(world)(check=True, **EVERYTHING)
    asked = world.shop.cluster.reviews.asked_of(user)
    granted = granted_by(name, {"ecommerce": NAMESPACE})
    if user:  # bound by hand, where the service is
        granted = {access._replace(namespace=NAMESPACE) for access in granted}
    assert asked == granted


def test_a_rollout_needs_no_right_that_the_table_does_not_name(world: World) -> None:
    """But for the proxies and Prometheus, which are not asked here."""
    granted = granted_by("canary.yaml", {"ecommerce": NAMESPACE})
    world.client = Restricted(world.client, granted)
    Sizes(world.shop, {"v1": 2, "v2": 1})
    scale = {"up": 2, "down": True}
    assert with_account(world)(deadman="none", scale=scale)["outcome"] == "promoted"
    assert world.client.refused == set()
    world(action="rollback", version=None)
    assert world.client.refused == set()
    assert {access.resource for access in granted} - {access.resource for access in world.client.used} == {
        *("pods/exec", "pods/portforward", "services/proxy"),
        *("jobs", "serviceaccounts", "localsubjectaccessreviews"),
    }


def test_without_options_no_right_is_asked_for_that_only_they_need(world: World) -> None:
    world(check=True, prometheus={"url": "http://127.0.0.1:9"}, capacity="ignore")
    resources = {access.resource for access in world.shop.cluster.reviews.asked_of("")}
    reviews = "localsubjectaccessreviews"
    assert not resources & {"deployments/scale", "jobs", "serviceaccounts", reviews}
    assert not resources & {"horizontalpodautoscalers", "poddisruptionbudgets"}
    assert "services/proxy" not in resources
    assert world.shop.cluster.reviews.asked_of(ACCOUNT) == set()


def test_a_rollout_does_without_the_name_of_the_cluster(world: World) -> None:
    world.shop.cluster.reviews.allowed = lambda _user, access: access.resource != "namespaces"
    assert "evidence does not name the cluster: no right to get namespaces" in str(world(check=True))


@pytest.mark.parametrize("resource", ["events", "deployments"])
def test_a_rollout_does_without_events(world: World, resource: str) -> None:
    world.shop.cluster.reviews.allowed = lambda _user, access: access.resource != resource
    result = world()
    assert result["outcome"] == "promoted"
    assert "a rollout leaves no Events on its Deployment: no right to" in str(result["warnings"])


def test_a_deadman_without_the_right_to_events_is_one(world: World) -> None:
    world.shop.cluster.reviews.allowed = lambda user, access: not user or access.resource != "events"
    found = str(with_account(world)(check=True, deadman="job")["warnings"])
    assert "the deadman's Job leaves no Event on the Deployment: no right to create events" in found


def test_check_mode_leaves_no_event(world: World) -> None:
    metadata = {"name": f"{SERVICE}-v2", "namespace": NAMESPACE}
    world.shop.cluster.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata})
    world(check=True)
    assert not [key for key in world.shop.cluster.objects if key[0] == "Event"]


def test_a_freeze_that_does_not_end_is_refused_first(world: World) -> None:
    freeze = {"name": "freeze", "freeze": [{"from": "1970-01-01", "to": "1990-01-01"}]}
    refuse(world, "gate freeze is closed and does not open in 1800 s: frozen by", gates=[freeze])


def test_a_freeze_that_ends_in_time_is_a_warning(world: World) -> None:
    # the clock of the test stands at 1970-01-12 13:46:40
    freeze = {"name": "freeze", "freeze": [{"from": "1970-01-12", "to": "1970-01-12T14:00"}]}
    result = world(check=True, gates=[freeze])
    told = "gate freeze is closed until 1970-01-12T14:00Z, and the rollout waits"
    assert told in str(result["warnings"])
    assert any(line.startswith(f"warning: {told}") for line in world.lines), (
        "with the plan, before a run waits"
    )


def test_a_program_that_is_not_there_is_refused_first(world: World) -> None:
    gate = {"name": "smoke", "when": ["pre-rollout"], "command": ["/no/such/program"]}
    refuse(world, "gate smoke: there is no program of this name where the task runs", gates=[gate])


@pytest.mark.parametrize(
    ("own", "of_run", "found"),
    [
        ("", "tools", True),
        ("tools", "", True),
        ("", "", False),
        ("none", "tools", False),
        ("tools", "none", True),
    ],
)
def test_a_program_is_looked_for_on_the_path_that_it_will_have(
    world: World, tmp_path: Path, own: str, of_run: str, found: bool
) -> None:
    (tmp_path / "tools").mkdir()
    program = tmp_path / "tools" / "smoke-test-of-ours"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    world.environment = {"PATH": str(tmp_path / of_run)} if of_run else {}
    given = {"PATH": str(tmp_path / own)} if own else {}
    gate = {"name": "smoke", "when": ["pre-rollout"], "command": [program.name], "environment": given}
    if found:
        assert world(check=True, gates=[gate])["outcome"]
    else:
        refuse(world, "gate smoke: there is no program of this name where the task runs", gates=[gate])


def test_gates_and_notifications_of_the_options_are_asked_and_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(always=Answer(200)) as server:
        gates = [
            {"name": "board", "when": ["confirm-promotion"], "url": f"{server.url}/gate", "interval": 1},
            {"name": "smoke", "when": ["pre-rollout"], "command": ["true"], "interval": 1},
        ]
        told = {"url": f"{server.url}/told", "events": ["promoted"]}
        monkeypatch.setattr(assembly, "Worker", lambda: inline)
        result = world(gates=gates, notify=[told])
    assert result["outcome"] == "promoted"
    assert [request.path for request in server.requests] == ["/gate", "/told"]
    answers = world.shop.journal()["answers"]
    assert [(answer["gate"], answer["verdict"]) for answer in answers] == [
        ("smoke", "pass"),
        ("board", "pass"),
    ]
    assert server.url not in str(world.shop.journal())


def test_an_account_that_cannot_give_the_routes_back_is_no_deadman(world: World) -> None:
    world.shop.cluster.reviews.allowed = lambda user, access: not user or access.verb != "patch"
    refuse(
        with_account(world),
        f"deadman: ServiceAccount {NAMESPACE}/servicemesh-deadman has no right to patch virtualservices",
        deadman="job",
    )


def test_who_may_not_ask_for_the_account_is_warned_and_goes_on(world: World) -> None:
    review = world.shop.cluster.request

    def request(method: str, path: str, **more: Any) -> Any:
        if path.endswith("/localsubjectaccessreviews"):
            raise ApiError("forbidden", status=403, reason="Forbidden")
        return review(method, path, **more)

    world.shop.cluster.request = request
    world.shop.cluster.reviews.allowed = lambda _user, access: "subjectaccess" not in access.resource
    assert "nobody knows whether the account" in str(with_account(world)(check=True, deadman="job"))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"service": "nobody"}, "canary_service"),
        ({"service": "db"}, "canary_service"),
        ({"version": "v9"}, "canary_version"),
        ({"errors": {"limit": 2}}, "canary_errors.limit"),
        ({"errors": {"limit": 0.001}}, "canary_errors.limit"),
        ({"errors": {"treshold": 0.1}}, "canary_errors.treshold"),
        ({"alpha": 5}, "canary_alpha"),
        ({"power": 0}, "canary_power"),
        ({"lease": 1}, "canary_lease"),
        ({"queries": [{"name": "q", "query": "up"}]}, "canary_queries[0]"),
        ({"queries": [{"name": "q", "query": "up", "min": 2, "max": 1}]}, "canary_queries[0]"),
        ({"queries": [{"query": "up", "min": 2}]}, "canary_queries[0].name"),
        ({"prometheus": {"url": "http://x", "service": "p"}}, "prometheus"),
        ({"steps": [50, 10]}, "steps"),
        ({"steps": ["10%", 100]}, "steps[0]"),
        ({"duration": -1}, "duration"),
        ({"low_traffic": "synthetic"}, "canary_synthetic"),
    ],
)
def test_bad_input_is_refused_without_a_write(world: World, changes: dict[str, Any], where: str) -> None:
    writes = len(world.shop.cluster.writes)
    with pytest.raises(InputError) as raised:
        world(**changes)
    assert where in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(world.shop.cluster.writes) == writes


def test_info_tells_what_is_known(world: World) -> None:
    world(approvals=[2])
    result = canary_info.run(
        {"kubeconfig": {}, "catalogue": copy.deepcopy(CATALOGUE), "services": []},
        Context(connect=world.connect),
    )
    (entry,) = result["services"]
    assert entry["stable"] == "v1"
    assert entry["split"] == {"v1": 90, "v2": 10}
    assert entry["state"] == "awaiting_approval"
    assert (entry["finished_at"], entry["recorded_run"]) == ("", ""), "no rollout has ended yet"
    assert "" < entry["began_at"] < entry["at"]
    (line,) = result["lines"]
    assert line.startswith(
        f"{NAMESPACE}/{SERVICE}: v1 stable; v1 90 %, v2 10 %; v2 awaiting_approval in phase 2 of 3"
    )
    assert result["active"] == []


def test_info_names_the_rollouts_that_go_on(world: World) -> None:
    params = {"kubeconfig": {}, "catalogue": copy.deepcopy(CATALOGUE), "services": []}
    active: list[list[str]] = []

    def look(_line: str = "") -> None:
        context = Context(connect=world.connect, clock=world.shop.clock)
        active.append(canary_info.run(params, context)["active"])

    world.progress = look
    world()
    look()
    assert [f"{NAMESPACE}/{SERVICE}"] in active
    assert active[-1] == []


def status(world: World, *names: str) -> dict[str, Any]:
    params = {"kubeconfig": {}, "catalogue": copy.deepcopy(CATALOGUE), "services": list(names)}
    return canary_info.run(params, Context(connect=world.connect))


@pytest.mark.parametrize("name", [SERVICE, f"{NAMESPACE}/{SERVICE}"])
def test_info_knows_a_service_by_both_its_names(world: World, name: str) -> None:
    assert [entry["service"] for entry in status(world, name)["services"]] == [f"{NAMESPACE}/{SERVICE}"]


@pytest.mark.parametrize("name", ["produkt", f"other/{SERVICE}"])
def test_info_says_nothing_of_a_service_that_is_not_there_but_that(world: World, name: str) -> None:
    with pytest.raises(InputError, match=f"canary_service: '{name}' is not in"):
        status(world, SERVICE, name)


@pytest.mark.parametrize("gone", ["service", "versions"])
def test_info_tells_of_a_run_whose_service_left_the_catalogue(world: World, gone: str) -> None:
    world(approvals=[2])
    left = copy.deepcopy(CATALOGUE)
    if gone == "service":
        del left["mesh_services"][0]
    else:
        for name in ("versions", "initial_version"):
            del left["mesh_services"][0][name]
    params = {"kubeconfig": {}, "catalogue": left, "services": []}
    result = canary_info.run(params, Context(connect=world.connect))
    (line,) = result["lines"]
    assert line.startswith(f"{NAMESPACE}/{SERVICE}: v1 stable; v2 awaiting_approval in phase 2 of 3; ")
    assert "the catalogue has no such service, or no versions of it: put it back" in line
    (entry,) = result["services"]
    assert set(entry) == set(status(world)["services"][0])


def test_info_tells_the_split_of_the_routes_that_the_run_writes(world: World) -> None:
    own = copy.deepcopy(world.shop.routes)
    through_reviews(world)
    world.shop.cluster.put(own)  # as the mesh has applied it
    live = copy.deepcopy(world.shop.routes)
    pinned = [{"destination": {"host": f"{SERVICE}.{NAMESPACE}.svc.cluster.local", "subset": "v2"}}]
    live["spec"]["http"].append({"match": [{"uri": {"prefix": "/new"}}], "route": pinned, "name": "new"})
    world.shop.cluster.put(live)
    world(approvals=[2], routes={"name": "reviews"})
    assert status(world)["services"][0]["split"] == {"v1": 90, "v2": 10}


def test_info_tells_what_it_cannot_read_and_the_rest(world: World) -> None:
    other = copy.deepcopy(CATALOGUE)
    other["mesh_services"].append({**copy.deepcopy(other["mesh_services"][0]), "name": "cart"})
    world.shop.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "servicemesh-canary-cart", "namespace": NAMESPACE},
            "data": {"journal": "{"},
        }
    )
    params = {"kubeconfig": {}, "catalogue": other, "services": []}
    result = canary_info.run(params, Context(connect=world.connect))
    states = {entry["service"]: entry["state"] for entry in result["services"]}
    assert states == {f"{NAMESPACE}/{SERVICE}": "none", f"{NAMESPACE}/cart": "unreadable"}
    assert "no readable journal" in result["lines"][1]


def test_testers_and_mirror_come_first_and_leave_nothing_behind(world: World) -> None:
    seen: list[str] = []
    apply = world.shop.cluster.apply

    def watch(obj: dict[str, Any], **options: Any) -> dict[str, Any]:
        seen.append(json.dumps(obj["spec"]))
        return apply(obj, **options)

    world.shop.cluster.apply = watch
    world(
        testers={"header": "X-Tester", "value": "1", "duration": 5},
        mirror={"percent": 20, "duration": 5},
        dark=5,
    )
    assert any('"x-tester": {"exact": "1"}' in text for text in seen)
    assert any('"mirrorPercentage": {"value": 20' in text for text in seen)
    assert "mirror" not in json.dumps(world.shop.routes["spec"])
    assert "x-tester" not in json.dumps(world.shop.routes["spec"])


def test_sticky_cookie_lives_as_long_as_the_split(world: World) -> None:
    assert (
        world(steps=[10, 100], sticky={"cookie": "release"}, approvals=[2])["outcome"] == "awaiting_approval"
    )
    text = json.dumps(world.shop.routes["spec"])
    assert re.search(r"release=[0-9a-f]{12}-0\.v2; Path=/", text)
    assert re.search(r"release=[0-9a-f]{12}-0\.v1\.1; Path=/", text)
    assert '"cookie": {"regex"' in text
    world(action="promote", steps=[10, 100], sticky={"cookie": "release"}, approvals=[2])
    assert "release=" not in json.dumps(world.shop.routes["spec"])


def test_resume_of_a_service_that_nobody_knows_is_refused(world: World) -> None:
    with pytest.raises(InputError, match=r"'prodct' is not in mesh_services .*, did you mean product"):
        world(action="resume", service="prodct", version=None)
    assert world(action="resume", service=SERVICE, version=None)["counts"] == {"looked_at": 1, "resumed": 0}
    assert world(action="resume", service=None, version=None)["counts"] == {"looked_at": 2, "resumed": 0}


@pytest.mark.parametrize(
    ("named", "looked_at"),
    [
        ({"service": SERVICE}, 2),
        ({"service": SERVICE, "namespace": NAMESPACE}, 1),
        ({"service": f"{NAMESPACE}/{SERVICE}"}, 1),
        ({"service": None}, 3),
    ],
)
def test_resume_looks_at_every_service_that_is_meant(
    world: World, named: dict[str, Any], looked_at: int
) -> None:
    catalogue = copy.deepcopy(CATALOGUE)
    catalogue["mesh_services"].append({**catalogue["mesh_services"][0], "namespace": "other"})
    result = world(action="resume", version=None, catalogue=catalogue, **named)
    assert result["counts"]["looked_at"] == looked_at


def test_a_phase_asks_the_api_server_once_for_each_look(world: World) -> None:
    """Five looks in ten seconds; proxies and Prometheus, which are not asked here, come on top."""
    result = world(scrape_interval=2)
    assert result["outcome"] == "promoted"
    assert max(result["api_calls"].values()) <= 27


@pytest.mark.parametrize("scrape", [2, 5, 15])
def test_a_request_is_obeyed_within_two_polls(world: World, scrape: int) -> None:
    asked: list[float] = []
    name = f"servicemesh-canary-{SERVICE}"

    def ask() -> None:
        asked.append(world.shop.clock.now())
        request = {"action": "pause", "by": "ann", "at": "", "run": world.shop.journal()["run"]}
        patch = {"data": {"request": json.dumps(request)}}
        world.shop.cluster.patch("v1", "ConfigMap", name, NAMESPACE, patch)

    world.shop.clock.at(33.7, ask)
    assert world(scrape_interval=scrape, baseline=60, duration=120, deadline=900)["outcome"] == "paused"
    assert world.shop.clock.now() - asked[0] < 10


def test_the_result_bears_the_hash_of_the_evidence(world: World) -> None:
    result = world()
    assert result["evidence_sha256"] == world.shop.record()["evidenceSha256"] != ""
