# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CA for istiod: what is refused before it is written, and the way from one to another."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.mesh_ca import (
    BOTH,
    CA_LIST,
    NEW,
    OLD,
    PLUGGED,
    SELF_SIGNED,
    SWITCHED,
    Bundle,
    bundle_of,
    check_bundle,
    prints_of,
    read_bundle,
    same_names,
    secret_data,
    stages_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.pem import (
    UnreadablePemError,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from ...support.certificates import DAY, NOW, RSA_1024, certificate, ec_key, key_pem, name, pem

ROOT_KEY, KEY, OTHER_KEY = ec_key(), ec_key(), ec_key()
ROOT = certificate("mesh root", ROOT_KEY, ca=True, end=NOW + 3650 * DAY)
OTHER = certificate("other root", OTHER_KEY, ca=True, end=NOW + 3000 * DAY)


def authority(
    subject: str = "mesh CA",
    key: Any = KEY,
    issuer: tuple[str, Any] = ("mesh root", ROOT_KEY),
    *,
    ca: bool = True,
    levels: int | None = 0,
    signs: bool = True,
    end: Any = NOW + 700 * DAY,
    begin: Any = NOW - DAY,
    purposes: Any = None,
    identified: bool = True,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer[0]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=levels if ca else None), critical=True)
        .add_extension(
            x509.KeyUsage(not signs, False, False, False, False, signs, False, False, False), critical=True
        )
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if identified:
        known = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        builder = builder.add_extension(known, critical=False)
    return builder.sign(issuer[1], hashes.SHA256())


def bundle(*chain: x509.Certificate, key: Any = KEY, roots: tuple[x509.Certificate, ...] = (ROOT,)) -> Bundle:
    links = chain or (authority(),)
    return Bundle(pem(links[0]), key_pem(key), pem(*links), pem(*roots))


def its_own_root(**more: Any) -> x509.Certificate:
    return authority("own", OTHER_KEY, ("own", OTHER_KEY), levels=None, **more)


def rules(found: Bundle) -> set[str]:
    return {fault.rule for fault in check_bundle(found, NOW)}


@pytest.mark.parametrize(
    "good",
    [
        bundle(),
        bundle(ROOT, key=ROOT_KEY),
        bundle(roots=(ROOT, OTHER)),
        bundle(authority(purposes=[ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])),
        bundle(authority(purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
        bundle(authority(), ROOT),
        bundle(authority(end=ROOT.not_valid_after_utc)),
        bundle(authority(begin=NOW)),
        # How a root may be used is nobody's question: it is there to be trusted.
        bundle(roots=(ROOT, its_own_root(purposes=[ExtendedKeyUsageOID.SERVER_AUTH]))),
    ],
)
def test_a_good_one_is_taken(good: Bundle) -> None:
    assert check_bundle(good, NOW) == []


def unreadable(subject: x509.Name) -> x509.Certificate:
    """A CA whose basic constraints are no ASN.1."""
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x01")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(name("mesh root"))
        .public_key(KEY.public_key())
        .serial_number(0xABC)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 700 * DAY)
        .add_extension(broken, critical=True)
        .sign(ROOT_KEY, hashes.SHA256())
    )


@pytest.mark.parametrize(
    ("subject", "called"), [(name("mesh CA"), "CN=mesh CA"), (x509.Name([]), "serial abc")]
)
def test_extensions_that_are_none_are_told_with_whose_they_are(subject: x509.Name, called: str) -> None:
    told = [(fault.rule, fault.message) for fault in check_bundle(bundle(unreadable(subject)), NOW)]
    assert ("certificate", f"{called} has extensions that cannot be parsed") in told


MIDDLE_KEY = ec_key()
MIDDLE = authority("middle", MIDDLE_KEY, levels=1)
BELOW = authority(issuer=("middle", MIDDLE_KEY), end=NOW + 600 * DAY)


def test_a_chain_is_put_in_order() -> None:
    upper = authority("upper", OTHER_KEY, levels=2)
    middle = authority("middle", MIDDLE_KEY, ("upper", OTHER_KEY), levels=1, end=NOW + 650 * DAY)
    found = read_bundle(text(BELOW), key_pem(KEY).decode(), text(upper, ROOT, middle), "")
    assert (found.chain, found.roots) == (pem(BELOW, middle, upper), pem(ROOT))
    assert check_bundle(found, NOW) == []


