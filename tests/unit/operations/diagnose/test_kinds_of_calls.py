# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which calls of a symptom are judged: one of each kind, and not without an end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.causes import (
    calls,
    network_policies,
)

from .healthy_mesh import Obj, network_policy, obj, pod, service


def case(callers: list[Obj], callees: list[Obj], **more: Any) -> Any:
    callee = service("api")
    given = {"callers": callers, "services": [callee], "pods_behind": lambda _one: callees, **more}
    return SimpleNamespace(port_entries=lambda one: one["spec"]["ports"], **given)


def test_callers_that_differ_in_a_hash_alone_are_of_one_kind() -> None:
    pods = [
        pod("web-1", labels={"pod-template-hash": "a", "version": "v1"}),
        pod("web-2", labels={"pod-template-hash": "b", "version": "v1"}),
        pod("web-3", labels={"pod-template-hash": "b", "version": "v2"}),
        pod("web-4", labels={"pod-template-hash": "a", "version": "v1"}, serviceAccountName="other"),
        pod("web-5", meshed=False, labels={"version": "v1"}),
    ]
    found = list(calls.calls(case(pods, [pod("api-1")])))
    names = [one.caller.name for one in found if one.caller]
    assert names == ["web-1", "web-3", "web-4", "web-5"]
    assert {(one.callee.name, one.number, one.target, one.http) for one in found} == {
        ("api-1", 80, 3000, True)
    }


def test_pods_that_have_ended_are_not_called() -> None:
    ended = pod("api-1")
    ended["status"]["phase"] = "Succeeded"
    assert [one.callee.name for one in calls.calls(case([], [ended, pod("api-2")]))] == ["api-2"]


@pytest.mark.parametrize(("most", "judged"), [(2, 2), (3, 3), (9, 3)])
def test_so_many_calls_are_judged_at_most(monkeypatch: pytest.MonkeyPatch, most: int, judged: int) -> None:
    monkeypatch.setattr(calls, "MAX_CALLS", most)
    found = list(calls.calls(case([], [pod(f"api-{number}") for number in range(3)])))
    assert [one.caller for one in found] == [None] * judged


@pytest.mark.parametrize(("most", "judged"), [(1, 1), (2, 2), (9, 3)])
def test_so_many_pairs_are_asked_of_network_policies(
    monkeypatch: pytest.MonkeyPatch, most: int, judged: int
) -> None:
    monkeypatch.setattr(network_policies, "MAX_PAIRS", most)
    asked: list[Any] = []
    rules: Any = SimpleNamespace(denying=lambda *pair: asked.append(pair) or [])
    callees = [pod(f"api-{number}") for number in range(3)]
    symptom = SimpleNamespace(anything=False, host="")
    seen = case([pod("web-1")], callees, symptom=symptom, flagged=lambda _flag: [])
    assert list(network_policies._calls(seen, rules)) == []
    assert len(asked) == judged
    istiods = [pod("istiod-1", "istio-system"), pod("istiod-2", "istio-system")]
    bare = pod("bare-1", meshed=False)
    ended = pod("ended-1")
    ended["status"]["phase"] = "Failed"
    asked.clear()
    material = SimpleNamespace(istiods=istiods, sync=None)
    seen = case([], [], subjects=[bare, ended, *callees], material=material)
    assert list(network_policies._istiod(seen, rules)) == []
    assert [one[0]["metadata"]["name"] for one in asked] == [f"api-{number}" for number in range(judged)]
    assert {one[1]["metadata"]["name"] for one in asked} == {"istiod-1"}


def test_a_proxy_counts_in_either_list_of_containers() -> None:
    assert network_policies._has_proxy(pod("a-1"))
    assert not network_policies._has_proxy(pod("a-1", meshed=False))
    assert network_policies._has_proxy(obj("Pod", "a", spec={"containers": [{"name": "istio-proxy"}]}))
    denying = [network_policy(name, {}) for name in ("a", "b", "c")]
    cause = network_policies._cause("security", denying, "X", 60)
    assert cause.evidence == ("neither does NetworkPolicy shop/b, NetworkPolicy shop/c allow it",)
