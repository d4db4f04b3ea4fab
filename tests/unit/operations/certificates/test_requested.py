# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that a company's CA issues: asked for once, answered, rotated in; killed at every step."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.pem import blocks_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ...support import certificates as made
from ...support.mortal import KilledError
from .test_edges import HOME
from .test_rotation import HOST, RotatingWorld, held_by

REQUEST = "api-request"
DAY = datetime.timedelta(days=1)


class Company:
    """A company's CA: a root and an intermediate that signs requests."""

    def __init__(self, now: datetime.datetime) -> None:
        self.now = now
        self.root_key, self.middle_key = made.ec_key(), made.ec_key()
        long = {"begin": now - 30 * DAY, "end": now + 3000 * DAY, "ca": True}
        self.root = made.certificate("company root", self.root_key, **long)
        self.middle = made.certificate(
            "company issuing", self.middle_key, issuer=("company root", self.root_key), **long
        )

    @property
    def ca(self) -> str:
        return made.pem(self.root).decode()

    def leaf(self, request: str, **more: Any) -> x509.Certificate:
        asked = x509.load_pem_x509_csr(request.encode())
        assert asked.is_signature_valid
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = more.pop("hosts", None) or tuple(names.get_values_for_type(x509.DNSName))

        class Holder:
            """Has the public half only, as a CA does."""

            @staticmethod
            def public_key() -> Any:
                return asked.public_key()

        dates = {"begin": self.now - DAY, "end": self.now + 60 * DAY, **more}
        return made.certificate(
            "x", Holder, issuer=("company issuing", self.middle_key), hosts=hosts, **dates
        )

    def answer(self, request: str, **more: Any) -> str:
        return made.pem(self.leaf(request, **more), self.middle).decode()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    return RotatingWorld(monkeypatch)


def entry(**more: Any) -> list[dict[str, Any]]:
    return [{"name": "api", **more}]


def asked(world: RotatingWorld, **params: Any) -> dict[str, Any]:
    """The first step. :returns: the credential's part of the result."""
    result = world.rotate(requested=entry(), **params)
    (certificate,) = result["certificates"]
    return certificate


def kept_request(world: RotatingWorld) -> dict[str, Any] | None:
    return world.cluster.find("Secret", REQUEST, HOME)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("tls.csr", b"garbage", r"the request cannot be read \(it or its key "),
        ("tls.key", b"garbage", r"the request cannot be read \(it or its key "),
        ("tls.key", made.key_pem(made.ec_key()), "the request is not of the key beside it"),
    ],
)
def test_a_request_that_is_none_any_more_is_refused_with_the_way_out(
    world: RotatingWorld, part: str, value: bytes, said: str
) -> None:
    asked(world)
    secret = kept_request(world)
    assert secret is not None
    secret["data"][part] = base64.b64encode(value).decode()
    world.cluster.writes.clear()
    way_out = "delete it to have a new one made"
    with pytest.raises(RefusedError, match=f"Secret {HOME}/{REQUEST}: {said}.*: {way_out}") as caught:
        asked(world)
    assert caught.value.rule == "request-unusable"
    assert not [what for verb, what in world.cluster.writes if "Secret" in what]


def test_the_first_run_asks_and_the_key_stays_in_the_cluster(world: RotatingWorld) -> None:
    result = world.rotate(requested=entry(subject="CN=api,O=Example,C=DE"))
    (certificate,) = result["certificates"]
    assert (certificate["action"], certificate["source"]) == ("requested", "requested")
    assert (result["status"], result["outcome"], result["changed"]) == ("cannot tell", "due", True)
    assert result["reason"].endswith("there is no certificate yet: it has only been asked for")
    where = f"Secret {HOME}/{REQUEST}"
    assert result["objects"] == [{"id": where, "action": "created"}]
    after = {"data": {"tls.csr": "(hidden)", "tls.key": "(hidden)"}, "dns_names": [HOST]}
    assert result["diff"] == [{"before_header": where, "after_header": where, "before": {}, "after": after}]
    request = x509.load_pem_x509_csr(certificate["request"].encode())
    assert request.subject.rfc4514_string() == "CN=api,O=Example,C=DE"
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOST]
    secret = kept_request(world)
    assert secret is not None
    assert secret["type"] == "Opaque", "nothing that istiod would serve"
    key = base64.b64decode(secret["data"]["tls.key"]).decode()
    assert "PRIVATE KEY" not in json.dumps(result)
    assert key.splitlines()[1] not in json.dumps(result)
    assert (
        certificate["request"].splitlines() == result["summary"][-len(certificate["request"].splitlines()) :]
    )
    assert world.cluster.find("Secret", "api", HOME) is None


