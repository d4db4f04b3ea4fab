# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency: containers that get too little processor: by their limits, and by what the kernel counted."""

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
OFTEN, ENOUGH = 0.25, 50
"""Share of its periods in which a container is stopped, of so many (a tenth of a second each) at least."""
SIZES = "proxy: {cpu: ...} of the service in mesh_services, or sidecar.istio.io/proxyCPULimit"


def find(case: Case) -> Iterator[Cause]:
    """The sidecars of the symptom, and what is throttled of its pods and gateways.

    :returns: one cause per workload.
    """
    if case.symptom.anything:
        return
    told: set[str] = set()
    for pod in dict.fromkeys(name for name, _container in case.material.throttling):
        namespace, _slash, name = pod.partition("/")
        found = case.live.find("Pod", namespace, name)
        cause = _throttled(case, pod)
        if cause is not None and found is not None and _owner(found) not in told:
            told.add(_owner(found))
            yield cause
    for raw in case.subjects:
        limit = _limit(raw)
        owner = _owner(raw)
        if limit is None or limit > SMALL or not is_active(raw) or owner in told:
            continue
        told.add(owner)
        subject = f"Pod {namespace_of(raw)}/{name_of(raw)}"
        annotation = annotations_of(raw).get("sidecar.istio.io/proxyCPULimit")
        shown = (f"its annotation sidecar.istio.io/proxyCPULimit is {annotation}",) if annotation else ()
        said = f"has a sidecar with {limit * 1000:g}m of processor: it is throttled, and each request waits"
        yield Cause(LATENCY, subject, said, SIZES, LIKELY + 10, shown)


def _owner(raw: Obj) -> str:
    kind, name = controller_of(mapping_at(raw, "metadata")) or ("Pod", name_of(raw))
    return f"{kind} {namespace_of(raw)}/{name}"


def _throttled(case: Case, pod: str) -> Cause | None:
    """The container of a pod that is stopped most often."""
    seen = [
        (found.share, container, found)
        for (owner, container), found in case.material.throttling.items()
        if owner == pod and found.periods >= ENOUGH and found.share >= OFTEN
    ]
    if not seen:
        return None
    share, container, found = max(seen, key=lambda entry: entry[:2])
    sidecar = container == PROXY_CONTAINER
    what = "sidecar" if sidecar else f"container {container}"
    said = (
        f"has a {what} that is throttled: with {found.limit} of processor the kernel stopped it in "
        f"{share:.0%} of the periods in which it had work"
    )
    shown = (f"{found.throttled} of {found.periods} periods since it began (cpu.stat)",)
    remedy = SIZES if sidecar else f"raise resources.limits.cpu of container {container}, or leave it out"
    return Cause(LATENCY, f"Pod {pod}", said, remedy, LIKELY + 12, shown)


def _limit(raw: Obj) -> float | None:
    for section in ("containers", "initContainers"):
        for item in mappings_at(raw, "spec", section):
            if item.get("name") == PROXY_CONTAINER:
                text = field(item, "resources", "limits", "cpu")
                return float(amount(str(text))) if text is not None else None
    return None
