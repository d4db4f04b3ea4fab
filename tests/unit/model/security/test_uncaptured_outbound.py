"""What an application reaches without its proxy, from what the injector wrote into the pod."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.pods import (
    uncaptured_outbound,
)

INJECTED = [
    "istio-iptables",
    "-p",
    "15001",
    "-m",
    "REDIRECT",
    "-i",
    "*",
    "-x",
    "",
    "-b",
    "*",
    "-d",
    "15090,15021",
]


def pod(arguments: list[str] | None, name: str = "istio-init", **annotations: str) -> dict[str, Any]:
    prefix = "traffic.sidecar.istio.io/"
    named = {prefix + key: value for key, value in annotations.items() if key != "mode"}
    if "mode" in annotations:
        named["sidecar.istio.io/interceptionMode"] = annotations["mode"]
    return {
        "metadata": {"name": "x", "annotations": named},
        "spec": {"initContainers": [{"name": name, "args": arguments}] if arguments else []},
    }


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pod(INJECTED), ()),
        (pod(INJECTED, "istio-validation"), ()),
        (pod(None), ()),
        (pod([*INJECTED, "-o", "443,5432"]), ("port 443", "port 5432")),
        (pod([*INJECTED, "-x", "10.0.0.0/8,192.0.2.0/24"]), ("10.0.0.0/8", "192.0.2.0/24")),
        (pod([*INJECTED, "-i", "10.0.0.0/8"]), ("all but 10.0.0.0/8",)),
        (pod([*INJECTED, "-i", ""]), ("everything",)),
        (pod([*INJECTED, "-m", "NONE"]), ("everything",)),
        (pod(None, mode="NONE"), ("everything",)),
        (pod(None, excludeOutboundPorts="443"), ("port 443",)),
        (pod(None, excludeOutboundIPRanges="192.0.2.1/32"), ("192.0.2.1/32",)),
        (pod(None, includeOutboundIPRanges="10.0.0.0/8"), ("all but 10.0.0.0/8",)),
        # What really was set up counts, not what an annotation says afterwards.
        (pod(INJECTED, excludeOutboundIPRanges="192.0.2.1/32"), ()),
    ],
)
def test_what_goes_past_the_proxy(found: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert uncaptured_outbound(found) == expected
