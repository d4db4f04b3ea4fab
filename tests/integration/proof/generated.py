"""Random AuthorizationPolicies over all fields, and random requests, from few words, so that they meet."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import Request, Token

HERE, THERE, ROOT = "proof-shop", "proof-other", "istio-system"
NAMESPACES = (HERE, THERE, "prod", "proof")
ACCOUNTS = ("web", "web-admin", "default", "job")
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
PATHS = ("/", "/api", "/api/", "/api/x", "/apix", "/a/b/c", "/a/b.html", "/health", "/API/x", "/a%20b", "/*")
HOSTS = ("pay.shop", "PAY.Shop:80", "evil.example", "pay.shop.svc.cluster.local", "pay.shop:3000", "10.0.0.1")
FORWARDED = ("", "", "203.0.113.7", "198.51.100.9", "203.0.113.7, 198.51.100.9", "2001:db8::5")
ISSUERS = ("https://issuer.example/a", "issuer-b")
SUBJECTS = ("ann", "ann/admin", "bob")
SNI = ("", "pay.shop", "outbound_.3000_._.pay.shop")
HTTP_PORT, TCP_PORT, OTHER_PORT = 3000, 5432, 9090
PORTS = (HTTP_PORT, TCP_PORT, OTHER_PORT)

_SOURCE = {
    "principals": (
        "*", "cluster.local/*", f"cluster.local/ns/{HERE}/sa/web", f"cluster.local/ns/{HERE}/sa/*",
        "*/sa/web", f"*/ns/{THERE}/sa/web", f"cluster.local/ns/{THERE}/sa/default", "cluster.local/ns/pro*",
        "*web", "foreign/*",
        "*-admin", f"spiffe://cluster.local/ns/{HERE}/sa/web", "a*b", f"foreign/ns/{HERE}/sa/web",
    ),
    "namespaces": ("*", HERE, THERE, "proof*", "pro*", "*other", "p*p", "proof", "nowhere"),
    "serviceAccounts": ("web", f"{THERE}/web", f"{HERE}/default", "prod/job", "nobody"),
    "trustDomains": ("*", "cluster.local", "cluster*", "*.local", "foreign"),
    "requestPrincipals": (
        "*", "https://issuer.example/a/ann", "https://issuer.example/a/*", "*/ann", "issuer-b/bob",
        "issuer*", "*bob",
        "issuer-b", "https://issuer.example/a/ann/admin", "*/admin",
    ),
}  # fmt: skip
_OPERATION = {
    "hosts": ("pay.shop", "PAY.SHOP*", "*.example", "pay*", "*", "*:80", "pay.shop:*", "*.cluster.local"),
    "methods": ("GET", "POST", "*", "P*", "*T", "get", "HEAD", "DELETE"),
    "paths": (
        "/api", "/api*", "/api/*", "*.html", "*", "/a/{*}/c", "/a/{**}", "/{*}", "/{**}/x", "/health", "*/x",
        "/api/", "/a%20b", "/a/{*}.html",
    ),
    "ports": tuple(map(str, PORTS)),
}  # fmt: skip
_CLAIMS = {
    "request.auth.audiences": ("pay", "shop*", "*", "other"),
    "request.auth.presenter": ("app", "ap*", "*", "web"),
    "request.auth.claims[groups]": ("ops", "dev*", "*", "qa"),
    "request.auth.claims[realm][roles]": ("admin", "*min", "user"),
    "request.auth.claims[scope]": ("read", "write", "read write", "*"),
    "request.auth.claims[iss]": ("issuer-b", "https://*"),
    "request.auth.claims[nothing]": ("x", "*"),
}
_HEADERS = {
    "request.headers[x-team]": ("red", "re*", "*ue", "*", "RED"),
    "request.headers[X-Team]": ("red", "blue"),
    "request.headers[x-absent]": ("*", "a"),
    "request.headers[user-agent]": ("proof*", "*"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """What of the lab the dice must know: the addresses that requests come from and go to, and pod labels."""

    sources: Sequence[str]
    pods: Sequence[str]

    def blocks(self) -> tuple[str, ...]:
        """Addresses and networks, some of which hold real callers."""
        wide = [f"{address.rpartition('.')[0]}.0/24" for address in self.sources]
        return (*self.sources, *wide, "0.0.0.0/0", "203.0.113.0/24", "198.51.100.9", "::/0", "2001:db8::/64")


def policy(dice: random.Random, world: World, name: str) -> dict[str, Any]:
    """A policy that may be about one pod, a few, a namespace or none."""
    spec: dict[str, Any] = {}
    action = dice.choice(["ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "AUDIT", ""])
    if action:
        spec["action"] = action
    rules = [_rule(dice, world) for _number in range(dice.choice([0, 1, 1, 2, 2, 3]))]
    if rules:
        spec["rules"] = rules
    place = dice.choice([HERE, HERE, HERE, THERE, THERE, ROOT])
    metadata: dict[str, Any] = {"name": name, "namespace": place, "labels": {"proof": "policies"}}
    if dice.random() < 0.08:
        metadata["annotations"] = {"istio.io/dry-run": dice.choice(["true", "True", "1", "false"])}
    spec |= _target(dice, world, place)
    api = dice.choice(["security.istio.io/v1", "security.istio.io/v1", "security.istio.io/v1beta1"])
    return {"apiVersion": api, "kind": "AuthorizationPolicy", "metadata": metadata, "spec": spec}


def _target(dice: random.Random, world: World, place: str) -> dict[str, Any]:
    roll = dice.random()
    if place != ROOT and roll < 0.08:
        return {}
    if place != ROOT and roll < 0.14:
        gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "proof-gateway"}
        service = {"kind": "Service", "group": "", "name": "server"}
        return {"targetRefs": [dice.choice([gateway, gateway, service])]}
    labels = dice.choice([{"app": dice.choice(world.pods)}, {"tier": dice.choice(["odd", "even"])}])
    if roll < 0.2:
        labels = {**labels, "proof": dice.choice(["policies", "nothing"])}
    return {"selector": {"matchLabels": labels}}


def _rule(dice: random.Random, world: World) -> dict[str, Any]:
    found: dict[str, Any] = {}
    source = {**_SOURCE, "ipBlocks": world.blocks(), "remoteIpBlocks": world.blocks()}
    if dice.random() < 0.7:
        found["from"] = _some(dice, lambda: {"source": _fields(dice, source)})
    if dice.random() < 0.6:
        found["to"] = _some(dice, lambda: {"operation": _fields(dice, _OPERATION)})
    if dice.random() < 0.35:
        found["when"] = _some(dice, lambda: _condition(dice, world))
    return found


def _fields(dice: random.Random, vocabulary: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for name in dice.sample(list(vocabulary), dice.choice([1, 1, 1, 2, 2, 3])):
        spelled = name if dice.random() < 0.7 else f"not{name[0].upper()}{name[1:]}"
        entry[spelled] = dice.sample(vocabulary[name], dice.choice([1, 1, 2, 3]))
    if "serviceAccounts" in entry or "notServiceAccounts" in entry:  # refused beside these two
        for other in ("principals", "notPrincipals", "namespaces", "notNamespaces"):
            entry.pop(other, None)
    return entry


def _condition(dice: random.Random, world: World) -> dict[str, Any]:
    keys = {
        "source.principal": _SOURCE["principals"],
        "source.namespace": _SOURCE["namespaces"],
        "source.serviceAccount": _SOURCE["serviceAccounts"],
        "source.trustDomain": _SOURCE["trustDomains"],
        "source.ip": world.blocks(),
        "remote.ip": world.blocks(),
        "destination.ip": (*world.blocks(), "10.244.0.0/16"),
        "destination.port": _OPERATION["ports"],
        "connection.sni": ("pay.shop", "outbound_*", "*shop", "*"),
        "request.auth.principal": _SOURCE["requestPrincipals"],
        **_CLAIMS,
        **_HEADERS,
    }
    key = dice.choice(list(keys))
    condition: dict[str, Any] = {"key": key}
    for name, share in (("values", 0.75), ("notValues", 0.35)):
        if dice.random() < share:
            condition[name] = dice.sample(keys[key], dice.choice([1, 1, 2]))
    return condition if len(condition) > 1 else {**condition, "values": [keys[key][0]]}


def _some(dice: random.Random, one: Callable[[], Any]) -> list[Any]:
    return [one() for _number in range(dice.choice([1, 1, 1, 2]))]


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A request as policies see it, and what of it is on the wire only."""

    request: Request
    target: str
    claims: dict[str, Any] | None
    forwarded: str