def test_a_second_request_is_not_made_while_one_waits(world: RotatingWorld) -> None:
    first = asked(world)
    before = kept_request(world)
    again = world.rotate(requested=entry())
    assert again["certificates"][0]["request"] == first["request"], "it is told again"
    assert (again["changed"], again["outcome"], again["certificates"][0]["action"]) == (
        False,
        "due",
        "waiting",
    )
    assert world.rotate(requested=entry(), force=["api"])["changed"] is False
    assert kept_request(world) == before


@pytest.mark.parametrize("order", ["right", "reversed", "with root", "flat"])
def test_the_answer_is_checked_put_in_order_and_served(world: RotatingWorld, order: str) -> None:
    company = Company(world.now)
    leaf = company.leaf(asked(world)["request"])
    texts = {
        "right": made.pem(leaf, company.middle).decode(),
        "reversed": made.pem(company.root, company.middle, leaf).decode(),
        "with root": made.pem(leaf, company.root, company.middle).decode(),
        "flat": made.pem(company.middle, leaf).decode().replace("\n", " "),
    }
    result = world.rotate(requested=entry(certificate=texts[order], ca=company.ca))
    assert (result["status"], result["outcome"]) == ("pass", "renewed")
    assert result["certificates"][0]["reasons"] == ["the certificate that was asked for is here"]
    assert world.served_is_good()
    served = blocks_of(base64.b64decode(world.secret()["data"]["tls.crt"]))
    assert [x509.load_der_x509_certificate(block.content) for block in served][:2] == [leaf, company.middle]
    assert kept_request(world) is None, "its key stands in the credential now"
    world.cluster.writes.clear()
    again = world.rotate(requested=entry(certificate=texts[order], ca=company.ca))
    assert (again["changed"], again["outcome"], world.cluster.writes) == (False, "fresh", [])
    assert "request" not in again["certificates"][0]


def test_the_next_request_is_made_when_the_answer_is_due_and_the_old_one_serves_on(
    world: RotatingWorld,
) -> None:
    company = Company(world.now)
    old = company.answer(asked(world)["request"])
    world.rotate(requested=entry(certificate=old, ca=company.ca))
    served = world.gateways.serving
    world.clock.time += 45 * 24 * 3600.0
    company.now = world.cluster.clock = world.now
    result = world.rotate(requested=entry(certificate=old, ca=company.ca))
    (certificate,) = result["certificates"]
    assert (result["status"], result["outcome"], certificate["action"]) == ("pass", "due", "requested")
    assert world.gateways.serving == served
    new = company.answer(certificate["request"])
    result = world.rotate(requested=entry(certificate=new, ca=company.ca))
    assert (result["status"], result["outcome"]) == ("pass", "renewed")
    assert world.gateways.serving != served
    assert ("apply", f"Secret {HOME}/api-prev") in world.cluster.writes, "the same rotation"
    assert (world.kept, kept_request(world)) == (None, None)


def test_an_answer_that_lacked_its_chain_may_be_given_again_whole(world: RotatingWorld) -> None:
    company = Company(world.now)
    leaf = company.leaf(asked(world)["request"])
    world.rotate(requested=entry(certificate=made.pem(leaf).decode()))
    again = company.leaf(asked_pem(world), end=world.now + 50 * DAY)
    whole = made.pem(again, company.middle).decode()
    assert world.rotate(requested=entry(certificate=whole, ca=company.ca))["status"] == "pass"
    assert kept_request(world) is None


