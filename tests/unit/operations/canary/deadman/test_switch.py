"""The Job that gives the routes back: what it is made of, and what its program does at the worst moments."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import FencedError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.deadman import script
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.deadman.switch import (
    DeadmanJob,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.routes import (
    fence_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.rollout import (
    DeadmanOptions,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout

from ....support.http_server import Answer, ScriptedServer
from ....support.mortal import KilledError
from ..fakes import FACTS, NAMESPACE, FakeCluster, Shop, Switch
from ..server import Server

WISH = DeadmanOptions("python", "deadman")


def with_deadman(shop: Shop, switch: Switch | None = None, **options: Any) -> Rollout:
    client = switch or Switch(shop.cluster)
    rollout = shop.rollout(client, **options)
    rollout.deadman = DeadmanJob(rollout, client, WISH, own=True)
    return rollout


def begun(rollout: Rollout) -> None:
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, FACTS)


def dead_at_half(shop: Shop) -> Rollout:
    """A runner that has died with half of the traffic at the canary."""

    def die() -> None:
        if shop.share() == 50:
            raise KilledError

    rollout = with_deadman(shop, Switch(shop.cluster, after_call=die))
    begun(rollout)
    with pytest.raises(KilledError):
        state_machine.drive(rollout)
    return rollout


def play(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server | None = None
) -> tuple[str, Server]:
    """Runs the program of the one Job."""
    (job,) = shop.cluster.jobs
    container = job["spec"]["template"]["spec"]["containers"][0]
    monkeypatch.setenv("DEADMAN", container["env"][0]["value"])
    monkeypatch.setattr(script, "ARMED", str(tmp_path / "armed"))
    server = server or Server(shop)
    return script.main(server, shop.clock.monotonic, shop.clock.sleep), server


def test_the_job_is_there_while_weights_move_and_gone_at_the_end() -> None:
    shop = Shop()
    watched: dict[int, int] = {}
    switch = Switch(shop.cluster, after_call=lambda: watched.update({shop.share(): len(shop.cluster.jobs)}))
    rollout = with_deadman(shop, switch)
    begun(rollout)
    assert state_machine.drive(rollout).outcome == "promoted"
    assert watched[10] == watched[50] == 1
    assert shop.cluster.jobs == []


def test_a_job_that_does_not_get_ready_withdraws_before_any_weight() -> None:
    shop = Shop()
    shop.cluster.create = super(FakeCluster, shop.cluster).create  # nothing runs it
    rollout = with_deadman(shop)
    begun(rollout)
    state = state_machine.drive(rollout)
    assert state.outcome == "rolled_back"
    assert "is not ready" in state.reason
    assert state.reason.endswith("after 20 s")
    assert shop.share() == 0
    assert shop.cluster.jobs == []


def test_a_dead_runner_s_routes_are_given_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shop = Shop()
    rollout = dead_at_half(shop)
    died = shop.clock.now()
    said, _server = play(shop, monkeypatch, tmp_path)
    assert "the runner is dead" in said
    assert shop.share() == 0
    assert 30 <= shop.clock.now() - died <= 40
    assert fence_of(shop.routes) == rollout.fence + 1
    assert shop.lease()["holderIdentity"] == ""
    with pytest.raises(FencedError):
        rollout.lease.renew()
    with pytest.raises(FencedError):
        rollout.routes.write(rollout.canary_traffic(), rollout.fence)
    successor = shop.rollout(identity="runner-2")
    successor.lease.acquire()
    successor.store.read()
    state_machine.take_over(successor)
    assert state_machine.withdraw(successor, "its runner died").outcome == "rolled_back"
    assert shop.record()["stable"] == "v1"


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("position", range(14))
def test_a_lost_request_or_answer_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lost: str, position: int
) -> None:
    shop = Shop()
    dead_at_half(shop)
    rehearsal, looks = 4, 15  # requests before the Lease has stood still
    server = Server(shop)
    server.broken = [""] * (rehearsal + looks + position) + [lost]
    said, _server = play(shop, monkeypatch, tmp_path, server)
    assert "the runner is dead" in said
    assert shop.share() == 0
    assert shop.lease()["holderIdentity"] == ""


def test_a_runner_that_lives_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shop = Shop()
    rollout = with_deadman(shop)
    begun(rollout)
    assert rollout.deadman
    rollout.deadman.arm()
    for turn in range(20):
        shop.clock.at(10.0 * (turn + 1), rollout.lease.renew)
    shop.clock.at(205, rollout.lease.release)
    began = shop.clock.now()
    said, server = play(shop, monkeypatch, tmp_path)
    assert said == "the rollout has ended"
    assert shop.clock.now() - began >= 200
    assert set(server.asked[4:]) == {"GET"}


def test_a_successor_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shop = Shop()
    dead_at_half(shop)
    shop.clock.at(20, lambda: shop.rollout(identity="runner-2").lease.acquire(steal=True) and None)
    said, _server = play(shop, monkeypatch, tmp_path)
    assert said == "another runner has taken over"
    assert shop.share() == 50


def test_who_cannot_see_the_lease_does_not_act(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shop = Shop()
    dead_at_half(shop)
    server = Server(shop)
    server.broken = [""] * 10 + ["request"] * 40
    began = shop.clock.now()
    play(shop, monkeypatch, tmp_path, server)
    assert shop.clock.now() - began >= 80 + 30


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        ("PUT", "the Lease cannot be written: status 403"),
        ("PATCH", "the routes cannot be written: status 403"),
    ],
)
def test_missing_rights_are_seen_before_the_first_weight(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str, sentence: str
) -> None:
    shop = Shop()
    dead_at_half(shop)
    server = Server(shop)
    server.forbidden = {verb}
    with pytest.raises(SystemExit, match=sentence):
        play(shop, monkeypatch, tmp_path, server)
    assert not (tmp_path / "armed").exists()


def to(subset: str, weight: int | None = None, host: str = "p") -> dict[str, Any]:
    part: dict[str, Any] = {"destination": {"host": host, "subset": subset}}
    return part if weight is None else {**part, "weight": weight}


FOREIGN = {
    "fence": 3,
    "annotation": "servicemesh.istio/fence",
    "write": {
        "subsets": ["v1", "v2"],
        "hosts": ["p", "p.shop.svc.cluster.local"],
        "routes": [
            {"name": "a", "route": [to("v1")]},
            {"name": "moved"},
            {"match": [{"uri": {"prefix": "/c"}}], "route": [to("v1", host="q")]},
        ],
    },
}


def given_back(*routes: dict[str, Any]) -> list[dict[str, Any]]:
    live = {
        "metadata": {"resourceVersion": "9", "annotations": {"team": "own"}},
        "spec": {"http": list(routes)},
    }
    test, fence, *patch = script.given_back(live, FOREIGN)
    assert test == {"op": "test", "path": "/metadata/resourceVersion", "value": "9"}
    assert fence["value"] == {"team": "own", "servicemesh.istio/fence": "4"}
    return patch


SPLIT_A = {"name": "a", "route": [to("v1", 90), to("v2", 10)], "timeout": "1s"}
BACK = [to("v1")]


@pytest.mark.parametrize("above", [0, 1, 3])
def test_routes_that_the_owner_added_above_are_left_alone(above: int) -> None:
    added = [{"name": f"new-{number}", "route": [to("x", host="z")]} for number in range(above)]
    moved = {"name": "moved", "redirect": {"uri": "/"}}
    other = {"match": [{"uri": {"prefix": "/c"}}], "route": [to("v1", host="q")]}
    assert given_back(*added, SPLIT_A, moved, other) == [
        {"op": "replace", "path": f"/spec/http/{above}/route", "value": BACK}
    ]
    assert given_back(other, *added, SPLIT_A) == [
        {"op": "replace", "path": f"/spec/http/{above + 1}/route", "value": BACK}
    ]


def test_a_route_that_its_owner_changed_loses_the_canary_s_part_only() -> None:
    changed = {"name": "a", "route": [to("v1", 70), to("v2", 20), to("x", 10, host="z")]}
    assert given_back(changed) == [
        {"op": "replace", "path": "/spec/http/0/route", "value": [to("v1", 90), to("x", 10, host="z")]}
    ]
    pinned = {"name": "beta", "route": [to("v2")]}
    assert given_back(pinned) == []


def test_a_lease_that_was_deleted_does_not_end_the_watch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop = Shop()
    dead_at_half(shop)
    key = ("Lease", NAMESPACE, "servicemesh-canary-product")
    shop.clock.at(10, lambda: shop.cluster.objects.pop(key) and None)
    said, _server = play(shop, monkeypatch, tmp_path)
    assert "the runner is dead" in said
    assert shop.share() == 0
    assert fence_of(shop.routes) == 2


def test_a_lease_that_its_live_holder_makes_again_is_watched_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop = Shop()
    rollout = with_deadman(shop)
    begun(rollout)
    assert rollout.deadman
    rollout.deadman.arm()
    rollout.routes.write(rollout.plan.phases[1].traffic, rollout.fence)
    key = ("Lease", NAMESPACE, "servicemesh-canary-product")
    shop.clock.at(10, lambda: shop.cluster.objects.pop(key) and None)
    for turn in range(1, 8):
        shop.clock.at(9.9 * turn, rollout.lease.renew)
    shop.clock.at(75, rollout.lease.release)
    said, _server = play(shop, monkeypatch, tmp_path)
    assert said == "the rollout has ended"
    assert shop.share() == 50


def test_the_job_carries_the_whole_program() -> None:
    shop = Shop()
    rollout = with_deadman(shop)
    begun(rollout)
    assert isinstance(rollout.deadman, DeadmanJob)
    pod = rollout.deadman.job()["spec"]["template"]
    assert (pod["spec"]["serviceAccountName"], pod["spec"]["restartPolicy"]) == ("deadman", "OnFailure")
    container = pod["spec"]["containers"][0]
    assert container["command"][:3] == ["python3", "-u", "-c"]
    compile(container["command"][3], "deadman", "exec")
    assert container["command"][3].rstrip().endswith('sys.stdout.write(main() + "\\n")')
    assert json.loads(container["env"][0]["value"])["holder"] == "runner-1"
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_the_program_s_text_is_found_in_a_zip_too(tmp_path: Path) -> None:
    """Ansible sends modules as zip files."""
    with zipfile.ZipFile(tmp_path / "payload.zip", "w") as payload:
        payload.writestr("deadman_script.py", Path(str(script.__file__)).read_text())
    code = "import inspect, deadman_script; print(inspect.getsource(deadman_script))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "payload.zip")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "def give_back" in done.stdout


def test_the_job_leaves_an_event_on_the_deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shop = Shop()
    metadata = {"name": "product-v2", "namespace": NAMESPACE}
    shop.cluster.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata})
    dead_at_half(shop)
    play(shop, monkeypatch, tmp_path)
    (left,) = [obj for key, obj in shop.cluster.objects.items() if key[0] == "Event"]
    assert (left["reason"], left["type"], left["regarding"]["name"]) == (
        "RolloutDeadman",
        "Warning",
        "product-v2",
    )
    assert left["eventTime"].endswith("Z")


def test_an_event_that_is_refused_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shop = Shop()
    metadata = {"name": "product-v2", "namespace": NAMESPACE}
    shop.cluster.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata})
    dead_at_half(shop)
    server = Server(shop)
    server.forbidden.add("POST")
    said, _server = play(shop, monkeypatch, tmp_path, server)
    assert said.startswith("the runner is dead")
    assert shop.share() == 0


def test_the_job_tells_whom_the_secret_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ScriptedServer(always=Answer(200)) as listener:
        monkeypatch.setenv("DEADMAN_NOTIFY_URL", f"{listener.url}/T0K3N?x=1\n")
        monkeypatch.setenv("DEADMAN_NOTIFY_HEADERS", '{"Authorization": "Bearer abc"}')
        shop = Shop()
        dead_at_half(shop)
        said, _server = play(shop, monkeypatch, tmp_path)
        (request,) = listener.requests
    assert (request.path, request.headers["authorization"]) == ("/T0K3N?x=1", ["Bearer abc"])
    assert (request.body["event"], request.body["run"], request.body["reason"]) == ("deadman", "run-1", said)
    assert "the deadman gave the routes back" in request.body["text"]


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("", ""),
        ("slack", ""),
        ("http://127.0.0.1:1/x", ""),
        ("http://127.0.0.1:1/x", "no json"),
        ("http://[", ""),
    ],
)
def test_whoever_cannot_be_told_changes_nothing(
    url: str,
    headers: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DEADMAN_NOTIFY_URL", url)
    monkeypatch.setenv("DEADMAN_NOTIFY_HEADERS", headers)
    shop = Shop()
    dead_at_half(shop)
    said, _server = play(shop, monkeypatch, tmp_path)
    assert said.startswith("the runner is dead")
    assert shop.share() == 0
    assert "127.0.0.1" not in capsys.readouterr().out


def test_the_url_is_taken_from_a_secret_and_not_from_the_job() -> None:
    shop = Shop()
    rollout = with_deadman(shop)
    rollout.deadman = DeadmanJob(
        rollout, shop.cluster, DeadmanOptions("python", "deadman", notify_secret="hooks"), own=True
    )
    begun(rollout)
    container = rollout.deadman.job()["spec"]["template"]["spec"]["containers"][0]
    assert [item["valueFrom"]["secretKeyRef"] for item in container["env"][1:]] == [
        {"name": "hooks", "key": "url", "optional": True},
        {"name": "hooks", "key": "headers", "optional": True},
    ]
