# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates a proxy holds, out of its dump of secrets."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.secrets import parse_secrets
from cryptography.hazmat.primitives.serialization import Encoding

from ...support.certificates import LEAF, LEAF_KEY, MIDDLE, OTHER_ROOT, ROOT, key_pem, pem


def coded(text: bytes) -> dict[str, str]:
    return {"inline_bytes": base64.b64encode(text).decode()}


def chain(text: bytes, name: str = "default") -> dict[str, Any]:
    return {"name": name, "secret": {"tls_certificate": {"certificate_chain": coded(text)}}}


def roots(text: bytes, name: str = "ROOTCA") -> dict[str, Any]:
    return {"name": name, "secret": {"validation_context": {"trusted_ca": coded(text)}}}


def test_the_chain_leaf_first_and_every_root() -> None:
    held = parse_secrets([roots(pem(ROOT, OTHER_ROOT)), chain(pem(LEAF, MIDDLE))])
    assert held.chain == tuple(one.public_bytes(Encoding.DER) for one in (LEAF, MIDDLE))
    assert held.roots == tuple(one.public_bytes(Encoding.DER) for one in (ROOT, OTHER_ROOT))


def test_other_secrets_are_other_things() -> None:
    others = [chain(pem(MIDDLE), "kubernetes://api"), roots(pem(MIDDLE), "kubernetes://api-cacert"), {}]
    held = parse_secrets([chain(pem(LEAF)), roots(pem(ROOT)), *others])
    assert (len(held.chain), len(held.roots)) == (1, 1)
    key = parse_secrets([chain(key_pem(LEAF_KEY) + pem(LEAF)), roots(pem(ROOT))])
    assert len(key.chain) == 1


@pytest.mark.parametrize(
    ("entries", "lacks"),
    [
        ([], "shows no workload certificate"),
        ([roots(pem(ROOT))], "shows no workload certificate"),
        ([chain(pem(LEAF))], "shows no root"),
        ([chain(b""), roots(pem(ROOT))], "shows no workload certificate"),
        ([chain(pem(LEAF)), roots(b"x")], "shows no root"),
        (
            [
                {
                    "name": "default",
                    "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": "?"}}},
                }
            ],
            "shows no workload certificate",
        ),
    ],
)
def test_what_is_not_shown_is_named(entries: list[dict[str, Any]], lacks: str) -> None:
    with pytest.raises(MalformedError, match=lacks):
        parse_secrets(entries)


def test_what_is_not_base64_alone_is_none() -> None:
    broken = chain(pem(LEAF))
    told = broken["secret"]["tls_certificate"]["certificate_chain"]
    told["inline_bytes"] = f"!{told['inline_bytes']}"
    with pytest.raises(MalformedError, match="shows no workload certificate"):
        parse_secrets([broken, roots(pem(ROOT))])
