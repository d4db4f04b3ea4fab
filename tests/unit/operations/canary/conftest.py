"""The world of a rollout, for every test of this room that starts from a healthy shop."""

from __future__ import annotations

import pytest

from .fakes import Shop
from .world import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(Shop(), monkeypatch)
