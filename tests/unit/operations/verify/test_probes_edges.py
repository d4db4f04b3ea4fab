# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes in several namespaces, probes that vanish, and many calls: who is told what, and what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe import pods as probe
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import HttpCall, Identity

from .test_probes import API, OUTSIDE, WEB, Cluster, probes

PAY, TILL = Identity("pay", "pay"), Identity("pay", "till", meshed=False)


class TwoSpaces(Cluster):
    """A cluster with a second namespace; ``sidecar_refused`` names the one that takes no Sidecar."""

    def __init__(self) -> None:
        super().__init__()
        self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "pay"}})
        self.sidecar_refused = ""
        self.times: list[float] = []

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        if obj["kind"] == "Sidecar" and obj["metadata"]["namespace"] == self.sidecar_refused:
            raise ApiError("sidecars is forbidden", status=403)
        return super().create(obj, dry_run=dry_run)

    def exec(self, *where: Any, **more: Any) -> Any:
        self.times.append(more["timeout"])
        return super().exec(*where, **more)


def test_each_namespace_has_one_sidecar_of_its_own_meshed_probes() -> None:
    cluster = TwoSpaces()
    with probes(cluster) as running:
        running.start([WEB, API, OUTSIDE, PAY, TILL])
        running.wait()
        owners = {
            one["metadata"]["namespace"]: [who["name"] for who in one["metadata"]["ownerReferences"]]
            for one in cluster.of_kind("Sidecar")
        }
        names = {
            (one["metadata"]["namespace"], one["spec"]["serviceAccountName"]): one["metadata"]["name"]
            for one in cluster.of_kind("Pod")
            if one["metadata"]["name"].endswith(("-0", "-1", "-3"))
        }
        assert owners == {
            "shop": [names["shop", "web"], names["shop", "api"]],
            "pay": [names["pay", "pay"]],
        }
        assert len({one["metadata"]["name"] for one in cluster.of_kind("Pod")}) == 5
    assert cluster.made == []


def test_a_namespace_whose_meshed_pods_are_all_refused_gets_no_sidecar() -> None:
    cluster = TwoSpaces()
    cluster.refuse = {"pay": "exceeded quota"}
    with probes(cluster) as running:
        running.start([PAY, TILL, WEB])
        running.wait()
        assert [one["metadata"]["namespace"] for one in cluster.of_kind("Sidecar")] == ["shop"]
        assert running.trouble == {PAY: "its pod was refused: exceeded quota"}


def test_a_refused_sidecar_stops_the_meshed_probes_of_its_namespace_only() -> None:
    cluster = TwoSpaces()
    cluster.sidecar_refused = "pay"
    with probes(cluster) as running:
        running.start([WEB, PAY, TILL])
        running.wait()
        assert running.trouble == {PAY: "its Sidecar was refused: sidecars is forbidden"}


@pytest.mark.parametrize("how", ["gone", "Failed", "Succeeded"])
def test_a_probe_that_ends_is_told_before_the_time_is_up(how: str) -> None:
    cluster = TwoSpaces()
    status = {"phase": how, "message": "the node was drained"}
    cluster.status = {"web": {"phase": "Pending"} if how == "gone" else status}
    with probes(cluster) as running:
        running.start([WEB, API])
        if how == "gone":
            web = next(one for one in cluster.of_kind("Pod") if one["spec"]["serviceAccountName"] == "web")
            cluster.remove("Pod", web["metadata"]["name"], "shop")
        running.wait()
        told = "its pod is gone" if how == "gone" else f"{how} the node was drained"
        assert running.trouble == {WEB: f"ended: {told}"}
        assert running._clock.now() == probes(cluster)._clock.now(), "nobody waited"
        with pytest.raises(ApiError, match=r"the probe of .*web does not run: ended"):
            running.send(WEB, [HttpCall("GET", "http://x/")], 1)


def test_a_probe_that_never_was_is_not_sent_through() -> None:
    with probes(TwoSpaces()) as running:
        running.start([WEB])
        with pytest.raises(ApiError, match=r"the probe of .*api does not run: not started"):
            running.send(API, [HttpCall("GET", "http://x/")], 1)


