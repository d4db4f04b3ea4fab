"""Bad certificates are refused before they are written."""

from __future__ import annotations

import base64
import datetime
import hashlib
import importlib.util
import sys

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates import x509 as certificates
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Credential,
    Lifetimes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.pem import (
    UnreadablePemError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.secret import (
    Assessment,
    assess,
    leaf_facts,
    secret_object,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.x509 import (
    check_authority,
    check_pair,
    facts_of,
    issued_by,
    kind_of_key,
    lifetime_faults,
    read_ca_key,
    read_chain,
    read_key,
    read_request,
    request_names,
    roots_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.issue import (
    fingerprint,
    load_authority,
    new_authority,
    new_leaf,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from ...support import certificates as made

NOW, DAY = made.NOW, made.DAY
HOSTS = ("api.example.com",)
A_CA = (x509.BasicConstraints(ca=True, path_length=None), True)
OF_THE_HOST = (x509.SubjectAlternativeName([x509.DNSName(HOSTS[0])]), False)
BY_ROOT = ("root", made.ROOT_KEY)


def leaf(**changes):
    return made.certificate("leaf", made.LEAF_KEY, **{"issuer": BY_ROOT, "hosts": HOSTS, **changes})


def rules(chain=None, key=None, *, hosts=HOSTS, roots=(made.ROOT,), **extra):
    faults = check_pair(
        chain if chain is not None else made.pem(made.LEAF),
        key if key is not None else made.key_pem(made.LEAF_KEY),
        hosts=hosts,
        roots=roots,
        now=NOW,
        **extra,
    )
    return [fault.rule for fault in faults]


def test_a_good_pair_has_no_faults():
    assert rules() == []


def test_intermediates_in_order_lead_to_the_root():
    below = leaf(issuer=("middle", made.MIDDLE_KEY))
    assert rules(made.pem(below, made.MIDDLE)) == []
    assert rules(made.pem(below, made.MIDDLE, made.ROOT)) == []
    assert rules(made.pem(below)) == ["path"]
    assert rules(made.pem(below, made.MIDDLE), roots=()) == []
    assert "path" in rules(made.pem(below, made.ROOT, made.MIDDLE))
    assert "path" in rules(made.pem(made.MIDDLE, below))


BAD = {
    "no certificate at all": (b"nonsense", None, "certificate"),
    "DER": (base64.b64decode(b"MAA="), None, "certificate"),
    "broken base64": (made.pem(made.LEAF).replace(b"MI", b"!!", 1), None, "certificate"),
    "a key in the chain": (made.pem(made.LEAF) + made.key_pem(made.LEAF_KEY), None, "certificate"),
    "another key": (None, made.key_pem(made.OTHER_KEY), "key-mismatch"),
    "an encrypted key": (None, made.key_pem(made.LEAF_KEY, b"secret"), "key"),
    "a weak RSA key": (None, made.key_pem(made.RSA_1024), "key"),
    "an unusual curve": (None, made.key_pem(made.ec_key(ec.SECP521R1())), "key"),
    "Ed448": (None, made.key_pem(ed448.Ed448PrivateKey.generate()), "key"),
    "no key": (None, b"", "key"),
    "expired": (made.pem(leaf(end=NOW - DAY / 24)), None, "expired"),
    "not yet valid": (made.pem(leaf(begin=NOW + DAY)), None, "future"),
    "valid for a minute": (made.pem(leaf(begin=NOW - DAY / 1440)), None, "future"),
    "another name": (made.pem(leaf(hosts=("other.example.com",))), None, "san"),
    "no name": (made.pem(leaf(hosts=())), None, "san"),
    "a CA": (made.pem(leaf(ca=True)), None, "is-ca"),
    "for clients": (made.pem(leaf(usage=ExtendedKeyUsageOID.CLIENT_AUTH)), None, "usage"),
    "another CA": (made.pem(leaf(issuer=("other", made.OTHER_KEY))), None, "path"),
    "a forged issuer name": (made.pem(leaf(issuer=("root", made.OTHER_KEY))), None, "path"),
    "too large": (made.pem(made.LEAF) + b"#" * 1024 * 1024, None, "size"),
}


def test_what_an_intermediate_may_not_certify_is_named():
    no_ca = made.certificate("middle", made.MIDDLE_KEY, issuer=BY_ROOT, ca=False, end=NOW + 90 * DAY)
    found = check_pair(
        made.pem(leaf(issuer=("middle", made.MIDDLE_KEY)), no_ca),
        made.key_pem(made.LEAF_KEY),
        hosts=HOSTS,
        roots=(made.ROOT,),
        now=NOW,
    )
    assert [(fault.rule, fault.message) for fault in found] == [("issuer", "intermediate 1 is no CA")]


def test_a_root_that_may_not_sign_is_refused_as_clients_do():
    key = made.ec_key()
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    root = made.unsigned("own", "own", key, A_CA, (identifier, False), (usage, True), end=NOW + 900 * DAY)
    roots = (root.sign(key, hashes.SHA256()),)
    assert rules(made.pem(leaf(issuer=("own", key))), roots=roots) == ["path"]


def test_dates_of_roots_and_numbers_at_their_edge():
    just_now = made.certificate("root", made.ROOT_KEY, ca=True, begin=NOW, end=NOW + 900 * DAY)
    assert rules(roots=(just_now,)) == []
    over = made.certificate("root", made.ROOT_KEY, ca=True, begin=NOW - 9 * DAY, end=NOW)
    assert "expired" in rules(roots=(over,))
    assert rules(roots=(over, just_now)) == []
    assert rules(made.pem(leaf(number=1))) == []


def test_what_stands_behind_the_path_is_for_clients_of_another_root():
    twin = made.certificate(
        "middle", made.MIDDLE_KEY, issuer=("other", made.OTHER_KEY), ca=True, end=NOW + 90 * DAY
    )
    below = leaf(issuer=("middle", made.MIDDLE_KEY))
    assert rules(made.pem(below, made.MIDDLE, twin)) == []
    assert rules(made.pem(below, made.MIDDLE, twin, made.OTHER_ROOT)) == []


def test_ed25519_is_left_to_the_rules_that_know_it():
    key = ed25519.Ed25519PrivateKey.generate()
    own = made.certificate("leaf", key, issuer=BY_ROOT, hosts=HOSTS)
    assert rules(made.pem(own), made.key_pem(key)) == []
    root = made.unsigned("own", "own", key, A_CA, end=NOW + 900 * DAY)
    below = made.unsigned("leaf", "own", made.LEAF_KEY, OF_THE_HOST)
    assert rules(made.pem(below.sign(key, None)), roots=(root.sign(key, None),)) == []


@pytest.mark.parametrize(("days", "found"), [(825, []), (826, ["too-long"])])
def test_a_certificate_that_lives_longer_than_clients_allow(days, found):
    one = made.pem(leaf(begin=NOW, end=NOW + days * DAY))
    assert [fault.rule for fault in lifetime_faults(one)] == found
    assert lifetime_faults(b"nonsense") == []


def test_a_critical_extension_that_nobody_knows_is_named():
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")

    def with_it(*, critical):
        builder = made.unsigned("leaf", "root", made.LEAF_KEY, OF_THE_HOST, (strange, critical))
        return made.pem(builder.sign(made.ROOT_KEY, hashes.SHA256()))

    assert rules(with_it(critical=True), roots=()) == ["extension"]
    assert rules(with_it(critical=False), roots=()) == []


def test_a_key_of_another_kind_than_is_wanted_is_renewed_where_it_is_ours():
    credential = Credential("istio-system", "api", HOSTS)
    assert assessed(secret(), credential, key_type="ecdsa").action == "keep"
    found = assessed(secret(), credential, key_type="rsa")
    assert (found.action, found.reasons) == (
        "renew",
        ("its key is ecdsa, and certificates_key_type rsa",),
    )
    given = Credential("istio-system", "api", HOSTS, source="provided")
    assert assessed(secret(), given, key_type="rsa").action == "keep"


def test_without_its_package_nothing_of_it_is_there(monkeypatch):
    """Modules ask for it by this before they begin."""
    assert certificates.HAS_CRYPTOGRAPHY is True
    monkeypatch.setitem(sys.modules, "cryptography", None)
    found = importlib.util.spec_from_file_location(f"{certificates.__name__}_without", certificates.__file__)
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, found.name, module)
    found.loader.exec_module(module)
    assert module.HAS_CRYPTOGRAPHY is False


def test_a_certificate_request_is_read_or_told():
    key = made.ec_key()
    names = x509.SubjectAlternativeName([x509.DNSName("a.example.com"), x509.DNSName("*.b.example.com")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(made.name("x"))
    for request, found in (
        (builder.add_extension(names, critical=False), ("a.example.com", "*.b.example.com")),
        (builder, ()),
    ):
        text = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        assert request_names(read_request(made.pem(made.LEAF) + text)) == found
    with pytest.raises(UnreadablePemError, match=r"^holds no PEM certificate request$"):
        read_request(made.pem(made.LEAF))
    broken = b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
    with pytest.raises(UnreadablePemError, match=r"^holds a certificate request that cannot be parsed$"):
        read_request(broken)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ecdsa"),
        (ec.generate_private_key(ec.SECP384R1()), "ecdsa"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (rsa.generate_private_key(65537, 2048), "rsa"),
    ],
)
def test_kinds_of_keys(key, kind):
    assert kind_of_key(made.key_pem(key)) == kind
    if kind == "ed25519":
        with pytest.raises(UnreadablePemError, match="is not known to work as a mesh's CA"):
            read_ca_key(made.key_pem(key))
    else:
        assert read_ca_key(made.key_pem(key)).key_size == key.key_size


@pytest.mark.parametrize("case", BAD)
def test_a_bad_pair_is_named(case):
    chain, key, rule = BAD[case]
    assert rule in rules(chain, key)


def test_an_expired_intermediate_is_named():
    middle = made.certificate("middle", made.MIDDLE_KEY, issuer=BY_ROOT, ca=True, end=NOW - DAY / 24)
    assert "expired" in rules(made.pem(leaf(issuer=("middle", made.MIDDLE_KEY)), middle))


def test_a_certificate_is_over_at_its_last_second():
    second = datetime.timedelta(seconds=1)
    assert rules(made.pem(leaf(end=NOW + second)), roots=()) == []
    assert rules(made.pem(leaf(end=NOW)), roots=()) == ["expired"]


def test_a_certificate_begins_early_enough_for_slow_clocks():
    five = datetime.timedelta(minutes=5)
    assert rules(made.pem(leaf(begin=NOW - five)), roots=()) == []
    assert rules(made.pem(leaf(begin=NOW - five + datetime.timedelta(seconds=1))), roots=()) == ["future"]


def test_a_file_with_anything_beside_certificates_is_refused():
    """A chain that somebody put the key into would hand it to every client."""
    both = made.pem(made.LEAF) + made.key_pem(made.LEAF_KEY)
    with pytest.raises(UnreadablePemError, match=r"^holds PRIVATE KEY beside certificates$"):
        read_chain(both)
    assert rules(both) == ["certificate"]
    with pytest.raises(UnreadablePemError, match=r"^holds no PEM certificate$"):
        read_chain(b"nothing")
    with pytest.raises(UnreadablePemError, match=r"^holds a certificate that cannot be parsed$"):
        read_chain(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")


def test_size_counts_certificate_and_key_together():
    """A Secret ends at 1 MiB (ValidateSecret, MaxSecretSize)."""
    half = 512 * 1024
    assert rules(b"x" * half, b"x" * half) == ["certificate"]
    assert rules(b"x" * half, b"x" * (half + 1)) == ["size"]


def test_facts_as_a_result():
    facts = facts_of(made.LEAF).as_result()
    assert facts == {
        "fingerprint_sha256": hashlib.sha256(made.LEAF.public_bytes(serialization.Encoding.DER)).hexdigest(),
        "serial": f"{made.LEAF.serial_number:x}",
        "not_before": "2026-11-22T12:00:00Z",
        "not_after": "2027-01-22T12:00:00Z",
        "dns_names": ["api.example.com"],
        "subject": "CN=leaf",
        "issuer": "CN=root",
    }


# Made by `openssl req -x509 -newkey ... -md5`: the cryptography package signs with neither any more.
MD5 = (
    "MIIB+jCCAWOgAwIBAgIUdXIM1del8vJ7X+RHgFrpc264YAgwDQYJKoZIhvcNAQEEBQAwDjEMMAoGA1UEAwwDbWQ1MCAXDTI2"
    "MTEyODIyMDQxMVoYDzIwOTgwMjAzMjIwNDExWjAOMQwwCgYDVQQDDANtZDUwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGB"
    "ANVHwawDBzM1gOhtXlDFq6LJR5hKgcSWdpI1FXXLRLl7xEkk5cmTcsfjaqO5gryF6b4DdpPd/vk4CcYbobKWSb84T2+GEHcb"
    "vaWn6hXNho4fImMXEDC3a8IPkn9g94cP0IlvgIqgqP0608EEzMLEaS74qOniR84tqYAzUA+S7JvRAgMBAAGjUzBRMB0GA1Ud"
    "DgQWBBR1Fn5ZefvTDzl+fzgSwCpCF7s5KzAfBgNVHSMEGDAWgBR1Fn5ZefvTDzl+fzgSwCpCF7s5KzAPBgNVHRMBAf8EBTAD"
    "AQH/MA0GCSqGSIb3DQEBBAUAA4GBADzB9evpFP71t5z7wpN/jpao32Aus/Tvlh5N6F9EBiyvzgDJpxupaO4WhMZHoZY0AiGx"
    "PXYnCn5zf65yDBmsR6J0NJQWxsUUfkytflDUdckgdqW8QKvN9BmFCnYGwDUSMqH2MVo2ipN3LjyCBxGp1l0pObYLdIjuSECk"
    "RK8IdfoO"
)
SHA1 = (
    "MIIBdDCCARqgAwIBAgIUGDcEYhh+pZu9MJRKkZe73kYEiYIwCQYHKoZIzj0EATAPMQ0wCwYDVQQDDARzaGExMCAXDTI2MTEy"
    "ODIyMDQxMVoYDzIwOTgwMjAzMjIwNDExWjAPMQ0wCwYDVQQDDARzaGExMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfqoA"
    "tPX8kaSxFSxvMfmRz1B7jVsyBh46GaYKl66EoBaOg5El10MBgl9cE+54fzAViDHB2D9FMy6yz8wXCCMtA6NTMFEwHQYDVR0O"
    "BBYEFKgGEYPsagaCWMv5hUHIK8lHC4osMB8GA1UdIwQYMBaAFKgGEYPsagaCWMv5hUHIK8lHC4osMA8GA1UdEwEB/wQFMAMB"
    "Af8wCQYHKoZIzj0EAQNJADBGAiEAoYExCCXeHBlBTwG7ZdTu82vArfieRjuAvJLMf7RTQEwCIQC4nm5DII+inHE46iFzP9D+"
    "s08xbqmjjI0LDTNLIGo5Rw=="
)


@pytest.mark.parametrize(("text", "name"), [(MD5, "md5"), (SHA1, "sha1")])
def test_signatures_that_can_be_forged_are_refused(text, name):
    pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode()
    now = datetime.datetime(2027, 6, 1, tzinfo=datetime.UTC)
    faults = check_pair(pem, made.key_pem(made.LEAF_KEY), hosts=(), roots=(), now=now)
    assert [fault.message for fault in faults if fault.rule == "hash"] == [
        f"certificate 0 of the chain is signed with {name}"
    ]


def test_dates_are_told_of_the_right_certificate():
    over = made.certificate(
        "middle", made.MIDDLE_KEY, issuer=BY_ROOT, ca=True, begin=NOW - 9 * DAY, end=NOW - DAY
    )
    late = leaf(issuer=("middle", made.MIDDLE_KEY), begin=NOW + DAY)
    faults = check_pair(
        made.pem(late, over), made.key_pem(made.LEAF_KEY), hosts=HOSTS, roots=(made.ROOT,), now=NOW
    )
    assert [fault.message for fault in faults] == [
        "the certificate is valid from 2026-11-24T12:00:00Z only, too late for clocks that run slow",
        "intermediate 1 is valid until 2026-11-22T12:00:00Z only",
    ]


def test_only_the_next_certificate_may_be_the_issuer():
    """A chain out of order is not sorted for anybody: clients read it as it is sent (RFC 8446, 4.4.2)."""
    faults = check_pair(
        made.pem(made.LEAF, made.MIDDLE, made.ROOT),
        made.key_pem(made.LEAF_KEY),
        hosts=HOSTS,
        roots=(made.ROOT,),
        now=NOW,
    )
    assert [fault.message for fault in faults] == [
        "certificate 0 of the chain is not issued by the next one in the chain"
    ]


def test_a_ca_is_valid_from_its_first_second_to_its_last():
    second = datetime.timedelta(seconds=1)

    def rules_of(begin, end):
        authority = made.certificate("ca", made.OTHER_KEY, ca=True, begin=begin, end=end)
        faults = check_authority(made.pem(authority), made.key_pem(made.OTHER_KEY), NOW)
        return [fault.rule for fault in faults]

    assert rules_of(NOW, NOW + second) == []
    assert rules_of(NOW - second, NOW) == ["expired"]
    assert rules_of(NOW + second, NOW + DAY) == ["expired"]


def test_a_certificate_without_names_says_so():
    nameless = leaf(hosts=())
    faults = check_pair(
        made.pem(nameless), made.key_pem(made.LEAF_KEY), hosts=HOSTS, roots=(made.ROOT,), now=NOW
    )
    assert [fault.message for fault in faults] == [
        "the certificate does not cover api.example.com (its names: none)"
    ]


def test_a_broken_path_says_where_it_breaks():
    def messages(*chain, roots):
        faults = check_pair(made.pem(*chain), made.key_pem(made.LEAF_KEY), hosts=HOSTS, roots=roots, now=NOW)
        return [fault.message for fault in faults]

    assert messages(made.LEAF, roots=(made.OTHER_ROOT,)) == [
        "certificate 0 of the chain is not issued by the expected CA"
    ]
    assert messages(made.LEAF, made.MIDDLE, roots=(made.ROOT,)) == [
        "certificate 0 of the chain is not issued by the next one in the chain"
    ]
    by_middle = leaf(issuer=("middle", made.MIDDLE_KEY))
    assert messages(by_middle, made.MIDDLE, roots=(made.OTHER_ROOT,)) == [
        "certificate 1 of the chain is not issued by the expected CA"
    ]


@pytest.mark.parametrize(("ca", "signs"), [(True, False), (False, True)])
def test_a_ca_needs_the_constraint_and_the_key_usage(ca, signs):
    """Either alone is not enough: clients refuse what such a certificate signs (RFC 5280, 4.2.1.3)."""
    key = made.ec_key()
    usage = x509.KeyUsage(True, False, False, False, False, signs, False, False, False)
    constraint = x509.BasicConstraints(ca=ca, path_length=None)
    odd = made.unsigned("odd", "odd", key, (constraint, True), (usage, True)).sign(key, hashes.SHA256())
    faults = check_authority(made.pem(odd), made.key_pem(key), NOW)
    assert [(fault.rule, fault.message) for fault in faults] == [
        ("not-a-ca", "its certificate may not sign certificates")
    ]


def test_a_ca_is_judged_with_its_parents():
    wrong_parent = made.pem(made.MIDDLE, made.OTHER_ROOT)
    faults = check_authority(wrong_parent, made.key_pem(made.MIDDLE_KEY), NOW)
    assert [fault.rule for fault in faults] == ["path"]


def test_no_fault_quotes_the_key():
    key = made.key_pem(made.LEAF_KEY, b"secret")
    (fault,) = check_pair(made.pem(made.LEAF), key, hosts=HOSTS, roots=(), now=NOW)
    assert not any(line in fault.message for line in key.decode().splitlines())


def test_rsa_of_2048_bits_is_accepted():
    key = rsa.generate_private_key(65537, 2048)
    certificate = made.certificate("leaf", key, issuer=BY_ROOT, hosts=HOSTS)
    assert rules(made.pem(certificate), made.key_pem(key)) == []


def test_errors_about_keys_do_not_chain_into_secrets():
    with pytest.raises(UnreadablePemError, match="encrypted"):
        read_key(made.key_pem(made.LEAF_KEY, b"secret"))
    by_header = made.key_pem(made.LEAF_KEY).replace(b"\n", b"\nProc-Type: 4,ENCRYPTED\n\n", 1)
    with pytest.raises(UnreadablePemError, match="encrypted"):
        read_key(by_header)


def test_a_block_that_says_key_and_holds_none_is_no_key():
    with pytest.raises(UnreadablePemError, match=r"^is not a PEM private key$"):
        read_key(b"-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n")


@pytest.mark.parametrize(
    ("chain", "key", "expected"),
    [
        (made.pem(made.ROOT), made.key_pem(made.ROOT_KEY), []),
        (made.pem(made.MIDDLE, made.ROOT), made.key_pem(made.MIDDLE_KEY), []),
        (made.pem(made.ROOT), made.key_pem(made.OTHER_KEY), ["key-mismatch"]),
        (made.pem(made.LEAF), made.key_pem(made.LEAF_KEY), ["not-a-ca"]),
        (made.pem(made.MIDDLE, made.OTHER_ROOT), made.key_pem(made.MIDDLE_KEY), ["path"]),
        (b"", b"", ["unreadable"]),
    ],
)
def test_a_ca_must_be_able_to_issue(chain, key, expected):
    assert [fault.rule for fault in check_authority(chain, key, NOW)] == expected


def test_an_expired_ca_is_named():
    assert [
        f.rule for f in check_authority(made.pem(made.ROOT), made.key_pem(made.ROOT_KEY), NOW + 3651 * DAY)
    ] == ["expired"]


def test_our_own_ca_and_leaves_pass_every_check():
    authority = load_authority(new_authority("shop gateway CA", NOW, Lifetimes()))
    pair = new_leaf(authority, ("api.example.com", "*.shop.example.com"), NOW, Lifetimes())
    assert (
        rules(
            pair.chain,
            pair.key,
            hosts=("api.example.com", "x.shop.example.com", "*.shop.example.com"),
            roots=authority.roots,
        )
        == []
    )
    facts = facts_of(read_chain(pair.chain)[0])
    assert facts.dns_names == ("api.example.com", "*.shop.example.com")
    assert (facts.not_after - NOW) == 90 * DAY
    assert facts.not_before < NOW
    assert facts.fingerprint == fingerprint(pair)
    assert len(read_chain(pair.chain)) == 1
    assert "BEGIN PRIVATE KEY" not in repr(pair) + repr(authority)


def test_two_cas_have_different_names_and_two_leaves_different_keys():
    first, second = (load_authority(new_authority("x" * 70, NOW, Lifetimes())) for _number in range(2))
    assert first.issuer.subject != second.issuer.subject
    a, b = (new_leaf(first, HOSTS, NOW, Lifetimes()) for _number in range(2))
    assert a.key != b.key
    assert fingerprint(a) != fingerprint(b)


def test_a_leaf_never_outlives_its_issuer():
    authority = load_authority(new_authority("ca", NOW, Lifetimes(authority=30 * DAY)))
    pair = new_leaf(authority, HOSTS, NOW, Lifetimes(leaf=90 * DAY))
    assert facts_of(read_chain(pair.chain)[0]).not_after == NOW + 30 * DAY


def test_a_host_longer_than_a_common_name_works():
    host = "a" * 60 + ".example.com"
    authority = load_authority(new_authority("ca", NOW, Lifetimes()))
    pair = new_leaf(authority, (host,), NOW, Lifetimes())
    assert rules(pair.chain, pair.key, hosts=(host,), roots=authority.roots) == []


def test_an_intermediate_ca_sends_itself_along_but_not_the_root():
    authority = load_authority(
        type(new_authority("x", NOW, Lifetimes()))(
            made.pem(made.MIDDLE, made.ROOT), made.key_pem(made.MIDDLE_KEY)
        )
    )
    pair = new_leaf(authority, HOSTS, NOW, Lifetimes())
    chain = read_chain(pair.chain)
    assert [certificate.subject for certificate in chain[1:]] == [made.MIDDLE.subject]
    assert authority.roots == [made.ROOT]
    assert rules(pair.chain, pair.key, roots=authority.roots) == []


def test_roots_of_a_chain_without_root_is_its_end():
    assert roots_of([made.MIDDLE]) == [made.MIDDLE]
    assert issued_by(made.MIDDLE, made.ROOT)
    assert not issued_by(made.MIDDLE, made.OTHER_ROOT)


CREDENTIAL = Credential("istio-system", "api", HOSTS)


def secret(chain=None, key=None, **changes):
    data = {
        "tls.crt": chain if chain is not None else made.pem(made.LEAF),
        "tls.key": key if key is not None else made.key_pem(made.LEAF_KEY),
        **changes.pop("data", {}),
    }
    obj = secret_object("istio-system", "api", data, mesh="shop")
    obj["metadata"].update(changes.pop("metadata", {}))
    return {**obj, **changes}


def assessed(live, credential=CREDENTIAL, **extra):
    return assess(credential, live, mesh="shop", roots=(made.ROOT,), now=NOW, renew_at=1 / 3, **extra)


def test_a_good_secret_is_kept():
    found = assessed(secret())
    assert (found.action, found.reasons) == ("keep", ())
    assert found.facts.dns_names == HOSTS


def test_a_missing_secret_is_created():
    assert assessed(None).action == "create"
    assert assessed(None, Credential("n", "c", HOSTS, source="existing")).action == "refuse"


def test_a_certificate_near_its_end_is_renewed():
    near = leaf(begin=NOW - 61 * DAY, end=NOW + 29 * DAY)
    found = assessed(secret(made.pem(near)))
    assert found.action == "renew"
    assert "2026-12-22" in found.reasons[0]
    assert assessed(secret(made.pem(leaf(begin=NOW - 59 * DAY, end=NOW + 31 * DAY)))).action == "keep"


@pytest.mark.parametrize("case", [name for name in BAD if name not in ("too large",)])
def test_a_bad_pair_in_our_secret_is_renewed(case):
    chain, key, _rule = BAD[case]
    found = assessed(secret(chain, key))
    assert found.action == "renew"
    assert found.reasons


def test_a_new_host_renews():
    credential = Credential("istio-system", "api", ("api.example.com", "new.example.com"))
    found = assessed(secret(), credential)
    assert found.action == "renew"
    assert "new.example.com" in found.reasons[0]


@pytest.mark.parametrize(
    ("live", "reason"),
    [
        (secret(metadata={"labels": {}}), "replaced ours by hand; delete it to have it issued anew"),
        (secret(metadata={"labels": {"app.kubernetes.io/managed-by": "Helm"}}), "managed by Helm"),
        (
            secret(metadata={"annotations": {"cert-manager.io/certificate-name": "api"}}),
            "cert-manager (Certificate api)",
        ),
        (secret(metadata={"ownerReferences": [{"kind": "ExternalSecret", "name": "x"}]}), "ExternalSecret x"),
        (
            secret(
                metadata={
                    "labels": {
                        "app.kubernetes.io/managed-by": "servicemesh.istio",
                        "app.kubernetes.io/part-of": "b",
                    }
                }
            ),
            "the mesh b",
        ),
        (secret(type="Opaque"), "type is Opaque"),
        (secret(immutable=True), "immutable"),
        (
            secret(metadata={"deletionTimestamp": "x", "labels": secret()["metadata"]["labels"]}),
            "being deleted",
        ),
    ],
)
def test_what_is_not_ours_is_refused_even_when_it_is_bad(live, reason):
    live["data"]["tls.key"] = ""
    found = assessed(live)
    assert found.action == "refuse"
    assert reason in found.reasons[0]


def test_foreign_secrets_named_as_existing_are_checked_and_never_written():
    existing = Credential("istio-system", "api", HOSTS, source="existing")
    foreign = secret(metadata={"labels": {}}, type="Opaque")
    assert assessed(foreign, existing).action == "keep"
    foreign["data"]["tls.key"] = ""
    assert assessed(foreign, existing).action == "refuse"


def test_existing_generic_keys_are_judged_as_istiod_reads_them():
    existing = Credential("istio-system", "api", HOSTS, source="existing")
    shadowed = secret(
        metadata={"labels": {}},
        data={"cert": made.pem(leaf(hosts=("other.example.com",))), "key": made.key_pem(made.LEAF_KEY)},
    )
    found = assessed(shadowed, existing)
    assert "does not cover" in found.reasons[0]
    assert found.facts is not None
    assert found.facts.dns_names == ("other.example.com",)


@pytest.mark.parametrize("key", ["cert", "key", "cacert", "ca.crt"])
def test_keys_that_shadow_or_widen_are_removed(key):
    found = assessed(secret(data={key: b"x"}))
    assert (found.action, found.surplus) == ("repair", (key,))


def test_a_client_ca_beside_the_key_only_when_asked():
    assert assessed(secret(data={"ca.crt": b"x"}), with_authority=True).action == "keep"


def test_a_provided_pair_replaces_what_differs_and_is_not_renewed_by_us():
    credential = Credential("istio-system", "api", HOSTS, source="provided")
    pair = (made.pem(made.LEAF), made.key_pem(made.LEAF_KEY))
    assert assessed(secret(), credential, wanted=pair).action == "keep"
    assert assessed(secret(key=made.key_pem(made.OTHER_KEY)), credential, wanted=pair).action == "renew"
    another = assessed(secret(made.pem(leaf())), credential, wanted=pair)
    assert (another.action, another.reasons) == ("renew", ("it differs from the provided certificate",))
    old = made.pem(leaf(begin=NOW - 80 * DAY, end=NOW + DAY))
    assert assessed(secret(old), credential, wanted=(old, pair[1])).action == "keep"


def test_facts_of_a_secret_without_a_readable_leaf():
    assert leaf_facts(secret()).subject == "CN=leaf"
    assert leaf_facts(secret(b"nonsense")) is None
    assert leaf_facts({**secret(), "data": {"tls.crt": "%%%"}}) is None
    assert leaf_facts({"kind": "Secret"}) is None


def test_a_secret_that_is_missing_is_created_by_who_writes_it():
    for source, action in (("issue", "create"), ("provided", "create"), ("existing", "refuse")):
        found = assessed(None, Credential("n", "c", HOSTS, source=source))
        assert (found.action, found.reasons, found.facts) == (action, ("it does not exist",), None)


def test_only_some_actions_write():
    assert [Assessment(action).writes for action in ("create", "renew", "repair", "keep", "refuse")] == [
        *(True, True, True, False, False)
    ]


def test_a_credential_of_ours_is_judged_by_the_keys_that_we_write():
    """A shadow pair in our own Secret is removed, not judged: it may be perfect or broken."""
    shadowed = secret(data={"cert": b"x", "key": b"y"})
    found = assessed(shadowed)
    assert (found.action, found.surplus) == ("repair", ("cert", "key"))
    assert found.reasons == ("cert, key must not lie beside the key",)


def test_an_existing_secret_without_a_whole_shadow_pair_is_served_from_tls_keys():
    existing = Credential("istio-system", "api", HOSTS, source="existing")
    half = secret(metadata={"labels": {}}, data={"cert": b"x"})
    assert assessed(half, existing).action == "keep"


def test_the_object_that_is_written():
    obj = secret_object("n", "c", {"tls.crt": b"\x00"}, mesh="shop")
    assert obj == {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": "c",
            "namespace": "n",
            "labels": {
                "app.kubernetes.io/managed-by": "servicemesh.istio",
                "app.kubernetes.io/part-of": "shop",
            },
        },
        "data": {"tls.crt": "AA=="},
    }
    assert secret_object("n", "c", {}, mesh="m", resource_version="7")["metadata"]["resourceVersion"] == "7"


def test_a_part_of_label_is_not_needed_to_be_ours():
    managed = {"labels": {"app.kubernetes.io/managed-by": "servicemesh.istio"}}
    assert assessed(secret(metadata=managed)).action == "keep"


def test_cert_manager_is_known_by_its_labels_too():
    labels = {"controller.cert-manager.io/fao": "true", **secret()["metadata"]["labels"]}
    assert assessed(secret(metadata={"labels": labels})).reasons == (
        "it belongs to cert-manager (Certificate unknown);"
        " name it under certificates_existing to use it as it is",
    )
