# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that no AuthorizationPolicy lets in more than the catalogue: what is beside our own is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ....equality import same
from ....fields import field, mapping_at, mappings_at, name_of, namespace_of, text_at
from ....model.catalogue.mesh import Catalogue
from ....model.objects.authorization_policies import authorization_objects
from ..findings import Finding, failed, passed
from .sync import selects

ANYONE = ("*", "**")
NAMED = 3
"""So many services are named, the rest is counted."""


def check_policies(catalogue: Catalogue, policies: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """One finding per policy that opens a service of the catalogue to everyone, or one pass.

    :param policies: the live AuthorizationPolicies of the mesh's namespaces and the root namespace.
    :returns: in the order of the policies.
    """
    expected = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item["spec"].get("rules")
        for item in authorization_objects(catalogue)
    }
    found, looked = [], 0
    for policy in policies:
        if (text_at(policy, "spec", "action") or "ALLOW") != "ALLOW":
            continue
        looked += 1
        own = expected.get((namespace_of(policy), name_of(policy)), ())
        if same(own, field(policy, "spec", "rules")):
            continue
        hit = _services(catalogue, policy)
        opening = next(
            (why for why in map(opens_to_everyone, mappings_at(policy, "spec", "rules")) if why), ""
        )
        if hit and opening:
            found.append(
                failed(
                    "policies",
                    f"AuthorizationPolicy {namespace_of(policy)}/{name_of(policy)}",
                    f"lets everyone into {_few(hit)}: {opening}",
                )
            )
    if found:
        return found
    return [
        passed("policies", catalogue.name, f"none of {looked} ALLOW policies opens a service to everyone")
    ]


def opens_to_everyone(rule: Mapping[str, Any]) -> str:
    """How a rule lets every caller in, as half a sentence; ``""`` when it asks who they are.

    Any entry of ``from`` that takes everybody is enough; ``when`` can narrow it down to identities.
    """
    if any(_asks_who(text_at(condition, "key")) for condition in mappings_at(rule, "when")):
        return ""
    limits = _operations(rule)
    sources = mappings_at(rule, "from")
    if not sources:
        return f"a rule without any source{limits}" if limits or rule.get("when") else "an empty rule"
    for entry in sources:
        source = mapping_at(entry, "source")
        if not any(source.values()):
            return f"a rule with an empty source{limits}"
        for name, values in source.items():
            narrowed = [key for key, other in source.items() if key != name and other]
            if values and not narrowed and (name.startswith("not") or set(values) & set(ANYONE)):
                return f"a rule with {name} {values}{limits}"
    return ""


def _few(names: Sequence[str]) -> str:
    if len(names) <= NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more services"


def _asks_who(key: str) -> bool:
    return key.startswith(("source.", "request.auth.", "remote.ip"))


def _operations(rule: Mapping[str, Any]) -> str:
    operations = [mapping_at(entry, "operation") for entry in mappings_at(rule, "to")]
    parts = sorted({f"{key} {value}" for operation in operations for key, value in operation.items()})
    return f" (limited to {', '.join(parts)})" if parts else ""


def _services(catalogue: Catalogue, policy: Mapping[str, Any]) -> list[str]:
    return [
        service.key
        for service in catalogue.services
        if selects(policy, service.namespace, service.labels, catalogue.root_namespace)
    ]
