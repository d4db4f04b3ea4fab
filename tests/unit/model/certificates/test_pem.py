"""PEM as Go reads it, and as people hand it over."""

# ruff: noqa: E501 - one row per case
from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.pem import (
    UnreadablePemError,
    blocks_of,
    certificates_of,
    first_fingerprint,
    key_of,
    skipped,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.x509 import (
    check_pair,
    read_chain,
    read_key,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.options import (
    read_options,
)
from cryptography.hazmat.primitives import hashes

from ...support import certificates as made
from ...support.catalogues import GATEWAYS

# What Go 1.26.8 answered, asked block by block (pem.Decode): label, content in hex, "!" for encrypted. A hundred
# thousand mutilated texts were compared in the same way when this was written, without a difference.
GO: list[tuple[str, str]] = [
    ("-----BEGIN X-----\nAAEC\n-----END X-----\n", "X:000102"),
    (
        "-----BEGIN X-----\nAAEC\n-----END X-----\n-----BEGIN Y-----\nAwQF\n-----END Y-----\n",
        "X:000102 Y:030405",
    ),
    ("-----BEGIN X-----\nAAEC\n-----END X----------BEGIN Y-----\nAwQF\n-----END Y-----\n", ""),
    (
        "-----BEGIN X-----\nAAEC\n-----END X-----\n-----BEGIN Y-----\nAwQF\n-----END Y-----\n",
        "X:000102 Y:030405",
    ),
    ("-----BEGIN X----- AAEC -----END X----- ", ""),
    ("  -----BEGIN X-----\n  AAEC\n  -----END X-----\n  ", ""),
    ("\ufeff-----BEGIN X-----\nAAEC\n-----END X-----\n", ""),
    ("-----BEGIN X-----\r\nAAEC\r\n-----END X-----\r\n", "X:000102"),
    ("-----BEGIN X-----\rAAEC\r-----END X-----\r", ""),
    (
        "text\n-----BEGIN X-----\nAAEC\n-----END X-----\nmore\n-----BEGIN Y-----\nAwQF\n-----END Y-----\nend",
        "X:000102 Y:030405",
    ),
    ("text -----BEGIN X-----\nAAEC\n-----END X-----\n", ""),
    ("-----BEGIN X-----\nAAEC\n-----END X-----", "X:000102"),
    ("-----BEGIN X-----\nAAEC\n-----END X----", ""),
    ("-----BEGIN X-----\nAAEC\n-----END X-----\n", "X:000102"),
    ("-----BEGIN X-----\nAAEC\n-----END Y-----\n", ""),
    ("-----BEGIN X-----\n-----END X-----\n", "X:"),
    ("-----BEGIN X-----\n\n-----END X-----\n", "X:"),
    (
        "-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAEC\n-----END X-----\n",
        "X:000102!",
    ),
    ("-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n-----END X-----\n", ""),
    ("-----BEGIN X-----\nkey: value\nAAEC\n-----END X-----\n", "X:000102"),
    ("-----BEGIN X-----\nAA EC\n-----END X-----\n", "X:000102"),
    ("-----BEGIN X-----\nAA\nEC\n-----END X-----\n", "X:000102"),
    ("-----BEGIN X-----\nAAE\n-----END X-----\n", ""),
    ("-----BEGIN X-----\nAAE=\n-----END X-----\n", "X:0001"),
    ("-----BEGIN X-----\nAAE=AAEC\n-----END X-----\n", ""),
    ("-----BEGIN X-----\nAAE*\n-----END X-----\n", ""),
    ("-----BEGIN X-----\nAAF=\n-----END X-----\n", "X:0001"),
    ("-----BEGIN X-----\n-----BEGIN X-----\nAAEC\n-----END X-----\n", "X:000102"),
    ("-----BEGIN X-----\nAAEC\n-----END X-----\n-----END X-----\n", "X:000102"),
    ("-----BEGIN X-----\nAAEC\n-----BEGIN Y-----\nAwQF\n-----END Y-----\n", "Y:030405"),
    ("-----BEGIN X-----  \nAAEC\n-----END X-----\n", "X:000102"),
    ("-----BEGIN X-----\nAAEC\n-----END X----- \t\n", "X:000102"),
    ("-----BEGIN X-----\nAAEC\n-----END X----- x\n", ""),
    ("-----BEGIN X-----\\nAAEC\\n-----END X-----\\n", ""),
    ("", ""),
    ("-----BEGIN X-----\nAAEC\n", ""),
    ("-----BEGIN Y-----\nAwQF\n-----END Y-----\n-----BEGIN X-----\nAAEC\n-----END", "Y:030405"),
]


@pytest.mark.parametrize(("text", "blocks"), GO)
def test_blocks_are_those_that_go_finds(text: str, blocks: str) -> None:
    found = [
        f"{block.label}:{block.content.hex()}{'!' if block.encrypted else ''}"
        for block in blocks_of(text.encode())
    ]
    assert " ".join(found) == blocks


LEAF, ROOT = made.pem(made.LEAF).decode(), made.pem(made.ROOT).decode()
CHAIN = LEAF + ROOT
KEY = made.key_pem(made.LEAF_KEY).decode()

# How the same bytes arrive: (what it is, the text, whether Go reads both certificates in it).
MANGLED: list[tuple[str, str, bool]] = [
    ("as it is", CHAIN, True),
    ("joined blocks", LEAF.rstrip() + ROOT, False),
    ("joined by a blank", f"{LEAF.rstrip()} {ROOT}", False),
    ("blanks for line breaks", CHAIN.replace("\n", " "), False),
    ("indented", "".join(f"    {line}\n" for line in CHAIN.splitlines()), False),
    ("indented behind the first line", CHAIN.replace("\n", "\n  "), False),
    ("byte order mark", "\ufeff" + CHAIN, False),
    ("Windows line ends", CHAIN.replace("\n", "\r\n"), True),
    ("old Macintosh line ends", CHAIN.replace("\n", "\r"), False),
    ("no line end at the end", CHAIN.rstrip(), True),
    ("empty lines between", CHAIN.replace("-----\n-----", "-----\n\n\n-----"), True),
    ("openssl's names before each", f"subject=CN = leaf\n{LEAF}\nBag Attributes\n    x: y\n{ROOT}", True),
    ("behind text on its line", f"cert: {CHAIN}", False),
    ("text behind it", f"{CHAIN}# end of file\n", True),
    (
        "longer lines",
        CHAIN.replace("\n", "")
        .replace("-----BEGIN CERTIFICATE-----", "\n-----BEGIN CERTIFICATE-----\n")
        .replace("-----END", "\n-----END"),
        True,
    ),
]


@pytest.mark.parametrize(("text", "by_go"), [row[1:] for row in MANGLED], ids=[row[0] for row in MANGLED])
def test_what_people_hand_over_is_written_as_everybody_reads_it(text: str, by_go: bool) -> None:
    """Public report: accepted, written as it was given, and istiod found no PEM in it."""
    assert certificates_of(text) == CHAIN.encode()
    assert skipped(text.encode()) is not by_go
    if by_go:
        assert len(read_chain(text.encode())) == 2
    else:
        with pytest.raises(
            UnreadablePemError, match=r"does not begin and end on a line of its own|^holds no PEM"
        ):
            read_chain(text.encode())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no PEM block"),
        ("garbage", "holds no PEM block"),
        (LEAF[:-30], "holds a PEM block without its BEGIN or END line"),
        (LEAF[30:], "holds a PEM block without its BEGIN or END line"),
        (LEAF + ROOT[:200], "holds a PEM block without its BEGIN or END line"),
        # torn by one in its midst
        (f"-----{LEAF}BEGIN CERTIFICATE", "holds a PEM block without its BEGIN or END line"),
        (LEAF.replace("END CERTIFICATE", "END CERT"), "holds a PEM block without its BEGIN or END line"),
        (
            LEAF.replace("\n", r"\n"),
            r"holds a PEM block whose base64 text is damaged (its line breaks are written as \n)",
        ),
        (LEAF.replace("MII", "M*I", 1), "holds a PEM block whose base64 text is damaged"),
        (
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            "holds a PEM block whose base64 text is damaged",
        ),
        (KEY + LEAF, "holds PRIVATE KEY beside certificates"),
        (LEAF.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "holds TRUSTED CERTIFICATE beside certificates"),
    ],
)
def test_a_chain_that_cannot_be_mended_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(UnreadablePemError) as caught:
        certificates_of(text)
    assert str(caught.value) == said


