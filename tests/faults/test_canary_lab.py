"""Rollouts on the lab: sick versions, dead Prometheus, killed controllers, two runners.

Run on purpose, never with the unit tests: ``CANARY_LAB=t python -m pytest -s tests/faults``.
With ``-m sample`` only two short rollouts and one killed controller, about three minutes.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..integration.browser import opened
from ..unit.support.http_server import Answer, ScriptedServer
from .canary_lab import ENVIRONMENT, NAMESPACE, ROOT, SERVICE, SWITCHED, Lab, kill
from .fake_prometheus import fake_prometheus

MOST_CALLS = 68  # to the API server in a phase of ten seconds with five looks


def shown(name: str, **figures: object) -> None:
    print(f"\n{name}: {json.dumps(figures, default=str)}")


def evidence(lab: Lab) -> dict:
    run = lab.journal()["run"]
    return json.loads((lab.directory / "evidence" / f"{SERVICE}-{run}.json").read_text())


def test_healthy_version_is_promoted_without_a_lost_request(lab: Lab) -> None:
    lab.healthy()
    with lab.load(rate=80, gateway_rate=20) as load:
        began = time.time()
        code, output = lab.play("canary")
        seconds = time.time() - began
        assert code == 0, output[-3000:]
        code, again = lab.play("canary")
        assert code == 0
        assert "changed=0" in again
    assert load["failed"] == 0, load["fails"]
    assert lab.split() == {"v2": 100}
    assert lab.record()["stable"] == "v2"
    for window in evidence(lab)["evidence"]["proofs"]:
        assert window["status"] == "pass"
    calls = figures(lab)["calls_per_phase"]
    assert max(calls.values()) <= MOST_CALLS, calls
    shares = measured_shares(evidence(lab)["timeline"], load["seconds"])
    assert set(shares) == {10, 25, 50, 75, 100}
    for wanted, (canary, everything) in shares.items():
        error = math.sqrt(wanted * (100 - wanted) / 1e4 / everything)
        assert abs(canary / everything - wanted / 100) <= 4.5 * error, shares
    shown(
        "healthy",
        seconds=round(seconds, 1),
        shares={wanted: f"{canary / total:.1%} of {total}" for wanted, (canary, total) in shares.items()},
        **{k: load[k] for k in ("sent", "failed", "versions")},
        **figures(lab),
    )


def figures(lab: Lab) -> dict[str, Any]:
    """What every rollout reports: seconds from write to proof at the last proxy, API calls per phase."""
    found = evidence(lab)
    return {
        "write_to_proof": [proof["seconds"] for proof in found["evidence"]["proofs"]],
        "calls_per_phase": found["api_calls"],
    }


def measured_shares(
    timeline: list[dict[str, Any]], seconds: dict[int, dict[str, int]]
) -> dict[int, list[int]]:
    """Canary's percent -> [its requests, all requests], as the callers saw them in the whole seconds between
    the proof of a phase's weights and the next write."""
    shares: dict[int, list[int]] = {}
    percent, proved = 0, 0.0
    for event in timeline:
        at = datetime.fromisoformat(event["at"]).timestamp()
        if found := re.fullmatch(r"\d+/weight (\d+) %: routes pass .*", event["event"]):
            percent, proved = int(found[1]), at
        elif proved and re.fullmatch(r"phase \d+/weight \d+ %: pass|end: .*", event["event"]):
            here = [seconds.get(second, {}) for second in range(math.ceil(proved) + 1, int(at))]
            canary = sum(versions.get("v2", 0) for versions in here)
            shares[percent] = [canary, canary + sum(versions.get("v1", 0) for versions in here)]
            proved = 0.0
    return shares


SICK = {
    "5 percent errors": {"FAULT_STATUS": "500", "FAULT_STATUS_PERCENT": "5"},
    "50 percent errors": {"FAULT_STATUS": "500", "FAULT_STATUS_PERCENT": "50"},
    "plus 500 ms": {"FAULT_DELAY_MS": "500"},
}


@pytest.mark.parametrize("name", list(SICK))
def test_sick_version_ends_at_stable(lab: Lab, name: str) -> None:
    lab.healthy()
    lab.fault(**SICK[name])
    with lab.load() as load:
        code, output = lab.play("canary")
    assert code != 0, output[-2000:]
    assert lab.split() == {"v1": 100}
    assert lab.record()["stable"] == "v1"
    state = lab.journal()
    assert state["outcome"] == "rolled_back"
    assert ("latency" if "ms" in name else "errors") in state["reason"]
    shown(
        name,
        reason=state["reason"],
        phase=state["phase"],
        totals=evidence(lab)["totals"],
        failed=load["failed"],
        sent=load["sent"],
        said=last_word(output),
    )


