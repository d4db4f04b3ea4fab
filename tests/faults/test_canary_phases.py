"""Rollouts on the lab whose phases are not only weights, and one through a VirtualService of the team's own.

``CANARY_LAB=NAME pytest tests/faults/test_canary_phases.py -v -s`` (see canary_lab.py)
"""

from __future__ import annotations

import copy
import json
import os
import time
from typing import Any

from .canary_lab import NAMESPACE, SERVICE, Lab

QUICK: dict[str, Any] = {"canary_duration": 4, "canary_baseline": 10, "canary_steps": [50, 100]}
ASK = """
import http.client, json, sys
connection = http.client.HTTPConnection("product-service", 3000, timeout=10)
connection.request("GET", "/api/products", headers=json.loads(sys.argv[1]))
answer = connection.getresponse()
print(json.dumps([answer.status, json.loads(answer.read())["version"], answer.headers.get_all("set-cookie")]))
"""


def ask(lab: Lab, **headers: str) -> tuple[int, str, list[str]]:
    """One request from a meshed caller. :returns: status, version that answered, cookies that it sets."""
    pod = lab.kubectl("get", "pod", "-n", NAMESPACE, "-l", "app=api-gateway", "-o", "name").split()[0]
    command = ["exec", "-n", NAMESPACE, pod, "-c", "service", "--", "python3", "-c", ASK, json.dumps(headers)]
    status, version, cookies = json.loads(lab.kubectl(*command))
    return status, version, cookies or []


def replicas(lab: Lab, version: str) -> int:
    return int(lab.get("deployment", f"{SERVICE}-{version}")["spec"]["replicas"])


def test_dark_mirror_testers_approval_and_replicas(lab: Lab) -> None:
    lab.healthy()
    early = {
        "canary_dark": 4,
        "canary_mirror": {"percent": 50, "duration": 4, "min_requests": 20},
        "canary_testers": {"header": "x-tester", "value": "1", "duration": 6, "min_requests": 1},
        "canary_approvals": [4],
        "canary_scale": {"up": 2, "down": True},
    }
    earlier = lab.journal().get("run")
    with lab.load(warmup=12) as load:
        runner = lab.start("canary", **QUICK, **early)
        state = lab.await_journal(lambda s: s.get("run") != earlier and s.get("phase", 0) >= 3)
        assert replicas(lab, "v2") == 2
        lab.await_journal(lambda s: s["step"] == "watch")
        assert [ask(lab, **{"x-tester": "1"})[:2] for _unused in range(5)] == [(200, "v2")] * 5
        assert {ask(lab)[1] for _unused in range(5)} == {"v1"}
        output = runner.communicate(timeout=300)[0]
        assert runner.returncode == 0, output[-3000:]
        assert "awaiting_approval" in output
        assert lab.split() == {"v1": 100}
        assert load["versions"] == {}  # filled in at the end
        waiting = time.time()
        code, output = lab.play("canary_promote", **QUICK, **early)
        assert code == 0, output[-3000:]
        assert lab.split() == {"v2": 100}
        assert replicas(lab, "v1") == 0
        code, again = lab.play("canary", **QUICK, **early)
        assert "changed=0" in again
        code, output = lab.play("canary_rollback", **QUICK, **early)
        assert code == 0, output[-3000:]
        assert replicas(lab, "v1") > 0
        assert lab.split() == {"v1": 100}
    assert load["failed"] == 0, load["fails"]
    before = {
        version for second, found in load["seconds"].items() if second < waiting - 1 for version in found
    }
    assert before == {"v1"}, "mirrored and dark versions answer nobody"
    kinds = [phase["kind"] for phase in state["plan"]["phases"]]
    assert kinds == ["dark", "mirror", "testers", "weight", "weight"]


