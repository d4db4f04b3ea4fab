"""What process 1 is told to do, and the configuration files beside it."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.plan import make_plan
from lab.settings import KERNEL_TUNABLES, Layout, configuration_files

NODE_PROGRAMS = {"containerd", "kube-scheduler", "kubelet", "kube-proxy"}


@pytest.fixture
def layout(monkeypatch):
    monkeypatch.setenv("LAB_STATE", "/var/lib/lab-state")
    monkeypatch.setenv("LAB_CACHE", "/var/cache/lab-cache")
    hierarchies = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/cpu"))
    return Layout(Cluster("b", 3), Path("/programs/etcd"), Path("/programs/kubernetes"), hierarchies)


def started(plan):
    return [step["start"] for step in plan["steps"] if "start" in step]


def awaited(plan):
    return [step["wait"] for step in plan["steps"] if "wait" in step]


def runs(plan):
    return [step["run"] for step in plan["steps"] if "run" in step]


def test_a_cluster_starts_everything_and_waits_for_all_but_the_scheduler(layout):
    plan = make_plan(layout, node=True)
    assert set(started(plan)) == {"etcd", "kube-apiserver", "kube-controller-manager", *NODE_PROGRAMS}
    assert set(started(plan)) - set(awaited(plan)) == {"kube-scheduler"}
    assert all(step["timeout"] > 0 for step in plan["steps"] if "wait" in step)


def test_a_control_plane_alone_has_no_node(layout):
    plan = make_plan(layout, node=False)
    assert not NODE_PROGRAMS & set(started(plan))
    assert "kube-apiserver" in awaited(plan)


def test_nothing_is_started_before_what_it_needs(layout):
    plan = make_plan(layout, node=True)
    order = [("start", s["start"]) if "start" in s else ("wait", s.get("wait")) for s in plan["steps"]]
    for before, after in [
        (("wait", "uplink"), ("start", "etcd")),
        (("wait", "etcd"), ("start", "kube-apiserver")),
        (("wait", "kube-apiserver"), ("start", "kubelet")),
        (("wait", "containerd"), ("start", "kubelet")),
    ]:
        assert order.index(before) < order.index(after)


def test_the_api_server_authorizes_by_rbac_only(layout):
    argv = next(
        s["argv"] for s in make_plan(layout, node=True)["steps"] if s.get("start") == "kube-apiserver"
    )
    assert "--authorization-mode=Node,RBAC" in argv
    assert "--service-cluster-ip-range=10.99.0.0/16" in argv
    assert "--advertise-address=10.244.3.1" in argv


def test_directories_of_the_host_are_hidden_and_ours_put_back(layout):
    commands = runs(make_plan(layout, node=True))
    tmpfs = [argv[-1] for argv in commands if argv[:3] == ["mount", "-t", "tmpfs"]]
    assert tmpfs == ["/run", "/var/lib", "/var/log"]
    moved = [argv[-1] for argv in commands if argv[:2] == ["mount", "--move"]]
    assert moved == ["/var/lib/lab-state/b"]  # the cache is not below a hidden directory
    assert commands[0] == ["mount", "--make-rprivate", "/"]  # before that, mounts would reach the host


def test_kernel_settings_and_cgroups_are_the_clusters_own(layout):
    commands = runs(make_plan(layout, node=True))
    bound = {argv[3] for argv in commands if argv[:2] == ["mount", "--bind"]}
    assert bound == {f"/proc/sys/{name}" for name in KERNEL_TUNABLES} | {
        "/sys/fs/cgroup/memory",
        "/sys/fs/cgroup/cpu",
    }


def test_version_two_cgroups_are_delegated_after_the_uplink(layout):
    unified = Layout(layout.cluster, layout.etcd, layout.kubernetes, (Path("/sys/fs/cgroup"),))
    steps = make_plan(unified, node=True)["steps"]
    scripts = [number for number, step in enumerate(steps) if step.get("run", [""])[0] == "sh"]
    uplink = next(number for number, step in enumerate(steps) if step.get("wait") == "uplink")
    assert scripts and scripts[0] > uplink
    assert not [step for step in make_plan(layout, node=True)["steps"] if step.get("run", [""])[0] == "sh"]


def test_a_plan_is_json(layout):
    plan = make_plan(layout, node=True)
    assert json.loads(json.dumps(plan)) == plan


def test_the_files_name_this_clusters_addresses(layout):
    files = {path.name: content for path, content in configuration_files(layout).items()}
    kubelet = json.loads(files["kubelet.json"])
    assert kubelet["clusterDNS"] == ["10.99.0.10"]
    assert kubelet["authorization"] == {"mode": "Webhook"}
    addresses = json.loads(files["10-lab.conflist"])["plugins"][0]["ipam"]["ranges"][0][0]
    assert addresses["subnet"] == "10.244.3.0/24"
    assert ipaddress.ip_address(addresses["rangeStart"]) in ipaddress.ip_network(addresses["subnet"])
    assert "restrict_oom_score_adj = true" in files["containerd.toml"]
    assert files["kernel.panic"] == "10\n"
    assert all(path.is_relative_to(layout.state) for path in configuration_files(layout))
