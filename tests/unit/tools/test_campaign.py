"""``make campaign``: its stages, and which of them one may ask for."""

from __future__ import annotations

import pytest

from tools import campaign


def test_a_part_of_the_stages_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, int]] = []
    monkeypatch.setenv("LAB_CLUSTER", "campaign-unit")
    monkeypatch.setattr(campaign, "proof", lambda cluster, seed: ran.append((cluster, seed)) or 1)
    assert campaign.main(["--only", "proof", "--seed", "7"]) == 0
    assert ran == [("campaign-unit", 7)]


def test_a_stage_that_is_not_there_is_refused() -> None:
    with pytest.raises(SystemExit):
        campaign.main(["--only", "no such stage"])


def test_every_stage_has_a_name_of_its_own() -> None:
    names = [stage.name for stage in campaign.stages("x", 1)]
    assert len(set(names)) == len(names)
    assert {"proof", "faults"} <= {*names}
