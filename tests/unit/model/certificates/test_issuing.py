# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the CAs of a chain may certify, with and without the root that clients trust; openssl has its say."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.issuing import _within
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.x509 import check_pair
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from ...support import certificates as made

HOST, NOW, DAY = "api.example.com", made.NOW, made.DAY
ROOT_KEY, UPPER_KEY, MIDDLE_KEY, LEAF_KEY = (made.ec_key() for _number in range(4))
AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)
NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)
NAMES = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName("*.example.com")])
CLIENTS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
ANYTHING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])


def uses(*names: str) -> x509.KeyUsage:
    known = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: name in names for name in known})


SIGNS = uses("key_cert_sign", "crl_sign")


def own(key: Any) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def signer(key: Any) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def by_serial(serial: int, *names: str) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(made.name(one)) for one in names], serial)


def limits(permitted: Sequence[Any] = (), excluded: Sequence[Any] = ()) -> x509.NameConstraints:
    return x509.NameConstraints(list(permitted) or None, list(excluded) or None)


def link(
    subject: str, key: Any, issuer: str, issuer_key: Any, *extensions: Any, serial: int = 7, loud: bool = True
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(made.name(subject))
        .issuer_name(made.name(issuer))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + datetime.timedelta(days=60))
    )
    for extension in extensions:
        quiet = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.ExtendedKeyUsage)
        critical = loud and not isinstance(extension, (*quiet, x509.SubjectAlternativeName))
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


def leaf(*extensions: Any, **more: Any) -> x509.Certificate:
    given = extensions or (NAMES, NO_AUTHORITY, signer(MIDDLE_KEY))
    return link("leaf", LEAF_KEY, "middle", MIDDLE_KEY, *given, **more)


def middle(*extensions: Any, serial: int = 7) -> x509.Certificate:
    given = extensions or (AUTHORITY, SIGNS)
    return link("middle", MIDDLE_KEY, "root", ROOT_KEY, *given, own(MIDDLE_KEY), serial=serial)


def below_upper(*extensions: Any) -> tuple[x509.Certificate, ...]:
    upper = link("upper", UPPER_KEY, "root", ROOT_KEY, *extensions)
    return (link("middle", MIDDLE_KEY, "upper", UPPER_KEY, AUTHORITY, SIGNS), upper)


ROOT = link("root", ROOT_KEY, "root", ROOT_KEY, AUTHORITY, SIGNS, own(ROOT_KEY))
OLD_ROOT = link("root", ROOT_KEY, "root", ROOT_KEY)
DNS = x509.DNSName
NET = x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))
OTHER_NET = x509.IPAddress(ipaddress.ip_network("10.2.0.0/16"))
SIX = x509.IPAddress(ipaddress.ip_network("fd00::/8"))
WITH_ADDRESS = x509.SubjectAlternativeName([DNS(HOST), x509.IPAddress(ipaddress.ip_address("10.1.2.3"))])
WITH_MAIL = x509.SubjectAlternativeName([DNS(HOST), x509.RFC822Name("me@example.org")])
Chain = tuple[x509.Certificate, ...]

