# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one answer about callers, changes of access and exceptions ends and the next one begins."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.access import AccessChange
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.callers import (
    CallerSurroundings,
    PlaintextCaller,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.peer_modes import PeerModes
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.plaintext import Join
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.workload_names import (
    workload_name,
)

from ...support.catalogues import minimal
from ...support.cluster import FakeCluster
from .test_apply import Run
from .test_plaintext import NOW, injected

Obj = dict[str, Any]

# -- callers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "silent", "sentence"),
    [
        ("calls", 500, "web calls shop/api without mTLS"),
        ("called", 119.4, "web called shop/api without mTLS, last 119 s ago"),
        ("called", 120, "web called shop/api without mTLS, last 2 minutes ago"),
        ("unsettled", 3600, "web called shop/api without mTLS, last 60 minutes ago"),
    ],
)
def test_a_caller_in_words(verdict: str, silent: float, sentence: str) -> None:
    assert PlaintextCaller("web", "api", verdict, silent).sentence("shop") == sentence


def test_the_worst_caller_comes_first_and_of_those_the_latest() -> None:
    callers = [
        PlaintextCaller("a", "x", verdict, silent)
        for verdict, silent in (("over", 1), ("unsettled", 1), ("called", 9), ("called", 2), ("calls", 50))
    ]
    assert [(one.verdict, one.silent) for one in sorted(callers, key=lambda one: one.weight)] == [
        ("calls", 50),
        ("called", 2),
        ("called", 9),
        ("unsettled", 1),
        ("over", 1),
    ]


@pytest.mark.parametrize("kind", ["Pod", "Namespace"])
def test_surroundings_that_may_not_be_read_are_left_out_and_other_trouble_is_not(kind: str) -> None:
    cluster = FakeCluster(injected("a", "shop", NOW, restart=NOW, ready=NOW + 5))
    made = {"name": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"}
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": made})

    def look() -> CallerSurroundings:
        return CallerSurroundings(cluster, ["shop", "gone"])

    assert look().joins == [Join(NOW, NOW + 5)]
    assert look().born("shop") > 0
    assert look().born("gone") == look().born("elsewhere") == 0.0
    cluster.forbidden = {kind}
    assert look().joins == ([] if kind == "Pod" else [Join(NOW, NOW + 5)])
    assert (look().born("shop") > 0) is (kind == "Pod")
    cluster.forbidden = set()
    cluster.fail("*", kind, 500)
    with pytest.raises(ApiError):
        _read = look().joins


# -- exceptions ----------------------------------------------------------------------------------------------


def policy(
    mode: str, labels: Any = None, *, ports: Obj | None = None, namespace: str = "shop", name: str = "p"
) -> Obj:
    spec: Obj = {"mtls": {"mode": mode}, **({"portLevelMtls": ports} if ports else {})}
    if labels is None:
        labels = {"app": "api"}
    if labels:
        spec["selector"] = {"matchLabels": labels}
    notes = {"servicemesh.istio/reason": "old clients"}
    metadata = {"namespace": namespace, "name": name, "annotations": notes}
    return {"kind": "PeerAuthentication", "metadata": metadata, "spec": spec}


API = {"metadata": {"name": "api-1", "namespace": "shop", "labels": {"app": "api", "x": "y"}}}


@pytest.mark.parametrize(
    ("policies", "open_"),
    [
        ([policy("PERMISSIVE")], True),
        ([policy("DISABLE")], True),
        ([policy("STRICT")], False),
        ([policy("UNSET")], False),
        ([policy("PERMISSIVE", {})], False),  # of a whole namespace it is no exception
        ([policy("PERMISSIVE", {"app": "web"})], False),
        ([policy("PERMISSIVE", namespace="other")], False),
        ([policy("PERMISSIVE", ports={"1": {"mode": "STRICT"}})], False),
        ([policy("PERMISSIVE", ports={"1": {"mode": "DISABLE"}, "2": {"mode": "UNSET"}, "3": {}})], True),
        ([policy("STRICT"), policy("DISABLE", name="q")], False),  # the older one alone counts
        ([policy("DISABLE"), policy("STRICT", name="q")], True),
        ([policy("PERMISSIVE"), policy("STRICT", {}, name="q")], True),
    ],
)
def test_workloads_that_stay_open(policies: list[Obj], *, open_: bool) -> None:
    def told() -> str:
        return PeerModes([], policies, "istio-system").open_reason(API)

    assert told() == ("old clients" if open_ else "")
    for item in policies:
        item["metadata"]["annotations"] = {}
    assert told() == ("no reason is given" if open_ else "")


@pytest.mark.parametrize(
    ("owners", "labels", "name"),
    [
        ([], {}, "a-1"),
        ([{"kind": "StatefulSet", "name": "db", "controller": True}], {"pod-template-hash": "7f"}, "db"),
        ([{"kind": "ReplicaSet", "name": "web-7f", "controller": True}], {"pod-template-hash": "7f"}, "web"),
        ([{"kind": "ReplicaSet", "name": "web-7f", "controller": True}], {}, "web-7f"),
        ([{"kind": "ReplicaSet", "name": "web-7f", "controller": False}], {"pod-template-hash": "7f"}, "a-1"),
        ([{"kind": "X", "name": "x"}, {"kind": "Job", "name": "j", "controller": True}], {}, "j"),
    ],
)
def test_the_name_of_a_workload_in_metrics(owners: list[Obj], labels: dict[str, str], name: str) -> None:
    assert workload_name({"metadata": {"name": "a-1", "labels": labels, "ownerReferences": owners}}) == name


# -- access --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "by", "text"),
    [
        (1, "", "opens: a -> s GET /"),
        (2, "", "opens: a -> s GET / (2 cells)"),
        (1, "P x/y", "opens: a -> s GET /, by P x/y"),
    ],
)
def test_a_change_of_access_in_words(cells: int, by: str, text: str) -> None:
    assert str(AccessChange("opens", "s", "a", "GET /", by, cells)) == text


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    made = Run(monkeypatch)
    made.cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
    return made


