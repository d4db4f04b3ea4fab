# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sizes of two versions say of a rollout, each bound on both of its sides."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.capacity import (
    Autoscaler,
    Size,
    least_available,
    size_of_load,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.settings import Scale
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.scaling import sizes
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.scaling.sizes import (
    budget_findings,
    may_shrink,
    read_sizes,
)

from ....support.cluster import FakeCluster

Obj = dict[str, Any]


def findings(old: Size | None, new: Size | None, *, up: int | None = None, capacity: str = "hold") -> Any:
    options: Any = SimpleNamespace(scale=Scale(up, down=True) if up is not None else None, capacity=capacity)
    known = {name: size for name, size in (("v1", old), ("v2", new)) if size}
    return sizes.findings(known, options, "v1", "v2")


OLD = Size("web-v1", 3, 3)


def scaled(least: int, most: int, owner: str = "", ready: int = 3) -> Size:
    return Size("web-v2", ready, ready, Autoscaler("two", least, most, owner))


@pytest.mark.parametrize(("up", "refused"), [(5, False), (6, True)])
def test_an_autoscaler_s_maximum_bounds_what_the_canary_comes_up_with(up: int, *, refused: bool) -> None:
    problems, _warnings = findings(OLD, scaled(1, 5), up=up)
    said = "canary_scale.up is 6, but HorizontalPodAutoscaler two allows web-v2 no more than 5 pods"
    assert problems == ([said] if refused else [])


@pytest.mark.parametrize(("up", "refused"), [(2, False), (3, True)])
def test_a_minimum_that_belongs_to_somebody_is_not_raised(up: int, *, refused: bool) -> None:
    problems, _warnings = findings(OLD, scaled(2, 5, "ScaledObject two"), up=up)
    said = (
        "canary_scale.up is 3, but ScaledObject two would put minReplicas 2 of"
        " HorizontalPodAutoscaler two back"
    )
    assert problems == ([said] if refused else [])
    assert findings(OLD, scaled(2, 5), up=up)[0] == []


@pytest.mark.parametrize(
    ("new", "up", "told"),
    [
        (Size("web-v2", 3, 0), None, 0),  # as many as stable has
        (Size("web-v2", 2, 2), None, 2),
        (Size("web-v2", 1, 1), 3, 0),
        (Size("web-v2", 1, 1), 2, 2),
        (Size("web-v2", 2, 2), 1, 2),
        (scaled(1, 3, ready=1), None, 0),
        (scaled(1, 2, ready=1), None, 2),
        (None, None, 0),
    ],
)
def test_a_canary_that_cannot_get_as_large_as_stable_is_told(
    new: Size | None, up: int | None, told: int
) -> None:
    _problems, warnings = findings(OLD, new, up=up)
    said = (
        f"v2 can have {told} of the 3 pods that v1 has, and is to take all of its requests: canary_scale.up,"
        " or an autoscaler"
    )
    assert warnings == ([said] if told else [])
    assert findings(None, new, up=up)[1] == []


@pytest.mark.parametrize(
    ("least", "owner", "capacity", "said"),
    [
        (3, "ScaledObject x", "ignore", ""),
        (2, "Scaled x", "hold", "may shrink web-v1 from 3 to 2 (its minReplicas belongs to Scaled x)"),
        (2, "", "ignore", "may shrink web-v1 from 3 to 2 (canary_capacity is ignore)"),
        (2, "", "hold", ""),
    ],
)  # fmt: skip
def test_what_stable_may_lose_during_the_run(least: int, owner: str, capacity: str, said: str) -> None:
    old = dataclasses.replace(OLD, autoscaler=Autoscaler("one", least, 9, owner))
    words = f"HorizontalPodAutoscaler one {said}" if said else ""
    assert may_shrink(old, capacity) == words
    assert may_shrink(OLD, capacity) == ""
    _problems, warnings = findings(old, scaled(1, 9), capacity=capacity)
    told = f"{words} while v2 has its requests, and a rollback brings them all back"
    assert warnings == ([told] if words else [])


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (Size("w", 1, 1), "1 pod"),
        (Size("w", 2, 2), "2 pods"),
        (Size("w", 0, 0), "0 pods"),
        (Size("w", 3, 1), "1 of 3 pods ready"),
        (Size("w", 3, 3, Autoscaler("a", 2, 10)), "3 pods, HorizontalPodAutoscaler a from 2 to 10"),
    ],
)
def test_a_size_in_words(size: Size, words: str) -> None:
    assert size.describe() == words


@pytest.mark.parametrize(
    ("ready", "growth", "pods"), [(10, 1.1, 10), (10, 1.11, 12), (2, 1.5, 3), (10, 0.0, 10), (0, 5.0, 0)]
)
def test_a_load_grows_in_whole_pods(ready: int, growth: float, pods: int) -> None:
    assert size_of_load(Size("w", 99, ready), growth) == pods