SEC1 = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (KEY + KEY, "holds 2 private keys"),
        (SEC1, "holds 0 private keys"),
        (LEAF + KEY, "holds CERTIFICATE beside the private key"),
        (
            made.key_pem(made.LEAF_KEY, b"secret").decode(),
            "is encrypted: a gateway cannot ask for a passphrase",
        ),
        (
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAEC\n-----END EC PRIVATE KEY-----\n",
            "is encrypted: a gateway cannot ask for a passphrase",
        ),
    ],
)
def test_a_key_that_cannot_be_served_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(UnreadablePemError) as caught:
        key_of(text)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        KEY.replace("\n", " "),
        KEY.replace("\n", ""),
        KEY.replace("\n", "\r\n  "),
        "\ufeff" + KEY.rstrip(),
    ],
)
def test_a_key_is_written_as_everybody_reads_it(text: str) -> None:
    assert key_of(text) == KEY.encode()


def test_parameters_of_the_curve_are_left_out() -> None:
    assert key_of(SEC1 + KEY) == KEY.encode()
    assert read_key((SEC1 + KEY).encode()).key_size == 256


def provided(**entry: str) -> dict[str, object]:
    servers = [{"host": "api.example.com", "certificate": "api"}]
    return {
        "mesh": "shop",
        "gateways": [{"name": "public", "servers": servers}],
        "installed_gateways": GATEWAYS,
        "istio_namespace": "istio-system",
        "provided": [{"name": "api", "certificate": LEAF, "private_key": KEY, **entry}],
        "existing": [],
        "owner": "",
        "take_over": False,
        "requested": [],
        "cert_manager": [],
        "client_cas": [],
        "client_ca_overlap": 0,
        "key_type": "ecdsa",
        "ca_namespace": "servicemesh-system",
        "ca_secret": "ca",
        "days": 90,
        "ca_days": 3650,
        "renew_at": 0.3,
        "replace_lost_ca": False,
        "authority_beside_key": False,
        "prove": True,
        "timeout": 1,
        "overlap": 0,
        "force": [],
        "revoke": [],
        "record": False,
        "fail_on": [],
    }


