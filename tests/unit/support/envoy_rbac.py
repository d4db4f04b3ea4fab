"""AuthorizationPolicies as istiod hands them to Envoy: an oracle that shares no code with the evaluator.

Written after the goldens of istio pilot/pkg/security/authz/builder/testdata and the generators beside it;
the names of fields are Envoy's. ``rbac_filters`` is also what the simulated proxies of the tests hold.
"""

from __future__ import annotations

import re
from typing import Any

Obj = dict[str, Any]
HTTP_ONLY = ("hosts", "methods", "paths", "requestPrincipals")
NEVER = {
    "permissions": [{"not_rule": {"any": True}}],
    "principals": [{"not_id": {"any": True}}],
}


class Dropped(Exception):  # noqa: N818 - it is no error of ours
    """istiod leaves the whole rule out."""


def rbac_filters(policies: list[Obj], domains: list[str], *, http: bool) -> list[Obj]:
    """The RBAC filters of a chain of a pod that ``policies`` select."""
    kind = "http" if http else "network"
    filters = []
    for action, envoy in (("AUDIT", "LOG"), ("DENY", "DENY"), ("ALLOW", "ALLOW")):
        mine = [item for item in policies if item["spec"].get("action", "ALLOW") == action]
        if not mine:
            continue
        config: Obj = {}
        for policy in mine:
            dry = policy["metadata"].get("annotations", {}).get("istio.io/dry-run", "false")
            part = "shadow_rules" if dry in ("1", "t", "T", "true", "TRUE", "True") else "rules"
            held = config.setdefault(part, {"action": envoy, "policies": {}})
            held["policies"].update(_policies(policy, action, domains, http=http))
        filters.append({"name": f"envoy.filters.{kind}.rbac", "typed_config": config})
    return filters


def _policies(policy: Obj, action: str, domains: list[str], *, http: bool) -> Obj:
    meta = policy["metadata"]
    stem = f"ns[{meta['namespace']}]-policy[{meta['name']}]-rule"
    rules = policy["spec"].get("rules") or []
    if not rules:
        return {f"{stem}[0]": NEVER}
    found = {}
    for index, rule in enumerate(rules):
        try:
            found[f"{stem}[{index}]"] = _rule(rule, action, meta["namespace"], domains, http=http)
        except Dropped:
            continue
    return found


def _rule(rule: Obj, action: str, namespace: str, domains: list[str], *, http: bool) -> Obj:
    strict = action == "ALLOW"
    whens_p: list[tuple[str, list[str], list[str]]] = []
    whens_s: list[tuple[str, list[str], list[str]]] = []
    for when in rule.get("when", []):
        key = when["key"]
        entry = (key, when.get("values", []), when.get("notValues", []))
        if key in ("destination.port", "destination.ip", "connection.sni"):
            whens_p.append(entry)
        elif key in ("source.ip", "remote.ip", "source.namespace", "source.principal",
                     "source.serviceAccount", "source.trustDomain", "request.auth.principal") or (
            key.startswith("request.headers")
        ):  # fmt: skip
            whens_s.append(entry)
        else:
            raise Dropped
    keys_s = {"principals": "source.principal", "namespaces": "source.namespace", "ipBlocks": "source.ip",
              "remoteIpBlocks": "remote.ip", "serviceAccounts": "source.serviceAccount",
              "trustDomains": "source.trustDomain",
              "requestPrincipals": "request.auth.principal"}  # fmt: skip
    keys_p = {"hosts": "hosts", "methods": "methods", "paths": "paths", "ports": "destination.port"}

    def conditions(entry: Obj, keys: dict[str, str], whens: list[Any]) -> list[Obj]:
        parts: list[Obj] = []
        listed = [
            (keys[name], entry.get(name, []), entry.get("not" + name[0].upper() + name[1:], []))
            for name in keys
        ]
        negation, some, inner = (
            ("not_id", "or_ids", "ids") if keys is keys_s else ("not_rule", "or_rules", "rules")
        )
        for key, values, not_values in [*listed, *whens]:
            for negative, given in ((False, values), (True, not_values)):
                texts = given
                if key == "source.principal":
                    texts = [text for value in texts for text in _aliases(value, domains)]
                if key == "source.trustDomain":
                    texts = [t for v in texts for t in (domains if v in domains else [v])]
                matchers = []
                for text in texts:
                    try:
                        matchers.append(_matcher(key, text, namespace, http=http))
                    except Dropped:
                        if strict:
                            raise
                if matchers:
                    alternatives = {some: {inner: matchers}}
                    parts.append({negation: alternatives} if negative else alternatives)
        return parts or [{"any": True}]

    sources = [entry.get("source") or {} for entry in rule.get("from", [])] or [{}]
    operations = [entry.get("operation") or {} for entry in rule.get("to", [])] or [{}]
    return {
        "permissions": [{"and_rules": {"rules": conditions(item, keys_p, whens_p)}} for item in operations],
        "principals": [{"and_ids": {"ids": conditions(item, keys_s, whens_s)}} for item in sources],
    }


