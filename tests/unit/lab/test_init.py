"""Process 1, run as an ordinary process with harmless programs."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..support.http_server import at_work

INIT = Path(__file__).resolve().parents[3] / "lab" / "init.py"
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


class Run:
    """An init that carries out the given steps; its status as a dict."""

    def __init__(self, directory, steps, stay=True, **more):
        self.status_file = directory / "status.json"
        plan = {"status": str(self.status_file), "logs": str(directory), "stay": stay, "steps": steps, **more}
        (directory / "plan.json").write_text(json.dumps(plan))
        self.process = subprocess.Popen([sys.executable, "-I", str(INIT), str(directory / "plan.json")])

    @property
    def status(self):
        try:
            return json.loads(self.status_file.read_text())
        except OSError:
            return {}

    def until(self, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition(self.status):
                return self.status
            time.sleep(0.02)
        raise AssertionError(f"last status: {self.status}")


@pytest.fixture
def run(tmp_path):
    runs = []

    def start(steps, **options):
        runs.append(Run(tmp_path, steps, **options))
        return runs[-1]

    yield start
    for one in runs:
        one.process.kill()
        one.process.wait()


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_steps_are_done_in_order_and_recorded(run, tmp_path):
    one = run(
        [
            {"run": ["touch", str(tmp_path / "made")]},
            {"start": "sleeper", "argv": SLEEP},
            {"wait": "sleeper", "exec": ["test", "-e", str(tmp_path / "made")], "timeout": 5},
        ]
    )
    status = one.until(lambda status: status.get("phase") == "ready")
    assert [name for name, _unused in status["done"]] == ["sleeper"]
    assert is_running(status["programs"]["sleeper"]["pid"])


def test_programs_get_the_environment_of_the_plan(run, tmp_path):
    steps = [
        {"start": "shell", "argv": ["sh", "-c", "echo $MORE $PATH; exec sleep 60"]},
        {"wait": "shell", "exec": ["test", "-s", str(tmp_path / "shell.log")], "timeout": 5},
    ]
    run(steps, environment={"MORE": "400"}).until(lambda status: status.get("phase") == "ready")
    assert (tmp_path / "shell.log").read_text().strip() == f"400 {os.environ['PATH']}"


def test_sigterm_stops_the_programs_in_reverse_order(run, tmp_path):
    order = tmp_path / "order"
    script = (
        "import signal, sys, time\n"
        f"def stop(*_):\n open({str(order)!r}, 'a').write(sys.argv[1] + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"open({str(order)!r} + sys.argv[1], 'w')\n"
        "time.sleep(60)"
    )
    steps = []
    for name in ("first", "second"):
        steps.append({"start": name, "argv": [sys.executable, "-c", script, name]})
        steps.append({"wait": name, "exec": ["test", "-e", f"{order}{name}"], "timeout": 10})
    one = run(steps)
    one.until(lambda status: status.get("phase") == "ready")
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(10) == 0
    assert order.read_text().split() == ["second", "first"]
    assert one.status["phase"] == "stopping"


def test_a_program_that_ignores_sigterm_is_killed(run, tmp_path):
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open({str(tmp_path / 'on')!r}, 'w'); time.sleep(60)"
    )
    one = run(
        [
            {"start": "stubborn", "argv": [sys.executable, "-c", stubborn]},
            {"wait": "stubborn", "exec": ["test", "-e", str(tmp_path / "on")], "timeout": 10},
        ]
    )
    pid = one.until(lambda status: status.get("phase") == "ready")["programs"]["stubborn"]["pid"]
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(10) == 0
    assert not is_running(pid)


def test_the_death_of_a_program_is_recorded_and_nothing_restarted(run):
    one = run([{"start": "mortal", "argv": SLEEP}, {"start": "other", "argv": SLEEP}])
    status = one.until(lambda status: status.get("phase") == "ready")
    os.kill(status["programs"]["mortal"]["pid"], signal.SIGKILL)
    status = one.until(lambda status: status["programs"]["mortal"]["exit"] is not None)
    assert status["programs"]["mortal"]["exit"] == -signal.SIGKILL
    assert is_running(status["programs"]["other"]["pid"])
    assert status["phase"] == "ready"


def test_a_program_that_dies_while_starting_is_blamed_at_once(run, tmp_path):
    began = time.monotonic()
    broken = [sys.executable, "-c", "print('no port left'); raise SystemExit(3)"]
    one = run(
        [
            {"start": "other", "argv": SLEEP},
            {"start": "broken", "argv": broken},
            {"wait": "broken", "exec": ["false"], "timeout": 60},
        ]
    )
    assert one.process.wait(20) == 1
    assert time.monotonic() - began < 15
    assert one.status["phase"] == "failed"
    assert one.status["failed"] == "broken"
    assert "exit code 3" in one.status["error"]
    assert "no port left" in (tmp_path / "broken.log").read_text()
    assert not is_running(one.status["programs"]["other"]["pid"])


@pytest.mark.parametrize(
    ("step", "blamed", "said"),
    [
        ({"run": ["sh", "-c", "echo denied >&2; exit 4"]}, "init", "exit 4: denied"),
        ({"start": "ghost", "argv": ["/no/such/program"]}, "ghost", "does not start"),
        (
            {"wait": "never", "exec": ["sh", "-c", "echo not yet; exit 1"], "timeout": 0.2},
            "never",
            "last seen: not yet",
        ),
        ({"wait": "web", "url": "http://127.0.0.1:1/", "timeout": 0.2}, "web", "refused"),
    ],
)
def test_a_failing_step_says_what_and_why(run, step, blamed, said):
    one = run([step])
    assert one.process.wait(15) == 1
    assert one.status["failed"] == blamed
    assert said in one.status["error"]


def test_a_url_is_awaited_until_its_body_contains_the_text(run):
    bodies = iter([b"booting", b"booting"])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = next(bodies, b"all healthy")
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with at_work(http.server.HTTPServer(("127.0.0.1", 0), Handler)) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        one = run([{"wait": "web", "url": url, "contains": "healthy", "timeout": 10}], stay=False)
        assert one.process.wait(15) == 0
    assert next(bodies, None) is None


def test_a_plan_that_does_not_stay_ends_its_programs(run):
    one = run([{"start": "helper", "argv": SLEEP}], stay=False)
    assert one.process.wait(10) == 0
    assert not is_running(one.status["programs"]["helper"]["pid"])