def last_word(output: str) -> str:
    """The line in which a run says how it ended and what it cost."""
    return next(line for line in reversed(output.splitlines()) if "hurt by the canary" in line)


def test_version_that_falls_ill_at_half_of_the_traffic(lab: Lab) -> None:
    """Errors begin when 50 % are written; the time until every proxy has weight 0 again is measured."""
    lab.healthy()
    lab.patch({"command": ["python3", "-c", SWITCHED]})
    moments: list[float] = []

    def fall_ill(share: int) -> None:
        if share == 50:
            moments.append(lab.sicken("500"))

    with lab.load() as load, lab.shares_seen(fall_ill) as shares:
        code, output = lab.play("canary")
    assert code != 0, output[-2000:]
    assert shares == [0, 10, 25, 50, 0]
    assert lab.split() == {"v1": 100}
    state = lab.journal()
    assert state["outcome"] == "rolled_back"
    assert state["phase"] == 3
    assert state["reason"].startswith("errors:")
    failing = sorted(int(key.rpartition("@")[2]) for fails in load["fails"] for key in fails)
    proof = datetime.fromisoformat(evidence(lab)["evidence"]["proofs"][-1]["at"]).timestamp()
    assert failing[-1] <= proof + 1
    assert failing[-1] - moments[0] < 15
    shown(
        "ill at 50 %",
        reason=state["reason"],
        seconds_ill_until_weight_0_everywhere=round(proof - moments[0], 1),
        failed=load["failed"],
        sent=load["sent"],
        said=last_word(output),
    )


def test_telemetry_without_response_codes(lab: Lab) -> None:
    """Refused before any write; when the label goes missing in mid-run, the version is withdrawn."""
    lab.healthy()
    before = lab.get("virtualservice", f"{SERVICE}-routes")["metadata"]["resourceVersion"]
    address = lab.get("service", "prometheus", "istio-system")["spec"]["clusterIP"]
    with lab.load() as load, fake_prometheus(f"http://{address}:9090") as prometheus:
        prometheus.hidden = "response_code"
        code, output = lab.play("canary", canary_prometheus={"url": prometheus.url})
        assert code != 0
        assert "nothing was written: metrics: series without a usable response_code" in output
        assert lab.get("virtualservice", f"{SERVICE}-routes")["metadata"]["resourceVersion"] == before
        prometheus.hidden = ""

        def hide(share: int) -> None:
            prometheus.hidden = "response_code" if share == 25 else prometheus.hidden

        with lab.shares_seen(hide) as shares:
            code, output = lab.play(
                "canary", canary_prometheus={"url": prometheus.url}, canary_unmeasurable=15
            )
    assert code != 0, output[-2000:]
    assert shares == [0, 10, 25, 0]
    state = lab.journal()
    assert state["outcome"] == "rolled_back"
    assert "nothing could be measured for" in state["reason"]
    assert "response_code" in state["reason"]
    assert load["failed"] == 0, load["fails"]
    shown("no response codes", reason=state["reason"])


# so much evidence that a tenth of the requests does not give it within a minute
HARD = {"acceptable": 0.0001, "limit": 0.001}


def test_stable_that_is_gone_is_looked_at_again_and_gets_everything_when_it_is_back(lab: Lab) -> None:
    """The kill case "stable is the sick one": no end at a version that nobody proved."""
    lab.healthy()
    gone: list[float] = []

    def act(share: int) -> None:
        if share == 10 and not gone:
            gone.append(time.time())
            lab.scale("v1", 0)

    try:
        with lab.load(seconds=200), lab.shares_seen(act) as shares:
            code, output = lab.play(
                "canary", canary_ready_timeout=15, canary_errors=HARD, canary_phase_deadline=600
            )
        assert code != 0, output[-2000:]
        assert lab.journal()["outcome"] == "held_at_split", output[-2000:]
        assert max(shares) == 10, "an unproved version gained traffic"
        assert lab.play("canary_resume")[0] != 0
        assert lab.split() == {"v1": 90, "v2": 10}
        lab.scale("v1", 1)
        lab.play("canary_resume", check=True)
        assert lab.split() == {"v1": 100}
        assert lab.record()["weights"] == {"v1": 100}
    finally:
        lab.scale("v1", 1)


