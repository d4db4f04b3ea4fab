# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control plane: proxies that refuse what istiod sends, have lost it, or lag behind."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import age_order, mappings_at, text_at
from ....istio.proxy.running import RunningProxy
from ....model.security.attachment import selects
from ....object_id import object_id
from ....words import few
from ..case import BEGINNING, Case, Obj, full_name
from ..cause import CONTROL_PLANE, LIKELY, POSSIBLE, SURE, Cause
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """The proxies of the symptom, by their own word and istiod's. :returns: one cause per object at fault."""
    told: dict[str, Cause] = {}
    lost: list[str] = []
    for proxy in _concerned(case):
        view = case.material.views.get(str(proxy))
        state = (case.material.sync or {}).get(proxy.sync_id)
        refused = [f"{kind}: {why}" for kind, why in state.refused.items()] if state else []
        refused += list(view.dump.refused) if view else []
        if refused:
            cause = _refusal(case, proxy, refused)
            told.setdefault(cause.object, cause)
        elif case.material.sync is not None and state is None and not _is_young(case, proxy):
            lost.append(str(proxy))
    yield from told.values()
    for name in lost[:3]:
        said = "has lost istiod: it keeps an old configuration, and its certificate ends within a day"
        more = (f"so have {few(lost[3:])}",) if len(lost) > 3 else ()
        remedy = "look for NetworkPolicies to port 15012 of istiod, then restart the pod"
        yield Cause(CONTROL_PLANE, f"Pod {name}", said, remedy, LIKELY, more, late=True)
    yield from _counted(case)


def _is_young(case: Case, proxy: RunningProxy) -> bool:
    raw = case.live.find("Pod", proxy.namespace, proxy.pod)
    return raw is not None and case.age(raw) < BEGINNING


def _concerned(case: Case) -> list[RunningProxy]:
    names = set(map(full_name, case.subjects))
    wide = case.symptom.anything and not case.symptom.namespace
    return [
        proxy
        for proxy in case.running
        if str(proxy) in names or (proxy.gateway and (wide or case.symptom.host))
    ]


def _refusal(case: Case, proxy: RunningProxy, refused: list[str]) -> Cause:
    """The EnvoyFilter that is for the proxy, the newest first; else the pod."""
    filters = [
        item
        for kind in ("EnvoyFilter", "WasmPlugin")
        for item in case.of(kind)
        if selects(item, proxy.namespace, proxy.labels, case.root)
    ]
    filters.sort(key=lambda item: (_mentioned(item, refused), age_order(item)), reverse=True)
    others = [object_id(item) for item in filters[1:]]
    evidence = (refused[0][:300], *((f"also for it: {few(others)}",) if others else ()))
    if filters:
        name = object_id(filters[0])
        said = f"makes a configuration that Pod {proxy} refuses: nothing that changes reaches it any more"
        return Cause(CONTROL_PLANE, name, said, edit(name), SURE, evidence, late=True)
    said = "refuses the configuration that istiod sends: nothing that changes reaches it any more"
    remedy = "istioctl proxy-status; the text says which resource"
    return Cause(CONTROL_PLANE, f"Pod {proxy}", said, remedy, SURE, evidence, late=True)


def _mentioned(item: Obj, refused: list[str]) -> int:
    """How many names of filters in an EnvoyFilter stand in the proxy's refusal."""
    names = {
        text_at(patch, "patch", "value", "name") for patch in mappings_at(item, "spec", "configPatches")
    } - {""}
    return sum(1 for name in names if any(name in text for text in refused))


def _counted(case: Case) -> Iterator[Cause]:
    """What istiod has counted since it began; only where somebody observes something."""
    if case.symptom.anything:
        return
    figures = case.material.figures
    place = case.catalogue.istio_namespace
    for name, said in (
        ("pilot_total_xds_internal_errors", "failed to make configurations {count:g} times"),
        ("pilot_xds_push_context_errors", "failed to read its objects {count:g} times"),
        (
            "pilot_xds_write_timeout",
            "gave up sending configurations {count:g} times: proxies are slow to take them",
        ),
        ("pilot_conflict_inbound_listener", "sees {count:g} conflicts of inbound listeners"),
        ("pilot_duplicate_envoy_clusters", "sees {count:g} clusters of the same name"),
        ("pilot_vservice_dup_domain", "sees {count:g} hosts that stand in several VirtualServices"),
    ):
        count = figures.get(name, 0.0)
        if count:
            remedy = f"kubectl logs -n {place} -l app=istiod"
            yield Cause(
                CONTROL_PLANE,
                f"Deployment {place}/istiod",
                said.format(count=count),
                remedy,
                POSSIBLE,
                (name,),
            )