def test_a_user_stays_with_the_version_that_answered(lab: Lab) -> None:
    """Both versions give a cookie: were it the canary's alone, its share would grow with every request."""
    lab.healthy()
    earlier = lab.journal().get("run")
    sticky = {"canary_sticky": {"cookie": "release", "max_age": 600}, "canary_steps": [20, 100]}
    with lab.load(warmup=12) as load:
        runner = lab.start("canary", **{**QUICK, **sticky, "canary_duration": [30, 5]})
        lab.await_journal(lambda s: s.get("run") != earlier and s.get("phase") == 1 and s["step"] == "watch")
        answers = [ask(lab) for _unused in range(25)]
        given = {
            (version, cookie.partition(";")[0])
            for _status, version, cookies in answers
            for cookie in cookies
            if cookie.startswith("release=")
        }
        assert {version for version, _cookie in given} == {"v1", "v2"}, answers
        for version, cookie in sorted(given)[:1] + sorted(given)[-1:]:
            assert [ask(lab, cookie=cookie)[1] for _unused in range(8)] == [version] * 8
        output = runner.communicate(timeout=300)[0]
        assert runner.returncode == 0, output[-3000:]
    assert load["failed"] == 0, load["fails"]
    assert ask(lab)[2] == [], "nothing is left of the cookie after the promotion"


def test_two_runners_at_once_fifty_times(lab: Lab) -> None:
    """One acts, one is refused; the direction changes from turn to turn, so no turn needs a reset.

    ``CANARY_TURNS=25`` takes fewer. How quick the versions answer on a busy machine is not what is looked at.
    """
    lab.healthy()
    quick = {
        "canary_steps": [50, 100],
        "canary_duration": 1,
        "canary_baseline": 8,
        "canary_min_requests": 5,
        "canary_mode": "fixed",
        "canary_latency": None,
    }
    with lab.load(seconds=4000, warmup=12) as load:
        for turn in range(int(os.environ.get("CANARY_TURNS", "50"))):
            version = "v1" if turn % 2 else "v2"
            runners = [lab.start("canary", **quick, canary_version=version) for _unused in range(2)]
            outputs = [runner.communicate(timeout=200)[0] for runner in runners]
            said = "\n".join(outputs)
            codes = [runner.returncode for runner in runners]
            assert 0 in codes, said
            other = outputs[1 - codes.index(0)]
            late = f"{version} is already stable" in other  # it came when the first had ended
            refused = any(word in other for word in ("held by", "another rollout", "has not ended"))
            assert late if codes == [0, 0] else refused, said
            assert lab.split() == {version: 100}
            assert lab.record()["stable"] == version
    assert load["failed"] == 0, load["fails"]


def without_weights(routes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = copy.deepcopy(routes)
    for route in found:
        route["route"] = [
            {key: value for key, value in part.items() if key != "weight"}
            for part in route["route"]
            if part["destination"].get("subset") != "v2"
        ]
    return found


def test_only_the_weights_move_in_a_virtualservice_of_the_teams_own(lab: Lab) -> None:
    lab.healthy()
    name = f"{SERVICE}-routes"
    spec = copy.deepcopy(lab.get("virtualservice", name)["spec"])
    first = copy.deepcopy(spec["http"][0])
    first["name"] = "own"
    first["match"] = [{"headers": {"x-own": {"exact": "1"}}, "uri": {"prefix": "/api/products"}}]
    first["headers"] = {"response": {"set": {"x-team": "own"}}}
    first["fault"] = {"delay": {"fixedDelay": "0.010s", "percentage": {"value": 5}}}
    first["mirrors"] = [{"destination": {"host": SERVICE, "subset": "v1"}, "percentage": {"value": 1.5}}]
    spec["http"].insert(0, first)
    own = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"team": "own"}},
        "spec": spec,
    }
    try:
        lab.kubectl("delete", "virtualservice", name, "-n", NAMESPACE)
        lab.kubectl("create", "-f", "-", stdin=json.dumps(own))
        before = lab.get("virtualservice", name)["spec"]
        with lab.load(warmup=12) as load:
            code, output = lab.play("canary", **QUICK, canary_routes={"name": name})
            assert code == 0, output[-3000:]
            assert lab.split() == {"v2": 100}
            code, output = lab.play("canary_rollback", **QUICK, canary_routes={"name": name})
            assert code == 0, output[-3000:]
        assert lab.split() == {"v1": 100}
        after = lab.get("virtualservice", name)
        assert without_weights(after["spec"]["http"]) == without_weights(before["http"])
        assert {key: value for key, value in after["spec"].items() if key != "http"} == {
            key: value for key, value in before.items() if key != "http"
        }
        assert after["metadata"]["labels"] == {"team": "own"}
        assert load["failed"] == 0, load["fails"]
    finally:
        lab.kubectl("delete", "virtualservice", name, "-n", NAMESPACE, "--ignore-not-found")
        code, output = lab.play("mesh")
        assert code == 0, output[-3000:]
