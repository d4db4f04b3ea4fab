"""What a rollout asks for before its first write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import Policy, ShareGate
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.assembly import (
    RolloutBuilder,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options import (
    DeadmanOptions,
    Scale,
    Synthetic,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.preflight import (
    evidence_needed,
    rights_needed,
)

from .fakes import OPTIONS, Shop

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
        ({"scale": Scale(2, down=False)}, ("patch", "deployments/scale")),
    ],
)
def test_an_option_that_is_chosen_asks_for_its_rights_and_no_other_does(
    changes: dict[str, Any], right: tuple[str, str]
) -> None:
    assert right in rights(**changes)
    assert right not in rights()


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
