"""A chain in the order of TLS, out of whatever a CA or a person handed over."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.chain import ordered
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.pem import (
    UnreadablePemError,
)

from ...support.certificates import (
    DAY,
    LEAF_KEY,
    MIDDLE_KEY,
    NOW,
    OTHER_KEY,
    OTHER_ROOT,
    ROOT,
    ROOT_KEY,
    certificate,
    ec_key,
    pem,
)

END = NOW + 900 * DAY
LAST_LINE = b"-----END CERTIFICATE-----\n"
ABOVE_KEY = ec_key()
FOUND = {
    "leaf": certificate("leaf", LEAF_KEY, issuer=("middle", MIDDLE_KEY), hosts=("a.example.com",)),
    "middle": certificate("middle", MIDDLE_KEY, issuer=("root", ROOT_KEY), ca=True, end=END),
    "root": ROOT,
    "other": OTHER_ROOT,
    # The root of the path, and the middle, as others certify them.
    "cross": certificate("root", ROOT_KEY, issuer=("above", ABOVE_KEY), ca=True, end=END),
    "above": certificate("above", ABOVE_KEY, issuer=("other", OTHER_KEY), ca=True, end=END),
    "twin": certificate("middle", MIDDLE_KEY, issuer=("above", ABOVE_KEY), ca=True, end=END),
    "namesake": certificate("middle", ec_key(), issuer=("root", ROOT_KEY), ca=True, end=END),
    "stranger": certificate("stranger", ec_key(), hosts=("b.example.com",)),
}


def put_in_order(given: str) -> str:
    names = {pem(one): word for word, one in FOUND.items()}
    served = ordered(pem(*(FOUND[word] for word in given.split())), LEAF_KEY)
    blocks = [
        block + b"-----END CERTIFICATE-----\n" for block in served.split(b"-----END CERTIFICATE-----\n")
    ]
    return " ".join(names[block] for block in blocks[:-1])


@pytest.mark.parametrize(
    ("given", "served"),
    [
        ("leaf", "leaf"),
        ("root middle leaf leaf", "leaf middle root"),
        ("cross root middle leaf", "leaf middle cross"),
        ("above cross middle leaf", "leaf middle cross above"),
        ("other above cross middle leaf root", "leaf middle cross above other"),
        # Which of two goes on the path is the first one's; the other stays, with what certifies it.
        ("middle twin above leaf", "leaf middle twin above"),
        ("middle twin other above leaf", "leaf middle twin above"),
        ("twin middle leaf root", "leaf twin middle"),
    ],
)
def test_the_order_of_tls(given: str, served: str) -> None:
    assert put_in_order(given) == served


@pytest.mark.parametrize("beside", ["stranger", "namesake", "above", "other"])
def test_what_has_no_place_is_named(beside: str) -> None:
    subject = FOUND[beside].subject.rfc4514_string()
    with pytest.raises(UnreadablePemError) as caught:
        put_in_order(f"{beside} leaf middle root")
    assert str(caught.value) == f"holds a certificate that is no part of the chain ({subject})"


def test_the_name_of_an_issuer_alone_is_no_place_in_the_path() -> None:
    with pytest.raises(UnreadablePemError, match=r"is no part of the chain \(CN=middle\)"):
        put_in_order("leaf namesake")


def test_a_name_that_cannot_be_shown_is_escaped() -> None:
    hidden = certificate("a\u200bb", ec_key())
    with pytest.raises(UnreadablePemError) as caught:
        ordered(pem(FOUND["leaf"], hidden), LEAF_KEY)
    assert str(caught.value).endswith(r"('CN=a\u200bb')")


def test_a_chain_of_another_key() -> None:
    with pytest.raises(UnreadablePemError, match="holds no certificate of the private key"):
        ordered(pem(FOUND["middle"], ROOT), LEAF_KEY)