def asked_pem(world: RotatingWorld) -> str:
    """A request of the key that is served now, as a CA keeps the first one."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(base64.b64decode(world.secret()["data"]["tls.key"]), None)
    builder = x509.CertificateSigningRequestBuilder().subject_name(made.name("x"))
    names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
    made_again = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return made_again.public_bytes(serialization.Encoding.PEM).decode()


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("expired", {"end": -1}, "the certificate is valid until"),
    ("not yet valid", {"begin": 1}, "the certificate is valid from"),
    ("another host", {"hosts": ("b.example.com",)}, "the certificate does not cover api.example.com"),
    ("a CA", {"ca": True}, "the certificate is a CA: such a key must not lie in a gateway's Secret"),
]


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_an_answer_that_must_not_be_served_is_refused(
    world: RotatingWorld, change: dict[str, Any], said: str
) -> None:
    company = Company(world.now)
    request = asked(world)["request"]
    dates = {
        name: world.now + value * DAY if isinstance(value, int) and name != "ca" else value
        for name, value in change.items()
    }
    if "end" in dates:
        dates["begin"] = world.now - 30 * DAY
    world.cluster.writes.clear()
    with pytest.raises(InputError) as caught:
        world.rotate(requested=entry(certificate=company.answer(request, **dates), ca=company.ca))
    assert str(caught.value).startswith(f"certificates_requested[0].certificate: {said}")
    assert "\n" not in str(caught.value)
    assert world.cluster.writes == []


def test_an_answer_of_another_key_is_refused_with_one_line(world: RotatingWorld) -> None:
    company, other = Company(world.now), made.ec_key()
    asked(world)
    foreign = made.certificate("x", other, issuer=("company issuing", company.middle_key), hosts=(HOST,))
    with pytest.raises(InputError) as caught:
        world.rotate(requested=entry(certificate=made.pem(foreign).decode()))
    assert str(caught.value) == (
        "certificates_requested[0].certificate: is not of the key of the request that waits "
        f"(Secret {HOME}/{REQUEST}) (foreign-answer)"
    )
    world.cluster.remove("Secret", REQUEST, HOME)
    with pytest.raises(InputError) as caught:
        world.rotate(requested=entry(certificate=made.pem(foreign).decode()))
    assert "answers no request: none waits" in str(caught.value)


def test_an_answer_of_another_ca_and_one_with_a_stranger_in_its_chain_are_refused(
    world: RotatingWorld,
) -> None:
    company = Company(world.now)
    request = asked(world)["request"]
    with pytest.raises(InputError, match="is not issued by the expected CA"):
        other = Company(world.now).ca
        world.rotate(requested=entry(certificate=company.answer(request), ca=other))
    stranger = company.answer(request) + made.pem(made.MIDDLE).decode()
    with pytest.raises(InputError, match=r"holds a certificate that is no part of the chain \(CN=middle\)"):
        world.rotate(requested=entry(certificate=stranger))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"certificate": "garbage"}, "certificates_requested[0].certificate: holds no PEM block (pem)"),
        ({"certificate": made.key_pem(made.LEAF_KEY).decode()}, "holds PRIVATE KEY beside certificates"),
        ({"ca": "x"}, "certificates_requested[0].ca: holds no PEM block (pem)"),
        ({"subject": "api"}, "certificates_requested[0].subject: is 'api', not a distinguished name"),
        ({"name": "other"}, "certificates_requested[0]: no gateway names the credential other"),
    ],
)
def test_what_is_given_wrongly_is_said(world: RotatingWorld, more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        world.rotate(requested=[{"name": "api", **more}])
    assert said in str(caught.value)
    assert made.key_pem(made.LEAF_KEY).decode().splitlines()[1] not in str(caught.value)
    assert world.cluster.writes == []


def test_one_credential_has_one_source(world: RotatingWorld) -> None:
    with pytest.raises(InputError) as caught:
        world.rotate(requested=entry(), existing=["api"], cert_manager=["api"])
    assert [str(problem) for problem in caught.value.problems] == [
        "certificates_existing[0]: api is also requested (one-source)",
        "certificates_cert_manager[0]: api is also requested (one-source)",
    ]


def test_somebody_else_s_secret_of_that_name_is_left_alone(world: RotatingWorld) -> None:
    world.cluster.put({"kind": "Secret", "metadata": {"name": REQUEST, "namespace": HOME}})
    with pytest.raises(RefusedError, match="is needed for the request of api"):
        world.rotate(requested=entry())
    assert world.cluster.writes == []


@pytest.mark.parametrize("damage", [{"tls.csr": "eA=="}, {"tls.key": "eA=="}, {"tls.key": "other"}])
def test_a_request_that_was_damaged_says_the_way_out(world: RotatingWorld, damage: dict[str, str]) -> None:
    asked(world)
    secret = kept_request(world)
    assert secret is not None
    other = base64.b64encode(made.key_pem(made.ec_key())).decode()
    secret["data"].update({key: other if value == "other" else value for key, value in damage.items()})
    with pytest.raises(RefusedError, match="delete it to have a new one made"):
        world.rotate(requested=entry())


def test_a_request_for_other_hosts_is_told_and_replaced_on_demand(world: RotatingWorld) -> None:
    asked(world)
    servers = [{"host": HOST, "certificate": "api"}, {"host": "b.example.com", "certificate": "api"}]
    gateways = [{"workload_namespace": HOME, "service_account": "gateway", "servers": servers}]
    result = world.rotate(requested=entry(), gateways=gateways)
    assert "asks for api.example.com: delete it to have" in result["certificates"][0]["reasons"][0]
    assert result["changed"] is False
    result = world.rotate(requested=entry(), gateways=gateways, force=["api"])
    request = x509.load_pem_x509_csr(result["certificates"][0]["request"].encode())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOST, "b.example.com"]


def test_check_mode_asks_for_nothing_and_foresees_the_run(world: RotatingWorld) -> None:
    foreseen = world.run(check=True, requested=entry())
    assert world.cluster.writes == []
    assert "request" not in foreseen["certificates"][0], "its key is thrown away"
    assert foreseen["objects"] == world.rotate(requested=entry())["objects"]
    company = Company(world.now)
    answer = company.answer(asked(world)["request"])
    world.cluster.writes.clear()
    foreseen = world.run(check=True, requested=entry(certificate=answer))
    assert (world.cluster.writes, foreseen["changed"]) == ([], True)
    assert world.rotate(requested=entry(certificate=answer))["objects"] == foreseen["objects"]


def test_a_leaked_key_and_an_expired_pair_are_no_pass_while_one_waits(world: RotatingWorld) -> None:
    company = Company(world.now)
    world.rotate(requested=entry(certificate=company.answer(asked(world)["request"]), ca=company.ca))
    with pytest.raises(
        MeshError, match="its key has leaked, and a new certificate has only been asked for"
    ) as told:
        world.rotate(requested=entry(), revoke=["api"])
    request = told.value.details["certificates"][0]["request"]
    leaked = world.gateways.serving
    answer = company.answer(request)
    result = world.rotate(requested=entry(certificate=answer), revoke=["api"])
    assert "no Secret of istio-system holds the old one" in result["certificates"][0]["proof"]["evidence"]
    assert world.gateways.serving != leaked
    assert ("apply", f"Secret {HOME}/api-prev") not in world.cluster.writes
    world.clock.time += 61 * 24 * 3600.0
    world.cluster.clock = world.now
    with pytest.raises(MeshError, match="and a new certificate has only been asked for"):
        world.rotate(requested=entry())


def test_a_pair_that_is_not_taken_leaves_the_request_waiting(world: RotatingWorld) -> None:
    company = Company(world.now)
    world.rotate(requested=entry(certificate=company.answer(asked(world)["request"])))
    world.gateways.known = {world.gateways.serving}
    request = asked(world, force=["api"])["request"]
    world.gateways.refuse_new = True
    with pytest.raises(MeshError, match="the previous certificate is back and served"):
        world.rotate(requested=entry(certificate=company.answer(request)))
    assert kept_request(world) is not None
    world.gateways.refuse_new = False
    assert world.rotate(requested=entry(certificate=company.answer(request)))["status"] == "pass"
    assert kept_request(world) is None


@pytest.mark.parametrize("key_type", ["ecdsa", "rsa"])
def test_the_key_is_of_the_type_that_is_asked_for(world: RotatingWorld, key_type: str) -> None:
    request = x509.load_pem_x509_csr(asked(world, key_type=key_type)["request"].encode())
    assert type(request.public_key()).__name__.lower().startswith({"ecdsa": "ec", "rsa": "rsa"}[key_type])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["ask", "answer"])
def test_killed_at_every_call_the_next_run_ends_it(
    monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    call = 0
    while True:
        call += 1
        world = RotatingWorld(monkeypatch)
        company = Company(world.now)
        first = company.answer(asked(world)["request"])
        world.rotate(requested=entry(certificate=first))
        params: dict[str, Any] = {"requested": entry(certificate=first), "force": ["api"]}
        if step == "answer":
            request = asked(world, force=["api"])["request"]
            params = {"requested": entry(certificate=company.answer(request))}
        cluster = world.cluster
        cluster.count, cluster.kill_at, cluster.after = 0, call, after
        with contextlib.suppress(KilledError):
            world.rotate(**params)
        reached = cluster.dead
        cluster.dead, cluster.kill_at = False, 0
        world.gateways.sync()
        assert world.served_is_good(), call
        result = world.rotate(**params)
        if step == "ask":
            assert result["certificates"][0]["request"], call
            secret = kept_request(world)
            assert secret is not None
            assert (
                world.rotate(**params)["certificates"][0]["request"] == result["certificates"][0]["request"]
            )
            assert kept_request(world) == secret, call
        else:
            assert (result["status"], kept_request(world), world.kept) == ("pass", None, None), call
            assert held_by(world.secret()) == world.gateways.serving, call
            cluster.writes.clear()
            assert world.rotate(**params)["changed"] is False, call
            assert cluster.writes == [], call
        if not reached:
            break
    assert call > 15
