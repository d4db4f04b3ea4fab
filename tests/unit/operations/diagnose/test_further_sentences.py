# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diagnosis says, and where it is silent: hosts and credentials of gateways, istiod, pods, routes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError

from ...support.certificates import DAY, NOW
from .healthy_mesh import HOST, Healthy, allow, diagnose, host, istio, line, secret, to
from .planted import AT_GATEWAY, CALL, NOTHING
from .test_more_sentences import both, gateway
from .test_sentences import Plant, found, routes

# -- hosts of gateways -----------------------------------------------------------------------------


def shown(*namespaces: str) -> Plant:
    return lambda cluster: cluster.edit("VirtualService", "public")["spec"].update(exportTo=list(namespaces))


def served(*hosts: str) -> Plant:
    server = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": list(hosts),
        "tls": {"mode": "SIMPLE", "credentialName": "api-cert"},
    }
    return gateway(servers=[server])


HIDDEN = "VirtualService shop/public: is not shown to namespace shop (exportTo), where its Gateway is"
ONLY = (
    "Gateway shop/public: takes VirtualServices for {} only, "
    "and VirtualService shop/public is in namespace shop"
)


@pytest.mark.parametrize("symptom", [AT_GATEWAY, NOTHING])
@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (shown("other"), HIDDEN),
        (shown("other", "shop"), ""),
        (shown("."), ""),
        (shown("*"), ""),
        (served(f"other/{HOST}"), ONLY.format(f"other/{HOST}")),
        (served(f"shop/{HOST}"), ""),
        (served(f"./{HOST}"), ""),
        (served(f"*/{HOST}"), ""),
        (served("other/*.example.com"), ONLY.format("other/*.example.com")),
        (served(f"other/{HOST}", f"shop/{HOST}"), ""),
    ],
)
def test_a_route_that_its_gateway_may_not_take(plant: Plant, symptom: Any, said: str) -> None:
    told = [one for one in found(plant, symptom) if "not shown" in one or "takes VirtualServices" in one]
    assert told == ([said] if said else [])


# -- credentials of gateways -----------------------------------------------------------------------


def mutual(*, own: bool = False, beside: bool | None = None, mode: str = "MUTUAL") -> Plant:
    """A Gateway that asks for certificates; whether its Secret, or the one beside it, holds the CA."""
    ca = base64.b64encode(b"ca").decode()

    def plant(cluster: Healthy) -> None:
        cluster.edit("Gateway", "public")["spec"]["servers"][0]["tls"]["mode"] = mode
        credential = cluster.edit("Secret", "api-cert", "istio-system")
        if own:
            credential["data"]["ca.crt"] = ca
        if beside is not None:
            metadata = {"name": "api-cert-cacert", "namespace": "istio-system"}
            data = {"ca.crt": ca} if beside else {"other": ca}
            cluster.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    return plant


def without(*keys: str) -> Plant:
    def plant(cluster: Healthy) -> None:
        data = cluster.edit("Secret", "api-cert", "istio-system")["data"]
        for key in keys:
            del data[key]

    return plant


NO_CA = (
    "Secret istio-system/api-cert{}: holds no ca.crt, and Gateway shop/public asks its clients for "
    "certificates ({}): none is let in"
)
NO_PAIR = "Secret istio-system/api-cert: holds no certificate with a key: the gateway serves none"


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (lambda _cluster: None, []),
        (mutual(), [NO_CA.format("", "MUTUAL")]),
        (mutual(mode="OPTIONAL_MUTUAL"), [NO_CA.format("", "OPTIONAL_MUTUAL")]),
        (mutual(own=True), []),
        (mutual(beside=True), []),
        (mutual(beside=False), [NO_CA.format("-cacert", "MUTUAL")]),
        (mutual(own=True, beside=False), [NO_CA.format("-cacert", "MUTUAL")]),
        (without("tls.key"), [NO_PAIR]),
        (without("tls.crt"), [NO_PAIR]),
    ],
)
def test_what_a_gateways_credential_lacks(plant: Plant, said: list[str]) -> None:
    assert found(plant, AT_GATEWAY, "Secret istio-system/api-cert") == said


@pytest.mark.parametrize(
    ("named", "held", "said"),
    [
        ("clients", {"cacert": "Y2E="}, []),
        ("clients", {"other": "Y2E="}, [NO_CA.replace("api-cert{}", "clients").format("MUTUAL")]),
        (
            "clients",
            None,
            [
                "Secret istio-system/clients: does not exist; Gateway shop/public is to know its clients by "
                "it (MUTUAL): none is let in"
            ],
        ),
        ("configmap://roots", None, []),
    ],
)
def test_the_cas_of_clients_in_a_secret_of_their_own(named: str, held: Any, said: list[str]) -> None:
    """``caCertCredentialName`` (istio pilot/pkg/security/model/authentication.go)."""

    def plant(cluster: Healthy) -> None:
        cluster.edit("Gateway", "public")["spec"]["servers"][0]["tls"].update(
            mode="MUTUAL", caCertCredentialName=named
        )
        if held is not None:
            metadata = {"name": named, "namespace": "istio-system"}
            cluster.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": held})

    assert found(plant, AT_GATEWAY, "Secret istio-system") == said


def test_everything_that_is_wrong_with_a_certificate_is_evidence() -> None:
    """The first fault is the cause; at most two more are told beside it."""

    def plant(cluster: Healthy) -> None:
        cluster.put(secret("api-cert", ("other.example.com",), begin=NOW - 9 * DAY, end=NOW - DAY))

    (told,) = found(plant, AT_GATEWAY, "Secret istio-system/api-cert")
    assert told == (
        "Secret istio-system/api-cert: cannot serve api.example.com: the certificate does not cover "
        "api.example.com (its names: other.example.com) | "
        "the certificate is valid until 2026-11-22T12:00:00Z only"
    )


