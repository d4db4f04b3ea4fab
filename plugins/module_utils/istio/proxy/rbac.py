# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorization policies as a proxy holds them: names of the rules in its RBAC filters."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...fields import mapping_at, mappings_at, text_at

FILTERS = ("envoy.filters.http.rbac", "envoy.filters.network.rbac")
_MATCHERS = {"exact": "{}", "prefix": "{}*", "suffix": "*{}"}
# istio pilot/pkg/security/authz/builder/builder.go policyName
_NAME = re.compile(
    r"(?:istio-ext-authz-.*)?ns\[(?P<ns>[^\]]+)\]-policy\[(?P<name>[^\]]+)\]-rule\[(?P<rule>\d+)\]"
)


@dataclasses.dataclass(frozen=True, slots=True)
class RbacPolicy:
    """One rule of an AuthorizationPolicy in force.

    :param action: ALLOW, DENY or LOG. :param words: the principals, methods and paths that it names, spelled
        as in the AuthorizationPolicy (``/x/*``, ``*``); fields of HTTP are missing on TCP chains.
    """

    namespace: str
    name: str
    rule: int
    action: str
    words: frozenset[str] = frozenset()


def policy_of_name(name: str) -> tuple[str, str, int | None]:
    """The AuthorizationPolicy behind the name of a rule.

    :returns: namespace, name and number of the rule; ``("", "", None)`` for a name that istiod did not give.
    """
    found = _NAME.fullmatch(name)
    return (found["ns"], found["name"], int(found["rule"])) if found else ("", "", None)


def policies_of_chain(chain: Mapping[str, Any]) -> frozenset[RbacPolicy]:
    """The rules that judge the connections and requests of one filter chain."""
    return frozenset(
        policy for config in rbac_configs(chain) for policy in _policies(mapping_at(config, "rules"))
    )


def _policies(rules: Mapping[str, Any]) -> Iterator[RbacPolicy]:
    action = text_at(rules, "action") or "ALLOW"
    for name, policy in mapping_at(rules, "policies").items():
        found = _NAME.fullmatch(name)
        if found:
            yield RbacPolicy(
                found["ns"], found["name"], int(found["rule"]), action, frozenset(_words(policy))
            )


def _words(node: Any) -> Iterator[str]:
    """The texts of all string matchers below ``node``, turned back into Istio's spelling."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if isinstance(value, str) and key in _MATCHERS:
                yield _MATCHERS[key].format(value.removeprefix("spiffe://"))
            elif key == "safe_regex":
                yield "*" if value.get("regex") == ".+" else str(value.get("regex"))
            else:
                yield from _words(value)
    elif isinstance(node, list):
        for item in node:
            yield from _words(item)


def rbac_configs(chain: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The configurations of a chain's RBAC filters, network and HTTP. :returns: in the chain's order."""
    for filter_ in mappings_at(chain, "filters"):
        config = mapping_at(filter_, "typed_config")
        if filter_.get("name") in FILTERS:
            yield config
        for http_filter in mappings_at(config, "http_filters"):
            if http_filter.get("name") in FILTERS:
                yield mapping_at(http_filter, "typed_config")