def test_a_short_moment_without_stable_ends_nothing(lab: Lab) -> None:
    lab.healthy()
    gone: list[float] = []

    def act(share: int) -> None:
        if share == 25 and not gone:
            gone.append(time.time())
            lab.scale("v1", 0)
            lab.scale("v1", 1)

    with lab.load(), lab.shares_seen(act) as shares:
        code, output = lab.play("canary", canary_ready_timeout=60)
    assert lab.journal()["outcome"] in ("promoted", "rolled_back"), output[-2000:]
    assert (code == 0) == (lab.journal()["outcome"] == "promoted")
    assert 100 not in shares[: shares.index(25) + 1]


def test_stable_that_falls_ill_does_not_keep_a_healthy_version_back(lab: Lab) -> None:
    """Nothing is rolled back into the sick version; the new one is proved, and gets everybody."""
    lab.healthy()
    lab.patch({"command": ["python3", "-c", SWITCHED]}, "v1")

    def act(share: int) -> None:
        if share == 10:
            lab.sicken("500", "v1")

    try:
        with lab.load(seconds=200), lab.shares_seen(act) as shares:
            code, output = lab.play("canary")
        assert code == 0, output[-2000:]
        assert lab.journal()["outcome"] == "promoted"
        assert shares == sorted(shares), "requests went back to a sick version"
    finally:
        lab.patch({"command": None}, "v1")
        lab.play("canary_rollback")


def test_version_that_refuses_connections(lab: Lab) -> None:
    """The Service's port leads nowhere in v2: its own proxy answers 503 in its stead."""
    lab.healthy()
    idle = {
        "name": "service",
        "command": ["python3", "-c", "import time; time.sleep(1e6)"],
        "readinessProbe": None,
        "livenessProbe": None,
        "startupProbe": None,
    }
    patch = {"spec": {"template": {"spec": {"containers": [idle]}}}}
    lab.kubectl("patch", f"deployment/{SERVICE}-v2", "-n", NAMESPACE, "-p", json.dumps(patch))
    try:
        lab.kubectl("rollout", "status", f"deployment/{SERVICE}-v2", "-n", NAMESPACE, "--timeout=120s")
        with lab.load() as load:
            code, output = lab.play("canary")
        assert code != 0, output[-2000:]
        assert lab.split() == {"v1": 100}
        shown(
            "refuses", reason=lab.journal()["reason"], totals=evidence(lab)["totals"], failed=load["failed"]
        )
    finally:
        lab.kubectl("rollout", "undo", f"deployment/{SERVICE}-v2", "-n", NAMESPACE)


def test_crash_loop(lab: Lab) -> None:
    lab.healthy()
    lab.fault(FAULT_CRASH_AFTER="300")
    with lab.load() as load:
        code, output = lab.play("canary")
    assert code != 0, output[-2000:]
    assert lab.split() == {"v1": 100}
    shown("crash loop", reason=lab.journal()["reason"], totals=evidence(lab)["totals"], failed=load["failed"])


def test_no_pods_is_refused_before_any_write(lab: Lab) -> None:
    lab.healthy()
    lab.kubectl("scale", f"deployment/{SERVICE}-v2", "-n", NAMESPACE, "--replicas=0")
    before = lab.get("virtualservice", f"{SERVICE}-routes")["metadata"]["resourceVersion"]
    with lab.load(seconds=60):
        code, output = lab.play("canary")
    assert code != 0
    assert "nothing was written: no ready endpoint: v2" in output
    assert lab.get("virtualservice", f"{SERVICE}-routes")["metadata"]["resourceVersion"] == before


def test_no_traffic_is_refused_before_any_write(lab: Lab) -> None:
    lab.healthy()
    time.sleep(25)
    code, output = lab.play("canary")
    assert code != 0
    assert "no requests reached" in output
    assert lab.split() == {"v1": 100}


def test_prometheus_down_for_a_minute_does_not_withdraw_a_good_version(lab: Lab) -> None:
    lab.healthy()

    def outage() -> None:
        time.sleep(20)
        lab.kubectl("scale", "deployment/prometheus", "-n", "istio-system", "--replicas=0")
        time.sleep(60)
        lab.kubectl("scale", "deployment/prometheus", "-n", "istio-system", "--replicas=1")

    with lab.load() as load:
        thread = threading.Thread(target=outage)
        thread.start()
        code, output = lab.play("canary", canary_unmeasurable=150, canary_phase_deadline=300)
        thread.join()
    assert code == 0, output[-3000:]
    assert "cannot measure" in output
    assert lab.split() == {"v2": 100}
    assert load["failed"] == 0, load["fails"]


