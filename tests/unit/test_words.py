# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few are named, the rest is counted; nobody reads "and 0 more". A path is shown, content is not."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.words import some_of, told_path


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("", ""),
        ("a", "a"),
        ("abc", "a, b, c"),
        ("abcd", "a, b, c and 1 more"),
        ("abcde", "a, b, c and 2 more"),
    ],
)
def test_three_are_named(names: str, said: str) -> None:
    assert some_of([*names]) == said


def test_other_forms() -> None:
    assert some_of(["a", "b", "c"], 1) == "a and 2 more"
    assert some_of(["a", "b", "c"], 2, between="; ", before="; ") == "a; b; and 1 more"
    assert some_of(["a", "b"], 2, between="; ", before="; ") == "a; b"
    assert some_of(["a", "b", "c"], 2, before=", ", kind="ports") == "a, b, and 1 more ports"
    assert some_of(("a", "b"), 1, kind="ports") == "a and 1 more ports"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "~/.kube/config",
        "a.yml:/b c/ü.yml",
        "/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-kubernetes-client-configuration-1.30.1/etc/kubeconfig",
        "manifests/[a-z]*.yml",
    ],
)
def test_a_path_is_shown(path: str) -> None:
    assert told_path(path) == path


@pytest.mark.parametrize(
    "content",
    [
        "a" * 81,
        "/".join(["a" * 60] * 6),
        "/home/me/a\nb",
        "-----BEGIN EC PRIVATE KEY-----",
        '{"kind": "Secret"}',
        "a:" + "b" * 81,
    ],
)
def test_content_is_not(content: str) -> None:
    assert told_path(content).startswith("(not shown:")