def test_pods_of_other_runs_are_not_taken_for_ours() -> None:
    """The list is by the label of the run: a pod of another one with its name elsewhere is nothing to us."""
    cluster = TwoSpaces()
    with probes(cluster) as other, probes(cluster) as running:
        other.start([WEB])
        running.start([WEB])
        mine = {one["metadata"]["name"] for one in cluster.of_kind("Pod")}
        assert len(mine) == 2
        assert {name for _space, name in running._own_pods()} | {
            name for _space, name in other._own_pods()
        } == mine
        assert len(running._own_pods()) == 1


def test_nothing_started_is_nothing_waited_for_and_nothing_read() -> None:
    cluster = TwoSpaces()
    with probes(cluster) as running:
        cluster.fail("list", "Pod", 500)
        running.wait()
        assert running.trouble == {}


def answered(number: int) -> str:
    return "".join(f"MARK call {one}\nHTTP/1.1 200 OK\n\n{one}\nMARK exit 0\n" for one in range(number))


@pytest.mark.parametrize("number", [1, probe.MAX_CALLS, probe.MAX_CALLS + 1, 2 * probe.MAX_CALLS + 3])
def test_many_calls_go_in_portions_and_come_back_in_order(number: int) -> None:
    cluster = TwoSpaces()
    cluster.output = answered(probe.MAX_CALLS)
    urls = [f"http://x/{one}" for one in range(number)]
    with probes(cluster) as running:
        running.start([WEB])
        running.wait()
        answers = running.send(WEB, [HttpCall("GET", url) for url in urls], 2)
    assert [answer.body for answer in answers] == [str(one % probe.MAX_CALLS) for one in range(number)]
    asked = [" ".join(command) for command in cluster.commands]
    assert len(asked) == -(-number // probe.MAX_CALLS)
    for place, url in enumerate(urls):
        assert url in asked[place // probe.MAX_CALLS]
    full = probe.longest(min(number, probe.MAX_CALLS), 2)
    assert cluster.times[0] > full, "the stream lives longer than its calls may"
    assert cluster.times[0] < full + 60


def test_one_call_without_curl_among_others_is_only_that_call() -> None:
    cluster = TwoSpaces()
    cluster.output = "MARK call 0\nMARK exit 127\nMARK call 1\nHTTP/1.1 200 OK\n\nb\nMARK exit 0\n"
    with probes(cluster) as running:
        running.start([WEB])
        running.wait()
        answers = running.send(WEB, [HttpCall("GET", "http://x/"), HttpCall("GET", "http://y/")], 1)
    assert [answer.exit_code for answer in answers] == [127, 0]


@pytest.mark.parametrize(
    ("kind", "reason", "told"),
    [
        ("Sidecar", "NoKind", False),
        ("Sidecar", "Forbidden", True),
        ("Pod", "NoKind", True),
    ],
)
def test_what_is_told_of_a_delete_that_failed(kind: str, reason: str, told: bool) -> None:
    """A cluster without Istio's kinds holds no Sidecar of ours; everything else is left lying somewhere."""
    cluster = TwoSpaces()
    warnings: list[str] = []
    real = cluster.delete

    def delete(api_version: str, deleted: str, name: str, namespace: str = "", **more: Any) -> Any:
        if deleted == kind:
            raise ApiError("not now", status=404, reason=reason)
        return real(api_version, deleted, name, namespace, **more)

    cluster.delete = delete
    with probes(cluster, warnings) as running:
        running.start([WEB])
    assert len(warnings) == (1 if told else 0)
    for warning in warnings:
        assert warning.startswith(f"{kind} shop/servicemesh-verify-")
        assert warning.endswith("could not be deleted: not now")
    assert cluster.kinds == [kind], "the other went"


def test_what_was_removed_once_is_not_removed_again() -> None:
    cluster = TwoSpaces()
    with probes(cluster) as running:
        running.start([WEB, PAY])
        running.remove()
        assert cluster.made == []
        before = list(cluster.writes)
    assert cluster.writes == before


def test_the_sweep_looks_into_the_namespaces_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = TwoSpaces()
    with probes(cluster) as dead, probes(cluster) as running:
        dead.start([WEB, PAY])
        for one in cluster.made:
            one["metadata"]["annotations"][probe.RUNNER_ANNOTATION] = "dead"
        monkeypatch.setattr(f"{type(dead).__module__}.runner_alive", {"dead": False}.get)
        swept: Sequence[str] = ["pay"]
        assert running.sweep(swept) == 2
        assert {one["metadata"]["namespace"] for one in cluster.made} == {"shop"}