# Where the runner's death is the matter, a machine that hiccups for half a second shall not be the end.
STEADY: dict[str, Any] = {"canary_latency": {"max_ms": 1000, "compare": False}}
Journal = dict[str, Any]
KILLS: dict[str, Callable[[Journal], bool]] = {
    "begin": lambda state: bool(state.get("step")),
    "weights 1": lambda state: state.get("phase", 0) >= 1,
    "watch 2": lambda state: state.get("phase", 0) >= 2 and state["step"] == "watch",
    "proved 3": lambda state: state.get("phase", 0) >= 3 and state["step"] in ("proved", "watch"),
    "promoting": lambda state: state.get("state") == "promoting",
    "record": lambda state: state.get("step") in ("record", "done"),
}


@pytest.mark.parametrize(
    ("moment", "heir"),
    [
        ("begin", "canary_resume"),
        ("weights 1", "canary"),
        pytest.param("watch 2", "canary_resume", marks=pytest.mark.sample),
        ("proved 3", "canary"),
        ("promoting", "canary_resume"),
        ("record", "canary"),
    ],
)
def test_killed_controller(lab: Lab, moment: str, heir: str) -> None:
    """SIGKILL to ansible-playbook and its workers; then a schedule's clean-up, or the next call."""
    lab.healthy()
    earlier = lab.journal().get("run")
    with lab.load() as load, lab.shares_seen() as shares:
        process = lab.start("canary", canary_lease=12, **STEADY)
        lab.await_journal(lambda state: state.get("run") != earlier and KILLS[moment](state))
        kill(process, workers=True)
        died = lab.journal()
        assert lab.split().get("v2", 0) in (0, 10, 25, 50, 75, 100)
        time.sleep(13)  # the lease
        assert lab.journal()["at"] == died["at"], "something of the dead run still writes"
        began = time.time()
        code, output = lab.play(heir, canary_lease=12, **STEADY)
        seconds = time.time() - began
        assert code == 0, output[-3000:]
        ended = lab.split()
        code, again = lab.play(heir, canary_lease=12, **STEADY)
        assert code == 0
        assert "changed=0" in again
        assert lab.split() == ended
    decided = heir == "canary" or died["state"] in ("promoting", "finished")
    assert ended == ({"v2": 100} if decided else {"v1": 100})
    assert lab.journal()["outcome"] == ("promoted" if decided else "rolled_back")
    assert lab.record()["stable"] == ("v2" if decided else "v1")
    assert load["failed"] == 0, load["fails"]
    stood = {key: died.get(key) for key in ("state", "phase", "step")}
    shown(
        f"killed at {moment}, {heir}",
        stood=stood,
        seconds=round(seconds, 1),
        shares=shares,
        sent=load["sent"],
    )


ACCOUNT = """
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ServiceAccount
  metadata: &place {name: servicemesh-deadman, namespace: ecommerce}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: *place
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: servicemesh-deadman}
  subjects: [{kind: ServiceAccount, name: servicemesh-deadman, namespace: ecommerce}]
"""


def test_killed_controller_with_a_deadman_needs_no_schedule(lab: Lab) -> None:
    """The cluster itself gives the routes back; a later run closes the books."""
    lab.healthy()
    lab.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=ACCOUNT)
    image = lab.get("deployment", f"{SERVICE}-v1")["spec"]["template"]["spec"]["containers"][0]["image"]
    guarded = {"canary_deadman": "job", "canary_deadman_job": {"image": image}, "canary_lease": 12}
    with lab.load() as load:
        code, output = lab.play("canary", **guarded)
        assert code != 0
        assert "deadman: ServiceAccount ecommerce/servicemesh-deadman does not exist" in output
        lab.kubectl("apply", "-f", str(ROOT / "docs" / "rbac" / "deadman.yaml"))
        lab.kubectl("apply", "-f", "-", stdin=ACCOUNT)
        earlier = lab.journal().get("run")
        with lab.shares_seen() as shares:
            process = lab.start("canary", **guarded)
            lab.await_journal(lambda state: state.get("run") != earlier and KILLS["watch 2"](state))
            kill(process, workers=True)
            died = time.time()
            while lab.split() != {"v1": 100}:
                assert time.time() - died < 40, "the split stays"
                time.sleep(0.2)
            seconds = time.time() - died
            assert lab.journal()["state"] == "running", "the Job leaves the books to the next runner"
            code, output = lab.play("canary_resume", canary_lease=12)
            assert code == 0, output[-3000:]
            assert lab.journal()["outcome"] == "rolled_back"
            # The same with a runner that lives: promoted, and the Job is gone.
            code, output = lab.play("canary", **guarded, **SHORT)
            assert code == 0, output[-3000:]
    assert seconds < 12 + 8
    assert shares == [0, 10, 25, 0, 10, 50, 100]
    jobs = json.loads(lab.kubectl("get", "jobs", "-n", NAMESPACE, "-o", "json"))["items"]
    assert [job["status"].get("succeeded") for job in jobs] == [1], "only the first is left, for its log"
    assert load["failed"] == 0, load["fails"]
    shown("deadman", seconds_to_stable=round(seconds, 1), lease=12, sent=load["sent"])