GOOD: dict[str, Chain] = {
    "as it should be": (leaf(), middle()),
    "nobody names a key": (leaf(NAMES), link("middle", MIDDLE_KEY, "root", ROOT_KEY, AUTHORITY, SIGNS)),
    "named by serial": (leaf(NAMES, by_serial(4711, "root")), middle(AUTHORITY, SIGNS, serial=4711)),
    "no usage": (leaf(NAMES), middle(AUTHORITY)),
    "names within": (leaf(), middle(AUTHORITY, SIGNS, limits([DNS("example.com"), DNS("example.org")]))),
    "a name within": (leaf(), middle(AUTHORITY, SIGNS, limits([DNS("API.example.com"), DNS("example.com")]))),
    "no name beyond": (leaf(), middle(AUTHORITY, SIGNS, limits((), [DNS("ple.com"), DNS("a.org")]))),
    "names below a dot": (leaf(), middle(AUTHORITY, SIGNS, limits([DNS(".example.com")]))),
    "names in capitals": (leaf(), middle(AUTHORITY, SIGNS, limits([DNS("Example.COM")]))),
    "any name": (leaf(), middle(AUTHORITY, SIGNS, limits([DNS("")]))),
    "an address within": (leaf(WITH_ADDRESS), middle(AUTHORITY, SIGNS, limits([NET]))),
    "an address that is not beyond": (
        leaf(WITH_ADDRESS),
        middle(AUTHORITY, SIGNS, limits((), [OTHER_NET, SIX])),
    ),
    "other kinds": (leaf(), middle(AUTHORITY, SIGNS, limits([NET], [x509.RFC822Name("example.com")]))),
    "deep enough": (leaf(), *below_upper(x509.BasicConstraints(ca=True, path_length=1), SIGNS)),
    "its root": (leaf(), middle(), ROOT),
    "its root of long ago": (leaf(), middle(), OLD_ROOT),
}
BAD: dict[str, tuple[Chain, str]] = {
    "no constraints": ((leaf(), middle(SIGNS)), "intermediate 1 is no CA"),
    "no CA": ((leaf(), middle(NO_AUTHORITY)), "intermediate 1 is no CA"),
    "may not sign": (
        (leaf(), middle(AUTHORITY, uses("crl_sign"))),
        "intermediate 1 may not sign certificates",
    ),
    "for every purpose": (
        (leaf(), middle(AUTHORITY, SIGNS, ANYTHING)),
        "intermediate 1 is not for server authentication",
    ),
    "for clients": (
        (leaf(), middle(AUTHORITY, SIGNS, CLIENTS)),
        "intermediate 1 is not for server authentication",
    ),
    "too deep": (
        (leaf(), *below_upper(x509.BasicConstraints(ca=True, path_length=0), SIGNS)),
        "intermediate 2 allows 0 CAs below it, and there are 1",
    ),
    "names beyond": (
        (leaf(), middle(AUTHORITY, SIGNS, limits([DNS("example.org"), DNS("ample.com")]))),
        f"intermediate 1 does not permit the name '{HOST}'",
    ),
    "a wildcard beyond": (
        (leaf(), middle(AUTHORITY, SIGNS, limits([DNS(HOST)]))),
        "intermediate 1 does not permit the name '*.example.com'",
    ),
    "a name that is excluded": (
        (leaf(), middle(AUTHORITY, SIGNS, limits([DNS("example.com")], [DNS(HOST)]))),
        f"intermediate 1 excludes the name '{HOST}'",
    ),
    "every name": ((leaf(), middle(AUTHORITY, SIGNS, limits((), [DNS("")]))), "intermediate 1 excludes the"),
    "an address beyond": (
        (leaf(WITH_ADDRESS), middle(AUTHORITY, SIGNS, limits((), [NET]))),
        "intermediate 1 excludes the name",
    ),
    "an address not within": (
        (leaf(WITH_ADDRESS), middle(AUTHORITY, SIGNS, limits([OTHER_NET]))),
        "intermediate 1 does not permit the name",
    ),
    "below another dot": (
        (leaf(), middle(AUTHORITY, SIGNS, limits([DNS(".ample.com")]))),
        f"intermediate 1 does not permit the name '{HOST}'",
    ),
    "further up": (
        (leaf(), *below_upper(AUTHORITY, SIGNS, limits([DNS("example.org")]))),
        f"intermediate 2 does not permit the name '{HOST}'",
    ),
    "another key": ((leaf(NAMES, signer(LEAF_KEY)), middle()), "certificate 0 of the chain is not issued by"),
    "another serial": (
        (leaf(NAMES, by_serial(8, "root")), middle()),
        "certificate 0 of the chain is not issued by",
    ),
}


def told(chain: Chain, *roots: x509.Certificate) -> list[str]:
    faults = check_pair(made.pem(*chain), made.key_pem(LEAF_KEY), hosts=[HOST], roots=roots, now=NOW)
    return [fault.message for fault in faults]


