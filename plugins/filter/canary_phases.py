# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``canary_phases``: a rollout plan as data, for playbooks and reports.

What it computes with is imported when it is used, for the reason that stands in ``mesh_resources``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError


def canary_phases(steps: Any = None, **options: Any) -> dict[str, Any]:
    """Plans the phases of a rollout. See the filter's documentation."""
    from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import plan_phases

    plain = json.loads(json.dumps({"steps": steps, **options}))  # drops Ansible's tags from every value
    plain.setdefault("stable", "stable")
    plain.setdefault("canary", "canary")
    if "step_weight" in plain and plain["step_weight"] is None:
        del plain["step_weight"]
    try:
        return plan_phases(**plain).as_dict()
    except (InputError, TypeError) as error:
        raise AnsibleFilterError(f"canary_phases: {error}") from error


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name -> function."""
        return {"canary_phases": canary_phases}
