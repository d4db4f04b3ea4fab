# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the check of a gateway finds its ways, its certificates and its issuers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import (
    Answer,
    HttpCall,
    Identity,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.handshake import leaf_fingerprint
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.channels import (
    DirectChannel,
    ProbeChannel,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.gateways import (
    check as gateway_channels,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.live_objects import (
    LiveObjects,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.options import VerifyOptions

from ....support import certificates
from ....support.certificates import certificate, ec_key, pem
from ....support.clock import FakeClock
from ....support.cluster import FakeCluster
from ..builders import GATEWAY, item, pod, service

RAW = {
    "mesh_name": "shop",
    "mesh_namespace": "shop",
    "mesh_services": [
        service("web", exposed=[{"gateway": "public", "host": "api.example.com", "path": "/"}])
    ],
    "mesh_gateways": [GATEWAY],
}
OUTSIDE = Identity("shop", "outside", meshed=False)
CERTIFICATE = pem(certificate("api.example.com", ec_key(), hosts=("api.example.com",))).decode()


def secret(name: str = "api", namespace: str = "istio-system", **data: str) -> dict[str, Any]:
    packed = {key.replace("_", "."): base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": packed}


def options(**params: Any) -> VerifyOptions:
    given = {
        "catalogue": RAW,
        "namespaces": [],
        "istio_namespace": "istio-system",
        "proxy_version": "",
        "checks": ["gateways"],
        "unmeshed_pods": [],
        "accepted_objects": {},
        "last_report": "",
        "unsafe_methods": False,
        "max_proxies": 200,
        "report_path": None,
        "probe_image": "curl:1",
        "probe_pull_secrets": [],
        "probe_start_timeout": 60,
        "probe_lifetime": 180,
        "call_timeout": 7,
        "gateway_ca": "",
        "gateway_ca_secret": None,
        "gateway_addresses": {},
        "gateway_client_cert": None,
        "gateway_client_key": None,
    }
    return VerifyOptions.from_params({**given, **params})


class Seen:
    """What the check handed on instead of judging it."""

    def __init__(self) -> None:
        self.channels: list[Any] = []
        self.facts: Any = None
        self.parts: list[Any] = []

    def __call__(
        self,
        _mesh: Any,
        gateway: Any,
        _calls: Any,
        channels: Any,
        facts: Any,
        _clock: Any,
        *,
        no_channel: str,
    ) -> Any:
        assert bool(channels) != bool(no_channel)
        self.channels, self.facts = channels, facts
        self.parts.append(([server.host for server in gateway.servers], [item.name for item in channels]))
        return gateway_channels.GatewayResult((), frozenset({"shop/web"}))


class Probes:
    """A probe that answers, or does not run."""

    def __init__(self, error: ApiError | None = None) -> None:
        self.error = error
        self.sent: list[Any] = []

    def send(self, identity: Identity, calls: Sequence[HttpCall], limit: int, ca_pem: str) -> list[Answer]:
        if self.error:
            raise self.error
        self.sent.append((identity, len(calls), limit, ca_pem))
        return [Answer(200, {}, "", 0) for _call in calls]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()
    monkeypatch.setattr(gateway_channels, "check_gateway", found)
    return found


def run(*objects: dict[str, Any], probes: Any = None, forbidden: str = "", **params: Any) -> Any:
    cluster = FakeCluster(*objects)
    cluster.forbidden |= {forbidden} if forbidden else set()
    ports = [{"port": 80}, {"port": 443}]
    labels = {"istio": "ingressgateway"}
    gateway = item(
        "Service", "gw", {"selector": labels, "ports": ports, "clusterIP": "10.0.0.9"}, "istio-system"
    )
    running = pod("gw-1", labels, metadata={"namespace": "istio-system"})
    live = LiveObjects({"Pod": [running], "Service": [gateway]}, [], {}, frozenset())
    check = gateway_channels.GatewayCheck(cluster, options(**params), live, probes, OUTSIDE, FakeClock())
    return check.run()


def test_what_the_secret_says_is_compared_and_trusted(seen: Seen) -> None:
    assert run(secret(tls_crt=CERTIFICATE, ca_crt="CA", tls_key="KEY")).reached == {"shop/web"}
    assert seen.facts.credentials == {"api": leaf_fingerprint(CERTIFICATE)}
    assert seen.facts.trusted is True
    (direct,) = seen.channels
    assert isinstance(direct, DirectChannel)
    assert direct.name == "from the controller to 10.0.0.9"


def test_secrets_that_are_absent_unreadable_or_garbage(seen: Seen) -> None:
    run()
    assert (seen.facts.credentials, seen.facts.trusted) == ({"api": None}, False)
    run(secret(tls_crt=CERTIFICATE), forbidden="Secret")
    assert (seen.facts.credentials, seen.facts.trusted) == ({"api": ""}, False)
    broken = secret()
    broken["data"] = {"tls.crt": "no base64"}
    run(broken)
    assert (seen.facts.credentials, seen.facts.trusted) == ({"api": ""}, False)


def test_an_api_server_that_fails_is_an_error() -> None:
    class Broken(FakeCluster):
        def get(self, *_key: Any, **_more: Any) -> Any:
            raise ApiError("internal error", status=500)

    live = LiveObjects({}, [], {}, frozenset())
    check = gateway_channels.GatewayCheck(Broken(), options(), live, None, OUTSIDE, FakeClock())
    with pytest.raises(ApiError, match="internal error"):
        check.run()


@pytest.mark.parametrize(
    ("params", "issuer"),
    [
        ({}, "BESIDE"),
        ({"gateway_ca": "GIVEN"}, "GIVEN"),
        ({"gateway_ca_secret": {"namespace": "ca", "name": "root"}}, "ROOT"),
        ({"gateway_ca_secret": {"namespace": "ca", "name": "other"}}, "BESIDE"),
        ({"gateway_ca": "GIVEN", "gateway_ca_secret": {"namespace": "ca", "name": "root"}}, "GIVEN"),
    ],
)
def test_the_issuer_is_given_or_found(seen: Seen, params: dict[str, Any], issuer: str) -> None:
    probes = Probes()
    run(
        secret(tls_crt=CERTIFICATE, ca_crt="BESIDE"),
        secret("root", "ca", tls_crt="ROOT"),
        probes=probes,
        **params,
    )
    _direct, through = seen.channels
    assert isinstance(through, ProbeChannel)
    through.handshake(options().catalogue.gateways[0].servers[0])
    assert probes.sent == [(OUTSIDE, 1, 7, issuer)]


def test_ports_of_several_services_are_asked_where_they_are(seen: Seen) -> None:
    sql = {"host": "sql.example.com", "protocol": "TCP", "port": 5432}
    gone = {"host": "gone.example.com", "port": 9999}
    gateway = GATEWAY | {"servers": [*GATEWAY["servers"], sql, gone]}
    labels = {"istio": "ingressgateway"}
    services = [
        item("Service", name, {"selector": labels, "ports": ports, "clusterIP": address}, "istio-system")
        for name, address, ports in (
            ("web", "10.0.0.9", [{"port": 80}, {"port": 443}]),
            ("sql", "10.0.0.8", [{"port": 5432}]),
        )
    ]
    running = pod("gw-1", labels, metadata={"namespace": "istio-system"})
    live = LiveObjects({"Pod": [running], "Service": services}, [], {}, frozenset())
    given = options(catalogue=RAW | {"mesh_gateways": [gateway]})
    gateway_channels.GatewayCheck(FakeCluster(), given, live, None, OUTSIDE, FakeClock()).run()
    assert seen.parts == [
        (["api.example.com"], ["from the controller to 10.0.0.9"]),
        (["sql.example.com"], ["from the controller to 10.0.0.8"]),
        (["gone.example.com"], []),
    ]


def test_addresses_that_are_given_count_alone(seen: Seen) -> None:
    run(gateway_addresses={"public": ["192.0.2.1", "192.0.2.2"]}, probes=Probes())
    assert [channel.name for channel in seen.channels] == [
        "from the controller to 192.0.2.1",
        "from the controller to 192.0.2.2",
        "from a pod outside the mesh to 192.0.2.1",
        "from a pod outside the mesh to 192.0.2.2",
    ]
    run(gateway_addresses={"other": ["192.0.2.1"]})
    assert [channel.name for channel in seen.channels] == ["from the controller to 10.0.0.9"]


def test_a_probe_that_does_not_run_is_no_way(seen: Seen) -> None:
    run(probes=Probes(ApiError("its pod was refused")))
    _direct, through = seen.channels
    with pytest.raises(gateway_channels.UnreachableError, match="its pod was refused"):
        through.handshake(options().catalogue.gateways[0].servers[0])


def pair() -> tuple[str, str]:
    key = certificates.ec_key()
    chain = certificates.pem(certificates.certificate("api.example.com", key))
    return chain.decode(), certificates.key_pem(key).decode()


def test_what_a_gateway_could_not_use_when_it_starts(seen: Seen) -> None:
    chain, key = pair()
    _other, foreign = pair()
    run(secret(tls_crt=chain, tls_key=key))
    assert seen.facts.faults == {}
    run(secret(tls_crt=chain, tls_key=foreign))
    assert seen.facts.faults == {"api": "holds a key that does not belong to its certificate"}
    run(secret(tls_crt="garbage", tls_key=key))
    assert seen.facts.faults == {"api": "holds no certificate in tls.crt or cert"}
    run(secret(tls_crt=chain))
    assert "cannot be used: its certificate or key" in seen.facts.faults["api"]
    run(secret(tls_crt=chain), forbidden="Secret")
    assert seen.facts.faults == {}


def test_the_pair_of_a_generic_secret_is_the_one_that_is_served(seen: Seen) -> None:
    """``cert`` and ``key`` win over ``tls.crt`` and ``tls.key`` (pilot/pkg/credentials/kube/secrets.go)."""
    chain, key = pair()
    for beside in ({}, {"tls_crt": pair()[0], "tls_key": "garbage"}):
        run(secret(cert=chain, key=key, **beside))
        assert seen.facts.credentials == {"api": leaf_fingerprint(chain)}
        assert seen.facts.faults == {}


MUTUAL = {
    **RAW,
    "mesh_gateways": [{**GATEWAY, "servers": [{**GATEWAY["servers"][0], "mode": "MUTUAL"}]}],
}


NO_CA = "neither Secret istio-system/api-cacert nor api has a CA for their certificates (ca.crt)"
NOT_THERE = (
    "Secret istio-system/api-cacert, which counts instead of api, does not have a CA for their certificates"
    " (ca.crt)"
)


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        ([], NO_CA),
        ([secret("api-cacert", ca_crt="CA")], ""),
        ([secret("api-cacert", other="CA")], NOT_THERE),
        ([secret("api-cacert", "elsewhere", ca_crt="CA")], NO_CA),
    ],
)
def test_a_ca_for_clients_that_is_missing_is_named(seen: Seen, beside: list[Any], told: str) -> None:
    """It was told as a certificate that is not good, or as a connection that was reset."""
    run(secret(tls_crt=CERTIFICATE), *beside, catalogue=MUTUAL)
    assert seen.facts.without_ca == ({"api": told} if told else {})
    run(secret(tls_crt=CERTIFICATE), *beside)
    assert seen.facts.without_ca == {}, "a server that asks no client needs none"
    run(secret(tls_crt=CERTIFICATE, ca_crt="CA"), catalogue=MUTUAL)
    assert seen.facts.without_ca == {}


class Refusing(FakeCluster):
    """Refuses to show one Secret."""

    def __init__(self, status: int, name: str, *objects: dict[str, Any]) -> None:
        super().__init__(*objects)
        self.status, self.name = status, name

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Any:
        if name == self.name:
            raise ApiError("refused", status=self.status)
        return super().get(api_version, kind, name, namespace)


@pytest.mark.parametrize("name", ["api", "api-cacert"])
@pytest.mark.parametrize("status", [401, 403, 500])
def test_who_may_not_look_judges_no_ca_and_a_server_that_fails_is_told(
    seen: Seen, name: str, status: int
) -> None:
    cluster = Refusing(status, name, secret(tls_crt=CERTIFICATE))
    check = gateway_channels.GatewayCheck(
        cluster,
        options(catalogue=MUTUAL),
        LiveObjects({}, [], {}, frozenset()),
        Probes(),
        OUTSIDE,
        FakeClock(),
    )
    if status != 403:
        with pytest.raises(ApiError, match="refused"):
            check.run()
        return
    check.run()
    assert seen.facts.without_ca == {}


@pytest.mark.parametrize(
    ("key", "told"), [("ca.crt", False), ("cacert", False), ("tls.crt", True), ("ca.key", True)]
)
@pytest.mark.parametrize("mode", ["MUTUAL", "OPTIONAL_MUTUAL", "SIMPLE"])
def test_the_keys_that_istiod_reads_a_ca_from(seen: Seen, key: str, told: bool, mode: str) -> None:
    """``cacert`` of generic Secrets, ``ca.crt`` of others (pilot/pkg/credentials/kube/secrets.go)."""
    servers = [{**GATEWAY["servers"][0], "mode": mode}]
    holder = secret("api-cacert")
    holder["data"] = {key: base64.b64encode(b"CA").decode()}
    run(
        secret(tls_crt=CERTIFICATE),
        holder,
        catalogue={**RAW, "mesh_gateways": [{**GATEWAY, "servers": servers}]},
    )
    assert bool(seen.facts.without_ca) == (told and mode != "SIMPLE")


def test_a_secret_without_a_certificate_is_not_asked_for_a_ca_as_well(seen: Seen) -> None:
    run(secret(tls_key="KEY"), catalogue=MUTUAL)
    assert seen.facts.without_ca == {}
    assert seen.facts.faults == {"api": "holds no certificate in tls.crt or cert"}


def test_the_issuer_of_the_first_certificate_that_has_one_is_taken(seen: Seen) -> None:
    servers = [{**GATEWAY["servers"][0], "host": f"{one}.example.com", "certificate": one} for one in "abc"]
    probes = Probes()
    run(
        secret("a", tls_crt=CERTIFICATE),
        secret("b", tls_crt=CERTIFICATE, ca_crt="SECOND"),
        secret("c", tls_crt=CERTIFICATE, ca_crt="THIRD"),
        probes=probes,
        catalogue={
            **RAW,
            "mesh_services": [service("web")],
            "mesh_gateways": [{**GATEWAY, "servers": servers}],
        },
    )
    seen.channels[-1].handshake(options().catalogue.gateways[0].servers[0])
    assert [sent[3] for sent in probes.sent] == ["SECOND"]
    assert set(seen.facts.credentials) == set("abc")
