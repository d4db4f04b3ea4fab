# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing: DestinationRules that are for no host, or that take the place of another one.

istiod looks in the caller's namespace, then in the Service's, then in the root namespace, and stops at the
first that has a rule for the host (pilot/pkg/model/push_context.go destinationRule).
"""

from __future__ import annotations

from collections.abc import Iterator

from ....errors import nearest
from ....fields import labels_of, mappings_at, name_of, namespace_of, text_at
from ....model.virtual_services import full_host
from ....object_id import object_id
from ..case import Case, Obj
from ..cause import LIKELY, ROUTING, SURE, Cause
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """DestinationRules of the symptom. :returns: one cause per object."""
    yield from _unknown_hosts(case)
    yield from _shadows(case)


def _unknown_hosts(case: Case) -> Iterator[Cause]:
    if "Service" in case.material.unread:
        return
    for rule in case.of("DestinationRule"):
        host = full_host(text_at(rule, "spec", "host"), namespace_of(rule), case.domain)
        if not case.is_local(host) or host.startswith("*") or case.service(host) or case.entries(host):
            continue
        near = any(name_of(item) in host or host.partition(".")[0] in name_of(item) for item in case.services)
        place = namespace_of(rule) in {namespace_of(item) for item in (*case.services, *case.subjects)}
        if not (case.symptom.anything and place) and not (near and place):
            continue
        names = [name_of(item) for item in case.of("Service") if namespace_of(item) == namespace_of(rule)]
        said = f"is for {host}, which is no Service{nearest(host.partition('.')[0], names)}: it does nothing"
        yield Cause(ROUTING, object_id(rule), said, edit(object_id(rule)), LIKELY)


def _shadows(case: Case) -> Iterator[Cause]:
    """Subsets that routes need and that the rule in force for a caller does not have."""
    for service in case.services:
        host, place = case.fqdn(service), namespace_of(service)
        wanted = {target.subset for _item, target in case.leading_to(host) if target.subset}
        if not wanted or len(case.rules_for(host)) < 2:
            continue
        for pod in case.callers or case.subjects:
            deciding = case.rules.deciding(namespace_of(pod), labels_of(pod), host, place)
            missing = sorted(wanted - _subsets(deciding))
            others = [
                rule for rule in case.rules_for(host) if rule not in deciding and _subsets([rule]) & wanted
            ]
            if deciding and missing and others:
                name = object_id(deciding[0])
                said = (
                    f"takes the place of {object_id(others[0])} for callers in {namespace_of(pod)}, "
                    f"and has no subset {', '.join(missing)}: requests get 503 NC"
                )
                yield Cause(ROUTING, name, said, edit(name), SURE)
                break


def _subsets(rules: list[Obj]) -> set[str]:
    names = (text_at(one, "name") for rule in rules for one in mappings_at(rule, "spec", "subsets"))
    return {name for name in names if name}
