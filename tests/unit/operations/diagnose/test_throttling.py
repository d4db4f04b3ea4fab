# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often the kernel stopped a container: what is asked, what an answer says, what is a cause."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.execution import ExecResult
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import throttling
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.throttling import (
    Throttled,
    parse,
    read_throttling,
)

from ...support.cluster import FakeCluster
from .healthy_mesh import Healthy, Obj, pod
from .planted import CALL
from .problems import latency
from .test_sentences import found

STAT = "usage_usec 1\nnr_periods 400\nnr_throttled 100\nthrottled_usec 9\n"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (STAT, Throttled("1", 400, 100)),
        ("nr_periods 0\nnr_throttled 0\n", Throttled("1", 0, 0)),
        ("nr_periods 400\n", None),
        ("nr_throttled 1\n", None),
        ("", None),
        ("xnr_periods 4\nnr_throttled 1\n", None),
        ("nr_periods -4\nnr_throttled 1\n", None),
        ("nr_periods 4 5\nnr_throttled 1\n", None),
    ],
)
def test_what_a_control_group_says(text: str, seen: Throttled | None) -> None:
    assert parse(text, "1") == seen


def test_of_no_period_nothing_was_taken() -> None:
    assert (Throttled("1", 0, 0).share, Throttled("1", 400, 100).share) == (0.0, 0.25)


def running(name: str, **limits: str) -> Obj:
    """A pod whose application and sidecar run."""
    made = pod(name, limits=limits)
    for section in ("containerStatuses", "initContainerStatuses"):
        for status in made["status"][section]:
            status["state"] = {"running": {}}
    return made


def asked(*pods: Obj, answer: Any = STAT) -> tuple[list[tuple[str, str]], dict[tuple[str, str], Throttled]]:
    cluster = FakeCluster(*pods)
    calls: list[tuple[str, str]] = []

    def on_exec(namespace: str, name: str, container: str, command: Any) -> Any:
        assert command == ["cat", "/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat"]
        calls.append((f"{namespace}/{name}", container))
        return answer

    cluster.on_exec = on_exec
    return calls, read_throttling(cluster, pods)


def test_containers_that_run_and_have_a_limit_are_asked() -> None:
    own = running("web-1", cpu="300m")
    free = running("api-1", memory="1Gi")
    waits = pod("pay-1", limits={"cpu": "1"})
    bounded = running("log-1", memory="1Gi")
    bounded["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2"}}
    calls, seen = asked(own, free, waits, bounded)
    assert sorted(calls) == [("shop/log-1", "app"), ("shop/web-1", "istio-proxy")]
    assert seen == {
        ("shop/web-1", "istio-proxy"): Throttled("300m", 400, 100),
        ("shop/log-1", "app"): Throttled("2", 400, 100),
    }


def test_what_one_does_not_say_keeps_nothing_from_the_others() -> None:
    """An image without ``cat`` writes to standard error alone."""
    calls, seen = asked(running("web-1", cpu="1"), answer=ExecResult("", "cat: not found", 127))
    assert (len(calls), seen) == (1, {})


def test_twenty_are_asked_at_most() -> None:
    pods = [running(f"web-{at}", cpu="1") for at in range(throttling.MAX_CONTAINERS + 1)]
    calls, seen = asked(*pods)
    assert len(calls) == len(seen) == 20


@pytest.mark.parametrize(
    ("periods", "stopped", "told"),
    [(50, 13, True), (49, 49, False), (400, 100, True), (400, 99, False), (50, 0, False)],
)
def test_from_where_on_it_is_a_cause(
    monkeypatch: pytest.MonkeyPatch, periods: int, stopped: int, *, told: bool
) -> None:
    monkeypatch.setattr(latency, "THROTTLED", f"nr_periods {periods}\nnr_throttled {stopped}\n")

    def plant(cluster: Healthy) -> None:
        latency.throttled(cluster, "web-1", "istio-proxy")

    said = (
        "Pod shop/web-1: has a sidecar that is throttled: with 300m of processor the kernel stopped it in"
        f" {stopped / periods:.0%} of the periods in which it had work |"
        f" {stopped} of {periods} periods since it began (cpu.stat)"
    )
    assert found(plant, CALL) == ([said] if told else [])


@pytest.mark.parametrize(("cpu", "told"), [("50m", True), ("51m", False), ("0.05", True), ("10m", True)])
def test_a_sidecar_with_hardly_any_processor(cpu: str, *, told: bool) -> None:
    def plant(cluster: Healthy) -> None:
        cluster.put(pod("api-1", labels={"version": "v1"}, limits={"cpu": cpu}))

    small = {"50m": "50m", "0.05": "50m", "10m": "10m"}.get(cpu, "")
    said = f"Pod shop/api-1: has a sidecar with {small} of processor: it is throttled, and each request waits"
    assert found(plant, CALL) == ([said] if told else [])
