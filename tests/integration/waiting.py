"""Waits of the tests on a cluster: for what must come, and for namespaces that must go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient


def until(check: Callable[[], Any], what: str, timeout: float = 120.0, pause: float = 0.3) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < end, f"{what}: not within {timeout:.0f} s"
        time.sleep(pause)


def until_gone(client: KubeClient, *namespaces: str) -> None:
    """Wait for the end of namespaces that somebody has deleted."""
    until(
        lambda: not any(client.get("v1", "Namespace", name) for name in namespaces),
        f"the end of {' and '.join(namespaces)}",
    )
