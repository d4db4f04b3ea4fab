"""The machine-wide limit is raised while clusters exist, and put back."""

from __future__ import annotations

import pytest

from lab.cluster import allocate
from lab.limits import NEEDED, raise_limit, restore_limit


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    path = tmp_path / "max_user_instances"
    path.write_text("128\n")
    return path


def test_raised_once_and_put_back_by_the_last(setting):
    one = allocate("k")
    raise_limit(setting)
    raise_limit(setting)
    assert setting.read_text() == str(NEEDED)
    restore_limit(setting)
    assert setting.read_text() == str(NEEDED)  # a cluster is left
    (one.state / "cluster.json").unlink()
    restore_limit(setting)
    assert setting.read_text().strip() == "128"
    restore_limit(setting)
    assert setting.read_text().strip() == "128"


def test_a_higher_limit_is_left_alone(setting):
    setting.write_text("65536")
    raise_limit(setting)
    restore_limit(setting)
    assert setting.read_text() == "65536"


def test_what_somebody_else_set_meanwhile_stays(setting):
    raise_limit(setting)
    setting.write_text("20000")
    restore_limit(setting)
    assert setting.read_text() == "20000"
