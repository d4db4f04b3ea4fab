"""One rollout with a fault at one of its calls, and a judge that knows the truth.

The judge looks at the API server and at what the shop really is (which pods are ready, who fails), and shares
no code with what it judges.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.deadman import (
    script as deadman_script,
)

from ...support.mortal import KilledError
from .fakes import NAMESPACE, SERVICE, Shop, Switch
from .scenarios import Scenario, pods
from .server import Server
from .world import World

FENCE = "servicemesh.istio/fence"
FOREIGN_FENCE = f"{SERVICE}.{NAMESPACE}.{FENCE}"
LEASE_RUNS_OUT = 31.0
SHARES = {0, 10, 50, 100}
OWN = {"ConfigMap", "Lease", "VirtualService", "Job", "Deployment", "Pod", "EndpointSlice"}
OWN |= {"HorizontalPodAutoscaler", "Event"}
LOOKED_AT = (
    ("VirtualService", f"{SERVICE}-routes"),
    ("VirtualService", "reviews"),
    ("Lease", f"servicemesh-canary-{SERVICE}"),
    ("ConfigMap", f"servicemesh-canary-{SERVICE}"),
    ("ConfigMap", f"servicemesh-release-{SERVICE}"),
)
FAULTS = ("kill", "lost request", "lost answer", "5", "60", "300", "webhook 60", "webhook 300")


class Trial:
    """One scenario with one fault at one call."""

    def __init__(self, scenario: Scenario, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.scenario = scenario
        self.world = World(Shop(), monkeypatch)
        self.shop = self.world.shop
        scenario.arrange(self.world)
        self.arranged = set(self.shop.cluster.writes)
        self.condemned_at: float | None = None
        self.plain = self._without_destinations()
        self.before, self.last = copy.deepcopy(self.shop.routes["spec"]), self.shop.share()
        self.started = self.last
        self.seen: list[str] = []
        self.written = 0
        self.switch = Switch(self.shop.cluster, after_call=self.watch)
        self.switch.clock = self.shop.clock
        self.shop.outage = self.switch.out_now
        self.world.client = self.switch
        self.monkeypatch, self.directory = monkeypatch, directory

    def begin(self, fault: str = "", number: int = 0) -> str:
        """The call of a person. :returns: outcome, or an empty string when it died or gave up."""
        self.switch.arrange(fault, number)
        try:
            result = self.world(**self.scenario.params)
            (single,) = result["services"].values() if "services" in result else [result]
            return str(single["outcome"])
        except KilledError:
            return ""
        except ApiError:
            return ""
        except MeshError as error:
            return str(error.details.get("outcome", ""))

    def settle(self, how: str) -> None:
        """What happens after the runner's death: the deadman, then the schedule or a person, until nothing
        changes any more."""
        self.switch.arrange("", 0)
        self.world.stopped = lambda: False  # it was the first runner's
        self.shop.clock.sleep(LEASE_RUNS_OUT)
        self.deadman()
        for turn in range(4):
            writes = len(self._writes())
            self._again(how if turn == 0 else "rollback")
            self.shop.clock.sleep(1)
            if turn and len(self._writes()) == writes:
                return
        raise AssertionError("it never ends")

    def recover(self) -> None:
        """The stable version gets well, and nobody but the schedule does anything."""
        self.shop.stable_sick = 0.0
        if self.world.sizes is None:  # else they are there
            pods(self.world, v1=1)()
        self.shop.clock.sleep(60)
        self._again("rollback")

    def _again(self, how: str) -> None:
        try:
            if how == "run" and self.shop.journal().get("outcome", "") == "":
                self.world(**{**self.scenario.params})
            else:
                self.world(
                    action="resume",
                    service=None,
                    version=None,
                    steps=None,
                    orphans=how.replace("run", "rollback"),
                )
        except MeshError as error:
            assert not isinstance(error, ApiError), error

    def deadman(self) -> None:
        """Every Job that is left looks at the Lease of its runner."""
        for key in [key for key in self.shop.cluster.objects if key[0] == "Job"]:
            container = self.shop.cluster.objects[key]["spec"]["template"]["spec"]["containers"][0]
            self.monkeypatch.setenv("DEADMAN", container["env"][0]["value"])
            self.monkeypatch.setattr(deadman_script, "ARMED", os.fspath(self.directory / "armed"))
            deadman_script.main(Server(self.shop), self.shop.clock.monotonic, self.shop.clock.sleep)

    def _writes(self) -> list[tuple[str, str]]:
        return [
            write for write in self.shop.cluster.writes if write[0] not in ("Lease", "Pod", "EndpointSlice")
        ]

    # The judge.

    def watch(self) -> None:
        """What must hold after every single call that may have changed something."""
        cluster = self.shop.cluster
        stored = [cluster.peek(kind, name) for kind, name in LOOKED_AT]
        seen = [obj["metadata"]["resourceVersion"] if obj else "" for obj in stored]
        if seen != self.seen or len(cluster.writes) != self.written:
            self.seen, self.written = seen, len(cluster.writes)
            self._judge_now()

    def _judge_now(self) -> None:
        routes = self.shop.routes
        for route in routes["spec"]["http"]:
            weights = [item.get("weight", 100 if len(route["route"]) == 1 else 0) for item in route["route"]]
            assert sum(weights) == 100, "I1: weights"
        share = self.shop.share()
        assert share in SHARES, "I3: a split that no plan has"
        if share != self.last:
            gains, other = ("v2", "v1") if share > self.last else ("v1", "v2")
            held = self.shop.journal().get("state") == "holding"  # at the smallest share, whoever is down
            answers = self.shop.pods[gains] or not self.shop.pods[other]
            assert answers or held, f"I2, I10: nobody answers at {gains}"
            self.last = share
        lease = int(self.shop.lease().get("leaseTransitions", 0))
        fences = [int(self._fence_of(routes) or 0)]
        journal = self.shop.journal()
        fences += [int(journal.get("fence", 0)), int(self.shop.record().get("fence", 0))]
        assert max(fences) <= lease, "I5: a fence that nobody holds"
        foreign = {write for write in self.shop.cluster.writes if write[0] not in OWN} - self.arranged
        assert not foreign, "I9: other objects were written"
        failed = any(verdict["verdict"] == "fail" for verdict in journal.get("verdicts", []))
        if failed or journal.get("state") == "rolling_back":
            known = self.condemned_at
            assert known is None or share <= known, "a condemned version gained traffic"
            self.condemned_at = share
        else:
            self.condemned_at = None

    def _fence_of(self, routes: dict[str, Any]) -> str | None:
        annotations: dict[str, str] = routes["metadata"].get("annotations") or {}
        return annotations.get(FENCE if routes["metadata"]["name"] == f"{SERVICE}-routes" else FOREIGN_FENCE)

    def judge(self, moment: str) -> None:
        """Whether the shop has ended well, or as well as it can."""
        shop, journal, record = self.shop, self.shop.journal(), self.shop.record()
        share, outcome = shop.share(), journal.get("outcome", "")
        stable_well = bool(shop.pods["v1"]) and not shop.stable_sick
        sick = bool(shop.sick) or not shop.pods["v2"]
        assert shop.lease().get("holderIdentity", "") == "", f"{moment}: held"
        if not journal:
            assert share == 0, moment
            return
        if journal["state"] in ("awaiting_approval", "paused"):
            assert share in self.scenario.waits, f"{moment}: waits with {share} %"
            return
        assert journal["state"] == "finished", moment
        assert record["weights"] == {v: w for v, w in (("v1", 100 - share), ("v2", share)) if w}, moment
        fence = self._fence_of(shop.routes)
        assert int(fence or 0) >= record["fence"], f"{moment}: applying the mesh would change the fence"
        assert record["stable"] == ("v2" if outcome == "promoted" else "v1"), moment
        if outcome == "promoted":
            assert share == 100, moment
            assert self.scenario.promotable or self.world.nobody_asked, f"{moment}: promoted"
        elif outcome == "rolled_back":
            assert share == 0, moment
        elif outcome == "split":
            assert share == self.scenario.split, moment
        elif outcome == "held_on_canary":
            assert share == 100, moment
            assert not shop.pods["v1"], moment
            assert not sick, f"{moment}: everybody at a sick version"
        else:
            assert outcome == "held_at_split", f"{moment}: {outcome}"
            assert not stable_well, f"{moment}: held away from a version that is well"
            assert share in (10, 50), moment
        self._judge_sizes(outcome, moment)
        self._judge_remains(outcome, moment)
        if sick:
            assert share <= 10, f"{moment}: {share} % at a sick version"
            assert not (stable_well and share), f"{moment}: {share} % at a sick version beside a well one"

    def _judge_sizes(self, outcome: str, moment: str) -> None:
        """Nobody had requests without the pods for them, and what was raised for the run is put back."""
        sizes = self.world.sizes
        if sizes is None:
            return
        for version in ("v1", "v2"):
            if sizes.autoscaler(version):
                assert (sizes.minimum(version), sizes.held(version)) == (1, None), f"{moment}: {version} held"
        assert [version for _at, version in sizes.overloaded if version == "v1"] == [], f"{moment}: overload"
        down = (self.scenario.params.get("scale") or {}).get("down")
        if outcome == "promoted" and down:
            assert sizes.replicas("v1") == 0, f"{moment}: the old version stays"
        elif outcome == "rolled_back":
            assert sizes.replicas("v1") >= 3, f"{moment}: stable is too small"
            if self.scenario.name.startswith("scale"):
                assert sizes.replicas("v2") == 1, f"{moment}: the canary stays large"

    def _without_destinations(self) -> list[dict[str, Any]]:
        return [
            {key: value for key, value in route.items() if key != "route"}
            for route in self.shop.routes["spec"]["http"]
        ]

    def _judge_remains(self, outcome: str, moment: str) -> None:
        """I3: a run that has ended leaves neither copies nor testers nor cookies, and no Job for ever."""
        for job in self.shop.cluster.jobs:
            assert job["spec"]["ttlSecondsAfterFinished"], f"{moment}: a Job is left for ever"
        if outcome in ("promoted", "rolled_back"):
            assert self._without_destinations() == self.plain, f"{moment}: the routes have more than a split"
            for route in self.shop.routes["spec"]["http"]:
                assert all(set(part) <= {"destination", "weight"} for part in route["route"]), moment
        if outcome == "rolled_back" and self.started == 0:
            assert self.shop.routes["spec"] == self.before, f"{moment}: not what was there before"
