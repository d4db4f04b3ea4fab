"""Users with cookie jars, against the routes as they are rendered: how many are pinned, and to what."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import (
    TrafficState,
    plan_phases,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.settings import Sticky
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.stickiness import share_again
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.rollout import (
    RolloutOptions,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rendering import renderer

MESH = parse_catalogue(
    {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "mesh_services": [
            {
                "name": "api",
                "ports": [{"name": "http", "number": 80, "protocol": "http"}],
                "versions": {"v1": {}, "v2": {}},
                "initial_version": "v1",
                "variants": [{"name": "beta", "to": "v2", "when": {"header": {"x-beta": "1"}}}],
            }
        ],
    }
)
RENDER = renderer(
    RolloutOptions(catalogue=MESH, service=MESH.services[0], sticky=Sticky("release", 3600)), "v1", "v2"
)
PLAN = plan_phases(stable="v1", canary="v2", steps=[10, 25, 50, 75, 100], dark=5)
LIVE = PLAN.phases[1:]


def answer(source: random.Random, routes: Mapping[str, Any], request: Mapping[str, str]) -> tuple[str, str]:
    """What Envoy does with a GET. :returns: subset, and the cookie that the answer sets."""
    for route in routes["spec"]["http"]:
        matches = route.get("match") or [{}]
        for match in matches:
            method = match.get("method", {}).get("regex", "GET")
            if not re.fullmatch(method, "GET"):
                continue
            headers = match.get("headers", {})
            if all(
                name in request
                and re.fullmatch(want.get("regex", re.escape(want.get("exact", ""))), request[name])
                for name, want in headers.items()
            ):
                parts = route["route"]
                weights = [part.get("weight", 100) for part in parts]
                part = source.choices(parts, weights)[0]
                added = part.get("headers", {}).get("response", {}).get("add", {})
                return part["destination"]["subset"], added.get("set-cookie", "")
    raise AssertionError("no route")


class Users:
    """Browsers that keep their cookie."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self.source = random.Random(seed)
        self.jars: list[str] = [""] * count
        self.seen: list[str] = [""] * count

    def visit(self, routes: Mapping[str, Any], times: int = 1) -> float:
        """Every user so many requests. :returns: percent of users whose last answer was the canary's."""
        for _turn in range(times):
            for user, jar in enumerate(self.jars):
                request = {"cookie": f"lang=de; {jar}; theme=dark"} if jar else {}
                self.seen[user], cookie = answer(self.source, routes, request)
                if cookie:
                    self.jars[user] = cookie.partition(";")[0]
        return 100 * self.seen.count("v2") / len(self.seen)


@pytest.mark.parametrize("requests", [1, 12, 60])
def test_the_pinned_share_is_the_weight_however_often_users_come(requests: int) -> None:
    users = Users(1000)
    for phase in LIVE[:-1]:
        share = users.visit(RENDER(PLAN.traffic(phase, "run-0")), requests)
        assert share == pytest.approx(phase.canary, abs=3.5), phase.label()


def test_a_user_of_the_canary_stays_while_the_weight_rises_and_nobody_goes_back() -> None:
    users = Users(500)
    pinned: set[int] = set()
    for phase in LIVE[:-1]:
        routes = RENDER(PLAN.traffic(phase, "run-0"))
        users.visit(routes, 3)
        now = {user for user, version in enumerate(users.seen) if version == "v2"}
        assert pinned <= now
        pinned = now
        before = list(users.seen)
        users.visit(routes, 5)
        assert users.seen == before, "nobody changes within a phase"


def test_users_who_stayed_away_for_phases_come_back_to_the_same_share() -> None:
    users = Users(2000)
    users.visit(RENDER(PLAN.traffic(LIVE[0], "run-0")))
    share = users.visit(RENDER(PLAN.traffic(LIVE[3], "run-0")), 2)
    assert share == pytest.approx(75, abs=3)


def test_a_rollback_unpins_everybody_at_once() -> None:
    users = Users(300)
    users.visit(RENDER(PLAN.traffic(LIVE[2], "run-0")), 2)
    back = RENDER(TrafficState({"v1": 100, "v2": 0}))
    assert users.visit(back) == 0
    assert "release" not in str(back)


@pytest.mark.parametrize("epoch", ["run-1", "other-0", "run-0-held"])
def test_cookies_of_another_attempt_mean_nothing(epoch: str) -> None:
    users = Users(2000)
    users.visit(RENDER(PLAN.traffic(LIVE[3], "run-0")), 3)
    share = users.visit(RENDER(PLAN.traffic(LIVE[0], epoch)), 3)
    assert share == pytest.approx(10, abs=3)


@pytest.mark.parametrize("kind", ["dark", "mirror", "testers"])
def test_an_early_phase_pins_nobody(kind: str) -> None:
    assert "set-cookie" not in str(RENDER(TrafficState({"v1": 100, "v2": 0}, kind, epoch="run-0")))


def test_every_route_sums_to_100_and_the_variants_of_the_team_come_first() -> None:
    for phase in LIVE:
        rendered = RENDER(PLAN.traffic(phase, "run-0"))
        for route in rendered["spec"]["http"]:
            weights = [part.get("weight", 100) for part in route["route"]]
            assert sum(weights) == 100
        assert rendered["spec"]["http"][0]["name"].startswith("beta")
        assert not any("headers" in part for part in rendered["spec"]["http"][0]["route"])


def test_the_routes_stay_few() -> None:
    steps = plan_phases(stable="v1", canary="v2", step_weight=2)
    rendered = RENDER(steps.traffic(steps.phases[40], "run-0"))
    redraws = {route["name"].split("-")[2] for route in rendered["spec"]["http"] if "redraw" in route["name"]}
    assert len(redraws) == 10


@pytest.mark.parametrize(
    ("before", "now", "percent"),
    [(10, 25, 17), (25, 50, 33), (50, 75, 50), (75, 100, 100), (50, 50, 0), (50, 10, 0)],
)
def test_how_many_are_drawn_again(before: int, now: int, percent: int) -> None:
    assert share_again(before, now) == percent


@pytest.mark.parametrize(
    ("before", "now", "again"),
    [
        (0, 0, 0),
        (0, 10, 10),
        (10, 10, 0),
        (50, 25, 0),
        (50, 75, 50),
        (10, 25, 17),
        (99, 100, 100),
        (100, 100, 0),
    ],
)
def test_whom_a_higher_share_draws_again(before: int, now: int, again: int) -> None:
    assert share_again(before, now) == again