def test_a_provided_pair_is_kept_as_it_will_be_written() -> None:
    flat = LEAF.replace("\n", " ")
    options = read_options(
        provided(certificate=flat, private_key=KEY.replace("\n", "\r\n"), ca=ROOT.rstrip() + ROOT)
    )
    (given,) = options.provided.values()
    assert (given.pair.chain, given.pair.key) == (LEAF.encode(), KEY.encode())
    assert given.roots_pem == ROOT + ROOT
    options.check(options.credentials[0], made.NOW)


def test_each_part_of_a_provided_pair_is_named_with_what_is_wrong_with_it() -> None:
    with pytest.raises(InputError) as caught:
        read_options(provided(certificate=LEAF[:-30], private_key=KEY + KEY, ca="none"))
    assert [str(problem) for problem in caught.value.problems] == [
        "certificates_provided[0].certificate: holds a PEM block without its BEGIN or END line (pem)",
        "certificates_provided[0].private_key: holds 2 private keys (pem)",
        "certificates_provided[0].ca: holds no PEM block (pem)",
    ]
    assert KEY.splitlines()[1] not in str(caught.value)


def test_a_chain_in_the_wrong_order_says_so() -> None:
    faults = check_pair((ROOT + LEAF).encode(), KEY.encode(), hosts=(), roots=(), now=made.NOW)
    said = "the private key does not belong to the certificate but to number 2 of the chain: it comes first"
    assert said in [fault.message for fault in faults]
    faults = check_pair(LEAF.encode(), made.key_pem(made.OTHER_KEY), hosts=(), roots=(), now=made.NOW)
    assert [fault.message for fault in faults] == ["the private key does not belong to the certificate"]


def test_the_first_certificate_as_istiod_reads_it() -> None:
    digest = made.LEAF.fingerprint(hashes.SHA256()).hex()
    assert first_fingerprint(CHAIN.encode()) == digest
    for none in (b"", b"nonsense", KEY.encode(), (KEY + LEAF).encode()):
        assert first_fingerprint(none) == ""
