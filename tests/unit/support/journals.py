"""Journals of rollouts as the cluster holds them."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import plan_phases


def journal_data(**changes: Any) -> dict[str, Any]:
    """What stands in a ConfigMap, with all that a journal needs. A change to None takes a field away."""
    plan = plan_phases(stable="v1", canary="v2", steps=[10, 100])
    data: dict[str, Any] = {
        "schema": 1,
        "run": "run-7",
        "runner": "controller:1:a",
        "service": "api",
        "namespace": "shop",
        "stable": "v1",
        "canary": "v2",
        "plan": json.loads(json.dumps(plan.as_dict())),
        "state": "running",
        "step": "watch",
        "phase": 1,
        "passed": 0,
        "outcome": "",
        "reason": "",
    }
    data.update(changes)
    return {key: value for key, value in data.items() if value is not None}


def journal_object(service: str = "api", namespace: str = "shop", **changes: Any) -> dict[str, Any]:
    """The ConfigMap of a journal."""
    metadata = {"name": f"servicemesh-canary-{service}", "namespace": namespace}
    text = json.dumps(journal_data(service=service, namespace=namespace, **changes))
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"journal": text}}