def openssl_takes(chain: Chain, directory: Path) -> bool:
    files = {"leaf": made.pem(chain[0]), "chain": made.pem(*chain), "root": made.pem(ROOT)}
    for name, text in files.items():
        (directory / name).write_bytes(text)
    command = ["openssl", "verify", "-purpose", "sslserver", "-verify_hostname", HOST, "-attime"]
    command += [str(int(NOW.timestamp())), "-CAfile", "root", "-untrusted", "chain", "leaf"]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", GOOD)
def test_what_clients_take_is_taken(name: str, tmp_path: Path) -> None:
    assert openssl_takes(GOOD[name], tmp_path)
    assert (told(GOOD[name]), told(GOOD[name], ROOT)) == ([], [])


@pytest.mark.parametrize("name", BAD)
def test_what_clients_refuse_is_refused_also_where_nobody_names_the_root(name: str, tmp_path: Path) -> None:
    chain, said = BAD[name]
    assert not openssl_takes(chain, tmp_path)
    for messages in (told(chain), told(chain, ROOT)):
        assert messages[0].startswith(said), messages


@pytest.mark.parametrize("usage", [("key_encipherment",), ("key_agreement",), ("content_commitment",)])
def test_a_key_that_may_not_sign_serves_no_browser(usage: tuple[str, ...]) -> None:
    """OpenSSL looks away; Java and BoringSSL do not, and TLS 1.3 knows nothing else."""
    said = ["the certificate's keyUsage lacks digitalSignature: browsers refuse it"]
    assert told((leaf(NAMES, uses(*usage)), middle())) == said
    assert told((leaf(NAMES, uses(*usage, "digital_signature")), middle())) == []


def test_a_certificate_that_signed_itself_is_its_own_root(tmp_path: Path) -> None:
    for extensions in ((NAMES,), (NAMES, NO_AUTHORITY)):
        alone = link("leaf", LEAF_KEY, "leaf", LEAF_KEY, *extensions)
        assert (told((alone,)), told((alone,), alone)) == ([], [])
        assert told((alone,), ROOT)


def test_other_kinds_of_names_are_nobody_s_business() -> None:
    kinds = [x509.RFC822Name("example.com")], [x509.RFC822Name("example.org")]
    for permitted, excluded in (kinds, kinds[::-1]):
        assert told((leaf(WITH_MAIL), middle(AUTHORITY, SIGNS, limits(permitted, excluded)))) == []


def test_a_root_that_is_over_is_named_and_one_beside_a_good_one_is_not() -> None:
    """Whoever gets the old and the new root of a company gives both."""

    def aged(begin: int, end: int) -> x509.Certificate:
        dates = {"begin": NOW + begin * DAY, "end": NOW + end * DAY}
        return made.certificate("root", ROOT_KEY, ca=True, **dates)

    over, coming, good = aged(-9, -1), aged(1, 9), aged(-9, 9)
    chain = (leaf(), link("middle", MIDDLE_KEY, "root", ROOT_KEY, AUTHORITY, SIGNS, own(MIDDLE_KEY)))
    for bad, life in (
        (over, "2026-11-14T12:00:00Z to 2026-11-22T12:00:00Z"),
        (coming, "2026-11-24T12:00:00Z to 2026-12-02T12:00:00Z"),
    ):
        said = f"the expected CA (CN=root) is valid from {life} only: clients refuse what it signed"
        assert told(chain, bad) == [said]
        assert told(chain, bad, good) == []


@pytest.mark.parametrize(
    ("name", "limit", "below"),
    [
        ("a.example.com", "example.com", True),
        ("a.example.com", ".example.com", True),
        ("A.example.com", ".EXAMPLE.com", True),
        ("example.com", ".example.com", True),
        ("aexample.com", ".example.com", False),
        ("a.example.com", "", True),
    ],
)
def test_names_below_a_limit(name: str, limit: str, *, below: bool) -> None:
    assert _within(x509.DNSName(name), x509.DNSName(limit)) is below
