"""Finding and ending a cluster's processes by what they are, not by what was recorded."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from lab.cluster import Cluster
from lab.processes import end_tree, find_tree, host_pids, init_argv

PROGRAM = "import sys, time; print('on', flush=True); time.sleep(60)"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    return Cluster("u", 5)


@pytest.fixture
def start():
    processes = []

    def run(*arguments):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE)
        process.stdout.readline()
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_process_is_recognised_by_its_arguments(cluster, start):
    assert find_tree(cluster).pids == ()
    process = start("-I", *init_argv(cluster))
    assert find_tree(cluster).outer == (process.pid,)
    assert find_tree(cluster).init is None
    assert find_tree(Cluster("other", 6)).pids == ()


def test_only_processes_of_the_cluster_are_ended(cluster, start):
    mine, other = start(*init_argv(cluster)), start(*init_argv(Cluster("other", 6)))
    began = time.monotonic()
    assert end_tree(cluster, grace=5.0)
    assert time.monotonic() - began < 5
    assert mine.wait(5) < 0
    assert other.poll() is None
    assert not end_tree(cluster, grace=5.0)


def test_a_zombie_does_not_count(cluster, start):
    process = start(*init_argv(cluster))
    process.kill()
    deadline = time.monotonic() + 5
    while find_tree(cluster).pids and time.monotonic() < deadline:
        time.sleep(0.01)
    assert find_tree(cluster).pids == ()


def test_ids_on_the_host_of_processes_in_our_own_namespace(start):
    process = start()
    assert process.pid in host_pids(process.pid).values()
