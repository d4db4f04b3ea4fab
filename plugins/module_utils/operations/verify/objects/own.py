# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: the catalogue's own objects, as they are on the cluster.

Policies and modes are judged by what they do (checks ``policies`` and ``mtls``). Routes of a service change
while it is rolled out, so of those the split is left to the rollout, and everything else is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ....equality import same
from ....fields import labels_of, mapping_at, mappings_at, name_of, namespace_of, text_at
from ....model.host_patterns import takes_in
from ....model.virtual_services import full_host
from ....object_id import object_id
from ..findings import Finding, failed, passed
from ..ours import Obj, Ours
from ..surroundings import KINDS

JUDGED_ELSEWHERE = ("PeerAuthentication", "AuthorizationPolicy")
SPLIT = ("route", "mirror", "mirrors", "mirrorPercentage", "mirrorPercent")
"""What a rollout changes in a route that the catalogue has."""
ALTERING = ("fault", "redirect", "rewrite", "directResponse", "delegate", "headers")
"""What no rollout ever brings into a route."""
STICKY_HEADER = "set-cookie"
_ABSENT = object()


def check_own_objects(ours: Ours) -> list[Finding]:
    """One finding per object of the catalogue that is missing or says something else, or one pass.

    :returns: in the order in which the catalogue computes them.
    """
    live = {object_id(item): item for kind in KINDS for item in ours.around.of(kind)}
    found, good = [], 0
    for name, computed in ours.computed.items():
        kind = computed["kind"]
        item = live.get(name)
        if kind in JUDGED_ELSEWHERE and item is not None and _revision(item):
            found.append(failed("objects", name, _revision(item)))
        if kind not in KINDS or kind in JUDGED_ELSEWHERE:
            continue
        if item is None and kind in ours.around.unread:
            continue
        fault = "is missing" if item is None else _revision(item) or _fault(ours, computed, item)
        if fault:
            found.append(failed("objects", name, fault))
        else:
            good += 1
    if good and not found:
        found.append(passed("objects", "the catalogue's own", f"{good} are as the catalogue computes them"))
    return found


def _revision(item: Obj) -> str:
    """An object with such a label is read by istiod of that revision alone, which nothing of the catalogue
    asks for (istio pilot/pkg/config/kube/crdclient, config.LabelsInRevision)."""
    revision = labels_of(item).get("istio.io/rev", "")
    return f"is read by revision {revision} of istiod alone (label istio.io/rev)" if revision else ""


def _fault(ours: Ours, computed: Obj, item: Obj) -> str:
    wanted, held = mapping_at(computed, "spec"), mapping_at(item, "spec")
    if computed["kind"] == "VirtualService":
        return next(_route_faults(ours, computed, item), "")
    path = difference(wanted, held, "spec")
    return f"is not as the catalogue computes it: {path} differs" if path else ""


def difference(wanted: Any, held: Any, path: str) -> str:
    """Where two values begin to differ; ``""`` where they do not.

    :param path: of the values themselves.
    """
    if same(wanted, held):
        return ""
    if isinstance(wanted, Mapping) and isinstance(held, Mapping):
        for key in dict.fromkeys((*wanted, *held)):
            found = difference(wanted.get(key, _ABSENT), held.get(key, _ABSENT), f"{path}.{key}")
            if found:
                return found
    if isinstance(wanted, list) and isinstance(held, list) and len(wanted) == len(held):
        for index, (one, other) in enumerate(zip(wanted, held, strict=True)):
            found = difference(one, other, f"{path}[{index}]")
            if found:
                return found
    return path


def _route_faults(ours: Ours, computed: Obj, item: Obj) -> Iterator[str]:
    wanted, held = mapping_at(computed, "spec"), mapping_at(item, "spec")
    for key in dict.fromkeys((*wanted, *held)):
        if key in ("http", "tcp", "tls"):
            yield from _lists(ours, key, mappings_at(wanted, key), mappings_at(held, key), item)
        elif not same(wanted.get(key), held.get(key)):
            yield f"is not as the catalogue computes it: spec.{key} differs"


def _lists(ours: Ours, key: str, wanted: Sequence[Obj], held: Sequence[Obj], item: Obj) -> Iterator[str]:
    targets = {
        full_host(text_at(entry, "destination", "host"), namespace_of(item), _domain(ours))
        for route in wanted
        for entry in mappings_at(route, "route")
    }
    delegate = name_of(item).endswith("-routes") and not mappings_at(item, "spec", "hosts")
    yield from _pairs(key, wanted, held)
    own = {text_at(route, "name") for route in wanted}
    for route in held:
        name = text_at(route, "name")
        if any(map(_is_dressed, mappings_at(route, "route"))):
            yield f"is not as the catalogue computes it: {name or key} changes headers"
        for destination in _destinations(route):
            host = full_host(text_at(destination, "host"), namespace_of(item), _domain(ours))
            if not any(takes_in(one, host) for one in targets):
                yield f"is not as the catalogue computes it: {name or key} leads to {host}"
        if name in own:
            continue
        if not delegate or any(word in route for word in ALTERING):
            yield f"is not as the catalogue computes it: it has a route {name or 'without a name'}"


def _destinations(route: Obj) -> Iterator[Obj]:
    """Where a route's requests, or copies of them, go."""
    for field in ("route", "mirrors"):
        for entry in mappings_at(route, field):
            yield mapping_at(entry, "destination")
    mirror = mapping_at(route, "mirror")  # the older field, which istiod still reads
    if mirror:
        yield mirror


def _is_dressed(entry: Obj) -> bool:
    """Whether a destination changes headers in another way than a rollout, which gives answers a cookie."""
    headers = mapping_at(entry, "headers")
    cookie = mapping_at(headers, "response", "add").get(STICKY_HEADER)
    return bool(headers) and not same(headers, {"response": {"add": {STICKY_HEADER: cookie}}})


def _pairs(key: str, wanted: Sequence[Obj], held: Sequence[Obj]) -> Iterator[str]:
    """Each route that the catalogue computes beside the one of its name, or of its place without a name."""
    # A rewritten path is two routes of one name, so a name stands for its routes in their order.
    known: dict[str, list[Obj]] = {}
    for route in held:
        known.setdefault(text_at(route, "name"), []).append(route)
    for index, route in enumerate(wanted):
        name = text_at(route, "name")
        label = f"spec.{key} {name or index}"
        if name:
            other = known[name].pop(0) if known.get(name) else None
        else:
            other = held[index] if index < len(held) else None
        if other is None:
            yield f"is not as the catalogue computes it: {label} is missing"
            continue
        for field in sorted({*route, *other} - {*SPLIT}):
            if not same(route.get(field), other.get(field)):
                yield f"is not as the catalogue computes it: {field} of {label} differs"
    for name in dict.fromkeys(text_at(route, "name") for route in wanted):
        if name and known.get(name):
            yield f"is not as the catalogue computes it: it has another route {name}"


def _domain(ours: Ours) -> str:
    return ours.picture.catalogue.cluster_domain