def test_killed_process_group_leaves_an_orphan_that_withdraws(lab: Lab) -> None:
    """Ansible's worker is a session of its own and survives its group; it sees that nobody waits for it."""
    lab.healthy()
    earlier = lab.journal().get("run")
    with lab.load() as load:
        process = lab.start("canary")
        lab.await_journal(lambda state: state.get("run") != earlier and KILLS["watch 2"](state))
        kill(process, workers=False)
        began = time.time()
        state = lab.await_journal(lambda state: state["state"] == "finished", timeout=30)
        seconds = time.time() - began
        assert state["outcome"] == "rolled_back"
        assert lab.split() == {"v1": 100}
        code, output = lab.play("canary_resume")
        assert code == 0
        assert "changed=0" in output
    assert load["failed"] == 0, load["fails"]
    shown("killed group", reason=state["reason"], seconds=round(seconds, 1))


def test_site_during_and_after_a_rollout_moves_no_traffic(lab: Lab) -> None:
    lab.healthy()
    earlier = lab.journal().get("run")
    with lab.load() as load, lab.shares_seen() as shares:
        runner = lab.start("canary", canary_duration=20)
        lab.await_journal(lambda state: state.get("run") != earlier and KILLS["watch 2"](state))
        began = lab.journal()["phase"]
        code, during = lab.play("site")
        assert code == 0, during[-3000:]
        ended = lab.journal()
        output = runner.communicate(timeout=300)[0]
        assert runner.returncode == 0, output[-3000:]
        assert ended["state"] == "running", "site.yml outlived the rollout: nothing was shown"
        code, after = lab.play("site")
        assert code == 0, after[-3000:]
        assert "changed=0" in after
    assert shares == [0, 10, 25, 50, 75, 100]
    assert lab.split() == {"v2": 100}
    assert load["failed"] == 0, load["fails"]
    shown(
        "site.yml",
        phases=[began, ended["phase"]],
        during=recap(during),
        after=recap(after),
        sent=load["sent"],
    )


def recap(output: str) -> str:
    """The last line of a playbook's recap."""
    return " ".join(next(line for line in reversed(output.splitlines()) if "ok=" in line).split())


def test_rollback_while_a_runner_lives(lab: Lab) -> None:
    lab.healthy()
    with lab.load() as load:
        process = lab.start("canary")
        time.sleep(25)
        began = time.time()
        code, output = lab.play("canary_rollback")
        seconds = time.time() - began
        assert code == 0, output[-2000:]
        first, _unused = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "asked for by" in first
    assert lab.split() == {"v1": 100}
    assert load["failed"] == 0, load["fails"]
    shown("rollback request", seconds=round(seconds, 1))


def test_two_runners_at_once(lab: Lab) -> None:
    lab.healthy()
    with lab.load() as load:
        runners = [lab.start("canary") for _unused in range(2)]
        outputs = [runner.communicate(timeout=300)[0] for runner in runners]
    codes = sorted(runner.returncode for runner in runners)
    assert codes[0] == 0
    assert codes[1] != 0
    refused = next(o for o, r in zip(outputs, runners, strict=True) if r.returncode)
    assert "held by" in refused or "another rollout" in refused or "has not ended" in refused
    assert lab.split() == {"v2": 100}
    assert load["failed"] == 0, load["fails"]


