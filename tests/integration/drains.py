"""How long ago a test can last have replaced something in the mesh's proxies, which then drains."""

from __future__ import annotations

import time

LOOK_ONLY = ("tests/integration/guides/", "tests/integration/runner/")
"""What replaces nothing: `make test` runs it just before whoever waits for what drains."""
_last = time.monotonic()  # the mesh itself may be that young


def ended(nodeid: str) -> None:
    """A test has ended."""
    global _last  # noqa: PLW0603 - of the session, as the mesh is
    if not nodeid.startswith(LOOK_ONLY):
        _last = time.monotonic()


def wait(seconds: float) -> None:
    """Until nothing has been replaced for so long."""
    time.sleep(max(0.0, _last + seconds - time.monotonic()))
