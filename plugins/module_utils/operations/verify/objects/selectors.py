# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: selectors that ask for labels which no pod shows.

istiod gives every proxy labels of its node, zone, cluster and network beside those of its pod (istio
pilot/pkg/xds/ads.go setTopologyLabels). Whom an object selects by them, the pods do not tell.
"""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import mapping_at
from ....object_id import object_id
from ....words import few
from ..findings import Finding, unknown
from ..ours import Obj, Ours, ordered

ADDED = frozenset(
    (
        "kubernetes.io/hostname",
        "topology.istio.io/cluster",
        "topology.istio.io/network",
        "topology.istio.io/subzone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    )
)
SELECTING = (
    "AuthorizationPolicy",
    "PeerAuthentication",
    "EnvoyFilter",
    "WasmPlugin",
    "TrafficExtension",
    "ProxyConfig",
    "Telemetry",
    "Sidecar",
    "DestinationRule",
)
_PLACES = (("selector", "matchLabels"), ("workloadSelector", "labels"), ("workloadSelector", "matchLabels"))


def check_selectors(ours: Ours) -> Iterator[Finding]:
    """One finding per object that may be for workloads or gateways of the catalogue by such labels."""
    items = [item for kind in SELECTING for item in ordered(ours.around.of(kind))]
    items += ordered(ours.picture.live.of("RequestAuthentication"))
    for item in items:
        chosen: dict[str, str] = {}
        for place in _PLACES:
            chosen |= mapping_at(item, "spec", *place)
        added = sorted(chosen.keys() & ADDED)
        if not added:
            continue
        known = ours.acted_on(_choosing(item, chosen))
        rest = {name: text for name, text in chosen.items() if name not in ADDED}
        names = [name for name in ours.acted_on(_choosing(item, rest)) if name not in known]
        if names:
            what = f"selects by {few(added)}, which istiod adds to the labels of pods"
            yield unknown("objects", object_id(item), f"{what}: it may be for {few(names)}")


def _choosing(item: Obj, labels: dict[str, str]) -> Obj:
    """The object as if it asked for these labels."""
    spec = {**mapping_at(item, "spec"), "selector": {"matchLabels": labels}, "workloadSelector": None}
    return {**item, "spec": spec}