def many(number: int, *, called: bool) -> Obj:
    """Services of one account each, all of them called by ``web``."""
    raw = minimal()
    callers = [{"service": "web"}] if called else []
    raw["mesh_services"] += [
        {**copy.deepcopy(raw["mesh_services"][0]), "name": f"s{index:02}", "exposed": [], "callers": callers}
        for index in range(number)
    ]
    return raw


@pytest.mark.parametrize(("number", "more"), [(10, ""), (13, "... and 3 more changes of who may call whom")])
def test_ten_changes_are_told_and_the_rest_is_counted(run: Run, number: int, more: str) -> None:
    run(many(number, called=False))
    run.lines.clear()
    found = run(many(number, called=True))["access"]
    assert len(found) == number
    told = [line for line in run.lines if line.startswith("opens: ")]
    assert len(told) == 10
    assert told == sorted(told)
    assert [line for line in run.lines if "more changes" in line] == ([more] if more else [])


@pytest.mark.parametrize(("number", "more"), [(3, ""), (5, " and 2 more")])
def test_a_refusal_names_three(run: Run, number: int, more: str) -> None:
    run(many(number, called=False))
    with pytest.raises(RefusedError) as caught:
        run(many(number, called=True), access_guard="refuse")
    assert caught.value.rule == "access-guard"
    assert caught.value.message.count("opens: ") == 3
    assert caught.value.message.endswith(f"{more} (mesh_access_guard: tell goes on)")


def test_what_opens_comes_before_what_closes(run: Run) -> None:
    raw = many(2, called=False)
    raw["mesh_services"][2]["callers"] = [{"service": "web"}]
    run(raw)
    raw["mesh_services"][2]["callers"], raw["mesh_services"][3]["callers"] = [], [{"service": "web"}]
    assert [(one["kind"], one["service"]) for one in run(raw)["access"]] == [
        ("opens", "shop/s01"),
        ("closes", "shop/s00"),
    ]


def test_live_policies_that_may_not_be_seen_leave_the_run_s_own(run: Run) -> None:
    run(many(1, called=False))
    run.cluster.fail("list", "AuthorizationPolicy", 403, times=2, when=lambda call: not call.selector)
    assert [one["kind"] for one in run(many(1, called=True))["access"]] == ["opens"]


@pytest.mark.parametrize(
    ("place", "closed"), [("istio-system", ["back/far", "shop/api"]), ("back", ["back/far"])]
)
def test_a_team_s_policy_is_about_its_namespace_and_one_in_the_root_about_all(
    run: Run, place: str, closed: list[str]
) -> None:
    raw = minimal()
    raw["mesh_services"].append({**copy.deepcopy(raw["mesh_services"][1]), "name": "far"})
    raw["mesh_services"][-1]["namespace"] = "back"
    raw["mesh_services"][-1]["callers"] = [{"service": "web", "namespace": "shop"}]
    run.cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "back"}})
    run(raw)
    deny = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "stop", "namespace": place},
        "spec": {"action": "DENY", "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]},
    }
    found = run(raw, deny)["access"]
    assert {one["kind"] for one in found} == {"closes"}
    assert sorted({one["service"] for one in found} - {"shop/web"}) == closed
