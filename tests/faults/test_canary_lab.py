"""Rollouts on the lab: sick versions, dead Prometheus, killed controllers, two runners.

Run on purpose, never with the unit tests: ``python -m pytest tests/faults/test_canary_lab.py -s``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from canary_lab import NAMESPACE, SERVICE, Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    found = Lab(tmp_path_factory.mktemp("canary"))
    found.healthy()
    yield found
    found.healthy()


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
    shown(
        "healthy",
        seconds=round(seconds, 1),
        **{k: load[k] for k in ("sent", "failed", "versions")},
        proofs=[p["seconds"] for p in evidence(lab)["evidence"]["proofs"]],
        calls=evidence(lab)["api_calls"],
    )


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
    )


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


@pytest.mark.parametrize("after", [3, 12, 20, 35, 50])
@pytest.mark.parametrize("heir", ["canary", "canary_resume"])
def test_killed_controller(lab: Lab, after: float, heir: str) -> None:
    """SIGKILL to the whole process group in mid-run; then a schedule's clean-up, or the next call."""
    lab.healthy()
    with lab.load() as load:
        process = lab.start("canary")
        time.sleep(after)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        lab.split()  # every route sums to 100 at this moment
        time.sleep(32)  # the lease
        began = time.time()
        code, output = lab.play(heir)
        assert code == 0, output[-3000:]
        code, again = lab.play(heir)
        assert code == 0
        assert "changed=0" in again
    expected = {"v2": 100} if heir == "canary" else {"v1": 100}
    if heir == "canary_resume" and lab.journal().get("outcome") == "promoted":
        expected = {"v2": 100}
    assert lab.split() == expected
    assert load["failed"] == 0, load["fails"]
    shown(f"killed after {after} s, {heir}", seconds=round(time.time() - began, 1), sent=load["sent"])


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
        )
    assert process.returncode == 0, process.stdout[-2000:]
    assert "plan: phase 5/weight 100 %" in process.stdout
    assert lab.get("virtualservice", f"{SERVICE}-routes")["metadata"]["resourceVersion"] == before
    assert lab.get("configmap", f"servicemesh-canary-{SERVICE}")["metadata"]["resourceVersion"] == journal
