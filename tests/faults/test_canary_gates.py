"""Gates, notifications, Events and the evidence page of real rollouts.

``CANARY_LAB=NAME pytest tests/faults/test_canary_gates.py -v -s`` (see canary_lab.py). With
``CANARY_PAGES=DIRECTORY`` the pages of a promoted, a rolled back and a held run are left there.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ..integration.browser import opened
from ..unit.support.http_server import Answer, Request, ScriptedServer
from .canary_lab import NAMESPACE, SERVICE, Lab

SECRET = "lab-s3cret-token"


def keep(lab: Lab, name: str) -> str:
    """The page of the newest run. :returns: its text."""
    page = max((lab.directory / "evidence").glob("*.html"), key=lambda path: path.stat().st_mtime)
    if os.environ.get("CANARY_PAGES"):
        Path(os.environ["CANARY_PAGES"]).mkdir(parents=True, exist_ok=True)
        for file in (page, page.with_suffix(".json")):
            shutil.copy(file, Path(os.environ["CANARY_PAGES"]) / f"{name}{file.suffix}")
    assert opened(page).console == []
    return page.read_text(encoding="utf-8")


def test_gates_of_all_kinds_let_a_healthy_version_through(lab: Lab) -> None:
    lab.healthy()
    opens = {"left": 3}

    def answer(request: Request) -> Answer:
        if request.path == "/board" and opens["left"]:
            opens["left"] -= 1
            return Answer(403, b"not yet")
        return Answer(200, b"ok")

    with ScriptedServer(always=answer) as server, lab.load(seconds=300) as load:
        headers = {"Authorization": f"Bearer {SECRET}"}
        smoke = ["/bin/sh", "-c", 'echo "$TOKEN"; test -n "$TOKEN" && test "$CANARY_CANARY" = v2']
        board = {"url": f"{server.url}/board", "headers": headers, "interval": 2}
        gates: list[dict[str, Any]] = [
            {"name": "smoke", "when": "pre-rollout", "command": smoke, "environment": {"TOKEN": SECRET}},
            {"name": "load", "when": "rollout", "phases": [1], "url": f"{server.url}/load"},
            {"name": "board", "when": "confirm-promotion", **board},
            {"name": "freeze", "timezone": "Europe/Berlin", "freeze": [{"to": "2001-01-02"}]},
        ]
        notify = [{"url": f"{server.url}/told/T0K3N", "headers": headers}]
        code, output = lab.play(
            "canary", canary_gates=gates, canary_notify=notify, canary_steps=[25, 100], canary_by="the lab"
        )
        assert code == 0, output[-3000:]
    assert load["failed"] == 0
    paths = [request.path for request in server.requests]
    assert (paths.count("/load"), paths.count("/board")) == (1, 4)
    told = [request.body["event"] for request in server.requests if request.path == "/told/T0K3N"]
    assert told == ["started", "phase_passed", "phase_passed", "promoted"]
    ids = [request.headers["idempotency-key"] for request in server.requests if request.path == "/board"]
    assert len(set(map(str, ids))) == 4  # each was answered
    assert lab.reasons() == ["RolloutStarted", *["RolloutPhasePassed"] * 2, "RolloutPromoted"]
    page = keep(lab, "promoted")
    for hidden in (SECRET, "T0K3N", server.url):
        assert hidden not in output
        assert hidden not in page
        assert hidden not in json.dumps(lab.journal())
    assert "board" in page


def test_a_sick_version_is_told_everywhere(lab: Lab) -> None:
    lab.healthy()
    lab.fault(FAULT_STATUS="503", FAULT_STATUS_PERCENT="20")
    with ScriptedServer(always=Answer(500)) as server, lab.load(seconds=200):
        notify = [{"url": f"{server.url}/told"}]
        code, output = lab.play("canary", canary_notify=notify)
    assert code == 2, output[-3000:]
    assert "notification: 127.0.0.1" in output  # once, as a warning, and the run ended as it had to
    assert lab.reasons()[-2:] == ["RolloutRollingBack", "RolloutRolledBack"]
    assert "rolled back" in keep(lab, "rolled_back")
    assert lab.split() == {"v1": 100}


def test_a_held_run_has_its_page_as_well(lab: Lab) -> None:
    lab.healthy()
    earlier = lab.journal().get("run")
    with lab.load(seconds=300):
        runner = lab.start("canary", canary_ready_timeout=8, canary_duration=20)
        lab.await_journal(lambda s: s.get("run") != earlier and s.get("passed", 0) >= 1)
        lab.kubectl("scale", f"deployment/{SERVICE}-v1", "-n", NAMESPACE, "--replicas=0")
        output = runner.communicate(timeout=300)[0]
    assert runner.returncode == 2, output[-3000:]
    assert lab.journal()["outcome"] == "held_at_split"
    assert lab.reasons()[-1] == "RolloutHeld"
    assert "held at split" in keep(lab, "held")
    lab.scale("v1", 1)
    lab.play("canary_rollback")
