"""The options of a catalogue's run: what they are read from, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.metrics import PrometheusOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.engine import (
    ApplyOptions,
    Wait,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.options import (
    MeshOptions,
    prometheus_at,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources.backend import (
    ARGUMENT_SPEC,
)

DEFAULTS = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}


def read(**params: Any) -> MeshOptions:
    return MeshOptions.from_params({**DEFAULTS, **params})


def test_defaults_of_the_module() -> None:
    assert read() == MeshOptions(ApplyOptions(force_option="force"))


def test_every_option_arrives() -> None:
    assert read(
        mesh_name="shop",
        prune=True,
        prune_all=True,
        repair_split=True,
        wait=True,
        wait_timeout=7,
        max_proxies=3,
        unproved="warn",
        check="strict",
        istioctl="/opt/istioctl",
        strict_guard="warn",
        strict_guard_window="1h30m",
        prometheus="istio-system/prometheus",
        namespace="back",
    ) == MeshOptions(
        ApplyOptions(namespace="back", wait=Wait(7.0, ()), force_option="force"),
        mesh_name="shop",
        prune=True,
        prune_all=True,
        repair_split=True,
        wait=True,
        wait_timeout=7.0,
        max_proxies=3,
        unproved="warn",
        check="strict",
        istioctl="/opt/istioctl",
        strict_guard="warn",
        strict_guard_window=5400.0,
        prometheus=PrometheusOptions(namespace="istio-system", service="prometheus", port=9090),
    )


@pytest.mark.parametrize(
    "window",
    [
        "1d",
        "0s",
        "721h",
    ],
)
def test_a_window_that_cannot_be_read_is_refused(window: str) -> None:
    """It was taken for one second: nobody called within it, so the guard passed."""
    with pytest.raises(InputError) as caught:
        read(strict_guard_window=window)
    assert [str(problem) for problem in caught.value.problems] == [
        f"mesh_strict_guard_window: is {window!r}, not a duration such as 90, 90s, 2m, 1h30m or 500ms "
        "of at most 30 days (duration)"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("https://prometheus.example.com", PrometheusOptions(url="https://prometheus.example.com")),
        ("istio-system/prometheus", PrometheusOptions(namespace="istio-system", service="prometheus")),
        ("m/p:80", PrometheusOptions(namespace="m", service="p", port="80")),
    ],
)
def test_prometheus_is_a_url_or_a_service(text: str, expected: PrometheusOptions | None) -> None:
    assert prometheus_at(text) == expected


@pytest.mark.parametrize(
    "text", ["prometheus", "/prometheus", "istio-system/", "istio-system/:9090", "m/p:http", "me:s3cret@host"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(
        InputError, match=r"mesh_prometheus: .* is neither a URL nor NAMESPACE/SERVICE:PORT"
    ) as caught:
        prometheus_at(text)
    assert "s3cret" not in str(caught.value)