@pytest.mark.parametrize(
    ("spec", "pods", "least"),
    [
        ({"minAvailable": 0}, 5, 0),
        ({"minAvailable": "100%"}, 5, 5),
        ({"minAvailable": "41%"}, 5, 3),
        ({"minAvailable": True}, 5, 0),
        ({"minAvailable": None, "maxUnavailable": 6}, 5, 0),
        ({"maxUnavailable": 0}, 5, 5),
        ({"maxUnavailable": "1%"}, 5, 4),
        ({"minAvailable": 1, "maxUnavailable": 0}, 5, 1),
    ],
)
def test_what_a_budget_wants_available(spec: Obj, pods: int, least: int) -> None:
    assert least_available(spec, pods) == least


# -- what is read --------------------------------------------------------------------------------------------


def deployment(name: str, spec: Obj | None = None, status: Obj | None = None) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec or {},
        "status": status or {},
    }


def autoscaler(
    name: str, target: str, spec: Obj | None = None, *, kind: str = "Deployment", **metadata: Any
) -> Obj:
    reference = {"kind": kind, "name": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": {"scaleTargetRef": reference, **(spec or {})},
    }


def read(*objects: Obj, **options: Any) -> dict[str, Size]:
    return read_sizes(FakeCluster(*objects), "shop", {"v1": "web-v1", "v2": "web-v2"}, **options)


def test_what_is_not_stated_is_one_and_what_does_not_exist_has_no_size() -> None:
    assert read(deployment("web-v1"), autoscaler("a", "web-v1")) == {
        "v1": Size("web-v1", 1, 0, Autoscaler("a", 1, 1))
    }
    full = deployment("web-v2", {"replicas": 4}, {"readyReplicas": 3})
    assert read(full, autoscaler("a", "web-v2", kind="StatefulSet"), autoscaler("b", "web-v1")) == {
        "v2": Size("web-v2", 4, 3)
    }


HELD = {"servicemesh.istio/min-replicas": "2>4"}


@pytest.mark.parametrize(("live", "declared"), [(4, 2), (5, 5), (2, 2)])
def test_a_bound_that_a_run_left_behind_is_not_the_owner_s(live: int, declared: int) -> None:
    made = autoscaler("a", "web-v1", {"minReplicas": live, "maxReplicas": 9}, annotations=HELD)
    found = read(deployment("web-v1"), made)["v1"].autoscaler
    assert found == Autoscaler("a", declared, 9)


def test_who_owns_an_autoscaler() -> None:
    def owner(*made: Obj, **options: Any) -> tuple[str, bool]:
        found = read(deployment("web-v1"), *made, **options)["v1"].autoscaler
        assert found is not None
        return found.owner, found.controlled

    keda = {"kind": "ScaledObject", "name": "web", "controller": True}
    assert owner(autoscaler("a", "web-v1", ownerReferences=[{**keda, "controller": False}])) == ("", False)
    assert owner(autoscaler("a", "web-v1", ownerReferences=[keda])) == ("ScaledObject web", True)
    flux = autoscaler("a", "web-v1", labels={"kustomize.toolkit.fluxcd.io/name": "apps"})
    assert owner(flux)[0] != ""
    assert owner(flux, gitops="ignore") == ("", False)
    assert owner(autoscaler("b", "web-v1"), autoscaler("a", "web-v1")) == (
        "nobody: a, b are about the same pods",
        False,
    )


@pytest.mark.parametrize("kind", ["HorizontalPodAutoscaler", "Deployment"])
def test_sizes_that_may_not_be_read_are_none_and_other_trouble_is_trouble(kind: str) -> None:
    cluster = FakeCluster(deployment("web-v1"), autoscaler("a", "web-v1"))
    cluster.forbidden = {kind}
    assert read_sizes(cluster, "shop", {"v1": "web-v1"}) == {}
    cluster.forbidden = set()
    cluster.fail("*", kind, 500)
    with pytest.raises(ApiError):
        read_sizes(cluster, "shop", {"v1": "web-v1"})


def budget(name: str, spec: Obj) -> Obj:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }


@pytest.mark.parametrize(("left", "told"), [(2, True), (3, False)])
def test_a_budget_without_a_pod_to_spare(left: int, *, told: bool) -> None:
    chosen = {"selector": {"matchLabels": {"app": "web"}}}
    cluster = FakeCluster(
        budget("ours", {**chosen, "minAvailable": 2}),
        budget("theirs", {"selector": {"matchLabels": {"app": "api"}}, "minAvailable": 9}),
        budget("nobody-s", {"minAvailable": 9}),
    )
    said = (
        "PodDisruptionBudget ours wants 2 pods, and v2 has 2: once the old version is at 0, no node with one"
        " of them can be drained"
    )
    assert budget_findings(cluster, "shop", {"app": "web"}, "v2", left) == ([said] if told else [])
    cluster.put(budget("all", {"selector": {}, "minAvailable": "100%"}))
    assert len(budget_findings(cluster, "shop", {"app": "web"}, "v2", left)) == 1 + told
    cluster.forbidden = {"PodDisruptionBudget"}
    assert budget_findings(cluster, "shop", {"app": "web"}, "v2", left) == []
    cluster.forbidden = set()
    cluster.fail("list", "PodDisruptionBudget", 500)
    with pytest.raises(ApiError):
        budget_findings(cluster, "shop", {"app": "web"}, "v2", left)
