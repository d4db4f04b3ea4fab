# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image references, taken apart and compared by what runs."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.images import (
    Image,
    compare_images,
    parse_image,
)

SHA, OTHER_SHA = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("istio/proxyv2:1.31.1", Image("docker.io", "istio/proxyv2", "1.31.1", "")),
        ("docker.io/istio/proxyv2:1.31.1", Image("docker.io", "istio/proxyv2", "1.31.1", "")),
        ("index.docker.io/istio/proxyv2", Image("docker.io", "istio/proxyv2", "", "")),
        ("busybox", Image("docker.io", "library/busybox", "", "")),
        ("localhost/x:1", Image("localhost", "x", "1", "")),
        (f"r:5000/a/b/proxyv2:1@{SHA}", Image("r:5000", "a/b/proxyv2", "1", SHA)),
        (f"r.example/proxyv2@{SHA}", Image("r.example", "proxyv2", "", SHA)),
    ],
)
def test_a_reference_has_four_parts(text: str, image: Image) -> None:
    assert parse_image(text) == image


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("docker.io/istio/pilot:1", "istio/pilot:1", "same"),
        ("istio/pilot", "istio/pilot:latest", "same"),
        ("istio/pilot:1", f"istio/pilot:1@{SHA}", "same"),
        (f"istio/pilot:1@{SHA}", f"mirror.corp/x/pilot@{SHA}", "same"),
        (f"istio/pilot:1@{SHA}", f"istio/pilot:1@{OTHER_SHA}", "other"),
        ("istio/pilot:1", f"istio/pilot@{SHA}", "perhaps"),
        ("istio/pilot", f"istio/pilot@{SHA}", "perhaps"),
        ("istio/pilot:latest", f"istio/pilot@{SHA}", "perhaps"),
        ("istio/pilot:latest", f"istio/pilot:latest@{SHA}", "same"),
        (f"istio/pilot:1@{SHA}", "mirror.corp/istio/pilot:1", "perhaps"),
        ("istio/pilot:1", "other/pilot:1", "perhaps"),
        ("istio/pilot:1", f"mirror.corp/docker.io/istio/pilot@{SHA}", "perhaps"),
        ("istio/pilot:1", "mirror.corp/istio/pilot:1", "perhaps"),
        ("istio/pilot:1", "istio/pilot:2", "other"),
        ("istio/pilot:1", f"istio/pilot:2@{SHA}", "other"),
        ("istio/pilot:1", "mirror.corp/istio/pilot:2", "other"),
        ("istio/pilot:1", "istio/proxyv2:1", "other"),
        ("istio/pilot:1", f"mirror.corp/proxyv2@{SHA}", "other"),
    ],
)
def test_images_are_compared_by_what_runs(one: str, other: str, verdict: str) -> None:
    assert compare_images(one, other) == verdict
    assert compare_images(other, one) == verdict
