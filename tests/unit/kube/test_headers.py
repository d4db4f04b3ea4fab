# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an HTTP header can hold, and a token; nothing of it is quoted."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.headers import (
    encoded,
    refuse_header,
    refuse_token,
)


@pytest.mark.parametrize("value", ["", "a b", "a\tb", "jürgen", "\x80", "~"])
def test_what_a_header_holds(value: str) -> None:
    refuse_header(value, "x", "it")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((f"s3cret{char}x", "line break") for char in "\0\x08\n\r\x1f\x7f"),
        ("s3cret\ud800", "is not UTF-8 text"),
        ("s3cret\udfff", "is not UTF-8 text"),
    ],
)
def test_what_no_header_holds(value: str, said: str) -> None:
    for refuse in (refuse_header, refuse_token):
        with pytest.raises(InputError) as caught:
            refuse(value, "api_key", "the token")
        (problem,) = caught.value.problems
        assert (problem.where, problem.rule) == ("api_key", "credential")
        assert problem.message.startswith("the token ")
        assert said in problem.message
        assert "s3cret" not in problem.message


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("ü", "the token holds a character beyond ASCII, which no token has"),
        ("Bearer x", "the token begins with the word Bearer, which is no part of a token"),
        ("BEARER x", "the token begins with the word Bearer, which is no part of a token"),
    ],
)
def test_what_is_no_token(value: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        refuse_token(value, "api_key", "the token")
    assert [(one.where, one.rule, one.message) for one in caught.value.problems] == [
        ("api_key", "credential", said)
    ]
    refuse_token("bearerx", "api_key", "the token")
    refuse_token("abc.def-_~+/=", "api_key", "the token")


def test_names_reach_kubernetes_as_they_are_written() -> None:
    assert encoded("jürgen").encode("latin-1").decode() == "jürgen"
