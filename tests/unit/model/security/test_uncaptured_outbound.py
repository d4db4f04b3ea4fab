"""What an application reaches without its proxy, from what the injector wrote into the pod."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.outbound import (
    uncaptured_outbound,
    way_past,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.pods import (
    read_pod,
)

AS_PROXY = "everything, as user or group 1337,"
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
        (pod([*INJECTED, "-c", "eth0"]), ("everything",)),
        (pod(None, excludeInterfaces="eth0"), ("everything",)),
        (pod(INJECTED, excludeInterfaces="eth0"), ()),
        # What really was set up counts, not what an annotation says afterwards.
        (pod(INJECTED, excludeOutboundIPRanges="192.0.2.1/32"), ()),
    ],
)
def test_what_goes_past_the_proxy(found: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert uncaptured_outbound(found) == expected


@pytest.mark.parametrize(
    ("found", "captured"),
    [
        (pod(INJECTED), True),
        (pod([*INJECTED, "-c", "eth0"]), False),
        (pod([*INJECTED, "-c", ""]), True),
        (pod(None, excludeInterfaces="eth0"), False),
        (pod(INJECTED, excludeInterfaces="eth0"), True),
    ],
)
def test_what_comes_by_an_interface_that_is_left_alone_is_not_captured(
    found: dict[str, Any], *, captured: bool
) -> None:
    found["spec"]["containers"] = [{"name": "istio-proxy"}]
    assert read_pod(found).captures(3000) is captured


@pytest.mark.parametrize(
    ("outer", "app", "proxy", "expected"),
    [
        ({}, {"runAsUser": 1337}, {}, (AS_PROXY,)),
        ({}, {"runAsGroup": 1337}, {}, (AS_PROXY,)),
        ({"runAsUser": 1337}, {}, {"runAsUser": 0}, (AS_PROXY,)),
        ({"runAsUser": 1337}, {"runAsUser": 1000}, {}, ()),
        ({}, {"runAsUser": 1000}, {"runAsUser": 1337, "runAsGroup": 1337}, ()),
    ],
)
def test_a_program_of_the_proxys_user_is_not_captured(
    outer: dict[str, int], app: dict[str, int], proxy: dict[str, int], expected: tuple[str, ...]
) -> None:
    made = pod(INJECTED)
    made["spec"] |= {
        "securityContext": outer,
        "containers": [
            {"name": "app", "securityContext": app},
            {"name": "istio-proxy", "securityContext": proxy},
        ],
    }
    assert uncaptured_outbound(made) == expected


@pytest.mark.parametrize(
    ("init", "proxy", "app", "number"),
    [
        ([*INJECTED, "-u", "1000"], {}, 1000, 1000),
        ([*INJECTED, "-u", "1000"], {}, 1337, None),
        ([*INJECTED, "-u", "1337"], {"runAsUser": 1000}, 1000, None),
        (None, {"runAsUser": 1000650001}, 1000650001, 1000650001),
        (None, {"runAsUser": 1000650001}, 1000650000, None),
        (None, {}, 1337, 1337),
    ],
)
def test_whom_istio_init_or_the_network_plugin_takes_for_the_proxy(
    init: list[str] | None, proxy: dict[str, int], app: int, number: int | None
) -> None:
    """The plugin looks at the proxy's container; OpenShift gives it a number of the namespace's own."""
    made = pod(init) if init else pod(INJECTED, "istio-validation")
    made["spec"]["containers"] = [
        {"name": "app", "securityContext": {"runAsUser": app}},
        {"name": "istio-proxy", "securityContext": proxy},
    ]
    expected = () if number is None else (f"everything, as user or group {number},",)
    assert uncaptured_outbound(made) == expected


@pytest.mark.parametrize(
    ("section", "more", "expected"),
    [
        ("ephemeralContainers", {}, (AS_PROXY,)),
        ("initContainers", {"restartPolicy": "Always"}, (AS_PROXY,)),
        ("initContainers", {}, ()),  # it has ended before the application begins
    ],
)
def test_a_program_beside_the_application_that_runs_as_the_proxy(
    section: str, more: dict[str, Any], expected: tuple[str, ...]
) -> None:
    beside = {"name": "debug", "securityContext": {"runAsUser": 1337}, **more}
    spec = {"containers": [{"name": "app"}, {"name": "istio-proxy"}], section: [beside]}
    assert uncaptured_outbound({"metadata": {"name": "a"}, "spec": spec}) == expected


@pytest.mark.parametrize(
    ("left", "addresses", "way"),
    [
        (("port 443", "port 80"), ["10.96.0.7"], "port 80"),
        (("port 8080", "port 443"), ["10.96.0.7"], ""),
        (("192.0.2.0/24", "10.0.0.0/8"), ["10.96.0.7"], "10.0.0.0/8"),
        (("10.96.0.7",), ["10.96.0.7"], "10.96.0.7"),
        (("10.97.0.0/16",), ["10.96.0.7", "fd00::7"], ""),
        (("fd00::/64",), ["10.96.0.7", "fd00::7"], "fd00::/64"),
        (("all but 10.0.0.0/8,fd00::/64",), ["10.96.0.7", "fd00::7"], ""),
        (("all but 10.96.0.0/12",), ["10.96.0.7", "fd00::7"], "all but 10.96.0.0/12"),
        (("everything",), ["10.96.0.7"], "everything"),
        ((AS_PROXY,), ["10.96.0.7"], AS_PROXY),
        (("10.0.0.0/8", "all but 10.0.0.0/8"), ["None", ""], ""),
        (("10.0.0.0/8", "port 80"), ["None", ""], "port 80"),
        ((), ["10.96.0.7"], ""),
    ],
)
def test_by_which_of_these_a_connection_goes_past(
    left: tuple[str, ...], addresses: list[str], way: str
) -> None:
    """It is one to port 80."""
    assert way_past(left, 80, addresses) == way
