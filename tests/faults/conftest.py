"""What the fault tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .canary_lab import Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cluster of ``CANARY_LAB``, with a healthy v2 that takes no traffic, before and after."""
    found = Lab(tmp_path_factory.mktemp("canary"))
    found.healthy()
    yield found
    found.healthy()
