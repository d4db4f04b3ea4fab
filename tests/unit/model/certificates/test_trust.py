# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dates, chains and bundles of a mesh's trust: each verdict beside the case that just does not get it."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates import trust
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.trust import (
    GATEWAY,
    MESH_ROOT,
    Limits,
    TrustEntry,
    TrustJudge,
    certificates_in,
    fingerprints,
    judge_life,
    same_certificates,
    share_left,
    worst,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.x509 import (
    CertificateFacts,
)

from ...support.certificates import (
    DAY,
    LEAF,
    LEAF_KEY,
    MIDDLE,
    MIDDLE_KEY,
    NOW,
    OTHER_ROOT,
    ROOT,
    ROOT_KEY,
    certificate,
    ec_key,
    key_pem,
    pem,
)

SECOND = datetime.timedelta(seconds=1)


def life(begin: datetime.datetime, end: datetime.datetime) -> CertificateFacts:
    return CertificateFacts("ab", "12", begin, end, ("a.example",), subject="CN=leaf", issuer="CN=root")


@pytest.mark.parametrize(
    ("begin", "end", "verdict", "reason"),
    [
        (NOW - 60 * DAY, NOW + 30 * DAY, "pass", ""),
        (NOW - 60 * DAY, NOW + 30 * DAY - SECOND, "due",
         "due: ends on 2026-12-23T11:59:59Z, 30.0 days from now: 33% of its life is left, less than 33%"),
        (NOW - 50 * DAY, NOW + 10 * DAY, "due",
         "due: ends on 2026-12-03T12:00:00Z, 10.0 days from now: 17% of its life is left, less than 33%"),
        (NOW - 50 * DAY, NOW + 10 * DAY - SECOND, "fail",
         "ending: ends on 2026-12-03T11:59:59Z, 10.0 days from now: 17% of its life is left, less than 17%"),
        (NOW - DAY, NOW + SECOND, "fail",
         "ending: ends on 2026-11-23T12:00:01Z, 0.0 days from now: 0% of its life is left, less than 17%"),
        (NOW - DAY, NOW, "fail", "expired: ended on 2026-11-23T12:00:00Z"),
        (NOW, NOW + DAY, "pass", ""),
        (NOW + SECOND, NOW + DAY, "fail", "future: is not valid before 2026-11-23T12:00:01Z"),
        (NOW - DAY, NOW - 2 * DAY, "fail", "expired: ended on 2026-11-21T12:00:00Z"),
        (NOW + DAY, NOW + DAY, "fail", "future: is not valid before 2026-11-24T12:00:00Z"),
    ],
)  # fmt: skip
def test_what_the_dates_say(
    begin: datetime.datetime, end: datetime.datetime, verdict: str, reason: str
) -> None:
    found, reasons = judge_life(life(begin, end), NOW, Limits())
    assert (found, "".join(f"{one.rule}: {one.message}" for one in reasons)) == (verdict, reason)


@pytest.mark.parametrize(
    ("begin", "end", "share"),
    [
        (NOW, NOW + DAY, 1.0),
        (NOW - DAY, NOW + 3 * DAY, 0.75),
        (NOW - DAY, NOW, 0.0),
        (NOW - 2 * DAY, NOW - DAY, -1.0),
        (NOW + DAY, NOW + DAY, -1.0),  # no life at all
        (NOW + 2 * DAY, NOW + DAY, -1.0),
    ],
)
def test_the_share_of_a_life_that_is_left(
    begin: datetime.datetime, end: datetime.datetime, share: float
) -> None:
    assert share_left(life(begin, end), NOW) == share


@pytest.mark.parametrize(
    ("verdicts", "one"),
    [
        ([], "cannot tell"),
        (["pass", "pass"], "pass"),
        (["pass", "due"], "due"),
        (["due", "cannot tell", "pass"], "cannot tell"),
        (["cannot tell", "fail", "due"], "fail"),
    ],
)
def test_the_worst_of_all_is_the_verdict(verdicts: list[str], one: str) -> None:
    assert worst(verdicts) == one


def test_an_entry_as_a_module_returns_it() -> None:
    entry = TrustJudge(NOW).entry(GATEWAY, "Secret a/b", "leaf", life(NOW - 50 * DAY, NOW + 9.5 * DAY))
    assert entry.as_result(NOW) == {
        "kind": "gateway",
        "where": "Secret a/b",
        "part": "leaf",
        "verdict": "fail",
        "reasons": [
            {
                "rule": "ending",
                "message": "ends on 2026-12-03T00:00:00Z, 9.5 days from now: 16% of its life is left, "
                "less than 17%",
            }
        ],
        "serial": "12",
        "fingerprint_sha256": "ab",
        "not_before": "2026-10-04T12:00:00Z",
        "not_after": "2026-12-03T00:00:00Z",
        "subject": "CN=leaf",
        "issuer": "CN=root",
        "days_left": 9.5,
        "share_left": 0.1597,
    }
    blank = TrustEntry(GATEWAY, "Secret a/b", "", "pass").as_result(NOW)
    assert blank == {"kind": "gateway", "where": "Secret a/b", "part": "", "verdict": "pass", "reasons": []}


LONG = {"ca": True, "end": NOW + 365 * DAY}
BELOW = certificate(
    "leaf", LEAF_KEY, issuer=("middle", MIDDLE_KEY), hosts=("api.example.com", "*.shop.example")
)
UNREADABLE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
Told = tuple[str, str, tuple[str, ...]]


def chain(text: bytes, **more: Any) -> list[Told]:
    entries = TrustJudge(NOW).chain(GATEWAY, "Secret a/b", text, **more)
    assert {(entry.kind, entry.where) for entry in entries} == {(GATEWAY, "Secret a/b")}
    return [
        (entry.part, entry.verdict, tuple(f"{one.rule}: {one.message}" for one in entry.reasons))
        for entry in entries
    ]


def outliving(end: datetime.datetime) -> Any:
    return certificate("leaf", LEAF_KEY, issuer=("middle", MIDDLE_KEY), hosts=("a.example",), end=end)


NO_PATH = ("path: is not issued by the certificate that follows it",)
NO_ROOT = ("path: is not issued by a root that is trusted here",)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (b"", {}, [("leaf", "fail", ("no-certificate: holds no PEM certificate",))]),
        (b"x", {"first": "signer"}, [("signer", "fail", ("no-certificate: holds no PEM certificate",))]),
        (pem(BELOW), {}, [("leaf", "pass", ())]),
        (pem(BELOW, MIDDLE), {}, [("leaf", "pass", ()), ("issuer 1", "pass", ())]),
        (pem(BELOW, MIDDLE, ROOT), {}, [("leaf", "pass", ()), ("issuer 1", "pass", ()), ("issuer 2", "pass", ())]),
        (pem(BELOW, MIDDLE), {"roots": pem(ROOT)}, [("leaf", "pass", ()), ("issuer 1", "pass", ())]),
        (pem(BELOW, MIDDLE), {"roots": pem(OTHER_ROOT, ROOT)}, [("leaf", "pass", ()), ("issuer 1", "pass", ())]),
        (pem(BELOW, MIDDLE), {"roots": pem(OTHER_ROOT)}, [("leaf", "pass", ()), ("issuer 1", "fail", NO_ROOT)]),
        (pem(BELOW), {"roots": pem(ROOT)}, [("leaf", "fail", NO_ROOT)]),
        (pem(BELOW), {"roots": pem(MIDDLE)}, [("leaf", "pass", ())]),
        (pem(ROOT), {"roots": pem(ROOT)}, [("leaf", "pass", ())]),
        (pem(BELOW, ROOT), {}, [("leaf", "fail", NO_PATH), ("issuer 1", "pass", ())]),
        # the certificate that follows decides, not one further on, nor a root besides
        (pem(BELOW, ROOT, MIDDLE), {}, [("leaf", "fail", NO_PATH), ("issuer 1", "fail", NO_PATH), ("issuer 2", "pass", ())]),
        (pem(BELOW, OTHER_ROOT), {"roots": pem(MIDDLE, OTHER_ROOT)},
         [("leaf", "fail", NO_PATH), ("issuer 1", "pass", ())]),
        (pem(outliving(NOW + 365 * DAY), MIDDLE), {}, [("leaf", "pass", ()), ("issuer 1", "pass", ())]),
        (pem(outliving(NOW + 365 * DAY + SECOND), MIDDLE), {},
         [("leaf", "fail", ("outlives: is valid until 2027-11-23T12:00:01Z, its issuer until 2027-11-23T12:00:00Z only",)),
          ("issuer 1", "pass", ())]),
        (pem(BELOW), {"hosts": ["api.example.com", "a.shop.example"]}, [("leaf", "pass", ())]),
        (pem(BELOW), {"hosts": ["api.example.com", "b.example", "a.b.shop.example"]},
         [("leaf", "fail", ("san: does not cover b.example, a.b.shop.example (its names: api.example.com, *.shop.example)",))]),
        (pem(certificate("x", LEAF_KEY)), {"hosts": ["b.example"]},
         [("leaf", "fail", ("san: does not cover b.example (its names: none)",))]),
        # only the leaf has to carry the names
        (pem(BELOW, MIDDLE), {"hosts": ["api.example.com"]}, [("leaf", "pass", ()), ("issuer 1", "pass", ())]),
        (key_pem(LEAF_KEY) + pem(BELOW), {},
         [("leaf", "fail", ("foreign-block: holds a block PRIVATE KEY beside certificates",)), ("issuer 1", "pass", ())]),
        (pem(BELOW) + UNREADABLE, {},
         [("leaf", "pass", ()), ("issuer 1", "fail", ("unreadable: holds a certificate that cannot be parsed",))]),
        (pem(certificate("leaf", LEAF_KEY, issuer=("middle", MIDDLE_KEY), hosts=("a.example",), begin=NOW - 90 * DAY,
                         end=NOW), MIDDLE), {"hosts": ["b.example"]},
         [("leaf", "fail", ("san: does not cover b.example (its names: a.example)", "expired: ended on 2026-11-23T12:00:00Z")),
          ("issuer 1", "pass", ())]),
    ],
)  # fmt: skip
def test_a_chain_block_by_block(text: bytes, options: dict[str, Any], expected: list[Told]) -> None:
    assert chain(text, **options) == expected