def test_a_longer_chain_is_taken() -> None:
    assert check_bundle(bundle(BELOW, MIDDLE), NOW) == []


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (bundle(key=OTHER_KEY), "key-mismatch"),
        (bundle(authority(ca=False)), "not-a-ca"),
        (bundle(authority(signs=False)), "not-a-ca"),
        (bundle(roots=(OTHER,)), "root"),
        (bundle(roots=(ROOT, authority())), "root"),
        # of one name with what signed it, which is another key
        (
            bundle(roots=(ROOT, authority("twin", KEY, ("twin", OTHER_KEY), levels=None, identified=False))),
            "root",
        ),
        (bundle(roots=(ROOT, its_own_root(ca=False))), "not-a-ca"),
        (bundle(roots=(ROOT, its_own_root(signs=False))), "not-a-ca"),
        (bundle(roots=(ROOT, its_own_root(end=NOW))), "expired"),
        (bundle(BELOW, authority("middle", MIDDLE_KEY, levels=0)), "path-length"),
        (bundle(BELOW), "root"),
        (bundle(MIDDLE, BELOW, key=MIDDLE_KEY), "path"),
        (bundle(authority(end=NOW)), "expired"),
        (bundle(authority(begin=NOW + DAY)), "future"),
        (bundle(authority(end=NOW + DAY)), "ending"),
        (bundle(authority(end=NOW + 4000 * DAY)), "outlives"),
        (bundle(authority(purposes=[ExtendedKeyUsageOID.SERVER_AUTH])), "usage"),
        (bundle(authority(purposes=[ExtendedKeyUsageOID.CODE_SIGNING])), "usage"),
        (dataclasses.replace(bundle(), key=b""), "key"),
        (dataclasses.replace(bundle(), roots=b""), "root"),
        (dataclasses.replace(bundle(), chain=b"x"), "chain"),
        (dataclasses.replace(bundle(), certificate=b""), "certificate"),
        (dataclasses.replace(bundle(), chain=pem(ROOT)), "chain"),
        (dataclasses.replace(bundle(), roots=pem(ROOT).rstrip() + pem(OTHER)), "root"),
        (dataclasses.replace(bundle(), roots=b"\n" * 1024 * 1024), "size"),
    ],
)
def test_a_bad_one_is_refused(bad: Bundle, rule: str) -> None:
    found = check_bundle(bad, NOW)
    assert rule in {fault.rule for fault in found}
    for fault in found:
        assert "PRIVATE" not in fault.message
        assert "\n" not in fault.message


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 1024),  # noqa: S505  # weak on purpose: it must be refused
    ],
)
def test_keys_that_proxies_do_not_take_are_refused(key: Any) -> None:
    assert rules(dataclasses.replace(bundle(), key=key_pem(key))) == {"key"}


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)]
)
def test_other_keys_are_taken(key: Any) -> None:
    assert rules(bundle(authority(key=key), key=key)) == set()


def text(*certificates: x509.Certificate) -> str:
    return pem(*certificates).decode()


def test_what_people_hand_over_is_written_as_istiod_reads_it() -> None:
    mangled = "\ufeff" + text(ROOT, MIDDLE, BELOW).replace("\n", "\r\n")
    blanks = " ".join(key_pem(KEY).decode().split("\n"))
    found = read_bundle(text(BELOW), blanks.replace("----- ", "-----\n", 1), mangled, "")
    assert (found.certificate, found.chain, found.roots) == (pem(BELOW), pem(BELOW, MIDDLE), pem(ROOT))
    assert check_bundle(found, NOW) == []
    assert read_bundle(text(BELOW, MIDDLE), key_pem(KEY).decode(), "", text(ROOT, ROOT)).roots == pem(ROOT)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (("x", "", "", ""), "certificate: "),
        ((text(ROOT), "x", "", ""), "private_key: "),
        ((text(ROOT), "", "x", ""), "chain: "),
        ((text(ROOT), "", "", "x"), "roots: "),
        ((text(authority()), key_pem(KEY).decode(), "", ""), "roots: are not given"),
    ],
)
def test_what_cannot_be_read_is_named(parts: tuple[str, str, str, str], told: str) -> None:
    with pytest.raises(UnreadablePemError) as caught:
        read_bundle(*parts)
    assert str(caught.value).startswith(told)


def test_both_forms_of_the_secret_are_read_as_istiod_does() -> None:
    held = bundle(BELOW, MIDDLE)
    for tls in (False, True):
        assert bundle_of({"data": secret_data(held, tls=tls)}) == held
    both = {**secret_data(bundle(), tls=False), **secret_data(held, tls=True)}
    assert bundle_of({"data": both}) == held, "tls.crt goes before ca-cert.pem"
    assert bundle_of(None) is None
    alone = {
        key: secret_data(bundle(ROOT, key=ROOT_KEY), tls=False)[key] for key in ("ca-cert.pem", "ca-key.pem")
    }
    assert bundle_of({"data": alone}) == bundle(ROOT, key=ROOT_KEY), "as istio-ca-secret has it"


def test_no_key_is_in_a_repr() -> None:
    held = bundle()
    for shown in (repr(held), repr(stages_of(held, held, live=False)), str(held)):
        assert "PRIVATE" not in shown
        assert "LS0t" not in shown