def test_clients_cas_that_may_not_be_read_are_not_missing() -> None:
    cluster = Healthy()
    mutual()(cluster)
    refused = "api-cert-cacert"
    cluster.fail("get", "Secret", 403, times=9, when=lambda call: call.name == refused)
    result = diagnose(cluster, **AT_GATEWAY)
    assert (result["causes"], result["status"]) == ([], "cannot tell")


# -- routes ----------------------------------------------------------------------------------------

FIRST = {**to("api", subset="v1"), "name": "first"}
BEHIND = (
    "VirtualService shop/api: has routes that nothing reaches, because one before takes every request: {}"
)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (routes(to("api", subset="v1")), ""),
        (routes(to("api", subset="v1"), FIRST), BEHIND.format("first")),
        (routes(FIRST, to("api", subset="v1")), BEHIND.format("http[1]")),
        (routes({"match": [{"uri": {"prefix": "/a"}}], **to("api", subset="v1")}, FIRST), ""),
    ],
)
def test_routes_that_nothing_reaches(plant: Plant, said: str) -> None:
    told = [one for one in found(plant, CALL) if "nothing reaches" in one]
    assert told == ([said] if said else [])


def ruled(host: str, name: str = "rule") -> Plant:
    return lambda cluster: cluster.put(istio("DestinationRule", name, {"host": host}))


@pytest.mark.parametrize(
    ("plant", "symptom", "said"),
    [
        (
            ruled("apo"),
            NOTHING,
            "apo.shop.svc.cluster.local, which is no Service, did you mean api: it does nothing",
        ),
        (ruled("apo"), CALL, ""),
        (
            ruled("api-v1"),
            CALL,
            "api-v1.shop.svc.cluster.local, which is no Service, did you mean api: it does nothing",
        ),
        (ruled("*.shop.svc.cluster.local"), NOTHING, ""),
        (ruled("pay.example.org"), NOTHING, ""),
        (ruled("api"), NOTHING, ""),
    ],
)
def test_a_rule_for_a_host_that_is_no_service(plant: Plant, symptom: Any, said: str) -> None:
    assert found(plant, symptom, "DestinationRule shop/rule") == (
        [f"DestinationRule shop/rule: is for {said}"] if said else []
    )


# -- the bundle ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("others", "more"), [(0, ""), (1, " (and 1 more)"), (2, " (and 2 more)")])
def test_a_caller_whom_no_policy_lets_in(others: int, more: str) -> None:
    def plant(cluster: Healthy) -> None:
        for name in ("api", "b", "c")[: others + 1]:
            cluster.put(allow(name, "shop/shop", app="api"))

    assert found(plant, CALL, "AuthorizationPolicy") == [
        "AuthorizationPolicy shop/api: refuses GET / by cluster.local/ns/shop/sa/web at Pod shop/api-1 with "
        f"403: no ALLOW rule{more} takes it"
    ]


@pytest.mark.parametrize(
    ("checked", "why"),
    [
        ("api", "it asks for a token (requestPrincipals, or request.auth), and the request has none"),
        ("web", "no ALLOW rule takes it"),  # no token could help: nobody reads one at this pod
    ],
)
def test_a_token_is_asked_for_where_somebody_reads_one(checked: str, why: str) -> None:
    def plant(cluster: Healthy) -> None:
        rules = [{"issuer": "https://id", "jwksUri": "https://id/keys"}]
        spec = {"selector": {"matchLabels": {"app": checked}}, "jwtRules": rules}
        cluster.put(istio("RequestAuthentication", "jwt", spec))
        rule = cluster.edit("AuthorizationPolicy", "api")["spec"]["rules"][0]
        rule["from"][0]["source"]["requestPrincipals"] = ["*"]

    (told,) = found(plant, CALL, "AuthorizationPolicy shop/api")
    assert told.endswith(f"with 403: {why}")


def test_a_rule_against_mutual_tls_is_told_with_the_policy_that_asks_for_it() -> None:
    def plant(cluster: Healthy) -> None:
        cluster.edit("DestinationRule", "api")["spec"]["trafficPolicy"] = {"tls": {"mode": "DISABLE"}}

    (told,) = found(plant, CALL, "DestinationRule shop/api")
    assert told.startswith("DestinationRule shop/api: makes calls to Service shop/api fail: ")
    assert told.endswith(" (PeerAuthentication istio-system/default)")


@pytest.mark.parametrize(("logged", "told"), [("api-1", 1), ("api-2", 0)])
def test_an_application_that_does_not_listen_is_told_of_the_pod_whose_own_log_shows_it(
    logged: str, told: int
) -> None:
    def plant(cluster: Healthy) -> None:
        dead = host(address="10.0.0.9", port=3000, cx_connect_fail=5, cx_total=5)
        cluster.clusters["shop/api-1"] = {"inbound|3000||": [dead]}
        cluster.log(logged, line(503, "UF", cluster="inbound|3000||"))

    assert str(found(plant, CALL, "Pod shop/api-1")).count("does not answer on port 3000") == told


def test_a_bundle_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "b.json").mkdir()
    with pytest.raises(MeshError, match=r"the bundle .*/b\.json could not be written: Is a directory"):
        diagnose(Healthy(), **CALL, bundle_path=str(tmp_path / "b.json"))
    assert [one.name for one in tmp_path.iterdir()] == ["b.json"]


def _nothing(_cluster: Healthy) -> None:
    """A healthy mesh."""


@pytest.mark.parametrize("symptom", [CALL, AT_GATEWAY, NOTHING])
def test_a_healthy_mesh_has_no_cause(symptom: Any) -> None:
    assert found(both(_nothing), symptom) == []
