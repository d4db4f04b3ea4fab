# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clocks that are wrong: a node's, whose certificates then look too young, and that of this machine."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import name_of, text_at
from ....kube.clock import seconds_of
from ....model.certificates.trust import CLOCK, TrustEntry
from ..look import TrustLook

MAX_SKEW = 60.0
_HEARTBEATS = "kube-node-lease"  # the kubelet writes its own time there, every ten seconds


def clocks(look: TrustLook) -> Iterator[TrustEntry]:
    """Nodes whose heartbeat lies in the future, and this machine beside the API server."""
    now = look.judge.now.timestamp()
    here = look.clock.now() - now
    if abs(here) > MAX_SKEW:
        message = f"is {abs(here):.0f} s {'ahead of' if here > 0 else 'behind'} the API server's"
        yield look.judge.wrong(CLOCK, "this machine", "clock", "clock-skew", message)
    for lease in look.listed("coordination.k8s.io/v1", "Lease", _HEARTBEATS):
        renewed = seconds_of(text_at(lease, "spec", "renewTime"))
        if renewed is not None and renewed - now > MAX_SKEW:
            message = f"is {renewed - now:.0f} s ahead of the API server's"
            yield look.judge.wrong(CLOCK, f"Node {name_of(lease)}", "clock", "clock-skew", message)
