"""What holds for the tests of all checks."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.findings import (
    LABELS,
    TITLES,
    Finding,
)


@pytest.fixture(autouse=True)
def known_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finding of a check that nobody knows would be left out of every result, whatever it says."""
    made = Finding.__init__

    def make(self: Finding, check: str, subject: str, verdict: str, *rest: Any, **more: Any) -> None:
        assert check in TITLES and verdict in LABELS, (check, verdict)
        made(self, check, subject, verdict, *rest, **more)

    monkeypatch.setattr(Finding, "__init__", make)