def test_of_two_roots_of_one_key_the_one_that_lives_longer_counts() -> None:
    short = certificate("root", ROOT_KEY, ca=True, end=NOW + 100 * DAY)
    middle = certificate("middle", MIDDLE_KEY, issuer=("root", ROOT_KEY), ca=True, end=NOW + 200 * DAY)
    assert chain(pem(middle), roots=pem(short, ROOT)) == [("leaf", "pass", ())]
    (only,) = chain(pem(middle), roots=pem(short))
    assert only[1] == "fail"
    assert only[2][0].startswith("outlives: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", [("root", "fail", "no-certificate")]),
        (pem(ROOT), [("root", "pass", "")]),
        (pem(ROOT, OTHER_ROOT), [("root 1", "pass", ""), ("root 2", "pass", "")]),
        (pem(ROOT) + UNREADABLE, [("root 1", "pass", ""), ("root 2", "fail", "unreadable")]),
        (pem(certificate("old", ec_key(), ca=True, begin=NOW - 99 * DAY, end=NOW + DAY), ROOT),
         [("root 1", "fail", "ending"), ("root 2", "pass", "")]),
        # what a parser leaves out without a word is no pass
        (pem(ROOT).rstrip() + pem(OTHER_ROOT), [("root", "fail", "skipped")]),
    ],
)  # fmt: skip
def test_a_bundle_block_by_block(text: bytes, expected: list[tuple[str, str, str]]) -> None:
    entries = TrustJudge(NOW).bundle(MESH_ROOT, "ConfigMap a/b", text)
    assert [
        (one.part, one.verdict, "".join(reason.rule for reason in one.reasons)) for one in entries
    ] == expected
    named = TrustJudge(NOW).bundle(MESH_ROOT, "ConfigMap a/b", text, "caBundle of x")
    assert [one.part for one in named] == [part.replace("root", "caBundle of x") for part, *_rest in expected]
    assert {(one.kind, one.where) for one in named} == {(MESH_ROOT, "ConfigMap a/b")}


