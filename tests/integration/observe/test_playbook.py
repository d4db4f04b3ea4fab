"""Playbook observe on the finished mesh: commands that work, reports, the log of a workload, and a kill."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.log_levels import read_levels
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import running_proxies
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from ...faults.canary_lab import kill
from ..browser import opened, printed
from ..finished_mesh import KUBECTL
from ..site.runs import Run, on_hosts, playbook
from .load import send
from .test_golden_signals import HOST, SHOP

ROOT = Path(__file__).resolve().parents[3]
PLAY = [
    str(Path(sys.executable).with_name("ansible-playbook")),
    str(ROOT / "playbooks" / "observe.yml"),
    *("-i", str(ROOT / "inventories" / "lab")),
]


def play(**variables: Any) -> Run:
    """The playbook as the lab's operator runs it."""
    return playbook("playbooks/observe.yml", extra=variables, timeout=240)


def switched_on(client: KubeClient) -> list[str]:
    """What is logging: Telemetries of ours, and proxies of user-service at another level than warning."""
    found = [
        item["metadata"]["name"]
        for item in client.list("telemetry.istio.io/v1", "Telemetry", SHOP).items
        if item["metadata"]["name"].startswith("proxy-log-")
    ]
    pods = client.list("v1", "Pod", SHOP, label_selector="app=user-service").items
    return found + [
        str(proxy) for proxy in running_proxies(pods) if read_levels(client, proxy).usual != "warning"
    ]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with both reports of one run."""
    directory = tmp_path_factory.mktemp("observe")
    paths = [str(directory / name) for name in ("mesh.json", "mesh.html")]
    done = play(observe_report_path=paths, observe_window="2m")
    assert done.code == 0, done.output[-3000:]
    assert re.search(r"changed=0 .*failed=0", done.output)
    assert "-- versions" in done.output
    return directory


def report(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "mesh.json").read_text())
    return found


def test_every_part_is_told(reports: Path) -> None:
    found = report(reports)
    assert {"addresses", "dashboards", "versions", "rollouts", "certificates", "traffic"} <= set(found)
    # The lab measures no containers; of other suites' namespaces the operator may read no proxy.
    about = [item for item in found["untold"] if item["part"] != "overhead" and SHOP in item["reason"]]
    assert about == []
    assert found["certificates"]["status"] != "fail"
    assert found["certificates"]["counts"]["pass"] >= 20
    assert [entry["behind"] for entry in found["versions"]["proxies"]] == [False]
    assert [entry["name"] for entry in found["dashboards"] if entry["url"]] == ["prometheus"]


def until(process: subprocess.Popen[str], said: str) -> str:
    """What a process writes until it says something. :raises AssertionError: it ends without."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if said in line:
            return "".join(lines)
    raise AssertionError("".join(lines)[-3000:])


@contextlib.contextmanager
def running(command: str, directory: Path, ready: str) -> Iterator[None]:
    """A command beside the test, from its first line with ``ready`` on."""
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        until(process, ready)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def test_the_commands_of_an_address_work_as_they_stand(reports: Path) -> None:
    ((entry,), call) = (report(reports)["addresses"], report(reports)["addresses"][0]["calls"][0])
    assert [(port["name"], port["port"]) for port in entry["ports"]][1:] == [("http2", 80), ("https", 443)]
    path = f"{Path(KUBECTL).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-c", call["ca"]], cwd=reports, env={**os.environ, "PATH": path}, check=True)
    # Whoever calls from outside need not be the one who may run playbooks.
    forward = call["forward"].replace("/kubeconfig/operator", "/kubeconfig/admin")
    with running(forward.replace("kubectl", KUBECTL, 1), reports, "Forwarding from"):
        done = subprocess.run(
            ["bash", "-c", f"{call['curl']} --silent --show-error --fail --max-time 20"],
            cwd=reports, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["service"] == "frontend"


def test_the_page_in_a_browser(reports: Path) -> None:
    file = reports / "mesh.html"
    assert not re.search(r"""\s(src|href)=""", file.read_text())
    by_hand = """
      const field = document.getElementById('filter');
      field.value = 'istiod default'; field.dispatchEvent(new Event('input'));
      const shown = [...document.querySelectorAll('tr[data-text]')].filter(row => !row.hidden).length;
      document.title = shown + ' wide ' + (document.documentElement.scrollWidth <= innerWidth);
    """
    page = opened(file, by_hand)
    assert page.console == []
    assert re.fullmatch(r"[1-9]\d* wide true", page.title), page.title
    assert 'id="graph"' in page.dom
    assert printed(file).startswith(b"%PDF")


def test_the_log_of_a_workload_is_on_for_a_while(client: KubeClient, tmp_path: Path) -> None:
    gateway = client.get("v1", "Service", "istio-ingressgateway", "istio-system")
    assert gateway is not None
    process = subprocess.Popen(
        [
            *PLAY,
            *("-e", "observe_workload=user-service observe_log_time=20s observe_show=versions"),
            *("-e", f"observe_log_level=rbac:debug observe_log_path={tmp_path}/user.log"),
        ],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    begun = until(process, "logging ecommerce/user-service for 20 s")
    time.sleep(3)
    assert "proxy-log-user-service" in switched_on(client)
    failing = {"x-fault-status": "user-service=503"}
    send(gateway["spec"]["clusterIP"], HOST, [("/api/users", failing), ("/api/users", {})] * 5)
    told = begun + process.communicate(timeout=120)[0]
    assert process.wait(120) == 0, told
    assert re.search(r"changed=0 .*failed=0", told)
    # The gateway tries each failure twice again; on a busy machine the last ones come too late.
    counted = re.search(r"user-service: (\d+) requests in 2\d\S* s at 1 pods, (\d+) went wrong", told)
    assert counted, told
    assert 10 <= int(counted[1]) <= 20
    assert 5 <= int(counted[2]) <= 15
    assert "in 503 GET" in told
    assert switched_on(client) == []
    assert "GET /api/users" in (tmp_path / "user.log").read_text()


def test_after_a_kill_the_next_run_switches_off(client: KubeClient) -> None:
    process = subprocess.Popen(
        [*PLAY, "-e", "observe_workload=user-service observe_log_time=10m observe_log_level=debug"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    until(process, "logging ecommerce/user-service for 600 s")
    kill(process, workers=True)
    assert len(switched_on(client)) == 2, "Telemetry and level are left behind"
    done = play(observe_show="addresses")
    assert done.code == 0, done.output[-3000:]
    assert "was left logging by a run that did not end" in done.output
    assert re.search(r"changed=1 .*failed=0", done.output)
    assert switched_on(client) == []
    again = play(observe_show="addresses")
    assert re.search(r"changed=0 .*failed=0", again.output), again.output[-2000:]


BAD = {
    "no-service": ({"observe_workload": "nobody"}, "observe_workload: 'nobody' is not in mesh_services"),
    "short": ({"observe_window": "1s"}, "observe_window: is 1 s, not from 10 s to 15 days"),
    "no-part": ({"observe_show": "everything"}, "observe_show"),
}


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    hosts = {name: variables for name, (variables, _said) in BAD.items()}
    done = on_hosts("playbooks/observe.yml", hosts, tmp_path)
    assert done.code == 2
    for name, (_variables, said) in BAD.items():
        assert said in done.errors[name][0], done.output
    assert "Traceback" not in done.output
