"""One phase at its bounds: when it has ended, what its deadline means, how long blindness is borne."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Judgement,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Window
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.measurement import Measurement
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import plan_phases
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.settings import LowTraffic
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import watch
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.endpoints import (
    VersionEndpoints,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import (
    HoldNeeded,
    RollbackNeeded,
)

from ...support.clock import FakeClock

PLAN = plan_phases(stable="v1", canary="v2", steps=[10, 50, 100], duration=10, min_requests=20, dark=5)
DARK, TEN, HALF, ALL = PLAN.phases
PASS, FAIL = GateVerdict.PASS, GateVerdict.FAIL
LACKS, BLIND = GateVerdict.NOT_ENOUGH_DATA, GateVerdict.CANNOT_MEASURE


def window(canary: int, stable: int, phase: int = TEN.number) -> Window:
    return Window(
        phase, "2026-11-23T12:00:00Z", "2026-11-23T12:00:10Z", 10, {"errors": (canary, 0, stable, 0)}
    )


class Watched:
    """A phase that is watched, with as much of a rollout as a decision needs."""

    def __init__(self, phase: Any = TEN, windows: tuple[Window, ...] = (), **options: Any) -> None:
        self.clock = FakeClock()
        self.lines: list[str] = []
        self.endpoints = {version: self.pods(version, 1) for version in ("v1", "v2")}
        settings: dict[str, Any] = {
            "deadline": 7200.0, "phase_deadline": 120.0, "unmeasurable": 60.0, "ready_timeout": 20.0,
            "scrape_interval": 5.0, "poll": 1.0, "low_traffic": LowTraffic.ROLLBACK, "sick_stable": False,
            "queries": (), "gates": (), **options,
        }  # fmt: skip
        self.rollout: Any = SimpleNamespace(
            options=SimpleNamespace(**settings),
            plan=PLAN,
            clock=self.clock,
            journal=SimpleNamespace(windows=windows, verdicts=(), stable_templates=("aaa",)),
            endpoints=SimpleNamespace(read=lambda: self.endpoints),
            progress=self.lines.append,
            warnings=[],
            spent=lambda: 0.0,
            synthetic=None,
            outside=None,
            metrics=None,
        )
        self.watch = watch._Watch(self.rollout, phase, lambda *_rest: None)

    @staticmethod
    def pods(version: str, ready: int) -> VersionEndpoints:
        return VersionEndpoints(version, tuple("abc"[:ready]), ("a",), ("aaa",))

    def decide(self, verdict: GateVerdict, *, after: float) -> Judgement | None:
        self.clock.time = self.watch.started + after
        return self.watch._decide(Judgement("errors", verdict, "because"))


@pytest.mark.parametrize(
    ("verdict", "after", "ends"),
    [
        (PASS, 9.9, False),
        (PASS, 10.0, True),
        (LACKS, 10.0, False),
        (LACKS, 119.9, False),
        (BLIND, 10.0, False),
    ],
)
def test_a_phase_ends_when_its_time_is_over_and_its_gates_pass(
    verdict: GateVerdict, after: float, *, ends: bool
) -> None:
    assert (Watched().decide(verdict, after=after) is not None) is ends


def test_a_phase_that_passes_while_stable_is_down_waits() -> None:
    watched = Watched()
    watched.watch.stable_down_since = watched.clock.time
    assert watched.decide(PASS, after=10.0) is None


@pytest.mark.parametrize(("spent", "over"), [(7199.9, False), (7200.0, True)])
def test_the_deadline_of_the_run(spent: float, *, over: bool) -> None:
    watched = Watched()
    watched.rollout.spent = lambda: spent
    if over:
        with pytest.raises(RollbackNeeded, match="not promoted within canary_deadline, 7200 s"):
            watched.decide(LACKS, after=10.0)
    else:
        assert watched.decide(LACKS, after=10.0) is None
    assert watched.decide(PASS, after=10.0) is not None  # what has passed goes on


@pytest.mark.parametrize(
    ("after", "phase_deadline", "over"),
    [(119.9, 120.0, False), (120.0, 120.0, True), (29.9, 5.0, False), (30.0, 5.0, True)],
)
def test_the_deadline_of_a_phase_is_at_least_three_times_what_was_expected(
    after: float, phase_deadline: float, *, over: bool
) -> None:
    watched = Watched(phase_deadline=phase_deadline)
    if over:
        with pytest.raises(RollbackNeeded, match=f"not enough data after {after:.0f} s: errors: because"):
            watched.decide(LACKS, after=after)
    else:
        assert watched.decide(LACKS, after=after) is None


GO_ON = {"low_traffic": LowTraffic.PROMOTE_WITH_WARNING}


def test_little_traffic_may_go_on_with_a_warning() -> None:
    watched = Watched(windows=(window(0, 100),), **GO_ON)
    found = watched.decide(LACKS, after=120.0)
    assert found is not None
    assert watched.rollout.warnings == [f"phase {TEN.label()} went on without enough data: errors: because"]


@pytest.mark.parametrize("verdict", [BLIND])
def test_what_could_not_be_measured_never_goes_on(verdict: GateVerdict) -> None:
    with pytest.raises(RollbackNeeded):
        Watched(**GO_ON, unmeasurable=9999.0).decide(verdict, after=120.0)


def test_little_traffic_does_not_go_on_while_stable_is_down() -> None:
    watched = Watched(**GO_ON)
    watched.watch.stable_down_since = watched.clock.time
    with pytest.raises(RollbackNeeded):
        watched.decide(LACKS, after=120.0)


@pytest.mark.parametrize(
    ("phase", "windows", "unseen"),
    [
        (TEN, (window(0, 180),), True),  # twenty of the canary's were to be expected
        (TEN, (window(0, 179),), False),
        (TEN, (window(1, 900),), False),
        (TEN, (window(0, 90), window(0, 90)), True),
        (TEN, (window(0, 900, phase=DARK.number),), False),  # another phase
        (HALF, (window(0, 20, phase=HALF.number),), True),
        (HALF, (window(0, 19, phase=HALF.number),), False),
        (ALL, (window(0, 900, phase=ALL.number),), False),  # stable's last ones tell nothing
        (DARK, (window(0, 900, phase=DARK.number),), False),
        (TEN, (), False),
    ],
)
def test_no_request_at_all_is_no_sign_of_little_traffic(
    phase: Any, windows: tuple[Window, ...], *, unseen: bool
) -> None:
    watched = Watched(phase, windows, **GO_ON)
    assert bool(watched.watch._unseen()) is unseen
    if unseen:
        with pytest.raises(
            RollbackNeeded, match="no request of the canary was seen where about 20 are expected"
        ):
            watched.decide(LACKS, after=120.0)


@pytest.mark.parametrize(("blind", "over"), [(59.9, False), (60.0, True)])
def test_blindness_is_borne_for_a_while(blind: float, *, over: bool) -> None:
    watched = Watched()
    assert watched.decide(BLIND, after=5.0) is None
    if over:
        with pytest.raises(RollbackNeeded, match="nothing could be measured for 60 s: errors: because"):
            watched.decide(BLIND, after=5.0 + blind)
    else:
        assert watched.decide(BLIND, after=5.0 + blind) is None


def test_one_look_that_sees_something_ends_the_blindness() -> None:
    watched = Watched(phase_deadline=999.0)
    for after, verdict in ((5.0, BLIND), (60.0, LACKS), (70.0, BLIND), (129.0, BLIND)):
        assert watched.decide(verdict, after=after) is None


@pytest.mark.parametrize(
    ("phase", "canary", "refused"), [(TEN, 0, True), (TEN, 1, False), (DARK, 0, True), (HALF, 2, False)]
)
def test_a_canary_without_endpoints_goes(phase: Any, canary: int, *, refused: bool) -> None:
    watched = Watched(phase)
    watched.endpoints["v2"] = watched.pods("v2", canary)
    if refused:
        with pytest.raises(RollbackNeeded, match="no ready endpoint: v2 has 0 of 1 pods ready"):
            watched.watch._check_endpoints()
    else:
        watched.watch._check_endpoints()


@pytest.mark.parametrize(("down", "held"), [(19.9, False), (20.0, True)])
def test_a_stable_version_may_be_down_for_a_while(down: float, *, held: bool) -> None:
    watched = Watched()
    watched.endpoints["v1"] = watched.pods("v1", 0)
    watched.watch._check_endpoints()
    assert watched.lines == [f"phase {TEN.label()}: the stable version is down: v1 has 0 of 1 pods ready"]
    watched.clock.time += down
    if held:
        with pytest.raises(HoldNeeded, match="the stable version has been down for 20 s"):
            watched.watch._check_endpoints()
    else:
        watched.watch._check_endpoints()
        assert len(watched.lines) == 1
        watched.endpoints["v1"] = watched.pods("v1", 1)
        watched.watch._check_endpoints()
        assert watched.watch.stable_down_since is None


@pytest.mark.parametrize(("phase", "options"), [(ALL, {}), (TEN, {"sick_stable": True})])
def test_a_stable_version_that_has_no_requests_or_is_known_to_be_sick_may_be_down(
    phase: Any, options: dict[str, Any]
) -> None:
    watched = Watched(phase, **options)
    watched.endpoints["v1"] = watched.pods("v1", 0)
    watched.watch._check_endpoints()
    assert watched.watch.stable_down_since is None


class Answer:
    """Work in the background: done, or not yet."""

    def __init__(self, measured: Measurement | None, *, done: bool) -> None:
        self.measured, self.done = measured, done

    def wait(self, _seconds: float) -> bool:
        return self.done

    def result(self) -> Measurement | None:
        return self.measured


@pytest.mark.parametrize(
    ("late", "told"), [(0.0, False), (watch.ANSWER_WITHIN - 0.1, False), (watch.ANSWER_WITHIN, True)]
)
def test_an_answer_that_is_long_overdue_counts_as_none(late: float, *, told: bool) -> None:
    watched = Watched()
    watched.watch.asked_at = watched.clock.time
    watched.clock.time += late
    found = watched.watch._answer(Answer(None, done=False))
    assert (found is not None) is told
    if found is not None:
        assert (found.verdict, found.reason) == (BLIND, f"no answer for {late:.0f} s")
        assert watched.watch.blind_since == watched.watch.asked_at


def test_a_phase_without_requests_passes_while_its_pods_are_ready() -> None:
    found = Watched(DARK).watch._answer(Answer(None, done=True))
    assert found is not None
    assert (found.verdict, found.reason) == (PASS, "the pods stayed ready")
    assert Watched(DARK).watch._measure() is None


@pytest.mark.parametrize(
    ("phase", "variants", "routes", "foreign", "judged"),
    [
        (TEN, [], [], "", True),
        (TEN, ["v3"], ["v1"], "", True),
        (TEN, ["v2"], [], "", False),  # an A/B test sends it requests, too
        (TEN, [], ["v2"], "", False),
        (TEN, [], [], "their-routes", False),  # nobody knows what else leads to it
        (ALL, [], [], "", False),
        (DARK, [], [], "", False),
    ],
)
def test_the_share_is_judged_where_the_split_alone_brings_requests(
    phase: Any, variants: list[str], routes: list[str], foreign: str, *, judged: bool
) -> None:
    watched = Watched(phase, routes=foreign)
    to = {name: [SimpleNamespace(to=one) for one in ones] for name, ones in
          (("variants", variants), ("routes", routes))}  # fmt: skip
    watched.rollout.options.service = SimpleNamespace(**to)
    found = watched.watch._judge_split([window(100, 900, phase.number)])
    assert [one.gate for one in found] == ["share"] * judged


def test_a_look_that_has_a_problem_measures_nothing() -> None:
    found = Watched().watch._answer(Answer(Measurement(1.0, {}, problem="down"), done=True))
    assert found is not None
    assert (found.gate, found.verdict, found.reason) == ("metrics", BLIND, "down")


@pytest.mark.parametrize("settled", [False, True])
def test_requests_belong_to_the_phase_once_every_proxy_was_scraped_in_it(
    monkeypatch: pytest.MonkeyPatch, *, settled: bool
) -> None:
    watched = Watched(HALF)
    watched.watch.settled = settled
    seen: list[int] = []
    monkeypatch.setattr(watched.watch, "_judge", lambda _measured, number: seen.append(number))
    watched.watch._answer(Answer(Measurement(1.0, {}, settled=True), done=True))
    assert seen == [HALF.number if settled else HALF.number - 1]
    assert watched.watch.settled


@pytest.mark.parametrize(
    ("settled", "held", "before", "weight"),
    [
        (True, [10], {}, 10.0),
        (False, [10], {}, (0.0, 10.0)),  # the first share of the run
        (False, [10], {"v1": 70, "v2": 30}, (10.0, 30.0)),  # a split that an earlier run has left
        (False, [25, 10], {}, (10.0, 25.0)),
        (False, [0, 5, 10], {}, (5.0, 10.0)),
        (False, [25, 0, 10], {}, (0.0, 10.0)),  # started over
    ],
)
def test_the_metrics_are_told_what_the_canary_gets_or_its_bounds(
    settled: bool, held: list[int], before: dict[str, int], weight: Any
) -> None:
    watched = Watched()
    watched.rollout.journal.proofs = [SimpleNamespace(weights={"v2": share}) for share in held]
    watched.rollout.journal.before = before
    asked: list[Any] = []
    watched.rollout.metrics = SimpleNamespace(measure=lambda since, share: asked.append((since, share)))
    watched.rollout.synthetic = lambda: "no pod"
    watched.watch.settled = settled
    watched.watch._measure()
    assert asked == [(watched.watch.since, weight)]
    assert watched.lines == ["synthetic requests: no pod"]