def test_limits_are_those_of_the_kind() -> None:
    judge = TrustJudge(NOW, {MESH_ROOT: Limits(due=0.9, fail=0.8)})
    soon = life(NOW - 15 * DAY, NOW + 85 * DAY)
    assert judge.entry(MESH_ROOT, "x", "root", soon).verdict == "due"
    assert judge.entry(GATEWAY, "x", "leaf", soon).verdict == "pass"
    assert judge.entry(GATEWAY, "x", "leaf", life(NOW - DAY, NOW + DAY)).verdict == "pass"


def test_what_was_not_seen_and_what_is_wrong_without_dates() -> None:
    unknown, wrong = (
        TrustJudge(NOW).unknown("clock", "Node n", "no"),
        TrustJudge(NOW).wrong("clock", "Node n", "p", "r", "m"),
    )
    assert (unknown.part, unknown.verdict, unknown.reasons[0].rule, unknown.reasons[0].message, unknown.life) == (
        "", "cannot tell", "not-seen", "no", None,
    )  # fmt: skip
    assert (wrong.part, wrong.verdict, wrong.reasons[0].rule, wrong.reasons[0].message) == (
        "p",
        "fail",
        "r",
        "m",
    )


def test_bundles_are_compared_by_their_certificates() -> None:
    assert same_certificates(pem(ROOT, LEAF), b"# mine\n" + pem(LEAF) + b"\n\n" + pem(ROOT))
    assert not same_certificates(pem(ROOT, LEAF), pem(ROOT))
    assert fingerprints(pem(ROOT) + UNREADABLE) == fingerprints(pem(ROOT, ROOT))
    assert len(fingerprints(pem(ROOT, LEAF))) == 2
    assert fingerprints(b"x") == frozenset()
    assert [block.certificate for block in certificates_in(pem(ROOT, LEAF))] == [ROOT, LEAF]


def test_series_by_the_names_that_dashboards_and_alerts_ask_for() -> None:
    assert (trust.END_METRIC, trust.SHARE_METRIC, trust.VERDICTS_METRIC, trust.LOOKED_METRIC) == (
        "servicemesh_certificate_not_after_timestamp_seconds",
        "servicemesh_certificate_life_left_ratio",
        "servicemesh_trust_entries",
        "servicemesh_trust_last_look_timestamp_seconds",
    )
    assert trust.KINDS == (
        "gateway", "gateway CA", "client CA", "mesh CA", "mesh root", "istiod", "workload", "webhook",
        "remote cluster", "origination", "connection", "clock", "rotation",
    )  # fmt: skip
