"""Schedules over many clusters: those that are away, hang, refuse or show a stranger's certificate keep no
other from its turn. A real ansible-playbook; each healthy host is a mesh in namespaces of its own on one API
server."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tools.kept_code import keeping

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
GOOD = ("amber", "basalt", "coral")
# Gives up on a server that never answers: the read timeout, three times at most, and what else the run needs.
LONGEST = 180.0


@pytest.fixture
def silent():
    """Accepts every connection, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody():
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def inventory(api, kube, space, silent, nobody, tmp_path):
    server = yaml.safe_load(Path(api).read_text())["clusters"][0]["cluster"]["server"]
    hosts = {name: {"mesh_connection": {"kubeconfig": api}} for name in GOOD}
    hosts |= {
        "dead": {"mesh_connection": {"host": f"https://127.0.0.1:{nobody}", "api_key": "x"}},
        "hangs": {"mesh_connection": {"host": silent, "api_key": "x"}},
        "refuses": {"mesh_connection": {"host": server, "api_key": "wrong", "validate_certs": False}},
        "stranger": {"mesh_connection": {"host": server, "api_key": "x"}},
        "ssh": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": nobody},
    }
    for name, values in hosts.items():
        own = f"{space}-{name}"
        values |= {
            "mesh_name": own,
            "mesh_namespace": f"{own}-shop",
            "istio_namespace": own,
            "certificates_ca_namespace": f"{own}-ca",
        }
        if name in GOOD:
            for namespace in (own, f"{own}-ca", f"{own}-shop"):
                kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    shared = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "certificates_prove": False,
        "mesh_services": [
            {
                "name": "web",
                "ports": [{"name": "http", "number": 80, "target_port": 8080, "protocol": "http"}],
            }
        ],
        "mesh_gateways": [
            {"name": "shop", "servers": [{"host": "shop.example", "certificate": "shop-cert"}]}
        ],
    }
    path = tmp_path / "hosts.yml"
    path.write_text(yaml.safe_dump({"istio": {"hosts": hosts, "vars": shared}}, sort_keys=False))
    yield path
    for name in GOOD:
        for namespace in (f"{space}-{name}", f"{space}-{name}-ca", f"{space}-{name}-shop"):
            kube.delete("v1", "Namespace", namespace)


def play(inventory, playbook, *options):
    """:returns: exit, everything printed, outcome by host from the table, seconds."""
    begin = time.monotonic()
    done = subprocess.run(
        [PLAYBOOK, "-i", inventory, "-f", "8", *options, f"servicemesh.istio.{playbook}"],
        env={
            **os.environ,
            **keeping(inventory.parent),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_RETRIES": "0",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    output = done.stdout + done.stderr
    table = re.search(r'"cluster +outcome +what was said",(.*?)"\d+ clusters?', output, re.DOTALL)
    assert table, output
    rows = dict(re.findall(r'"(\S+) +(ok|changed|failed|unreachable|not run)\b', table[1]))
    assert "Traceback" not in output
    return done.returncode, output, rows, time.monotonic() - begin


AWAY = {
    "dead": "unreachable",
    "hangs": "unreachable",
    "refuses": "failed",
    "stranger": "unreachable",
    "ssh": "unreachable",
}


@pytest.mark.parametrize("playbook", ["rotate_certificates", "certificates"])
def test_certificates_are_renewed_where_that_is_possible(inventory, kube, space, playbook):
    code, output, rows, seconds = play(inventory, playbook)
    assert rows == {**dict.fromkeys(GOOD, "changed"), **AWAY}, output
    assert code == 2
    assert seconds < LONGEST
    for name in GOOD:
        assert kube.get("v1", "Secret", "shop-cert", f"{space}-{name}"), output
    for said in (
        "connection refused",
        "no answer in time",
        "does not accept the credential",
        "is not trusted",
    ):
        assert said in output
    code, output, rows, _seconds = play(inventory, playbook, "-e", "mesh_hosts_fail_on=[]")
    assert rows == {**dict.fromkeys(GOOD, "ok"), **AWAY}, output
    assert code == 0


def test_rollouts_are_cleaned_up_where_that_is_possible(inventory):
    code, output, rows, seconds = play(inventory, "canary_resume")
    assert rows == {**dict.fromkeys(GOOD, "ok"), **AWAY}, output
    assert (code, seconds < LONGEST) == (2, True)


def test_away_may_pass_while_a_refusal_fails(inventory):
    code, output, _rows, _seconds = play(inventory, "canary_resume", "-e", "mesh_hosts_fail_on=failed")
    assert code == 2, output
    away = "amber,dead,hangs,stranger,ssh"
    code, output, _rows, _seconds = play(
        inventory, "canary_resume", "-e", "mesh_hosts_fail_on=failed", "--limit", away
    )
    assert code == 0, output


def test_a_policy_that_nobody_knows_ends_no_run_well(inventory):
    code, output, _rows, _seconds = play(
        inventory, "canary_resume", "-e", "mesh_hosts_fail_on=failled", "--limit", "amber"
    )
    assert code == 2
    assert "'failled' is no outcome that fails, did you mean failed" in output


def test_a_change_stops_at_the_first_cluster(inventory):
    """One after the other in the inventory's order: the one behind the dead one is not touched."""
    done = subprocess.run(
        [
            PLAYBOOK,
            "-i",
            inventory,
            "-e",
            "mesh_hosts=dead:coral",
            "-e",
            "mesh_check=off",
            "servicemesh.istio.mesh",
        ],
        env={
            **os.environ,
            **keeping(inventory.parent),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2
    assert "coral" not in done.stdout.partition("PLAY RECAP")[0]
