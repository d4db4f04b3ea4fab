"""The verdicts of a rollout from its evidence alone, as somebody finds them who has only the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    Judgement,
    Policy,
    ShareGate,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Window
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.judging import (
    judge_shares,
    look_at,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import RolloutPlan
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.typed_json import decode


def recomputed(evidence: Mapping[str, Any]) -> list[Judgement]:
    """The share gates' verdicts of the last look. :returns: one for each gate, in the gates' order."""
    plan: RolloutPlan = decode(RolloutPlan, evidence["plan"])
    look = look_at(plan, plan.phases[evidence["judged"] - 1], ended=evidence["ended"])
    windows: list[Window] = [decode(Window, window) for window in evidence["windows"]]
    gates: list[ShareGate] = [decode(ShareGate, gate) for gate in evidence["gates"]]
    spread = (evidence.get("baseline") or {}).get("spread", {})
    policy: Policy = decode(Policy, evidence["policy"])
    return judge_shares(windows, look, policy=policy, gates=gates, spread=spread)