def _aliases(principal: str, domains: list[str]) -> list[str]:
    parts = principal.split("/")
    if len(parts) != 5 or parts[0] == "*":
        return [principal]
    head = parts[0]
    known = [
        domain
        for domain in domains
        if head == domain
        or (head.endswith("*") and domain.startswith(head[:-1]))
        or (head.startswith("*") and domain.endswith(head[1:]))
    ]
    if not known and head != "cluster.local":
        return [principal]
    out = []
    for domain in domains:
        kept = head.startswith("*") and domain.endswith(head[1:])
        new = principal if kept else domain + principal[len(head) :]
        if new not in out:
            out.append(new)
    return out


def _string(text: str, prefix: str = "", *, fold: bool = False) -> Obj:
    extra = {"ignore_case": True} if fold else {}
    if text == "*":
        return {"safe_regex": {"regex": ".+"}}
    if text[0] == "*":
        if prefix:
            return {"safe_regex": {"regex": prefix + ".*" + re.escape(text[1:])}}
        return {"suffix": text[1:], **extra}
    if text[-1] == "*":
        return {"prefix": prefix + text[:-1], **extra}
    return {"exact": prefix + text, **extra}


def _matcher(key: str, text: str, namespace: str, *, http: bool) -> Obj:
    if key.startswith("source.") and key != "source.ip":
        return {"authenticated": {"principal_name": _name(key, text, namespace)}}
    if key in ("source.ip", "remote.ip", "destination.ip"):
        address, _slash, size = text.partition("/")
        block = {"address_prefix": address, "prefix_len": int(size or (128 if ":" in address else 32))}
        return {{"source.ip": "direct_remote_ip", "remote.ip": "remote_ip"}.get(key, "destination_ip"): block}
    if key == "destination.port":
        if not text.isdigit() or int(text) > 65535:
            raise Dropped
        return {"destination_port": int(text)}
    if key == "connection.sni":
        return {"requested_server_name": _string(text)}
    if not http:
        raise Dropped
    return _http_matcher(key, text)


def _name(key: str, text: str, namespace: str) -> Obj:
    if key == "source.principal":
        return _string(text, "spiffe://")
    if key == "source.namespace":
        inner = ".*".join(re.escape(part) for part in text.split("*"))
        return {"safe_regex": {"regex": f".*/ns/{inner}/.*"}}
    if key == "source.serviceAccount":
        place, account = text.split("/") if "/" in text else (namespace, text)
        regex = f"spiffe://.+/ns/{re.escape(place)}/(.+/|)sa/{re.escape(account)}(/.+)?"
        return {"safe_regex": {"regex": regex}}
    if text == "*":
        return {"prefix": "spiffe://"}
    if "*" in text:
        left, right = text.split("*", 1)
        return {"safe_regex": {"regex": f"spiffe://{re.escape(left)}[^/]*{re.escape(right)}/.*"}}
    return {"prefix": f"spiffe://{text}/"}


def _http_matcher(key: str, text: str) -> Obj:
    if key == "paths":
        if "{*}" in text or "{**}" in text:
            template = text.replace("{**}", "**").replace("{*}", "*")
            return {"uri_template": {"typed_config": {"path_template": template}}}
        return {"url_path": {"path": _string(text)}}
    if key in ("methods", "hosts") or key.startswith("request.headers"):
        name = {"methods": ":method", "hosts": ":authority"}.get(key) or key[len("request.headers[") : -1]
        if text == "*":
            return {"header": {"name": name, "present_match": True}}
        return {"header": {"name": name, "string_match": _string(text, fold=key == "hosts")}}
    return {"metadata": {"filter": "envoy.filters.http.jwt_authn"}}
