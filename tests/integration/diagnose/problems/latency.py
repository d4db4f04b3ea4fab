# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency: what is planted on the lab, and what has to be found."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from ..planting import CALL, Block, Problem, after_calls, extra, of, with_new
from ..sick import IMAGE, PLACE, Sick, route

SLOW = {"delay": {"fixedDelay": "2s", "percentage": {"value": 100}}}


def sized(sick: Sick) -> Block:
    return extra(annotations={"sidecar.istio.io/proxyCPULimit": "20m", "sidecar.istio.io/proxyCPU": "10m"})(
        sick
    )


@contextlib.contextmanager
def busy(sick: Sick) -> Iterator[None]:
    """An application that would like a whole processor and gets a twentieth of it."""
    container = {
        "name": "busy",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "while :; do :; done"],
        "resources": {"limits": {"cpu": "50m", "memory": "32Mi"}},
    }
    with extra(containers=[container])(sick):
        time.sleep(10)
        yield


LATENCY = [
    Problem("throttled application", "latency", f"Pod {PLACE}/extra", {"pod": f"{PLACE}/extra"}, busy),
    Problem(
        "delay",
        "latency",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[{**route(subset="v1"), "fault": SLOW}]),
    ),
    Problem(
        "timeout that requests meet",
        "latency",
        f"VirtualService {PLACE}/callee",
        CALL,
        after_calls(
            of("VirtualService", "callee", http=[{**route(subset="v1"), "timeout": "0.3s"}]),
            3,
            header="x-fault-delay-ms: 1000",
        ),
    ),
    Problem(
        "timeout below everything",
        "latency",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[{**route(subset="v1"), "timeout": "5ms"}]),
    ),
    Problem(
        "many retries",
        "latency",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[{**route(subset="v1"), "retries": {"attempts": 9}}]),
    ),
    Problem(
        "slow application",
        "latency",
        f"Pod {PLACE}/callee-v1",
        {"destination": f"{PLACE}/callee"},
        after_calls(with_new(), 6, header="x-fault-delay-ms: 1200"),
    ),
    Problem("sidecar without processor", "latency", f"Pod {PLACE}/extra", {"pod": f"{PLACE}/extra"}, sized),
]
