# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proxy's own RBAC filters decide about a request: Envoy's configuration, read as Envoy reads it.

This is the content, not the names: a proxy may hold a rule by the right name with yesterday's paths. Sources:
envoy api/envoy/config/rbac/v3/rbac.proto, source/extensions/filters/common/rbac/matchers.cc.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...fields import integer_at, mapping_at, mappings_at, text_at
from ...model.security.requests import ALLOW, DENY, UNKNOWN, Decision, Request
from ...model.security.truth import Truth, all_of, any_of, negated
from .rbac import policy_of_name, rbac_configs

_EXT_AUTHZ = "istio_ext_authz_"
_KEY = "io.istio.peer_principal"
_PATH_CHARACTERS = r"\w\-.~%!$&'()+,;:@=*"
_VARIABLES = {"*": rf"(?a:[{_PATH_CHARACTERS}])+", "**": rf"(?a:[{_PATH_CHARACTERS}/])*"}
"""What the variables of a path template stand for (envoy source/extensions/path/uri_template_lib, 1.39)."""
Rule = Mapping[str, Any]


class HeldAuthorization:
    """The RBAC filters of one filter chain, in their order.

    :param configs: their ``typed_config``.
    """

    def __init__(self, configs: Sequence[Mapping[str, Any]]) -> None:
        self._configs = list(configs)
        self.key = json.dumps(self._configs, sort_keys=True)
        """Equal for chains that decide alike."""

    def decide(self, request: Request) -> Decision:
        """What becomes of ``request``, as far as a configuration can say."""
        unsure: Decision | None = None
        allowed = Decision(ALLOW, "", None, "no filter of the chain refuses it")
        for config in self._configs:
            if text_at(config, "shadow_rules_stat_prefix").startswith(_EXT_AUTHZ):
                _answer, name = _first(mapping_at(config, "shadow_rules"), request)
                if name:
                    unsure = unsure or _told(UNKNOWN, name, "it is up to the server that a filter asks")
            rules = config.get("rules")
            if not isinstance(rules, Mapping):
                continue
            action = text_at(rules, "action") or "ALLOW"
            answer, name = _first(rules, request)
            if action == "DENY" and answer:
                return _told(DENY, name, "a DENY rule matches")
            if action == "ALLOW" and answer is False:
                return Decision(DENY, "", None, "no ALLOW rule of the filter matches")
            if action in ("DENY", "ALLOW") and answer is None:
                unsure = unsure or _told(UNKNOWN, name, "its rule hangs on what is not known here")
            if action == "ALLOW" and answer:
                allowed = _told(ALLOW, name, "its rule matches")
        return unsure or allowed


def held_authorization(chain: Mapping[str, Any]) -> HeldAuthorization:
    """The RBAC filters of a filter chain, network and HTTP."""
    return HeldAuthorization(list(rbac_configs(chain)))


def parses_requests(chain: Mapping[str, Any]) -> bool:
    """Whether a chain ends in Envoy's HTTP connection manager."""
    return any("http_filters" in mapping_at(item, "typed_config") for item in mappings_at(chain, "filters"))


def _first(rules: Mapping[str, Any], request: Request) -> tuple[Truth, str]:
    """Whether a policy matches, and its name: the first that does, else the first that may."""
    maybe = ""
    for name, policy in sorted(mapping_at(rules, "policies").items()):
        answer = all_of(
            (
                any_of(_permits(item, request) for item in mappings_at(policy, "permissions")),
                any_of(_is_principal(item, request) for item in mappings_at(policy, "principals")),
            )
        )
        if answer:
            return True, name
        if answer is None:
            maybe = maybe or name
    return (None if maybe else False), maybe


def _told(verdict: str, name: str, reason: str) -> Decision:
    namespace, policy, rule = policy_of_name(name)
    return Decision(verdict, f"AuthorizationPolicy {namespace}/{policy}" if policy else name, rule, reason)


