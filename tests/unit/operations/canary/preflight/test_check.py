"""What a rollout asks for before its first write."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import seconds_of
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.services import Caller
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import Policy, ShareGate
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.assembly import (
    RolloutBuilder,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.rollout import (
    DeadmanOptions,
    Scale,
    Synthetic,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.preflight.check import (
    evidence_needed,
    rights_needed,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.server_clock import (
    server_clock,
)

from ....support.clock import FakeClock
from ..fakes import OPTIONS, Shop, Switch
from ..world import World

POLICY = Policy()
GATE = ShareGate("errors", acceptable=0.005, limit=0.02)


def rights(**changes: Any) -> set[tuple[str, str]]:
    shop: Any = Shop()
    builder = RolloutBuilder(shop.cluster, replace(OPTIONS, **changes), Context(clock=shop.clock))
    return {(need.verb, f"{need.resource}/{need.subresource}".rstrip("/")) for need in rights_needed(builder)}


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"deadman": DeadmanOptions("python", "deadman")}, ("create", "jobs")),
        ({"scale": Scale(2, down=False), "capacity": "ignore"}, ("patch", "deployments/scale")),
    ],
)
def test_an_option_that_is_chosen_asks_for_its_rights_and_no_other_does(
    changes: dict[str, Any], right: tuple[str, str]
) -> None:
    assert right in rights(**changes)
    assert right not in rights(capacity="ignore")


def test_proxies_are_looked_at_wherever_a_caller_is() -> None:
    shop: Any = Shop()
    callers = [
        Caller("a", principal="cluster.local/ns/elsewhere/sa/job"),
        Caller("b", service="nobody"),
        Caller("c", anonymous=True, reason="public"),
    ]
    options = replace(OPTIONS, service=replace(OPTIONS.service, callers=tuple(callers)))
    builder = RolloutBuilder(shop.cluster, options, Context(clock=shop.clock))
    assert builder.callers() == {("elsewhere", "job")}
    assert builder.calling_namespaces() == ["elsewhere", "shop"]
    assert "elsewhere" in {need.namespace for need in rights_needed(builder)}


def test_requests_of_our_own_need_the_right_to_run_a_command_where_they_come_from() -> None:
    shop: Any = Shop()
    synthetic = Synthetic("callers", "app=caller", "main", ("curl",))
    builder = RolloutBuilder(shop.cluster, replace(OPTIONS, synthetic=synthetic), Context(clock=shop.clock))
    assert any(need.namespace == "callers" and need.subresource == "exec" for need in rights_needed(builder))


def test_the_comparison_with_stable_needs_evidence_of_its_own() -> None:
    alone = evidence_needed(replace(GATE, compare=False), POLICY, 0.004)
    both = evidence_needed(GATE, POLICY, 0.004)
    assert alone is not None
    assert both is not None
    assert both > alone
    relative = evidence_needed(replace(GATE, absolute=False), POLICY, 0.004)
    assert relative is not None
    assert relative > 10
    assert evidence_needed(replace(GATE, absolute=False, compare=False), POLICY, 0.004) == 10


def test_a_stable_version_at_the_limit_never_gives_the_evidence() -> None:
    assert evidence_needed(replace(GATE, compare=False), POLICY, 0.02) is None


def test_bursts_need_more_requests() -> None:
    single, bursts = (evidence_needed(replace(GATE, burst=burst), POLICY, 0.001) for burst in (1.0, 5.0))
    assert single is not None
    assert bursts is not None
    assert bursts > 2 * single


@pytest.mark.parametrize(("skew", "side"), [(45.0, "45 s ahead of"), (-31.0, "31 s behind")])
def test_a_prometheus_whose_clock_is_wrong_is_refused_before_any_write(
    skew: float, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop()
    shop.skew = skew
    world = World(shop, monkeypatch)
    writes = len(shop.cluster.writes)
    with pytest.raises(RefusedError, match=f"nothing was written: .*Prometheus' clock is {side}"):
        world()
    assert len(shop.cluster.writes) == writes


@pytest.mark.parametrize("ahead", [-31.0, 45.0, 600.0])
def test_a_rollout_goes_by_the_clock_of_the_server(ahead: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the controller's clock says: Leases and journals are dated as the server dates."""
    shop = Shop()
    shop.cluster.time_of = lambda: shop.clock.now() + ahead
    world = World(shop, monkeypatch)
    assert world(approvals=[2])["outcome"] == "awaiting_approval"
    renewed = seconds_of(shop.lease()["renewTime"])
    assert renewed is not None
    assert abs(renewed - (shop.clock.now() + ahead)) < 15
    dated = seconds_of(shop.journal()["at"])
    assert dated is not None
    assert abs(dated - (shop.clock.now() + ahead)) < 15


def test_a_server_without_a_date_leaves_this_machine_s_clock() -> None:
    shop = Shop()
    answer = SimpleNamespace(headers={})
    client = SimpleNamespace(request=lambda *_rest: answer)
    assert server_clock(client, shop.clock).now() == shop.clock.now()
    answer.headers = {"Date": "yesterday"}
    assert server_clock(client, shop.clock).now() == shop.clock.now()


@pytest.mark.parametrize(
    ("ahead", "believed"), [(0.0, 0.0), (2.0, 0.0), (-2.0, 0.0), (2.5, 2.5), (-60.0, -60.0)]
)
def test_a_difference_of_two_seconds_is_none(ahead: float, believed: float) -> None:
    """The server's date has whole seconds: its middle counts."""
    clock = FakeClock()
    clock.time = 1_795_000_000.5 - ahead
    headers = {"Date": "Wed, 18 Nov 2026 11:06:40 GMT"}
    client = SimpleNamespace(request=lambda *_rest: SimpleNamespace(headers=headers))
    assert server_clock(client, clock).now() - clock.time == believed


def test_a_clock_that_is_set_right_in_mid_run_changes_nothing() -> None:
    """Behind by a minute, which the server's date corrects; then the machine's own time service does, too."""

    class Corrected(FakeClock):
        behind = 60.0

        def now(self) -> float:
            return self.time - self.behind

    shop = Shop()
    shop.clock = clock = Corrected()
    shop.cluster.time_of = lambda: clock.time
    server = server_clock(Switch(shop.cluster), clock)
    assert abs(server.now() - clock.time) <= 1, "as the server says"
    for behind in (0.0, 3600.0, -3600.0):
        clock.behind = behind
        clock.sleep(10)
        assert abs(server.now() - clock.time) <= 1
