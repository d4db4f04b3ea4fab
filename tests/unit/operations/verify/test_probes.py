"""Probes on a cluster in memory: what is created, waited for, and always removed."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe import pods as probe
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import HttpCall, Identity
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import (
    probes as verify_probes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.options import ProbeOptions

from ...support.clock import FakeClock
from ...support.cluster import FakeCluster

SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
WEB, API = Identity("shop", "web"), Identity("shop", "api")
OUTSIDE = Identity("shop", "outside", meshed=False)


class Cluster(FakeCluster):
    """Pods become what ``status`` says for their account; others are ready at once."""

    def __init__(self) -> None:
        super().__init__(SHOP)
        self.status: dict[str, dict[str, Any]] = {}
        self.refuse: dict[str, str] = {}
        self.output = ""
        self.commands: list[list[str]] = []
        self.clock = CREATED
        self.on_exec = self._answer

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        account = obj["spec"].get("serviceAccountName", "")
        reason = self.refuse.get(account) or self.refuse.get(obj["kind"], "")
        if reason:
            raise ApiError(reason, status=403)
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        return super().create({**obj, "status": self.status.get(account, ready)}, dry_run=dry_run)

    def _answer(self, _namespace: str, _pod: str, _container: str, command: Sequence[str]) -> str:
        self.commands.append(list(command))
        return self.output.replace("MARK", command[4])

    @property
    def made(self) -> list[dict[str, Any]]:
        return [obj for key, obj in sorted(self.objects.items()) if key[0] != "Namespace"]

    @property
    def kinds(self) -> list[str]:
        return [obj["kind"] for obj in self.made]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def probes(cluster: Any, warnings: list[str] | None = None, **more: Any) -> verify_probes.Probes:
    options = ProbeOptions(
        image="curl:1",
        pull_secrets=tuple(more.pop("pull_secrets", ())),
        start_timeout=more.pop("start_timeout", 5.0),
        lifetime=90,
        call_timeout=1,
    )
    warn = (warnings if warnings is not None else []).append
    clock = FakeClock()
    clock.time = CREATED.timestamp() + 30
    return verify_probes.Probes(cluster, options, **{"warn": warn, "clock": clock, **more})


def test_one_pod_per_identity_and_one_sidecar_per_namespace(cluster: Cluster) -> None:
    with probes(cluster) as running:
        running.start([WEB, API, OUTSIDE])
        running.wait()
        assert cluster.kinds == ["Pod", "Pod", "Pod", "Sidecar"]
        (sidecar,) = cluster.of_kind("Sidecar")
        assert len(sidecar["metadata"]["ownerReferences"]) == 2
        assert running.trouble == {}
    assert cluster.kinds == []


def test_probes_outside_need_no_sidecar(cluster: Cluster) -> None:
    with probes(cluster) as running:
        running.start([OUTSIDE])
        assert cluster.kinds == ["Pod"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_they_are_removed_whatever_happens(cluster: Cluster, error: type[BaseException]) -> None:
    with pytest.raises(error), probes(cluster) as running:
        running.start([WEB])
        raise error
    assert cluster.kinds == []


def test_a_refused_pod_is_trouble_of_one_identity(cluster: Cluster) -> None:
    cluster.refuse = {"api": "exceeded quota: pods=10"}
    with probes(cluster) as running:
        running.start([WEB, API])
        running.wait()
        assert set(running.trouble) == {API}
        assert "exceeded quota" in running.trouble[API]
        with pytest.raises(ApiError, match="exceeded quota"):
            running.send(API, [HttpCall("GET", "http://x/")], 1)


def test_a_refused_sidecar_is_trouble_of_every_meshed_probe(cluster: Cluster) -> None:
    cluster.refuse = {"Sidecar": "sidecars is forbidden"}
    with probes(cluster) as running:
        running.start([WEB, OUTSIDE])
        running.wait()
        assert set(running.trouble) == {WEB}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, "DeadlineExceeded"),
        ({"phase": "Pending"}, "not ready after 5 s: starting"),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {
                        "name": "probe",
                        "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}},
                    }
                ],
            },
            "probe: ErrImagePull no such image",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}],
            },
            "not scheduled: 0/1 nodes",
        ),
    ],
)
def test_a_probe_that_does_not_start_is_told_and_bounded(
    cluster: Cluster, status: dict[str, Any], words: str
) -> None:
    cluster.status = {"web": status}
    with probes(cluster) as running:
        running.start([WEB])
        running.wait()
        assert words in running.trouble[WEB]


def test_a_stopped_run_removes_its_probes(cluster: Cluster) -> None:
    cluster.status = {"web": {"phase": "Pending"}}
    with (
        pytest.raises(MeshError, match="interrupted while waiting for the probes"),
        probes(cluster, stop=lambda: True, start_timeout=60) as running,
    ):
        running.start([WEB])
        running.wait()
    assert cluster.kinds == []


def test_they_are_removed_although_nothing_else_is_sent_after_a_stop(cluster: Cluster) -> None:
    warnings: list[str] = []
    with pytest.raises(ApiError, match="interrupted"), probes(cluster, warnings) as running:
        running.start([WEB, OUTSIDE])
        cluster.stopped = True
        running.sweep(["shop"])
    assert (cluster.kinds, warnings) == ([], [])


def test_leftovers_of_dead_runs_are_swept_and_others_stay(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with probes(cluster) as dead, probes(cluster) as alive, probes(cluster) as running:
        dead.start([WEB])
        alive.start([API])
        for item in cluster.made:
            mine = item["metadata"]["labels"][probe.RUN_LABEL] == dead._run
            item["metadata"]["annotations"][probe.RUNNER_ANNOTATION] = "dead" if mine else "alive"
        monkeypatch.setattr(verify_probes, "runner_alive", {"dead": False, "alive": True}.get)
        assert running.sweep(["shop"]) == 2
        assert len(cluster.made) == 2


@pytest.mark.parametrize(("phase", "swept"), [("Running", 0), ("Succeeded", 2), ("Failed", 2)])
def test_a_probe_that_has_ended_serves_nobody_any_more(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, phase: str, swept: int
) -> None:
    with probes(cluster) as alive, probes(cluster) as running:
        alive.start([API])
        for item in cluster.made:
            item["status"] = {"phase": phase}
        monkeypatch.setattr(verify_probes, "runner_alive", lambda _runner: True)
        assert running.sweep(["shop"]) == swept


def test_what_cannot_be_removed_is_a_warning_and_not_an_error(cluster: Cluster) -> None:
    warnings: list[str] = []
    cluster.fail("delete", how=403, times=9)
    with probes(cluster, warnings) as running:
        running.start([OUTSIDE])
    assert any("could not be deleted: delete Pod: forbidden" in warning for warning in warnings)


def test_an_image_without_curl_is_one_clear_error(cluster: Cluster) -> None:
    cluster.output = "MARK call 0\nsh: curl: not found\nMARK exit 127\n"
    with probes(cluster) as running:
        running.start([WEB])
        running.wait()
        with pytest.raises(ApiError, match="has no curl"):
            running.send(WEB, [HttpCall("GET", "http://x/")], 1)


def test_answers_come_back_in_order(cluster: Cluster) -> None:
    first = "MARK call 0\nHTTP/1.1 200 OK\n\na\nMARK exit 0\n"
    cluster.output = f"{first}MARK call 1\nHTTP/1.1 403 Forbidden\n\nb\nMARK exit 0\n"
    with probes(cluster) as running:
        running.start([WEB])
        running.wait()
        answers = running.send(WEB, [HttpCall("GET", "http://x/"), HttpCall("GET", "http://y/")], 1)
        running.send(WEB, [HttpCall("GET", "http://x/"), HttpCall("GET", "http://y/")], 1)
    assert [(answer.status, answer.body) for answer in answers] == [(200, "a"), (403, "b")]
    assert cluster.commands[0][4] != cluster.commands[1][4]  # a new mark for every call
