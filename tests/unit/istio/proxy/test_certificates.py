# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of proxies, in the form of Envoy's ``/certs``: the mesh's own, in time and alone, are good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.certificates import (
    CertificateJudgement,
    Shown,
    foreign_certificates,
    judge_certificates,
    lives,
    serial_numbers,
    without_repetition,
)

from ...support.certificates import certificate, ec_key, pem

ME = "cluster.local/ns/a/sa/b"
NOW = 1_795_400_000.0  # 2026-11-23T02:13:20Z
BEFORE, AFTER = "2026-11-23T02:13:19Z", "2026-11-23T02:13:21Z"
EXACTLY = "2026-11-23T02:13:20Z"
GOOD = CertificateJudgement("pass")


def chain(*uris: str, begin: str = BEFORE, end: str = AFTER, **more: Any) -> dict[str, Any]:
    names = [{"uri": f"spiffe://{uri}"} for uri in (uris or (ME,))]
    return {"subject_alt_names": names, "valid_from": begin, "expiration_time": end, **more}


def root(serial: str = "a1", begin: str = BEFORE, end: str = AFTER) -> dict[str, Any]:
    return {"serial_number": serial, "valid_from": begin, "expiration_time": end}


def context(*chains: dict[str, Any], roots: tuple[dict[str, Any], ...] = (root(),)) -> dict[str, Any]:
    return {"cert_chain": list(chains), "ca_cert": list(roots)}


def judge(*contexts: Any, identity: str = ME, roots: tuple[str, ...] = ("a1", "b2")) -> CertificateJudgement:
    text = json.dumps({"certificates": list(contexts)})
    return judge_certificates(text, identity=identity, roots=frozenset(roots), now=NOW)


@pytest.mark.parametrize(
    "contexts",
    [
        [context(chain())],
        [context(chain(), root())],
        [context(chain(begin=EXACTLY))],
        [context(chain()), context(chain())],
        [context(chain(ME, ME))],
        [context(chain(), roots=(root("b2"), root("00A1")))],
        [context(chain()), context(roots=(root("ff"),))],
        [context(chain()), context({"expiration_time": "x"}, roots=())],
        [context(chain()), context({"subject_alt_names": [{"dns": "x"}], "expiration_time": "x"})],
    ],
)
def test_good_certificates(contexts: list[dict[str, Any]]) -> None:
    assert judge(*contexts) == GOOD


@pytest.mark.parametrize(
    ("contexts", "reason"),
    [
        ([], "serves no certificate"),
        ([context(roots=(root(),))], "serves no certificate"),
        ([context({"valid_from": BEFORE})], f"serves no identity, not spiffe://{ME}"),
        ([context(chain(end=BEFORE))], f"serves a certificate that expired {BEFORE}"),
        ([context(chain(end=EXACTLY))], f"serves a certificate that expired {EXACTLY}"),
        ([context(chain(), chain(end=BEFORE))], f"serves a certificate that expired {BEFORE}"),
        ([context(chain(begin=AFTER))], f"serves a certificate that is valid from {AFTER} on only"),
        ([context(chain("cluster.local/ns/a/sa/c"))], "serves spiffe://cluster.local/ns/a/sa/c, not"),
        ([context(chain(ME, "cluster.local/ns/a/sa/c"))], f"not spiffe://{ME} alone"),
        ([context(chain()), context(chain("cluster.local/ns/a/sa/c"))], f"not spiffe://{ME} alone"),
        ([context(chain(), roots=(root(end=BEFORE),))], f"trusts a root that expired {BEFORE}"),
        ([context(chain(), roots=(root(begin=AFTER),))], f"trusts a root that is valid from {AFTER}"),
        ([context(chain(), roots=(root("c3"),))], "trusts root c3, which is not the mesh's"),
        ([context(chain(), roots=(root("a1"), root("c3")))], "trusts root c3"),
        ([context(chain(end="?"), roots=(root("c3"),))], "trusts root c3"),
    ],
)
def test_bad_certificates(contexts: list[dict[str, Any]], reason: str) -> None:
    found = judge(*contexts)
    assert found.verdict == "fail"
    assert reason in found.reason


@pytest.mark.parametrize(
    ("contexts", "roots", "reason"),
    [
        ([context(chain(end="soon"))], ("a1",), "serves a certificate without readable dates"),
        ([context(chain(begin="soon"))], ("a1",), "serves a certificate without readable dates"),
        ([context(chain(), roots=(root(begin=""),))], ("a1",), "trusts a root without readable dates"),
        ([context(chain(), roots=())], ("a1",), "shows no root"),
        ([context(chain(), roots=(root(""),))], ("a1",), "shows no root"),
        ([context(chain())], (), "trusts a root that nothing is known of"),
        ([{"cert_chain": "x"}], ("a1",), "shows no certificates that can be read"),
    ],
)
def test_what_cannot_be_read_proves_nothing(contexts: list[Any], roots: tuple[str, ...], reason: str) -> None:
    found = judge(*contexts, roots=roots)
    assert found.verdict == "cannot tell"
    assert reason in found.reason


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"certificates": {}}'])
def test_another_answer_proves_nothing(text: str) -> None:
    found = judge_certificates(text, identity=ME, roots=frozenset({"a1"}), now=NOW)
    assert found == CertificateJudgement("cannot tell", "shows no certificates that can be read")