def test_check_mode_writes_nothing(lab: Lab) -> None:
    lab.healthy()
    before = lab.get("virtualservice", f"{SERVICE}-routes")["metadata"]["resourceVersion"]
    journal = lab.get("configmap", f"servicemesh-canary-{SERVICE}")["metadata"]["resourceVersion"]
    with lab.load(seconds=60):
        process = subprocess.run(
            [*lab.command("canary"), "--check", "--diff"],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
            env=ENVIRONMENT,
        )
    assert process.returncode == 0, process.stdout[-2000:]
    assert "plan: phase 5/weight 100 %" in process.stdout
    for phase in ("1/weight 10 %", "2/weight 25 %", "3/weight 50 %", "4/weight 75 %", "5/weight 100 %"):
        assert f"+++ after: {SERVICE}-routes: phase {phase}" in process.stdout
    assert re.search(r'^\+ +"weight": 10$', process.stdout, re.MULTILINE)
    assert lab.get("virtualservice", f"{SERVICE}-routes")["metadata"]["resourceVersion"] == before
    assert lab.get("configmap", f"servicemesh-canary-{SERVICE}")["metadata"]["resourceVersion"] == journal


def narrow() -> str:
    """The bindings in namespaces of docs/rbac/canary.yaml, to one user: nothing in the whole cluster."""
    items = yaml.safe_load((Path(__file__).parents[2] / "docs/rbac/canary.yaml").read_text())["items"]
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "canary-only"}]
    bindings = [
        {
            **item,
            "metadata": {**item["metadata"], "name": f"only-{item['metadata']['name']}"},
            "subjects": subjects,
        }
        for item in items
        if item["kind"] == "RoleBinding"
    ]
    assert bindings
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": bindings})


SHORT = {**STEADY, "canary_duration": 4, "canary_baseline": 10, "canary_steps": [10, 50, 100]}


@pytest.fixture
def canary_only(lab: Lab) -> Iterator[dict[str, Any]]:
    """``mesh_connection`` of a user with the ClusterRoles of a rollout in the namespaces that matter."""
    lab.kubectl("apply", "-f", "-", stdin=narrow())
    yield {"kubeconfig": lab.environment["KUBECONFIG"], "impersonate_user": "canary-only"}
    lab.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=narrow())


@pytest.mark.sample
def test_sample_healthy_version_with_the_documented_rights_only(
    lab: Lab, canary_only: dict[str, Any]
) -> None:
    """With a gate of each kind, somebody who is told, Events, and the page of the run."""
    lab.healthy()
    with ScriptedServer(always=Answer(200)) as server, lab.load(warmup=12) as load:
        gates = [
            {
                "name": "smoke",
                "command": ["/bin/sh", "-c", 'test "$CANARY_CANARY" = v2'],
                "when": "pre-rollout",
            },
            {"name": "board", "url": f"{server.url}/board", "when": "confirm-promotion"},
            {"name": "freeze", "timezone": "Europe/Berlin", "freeze": [{"to": "2001-01-02"}]},
        ]
        asked = {"canary_gates": gates, "canary_notify": [{"url": f"{server.url}/told"}]}
        code, output = lab.play("canary", mesh_connection=canary_only, **SHORT, **asked)
        assert code == 0, output[-3000:]
        events = [request.body["event"] for request in server.requests if request.path == "/told"]
        assert events == ["started", *["phase_passed"] * 3, "promoted"]
        assert [request.path for request in server.requests].count("/board") == 1
        reasons = ["RolloutStarted", *["RolloutPhasePassed"] * 3, "RolloutPromoted"]
        assert lab.reasons() == reasons
        page = max((lab.directory / "evidence").glob("*.html"), key=lambda path: path.stat().st_mtime)
        shown_page = opened(page)
        assert (shown_page.console, shown_page.title) == ([], f"{SERVICE}: v1 to v2")
        code, again = lab.play("canary", mesh_connection=canary_only, **SHORT)
        assert "changed=0" in again
        code, output = lab.play("canary_rollback", mesh_connection=canary_only)
        assert code == 0, output[-3000:]
    assert lab.split() == {"v1": 100}
    assert load["failed"] == 0, load["fails"]
    assert load["versions"]["v2"] > 0
    shown("sample, healthy", sent=load["sent"], failed=load["failed"])


@pytest.mark.sample
def test_sample_sick_version(lab: Lab) -> None:
    lab.healthy()
    lab.fault(**SICK["50 percent errors"])
    with lab.load(warmup=12) as load:
        code, output = lab.play("canary", **SHORT)
    assert code != 0
    assert lab.split() == {"v1": 100}
    assert lab.journal()["outcome"] == "rolled_back"
    assert lab.journal()["reason"].startswith("errors:")
    assert load["failed"] < load["sent"] / 10
    shown("sample, sick", said=last_word(output), failed=load["failed"], sent=load["sent"])
