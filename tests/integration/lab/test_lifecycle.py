"""Clusters come up, survive being killed anywhere, stand side by side, and leave nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab import lifecycle
from lab.cluster import allocate, read_cluster
from lab.errors import LabError
from lab.everything import Build, build_everything
from lab.processes import find_tree


def assert_healthy(lab):
    """Node Ready and name service available, as seen through the API, and `status` agrees."""
    node = lab.kubectl("get", "node", f"lab-{lab.name}", "-o", "json")
    assert node.returncode == 0, node.stderr
    conditions = {c["type"]: c["status"] for c in json.loads(node.stdout)["status"]["conditions"]}
    assert conditions["Ready"] == "True", conditions
    dns = lab.kubectl("-n", "kube-system", "get", "deployment", "coredns", "-o", "json")
    assert json.loads(dns.stdout)["status"].get("readyReplicas") == 1, dns.stdout
    status = lab.run("status")
    assert status.returncode == 0, status.stdout


def traces(name, index):
    """Whatever a cluster could leave on the host."""
    found = [f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if f"/{name}/" in line]
    found += [
        f"link {path.name}" for path in Path("/sys/class/net").iterdir() if path.name == f"lab-up{index}"
    ]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    found += [f"route {line}" for line in routes.splitlines() if f"lab-up{index} " in f"{line} "]
    found += [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"**/servicemesh-istio-lab/{name}")]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"servicemesh-istio-lab/{name}/".encode() in command:
                found.append(f"process {entry.name} {command!r}")
    state = lifecycle.state_root() / name
    return found + ([f"state {state}"] if state.exists() else [])


def rules():
    return subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout.count("\n-A")


def test_up_from_nothing_then_up_again_in_no_time(b):
    b.run("down")
    said = b.up()
    assert "kube-apiserver is ready" in said and "reused" in said
    assert_healthy(b)
    began = time.monotonic()
    assert "already up" in b.up()
    idle = os.getloadavg()[0] < (os.cpu_count() or 1)
    assert time.monotonic() - began < (2 if idle else 10)


def test_pods_resolve_names_and_reach_services(b):
    b.up()
    probe = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    command = ["run", "probe", "--rm", "-i", "--restart=Never", "--quiet", "--image=lab.local/service:1"]
    done = b.kubectl(*command, "--image-pull-policy=Never", "--command", "--", "python3", "-c", probe)
    assert done.stdout.strip() == read_cluster("b").api_service_ip, done.stderr


def test_the_operator_may_do_only_what_was_granted(b):
    b.up()
    assert b.kubectl("auth", "can-i", "*", "*").stdout.strip() == "yes"
    assert b.kubectl("auth", "can-i", "*", "*", user="operator").stdout.strip() == "no"
    for namespace, answer in (("ecommerce", "yes"), ("kube-system", "no")):
        asked = b.kubectl("auth", "can-i", "create", "pods/exec", "-n", namespace, user="operator")
        assert asked.stdout.strip() == answer, "the roles of docs/rbac are bound in their namespaces"
    who = b.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", user="operator")
    assert who.stdout == "servicemesh-operator"


@pytest.mark.parametrize("program", ["etcd", "kubelet"])
def test_a_killed_program_is_noticed_and_the_next_up_works(b, program):
    b.up()
    os.kill(b.pid(program), signal.SIGKILL)
    b.wait_for_complaint(f"{program} died")
    assert f"{program} died; starting from nothing" in b.up()
    assert_healthy(b)


def test_a_killed_init_takes_everything_with_it_and_the_next_up_works(b):
    b.up()
    cluster = read_cluster("b")
    os.kill(b.pid("init"), signal.SIGKILL)
    b.wait_for_complaint("not running")
    left = [
        line for line in traces("b", cluster.index) if line.startswith(("process", "mount", "link", "route"))
    ]
    assert left == []
    b.up()
    assert_healthy(b)


@pytest.mark.parametrize("seconds", [0.3, 1.5, 4.0, 9.0])
def test_a_killed_caller_does_not_matter_to_the_next_up(b, seconds):
    b.run("down")
    caller = b.start("up")
    time.sleep(seconds)
    caller.kill()
    caller.communicate()
    b.up()
    assert_healthy(b)


def test_two_ups_at_once_make_one_cluster(b):
    b.run("down")
    callers = [b.start("up"), b.start("up")]
    errors = [caller.communicate(timeout=300)[1] for caller in callers]
    assert [caller.returncode for caller in callers] == [0, 0], errors
    assert sum("already up" in error for error in errors) == 1
    assert_healthy(b)


def test_two_clusters_side_by_side(b, second):
    b.up()
    second.up("--control-plane-only")
    one, other = read_cluster("b"), read_cluster("b2")
    assert one.pod_cidr != other.pod_cidr
    assert second.kubectl("get", "namespaces").returncode == 0
    assert second.kubectl("get", "nodes", "-o", "name").stdout == ""
    assert second.run("down").returncode == 0
    assert traces("b2", other.index) == []
    assert_healthy(b)


def test_a_failed_start_shows_the_end_of_the_log_and_leaves_nothing_running(second, tmp_path):
    (tmp_path / "etcd").write_text("#!/bin/sh\necho the disk is on strike\nexit 3\n")
    (tmp_path / "etcd").chmod(0o755)
    good = build_everything(with_images=False)
    cluster = allocate("b2")
    with pytest.raises(LabError, match="etcd ended with exit code 3") as caught:
        lifecycle._start(cluster, Build(tmp_path, good.kubernetes, None), node=False)
    assert "the disk is on strike" in str(caught.value)
    assert find_tree(cluster).pids == ()
    assert [line for line in traces("b2", cluster.index) if not line.startswith("state")] == []
    second.up("--control-plane-only")


def test_a_record_that_was_lost_does_not_keep_down_from_working(b):
    b.up()
    cluster = read_cluster("b")
    (cluster.state / "cluster.json").unlink()
    assert b.run("down").returncode == 0
    deadline = time.monotonic() + 10
    while traces("b", cluster.index) and time.monotonic() < deadline:
        time.sleep(0.1)  # the kernel removes the link with the namespace, a moment later
    assert traces("b", cluster.index) == []


def test_a_lost_state_directory_does_not_confuse_the_next_up(second):
    second.up("--control-plane-only")
    orphan = second.pid("init")
    shutil.rmtree(read_cluster("b2").state)
    second.up("--control-plane-only")
    assert second.pid("init") != orphan
    assert not Path(f"/proc/{orphan}").exists()


def test_down_leaves_nothing(b):
    before = rules()
    b.up()
    pod = [
        "run",
        "sleeper",
        "--image=lab.local/service:1",
        "--image-pull-policy=Never",
        "--command",
        "--",
        "sleep",
        "1d",
    ]
    assert b.kubectl(*pod).returncode == 0
    waited = b.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=50s")
    assert waited.returncode == 0, waited.stderr
    cluster = read_cluster("b")
    began = time.monotonic()
    assert b.run("down").returncode == 0
    assert time.monotonic() - began < 30
    assert traces("b", cluster.index) == []
    assert rules() == before
    assert b.run("down").returncode == 0
