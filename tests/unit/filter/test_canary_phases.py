from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.servicemesh.istio.plugins.filter.canary_phases import FilterModule, canary_phases


def test_filter_is_registered_and_plans() -> None:
    plan = FilterModule().filters()["canary_phases"]([20, 100], duration="30s", requests_per_second=50)
    assert [phase["weights"] for phase in plan["phases"]] == [
        {"stable": 80, "canary": 20},
        {"stable": 0, "canary": 100},
    ]
    assert plan["minimum_seconds"] == 60


def test_none_takes_the_step_weight() -> None:
    assert [phase["canary"] for phase in canary_phases(None, step_weight=50)["phases"]] == [50, 100]


@pytest.mark.parametrize("options", [{"steps": [0]}, {"steps": [10, 100], "speed": 3}, {"steps": "10"}])
def test_bad_input_is_one_clear_line(options: dict[str, object]) -> None:
    with pytest.raises(AnsibleFilterError, match="canary_phases") as raised:
        canary_phases(**options)
    assert "\n" not in str(raised.value)
