# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency: sidecars that get too little processor, or one worker for many."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import annotations_of, field, mapping_at, mappings_at, name_of, namespace_of
from ....istio.workloads import PROXY_CONTAINER, controller_of
from ....kube.pods import is_active
from ....model.reading.values import amount
from ..case import Case, Obj
from ..cause import LATENCY, LIKELY, Cause

SMALL = 0.05
"""Cores: with less, the processor of a proxy is taken away within a few requests a second."""
SIZES = "proxy: {cpu: ...} of the service in mesh_services, or sidecar.istio.io/proxyCPULimit"


def find(case: Case) -> Iterator[Cause]:
    """The sidecars of the symptom. :returns: one cause per workload."""
    if case.symptom.anything:
        return
    told: set[str] = set()
    for raw in case.subjects:
        limit = _limit(raw)
        kind, name = controller_of(mapping_at(raw, "metadata")) or ("Pod", name_of(raw))
        owner = f"{kind} {namespace_of(raw)}/{name}"
        if limit is None or limit > SMALL or not is_active(raw) or owner in told:
            continue
        told.add(owner)
        subject = f"Pod {namespace_of(raw)}/{name_of(raw)}"
        annotation = annotations_of(raw).get("sidecar.istio.io/proxyCPULimit")
        shown = (f"its annotation sidecar.istio.io/proxyCPULimit is {annotation}",) if annotation else ()
        said = f"has a sidecar with {limit * 1000:g}m of processor: it is throttled, and each request waits"
        yield Cause(LATENCY, subject, said, SIZES, LIKELY + 10, shown)


def _limit(raw: Obj) -> float | None:
    for section in ("containers", "initContainers"):
        for item in mappings_at(raw, "spec", section):
            if item.get("name") == PROXY_CONTAINER:
                text = field(item, "resources", "limits", "cpu")
                return float(amount(str(text))) if text is not None else None
    return None
