"""Random AuthorizationPolicies and requests, from few words, so that they often meet."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import Request

DOMAINS = ["corp.example", "cluster.local", "old-td"]
NAMESPACES = ["shop", "other", "ops", "o.p"]
ACCOUNTS = ["web", "x", "webhook", "default"]
PATHS = [
    "/",
    "/api",
    "/api/",
    "/api/x",
    "/apix",
    "/admin/a/b",
    "/a/b.html",
    "/health",
    "/admin/*/b",
    "/admin/{x}",
]
METHODS = ["GET", "POST", "PUT", "GETX"]
HOSTS = ["pay.shop", "PAY.shop:80", "evil.example", "pay.shop.svc.cluster.local"]
ADDRESSES = ["10.0.0.1", "10.1.2.3", "192.0.2.7", "fd00::1"]
PORTS = ["3000", "9090", "70000"]

_VALUES: dict[str, list[str]] = {
    "principals": [
        "*", "cluster.local/*", "cluster.local/ns/shop/sa/web", "corp.example/ns/shop/sa/*", "*/sa/x",
        "*/ns/other/sa/x", "old-td/ns/shop/sa/web", "*-td/ns/shop/sa/web", "foreign/ns/shop/sa/web", "*web",
        "cluster.local/ns/o*", "corp.example/ns/other/sa/x", "**", "a*b", "corp*/ns/shop/sa/web",
    ],
    "namespaces": ["*", "other", "o*", "*p", "o.p", "s*p", "shop"],
    "serviceAccounts": ["web", "other/x", "shop/webhook"],
    "trustDomains": ["*", "corp.example", "old*", "*.local", "foreign"],
    "ipBlocks": ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3", "192.0.2.0/24", "fd00::/8"],
    "remoteIpBlocks": ["0.0.0.0/0", "10.1.0.0/16", "192.0.2.7"],
    "requestPrincipals": ["*", "https://issuer/x"],
    "hosts": ["pay.shop", "*.example", "pay*", "*", "pay.shop:*"],
    "methods": ["GET", "POST", "*", "GET*", "*T"],
    "paths": ["/api", "/api*", "/api/*", "*.html", "*", "/admin/{*}/b", "/admin/{**}", "/a*b", "/health"],
    "ports": PORTS,
}  # fmt: skip
_SOURCE = (
    "principals", "namespaces", "serviceAccounts", "trustDomains", "ipBlocks", "remoteIpBlocks",
    "requestPrincipals",
)  # fmt: skip
_OPERATION = ("hosts", "methods", "paths", "ports")
_WHEN = {
    "source.principal": "principals", "source.namespace": "namespaces", "source.ip": "ipBlocks",
    "remote.ip": "remoteIpBlocks", "destination.port": "ports", "source.serviceAccount": "serviceAccounts",
    "source.trustDomain": "trustDomains", "request.headers[X-Team]": "methods",
    "request.auth.principal": "requestPrincipals", "no.such.key": "ports",
}  # fmt: skip


def _fields(dice: random.Random, names: tuple[str, ...]) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for name in dice.sample(names, dice.choice([0, 1, 1, 1, 2, 3])):
        spelled = name if dice.random() < 0.7 else f"not{name[0].upper()}{name[1:]}"
        entry[spelled] = dice.sample(_VALUES[name], dice.choice([1, 1, 2]))
    return entry


def _some(dice: random.Random, one: Callable[[], Any]) -> list[Any]:
    return [one() for _number in range(dice.choice([1, 1, 2]))]


def rule(dice: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if dice.random() < 0.75:
        found["from"] = _some(dice, lambda: {"source": _fields(dice, _SOURCE)})
    if dice.random() < 0.65:
        found["to"] = _some(dice, lambda: {"operation": _fields(dice, _OPERATION)})
    if dice.random() < 0.3:
        key = dice.choice(list(_WHEN))
        values = dice.choice(["values", "notValues"])
        found["when"] = [{"key": key, values: dice.sample(_VALUES[_WHEN[key]], 1)}]
    return found


def policy(dice: random.Random, number: int) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    action = dice.choice(["ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "AUDIT", ""])
    if action:
        spec["action"] = action
    rules = [rule(dice) for _number in range(dice.choice([0, 1, 1, 1, 2]))]
    if rules:
        spec["rules"] = rules
    metadata: dict[str, Any] = {"name": f"p{number}", "namespace": dice.choice(["shop", "istio-system"])}
    if dice.random() < 0.1:
        metadata["annotations"] = {"istio.io/dry-run": dice.choice(["true", "True", "1", "yes", "false"])}
    return {"kind": "AuthorizationPolicy", "metadata": metadata, "spec": spec}


def request(dice: random.Random) -> Request:
    http = dice.random() < 0.75
    domain = dice.choice([*DOMAINS, "foreign"])
    caller = f"{domain}/ns/{dice.choice(NAMESPACES)}/sa/{dice.choice(ACCOUNTS)}"
    return Request(
        principal="" if dice.random() < 0.2 else caller,
        port=dice.choice([3000, 9090, 5432]),
        method=dice.choice(METHODS) if http else "",
        path=dice.choice(PATHS) if http else "",
        http=http,
        host=dice.choice(HOSTS) if http else "",
        source_ip=dice.choice(ADDRESSES),
        remote_ip=dice.choice(ADDRESSES),
        headers={"x-team": dice.choice(["GET", "POST", "red"])} if http and dice.random() < 0.5 else {},
    )
