"""Writes of routes when others write too: what is tried again, given up and refused; and the whole Job."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    FencedError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import TrafficState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import backend
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.adapters import (
    RememberingRoutes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.deadman.switch import (
    DeadmanJob,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects import routes
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.routes import (
    ForeignRoutes,
    OwnRoutes,
    at_this_version,
    check_sums,
    fence_of,
    refuse_newer_fence,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.rollout import (
    DeadmanOptions,
)

from ..deadman.test_switch import begun, with_deadman
from ..fakes import FACTS, NAMESPACE, SERVICE, Shop

HALF, STABLE = TrafficState({"v1": 50, "v2": 50}), TrafficState({"v1": 100, "v2": 0})
THEIRS = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "theirs", "namespace": NAMESPACE},
    "spec": {"hosts": [SERVICE], "http": [{"route": [{"destination": {"host": SERVICE, "subset": "v1"}}]}]},
}


def own(shop: Shop) -> OwnRoutes:
    return OwnRoutes(shop.cluster, f"{SERVICE}-routes", NAMESPACE, shop.render, "v1")


def foreign(shop: Shop, **metadata: Any) -> ForeignRoutes:
    obj = copy.deepcopy(THEIRS)
    obj["metadata"].update(metadata)
    shop.cluster.put(obj)
    return ForeignRoutes(shop.cluster, "theirs", NAMESPACE, shop.split)


@pytest.mark.parametrize(
    ("stale", "written"), [(0, True), (1, True), (routes.ATTEMPTS - 1, True), (routes.ATTEMPTS, False)]
)
def test_own_routes_that_change_meanwhile_are_written_again_a_few_times(stale: int, *, written: bool) -> None:
    shop = Shop()
    shop.cluster.fail("apply", "VirtualService", 409, times=stale)
    if written:
        assert own(shop).write(HALF, 3) is True
        assert (shop.share(), fence_of(shop.routes)) == (50, 3)
        assert own(shop).write(HALF, 3) is False
        assert own(shop).write(HALF, 4) is True  # the fence is part of what is written
    else:
        with pytest.raises(MeshError, match=r"shop/product-routes changes faster than it can be written"):
            own(shop).write(HALF, 3)


@pytest.mark.parametrize("status", [403, 422, 500])
def test_other_refusals_of_a_write_are_told(status: int) -> None:
    shop = Shop()
    shop.cluster.fail("apply", "VirtualService", status)
    with pytest.raises(ApiError) as caught:
        own(shop).write(HALF, 3)
    assert caught.value.status == status
    assert shop.share() == 0


def test_own_routes_that_are_gone_are_made_again_and_no_claim_makes_them() -> None:
    shop = Shop()
    shop.cluster.remove("VirtualService", f"{SERVICE}-routes", NAMESPACE)
    own(shop).claim(3)
    assert shop.cluster.peek("VirtualService", f"{SERVICE}-routes") is None
    assert own(shop).write(HALF, 3) is True
    assert shop.share() == 50


def test_a_claim_changes_the_fence_alone() -> None:
    shop = Shop()
    own(shop).write(HALF, 3)
    before = copy.deepcopy(shop.routes["spec"])
    own(shop).claim(4)
    assert (shop.routes["spec"], fence_of(shop.routes)) == (before, 4)
    with pytest.raises(FencedError, match="bears fence 4, this run has 3: it stops"):
        own(shop).write(STABLE, 3)
    own(shop).claim(4)  # its own fence stops nobody


@pytest.mark.parametrize("status", [409, 422])
def test_a_foreign_object_that_its_owner_changes_meanwhile_is_patched_again(status: int) -> None:
    shop = Shop()
    found = foreign(shop)
    patch = shop.cluster.patch
    turns = []

    def raced(*arguments: Any, **options: Any) -> Any:
        turns.append(1)
        if len(turns) == 1:
            live = shop.cluster.peek("VirtualService", "theirs")
            assert live
            live["spec"]["http"].append({"route": [{"destination": {"host": "new"}}]})
            shop.cluster.put(live)
            raise ApiError("changed", status=status)
        return patch(*arguments, **options)

    shop.cluster.patch = raced
    assert found.write(HALF, 3) is True
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    assert len(live["spec"]["http"]) == 2
    assert shop.split.canary_share(live) == 50


def part(subset: str, weight: int, host: str = f"{SERVICE}.{NAMESPACE}.svc.cluster.local") -> dict[str, Any]:
    return {"destination": {"host": host, "subset": subset}, "weight": weight}


def test_a_route_that_its_owner_puts_before_ours_stays_his() -> None:
    shop = Shop()
    found = foreign(shop)
    shop.cluster.put({**THEIRS, "spec": {"http": [{"route": [part("v1", 100)]}]}})
    found.restore(found.snapshot())
    found.write(HALF, 3)
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    his = {"route": [{"destination": {"host": "new"}}]}
    live["spec"]["http"].insert(0, his)
    shop.cluster.put(live)
    found.write(STABLE, 3)
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    assert live["spec"]["http"] == [his, {"route": [part("v1", 100)]}]


@pytest.mark.parametrize("added", [True, False], ids=["a route was added", "as it was"])
@pytest.mark.parametrize(
    "route",
    [
        [part("v1", 100)],
        [part("v1", 90), part("v3", 10)],
        [part("v1", 40), part("", 60, "cart")],
        [part("v1", 60, SERVICE), part("v1", 40)],
        [part("v1", 100), part("v2", 0)],
    ],
    ids=["one", "another version beside", "another service beside", "two notations", "none at the canary"],
)
def test_a_rollback_leaves_no_share_in_any_foreign_route(route: list[dict[str, Any]], added: bool) -> None:
    shop = Shop()
    found = foreign(shop)
    shop.cluster.put({**THEIRS, "spec": {"http": [{"route": route}]}})
    found.restore(found.snapshot())
    assert found.write(HALF, 3) is True
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    assert [item for item in live["spec"]["http"][0]["route"] if item["destination"].get("subset") == "v2"]
    if added:
        live["spec"]["http"].append({"route": [{"destination": {"host": "new"}}]})
        shop.cluster.put(live)
    found.write(STABLE, 3)
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    now = live["spec"]["http"][0]["route"]
    assert not [item for item in now if item["destination"].get("subset") == "v2" and item["weight"]]
    assert sum(item["weight"] for item in now) == 100
    assert added or now == route, "as its owner wrote it"


@pytest.mark.parametrize("status", [403, 409, 422, 500])
def test_a_patch_that_is_refused_of_an_unchanged_object_is_told(status: int) -> None:
    shop = Shop()
    found = foreign(shop)
    shop.cluster.fail("patch", "VirtualService", status)
    with pytest.raises(ApiError) as caught:
        found.write(HALF, 3)
    assert caught.value.status == status


def test_a_foreign_object_that_never_stands_still_is_given_up() -> None:
    shop = Shop()
    found = foreign(shop)

    def raced(*_arguments: Any, **_options: Any) -> Any:
        live = shop.cluster.peek("VirtualService", "theirs")
        assert live
        shop.cluster.put(live)
        raise ApiError("changed", status=409)

    shop.cluster.patch = raced
    with pytest.raises(MeshError, match="shop/theirs changes faster than it can be written"):
        found.write(HALF, 3)


def test_a_foreign_object_that_is_gone_has_no_share_and_may_need_none() -> None:
    shop = Shop()
    found = ForeignRoutes(shop.cluster, "theirs", NAMESPACE, shop.split)
    assert found.write(STABLE, 3) is False
    found.claim(3)
    for call in (lambda: found.write(HALF, 3), lambda: found.desired(HALF)):
        with pytest.raises(RefusedError, match="VirtualService shop/theirs does not exist"):
            call()
    assert found.snapshot() == ()


@pytest.mark.parametrize("kind", ["mirror", "testers"])
def test_a_foreign_object_takes_no_routes_of_ours(kind: str) -> None:
    shop = Shop()
    with pytest.raises(RefusedError, match=f"a {kind} phase adds routes"):
        foreign(shop).write(TrafficState({"v1": 100, "v2": 0}, kind=kind), 3)


@pytest.mark.parametrize("annotations", [None, {}, {"team": "a"}])
def test_the_fence_is_written_beside_other_annotations(annotations: dict[str, str] | None) -> None:
    shop = Shop()
    found = foreign(shop, **({} if annotations is None else {"annotations": annotations}))
    assert found.write(HALF, 3) is True
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    assert live["metadata"]["annotations"] == {
        **(annotations or {}),
        "product.shop.servicemesh.istio/fence": "3",
    }
    assert found.write(HALF, 3) is False
    found.claim(4)
    live = shop.cluster.peek("VirtualService", "theirs")
    assert (fence_of(live, found.annotation), shop.split.canary_share(live or {})) == (4, 50)


def test_the_first_operation_of_a_patch_holds_the_version() -> None:
    live = {"metadata": {"resourceVersion": "7"}}
    assert at_this_version(live) == [{"op": "test", "path": "/metadata/resourceVersion", "value": "7"}]


@pytest.mark.parametrize(
    ("weights", "sums"),
    [
        ([], True),
        ([0], True),
        ([40], True),
        ([50, 50], True),
        ([50, 49], False),
        ([100, 1], False),
        ([100, 0], True),
    ],
)
def test_weights_of_a_route_sum_to_100(weights: list[int], *, sums: bool) -> None:
    obj = {
        "metadata": {"name": "x"},
        "spec": {"http": [{"route": [{"weight": weight} for weight in weights]}]},
    }
    if sums:
        check_sums(obj)
    else:
        with pytest.raises(RefusedError, match="which do not sum to 100"):
            check_sums(obj)


@pytest.mark.parametrize(
    ("bears", "has", "stops"), [("3", 3, False), ("3", 4, False), ("4", 3, True), ("", 0, False)]
)
def test_whose_fence_stops_whom(bears: str, has: int, *, stops: bool) -> None:
    live = {
        "kind": "VirtualService",
        "metadata": {"name": "x", "annotations": {"servicemesh.istio/fence": bears}},
    }
    if stops:
        with pytest.raises(FencedError):
            refuse_newer_fence(live, has)
    else:
        refuse_newer_fence(live, has)


def test_the_whole_job() -> None:
    rollout = with_deadman(Shop())
    begun(rollout)
    job = DeadmanJob(
        rollout, rollout.deadman._client, DeadmanOptions("python:3", "deadman", ("pull",)), own=True
    )
    made = job.job()
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert container.pop("command")[:3] == ["python3", "-u", "-c"]
    assert container.pop("env")[0]["name"] == "DEADMAN"
    assert container["readinessProbe"]["exec"]["command"][:2] == ["python3", "-c"]
    assert container.pop("readinessProbe")["periodSeconds"] == 1
    labels = {
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "app.kubernetes.io/part-of": "shop",
        "servicemesh.istio/deadman": FACTS.run,
    }
    assert made == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"servicemesh-deadman-{FACTS.run}-1", "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "backoffLimit": 20,
            "ttlSecondsAfterFinished": 600,
            "template": {
                "metadata": {"labels": {**labels, "sidecar.istio.io/inject": "false"}},
                "spec": {
                    "serviceAccountName": "deadman",
                    "restartPolicy": "OnFailure",
                    "imagePullSecrets": [{"name": "pull"}],
                    "terminationGracePeriodSeconds": 1,
                    "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "deadman",
                            "image": "python:3",
                            "resources": {
                                "requests": {"cpu": "10m", "memory": "32Mi"},
                                "limits": {"memory": "64Mi"},
                            },
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                        }
                    ],
                },
            },
        },
    }


@pytest.mark.parametrize("status", [403, 500])
def test_a_cluster_that_may_not_be_named_has_no_name_and_other_trouble_is_told(status: int) -> None:
    shop = Shop()
    builder: Any = type("Builder", (), {"client": shop.cluster})
    shop.cluster.fail("get", "Namespace", status)
    if status == 403:
        assert backend._cluster_id(builder) == ""
    else:
        with pytest.raises(ApiError):
            backend._cluster_id(builder)


def test_the_routes_of_an_early_phase_are_known_by_their_weights() -> None:
    """A proof is asked by weights alone: those that were written last may have extra routes."""
    written: list[TrafficState] = []
    inner = SimpleNamespace(
        name="routes",
        namespace=NAMESPACE,
        annotation="a",
        write=lambda traffic, _fence: not written.append(traffic),
        desired=lambda traffic: traffic,
    )
    remembering = RememberingRoutes(cast("Any", inner))
    assert remembering.now({"v1": 100}) == TrafficState({"v1": 100})
    mirror = TrafficState({"v1": 100, "v2": 0}, kind="mirror", percent=20)
    assert remembering.write(mirror, 3) is True
    assert (written, remembering.now({"v1": 100, "v2": 0})) == ([mirror], mirror)
    assert remembering.now({"v1": 90, "v2": 10}) == TrafficState({"v1": 90, "v2": 10})
