# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the AuthorizationPolicies of a workload decide about a request, and which of them does.

Order: CUSTOM, DENY, ALLOW (istio pilot/pkg/security/authz/builder/builder.go). AUDIT decides nothing, and
neither does a policy in dry-run. A CUSTOM policy asks a server that nobody here can ask: what it matches is
unknown, unless another policy refuses it anyway. So it is in dry-run: the istiods since 1.30 give its rules
to proxies as ones that refuse. Of a policy with fields or an action that are not known here, everything is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...fields import (
    annotations_of,
    list_at,
    mapping_at,
    namespace_of,
    text_at,
)
from ...object_id import object_id
from ...words import some_of
from .attachment import selects
from .requests import ALLOW, DENY, UNKNOWN, Decision, Request
from .rules import Rule, Scene, compile_rule, has_strangers
from .truth import GO_TRUE, Truth

Policy = Mapping[str, Any]
DRY_RUN_ANNOTATION = "istio.io/dry-run"
_ACTIONS = ("ALLOW", "DENY", "AUDIT", "CUSTOM")
_FIELDS = ("action", "provider", "rules", "selector", "targetRef", "targetRefs")


def action_of(policy: Policy) -> str:
    """ALLOW, DENY, AUDIT or CUSTOM."""
    return text_at(policy, "spec", "action") or "ALLOW"


def is_dry_run(policy: Policy) -> bool:
    """Whether a policy only counts what it would decide."""
    return annotations_of(policy).get(DRY_RUN_ANNOTATION) in GO_TRUE


def decides(policy: Policy) -> bool:
    """Whether a policy can change what becomes of a request."""
    return action_of(policy) != "AUDIT" and (action_of(policy) == "CUSTOM" or not is_dry_run(policy))


def is_strange(policy: Policy) -> bool:
    """Whether a policy says something that is not known here, as those of a newer Istio may."""
    return action_of(policy) not in _ACTIONS or has_strangers(mapping_at(policy, "spec"), _FIELDS)


@dataclasses.dataclass(frozen=True, slots=True)
class _Held:
    """One rule in force, and where it stands."""

    policy: str
    index: int
    rule: Rule


class WorkloadPolicies:
    """The policies of one workload, ready to be asked.

    :param policies: those that select it, in any order; see ``selects``.
    :param trust_domains: the mesh's own trust domain first, then its aliases.
    """

    def __init__(self, policies: Iterable[Policy], trust_domains: Sequence[str]) -> None:
        self.policies = tuple(policy for policy in policies if decides(policy))
        self._domains = tuple(trust_domains)
        self._strange = next((object_id(policy) for policy in self.policies if is_strange(policy)), "")
        self._has_allow = any(action_of(policy) == "ALLOW" for policy in self.policies)
        names = [object_id(policy) for policy in self.policies if action_of(policy) == "ALLOW"]
        self._refused = Decision(DENY, "", None, f"no rule of {some_of(names, 2)} matches")
        self._rules = {
            http: {action: self._compiled(action, http=http) for action in ("CUSTOM", "DENY", "ALLOW")}
            for http in (True, False)
        }

    def _compiled(self, action: str, *, http: bool) -> list[_Held]:
        found = []
        for policy in self.policies:
            if action_of(policy) != action:
                continue
            scene = Scene(namespace_of(policy), self._domains, allow=action == "ALLOW", http=http)
            for index, raw in enumerate(list_at(policy, "spec", "rules")):
                rule = compile_rule(raw, scene) if isinstance(raw, Mapping) else None
                if rule is not None:
                    found.append(_Held(object_id(policy), index, rule))
        return found

    def decide(self, request: Request) -> Decision:
        """What becomes of ``request``."""
        if self._strange:
            return Decision(UNKNOWN, self._strange, None, "it says something that is not known here")
        rules = self._rules[request.http]
        custom, asked = _first(rules["CUSTOM"], request)
        denies, denier = _first(rules["DENY"], request)
        if denies:
            return _decision(DENY, denier, "a DENY rule matches")
        allows, allower = _first(rules["ALLOW"], request)
        if self._has_allow and allows is False:
            return self._refused
        if custom is not False:
            return _decision(UNKNOWN, asked, "it is up to the server that a CUSTOM policy asks")
        if denies is None:
            return _decision(UNKNOWN, denier, "whether a DENY rule matches hangs on what is not known here")
        if not self._has_allow:
            return Decision(ALLOW, "", None, "no AuthorizationPolicy of action ALLOW selects the workload")
        if allows is None:
            return _decision(UNKNOWN, allower, "whether its rule matches hangs on what is not known here")
        return _decision(ALLOW, allower, "its rule matches")


def _first(rules: Iterable[_Held], request: Request) -> tuple[Truth, _Held | None]:
    """Whether one of ``rules`` matches: the first that does, else the first that may."""
    maybe: _Held | None = None
    for held in rules:
        answer = held.rule.matches(request)
        if answer:
            return True, held
        if answer is None and maybe is None:
            maybe = held
    return (False if maybe is None else None), maybe


def _decision(verdict: str, held: _Held | None, reason: str) -> Decision:
    if held is None:  # the caller found one; this is for the type checker alone
        return Decision(verdict, "", None, reason)
    return Decision(verdict, held.policy, held.index, reason)


class PolicyIndex:
    """All AuthorizationPolicies that were read, by namespace, so that each workload costs only its own.

    :param root_namespace: whose policies are about every namespace.
    """

    def __init__(
        self, policies: Iterable[Policy], *, root_namespace: str, trust_domains: Sequence[str]
    ) -> None:
        self._root = root_namespace
        self._domains = tuple(trust_domains)
        self._by_namespace: dict[str, list[Policy]] = {}
        for policy in policies:
            self._by_namespace.setdefault(namespace_of(policy), []).append(policy)
        self._of: dict[tuple[str, str], list[Policy]] = {}  # replicas are alike

    def of(self, namespace: str, labels: Mapping[str, str]) -> list[Policy]:
        """The policies that are about a pod, AUDIT and dry-run too.

        :returns: those of the root namespace first.
        """
        key = namespace, str(labels)
        if key not in self._of:
            self._of[key] = [
                policy
                for name in dict.fromkeys((self._root, namespace))
                for policy in self._by_namespace.get(name, ())
                if selects(policy, namespace, labels, self._root)
            ]
        return [*self._of[key]]

    def workload(self, namespace: str, labels: Mapping[str, str]) -> WorkloadPolicies:
        """What decides about a pod."""
        return WorkloadPolicies(self.of(namespace, labels), self._domains)


def leaves_rules(policy: Policy) -> bool:
    """Whether a proxy must hold something of a policy: one of its rules makes sense on some chain, or it
    is an ALLOW without rules, which refuses everything."""
    rules = list_at(policy, "spec", "rules")
    if not rules:
        return action_of(policy) == "ALLOW"
    return any(
        compile_rule(rule, Scene(namespace_of(policy), (), allow=action_of(policy) == "ALLOW", http=True))
        for rule in rules
        if isinstance(rule, Mapping)
    )
