"""Every scenario has its cluster: none is forgotten when they share one."""

from __future__ import annotations

from tools import scenarios, test


def test_all_scenarios_run_somewhere() -> None:
    shared, alone = scenarios.on_a_finished_mesh(), scenarios.from_a_bare_cluster()
    assert sorted([*shared, *alone]) == scenarios.scenarios()
    assert {*shared, *alone, *scenarios.CAMPAIGNS, "default"} == {
        path.parent.name for path in (scenarios.ROOT / "molecule").glob("*/molecule.yml")
    }
    assert set(scenarios.BARE) == set(alone)


def test_the_scenario_that_replaces_the_catalogue_comes_last() -> None:
    assert scenarios.on_a_finished_mesh()[-1] == "traffic"


def test_what_a_stage_waits_for_is_a_stage_of_another_lane() -> None:
    lanes = [list(test.on_the_lab("x")), list(test.sites("xs")), list(test.beside_the_lab())]
    for lane in lanes:
        others = {stage.name for other in lanes if other is not lane for stage in other}
        assert {name for stage in lane for name in stage.after} <= others
    names = [stage.name for lane in lanes for stage in lane]
    assert len(set(names)) == len(names)