def _permits(rule: Rule, request: Request) -> Truth:
    known, combined = _combined(rule, request, _permits, ("and_rules", "or_rules", "rules", "not_rule"))
    if known:
        return combined
    if "header" in rule:
        return _header(mapping_at(rule, "header"), request)
    if "url_path" in rule:
        return request.http and _text(mapping_at(rule, "url_path", "path"), request.path)
    if "uri_template" in rule:
        return request.http and _template(mapping_at(rule, "uri_template", "typed_config"), request.path)
    if "destination_port" in rule:
        return request.port == integer_at(rule, "destination_port")
    if "destination_ip" in rule:
        return _address(mapping_at(rule, "destination_ip"), request.destination_ip)
    if "requested_server_name" in rule:
        wanted = mapping_at(rule, "requested_server_name")
        return None if request.sni is None else _text(wanted, request.sni)
    return None


def _is_principal(rule: Rule, request: Request) -> Truth:
    known, combined = _combined(rule, request, _is_principal, ("and_ids", "or_ids", "ids", "not_id"))
    if known:
        return combined
    name = _peer_name(rule)
    if name is not None:
        return bool(request.principal) and _text(name, f"spiffe://{request.principal}")
    if "header" in rule:
        return _header(mapping_at(rule, "header"), request)
    if "direct_remote_ip" in rule:
        return _address(mapping_at(rule, "direct_remote_ip"), request.source_ip)
    if "remote_ip" in rule:
        return _address(mapping_at(rule, "remote_ip"), request.remote_ip)
    if "metadata" in rule and request.token is None:
        return False
    return None


def _peer_name(rule: Rule) -> Mapping[str, Any] | None:
    if "authenticated" in rule:
        return mapping_at(rule, "authenticated", "principal_name")
    if text_at(rule, "filter_state", "key") == _KEY:
        return mapping_at(rule, "filter_state", "string_match")
    return None


def _combined(
    rule: Rule, request: Request, one: Callable[[Rule, Request], Truth], names: tuple[str, str, str, str]
) -> tuple[bool, Truth]:
    """And, or, not, any: whether a rule is one of them, and what it says."""
    every, some, inner, opposite = names
    if "any" in rule:
        return True, rule["any"] is True
    if every in rule:
        return True, all_of(one(item, request) for item in mappings_at(rule, every, inner))
    if some in rule:
        return True, any_of(one(item, request) for item in mappings_at(rule, some, inner))
    if opposite in rule:
        return True, negated(one(mapping_at(rule, opposite), request))
    return False, None


def _header(matcher: Mapping[str, Any], request: Request) -> Truth:
    if not request.http:
        return False
    name = text_at(matcher, "name").lower()
    pseudo = {":method": request.method, ":authority": request.host, ":path": request.path}
    value = pseudo.get(name, request.headers.get(name))
    if "present_match" in matcher:
        found: Truth = (value is not None) is (matcher["present_match"] is True)
    elif "string_match" in matcher:
        found = value is not None and _text(mapping_at(matcher, "string_match"), value)
    else:
        return None
    return negated(found) if matcher.get("invert_match") is True else found


def _text(matcher: Mapping[str, Any], value: str) -> bool:
    ignore = matcher.get("ignore_case") is True
    read = value.lower() if ignore else value
    for kind, fits in (("exact", str.__eq__), ("prefix", str.startswith), ("suffix", str.endswith)):
        if kind in matcher:
            wanted = text_at(matcher, kind)
            return bool(fits(read, wanted.lower() if ignore else wanted))
    if "safe_regex" in matcher:
        return re.fullmatch(text_at(matcher, "safe_regex", "regex"), value) is not None
    return "contains" in matcher and text_at(matcher, "contains") in value


def _template(config: Mapping[str, Any], path: str) -> bool:
    words = re.split(r"(\*\*|\*)", text_at(config, "path_template"))
    wanted = "".join(_VARIABLES.get(word, re.escape(word)) for word in words)
    return re.fullmatch(wanted, path) is not None


def _address(block: Mapping[str, Any], address: str | None) -> Truth:
    if address is None:
        return None
    size = integer_at(block, "prefix_len")
    network = ipaddress.ip_network(f"{text_at(block, 'address_prefix')}/{size}", strict=False)
    return ipaddress.ip_address(address) in network
