"""What users keep over a rollout on the lab: their version, their streams, and pods enough for all of them.

``CANARY_LAB=NAME pytest tests/faults/test_canary_users.py -v -s`` (see canary_lab.py)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .canary_lab import Lab
from .external_metric import ExternalMetric, external_metric
from .own_mesh import SERVICE, OwnMesh, own_mesh
from .test_canary_lab import shown


@pytest.fixture
def mesh(lab: Lab) -> Iterator[OwnMesh]:
    with own_mesh(lab) as found:
        yield found


CLIENTS, HELD = 50, 60.0


def test_ten_percent_of_the_people_are_at_the_canary_for_a_minute(mesh: OwnMesh) -> None:
    """10 % +- 3 % of them, however often they come back; and whoever was answered by a version stays with it.

    Fifty clients ask for twenty people each: a draw of fifty scatters by 4.2 %, one of a thousand by 0.9 %.
    """
    moments: list[float] = []

    def note(share: int) -> None:
        if share == 10:
            moments.append(time.time())

    with mesh.callers("users", CLIENTS, warmup=18) as found, mesh.in_background(note):
        sticky = {"cookie": "release", "max_age": 600}
        result, lines = mesh.canary(steps=[10], promote=False, duration=HELD, min_requests=5, sticky=sticky)
        ended = time.time()
    assert result["outcome"] == "split", "\n".join(lines)
    assert len(moments) == 1
    begin = moments[0] + 5  # the write has reached the proxies
    assert ended - begin >= HELD - 10
    at: dict[str, list[str]] = {}
    for second, people in sorted(found["seen"].items(), key=lambda item: int(item[0])):
        if begin <= int(second) < ended - 2:
            for person, version in people.items():
                at.setdefault(person, []).append(version)
    assert len(at) >= 0.95 * CLIENTS * 20
    torn = [person for person, versions in at.items() if len(set(versions)) > 1]
    share = sum(versions[-1] == "v2" for versions in at.values()) / len(at)
    shown("sticky", share=share, people=len(at), answers=sum(map(len, at.values())), torn=len(torn))
    assert abs(share - 0.10) <= 0.03
    assert not torn, "somebody went from version to version"


HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{SERVICE}-v1"},
        "minReplicas": 1,
        "maxReplicas": 6,
        "metrics": [
            {
                "type": "External",
                "external": {
                    "metric": {"name": "load"},
                    "target": {"type": "AverageValue", "averageValue": "10"},
                },
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    },
}

RATE, LIMIT = 45.0, 28  # requests a second in all, and those that one pod bears


def sick_at_75(
    mesh: OwnMesh, metric: ExternalMetric, **params: Any
) -> tuple[dict[str, Any], dict[str, Any], int]:
    """A version that falls ill with 75 % of the requests, once the autoscaler has seen that they left stable.

    :returns: the result, what the callers saw, and the fewest replicas of stable.
    """
    least: list[int] = []

    def fall_ill() -> None:
        least.append(mesh.replicas("v1"))
        mesh.tell("v2", "status", "500")

    def act(share: int) -> None:
        metric.set(f"{30 * (100 - share) / 100:.0f}")
        if share == 75:
            threading.Timer(35, fall_ill).start()

    metric.set("30")
    mesh.apply({**HPA, "metadata": {"name": f"{SERVICE}-v1", "namespace": mesh.space}})
    with mesh.callers("load", RATE) as seen, mesh.in_background(act):
        result, lines = mesh.canary(steps=[10, 75, 100], duration=60, **params)
        time.sleep(20)  # the load is back
    assert result["outcome"] == "rolled_back", "\n".join(lines)
    assert mesh.share() == 0
    return result, seen, min(least)


@pytest.fixture
def large(lab: Lab) -> Iterator[OwnMesh]:
    with own_mesh(lab, pods={"v1": 3, "v2": 3}, limit=LIMIT) as found:
        yield found


def test_a_rollback_overloads_no_stable_version_that_an_autoscaler_shrinks(large: OwnMesh) -> None:
    """The autoscaler is Kubernetes' own; its metric is a stub that follows the split."""
    with external_metric(large) as metric:
        result, seen, least = sick_at_75(large, metric)
        overloads = sum(seen["fails"].get("v1 503", {}).values())
        scaler = large.get("hpa", f"{SERVICE}-v1")
        shown("hpa held", fails=seen["fails"], sent=seen["sent"], least=least, seconds=result["seconds"])
        assert least == 3
        assert overloads == 0
        assert set(seen["fails"]) == {"v2 500"}, "the canary's own errors and no others"
        assert scaler["spec"]["minReplicas"] == 1
        assert "servicemesh.istio/min-replicas" not in scaler["metadata"].get("annotations", {})


def test_without_the_hold_the_same_rollback_costs_requests(large: OwnMesh) -> None:
    """What the test above would see: it can fail."""
    with external_metric(large) as metric:
        _result, seen, least = sick_at_75(large, metric, capacity="ignore")
        shown("hpa ignored", fails=seen["fails"], sent=seen["sent"], least=least)
        assert least == 1
        assert sum(seen["fails"].get("v1 503", {}).values()) > 0


@pytest.mark.sample
def test_a_promotion_cuts_no_stream_of_the_old_version(mesh: OwnMesh) -> None:
    """A response and a WebSocket that began before the rollout end by themselves; v1 goes after them."""
    scale = {"down": True, "delay": 2, "drain": 200}
    with mesh.callers("load", 40), mesh.callers("streams", seconds=100, warmup=1) as streams:
        began = time.time()
        result, lines = mesh.canary(steps=[50, 100], duration=4, scale=scale)
        seconds = time.time() - began
    assert result["outcome"] == "promoted", "\n".join(lines)
    shown("streams", held=streams["held"], seconds=round(seconds, 1))
    assert {name: how for name, (how, _seconds) in streams["held"].items()} == {
        "stream": "held",
        "ws": "held",
    }
    assert min(held for _how, held in streams["held"].values()) > 60
    assert mesh.replicas("v1") == 0
    assert any("open requests" in line for line in lines)


def test_a_stream_that_never_ends_is_cut_off_at_the_limit(mesh: OwnMesh) -> None:
    with mesh.callers("load", 40), mesh.callers("streams", seconds=400, warmup=1) as streams:
        scale = {"down": True, "delay": 2, "drain": 20}
        result, lines = mesh.canary(steps=[50, 100], duration=4, scale=scale)
        assert result["outcome"] == "promoted", "\n".join(lines)
        assert any("v1 is scaled down with 2 open requests after" in line for line in result["warnings"])
        time.sleep(15)
    assert {how for how, _seconds in streams["held"].values()} != {"held"}