SELF = bundle(ROOT, key=ROOT_KEY)
NEXT = bundle(authority("next", OTHER_KEY, ("other root", OTHER_KEY)), key=OTHER_KEY, roots=(OTHER,))


@pytest.mark.parametrize(
    ("old", "new", "live", "names"),
    [
        (SELF, NEXT, False, [OLD, BOTH, SWITCHED, NEW]),
        (SELF, NEXT, True, [OLD, BOTH, SWITCHED, NEW]),
        (SELF, bundle(), False, [OLD, NEW]),
        (dataclasses.replace(SELF, roots=pem(ROOT, OTHER)), NEXT, False, [OLD, SWITCHED, NEW]),
        (SELF, dataclasses.replace(NEXT, roots=pem(OTHER, ROOT)), False, [OLD, BOTH, NEW]),
        (SELF, dataclasses.replace(NEXT, roots=pem(ROOT, OTHER)), True, [OLD, BOTH, NEW]),
    ],
)
def test_nobody_is_cut_off_on_the_way(old: Bundle, new: Bundle, live: bool, names: list[str]) -> None:
    """Between two stages the roots grow, or shrink below a signer that stays, or it is switched."""
    stages = stages_of(old, new, live=live)
    assert [stage.name for stage in stages] == names
    for before, after in itertools.pairwise(stages):
        held, then = prints_of(before.bundle.trusted), prints_of(after.bundle.trusted)
        if before.bundle.certificate != after.bundle.certificate:
            assert held == then, "the signer changes below the same roots only"
        else:
            assert held <= then or then <= held, "istiod takes other lists of roots over by this rule only"
        if then < held:
            assert before.bundle.certificate == new.certificate
    assert stages[-1].hold == prints_of(new.trusted)
    assert not stages[-1].hold & stages[-1].drop
    assert stages[0].bundle == old


def test_roots_of_one_name_need_identifiers() -> None:
    twin_key = ec_key()
    twin = certificate("mesh root", twin_key, ca=True, end=NOW + 900 * DAY)
    for identified, found in ((True, 0), (False, 1)):
        signer = authority("twin CA", OTHER_KEY, ("mesh root", twin_key), identified=identified)
        new = bundle(signer, key=OTHER_KEY, roots=(twin,))
        assert len(same_names(SELF, new)) == found


def test_what_a_bundle_says_of_itself() -> None:
    found = bundle(BELOW, MIDDLE, roots=(ROOT, OTHER, ROOT))
    assert found.signer == BELOW
    assert found.trusted == (ROOT, OTHER)
    assert found.fingerprint == BELOW.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize(("oid", "rule"), [("05", "hash"), ("04", "hash"), ("0b", "")])
def test_signatures_that_can_be_forged_are_refused(oid: str, rule: str) -> None:
    """``...0105`` is RSA with SHA-1, ``...0104`` with MD5, ``...010b`` with SHA-256."""
    signed = authority(issuer=("mesh root", RSA_1024))
    prefix = bytes.fromhex("2a864886f70d0101")
    der = signed.public_bytes(serialization.Encoding.DER)
    forged = x509.load_der_x509_certificate(der.replace(prefix + b"\x0b", prefix + bytes.fromhex(oid)))
    assert ("hash" in rules(bundle(forged))) is (rule == "hash")


def test_the_names_by_which_istiod_finds_its_ca() -> None:
    """security/pkg/pki/ca/ca.go."""
    found = bundle(BELOW, MIDDLE)
    names = {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}
    assert set(secret_data(found, tls=False)) == names
    assert (PLUGGED, SELF_SIGNED, CA_LIST) == ("cacerts", "istio-ca-secret", "ca-crl.pem")


def test_the_same_roots_in_another_order_are_no_change_of_roots() -> None:
    before = dataclasses.replace(SELF, roots=pem(ROOT, OTHER))
    after = dataclasses.replace(bundle(BELOW, MIDDLE), roots=pem(OTHER, ROOT))
    stages = stages_of(before, after, live=False)
    assert [stage.name for stage in stages] == [OLD, NEW]
    assert stages[-1].bundle.roots == before.roots


@pytest.mark.parametrize("live", [True, False])
def test_roots_that_all_stay_are_never_turned_round(*, live: bool) -> None:
    """A turn makes every proxy ask for a new certificate: where no root goes, nobody has to."""
    chain = authority("next", OTHER_KEY, ("other root", OTHER_KEY))
    after = bundle(chain, key=OTHER_KEY, roots=(OTHER, ROOT))
    stages = stages_of(SELF, after, live=live)
    assert {stage.bundle.roots for stage in stages[1:]} == {pem(OTHER, ROOT)}
