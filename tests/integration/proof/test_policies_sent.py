"""What the evaluator says of policies and requests, against what real proxies do with both.

Random policies over all fields are applied to real pods, and random requests are sent to them: HTTP and
streams, with an identity and without, with tokens and without. The judge is the application that was reached
or was not.
"""

from __future__ import annotations

import collections
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.authorization import (
    PolicyIndex,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import UNKNOWN

from ..waiting import until, until_gone
from . import generated, servers
from .conftest import sized
from .generated import HERE, ISSUERS, ROOT, THERE, Asked, World
from .identities import HTTP_ALPN, TCP_ALPN, Identities, Tokens
from .sending import Wire, send
from .sources import own_addresses

SECURITY = "security.istio.io/v1"
POLICIES = "proof=policies"
PODS, ROUNDS, REQUESTS = sized(3, 8), sized(3, 36), sized(24, 8)
FEW = 4
"""So many policies per pod and round."""


class Servers:
    """The pods that requests are sent to, by name: namespace, labels and address."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client
        self.labels: dict[str, dict[str, str]] = {}
        self.namespaces: dict[str, str] = {}
        for number in range(PODS):
            name = f"s{number}"
            self.namespaces[name] = THERE if number % 4 == 3 else HERE
            self.labels[name] = {"app": name, "tier": "odd" if number % 2 else "even", "proof": "policies"}
        self.labels["s0"]["gateway.networking.k8s.io/gateway-name"] = "proof-gateway"
        self.addresses: dict[str, str] = {}

    def start(self, tokens: Tokens) -> None:
        """Bring them up, with PERMISSIVE ports and issuers of tokens."""
        for place in (HERE, THERE):
            servers.namespace(self.client, place)
            for obj in _accompanying(place, tokens):
                self.client.create(obj)
        command = ["python3", "-c", servers.PROGRAM, *map(str, generated.PORTS)]
        for name, place in self.namespaces.items():
            until(lambda place=place: self._has_account(place), f"the account of {place}")
            self.client.create(servers.pod(place, name, command, labels=self.labels[name]))
        for place in (HERE, THERE):
            count = sum(1 for other in self.namespaces.values() if other == place)
            self.addresses |= servers.addresses(self.client, place, count)

    def _has_account(self, place: str) -> bool:
        return self.client.get("v1", "ServiceAccount", "default", place) is not None

    def hold(self, mark: str) -> bool:
        """Whether every proxy works by a listener in which the policy ``mark`` is, and waits for none."""
        return all(self.client.in_parallel(lambda name: self._holds(name, mark), sorted(self.namespaces)))

    def _holds(self, name: str, mark: str) -> bool:
        query = "config_dump?resource=dynamic_listeners&name_regex=virtualInbound"
        command = ["pilot-agent", "request", "GET", query]
        told = self.client.exec(self.namespaces[name], name, "istio-proxy", command).stdout
        (listener,) = json.loads(told)["configs"]
        return "warming_state" not in listener and f"-policy[{mark}]-" in json.dumps(listener["active_state"])


def _accompanying(place: str, tokens: Tokens) -> Iterator[dict[str, Any]]:
    metadata = {"name": "proof", "namespace": place}
    modes = {"mtls": {"mode": "PERMISSIVE"}}
    yield {"apiVersion": SECURITY, "kind": "PeerAuthentication", "metadata": metadata, "spec": modes}
    issuers = {"jwtRules": [{"issuer": issuer, "jwks": tokens.key_set} for issuer in ISSUERS]}
    yield {"apiVersion": SECURITY, "kind": "RequestAuthentication", "metadata": metadata, "spec": issuers}
    ports = [{"name": "http", "port": generated.HTTP_PORT}, {"name": "tcp-db", "port": generated.TCP_PORT}]
    service = {"selector": {"proof": "policies"}, "ports": ports}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": {**metadata, "name": "server"}, "spec": service}


def removed(client: KubeClient) -> None:
    """Take away what an earlier run, or this one, has put up."""
    for item in client.list(SECURITY, "AuthorizationPolicy", ROOT, label_selector=POLICIES).items:
        client.delete(SECURITY, "AuthorizationPolicy", item["metadata"]["name"], ROOT)
    for place in (HERE, THERE):
        client.delete("v1", "Namespace", place)


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture(scope="module")
def reached(client: KubeClient, tokens: Tokens) -> Iterator[Servers]:
    removed(client)
    until_gone(client, HERE, THERE)
    found = Servers(client)
    found.start(tokens)
    yield found
    removed(client)


@pytest.fixture(scope="module")
def identities(client: KubeClient, tmp_path_factory: pytest.TempPathFactory) -> Identities:
    return Identities(client, Path(tmp_path_factory.mktemp("identities")))


def live(client: KubeClient) -> list[dict[str, Any]]:
    """The policies of the campaign as the API server holds them."""
    return [
        item
        for place in (HERE, THERE, ROOT)
        for item in client.list(SECURITY, "AuthorizationPolicy", place, label_selector=POLICIES).items
    ]


def replaced(client: KubeClient, policies: list[dict[str, Any]]) -> int:
    """Put ``policies`` in the place of those that are there; returns how many istiod refused."""
    client.in_parallel(
        lambda item: client.delete(
            SECURITY, "AuthorizationPolicy", item["metadata"]["name"], item["metadata"]["namespace"]
        ),
        live(client),
    )

    def created(item: dict[str, Any]) -> int:
        try:
            client.create(item)
        except ApiError as error:
            assert error.status == 400, error
            return 1
        return 0

    return sum(client.in_parallel(created, policies))


def wire(asked: Asked, address: str, identities: Identities, tokens: Tokens) -> Wire:
    """A request as it is sent."""
    request = asked.request
    headers = {name.title(): value for name, value in request.headers.items()}
    if asked.forwarded:
        headers["X-Forwarded-For"] = asked.forwarded
    if asked.claims:
        headers["Authorization"] = f"Bearer {tokens.token(asked.claims)}"
    alpn = HTTP_ALPN if request.http else TCP_ALPN
    context = identities.context(request.principal, alpn) if request.principal else None
    source = request.source_ip or ""
    where = (address, request.port, source, context, request.sni or "")
    return Wire(*where, request.method, asked.target, request.host, headers)


def mark(name: str) -> dict[str, Any]:
    """Comes after all other policies of a round and decides nothing: who holds it holds them all."""
    metadata = {"name": name, "namespace": ROOT, "labels": {"proof": "policies"}}
    selector = {"matchLabels": {"proof": "policies"}}
    spec = {"action": "AUDIT", "selector": selector, "rules": [{"to": [{"operation": {"ports": ["1"]}}]}]}
    return {"apiVersion": SECURITY, "kind": "AuthorizationPolicy", "metadata": metadata, "spec": spec}


def test_real_proxies_do_what_the_evaluator_says(client, reached, identities, tokens, seed, capsys):
    dice = random.Random(seed)
    world = World(own_addresses(next(iter(reached.addresses.values()))), sorted(reached.namespaces))
    counted: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    for number in range(ROUNDS):
        made = [
            generated.policy(dice, world, f"r{number}-{index}")
            for index in range(dice.randint(PODS, PODS * FEW))
        ]
        counted["refused by istiod"] += replaced(client, made)
        policies = live(client)
        client.create(mark(f"mark-{number}"))
        until(lambda number=number: reached.hold(f"mark-{number}"), "what istiod serves")
        index = PolicyIndex(policies, root_namespace=ROOT, trust_domains=["cluster.local"])
        questions = [
            (name, generated.asked(dice, world, address))
            for name, address in sorted(reached.addresses.items())
            for _turn in range(REQUESTS)
        ]
        came = client.in_parallel(
            lambda one: send(wire(one[1], reached.addresses[one[0]], identities, tokens)), questions
        )
        counted["policies"] += len(policies)
        for (name, asked), outcome in zip(questions, came, strict=True):
            held = index.of(reached.namespaces[name], reached.labels[name])
            decision = index.workload(reached.namespaces[name], reached.labels[name]).decide(asked.request)
            counted[f"{_kind(asked)} {outcome}"] += 1
            counted["pairs"] += 1
            counted["cannot tell"] += decision.verdict == UNKNOWN
            if decision.verdict not in (outcome, UNKNOWN):
                specs = [
                    (item["metadata"]["name"], item["metadata"]["namespace"], item["spec"]) for item in held
                ]
                wrong.append(f"{outcome}, not {decision}: {name} {asked} {json.dumps(specs)}")
    with capsys.disabled():
        print(f"\nseed {seed}: {dict(sorted(counted.items()))}, {len(wrong)} disagree")
    assert not wrong, "\n".join(wrong[:20])
    assert counted["pairs"] == ROUNDS * REQUESTS * PODS
    assert counted["cannot tell"] <= counted["pairs"] // 50
    for kind in ("http mtls", "http plaintext", "stream mtls", "stream plaintext"):
        assert min(counted[f"{kind} allow"], counted[f"{kind} deny"]) > 0, kind


def _kind(asked: Asked) -> str:
    return (
        f"{'http' if asked.request.http else 'stream'} {'mtls' if asked.request.principal else 'plaintext'}"
    )