def asked(dice: random.Random, world: World, pod_address: str) -> Asked:
    """A request, or a stream, to one of the ports of a pod."""
    port = dice.choice([HTTP_PORT, HTTP_PORT, TCP_PORT, OTHER_PORT])
    http = port == HTTP_PORT or (port == OTHER_PORT and dice.random() < 0.6)
    meshed = dice.random() < 0.78
    principal = f"cluster.local/ns/{dice.choice(NAMESPACES)}/sa/{dice.choice(ACCOUNTS)}" if meshed else ""
    source = dice.choice(world.sources)
    common = {"source_ip": source, "destination_ip": pod_address, "sni": dice.choice(SNI) if meshed else ""}
    if not http:
        request = Request(principal, port, "", "", False, remote_ip=source, **common)
        return Asked(request, "", None, "")
    path, forwarded = dice.choice(PATHS), dice.choice(FORWARDED)
    claims = _claims(dice) if dice.random() < 0.45 else None
    headers = {"x-team": dice.choice(["red", "blue", "RED"])} if dice.random() < 0.5 else {}
    if dice.random() < 0.5:
        headers["user-agent"] = "proof/1"
    request = Request(
        principal,
        port,
        dice.choice(METHODS),
        path,
        host=dice.choice(HOSTS),
        remote_ip=forwarded.rpartition(",")[2].strip() or source,
        headers=headers,
        token=_token(claims) if claims else None,
        **common,
    )
    return Asked(request, path + dice.choice(["", "", "?a=/b", "?"]), claims, forwarded)


def _claims(dice: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"iss": dice.choice(ISSUERS), "sub": dice.choice(SUBJECTS)}
    choices: dict[str, Sequence[Any]] = {
        "aud": ("pay", ["shop-a", "pay"], ["nobody"]),
        "azp": ("app", "web"),
        "groups": (["ops", "dev-1"], ["qa"], "ops"),
        "realm": ({"roles": ["admin"]}, {"roles": ["user", "guest"]}),
        "scope": ("read write", "read"),
    }
    for name, values in choices.items():
        if dice.random() < 0.6:
            found[name] = dice.choice(values)
    return found


def _token(claims: dict[str, Any]) -> Token:
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for name, value in claims.items():
        if isinstance(value, dict):
            known |= {(name, inner): tuple(values) for inner, values in value.items()}
        elif name == "scope":  # words: Envoy divides this claim (spaceDelimitedClaims)
            known[(name,)] = tuple(value.split())
        else:
            known[(name,)] = (value,) if isinstance(value, str) else tuple(value)
    return Token(claims["iss"], claims["sub"], known.get(("aud",), ()), claims.get("azp", ""), known)
