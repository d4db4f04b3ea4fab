"""Two people at once: one acts while the other one looks, and has let go of the Lease by then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.measurement import Measurement

from .fakes import SERVICE, Shop, Switch
from .scenarios import pods
from .test_actions import killed_at
from .world import FakePrometheusSource, World

RESUME = {"action": "resume", "service": None, "version": None, "steps": None}


def beside(world: World, moment: int, other: Callable[[], Any], **params: Any) -> tuple[bool, str]:
    """A call, in whose n-th request somebody else acts, as long as it has written nothing.

    :returns: whether that happened, and what the call said.
    """
    switch = Switch(world.shop.cluster)
    begun: list[int] = []
    journal = world.shop.journal()

    def act() -> None:
        unwritten = world.shop.journal() == journal and not world.shop.lease().get("holderIdentity")
        if switch.calls >= moment and not begun and unwritten:
            begun.append(moment)
            world.client = Switch(world.shop.cluster)
            other()

    switch.after_call, world.client = act, switch
    try:
        result = world(**params)
        said = str(result.get("reason") or result.get("services"))
    except MeshError as error:
        said = str(error)
    return bool(begun), said


@pytest.mark.parametrize(("approvals", "share"), [([2], 10), ([], 100)], ids=["waits", "has ended"])
def test_a_run_writes_nothing_over_one_that_has_begun_meanwhile(
    monkeypatch: pytest.MonkeyPatch, approvals: list[int], share: int
) -> None:
    """Nor is anybody told to roll that one back."""
    told = ("awaits approval", "begun meanwhile", "has not ended", "already stable", "held by")
    happened = 0
    for moment in range(2, 60, 3):
        world = World(Shop(), monkeypatch)
        begun, said = beside(world, moment, lambda world=world: world(approvals=approvals))
        if begun:
            happened += 1
            assert any(text in said for text in told), f"at call {moment}: {said}"
            assert world.shop.share() == share, f"at call {moment}"
    assert happened > 10


def resumes_beside_a_promotion(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person promotes a version that has got well, after a schedule has read its metrics: it stays."""
    world.shop.clock.sleep(60)
    world.shop.sick = 0.5
    past = FakePrometheusSource.past

    def looked(self: FakePrometheusSource, *arguments: Any) -> Measurement:
        seen = past(self, *arguments)
        monkeypatch.setattr(FakePrometheusSource, "past", past)
        world.shop.sick = 0.0
        assert world(action="promote")["outcome"] == "promoted"
        return seen

    monkeypatch.setattr(FakePrometheusSource, "past", looked)
    (said,) = world(**RESUME)["services"].values()
    assert said["reason"].endswith("has gone on meanwhile (promoted)")
    assert (world.shop.share(), world.shop.record()["stable"]) == (100, "v2")


def test_a_schedule_withdraws_nothing_that_a_person_has_promoted_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(Shop(), monkeypatch)
    assert world(approvals=[2])["outcome"] == "awaiting_approval"
    resumes_beside_a_promotion(world, monkeypatch)


def test_a_schedule_takes_nothing_from_a_held_version_that_a_person_has_promoted_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(Shop(), monkeypatch)
    world.shop.rate = 20.0
    world.shop.clock.at(3, pods(world, v1=0))
    with pytest.raises(MeshError, match="held_at_split"):
        world()
    resumes_beside_a_promotion(world, monkeypatch)


def _roll_back(world: World, runs: list[str]) -> None:
    assert world(action="rollback")["outcome"] == "rolled_back"
    runs.append(world.shop.journal()["run"])


def test_two_rollbacks_at_once_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    happened = 0
    for moment in range(1, 24):
        world = World(Shop(), monkeypatch)
        assert world()["outcome"] == "promoted"
        runs: list[str] = []

        begun, said = beside(world, moment, partial(_roll_back, world, runs), action="rollback")
        if begun:
            happened += 1
            assert (world.shop.share(), [world.shop.journal()["run"]]) == (0, runs), f"{moment}: {said}"
    assert happened > 3
    assert world.shop.cluster.peek("Lease", f"servicemesh-canary-{SERVICE}")
    assert world.shop.lease()["holderIdentity"] == ""


@pytest.mark.parametrize(
    "waits",
    [{"action": "promote", "steps": None, "version": None}, {}, RESUME],
    ids=["promote", "run", "resume"],
)
def test_who_waited_for_a_dead_runner_s_lease_goes_on_with_no_other_run(
    world: World, waits: dict[str, Any]
) -> None:
    """The approval of one run would be taken for that of the next one, by the plan of the first."""
    killed_at(world, lambda journal: journal.get("phase") == 2 and journal.get("step") == "watch")
    died = world.shop.journal()["run"]

    def other() -> None:
        world(action="rollback", version=None, steps=None)
        assert world(approvals=[2])["outcome"] == "awaiting_approval"

    world.shop.clock.at(5, other)
    try:
        said = str(world(**waits).get("services"))
    except MeshError as error:
        said = str(error)
    journal = world.shop.journal()
    assert "another rollout of this service has begun meanwhile" in said
    assert (journal["run"] != died, journal["state"]) == (True, "awaiting_approval")
    assert (world.shop.share(), world.shop.lease()["holderIdentity"]) == (10, "")