def test_where_the_trust_domain_is_unknown_the_rest_must_be_right() -> None:
    assert judge(context(chain()), identity="/ns/a/sa/b") == GOOD
    for other in ("/ns/a/sa/c", "/ns/b/sa/b", "/ns/a/sa"):
        found = judge(context(chain()), identity=other)
        assert found == CertificateJudgement("fail", f"serves spiffe://{ME}, not spiffe://{other[1:]} alone")


def test_what_a_real_proxy_shows_is_good() -> None:
    text = (Path(__file__).parents[1] / "fixtures" / "certs.json").read_text()
    real = {
        "identity": "cluster.local/ns/ecommerce/sa/product-service",
        "roots": frozenset({"af390c206042615bad127b02f93a53e7"}),
    }
    issued = 1_795_900_564.0  # 2026-11-28T21:16:04Z, two minutes after the certificate's begin
    assert judge_certificates(text, now=issued, **real) == GOOD
    assert judge_certificates(text, now=issued + 86_400, **real).verdict == "fail"


def test_contexts_that_repeat_are_kept_once() -> None:
    one, two = context(chain()), context(chain("x"))
    again = dict(reversed(list(one.items())))
    text = json.dumps({"certificates": [one, two, again]})
    assert json.loads(without_repetition(text)) == {"certificates": [one, two]}
    for other in ("", "<html>" * 1000, "[]", "{}", '{"certificates": 1}'):
        assert without_repetition(other) == other[:1000]


def test_serial_numbers_are_spelled_as_envoy_does() -> None:
    """Compared with what the library that made the certificates says."""
    made = [certificate(f"root {index}", ec_key(), ca=True) for index in range(20)]
    assert serial_numbers(pem(*made).decode()) == {f"{item.serial_number:x}" for item in made}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "AAAA",
        "MA==",
        "MAA=",
        "MAMCAQE=",
        "MIIB",
        "*",
        "MAkwAwIBBQ==",  # cut off
        "MAMwAQI=",
        "MAUwAwQBBQ==",
        "MQUwAwIBBQ==",
        "MAUxAwIBBQ==",
    ],
)
def test_no_serial_number_is_guessed(body: str) -> None:
    assert serial_numbers(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n") == frozenset()
    assert serial_numbers("no certificate") == frozenset()


def test_each_leaf_with_an_identity_lives_once() -> None:
    other = f"{ME}-2"
    text = json.dumps(
        {
            "certificates": [
                context(chain(), roots=()),
                context(chain()),
                context(chain(other, begin=EXACTLY)),
                context({**chain(), "subject_alt_names": [{"dns": "a.example.com"}]}),
                context(chain(end="soon")),
                {"ca_cert": []},
            ]
        }
    )
    assert lives(text) == [(NOW - 1, NOW + 1, f"spiffe://{ME}"), (NOW, NOW + 1, f"spiffe://{other}")]


@pytest.mark.parametrize("text", ["", "<html>", "[]", "{}", '{"certificates": 1}', '{"certificates": [1]}'])
def test_an_answer_without_certificates_has_no_lives(text: str) -> None:
    assert lives(text) == []


def test_certificates_of_others_are_shown_with_their_issuers() -> None:
    def other(serial: str, *dns: str, **more: Any) -> dict[str, Any]:
        names = [{"dns": name} for name in dns]
        return {**root(serial), "subject_alt_names": names, **more}

    leaf = other("0A", "a.example.com", "b.example.com", path="/etc/certs/tls.crt")
    text = json.dumps(
        {
            "certificates": [
                context(chain(), other("1")),  # the mesh's own, with what stands behind it
                context(leaf, other("0b", path="<inline>"), other("c", valid_from="x")),
                context(leaf),
                context(),
            ]
        }
    )
    assert foreign_certificates(text) == [
        Shown("a", NOW - 1, NOW + 1, ("a.example.com", "b.example.com"), "/etc/certs/tls.crt"),
        Shown("b", NOW - 1, NOW + 1),
    ]
    for broken in ("", "[]", "{", '{"certificates": 5}', '{"certificates": [{"cert_chain": 5}]}'):
        assert foreign_certificates(broken) == []
